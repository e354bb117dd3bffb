/**
 * Statements and the summary over HTTP. The month is the one of docs/billing.md: the figures there were added up by hand,
 * and stand here as they stand there.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readXlsx } from '../../connectors/files/xlsx';
import { type Api, as, expectStatus, FEES, newKey, type Partnership, partner, partnered, startApi } from './harness';

let api: Api;
let parties: Partnership;
let clock = new Date('2026-10-31T12:00:00Z');
const at = (time: string) => {
  clock = new Date(time);
};
const myr = (amount: string) => ({ amount, currency: 'MYR' });
const supplier = () => as(api, parties.supplier);
const distributor = () => as(api, parties.distributor);

beforeAll(async () => {
  api = await startApi({ now: () => clock });
  parties = await partnered(api);
  const fees = { ...FEES, stockInReturn: { by: 'package', amount: myr('0.80') } };
  await expectStatus(supplier().put('/v1/supplier/fees', fees), 200);
  const rates = [{ from: 'SGD', to: 'MYR', rate: '3.4' }];
  await expectStatus(supplier().put('/v1/exchange-rates', { rates }), 200);
  await playTheMonth();
});
afterAll(() => api.close());

const book = (path: string, amount: { amount: string; currency: string }, note = 'by hand') =>
  expectStatus(supplier().post(`/v1/supplier/distributors/${parties.id}/billing/${path}`, { amount, note }), 201);

async function pushed(quantity: number) {
  const body = {
    ...{ number: newKey(), currency: 'MYR', shipping: 'platform_logistics' },
    lines: [{ sku: 'SKU-1', quantity }],
  };
  const order = (await expectStatus(distributor().post('/v1/orders', body), 201)).body;
  await expectStatus(distributor().post(`/v1/orders/${order.id}/push`), 202);
  const outcome = await api.store.orders.push(order.packages[0].id, 1);
  if (outcome.outcome !== 'pushed') throw new Error(JSON.stringify(outcome));
  return { order: order.id as string, supplyOrder: outcome.supplyOrder };
}

async function playTheMonth() {
  at('2026-10-31T23:59:59.999Z');
  await book('top-ups', myr('100.00'));
  at('2026-11-01T00:00:00.000Z');
  await book('top-ups', myr('200.00'));
  at('2026-11-03T09:00:00Z');
  const first = await pushed(3);
  at('2026-11-05T09:00:00Z');
  const second = await pushed(2);
  at('2026-11-06T09:00:00Z');
  await expectStatus(distributor().post(`/v1/orders/${second.order}/recall`), 200);
  at('2026-11-10T09:00:00Z');
  await book('top-ups', { amount: '50.00', currency: 'SGD' });
  at('2026-11-12T09:00:00Z');
  await book('adjustments', myr('-5.55'));
  at('2026-11-20T09:00:00Z');
  for (const [move, input] of [['pack'], ['ready'], ['ship', { trackingNumber: 'T' }]] as const)
    await expectStatus(supplier().post(`/v1/supply-orders/${first.supplyOrder}/${move}`, input), 200);
  const goods = { lines: [{ line: '1', quantity: 1 }], refund: myr('12.50') };
  await expectStatus(supplier().post(`/v1/supply-orders/${first.supplyOrder}/returns`, goods), 201);
  at('2026-11-30T23:59:59.999Z');
  await book('manual-entries', myr('-10.00'));
  at('2026-12-01T00:00:00.000Z');
  await book('top-ups', myr('1.00'));
  at('2026-12-02T00:00:00Z');
}

const MONTH = 'from=2026-11-01&to=2026-12-01';
const TOTALS: readonly (readonly [string, number, string])[] = [
  ['adjustment', 1, '-5.55'],
  ['manual_entry', 1, '-10.00'],
  ['order_push', 2, '-64.90'],
  ['order_recall', 1, '26.20'],
  ['return_charge', 1, '-0.80'],
  ['return_refund', 1, '12.50'],
  ['top_up', 2, '370.00'],
];
const opposite = (amount: string) =>
  amount.startsWith('-') ? amount.slice(1) : amount === '0.00' ? amount : `-${amount}`;

const statementOf = async (side: 'supplier' | 'distributor', query = MONTH) => {
  const path = side === 'supplier' ? '/v1/supplier/distributors' : '/v1/distributor/suppliers';
  const by = side === 'supplier' ? supplier() : distributor();
  return (await expectStatus(by.get(`${path}/${parties.id}/reconciliation?${query}`), 200)).body;
};

describe('a month’s statement', () => {
  it('adds up to the cent, as in docs/billing.md, and is the opposite on the other side', async () => {
    const theirs = await statementOf('distributor');
    expect(theirs.statement).toEqual({
      from: '2026-11-01T00:00:00.000Z',
      to: '2026-12-01T00:00:00.000Z',
      opening: myr('100.00'),
      totals: TOTALS.map(([type, count, amount]) => ({ type, count, amount: myr(amount) })),
      closing: myr('427.45'),
      count: 9,
      final: true,
    });
    const document = readFileSync(join(__dirname, '../../docs/billing.md'), 'utf8');
    for (const [type, , amount] of TOTALS)
      expect(document).toMatch(new RegExp(`\\| \`${type}\` \\| \\d+ \\| ${amount.replace('-', '−')} \\|`));
    for (const item of theirs.items)
      expect(document).toContain(`| ${item.settlementAmount.amount.replace('-', '−')} | ${item.balanceAfter.amount} |`);
    expect(theirs.items.map((item: { balanceAfter: object }) => item.balanceAfter)).toEqual(
      ['300.00', '261.30', '235.10', '261.30', '431.30', '425.75', '438.25', '437.45', '427.45'].map(myr),
    );
    const ours = await statementOf('supplier');
    expect([ours.statement.opening, ours.statement.closing]).toEqual([myr('-100.00'), myr('-427.45')]);
    for (const [index, item] of ours.items.entries()) {
      const other = theirs.items[index];
      expect(item).toMatchObject({ id: other.id, lines: other.lines, number: other.number });
      expect(item.settlementAmount.amount).toBe(opposite(other.settlementAmount.amount));
      expect(item.amount.amount).toBe(opposite(other.amount.amount));
    }
  });

  it('shows what was given in another currency with the rate and where it came from', async () => {
    const { items } = await statementOf('distributor');
    expect(items.find(({ rate }: { rate: unknown }) => rate !== null)).toMatchObject({
      amount: { amount: '50.00', currency: 'SGD' },
      settlementAmount: myr('170.00'),
      rate: { from: 'SGD', value: '3.4', source: 'fixed', fetchedAt: null },
    });
  });

  it('leaves nothing out and nothing twice between one period and the next, page by page', async () => {
    const periods = ['to=2026-11-01', 'from=2026-11-01&to=2026-11-06', 'from=2026-11-06T17:00:00%2B08:00', ''];
    const ids: string[] = [];
    let closing = '0.00';
    for (const period of periods.slice(0, 3)) {
      let cursor = '';
      do {
        const page = await statementOf('distributor', `${period}&limit=2${cursor}`);
        expect(page.statement.opening.amount).toBe(closing);
        ids.push(...page.items.map(({ id }: { id: string }) => id));
        cursor = page.nextCursor === null ? '' : `&cursor=${page.nextCursor}`;
        if (cursor === '') closing = page.statement.closing.amount;
      } while (cursor !== '');
    }
    const all = await statementOf('distributor', 'limit=200');
    expect(all.statement).toBeNull();
    expect(ids).toEqual(all.items.map(({ id }: { id: string }) => id).reverse());
    expect(closing).toBe(all.billing.balance.amount);
    expect(closing).toBe('428.45');
    // Into a period that goes on something may still be booked; one in which nothing was closes as it opened.
    expect((await statementOf('distributor', 'from=2026-12-01&to=2026-12-03')).statement.final).toBe(false);
    const quiet = await statementOf('distributor', 'from=2026-11-13&to=2026-11-14');
    expect(quiet).toMatchObject({ items: [], nextCursor: null });
    expect(quiet.statement).toMatchObject({ opening: myr('425.75'), totals: [], closing: myr('425.75'), count: 0 });
    await expectStatus(
      supplier().get(`/v1/supplier/distributors/${parties.id}/reconciliation?from=2026-12-01&to=2026-11-01`),
      422,
    );
  });

  it('comes as CSV and as XLSX with the same rows', async () => {
    const path = (side: string) => `/v1/${side}/${parties.id}/reconciliation/export?${MONTH}`;
    const csv = await expectStatus(distributor().get(path('distributor/suppliers')), 200);
    const [header = '', ...rows] = csv.text
      .replace(/^\uFEFF/, '')
      .trim()
      .split(/\r?\n/);
    const column = (name: string) => header.split(',').indexOf(name);
    const cells = rows.map((row) => row.split(','));
    const of = (kind: string) => cells.filter((row) => row[column('row')] === kind);
    expect(of('opening').map((row) => row[column('settlementAmount')])).toEqual(['100.00']);
    expect(of('closing').map((row) => row[column('settlementAmount')])).toEqual(['427.45']);
    expect(of('record').map((row) => row[column('balanceAfter')])).toHaveLength(9);
    expect(of('record').map((row) => row[column('settlementAmount')])).toContain('-38.70');
    const totals = of('total').map((row) => [
      row[column('type')],
      Number(row[column('quantity')]),
      row[column('settlementAmount')],
    ]);
    expect(totals).toEqual(TOTALS);
    expect(of('line').filter((row) => row[column('line')] === 'goods')).toHaveLength(4);
    const given = of('record').find((row) => row[column('currency')] === 'SGD') ?? [];
    expect(['amount', 'rate', 'rateFrom', 'rateSource', 'settlementAmount'].map((name) => given[column(name)])).toEqual(
      ['50.00', '3.4', 'SGD', 'fixed', '170.00'],
    );

    const xlsx = await expectStatus(
      distributor()
        .get(`${path('distributor/suppliers')}&format=xlsx`)
        .responseType('blob'),
      200,
    );
    const bytes = xlsx.body as Buffer;
    const source = {
      size: bytes.length,
      async *stream(from: number, to: number) {
        yield bytes.subarray(from, to);
      },
    };
    const read: string[][] = [];
    for await (const row of readXlsx(source, null)) read.push([...row.cells]);
    const padded = (row: string[]) => [...row, ...Array(header.split(',').length - row.length).fill('')].join(',');
    expect(read.map(padded)).toEqual([header, ...rows]);
    const ours = await expectStatus(supplier().get(path('supplier/distributors')), 200);
    expect(ours.text).toContain(',-427.45,MYR');
  });
});

describe('the summary of a supplier', () => {
  it('converts what distributors of other currencies owe, with each rate, and adds it up', async () => {
    const live = { ...parties.supplier, warehouse: parties.warehouse };
    const other = await partner(api, live, { settlementCurrency: 'SGD' });
    const third = await partner(api, live, { settlementCurrency: 'THB' });
    const adjust = (id: string, amount: object) =>
      expectStatus(supplier().post(`/v1/supplier/distributors/${id}/billing/adjustments`, { amount, note: 'n' }), 201);
    await adjust(other.id, { amount: '-100.01', currency: 'SGD' });
    // A partnership that ended is settled, seen by both and summed up as before.
    await expectStatus(supplier().post(`/v1/supplier/distributors/${third.id}/terminate`), 200);
    await adjust(third.id, { amount: '7.00', currency: 'THB' });
    const { body } = await expectStatus(supplier().get('/v1/supplier/billing/summary'), 200);
    expect(body).toMatchObject({
      baseCurrency: 'MYR',
      currencies: [
        { currency: 'MYR', closing: myr('-428.45'), rate: null, inBase: { closing: myr('-428.45') } },
        {
          currency: 'SGD',
          closing: { amount: '100.01', currency: 'SGD' },
          owed: { amount: '100.01', currency: 'SGD' },
          rate: { from: 'SGD', value: '3.4', source: 'fixed' },
          // 100.01 × 3.4 = 340.034
          inBase: { closing: myr('340.03'), owed: myr('340.03'), prepaid: myr('0.00') },
        },
        { currency: 'THB', closing: { amount: '-7.00', currency: 'THB' }, rate: null, inBase: null },
      ],
      total: { opening: myr('0.00'), closing: myr('-88.42'), prepaid: myr('428.45'), owed: myr('340.03') },
      missingRates: ['THB'],
    });
    expect(body.items).toHaveLength(3);
    const ended = `/v1/distributor/suppliers/${third.id}/reconciliation`;
    const theirs = (await expectStatus(as(api, third.distributor).get(`${ended}?from=2026-01-01`), 200)).body;
    const seven = { amount: '7.00', currency: 'THB' };
    expect([theirs.billing.balance, theirs.statement.closing, theirs.items[0].amount]).toEqual([seven, seven, seven]);
    expect((await expectStatus(as(api, third.distributor).get(`${ended}/export`), 200)).text).toContain(',7.00,THB');
    await api.store.rates.keep([{ from: 'THB', to: 'MYR', rate: '0.125' }]);
    const then = (await expectStatus(supplier().get('/v1/supplier/billing/summary?from=2026-11-01&limit=1'), 200)).body;
    expect(then.currencies[2]).toMatchObject({ rate: { source: 'live' }, inBase: { closing: myr('-0.88') } });
    expect(then.currencies[0]).toMatchObject({ opening: myr('-100.00'), closing: myr('-428.45') });
    expect([then.missingRates, then.items.length, typeof then.nextCursor]).toEqual([[], 1, 'string']);
    await expectStatus(distributor().get('/v1/supplier/billing/summary'), 404);
  });
});

describe('a distributor', () => {
  it('can book nothing and set no credit: 403', async () => {
    const path = `/v1/supplier/distributors/${parties.id}/billing`;
    for (const kind of ['top-ups', 'adjustments', 'manual-entries'])
      expect((await distributor().post(`${path}/${kind}`, { amount: myr('1.00'), note: 'mine' })).status).toBe(403);
    const credit = { limit: myr('1.00'), periodDays: null, lowBalance: myr('-5.00') };
    expect((await distributor().put(`${path}/credit`, credit)).status).toBe(403);
    const set = await expectStatus(supplier().put(`${path}/credit`, { ...credit, periodDays: 10 }), 200);
    expect(set.body).toMatchObject({ lowBalance: myr('-5.00'), creditDueAt: null, creditExpired: false });
    await book('adjustments', myr('-429.45'));
    expect((await expectStatus(supplier().get(path), 200)).body).toMatchObject({
      usedCredit: myr('1.00'),
      creditSince: clock.toISOString(),
      creditDueAt: '2026-12-12T00:00:00.000Z',
      creditExpired: false,
    });
    at('2026-12-12T00:00:00Z');
    expect((await expectStatus(supplier().get(path), 200)).body.creditExpired).toBe(true);
  });
});
