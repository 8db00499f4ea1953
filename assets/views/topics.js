// What is said where: a tree of topics with the last value, and what the broker keeps.
import { html, useEffect, useMemo, useRef, useState } from '../vendor/preact.js';
import { get, post, put, remove } from '../parts/api.js';
import { useFeed } from '../parts/feed.js';
import { ago, number, rate, t, when } from '../parts/i18n.js';
import { Payload, bytesOf, payloadLine } from '../parts/payload.js';
import { address, setQuery } from '../parts/router.js';
import { TopicTree } from '../parts/topictree.js';
import { Badge, Button, Card, Confirm, Data, Dialog, Empty, Facts, Form, Icon, Input, Notice, Page, Problem, Select, say, useAsked, useEvery, useRested } from '../parts/ui.js';
import { base64UrlOfText, short, textOfBytes, visible } from '../parts/text.js';

const mostRows = 1500;
const mostPages = 20;
const mostHeld = 5000; // of a pause, the latest
const shownInPreview = 10;

export default function Topics({ who, query }) {
  const everything = who.role === 'Admin' ? '#' : '';
  const [filter, setFilter] = useState(query.filter ?? everything);
  const rested = useRested(filter, 500);
  const [search, setSearch] = useState('');
  const [order, setOrder] = useState('name');
  const tree = useMemo(() => new TopicTree(), [rested]);
  const [, redraw] = useState(0);
  const [paused, setPaused] = useState(false);
  const [selected, setSelected] = useState(query.topic ?? null);
  const [clearing, setClearing] = useState(null);
  const changed = useRef(true);
  const held = useRef([]);
  const drawn = useRef(0);
  useEffect(() => setQuery({ filter: rested === everything ? '' : rested }), [rested]);
  // Nobody else may listen to everything: a teacher begins with the own class, a student with the own topics.
  useEffect(() => {
    if (filter || everything) return;
    get('/me').then(({ classes: [first] }) => {
      if (first) setFilter((typed) => typed || (first.topics.own ?? first.topics.all));
    }, () => {}); // the field can be filled in by hand
  }, []);
  const feed = useFeed([rested].filter(Boolean), (messages) => {
    if (paused) {
      const now = Date.now();
      held.current = [...held.current, ...messages.map((message) => [message, now])].slice(-mostHeld);
      return;
    }
    for (const message of messages) tree.take(message);
    changed.current = true;
  });
  const stored = useAsked((abort) => loadRetained(rested, tree, abort), [rested]);
  useEffect(() => {
    changed.current = true;
  }, [stored.value]);
  useEvery(250, () => {
    // Rates fade when nothing comes.
    if (!changed.current && Date.now() - drawn.current < 1000) return;
    changed.current = false;
    drawn.current = Date.now();
    redraw((before) => before + 1);
  });
  const resume = () => {
    for (const [message, now] of held.current) tree.take(message, now);
    held.current = [];
    changed.current = true;
    setPaused(false);
  };
  const choose = (topic) => {
    setSelected(topic);
    setQuery({ topic });
  };
  if (selected !== null) tree.reveal(selected);
  const node = selected === null ? null : tree.find(selected);
  tree.openOnly();
  const rows = tree.rows(search, order);
  return html`<${Page} title=${t('page-topics')} lead=${t('topics-lead')} actions=${html`
      ${feed.link === 'open' ? html`<${Badge} kind="ok">${t('link-open')}<//>` : html`<${Badge} kind="warn">${t(`link-${feed.link}`)}<//>`}
      <${Button} icon=${paused ? 'play' : 'pause'} onClick=${() => (paused ? resume() : setPaused(true))}>${t(paused ? 'resume' : 'pause')}<//>`}>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Input} label=${t('filter')} mono value=${filter} onValue=${setFilter} placeholder="a/+/#" title=${t('filter-hint')} />
      <${Input} label=${t('search-topics')} type="search" mono value=${search} onValue=${setSearch} data-search />
      <${Select} label=${t('order')} value=${order} onValue=${setOrder} options=${[['name', t('by-name')], ['rate', t('by-rate')]]} />
    </form>
    ${feed.refused.length > 0 && html`<${Notice} kind="warn">${t('not-allowed-filter')} ${feed.refused.map((one) => html`<bdi class="data">${short(one, 120)}</bdi> `)}<//>`}
    ${feed.dropped > 0 && html`<${Notice} kind="warn">${t('feed-dropped', { count: feed.dropped })} ${t('feed-dropped-counts')}<//>`}
    ${stored.refusal && html`<${Problem} refusal=${stored.refusal} again=${stored.again} />`}
    <div class="split">
      <div>
        ${rows.length
          ? html`<${Tree} rows=${rows.slice(0, mostRows)} tree=${tree} selected=${selected} choose=${choose} redraw=${() => redraw((before) => before + 1)} />`
          : html`<div class="card"><${Empty} icon="topics" title=${t(search ? 'no-topics-found' : 'no-topics')}>${t('no-topics-hint')}<//></div>`}
        <p class="muted small">${t('topics-count', { count: tree.nodes })}${rows.length > mostRows ? ` · ${t('topics-cut', { count: mostRows })}` : ''}${tree.forgotten ? ` · ${t('topics-forgotten', { count: tree.forgotten })}` : ''}</p>
      </div>
      ${node ? html`<${Value} node=${node} perSecond=${tree.rate(node, Date.now())} turn=${`${node.messages} ${node.retained} ${node.children.size}`} key=${node.path} onClear=${setClearing} />` : html`<div class="card"><${Empty} icon="topics" title=${t('choose-topic')} /></div>`}
    </div>
    ${clearing && html`<${Clear} filter=${clearing} onClose=${() => setClearing(null)} cleared=${() => { for (const [gone] of tree.rows('').filter(([one]) => matches(clearing, one.path))) tree.clear(gone.path); stored.again(); }} />`}
  <//>`;
}

function matches(filter, topic) {
  return filter.endsWith('/#') ? topic === filter.slice(0, -2) || topic.startsWith(filter.slice(0, -1)) : topic === filter;
}

async function loadRetained(filter, tree, abort) {
  if (!filter) return 0;
  let cursor;
  let count = 0;
  for (let turn = 0; turn < mostPages; turn += 1) {
    const page = await get('/retained', { filter, cursor, limit: 500 }, { signal: abort });
    for (const one of page.items) tree.retain(one);
    count += page.items.length;
    cursor = page.next;
    if (!cursor) break;
  }
  return count;
}

const leastRate = 0.05; // a second: less is shown as nothing

// The tree of the pattern that readers of the screen know: arrows move, left and right close and open.
function Tree({ rows, tree, selected, choose, redraw }) {
  const place = useRef();
  const current = rows.some(([node]) => node.path === selected) ? selected : rows[0]?.[0].path;
  const focus = (path) => {
    choose(path);
    queueMicrotask(() => requestAnimationFrame(() => place.current?.querySelector('[tabindex="0"]')?.focus()));
  };
  const turn = (node, open) => {
    if (open) tree.open.add(node.path);
    else tree.open.delete(node.path);
    redraw();
  };
  const pressed = (event) => {
    const index = rows.findIndex(([node]) => node.path === current);
    const [node, depth] = rows[index] ?? [];
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
    const open = tree.open.has(node.path);
    if (event.key === 'ArrowDown') focus((rows[index + 1] ?? rows[index])[0].path);
    else if (event.key === 'ArrowUp') focus((rows[index - 1] ?? rows[index])[0].path);
    else if (event.key === 'Home') focus(rows[0][0].path);
    else if (event.key === 'End') focus(rows.at(-1)[0].path);
    else if (event.key === 'ArrowRight' && node.children.size) open ? focus(rows[index + 1]?.[0].path ?? node.path) : turn(node, true);
    else if (event.key === 'ArrowLeft') open && node.children.size ? turn(node, false) : depth > 1 && focus(node.parent.path);
    else if (event.key === 'Enter' || event.key === ' ') choose(node.path);
    else return;
    event.preventDefault();
  };
  const now = Date.now();
  const perSecond = (node) => {
    const value = tree.rate(node, now);
    return value < leastRate ? '' : t('rate', { rate: rate(value) });
  };
  return html`<div class="tree-head" aria-hidden="true"><span>${t('topic')}</span><span class="rate">${t('per-second-short')}</span><span class="count">${t('messages')}</span></div>
  <div class="tree" role="tree" aria-label=${t('page-topics')} ref=${place} onKeyDown=${pressed}>
    ${rows.map(([node, depth]) => html`<div key=${node.path} class="tree-row" role="treeitem" aria-level=${depth} aria-selected=${node.path === selected ? 'true' : 'false'}
      aria-expanded=${node.children.size ? (tree.open.has(node.path) ? 'true' : 'false') : undefined} tabindex=${node.path === current ? 0 : -1}
      style=${{ paddingInlineStart: `${(depth - 1) * 16 + 8}px` }} onClick=${() => choose(node.path)} onDblClick=${() => node.children.size && turn(node, !tree.open.has(node.path))}>
      <span class="turn" onClick=${(event) => { if (node.children.size) { event.stopPropagation(); turn(node, !tree.open.has(node.path)); } }}>${node.children.size > 0 && html`<${Icon} name="right" />`}</span>
      <bdi class="name">${node.name === '' ? html`<span class="muted">${t('empty-level')}</span>` : short(node.name, 120)}</bdi>
      ${node.retained && html`<svg class="icon" role="img" aria-label=${t('retained')}><title>${t('retained')}</title><use href=${retainedIcon} /></svg>`}
      <span class="value">${node.last ? `= ${payloadLine(node.last, 80)}` : ''}</span>
      <span class="rate">${perSecond(node)}</span>
      <span class="count" title=${t('messages')}>${node.messages ? number(node.messages) : ''}</span>
    </div>`)}
  </div>`;
}

const retainedIcon = `${new URL('../icons.svg', import.meta.url).pathname}#retained`;

// A node changes in place; `turn` says that it did.
function Value({ node, perSecond, onClear }) {
  const [kept, setKept] = useState(null);
  const [refusal, setRefusal] = useState(null);
  const load = () => get(`/retained/${base64UrlOfText(node.path)}`).then(setKept, setRefusal);
  useEffect(() => {
    if (node.retained && !node.last) load();
  }, [node.path, node.retained]);
  const message = node.last ?? kept;
  const [editing, setEditing] = useState(false);
  // What is no text, or came cut off, is not edited here.
  const text = message && (message.size ?? 0) <= bytesOf(message).length ? textOfBytes(bytesOf(message)) : null;
  const branch = node.children.size > 0;
  return html`<${Card} title=${html`<${Data} text=${node.path} />`}>
    <div class="actions">
      ${node.retained && html`<${Badge} kind="info">${t('retained')}<//>`}
      <a class="button" href=${address('publish', { topic: node.path })}><${Icon} name="publish" /><span>${t('publish-here')}</span></a>
      <a class="button" href=${address('log', { topic: node.path })}><${Icon} name="log" /><span>${t('page-log')}</span></a>
      ${node.retained && text !== null && html`<${Button} icon="settings" onClick=${() => setEditing(true)}>${t('edit-retained')}<//>`}
      ${node.retained && html`<${Button} icon="trash" onClick=${() => onClear(node.path)}>${t('delete-retained')}<//>`}
      ${branch && html`<${Button} icon="trash" onClick=${() => onClear(`${node.path}/#`)}>${t('clear-branch')}<//>`}
    </div>
    <${Facts} facts=${[
      [t('messages'), number(node.messages)],
      [t('rate-name'), t('rate', { rate: rate(perSecond) })],
      [t('last-at'), node.at ? html`<span title=${when(node.at)}>${ago(node.at)}</span>` : '–'],
      message && ['QoS', number(message.qos)],
      node.stored?.publisher && [t('publisher'), html`<${Data} text=${[node.stored.publisher.user, node.stored.publisher.client_id].filter(Boolean).join(', ')} />`],
      node.stored?.expires && [t('expires'), when(node.stored.expires)],
    ].filter(Boolean)} />
    ${refusal && html`<${Problem} refusal=${refusal} again=${load} />`}
    ${editing && html`<${Edit} topic=${node.path} text=${text} qos=${message.qos} onClose=${() => setEditing(false)} saved=${load} />`}
    ${message ? html`<${Payload} message=${message} />` : html`<p class="muted">${branch && !node.retained ? t('only-branch', { count: node.children.size }) : t('no-value')}</p>`}
  <//>`;
}

function Edit({ topic, text, qos, onClose, saved }) {
  const [payload, setPayload] = useState(text);
  const submit = async () => {
    await put(`/retained/${base64UrlOfText(topic)}`, { payload, encoding: 'text', qos: Math.max(1, qos) });
    say(t('saved'));
    saved();
    onClose();
  };
  return html`<${Dialog} title=${t('edit-retained')} onClose=${onClose}>
    <${Form} submit=${t('save')} cancel=${onClose} onSubmit=${submit} disabled=${!payload || payload === text}>
      <p><${Data} text=${topic} /></p>
      <div class="field"><label for="retained-payload">${t('payload')}</label><textarea id="retained-payload" class="mono" spellcheck="false" autofocus value=${payload} onInput=${(event) => setPayload(event.currentTarget.value)}></textarea></div>
      <p class="hint">${t('edit-what')}</p>
    <//>
  <//>`;
}

// Says how many there are before it deletes them.
function Clear({ filter, onClose, cleared }) {
  const branch = filter.endsWith('/#');
  const preview = useAsked(() => (branch ? post('/retained/clear', { filter, preview: true }) : Promise.resolve({ count: 1 })), [filter]);
  const listed = useAsked(async (abort) => (branch ? (await get('/retained', { filter, limit: shownInPreview }, { signal: abort })).items : []), [filter]);
  const { count, more } = preview.value ?? {};
  const act = async () => {
    if (branch) await post('/retained/clear', { filter, preview: false });
    else await remove(`/retained/${base64UrlOfText(filter)}`);
    say(t('retained-cleared', { count }));
    cleared();
  };
  if (preview.refusal) return html`<${Dialog} title=${t('clear-branch')} onClose=${onClose}><${Problem} refusal=${preview.refusal} again=${preview.again} /><//>`;
  if (preview.value === undefined) return null;
  if (count === 0) return html`<${Dialog} title=${t('clear-branch')} onClose=${onClose}><p>${t('clear-none')}</p><//>`;
  const topics = listed.value ?? [];
  return html`<${Confirm} title=${t('clear-title', { count })} verb=${t('clear-verb', { count })} typed=${count > 10 ? filter : undefined} onClose=${onClose} onConfirm=${act}>
    <p><bdi class="data">${visible(filter)}</bdi></p>
    ${topics.length > 0 && html`<ul class="preview">${topics.map(({ topic }) => html`<li key=${topic}><bdi class="data">${short(topic, 120)}</bdi></li>`)}</ul>`}
    ${count > topics.length && topics.length > 0 && html`<p>${t('and-more', { count: count - topics.length })}</p>`}
    <p>${t('clear-what')}</p>${more && html`<p>${t('clear-more')}</p>`}<//>`;
}
