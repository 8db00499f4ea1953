// Where one is: the part of the address after `#`, with its filters, so that Back, links and bookmarks work.
import { signal } from '../vendor/preact.js';

function read() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  return { parts: path.split('/').filter(Boolean).map(decode), query: Object.fromEntries(new URLSearchParams(query)) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand
  }
}

// Every link that is followed is another visit: a page of the same kind begins anew there.
export const route = signal({ ...read(), visit: 0 });

addEventListener('hashchange', () => {
  route.value = { ...read(), visit: route.value.visit + 1 };
});

export function address(parts, query = {}) {
  const path = [].concat(parts).map(encodeURIComponent).join('/');
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false);
  const search = new URLSearchParams(kept).toString();
  return `#/${path}${search ? `?${search}` : ''}`;
}

export function go(parts, query) {
  location.hash = address(parts, query);
}

// Changes the filters of this page without a step in the history.
export function setQuery(changes) {
  const now = route.value;
  history.replaceState(null, '', address(now.parts, { ...now.query, ...changes }));
  route.value = { ...read(), visit: now.visit };
}
