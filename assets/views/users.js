// The accounts: create, change, import a class, and a password that is shown once.
import { html, useState } from '../vendor/preact.js';
import { get, getTagged, patch, post, remove, segment } from '../parts/api.js';
import { ConnectCode, addressesOf, urlOf, useConnect } from '../parts/connect.js';
import { day, has, t, when } from '../parts/i18n.js';
import { address, setQuery } from '../parts/router.js';
import { roleName } from '../parts/shell.js';
import { Asked, Badge, Button, Check, Confirm, Data, Dialog, Empty, Form, Input, More, Notice, Page, Problem, Select, Table, Tabs, copy, say, useAsked, usePages, useRested } from '../parts/ui.js';
import { visible } from '../parts/text.js';

const builtIn = ['Admin', 'Teacher', 'Student'];

export default function Users({ who, query }) {
  const search = useRested(query.search ?? '');
  const pages = usePages((cursor, abort) => get('/users', { search, role: query.role, cursor, limit: 100 }, { signal: abort }), [search, query.role]);
  const roles = useAsked((abort) => get('/roles', {}, { signal: abort }), []);
  const names = (roles.value?.items ?? builtIn.map((name) => ({ name }))).map(({ name }) => name);
  const [open, setOpen] = useState(null);
  const done = (words) => {
    if (words) say(words);
    pages.asked.again();
  };
  const shown = pages.items;
  return html`<${Page} title=${t('page-users')} actions=${html`
      <${Button} icon="upload" onClick=${() => setOpen({ kind: 'import' })}>${t('import')}<//>
      <${Button} icon="plus" kind="primary" onClick=${() => setOpen({ kind: 'add' })}>${t('add-user')}<//>`}>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Input} label=${t('search-users')} type="search" value=${query.search ?? ''} onValue=${(value) => setQuery({ search: value })} data-search />
      <${Select} label=${t('role')} value=${query.role ?? ''} onValue=${(value) => setQuery({ role: value })} options=${[['', t('all')], ...names.map((name) => [name, roleName(name)])]} />
    </form>
    <${Asked} asked=${pages.asked}>${() => (!shown.length
      ? html`<${Empty} icon="users" title=${t(search || query.role ? 'no-users-found' : 'no-users')} />`
      : html`<${Table} caption=${t('page-users')} rows=${shown} keyOf=${(user) => user.name} columns=${[
          { key: 'name', name: t('user'), cell: (user) => html`<${Data} text=${user.name} limit=${120} />` },
          { key: 'role', name: t('role'), cell: (user) => roleName(user.role) },
          { key: 'state', name: t('state'), cell: (user) => (user.enabled ? html`<${Badge} kind="ok">${t('enabled')}<//>` : html`<${Badge} kind="warn">${t('disabled')}<//>`) },
          { key: 'login', name: t('logs-in-with'), cell: loginWays },
          { key: 'created', name: t('created'), cell: (user) => html`<span title=${when(user.created)}>${day(user.created)}</span>` },
          { key: 'changed', name: t('changed'), cell: (user) => html`<span title=${when(user.changed)}>${day(user.changed)}</span>` },
        ]} actions=${(user) => html`
          <${Button} kind="quiet" icon="key" aria-label=${t('new-password-for', { user: visible(user.name) })} onClick=${() => setOpen({ kind: 'password', user })}>${t('password')}<//>
          <${Button} kind="quiet" icon="settings" aria-label=${t('change-user', { user: visible(user.name) })} onClick=${() => setOpen({ kind: 'change', user })}>${t('change')}<//>`} />
        <${More} pages=${pages} />`)}<//>
    ${open?.kind === 'add' && html`<${Add} roles=${names} onClose=${() => setOpen(null)} done=${done} onPassword=${(user, password) => setOpen({ kind: 'card', user, password })} />`}
    ${open?.kind === 'change' && html`<${Change} user=${open.user} self=${open.user.name === who.user} roles=${names} onClose=${() => setOpen(null)} onDelete=${() => setOpen({ kind: 'delete', user: open.user })} onReset=${() => setOpen({ kind: 'totp', user: open.user })} done=${done} />`}
    ${open?.kind === 'password' && html`<${Password} user=${open.user} onClose=${() => setOpen(null)} done=${done} onPassword=${(password) => setOpen({ kind: 'card', user: open.user, password })} />`}
    ${open?.kind === 'card' && html`<${LoginCard} users=${[{ name: open.user.name, password: open.password }]} onClose=${() => setOpen(null)} />`}
    ${open?.kind === 'import' && html`<${Import} onClose=${() => setOpen(null)} done=${done} />`}
    ${open?.kind === 'totp' && html`<${Confirm} title=${t('reset-totp-title', { user: visible(open.user.name) })} verb=${t('reset-totp')} onClose=${() => setOpen(null)}
      onConfirm=${async () => { await remove(`/users/${segment(open.user.name)}/totp`); done(t('totp-removed')); }}><p>${t('reset-totp-what')}</p><//>`}
    ${open?.kind === 'delete' && html`<${Confirm} title=${t('delete-user-title', { user: visible(open.user.name) })} verb=${t('delete')} typed=${open.user.name} onClose=${() => setOpen(null)}
      onConfirm=${async () => { await remove(`/users/${segment(open.user.name)}`); done(t('user-deleted')); }}><p>${t('delete-user-what')}</p><//>`}
  <//>`;
}

function loginWays(user) {
  const ways = [user.has_password && t('password'), user.certificate && t('certificate')].filter(Boolean);
  return ways.length ? ways.join(', ') : html`<span class="muted">${t('nothing-yet')}</span>`;
}

function RoleSelect({ roles, ...rest }) {
  return html`<${Select} label=${t('role')} options=${roles.map((name) => [name, roleName(name)])} ...${rest} />`;
}

function Add({ roles, onClose, done, onPassword }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState('Student');
  const [way, setWay] = useState('generate');
  const [password, setPassword] = useState('');
  const submit = async () => {
    const wish = { generate: { generate: true }, type: { password }, none: {} }[way];
    const made = await post('/users', { name, role, ...wish });
    done(t('user-added'));
    if (made?.password) onPassword({ name }, made.password);
    else onClose();
  };
  return html`<${Dialog} title=${t('add-user')} onClose=${onClose}>
    <${Form} submit=${t('add-user')} onSubmit=${submit} cancel=${onClose}>
      <${Input} label=${t('user')} hint=${t('user-hint')} value=${name} onValue=${setName} required autocapitalize="none" autofocus />
      <${RoleSelect} roles=${roles} value=${role} onValue=${setRole} hint=${t(builtIn.includes(role) ? `role-${role}-means` : 'role-own-means')} />
      <${PasswordWay} way=${way} setWay=${setWay} password=${password} setPassword=${setPassword} none />
    <//>
  <//>`;
}

export function PasswordWay({ way, setWay, password, setPassword, none }) {
  const options = [['generate', t('password-generate')], ['type', t('password-type')], ...(none ? [['none', t('password-none')]] : [])];
  return html`<div><${Tabs} label=${t('password')} value=${way} options=${options} onValue=${setWay} /></div>
    ${way === 'type' && html`<${Input} label=${t('new-password')} hint=${t('password-hint')} type="password" autocomplete="new-password" required value=${password} onValue=${setPassword} />`}
    ${way === 'generate' && html`<p class="hint">${t('password-once')}</p>`}
    ${way === 'none' && html`<p class="hint">${t('password-none-hint')}</p>`}`;
}

export function Password({ user, onClose, done, onPassword }) {
  const [way, setWay] = useState('generate');
  const [password, setPassword] = useState('');
  const submit = async () => {
    const answer = await post(`/users/${segment(user.name)}/password`, way === 'generate' ? { generate: true } : { password });
    done(t('password-set'));
    if (answer?.password) onPassword(answer.password);
    else onClose();
  };
  return html`<${Dialog} title=${t('new-password-for', { user: visible(user.name) })} onClose=${onClose}>
    <${Form} submit=${t('set-password')} onSubmit=${submit} cancel=${onClose}>
      <${Notice} kind="warn">${t('password-ends')}<//>
      <${Input} label=${t('user')} value=${user.name} onValue=${() => {}} readonly autocomplete="username" name="username" />
      <${PasswordWay} way=${way} setWay=${setWay} password=${password} setPassword=${setPassword} />
    <//>
  <//>`;
}

function Change({ user, self, roles, onClose, onDelete, onReset, done }) {
  const asked = useAsked(() => getTagged(`/users/${segment(user.name)}`), []);
  const [role, setRole] = useState(user.role);
  const [enabled, setEnabled] = useState(user.enabled);
  const submit = async () => {
    const changes = {};
    if (role !== user.role) changes.role = role;
    if (enabled !== user.enabled) changes.enabled = enabled;
    if (Object.keys(changes).length) await patch(`/users/${segment(user.name)}`, changes, asked.value?.tag);
    done(t('saved'));
    onClose();
  };
  return html`<${Dialog} title=${t('change-user', { user: visible(user.name) })} onClose=${onClose}>
    <${Form} submit=${t('save')} onSubmit=${submit} cancel=${onClose} disabled=${asked.value === undefined}>
      ${asked.refusal && html`<${Problem} refusal=${asked.refusal} again=${asked.again} />`}
      ${self && html`<${Notice} kind="warn">${t('change-self')}<//>`}
      <${RoleSelect} roles=${roles} value=${role} onValue=${setRole} hint=${t(builtIn.includes(role) ? `role-${role}-means` : 'role-own-means')} />
      <${Check} label=${t('may-connect')} checked=${enabled} onValue=${setEnabled} />
      ${!enabled && user.enabled && html`<p class="hint">${t('disable-what')}</p>`}
      ${user.certificate && html`<p class="hint">${t('certificate')}: <span class="mono">${visible(user.certificate)}</span></p>`}
      <p><a href=${address('log', { user: user.name })}>${t('to-user-log')}</a> · <a href=${address('rules', { subject: `user:${user.name}` })}>${t('to-user-rules')}</a> · <a href=${address('why', { user: user.name })}>${t('to-why')}</a></p>
      <div class="actions"><${Button} icon="key" onClick=${onReset}>${t('reset-totp')}<//><${Button} icon="trash" onClick=${onDelete}>${t('delete')}<//></div>
    <//>
  <//>`;
}

// The one time that a password is seen.
export function LoginCard({ users, onClose }) {
  const connect = useConnect();
  const how = connect.value;
  const [best] = how ? addressesOf(how) : [];
  return html`<${Dialog} title=${t('login-card')} onClose=${onClose}>
    <${Notice} kind="warn">${t('login-card-once')}<//>
    ${users.map((user) => html`<div class="login-print" key=${user.name}>
      <h3>${t('login-card-head', { host: location.hostname })}</h3>
      <dl class="facts"><div><dt>${t('user')}</dt><dd>${visible(user.name)}</dd></div><div><dt>${t('password')}</dt><dd>${visible(user.password)}</dd></div></dl>
      ${best && html`<div class="connect"><dl class="facts small"><div><dt>${t('connect-address')}</dt><dd>${urlOf(best)}</dd></div>
        ${how.authority && html`<div><dt>${t('connect-fingerprint')}</dt><dd>${visible(how.authority.fingerprint)}</dd></div>`}</dl><${ConnectCode} how=${how} user=${user.name} /></div>`}
      <p class="small">${t('login-card-keep')}</p>
    </div>`)}
    <div class="form-actions">
      ${users.length === 1 && html`<${Button} icon="copy" onClick=${() => copy(users[0].password)}>${t('copy-password')}<//>`}
      <${Button} icon="print" onClick=${() => print()}>${t('print')}<//>
      <${Button} kind="primary" onClick=${onClose}>${t('done')}<//>
    </div>
  <//>`;
}

function Import({ onClose, done }) {
  const [csv, setCsv] = useState('');
  const [preview, setPreview] = useState(null);
  const [made, setMade] = useState(null);
  const change = (text) => {
    setCsv(text);
    setPreview(null);
  };
  const read = async (event) => {
    const [file] = event.currentTarget.files;
    if (file) change(await file.text());
  };
  const rows = preview?.rows ?? [];
  const wrong = rows.filter((row) => row.error);
  const submit = async () => {
    if (!preview) {
      setPreview(await post('/users/import', { csv, preview: true }));
      return;
    }
    const answer = await post('/users/import', { csv, preview: false });
    done(t('users-imported', { count: rows.length }));
    const cards = answer.rows.filter((row) => row.password);
    if (cards.length) setMade(cards);
    else onClose();
  };
  if (made) return html`<${LoginCard} users=${made} onClose=${onClose} />`;
  return html`<${Dialog} title=${t('import-users')} kind="wide" onClose=${onClose}>
    <${Form} submit=${preview ? t('import-count', { count: rows.length - wrong.length }) : t('check')} onSubmit=${submit} cancel=${onClose} disabled=${!csv.trim() || (preview && (wrong.length > 0 || !rows.length))}>
      <p class="hint">${t('import-hint')} <code>name,role,password</code></p>
      <input type="file" accept=".csv,text/csv" aria-label=${t('import-file')} onChange=${read} />
      <div class="field"><label for="import-text">${t('import-text')}</label><textarea id="import-text" class="mono" spellcheck="false" value=${csv} onInput=${(event) => change(event.currentTarget.value)} placeholder="ana,Student,\nben,Student,"></textarea></div>
      ${preview && html`${wrong.length ? html`<${Notice} kind="danger">${t('import-wrong', { count: wrong.length })}<//>` : html`<${Notice} kind="ok">${t('import-right', { count: rows.length })}<//>`}
        <${Table} caption=${t('import-users')} rows=${rows} keyOf=${(row) => row.line} columns=${[
          { key: 'line', name: t('line'), number: true, cell: (row) => row.line },
          { key: 'name', name: t('user'), cell: (row) => html`<${Data} text=${row.name} />` },
          { key: 'role', name: t('role'), cell: (row) => (row.role ? roleName(row.role) : '–') },
          { key: 'state', name: t('state'), cell: (row) => (row.error ? html`<${Badge} kind="danger">${has(row.code) ? t(row.code) : visible(row.error)}<//>` : html`<${Badge} kind="ok">${t('ok')}<//>`) },
        ]} />`}
    <//>
  <//>`;
}
