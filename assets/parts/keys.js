// Keys for programs: what each may do, until when, and the one time that a new one is seen.
import { html, useState } from '../vendor/preact.js';
import { get, post, remove, segment } from './api.js';
import { day, t, when } from './i18n.js';
import { Asked, Badge, Button, Card, Check, Confirm, Data, Dialog, Empty, Form, Input, Notice, Table, copy, say, useAsked } from './ui.js';
import { visible } from './text.js';

const scopes = ['read', 'publish', 'manage'];

export function Keys({ who }) {
  const asked = useAsked((abort) => get('/keys', {}, { signal: abort }), []);
  const [open, setOpen] = useState(null);
  const columns = [
    { key: 'name', name: t('key-name'), cell: (key) => html`<${Data} text=${key.name} limit=${100} />` },
    ...(who.role === 'Admin' ? [{ key: 'user', name: t('user'), cell: (key) => html`<${Data} text=${key.user} limit=${60} />` }] : []),
    { key: 'scopes', name: t('key-scopes'), cell: (key) => key.scopes.map((scope) => t(`scope-${scope}`)).join(', ') },
    { key: 'expires', name: t('valid-until'), cell: (key) => html`<span title=${when(key.expires)}>${day(key.expires)}</span> ${key.expired && html`<${Badge} kind="warn">${t('expired')}<//>`}` },
  ];
  return html`<${Card} title=${t('keys-programs')} actions=${html`<${Button} icon="plus" onClick=${() => setOpen({ add: true })}>${t('add-key')}<//>`}>
    <p>${t('keys-programs-what')} <code>Authorization: Bearer smq_…</code></p>
    <${Asked} asked=${asked} rows=${2}>${({ items, damaged }) => html`${damaged.map((id) => html`<${Notice} key=${id} kind="warn">${t('key-damaged', { id })} <${Button} icon="trash" onClick=${() => setOpen({ remove: { id, name: String(id) } })}>${t('remove-key', { name: id })}<//><//>`)}${items.length
      ? html`<${Table} caption=${t('keys-programs')} rows=${items} keyOf=${(key) => key.id} columns=${columns} actions=${(key) => html`<${Button} kind="quiet" icon="trash" aria-label=${t('remove-key', { name: visible(key.name) })} onClick=${() => setOpen({ remove: key })}>${t('revoke')}<//>`} />`
      : html`<${Empty} icon="key" title=${t('no-keys')} />`}`}<//>
    ${open?.add && html`<${Add} onClose=${() => { setOpen(null); asked.again(); }} />`}
    ${open?.remove && html`<${Confirm} title=${t('remove-key', { name: visible(open.remove.name) })} verb=${t('revoke')} onClose=${() => setOpen(null)}
      onConfirm=${async () => { await remove(`/keys/${segment(open.remove.id)}`); say(t('key-removed')); asked.again(); }}><p>${t('remove-key-what')}</p><//>`}
  <//>`;
}

function Add({ onClose }) {
  const [name, setName] = useState('');
  const [chosen, setChosen] = useState(['read']);
  const [days, setDays] = useState('90');
  const [made, setMade] = useState(null);
  if (made) {
    return html`<${Dialog} title=${t('key-made')} onClose=${onClose}>
      <${Notice} kind="warn">${t('key-shown-once')}<//>
      <div class="field"><label for="made-key">${t('key')}</label><input id="made-key" class="mono" readonly value=${made.key} /></div>
      <div class="form-actions"><${Button} icon="copy" onClick=${() => copy(made.key)}>${t('copy')}<//><${Button} kind="primary" onClick=${onClose}>${t('done')}<//></div>
    <//>`;
  }
  const turn = (scope) => (on) => setChosen(on ? [...chosen, scope] : chosen.filter((one) => one !== scope));
  const submit = async () => setMade(await post('/keys', { name, scopes: scopes.filter((scope) => chosen.includes(scope)), days: Number(days) }));
  return html`<${Dialog} title=${t('add-key')} onClose=${onClose}>
    <${Form} submit=${t('add-key')} cancel=${onClose} disabled=${!name || !chosen.length} onSubmit=${submit}>
      <${Input} label=${t('key-name')} hint=${t('key-name-hint')} value=${name} onValue=${setName} required autofocus />
      <div role="group" aria-label=${t('key-scopes')}>${scopes.map((scope) => html`<div key=${scope}><${Check} label=${t(`scope-${scope}-means`)} checked=${chosen.includes(scope)} onValue=${turn(scope)} /></div>`)}</div>
      <${Input} label=${t('valid-days')} type="number" min="1" max="366" value=${days} onValue=${setDays} required />
    <//>
  <//>`;
}
