// One field that finds everything: arrows choose, Enter goes there. It takes what is typed at once; how to find is loaded
// when it is first opened.
import { html, useEffect, useId, useMemo, useRef, useState } from '../vendor/preact.js';
import { t } from './i18n.js';
import { Dialog, Icon, explain, useRested } from './ui.js';

export function Search({ who, onClose }) {
  const [term, setTerm] = useState('');
  const [groups, setGroups] = useState([]);
  const [chosen, setChosen] = useState(0);
  const rested = useRested(term.trim(), 200);
  const loading = useMemo(() => import('./finder.js').then(({ Finder }) => new Finder(who)), []);
  const id = useId();
  const field = useRef();
  useEffect(() => field.current.focus(), []);
  useEffect(() => {
    setChosen(0);
    if (!rested) {
      setGroups([]);
      return undefined;
    }
    const abort = new AbortController();
    const found = [];
    const look = async ({ kind, icon, find }, index) => {
      let group;
      try {
        group = { kind, icon, items: await find(rested, abort.signal) };
      } catch (refusal) {
        // What is no filter, no topic or no name finds nothing.
        group = { kind, icon, items: [], refusal: refusal.status === 422 ? undefined : refusal };
      }
      if (abort.signal.aborted) return;
      found[index] = group;
      setGroups(found.filter(Boolean));
    };
    loading.then(
      (finder) => abort.signal.aborted || finder.kinds().forEach(look),
      () => setGroups([{ kind: 'pages', items: [], refusal: { status: 0, code: 'unreachable' } }]),
    );
    return () => abort.abort();
  }, [rested]);
  const items = groups.flatMap((group) => group.items);
  const at = Math.min(chosen, items.length - 1);
  const optionId = (item) => `${id}-${items.indexOf(item)}`;
  const pressed = (event) => {
    if (event.key === 'ArrowDown') setChosen((at + 1) % Math.max(1, items.length));
    else if (event.key === 'ArrowUp') setChosen((at - 1 + items.length) % Math.max(1, items.length));
    else if (event.key === 'Enter' && items[at]) {
      onClose();
      location.hash = items[at].href;
    } else return;
    event.preventDefault();
  };
  useEffect(() => document.getElementById(`${id}-${at}`)?.scrollIntoView({ block: 'nearest' }), [at]);
  const shown = groups.filter((group) => group.items.length || group.refusal);
  return html`<${Dialog} title=${t('search')} kind="wide search" onClose=${onClose}>
    <input type="text" ref=${field} role="combobox" aria-label=${t('search-all')} placeholder=${t('search-all')} autocomplete="off" spellcheck="false" autofocus aria-autocomplete="list"
      aria-expanded=${items.length ? 'true' : 'false'} aria-controls=${`${id}-found`} aria-activedescendant=${items[at] ? `${id}-${at}` : undefined}
      value=${term} onInput=${(event) => setTerm(event.currentTarget.value)} onKeyDown=${pressed} />
    <div class="found" role="listbox" id=${`${id}-found`} aria-label=${t('found')}>
      ${shown.map((group) => html`<div role="group" key=${group.kind} aria-label=${t(`found-${group.kind}`)}>
        <p class="found-kind" aria-hidden="true">${t(`found-${group.kind}`)}</p>
        ${group.items.map((item) => html`<a role="option" id=${optionId(item)} key=${item.key} href=${item.href} tabindex="-1" aria-selected=${items[at] === item ? 'true' : 'false'} onClick=${onClose}>
          <${Icon} name=${group.icon} /><bdi>${item.label}</bdi><small>${item.more}</small></a>`)}
        ${group.refusal && html`<p class="hint" role="option" aria-disabled="true" aria-selected="false">${explain(group.refusal)}</p>`}
      </div>`)}
    </div>
    <p class="hint" role="status">${!rested ? t('search-hint') : t('found-count', { count: items.length })}</p>
  <//>`;
}
