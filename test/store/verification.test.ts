/** Planted damage: each is written past the store, straight into the collections, and each is found and named. */
import { capabilitiesIn } from '../../connectors';
import { newId } from '../../domain/ids';
import type { DiscrepancyKind } from '../../domain/verification';
import { CHECKS } from '../../store/repositories/verification';
import { type Hub, startHub } from '../support/hub';
import { type Distributor, makeDistributor, makeOrder, makeSupplier, type Supplier } from '../support/scenario';

let hub: Hub;
let supplier: Supplier;
let distributor: Distributor;
/** Of the same supplier, with an account of its own. */
let other: Distributor;
/** Packages by what became of them. */
let scene: { pushed: string; shipped: string; recalled: string; returned: string; waiting: string };

/** What damage is done to, as it was. */
const BOOKS = [
  ...['billingAccounts', 'records', 'packages', 'supplyOrders', 'stock', 'stockJournal'],
  ...['verifications', 'discrepancies'],
];
let clean: Map<string, Row[]>;

beforeAll(async () => {
  hub = await startHub({ withoutWorker: true });
  supplier = await makeSupplier(hub, { fees: { stockOut: 120, logistics: 0 } });
  distributor = await makeDistributor(hub, supplier, { creditLimit: 1_000_000 });
  while ((await hub.store.mirror.pass(distributor.partnership)).more);
  other = await makeDistributor(hub, supplier, { creditLimit: 1_000_000, claim: [] });
  scene = await playScene();
  clean = new Map();
  for (const name of BOOKS) clean.set(name, await collection(name).find({}, { promoteValues: false }).toArray());
});
afterAll(() => hub.stop());
afterEach(async () => {
  for (const [name, rows] of clean) {
    await collection(name).deleteMany({});
    if (rows.length > 0) await collection(name).insertMany(rows as never);
  }
});

async function pushed(quantity: number): Promise<string> {
  const { orders } = hub.store;
  const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity }]);
  await orders.beginPush(distributor.id, pkg);
  const { outcome } = await orders.push(pkg, 1);
  if (outcome !== 'pushed') throw new Error(outcome);
  return pkg;
}
const supplyOrderOf = (pkg: string) => `${pkg.replace(/^pkg/, 'sord')}-1`;

async function shipped(quantity: number): Promise<string> {
  const pkg = await pushed(quantity);
  for (const move of ['pack', 'ready', 'ship'] as const)
    await hub.store.orders.moveSupplyOrder(supplier.id, supplyOrderOf(pkg), move, {
      command: newId('command'),
      ...(move === 'ship' ? { shipment: { carrier: null, trackingNumber: 'T' } } : {}),
    });
  return pkg;
}

async function playScene() {
  const recalled = await pushed(2);
  await hub.store.orders.recall(distributor.id, recalled, newId('command'), 1_000);
  const returned = await shipped(3);
  await hub.store.returns.takeIn(supplier.id, supplyOrderOf(returned), {
    ...{ command: newId('command'), lines: [{ line: '1', quantity: 1 }], refund: { amount: 1_000, currency: 'MYR' } },
    ...{ stockIn: true, warehouse: null, note: null },
  });
  await hub.store.billing.bookByHand(supplier.id, {
    ...{ id: newId('command'), partnership: distributor.partnership, type: 'top_up' },
    amount: { amount: 500, currency: 'MYR' },
  });
  await hub.store.catalogue.addSku(distributor.id, { sku: 'OWN', name: 'Own', components: [] });
  const place = await hub.store.catalogue.addWarehouse(distributor.id, { name: 'Own' });
  await hub.store.stock.adjust({
    ...{ account: distributor.id, warehouse: place._id, sku: 'OWN', kind: 'stockIn', quantity: 9, reason: '' },
    ...{ document: 'd', key: 'own/in' },
  });
  const own = await makeOrder(hub, distributor.id, [{ sku: 'OWN', quantity: 2 }]);
  const { order } = await hub.store.orders.package(distributor.id, own);
  await hub.store.orders.own.ship(distributor.id, order, {
    command: newId('command'),
    carrier: null,
    trackingNumber: 'T',
  });
  await makeOrder(hub, distributor.id, [{ sku: 'OWN', quantity: 1 }]);
  const waiting = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 1 }]);
  return { recalled, returned, waiting, pushed: await pushed(1), shipped: await shipped(2) };
}

async function verify(account: string | null = null, repair = false) {
  const { verification } = hub.store;
  const { _id } = await verification.add(account, newId('command'), { repair, dryRun: !repair });
  for (const check of CHECKS) await verification.run(_id, check, () => {}, capabilitiesIn(hub.connectors));
  await verification.plan(_id);
  if (repair) await verification.repair(_id, () => {});
  await verification.end(_id, 'done');
  return (await verification.discrepancies(_id, { limit: 200, after: null })).items;
}
const kindsOf = (rows: readonly { kind: DiscrepancyKind }[]) => [...new Set(rows.map(({ kind }) => kind))].sort();

type Row = Record<string, unknown>;
/** Past the guards of the store. */
const collection = (name: string) => {
  const { db } = hub.store.database.connection;
  if (!db) throw new Error('not connected');
  return db.collection<Row & { _id: string }>(name);
};
const change = async (name: string, filter: Row, update: Row) => {
  const { matchedCount } = await collection(name).updateOne(filter as never, update as never);
  if (matchedCount !== 1) throw new Error(`nothing to damage in ${name}`);
};
const remove = async (name: string, filter: Row) => {
  const { deletedCount } = await collection(name).deleteOne(filter as never);
  if (deletedCount !== 1) throw new Error(`nothing to remove in ${name}`);
};
const lastRecord = async () =>
  (await collection('records').find({}).sort({ number: -1 }).limit(1).toArray())[0] as Row & { _id: string };
const account = () => ({ _id: distributor.partnership });
const stockId = () => `${supplier.warehouse}/TEE-1`;
/** A booking by the ledger itself that should not have been made. */
const bookWrongly = (booking: Row) =>
  hub.store.database.transact((session) =>
    hub.store.billing.book(session, {
      ...{ id: newId('command'), partnership: distributor.partnership, currency: 'MYR' },
      ...booking,
    } as never),
  );

interface Damage {
  readonly what: string;
  readonly plant: () => Promise<unknown>;
  readonly kinds: readonly DiscrepancyKind[];
  /** What no booking makes good. */
  readonly lasts?: readonly DiscrepancyKind[];
  /** How many bookings would make it good, where that is looked at without LONG=1. */
  readonly entries?: number;
}

const DAMAGES: readonly Damage[] = [
  {
    what: 'a balance that was set by hand',
    plant: () => change('billingAccounts', account(), { $inc: { balance: 1_000 } }),
    kinds: ['balance_wrong'],
  },
  {
    what: 'a charge that was removed',
    plant: () => remove('records', { _id: `push/${scene.pushed}/1` }),
    kinds: ['balance_wrong', 'charge_missing', 'record_missing'],
  },
  {
    what: 'a refund that was removed',
    plant: () => remove('records', { _id: `recall/${scene.recalled}/1` }),
    kinds: ['balance_wrong', 'record_missing', 'refund_missing'],
  },
  {
    what: 'a top-up that was removed',
    plant: () => remove('records', { type: 'top_up' }),
    kinds: ['balance_wrong', 'record_missing'],
  },
  {
    what: 'the last record, removed',
    plant: async () => remove('records', { _id: (await lastRecord())._id }),
    kinds: ['balance_wrong', 'charge_missing', 'record_missing'],
  },
  {
    what: 'a charge that was altered',
    plant: () => change('records', { _id: `push/${scene.pushed}/1` }, { $inc: { amount: 100 } }),
    kinds: ['balance_wrong', 'charge_wrong', 'lines_differ', 'record_altered'],
  },
  {
    what: 'a top-up that was altered',
    plant: () => change('records', { type: 'top_up' }, { $set: { amount: 5_000 } }),
    kinds: ['balance_wrong', 'record_altered'],
  },
  {
    what: 'a balance after that was altered',
    plant: () => change('records', { type: 'top_up' }, { $inc: { balanceAfter: 7 } }),
    kinds: ['record_altered'],
  },
  {
    what: 'a record inserted past the row',
    plant: async () => {
      const last = await lastRecord();
      await collection('records').insertOne({ ...last, _id: 'planted', number: 999, type: 'top_up', package: null });
    },
    kinds: ['record_inserted'],
    lasts: ['record_inserted'],
  },
  {
    what: 'a record of an account that is not there',
    plant: async () => {
      const last = await lastRecord();
      await collection('records').insertOne({ ...last, _id: 'planted', partnership: 'pship_none', package: null });
    },
    kinds: ['record_without_account'],
    lasts: ['record_without_account'],
  },
  {
    what: 'a record that the supplier does not see',
    plant: () => change('records', { type: 'top_up' }, { $set: { supplier: 'acct_other' } }),
    kinds: ['parties_differ'],
    lasts: ['parties_differ'],
  },
  {
    what: 'an account of another distributor',
    plant: () => change('billingAccounts', account(), { $set: { distributor: 'acct_other' } }),
    kinds: ['parties_differ'],
    lasts: ['parties_differ'],
  },
  {
    what: 'a record in another currency',
    plant: () => change('records', { type: 'top_up' }, { $set: { currency: 'SGD' } }),
    kinds: ['currency_differs'],
    lasts: ['currency_differs'],
  },
  {
    what: 'a record of another kind',
    plant: () => change('records', { type: 'top_up' }, { $set: { type: 'return_charge' } }),
    kinds: ['sign_wrong'],
    lasts: ['sign_wrong'],
  },
  {
    what: 'a line that was altered',
    plant: () => change('records', { _id: `push/${scene.pushed}/1` }, { $inc: { 'lines.0.amount.amount': 1 } }),
    kinds: ['lines_differ'],
    lasts: ['lines_differ'],
  },
  {
    what: 'a rate that was altered',
    plant: () =>
      change(
        'records',
        { type: 'top_up' },
        { $set: { given: { amount: 100, currency: 'SGD', rate: '5.01', source: 'fixed', fetchedAt: null } } },
      ),
    kinds: ['conversion_wrong'],
    lasts: ['conversion_wrong'],
  },
  {
    what: 'a time that was altered',
    plant: async () => change('records', { _id: (await lastRecord())._id }, { $set: { at: new Date(0) } }),
    kinds: ['time_wrong'],
    lasts: ['time_wrong'],
  },
  {
    what: 'a credit period that was taken away',
    plant: () => change('billingAccounts', account(), { $set: { creditSince: null } }),
    kinds: ['credit_period_wrong'],
    lasts: ['credit_period_wrong'],
  },
  {
    what: 'a charge without a supply order',
    plant: () =>
      bookWrongly({ type: 'order_push', amount: -300, package: scene.waiting, document: supplyOrderOf(scene.waiting) }),
    kinds: ['charge_without_supply_order'],
  },
  {
    what: 'a supply order that was removed',
    plant: () => remove('supplyOrders', { _id: supplyOrderOf(scene.shipped) }),
    kinds: ['charge_without_supply_order', 'journal_without_shipment', 'supply_order_missing'],
    lasts: ['journal_without_shipment', 'supply_order_missing'],
  },
  {
    what: 'a supply order that was charged twice',
    plant: () =>
      bookWrongly({ type: 'order_push', amount: -1_120, package: scene.pushed, document: supplyOrderOf(scene.pushed) }),
    kinds: ['charged_twice'],
  },
  {
    what: 'a charge that names another package',
    plant: () => change('records', { _id: `push/${scene.pushed}/1` }, { $set: { package: scene.waiting } }),
    kinds: ['charge_missing', 'charge_without_supply_order'],
    lasts: ['charge_missing', 'charge_without_supply_order'],
    entries: 0,
  },
  {
    what: 'a supply order that another account was charged for, too',
    plant: () =>
      bookWrongly({
        ...{ type: 'order_push', amount: -1_120, package: scene.pushed, document: supplyOrderOf(scene.pushed) },
        partnership: other.partnership,
      }),
    kinds: ['charge_without_supply_order'],
  },
  {
    what: 'a refund of what another account was charged',
    plant: () =>
      bookWrongly({
        ...{ type: 'order_recall', amount: 2_120, package: scene.recalled, document: supplyOrderOf(scene.recalled) },
        partnership: other.partnership,
      }),
    kinds: ['refund_without_charge'],
  },
  {
    what: 'a supply order whose charge was altered',
    plant: () => change('supplyOrders', { _id: supplyOrderOf(scene.pushed) }, { $inc: { 'charge.total.amount': 5 } }),
    kinds: ['charge_wrong'],
  },
  {
    what: 'a refund for what was not cancelled',
    plant: () =>
      bookWrongly({
        type: 'order_recall',
        amount: 1_120,
        package: scene.pushed,
        document: supplyOrderOf(scene.pushed),
      }),
    kinds: ['refund_unfounded'],
  },
  {
    what: 'a cancelled order refunded twice',
    plant: () =>
      bookWrongly({
        ...{ type: 'order_recall', amount: 2_120, package: scene.recalled },
        document: supplyOrderOf(scene.recalled),
      }),
    kinds: ['refund_wrong'],
  },
  {
    what: 'a refund without a charge',
    plant: () => bookWrongly({ type: 'return_refund', amount: 10, package: scene.waiting, document: 'ret_none' }),
    kinds: ['refund_without_charge'],
  },
  {
    what: 'more refunded than charged',
    plant: () => bookWrongly({ type: 'return_refund', amount: 9_999, package: scene.shipped, document: 'ret_none' }),
    kinds: ['refund_exceeds_charge'],
  },
  {
    what: 'a package that was removed',
    plant: () => remove('packages', { _id: scene.pushed }),
    kinds: ['supply_order_without_package'],
    lasts: ['supply_order_without_package'],
  },
  {
    what: 'a shipment’s journal entry, removed',
    plant: () => remove('stockJournal', { _id: `${supplyOrderOf(scene.shipped)}/ship/TEE-1` }),
    kinds: ['shipment_not_journalled', 'stock_not_journalled'],
    lasts: ['shipment_not_journalled', 'stock_not_journalled'],
  },
  {
    what: 'a shipment that was set back',
    plant: () => change('supplyOrders', { _id: supplyOrderOf(scene.shipped) }, { $set: { status: 'to_pickup' } }),
    kinds: ['allocation_wrong', 'journal_without_shipment'],
    lasts: ['allocation_wrong', 'journal_without_shipment'],
  },
  {
    what: 'an allocation without an order',
    plant: () => change('stock', { _id: stockId() }, { $inc: { allocated: 1, available: -1 } }),
    kinds: ['allocation_wrong', 'stock_not_journalled'],
    lasts: ['allocation_wrong', 'stock_not_journalled'],
  },
  {
    what: 'an open order without its allocation',
    plant: () => change('packages', { _id: scene.waiting }, { $set: { allocated: false } }),
    kinds: ['allocation_wrong'],
    lasts: ['allocation_wrong'],
  },
  {
    what: 'units from nowhere',
    plant: () => change('stock', { _id: stockId() }, { $inc: { onHand: 5, available: 5 } }),
    kinds: ['stock_not_journalled'],
    lasts: ['stock_not_journalled'],
  },
  {
    what: 'an available that was altered',
    plant: () => change('stock', { _id: stockId() }, { $inc: { available: 3 } }),
    kinds: ['available_wrong'],
    lasts: ['available_wrong'],
  },
  {
    what: 'stock that was removed',
    plant: () => remove('stock', { _id: stockId() }),
    kinds: ['allocation_wrong', 'stock_not_journalled'],
    lasts: ['allocation_wrong', 'stock_not_journalled'],
  },
];

describe('clean books', () => {
  test('that move all the while give no false alarm', async () => {
    let isOver = false;
    const moving = (async () => {
      for (let turn = 0; !isOver; turn += 1) {
        const pkg = turn % 2 === 0 ? await shipped(1) : await pushed(1);
        if (turn % 2 === 1) await hub.store.orders.recall(distributor.id, pkg, newId('command'), 1_000);
      }
    })();
    try {
      for (let times = 0; times < (process.env.LONG === '1' ? 100 : 5); times += 1) expect(await verify()).toEqual([]);
    } finally {
      isOver = true;
      await moving;
    }
  });

  test('show nothing, from anybody’s side', async () => {
    expect(await verify()).toEqual([]);
    expect(await verify(supplier.id)).toEqual([]);
    expect(await verify(distributor.id)).toEqual([]);
  });
});

describe('a listing', () => {
  test('whose last accepted quantity is not what its rule gives is named; what waits or may differ is told apart', async () => {
    const { store } = hub;
    const { models } = store.database;
    const row = await store.stores.add(supplier.id, { platform: 'shopee', name: 's' });
    await collection('stores').updateOne({ _id: row._id }, { $set: { status: 'connected', shopId: '1' } } as never);
    const rule = await store.pushes.addRule(supplier.id, {
      ...{ name: 'half', enabled: true, priority: 1, skus: { kind: 'all' }, warehouses: [supplier.warehouse] },
      ...{ stores: [row._id], inventoryType: 'sellable', quantity: { kind: 'partial', percent: 50 } },
      ...{ zeroBelow: null, lowStock: null, preOrder: null },
    });
    const [level] = await store.stock.levelsIn(supplier.id, 'TEE-1');
    const right = Math.floor((level?.available ?? 0) / 2);
    const names = ['right', 'wrong', 'due', 'failed', 'floored', 'manual'] as const;
    for (const name of names) {
      const quantity = name === 'right' ? right : 3;
      const latest = {
        ...{ quantity, before: 0, cause: 'c', rule: rule._id, revision: 1, at: new Date(), attempts: 1, changes: 1 },
        ...{ outcome: name === 'failed' ? 'failed' : 'accepted', error: name === 'floored' ? 'floor 3' : null },
      };
      const listing = {
        ...{ _id: name, account: supplier.id, store: row._id, item: name, model: '0', sellerSku: '', title: '' },
        ...{ imageUrl: null, variation: '', price: '1', currency: 'MYR', platformQuantity: 0, status: 'live' },
        ...{ sku: 'TEE-1', unconnectedReason: null, automatic: name !== 'manual', missed: 0, updatedAt: new Date() },
      };
      await collection('listings').insertOne(listing as never);
      const record = {
        _id: name,
        account: supplier.id,
        kind: 'store',
        sku: 'TEE-1',
        store: row._id,
        distributor: null,
      };
      await collection('pushRecords').insertOne({ ...record, accepted: quantity, latest } as never);
    }
    const due = { lane: `store-lane/${row._id}`, account: supplier.id, subject: 'due', item: 'due' };
    await store.database.transact((session) => store.dues.mark(session, [due], { cause: 'c' }));
    // Saving a rule pushes nothing: the recorded revision decides.
    await store.pushes.changeRule(supplier.id, rule._id, { quantity: { kind: 'real' } });
    const found = await verify(supplier.id);
    expect(found).toMatchObject([
      {
        kind: 'listing_wrong',
        subject: 'wrong',
        expected: String(right),
        found: '3',
        documents: ['wrong', row._id, 'TEE-1'],
      },
    ]);
    const [run] = await models.verifications.find({ account: supplier.id }).sort({ _id: -1 }).limit(1).lean();
    expect(run?.checks.listings).toMatchObject({ seen: 6, apart: { due: 1, failed: 1, floored: 1, notAutomatic: 1 } });
    for (const name of names) await collection('listings').deleteOne({ _id: name });
  });

  test('is compared with the pre-order state it is in, and with what its platform takes', async () => {
    const { store } = hub;
    await store.catalogue.addSku(supplier.id, { sku: 'PRE', name: 'Pre', components: [] });
    const place = { account: supplier.id, warehouse: supplier.warehouse, sku: 'PRE' };
    await store.stock.adjust({ ...place, kind: 'stockIn', quantity: 40, reason: '', document: 'd', key: 'pre/in' });
    const [s1, s2] = await Promise.all(
      ['1', '2'].map(async (shopId) => {
        const { _id } = await store.stores.add(supplier.id, { platform: 'shopee', name: shopId });
        await change('stores', { _id }, { $set: { status: 'connected', shopId: `pre-${shopId}` } });
        return _id;
      }),
    );
    const stores = [s1 ?? '', s2 ?? ''];
    const whole = {
      ...{ enabled: true, skus: { kind: 'all' as const }, warehouses: [supplier.warehouse], stores },
      ...{ inventoryType: 'sellable' as const, zeroBelow: null, lowStock: null },
    };
    const between = { enableAtOrBelow: 5, closeAbove: 50, add: 30, daysToShip: 7 };
    const real = { kind: 'real' } as const;
    const much = { kind: 'virtual', percent: 100, plus: 20_000_000 } as const;
    const pre = await store.pushes.addRule(supplier.id, {
      ...{ ...whole, name: 'pre', priority: 2, quantity: real, preOrder: between },
    });
    const big = await store.pushes.addRule(supplier.id, {
      ...{ ...whole, name: 'big', priority: 3, quantity: much, preOrder: null },
    });
    // Between the thresholds: the first store came from below, the second did not.
    await store.preOrders.keep([{ account: supplier.id, store: stores[0] ?? '', sku: 'PRE', rule: pre._id, on: true }]);
    const capped = 'the platform takes at most 10000000, the rule gives 20000040';
    const rows: readonly (readonly [string, string | undefined, string, number, string | null, number?])[] = [
      ['on', s1, pre._id, 70, null],
      ['on-wrong', s1, pre._id, 40, null, 70],
      ['off', s2, pre._id, 40, null],
      ['off-wrong', s2, pre._id, 70, null, 40],
      ['refused', s1, pre._id, 40, 'pre-order was refused: no'],
      ['refused-wrong', s1, pre._id, 70, 'pre-order was refused: no', 40],
      ['capped', s1, big._id, 10_000_000, capped],
      ['capped-wrong', s1, big._id, 9_999_999, capped, 10_000_000],
      ['more-than-it-takes', s1, big._id, 20_000_040, null, 10_000_000],
      ['zero', s1, 'none', 0, null],
      ['not-zero', s1, 'none', 1, null, 0],
    ];
    for (const [name, shop, rule, quantity, error] of [...rows, ['passed-by', s1, pre._id, 3, null] as const]) {
      await collection('listings').insertOne({
        ...{ _id: name, account: supplier.id, store: shop, item: name, model: '0', sellerSku: '', title: '' },
        ...{ imageUrl: null, variation: '', price: '1', currency: 'MYR', platformQuantity: 0, status: 'live' },
        ...{ sku: 'PRE', unconnectedReason: null, automatic: true, missed: 0, updatedAt: new Date() },
      });
      const latest = {
        ...{ quantity, before: 0, cause: 'c', at: new Date(), attempts: 1, changes: 1, outcome: 'accepted', error },
        ...(rule === 'none' ? { rule: null, revision: null } : { rule, revision: 1 }),
      };
      await collection('pushRecords').insertOne({
        ...{ _id: name, account: supplier.id, kind: 'store', sku: 'PRE', store: shop, distributor: null },
        ...{ accepted: quantity, passedBy: name === 'passed-by', latest },
      });
    }
    const found = await verify(supplier.id);
    expect(found.map(({ subject, expected }) => [subject, expected])).toEqual(
      rows
        .flatMap(([name, , , , , expected]) => (expected === undefined ? [] : [[name, String(expected)]]))
        .sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    );
    const [run] = await store.database.models.verifications.find({ account: supplier.id }).sort({ _id: -1 }).lean();
    expect(run?.checks.listings?.apart).toEqual({ passedBy: 1 });
    for (const [name] of [...rows, ['passed-by']]) await collection('listings').deleteOne({ _id: name ?? '' });
    await collection('skus').deleteOne({ sku: 'PRE' });
  });
});

describe('planted damage', () => {
  test.each(DAMAGES)(
    '$what is found, and made good as far as a booking can',
    async ({ plant, kinds, lasts = [], entries: most }) => {
      await plant();
      const before = await collection('records').countDocuments();
      const dry = await verify();
      expect(kindsOf(dry)).toEqual([...kinds].sort());
      for (const { documents } of dry) expect(documents.length).toBeGreaterThan(0);
      expect(await collection('records').countDocuments()).toBe(before);
      const entries = dry.flatMap(({ compensation }) => compensation ?? []);
      if (most !== undefined) expect(entries).toHaveLength(most);
      if (lasts.length > 0 && process.env.LONG !== '1') return;
      // The dry run says exactly what is booked.
      const mended = await verify(supplier.id, true);
      for (const { id, type, amount } of entries)
        if (mended.some(({ booked }) => booked === id)) {
          const entry = await collection('records').findOne({ _id: id });
          expect(entry).toMatchObject({ type, amount });
          // It stands in the account that it makes good.
          const { record } = (entry as Row).correction as { record: string | null };
          if (record !== null)
            expect((await collection('records').findOne({ _id: record }))?.partnership).toBe(entry?.partnership);
        }
      if (lasts.length === 0)
        expect(mended.flatMap(({ booked }) => booked ?? []).sort()).toEqual(entries.map(({ id }) => id).sort());
      expect(kindsOf(await verify())).toEqual([...lasts].sort());
      const booked = await collection('records').countDocuments();
      // Once more books nothing more.
      await verify(supplier.id, true);
      expect(await collection('records').countDocuments()).toBe(booked);
    },
  );
});
