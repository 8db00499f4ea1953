// A choice of one's classes, for lists that can be narrowed to one; nothing for who has none.
import { html } from '../vendor/preact.js';
import { get } from './api.js';
import { t } from './i18n.js';
import { Select, useAsked } from './ui.js';
import { short } from './text.js';

export function ClassSelect({ value, onValue }) {
  const asked = useAsked((abort) => get('/classes', {}, { signal: abort }), []);
  const names = (asked.value?.items ?? []).map(({ name }) => name);
  if (!names.length) return null;
  return html`<${Select} label=${t('class')} value=${value} onValue=${onValue} options=${[['', t('all')], ...names.map((name) => [name, short(name, 40)])]} />`;
}
