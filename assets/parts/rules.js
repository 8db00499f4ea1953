// A rule in words, the same wherever one is shown.
import { html } from '../vendor/preact.js';
import { t } from './i18n.js';
import { roleName } from './shell.js';
import { Badge } from './ui.js';
import { visible } from './text.js';

export function subjectOf(rule) {
  return rule.subject ?? { user: rule.user, role: rule.role };
}

export function subjectKey(rule) {
  const { user, role } = subjectOf(rule);
  return user ? `user:${user}` : `role:${role}`;
}

export function subjectName(rule) {
  const { user, role } = subjectOf(rule);
  return user ? t('subject-user', { name: visible(user) }) : t('subject-role', { name: roleName(role) });
}

export function denies(rule) {
  return String(rule.effect).toLowerCase() === 'deny';
}

export function accessOf(rule) {
  const may = { publish: rule.publish ?? rule.access?.includes('publish'), subscribe: rule.subscribe ?? rule.access?.includes('subscribe') };
  if (may.publish && may.subscribe) return t('publish-and-subscribe');
  return t(may.publish ? 'publish' : 'subscribe');
}

export function Effect({ rule }) {
  return denies(rule) ? html`<${Badge} kind="danger">${t('denies')}<//>` : html`<${Badge} kind="ok">${t('allows')}<//>`;
}

export function RuleLine({ rule }) {
  return html`<span>${subjectName(rule)} <${Effect} rule=${rule} /> ${accessOf(rule)} <bdi class="data">${visible(rule.topic)}</bdi></span>`;
}
