/** What is open and has no running workflow gets one again: after a termination by hand, a lost wake-up, a Temporal that was away. */
import { newId } from '../../domain/ids';
import { mirrorLaneId, operationIdOf, orderPushId, processId, storeLaneId } from '../../domain/process-ids';
import { taskQueueOf } from '../../workflows/ids';
import { breakPushes } from '../support/broken-store';
import { createHttpClient, expectReply } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import {
  type ConnectedStore,
  type Distributor,
  makeDistributor,
  makeOrder,
  makeRule,
  makeStore,
  makeSupplier,
  push,
  pushEnd,
  type Supplier,
  shownQuantity,
} from '../support/scenario';
import { serveApi } from '../support/served-api';

let hub: Hub;
let supplier: Supplier;
let distributor: Distributor;
let shopee: ConnectedStore;
/** While true, the push transaction fails as if the database were away. */
let isBroken = false;

beforeAll(async () => {
  hub = await startHub({
    sweepGraceMs: 1,
    platformTimeoutMs: 1_000,
    wrapStore: breakPushes(() => isBroken),
    lanes: { attempts: 2 },
    orderPush: { attempts: 1 },
  });
  supplier = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 100 });
  distributor = await makeDistributor(hub, supplier);
  shopee = await makeStore(hub, supplier.id, 'shopee', supplier.skus);
  await makeRule(hub, supplier.id, [supplier.warehouse], [shopee.id]);
  await count(90);
  await shows(90);
});
afterAll(() => hub.stop());
beforeEach(async () => {
  isBroken = false;
  await hub.control.clearFaults('shopee');
});

const sweep = () =>
  hub.client.workflow.execute('sweep', {
    workflowId: newId('job'),
    taskQueue: taskQueueOf(hub.queuePrefix),
    args: [],
  });
const shows = (quantity: number) =>
  eventually(async () => expect(await shownQuantity(hub, shopee, 'TEE-1')).toBe(quantity));
/** Counts so much that this quantity is available. */
async function count(quantity: number): Promise<void> {
  const [level] = await hub.store.stock.levelsIn(supplier.id, 'TEE-1');
  const { lanes } = await hub.store.stock.adjust({
    account: supplier.id,
    warehouse: supplier.warehouse,
    sku: 'TEE-1',
    kind: 'count',
    quantity: quantity + (level?.allocated ?? 0),
    reason: '',
    document: 'd',
    key: newId('command'),
  });
  hub.processes.wakeLanes(lanes);
}
const statusOf = async (workflowId: string) => {
  const { status, searchAttributes } = await hub.client.workflow.getHandle(workflowId).describe();
  return [status.name, searchAttributes?.HubStatus?.[0]];
};
const terminate = (workflowId: string) => hub.client.workflow.getHandle(workflowId).terminate('by hand');
const aPackage = () => makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 1 }]);

describe('the sweep', () => {
  test('takes up a parked push whose workflow was terminated, and it goes through', async () => {
    isBroken = true;
    const pkg = await aPackage();
    await push(hub, distributor.id, pkg);
    await eventually(async () => expect(await statusOf(orderPushId(pkg, 1))).toEqual(['RUNNING', 'parked']));
    // It says that it is parked a moment before that is written down.
    await eventually(async () =>
      expect(await hub.store.orders.package(distributor.id, pkg)).toMatchObject({
        status: 'push_failed',
        parked: true,
        failure: { retryable: true, detail: expect.stringContaining('MongoDB') },
      }),
    );
    // Pushed again, it is still the same attempt.
    expect(await push(hub, distributor.id, pkg)).toMatchObject({ kind: 'parked', attempt: 1 });
    await terminate(orderPushId(pkg, 1));
    isBroken = false;
    await sweep();
    await eventually(async () =>
      expect(await hub.store.orders.package(distributor.id, pkg)).toMatchObject({ status: 'pushed', parked: false }),
    );
  });

  test('finds in the audit log what somebody decided at the Temporal UI, and the head of the day', async () => {
    isBroken = true;
    const pkg = await aPackage();
    await push(hub, distributor.id, pkg);
    await eventually(async () => expect(await statusOf(orderPushId(pkg, 1))).toEqual(['RUNNING', 'parked']));
    await hub.client.workflow.getHandle(orderPushId(pkg, 1)).signal('abandon', 'operator on duty');
    await eventually(async () => expect((await statusOf(orderPushId(pkg, 1)))[0]).toBe('COMPLETED'));
    const { items } = await hub.store.audit.list({ account: distributor.id }, { limit: 10, after: null });
    expect(items).toMatchObject([
      {
        actor: { kind: 'temporal_ui', id: null, name: 'operator on duty' },
        action: 'operations.abandon',
        route: 'SIGNAL abandon',
        objects: [operationIdOf(orderPushId(pkg, 1)), pkg],
        outcome: 'done',
      },
    ]);
    await sweep();
    expect(await hub.store.database.models.auditDailyHeads.countDocuments()).toBe(1);
    expect(await hub.store.audit.verify()).toMatchObject({ ok: true, rows: 1 });
    isBroken = false;
    await push(hub, distributor.id, pkg);
    expect(await pushEnd(hub, distributor.id, pkg)).toMatchObject({ status: 'pushed' });
  });

  test('leaves a parked push that runs alone', async () => {
    isBroken = true;
    const pkg = await aPackage();
    await push(hub, distributor.id, pkg);
    await eventually(async () => expect(await statusOf(orderPushId(pkg, 1))).toEqual(['RUNNING', 'parked']));
    const { runId } = await hub.client.workflow.getHandle(orderPushId(pkg, 1)).describe();
    await sweep();
    expect((await hub.client.workflow.getHandle(orderPushId(pkg, 1)).describe()).runId).toBe(runId);
    await hub.processes.decide(orderPushId(pkg, 1), 'abandon', 'operator');
    await eventually(async () =>
      expect(await hub.store.orders.package(distributor.id, pkg)).toMatchObject({
        status: 'push_failed',
        parked: false,
        failure: { code: 'abandoned' },
      }),
    );
    await sweep();
    expect((await statusOf(orderPushId(pkg, 1)))[0]).toBe('COMPLETED');
    // It can be pushed again: a new attempt.
    isBroken = false;
    expect(await push(hub, distributor.id, pkg)).toMatchObject({ kind: 'started', attempt: 2 });
    expect(await pushEnd(hub, distributor.id, pkg)).toMatchObject({
      status: 'pushed',
      supplyOrder: expect.stringMatching(/-2$/),
    });
  });

  test('starts a push that was begun and whose start never reached Temporal', async () => {
    const pkg = await aPackage();
    expect(await hub.store.orders.beginPush(distributor.id, pkg)).toMatchObject({ kind: 'started' });
    await sweep();
    expect(await pushEnd(hub, distributor.id, pkg)).toMatchObject({ status: 'pushed' });
  });

  test('takes up a lane that was terminated while it was parked', async () => {
    await hub.control.addFault('shopee', { kind: 'error500', shopId: shopee.shopId, pathContains: 'update_stock' });
    await count(70);
    const lane = storeLaneId(shopee.id);
    await eventually(async () => expect(await statusOf(lane)).toEqual(['RUNNING', 'parked']));
    await terminate(lane);
    await hub.control.clearFaults('shopee');
    expect(await shownQuantity(hub, shopee, 'TEE-1')).not.toBe(70);
    await sweep();
    await shows(70);
    await eventually(async () =>
      expect(
        (await hub.store.operations.list(supplier.id, { status: 'parked' }, { limit: 10, after: null })).items,
      ).toEqual([]),
    );
  });

  test('sends what is due although nobody woke its lane, also through the mirror', async () => {
    const theirs = await makeStore(hub, distributor.id, 'lazada', ['TEE-1'], { withRule: [distributor.warehouse] });
    const [level] = await hub.store.stock.levelsIn(supplier.id, 'TEE-1');
    const lanes = [storeLaneId(shopee.id), mirrorLaneId(distributor.partnership)];
    await Promise.all(lanes.map((lane) => terminate(lane).catch(() => {})));
    // An API that dies once the change is stored.
    const api = await serveApi({ ...hub, processes: { ...hub.processes, wakeLanes: () => {} } });
    const change = { warehouse: supplier.warehouse, sku: 'TEE-1', kind: 'count', reason: 'r' };
    const quantity = 60 + (level?.allocated ?? 0);
    await expectReply(createHttpClient(api.url)(supplier.key).post('/stock/adjustments', { ...change, quantity }), 200);
    await api.close();
    for (const lane of lanes) expect(await hub.store.dues.waiting(lane)).toBe(1);
    await sweep();
    await shows(60);
    await eventually(async () => expect(await shownQuantity(hub, theirs, 'TEE-1')).toBe(60));
  });

  test('looks at the claims that a change of rules or products was to move, and renews live rates', async () => {
    const mirrored = (quantity: number) =>
      eventually(async () => {
        const [row] = await hub.store.stock.levelsIn(distributor.id, 'TEE-1', [distributor.warehouse]);
        expect(row?.onHand).toBe(quantity);
      });
    const [own] = await hub.store.stock.levelsIn(supplier.id, 'TEE-1');
    const available = own?.available ?? 0;
    expect(available).toBeGreaterThan(0);
    await mirrored(available);
    // As when the process died after the commit: nobody settled anything.
    const rule = await hub.store.visibility.add(supplier.id, {
      ...{ number: 1, enabled: true, kind: 'hide', products: { kind: 'all' } },
      distributors: { kind: 'list', distributors: [distributor.id] },
    });
    await sweep();
    await mirrored(0);
    await hub.store.visibility.remove(supplier.id, rule._id);
    await sweep();
    await mirrored(available);
    // Disabled and published again, by the publication’s workflow.
    await hub.store.products.disable(supplier.id, 'TEE-1', null);
    await sweep();
    await mirrored(0);
    const { attempt } = await hub.store.products.enable(supplier.id, 'TEE-1', null);
    await hub.processes.startPublication(supplier.id, 'TEE-1', attempt);
    await mirrored(available);

    const inSgd = await makeDistributor(hub, supplier, { settlementCurrency: 'SGD', claim: [] });
    await sweep();
    const { baseCurrency } = await hub.store.partnerships.supplier(supplier.id);
    const pair = { from: baseCurrency ?? 'MYR', to: 'SGD' } as const;
    expect((await hub.store.rates.live(null, pair))?.rate).toMatch(/^0\.\d+$/);
    await hub.store.claims.claim(inSgd.id, inSgd.partnership, { sku: 'TEE-1', as: null });
  });

  test('starts a verification that was asked for and never begun', async () => {
    const mode = { repair: false, dryRun: false };
    const { _id } = await hub.store.verification.add(distributor.id, newId('command'), mode);
    await sweep();
    await eventually(async () =>
      expect(await hub.store.verification.get(distributor.id, _id)).toMatchObject({
        status: 'done',
        checks: { accounts: { whole: true } },
      }),
    );
  });

  test('tells both sides of a credit period that ran out, once, and blocks nothing', async () => {
    const { billing, database } = hub.store;
    const late = await makeDistributor(hub, supplier);
    const limit = { amount: 100_000, currency: 'MYR' } as const;
    await billing.setCredit(supplier.id, late.partnership, { limit, periodDays: 7 });
    const pushOne = async () => {
      const pkg = await makeOrder(hub, late.id, [{ sku: 'TEE-1', quantity: 1 }]);
      await push(hub, late.id, pkg);
      expect(await pushEnd(hub, late.id, pkg)).toMatchObject({ status: 'pushed' });
    };
    await pushOne();
    const told = async () => {
      const rows = await database.models.notifications
        .find({ event: 'credit_period_expired', document: late.partnership })
        .lean();
      return rows.map(({ account }) => account).sort();
    };
    await sweep();
    expect(await told()).toEqual([]);
    // As it is a week later.
    const at = new Date(Date.now() - 1_000);
    const ended = { $set: { creditDueAt: at, creditTellAt: at } };
    await database.models.billingAccounts.updateOne({ _id: late.partnership }, ended);
    await sweep();
    expect(await told()).toEqual([late.id, supplier.id].sort());
    await Promise.all([sweep(), sweep()]);
    expect(await told()).toHaveLength(2);
    await pushOne();
  });

  test('takes up an intake that was terminated, and an event stored while Temporal was away', async () => {
    const { items } = await hub.control.shop('shopee', shopee.shopId);
    const line = { itemId: items[0]?.itemId ?? '', modelId: items[0]?.models[0]?.modelId ?? '', quantity: 1 };
    const [first, second] = await Promise.all(
      [1, 2].map(async () => {
        const { orderNumber } = await hub.control.createOrder('shopee', { shopId: shopee.shopId, lines: [line] });
        await hub.store.inbox.put({
          platform: 'shopee',
          shopId: shopee.shopId,
          platformOrder: orderNumber,
          dedupeKey: orderNumber,
          body: '{}',
          store: { id: shopee.id, account: supplier.id },
        });
        return orderNumber;
      }),
    );
    // The first one's intake hangs on the platform and is terminated; nobody started the second's.
    await hub.control.addFault('shopee', { kind: 'error500', shopId: shopee.shopId, pathContains: 'order' });
    await hub.processes.takeInOrderNow(shopee.id, first ?? '');
    const intake = processId('order-intake', { store: shopee.id, platformOrder: first ?? '' });
    await eventually(async () =>
      expect(
        (await hub.control.calls({ platform: 'shopee', shopId: shopee.shopId, pathContains: 'order' })).count,
      ).toBeGreaterThan(0),
    );
    await terminate(intake);
    await hub.control.clearFaults('shopee');
    expect((await hub.store.orders.list(supplier.id, {}, { limit: 10, after: null })).items).toEqual([]);
    await sweep();
    await eventually(async () => {
      const { items: orders } = await hub.store.orders.list(supplier.id, {}, { limit: 10, after: null });
      expect(orders.map(({ order }) => order.platformOrder).sort()).toEqual([first, second].sort());
    });
    await eventually(async () => expect(await hub.store.inbox.waitingSince(new Date(), 10)).toEqual([]));
  });
});
