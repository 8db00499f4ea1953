// A payload as text, as JSON or as bytes, each shown as nothing but characters.
import { html, useState } from '../vendor/preact.js';
import { size, t } from './i18n.js';
import { Button, Tabs, copy } from './ui.js';
import { bytesOfBase64, textOfBytes, visibleLines } from './text.js';

const most = 16_384;

export function bytesOf(message) {
  const base64 = message.payload_b64 ?? message.payload;
  if (typeof base64 === 'string') return bytesOfBase64(base64);
  return new TextEncoder().encode(message.text ?? '');
}

function jsonOf(text) {
  if (!text || !/^\s*[[{]/.test(text)) return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

function hexOf(bytes) {
  const lines = [];
  for (let start = 0; start < bytes.length; start += 16) {
    const row = [...bytes.slice(start, start + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ').padEnd(47);
    const plain = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·')).join('');
    lines.push(`${start.toString(16).padStart(6, '0')}  ${hex}  ${plain}`);
  }
  return lines.join('\n');
}

export function Payload({ message }) {
  const [chosen, setChosen] = useState(null);
  const bytes = bytesOf(message);
  const cut = bytes.slice(0, most);
  const text = textOfBytes(bytes);
  const json = jsonOf(text);
  const views = [text !== null && ['text', t('text')], json !== null && ['json', 'JSON'], ['hex', t('hex')]].filter(Boolean);
  const usual = json !== null ? 'json' : text !== null ? 'text' : 'hex';
  const view = views.some(([name]) => name === chosen) ? chosen : usual;
  const shown = { text: () => visibleLines(text.slice(0, most)), json: () => visibleLines(json.slice(0, most)), hex: () => hexOf(cut) }[view]();
  return html`<div class="actions"><${Tabs} label=${t('view')} value=${view} options=${views} onValue=${setChosen} />
      <span class="muted">${size(message.size ?? bytes.length)}</span>
      ${text !== null && html`<${Button} kind="quiet" icon="copy" label=${t('copy')} onClick=${() => copy(text)} />`}</div>
    ${bytes.length ? html`<pre class="payload" tabindex="0" aria-label=${t('payload')}>${shown}</pre>` : html`<p class="muted">${t('payload-empty')}</p>`}
    ${(message.size ?? bytes.length) > Math.min(most, bytes.length) && html`<p class="hint">${t('payload-cut', { size: size(most) })}</p>`}`;
}

// One line of it, for lists.
export function payloadLine(message, length = 120) {
  const bytes = bytesOf(message);
  const text = textOfBytes(bytes.slice(0, length * 4)) ?? textOfBytes(bytes);
  if (text === null) return `${[...bytes.slice(0, 24)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}${bytes.length > 24 ? '…' : ''}`;
  const line = visibleLines(text).replace(/\s+/g, ' ');
  return line.length > length ? `${line.slice(0, length)}…` : line;
}
