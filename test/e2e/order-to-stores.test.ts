/** A buyer's order over HTTP, from its platform's webhook to what every shop of the sandbox shows. */
import { createHttpClient, expectReply } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import { makeDistributor, makeStore, makeSupplier, shownQuantity } from '../support/scenario';
import { serveApi } from '../support/served-api';

describe('from a buyer’s order to everybody’s new stock', () => {
  let hub: Hub;
  let api: Awaited<ReturnType<typeof serveApi>>;
  beforeAll(async () => {
    hub = await startHub();
    api = await serveApi({ ...hub, checkAnswers: true });
    await hub.control.configure({ callbackBaseUrl: api.url });
  });
  afterAll(async () => {
    await api?.close();
    await hub?.stop();
  });

  test('an order on one store lowers what every store shows', async () => {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1', 'TEE-2'], onHand: 50, price: 1_250 });
    const first = await makeDistributor(hub, supplier);
    const second = await makeDistributor(hub, supplier);
    const shopee = await makeStore(hub, first.id, 'shopee', supplier.skus, { withRule: [first.warehouse] });
    const lazada = await makeStore(hub, first.id, 'lazada', supplier.skus);
    const other = await makeStore(hub, second.id, 'shopee', supplier.skus, { withRule: [second.warehouse] });
    const { items } = await hub.store.pushes.listRules(first.id, { limit: 10, after: null });
    await hub.store.pushes.changeRule(first.id, items[0]?._id ?? '', { stores: [shopee.id, lazada.id] });
    const everywhere = async (quantity: number) => {
      for (const store of [shopee, lazada, other]) expect(await shownQuantity(hub, store, 'TEE-1')).toBe(quantity);
    };
    // Lazada was added to the rule after its listings were pushed; the next change reaches it.
    await hub.store.stock
      .adjust({
        account: supplier.id,
        warehouse: supplier.warehouse,
        sku: 'TEE-1',
        kind: 'stockOut',
        quantity: 1,
        reason: '',
        document: 'd',
        key: 'k1',
      })
      .then(({ lanes }) => hub.processes.wakeLanes(lanes));
    await eventually(() => everywhere(49));

    const shop = await hub.control.shop('shopee', shopee.shopId);
    const model = shop.items[0]?.models.find(({ sku }) => sku === 'TEE-1');
    const order = await hub.control.createOrder('shopee', {
      shopId: shopee.shopId,
      lines: [{ itemId: shop.items[0]?.itemId ?? '', modelId: model?.modelId ?? '', quantity: 3 }],
    });
    const seller = createHttpClient(api.url)(first.key);
    const maker = createHttpClient(api.url)(supplier.key);
    const stockOf = async (call: typeof seller) => (await expectReply(call.get('/stock?sku=TEE-1'), 200)).items[0];
    const orderNow = async () => (await expectReply(seller.get(`/orders?number=${order.orderNumber}`), 200)).items[0];
    await eventually(async () => expect(await orderNow()).toMatchObject({ status: 'new' }));
    const { id, packages } = await orderNow();
    expect(packages).toMatchObject([
      { lines: [{ sku: 'TEE-1', quantity: 3, price: { amount: '12.50', currency: 'MYR' } }] },
    ]);
    // The distributor's own allocation, until the push moves it to the supplier.
    expect(await stockOf(seller)).toMatchObject({ onHand: 49, allocated: 3, available: 46 });
    expect(await stockOf(maker)).toMatchObject({ onHand: 49, allocated: 0, available: 49 });

    await expectReply(seller.post(`/orders/${id}/push`), 202);
    await eventually(async () =>
      expect((await orderNow()).packages).toMatchObject([
        { status: 'pushed', charge: { total: { amount: '37.50', currency: 'MYR' } } },
      ]),
    );
    await eventually(() => everywhere(46));
    expect(await stockOf(maker)).toMatchObject({ onHand: 49, allocated: 3, available: 46 });
    expect(await stockOf(seller)).toMatchObject({ onHand: 46, allocated: 0, available: 46 });
    const { billing } = await expectReply(
      seller.get(`/distributor/suppliers/${first.partnership}/reconciliation`),
      200,
    );
    expect(billing.balance).toEqual({ amount: '-37.50', currency: 'MYR' });
  });
});
