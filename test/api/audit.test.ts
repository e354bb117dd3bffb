/** The audit trail of requests, on the real store. */
import type { AuditRowDoc } from '../../store/models/documents';
import { databaseAway } from '../support/broken-store';
import {
  ADMIN_KEY,
  type Api,
  addAccount,
  addKey,
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

describe('the audit log', () => {
  let api: Api;
  let owner: Party;
  let theirs: Partnership;
  beforeAll(async () => {
    api = await startApi();
    owner = await addAccount(api, 'Owner');
    theirs = await partnered(api);
  });
  afterAll(() => api.close());

  const rows = async (filter = {}) =>
    (await api.database.collection('auditRows').find(filter).sort({ _id: 1 }).toArray()) as unknown as AuditRowDoc[];
  const logOf = async (party: { key: string }, query = '') =>
    (await expectStatus(as(api, party).get(`/v1/audit-log${query}`), 200)).body.items;
  /** The rows that are written while something is done. */
  async function during(work: () => Promise<unknown>) {
    const before = (await rows()).length;
    await work();
    return (await rows()).slice(before);
  }

  it('says who did what to which object, when, from where, before and after', async () => {
    const startedAt = Date.now();
    await expectStatus(as(api, owner).post('/v1/skus', { sku: 'A', name: 'First' }), 201);
    const { headers } = await expectStatus(as(api, owner).patch('/v1/skus/A', { name: 'Second' }), 200);
    const [changed, made] = await logOf(owner);
    const [key] = (await as(api, owner).get('/v1/api-keys')).body.items;
    expect(changed).toMatchObject({
      seq: made.seq + 1,
      actor: { kind: 'api_key', id: key.id, name: 'first key' },
      action: 'skus.change',
      route: 'PATCH /v1/skus/{sku}',
      objects: ['A'],
      requestId: headers['x-request-id'],
      outcome: 'done',
      status: 200,
      code: null,
      before: { sku: 'A', name: 'First' },
      after: { sku: 'A', name: 'Second' },
    });
    expect(changed.address).toMatch(/127\.0\.0\.1$/);
    expect(Date.parse(changed.at)).toBeGreaterThanOrEqual(startedAt);
    expect(made).toMatchObject({ action: 'skus.create', objects: ['A'], before: null, after: { name: 'First' } });
  });

  it('has the levels before an adjustment, and those that it answered', async () => {
    const { id: warehouse } = (await expectStatus(as(api, owner).post('/v1/warehouses', { name: 'Counted' }), 201))
      .body;
    await expectStatus(as(api, owner).post('/v1/skus', { sku: 'COUNTED', name: 'Counted' }), 201);
    const count = (quantity: number) =>
      expectStatus(
        as(api, owner).post('/v1/stock/adjustments', {
          ...{ warehouse, sku: 'COUNTED', kind: 'count', quantity, reason: 'test' },
        }),
        200,
      );
    await count(7);
    const { body } = await count(5);
    const [second, first] = await logOf(owner);
    expect([first.before, first.after.onHand]).toEqual([null, 7]);
    expect(second).toMatchObject({ objects: ['COUNTED', warehouse], before: first.after, after: body });
  });

  it('records refusals without the object, and neither reads nor noise', async () => {
    const orders = await addKey(api, owner, ['orders']);
    const refused = await during(async () => {
      await expectStatus(as(api, owner).patch(`/v1/skus/nothing`, { name: 'x' }), 404);
      await expectStatus(as(api, owner).post('/v1/skus', { sku: 'A', name: 'again' }), 409);
      await expectStatus(as(api, { key: orders }).post('/v1/skus', { sku: 'B', name: 'b' }), 403);
      await expectStatus(as(api, owner).post('/v1/skus', { sku: 'B', unknown: 1 }), 422);
    });
    expect(refused.map((row) => [row.outcome, row.status, row.code, row.before, row.after])).toEqual([
      ['refused', 404, 'not_found', null, null],
      ['refused', 409, 'sku_taken', null, null],
      ['refused', 403, 'permission_missing', null, null],
      ['refused', 422, 'invalid_input', null, null],
    ]);
    const nothing = await during(async () => {
      await as(api, owner).get('/v1/skus/A');
      await expectStatus(api.request.post('/v1/skus').send({ sku: 'B', name: 'b' }), 401);
      const broken = api.request.post('/v1/skus').set('Authorization', bearer(owner.key));
      await expectStatus(broken.set('Content-Type', 'application/json').send('{"sku":'), 400);
      await expectStatus(api.request.post('/v1/skus').set('Authorization', bearer(owner.key)).send('x=1'), 415);
    });
    expect(nothing).toEqual([]);
  });

  it('has one row for a command that is sent again, also at once', async () => {
    const key = newKey();
    const send = () =>
      api.request
        .post('/v1/warehouses')
        .set({ Authorization: bearer(owner.key), 'Idempotency-Key': key })
        .send({ name: 'Once' });
    const written = await during(async () => {
      await Promise.all(Array.from({ length: 10 }, send));
      await expectStatus(send(), 201);
    });
    expect(written.map(({ action, outcome }) => [action, outcome])).toEqual([['warehouses.create', 'done']]);
    expect(written[0]?.command).toMatch(/^cmd_/);
  });

  it('shows an account its own rows alone, filtered and paged', async () => {
    const other = await addAccount(api, 'Other');
    expect((await logOf(other)).map(({ action }: { action: string }) => action)).toEqual([
      'account.change',
      'accounts.create',
    ]);
    expect((await logOf(owner, '?object=A&action=skus.change')).length).toBe(1);
    const [first] = await logOf(owner);
    expect((await logOf(owner, `?actor=${first.actor.id}`)).length).toBeGreaterThan(2);
    expect(await logOf(owner, '?actor=temporal_ui')).toEqual([]);
    expect(
      (await logOf(owner, '?actor=platform')).map(({ action, address }: typeof first) => [action, address]),
    ).toEqual([['accounts.create', null]]);
    expect(await logOf(owner, `?to=${first.at}&from=${first.at}`)).toEqual([]);
    expect((await logOf(owner, `?from=${first.at}`)).length).toBeGreaterThan(0);
    const walked: number[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await expectStatus(as(api, owner).get(`/v1/audit-log?limit=2${cursor}`), 200);
      walked.push(...body.items.map(({ seq }: { seq: number }) => seq));
      if (body.nextCursor === null) break;
      cursor = `&cursor=${body.nextCursor}`;
    }
    expect(walked).toEqual((await rows({ account: owner.id })).map(({ _id }) => _id).reverse());
    const orders = await addKey(api, owner, ['orders']);
    expect((await expectStatus(as(api, { key: orders }).get('/v1/audit-log'), 403)).body.permission).toBe('settings');
  });

  it('records the platform’s administrator in the log of the account, and shows them every log', async () => {
    const admin = as(api, { key: ADMIN_KEY });
    await expectStatus(admin.patch(`/v1/accounts/${owner.id}`, { orderQuota: 5 }), 200);
    const [row] = await logOf(owner, '?actor=platform');
    expect(row).toMatchObject({ action: 'accounts.change', before: { orderQuota: null }, after: { orderQuota: 5 } });
    const { body } = await expectStatus(admin.get(`/v1/accounts/audit-log?account=${owner.id}&limit=1`), 200);
    expect(body.items[0]).toMatchObject({ account: owner.id, action: 'accounts.change' });
    expect(body.items[0].address).toMatch(/127\.0\.0\.1$/);
    await expectStatus(as(api, owner).get('/v1/accounts/audit-log'), 403);
    await expectStatus(as(api, owner).post('/v1/audit-log/verify'), 403);
  });

  it('records nothing of a link that was refused: anybody may try one', async () => {
    const refused = () =>
      expectStatus(api.request.get('/v1/stores/callback/shopee?state=nonsense&code=1&shop_id=1'), 422);
    expect(await during(refused)).toEqual([]);
    expect(await api.database.collection('auditIntents').countDocuments()).toBe(0);
  });

  it('holds no secret and nothing of a person', async () => {
    const before = (await rows()).length;
    await addOrder(api, theirs.distributor, 1);
    await addKey(api, owner, ['orders']);
    expect((await rows()).length).toBeGreaterThan(before);
    const stored = JSON.stringify([
      await rows(),
      await api.database.collection('auditHeads').find().toArray(),
      await api.database.collection('auditIntents').find().toArray(),
    ]);
    const secrets = [owner, theirs.supplier, theirs.distributor].map(({ key }) => key.split('.')[2] ?? key);
    for (const text of [...secrets, ADMIN_KEY, 'Carla', '+60123456789', 'Jalan', 'bo@shop.example', '"Bo"', '"Ann"'])
      expect(stored).not.toContain(text);
    const [applied] = await rows({ action: 'distributor.applications.create', outcome: 'done' });
    expect(JSON.parse(applied?.after ?? '')).toMatchObject({ company: 'Shop Ltd', contactName: '[redacted]' });
    const [invited] = await rows({ action: 'supplier.invitations.create' });
    expect(JSON.parse(invited?.after ?? '')).toMatchObject({ token: '[redacted]' });
  });

  it('takes the address from a header only where a proxy is trusted', async () => {
    const trusting = await startApi({ trustProxy: 1 });
    try {
      const seen = await Promise.all(
        [api, trusting].map(async (one) => {
          const party = await addAccount(one, 'Behind');
          const request = as(one, party).patch('/v1/account', { name: 'x' }).set('X-Forwarded-For', '203.0.113.7');
          await expectStatus(request, 200);
          return (await as(one, party).get('/v1/audit-log')).body.items[0].address as string;
        }),
      );
      expect(seen[0]).toMatch(/127\.0\.0\.1$/);
      expect(seen[1]).toBe('203.0.113.7');
    } finally {
      await trusting.close();
    }
  });

  it('is written before anything is done: where it can not be, nothing is', async () => {
    const { audit } = api.store;
    const begin = audit.begin;
    audit.begin = async () => {
      throw databaseAway();
    };
    try {
      const { body } = await expectStatus(as(api, owner).patch('/v1/skus/A', { name: 'Unseen' }), 503);
      expect(body.code).toBe('unavailable');
    } finally {
      audit.begin = begin;
    }
    expect((await as(api, owner).get('/v1/skus/A')).body.name).toBe('Second');
  });

  it('leaves a row of unknown outcome where the process ended in between', async () => {
    const { audit } = api.store;
    const append = audit.append;
    audit.append = () => Promise.reject(new Error('killed'));
    try {
      await expectStatus(as(api, owner).patch('/v1/skus/A', { name: 'Third' }), 200);
    } finally {
      audit.append = append;
    }
    expect(await audit.takeUp(new Date(Date.now() + 1_000))).toBe(1);
    const [row] = await logOf(owner, '?object=A');
    expect(row).toMatchObject({ outcome: 'unknown', status: null, before: { name: 'Second' }, after: null });
  });

  it('is whole after all this', async () => {
    const { body } = await expectStatus(as(api, { key: ADMIN_KEY }).post('/v1/audit-log/verify'), 200);
    expect(body).toMatchObject({ ok: true, damages: [] });
    await api.database.collection('auditRows').updateOne({ _id: 4 as never }, { $set: { address: '203.0.113.9' } });
    const after = await expectStatus(as(api, { key: ADMIN_KEY }).post('/v1/audit-log/verify'), 200);
    expect(after.body).toMatchObject({ ok: false, damages: [{ kind: 'altered', row: 4 }] });
  });
});
