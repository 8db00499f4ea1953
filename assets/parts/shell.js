// What is around every page: the rail, the bar above, the keys.
import { html, signal, useEffect, useRef, useState } from '../vendor/preact.js';
import { confirming, logOut, reachable, refreshSession, session } from './api.js';
import { language, languages, speak, t } from './i18n.js';
import { look } from './look.js';
import { recall, remember } from './memory.js';
import { pageAt, pagesOf, titleKey } from './pages.js';
import { address, go, route } from './router.js';
import { Search } from './search.js';
import { theme, themes } from './theme.js';
import { Button, Check, Dialog, Icon, Said, useEvery } from './ui.js';
import { visible } from './text.js';

const narrow = signal(recall('rail') === 'narrow');
const keysOn = signal(recall('keys') !== 'off');
const phonePages = 4; // the fifth of the bar below is the menu

export function Shell({ children }) {
  const { user, role } = session.value;
  const offered = pagesOf(role);
  const current = pageAt(route.value.parts, role);
  const [help, setHelp] = useState(false);
  const [menu, setMenu] = useState(false);
  const main = useRef();
  const [search, setSearch] = useState(false);
  const openSearch = () => setSearch(true);
  useKeys(offered, () => setHelp(true), openSearch);
  useSessionWatch();
  useEffect(() => setMenu(false), [route.value]);
  const link = (page, words = t(titleKey(page))) => html`<li key=${page.path}><a href=${address(page.path ? [page.path] : [])} aria-current=${page === current ? 'page' : undefined} title=${narrow.value ? t(titleKey(page)) : undefined}>
    <${Icon} name=${page.icon} /><span>${words}</span></a></li>`;
  // Five of them share the width of a phone.
  const shortLink = (page) => link(page, page.path === 'log' ? t('bar-log') : page.path === 'publish' ? t('bar-publish') : undefined);
  const listed = offered.filter((page) => !page.aside);
  const skip = (event) => {
    event.preventDefault(); // the address is the page's own
    main.current.querySelector('h1')?.focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>${t('skip')}</a>
  <div class=${`shell ${narrow.value ? 'narrow' : ''}`}>
    <header class="bar">
      <a class="brand" href="#/"><${Mark} /><span>securemq</span></a>
      <${Health} />
      <span class="grow"></span>
      <button type="button" class="button quiet find" aria-label=${t('search')} aria-keyshortcuts="/ Control+K" onClick=${openSearch}><${Icon} name="search" /><span>${t('search')}</span><kbd aria-hidden="true">/</kbd></button>
      ${session.value.encrypted === false && html`<span class="badge warn" role="img" aria-label=${t('not-encrypted')} title=${t('not-encrypted')}><${Icon} name="unlock" /><span>${t('not-encrypted')}</span></span>`}
      <${Choice} icon="theme" label=${t('theme')} value=${theme.value} options=${themes.map((name) => [name, t(`theme-${name}`)])} onValue=${(name) => { theme.value = name; }} />
      <${Choice} icon="language" label=${t('language')} value=${language.value} options=${Object.entries(languages)} onValue=${speak} />
      <${Button} icon="keyboard" kind="quiet keys" label=${t('keys')} onClick=${() => setHelp(true)} />
      <a class="button quiet account" href="#/account" title=${t('page-account')}><${Icon} name="account" /><span><bdi>${visible(user)}</bdi> <small>${roleName(role)}</small></span></a>
    </header>
    <nav class="rail" aria-label=${t('pages')}>
      <ul>${listed.map((page) => link(page))}</ul>
      <${Button} icon="collapse" kind="quiet collapse" onClick=${() => { narrow.value = !narrow.value; remember('rail', narrow.value ? 'narrow' : 'wide'); }} aria-expanded=${narrow.value ? 'false' : 'true'} aria-label=${t('rail')}>${t('collapse')}<//>
    </nav>
    <nav class="bottom" aria-label=${t('pages-short')}>
      <ul>${listed.slice(0, phonePages).map(shortLink)}<li><button type="button" aria-haspopup="dialog" onClick=${() => setMenu(true)}><${Icon} name="menu" /><span>${t('menu')}</span></button></li></ul>
    </nav>
    <main id="main" ref=${main}>
      ${!reachable.value && html`<div class="notice danger" role="alert"><${Icon} name="cross" /><div>${t('lost-broker')}</div></div>`}
      ${session.value.broker === 'stopped' && html`<div class="notice warn"><${Icon} name="warning" /><div>${t('broker-stopped')}</div></div>`}
      <${IdleWarning} />
      ${children}
    </main>
    <${Said} />
    <${Asking} />
    ${menu && html`<${Dialog} title=${t('pages')} kind="sheet" onClose=${() => setMenu(false)}>
      <nav class="menu" aria-label=${t('pages')}><ul>${offered.map((page) => link(page))}</ul></nav>
      <div class="menu-choices">
        <${Choice} icon="theme" label=${t('theme')} value=${theme.value} options=${themes.map((name) => [name, t(`theme-${name}`)])} onValue=${(name) => { theme.value = name; }} />
        <${Choice} icon="language" label=${t('language')} value=${language.value} options=${Object.entries(languages)} onValue=${speak} />
        <${Button} icon="logout" onClick=${logOut}>${t('log-out')}<//>
      </div>
    <//>`}
    ${search && html`<${Search} who=${session.value} onClose=${() => setSearch(false)} />`}
    ${help && html`<${Help} offered=${offered} onClose=${() => setHelp(false)} />`}
  </div>`;
}

// The question for the password, loaded when it is asked.
function Asking() {
  const [view, setView] = useState(null);
  const asked = Boolean(confirming.value);
  useEffect(() => {
    if (asked) import('./confirm.js').then(({ Confirmation }) => setView(() => Confirmation));
  }, [asked]);
  return asked && view && html`<${view} />`;
}

export function roleName(role) {
  return ['Admin', 'Teacher', 'Student'].includes(role) ? t(`role-${role}`) : visible(role);
}

export function Mark() {
  if (look.value.logo) return html`<img class="mark" src=${look.value.logo} alt="" width="24" height="24" />`;
  return html`<svg class="mark" viewBox="0 0 32 32" width="24" height="24" aria-hidden="true"><rect width="32" height="32" rx="7" /><path d="M9 22a12 12 0 0 1 14-14M14 24a8 8 0 0 1 10-10" /><circle cx="22.5" cy="22.5" r="3" /></svg>`;
}

function Health() {
  const [kind, word] = !reachable.value ? ['danger', 'unreachable'] : session.value.broker === 'stopped' ? ['warn', 'stopped'] : ['ok', 'running'];
  return html`<span class=${`health ${kind}`}><span class="dot"></span>${t(`health-${word}`)}</span>`;
}

export function Choice({ icon, label, value, options, onValue }) {
  return html`<label class="choice" title=${label}><${Icon} name=${icon} /><select aria-label=${label} onChange=${(event) => onValue(event.currentTarget.value)}>
    ${options.map(([key, word]) => html`<option value=${key} selected=${key === value} key=${key}>${word}</option>`)}
  </select></label>`;
}

// Two minutes before the session ends for want of use, with a way to keep it.
function IdleWarning() {
  const [now, setNow] = useState(Date.now());
  useEvery(10_000, () => setNow(Date.now()));
  const ends = Math.min(session.value.idle_until ?? Infinity, session.value.absolute_until ?? Infinity);
  const left = Math.ceil((ends - now) / 60_000);
  if (!(left <= 2)) return null;
  return html`<div class="notice warn" role="status"><${Icon} name="warning" /><div>${t('session-ends', { count: Math.max(left, 0) })}</div>
    <${Button} onClick=${() => refreshSession()}>${t('stay')}<//></div>`;
}

// Using the page keeps the session; a page that is only open does not, and says so when the session is over.
function useSessionWatch() {
  const asked = useRef(Date.now());
  const ask = () => {
    asked.current = Date.now();
    refreshSession().catch(() => {});
  };
  useEffect(() => {
    const used = () => Date.now() - asked.current > 60_000 && ask();
    addEventListener('pointerdown', used);
    addEventListener('keydown', used);
    return () => {
      removeEventListener('pointerdown', used);
      removeEventListener('keydown', used);
    };
  }, []);
  useEvery(10_000, () => {
    const { idle_until: idle, absolute_until: absolute, broker } = session.value ?? {};
    if (broker === 'stopped' || Date.now() > Math.min(idle ?? Infinity, absolute ?? Infinity)) ask();
  });
}

function typing(target) {
  return target.closest?.('input, textarea, select, [contenteditable]') || document.querySelector('dialog[open]');
}

// Single letters act only where nobody types, and can be turned off.
function useKeys(offered, help, search) {
  const pending = useRef(0);
  useEffect(() => {
    const pressed = (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        if (!document.querySelector('dialog[open]')) search();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
      if (event.key === '?') {
        event.preventDefault();
        help();
        return;
      }
      if (!keysOn.value) return;
      if (event.key === '/') {
        event.preventDefault();
        search();
      } else if (event.key === 'f') {
        const field = document.querySelector('[data-search]');
        if (field) {
          event.preventDefault();
          field.focus();
        }
      } else if (event.key === 'g') {
        pending.current = Date.now();
      } else if (Date.now() - pending.current < 1500) {
        pending.current = 0;
        const page = offered.find(({ key }) => key === event.key);
        if (page) go(page.path ? [page.path] : []);
      }
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [offered]);
}

function Help({ offered, onClose }) {
  const keys = [
    [['?'], t('keys-help')],
    [['/', 'Ctrl K'], t('search-all')],
    [['f'], t('keys-search')],
    [['Space'], t('keys-pause')],
    [['End'], t('keys-end')],
    [['↑', '↓'], t('keys-rows')],
    [['Enter'], t('keys-open')],
    [['Esc'], t('keys-close')],
  ];
  const row = ([names, what]) => html`<div key=${what}><dt>${names.map((name) => html`<kbd>${name}</kbd> `)}</dt><dd>${what}</dd></div>`;
  return html`<${Dialog} title=${t('keys')} onClose=${onClose}>
    <dl class="keys-list">${keys.map(row)}${offered.map((page) => row([['g', page.key], t(titleKey(page))]))}</dl>
    <${Check} label=${t('keys-on')} checked=${keysOn.value} onValue=${(on) => { keysOn.value = on; remember('keys', on ? 'on' : 'off'); }} />
  <//>`;
}
