/** Orders in, over HTTP, with the sandbox's shops behind: polling, lost pushes, and what the end of it all is. */
import type { ActivityDeps } from '../../activities/deps';
import { createOrderPollActivities, fetchLostPushes } from '../../activities/order-poll';
import type { LostPushes, MarketplaceConnector } from '../../connectors/port';
import { newId } from '../../domain/ids';
import { orderPollId } from '../../domain/process-ids';
import type { SandboxOrderState } from '../../sandbox/marketplaces/state';
import type { Store } from '../../store';
import { taskQueueOf } from '../../workflows/ids';
import { databaseAway } from '../support/broken-store';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import {
  type ConnectedStore,
  type Distributor,
  makeDistributor,
  makeStore,
  makeSupplier,
  type Supplier,
} from '../support/scenario';
import { serveApi } from '../support/served-api';

const PLATFORMS = ['shopee', 'lazada'] as const;
type Platform = (typeof PLATFORMS)[number];
const LONG = process.env.LONG === '1';
const POLLS = { intervalMs: 3_600_000, overlapMs: 5_000 };
const BUDGET = { attempts: 2, firstWaitMs: 20, longestWaitMs: 50 };

let hub: Hub;
let api: Awaited<ReturnType<typeof serveApi>>;
let as: (key: string) => HttpClient;
let supplier: Supplier;
/** So many polls find the database away when they are to write how far they are. */
let failingEnds = 0;

const breakable = (store: Store): Store => ({
  ...store,
  orderPolls: {
    ...store.orderPolls,
    async reached(shop, until) {
      if (failingEnds > 0) {
        failingEnds -= 1;
        throw databaseAway();
      }
      return store.orderPolls.reached(shop, until);
    },
  },
});

beforeAll(async () => {
  hub = await startHub({ polls: POLLS, platformTimeoutMs: 1_000, sweepGraceMs: 1, wrapStore: breakable });
  api = await serveApi({ ...hub, checkAnswers: true });
  as = createHttpClient(api.url);
  await hub.control.configure({ callbackBaseUrl: api.url });
  supplier = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 100_000 });
});
afterAll(async () => {
  for (const { _id } of await hub.store.database.models.stores.find({}, { _id: 1 }).lean())
    await hub.processes.stopPolling(_id);
  await api?.close();
  await hub?.stop();
});
afterEach(async () => {
  for (const platform of PLATFORMS) await hub.control.clearFaults(platform);
});

interface Seller extends Distributor {
  readonly call: HttpClient;
  /** Their own warehouse, with 10,000 of OWN-1. */
  readonly own: string;
}

/** A distributor with goods of their own and claimed ones. */
async function makeSeller(): Promise<Seller> {
  const distributor = await makeDistributor(hub, supplier);
  const call = as(distributor.key);
  const own = (await expectReply(call.post('/warehouses', { name: 'Mine' }), 201)).id;
  await expectReply(call.post('/skus', { sku: 'OWN-1', name: 'Own' }), 201);
  const stockIn = { warehouse: own, sku: 'OWN-1', kind: 'stockIn', quantity: 10_000, reason: 'first' };
  await expectReply(call.post('/stock/adjustments', stockIn), 200);
  return { ...distributor, call, own };
}

const SKUS = ['OWN-1', 'TEE-1'];

interface LineAnswer {
  readonly sku: string;
  readonly quantity: number;
  readonly price: unknown;
}
interface PackageAnswer {
  readonly id: string;
  readonly status: string;
  readonly partnership: string | null;
  readonly warehouse: string | null;
  readonly lines: readonly LineAnswer[];
}
interface StockAnswer {
  readonly sku: string;
  readonly onHand: number;
  readonly allocated: number;
  readonly available: number;
}

/** A buyer orders so many of each. */
async function ordered(
  shop: ConnectedStore,
  quantities: Record<string, number>,
  options: { state?: SandboxOrderState; send?: boolean } = {},
): Promise<string> {
  const { items } = await hub.control.shop(shop.platform, shop.shopId);
  const lines = items.flatMap(({ itemId, models }) =>
    models.flatMap(({ modelId, sku }) =>
      quantities[sku] === undefined ? [] : [{ itemId, modelId, quantity: quantities[sku] }],
    ),
  );
  return (await hub.control.createOrder(shop.platform, { shopId: shop.shopId, lines, ...options })).orderNumber;
}

const orderOf = async (call: HttpClient, number: string) =>
  (await expectReply(call.get(`/orders?number=${number}`), 200)).items[0];

/** Runs one poll as its schedule does. */
const startPoll = (shop: ConnectedStore) =>
  hub.client.workflow.start('orderPoll', {
    workflowId: `${orderPollId(shop.id)}-${newId('job')}`,
    taskQueue: taskQueueOf(hub.queuePrefix),
    args: [{ store: shop.id, budget: BUDGET }],
  });
const poll = async (shop: ConnectedStore) => (await startPoll(shop)).result();
const reached = async (shop: ConnectedStore) => (await hub.store.orderPolls.of(shop.id))?.until.getTime() ?? 0;
const sweep = () =>
  hub.client.workflow.execute('sweep', {
    workflowId: newId('job'),
    taskQueue: taskQueueOf(hub.queuePrefix),
    args: [],
  });
/** Nothing waits in the inbox any more. */
const inboxIsEmpty = () =>
  eventually(async () => {
    await hub.processes.flush();
    expect(await hub.store.database.models.inbox.countDocuments({ status: 'stored' })).toBe(0);
  });

describe('the schedule of a store’s polls', () => {
  const schedules = async (id: string) => {
    try {
      return await hub.client.schedule.getHandle(`${taskQueueOf(hub.queuePrefix)}/${orderPollId(id)}`).describe();
    } catch {
      return null;
    }
  };

  test('is there while the store is connected, and made again by the sweep', async () => {
    const seller = await makeSeller();
    const shop = await hub.control.createShop('shopee', {
      name: 'By its owner',
      currency: 'MYR',
      items: [{ title: 'Item', models: [{ sku: 'OWN-1', price: '1.00', stock: 1 }] }],
    });
    const { id } = await expectReply(seller.call.post('/stores', { platform: 'shopee', name: 'By its owner' }), 201);
    const authorize = async (code: string) => {
      const { url } = await expectReply(seller.call.get(`/stores/${id}/authorization-url`), 200);
      const redirect = new URL(new URL(url).searchParams.get('redirect') ?? '');
      const query = new URLSearchParams({
        state: redirect.searchParams.get('state') ?? '',
        code,
        shop_id: shop.shopId,
      });
      expect((await fetch(`${api.url}/v1/stores/callback/shopee?${query}`)).status).toBe(200);
    };
    expect(await schedules(id)).toBeNull();
    await authorize(shop.code);
    expect((await schedules(id))?.spec.intervals).toMatchObject([{ every: POLLS.intervalMs }]);

    const store: ConnectedStore = { id, shopId: shop.shopId, platform: 'shopee' };
    const number = await ordered(store, { 'OWN-1': 1 }, { send: false });
    const polledUntil = async () =>
      Date.parse((await expectReply(seller.call.get('/stores'), 200)).items[0].polledUntil);
    const asked = Date.now();
    expect(await polledUntil()).toBeLessThanOrEqual(asked);
    await hub.client.schedule.getHandle(`${taskQueueOf(hub.queuePrefix)}/${orderPollId(id)}`).trigger();
    await eventually(async () => expect(await orderOf(seller.call, number)).toMatchObject({ number }));
    await eventually(async () => expect(await polledUntil()).toBeGreaterThan(asked));

    // Lost: the sweep finds that nobody looked for too long.
    await hub.processes.stopPolling(id);
    await hub.store.database.models.orderPolls.updateOne({ _id: id }, { $set: { lookedAt: new Date(1) } });
    await sweep();
    expect(await schedules(id)).not.toBeNull();

    // Needs its owner: the next poll ends it, and the authorisation brings it back.
    await hub.control.addFault('shopee', { kind: 'revoke_refresh', shopId: shop.shopId });
    await hub.control.addFault('shopee', { kind: 'expire_token', shopId: shop.shopId });
    expect(await poll(store)).toBe('not_connected');
    expect(await schedules(id)).toBeNull();
    expect((await hub.store.stores.byId(id)).status).toBe('needs_authorization');
    const missed = await ordered(store, { 'OWN-1': 2 }, { send: false });
    await authorize((await hub.control.authorize('shopee', shop.shopId)).code);
    expect(await schedules(id)).not.toBeNull();
    expect(await poll(store)).toBe('done');
    await eventually(async () => expect(await orderOf(seller.call, missed)).toMatchObject({ number: missed }));

    expect((await seller.call.delete(`/stores/${id}`)).status).toBe(204);
    expect(await schedules(id)).toBeNull();
    expect(await poll(store)).toBe('not_connected');
  });
});

describe.each(LONG ? PLATFORMS : PLATFORMS.slice(0, 1))('polling a store of %s', (platform) => {
  let seller: Seller;
  let shop: ConnectedStore;
  beforeAll(async () => {
    seller = await makeSeller();
    shop = await makeStore(hub, seller.id, platform, SKUS);
  });
  const listPath = platform === 'shopee' ? 'get_order_list' : '/orders/get';

  test('finds what no push told of, once; what pushes told of is no news', async () => {
    const told = await ordered(shop, { 'OWN-1': 1 });
    const missed = await ordered(shop, { 'TEE-1': 2 }, { send: false });
    await inboxIsEmpty();
    expect(await poll(shop)).toBe('done');
    await inboxIsEmpty();
    for (const number of [told, missed]) expect(await orderOf(seller.call, number)).toMatchObject({ status: 'new' });
    const rows = () => hub.store.database.models.inbox.countDocuments({ store: shop.id });
    const before = await rows();
    // The windows overlap: the same again is nothing new.
    expect(await poll(shop)).toBe('done');
    expect(await rows()).toBe(before);
    const all = await expectReply(seller.call.get(`/orders?store=${shop.id}`), 200);
    expect(all.items).toHaveLength(2);
  });

  test('a platform that is down or asks to wait moves no window, and nothing is lost', async () => {
    const missed = await ordered(shop, { 'OWN-1': 1 }, { send: false });
    const before = await reached(shop);
    await hub.control.addFault(platform, { kind: 'down', pathContains: listPath, shopId: shop.shopId });
    expect(await poll(shop)).toBe('failed');
    expect(await reached(shop)).toBe(before);
    expect((await hub.store.orderPolls.of(shop.id))?.failure).toMatchObject({ code: 'platform_unavailable' });
    await hub.control.clearFaults(platform);
    await hub.control.addFault(platform, { kind: 'throttle', pathContains: listPath, times: 1, retryAfterS: 1 });
    const from = Date.now();
    expect(await poll(shop)).toBe('done');
    expect(Date.now() - from).toBeGreaterThan(900);
    expect(await reached(shop)).toBeGreaterThanOrEqual(from);
    await eventually(async () => expect(await orderOf(seller.call, missed)).toMatchObject({ number: missed }));
  });

  test('a token that ended is renewed once for two polls at once, and nothing is doubled', async () => {
    const missed = await Promise.all(Array.from({ length: 5 }, () => ordered(shop, { 'TEE-1': 1 }, { send: false })));
    await hub.control.addFault(platform, { kind: 'expire_token', shopId: shop.shopId });
    const path = platform === 'shopee' ? 'access_token/get' : 'token/refresh';
    const since = Date.now();
    const polls = await Promise.all([startPoll(shop), startPoll(shop)]);
    expect(await Promise.all(polls.map((one) => one.result()))).toEqual(['done', 'done']);
    expect((await hub.control.calls({ platform, pathContains: path, since, limit: 0 })).count).toBe(1);
    await inboxIsEmpty();
    for (const number of missed) {
      const { items } = await expectReply(seller.call.get(`/orders?number=${number}`), 200);
      expect(items).toMatchObject([{ status: 'new', packages: [{ lines: [{ quantity: 1 }] }] }]);
    }
  });

  test('what was told before the platform’s own details knew it is asked for again', async () => {
    const number = await ordered(shop, { 'OWN-1': 1 });
    await inboxIsEmpty();
    await hub.control.advanceOrder(platform, number, { state: 'completed', send: false });
    // As when a push's fetch still read the state of before: the event is dealt with, the order is not.
    await poll(shop);
    await inboxIsEmpty();
    await hub.store.database.models.orders.updateOne(
      { store: shop.id, platformOrder: number },
      { $set: { state: 'ready_to_ship', platformState: 'old' }, $inc: { version: -10_000 } },
    );
    await poll(shop);
    await inboxIsEmpty();
    expect((await orderOf(seller.call, number)).platformState).not.toBe('old');
  });

  test('one that ends in the middle moves no window; what it put into the inbox is not put there twice', async () => {
    const missed = await Promise.all(Array.from({ length: 3 }, () => ordered(shop, { 'OWN-1': 1 }, { send: false })));
    const before = await reached(shop);
    failingEnds = 1;
    await hub.control.addFault(platform, { kind: 'hang', pathContains: listPath, times: 1, shopId: shop.shopId });
    const running = await startPoll(shop);
    await eventually(() => expect(failingEnds).toBe(0));
    expect(await reached(shop)).toBe(before);
    const rows = await hub.store.database.models.inbox.countDocuments({ store: shop.id });
    await running.result();
    expect(await poll(shop)).toBe('done');
    expect(await reached(shop)).toBeGreaterThan(before);
    expect(await hub.store.database.models.inbox.countDocuments({ store: shop.id })).toBe(rows);
    await inboxIsEmpty();
    for (const number of missed) expect(await orderOf(seller.call, number)).toMatchObject({ status: 'new' });
  });
});

test('lost pushes are fetched by the sweep, stored, and only then confirmed', async () => {
  const seller = await makeSeller();
  const shop = await makeStore(hub, seller.id, 'shopee', SKUS);
  await hub.control.addFault('shopee', { kind: 'push_drop', shopId: shop.shopId });
  const number = await ordered(shop, { 'OWN-1': 1 });
  await hub.control.clearFaults('shopee', 'push_drop');
  const confirmed = async () =>
    (await hub.control.pushes({ platform: 'shopee', orderNumber: number })).pushes.map((push) => push.confirmed);
  // The confirmation is lost: they are given once more, and are no news then.
  await hub.control.addFault('shopee', { kind: 'down', pathContains: 'confirm_consumed', times: 1 });
  await sweep();
  await inboxIsEmpty();
  expect(await orderOf(seller.call, number)).toMatchObject({ status: 'new' });
  expect(await confirmed()).toEqual([undefined]);
  await sweep();
  expect(await confirmed()).toEqual([true]);
  expect((await expectReply(seller.call.get(`/orders?number=${number}`), 200)).items).toHaveLength(1);
});

describe('a platform whose answers lead nowhere', () => {
  const push = (order: string) => ({
    push: { kind: 'other', shopId: null, dedupeKey: `odd:${newId('command')}`, occurredAt: 0 } as const,
    body: order,
  });
  const rounds = async (answer: (round: number) => Partial<LostPushes>, cancelledAfter = Infinity) => {
    let asked = 0;
    const confirmed: string[] = [];
    const shopee = {
      lostPushes: async () => {
        asked += 1;
        return { pushes: [push('x')], unreadable: 0, upTo: null, more: true, ...answer(asked) };
      },
      confirmLostPushes: async (upTo: string) => void confirmed.push(upTo),
    } as unknown as MarketplaceConnector;
    const deps = { ...hub, connectors: { shopee } as never, isCancelled: () => asked >= cancelledAfter };
    await fetchLostPushes({ ...deps }, 'shopee');
    return { asked, confirmed };
  };

  test('lost pushes without end, or without a number that goes on, are given up for this time', async () => {
    expect(await rounds(() => ({}))).toEqual({ asked: 1, confirmed: [] });
    expect(await rounds(() => ({ upTo: '7' }))).toEqual({ asked: 2, confirmed: ['7'] });
    expect((await rounds((round) => ({ upTo: String(round) }))).asked).toBe(20);
    expect((await rounds((round) => ({ upTo: String(round) }), 3)).asked).toBe(3);
    // Nothing of a page is news, and there is more behind it.
    expect(await rounds((round) => ({ pushes: [], upTo: String(round), more: round < 3 }))).toMatchObject({
      confirmed: ['1', '2', '3'],
    });
  });

  test('a poll ends where its platform repeats its cursor, and where nobody wants it any more', async () => {
    const shop = await makeStore(hub, (await makeSeller()).id, 'shopee', SKUS);
    let asked = 0;
    const poll = (cursorOf: (round: number) => string | null, cancelledAfter = Infinity) => {
      asked = 0;
      const access = {
        connectorOf: () => ({ capabilities: { orderWindowMs: 1e12 } }),
        call: async () => {
          asked += 1;
          return { changes: [], nextCursor: cursorOf(asked) };
        },
      } as unknown as ActivityDeps['access'];
      const deps = { ...hub, access, polls: POLLS, heartbeat: () => {} };
      return createOrderPollActivities({ ...deps, isCancelled: () => asked >= cancelledAfter }).pollOrders({
        store: shop.id,
      });
    };
    const { until } = (await hub.store.orderPolls.of(shop.id)) ?? {};
    await expect(poll(() => 'same')).rejects.toMatchObject({ type: 'platform_unavailable' });
    expect(asked).toBe(2);
    await expect(poll((round) => String(round), 3)).rejects.toThrow('no longer wanted');
    expect(asked).toBe(3);
    expect((await hub.store.orderPolls.of(shop.id))?.until).toEqual(until);
  });
});

test('an order told again through the API is 200, mapped or not', async () => {
  const { call } = await makeSeller();
  const body = {
    ...{ number: newId('command'), currency: 'MYR', shipping: 'platform_logistics' },
    lines: [{ sku: 'NOT-YET', quantity: 1 }],
  };
  const first = await expectReply(call.post('/orders', body), 201);
  expect(first).toMatchObject({ status: 'unmapped' });
  expect(await expectReply(call.post('/orders', body), 200)).toMatchObject({ id: first.id });
  await expectReply(call.post('/skus', { sku: 'NOT-YET', name: 'Now' }), 201);
  expect(await expectReply(call.post('/orders', body), 200)).toMatchObject({ id: first.id, status: 'new' });
});

/** Numbers that look drawn, the same each time. */
function draws(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

describe('with a tenth of the pushes dropped, a tenth doubled and all shuffled', () => {
  const LIVES: readonly (readonly SandboxOrderState[])[] = [
    ['ready_to_ship'],
    ['ready_to_ship', 'shipped'],
    ['ready_to_ship', 'shipped', 'completed'],
    ['ready_to_ship', 'cancelled'],
    ['unpaid', 'ready_to_ship'],
    ['unpaid', 'cancelled'],
    ['unpaid', 'ready_to_ship', 'cancelled'],
  ];
  const ORDERS = LONG ? 100 : 8;

  /** The same lives of the same orders each time; pushes as the faults of the shop have it. */
  async function run(platform: Platform, seller: Seller, shop: ConnectedStore): Promise<string[]> {
    const draw = draws(11);
    const plans = Array.from({ length: ORDERS }, (_, index) => ({
      life: LIVES[index % LIVES.length] ?? [],
      goods: [{ 'OWN-1': 1 + draw(3) }, { 'TEE-1': 1 + draw(3) }, { 'OWN-1': 1 + draw(2), 'TEE-1': 1 + draw(2) }][
        draw(3)
      ] as Record<string, number>,
    }));
    const numbers: string[] = [];
    for (const { life, goods } of plans) numbers.push(await ordered(shop, goods, { state: life[0] ?? 'unpaid' }));
    for (const step of [1, 2]) {
      if (step === 2) await poll(shop);
      for (const [index, { life }] of plans.entries()) {
        const state = life[step];
        if (state) await hub.control.advanceOrder(platform, numbers[index] ?? '', { state });
      }
    }
    await eventually(async () => {
      const { pushes } = await hub.control.pushes({ platform });
      expect(pushes.filter((push) => push.shopId === shop.shopId && push.state === 'pending')).toEqual([]);
    });
    if (platform === 'shopee') await sweep();
    await inboxIsEmpty();
    await poll(shop);
    await inboxIsEmpty();
    expect(await hub.store.database.models.orders.countDocuments({ account: seller.id })).toBe(ORDERS);
    return numbers;
  }

  /** What a seller sees in the end; nothing is held by what was cancelled. */
  async function endOf(seller: Seller, numbers: readonly string[]) {
    const orders = [];
    for (const number of numbers) {
      const order = await orderOf(seller.call, number);
      const packages = order.packages
        .filter(({ status }: PackageAnswer) => status !== 'cancelled')
        .map(({ status, partnership, warehouse, lines }: PackageAnswer) => ({
          status,
          from: partnership === null ? 'own' : 'supplier',
          assigned: warehouse === null ? null : warehouse === seller.own ? 'own' : 'view',
          lines: lines.map(({ sku, quantity, price }) => ({ sku, quantity, price })),
        }));
      const { status, platformState, lines } = order;
      orders.push({
        status,
        platformState,
        packages,
        lines: lines.map(({ sku, quantity }: LineAnswer) => ({ sku, quantity })),
      });
    }
    const stock = (await expectReply(seller.call.get('/stock'), 200)).items.map(
      ({ sku, onHand, allocated, available }: StockAnswer) => ({ sku, onHand, allocated, available }),
    );
    return { orders, stock };
  }

  test.each(PLATFORMS)('%s ends as it does without', async (platform) => {
    const [clean, faulty] = [await makeSeller(), await makeSeller()];
    const cleanShop = await makeStore(hub, clean.id, platform, SKUS);
    const faultyShop = await makeStore(hub, faulty.id, platform, SKUS);
    const { shopId } = faultyShop;
    await hub.control.addFault(platform, { kind: 'push_drop', shopId, rate: 0.1, seed: 3 });
    await hub.control.addFault(platform, { kind: 'push_duplicate', shopId, rate: 0.1, seed: 5 });
    await hub.control.addFault(platform, { kind: 'push_shuffle', shopId, delayMs: 300 });
    const [cleanNumbers, numbers] = await Promise.all([
      run(platform, clean, cleanShop),
      run(platform, faulty, faultyShop),
    ]);
    const wanted = await endOf(clean, cleanNumbers);
    const { pushes } = await hub.control.pushes({ platform });
    expect(pushes.filter((push) => push.shopId === shopId && push.state === 'dropped').length).toBeGreaterThan(0);
    expect(await endOf(faulty, numbers)).toEqual(wanted);
    expect(new Set(wanted.orders.map(({ status }) => status)).size).toBeGreaterThan(1);
  });
});
