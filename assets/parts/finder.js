// What is found everywhere at once: pages, clients, users, classes, topics and rules, each as a link with a word of what it is.
import { get } from './api.js';
import { has, t } from './i18n.js';
import { pagesOf, titleKey } from './pages.js';
import { address } from './router.js';
import { subjectKey, subjectName, accessOf, denies } from './rules.js';
import { short } from './text.js';

const most = 6; // of each kind
const topicPages = 4; // of 500 retained messages, whose names are searched here
const wildcards = /[+#]/;

const contains = (text, term) => text.toLowerCase().includes(term.toLowerCase());

// The finder of one opening of the search: what is fetched as a whole is fetched once.
export class Finder {
  constructor({ role }) {
    this.role = role;
    this.fetched = new Map();
  }

  once(name, ask) {
    if (!this.fetched.has(name)) this.fetched.set(name, ask());
    return this.fetched.get(name);
  }

  // The kinds that this user may search, and how.
  kinds() {
    const admin = this.role === 'Admin';
    return [
      { kind: 'pages', icon: 'right', find: (term) => this.pages(term) },
      { kind: 'clients', icon: 'clients', find: (term, abort) => this.clients(term, abort) },
      { kind: 'users', icon: 'users', is: admin, find: (term, abort) => this.users(term, abort) },
      { kind: 'classes', icon: 'classes', is: this.role !== 'Student', find: (term) => this.classes(term) },
      { kind: 'topics', icon: 'topics', find: (term, abort) => this.topics(term, abort) },
      { kind: 'rules', icon: 'rules', is: admin, find: (term) => this.rules(term) },
      { kind: 'log', icon: 'log', find: (term) => [{ key: 'text', label: t('find-in-log', { text: short(term, 60) }), href: address('log', { text: term }) }] },
    ].filter(({ is }) => is !== false);
  }

  pages(term) {
    const offered = pagesOf(this.role).filter((page) => contains(t(titleKey(page)), term));
    return offered.slice(0, most).map((page) => ({ key: page.path, label: t(titleKey(page)), href: address(page.path ? [page.path] : []) }));
  }

  async clients(term, abort) {
    const { items } = await get('/clients', { search: term, state: 'all', limit: most }, { signal: abort });
    return items.map((one) => ({ key: one.id, label: short(one.client_id, 80), more: [one.user && short(one.user, 40), t(one.connected ? 'online' : 'offline')].filter(Boolean).join(' · '), href: address(this.role === 'Student' ? 'log' : ['clients', one.id], this.role === 'Student' ? { client: one.client_id } : {}) }));
  }

  async users(term, abort) {
    const { items } = await get('/users', { search: term, limit: most }, { signal: abort });
    return items.map((user) => ({ key: user.name, label: short(user.name, 80), more: has(`role-${user.role}`) ? t(`role-${user.role}`) : short(user.role, 40), href: address('users', { search: user.name }) }));
  }

  async classes(term) {
    const { items } = await this.once('classes', () => get('/classes'));
    return items.filter(({ name }) => contains(name, term)).slice(0, most).map(({ name, students }) => ({ key: name, label: short(name, 80), more: t('students-count', { count: students?.length ?? 0 }), href: address(['classes', name]) }));
  }

  // A term with wildcards is a filter; any other is looked for in the names of what is retained, and may be a topic itself.
  async topics(term, abort) {
    if (wildcards.test(term)) {
      const { items } = await get('/retained', { filter: term, limit: most }, { signal: abort });
      return [{ key: `filter ${term}`, label: short(term, 80), more: t('filter'), href: address('topics', { filter: term }) }, ...this.topicLinks(items)];
    }
    const names = await this.once('topics', () => this.retained());
    return [...this.topicLinks(names.filter(({ topic }) => contains(topic, term) && topic !== term)), ...this.topicLinks([{ topic: term }])].slice(-most);
  }

  topicLinks(items) {
    return items.slice(0, most - 1).map(({ topic, size }) => ({ key: topic, label: short(topic, 80), more: t(size === undefined ? 'topic' : 'retained'), href: address('topics', { topic }) }));
  }

  async retained() {
    const found = [];
    let cursor;
    for (let turn = 0; turn < topicPages; turn += 1) {
      const page = await get('/retained', { filter: '#', limit: 500, cursor });
      found.push(...page.items);
      cursor = page.next;
      if (!cursor) break;
    }
    return found;
  }

  async rules(term) {
    const answer = await this.once('rules', () => get('/rules', { limit: 500 }));
    const rules = (answer.items ?? answer).filter((rule) => contains(rule.topic, term) || contains(subjectName(rule), term) || String(rule.id) === term);
    return rules.slice(0, most).map((rule) => ({ key: String(rule.id), label: `${subjectName(rule)} ${t(denies(rule) ? 'denies' : 'allows')} ${accessOf(rule)} ${short(rule.topic, 60)}`, more: `${t('rule-number')} ${rule.id}`, href: address('rules', { subject: subjectKey(rule), search: rule.topic }) }));
  }
}
