// Logging in. It does not tell whether a user exists, and comes back to the page one was on.
import { html, useEffect, useState } from '../vendor/preact.js';
import { logIn } from '../parts/api.js';
import { language, languages, speak, t } from '../parts/i18n.js';
import { Choice, Mark } from '../parts/shell.js';
import { theme, themes } from '../parts/theme.js';
import { Button, Icon, Input, explain } from '../parts/ui.js';

export function Login({ expired }) {
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [shown, setShown] = useState(false);
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState(null);
  const [wait, setWait] = useState(0);
  // The code of an app, or one for when it is lost; asked for when the password was right.
  const [code, setCode] = useState(null);
  useEffect(() => {
    document.title = `${t('log-in')} – securemq`;
  }, [language.value]);
  // Not by autofocus: the browser complains of that if somebody was faster.
  useEffect(() => {
    if (document.activeElement === document.body) document.querySelector('[name=username]')?.focus();
  }, []);
  useEffect(() => {
    if (wait <= 0) return undefined;
    const timer = setTimeout(() => setWait(wait - 1), 1000);
    return () => clearTimeout(timer);
  }, [wait]);
  useEffect(() => {
    if (code === '') document.querySelector('[name=code]')?.focus();
  }, [code === null]);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setRefusal(null);
    try {
      await logIn(user, password, code?.trim() || undefined);
    } catch (problem) {
      refused(problem);
    }
    setBusy(false);
  };
  const refused = (problem) => {
    if (problem.status === 429) setWait(problem.retryAfter ?? 30);
    if (problem.code === 'totp-required') return setCode('');
    setRefusal(problem);
    if (problem.code === 'totp-wrong') return setCode('');
    setPassword('');
    return setCode(null);
  };
  const throttled = wait > 0;
  return html`<main class="login">
    <div class="login-card">
      <div class="login-brand"><${Mark} /><h1>securemq</h1></div>
      <p class="lead">${t(code !== null ? 'problem-totp-required' : expired ? 'log-in-expired' : 'log-in-lead')}</p>
      <form onSubmit=${submit}>
        ${code !== null && html`<${Input} label=${t('totp-code')} hint=${t('totp-code-hint')} value=${code} onValue=${setCode} name="code" mono autocomplete="one-time-code" autocapitalize="none" required autofocus key="code" />
          <div class="actions"><${Button} kind="quiet" onClick=${() => { setCode(null); setPassword(''); }}>${t('totp-back')}<//></div>`}
        <div hidden=${code !== null}><${Input} label=${t('user')} value=${user} onValue=${setUser} name="username" autocomplete="username" autocapitalize="none" required /></div>
        <div class="password" hidden=${code !== null}>
          <${Input} label=${t('password')} value=${password} onValue=${setPassword} name="password" type=${shown ? 'text' : 'password'} autocomplete="current-password" required />
          <${Button} kind="quiet" onClick=${() => setShown(!shown)} aria-pressed=${shown ? 'true' : 'false'}>${t(shown ? 'hide' : 'show')}<//>
        </div>
        <div role="alert">
          ${throttled ? html`<p class="field-error"><${Icon} name="warning" />${t('log-in-wait', { count: wait })}</p>` : refusal && html`<p class="field-error"><${Icon} name="cross" />${explain(refusal)}</p>`}
        </div>
        <button type="submit" class="button primary full" disabled=${busy || throttled} aria-busy=${busy ? 'true' : undefined}><span>${t('log-in')}</span></button>
      </form>
      ${location.protocol === 'http:' && html`<p class="hint"><${Icon} name="unlock" /> ${t('log-in-plain')}</p>`}
    </div>
    <div class="login-choices">
      <${Choice} icon="theme" label=${t('theme')} value=${theme.value} options=${themes.map((name) => [name, t(`theme-${name}`)])} onValue=${(name) => { theme.value = name; }} />
      <${Choice} icon="language" label=${t('language')} value=${language.value} options=${Object.entries(languages)} onValue=${speak} />
    </div>
  </main>`;
}
