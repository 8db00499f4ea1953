// The home of those who do not run the broker: their data, their clients, what happened to them last.
import { html } from '../vendor/preact.js';
import { get, post } from '../parts/api.js';
import { ago, number, t, when } from '../parts/i18n.js';
import { address } from '../parts/router.js';
import { RuleLine } from '../parts/rules.js';
import { roleName } from '../parts/shell.js';
import { Asked, Card, Data, Empty, Facts, Icon, Page, Table, useAsked, useEvery } from '../parts/ui.js';
import { visible } from '../parts/text.js';
import { Events, Online } from './clients.js';
import { Numbers } from './overview.js';

export default function Home({ who }) {
  return html`<${Page} title=${t('hello', { user: visible(who.user) })}>
    ${who.role === 'Teacher' && html`<${Numbers} whole=${false} />`}
    <div class="cards">
      <${Card} title=${t('my-login')}><${Facts} facts=${[
        [t('user'), html`<${Data} text=${who.user} />`],
        [t('role'), roleName(who.role)],
        [t('logged-in-since'), html`<span title=${when(who.since)}>${ago(who.since)}</span>`],
        [t('broker-address'), html`<span class="mono">${location.hostname}</span>`],
      ]} />
      <div class="actions"><a class="button" href=${address('publish')}><${Icon} name="publish" /><span>${t('page-publish')}</span></a><a class="button" href=${address('why')}><${Icon} name="why" /><span>${t('page-why')}</span></a></div><//>
      <${MayDo} who=${who} />
    </div>
    <${Mine} />
    <${Last} />
  <//>`;
}

function Mine() {
  const asked = useAsked((abort) => get('/clients', { state: 'all', limit: 50 }, { signal: abort }), []);
  useEvery(5000, asked.again);
  return html`<${Card} title=${t('my-clients')}><${Asked} asked=${asked}>${({ items }) => (items.length
    ? html`<${Table} caption=${t('my-clients')} rows=${items} keyOf=${(one) => one.id} columns=${[
        { key: 'client', name: t('client-id'), cell: (one) => html`<${Data} text=${one.client_id} limit=${120} />` },
        { key: 'state', name: t('state'), cell: (one) => html`<${Online} client=${one} />` },
        { key: 'since', name: t('since'), cell: (one) => html`<span title=${when(one.since ?? one.gone_since)}>${ago(one.since ?? one.gone_since)}</span>` },
        { key: 'received', name: t('received'), number: true, cell: (one) => number(one.received) },
        { key: 'sent', name: t('sent'), number: true, cell: (one) => number(one.sent) },
      ]} />`
    : html`<${Empty} icon="clients" title=${t('no-own-clients')}>${t('no-own-clients-hint')}<//>`)}<//><//>`;
}

function Last() {
  const asked = useAsked((abort) => get('/logs', { limit: 15 }, { signal: abort }), []);
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
