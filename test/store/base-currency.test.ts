import { type Hub, startHub } from '../support/hub';
import { makeDistributor, makeOrder, makeSupplier } from '../support/scenario';

describe('the base currency', () => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub({ withoutWorker: true });
  });
  afterAll(() => hub.stop());

  test('takes prices and fees of another currency with it when it changes, and is fixed by the first push', async () => {
    const { partnerships, products, orders } = hub.store;
    const supplier = await makeSupplier(hub, { skus: ['A'], price: 1_250, fees: { stockOut: 100, logistics: 0 } });
    // The same one again changes nothing.
    await partnerships.setBaseCurrency(supplier.id, 'MYR');
    expect(await products.product(supplier.id, 'A')).toMatchObject({ basePrice: 1_250 });

    expect(await partnerships.setBaseCurrency(supplier.id, 'IDR')).toMatchObject({
      baseCurrency: 'IDR',
      fees: null,
      live: true,
      steps: expect.not.arrayContaining(['pricing', 'fees']),
    });
    expect(await products.product(supplier.id, 'A')).toMatchObject({ basePrice: null });

    await products.setBasePrices(supplier.id, [{ sku: 'A', basePrice: { amount: 5_000, currency: 'IDR' } }]);
    const distributor = await makeDistributor(hub, supplier, { settlementCurrency: 'IDR' });
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'A', quantity: 1 }]);
    await orders.beginPush(distributor.id, pkg);
    expect(await orders.push(pkg, 1)).toMatchObject({ outcome: 'pushed' });
    await expect(partnerships.setBaseCurrency(supplier.id, 'MYR')).rejects.toMatchObject({
      code: 'base_currency_fixed',
    });
  });
});
