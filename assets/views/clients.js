// Who is connected, who was, and everything about one of them.
import { html, useEffect, useState } from '../vendor/preact.js';
import { get, post, remove, segment } from '../parts/api.js';
import { ClassSelect } from '../parts/classselect.js';
import { actionName, messageOf, topicOf } from '../parts/events.js';
import { ago, clock, duration, number, t, when } from '../parts/i18n.js';
import { address, go, setQuery } from '../parts/router.js';
import { Asked, Badge, Button, Card, Confirm, Data, Empty, Facts, Input, More, Page, Problem, Select, Table, Loading, say, useAsked, useEvery, usePages, useRested } from '../parts/ui.js';
import { roleName } from '../parts/shell.js';
import { short, visible } from '../parts/text.js';

export default function Clients({ who, parts, query }) {
  return parts.length ? html`<${Client} who=${who} id=${parts[0]} />` : html`<${List} query=${query} />`;
}

function List({ query }) {
  const [search, setSearch] = useState(query.search ?? '');
  const rested = useRested(search);
  useEffect(() => setQuery({ search: rested }), [rested]);
  const state = query.state ?? 'online';
  const narrowed = query.class ?? '';
  const pages = usePages((cursor, abort) => get('/clients', { search: rested, state, class: narrowed, cursor, limit: 50 }, { signal: abort }), [rested, state, narrowed]);
  useEvery(5000, pages.asked.again);
  return html`<${Page} title=${t('page-clients')}>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Input} label=${t('search-clients')} type="search" value=${search} onValue=${setSearch} data-search mono />
      <${Select} label=${t('state')} value=${state} onValue=${(value) => setQuery({ state: value })} options=${['online', 'offline', 'all'].map((name) => [name, t(`state-${name}`)])} />
      <${ClassSelect} value=${narrowed} onValue=${(value) => setQuery({ class: value })} />
    </form>
    ${pages.asked.refusal && html`<${Problem} refusal=${pages.asked.refusal} again=${pages.asked.again} />`}
    ${!pages.asked.value ? !pages.asked.refusal && html`<${Loading} />` : !pages.items.length
      ? html`<${Empty} icon="clients" title=${t(search ? 'no-clients-found' : 'no-clients')}>${!search && t('no-clients-hint')}<//>`
      : html`<${Table} caption=${t('page-clients')} rows=${pages.items} keyOf=${(client) => client.id} hrefOf=${(client) => address(['clients', client.id])} columns=${columns()} />
        <${More} pages=${pages} />`}
  <//>`;
}

function columns() {
  return [
    { key: 'client_id', name: t('client-id'), cell: (client) => html`<${Data} text=${client.client_id} limit=${80} />` },
    { key: 'state', name: t('state'), cell: (client) => html`<${Online} client=${client} />` },
    { key: 'user', name: t('user'), cell: (client) => html`<span class="nowrap">${client.user ? short(client.user, 32) : '–'}</span>` },
    { key: 'address', name: t('address'), cell: (client) => html`<span class="mono nowrap">${visible(client.address ?? '–')}</span>` },
    { key: 'version', name: t('protocol'), cell: (client) => html`<span class="nowrap">${protocol(client)}${client.transport && ` · ${t(`transport-${client.transport}`)}`}</span> ${client.connected && client.encrypted === false && html`<${Badge} kind="warn">${t('plain')}<//>`}` },
    { key: 'since', name: t('since'), cell: (client) => html`<span class="nowrap" title=${when(client.since ?? client.gone_since)}>${ago(client.since ?? client.gone_since)}</span>` },
    { key: 'subscriptions', name: t('subscriptions'), number: true, cell: (client) => number(client.subscriptions) },
    { key: 'inflight', name: t('inflight'), number: true, cell: (client) => number(client.inflight) },
    { key: 'queued', name: t('queued'), number: true, cell: (client) => number(client.queued) },
  ];
}

export function protocol(client) {
  return client.version ? `MQTT ${visible(client.version)}` : '–';
}

export function Online({ client }) {
  return client.connected ? html`<${Badge} kind="ok">${t('online')}<//>` : html`<${Badge}>${t('offline')}<//>`;
}

function Client({ who, id }) {
  const asked = useAsked((abort) => get(`/clients/${segment(id)}`, {}, { signal: abort }), [id]);
  const [asking, setAsking] = useState(null);
  useEvery(3000, () => !asking && asked.again());
  const name = asked.value ? short(asked.value.client_id, 60) : t('client');
  return html`<${Page} title=${name} actions=${asked.value && html`
      ${who.role !== 'Student' && asked.value.connected && html`<${Button} icon="disconnect" onClick=${() => setAsking('disconnect')}>${t('disconnect')}<//>`}
      ${who.role === 'Admin' && html`<${Button} icon="trash" onClick=${() => setAsking('end')}>${t('end-session')}<//>`}`}>
    <p><a href=${address('clients')}>${t('to-clients')}</a></p>
    <${Asked} asked=${asked} rows=${8}>${(client) => html`
      <${Card} title=${t('session')}><${Facts} facts=${[
        [t('state'), html`<${Online} client=${client} />`],
        [t('client-id'), html`<${Data} text=${client.client_id} />`],
        [t('user'), html`<${Data} text=${client.user} />`],
        [t('role'), client.role && roleName(client.role)],
        [t('address'), html`<${Data} text=${client.address} />`],
        [t('protocol'), protocol(client)],
        [t('transport'), client.transport ? t(`transport-${client.transport}`) : '–'],
        [t('encryption'), !client.connected ? '–' : client.encrypted ? html`<${Badge} kind="ok">${t('encrypted')}<//>` : html`<${Badge} kind="warn">${t('plain')}<//>`],
        [t(client.connected ? 'since' : 'gone-since'), when(client.since ?? client.gone_since)],
        [t('keep-alive'), client.keep_alive ? duration(client.keep_alive) : t('off')],
        [t('session-expiry'), expiry(client.expiry_s)],
        [t('inflight'), number(client.inflight)],
        [t('queued'), number(client.queued)],
        [t('received'), number(client.received)],
        [t('sent'), number(client.sent)],
      ]} /><//>
      <div class="cards">
        <${Subscriptions} list=${client.subscription_list ?? []} />
        ${client.will && html`<${Card} title=${t('will')}><${Facts} facts=${[
          [t('topic'), html`<${Data} text=${client.will.topic} />`],
          ['QoS', number(client.will.qos)],
          [t('delay'), duration(client.will.delay_s ?? 0)],
        ]} /><//>`}
      </div>
      <${Events} events=${client.events ?? []} client=${client} />
    `}<//>
    ${asking === 'disconnect' && html`<${Confirm} title=${t('disconnect-title')} verb=${t('disconnect')} onClose=${() => setAsking(null)} onConfirm=${async () => { await post(`/clients/${segment(id)}/disconnect`); say(t('disconnected')); asked.again(); }}><p>${t('disconnect-what')}</p><//>`}
    ${asking === 'end' && html`<${Confirm} title=${t('end-session-title')} verb=${t('end-session')} onClose=${() => setAsking(null)} onConfirm=${async () => { await remove(`/clients/${segment(id)}`); say(t('session-ended')); go('clients'); }}><p>${t('end-session-what', { count: asked.value.queued ?? 0 })}</p><//>`}
  <//>`;
}

function expiry(seconds) {
  if (seconds === 0) return t('expiry-at-once');
  if (seconds === null || seconds === undefined || seconds >= 4_294_967_295) return t('expiry-never');
  return duration(seconds);
}

function Subscriptions({ list }) {
  return html`<${Card} title=${t('subscriptions')}>
    ${list.length
      ? html`<${Table} caption=${t('subscriptions')} rows=${list} keyOf=${(one) => `${one.share ?? ''}/${one.filter}`} columns=${[
          { key: 'filter', name: t('filter'), cell: (one) => html`<${Data} text=${one.filter} />` },
          { key: 'qos', name: 'QoS', number: true, cell: (one) => number(one.qos) },
          { key: 'share', name: t('share'), cell: (one) => html`<${Data} text=${one.share} />` },
        ]} />`
      : html`<${Empty} title=${t('no-subscriptions')} />`}
  <//>`;
}

// The last events, oldest below; also on a student's home.
export function Events({ events, client, title = t('recent-events') }) {
  const all = client && address('log', { client: client.client_id });
  return html`<${Card} title=${title} actions=${html`<a href=${all ?? address('log')}>${t('all-in-log')}</a>`}>
    ${events.length
      ? html`<${Table} caption=${title} rows=${events} keyOf=${(event) => event.seq ?? `${event.time}${event.text}`} columns=${[
          { key: 'time', name: t('log-time'), cell: (event) => html`<span class="mono nowrap" title=${when(event.time)}>${clock(event.time)}</span>` },
          { key: 'action', name: t('log-action'), cell: (event) => (event.ok ? actionName(event.action) : html`<${Badge} kind="danger">${actionName(event.action)}<//>`) },
          { key: 'topic', name: t('topic'), cell: (event) => html`<${Data} text=${topicOf(event)} limit=${120} />` },
          { key: 'message', name: t('log-message'), cell: (event) => html`<${Data} text=${messageOf(event)} />` },
        ]} />`
      : html`<${Empty} icon="log" title=${t('no-events')} />`}
  <//>`;
}
