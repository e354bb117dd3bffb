import {
  ADMIN_KEY,
  type Api,
  addAccount,
  addOrder,
  as,
  bearer,
  expectStatus,
  newKey,
  type Partnership,
  type Party,
  partnered,
  startApi,
} from './harness';

const TIMES = 10;

describe('a command sent again', () => {
  let api: Api;
  let owner: Party;
  let warehouse: string;
  beforeAll(async () => {
    api = await startApi();
    owner = await addAccount(api, 'Owner');
    warehouse = (await expectStatus(as(api, owner).post('/v1/warehouses', { name: 'W' }), 201)).body.id;
    await expectStatus(as(api, owner).post('/v1/skus', { sku: 'S', name: 'S' }), 201);
  });
  afterAll(() => api.close());

  const send = (path: string, body: object, key: string, party: { key: string } = owner) =>
    api.request.post(path).set('Authorization', bearer(party.key)).set('Idempotency-Key', key).send(body);
  const stockIn = (quantity: number) => ({ warehouse, sku: 'S', kind: 'stockIn', quantity, reason: 'r' });
  const journal = async () => (await as(api, owner).get('/v1/stock/journal?limit=200')).body.items.length as number;

  /** Sends it ten times at once: each answer is the first's, or says that the first still runs. */
  async function tenTimes(path: string, body: object, party: { key: string } = owner) {
    const key = newKey();
    const answers = await Promise.all(Array.from({ length: TIMES }, () => send(path, body, key, party)));
    const done = answers.filter(({ status }) => status !== 409);
    for (const running of answers.filter(({ status }) => status === 409)) {
      expect(running.body.code).toBe('idempotency_in_progress');
      expect(Number(running.headers['retry-after'])).toBeGreaterThan(0);
    }
    expect(new Set(done.map(({ text }) => text)).size).toBe(1);
    expect(done.filter(({ headers }) => headers['idempotency-replayed'] === undefined)).toHaveLength(1);
    const later = await send(path, body, key, party);
    expect(later.text).toBe(done[0]?.text);
    expect(later.status).toBe(done[0]?.status);
    expect(later.headers['idempotency-replayed']).toBe('true');
    expect(later.headers['content-type']).toBe(done[0]?.headers['content-type']);
    expect(later.headers.location).toBe(done[0]?.headers.location);
    return later;
  }

  it('has one effect, ten times in parallel: stock', async () => {
    const before = await journal();
    const { body } = await tenTimes('/v1/stock/adjustments', stockIn(5));
    expect(body.onHand).toBe(5);
    expect(await journal()).toBe(before + 1);
  });

  it('has one effect, ten times in parallel: things that are made', async () => {
    const count = async (path: string) => (await as(api, owner).get(path)).body.items.length as number;
    for (const [path, body] of [
      ['/v1/warehouses', { name: 'Ten' }],
      ['/v1/customers', { name: 'Ten' }],
      ['/v1/stores', { platform: 'lazada', name: 'Ten' }],
      ['/v1/api-keys', { name: 'Ten', permissions: ['orders'] }],
      ['/v1/skus', { sku: 'TEN', name: 'Ten' }],
    ] as const) {
      const before = await count(path);
      const { status } = await tenTimes(path, body);
      expect([path, status, (await count(path)) - before]).toEqual([path, 201, 1]);
    }
    const accounts = () => api.database.collection('accounts').countDocuments();
    const before = await accounts();
    await tenTimes('/v1/accounts', { name: 'Ten', plan: 'v1' }, { key: ADMIN_KEY });
    expect(await accounts()).toBe(before + 1);
  });

  describe('between a supplier and a distributor', () => {
    let pair: Partnership;
    beforeAll(async () => {
      pair = await partnered(api);
    });

    it('books once', async () => {
      const path = `/v1/supplier/distributors/${pair.id}/billing`;
      const { body } = await tenTimes(
        `${path}/top-ups`,
        { amount: { amount: '10.00', currency: 'MYR' } },
        pair.supplier,
      );
      expect(body.balanceAfter.amount).toBe('10.00');
      const after = await as(api, pair.supplier).get(path);
      expect(after.body.balance.amount).toBe('10.00');
    });

    it('begins one attempt of a push', async () => {
      const order = await addOrder(api, pair.distributor, 1);
      const { status } = await tenTimes(`/v1/orders/${order.id}/push`, {}, pair.distributor);
      expect(status).toBe(202);
      const after = await as(api, pair.distributor).get(`/v1/orders/${order.id}`);
      expect(after.body.packages[0].attempt).toBe(1);
    });

    it('begins one attempt also under ten different keys', async () => {
      const order = await addOrder(api, pair.distributor, 1);
      const answers = await Promise.all(
        Array.from({ length: TIMES }, () => as(api, pair.distributor).post(`/v1/orders/${order.id}/push`)),
      );
      expect(new Set(answers.map(({ status, body }) => `${status} ${body.operation?.id}`))).toEqual(
        new Set([`202 order-push.${order.packages[0].id}.1`]),
      );
    });
  });

  it('refuses another body, query or place under the same key', async () => {
    const key = newKey();
    await expectStatus(send('/v1/stock/adjustments', stockIn(1), key), 200);
    const { body } = await expectStatus(send('/v1/stock/adjustments', stockIn(2), key), 422);
    expect(body.code).toBe('idempotency_key_reused');
    const notification = newKey();
    await expectStatus(send('/v1/notifications/YQ/read', {}, notification), 404);
    const elsewhere = await expectStatus(send('/v1/notifications/Yg/read', {}, notification), 422);
    expect(elsewhere.body.code).toBe('idempotency_key_reused');
  });

  it('takes the same body written in another order for the same', async () => {
    const key = newKey();
    const first = await expectStatus(send('/v1/stock/adjustments', stockIn(1), key), 200);
    const turned = Object.fromEntries(Object.entries(stockIn(1)).reverse());
    const second = await expectStatus(send('/v1/stock/adjustments', turned, key), 200);
    expect(second.text).toBe(first.text);
  });

  it('keeps keys of two accounts and of two routes apart', async () => {
    const key = newKey();
    const other = await addAccount(api, 'Other');
    await expectStatus(send('/v1/warehouses', { name: 'Mine' }, key), 201);
    const theirs = await expectStatus(send('/v1/warehouses', { name: 'Theirs' }, key, other), 201);
    expect(theirs.body.name).toBe('Theirs');
    await expectStatus(send('/v1/customers', { name: 'Mine' }, key), 201);
  });

  it('keeps refusals of state and input as well', async () => {
    const key = newKey();
    const out = { ...stockIn(100_000), kind: 'stockOut' };
    const first = await expectStatus(send('/v1/stock/adjustments', out, key), 409);
    await expectStatus(send('/v1/stock/adjustments', stockIn(200_000), newKey()), 200);
    const again = await expectStatus(send('/v1/stock/adjustments', out, key), 409);
    expect([again.text, again.headers['idempotency-replayed']]).toEqual([first.text, 'true']);
    expect(again.headers['content-type']).toBe('application/problem+json');
    const wrong = newKey();
    await expectStatus(send('/v1/skus', { sku: 5 }, wrong), 422);
    const kept = await expectStatus(send('/v1/skus', { sku: 5 }, wrong), 422);
    expect(kept.headers['idempotency-replayed']).toBe('true');
  });

  it('gives the key back when a neighbour is down, and then does it', async () => {
    const pair = await partnered(api);
    const order = await addOrder(api, pair.distributor, 1);
    const key = newKey();
    const path = `/v1/orders/${order.id}/push`;
    api.processes.down = true;
    const down = await expectStatus(send(path, {}, key, pair.distributor), 503);
    expect([down.body.code, down.headers['retry-after']]).toEqual(['unavailable', '5']);
    api.processes.down = false;
    const untouched = await as(api, pair.distributor).get(`/v1/orders/${order.id}`);
    expect(untouched.body.packages[0]).toMatchObject({ status: 'new', attempt: 0 });
    await expectStatus(send(path, {}, key, pair.distributor), 202);
  });

  it('asks for a key where money or goods move, and refuses one that is none', async () => {
    const bare = api.request.post('/v1/stock/adjustments').set('Authorization', bearer(owner.key)).send(stockIn(1));
    expect((await expectStatus(bare, 400)).body.code).toBe('idempotency_key_required');
    for (const key of ['x'.repeat(201), 'two words', 'ümlaut']) {
      const test = api.request.post('/v1/warehouses').set('Authorization', bearer(owner.key));
      test.set('Idempotency-Key', Buffer.from(key).toString('latin1'));
      expect((await expectStatus(test.send({ name: 'W' }), 400)).body.code).toBe('idempotency_key_invalid');
    }
    const without = api.request.post('/v1/warehouses').set('Authorization', bearer(owner.key)).send({ name: 'W' });
    await expectStatus(without, 201);
  });

  it('does once what a first that died had done, and answers under the same command', async () => {
    const key = newKey();
    const before = await journal();
    const { idempotency } = api.store;
    const keep = jest.spyOn(idempotency, 'keep').mockRejectedValueOnce(new Error('died before it was kept'));
    const first = await expectStatus(send('/v1/stock/adjustments', stockIn(3), key), 200);
    keep.mockRestore();
    await expectStatus(send('/v1/stock/adjustments', stockIn(3), key), 409);
    // The lease of the one that died runs out.
    await api.database
      .collection('idempotency')
      .updateMany({ status: 'running' }, { $set: { leaseUntil: new Date(0) } });
    const second = await expectStatus(send('/v1/stock/adjustments', stockIn(3), key), 200);
    expect(second.text).toBe(first.text);
    expect(await journal()).toBe(before + 1);
  });

  it('makes no second thing where a first died', async () => {
    const { idempotency } = api.store;
    for (const [path, body] of [
      ['/v1/warehouses', { name: 'Died' }],
      ['/v1/customers', { name: 'Died' }],
      ['/v1/api-keys', { name: 'Died', permissions: ['orders'] }],
      ['/v1/stores', { platform: 'shopee', name: 'Died' }],
    ] as const) {
      const key = newKey();
      const keep = jest.spyOn(idempotency, 'keep').mockRejectedValueOnce(new Error('died before it was kept'));
      const first = await expectStatus(send(path, body, key), 201);
      keep.mockRestore();
      await api.database
        .collection('idempotency')
        .updateMany({ status: 'running' }, { $set: { leaseUntil: new Date(0) } });
      const second = await expectStatus(send(path, body, key), 201);
      expect(second.body.id).toBe(first.body.id);
    }
  });
});
