// Topics as a tree, built from what is retained and what goes by. Bounded: the least recent leaves go first.

const mostNodes = 20_000;

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
  }
}

export class TopicTree {
  constructor() {
    this.root = new Node('', null);
    this.root.path = '';
    this.nodes = 0;
    this.open = new Set();
    this.forgotten = 0;
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

  take(message) {
    const node = this.node(message.topic);
    node.last = message;
    if (message.retain) node.retained = bytesIn(message) > 0;
    for (let at = node; at; at = at.parent) {
      at.messages += 1;
      at.at = message.at ?? Date.now();
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

  // The rows in sight: [node, depth].
  rows(search = '') {
    const rows = [];
    const walk = (node, depth) => {
      for (const child of [...node.children.values()].sort((one, other) => (one.name < other.name ? -1 : 1))) {
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
