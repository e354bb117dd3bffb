import fc from 'fast-check';
import type { ClientSession } from 'mongoose';
import { newId } from '../../domain/ids';
import type { AdjustmentKind } from '../../domain/stock';
import { connectStore } from '../../store';
import type { StockDoc, StockJournalDoc } from '../../store/models/documents';
import { testEnvironment } from '../support/environment';
import { type Hub, startHub, TEST_KEYS } from '../support/hub';
import { makeDistributor, makeOrder, makeSupplier, type Supplier } from '../support/scenario';

const LONG = process.env.LONG === '1';

let hub: Hub;
beforeAll(async () => {
  hub = await startHub({ withoutWorker: true });
});
afterAll(() => hub.stop());

const adjust = (
  supplier: Supplier,
  kind: AdjustmentKind,
  quantity: number,
  options: { sku?: string; key?: string; warehouse?: string } = {},
) =>
  hub.store.stock.adjust({
    account: supplier.id,
    warehouse: options.warehouse ?? supplier.warehouse,
    sku: options.sku ?? supplier.skus[0] ?? '',
    kind,
    quantity,
    reason: 'test',
    document: 'doc',
    key: options.key ?? newId('command'),
  });

const stockOf = async (account: string, sku: string): Promise<StockDoc> => {
  const [row] = await hub.store.stock.levelsIn(account, sku);
  if (!row) throw new Error(`no stock of ${sku}`);
  return row;
};

const journalOf = (account: string, sku: string): Promise<StockJournalDoc[]> =>
  hub.store.database.models.stockJournal.find({ account, sku }).lean();

/** The journal, from nothing, comes to what is there. */
async function expectJournalToSum(account: string, sku: string): Promise<StockJournalDoc[]> {
  const [row, journal] = await Promise.all([stockOf(account, sku), journalOf(account, sku)]);
  for (const field of ['onHand', 'allocated', 'reserved', 'inTransit'] as const)
    expect(journal.reduce((sum, entry) => sum + entry.after[field] - entry.before[field], 0)).toBe(row[field]);
  expect(row.onHand).toBe(row.allocated + row.reserved + row.available);
  for (const field of ['onHand', 'allocated', 'reserved', 'inTransit', 'available'] as const)
    expect(row[field]).toBeGreaterThanOrEqual(0);
  return journal;
}

/** The same of every warehouse. */
async function expectEachToSum(account: string, sku: string): Promise<void> {
  const [rows, journal] = await Promise.all([hub.store.stock.levelsIn(account, sku), journalOf(account, sku)]);
  for (const row of rows) {
    const entries = journal.filter(({ warehouse }) => warehouse === row.warehouse);
    for (const field of ['onHand', 'allocated', 'reserved', 'inTransit'] as const) {
      expect(entries.reduce((sum, entry) => sum + entry.after[field] - entry.before[field], 0)).toBe(row[field]);
      expect(row[field]).toBeGreaterThanOrEqual(0);
    }
    expect([row.available >= 0, row.onHand]).toEqual([true, row.allocated + row.reserved + row.available]);
  }
}

describe('guarded stock', () => {
  test('of 100 stock-outs at once on 60 units exactly 60 go through, and the others are told what is left', async () => {
    const supplier = await makeSupplier(hub, { onHand: 60 });
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => adjust(supplier, 'stockOut', 1)));
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refused).toHaveLength(40);
    for (const error of refused)
      expect(error).toMatchObject({ code: 'insufficient_stock', extra: { members: { available: 0 } } });
    expect(await stockOf(supplier.id, 'TEE-1')).toMatchObject({ onHand: 0, available: 0 });
    expect(await expectJournalToSum(supplier.id, 'TEE-1')).toHaveLength(61);
  });

  test('two processes without a common queue take no unit twice', async () => {
    const supplier = await makeSupplier(hub, { onHand: 10 });
    const { database, stock } = hub.store;
    // Each its own hot key, as if each ran in another process.
    const results = await Promise.allSettled(
      Array.from({ length: 25 }, (_, index) =>
        database.transact(
          (session) =>
            stock.change(session, {
              account: supplier.id,
              warehouse: supplier.warehouse,
              sku: 'TEE-1',
              kind: 'allocate',
              reason: '',
              document: 'd',
              key: `${supplier.id}/race/${index}`,
              by: { allocated: 1 },
            }),
          `own/${index}`,
        ),
      ),
    );
    // One that lost its connection, or its turn too often, may fail though there was stock; no more than there is succeed.
    const taken = results.filter(({ status }) => status === 'fulfilled').length;
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThanOrEqual(10);
    const { allocated, available } = await stockOf(supplier.id, 'TEE-1');
    expect([allocated >= taken, allocated <= 10, available]).toEqual([true, true, 10 - allocated]);
    await expectJournalToSum(supplier.id, 'TEE-1');
  });

  test('groups of operations in two processes take no unit twice', async () => {
    const skus = ['TEE-1', 'TEE-2', 'TEE-3'];
    const supplier = await makeSupplier(hub, { skus, onHand: 10 });
    const other = await connectStore({
      ...{ uri: testEnvironment().mongoUri, database: hub.database, dataKeys: TEST_KEYS },
    });
    const at = (stock: Hub['store']['stock'], index: number) =>
      stock.adjust({
        ...{ account: supplier.id, warehouse: supplier.warehouse, sku: skus[index % skus.length] ?? '', quantity: 1 },
        ...{ kind: 'stockOut', reason: 'test', document: 'doc', key: newId('command') },
      });
    const results = await Promise.allSettled(
      Array.from({ length: 80 }, (_, index) => at((index % 2 === 0 ? hub.store : other).stock, index)),
    );
    await other.database.close();
    const taken = results.filter(({ status }) => status === 'fulfilled').length;
    expect(taken).toBeGreaterThan(0);
    const rows = await Promise.all(skus.map((sku) => stockOf(supplier.id, sku)));
    expect(rows.reduce((sum, { onHand }) => sum + 10 - onHand, 0)).toBeGreaterThanOrEqual(taken);
    for (const sku of skus) await expectJournalToSum(supplier.id, sku);
  });

  test('what another process changes between the look and the write is seen', async () => {
    const supplier = await makeSupplier(hub, { onHand: 10 });
    const { stockJournal } = hub.store.database.models;
    const find = stockJournal.find.bind(stockJournal);
    // The group has read the stock, and looks for repeats next.
    const spy = jest.spyOn(stockJournal, 'find').mockImplementationOnce(((filter: object) => ({
      session: (session: ClientSession) => ({
        async lean() {
          await hub.store.database.transact((own) =>
            hub.store.stock.change(own, {
              ...{ account: supplier.id, warehouse: supplier.warehouse, sku: 'TEE-1', kind: 'stockOut' },
              ...{ reason: 'test', document: 'other', key: newId('command'), by: { onHand: -4 } },
            }),
          );
          return find(filter).session(session).lean();
        },
      }),
    })) as never);
    const { levels } = await adjust(supplier, 'count', 3);
    expect(spy).toHaveBeenCalledTimes(2);
    spy.mockRestore();
    expect(levels).toMatchObject({ onHand: 3, available: 3 });
    const journal = await expectJournalToSum(supplier.id, 'TEE-1');
    expect(journal.map(({ before, after }) => `${before.onHand} → ${after.onHand}`).sort()).toEqual([
      ...['0 → 10', '10 → 6', '6 → 3'],
    ]);
  });

  test('the same key twice, also at once, changes nothing more and is answered as the first time', async () => {
    const supplier = await makeSupplier(hub, { onHand: 10 });
    const key = newId('command');
    const answers = await Promise.all(Array.from({ length: 10 }, () => adjust(supplier, 'stockOut', 4, { key })));
    await adjust(supplier, 'stockIn', 100);
    answers.push(await adjust(supplier, 'stockOut', 4, { key }));
    for (const { levels } of answers) expect(levels).toMatchObject({ onHand: 6, available: 6 });
    expect(await stockOf(supplier.id, 'TEE-1')).toMatchObject({ onHand: 106 });
  });

  test('what waits for its account’s turn goes in one transaction, each with its own answer', async () => {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1', 'TEE-2', 'TEE-3', 'TEE-4'], onHand: 10 });
    const other = await makeSupplier(hub);
    const fresh = (await hub.store.catalogue.addWarehouse(supplier.id, { name: 'Fresh' }))._id;
    const { transact } = hub.store.database;
    let transactions = 0;
    Object.assign(hub.store.database, {
      transact: (...given: Parameters<typeof transact>) => {
        transactions += 1;
        return transact(...given);
      },
    });
    const key = newId('command');
    const results = await Promise.allSettled([
      adjust(supplier, 'stockOut', 4, { key }),
      adjust(supplier, 'reserve', 3, { sku: 'TEE-2' }),
      adjust(supplier, 'inTransit', 5, { sku: 'TEE-3' }),
      adjust(supplier, 'stockOut', 11, { sku: 'TEE-4' }),
      adjust(supplier, 'stockIn', 1, { sku: 'NONE' }),
      // Of these SKUs there is one already.
      adjust(supplier, 'stockOut', 4, { key }),
      adjust(supplier, 'count', 2, { sku: 'TEE-2' }),
      adjust(supplier, 'stockIn', 5, { sku: 'TEE-3', warehouse: fresh }),
      adjust(supplier, 'stockIn', 1, { sku: 'TEE-4', warehouse: other.warehouse }),
      adjust(supplier, 'stockOut', 7),
      adjust(supplier, 'stockOut', 7, { sku: 'TEE-2' }),
      adjust(supplier, 'stockIn', 6, { sku: 'TEE-3', warehouse: fresh }),
    ]).finally(() => Object.assign(hub.store.database, { transact }));
    const told = results.map((result) =>
      result.status === 'fulfilled'
        ? [result.value.levels.onHand, result.value.levels.available]
        : (result.reason as { code: string }).code,
    );
    expect(told).toEqual([
      ...[[6, 6], [10, 7], [10, 10], 'insufficient_stock', 'not_found'],
      ...[[6, 6], 'quantity_below_zero', [5, 5], 'not_found'],
      ...['insufficient_stock', [3, 0], [11, 11]],
    ]);
    // One for each group; then what there is nothing of yet, or is not the account's.
    expect(transactions).toBe(3 + 4);
    for (const sku of ['TEE-1', 'TEE-2', 'TEE-4']) await expectJournalToSum(supplier.id, sku);
    await expectEachToSum(supplier.id, 'TEE-3');
  });

  test('a transfer moves both or none', async () => {
    const supplier = await makeSupplier(hub, { onHand: 10 });
    const other = (await hub.store.catalogue.addWarehouse(supplier.id, { name: 'Other' }))._id;
    const transfer = (quantity: number, to = other) =>
      hub.store.stock.transfer({
        account: supplier.id,
        from: supplier.warehouse,
        to,
        sku: 'TEE-1',
        quantity,
        reason: '',
        document: 'd',
        key: newId('command'),
      });
    expect(await transfer(4)).toMatchObject({ from: { onHand: 6 }, to: { onHand: 4 } });
    await expect(transfer(7)).rejects.toMatchObject({ code: 'insufficient_stock' });
    await expect(transfer(1, 'wh_of_nobody')).rejects.toMatchObject({ code: 'not_found' });
    const rows = await hub.store.stock.levelsIn(supplier.id, 'TEE-1');
    expect(rows.map(({ onHand }) => onHand).sort()).toEqual([4, 6]);
  });

  test('whatever is done at once, on hand stays allocated + reserved + available and nothing falls below 0', async () => {
    // In LONG some 4000 operations, otherwise some 200; all of a round at once.
    const skus = Array.from({ length: LONG ? 200 : 10 }, (_, index) => `SKU-${index}`);
    const supplier = await makeSupplier(hub, { skus, onHand: 20 });
    const second = (await hub.store.catalogue.addWarehouse(supplier.id, { name: 'Second' }))._id;
    // Sets of each SKU and the first, which are ordered meanwhile: they allocate their components, all or none.
    for (const sku of skus.slice(1)) {
      const components = [skus[0] ?? '', sku].map((part) => ({ sku: part, quantity: 2 }));
      await hub.store.catalogue.addSku(supplier.id, { sku: `SET-${sku}`, name: sku, components });
    }
    const step = fc.tuple(
      fc.constantFrom<AdjustmentKind | 'allocate' | 'release' | 'transfer' | 'order'>(
        ...(['stockIn', 'stockOut', 'count', 'reserve', 'unreserve', 'inTransit'] as const),
        ...(['allocate', 'release', 'transfer', 'order'] as const),
      ),
      fc.nat(15),
    );
    const transfer = (sku: string, quantity: number, key: string) =>
      hub.store.stock.transfer({
        ...{ account: supplier.id, from: supplier.warehouse, to: second, sku, quantity, key },
        ...{ reason: 'test', document: 'doc' },
      });
    const { stockJournal, packages } = hub.store.database.models;
    /** A set that was sold took all its components, one that waits none. (Keys begin with the package; "0" follows "/".) */
    const expectAllOrNone = async (pkg: string, sku: string, sets: number) => {
      const row = await packages.findById(pkg).lean();
      const entries = await stockJournal.find({ _id: { $gte: `${pkg}/`, $lt: `${pkg}0` } }).lean();
      const taken = Object.fromEntries(entries.map((one) => [one.sku, one.after.allocated - one.before.allocated]));
      const parts = sku === skus[0] ? { [sku]: sets } : { [skus[0] ?? '']: 2 * sets, [sku]: 2 * sets };
      expect(taken).toEqual(row?.allocated ? parts : {});
      return row?.allocated === true;
    };
    let turn = 0;
    let done = 0;
    let sold = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (steps) => {
        const sku = skus[turn % skus.length] ?? '';
        turn += 1;
        // What all sets need runs short now and then, not for good.
        await adjust(supplier, 'stockIn', 10, { sku: skus[0] ?? '' });
        const results = await Promise.allSettled<unknown>(
          steps.map(([kind, quantity], index) => {
            if (kind === 'order')
              return makeOrder(hub, supplier.id, [
                { sku: sku === skus[0] ? sku : `SET-${sku}`, quantity: 1 + (quantity % 3) },
              ]);
            if (kind === 'transfer') return transfer(sku, quantity, `${supplier.id}/${turn}/${index}`);
            if (kind !== 'allocate' && kind !== 'release') return adjust(supplier, kind, quantity, { sku });
            return hub.store.database.transact((session) =>
              hub.store.stock.change(session, {
                account: supplier.id,
                warehouse: supplier.warehouse,
                sku,
                kind,
                reason: '',
                document: 'd',
                key: `${supplier.id}/${turn}/${index}`,
                by: { allocated: kind === 'allocate' ? quantity : -quantity },
              }),
            );
          }),
        );
        done += results.filter(({ status }) => status === 'fulfilled').length;
        for (const result of results)
          if (result.status === 'rejected')
            expect(['insufficient_stock', 'quantity_below_zero']).toContain(result.reason.code);
        for (const [index, [kind, quantity]] of steps.entries()) {
          const result = results[index];
          if (kind !== 'order' || result?.status !== 'fulfilled') continue;
          if (await expectAllOrNone(String(result.value), sku, 1 + (quantity % 3))) sold += 1;
        }
        for (const each of new Set([sku, skus[0] ?? ''])) await expectEachToSum(supplier.id, each);
      }),
      { numRuns: skus.length, endOnFailure: true },
    );
    expect(done).toBeGreaterThan(LONG ? 2_000 : turn);
    expect(sold).toBeGreaterThan(LONG ? 50 : 0);
  });
});

describe('a combination', () => {
  const addSet = (account: string, sku: string, components: { sku: string; quantity: number }[]) =>
    hub.store.catalogue.addSku(account, { sku, name: sku, components });

  test('has as many sets as its scarcest component allows, per warehouse', async () => {
    const supplier = await makeSupplier(hub, { skus: ['CUP', 'PLATE'], onHand: 9 });
    await addSet(supplier.id, 'SET', [
      { sku: 'CUP', quantity: 2 },
      { sku: 'PLATE', quantity: 1 },
    ]);
    expect(await stockOf(supplier.id, 'SET')).toMatchObject({ available: 4 });
    await adjust(supplier, 'reserve', 7, { sku: 'PLATE' });
    expect(await stockOf(supplier.id, 'SET')).toMatchObject({ available: 2 });
    await expect(adjust(supplier, 'stockIn', 1, { sku: 'SET' })).rejects.toMatchObject({ code: 'invalid_input' });
  });

  test('ordered, allocates all components or none', async () => {
    const supplier = await makeSupplier(hub, { skus: ['CUP', 'PLATE'], onHand: 9 });
    await addSet(supplier.id, 'SET', [
      { sku: 'CUP', quantity: 2 },
      { sku: 'PLATE', quantity: 3 },
    ]);
    const first = await hub.store.orders.package(
      supplier.id,
      await makeOrder(hub, supplier.id, [{ sku: 'SET', quantity: 2 }]),
    );
    expect(first).toMatchObject({ allocated: true, partnership: null });
    expect(await stockOf(supplier.id, 'CUP')).toMatchObject({ allocated: 4, available: 5 });
    expect(await stockOf(supplier.id, 'PLATE')).toMatchObject({ allocated: 6, available: 3 });
    // Cups for two more sets are there, plates for one only.
    const second = await hub.store.orders.package(
      supplier.id,
      await makeOrder(hub, supplier.id, [{ sku: 'SET', quantity: 2 }]),
    );
    expect(second).toMatchObject({ allocated: false, failure: { code: 'insufficient_stock' } });
    expect(await stockOf(supplier.id, 'CUP')).toMatchObject({ allocated: 4 });
    expect(await stockOf(supplier.id, 'PLATE')).toMatchObject({ allocated: 6 });
    await expectJournalToSum(supplier.id, 'CUP');
  });

  test('of what the account does not have as a single SKU is refused, naming each part', async () => {
    const supplier = await makeSupplier(hub, { skus: ['CUP'] });
    await expect(
      addSet(supplier.id, 'SET', [
        { sku: 'CUP', quantity: 1 },
        { sku: 'FORK', quantity: 1 },
        { sku: 'KNIFE', quantity: 1 },
      ]),
    ).rejects.toMatchObject({
      code: 'invalid_input',
      extra: { errors: [{ pointer: '/components/1/sku' }, { pointer: '/components/2/sku' }] },
    });
  });
});

describe('mirrored stock', () => {
  test('is read-only, in every operation and in what contains it, and follows its source', async () => {
    const supplier = await makeSupplier(hub, { onHand: 40 });
    const distributor = await makeDistributor(hub, supplier);
    await hub.store.mirror.pass(distributor.partnership);
    expect(await stockOf(distributor.id, 'TEE-1')).toMatchObject({ onHand: 40, available: 40, mirrored: true });
    const own = (await hub.store.catalogue.addWarehouse(distributor.id, { name: 'Own' }))._id;
    await hub.store.catalogue.addSku(distributor.id, {
      sku: 'PAIR',
      name: 'Pair',
      components: [{ sku: 'TEE-1', quantity: 2 }],
    });
    for (const kind of ['stockIn', 'stockOut', 'count', 'reserve', 'unreserve', 'inTransit'] as const)
      for (const sku of ['TEE-1', 'PAIR'])
        for (const warehouse of [distributor.warehouse, own])
          await expect(
            hub.store.stock.adjust({
              account: distributor.id,
              warehouse,
              sku,
              kind,
              quantity: 1,
              reason: '',
              document: 'd',
              key: newId('command'),
            }),
          ).rejects.toMatchObject({ code: 'stock_is_mirrored' });
    await expect(
      hub.store.stock.transfer({
        account: distributor.id,
        from: distributor.warehouse,
        to: own,
        sku: 'TEE-1',
        quantity: 1,
        reason: '',
        document: 'd',
        key: newId('command'),
      }),
    ).rejects.toMatchObject({ code: 'stock_is_mirrored' });
    expect(await stockOf(distributor.id, 'TEE-1')).toMatchObject({ onHand: 40 });
    await adjust(supplier, 'count', 12);
    await hub.store.mirror.pass(distributor.partnership);
    expect(await stockOf(distributor.id, 'TEE-1')).toMatchObject({ onHand: 12, available: 12 });
  });

  test('shows what is not promised yet, and none where its source fell below the promises', async () => {
    const supplier = await makeSupplier(hub, { onHand: 10 });
    const distributor = await makeDistributor(hub, supplier);
    await hub.store.mirror.pass(distributor.partnership);
    await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 6 }]);
    expect(await stockOf(distributor.id, 'TEE-1')).toMatchObject({ onHand: 10, allocated: 6, available: 4 });
    await adjust(supplier, 'count', 2);
    await hub.store.mirror.pass(distributor.partnership);
    expect(await stockOf(distributor.id, 'TEE-1')).toMatchObject({ onHand: 2, allocated: 6, available: 0 });
  });
});
