/** Recalls and shipments end to end: workflows, clocks, warehouses of others, buyers who cancel, platforms that are told. */
import { setTimeout as pause } from 'node:timers/promises';
import { HubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import { orderPushId, orderRecallId, processId, supplyOrderProcessId } from '../../domain/process-ids';
import type { SupplyOrderMove } from '../../domain/supply-orders';
import type { Store } from '../../store';
import type { OutboundAnswer } from '../../store/repositories/recalls';
import { taskQueueOf } from '../../workflows/ids';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import {
  type ConnectedStore,
  type Distributor,
  makeDistributor,
  makeOrder,
  makeStore,
  makeSupplier,
  push,
  pushEnd,
  type Supplier,
} from '../support/scenario';

const RACES = process.env.LONG === '1' ? 200 : 12;
const LONG_MS = 60_000;
const TRACKING = 'MY-TRACK-1';

let hub: Hub;
let supplier: Supplier;
let distributor: Distributor;
const shops = {} as Record<'shopee' | 'lazada', ConnectedStore>;
/** Packages whose push finds the database away. */
const broken = new Set<string>();
/** What the operator of a warehouse answers, one after the other; an error is an answer that was lost. */
let outboundAnswers: (OutboundAnswer | Error)[] = [];
let outboundAsked = 0;

const breakable = (store: Store): Store => ({
  ...store,
  orders: {
    ...store.orders,
    async push(pkg, ...more) {
      if (broken.has(pkg)) throw Object.assign(new Error('away'), { name: 'MongoNetworkError' });
      return store.orders.push(pkg, ...more);
    },
  },
});

beforeAll(async () => {
  hub = await startHub({
    sweepGraceMs: 1,
    wrapStore: breakable,
    platformTimeoutMs: 1_000,
    orderPush: { attempts: 1 },
    outbound: {
      async cancel() {
        outboundAsked += 1;
        const answer = outboundAnswers.length > 1 ? outboundAnswers.shift() : outboundAnswers[0];
        if (answer === undefined || answer instanceof Error) throw answer ?? new Error('nothing to answer');
        return answer;
      },
    },
  });
  supplier = await makeSupplier(hub, { onHand: 5_000, price: 1_000, fees: { stockOut: 50, logistics: 0 } });
  distributor = await makeDistributor(hub, supplier);
  for (const platform of ['shopee', 'lazada'] as const)
    shops[platform] = await makeStore(hub, distributor.id, platform, supplier.skus);
});
afterAll(() => hub.stop());
afterEach(async () => {
  broken.clear();
  for (const platform of ['shopee', 'lazada'] as const) await hub.control.clearFaults(platform);
});

const STEPS: readonly SupplyOrderMove[] = ['pack', 'ready', 'ship', 'complete'];

/** As the API does it. */
async function move(supplyOrder: string, what: SupplyOrderMove) {
  const moved = await hub.store.orders.moveSupplyOrder(supplier.id, supplyOrder, what, {
    command: newId('command'),
    ...(what === 'ship' ? { shipment: { carrier: 'PosLaju', trackingNumber: TRACKING } } : {}),
  });
  if (moved.recallToEnd !== null) hub.processes.settleRecall(moved.recallToEnd);
  const { distributor: account, package: pkg } = moved.supplyOrder;
  if (moved.toTell) await hub.processes.startSupplyOrder({ account, package: pkg });
}

/** As the API does it. */
async function recall(pkg: string, answerMs = LONG_MS) {
  const start = await hub.store.orders.recall(distributor.id, pkg, newId('command'), answerMs);
  hub.processes.wakeLanes(start.lanes);
  if (start.pushToEnd !== null) hub.processes.endPush(start.pushToEnd);
  if (!start.over)
    await hub.processes.startOrderRecall({ account: distributor.id, package: pkg, attempt: start.attempt });
  return start;
}

const answer = (pkg: string, what: 'confirm' | 'refuse', attempt = 1) =>
  hub.processes.answerRecall({
    account: distributor.id,
    package: pkg,
    attempt,
    answer: what,
    command: newId('command'),
    reason: null,
  });

/** Pushes a synced package and moves its supply order through so many steps. */
async function hand(pkg: string, steps: number) {
  await push(hub, distributor.id, pkg);
  const { status, supplyOrder } = await pushEnd(hub, distributor.id, pkg);
  if (supplyOrder === null) throw new Error(`the package is ${status}`);
  for (const what of STEPS.slice(0, steps)) await move(supplyOrder, what);
  return { pkg, supplyOrder };
}
const anOrder = () => makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
const handed = async (steps: number) => hand(await anOrder(), steps);

const packageNow = (pkg: string) => hub.store.orders.package(distributor.id, pkg);
const supplyOrderNow = (id: string) => hub.store.orders.supplyOrder(supplier.id, id);
const refundsOf = (pkg: string) =>
  hub.store.database.models.records.find({ package: pkg, type: 'order_recall' }).lean();
const endOf = (workflowId: string) => hub.client.workflow.getHandle(workflowId).result();
const terminate = (workflowId: string) => hub.client.workflow.getHandle(workflowId).terminate('by hand');
const sweep = () =>
  hub.client.workflow.execute('sweep', {
    workflowId: newId('job'),
    taskQueue: taskQueueOf(hub.queuePrefix),
    args: [],
  });
const noticesOf = async (account: string, event: string, document: string) =>
  (await hub.store.notifications.list(account, { limit: 200, after: null })).items.filter(
    (row) => row.event === event && row.document === document,
  );

describe('a recall that the supplier is asked about', () => {
  test('is confirmed through its workflow, and mirrors and stores follow', async () => {
    const { pkg, supplyOrder } = await handed(1);
    await recall(pkg);
    expect(await answer(pkg, 'confirm')).toBe('recalled');
    expect(await endOf(orderRecallId(pkg, 1))).toBe('recalled');
    expect(await packageNow(pkg)).toMatchObject({ status: 'recalled', recall: { state: 'recalled' } });
    expect(await supplyOrderNow(supplyOrder)).toMatchObject({ status: 'cancelled' });
    expect(await refundsOf(pkg)).toMatchObject([{ _id: `recall/${pkg}/1`, amount: 2_050, document: supplyOrder }]);
    await expect(answer(pkg, 'refuse')).rejects.toMatchObject({ code: 'invalid_transition' });
    await expectAllInOrder(hub);
  });

  test('is refused by the clock when nobody answers', async () => {
    const { pkg, supplyOrder } = await handed(2);
    await recall(pkg, 200);
    expect(await endOf(orderRecallId(pkg, 1))).toBe('failed');
    expect(await packageNow(pkg)).toMatchObject({
      status: 'to_pickup',
      recall: { code: 'recall_refused', detail: 'The supplier did not answer in time' },
    });
    for (const [account, document] of [
      [distributor.id, pkg],
      [supplier.id, supplyOrder],
    ] as const)
      expect(await noticesOf(account, 'recall_refused', document)).toHaveLength(1);
  });

  test('goes on by the sweep when its workflow was lost, with the time that is left', async () => {
    const { pkg } = await handed(1);
    await recall(pkg);
    await terminate(orderRecallId(pkg, 1));
    await sweep();
    expect((await hub.client.workflow.getHandle(orderRecallId(pkg, 1)).describe()).status.name).toBe('RUNNING');
    // An answer brings it back by itself, too.
    await terminate(orderRecallId(pkg, 1));
    expect(await answer(pkg, 'refuse')).toBe('failed');
    expect(await endOf(orderRecallId(pkg, 1))).toBe('failed');
    await recall(pkg);
    expect(await answer(pkg, 'confirm', 2)).toBe('recalled');
    expect(await refundsOf(pkg)).toHaveLength(1);
  });

  test('ends when the supplier ships', async () => {
    const { pkg, supplyOrder } = await handed(2);
    await recall(pkg);
    await move(supplyOrder, 'ship');
    expect(await endOf(orderRecallId(pkg, 1))).toBe('failed');
    expect(await packageNow(pkg)).toMatchObject({ status: 'shipped', recall: { code: 'recall_not_possible' } });
    expect(await refundsOf(pkg)).toEqual([]);
  });
});

describe('a recall of a push that is parked', () => {
  test('ends the push and its workflow, and nothing is held', async () => {
    const pkg = await anOrder();
    broken.add(pkg);
    await push(hub, distributor.id, pkg);
    await eventually(async () => expect(await packageNow(pkg)).toMatchObject({ parked: true }));
    expect(await recall(pkg)).toMatchObject({ over: true });
    expect(await endOf(orderPushId(pkg, 1))).toBe('abandoned');
    expect(await packageNow(pkg)).toMatchObject({
      status: 'push_failed',
      parked: false,
      supplyOrder: null,
      failure: { code: 'abandoned', detail: expect.stringMatching(/^Recalled/) },
    });
    broken.delete(pkg);
    await hand(pkg, 0);
    expect(await packageNow(pkg)).toMatchObject({ status: 'pushed', attempt: 2 });
  });
});

describe('goods in a warehouse that others run', () => {
  const place = (kind: 'own' | 'third_party') =>
    hub.store.database.models.warehouses.updateOne({ _id: supplier.warehouse }, { $set: { kind } });
  beforeAll(async () => {
    await place('third_party');
  });
  afterAll(async () => {
    await place('own');
  });

  test('its operator is asked first, again where the answer was lost, and the answer decides', async () => {
    outboundAnswers = [new HubError('platform_unavailable', 'the answer was lost'), { cancelled: true }];
    const { pkg, supplyOrder } = await handed(2);
    const asked = outboundAsked;
    expect(await recall(pkg)).toMatchObject({ over: false });
    // Nothing is assumed meanwhile, and nothing moves.
    await expect(move(supplyOrder, 'ship')).rejects.toMatchObject({ code: 'invalid_transition' });
    expect(await endOf(orderRecallId(pkg, 1))).toBe('recalled');
    expect(outboundAsked - asked).toBe(2);
    expect(await refundsOf(pkg)).toHaveLength(1);
  });

  test('its refusal is the recall’s, in its words', async () => {
    outboundAnswers = [{ cancelled: false, detail: '50018: already picked' }];
    const { pkg } = await handed(0);
    await recall(pkg);
    expect(await endOf(orderRecallId(pkg, 1))).toBe('failed');
    expect(await packageNow(pkg)).toMatchObject({ status: 'pushed', recall: { detail: '50018: already picked' } });
    expect(await refundsOf(pkg)).toEqual([]);
  });
});

/** A buyer's order at a platform, taken in. @returns its packages */
async function ordered(platform: 'shopee' | 'lazada', quantity = 2) {
  const { items } = await hub.control.shop(platform, shops[platform].shopId);
  const line = { itemId: items[0]?.itemId ?? '', modelId: items[0]?.models[0]?.modelId ?? '', quantity };
  const { orderNumber } = await hub.control.createOrder(platform, { shopId: shops[platform].shopId, lines: [line] });
  hub.processes.takeInOrder(shops[platform].id, orderNumber);
  return eventually(async () => {
    const { items: rows } = await hub.store.orders.list(distributor.id, {}, { limit: 50, after: null });
    const [pkg] = rows.find(({ order }) => order.platformOrder === orderNumber)?.packages ?? [];
    if (pkg === undefined) throw new Error('not taken in');
    return { orderNumber, pkg: pkg._id };
  });
}
const cancelAt = async (platform: 'shopee' | 'lazada', orderNumber: string) => {
  await hub.control.advanceOrder(platform, orderNumber, { state: 'cancelled' });
  await hub.processes.takeInOrderNow(shops[platform].id, orderNumber);
  await endOf(processId('order-intake', { store: shops[platform].id, platformOrder: orderNumber }));
};

describe('a buyer who cancels at the platform', () => {
  test('starts a recall: of a new supply order it succeeds by itself', async () => {
    const { orderNumber, pkg } = await ordered('shopee');
    await hand(pkg, 0);
    await cancelAt('shopee', orderNumber);
    expect(await endOf(orderRecallId(pkg, 1))).toBe('recalled');
    expect(await packageNow(pkg)).toMatchObject({ status: 'recalled', recall: { by: 'buyer' } });
    expect(await refundsOf(pkg)).toHaveLength(1);
  });

  test('of a packed one the supplier is asked; a refusal tells both to settle it', async () => {
    const { orderNumber, pkg } = await ordered('lazada');
    const { supplyOrder } = await hand(pkg, 1);
    await cancelAt('lazada', orderNumber);
    await eventually(async () => expect(await packageNow(pkg)).toMatchObject({ recall: { state: 'asked' } }));
    expect(await answer(pkg, 'refuse')).toBe('failed');
    for (const [account, document] of [
      [distributor.id, pkg],
      [supplier.id, supplyOrder],
    ] as const)
      expect(await noticesOf(account, 'recall_refused', document)).toMatchObject([
        { detail: expect.stringContaining('settle it between you') },
      ]);
  });

  test('too late: both are told to settle it, and nothing is refunded', async () => {
    const { orderNumber, pkg } = await ordered('shopee');
    const { supplyOrder } = await hand(pkg, 3);
    await endOf(supplyOrderProcessId(pkg));
    await cancelAt('shopee', orderNumber);
    expect(await packageNow(pkg)).toMatchObject({ status: 'shipped', recall: null });
    expect(await noticesOf(supplier.id, 'recall_refused', supplyOrder)).toHaveLength(1);
    expect(await refundsOf(pkg)).toEqual([]);
  });

  test('while the push is parked: it is abandoned, and the goods are back', async () => {
    const { orderNumber, pkg } = await ordered('shopee');
    broken.add(pkg);
    await push(hub, distributor.id, pkg);
    await eventually(async () => expect(await packageNow(pkg)).toMatchObject({ parked: true }));
    await cancelAt('shopee', orderNumber);
    expect(await endOf(orderPushId(pkg, 1))).toBe('abandoned');
    expect(await packageNow(pkg)).toMatchObject({ status: 'cancelled', allocated: false });
  });
});

describe.each(['shopee', 'lazada'] as const)('a shipment of an order of %s', (platform) => {
  const operationOf = (pkg: string) =>
    hub.store.operations.get(supplier.id, supplyOrderProcessId(pkg).replaceAll('/', '.'));
  const shippedThere = (orderNumber: string) => hub.control.order(platform, orderNumber);

  test('reaches the platform with its tracking number, once, although answers are lost', async () => {
    const { orderNumber, pkg } = await ordered(platform);
    const { supplyOrder } = await hand(pkg, 2);
    await hub.control.addFault(platform, {
      kind: 'lost_answer',
      pathContains: platform === 'shopee' ? 'ship_order' : 'fulfill/pack',
      times: 1,
    });
    await move(supplyOrder, 'ship');
    const lost = endOf(supplyOrderProcessId(pkg));
    await eventually(async () => expect(await operationOf(pkg)).toMatchObject({ status: 'parked' }));
    await eventually(() => hub.processes.decide(supplyOrderProcessId(pkg), 'retry', 'operator'));
    expect(await lost).toBe('told');
    expect(await operationOf(pkg)).toMatchObject({ kind: 'shipment_notice', status: 'done' });
    expect(await shippedThere(orderNumber)).toMatchObject({
      state: 'shipped',
      shipments: [{ trackingNumber: TRACKING, left: true }],
    });
    expect(await packageNow(pkg)).toMatchObject({ shipment: { platform: 'told', open: false } });
    expect(await supplyOrderNow(supplyOrder)).toMatchObject({ shipment: { platform: 'told', open: false } });
  });

  test('is told by the sweep when its workflow was never started', async () => {
    const { orderNumber, pkg } = await ordered(platform);
    const { supplyOrder } = await hand(pkg, 2);
    await hub.store.orders.moveSupplyOrder(supplier.id, supplyOrder, 'ship', {
      command: newId('command'),
      shipment: { carrier: null, trackingNumber: TRACKING },
    });
    await sweep();
    expect(await endOf(supplyOrderProcessId(pkg))).toBe('told');
    expect((await shippedThere(orderNumber)).state).toBe('shipped');
  });

  test('that the platform refuses parks, and says so where it is given up', async () => {
    const { orderNumber, pkg } = await ordered(platform);
    const { supplyOrder } = await hand(pkg, 2);
    await hub.control.advanceOrder(platform, orderNumber, { state: 'cancelled', send: false });
    await move(supplyOrder, 'ship');
    await eventually(async () =>
      expect(await operationOf(pkg)).toMatchObject({ status: 'parked', error: { code: 'platform_rejected' } }),
    );
    const end = endOf(supplyOrderProcessId(pkg));
    await eventually(() => hub.processes.decide(supplyOrderProcessId(pkg), 'abandon', 'operator'));
    expect(await end).toBe('failed');
    expect(await supplyOrderNow(supplyOrder)).toMatchObject({
      status: 'shipped',
      shipment: { platform: 'failed', open: false, detail: expect.stringContaining('an operator gave up') },
    });
  });
});

test('an order of two suppliers is told to a platform that takes it whole once both have shipped', async () => {
  const other = await makeSupplier(hub, { skus: ['MUG-1'], price: 500 });
  const partner = await otherPartnership(other);
  const shop = await makeStore(hub, distributor.id, 'shopee', ['TEE-1', 'MUG-1']);
  const { items } = await hub.control.shop('shopee', shop.shopId);
  const lines = (items[0]?.models ?? []).map(({ modelId }) => ({
    itemId: items[0]?.itemId ?? '',
    modelId,
    quantity: 1,
  }));
  const { orderNumber } = await hub.control.createOrder('shopee', { shopId: shop.shopId, lines });
  hub.processes.takeInOrder(shop.id, orderNumber);
  const packages = await eventually(async () => {
    const { items: rows } = await hub.store.orders.list(distributor.id, { store: shop.id }, { limit: 50, after: null });
    const found = rows.find(({ order }) => order.platformOrder === orderNumber)?.packages ?? [];
    expect(found).toHaveLength(2);
    return found;
  });
  const own = packages.find((row) => row.supplier === supplier.id)?._id ?? '';
  const theirs = packages.find((row) => row.supplier === other.id)?._id ?? '';
  await hand(own, 3);
  expect(await endOf(supplyOrderProcessId(own))).toBe('waiting');
  expect(await hub.control.order('shopee', orderNumber)).toMatchObject({ state: 'ready_to_ship', shipments: [] });
  await push(hub, distributor.id, theirs);
  const { supplyOrder } = await pushEnd(hub, distributor.id, theirs);
  for (const what of STEPS.slice(0, 3))
    await hub.store.orders.moveSupplyOrder(other.id, supplyOrder ?? '', what, {
      command: newId('command'),
      shipment: { carrier: null, trackingNumber: 'SECOND' },
    });
  await hub.processes.startSupplyOrder({ account: distributor.id, package: theirs });
  expect(await endOf(supplyOrderProcessId(theirs))).toBe('told');
  expect(await hub.control.order('shopee', orderNumber)).toMatchObject({ state: 'shipped' });
  for (const pkg of [own, theirs])
    expect(await packageNow(pkg)).toMatchObject({ shipment: { platform: 'told', open: false } });
  expect(partner).not.toBe(distributor.partnership);
});

/** The distributor partnered with one more supplier. */
async function otherPartnership(other: Supplier): Promise<string> {
  const { store, processes } = hub;
  const { token } = await store.partnerships.invite(other.id);
  const { _id } = await store.partnerships.apply(distributor.id, token, {
    company: 'Distributor Ltd',
    contactName: 'Contact',
    phone: '100',
    email: null,
    channels: ['shopee'],
    message: null,
  });
  await processes.movePartnership(_id, {
    move: 'approve',
    party: other.id,
    command: newId('command'),
    approval: {
      customer: { name: 'Distributor Ltd' },
      settlementCurrency: 'MYR',
      level: null,
      warehouses: [other.warehouse],
      creditLimit: { amount: 100_000, currency: 'MYR' },
      creditPeriodDays: null,
    },
  });
  for (const sku of other.skus) {
    const { lanes } = await store.claims.claim(distributor.id, _id, { sku, as: null });
    processes.wakeLanes(lanes);
  }
  return _id;
}

describe('a recall and a shipment that race', () => {
  test('exactly one wins each time, and at most one refund is made', async () => {
    const wins = { recalled: 0, shipped: 0 };
    // The recall's head start, more where it lost and less where it won: so the two come to meet on any machine.
    const headStartMs = { fromNew: 5, asked: 20 };
    const run = async (index: number) => {
      const isFromNew = index % 2 === 0;
      const kind = isFromNew ? 'fromNew' : 'asked';
      const lateMs = headStartMs[kind];
      const { pkg, supplyOrder } = await handed(isFromNew ? 0 : 2);
      if (isFromNew) {
        const ship = async () => {
          await pause(lateMs);
          for (const what of STEPS.slice(0, 3)) await move(supplyOrder, what);
        };
        await Promise.allSettled([recall(pkg), ship()]);
      } else {
        await recall(pkg);
        const ends = await Promise.allSettled([
          answer(pkg, 'confirm'),
          pause(lateMs).then(() => move(supplyOrder, 'ship')),
        ]);
        expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      }
      const { status } = await supplyOrderNow(supplyOrder);
      if (status !== 'cancelled' && status !== 'shipped') throw new Error(`neither won: ${status}`);
      const refunds = await refundsOf(pkg);
      expect(refunds).toHaveLength(status === 'cancelled' ? 1 : 0);
      wins[status === 'cancelled' ? 'recalled' : 'shipped'] += 1;
      headStartMs[kind] = status === 'cancelled' ? headStartMs[kind] / 2 : headStartMs[kind] * 1.6 + 5;
    };
    const turns = Array.from({ length: RACES }, (_, index) => index);
    for (let from = 0; from < turns.length; from += 2) await Promise.all(turns.slice(from, from + 2).map(run));
    expect(wins.recalled + wins.shipped).toBe(RACES);
    expect(Math.min(wins.recalled, wins.shipped)).toBeGreaterThan(0);
    process.stdout.write(`recall against shipment: ${JSON.stringify(wins)}\n`);
    await expectAllInOrder(hub);
  }, 300_000);
});

test('an order synced before the partnership ended is pushed, recalled and shipped after it', async () => {
  const [shipped, recalled, asked] = [await anOrder(), await anOrder(), await anOrder()];
  await hub.processes.movePartnership(distributor.partnership, {
    move: 'terminate',
    party: supplier.id,
    command: newId('command'),
    reason: null,
  });
  await expect(
    hub.store.claims.claim(distributor.id, distributor.partnership, { sku: 'TEE-1', as: 'X' }),
  ).rejects.toThrow();
  const { balance } = await hub.store.billing.account(null, distributor.partnership);
  await hand(shipped, 4);
  await hand(recalled, 0);
  expect(await recall(recalled)).toMatchObject({ over: true });
  await hand(asked, 2);
  await recall(asked);
  expect(await answer(asked, 'confirm')).toBe('recalled');
  expect(await packageNow(shipped)).toMatchObject({ status: 'completed' });
  for (const pkg of [recalled, asked]) expect(await packageNow(pkg)).toMatchObject({ status: 'recalled' });
  expect(await hub.store.billing.account(null, distributor.partnership)).toMatchObject({ balance: balance - 2_050 });
  await expectAllInOrder(hub);
});
