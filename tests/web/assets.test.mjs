// What the pages are made of, before any browser: words, weight, and what must not be in them.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { repository } from './support.mjs';

const assets = join(repository, 'assets');
const read = (name) => readFileSync(join(assets, name), 'utf8');
const names = readdirSync(assets, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(assets.length + 1));
const ours = names.filter((name) => !name.startsWith('vendor/'));
const modules = ours.filter((name) => name.endsWith('.js'));
const catalogue = (name) => JSON.parse(read(`i18n/${name}.json`));
const weight = (list) => list.reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name)), { level: 9 }).length, 0);

// Every module that these import, themselves included.
function withImports(list, seen = new Set()) {
  for (const name of list) {
    if (seen.has(name)) continue;
    seen.add(name);
    if (name.endsWith('.js')) withImports([...read(name).matchAll(/^import .* from '([^']+)'/gm)].map(([, path]) => join(name, '..', path)), seen);
  }
  return seen;
}

test('both languages have the same words with the same places to fill', () => {
  const [english, german] = [catalogue('en'), catalogue('de')];
  assert.deepEqual(Object.keys(german), Object.keys(english));
  const places = (words) => [...JSON.stringify(words).matchAll(/\{\w+\}/g)].map(([place]) => place);
  for (const [key, words] of Object.entries(english)) {
    assert.equal(typeof german[key], typeof words, key);
    if (typeof words === 'object') assert.deepEqual(Object.keys(german[key]).sort(), ['one', 'other'], key);
    assert.deepEqual(new Set(places(german[key])), new Set(places(words)), key);
  }
});

test('every word that a page asks for is there, and every word that is there is asked for', () => {
  const english = catalogue('en');
  const source = modules.map(read).join('\n');
  const asked = new Set([...source.matchAll(/\bt\('([\w-]+)'/g)].map(([, key]) => key));
  for (const [, , yes, no] of source.matchAll(/\bt\(([^()'`]|\('[^']*'\))*\? '([\w-]+)' : '([\w-]+)'/g)) {
    asked.add(yes);
    asked.add(no);
  }
  for (const key of asked) assert.ok(key in english, key);
  // Keys that are put together begin with what stands before the first `${`.
  const beginnings = [...source.matchAll(/`([a-z-]+-)\$\{/g)].map(([, beginning]) => beginning);
  const quoted = new Set([...source.matchAll(/'([\w-]+)'/g)].map(([, key]) => key));
  for (const key of Object.keys(english)) {
    assert.ok(asked.has(key) || quoted.has(key) || key.startsWith('row-') || beginnings.some((beginning) => key.startsWith(beginning)), `${key} is not asked for`);
  }
});

// The source of the broker, where the codes that the API tells have their one place each.
const source = (path) => readFileSync(join(repository, 'src', path), 'utf8');
const rustFiles = (folder) => readdirSync(join(repository, 'src', folder), { recursive: true }).filter((name) => name.endsWith('.rs')).map((name) => source(join(folder, name)));
const found = (texts, pattern) => new Set([].concat(texts).flatMap((text) => [...text.matchAll(pattern)].map(([, code]) => code)));
const hasWords = (codes, key) => {
  assert.ok(codes.size > 0, `nothing found for ${key('x')}`);
  for (const [name, words] of [['en', catalogue('en')], ['de', catalogue('de')]]) {
    for (const code of codes) assert.ok(key(code) in words, `${name}: ${key(code)}`);
  }
};

test('every code of the API has words in both languages, and no words are left of one that is gone', () => {
  const problems = found(source('admin/problem.rs'), /StatusCode::\w+, "([a-z-]+)"\)/g);
  problems.delete('invalid'); // is told by the field
  hasWords(problems, (code) => `problem-${code}`);
  const ours = ['unreachable', 'unknown'];
  for (const key of Object.keys(catalogue('en')).filter((name) => /^problem-(?!status-)/.test(name))) {
    const code = key.slice('problem-'.length);
    assert.ok(problems.has(code) || ours.includes(code), `${key} is no problem any more`);
  }
  // What a person types; the rest is filled in by the pages alone.
  const filledIn = ['cursor', 'range', 'state', 'format', 'query', 'body', 'limit'];
  const fields = found(rustFiles('admin'), /invalid\("(\w+)"/g);
  for (const field of filledIn) fields.delete(field);
  hasWords(fields, (field) => `invalid-${field}`);
  const rows = found(source('admin/import.rs'), /RowProblem\("([a-z-]+)"/g);
  hasWords(rows, (code) => code);
  const attention = found(rustFiles('admin'), /"code": "([a-z-]+)"/g);
  hasWords(attention, (code) => `attention-${code}`);
});

test('every reason has the words of the broker in English, and words in German', () => {
  const [english, german] = [catalogue('en'), catalogue('de')];
  const reasons = [...source('broker/reason.rs').matchAll(/ = (\d+), \w+, "([^"]+)";/g)];
  assert.ok(reasons.length > 40);
  for (const [, number, words] of reasons) {
    assert.equal(english[`reason-${number}`], words);
    assert.ok(german[`reason-${number}`], number);
  }
  assert.equal(Object.keys(english).filter((key) => /^reason-\d+$/.test(key)).length, reasons.length);
});

test('every event and every change by an administrator is told in the language of the reader', () => {
  const number = source('broker/event.rs').split('pub fn number(&self)')[1].split('}\n    }')[0];
  const kinds = found(number, /=> (\d+),/g);
  kinds.delete('32'); // a notice is told in the broker's own words
  const told = found(read('parts/events.js').split('const said = {')[1].split('\n};')[0], /^ {2}(\d+):/gm);
  assert.deepEqual(told, kinds);
  const changes = found(['admin', 'cli'].flatMap(rustFiles), /(?:record[a-z_]*\([^")]*|action: )"([a-z]+ [a-z ]+)"/g);
  hasWords(changes, (change) => `admin-${change.replaceAll(' ', '-')}`);
});

test('the pages weigh little', () => {
  const first = withImports(['index.html', 'theme.js', 'app.css', 'icon.svg', 'icons.svg', 'app.js', 'views/overview.js', 'i18n/en.json']);
  assert.ok(weight([...first]) < 100_000, `${weight([...first])} bytes for the first page`);
  const whole = weight(names.filter((name) => !name.startsWith('vendor/') || /\.(js|css)$/.test(name)));
  assert.ok(whole < 150_000, `${whole} bytes in all`);
});

test('the vendored files are those of the list', () => {
  const listed = read('vendor/SHA256SUMS').trim().split('\n').map((line) => line.split('  '));
  for (const [sum, name] of listed) {
    assert.equal(createHash('sha256').update(readFileSync(join(assets, 'vendor', name))).digest('hex'), sum, name);
  }
  const there = names.filter((name) => name.startsWith('vendor/') && !name.endsWith('SHA256SUMS')).map((name) => name.slice(7));
  assert.deepEqual(there.sort(), listed.map(([, name]) => name).sort());
});

test('no page makes markup or code from text, and none asks another host', () => {
  const forbidden = /innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|DOMParser|\beval\(|new Function|javascript:|createContextualFragment|setAttribute\('style/;
  for (const name of modules) {
    assert.doesNotMatch(read(name), forbidden, name);
    assert.doesNotMatch(read(name), /['"`]https?:\/\//, name);
  }
  assert.doesNotMatch(read('index.html'), /<script(?![^>]*src=)|<style|\sstyle=|\son\w+=/);
  assert.doesNotMatch(read('app.css'), /url\(|@import/);
});

test('whatever accent a school chooses can be read in every theme', async () => {
  const { accentTokens, contrast } = await import(join(assets, 'parts/accent.js'));
  const themes = { light: { grounds: ['#ffffff', '#f6f7f9', '#eef1f5'], text: '#17202b', least: 4.5 }, dark: { grounds: ['#161d26', '#0e1319', '#202a36'], text: '#e8edf3', least: 4.5 }, contrast: { grounds: ['#000000', '#000000', '#1c1c1c'], text: '#ffffff', least: 7 } };
  const parts = ['00', '40', '80', 'c0', 'ff'];
  for (const [theme, { grounds, text, least }] of Object.entries(themes)) {
    for (const accent of parts.flatMap((red) => parts.flatMap((green) => parts.map((blue) => `#${red}${green}${blue}`)))) {
      const made = accentTokens(accent, { grounds, least });
      for (const ground of grounds) assert.ok(contrast(made['--accent'], ground) >= least, `${theme} ${accent} on ${ground}`);
      assert.ok(contrast(made['--on-accent'], made['--accent']) >= 4.5, `${theme} on ${accent}`);
      assert.ok(contrast(text, made['--tint']) >= 4.5, `${theme} text on the tint of ${accent}`);
    }
  }
});

test('colours keep their contrast in every theme', () => {
  const css = read('app.css');
  const tokens = (selector) => Object.fromEntries([...css.slice(css.indexOf(`${selector} {`)).split('}')[0].matchAll(/--([\w-]+): (#[0-9a-f]+);/g)].map(([, name, value]) => [name, value]));
  const light = tokens(':root');
  const themes = { light, dark: { ...light, ...tokens(':root[data-theme="dark"]') }, contrast: { ...light, ...tokens(':root[data-theme="contrast"]') } };
  assert.deepEqual(tokens(':root[data-theme="system"]'), tokens(':root[data-theme="dark"]'), 'the two dark blocks are the same');
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = (hex) => {
    const full = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join('') : hex.slice(1);
    const [red, green, blue] = [0, 2, 4].map((at) => channel(Number.parseInt(full.slice(at, at + 2), 16) / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  for (const [theme, colour] of Object.entries(themes)) {
    const least = theme === 'contrast' ? 7 : 4.5;
    for (const text of ['text', 'text-2', 'muted', 'accent', 'ok', 'warn', 'danger', 'info']) {
      for (const ground of ['page', 'card', 'raised']) {
        assert.ok(contrast(colour[text], colour[ground]) >= least, `${theme}: ${text} on ${ground}`);
      }
    }
    for (const [text, ground] of [['on-accent', 'accent'], ['on-danger', 'danger'], ['ok', 'ok-tint'], ['warn', 'warn-tint'], ['danger', 'danger-tint'], ['info', 'info-tint'], ['text', 'tint'], ['text-2', 'danger-tint']]) {
      assert.ok(contrast(colour[text], colour[ground]) >= 4.5, `${theme}: ${text} on ${ground}`);
    }
    assert.ok(contrast(colour.control, colour.card) >= 3, `${theme}: borders of controls`);
  }
});
