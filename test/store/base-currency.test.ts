import type { Currency } from '../../domain/money';
import { type Hub, startHub } from '../support/hub';
import { makeDistributor, makeOrder, makeSupplier } from '../support/scenario';

describe('the base currency', () => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub({ withoutWorker: true });
  });
  afterAll(() => hub.stop());

  const setBaseCurrency = (supplier: string, currency: Currency) =>
    hub.store.partnerships.completeSetup(supplier, { step: 'base-currency', currency });

  test('takes prices and fees of another currency with it when it changes, and is fixed by the first push', async () => {
    const { products, orders } = hub.store;
    const supplier = await makeSupplier(hub, { skus: ['A'], price: 1_250, fees: { stockOut: 100, logistics: 0 } });
    // The same one again changes nothing.
    await setBaseCurrency(supplier.id, 'MYR');
    expect(await products.product(supplier.id, 'A')).toMatchObject({ basePrice: 1_250 });

    expect(await setBaseCurrency(supplier.id, 'IDR')).toMatchObject({
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
    await expect(setBaseCurrency(supplier.id, 'MYR')).rejects.toMatchObject({
      code: 'base_currency_fixed',
    });
  });

  test('that changes while a price of the old one is set leaves none of it', async () => {
    const { products, database } = hub.store;
    const supplier = await makeSupplier(hub, { skus: ['A'] });
    const { models } = database;
    const update = models.products.findOneAndUpdate.bind(models.products);
    let changed: Promise<unknown> | undefined;
    // Between the look at the base currency and the write the currency changes, if it can.
    const spy = jest.spyOn(models.products, 'findOneAndUpdate').mockImplementationOnce(((...input: never[]) => ({
      async lean() {
        changed = setBaseCurrency(supplier.id, 'IDR');
        await Promise.race([changed, new Promise((resolve) => setTimeout(resolve, 300))]);
        return (update as (...given: never[]) => { lean(): unknown })(...input).lean();
      },
    })) as never);
    await products.setBasePrices(supplier.id, [{ sku: 'A', basePrice: { amount: 1_250, currency: 'MYR' } }]);
    await changed;
    spy.mockRestore();
    expect(await hub.store.partnerships.supplier(supplier.id)).toMatchObject({ baseCurrency: 'IDR' });
    expect(await products.product(supplier.id, 'A')).toMatchObject({ basePrice: null });
  });
});
