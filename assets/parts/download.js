// A file that is made here: nothing is asked for a second time.
import { html } from '../vendor/preact.js';
import { t } from './i18n.js';
import { Button } from './ui.js';

export function Download({ name, text, type = 'application/x-pem-file', children }) {
  const save = () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name.replace(/[^\w.@-]/g, '_');
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  return html`<${Button} icon="download" onClick=${save}>${children ?? t('download')}<//>`;
}
