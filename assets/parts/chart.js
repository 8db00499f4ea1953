// A chart over time, with its story in words beside it for those who cannot see it.
import { html, useEffect, useRef } from '../vendor/preact.js';
import { language, number, rate, t } from './i18n.js';

let library;

function load() {
  library ??= import('../vendor/uplot.js').then((loaded) => {
    const sheet = document.createElement('link');
    sheet.rel = 'stylesheet';
    sheet.href = new URL('../vendor/uplot.css', import.meta.url);
    document.head.append(sheet);
    return loaded.default;
  });
  return library;
}

const dashes = [undefined, [6, 3], [2, 3], [8, 3, 2, 3], [12, 4]];
const height = 200;
// Of what is counted there is no half.
const wholeSteps = [1, 2, 5].flatMap((digit) => Array.from({ length: 7 }, (_, zeros) => digit * 10 ** zeros)).sort((one, other) => one - other);
const shortSpan = 300; // seconds, below which the minutes of the ticks would be the same

function timeOfDay(at, withSeconds) {
  return new Date(at * 1000).toLocaleTimeString(language.value, { hour: '2-digit', minute: '2-digit', second: withSeconds ? '2-digit' : undefined, hourCycle: 'h23' });
}

// `series` is [{name, values}], at most five; `times` are seconds. `colours` changes with the theme.
export function Chart({ title, times, series, colours, unit = '', whole = false }) {
  const place = useRef();
  const chart = useRef();
  const data = [times, ...series.map(({ values }) => values)];
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    let ended = false;
    let watch;
    load().then((UPlot) => {
      if (ended || !place.current) return;
      const style = getComputedStyle(document.documentElement);
      const colour = (name) => style.getPropertyValue(name).trim();
      const axis = { stroke: colour('--muted'), grid: { stroke: colour('--grid') || colour('--line'), width: 1 }, ticks: { show: false }, font: `12px ${colour('--sans')}` };
      const made = new UPlot({
        width: place.current.clientWidth,
        height,
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_chart, _low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [
          { ...axis, space: 72, values: (_chart, ticks) => ticks.map((at) => timeOfDay(at, ticks.at(-1) - ticks[0] < shortSpan)) },
          { ...axis, size: 56, incrs: whole ? wholeSteps : undefined, values: (_chart, ticks) => ticks.map((value) => number(value, 1)) },
        ],
        series: [{}, ...series.map(({ name }, index) => ({ label: name, stroke: colour(`--chart-${index + 1}`), width: 1.5, dash: dashes[index], points: { show: false } }))],
      }, latest.current, place.current);
      made.root.setAttribute('aria-hidden', 'true');
      chart.current = made;
      const frame = place.current;
      watch = new ResizeObserver(() => made.setSize({ width: frame.clientWidth, height }));
      watch.observe(frame);
    });
    return () => {
      ended = true;
      watch?.disconnect();
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [colours, language.value, series.length]);
  useEffect(() => {
    chart.current?.setData(data);
  }, [times, series]);
  const story = series.map(({ name, values }) => {
    const seen = values.filter((value) => value !== null);
    return t('chart-story', { name, now: rate(seen.at(-1) ?? 0) + unit, highest: rate(seen.reduce((most, value) => Math.max(most, value), 0)) + unit });
  });
  return html`<figure class="card">
    <figcaption><h2>${title}</h2></figcaption>
    <div class="chart" ref=${place}></div>
    <ul class="legend">${story.map((words, index) => html`<li key=${index}><${Stroke} index=${index} />${words}</li>`)}</ul>
  </figure>`;
}

function Stroke({ index }) {
  return html`<svg aria-hidden="true" viewBox="0 0 24 8"><line x1="0" y1="4" x2="24" y2="4" stroke=${`var(--chart-${index + 1})`} stroke-width="2" stroke-dasharray=${dashes[index]?.join(' ')} /></svg>`;
}
