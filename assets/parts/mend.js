// The last problems, each with what helps: for those who build a board and those who help them.
import { html } from '../vendor/preact.js';
import { get } from './api.js';
import { actionName, messageOf, topicOf, whyQuery } from './events.js';
import { ago, has, t, when } from './i18n.js';
import { address } from './router.js';
import { Asked, Badge, Card, Data, Empty, useAsked, useRefresh } from './ui.js';
import { short } from './text.js';

// What to do about a failed event, in words; for a reason without advice, where to read more.
export function mendOf(event) {
  return t(has(`mend-${event.reason}`) ? `mend-${event.reason}` : 'mend-else');
}

// `query` narrows it, for example to a class.
export function Problems({ title, query = {}, named = false, limit = 8 }) {
  const asked = useAsked((abort) => get('/logs', { ...query, failed: true, limit }, { signal: abort }), [JSON.stringify(query)]);
  useRefresh(5000, asked.again);
  return html`<${Card} title=${title} actions=${html`<a href=${address('log', { ...query, failed: 'true' })}>${t('all-in-log')}</a>`}>
    <${Asked} asked=${asked}>${({ items }) => (items.length
      ? html`<ul class="problems">${items.map((event) => html`<${One} event=${event} named=${named} key=${`${event.time}${event.text}`} />`)}</ul>`
      : html`<${Empty} icon="check" title=${t('no-problems')} />`)}<//>
  <//>`;
}

function One({ event, named }) {
  const why = whyQuery(event);
  const topic = topicOf(event);
  return html`<li>
    <div class="problem-what"><${Badge} kind="danger">${actionName(event.action)}<//>
      ${named && event.user && html`<bdi><b>${short(event.user, 40)}</b></bdi>`}
      ${topic && html`<${Data} text=${topic} limit=${80} />`}
      <span class="muted" title=${when(event.time)}>${ago(event.time)}</span></div>
    <p>${messageOf(event)}</p>
    <p class="mend">${mendOf(event)} ${why && html`<a href=${address('why', why)}>${t('why')}</a>`}</p>
  </li>`;
}
