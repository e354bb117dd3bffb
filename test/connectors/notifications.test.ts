/** The ways out, against a real mail server and real endpoints on loopback. */
import { createServer, type LookupFunction, type Server } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { createNotifiers } from '../../connectors/notifications';
import type { NotifierOptions } from '../../connectors/notifications/port';
import type { OutsideMessage } from '../../domain/notifications';
import {
  type MailServer,
  type Receiver,
  replyWith,
  startMailServer,
  startReceiver,
  TEST_AUTHORITY,
} from '../support/receivers';

const SECRET = `whsec_${Buffer.alloc(32, 5).toString('base64')}`;
const OLD_SECRET = `whsec_${Buffer.alloc(32, 6).toString('base64')}`;
const message: OutsideMessage = {
  id: 'dlv_0123456789abcdef',
  notification: 'bm90ZQ',
  account: 'acct_1',
  event: 'order_push_failed',
  title: 'An order push failed',
  document: 'pkg_1',
  detail: 'Not enough is available – só nada',
  at: '2026-11-21T16:00:00.000Z',
};
const TIMEOUT_MS = 400;

const notifiers = (options: Partial<NotifierOptions> = {}) =>
  createNotifiers({ allowPrivateAddresses: true, timeoutMs: TIMEOUT_MS, ...options });

/** The whole of the error, as anything that logs it would see it. */
async function failureOf(work: Promise<void>) {
  const error = await work.then(
    () => {
      throw new Error('It did not fail');
    },
    (failed: Error & { kind: string; retryAfterMs?: number }) => failed,
  );
  expect(error.cause).toBeUndefined();
  return { name: error.name, kind: error.kind, message: error.message, retryAfterMs: error.retryAfterMs };
}

describe('a mail', () => {
  let server: MailServer;
  const from = 'Tradelane <hub@hub.example>';
  const mail = (text: Partial<OutsideMessage> = {}, address = 'told@shop.example', url = server.url) =>
    notifiers({ smtp: { url, from } }).mail(address, { ...message, ...text });

  beforeEach(async () => {
    server = await startMailServer();
  });
  afterEach(() => server.close());

  test('has the words, the sender, and an id that stays the same', async () => {
    await mail();
    await mail();
    const [first, second] = server.mails;
    expect(first).toMatchObject({
      from: 'hub@hub.example',
      to: ['told@shop.example'],
      id: `<${message.id}@hub.example>`,
    });
    expect(second?.id).toBe(first?.id);
    expect(first?.text).toMatch(/^Subject: An order push failed\r$/m);
    expect(first?.text).toMatch(/^Content-Type: text\/plain; charset=utf-8\r$/m);
    expect(first?.text).toMatch(/^Auto-Submitted: auto-generated\r$/m);
    expect(first?.text).toContain('pkg_1');
  });

  test('takes no header and no recipient from its words', async () => {
    await mail({
      title: 'Failed\r\nBcc: all@else.example\r\n\r\nOther body',
      document: 'pkg_1\r\nBcc: all@else.example',
      detail: 'x\r\n.\r\nMAIL FROM:<evil@else.example>\r\nRCPT TO:<all@else.example>',
      id: 'dlv_1',
    });
    expect(server.mails).toHaveLength(1);
    const [{ to, text } = { to: [], text: '' }] = server.mails;
    expect(to).toEqual(['told@shop.example']);
    const [headers = ''] = text.split('\r\n\r\n');
    expect(headers).not.toMatch(/^Bcc:/m);
    expect(headers).toMatch(/^Subject: Failed Bcc: all@else.example Other body\r$/m);
  });

  test.each([['a@b.example>\r\nRCPT TO:<c@d.example'], ['a@b.example, c@d.example'], ['']])(
    'goes to one address or to none: %j',
    async (address) => {
      await mail({}, address).catch(() => {});
      for (const { to } of server.mails) expect(to).toHaveLength(1);
      expect(server.mails.flatMap(({ to }) => to)).not.toContain('c@d.example');
    },
  );

  test.each([
    [550, 'refused'],
    [553, 'refused'],
    [450, 'unavailable'],
    [421, 'unavailable'],
  ])(
    'whose recipient is answered %i is %s, and the error has nothing of the address or the answer',
    async (code, kind) => {
      server.refuseWith = code;
      const failure = await failureOf(mail());
      expect(failure).toMatchObject({ name: 'DeliveryError', kind });
      expect(failure.message).toContain(String(code));
      expect(failure.message).not.toMatch(/told|shop\.example|secret/);
    },
  );

  test('that nobody answers to, or that nobody is there for, may go later', async () => {
    server.silent = true;
    expect(await failureOf(mail())).toMatchObject({ kind: 'unavailable' });
    // A server that says nothing at all.
    const mute: Server = createServer(() => {});
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const { port } = mute.address() as { port: number };
    expect(await failureOf(mail({}, 'told@shop.example', `smtp://127.0.0.1:${port}`))).toMatchObject({
      kind: 'unavailable',
    });
    await new Promise((resolve) => mute.close(resolve));
    expect(await failureOf(mail({}, 'told@shop.example', `smtp://127.0.0.1:${port}`))).toMatchObject({
      kind: 'unavailable',
    });
    expect(await failureOf(notifiers().mail('told@shop.example', message))).toMatchObject({ kind: 'not_configured' });
  });
});

describe('a call', () => {
  let receiver: Receiver;
  const call = (url = receiver.url, options: Partial<NotifierOptions> = {}, secrets = [SECRET]) =>
    notifiers(options).call({ url, secrets }, message);

  beforeEach(async () => {
    receiver = await startReceiver();
  });
  afterEach(() => receiver.close());

  test('is signed in the way of Standard Webhooks, with each secret, and has a stable id', async () => {
    await call(`${receiver.url}/hook?token=1`, {}, [SECRET, OLD_SECRET]);
    await call();
    const [first, second] = receiver.calls;
    if (!first || !second) throw new Error('no calls');
    expect(first.path).toBe('/hook?token=1');
    expect([first.headers['webhook-id'], second.headers['webhook-id']]).toEqual([message.id, message.id]);
    const headers = first.headers as Record<string, string>;
    for (const secret of [SECRET, OLD_SECRET])
      expect(new Webhook(secret).verify(first.body, headers)).toEqual({
        type: 'notification.order_push_failed',
        timestamp: message.at,
        data: {
          id: 'bm90ZQ',
          event: 'order_push_failed',
          title: message.title,
          document: 'pkg_1',
          detail: message.detail,
          account: 'acct_1',
        },
      });
    expect(() => new Webhook(SECRET).verify(`${first.body} `, headers)).toThrow();
    expect(() => new Webhook(OLD_SECRET).verify(second.body, second.headers as Record<string, string>)).toThrow();
    expect(first.headers['content-type']).toBe('application/json');
    expect(JSON.stringify(first.headers)).not.toContain('whsec');
  });

  test('over TLS goes to whom the certificate is for, and to nobody else', async () => {
    const tls = await startReceiver({ tls: true });
    await call(tls.url, { certificateAuthority: TEST_AUTHORITY });
    expect(tls.calls).toHaveLength(1);
    expect(await failureOf(call(tls.url))).toMatchObject({ kind: 'unavailable' });
    expect(tls.calls).toHaveLength(1);
    await tls.close();
  });

  test.each([
    [200, null],
    [204, null],
    [299, null],
    [410, 'refused'],
    [301, 'unavailable'],
    [400, 'unavailable'],
    [404, 'unavailable'],
    [429, 'unavailable'],
    [500, 'unavailable'],
  ])('answered %i is %s', async (status, kind) => {
    receiver.reply = replyWith(status, { Location: 'http://127.0.0.1:9/' }, status === 204 ? '' : 'tell-tale');
    if (kind === null) await call();
    else {
      const failure = await failureOf(call());
      expect(failure).toMatchObject({ kind, message: expect.stringContaining(String(status)) });
      expect(JSON.stringify(failure)).not.toMatch(/tell-tale|127\.0\.0\.1|whsec/);
    }
    expect(receiver.calls).toHaveLength(1);
  });

  test('is told when to come again, at most a day later', async () => {
    receiver.reply = replyWith(429, { 'Retry-After': '7' });
    expect((await failureOf(call())).retryAfterMs).toBe(7_000);
    receiver.reply = replyWith(503, { 'Retry-After': new Date(Date.now() + 60_000).toUTCString() });
    expect((await failureOf(call())).retryAfterMs).toBeGreaterThan(55_000);
    receiver.reply = replyWith(429, { 'Retry-After': '99999999' });
    expect((await failureOf(call())).retryAfterMs).toBe(86_400_000);
    receiver.reply = replyWith(500, { 'Retry-After': '7' });
    expect((await failureOf(call())).retryAfterMs).toBeUndefined();
  });

  test('waits for the status only so long, and reads only so much after it', async () => {
    receiver.reply = () => {};
    const startedAt = Date.now();
    expect(await failureOf(call())).toMatchObject({ kind: 'unavailable', message: expect.stringMatching(/in time/) });
    expect(Date.now() - startedAt).toBeLessThan(TIMEOUT_MS * 4);
    // An endless body, fast or slow, after a 200: it was taken.
    receiver.reply = (response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    };
    await call();
    receiver.reply = (response) => {
      response.writeHead(200).write('x');
    };
    await call();
    // A header that never ends.
    receiver.reply = (response) => {
      response.socket?.write(`HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(200_000)}`);
    };
    expect(await failureOf(call())).toMatchObject({ kind: 'unavailable' });
  });

  test('follows no redirect', async () => {
    const other = await startReceiver();
    for (const status of [301, 302, 303, 307, 308]) {
      receiver.reply = replyWith(status, { Location: other.url });
      expect(await failureOf(call())).toMatchObject({ kind: 'unavailable' });
    }
    expect(other.connections).toBe(0);
    await other.close();
  });
});

describe('private addresses', () => {
  const call = (url: string, options: Partial<NotifierOptions> = {}) =>
    notifiers({ allowPrivateAddresses: false, certificateAuthority: TEST_AUTHORITY, ...options }).call(
      { url, secrets: [SECRET] },
      message,
    );
  let receiver: Receiver;

  beforeAll(async () => {
    receiver = await startReceiver({ tls: true });
  });
  afterAll(() => receiver.close());

  test.each([
    '127.0.0.1',
    'localhost',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '127.1',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::7f00:1]',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '169.254.169.254',
    '[fd00::1]',
    '[fe80::1]',
    '[fd00:ec2::254]',
    '224.0.0.1',
    '255.255.255.255',
  ])('%s is not called', async (host) => {
    const failure = await failureOf(call(`https://${host}:${receiver.port}/`));
    expect(failure).toMatchObject({ kind: 'refused', message: expect.stringMatching(/not called/) });
    expect(failure.message).not.toContain(host);
    expect(receiver.connections).toBe(0);
  });

  test('are refused on what a name resolves to when it is called, which is asked for once', async () => {
    const answers = [
      [{ address: '127.0.0.1', family: 4 }],
      [
        { address: '93.184.215.14', family: 4 },
        { address: '::1', family: 6 },
      ],
    ];
    let asked = 0;
    const lookup = ((_name: string, options: { all?: boolean }, done: (...answer: unknown[]) => void) => {
      const answer = answers[asked % answers.length] ?? [];
      asked += 1;
      if (options.all) done(null, answer);
      else done(null, answer.at(-1)?.address, answer.at(-1)?.family);
    }) as LookupFunction;
    for (const times of [1, 2]) {
      expect(await failureOf(call(`https://rebind.example:${receiver.port}/`, { lookup }))).toMatchObject({
        kind: 'refused',
      });
      expect(asked).toBe(times);
    }
    expect(receiver.connections).toBe(0);
  });

  test('and plain HTTP are refused unless both are allowed', async () => {
    expect(await failureOf(call('http://93.184.215.14/'))).toMatchObject({ kind: 'refused' });
    await notifiers({ certificateAuthority: TEST_AUTHORITY }).call(
      { url: `https://localhost:${receiver.port}/`, secrets: [SECRET] },
      message,
    );
    expect(receiver.calls).toHaveLength(1);
  });
});
