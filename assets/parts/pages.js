// Which pages there are, and for whom.

const everyone = ['Admin', 'Teacher', 'Student'];
const staff = ['Admin', 'Teacher'];
const admin = ['Admin'];

export const pages = [
  { path: '', icon: 'home', roles: ['Teacher', 'Student'], load: () => import('../views/home.js'), key: 'h' },
  { path: 'overview', icon: 'overview', roles: admin, load: () => import('../views/overview.js'), key: 'o' },
  { path: 'log', icon: 'log', roles: everyone, load: () => import('../views/log.js'), key: 'l' },
  { path: 'clients', icon: 'clients', roles: staff, load: () => import('../views/clients.js'), key: 'c' },
  { path: 'topics', icon: 'topics', roles: everyone, load: () => import('../views/topics.js'), key: 't' },
  { path: 'publish', icon: 'publish', roles: everyone, load: () => import('../views/publish.js'), key: 'p' },
  { path: 'users', icon: 'users', roles: admin, load: () => import('../views/users.js'), key: 'u' },
  { path: 'classes', icon: 'classes', roles: staff, load: () => import('../views/classes.js'), key: 'e' },
  { path: 'rules', icon: 'rules', roles: admin, load: () => import('../views/rules.js'), key: 'r' },
  { path: 'why', icon: 'why', roles: everyone, load: () => import('../views/why.js'), key: 'w' },
  { path: 'certificates', icon: 'certificates', roles: admin, load: () => import('../views/certificates.js'), key: 'k' },
  { path: 'settings', icon: 'settings', roles: admin, load: () => import('../views/settings.js'), key: 's' },
  { path: 'account', icon: 'account', roles: everyone, aside: true, load: () => import('../views/account.js'), key: 'a' },
  { path: 'about', icon: 'about', roles: everyone, load: () => import('../views/about.js'), key: 'b' },
];

// A role that was added by the administrator is treated as the least of ours; the broker decides what it may see.
function known(role) {
  return everyone.includes(role) ? role : 'Student';
}

export function pagesOf(role) {
  return pages.filter((page) => page.roles.includes(known(role)));
}

export function pageAt(parts, role) {
  const offered = pagesOf(role);
  if (!parts.length) return offered[0];
  return offered.find((page) => page.path === parts[0]);
}

export function titleKey(page) {
  return `page-${page.path || 'home'}`;
}
