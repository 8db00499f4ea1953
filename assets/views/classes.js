// Classes: who teaches, who learns, where they publish, and whether they may at the moment.
import { html, useState } from '../vendor/preact.js';
import { get, patch, getTagged, post, remove, segment } from '../parts/api.js';
import { ClassCard, PauseButton, Paused, useOnline } from '../parts/classcard.js';
import { Connect } from '../parts/connect.js';
import { t } from '../parts/i18n.js';
import { Problems } from '../parts/mend.js';
import { address, go } from '../parts/router.js';
import { Asked, Badge, Button, Card, Confirm, Data, Dialog, Empty, Form, Input, Notice, Page, Problem, Table, say, useAsked } from '../parts/ui.js';
import { short, visible } from '../parts/text.js';
import { LoginCard, Password, PasswordWay } from './users.js';

export default function Classes({ who, parts }) {
  return parts.length ? html`<${One} who=${who} name=${parts[0]} />` : html`<${All} who=${who} />`;
}

function All({ who }) {
  const asked = useAsked((abort) => get('/classes', {}, { signal: abort }), []);
  const [adding, setAdding] = useState(false);
  const admin = who.role === 'Admin';
  return html`<${Page} title=${t('page-classes')} lead=${t('classes-lead')} actions=${admin && html`<${Button} icon="plus" kind="primary" onClick=${() => setAdding(true)}>${t('add-class')}<//>`}>
    <${Asked} asked=${asked}>${({ items }) => (items.length
      ? html`<div class="class-cards">${items.map((one) => html`<${ClassCard} one=${one} again=${asked.again} key=${one.name} />`)}</div>`
      : html`<${Empty} icon="classes" title=${t('no-classes')}>${t(admin ? 'no-classes-hint' : 'no-classes-teacher')}<//>`)}<//>
    ${adding && html`<${AddClass} onClose=${() => setAdding(false)} />`}
  <//>`;
}

function AddClass({ onClose }) {
  const [name, setName] = useState('');
  const submit = async () => {
    await post('/classes', { name });
    say(t('class-added'));
    onClose();
    go(['classes', name]);
  };
  return html`<${Dialog} title=${t('add-class')} onClose=${onClose}>
    <${Form} submit=${t('add-class')} onSubmit=${submit} cancel=${onClose} disabled=${!name}>
      <${Input} label=${t('class-name')} hint=${t('class-name-hint')} value=${name} onValue=${setName} required autofocus />
      ${name && html`<p class="hint">${t('class-topics-will')} <bdi class="data">${visible(`c/${name}/…`)}</bdi></p>`}
    <//>
  <//>`;
}

function One({ who, name }) {
  const asked = useAsked((abort) => get(`/classes/${segment(name)}`, {}, { signal: abort }), [name]);
  const [open, setOpen] = useState(null);
  const [refusal, setRefusal] = useState(null);
  const online = useOnline(name);
  const admin = who.role === 'Admin';
  const one = asked.value;
  const close = () => setOpen(null);
  const done = (words) => {
    if (words) say(words);
    asked.again();
  };
  const act = async (job, words) => {
    setRefusal(null);
    try {
      await job();
      done(words);
    } catch (problem) {
      setRefusal(problem);
    }
  };
  const enable = (member) => act(async () => {
    const { tag } = await getTagged(`/users/${segment(member.name)}`);
    await patch(`/users/${segment(member.name)}`, { enabled: !member.enabled }, tag);
  }, t('saved'));
  return html`<${Page} title=${t('class-title', { name: short(name, 60) })} actions=${one && html`
      <${Paused} one=${one} />
      <${PauseButton} one=${one} done=${(problem) => { setRefusal(problem); asked.again(); }} />
      ${admin && html`<${Button} icon="users" onClick=${() => setOpen({ kind: 'assign' })}>${t('assign')}<//>`}
      ${admin && html`<${Button} icon="trash" onClick=${() => setOpen({ kind: 'delete' })}>${t('delete')}<//>`}
      <${Button} icon="plus" kind="primary" onClick=${() => setOpen({ kind: 'add' })}>${t('add-student')}<//>`}>
    <p><a href=${address('classes')}>${t('all-classes')}</a></p>
    ${refusal && html`<${Problem} refusal=${refusal} />`}
    <${Asked} asked=${asked} rows=${6}>${() => html`
      ${one.paused && html`<${Notice} kind="warn">${t('paused-means')}<//>`}
      <${Members} who=${who} one=${one} states=${online.states} known=${Boolean(online.asked.value)} enable=${enable} setOpen=${setOpen} />
      <div class="cards">
        <${NameSpace} one=${one} />
        <${Connect} />
      </div>
      <${Problems} title=${t('class-problems')} query=${{ class: name }} named />`}<//>
    ${open?.kind === 'add' && html`<${AddStudent} name=${name} onClose=${close} done=${done} onPassword=${(user, password) => setOpen({ kind: 'card', user, password })} />`}
    ${open?.kind === 'assign' && html`<${Assign} one=${one} onClose=${close} done=${done} />`}
    ${open?.kind === 'password' && html`<${Password} user=${open.user} onClose=${close} done=${done} onPassword=${(password) => setOpen({ kind: 'card', user: open.user, password })} />`}
    ${open?.kind === 'card' && html`<${LoginCard} users=${[{ name: open.user.name, password: open.password }]} onClose=${close} />`}
    ${open?.kind === 'take' && html`<${Confirm} title=${t('take-out-title', { user: visible(open.user.name) })} verb=${t('take-out')} onClose=${close}
      onConfirm=${async () => { await remove(`/classes/${segment(name)}/members/${segment(open.user.name)}`); done(t('taken-out')); }}><p>${t('take-out-what')}</p><//>`}
    ${open?.kind === 'delete' && html`<${Confirm} title=${t('delete-class-title', { name: visible(name) })} verb=${t('delete')} typed=${name} onClose=${close}
      onConfirm=${async () => { await remove(`/classes/${segment(name)}`); say(t('class-deleted')); go('classes'); }}><p>${t('delete-class-what')}</p><//>`}
  <//>`;
}

function Members({ who, one, states, known, enable, setOpen }) {
  const members = [...one.members].sort((first, second) => first.seat.localeCompare(second.seat) || first.name.localeCompare(second.name));
  const admin = who.role === 'Admin';
  if (!members.length) return html`<div class="card"><${Empty} icon="users" title=${t('class-empty')}>${t(admin ? 'class-empty-admin' : 'class-empty-teacher')}<//></div>`;
  return html`<${Table} caption=${t('members')} rows=${members} keyOf=${(member) => member.name} columns=${[
    { key: 'name', name: t('user'), cell: (member) => html`<${Data} text=${member.name} limit=${80} />` },
    { key: 'seat', name: t('seat'), cell: (member) => t(`seat-${member.seat}`) },
    { key: 'online', name: t('connection'), cell: (member) => (!known ? '–' : states.get(member.name) ? html`<${Badge} kind="ok">${t('online')}<//>` : html`<${Badge}>${t(states.has(member.name) ? 'offline' : 'not-there')}<//>`) },
    { key: 'state', name: t('state'), cell: (member) => (member.enabled ? t('enabled') : html`<${Badge} kind="warn">${t('disabled')}<//>`) },
    { key: 'log', name: t('page-log'), cell: (member) => html`<a href=${address('log', { user: member.name })}>${t('events')}</a>` },
  ]} actions=${(member) => member.seat === 'student' || admin ? html`
    <${Button} kind="quiet" icon="key" aria-label=${t('new-password-for', { user: visible(member.name) })} onClick=${() => setOpen({ kind: 'password', user: member })}>${t('password')}<//>
    <${Button} kind="quiet" icon=${member.enabled ? 'lock' : 'unlock'} aria-label=${t(member.enabled ? 'disable-user' : 'enable-user', { user: visible(member.name) })} onClick=${() => enable(member)}>${t(member.enabled ? 'disable' : 'enable')}<//>
    <${Button} kind="quiet" icon="cross" aria-label=${t('take-out-user', { user: visible(member.name) })} onClick=${() => setOpen({ kind: 'take', user: member })}>${t('take-out')}<//>` : ''} />`;
}

function NameSpace({ one }) {
  const { topics } = one;
  const link = (filter) => html`<a href=${address('topics', { filter })}><bdi class="data">${visible(filter)}</bdi></a>`;
  return html`<${Card} title=${t('name-space')}><dl class="topics-list">
    <div><dt><bdi class="data">${visible(topics.all.replace(/#$/, 'u/'))}<i>${t('name-of-student')}</i>/#</bdi></dt><dd>${t('space-own')}</dd></div>
    <div><dt>${link(topics.shared)}</dt><dd>${t('space-shared')}</dd></div>
    <div><dt>${link(topics.announce)}</dt><dd>${t('space-announce')} <a href=${address('publish', { topic: topics.announce.replace('#', 'today') })}>${t('announce')}</a></dd></div>
    <div><dt>${link(topics.all)}</dt><dd>${t('space-all')}</dd></div>
  </dl><//>`;
}

function AddStudent({ name, onClose, done, onPassword }) {
  const [user, setUser] = useState('');
  const [way, setWay] = useState('generate');
  const [password, setPassword] = useState('');
  const submit = async () => {
    const made = await post('/users', { name: user, role: 'Student', class: name, ...(way === 'type' ? { password } : { generate: true }) });
    done(t('user-added'));
    if (made.password) onPassword({ name: user }, made.password);
    else onClose();
  };
  return html`<${Dialog} title=${t('add-student')} onClose=${onClose}>
    <${Form} submit=${t('add-student')} onSubmit=${submit} cancel=${onClose} disabled=${!user}>
      <${Input} label=${t('user')} hint=${t('user-hint')} value=${user} onValue=${setUser} required autofocus />
      <${PasswordWay} way=${way} setWay=${setWay} password=${password} setPassword=${setPassword} />
    <//>
  <//>`;
}

function Assign({ one, onClose, done }) {
  const [typed, setTyped] = useState('');
  const people = useAsked((abort) => get('/users', { limit: 500 }, { signal: abort }), []);
  const there = new Set([...one.teachers, ...(one.students ?? [])]);
  const names = [...new Set(typed.split(/[\n,;]+/).map((name) => name.trim()).filter(Boolean))];
  const submit = async () => {
    await post(`/classes/${segment(one.name)}/members`, { users: names });
    done(t('assigned', { count: names.length }));
    onClose();
  };
  const free = (people.value?.items ?? []).filter(({ name }) => !there.has(name) && !names.includes(name));
  return html`<${Dialog} title=${t('assign')} onClose=${onClose}>
    <${Form} submit=${t('assign-count', { count: names.length })} onSubmit=${submit} cancel=${onClose} disabled=${!names.length}>
      <div class="field"><label for="assign-names">${t('assign-names')}</label><textarea id="assign-names" spellcheck="false" autofocus value=${typed} onInput=${(event) => setTyped(event.currentTarget.value)}></textarea></div>
      <p class="hint">${t('assign-what')}</p>
      ${free.length > 0 && html`<div class="actions" role="group" aria-label=${t('assign-free')}>${free.slice(0, 24).map(({ name }) => html`<${Button} kind="small" icon="plus" key=${name} onClick=${() => setTyped(`${typed}${typed && !typed.endsWith('\n') ? '\n' : ''}${name}`)}><bdi>${short(name, 40)}</bdi><//>`)}</div>`}
    <//>
  <//>`;
}
