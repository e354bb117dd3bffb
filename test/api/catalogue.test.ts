/** The page's sentences about stock, products, claims and prices that no other test here holds. Contract: catalogue.md. */
import {
  addAccount,
  addOrder,
  apply,
  as,
  expectStatus,
  FEES,
  type LiveSupplier,
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

interface Level {
  readonly warehouse: string;
  readonly sku: string;
  readonly onHand: number;
  readonly allocated: number;
  readonly reserved: number;
  readonly inTransit: number;
  readonly available: number;
  readonly mirrored: boolean;
}
type Quantities = Pick<Level, 'onHand' | 'allocated' | 'reserved' | 'inTransit'>;
interface Entry {
  readonly id: string;
  readonly warehouse: string;
  readonly sku: string;
  readonly kind: string;
  readonly reason: string;
  readonly document: string;
  readonly before: Quantities;
  readonly after: Quantities;
  readonly at: string;
}
const FIELDS = ['onHand', 'allocated', 'reserved', 'inTransit'] as const;
const NOTHING: Quantities = { onHand: 0, allocated: 0, reserved: 0, inTransit: 0 };

async function levels(party: Party, query: string): Promise<Level[]> {
  return (await expectStatus(as(api, party).get(`/v1/stock?${query}`), 200)).body.items;
}
const adjust = (party: Party, warehouse: string, sku: string, kind: string, quantity: number, reason = 'r') =>
  as(api, party).post('/v1/stock/adjustments', { warehouse, sku, kind, quantity, reason });
async function addWarehouse(party: Party, name = 'Second'): Promise<string> {
  return (await expectStatus(as(api, party).post('/v1/warehouses', { name }), 201)).body.id;
}
/** Newest first. */
async function journalOf(party: Party, query: string): Promise<Entry[]> {
  return (await expectStatus(as(api, party).get(`/v1/stock/journal?limit=200&${query}`), 200)).body.items;
}

/** What there is follows from the journal alone, adds up, and is nowhere below 0. */
async function expectSound(party: Party, sku: string): Promise<void> {
  const journal = await journalOf(party, `sku=${sku}`);
  for (const row of await levels(party, `sku=${sku}`)) {
    const entries = journal.filter(({ warehouse }) => warehouse === row.warehouse);
    for (const field of FIELDS) {
      expect(row[field]).toBe(entries.reduce((sum, { before, after }) => sum + after[field] - before[field], 0));
      expect(row[field]).toBeGreaterThanOrEqual(0);
    }
    expect(row.onHand).toBe(row.allocated + row.reserved + row.available);
    expect(row.available).toBeGreaterThanOrEqual(0);
  }
}

/** An account with two SKUs, CUP and PLATE, in two warehouses: 9 and 4 here, 3 and 20 there. */
async function cupsAndPlates() {
  const owner = await addAccount(api, 'Kitchen');
  const [here, there] = [await addWarehouse(owner, 'Here'), await addWarehouse(owner, 'There')];
  for (const sku of ['CUP', 'PLATE']) await expectStatus(as(api, owner).post('/v1/skus', { sku, name: sku }), 201);
  for (const [warehouse, sku, quantity] of [
    [here, 'CUP', 9],
    [here, 'PLATE', 4],
    [there, 'CUP', 3],
    [there, 'PLATE', 20],
  ] as const)
    await expectStatus(adjust(owner, warehouse, sku, 'stockIn', quantity, 'bought'), 200);
  const components = [
    { sku: 'CUP', quantity: 2 },
    { sku: 'PLATE', quantity: 1 },
  ];
  await expectStatus(as(api, owner).post('/v1/skus', { sku: 'SET', name: 'Set', components }), 201);
  return { owner, here, there };
}

describe('stock', () => {
  it('taken, reserved and sold at once is never more than there is; who comes too late is told what is left', async () => {
    const { owner, here } = await cupsAndPlates();
    const { post } = as(api, owner);
    const order = { currency: 'MYR', shipping: 'self_arranged', lines: [{ sku: 'CUP', quantity: 1 }] };
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, turn) =>
        turn % 3 === 0
          ? post('/v1/orders', { ...order, number: newKey() })
          : adjust(owner, here, 'CUP', turn % 3 === 1 ? 'stockOut' : 'reserve', 1),
      ),
    );
    const refused = answers.filter(({ status }) => status === 409);
    for (const { body } of refused)
      expect(body).toMatchObject({ code: 'insufficient_stock', sku: 'CUP', warehouse: here, available: 0 });
    expect(answers.filter(({ status }) => ![200, 201, 409].includes(status))).toEqual([]);
    const rows = await levels(owner, 'sku=CUP');
    const gone = answers.filter(({ status }) => status === 200).length;
    const allocated = rows.reduce((sum, row) => sum + row.allocated, 0);
    // Orders took from the other warehouse, too, and where there was nothing they wait.
    expect([gone >= 1, rows.map(({ available }) => available)]).toEqual([true, expect.arrayContaining([0])]);
    expect(gone + allocated + rows.reduce((sum, row) => sum + row.available, 0)).toBe(12);
    await expectSound(owner, 'CUP');
  });

  it('that is not there is not transferred: both warehouses stay as they are', async () => {
    const { owner, here, there } = await cupsAndPlates();
    const before = await levels(owner, 'sku=CUP');
    const transfer = (quantity: number, to = there) =>
      as(api, owner).post('/v1/stock/transfers', { from: here, to, sku: 'CUP', quantity, reason: 'moved' });
    const refused = await expectStatus(transfer(10), 409);
    expect(refused.body).toMatchObject({ code: 'insufficient_stock', available: 9, warehouse: here });
    await expectStatus(transfer(1, 'wh_none'), 404);
    await expectStatus(transfer(1, here), 422);
    expect(await levels(owner, 'sku=CUP')).toEqual(before);
    await expectStatus(transfer(9), 200);
    expect((await levels(owner, 'sku=CUP')).map(({ onHand }) => onHand).sort((a, b) => a - b)).toEqual([0, 12]);
  });

  it('is written down change by change: what, why, for which document, before, after, under a key of its own', async () => {
    const { owner, here, there } = await cupsAndPlates();
    const since = new Date();
    await expectStatus(adjust(owner, here, 'CUP', 'reserve', 2, 'spring sale'), 200);
    const move = { from: here, to: there, sku: 'CUP', quantity: 3, reason: 'nearer to the customer' };
    await expectStatus(as(api, owner).post('/v1/stock/transfers', move), 200);
    const order = await addOrder(api, owner, 4, 'CUP');
    const pkg = order.packages[0];
    const journal = await journalOf(owner, 'sku=CUP');
    const [first, second] = journal.slice(1, 3).sort((a, b) => (a.kind < b.kind ? -1 : 1));
    // One document, two entries: in at one place, out at the other.
    expect(journal[0]).toMatchObject({ kind: 'allocate', document: pkg.id, warehouse: pkg.warehouse });
    expect(pkg.warehouse === here ? 'here' : 'there').toBe('here');
    expect(journal[0]?.before).toEqual({ ...NOTHING, onHand: 6, reserved: 2 });
    expect(journal[0]?.after).toEqual({ ...NOTHING, onHand: 6, reserved: 2, allocated: 4 });
    expect([first, second]).toMatchObject([
      { kind: 'transferIn', warehouse: there, reason: move.reason, before: { onHand: 3 }, after: { onHand: 6 } },
      { kind: 'transferOut', warehouse: here, reason: move.reason, before: { onHand: 9 }, after: { onHand: 6 } },
    ]);
    expect(first?.document).toBe(second?.document);
    expect(journal[3]).toMatchObject({
      ...{ kind: 'reserve', warehouse: here, sku: 'CUP', reason: 'spring sale', document: expect.stringMatching(/.+/) },
      before: { ...NOTHING, onHand: 9 },
      after: { ...NOTHING, onHand: 9, reserved: 2 },
    });
    for (const entry of journal.slice(0, 4))
      expect(new Date(entry.at).getTime()).toBeGreaterThanOrEqual(since.getTime() - 1);
    expect(new Set(journal.map(({ id }) => id)).size).toBe(6);
    expect((await journalOf(owner, `sku=CUP&warehouse=${there}`)).map(({ kind }) => kind)).toEqual([
      'transferIn',
      'stockIn',
    ]);
    await expectSound(owner, 'CUP');
  });

  it('is changed once by one key, whatever the operation, also where the first answer was lost', async () => {
    const { owner, here, there } = await cupsAndPlates();
    const line = { warehouse: here, sku: 'CUP', quantity: 2, reason: 'r' };
    const kinds = ['stockIn', 'stockOut', 'count', 'reserve', 'unreserve', 'inTransit'];
    const commands: [string, object][] = [
      ...kinds.map((kind): [string, object] => [
        '/v1/stock/adjustments',
        { ...line, kind, quantity: kind === 'count' ? 7 : 2 },
      ]),
      ['/v1/stock/transfers', { from: here, to: there, sku: 'CUP', quantity: 2, reason: 'r' }],
    ];
    for (const [path, body] of commands) {
      const key = newKey();
      const send = () => as(api, owner).post(path, body).set('Idempotency-Key', key);
      const lost = jest.spyOn(api.store.idempotency, 'keep').mockRejectedValueOnce(new Error('died'));
      const first = await expectStatus(send(), 200);
      lost.mockRestore();
      await api.database
        .collection('idempotency')
        .updateMany({ status: 'running' }, { $set: { leaseUntil: new Date(0) } });
      const after = [await levels(owner, ''), await journalOf(owner, '')];
      // Done again under the same key, then answered from what was kept.
      for (let turn = 0; turn < 2; turn += 1) expect((await expectStatus(send(), 200)).body).toEqual(first.body);
      expect([await levels(owner, ''), await journalOf(owner, '')]).toEqual(after);
    }
    expect(await journalOf(owner, 'sku=CUP')).toHaveLength(2 + kinds.length + 2);
    await expectSound(owner, 'CUP');
  });

  it('of a combination is the smallest whole number of sets, per warehouse; sold, it takes all components or none', async () => {
    const { owner, here, there } = await cupsAndPlates();
    const sets = async () =>
      Object.fromEntries((await levels(owner, 'sku=SET')).map(({ warehouse, available }) => [warehouse, available]));
    // 9 cups make 4 sets and a half; 3 cups one and a half.
    expect(await sets()).toEqual({ [here]: 4, [there]: 1 });
    const page = await expectStatus(as(api, owner).get('/v1/stock?sku=SET&limit=1'), 200);
    const rest = await expectStatus(
      as(api, owner).get(`/v1/stock?sku=SET&limit=1&cursor=${page.body.nextCursor}`),
      200,
    );
    const paged: Level[] = [...page.body.items, ...rest.body.items];
    expect([paged.map(({ warehouse }) => warehouse), rest.body.nextCursor]).toEqual([[here, there].sort(), null]);
    await expectStatus(adjust(owner, here, 'PLATE', 'reserve', 1), 200);
    expect(await sets()).toEqual({ [here]: 3, [there]: 1 });
    const first = await addOrder(api, owner, 2, 'SET');
    expect(first.packages).toMatchObject([{ warehouse: here, failure: null }]);
    expect(await levels(owner, `warehouse=${here}`)).toMatchObject([
      { sku: 'CUP', allocated: 4, available: 5 },
      { sku: 'PLATE', allocated: 2, available: 1 },
    ]);
    // Cups for two more, a plate for one; in the other warehouse the other way round. Nowhere are two whole sets.
    const before = await levels(owner, '');
    const second = await addOrder(api, owner, 2, 'SET');
    expect(second.packages).toMatchObject([{ failure: { code: 'insufficient_stock', held: 'nothing' } }]);
    expect(await levels(owner, '')).toEqual(before);
    expect(await sets()).toEqual({ [here]: 1, [there]: 1 });
    for (const kind of ['stockIn', 'count', 'inTransit'])
      expect((await expectStatus(adjust(owner, here, 'SET', kind, 1), 422)).body.code).toBe('invalid_input');
  });
});

describe('mirrored stock', () => {
  it('is read-only for what is put beside it, too: an own SKU in a supplier’s warehouse, a set that is in part one’s own', async () => {
    const { distributor, id } = await partnered(api);
    await api.store.mirror.pass(id);
    const { post } = as(api, distributor);
    const own = await addWarehouse(distributor, 'Own');
    await expectStatus(post('/v1/skus', { sku: 'OWN', name: 'Own' }), 201);
    await expectStatus(adjust(distributor, own, 'OWN', 'stockIn', 30), 200);
    const components = ['OWN', 'SKU-1'].map((sku) => ({ sku, quantity: 1 }));
    await expectStatus(post('/v1/skus', { sku: 'MIXED', name: 'Mixed', components }), 201);
    const supplied = (await levels(distributor, 'sku=SKU-1'))[0]?.warehouse ?? '';
    const before = await levels(distributor, '');
    for (const kind of ['stockIn', 'stockOut', 'reserve', 'unreserve', 'count', 'inTransit'])
      for (const [sku, warehouse] of [
        ['MIXED', own],
        ['MIXED', supplied],
        ['OWN', supplied],
      ] as const) {
        const refused = await expectStatus(adjust(distributor, warehouse, sku, kind, 1), 409);
        expect(refused.body.code).toBe('stock_is_mirrored');
      }
    for (const [from, to] of [
      [own, supplied],
      [supplied, own],
    ]) {
      const refused = await expectStatus(
        post('/v1/stock/transfers', { from, to, sku: 'OWN', quantity: 1, reason: 'r' }),
        409,
      );
      expect(refused.body.code).toBe('stock_is_mirrored');
    }
    expect(await levels(distributor, '')).toEqual(before);
  });

  it('is what the supplier has available there; available is never below 0, whatever was synced', async () => {
    const { supplier, distributor, id, warehouse } = await partnered(api);
    await api.store.mirror.pass(id);
    await addOrder(api, distributor, 7);
    await expectStatus(adjust(supplier, warehouse, 'SKU-1', 'reserve', 95), 200);
    await api.store.mirror.pass(id);
    // The supplier has 5 left, 7 are promised.
    expect(await levels(distributor, 'sku=SKU-1')).toMatchObject([{ onHand: 5, allocated: 7, available: 0 }]);
    await expectStatus(adjust(supplier, warehouse, 'SKU-1', 'unreserve', 5), 200);
    await api.store.mirror.pass(id);
    expect(await levels(distributor, 'sku=SKU-1')).toMatchObject([{ onHand: 10, allocated: 7, available: 3 }]);
  });
});

describe('a set of a supplier’s product', () => {
  it('sold, takes and bills its components, all or none, and they are what was sold', async () => {
    const { supplier, distributor, id } = await partnered(api);
    await api.store.mirror.pass(id);
    const components = [{ sku: 'SKU-1', quantity: 2 }];
    await expectStatus(as(api, distributor).post('/v1/skus', { sku: 'PAIR', name: 'Pair', components }), 201);
    expect(await levels(distributor, 'sku=PAIR')).toMatchObject([{ available: 50, mirrored: true }]);
    const order = await addOrder(api, distributor, 3, 'PAIR');
    expect(order.packages).toMatchObject([{ lines: [{ sku: 'SKU-1', quantity: 6, price: myr('12.50') }] }]);
    expect(await levels(distributor, 'sku=SKU-1')).toMatchObject([{ onHand: 100, allocated: 6, available: 94 }]);
    expect(await levels(distributor, 'sku=PAIR')).toMatchObject([{ available: 47 }]);
    await expectStatus(as(api, distributor).post(`/v1/orders/${order.id}/push`), 202);
    expect(await api.store.orders.push(order.packages[0].id, 1)).toMatchObject({ outcome: 'pushed' });
    expect(await levels(supplier, 'sku=SKU-1')).toMatchObject([{ onHand: 100, allocated: 6, available: 94 }]);
    expect(await levels(distributor, 'sku=SKU-1')).toMatchObject([{ onHand: 94, allocated: 0, available: 94 }]);
    const { sales } = (await expectStatus(as(api, supplier).get('/v1/supplier/products/SKU-1'), 200)).body;
    expect(sales[0]).toEqual({ days: 3, units: 6, dailyAverage: 6 });
  });
});

/** A product more, published, that is priced 12.50 unless told. */
async function addProduct(supplier: LiveSupplier, sku: string, basePrice: object | null = myr('12.50')): Promise<void> {
  const { post } = as(api, supplier);
  await expectStatus(post('/v1/skus', { sku, name: sku }), 201);
  await expectStatus(post('/v1/supplier/products', { sku, ...(basePrice === null ? {} : { basePrice }) }), 202);
  await api.store.products.publish(supplier.id, sku, 1);
}
const claim = (of: Partnership, sku = 'SKU-1') =>
  expectStatus(as(api, of.distributor).post(`/v1/distributor/suppliers/${of.id}/claims`, { sku }), 201);
/** What the distributor is shown, by SKU. */
async function shown(of: Partnership, query = '') {
  const path = `/v1/distributor/suppliers/${of.id}/products${query}`;
  const { items } = (await expectStatus(as(api, of.distributor).get(path), 200)).body;
  return new Map<string, { price: object | null; waitingPrice: object | null; available: number }>(
    items.map((row: { sku: string }) => [row.sku, row]),
  );
}
async function pushedOrder(of: Partnership, quantity = 1) {
  const order = await addOrder(api, of.distributor, quantity);
  await expectStatus(as(api, of.distributor).post(`/v1/orders/${order.id}/push`), 202);
  const outcome = await api.store.orders.push(order.packages[0].id, 1);
  if (outcome.outcome !== 'pushed') throw new Error(outcome.outcome);
  return { id: order.id as string, supplyOrder: outcome.supplyOrder };
}

describe('distribution products', () => {
  it('are 200, also where two are added at once', async () => {
    const supplier = await liveSupplier(api);
    const { post, get } = as(api, supplier);
    const rows = Array.from({ length: 198 }, (_, index) => ({
      ...{ _id: `${supplier.id}/F${index}`, supplier: supplier.id, sku: `F${index}`, status: 'enabled', attempt: 1 },
      ...{ basePrice: 100, createdAt: new Date() },
    }));
    await api.database.collection('products').insertMany(rows as never);
    const added = ['N1', 'N2', 'N3'];
    for (const sku of added) await expectStatus(post('/v1/skus', { sku, name: sku }), 201);
    const answers = await Promise.all(added.map((sku) => post('/v1/supplier/products', { sku })));
    expect(answers.map(({ status, body }) => body.code ?? status).sort()).toEqual([
      202,
      'distribution_product_limit',
      'distribution_product_limit',
    ]);
    const first = await expectStatus(get('/v1/supplier/products?limit=200'), 200);
    expect([first.body.items.length, first.body.nextCursor]).toEqual([200, null]);
  });

  it('of somebody else are refused row by row, and the own ones beside them are added', async () => {
    const of = await partner(api, await liveSupplier(api), {}, await addAccount(api, 'In the middle'));
    await claim(of);
    const { post } = as(api, of.distributor);
    await expectStatus(post('/v1/supplier/activation'), 200);
    await expectStatus(post('/v1/skus', { sku: 'OWN', name: 'Own' }), 201);
    const products = ['SKU-1', 'OWN', 'NONE'].map((sku) => ({ sku }));
    const { body } = await expectStatus(post('/v1/supplier/products', { products }), 200);
    expect(body.results.map((row: { sku: string; ok: boolean; code?: string }) => [row.sku, row.ok, row.code])).toEqual(
      [
        ['SKU-1', false, 'sub_distribution_not_allowed'],
        ['OWN', true, undefined],
        ['NONE', false, 'not_found'],
      ],
    );
    const distributed = { sku: 'SKU-2', name: 'x', distribution: true, components: [{ sku: 'SKU-1', quantity: 1 }] };
    expect((await expectStatus(post('/v1/skus', distributed), 422)).body.code).toBe('combination_not_supported');
  });

  it('have one price changed, or many', async () => {
    const supplier = await liveSupplier(api);
    await addProduct(supplier, 'B');
    const { patch, get } = as(api, supplier);
    const set = (products: object[]) => expectStatus(patch('/v1/supplier/products', { products }), 200);
    await set([{ sku: 'B', basePrice: myr('3.10') }]);
    const prices = async () =>
      (await expectStatus(get('/v1/supplier/products'), 200)).body.items.map(
        (row: { basePrice: { amount: string } }) => row.basePrice.amount,
      );
    expect(await prices()).toEqual(['3.10', '12.50']);
    const many = await set(['B', 'NONE', 'SKU-1'].map((sku) => ({ sku, basePrice: myr('4.00') })));
    expect(many.body.results.map((row: { code?: string }) => row.code ?? 'set')).toEqual(['set', 'not_found', 'set']);
    expect(await prices()).toEqual(['4.00', '4.00']);
    const wrong = [{ sku: 'B', basePrice: myr('4.005') }];
    await expectStatus(patch('/v1/supplier/products', { products: wrong }), 422);
  });

  it('show what is on hand over all warehouses; a distributor that of the warehouses they were given', async () => {
    const supplier = await liveSupplier(api);
    const second = await addWarehouse(supplier);
    await expectStatus(adjust(supplier, second, 'SKU-1', 'stockIn', 30), 200);
    await expectStatus(adjust(supplier, second, 'SKU-1', 'reserve', 4), 200);
    const detail = (await expectStatus(as(api, supplier).get('/v1/supplier/products/SKU-1'), 200)).body;
    expect([detail.onHand, detail.available]).toEqual([130, 126]);
    expect(new Set(detail.warehouses)).toEqual(
      new Set([
        { warehouse: supplier.warehouse, onHand: 100, available: 100 },
        { warehouse: second, onHand: 30, available: 26 },
      ]),
    );
    const [one, both] = [await partner(api, supplier), await partner(api, supplier)];
    const warehouses = [supplier.warehouse, second];
    await expectStatus(as(api, supplier).patch(`/v1/supplier/distributors/${both.id}`, { warehouses }), 200);
    expect([(await shown(one)).get('SKU-1')?.available, (await shown(both)).get('SKU-1')?.available]).toEqual([
      100, 126,
    ]);
    for (const each of [one, both]) {
      await claim(each);
      await api.store.mirror.pass(each.id);
    }
    // One per warehouse they were given, with the supplier's name for the SKU, and a mapping to it.
    expect((await levels(one.distributor, 'sku=SKU-1')).map(({ onHand }) => onHand)).toEqual([100]);
    const rows = await levels(both.distributor, 'sku=SKU-1');
    expect(rows.map(({ onHand }) => onHand).sort((a, b) => a - b)).toEqual([26, 100]);
    expect((await expectStatus(as(api, both.distributor).get('/v1/skus/SKU-1'), 200)).body).toMatchObject({
      name: 'One',
      kind: 'single',
      supplier: { partnership: both.id, sku: 'SKU-1' },
    });
  });

  it('that are disabled are 0 for all, and what was synced before is still pushed and shipped', async () => {
    const supplier = await liveSupplier(api);
    const [a, b] = [await partner(api, supplier), await partner(api, supplier)];
    const onHand = async (of: Partnership) => {
      await api.store.mirror.pass(of.id);
      return (await levels(of.distributor, 'sku=SKU-1'))[0]?.onHand;
    };
    for (const each of [a, b]) await claim(each);
    expect([await onHand(a), await onHand(b)]).toEqual([100, 100]);
    const before = await addOrder(api, a.distributor, 2);
    const { post } = as(api, supplier);
    await expectStatus(post('/v1/supplier/products/SKU-1/disable'), 200);
    expect([await onHand(a), await onHand(b)]).toEqual([0, 0]);
    // It stays in the list of what they claimed, with nothing to sell.
    for (const each of [a, b]) expect((await shown(each, '?claimed=true')).get('SKU-1')?.available).toBe(0);
    await expectStatus(as(api, a.distributor).post(`/v1/orders/${before.id}/push`), 202);
    const outcome = await api.store.orders.push(before.packages[0].id, 1);
    expect(outcome).toMatchObject({ outcome: 'pushed' });
    const path = `/v1/supply-orders/${'supplyOrder' in outcome ? outcome.supplyOrder : ''}`;
    for (const move of ['pack', 'ready']) await expectStatus(post(`${path}/${move}`), 200);
    await expectStatus(post(`${path}/ship`, { carrier: 'PosLaju', trackingNumber: 'T-1' }), 200);
    expect((await levels(supplier, 'sku=SKU-1'))[0]).toMatchObject({ onHand: 98, allocated: 0 });
    const later = await addOrder(api, a.distributor, 1);
    const refused = await expectStatus(as(api, a.distributor).post(`/v1/orders/${later.id}/push`), 409);
    expect(refused.body.blockers.map(({ code }: { code: string }) => code)).toContain('sku_inactive');
  });

  it('count the distributors with an active and with a stopped claim, over all time', async () => {
    const supplier = await liveSupplier(api);
    const [a, b, c] = [await partner(api, supplier), await partner(api, supplier), await partner(api, supplier)];
    const counts = async () =>
      (await expectStatus(as(api, supplier).get('/v1/supplier/products/SKU-1'), 200)).body.claims;
    expect(await counts()).toEqual({ active: 0, inactive: 0, stopped: 0 });
    for (const each of [a, b, c]) await claim(each);
    await expectStatus(as(api, b.distributor).delete(`/v1/distributor/suppliers/${b.id}/claims/SKU-1`), 200);
    expect(await counts()).toEqual({ active: 2, inactive: 0, stopped: 1 });
    // A partnership that ended is not forgotten, nor is one's second claim counted twice.
    await expectStatus(as(api, supplier).post(`/v1/supplier/distributors/${b.id}/terminate`), 200);
    await expectStatus(
      as(api, supplier).post(`/v1/supplier/products/SKU-1/distributors/${c.id}/disable`, { reason: 'r' }),
      200,
    );
    expect(await counts()).toEqual({ active: 1, inactive: 1, stopped: 1 });
    const again = await partner(api, supplier, {}, b.distributor);
    await claim(again);
    await expectStatus(as(api, b.distributor).delete(`/v1/distributor/suppliers/${again.id}/claims/SKU-1`), 200);
    expect(await counts()).toEqual({ active: 1, inactive: 1, stopped: 1 });
  });

  it('have a log that says who, when and why, and that nobody can take from', async () => {
    const supplier = await liveSupplier(api);
    const of = await partner(api, supplier);
    const since = Date.now();
    await claim(of);
    const own = as(api, of.distributor);
    await expectStatus(own.delete(`/v1/distributor/suppliers/${of.id}/claims/SKU-1`), 200);
    const by = as(api, supplier);
    const only = `/v1/supplier/products/SKU-1/distributors/${of.id}`;
    await expectStatus(by.post(`${only}/disable`, { reason: 'undercutting' }), 200);
    await expectStatus(by.post(`${only}/enable`, { reason: 'promised not to' }), 200);
    const path = '/v1/supplier/products/SKU-1/log';
    const log = async () => (await expectStatus(by.get(path), 200)).body.items;
    const entries: { what: string; who: string; why: string | null; distributor: string | null; at: string }[] =
      await log();
    const { id } = of.distributor;
    expect(entries.map(({ what, who, why, distributor }) => [what, who, why, distributor])).toEqual([
      ['enabled', supplier.id, 'promised not to', id],
      ['disabled', supplier.id, 'undercutting', id],
      ['stopped', id, null, null],
      ['claimed', id, null, null],
      ['enabled', supplier.id, null, null],
      ['added', supplier.id, null, null],
    ]);
    const times = entries.map(({ at }) => new Date(at).getTime());
    expect(times).toEqual([...times].sort((a, b) => b - a));
    expect([times[3] && times[3] >= since, times[0] && times[0] <= Date.now()]).toEqual([true, true]);
    await expectStatus(by.post(`/v1/supplier/distributors/${of.id}/terminate`), 200);
    for (const method of ['delete', 'put', 'patch', 'post'] as const)
      expect([404, 405]).toContain((await by[method](path, {})).status);
    expect((await log()).slice(-6)).toEqual(entries);
    // The distributor has no part in it.
    await expectStatus(own.get(path), 404);
  });
});

describe('why it can not be seen', () => {
  const explained = async (supplier: Party, distributor: string, sku: string) =>
    (
      await expectStatus(as(api, supplier).get(`/v1/supplier/visibility?distributor=${distributor}&sku=${sku}`), 200)
    ).body.causes.map(({ code }: { code: string }) => code);

  it('names each cause that holds, together', async () => {
    const supplier = await liveSupplier(api);
    await addProduct(supplier, 'BARE', null);
    const applicant = await addAccount(api, 'Applicant', 'basic');
    const id = await apply(api, supplier, applicant);
    const { post, patch } = as(api, supplier);
    expect(await explained(supplier, id, 'SKU-1')).toEqual(['not_partnered', 'no_warehouse']);
    await expectStatus(post(`/v1/supplier/products/BARE/distributors/${id}/disable`), 200);
    await expectStatus(post('/v1/supplier/products/BARE/disable'), 200);
    const rule = { number: 1, products: { kind: 'list', skus: ['BARE'] } };
    const list = (...distributors: string[]) => ({ kind: 'list', distributors });
    const hide = { ...rule, kind: 'hide', distributors: list(applicant.id) };
    const made = await expectStatus(post('/v1/supplier/visibility-rules', hide), 201);
    const all = ['not_partnered', 'product_disabled', 'disabled_for_distributor'];
    const rest = ['no_warehouse', 'price_missing'];
    expect(await explained(supplier, id, 'BARE')).toEqual([...all, 'hidden_by_rule', ...rest]);
    const taken = await expectStatus(post('/v1/supplier/visibility-rules', hide), 409);
    expect(taken.body.code).toBe('rule_number_taken');
    // Restricted to somebody else instead.
    const other = await partner(api, supplier);
    const only = { kind: 'only', distributors: list(other.distributor.id) };
    await expectStatus(patch(`/v1/supplier/visibility-rules/${made.body.id}`, only), 200);
    expect(await explained(supplier, id, 'BARE')).toEqual([...all, 'restricted', ...rest]);
    expect(await explained(supplier, other.id, 'BARE')).toEqual(['product_disabled', 'price_missing']);
    // Published again, with terms that lack a rate.
    await expectStatus(post('/v1/supplier/products/SKU-1/disable'), 200);
    await expectStatus(post('/v1/supplier/products/SKU-1/enable'), 202);
    const abroad = await partner(api, supplier, { settlementCurrency: 'USD' });
    expect(await explained(supplier, abroad.id, 'SKU-1')).toEqual(['product_publishing', 'exchange_rate_missing']);
    // Withdrawn, the application is seen by nobody.
    await expectStatus(as(api, applicant).post(`/v1/distributor/suppliers/${id}/withdraw`), 204);
    for (const distributor of [id, applicant.id]) {
      const query = `distributor=${distributor}&sku=BARE`;
      for (const path of [`visibility?${query}`, `price-quote?${query}`, `distributors/${distributor}/visibility`])
        await expectStatus(as(api, supplier).get(`/v1/supplier/${path}`), 404);
      await expectStatus(post(`/v1/supplier/products/BARE/distributors/${distributor}/enable`), 404);
    }
  });

  it('is asked of all products by pages, each once, whatever letters their codes are made of', async () => {
    const supplier = await liveSupplier(api);
    const codes = ['SKU-1', '\uff21', '\u{1f455}'];
    for (const sku of codes.slice(1)) await addProduct(supplier, sku);
    const of = await partner(api, supplier);
    for (const [party, path] of [
      [supplier, `/v1/supplier/distributors/${of.id}/visibility`],
      [of.distributor, `/v1/distributor/suppliers/${of.id}/products`],
    ] as const) {
      const found: string[] = [];
      for (let cursor = ''; found.length < 9; ) {
        const { body } = await expectStatus(as(api, party).get(`${path}?limit=1${cursor}`), 200);
        found.push(...body.items.map(({ sku }: { sku: string }) => sku));
        if (body.nextCursor === null) break;
        cursor = `&cursor=${body.nextCursor}`;
      }
      expect(found).toEqual(codes);
    }
  });
});

describe('a price', () => {
  it('that is shown stays through every change until an order is synced, which is billed the new one', async () => {
    const supplier = await liveSupplier(api);
    const { post, put, patch, delete: remove } = as(api, supplier);
    const rate = (to: string) => put('/v1/exchange-rates', { rates: [{ from: 'MYR', to: 'SGD', rate: to }] });
    await expectStatus(rate('0.30'), 200);
    const levelOf = async (name: string, percent: string) =>
      (await expectStatus(post('/v1/supplier/levels', { name, rule: { kind: 'percentOfBase', percent } }), 201)).body
        .id;
    const [vip, gold] = [await levelOf('VIP', '80'), await levelOf('Gold', '60')];
    const of = await partner(api, supplier, { level: vip, settlementCurrency: 'SGD' });
    await claim(of);
    const price = async () => (await shown(of)).get('SKU-1');
    const sgd = (amount: string) => ({ amount, currency: 'SGD' });
    const skuPrice = (level: string | null, amount: string) =>
      put('/v1/supplier/sku-prices', { prices: [{ sku: 'SKU-1', level, price: myr(amount) }] });
    const levelRule = { kind: 'basePlusAmount', amount: myr('-3.00') };
    const base = { products: [{ sku: 'SKU-1', basePrice: myr('20.00') }] };
    const changes: [() => ReturnType<typeof put>, string, number?][] = [
      // 20.00 × 80 % × 0.30
      [() => patch('/v1/supplier/products', base), '4.80'],
      [() => patch(`/v1/supplier/levels/${vip}`, { rule: levelRule }), '5.10'],
      [() => skuPrice(null, '15.00'), '4.50'],
      [() => skuPrice(vip, '14.50'), '4.35'],
      [() => rate('0.31'), '4.50'],
      [() => put('/v1/supplier/rounding', { rounding: 'down' }), '4.00'],
      [() => patch(`/v1/supplier/distributors/${of.id}`, { level: gold }), '4.00'],
      [() => remove('/v1/supplier/sku-prices?sku=SKU-1&level=all'), '3.00', 204],
    ];
    let now = '3.00';
    expect(await price()).toMatchObject({ price: sgd(now), waitingPrice: null });
    const orders: [string, string][] = [];
    for (const [change, next, status = 200] of changes) {
      await expectStatus(change(), status);
      expect(await price()).toMatchObject({ price: sgd(now), waitingPrice: next === now ? null : sgd(next) });
      const order = await addOrder(api, of.distributor, 1);
      expect(order.packages[0].lines[0].price).toEqual(sgd(next));
      expect(await price()).toMatchObject({
        ...{ price: sgd(next), waitingPrice: null },
        claim: { shownPrice: sgd(next), billedPrice: sgd(next) },
      });
      orders.push([order.id, next]);
      now = next;
    }
    // What was synced before keeps its price.
    for (const [id, amount] of orders) {
      const { body } = await expectStatus(as(api, of.distributor).get(`/v1/orders/${id}`), 200);
      expect(body.packages[0].lines[0].price).toEqual(sgd(amount));
    }
  });

  it('is exact until its one rounding, and that goes to the decimals the currency has', async () => {
    const supplier = await liveSupplier(api);
    const { post, put, patch, get } = as(api, supplier);
    const rule = { kind: 'percentOfBase', percent: '50' };
    const level = (await expectStatus(post('/v1/supplier/levels', { name: 'Half', rule }), 201)).body.id;
    const rates = [
      { from: 'MYR', to: 'VND', rate: '5600.5' },
      { from: 'MYR', to: 'SGD', rate: '3' },
    ];
    await expectStatus(put('/v1/exchange-rates', { rates }), 200);
    const partners = new Map<string, Partnership>();
    for (const settlementCurrency of ['MYR', 'VND', 'SGD'])
      partners.set(settlementCurrency, await partner(api, supplier, { level, settlementCurrency }));
    const rounded = async (currency: string) => {
      const prices: string[] = [];
      for (const rounding of ['up', 'down', 'standard', 'twoDecimals']) {
        await expectStatus(put('/v1/supplier/rounding', { rounding }), 200);
        const path = `/v1/supplier/price-quote?distributor=${partners.get(currency)?.id}&sku=SKU-1`;
        const { price } = (await expectStatus(get(path), 200)).body;
        expect(price.currency).toBe(currency);
        prices.push(price.amount);
      }
      const [most, least] = [Math.max(...prices.map(Number)), Math.min(...prices.map(Number))];
      expect(most - least).toBeLessThanOrEqual(1);
      return prices;
    };
    const setBase = (amount: string) =>
      expectStatus(patch('/v1/supplier/products', { products: [{ sku: 'SKU-1', basePrice: myr(amount) }] }), 200);
    // Half of it is 1.005, which no binary fraction is.
    await setBase('2.01');
    expect(await rounded('MYR')).toEqual(['2.00', '1.00', '1.00', '1.01']);
    // 3.015, where rounding in between would give 3.03.
    expect(await rounded('SGD')).toEqual(['4.00', '3.00', '3.00', '3.02']);
    // 5628.5025: there are no decimals to keep.
    expect(await rounded('VND')).toEqual(['5629', '5628', '5629', '5629']);
    // 1.50 exactly is half up; 2.00 is the same whatever the rounding.
    await setBase('3.00');
    expect(await rounded('MYR')).toEqual(['2.00', '1.00', '2.00', '1.50']);
    await setBase('4.00');
    expect(await rounded('MYR')).toEqual(['2.00', '2.00', '2.00', '2.00']);
  });

  it('that is no longer there blocks the push and says so, and is never 0', async () => {
    const supplier = await liveSupplier(api);
    await addProduct(supplier, 'P', null);
    const { put, delete: remove } = as(api, supplier);
    const prices = [{ sku: 'P', price: myr('2.00') }];
    await expectStatus(put('/v1/supplier/sku-prices', { prices }), 200);
    const rates = [{ from: 'MYR', to: 'SGD', rate: '0.3' }];
    await expectStatus(put('/v1/exchange-rates', { rates }), 200);
    const [near, abroad] = [
      await partner(api, supplier),
      await partner(api, supplier, { settlementCurrency: 'SGD' }),
    ] as const;
    await claim(near, 'P');
    await claim(abroad, 'SKU-1');
    await expectStatus(remove('/v1/supplier/sku-prices?sku=P'), 204);
    await expectStatus(put('/v1/exchange-rates', { rates: [] }), 200);
    for (const [of, sku, reason] of [
      [near, 'P', 'price_missing'],
      [abroad, 'SKU-1', 'exchange_rate_missing'],
    ] as const) {
      const order = await addOrder(api, of.distributor, 1, sku);
      expect(order.packages[0].lines[0]).toMatchObject({ price: null, priceReason: reason });
      const refused = await expectStatus(as(api, of.distributor).post(`/v1/orders/${order.id}/push`), 409);
      expect(refused.body.blockers).toContainEqual(expect.objectContaining({ code: reason, sku }));
    }
    // And it is not shown to who has not claimed it.
    const other = await partner(api, supplier);
    expect([...(await shown(other)).keys()]).toEqual(['SKU-1']);
  });
});

describe('limits', () => {
  it('hold where two come at once: levels, rules, the number of a rule', async () => {
    const supplier = await liveSupplier(api);
    const { post } = as(api, supplier);
    const codes = async (calls: readonly PromiseLike<{ status: number; body: { code?: string } }>[]) =>
      (await Promise.all(calls)).map(({ status, body }) => body.code ?? status).sort();
    const level = (name: string) =>
      post('/v1/supplier/levels', { name, rule: { kind: 'basePlusPercent', percent: '0' } });
    for (let index = 0; index < 9; index += 1) await expectStatus(level(`L${index}`), 201);
    expect(await codes(['A', 'B', 'C'].map(level))).toEqual([201, 'level_limit', 'level_limit']);
    const scope = { kind: 'scope', distributors: { kind: 'all' }, products: { kind: 'all' } };
    const rule = (number: number) => post('/v1/supplier/visibility-rules', { number, ...scope });
    expect(await codes([7, 7, 7].map(rule))).toEqual([201, 'rule_number_taken', 'rule_number_taken']);
    const rows = Array.from({ length: 98 }, (_, index) => ({
      ...{ _id: `vis_${supplier.id}_${index}`, supplier: supplier.id, ...scope, number: index + 100, enabled: true },
      ...{ createdAt: new Date(), updatedAt: new Date() },
    }));
    await api.database.collection('visibilityRules').insertMany(rows as never);
    expect(await codes([1, 2, 3].map(rule))).toEqual([201, 'visibility_rule_limit', 'visibility_rule_limit']);
  });

  it('of a rate: none is 0 or less, so that no price becomes 0 by it', async () => {
    const supplier = await liveSupplier(api);
    for (const rate of ['0', '0.000', '-1', '1e3', ''])
      await expectStatus(
        as(api, supplier).put('/v1/exchange-rates', { rates: [{ from: 'MYR', to: 'SGD', rate }] }),
        422,
      );
    const rates = [
      ...[{ from: 'MYR', to: 'SGD', rate: '0' }, { from: 'MYR', to: 'SGD', rate: '1' }, { rate: '1' }],
      { from: 'MYR', to: 'MYR' },
    ];
    const wrong = await expectStatus(as(api, supplier).put('/v1/exchange-rates', { rates }), 422);
    expect(wrong.body.errors.map((error: { pointer: string; code: string }) => [error.pointer, error.code])).toEqual([
      ['/rates/0/rate', 'invalid'],
      ['/rates/2/from', 'required'],
      ['/rates/2/to', 'required'],
      ['/rates/3/rate', 'required'],
      ['/rates/3/to', 'invalid'],
      ['/rates/1', 'repeated'],
    ]);
  });
});

describe('fees', () => {
  it('are rounded half up to what the currency has, and given back as they were charged', async () => {
    const supplier = await liveSupplier(api);
    const { put, get } = as(api, supplier);
    const fee = (amount: string) => ({
      ...FEES,
      stockOut: { by: 'package', amount: myr(amount) },
      logistics: { amount: myr(amount) },
    });
    const rate = (to: string, of: string) =>
      expectStatus(put('/v1/exchange-rates', { rates: [{ from: 'MYR', to, rate: of }] }), 200);
    await expectStatus(put('/v1/supplier/fees', fee('0.50')), 200);
    await rate('SGD', '0.25');
    const of = await partner(api, supplier, { settlementCurrency: 'SGD' });
    await claim(of);
    const balance = async () =>
      (await expectStatus(get(`/v1/supplier/distributors/${of.id}/billing`), 200)).body.balance.amount;
    const pushed = await pushedOrder(of);
    const order = async () => (await expectStatus(as(api, of.distributor).get(`/v1/orders/${pushed.id}`), 200)).body;
    const { charge } = (await order()).packages[0];
    // 0.125 is 0.13; 12.50 × 0.25 is 3.125, rounded likewise.
    expect(charge.lines.map((line: { kind: string; amount: { amount: string } }) => line.amount.amount)).toEqual([
      '3.13',
      '0.13',
    ]);
    expect(await balance()).toBe('-3.26');
    await expectStatus(put('/v1/supplier/fees', fee('9.00')), 200);
    await rate('SGD', '0.5');
    expect((await order()).packages[0].charge).toEqual(charge);
    await expectStatus(as(api, of.distributor).post(`/v1/orders/${pushed.id}/recall`), 200);
    expect(await balance()).toBe('0.00');

    await expectStatus(put('/v1/supplier/fees', fee('0.01')), 200);
    await rate('VND', '5650');
    const inDong = await partner(api, supplier, { settlementCurrency: 'VND' });
    await claim(inDong);
    const small = await addOrder(api, inDong.distributor, 1);
    const check = await expectStatus(as(api, inDong.distributor).get(`/v1/orders/${small.id}/push-check`), 200);
    // 56.5: half up, and no decimals.
    expect(check.body.packages[0].charge.lines.at(-1)).toMatchObject({
      kind: 'stock_out_charge',
      amount: { amount: '57', currency: 'VND' },
    });
  });
});
