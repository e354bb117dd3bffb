/** What the platforms tell of orders that changed, and how they are told of cancellations, against the sandbox over HTTP. */
import type { MarketplaceConnector } from '../../connectors/port';
import { type Ground, openShop, type PlatformName, type Shop, startGround } from './support';

const PLATFORMS: readonly PlatformName[] = ['shopee', 'lazada'];
const DAY_MS = 24 * 3600_000;

let ground: Ground;
beforeAll(async () => {
  ground = await startGround();
});
afterAll(() => ground.sandbox.close());
afterEach(async () => {
  for (const platform of PLATFORMS) await ground.control.clearFaults(platform);
});

describe.each(PLATFORMS)('%s', (platform) => {
  let shop: Shop;
  let connector: MarketplaceConnector;
  beforeAll(async () => {
    shop = await openShop(ground, platform);
    connector = ground.connector(platform);
  });

  const order = async (state: 'unpaid' | 'ready_to_ship' | 'cancel_requested' | 'shipped' = 'ready_to_ship') => {
    const [item] = shop.view.items;
    const line = { itemId: item?.itemId ?? '', modelId: item?.models[0]?.modelId ?? '', quantity: 2 };
    return (await ground.control.createOrder(platform, { shopId: shop.view.shopId, lines: [line], state })).orderNumber;
  };
  const there = (number: string) => ground.control.order(platform, number);
  const callsTo = async (pathContains: string) =>
    (await ground.control.calls({ platform, shopId: shop.view.shopId, pathContains, limit: 0 })).count;

  /** Every page of a window. */
  async function changes(from: number, to: number) {
    const found = [];
    let pages = 0;
    for (let cursor: string | null = null; ; ) {
      const page = await connector.listOrderChanges(shop.access, { from, to, cursor });
      found.push(...page.changes);
      pages += 1;
      if (page.nextCursor === null) return { found, pages };
      cursor = page.nextCursor;
    }
  }

  test('lists what changed in a window, a hundred a page, each as its state stands', async () => {
    const from = Date.now();
    const numbers = await Promise.all(Array.from({ length: 130 }, () => order()));
    const { found, pages } = await changes(from, Date.now());
    expect(pages).toBe(2);
    expect(found.map(({ platformOrder }) => platformOrder).sort()).toEqual([...numbers].sort());
    // Fifty details a call at most: three pages of them, where the list says nothing of states.
    if (platform === 'shopee') expect(await callsTo('get_order_detail')).toBe(3);
    const [first = ''] = numbers;
    const read = await connector.getOrder(shop.access, first);
    const change = found.find(({ platformOrder }) => platformOrder === first);
    expect(change?.updatedAt).toBe(read.updatedAt);
    await ground.control.advanceOrder(platform, first, { state: 'shipped', send: false });
    const later = (await changes(from, Date.now())).found.filter(({ platformOrder }) => platformOrder === first);
    expect(later).toHaveLength(1);
    expect(later[0]?.dedupeKey).not.toBe(change?.dedupeKey);
    expect((await changes(from - DAY_MS, from - 2_000)).found).toEqual([]);
  });

  test('a window longer than the platform takes is the caller’s mistake', async () => {
    expect(connector.capabilities.orderWindowMs).toBe(15 * DAY_MS);
    const now = Date.now();
    const listed = connector.listOrderChanges(shop.access, { from: now - 16 * DAY_MS, to: now, cursor: null });
    // Lazada documents no longest window.
    if (platform === 'shopee') await expect(listed).rejects.toMatchObject({ kind: 'rejected' });
    else await expect(listed).resolves.toHaveProperty('changes');
  });

  test.each(['out_of_stock', 'customer_request', 'undeliverable_area'] as const)(
    'cancels for the seller (%s), once, although the answer is lost',
    async (reason) => {
      const platformOrder = await order();
      const path = platform === 'shopee' ? 'cancel_order' : 'cancel/create';
      await ground.control.addFault(platform, { kind: 'lost_answer', pathContains: path, times: 1 });
      const before = await callsTo(path);
      await expect(connector.cancelOrder(shop.access, { platformOrder, reason })).rejects.toMatchObject({
        kind: 'unavailable',
        options: { outcomeUnknown: true },
      });
      expect((await there(platformOrder)).state).toBe('cancelled');
      expect(await connector.cancelOrder(shop.access, { platformOrder, reason })).toBe('cancelled');
      expect((await callsTo(path)) - before).toBe(1);
    },
  );

  test('what has left is not cancelled', async () => {
    const platformOrder = await order('shipped');
    expect(await connector.cancelOrder(shop.access, { platformOrder, reason: 'customer_request' })).toBe('gone_on');
    expect((await there(platformOrder)).state).toBe('shipped');
    const refused = connector.cancelOrder(shop.access, { platformOrder: '404404', reason: 'customer_request' });
    await expect(refused).rejects.toMatchObject({ kind: 'rejected' });
  });

  test('grants a buyer’s wish to cancel, and refuses it where the platform takes a no', async () => {
    const granted = await order('cancel_requested');
    expect(await connector.answerCancellation(shop.access, { platformOrder: granted, accept: true })).toBe('cancelled');
    expect((await there(granted)).state).toBe('cancelled');
    expect(await connector.answerCancellation(shop.access, { platformOrder: granted, accept: false })).toBe(
      'cancelled',
    );
    const refused = await order('cancel_requested');
    // Lazada has no call to say no.
    const answers = platform === 'shopee';
    expect(await connector.answerCancellation(shop.access, { platformOrder: refused, accept: false })).toBe(
      answers ? 'told' : 'stays',
    );
    expect((await there(refused)).state).toBe(answers ? 'ready_to_ship' : 'cancel_requested');
    // Withdrawn meanwhile: there is nothing to answer.
    const withdrawn = await order();
    expect(await connector.answerCancellation(shop.access, { platformOrder: withdrawn, accept: true })).toBe('gone_on');
  });
});

test('what Lazada cancels in the background is asked for, never assumed', async () => {
  const shop = await openShop(ground, 'lazada');
  const connector = ground.connector('lazada');
  const { shopId, items } = shop.view;
  const line = { itemId: items[0]?.itemId ?? '', modelId: items[0]?.models[0]?.modelId ?? '', quantity: 2 };
  const made = await ground.control.createOrder('lazada', { shopId, lines: [line], state: 'ready_to_ship' });
  const { orderNumber: platformOrder } = made;
  await ground.control.addFault('lazada', { kind: 'not_done_yet', times: 1 });
  const cancel = () => connector.cancelOrder(shop.access, { platformOrder, reason: 'customer_request' });
  await expect(cancel()).rejects.toMatchObject({ kind: 'unavailable', code: 'not_cancelled_yet' });
  await ground.control.advanceOrder('lazada', platformOrder, { state: 'cancelled' });
  expect(await cancel()).toBe('cancelled');
  const asked = { platform: 'lazada', shopId, pathContains: 'cancel/create', limit: 0 } as const;
  expect((await ground.control.calls(asked)).count).toBe(1);
});

test('of an order of Lazada single lines are cancelled where their buyer asks for them, and no others', async () => {
  const shop = await openShop(ground, 'lazada');
  const connector = ground.connector('lazada');
  const [item] = shop.view.items;
  const line = { itemId: item?.itemId ?? '', modelId: item?.models[0]?.modelId ?? '', quantity: 3 };
  const { orderNumber: platformOrder } = await ground.control.createOrder('lazada', {
    ...{ shopId: shop.view.shopId, lines: [line], state: 'ready_to_ship' },
  });
  const [one = '', two = ''] = (await ground.control.order('lazada', platformOrder)).lines.map(({ lineId }) => lineId);
  const cancel = () => connector.cancelLines?.(shop.access, { platformOrder, lineIds: [one, two] });
  expect(await cancel()).toEqual([]);
  const wish = { state: 'ready_to_ship', lines: { [one]: 'cancel_requested' } } as const;
  await ground.control.advanceOrder('lazada', platformOrder, wish);
  expect(await connector.getOrder(shop.access, platformOrder)).toMatchObject({
    state: 'ready_to_ship',
    askedBack: [one],
  });
  await ground.control.addFault('lazada', { kind: 'not_done_yet' });
  await expect(cancel()).rejects.toMatchObject({ kind: 'unavailable', code: 'not_cancelled_yet' });
  await ground.control.clearFaults('lazada');
  for (let time = 0; time < 2; time += 1) expect(await cancel()).toEqual([one]);
  const { state, lines } = await ground.control.order('lazada', platformOrder);
  expect([state, ...lines.map((row) => row.state)]).toEqual(['ready_to_ship', 'cancelled', undefined, undefined]);
  expect(await connector.getOrder(shop.access, platformOrder)).toMatchObject({ askedBack: [], lines: { length: 2 } });
  expect(ground.connector('shopee').cancelLines).toBeUndefined();
});

test('pushes that Shopee could not deliver are kept until they are confirmed; polling names the same state alike', async () => {
  const shop = await openShop(ground, 'shopee');
  const connector = ground.connector('shopee');
  const [item] = shop.view.items;
  const line = { itemId: item?.itemId ?? '', modelId: item?.models[0]?.modelId ?? '', quantity: 1 };
  await ground.control.configure({ callbackBaseUrl: 'http://127.0.0.1:9' });
  await ground.control.addFault('shopee', { kind: 'push_drop', shopId: shop.view.shopId });
  const from = Date.now();
  const make = () => ground.control.createOrder('shopee', { shopId: shop.view.shopId, lines: [line] });
  const numbers = (await Promise.all(Array.from({ length: 120 }, make))).map(({ orderNumber }) => orderNumber);
  await ground.control.configure({ callbackBaseUrl: null });
  const first = await connector.lostPushes?.();
  expect(first).toMatchObject({ more: true });
  expect(first?.pushes).toHaveLength(100);
  // Not confirmed: given again.
  expect((await connector.lostPushes?.())?.pushes).toEqual(first?.pushes);
  await connector.confirmLostPushes?.(first?.upTo ?? '');
  const second = await connector.lostPushes?.();
  expect(second).toMatchObject({ more: false });
  await connector.confirmLostPushes?.(second?.upTo ?? '');
  expect(await connector.lostPushes?.()).toMatchObject({ pushes: [], more: false });
  const lost = [...(first?.pushes ?? []), ...(second?.pushes ?? [])].map(({ push }) => push);
  expect(lost.map((push) => (push.kind === 'order' ? push.platformOrder : ''))).toEqual(
    expect.arrayContaining(numbers),
  );
  const window = { from, to: Date.now(), cursor: null };
  const polled = (await connector.listOrderChanges(shop.access, window)).changes.map(({ dedupeKey }) => dedupeKey);
  const told = new Set(lost.map(({ dedupeKey }) => dedupeKey));
  expect(polled.every((key) => told.has(key))).toBe(true);
});

test('a fault with a rate hits its share, the same ones for the same seed', async () => {
  const shop = await openShop(ground, 'shopee');
  const connector = ground.connector('shopee', { tries: 1 });
  const run = async () => {
    await ground.control.clearFaults('shopee');
    await ground.control.addFault('shopee', { kind: 'throttle', rate: 0.3, seed: 7, shopId: shop.view.shopId });
    const hits: boolean[] = [];
    for (let turn = 0; turn < 60; turn += 1)
      hits.push(
        await connector.listListings(shop.access, { cursor: '9' }).then(
          () => false,
          () => true,
        ),
      );
    return hits;
  };
  const hits = await run();
  const share = hits.filter(Boolean).length / hits.length;
  expect(share).toBeGreaterThan(0.1);
  expect(share).toBeLessThan(0.5);
  expect(await run()).toEqual(hits);
});
