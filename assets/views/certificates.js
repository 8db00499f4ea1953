// Certificates: how long they hold, and a new one for a user.
import { html, useState } from '../vendor/preact.js';
import { get, post } from '../parts/api.js';
import { Download } from '../parts/download.js';
import { day, number, t } from '../parts/i18n.js';
import { Asked, Badge, Button, Data, Dialog, Empty, Form, Input, Notice, Page, Table, copy, useAsked } from '../parts/ui.js';
import { visible } from '../parts/text.js';

const purposes = ['authority', 'server', 'client'];

export default function Certificates() {
  const asked = useAsked(async (abort) => {
    const answer = await get('/certificates', {}, { signal: abort });
    return answer.items ?? answer;
  }, []);
  const [open, setOpen] = useState(null);
  return html`<${Page} title=${t('page-certificates')} lead=${t('certificates-lead')} actions=${html`<${Button} icon="plus" kind="primary" onClick=${() => setOpen({})}>${t('issue')}<//>`}>
    <${Asked} asked=${asked}>${(items) => (items.length
      ? html`<${Table} caption=${t('page-certificates')} rows=${items} keyOf=${(one) => one.fingerprint} columns=${[
          { key: 'name', name: t('certificate-of'), cell: (one) => html`<${Data} text=${one.name} />` },
          { key: 'kind', name: t('purpose'), cell: (one) => purposes.includes(one.purpose) ? t(`purpose-${one.purpose}`) : visible(one.purpose) },
          { key: 'until', name: t('valid-until'), cell: (one) => day(one.expires) },
          { key: 'left', name: t('days-left'), number: true, cell: (one) => html`<${Left} days=${one.days_left} />` },
          { key: 'fingerprint', name: t('fingerprint'), cell: (one) => html`<${Data} text=${one.fingerprint} limit=${23} />` },
        ]} />`
      : html`<${Empty} icon="certificates" title=${t('no-certificates')} />`)}<//>
    ${open && html`<${Issue} onClose=${() => { setOpen(null); asked.again(); }} />`}
  <//>`;
}

function Left({ days }) {
  if (days === undefined || days === null) return '–';
  const kind = days < 7 ? 'danger' : days < 30 ? 'warn' : 'ok';
  return html`<${Badge} kind=${kind}>${t('days', { count: days })}<//>`;
}

function Issue({ onClose }) {
  const [user, setUser] = useState('');
  const [days, setDays] = useState('365');
  const [made, setMade] = useState(null);
  const people = useAsked((abort) => get('/users', { limit: 200 }, { signal: abort }), []);
  if (made) {
    return html`<${Dialog} title=${t('issued')} kind="wide" onClose=${onClose}>
      <${Notice} kind="warn">${t(made.key ? 'key-once' : 'key-known')}<//>
      ${['certificate', 'key'].filter((name) => made[name]).map((name) => html`<div class="field" key=${name}><label for=${`pem-${name}`}>${t(`pem-${name}`)}</label><textarea id=${`pem-${name}`} class="mono" readonly value=${made[name]}></textarea>
        <div class="actions"><${Button} icon="copy" onClick=${() => copy(made[name])}>${t('copy')}<//><${Download} name=${`${user}.${name === 'key' ? 'key' : `${name}.crt`}`} text=${made[name]} /></div></div>`)}
    <//>`;
  }
  return html`<${Dialog} title=${t('issue')} onClose=${onClose}>
    <${Form} submit=${t('issue')} cancel=${onClose} onSubmit=${async () => setMade(await post('/certificates', { user, days: Number(days) }))}>
      <${Input} label=${t('user')} value=${user} onValue=${setUser} list="certificate-people" required autofocus />
      <datalist id="certificate-people">${(people.value?.items ?? []).map(({ name }) => html`<option value=${name} key=${name} />`)}</datalist>
      <${Input} label=${t('valid-days')} type="number" min="1" max="3650" value=${days} onValue=${setDays} required />
      <p class="hint">${t('issue-hint', { days: number(Number(days) || 0) })}</p>
    <//>
  <//>`;
}
