// A QR code, drawn as one path: black on white in every theme, because cameras want it so.
import { html, useMemo } from '../vendor/preact.js';
import { correction, generate } from '../vendor/qr.js';

const margin = 4; // modules, as the standard asks

function draw(text) {
  let code;
  try {
    code = generate(text, { minCorrectionLevel: correction.M });
  } catch {
    return null; // longer than any code can hold
  }
  let path = '';
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) path += `M${x} ${y}h1v1h-1z`;
  }
  return { size: code.size, path };
}

export function Qr({ text, label }) {
  const drawn = useMemo(() => draw(text), [text]);
  if (!drawn) return null;
  const whole = drawn.size + 2 * margin;
  return html`<svg class="qr" role="img" aria-label=${label} viewBox=${`${-margin} ${-margin} ${whole} ${whole}`} shape-rendering="crispEdges">
    <rect x=${-margin} y=${-margin} width=${whole} height=${whole} fill="#fff" /><path d=${drawn.path} fill="#000" /></svg>`;
}
