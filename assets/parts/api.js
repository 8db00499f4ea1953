// The broker's administration: every question to it and every refusal goes through here.
import { effect, signal } from '../vendor/preact.js';
import { recall, remember } from './memory.js';

const base = '/api/v1';

// `undefined` while unknown, `null` when nobody is logged in.
export const session = signal(undefined);
// Whether it was there and ran out.
export const expired = signal(false);
// Whether the broker answers.
export const reachable = signal(true);

// What the page asks by itself does not keep a session that nobody uses: those requests say so.
const attention = 30_000;
let used = Date.now();
for (const name of ['pointerdown', 'keydown', 'wheel']) addEventListener(name, () => { used = Date.now(); }, { passive: true });

export class Refusal extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.title ?? problem.code ?? String(status));
    this.status = status;
    this.code = problem.code ?? `status-${status}`;
    this.detail = problem.detail;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

// Set while somebody is asked for the password again; called with whether it was given.
export const confirming = signal(null);

export function url(path, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false);
  const search = new URLSearchParams(kept).toString();
  return `${base}${path}${search ? `?${search}` : ''}`;
}

export function segment(text) {
  return encodeURIComponent(text);
}

// What may not be done without the password is done after it was given.
async function send(method, path, options) {
  try {
    return await attempt(method, path, options);
  } catch (refusal) {
    if (refusal.code !== 'confirm-required' || !(await askForPassword())) throw refusal;
    return attempt(method, path, options);
  }
}

function askForPassword() {
  return new Promise((resolve) => {
    confirming.value = (is) => {
      confirming.value = null;
      resolve(is);
    };
  });
}

export async function confirmSession(password) {
  session.value = await post('/session/confirm', { password });
}

async function attempt(method, path, { query, body, headers, signal: abort } = {}) {
  const request = { method, headers: { Accept: 'application/json', ...headers }, credentials: 'same-origin', signal: abort };
  if (body !== undefined) {
    request.headers['Content-Type'] = 'application/json';
    request.body = JSON.stringify(body);
  }
  if (method !== 'GET' && session.value?.csrf) request.headers['X-CSRF-Token'] = session.value.csrf;
  if (Date.now() - used > attention) request.headers['X-Background'] = '1';
  let answer;
  try {
    answer = await fetch(url(path, query), request);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    reachable.value = false;
    throw new Refusal(0, { code: 'unreachable' });
  }
  reachable.value = true;
  // A change may be stored and yet not hold: that is told like a refusal, too.
  if (answer.ok && !answer.headers.get('Content-Type')?.startsWith('application/problem+json')) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (problem.code === 'broker-stopped') noticeStopped();
  const retryAfter = Number(answer.headers.get('Retry-After')) || undefined;
  if (problem.code === 'not-logged-in' && path !== '/session') {
    if (session.value) expired.value = true;
    session.value = null;
  }
  throw new Refusal(answer.status, problem, retryAfter);
}

// Where the pages are a program of their own, the broker may start and stop while they are open.
function noticeStopped() {
  if (session.value?.broker === 'running') refreshSession().catch(() => {});
}

async function value(answer) {
  if (answer.status === 204) return null;
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

export const get = async (path, query, options) => value(await send('GET', path, { query, ...options }));
export const post = async (path, body = {}) => value(await send('POST', path, { body }));
export const put = async (path, body, headers) => value(await send('PUT', path, { body, headers }));
export const remove = async (path, body) => value(await send('DELETE', path, { body }));
export const patch = async (path, body, tag) => value(await send('PATCH', path, { body, headers: tag ? { 'If-Match': tag } : {} }));

// With the tag that a change must name, so that of two who edit at once the second is told.
export async function getTagged(path) {
  const answer = await send('GET', path);
  return { value: await value(answer), tag: answer.headers.get('ETag') };
}

export async function refreshSession() {
  try {
    session.value = await get('/session');
    expired.value = false;
  } catch (refusal) {
    if (refusal.status === 0) throw refusal;
    if (session.value) expired.value = true;
    session.value = null;
  }
  return session.value;
}

// Whether this browser has logged in; the cookie itself cannot be read, and asking without one is an error in the console.
export async function resumeSession() {
  if (recall('logged-in') === 'yes') await refreshSession();
  else session.value = null;
}

effect(() => {
  if (session.value !== undefined) remember('logged-in', session.value ? 'yes' : 'no');
});

export async function logIn(user, password, code) {
  const opened = await post('/login', { user, password, code });
  expired.value = false;
  session.value = opened?.csrf ? opened : await get('/session');
}

export async function logOut() {
  try {
    await post('/logout');
  } finally {
    session.value = null;
    expired.value = false;
  }
}
