// One's own login: the second factor, the sessions in browsers, the keys of programs, and the way out.
import { html, useState } from '../vendor/preact.js';
import { get, logOut, remove, segment, refreshSession } from '../parts/api.js';
import { ago, t, when } from '../parts/i18n.js';
import { Keys } from '../parts/keys.js';
import { SecondFactor } from '../parts/secondfactor.js';
import { roleName } from '../parts/shell.js';
import { Asked, Badge, Button, Card, Confirm, Data, Facts, Page, Table, say, useAsked } from '../parts/ui.js';

export default function Account({ who }) {
  return html`<${Page} title=${t('page-account')} actions=${html`<${Button} icon="logout" onClick=${logOut}>${t('log-out')}<//>`}>
    <${Card} title=${t('logged-in-as')}><${Facts} facts=${[
      [t('user'), html`<${Data} text=${who.user} />`],
      [t('role'), roleName(who.role)],
      [t('since'), when(who.since)],
      [t('session-until'), when(who.absolute_until)],
      [t('encryption'), who.encrypted ? html`<${Badge} kind="ok">${t('encrypted')}<//>` : html`<${Badge} kind="warn">${t('not-encrypted')}<//>`],
    ]} /><//>
    <${SecondFactor} />
    <${Sessions} />
    <${Keys} who=${who} />
  <//>`;
}

function Sessions() {
  const asked = useAsked((abort) => get('/sessions', {}, { signal: abort }), []);
  const [asking, setAsking] = useState(false);
  const end = async (one) => {
    await remove(`/sessions/${segment(one.id)}`);
    say(t('session-closed'));
    if (one.current) refreshSession();
    else asked.again();
  };
  return html`<${Card} title=${t('browser-sessions')} actions=${html`<${Button} icon="logout" onClick=${() => setAsking(true)}>${t('log-out-everywhere')}<//>`}>
    <${Asked} asked=${asked}>${(answer) => html`<${Table} caption=${t('browser-sessions')} rows=${answer.items ?? answer} keyOf=${(one) => one.id} columns=${[
      { key: 'since', name: t('since'), cell: (one) => html`<span title=${when(one.since)}>${ago(one.since)}</span>` },
      { key: 'address', name: t('address'), cell: (one) => html`<span class="nowrap"><${Data} text=${one.address} /></span>` },
      { key: 'agent', name: t('browser'), cell: (one) => html`<${Data} text=${one.browser} limit=${80} />` },
      { key: 'current', name: t('state'), cell: (one) => one.current && html`<${Badge} kind="ok">${t('this-browser')}<//>` },
    ]} actions=${(one) => html`<${Button} icon="logout" onClick=${() => end(one)}>${t('log-out')}<//>`} />`}<//>
    ${asking && html`<${Confirm} title=${t('log-out-everywhere')} verb=${t('log-out-everywhere')} onClose=${() => setAsking(false)} onConfirm=${async () => { await remove('/sessions'); refreshSession(); }}><p>${t('log-out-everywhere-what')}</p><//>`}
  <//>`;
}
