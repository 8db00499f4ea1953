// Fifty viewers of the live log while 20,000 messages a second pass: what do they cost the broker, and does one of them
// fall behind without being told? Rounds with and without viewers alternate, so that a busy machine is busy for both.
//
// scripts/web-load builds what it needs and runs it. The viewers are WebSockets that read what they are sent, in a process of their own; one of them is a real page in
// Chromium. All of them share the machine with the broker.
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { Broker, adminPassword, launch, logIn, open, until } from './support.mjs';

const [viewers, perSecond, rounds, seconds] = [50, 20_000, 5, 6].map((usual, index) => Number(process.argv[2 + index] ?? usual));
const pairs = 10;
const tick = 10; // milliseconds
const payload = 100; // bytes
const leftOut = 33; // the number of that event
const patience = 30_000; // for the last lines, on a busy machine

const field = (bytes) => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);

function packet(first, ...parts) {
  const body = Buffer.concat(parts);
  const length = [];
  let rest = body.length;
  do {
    length.push((rest & 127) | (rest > 127 ? 128 : 0));
    rest >>= 7;
  } while (rest);
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}

// A client of MQTT 3.1.1 that knows just enough.
async function client(port, id) {
  const socket = net.connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  const words = ['load', 'the password of the load'].map((word) => field(Buffer.from(word)));
  socket.write(packet(0x10, field(Buffer.from('MQTT')), Buffer.from([4, 0xc2, 0, 0]), field(Buffer.from(id)), ...words));
  const answer = await new Promise((resolve, reject) => {
    socket.once('data', resolve);
    socket.once('close', () => reject(new Error(`${id} was not let in`)));
  });
  if (answer[0] !== 0x20 || answer[3] !== 0) throw new Error(`${id} was refused`);
  return socket;
}

class Load {
  async begin(port) {
    this.sent = 0;
    this.bytes = 0;
    this.publishers = [];
    for (let pair = 0; pair < pairs; pair += 1) {
      const topic = Buffer.from(`load/${pair}`);
      const listener = await client(port, `listener-${pair}`);
      listener.write(packet(0x82, Buffer.from([0, 1]), field(topic), Buffer.from([0])));
      await new Promise((resolve) => listener.once('data', resolve));
      listener.on('data', (bytes) => {
        this.bytes += bytes.length;
      });
      this.publishers.push({ socket: await client(port, `publisher-${pair}`), message: packet(0x30, field(topic), Buffer.alloc(payload)) });
    }
    this.size = this.publishers[0].message.length;
  }

  // Publishes at that pace, whatever comes back.
  async run(pace, time) {
    const begin = performance.now();
    let sent = 0;
    let turn = 0;
    while (performance.now() - begin < time) {
      const due = Math.floor(((performance.now() - begin) * pace) / 1000);
      while (sent < due) {
        const { socket, message } = this.publishers[turn++ % pairs];
        const count = Math.min(20, due - sent);
        socket.write(Buffer.concat(Array.from({ length: count }, () => message)));
        sent += count;
      }
      await new Promise((resolve) => setTimeout(resolve, tick));
    }
    this.sent += sent;
    return sent;
  }

  get received() {
    return this.bytes / this.size;
  }
}

// Seconds of processor that the process has used so far.
function processor(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

class Audience {
  constructor(web, cookie) {
    this.child = fork(new URL(import.meta.url), ['viewers'], { env: { ...process.env, VIEWERS: JSON.stringify({ web, cookie, count: viewers }) } });
    this.heard = new Promise((resolve) => this.child.once('message', resolve));
  }

  async ask(what) {
    const answer = new Promise((resolve) => this.child.once('message', resolve));
    this.child.send(what);
    return answer;
  }

  // When everybody has been shown or told of so many events, or it takes too long.
  async end(expected) {
    let told;
    await until(async () => {
      told = await this.ask('count');
      return told.every(({ events, dropped, gaps }) => gaps || events + dropped >= expected);
    }, patience).catch(() => {});
    this.child.kill();
    return told;
  }
}

// In the process of the viewers: each counts what it was shown, what it was told to have missed, and how late it was.
async function view({ web, cookie, count }) {
  const { WebSocket } = await import('node:module').then(({ createRequire }) => createRequire(new URL(`file://${process.env.SECUREMQ_CACHE ?? ''}/web/package.json`))('ws'));
  const seen = Array.from({ length: count }, () => ({ events: 0, dropped: 0, gaps: 0, late: 0 }));
  let open = 0;
  for (const one of seen) {
    const socket = new WebSocket(`ws://${web}/api/v1/logs/live`, { headers: { Cookie: cookie, Origin: `http://${web}` } });
    socket.on('open', () => (open += 1) === count && process.send('open'));
    socket.on('close', () => (one.closed = true));
    socket.on('error', (error) => process.send({ error: error.message }));
    socket.on('message', (text) => {
      const { events, dropped, gap } = JSON.parse(text);
      one.events += events.length;
      // What the broker itself could not keep, it tells by an event.
      one.dropped += dropped + events.reduce((sum, event) => sum + (event.event === leftOut ? event.count : 0), 0);
      one.gaps += Number(gap);
      if (events.length) one.late = Math.max(one.late, Date.now() - Date.parse(events.at(-1).time));
    });
  }
  process.on('message', () => process.send(seen));
}

async function main() {
  const broker = new Broker();
  broker.addUser('load', 'Admin', 'the password of the load');
  await broker.start();
  const browser = await launch();
  try {
    const page = await logIn(await open(browser, broker), broker);
    const cookie = (await page.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
    const load = new Load();
    await load.begin(broker.port);
    await load.run(perSecond, 2000);
    const results = { without: [], with: [] };
    for (let round = 0; round < rounds * 2; round += 1) {
      const kind = round % 2 ? 'with' : 'without';
      let audience;
      if (kind === 'with') {
        audience = new Audience(broker.web, cookie);
        const heard = await audience.heard;
        if (heard !== 'open') throw new Error(`a viewer was not let in: ${JSON.stringify(heard)}`);
        await page.goTo('log?action=PUBLISH');
        await page.page.getByText('live', { exact: true }).waitFor();
      } else {
        await page.goTo('about');
      }
      const before = { received: load.received, cpu: processor(broker.process.pid), at: performance.now() };
      const sent = await load.run(perSecond, seconds * 1000);
      const time = (performance.now() - before.at) / 1000;
      const received = load.received - before.received;
      const late = load.sent - load.received;
      const cpu = processor(broker.process.pid) - before.cpu;
      const result = { offered: sent / time, delivered: received / time, cpu: (cpu / received) * 1e6, late };
      if (audience) {
        const seen = await audience.end(sent);
        result.page = await page.page.locator('.log-foot').textContent();
        result.behind = Math.max(...seen.map(({ late }) => late));
        // Whoever was not shown everything was told so.
        result.closed = seen.filter(({ closed }) => closed).length;
        result.untold = seen.filter(({ events, dropped, gaps }) => !gaps && events + dropped < sent).length;
        result.shown = seen.reduce((sum, { events }) => sum + events, 0) / seen.length;
        result.dropped = seen.reduce((sum, { dropped }) => sum + dropped, 0) / seen.length;
      }
      results[kind].push(result);
      console.log(kind.padEnd(8), Object.entries(result).map(([name, value]) => `${name} ${typeof value === 'number' ? value.toFixed(1) : value}`).join(', '));
      // What is still on its way belongs to no round.
      await until(() => load.received >= load.sent, 10_000);
    }
    const median = (list) => [...list].sort((one, other) => one - other)[Math.floor(list.length / 2)];
    const rate = (kind) => median(results[kind].map(({ delivered, offered }) => delivered / offered));
    console.log(`delivered of what was offered: ${(100 * rate('without')).toFixed(2)} % without viewers, ${(100 * rate('with')).toFixed(2)} % with ${viewers} (and one page)`);
    console.log(`processor of the broker: ${median(results.without.map(({ cpu }) => cpu)).toFixed(1)} and ${median(results.with.map(({ cpu }) => cpu)).toFixed(1)} microseconds a message`);
    console.log(`viewers that were not told what they missed: ${Math.max(...results.with.map(({ untold }) => untold))}; latest line ${Math.max(...results.with.map(({ behind }) => behind))} ms old at most`);
  } finally {
    await browser.close();
    await broker.end();
  }
}

if (process.argv[2] === 'viewers') await view(JSON.parse(process.env.VIEWERS));
else await main();
