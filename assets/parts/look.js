// How the pages look where the configuration says so: an accent colour, made readable in every theme, and a logo.
import { effect, signal } from '../vendor/preact.js';
import { get } from './api.js';
import { colours } from './theme.js';

export const look = signal({ accent: null, logo: null });

// Asked for before the first page is shown, so that it does not change its colours; without an answer ours are right.
export async function learnLook() {
  const said = await get('/look').catch(() => look.value);
  if (said.accent) await import('./accent.js').catch(() => {});
  look.value = said;
}

const named = ['--accent', '--on-accent', '--focus', '--tint', '--chart-1'];

effect(() => {
  const theme = colours();
  const { accent } = look.value;
  const root = document.documentElement;
  for (const name of named) root.style.removeProperty(name);
  if (accent) import('./accent.js').then(({ accentTokens }) => accent === look.value.accent && theme === colours() && paint(root, accentTokens, accent, theme));
});

function paint(root, accentTokens, accent, theme) {
  const style = getComputedStyle(root);
  const grounds = ['--card', '--page', '--raised'].map((name) => style.getPropertyValue(name).trim());
  const tokens = accentTokens(accent, { grounds, least: theme === 'contrast' ? 7 : 4.5 });
  for (const [name, value] of Object.entries(tokens)) root.style.setProperty(name, value);
}
