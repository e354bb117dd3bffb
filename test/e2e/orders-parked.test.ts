/** Pushes that do not go through at once, over HTTP with the sandbox's shops behind: their waits, and what becomes of the order meanwhile. */
import { operationIdOf, orderPushId, processId } from '../../domain/process-ids';
import type { Store } from '../../store';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import { buy, noticesOf, type Platform, type SellerScene, startSellerScene } from '../support/seller-scene';

const BUDGET = { attempts: 4, firstWaitMs: 150, longestWaitMs: 10_000 };
/** Inside the workflow's task, before those of the budget. */
const FAST_TRIES = 2;

let scene: SellerScene;
let hub: Hub;
let seller: HttpClient;
let maker: HttpClient;
/** Every push finds the database away. */
let isAway = false;
/** When each package was tried. */
const tries = new Map<string, number[]>();

const breakable = (store: Store): Store => ({
  ...store,
  orders: {
    ...store.orders,
    async push(pkg, ...more) {
      tries.set(pkg, [...(tries.get(pkg) ?? []), Date.now()]);
      if (isAway) throw Object.assign(new Error('away'), { name: 'MongoNetworkError' });
      return store.orders.push(pkg, ...more);
    },
  },
});

beforeAll(async () => {
  scene = await startSellerScene({ orderPush: BUDGET, platformTimeoutMs: 1_000, wrapStore: breakable });
  ({ hub, seller, maker } = scene);
});
afterAll(() => scene?.close());
afterEach(() => {
  isAway = false;
});

const orderNow = async (id: string) => expectReply(seller.get(`/orders/${id}`), 200);
const packageNow = async (id: string, pkg: string) =>
  (await orderNow(id)).packages.find((row: { id: string }) => row.id === pkg);
const operationNow = async (pkg: string) =>
  expectReply(seller.get(`/operations/${operationIdOf(orderPushId(pkg, 1))}`), 200);
const allocated = async () => (await expectReply(seller.get('/stock?sku=TEE-1'), 200)).items[0].allocated as number;

/** All that a push changes, as the two sides see it. */
async function books() {
  const { items } = await expectReply(maker.get('/stock?sku=TEE-1'), 200);
  const path = `/distributor/suppliers/${scene.distributor.partnership}/reconciliation`;
  const { billing } = await expectReply(seller.get(path), 200);
  const used = async (call: HttpClient) => (await expectReply(call.get('/account'), 200)).ordersThisMonth;
  return { stock: items, billing, used: [await used(seller), await used(maker)] };
}

/** @returns the order, with the package that is the supplier's */
async function ordered(platform: Platform, quantities: Record<string, number>) {
  const { id, number, packages } = await buy(scene, platform, quantities);
  return { id, number, pkg: packages.find(({ partnership }) => partnership !== null)?.id ?? '' };
}
const isParked = (id: string, pkg: string) =>
  eventually(async () =>
    expect(await packageNow(id, pkg)).toMatchObject({ status: 'push_failed', retryable: true, supplyOrder: null }),
  );
async function parked(platform: Platform, quantities: Record<string, number>) {
  isAway = true;
  const order = await ordered(platform, quantities);
  await expectReply(seller.post(`/orders/${order.id}/push`), 202);
  await isParked(order.id, order.pkg);
  isAway = false;
  return order;
}

describe('a push that finds the database away', () => {
  test('is tried again with growing waits, holding nothing; then it is parked', async () => {
    const before = await books();
    isAway = true;
    const { id, pkg } = await ordered('shopee', { 'TEE-1': 2 });
    const { operation } = await expectReply(seller.post(`/orders/${id}/push`), 202);
    await eventually(() => expect(tries.get(pkg)?.length).toBe(FAST_TRIES + 2));
    expect(await packageNow(id, pkg)).toMatchObject({ status: 'pushing', attempt: 1, failure: null });
    expect(await operationNow(pkg)).toMatchObject({ id: operation.id, status: 'running' });
    expect(await books()).toEqual(before);
    await isParked(id, pkg);
    expect(await operationNow(pkg)).toMatchObject({ status: 'parked', error: { code: 'unavailable' } });
    const times = tries.get(pkg) ?? [];
    expect(times).toHaveLength(FAST_TRIES + BUDGET.attempts);
    const [first = 0, ...later] = times.slice(FAST_TRIES);
    const waits = later.map((time, index) => time - (later[index - 1] ?? first));
    // Each at least twice the one before it; clocks round.
    for (const [index, waited] of waits.entries()) expect(waited).toBeGreaterThan(BUDGET.firstWaitMs * 2 ** index - 10);
    expect(await books()).toEqual(before);
  });

  test('goes through by itself once it is back', async () => {
    isAway = true;
    const { id, pkg } = await ordered('lazada', { 'TEE-1': 1 });
    await expectReply(seller.post(`/orders/${id}/push`), 202);
    await eventually(() => expect(tries.get(pkg)?.length).toBeGreaterThan(FAST_TRIES));
    isAway = false;
    await eventually(async () => expect(await packageNow(id, pkg)).toMatchObject({ status: 'pushed', attempt: 1 }));
    expect(await operationNow(pkg)).toMatchObject({ status: 'done' });
    expect(await noticesOf(seller, 'order_push_failed', pkg)).toEqual([]);
  });
});

/** What the platform says now is taken in. */
async function takenIn(platform: Platform, number: string) {
  const store = scene.shops[platform].id;
  await hub.processes.takeInOrderNow(store, number);
  await hub.client.workflow.getHandle(processId('order-intake', { store, platformOrder: number })).result();
}

describe('an order that leaves its platform while its push is parked', () => {
  const admin = () => createHttpClient(scene.api.url)('the-admin-key-of-the-tests-only');
  const ENDS: Record<string, (order: { id: string; pkg: string }) => Promise<unknown>> = {
    'given up': ({ pkg }) => expectReply(seller.post(`/operations/${operationIdOf(orderPushId(pkg, 1))}/abandon`), 202),
    recalled: ({ id }) => expectReply(seller.post(`/orders/${id}/recall`), 200),
    async 'tried again, and refused'({ id, pkg }) {
      const quota = (orderQuota: number | null) =>
        expectReply(admin().patch(`/accounts/${scene.supplier.id}`, { orderQuota }), 200);
      await quota(0);
      await expectReply(seller.post(`/orders/${id}/push`), 202);
      await eventually(async () =>
        expect(await operationNow(pkg)).toMatchObject({ status: 'failed', error: { code: 'push_blocked' } }),
      );
      await quota(null);
    },
  };

  test.each(Object.entries(ENDS))('%s, it holds nothing any more', async (_how, end) => {
    const before = { books: await books(), allocated: await allocated() };
    const order = await parked('shopee', { 'TEE-1': 3 });
    await hub.control.advanceOrder('shopee', order.number, { state: 'shipped' });
    await eventually(async () => expect((await orderNow(order.id)).platformState).toBe('SHIPPED'));
    // Whether it will be pushed after all is not decided yet.
    expect(await packageNow(order.id, order.pkg)).toMatchObject({ status: 'push_failed', retryable: true });
    expect(await allocated()).toBe(before.allocated + 3);
    await end(order);
    await eventually(async () =>
      expect(await packageNow(order.id, order.pkg)).toMatchObject({
        ...{ status: 'shipped', retryable: false, failure: null, blockers: [], supplyOrder: null, charge: null },
      }),
    );
    expect(await allocated()).toBe(before.allocated);
    expect(await books()).toEqual(before.books);
    expect(await seller.post(`/orders/${order.id}/push`)).toMatchObject({
      ...{ status: 409, body: { code: 'not_pushable', currentStatus: 'shipped' } },
    });
  });
});

describe('lines that a platform cancels while the push of their package is parked', () => {
  const cancelThere = async (number: string, line: string) => {
    await hub.control.advanceOrder('lazada', number, {
      ...{ state: 'ready_to_ship', lines: { [line]: 'cancelled' }, send: false },
    });
    await takenIn('lazada', number);
  };

  test('are released, and not pushed with the others', async () => {
    const before = { billing: (await books()).billing, allocated: await allocated() };
    const { id, number, pkg } = await parked('lazada', { 'TEE-1': 3 });
    const [gone = '', ...kept] = (await packageNow(id, pkg)).lines.map(
      ({ line }: { line: string }) => line,
    ) as string[];
    await cancelThere(number, gone);
    expect((await orderNow(id)).lines.map(({ line }: { line: string }) => line).sort()).toEqual([...kept].sort());
    expect(await packageNow(id, pkg)).toMatchObject({ status: 'push_failed', retryable: true, lines: { length: 2 } });
    expect(await allocated()).toBe(before.allocated + 2);
    expect(await noticesOf(seller, 'recall_refused', pkg)).toEqual([]);
    await expectReply(seller.post(`/operations/${operationIdOf(orderPushId(pkg, 1))}/retry`), 202);
    await eventually(async () => expect(await packageNow(id, pkg)).toMatchObject({ status: 'pushed', attempt: 1 }));
    const { supplyOrder, charge } = await packageNow(id, pkg);
    // 2 × 10.00 and the stock-out charge.
    expect(charge.total).toEqual({ amount: '20.50', currency: 'MYR' });
    expect(await expectReply(maker.get(`/supply-orders/${supplyOrder}`), 200)).toMatchObject({ lines: { length: 2 } });
    const spent = Number(before.billing.balance.amount) - Number((await books()).billing.balance.amount);
    expect(spent).toBeCloseTo(20.5, 5);
    expect(await allocated()).toBe(before.allocated);
  });

  test('end the push where they are all that was in it', async () => {
    const before = { books: await books(), allocated: await allocated() };
    const { id, number, pkg } = await parked('lazada', { 'TEE-1': 1, 'OWN-1': 1 });
    const [{ line }] = (await packageNow(id, pkg)).lines;
    await cancelThere(number, line);
    expect(await packageNow(id, pkg)).toMatchObject({ status: 'cancelled', retryable: false, failure: null });
    expect(await orderNow(id)).toMatchObject({ status: 'new', lines: [{ sku: 'OWN-1' }] });
    expect(await operationNow(pkg)).toMatchObject({ status: 'abandoned', error: { code: 'abandoned' } });
    expect(await hub.client.workflow.getHandle(orderPushId(pkg, 1)).result()).toBe('abandoned');
    expect(await allocated()).toBe(before.allocated);
    expect(await books()).toEqual(before.books);
  });
});

test('in the end everything is in order', async () => {
  // What stands parked waits for somebody.
  for (const { id } of (await expectReply(seller.get('/operations?status=parked&kind=order_push'), 200)).items) {
    await expectReply(seller.post(`/operations/${id}/abandon`), 202);
    const pkg = id.replace(/^order-push\.(.*)\.1$/, '$1');
    await eventually(async () =>
      expect(await noticesOf(seller, 'order_push_failed', pkg)).toContainEqual(
        expect.objectContaining({ detail: 'an operator abandoned it' }),
      ),
    );
  }
  await expectAllInOrder(hub);
});
