/** A termination's zeros overtake everything that waits in the stores' lanes. Contract: partnership.md, Termination; stock-push.md, Zero. */
import { storeLaneId } from '../../domain/process-ids';
import { inPieces } from '../../store/together';
import { createHttpClient, expectReply } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import {
  type ConnectedStore,
  makeDistributor,
  makeRule,
  makeStore,
  makeSupplier,
  shownQuantity,
} from '../support/scenario';
import { serveApi } from '../support/served-api';

const LONG = process.env.LONG === '1';
/** Writes that wait, over the stores. */
const WAITING = LONG ? 20_000 : 4_000;
const STORES = 4;
const PER_STORE = WAITING / STORES;
/** The lanes' own pace by default. */
const PACING_MS = 500;
/** What both platforms take in one call. */
const IN_ONE_CALL = 50;
const CLAIMED = ['TEE-1', 'TEE-2', 'TEE-3'];

describe(`a termination with ${WAITING} writes waiting`, () => {
  let hub: Hub;
  let api: Awaited<ReturnType<typeof serveApi>>;
  beforeAll(async () => {
    hub = await startHub({ pacingMs: PACING_MS, platformTimeoutMs: 5_000 });
    api = await serveApi({ ...hub, checkAnswers: true });
  });
  afterAll(async () => {
    await api?.close();
    await hub?.stop();
  });

  /** Goods of the distributor's own, by the thousand: written as the catalogue writes them. */
  async function makeOwnGoods(account: string, skus: readonly string[]): Promise<string> {
    const { models } = hub.store.database;
    const warehouse = (await hub.store.catalogue.addWarehouse(account, { name: 'Own' }))._id;
    const none = { followers: 0, createdAt: new Date() };
    await models.skus.collection.insertMany(
      skus.map((sku) => ({
        ...{ _id: `${account}/${sku}`, account, sku, name: sku, kind: 'single', components: [], mirror: null },
        ...{ ...none, command: null },
      })) as never,
    );
    await models.stock.collection.insertMany(
      skus.map((sku) => ({
        ...{ _id: `${warehouse}/${sku}`, account, warehouse, sku, onHand: 5, allocated: 0, reserved: 0, inTransit: 0 },
        ...{ available: 5, mirrored: false, followers: 0 },
      })) as never,
    );
    return warehouse;
  }

  const dueIn = (store: ConnectedStore) => hub.store.dues.waiting(storeLaneId(store.id));

  test('the zeros are out first, in every store', async () => {
    const supplier = await makeSupplier(hub, { skus: CLAIMED, onHand: 9 });
    const distributor = await makeDistributor(hub, supplier);
    const own = Array.from({ length: PER_STORE }, (_, index) => `OWN-${index}`);
    const warehouse = await makeOwnGoods(distributor.id, own);
    const stores: ConnectedStore[] = [];
    for (let index = 0; index < STORES; index += 1)
      // The claimed ones stand in an item of their own, behind the rest.
      stores.push(
        await makeStore(hub, distributor.id, index % 2 === 0 ? 'shopee' : 'lazada', [...own, ...CLAIMED], {
          modelsPerItem: IN_ONE_CALL,
        }),
      );
    // What the connecting marked goes by without a rule.
    await eventually(async () => {
      for (const store of stores) expect(await dueIn(store)).toBe(0);
    });
    await makeRule(
      hub,
      distributor.id,
      [warehouse, distributor.warehouse],
      stores.map(({ id }) => id),
    );
    // The claimed goods are shown, then everything of their own falls due at once.
    const claimed = await hub.store.stock.markChanged(null, distributor.id, CLAIMED, 'first');
    hub.processes.wakeLanes(claimed);
    await eventually(async () => {
      for (const store of stores) for (const sku of CLAIMED) expect(await shownQuantity(hub, store, sku)).toBe(9);
    });
    // In transactions, as the product marks: of whole items, which a lane reads whole.
    const everythingAt = Date.now();
    const { stock, database } = hub.store;
    for (const some of inPieces(own, IN_ONE_CALL * 10))
      hub.processes.wakeLanes(
        await database.transact((session) => stock.markChanged(session, distributor.id, some, 'everything')),
      );
    const since = (store: ConnectedStore) => stockCalls(store, everythingAt);
    await eventually(async () => {
      for (const store of stores) expect((await since(store)).length).toBeGreaterThan(2);
    });
    const waited = (await Promise.all(stores.map(dueIn))).reduce((sum, count) => sum + count, 0);
    expect(waited).toBeGreaterThan(WAITING * 0.6);

    // The lanes send in the largest batches that the platforms allow.
    const sizes = (await Promise.all(stores.map(since))).flat().map(({ entries }) => entries.length);
    expect(new Set(sizes)).toEqual(new Set([IN_ONE_CALL]));

    const terminatedAt = Date.now();
    const call = createHttpClient(api.url)(supplier.key);
    await expectReply(call.post(`/supplier/distributors/${distributor.partnership}/terminate`), 200);
    const before = await Promise.all(stores.map((store) => callsBeforeZero(store, terminatedAt)));
    // The calls that leave, at the lanes' pace, until the transaction and the mirror are through: 1 or 2 on a machine at rest.
    for (const calls of before) expect(calls).toBeLessThanOrEqual(8);
    const left = (await Promise.all(stores.map(dueIn))).reduce((sum, count) => sum + count, 0);
    console.info(
      `${waited} writes waited, ${left} still do; calls between the termination and the zero, by store: ${before.join(', ')}`,
    );
    expect(left).toBeGreaterThan(waited * 0.3);
    for (const store of stores) for (const sku of CLAIMED) expect(await shownQuantity(hub, store, sku)).toBe(0);
  });

  async function stockCalls({ platform, shopId }: ConnectedStore, since: number) {
    const pathContains = platform === 'shopee' ? 'update_stock' : 'stock/sellable/update';
    return (await hub.control.calls({ platform, shopId, pathContains, since })).calls;
  }

  /** How many stock calls the store got after that time before the one that brought the last zero. */
  function callsBeforeZero(store: ConnectedStore, since: number): Promise<number> {
    return eventually(async () => {
      const calls = await stockCalls(store, since);
      const zeros = calls.map(({ entries }) => entries.filter(({ quantity }) => quantity === 0).length);
      const all = zeros.reduce((sum, count) => sum + count, 0);
      if (all < CLAIMED.length) throw new Error(`${all} zeros are out`);
      return zeros.findLastIndex((count) => count > 0);
    });
  }
});
