// What this is, and whose work is in it.
import { html } from '../vendor/preact.js';
import { t } from '../parts/i18n.js';
import { Card, Facts, Page } from '../parts/ui.js';
import { visible } from '../parts/text.js';

export default function About({ who }) {
  return html`<${Page} title=${t('page-about')}>
    <${Card} title="securemq"><div class="prose"><p>${t('about-what')}</p><p>${t('about-private')}</p></div>
      <${Facts} facts=${[[t('version'), visible(who.version ?? '–')], [t('licence'), 'MIT'], ['API', html`<a href="/api/v1/openapi.json">OpenAPI</a>`]]} />
    <//>
    <${Card} title=${t('about-parts')}><${Facts} facts=${[
      ['Preact 11.2', 'MIT'], ['htm 3.1', 'Apache-2.0'], ['Preact Signals 2.11', 'MIT'], ['uPlot 1.6', 'MIT'], ['lean-qr 2.7', 'MIT'],
    ]} /><//>
  <//>`;
}
