import { eventually, type Hub, startHub } from '../support/hub';
import { makeDistributor, makeStore, makeSupplier, push, pushEnd, shownQuantity } from '../support/scenario';

describe('from a buyer’s order to everybody’s new stock', () => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub();
  });
  afterAll(() => hub.stop());

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
    hub.processes.takeInOrder(shopee.id, order.orderNumber);
    const pkg = await eventually(async () => {
      const { items: orders } = await hub.store.orders.list(first.id, {}, { limit: 10, after: null });
      const found = orders[0]?.packages[0];
      if (!found) throw new Error('no order yet');
      return found;
    });
    expect(pkg).toMatchObject({ status: 'new', allocated: true, lines: [{ sku: 'TEE-1', quantity: 3, price: 1_250 }] });

    await push(hub, first.id, pkg._id);
    expect(await pushEnd(hub, first.id, pkg._id)).toMatchObject({
      status: 'pushed',
      charge: { total: { amount: 3_750 } },
    });
    await eventually(() => everywhere(46));
    const [level] = await hub.store.stock.levelsIn(supplier.id, 'TEE-1');
    expect(level).toMatchObject({ onHand: 49, allocated: 3, available: 46 });
    const mirrored = await hub.store.stock.levelsIn(first.id, 'TEE-1');
    expect(mirrored).toMatchObject([{ onHand: 46, allocated: 0, available: 46 }]);
    expect(await hub.store.billing.account(null, first.partnership)).toMatchObject({ balance: -3_750 });
  });
});
