/** Recalls and shipments over HTTP, with the rest behind it: workflows, clocks, warehouses of others, buyers who cancel, platforms that are told. */
import { setTimeout as pause } from 'node:timers/promises';
import { HubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import { operationIdOf, orderPushId, orderRecallId, processId, supplyOrderProcessId } from '../../domain/process-ids';
import type { SupplyOrderMove } from '../../domain/supply-orders';
import type { OutboundAnswer } from '../../store/repositories/recalls';
import { taskQueueOf } from '../../workflows/ids';
import { breakPushes } from '../support/broken-store';
import { createHttpClient, type HttpClient, type Reply } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import {
  type ConnectedStore,
  type Distributor,
  makeDistributor,
  makeOrder,
  makeStore,
  makeSupplier,
  partnerWith,
  push,
  pushEnd,
  type Supplier,
} from '../support/scenario';
import { serveApi } from '../support/served-api';

const RACES = process.env.LONG === '1' ? 200 : 12;
const TRACKING = 'MY-TRACK-1';

let hub: Hub;
let supplier: Supplier;
let distributor: Distributor;
let api: Awaited<ReturnType<typeof serveApi>>;
let seller: HttpClient;
let owner: HttpClient;
const shops = {} as Record<'shopee' | 'lazada', ConnectedStore>;
/** Packages whose push finds the database away. */
const broken = new Set<string>();
/** What the operator of a warehouse answers, one after the other; an error is an answer that was lost. */
let outboundAnswers: (OutboundAnswer | Error)[] = [];
let outboundAsked = 0;

beforeAll(async () => {
  hub = await startHub({
    sweepGraceMs: 1,
    wrapStore: breakPushes((pkg) => broken.has(pkg)),
    platformTimeoutMs: 1_000,
    orderPush: { attempts: 1 },
    outbound: {
      create: async ({ supplyOrder }) => ({ created: true, reference: `out-${supplyOrder}` }),
      get: async () => null,
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
  const { store, processes, connectors, logger } = hub;
  api = await serveApi({ store, processes, connectors, logger, checkAnswers: true });
  const http = createHttpClient(api.url);
  [owner, seller] = [http(supplier.key), http(distributor.key)];
});
afterAll(async () => {
  await api?.close();
  await hub?.stop();
});
afterEach(async () => {
  broken.clear();
  for (const platform of ['shopee', 'lazada'] as const) await hub.control.clearFaults(platform);
});

const STEPS: readonly SupplyOrderMove[] = ['pack', 'ready', 'ship', 'complete'];

/** The answer of a call that must succeed; else an error with the code of the problem. */
async function replied(reply: Promise<Reply>): Promise<Reply> {
  const { status, body } = await reply;
  if (status >= 400) throw Object.assign(new Error(JSON.stringify(body)), { code: body.code });
  return reply;
}
const move = (supplyOrder: string, what: SupplyOrderMove) =>
  replied(
    owner.post(
      `/supply-orders/${supplyOrder}/${what}`,
      what === 'ship' ? { carrier: 'PosLaju', trackingNumber: TRACKING } : undefined,
    ),
  );
const recall = async (pkg: string) => {
  const { order } = await packageNow(pkg);
  const { status } = await replied(seller.post(`/orders/${order}/recall`, { package: pkg }));
  return { over: status === 200 };
};

/** Asked through an edge with another time to answer in. */
async function recallWithin(pkg: string, answerMs: number) {
  const { store, processes, connectors, logger } = hub;
  const hasty = await serveApi({ store, processes, connectors, logger, checkAnswers: true }, { answerMs });
  const { order } = await packageNow(pkg);
  await replied(createHttpClient(hasty.url)(distributor.key).post(`/orders/${order}/recall`, {}));
  await hasty.close();
}

/** The supplier's answer. @returns what became of the recall */
async function answer(pkg: string, what: 'confirm' | 'refuse') {
  const { supplyOrder } = await packageNow(pkg);
  const { body } = await replied(owner.post(`/supply-orders/${supplyOrder}/recall/${what}`));
  return body.recall.status;
}

/** Pushes a synced package and moves its supply order through so many steps. */
async function hand(pkg: string, steps: number) {
  const { order } = await packageNow(pkg);
  await replied(seller.post(`/orders/${order}/push`, { package: pkg }));
  const { status, supplyOrder } = await pushEnd(hub, distributor.id, pkg);
  if (supplyOrder === null) throw new Error(`the package is ${status}`);
  for (const what of STEPS.slice(0, steps)) await move(supplyOrder, what);
  return { pkg, supplyOrder };
}
const anOrder = () => makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
const handed = async (steps: number) => hand(await anOrder(), steps);

const packageNow = (pkg: string) => hub.store.orders.package(distributor.id, pkg);
const supplyOrderNow = (id: string) => hub.store.orders.supplyOrder(supplier.id, id);
/** As its distributor sees it. */
async function shownPackage(pkg: string) {
  const { order } = await packageNow(pkg);
  const { body } = await replied(seller.get(`/orders/${order}`));
  return body.packages.find(({ id }: { id: string }) => id === pkg);
}
/** As its supplier sees it. */
const shownSupplyOrder = async (id: string) => (await replied(owner.get(`/supply-orders/${id}`))).body;
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

test('a recall that is over at once has no workflow, and who waits for it is answered', async () => {
  const patient = createHttpClient(api.url, { Prefer: 'wait=5' })(distributor.key);
  const pkg = await makeOrder(hub, distributor.id, [{ sku: supplier.skus[0] ?? '', quantity: 1 }]);
  await push(hub, distributor.id, pkg);
  const { order } = await pushEnd(hub, distributor.id, pkg);
  const { status, body } = await patient.post(`/orders/${order}/recall`, {});
  expect({ status, body }).toMatchObject({ status: 200, body: { operation: { status: 'done', document: pkg } } });
  await expect(hub.client.workflow.getHandle(orderRecallId(pkg, 1)).describe()).rejects.toThrow('not found');
});

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
    await recallWithin(pkg, 200);
    expect(await endOf(orderRecallId(pkg, 1))).toBe('failed');
    const shown = {
      status: 'to_pickup',
      recall: { status: 'failed', code: 'recall_refused', detail: 'The supplier did not answer in time' },
    };
    expect(await shownPackage(pkg)).toMatchObject(shown);
    expect(await shownSupplyOrder(supplyOrder)).toMatchObject(shown);
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
    expect(await answer(pkg, 'confirm')).toBe('recalled');
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

  test('what was pushed before has no outbound order there: the supplier alone is asked', async () => {
    await place('own');
    const [fresh, packed] = [await handed(0), await handed(1)];
    await place('third_party');
    outboundAnswers = [{ cancelled: false, detail: 'There is no such outbound order' }];
    const asked = outboundAsked;
    expect(await recall(fresh.pkg)).toMatchObject({ over: true });
    await recall(packed.pkg);
    await eventually(async () => expect(await packageNow(packed.pkg)).toMatchObject({ recall: { state: 'asked' } }));
    expect(await answer(packed.pkg, 'confirm')).toBe('recalled');
    for (const { pkg } of [fresh, packed]) expect(await refundsOf(pkg)).toHaveLength(1);
    expect(outboundAsked).toBe(asked);
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

  test('while the distributor’s own recall is open: its refusal tells both to settle it', async () => {
    const { orderNumber, pkg } = await ordered('shopee');
    const { supplyOrder } = await hand(pkg, 1);
    await recall(pkg);
    await cancelAt('shopee', orderNumber);
    expect(await answer(pkg, 'refuse')).toBe('failed');
    expect(await packageNow(pkg)).toMatchObject({ recall: { by: 'distributor', attempt: 1 } });
    expect(await noticesOf(supplier.id, 'recall_refused', supplyOrder)).toMatchObject([
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
  const noticeOf = (pkg: string) => `/operations/${operationIdOf(supplyOrderProcessId(pkg))}`;
  const operationOf = async (pkg: string) => (await replied(owner.get(noticeOf(pkg)))).body;
  const decide = (pkg: string, decision: 'retry' | 'abandon') =>
    eventually(() => replied(owner.post(`${noticeOf(pkg)}/${decision}`)));
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
    await decide(pkg, 'retry');
    expect(await lost).toBe('told');
    expect(await operationOf(pkg)).toMatchObject({ kind: 'shipment_notice', status: 'done' });
    expect(await shippedThere(orderNumber)).toMatchObject({
      state: 'shipped',
      shipments: [{ trackingNumber: TRACKING, left: true }],
    });
    expect(await shownPackage(pkg)).toMatchObject({ shipment: { platform: 'told' } });
    expect(await shownSupplyOrder(supplyOrder)).toMatchObject({ shipment: { platform: 'told' } });
  });

  test('is told by the sweep when its workflow was never started', async () => {
    const { orderNumber, pkg } = await ordered(platform);
    const { supplyOrder } = await hand(pkg, 2);
    // As by a process that died before it could start the notice.
    await hub.store.orders.moveSupplyOrder(supplier.id, supplyOrder, 'ship', {
      command: newId('command'),
      shipment: { carrier: null, trackingNumber: TRACKING },
    });
    await sweep();
    expect(await endOf(supplyOrderProcessId(pkg))).toBe('told');
    expect((await shippedThere(orderNumber)).state).toBe('shipped');
  });

  test('that it knows under another number is not said to be told: the difference is named, and stays to be settled', async () => {
    const { orderNumber, pkg } = await ordered(platform);
    const { supplyOrder } = await hand(pkg, 2);
    const left = { state: 'shipped', send: false } as const;
    await hub.control.advanceOrder(platform, orderNumber, { ...left, trackingNumber: 'THEIRS-9' });
    await move(supplyOrder, 'ship');
    const differs = { code: 'tracking_differs', detail: expect.stringMatching(/THEIRS-9.*MY-TRACK-1/) };
    await eventually(async () => expect(await operationOf(pkg)).toMatchObject({ status: 'parked', error: differs }));
    expect(await shownPackage(pkg)).toMatchObject({
      shipment: { platform: 'due', detail: expect.stringContaining('THEIRS-9') },
    });
    // Corrected there, it is what was to be told. Numbers are written in many ways.
    await hub.control.advanceOrder(platform, orderNumber, { ...left, trackingNumber: 'my track 1' });
    const end = endOf(supplyOrderProcessId(pkg));
    await decide(pkg, 'retry');
    expect(await end).toBe('told');
    expect(await shownPackage(pkg)).toMatchObject({ shipment: { platform: 'told' } });
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
    await decide(pkg, 'abandon');
    expect(await end).toBe('failed');
    expect(await shownSupplyOrder(supplyOrder)).toMatchObject({
      status: 'shipped',
      shipment: { platform: 'failed', detail: expect.stringContaining('an operator gave up') },
    });
  });
});

test('an order of two suppliers is told to a platform that takes it whole once both have shipped, or one waited long enough', async () => {
  const other = await makeSupplier(hub, { skus: ['MUG-1'], price: 500 });
  const partner = await partnerWith(hub, distributor, other);
  const second = createHttpClient(api.url)(other.key);
  const shop = await makeStore(hub, distributor.id, 'shopee', ['TEE-1', 'MUG-1']);
  const { items } = await hub.control.shop('shopee', shop.shopId);
  const lines = (items[0]?.models ?? []).map(({ modelId }) => ({
    itemId: items[0]?.itemId ?? '',
    modelId,
    quantity: 1,
  }));
  const split = async () => {
    const { orderNumber: number } = await hub.control.createOrder('shopee', { shopId: shop.shopId, lines });
    hub.processes.takeInOrder(shop.id, number);
    const packages = await eventually(async () => {
      const filter = { store: shop.id };
      const { items: rows } = await hub.store.orders.list(distributor.id, filter, { limit: 50, after: null });
      const found = rows.find(({ order }) => order.platformOrder === number)?.packages ?? [];
      expect(found).toHaveLength(2);
      return found;
    });
    const ofSupplier = (id: string) => packages.find((row) => row.supplier === id)?._id ?? '';
    return { orderNumber: number, own: ofSupplier(supplier.id), theirs: ofSupplier(other.id) };
  };
  const shipTheirs = async (theirs: string) => {
    await push(hub, distributor.id, theirs);
    const { supplyOrder } = await pushEnd(hub, distributor.id, theirs);
    for (const what of STEPS.slice(0, 3))
      await replied(
        second.post(
          `/supply-orders/${supplyOrder}/${what}`,
          what === 'ship' ? { trackingNumber: 'SECOND' } : undefined,
        ),
      );
    expect(await endOf(supplyOrderProcessId(theirs))).toBe('told');
  };
  const { orderNumber, own, theirs } = await split();
  await hand(own, 3);
  expect(await endOf(supplyOrderProcessId(own))).toBe('waiting');
  expect(await hub.control.order('shopee', orderNumber)).toMatchObject({ state: 'ready_to_ship', shipments: [] });
  await shipTheirs(theirs);
  expect(await hub.control.order('shopee', orderNumber)).toMatchObject({ state: 'shipped' });
  for (const pkg of [own, theirs]) expect(await shownPackage(pkg)).toMatchObject({ shipment: { platform: 'told' } });
  expect(partner).not.toBe(distributor.partnership);

  // The other's stands still: half a day later the number of the one that left is told all the same.
  const stuck = await split();
  await hand(stuck.own, 3);
  expect(await endOf(supplyOrderProcessId(stuck.own))).toBe('waiting');
  const before = new Date(Date.now() - 12 * 3_600_000);
  const { models } = hub.store.database;
  const longAgo = { $set: { 'shipment.at': before, 'shipment.lookAt': before } };
  await models.packages.updateOne({ _id: stuck.own }, longAgo);
  await models.supplyOrders.updateOne({ package: stuck.own }, longAgo);
  await sweep();
  expect(await endOf(supplyOrderProcessId(stuck.own))).toBe('told');
  const told = await hub.control.order('shopee', stuck.orderNumber);
  expect(told).toMatchObject({ state: 'shipped', shipments: [{ trackingNumber: TRACKING }] });
  expect(await shownPackage(stuck.theirs)).toMatchObject({ status: 'new', shipment: null });
  // It leaves after all: the platform knows the order by the first number, and is told nothing else.
  await shipTheirs(stuck.theirs);
  expect(await hub.control.order('shopee', stuck.orderNumber)).toEqual(told);
});

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
        // Who loses is told so; it is never the service that fails.
        for (const end of ends)
          if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'invalid_transition' });
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
  });
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
