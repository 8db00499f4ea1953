// How the broker is: numbers, the last hours, and what needs somebody.
import { html, useState } from '../vendor/preact.js';
import { get } from '../parts/api.js';
import { Chart } from '../parts/chart.js';
import { reasonName } from '../parts/events.js';
import { duration, has, milliseconds, number, rate, size, t } from '../parts/i18n.js';
import { setQuery } from '../parts/router.js';
import { Asked, Badge, Card, Empty, Facts, Page, Tabs, useAsked, useEvery } from '../parts/ui.js';
import { visible } from '../parts/text.js';

const ranges = ['15m', '1h', '24h'];

export default function Overview({ query, colours }) {
  return html`<${Page} title=${t('page-overview')} actions=${html`<${Range} query=${query} />`}>
    <${Numbers} between=${html`<${History} range=${rangeOf(query)} colours=${colours} />`} />
  <//>`;
}

function rangeOf(query) {
  return ranges.includes(query.range) ? query.range : '15m';
}

function Range({ query }) {
  return html`<${Tabs} label=${t('range')} value=${rangeOf(query)} options=${ranges.map((name) => [name, t(`range-${name}`)])} onValue=${(name) => setQuery({ range: name })} />`;
}

// Also the middle of a teacher's home.
export function Numbers({ whole = true, between }) {
  const asked = useAsked((abort) => get('/overview', {}, { signal: abort }), []);
  useEvery(2000, asked.again);
  return html`<${Asked} asked=${asked}>${(now) => html`
    <${Attention} items=${now.attention ?? []} />
    <dl class="numbers">
      <${Big} name=${t('connections')} value=${number(now.connections)} more=${t('sessions-count', { count: now.sessions ?? 0 })} />
      <${Big} name=${t('received')} value=${rate(now.received_per_s)} more=${`${t('per-second')} · ${size(now.bytes_in_per_s)}/s`} />
      <${Big} name=${t('sent')} value=${rate(now.sent_per_s)} more=${`${t('per-second')} · ${size(now.bytes_out_per_s)}/s`} />
      <${Big} name=${t('subscriptions')} value=${number(now.subscriptions)} />
      <${Big} name=${t('retained')} value=${number(now.retained)} />
      <${Big} name=${t('dropped')} value=${number(now.drops.reduce((total, { count }) => total + count, 0))} more=${t('since-start')} />
    </dl>
    ${between}
    ${whole && html`<div class="cards">
      <${Card} title=${t('broker')}><${Facts} facts=${[
        [t('uptime'), duration(now.uptime_s)],
        [t('workers'), number(now.workers)],
        [t('memory'), size(now.rss_bytes)],
        [t('store'), size(now.store_bytes)],
        [t('commit-p50'), milliseconds(now.commit_ms_p50)],
        [t('commit-p99'), milliseconds(now.commit_ms_p99)],
        [t('queued'), number(now.queued)],
      ]} /><//>
      <${Dropped} drops=${now.drops} />
    </div>`}`}<//>`;
}

function Big({ name, value, more = '' }) {
  return html`<div><dt>${name}</dt><dd>${value}<small>${more}</small></dd></div>`;
}

function Dropped({ drops }) {
  const listed = drops.filter(({ count }) => count > 0).sort((one, other) => other.count - one.count);
  return html`<${Card} title=${t('dropped-by-reason')}>
    ${listed.length
      ? html`<${Facts} facts=${listed.map(({ reason, count }) => [reasonName(reason) ?? `${t('reason')} ${reason}`, number(count)])} />`
      : html`<${Empty} icon="check" title=${t('nothing-dropped')} />`}
  <//>`;
}

const kinds = { error: 'danger', critical: 'danger', danger: 'danger', warning: 'warn', warn: 'warn', info: 'info' };

function Attention({ items }) {
  if (!items.length) return html`<p><${Badge} kind="ok">${t('all-well')}<//></p>`;
  return html`<${Card} title=${t('attention')}><ul class="attention">${items.map((item) => html`<li key=${item.code + item.text}>
    <${Badge} kind=${kinds[item.level] ?? 'warn'}>${t(`level-${kinds[item.level] ?? 'warn'}`)}<//>
    <span>${has(`attention-${item.code}`) ? t(`attention-${item.code}`, { name: visible(item.name ?? ''), count: item.days_left ?? 0 }) : visible(item.text)}</span></li>`)}</ul><//>`;
}

function History({ range, colours }) {
  const [held, setHeld] = useState(null);
  const asked = useAsked(async (abort) => {
    const history = await get('/overview/history', { range }, { signal: abort });
    setHeld(history);
    return history;
  }, [range]);
  useEvery(range === '15m' ? 2000 : 10_000, asked.again);
  return html`<${Asked} asked=${{ ...asked, value: asked.value && (held ?? asked.value) }} rows=${6}>${({ step_s: step, from, series }) => {
    const length = Math.max(0, ...Object.values(series).map((values) => values.length));
    const times = Array.from({ length }, (_, index) => from / 1000 + index * step);
    const line = (key) => ({ name: t(key), values: series[key] ?? [] });
    return html`<div class="charts">
      <${Chart} title=${t('chart-messages')} times=${times} series=${[line('received'), line('sent')]} colours=${colours} unit="/s" />
      <${Chart} title=${t('connections')} times=${times} series=${[line('connections')]} whole colours=${colours} />
      ${series.dropped && html`<${Chart} title=${t('dropped')} times=${times} series=${[line('dropped')]} whole colours=${colours} />`}
    </div>`;
  }}<//>`;
}
