/** What is known of a store's quantities around a call: before it, after its answer, and when that is lost. */
import { connectStore, type Store } from '../../store';
import type { DueDoc } from '../../store/models/documents';
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
const openCalls = async () => (await store.database.models.storeCalls.findById(STORE).lean())?.listings;
/** Both have 5, and no call is out. */
beforeEach(async () => {
  await store.pushes.takeUpCalls(STORE);
  await store.pushes.record(LISTINGS.map((id) => entry(id, 5)));
  expect(await known()).toEqual({ [RED]: 5, [BLUE]: 5 });
});

test('while a call is out nobody knows; its answer says', async () => {
  await store.pushes.calling(STORE, LISTINGS);
  expect(await known()).toEqual({});
  await store.lanes.answered(STORE, LISTINGS, [entry(RED, 7), entry(BLUE, 8)], []);
  expect(await known()).toEqual({ [RED]: 7, [BLUE]: 8 });
  expect(await openCalls()).toEqual([]);
});

test('what an answer leaves out stays unknown until it is accepted again', async () => {
  await store.pushes.calling(STORE, LISTINGS);
  await store.lanes.answered(STORE, LISTINGS, [entry(RED, 7)], []);
  expect(await known()).toEqual({ [RED]: 7 });
  expect(await openCalls()).toEqual([]);
  await store.pushes.record([entry(BLUE, 8)]);
  expect(await known()).toEqual({ [RED]: 7, [BLUE]: 8 });
});

test('an answer that says nothing of any of them leaves all unknown', async () => {
  await store.pushes.calling(STORE, LISTINGS);
  await store.lanes.answered(STORE, LISTINGS, [], []);
  expect([await known(), await openCalls()]).toEqual([{}, []]);
});

test('what a lane that died had called is unknown to the next pass, whatever that one calls', async () => {
  await store.pushes.calling(STORE, [RED]);
  await store.pushes.takeUpCalls(STORE);
  expect([await known(), await openCalls()]).toEqual([{ [BLUE]: 5 }, []]);
  await store.pushes.calling(STORE, [BLUE]);
  await store.lanes.answered(STORE, [BLUE], [entry(BLUE, 9)], []);
  expect(await known()).toEqual({ [BLUE]: 9 });
});

test('of two passes of which one lives on, each answer tells of its own call', async () => {
  await store.pushes.calling(STORE, [RED]);
  await store.pushes.calling(STORE, [BLUE]);
  await store.lanes.answered(STORE, [BLUE], [entry(BLUE, 9)], []);
  expect([await known(), await openCalls()]).toEqual([{ [BLUE]: 9 }, [RED]]);
});

test('a call that is refused as a whole changed nothing', async () => {
  const dues = LISTINGS.map((subject) => ({ _id: subject, subject, stamp: '', changes: 1, cause: 'test' }) as DueDoc);
  await store.database.models.listings.collection.insertMany(
    LISTINGS.map((_id) => ({ _id, account: 'acct_1', store: STORE, sku: _id })) as never,
  );
  await store.pushes.calling(STORE, LISTINGS);
  await store.lanes.refuse(STORE, dues, { code: 'platform_rejected', detail: 'no' });
  expect([await known(), await openCalls()]).toEqual([{ [RED]: 5, [BLUE]: 5 }, []]);
});

test('a refusal does not make known what an earlier call has left unknown', async () => {
  const refused = { ...entry(RED, 6), result: { ...entry(RED, 6).result, outcome: 'refused' as const } };
  await store.pushes.calling(STORE, [RED]);
  await store.pushes.takeUpCalls(STORE);
  await store.lanes.answered(STORE, [], [refused], []);
  expect(await known()).toEqual({ [BLUE]: 5 });
});
