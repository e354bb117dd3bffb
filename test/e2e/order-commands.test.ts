/** What a seller does with an order over HTTP, with the sandbox's shops behind it: cancelling, shipping own goods, mapping. */
import { operationIdOf, orderCancelId, orderRecallId, processId, supplyOrderProcessId } from '../../domain/process-ids';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import {
  type ConnectedStore,
  type Distributor,
  makeStore,
  makeSupplier,
  partnerWith,
  type Supplier,
} from '../support/scenario';
import { buy, noticesOf, PLATFORMS, type Platform, type SellerScene, startSellerScene } from '../support/seller-scene';

let scene: SellerScene;
let hub: Hub;
let supplier: Supplier;
let distributor: Distributor;
let seller: HttpClient;
let maker: HttpClient;

beforeAll(async () => {
  scene = await startSellerScene({ orderPush: { attempts: 2 }, platformTimeoutMs: 1_000 });
  ({ hub, supplier, distributor, seller, maker } = scene);
});
afterAll(() => scene?.close());
afterEach(async () => {
  for (const platform of PLATFORMS) await hub.control.clearFaults(platform);
});

const orderNow = async (id: string) => expectReply(seller.get(`/orders/${id}`), 200);
const stockOf = async (sku: string) => (await expectReply(seller.get(`/stock?sku=${sku}`), 200)).items[0];
const there = (platform: Platform, number: string) => hub.control.order(platform, number);
const operationOf = async (id: string) => expectReply(seller.get(`/operations/${id}`), 200);
const ordered = (platform: Platform, quantities: Record<string, number>) => buy(scene, platform, quantities);

const MOVES = ['pack', 'ready', 'ship'] as const;
/** Pushes an order, and moves its supply order so many steps. @returns the supply order */
async function pushed(id: string, steps = 0): Promise<string> {
  await expectReply(seller.post(`/orders/${id}/push`), 202);
  const supplyOrder = await eventually(async () => {
    const found = (await orderNow(id)).packages.find((pkg: { supplyOrder: unknown }) => pkg.supplyOrder !== null);
    expect(found?.status).toBe('pushed');
    return found.supplyOrder as string;
  });
  for (const move of MOVES.slice(0, steps))
    await expectReply(
      maker.post(`/supply-orders/${supplyOrder}/${move}`, move === 'ship' ? { trackingNumber: 'T-1' } : undefined),
      200,
    );
  return supplyOrder;
}

const wishes = (platform: Platform, number: string) =>
  hub.control.advanceOrder(platform, number, { state: 'cancel_requested' });
const cancellationEnds = (id: string, status: string) =>
  eventually(async () => {
    const order = await orderNow(id);
    expect(order.cancellation).toMatchObject({ status });
    return order;
  });

describe.each(PLATFORMS)('a seller who cancels an order of %s', (platform) => {
  test('of own goods and a supplier’s: recalled, cancelled there once although the answer is lost, and all is released', async () => {
    const before = { own: await stockOf('OWN-1'), tee: await stockOf('TEE-1') };
    const { id, number, packages } = await ordered(platform, { 'OWN-1': 2, 'TEE-1': 1 });
    expect((await stockOf('OWN-1')).allocated).toBe(before.own.allocated + 2);
    await pushed(id);
    const path = platform === 'shopee' ? 'cancel_order' : 'cancel/create';
    await hub.control.addFault(platform, { kind: 'lost_answer', pathContains: path, times: 1 });
    const since = Date.now();
    const key = 'cancel-it';
    const { operation } = await expectReply(
      seller.post(`/orders/${id}/cancel`, { reason: 'out_of_stock' }, `${key}-${id}`),
      202,
    );
    expect(operation).toMatchObject({ kind: 'order_cancel', document: id });
    const order = await cancellationEnds(id, 'cancelled');
    expect(order.cancellation).toMatchObject({ by: 'seller', reason: 'out_of_stock', operation: operation.id });
    expect(order.packages.map(({ status }: { status: string }) => status).sort()).toEqual(['cancelled', 'recalled']);
    expect((await there(platform, number)).state).toBe('cancelled');
    expect((await hub.control.calls({ platform, pathContains: path, since, limit: 0 })).count).toBe(1);
    expect(await operationOf(operation.id)).toMatchObject({ status: 'done', result: { outcome: 'cancelled' } });
    expect((await stockOf('OWN-1')).allocated).toBe(before.own.allocated);
    const theirs = packages.find(({ partnership }) => partnership !== null)?.id ?? '';
    const records = await hub.store.database.models.records.find({ package: theirs }).lean();
    expect(records.reduce((sum, { amount }) => sum + amount, 0)).toBe(0);
    // The same command again is answered as the first was; another comes too late.
    expect((await seller.post(`/orders/${id}/cancel`, { reason: 'out_of_stock' }, `${key}-${id}`)).status).toBe(202);
    expect(await seller.post(`/orders/${id}/cancel`, {})).toMatchObject({
      status: 409,
      body: { code: 'cancel_not_possible', currentStatus: 'cancelled' },
    });
    expect(await seller.post(`/orders/${id}/push`)).toMatchObject({ status: 409, body: { code: 'not_pushable' } });
  });
});

test('a supplier who refuses ends it, and both are told', async () => {
  const { id, number, packages } = await ordered('shopee', { 'TEE-1': 1 });
  const supplyOrder = await pushed(id, 1);
  await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202);
  await eventually(async () =>
    expect(await expectReply(maker.get(`/supply-orders/${supplyOrder}`), 200)).toMatchObject({
      recall: { status: 'asked' },
    }),
  );
  // It is the one that is open.
  const again = await seller.post(`/orders/${id}/cancel`, {});
  expect(again.body.operation.id).toBe(`order-cancel.${id}.1`);
  await expectReply(maker.post(`/supply-orders/${supplyOrder}/recall/refuse`, { reason: 'on the truck' }), 200);
  const order = await cancellationEnds(id, 'failed');
  expect(order).toMatchObject({
    status: 'packed',
    cancellation: { code: 'cancel_not_possible', detail: expect.stringContaining('on the truck') },
  });
  expect((await there('shopee', number)).state).toBe('ready_to_ship');
  const pkg = packages[0]?.id ?? '';
  expect(await noticesOf(seller, 'recall_refused', pkg)).toHaveLength(1);
  expect(await noticesOf(maker, 'recall_refused', supplyOrder)).toHaveLength(1);
  // Asked again it is another attempt, and can succeed.
  await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202);
  await eventually(() => expectReply(maker.post(`/supply-orders/${supplyOrder}/recall/confirm`, {}), 200));
  expect(await cancellationEnds(id, 'cancelled')).toMatchObject({ status: 'recalled', cancellation: { attempt: 2 } });
  expect((await there('shopee', number)).state).toBe('cancelled');
});

test('of two suppliers one gives back and the other refuses: the order goes on, and what was given back can be pushed again', async () => {
  const other = await makeSupplier(hub, { skus: ['MUG-1'], price: 500 });
  await partnerWith(hub, distributor, other);
  const shop = await makeStore(hub, distributor.id, 'shopee', ['TEE-1', 'MUG-1']);
  const both = { ...scene, shops: { ...scene.shops, shopee: shop } };
  const { id, number, packages } = await buy(both, 'shopee', { 'TEE-1': 1, 'MUG-1': 2 });
  const potter = createHttpClient(scene.api.url)(other.key);
  const suppliers = [
    { call: maker, sku: 'TEE-1' },
    { call: potter, sku: 'MUG-1' },
  ] as const;
  const pushBoth = async () => {
    await expectReply(seller.post(`/orders/${id}/push`), 202);
    return eventually(async () => {
      const rows = (await orderNow(id)).packages as { id: string; lines: { sku: string }[]; supplyOrder: string }[];
      return suppliers.map(({ call, sku }) => {
        const row = rows.find(({ lines }) => lines[0]?.sku === sku);
        expect(row?.supplyOrder).toEqual(expect.any(String));
        return { call, pkg: row?.id ?? '', supplyOrder: row?.supplyOrder ?? '' };
      });
    });
  };
  // Each on its own: first the one, then the one that is left.
  const [alone = { id: '' }] = packages;
  expect((await seller.post(`/orders/${id}/push`, { package: 'pkg_none' })).status).toBe(404);
  const began = await expectReply(seller.post(`/orders/${id}/push`, { package: alone.id }), 202);
  expect(began.operations).toMatchObject([{ id: `order-push.${alone.id}.1` }]);
  await eventually(async () => {
    const rows = (await orderNow(id)).packages as { id: string; status: string }[];
    expect(rows.map((row) => [row.id, row.status])).toEqual(
      packages.map((row) => [row.id, row.id === alone.id ? 'pushed' : 'new']),
    );
  });
  const [mine, theirs] = await pushBoth();
  if (!mine || !theirs) throw new Error('two packages');
  await expectReply(theirs.call.post(`/supply-orders/${theirs.supplyOrder}/pack`), 200);
  const { operation } = await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202);
  // The first had not begun with it: given back at once, whatever the other says.
  await eventually(async () =>
    expect(await expectReply(maker.get(`/supply-orders/${mine.supplyOrder}`), 200)).toMatchObject({
      status: 'cancelled',
    }),
  );
  await eventually(() =>
    expectReply(potter.post(`/supply-orders/${theirs.supplyOrder}/recall/refuse`, { reason: 'fired already' }), 200),
  );
  const order = await cancellationEnds(id, 'failed');
  expect(order).toMatchObject({
    status: 'new',
    cancellation: { code: 'cancel_not_possible', detail: expect.stringContaining('fired already') },
  });
  expect(await operationOf(operation.id)).toMatchObject({ status: 'failed' });
  expect((await there('shopee', number)).state).toBe('ready_to_ship');
  const statusOf = async (pkg: string) =>
    (await orderNow(id)).packages.find((row: { id: string }) => row.id === pkg).status;
  expect([await statusOf(mine.pkg), await statusOf(theirs.pkg)]).toEqual(['new', 'packed']);
  expect(await noticesOf(seller, 'order_goes_on', mine.pkg)).toHaveLength(1);
  expect(await noticesOf(seller, 'recall_refused', theirs.pkg)).toHaveLength(1);
  expect(await noticesOf(potter, 'recall_refused', theirs.supplyOrder)).toHaveLength(1);
  const bookedFor = async (pkg: string) =>
    (await hub.store.database.models.records.find({ package: pkg }).lean()).map(({ amount }) => amount);
  expect((await bookedFor(mine.pkg)).reduce((sum, amount) => sum + amount, 0)).toBe(0);
  expect(await bookedFor(theirs.pkg)).toHaveLength(1);
  // Pushed again it is the supplier’s anew; then both give back, and the platform is told.
  const [again] = await pushBoth();
  expect(again?.supplyOrder).not.toBe(mine.supplyOrder);
  await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202);
  await eventually(() => expectReply(potter.post(`/supply-orders/${theirs.supplyOrder}/recall/confirm`, {}), 200));
  expect(await cancellationEnds(id, 'cancelled')).toMatchObject({ status: 'recalled', cancellation: { attempt: 2 } });
  expect((await there('shopee', number)).state).toBe('cancelled');
  for (const { id: pkg } of packages) expect((await bookedFor(pkg)).reduce((sum, amount) => sum + amount, 0)).toBe(0);

  // One that was recalled, or cancelled, keeps the other from nothing.
  const next = await buy(both, 'shopee', { 'TEE-1': 1, 'MUG-1': 1 });
  const [one = { id: '' }, two = { id: '' }] = next.packages;
  await expectReply(seller.post(`/orders/${next.id}/push`, { package: one.id }), 202);
  await eventually(async () => expect((await orderNow(next.id)).packages[0]).toMatchObject({ status: 'pushed' }));
  await expectReply(seller.post(`/orders/${next.id}/recall`, { package: one.id }), 200);
  expect(await expectReply(seller.post(`/orders/${next.id}/push`), 202)).toMatchObject({
    operations: [{ id: `order-push.${two.id}.1` }],
    refused: [{ package: one.id, code: 'not_pushable' }],
  });
  expect((await seller.post(`/orders/${next.id}/push`, { package: one.id })).status).toBe(409);
  // Among many orders, too, it is named.
  const { operation: bulk } = await expectReply(seller.post('/orders/push', { orders: [next.id] }), 202);
  await eventually(async () =>
    expect(await operationOf(bulk.id)).toMatchObject({
      status: 'done',
      result: {
        results: [
          {
            ...{ ok: true, packages: [{ package: two.id, status: 'pushed' }] },
            refused: [{ package: one.id, code: 'not_pushable', detail: 'The package was recalled' }],
          },
        ],
      },
    }),
  );
});

test('a platform that is down parks it; retried it goes on, abandoned the order does', async () => {
  const orders = [await ordered('shopee', { 'OWN-1': 1 }), await ordered('lazada', { 'TEE-1': 1 })] as const;
  for (const platform of PLATFORMS)
    await hub.control.addFault(platform, {
      kind: 'down',
      pathContains: platform === 'shopee' ? 'cancel_order' : 'cancel/',
    });
  const operations: string[] = [];
  for (const { id } of orders)
    operations.push((await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202)).operation.id);
  for (const operation of operations)
    await eventually(async () =>
      expect(await operationOf(operation)).toMatchObject({
        status: 'parked',
        error: { code: 'platform_unavailable' },
      }),
    );
  // Parked, nothing is pushed or released.
  expect(await orderNow(orders[0].id)).toMatchObject({ status: 'new', cancellation: { status: 'telling' } });
  expect(await seller.post(`/orders/${orders[1].id}/push`)).toMatchObject({
    status: 409,
    body: { code: 'not_pushable', detail: 'The order is being cancelled' },
  });
  for (const platform of PLATFORMS) await hub.control.clearFaults(platform);
  await expectReply(seller.post(`/operations/${operations[0]}/retry`), 202);
  await expectReply(seller.post(`/operations/${operations[1]}/abandon`), 202);
  await cancellationEnds(orders[0].id, 'cancelled');
  expect((await there('shopee', orders[0].number)).state).toBe('cancelled');
  expect(await cancellationEnds(orders[1].id, 'failed')).toMatchObject({ status: 'new' });
  expect((await there('lazada', orders[1].number)).state).toBe('ready_to_ship');
});

test('an order of no platform is cancelled by itself; what has left is not', async () => {
  const before = await stockOf('OWN-1');
  const body = { currency: 'MYR', shipping: 'self_arranged', lines: [{ sku: 'OWN-1', quantity: 3 }] };
  const { id } = await expectReply(seller.post('/orders', { number: 'API-1', ...body }), 201);
  await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202);
  expect(await cancellationEnds(id, 'cancelled')).toMatchObject({ status: 'cancelled' });
  expect(await stockOf('OWN-1')).toEqual(before);
  const { id: gone } = await ordered('shopee', { 'TEE-1': 1 });
  await pushed(gone, 3);
  expect(await seller.post(`/orders/${gone}/cancel`, {})).toMatchObject({
    status: 409,
    body: { code: 'cancel_not_possible' },
  });
});

describe('a buyer who asks for a cancellation', () => {
  test.each(PLATFORMS)('%s: recalled, then granted there', async (platform) => {
    const { id, number, packages } = await ordered(platform, { 'TEE-1': 1 });
    await pushed(id);
    await wishes(platform, number);
    const order = await cancellationEnds(id, 'cancelled');
    expect(order).toMatchObject({ status: 'recalled', cancellation: { by: 'buyer' } });
    expect((await there(platform, number)).state).toBe('cancelled');
    expect(await hub.client.workflow.getHandle(orderRecallId(packages[0]?.id ?? '', 1)).result()).toBe('recalled');
  });

  test.each(PLATFORMS)('%s: refused there where the recall fails, and both sides settle it', async (platform) => {
    const { id, number, packages } = await ordered(platform, { 'TEE-1': 1 });
    const supplyOrder = await pushed(id, 1);
    await wishes(platform, number);
    await eventually(() =>
      expectReply(maker.post(`/supply-orders/${supplyOrder}/recall/refuse`, { reason: 'packed' }), 200),
    );
    await cancellationEnds(id, 'rejected');
    // Lazada takes no refusal: there the wish stays.
    expect((await there(platform, number)).state).toBe(platform === 'shopee' ? 'ready_to_ship' : 'cancel_requested');
    for (const [call, document] of [
      [seller, packages[0]?.id ?? ''],
      [maker, supplyOrder],
    ] as const)
      expect(await noticesOf(call, 'recall_refused', document)).toMatchObject([
        { detail: expect.stringContaining('settle it between you') },
      ]);
    if (platform === 'shopee')
      await eventually(async () => expect((await orderNow(id)).platformState).toBe('READY_TO_SHIP'));
    expect((await orderNow(id)).status).toBe('packed');
  });

  test('of a platform that does not answer: refused there once it is retried, in the supplier’s words', async () => {
    const { id, number } = await ordered('shopee', { 'TEE-1': 1 });
    const supplyOrder = await pushed(id, 1);
    await hub.control.addFault('shopee', { kind: 'down', pathContains: 'handle_buyer_cancellation' });
    await wishes('shopee', number);
    await eventually(() =>
      expectReply(maker.post(`/supply-orders/${supplyOrder}/recall/refuse`, { reason: 'sealed already' }), 200),
    );
    const { operation } = (await orderNow(id)).cancellation;
    await eventually(async () => expect(await operationOf(operation)).toMatchObject({ status: 'parked' }));
    await hub.control.clearFaults('shopee');
    await expectReply(seller.post(`/operations/${operation}/retry`), 202);
    expect(await cancellationEnds(id, 'rejected')).toMatchObject({
      cancellation: { code: 'recall_refused', detail: expect.stringContaining('sealed already') },
    });
    expect(await operationOf(operation)).toMatchObject({
      error: { detail: expect.stringContaining('sealed already') },
    });
    expect((await there('shopee', number)).state).toBe('ready_to_ship');
  });

  test('too late: refused there, both sides are told to settle it, and what is the seller’s own still leaves', async () => {
    const { id, number, packages } = await ordered('lazada', { 'TEE-1': 1, 'OWN-1': 1 });
    // Told to nobody yet: at the platform the parcel is still here.
    await hub.control.addFault('lazada', { kind: 'down', pathContains: 'package/rts' });
    const supplyOrder = await pushed(id, 3);
    await wishes('lazada', number);
    await cancellationEnds(id, 'rejected');
    const theirs = packages.find(({ partnership }) => partnership !== null)?.id ?? '';
    const mine = packages.find(({ partnership }) => partnership === null)?.id ?? '';
    for (const [call, document] of [
      [seller, theirs],
      [maker, supplyOrder],
    ] as const)
      expect(await noticesOf(call, 'recall_refused', document)).toMatchObject([
        { detail: expect.stringContaining('settle it between you') },
      ]);
    await hub.control.clearFaults('lazada');
    const shipped = await expectReply(
      seller.post(`/orders/${id}/ship`, { trackingNumber: 'LATE-1', package: mine }),
      200,
    );
    expect(shipped.packages.map(({ status }: { status: string }) => status)).toEqual(['shipped', 'shipped']);
    // The platform is told of both: the wish that stays there holds nothing up.
    for (const pkg of [theirs, mine])
      await eventually(async () => {
        const operation = await operationOf(operationIdOf(supplyOrderProcessId(pkg)));
        if (operation.status === 'parked') await seller.post(`/operations/${operation.id}/retry`);
        expect(operation.status).toBe('done');
      });
    expect(await there('lazada', number)).toMatchObject({
      state: 'shipped',
      shipments: [{ left: true }, { left: true }],
    });
  });

  test('while the seller’s own cancellation is open: its end answers the buyer, too', async () => {
    const { id, number, packages } = await ordered('shopee', { 'TEE-1': 1 });
    const supplyOrder = await pushed(id, 1);
    await expectReply(seller.post(`/orders/${id}/cancel`, {}), 202);
    await wishes('shopee', number);
    await eventually(async () => expect((await orderNow(id)).platformState).toBe('IN_CANCEL'));
    await eventually(() => expectReply(maker.post(`/supply-orders/${supplyOrder}/recall/refuse`, {}), 200));
    expect(await cancellationEnds(id, 'rejected')).toMatchObject({ cancellation: { by: 'seller', attempt: 1 } });
    expect((await there('shopee', number)).state).toBe('ready_to_ship');
    expect(await noticesOf(seller, 'recall_refused', packages[0]?.id ?? '')).toMatchObject([
      { detail: expect.stringContaining('settle it between you') },
    ]);
    // Withdrawn and renewed between two looks: a newer version of the same state is another wish.
    const { models } = hub.store.database;
    await eventually(async () => expect((await orderNow(id)).platformState).toBe('READY_TO_SHIP'));
    await models.orders.updateOne({ _id: id }, { $set: { state: 'cancel_requested', platformState: 'IN_CANCEL' } });
    await wishes('shopee', number);
    await eventually(async () =>
      expect((await orderNow(id)).cancellation).toMatchObject({ by: 'buyer', attempt: 2, status: 'recalling' }),
    );
    await eventually(() => expectReply(maker.post(`/supply-orders/${supplyOrder}/recall/confirm`, {}), 200));
    await cancellationEnds(id, 'cancelled');
  });

  test('of what nobody was given is granted at once; a wish taken back ends it', async () => {
    const before = await stockOf('OWN-1');
    const { id, number } = await ordered('shopee', { 'OWN-1': 2 });
    await wishes('shopee', number);
    expect(await cancellationEnds(id, 'cancelled')).toMatchObject({ status: 'cancelled' });
    expect(await stockOf('OWN-1')).toEqual(before);

    const kept = await ordered('shopee', { 'TEE-1': 1 });
    const supplyOrder = await pushed(kept.id, 1);
    await wishes('shopee', kept.number);
    await eventually(async () => expect((await orderNow(kept.id)).cancellation).toMatchObject({ status: 'recalling' }));
    await hub.control.advanceOrder('shopee', kept.number, { state: 'ready_to_ship', send: false });
    await eventually(() => expectReply(maker.post(`/supply-orders/${supplyOrder}/recall/refuse`, {}), 200));
    await cancellationEnds(kept.id, 'withdrawn');
    expect(await hub.client.workflow.getHandle(orderCancelId(kept.id, 1)).result()).toBe('withdrawn');
  });
});

describe.each(PLATFORMS)('own goods of an order of %s', (platform) => {
  test('leave once: the stock falls, the platform is told although an answer is lost, and the status follows', async () => {
    const before = await stockOf('OWN-1');
    const { id, number, packages } = await ordered(platform, { 'OWN-1': 2 });
    const pkg = packages[0]?.id ?? '';
    await hub.control.addFault(platform, {
      kind: 'lost_answer',
      pathContains: platform === 'shopee' ? 'ship_order' : 'package/rts',
      times: 1,
    });
    const body = { carrier: 'PosLaju', trackingNumber: 'OWN-TRACK' };
    const key = `ship-${id}`;
    const [first, second] = [
      await seller.post(`/orders/${id}/ship`, body, key),
      await seller.post(`/orders/${id}/ship`, body, key),
    ];
    expect(first.status).toBe(200);
    expect(second.body).toEqual(first.body);
    expect(first.body).toMatchObject({ status: 'shipped', packages: [{ shipment: { trackingNumber: 'OWN-TRACK' } }] });
    expect(await stockOf('OWN-1')).toMatchObject({
      onHand: before.onHand - 2,
      allocated: before.allocated,
      available: before.available - 2,
    });
    const entries = (await expectReply(seller.get('/stock/journal?sku=OWN-1&limit=200'), 200)).items;
    expect(
      entries.filter((one: { document: string; kind: string }) => one.document === pkg && one.kind === 'ship'),
    ).toHaveLength(1);
    await eventually(async () => {
      const operation = await operationOf(first.body.packages[0].shipment.operation);
      if (operation.status === 'parked') await seller.post(`/operations/${operation.id}/retry`);
      expect(operation.status).toBe('done');
    });
    expect(await there(platform, number)).toMatchObject({
      state: 'shipped',
      shipments: [{ trackingNumber: 'OWN-TRACK', left: true }],
    });
    expect(await seller.post(`/orders/${id}/ship`, body)).toMatchObject({
      status: 409,
      body: { code: 'invalid_transition' },
    });
    await hub.control.advanceOrder(platform, number, { state: 'completed' });
    await eventually(async () => expect((await orderNow(id)).status).toBe('completed'));
    expect((await stockOf('OWN-1')).onHand).toBe(before.onHand - 2);
  });

  test('that left by the platform’s own pages follow what it says', async () => {
    const before = await stockOf('OWN-1');
    const { id, number } = await ordered(platform, { 'OWN-1': 1 });
    await hub.control.advanceOrder(platform, number, { state: 'shipped' });
    await eventually(async () => expect((await orderNow(id)).status).toBe('shipped'));
    expect(await stockOf('OWN-1')).toMatchObject({ onHand: before.onHand - 1, allocated: before.allocated });
  });
});

test('what a supplier ships is not the seller’s to ship; a split order shows the least advanced of its packages', async () => {
  const { id, packages } = await ordered('lazada', { 'OWN-1': 1, 'TEE-1': 1 });
  const theirs = packages.find(({ partnership }) => partnership !== null)?.id ?? '';
  const mine = packages.find(({ partnership }) => partnership === null)?.id ?? '';
  const body = { trackingNumber: 'X-1' };
  expect(await seller.post(`/orders/${id}/ship`, { ...body, package: theirs })).toMatchObject({
    status: 409,
    body: { code: 'not_shippable', packages: [theirs] },
  });
  await expectReply(seller.post(`/orders/${id}/ship`, { ...body, package: mine }), 200);
  const statusNow = async () => (await orderNow(id)).status;
  expect(await statusNow()).toBe('new');
  const supplyOrder = await pushed(id);
  for (const [move, status] of [
    ['pack', 'packed'],
    ['ready', 'to_pickup'],
    ['ship', 'shipped'],
  ] as const) {
    await expectReply(maker.post(`/supply-orders/${supplyOrder}/${move}`, move === 'ship' ? body : undefined), 200);
    expect(await statusNow()).toBe(status);
  }
  const { id: only } = await ordered('shopee', { 'TEE-1': 1 });
  expect(await seller.post(`/orders/${only}/ship`, body)).toMatchObject({
    status: 409,
    body: { code: 'not_shippable' },
  });
  expect(
    (await expectReply(seller.get('/orders?status=shipped&limit=200'), 200)).items.map((one: { id: string }) => one.id),
  ).toContain(id);
  const ofPartner = (await expectReply(seller.get(`/orders?partner=${distributor.partnership}&limit=1`), 200)).items;
  expect(ofPartner).toMatchObject([{ id: only }]);
  expect((await expectReply(seller.get(`/orders?placedBefore=2001-01-01T00:00:00Z`), 200)).items).toEqual([]);
});

describe('lines that nobody could map', () => {
  const listingOf = async (shop: ConnectedStore, sku: string) =>
    (await expectReply(seller.get(`/stores/${shop.id}/listings`), 200)).items.find(
      (one: { sellerSku: string }) => one.sellerSku === sku,
    );

  test('are mapped by hand, all that is wrong named at once; remembered, the next order is mapped by itself', async () => {
    const shop = await makeStore(hub, distributor.id, 'shopee', ['UNKNOWN-1', 'UNKNOWN-2']);
    const { items } = await hub.control.shop('shopee', shop.shopId);
    const lines = items.flatMap(({ itemId, models }) =>
      models.map(({ modelId }) => ({ itemId, modelId, quantity: 1 })),
    );
    const order = async () => {
      const { orderNumber: number } = await hub.control.createOrder('shopee', { shopId: shop.shopId, lines });
      return eventually(async () => {
        const [found] = (await expectReply(seller.get(`/orders?number=${number}`), 200)).items;
        expect(found).toBeDefined();
        return found;
      });
    };
    const first = await order();
    expect(first).toMatchObject({
      status: 'unmapped',
      packages: [],
      lines: [{ unmappedReason: 'listing_not_connected' }, { unmappedReason: 'listing_not_connected' }],
    });
    const waiting = await order();
    const [one, two] = first.lines.map(({ line }: { line: string }) => line);
    const wrong = await seller.post(`/orders/${first.id}/map`, {
      lines: [
        { line: 'nothing', sku: 'OWN-1' },
        { line: one, sku: 'NO-SKU' },
      ],
    });
    expect(wrong).toMatchObject({
      status: 422,
      body: {
        errors: [
          { pointer: '/lines/0/line', code: 'unknown_line' },
          { pointer: '/lines/1/sku', code: 'unknown_sku' },
        ],
      },
    });
    // One line alone: the order goes on waiting, and keeps what was said.
    const partly = await expectReply(
      seller.post(`/orders/${first.id}/map`, { lines: [{ line: one, sku: 'OWN-1' }] }),
      200,
    );
    expect(partly).toMatchObject({ status: 'unmapped', lines: [{ sku: 'OWN-1' }, { sku: null }] });
    await hub.processes.takeInOrderNow(shop.id, first.number);
    const intake = processId('order-intake', { store: shop.id, platformOrder: first.number });
    await hub.client.workflow.getHandle(intake).result();
    expect((await orderNow(first.id)).lines).toMatchObject([{ sku: 'OWN-1' }, { sku: null }]);
    const before = await stockOf('OWN-1');
    const whole = await expectReply(
      seller.post(`/orders/${first.id}/map`, { lines: [{ line: two, sku: 'TEE-1' }], remember: true }),
      200,
    );
    expect(whole).toMatchObject({ status: 'new', packages: [{}, {}] });
    expect((await stockOf('OWN-1')).allocated).toBe(before.allocated + 1);
    expect(await listingOf(shop, 'UNKNOWN-2')).toMatchObject({ sku: 'TEE-1' });
    expect(await listingOf(shop, 'UNKNOWN-1')).toMatchObject({ sku: null });
    // The same again, after a process that died before it connected the listing.
    const { id: listed } = await listingOf(shop, 'UNKNOWN-2');
    await hub.store.database.models.listings.collection.updateOne({ _id: listed }, { $set: { sku: null } });
    const again = { lines: [{ line: two, sku: 'TEE-1' }], remember: true };
    expect(await expectReply(seller.post(`/orders/${first.id}/map`, again), 200)).toEqual(whole);
    expect((await stockOf('OWN-1')).allocated).toBe(before.allocated + 1);
    expect(await listingOf(shop, 'UNKNOWN-2')).toMatchObject({ sku: 'TEE-1' });
    expect(await seller.post(`/orders/${first.id}/map`, { lines: [{ line: two, sku: 'OWN-1' }] })).toMatchObject({
      status: 409,
      body: { code: 'invalid_transition' },
    });
    // The other one is resolved by connecting the listing.
    const listing = (await listingOf(shop, 'UNKNOWN-1')).id;
    await expectReply(seller.post('/listings/connect', [{ listing, sku: 'OWN-1' }]), 200);
    await eventually(async () => expect(await orderNow(waiting.id)).toMatchObject({ status: 'new' }));
  });

  test('wait for a SKU that is claimed, or made, later', async () => {
    const body = { currency: 'MYR', shipping: 'self_arranged' };
    const order = async (number: string, sku: string) =>
      expectReply(seller.post('/orders', { number, ...body, lines: [{ sku, quantity: 1 }] }), 201);
    const made = await order('WAITS-1', 'LATER-1');
    expect(made).toMatchObject({ status: 'unmapped', lines: [{ unmappedReason: 'no_such_sku' }] });
    await expectReply(seller.post('/skus', { sku: 'LATER-1', name: 'Later' }), 201);
    expect(await orderNow(made.id)).toMatchObject({ status: 'new', packages: [{ lines: [{ sku: 'LATER-1' }] }] });
    const claimed = await order('WAITS-2', 'CLAIMED-1');
    await expectReply(maker.post('/skus', { sku: 'TEE-9', name: 'Later' }), 201);
    await hub.store.products.add(supplier.id, [{ sku: 'TEE-9', basePrice: { amount: 500, currency: 'MYR' } }]);
    await hub.store.products.publish(supplier.id, 'TEE-9', 1);
    await expectReply(
      seller.post(`/distributor/suppliers/${distributor.partnership}/claims`, { sku: 'TEE-9', as: 'CLAIMED-1' }),
      201,
    );
    expect(await orderNow(claimed.id)).toMatchObject({
      status: 'new',
      packages: [{ partnership: distributor.partnership, lines: [{ supplierSku: 'TEE-9' }] }],
    });
    // The same number again is the same order.
    const again = await seller.post('/orders', { number: 'WAITS-2', ...body, lines: [{ sku: 'OWN-1', quantity: 5 }] });
    expect(again).toMatchObject({ status: 200, body: { id: claimed.id, lines: [{ sku: 'CLAIMED-1', quantity: 1 }] } });
    // In another store it is another order.
    const elsewhere = { number: 'WAITS-2', store: scene.shops.shopee.id, ...body };
    const other = await expectReply(
      seller.post('/orders', { ...elsewhere, lines: [{ sku: 'OWN-1', quantity: 1 }] }),
      201,
    );
    expect(other.id).not.toBe(claimed.id);
    const both = (await expectReply(seller.get('/orders?number=WAITS-2'), 200)).items;
    expect(both.map(({ id }: { id: string }) => id).sort()).toEqual([claimed.id, other.id].sort());
  });
});

test('in the end everything is in order', async () => {
  await expectAllInOrder(hub);
});
