/** Orders of a platform as their seller sees them over HTTP: told often, told late, told in the wrong order. */
import { processId } from '../../domain/process-ids';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import { type ConnectedStore, makeStore, makeSupplier, type Supplier } from '../support/scenario';
import { serveApi } from '../support/served-api';

let hub: Hub;
let supplier: Supplier;
let shopee: ConnectedStore;
let api: Awaited<ReturnType<typeof serveApi>>;
let seller: HttpClient;
beforeAll(async () => {
  hub = await startHub({ platformTimeoutMs: 2_000 });
  api = await serveApi({ ...hub, checkAnswers: true });
  supplier = await makeSupplier(hub, { onHand: 100 });
  seller = createHttpClient(api.url)(supplier.key);
  shopee = await makeStore(hub, supplier.id, 'shopee', supplier.skus);
});
afterAll(async () => {
  await api?.close();
  await hub?.stop();
});

async function anOrder(state: 'unpaid' | 'ready_to_ship' = 'ready_to_ship', quantity = 3) {
  const { items } = await hub.control.shop('shopee', shopee.shopId);
  const line = { itemId: items[0]?.itemId ?? '', modelId: items[0]?.models[0]?.modelId ?? '', quantity };
  return (await hub.control.createOrder('shopee', { shopId: shopee.shopId, lines: [line], state })).orderNumber;
}
interface ShownOrder {
  readonly id: string;
  readonly platformState: string;
  readonly lines: { readonly unmappedReason: string | null }[];
}
const ordersOf = async (platformOrder: string): Promise<ShownOrder[]> =>
  (await expectReply(seller.get(`/orders?number=${platformOrder}`), 200)).items;
const stateOf = (platformOrder: string, state: string) =>
  eventually(async () => {
    const found = await ordersOf(platformOrder);
    expect(found.map(({ platformState }) => platformState)).toEqual([state]);
    return found[0];
  });
const allocated = async () => (await expectReply(seller.get('/stock?sku=TEE-1'), 200)).items[0].allocated as number;
const intakeEnds = (platformOrder: string) =>
  hub.client.workflow.getHandle(processId('order-intake', { store: shopee.id, platformOrder })).result();

test('one push told ten times at once makes one order and allocates once', async () => {
  const before = await allocated();
  const platformOrder = await anOrder();
  for (let turn = 0; turn < 10; turn += 1) hub.processes.takeInOrder(shopee.id, platformOrder);
  await stateOf(platformOrder, 'READY_TO_SHIP');
  await hub.processes.flush();
  await intakeEnds(platformOrder);
  expect(await ordersOf(platformOrder)).toHaveLength(1);
  expect(await allocated()).toBe(before + 3);
});

test('told late and in any order, ends in the platform’s newest state', async () => {
  const before = await allocated();
  const platformOrder = await anOrder('unpaid');
  hub.processes.takeInOrder(shopee.id, platformOrder);
  await stateOf(platformOrder, 'UNPAID');
  expect(await allocated()).toBe(before);
  await hub.control.advanceOrder('shopee', platformOrder, { state: 'ready_to_ship' });
  await hub.control.advanceOrder('shopee', platformOrder, { state: 'shipped' });
  for (let turn = 0; turn < 3; turn += 1) hub.processes.takeInOrder(shopee.id, platformOrder);
  const order = await stateOf(platformOrder, 'SHIPPED');
  // A state that was read before the newest comes last.
  const row = await hub.store.database.models.orders.findById(order?.id).lean();
  if (!row) throw new Error('no order');
  const late = await hub.store.orders.takeIn({
    account: supplier.id,
    store: shopee.id,
    platform: 'shopee',
    storeName: row.storeName,
    platformOrder,
    state: 'ready_to_ship',
    platformState: 'READY_TO_SHIP',
    version: row.version - 1,
    placedAt: row.placedAt.getTime(),
    currency: row.currency,
    shipping: row.shipping,
    recipient: null,
    lines: [],
  });
  expect(late).toMatchObject({ outcome: 'unchanged', order: row._id });
  expect(await ordersOf(platformOrder)).toMatchObject([
    { status: 'shipped', platformState: 'SHIPPED', lines: [{ quantity: 3 }] },
  ]);
});

test('unmapped when it came, resolves by itself once its listing is connected', async () => {
  const unknown = await hub.control.createShop('shopee', {
    name: 'Shop',
    currency: 'MYR',
    items: [{ title: 'Item', models: [{ sku: 'CODE-OF-NOBODY', price: '1.00', stock: 1 }] }],
  });
  const row = await hub.store.stores.add(supplier.id, { platform: 'shopee', name: 'Second' });
  const authorized = await hub.connectors.shopee?.exchangeCode({ code: unknown.code, shop_id: unknown.shopId });
  if (!authorized) throw new Error('no connector');
  await hub.store.stores.connect(supplier.id, row._id, authorized);
  const itemId = unknown.items[0]?.itemId ?? '';
  const { orderNumber } = await hub.control.createOrder('shopee', {
    shopId: unknown.shopId,
    lines: [{ itemId, modelId: '0', quantity: 2 }],
  });
  await hub.processes.takeInOrderNow(row._id, orderNumber);
  const reasons = async () => (await ordersOf(orderNumber))[0]?.lines.map(({ unmappedReason }) => unmappedReason);
  await eventually(async () => expect(await reasons()).toEqual(['no_such_listing']));
  expect(await ordersOf(orderNumber)).toMatchObject([{ status: 'unmapped', packages: [] }]);
  const connected = await hub.store.stores.byId(row._id);
  const access = hub.store.stores.tokensOf(connected);
  const page = await hub.connectors.shopee?.listListings(
    { shopId: unknown.shopId, accessToken: access?.accessToken ?? '' },
    { cursor: null },
  );
  await hub.store.stores.putListings(connected, page?.listings ?? []);
  const listing = hub.store.stores.listingId(row._id, itemId, '0');
  await expectReply(seller.post('/listings/connect', [{ listing, sku: 'TEE-1' }]), 200);
  await eventually(async () =>
    expect(await ordersOf(orderNumber)).toMatchObject([{ packages: [{ lines: [{ sku: 'TEE-1', quantity: 2 }] }] }]),
  );
  await eventually(async () => expect(await hub.store.inbox.waiting(row._id, orderNumber)).toEqual([]));
  // A wake-up that was lost is the sweep's: the event stands in the inbox.
  expect(await hub.store.database.models.inbox.countDocuments({ store: row._id, status: 'done' })).toBe(1);
});

test('cancelled by the buyer before it was pushed, gives its stock back', async () => {
  const before = await allocated();
  const platformOrder = await anOrder();
  hub.processes.takeInOrder(shopee.id, platformOrder);
  await stateOf(platformOrder, 'READY_TO_SHIP');
  expect(await allocated()).toBe(before + 3);
  await hub.control.advanceOrder('shopee', platformOrder, { state: 'cancelled' });
  hub.processes.takeInOrder(shopee.id, platformOrder);
  await stateOf(platformOrder, 'CANCELLED');
  expect(await allocated()).toBe(before);
});

test('an order that the platform does not know is kept as refused, and nothing waits for it', async () => {
  await hub.store.inbox.put({
    platform: 'shopee',
    shopId: shopee.shopId,
    platformOrder: 'NOSUCHORDER',
    dedupeKey: 'no-such-order',
    body: '{}',
    store: { id: shopee.id, account: supplier.id },
  });
  await hub.processes.takeInOrderNow(shopee.id, 'NOSUCHORDER');
  await intakeEnds('NOSUCHORDER');
  expect(await hub.store.inbox.waiting(shopee.id, 'NOSUCHORDER')).toEqual([]);
  expect(await hub.store.database.models.inbox.findById('shopee:no-such-order').lean()).toMatchObject({
    status: 'refused',
  });
});
