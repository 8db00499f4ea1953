// Which colours: the system's, or the one that was chosen here.
import { effect, signal } from '../vendor/preact.js';
import { recall, remember } from './memory.js';

export const themes = ['system', 'light', 'dark', 'contrast'];

const kept = recall('theme');
export const theme = signal(themes.includes(kept) ? kept : 'system');

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  remember('theme', theme.value);
});

const darkSystem = matchMedia('(prefers-color-scheme: dark)');
const systemIsDark = signal(darkSystem.matches);
darkSystem.addEventListener('change', () => {
  systemIsDark.value = darkSystem.matches;
});

// Changes whenever the colours do: what draws on a canvas reads it to draw again.
export function colours() {
  if (theme.value === 'system') return systemIsDark.value ? 'dark' : 'light';
  return theme.value;
}
