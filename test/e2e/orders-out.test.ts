/** From the push outward over HTTP, with workers, Temporal and sandbox shops behind it. */
import { randomUUID } from 'node:crypto';
import { PDFDocument } from '@cantoo/pdf-lib';
import { newId } from '../../domain/ids';
import { bulkOperationId, orderPushId } from '../../domain/process-ids';
import { labelPdf } from '../../sandbox/marketplaces/documents';
import type { SandboxShipping } from '../../sandbox/marketplaces/state';
import { taskQueueOf } from '../../workflows/ids';
import type { orderPush } from '../../workflows/order-push';
import { breakPushes } from '../support/broken-store';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import {
  type ConnectedStore,
  type Distributor,
  makeDistributor,
  makeOrder,
  makeStore,
  makeSupplier,
  pushEnd,
  type Supplier,
} from '../support/scenario';
import { serveApi } from '../support/served-api';

let hub: Hub;
let api: Awaited<ReturnType<typeof serveApi>>;
let supplier: Supplier;
let distributor: Distributor;
let seller: HttpClient;
let owner: HttpClient;
/** Packages whose push finds the database away. */
const broken = new Set<string>();

beforeAll(async () => {
  hub = await startHub({
    sweepGraceMs: 1,
    wrapStore: breakPushes((pkg) => broken.has(pkg)),
    orderPush: { attempts: 1 },
  });
  supplier = await makeSupplier(hub, { onHand: 1_000, price: 1_000, fees: { stockOut: 50, logistics: 100 } });
  distributor = await makeDistributor(hub, supplier);
  const { store, processes, connectors, logger } = hub;
  api = await serveApi({ store, processes, connectors, logger, checkAnswers: true });
  const http = createHttpClient(api.url);
  owner = http(supplier.key);
  seller = http(distributor.key);
});
afterAll(async () => {
  await api?.close();
  await hub?.stop();
});
afterEach(() => broken.clear());

const sweep = () =>
  hub.client.workflow.execute('sweep', {
    workflowId: newId('job'),
    taskQueue: taskQueueOf(hub.queuePrefix),
    args: [],
  });

/** A synced order. */
async function anOrder(quantity = 1) {
  const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity }]);
  return { pkg, order: pkg.replace(/^pkg(.*)-1$/, 'ord$1') };
}
const ended = (operation: string) =>
  eventually(async () => {
    const body = await expectReply(seller.get(`/operations/${operation}`), 200);
    if (body.status === 'running') throw new Error(`${operation}: ${JSON.stringify(body.progress)}`);
    return body;
  });
const isParked = (pkg: string) =>
  eventually(async () => expect(await hub.store.orders.package(distributor.id, pkg)).toMatchObject({ parked: true }));

describe('a bulk push', () => {
  test('is an operation with progress and a result for each order, blockers in it', async () => {
    const [good, tooMuch, failing] = [await anOrder(), await anOrder(5_000), await anOrder()];
    const line = { title: 'x', quantity: 1, listing: null };
    const unmapped = await hub.store.orders.takeIn({
      ...{ account: distributor.id, store: 'api', platform: 'api', storeName: 'API', platformOrder: newId('command') },
      ...{ state: 'ready_to_ship', platformState: 'R', version: 1, placedAt: 1, currency: 'MYR' },
      ...{ shipping: 'platform_logistics', recipient: null, lines: [{ ...line, line: '1', sku: 'NO-SUCH' }] },
    });
    broken.add(failing.pkg);
    const key = randomUUID();
    const orders = [good.order, tooMuch.order, unmapped.order, 'ord_none', failing.order];
    const first = await seller.post('/orders/push', { orders }, key);
    expect([first.status, first.body.operation.kind, first.body.operation.progress.total]).toEqual([
      202,
      'bulk_push',
      5,
    ]);
    const operation = await ended(first.body.operation.id);
    expect(operation).toMatchObject({ status: 'done', progress: { done: 1, failed: 4, total: 5 } });
    const { results } = operation.result;
    expect(results.map((row: { ok: boolean; order: string; code?: string }) => [row.ok, row.order, row.code])).toEqual([
      [true, good.order, undefined],
      [false, tooMuch.order, 'push_blocked'],
      [false, unmapped.order, 'push_blocked'],
      [false, 'ord_none', 'not_found'],
      [false, failing.order, 'unavailable'],
    ]);
    expect(results[0].packages).toMatchObject(
      [{ package: good.pkg, status: 'pushed', supplyOrder: /^sord_/ }].map((row) => ({
        ...row,
        supplyOrder: expect.stringMatching(row.supplyOrder),
      })),
    );
    expect(results[1].blockers.map(({ code }: { code: string }) => code)).toEqual(['out_of_stock']);
    expect(results[2].blockers).toMatchObject([{ code: 'sku_not_mapped', line: '1' }]);
    // What stands parked says what failed, what is held and how to go on.
    expect(results[4].packages).toMatchObject([
      {
        parked: true,
        failure: { retryable: true, held: expect.any(String) },
        operation: `order-push.${failing.pkg}.1`,
      },
    ]);
    // The same call again answers the same; another one finds what is pushed as it is.
    expect((await seller.post('/orders/push', { orders }, key)).body).toEqual(first.body);
    broken.clear();
    const again = await ended(
      (await expectReply(seller.post('/orders/push', { orders: [good.order, failing.order] }), 202)).operation.id,
    );
    expect(again.progress).toEqual({ done: 2, failed: 0, total: 2 });
    expect(await hub.store.database.models.supplyOrders.countDocuments({ package: good.pkg })).toBe(1);
  });

  test('whose process was ended half-way goes on by the sweep and pushes nothing twice', async () => {
    const made: { pkg: string; order: string }[] = [];
    for (let count = 0; count < 20; count += 1) made.push(await anOrder());
    const body = await expectReply(seller.post('/orders/push', { orders: made.map(({ order }) => order) }), 202);
    const workflowId = bulkOperationId(body.operation.document);
    await eventually(async () => {
      const begun = await hub.store.database.models.packages.countDocuments({
        _id: { $in: made.map(({ pkg }) => pkg) },
        attempt: 1,
      });
      expect(begun).toBeGreaterThan(3);
    });
    await hub.client.workflow
      .getHandle(workflowId)
      .terminate('by hand')
      .catch(() => {});
    await sweep();
    const operation = await ended(body.operation.id);
    expect(operation.progress).toEqual({ done: 20, failed: 0, total: 20 });
    const rows = await hub.store.database.models.packages.find({ _id: { $in: made.map(({ pkg }) => pkg) } }).lean();
    expect(rows.map(({ status, attempt }) => [status, attempt])).toEqual(made.map(() => ['pushed', 1]));
    await expectAllInOrder(hub);
  });

  test('names each order once, and only so many', async () => {
    const { order } = await anOrder();
    for (const orders of [[], [order, order], Array.from({ length: 201 }, (_, index) => `ord_${index}`)])
      expect((await seller.post('/orders/push', { orders })).status).toBe(422);
  });
});

describe('many parked operations', () => {
  test('are retried in one call, or given up, with a result for each', async () => {
    const made = [await anOrder(), await anOrder(), await anOrder()];
    for (const { pkg, order } of made) {
      broken.add(pkg);
      await expectReply(seller.post(`/orders/${order}/push`), 202);
    }
    for (const { pkg } of made) await isParked(pkg);
    const operationOf = (index: number) => `order-push.${made[index]?.pkg}.1`;
    broken.delete(made[0]?.pkg ?? '');
    const asked = { operations: [operationOf(0), operationOf(1), 'order-push.none.1'] };
    const retried = await ended((await expectReply(seller.post('/operations/retry', asked), 202)).operation.id);
    expect(retried).toMatchObject({ kind: 'bulk_retry', status: 'done', progress: { done: 2, failed: 1, total: 3 } });
    expect(retried.result.results).toMatchObject([
      { ok: true, operation: operationOf(0) },
      { ok: true, operation: operationOf(1) },
      { ok: false, operation: 'order-push.none.1', code: 'not_found' },
    ]);
    const now = (index: number) => hub.store.orders.package(distributor.id, made[index]?.pkg ?? '');
    await eventually(async () => expect(await now(0)).toMatchObject({ status: 'pushed' }));
    await isParked(made[1]?.pkg ?? '');

    const rest = { operations: [operationOf(0), operationOf(1), operationOf(2)] };
    const given = await ended((await expectReply(seller.post('/operations/abandon', rest), 202)).operation.id);
    expect(given.result.results).toMatchObject([
      { ok: false, code: 'operation_not_parked' },
      { ok: true },
      { ok: true },
    ]);
    for (const index of [1, 2])
      await eventually(async () =>
        expect(await now(index)).toMatchObject({
          status: 'push_failed',
          parked: false,
          failure: { code: 'abandoned', detail: 'an operator abandoned it', held: expect.any(String) },
        }),
      );
    expect(await hub.client.workflow.getHandle(orderPushId(made[2]?.pkg ?? '', 1)).result()).toBe('abandoned');
  });

  test('one that nobody decides about in time gives itself up, says so, and can be pushed again', async () => {
    const { pkg, order } = await anOrder();
    broken.add(pkg);
    await hub.store.orders.beginPush(distributor.id, pkg);
    // As the API begins it, with less time to decide in.
    const budget = { attempts: 1, firstWaitMs: 10, longestWaitMs: 10 };
    await hub.client.workflow.start<typeof orderPush>('orderPush', {
      ...{ workflowId: orderPushId(pkg, 1), taskQueue: taskQueueOf(hub.queuePrefix) },
      args: [{ package: pkg, attempt: 1, supplier: supplier.id, budget, parkedMs: 50 }],
    });
    const shown = async () => (await expectReply(seller.get(`/orders/${order}`), 200)).packages[0];
    await eventually(async () =>
      expect(await shown()).toMatchObject({
        status: 'push_failed',
        failure: { code: 'abandoned', detail: 'nobody decided in time', held: expect.any(String), retryable: true },
      }),
    );
    expect(await expectReply(seller.get(`/operations/order-push.${pkg}.1`), 200)).toMatchObject({
      status: 'abandoned',
      error: { code: 'abandoned', detail: 'nobody decided in time' },
    });
    const told = (await expectReply(seller.get('/notifications?limit=200'), 200)).items.filter(
      (row: { event: string; document: string }) => row.event === 'order_push_failed' && row.document === pkg,
    );
    expect(told.map(({ detail }: { detail: string }) => detail)).toContain('nobody decided in time');
    expect(told).toHaveLength(2);
    broken.delete(pkg);
    await expectReply(seller.post(`/orders/${order}/push`), 202);
    await eventually(async () => expect(await shown()).toMatchObject({ status: 'pushed', attempt: 2 }));
  });

  test('pushed again, one goes on with the same attempt, checked anew inside; refused there, nothing is held, and the next attempt is another', async () => {
    const { pkg, order } = await anOrder(2);
    const shown = async () => (await expectReply(seller.get(`/orders/${order}`), 200)).packages[0];
    const stock = async () => (await expectReply(owner.get('/stock?sku=TEE-1'), 200)).items[0];
    const billing = async () =>
      (await expectReply(seller.get(`/distributor/suppliers/${distributor.partnership}/reconciliation`), 200)).billing;
    const quotas = async () =>
      Promise.all([owner, seller].map(async (call) => (await expectReply(call.get('/account'), 200)).ordersThisMonth));
    const books = async () => ({ stock: await stock(), billing: await billing(), quotas: await quotas() });
    const count = (quantity: number) =>
      expectReply(
        owner.post('/stock/adjustments', {
          ...{ warehouse: supplier.warehouse, sku: 'TEE-1', kind: 'count', quantity, reason: 'count' },
        }),
        200,
      );
    const pushIt = () => expectReply(seller.post(`/orders/${order}/push`), 202);
    const there = await stock();
    broken.add(pkg);
    expect((await pushIt()).operations).toMatchObject([{ id: `order-push.${pkg}.1` }]);
    await eventually(async () =>
      expect(await shown()).toMatchObject({
        ...{ status: 'push_failed', retryable: true, attempt: 1, supplyOrder: null },
        failure: { code: 'unavailable', held: expect.any(String), retryable: true, hint: expect.any(String) },
      }),
    );
    const handle = hub.client.workflow.getHandle(orderPushId(pkg, 1));
    expect((await handle.describe()).status.name).toBe('RUNNING');
    await count(there.allocated + 1);
    const before = await books();
    broken.delete(pkg);
    expect((await pushIt()).operations).toMatchObject([{ id: `order-push.${pkg}.1` }]);
    await eventually(async () =>
      expect(await shown()).toMatchObject({
        ...{ status: 'push_failed', attempt: 1, supplyOrder: null, charge: null },
        blockers: [{ code: 'out_of_stock', needed: 2, available: 1 }],
      }),
    );
    expect(await handle.result()).toBe('refused');
    expect(await expectReply(seller.get(`/operations/order-push.${pkg}.1`), 200)).toMatchObject({ status: 'failed' });
    expect(await books()).toEqual(before);
    await count(there.onHand);

    // All or nothing: now all of it, once, however many ask at once.
    const answers = await Promise.all(Array.from({ length: 5 }, () => seller.post(`/orders/${order}/push`)));
    for (const { status, body } of answers) {
      expect([200, 202]).toContain(status);
      expect(body.operations).toMatchObject([{ id: `order-push.${pkg}.2` }]);
    }
    await eventually(async () => expect(await shown()).toMatchObject({ status: 'pushed', attempt: 2 }));
    const after = await books();
    expect(after.stock).toMatchObject({ onHand: there.onHand, allocated: there.allocated + 2 });
    expect(after.quotas).toEqual(before.quotas.map((used) => used + 1));
    // 2 × 10.00 and the stock-out charge.
    expect(Number(after.billing.balance.amount) - Number(before.billing.balance.amount)).toBeCloseTo(-20.5, 5);
    const whole = await expectReply(seller.post(`/orders/${order}/push`), 200);
    expect(whole.operation).toMatchObject({ id: `order-push.${pkg}.2`, status: 'done' });
    expect(await books()).toEqual(after);
  });

  test('one is retried by the button of the Temporal UI, where it is seen to be parked', async () => {
    const { pkg, order } = await anOrder();
    broken.add(pkg);
    await expectReply(seller.post(`/orders/${order}/push`), 202);
    await isParked(pkg);
    const handle = hub.client.workflow.getHandle(orderPushId(pkg, 1));
    expect((await handle.describe()).searchAttributes?.HubStatus).toEqual(['parked']);
    const { currentDetails } = (await handle.query('__temporal_workflow_metadata')) as { currentDetails: string };
    expect(currentDetails).toMatch(/\*\*retry\*\*.+\*\*abandon\*\*/);
    broken.delete(pkg);
    await handle.signal('retry', 'operator on duty');
    await eventually(async () =>
      expect((await expectReply(seller.get(`/orders/${order}`), 200)).packages).toMatchObject([
        { status: 'pushed', attempt: 1, failure: null },
      ]),
    );
  });

  test('want the permission for each', async () => {
    const key = (await expectReply(owner.post('/api-keys', { name: 'orders alone', permissions: ['orders'] }), 201))
      .key;
    const clerk = createHttpClient(api.url)(key);
    expect((await clerk.post('/operations/abandon', { operations: ['x'] })).status).toBe(403);
    expect((await clerk.post('/operations/retry', { operations: ['x'] })).status).toBe(202);
  });
});

describe('labels', () => {
  const shops = {} as Record<'shopee' | 'lazada', ConnectedStore>;
  beforeAll(async () => {
    for (const platform of ['shopee', 'lazada'] as const)
      shops[platform] = await makeStore(hub, distributor.id, platform, supplier.skus);
  });

  /** A buyer's order at a platform, pushed. */
  async function handedOver(platform: 'shopee' | 'lazada', shipping: SandboxShipping) {
    const { items } = await hub.control.shop(platform, shops[platform].shopId);
    const line = { itemId: items[0]?.itemId ?? '', modelId: items[0]?.models[0]?.modelId ?? '', quantity: 1 };
    const { orderNumber } = await hub.control.createOrder(platform, {
      ...{ shopId: shops[platform].shopId, lines: [line], shipping },
    });
    hub.processes.takeInOrder(shops[platform].id, orderNumber);
    const row = await eventually(async () => {
      const order = await hub.store.database.models.orders.findOne({ platformOrder: orderNumber }).lean();
      if (!order?.packages[0]) throw new Error('not taken in');
      return order;
    });
    return { orderNumber, ...(await pushedOf(row._id, row.packages[0] ?? '')) };
  }
  async function pushedOf(order: string, pkg: string) {
    await expectReply(seller.post(`/orders/${order}/push`), 202);
    const { supplyOrder } = await pushEnd(hub, distributor.id, pkg);
    if (supplyOrder === null) throw new Error('not pushed');
    return { order, pkg, supplyOrder };
  }
  async function print(key: string, supplyOrders: readonly string[]) {
    const response = await fetch(`${api.url}/v1/supply-orders/labels`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() },
      body: JSON.stringify({ supplyOrders }),
    });
    return { response, bytes: Buffer.from(await response.arrayBuffer()) };
  }
  const refusal = ({ response, bytes }: Awaited<ReturnType<typeof print>>) => {
    const body = JSON.parse(bytes.toString()) as { code: string; errors?: { pointer: string; code: string }[] };
    return [response.status, body.code, ...(body.errors ?? []).map(({ pointer, code }) => `${pointer} ${code}`)];
  };

  test('of any mix come as one PDF; what can not be had is named in it', async () => {
    const shopee = await handedOver('shopee', 'platform_logistics');
    const lazada = await handedOver('lazada', 'platform_logistics');
    const own = await handedOver('shopee', 'self_arranged');
    const third = await handedOver('shopee', 'three_pl');
    const byHand = await handedOver('shopee', 'self_delivery');
    // Who arranges the carrier reads the recipient; to others it is masked.
    for (const [{ supplyOrder, order }, readable] of [
      [shopee, false],
      [third, false],
      [own, true],
      [byHand, true],
    ] as const) {
      const { recipient } = await expectReply(seller.get(`/orders/${order}`), 200);
      const hidden = (text: string) => `${[...text][0]}***`;
      expect((await expectReply(owner.get(`/supply-orders/${supplyOrder}`), 200)).recipient).toEqual(
        readable
          ? recipient
          : { name: hidden(recipient.name), phone: hidden(recipient.phone), address: hidden(recipient.address) },
      );
    }
    const unpacked = await handedOver('lazada', 'platform_logistics');
    const parts = [shopee, lazada, own, byHand].map(({ supplyOrder }) => supplyOrder);
    const whole = await print(supplier.key, parts);
    if (whole.response.status !== 200) throw new Error(whole.bytes.toString());
    expect(whole.response.headers.get('content-type')).toBe('application/pdf');
    expect(whole.response.headers.get('labels-missing')).toBe('0');
    const sizes = (await PDFDocument.load(whole.bytes)).getPages().map((page) => page.getSize());
    expect(sizes).toHaveLength(4);
    // Lazada makes a label of what is packed; the shipment finds that done.
    expect(await hub.control.order('lazada', lazada.orderNumber)).toMatchObject({ shipments: [{ left: false }] });
    const mixed = await print(supplier.key, [own.supplyOrder, third.supplyOrder]);
    expect(mixed.response.headers.get('labels-missing')).toBe('1');
    // A page that names it, and the one that could be had.
    expect((await PDFDocument.load(mixed.bytes)).getPageCount()).toBe(2);
    expect(refusal(await print(supplier.key, [third.supplyOrder]))).toEqual([
      422,
      'labels_unavailable',
      '/supplyOrders/0 label_not_given',
    ]);
    expect(refusal(await print(distributor.key, [own.supplyOrder]))).toEqual([404, 'not_found']);

    // The platform's own is passed on as it is.
    const alone = await print(supplier.key, [shopee.supplyOrder]);
    expect(alone.bytes.equals(labelPdf(['Shopee', shopee.orderNumber]))).toBe(true);

    // Also of a cancelled one.
    for (const { order } of [own, lazada, unpacked]) await expectReply(seller.post(`/orders/${order}/recall`), 200);
    for (const { supplyOrder } of [own, lazada])
      expect((await print(supplier.key, [supplyOrder])).response.status).toBe(200);
    // What is not to leave is not packed for its label: Lazada cancels nothing that is packed.
    const refused = await print(supplier.key, [unpacked.supplyOrder]);
    expect(refusal(refused)).toEqual([422, 'labels_unavailable', '/supplyOrders/0 platform_rejected']);
    expect(refused.bytes.toString()).toContain('never packed');
    expect((await hub.control.order('lazada', unpacked.orderNumber)).shipments).toEqual([]);
    await hub.control.advanceOrder('shopee', shopee.orderNumber, { state: 'cancelled', send: false });
    await hub.control.advanceOrder('lazada', lazada.orderNumber, { state: 'cancelled', send: false });
    // Of what is cancelled there the platforms give none any more: it is the one that was printed.
    const again = await print(supplier.key, [shopee.supplyOrder]);
    expect(again.bytes.equals(alone.bytes)).toBe(true);
    expect((await print(supplier.key, [lazada.supplyOrder])).response.status).toBe(200);
    const { models } = hub.store.database;
    const rows = await models.supplyOrders.find({ _id: { $in: [shopee.supplyOrder, lazada.supplyOrder] } }).lean();
    const files = rows.map(({ printed }) => printed?.file);
    // Printed several times, kept once, and claimed.
    expect(await models.files.find({ document: { $in: rows.map(({ _id }) => _id) } }, { _id: 1 }).lean()).toHaveLength(
      2,
    );
    expect(await models.files.countDocuments({ _id: { $in: files } as never })).toBe(2);
    // One that was never printed is named.
    const never = await handedOver('shopee', 'platform_logistics');
    await hub.control.advanceOrder('shopee', never.orderNumber, { state: 'cancelled', send: false });
    expect(refusal(await print(supplier.key, [never.supplyOrder]))).toEqual([
      422,
      'labels_unavailable',
      '/supplyOrders/0 platform_rejected',
    ]);
  });

  /** A PDF of so many pages of that width. */
  async function aPdf(width: number, pages = 1) {
    const document = await PDFDocument.create();
    for (let page = 0; page < pages; page += 1) document.addPage([width, 300]);
    return Buffer.from(await document.save());
  }
  async function handIn(key: string, order: string, pkg: string, file: Buffer, type = 'application/pdf') {
    const response = await fetch(`${api.url}/v1/orders/${order}/packages/${pkg}/label`, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': type },
      body: new Uint8Array(file),
    });
    const body = (await response.json()) as { code?: string; label?: { pages: number } };
    return [response.status, body.code ?? body.label?.pages];
  }

  /** On Temu what the supplier would label elsewhere has the distributor's label, and a masked recipient. */
  async function expectTemuPassesThrough() {
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 1 }], {
      ...{ platform: 'temu', shipping: 'self_delivery' },
    });
    const temu = await pushedOf(pkg.replace(/^pkg(.*)-1$/, 'ord$1'), pkg);
    expect((await expectReply(owner.get(`/supply-orders/${temu.supplyOrder}`), 200)).recipient.name).toBe('R***');
    expect(refusal(await print(supplier.key, [temu.supplyOrder]))[2]).toBe('/supplyOrders/0 label_not_given');
    const file = await aPdf(77);
    expect(await handIn(distributor.key, temu.order, temu.pkg, file)).toEqual([200, 1]);
    expect((await print(supplier.key, [temu.supplyOrder])).bytes.equals(file)).toBe(true);
    expect((await seller.delete(`/orders/${temu.order}/packages/${temu.pkg}/label`)).status).toBe(204);
  }

  test('that a distributor hands in are passed through, replaced until shipped, sealed, and gone at the end', async () => {
    const { files, fileChunks } = hub.store.database.models;
    const third = await handedOver('shopee', 'three_pl');
    const own = await handedOver('shopee', 'self_arranged');
    const give = (file: Buffer, type?: string) => handIn(distributor.key, third.order, third.pkg, file, type);
    expect(await give(Buffer.from('%PDF-1.7 but no more'))).toEqual([422, 'label_unreadable']);
    expect(await give(await aPdf(100, 21))).toEqual([422, 'label_unreadable']);
    expect(await give(Buffer.alloc(5 * 1024 * 1024 + 1))).toEqual([413, 'body_too_large']);
    expect(await give(await aPdf(100), 'image/png')).toEqual([415, 'unsupported_media_type']);
    expect(await handIn(distributor.key, own.order, own.pkg, await aPdf(100))).toEqual([409, 'label_not_taken']);
    await expectTemuPassesThrough();
    for (const [key, order] of [
      [supplier.key, third.order],
      [distributor.key, own.order],
    ] as const)
      expect(await handIn(key, order, third.pkg, await aPdf(100))).toEqual([404, 'not_found']);
    const kept = () => files.find({ account: distributor.id }).lean();
    expect(await kept()).toEqual([]);

    expect(await give(await aPdf(100))).toEqual([200, 1]);
    const marked = await aPdf(123, 2);
    expect(await give(marked)).toEqual([200, 2]);
    expect(await kept()).toMatchObject([{ document: third.pkg, bytes: marked.length }]);
    const chunks = await fileChunks.find().lean();
    expect(chunks.some(({ body }) => Buffer.from(body.buffer).includes('%PDF'))).toBe(false);
    const both = await print(supplier.key, [own.supplyOrder, third.supplyOrder]);
    expect(both.response.headers.get('labels-missing')).toBe('0');
    const widths = (await PDFDocument.load(both.bytes)).getPages().map((page) => page.getWidth());
    expect(widths.slice(1)).toEqual([123, 123]);

    // Taken back, and handed in again.
    const path = `/orders/${third.order}/packages/${third.pkg}/label`;
    for (let time = 0; time < 2; time += 1) expect((await seller.delete(path)).status).toBe(204);
    expect(await kept()).toEqual([]);
    expect(refusal(await print(supplier.key, [third.supplyOrder]))[2]).toBe('/supplyOrders/0 label_not_given');
    expect(await give(marked)).toEqual([200, 2]);
    const move = (what: string, body?: object) =>
      expectReply(owner.post(`/supply-orders/${third.supplyOrder}/${what}`, body), 200);
    for (const what of ['pack', 'ready']) await move(what);
    await move('ship', { trackingNumber: 'T-1' });
    expect(await give(await aPdf(100))).toEqual([409, 'invalid_transition']);
    expect((await print(supplier.key, [third.supplyOrder])).response.status).toBe(200);
    await move('complete');
    expect((await expectReply(seller.get(`/orders/${third.order}`), 200)).packages).toMatchObject([{ label: null }]);
    await sweep();
    expect(await kept()).toEqual([]);
  });

  test('of a name that the fonts lack is named, not printed wrongly', async () => {
    const { order } = await hub.store.orders.takeIn({
      ...{ account: distributor.id, store: 'api', platform: 'api', storeName: 'API', platformOrder: newId('command') },
      ...{ state: 'ready_to_ship', platformState: 'R', version: 1, placedAt: 1, currency: 'MYR' },
      ...{ shipping: 'self_arranged', recipient: { name: 'ဦးအောင်', phone: '1', address: 'Jalan 1' } },
      lines: [{ line: '1', title: 'x', quantity: 1, listing: null, sku: 'TEE-1' }],
    });
    const { supplyOrder } = await pushedOf(order, order.replace(/^ord(.*)$/, 'pkg$1-1'));
    expect(refusal(await print(supplier.key, [supplyOrder]))).toEqual([
      422,
      'labels_unavailable',
      '/supplyOrders/0 label_unprintable',
    ]);
  });
});
