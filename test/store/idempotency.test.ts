import { randomBytes } from 'node:crypto';
import { connectStore, type Store } from '../../store';
import { IDEMPOTENCY_LEASE_MS } from '../../store/repositories/inbox';
import { testEnvironment } from '../support/environment';
import { TEST_KEYS } from '../support/hub';

let store: Store;
let time = Date.now();
beforeAll(async () => {
  store = await connectStore({
    uri: testEnvironment().mongoUri,
    database: `test_${randomBytes(6).toString('hex')}`,
    dataKeys: TEST_KEYS,
    now: () => new Date(time),
  });
});
afterAll(async () => {
  await store.database.connection.db?.dropDatabase();
  await store.database.close();
});

let count = 0;
const request = () => {
  count += 1;
  return { account: 'acct_1', route: 'POST /v1/orders', key: `key-${count}`, bodyHash: 'hash' };
};
const answer = { status: 201, headers: { location: '/v1/orders/1' }, body: { recipient: 'Aminah' } };

describe('an idempotency key', () => {
  test('taken ten times at once has one first', async () => {
    const input = request();
    const verdicts = await Promise.all(Array.from({ length: 10 }, () => store.idempotency.begin(input)));
    expect(verdicts.filter(({ kind }) => kind === 'first')).toHaveLength(1);
    expect(verdicts.filter(({ kind }) => kind === 'running')).toHaveLength(9);
  });

  test('used again is answered as the first was, sealed in the store', async () => {
    const input = request();
    const first = await store.idempotency.begin(input);
    if (first.kind !== 'first') throw new Error(first.kind);
    await store.idempotency.keep(input.account, first.id, answer);
    expect(await store.idempotency.begin(input)).toEqual({ kind: 'again', answer });
    expect(await store.idempotency.begin({ ...input, bodyHash: 'other' })).toEqual({ kind: 'reused' });
    const row = await store.database.models.idempotency.findById(first.id).lean();
    expect(JSON.stringify(row)).not.toContain('Aminah');
  });

  test('is each account’s and each route’s own', async () => {
    const input = request();
    await store.idempotency.begin(input);
    expect(await store.idempotency.begin({ ...input, account: 'acct_2' })).toMatchObject({ kind: 'first' });
    expect(await store.idempotency.begin({ ...input, route: 'POST /v1/skus' })).toMatchObject({ kind: 'first' });
  });

  test('of a first that died is taken over after its lease, once, with the same command', async () => {
    const input = request();
    const first = await store.idempotency.begin(input);
    if (first.kind !== 'first') throw new Error(first.kind);
    time += IDEMPOTENCY_LEASE_MS - 1;
    expect(await store.idempotency.begin(input)).toMatchObject({ kind: 'running', retryAfterMs: 1 });
    time += 2;
    const verdicts = await Promise.all(Array.from({ length: 10 }, () => store.idempotency.begin(input)));
    const firsts = verdicts.filter(({ kind }) => kind === 'first');
    expect(firsts).toEqual([{ kind: 'first', command: first.command, id: first.id }]);
  });

  test('given back can be taken again at once, with the same command', async () => {
    const input = request();
    const first = await store.idempotency.begin(input);
    if (first.kind !== 'first') throw new Error(first.kind);
    await store.idempotency.release(first.id);
    expect(await store.idempotency.begin(input)).toEqual(first);
  });

  test('a day later stands for a new request', async () => {
    const input = request();
    const first = await store.idempotency.begin(input);
    if (first.kind !== 'first') throw new Error(first.kind);
    await store.idempotency.keep(input.account, first.id, answer);
    time += 86_400_001;
    const later = await store.idempotency.begin({ ...input, bodyHash: 'other' });
    expect(later.kind).toBe('first');
    expect((later as { command: string }).command).not.toBe(first.command);
    expect(await store.idempotency.begin({ ...input, bodyHash: 'other' })).toMatchObject({ kind: 'running' });
  });
});

describe('the inbox', () => {
  const event = (dedupeKey: string) => ({
    platform: 'shopee',
    shopId: '1',
    platformOrder: 'A1',
    dedupeKey,
    body: '{"recipient":"Aminah"}',
    store: { id: 'store_1', account: 'acct_1' },
  });

  test('stores an event once, sealed, however often and at once it comes', async () => {
    const stored = await Promise.all(Array.from({ length: 10 }, () => store.inbox.put(event('same'))));
    expect(stored.filter(Boolean)).toHaveLength(1);
    const rows = await store.database.models.inbox.find({}).lean();
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows)).not.toContain('Aminah');
  });

  test('lists an order once, however many of its events wait', async () => {
    await store.inbox.put(event('second'));
    await store.inbox.put({ ...event('unrouted'), store: null });
    expect(await store.inbox.waitingSince(new Date(time + 1), 10)).toEqual([{ store: 'store_1', platformOrder: 'A1' }]);
    await store.inbox.done(await store.inbox.waiting('store_1', 'A1'), 'done');
    expect(await store.inbox.waitingSince(new Date(time + 1), 10)).toEqual([]);
  });
});
