/** A random day: orders, pushes, cancellations, stock changes, repeats and dead workers in any order; then all must add up. */
import { randomInt } from 'node:crypto';
import pLimit from 'p-limit';
import { isHubError } from '../../domain/failures';
import { type Child, endChildren, endSessionsOf, startChild } from '../support/children';
import { type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import { PATIENT, placeOf, sweepEverySecond } from '../support/parts';
import { type ConnectedStore, makeDistributor, makeOrder, makeStore, makeSupplier, push } from '../support/scenario';

const LONG = process.env.LONG === '1';
const COMMANDS = LONG ? 600 : 60;
const WORKER_DEATHS = LONG ? 8 : 1;
const AT_ONCE = 6;
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

  test('everything adds up', async () => {
    const { below, oneOf } = randomFrom(SEED);
    const first = await hub.startWorker();
    const skus = ['TEE-1', 'TEE-2', 'TEE-3'];
    // Not enough for all, quotas and credit that end: every refusal comes about.
    const supplier = await makeSupplier(hub, { skus, onHand: 15, price: 500, fees: { stockOut: 30, logistics: 20 } });
    const distributors = [
      await makeDistributor(hub, supplier, { creditLimit: LONG ? 60_000 : 10_000 }),
      await makeDistributor(hub, supplier, { orderQuota: LONG ? 100 : 12 }),
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
      'adjust',
      'adjustAgain',
    ];
    const turn = pLimit(AT_ONCE);
    const part = Math.ceil(COMMANDS / (WORKER_DEATHS + 1));
    for (let from = 0; from < COMMANDS; from += part) {
      const all = Promise.all(
        Array.from({ length: Math.min(part, COMMANDS - from) }, () => {
          const name = oneOf(names);
          return turn(() => commands[name]?.());
        }),
      );
      if (from > 0) {
        // In the middle of it.
        await worker.kill();
        await endSessionsOf(worker, hub.store.database.connection);
        worker = await startWorker();
      }
      await all;
    }
    await hub.processes.flush();
    await expectAllInOrder(hub, 90_000);
    const { packages } = hub.store.database.models;
    const statuses = await packages.distinct('status');
    expect(statuses).toContain('pushed');
    // What is left is pushed, too.
    for (const { account, _id } of await packages.find({ status: { $in: ['new', 'push_failed'] } }).lean())
      await orRefused(push(hub, account, _id));
    await expectAllInOrder(hub, 90_000);
  }, 600_000);
});
