// Begins: learns the words and who is logged in, then shows the page that the address names.
import { html, render, useEffect, useState } from './vendor/preact.js';
import { expired, resumeSession, session } from './parts/api.js';
import { language, speak, t } from './parts/i18n.js';
import { learnLook } from './parts/look.js';
import { pageAt } from './parts/pages.js';
import { route } from './parts/router.js';
import { Shell } from './parts/shell.js';
import { colours } from './parts/theme.js';
import { Empty, Loading, Page, Problem } from './parts/ui.js';

function App() {
  const who = session.value;
  const [refusal, setRefusal] = useState(null);
  const begin = () => resumeSession().then(() => setRefusal(null), setRefusal);
  useEffect(() => void begin(), []);
  if (refusal && !who) return html`<main class="alone"><${Problem} refusal=${refusal} again=${begin} /></main>`;
  if (who === undefined) return html`<main class="alone"><${Loading} /></main>`;
  if (who === null) return html`<${LogIn} />`;
  return html`<${Shell}><${View} who=${who} key=${who.user} /><//>`;
}

// Whoever is logged in does not need it.
function LogIn() {
  const [view, setView] = useState(null);
  useEffect(() => void import('./views/login.js').then(({ Login }) => setView(() => Login)), []);
  return view ? html`<${view} expired=${expired.value} />` : html`<main class="alone"><${Loading} /></main>`;
}

// Views are loaded when they are first needed.
function View({ who }) {
  const { parts, query, visit } = route.value;
  const page = pageAt(parts, who.role);
  const [loaded, setLoaded] = useState({});
  useEffect(() => {
    let left = false; // what was left before it came must not take the place of what is there
    page?.load().then(
      (view) => left || setLoaded({ page, view: view.default }),
      () => left || setLoaded({ page, failed: true }),
    );
    return () => {
      left = true;
    };
  }, [page]);
  if (!page) return html`<${Page} title=${t('not-found')}><${Empty} icon="search" title=${t('not-found-title')}><a href="#/">${t('to-home')}</a><//><//>`;
  if (loaded.page !== page) return html`<${Loading} />`;
  if (loaded.failed) return html`<${Problem} refusal=${{ status: 0, code: 'unreachable' }} again=${() => location.reload()} />`;
  return html`<${loaded.view} who=${who} parts=${parts.slice(1)} query=${query} colours=${colours()} key=${visit} />`;
}

await Promise.all([speak(language.value), learnLook()]);
render(html`<${App} />`, document.getElementById('app'));
