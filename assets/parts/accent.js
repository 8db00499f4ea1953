// One's own accent colour, made lighter or darker for each theme until it can be read there (WCAG 2.2 AA and more).

const steps = 40;

function channels(hex) {
  const full = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join('') : hex.slice(1);
  return [0, 2, 4].map((at) => Number.parseInt(full.slice(at, at + 2), 16));
}

const hexOf = (values) => `#${values.map((value) => Math.round(value).toString(16).padStart(2, '0')).join('')}`;

// `share` of the other colour in it.
export function mix(hex, other, share) {
  const [from, to] = [channels(hex), channels(other)];
  return hexOf(from.map((value, index) => value + (to[index] - value) * share));
}

function luminance(hex) {
  const [red, green, blue] = channels(hex).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

// The tokens of a theme that follow the accent: `grounds` are what it is read on, `least` is the contrast that it needs there.
export function accentTokens(accent, { grounds, least }) {
  const end = luminance(grounds[0]) > 0.5 ? '#000000' : '#ffffff';
  let fitting = end;
  for (let step = 0; step <= steps; step += 1) {
    const tried = mix(accent, end, step / steps);
    if (grounds.every((ground) => contrast(tried, ground) >= least)) {
      fitting = tried;
      break;
    }
  }
  const on = contrast('#ffffff', fitting) >= contrast('#000000', fitting) ? '#ffffff' : '#000000';
  return { '--accent': fitting, '--on-accent': on, '--focus': fitting, '--tint': mix(grounds[0], fitting, 0.12), '--chart-1': fitting };
}
