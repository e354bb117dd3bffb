/** Orders that go on over HTTP, with the sandbox's shops behind them: cancellations that do not come about, lines that change, late repeats. */
import { newId } from '../../domain/ids';
import { processId } from '../../domain/process-ids';
import { taskQueueOf } from '../../workflows/ids';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import { type ConnectedStore, type Distributor, makeStore, makeSupplier, partnerWith } from '../support/scenario';
import {
  buy,
  noticesOf as noticesTo,
  PLATFORMS,
  type Platform,
  type SellerScene,
  startSellerScene,
} from '../support/seller-scene';

let scene: SellerScene;
let hub: Hub;
let distributor: Distributor;
let seller: HttpClient;
let maker: HttpClient;
let shops: Readonly<Record<Platform, ConnectedStore>>;

beforeAll(async () => {
  scene = await startSellerScene({ orderPush: { attempts: 2 }, platformTimeoutMs: 1_000, sweepGraceMs: 1 });
  ({ hub, distributor, seller, maker, shops } = scene);
});
afterAll(() => scene?.close());
afterEach(async () => {
  for (const platform of PLATFORMS) await hub.control.clearFaults(platform);
});

const orderNow = async (id: string) => expectReply(seller.get(`/orders/${id}`), 200);
const packageOf = async (id: string) => (await orderNow(id)).packages[0];
const stockOf = async (sku: string) => (await expectReply(seller.get(`/stock?sku=${sku}`), 200)).items[0];
const balance = async () => (await hub.store.billing.account(null, distributor.partnership)).balance;
const noticesOf = (event: string, document: string) => noticesTo(seller, event, document);
async function ordered(platform: Platform, quantities: Record<string, number>) {
  const { id, number, packages } = await buy(scene, platform, quantities);
  return { id, number, pkg: packages[0]?.id ?? '' };
}

/** @returns the supply order */
async function pushed(id: string): Promise<string> {
  await expectReply(seller.post(`/orders/${id}/push`), 202);
  return eventually(async () => {
    const { status, supplyOrder } = await packageOf(id);
    expect(status).toBe('pushed');
    return supplyOrder as string;
  });
}

const cancellationEnds = (id: string, status: string) =>
  eventually(async () => {
    const order = await orderNow(id);
    expect(order.cancellation).toMatchObject({ status });
    return order;
  });
const parks = (operation: string) =>
  eventually(async () =>
    expect(await expectReply(seller.get(`/operations/${operation}`), 200)).toMatchObject({ status: 'parked' }),
  );

const sweep = () =>
  hub.client.workflow.execute('sweep', {
    workflowId: newId('job'),
    taskQueue: taskQueueOf(hub.queuePrefix),
    args: [],
  });

/** It can be pushed again: nothing is charged for it, and its goods are the distributor's own allocation. */
async function expectReopened(id: string, pkg: string) {
  expect(await packageOf(id)).toMatchObject({
    ...{ status: 'new', supplyOrder: null, charge: null, failure: null, pushedAt: null },
    recall: { status: 'recalled', detail: expect.stringContaining('can be pushed again') },
  });
  expect(await noticesOf('order_goes_on', pkg)).toHaveLength(1);
  const records = await hub.store.database.models.records.find({ package: pkg }).lean();
  expect(records.map(({ type }) => type).sort()).toEqual(['order_push', 'order_recall']);
  expect(records.reduce((sum, { amount }) => sum + amount, 0)).toBe(0);
}

describe.each(PLATFORMS)('a cancellation at %s that does not come about', (platform) => {
  test('given up, leaves what was recalled to be pushed again: charged anew, and shipped', async () => {
    const before = { balance: await balance(), tee: await stockOf('TEE-1') };
    const { id, number, pkg } = await ordered(platform, { 'TEE-1': 2 });
    const first = await pushed(id);
    const charged = before.balance - (await balance());
    expect(charged).toBe(2_050);
    await hub.control.addFault(platform, { kind: 'down', pathContains: 'cancel' });
    const { operation } = await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202);
    await parks(operation.id);
    expect(await packageOf(id)).toMatchObject({ status: 'recalled' });
    expect(await seller.post(`/orders/${id}/push`)).toMatchObject({ status: 409, body: { code: 'not_pushable' } });
    await hub.control.clearFaults(platform);
    await expectReply(seller.post(`/operations/${operation.id}/abandon`), 202);
    expect(await cancellationEnds(id, 'failed')).toMatchObject({ status: 'new' });
    await expectReopened(id, pkg);
    expect(await balance()).toBe(before.balance);
    await eventually(async () =>
      expect(await stockOf('TEE-1')).toMatchObject({
        onHand: before.tee.onHand,
        allocated: before.tee.allocated + 2,
      }),
    );
    expect((await expectReply(seller.get(`/orders/${id}/push-check`), 200)).blockers).toEqual([]);

    const second = await pushed(id);
    expect(second).not.toBe(first);
    expect(await packageOf(id)).toMatchObject({ attempt: 2, charge: { total: { amount: '20.50' } } });
    expect(before.balance - (await balance())).toBe(charged);
    expect(await expectReply(maker.get(`/supply-orders/${first}`), 200)).toMatchObject({ status: 'cancelled' });
    for (const move of ['pack', 'ready']) await expectReply(maker.post(`/supply-orders/${second}/${move}`), 200);
    await expectReply(maker.post(`/supply-orders/${second}/ship`, { trackingNumber: 'T-9' }), 200);
    await eventually(async () =>
      expect(await hub.control.order(platform, number)).toMatchObject({
        state: 'shipped',
        shipments: [{ trackingNumber: 'T-9' }],
      }),
    );
    expect(before.balance - (await balance())).toBe(charged);
  });

  test('since the order has left there, ends at once and says so; nothing is pushed any more', async () => {
    const before = { balance: await balance(), tee: await stockOf('TEE-1') };
    const { id, number } = await ordered(platform, { 'TEE-1': 1 });
    await pushed(id);
    await hub.control.advanceOrder(platform, number, { state: 'shipped', send: false });
    await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202);
    expect(await cancellationEnds(id, 'failed')).toMatchObject({
      cancellation: { code: 'cancel_not_possible', detail: expect.stringContaining('left') },
    });
    await eventually(async () => expect(await packageOf(id)).toMatchObject({ status: 'shipped', supplyOrder: null }));
    expect(await balance()).toBe(before.balance);
    await eventually(async () => expect(await stockOf('TEE-1')).toEqual(before.tee));
    expect(await seller.post(`/orders/${id}/push`)).toMatchObject({ status: 409, body: { code: 'not_pushable' } });
  });
});

test('a wish that its buyer takes back: what was recalled for it is pushed again by itself, where that is switched on', async () => {
  await expectReply(seller.put('/automation/auto-push', { partnerships: [distributor.partnership] }), 200);
  const { id, number, pkg } = await ordered('shopee', { 'TEE-1': 1 });
  await eventually(async () => expect(await packageOf(id)).toMatchObject({ status: 'pushed' }));
  await hub.control.addFault('shopee', { kind: 'down', pathContains: 'handle_buyer_cancellation' });
  await hub.control.advanceOrder('shopee', number, { state: 'cancel_requested' });
  await eventually(async () => expect(await packageOf(id)).toMatchObject({ status: 'recalled' }));
  const operation = (await orderNow(id)).cancellation.operation;
  await parks(operation);
  await hub.control.clearFaults('shopee');
  await hub.control.advanceOrder('shopee', number, { state: 'ready_to_ship', send: false });
  await expectReply(seller.post(`/operations/${operation}/retry`), 202);
  await cancellationEnds(id, 'withdrawn');
  expect(await noticesOf('order_goes_on', pkg)).toHaveLength(1);
  await sweep();
  await eventually(async () => expect(await packageOf(id)).toMatchObject({ status: 'pushed', attempt: 2 }));
  await expectReply(seller.put('/automation/auto-push', { partnerships: [] }), 200);
});

test('own goods that no warehouse of the hub had leave by the platform’s word alone', async () => {
  const { id, number, pkg } = await ordered('shopee', { 'OWN-1': 900 });
  expect(await packageOf(id)).toMatchObject({ status: 'new', failure: { code: 'insufficient_stock' } });
  await hub.control.advanceOrder('shopee', number, { state: 'shipped' });
  await eventually(async () => expect(await packageOf(id)).toMatchObject({ status: 'shipped' }));
  expect(await noticesOf('goods_missing', pkg)).toHaveLength(1);
});

test('Lazada cancels in the background: what came of it is asked for', async () => {
  const { id, number } = await ordered('lazada', { 'OWN-1': 1 });
  await hub.control.addFault('lazada', { kind: 'not_done_yet' });
  const { operation } = await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202);
  await parks(operation.id);
  expect(await orderNow(id)).toMatchObject({ status: 'new', cancellation: { status: 'telling' } });
  await hub.control.advanceOrder('lazada', number, { state: 'cancelled', send: false });
  await expectReply(seller.post(`/operations/${operation.id}/retry`), 202);
  expect(await cancellationEnds(id, 'cancelled')).toMatchObject({ status: 'cancelled' });
});

/** What the platform says now is taken in. */
async function takenIn(platform: Platform, number: string) {
  const store = shops[platform].id;
  await hub.processes.takeInOrderNow(store, number);
  await hub.client.workflow.getHandle(processId('order-intake', { store, platformOrder: number })).result();
}

describe('lines of an order of Lazada', () => {
  test('that a buyer wishes to cancel are granted there, and are not the order; cancelled ones leave their package, pushed or not', async () => {
    const before = { balance: await balance(), tee: await stockOf('TEE-1') };
    const { id, number, pkg } = await ordered('lazada', { 'TEE-1': 5 });
    const lines = (await orderNow(id)).lines.map(({ line }: { line: string }) => line) as string[];
    expect(lines).toHaveLength(5);
    const [asked = '', first = '', second = '', ...kept] = lines;
    const wishFor = (line: string) =>
      hub.control.advanceOrder('lazada', number, { state: 'ready_to_ship', lines: { [line]: 'cancel_requested' } });
    await hub.control.addFault('lazada', { kind: 'down', pathContains: 'cancel/' });
    await wishFor(asked);
    await eventually(async () =>
      expect((await orderNow(id)).cancellation).toMatchObject({ by: 'buyer', lines: [asked], status: 'telling' }),
    );
    const { operation } = (await orderNow(id)).cancellation;
    await parks(operation);
    const requested = async () =>
      (await orderNow(id)).lines.flatMap((row: { line: string; cancelRequested: boolean }) =>
        row.cancelRequested ? [row.line] : [],
      );
    expect(await requested()).toEqual([asked]);
    // Until it is answered nothing is begun that it would come too late for.
    expect(await seller.post(`/orders/${id}/push`)).toMatchObject({ status: 409, body: { code: 'not_pushable' } });
    expect(await seller.post(`/orders/${id}/cancel`, {})).toMatchObject({
      status: 409,
      body: { code: 'cancel_not_possible', detail: expect.stringContaining('lines') },
    });
    await hub.control.clearFaults('lazada');
    await hub.control.addFault('lazada', { kind: 'lost_answer', pathContains: 'cancel/create', times: 1 });
    await expectReply(seller.post(`/operations/${operation}/retry`), 202);
    expect(await cancellationEnds(id, 'cancelled')).toMatchObject({
      ...{ status: 'new', lines: { length: 4 }, cancellation: { lines: [asked], attempt: 1 } },
    });
    const there = await hub.control.order('lazada', number);
    expect([there.state, there.lines.map(({ state }) => state ?? '')]).toEqual([
      'ready_to_ship',
      ['cancelled', '', '', '', ''],
    ]);
    expect(await requested()).toEqual([]);
    expect((await stockOf('TEE-1')).allocated).toBe(before.tee.allocated + 4);
    await hub.control.advanceOrder('lazada', number, {
      ...{ state: 'ready_to_ship', lines: { [first]: 'cancelled' }, send: false },
    });
    await takenIn('lazada', number);
    expect(await orderNow(id)).toMatchObject({ status: 'new', cancellation: { attempt: 1 }, lines: { length: 3 } });
    expect((await packageOf(id)).lines.map(({ line }: { line: string }) => line)).toEqual([second, ...kept]);
    expect((await stockOf('TEE-1')).allocated).toBe(before.tee.allocated + 3);
    const supplyOrder = await pushed(id);
    expect(before.balance - (await balance())).toBe(3_050);

    // The supplier has it: both sides settle it, and the platform is told of what there is.
    await wishFor(second);
    await eventually(async () =>
      expect(await noticesOf('recall_refused', pkg)).toMatchObject([{ detail: expect.stringContaining(second) }]),
    );
    expect(await noticesTo(maker, 'recall_refused', supplyOrder)).toHaveLength(1);
    expect(await orderNow(id)).toMatchObject({ status: 'pushed', cancellation: { attempt: 1, status: 'cancelled' } });
    expect(await requested()).toEqual([second]);
    await hub.control.advanceOrder('lazada', number, {
      ...{ state: 'ready_to_ship', lines: { [second]: 'cancelled' }, send: false },
    });
    await takenIn('lazada', number);
    expect((await packageOf(id)).lines).toHaveLength(3);
    expect(await noticesOf('recall_refused', pkg)).toMatchObject([
      { detail: expect.stringContaining(`cancelled lines of the order (${second})`) },
      { detail: expect.stringContaining('wishes to cancel') },
    ]);
    for (const move of ['pack', 'ready']) await expectReply(maker.post(`/supply-orders/${supplyOrder}/${move}`), 200);
    await expectReply(maker.post(`/supply-orders/${supplyOrder}/ship`, { trackingNumber: 'T-L' }), 200);
    await eventually(async () =>
      expect(await hub.control.order('lazada', number)).toMatchObject({
        state: 'shipped',
        shipments: [{ trackingNumber: 'T-L', lineIds: kept }],
      }),
    );
  });

  test('asked for one by one until it is the order: that is granted as one, after the line that is being answered', async () => {
    const before = await stockOf('OWN-1');
    const { id, number } = await ordered('lazada', { 'OWN-1': 2 });
    const [one = '', two = ''] = (await orderNow(id)).lines.map(({ line }: { line: string }) => line) as string[];
    await hub.control.addFault('lazada', { kind: 'not_done_yet' });
    const wish = { state: 'ready_to_ship', lines: { [one]: 'cancel_requested' } } as const;
    await hub.control.advanceOrder('lazada', number, wish);
    await eventually(async () => expect((await orderNow(id)).cancellation).toMatchObject({ lines: [one] }));
    const first = (await orderNow(id)).cancellation.operation;
    await parks(first);
    await hub.control.advanceOrder('lazada', number, { ...wish, lines: { [two]: 'cancel_requested' } });
    await takenIn('lazada', number);
    await hub.control.clearFaults('lazada');
    // Taken in the background, the first is cancelled by now.
    await hub.control.advanceOrder('lazada', number, { ...wish, lines: { [one]: 'cancelled' }, send: false });
    await expectReply(seller.post(`/operations/${first}/retry`), 202);
    await eventually(async () =>
      expect((await orderNow(id)).cancellation).toMatchObject({ attempt: 2, lines: null, status: 'cancelled' }),
    );
    expect((await orderNow(id)).status).toBe('cancelled');
    expect((await hub.control.order('lazada', number)).state).toBe('cancelled');
    expect(await stockOf('OWN-1')).toEqual(before);
    expect(await expectReply(seller.get(`/operations/${first}`), 200)).toMatchObject({ status: 'done' });
  });

  test('created through the API take the platform’s ids at its first word, and ship under them', async () => {
    const { shopId, id: store } = shops.lazada;
    const { items } = await hub.control.shop('lazada', shopId);
    const line = (sku: string, quantity: number) =>
      items.flatMap(({ itemId, models }) =>
        models.flatMap((model) => (model.sku === sku ? [{ itemId, modelId: model.modelId, quantity }] : [])),
      );
    const wanted = [...line('TEE-1', 2), ...line('OWN-1', 1)];
    const { orderNumber: number } = await hub.control.createOrder('lazada', { shopId, lines: wanted, send: false });
    const body = { number, store, currency: 'MYR', shipping: 'platform_logistics' };
    const own = [
      { sku: 'OWN-1', quantity: 1 },
      { sku: 'TEE-1', quantity: 2 },
    ];
    const { id } = await expectReply(seller.post('/orders', { ...body, lines: own }), 201);
    await expectReply(seller.post(`/orders/${id}/push`), 202);
    const theirs = async () =>
      (await orderNow(id)).packages.find((one: { partnership: string | null }) => one.partnership !== null);
    await eventually(async () => expect(await theirs()).toMatchObject({ status: 'pushed', lines: [{ line: '2' }] }));
    const { supplyOrder, charge } = await theirs();
    await takenIn('lazada', number);
    const there = (await hub.control.order('lazada', number)).lines;
    const ids = there.flatMap(({ sku, lineId }) => (sku === 'TEE-1' ? [lineId] : []));
    const order = await orderNow(id);
    expect(order.lines.map(({ line: one }: { line: string }) => one).sort()).toEqual(
      there.map(({ lineId }) => lineId).sort(),
    );
    expect(await theirs()).toMatchObject({ charge, lines: ids.map((one) => ({ line: one, quantity: 1 })) });
    expect(await expectReply(maker.get(`/supply-orders/${supplyOrder}`), 200)).toMatchObject({
      lines: ids.map((one) => ({ line: one, quantity: 1 })),
    });
    await expectReply(seller.post(`/orders/${id}/ship`, { carrier: 'PosLaju', trackingNumber: 'T-OWN' }), 200);
    for (const move of ['pack', 'ready']) await expectReply(maker.post(`/supply-orders/${supplyOrder}/${move}`), 200);
    await expectReply(maker.post(`/supply-orders/${supplyOrder}/ship`, { trackingNumber: 'T-TEE' }), 200);
    await eventually(async () => {
      const { state, shipments } = await hub.control.order('lazada', number);
      expect(state).toBe('shipped');
      expect(shipments.find(({ trackingNumber }) => trackingNumber === 'T-TEE')?.lineIds.sort()).toEqual(ids.sort());
    });
  });
});

test('a command that is repeated late, after others like it, is answered as done and does nothing again', async () => {
  /** The answers are lost: as a crash between the commit and the answer leaves it. */
  const forget = async () => {
    const { idempotency } = hub.store.database.models;
    const rows = await idempotency.find({}, { _id: 1 }).lean();
    const update = { $set: { status: 'running' as const, leaseUntil: new Date(0), answer: null } };
    await idempotency.bulkWrite(rows.map(({ _id }) => ({ updateOne: { filter: { _id }, update } })));
  };
  const { id, pkg } = await ordered('shopee', { 'TEE-1': 3 });
  const supplyOrder = await pushed(id);
  const supplied = () => expectReply(maker.get(`/supply-orders/${supplyOrder}`), 200);
  const act = (what: string, body: object | undefined, key: string) =>
    maker.post(`/supply-orders/${supplyOrder}/${what}`, body, `${key}-${id}`);
  const recall = (key: string) => seller.post(`/orders/${id}/recall`, {}, `${key}-${id}`);
  await expectReply(act('pack', undefined, 'pack'), 200);
  await expectReply(act('ready', undefined, 'ready'), 200);
  const asked = (attempt: number) =>
    eventually(async () => expect((await supplied()).recall).toMatchObject({ status: 'asked', attempt }));
  const first = await expectReply(recall('r1'), 202);
  await asked(1);
  await expectReply(act('recall/refuse', { reason: 'no' }, 'a1'), 200);
  await expectReply(recall('r2'), 202);
  await asked(2);
  await forget();
  await expectReply(act('pack', undefined, 'pack'), 200);
  await expectReply(act('recall/refuse', { reason: 'no' }, 'a1'), 200);
  // Over: 200.
  expect((await expectReply(recall('r1'), 200)).operation.id).toBe(first.operation.id);
  expect(await supplied()).toMatchObject({ status: 'to_pickup', recall: { status: 'asked', attempt: 2 } });
  await expectReply(act('recall/confirm', undefined, 'a2'), 200);
  const { line } = (await supplied()).lines[0];
  await expectReply(act('stock-in', { lines: [{ line, quantity: 1 }] }, 's1'), 200);
  await expectReply(act('stock-in', { lines: [{ line, quantity: 1 }] }, 's2'), 200);
  await forget();
  await expectReply(act('stock-in', { lines: [{ line, quantity: 1 }] }, 's1'), 200);
  expect((await hub.store.database.models.supplyOrders.findById(supplyOrder).lean())?.stockedIn?.lines).toEqual([
    { line, quantity: 2 },
  ]);
  await expectReply(recall('r1'), 200);
  expect((await packageOf(id)).recall).toMatchObject({ attempt: 2, status: 'recalled' });

  // Cancelling: given up, then done; the first is not begun a third time.
  await hub.control.addFault('shopee', { kind: 'down', pathContains: 'cancel_order' });
  const cancel = (key: string) => seller.post(`/orders/${id}/cancel`, {}, `${key}-${id}`);
  const { operation } = await expectReply(cancel('c1'), 202);
  await parks(operation.id);
  await expectReply(seller.post(`/operations/${operation.id}/abandon`), 202);
  await cancellationEnds(id, 'failed');
  // Its distributor asked for it alone: it stays recalled.
  expect(await packageOf(id)).toMatchObject({ id: pkg, status: 'recalled' });
  await hub.control.clearFaults('shopee');
  await expectReply(cancel('c2'), 202);
  await cancellationEnds(id, 'cancelled');
  await forget();
  expect((await cancel('c1')).body).toMatchObject({ operation: { id: operation.id } });
  expect((await orderNow(id)).cancellation).toMatchObject({ attempt: 2, status: 'cancelled' });
});

describe('an order bought at a platform', () => {
  const myr = (amount: string) => ({ amount, currency: 'MYR' });
  const STEPS = ['pack', 'ready', 'ship', 'complete'] as const;
  const move = (supplyOrder: string, what: string) =>
    maker.post(`/supply-orders/${supplyOrder}/${what}`, what === 'ship' ? { trackingNumber: 'T-1' } : undefined);
  const recall = (id: string) => seller.post(`/orders/${id}/recall`, {});

  test('moves step by step at its supplier’s, each move mirrored; a recall answers as the table has it', async () => {
    const { id, pkg } = await ordered('shopee', { 'TEE-1': 2 });
    expect(await recall(id)).toMatchObject({ status: 409, body: { code: 'not_pushed' } });
    const before = await stockOf('TEE-1');
    const asked = Date.now();
    const supplyOrder = await pushed(id);
    const supplied = () => expectReply(maker.get(`/supply-orders/${supplyOrder}`), 200);
    const newOnes = (await expectReply(maker.get('/supply-orders?status=new'), 200)).items;
    expect(newOnes.map((row: { id: string }) => row.id)).toContain(supplyOrder);
    const shown = await supplied();
    expect(shown).toMatchObject({
      ...{ paymentMethod: 'prepaid', sourceStore: 'BigShop – shopee shop', platform: 'shopee', package: pkg },
      charge: {
        total: myr('20.50'),
        lines: [
          { kind: 'goods', quantity: 2, amount: myr('20.00') },
          { kind: 'stock_out_charge', quantity: 1, amount: myr('0.50') },
        ],
      },
    });
    // Its time is the push's, not the platform's.
    expect(Date.parse(shown.pushedAt)).toBeGreaterThanOrEqual(asked);
    expect(Date.parse((await orderNow(id)).placedAt)).toBeLessThan(asked);
    const inStatus = ['new', 'packed', 'to_pickup', 'shipped', 'completed'];
    for (const [index, status] of inStatus.entries()) {
      expect((await supplied()).status).toBe(status);
      expect(await orderNow(id)).toMatchObject({
        ...{ status: index === 0 ? 'pushed' : status, packages: [{ status: index === 0 ? 'pushed' : status }] },
      });
      for (const what of STEPS.filter((one) => one !== STEPS[index]))
        expect(await move(supplyOrder, what)).toMatchObject({
          ...{ status: 409, body: { code: 'invalid_transition', currentStatus: status } },
        });
      if (index >= 3)
        expect(await recall(id)).toMatchObject({
          ...{ status: 409, body: { code: 'recall_not_possible', detail: expect.stringContaining(status) } },
        });
      const [next] = STEPS.slice(index);
      if (next) await expectReply(move(supplyOrder, next), 200);
    }
    const [{ line }] = (await supplied()).lines;
    const giveBack = (quantity: number, amount: string) =>
      maker.post(`/supply-orders/${supplyOrder}/returns`, { lines: [{ line, quantity }], refund: myr(amount) });
    expect(await giveBack(3, '0')).toMatchObject({ status: 422, body: { code: 'return_exceeds_shipped' } });
    expect(await giveBack(1, '10.01')).toMatchObject({ status: 422, body: { code: 'refund_exceeds_charge' } });
    await expectReply(giveBack(1, '10.00'), 201);
    expect(await giveBack(2, '0')).toMatchObject({ status: 422, body: { code: 'return_exceeds_shipped' } });
    // Of the view, what left is gone, but for what came back: the supplier's goods, once.
    await eventually(async () =>
      expect(await stockOf('TEE-1')).toMatchObject({ onHand: before.onHand - 1, allocated: before.allocated - 2 }),
    );
  });

  test('recalled while it is new: at once, refunded in full, and neither side follows the platform any more', async () => {
    const before = { balance: await balance(), tee: await stockOf('TEE-1') };
    const { id, number, pkg } = await ordered('shopee', { 'TEE-1': 1 });
    const supplyOrder = await pushed(id);
    const { operation } = await expectReply(recall(id), 200);
    expect(operation).toMatchObject({ kind: 'order_recall', status: 'done', document: pkg });
    expect(await recall(id)).toMatchObject({
      ...{ status: 409, body: { code: 'recall_not_possible', detail: expect.stringContaining('recalled') } },
    });
    for (const what of STEPS)
      expect(await move(supplyOrder, what)).toMatchObject({ status: 409, body: { currentStatus: 'cancelled' } });
    await expectReply(maker.put('/automation/auto-tool', { enabled: true }), 200);
    await hub.control.advanceOrder('shopee', number, { state: 'shipped' });
    await takenIn('shopee', number);
    expect((await orderNow(id)).platformState).toBe('SHIPPED');
    await sweep();
    await expectReply(maker.put('/automation/auto-tool', { enabled: false }), 200);
    expect(await packageOf(id)).toMatchObject({ status: 'recalled', shipment: null, recall: { attempt: 1 } });
    expect(await expectReply(maker.get(`/supply-orders/${supplyOrder}`), 200)).toMatchObject({
      ...{ status: 'cancelled', shipment: null },
    });
    expect(await balance()).toBe(before.balance);
    await eventually(async () => expect(await stockOf('TEE-1')).toEqual(before.tee));
  });

  test('is held back by each blocker, by all that hold at once, and by none that it was synced before', async () => {
    const other = await makeSupplier(hub, { skus: ['ACE-1'], onHand: 100, price: 1_000 });
    const potter = createHttpClient(scene.api.url)(other.key);
    const admin = createHttpClient(scene.api.url)('the-admin-key-of-the-tests-only');
    await expectReply(potter.post('/skus', { sku: 'PRICELESS', name: 'P' }), 201);
    await expectReply(potter.post('/supplier/products', { sku: 'PRICELESS' }), 202);
    const prices = [{ sku: 'PRICELESS', price: myr('8.00') }];
    await expectReply(potter.put('/supplier/sku-prices', { prices }), 200);
    await hub.control.setRates({ quotes: { 'MYR/THB': null } });
    const rate = (rates: object[]) => expectReply(potter.put('/exchange-rates', { rates }), 200);
    await rate([{ from: 'MYR', to: 'THB', rate: '8' }]);
    const terms = { settlementCurrency: 'THB', creditLimit: 1_000_000, claim: ['ACE-1'] } as const;
    const partnership = await partnerWith(hub, distributor, other, terms);
    const claims = `/distributor/suppliers/${partnership}/claims`;
    await eventually(() => expectReply(seller.post(claims, { sku: 'PRICELESS' }), 201));
    expect((await potter.delete('/supplier/sku-prices?sku=PRICELESS')).status).toBe(204);
    await rate([]);
    const shop = await makeStore(hub, distributor.id, 'lazada', ['ACE-1', 'PRICELESS', 'NOBODYS']);
    const { items } = await hub.control.shop('lazada', shop.shopId);
    const bought = async (sku: string, quantity = 3) => {
      const model = items.flatMap(({ models }) => models).find((one) => one.sku === sku);
      const lines = [{ itemId: items[0]?.itemId ?? '', modelId: model?.modelId ?? '', quantity }];
      const { orderNumber } = await hub.control.createOrder('lazada', { shopId: shop.shopId, lines });
      return eventually(async () => {
        const [found] = (await expectReply(seller.get(`/orders?number=${orderNumber}`), 200)).items;
        expect(found).toBeDefined();
        return found.id as string;
      });
    };
    const check = async (id: string) => (await expectReply(seller.get(`/orders/${id}/push-check`), 200)).blockers;
    /** The same from the check and from the push, which leaves the package with them. */
    const expectHeldBack = async (id: string, blockers: object[]) => {
      expect(await check(id)).toMatchObject(blockers);
      const refused = await expectReply(seller.post(`/orders/${id}/push`), 409);
      expect(refused).toMatchObject({ code: 'push_blocked', blockers });
      const { status, packages } = await orderNow(id);
      if (status !== 'unmapped') expect(packages).toMatchObject([{ status: 'push_failed', blockers, attempt: 0 }]);
    };
    const quotas = async (orderQuota: number | null) => {
      for (const account of [other.id, distributor.id])
        await expectReply(admin.patch(`/accounts/${account}`, { orderQuota }), 200);
    };
    const count = (quantity: number) =>
      expectReply(
        potter.post('/stock/adjustments', {
          ...{ warehouse: other.warehouse, sku: 'ACE-1', kind: 'count', quantity, reason: 'count' },
        }),
        200,
      );
    const credit = (amount: string) =>
      expectReply(
        potter.put(`/supplier/distributors/${partnership}/billing/credit`, {
          ...{ limit: { amount, currency: 'THB' }, periodDays: null },
        }),
        200,
      );

    const rateless = await bought('ACE-1');
    await expectHeldBack(rateless, [{ code: 'exchange_rate_missing', sku: 'ACE-1' }]);
    await rate([{ from: 'MYR', to: 'THB', rate: '8' }]);
    await expectHeldBack(await bought('PRICELESS', 1), [
      { code: 'price_missing', sku: 'PRICELESS' },
      { code: 'out_of_stock', sku: 'PRICELESS', needed: 1, available: 0 },
    ]);
    await expectHeldBack(await bought('NOBODYS', 1), [{ code: 'sku_not_mapped' }]);
    const id = await bought('ACE-1');
    expect(await check(id)).toEqual([]);
    await count(2);
    // Three lines of one each, added up.
    await expectHeldBack(id, [{ code: 'out_of_stock', sku: 'ACE-1', needed: 3, available: 2 }]);
    await count(100);
    await quotas(0);
    const sides = ['supplier', 'distributor'].map((side) => ({ code: 'quota_reached', side }));
    await expectHeldBack(id, sides);
    await quotas(null);
    // 3 × 10.00 MYR at 8: to the last cent.
    await credit('239.99');
    await expectHeldBack(id, [{ code: 'insufficient_funds' }]);
    await count(2);
    await quotas(0);
    await expectHeldBack(id, [{ code: 'out_of_stock' }, ...sides, { code: 'insufficient_funds' }]);
    await credit('240.00');
    await count(100);
    await quotas(null);
    expect(await check(id)).toEqual([]);

    await expectReply(potter.post('/supplier/products/ACE-1/disable'), 200);
    await eventually(async () => {
      const { items: rows } = await expectReply(
        seller.get(`/distributor/suppliers/${partnership}/products?claimed=true`),
        200,
      );
      const row = rows.find(({ sku }: { sku: string }) => sku === 'ACE-1');
      expect(row?.claim?.status).not.toBe('active');
    });
    const inactive = { code: 'sku_inactive', sku: 'ACE-1' };
    await expectHeldBack(await bought('ACE-1', 1), [inactive]);
    await expectReply(potter.post(`/supplier/distributors/${partnership}/terminate`, {}), 200);
    await expectHeldBack(await bought('ACE-1', 1), [{ code: 'not_partnered' }, inactive]);
    // Synced before both, and paid for to the last cent.
    expect(await check(id)).toEqual([]);
    const supplyOrder = await pushed(id);
    expect(await expectReply(potter.get(`/supply-orders/${supplyOrder}`), 200)).toMatchObject({
      ...{ status: 'new', charge: { total: { amount: '240.00', currency: 'THB' } } },
    });
  });
});

test('at the end everything is in order, and the books agree', async () => {
  await expectAllInOrder(hub);
  const { operation } = await expectReply(maker.post('/billing/verify', {}), 202);
  await eventually(async () =>
    expect(await expectReply(maker.get(`/operations/${operation.id}`), 200)).toMatchObject({
      status: 'done',
      result: { ok: true },
    }),
  );
});
