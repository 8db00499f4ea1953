// Who may do what where: the rules, a matrix of roles and topics, and whom a change would cut off.
import { html, useEffect, useState } from '../vendor/preact.js';
import { get, post, remove, segment } from '../parts/api.js';
import { t } from '../parts/i18n.js';
import { address, setQuery } from '../parts/router.js';
import { Effect, RuleLine, accessOf, denies, subjectKey, subjectName, subjectOf } from '../parts/rules.js';
import { roleName } from '../parts/shell.js';
import { Asked, Badge, Button, Check, Data, Dialog, Empty, Form, Icon, Input, Loading, Notice, Page, Problem, Select, Table, Tabs, say, useAsked } from '../parts/ui.js';
import { short, visible } from '../parts/text.js';

export default function Rules({ query }) {
  const asked = useAsked(async (abort) => {
    const answer = await get('/rules', { limit: 500 }, { signal: abort });
    return answer.items ?? answer;
  }, []);
  const roles = useAsked(async (abort) => {
    const answer = await get('/roles', {}, { signal: abort });
    return (answer.items ?? answer).map(({ name }) => name);
  }, []);
  const [open, setOpen] = useState(null);
  const view = query.view ?? 'list';
  const shown = (asked.value ?? []).filter((rule) => (!query.subject || subjectKey(rule) === query.subject) && (!query.search || rule.topic.includes(query.search)));
  const subjects = [...new Map((asked.value ?? []).map((rule) => [subjectKey(rule), subjectName(rule)]))].sort();
  const done = (words) => {
    say(words);
    asked.again();
  };
  return html`<${Page} title=${t('page-rules')} lead=${t('rules-lead')} actions=${html`
      <${Tabs} label=${t('view')} value=${view} options=${[['list', t('list')], ['matrix', t('matrix')]]} onValue=${(value) => setQuery({ view: value })} />
      <a class="button" href=${address('why')}><${Icon} name="why" /><span>${t('page-why')}</span></a>
      <${Button} icon="plus" kind="primary" onClick=${() => setOpen({ add: {} })}>${t('add-rule')}<//>`}>
    ${view === 'list' && html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Select} label=${t('subject')} value=${query.subject ?? ''} onValue=${(value) => setQuery({ subject: value })} options=${[['', t('all')], ...subjects]} />
      <${Input} label=${t('topic')} type="search" mono data-search value=${query.search ?? ''} onValue=${(value) => setQuery({ search: value })} />
    </form>`}
    <${Asked} asked=${asked}>${(rules) => (view === 'matrix'
      ? html`<${Matrix} rules=${rules} roles=${roles.value ?? []} onAdd=${(role, topic) => setOpen({ add: { role, topic } })} />`
      : !shown.length
        ? html`<${Empty} icon="rules" title=${t(rules.length ? 'no-rules-found' : 'no-rules')}>${!rules.length && t('no-rules-hint')}<//>`
        : html`<${Table} caption=${t('page-rules')} rows=${shown} keyOf=${(rule) => rule.id} columns=${[
            { key: 'subject', name: t('subject'), cell: (rule) => subjectName(rule) },
            { key: 'effect', name: t('effect'), cell: (rule) => html`<${Effect} rule=${rule} />` },
            { key: 'access', name: t('what'), cell: accessOf },
            { key: 'topic', name: t('topic'), cell: (rule) => html`<${Data} text=${rule.topic} />` },
            { key: 'id', name: t('rule-number'), number: true, cell: (rule) => String(rule.id) },
          ]} actions=${(rule) => html`<${Button} kind="quiet" icon="trash" aria-label=${t('delete-rule-number', { rule: String(rule.id) })} onClick=${() => setOpen({ remove: rule })}>${t('delete')}<//>`} />`)}<//>
    ${open?.add && html`<${Add} given=${open.add} roles=${roles.value ?? ['Admin', 'Teacher', 'Student']} onClose=${() => setOpen(null)} done=${done} />`}
    ${open?.remove && html`<${Remove} rule=${open.remove} onClose=${() => setOpen(null)} done=${done} />`}
  <//>`;
}

// Whom of those connected now a change would cut off.
function CutOff({ change }) {
  const key = JSON.stringify(change);
  const asked = useAsked((abort) => (change ? post('/rules/preview', change, { signal: abort }) : Promise.resolve(null)), [key]);
  if (!change) return null;
  if (asked.refusal) return html`<${Problem} refusal=${asked.refusal} />`;
  if (!asked.value) return html`<${Loading} rows=${2} />`;
  const cut = asked.value.cut_off ?? [];
  if (!cut.length) return html`<${Notice} kind="ok">${t('cuts-nobody')}<//>`;
  return html`<${Notice} kind="warn">${t('cuts-off', { count: cut.length })}
    <ul>${cut.slice(0, 12).map((one) => html`<li key=${one.client_id + one.filter}><bdi class="data">${short(one.client_id, 60)}</bdi> (${short(one.user ?? '–', 40)}): <bdi class="data">${short(one.filter ?? one.topic ?? '', 80)}</bdi></li>`)}</ul>
    ${cut.length > 12 && t('and-more', { count: cut.length - 12 })}
  <//>`;
}

function Add({ given, roles, onClose, done }) {
  const [kind, setKind] = useState(given.user ? 'user' : 'role');
  const [user, setUser] = useState(given.user ?? '');
  const [role, setRole] = useState(given.role ?? 'Student');
  const [topic, setTopic] = useState(given.topic ?? '');
  const [publish, setPublish] = useState(true);
  const [subscribe, setSubscribe] = useState(true);
  const [effect, setEffect] = useState('allow');
  const [rested, setRested] = useState(null);
  const rule = { subject: kind === 'user' ? { user } : { role }, topic, publish, subscribe, effect };
  const complete = topic && (kind === 'role' || user) && (publish || subscribe);
  const key = JSON.stringify(rule);
  useEffect(() => {
    const timer = setTimeout(() => setRested(complete ? { add: rule } : null), 400);
    return () => clearTimeout(timer);
  }, [key]);
  const submit = async () => {
    await post('/rules', rule);
    done(t('rule-added'));
    onClose();
  };
  return html`<${Dialog} title=${t('add-rule')} onClose=${onClose}>
    <${Form} submit=${t('add-rule')} onSubmit=${submit} cancel=${onClose} disabled=${!complete}>
      <div><${Tabs} label=${t('subject')} value=${kind} options=${[['role', t('role')], ['user', t('user')]]} onValue=${setKind} /></div>
      ${kind === 'role'
        ? html`<${Select} label=${t('role')} value=${role} onValue=${setRole} options=${roles.map((name) => [name, roleName(name)])} />`
        : html`<${Input} label=${t('user')} value=${user} onValue=${setUser} required />`}
      <div><${Tabs} label=${t('effect')} value=${effect} options=${[['allow', t('allow')], ['deny', t('deny')]]} onValue=${setEffect} /></div>
      <div class="actions"><${Check} label=${t('publish')} checked=${publish} onValue=${setPublish} /><${Check} label=${t('subscribe')} checked=${subscribe} onValue=${setSubscribe} /></div>
      <${Input} label=${t('topic-pattern')} hint=${t('topic-pattern-hint')} mono value=${topic} onValue=${setTopic} required autofocus placeholder="school/%u/#" />
      <${CutOff} change=${rested} />
    <//>
  <//>`;
}

function Remove({ rule, onClose, done }) {
  const submit = async () => {
    await remove(`/rules/${segment(rule.id)}`);
    done(t('rule-deleted'));
    onClose();
  };
  return html`<${Dialog} title=${t('delete-rule-number', { rule: String(rule.id) })} onClose=${onClose}>
    <${Form} submit=${t('delete-rule')} kind="danger" onSubmit=${submit} cancel=${onClose}>
      <p><${RuleLine} rule=${rule} /></p>
      <${CutOff} change=${{ remove: rule.id }} />
    <//>
  <//>`;
}

// Roles across, topics down; what a cell says is what the rules say, not what they amount to.
function Matrix({ rules, roles, onAdd }) {
  const ofRoles = rules.filter((rule) => subjectOf(rule).role);
  const columns = [...new Set([...roles, ...ofRoles.map((rule) => subjectOf(rule).role)])];
  const topics = [...new Set(ofRoles.map((rule) => rule.topic))].sort();
  if (!topics.length) return html`<${Empty} icon="rules" title=${t('no-rules')}>${t('no-rules-hint')}<//>`;
  return html`<p class="muted">${t('matrix-lead')}</p><div class="matrix"><${Table} caption=${t('matrix')} rows=${topics} keyOf=${(topic) => topic} columns=${[
    { key: 'topic', name: t('topic'), cell: (topic) => html`<${Data} text=${topic} />` },
    ...columns.map((role) => ({ key: role, name: roleName(role), cell: (topic) => html`<${Cell} rules=${ofRoles.filter((rule) => subjectOf(rule).role === role && rule.topic === topic)} onAdd=${() => onAdd(role, topic)} label=${t('add-rule-for', { role: roleName(role), topic: visible(topic) })} />` })),
  ]} /></div>`;
}

function Cell({ rules, onAdd, label }) {
  if (!rules.length) return html`<${Button} kind="quiet small" icon="plus" label=${label} onClick=${onAdd} />`;
  return html`<span class="rights">${rules.map((rule) => html`<${Badge} key=${rule.id} kind=${denies(rule) ? 'danger' : 'ok'}>${t(denies(rule) ? 'denies' : 'allows')}: ${accessOf(rule)}<//>`)}</span>`;
}
