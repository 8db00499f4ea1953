// The home of those who do not run the broker: a teacher's classes; a student's topics, clients and problems.
import { html } from '../vendor/preact.js';
import { get, post } from '../parts/api.js';
import { ClassCard, Paused } from '../parts/classcard.js';
import { Connect } from '../parts/connect.js';
import { ago, number, t, when } from '../parts/i18n.js';
import { Problems } from '../parts/mend.js';
import { address } from '../parts/router.js';
import { RuleLine } from '../parts/rules.js';
import { Asked, Card, Data, Empty, Icon, Notice, Page, Table, useAsked, useEvery } from '../parts/ui.js';
import { visible } from '../parts/text.js';
import { Events, Online } from './clients.js';

export default function Home({ who }) {
  return html`<${Page} title=${t('hello', { user: visible(who.user) })}>
    ${who.role === 'Teacher' ? html`<${Teacher} who=${who} />` : html`<${Student} who=${who} />`}
  <//>`;
}

function Teacher({ who }) {
  const asked = useAsked((abort) => get('/classes', {}, { signal: abort }), []);
  useEvery(5000, asked.again);
  return html`<h2>${t('my-classes')}</h2>
    <${Asked} asked=${asked}>${({ items }) => (items.length
      ? html`<div class="class-cards">${items.map((one) => html`<${ClassCard} one=${one} again=${asked.again} key=${one.name} />`)}</div>`
      : html`<div class="card"><${Empty} icon="classes" title=${t('no-classes')}>${t('no-classes-teacher')}<//></div>`)}<//>
    <${Problems} title=${t('last-problems')} named />
    <div class="cards"><${Connect} user=${who.user} /><${MayDo} who=${who} /></div>`;
}

function Student({ who }) {
  const me = useAsked((abort) => get('/me', {}, { signal: abort }), []);
  const clients = useAsked((abort) => get('/clients', { state: 'all', limit: 50 }, { signal: abort }), []);
  useEvery(5000, () => {
    me.again();
    clients.again();
  });
  return html`${me.value?.paused && html`<${Notice} kind="warn">${t('paused-you')}<//>`}
    <${Usage} items=${clients.value?.items} />
    <div class="cards">
      <${MyTopics} me=${me} />
      <${Connect} user=${who.user} />
    </div>
    <${Mine} asked=${clients} />
    <${Problems} title=${t('my-problems')} />
    <div class="cards"><${MayDo} who=${who} /></div>
    <${Last} />`;
}

function Usage({ items = [] }) {
  const sum = (name) => items.reduce((total, one) => total + (one[name] ?? 0), 0);
  const big = (name, value) => html`<div><dt>${name}</dt><dd>${number(value)}</dd></div>`;
  return html`<dl class="numbers">
    ${big(t('my-online'), items.filter((one) => one.connected).length)}
    ${big(t('i-sent'), sum('received'))}
    ${big(t('i-got'), sum('sent'))}
    ${big(t('subscriptions'), sum('subscriptions'))}
    ${big(t('queued'), sum('queued'))}
  </dl>`;
}

// Where a student may play: one's own branch, what the class shares, what the teachers say.
function MyTopics({ me }) {
  return html`<${Card} title=${t('my-topics')}><${Asked} asked=${me} rows=${3}>${({ classes }) => (classes.length
    ? classes.map((one) => html`<div key=${one.name}>
        <h3 class="class-line">${t('class-title', { name: visible(one.name) })} <${Paused} one=${one} /></h3>
        <dl class="topics-list">${['own', 'shared', 'announce'].filter((name) => one.topics[name]).map((name) => html`<div key=${name}>
          <dt><a href=${address('topics', { filter: one.topics[name] })}><bdi class="data">${visible(one.topics[name])}</bdi></a></dt>
          <dd>${t(`mine-${name}`)} ${name !== 'announce' && html`<a href=${address('publish', { topic: one.topics[name].replace('#', 'test') })}>${t('try-it')}</a>`}</dd></div>`)}</dl></div>`)
    : html`<${Empty} icon="classes" title=${t('in-no-class')}>${t('in-no-class-hint')}<//>`)}<//>
    <div class="actions"><a class="button" href=${address('publish')}><${Icon} name="publish" /><span>${t('page-publish')}</span></a><a class="button" href=${address('why')}><${Icon} name="why" /><span>${t('page-why')}</span></a></div>
  <//>`;
}

function Mine({ asked }) {
  return html`<${Card} title=${t('my-clients')}><${Asked} asked=${asked}>${({ items }) => (items.length
    ? html`<${Table} caption=${t('my-clients')} rows=${items} keyOf=${(one) => one.id} columns=${[
        { key: 'client', name: t('client-id'), cell: (one) => html`<${Data} text=${one.client_id} limit=${120} />` },
        { key: 'state', name: t('state'), cell: (one) => html`<${Online} client=${one} />` },
        { key: 'since', name: t('since'), cell: (one) => html`<span title=${when(one.since ?? one.gone_since)}>${ago(one.since ?? one.gone_since)}</span>` },
        { key: 'received', name: t('i-sent'), number: true, cell: (one) => number(one.received) },
        { key: 'sent', name: t('i-got'), number: true, cell: (one) => number(one.sent) },
      ]} />`
    : html`<${Empty} icon="clients" title=${t('no-own-clients')}>${t('no-own-clients-hint')}<//>`)}<//><//>`;
}

function Last() {
  const asked = useAsked((abort) => get('/logs', { limit: 10 }, { signal: abort }), []);
  useEvery(5000, asked.again);
  return html`<${Asked} asked=${asked}>${({ items }) => html`<${Events} events=${items} title=${t('my-events')} />`}<//>`;
}

// All rules that speak of oneself come with any answer of the page of whys.
function MayDo({ who }) {
  const asked = useAsked((abort) => post('/rules/check', { user: who.user, action: 'publish', topic: who.user }, { signal: abort }), []);
  return html`<${Card} title=${t('may-do')}><${Asked} asked=${asked} rows=${3}>${({ considered }) => (considered?.length
    ? html`<ul class="attention">${considered.map(({ rule }) => html`<li key=${rule.id}><${RuleLine} rule=${rule} /></li>`)}</ul><p class="hint">${t('may-do-rest')}</p>`
    : html`<${Empty} icon="rules" title=${t('may-do-nothing')} />`)}<//><//>`;
}
