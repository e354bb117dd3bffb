/** Notifications on their way out: real workflows, a real mail server, a real endpoint. */
import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import type { Payload } from '@temporalio/common';
import { Webhook } from 'standardwebhooks';
import { createLogger } from '../../config/logger';
import type { NotificationEvent } from '../../domain/notifications';
import { deliveryProcessId, operationIdOf } from '../../domain/process-ids';
import { deliveryIdOf } from '../../store/repositories/deliveries';
import { createPayloadCodec } from '../../workflows/encoding';
import { taskQueueOf } from '../../workflows/ids';
import type { notificationDelivery } from '../../workflows/notification-delivery';
import { eventually, type Hub, startHub, TEST_KEYS } from '../support/hub';
import { type MailServer, type Receiver, replyWith, startMailServer, startReceiver } from '../support/receivers';

const ADDRESS = 'told@shop.example';
const EVENT: NotificationEvent = 'order_push_failed';
const budget = { attempts: 4, firstWaitMs: 50, longestWaitMs: 200 };

let hub: Hub;
let mailServer: MailServer;
let receiver: Receiver;
const log: string[] = [];

beforeAll(async () => {
  mailServer = await startMailServer();
  receiver = await startReceiver();
  const stream = new Writable({
    write(chunk, _encoding, done) {
      log.push(String(chunk));
      done();
    },
  });
  hub = await startHub({
    sweepGraceMs: 1,
    notifications: { ...budget, tryMs: 5_000 },
    notifiers: { smtp: { url: mailServer.url, from: 'Hub <hub@hub.example>' }, timeoutMs: 2_000 },
    logger: createLogger({ level: 'debug', format: 'json', service: 'test', stream }),
  });
});
afterAll(async () => {
  await hub?.stop();
  await Promise.all([mailServer?.close(), receiver?.close()]);
});
beforeEach(() => {
  mailServer.mails.length = 0;
  Object.assign(mailServer, { refuseWith: null, silent: false });
  receiver.calls.length = 0;
  receiver.reply = replyWith(204);
  hub.store.notifications.onDue((due) => hub.processes.deliver(due));
});

/** An account with both channels, told by those named. */
async function subscriber(...channels: ('email' | 'https')[]) {
  const account = `acct_${randomBytes(6).toString('hex')}`;
  const { secret } = await hub.store.subscriptions.put(account, {
    email: { address: ADDRESS },
    https: { url: `${receiver.url}/hook` },
    events: { [EVENT]: channels },
  });
  return { account, secret: secret ?? '' };
}
const tell = (account: string, event: NotificationEvent = EVENT) =>
  hub.store.notifications.notify(null, { account, event, occurrence: '1', document: 'pkg_1', detail: 'Nothing left' });
const deliveryOf = (account: string, channel: 'email' | 'https') => deliveryIdOf(`${account}/${EVENT}/1`, channel);
const rowOf = (id: string) => hub.store.database.models.deliveries.findById(id).lean();
const becomes = (id: string, status: string) => eventually(async () => expect((await rowOf(id))?.status).toBe(status));
const operationOf = (account: string, id: string) =>
  hub.store.operations.get(account, operationIdOf(deliveryProcessId(id)));
const sweep = () =>
  hub.client.workflow.execute('sweep', {
    workflowId: `sweep-${randomBytes(6).toString('hex')}`,
    taskQueue: taskQueueOf(hub.queuePrefix),
    args: [],
  });
const idsCalled = () => receiver.calls.map(({ headers }) => headers['webhook-id']);

describe('a notification', () => {
  test('goes out by each channel that is subscribed, once, signed; without an operation', async () => {
    const { account, secret } = await subscriber('email', 'https');
    await Promise.all(Array.from({ length: 10 }, () => tell(account)));
    const [mail, call] = [deliveryOf(account, 'email'), deliveryOf(account, 'https')];
    await Promise.all([becomes(mail, 'sent'), becomes(call, 'sent')]);
    expect(mailServer.mails).toMatchObject([{ to: [ADDRESS], id: `<${mail}@hub.example>` }]);
    expect(idsCalled()).toEqual([call]);
    const [{ body, headers } = { body: '', headers: {} }] = receiver.calls;
    const [{ _id = '' } = {}] = (await hub.store.notifications.list(account, { limit: 10, after: null })).items;
    expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toMatchObject({
      type: 'notification.order_push_failed',
      data: { id: Buffer.from(_id).toString('base64url'), account, document: 'pkg_1', detail: 'Nothing left' },
    });
    expect((await hub.store.operations.list(account, {}, { limit: 10, after: null })).items).toEqual([]);
  });

  test('that nobody subscribed to stays in-app', async () => {
    const { account } = await subscriber('https');
    await tell(account, 'balance_low');
    expect((await hub.store.notifications.list(account, { limit: 10, after: null })).items).toHaveLength(1);
    expect(await hub.store.database.models.deliveries.countDocuments({ account })).toBe(0);
  });

  test('waits for a receiver that is away, that is slow, and that stumbles; always with the same id', async () => {
    const { account } = await subscriber('https');
    const replies = [() => {}, replyWith(500), replyWith(302, { Location: '/' }), replyWith(204)];
    receiver.reply = (response, call) => replies[receiver.calls.length - 1]?.(response, call);
    await tell(account);
    const id = deliveryOf(account, 'https');
    await becomes(id, 'sent');
    expect(idsCalled()).toEqual([id, id, id, id]);

    const { account: other } = await subscriber('https');
    const { port } = receiver;
    await receiver.close();
    await tell(other);
    await eventually(() => expect(log.join('')).toContain(deliveryOf(other, 'https')));
    receiver = await startReceiver({ port });
    // Its tries may have been used up meanwhile: then somebody says so.
    await eventually(async () => {
      const row = await rowOf(deliveryOf(other, 'https'));
      if (row?.status === 'parked')
        await hub.processes.decide(deliveryProcessId(deliveryOf(other, 'https')), 'retry', 'operator').catch(() => {});
      expect(row?.status).toBe('sent');
    });
    expect(idsCalled()).toEqual([deliveryOf(other, 'https')]);
  });

  test('answered 429 comes again not before it was asked to', async () => {
    const { account } = await subscriber('https');
    receiver.reply = (response, call) =>
      (receiver.calls.length === 1 ? replyWith(429, { 'Retry-After': '1' }) : replyWith(200))(response, call);
    await tell(account);
    await becomes(deliveryOf(account, 'https'), 'sent');
    const [first, second] = receiver.calls;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(900);
    // Asking for less than the own wait uses no tries up faster.
    receiver.calls.length = 0;
    receiver.reply = replyWith(429, { 'Retry-After': '0' });
    const { account: other } = await subscriber('https');
    await tell(other);
    await becomes(deliveryOf(other, 'https'), 'parked');
    const [from, to] = [receiver.calls[0]?.at ?? 0, receiver.calls.at(-1)?.at ?? 0];
    expect(receiver.calls).toHaveLength(budget.attempts);
    expect(to - from).toBeGreaterThan(300);
  });

  test('to an endpoint that is gone parks at once, says why, and goes when it is retried', async () => {
    const { account } = await subscriber('https');
    receiver.reply = replyWith(410, {}, 'tell-tale');
    await tell(account);
    const id = deliveryOf(account, 'https');
    await becomes(id, 'parked');
    expect(receiver.calls).toHaveLength(1);
    expect(await operationOf(account, id)).toMatchObject({
      kind: 'notification_delivery',
      status: 'parked',
      document: id,
      error: { code: 'delivery_refused', detail: 'The endpoint is gone (410)', hint: expect.stringMatching(/retry/) },
    });
    await sweep();
    expect(receiver.calls).toHaveLength(1);
    receiver.reply = replyWith(204);
    await hub.processes.decide(deliveryProcessId(id), 'retry', 'operator');
    await becomes(id, 'sent');
    expect(idsCalled()).toEqual([id, id]);
    expect(await operationOf(account, id)).toMatchObject({ status: 'done', error: null });
  });

  test('whose mail is refused for good parks at once; abandoned, it has failed', async () => {
    const { account } = await subscriber('email');
    mailServer.refuseWith = 550;
    await tell(account);
    const id = deliveryOf(account, 'email');
    await becomes(id, 'parked');
    expect(await operationOf(account, id)).toMatchObject({ error: { code: 'delivery_refused' } });
    await hub.processes.decide(deliveryProcessId(id), 'abandon', 'operator');
    await becomes(id, 'failed');
    expect(await operationOf(account, id)).toMatchObject({ status: 'abandoned', error: { code: 'abandoned' } });
    expect(mailServer.mails).toEqual([]);
  });

  test('whose mail server is away for good is tried so often, parks, and ends by itself', async () => {
    hub.store.notifications.onDue(() => {});
    const { account } = await subscriber('email');
    mailServer.refuseWith = 451;
    await tell(account);
    const id = deliveryOf(account, 'email');
    const end = await hub.client.workflow.execute<typeof notificationDelivery>('notificationDelivery', {
      workflowId: deliveryProcessId(id),
      taskQueue: taskQueueOf(hub.queuePrefix),
      args: [{ delivery: id, budget, tryMs: 2_000, parkedMs: 100 }],
    });
    expect(end).toBe('failed');
    expect(await operationOf(account, id)).toMatchObject({
      status: 'abandoned',
      error: { code: 'abandoned', detail: 'nobody decided in time' },
    });
    expect(log.filter((line) => line.includes(id) && line.includes('"delivery_failed"'))).toHaveLength(budget.attempts);
  });

  test('that nobody started, or whose workflow was terminated, is the sweep’s', async () => {
    hub.store.notifications.onDue(() => {});
    const [{ account: unstarted }, { account: ended }] = [
      await subscriber('https', 'email'),
      await subscriber('https'),
    ];
    await tell(unstarted);
    receiver.reply = replyWith(410);
    await tell(ended);
    const id = deliveryOf(ended, 'https');
    await hub.processes.startDelivery({ delivery: id, account: ended });
    await becomes(id, 'parked');
    await hub.client.workflow.getHandle(deliveryProcessId(id)).terminate('by hand');
    receiver.reply = replyWith(204);
    await sweep();
    await Promise.all([
      becomes(deliveryOf(unstarted, 'https'), 'sent'),
      becomes(deliveryOf(unstarted, 'email'), 'sent'),
      becomes(id, 'sent'),
    ]);
    expect(await operationOf(ended, id)).toMatchObject({ status: 'done' });
  });

  test('goes where the account is told now, and nowhere if that was taken away', async () => {
    hub.store.notifications.onDue(() => {});
    const [{ account: moved }, { account: gone }] = [await subscriber('email'), await subscriber('https')];
    await tell(moved);
    await tell(gone);
    await hub.store.subscriptions.put(moved, { email: { address: 'new@shop.example' }, https: null, events: {} });
    await hub.store.subscriptions.put(gone, { email: null, https: null, events: {} });
    await sweep();
    await becomes(deliveryOf(moved, 'email'), 'sent');
    expect(mailServer.mails).toMatchObject([{ to: ['new@shop.example'] }]);
    await becomes(deliveryOf(gone, 'https'), 'failed');
    expect((await rowOf(deliveryOf(gone, 'https')))?.error?.code).toBe('channel_not_configured');
    expect(receiver.calls).toEqual([]);
  });

  test('by a test says how it went on its operation', async () => {
    const { account } = await subscriber();
    const due = await hub.store.notifications.test(account, 'https', 'cmd_1');
    await hub.processes.startDelivery(due);
    const { delivery } = due;
    expect(await hub.processes.waitFor(deliveryProcessId(delivery), 10_000)).toBe(true);
    expect(await operationOf(account, delivery)).toMatchObject({ status: 'done' });
    expect(JSON.parse(receiver.calls[0]?.body ?? '{}')).toMatchObject({ type: 'notification.test' });
  });

  test('leaves no address, secret or answer in logs, operations and workflows', async () => {
    const models = hub.store.database.models;
    const rows = await models.deliveries.find().lean();
    expect(rows.length).toBeGreaterThan(8);
    const codec = createPayloadCodec(TEST_KEYS);
    const seen: string[] = [log.join(''), JSON.stringify(await models.operations.find().lean())];
    for (const { _id } of rows) {
      const { events } = await hub.client.workflow.getHandle(deliveryProcessId(_id)).fetchHistory();
      const payloads = payloadsIn(events);
      const plain = await codec.decode(payloads);
      seen.push(plain.map(({ data }) => Buffer.from(data ?? []).toString('utf8')).join('\n'));
    }
    const all = seen.join('\n');
    // They were read: this stands in them.
    expect(all).toContain('"tryMs"');
    expect(all).toContain('The endpoint is gone (410)');
    for (const hidden of ['shop.example', receiver.url, '/hook', 'whsec_', 'tell-tale', 'see the secret list'])
      expect([hidden, all.includes(hidden)]).toEqual([hidden, false]);
  });
});

/** Every payload anywhere in a history. */
function payloadsIn(value: unknown): Payload[] {
  if (typeof value !== 'object' || value === null) return [];
  if (ArrayBuffer.isView(value)) return [];
  const one = value as { metadata?: { encoding?: Uint8Array } | null; data?: Uint8Array };
  if (one.metadata?.encoding && one.data) return [one as Payload];
  return Object.values(value).flatMap(payloadsIn);
}
