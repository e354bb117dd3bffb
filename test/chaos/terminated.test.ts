/** Workflows terminated by hand: what they had to do is taken up again. */
import { mirrorLaneId, orderPushId, processId, storeLaneId } from '../../domain/process-ids';
import { mirrorLane } from '../../workflows';
import { LONG_HISTORY } from '../../workflows/history';
import { taskQueueOf } from '../../workflows/ids';
import { due } from '../../workflows/messages';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import { sweepEverySecond } from '../support/parts';
import { makeDistributor, makeOrder, makeStore, makeSupplier, push, pushEnd, shownQuantity } from '../support/scenario';

describe('a running workflow terminated', () => {
  let hub: Hub;
  let endSweep: () => Promise<void>;
  let broken = false;
  let worker: Awaited<ReturnType<Hub['startWorker']>>;
  let people: Awaited<ReturnType<typeof makePeople>>;

  async function makePeople() {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 100 });
    const distributor = await makeDistributor(hub, supplier);
    const shop = await makeStore(hub, distributor.id, 'shopee', ['TEE-1'], { withRule: [distributor.warehouse] });
    await eventually(async () => expect(await shownQuantity(hub, shop, 'TEE-1')).toBe(100));
    return { supplier, distributor, shop };
  }

  beforeAll(async () => {
    hub = await startHub({
      sweepGraceMs: 500,
      platformTimeoutMs: 5_000,
      withoutWorker: true,
      wrapStore: (store) => ({
        ...store,
        orders: {
          ...store.orders,
          push: async (...given) => {
            if (broken) throw new Error('a step that fails as long as the test wants');
            return store.orders.push(...given);
          },
        },
      }),
    });
    worker = await hub.startWorker();
    endSweep = await sweepEverySecond(hub.client, hub.queuePrefix);
    people = await makePeople();
  });
  afterEach(async () => {
    broken = false;
    await hub.control.clearFaults('shopee');
  });
  afterAll(async () => {
    await endSweep?.();
    await hub?.stop();
  });

  const terminate = (workflowId: string) => hub.client.workflow.getHandle(workflowId).terminate('a test');
  const newOrder = () => makeOrder(hub, people.distributor.id, [{ sku: 'TEE-1', quantity: 1 }]);
  const operation = (id: string) => hub.store.operations.get(people.distributor.id, id.replaceAll('/', '.'));

  test('a push that is being tried', async () => {
    const pkg = await newOrder();
    broken = true;
    await push(hub, people.distributor.id, pkg);
    await terminate(orderPushId(pkg, 1));
    expect(await hub.store.orders.package(people.distributor.id, pkg)).toMatchObject({ status: 'pushing' });
    broken = false;
    expect(await pushEnd(hub, people.distributor.id, pkg)).toMatchObject({ status: 'pushed', attempt: 1 });
    await expectAllInOrder(hub);
  });

  test('a push that is parked', async () => {
    const pkg = await newOrder();
    broken = true;
    await push(hub, people.distributor.id, pkg);
    await eventually(async () => expect(await operation(orderPushId(pkg, 1))).toMatchObject({ status: 'parked' }));
    broken = false;
    await terminate(orderPushId(pkg, 1));
    await eventually(async () =>
      expect(await hub.store.orders.package(people.distributor.id, pkg)).toMatchObject({ status: 'pushed' }),
    );
    await expectAllInOrder(hub);
  });

  test('a store’s lane that is parked, and one that has marks left', async () => {
    const { supplier, shop } = people;
    const lane = storeLaneId(shop.id);
    const adjust = async (quantity: number) => {
      const { lanes } = await hub.store.stock.adjust({
        ...{ account: supplier.id, warehouse: supplier.warehouse, sku: 'TEE-1', kind: 'stockIn' as const, quantity },
        ...{ reason: '', document: 'd', key: `more/${Math.random()}` },
      });
      hub.processes.wakeLanes(lanes);
    };
    await hub.control.addFault('shopee', { kind: 'down' });
    await adjust(7);
    await eventually(async () => expect(await operation(lane)).toMatchObject({ status: 'parked' }));
    await terminate(lane);
    await hub.control.clearFaults('shopee');
    // The sweep starts it again, it sends, and the operation no longer says that somebody must decide.
    await expectAllInOrder(hub);
    await hub.control.addFault('shopee', { kind: 'down' });
    await adjust(1);
    await eventually(async () => expect(await hub.store.dues.waiting(lane)).toBe(1));
    await terminate(lane);
    await hub.control.clearFaults('shopee');
    await expectAllInOrder(hub);
  });

  test('a store’s lane while a call is on its way: the next one sends nothing beside it', async () => {
    const { supplier, shop } = people;
    const lane = storeLaneId(shop.id);
    const before = await shownQuantity(hub, shop, 'TEE-1');
    const count = async (quantity: number) => {
      const { lanes } = await hub.store.stock.adjust({
        ...{ account: supplier.id, warehouse: supplier.warehouse, sku: 'TEE-1', kind: 'stockIn' as const, quantity },
        ...{ reason: '', document: 'd', key: `more/${Math.random()}` },
      });
      hub.processes.wakeLanes(lanes);
    };
    const since = Date.now();
    const calls = async () =>
      (await hub.control.calls({ shopId: shop.shopId, pathContains: 'update_stock', since })).calls;
    // The older quantity would be the last to arrive.
    await hub.control.addFault('shopee', { kind: 'slow', delayMs: 3_000, times: 1, pathContains: 'update_stock' });
    await count(20);
    await eventually(async () => expect(await calls()).toHaveLength(1));
    await terminate(lane);
    await count(1);
    await expectAllInOrder(hub);
    expect(await shownQuantity(hub, shop, 'TEE-1')).toBe(before + 21);
    const [first, ...later] = await calls();
    expect(first?.entries).toMatchObject([{ quantity: before + 20 }]);
    expect(later.length).toBeGreaterThan(0);
    for (const { at } of later) expect(at).toBeGreaterThanOrEqual(first?.answeredAt ?? Number.POSITIVE_INFINITY);
  });

  test('a lane whose history does not replay', async () => {
    const { supplier, distributor } = people;
    const lane = mirrorLaneId(distributor.partnership);
    const run = async () => (await hub.client.workflow.getHandle(lane).describe()).runId;
    await worker.stop();
    if (await hub.processes.isRunning(lane)) await terminate(lane);
    // Begun by a worker whose lanes do something else, which never comes to its end.
    const other = await hub.startWorker((code) => code.replaceAll('mirrorDue', 'movePartnership'));
    const { lanes } = await hub.store.stock.adjust({
      ...{ account: supplier.id, warehouse: supplier.warehouse, sku: 'TEE-1', kind: 'stockIn' as const, quantity: 3 },
      ...{ reason: '', document: 'd', key: `more/${Math.random()}` },
    });
    await hub.processes.wakeLanesNow(lanes);
    const broken = await run();
    await eventually(async () => {
      const { raw } = await hub.client.workflow.getHandle(lane).describe();
      expect(raw.pendingActivities).toMatchObject([{ activityType: { name: 'movePartnership' } }]);
    });
    await other.stop();
    worker = await hub.startWorker();
    await expectAllInOrder(hub);
    expect(await run()).not.toBe(broken);
    expect((await hub.client.workflow.getHandle(lane, broken).describe()).status.name).toBe('TERMINATED');
  });

  test('a lane that no worker replays in time', async () => {
    const { supplier, distributor } = people;
    const lane = mirrorLaneId(distributor.partnership);
    await worker.stop();
    if (await hub.processes.isRunning(lane)) await terminate(lane);
    const { lanes } = await hub.store.stock.adjust({
      ...{ account: supplier.id, warehouse: supplier.warehouse, sku: 'TEE-1', kind: 'stockIn' as const, quantity: 3 },
      ...{ reason: '', document: 'd', key: `more/${Math.random()}` },
    });
    expect(lanes).toEqual([lane]);
    const taskQueue = taskQueueOf(hub.queuePrefix);
    // The tasks of this run must end sooner than others do, or the test would take a minute.
    const { signaledRunId: late } = await hub.client.workflow.signalWithStart(mirrorLane, {
      ...{ workflowId: lane, taskQueue, args: [{ partnership: distributor.partnership }] as const },
      ...{ workflowTaskTimeout: 1_000, signal: due },
    });
    const handle = hub.client.workflow.getHandle(lane, late);
    // A worker that takes its tasks and never comes to their end. The sweep's are on the same queue.
    const takeTask = async () => {
      for (;;) {
        const { workflowExecution } = await hub.client.withDeadline(Date.now() + 20_000, () =>
          hub.client.workflowService.pollWorkflowTaskQueue({
            ...{ namespace: hub.client.options.namespace, taskQueue: { name: taskQueue }, identity: 'a late worker' },
          }),
        );
        if (workflowExecution?.workflowId === lane) return;
      }
    };
    const lateTasks = async () => {
      const { events } = await handle.fetchHistory();
      return events?.filter((event) => event.workflowTaskTimedOutEventAttributes).length;
    };
    for (const count of [1, 2, 3]) {
      await takeTask();
      await eventually(async () => expect(await lateTasks()).toBe(count));
      // News between them makes each an event of its own.
      await handle.signal(due);
    }
    // As short as it is, any worker that lives replays it in time.
    expect(await hub.processes.endIfStuck(lane)).toBe(true);
    for (let told = 0; told < LONG_HISTORY; told += 1) await handle.signal(due);
    expect(await hub.processes.endIfStuck(lane)).toBe(false);
    expect((await handle.describe()).status.name).toBe('TERMINATED');
    worker = await hub.startWorker();
    await expectAllInOrder(hub);
  });

  test('the taking-in of an order', async () => {
    const { shop, distributor } = people;
    const { items } = await hub.control.shop('shopee', shop.shopId);
    const line = { itemId: items[0]?.itemId ?? '', modelId: items[0]?.models[0]?.modelId ?? '', quantity: 2 };
    await hub.control.addFault('shopee', { kind: 'down' });
    const { orderNumber } = await hub.control.createOrder('shopee', { shopId: shop.shopId, lines: [line] });
    await hub.store.inbox.put({
      ...{ platform: 'shopee', shopId: shop.shopId, platformOrder: orderNumber, dedupeKey: orderNumber, body: '{}' },
      store: { id: shop.id, account: distributor.id },
    });
    await hub.processes.takeInOrderNow(shop.id, orderNumber);
    await terminate(processId('order-intake', { store: shop.id, platformOrder: orderNumber }));
    await hub.control.clearFaults('shopee');
    await eventually(async () =>
      expect(await hub.store.database.models.orders.countDocuments({ platformOrder: orderNumber })).toBe(1),
    );
    await expectAllInOrder(hub);
  });

  test('a quantity that went out and was not answered is not taken as sent, nor as not sent', async () => {
    const { supplier, shop } = people;
    const count = (quantity: number) =>
      hub.store.stock.adjust({
        ...{ account: supplier.id, warehouse: supplier.warehouse, sku: 'TEE-1', kind: 'count' as const, quantity },
        ...{ reason: '', document: 'd', key: `count/${Math.random()}` },
      });
    const wake = async (change: ReturnType<typeof count>) => hub.processes.wakeLanes((await change).lanes);
    await wake(count(300));
    await expectAllInOrder(hub);
    const before = await shownQuantity(hub, shop, 'TEE-1');
    // The shop takes the next quantity, and the hub does not hear of it.
    await hub.control.addFault('shopee', { kind: 'lost_answer', pathContains: 'update_stock' });
    await wake(count(290));
    await eventually(async () => expect(await shownQuantity(hub, shop, 'TEE-1')).toBe(before - 10));
    // Before it asks again, the quantity is what the shop had said yes to.
    await wake(count(300));
    await eventually(async () =>
      expect(await hub.store.stock.levelsIn(supplier.id, 'TEE-1')).toMatchObject([{ onHand: 300 }]),
    );
    await eventually(async () => {
      const [mirrored] = await hub.store.stock.levelsIn(people.distributor.id, 'TEE-1');
      expect(mirrored?.available).toBe(before);
    });
    await hub.control.clearFaults('shopee');
    await hub.processes.decide(storeLaneId(shop.id), 'retry', 'test').catch(() => {});
    await expectAllInOrder(hub);
    expect(await shownQuantity(hub, shop, 'TEE-1')).toBe(before);
  });
});
