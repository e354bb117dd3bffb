/**
 * A random day: orders, pushes, moves, recalls, cancellations, returns, top-ups, stock changes, retries, repeats and dead workers
 * in any order; then all must add up.
 */
import { randomInt } from 'node:crypto';
import pLimit from 'p-limit';
import { isHubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import type { Money } from '../../domain/money';
import { orderPushId } from '../../domain/process-ids';
import type { SupplyOrderMove } from '../../domain/supply-orders';
import type { DueDoc, PackageDoc, SupplyOrderDoc } from '../../store/models/documents';
import type { ReturnInput } from '../../store/repositories/returns';
import { type Child, endChildren, endSessionsOf, startChild } from '../support/children';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import { PATIENT, placeOf, sweepEverySecond } from '../support/parts';
import { type ConnectedStore, makeDistributor, makeOrder, makeStore, makeSupplier, push } from '../support/scenario';

const LONG = process.env.LONG === '1';
const COMMANDS = LONG ? 10_000 : 500;
const WORKER_DEATHS = LONG ? 12 : 1;
/** Commands after which the worker is waited for. */
const PER_PART = LONG ? 250 : 100;
const AT_ONCE = 8;
/** Give it to see a run's commands again; what meets what is left to chance. */
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));

/** A small generator (mulberry32): the same seed, the same commands. */
function randomFrom(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (end: number) => Math.floor(next() * end);
  const oneOf = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  return { below, oneOf };
}

/** For a failure: what each lane that has marks left is at, what tells most first. */
async function whatStands({ client, store }: Hub, due: readonly DueDoc[]): Promise<string> {
  const { models } = store.database;
  const lines = [`${new Date().toISOString()}: ${due.length} are due`];
  for (const lane of new Set(due.map((mark) => mark.lane))) {
    const handle = client.workflow.getHandle(lane);
    const { status, historyLength, raw } = await handle.describe();
    const waiting = raw.pendingActivities?.map(({ activityType, state, attempt, lastFailure }) =>
      [activityType?.name, state, attempt, lastFailure?.message].join(' '),
    );
    const task = raw.pendingWorkflowTask;
    const { events } = await handle.fetchHistory();
    const latest = events?.slice(-12).map(({ eventType }) => eventType);
    const seen = await store.dues.all(lane);
    const first = await store.dues.reader(lane, 50).next();
    const operation = await models.operations.findOne({ workflowId: lane }).lean();
    lines.push(
      `${lane}: ${status.name}, ${historyLength} events, ${operation?.status ?? 'no operation'} ${operation?.error?.detail ?? ''}`,
      `  activities: ${waiting?.join('; ')}; task: ${task ? `${task.state} ${task.attempt}` : 'none'}; ${latest?.join(' ')}`,
      `  marks by its index: ${seen.length}; that it would send: ${first.length}`,
    );
  }
  for (const { _id, since, stamp, changes, tries, calls } of due) {
    const id = _id.slice(_id.indexOf('|') + 1);
    const pushed = await models.pushRecords.findById(id).lean();
    lines.push(
      `${id}: since ${since.toISOString()}, ${changes} changes, ${tries} tries, ${calls ?? 0} calls, ${stamp}`,
      `  ${JSON.stringify(pushed?.latest)} unanswered: ${pushed?.unanswered}`,
    );
  }
  return lines.join('\n');
}

describe(`a random day (SEED=${SEED})`, () => {
  let hub: Hub;
  let endSweep: () => Promise<void>;

  beforeAll(async () => {
    hub = await startHub({ lanes: PATIENT, orderPush: PATIENT, withoutWorker: true });
    endSweep = await sweepEverySecond(hub.client, hub.queuePrefix);
  });
  afterAll(async () => {
    await endChildren();
    await endSweep?.();
    await hub?.stop();
  });

  const startWorker = () => startChild('worker', { place: placeOf(hub, hub.queuePrefix), kill: null });

  /** What a caller may be told is no failure of the day. */
  async function orRefused(work: Promise<unknown>): Promise<void> {
    await work.catch((error: unknown) => {
      if (!isHubError(error) || error.retryable) throw error;
    });
  }

  /** What no worker took, or the database did not answer in time, is sent again, as a caller does who is told 503. */
  async function untilTaken<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1)
      try {
        return await work();
      } catch (error) {
        if (!isHubError(error) || !error.retryable || tries === 5) throw error;
      }
  }
  /** For a failure: what the push of an order is at. */
  async function whereItStands({ _id, attempt }: PackageDoc): Promise<string> {
    const handle = hub.client.workflow.getHandle(orderPushId(_id, attempt));
    const { status, historyLength, raw } = await handle.describe();
    const task = raw.pendingWorkflowTask;
    const operation = await hub.store.database.models.operations.findOne({ workflowId: handle.workflowId }).lean();
    return [
      `${handle.workflowId} ${status.name}, ${historyLength} events`,
      `task: ${task ? `${task.state} ${task.attempt}` : 'none'}`,
      `operation: ${JSON.stringify(operation)}`,
    ].join('; ');
  }
  const myr = (amount: number): Money => ({ amount, currency: 'MYR' });

  test('everything adds up', async () => {
    const { below, oneOf } = randomFrom(SEED);
    const first = await hub.startWorker();
    const skus = ['TEE-1', 'TEE-2', 'TEE-3'];
    // Not enough for all, quotas and credit that end: every refusal comes about.
    const supplier = await makeSupplier(hub, {
      skus,
      onHand: LONG ? 600 : 80,
      price: 500,
      fees: { stockOut: 30, logistics: 20 },
    });
    await hub.store.partnerships.completeSetup(supplier.id, {
      step: 'fees',
      fees: {
        stockOut: { by: 'package', amount: myr(30) },
        logistics: { amount: myr(20) },
        stockInReturn: { by: 'quantity', amount: myr(7) },
      },
    });
    const distributors = [
      await makeDistributor(hub, supplier, { creditLimit: LONG ? 400_000 : 40_000 }),
      await makeDistributor(hub, supplier, { orderQuota: LONG ? 400 : 25 }),
      await makeDistributor(hub, supplier),
    ];
    const shops: ConnectedStore[] = [];
    for (const [index, { id, warehouse }] of distributors.entries())
      shops.push(await makeStore(hub, id, index === 1 ? 'lazada' : 'shopee', skus, { withRule: [warehouse] }));
    await expectAllInOrder(hub);
    await first.stop();
    let worker: Child = await startWorker();

    const orders: { account: string; pkg: string; number: string; lines: { sku: string; quantity: number }[] }[] = [];
    const keys: Parameters<Hub['store']['stock']['adjust']>[0][] = [];
    const adjust = async (input: (typeof keys)[number]) => {
      const { lanes } = await hub.store.stock.adjust(input);
      hub.processes.wakeLanes(lanes);
    };
    const returns: Parameters<typeof takeBack>[] = [];
    const topUps: { id: string; partnership: string; amount: Money }[] = [];
    const packages = () => hub.store.database.models.packages;
    const aSupplyOrder = async (...statuses: SupplyOrderDoc['status'][]) => {
      const rows = await hub.store.database.models.supplyOrders
        .find({ status: { $in: statuses } })
        .limit(50)
        .lean();
      return rows.length > 0 ? oneOf(rows) : undefined;
    };
    const takeBack = async (id: string, input: ReturnInput) => {
      hub.processes.wakeLanes((await hub.store.returns.takeIn(supplier.id, id, input)).lanes);
    };
    const move = async ({ _id, distributor: account, package: pkg }: SupplyOrderDoc, what: SupplyOrderMove) => {
      const moved = await hub.store.orders.moveSupplyOrder(supplier.id, _id, what, {
        command: newId('command'),
        ...(what === 'ship' ? { shipment: { carrier: null, trackingNumber: `T${below(1_000_000)}` } } : {}),
      });
      if (moved.recallToEnd !== null) hub.processes.settleRecall(moved.recallToEnd);
      if (moved.toTell) await hub.processes.startSupplyOrder({ account, package: pkg });
    };
    const recall = async (account: string, pkg: string) => {
      const start = await hub.store.orders.recall(account, pkg, newId('command'), 60_000);
      hub.processes.wakeLanes(start.lanes);
      if (start.pushToEnd !== null) hub.processes.endPush(start.pushToEnd);
      if (!start.over) await hub.processes.startOrderRecall({ account, package: pkg, attempt: start.attempt });
    };
    const commands: Record<string, () => Promise<void>> = {
      async order() {
        const { id: account } = oneOf(distributors);
        const lines = Array.from({ length: 1 + below(3) }, () => ({ sku: oneOf(skus), quantity: 1 + below(3) }));
        const number = `N-${orders.length}-${below(1_000_000)}`;
        const pkg = await makeOrder(hub, account, lines, { number });
        orders.push({ account, pkg, number, lines });
      },
      async buy() {
        const shop = oneOf(shops);
        const { items } = await hub.control.shop(shop.platform, shop.shopId);
        const item = oneOf(items);
        const lines = [{ itemId: item.itemId, modelId: oneOf(item.models).modelId, quantity: 1 + below(2) }];
        const { orderNumber } = await hub.control.createOrder(shop.platform, {
          shopId: shop.shopId,
          lines,
          send: false,
        });
        for (let time = below(3); time >= 0; time -= 1) hub.processes.takeInOrder(shop.id, orderNumber);
      },
      async push() {
        const order = orders.length > 0 ? oneOf(orders) : undefined;
        if (order) await orRefused(push(hub, order.account, order.pkg));
      },
      async pushTwice() {
        const order = orders.at(-1);
        if (order) await Promise.all([1, 2, 3].map(() => orRefused(push(hub, order.account, order.pkg))));
      },
      async orderAgain() {
        const order = orders.length > 0 ? oneOf(orders) : undefined;
        if (order) await makeOrder(hub, order.account, order.lines, { number: order.number });
      },
      async cancel() {
        const order = orders.length > 0 ? oneOf(orders) : undefined;
        if (!order) return;
        const { lanes } = await hub.store.orders.takeIn({
          ...{
            account: order.account,
            store: 'api',
            platform: 'shopee',
            storeName: 'API',
            platformOrder: order.number,
          },
          ...{ state: 'cancelled', platformState: 'CANCELLED', version: 2, placedAt: Date.now(), currency: 'MYR' },
          ...{ shipping: 'platform_logistics', recipient: null, lines: [] },
        });
        hub.processes.wakeLanes(lanes);
      },
      async adjust() {
        const kind = oneOf(['stockIn', 'stockIn', 'stockOut', 'count', 'reserve', 'unreserve', 'inTransit'] as const);
        const key = `adjust/${keys.length}/${below(1_000_000)}`;
        const quantity = kind === 'count' ? 5 + below(30) : below(6);
        const input = { account: supplier.id, warehouse: supplier.warehouse, sku: oneOf(skus), kind, quantity };
        keys.push({ ...input, reason: 'random', document: key, key });
        await orRefused(adjust(keys.at(-1) as (typeof keys)[number]));
      },
      async move() {
        const row = await aSupplyOrder('new', 'packed', 'to_pickup', 'shipped');
        if (row === undefined) return;
        const what = { new: 'pack', packed: 'ready', to_pickup: 'ship', shipped: 'complete' } as const;
        await orRefused(move(row, what[row.status as keyof typeof what]));
      },
      async race() {
        const row = await aSupplyOrder('to_pickup');
        if (row === undefined) return;
        await Promise.all([orRefused(move(row, 'ship')), orRefused(recall(row.distributor, row.package))]);
      },
      async recall() {
        // Of any order, or of one that the supplier has.
        const row = below(3) > 0 ? await aSupplyOrder('new', 'packed', 'to_pickup') : undefined;
        const order = orders.length > 0 ? oneOf(orders) : undefined;
        if (row) await orRefused(recall(row.distributor, row.package));
        else if (order) await orRefused(recall(order.account, order.pkg));
      },
      async answer() {
        const rows = await packages()
          .find({ 'recall.open': true, 'recall.state': 'asked' } as never)
          .limit(50)
          .lean();
        if (rows.length === 0) return;
        const row = oneOf(rows);
        await orRefused(
          hub.processes.answerRecall({
            ...{ account: row.account, package: row._id, attempt: row.recall?.attempt ?? 0 },
            ...{ answer: oneOf(['confirm', 'refuse'] as const), command: newId('command'), reason: null },
          }),
        );
      },
      async giveBack() {
        const row = await aSupplyOrder('shipped', 'completed');
        if (row === undefined) return;
        const line = oneOf(row.lines);
        const quantity = 1 + below(line.quantity);
        const input = {
          command: newId('command'),
          lines: [{ line: line.line, quantity }],
          refund: myr(below(line.price * quantity + 200)),
          stockIn: below(4) > 0,
          ...{ warehouse: null, note: null },
        };
        returns.push([row._id, input]);
        await orRefused(takeBack(row._id, input));
      },
      async giveBackAgain() {
        if (returns.length > 0) await orRefused(takeBack(...oneOf(returns)));
      },
      async stockIn() {
        const row = await aSupplyOrder('cancelled');
        if (row === undefined) return;
        const input = { command: newId('command'), lines: null, warehouse: null };
        await orRefused(hub.store.returns.stockIn(supplier.id, row._id, input));
      },
      async topUp() {
        const { partnership } = oneOf(distributors);
        const booking = { id: `top-up/${below(1_000_000)}`, partnership, amount: myr(100 + below(5_000)) };
        topUps.push(booking);
        await hub.store.billing.bookByHand(supplier.id, { ...booking, type: 'top_up' });
      },
      async topUpAgain() {
        if (topUps.length > 0) await hub.store.billing.bookByHand(supplier.id, { ...oneOf(topUps), type: 'top_up' });
      },
      async adjustAgain() {
        if (keys.length > 0) await orRefused(adjust(oneOf(keys)));
      },
    };
    const names = [
      'order',
      'order',
      'order',
      'buy',
      'push',
      'push',
      'pushTwice',
      'orderAgain',
      'cancel',
      ...['move', 'move', 'move', 'move', 'race', 'recall', 'recall', 'answer', 'answer'],
      ...['giveBack', 'giveBackAgain', 'stockIn', 'topUp', 'topUpAgain', 'adjust', 'adjust', 'adjustAgain'],
    ];
    const turn = pLimit(AT_ONCE);
    const startedAt = Date.now();
    const parts = Math.ceil(COMMANDS / PER_PART);
    const deaths = Array.from({ length: WORKER_DEATHS }, (_, nth) =>
      Math.round(((nth + 1) * parts) / (WORKER_DEATHS + 1)),
    );
    for (let part = 0; part < parts; part += 1) {
      const all = Promise.all(
        Array.from({ length: PER_PART }, () => {
          const name = oneOf(names);
          return turn(() => untilTaken(async () => commands[name]?.()));
        }),
      );
      if (deaths.includes(part)) {
        // In the middle of it.
        await worker.kill();
        await endSessionsOf(worker, hub.store.database.connection);
        worker = await startWorker();
      }
      await all;
      // The worker keeps pace, so that what is pushed can be moved, recalled and returned. What a dead one's transaction still
      // locks is free after a minute at the latest, and pushed after that.
      await eventually(async () => {
        const pushing = await packages().find({ status: 'pushing' }).lean();
        if (pushing.length > 0) throw new Error(`being pushed: ${await Promise.all(pushing.map(whereItStands))}`);
      });
    }
    await hub.processes.flush();
    // Cheap to ask: a look at everything takes its time after a long day.
    await eventually(async () => {
      const { models } = hub.store.database;
      const due = await models.dues.find({ failed: false }).lean();
      if (due.length > 0) throw new Error(await whatStands(hub, due));
    });
    await expectAllInOrder(hub);
    const tally: Record<string, number> = {};
    for (const { status } of await packages().find({}, { status: 1 }).lean()) tally[status] = (tally[status] ?? 0) + 1;
    // In a short day a rare one may not have come about.
    for (const type of ['order_push', 'top_up', ...(LONG ? ['order_recall', 'return_refund', 'return_charge'] : [])])
      expect([type, await hub.store.database.models.records.countDocuments({ type } as never)]).not.toEqual([type, 0]);
    const perSecond = Math.round(COMMANDS / ((Date.now() - startedAt) / 1_000));
    process.stdout.write(`${COMMANDS} commands, ${perSecond} a second: ${JSON.stringify(tally)}\n`);
    // What is left is pushed, too.
    for (const { account, _id } of await packages()
      .find({ status: { $in: ['new', 'push_failed'] } })
      .limit(20)
      .lean())
      await orRefused(push(hub, account, _id));
    await expectAllInOrder(hub);
  });
});
