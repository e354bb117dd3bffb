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

  test('in another currency is refused', async () => {
    await expect(topUp(newId('command'), 500, 'SGD')).rejects.toMatchObject({ code: 'currency_mismatch' });
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
