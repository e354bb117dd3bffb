/** A termination's zeros overtake everything that waits in the stores' lanes. Contract: partnership.md, Termination; stock-push.md, Zero. */
import { newId } from '../../domain/ids';
import { storeLaneId } from '../../domain/process-ids';
import { eventually, type Hub, startHub } from '../support/hub';
import {
  type ConnectedStore,
  makeDistributor,
  makeRule,
  makeStore,
  makeSupplier,
  shownQuantity,
} from '../support/scenario';

const LONG = process.env.LONG === '1';
/** Writes that wait, over the stores. */
const WAITING = LONG ? 20_000 : 4_000;
const STORES = 4;
const PER_STORE = WAITING / STORES;
/** The lanes' own pace by default. */
const PACING_MS = 500;
const CLAIMED = ['TEE-1', 'TEE-2', 'TEE-3'];

describe(`a termination with ${WAITING} writes waiting`, () => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub({ pacingMs: PACING_MS, platformTimeoutMs: 5_000 });
  });
  afterAll(() => hub?.stop());

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
          modelsPerItem: 50,
        }),
      );
    // What the connecting marked goes by without a rule.
    await eventually(async () => {
      for (const store of stores) expect(await dueIn(store)).toBe(0);
    }, 120_000);
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
    }, 60_000);
    hub.processes.wakeLanes(await hub.store.stock.markChanged(null, distributor.id, own, 'everything'));
    await eventually(async () => {
      for (const store of stores) expect(await dueIn(store)).toBeLessThan(PER_STORE);
    }, 60_000);
    const waited = (await Promise.all(stores.map(dueIn))).reduce((sum, count) => sum + count, 0);
    expect(waited).toBeGreaterThan(WAITING * 0.6);

    const since = Date.now();
    await hub.processes.movePartnership(distributor.partnership, {
      move: 'terminate',
      party: supplier.id,
      command: newId('command'),
      reason: null,
    });
    const before = await Promise.all(stores.map((store) => callsBeforeZero(store, since)));
    // The calls that leave, at the lanes' pace, until the transaction and the mirror are through: 1 or 2 on a machine at rest.
    for (const calls of before) expect(calls).toBeLessThanOrEqual(8);
    const left = (await Promise.all(stores.map(dueIn))).reduce((sum, count) => sum + count, 0);
    console.info(
      `${waited} writes waited, ${left} still do; calls between the termination and the zero, by store: ${before.join(', ')}`,
    );
    expect(left).toBeGreaterThan(waited * 0.3);
    for (const store of stores) for (const sku of CLAIMED) expect(await shownQuantity(hub, store, sku)).toBe(0);
  }, 600_000);

  /** How many stock calls the store got after that time before the one that brought the last zero. */
  function callsBeforeZero(store: ConnectedStore, since: number): Promise<number> {
    return eventually(async () => {
      const { calls } = await hub.control.calls({
        platform: store.platform,
        shopId: store.shopId,
        pathContains: store.platform === 'shopee' ? 'update_stock' : 'stock/sellable/update',
        since,
      });
      const zeros = calls.map(({ entries }) => entries.filter(({ quantity }) => quantity === 0).length);
      const all = zeros.reduce((sum, count) => sum + count, 0);
      if (all < CLAIMED.length) throw new Error(`${all} zeros are out`);
      return zeros.findLastIndex((count) => count > 0);
    }, 30_000);
  }
});
