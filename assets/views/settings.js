// How the broker is set up, and where each value comes from. Secrets are left out by the broker.
import { html, useState } from '../vendor/preact.js';
import { get } from '../parts/api.js';
import { has, t } from '../parts/i18n.js';
import { Asked, Badge, Check, Data, Empty, Input, Page, Table, useAsked } from '../parts/ui.js';
import { visible } from '../parts/text.js';

export default function Settings() {
  const asked = useAsked(async (abort) => listOf(await get('/settings', {}, { signal: abort })), []);
  const [search, setSearch] = useState('');
  const [changed, setChanged] = useState(false);
  return html`<${Page} title=${t('page-settings')} lead=${t('settings-lead')}>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Input} label=${t('search-settings')} type="search" mono value=${search} onValue=${setSearch} data-search />
      <${Check} label=${t('only-changed')} checked=${changed} onValue=${setChanged} />
    </form>
    <${Asked} asked=${asked} rows=${10}>${(all) => {
      const shown = all.filter((one) => one.key.includes(search.trim()) && (!changed || !isDefault(one)));
      return shown.length
        ? html`<${Table} caption=${t('page-settings')} rows=${shown} keyOf=${(one) => one.key} columns=${[
            { key: 'key', name: t('option'), cell: (one) => html`<${Data} text=${one.key} />` },
            { key: 'value', name: t('value'), cell: (one) => html`<${Data} text=${typeof one.value === 'string' ? one.value : JSON.stringify(one.value)} />` },
            { key: 'source', name: t('source'), cell: (one) => (isDefault(one) ? html`<span class="muted">${t('source-default')}</span>` : html`<${Badge} kind="info">${sourceName(one.source)}<//>`) },
          ]} />`
        : html`<${Empty} icon="settings" title=${t('no-settings-found')} />`;
    }}<//>
  <//>`;
}

// A list of options, or an object of them.
function listOf(answer) {
  const items = answer.items ?? answer.settings ?? answer;
  if (Array.isArray(items)) return items.map((one) => ({ ...one, key: one.key ?? one.name ?? one.option }));
  return Object.entries(items).map(([key, one]) => (one && typeof one === 'object' && 'value' in one ? { key, ...one } : { key, value: one, source: 'default' }));
}

function isDefault(one) {
  return String(one.source).toLowerCase().startsWith('default');
}

function sourceName(source) {
  const name = typeof source === 'string' ? source : JSON.stringify(source);
  return has(`source-${name}`) ? t(`source-${name}`) : visible(name);
}
