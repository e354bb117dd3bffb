/** Every blocker over HTTP: from the check and from the push itself, all that hold at once. Contract: orders.md, Push. */
import {
  ADMIN_KEY,
  type Api,
  addOrder,
  as,
  bearer,
  expectStatus,
  liveSupplier,
  type Partnership,
  type Party,
  partner,
  startApi,
} from './harness';

let api: Api;
let of: Scene;
beforeAll(async () => {
  api = await startApi();
  of = await scene();
});
afterAll(() => api.close());

const money = (amount: string, currency = 'MYR') => ({ amount, currency });
type Scene = Partnership & { supplier: Party & { warehouse: string } };

/** A partnership settled in SGD with two claimed products: SKU-1 with a base price, B with nothing but a SKU price. */
async function scene(): Promise<Scene> {
  const supplier = await liveSupplier(api);
  const { post } = as(api, supplier);
  await expectStatus(post('/v1/skus', { sku: 'B', name: 'B' }), 201);
  const stockIn = { warehouse: supplier.warehouse, sku: 'B', kind: 'stockIn', quantity: 10, reason: 'delivery' };
  await expectStatus(post('/v1/stock/adjustments', stockIn), 200);
  await expectStatus(post('/v1/supplier/products', { sku: 'B' }), 202);
  await api.store.products.publish(supplier.id, 'B', 1);
  await setPriceOfB({ supplier });
  await setRates({ supplier }, RATES);
  const made = await partner(api, supplier, { settlementCurrency: 'SGD' });
  for (const sku of ['SKU-1', 'B'])
    await expectStatus(as(api, made.distributor).post(`/v1/distributor/suppliers/${made.id}/claims`, { sku }), 201);
  return { ...made, supplier };
}

const RATES = [{ from: 'MYR', to: 'SGD', rate: '0.3' }];

const quota = (party: Party, orderQuota: number | null) =>
  expectStatus(
    api.request.patch(`/v1/accounts/${party.id}`).set('Authorization', bearer(ADMIN_KEY)).send({ orderQuota }),
    200,
  );
const disable = ({ supplier }: Scene) =>
  expectStatus(as(api, supplier).post('/v1/supplier/products/SKU-1/disable'), 200);
const dropPriceOfB = ({ supplier }: Scene) =>
  expectStatus(as(api, supplier).delete('/v1/supplier/sku-prices?sku=B'), 204);
const setPriceOfB = ({ supplier }: Pick<Scene, 'supplier'>) =>
  expectStatus(as(api, supplier).put('/v1/supplier/sku-prices', { prices: [{ sku: 'B', price: money('8.00') }] }), 200);
const setRates = ({ supplier }: Pick<Scene, 'supplier'>, rates: object[]) =>
  expectStatus(as(api, supplier).put('/v1/exchange-rates', { rates }), 200);
const count = ({ supplier }: Scene, quantity: number) =>
  expectStatus(
    as(api, supplier).post('/v1/stock/adjustments', {
      ...{ warehouse: supplier.warehouse, sku: 'SKU-1', kind: 'count', quantity, reason: 'count' },
    }),
    200,
  );
const terminate = ({ supplier, id }: Scene) =>
  expectStatus(as(api, supplier).post(`/v1/supplier/distributors/${id}/terminate`), 200);
const setCredit = ({ supplier, id }: Scene, limit: string) =>
  expectStatus(
    as(api, supplier).put(`/v1/supplier/distributors/${id}/billing/credit`, {
      limit: money(limit, 'SGD'),
      periodDays: null,
    }),
    200,
  );

interface Case {
  readonly sku?: string;
  /** Before the order is synced, where prices and claims are fixed. */
  readonly before?: () => Promise<unknown>;
  readonly after?: () => Promise<unknown>;
  readonly undo?: () => Promise<unknown>;
  readonly blockers: readonly object[];
}

test('two SKUs without a rate, one of them without a price too: each is named with all that it lacks, once', async () => {
  await dropPriceOfB(of);
  await setRates(of, []);
  const { post, get } = as(api, of.distributor);
  const lines = [
    { sku: 'B', quantity: 1 },
    { sku: 'SKU-1', quantity: 300 },
    { sku: 'SKU-1', quantity: 200 },
  ];
  const body = { number: 'two-lines', currency: 'SGD', shipping: 'self_arranged', lines };
  const order = (await expectStatus(post('/v1/orders', body), 201)).body;
  await quota(of.supplier, 0);
  const wanted = [
    ...['price_missing B', 'exchange_rate_missing B', 'exchange_rate_missing SKU-1'],
    ...['out_of_stock SKU-1', 'quota_reached supplier'],
  ];
  const named = (blockers: { code: string; sku?: string; side?: string }[]) =>
    blockers.map(({ code, sku, side }) => `${code} ${sku ?? side}`);
  expect(named((await expectStatus(get(`/v1/orders/${order.id}/push-check`), 200)).body.blockers)).toEqual(wanted);
  const refused = await expectStatus(post(`/v1/orders/${order.id}/push`), 409);
  expect(named(refused.body.blockers)).toEqual(wanted);
  await quota(of.supplier, null);
  await setRates(of, RATES);
  await setPriceOfB(of);
});

test('a credit period that has ended blocks nothing by itself', async () => {
  const { post, get } = as(api, of.distributor);
  const { billingAccounts } = api.store.database.models;
  const credit = `/v1/supplier/distributors/${of.id}/billing/credit`;
  await expectStatus(as(api, of.supplier).put(credit, { limit: money('1000', 'SGD'), periodDays: 7 }), 200);
  const pushOne = async () => {
    const order = await addOrder(api, of.distributor, 1);
    expect((await expectStatus(get(`/v1/orders/${order.id}/push-check`), 200)).body.blockers).toEqual([]);
    await expectStatus(post(`/v1/orders/${order.id}/push`), 202);
    expect(await api.store.orders.push(order.packages[0].id, 1)).toMatchObject({ outcome: 'pushed' });
    return order.id as string;
  };
  const first = await pushOne();
  const { creditDueAt } = (await billingAccounts.findById(of.id).lean()) ?? {};
  expect(creditDueAt?.getTime()).toBeGreaterThan(Date.now());
  // As it is a week later.
  await billingAccounts.updateOne({ _id: of.id }, { $set: { creditDueAt: new Date(Date.now() - 1_000) } });
  for (const id of [first, await pushOne()]) await expectStatus(post(`/v1/orders/${id}/recall`), 200);
  await setCredit(of, '1000');
});

/** One partnership for all; each case undoes what it did, and the last ones end it. */
const CASES: Record<string, Case> = {
  sku_inactive: {
    before: () => disable(of),
    async undo() {
      await expectStatus(as(api, of.supplier).post('/v1/supplier/products/SKU-1/enable'), 202);
      await api.store.products.publish(of.supplier.id, 'SKU-1', 2);
      await api.store.claims.settle(of.supplier.id, 10);
    },
    blockers: [{ code: 'sku_inactive', sku: 'SKU-1' }],
  },
  sku_not_mapped: { sku: 'NO-SUCH', blockers: [{ code: 'sku_not_mapped', line: '1' }] },
  price_missing: {
    sku: 'B',
    before: () => dropPriceOfB(of),
    undo: () => setPriceOfB(of),
    blockers: [{ code: 'price_missing', sku: 'B' }],
  },
  exchange_rate_missing: {
    before: () => setRates(of, []),
    undo: () => setRates(of, RATES),
    blockers: [{ code: 'exchange_rate_missing', sku: 'SKU-1' }],
  },
  out_of_stock: {
    after: () => count(of, 1),
    undo: () => count(of, 100),
    blockers: [{ code: 'out_of_stock', sku: 'SKU-1', needed: 2, available: 1 }],
  },
  'quota_reached at the supplier': {
    after: () => quota(of.supplier, 0),
    undo: () => quota(of.supplier, null),
    blockers: [{ code: 'quota_reached', side: 'supplier' }],
  },
  'quota_reached at the distributor': {
    after: () => quota(of.distributor, 0),
    undo: () => quota(of.distributor, null),
    blockers: [{ code: 'quota_reached', side: 'distributor' }],
  },
  insufficient_funds: {
    after: () => setCredit(of, '0.50'),
    undo: () => setCredit(of, '1000'),
    blockers: [{ code: 'insufficient_funds' }],
  },
  // Who is no partner any more has no active claim either.
  not_partnered: {
    before: () => terminate(of),
    blockers: [{ code: 'not_partnered' }, { code: 'sku_inactive', sku: 'SKU-1' }],
  },
  'all that a priced order can have': {
    async after() {
      await count(of, 1);
      for (const party of [of.supplier, of.distributor]) await quota(party, 0);
      await setCredit(of, '0.50');
    },
    blockers: [
      { code: 'not_partnered' },
      { code: 'sku_inactive', sku: 'SKU-1' },
      { code: 'out_of_stock', sku: 'SKU-1' },
      { code: 'quota_reached', side: 'supplier' },
      { code: 'quota_reached', side: 'distributor' },
      { code: 'insufficient_funds' },
    ],
  },
};

test.each(Object.entries(CASES))('%s', async (_name, { sku = 'SKU-1', before, after, undo, blockers }) => {
  await before?.();
  const { post, get } = as(api, of.distributor);
  const order = await addOrder(api, of.distributor, 2, sku);
  await after?.();
  const checked = (await expectStatus(get(`/v1/orders/${order.id}/push-check`), 200)).body;
  expect(checked.blockers).toMatchObject(blockers);
  const refused = await expectStatus(post(`/v1/orders/${order.id}/push`), 409);
  expect(refused.body).toMatchObject({ code: 'push_blocked', blockers });
  expect(refused.body.blockers).toEqual(checked.blockers);
  const { packages, status } = (await expectStatus(get(`/v1/orders/${order.id}`), 200)).body;
  if (sku === 'NO-SUCH') expect([status, packages]).toEqual(['unmapped', []]);
  else expect(packages).toMatchObject([{ status: 'push_failed', blockers }]);
  await undo?.();
});
