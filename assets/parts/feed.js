// Messages as they are published, of the filters that one asks for and may see.
import { useEffect, useRef, useState } from '../vendor/preact.js';
import { Live } from './socket.js';

// `told` gets messages; the answer is the state of the line, what was refused, and how many messages were left out.
export function useFeed(filters, told) {
  const [link, setLink] = useState('connecting');
  const [dropped, setDropped] = useState(0);
  const [refused, setRefused] = useState([]);
  const [answered, setAnswered] = useState(new Set());
  const latest = useRef(told);
  latest.current = told;
  const asked = useRef(new Set());
  const live = useRef();
  const wanted = useRef(filters);
  wanted.current = filters;
  const settle = () => {
    const now = new Set(wanted.current);
    const subscribe = [...now].filter((filter) => !asked.current.has(filter));
    const unsubscribe = [...asked.current].filter((filter) => !now.has(filter));
    if (!subscribe.length && !unsubscribe.length) return;
    if (live.current?.send({ subscribe, unsubscribe })) asked.current = now;
  };
  useEffect(() => {
    live.current = new Live('/live', {
      changed: setLink,
      opened: () => {
        asked.current = new Set();
        setAnswered(new Set());
        settle();
      },
      told: ({ messages = [], dropped: lost = 0, subscribed = [] }) => {
        if (messages.length) latest.current(messages);
        if (lost) setDropped((before) => before + lost);
        if (subscribed.length) {
          const told = new Set(subscribed.map(({ filter }) => filter));
          const not = subscribed.filter(({ ok }) => !ok).map(({ filter }) => filter);
          setAnswered((before) => new Set([...before, ...told]));
          setRefused((before) => [...before.filter((filter) => !told.has(filter)), ...not]);
        }
      },
    });
    return () => live.current.end();
  }, []);
  useEffect(settle, [JSON.stringify(filters)]);
  // It is live when the broker has answered for every filter, not when the line stands.
  const state = link === 'open' && !filters.every((filter) => answered.has(filter)) ? 'connecting' : link;
  return { link: state, dropped, refused: refused.filter((filter) => filters.includes(filter)) };
}
