// How much happened when, above the log: a bar for each span of time, what failed at its foot. A bar zooms in.
import { html, useRef, useState } from '../vendor/preact.js';
import { get } from './api.js';
import { clock, day, t } from './i18n.js';
import { setQuery } from './router.js';
import { Button, useAsked, useEvery } from './ui.js';

const bars = 60;
const every = 60_000; // the broker reads the log for it

// As the fields for times of the page hold them: of this place, to the second.
function localTime(at) {
  const time = new Date(at);
  return new Date(at - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

export function Histogram({ filters, zoomed }) {
  const asked = useAsked((abort) => get('/logs/histogram', { ...filters, buckets: bars }, { signal: abort }), [JSON.stringify(filters)]);
  useEvery(every, asked.again);
  const [at, setAt] = useState(0);
  const place = useRef();
  if (!asked.value) return html`<div class="histogram"></div>`;
  const { from, step_ms: step, buckets, complete } = asked.value;
  const highest = Math.max(1, ...buckets.map(({ ok, failed }) => ok + failed));
  const total = buckets.reduce((sum, { ok, failed }) => sum + ok + failed, 0);
  const zoom = (index) => setQuery({ since: localTime(from + index * step), until: localTime(Math.ceil((from + (index + 1) * step) / 1000) * 1000) });
  const move = (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -buckets.length, End: buckets.length };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    const next = Math.min(Math.max(0, at + steps[event.key]), buckets.length - 1);
    setAt(next);
    place.current.children[next].focus();
  };
  const name = ({ ok, failed }, index) => t('histogram-bar', { from: clock(from + index * step).slice(0, 8), until: clock(from + (index + 1) * step).slice(0, 8), count: ok + failed, failed });
  return html`<div class="histogram">
    <div class="bars" role="group" aria-label=${t('histogram', { count: total })} ref=${place} onKeyDown=${move}>
      ${buckets.map((bar, index) => html`<button type="button" key=${index} tabindex=${index === at ? 0 : -1} aria-label=${name(bar, index)} title=${name(bar, index)} onClick=${() => zoom(index)}>
        <i class="ok" style=${{ height: `${(100 * bar.ok) / highest}%` }}></i><i class="failed" style=${{ height: `${(100 * bar.failed) / highest}%` }}></i></button>`)}
    </div>
    <p class="muted small"><span>${day(from)} ${clock(from).slice(0, 8)}</span>
      ${!complete && html`<span>${t('histogram-cut')}</span>`}
      ${zoomed && html`<${Button} kind="quiet small" icon="cross" onClick=${() => setQuery({ since: '', until: '' })}>${t('zoom-out')}<//>`}
      <span>${clock(from + buckets.length * step).slice(0, 8)}</span></p>
  </div>`;
}
