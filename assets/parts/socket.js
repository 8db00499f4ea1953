// A WebSocket to the broker that comes back: after half a second at first, ten at most, never in step with the others.
import { refreshSession, session, url } from './api.js';

const first = 500;
const longest = 10_000;

export class Live {
  // `query` is asked for at every attempt, so that one can say since when; `told` gets messages, `changed` the state:
  // connecting, open or waiting.
  constructor(path, { query = () => ({}), told, changed = () => {}, opened = () => {} }) {
    Object.assign(this, { path, query, told, changed, opened, wait: first, ended: false });
    this.connect();
  }

  connect() {
    this.changed('connecting');
    const target = new URL(url(this.path, this.query()), location.href);
    target.protocol = target.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(target);
    this.socket = socket;
    socket.onopen = () => {
      this.wait = first;
      this.changed('open');
      this.opened();
    };
    socket.onmessage = (event) => {
      if (!this.ended) this.told(JSON.parse(event.data));
    };
    socket.onclose = () => {
      if (this.socket === socket && !this.ended) this.retry();
    };
  }

  retry() {
    this.changed('waiting');
    this.timer = setTimeout(async () => {
      // A socket does not say why it was refused; the session may have ended.
      await refreshSession().catch(() => {});
      if (!this.ended && session.value !== null) this.connect();
    }, this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(longest, this.wait * 2);
  }

  send(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}
