import { newId } from '../../domain/ids';
import { createCatalogueRepository } from '../../store/repositories/catalogue';
import type { IncomingOrder } from '../../store/repositories/order-intake';
import { type Hub, startHub } from '../support/hub';
import { type Distributor, makeDistributor, makeSupplier, type Supplier } from '../support/scenario';

let hub: Hub;
let supplier: Supplier;
let distributor: Distributor;
beforeAll(async () => {
  hub = await startHub({ withoutWorker: true });
  supplier = await makeSupplier(hub, { skus: ['TEE-1', 'TEE-2'], onHand: 1_000, price: 1_250 });
  distributor = await makeDistributor(hub, supplier);
  await hub.store.mirror.pass(distributor.partnership);
});
afterAll(() => hub.stop());

const order = (change: Partial<IncomingOrder> = {}): IncomingOrder => ({
  account: distributor.id,
  store: 'api',
  platform: 'shopee',
  storeName: 'API',
  platformOrder: newId('command'),
  state: 'ready_to_ship',
  platformState: 'READY',
  version: 100,
  placedAt: 1,
  currency: 'MYR',
  shipping: 'platform_logistics',
  recipient: { name: 'Recipient', phone: '1', address: 'Street' },
  lines: [line()],
  ...change,
});
const line = (change: Partial<IncomingOrder['lines'][number]> = {}): IncomingOrder['lines'][number] => ({
  line: '1',
  title: 'A tee',
  quantity: 2,
  listing: null,
  sku: 'TEE-1',
  ...change,
});
const takeIn = (incoming: IncomingOrder) => hub.store.orders.takeIn(incoming);
const view = (id: string) => hub.store.orders.get(distributor.id, id);
const allocatedOf = async (account: string, sku: string) => {
  const rows = await hub.store.stock.levelsIn(account, sku);
  return rows.reduce((sum, row) => sum + row.allocated, 0);
};

describe('taking an order in', () => {
  test('ten times at once makes one order, allocated once', async () => {
    const before = await allocatedOf(distributor.id, 'TEE-1');
    const incoming = order();
    const results = await Promise.all(Array.from({ length: 10 }, () => takeIn(incoming)));
    expect(new Set(results.map((result) => result.order)).size).toBe(1);
    expect(results.filter(({ outcome }) => outcome === 'synced')).toHaveLength(1);
    expect(await allocatedOf(distributor.id, 'TEE-1')).toBe(before + 2);
    const { models } = hub.store.database;
    expect(await models.orders.countDocuments({ platformOrder: incoming.platformOrder })).toBe(1);
    expect(await models.packages.countDocuments({ order: results[0]?.order ?? '' })).toBe(1);
  });

  test('on the code of a claim that was made anew under another is billed to the claim there is', async () => {
    const own = await makeSupplier(hub, { skus: ['CAP'], price: 700 });
    const { id, partnership } = await makeDistributor(hub, own);
    const { claims, products } = hub.store;
    await claims.stop(id, partnership, 'CAP');
    await claims.claim(id, partnership, { sku: 'CAP', as: 'CAP-NEW' });
    await products.setBasePrices(own.id, [{ sku: 'CAP', basePrice: { amount: 900, currency: 'MYR' } }]);
    await takeIn(order({ account: id, lines: [line({ sku: 'CAP' })] }));
    expect(await claims.ofPartnership(id, partnership)).toMatchObject([
      { sku: 'CAP-NEW', orders: 1, shownPrice: 900, billedPrice: 900 },
    ]);
  });

  test('whose SKU is deleted meanwhile, by another process, has no package of it', async () => {
    const { database, catalogue } = hub.store;
    const account = supplier.id;
    await catalogue.addSku(account, { sku: 'LATE', name: 'Late', components: [] });
    // Without the queue that keeps the two apart within one process.
    const elsewhere = createCatalogueRepository({ ...database, transact: (work) => database.transact(work) });
    const { warehouses } = database.models;
    const find = warehouses.find.bind(warehouses);
    const spy = jest.spyOn(warehouses, 'find').mockImplementationOnce(((filter: never) => {
      const query = find(filter);
      const lean = query.lean.bind(query);
      query.lean = (async () => {
        await elsewhere.removeSku(account, 'LATE');
        return lean();
      }) as never;
      return query;
    }) as never);
    const taken = await takeIn(order({ account, lines: [line({ sku: 'LATE' })] }));
    expect(spy).toHaveBeenCalled();
    spy.mockRestore();
    expect(taken).toMatchObject({ outcome: 'unmapped', packages: [] });
  });

  test('an older state never replaces a newer one, in whatever order they come', async () => {
    const incoming = order({ version: 200, state: 'shipped', platformState: 'SHIPPED' });
    const { order: id } = await takeIn(incoming);
    expect(await takeIn({ ...incoming, version: 150, state: 'ready_to_ship', platformState: 'READY' })).toMatchObject({
      outcome: 'unchanged',
      order: id,
    });
    // Of two states of one moment the more advanced counts.
    expect(await takeIn({ ...incoming, version: 200, state: 'unpaid', platformState: 'UNPAID' })).toMatchObject({
      outcome: 'unchanged',
    });
    expect((await view(id)).order).toMatchObject({ state: 'shipped', platformState: 'SHIPPED', version: 200 });
    expect(await takeIn({ ...incoming, version: 200, state: 'completed', platformState: 'COMPLETED' })).toMatchObject({
      outcome: 'updated',
    });
    expect((await view(id)).order).toMatchObject({ state: 'completed' });
  });

  test('an unpaid order allocates nothing until it is paid', async () => {
    const before = await allocatedOf(distributor.id, 'TEE-1');
    const incoming = order({ state: 'unpaid' });
    expect(await takeIn(incoming)).toMatchObject({ outcome: 'unpaid', packages: [] });
    expect(await allocatedOf(distributor.id, 'TEE-1')).toBe(before);
    expect(await takeIn({ ...incoming, state: 'ready_to_ship', version: 101 })).toMatchObject({ outcome: 'synced' });
    expect(await allocatedOf(distributor.id, 'TEE-1')).toBe(before + 2);
  });

  test('a line without a mapping leaves the order unmapped, with the reason; mapped later, it resolves', async () => {
    const store = (await hub.store.stores.add(distributor.id, { platform: 'shopee', name: 'Shop' }))._id;
    const row = await hub.store.stores.byId(store);
    await hub.store.stores.putListings(row, [
      {
        itemId: '1',
        modelId: '0',
        sellerSku: 'UNKNOWN',
        title: 'x',
        imageUrl: null,
        variation: '',
        price: '1',
        currency: 'MYR',
        quantity: 1,
        status: 'live',
      },
    ]);
    const listing = hub.store.stores.listingId(store, '1', '0');
    const incoming = order({
      store,
      lines: [
        line({ line: '1', sku: null, listing: hub.store.stores.listingId(store, '9', '9') }),
        line({ line: '2', sku: null, listing }),
        line({ line: '3', sku: 'NO-SUCH' }),
        line({ line: '4' }),
      ],
    });
    const result = await takeIn(incoming);
    expect(result).toMatchObject({ outcome: 'unmapped', packages: [] });
    expect((await view(result.order)).order.lines.map(({ unmappedReason }) => unmappedReason)).toEqual([
      'no_such_listing',
      'listing_not_connected',
      'no_such_sku',
      null,
    ]);
    // A repeat of the same state changes nothing while the mapping is still missing.
    expect(await takeIn(incoming)).toMatchObject({ outcome: 'unmapped', order: result.order });

    const resolvable = order({ store, lines: [line({ sku: null, listing })] });
    const second = await takeIn(resolvable);
    expect(second.outcome).toBe('unmapped');
    await hub.store.stores.connectListings(distributor.id, [{ listing, sku: 'TEE-2' }]);
    expect(await takeIn(resolvable)).toMatchObject({ outcome: 'synced', order: second.order });
    expect((await view(second.order)).packages[0]).toMatchObject({ lines: [{ sku: 'TEE-2', quantity: 2 }] });
  });

  test('is split into one package per source', async () => {
    const other = await makeSupplier(hub, { skus: ['MUG'], onHand: 10, price: 900 });
    const { token } = await hub.store.partnerships.invite(other.id);
    const application = await hub.store.partnerships.apply(distributor.id, token, {
      company: 'D',
      contactName: 'C',
      phone: '1',
      email: null,
      channels: [],
      message: null,
    });
    await hub.store.partnerships.move(application._id, {
      move: 'approve',
      party: other.id,
      command: newId('command'),
      approval: {
        customer: { name: 'D' },
        settlementCurrency: 'MYR',
        level: null,
        warehouses: [other.warehouse],
        creditLimit: null,
        creditPeriodDays: null,
      },
    });
    await hub.store.claims.claim(distributor.id, application._id, { sku: 'MUG', as: null });
    const own = (await hub.store.catalogue.addWarehouse(distributor.id, { name: 'Own' }))._id;
    await hub.store.catalogue.addSku(distributor.id, { sku: 'OWN', name: 'Own', components: [] });
    await hub.store.stock.adjust({
      account: distributor.id,
      warehouse: own,
      sku: 'OWN',
      kind: 'stockIn',
      quantity: 5,
      reason: '',
      document: 'd',
      key: newId('command'),
    });
    await hub.store.catalogue.addSku(distributor.id, {
      sku: 'GIFT',
      name: 'Own and claimed together',
      components: [
        { sku: 'OWN', quantity: 1 },
        { sku: 'MUG', quantity: 2 },
      ],
    });
    const result = await takeIn(
      order({
        lines: [
          line({ line: '1', sku: 'TEE-1', quantity: 1 }),
          line({ line: '2', sku: 'GIFT', quantity: 2 }),
          line({ line: '3', sku: 'TEE-2', quantity: 3 }),
        ],
      }),
    );
    const { packages } = await view(result.order);
    expect(packages).toHaveLength(3);
    const of = (id: string | null) => packages.find((pkg) => pkg.supplier === id);
    expect(of(supplier.id)).toMatchObject({
      partnership: distributor.partnership,
      warehouse: distributor.warehouse,
      supplierWarehouse: supplier.warehouse,
      lines: [
        { sku: 'TEE-1', quantity: 1, price: 1_250 },
        { sku: 'TEE-2', quantity: 3, price: 1_250 },
      ],
    });
    expect(of(other.id)).toMatchObject({ lines: [{ sku: 'MUG', quantity: 4, price: 900 }] });
    expect(of(null)).toMatchObject({
      warehouse: own,
      allocated: true,
      lines: [{ sku: 'OWN', quantity: 2, price: null }],
    });
    expect(await hub.store.stock.levelsIn(distributor.id, 'OWN')).toMatchObject([{ allocated: 2, available: 3 }]);
  });

  test('fixes the price at the sync, whatever the base price becomes later', async () => {
    const { order: id } = await takeIn(order());
    await hub.store.products.setBasePrices(supplier.id, [
      { sku: 'TEE-1', basePrice: { amount: 2_000, currency: 'MYR' } },
    ]);
    expect((await view(id)).packages[0]?.lines[0]).toMatchObject({ price: 1_250 });
    const [check] = await hub.store.orders.pushCheck(distributor.id, id);
    expect(check).toMatchObject({ blockers: [], charge: { total: { amount: 2_500 } } });
    const later = await takeIn(order());
    expect((await view(later.order)).packages[0]?.lines[0]).toMatchObject({ price: 2_000 });
    await hub.store.products.setBasePrices(supplier.id, [
      { sku: 'TEE-1', basePrice: { amount: 1_250, currency: 'MYR' } },
    ]);
  });

  test('keeps what was synced as it was fixed then, whatever a later state says of its lines', async () => {
    const before = await allocatedOf(distributor.id, 'TEE-1');
    const incoming = order();
    const { order: id } = await takeIn(incoming);
    expect(
      await takeIn({ ...incoming, version: 101, state: 'shipped', lines: [line({ quantity: 9, sku: 'TEE-2' })] }),
    ).toMatchObject({ outcome: 'updated' });
    expect(await view(id)).toMatchObject({
      order: { state: 'shipped', lines: [{ sku: 'TEE-1', quantity: 2 }] },
      packages: [{ lines: [{ sku: 'TEE-1', quantity: 2 }] }],
    });
    expect(await allocatedOf(distributor.id, 'TEE-1')).toBe(before + 2);
  });

  test('cancelled before it is pushed, gives back what it held, once', async () => {
    const before = await allocatedOf(distributor.id, 'TEE-1');
    const incoming = order();
    const { order: id } = await takeIn(incoming);
    expect(await allocatedOf(distributor.id, 'TEE-1')).toBe(before + 2);
    const cancelled = { ...incoming, version: 101, state: 'cancelled' as const, platformState: 'CANCELLED' };
    await Promise.all([takeIn(cancelled), takeIn(cancelled), takeIn(cancelled)]);
    expect(await allocatedOf(distributor.id, 'TEE-1')).toBe(before);
    const { packages } = await view(id);
    expect(packages).toMatchObject([{ status: 'cancelled', allocated: false }]);
    await expect(hub.store.orders.beginPush(distributor.id, packages[0]?._id ?? '')).rejects.toMatchObject({
      code: 'not_pushable',
    });
  });

  test('keeps the recipient sealed, for its own account alone', async () => {
    const { order: id } = await takeIn(order({ recipient: { name: 'Aminah', phone: '0123', address: 'Jalan 1' } }));
    const { order: row } = await view(id);
    expect(row.recipient).not.toContain('Aminah');
    expect(hub.store.orders.recipientOf(row)).toEqual({ name: 'Aminah', phone: '0123', address: 'Jalan 1' });
    expect(() => hub.store.orders.recipientOf({ ...row, account: supplier.id })).toThrow();
    await expect(hub.store.orders.get(supplier.id, id)).rejects.toMatchObject({ code: 'not_found' });
  });
});
