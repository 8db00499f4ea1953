// A class at a glance: how many of its students are connected, their last problem, and the way to pause it.
import { html, useState } from '../vendor/preact.js';
import { get, post, segment } from './api.js';
import { t } from './i18n.js';
import { address } from './router.js';
import { Badge, Button, Icon, Problem, say, useAsked, useRefresh } from './ui.js';
import { short, visible } from './text.js';

const mostClients = 500; // of a class, asked for in one go

// Who of a class is connected, by the user.
export function useOnline(name) {
  const asked = useAsked((abort) => get('/clients', { class: name, state: 'all', limit: mostClients }, { signal: abort }), [name]);
  useRefresh(5000, asked.again);
  const states = new Map();
  for (const client of asked.value?.items ?? []) states.set(client.user, states.get(client.user) || client.connected);
  return { asked, states };
}

export function Paused({ one }) {
  return one.paused ? html`<${Badge} kind="warn">${t('class-paused')}<//>` : html`<${Badge} kind="ok">${t('class-running')}<//>`;
}

// Students of a paused class stay connected and hear, but publish nothing.
export function PauseButton({ one, done }) {
  const turn = async () => {
    try {
      await post(`/classes/${segment(one.name)}/${one.paused ? 'resume' : 'pause'}`);
      say(t(one.paused ? 'class-resumed' : 'class-was-paused'));
    } catch (refusal) {
      done(refusal);
      return;
    }
    done(null);
  };
  return html`<${Button} icon=${one.paused ? 'play' : 'pause'} aria-label=${t(one.paused ? 'resume-class' : 'pause-class', { name: visible(one.name) })} onClick=${turn}>${t(one.paused ? 'resume' : 'pause')}<//>`;
}

// One of the classes that one teaches, at a glance.
export function ClassCard({ one, again }) {
  const { asked, states } = useOnline(one.name);
  const [refusal, setRefusal] = useState(null);
  const students = one.students ?? [];
  const online = students.filter((name) => states.get(name)).length;
  const failed = useAsked((abort) => get('/logs', { class: one.name, failed: true, limit: 1 }, { signal: abort }), [one.name]);
  useRefresh(5000, failed.again);
  const last = failed.value?.items[0];
  return html`<section class="card class-card">
    <header><h2><a href=${address(['classes', one.name])}>${short(one.name, 60)}</a></h2><${Paused} one=${one} /></header>
    <p class="class-count"><b>${asked.value ? online : '–'}</b> ${t('of-students-online', { count: students.length })}</p>
    <p class="muted small">${last ? t('last-problem', { user: short(last.user ?? '–', 40), what: short(last.topic ?? last.text ?? '', 60) }) : t('no-problems')}</p>
    ${refusal && html`<${Problem} refusal=${refusal} />`}
    <div class="actions">
      <a class="button" href=${address(['classes', one.name])}><${Icon} name="users" /><span>${t('open')}</span></a>
      <a class="button" href=${address('topics', { filter: one.topics.all })}><${Icon} name="topics" /><span>${t('page-topics')}</span></a>
      <${PauseButton} one=${one} done=${(problem) => { setRefusal(problem); again(); }} />
    </div>
  </section>`;
}
