/** What is known of a store's quantities around a call: before it, after its answer, and when that is lost. */
import { connectStore, type Store } from '../../store';
import type { RecordEntry } from '../../store/repositories/pushes';
import { testEnvironment } from '../support/environment';
import { TEST_KEYS } from '../support/hub';

const STORE = 'store_1';
const LISTINGS = ['store_1/item/red', 'store_1/item/blue'];
const [RED = '', BLUE = ''] = LISTINGS;

let store: Store;
beforeAll(async () => {
  store = await connectStore({
    uri: testEnvironment().mongoUri,
    database: `test_open_calls_${process.pid}`,
    dataKeys: TEST_KEYS,
  });
});
afterAll(() => store?.database.close());

const entry = (id: string, quantity: number): RecordEntry => ({
  ...{ id, account: 'acct_1', kind: 'store', sku: id, store: STORE, distributor: null },
  result: {
    ...{ quantity, before: null, cause: 'test', rule: null, revision: null, at: new Date(), outcome: 'accepted' },
    ...{ error: null, attempts: 1, changes: 1 },
  },
});
const known = async () => Object.fromEntries(await store.pushes.accepted(STORE, LISTINGS));
const openCall = async () => (await store.database.models.storeCalls.findById(STORE).lean())?.listings;
const LONG_MS = 60_000;
const call = (pass: string, listings: readonly string[], forMs = LONG_MS) =>
  store.pushes.calling(STORE, pass, listings, forMs);
const answered = (pass: string, called: readonly string[], entries: readonly RecordEntry[]) =>
  store.lanes.answered({ store: STORE, pass }, called, entries, []);
const superseded = { code: 'unavailable' };

/** Both have 5, and no call is out. */
beforeEach(async () => {
  await store.database.models.storeCalls.deleteOne({ _id: STORE });
  expect(await store.pushes.beginPass(STORE, 'first')).toBe(true);
  await store.pushes.record(LISTINGS.map((id) => entry(id, 5)));
  expect(await known()).toEqual({ [RED]: 5, [BLUE]: 5 });
});

test('while a call is out nobody knows; its answer says', async () => {
  await call('first', LISTINGS);
  expect(await known()).toEqual({});
  await answered('first', LISTINGS, [entry(RED, 7), entry(BLUE, 8)]);
  expect([await known(), await openCall()]).toEqual([{ [RED]: 7, [BLUE]: 8 }, []]);
});

test('what an answer leaves out stays unknown until it is accepted again', async () => {
  await call('first', LISTINGS);
  await answered('first', LISTINGS, [entry(RED, 7)]);
  expect([await known(), await openCall()]).toEqual([{ [RED]: 7 }, []]);
  await store.pushes.record([entry(BLUE, 8)]);
  expect(await known()).toEqual({ [RED]: 7, [BLUE]: 8 });
});

test('a call that failed leaves unknown what it may have written, and nothing else', async () => {
  await call('first', LISTINGS);
  await store.pushes.called(STORE, 'first', [BLUE]);
  expect([await known(), await openCall()]).toEqual([{ [RED]: 5 }, []]);
});

test('what a lane that died had called is unknown to the next pass, once that call must be over', async () => {
  await call('first', [RED], 0);
  expect(await store.pushes.beginPass(STORE, 'second')).toBe(true);
  expect([await known(), await openCall()]).toEqual([{ [BLUE]: 5 }, []]);
  await call('second', [BLUE]);
  await answered('second', [BLUE], [entry(BLUE, 9)]);
  expect(await known()).toEqual({ [BLUE]: 9 });
});

test('a later pass waits for the call of an earlier one, which calls no more after it', async () => {
  await call('first', [RED]);
  expect(await store.pushes.beginPass(STORE, 'second')).toBe(false);
  expect(await store.pushes.takeUpCall(STORE)).toBe(false);
  await answered('first', [RED], [entry(RED, 7)]);
  expect(await store.pushes.takeUpCall(STORE)).toBe(true);
  await expect(call('first', [BLUE])).rejects.toMatchObject(superseded);
  expect([await known(), await openCall()]).toEqual([{ [RED]: 7, [BLUE]: 5 }, []]);
  await call('second', [BLUE]);
  expect(await openCall()).toEqual([BLUE]);
});

test('an answer that comes after its call was taken up counts for nothing', async () => {
  await call('first', [RED], 0);
  await store.pushes.beginPass(STORE, 'second');
  await expect(answered('first', [RED], [entry(RED, 7)])).rejects.toMatchObject(superseded);
  expect(await known()).toEqual({ [BLUE]: 5 });
  await call('second', [RED]);
  await expect(answered('first', [RED], [entry(RED, 7)])).rejects.toMatchObject(superseded);
  await expect(store.pushes.called(STORE, 'first', [])).rejects.toMatchObject(superseded);
  expect(await openCall()).toEqual([RED]);
});

test('a refusal does not make known what an earlier call has left unknown', async () => {
  const refused = { ...entry(RED, 6), result: { ...entry(RED, 6).result, outcome: 'refused' as const } };
  await call('first', [RED]);
  await store.pushes.called(STORE, 'first', [RED]);
  await call('first', [RED]);
  await answered('first', [RED], [refused]);
  expect(await known()).toEqual({ [BLUE]: 5 });
});
