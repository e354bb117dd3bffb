import { isHubError } from '../../domain/failures';
import { eventually, type Hub, startHub } from '../support/hub';
import { type Distributor, makeDistributor, makeOrder, makeSupplier, type Supplier } from '../support/scenario';

describe('an order that its buyer cancels', () => {
  let hub: Hub;
  let supplier: Supplier;
  let distributor: Distributor;
  beforeAll(async () => {
    hub = await startHub();
    supplier = await makeSupplier(hub, { onHand: 10 });
    distributor = await makeDistributor(hub, supplier);
    await eventually(async () => expect((await levels()).onHand).toBe(10));
  });
  afterAll(() => hub.stop());

  const levels = async () => {
    const [level] = await hub.store.stock.levelsIn(distributor.id, 'TEE-1');
    if (!level) throw new Error('no stock');
    return level;
  };
  const tell = (number: string, state: 'ready_to_ship' | 'cancelled', version: number) =>
    hub.store.orders.takeIn({
      account: distributor.id,
      store: 'api',
      platform: 'shopee',
      storeName: 'API',
      platformOrder: number,
      state,
      platformState: state,
      version,
      placedAt: 1,
      currency: 'MYR',
      shipping: 'platform_logistics',
      recipient: null,
      lines: [{ line: '1', title: 'Tee', quantity: 3, listing: null, sku: 'TEE-1' }],
    });
  const packageOf = (id: string) => hub.store.orders.package(distributor.id, id);

  test('before its push gives its goods back and can not be pushed', async () => {
    const { packages } = await tell('A', 'ready_to_ship', 1);
    const [pkg = ''] = packages;
    expect(await levels()).toMatchObject({ allocated: 3, available: 7 });
    await tell('A', 'cancelled', 2);
    expect(await packageOf(pkg)).toMatchObject({ status: 'cancelled', allocated: false });
    expect(await levels()).toMatchObject({ allocated: 0, available: 10 });
    await expect(hub.store.orders.beginPush(distributor.id, pkg)).rejects.toMatchObject({ code: 'not_pushable' });
    // Nothing brings it back, whatever comes late.
    expect(await tell('A', 'ready_to_ship', 3)).toMatchObject({ outcome: 'unchanged' });
  });

  test('while its push is under way is not charged: the push ends and gives the goods back', async () => {
    const { packages } = await tell('B', 'ready_to_ship', 1);
    const [pkg = ''] = packages;
    await hub.store.orders.beginPush(distributor.id, pkg);
    await tell('B', 'cancelled', 2);
    expect(await packageOf(pkg)).toMatchObject({ status: 'pushing', allocated: true });
    expect(await hub.store.orders.push(pkg, 1)).toMatchObject({ outcome: 'superseded', status: 'cancelled' });
    expect(await packageOf(pkg)).toMatchObject({ status: 'cancelled', allocated: false, supplyOrder: null });
    expect(await levels()).toMatchObject({ allocated: 0, available: 10 });
    expect(await hub.store.billing.account(null, distributor.partnership)).toMatchObject({ balance: 0 });
  });

  test('while its push is parked gives the goods back when that is abandoned', async () => {
    const { packages } = await tell('C', 'ready_to_ship', 1);
    const [pkg = ''] = packages;
    await hub.store.orders.beginPush(distributor.id, pkg);
    await hub.store.orders.park(pkg, 1, { code: 'unavailable', detail: 'away' });
    await tell('C', 'cancelled', 2);
    expect(await packageOf(pkg)).toMatchObject({ status: 'push_failed', parked: true, allocated: true });
    expect(await hub.store.orders.abandon(pkg, 1, 'test')).toMatchObject({ pushed: false });
    expect(await packageOf(pkg)).toMatchObject({ status: 'cancelled', allocated: false, parked: false });
    expect(await levels()).toMatchObject({ allocated: 0, available: 10 });
  });

  test('at the very moment its push ends: either it is pushed, or its goods are back', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { packages } = await tell(`D${round}`, 'ready_to_ship', 1);
      const [pkg = ''] = packages;
      await hub.store.orders.beginPush(distributor.id, pkg);
      await Promise.all([tell(`D${round}`, 'cancelled', 2), hub.store.orders.abandon(pkg, 1, 'test')]);
      expect(await packageOf(pkg)).toMatchObject({ status: 'cancelled', allocated: false });
    }
    expect(await levels()).toMatchObject({ allocated: 0, available: 10 });
  });
});

/** Units that are there, in the race for three times as many: more of them would only wait for each other. */
const UNITS = 8;

describe('pushes that race without taking turns', () => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub({ withoutWorker: true });
  });
  afterAll(() => hub.stop());

  /** As its workflow does: one that waited too long for the others is said again, and finds what it did. */
  async function untilAnswered<T>(work: () => Promise<T>): Promise<T> {
    for (;;)
      try {
        return await work();
      } catch (error) {
        if (!isHubError(error) || error.code !== 'unavailable') throw error;
      }
  }

  /** Begins this many pushes of one unit, then runs them at once: no supplier is named, so only the guards keep them apart. */
  async function race(account: string, count: number): Promise<string[]> {
    const packages: string[] = [];
    for (let index = 0; index < count; index += 1)
      packages.push(await makeOrder(hub, account, [{ sku: 'TEE-1', quantity: 1 }]));
    for (const pkg of packages) await hub.store.orders.beginPush(account, pkg);
    const ends = await Promise.all(packages.map((pkg) => untilAnswered(() => hub.store.orders.push(pkg, 1))));
    return ends.map(({ outcome }) => outcome);
  }
  const countOf = (outcomes: readonly string[], wanted: string) => outcomes.filter((one) => one === wanted).length;

  test(`of ${UNITS * 3} on ${UNITS} units exactly ${UNITS} go through, and the books agree`, async () => {
    const supplier = await makeSupplier(hub, { onHand: UNITS, price: 100 });
    const distributor = await makeDistributor(hub, supplier);
    const outcomes = await race(distributor.id, UNITS * 3);
    expect([countOf(outcomes, 'pushed'), countOf(outcomes, 'refused')]).toEqual([UNITS, UNITS * 2]);
    const [level] = await hub.store.stock.levelsIn(supplier.id, 'TEE-1');
    expect(level).toMatchObject({ onHand: UNITS, allocated: UNITS, available: 0 });
    expect(await hub.store.billing.account(null, distributor.partnership)).toMatchObject({ balance: -100 * UNITS });
    expect(await hub.store.accounts.quota(supplier.id)).toMatchObject({ used: UNITS });
  });

  test('against credit for 5, of three times as many exactly 5 go through; against a quota of 4, exactly 4', async () => {
    const supplier = await makeSupplier(hub, { onHand: 1_000, price: 100 });
    const poor = await makeDistributor(hub, supplier, { creditLimit: 500 });
    expect(countOf(await race(poor.id, 15), 'pushed')).toBe(5);
    expect(await hub.store.billing.account(null, poor.partnership)).toMatchObject({ balance: -500 });
    const small = await makeDistributor(hub, supplier, { orderQuota: 4 });
    expect(countOf(await race(small.id, 12), 'pushed')).toBe(4);
  });
});
