// The small pieces that every page is made of.
import { html, signal, useEffect, useId, useLayoutEffect, useRef, useState } from '../vendor/preact.js';
import { has, t } from './i18n.js';
import { visible } from './text.js';

const sprite = new URL('../icons.svg', import.meta.url).pathname;

export function Icon({ name }) {
  return html`<svg class="icon" aria-hidden="true" width="16" height="16"><use href=${`${sprite}#${name}`} /></svg>`;
}

export function Button({ icon, kind = '', busy, children, label, ...rest }) {
  return html`<button type="button" class=${`button ${kind} ${children ? '' : 'bare'}`} aria-label=${label} title=${children ? undefined : label}
    aria-busy=${busy ? 'true' : undefined} ...${rest} disabled=${busy || rest.disabled}>
    ${icon && html`<${Icon} name=${icon} />`}${children && html`<span>${children}</span>`}
  </button>`;
}

// Text of a stranger: set apart, every character of it visible.
export function Data({ text, limit = 400 }) {
  const [whole, setWhole] = useState(false);
  if (text === null || text === undefined || text === '') return html`<span class="none">–</span>`;
  const shown = visible(text);
  if (shown.length <= limit || whole) return html`<bdi class="data">${shown}</bdi>`;
  return html`<bdi class="data">${shown.slice(0, limit)}…</bdi> <button type="button" class="link" onClick=${() => setWhole(true)}>${t('show-all', { count: shown.length })}</button>`;
}

const shapes = { ok: 'check', warn: 'warning', danger: 'cross', info: 'info', plain: 'dot' };

// A state in a word, a shape and a colour.
export function Badge({ kind = 'plain', children }) {
  return html`<span class=${`badge ${kind}`}><${Icon} name=${shapes[kind]} />${children}</span>`;
}

export function Field({ label, hint, error, children, wide, kind = '' }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ') || undefined;
  return html`<div class=${`field ${wide ? 'wide' : ''} ${kind}`}>
    <label for=${id}>${label}</label>
    ${children({ id, 'aria-describedby': described, 'aria-invalid': error ? 'true' : undefined })}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="field-error" id=${`${id}-error`}><${Icon} name="cross" />${error}</p>`}
  </div>`;
}

export function Input({ label, hint, error, value, onValue, wide, mono, kind, ...rest }) {
  return html`<${Field} kind=${kind} label=${label} hint=${hint} error=${error} wide=${wide}>
    ${(ids) => html`<input class=${mono ? 'mono' : ''} autocomplete="off" spellcheck=${mono ? 'false' : undefined} value=${value} onInput=${(event) => onValue(event.currentTarget.value)} ...${ids} ...${rest} />`}
  <//>`;
}

export function Select({ label, hint, error, value, onValue, options, wide, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error} wide=${wide}>
    ${(ids) => html`<select onChange=${(event) => onValue(event.currentTarget.value)} ...${ids} ...${rest}>
      ${options.map(([key, word]) => html`<option value=${key} selected=${key === value} key=${key}>${word}</option>`)}
    </select>`}
  <//>`;
}

export function Check({ label, checked, onValue, ...rest }) {
  return html`<label class="check"><input type="checkbox" checked=${checked} onChange=${(event) => onValue(event.currentTarget.checked)} ...${rest} /><span>${label}</span></label>`;
}

// What a refusal means, in the reader's words.
export function explain(refusal) {
  const code = refusal?.code;
  if (code === 'invalid') return t(invalidKey(refusal.problem?.field));
  if (code && has(`problem-${code}`)) {
    return t(`problem-${code}`, { seconds: refusal.retryAfter ?? refusal.problem?.retry_after ?? 60 });
  }
  const byStatus = `problem-status-${refusal?.status}`;
  if (has(byStatus)) return t(byStatus);
  return t('problem-unknown', { what: visible(refusal?.message ?? '') });
}

// What belongs in that part of a request. What only a page fills in, only a page gets wrong.
function invalidKey(field) {
  return has(`invalid-${field}`) ? `invalid-${field}` : 'invalid-unexpected';
}

// Where the words for the code leave open what exactly is wrong, the broker's own are shown, too.
const open = ['invalid', 'too-many', 'too-large'];

function saysAll(code) {
  return has(`problem-${code}`) && !open.includes(code);
}

export function Problem({ refusal, again }) {
  const detail = !saysAll(refusal.code) && refusal.detail && visible(refusal.detail);
  return html`<div class="notice danger" role="alert">
    <${Icon} name="cross" />
    <div><p>${explain(refusal)}</p>${detail && html`<p class="mono small">${detail}</p>`}</div>
    ${again && html`<${Button} icon="refresh" onClick=${again}>${t('try-again')}<//>`}
  </div>`;
}

export function Notice({ kind = 'info', children }) {
  return html`<div class=${`notice ${kind}`}><${Icon} name=${shapes[kind]} /><div>${children}</div></div>`;
}

export function Empty({ icon = 'info', title, children }) {
  return html`<div class="empty"><${Icon} name=${icon} /><p class="empty-title">${title}</p><div>${children}</div></div>`;
}

// Shown only when it takes a moment: what is there at once should not flicker.
export function Loading({ rows = 4 }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return html`<div class="loading" role="status"><span class="hidden">${t('loading')}</span>${late && Array.from({ length: rows }, () => html`<div class="skeleton" />`)}</div>`;
}

// Something asked from the broker: it loads, fails with a way to try again, or is shown.
export function useAsked(ask, inputs) {
  const [state, setState] = useState({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    ask(abort.signal).then(
      (value) => !abort.signal.aborted && setState({ value }),
      (refusal) => !abort.signal.aborted && setState((before) => ({ value: before.value, refusal })),
    );
    return () => abort.abort();
  }, [...inputs, turn]);
  return { ...state, again: () => setTurn((before) => before + 1), set: (value) => setState({ value }) };
}

// Asks again every so often while the page is looked at.
export function useEvery(milliseconds, act) {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const timer = setInterval(() => document.hidden || latest.current(), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
}

// The same for what is shown, unless a dialog is open: what one decides about does not change, or go, meanwhile.
export function useRefresh(milliseconds, again) {
  useEvery(milliseconds, () => document.querySelector('dialog[open]') || again());
}

export function Asked({ asked, rows, children }) {
  return html`${asked.refusal && html`<${Problem} refusal=${asked.refusal} again=${asked.again} />`}
    ${asked.value !== undefined ? children(asked.value) : !asked.refusal && html`<${Loading} rows=${rows} />`}`;
}

export function Page({ title, lead, actions, children }) {
  const heading = useRef();
  useLayoutEffect(() => {
    document.title = `${title} – securemq`;
  }, [title]);
  useLayoutEffect(() => {
    // A reader of the screen hears where it is; at the first page the browser says it.
    if (Page.shown) heading.current.focus({ preventScroll: true });
    Page.shown = true;
  }, []);
  return html`<div class="page-head">
      <div><h1 tabindex="-1" ref=${heading}>${title}</h1>${lead && html`<p class="lead">${lead}</p>`}</div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </div>
    ${children}`;
}

export function Card({ title, actions, children, kind = '' }) {
  return html`<section class=${`card ${kind}`}>
    ${(title || actions) && html`<header><h2>${title}</h2>${actions && html`<div class="actions">${actions}</div>`}</header>`}
    ${children}
  </section>`;
}

export function Facts({ facts }) {
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value ?? '–'}</dd></div>`)}</dl>`;
}

// Columns are {key, name, cell, number?}; on a phone a row becomes a card with the names beside the values.
export function Table({ caption, columns, rows, keyOf, hrefOf, actions }) {
  return html`<div class="table-frame"><table role="table">
    <caption class="hidden">${caption}</caption>
    <thead role="rowgroup"><tr role="row">
      ${columns.map((column) => html`<th role="columnheader" scope="col" class=${column.number ? 'number' : ''} key=${column.key}>${column.name}</th>`)}
      ${actions && html`<th role="columnheader" scope="col"><span class="hidden">${t('actions')}</span></th>`}
    </tr></thead>
    <tbody role="rowgroup">${rows.map((row) => html`<tr role="row" key=${keyOf(row)}>
      ${columns.map((column, index) => html`<td role="cell" class=${`${column.number ? 'number' : ''} ${index ? '' : 'first'}`} data-name=${column.name} key=${column.key}>
        ${index === 0 && hrefOf ? html`<a href=${hrefOf(row)}>${column.cell(row)}</a>` : column.cell(row)}
      </td>`)}
      ${actions && html`<td role="cell" class="row-actions">${actions(row)}</td>`}
    </tr>`)}</tbody>
  </table></div>`;
}

// A native dialog: the browser keeps the focus in it and gives it back.
export function Dialog({ title, onClose, children, kind = '' }) {
  const dialog = useRef();
  const id = useId();
  useLayoutEffect(() => {
    const opener = document.activeElement;
    dialog.current.showModal();
    return () => opener?.isConnected && opener.focus();
  }, []);
  return html`<dialog class=${kind} ref=${dialog} aria-labelledby=${id} onClose=${onClose} onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <div class="dialog-body">
      <header><h2 id=${id}>${title}</h2><${Button} icon="cross" kind="quiet" label=${t('close')} onClick=${() => dialog.current.close()} /></header>
      ${children}
    </div>
  </dialog>`;
}

// A form whose button waits for the answer and whose refusal stays beside it.
export function Form({ onSubmit, submit, kind = 'primary', icon, children, cancel, disabled }) {
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState(null);
  const act = async (event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setRefusal(null);
    try {
      await onSubmit();
    } catch (problem) {
      setRefusal(problem);
    }
    setBusy(false);
  };
  return html`<form onSubmit=${act} novalidate=${undefined}>
    ${children}
    ${refusal && html`<${Problem} refusal=${refusal} />`}
    <div class="form-actions">
      ${cancel && html`<${Button} kind="quiet" onClick=${cancel}>${t('cancel')}<//>`}
      <button type="submit" class=${`button ${kind}`} disabled=${disabled || busy} aria-busy=${busy ? 'true' : undefined}>${icon && html`<${Icon} name=${icon} />`}<span>${submit}</span></button>
    </div>
  </form>`;
}

// Asks before something that cannot be taken back; above ten things the word has to be typed.
export function Confirm({ title, children, verb, typed, onConfirm, onClose }) {
  const [word, setWord] = useState('');
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <${Form} submit=${verb} kind="danger" cancel=${onClose} disabled=${typed && word !== typed} onSubmit=${async () => { await onConfirm(); onClose(); }}>
      <div class="prose">${children}</div>
      ${typed && html`<${Input} label=${t('type-to-confirm', { word: visible(typed) })} value=${word} onValue=${setWord} mono />`}
    <//>
  <//>`;
}

const said = signal('');

// Says it in a corner and to readers of the screen, then lets it go.
export function say(text) {
  said.value = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => {
    said.value = '';
  }, 6000);
}

export function Said() {
  return html`<div class="said" role="status">${said.value && html`<p><${Icon} name="check" />${said.value}</p>`}</div>`;
}

export async function copy(text) {
  await navigator.clipboard.writeText(text);
  say(t('copied'));
}

// More rows by the page: what the broker has is never loaded as a whole.
export function usePages(ask, inputs) {
  const [more, setMore] = useState({ items: [], next: undefined, busy: false });
  const asked = useAsked(async (abort) => {
    const page = await ask(undefined, abort);
    setMore({ items: [], next: page.next, busy: false });
    return page.items;
  }, inputs);
  const load = async () => {
    setMore((before) => ({ ...before, busy: true }));
    try {
      const page = await ask(more.next);
      setMore((before) => ({ items: [...before.items, ...page.items], next: page.next, busy: false }));
    } catch (refusal) {
      setMore((before) => ({ ...before, busy: false, refusal }));
    }
  };
  return { asked, items: [...(asked.value ?? []), ...more.items], next: more.next, busy: more.busy, refusal: more.refusal, load };
}

export function More({ pages }) {
  return html`${pages.refusal && html`<${Problem} refusal=${pages.refusal} />`}
    <p class="more"><span class="muted">${t('shown', { count: pages.items.length })}</span>
    ${pages.next && html`<${Button} busy=${pages.busy} onClick=${pages.load}>${t('load-more')}<//>`}</p>`;
}

// Waits until typing rests.
export function useRested(value, milliseconds = 250) {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value]);
  return rested;
}

export function Tabs({ label, value, options, onValue }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${options.map(([key, word]) => html`<button type="button" key=${key} aria-pressed=${key === value ? 'true' : 'false'} onClick=${() => onValue(key)}>${word}</button>`)}
  </div>`;
}
