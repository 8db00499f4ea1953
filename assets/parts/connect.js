// How a board gets to the broker: the address, the name, and whom it trusts; in words, and as a code for a camera.
import { html } from '../vendor/preact.js';
import { get } from './api.js';
import { Download } from './download.js';
import { t } from './i18n.js';
import { Qr } from './qr.js';
import { Asked, Button, Card, Data, Facts, Notice, copy, useAsked } from './ui.js';
import { visible } from './text.js';

const anywhere = ['0.0.0.0', '[::]', ''];
const loopback = /^(localhost|127\.|\[::1\])/;
const safest = ['mqtts', 'wss', 'mqtt', 'ws'];

// The addresses as a device writes them: for one that listens everywhere, the name that this page was found under.
export function addressesOf({ urls }) {
  const parsed = urls.map((url) => url.match(/^(mqtts?|wss?):\/\/(\[[^\]]*\]|[^:/]*)(?::(\d+))?(\/.*)?$/)).filter(Boolean);
  const shown = parsed.map(([, scheme, host, port, path]) => ({ scheme, host: anywhere.includes(host) ? location.hostname : host, port: Number(port) || undefined, path: path ?? '' }));
  return shown.sort((one, other) => safest.indexOf(one.scheme) - safest.indexOf(other.scheme));
}

export function urlOf({ scheme, host, port, path }, user) {
  return `${scheme}://${user ? `${encodeURIComponent(user)}@` : ''}${host}${port ? `:${port}` : ''}${path}`;
}

// What the code says. No password: a picture of it lets nobody in.
function codeOf(how, user) {
  const [best] = addressesOf(how);
  if (!best) return null;
  const encrypted = best.scheme.endsWith('s') && how.authority;
  return `${urlOf(best, user)}${encrypted ? `?ca-sha256=${how.authority.fingerprint.replaceAll(':', '')}` : ''}`;
}

export function useConnect() {
  return useAsked((abort) => get('/connect', {}, { signal: abort }), []);
}

export function ConnectCode({ how, user }) {
  const code = codeOf(how, user);
  return code && html`<${Qr} text=${code} label=${t('connect-code')} />`;
}

export function Connect({ user }) {
  const asked = useConnect();
  return html`<${Card} title=${t('connect-board')}><${Asked} asked=${asked}>${(how) => html`<${How} how=${how} user=${user} />`}<//><//>`;
}

function How({ how, user }) {
  const addresses = addressesOf(how);
  if (!addresses.length) return html`<p class="muted">${t('connect-nowhere')}</p>`;
  const plain = addresses.every(({ scheme }) => !scheme.endsWith('s'));
  return html`<div class="connect">
    <${Facts} facts=${[
      [t('connect-address'), addresses.map((one) => html`<span class="mono" key=${urlOf(one)}>${urlOf(one)}<br /></span>`)],
      [t('user'), user ? html`<${Data} text=${user} />` : t('connect-user')],
      [t('password'), t('connect-password')],
      how.authority && [t('connect-fingerprint'), html`<span class="mono small">${visible(how.authority.fingerprint)}</span>`],
    ].filter(Boolean)} />
    <${ConnectCode} how=${how} user=${user} />
  </div>
  ${addresses.every(({ host }) => loopback.test(host)) && html`<${Notice}>${t('connect-loopback')}<//>`}
  ${plain && html`<${Notice} kind="warn">${t('connect-plain')}<//>`}
  <div class="actions">
    ${how.authority && html`<${Download} name="ca.crt" text=${how.authority.certificate}>${t('connect-ca')}<//>`}
    <${Button} kind="quiet" icon="copy" onClick=${() => copy(urlOf(addresses[0]))}>${t('connect-copy')}<//>
  </div>`;
}
