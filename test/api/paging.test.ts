import { type Api, addAccount, as, expectStatus, type Party, startApi } from './harness';

describe('lists', () => {
  let api: Api;
  let owner: Party;
  beforeAll(async () => {
    api = await startApi();
    owner = await addAccount(api, 'Owner');
  });
  afterAll(() => api.close());

  const add = (sku: string) => api.store.catalogue.addSku(owner.id, { sku, name: sku, components: [] });

  it('skip nothing and repeat nothing while rows are added', async () => {
    const codes = Array.from({ length: 23 }, (_, index) => `B${String(index).padStart(3, '0')}`);
    for (const code of codes) await add(code);
    const seen: string[] = [];
    let cursor: string | null = null;
    let page = 0;
    do {
      const query: string = cursor === null ? '' : `&cursor=${cursor}`;
      const { body } = await expectStatus(as(api, owner).get(`/v1/skus?limit=5${query}`), 200);
      seen.push(...body.items.map(({ sku }: { sku: string }) => sku));
      cursor = body.nextCursor;
      // One before what was read, one after it.
      await add(`A${page}`);
      await add(`C${page}`);
      page += 1;
    } while (cursor !== null && page < 50);
    expect(seen.filter((sku) => sku.startsWith('B'))).toEqual(codes);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('keep their order by time where rows are added at the front', async () => {
    const warehouse = (await expectStatus(as(api, owner).post('/v1/warehouses', { name: 'W' }), 201)).body.id;
    const adjust = (quantity: number) =>
      expectStatus(
        as(api, owner).post('/v1/stock/adjustments', {
          warehouse,
          sku: 'B000',
          kind: 'stockIn',
          quantity,
          reason: 'r',
        }),
        200,
      );
    for (let quantity = 1; quantity <= 7; quantity += 1) await adjust(quantity);
    const first = await expectStatus(as(api, owner).get('/v1/stock/journal?limit=3'), 200);
    await adjust(8);
    const second = await expectStatus(
      as(api, owner).get(`/v1/stock/journal?limit=200&cursor=${first.body.nextCursor}`),
      200,
    );
    const ids = [...first.body.items, ...second.body.items].map(({ id }: { id: string }) => id);
    expect(ids).toHaveLength(7);
    expect(new Set(ids).size).toBe(7);
    expect(second.body.nextCursor).toBeNull();
  });

  it('have 50 rows a page unless asked otherwise', async () => {
    const other = await addAccount(api, 'Other');
    for (let index = 0; index < 51; index += 1) await api.store.catalogue.addWarehouse(other.id, { name: `W${index}` });
    const { body } = await expectStatus(as(api, other).get('/v1/warehouses'), 200);
    expect(body.items).toHaveLength(50);
    expect(typeof body.nextCursor).toBe('string');
    const all = await expectStatus(as(api, other).get('/v1/warehouses?limit=200'), 200);
    expect([all.body.items.length, all.body.nextCursor]).toEqual([51, null]);
  });

  it('of orders keep to when they were placed: from a time on, and before another, in any zone', async () => {
    const buyer = await addAccount(api, 'Buyer');
    await expectStatus(as(api, buyer).post('/v1/skus', { sku: 'S', name: 'S' }), 201);
    const days = ['2026-11-01T00:00:00Z', '2026-11-02T08:00:00+08:00', '2026-11-03T00:00:00Z'];
    for (const [index, placedAt] of days.entries()) {
      const order = { number: `N${index + 1}`, currency: 'MYR', shipping: 'platform_logistics', placedAt };
      await expectStatus(as(api, buyer).post('/v1/orders', { ...order, lines: [{ sku: 'S', quantity: 1 }] }), 201);
    }
    const numbers = async (query: string) =>
      (await expectStatus(as(api, buyer).get(`/v1/orders?${query}`), 200)).body.items
        .map((one: { number: string }) => one.number)
        .sort();
    expect(await numbers('placedFrom=2026-11-02T00:00:00Z')).toEqual(['N2', 'N3']);
    expect(await numbers('placedBefore=2026-11-02T00:00:00Z')).toEqual(['N1']);
    const first = encodeURIComponent('2026-11-01T08:00:00+08:00');
    expect(await numbers(`placedFrom=${first}&placedBefore=2026-11-03T00:00:00Z`)).toEqual(['N1', 'N2']);
  });

  it('refuse a cursor that was changed, comes from another list, or from another account', async () => {
    const { body } = await expectStatus(as(api, owner).get('/v1/skus?limit=1'), 200);
    const cursor = body.nextCursor as string;
    expect(cursor).toMatch(/^[\w-]+$/);
    const refused = async (path: string, party: Party) => {
      const answer = await expectStatus(as(api, party).get(path), 422);
      expect(answer.body.errors).toEqual([
        expect.objectContaining({ pointer: '/query/cursor', code: 'invalid_cursor' }),
      ]);
    };
    for (let index = 0; index < cursor.length; index += 1) {
      const changed = `${cursor.slice(0, index)}${cursor[index] === 'A' ? 'B' : 'A'}${cursor.slice(index + 1)}`;
      await refused(`/v1/skus?cursor=${changed}`, owner);
    }
    await refused(`/v1/skus?cursor=${cursor}A`, owner);
    await refused(`/v1/skus?cursor=${encodeURIComponent(`${cursor}=`)}`, owner);
    await refused('/v1/skus?cursor=', owner);
    await refused(`/v1/stock?cursor=${cursor}`, owner);
    await refused(`/v1/skus?cursor=${cursor}`, await addAccount(api, 'Stranger'));
  });
});
