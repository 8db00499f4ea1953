// Why may somebody do something, or why not: the same question that the broker asks, with the rule that decides.
import { html, useEffect, useState } from '../vendor/preact.js';
import { get, post } from '../parts/api.js';
import { reasonName } from '../parts/events.js';
import { has, t } from '../parts/i18n.js';
import { setQuery } from '../parts/router.js';
import { RuleLine, denies, subjectOf } from '../parts/rules.js';
import { roleName } from '../parts/shell.js';
import { Badge, Card, Empty, Form, Icon, Input, Page, Problem, Select, Tabs, useAsked } from '../parts/ui.js';
import { visible } from '../parts/text.js';

export default function Why({ who, query }) {
  const admin = who.role === 'Admin';
  const [kind, setKind] = useState(query.role ? 'role' : 'user');
  const [user, setUser] = useState(admin ? (query.user ?? '') : who.user);
  const [role, setRole] = useState(query.role ?? 'Student');
  const [client, setClient] = useState(query.client ?? '');
  const [action, setAction] = useState(query.action ?? 'publish');
  const [topic, setTopic] = useState(query.topic ?? '');
  const [answer, setAnswer] = useState(null);
  const [refusal, setRefusal] = useState(null);
  const people = useAsked((abort) => (admin ? get('/users', { limit: 200 }, { signal: abort }) : Promise.resolve({ items: [] })), []);
  const roles = useAsked((abort) => (admin ? get('/roles', {}, { signal: abort }) : Promise.resolve([])), []);
  const names = (roles.value?.items ?? roles.value ?? []).map(({ name }) => name);
  const ask = async () => {
    const subject = kind === 'role' && admin ? { role } : { user };
    setQuery({ user: subject.user, role: subject.role, client, action, topic });
    setRefusal(null);
    try {
      const question = { ...subject, client_id: client || undefined, action, topic };
      setAnswer({ ...(await post('/rules/check', question)), question });
    } catch (problem) {
      setAnswer(null);
      setRefusal(problem);
    }
  };
  useEffect(() => {
    if (query.topic && query.action && (query.user || query.role)) ask();
  }, []);
  return html`<${Page} title=${t('page-why')} lead=${t(admin ? 'why-lead' : 'why-lead-own')}>
    <${Card}>
      <${Form} submit=${t('ask')} icon="why" onSubmit=${ask}>
        ${admin && html`<div><${Tabs} label=${t('subject')} value=${kind} options=${[['user', t('user')], ['role', t('role')]]} onValue=${setKind} /></div>`}
        <div class="columns">
          ${admin && kind === 'user' && html`<${Input} label=${t('user')} value=${user} onValue=${setUser} list="people" required />
            <datalist id="people">${(people.value?.items ?? []).map(({ name }) => html`<option value=${name} key=${name} />`)}</datalist>`}
          ${admin && kind === 'role' && html`<${Select} label=${t('role')} value=${role} onValue=${setRole} options=${names.map((name) => [name, roleName(name)])} />`}
          <${Select} label=${t('wants-to')} value=${action} onValue=${setAction} options=${[['publish', t('publish')], ['subscribe', t('subscribe')]]} />
          <${Input} label=${t(action === 'publish' ? 'topic' : 'filter')} mono value=${topic} onValue=${setTopic} required data-search />
          <${Input} label=${t('client-id-optional')} mono value=${client} onValue=${setClient} />
        </div>
      <//>
    <//>
    ${refusal && html`<${Problem} refusal=${refusal} />`}
    ${answer && html`<${Answer} answer=${answer} />`}
    ${!answer && !refusal && html`<${Empty} icon="why" title=${t('why-empty')} />`}
  <//>`;
}

function allowed(answer) {
  return answer.verdict === 'allowed';
}

// As the broker asks: the user's own before the role's, and among those of one a denial first.
function inOrder(considered) {
  const rank = ({ rule }) => (subjectOf(rule).user ? 0 : 2) + (denies(rule) ? 0 : 1);
  return [...considered].sort((one, other) => rank(one) - rank(other) || one.rule.id - other.rule.id);
}

function reasonOf(answer) {
  if (!answer.reason) return answer.partly_denied ? t('partly-denied') : '';
  const words = reasonName(answer.reason_number) ?? visible(answer.reason);
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}.`;
}

function Answer({ answer }) {
  const yes = allowed(answer);
  const { question } = answer;
  const deciding = answer.rule;
  const name = question.user ? visible(question.user) : roleName(question.role);
  return html`<div class=${`verdict ${yes ? 'ok' : 'danger'}`} role="status"><${Icon} name=${yes ? 'check' : 'cross'} />
      <div><strong>${t(yes ? 'allowed' : 'denied')}</strong> – ${t(`sentence-${question.action}-${yes ? 'yes' : 'no'}`, { who: name, topic: visible(question.topic) })} ${reasonOf(answer)}</div></div>
    <${Card} title=${t('considered')}>
      <p class="muted">${t('considered-lead')}</p>
      ${answer.considered?.length
        ? html`<ol class="considered">${inOrder(answer.considered).map(({ rule, matches, why }) => html`<li key=${rule.id} class=${rule.id === deciding ? 'decides' : matches ? '' : 'no'}>
            <${Icon} name=${rule.id === deciding ? 'right' : matches ? 'check' : 'dot'} />
            <${RuleLine} rule=${rule} />
            ${rule.id === deciding ? html`<${Badge} kind="info">${t('decides')}<//>` : html`<span class="muted">${t(matches ? 'matches' : 'matches-not')}</span>`}
            <span class="why">${t('rule-number')} ${String(rule.id)}${has(`because-${why}`) ? ` · ${t(`because-${why}`)}` : ''}</span>
          </li>`)}</ol>`
        : html`<${Empty} icon="rules" title=${t('considered-none')} />`}
    <//>`;
}
