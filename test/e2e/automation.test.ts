/** Automation over HTTP, through the real workflows, with sandbox stores behind them. Contract: orders.md, Automation. */
import { randomUUID } from 'node:crypto';
import { newId } from '../../domain/ids';
import type { IncomingOrder } from '../../store/repositories/order-intake';
import { taskQueueOf } from '../../workflows/ids';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import {
  type ConnectedStore,
  type Distributor,
  makeDistributor,
  makeStore,
  makeSupplier,
  type Supplier,
} from '../support/scenario';
import { serveApi } from '../support/served-api';
import { createFakeWarehouse } from '../support/warehouse';

const RACES = process.env.LONG === '1' ? 60 : 4;
const RACES_MS = 240_000;
const SKUS = ['TEE-1', 'CAP-1', 'MUG-1'];

let hub: Hub;
let api: Awaited<ReturnType<typeof serveApi>>;
/** Its warehouses in the order in which they are taken without a rule. */
let supplier: Supplier & { first: string; second: string };
let distributor: Distributor;
let atSupplier: HttpClient;
let atDistributor: HttpClient;
let own: string;
const shops = {} as Record<'shopee' | 'lazada', ConnectedStore>;
/** The distributor's views of the supplier's warehouses. */
let views: { first: string; second: string };

const onDue = () => import('../../activities/automation').then(({ startAutomation }) => startAutomation(hub));
/** From now on what becomes due is told to nobody, as if the process had died after the commit. */
const dieAfterCommits = () => hub.store.automation.onDue(() => {});
const sweep = () =>
  hub.client.workflow.execute('sweep', {
    workflowId: newId('job'),
    taskQueue: taskQueueOf(hub.queuePrefix),
    args: [],
  });

async function stockIn(client: HttpClient, warehouse: string, sku: string, quantity: number) {
  const input = { warehouse, sku, kind: 'stockIn', quantity, reason: 'seed' };
  await expectReply(client.post('/stock/adjustments', input), 200);
}

async function makeParties() {
  const made = await makeSupplier(hub, { skus: SKUS, onHand: 1_000, price: 1_000 });
  atSupplier = createHttpClient(api.url)(made.key);
  const second = (await expectReply(atSupplier.post('/warehouses', { name: 'Second' }), 201)).id as string;
  for (const sku of SKUS) await stockIn(atSupplier, second, sku, 1_000);
  distributor = await makeDistributor(hub, made, { warehouses: [made.warehouse, second] });
  atDistributor = createHttpClient(api.url)(distributor.key);
  const rows = await hub.store.database.models.warehouses.find({ account: distributor.id }).sort({ _id: 1 }).lean();
  const [first, last] = rows.map(({ _id, source }) => ({ view: _id, warehouse: source?.warehouse ?? '' }));
  if (!first || !last) throw new Error('two warehouses were given');
  views = { first: first.view, second: last.view };
  supplier = { ...made, first: first.warehouse, second: last.warehouse };
  own = (await expectReply(atDistributor.post('/warehouses', { name: 'Own' }), 201)).id;
  for (const sku of ['OWN-1', 'GIFT-1', 'RARE-1'])
    await expectReply(atDistributor.post('/skus', { sku, name: sku }), 201);
  for (const sku of ['OWN-1', 'GIFT-1']) await stockIn(atDistributor, own, sku, 100);
}

beforeAll(async () => {
  hub = await startHub({ sweepGraceMs: 1, platformTimeoutMs: 2_000, outbound: createFakeWarehouse() });
  api = await serveApi(hub);
  await hub.control.configure({ callbackBaseUrl: api.url });
  await makeParties();
  for (const platform of ['shopee', 'lazada'] as const)
    shops[platform] = await makeStore(hub, distributor.id, platform, SKUS);
  await eventually(async () => {
    const level = await hub.store.stock.levelsIn(distributor.id, 'TEE-1');
    expect(level.map(({ onHand }) => onHand)).toEqual([1_000, 1_000]);
  });
});
afterAll(async () => {
  await api?.close();
  await hub?.stop();
});
beforeEach(onDue);
afterEach(async () => {
  for (const kind of ['mark-rules', 'allocation-rules', 'gift-rules'])
    await expectReply(atDistributor.put(`/automation/${kind}`, { rules: [] }), 200);
  for (const kind of ['auto-pack', 'mark-rules', 'shipping-rules'])
    await expectReply(atSupplier.put(`/automation/${kind}`, { rules: [] }), 200);
  await expectReply(atSupplier.put('/automation/auto-tool', { enabled: false }), 200);
  await expectReply(atDistributor.put('/automation/auto-push', { partnerships: [] }), 200);
});

type Line = { sku: string; quantity: number };
/** An order through the API. */
const order = (lines: Line[], more: object = {}) =>
  expectReply(
    atDistributor.post('/orders', {
      ...{ number: randomUUID(), currency: 'MYR', shipping: 'platform_logistics', lines },
      ...more,
    }),
    201,
  );
const orderNow = (id: string) => expectReply(atDistributor.get(`/orders/${id}`), 200);
const supplyOrderNow = (id: string) => expectReply(atSupplier.get(`/supply-orders/${id}`), 200);

/** A buyer's order in a sandbox shop, as it is taken in. */
async function buy(platform: 'shopee' | 'lazada', lines: Line[], more: object = {}) {
  const shop = shops[platform];
  const { items } = await hub.control.shop(platform, shop.shopId);
  const bought = lines.map(({ sku, quantity }) => {
    for (const item of items)
      for (const model of item.models)
        if (model.sku === sku) return { itemId: item.itemId, modelId: model.modelId, quantity };
    throw new Error(`no ${sku}`);
  });
  const { orderNumber } = await hub.control.createOrder(platform, { shopId: shop.shopId, lines: bought, ...more });
  const id = await eventually(async () => {
    const { items: found } = await expectReply(atDistributor.get(`/orders?number=${orderNumber}`), 200);
    expect(found).toHaveLength(1);
    expect(found[0].packages.length).toBeGreaterThan(0);
    return found[0].id as string;
  });
  return { id, orderNumber };
}

/** Pushes by hand and waits until it went through. @returns the supply order of the first package */
async function pushed(id: string): Promise<string> {
  const { status, body } = await atDistributor.post(`/orders/${id}/push`);
  if (status !== 202) throw new Error(JSON.stringify(body));
  return supplyOrderOf(id);
}
const supplyOrderOf = (id: string): Promise<string> =>
  eventually(async () => {
    const { packages } = await orderNow(id);
    const given = packages.find(({ partnership }: { partnership: unknown }) => partnership !== null);
    if (given?.supplyOrder == null) throw new Error(JSON.stringify(given));
    return given.supplyOrder;
  });
const supplyOrderIs = (id: string, status: string) =>
  eventually(async () => {
    const row = await supplyOrderNow(id);
    expect(row.status).toBe(status);
    return row;
  });

const rule = (name: string, priority: number, more: object) => ({ name, priority, ...more });
const set = (client: HttpClient, kind: string, body: object) =>
  expectReply(client.put(`/automation/${kind}`, body), 200);
const dryRun = async (client: HttpClient, kind: string, body: object) => {
  const before = await expectReply(client.get(`/automation/${kind}`), 200);
  const answer = await expectReply(client.put(`/automation/${kind}?dryRun=true`, body), 200);
  expect(await expectReply(client.get(`/automation/${kind}`), 200)).toEqual(before);
  return answer.dryRun as { looked: number; complete: boolean; changes: Record<string, unknown>[] };
};

describe('settings', () => {
  test('are nothing until they are set, and read as they were set', async () => {
    const never = { revision: 0, updatedAt: null };
    const { key } = await hub.store.accounts.create({ name: 'New', plan: 'v2', orderQuota: null });
    const fresh = createHttpClient(api.url)(key);
    for (const kind of ['auto-pack', 'mark-rules', 'allocation-rules', 'gift-rules', 'shipping-rules'])
      expect(await expectReply(fresh.get(`/automation/${kind}`), 200)).toEqual({ rules: [], ...never });
    expect(await expectReply(fresh.get('/automation/auto-tool'), 200)).toEqual({ enabled: false, ...never });
    expect(await expectReply(fresh.get('/automation/auto-push'), 200)).toEqual({ partnerships: [], ...never });

    const rules = [
      rule('big ones', 3, {
        enabled: false,
        of: 'orders',
        tags: ['big'],
        marketing: true,
        conditions: {
          platforms: ['shopee'],
          skus: { match: 'all', skus: ['X'] },
          quantity: { atLeast: 2 },
          amount: { atLeast: { amount: '12.50', currency: 'MYR' } },
        },
      }),
    ];
    expect(await set(fresh, 'mark-rules', { rules })).toMatchObject({ rules, revision: 1, dryRun: null });
    expect(await expectReply(fresh.get('/automation/mark-rules'), 200)).toMatchObject({ rules, revision: 1 });
    expect(await set(fresh, 'mark-rules', { rules: [] })).toMatchObject({ rules: [], revision: 2 });
  });

  test('that can not be taken are refused with everything that is wrong, a dry run too', async () => {
    const problemsOf = async (client: HttpClient, path: string, body: object) => {
      const { code, errors } = await expectReply(client.put(`/automation/${path}`, body), 422);
      expect(code).toBe('invalid_input');
      return errors.map((error: { pointer: string; code: string }) => `${error.pointer} ${error.code}`);
    };
    const marks = {
      rules: [
        rule('a', 1, { of: 'supply_orders', tags: ['t'], marketing: true, conditions: { warehouses: ['wh_none'] } }),
        rule('b', 1, { of: 'orders', tags: ['t'], conditions: { stores: ['store_none'] } }),
      ],
    };
    for (const path of ['mark-rules', 'mark-rules?dryRun=true'])
      expect(await problemsOf(atSupplier, path, marks)).toEqual([
        '/rules/1/priority priority_taken',
        '/rules/0/marketing not_for_supply_orders',
        '/rules/0/conditions/warehouses/0 unknown_warehouse',
        '/rules/1/conditions/stores/0 unknown_store',
      ]);
    const packs = { rules: [rule('a', 1, { stores: { kind: 'all_bigshop' }, carriers: ['PosLaju'] })] };
    expect(await problemsOf(atSupplier, 'auto-pack', packs)).toEqual(['/rules/0/carriers carrier_choice_disabled']);
    expect(await problemsOf(atSupplier, 'auto-push', { partnerships: [distributor.partnership] })).toEqual([
      '/partnerships/0 unknown_partnership',
    ]);
    const gifts = { rules: [rule('a', 1, { gifts: [{ sku: 'NONE', quantity: 1 }], per: 'unit' })] };
    expect(await problemsOf(atDistributor, 'gift-rules', gifts)).toEqual([
      '/rules/0/per skus_required',
      '/rules/0/gifts/0/sku unknown_sku',
    ]);
    const many = Array.from({ length: 51 }, (_, at) => rule(`r${at}`, at + 1, { of: 'orders', tags: ['t'] }));
    expect(await problemsOf(atDistributor, 'mark-rules', { rules: many })).toEqual(['/rules too_long']);
  });
});

describe('mark rules', () => {
  test('tag orders and supply orders, each by its own rules; a dry run says what it would do', async () => {
    const before = await buy('shopee', [{ sku: 'TEE-1', quantity: 2 }]);
    const { amount } = await orderNow(before.id);
    expect(amount).toEqual({ amount: '39.80', currency: 'MYR' });
    const rules = [
      rule('shopee', 1, { of: 'orders', tags: ['from shopee', 'new'], conditions: { stores: [shops.shopee.id] } }),
      rule('dear', 2, {
        of: 'orders',
        tags: ['new'],
        marketing: true,
        conditions: { amount: { atLeast: { amount: '39.81', currency: 'MYR' } } },
      }),
    ];
    const { changes, complete } = await dryRun(atDistributor, 'mark-rules', { rules });
    expect(complete).toBe(true);
    expect(changes).toContainEqual(
      expect.objectContaining({ order: before.id, what: 'tags', before: [], after: ['from shopee', 'new'] }),
    );
    await set(atDistributor, 'mark-rules', { rules });
    const conditions = { partnerships: [distributor.partnership], skus: { match: 'any', skus: ['TEE-1'] } };
    await set(atSupplier, 'mark-rules', {
      rules: [rule('tees', 1, { of: 'supply_orders', tags: ['tee'], conditions })],
    });

    const cheap = await buy('shopee', [{ sku: 'TEE-1', quantity: 2 }]);
    const dear = await buy('lazada', [{ sku: 'CAP-1', quantity: 3 }]);
    expect(await orderNow(before.id)).toMatchObject({ tags: [], marketing: false });
    expect(await orderNow(cheap.id)).toMatchObject({ tags: ['from shopee', 'new'], marketing: false });
    expect(await orderNow(dear.id)).toMatchObject({ tags: ['new'], marketing: true });
    const idsOf = async (client: HttpClient, path: string) =>
      (await expectReply(client.get(path), 200)).items.map(({ id }: { id: string }) => id);
    expect(await idsOf(atDistributor, '/orders?tag=from%20shopee')).toEqual([cheap.id]);
    expect((await idsOf(atDistributor, '/orders?tag=new')).sort()).toEqual([cheap.id, dear.id].sort());
    expect(await idsOf(atDistributor, '/orders?marketing=true')).toEqual([dear.id]);

    const [tee, cap] = [await pushed(cheap.id), await pushed(dear.id)];
    // The distributor's tags are none of the supplier's business.
    expect([(await supplyOrderNow(tee)).tags, (await supplyOrderNow(cap)).tags]).toEqual([['tee'], []]);
    expect(await idsOf(atSupplier, '/supply-orders?tag=tee')).toEqual([tee]);
  });
});

describe('allocation rules', () => {
  test('choose among the warehouses that were given, and the supply order takes the one it was assigned', async () => {
    const waiting = await order([{ sku: 'TEE-1', quantity: 1 }]);
    expect(waiting.packages[0]).toMatchObject({ warehouse: views.first, allocationRule: null });
    const conditions = { skus: { match: 'all', skus: ['TEE-1', 'MUG-1'] } };
    const rules = [rule('second first', 1, { warehouses: [own, views.second], conditions })];
    const { changes } = await dryRun(atDistributor, 'allocation-rules', { rules });
    expect(changes).toContainEqual(
      expect.objectContaining({
        ...{ package: waiting.packages[0].id, rule: 'second first', what: 'warehouse' },
        ...{ before: views.first, after: views.second },
      }),
    );
    await set(atDistributor, 'allocation-rules', { rules });
    const chosen = await order([{ sku: 'TEE-1', quantity: 1 }]);
    expect(chosen.packages).toMatchObject([{ warehouse: views.second, allocationRule: 'second first' }]);
    expect((await order([{ sku: 'CAP-1', quantity: 1 }])).packages).toMatchObject([
      { warehouse: views.first, allocationRule: null },
    ]);
    // None run again at the supplier's, whatever their own say.
    const theirs = [rule('first', 1, { warehouses: [supplier.first] })];
    await set(atSupplier, 'allocation-rules', { rules: theirs });
    await set(atSupplier, 'gift-rules', { rules: [rule('a mug', 1, { gifts: [{ sku: 'MUG-1', quantity: 1 }] })] });
    expect(await supplyOrderNow(await pushed(chosen.id))).toMatchObject({
      ...{ warehouse: supplier.second, lines: [{ sku: 'TEE-1', quantity: 1 }] },
    });
    for (const kind of ['allocation-rules', 'gift-rules']) await set(atSupplier, kind, { rules: [] });
    // What is not there is not waited for, unless the rule is strict.
    await stockIn(atSupplier, supplier.first, 'MUG-1', 100);
    await eventually(async () => {
      const levels = await hub.store.stock.levelsIn(distributor.id, 'MUG-1', [views.first]);
      expect(levels).toMatchObject([{ available: 1_100 }]);
    });
    const lots = [{ sku: 'MUG-1', quantity: 1_001 }];
    await set(atDistributor, 'allocation-rules', { rules: [{ ...rules[0], strict: true }] });
    const strict = await order(lots);
    expect(strict.packages).toMatchObject([{ warehouse: views.second, allocationRule: 'second first' }]);
    const { code, blockers } = await expectReply(atDistributor.post(`/orders/${strict.id}/push`), 409);
    expect([code, blockers[0].code]).toEqual(['push_blocked', 'out_of_stock']);
    await set(atDistributor, 'allocation-rules', { rules });
    expect((await order(lots)).packages).toMatchObject([{ warehouse: views.first, allocationRule: null }]);
  });

  test('choose among the own warehouses for own goods', async () => {
    const other = (await expectReply(atDistributor.post('/warehouses', { name: 'Other' }), 201)).id;
    await stockIn(atDistributor, other, 'OWN-1', 5);
    await set(atDistributor, 'allocation-rules', { rules: [rule('other', 1, { warehouses: [other] })] });
    const lines = [{ sku: 'OWN-1', quantity: 5 }];
    expect((await order(lines)).packages).toMatchObject([{ warehouse: other, allocationRule: 'other' }]);
    expect((await order(lines)).packages).toMatchObject([{ warehouse: own, allocationRule: null, failure: null }]);
  });
});

describe('gift rules', () => {
  const gift = (sku: string, more: object = {}) => ({ gifts: [{ sku, quantity: 1 }], ...more });

  test('add lines that are allocated, pushed, charged and shipped; the platform hears of none of them', async () => {
    const open = await order([{ sku: 'TEE-1', quantity: 2 }]);
    const conditions = { skus: { match: 'any', skus: ['TEE-1'] }, quantity: { atLeast: 2 } };
    const rules = [
      rule('a cap each', 1, gift('CAP-1', { per: 'unit', conditions })),
      rule('a card', 2, gift('GIFT-1', { conditions })),
    ];
    const { changes } = await dryRun(atDistributor, 'gift-rules', { rules });
    const given = [
      { rule: 'a cap each', sku: 'CAP-1', quantity: 2 },
      { rule: 'a card', sku: 'GIFT-1', quantity: 1 },
    ];
    expect(changes).toContainEqual(
      expect.objectContaining({ order: open.id, what: 'gifts', before: [], after: given }),
    );
    expect((await orderNow(open.id)).gifts).toEqual([]);
    await set(atDistributor, 'gift-rules', { rules });

    const allocated = async () => (await hub.store.stock.levelsIn(distributor.id, 'GIFT-1'))[0]?.allocated;
    const held = (await allocated()) ?? 0;
    const { id, orderNumber } = await buy('lazada', [{ sku: 'TEE-1', quantity: 2 }], { shipping: 'self_delivery' });
    const row = await orderNow(id);
    const [claimed, mine] = row.packages;
    expect(row.lines.map(({ sku }: Line) => sku)).not.toContain('CAP-1');
    expect(row.gifts).toMatchObject([
      { ...given[0], package: claimed.id, leftOut: null },
      { ...given[1], package: mine.id, leftOut: null },
    ]);
    expect(claimed.lines.map(({ sku, quantity }: Line) => `${sku} ${quantity}`).slice(-1)).toEqual(['CAP-1 2']);
    expect(mine).toMatchObject({ partnership: null, lines: [{ sku: 'GIFT-1', quantity: 1 }] });
    expect(await allocated()).toBe(held + 1);
    // The card leaves on its own: nothing that the platform sold is gone by that.
    const left = await expectReply(
      atDistributor.post(`/orders/${id}/ship`, { package: mine.id, trackingNumber: 'T-2' }),
      200,
    );
    expect(left.packages[1]).toMatchObject({ status: 'shipped', shipment: { platform: 'none', operation: null } });

    // Two tees and two caps, as any lines.
    const supplyOrder = await pushed(id);
    const handed = await supplyOrderNow(supplyOrder);
    expect(handed.charge.total).toEqual({ amount: '40.00', currency: 'MYR' });
    expect(handed.lines.reduce((sum: number, { quantity }: Line) => sum + quantity, 0)).toBe(4);
    for (const step of ['pack', 'ready'])
      await expectReply(atSupplier.post(`/supply-orders/${supplyOrder}/${step}`), 200);
    await expectReply(atSupplier.post(`/supply-orders/${supplyOrder}/ship`, { trackingNumber: 'T-1' }), 200);
    await eventually(async () => {
      expect((await supplyOrderNow(supplyOrder)).shipment.platform).toBe('told');
    });
    const { shipments, lines } = await hub.control.order('lazada', orderNumber);
    expect(shipments.flatMap(({ lineIds }) => lineIds).sort()).toEqual(lines.map(({ lineId }) => lineId).sort());
  });

  test('a gift that is not there is left out and keeps nothing waiting', async () => {
    const rules = [
      rule('rare', 1, gift('RARE-1')),
      rule('many', 2, { gifts: [{ sku: 'GIFT-1', quantity: 1_000 }] }),
      rule('a card', 3, gift('GIFT-1')),
    ];
    await set(atDistributor, 'gift-rules', { rules });
    const { id, gifts, packages } = await order([{ sku: 'OWN-1', quantity: 1 }]);
    expect(gifts).toMatchObject([
      { sku: 'RARE-1', package: null, leftOut: 'out_of_stock' },
      { sku: 'GIFT-1', quantity: 1_000, package: null, leftOut: 'out_of_stock' },
      { sku: 'GIFT-1', quantity: 1, package: packages[0].id, leftOut: null },
    ]);
    expect(packages).toMatchObject([{ failure: null, lines: [{ sku: 'OWN-1' }, { sku: 'GIFT-1' }] }]);
    // Taken in again, nothing is given twice.
    const { number, status } = await orderNow(id);
    await expectReply(
      atDistributor.post('/orders', {
        ...{ number, currency: 'MYR', shipping: 'platform_logistics', lines: [{ sku: 'OWN-1', quantity: 1 }] },
      }),
      200,
    );
    expect(await orderNow(id)).toMatchObject({ status, gifts, packages: [{ id: packages[0].id }] });
    expect((await orderNow(id)).packages).toHaveLength(1);
    // A claim that is over is none to give from.
    await expectReply(atSupplier.post('/supplier/products/MUG-1/disable', {}), 200);
    await set(atDistributor, 'gift-rules', { rules: [rule('a mug', 1, gift('MUG-1'))] });
    await eventually(async () => {
      const made = await order([{ sku: 'TEE-1', quantity: 1 }]);
      expect(made.gifts).toMatchObject([{ sku: 'MUG-1', leftOut: 'sku_inactive' }]);
      expect(made.packages).toHaveLength(1);
    });
  });
});

describe('shipping rules and auto-pack', () => {
  const carriers = [
    rule('heavy', 1, { of: 'self_delivery', carrier: 'Lorry', conditions: { quantity: { atLeast: 10 } } }),
    rule('rest', 2, { of: 'self_delivery', carrier: 'PosLaju', conditions: { partnerships: [] as string[] } }),
    rule('outside', 3, { of: 'three_pl', carrier: 'Ninja' }),
  ];
  const withPartner = () => [
    carriers[0],
    { ...carriers[1], conditions: { partnerships: [distributor.partnership] } },
    carriers[2],
  ];

  test('a carrier is chosen for Self-Delivery, packed by, and told with the shipment', async () => {
    const tee = [{ sku: 'TEE-1', quantity: 1 }];
    const waiting = await pushed((await order(tee, { shipping: 'self_delivery' })).id);
    const { changes } = await dryRun(atSupplier, 'shipping-rules', { rules: withPartner() });
    expect(changes).toContainEqual(
      expect.objectContaining({ supplyOrder: waiting, rule: 'rest', what: 'carrier', before: null, after: 'PosLaju' }),
    );
    expect((await supplyOrderNow(waiting)).carrier).toBeNull();
    await set(atSupplier, 'shipping-rules', { rules: withPartner() });
    const stores = { kind: 'list', stores: [{ partnership: distributor.partnership, sourceStore: 'BigShop – API' }] };
    const packs = { rules: [rule('by PosLaju', 1, { stores, carriers: ['PosLaju'] })] };
    await set(atSupplier, 'auto-pack', packs);

    const light = await pushed((await order(tee, { shipping: 'self_delivery' })).id);
    const heavy = await pushed((await order([{ sku: 'TEE-1', quantity: 10 }], { shipping: 'self_delivery' })).id);
    const arranged = await pushed((await order(tee, { shipping: 'self_arranged' })).id);
    expect(await supplyOrderIs(light, 'packed')).toMatchObject({
      carrier: { name: 'PosLaju', rule: 'rest', of: 'self_delivery' },
      automatic: { pack: 'by PosLaju', countsAs: 'self_delivery', follow: null, open: false },
    });
    expect(await supplyOrderNow(heavy)).toMatchObject({ status: 'new', carrier: { name: 'Lorry' }, automatic: null });
    expect(await supplyOrderNow(arranged)).toMatchObject({ status: 'new', carrier: null, automatic: null });
    await expectReply(atSupplier.post(`/supply-orders/${light}/ready`), 200);
    const shipped = await expectReply(atSupplier.post(`/supply-orders/${light}/ship`, { trackingNumber: 'T-9' }), 200);
    expect(shipped.shipment).toMatchObject({ carrier: 'PosLaju', trackingNumber: 'T-9' });
  });

  test('goods in a warehouse of others have the carrier that the rules for those choose', async () => {
    await set(atSupplier, 'shipping-rules', { rules: withPartner() });
    const { warehouses } = hub.store.database.models;
    const kindIs = (kind: string) =>
      warehouses.collection.updateOne({ _id: supplier.first } as never, { $set: { kind } });
    await kindIs('third_party');
    const { carrier } = await supplyOrderNow(
      await pushed((await order([{ sku: 'TEE-1', quantity: 1 }], { shipping: 'self_arranged' })).id),
    ).finally(() => kindIs('own'));
    expect(carrier).toEqual({ name: 'Ninja', rule: 'outside', of: 'three_pl' });
  });

  const allBigshop = { rules: [rule('all', 1, { stores: { kind: 'all_bigshop' } })] };

  test('all BigShop orders are packed whatever their shipping, and the distributor sees it', async () => {
    const there = await pushed((await order([{ sku: 'TEE-1', quantity: 1 }])).id);
    const { changes } = await dryRun(atSupplier, 'auto-pack', allBigshop);
    expect(changes).toContainEqual(
      expect.objectContaining({ supplyOrder: there, rule: 'all', what: 'status', before: 'new', after: 'packed' }),
    );
    await set(atSupplier, 'auto-pack', allBigshop);
    // By the warehouse it was assigned: not this one.
    const elsewhere = { rules: [{ ...allBigshop.rules[0], warehouses: [supplier.second] }] };
    await set(atSupplier, 'auto-pack', elsewhere);
    const left = await pushed((await order([{ sku: 'TEE-1', quantity: 1 }])).id);
    expect(await supplyOrderNow(left)).toMatchObject({ status: 'new', automatic: null, warehouse: supplier.first });
    await set(atSupplier, 'auto-pack', { rules: [{ ...elsewhere.rules[0], warehouses: [supplier.first] }] });
    await supplyOrderIs(await pushed((await order([{ sku: 'TEE-1', quantity: 1 }])).id), 'packed');
    await set(atSupplier, 'auto-pack', allBigshop);
    const { id } = await order([{ sku: 'TEE-1', quantity: 1 }], { shipping: 'three_pl' });
    const packed = await supplyOrderIs(await pushed(id), 'packed');
    expect(packed.automatic).toEqual({ pack: 'all', countsAs: 'self_arranged', follow: null, open: false });
    await eventually(async () => expect((await orderNow(id)).status).toBe('packed'));
    // For new ones alone.
    expect((await supplyOrderNow(there)).status).toBe('new');
  });

  test('one whose process died after the push is found by the sweep; one that was recalled is not packed', async () => {
    await set(atSupplier, 'auto-pack', allBigshop);
    dieAfterCommits();
    const [lost, recalled] = [
      await order([{ sku: 'TEE-1', quantity: 1 }]),
      await order([{ sku: 'TEE-1', quantity: 1 }]),
    ];
    const [one, two] = [await pushed(lost.id), await pushed(recalled.id)];
    await expectReply(atDistributor.post(`/orders/${recalled.id}/recall`), 200);
    expect(await supplyOrderNow(one)).toMatchObject({ status: 'new', automatic: { open: true } });
    await Promise.all([sweep(), hub.store.orders.automation.advance(one), hub.store.orders.automation.advance(one)]);
    expect(await supplyOrderIs(one, 'packed')).toMatchObject({ automatic: { open: false } });
    const { updatedAt } = await supplyOrderNow(one);
    await sweep();
    expect(await supplyOrderNow(one)).toMatchObject({ status: 'packed', updatedAt });
    expect(await supplyOrderNow(two)).toMatchObject({ status: 'cancelled', automatic: { open: false } });
    await expectAllInOrder(hub);
  });

  test('one that is being recalled waits, and is packed once the recall is over', async () => {
    await set(atSupplier, 'auto-pack', allBigshop);
    dieAfterCommits();
    const supplyOrder = await pushed((await order([{ sku: 'TEE-1', quantity: 1 }])).id);
    const recall = { attempt: 1, open: true, state: 'running' };
    const rows = hub.store.database.models.supplyOrders.collection;
    const only = { _id: supplyOrder } as never;
    await rows.updateOne(only, { $set: { recall } });
    expect(await hub.store.orders.automation.advance(supplyOrder)).toEqual({ outcome: 'waits' });
    expect(await supplyOrderOfStore(supplyOrder)).toMatchObject({ status: 'new', auto: { open: true } });
    await rows.updateOne(only, { $set: { recall: null } });
    await sweep();
    await supplyOrderIs(supplyOrder, 'packed');
  });
  const supplyOrderOfStore = (id: string) => hub.store.orders.supplyOrder(supplier.id, id);
});

describe('auto tool', () => {
  const onHand = async () =>
    (await hub.store.stock.levelsIn(supplier.id, 'TEE-1')).reduce((sum, level) => sum + level.onHand, 0);

  test.each(['shopee', 'lazada'] as const)(
    'the supply order follows its order on %s, and the stock falls once',
    async (platform) => {
      const { id, orderNumber } = await buy(platform, [{ sku: 'TEE-1', quantity: 3 }]);
      const supplyOrder = await pushed(id);
      const before = await onHand();
      await hub.control.advanceOrder(platform, orderNumber, { state: 'to_pickup' });
      await eventually(async () =>
        expect(['PROCESSED', 'ready_to_ship']).toContain((await orderNow(id)).platformState),
      );
      // Off: nothing follows; a dry run says what would.
      expect((await supplyOrderNow(supplyOrder)).status).toBe('new');
      const { changes } = await dryRun(atSupplier, 'auto-tool', { enabled: true });
      expect(changes).toContainEqual(expect.objectContaining({ supplyOrder, before: 'new', after: 'to_pickup' }));
      await set(atSupplier, 'auto-tool', { enabled: true });

      const next = await buy(platform, [{ sku: 'TEE-1', quantity: 3 }]);
      const followed = await pushed(next.id);
      await hub.control.advanceOrder(platform, next.orderNumber, { state: 'to_pickup' });
      await supplyOrderIs(followed, 'to_pickup');
      expect(await onHand()).toBe(before);
      await hub.control.advanceOrder(platform, next.orderNumber, { state: 'shipped' });
      const shipped = await supplyOrderIs(followed, 'shipped');
      expect(shipped.shipment).toMatchObject({ platform: 'none', operation: null });
      expect(await onHand()).toBe(before - 3);
      await hub.control.repeatPush(platform, next.orderNumber, { times: 3, parallel: true });
      await hub.control.advanceOrder(platform, next.orderNumber, { state: 'completed' });
      await eventually(async () => expect((await orderNow(next.id)).platformState).toMatch(/completed|delivered/i));
      expect(await onHand()).toBe(before - 3);
      // The one from before follows its next step, from wherever it stands.
      await hub.control.advanceOrder(platform, orderNumber, { state: 'shipped' });
      await supplyOrderIs(supplyOrder, 'shipped');
      await expectAllInOrder(hub);
    },
  );

  test('what its platform said before the push, or before a process died, is not lost', async () => {
    await set(atSupplier, 'auto-tool', { enabled: true });
    const { id, orderNumber } = await buy('shopee', [{ sku: 'TEE-1', quantity: 1 }]);
    await hub.control.advanceOrder('shopee', orderNumber, { state: 'to_pickup' });
    await eventually(async () => expect((await orderNow(id)).platformState).toBe('PROCESSED'));
    const supplyOrder = await pushed(id);
    await supplyOrderIs(supplyOrder, 'to_pickup');
    dieAfterCommits();
    await hub.control.advanceOrder('shopee', orderNumber, { state: 'shipped' });
    await eventually(async () => expect((await supplyOrderNow(supplyOrder)).automatic).toMatchObject({ open: true }));
    expect((await supplyOrderNow(supplyOrder)).status).toBe('to_pickup');
    await sweep();
    await supplyOrderIs(supplyOrder, 'shipped');
  });

  test(
    `what the platform says while the push is under way is not lost either (${RACES} times)`,
    async () => {
      await set(atSupplier, 'auto-tool', { enabled: true });
      dieAfterCommits();
      const told = new Set<boolean>();
      for (let turn = 0; turn < RACES; turn += 1) {
        const { id, number, packages } = await order([{ sku: 'TEE-1', quantity: 1 }]);
        const pkg = packages[0].id as string;
        await hub.store.orders.beginPush(distributor.id, pkg);
        const shipped = {
          ...{ account: distributor.id, store: 'api', platform: 'api', storeName: 'API', platformOrder: number },
          ...{
            state: 'shipped',
            platformState: 'SHIPPED',
            version: Date.now() + 60_000,
            placedAt: 1,
            currency: 'MYR',
            recipient: null,
          },
          ...{ shipping: 'platform_logistics', lines: [] },
        } as IncomingOrder;
        // Either comes first: turn about a little later.
        const late = <T>(work: () => Promise<T>) => new Promise((resolve) => setTimeout(resolve, turn % 8)).then(work);
        await Promise.all([hub.store.orders.push(pkg, 1, supplier.id), late(() => hub.store.orders.takeIn(shipped))]);
        const supplyOrder = await supplyOrderOf(id);
        told.add((await supplyOrderNow(supplyOrder)).automatic?.open);
        await hub.store.orders.automation.advance(supplyOrder);
        expect((await supplyOrderNow(supplyOrder)).status).toBe('shipped');
      }
      expect([...told]).toEqual([true]);
    },
    RACES_MS,
  );

  test(
    `of its move and the supplier’s own exactly one is made (${RACES} times)`,
    async () => {
      await set(atSupplier, 'auto-tool', { enabled: true });
      const first = await onHand();
      for (let turn = 0; turn < RACES; turn += 1) {
        const { id } = await order([{ sku: 'TEE-1', quantity: 1 }]);
        const supplyOrder = await pushed(id);
        for (const step of ['pack', 'ready'])
          await expectReply(atSupplier.post(`/supply-orders/${supplyOrder}/${step}`), 200);
        const auto = { pack: null, follow: 'shipped', open: true, lookAt: new Date() };
        await hub.store.database.models.supplyOrders.collection.updateOne({ _id: supplyOrder } as never, {
          $set: { auto },
        });
        const [followed, byHand] = await Promise.all([
          hub.store.orders.automation.advance(supplyOrder),
          atSupplier.post(`/supply-orders/${supplyOrder}/ship`, { trackingNumber: 'T-1' }),
        ]);
        expect([followed.outcome === 'moved', byHand.status === 200].filter(Boolean)).toHaveLength(1);
        if (byHand.status !== 200) expect(byHand.body.code).toBe('invalid_transition');
        expect((await supplyOrderNow(supplyOrder)).shipment.trackingNumber).toBe(byHand.status === 200 ? 'T-1' : '');
      }
      expect(await onHand()).toBe(first - RACES);
      await expectAllInOrder(hub);
    },
    RACES_MS,
  );
});

describe('auto-push', () => {
  const on = () => ({ partnerships: [distributor.partnership] });
  const notices = async () =>
    (await expectReply(atDistributor.get('/notifications?limit=200'), 200)).items.filter(
      ({ event }: { event: string }) => event === 'order_push_failed',
    ).length;

  test('what is synced is pushed by itself; what was there before is told by a dry run and left', async () => {
    const waiting = await order([{ sku: 'TEE-1', quantity: 1 }]);
    const { changes } = await dryRun(atDistributor, 'auto-push', on());
    expect(changes).toContainEqual(
      expect.objectContaining({ package: waiting.packages[0].id, before: 'new', after: 'pushed', detail: null }),
    );
    await set(atDistributor, 'auto-push', on());
    const { id } = await buy('shopee', [{ sku: 'TEE-1', quantity: 1 }]);
    await supplyOrderOf(id);
    const { id: mixed } = await order([
      { sku: 'TEE-1', quantity: 1 },
      { sku: 'OWN-1', quantity: 1 },
    ]);
    await supplyOrderOf(mixed);
    expect((await orderNow(mixed)).packages).toMatchObject([
      { status: 'pushed', autoPush: true, attempt: 1 },
      { status: 'new', partnership: null, autoPush: false },
    ]);
    expect((await orderNow(waiting.id)).status).toBe('new');
  });

  test('the switch of a partnership that ended is none any more', async () => {
    const other = await makeDistributor(hub, supplier, { warehouses: [supplier.first], claim: [] });
    const theirs = createHttpClient(api.url)(other.key);
    await set(theirs, 'auto-push', { partnerships: [other.partnership] });
    expect(await expectReply(theirs.get('/automation/auto-push'), 200)).toMatchObject({ revision: 1 });
    await expectReply(theirs.post(`/distributor/suppliers/${other.partnership}/terminate`, {}), 200);
    const kept = { partnerships: [], revision: 1 };
    expect(await expectReply(theirs.get('/automation/auto-push'), 200)).toMatchObject(kept);
    await expectReply(theirs.put('/automation/auto-push', { partnerships: [other.partnership] }), 422);
  });

  test('what a blocker holds back has failed with it, and is not tried again by itself', async () => {
    await set(atDistributor, 'auto-push', on());
    const before = await notices();
    const { id } = await order([{ sku: 'TEE-1', quantity: 5_000 }]);
    const failed = await eventually(async () => {
      const row = await orderNow(id);
      expect(row.status).toBe('push_failed');
      return row;
    });
    expect(failed.packages).toMatchObject([{ blockers: [{ code: 'out_of_stock' }], attempt: 0 }]);
    await sweep();
    await sweep();
    expect(await orderNow(id)).toEqual(failed);
    expect(await notices()).toBe(before + 1);
  });

  test('what was unmapped is pushed once it is mapped', async () => {
    await set(atDistributor, 'auto-push', on());
    const { number } = await expectReply(
      atDistributor.post('/orders', {
        ...{ number: randomUUID(), currency: 'MYR', shipping: 'platform_logistics' },
        lines: [{ sku: 'LATER-1', quantity: 2 }],
      }),
      201,
    );
    const lines = [{ sku: 'LATER-1', quantity: 2 }];
    await expectReply(
      atDistributor.post('/skus', {
        ...{ sku: 'LATER-1', name: 'Two tees', components: [{ sku: 'TEE-1', quantity: 2 }] },
      }),
      201,
    );
    const body = { number, currency: 'MYR', shipping: 'platform_logistics', lines };
    const { id } = (await atDistributor.post('/orders', body)).body;
    expect(await supplyOrderNow(await supplyOrderOf(id))).toMatchObject({ lines: [{ sku: 'TEE-1', quantity: 4 }] });
  });

  test('one whose order is being cancelled waits for how that ends', async () => {
    await set(atDistributor, 'auto-push', on());
    dieAfterCommits();
    const { id } = await order([{ sku: 'TEE-1', quantity: 1 }]);
    const rows = hub.store.database.models.orders.collection;
    const only = { _id: id } as never;
    // Asked for in the future: the sweep leaves it alone.
    const cancellation = { attempt: 1, open: true, by: 'buyer', state: 'telling', askedAt: new Date(Date.now() + 1e6) };
    await rows.updateOne(only, { $set: { cancellation } });
    await sweep();
    expect((await orderNow(id)).packages).toMatchObject([{ status: 'new', autoPush: true, attempt: 0 }]);
    await rows.updateOne(only, { $set: { cancellation: null } });
    await sweep();
    await supplyOrderOf(id);
  });

  test('what a process left that died after the sync is found by the sweep, once', async () => {
    await set(atDistributor, 'auto-push', on());
    dieAfterCommits();
    const { id, packages } = await order([{ sku: 'TEE-1', quantity: 1 }]);
    expect(packages).toMatchObject([{ status: 'new', autoPush: true, attempt: 0 }]);
    await Promise.all([sweep(), sweep()]);
    await supplyOrderOf(id);
    await sweep();
    expect((await orderNow(id)).packages).toMatchObject([{ attempt: 1, status: 'pushed' }]);
    expect(await hub.store.orders.automation.openPushes(new Date(), 10)).toEqual([]);
    // One that was cancelled meanwhile is not pushed.
    const gone = await buy('shopee', [{ sku: 'TEE-1', quantity: 1 }]);
    await hub.control.advanceOrder('shopee', gone.orderNumber, { state: 'cancelled' });
    await eventually(async () => expect((await orderNow(gone.id)).status).toBe('cancelled'));
    await sweep();
    expect(await orderNow(gone.id)).toMatchObject({
      status: 'cancelled',
      packages: [{ attempt: 0, supplyOrder: null }],
    });
    expect(await hub.store.orders.automation.openPushes(new Date(), 10)).toEqual([]);
    await expectAllInOrder(hub);
  });
});
