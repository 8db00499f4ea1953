// The log as it happens: filters, pause without loss, and the way back into what is stored.
import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { get, url } from '../parts/api.js';
import { ClassSelect } from '../parts/classselect.js';
import { actionName, actions, messageOf, topicOf, whyQuery } from '../parts/events.js';
import { Histogram } from '../parts/histogram.js';
import { language, t, when } from '../parts/i18n.js';
import { LogList } from '../parts/loglist.js';
import { address, setQuery } from '../parts/router.js';
import { Live } from '../parts/socket.js';
import { Button, Check, Data, Dialog, Facts, Icon, Input, Page, Problem, Select, copy, useRested } from '../parts/ui.js';
import { short } from '../parts/text.js';

const fields = ['action', 'user', 'client', 'class', 'topic', 'text', 'failed', 'since', 'until'];
const pageSize = 200;

function filtersOf(query) {
  return Object.fromEntries(fields.filter((name) => query[name]).map((name) => [name, query[name]]));
}

export default function Log({ who, query }) {
  const filters = filtersOf(query);
  const key = JSON.stringify(filters);
  const [state, setState] = useState({ following: true, unseen: 0, lines: 0 });
  const [link, setLink] = useState('connecting');
  const [counts, setCounts] = useState({ events: 0, failed: 0, dropped: 0 });
  const [past, setPast] = useState({ more: false, busy: false });
  const [refusal, setRefusal] = useState(null);
  const [shown, setShown] = useState(null);
  const [turn, setTurn] = useState(0);
  const scroller = useRef();
  const list = useRef();
  const reader = useRef();

  useEffect(() => {
    const made = new LogList(scroller.current, {
      pick: (field, event) => pick(field, event),
      open: setShown,
      changed: setState,
      older: () => reader.current?.older(),
    });
    list.current = made;
    return () => made.end();
  }, [language.value]);

  useEffect(() => {
    const made = new Reader(list.current, filters, { setLink, setCounts, setPast, setRefusal });
    reader.current = made;
    return () => made.end();
  }, [key, turn, language.value]);

  useEffect(() => {
    const pressed = (event) => {
      if (event.target.closest('input, select, textarea, button, a, .log-scroll') || document.querySelector('dialog[open]')) return;
      if (event.key === ' ') state.following ? list.current.pause() : list.current.follow();
      else if (event.key === 'End') list.current.follow();
      else return;
      event.preventDefault();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [state.following]);

  const exported = (format) => url('/logs/export', { format, ...timesOf(filters) });
  return html`<div class="log-page"><${Page} title=${t('page-log')} lead=${who.role === 'Admin' ? undefined : t('log-own')} actions=${html`
      <${LinkState} link=${link} until=${filters.until} />
      <a class="button" download href=${exported('csv')}><${Icon} name="download" /><span>CSV</span></a>
      <a class="button" download href=${exported('ndjson')}><${Icon} name="download" /><span>NDJSON</span></a>`}>
    <${Filters} filters=${filters} staff=${who.role !== 'Student'} />
    <${Histogram} filters=${timesOf(filters)} zoomed=${Boolean(filters.since || filters.until)} />
    ${refusal && html`<${Problem} refusal=${refusal} again=${() => setTurn(turn + 1)} />`}
    <div class="log-frame">
      <div class="log-scroll" role="log" aria-live="off" aria-label=${t('page-log')} tabindex="0" ref=${scroller}></div>
      ${!state.lines && !state.unseen && !refusal && !past.busy && html`<p class="log-empty">${t(Object.keys(filters).length ? 'log-none-filtered' : 'log-none')}</p>`}
      ${!state.following && html`<button type="button" class="chip" onClick=${() => list.current.follow()}><${Icon} name="end" />${state.unseen ? t('log-new', { count: state.unseen }) : t('log-to-end')}</button>`}
    </div>
    <div class="log-foot">
      <${Button} icon=${state.following ? 'pause' : 'play'} onClick=${() => (state.following ? list.current.pause() : list.current.follow())}>${t(state.following ? 'pause' : 'resume')}<//>
      <${Button} icon="up" busy=${past.busy} disabled=${!past.more} onClick=${() => { list.current.pause(); reader.current.older(); }}>${t(past.more ? 'log-older' : 'log-no-older')}<//>
      <${Status} state=${state} counts=${counts} />
    </div>
    ${shown && html`<${Event} event=${shown} onClose=${() => setShown(null)} />`}
  <//></div>`;
}

// The fields of the page hold times of this place; the broker wants milliseconds.
function timesOf(filters) {
  const asked = { ...filters };
  for (const name of ['since', 'until']) if (asked[name]) asked[name] = new Date(asked[name]).getTime() || undefined;
  return asked;
}

// Reads what is stored and what happens, without a gap between them: it listens first, holds what comes, and then reads.
class Reader {
  constructor(list, filters, setters) {
    Object.assign(this, { list, filters: timesOf(filters), seq: undefined, next: undefined, busy: true, held: [], abort: new AbortController() }, setters);
    this.counts = { events: 0, failed: 0, dropped: 0 };
    list.clear();
    this.setRefusal(null);
    this.setCounts(this.counts);
    this.setPast({ more: false, busy: true });
    if (this.filters.until) {
      this.setLink('past');
      this.begin();
    } else {
      this.listen();
      // What is stored is worth reading, too, where nothing live comes.
      this.patience = setTimeout(() => this.begin(), 1500);
    }
  }

  async begin() {
    clearTimeout(this.patience);
    if (this.begun) return;
    this.begun = true;
    try {
      const page = await get('/logs', { ...this.filters, limit: pageSize }, { signal: this.abort.signal });
      this.next = page.next;
      const seen = new Set(page.items.map((event) => JSON.stringify(event)));
      const fresh = this.held.filter((event) => event.mark || !seen.has(JSON.stringify(event)));
      this.held = null;
      this.take([...page.items.reverse(), ...fresh]);
    } catch (refusal) {
      if (this.abort.signal.aborted) return;
      this.setRefusal(refusal);
      const waiting = this.held;
      this.held = null;
      this.take(waiting);
    }
    this.busy = false;
    this.setPast({ more: Boolean(this.next), busy: false });
  }

  listen() {
    const { since: _from, until: _until, ...live } = this.filters;
    this.live = new Live('/logs/live', {
      query: () => ({ ...live, since: this.seq }),
      changed: this.setLink,
      told: ({ events = [], dropped = 0, gap = false, seq }) => {
        this.seq = seq ?? this.seq;
        const marks = [];
        if (gap) marks.push({ mark: t('log-gap') });
        if (dropped) {
          this.counts = { ...this.counts, dropped: this.counts.dropped + dropped };
          marks.push({ mark: t('log-dropped', { count: dropped }) });
        }
        this.take([...marks, ...events]);
        this.begin();
      },
    });
  }

  take(events) {
    if (this.held) {
      for (const event of events) this.held.push(event);
      return;
    }
    this.counts = {
      ...this.counts,
      events: this.counts.events + events.filter((event) => !event.mark).length,
      failed: this.counts.failed + events.filter((event) => event.ok === false).length,
    };
    this.list.append(events);
    this.setCounts(this.counts);
  }

  async older() {
    if (!this.next || this.busy) return;
    if (this.list.isFull()) {
      this.next = null;
      this.setPast({ more: false, busy: false });
      return;
    }
    this.busy = true;
    this.setPast({ more: true, busy: true });
    try {
      const page = await get('/logs', { ...this.filters, limit: pageSize, cursor: this.next }, { signal: this.abort.signal });
      this.next = page.next;
      this.list.prepend(page.items.reverse());
    } catch (refusal) {
      if (!this.abort.signal.aborted) this.setRefusal(refusal);
    }
    this.busy = false;
    if (!this.abort.signal.aborted) this.setPast({ more: Boolean(this.next), busy: false });
  }

  end() {
    this.abort.abort();
    clearTimeout(this.patience);
    this.live?.end();
  }
}

function pick(field, event) {
  const value = field === 'topic' ? topicOf(event) : event[field];
  setQuery({ [field]: value });
}

function LinkState({ link, until }) {
  if (until || link === 'past') return html`<span class="badge plain"><${Icon} name="dot" />${t('log-past')}</span>`;
  const kind = { open: 'ok', connecting: 'info', waiting: 'warn' }[link] ?? 'info';
  return html`<span class=${`badge ${kind}`} role="status"><${Icon} name=${{ ok: 'check', warn: 'warning', info: 'info' }[kind]} />${t(`link-${link}`)}</span>`;
}

function Filters({ filters, staff }) {
  const [typed, setTyped] = useState(filters);
  const rested = useRested(typed);
  const from = JSON.stringify(filters);
  // What is typed goes into the address, and what the address says is shown.
  useEffect(() => setTyped(filters), [from]);
  useEffect(() => {
    if (rested === typed && JSON.stringify(rested) !== from) setQuery(Object.fromEntries(fields.map((name) => [name, rested[name]])));
  }, [rested]);
  const change = (name) => (value) => setTyped((before) => ({ ...before, [name]: value }));
  const [folded, setFolded] = useState(true);
  const [times, setTimes] = useState(Boolean(filters.since || filters.until));
  useEffect(() => {
    if (filters.since || filters.until) setTimes(true);
  }, [filters.since, filters.until]);
  const field = (name, more) => html`<${Input} label=${t(`log-${name}`)} value=${typed[name] ?? ''} onValue=${change(name)} type="search" mono ...${more} />`;
  return html`<form class=${`filters ${folded ? 'folded' : ''}`} role="search" aria-label=${t('filters')} onSubmit=${(event) => event.preventDefault()}>
    <${Select} label=${t('log-action')} value=${typed.action ?? ''} onValue=${change('action')} options=${[['', t('all')], ...actions.map((name) => [name, actionName(name)])]} />
    ${staff && html`<${ClassSelect} value=${typed.class ?? ''} onValue=${change('class')} />`}
    ${staff && field('user')}
    ${field('client')}
    ${field('topic', { placeholder: 'a/+/#' })}
    ${field('text', { mono: false, 'data-search': true, kind: 'always' })}
    <${Button} icon="filter" kind="always unfold" aria-expanded=${folded ? 'false' : 'true'} onClick=${() => setFolded(!folded)}>${t('filters')}<//>
    <${Check} label=${t('log-failed')} checked=${Boolean(typed.failed)} onValue=${(on) => change('failed')(on ? 'true' : '')} />
    <${Button} kind="quiet" aria-pressed=${times ? 'true' : 'false'} onClick=${() => { setTimes(!times); if (times) setTyped(({ since: _since, until: _until, ...rest }) => rest); }}>${t('log-times')}<//>
    ${Object.keys(filters).length > 0 && html`<${Button} kind="quiet" icon="cross" onClick=${() => setTyped({})}>${t('clear-filters')}<//>`}
    ${times && html`<div class="break"></div>
      <${Input} label=${t('log-since')} type="datetime-local" step="1" value=${typed.since ?? ''} onValue=${change('since')} />
      <${Input} label=${t('log-until')} type="datetime-local" step="1" value=${typed.until ?? ''} onValue=${change('until')} />`}
  </form>`;
}

// Told to readers of the screen every five seconds at most; the eye sees it at once.
function Status({ state, counts }) {
  const words = [
    t('log-count', { count: counts.events }),
    t('log-failures', { count: counts.failed }),
    counts.dropped ? t('log-dropped', { count: counts.dropped }) : '',
    t(state.following ? 'log-following' : 'log-paused', { count: state.unseen }),
  ].filter(Boolean).join(' · ');
  const latest = useRef(words);
  latest.current = words;
  const [told, setTold] = useState(words);
  useEffect(() => {
    const timer = setInterval(() => setTold(latest.current), 5000);
    return () => clearInterval(timer);
  }, []);
  return html`<p class="muted" aria-hidden="true">${words}</p><p class="hidden" role="status">${told}</p>`;
}

const details = ['user', 'client', 'address', 'topic'];

function Event({ event, onClose }) {
  const only = (field, value) => html`<${Data} text=${value} /> ${field !== 'address' && value && html`<${Button} kind="quiet small" icon="filter" label=${t('only-these')} onClick=${() => { setQuery({ [field]: value }); onClose(); }} />`}`;
  const why = whyQuery(event);
  return html`<${Dialog} title=${`${actionName(event.action)} – ${t(event.ok ? 'ok' : 'failed')}`} onClose=${onClose}>
    <${Facts} facts=${[
      [t('log-time'), `${when(event.time)} (${event.time})`],
      ...details.filter((field) => event[field]).map((field) => [t(`log-${field}`), only(field, event[field])]),
      [t('log-message'), html`<${Data} text=${messageOf(event)} />`],
      ...Object.entries(event).filter(([name]) => !['time', 'user', 'client', 'address', 'topic', 'action', 'ok', 'text', 'seq', 'event'].includes(name)).map(([name, value]) => [name, html`<span class="mono">${short(JSON.stringify(value))}</span>`]),
    ]} />
    <div class="form-actions">
      <${Button} icon="copy" onClick=${() => copy(JSON.stringify(event))}>${t('copy-json')}<//>
      ${event.client && html`<a class="button" href=${address('clients', { search: event.client })}><${Icon} name="clients" /><span>${t('to-client')}</span></a>`}
      ${why && html`<a class="button primary" href=${address('why', why)}><${Icon} name="why" /><span>${t('why')}</span></a>`}
    </div>
  <//>`;
}

