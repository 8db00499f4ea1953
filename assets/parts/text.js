// Text from strangers made visible: what would reorder, hide or break a line is shown as a symbol.

// The ranges of the broker's own `audit::visible`.
const hidden =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb]|[\u{e0000}-\u{e0fff}]|[\ufffe\uffff]|[\ud800-\udfff]/gu;

function symbol(character) {
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return '␡';
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
}

export function visible(text) {
  return String(text).replace(hidden, symbol);
}

// For payloads: line breaks and tabs stay what they are.
export function visibleLines(text) {
  return String(text).replace(hidden, (character) => (character === '\n' || character === '\t' ? character : symbol(character)));
}

// A long value, cut with a mark.
export function short(text, length = 200) {
  const shown = visible(text);
  return shown.length > length ? `${shown.slice(0, length)}…` : shown;
}

export function bytesOfBase64(base64) {
  const binary = atob(base64 ?? '');
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

export function base64OfBytes(bytes) {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

export function base64UrlOfText(text) {
  return base64OfBytes(new TextEncoder().encode(text)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

// The text that the bytes are, or null if they are none.
export function textOfBytes(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
