/** Pushes into a warehouse that somebody else runs, over HTTP, with its operator faked at the interface that providers implement. */
import { newId } from '../../domain/ids';
import { operationIdOf, orderPushId, orderRecallId } from '../../domain/process-ids';
import { supplyOrderIdOf } from '../../store/repositories/outbound-pushes';
import { taskQueueOf } from '../../workflows/ids';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder, findDocumentProblems } from '../support/invariants';
import { type Distributor, makeDistributor, makeOrder, makeSupplier, type Supplier } from '../support/scenario';
import { serveApi } from '../support/served-api';
import { createFakeWarehouse } from '../support/warehouse';

const ORDER = [{ sku: 'TEE-1', quantity: 3 }];
const CHARGE = 3 * 1_000 + 50;

const warehouse = createFakeWarehouse();
let hub: Hub;
let api: Awaited<ReturnType<typeof serveApi>>;
let supplier: Supplier;
let distributor: Distributor;
let atSupplier: HttpClient;
let atDistributor: HttpClient;

beforeAll(async () => {
  hub = await startHub({ sweepGraceMs: 1, outbound: warehouse, orderPush: { attempts: 2 } });
  api = await serveApi(hub);
  supplier = await makeSupplier(hub, { onHand: 1_000, price: 1_000, fees: { stockOut: 50, logistics: 0 } });
  distributor = await makeDistributor(hub, supplier, { creditLimit: 1_000_000 });
  await hub.store.database.models.warehouses.updateOne({ _id: supplier.warehouse }, { $set: { kind: 'third_party' } });
  atSupplier = createHttpClient(api.url)(supplier.key);
  atDistributor = createHttpClient(api.url)(distributor.key);
});
afterEach(() => warehouse.reset());
afterAll(async () => {
  await api?.close();
  await hub?.stop();
});

const orderIdOf = (pkg: string) => pkg.replace(/^pkg/, 'ord').replace(/-\d+$/, '');
const anOrder = () => makeOrder(hub, distributor.id, ORDER, { shipping: 'self_arranged' });
const start = (pkg: string) => atDistributor.post(`/orders/${orderIdOf(pkg)}/push`);
async function begun(): Promise<string> {
  const pkg = await anOrder();
  await expectReply(start(pkg), 202);
  return pkg;
}
const packageNow = (pkg: string) => hub.store.orders.package(distributor.id, pkg);
const supplyOrderNow = async (id: string) => expectReply(atSupplier.get(`/supply-orders/${id}`), 200);
const operationNow = async (workflowId: string) =>
  expectReply(atDistributor.get(`/operations/${operationIdOf(workflowId)}`), 200);
const becomes = (pkg: string, shown: Record<string, unknown>) =>
  eventually(async () => expect(await packageNow(pkg)).toMatchObject(shown));
const endOf = (workflowId: string) => hub.client.workflow.getHandle(workflowId).result();
const callsOf = (pkg: string, attempt = 1) =>
  warehouse.calls.flatMap((call) => (call.endsWith(supplyOrderIdOf(pkg, attempt)) ? call.split(' ')[0] : []));
const thereOf = (pkg: string, attempt = 1) => warehouse.orders.get(supplyOrderIdOf(pkg, attempt));
const sweep = () =>
  hub.client.workflow.execute('sweep', { workflowId: newId('job'), taskQueue: taskQueueOf(hub.queuePrefix), args: [] });
const recall = (pkg: string) => atDistributor.post(`/orders/${orderIdOf(pkg)}/recall`);
const quotaOf = async (account: string) =>
  (await hub.store.database.models.quotas.find({ account }).lean()).reduce((sum, { used }) => sum + used, 0);

/** All that a push changes, once it is at rest. */
async function books() {
  await expectAllInOrder(hub);
  const { models } = hub.store.database;
  const stock = await models.stock.find({}, { followers: 0 }).sort({ _id: 1 }).lean();
  const { balance } = await hub.store.billing.account(null, distributor.partnership);
  return { stock, balance, quotas: [await quotaOf(supplier.id), await quotaOf(distributor.id)] };
}
/** As if the push had never been, but for what is written of it. */
async function expectUndone(pkg: string, before: Awaited<ReturnType<typeof books>>, attempt = 1) {
  expect(await books()).toEqual(before);
  expect((await hub.store.database.models.records.find({ package: pkg }).sort({ number: -1 }).lean())[0]).toMatchObject(
    {
      _id: `push_reversal/${pkg}/${attempt}`,
      type: 'push_reversal',
      amount: CHARGE,
      document: supplyOrderIdOf(pkg, attempt),
      lines: [expect.anything(), expect.anything()],
    },
  );
  expect(await packageNow(pkg)).toMatchObject({ supplyOrder: null, outbound: null, allocated: true, parked: false });
  expect(await supplyOrderNow(supplyOrderIdOf(pkg, attempt))).toMatchObject({ status: 'cancelled' });
  const at = thereOf(pkg, attempt);
  expect(at === undefined || at.cancelled).toBe(true);
}

test('is pushed once the operator took the outbound order, and nobody moves it before', async () => {
  let meanwhile: { shown: unknown; moved: unknown; problems: readonly string[] } | undefined;
  warehouse.onCreated = async (id) => {
    const moved = await atSupplier.post(`/supply-orders/${id}/pack`);
    const { body } = await atSupplier.get(`/supply-orders/${id}`);
    const problems = (await findDocumentProblems(hub.store)).filter((line) => /allocated|balance|journal/.test(line));
    meanwhile = { shown: body, moved: moved.body, problems };
  };
  const pkg = await begun();
  const id = supplyOrderIdOf(pkg, 1);
  await becomes(pkg, { status: 'pushed', supplyOrder: id, outbound: null });
  expect(meanwhile).toMatchObject({
    shown: { status: 'new', outbound: { status: 'creating', reference: null } },
    moved: { code: 'invalid_transition', detail: expect.stringContaining('has not taken its outbound order') },
    problems: [],
  });
  expect(callsOf(pkg)).toEqual(['create']);
  expect(thereOf(pkg)?.order).toEqual({
    supplyOrder: id,
    warehouse: supplier.warehouse,
    shipping: 'self_arranged',
    platform: 'shopee',
    carrier: null,
    lines: ORDER,
    recipient: { name: 'Recipient Name', phone: '0123456789', address: 'Some Street 1' },
  });
  expect(await supplyOrderNow(id)).toMatchObject({ outbound: { status: 'accepted', reference: `OUT-${id}` } });
  expect(await operationNow(orderPushId(pkg, 1))).toMatchObject({ status: 'done', result: { supplyOrder: id } });
  // Pushed again, it answers with what there is.
  await expectReply(start(pkg), 200);
  expect(callsOf(pkg)).toEqual(['create']);
  await expectReply(atSupplier.post(`/supply-orders/${id}/pack`), 200);
  await expectAllInOrder(hub);
});

test('refused for good, it is undone exactly, with the operator’s words; pushed again it is a new attempt', async () => {
  const { pkg, before } = await anOrderAtRest();
  warehouse.faults.create = [{ refused: '50026: not enough stock' }];
  await expectReply(start(pkg), 202);
  await becomes(pkg, {
    status: 'push_failed',
    failure: { code: 'outbound_refused', detail: '50026: not enough stock', retryable: false },
  });
  expect(await endOf(orderPushId(pkg, 1))).toBe('refused');
  expect(await operationNow(orderPushId(pkg, 1))).toMatchObject({
    status: 'failed',
    error: { code: 'outbound_refused', detail: '50026: not enough stock' },
  });
  await expectUndone(pkg, before);
  // What is repeated changes nothing.
  const again = { created: false, detail: 'other words' } as const;
  expect(await hub.store.orders.outbound.settle(pkg, 1, again)).toMatchObject({ outcome: 'refused' });
  expect(await hub.store.orders.outbound.settleWithdrawal(pkg, 1, { cancelled: true })).toMatchObject({
    outcome: 'refused',
  });
  await expectUndone(pkg, before);
  expect(await verified()).toEqual({ ok: true, discrepancies: [] });
  await expectReply(start(pkg), 202);
  await becomes(pkg, { status: 'pushed', attempt: 2, supplyOrder: supplyOrderIdOf(pkg, 2) });
  expect(await hub.store.orders.outbound.settle(pkg, 1, again)).toMatchObject({ outcome: 'refused' });
  await expectAllInOrder(hub);
});

/** A synced order, and the books before its push. */
async function anOrderAtRest() {
  const pkg = await anOrder();
  return { pkg, before: await books() };
}

/** What `verify` finds. */
async function verified() {
  const { verification } = await expectReply(atSupplier.post('/billing/verify', {}), 202);
  return eventually(async () => {
    const { status, ok, discrepancies } = await expectReply(
      atSupplier.get(`/billing/verifications/${verification.id}`),
      200,
    );
    if (status === 'running') throw new Error('still running');
    return { ok, discrepancies };
  });
}

test('an answer that was lost is asked for, never created again', async () => {
  warehouse.faults.create = ['lost'];
  const pkg = await begun();
  await becomes(pkg, { status: 'pushed' });
  expect(callsOf(pkg)).toEqual(['create', 'get']);
  // So does whoever comes after a workflow that was lost in the middle of it.
  warehouse.onCreated = async (id) => {
    const [lost] = [...warehouse.orders.values()].filter(({ order }) => order.supplyOrder === id);
    const of = lost?.order.supplyOrder.replace(/^sord/, 'pkg').replace(/-1$/, '') ?? '';
    await hub.client.workflow.getHandle(orderPushId(of, 1)).terminate('by hand');
  };
  const next = await begun();
  await eventually(() => expect(callsOf(next)).toEqual(['create']));
  await eventually(async () =>
    expect((await hub.client.workflow.getHandle(orderPushId(next, 1)).describe()).status.name).toBe('TERMINATED'),
  );
  expect(await packageNow(next)).toMatchObject({ status: 'pushing', supplyOrder: null });
  await eventually(async () => {
    await sweep();
    expect(await packageNow(next)).toMatchObject({ status: 'pushed', attempt: 1 });
  });
  expect(callsOf(next)).toEqual(['create', 'get']);
  await expectAllInOrder(hub);
});

test('an operator that is down: parked with what is held, and a retry finishes it', async () => {
  warehouse.isDown = true;
  const pkg = await begun();
  await becomes(pkg, {
    status: 'push_failed',
    parked: true,
    failure: { retryable: true, held: expect.stringContaining('the charge') },
  });
  expect(await operationNow(orderPushId(pkg, 1))).toMatchObject({ status: 'parked' });
  expect((await hub.store.database.models.records.find({ package: pkg }).lean()).map(({ type }) => type)).toEqual([
    'order_push',
  ]);
  expect(await verified()).toEqual({ ok: true, discrepancies: [] });
  warehouse.isDown = false;
  await expectReply(atDistributor.post(`/operations/${operationIdOf(orderPushId(pkg, 1))}/retry`), 202);
  await becomes(pkg, { status: 'pushed', attempt: 1, parked: false });
  expect(callsOf(pkg).slice(-2)).toEqual(['get', 'create']);
  await expectAllInOrder(hub);
});

test('abandoned, it is cancelled there before it is undone; what is kept there is pushed', async () => {
  const { pkg, before } = await anOrderAtRest();
  // It was created, and nobody knows.
  warehouse.faults.create = ['lost'];
  warehouse.faults.get = ['down', 'down'];
  await expectReply(start(pkg), 202);
  await becomes(pkg, { parked: true });
  warehouse.faults.get = [];
  warehouse.faults.cancel = ['lost'];
  await expectReply(atDistributor.post(`/operations/${operationIdOf(orderPushId(pkg, 1))}/abandon`), 202);
  await becomes(pkg, { status: 'push_failed', failure: { code: 'abandoned' } });
  expect(thereOf(pkg)).toMatchObject({ cancelled: true });
  expect(await operationNow(orderPushId(pkg, 1))).toMatchObject({ status: 'abandoned' });
  await expectUndone(pkg, before);

  warehouse.faults.create = ['lost'];
  warehouse.faults.get = ['down'];
  const kept = await begun();
  await becomes(kept, { parked: true });
  warehouse.faults.cancel = [{ refused: '50018: picked' }];
  await expectReply(atDistributor.post(`/operations/${operationIdOf(orderPushId(kept, 1))}/abandon`), 202);
  await becomes(kept, { status: 'pushed', parked: false });
  expect(await endOf(orderPushId(kept, 1))).toBe('pushed');
  expect(thereOf(kept)).toMatchObject({ cancelled: false });
  await expectAllInOrder(hub);
});

test('a recall meanwhile takes the push back at the operator’s, or fails with its words', async () => {
  const { pkg, before } = await anOrderAtRest();
  let release: () => void = () => {};
  const hold = () => {
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    warehouse.onCreated = () => gate;
  };
  hold();
  await expectReply(start(pkg), 202);
  await eventually(() => expect(thereOf(pkg)).toBeDefined());
  await expectReply(recall(pkg), 202);
  // Nothing is assumed: what is being created there is waited for, then cancelled.
  expect(await packageNow(pkg)).toMatchObject({ status: 'pushing', recall: { open: true } });
  expect(await expectReply(atDistributor.get(`/orders/${orderIdOf(pkg)}`), 200)).toMatchObject({
    ...{ status: 'pushing', packages: [{ status: 'pushing', supplyOrder: null }] },
  });
  release();
  await becomes(pkg, { status: 'push_failed', recall: { state: 'recalled' } });
  expect(await endOf(orderRecallId(pkg, 1))).toBe('recalled');
  expect(await operationNow(orderRecallId(pkg, 1))).toMatchObject({ status: 'done' });
  await expectUndone(pkg, before);

  hold();
  const kept = await begun();
  await eventually(() => expect(thereOf(kept)).toBeDefined());
  await expectReply(recall(kept), 202);
  warehouse.faults.cancel = [{ refused: '50018: picked' }];
  release();
  await becomes(kept, { status: 'pushed', recall: { state: 'failed', detail: '50018: picked' } });
  expect(await endOf(orderRecallId(kept, 1))).toBe('failed');
  await expectAllInOrder(hub);
});

test('a recall of a parked one ends it, also where the order was cancelled', async () => {
  warehouse.isDown = true;
  const pkg = await begun();
  await becomes(pkg, { parked: true });
  await expectReply(recall(pkg), 202);
  await becomes(pkg, { status: 'pushing', parked: false });
  warehouse.isDown = false;
  await becomes(pkg, { status: 'push_failed', recall: { state: 'recalled' } });
  expect(await endOf(orderPushId(pkg, 1))).toBe('abandoned');
  expect(await endOf(orderRecallId(pkg, 1))).toBe('recalled');

  warehouse.isDown = true;
  const cancelled = await begun();
  await becomes(cancelled, { parked: true });
  await expectReply(atDistributor.post(`/orders/${orderIdOf(cancelled)}/cancel`, {}), 202);
  warehouse.isDown = false;
  await becomes(cancelled, { status: 'cancelled', allocated: false });

  // Of an order that left without it: undone, nothing is held for it either.
  warehouse.isDown = true;
  const { pkg: left, before } = await anOrderAtRest();
  await expectReply(start(left), 202);
  await becomes(left, { parked: true });
  const order = await hub.store.database.models.orders.findById(orderIdOf(left)).lean();
  if (!order) throw new Error('no order');
  const { account, store, platform, storeName, platformOrder, version, currency, shipping } = order;
  await hub.store.orders.takeIn({
    ...{ account, store, platform, storeName, platformOrder, currency, shipping, recipient: null, lines: [] },
    ...{ state: 'shipped', platformState: 'SHIPPED', version: version + 1, placedAt: order.placedAt.getTime() },
  });
  await expectReply(atDistributor.post(`/operations/${operationIdOf(orderPushId(left, 1))}/abandon`), 202);
  await becomes(left, { status: 'pushing' });
  warehouse.isDown = false;
  await becomes(left, { status: 'shipped', allocated: false, supplyOrder: null, outbound: null });
  const [view] = (await expectReply(atDistributor.get('/stock?sku=TEE-1'), 200)).items;
  const held = before.stock.find(({ _id }) => _id.startsWith(view.warehouse))?.allocated ?? 0;
  expect(view.allocated).toBe(held - 3);
  await expectAllInOrder(hub);
});

test('many at once with every fault: the books agree', async () => {
  const packages = await Promise.all(Array.from({ length: 8 }, anOrder));
  warehouse.faults.create = ['lost', { refused: 'no' }, 'down', 'lost', { refused: 'no' }, 'down', 'down'];
  await Promise.all(packages.map((pkg) => expectReply(start(pkg), 202)));
  await eventually(async () => {
    for (const pkg of packages) expect(['pushed', 'push_failed']).toContain((await packageNow(pkg)).status);
  });
  for (const pkg of packages) {
    if ((await packageNow(pkg)).parked) await hub.processes.decide(orderPushId(pkg, 1), 'abandon', 'operator');
  }
  await expectAllInOrder(hub);
  const rows = await Promise.all(packages.map(packageNow));
  expect(rows.filter(({ failure }) => failure?.code === 'outbound_refused')).toHaveLength(2);
  for (const { _id, status } of rows)
    expect(thereOf(_id) !== undefined && !thereOf(_id)?.cancelled).toBe(status === 'pushed');
});
