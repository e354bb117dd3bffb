/** Each move of a supply order and each row of the recall's table, over HTTP. The workflow's steps are made by hand here. */
import type supertest from 'supertest';
import { SUPPLY_ORDER_STATUSES } from '../../domain/supply-orders';
import { findDocumentProblems } from '../support/invariants';
import {
  type Api,
  addOrder,
  addStore,
  as,
  expectStatus,
  newKey,
  type Partnership,
  partnered,
  startApi,
} from './harness';

const ANSWER_MS = 60_000;

let api: Api;
let parties: Partnership;
beforeAll(async () => {
  api = await startApi();
  parties = await partnered(api);
});
afterAll(() => api.close());
afterEach(async () => {
  while ((await api.store.mirror.pass(parties.id)).more);
  expect(await findDocumentProblems(api.store)).toEqual([]);
});

const bySupplier = () => as(api, parties.supplier);
const byDistributor = () => as(api, parties.distributor);
const anOrder = () => addOrder(api, parties.distributor, 2);
const orderNow = async (id: string) => (await expectStatus(byDistributor().get(`/v1/orders/${id}`), 200)).body;
const supplyOrderNow = async (id: string) =>
  (await expectStatus(bySupplier().get(`/v1/supply-orders/${id}`), 200)).body;
const stockNow = async () =>
  (await expectStatus(bySupplier().get(`/v1/stock?sku=SKU-1&warehouse=${parties.warehouse}`), 200)).body.items[0];
const balanceNow = async () => Number((await api.store.billing.account(null, parties.id)).balance);
const recordsOf = async (pkg: string) =>
  (await api.store.database.models.records.find({ package: pkg }).sort({ at: 1 }).lean()).map(({ type, amount }) => [
    type,
    amount,
  ]);
const notices = async (party: { key: string }, event: string, document: string) =>
  (await expectStatus(as(api, party).get('/v1/notifications?limit=200'), 200)).body.items.filter(
    (row: { event: string; document: string }) => row.event === event && row.document === document,
  );
const refusalOf = (response: supertest.Response) => [response.status, response.body.code];

const STEPS = ['pack', 'ready', 'ship', 'complete'] as const;
const bodyOf = (move: string) => (move === 'ship' ? { carrier: 'PosLaju', trackingNumber: 'TRACK-1' } : undefined);
const move = (id: string, what: string) => bySupplier().post(`/v1/supply-orders/${id}/${what}`, bodyOf(what));
const recall = (order: string, body?: object) => byDistributor().post(`/v1/orders/${order}/recall`, body);

/** An order pushed, and its supply order moved until it is in this status. */
async function pushed(status: (typeof SUPPLY_ORDER_STATUSES)[number] = 'new') {
  const order = await anOrder();
  const pkg = order.packages[0].id as string;
  await expectStatus(byDistributor().post(`/v1/orders/${order.id}/push`), 202);
  const outcome = await api.store.orders.push(pkg, 1);
  if (outcome.outcome !== 'pushed') throw new Error(outcome.outcome);
  const supplyOrder = outcome.supplyOrder;
  if (status === 'cancelled') await expectStatus(recall(order.id), 200);
  const reached = SUPPLY_ORDER_STATUSES.indexOf(status);
  if (status !== 'cancelled')
    for (const what of STEPS.slice(0, reached)) await expectStatus(move(supplyOrder, what), 200);
  return { order: order.id as string, pkg, supplyOrder };
}

/** What the workflow of a recall does, from its start or until it waits. */
const advance = (pkg: string, attempt = 1) => api.store.orders.advanceRecall(pkg, attempt, { answerMs: ANSWER_MS });

describe('the moves of a supply order', () => {
  const ALLOWED: Record<string, string> = {
    'new pack': 'packed',
    'packed ready': 'to_pickup',
    'to_pickup ship': 'shipped',
    'shipped complete': 'completed',
  };

  test.each(SUPPLY_ORDER_STATUSES)('from %s', async (status) => {
    const { order, supplyOrder } = await pushed(status);
    const allowed = STEPS.filter((what) => ALLOWED[`${status} ${what}`] !== undefined);
    for (const what of STEPS) {
      if (allowed.includes(what)) continue;
      const answer = await move(supplyOrder, what);
      expect([...refusalOf(answer), answer.body.currentStatus]).toEqual([409, 'invalid_transition', status]);
    }
    expect((await supplyOrderNow(supplyOrder)).status).toBe(status);
    for (const what of allowed) {
      const to = ALLOWED[`${status} ${what}`];
      expect((await expectStatus(move(supplyOrder, what), 200)).body.status).toBe(to);
      // Each move is mirrored to the distributor's order.
      expect(await orderNow(order)).toMatchObject({ status: to, packages: [{ status: to }] });
    }
  });

  test('shipping turns allocated into gone, once, with the journal saying so', async () => {
    const { order, pkg, supplyOrder } = await pushed('to_pickup');
    const before = await stockNow();
    const key = newKey();
    const ship = () =>
      bySupplier().post(`/v1/supply-orders/${supplyOrder}/ship`, bodyOf('ship')).set('Idempotency-Key', key);
    const [first, second] = [await ship(), await ship()];
    expect(first.status).toBe(200);
    expect(second.body).toEqual(first.body);
    expect(await stockNow()).toMatchObject({
      onHand: before.onHand - 2,
      allocated: before.allocated - 2,
      available: before.available,
    });
    const entries = await api.store.database.models.stockJournal.find({ document: pkg, kind: 'ship' }).lean();
    expect(entries).toMatchObject([{ reason: 'order shipped', sku: 'SKU-1' }]);
    const shipment = { carrier: 'PosLaju', trackingNumber: 'TRACK-1', platform: 'none', operation: null };
    expect(first.body.shipment).toMatchObject(shipment);
    expect((await orderNow(order)).packages[0].shipment).toMatchObject(shipment);
  });

  test('a move whose answer was lost is answered as the first was', async () => {
    const { supplyOrder } = await pushed();
    const first = await api.store.orders.moveSupplyOrder(parties.supplier.id, supplyOrder, 'pack', {
      command: 'cmd_1',
    });
    const again = await api.store.orders.moveSupplyOrder(parties.supplier.id, supplyOrder, 'pack', {
      command: 'cmd_1',
    });
    expect(again).toEqual(first);
  });

  test('of an order of a platform’s store is told there by an operation that both see', async () => {
    const store = await addStore(api, parties.distributor, '7001');
    const lines = [{ sku: 'SKU-1', quantity: 1 }];
    const body = { number: newKey(), store, currency: 'MYR', shipping: 'self_arranged', lines };
    const order = (await expectStatus(byDistributor().post('/v1/orders', body), 201)).body;
    const pkg = order.packages[0].id;
    await expectStatus(byDistributor().post(`/v1/orders/${order.id}/push`), 202);
    await api.store.orders.push(pkg, 1);
    const { supplyOrder } = (await orderNow(order.id)).packages[0];
    for (const what of ['pack', 'ready']) await expectStatus(move(supplyOrder, what), 200);
    const operation = `supply-order.${pkg}`;
    const shipped = await expectStatus(move(supplyOrder, 'ship'), 200);
    expect(shipped.body.shipment).toMatchObject({ platform: 'due', operation });
    const input = { account: parties.distributor.id, package: pkg };
    expect(api.processes.asked).toContainEqual({ what: 'startSupplyOrder', input });
    for (const side of [bySupplier(), byDistributor()])
      expect((await expectStatus(side.get(`/v1/operations/${operation}`), 200)).body).toMatchObject({
        kind: 'shipment_notice',
        status: 'running',
      });
    await api.store.orders.shipments.shipmentTold(pkg, true);
    expect((await orderNow(order.id)).packages[0].shipment).toMatchObject({ platform: 'told' });
    expect((await expectStatus(byDistributor().get(`/v1/operations/${operation}`), 200)).body.status).toBe('done');
    await expectStatus(move(supplyOrder, 'complete'), 200);
  });

  test('wants a key for the command, a tracking number, and the supplier', async () => {
    const { supplyOrder } = await pushed('to_pickup');
    const path = `/v1/supply-orders/${supplyOrder}/ship`;
    const bare = api.request.post(path).set('Authorization', `Bearer ${parties.supplier.key}`).send(bodyOf('ship'));
    expect(refusalOf(await bare)).toEqual([400, 'idempotency_key_required']);
    expect(refusalOf(await bySupplier().post(path, { carrier: 'X' }))).toEqual([422, 'invalid_input']);
    for (const what of [...STEPS, 'recall/confirm', 'recall/refuse'])
      expect(refusalOf(await byDistributor().post(`/v1/supply-orders/${supplyOrder}/${what}`, bodyOf(what)))).toEqual([
        404,
        'not_found',
      ]);
  });
});

describe('the recipient', () => {
  test.each([
    ['self_arranged', true],
    ['platform_logistics', false],
  ] as const)(
    'of an order that ships %s is the one its order tells of, until it is shipped',
    async (shipping, readable) => {
      const number = newKey();
      const told = async (recipient: { name: string; phone: string; address: string }) => {
        const body = { number, currency: 'MYR', shipping, recipient, lines: [{ sku: 'SKU-1', quantity: 1 }] };
        return (await byDistributor().post('/v1/orders', body)).body;
      };
      const shown = (recipient: { name: string; phone: string; address: string }) => {
        const hidden = (text: string) => `${text[0]}***`;
        const { name, phone, address } = recipient;
        return readable ? recipient : { name: hidden(name), phone: hidden(phone), address: hidden(address) };
      };
      const first = { name: 'Aminah', phone: '+60 1', address: '1 Jalan Ampang' };
      const second = { name: 'Badrul', phone: '+65 2', address: '2 Jalan Tun Razak' };
      const order = await told(first);
      const pkg = order.packages[0].id as string;
      await expectStatus(byDistributor().post(`/v1/orders/${order.id}/push`), 202);
      // The order tells of another one before the attempt was made.
      const meanwhile = { ...first, address: '9 Jalan Ampang' };
      await told(meanwhile);
      await api.store.orders.push(pkg, 1);
      const { supplyOrder } = (await orderNow(order.id)).packages[0];
      expect((await supplyOrderNow(supplyOrder)).recipient).toEqual(shown(meanwhile));
      await expectStatus(move(supplyOrder, 'pack'), 200);
      await told(second);
      expect((await supplyOrderNow(supplyOrder)).recipient).toEqual(shown(second));
      // What is masked later replaces nothing.
      await told({ ...second, name: 'B***' });
      expect((await supplyOrderNow(supplyOrder)).recipient).toEqual(shown(second));
      for (const what of ['ready', 'ship']) await expectStatus(move(supplyOrder, what), 200);
      await told(first);
      expect((await supplyOrderNow(supplyOrder)).recipient).toEqual(shown(second));
      expect((await orderNow(order.id)).recipient).toEqual(first);
    },
  );
});

describe('a recall', () => {
  test('of a new supply order succeeds at once and gives back exactly what was charged', async () => {
    const before = { balance: await balanceNow(), stock: await stockNow() };
    const { order, pkg, supplyOrder } = await pushed();
    const charged = before.balance - (await balanceNow());
    expect(charged).toBe(2_620);
    const key = newKey();
    const answer = await expectStatus(recall(order).set('Idempotency-Key', key), 200);
    expect(answer.body).toMatchObject({
      operation: { kind: 'order_recall', status: 'done', result: { supplyOrder, refund: `recall/${pkg}/1` } },
      operations: [{ id: answer.body.operation.id }],
      refused: [],
    });
    expect(await balanceNow()).toBe(before.balance);
    expect(await recordsOf(pkg)).toEqual([
      ['order_push', -charged],
      ['order_recall', charged],
    ]);
    const { available, allocated, onHand } = before.stock;
    expect(await stockNow()).toMatchObject({ available, allocated, onHand });
    expect((await supplyOrderNow(supplyOrder)).status).toBe('cancelled');
    expect(await orderNow(order)).toMatchObject({
      status: 'recalled',
      packages: [
        { status: 'recalled', recall: { attempt: 1, status: 'recalled', operation: answer.body.operation.id } },
      ],
    });
    // The supplier's available rose: who mirrors it is told.
    const woken = api.processes.asked.filter(({ what }) => what === 'wakeLanes').at(-1);
    expect(woken?.input).toContain(`mirror-lane/${parties.id}`);
    expect(await notices(parties.distributor, 'recall_confirmed', pkg)).toHaveLength(1);
    expect(await notices(parties.supplier, 'recall_confirmed', supplyOrder)).toHaveLength(1);
    // Again, with the same key and with another.
    expect((await recall(order).set('Idempotency-Key', key)).body).toEqual(answer.body);
    expect(refusalOf(await recall(order))).toEqual([409, 'recall_not_possible']);
    expect(refusalOf(await byDistributor().post(`/v1/orders/${order}/push`))).toEqual([409, 'not_pushable']);
    expect(await recordsOf(pkg)).toHaveLength(2);
  });

  test('does not give the order quota back', async () => {
    const used = async () => (await api.store.accounts.quota(parties.supplier.id)).used;
    const before = await used();
    await pushed('cancelled');
    expect(await used()).toBe(before + 1);
  });

  test.each(['packed', 'to_pickup'] as const)('of one that is %s asks the supplier, who confirms', async (status) => {
    const { order, pkg, supplyOrder } = await pushed(status);
    const answer = await expectStatus(recall(order), 202);
    expect(answer.body.operation).toMatchObject({ kind: 'order_recall', status: 'running' });
    expect(answer.headers.location).toBe(`/v1/operations/order-recall.${pkg}.1`);
    expect(api.processes.asked).toContainEqual({
      what: 'startOrderRecall',
      input: { account: parties.distributor.id, package: pkg, attempt: 1 },
    });
    expect(await orderNow(order)).toMatchObject({ status: 'recalling', packages: [{ recall: { status: 'asked' } }] });
    expect(await notices(parties.supplier, 'recall_asked', supplyOrder)).toHaveLength(1);
    // The workflow finds it asked, and waits.
    expect(await advance(pkg)).toMatchObject({ next: 'answer' });
    const asked = await supplyOrderNow(supplyOrder);
    expect(asked).toMatchObject({ status, recall: { status: 'asked', attempt: 1 } });
    const givenMs = Date.parse(asked.recall.answerBy) - Date.parse(asked.recall.askedAt);
    expect(givenMs).toBeGreaterThanOrEqual(ANSWER_MS);
    expect(givenMs).toBeLessThan(ANSWER_MS + 5_000);

    const confirm = `/v1/supply-orders/${supplyOrder}/recall/confirm`;
    expect((await expectStatus(bySupplier().post(confirm), 200)).body).toMatchObject({
      status: 'cancelled',
      recall: { status: 'recalled' },
    });
    expect(await recordsOf(pkg)).toEqual([
      ['order_push', -2_620],
      ['order_recall', 2_620],
    ]);
    expect(await orderNow(order)).toMatchObject({ status: 'recalled' });
    expect((await expectStatus(byDistributor().get(answer.headers.location as string), 200)).body.status).toBe('done');
    // Once decided it is decided.
    for (const what of ['confirm', 'refuse'])
      expect(refusalOf(await bySupplier().post(`/v1/supply-orders/${supplyOrder}/recall/${what}`))).toEqual([
        409,
        'invalid_transition',
      ]);
    expect(await advance(pkg)).toMatchObject({ next: 'end', outcome: 'recalled' });
  });

  test('that the supplier refuses changes nothing, says why to both, and can be asked again', async () => {
    const { order, pkg, supplyOrder } = await pushed('packed');
    await expectStatus(recall(order), 202);
    const [before, balance] = [await stockNow(), await balanceNow()];
    const refuse = await bySupplier().post(`/v1/supply-orders/${supplyOrder}/recall/refuse`, { reason: 'on the van' });
    const failed = { attempt: 1, status: 'failed', code: 'recall_refused', detail: 'The supplier refused: on the van' };
    expect(refuse.body).toMatchObject({ status: 'packed', recall: failed });
    expect(await orderNow(order)).toMatchObject({ status: 'packed', packages: [{ recall: failed }] });
    expect([await stockNow(), await balanceNow()]).toEqual([before, balance]);
    expect(await notices(parties.distributor, 'recall_refused', pkg)).toMatchObject([{ detail: failed.detail }]);
    expect(await notices(parties.supplier, 'recall_refused', supplyOrder)).toMatchObject([{ detail: failed.detail }]);
    const operation = await expectStatus(byDistributor().get(`/v1/operations/order-recall.${pkg}.1`), 200);
    expect(operation.body).toMatchObject({
      status: 'failed',
      error: { code: 'recall_refused', detail: failed.detail },
    });

    const second = await expectStatus(recall(order), 202);
    expect(second.body.operation.id).toBe(`order-recall.${pkg}.2`);
    await expectStatus(bySupplier().post(`/v1/supply-orders/${supplyOrder}/recall/confirm`), 200);
    expect(await recordsOf(pkg)).toEqual([
      ['order_push', -2_620],
      ['order_recall', 2_620],
    ]);
  });

  test('asked for again while it is open answers with the one there is', async () => {
    const { order, pkg } = await pushed('packed');
    const first = await expectStatus(recall(order), 202);
    const second = await expectStatus(recall(order), 202);
    expect(second.body).toEqual(first.body);
    expect(await api.store.orders.answerRecall(pkg, 1, 'none', { command: null, reason: null })).toMatchObject({
      ok: true,
      outcome: 'failed',
    });
    expect((await orderNow(order)).packages[0].recall).toMatchObject({
      code: 'recall_refused',
      detail: 'The supplier did not answer in time',
    });
  });

  test('goes on while the supplier moves the order on; shipping it ends the recall', async () => {
    const { order, pkg, supplyOrder } = await pushed('packed');
    await expectStatus(recall(order), 202);
    await expectStatus(move(supplyOrder, 'ready'), 200);
    expect(await orderNow(order)).toMatchObject({ status: 'recalling' });
    const shipped = await expectStatus(move(supplyOrder, 'ship'), 200);
    const failed = { status: 'failed', code: 'recall_not_possible' };
    expect(shipped.body).toMatchObject({ status: 'shipped', recall: failed });
    expect(await orderNow(order)).toMatchObject({ status: 'shipped', packages: [{ recall: failed }] });
    expect(api.processes.asked).toContainEqual({ what: 'settleRecall', input: `order-recall/${pkg}/1` });
    expect(refusalOf(await bySupplier().post(`/v1/supply-orders/${supplyOrder}/recall/confirm`))).toEqual([
      409,
      'invalid_transition',
    ]);
    expect(await advance(pkg)).toMatchObject({ next: 'end', outcome: 'failed' });
    expect(await recordsOf(pkg)).toEqual([['order_push', -2_620]]);
  });

  test.each([
    ['shipped', /shipped/],
    ['completed', /completed/],
    ['cancelled', /recalled already/],
  ] as const)('of one that is %s fails at once, saying why', async (status, why) => {
    const { order, pkg } = await pushed(status);
    const records = await recordsOf(pkg);
    const answer = await recall(order);
    expect(refusalOf(answer)).toEqual([409, 'recall_not_possible']);
    expect(answer.body.detail).toMatch(why);
    expect(await recordsOf(pkg)).toEqual(records);
  });

  test('of a package that was never pushed, or whose push was refused: not_pushed', async () => {
    const order = await anOrder();
    expect(refusalOf(await recall(order.id))).toEqual([409, 'not_pushed']);
    const tooMuch = await addOrder(api, parties.distributor, 5_000);
    await expectStatus(byDistributor().post(`/v1/orders/${tooMuch.id}/push`), 409);
    expect(refusalOf(await recall(tooMuch.id))).toEqual([409, 'not_pushed']);
    expect(refusalOf(await recall(order.id, { package: tooMuch.packages[0].id }))).toEqual([404, 'not_found']);
    expect(refusalOf(await recall('ord_none'))).toEqual([404, 'not_found']);
    expect(refusalOf(await bySupplier().post(`/v1/orders/${order.id}/recall`))).toEqual([404, 'not_found']);
  });

  test.each(['pushing', 'parked'])('of a package that is %s abandons the push', async (state) => {
    const order = await anOrder();
    const pkg = order.packages[0].id;
    const [before, balance] = [await stockNow(), await balanceNow()];
    await expectStatus(byDistributor().post(`/v1/orders/${order.id}/push`), 202);
    if (state === 'parked') await api.store.orders.park(pkg, 1, { code: 'unavailable', detail: 'away' });
    const answer = await expectStatus(recall(order.id, { package: pkg }), 200);
    expect(answer.body.operation).toMatchObject({ status: 'done', result: { abandoned: true } });
    expect(api.processes.asked).toContainEqual({ what: 'endPush', input: `order-push/${pkg}/1` });
    expect(await orderNow(order.id)).toMatchObject({
      status: 'push_failed',
      packages: [{ recall: { status: 'recalled' }, failure: { code: 'abandoned' }, supplyOrder: null }],
    });
    expect((await expectStatus(byDistributor().get(`/v1/operations/order-push.${pkg}.1`), 200)).body.status).toBe(
      'abandoned',
    );
    // The attempt finds itself over, whatever it does next.
    expect(await api.store.orders.push(pkg, 1)).toMatchObject({ outcome: 'superseded' });
    expect(await api.store.orders.abandon(pkg, 1, 'late')).toMatchObject({ pushed: false });
    expect((await orderNow(order.id)).packages[0].failure.detail).toMatch(/^Recalled/);
    expect([await stockNow(), await balanceNow()]).toEqual([before, balance]);
    // It can be pushed again.
    await expectStatus(byDistributor().post(`/v1/orders/${order.id}/push`), 202);
    expect(await api.store.orders.push(pkg, 2)).toMatchObject({ outcome: 'pushed' });
  });

  test('and the push it would abandon, at once: abandoned unpushed, or recalled; never charged in the end', async () => {
    const balance = await balanceNow();
    const ends = new Set<string>();
    for (let round = 0; round < 10; round += 1) {
      const order = await anOrder();
      const pkg = order.packages[0].id;
      await expectStatus(byDistributor().post(`/v1/orders/${order.id}/push`), 202);
      const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
      await Promise.all([api.store.orders.push(pkg, 1), later(round).then(() => expectStatus(recall(order.id), 200))]);
      ends.add((await orderNow(order.id)).status);
    }
    for (const status of ends) expect(['push_failed', 'recalled']).toContain(status);
    expect(await balanceNow()).toBe(balance);
  });

  test('is asked for again by the same command without a second attempt', async () => {
    const { pkg } = await pushed();
    const ask = () => api.store.orders.recall(parties.distributor.id, pkg, 'cmd_recall', ANSWER_MS);
    const first = await ask();
    expect(await ask()).toMatchObject({ attempt: first.attempt, over: true });
    expect(await recordsOf(pkg)).toHaveLength(2);
  });
});
