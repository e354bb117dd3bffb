/** Returns, and goods of cancelled supply orders that are stocked in again, over HTTP. */
import type supertest from 'supertest';
import { findDocumentProblems } from '../support/invariants';
import { type Api, as, expectStatus, FEES, newKey, type Partnership, partnered, startApi } from './harness';

let api: Api;
let parties: Partnership;
let elsewhere: string;
beforeAll(async () => {
  api = await startApi();
  parties = await partnered(api);
  elsewhere = (await expectStatus(bySupplier().post('/v1/warehouses', { name: 'Returns' }), 201)).body.id;
});
afterAll(() => api.close());
afterEach(async () => {
  while ((await api.store.mirror.pass(parties.id)).more);
  expect(await findDocumentProblems(api.store)).toEqual([]);
});

const bySupplier = () => as(api, parties.supplier);
const byDistributor = () => as(api, parties.distributor);
const myr = (amount: string) => ({ amount, currency: 'MYR' });
const balanceNow = async () => Number((await api.store.billing.account(null, parties.id)).balance);
const stockNow = async (warehouse = parties.warehouse) =>
  (await expectStatus(bySupplier().get(`/v1/stock?sku=SKU-1&warehouse=${warehouse}`), 200)).body.items[0];
const refusalOf = (response: supertest.Response) => [response.status, response.body.code];
const recordsOf = async (document: string) =>
  (await api.store.database.models.records.find({ document }).sort({ type: 1 }).lean()).map(
    ({ type, amount, lines }) => [type, amount, lines.map(({ kind, quantity }) => [kind, quantity])],
  );

/** The fee that returns cost whose orders are pushed from now on. */
const chargeReturns = (by: 'package' | 'quantity', amount: string) =>
  expectStatus(bySupplier().put('/v1/supplier/fees', { ...FEES, stockInReturn: { by, amount: myr(amount) } }), 200);

/** An order of two lines of SKU-1, 3 and 2 units at 12.50, pushed and moved on. */
async function supplied(...moves: string[]) {
  const lines = [3, 2].map((quantity) => ({ sku: 'SKU-1', quantity }));
  const body = { number: newKey(), currency: 'MYR', shipping: 'platform_logistics', lines };
  const order = (await expectStatus(byDistributor().post('/v1/orders', body), 201)).body;
  const pkg = order.packages[0].id as string;
  await expectStatus(byDistributor().post(`/v1/orders/${order.id}/push`), 202);
  const pushed = await api.store.orders.push(pkg, 1);
  if (pushed.outcome !== 'pushed') throw new Error(pushed.outcome);
  for (const move of moves)
    await expectStatus(
      bySupplier().post(
        `/v1/supply-orders/${pushed.supplyOrder}/${move}`,
        move === 'ship' ? { trackingNumber: 'T-1' } : undefined,
      ),
      200,
    );
  return { order: order.id as string, pkg, supplyOrder: pushed.supplyOrder };
}
const SHIPPED = ['pack', 'ready', 'ship'];
const giveBack = (id: string, body: object) => bySupplier().post(`/v1/supply-orders/${id}/returns`, body);
const one = (line: string, quantity: number) => ({ line, quantity });

describe('a return', () => {
  test('gives back what is refunded, takes the goods in and charges for it, on both sides', async () => {
    await chargeReturns('quantity', '0.75');
    const { order, pkg, supplyOrder } = await supplied(...SHIPPED);
    // What is changed later counts for later pushes.
    await chargeReturns('package', '9.00');
    const before = { balance: await balanceNow(), stock: await stockNow() };
    const asked = { lines: [one('1', 2), one('2', 1)], refund: myr('30.00'), note: 'too small' };
    const { body } = await expectStatus(giveBack(supplyOrder, asked), 201);
    const lines = [one('1', 2), one('2', 1)];
    expect(body).toMatchObject({ supplyOrder, package: pkg, lines, refund: myr('30.00'), charge: myr('2.25') });
    expect(await balanceNow()).toBe(before.balance + 3_000 - 225);
    expect(await recordsOf(body.id)).toEqual([
      ['return_charge', -225, [['stock_in_return_charge', 3]]],
      [
        'return_refund',
        3_000,
        [
          ['goods', 2],
          ['goods', 1],
        ],
      ],
    ]);
    expect(await stockNow()).toMatchObject({
      onHand: before.stock.onHand + 3,
      available: before.stock.available + 3,
      allocated: before.stock.allocated,
    });
    const entry = await api.store.database.models.stockJournal.findOne({ document: body.id }).lean();
    expect(entry).toMatchObject({ kind: 'stockIn', reason: 'order returned' });
    const returned = { lines, refunded: myr('30.00'), charged: myr('2.25') };
    const supplyOrderNow = (await bySupplier().get(`/v1/supply-orders/${supplyOrder}`)).body;
    expect(supplyOrderNow).toMatchObject({ status: 'shipped', returned });
    expect((await byDistributor().get(`/v1/orders/${order}`)).body.packages[0]).toMatchObject({ returned });
    // The distributor sees the return, but not where it lies.
    expect(body.warehouse).toBe(parties.warehouse);
    expect((await bySupplier().get(`/v1/supply-orders/${supplyOrder}/returns`)).body.items).toEqual([body]);
    expect((await byDistributor().get(`/v1/orders/${order}/returns`)).body.items).toEqual([
      { ...body, warehouse: null },
    ]);
    const notices = (await byDistributor().get('/v1/notifications?limit=200')).body.items.filter(
      (row: { event: string; document: string }) => row.event === 'order_returned' && row.document === pkg,
    );
    expect(notices).toMatchObject([{ detail: '3 units came back; 30.00 MYR are refunded' }]);
    const woken = api.processes.asked.filter(({ what }) => what === 'wakeLanes').at(-1);
    expect(woken?.input).toContain(`mirror-lane/${parties.id}`);
    // The statement of the partnership has both.
    const { items } = (await byDistributor().get(`/v1/distributor/suppliers/${parties.id}/reconciliation`)).body;
    expect(
      items
        .slice(0, 2)
        .map(({ type }: { type: string }) => type)
        .sort(),
    ).toEqual(['return_charge', 'return_refund']);
  });

  test('is never of more than was shipped and not yet returned, nor gives back more than was charged for it', async () => {
    await chargeReturns('package', '1.00');
    const { supplyOrder } = await supplied(...SHIPPED, 'complete');
    const balance = await balanceNow();
    const tooMany = await giveBack(supplyOrder, { lines: [one('1', 4), one('2', 3)], refund: myr('0') });
    expect(refusalOf(tooMany)).toEqual([422, 'return_exceeds_shipped']);
    expect(tooMany.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/lines/0/quantity',
      '/lines/1/quantity',
    ]);
    const tooMuch = await giveBack(supplyOrder, { lines: [one('1', 2)], refund: myr('25.01') });
    expect([...refusalOf(tooMuch), tooMuch.body.most]).toEqual([422, 'refund_exceeds_charge', myr('25.00')]);
    expect(tooMuch.body.errors).toMatchObject([{ pointer: '/refund/amount', code: 'too_large' }]);
    for (const [body, code] of [
      [{ lines: [one('9', 1)], refund: myr('0') }, 'invalid_input'],
      [{ lines: [one('1', 1), one('1', 1)], refund: myr('0') }, 'invalid_input'],
      [{ lines: [], refund: myr('0') }, 'invalid_input'],
      [{ lines: [one('1', 1)] }, 'invalid_input'],
      [{ lines: [one('1', 1)], refund: myr('-1.00') }, 'invalid_input'],
      [{ lines: [one('1', 1)], refund: { amount: '1.00', currency: 'SGD' } }, 'currency_mismatch'],
    ] as const)
      expect(refusalOf(await giveBack(supplyOrder, body))).toEqual([422, code]);
    // All that is wrong at once, under the code of the first.
    for (const [body, code, places] of [
      [
        { lines: [one('1', 4)], refund: myr('50.01') },
        'return_exceeds_shipped',
        ['/lines/0/quantity', '/refund/amount'],
      ],
      [
        { lines: [one('1', 4), one('9', 1)], refund: { amount: '1.00', currency: 'SGD' } },
        'invalid_input',
        ['/lines/0/quantity', '/lines/1/line', '/refund/currency'],
      ],
    ] as const) {
      const wrong = await giveBack(supplyOrder, body);
      expect(refusalOf(wrong)).toEqual([422, code]);
      expect(wrong.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(places);
    }
    expect(await balanceNow()).toBe(balance);

    await expectStatus(giveBack(supplyOrder, { lines: [one('1', 2)], refund: myr('25.00') }), 201);
    // One is left of the line, and its price.
    expect(refusalOf(await giveBack(supplyOrder, { lines: [one('1', 2)], refund: myr('0') }))).toEqual([
      422,
      'return_exceeds_shipped',
    ]);
    const second = await expectStatus(
      giveBack(supplyOrder, { lines: [one('1', 1)], refund: myr('12.50'), warehouse: elsewhere }),
      201,
    );
    expect(second.body).toMatchObject({ charge: myr('1.00'), warehouse: elsewhere });
    expect(await stockNow(elsewhere)).toMatchObject({ onHand: 1 });
    // Goods that are thrown away are refunded, and nothing is charged for taking them in.
    const third = await expectStatus(
      giveBack(supplyOrder, { lines: [one('2', 2)], refund: myr('5.00'), stockIn: false }),
      201,
    );
    expect(third.body).toMatchObject({ charge: myr('0.00'), warehouse: null });
    expect(await balanceNow()).toBe(balance + 2_500 + 1_250 + 500 - 200);
    const none = await giveBack(supplyOrder, { lines: [one('2', 1)], refund: myr('0') });
    expect(refusalOf(none)).toEqual([422, 'return_exceeds_shipped']);
  });

  test.each([
    ['new', []],
    ['to_pickup', ['pack', 'ready']],
  ])('of what is %s and was not shipped is refused', async (status, moves) => {
    const { supplyOrder } = await supplied(...moves);
    const answer = await giveBack(supplyOrder, { lines: [one('1', 1)], refund: myr('0') });
    expect([...refusalOf(answer), answer.body.currentStatus]).toEqual([422, 'return_exceeds_shipped', status]);
  });

  test('sent twice is one; ten at once for one unit are one', async () => {
    const { supplyOrder } = await supplied(...SHIPPED);
    const [before, stock] = [await balanceNow(), await stockNow()];
    const key = newKey();
    const send = () =>
      giveBack(supplyOrder, { lines: [one('2', 2)], refund: myr('10.00') }).set('Idempotency-Key', key);
    const first = await expectStatus(send(), 201);
    expect((await send()).body).toEqual(first.body);
    // The first try died after the commit: its repeat finds what it did.
    const input = { command: 'cmd_01jd0000000000000000000000', lines: [one('1', 1)] };
    const again = {
      ...input,
      refund: { amount: 500, currency: 'MYR' as const },
      stockIn: true,
      warehouse: null,
      note: null,
    };
    const made = await api.store.returns.takeIn(parties.supplier.id, supplyOrder, again);
    expect((await api.store.returns.takeIn(parties.supplier.id, supplyOrder, again)).row).toEqual(made.row);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => giveBack(supplyOrder, { lines: [one('1', 2)], refund: myr('20.00') })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ body }) => body.code === 'return_exceeds_shipped')).toHaveLength(9);
    const charges = await api.store.database.models.records
      .find({ type: 'return_charge', document: made.row._id })
      .lean();
    expect(charges).toHaveLength(1);
    expect(await balanceNow()).toBe(before + 1_000 + 500 + 2_000 - 300);
    expect((await stockNow()).onHand).toBe(stock.onHand + 5);
  });

  test('wants a key, the supplier, and a warehouse of their own', async () => {
    const { supplyOrder } = await supplied(...SHIPPED);
    const body = { lines: [one('1', 1)], refund: myr('0') };
    const path = `/v1/supply-orders/${supplyOrder}/returns`;
    const bare = api.request.post(path).set('Authorization', `Bearer ${parties.supplier.key}`).send(body);
    expect(refusalOf(await bare)).toEqual([400, 'idempotency_key_required']);
    expect(refusalOf(await byDistributor().post(path, body))).toEqual([404, 'not_found']);
    const theirs = (await byDistributor().get('/v1/warehouses')).body.items[0].id;
    expect(refusalOf(await giveBack(supplyOrder, { ...body, warehouse: theirs }))).toEqual([404, 'not_found']);
  });
});

describe('goods of a cancelled supply order', () => {
  /** Recalled once it was packed. */
  async function recalled(...moves: string[]) {
    const made = await supplied(...moves);
    const recall = await byDistributor().post(`/v1/orders/${made.order}/recall`);
    if (moves.length > 0) {
      expect(recall.status).toBe(202);
      await expectStatus(bySupplier().post(`/v1/supply-orders/${made.supplyOrder}/recall/confirm`), 200);
    }
    return made;
  }
  const stockIn = (id: string, body: object = {}) => bySupplier().post(`/v1/supply-orders/${id}/stock-in`, body);

  test('are stocked in where they came from, each unit once', async () => {
    const { pkg, supplyOrder } = await recalled('pack');
    const before = await stockNow();
    const first = await expectStatus(stockIn(supplyOrder, { lines: [one('1', 2)] }), 200);
    expect(first.body).toMatchObject({ status: 'cancelled', stockedIn: [one('1', 2)] });
    expect(refusalOf(await stockIn(supplyOrder, { lines: [one('1', 2)] }))).toEqual([422, 'stock_in_exceeds_order']);
    const rest = await expectStatus(stockIn(supplyOrder), 200);
    expect(rest.body.stockedIn).toEqual([one('1', 3), one('2', 2)]);
    expect(refusalOf(await stockIn(supplyOrder))).toEqual([422, 'stock_in_exceeds_order']);
    // The recall had released them where they came from: they are not there twice.
    expect(await stockNow()).toEqual(before);
    const entries = await api.store.database.models.stockJournal
      .find({ document: pkg, reason: 'recalled goods stocked in' })
      .lean();
    expect(entries.map(({ kind, warehouse }) => [kind, warehouse])).toEqual([
      ['stockIn', parties.warehouse],
      ['stockIn', parties.warehouse],
    ]);
  });

  test('are stocked in elsewhere, which moves them there', async () => {
    const { supplyOrder } = await recalled('pack', 'ready');
    const [from, to] = [await stockNow(), await stockNow(elsewhere)];
    await expectStatus(stockIn(supplyOrder, { warehouse: elsewhere }), 200);
    expect((await stockNow()).available).toBe(from.available - 5);
    expect((await stockNow(elsewhere)).available).toBe(to.available + 5);
  });

  test('are none where it was cancelled unpacked, or is not cancelled', async () => {
    const { supplyOrder } = await recalled();
    expect(refusalOf(await stockIn(supplyOrder))).toEqual([422, 'stock_in_exceeds_order']);
    const shipped = await supplied(...SHIPPED);
    const answer = await stockIn(shipped.supplyOrder);
    expect([...refusalOf(answer), answer.body.currentStatus]).toEqual([409, 'invalid_transition', 'shipped']);
    expect(refusalOf(await byDistributor().post(`/v1/supply-orders/${supplyOrder}/stock-in`))).toEqual([
      404,
      'not_found',
    ]);
  });
});

test('after a termination returns go on', async () => {
  const { supplyOrder } = await supplied(...SHIPPED);
  const balance = await balanceNow();
  const { supplier, id } = parties;
  await expectStatus(as(api, supplier).post(`/v1/supplier/distributors/${id}/terminate`), 200);
  await expectStatus(giveBack(supplyOrder, { lines: [one('1', 3)], refund: myr('37.50') }), 201);
  expect(await balanceNow()).toBe(balance + 3_750 - 100);
});
