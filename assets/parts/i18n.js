// Words in the reader's language, and numbers and times as that language writes them.
import { signal } from '../vendor/preact.js';
import { recall, remember } from './memory.js';

export const languages = { en: 'English', de: 'Deutsch' };

const preferred = [recall('language'), ...(navigator.languages ?? [])].map((tag) => tag?.slice(0, 2));
export const language = signal(preferred.find((tag) => tag in languages) ?? 'en');

let words = {};
let plural;
const made = new Map();

async function catalogue(name) {
  const answer = await fetch(new URL(`../i18n/${name}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`the words of ${name} cannot be loaded`);
  return answer.json();
}

// Loads the words before anything is shown, and again when the language changes.
export async function speak(name) {
  words = await catalogue(name);
  plural = new Intl.PluralRules(name);
  made.clear();
  document.documentElement.lang = name;
  remember('language', name);
  language.value = name;
}

// The words of that key with its `{values}`; of several forms, the one for `count`.
export function t(key, values) {
  language.value; // whoever shows words is shown again when they change
  let found = words[key] ?? key;
  if (typeof found === 'object') found = found[plural.select(values.count)] ?? found.other;
  if (!values) return found;
  return found.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? number(value) : value;
  });
}

export function has(key) {
  return key in words;
}

function format(kind, options) {
  const key = kind.name + JSON.stringify(options);
  if (!made.has(key)) made.set(key, new kind(language.value, options));
  return made.get(key);
}

export function number(value, digits = 0) {
  if (value === null || value === undefined) return '–';
  return format(Intl.NumberFormat, { maximumFractionDigits: digits }).format(value);
}

export function rate(value) {
  return number(value, value < 10 ? 1 : 0);
}

const sizes = ['B', 'kB', 'MB', 'GB', 'TB'];

export function size(bytes) {
  if (bytes === null || bytes === undefined) return '–';
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < sizes.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${number(value, unit && value < 100 ? 1 : 0)} ${sizes[unit]}`;
}

export function milliseconds(value) {
  return value === null || value === undefined ? '–' : `${number(value, value < 10 ? 1 : 0)} ms`;
}

export function when(at) {
  if (!at) return '–';
  return format(Intl.DateTimeFormat, { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(at));
}

export function day(at) {
  if (!at) return '–';
  return format(Intl.DateTimeFormat, { dateStyle: 'medium' }).format(new Date(at));
}

// A time of day with milliseconds, the same in every language, so that lines stay aligned.
export function clock(at) {
  const time = new Date(at);
  const two = (value) => String(value).padStart(2, '0');
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

const spans = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  const [unit, length] = spans.find(([, span]) => seconds >= span) ?? spans[3];
  return format(Intl.NumberFormat, { style: 'unit', unit, unitDisplay: 'long' }).format(Math.floor(seconds / length));
}

export function ago(at) {
  if (!at) return '–';
  const seconds = Math.max(0, (Date.now() - new Date(at)) / 1000);
  const [unit, length] = spans.find(([, span]) => seconds >= span) ?? spans[3];
  return format(Intl.RelativeTimeFormat, { numeric: 'auto' }).format(-Math.floor(seconds / length), unit);
}
