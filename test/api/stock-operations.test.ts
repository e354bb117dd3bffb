/** Stock operations, fees and roundings as the parties see them over HTTP. Contract: catalogue.md, Stock, Distribution price, Fees. */
import {
  addOrder,
  as,
  expectStatus,
  FEES,
  liveSupplier,
  myr,
  newKey,
  type Partnership,
  type Party,
  partner,
  partnered,
  sharedApi,
} from './harness';

const api = sharedApi();

const claimAll = async (of: Partnership, skus: readonly string[]) => {
  for (const sku of skus)
    await expectStatus(as(api, of.distributor).post(`/v1/distributor/suppliers/${of.id}/claims`, { sku }), 201);
};

/** What there is of SKU-1 in the warehouse; of a distributor, in the only one they have of the supplier's. */
async function stockOf(party: Party, warehouse?: string) {
  const { body } = await expectStatus(as(api, party).get('/v1/stock?sku=SKU-1'), 200);
  const rows: { warehouse: string }[] = body.items;
  return warehouse === undefined ? rows[0] : rows.find((row) => row.warehouse === warehouse);
}

describe('stock by hand', () => {
  it('is counted, reserved, freed and set in transit; none falls below what is promised', async () => {
    const supplier = await liveSupplier(api);
    const { warehouse } = supplier;
    const adjust = (kind: string, quantity: number, status = 200) =>
      expectStatus(
        as(api, supplier).post('/v1/stock/adjustments', { warehouse, sku: 'SKU-1', kind, quantity, reason: 'r' }),
        status,
      );
    const levels = async (answer: ReturnType<typeof adjust>) => {
      const { onHand, reserved, inTransit, available } = (await answer).body;
      return [onHand, reserved, inTransit, available];
    };
    expect(await levels(adjust('count', 40))).toEqual([40, 0, 0, 40]);
    expect(await levels(adjust('inTransit', 25))).toEqual([40, 0, 25, 40]);
    expect(await levels(adjust('reserve', 30))).toEqual([40, 30, 25, 10]);
    expect((await adjust('reserve', 11, 409)).body).toMatchObject({ code: 'insufficient_stock', available: 10 });
    expect((await adjust('stockOut', 11, 409)).body).toMatchObject({ code: 'insufficient_stock', available: 10 });
    expect((await adjust('count', 29, 409)).body.code).toBe('quantity_below_zero');
    expect((await adjust('unreserve', 31, 409)).body.code).toBe('quantity_below_zero');
    expect(await levels(adjust('unreserve', 12))).toEqual([40, 18, 25, 22]);
    expect(await levels(adjust('inTransit', 0))).toEqual([40, 18, 0, 22]);
    expect(await levels(adjust('count', 18))).toEqual([18, 18, 0, 0]);
    const journal = await expectStatus(as(api, supplier).get('/v1/stock/journal?sku=SKU-1'), 200);
    // What was refused is not in it.
    expect(journal.body.items.map(({ kind }: { kind: string }) => kind).reverse()).toEqual([
      'stockIn',
      'count',
      'inTransit',
      'reserve',
      'unreserve',
      'inTransit',
      'count',
    ]);
  });

  it('is refused where it follows a supplier, also within a combination, in each operation', async () => {
    const { distributor, id } = await partnered(api);
    await api.store.mirror.pass(id);
    const { post } = as(api, distributor);
    const own = (await expectStatus(post('/v1/warehouses', { name: 'Own' }), 201)).body.id as string;
    const components = [{ sku: 'SKU-1', quantity: 2 }];
    await expectStatus(post('/v1/skus', { sku: 'PAIR', name: 'Pair', components }), 201);
    const before = await stockOf(distributor);
    expect(before).toMatchObject({ onHand: 100, available: 100, mirrored: true });
    const [supplied] = [(before as { warehouse: string }).warehouse];
    const refusals: unknown[] = [];
    for (const sku of ['SKU-1', 'PAIR']) {
      for (const kind of ['stockIn', 'stockOut', 'reserve', 'unreserve', 'count', 'inTransit'])
        for (const warehouse of [supplied, own]) {
          const input = { warehouse, sku, kind, quantity: 1, reason: 'r' };
          refusals.push((await expectStatus(post('/v1/stock/adjustments', input), 409)).body.code);
        }
      for (const [from, to] of [
        [supplied, own],
        [own, supplied],
      ]) {
        const input = { from, to, sku, quantity: 1, reason: 'r' };
        refusals.push((await expectStatus(post('/v1/stock/transfers', input), 409)).body.code);
      }
    }
    expect(refusals).toEqual(Array(28).fill('stock_is_mirrored'));
    expect(await stockOf(distributor)).toEqual(before);
  });

  it('that follows a supplier falls by what is pushed, on hand and allocated', async () => {
    const { supplier, distributor, id, warehouse } = await partnered(api);
    await api.store.mirror.pass(id);
    const order = await addOrder(api, distributor, 7);
    expect(await stockOf(distributor)).toMatchObject({ onHand: 100, allocated: 7, available: 93 });
    expect(await stockOf(supplier, warehouse)).toMatchObject({ onHand: 100, allocated: 0, available: 100 });
    await expectStatus(as(api, distributor).post(`/v1/orders/${order.id}/push`), 202);
    expect(await api.store.orders.push(order.packages[0].id, 1)).toMatchObject({ outcome: 'pushed' });
    expect(await stockOf(distributor)).toMatchObject({ onHand: 93, allocated: 0, available: 93 });
    expect(await stockOf(supplier, warehouse)).toMatchObject({ onHand: 100, allocated: 7, available: 93 });
    // The supplier's available quantity is what the mirror brings too.
    await api.store.mirror.pass(id);
    expect(await stockOf(distributor)).toMatchObject({ onHand: 93, allocated: 0, available: 93 });
  });
});

describe('the charge of the worked example', () => {
  it.each([
    ['self_arranged', 'shopee', 'package', '52.70'],
    ['platform_logistics', 'shopee', 'package', '46.70'],
    ['self_delivery', 'temu', 'package', '46.70'],
    ['self_arranged', 'temu', 'package', '46.70'],
    ['self_delivery', 'lazada', 'package', '52.70'],
    ['three_pl', 'shopee', 'package', '46.70'],
    ['platform_logistics', 'shopee', 'quantity', '47.50'],
  ] as const)('%s on %s, by %s, is %s', async (shipping, platform, by, total) => {
    const { supplier, of } = await example();
    const stockOut = by === 'package' ? FEES.stockOut : { by, amount: myr('0.50') };
    await expectStatus(as(api, supplier).put('/v1/supplier/fees', { ...FEES, stockOut }), 200);
    const line = { title: 'x', listing: null };
    const { order } = await api.store.orders.takeIn({
      ...{ account: of.distributor.id, store: 'api', platform, storeName: 'Shop', platformOrder: newKey() },
      ...{ state: 'ready_to_ship', platformState: 'READY', version: 1, placedAt: 1, currency: 'MYR', shipping },
      recipient: null,
      lines: [
        { ...line, line: '1', sku: 'SKU-1', quantity: 3 },
        { ...line, line: '2', sku: 'B', quantity: 1 },
      ],
    });
    const check = await expectStatus(as(api, of.distributor).get(`/v1/orders/${order}/push-check`), 200);
    expect(check.body.packages[0].charge.total).toEqual(myr(total));
  });

  let made: Promise<{ supplier: Party; of: Partnership }> | undefined;
  /** 12.50 for SKU-1 and 8.00 for B, both claimed. */
  function example() {
    made ??= (async () => {
      const supplier = await liveSupplier(api);
      const { post } = as(api, supplier);
      await expectStatus(post('/v1/skus', { sku: 'B', name: 'B' }), 201);
      const stockIn = { warehouse: supplier.warehouse, sku: 'B', kind: 'stockIn', quantity: 50, reason: 'delivery' };
      await expectStatus(post('/v1/stock/adjustments', stockIn), 200);
      await expectStatus(post('/v1/supplier/products', { sku: 'B', basePrice: myr('8.00') }), 202);
      await api.store.products.publish(supplier.id, 'B', 1);
      const of = await partner(api, supplier);
      await claimAll(of, ['SKU-1', 'B']);
      return { supplier, of };
    })();
    return made;
  }
});

describe('a price quote', () => {
  it('follows the level’s rule and the rounding, and is never below 0', async () => {
    const supplier = await liveSupplier(api);
    const { put, patch, post, get } = as(api, supplier);
    const rule = { kind: 'basePlusPercent', percent: '10.4' };
    const level = (await expectStatus(post('/v1/supplier/levels', { name: 'L', rule }), 201)).body.id;
    const of = await partner(api, supplier, { level });
    const quote = async () =>
      (await expectStatus(get(`/v1/supplier/price-quote?distributor=${of.id}&sku=SKU-1`), 200)).body;
    const rounded = async () => {
      const prices: unknown[] = [];
      for (const rounding of ['up', 'down', 'standard', 'twoDecimals']) {
        await expectStatus(put('/v1/supplier/rounding', { rounding }), 200);
        prices.push((await quote()).price?.amount);
      }
      return prices;
    };
    const change = (to: object) => expectStatus(patch(`/v1/supplier/levels/${level}`, { rule: to }), 200);
    const plus = (amount: string) => change({ kind: 'basePlusAmount', amount: myr(amount) });
    // 12.50 × 1.104 = 13.8
    expect(await rounded()).toEqual(['14.00', '13.00', '14.00', '13.80']);
    await change({ kind: 'percentOfBase', percent: '99.9' });
    // 12.4875
    expect(await rounded()).toEqual(['13.00', '12.00', '12.00', '12.49']);
    await plus('-1.00');
    expect(await rounded()).toEqual(['12.00', '11.00', '12.00', '11.50']);
    await plus('0.99');
    expect(await rounded()).toEqual(['14.00', '13.00', '13.00', '13.49']);
    await plus('-12.51');
    expect(await rounded()).toEqual(['0.00', '0.00', '0.00', '0.00']);
  });

  it('too large to be counted says so, and the other products are shown all the same', async () => {
    const supplier = await liveSupplier(api);
    const { put, post, get } = as(api, supplier);
    await expectStatus(post('/v1/skus', { sku: 'GOLD', name: 'Gold' }), 201);
    await expectStatus(post('/v1/supplier/products', { sku: 'GOLD', basePrice: myr('999999999999.99') }), 202);
    await api.store.products.publish(supplier.id, 'GOLD', 1);
    const rates = [{ from: 'MYR', to: 'SGD', rate: '99999' }];
    await expectStatus(put('/v1/exchange-rates', { rates }), 200);
    const of = await partner(api, supplier, { settlementCurrency: 'SGD' });
    const quote = await expectStatus(get(`/v1/supplier/price-quote?distributor=${of.id}&sku=GOLD`), 200);
    expect(quote.body).toMatchObject({ price: null, reason: 'price_missing' });
    const list = `/v1/distributor/suppliers/${of.id}/products`;
    const { body } = await expectStatus(as(api, of.distributor).get(list), 200);
    expect(body.items.map(({ sku }: { sku: string }) => sku)).toEqual(['SKU-1']);
    const refused = await expectStatus(
      as(api, of.distributor).post(`/v1/distributor/suppliers/${of.id}/claims`, { sku: 'GOLD' }),
      409,
    );
    expect(refused.body).toMatchObject({ code: 'not_claimable', reason: 'price_missing' });
    await expectStatus(get(`/v1/supplier/distributors/${of.id}/visibility`), 200);
  });
});
