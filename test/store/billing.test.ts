import { newId } from '../../domain/ids';
import { type Hub, startHub } from '../support/hub';
import { type Distributor, makeDistributor, makeSupplier, type Supplier } from '../support/scenario';

let hub: Hub;
let supplier: Supplier;
let distributor: Distributor;
beforeAll(async () => {
  hub = await startHub({ withoutWorker: true });
  supplier = await makeSupplier(hub);
});
beforeEach(async () => {
  distributor = await makeDistributor(hub, supplier, { creditLimit: 1_000 });
});
afterAll(() => hub.stop());

const topUp = (id: string, amount: number, currency: 'MYR' | 'SGD' = 'MYR') =>
  hub.store.billing.bookByHand(supplier.id, {
    id,
    partnership: distributor.partnership,
    type: 'top_up',
    amount: { amount, currency },
  });
const balance = async () => (await hub.store.billing.account(null, distributor.partnership)).balance;
const charge = (id: string, amount: number) =>
  hub.store.database.transact((session) =>
    hub.store.billing.book(session, {
      id,
      partnership: distributor.partnership,
      type: 'order_push',
      amount: -amount,
      currency: 'MYR',
    }),
  );

describe('a booking', () => {
  test('of one transaction id, also ten times at once, is booked once', async () => {
    const id = newId('command');
    const records = await Promise.all(Array.from({ length: 10 }, () => topUp(id, 500)));
    for (const record of records) expect(record).toMatchObject({ _id: id, amount: 500, balanceAfter: 500 });
    expect(await balance()).toBe(500);
  });

  test('of the same id with another amount is an error and changes nothing', async () => {
    const id = newId('command');
    await topUp(id, 500);
    await expect(topUp(id, 501)).rejects.toMatchObject({ code: 'transaction_id_reused' });
    expect(await balance()).toBe(500);
  });

  test('of the same id in a transaction of its own is booked once, too', async () => {
    const id = newId('command');
    const first = await charge(id, 100);
    expect(await charge(id, 100)).toEqual(first);
    expect(await balance()).toBe(-100);
    await expect(charge(id, 101)).rejects.toMatchObject({ code: 'transaction_id_reused' });
    await expect(topUp(id, -100)).rejects.toMatchObject({ code: 'transaction_id_reused' });
  });

  test('with the sign of the other side is none', async () => {
    await expect(charge(newId('command'), -1)).rejects.toThrow('wrong sign');
    expect(await balance()).toBe(0);
  });

  test('in another currency is converted by the fixed rate, else by the live one, and keeps the rate', async () => {
    const { store } = hub;
    await expect(topUp(newId('command'), 500, 'SGD')).rejects.toMatchObject({ code: 'exchange_rate_missing' });
    await store.rates.keep([{ from: 'SGD', to: 'MYR', rate: '3.1415' }]);
    const id = newId('command');
    const given = { amount: 501, currency: 'SGD', rate: '3.1415' };
    // 5.01 × 3.1415 = 15.738915
    const live = await topUp(id, 501, 'SGD');
    expect(live).toMatchObject({
      amount: 1574,
      currency: 'MYR',
      given: { ...given, source: 'live' },
      balanceAfter: 1574,
    });
    expect(live.given?.fetchedAt).toBeInstanceOf(Date);
    await store.partnerships.setRates(supplier.id, [{ from: 'SGD', to: 'MYR', rate: '3' }]);
    expect(await topUp(newId('command'), -501, 'SGD')).toMatchObject({
      amount: -1503,
      given: { rate: '3', source: 'fixed', fetchedAt: null },
    });
    // The repeat is answered as the first was, whatever the rate is now.
    expect(await topUp(id, 501, 'SGD')).toEqual(live);
    await expect(topUp(id, 1574, 'MYR')).rejects.toMatchObject({ code: 'transaction_id_reused' });
    await store.partnerships.setRates(supplier.id, [{ from: 'VND', to: 'MYR', rate: '0.0001' }]);
    const tooSmall = store.billing.bookByHand(supplier.id, {
      id: newId('command'),
      partnership: distributor.partnership,
      type: 'top_up',
      amount: { amount: 10, currency: 'VND' },
    });
    await expect(tooSmall).rejects.toMatchObject({ code: 'invalid_input' });
    await store.partnerships.setRates(supplier.id, []);
    expect(await balance()).toBe(1574 - 1503);
  });

  test('is numbered without gaps, and never earlier than the one before', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, index) => topUp(newId('command'), index - 10)));
    const rows = await hub.store.database.models.records
      .find({ partnership: distributor.partnership })
      .sort({ number: 1 })
      .lean();
    let before = 0;
    for (const [index, row] of rows.entries()) {
      expect([row.number, row.balanceAfter]).toEqual([index + 1, before + row.amount]);
      expect(row.at.getTime()).toBeGreaterThanOrEqual(rows[index - 1]?.at.getTime() ?? 0);
      before = row.balanceAfter;
    }
    expect(rows).toHaveLength(20);
  });

  test('uses the balance first, then credit, to the last cent and no further', async () => {
    await topUp(newId('command'), 500);
    await charge(newId('command'), 1_500);
    expect(await balance()).toBe(-1_000);
    await expect(charge(newId('command'), 1)).rejects.toMatchObject({ code: 'push_blocked' });
    // It is the only booking that is refused for funds.
    await hub.store.billing.bookByHand(supplier.id, {
      id: newId('command'),
      partnership: distributor.partnership,
      type: 'adjustment',
      amount: { amount: -50, currency: 'MYR' },
    });
    expect(await balance()).toBe(-1_050);
  });

  test('leaves the balance at the sum of the records, whatever happens at once', async () => {
    await Promise.allSettled(
      Array.from({ length: 40 }, (_, index) =>
        index % 2 === 0 ? topUp(newId('command'), index) : charge(newId('command'), index * 10),
      ),
    );
    const { items } = await hub.store.billing.records(distributor.id, distributor.partnership, {
      limit: 100,
      after: null,
    });
    expect(items.reduce((sum, { amount }) => sum + amount, 0)).toBe(await balance());
    expect(items.some(({ type }) => type === 'order_push')).toBe(true);
    expect(await balance()).toBeGreaterThanOrEqual(-1_000);
    // One document for both sides; a stranger sees none.
    expect(await hub.store.billing.records(supplier.id, distributor.partnership, { limit: 100, after: null })).toEqual({
      items,
      nextCursor: null,
    });
    const stranger = await makeDistributor(hub, supplier);
    expect(
      (await hub.store.billing.records(stranger.id, distributor.partnership, { limit: 100, after: null })).items,
    ).toEqual([]);
  });

  test('by somebody who is not the supplier finds no account', async () => {
    await expect(
      hub.store.billing.bookByHand(distributor.id, {
        id: newId('command'),
        partnership: distributor.partnership,
        type: 'top_up',
        amount: { amount: 1, currency: 'MYR' },
      }),
    ).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('credit', () => {
  const DAY_MS = 86_400_000;
  const credit = (periodDays: number | null, lowBalance?: number | null) =>
    hub.store.billing.setCredit(supplier.id, distributor.partnership, {
      limit: { amount: 1_000, currency: 'MYR' },
      periodDays,
      ...(lowBalance === undefined
        ? {}
        : { lowBalance: lowBalance === null ? null : { amount: lowBalance, currency: 'MYR' } }),
    });
  const account = () => hub.store.billing.account(null, distributor.partnership);
  const told = async (event: string) => {
    const { models } = hub.store.database;
    const rows = await models.notifications.find({ event, document: distributor.partnership }).lean();
    return rows.map((row) => (row.account === supplier.id ? 'supplier' : 'distributor')).sort();
  };
  const both = ['distributor', 'supplier'];

  test('begins its period with the first use of it, and ends it when none is in use', async () => {
    await credit(30);
    await topUp(newId('command'), 100);
    await charge(newId('command'), 100);
    expect(await account()).toMatchObject({ balance: 0, creditSince: null, creditDueAt: null });
    const first = await charge(newId('command'), 1);
    await charge(newId('command'), 1);
    const dueAt = new Date(first.at.getTime() + 30 * DAY_MS);
    expect(await account()).toMatchObject({ creditSince: first.at, creditDueAt: dueAt, creditTellAt: dueAt });
    // A changed period counts from the same beginning.
    const sooner = new Date(first.at.getTime() + 10 * DAY_MS);
    expect(await credit(10)).toMatchObject({ creditSince: first.at, creditDueAt: sooner, creditTellAt: sooner });
    expect(await credit(null)).toMatchObject({ creditSince: first.at, creditDueAt: null, creditTellAt: null });
    await credit(30);
    await topUp(newId('command'), 2);
    expect(await account()).toMatchObject({ balance: 0, creditSince: null, creditDueAt: null, creditTellAt: null });
    expect((await charge(newId('command'), 1)).at.getTime()).toBe((await account()).creditSince?.getTime());
  });

  test('that ran out is told to both sides once, and blocks nothing', async () => {
    const { billing, database } = hub.store;
    await credit(7);
    await charge(newId('command'), 500);
    const id = distributor.partnership;
    expect(await billing.endedCreditPeriods(new Date(), 1_000)).not.toContain(id);
    // As it is a week later.
    const dueAt = new Date(Date.now() - 1_000);
    await database.models.billingAccounts.updateOne({ _id: id }, { $set: { creditDueAt: dueAt, creditTellAt: dueAt } });
    expect(await billing.endedCreditPeriods(new Date(), 1_000)).toContain(id);
    await Promise.all([billing.tellCreditPeriod(id), billing.tellCreditPeriod(id), billing.tellCreditPeriod(id)]);
    expect(await told('credit_period_expired')).toEqual(both);
    expect(await billing.endedCreditPeriods(new Date(), 1_000)).not.toContain(id);
    await charge(newId('command'), 500);
    expect(await balance()).toBe(-1_000);
  });

  test('that is little is told once each time the balance falls below the threshold', async () => {
    await credit(null, -500);
    await charge(newId('command'), 500);
    expect(await told('balance_low')).toEqual([]);
    await charge(newId('command'), 1);
    await charge(newId('command'), 100);
    expect(await told('balance_low')).toEqual(both);
    await topUp(newId('command'), 601);
    expect(await told('balance_low')).toEqual(both);
    await charge(newId('command'), 501);
    expect(await told('balance_low')).toHaveLength(4);
    await credit(null, null);
    await topUp(newId('command'), 501);
    await charge(newId('command'), 600);
    expect(await told('balance_low')).toHaveLength(4);
  });
});

describe('a record', () => {
  test('is changed and removed by nobody, through the model or past it', async () => {
    const { models } = hub.store.database;
    const id = newId('command');
    await topUp(id, 500);
    const bytes = async () => {
      const [raw] = await hub.store.database.connection
        .collection('records')
        .find({ _id: id as never }, { raw: true })
        .toArray();
      return Buffer.from(raw as unknown as Uint8Array).toString('hex');
    };
    const before = await bytes();
    expect(before.length).toBeGreaterThan(100);
    const { records } = models;
    const filter = { _id: id };
    const set = { $set: { amount: 1 } };
    const row = await records.findById(id);
    if (!row) throw new Error('no record');
    row.amount = 1;
    const raw = records.collection;
    const tries: (() => unknown)[] = [
      () => records.updateOne(filter, set),
      () => hub.store.database.transact((session) => records.updateMany(filter, set, { session })),
      () => records.replaceOne(filter, { ...row.toObject(), amount: 1 }),
      () => records.findOneAndUpdate(filter, set),
      () => records.findByIdAndUpdate(id, set),
      () => records.findOneAndReplace(filter, { ...row.toObject(), amount: 1 }),
      () => records.findOneAndDelete(filter),
      () => records.findByIdAndDelete(id),
      () => records.deleteOne(filter),
      () => hub.store.database.transact((session) => records.deleteMany(filter, { session })),
      () => records.bulkWrite([{ updateOne: { filter, update: set } }]),
      () => records.bulkSave([row]),
      () => row.save(),
      () => row.deleteOne(),
      () => row.updateOne(set),
      () => raw.updateOne({ _id: id as never }, set),
      () => raw.updateMany({ _id: id as never }, set),
      () => raw.replaceOne({ _id: id as never }, { amount: 1 } as never),
      () => raw.findOneAndUpdate({ _id: id as never }, set),
      () => raw.findOneAndReplace({ _id: id as never }, { amount: 1 } as never),
      () => raw.findOneAndDelete({ _id: id as never }),
      () => raw.deleteOne({ _id: id as never }),
      () => raw.deleteMany({ _id: id as never }),
      () => raw.bulkWrite([{ deleteOne: { filter: { _id: id as never } } }]),
      () => raw.initializeUnorderedBulkOp(),
      () => raw.drop(),
      () => raw.rename('other'),
    ];
    for (const attempt of tries) await expect((async () => attempt())()).rejects.toThrow('only ever inserted');
    expect(await bytes()).toBe(before);
  });
});
