/** Prices as the parties see them over HTTP. Contract: catalogue.md, Distribution price. */
import { createSandboxControl } from '../../sandbox/control';
import { type RunningSandbox, startSandbox } from '../../sandbox/marketplaces';
import { eventually, SANDBOX_KEYS } from '../support/hub';
import {
  type Api,
  addAccount,
  addOrder,
  as,
  expectStatus,
  FEES,
  type LiveSupplier,
  liveSupplier,
  myr,
  newKey,
  type Party,
  partner,
  sharedApi,
  startApi,
} from './harness';

const api = sharedApi();

async function addLevel(supplier: Party, name: string, rule: object): Promise<string> {
  return (await expectStatus(as(api, supplier).post('/v1/supplier/levels', { name, rule }), 201)).body.id;
}
const percentOfBase = (percent: string) => ({ kind: 'percentOfBase', percent });

/** What the distributor is shown for SKU-1. */
async function shown(of: { distributor: Party; id: string }) {
  const { body } = await expectStatus(as(api, of.distributor).get(`/v1/distributor/suppliers/${of.id}/products`), 200);
  return body.items[0];
}

describe('levels', () => {
  it('are at most ten, each with one of three rules', async () => {
    const supplier: LiveSupplier = await liveSupplier(api);
    const { post, patch, get, delete: remove } = as(api, supplier);
    const rules = [
      percentOfBase('80'),
      { kind: 'basePlusPercent', percent: '12.5' },
      { kind: 'basePlusAmount', amount: myr('-2.50') },
    ];
    const ids: string[] = [];
    for (let index = 0; index < 10; index += 1)
      ids.push(await addLevel(supplier, `L${index}`, rules[index % 3] as object));
    const eleventh = await expectStatus(post('/v1/supplier/levels', { name: 'L10', rule: rules[0] }), 409);
    expect(eleventh.body.code).toBe('level_limit');
    const list = await expectStatus(get('/v1/supplier/levels'), 200);
    expect(list.body.items.map((row: { rule: object }) => row.rule).slice(0, 3)).toEqual(rules);

    const taken = await expectStatus(patch(`/v1/supplier/levels/${ids[0]}`, { name: 'L1' }), 409);
    expect(taken.body.code).toBe('name_taken');
    const changed = await expectStatus(patch(`/v1/supplier/levels/${ids[0]}`, { rule: percentOfBase('70') }), 200);
    expect(changed.body).toMatchObject({ name: 'L0', rule: { percent: '70' } });
    await expectStatus(remove(`/v1/supplier/levels/${ids[9]}`), 204);
    await expectStatus(remove(`/v1/supplier/levels/${ids[9]}`), 404);
    await addLevel(supplier, 'L10', percentOfBase('1'));

    const wrong = { name: 'X', rule: { kind: 'basePlusAmount', amount: { amount: '1.00', currency: 'USD' } } };
    const refused = await expectStatus(patch(`/v1/supplier/levels/${ids[0]}`, wrong), 422);
    expect(refused.body.errors[0]).toMatchObject({ pointer: '/rule/amount/currency', code: 'currency_mismatch' });
    await expectStatus(patch(`/v1/supplier/levels/${ids[0]}`, { rule: percentOfBase('-5') }), 422);
    await expectStatus(patch(`/v1/supplier/levels/${ids[0]}`, {}), 422);
    const stranger = await addAccount(api, 'Stranger');
    await expectStatus(as(api, stranger).delete(`/v1/supplier/levels/${ids[0]}`), 404);
  });

  it('are given at the approval, and stay while somebody has them', async () => {
    const supplier = await liveSupplier(api);
    const vip = await addLevel(supplier, 'VIP', percentOfBase('80'));
    const partnership = await partner(api, supplier, { level: vip });
    expect((await shown(partnership)).price).toEqual(myr('10.00'));
    const { body } = await expectStatus(as(api, supplier).delete(`/v1/supplier/levels/${vip}`), 409);
    expect(body).toMatchObject({ code: 'level_in_use', partnerships: [partnership.id] });
    await expect(partner(api, supplier, { level: 'lvl_none' })).rejects.toThrow('unknown_level');
  });
});

describe('SKU prices', () => {
  it('come before the level’s rule: for the level, then for all', async () => {
    const supplier = await liveSupplier(api);
    const vip = await addLevel(supplier, 'VIP', percentOfBase('80'));
    const [of, plain] = [await partner(api, supplier, { level: vip }), await partner(api, supplier)];
    const { put, get, delete: remove } = as(api, supplier);
    const prices = async () => [(await shown(of)).price.amount, (await shown(plain)).price.amount];
    expect(await prices()).toEqual(['10.00', '12.50']);
    await expectStatus(put('/v1/supplier/sku-prices', { prices: [{ sku: 'SKU-1', price: myr('9.00') }] }), 200);
    expect(await prices()).toEqual(['9.00', '9.00']);
    const cell = { sku: 'SKU-1', level: vip, price: myr('7.77') };
    await expectStatus(put('/v1/supplier/sku-prices', { prices: [cell] }), 200);
    expect(await prices()).toEqual(['7.77', '9.00']);
    const all = await expectStatus(get('/v1/supplier/sku-prices?sku=SKU-1'), 200);
    expect(all.body.items.map((row: { level: string | null }) => row.level)).toEqual([null, vip]);
    const forAll = await expectStatus(get('/v1/supplier/sku-prices?level=all'), 200);
    expect(forAll.body.items).toHaveLength(1);
    await expectStatus(remove('/v1/supplier/sku-prices?sku=SKU-1&level=all'), 204);
    expect(await prices()).toEqual(['7.77', '12.50']);
    await expectStatus(remove(`/v1/supplier/sku-prices?sku=SKU-1&level=${vip}`), 204);
    await expectStatus(remove(`/v1/supplier/sku-prices?sku=SKU-1&level=${vip}`), 404);
    expect(await prices()).toEqual(['10.00', '12.50']);
  });

  it('are set all or none, with every problem named', async () => {
    const supplier = await liveSupplier(api);
    const { put, get } = as(api, supplier);
    const refused = await expectStatus(
      put('/v1/supplier/sku-prices', {
        prices: [
          { sku: 'SKU-1', price: myr('9.00') },
          { sku: 'NONE', price: myr('9.00') },
          { sku: 'SKU-1', level: 'lvl_none', price: { amount: '1', currency: 'USD' } },
        ],
      }),
      422,
    );
    expect(refused.body.errors.map((error: { pointer: string; code: string }) => [error.pointer, error.code])).toEqual([
      ['/prices/1/sku', 'unknown_product'],
      ['/prices/2/level', 'unknown_level'],
      ['/prices/2/price/currency', 'currency_mismatch'],
    ]);
    expect((await expectStatus(get('/v1/supplier/sku-prices'), 200)).body.items).toEqual([]);
    const twice = [
      { sku: 'SKU-1', price: myr('1.00') },
      { sku: 'SKU-1', level: null, price: myr('2.00') },
    ];
    await expectStatus(put('/v1/supplier/sku-prices', { prices: twice }), 422);
  });

  it('can price a product that has no base price; the set-up step asks for every level', async () => {
    const supplier = await addAccount(api, 'Setting up');
    const { post, put } = as(api, supplier);
    await expectStatus(post('/v1/supplier/activation'), 200);
    await expectStatus(put('/v1/supplier/setup/base-currency', { currency: 'MYR' }), 200);
    await expectStatus(post('/v1/skus', { sku: 'A', name: 'A' }), 201);
    await expectStatus(post('/v1/supplier/products', { sku: 'A' }), 202);
    const step = () => put('/v1/supplier/setup/pricing', {});
    expect((await expectStatus(step(), 409)).body).toMatchObject({
      code: 'setup_incomplete',
      skus: ['A'],
      prices: [{ sku: 'A', level: null }],
    });
    const [vip, plain] = [
      await addLevel(supplier, 'VIP', percentOfBase('80')),
      await addLevel(supplier, 'Plain', percentOfBase('100')),
    ];
    await expectStatus(put('/v1/supplier/sku-prices', { prices: [{ sku: 'A', level: vip, price: myr('1.00') }] }), 200);
    expect((await expectStatus(step(), 409)).body.prices).toEqual([{ sku: 'A', level: plain }]);
    await expectStatus(
      put('/v1/supplier/sku-prices', { prices: [{ sku: 'A', level: plain, price: myr('1.00') }] }),
      200,
    );
    expect((await expectStatus(step(), 200)).body.done).toContain('pricing');
  });
});

describe('the price shown and the price billed', () => {
  // The example of the page: shown 1.00 under `down` from 1.30; switched to `up`; the next order is shown and billed 2.00.
  it('stays as it is shown until the next order, which is billed the new one', async () => {
    const supplier = await liveSupplier(api);
    const { put, patch } = as(api, supplier);
    await expectStatus(put('/v1/supplier/rounding', { rounding: 'down' }), 200);
    const basePrice = myr('1.30');
    await expectStatus(patch('/v1/supplier/products', { products: [{ sku: 'SKU-1', basePrice }] }), 200);
    const [claiming, other] = [await partner(api, supplier), await partner(api, supplier)];
    const claims = `/v1/distributor/suppliers/${claiming.id}/claims`;
    await expectStatus(as(api, claiming.distributor).post(claims, { sku: 'SKU-1' }), 201);
    expect(await shown(claiming)).toMatchObject({ price: myr('1.00'), waitingPrice: null });
    const before = await addOrder(api, claiming.distributor, 1);
    await expectStatus(put('/v1/supplier/rounding', { rounding: 'up' }), 200);
    expect((await expectStatus(as(api, supplier).get('/v1/supplier/rounding'), 200)).body).toEqual({ rounding: 'up' });
    expect(await shown(claiming)).toMatchObject({ price: myr('1.00'), waitingPrice: myr('2.00') });
    // What is not claimed shows the price of now.
    expect(await shown(other)).toMatchObject({ price: myr('2.00'), waitingPrice: null, claim: null });

    const order = await addOrder(api, claiming.distributor, 1);
    expect(order.packages[0].lines[0].price).toEqual(myr('2.00'));
    const after = await shown(claiming);
    expect(after).toMatchObject({ price: myr('2.00'), waitingPrice: null });
    expect(after.claim).toMatchObject({ shownPrice: myr('2.00'), billedPrice: myr('2.00') });
    const fixed = await expectStatus(as(api, claiming.distributor).get(`/v1/orders/${before.id}`), 200);
    expect(fixed.body.packages[0].lines[0].price).toEqual(myr('1.00'));
  });
});

describe('fees', () => {
  /** The charge of an order of three SKU-1 and one B, line by line, as the page's example has it. */
  async function charged(of: { distributor: Party }, shipping: string) {
    const order = {
      ...{ number: newKey(), currency: 'MYR', shipping },
      lines: [
        { sku: 'SKU-1', quantity: 3 },
        { sku: 'B', quantity: 1 },
      ],
    };
    const { body } = await expectStatus(as(api, of.distributor).post('/v1/orders', order), 201);
    const check = await expectStatus(as(api, of.distributor).get(`/v1/orders/${body.id}/push-check`), 200);
    const { charge } = check.body.packages[0];
    return { id: body.id as string, package: body.packages[0].id as string, charge };
  }
  const linesOf = (charge: { lines: { kind: string; quantity: number; amount: { amount: string } }[] }) =>
    charge.lines
      .filter(({ kind }) => kind !== 'goods')
      .map(({ kind, quantity, amount }) => [kind, quantity, amount.amount]);

  it('are charged by package or by quantity, converted and rounded line by line, and fixed at the push', async () => {
    const supplier = await liveSupplier(api);
    const { post, put } = as(api, supplier);
    await expectStatus(post('/v1/skus', { sku: 'B', name: 'B' }), 201);
    const stockIn = { warehouse: supplier.warehouse, sku: 'B', kind: 'stockIn', quantity: 50, reason: 'delivery' };
    await expectStatus(post('/v1/stock/adjustments', stockIn), 200);
    await expectStatus(post('/v1/supplier/products', { sku: 'B', basePrice: myr('8.00') }), 202);
    await api.store.products.publish(supplier.id, 'B', 1);
    const of = await partner(api, supplier);
    for (const sku of ['SKU-1', 'B'])
      await expectStatus(as(api, of.distributor).post(`/v1/distributor/suppliers/${of.id}/claims`, { sku }), 201);

    const selfArranged = await charged(of, 'self_arranged');
    expect(selfArranged.charge.total).toEqual(myr('52.70'));
    expect(linesOf(selfArranged.charge)).toEqual([
      ['stock_out_charge', 1, '1.20'],
      ['logistics_cost', 1, '6.00'],
    ]);
    expect((await charged(of, 'self_delivery')).charge.total).toEqual(myr('52.70'));
    // No logistics cost for Platform Logistics and 3PL.
    expect((await charged(of, 'platform_logistics')).charge.total).toEqual(myr('46.70'));
    expect((await charged(of, 'three_pl')).charge.total).toEqual(myr('46.70'));

    const byQuantity = { ...FEES, stockOut: { by: 'quantity', amount: myr('0.50') } };
    await expectStatus(as(api, of.distributor).post(`/v1/orders/${selfArranged.id}/push`), 202);
    await api.store.orders.push(selfArranged.package, 1);
    await expectStatus(put('/v1/supplier/fees', byQuantity), 200);
    const perUnit = await charged(of, 'platform_logistics');
    expect(perUnit.charge.total).toEqual(myr('47.50'));
    expect(linesOf(perUnit.charge)).toEqual([['stock_out_charge', 4, '2.00']]);
    const pushed = await expectStatus(as(api, of.distributor).get(`/v1/orders/${selfArranged.id}`), 200);
    expect(pushed.body.packages[0].charge.total).toEqual(myr('52.70'));

    // A line is rounded once: 0.50 × 0.305 × 4 = 0.61; 6.00 × 0.305 = 1.83.
    await expectStatus(put('/v1/exchange-rates', { rates: [{ from: 'MYR', to: 'SGD', rate: '0.305' }] }), 200);
    const inSgd = await partner(api, supplier, { settlementCurrency: 'SGD' });
    for (const sku of ['SKU-1', 'B'])
      await expectStatus(as(api, inSgd.distributor).post(`/v1/distributor/suppliers/${inSgd.id}/claims`, { sku }), 201);
    expect(linesOf((await charged(inSgd, 'self_delivery')).charge)).toEqual([
      ['stock_out_charge', 4, '0.61'],
      ['logistics_cost', 1, '1.83'],
    ]);
    const wrong = { ...FEES, logistics: { amount: { amount: '1.00', currency: 'USD' } } };
    expect((await expectStatus(put('/v1/supplier/fees', wrong), 422)).body.errors[0].code).toBe('currency_mismatch');
  });
});

describe('distribution products', () => {
  it('are at most 200, single SKUs of the supplier’s own; in bulk the good ones are added', async () => {
    const supplier = await liveSupplier(api);
    const { post } = as(api, supplier);
    const rows = Array.from({ length: 198 }, (_, index) => ({
      ...{ _id: `${supplier.id}/F${index}`, supplier: supplier.id, sku: `F${index}`, status: 'enabled', attempt: 1 },
      basePrice: 100,
      createdAt: new Date(),
    }));
    await api.database.collection('products').insertMany(rows as never);
    for (const sku of ['N1', 'N2']) await expectStatus(post('/v1/skus', { sku, name: sku }), 201);
    await expectStatus(post('/v1/skus', { sku: 'SET', name: 'Set', components: [{ sku: 'N1', quantity: 2 }] }), 201);
    const { body } = await expectStatus(
      post('/v1/supplier/products', { products: [{ sku: 'SET' }, { sku: 'N1' }, { sku: 'N2' }, { sku: 'F1' }] }),
      200,
    );
    expect(body.results.map((row: { sku: string; code?: string }) => [row.sku, row.code ?? 'added'])).toEqual([
      ['SET', 'combination_not_supported'],
      ['N1', 'added'],
      ['N2', 'distribution_product_limit'],
      ['F1', 'not_found'],
    ]);
    expect((await expectStatus(post('/v1/supplier/products', { sku: 'N2' }), 409)).body.code).toBe(
      'distribution_product_limit',
    );
    // Nor with a SKU of its own, which is not made then.
    const { body: made } = await expectStatus(post('/v1/skus', { sku: 'N3', name: 'N3', distribution: true }), 409);
    expect(made.code).toBe('distribution_product_limit');
    await expectStatus(as(api, supplier).get('/v1/skus/N3'), 404);
  });

  it('are not what the account itself claimed from a supplier', async () => {
    const supplier = await liveSupplier(api);
    const middle = await addAccount(api, 'In the middle');
    const of = await partner(api, supplier, {}, middle);
    await expectStatus(as(api, middle).post(`/v1/distributor/suppliers/${of.id}/claims`, { sku: 'SKU-1' }), 201);
    await expectStatus(as(api, middle).post('/v1/supplier/activation'), 200);
    const refused = await expectStatus(as(api, middle).post('/v1/supplier/products', { sku: 'SKU-1' }), 422);
    expect(refused.body.code).toBe('sub_distribution_not_allowed');
  });
});

describe('live rates', () => {
  let sandbox: RunningSandbox;
  let live: Api;
  beforeAll(async () => {
    sandbox = await startSandbox({ port: 0, ...SANDBOX_KEYS });
    live = await startApi({ ratesUrl: `${sandbox.url}/rates` });
  });
  afterAll(async () => {
    await live.close();
    await sandbox.close();
  });

  it('count where there is no fixed one; the last good one stays, with its age', async () => {
    const control = createSandboxControl(sandbox.url);
    await control.setRates({ quotes: { 'MYR/SGD': 0.3, 'MYR/BRL': null } });
    const supplier = await liveSupplier(live);
    const of = await partner(live, supplier, { settlementCurrency: 'SGD' });
    const sgd = (amount: string) => ({ amount, currency: 'SGD' });
    const quote = async (id = of.id) =>
      (await expectStatus(as(live, supplier).get(`/v1/supplier/price-quote?distributor=${id}&sku=SKU-1`), 200)).body;
    const first = await quote();
    expect(first).toMatchObject({
      price: sgd('3.75'),
      rate: { rate: '0.3', source: 'live', ageSeconds: expect.any(Number) },
    });
    expect(first.rate.fetchedAt).toMatch(/^20\d\d-/);
    const claims = `/v1/distributor/suppliers/${of.id}/claims`;
    const claimed = await expectStatus(as(live, of.distributor).post(claims, { sku: 'SKU-1' }), 201);
    expect(claimed.body.shownPrice).toEqual(sgd('3.75'));

    // A new rate is a new price, which waits for the next order.
    await control.setRates({ quotes: { 'MYR/SGD': 0.32 } });
    await eventually(async () => expect((await quote()).rate.rate).toBe('0.32'));
    expect(await quote()).toMatchObject({ price: sgd('4.00'), shown: sgd('3.75'), waiting: sgd('4.00') });
    await control.setRates({ down: true });
    const order = await addOrder(live, of.distributor, 1);
    expect(order.packages[0].lines[0].price).toEqual(sgd('4.00'));
    expect(await quote()).toMatchObject({ rate: { rate: '0.32', source: 'live' }, waiting: null, billed: sgd('4.00') });

    // The supplier’s own comes first, in its direction alone.
    const fix = (from: string, to: string, rate: string) =>
      expectStatus(as(live, supplier).put('/v1/exchange-rates', { rates: [{ from, to, rate }] }), 200);
    await fix('SGD', 'MYR', '5');
    expect((await quote()).rate).toMatchObject({ rate: '0.32', source: 'live' });
    await fix('MYR', 'SGD', '0.2');
    expect(await quote()).toMatchObject({
      price: sgd('2.50'),
      rate: { rate: '0.2', source: 'fixed', fetchedAt: null },
    });

    // None: no price, never one of 0.
    await control.setRates({ down: false });
    const inReal = await partner(live, supplier, { settlementCurrency: 'BRL' });
    expect(await quote(inReal.id)).toMatchObject({ price: null, reason: 'exchange_rate_missing', rate: null });
  });
});
