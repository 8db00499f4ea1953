// A school at the pages: classes, their teachers and students, and what none of them gets at.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Broker, accessibility, adminPassword, connect, launch, logIn, open, readQr, shoot, until } from './support.mjs';

const passwords = { admin: adminPassword, tom: 'the teacher of the tests', tea: 'the other teacher here', sam: 'the student of the tests', ina: 'another student of them', max: 'a student of the others' };

let broker;
let browser;

before(async () => {
  broker = new Broker();
  for (const [name, role] of [['tom', 'Teacher'], ['tea', 'Teacher'], ['sam', 'Student'], ['ina', 'Student'], ['max', 'Student']]) broker.addUser(name, role, passwords[name]);
  for (const [name, ...members] of [['7b', 'tom', 'sam', 'ina'], ['8a', 'tea', 'max']]) {
    broker.command('class', 'add', name);
    broker.command('class', 'assign', name, ...members);
  }
  await broker.start();
  browser = await launch();
}, { timeout: 60_000 });

after(async () => {
  await browser?.close();
  await broker?.end();
});

async function visit(user, act, options) {
  const opened = await open(browser, broker, options);
  try {
    await logIn(opened, broker, user, passwords[user]);
    await act(opened, opened.page);
    assert.deepEqual(await opened.wrongs(), []);
  } finally {
    await opened.close();
  }
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const dialog = (page) => page.locator('dialog[open]');
const client = (user, clientId, password = passwords[user]) => connect(broker, { username: user, password, clientId });

describe('classes', () => {
  test('an administrator makes a class and assigns who teaches and who learns', { timeout: 60_000 }, async () => {
    await visit('admin', async (opened, page) => {
      await opened.goTo('classes');
      await button(page, 'Add class').click();
      await dialog(page).getByLabel('Name').fill('9c');
      await dialog(page).getByText('c/9c/…').waitFor();
      await dialog(page).getByRole('button', { name: 'Add class' }).click();
      await page.getByRole('heading', { name: 'Class 9c', level: 1 }).waitFor();
      await button(page, 'Assign').click();
      await dialog(page).getByLabel('Users, one a line').fill('tom\nina');
      await shoot(page, 'class-assign');
      await dialog(page).getByRole('button', { name: 'Assign 2 users' }).click();
      const row = (name) => page.getByRole('row').filter({ has: page.getByRole('cell', { name, exact: true }) });
      await row('ina').getByText('student', { exact: true }).waitFor();
      await row('tom').getByText('teacher', { exact: true }).waitFor();
      await button(page, 'Take out ina').click();
      await dialog(page).getByRole('button', { name: 'Take out' }).click();
      await until(async () => (await row('ina').count()) === 0);
      await button(page, 'Delete').click();
      await dialog(page).getByLabel('Type 9c to confirm').fill('9c');
      await dialog(page).getByRole('button', { name: 'Delete', exact: true }).click();
      await page.getByRole('heading', { name: 'Classes', level: 1 }).waitFor();
      await until(async () => (await page.getByRole('heading', { name: '9c' }).count()) === 0);
    });
  });

  test('a teacher makes a student who connects, sees who is there, and pauses the class', { timeout: 90_000 }, async () => {
    const sam = await client('sam', 'sam-board');
    await visit('tom', async (opened, page) => {
      await page.getByRole('heading', { name: 'Hello tom' }).waitFor();
      const card = page.locator('.class-card').filter({ hasText: '7b' });
      await card.getByText(/^1\s*of 2 students connected$/).waitFor();
      assert.equal(await page.locator('.class-card').count(), 1, 'the class of another teacher is not there');
      await shoot(page, 'teacher-home');
      await card.getByRole('link', { name: 'Open' }).click();
      await button(page, 'Add student').click();
      await dialog(page).getByLabel('User', { exact: true }).fill('leo');
      await dialog(page).getByRole('button', { name: 'Add student' }).click();
      const login = page.locator('.login-print');
      await login.waitFor();
      const password = await login.locator('dd').nth(1).textContent();
      // The code on the card leads to the broker, and holds no password.
      await login.locator('.qr').waitFor();
      const code = await readQr(login.locator('.qr'));
      assert.match(code, /^mqtt:\/\/leo@/);
      assert.ok(!code.includes(password));
      await shoot(page, 'student-card');
      await button(page, 'Done').click();
      const leo = await client('leo', 'leo-board', password);
      await leo.publishAsync('c/7b/u/leo/lamp', 'on', { qos: 1 });
      const row = page.getByRole('row').filter({ has: page.getByRole('cell', { name: 'leo', exact: true }) });
      await row.getByText('connected', { exact: true }).waitFor({ timeout: 10_000 });

      // A problem of a student is told with what helps.
      await assert.rejects(leo.publishAsync('c/7b/u/sam/lamp', 'on', { qos: 1 }));
      await page.locator('.problems').getByText('Use one of your own topics').first().waitFor({ timeout: 10_000 });
      await shoot(page, 'class');
      assert.deepEqual(await accessibility(page), []);

      await button(page, 'Pause class 7b').click();
      await page.getByText('Paused: students stay connected').waitFor();
      await assert.rejects(leo.publishAsync('c/7b/u/leo/lamp', 'on', { qos: 1 }));
      await button(page, 'Resume class 7b').click();
      await page.getByText('The class goes on').waitFor();
      await until(() => leo.publishAsync('c/7b/u/leo/lamp', 'on', { qos: 1 }).then(() => true, () => false));

      const gone = new Promise((resolve) => leo.once('close', resolve));
      await button(page, 'Disable leo').click();
      await gone;
      await row.getByText('disabled').waitFor();
      await button(page, 'Enable leo').click();
      await row.getByText('may connect').waitFor();
      await button(page, 'New password for leo').click();
      await dialog(page).getByRole('button', { name: 'Set password' }).click();
      await login.waitFor();
      assert.notEqual(await login.locator('dd').nth(1).textContent(), password);
      await button(page, 'Done').click();
    });
    await sam.endAsync();
  });

  test('a student sees the own topics, what was used, and how to mend the last problem', { timeout: 60_000 }, async () => {
    const sam = await client('sam', 'sam-board');
    await sam.publishAsync('c/7b/u/sam/lamp', 'on', { qos: 1 });
    await assert.rejects(sam.publishAsync('c/8a/u/max/lamp', 'on', { qos: 1 }));
    await visit('sam', async (opened, page) => {
      await page.getByRole('link', { name: 'c/7b/u/sam/#' }).waitFor();
      await page.getByRole('link', { name: 'c/7b/shared/#' }).waitFor();
      await page.locator('.problems').getByText('Use one of your own topics').first().waitFor();
      await page.locator('.numbers').getByText('Connected now').waitFor();
      await page.locator('.connect').getByText('mqtt://').waitFor();
      assert.match(await readQr(page.locator('.connect .qr')), /^mqtt:\/\/sam@/);
      await shoot(page, 'student-home');
      assert.deepEqual(await accessibility(page), []);
      broker.command('class', 'pause', '7b');
      await page.getByText('Your class is paused').waitFor({ timeout: 10_000 });
      broker.command('class', 'resume', '7b');
    });
    await sam.endAsync();
  });
});

describe('nobody gets at what is another’s', () => {
  // The pages of others are not offered; and whoever asks the API past the pages is refused.
  const attempts = [
    ['GET', '/users/max'], ['PATCH', '/users/max', { enabled: false }], ['POST', '/users/max/password', { generate: true }], ['DELETE', '/users/max'],
    ['GET', '/users/admin'], ['PATCH', '/users/admin', { enabled: false }], ['POST', '/users/admin/password', { generate: true }],
    ['POST', '/users', { name: 'mole', role: 'Admin', generate: true }], ['POST', '/users', { name: 'mole', role: 'Student', class: '8a', generate: true }],
    ['GET', '/classes/8a'], ['POST', '/classes/8a/pause'], ['DELETE', '/classes/8a'], ['POST', '/classes/8a/members', { users: ['sam'] }], ['DELETE', '/classes/8a/members/max'],
    ['POST', '/classes', { name: 'mine' }], ['POST', '/classes/7b/members', { users: ['max'] }],
    ['GET', '/logs?class=8a'], ['GET', '/clients?class=8a'],
    ['POST', '/rules', { subject: { user: 'sam' }, topic: '#', publish: true, subscribe: true, effect: 'allow' }], ['GET', '/rules'], ['GET', '/settings'], ['GET', '/certificates'],
    ['POST', '/certificates', { user: 'admin' }], ['POST', '/users/import', { csv: 'x,Admin,', preview: false }], ['DELETE', '/users/max/totp'],
  ];
  for (const user of ['tom', 'sam']) {
    test(`as ${user}`, { timeout: 60_000 }, async () => {
      const opened = await logIn(await open(browser, broker), broker, user, passwords[user]);
      const { page } = opened;
      for (const hidden of ['users', 'rules', 'settings', 'certificates', 'overview', ...(user === 'sam' ? ['classes', 'clients'] : [])]) {
        await opened.goTo(hidden);
        await page.getByRole('heading', { name: 'Not found' }).waitFor();
      }
      const answers = await page.evaluate(async (asked) => {
        const { csrf } = await (await fetch('/api/v1/session')).json();
        const told = [];
        for (const [method, path, body] of asked) {
          const answer = await fetch(`/api/v1${path}`, { method, headers: { 'X-CSRF-Token': csrf, 'Content-Type': 'application/json' }, body: method === 'GET' ? undefined : JSON.stringify(body ?? {}) });
          told.push(`${method} ${path} ${answer.status}`);
        }
        return told;
      }, attempts);
      assert.deepEqual(answers.filter((answer) => !/ (403|404)$/.test(answer)), []);
      const seen = await page.evaluate(async () => Promise.all(['/logs?limit=200', '/clients?state=all&limit=200'].map(async (path) => (await (await fetch(`/api/v1${path}`)).json()).items.map(({ user: name }) => name))));
      const own = user === 'tom' ? ['tom', 'sam', 'ina', 'leo'] : ['sam'];
      assert.deepEqual(seen.flat().filter((name) => !own.includes(name)), []);
      if (user === 'tom') {
        await opened.goTo('classes/8a');
        await page.getByText('This is not there any more.').waitFor();
      }
      await opened.close();
    });
  }
});

// The code that an app would show for this secret at this time (RFC 6238).
function codeOf(secret, at) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret.replace(/[\s=]/g, '')].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const hash = createHmac('sha1', key).update(counter).digest();
  const offset = hash.at(-1) & 15;
  return String((hash.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

describe('one’s own login', () => {
  test('a second factor is set up from the code on the screen, asked for, replaced by a recovery code, and taken away', { timeout: 90_000 }, async () => {
    let recovery;
    let secret;
    await visit('tea', async (opened, page) => {
      await opened.goTo('account');
      await button(page, 'Set up').click();
      await dialog(page).getByLabel('Password').fill(passwords.tea);
      await dialog(page).getByRole('button', { name: 'Go on' }).click();
      const uri = new URL(await readQr(dialog(page).locator('.qr')));
      assert.equal(uri.protocol, 'otpauth:');
      secret = uri.searchParams.get('secret');
      await shoot(page, 'totp');
      assert.deepEqual(await accessibility(page), []);
      await dialog(page).getByLabel('Code', { exact: true }).fill(codeOf(secret, Date.now()));
      await dialog(page).getByRole('button', { name: 'Turn on' }).click();
      await dialog(page).getByText('shown now and never again').waitFor();
      recovery = await dialog(page).locator('.codes li').allTextContents();
      assert.equal(new Set(recovery).size, 10);
      await shoot(page, 'totp-recovery');
      await button(page, 'Done').click();
      await page.getByText('10 recovery codes left').waitFor();
    });
    const opened = await open(browser, broker);
    const { page } = opened;
    await page.goto(broker.base);
    await page.locator('[name=username]').fill('tea');
    await page.locator('[name=password]').fill(passwords.tea);
    await page.locator('button[type=submit]').click();
    await page.locator('[name=code]').fill('000000');
    await shoot(page, 'login-code');
    assert.deepEqual(await accessibility(page), []);
    await page.locator('button[type=submit]').click();
    await page.getByText('The code is wrong').waitFor();
    await page.locator('[name=code]').fill(recovery[0]);
    await page.locator('button[type=submit]').click();
    await page.locator('.shell').waitFor();
    await opened.goTo('account');
    await page.getByText('9 recovery codes left').waitFor();
    await button(page, 'Remove the second factor').click();
    await dialog(page).getByLabel('Password').fill(passwords.tea);
    await dialog(page).getByRole('button', { name: 'Remove the second factor' }).click();
    await button(page, 'Set up').waitFor();
    await opened.close();
  });

  test('a key is shown once, does what it is for and nothing else, and is revoked', { timeout: 60_000 }, async () => {
    await visit('admin', async (opened, page) => {
      await opened.goTo('account');
      await button(page, 'Make key').click();
      await dialog(page).getByLabel('For what').fill('report');
      await shoot(page, 'key-add');
      await dialog(page).getByRole('button', { name: 'Make key' }).click();
      const key = await dialog(page).getByLabel('Key', { exact: true }).inputValue();
      assert.match(key, /^smq_/);
      await button(page, 'Done').click();
      await page.getByRole('cell', { name: 'report', exact: true }).waitFor();
      assert.ok(!(await page.content()).includes(key));
      const ask = (method, path) => fetch(`${broker.base}api/v1${path}`, { method, headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' }, body: method === 'GET' ? undefined : '{}' });
      assert.equal((await ask('GET', '/users')).status, 200);
      assert.equal((await (await ask('POST', '/classes')).json()).code, 'key-scope');
      await button(page, 'Revoke report').click();
      await dialog(page).getByRole('button', { name: 'Revoke' }).click();
      await page.getByText('No keys').waitFor();
      assert.equal((await ask('GET', '/users')).status, 401);
    });
  });
});

describe('everybody in a school', () => {
  for (const [theme, size, language] of [['light', 'desk', 'en'], ['dark', 'desk', 'de'], ['contrast', 'phone', 'en'], ['light', 'phone', 'de']]) {
    test(`can use every page: ${theme}, ${size}, ${language}`, { timeout: 120_000 }, async () => {
      const ina = await client('ina', 'ina-board');
      await ina.publishAsync('c/7b/u/ina/light', '7', { qos: 1 });
      await ina.publishAsync('c/7b/announce/x', 'no', { qos: 1 }).catch(() => {});
      for (const [user, paths] of [['admin', ['classes', 'classes/7b']], ['tom', ['', 'classes', 'classes/7b', 'log', 'clients', 'topics', 'account']], ['ina', ['', 'publish', 'why', 'account']]]) {
        await visit(user, async (opened, page) => {
          const found = {};
          for (const path of paths) {
            await opened.goTo(path);
            await page.waitForTimeout(300);
            // A teacher may not listen to everything, so the tree begins with the own class.
            if (path === 'topics') await page.waitForFunction(() => document.querySelector('form.filters input')?.value === 'c/7b/#');
            await shoot(page, `${user}-${path.replace(/\W/g, '-') || 'home'}-${theme}-${size}`);
            const violations = await accessibility(page);
            if (violations.length) found[path] = violations;
            if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) found[`${path} scrolls sideways`] = true;
          }
          assert.deepEqual(found, {});
        }, { theme, size, language });
      }
      await ina.endAsync();
    });
  }
});
