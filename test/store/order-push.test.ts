import pLimit from 'p-limit';
import { orderPushId } from '../../domain/process-ids';
import type { PackageDoc } from '../../store/models/documents';
import { supplyOrderIdOf } from '../../store/repositories/orders';
import { type Hub, startHub } from '../support/hub';
import {
  type Distributor,
  makeDistributor,
  makeOrder,
  makeSupplier,
  push,
  pushEnd,
  type Supplier,
} from '../support/scenario';

/** Orders of one unit each, and the units. */
const [CROWD, UNITS] = process.env.LONG === '1' ? [500, 100] : [120, 100];

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
afterAll(() => hub.stop());

/** Synced packages of one line each. */
async function makePackages(distributor: Distributor, count: number, quantity = 1): Promise<string[]> {
  const packages: string[] = [];
  for (let index = 0; index < count; index += 1)
    packages.push(await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity }]));
  return packages;
}

/** Begins all attempts first, so that every one of them is decided inside its workflow; then starts them at once. */
async function pushAll(distributors: readonly { id: string; packages: readonly string[] }[]): Promise<PackageDoc[]> {
  const attempts = distributors.flatMap(({ id, packages }) => packages.map((pkg) => ({ id, pkg })));
  const few = pLimit(8);
  const starts = await Promise.all(attempts.map(({ id, pkg }) => few(() => hub.store.orders.beginPush(id, pkg))));
  expect(starts.every(({ kind }) => kind === 'started')).toBe(true);
  await Promise.all(
    attempts.map(({ id, pkg }, index) => {
      const start = starts[index];
      const supplier = start && 'supplier' in start ? start.supplier : '';
      return hub.processes.startOrderPush({ account: id, package: pkg, attempt: 1, supplier });
    }),
  );
  const { models } = hub.store.database;
  const ids = attempts.map(({ pkg }) => pkg);
  await Promise.all(ids.map((pkg) => hub.client.workflow.getHandle(orderPushId(pkg, 1)).result()));
  return models.packages.find({ _id: { $in: ids } }).lean();
}

const ordersUsed = async (account: string) =>
  (await hub.store.database.models.quotas.find({ account }).lean()).reduce((sum, { used }) => sum + used, 0);

/** Stock and journal, balances and records, quotas and supply orders tell one story. */
async function expectBooksToAgree(
  supplier: Supplier,
  distributors: readonly Distributor[],
  pushed: readonly PackageDoc[],
) {
  const { models } = hub.store.database;
  const [level] = await hub.store.stock.levelsIn(supplier.id, 'TEE-1');
  const units = pushed.reduce((sum, pkg) => sum + pkg.lines.reduce((all, line) => all + line.quantity, 0), 0);
  expect(level).toMatchObject({ allocated: units, available: (level?.onHand ?? 0) - units });
  const journal = await models.stockJournal.find({ account: supplier.id, sku: 'TEE-1' }).lean();
  for (const field of ['onHand', 'allocated'] as const)
    expect(journal.reduce((sum, entry) => sum + entry.after[field] - entry.before[field], 0)).toBe(level?.[field]);
  expect(journal.filter(({ kind }) => kind === 'allocate')).toHaveLength(pushed.length);
  for (const { id, partnership } of distributors) {
    const own = pushed.filter((pkg) => pkg.account === id);
    const records = await models.records.find({ partnership }).lean();
    expect(records).toHaveLength(own.length);
    const charged = own.reduce((sum, pkg) => sum + (pkg.charge?.total.amount ?? 0), 0);
    expect(records.reduce((sum, record) => sum + record.amount, 0)).toBe(0 - charged);
    expect(await hub.store.billing.account(null, partnership)).toMatchObject({ balance: 0 - charged });
    expect(await ordersUsed(id)).toBe(own.length);
  }
  expect(await ordersUsed(supplier.id)).toBe(pushed.length);
  const supplyOrders = await models.supplyOrders.find({ supplier: supplier.id }, { package: 1 }).lean();
  expect(supplyOrders.map((row) => row.package).sort()).toEqual(pushed.map(({ _id }) => _id).sort());
}

describe(`${CROWD} orders of one unit at once on ${UNITS} units`, () => {
  test(`exactly ${UNITS} are pushed, all others fail with out_of_stock, and the books agree`, async () => {
    const supplier = await makeSupplier(hub, { onHand: UNITS, price: 700, fees: { stockOut: 50, logistics: 0 } });
    const distributors = [await makeDistributor(hub, supplier), await makeDistributor(hub, supplier)];
    const work = await Promise.all(
      distributors.map(async (distributor) => ({
        id: distributor.id,
        packages: await makePackages(distributor, CROWD / 2),
      })),
    );
    const started = Date.now();
    const packages = await pushAll(work);
    const seconds = (Date.now() - started) / 1000;

    const pushed = packages.filter(({ status }) => status === 'pushed');
    const failed = packages.filter(({ status }) => status === 'push_failed');
    expect([pushed.length, failed.length]).toEqual([UNITS, CROWD - UNITS]);
    for (const pkg of failed) {
      expect(pkg).toMatchObject({ supplyOrder: null, charge: null, parked: false });
      expect(pkg.blockers).toEqual([
        expect.objectContaining({ code: 'out_of_stock', sku: 'TEE-1', needed: 1, available: 0 }),
      ]);
    }
    for (const pkg of pushed) expect(pkg.charge?.total).toEqual({ amount: 750, currency: 'MYR' });
    await expectBooksToAgree(supplier, distributors, pushed);

    // What a push costs at the server, also in a crowd.
    const costs = await Promise.all(
      pushed.slice(0, 20).map(async ({ _id }) => {
        const history = await hub.client.workflow.getHandle(orderPushId(_id, 1)).fetchHistory();
        const events = history.events ?? [];
        return {
          tasks: events.filter((event) => event.workflowTaskStartedEventAttributes).length,
          events: events.length,
        };
      }),
    );
    const worst = {
      tasks: Math.max(...costs.map(({ tasks }) => tasks)),
      events: Math.max(...costs.map((c) => c.events)),
    };
    process.stdout.write(`${CROWD} pushes took ${seconds.toFixed(1)} s; at most ${JSON.stringify(worst)} per push\n`);
    expect(worst.events).toBeLessThanOrEqual(15);
  });
});

describe('credit for 10 orders', () => {
  test('lets exactly 10 of 100 parallel pushes through', async () => {
    const supplier = await makeSupplier(hub, { onHand: 1_000, price: 700, fees: { stockOut: 50, logistics: 0 } });
    const distributor = await makeDistributor(hub, supplier, { creditLimit: 7_500 + 749 });
    const packages = await pushAll([{ id: distributor.id, packages: await makePackages(distributor, 100) }]);
    const pushed = packages.filter(({ status }) => status === 'pushed');
    expect(pushed).toHaveLength(10);
    for (const pkg of packages)
      if (pkg.status !== 'pushed')
        expect(pkg).toMatchObject({ status: 'push_failed', blockers: [{ code: 'insufficient_funds' }] });
    await expectBooksToAgree(supplier, [distributor], pushed);
  });
});

describe('a push', () => {
  test('of two lines of one SKU, 5 and 5 on 5 units, is refused', async () => {
    const supplier = await makeSupplier(hub, { onHand: 5 });
    const distributor = await makeDistributor(hub, supplier);
    const pkg = await makeOrder(hub, distributor.id, [
      { sku: 'TEE-1', quantity: 5 },
      { sku: 'TEE-1', quantity: 5 },
    ]);
    expect(await push(hub, distributor.id, pkg)).toMatchObject({
      kind: 'blocked',
      blockers: [{ code: 'out_of_stock', needed: 10, available: 5 }],
    });
    expect(await hub.store.orders.package(distributor.id, pkg)).toMatchObject({ status: 'push_failed', attempt: 0 });
    await expectBooksToAgree(supplier, [distributor], []);
  });

  test('of a pushed package, once more or ten times at once, changes nothing and answers with the push there is', async () => {
    const supplier = await makeSupplier(hub, { onHand: 50 });
    const distributor = await makeDistributor(hub, supplier);
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
    const starts = await Promise.all(Array.from({ length: 10 }, () => push(hub, distributor.id, pkg)));
    expect(starts.filter(({ kind }) => kind === 'started')).toHaveLength(1);
    for (const start of starts) expect(start).toMatchObject({ attempt: 1 });
    const row = await pushEnd(hub, distributor.id, pkg);
    const supplyOrder = supplyOrderIdOf(pkg, 1);
    expect(row).toMatchObject({ status: 'pushed', supplyOrder });
    const again = await Promise.all(Array.from({ length: 5 }, () => push(hub, distributor.id, pkg)));
    for (const start of again) expect(start).toMatchObject({ kind: 'pushed', supplyOrder, attempt: 1 });
    // The step itself, too, as a worker that died after the commit repeats it.
    expect(await hub.store.orders.push(pkg, 1)).toMatchObject({ outcome: 'pushed', supplyOrder });
    await expectBooksToAgree(supplier, [distributor], [row]);
    // The distributor's own allocation ended with it.
    await hub.store.mirror.pass(distributor.partnership);
    expect(await hub.store.stock.levelsIn(distributor.id, 'TEE-1')).toMatchObject([
      { onHand: 48, allocated: 0, available: 48 },
    ]);
  });

  test('that was refused can be pushed again as a new attempt', async () => {
    const supplier = await makeSupplier(hub, { onHand: 1 });
    const distributor = await makeDistributor(hub, supplier);
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
    expect(await push(hub, distributor.id, pkg)).toMatchObject({ kind: 'blocked' });
    await hub.store.stock.adjust({
      account: supplier.id,
      warehouse: supplier.warehouse,
      sku: 'TEE-1',
      kind: 'stockIn',
      quantity: 1,
      reason: '',
      document: 'd',
      key: `${pkg}/more`,
    });
    expect(await push(hub, distributor.id, pkg)).toMatchObject({ kind: 'started', attempt: 1 });
    expect(await pushEnd(hub, distributor.id, pkg)).toMatchObject({ status: 'pushed', blockers: [] });
    // What is pushed has nothing in its way, whatever holds now: it says what it cost.
    const { order, charge } = await hub.store.orders.package(distributor.id, pkg);
    expect(charge).not.toBeNull();
    expect(await hub.store.orders.pushCheck(distributor.id, order)).toMatchObject([
      { package: { status: 'pushed' }, blockers: [], charge },
    ]);
  });

  test('that is refused says what failed, what is held and what to do, and tells its account of each new cause', async () => {
    const supplier = await makeSupplier(hub, { onHand: 1 });
    const distributor = await makeDistributor(hub, supplier);
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
    const notices = async () =>
      (await hub.store.notifications.list(distributor.id, { limit: 50, after: null })).items
        .filter(({ event, document }) => event === 'order_push_failed' && document === pkg)
        .map(({ detail }) => detail)
        .sort();
    for (const _again of [1, 2]) await push(hub, distributor.id, pkg);
    expect(await notices()).toEqual(['out_of_stock']);
    expect(await hub.store.orders.package(distributor.id, pkg)).toMatchObject({
      blockers: [{ code: 'out_of_stock', hint: expect.stringContaining('supplier has stock') }],
      failure: {
        code: 'push_blocked',
        detail: '2 of TEE-1 are needed, 1 are available',
        held: expect.stringMatching(/^nothing/),
        retryable: false,
        hint: expect.stringContaining('supplier has stock'),
      },
    });
    await hub.store.accounts.change(supplier.id, { orderQuota: 0 });
    await push(hub, distributor.id, pkg);
    expect(await notices()).toEqual(['out_of_stock', 'out_of_stock, quota_reached']);
  });

  test('that a recall abandoned is not parked by its last try, which fails later', async () => {
    const supplier = await makeSupplier(hub, { onHand: 5 });
    const distributor = await makeDistributor(hub, supplier);
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 1 }]);
    const { orders } = hub.store;
    await orders.beginPush(distributor.id, pkg);
    expect(await orders.recall(distributor.id, pkg, 'command', 60_000)).toMatchObject({ over: true });
    const failure = { code: 'unavailable', detail: 'away' };
    expect(await orders.park(pkg, 1, failure)).toBe(false);
    const row = await orders.package(distributor.id, pkg);
    expect(row).toMatchObject({ status: 'push_failed', parked: false, failure: { code: 'abandoned' } });
    const operation = () => hub.store.operations.get(distributor.id, `order-push.${pkg}.1`);
    expect(await operation()).toMatchObject({ status: 'abandoned' });
    // Of an attempt that goes on it says why, twice too, with the failure's own code.
    await orders.beginPush(distributor.id, pkg);
    for (const _twice of [1, 2]) expect(await orders.park(pkg, 2, { code: 'internal', detail: 'odd' })).toBe(true);
    expect(await orders.package(distributor.id, pkg)).toMatchObject({
      parked: true,
      failure: { code: 'internal', hint: expect.stringContaining('retry') },
    });
    expect(await hub.store.operations.get(distributor.id, `order-push.${pkg}.2`)).toMatchObject({
      status: 'parked',
      error: { code: 'internal' },
    });
  });

  test('of an attempt that is not the package’s own does nothing', async () => {
    const supplier = await makeSupplier(hub);
    const distributor = await makeDistributor(hub, supplier);
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 1 }]);
    expect(await hub.store.orders.push(pkg, 1)).toMatchObject({ outcome: 'superseded', status: 'new' });
    await hub.store.orders.beginPush(distributor.id, pkg);
    await hub.store.orders.abandon(pkg, 1, 'test');
    expect(await hub.store.orders.push(pkg, 1)).toMatchObject({ outcome: 'superseded', status: 'push_failed' });
    await expectBooksToAgree(supplier, [distributor], []);
  });

  test('takes one order from the quota of both sides or of neither', async () => {
    const supplier = await makeSupplier(hub, { onHand: 50, orderQuota: 2 });
    const first = await makeDistributor(hub, supplier, { orderQuota: 1 });
    const second = await makeDistributor(hub, supplier);
    const packages = await pushAll([
      { id: first.id, packages: await makePackages(first, 3) },
      { id: second.id, packages: await makePackages(second, 3) },
    ]);
    const pushed = packages.filter(({ status }) => status === 'pushed');
    expect(pushed).toHaveLength(2);
    expect(pushed.filter(({ account }) => account === first.id).length).toBeLessThanOrEqual(1);
    for (const pkg of packages)
      if (pkg.status !== 'pushed') expect(pkg.blockers.map(({ code }) => code)).toContain('quota_reached');
    await expectBooksToAgree(supplier, [first, second], pushed);
  });

  test('writes nothing where its last step fails', async () => {
    const supplier = await makeSupplier(hub, { onHand: 50 });
    const distributor = await makeDistributor(hub, supplier);
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
    await hub.store.orders.beginPush(distributor.id, pkg);
    // A supply order of that id stands in the way: the insert, after stock, funds and quota, breaks.
    const { models } = hub.store.database;
    const _id = supplyOrderIdOf(pkg, 1);
    await models.supplyOrders.collection.insertOne({ _id, supplier: 'nobody' } as never);
    await expect(hub.store.orders.push(pkg, 1)).rejects.toMatchObject({ code: 11000 });
    await expectBooksToAgree(supplier, [distributor], []);
    expect(await hub.store.orders.package(distributor.id, pkg)).toMatchObject({ status: 'pushing', supplyOrder: null });
    await models.supplyOrders.collection.deleteOne({ _id } as never);
    expect(await hub.store.orders.push(pkg, 1)).toMatchObject({ outcome: 'pushed' });
  });

  test('tells the supplier of the recipient exactly where the supplier arranges the carrier', async () => {
    const supplier = await makeSupplier(hub, { onHand: 50 });
    const distributor = await makeDistributor(hub, supplier);
    for (const [shipping, platform, name] of [
      ['self_delivery', 'shopee', 'Recipient Name'],
      ['platform_logistics', 'shopee', 'R***'],
      ['self_delivery', 'temu', 'R***'],
    ] as const) {
      const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 1 }], { shipping, platform });
      await push(hub, distributor.id, pkg);
      const row = await pushEnd(hub, distributor.id, pkg);
      const supplyOrder = await hub.store.orders.supplyOrder(supplier.id, row.supplyOrder ?? '');
      expect(supplyOrder).toMatchObject({ sourceStore: 'BigShop – API', paymentMethod: 'prepaid', shipping });
      expect(hub.store.orders.recipientOfSupplyOrder(supplyOrder)?.name).toBe(name);
      await expect(hub.store.orders.supplyOrder(distributor.id, supplyOrder._id)).rejects.toMatchObject({
        code: 'not_found',
      });
    }
  });
});

describe('the blockers on the real store', () => {
  /** What was fixed when a package was synced. */
  async function syncedAs(account: string, pkg: string) {
    const { lines, partnered } = await hub.store.orders.package(account, pkg);
    return { lines, partnered };
  }

  /** A synced order, then something changes; the check, the start and the attempt itself all see it. */
  async function blockedBy(
    change: (facts: { supplier: Supplier; distributor: Distributor; pkg: string }) => Promise<unknown>,
  ): Promise<unknown[]> {
    const supplier = await makeSupplier(hub, { onHand: 10 });
    const distributor = await makeDistributor(hub, supplier);
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
    const other = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
    await hub.store.orders.beginPush(distributor.id, other);
    await change({ supplier, distributor, pkg });
    await hub.store.database.models.packages.updateOne({ _id: other }, { $set: await syncedAs(distributor.id, pkg) });
    const { order } = await hub.store.orders.package(distributor.id, pkg);
    const [check] = await hub.store.orders.pushCheck(distributor.id, order);
    const start = await hub.store.orders.beginPush(distributor.id, pkg);
    const inside = await hub.store.orders.push(other, 1);
    if (start.kind !== 'blocked' || inside.outcome !== 'refused') throw new Error('it was not blocked');
    expect(start.blockers).toEqual(check?.blockers);
    expect(inside.blockers).toEqual(check?.blockers);
    for (const id of [pkg, other])
      expect(await hub.store.orders.package(distributor.id, id)).toMatchObject({
        status: 'push_failed',
        blockers: check?.blockers,
      });
    await expectBooksToAgree(supplier, [distributor], []);
    const operation = await hub.store.operations.get(distributor.id, `order-push.${other}.1`);
    expect(operation).toMatchObject({ status: 'failed', error: { code: 'push_blocked' } });
    return [...(check?.blockers ?? [])];
  }
  const models = () => hub.store.database.models;

  test.each<[string, Parameters<typeof blockedBy>[0], unknown]>([
    [
      'not_partnered',
      async ({ distributor, pkg }) => {
        await models().partnerships.updateOne(
          { _id: distributor.partnership },
          { $set: { status: 'terminated', open: false, endedAt: new Date() } },
        );
        // As it is written where the order is synced after the end.
        await models().packages.updateOne({ _id: pkg }, { $set: { partnered: false } });
      },
      { code: 'not_partnered' },
    ],
    [
      'sku_inactive',
      async ({ distributor, pkg }) => {
        await models().claims.updateOne(
          { _id: `${distributor.partnership}/TEE-1` },
          { $set: { causes: ['hidden'], inactiveSince: new Date() } },
        );
        await models().packages.updateOne({ _id: pkg }, { $set: { 'lines.0.active': false } });
      },
      { code: 'sku_inactive', sku: 'TEE-1' },
    ],
    [
      'sku_not_mapped',
      ({ pkg }) => models().packages.updateOne({ _id: pkg }, { $set: { 'lines.0.supplierSku': null } }),
      { code: 'sku_not_mapped', line: '1' },
    ],
    [
      'price_missing',
      ({ pkg }) =>
        models().packages.updateOne(
          { _id: pkg },
          { $set: { 'lines.0.price': null, 'lines.0.priceReason': 'price_missing' } },
        ),
      { code: 'price_missing', sku: 'TEE-1' },
    ],
    [
      'exchange_rate_missing',
      ({ supplier }) =>
        models().suppliers.updateOne({ _id: supplier.id }, { $set: { baseCurrency: 'SGD', rates: [] } }),
      { code: 'exchange_rate_missing', sku: 'TEE-1' },
    ],
    [
      'out_of_stock',
      ({ supplier }) =>
        hub.store.stock.adjust({
          account: supplier.id,
          warehouse: supplier.warehouse,
          sku: 'TEE-1',
          kind: 'count',
          quantity: 1,
          reason: '',
          document: 'd',
          key: `${supplier.id}/count`,
        }),
      { code: 'out_of_stock', sku: 'TEE-1', needed: 2, available: 1 },
    ],
    [
      'quota_reached at the supplier',
      ({ supplier }) => hub.store.accounts.change(supplier.id, { orderQuota: 0 }),
      { code: 'quota_reached', side: 'supplier' },
    ],
    [
      'quota_reached at the distributor',
      ({ distributor }) => hub.store.accounts.change(distributor.id, { orderQuota: 0 }),
      { code: 'quota_reached', side: 'distributor' },
    ],
    [
      'insufficient_funds',
      ({ supplier, distributor }) =>
        hub.store.billing.setCredit(supplier.id, distributor.partnership, {
          limit: { amount: 1_999, currency: 'MYR' },
          periodDays: null,
        }),
      { code: 'insufficient_funds' },
    ],
  ])('%s', async (_name, change, expected) => {
    expect(await blockedBy(change)).toEqual([expect.objectContaining(expected as object)]);
  });

  test('an order that was synced before the partnership and the claim ended can still be pushed', async () => {
    const supplier = await makeSupplier(hub, { onHand: 10 });
    const distributor = await makeDistributor(hub, supplier);
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
    // By a clock that is behind: the snapshot of the sync counts, no time.
    const before = new Date(Date.now() - 60_000);
    await models().partnerships.updateOne(
      { _id: distributor.partnership },
      { $set: { status: 'terminated', open: false, endedAt: before } },
    );
    await models().claims.updateOne(
      { _id: `${distributor.partnership}/TEE-1` },
      { $set: { causes: ['not_partnered'], inactiveSince: before } },
    );
    await push(hub, distributor.id, pkg);
    expect(await pushEnd(hub, distributor.id, pkg)).toMatchObject({ status: 'pushed' });
  });
});
