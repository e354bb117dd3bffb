/** partnership.md, row by row, over HTTP on the running hub: set-up, invitation, application, review, change, termination. */
import { createHash } from 'node:crypto';
import { PLANS } from '../../domain/accounts';
import { PARTNERSHIP_MOVES, PARTNERSHIP_STATUSES, type PartnershipStatus } from '../../domain/partnership';
import { processId } from '../../domain/process-ids';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import {
  type ConnectedStore,
  makeRule,
  makeStore,
  makeSupplier,
  type Supplier,
  shownQuantity,
} from '../support/scenario';
import { serveApi } from '../support/served-api';

const ADMIN_KEY = 'the-admin-key-of-the-tests-only';
const APPLICATION = {
  company: 'Shop Ltd',
  contactName: 'Contact Person',
  phone: '+60 3 1234',
  email: 'contact@shop.example',
  channels: ['shopee', 'lazada'],
  message: 'We would like to sell your goods',
};

let hub: Hub;
let api: Awaited<ReturnType<typeof serveApi>>;
let as: (key: string) => HttpClient;

beforeAll(async () => {
  hub = await startHub({ reminders: { applicationAfterMs: 3_000, setupAfterMs: [4_000, 5_000] } });
  api = await serveApi({ ...hub, checkAnswers: true });
  as = createHttpClient(api.url);
});
afterAll(async () => {
  await api?.close();
  await hub?.stop();
});

async function makeAccount(plan: string, orderQuota?: number) {
  const body = { name: `On ${plan}`, plan, ...(orderQuota === undefined ? {} : { orderQuota }) };
  const { account, apiKey } = await expectReply(as(ADMIN_KEY).post('/accounts', body), 201);
  return { id: account.id as string, key: apiKey.key as string, call: as(apiKey.key) };
}

/** A supplier whose set-up is live and a distributor that is nobody's yet. */
async function makePair(options: { skus?: string[]; onHand?: number } = {}) {
  const supplier = await makeSupplier(hub, { skus: options.skus ?? ['TEE-1'], onHand: options.onHand ?? 100 });
  const distributor = await makeAccount('basic');
  await expectReply(distributor.call.patch('/account', { inventoryEnabled: true }), 200);
  return { supplier: { ...supplier, call: as(supplier.key) }, distributor };
}
type Pair = Awaited<ReturnType<typeof makePair>>;

async function apply({ supplier, distributor }: Pair): Promise<string> {
  const { token } = await expectReply(supplier.call.post('/supplier/invitations'), 201);
  const application = { ...APPLICATION, invitation: token };
  return (await expectReply(distributor.call.post('/distributor/applications', application), 201)).id;
}

const approvalOf = (supplier: Supplier, more: object = {}) => ({
  customer: { name: 'Shop Ltd' },
  settlementCurrency: 'MYR',
  level: null,
  warehouses: [supplier.warehouse],
  creditLimit: { amount: '1000.00', currency: 'MYR' },
  ...more,
});
const approve = ({ supplier }: Pair, id: string, more: object = {}) =>
  supplier.call.post(`/supplier/distributors/${id}/approve`, approvalOf(supplier, more));

async function partner(pair: Pair): Promise<string> {
  const id = await apply(pair);
  await expectReply(approve(pair, id), 200);
  return id;
}

const noticesOf = async (call: HttpClient, event: string) =>
  ((await expectReply(call.get('/notifications'), 200)).items as { event: string; detail: string; document: string }[])
    .filter((notice) => notice.event === event)
    .map(({ detail, document }) => ({ detail, document }));

describe('activating Distribution', () => {
  test.each(PLANS)('on plan %s', async (plan) => {
    const { call } = await makeAccount(plan);
    const off = await call.post('/supplier/activation');
    if (plan !== 'v2' && plan !== 'v3') {
      expect(off).toMatchObject({ status: 403, body: { code: 'plan_too_low', plan, needed: 'v2' } });
      return;
    }
    expect(off).toMatchObject({ status: 409, body: { code: 'inventory_off' } });
    // It says how to turn it on, and that works.
    expect(off.body.detail).toContain('PATCH /v1/account {"inventoryEnabled":true}');
    await expectReply(call.patch('/account', { inventoryEnabled: true }), 200);
    expect(await expectReply(call.post('/supplier/activation'), 200)).toMatchObject({ live: false, done: [] });
    // Again it answers with what there is.
    expect(await expectReply(call.post('/supplier/activation'), 200)).toMatchObject({ live: false, done: [] });
  });

  test('takes the six steps in any order, each checked; live once all are done, and it stays live', async () => {
    const { id, call } = await makeAccount('v2');
    await expectReply(call.patch('/account', { inventoryEnabled: true }), 200);
    expect(await call.get('/supplier/setup')).toMatchObject({ status: 404 });
    await expectReply(call.post('/supplier/activation'), 200);
    const step = (name: string, body: object = {}) => call.put(`/supplier/setup/${name}`, body);
    const fees = (currency: string) => ({
      stockOut: { by: 'package', amount: { amount: '1.20', currency } },
      logistics: { amount: { amount: '6.00', currency } },
      stockInReturn: { by: 'quantity', amount: { amount: '0', currency } },
    });
    await expectReply(step('push-rule'), 200);
    await expectReply(step('bigshop', { name: 'BigShop', contact: 'the office' }), 200);
    expect(await step('bigshop', { name: '' })).toMatchObject({ status: 422, body: { code: 'invalid_input' } });
    expect(await step('no-such-step')).toMatchObject({ status: 404 });
    expect(await step('fees', fees('MYR'))).toMatchObject({
      status: 409,
      body: { code: 'setup_incomplete', missing: ['base-currency'] },
    });
    expect(await step('products')).toMatchObject({ status: 409, body: { code: 'setup_incomplete' } });
    expect(await call.post('/supplier/invitations')).toMatchObject({
      status: 409,
      body: { code: 'setup_incomplete', missing: ['base-currency', 'products', 'pricing', 'fees'] },
    });
    await expectReply(step('base-currency', { currency: 'MYR' }), 200);
    expect(await step('fees', fees('USD'))).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/stockOut/amount/currency' }, { pointer: '/logistics/amount/currency' }, {}] },
    });
    await expectReply(step('fees', fees('MYR')), 200);
    await expectReply(call.post('/skus', { sku: 'MUG', name: 'A mug' }), 201);
    await expectReply(call.post('/supplier/products', { sku: 'MUG' }), 202);
    await expectReply(step('products'), 200);
    expect(await step('pricing')).toMatchObject({ status: 409, body: { code: 'setup_incomplete', skus: ['MUG'] } });
    const price = { sku: 'MUG', basePrice: { amount: '12.50', currency: 'MYR' } };
    await expectReply(call.patch('/supplier/products', { products: [price] }), 200);
    expect(await expectReply(step('pricing'), 200)).toMatchObject({ live: true, missing: [] });
    // The process ends when it is live.
    await eventually(async () =>
      expect(await hub.processes.isRunning(processId('supplier-setup', { supplier: id }))).toBe(false),
    );
    expect(await expectReply(step('bigshop', { name: 'Renamed', contact: 'the office' }), 200)).toMatchObject({
      live: true,
      bigshop: { name: 'Renamed' },
    });
    await expectReply(call.post('/supplier/invitations'), 201);
  });

  test('reminds a supplier who stops half-way, twice, and they go on at any time', async () => {
    const { call } = await makeAccount('v3');
    await expectReply(call.patch('/account', { inventoryEnabled: true }), 200);
    await expectReply(call.post('/supplier/activation'), 200);
    await expectReply(call.put('/supplier/setup/push-rule', {}), 200);
    await eventually(async () => expect(await noticesOf(call, 'setup_unfinished')).toHaveLength(2));
    for (const { detail } of await noticesOf(call, 'setup_unfinished'))
      expect(detail).toBe('still to do: base-currency, products, bigshop, pricing, fees');
    await expectReply(call.put('/supplier/setup/base-currency', { currency: 'IDR' }), 200);
    expect(await expectReply(call.get('/supplier/setup'), 200)).toMatchObject({ done: ['push-rule', 'base-currency'] });
  });
});

describe('an invitation', () => {
  test('is shown once, kept as a hash, valid 30 days, and usable by several applicants', async () => {
    const pair = await makePair();
    const { token, id, expiresAt, createdAt } = await expectReply(
      pair.supplier.call.post('/supplier/invitations'),
      201,
    );
    expect(Buffer.from(token, 'base64url').length * 8).toBeGreaterThanOrEqual(128);
    expect(new Date(expiresAt).getTime() - new Date(createdAt).getTime()).toBe(30 * 86_400_000);
    const { items } = await expectReply(pair.supplier.call.get('/supplier/invitations'), 200);
    expect(JSON.stringify(items)).not.toContain(token);
    const stored = await hub.store.database.models.invitations.findById(id).lean();
    expect(JSON.stringify(stored)).not.toContain(token);
    expect(stored?.tokenHash).toBe(createHash('sha256').update(token).digest('hex'));
    const other = await makeAccount('free');
    for (const applicant of [pair.distributor, other])
      await expectReply(applicant.call.post('/distributor/applications', { ...APPLICATION, invitation: token }), 201);
  });

  test('that is bad, expired or revoked is refused alike', async () => {
    const { supplier, distributor } = await makePair();
    const invite = () => expectReply(supplier.call.post('/supplier/invitations'), 201);
    const [expired, revoked] = [await invite(), await invite()];
    const past = { $set: { expiresAt: new Date(Date.now() - 1) } };
    await hub.store.database.models.invitations.updateOne({ _id: expired.id }, past);
    await expectReply(supplier.call.delete(`/supplier/invitations/${revoked.id}`), 204);
    const answers = await Promise.all(
      ['never-made', expired.token, revoked.token].map(async (invitation) => {
        const { status, body } = await distributor.call.post('/distributor/applications', {
          ...APPLICATION,
          invitation,
        });
        return { status, body };
      }),
    );
    expect(answers[0]).toMatchObject({ status: 422, body: { code: 'invitation_invalid' } });
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    const { items } = await expectReply(supplier.call.get('/supplier/invitations'), 200);
    expect(items.map(({ status }: { status: string }) => status)).toEqual(['revoked', 'expired']);
  });
});

describe('an application', () => {
  test('reaches the supplier with all it says; a second one answers with the first one’s id', async () => {
    const pair = await makePair();
    const id = await apply(pair);
    const { invitation: _, ...said } = { ...APPLICATION, invitation: '' };
    expect(await expectReply(pair.supplier.call.get(`/supplier/distributors/${id}`), 200)).toMatchObject({
      ...said,
      status: 'pending_review',
      distributor: { id: pair.distributor.id },
    });
    expect(await noticesOf(pair.supplier.call, 'application_submitted')).toEqual([
      { detail: 'Shop Ltd', document: id },
    ]);
    const { token } = await expectReply(pair.supplier.call.post('/supplier/invitations'), 201);
    const again = () => pair.distributor.call.post('/distributor/applications', { ...APPLICATION, invitation: token });
    const second = { status: 409, body: { code: 'partnership_exists', partnership: id } };
    expect(await again()).toMatchObject({ ...second, body: { ...second.body, currentStatus: 'pending_review' } });
    await expectReply(approve(pair, id), 200);
    expect(await again()).toMatchObject(second);
    // Personal data is sealed where it lies.
    const stored = JSON.stringify(await hub.store.database.models.partnerships.findById(id).lean());
    for (const text of [said.contactName, said.phone, said.email, said.message]) expect(stored).not.toContain(text);
  });

  test('ten at once are one', async () => {
    const { supplier, distributor } = await makePair();
    const { token } = await expectReply(supplier.call.post('/supplier/invitations'), 201);
    const replies = await Promise.all(
      Array.from({ length: 10 }, () =>
        distributor.call.post('/distributor/applications', { ...APPLICATION, invitation: token }),
      ),
    );
    const [first] = replies.filter(({ status }) => status === 201);
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(1);
    for (const { status, body } of replies.filter((reply) => reply !== first))
      expect([status, body.code, body.partnership]).toEqual([409, 'partnership_exists', first?.body.id]);
  });

  test('to oneself is refused', async () => {
    const { supplier } = await makePair();
    const { token } = await expectReply(supplier.call.post('/supplier/invitations'), 201);
    expect(await supplier.call.post('/distributor/applications', { ...APPLICATION, invitation: token })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/invitation', code: 'own_invitation' }] },
    });
  });

  test('names everything that is wrong with it at once', async () => {
    const { distributor } = await makePair();
    const { status, body } = await distributor.call.post('/distributor/applications', {
      invitation: 'x',
      company: '',
      channels: [],
      email: 'nonsense',
      extra: 1,
    });
    expect(status).toBe(422);
    const pointers = (body.errors as { pointer: string }[]).map(({ pointer }) => pointer);
    expect(pointers).toEqual(expect.arrayContaining(['/company', '/channels', '/email', '/contactName', '/extra']));
  });

  test('that nobody reviews reminds the supplier, and stays', async () => {
    const pair = await makePair();
    const id = await apply(pair);
    await eventually(async () =>
      expect(await noticesOf(pair.supplier.call, 'application_waiting')).toEqual([
        { detail: 'Shop Ltd', document: id },
      ]),
    );
    await expectReply(approve(pair, id), 200);
    expect(await noticesOf(pair.supplier.call, 'application_waiting')).toHaveLength(1);
  });

  test('is withdrawn by the applicant alone, and gone then for both', async () => {
    const pair = await makePair();
    const id = await apply(pair);
    expect(await pair.supplier.call.post(`/distributor/suppliers/${id}/withdraw`)).toMatchObject({ status: 404 });
    expect(await pair.distributor.call.post(`/distributor/suppliers/${id}/withdraw`, {}, 'key-1')).toMatchObject({
      status: 204,
    });
    expect(await pair.supplier.call.get(`/supplier/distributors/${id}`)).toMatchObject({ status: 404 });
    expect(await pair.distributor.call.get(`/distributor/suppliers/${id}`)).toMatchObject({ status: 404 });
    expect(await expectReply(pair.supplier.call.get('/supplier/distributors'), 200)).toMatchObject({ items: [] });
    expect(await approve(pair, id)).toMatchObject({ status: 404 });
    // Nothing is left of what was said.
    expect(hub.store.partnerships.contactOf(await stored(id))).toEqual({});
    expect((await stored(id)).application.company).toBe('');
    await apply(pair);
  });
});

async function stored(id: string) {
  const row = await hub.store.database.models.partnerships.findById(id).lean();
  if (!row) throw new Error(`no partnership ${id}`);
  return row;
}

describe('a review', () => {
  test('needs customer, currency, level and warehouses that are the supplier’s', async () => {
    const pair = await makePair();
    const { supplier, distributor } = pair;
    const id = await apply(pair);
    const path = `/supplier/distributors/${id}/approve`;
    const empty = await supplier.call.post(path, {});
    expect(empty.status).toBe(422);
    expect((empty.body.errors as { pointer: string }[]).map(({ pointer }) => pointer)).toEqual(
      expect.arrayContaining(['/customer', '/settlementCurrency', '/warehouses']),
    );
    expect(await approve(pair, id, { warehouses: [] })).toMatchObject({ status: 422 });
    expect(await approve(pair, id, { warehouses: ['wh_1', supplier.warehouse, 'wh_2'] })).toMatchObject({
      status: 422,
      body: {
        errors: [
          { pointer: '/warehouses/0', code: 'unknown_warehouse' },
          { pointer: '/warehouses/2', code: 'unknown_warehouse' },
        ],
      },
    });
    const foreign = await expectReply(distributor.call.post('/customers', { name: 'Theirs' }), 201);
    expect(await approve(pair, id, { customer: foreign.id })).toMatchObject({ status: 404 });
    expect(await approve(pair, id, { creditLimit: { amount: '1.00', currency: 'USD' } })).toMatchObject({
      status: 422,
      body: { code: 'currency_mismatch' },
    });
    expect(await distributor.call.post(path, approvalOf(supplier))).toMatchObject({ status: 404 });
    const customer = await expectReply(supplier.call.post('/customers', { name: 'Known before' }), 201);
    expect(await expectReply(approve(pair, id, { customer: customer.id }), 200)).toMatchObject({
      status: 'partnered',
      customer: customer.id,
      settlementCurrency: 'MYR',
      warehouses: [supplier.warehouse],
    });
    expect(await noticesOf(distributor.call, 'application_decided')).toEqual([{ detail: 'approved', document: id }]);
    // The customer was linked: it can be renamed, and never deleted.
    await expectReply(supplier.call.patch(`/customers/${customer.id}`, { name: 'Renamed' }), 200);
    expect(await supplier.call.delete(`/customers/${customer.id}`)).toMatchObject({
      status: 409,
      body: { code: 'customer_in_use' },
    });
    const free = await expectReply(supplier.call.post('/customers', { name: 'Never linked' }), 201);
    await expectReply(supplier.call.delete(`/customers/${free.id}`), 204);
  });

  test('by two at once has one winner; everybody else is told the status', async () => {
    for (let round = 0; round < 3; round += 1) {
      const pair = await makePair();
      const id = await apply(pair);
      const reject = () => pair.supplier.call.post(`/supplier/distributors/${id}/reject`, { reason: 'no' });
      const replies = await Promise.all([approve(pair, id), reject(), approve(pair, id), reject()]);
      const winners = replies.filter(({ status }) => status === 200);
      expect(winners).toHaveLength(1);
      const [status] = winners.map(({ body }) => body.status as string);
      for (const reply of replies.filter((one) => !winners.includes(one)))
        expect([reply.status, reply.body.code, reply.body.currentStatus]).toEqual([409, 'invalid_transition', status]);
      expect(await expectReply(pair.supplier.call.get(`/supplier/distributors/${id}`), 200)).toMatchObject({ status });
      const { models } = hub.store.database;
      expect(await models.billingAccounts.countDocuments({ _id: id })).toBe(status === 'partnered' ? 1 : 0);
      expect(await noticesOf(pair.distributor.call, 'application_decided')).toHaveLength(1);
    }
  });

  test('that rejects tells the reason; the rejected one can be deleted, and applied for again before or after', async () => {
    const pair = await makePair();
    const id = await apply(pair);
    const path = `/supplier/distributors/${id}`;
    await expectReply(pair.supplier.call.post(`${path}/reject`, { reason: 'No more partners this year' }), 200);
    expect(await noticesOf(pair.distributor.call, 'application_decided')).toEqual([
      { detail: 'rejected: No more partners this year', document: id },
    ]);
    expect(await expectReply(pair.distributor.call.get(`/distributor/suppliers/${id}`), 200)).toMatchObject({
      status: 'rejected',
      reason: 'No more partners this year',
    });
    const next = await apply(pair);
    expect(next).not.toBe(id);
    expect(await pair.distributor.call.delete(path)).toMatchObject({ status: 404 });
    await expectReply(pair.supplier.call.delete(path), 204);
    expect(await pair.supplier.call.get(path)).toMatchObject({ status: 404 });
    expect(await pair.supplier.call.delete(path)).toMatchObject({ status: 404 });
    await expectReply(approve(pair, next), 200);
  });
});

describe('each status and each move', () => {
  const moves = {
    approve: ({ supplier }: Pair, id: string) =>
      supplier.call.post(`/supplier/distributors/${id}/approve`, approvalOf(supplier)),
    reject: ({ supplier }: Pair, id: string) => supplier.call.post(`/supplier/distributors/${id}/reject`),
    withdraw: ({ distributor }: Pair, id: string) => distributor.call.post(`/distributor/suppliers/${id}/withdraw`),
    changeTerms: ({ supplier }: Pair, id: string) =>
      supplier.call.patch(`/supplier/distributors/${id}`, { notes: 'a note' }),
    terminate: ({ supplier }: Pair, id: string) => supplier.call.post(`/supplier/distributors/${id}/terminate`),
    delete: ({ supplier }: Pair, id: string) => supplier.call.delete(`/supplier/distributors/${id}`),
  };
  const reach: Record<(typeof PARTNERSHIP_STATUSES)[number], (pair: Pair) => Promise<string>> = {
    pending_review: apply,
    partnered: partner,
    async rejected(pair) {
      const id = await apply(pair);
      await expectReply(moves.reject(pair, id), 200);
      return id;
    },
    async terminated(pair) {
      const id = await partner(pair);
      await expectReply(moves.terminate(pair, id), 200);
      return id;
    },
  };

  test.each(PARTNERSHIP_STATUSES)('%s: what the table allows, and 409 with the status for all else', async (status) => {
    for (const [move, make] of Object.entries(moves) as [keyof typeof moves, (typeof moves)['approve']][]) {
      const pair = await makePair();
      const id = await reach[status](pair);
      const reply = await make(pair, id);
      const { from } = PARTNERSHIP_MOVES[move] as { from: PartnershipStatus };
      if (from === status) expect([move, reply.status]).toEqual([move, reply.status === 204 ? 204 : 200]);
      else
        expect([move, reply.status, reply.body.code, reply.body.currentStatus]).toEqual([
          move,
          409,
          'invalid_transition',
          status,
        ]);
    }
  });
});

/** A partnership with goods claimed, shown in a Shopee and a Lazada store. */
async function makeSelling(pair: Pair) {
  const { supplier, distributor } = pair;
  const id = await partner(pair);
  for (const sku of supplier.skus)
    await expectReply(distributor.call.post(`/distributor/suppliers/${id}/claims`, { sku }), 201);
  const [place] = (await expectReply(distributor.call.get('/warehouses'), 200)).items;
  const stores = [
    await makeStore(hub, distributor.id, 'shopee', supplier.skus),
    await makeStore(hub, distributor.id, 'lazada', supplier.skus),
  ];
  await makeRule(
    hub,
    distributor.id,
    [place.id],
    stores.map((store) => store.id),
  );
  await expectReply(
    supplier.call.post('/stock/adjustments', {
      ...{ warehouse: supplier.warehouse, sku: supplier.skus[0], kind: 'stockIn', quantity: 1, reason: 'found' },
    }),
    200,
  );
  return { id, place: place.id as string, stores };
}

const showAll = (stores: readonly ConnectedStore[], quantity: number, sku = 'TEE-1') =>
  eventually(async () => {
    for (const store of stores) expect(await shownQuantity(hub, store, sku)).toBe(quantity);
  });

async function placeOrder({ distributor }: Pair, quantity: number, sku = 'TEE-1') {
  return expectReply(
    distributor.call.post('/orders', {
      number: `order-${Math.random()}`,
      currency: 'MYR',
      shipping: 'platform_logistics',
      recipient: { name: 'A Buyer', phone: '1', address: 'A Street' },
      lines: [{ sku, quantity }],
    }),
    201,
  );
}

describe('a partnership that is changed', () => {
  test('keeps customer and currency; contact and notes are the supplier’s own', async () => {
    const pair = await makePair();
    const id = await partner(pair);
    const path = `/supplier/distributors/${id}`;
    const { customer } = await expectReply(pair.supplier.call.get(path), 200);
    expect(await pair.supplier.call.patch(path, { customer, settlementCurrency: 'USD', level: null })).toMatchObject({
      status: 422,
      body: { code: 'immutable', errors: [{ pointer: '/customer' }, { pointer: '/settlementCurrency' }] },
    });
    expect(await pair.supplier.call.patch(path, {})).toMatchObject({ status: 422 });
    const change = { company: 'As we know them', phone: null, notes: 'pays on time' };
    expect(await expectReply(pair.supplier.call.patch(path, change), 200)).toMatchObject({
      ...change,
      contactName: APPLICATION.contactName,
    });
    await expectReply(pair.supplier.call.patch(path, { email: 'new@shop.example' }), 200);
    expect(await expectReply(pair.supplier.call.get(path), 200)).toMatchObject({
      ...change,
      email: 'new@shop.example',
    });
    expect(await expectReply(pair.distributor.call.get(`/distributor/suppliers/${id}`), 200)).toMatchObject({
      company: APPLICATION.company,
      phone: APPLICATION.phone,
      notes: null,
      customer: null,
    });
    expect(JSON.stringify(await stored(id))).not.toContain('pays on time');
  });

  test('gains a warehouse, pushed in full, and loses one, pushed as 0', async () => {
    const pair = await makePair({ onHand: 10 });
    const { supplier, distributor } = pair;
    const { id, place, stores } = await makeSelling(pair);
    await showAll(stores, 11);
    const { id: second } = await expectReply(supplier.call.post('/warehouses', { name: 'Second' }), 201);
    const stockIn = { warehouse: second, sku: 'TEE-1', kind: 'stockIn', quantity: 7, reason: 'bought' };
    await expectReply(supplier.call.post('/stock/adjustments', stockIn), 200);
    const path = `/supplier/distributors/${id}`;
    await expectReply(supplier.call.patch(path, { warehouses: [supplier.warehouse, second] }), 200);
    const places = (await expectReply(distributor.call.get('/warehouses'), 200)).items as { id: string }[];
    expect(places).toHaveLength(2);
    const added = places.find((one) => one.id !== place)?.id ?? '';
    const levelsIn = async (warehouse: string) =>
      (await expectReply(distributor.call.get(`/stock?sku=TEE-1&warehouse=${warehouse}`), 200)).items[0];
    await eventually(async () => expect(await levelsIn(added)).toMatchObject({ onHand: 7, available: 7 }));
    const rule = (await expectReply(distributor.call.get('/push-rules'), 200)).items[0];
    await expectReply(distributor.call.patch(`/push-rules/${rule.id}`, { warehouses: [place, added] }), 200);
    // A change in the added one is followed from then on.
    await expectReply(supplier.call.post('/stock/adjustments', { ...stockIn, quantity: 1 }), 200);
    await showAll(stores, 19);
    await expectReply(supplier.call.patch(path, { warehouses: [second] }), 200);
    await eventually(async () => expect(await levelsIn(place)).toMatchObject({ onHand: 0 }));
    await showAll(stores, 8);
    expect(await supplier.call.patch(path, { warehouses: [] })).toMatchObject({ status: 422 });
    expect(await supplier.call.patch(path, { warehouses: ['wh_none'] })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/warehouses/0', code: 'unknown_warehouse' }] },
    });
    // Taken back in, it is the same place as before, in full again.
    await expectReply(supplier.call.patch(path, { warehouses: [supplier.warehouse, second] }), 200);
    await showAll(stores, 19);
    expect((await expectReply(distributor.call.get('/warehouses'), 200)).items).toHaveLength(2);
    // An order goes to a warehouse that is given now.
    await expectReply(supplier.call.patch(path, { warehouses: [second] }), 200);
    await eventually(async () => expect(await levelsIn(place)).toMatchObject({ onHand: 0 }));
    const order = await placeOrder(pair, 20);
    expect((await hub.store.orders.package(distributor.id, order.packages[0].id)).supplierWarehouse).toBe(second);
  });

  test('gets another level, and is priced by it from the next order that is synced', async () => {
    const pair = await makePair();
    const { supplier, distributor } = pair;
    const { id } = await makeSelling(pair);
    const before = await placeOrder(pair, 1);
    const rule = { kind: 'percentOfBase', percent: '80' };
    const vip = await expectReply(supplier.call.post('/supplier/levels', { name: 'VIP', rule }), 201);
    await expectReply(supplier.call.patch(`/supplier/distributors/${id}`, { level: vip.id }), 200);
    const shown = async () =>
      (await expectReply(distributor.call.get(`/distributor/suppliers/${id}/products?claimed=true`), 200)).items[0];
    const [old, low] = ['10.00', '8.00'].map((amount) => ({ amount, currency: 'MYR' }));
    expect(await shown()).toMatchObject({ price: old, waitingPrice: low });
    expect((await placeOrder(pair, 1)).packages[0].lines[0].price).toEqual(low);
    expect(await shown()).toMatchObject({ price: low, waitingPrice: null });
    const { packages } = await expectReply(distributor.call.get(`/orders/${before.id}`), 200);
    expect(packages[0].lines[0].price).toEqual(old);
  });

  test('takes an order from the quota of both sides or of neither, and fixes the base currency', async () => {
    const pair = await makePair();
    const { supplier, distributor } = pair;
    await makeSelling(pair);
    const used = async () =>
      Promise.all(
        [supplier, distributor].map(
          async ({ call }) => (await expectReply(call.get('/account'), 200)).ordersThisMonth as number,
        ),
      );
    const limit = (who: { id: string }, orderQuota: number | null) =>
      expectReply(as(ADMIN_KEY).patch(`/accounts/${who.id}`, { orderQuota }), 200);
    const push = async () => {
      const order = await placeOrder(pair, 1);
      return distributor.call.post(`/orders/${order.id}/push`);
    };
    const sides = async () => {
      const { status, body } = await push();
      expect([status, body.code]).toEqual([409, 'push_blocked']);
      return (body.blockers as { code: string; side: string }[]).map(({ code, side }) => [code, side]);
    };
    await expectReply(push(), 202);
    await eventually(async () => expect(await used()).toEqual([1, 1]));
    await limit(supplier, 1);
    expect(await sides()).toEqual([['quota_reached', 'supplier']]);
    await limit(distributor, 1);
    expect((await sides()).sort()).toEqual([
      ['quota_reached', 'distributor'],
      ['quota_reached', 'supplier'],
    ]);
    await limit(supplier, null);
    expect(await sides()).toEqual([['quota_reached', 'distributor']]);
    expect(await used()).toEqual([1, 1]);
    expect(await supplier.call.put('/supplier/setup/base-currency', { currency: 'SGD' })).toMatchObject({
      status: 409,
      body: { code: 'base_currency_fixed' },
    });
  });
});

describe('a termination', () => {
  test.each(['supplier', 'distributor'] as const)(
    'by the %s ends everything at once, and nothing of before',
    async (side) => {
      const pair = await makePair({ onHand: 20 });
      const { supplier, distributor } = pair;
      const { id, stores } = await makeSelling(pair);
      await showAll(stores, 21);
      const before = await placeOrder(pair, 3);
      const recalled = await placeOrder(pair, 2);
      await showAll(stores, 16);
      const path = side === 'supplier' ? `/supplier/distributors/${id}` : `/distributor/suppliers/${id}`;
      const ended = await expectReply(pair[side].call.post(`${path}/terminate`, { reason: 'moving on' }), 200);
      expect(ended).toMatchObject({ status: 'terminated', reason: 'moving on', endedAt: expect.any(String) });
      // Again, it says what it is.
      expect(await pair[side].call.post(`${path}/terminate`)).toMatchObject({
        status: 409,
        body: { code: 'invalid_transition', currentStatus: 'terminated' },
      });
      const claims = await hub.store.database.models.claims.find({ partnership: id }).lean();
      expect(claims).toMatchObject([{ causes: ['not_partnered'], inactiveSince: expect.any(Date) }]);
      expect((await expectReply(supplier.call.get(`/supplier/distributors/${id}/products`), 200)).items).toMatchObject([
        { sku: 'TEE-1', status: 'inactive', causes: ['not_partnered'] },
      ]);
      await showAll(stores, 0);
      for (const { call } of [supplier, distributor])
        expect(await noticesOf(call, 'partnership_terminated')).toEqual([
          { detail: `by the ${side}: moving on`, document: id },
        ]);
      expect(await hub.processes.isRunning(processId('partnership', { partnership: id }))).toBe(false);

      // What was synced before keeps what it was promised, and is pushed.
      const [level] = (await expectReply(distributor.call.get('/stock?sku=TEE-1'), 200)).items;
      expect(level).toMatchObject({ onHand: 0, allocated: 5, available: 0 });
      await pushShipAndRecall(pair, before.id, recalled.id);
      // What comes after does not enter.
      const after = await placeOrder(pair, 1);
      const refused = await distributor.call.post(`/orders/${after.id}/push`);
      expect(refused).toMatchObject({ status: 409, body: { code: 'push_blocked' } });
      expect((refused.body.blockers as { code: string }[]).map(({ code }) => code)).toEqual(
        expect.arrayContaining(['not_partnered', 'sku_inactive']),
      );
      await settleAndReturn(pair, id, stores);
    },
  );

  test('zeroes what no rule covers, what was sold out before, and sets that contain it', async () => {
    const pair = await makePair({ onHand: 0 });
    const { supplier, distributor } = pair;
    const id = await partner(pair);
    await expectReply(distributor.call.post(`/distributor/suppliers/${id}/claims`, { sku: 'TEE-1' }), 201);
    const set = { sku: 'SET', name: 'Two', components: [{ sku: 'TEE-1', quantity: 2 }] };
    await expectReply(distributor.call.post('/skus', set), 201);
    // No rule: both show what the shop itself said when it was connected.
    const shop = await makeStore(hub, distributor.id, 'shopee', ['TEE-1', 'SET']);
    for (const sku of ['TEE-1', 'SET']) expect(await shownQuantity(hub, shop, sku)).toBe(1);
    await expectReply(supplier.call.post(`/supplier/distributors/${id}/terminate`), 200);
    for (const sku of ['TEE-1', 'SET']) await showAll([shop], 0, sku);
  });

  test('of a supplier on too low a plan is the last they can do: they invite nobody', async () => {
    const pair = await makePair();
    const id = await partner(pair);
    await expectReply(as(ADMIN_KEY).patch(`/accounts/${pair.supplier.id}`, { plan: 'v1' }), 200);
    expect(await pair.supplier.call.post('/supplier/invitations')).toMatchObject({
      status: 403,
      body: { code: 'plan_too_low', needed: 'v2' },
    });
    await expectReply(pair.supplier.call.post(`/supplier/distributors/${id}/terminate`), 200);
  });

  /** Both are pushed; one is packed and shipped, the other recalled. */
  async function pushShipAndRecall({ supplier, distributor }: Pair, shipped: string, recalled: string) {
    const reaches = (order: string, status: string) =>
      eventually(async () =>
        expect(await expectReply(distributor.call.get(`/orders/${order}`), 200)).toMatchObject({ status }),
      );
    for (const order of [shipped, recalled]) {
      expect([200, 202]).toContain((await distributor.call.post(`/orders/${order}/push`)).status);
      await reaches(order, 'pushed');
    }
    const { items } = await expectReply(supplier.call.get('/supply-orders?status=new'), 200);
    const { packages } = await expectReply(distributor.call.get(`/orders/${shipped}`), 200);
    const supplyOrder = (items as { id: string }[]).find(({ id }) => id === packages[0].supplyOrder);
    const path = `/supply-orders/${supplyOrder?.id}`;
    await expectReply(supplier.call.post(`${path}/pack`), 200);
    await expectReply(supplier.call.post(`${path}/ready`), 200);
    await expectReply(supplier.call.post(`${path}/ship`, { trackingNumber: 'TRACK-1' }), 200);
    await reaches(shipped, 'shipped');
    expect([200, 202]).toContain((await distributor.call.post(`/orders/${recalled}/recall`)).status);
    await reaches(recalled, 'recalled');
    // What was shipped left the warehouse; what was recalled is there again.
    const [level] = (await expectReply(supplier.call.get('/stock?sku=TEE-1'), 200)).items;
    expect(level).toMatchObject({ onHand: 18, allocated: 0, available: 18 });
  }

  /** The books stay open for the last settlement; then the two may begin anew. */
  async function settleAndReturn(pair: Pair, id: string, stores: readonly ConnectedStore[]) {
    const { supplier, distributor } = pair;
    const billing = `/supplier/distributors/${id}/billing`;
    const { balance } = await expectReply(supplier.call.get(billing), 200);
    expect(balance).toEqual({ amount: '-30.00', currency: 'MYR' });
    const limit = { amount: '5.00', currency: 'MYR' };
    const credit = await expectReply(supplier.call.put(`${billing}/credit`, { limit, periodDays: 7 }), 200);
    expect(credit).toMatchObject({ creditLimit: limit, creditPeriodDays: 7 });
    const { token } = await expectReply(supplier.call.post('/supplier/invitations'), 201);
    const again = () => distributor.call.post('/distributor/applications', { ...APPLICATION, invitation: token });
    expect(await again()).toMatchObject({ status: 409, body: { code: 'balance_open', partnership: id } });
    const amount = (value: string) => ({ amount: { amount: value, currency: 'MYR' }, note: 'settled' });
    await expectReply(supplier.call.post(`${billing}/top-ups`, amount('30.01')), 201);
    expect(await again()).toMatchObject({ status: 409, body: { code: 'balance_open' } });
    await expectReply(supplier.call.post(`${billing}/adjustments`, amount('-0.01')), 201);
    for (const call of [supplier.call, distributor.call]) {
      const side = call === supplier.call ? 'supplier/distributors' : 'distributor/suppliers';
      const { items } = await expectReply(call.get(`/${side}/${id}/reconciliation`), 200);
      // Two pushes, a recall, a top-up and an adjustment.
      expect(items).toHaveLength(5);
    }
    const next = (await expectReply(again(), 201)).id;
    expect(next).not.toBe(id);
    await expectReply(approve(pair, next), 200);
    expect(await expectReply(supplier.call.get(`/supplier/distributors/${next}/billing`), 200)).toMatchObject({
      balance: { amount: '0.00' },
    });
    // The old claims stay as they are; they claim anew, and the same listings sell again.
    const claim = await expectReply(
      distributor.call.post(`/distributor/suppliers/${next}/claims`, { sku: 'TEE-1' }),
      201,
    );
    expect(claim).toMatchObject({ status: 'active' });
    expect(await hub.store.database.models.claims.findById(`${id}/TEE-1`).lean()).toMatchObject({
      causes: ['not_partnered'],
    });
    const places = (await expectReply(distributor.call.get('/warehouses'), 200)).items as {
      id: string;
      partnership: string;
    }[];
    const rule = (await expectReply(distributor.call.get('/push-rules'), 200)).items[0];
    const warehouses = places.filter(({ partnership }) => partnership === next).map((place) => place.id);
    await expectReply(distributor.call.patch(`/push-rules/${rule.id}`, { warehouses }), 200);
    const found = { warehouse: supplier.warehouse, sku: 'TEE-1', kind: 'stockIn', quantity: 1, reason: 'found' };
    await expectReply(supplier.call.post('/stock/adjustments', found), 200);
    await showAll(stores, 19);
  }
});
