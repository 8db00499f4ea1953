// The list of the log: ten thousand lines, of which only those in sight are in the page. Plain DOM, because a thousand
// lines a second go by. A line is an event or a mark {mark: words}.
import { clock, day, t } from './i18n.js';
import { actionName, messageOf, topicOf } from './events.js';
import { visible } from './text.js';

const heldLines = 10_000;
const readLines = 30_000; // with older ones, as long as one reads
const around = 6; // rows drawn beyond the edges
const phone = matchMedia('(max-width: 720px)');
const longestValue = 300;

function element(kind, className, role) {
  const made = document.createElement(kind);
  made.className = className;
  if (role) made.setAttribute('role', role);
  return made;
}

export class LogList {
  // `pick(field, value)` filters by a value, `open(event)` shows one, `changed(state)` tells of following and unseen
  // lines, `older()` asks for earlier ones.
  constructor(scroller, { pick, open, changed, older }) {
    Object.assign(this, { scroller, pick, open, changed, older });
    this.lines = [];
    this.waiting = [];
    this.left = 0;
    this.following = true;
    this.pausedByHand = false;
    this.active = -1;
    this.rows = [];
    this.body = element('div', 'log-body', 'rowgroup');
    this.table = element('div', 'log-table', 'table');
    this.table.setAttribute('aria-label', t('page-log'));
    this.heading = this.makeHeading();
    this.table.append(this.heading, this.body);
    scroller.replaceChildren(this.table);
    this.watch = new ResizeObserver(() => this.measure());
    this.watch.observe(scroller);
    this.listeners = new AbortController();
    const listen = (target, name, act) => target.addEventListener(name, act, { signal: this.listeners.signal, passive: name === 'scroll' });
    listen(scroller, 'scroll', () => this.scrolled());
    listen(scroller, 'keydown', (event) => this.pressed(event));
    listen(scroller, 'click', (event) => this.clicked(event));
    listen(phone, 'change', () => this.measure());
    this.measure();
  }

  makeHeading() {
    const group = element('div', 'log-group', 'rowgroup');
    const row = element('div', 'log-row log-heading', 'row');
    for (const name of ['time', 'action', 'user', 'client', 'topic', 'message']) {
      const cell = element('div', `cell ${name}`, 'columnheader');
      cell.textContent = t(`log-${name}`);
      row.append(cell);
    }
    group.append(row);
    return group;
  }

  measure() {
    this.height = phone.matches ? 62 : 28;
    const wanted = Math.ceil(this.scroller.clientHeight / this.height) + 2 * around;
    while (this.rows.length < wanted) this.rows.push(this.makeRow());
    while (this.rows.length > wanted) this.rows.pop().root.remove();
    for (const row of this.rows) row.line = undefined;
    this.draw();
    if (this.following) this.toEnd();
  }

  makeRow() {
    const root = element('div', 'log-row', 'row');
    root.tabIndex = -1;
    const cell = (name) => {
      const made = element('div', `cell ${name}`, 'cell');
      root.append(made);
      return made;
    };
    const value = (name) => {
      const button = element('button', 'pick');
      button.type = 'button';
      button.tabIndex = -1;
      button.dataset.field = name;
      cell(name).append(button);
      return button;
    };
    const row = { root, time: cell('time'), action: value('action'), user: value('user'), client: value('client'), topic: value('topic'), message: cell('message'), line: undefined };
    this.body.append(root);
    return row;
  }

  append(events) {
    if (!events.length) return;
    if (!this.following) {
      const room = heldLines - this.waiting.length;
      for (const event of events.slice(0, room)) this.waiting.push(event);
      this.left += Math.max(0, events.length - room);
      this.tell();
      return;
    }
    for (const event of events) this.lines.push(event);
    this.trim();
    this.drawSoon();
  }

  // Earlier lines, oldest first; what one looks at stays where it is.
  prepend(events) {
    this.lines = [...events, ...this.lines];
    if (this.active >= 0) this.active += events.length;
    const top = this.scroller.scrollTop;
    this.resize();
    if (!this.following) this.scroller.scrollTop = top + events.length * this.height;
    this.draw();
    if (this.following) this.toEnd();
  }

  isFull() {
    return this.lines.length >= readLines;
  }

  clear() {
    this.lines = [];
    this.waiting = [];
    this.left = 0;
    this.active = -1;
    this.following = true;
    this.pausedByHand = false;
    this.draw();
    this.tell();
  }

  trim() {
    const surplus = this.lines.length - heldLines;
    if (surplus > 0) {
      this.lines.splice(0, surplus);
      this.active = Math.max(-1, this.active - surplus);
    }
  }

  pause(byHand = true) {
    if (!this.following) return;
    this.following = false;
    this.pausedByHand = byHand;
    this.tell();
  }

  follow() {
    this.following = true;
    this.pausedByHand = false;
    this.active = -1;
    for (const event of this.waiting) this.lines.push(event);
    if (this.left) this.lines.push({ mark: t('log-not-held', { count: this.left }) });
    this.waiting = [];
    this.left = 0;
    this.trim();
    this.draw();
    this.toEnd();
    this.tell();
  }

  tell() {
    this.changed({ following: this.following, unseen: this.waiting.length + this.left, lines: this.lines.length });
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.lastTop = this.scroller.scrollTop;
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const up = scrollTop < (this.lastTop ?? 0);
    this.lastTop = scrollTop;
    const atEnd = scrollHeight - scrollTop - clientHeight < this.height / 2;
    if (this.following && up && !atEnd) this.pause(false);
    else if (!this.following && !this.pausedByHand && !up && atEnd) this.follow();
    if (scrollTop < this.height * 4 && !this.following) this.older();
    this.draw();
  }

  pressed(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.height) - 2);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) this.activate((this.active < 0 ? this.lines.length - 1 - (this.following ? 0 : this.fromEnd()) : this.active) + (this.active < 0 ? 0 : steps[event.key]));
    else if (event.key === 'Home') this.activate(0);
    else if (event.key === 'End') this.follow();
    else if (event.key === ' ') this.following ? this.pause() : this.follow();
    else if (event.key === 'Enter' && this.active >= 0 && !event.target.matches('button')) this.openLine(this.lines[this.active]);
    else return;
    event.preventDefault();
  }

  // How many lines are below those in sight.
  fromEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return Math.max(0, Math.floor((scrollHeight - scrollTop - clientHeight) / this.height));
  }

  openLine(line) {
    if (line && !line.mark) this.open(line);
  }

  clicked(event) {
    const root = event.target.closest('.log-row');
    const row = this.rows.find((candidate) => candidate.root === root);
    if (!row?.line || row.line.mark) return;
    const field = event.target.closest('.pick')?.dataset.field;
    if (field) this.pick(field, row.line);
    else if (!String(getSelection())) this.openLine(row.line);
  }

  activate(index) {
    if (!this.lines.length) return;
    this.pause(false);
    this.active = Math.min(Math.max(0, index), this.lines.length - 1);
    const top = this.active * this.height;
    const seen = this.scroller.clientHeight - this.heading.offsetHeight;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + this.height > this.scroller.scrollTop + seen) this.scroller.scrollTop = top + this.height - seen;
    this.draw();
    const row = this.rows.find((candidate) => candidate.line === this.lines[this.active]);
    row?.root.focus({ preventScroll: true });
  }

  drawSoon() {
    this.awaited ??= requestAnimationFrame(() => {
      this.awaited = undefined;
      this.draw();
      if (this.following) this.toEnd();
      this.tell();
    });
  }

  resize() {
    const wanted = `${this.lines.length * this.height}px`;
    if (this.body.style.height !== wanted) this.body.style.height = wanted;
  }

  draw() {
    this.resize();
    const end = this.lines.length * this.height;
    const top = this.following ? Math.max(0, end - this.scroller.clientHeight) : this.scroller.scrollTop;
    const first = Math.max(0, Math.min(Math.floor(top / this.height) - around, this.lines.length - this.rows.length));
    this.table.setAttribute('aria-rowcount', this.lines.length + 1);
    for (let step = 0; step < this.rows.length; step += 1) {
      const index = first + step;
      this.fill(this.rows[index % this.rows.length], index);
    }
  }

  fill(row, index) {
    const line = this.lines[index];
    const { root } = row;
    root.hidden = !line;
    root.classList.toggle('active', index === this.active);
    root.style.transform = `translateY(${index * this.height}px)`;
    if (!line || row.line === line) return;
    row.line = line;
    root.setAttribute('aria-rowindex', index + 2);
    const mark = Boolean(line.mark);
    root.classList.toggle('mark', mark);
    root.classList.toggle('failed', !mark && !line.ok);
    row.time.textContent = mark ? '' : timeOf(line);
    put(row.action, mark ? '' : `${line.ok ? '' : '✕ '}${actionName(line.action)}`);
    put(row.user, line.user);
    put(row.client, line.client);
    put(row.topic, topicOf(line));
    row.message.textContent = mark ? line.mark : messageOf(line);
  }

  end() {
    this.listeners.abort();
    this.watch.disconnect();
    cancelAnimationFrame(this.awaited);
  }
}

function put(button, value) {
  const shown = value ? visible(value).slice(0, longestValue) : '';
  if (button.textContent !== shown) button.textContent = shown;
  button.hidden = !shown;
}

let today = '';
setInterval(() => {
  today = '';
}, 60_000);

function timeOf(line) {
  const at = Date.parse(line.time);
  today ||= new Date().toDateString();
  return new Date(at).toDateString() === today ? clock(at) : `${day(at)} ${clock(at)}`;
}
