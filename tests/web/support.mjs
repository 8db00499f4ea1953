// A real broker on free ports and a real browser, for the tests beside it.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const cache = process.env.SECUREMQ_CACHE ?? join(repository, '.cache');
export const shots = process.env.SECUREMQ_SHOTS ?? join(repository, 'target', 'web-shots');
const program = process.env.SECUREMQ ?? join(repository, 'target', 'debug', 'securemq');
// The packages are in the cache, not beside the tests.
const packages = createRequire(join(cache, 'web', 'package.json'));

export const adminPassword = 'the administrator of the tests';

export class Broker {
  // `settings` are variables of the environment.
  constructor(settings = {}) {
    this.environment = { ...process.env, ...settings };
    this.folder = mkdtempSync(join(tmpdir(), 'securemq-web-'));
    this.addUser('admin', 'Admin', adminPassword);
  }

  command(...words) {
    const done = spawnSync(program, ['--data-dir', join(this.folder, 'data'), ...words], { input: this.input, encoding: 'utf8' });
    this.input = undefined;
    if (done.status !== 0) throw new Error(`securemq ${words.join(' ')}: ${done.stderr}`);
    return done.stdout;
  }

  addUser(name, role, password) {
    this.input = `${password}\n`;
    this.command('user', 'add', name, '--role', role, '--password-stdin');
  }

  // The pages as a program of their own, beside a broker or without one.
  async startPages() {
    this.pages = spawn(program, ['--data-dir', join(this.folder, 'data'), 'web', '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    this.pages.stdout.on('data', (bytes) => {
      said += bytes;
    });
    const [, base, web] = await until(() => said.match(/web pages on (http:\/\/([^\s/]+))/), 20_000);
    return { base: `${base}/`, web };
  }

  // Starts, or starts again on the same ports.
  async start() {
    this.process = spawn(program, ['--data-dir', join(this.folder, 'data'), 'serve', '--listen', `mqtt://127.0.0.1:${this.port ?? 0}`, '--web-port', this.base ? new URL(this.base).port : '0'], { stdio: ['ignore', 'pipe', 'pipe'], env: this.environment });
    this.said = '';
    const hear = (bytes) => {
      this.said += bytes;
    };
    this.process.stdout.on('data', hear);
    this.process.stderr.on('data', hear);
    await until(() => {
      if (this.process.exitCode !== null) throw new Error(`the broker ended: ${this.said}`);
      return this.address();
    }, 20_000);
    return this;
  }

  address() {
    const web = this.said.match(/web pages on (http:\/\/([^\s/]+))/);
    const mqtt = this.said.match(/mqtt:\/\/127\.0\.0\.1:(\d+)/);
    if (!web || !mqtt) return false;
    this.base = `${web[1]}/`;
    this.web = web[2];
    this.port = Number(mqtt[1]);
    return true;
  }

  async stop() {
    if (!this.process || this.process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGTERM');
    await ended;
  }

  async end() {
    this.pages?.kill('SIGTERM');
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function until(question, patience = 5000) {
  const end = Date.now() + patience;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`in vain: ${question}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function launch() {
  const { chromium } = packages('playwright-core');
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

export function connect(broker, options) {
  return packages('mqtt').connectAsync(`mqtt://127.0.0.1:${broker.port}`, { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 5000, ...options });
}

const sizes = { desk: { width: 1440, height: 900 }, phone: { width: 360, height: 740 }, narrow: { width: 320, height: 640 } };

// A page that remembers everything it should not have done.
export async function open(browser, broker, { theme = 'light', language = 'en', size = 'desk' } = {}) {
  const context = await browser.newContext({ viewport: sizes[size], reducedMotion: 'reduce', acceptDownloads: true });
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const page = await context.newPage();
  const faults = [];
  // Chromium's advice that a form lacks a user name comes or not by the moment at which it looks; ours have one.
  const isAdvice = (message) => message.type() === 'verbose' && message.text().startsWith('[DOM] Password forms should have');
  page.on('console', (message) => isAdvice(message) || faults.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    const target = new URL(request.url());
    const known = target.host === broker.web && (target.pathname === '/' || /^\/(assets|api\/v1)\//.test(target.pathname));
    if (!known && target.protocol !== 'blob:') faults.push(`request: ${request.url()}`);
  });
  await page.addInitScript(([wanted, spoken]) => {
    window.violations = [];
    addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    if (!localStorage.getItem('securemq.theme')) {
      localStorage.setItem('securemq.theme', wanted);
      localStorage.setItem('securemq.language', spoken);
    }
  }, [theme, language]);
  return {
    page,
    context,
    faults,
    // What the page did wrong so far, its policy's complaints included.
    async wrongs() {
      return [...faults, ...(await page.evaluate(() => window.violations))];
    },
    async goTo(path) {
      await page.goto(`${broker.base}#/${path}`);
      await page.waitForSelector('h1');
      await page.waitForFunction(() => !document.querySelector('.skeleton'));
    },
    close: () => context.close(),
  };
}

export async function logIn(opened, broker, user = 'admin', password = adminPassword) {
  await opened.page.goto(broker.base);
  await opened.page.getByLabel('User', { exact: true }).or(opened.page.getByLabel('Benutzer', { exact: true })).fill(user);
  await opened.page.locator('[name=password]').fill(password);
  await opened.page.locator('button[type=submit]').click();
  await opened.page.waitForSelector('.shell');
  return opened;
}

export async function shoot(page, name) {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
}

// What a camera reads from a code on the page.
export async function readQr(locator) {
  const [size, path] = await locator.evaluate((drawing) => [Number(drawing.querySelector('rect').getAttribute('width')), drawing.querySelector('path').getAttribute('d')]);
  const [margin, scale] = [4, 4];
  const side = size * scale;
  const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
  for (const [, x, y] of path.matchAll(/M(\d+) (\d+)/g)) {
    for (let dot = 0; dot < scale * scale; dot += 1) {
      const at = (((Number(y) + margin) * scale + Math.floor(dot / scale)) * side + (Number(x) + margin) * scale + (dot % scale)) * 4;
      pixels.fill(0, at, at + 3);
    }
  }
  return packages('jsqr')(pixels, side, side)?.data;
}

const axeSource = () => readFileSync(packages.resolve('axe-core/axe.min.js'), 'utf8');

// Violations of WCAG 2.2 A and AA, each in one line. The script comes by the debugger, past the policy of the page.
export async function accessibility(page) {
  await page.evaluate(axeSource());
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary.split('\n')[1] ?? ''}`).join(' | ')}`);
}
