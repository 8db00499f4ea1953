// Topics as a tree, built from what is retained and what goes by. Bounded: the least recent leaves go first.

const mostNodes = 20_000;
const span = 10_000; // milliseconds that a rate is a mean of, the latest weighing most
const soonest = 1000; // a mean of less tells nothing

class Node {
  constructor(name, parent) {
    this.name = name;
    this.parent = parent;
    this.path = parent?.parent ? `${parent.path}/${name}` : name;
    this.children = new Map();
    this.messages = 0;
    this.retained = false;
    this.last = null;
    this.at = 0;
    this.weight = 0; // of the messages so far, each of which fades with time
    this.weighed = 0;
  }

  count(now) {
    this.messages += 1;
    this.weight = this.weightAt(now) + 1;
    this.weighed = now;
  }

  weightAt(now) {
    return this.weight && this.weight * Math.exp((this.weighed - now) / span);
  }
}

export class TopicTree {
  constructor() {
    this.root = new Node('', null);
    this.root.path = '';
    this.nodes = 0;
    this.open = new Set();
    this.forgotten = 0;
    this.begun = Date.now();
  }

  // Messages a second of a node and all below it: right from the start, and zero again soon after the last.
  rate(node, now) {
    const seen = Math.max(soonest, now - this.begun);
    return (node.weightAt(now) * 1000) / (span * (1 - Math.exp(-seen / span)));
  }

  // The node of a topic, made if it is not there. An empty level is a level too.
  node(topic) {
    let node = this.root;
    for (const level of topic.split('/')) {
      let child = node.children.get(level);
      if (!child) {
        child = new Node(level, node);
        if (node === this.root) child.path = level;
        node.children.set(level, child);
        this.nodes += 1;
      }
      node = child;
    }
    return node;
  }

  find(topic) {
    let node = this.root;
    for (const level of topic.split('/')) {
      node = node?.children.get(level);
    }
    return node;
  }

  // A branch that is alone is open from the start, until somebody closes it.
  openOnly() {
    if (this.opened || !this.root.children.size) return;
    const tops = [...this.root.children.values()];
    if (tops.length <= 3) for (const top of tops) this.open.add(top.path);
    this.opened = true;
  }

  // Opens what is above a topic, once.
  reveal(topic) {
    if (this.revealed === topic || !this.find(topic)) return;
    this.revealed = topic;
    for (let node = this.find(topic).parent; node?.parent; node = node.parent) this.open.add(node.path);
  }

  retain({ topic, size, qos, publisher, expires }) {
    const node = this.node(topic);
    node.retained = true;
    node.stored = { size, qos, publisher, expires };
    this.limit();
  }

  take(message, now = Date.now()) {
    const node = this.node(message.topic);
    // The first retained one of a topic is what the broker keeps; it was not published just now.
    const isKept = message.retain && !node.last;
    node.last = message;
    if (message.retain) node.retained = bytesIn(message) > 0;
    for (let at = node; at; at = at.parent) {
      if (!isKept) at.count(now);
      at.at = message.at ?? now;
    }
    this.limit();
  }

  clear(topic) {
    const node = this.find(topic);
    if (node) {
      node.retained = false;
      node.stored = undefined;
    }
  }

  // Lets go of the tenth that was silent longest.
  limit() {
    if (this.nodes <= mostNodes) return;
    const leaves = [];
    const collect = (node) => (node.children.size ? node.children.forEach(collect) : leaves.push(node));
    collect(this.root);
    leaves.sort((one, other) => one.at - other.at);
    for (const leaf of leaves.slice(0, Math.ceil(leaves.length / 10))) {
      this.forgotten += 1;
      for (let node = leaf; node.parent && !node.children.size; node = node.parent) {
        node.parent.children.delete(node.name);
        this.nodes -= 1;
      }
    }
  }

  // The rows in sight: [node, depth]. By name, or the liveliest first.
  rows(search = '', order = 'name') {
    const rows = [];
    const now = Date.now();
    const byName = (one, other) => (one.name < other.name ? -1 : 1);
    const compare = order === 'name' ? byName : (one, other) => other.weightAt(now) - one.weightAt(now) || byName(one, other);
    const walk = (node, depth) => {
      for (const child of [...node.children.values()].sort(compare)) {
        if (search && !this.holds(child, search)) continue;
        rows.push([child, depth]);
        if (this.open.has(child.path) || search) walk(child, depth + 1);
      }
    };
    walk(this.root, 1);
    return rows;
  }

  holds(node, search) {
    return node.path.includes(search) || [...node.children.values()].some((child) => this.holds(child, search));
  }
}

function bytesIn(message) {
  return (message.payload_b64 ?? message.payload ?? message.text ?? '').length;
}
