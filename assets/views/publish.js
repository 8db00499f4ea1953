// A client in the page: publishes and listens as whoever is logged in, under the same rules.
import { html, useState } from '../vendor/preact.js';
import { post } from '../parts/api.js';
import { useFeed } from '../parts/feed.js';
import { clock, t } from '../parts/i18n.js';
import { Payload, payloadLine } from '../parts/payload.js';
import { address } from '../parts/router.js';
import { Badge, Button, Card, Check, Dialog, Empty, Form, Input, Notice, Page, Select, Tabs } from '../parts/ui.js';
import { base64OfBytes, short } from '../parts/text.js';

const mostMessages = 500;
const qualities = () => [0, 1, 2].map((qos) => [String(qos), t(`qos-${qos}`)]);

export default function Publish({ who, query }) {
  return html`<${Page} title=${t('page-publish')} lead=${t('publish-lead', { user: short(who.user, 60) })}>
    <div class="split"><${Send} who=${who} topic=${query.topic ?? ''} /><${Listen} given=${query.topic} /></div>
  <//>`;
}

function bytesOfHex(text) {
  const digits = text.replace(/[\s,]|0x/g, '');
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function jsonProblem(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error.message;
  }
}

function Send({ who, topic: given }) {
  const [topic, setTopic] = useState(given);
  const [payload, setPayload] = useState('');
  const [encoding, setEncoding] = useState('text');
  const [qos, setQos] = useState('0');
  const [retain, setRetain] = useState(false);
  const [answer, setAnswer] = useState(null);
  const bytes = encoding === 'hex' ? bytesOfHex(payload) : null;
  const wrong = encoding === 'hex' && bytes === null ? t('hex-wrong') : encoding === 'json' && payload && jsonProblem(payload) ? t('json-wrong') : null;
  const submit = async () => {
    setAnswer(null);
    const body = encoding === 'hex' ? { payload: base64OfBytes(bytes), encoding: 'base64' } : { payload, encoding: 'text' };
    try {
      setAnswer(await post('/publish', { topic, ...body, qos: Number(qos), retain }));
    } catch (refusal) {
      if (refusal.status !== 403) throw refusal;
      setAnswer({ refusal });
    }
  };
  return html`<${Card} title=${t('do-publish')}>
    <${Form} submit=${t('do-publish')} icon="publish" onSubmit=${submit} disabled=${!topic || Boolean(wrong)}>
      <${Input} label=${t('topic')} mono value=${topic} onValue=${setTopic} required data-search />
      <div><${Tabs} label=${t('encoding')} value=${encoding} options=${[['text', t('text')], ['json', 'JSON'], ['hex', t('hex')]]} onValue=${setEncoding} /></div>
      <div class="field"><label for="payload">${t('payload')}</label>
        <textarea id="payload" class="mono" spellcheck="false" value=${payload} onInput=${(event) => setPayload(event.currentTarget.value)} aria-invalid=${wrong ? 'true' : undefined} aria-describedby=${wrong ? 'payload-wrong' : undefined}></textarea>
        ${wrong && html`<p class="field-error" id="payload-wrong">${wrong}</p>`}</div>
      <div class="columns"><${Select} label="QoS" value=${qos} onValue=${setQos} options=${qualities()} /><${Check} label=${t('retain')} checked=${retain} onValue=${setRetain} /></div>
    <//>
    <div role="status">${answer && (answer.refusal
      ? html`<${Notice} kind="danger">${t('publish-denied')} <a href=${address('why', { user: who.user, action: 'publish', topic })}>${t('why')}</a><//>`
      : html`<${Notice} kind="ok">${t('published-to', { count: answer.matched ?? 0 })}<//>`)}</div>
  <//>`;
}

function Listen({ given }) {
  const [typed, setTyped] = useState(given ?? '');
  const [filters, setFilters] = useState([]);
  const [messages, setMessages] = useState([]);
  const [paused, setPaused] = useState(false);
  const [open, setOpen] = useState(null);
  const feed = useFeed(filters, (fresh) => paused || setMessages((before) => [...[...fresh].reverse(), ...before].slice(0, mostMessages)));
  const add = async () => {
    setFilters((before) => [...new Set([...before, typed])]);
    setTyped('');
  };
  return html`<${Card} title=${t('do-subscribe')} actions=${feed.link === 'open' ? html`<${Badge} kind="ok">${t('link-open')}<//>` : html`<${Badge} kind="warn">${t(`link-${feed.link}`)}<//>`}>
    <${Form} submit=${t('do-subscribe')} icon="connect" onSubmit=${add} disabled=${!typed}><${Input} label=${t('filter')} hint=${t('filter-hint')} mono value=${typed} onValue=${setTyped} /><//>
    ${filters.length > 0 && html`<div class="actions">${filters.map((filter) => html`<${Button} key=${filter} icon="cross" aria-label=${t('unsubscribe-from', { filter: short(filter, 60) })} onClick=${() => setFilters(filters.filter((one) => one !== filter))}><bdi class="mono">${short(filter, 60)}</bdi><//>`)}</div>`}
    ${feed.refused.length > 0 && html`<${Notice} kind="warn">${t('not-allowed-filter')} ${feed.refused.map((one) => html`<bdi class="data">${short(one, 120)}</bdi> `)}<//>`}
    ${feed.dropped > 0 && html`<${Notice} kind="warn">${t('feed-dropped', { count: feed.dropped })}<//>`}
    <div class="actions"><${Button} icon=${paused ? 'play' : 'pause'} onClick=${() => setPaused(!paused)}>${t(paused ? 'resume' : 'pause')}<//><${Button} kind="quiet" icon="trash" onClick=${() => setMessages([])}>${t('clear-list')}<//><span class="muted">${t('messages-count', { count: messages.length })}</span></div>
    ${messages.length
      ? html`<ul class="messages" tabindex="0" aria-label=${t('messages')}>${messages.map((message) => html`<li key=${`${message.at}${message.topic}${message.payload_b64}`}>
          <div class="meta"><span class="mono">${clock(message.at)}</span><bdi class="data topic">${short(message.topic, 160)}</bdi><span>QoS ${message.qos}</span>${message.retain && html`<${Badge} kind="info">${t('retained')}<//>`}
            <button type="button" class="link" onClick=${() => setOpen(message)}>${t('show')}</button></div>
          <bdi class="data">${payloadLine(message)}</bdi></li>`)}</ul>`
      : html`<${Empty} icon="publish" title=${t(filters.length ? 'no-messages-yet' : 'no-subscription-yet')} />`}
    ${open && html`<${Dialog} title=${short(open.topic, 80)} kind="wide" onClose=${() => setOpen(null)}><${Payload} message=${open} /><//>`}
  <//>`;
}
