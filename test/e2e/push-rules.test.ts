/** stock-push.md, sentence by sentence, over HTTP on the running hub with sandbox shops behind it. One seller; each test has SKUs of its own. */

import { newId } from '../../domain/ids';
import type { FaultInput } from '../../sandbox/marketplaces/control-schemas';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import { type ConnectedStore, makeDistributor, makeStore, makeSupplier, shownQuantity } from '../support/scenario';
import { serveApi } from '../support/served-api';

const ADMIN_KEY = 'the-admin-key-of-the-tests-only';
const LOW = 10;
const PRE = { enableAtOrBelow: 5, add: 30, closeAbove: 50, daysToShip: 7 };
const VIRTUAL = { kind: 'virtual', percent: 100, plus: 200 } as const;
const partial = (percent: number) => ({ kind: 'partial', percent }) as const;

let hub: Hub;
let api: Awaited<ReturnType<typeof serveApi>>;
let as: (key: string) => HttpClient;

/** An account with a warehouse of its own, two Shopee stores and one of Lazada, in which all its SKUs are listed. */
interface Seller {
  readonly id: string;
  readonly call: HttpClient;
  readonly warehouse: string;
  readonly s1: ConnectedStore;
  readonly s2: ConnectedStore;
  readonly l1: ConnectedStore;
  readonly stores: readonly ConnectedStore[];
}
let seller: Seller;
let priority = 1000;

const ROWS = Array.from({ length: 13 }, (_, index) => `ROW-${index}`);
const OWN = [
  'ORD-1',
  'ORD-2',
  'PRE-1',
  'PRE-2',
  'PRE-3',
  'PRE-4',
  'PRE-5',
  'PRE-6',
  'NOW-1',
  'AUTO-1',
  'AUTO-2',
  'FLOOR-1',
  'HALT-1',
  'HALT-2',
  'CAT-1',
  'HIST-1',
  'SUM-1',
];
/** Two of SUM-1. */
const SET = 'SUM-SET';
const DAY_MS = 86_400_000;

async function makeSeller(skus: readonly string[], plan = 'basic'): Promise<Seller> {
  const { account, apiKey } = await expectReply(as(ADMIN_KEY).post('/accounts', { name: 'Seller', plan }), 201);
  const call = as(apiKey.key);
  await expectReply(call.patch('/account', { inventoryEnabled: true }), 200);
  const { id: warehouse } = await expectReply(call.post('/warehouses', { name: 'Own' }), 201);
  await Promise.all(
    skus.flatMap((sku) => (sku === SET ? [] : [expectReply(call.post('/skus', { sku, name: sku }), 201)])),
  );
  if (skus.includes(SET)) {
    const components = [{ sku: 'SUM-1', quantity: 2 }];
    await expectReply(call.post('/skus', { sku: SET, name: SET, components }), 201);
  }
  const [s1, s2, l1] = await Promise.all(
    (['shopee', 'shopee', 'lazada'] as const).map((platform) =>
      makeStore(hub, account.id, platform, skus, { itemPerSku: true }),
    ),
  );
  if (!s1 || !s2 || !l1) throw new Error('no stores');
  return { id: account.id, call, warehouse, s1, s2, l1, stores: [s1, s2, l1] };
}

/** A rule for one SKU, in all stores of the seller. */
async function rule(sku: string, change: object = {}, of: Seller = seller) {
  priority -= 1;
  const body = {
    ...{ name: sku, priority, skus: { kind: 'list', skus: [sku] }, warehouses: [of.warehouse] },
    stores: of.stores.map(({ id }) => id),
    ...change,
  };
  return expectReply(of.call.post('/push-rules', body), 201);
}
const adjust = (sku: string, kind: string, quantity: number, of: Seller = seller) =>
  expectReply(
    of.call.post('/stock/adjustments', { warehouse: of.warehouse, sku, kind, quantity, reason: 'test' }),
    200,
  );
const count = (sku: string, quantity: number, of: Seller = seller) => adjust(sku, 'count', quantity, of);
const shows = (store: ConnectedStore, sku: string, quantity: number) =>
  eventually(async () => expect([sku, await shownQuantity(hub, store, sku)]).toEqual([sku, quantity]));
async function itemOf(store: ConnectedStore, sku: string) {
  const { items } = await hub.control.shop(store.platform, store.shopId);
  const item = items.find(({ models }) => models.some((model) => model.sku === sku));
  if (!item) throw new Error(`no ${sku}`);
  return item;
}
const isInPreOrder = async (store: ConnectedStore, sku: string) => (await itemOf(store, sku)).preOrder !== undefined;
const listingOf = async (store: ConnectedStore, sku: string) => {
  const item = await itemOf(store, sku);
  return `${store.id}/${item.itemId}/${item.models.find((model) => model.sku === sku)?.modelId}`;
};
const recordOf = async (sku: string, store: ConnectedStore, of: Seller = seller) =>
  (await expectReply(of.call.get(`/push-records?sku=${sku}&store=${store.id}`), 200)).items[0];
const atRest = (account: string) =>
  eventually(async () =>
    expect(await hub.store.database.models.dues.countDocuments({ account, failed: false })).toBe(0),
  );
const breakIt = (store: ConnectedStore, fault: Omit<FaultInput, 'shopId'>) =>
  hub.control.addFault(store.platform, { ...fault, shopId: store.shopId });
const order = (sku: string, quantity: number) =>
  expectReply(
    seller.call.post('/orders', {
      ...{ number: newId('command'), currency: 'MYR', shipping: 'self_arranged' },
      lines: [{ sku, quantity }],
    }),
    201,
  );
/** What the platform, or whoever sent the order, says of its end. */
async function cancel({ number }: { number: string }, sku: string): Promise<void> {
  const { lanes } = await hub.store.orders.takeIn({
    ...{ account: seller.id, store: 'api', platform: 'api', storeName: 'API', platformOrder: number },
    ...{ state: 'cancelled', platformState: 'cancelled', version: Date.now() + 1_000, placedAt: Date.now() },
    ...{ currency: 'MYR', shipping: 'self_arranged', recipient: null },
    lines: [{ line: '1', title: sku, quantity: 5, listing: null, sku }],
  });
  hub.processes.wakeLanes(lanes);
}
const preview = (body: object) => expectReply(seller.call.post('/push-rules/preview', body), 200);

beforeAll(async () => {
  hub = await startHub({ platformTimeoutMs: 5_000, lanes: { attempts: 2 } });
  api = await serveApi({ ...hub, checkAnswers: true });
  as = createHttpClient(api.url);
  seller = await makeSeller([...ROWS, ...OWN, SET]);
});
afterAll(async () => {
  await api?.close();
  await hub?.stop();
});
afterEach(async () => {
  for (const platform of ['shopee', 'lazada'] as const) await hub.control.clearFaults(platform);
});

test('the table of quantities reaches the stores, pre-order included', async () => {
  const { s1, s2, l1 } = seller;
  const low = { threshold: LOW, store: s1.id };
  type Row = readonly [
    rule: object,
    available: number,
    quantities: readonly [number, number, number],
    on?: [boolean, boolean],
  ];
  const rows: readonly Row[] = [
    [{ lowStock: low }, 9, [9, 0, 0]],
    [{ lowStock: low }, 10, [10, 10, 10]],
    [{ zeroBelow: 10, lowStock: low }, 9, [0, 0, 0]],
    [{ zeroBelow: 5, lowStock: low, quantity: partial(50) }, 7, [3, 0, 0]],
    [{ quantity: partial(50) }, 1000, [500, 500, 500]],
    [{ quantity: partial(30) }, 46, [13, 13, 13]],
    [{ quantity: partial(80), inventoryType: 'sellablePlusInTransit' }, 100, [160, 160, 160]],
    [{ quantity: partial(80) }, 100, [80, 80, 80]],
    [{ preOrder: PRE }, 5, [35, 35, 5], [true, true]],
    [{ preOrder: PRE, lowStock: low }, 4, [34, 0, 0], [true, false]],
    [{ preOrder: PRE, zeroBelow: 3 }, 2, [0, 0, 0], [false, false]],
    [{ quantity: VIRTUAL }, 30, [230, 230, 230]],
    [{ quantity: VIRTUAL, zeroBelow: 3 }, 2, [0, 0, 0]],
  ];
  expect(rows.length).toBe(ROWS.length);
  const saved: { warnings?: object[] }[] = [];
  for (const [index, [change]] of rows.entries()) saved.push(await rule(`ROW-${index}`, change));
  expect(saved.map(({ warnings }) => warnings?.length ?? 0)).toEqual([0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect(saved[2]?.warnings).toMatchObject([{ pointer: '/lowStock/threshold', code: 'low_stock_ignored' }]);
  await Promise.all(
    rows.map(async ([, available], index) => {
      const sku = `ROW-${index}`;
      if (index === 6 || index === 7) await adjust(sku, 'inTransit', 100);
      await count(sku, available);
    }),
  );
  // Looked at once they are at rest: looking costs more than pushing.
  await atRest(seller.id);
  for (const [index, [, , quantities, on = [false, false]]] of rows.entries()) {
    const sku = `ROW-${index}`;
    for (const [at, store] of [s1, s2, l1].entries()) await shows(store, sku, quantities[at] ?? -1);
    for (const [at, store] of [s1, s2].entries()) expect([sku, await isInPreOrder(store, sku)]).toEqual([sku, on[at]]);
    // What the preview says is what the push did.
    const { stores } = await preview({ sku });
    const said = [s1, s2, l1].map(({ id }) => stores.find((one: { store: string }) => one.store === id));
    expect([sku, said.map(({ quantity }) => quantity)]).toEqual([sku, quantities]);
    expect(said.map(({ preOrder }) => preOrder?.on ?? null)).toEqual([...on, null]);
  }
  // Each step with its numbers, for one of the rows and for the pre-order.
  const stepsOf = async (row: number, store: ConnectedStore) =>
    (await preview({ sku: `ROW-${row}` })).stores.find((one: { store: string }) => one.store === store.id).steps;
  const asked = [
    { step: 'stock', applies: true, numbers: { available: 7, inTransit: 0, total: 7 } },
    { step: 'zeroBelow', applies: false, numbers: { threshold: 5, total: 7 } },
    { step: 'lowStock', applies: true, numbers: { threshold: 10, total: 7 } },
  ];
  expect(await stepsOf(3, l1)).toEqual(asked);
  expect(await stepsOf(3, s1)).toEqual([
    ...asked,
    { step: 'quantity', applies: true, numbers: { percent: 50, total: 7, base: 3 } },
  ]);
  const { enableAtOrBelow, closeAbove, add } = PRE;
  expect((await stepsOf(8, s2)).at(-1)).toEqual({
    ...{ step: 'preOrder', applies: true },
    numbers: { enableAtOrBelow, closeAbove, add, total: 5, was: 1, quantity: 35 },
  });
  // The rest of the pre-order's rows, on SKUs that have been pushed: between the thresholds each store keeps the state it
  // had, also one that is 0 by the steps before.
  type Next = readonly [row: number, available: number, s1: [number, boolean], s2: [number, boolean]];
  const rounds: readonly (readonly Next[])[] = [
    [
      [8, 25, [55, true], [55, true]],
      [9, 25, [55, true], [25, false]],
      [10, 5, [35, true], [35, true]],
    ],
    [
      [8, 105, [105, false], [105, false]],
      [9, 4, [34, true], [0, false]],
      [10, 2, [0, true], [0, true]],
    ],
    [
      [8, 40, [40, false], [40, false]],
      [9, 51, [51, false], [51, false]],
      [10, 25, [55, true], [55, true]],
    ],
  ];
  for (const round of rounds) {
    await Promise.all(round.map(([row, available]) => count(`ROW-${row}`, available)));
    await atRest(seller.id);
    for (const [row, , ...expected] of round)
      for (const [at, store] of [s1, s2].entries())
        expect([row, await shownQuantity(hub, store, `ROW-${row}`), await isInPreOrder(store, `ROW-${row}`)]).toEqual([
          row,
          ...(expected[at] ?? []),
        ]);
  }
});

describe('an order', () => {
  /** The record is written once the store has answered. */
  const recorded = (sku: string, store: ConnectedStore, latest: object) =>
    eventually(async () => expect((await recordOf(sku, store)).latest).toMatchObject(latest));

  test('keeps the revisions it was synced under; a change that it alone causes is pushed under those', async () => {
    const { s1, call } = seller;
    const { id } = await rule('ORD-1');
    await count('ORD-1', 50);
    await shows(s1, 'ORD-1', 50);
    const first = await order('ORD-1', 5);
    await shows(s1, 'ORD-1', 45);
    expect(await expectReply(call.patch(`/push-rules/${id}`, { quantity: partial(50) }), 200)).toMatchObject({
      revision: 2,
    });
    // Saving pushes nothing by itself.
    await atRest(seller.id);
    expect(await shownQuantity(hub, s1, 'ORD-1')).toBe(45);
    await cancel(first, 'ORD-1');
    await shows(s1, 'ORD-1', 50);
    await recorded('ORD-1', s1, { rule: id, revision: 1, cause: expect.stringContaining('release') });
    await count('ORD-1', 60);
    await shows(s1, 'ORD-1', 30);
    await recorded('ORD-1', s1, { rule: id, revision: 2 });
  });

  test('is pushed under the current rules where anything else changed its SKU since the last push', async () => {
    const { s1, call } = seller;
    const { id } = await rule('ORD-2', { stores: [s1.id] });
    await count('ORD-2', 50);
    await shows(s1, 'ORD-2', 50);
    const taken = await order('ORD-2', 5);
    await shows(s1, 'ORD-2', 45);
    await expectReply(call.patch(`/push-rules/${id}`, { quantity: partial(50) }), 200);
    await atRest(seller.id);
    // While the platform lets the lane wait, both happen.
    await breakIt(s1, { kind: 'throttle', retryAfterS: 1, times: 1, pathContains: 'update_stock' });
    await count('ORD-2', 65);
    await cancel(taken, 'ORD-2');
    await shows(s1, 'ORD-2', 32);
    await recorded('ORD-2', s1, { revision: 2, changes: 2 });
  });
});

describe('pre-order', () => {
  const calls = async (store: ConnectedStore, since: number) =>
    (
      await hub.control.calls({ platform: 'shopee', shopId: store.shopId, pathContains: '/product/update_', since })
    ).calls.map(({ path, status }) => `${path.split('/').at(-1)} ${status}`);

  test('is switched on before the quantity is raised, and off after it is lowered', async () => {
    const { s1 } = seller;
    await rule('PRE-1', { stores: [s1.id], preOrder: PRE });
    await count('PRE-1', 60);
    await shows(s1, 'PRE-1', 60);
    await atRest(seller.id);
    let since = Date.now();
    await count('PRE-1', 5);
    await shows(s1, 'PRE-1', 35);
    expect((await itemOf(s1, 'PRE-1')).preOrder).toEqual({ daysToShip: 7 });
    await atRest(seller.id);
    expect(await calls(s1, since)).toEqual(['update_item 200', 'update_stock 200']);
    since = Date.now();
    await count('PRE-1', 51);
    await eventually(async () => expect(await isInPreOrder(s1, 'PRE-1')).toBe(false));
    expect(await shownQuantity(hub, s1, 'PRE-1')).toBe(51);
    expect(await calls(s1, since)).toEqual(['update_stock 200', 'update_item 200']);
  });

  test('is right afterwards where the lane dies between its two calls, either way', async () => {
    const { s1 } = seller;
    await rule('PRE-2', { stores: [s1.id], preOrder: PRE });
    await count('PRE-2', 60);
    await shows(s1, 'PRE-2', 60);
    await atRest(seller.id);
    // On, and then no answer of the stock call; meanwhile there is plenty again.
    await breakIt(s1, { kind: 'throttle', retryAfterS: 1, times: 1, pathContains: 'update_stock' });
    await count('PRE-2', 5);
    await eventually(async () => expect(await isInPreOrder(s1, 'PRE-2')).toBe(true));
    await count('PRE-2', 70);
    await shows(s1, 'PRE-2', 70);
    await eventually(async () => expect(await isInPreOrder(s1, 'PRE-2')).toBe(false));
    // Off: the quantity is lowered, and then the switch does not answer; the quantity is there already.
    await count('PRE-2', 4);
    await shows(s1, 'PRE-2', 34);
    await atRest(seller.id);
    await breakIt(s1, { kind: 'throttle', retryAfterS: 1, times: 1, pathContains: 'update_item' });
    await count('PRE-2', 51);
    await shows(s1, 'PRE-2', 51);
    expect(await isInPreOrder(s1, 'PRE-2')).toBe(true);
    await eventually(async () => expect(await isInPreOrder(s1, 'PRE-2')).toBe(false));
    await atRest(seller.id);
  });

  test('refused by the platform, the listing gets what it would have without, and the record says so', async () => {
    const { s1 } = seller;
    await rule('PRE-3', { stores: [s1.id], preOrder: { ...PRE, daysToShip: 90 } });
    const item = await itemOf(s1, 'PRE-3');
    await count('PRE-3', 20);
    await shows(s1, 'PRE-3', 20);
    await breakIt(s1, { kind: 'refuse_pre_order', items: [item.itemId] });
    await count('PRE-3', 3);
    await shows(s1, 'PRE-3', 3);
    await eventually(async () =>
      expect((await recordOf('PRE-3', s1)).latest).toMatchObject({
        outcome: 'accepted',
        error: expect.stringContaining('pre-order was refused'),
      }),
    );
  });

  test('a refused change of one that is on: the smaller quantity is really sent, and it is switched off one day', async () => {
    const { s1, call } = seller;
    const { id } = await rule('PRE-5', { stores: [s1.id], preOrder: PRE });
    await count('PRE-5', 5);
    await shows(s1, 'PRE-5', 35);
    await atRest(seller.id);
    await breakIt(s1, { kind: 'refuse_pre_order', items: [(await itemOf(s1, 'PRE-5')).itemId] });
    // 6 + 29 is in the store already: only the platform's refusal makes it another quantity.
    await expectReply(call.patch(`/push-rules/${id}`, { preOrder: { ...PRE, add: 29, daysToShip: 9 } }), 200);
    await count('PRE-5', 6);
    await shows(s1, 'PRE-5', 6);
    await atRest(seller.id);
    expect((await recordOf('PRE-5', s1)).latest).toMatchObject({ outcome: 'accepted', quantity: 6 });
    expect((await itemOf(s1, 'PRE-5')).preOrder).toEqual({ daysToShip: 7 });
    await hub.control.clearFaults('shopee');
    await count('PRE-5', 51);
    await shows(s1, 'PRE-5', 51);
    await eventually(async () => expect(await isInPreOrder(s1, 'PRE-5')).toBe(false));
  });

  test('no rule has it any more: the next push switches it off', async () => {
    const { s1, call } = seller;
    const { id } = await rule('PRE-4', { stores: [s1.id], preOrder: PRE });
    await count('PRE-4', 5);
    await shows(s1, 'PRE-4', 35);
    await expectReply(call.patch(`/push-rules/${id}`, { preOrder: null }), 200);
    await count('PRE-4', 4);
    await shows(s1, 'PRE-4', 4);
    await eventually(async () => expect(await isInPreOrder(s1, 'PRE-4')).toBe(false));
    await atRest(seller.id);
    // Between the thresholds of one that it has again it is what it was: off.
    await expectReply(call.patch(`/push-rules/${id}`, { preOrder: PRE }), 200);
    await count('PRE-4', 25);
    await shows(s1, 'PRE-4', 25);
    await atRest(seller.id);
    expect(await isInPreOrder(s1, 'PRE-4')).toBe(false);
  });

  test('its SKU deleted while it is 0 and on: it is switched off', async () => {
    const { s1, call } = seller;
    const { id } = await rule('PRE-6', { stores: [s1.id], preOrder: PRE, zeroBelow: 3 });
    await count('PRE-6', 5);
    await shows(s1, 'PRE-6', 35);
    await count('PRE-6', 0);
    await shows(s1, 'PRE-6', 0);
    await atRest(seller.id);
    expect(await isInPreOrder(s1, 'PRE-6')).toBe(true);
    await expectReply(call.delete(`/push-rules/${id}`), 204);
    await expectReply(call.delete('/skus/PRE-6'), 204);
    await eventually(async () => expect(await isInPreOrder(s1, 'PRE-6')).toBe(false));
    await atRest(seller.id);
  });
});

test('rules are checked: limits, priorities, what they name', async () => {
  const { call, warehouse, s1, l1 } = seller;
  const body = { name: 'r', priority: 5_000, skus: { kind: 'all' }, warehouses: [warehouse], stores: [s1.id] };
  const many = Array.from({ length: 5_001 }, (_, index) => `M-${index}`);
  expect(await call.post('/push-rules', { ...body, skus: { kind: 'list', skus: many } })).toMatchObject({
    status: 422,
    body: { code: 'rule_sku_limit' },
  });
  const wrong = await call.post('/push-rules', {
    ...{ ...body, stores: [s1.id, 'store_x'], warehouses: ['wh_x'], lowStock: { threshold: 3, store: l1.id } },
    skus: { kind: 'stores', stores: ['store_y'] },
  });
  expect(wrong).toMatchObject({ status: 422, body: { code: 'invalid_input' } });
  expect(wrong.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
    '/warehouses/0',
    '/stores/1',
    '/skus/stores/0',
    '/lowStock/store',
  ]);
  for (const bad of [
    { quantity: { kind: 'partial', percent: 101 } },
    { quantity: { kind: 'virtual', percent: 2_001, plus: 0 } },
    { quantity: { kind: 'virtual', percent: 2_000 } },
    { preOrder: { ...PRE, closeAbove: 4 } },
    { preOrder: { ...PRE, daysToShip: 0 } },
    { zeroBelow: -1 },
    { quantity: { kind: 'partial', percent: -1 } },
    { quantity: { kind: 'partial', percent: 0.5 } },
    { quantity: { kind: 'virtual', percent: 100, plus: -1 } },
    { inventoryType: 'inTransit' },
    { priority: 1.5 },
    { warehouses: [] },
    { stores: [] },
    { skus: { kind: 'list', skus: [] } },
    { unknown: 1 },
  ])
    expect([bad, (await call.post('/push-rules', { ...body, ...bad })).status]).toEqual([bad, 422]);
  const there = (await expectReply(call.get('/push-rules?limit=200'), 200)).items as { priority: number }[];
  expect(await call.post('/push-rules', { ...body, priority: there[0]?.priority })).toMatchObject({
    status: 409,
    body: { code: 'priority_taken' },
  });
  // What is just within the limits.
  const most = { ...body, skus: { kind: 'list', skus: many.slice(1) }, quantity: { kind: 'partial', percent: 100 } };
  const { id } = await expectReply(
    call.post('/push-rules', { ...most, enabled: false, preOrder: { ...PRE, closeAbove: PRE.enableAtOrBelow } }),
    201,
  );
  const change = (fields: object) => call.patch(`/push-rules/${id}`, fields);
  for (const quantity of [partial(0), { kind: 'virtual', percent: 2_000, plus: 0 }])
    expect(await expectReply(change({ quantity }), 200)).toMatchObject({ quantity });
  expect(await change({ skus: { kind: 'list', skus: many } })).toMatchObject({ body: { code: 'rule_sku_limit' } });
  expect(await change({ priority: there[0]?.priority })).toMatchObject({ body: { code: 'priority_taken' } });
  expect(await change({ preOrder: { ...PRE, closeAbove: 4 } })).toMatchObject({ status: 422 });
  await expectReply(call.delete(`/push-rules/${id}`), 204);
  const ignored = await expectReply(
    call.post('/push-rules', { ...body, stores: [l1.id], preOrder: PRE, enabled: false }),
    201,
  );
  expect(ignored.warnings).toMatchObject([{ code: 'pre_order_ignored' }]);
  await expectReply(call.delete(`/push-rules/${ignored.id}`), 204);
  // The revision of what is gone can still be read, for what was pushed under it.
  const kept = await hub.store.pushes.revisions(seller.id, [`${ignored.id}/1`]);
  expect([...kept.values()]).toMatchObject([{ preOrder: PRE, revision: 1 }]);
});

test('at most 200 rules', async () => {
  const { call, warehouse, s1 } = seller;
  const { models } = hub.store.database;
  const there = await models.pushRules.countDocuments({ account: seller.id });
  const row = {
    ...{ account: seller.id, name: 'r', enabled: false, revision: 1, skus: { kind: 'all' }, inventoryType: 'sellable' },
    ...{ warehouses: [warehouse], stores: [s1.id], quantity: { kind: 'real' }, updatedAt: new Date() },
    ...{ zeroBelow: null, lowStock: null, preOrder: null },
  };
  const planted = Array.from({ length: 200 - there }, (_, index) => ({
    ...row,
    _id: `planted-${index}`,
    priority: 10_000 + index,
  }));
  await models.pushRules.collection.insertMany(planted as never);
  const body = { name: 'one more', priority: 9_000, skus: { kind: 'all' }, warehouses: [warehouse], stores: [s1.id] };
  expect(await call.post('/push-rules', body)).toMatchObject({ status: 409, body: { code: 'push_rule_limit' } });
  await expectReply(call.delete('/push-rules/planted-0'), 204);
  const { id } = await expectReply(call.post('/push-rules', { ...body, enabled: false }), 201);
  await expectReply(call.delete(`/push-rules/${id}`), 204);
  await models.pushRules.collection.bulkWrite(planted.map(({ _id }) => ({ deleteOne: { filter: { _id } } })) as never);
});

test('a rule by category or by store holds what is in it when a quantity is decided; a SKU without a rule is not pushed', async () => {
  const { s1, s2, call } = seller;
  await rule('CAT-1', { skus: { kind: 'categories', categories: ['Hats'] }, stores: [s1.id] });
  await count('CAT-1', 8);
  await atRest(seller.id);
  expect(await shownQuantity(hub, s1, 'CAT-1')).toBe(1);
  const listing = await listingOf(s1, 'CAT-1');
  expect(await call.post('/listings/sync', { listings: [listing] })).toMatchObject({
    status: 409,
    body: { code: 'no_push_rule', skus: ['CAT-1'] },
  });
  expect(await call.post('/stock-pushes', { skus: ['CAT-1'] })).toMatchObject({
    status: 409,
    body: { code: 'no_push_rule' },
  });
  expect((await preview({ sku: 'CAT-1' })).rule).toBeNull();
  await expectReply(call.patch('/skus/CAT-1', { category: 'Hats' }), 200);
  await expectReply(call.post('/listings/sync', { listings: [listing] }), 202);
  await shows(s1, 'CAT-1', 8);
  expect(await shownQuantity(hub, s2, 'CAT-1')).toBe(1);
  // Stronger, and it holds what S2 sells: S1 is named by the weaker rule alone now.
  const strong = await rule('CAT-1', {
    skus: { kind: 'stores', stores: [s2.id] },
    stores: [s2.id],
    enabled: true,
    priority: 2_000,
  });
  const said = await preview({ sku: 'CAT-1', available: 77 });
  expect(said.rule).toMatchObject({ name: 'CAT-1' });
  expect(said.passedOver.some(({ reason }: { reason: string }) => reason === 'weaker')).toBe(true);
  expect(said.stores.find(({ store }: { store: string }) => store === s1.id)).toMatchObject({ quantity: 77 });
  await expectReply(call.patch(`/push-rules/${said.rule.id}`, { priority: 3_000 }), 200);
  const after = await preview({ sku: 'CAT-1', available: 77, inTransit: 5 });
  expect(
    after.stores.map(({ store, quantity, skipped }: Record<string, unknown>) => [store, quantity, skipped]),
  ).toEqual(
    expect.arrayContaining([
      [s1.id, null, 'store_not_in_rule'],
      [s2.id, 77, null],
    ]),
  );
  await count('CAT-1', 9);
  await shows(s2, 'CAT-1', 9);
  await atRest(seller.id);
  expect(await shownQuantity(hub, s1, 'CAT-1')).toBe(8);
  // Switched off, it pushes nothing by itself; from the next change on the weaker one runs.
  await expectReply(call.patch(`/push-rules/${strong.id}`, { enabled: false }), 200);
  await atRest(seller.id);
  expect(await shownQuantity(hub, s1, 'CAT-1')).toBe(8);
  await count('CAT-1', 10);
  await shows(s1, 'CAT-1', 10);
  await atRest(seller.id);
  expect(await shownQuantity(hub, s2, 'CAT-1')).toBe(9);
  expect((await recordOf('CAT-1', s1)).latest).toMatchObject({ rule: said.rule.id, revision: 2, quantity: 10 });
  expect(await call.post('/push-rules/preview', { sku: 'NO-SUCH' })).toMatchObject({ status: 404 });
});

test('what a rule’s warehouses have is added up, of a set as whole sets in each', async () => {
  const { call, l1 } = seller;
  const [second, third] = await Promise.all(
    ['Second', 'Third'].map((name) => expectReply(call.post('/warehouses', { name }), 201)),
  );
  const warehouses = [seller.warehouse, second.id];
  for (const sku of ['SUM-1', SET]) await rule(sku, { warehouses, stores: [l1.id] });
  await count('SUM-1', 5);
  await count('SUM-1', 100, { ...seller, warehouse: third.id });
  await count('SUM-1', 7, { ...seller, warehouse: second.id });
  await shows(l1, 'SUM-1', 12);
  await shows(l1, SET, 2 + 3);
});

describe('Push Now', () => {
  const push = async (call: HttpClient, body: object) => {
    const { operation } = await expectReply(call.post('/stock-pushes', body), 202);
    return eventually(async () => {
      const now = await expectReply(call.get(`/operations/${operation.id}`), 200);
      expect(now.status).toBe('done');
      return now;
    });
  };

  test('sends again what is there already, for SKUs, a rule or stores, and says how far it is', async () => {
    const { s1, l1, call } = seller;
    const { id } = await rule('NOW-1');
    await count('NOW-1', 12);
    for (const store of seller.stores) await shows(store, 'NOW-1', 12);
    await atRest(seller.id);
    const item = await itemOf(l1, 'NOW-1');
    const listing = await listingOf(l1, 'NOW-1');
    const since = Date.now();
    expect(await push(call, { skus: ['NOW-1'] })).toMatchObject({
      kind: 'stock_push',
      progress: { done: 3, failed: 0, total: 3 },
      result: { accepted: 3 },
    });
    const { calls } = await hub.control.calls({ platform: 'lazada', shopId: l1.shopId, since });
    expect(calls.flatMap(({ entries }) => entries)).toMatchObject([{ itemId: item.itemId, quantity: 12 }]);
    expect(await push(call, { rules: [id] })).toMatchObject({ progress: { done: 3, failed: 0, total: 3 } });
    expect((await recordOf('NOW-1', s1)).latest).toMatchObject({
      ...{ outcome: 'accepted', quantity: 12, before: 12, cause: 'push now', rule: id, revision: 1 },
      ...{ error: null, attempts: 1, changes: 1 },
    });
    // A rule that was saved takes effect with it, and it reaches no other store than those named.
    await expectReply(call.patch(`/push-rules/${id}`, { quantity: partial(50) }), 200);
    await atRest(seller.id);
    expect(await shownQuantity(hub, s1, 'NOW-1')).toBe(12);
    const { progress } = await push(call, { stores: [s1.id] });
    expect(progress).toEqual({ done: progress.total, failed: 0, total: progress.total });
    expect(progress.total).toBeGreaterThan(ROWS.length);
    expect(await shownQuantity(hub, s1, 'NOW-1')).toBe(6);
    expect(await shownQuantity(hub, l1, 'NOW-1')).toBe(12);
    // A refused one is set aside with its reason, and counted.
    await breakIt(l1, { kind: 'partial_failure', items: [item.models[0]?.modelId ?? ''] });
    expect(await push(call, { skus: ['NOW-1'] })).toMatchObject({
      progress: { done: 2, failed: 1, total: 3 },
      result: { accepted: 2, refused: 1 },
    });
    expect((await recordOf('NOW-1', l1)).latest).toMatchObject({
      outcome: 'refused',
      error: expect.stringMatching(/\S+: \S+/),
    });
    expect(await hub.store.database.models.dues.findById(`store-lane/${l1.id}|${listing}`).lean()).toBeNull();
    await expectReply(call.delete(`/push-rules/${id}`), 204);
  });

  test('is refused where it names nothing or what is not there, without a key, or with the switch off', async () => {
    const { call } = seller;
    for (const body of [{}, { all: true, skus: ['NOW-1'] }, { skus: ['NO-SUCH'] }, { stores: ['x'] }, { rules: ['x'] }])
      expect([body, (await call.post('/stock-pushes', body)).status]).toEqual([body, 422]);
    await expectReply(call.patch('/account', { inventoryEnabled: false }), 200);
    const body = { name: 'r', priority: 4_000, skus: { kind: 'all' }, warehouses: ['w'], stores: ['s'] };
    const { items } = await expectReply(call.get('/push-rules?limit=1'), 200);
    for (const answer of [
      call.post('/push-rules', body),
      call.patch(`/push-rules/${items[0].id}`, { name: 'other' }),
      call.post('/stock-pushes', { all: true }),
      call.post('/listings/sync', { listings: [await listingOf(seller.s1, 'NOW-1')] }),
      call.post('/push-rules/preview', { sku: 'NOW-1' }),
      call.get('/push-rules/preview'),
      call.get('/push-rules/preview/export'),
    ])
      expect(await answer).toMatchObject({ status: 409, body: { code: 'inventory_off' } });
    await expectReply(call.patch('/account', { inventoryEnabled: true }), 200);
    const keyless = await fetch(`${api.url}/v1/stock-pushes`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${await keyOf(seller)}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ all: true }),
    });
    expect([keyless.status, await keyless.json()]).toMatchObject([400, { code: 'idempotency_key_required' }]);
  });

  test('drops what is lost also behind many that are due', async () => {
    const { stockPushItems, dues } = hub.store.database.models;
    const job = newId('job');
    const item = (index: number) => {
      const listing = `lost/${String(index).padStart(4, '0')}/0`;
      return { _id: `${job}|${listing}`, job, listing, store: 'lost', outcome: 'waiting', expiresAt: new Date() };
    };
    const items = Array.from({ length: 501 }, (_, index) => item(index));
    const expiresAt = new Date(Date.now() + 60_000);
    await stockPushItems.collection.insertMany(items.map((one) => ({ ...one, expiresAt })) as never);
    const due = items.slice(0, 500).map(({ listing }) => ({ _id: `store-lane/lost|${listing}`, jobs: [job] }));
    await dues.collection.insertMany(due as never);
    await hub.store.stockPushes.dropLost(job);
    await dues.collection.bulkWrite(due.map(({ _id }) => ({ deleteOne: { filter: { _id } } })) as never);
    expect(await hub.store.stockPushes.count(job)).toMatchObject({ waiting: 500, outcomes: { skipped: 1 } });
  });

  test('waits for a store that is down; its abandoned lane fails what was due, and the next Push Now takes it up', async () => {
    const { s2, call } = seller;
    await rule('HALT-1', { stores: [s2.id] });
    await count('HALT-1', 9);
    await shows(s2, 'HALT-1', 9);
    await atRest(seller.id);
    await breakIt(s2, { kind: 'error500' });
    const { operation } = await expectReply(call.post('/stock-pushes', { skus: ['HALT-1'] }), 202);
    const lane = `store-lane.${s2.id}`;
    await eventually(async () => expect((await call.get(`/operations/${lane}`)).body.status).toBe('parked'));
    expect((await call.get(`/operations/${operation.id}`)).body).toMatchObject({ status: 'running' });
    await eventually(async () => expect((await call.post(`/operations/${lane}/abandon`)).status).toBeLessThan(300));
    await eventually(async () =>
      expect((await call.get(`/operations/${operation.id}`)).body).toMatchObject({
        status: 'done',
        progress: { done: 0, failed: 1, total: 1 },
        result: { failed: 1 },
      }),
    );
    expect((await recordOf('HALT-1', s2)).latest).toMatchObject({ outcome: 'failed', cause: 'push now' });
    await hub.control.clearFaults('shopee');
    expect(await push(call, { skus: ['HALT-1'] })).toMatchObject({ progress: { done: 1, failed: 0, total: 1 } });
  });
});

test('with automatic off no change comes along with a Push Now: neither one during its call, nor one after it was given up', async () => {
  const { s1, s2, call } = seller;
  for (const sku of ['AUTO-2', 'HALT-2']) {
    await rule(sku, { stores: [s1.id, s2.id] });
    await count(sku, 5);
    for (const store of [s1, s2]) await shows(store, sku, 5);
    await expectReply(call.post('/listings/auto-sync', { listings: [await listingOf(s1, sku)], on: false }), 200);
  }
  await atRest(seller.id);
  await count('AUTO-2', 6);
  await shows(s2, 'AUTO-2', 6);
  const since = Date.now();
  const calls = async () => (await hub.control.calls({ shopId: s1.shopId, pathContains: 'update_stock', since })).calls;
  await breakIt(s1, { kind: 'slow', delayMs: 1_000, times: 1, pathContains: 'update_stock' });
  await expectReply(call.post('/stock-pushes', { skus: ['AUTO-2'] }), 202);
  await eventually(async () => expect(await calls()).toHaveLength(1));
  await count('AUTO-2', 7);
  await shows(s1, 'AUTO-2', 6);
  await shows(s2, 'AUTO-2', 7);
  await atRest(seller.id);
  expect((await calls()).map(({ entries }) => entries[0]?.quantity)).toEqual([6]);

  await breakIt(s1, { kind: 'error500' });
  await expectReply(call.post('/stock-pushes', { skus: ['HALT-2'] }), 202);
  const lane = `store-lane.${s1.id}`;
  await eventually(async () => expect((await call.get(`/operations/${lane}`)).body.status).toBe('parked'));
  await eventually(async () => expect((await call.post(`/operations/${lane}/abandon`)).status).toBeLessThan(300));
  await eventually(async () => expect((await recordOf('HALT-2', s1)).latest).toMatchObject({ outcome: 'failed' }));
  await hub.control.clearFaults('shopee');
  await count('HALT-2', 4);
  await shows(s2, 'HALT-2', 4);
  await atRest(seller.id);
  expect(await shownQuantity(hub, s1, 'HALT-2')).toBe(5);
});

test('with automatic off only Push Now and sync now reach a listing', async () => {
  const { s1, s2, call } = seller;
  await rule('AUTO-1', { stores: [s1.id, s2.id] });
  await count('AUTO-1', 5);
  for (const store of [s1, s2]) await shows(store, 'AUTO-1', 5);
  const listing = await listingOf(s1, 'AUTO-1');
  const connected = (await expectReply(call.get(`/stores/${s1.id}/listings?state=connected&limit=200`), 200)).items;
  expect(connected.find(({ id }: { id: string }) => id === listing)).toMatchObject({ automatic: true });
  expect(await expectReply(call.post('/listings/auto-sync', { listings: [listing], on: false }), 200)).toEqual({
    changed: 1,
  });
  await count('AUTO-1', 6);
  await shows(s2, 'AUTO-1', 6);
  await atRest(seller.id);
  expect(await shownQuantity(hub, s1, 'AUTO-1')).toBe(5);
  const said = (await preview({ sku: 'AUTO-1' })).stores.find((one: { store: string }) => one.store === s1.id);
  expect(said).toMatchObject({ quantity: null, skipped: 'automatic_off', listing });
  await expectReply(call.post('/stock-pushes', { skus: ['AUTO-1'] }), 202);
  await shows(s1, 'AUTO-1', 6);
  await count('AUTO-1', 7);
  await shows(s2, 'AUTO-1', 7);
  await atRest(seller.id);
  expect(await shownQuantity(hub, s1, 'AUTO-1')).toBe(6);
  await expectReply(call.post('/listings/sync', { listings: [listing] }), 202);
  await shows(s1, 'AUTO-1', 7);
  await expectReply(call.post('/listings/auto-sync', { listings: [listing], on: true }), 200);
  await count('AUTO-1', 8);
  await shows(s1, 'AUTO-1', 8);
  expect(await call.post('/listings/auto-sync', { on: true })).toMatchObject({ status: 422 });
});

test('a floor of the platform: the nearest quantity it takes, and the record says so', async () => {
  const { l1, call } = seller;
  await rule('FLOOR-1', { stores: [l1.id] });
  const item = await itemOf(l1, 'FLOOR-1');
  await breakIt(l1, { kind: 'floor', items: [item.models[0]?.modelId ?? ''], floor: 12 });
  await count('FLOOR-1', 5);
  await shows(l1, 'FLOOR-1', 12);
  await eventually(async () =>
    expect((await recordOf('FLOOR-1', l1)).latest).toMatchObject({
      ...{ outcome: 'accepted', quantity: 12 },
      error: expect.stringContaining('floor is 12'),
    }),
  );
  const { items } = await expectReply(call.get('/push-records/history?sku=FLOOR-1'), 200);
  expect(items).toMatchObject([{ sku: 'FLOOR-1', history: [{ quantity: 12 }] }]);
  await atRest(seller.id);
  // It has that: the platform says it again, and nothing more is sent.
  const since = Date.now();
  await count('FLOOR-1', 4);
  await eventually(async () => expect((await recordOf('FLOOR-1', l1)).latest).toMatchObject({ before: 12 }));
  await atRest(seller.id);
  const { calls } = await hub.control.calls({ platform: 'lazada', shopId: l1.shopId, since });
  expect(calls.flatMap(({ entries }) => entries.map(({ quantity }) => quantity))).toEqual([4]);
  expect((await recordOf('FLOOR-1', l1)).latest).toMatchObject({ outcome: 'accepted', quantity: 12 });
});

test('records are filtered by SKU, store, outcome and time, and come as a file', async () => {
  const { call, s1 } = seller;
  const all = (await expectReply(call.get('/push-records?limit=200'), 200)).items;
  const filtered = (await expectReply(call.get(`/push-records?limit=200&store=${s1.id}&outcome=accepted`), 200)).items;
  expect(filtered.length).toBeGreaterThan(3);
  expect(filtered.length).toBeLessThan(all.length);
  const { at } = all[0].latest;
  const before = (await expectReply(call.get(`/push-records?limit=200&to=${at}`), 200)).items;
  const after = (await expectReply(call.get(`/push-records?limit=200&from=${at}`), 200)).items;
  expect(before.length + after.length).toBeGreaterThan(all.length);
  expect(before.every((one: { latest: { at: string } }) => one.latest.at <= at)).toBe(true);
  expect(after.every((one: { latest: { at: string } }) => one.latest.at >= at)).toBe(true);
  const file = await fileOf(seller, `/push-records/export?store=${s1.id}&outcome=accepted`);
  expect(file.length).toBe(filtered.length + 1);
  expect(file[0]).toBe('sku,store,at,quantity,before,cause,rule,revision,outcome,error,attempts,changes');
  const { sku, store, latest } = filtered.find((one: { latest: { error: unknown } }) => one.latest.error === null);
  const { quantity, before: had, cause, rule: under, revision, outcome, attempts, changes } = latest;
  const cells = [sku, store, latest.at, quantity, had ?? '', cause, under, revision, outcome, '', attempts, changes];
  expect(file.some((line) => line === cells.join(','))).toBe(true);
});

/** The lines of a CSV. */
async function fileOf(of: Seller, path: string): Promise<string[]> {
  const file = await fetch(`${api.url}/v1${path}`, { headers: { Authorization: `Bearer ${await keyOf(of)}` } });
  expect(file.headers.get('content-type')).toContain('text/csv');
  return (await file.text()).trim().split(/\r?\n/);
}

/** Another key of the account. */
async function keyOf({ call }: Seller): Promise<string> {
  const made = await expectReply(call.post('/api-keys', { name: 'reader', permissions: ['admin'] }), 201);
  return made.key;
}

test('a history keeps the newest 30 of the last 30 days; each write takes the place of the oldest', async () => {
  const { s1, call } = seller;
  const { pushRecords, pushHistory } = hub.store.database.models;
  await rule('HIST-1', { stores: [s1.id] });
  await count('HIST-1', 6);
  await shows(s1, 'HIST-1', 6);
  await atRest(seller.id);
  // As if it had been pushed 30 times, twice of them more than 30 days ago.
  const _id = await listingOf(s1, 'HIST-1');
  const { latest } = (await pushRecords.findById(_id).lean()) as NonNullable<Awaited<ReturnType<typeof recordRow>>>;
  const agesDays = [35, 31, ...Array.from({ length: 28 }, (_, index) => 28 - index)];
  const places = agesDays.map((_, index) => `${_id}|${index}`);
  await pushHistory.deleteOne({ _id: places[0] ?? '' });
  await pushHistory.insertMany(
    agesDays.map((days, number) => {
      const at = new Date(Date.now() - days * DAY_MS);
      return { ...latest, _id: places[number] ?? '', number, quantity: 100 + number, at };
    }),
  );
  await pushRecords.updateOne({ _id }, { $set: { results: agesDays.length } });
  const shown = async () => {
    const { items } = await expectReply(call.get(`/push-records/history?sku=HIST-1&store=${s1.id}`), 200);
    expect(items).toHaveLength(1);
    return (items[0].history as { quantity: number }[]).map(({ quantity }) => quantity);
  };
  const young = agesDays.flatMap((days, index) => (days < 30 ? [100 + index] : [])).reverse();
  expect(young).toHaveLength(28);
  expect(await shown()).toEqual(young);
  for (const quantity of [7, 8, 9]) {
    await count('HIST-1', quantity);
    await shows(s1, 'HIST-1', quantity);
    await atRest(seller.id);
  }
  expect(await shown()).toEqual([9, 8, 7, ...young.slice(0, 27)]);
  expect(await pushHistory.countDocuments({ _id: { $in: places } })).toBe(30);
  expect((await recordOf('HIST-1', s1)).latest).toMatchObject({ quantity: 9, before: 8 });
});

const recordRow = (id: string) => hub.store.database.models.pushRecords.findById(id).lean();

describe('a supplier and distributors', () => {
  const SKUS = ['Z-VIRTUAL', 'Z-PRE', 'Z-AUTO', 'Z-WEAK', 'Z-PLAIN'];

  test('what nothing supplies any more is 0 on every listing under every rule; stock flows through mirrors and their own rules', async () => {
    const supplier = await makeSupplier(hub, { skus: SKUS, onHand: 4 });
    const supplierCall = as(supplier.key);
    const [partner, other] = await Promise.all([makeDistributor(hub, supplier), makeDistributor(hub, supplier)]);
    const call = as(partner.key);
    const [shopee, lazada, theirs] = await Promise.all([
      makeStore(hub, partner.id, 'shopee', SKUS, { itemPerSku: true }),
      makeStore(hub, partner.id, 'lazada', SKUS, { itemPerSku: true }),
      makeStore(hub, other.id, 'lazada', ['Z-PLAIN']),
    ]);
    const of: Seller = {
      id: partner.id,
      call,
      warehouse: partner.warehouse,
      s1: shopee,
      s2: shopee,
      l1: lazada,
      stores: [shopee, lazada],
    };
    await rule('Z-VIRTUAL', { quantity: VIRTUAL }, of);
    await rule('Z-PRE', { preOrder: PRE }, of);
    await rule('Z-AUTO', {}, of);
    await rule('Z-WEAK', {}, of);
    const plain = await rule('Z-PLAIN', { quantity: partial(50) }, of);
    await rule('Z-PLAIN', { stores: [theirs.id] }, { ...of, call: as(other.key), warehouse: other.warehouse });
    const onHand = (sku: string, quantity: number) =>
      expectReply(
        supplierCall.post('/stock/adjustments', {
          warehouse: supplier.warehouse,
          sku,
          kind: 'count',
          quantity,
          reason: 't',
        }),
        200,
      );
    // Made with the set-up: everything to everybody, one to one.
    expect(await expectReply(supplierCall.get('/supplier/push-rule'), 200)).toMatchObject({
      ...{ skus: { kind: 'all' }, warehouses: 'one_to_one', quantity: { kind: 'real' }, receivers: 'all_distributors' },
      ...{ revision: 1, zeroBelow: null, lowStock: null },
    });
    // One flow: the supplier's change, the mirrors, each distributor's own rule.
    await Promise.all(SKUS.map((sku) => onHand(sku, 5)));
    await shows(shopee, 'Z-VIRTUAL', 205);
    await shows(shopee, 'Z-PRE', 35);
    await shows(lazada, 'Z-PRE', 5);
    for (const sku of ['Z-AUTO', 'Z-WEAK']) await shows(lazada, sku, 5);
    await shows(shopee, 'Z-PLAIN', 2);
    await shows(theirs, 'Z-PLAIN', 5);
    // The supplier's own settings: below 4 nobody gets any, below 9 the other one alone.
    const settings = await expectReply(
      supplierCall.patch('/supplier/push-rule', { zeroBelow: 4, lowStock: { threshold: 9, distributor: other.id } }),
      200,
    );
    expect(settings).toMatchObject({ revision: 2, zeroBelow: 4 });
    expect(settings.warnings).toBeUndefined();
    for (const field of ['name', 'skus', 'warehouses', 'quantity', 'receivers'])
      expect(await supplierCall.patch('/supplier/push-rule', { [field]: 'x' })).toMatchObject({
        status: 422,
        body: { code: 'rule_is_system', errors: [{ pointer: `/${field}` }] },
      });
    expect(
      await supplierCall.patch('/supplier/push-rule', { lowStock: { threshold: 9, distributor: 'acct_x' } }),
    ).toMatchObject({ status: 422 });
    await atRest(partner.id);
    expect(await shownQuantity(hub, shopee, 'Z-PLAIN')).toBe(2);
    for (const [quantity, mine, others] of [
      [8, 0, 8],
      [3, 0, 0],
      [9, 4, 9],
    ] as const) {
      await onHand('Z-PLAIN', quantity);
      await shows(theirs, 'Z-PLAIN', others);
      await shows(shopee, 'Z-PLAIN', mine);
      await atRest(partner.id);
    }
    const record = (
      await expectReply(supplierCall.get(`/supplier/push-records?sku=Z-PLAIN&distributor=${partner.id}`), 200)
    ).items;
    expect(record).toMatchObject([
      {
        ...{ sku: 'Z-PLAIN', store: null, distributor: partner.id, accepted: 9 },
        latest: { rule: 'distribution', revision: 2, quantity: 9, before: 0, outcome: 'accepted', attempts: 1 },
      },
    ]);
    const one = `sku=Z-PLAIN&distributor=${partner.id}`;
    const { items: histories } = await expectReply(supplierCall.get(`/supplier/push-records/history?${one}`), 200);
    const quantities = histories[0].history.map(({ quantity }: { quantity: number }) => quantity);
    // 8 and then 3 were too little for this one.
    expect(quantities.slice(0, 4)).toEqual([9, 0, 0, 5]);
    const asSupplier: Seller = { ...of, call: supplierCall };
    const [head, ...lines] = await fileOf(asSupplier, `/supplier/push-records/export?${one}&outcome=accepted`);
    expect(head).toBe('sku,distributor,at,quantity,before,cause,rule,revision,outcome,error,attempts,changes');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(new RegExp(`^Z-PLAIN,${partner.id},[^,]+,9,0,[^,]*,distribution,2,accepted,,1,1$`));
    expect((await expectReply(supplierCall.get('/supplier/push-records?outcome=refused'), 200)).items).toEqual([]);
    // Over all warehouses, also one that nobody was given: it goes to nobody, but is not too little.
    const { id: second } = await expectReply(supplierCall.post('/warehouses', { name: 'Second' }), 201);
    const inSecond = (quantity: number) => ({
      warehouse: second,
      sku: 'Z-PLAIN',
      kind: 'count',
      quantity,
      reason: 't',
    });
    await expectReply(supplierCall.post('/stock/adjustments', inSecond(10)), 200);
    await onHand('Z-PLAIN', 2);
    await shows(theirs, 'Z-PLAIN', 2);
    await shows(shopee, 'Z-PLAIN', 1);
    await expectReply(supplierCall.post('/stock/adjustments', inSecond(0)), 200);
    await shows(theirs, 'Z-PLAIN', 0);
    const ignored = { zeroBelow: 9, lowStock: { threshold: 9, distributor: other.id } };
    expect((await expectReply(supplierCall.patch('/supplier/push-rule', ignored), 200)).warnings).toMatchObject([
      { pointer: '/lowStock/threshold', code: 'low_stock_ignored' },
    ]);
    await expectReply(supplierCall.patch('/supplier/push-rule', { zeroBelow: null, lowStock: null }), 200);
    await onHand('Z-PLAIN', 7);
    await shows(theirs, 'Z-PLAIN', 7);
    await shows(shopee, 'Z-PLAIN', 3);

    // Zero: also where the rule was removed, and where the Inventory switch is off.
    await expectReply(call.delete(`/push-rules/${plain.id}`), 204);
    await expectReply(as(other.key).patch('/account', { inventoryEnabled: false }), 200);
    await expectReply(
      call.post('/listings/auto-sync', { listings: [await listingOf(lazada, 'Z-AUTO')], on: false }),
      200,
    );
    await rule('Z-WEAK', { stores: [shopee.id], name: 'stronger' }, of);
    await atRest(partner.id);
    await Promise.all(SKUS.map((sku) => expectReply(supplierCall.post(`/supplier/products/${sku}/disable`), 200)));
    for (const store of [shopee, lazada]) for (const sku of SKUS) await shows(store, sku, 0);
    await shows(theirs, 'Z-PLAIN', 0);
    await eventually(async () => expect(await isInPreOrder(shopee, 'Z-PRE')).toBe(false));
    const zero = await recordOf('Z-WEAK', lazada, of);
    expect(zero.latest).toMatchObject({ quantity: 0, rule: null, outcome: 'accepted' });
    expect(await expectReply(call.post('/push-rules/preview', { sku: 'Z-VIRTUAL', available: 50 }), 200)).toMatchObject(
      {
        supplied: false,
        stores: [{ quantity: 0 }, { quantity: 0 }],
      },
    );
  });
});

test('on the free plan stores of a platform that it leaves out are skipped, and recorded; on another plan they are not', async () => {
  const free = await makeSeller(['FREE-1'], 'free');
  const { id } = await expectReply(free.call.post('/stores', { platform: 'tokopedia', name: 'Toko' }), 201);
  const shop = await hub.store.stores.get(free.id, id);
  await hub.store.database.models.stores.updateOne({ _id: id }, { $set: { status: 'connected', shopId: '1' } });
  await hub.store.stores.putListings(shop, [
    {
      ...{ itemId: '1', modelId: '0', sellerSku: 'FREE-1', title: 'T', imageUrl: null, variation: '' },
      ...{ price: '1.00', currency: 'IDR', quantity: 1, status: 'live' },
    },
  ]);
  await rule('FREE-1', { skus: { kind: 'all' }, stores: [free.s1.id, id] }, free);
  await count('FREE-1', 7, free);
  await shows(free.s1, 'FREE-1', 7);
  const latest = async () => (await expectReply(free.call.get(`/push-records?store=${id}`), 200)).items[0]?.latest;
  await eventually(async () => expect(await latest()).toMatchObject({ outcome: 'plan_excluded', quantity: null }));
  expect((await expectReply(free.call.get('/push-records?outcome=plan_excluded'), 200)).items).toHaveLength(1);
  const said = await expectReply(free.call.post('/push-rules/preview', { sku: 'FREE-1' }), 200);
  expect(said.stores.find(({ store }: { store: string }) => store === id)).toMatchObject({ skipped: 'plan_excluded' });
  await expectReply(as(ADMIN_KEY).patch(`/accounts/${free.id}`, { plan: 'basic' }), 200);
  await count('FREE-1', 8, free);
  await shows(free.s1, 'FREE-1', 8);
  await eventually(async () => expect(await latest()).toMatchObject({ outcome: 'skipped' }));
  // No more is said than what a push does.
  const { stores } = await expectReply(free.call.post('/push-rules/preview', { sku: 'FREE-1' }), 200);
  expect(stores.find(({ store }: { store: string }) => store === id)).toMatchObject({
    ...{ quantity: null, skipped: 'platform_not_configured' },
  });
});

test('what each store accepted is what its recorded rule gives, after all of that', async () => {
  const { call } = seller;
  await atRest(seller.id);
  const { operation, verification } = await expectReply(call.post('/billing/verify', {}), 202);
  await eventually(async () =>
    expect(await expectReply(call.get(`/operations/${operation.id}`), 200)).toMatchObject({ status: 'done' }),
  );
  const { checks, discrepancies } = await expectReply(call.get(`/billing/verifications/${verification.id}`), 200);
  expect(discrepancies).toEqual([]);
  const { seen, apart } = checks.find(({ check }: { check: string }) => check === 'listings');
  const told = Object.values<number>(apart).reduce((sum, count) => sum + count, 0);
  expect(seen - told).toBeGreaterThan(40);
});

test('the preview of all SKUs is what the push of all does, on every listing', async () => {
  const { call } = seller;
  // What was saved since, and states between the thresholds, must not differ either.
  const { operation } = await expectReply(call.post('/stock-pushes', { all: true }), 202);
  await eventually(async () => {
    const now = await expectReply(call.get(`/operations/${operation.id}`), 200);
    expect(now).toMatchObject({ status: 'done', progress: { failed: 0 } });
  });
  const listings = new Map<string, number>();
  for (const store of seller.stores)
    for (const { itemId, models } of (await hub.control.shop(store.platform, store.shopId)).items)
      for (const { modelId, stock } of models) listings.set(`${store.id}/${itemId}/${modelId}`, stock);
  const wrong: string[] = [];
  let compared = 0;
  for (let cursor: string | null = ''; cursor !== null; ) {
    const path = `/push-rules/preview?limit=11${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
    const page: {
      items: { sku: string; stores: { listing: string; quantity: number | null }[] }[];
      nextCursor: string | null;
    } = await expectReply(call.get(path), 200);
    for (const { sku, stores } of page.items)
      for (const { listing, quantity } of stores) {
        if (quantity === null) continue;
        compared += 1;
        if (listings.get(listing) !== quantity)
          wrong.push(`${sku} ${listing}: ${quantity}, shown ${listings.get(listing)}`);
      }
    cursor = page.nextCursor;
  }
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(50);
  // The same as a file.
  const [head, ...lines] = await fileOf(seller, '/push-rules/preview/export');
  expect(head).toBe('sku,rule,revision,total,store,listing,quantity,skipped,pre_order');
  const sent = lines.map((line) => line.split(',')).filter((cells) => cells[6] !== '');
  expect(sent.filter((cells) => String(listings.get(cells[5] ?? '')) !== cells[6])).toEqual([]);
  expect(sent).toHaveLength(compared);
});
