// Whoever does what cannot be undone gives the password again, once for some minutes.
import { html, useState } from '../vendor/preact.js';
import { confirming, confirmSession, session } from './api.js';
import { t } from './i18n.js';
import { Dialog, Form, Input } from './ui.js';

export function Confirmation() {
  const [password, setPassword] = useState('');
  const waiting = confirming.value;
  if (!waiting) return null;
  const answer = (is) => {
    setPassword('');
    waiting(is);
  };
  const submit = async () => {
    await confirmSession(password);
    answer(true);
  };
  return html`<${Dialog} title=${t('confirm-again')} onClose=${() => answer(false)}>
    <${Form} submit=${t('go-on')} onSubmit=${submit} cancel=${() => answer(false)} disabled=${!password}>
      <p>${t('confirm-again-what')}</p>
      <${CurrentPassword} value=${password} onValue=${setPassword} />
    <//>
  <//>`;
}

// One's own password; whose it is is said to what keeps passwords.
export function CurrentPassword({ value, onValue }) {
  return html`<input class="hidden" type="text" name="username" autocomplete="username" tabindex="-1" aria-hidden="true" value=${session.value?.user} readonly />
    <${Input} label=${t('password')} type="password" name="current" autocomplete="current-password" value=${value} onValue=${onValue} required autofocus />`;
}
