/** SKUs over HTTP: made with distribution on, and deleted when nothing needs them. Contract: catalogue.md. */
import { type Api, addOrder, as, expectStatus, type Partnership, partnered, startApi } from './harness';

describe('a SKU', () => {
  let api: Api;
  let people: Partnership;
  beforeAll(async () => {
    api = await startApi();
    people = await partnered(api);
  });
  afterAll(() => api.close());

  it('is made with distribution on: both, or neither', async () => {
    const { post, get } = as(api, people.supplier);
    const basePrice = { amount: '4.00', currency: 'MYR' };
    const waiting = await addOrder(api, people.supplier, 1, 'CAP');
    expect(waiting.status).toBe('unmapped');
    const { body } = await expectStatus(
      post('/v1/skus', { sku: 'CAP', name: 'A cap', distribution: true, basePrice }),
      201,
    );
    expect(body).toMatchObject({ sku: 'CAP', operation: { kind: 'product_publication', document: 'CAP' } });
    // What waited for it is mapped at once.
    expect((await expectStatus(get(`/v1/orders/${waiting.id}`), 200)).body).toMatchObject({ status: 'new' });
    expect((await expectStatus(get('/v1/supplier/products/CAP'), 200)).body).toMatchObject({
      status: 'publishing',
      basePrice,
    });
    const set = { sku: 'SET-D', name: 'A set', components: [{ sku: 'CAP', quantity: 2 }], distribution: true };
    const refused = await expectStatus(post('/v1/skus', set), 422);
    expect(refused.body.code).toBe('combination_not_supported');
    await expectStatus(get('/v1/skus/SET-D'), 404);
    const foreign = { amount: '4.00', currency: 'USD' };
    await expectStatus(post('/v1/skus', { sku: 'HAT', name: 'H', distribution: true, basePrice: foreign }), 422);
    await expectStatus(get('/v1/skus/HAT'), 404);
    const without = await expectStatus(post('/v1/skus', { sku: 'HAT', name: 'H', basePrice }), 422);
    expect(without.body.errors).toMatchObject([{ pointer: '/basePrice' }]);
    const { body: key } = await expectStatus(
      post('/v1/api-keys', { name: 'stock alone', permissions: ['inventory'] }),
      201,
    );
    const alone = await api.request
      .post('/v1/skus')
      .set('Authorization', `Bearer ${key.key}`)
      .send({ sku: 'HAT', name: 'H', distribution: true });
    expect([alone.status, alone.body.permission]).toEqual([403, 'distribution']);
  });

  it('is deleted when nothing needs it; else all that does is named', async () => {
    const { post, get, delete: remove } = as(api, people.supplier);
    await expectStatus(post('/v1/skus', { sku: 'OLD', name: 'Old' }), 201);
    await expectStatus(
      post('/v1/skus', { sku: 'OLD-SET', name: 'Set', components: [{ sku: 'OLD', quantity: 1 }] }),
      201,
    );
    const stock = (kind: string, quantity: number) =>
      post('/v1/stock/adjustments', { warehouse: people.warehouse, sku: 'OLD', kind, quantity, reason: 'r' });
    await expectStatus(stock('stockIn', 2), 200);
    const refused = await expectStatus(remove('/v1/skus/OLD'), 409);
    expect(refused.body).toMatchObject({
      code: 'sku_in_use',
      warehouses: [people.warehouse],
      combinations: ['OLD-SET'],
      orders: [],
      distributionProduct: false,
      claimed: false,
    });
    await expectStatus(remove('/v1/skus/OLD-SET'), 204);
    await expectStatus(stock('stockOut', 2), 200);
    await expectStatus(remove('/v1/skus/OLD'), 204);
    await expectStatus(get('/v1/skus/OLD'), 404);
    await expectStatus(remove('/v1/skus/OLD'), 404);
    // Its history stays, and its code is free.
    expect((await expectStatus(get('/v1/stock/journal?sku=OLD'), 200)).body.items).toHaveLength(2);
    await expectStatus(post('/v1/skus', { sku: 'OLD', name: 'New' }), 201);
    await expectStatus(stock('stockIn', 1), 200);
  });

  it('that is deleted while it is put on the distribution list is not on it', async () => {
    const { supplier } = people;
    const { store } = api;
    await expectStatus(as(api, supplier).post('/v1/skus', { sku: 'GONE', name: 'Gone' }), 201);
    const { products } = store.database.models;
    const count = products.countDocuments.bind(products);
    const spy = jest.spyOn(products, 'countDocuments').mockImplementationOnce(((filter: never) => ({
      async session(session: never) {
        await store.catalogue.removeSku(supplier.id, 'GONE');
        return count(filter).session(session);
      },
    })) as never);
    expect(await store.products.add(supplier.id, [{ sku: 'GONE', basePrice: null }])).toMatchObject([
      { ok: false, code: 'not_found' },
    ]);
    expect(spy).toHaveBeenCalled();
    spy.mockRestore();
    await expectStatus(as(api, supplier).get('/v1/supplier/products/GONE'), 404);
  });

  it('that is distributed, claimed or ordered stays', async () => {
    const { supplier, distributor } = people;
    const order = await addOrder(api, distributor, 1);
    const product = await expectStatus(as(api, supplier).delete('/v1/skus/SKU-1'), 409);
    expect(product.body).toMatchObject({ code: 'sku_in_use', distributionProduct: true });
    const claimed = await expectStatus(as(api, distributor).delete('/v1/skus/SKU-1'), 409);
    expect(claimed.body).toMatchObject({ code: 'sku_in_use', claimed: true, orders: [order.id] });
  });
});
