/** Several workers at the lanes: two side by side, one after the other, and one that dies between two calls. Contract: stock-push.md, Fan-out. */
import pLimit from 'p-limit';
import { mirrorLaneId, storeLaneId } from '../../domain/process-ids';
import type { ReceivedCall } from '../../sandbox/marketplaces/calls';
import { endChildren, endSessionsOf, startChild } from '../support/children';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import type { NamedKillPoint } from '../support/kill-points';
import { connectParts, PATIENT, patientProcesses, placeOf, runWorker } from '../support/parts';
import {
  type ConnectedStore,
  makeDistributor,
  makeRule,
  makeStore,
  makeSupplier,
  shownQuantity,
} from '../support/scenario';
import { scenesAtRest } from '../support/scenes';
import { serveApi } from '../support/served-api';

const LONG = process.env.LONG === '1';
const WAVES = LONG ? 15 : 4;
const SKUS = 20;
const PRE = { enableAtOrBelow: 5, add: 30, closeAbove: 50, daysToShip: 7 };

let hub: Hub;
let numbered = 0;

beforeAll(async () => {
  // No answer is lost: what is not answered goes out again.
  hub = await startHub({ lanes: PATIENT, platformTimeoutMs: 30_000 });
});
afterAll(async () => {
  await endChildren();
  await hub?.stop();
});

interface Seller {
  readonly account: string;
  readonly key: string;
  readonly warehouse: string;
  readonly stores: readonly ConnectedStore[];
  readonly lanes: readonly string[];
}

async function makeSeller(
  skus: readonly string[],
  platforms: readonly ('shopee' | 'lazada')[],
  preOrder: typeof PRE | null,
): Promise<Seller> {
  const { accounts, catalogue, stock } = hub.store;
  const {
    account: { _id: account },
    key,
  } = await accounts.create({ name: 'Seller', plan: 'basic', orderQuota: null });
  await accounts.change(account, { inventoryEnabled: true });
  const warehouse = (await catalogue.addWarehouse(account, { name: 'Own' }))._id;
  for (const sku of skus) await catalogue.addSku(account, { sku, name: sku, components: [] });
  const stores: ConnectedStore[] = [];
  for (const platform of platforms) stores.push(await makeStore(hub, account, platform, skus, { modelsPerItem: 10 }));
  const ids = stores.map(({ id }) => id);
  await makeRule(hub, account, [warehouse], ids, 1, { preOrder });
  const { lanes } = await stock.adjust(countOf({ account, warehouse }, skus[0] ?? '', 60));
  hub.processes.wakeLanes(lanes);
  await Promise.all(stores.map((store) => shows(store, skus[0] ?? '', 60)));
  return { account, key, warehouse, stores, lanes: ids.map(storeLaneId) };
}

function countOf({ account, warehouse }: Pick<Seller, 'account' | 'warehouse'>, sku: string, quantity: number) {
  numbered += 1;
  const change = { account, warehouse, sku, kind: 'count', quantity, reason: 'test' } as const;
  return { ...change, document: 'test', key: `count/${warehouse}/${numbered}` };
}

/** The same through the API. */
const countOver = (call: HttpClient, warehouse: string, sku: string, quantity: number) =>
  expectReply(call.post('/stock/adjustments', { warehouse, sku, kind: 'count', quantity, reason: 'test' }), 200);

const shows = (store: ConnectedStore, sku: string, quantity: number) =>
  eventually(async () => expect(await shownQuantity(hub, store, sku)).toBe(quantity));

const atRest = (account: string) =>
  eventually(async () =>
    expect(await hub.store.database.models.dues.countDocuments({ account, failed: false })).toBe(0),
  );

async function isInPreOrder({ shopId }: ConnectedStore): Promise<boolean> {
  return (await hub.control.shop('shopee', shopId)).items[0]?.preOrder !== undefined;
}

/** A queue of its own, with what starts processes on it. */
function ownQueue() {
  numbered += 1;
  const place = placeOf(hub, `${hub.queuePrefix}-${numbered}`);
  return { place, processes: patientProcesses(hub.client, place.queuePrefix, hub.logger) };
}

const isAccepted = ({ status, code }: ReceivedCall) => status === 200 && (code === '' || code === '0');

/** What a shop was told out of turn: a stock call while another one was under way, and a quantity that it had already. */
function outOfTurn(calls: readonly ReceivedCall[]): string[] {
  const wrong: string[] = [];
  const had = new Map<string, number>();
  let before: ReceivedCall | undefined;
  for (const call of calls) {
    if (before && (before.answeredAt === null || call.at < before.answeredAt))
      wrong.push(`${call.path} at ${call.at} beside that of ${before.at}–${before.answeredAt}`);
    before = call;
    if (!isAccepted(call)) wrong.push(`${call.path} answered ${call.status} ${call.code}`);
    for (const { itemId, modelId, quantity } of call.entries) {
      const key = `${itemId}/${modelId}`;
      if (had.get(key) === quantity) wrong.push(`${key}: ${quantity} again`);
      had.set(key, quantity);
    }
  }
  return wrong;
}

test(
  `two workers side by side write nothing twice, also while one goes and another comes, over ${WAVES * SKUS} changes`,
  async () => {
    const skus = Array.from({ length: SKUS }, (_, index) => `SKU-${index}`);
    const [seller] = await scenesAtRest(
      hub,
      1,
      () => makeSeller(skus, ['shopee', 'lazada', 'shopee', 'lazada'], null),
      ({ lanes }) => lanes,
    );
    if (!seller) throw new Error('no seller');
    const { place, processes } = ownQueue();
    // Calls that take a while would be seen side by side.
    for (const platform of ['shopee', 'lazada'] as const)
      await hub.control.addFault(platform, { kind: 'slow', delayMs: 15, pathContains: 'stock' });
    const parts = await Promise.all([connectParts(place), connectParts(place)]);
    const workers = await Promise.all(parts.map((one) => runWorker(place, one)));
    await hub.control.clearCalls();
    const api = await serveApi({ ...hub, processes });
    const call = createHttpClient(api.url)(seller.key);
    const turn = pLimit(4);
    const waiting = () => hub.store.database.models.dues.countDocuments({ account: seller.account });
    let coming: Promise<unknown> = Promise.resolve();
    for (let wave = 0; wave < WAVES; wave += 1) {
      await Promise.all(
        skus.map((sku, index) =>
          // Few quantities, so that the same ones come back; another one than the wave before.
          turn(() => countOver(call, seller.warehouse, sku, 3 + ((wave * 3 + index) % 5))),
        ),
      );
      if (wave === WAVES / 2)
        coming = (async () => {
          workers.push(await runWorker(place, parts[0]));
          await workers[0]?.stop();
        })();
      // The next changes come while the lanes are at these.
      await eventually(async () => expect(await waiting()).toBeLessThan((SKUS * seller.stores.length) / 2));
    }
    await coming;
    await processes.flush();
    await atRest(seller.account);
    await api.close();
    await hub.control.clearFaults('shopee');
    await hub.control.clearFaults('lazada');
    await Promise.all(workers.map((worker) => worker.stop()));
    await Promise.all(parts.map((one) => one.close()));
    let entries = 0;
    for (const store of seller.stores) {
      const { calls } = await hub.control.calls({ shopId: store.shopId, pathContains: 'stock', limit: 50_000 });
      expect(outOfTurn(calls)).toEqual([]);
      entries += calls.reduce((sum, call) => sum + call.entries.length, 0);
      for (const sku of skus) {
        const stored = await hub.store.database.models.stock.findById(`${seller.warehouse}/${sku}`).lean();
        await shows(store, sku, stored?.available ?? -1);
      }
    }
    // Changes of one wave may be sent with those of the next, but at least half of each wave was sent before it.
    expect(entries).toBeGreaterThan((WAVES / 2) * SKUS * seller.stores.length);
    expect(entries).toBeLessThanOrEqual(WAVES * SKUS * seller.stores.length);
    const records = await hub.store.database.models.pushRecords.find({ account: seller.account }).lean();
    expect(records.map(({ unanswered }) => unanswered ?? false)).not.toContain(true);
    const open = await hub.store.database.models.storeCalls.find().lean();
    expect(open.flatMap(({ listings }) => listings)).toEqual([]);
  },
  LONG ? 900_000 : 120_000,
);

test('the pre-order state outlives API and worker: each one goes on from what the last one left', async () => {
  const [seller] = await scenesAtRest(
    hub,
    1,
    () => makeSeller(['TEE-1'], ['shopee'], PRE),
    ({ lanes }) => lanes,
  );
  const [store] = seller?.stores ?? [];
  if (!seller || !store) throw new Error('no seller');
  for (const [available, shown, on] of [
    [5, 35, true],
    [25, 55, true],
    [105, 105, false],
    [40, 40, false],
  ] as const) {
    const { place } = ownQueue();
    const parts = await connectParts(place);
    const worker = await runWorker(place, parts);
    const api = await serveApi(parts);
    await countOver(createHttpClient(api.url)(seller.key), seller.warehouse, 'TEE-1', available);
    await shows(store, 'TEE-1', shown);
    await atRest(seller.account);
    expect([available, await isInPreOrder(store)]).toEqual([available, on]);
    await api.close();
    await worker.stop();
    await parts.close();
    await hub.client.workflow.getHandle(storeLaneId(store.id)).terminate();
  }
});

(LONG ? test : test.skip)(
  'what is sold out overtakes what waits, in the mirror and in the lane',
  async () => {
    // More than a mirror brings over at once; an item each, so that each is a call of its own.
    const skus = Array.from({ length: 22 }, (_, index) => `TEE-${index}`);
    const [scene] = await scenesAtRest(
      hub,
      1,
      async () => {
        const supplier = await makeSupplier(hub, { skus, onHand: 9 });
        const distributor = await makeDistributor(hub, supplier);
        const store = await makeStore(hub, distributor.id, 'shopee', skus, {
          ...{ itemPerSku: true, withRule: [distributor.warehouse] },
        });
        await Promise.all(skus.map((sku) => shows(store, sku, 9)));
        return { supplier, distributor, store };
      },
      ({ distributor, store }) => [mirrorLaneId(distributor.partnership), storeLaneId(store.id)],
    );
    if (!scene) throw new Error('no scene');
    const { supplier, distributor, store } = scene;
    const { place, processes } = ownQueue();
    const api = await serveApi({ ...hub, processes });
    const call = createHttpClient(api.url)(supplier.key);
    await hub.control.clearCalls();
    // Nobody works there yet: everything waits, and what falls to 0 comes last.
    const [gone = '', ...others] = [...skus].reverse();
    for (const sku of others) await countOver(call, supplier.warehouse, sku, 5);
    await countOver(call, supplier.warehouse, gone, 0);
    expect(await hub.store.dues.waiting(mirrorLaneId(distributor.partnership))).toBe(skus.length);
    const { connectors, notifiers, logger } = hub;
    const worker = await runWorker(place, { store: hub.store, connectors, notifiers, logger, processes });
    await Promise.all(skus.map((sku) => shows(store, sku, sku === gone ? 0 : 5)));
    const { items } = await expectReply(
      call.get(`/supplier/push-records?limit=200&distributor=${distributor.id}`),
      200,
    );
    const at = new Map((items as { sku: string; latest: { at: string } }[]).map(({ sku, latest }) => [sku, latest.at]));
    const later = others.filter((sku) => (at.get(sku) ?? '') > (at.get(gone) ?? ''));
    expect(later.length).toBeGreaterThanOrEqual(skus.length - 20);
    const { calls } = await hub.control.calls({ shopId: store.shopId, pathContains: 'update_stock' });
    expect(calls.map(({ entries }) => entries[0]?.quantity)).toEqual([0, ...others.map(() => 5)]);
    await api.close();
    await atRest(distributor.id);
    await worker.stop();
  },
  90_000,
);

interface Death {
  readonly to: 'on' | 'off';
  readonly kill: NamedKillPoint;
  /** Stock changes back before another worker comes. */
  readonly back: boolean;
}
const DEATHS: readonly Death[] = (['on', 'off'] as const).flatMap((to) =>
  (['shopee setPreOrder', 'shopee updateStock'] as const).flatMap((first) =>
    (['before', 'after'] as const).flatMap((when) =>
      [true, false].map((back) => ({ to, kill: { first, when }, back })),
    ),
  ),
);

/** A raised quantity outside pre-order, by what the shop was told in its order. */
function raisedOutside(calls: readonly ReceivedCall[], raised: number): string[] {
  let isOn = false;
  let quantity = 0;
  return calls.flatMap((call) => {
    if (call.preOrder) isOn = call.preOrder.on;
    quantity = call.entries[0]?.quantity ?? quantity;
    return quantity === raised && !isOn ? [`${call.path} at ${call.at}: ${quantity} outside pre-order`] : [];
  });
}

(LONG ? test : test.skip)(
  'a worker that dies before or after any of the two calls leaves what the next one sets right',
  async () => {
    const [FEW, FEW_SHOWN, MANY] = [4, 34, 70];
    const turn = pLimit(3);
    const scenes = await scenesAtRest(
      hub,
      DEATHS.length,
      () => makeSeller(['TEE-1'], ['shopee'], PRE),
      ({ lanes }) => lanes,
    );
    await Promise.all(
      DEATHS.map(({ to, kill, back }, index) =>
        turn(async () => {
          const seller = scenes[index] as Seller;
          const store = seller.stores[0] as ConnectedStore;
          const about = JSON.stringify({ to, kill, back });
          const change = async (quantity: number) => {
            const { lanes } = await hub.store.stock.adjust(countOf(seller, 'TEE-1', quantity));
            return lanes;
          };
          if (to === 'off') {
            hub.processes.wakeLanes(await change(FEW));
            await shows(store, 'TEE-1', FEW_SHOWN);
            await atRest(seller.account);
            await hub.processes.flush();
            await hub.client.workflow.getHandle(storeLaneId(store.id)).terminate();
          }
          const { place, processes } = ownQueue();
          const child = await startChild('worker', { place, kill });
          processes.wakeLanes(await change(to === 'on' ? FEW : MANY));
          const ended = await child.ended;
          expect([about, ended]).toEqual([about, 'SIGKILL']);
          await endSessionsOf(child, hub.store.database.connection);
          if (back) await change(to === 'on' ? MANY : FEW);
          const { connectors, notifiers, logger } = hub;
          const worker = await runWorker(place, { store: hub.store, connectors, notifiers, logger, processes });
          const isOn = (to === 'on') !== back;
          await eventually(async () => {
            const shown = [await shownQuantity(hub, store, 'TEE-1'), await isInPreOrder(store)];
            expect([about, ...shown]).toEqual([about, isOn ? FEW_SHOWN : MANY, isOn]);
          });
          await atRest(seller.account);
          const { models } = hub.store.database;
          const listing = await models.listings.findOne({ store: store.id }).lean();
          expect(listing?.preOrder ?? null).toEqual(isOn ? { daysToShip: 7, told: true } : null);
          expect(await models.preOrders.countDocuments({ store: store.id })).toBe(isOn ? 1 : 0);
          const { calls } = await hub.control.calls({ shopId: store.shopId, pathContains: '/product/update_' });
          expect([about, raisedOutside(calls, FEW_SHOWN)]).toEqual([about, []]);
          await worker.stop();
        }),
      ),
    );
  },
  900_000,
);
