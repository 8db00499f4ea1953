// The pages in a real browser, in front of a real broker with real clients.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Broker, accessibility, adminPassword, connect, launch, logIn, open, shoot, until } from './support.mjs';

let broker;
let browser;

before(async () => {
  broker = new Broker();
  broker.addUser('tom', 'Teacher', 'the teacher of the tests');
  broker.addUser('sam', 'Student', 'the student of the tests');
  broker.command('acl', 'add', '--role', 'Student', '--topic', 'students/%u/exams/#', '--publish', '--deny');
  await broker.start();
  browser = await launch();
}, { timeout: 60_000 });

after(async () => {
  await browser?.close();
  await broker?.end();
});

// Opens a page, logs in, does something, and holds it to what no page may do.
async function visit(options, act) {
  const { user = 'admin', password = adminPassword, ...rest } = options;
  const opened = await open(browser, broker, rest);
  try {
    await logIn(opened, broker, user, password);
    await act(opened, opened.page);
    assert.deepEqual(await opened.wrongs(), []);
  } finally {
    await opened.close();
  }
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const dialog = (page) => page.locator('dialog[open]');
const adminPages = ['overview', 'log', 'clients', 'topics', 'publish', 'users', 'classes', 'rules', 'rules?view=matrix', 'why', 'certificates', 'settings', 'account', 'about'];

describe('logging in', () => {
  test('a wrong password and an unknown user are told the same, and the right one opens the page', async () => {
    const opened = await open(browser, broker);
    const { page } = opened;
    await page.goto(broker.base);
    const told = [];
    for (const user of ['admin', 'nobody']) {
      await page.locator('[name=username]').fill(user);
      await page.locator('[name=password]').fill('wrong');
      await page.locator('button[type=submit]').click();
      told.push(await page.locator('[role=alert] .field-error').textContent());
      assert.equal(await page.locator('[name=password]').inputValue(), '');
    }
    assert.equal(told[0], told[1]);
    await page.locator('[name=username]').fill('admin');
    await page.locator('[name=password]').fill(adminPassword);
    await page.locator('button[type=submit]').click();
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    assert.equal(await page.evaluate(() => document.cookie), '', 'no script reads the cookie');
    assert.equal(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }).includes('tests')), false);
    // The browser itself reports what was refused; nothing else may be there.
    const wrongs = (await opened.wrongs()).filter((wrong) => !wrong.includes('401 (Unauthorized)'));
    assert.deepEqual(wrongs, []);
    await opened.close();
  });

  test('who is logged out elsewhere logs in again and is where they were', async () => {
    const opened = await logIn(await open(browser, broker), broker);
    const { page } = opened;
    await opened.goTo('rules?view=matrix');
    await page.evaluate(async () => {
      const { csrf } = await (await fetch('/api/v1/session')).json();
      await fetch('/api/v1/sessions', { method: 'DELETE', headers: { 'X-CSRF-Token': csrf } });
    });
    await page.goto(`${broker.base}#/users`);
    await page.getByText('The session has ended').waitFor();
    await page.locator('[name=username]').fill('admin');
    await page.locator('[name=password]').fill(adminPassword);
    await page.locator('button[type=submit]').click();
    await page.getByRole('heading', { name: 'Users', level: 1 }).waitFor();
    await opened.close();
  });

  test('language and theme are kept', async () => {
    await visit({}, async (opened, page) => {
      await page.getByLabel('Theme').selectOption('dark');
      await page.getByLabel('Language').selectOption('de');
      await page.getByRole('link', { name: 'Übersicht' }).waitFor();
      await page.reload();
      await page.getByRole('heading', { name: 'Übersicht', level: 1 }).waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
      assert.equal(await page.evaluate(() => document.documentElement.lang), 'de');
    });
  });
});

describe('the first page', () => {
  for (const [name, user, password] of [['of the login'], ['of an administrator', 'admin', adminPassword], ['of a student', 'sam', 'the student of the tests']]) {
    test(`${name} comes in less than 100 kB`, async () => {
      const opened = await open(browser, broker);
      if (user) {
        await logIn(opened, broker, user, password);
        await opened.page.close();
      }
      // What a browser gets that is logged in and knows nothing of the pages yet.
      const page = await opened.context.newPage();
      const wire = await opened.context.newCDPSession(page);
      await wire.send('Network.enable');
      await wire.send('Network.setCacheDisabled', { cacheDisabled: true });
      let transferred = 0;
      wire.on('Network.loadingFinished', ({ encodedDataLength }) => {
        transferred += encodedDataLength;
      });
      await page.goto(broker.base, { waitUntil: 'networkidle' });
      await page.waitForSelector(user ? '.shell h1' : '.login');
      await page.waitForFunction(() => !document.querySelector('.skeleton'));
      assert.ok(transferred > 10_000 && transferred < 100_000, `${transferred} bytes`);
      await opened.close();
    });
  }
});

describe('users, rules and clients', () => {
  test('a teacher made here connects, is held to the rules, and a rule made here acts', { timeout: 60_000 }, async () => {
    await visit({}, async (opened, page) => {
      await opened.goTo('users');
      await button(page, 'Add user').click();
      await dialog(page).getByLabel('User', { exact: true }).fill('tina');
      await dialog(page).getByLabel('Role').selectOption('Teacher');
      await dialog(page).getByRole('button', { name: 'Add user' }).click();
      const card = page.locator('.login-print');
      await card.waitFor();
      const password = await card.locator('dd').nth(1).textContent();
      await shoot(page, 'login-card');
      await button(page, 'Done').click();
      await page.getByRole('cell', { name: 'tina', exact: true }).waitFor();
      assert.equal(await page.getByText(password).count(), 0, 'the password is shown once');

      const client = await connect(broker, { username: 'tina', password, clientId: 'tina-board' });
      await assert.rejects(client.publishAsync('lab/7b/lamp', 'on', { qos: 1 }), /Not authorized|135/);

      await opened.goTo('why?user=tina&action=publish&topic=lab/7b/lamp&client=tina-board');
      await page.locator('.verdict.danger').getByText('No rule allows it').waitFor();

      await opened.goTo('rules');
      await button(page, 'Add rule').click();
      await dialog(page).getByLabel('Role', { exact: true }).selectOption('Teacher');
      await dialog(page).getByLabel('Topics').fill('lab/#');
      await dialog(page).getByText('Nobody connected now would lose anything.').waitFor();
      await dialog(page).getByRole('button', { name: 'Add rule' }).click();
      await page.getByRole('cell', { name: 'lab/#' }).waitFor();
      await until(async () => client.publishAsync('lab/7b/lamp', 'on', { qos: 1 }).then(() => true, () => false));

      await opened.goTo('why?user=tina&action=publish&topic=lab/7b/lamp&client=tina-board');
      await page.locator('.verdict.ok').waitFor();
      assert.match(await page.locator('.considered .decides').textContent(), /Role Teacher.*lab\/#/);
      await shoot(page, 'why-allowed');

      await opened.goTo('clients');
      await page.getByRole('link', { name: 'tina-board' }).click();
      await page.getByRole('heading', { name: 'tina-board', level: 1 }).waitFor();
      await page.getByText('lab/7b/lamp').first().waitFor();
      await shoot(page, 'client');
      const gone = new Promise((resolve) => client.once('close', resolve));
      await button(page, 'Disconnect').click();
      await dialog(page).getByRole('button', { name: 'Disconnect' }).click();
      await gone;
    });
  });

  test('a rule that would cut somebody off says whom before it is added', { timeout: 30_000 }, async () => {
    const client = await connect(broker, { username: 'sam', password: 'the student of the tests', clientId: 'sam-board' });
    await client.subscribeAsync('students/sam/#');
    await visit({}, async (opened, page) => {
      await opened.goTo('rules');
      await button(page, 'Add rule').click();
      await dialog(page).getByRole('button', { name: 'User' }).click();
      await dialog(page).getByLabel('User', { exact: true }).fill('sam');
      await dialog(page).getByRole('button', { name: 'Deny' }).click();
      await dialog(page).getByLabel('Topics').fill('students/#');
      await dialog(page).locator('.notice.warn').getByText('sam-board').waitFor();
      await shoot(page, 'rule-cut-off');
      await page.keyboard.press('Escape');
      assert.equal(await dialog(page).count(), 0);
    });
    await client.endAsync();
  });

  test('a list of users is looked at before it is written', async () => {
    await visit({}, async (opened, page) => {
      await opened.goTo('users');
      await button(page, 'Import').click();
      await dialog(page).locator('textarea').fill('ina,Student,\njan,Nobody,');
      await dialog(page).getByRole('button', { name: 'Check' }).click();
      await dialog(page).getByText('1 line has to be mended first').waitFor();
      await dialog(page).locator('textarea').fill('ina,Student,\njan,Student,');
      await dialog(page).getByRole('button', { name: 'Check' }).click();
      await shoot(page, 'import');
      await dialog(page).getByRole('button', { name: 'Import 2 users' }).click();
      await page.locator('.login-print').nth(1).waitFor();
      await button(page, 'Done').click();
      await page.getByRole('cell', { name: 'jan', exact: true }).waitFor();
    });
  });
});

describe('a life of a user', () => {
  test('changed, given a certificate and another password, locked out, deleted', { timeout: 60_000 }, async () => {
    broker.addUser('eva', 'Student', 'the first password of eva');
    const client = await connect(broker, { username: 'eva', password: 'the first password of eva', clientId: 'eva-board' });
    await visit({}, async (opened, page) => {
      await opened.goTo('certificates');
      await button(page, 'Issue certificate').click();
      await dialog(page).getByLabel('User', { exact: true }).fill('eva');
      await dialog(page).getByRole('button', { name: 'Issue certificate' }).click();
      assert.match(await dialog(page).getByLabel('Private key').inputValue(), /BEGIN (EC )?PRIVATE KEY/);
      const [download] = await Promise.all([page.waitForEvent('download'), dialog(page).getByRole('button', { name: 'Download' }).first().click()]);
      assert.equal(download.suggestedFilename(), 'eva.certificate.crt');
      await page.keyboard.press('Escape');
      await page.getByRole('cell', { name: 'eva', exact: true }).waitFor();

      await opened.goTo('users?search=eva');
      await button(page, 'Change eva').click();
      await dialog(page).getByLabel('Role').selectOption('Teacher');
      await dialog(page).getByLabel('May connect and log in').uncheck();
      const gone = new Promise((resolve) => client.once('close', resolve));
      await dialog(page).getByRole('button', { name: 'Save' }).click();
      await page.getByRole('cell', { name: 'disabled' }).waitFor();
      await page.getByRole('cell', { name: 'Teacher', exact: true }).waitFor();
      await gone;
      await assert.rejects(connect(broker, { username: 'eva', password: 'the first password of eva', clientId: 'eva-board' }));

      await button(page, 'Change eva').click();
      await dialog(page).getByLabel('May connect and log in').check();
      await dialog(page).getByRole('button', { name: 'Save' }).click();
      await page.getByRole('cell', { name: 'may connect' }).waitFor();
      await button(page, 'New password for eva').click();
      await dialog(page).getByRole('button', { name: 'Type one' }).click();
      await dialog(page).getByLabel('New password').fill('the second password of eva');
      await dialog(page).getByRole('button', { name: 'Set password' }).click();
      await page.waitForFunction(() => !document.querySelector('dialog[open]'));
      const again = await until(() => connect(broker, { username: 'eva', password: 'the second password of eva', clientId: 'eva-board' }).catch(() => null));
      const lost = new Promise((resolve) => again.once('close', resolve));

      await button(page, 'Change eva').click();
      await dialog(page).getByRole('button', { name: 'Delete' }).click();
      const verb = dialog(page).getByRole('button', { name: 'Delete', exact: true });
      assert.equal(await verb.isDisabled(), true, 'the name has to be typed first');
      await dialog(page).getByLabel('Type eva to confirm').fill('eva');
      await verb.click();
      await page.getByText('No user matches').waitFor();
      await lost;
    });
  });

  test('the last administrator stays one, and who edits at the same time is told', { timeout: 30_000 }, async () => {
    const opened = await logIn(await open(browser, broker), broker);
    const { page } = opened;
    await opened.goTo('users?search=admin');
    await button(page, 'Change admin').click();
    await dialog(page).getByLabel('Role').selectOption('Student');
    await dialog(page).getByRole('button', { name: 'Save' }).click();
    await dialog(page).getByText('No enabled user with the role Admin would be left').waitFor();
    await page.keyboard.press('Escape');
    await opened.goTo('users?search=tom');
    await button(page, 'Change tom').click();
    await dialog(page).getByLabel('Role').selectOption('Student');
    await page.locator('dialog[open] button[type=submit]:enabled').waitFor();
    broker.command('user', 'disable', 'tom');
    broker.command('user', 'enable', 'tom');
    await dialog(page).getByRole('button', { name: 'Save' }).click();
    await dialog(page).getByText('Somebody changed it meanwhile').waitFor();
    await opened.close();
  });
});

describe('the live log', () => {
  test('shows what a client publishes within a second, and filters by a click', { timeout: 30_000 }, async () => {
    const client = await connect(broker, { username: 'sam', password: 'the student of the tests', clientId: 'quick' });
    await visit({}, async (opened, page) => {
      await opened.goTo('log');
      await page.getByText('live', { exact: true }).waitFor();
      const begin = Date.now();
      await client.publishAsync('students/sam/lamp', 'on', { qos: 1 });
      await page.locator('.log-row').getByText('students/sam/lamp').last().waitFor({ timeout: 3000 });
      assert.ok(Date.now() - begin < 1000, `${Date.now() - begin} ms`);
      await page.locator('.log-row .client .pick', { hasText: 'quick' }).last().click();
      await page.waitForFunction(() => location.hash.includes('client=quick'));
      await page.waitForFunction(() => {
        const rows = [...document.querySelectorAll('.log-body .log-row:not([hidden])')];
        return rows.length && rows.every((row) => row.querySelector('.client').textContent === 'quick');
      });
      await shoot(page, 'log-filtered');
    });
    await client.endAsync();
  });

  test('a pause loses nothing, and End goes on', { timeout: 30_000 }, async () => {
    const client = await connect(broker, { username: 'sam', password: 'the student of the tests', clientId: 'pauser' });
    await visit({}, async (opened, page) => {
      await opened.goTo('log?client=pauser');
      await page.getByText('live', { exact: true }).waitFor();
      await page.locator('.log-row').getByText('pauser').first().waitFor();
      await page.locator('.log-scroll').focus();
      await page.keyboard.press('Space');
      for (let count = 0; count < 5; count += 1) await client.publishAsync(`students/sam/${count}`, 'x', { qos: 1 });
      await button(page, '5 new').waitFor();
      assert.equal(await page.locator('.log-row').getByText('students/sam/4').count(), 0);
      await shoot(page, 'log-paused');
      await page.keyboard.press('End');
      await page.locator('.log-row').getByText('students/sam/4').waitFor();
    });
    await client.endAsync();
  });

  test('goes on without a gap when the broker was started again', { timeout: 60_000 }, async () => {
    const opened = await logIn(await open(browser, broker), broker);
    const { page } = opened;
    await opened.goTo('log');
    await page.getByText('live', { exact: true }).waitFor();
    await broker.stop();
    await page.getByText('reconnecting').waitFor();
    await broker.start();
    // Sessions in browsers end with the broker: one logs in and is back in the log, which has what happened meanwhile.
    await page.locator('[name=username]').or(page.getByText('live', { exact: true })).first().waitFor({ timeout: 15_000 });
    if (await page.locator('[name=username]').count()) {
      await page.locator('[name=username]').fill('admin');
      await page.locator('[name=password]').fill(adminPassword);
      await page.locator('button[type=submit]').click();
    }
    await page.getByText('live', { exact: true }).waitFor();
    await page.locator('.log-row').getByText(/securemq .* started/).last().waitFor();
    await page.locator('.log-row').getByText('securemq stopped').last().waitFor();
    await opened.close();
  });

  test('a thousand events a second do not freeze the page', { timeout: 60_000 }, async () => {
    const client = await connect(broker, { username: 'sam', password: 'the student of the tests', clientId: 'flood' });
    await visit({}, async (opened, page) => {
      await opened.goTo('log');
      await page.getByText('live', { exact: true }).waitFor();
      let sent = 0;
      const flood = setInterval(() => {
        for (let count = 0; count < 50; count += 1) client.publish(`students/sam/flood/${(sent += 1)}`, 'x');
      }, 50);
      try {
        await until(async () => (await page.locator('.log-foot').textContent()).match(/[1-9][\d,]{4,} event/), 30_000);
        const begin = Date.now();
        await button(page, 'Pause').click();
        await button(page, 'Resume').waitFor();
        assert.ok(Date.now() - begin < 1500, `a click took ${Date.now() - begin} ms`);
        await shoot(page, 'log-flood');
      } finally {
        clearInterval(flood);
      }
      assert.ok((await page.locator('.log-row').count()) < 120, 'only what is in sight is in the page');
    });
    await client.endAsync();
  });

  test('bars above it tell when things happened, and one of them zooms in, by keyboard, too', { timeout: 30_000 }, async () => {
    await visit({}, async (opened, page) => {
      await opened.goTo('log');
      const last = page.locator('.bars button').last();
      await last.waitFor();
      assert.match(await last.getAttribute('aria-label'), /\d\d:\d\d:\d\d to \d\d:\d\d:\d\d: [1-9][\d,]* events?, \d+ failed/);
      await page.locator('.bars button').first().focus();
      await page.keyboard.press('End');
      await page.keyboard.press('Enter');
      await page.waitForFunction(() => location.hash.includes('since=') && location.hash.includes('until='));
      await page.getByText('stored', { exact: true }).waitFor();
      await page.locator('.log-row').getByText('logged in at the pages: admin').first().waitFor();
      await shoot(page, 'log-zoomed');
      await button(page, 'Zoom out').click();
      await page.getByText('live', { exact: true }).waitFor();
    });
  });

  test('what the filters match is exported', async () => {
    await visit({}, async (opened, page) => {
      await opened.goTo('log?action=ADMIN');
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
      assert.match(download.suggestedFilename(), /\.csv$/);
    });
  });
});

describe('messages', () => {
  test('who leaves the page has not lost the connection', { timeout: 30_000 }, async () => {
    await visit({ user: 'sam', password: 'the student of the tests' }, async (opened, page) => {
      for (const leave of [() => opened.goTo('why'), () => page.reload()]) {
        await opened.goTo('publish');
        const listen = page.locator('.card').nth(1);
        await listen.getByLabel('Filter').fill('students/sam/#');
        await listen.getByRole('button', { name: 'Subscribe', exact: true }).click();
        await listen.getByText('live', { exact: true }).waitFor();
        await leave();
        await page.goto(broker.base);
        await page.waitForSelector('.shell h1');
      }
      const told = () => page.evaluate(async () => (await (await fetch('/api/v1/logs?action=DISCONNECT&text=the&limit=100')).json()).items.filter(({ client }) => client.startsWith('web-')).map(({ text }) => text));
      await until(async () => (await told()).length >= 2);
      assert.deepEqual(new Set(await told()), new Set(['the client disconnected']));
    });
  });

  test('what is published here is heard here and seen in the tree, as text, JSON and bytes', { timeout: 40_000 }, async () => {
    await visit({}, async (opened, page) => {
      await opened.goTo('publish');
      const [send, listen] = [page.locator('.card').first(), page.locator('.card').nth(1)];
      await listen.getByLabel('Filter').fill('demo/#');
      await listen.getByRole('button', { name: 'Subscribe', exact: true }).click();
      await listen.getByText('live', { exact: true }).waitFor();
      await send.getByLabel('Topic').fill('demo/lamp');
      await send.getByRole('button', { name: 'JSON' }).click();
      await send.locator('textarea').fill('{"on": true, "level": 4');
      await send.getByText('This is not JSON yet.').waitFor();
      await send.locator('textarea').fill('{"on": true, "level": 4}');
      await send.getByLabel('Retain').check();
      await send.getByRole('button', { name: 'Publish', exact: true }).click();
      await send.getByText('Published; 1 subscriber.').waitFor();
      await listen.locator('.messages li').waitFor();
      await shoot(page, 'publish-used');
      await listen.getByRole('button', { name: 'Show' }).first().click();
      await dialog(page).locator('.payload').getByText('"level": 4').waitFor();
      await dialog(page).getByRole('button', { name: 'Bytes' }).click();
      await dialog(page).locator('.payload').getByText('7b 22 6f 6e').waitFor();
      await page.keyboard.press('Escape');

      await opened.goTo('topics?topic=demo/lamp');
      await page.locator('.card .payload').getByText('"on": true').waitFor();
      await shoot(page, 'topics-value');
      await button(page, 'Edit').click();
      await dialog(page).locator('textarea').fill('{"on": false}');
      await dialog(page).getByRole('button', { name: 'Save' }).click();
      await page.locator('.card .payload').getByText('"on": false').waitFor();
      await button(page, 'Delete retained').click();
      await dialog(page).getByRole('button', { name: 'Delete 1 message' }).click();
      await page.getByText('1 retained message was deleted').waitFor();
    });
  });

  test('the tree tells how often something is said, and a branch is cleared after a look at what is in it', { timeout: 40_000 }, async () => {
    const client = await connect(broker, { username: 'sam', password: 'the student of the tests', clientId: 'often' });
    for (let count = 0; count < 12; count += 1) await client.publishAsync(`students/sam/kept/${count}`, 'x', { qos: 1, retain: true });
    await visit({}, async (opened, page) => {
      await opened.goTo('topics?topic=students/sam/kept');
      const row = (name) => page.locator('.tree-row').filter({ has: page.locator('.name', { hasText: name }) });
      await page.getByText('live', { exact: true }).waitFor();
      await row('kept').waitFor();
      assert.equal(await row('kept').locator('.rate').textContent(), '', 'what is kept was not said just now');
      const often = setInterval(() => client.publish('students/sam/often', 'x'), 20);
      try {
        await until(async () => Number.parseFloat(await row('often').locator('.rate').textContent().catch(() => '0')) > 5, 10_000);
      } finally {
        clearInterval(often);
      }
      await page.getByLabel('Order').selectOption('rate');
      await page.waitForFunction(() => document.querySelector('.tree-row[aria-level="3"] .name')?.textContent === 'often');
      await button(page, 'Clear branch').click();
      await dialog(page).getByText('Delete 12 retained messages?').waitFor();
      await dialog(page).getByText('students/sam/kept/11').waitFor();
      await dialog(page).getByText('and 2 more').waitFor();
      await dialog(page).getByLabel('Type students/sam/kept/# to confirm').fill('students/sam/kept/#');
      await dialog(page).getByRole('button', { name: 'Delete 12 messages' }).click();
      await page.getByText('12 retained messages were deleted').waitFor();
    });
    await client.endAsync();
  });

  test('a student is told why, and sees no more than its own', { timeout: 40_000 }, async () => {
    await visit({ user: 'sam', password: 'the student of the tests' }, async (opened, page) => {
      await page.getByRole('heading', { name: 'Hello sam' }).waitFor();
      await page.getByText('students/%u/#').waitFor();
      const offered = await page.locator('.rail a').allTextContents();
      assert.deepEqual(offered.map((name) => name.trim()), ['Home', 'Live log', 'Topics', 'Publish and listen', 'Why?', 'About']);
      await shoot(page, 'student');
      for (const hidden of ['users', 'rules', 'settings', 'certificates', 'overview']) {
        await opened.goTo(hidden);
        await page.getByRole('heading', { name: 'Not found' }).waitFor();
      }
      await opened.goTo('log');
      await page.getByText('live', { exact: true }).waitFor();
      await page.waitForFunction(() => [...document.querySelectorAll('.log-body .log-row:not([hidden]) .user')].every((cell) => cell.textContent === 'sam'));
    });
    const opened = await logIn(await open(browser, broker), broker, 'sam', 'the student of the tests');
    const { page } = opened;
    await opened.goTo('publish');
    await page.locator('.card').first().getByLabel('Topic').fill('students/sam/exams/x');
    await page.locator('.card').first().getByRole('button', { name: 'Publish', exact: true }).click();
    await page.getByText('Not published: the rules do not allow it.').waitFor();
    await page.locator('.notice.danger').getByRole('link', { name: 'Why?' }).click();
    await page.locator('.verdict.danger').getByText('A rule denies it').waitFor();
    // The page hides what the broker refuses all the same.
    const answers = await page.evaluate(() => Promise.all(['/users', '/rules', '/settings', '/certificates', '/overview', '/roles'].map(async (path) => (await fetch(`/api/v1${path}`)).status)));
    assert.deepEqual(new Set(answers), new Set([403]));
    await opened.close();
  });

  test('a teacher has classes and no settings', async () => {
    await visit({ user: 'tom', password: 'the teacher of the tests' }, async (opened, page) => {
      await page.getByRole('heading', { name: 'Hello tom' }).waitFor();
      await page.getByText('An administrator makes a class').waitFor();
      await shoot(page, 'teacher');
      assert.equal(await page.locator('.rail').getByText('Settings').count(), 0);
    });
  });
});

describe('the pages as a program of their own', () => {
  test('work on the store without a broker, say so, and go on when it is there', { timeout: 90_000 }, async () => {
    const alone = new Broker();
    const pages = await alone.startPages();
    const opened = await logIn(await open(browser, pages), pages);
    const { page } = opened;
    try {
      await page.locator('main').getByText('The broker is not running. Users').waitFor();
      await opened.goTo('users');
      await page.getByRole('cell', { name: 'admin', exact: true }).waitFor();
      await shoot(page, 'users-without-broker');
      await opened.goTo('log');
      await page.getByText('live', { exact: true }).waitFor();
      await page.locator('.log-row').getByText('logged in at the pages: admin').first().waitFor();
      await alone.start();
      await page.locator('.health.ok').waitFor({ timeout: 20_000 });
      await page.locator('.log-row').getByText(/securemq .* started/).last().waitFor();
      const client = await connect(alone, { username: 'admin', password: adminPassword, clientId: 'beside' });
      await client.publishAsync('beside/it', '1', { qos: 1 });
      await page.locator('.log-row').getByText('beside/it').last().waitFor();
      await client.endAsync();
      await opened.goTo('overview');
      await page.getByText('Connections').first().waitFor();
      await opened.goTo('publish');
      await page.locator('.card').first().getByLabel('Topic').fill('beside/it');
      await page.locator('.card').first().getByRole('button', { name: 'Publish', exact: true }).click();
      await page.locator('.notice.ok').waitFor();
    } finally {
      await opened.close();
      await alone.end();
    }
  });
});

describe('the search', () => {
  test('finds clients, users, topics and rules from every page, by keyboard', { timeout: 40_000 }, async () => {
    const client = await connect(broker, { username: 'sam', password: 'the student of the tests', clientId: 'needle-board' });
    await client.publishAsync('students/sam/needle', '1', { qos: 1, retain: true });
    broker.addUser('needle', 'Student', 'the password of a needle');
    broker.command('acl', 'add', '--role', 'Student', '--topic', 'hay/needle/#', '--publish', '--deny');
    await visit({}, async (opened, page) => {
      await opened.goTo('settings');
      const find = async (key, text) => {
        await page.keyboard.press(key);
        await dialog(page).getByRole('combobox').waitFor();
        await page.keyboard.type(text);
      };
      await find('/', 'needle');
      const found = (name, what) => dialog(page).getByRole('group', { name, exact: true }).getByRole('option').getByText(what, { exact: true });
      await found('Clients', 'needle-board').waitFor();
      await found('Users', 'needle').waitFor();
      await found('Topics', 'students/sam/needle').waitFor();
      await found('Rules', 'Role Student may not publish hay/needle/#').waitFor();
      assert.deepEqual(await accessibility(page), []);
      await shoot(page, 'search');
      // Down to the topic, and there.
      const chosen = dialog(page).locator('[role=option][aria-selected=true]');
      while ((await chosen.locator('bdi').textContent()) !== 'students/sam/needle') await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Topics', level: 1 }).waitFor();
      await page.locator('.card').getByText('students/sam/needle').waitFor();
      // From the topics to another topic, with the other key.
      await find('Control+k', 'students/sam/other');
      await found('Topics', 'students/sam/other').click();
      await page.waitForFunction(() => location.hash.includes('other'));
      await find('/', 'a/#/b');
      await dialog(page).getByText('1 result').waitFor();
      await page.keyboard.press('Escape');
      assert.equal(await dialog(page).count(), 0);
      // A filter that is none is the broker's to refuse; the browser reports that it did.
      opened.faults.splice(0, opened.faults.length, ...opened.faults.filter((fault) => !fault.includes('422')));
    });
    await visit({ user: 'sam', password: 'the student of the tests' }, async (opened, page) => {
      await page.keyboard.press('/');
      await page.keyboard.type('needle');
      await dialog(page).getByRole('option').getByText('needle-board').waitFor();
      assert.deepEqual(await dialog(page).getByRole('group').evaluateAll((groups) => groups.map((group) => group.ariaLabel)), ['Clients', 'Topics', 'Log']);
    });
    await client.publishAsync('students/sam/needle', '', { qos: 1, retain: true });
    await client.endAsync();
  });
});

describe('hostile names and payloads', () => {
  const evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}\u202egnp.exe javascript:alert(3)';

  test('are shown as characters on every page, and nothing else', { timeout: 120_000 }, async () => {
    const client = await connect(broker, { username: 'admin', password: adminPassword, clientId: evil, will: { topic: evil, payload: evil } });
    await client.subscribeAsync(`${evil}/#`);
    await client.publishAsync(`${evil}/a`, evil, { qos: 1, retain: true });
    await client.publishAsync('demo/html', '<svg onload=alert(4)>', { qos: 1, retain: true });
    await client.publishAsync('demo/long', 'x'.repeat(60_000), { qos: 1, retain: true });
    await client.publishAsync('demo/bytes', Buffer.from([0, 255, 27, 93, 56]), { qos: 1, retain: true });
    await visit({}, async (opened, page) => {
      const made = () => page.evaluate(() => document.querySelectorAll('img, iframe, object, embed, script:not([src]), [onerror], [onload], a[href^="javascript:"]').length);
      for (const path of adminPages) {
        await opened.goTo(path);
        await page.waitForTimeout(150);
        assert.equal(await made(), 0, path);
      }
      await opened.goTo('clients');
      await page.getByRole('link', { name: /onerror/ }).click();
      await page.getByRole('heading', { name: /onerror/ }).waitFor();
      assert.match(await page.locator('main').textContent(), /⟨U\+202E⟩gnp\.exe/);
      await shoot(page, 'hostile-client');
      await opened.goTo('log?text=onerror');
      await page.locator('.log-row').getByText(/⟨U\+202E⟩/).first().waitFor();
      await page.locator('.log-row .message', { hasText: 'delivered' }).last().click();
      await dialog(page).waitFor();
      await shoot(page, 'hostile-event');
      await page.keyboard.press('Escape');
      for (const topic of [`${evil}/a`, 'demo/html', 'demo/long', 'demo/bytes']) {
        await opened.goTo(`topics?topic=${encodeURIComponent(topic)}`);
        await page.locator('.card .payload').waitFor();
        assert.equal(await made(), 0, topic);
      }
      await opened.goTo(`why?user=${encodeURIComponent(evil)}&action=publish&topic=${encodeURIComponent(evil)}`);
      await page.locator('.notice.danger').waitFor();
      await opened.goTo(encodeURIComponent(evil));
      assert.equal(await made(), 0);
      // No user is of such a name; the browser itself reports that the broker refused the question.
      const refused = opened.faults.findIndex((fault) => fault.includes('422'));
      opened.faults.splice(refused, 1);
    });
    for (const topic of [`${evil}/a`, 'demo/html', 'demo/long', 'demo/bytes']) await client.publishAsync(topic, '', { qos: 1, retain: true });
    await client.endAsync();
  });
});

describe('a school of its own', () => {
  test('has its accent, readable in every theme, and its logo, before and after the login', { timeout: 90_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'securemq-logo-'));
    const logo = join(folder, 'logo.png');
    // One red dot.
    writeFileSync(logo, Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64'));
    const own = new Broker({ SECUREMQ__WEB__ACCENT: '#ffd400', SECUREMQ__WEB__LOGO: logo });
    try {
      await own.start();
      for (const theme of ['light', 'dark', 'contrast']) {
        const opened = await open(browser, own, { theme });
        await opened.page.goto(own.base);
        await opened.page.locator('.login img.mark').waitFor();
        assert.equal(await opened.page.locator('img.mark').evaluate((image) => image.decode().then(() => image.naturalWidth)), 1);
        assert.deepEqual(await accessibility(opened.page), []);
        await logIn(opened, own);
        await opened.goTo('users');
        await opened.page.locator('.bar img.mark').waitFor();
        assert.notEqual(await opened.page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--accent')), '#0b5cc4');
        await shoot(opened.page, `accent-${theme}`);
        assert.deepEqual(await accessibility(opened.page), []);
        assert.deepEqual(await opened.wrongs(), []);
        await opened.close();
      }
    } finally {
      await own.end();
      rmSync(folder, { recursive: true });
    }
  });
});

describe('everybody', () => {
  for (const [theme, size, language] of [['light', 'desk', 'en'], ['dark', 'desk', 'de'], ['contrast', 'desk', 'en'], ['light', 'phone', 'de'], ['dark', 'narrow', 'en']]) {
    test(`can use every page: ${theme}, ${size}, ${language}`, { timeout: 180_000 }, async () => {
      const before = await open(browser, broker, { theme, size, language });
      await before.page.goto(broker.base);
      await before.page.waitForSelector('.login');
      assert.deepEqual(await accessibility(before.page), [], 'the page of the login');
      await shoot(before.page, `login-${theme}-${size}`);
      await before.close();
      const client = await connect(broker, { username: 'sam', password: 'the student of the tests', clientId: `seen-${theme}-${size}` });
      await client.publishAsync('students/sam/temperature', '21.5', { qos: 1 });
      await client.publishAsync('students/sam/exams/x', 'no', { qos: 1 }).catch(() => {});
      await visit({ theme, size, language }, async (opened, page) => {
        const found = {};
        for (const path of adminPages) {
          await opened.goTo(path);
          await page.waitForTimeout(300);
          const name = `${path.replace(/\W/g, '-')}-${theme}-${size}`;
          await shoot(page, name);
          const violations = await accessibility(page);
          if (violations.length) found[path] = violations;
          if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) found[`${path} scrolls sideways`] = true;
          const cut = await page.locator('.bottom span').evaluateAll((names) => names.filter((name) => name.scrollWidth > name.clientWidth).map((name) => name.textContent));
          if (cut.length) found[`${path} has names that are cut off`] = cut;
        }
        assert.deepEqual(found, {});
      });
      await client.endAsync();
    });
  }

  test('makes a class and pauses it, makes a key and revokes it, and logs out by keyboard alone', { timeout: 60_000 }, async () => {
    broker.addUser('kay', 'Admin', 'the keyboard of the tests');
    const opened = await logIn(await open(browser, broker), broker, 'kay', 'the keyboard of the tests');
    const { page } = opened;
    const { keyboard } = page;
    // By Tab alone, to what a reader of the screen calls so.
    const tabTo = async (wanted) => {
      for (let count = 0; count < 80; count += 1) {
        const name = await page.evaluate(() => document.activeElement?.ariaLabel || document.activeElement?.labels?.[0]?.textContent || document.activeElement?.textContent?.trim() || '');
        if (wanted.test(name)) return;
        await keyboard.press('Tab');
      }
      assert.fail(`no way to ${wanted} by Tab`);
    };
    const press = async (wanted, key = 'Enter') => {
      await tabTo(wanted);
      await keyboard.press(key);
    };
    await keyboard.press('g');
    await keyboard.press('e');
    await page.getByRole('heading', { name: 'Classes', level: 1 }).waitFor();
    await press(/^Add class$/);
    await dialog(page).waitFor();
    await keyboard.type('keys');
    await keyboard.press('Enter');
    await page.waitForFunction(() => !document.querySelector('dialog[open]'));
    await page.getByRole('heading', { name: 'Class keys', level: 1 }).waitFor();
    await press(/^Pause class keys$/);
    await page.getByText('paused', { exact: true }).first().waitFor();
    await press(/^Resume class keys$/);
    await button(page, 'Pause class keys').waitFor();
    await shoot(page, 'class-by-keyboard');

    await keyboard.press('g');
    await keyboard.press('a');
    await page.getByRole('heading', { name: 'Account', level: 1 }).waitFor();
    await press(/^Make key$/);
    await dialog(page).waitFor();
    await tabTo(/^For what/);
    await keyboard.type('by keyboard');
    await press(/^publish: send/, 'Space');
    await keyboard.press('Enter');
    await dialog(page).getByLabel('Key', { exact: true }).waitFor();
    await keyboard.press('Escape');
    await page.getByRole('cell', { name: 'by keyboard', exact: true }).waitFor();
    assert.equal(await dialog(page).count(), 0);
    await press(/by keyboard/);
    await dialog(page).waitFor();
    await press(/^Revoke$/);
    await page.getByText('No keys').first().waitFor();
    assert.deepEqual(await opened.wrongs(), []);
    await press(/^Log out$/);
    await page.waitForSelector('.login');
    await opened.close();
  });

  test('can work by keyboard alone', { timeout: 60_000 }, async () => {
    const opened = await open(browser, broker);
    const { page } = opened;
    const { keyboard } = page;
    await page.goto(broker.base);
    await page.waitForSelector('.login');
    const focused = () => page.evaluate(() => document.activeElement?.name || document.activeElement?.textContent?.trim() || document.activeElement?.ariaLabel || '');
    const tabTo = async (wanted) => {
      for (let count = 0; count < 60; count += 1) {
        if (wanted.test(await focused())) return;
        await keyboard.press('Tab');
      }
      assert.fail(`no way to ${wanted} by Tab`);
    };
    await tabTo(/^username$/);
    await keyboard.type('admin');
    await tabTo(/^password$/);
    await keyboard.type(adminPassword);
    await keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    // The first stop is the way past the navigation.
    await page.evaluate(() => document.activeElement.blur());
    await keyboard.press('Tab');
    assert.equal(await focused(), 'Skip to the page');
    await keyboard.press('Enter');
    assert.equal(await focused(), 'Overview');
    // Keys lead to the pages.
    await keyboard.press('g');
    await keyboard.press('u');
    await page.getByRole('heading', { name: 'Users', level: 1 }).waitFor();
    assert.equal(await focused(), 'Users');
    await tabTo(/^Add user$/);
    await keyboard.press('Enter');
    await dialog(page).waitFor();
    await dialog(page).getByLabel('User', { exact: true }).focus();
    await keyboard.type('kim');
    await keyboard.press('Enter');
    await page.locator('.login-print').waitFor();
    await keyboard.press('Escape');
    await page.getByRole('cell', { name: 'kim', exact: true }).waitFor();
    assert.equal(await dialog(page).count(), 0);
    // Help opens and closes, and gives the focus back.
    await keyboard.press('?');
    await dialog(page).getByText('These keys').waitFor();
    await keyboard.press('Escape');
    assert.equal(await dialog(page).count(), 0);
    // The log: rows by arrows, details by Enter.
    await keyboard.press('g');
    await keyboard.press('l');
    await page.getByRole('heading', { name: 'Live log' }).waitFor();
    await page.locator('.log-row').getByText('kim').first().waitFor();
    await page.locator('.log-scroll').focus();
    await keyboard.press('ArrowUp');
    await keyboard.press('ArrowUp');
    await page.locator('.log-row.active').waitFor();
    await keyboard.press('Enter');
    await dialog(page).waitFor();
    await keyboard.press('Escape');
    // The tree: arrows open and move.
    await keyboard.press('g');
    await keyboard.press('t');
    await page.getByRole('heading', { name: 'Topics' }).waitFor();
    await page.getByText('live', { exact: true }).waitFor();
    const client = await connect(broker, { username: 'sam', password: 'the student of the tests', clientId: 'tree' });
    await client.publishAsync('students/sam/deep/down', '1', { qos: 1 });
    await page.locator('[role=treeitem]').getByText('students').waitFor();
    await page.locator('[role=treeitem][tabindex="0"]').focus();
    await keyboard.press('End');
    for (let depth = 0; depth < 3; depth += 1) {
      await keyboard.press('ArrowRight');
      await page.waitForTimeout(100);
      await keyboard.press('ArrowRight');
      await page.waitForTimeout(100);
    }
    await page.locator('[role=treeitem][aria-level="4"][aria-selected="true"]').waitFor();
    await client.endAsync();
    assert.deepEqual(await opened.wrongs(), []);
    await opened.close();
  });
});
