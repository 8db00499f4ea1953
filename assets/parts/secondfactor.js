// The second factor of one's own login: a code of an app after the password, and codes for when the app is lost.
import { html, useState } from '../vendor/preact.js';
import { get, post } from './api.js';
import { CurrentPassword } from './confirm.js';
import { Download } from './download.js';
import { t } from './i18n.js';
import { Qr } from './qr.js';
import { Asked, Badge, Button, Card, Dialog, Form, Input, Notice, copy, say, useAsked } from './ui.js';

export function SecondFactor() {
  const asked = useAsked((abort) => get('/totp', {}, { signal: abort }), []);
  const [open, setOpen] = useState(null);
  const done = () => {
    setOpen(null);
    asked.again();
  };
  return html`<${Card} title=${t('totp')}>
    <p>${t('totp-what')}</p>
    <${Asked} asked=${asked} rows=${1}>${({ enabled, recovery_left: left }) => html`<div class="actions">
      ${enabled
        ? html`<${Badge} kind="ok">${t('totp-on')}<//><span class="muted">${t('totp-left', { count: left })}</span><${Button} icon="trash" onClick=${() => setOpen('remove')}>${t('totp-remove')}<//>`
        : html`<${Badge}>${t('totp-off')}<//><${Button} icon="key" onClick=${() => setOpen('begin')}>${t('totp-begin')}<//>`}
    </div>`}<//>
    ${open === 'begin' && html`<${Begin} onClose=${done} />`}
    ${open === 'remove' && html`<${Remove} onClose=${done} />`}
  <//>`;
}

// Password, secret, proof, recovery codes: each step is left for the next only.
function Begin({ onClose }) {
  const [password, setPassword] = useState('');
  const [secret, setSecret] = useState(null);
  const [code, setCode] = useState('');
  const [recovery, setRecovery] = useState(null);
  if (recovery) return html`<${Recovery} codes=${recovery} onClose=${onClose} />`;
  if (!secret) {
    return html`<${Dialog} title=${t('totp')} onClose=${onClose}>
      <${Form} submit=${t('go-on')} cancel=${onClose} disabled=${!password} onSubmit=${async () => setSecret(await post('/totp', { password }))}>
        <p>${t('totp-password')}</p><${CurrentPassword} value=${password} onValue=${setPassword} />
      <//><//>`;
  }
  const prove = async () => setRecovery((await post('/totp/confirm', { code: code.replace(/\s/g, '') })).recovery);
  return html`<${Dialog} title=${t('totp')} onClose=${onClose}>
    <${Form} submit=${t('totp-prove')} cancel=${onClose} disabled=${!code} onSubmit=${prove}>
      <p>${t('totp-scan')}</p>
      <${Qr} text=${secret.uri} label=${t('totp-code-image')} />
      <p class="hint">${t('totp-typed')} <bdi class="data">${secret.secret}</bdi> <${Button} kind="quiet small" icon="copy" label=${t('copy')} onClick=${() => copy(secret.secret)} /></p>
      <${Input} label=${t('totp-code')} mono value=${code} onValue=${setCode} inputmode="numeric" autocomplete="one-time-code" required autofocus />
    <//>
  <//>`;
}

function Recovery({ codes, onClose }) {
  return html`<${Dialog} title=${t('totp-recovery')} onClose=${onClose}>
    <${Notice} kind="warn">${t('totp-recovery-once')}<//>
    <ul class="codes">${codes.map((code) => html`<li key=${code}>${code}</li>`)}</ul>
    <div class="form-actions">
      <${Button} icon="copy" onClick=${() => copy(codes.join('\n'))}>${t('copy')}<//>
      <${Download} name="securemq-recovery.txt" text=${`${codes.join('\n')}\n`} type="text/plain" />
      <${Button} kind="primary" onClick=${onClose}>${t('done')}<//>
    </div>
  <//>`;
}

function Remove({ onClose }) {
  const [password, setPassword] = useState('');
  const submit = async () => {
    await post('/totp/remove', { password });
    say(t('totp-removed'));
    onClose();
  };
  return html`<${Dialog} title=${t('totp-remove')} onClose=${onClose}>
    <${Form} submit=${t('totp-remove')} kind="danger" cancel=${onClose} disabled=${!password} onSubmit=${submit}>
      <p>${t('totp-remove-what')}</p><${CurrentPassword} value=${password} onValue=${setPassword} />
    <//>
  <//>`;
}
