// How the broker is set up, and where each value comes from. Secrets are left out by the broker.
import { html, useState } from '../vendor/preact.js';
import { get } from '../parts/api.js';
import { t } from '../parts/i18n.js';
import { Asked, Badge, Check, Data, Empty, Input, Page, Table, useAsked } from '../parts/ui.js';
import { visible } from '../parts/text.js';

export default function Settings() {
  const asked = useAsked(async (abort) => (await get('/settings', {}, { signal: abort })).items, []);
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
            { key: 'source', name: t('source'), cell: (one) => (isDefault(one) ? html`<span class="muted">${t('source-default')}</span>` : html`<${Badge} kind="info">${visible(one.source)}<//>`) },
          ]} />`
        : html`<${Empty} icon="settings" title=${t('no-settings-found')} />`;
    }}<//>
  <//>`;
}

function isDefault(one) {
  return one.source === 'default';
}
