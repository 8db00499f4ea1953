// What an event of the log says, in the reader's words. Its numbers never change their meaning.
import { has, number, size, t } from './i18n.js';
import { visible } from './text.js';

export const actions = ['CONNECT', 'DISCONNECT', 'PUBLISH', 'SUBSCRIBE', 'UNSUBSCRIBE', 'ADMIN', 'BROKER'];

export function actionName(action) {
  return has(`action-${action}`) ? t(`action-${action}`) : visible(action);
}

export function topicOf(event) {
  return event.topic ?? event.filter ?? '';
}

export function reasonName(reason) {
  if (reason === undefined || reason === null) return '';
  return has(`reason-${reason}`) ? t(`reason-${reason}`) : null;
}

const said = {
  1: (event) => [`MQTT ${visible(event.version)}`, t(event.encrypted ? 'event-encrypted' : 'event-plain'), t(event.session_present ? 'event-resumed' : 'event-new-session')],
  2: withReason,
  3: withReason,
  4: (event) => [`QoS ${number(event.qos)}`],
  5: withReason,
  6: () => [t('event-unsubscribed')],
  7: (event) => [size(event.size), `QoS ${number(event.qos)}`, event.retain && t('event-retained'), t('event-delivered', { count: event.delivered })],
  8: (event) => [size(event.size), ...withReason(event)],
  9: (event) => [t('event-dropped', { count: event.count }), ...withReason(event)],
  10: (event) => [t('event-session-ended'), ...withReason(event)],
  20: (event) => [administered(visible(event.command), visible(event.target))],
  30: (event) => [t('event-started', { version: visible(event.version) })],
  31: () => [t('event-stopped')],
  33: (event) => [t('event-left-out', { count: event.count })],
};

function administered(command, target) {
  const key = `admin-${command.replaceAll(' ', '-')}`;
  return has(key) ? t(key, { target }) : `${command} ${target}`;
}

function withReason(event) {
  const reason = reasonName(event.reason);
  // A reason that these words do not know yet is told in the broker's.
  if (reason === null) return [visible(event.text)];
  return [reason, event.rule && t('event-rule', { rule: String(event.rule) }), event.detail && visible(event.detail)];
}

export function messageOf(event) {
  const parts = said[event.event]?.(event);
  const message = parts ? parts.filter(Boolean).join(' · ') : visible(event.text ?? '');
  return message.length > 600 ? `${message.slice(0, 600)}…` : message;
}

// Refused for want of a permission: the page of whys can tell which rule decides.
export function whyQuery(event) {
  const action = { 5: 'subscribe', 8: 'publish' }[event.event];
  if (!action) return null;
  return { user: event.user, client: event.client, action, topic: topicOf(event) };
}
