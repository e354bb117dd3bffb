import { newId } from '../../domain/ids';
import { createCatalogueRepository } from '../../store/repositories/catalogue';
import type { IncomingOrder } from '../../store/repositories/order-intake';
import { createOrderLists } from '../../store/repositories/order-lists';
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
    expect(await hub.store.database.models.claims.find({ partnership }).lean()).toMatchObject([
      { sku: 'CAP-NEW', orders: 1, shownPrice: 900, billedPrice: 900 },
    ]);
  });

  test('of those that wait for a SKU none is passed over, however many wait in vain before it', async () => {
    const { mapping } = hub.store.orders;
    const waits = async (sku: string) => (await takeIn(order({ lines: [line({ sku })] }))).order;
    for (const sku of ['NEVER-1', 'NEVER-2']) await waits(sku);
    const id = await waits('COMES');
    expect(await mapping.waitingFor(distributor.id, 'COMES', 10)).toEqual([{ account: distributor.id, order: id }]);
    await hub.store.catalogue.addSku(distributor.id, { sku: 'COMES', name: 'Comes', components: [] });
    const seen: string[] = [];
    for (let pass = 0; pass < 8; pass += 1) seen.push(...(await mapping.resolvable(1)).map((one) => one.order));
    expect(seen).toContain(id);
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
      await takeIn({ ...incoming, version: 101, awaitsPickup: true, lines: [line({ quantity: 9, sku: 'TEE-2' })] }),
    ).toMatchObject({ outcome: 'updated' });
    expect(await view(id)).toMatchObject({
      order: { awaitsPickup: true, lines: [{ sku: 'TEE-1', quantity: 2 }] },
      packages: [{ lines: [{ sku: 'TEE-1', quantity: 2 }] }],
    });
    expect(await allocatedOf(distributor.id, 'TEE-1')).toBe(before + 2);
  });

  test('that left before it was synced holds, takes and pushes nothing', async () => {
    const before = [await allocatedOf(distributor.id, 'TEE-1'), await allocatedOf(supplier.id, 'TEE-1')];
    const { models } = hub.store.database;
    const store = (await hub.store.stores.add(distributor.id, { platform: 'shopee', name: 'Late' }))._id;
    await hub.store.catalogue.addSku(distributor.id, { sku: 'HAND', name: 'Own', components: [] });
    const warehouse = (await hub.store.catalogue.addWarehouse(distributor.id, { name: 'By hand' }))._id;
    const stockIn = { warehouse, sku: 'HAND', kind: 'stockIn' as const, quantity: 9, reason: '', document: 'd' };
    await hub.store.stock.adjust({ account: distributor.id, ...stockIn, key: newId('command') });
    const lines = [line(), line({ line: '2', sku: 'HAND' })];
    // From before the store was there; and one that waited for its mapping until it was sent by hand.
    const old = order({ store, state: 'shipped', placedAt: Date.now() - 7 * 86_400_000, lines });
    const waiting = order({
      store,
      placedAt: Date.now() + 1_000,
      lines: [...lines, line({ line: '3', sku: 'LATER' })],
    });
    expect(await takeIn(old)).toMatchObject({ outcome: 'synced', lanes: [] });
    const { order: waited } = await takeIn(waiting);
    expect(await takeIn({ ...waiting, state: 'shipped', version: 101 })).toMatchObject({ outcome: 'unmapped' });
    await hub.store.catalogue.addSku(distributor.id, { sku: 'LATER', name: 'Later', components: [] });
    await hub.store.orders.mapping.rematch(distributor.id, waited);
    for (const id of [(await takeIn(old)).order, waited]) {
      const { packages } = await view(id);
      expect(packages).toHaveLength(2);
      for (const pkg of packages)
        expect(pkg).toMatchObject({ status: 'shipped', allocated: false, failure: null, charge: null, autoPush: null });
      const theirs = packages.find(({ partnership }) => partnership !== null)?._id ?? '';
      await expect(hub.store.orders.beginPush(distributor.id, theirs)).rejects.toMatchObject({ code: 'not_pushable' });
    }
    await takeIn({ ...old, state: 'completed', version: 102 });
    expect((await view((await takeIn(old)).order)).packages).toMatchObject([
      { status: 'completed' },
      { status: 'completed' },
    ]);
    expect([await allocatedOf(distributor.id, 'TEE-1'), await allocatedOf(supplier.id, 'TEE-1')]).toEqual(before);
    expect(await hub.store.stock.levelsIn(distributor.id, 'HAND')).toMatchObject([{ onHand: 9, allocated: 0 }]);

    // The hub alone was late: own goods leave as they would have.
    const missed = order({ store, state: 'completed', placedAt: Date.now() + 1_000, lines });
    const { order: late } = await takeIn(missed);
    expect((await view(late)).packages.map(({ status }) => status)).toEqual(['completed', 'completed']);
    expect(await hub.store.stock.levelsIn(distributor.id, 'HAND')).toMatchObject([{ onHand: 7, allocated: 0 }]);
    expect(await models.supplyOrders.countDocuments({ distributor: distributor.id })).toBe(0);
  });

  test('short of own goods waits for them: oldest first, whole or not at all', async () => {
    const account = distributor.id;
    await hub.store.catalogue.addSku(account, { sku: 'RARE', name: 'Own', components: [] });
    const warehouse = (await hub.store.catalogue.addWarehouse(account, { name: 'Rare' }))._id;
    const stockIn = (quantity: number) =>
      hub.store.stock.adjust({
        ...{ account, warehouse, sku: 'RARE', kind: 'stockIn', quantity, reason: '', document: 'd' },
        key: newId('command'),
      });
    const rare = (quantity: number) => order({ lines: [line({ sku: 'RARE', quantity })] });
    const orders = [rare(3), rare(4), rare(2), rare(9)];
    const ids: string[] = [];
    for (const one of orders) ids.push((await takeIn(one)).order);
    const allocated = () =>
      Promise.all(ids.map(async (id) => (await view(id)).packages.map((pkg) => pkg.allocated && pkg.warehouse)[0]));
    expect(await allocated()).toEqual([false, false, false, false]);
    await stockIn(5);
    expect(await allocated()).toEqual([warehouse, false, warehouse, false]);
    expect((await view(ids[0] ?? '')).packages[0]).toMatchObject({ failure: null, status: 'new' });
    // What a cancelled one gives back goes to the next.
    await takeIn({ ...(orders[0] as IncomingOrder), state: 'cancelled', version: 101 });
    await stockIn(1);
    expect(await allocated()).toEqual([false, warehouse, warehouse, false]);
    expect(await hub.store.stock.levelsIn(account, 'RARE')).toMatchObject([{ onHand: 6, allocated: 6, available: 0 }]);
    // It left all the same: its owner is told, and no stock is taken.
    await takeIn({ ...(orders[3] as IncomingOrder), state: 'shipped', version: 101 });
    expect((await view(ids[3] ?? '')).packages).toMatchObject([
      { status: 'shipped', allocated: false, failure: { code: 'insufficient_stock', retryable: false } },
    ]);
    expect(await hub.store.database.models.notifications.countDocuments({ account, event: 'goods_missing' })).toBe(1);
    await stockIn(20);
    expect(await hub.store.stock.levelsIn(account, 'RARE')).toMatchObject([{ onHand: 26, allocated: 6 }]);
  });

  test('cancelled, gives its own goods to the one that waits', async () => {
    const account = distributor.id;
    await hub.store.catalogue.addSku(account, { sku: 'LAST', name: 'Own', components: [] });
    const warehouse = (await hub.store.catalogue.addWarehouse(account, { name: 'Last' }))._id;
    await hub.store.stock.adjust({
      ...{ account, warehouse, sku: 'LAST', kind: 'stockIn', quantity: 2, reason: '', document: 'd' },
      key: newId('command'),
    });
    const [first, second] = [order({ lines: [line({ sku: 'LAST' })] }), order({ lines: [line({ sku: 'LAST' })] })];
    await takeIn(first);
    const { order: waits } = await takeIn(second);
    expect((await view(waits)).packages).toMatchObject([{ allocated: false }]);
    await takeIn({ ...first, state: 'cancelled', version: 101 });
    expect((await view(waits)).packages).toMatchObject([{ allocated: true, warehouse, failure: null }]);
  });

  test('that left with a package nobody pushed releases what it held, and is pushed no more', async () => {
    const before = await allocatedOf(distributor.id, 'TEE-1');
    const incoming = order();
    const { order: id } = await takeIn(incoming);
    await takeIn({ ...incoming, version: 101, state: 'shipped' });
    expect((await view(id)).packages).toMatchObject([{ status: 'shipped', allocated: false }]);
    expect(await allocatedOf(distributor.id, 'TEE-1')).toBe(before);
    await expect(
      hub.store.orders.beginPush(distributor.id, (await view(id)).packages[0]?._id ?? ''),
    ).rejects.toMatchObject({ code: 'not_pushable' });
  });

  test('keeps the recipient it knows where a later state masks a part of it', async () => {
    const incoming = order({ recipient: { name: 'Jane Lin', phone: '0123421', address: 'Jalan 1' } });
    const { order: id } = await takeIn(incoming);
    const masked = { name: 'J***n', phone: '****21', address: 'Jalan 2' };
    await takeIn({ ...incoming, version: 101, state: 'shipped', recipient: masked });
    expect(hub.store.orders.recipientOf((await view(id)).order)).toEqual({
      name: 'Jane Lin',
      phone: '0123421',
      address: 'Jalan 2',
    });
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

  test('is listed by what it shows: a page is looked for in so many orders, and goes on from there', async () => {
    const { models } = hub.store.database;
    const account = 'acct_many';
    const row = { account, state: 'ready_to_ship', syncedAt: null, lines: [], placedAt: new Date(), packages: [] };
    const rows = Array.from({ length: 450 }, (_, index) => ({
      ...row,
      _id: `ord_many_${String(index).padStart(4, '0')}`,
      // One fits: the oldest.
      ...{ platformOrder: `M${index}`, state: index === 0 ? 'unpaid' : 'ready_to_ship', store: 'api' },
      lines: index === 0 ? [] : [{ unmappedReason: 'no_such_sku' }],
    }));
    await models.orders.collection.insertMany(rows as never);
    const lists = createOrderLists(hub.store.database, 200);
    const found: string[] = [];
    const sizes: number[] = [];
    for (let after: string | null = null, more = true; more; ) {
      const page: Awaited<ReturnType<typeof lists.list>> = await lists.list(
        account,
        { status: 'unpaid' },
        { limit: 5, after },
      );
      found.push(...page.items.map(({ order: { _id } }) => _id));
      sizes.push(page.items.length);
      after = page.nextCursor;
      more = after !== null;
    }
    expect(found).toEqual(['ord_many_0000']);
    expect(sizes).toEqual([0, 0, 1]);
    expect((await lists.list(account, {}, { limit: 5, after: null })).items).toHaveLength(5);
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
