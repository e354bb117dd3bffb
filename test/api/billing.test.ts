/** The page's sentences about accounts, credit and records that no other test here holds. Contract: billing.md. */
import { newId } from '../../domain/ids';
import {
  addAccount,
  addOrder,
  apply,
  as,
  expectStatus,
  FEES,
  myr,
  newKey,
  type Partnership,
  partner,
  partnered,
  sharedApi,
} from './harness';

const DAY_MS = 86_400_000;
let clock = new Date('2026-11-01T00:00:00Z');
const api = sharedApi({ now: () => clock });

let parties: Partnership;
beforeAll(async () => {
  parties = await partnered(api);
});

const supplier = () => as(api, parties.supplier);
const path = (id = parties.id) => `/v1/supplier/distributors/${id}/billing`;
const setCredit = (limit: string, periodDays: number | null = null, lowBalance = '0.00') =>
  expectStatus(supplier().put(`${path()}/credit`, { limit: myr(limit), periodDays, lowBalance: myr(lowBalance) }), 200);
const topUp = (amount: string) => expectStatus(supplier().post(`${path()}/top-ups`, { amount: myr(amount) }), 201);
const account = async () => (await expectStatus(supplier().get(path()), 200)).body;
const recordsOf = async (of = parties, query = 'limit=200') => {
  const call = as(api, of.distributor).get(`/v1/distributor/suppliers/${of.id}/reconciliation?${query}`);
  return (await expectStatus(call, 200)).body;
};

/** Begun over HTTP. @returns what its workflow is to do; null where it was refused at once */
async function begun(of: Partnership, quantity: number, turn?: string): Promise<(() => Promise<string>) | null> {
  const order = await addOrder(api, of.distributor, quantity);
  const answer = await as(api, of.distributor).post(`/v1/orders/${order.id}/push`);
  if (answer.status !== 202) return null;
  const [{ id }] = order.packages;
  return async () => (await api.store.orders.push(id, 1, turn)).outcome;
}

async function told(event: string, of = parties): Promise<number[]> {
  const both = [of.distributor, of.supplier].map(async (party) => {
    const { body } = await expectStatus(as(api, party).get('/v1/notifications?limit=200'), 200);
    return body.items.filter(
      (one: { event: string; document: string }) => one.event === event && one.document === of.id,
    ).length;
  });
  return Promise.all(both);
}

/** What a proof of the books finds; lanes and listings are no part of these tests. */
async function discrepanciesOf({ supplier: { id } }: Partnership) {
  const { verification } = api.store;
  const mode = { repair: false, dryRun: false };
  const { _id } = await verification.add(id, newId('command'), mode, { unlisted: true });
  for (const check of ['accounts', 'packages', 'shipments', 'stock'] as const)
    await verification.run(_id, check, () => {}, (() => null) as never);
  return (await verification.discrepancies(_id, { limit: 10, after: null })).items;
}

describe('a balance for 10', () => {
  // In the other tests 100 go through their workflows; here many meet over HTTP.
  const CROWD = process.env.LONG === '1' ? 100 : 24;

  it(`lets exactly 10 of ${CROWD} pushes at once through`, async () => {
    const of = await partnered(api);
    const billing = path(of.id);
    await expectStatus(as(api, of.supplier).put(`${billing}/credit`, { limit: myr('0.00'), periodDays: null }), 200);
    // 10 × (12.50 + 1.20), and a cent too little for one more.
    await expectStatus(as(api, of.supplier).post(`${billing}/top-ups`, { amount: myr('150.69') }), 201);
    // Most take turns, as within one worker; some come from elsewhere, and meet their conflicts.
    const turnOf = (index: number) => (index % 12 === 0 ? undefined : of.supplier.id);
    const pushes = await Promise.all(Array.from({ length: CROWD }, (_, index) => begun(of, 1, turnOf(index))));
    // Each saw enough for itself; only the transactions decide.
    const outcomes = await Promise.all(pushes.map((push) => push?.()));
    expect(outcomes.filter((one) => one === 'pushed')).toHaveLength(10);
    expect(outcomes.filter((one) => one === 'refused')).toHaveLength(CROWD - 10);
    const { billing: now, items } = await recordsOf(of);
    expect([now.balance, now.usedCredit]).toEqual([myr('13.69'), myr('0.00')]);
    expect(items.map(({ balanceAfter }: { balanceAfter: { amount: string } }) => balanceAfter.amount)).toEqual([
      ...Array.from({ length: 10 }, (_, index) => (13.69 + 13.7 * index).toFixed(2)),
      '150.69',
    ]);
    const { body } = await expectStatus(as(api, of.supplier).get('/v1/supply-orders?limit=200'), 200);
    expect(body.items).toHaveLength(10);
  });
});

describe('credit', () => {
  it('comes after the balance; its period ends told to both, once, and blocks nothing', async () => {
    await setCredit('100.00', 30);
    await topUp('10.00');
    expect(await account()).toMatchObject({ usedCredit: myr('0.00'), creditSince: null, creditDueAt: null });
    const since = clock;
    await (await begun(parties, 1))?.();
    const dueAt = new Date(since.getTime() + 30 * DAY_MS);
    const used = { balance: myr('-3.70'), usedCredit: myr('3.70'), unusedCredit: myr('96.30') };
    const period = { creditSince: since.toISOString(), creditDueAt: dueAt.toISOString(), creditExpired: false };
    expect(await account()).toMatchObject({ ...used, ...period });
    clock = new Date(dueAt.getTime() - 1);
    expect(await api.store.billing.endedCreditPeriods(clock, 10)).toEqual([]);
    clock = dueAt;
    // What the sweep does, two at once.
    expect(await api.store.billing.endedCreditPeriods(clock, 10)).toEqual([parties.id]);
    await Promise.all([1, 2].map(() => api.store.billing.tellCreditPeriod(parties.id)));
    expect(await told('credit_period_expired')).toEqual([1, 1]);
    expect(await account()).toMatchObject({ ...used, ...period, creditExpired: true });
    expect(await (await begun(parties, 1))?.()).toBe('pushed');
    await topUp('17.40');
    expect(await account()).toMatchObject({ balance: myr('0.00'), creditSince: null, creditDueAt: null });
  });

  it('that is used up refuses the push alone; a balance that falls below its threshold is told to both', async () => {
    await setCredit('13.69', null, '-5.00');
    expect(await begun(parties, 1)).toBeNull();
    const note = { amount: myr('-20.00'), note: 'by hand' };
    const before = await told('balance_low');
    for (const kind of ['adjustments', 'manual-entries'])
      await expectStatus(supplier().post(`${path()}/${kind}`, note), 201);
    expect(await account()).toMatchObject({
      balance: myr('-40.00'),
      usedCredit: myr('40.00'),
      unusedCredit: myr('0.00'),
    });
    expect(await told('balance_low')).toEqual(before.map((count) => count + 1));
  });
});

describe('a record', () => {
  it('shows on each line by which rate it came from the base currency, and where that came from', async () => {
    const live = { ...parties.supplier, warehouse: parties.warehouse };
    const of = await partner(api, live, { settlementCurrency: 'SGD' });
    await expectStatus(supplier().put('/v1/supplier/fees', FEES), 200);
    const rates = (list: object[]) => expectStatus(supplier().put('/v1/exchange-rates', { rates: list }), 200);
    await rates([{ from: 'MYR', to: 'SGD', rate: '0.3' }]);
    const claims = `/v1/distributor/suppliers/${of.id}/claims`;
    await expectStatus(as(api, of.distributor).post(claims, { sku: 'SKU-1' }), 201);
    await (await begun(of, 2))?.();
    await rates([]);
    await api.store.rates.keep([{ from: 'MYR', to: 'SGD', rate: '0.32' }]);
    await (await begun(of, 2))?.();
    const { items } = await recordsOf(of, 'from=2026-01-01');
    const sgd = (amount: string) => ({ amount, currency: 'SGD' });
    const fixed = { from: 'MYR', value: '0.3', source: 'fixed', fetchedAt: null };
    const fetched = { from: 'MYR', value: '0.32', source: 'live', fetchedAt: expect.stringMatching(/^20/) };
    // 12.50 × 0.3 = 3.75, 1.20 × 0.3 = 0.36; 12.50 × 0.32 = 4.00, 1.20 × 0.32 = 0.384
    expect(items).toMatchObject([
      {
        settlementAmount: sgd('-7.86'),
        lines: [
          { kind: 'goods', quantity: 2, unit: sgd('3.75'), amount: sgd('7.50'), rate: fixed },
          { kind: 'stock_out_charge', unit: sgd('0.36'), amount: sgd('0.36'), rate: fixed },
        ],
      },
      {
        settlementAmount: sgd('-8.38'),
        lines: [
          { kind: 'goods', quantity: 2, unit: sgd('4.00'), amount: sgd('8.00'), rate: fetched },
          { kind: 'stock_out_charge', unit: sgd('0.38'), amount: sgd('0.38'), rate: fetched },
        ],
      },
    ]);
    const file = `/v1/distributor/suppliers/${of.id}/reconciliation/export?from=2026-01-01`;
    const [header = '', ...rows] = (await expectStatus(as(api, of.distributor).get(file), 200)).text.split(/\r?\n/);
    const columns = ['rate', 'rateFrom', 'rateSource'].map((name) => header.split(',').indexOf(name));
    const shown = rows.flatMap((row) => (/(^|,)line,/.test(row) ? [columns.map((at) => row.split(',')[at])] : []));
    expect(shown).toEqual(
      ['0.3 fixed', '0.3 fixed', '0.32 live', '0.32 live'].map((one) => [one.split(' ')[0], 'MYR', one.split(' ')[1]]),
    );
  });

  it('is changed and removed by no route', async () => {
    const { body: document } = await expectStatus(api.request.get('/openapi.json'), 200);
    const changing = Object.entries(document.paths as Record<string, object>).flatMap(([route, methods]) =>
      /billing|reconciliation/.test(route)
        ? Object.keys(methods).flatMap((method) => (method === 'get' ? [] : `${method} ${route}`))
        : [],
    );
    const ofPartnership = '/v1/supplier/distributors/{id}/billing';
    expect(changing.sort()).toEqual(
      [
        ...['adjustments', 'manual-entries', 'top-ups'].map((kind) => `post ${ofPartnership}/${kind}`),
        ...[`put ${ofPartnership}/credit`, 'post /v1/billing/verify'],
      ].sort(),
    );
    const { items } = await recordsOf();
    const record = encodeURIComponent(items[0].id);
    for (const place of ['reconciliation', `reconciliation/${record}`, `billing/records/${record}`])
      for (const method of ['put', 'patch', 'delete'] as const) {
        const { status } = await supplier()[method](`/v1/supplier/distributors/${parties.id}/${place}`, {});
        expect([404, 405]).toContain(status);
      }
    expect((await recordsOf()).items).toEqual(items);
  });

  it('sent twice under one key is one, and answers as the first did', async () => {
    const key = newKey();
    const send = (amount: string) =>
      supplier()
        .post(`${path()}/adjustments`, { amount: myr(amount), note: 'n' })
        .set('Idempotency-Key', key);
    const { items } = await recordsOf();
    const first = (await expectStatus(send('1.00'), 201)).body;
    expect((await expectStatus(send('1.00'), 201)).body).toEqual(first);
    expect((await expectStatus(send('1.01'), 422)).body.code).toBe('idempotency_key_reused');
    expect((await recordsOf()).items).toHaveLength(items.length + 1);
  });
});

describe('an account', () => {
  let of: Partnership;
  beforeAll(async () => {
    of = await partnered(api);
  });
  const by = (party: 'supplier' | 'distributor') => as(api, of[party]);
  const book = (kind: string, amount: object, note = 'by hand') =>
    by('supplier').post(`${path(of.id)}/${kind}`, { amount, note });
  const amountIn = (amount: string, currency: string) => ({ amount, currency });
  const setRates = (rates: object[]) => expectStatus(by('supplier').put('/v1/exchange-rates', { rates }), 200);

  it('names everything that is wrong with a request at once', async () => {
    const wrong = async (call: ReturnType<ReturnType<typeof as>['get']>) => {
      const { body } = await expectStatus(call, 422);
      return [body.code, body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()];
    };
    const credit = (body: object) => by('supplier').put(`${path(of.id)}/credit`, body);
    const bad = { limit: myr('-1.00'), periodDays: 0, lowBalance: myr('1.234'), extra: 1 };
    expect(await wrong(credit(bad))).toEqual([
      'invalid_input',
      ['/extra', '/limit/amount', '/lowBalance/amount', '/periodDays'],
    ]);
    const usd = amountIn('1.00', 'USD');
    expect(await wrong(credit({ limit: usd, periodDays: null, lowBalance: usd }))).toEqual([
      'currency_mismatch',
      ['/limit/currency', '/lowBalance/currency'],
    ]);
    for (const kind of ['adjustments', 'manual-entries'])
      expect(await wrong(book(kind, myr('0.00'), ' '))).toEqual(['invalid_input', ['/amount/amount', '/note']]);
    const query = 'from=yesterday&to=2026-02-30&odd=1';
    const pointers = ['/query/from', '/query/odd', '/query/to'];
    const statement = `/v1/supplier/distributors/${of.id}/reconciliation`;
    for (const place of [`${statement}?limit=0&`, '/v1/supplier/billing/summary?limit=0&'])
      expect(await wrong(by('supplier').get(place + query))).toEqual([
        'invalid_input',
        [...pointers, '/query/limit'].sort(),
      ]);
    expect(await wrong(by('supplier').get(`${statement}/export?format=pdf&${query}`))).toEqual([
      'invalid_input',
      [...pointers, '/query/format'].sort(),
    ]);
  });

  it('converts to the smallest unit, half away from zero, either way; what comes to nothing is refused', async () => {
    await setRates([
      { from: 'SGD', to: 'MYR', rate: '0.5' },
      { from: 'USD', to: 'MYR', rate: '0.4' },
      { from: 'VND', to: 'MYR', rate: '0.0002' },
      { from: 'MYR', to: 'VND', rate: '5432.1' },
    ]);
    const booked = async (kind: string, amount: object, to = of.id) => {
      const call = by('supplier').post(`${path(to)}/${kind}`, { amount, note: 'n' });
      return (await expectStatus(call, 201)).body.settlementAmount;
    };
    // A top-up is of either sign, too.
    expect(await booked('top-ups', amountIn('0.01', 'SGD'))).toEqual(myr('0.01'));
    expect(await booked('top-ups', amountIn('-0.01', 'SGD'))).toEqual(myr('-0.01'));
    expect(await booked('adjustments', amountIn('-0.03', 'SGD'))).toEqual(myr('-0.02'));
    expect(await booked('manual-entries', amountIn('150', 'VND'))).toEqual(myr('0.03'));
    const nothing = await expectStatus(book('top-ups', amountIn('0.01', 'USD')), 422);
    expect(nothing.body.errors).toMatchObject([{ pointer: '/amount', code: 'too_small' }]);
    const tooFine = await expectStatus(book('top-ups', amountIn('10.5', 'VND')), 422);
    expect(tooFine.body.errors).toMatchObject([{ pointer: '/amount/amount', code: 'too_many_decimals' }]);
    const inVnd = await partner(api, { ...of.supplier, warehouse: of.warehouse }, { settlementCurrency: 'VND' });
    // 12.50 × 5432.1 = 67901.25
    expect(await booked('top-ups', myr('12.50'), inVnd.id)).toEqual(amountIn('67901', 'VND'));
    const { billing, items } = await recordsOf(inVnd);
    expect([billing.balance, items[0].amount, items[0].settlementAmount]).toEqual([
      amountIn('67901', 'VND'),
      myr('12.50'),
      amountIn('67901', 'VND'),
    ]);
    expect(await booked('adjustments', myr('-0.01'))).toEqual(myr('-0.01'));
    expect((await recordsOf(of)).billing.balance).toEqual(myr('0.00'));
  });

  it('books what costs nothing, and its recall, and the books hold', async () => {
    const { balance } = (await recordsOf(of)).billing;
    const nothing = myr('0.00');
    const fees = { stockOut: { by: 'package', amount: nothing }, logistics: { amount: nothing } };
    await expectStatus(by('supplier').put('/v1/supplier/fees', { ...FEES, ...fees }), 200);
    await expectStatus(
      by('supplier').put('/v1/supplier/sku-prices', { prices: [{ sku: 'SKU-1', price: nothing }] }),
      200,
    );
    const order = await addOrder(api, of.distributor, 2);
    await expectStatus(by('distributor').post(`/v1/orders/${order.id}/push`), 202);
    expect((await api.store.orders.push(order.packages[0].id, 1)).outcome).toBe('pushed');
    await expectStatus(by('distributor').post(`/v1/orders/${order.id}/recall`), 200);
    for (const side of ['supplier/distributors', 'distributor/suppliers']) {
      const call = by(side === 'supplier/distributors' ? 'supplier' : 'distributor');
      const { body } = await expectStatus(call.get(`/v1/${side}/${of.id}/reconciliation?limit=2`), 200);
      expect(body.items).toMatchObject([
        { type: 'order_recall', amount: nothing, package: order.packages[0].id, lines: [{ amount: nothing }] },
        { type: 'order_push', amount: nothing, settlementAmount: nothing, lines: [{ kind: 'goods', quantity: 2 }] },
      ]);
    }
    expect((await recordsOf(of)).billing.balance).toEqual(balance);
    expect(await discrepanciesOf(of)).toEqual([]);
    await expectStatus(by('supplier').put('/v1/supplier/fees', FEES), 200);
    await expectStatus(by('supplier').delete('/v1/supplier/sku-prices?sku=SKU-1'), 204);
  });

  it('whose credit was paid back after its period ended, before anybody looked, tells both of it, once', async () => {
    const credit = { limit: myr('100.00'), periodDays: 3 };
    await expectStatus(by('supplier').put(`${path(of.id)}/credit`, credit), 200);
    expect(await (await begun(of, 1))?.()).toBe('pushed');
    const { creditDueAt, usedCredit } = (await expectStatus(by('supplier').get(path(of.id)), 200)).body;
    clock = new Date(Date.parse(creditDueAt) + 1);
    await expectStatus(book('top-ups', usedCredit, '=1+1, "paid"\nlate'), 201);
    expect(await told('credit_period_expired', of)).toEqual([1, 1]);
    expect(await api.store.billing.endedCreditPeriods(clock, 10)).not.toContain(of.id);
    // Paid back in time, it is told to nobody.
    expect(await (await begun(of, 1))?.()).toBe('pushed');
    await expectStatus(book('top-ups', usedCredit), 201);
    clock = new Date(clock.getTime() + 10 * DAY_MS);
    await expectStatus(book('top-ups', usedCredit), 201);
    expect(await told('credit_period_expired', of)).toEqual([1, 1]);
    // A note is no formula, and a cell of its own.
    const file = `/v1/distributor/suppliers/${of.id}/reconciliation/export`;
    const { text } = await expectStatus(by('distributor').get(file), 200);
    expect(text).toContain(',"\'=1+1, ""paid""\nlate"');
  });

  it('is there from the approval on; before it there is nothing to see and nothing to book', async () => {
    const stranger = await addAccount(api, 'Applicant', 'basic');
    const id = await apply(api, of.supplier, stranger);
    for (const [side, party] of [
      ['supplier/distributors', of.supplier],
      ['distributor/suppliers', stranger],
    ] as const)
      for (const query of ['', '?from=2026-11-01']) {
        const { body } = await expectStatus(as(api, party).get(`/v1/${side}/${id}/reconciliation${query}`), 200);
        expect(body).toEqual({ items: [], nextCursor: null, billing: null, statement: null });
      }
    const amount = { amount: myr('1.00'), note: 'n' };
    await expectStatus(by('supplier').post(`${path(id)}/top-ups`, amount), 404);
    await expectStatus(by('supplier').put(`${path(id)}/credit`, { limit: myr('1.00'), periodDays: null }), 404);
    await expectStatus(as(api, stranger).post(`${path(id)}/top-ups`, amount), 403);
  });
});
