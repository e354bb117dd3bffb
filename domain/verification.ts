/**
 * What must hold of the books, and what makes a discrepancy good. Everything here judges what it is given; who reads it, and
 * when it is read again, is the store's to say. Amounts are minor units as the distributor sees them. Contract: billing.md.
 */
import { convert, creditDueAt, hasSignOf, REFUND_TYPES, type RecordType } from './ledger';
import { CURRENCY_DECIMALS, type Currency, formatDecimal, fractionOf } from './money';
import { hasLeft } from './orders';
import { isUndone, type OutboundState } from './supply-orders';

export const DISCREPANCIES = {
  balance_wrong: 'The balance is not the sum of the records',
  record_missing: 'A number in the row of records is missing',
  record_altered: 'A record is not as it was booked: the balances before and after it do not fit its amount',
  record_inserted: 'A record stands past the end of the row',
  record_without_account: 'A record is of no billing account',
  parties_differ: 'The two sides do not see the same: the supplier or the distributor is another',
  currency_differs: 'A record is not in the currency of its account',
  sign_wrong: 'A record is of the wrong sign for its type',
  lines_differ: 'The lines of a record do not add up to it',
  conversion_wrong: 'A record is not what its given amount and rate come to',
  time_wrong: 'A record is earlier than the one before it',
  credit_period_wrong: 'The credit period does not fit the balance',
  charge_missing: 'A supply order was not charged',
  charge_without_supply_order: 'A charge has no supply order',
  charged_twice: 'A supply order was charged more than once',
  charge_wrong: 'A charge is not what its supply order says',
  refund_missing: 'A cancelled supply order was not refunded',
  refund_wrong: 'A refund is not exactly what was charged',
  refund_unfounded: 'A supply order that is not cancelled was refunded',
  refund_without_charge: 'A refund has no charge',
  refund_exceeds_charge: 'More was refunded than charged',
  supply_order_missing: 'A package names a supply order that is not there',
  supply_order_without_package: 'A supply order has no package, or its package names another',
  shipment_not_journalled: 'Shipped units have no stock journal entry',
  journal_without_shipment: 'Units left by the stock journal that no supply order shipped',
  allocation_wrong: 'What is allocated is not what open orders hold',
  available_wrong: 'Available is not on hand less allocated and reserved',
  stock_not_journalled: 'The stock is not the sum of its journal',
  listing_wrong: 'The last quantity a store accepted is not what its rule gives',
} as const;
export type DiscrepancyKind = keyof typeof DISCREPANCIES;
export const DISCREPANCY_KINDS = Object.keys(DISCREPANCIES) as [DiscrepancyKind, ...DiscrepancyKind[]];
/** Those whose `expected` and `found`, where they are numbers, are amounts. */
const OF_AMOUNTS: ReadonlySet<DiscrepancyKind> = new Set<DiscrepancyKind>([
  ...(['balance_wrong', 'record_missing', 'record_altered', 'sign_wrong', 'lines_differ', 'conversion_wrong'] as const),
  ...(['charge_missing', 'charge_without_supply_order', 'charged_twice', 'charge_wrong'] as const),
  ...([
    'refund_missing',
    'refund_wrong',
    'refund_unfounded',
    'refund_without_charge',
    'refund_exceeds_charge',
  ] as const),
]);

/** `expected` or `found` for people: an amount as a decimal of its account's currency. */
export function wordsOf(kind: DiscrepancyKind, value: string | null, currency: Currency | null): string | null {
  if (value === null || currency === null || !OF_AMOUNTS.has(kind) || !/^-?\d+$/.test(value)) return value;
  return formatDecimal(Number(value), CURRENCY_DECIMALS[currency]);
}

/** The entry that makes a discrepancy good. */
export interface Compensation {
  /** The transaction id: the same discrepancy is made good once. */
  readonly id: string;
  readonly type: RecordType;
  readonly amount: number;
  readonly package: string | null;
  readonly document: string | null;
  readonly correction: {
    readonly number: number | null;
    readonly record: string | null;
    readonly movesBalance: boolean;
  };
  /** Where the balance itself is wrong: what it is set to before. */
  readonly balance: { readonly from: number; readonly to: number } | null;
}

export interface Discrepancy {
  readonly kind: DiscrepancyKind;
  /** What it is about; with the kind it makes the discrepancy's id. */
  readonly subject: string;
  readonly partnership: string | null;
  readonly documents: readonly string[];
  readonly expected: string | null;
  readonly found: string | null;
  /** By how much a booking would make it good; null where none can. */
  readonly lacks: Lack | null;
}

/** What the books lack: an entry that moves the balance, unless the balance holds it already. */
export interface Lack {
  readonly type: RecordType;
  readonly amount: number;
  readonly id: string;
  readonly package: string | null;
  readonly document: string | null;
  /** The record whose amount it corrects. */
  readonly record: string | null;
  /** A jump in the row of records: the number at which it shows, and how many numbers are missing before it. */
  readonly jump: { readonly number: number; readonly missing: number } | null;
  readonly balance: { readonly from: number; readonly to: number } | null;
}

export interface BookedRecord {
  readonly _id: string;
  readonly partnership: string;
  readonly supplier: string;
  readonly distributor: string;
  readonly number: number;
  readonly type: RecordType;
  readonly package: string | null;
  readonly document: string | null;
  readonly lines: readonly { readonly kind: string; readonly amount: { readonly amount: number } }[];
  readonly amount: number;
  readonly currency: Currency;
  readonly given: { readonly amount: number; readonly currency: Currency; readonly rate: string } | null;
  readonly balanceAfter: number;
  readonly correction: {
    readonly number: number | null;
    readonly record: string | null;
    readonly movesBalance: boolean;
  } | null;
  readonly at: Date;
}

export interface BookedAccount {
  readonly _id: string;
  readonly supplier: string;
  readonly distributor: string;
  readonly currency: Currency;
  readonly balance: number;
  readonly records: number;
  readonly creditPeriodDays: number | null;
  readonly creditSince: Date | null;
  readonly creditDueAt: Date | null;
}

interface Jump {
  readonly number: number;
  readonly record: string | null;
  readonly package: string | null;
  readonly missing: number;
  readonly amount: number;
}

const of = (
  kind: DiscrepancyKind,
  subject: string,
  partnership: string | null,
  more: Partial<Omit<Discrepancy, 'kind' | 'subject' | 'partnership'>> = {},
): Discrepancy => ({ kind, subject, partnership, documents: [], expected: null, found: null, lacks: null, ...more });

/** So many of one kind are kept of one account; past them the account as a whole is in ruins. */
const KEPT = 1_000;

/**
 * Reads an account's records in the order of their numbers, one at a time, up to the account's own count, and says at the
 * end what does not hold. Keeps nothing of a record that is in order.
 */
export function createAccountJudge(account: BookedAccount) {
  let lastNumber = 0;
  let lastAfter = 0;
  let lastAt = 0;
  let sum = 0;
  const problems: Discrepancy[] = [];
  const jumps: Jump[] = [];
  /** By record, what is off in it unless corrections say so; by number and by record, what corrections make good. */
  const doubts: { record: BookedRecord; kind: 'lines_differ' | 'conversion_wrong'; expected: number }[] = [];
  const filled = new Map<number, number>();
  const corrected = new Map<string, number>();
  const note = (kind: DiscrepancyKind, record: BookedRecord, more: Partial<Discrepancy> = {}) => {
    if (problems.length < KEPT) problems.push(of(kind, record._id, account._id, { documents: [record._id], ...more }));
  };

  function judgeItself(record: BookedRecord): void {
    if (record.supplier !== account.supplier || record.distributor !== account.distributor)
      note('parties_differ', record, {
        expected: `${account.supplier} ${account.distributor}`,
        found: `${record.supplier} ${record.distributor}`,
      });
    if (record.currency !== account.currency)
      note('currency_differs', record, { expected: account.currency, found: record.currency });
    if (record.correction === null && !hasSignOf(record.type, record.amount))
      note('sign_wrong', record, { found: String(record.amount) });
    if (record.at.getTime() < lastAt) note('time_wrong', record, { found: record.at.toISOString() });
    const lines = record.lines.reduce((all, { amount }) => all + amount.amount, 0);
    const sign = record.amount < 0 ? -1 : 1;
    if (record.lines.length > 0 && lines !== Math.abs(record.amount) && doubts.length < KEPT)
      doubts.push({ record, kind: 'lines_differ', expected: sign * lines });
    if (record.given === null) return;
    const value = fractionOf(record.given.rate);
    const rate = value && { value, text: record.given.rate, source: 'fixed' as const };
    const settled = rate ? convert(record.given, record.currency, rate).amount : 0;
    if (settled !== record.amount && doubts.length < KEPT)
      doubts.push({ record, kind: 'conversion_wrong', expected: settled });
  }

  /** Jumps that corrections do not make good. */
  const openJumps = () =>
    jumps.filter(({ number, amount, missing }) => (filled.get(number) ?? (missing > 0 ? null : 0)) !== amount);

  function lackOf(jump: Jump): Lack {
    // Its own lines (or rate) say that it is the amount that was altered, and not the balance after it.
    const isAmount = doubts.some(
      ({ record, expected }) => record._id === jump.record && expected - record.amount === jump.amount,
    );
    return {
      type: 'adjustment',
      amount: jump.amount - (filled.get(jump.number) ?? 0),
      id: `verify/${account._id}/${jump.number}`,
      package: isAmount ? jump.package : null,
      document: jump.record,
      record: isAmount ? jump.record : null,
      jump: { number: jump.number, missing: jump.missing },
      balance: null,
    };
  }

  function judgeCredit(): void {
    const { balance, creditSince: since, creditDueAt: dueAt, creditPeriodDays } = account;
    const due = creditDueAt(since, creditPeriodDays);
    if (balance < 0 === (since !== null) && due?.getTime() === dueAt?.getTime()) return;
    problems.push(
      of('credit_period_wrong', account._id, account._id, {
        documents: [account._id],
        expected: balance < 0 ? `in use, due ${due?.toISOString() ?? 'never'}` : 'not in use',
        found: since === null ? 'not in use' : `in use, due ${dueAt?.toISOString() ?? 'never'}`,
      }),
    );
  }

  return {
    take(record: BookedRecord): void {
      judgeItself(record);
      const moved = record.correction?.movesBalance === false ? 0 : record.amount;
      const missing = record.number - lastNumber - 1;
      const amount = record.balanceAfter - lastAfter - moved;
      if ((missing > 0 || amount !== 0) && jumps.length < KEPT)
        jumps.push({ number: record.number, record: record._id, package: record.package, missing, amount });
      const { number = null, record: corrects = null } = record.correction ?? {};
      if (number !== null && record.correction?.movesBalance === false)
        filled.set(number, (filled.get(number) ?? 0) + record.amount);
      if (corrects !== null) corrected.set(corrects, (corrected.get(corrects) ?? 0) + record.amount);
      sum += record.amount;
      lastNumber = record.number;
      lastAfter = record.balanceAfter;
      lastAt = record.at.getTime();
    },

    end(): Discrepancy[] {
      const tail = account.records - lastNumber;
      const rest = account.balance - lastAfter;
      // What was cut off at the end: the next entry stands behind the gap.
      if (tail > 0)
        jumps.push({ number: account.records + 1, record: null, package: null, missing: tail, amount: rest });
      for (const jump of openJumps())
        problems.push(
          of(jump.missing > 0 ? 'record_missing' : 'record_altered', String(jump.number), account._id, {
            documents: [account._id, ...(jump.record === null ? [] : [jump.record])],
            expected: `${jump.missing} before number ${jump.number}`,
            found: String(jump.amount),
            lacks: lackOf(jump),
          }),
        );
      for (const { record, kind, expected } of doubts)
        if (record.amount + (corrected.get(record._id) ?? 0) !== expected)
          note(kind, record, { expected: String(expected), found: String(record.amount) });
      if (sum !== account.balance) {
        const isItself = tail <= 0 && rest !== 0;
        problems.push(
          of('balance_wrong', account._id, account._id, {
            documents: [account._id],
            expected: String(sum),
            found: String(account.balance),
            lacks: isItself
              ? {
                  type: 'adjustment',
                  amount: 0,
                  id: `verify/${account._id}/balance/${account.records + 1}`,
                  ...{ package: null, document: null, record: null, jump: null },
                  balance: { from: account.balance, to: lastAfter },
                }
              : null,
          }),
        );
      }
      judgeCredit();
      return problems;
    },
  };
}

export interface SuppliedOrder {
  readonly _id: string;
  readonly partnership: string;
  readonly package: string;
  readonly attempt: number;
  readonly status: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly charge: { readonly total: { readonly amount: number } };
  readonly recall?: { readonly attempt: number } | null;
  readonly outbound?: { readonly state: OutboundState } | null;
}

/** What leaves a warehouse: a supply order, or a package of own goods. */
export interface Shippable {
  readonly _id: string;
  readonly status: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
}

/** A package, of own goods where it has no partnership. */
export interface OwnPackage extends Shippable {
  readonly partnership: string | null;
  /** Null where its platform alone had it shipped before the hub knew of it. */
  readonly shipment?: object | null;
  readonly failure?: { readonly code: string } | null;
}

/** Own goods that a warehouse of the hub's books gave; others left without it, as their platform says. */
export const isFromBooks = ({ partnership, shipment, failure }: OwnPackage): boolean =>
  partnership === null && shipment !== null && failure?.code !== 'insufficient_stock';

/** All that is known of one package. */
export interface PackageFacts {
  readonly id: string;
  /** Null where there is no such package. */
  readonly pkg: (OwnPackage & { readonly supplyOrder: string | null }) | null;
  readonly supplyOrders: readonly SuppliedOrder[];
  readonly records: readonly BookedRecord[];
  /** Units that left by the journal, by the entry's id. */
  readonly shipped: ReadonlyMap<string, number>;
}

/** The journal's key of what left for one SKU of a supply order. */
const shipmentKey = (supplyOrder: string, sku: string) => `${supplyOrder}/ship/${sku}`;
const isRefund = ({ type }: BookedRecord) => REFUND_TYPES.includes(type);

/** Units by the key of their journal entry, of all of these that were shipped. */
export function shipmentsOf(supplyOrders: readonly Shippable[]): Map<string, number> {
  const units = new Map<string, number>();
  for (const { _id, status, lines } of supplyOrders)
    if (hasLeft(status))
      for (const { sku, quantity } of lines) {
        const key = shipmentKey(_id, sku);
        units.set(key, (units.get(key) ?? 0) + quantity);
      }
  return units;
}

/** Judges charges, refunds and shipments of one package. */
export function judgePackage(facts: PackageFacts): Discrepancy[] {
  const { id, pkg, supplyOrders, shipped } = facts;
  const corrections = facts.records.filter(({ correction }) => correction !== null && correction.record !== null);
  /** What a record comes to with its corrections. */
  const worth = (record: BookedRecord) =>
    corrections.reduce(
      (sum, one) =>
        one.correction?.record === record._id && one.partnership === record.partnership ? sum + one.amount : sum,
      record.amount,
    );
  const records = facts.records.filter((record) => !corrections.includes(record) && worth(record) !== 0);
  const problems: Discrepancy[] = [];
  const add = (kind: DiscrepancyKind, subject: string, partnership: string | null, more: Partial<Discrepancy>) =>
    problems.push(of(kind, subject, partnership, more));
  const correct = (record: BookedRecord, to: number): Partial<Discrepancy> => ({
    documents: [record._id, ...(record.document === null ? [] : [record.document])],
    expected: String(to),
    found: String(worth(record)),
    lacks: {
      type: 'adjustment',
      amount: to - worth(record),
      id: `verify/${record._id}/${to}`,
      ...{ package: id, document: record.document, record: record._id, jump: null, balance: null },
    },
  });
  if (pkg?.supplyOrder && !supplyOrders.some(({ _id }) => _id === pkg.supplyOrder))
    add('supply_order_missing', id, pkg.partnership, { documents: [id, pkg.supplyOrder] });
  for (const row of supplyOrders) {
    // Not the package's yet, or never: its push waits for the operator of a warehouse, or was undone.
    const isPackages = row.outbound?.state !== 'creating' && !isUndone(row.outbound) && !isFormer(row, facts);
    if (isPackages && pkg?.supplyOrder !== row._id)
      add('supply_order_without_package', row._id, row.partnership, { documents: [row._id, id] });
    judgeSupplyOrder(row, records, { worth, add, correct });
  }
  for (const [key, quantity] of shipmentsOf([...supplyOrders, ...(pkg && isFromBooks(pkg) ? [pkg] : [])]))
    if (shipped.get(key) !== quantity)
      add('shipment_not_journalled', key, supplyOrders[0]?.partnership ?? null, {
        documents: [id, key],
        expected: String(quantity),
        found: String(shipped.get(key) ?? 0),
      });
  const charges = records.filter(({ type }) => type === 'order_push');
  for (const record of charges)
    if (!supplyOrders.some((row) => isOf(record, row)) && !isReversed(record, records))
      add('charge_without_supply_order', record._id, record.partnership, {
        ...correct(record, 0),
        // Its id says of which package it is: that is what was altered, and nothing was charged wrongly.
        ...(record._id.startsWith('push/') && !record._id.startsWith(`push/${id}/`) ? { lacks: null } : {}),
      });
  const isTold = problems.some(({ kind }) => kind === 'refund_wrong' || kind === 'refund_unfounded');
  // What one account was charged gives nothing back to another.
  for (const account of new Set(records.map(({ partnership }) => partnership)))
    judgeRefunds(
      records.filter(({ partnership }) => partnership === account),
      { worth, add, correct },
      isTold,
    );
  return problems;
}

/** Never without a charge, never more; of the records of one package in one account. */
function judgeRefunds(records: readonly BookedRecord[], { worth, add, correct }: Judging, isTold: boolean): void {
  const charges = records.filter(({ type }) => type === 'order_push');
  const charged = charges.reduce((sum, record) => sum - worth(record), 0);
  const refunds = records.filter(isRefund);
  for (const record of refunds)
    if (charges.length === 0) add('refund_without_charge', record._id, record.partnership, correct(record, 0));
  const refunded = refunds.reduce((sum, record) => sum + worth(record), 0);
  const last = refunds.at(-1);
  if (last && charges.length > 0 && refunded > charged && !isTold)
    add('refund_exceeds_charge', last._id, last.partnership, correct(last, worth(last) - (refunded - charged)));
}

/** Whether a record is about that supply order, and in the account it is charged to. */
const isOf = ({ document, partnership }: BookedRecord, row: Pick<SuppliedOrder, '_id' | 'partnership'>) =>
  document === row._id && partnership === row.partnership;

/** Of an attempt that was recalled for a cancellation which did not come about: the package can be pushed again, or was. */
const isFormer = ({ status, attempt }: SuppliedOrder, { pkg, supplyOrders }: PackageFacts) =>
  status === 'cancelled' &&
  pkg !== null &&
  (pkg.status !== 'recalled' || supplyOrders.some((other) => other.attempt > attempt));

/** A charge that was taken back whole needs no supply order. */
const isReversed = (charge: BookedRecord, records: readonly BookedRecord[]) =>
  records.some(
    ({ type, document, partnership, amount }) =>
      type === 'push_reversal' &&
      document === charge.document &&
      partnership === charge.partnership &&
      amount === -charge.amount,
  );

interface Judging {
  worth(record: BookedRecord): number;
  add(kind: DiscrepancyKind, subject: string, partnership: string, more: Partial<Discrepancy>): void;
  correct(record: BookedRecord, to: number): Partial<Discrepancy>;
}

/** Charged exactly once, and given back exactly when it was cancelled. */
function judgeSupplyOrder(
  row: SuppliedOrder,
  records: readonly BookedRecord[],
  { worth, add, correct }: Judging,
): void {
  const { _id, partnership, package: pkg, attempt } = row;
  const total = row.charge.total.amount;
  const own = records.filter((record) => isOf(record, row));
  const [charge, ...more] = own.filter(({ type }) => type === 'order_push');
  const documents = [_id, pkg];
  const lack = { package: pkg, document: _id, record: null, jump: null, balance: null };
  if (!charge && total !== 0)
    add('charge_missing', _id, partnership, {
      documents,
      expected: String(-total),
      lacks: { ...lack, type: 'order_push', amount: -total, id: `push/${pkg}/${attempt}` },
    });
  if (charge && worth(charge) !== -total) add('charge_wrong', charge._id, partnership, correct(charge, -total));
  for (const again of more) add('charged_twice', again._id, partnership, correct(again, 0));
  const [refund, ...others] = own.filter(({ type }) => type === 'order_recall' || type === 'push_reversal');
  if (row.status !== 'cancelled') {
    for (const one of refund ? [refund, ...others] : []) add('refund_unfounded', one._id, partnership, correct(one, 0));
    return;
  }
  if (!refund && total !== 0)
    add('refund_missing', _id, partnership, {
      documents,
      expected: String(total),
      lacks: {
        ...lack,
        ...(isUndone(row.outbound)
          ? { type: 'push_reversal' as const, id: `push_reversal/${pkg}/${attempt}` }
          : { type: 'order_recall' as const, id: `recall/${pkg}/${row.recall?.attempt ?? 1}` }),
        amount: total,
      },
    });
  if (refund && worth(refund) !== total) add('refund_wrong', refund._id, partnership, correct(refund, total));
  for (const again of others) add('refund_wrong', again._id, partnership, correct(again, 0));
}

/**
 * The entries that make one account's discrepancies good, by discrepancy; for some there is none. What is missing in the row
 * of records is what a supply order misses where the amounts say so: then the balance holds it already. Where they don't,
 * nothing that is missing is booked by itself: it might be booked twice.
 */
export function planCompensations<D extends Pick<Discrepancy, 'kind' | 'lacks'>>(
  discrepancies: readonly D[],
): Map<D, Compensation> {
  const plan = new Map<D, Compensation>();
  const entry = (lack: Lack, number: number | null, movesBalance: boolean): Compensation => ({
    ...{ id: lack.id, type: lack.type, amount: lack.amount, package: lack.package, document: lack.document },
    correction: { number, record: lack.record, movesBalance },
    balance: lack.balance,
  });
  const lacking = discrepancies.flatMap((one) => (one.lacks === null ? [] : [{ one, lack: one.lacks }]));
  const jumps = lacking.filter(({ lack }) => lack.jump !== null);
  const gaps = jumps.filter(({ lack }) => (lack.jump?.missing ?? 0) > 0);
  const altered = new Set(jumps.flatMap(({ lack }) => (lack.jump?.missing === 0 ? (lack.record ?? []) : [])));
  let absent = lacking.filter(({ one }) => one.kind === 'charge_missing' || one.kind === 'refund_missing');
  const unmatched: typeof gaps = [];
  for (const gap of gaps) {
    const { number = 0, missing = 0 } = gap.lack.jump ?? {};
    const alone = absent.filter(({ lack }) => lack.amount === gap.lack.amount).slice(0, 1);
    const together =
      absent.length === missing && absent.reduce((sum, { lack }) => sum + lack.amount, 0) === gap.lack.amount;
    const matched = missing === 1 ? alone : together ? absent : [];
    for (const { one, lack } of matched) plan.set(one, entry(lack, number, false));
    absent = absent.filter((one) => !matched.includes(one));
    if (matched.length === 0) unmatched.push(gap);
  }
  for (const { one, lack } of unmatched) plan.set(one, entry(lack, lack.jump?.number ?? null, false));
  if (unmatched.every(({ lack }) => lack.amount === 0))
    for (const { one, lack } of absent) plan.set(one, entry(lack, null, true));
  for (const { one, lack } of jumps) if (lack.jump?.missing === 0) plan.set(one, entry(lack, lack.jump.number, false));
  for (const { one, lack } of lacking) {
    const isOther = lack.jump === null && one.kind !== 'charge_missing' && one.kind !== 'refund_missing';
    // What was altered is made good where the row of records shows it.
    if (isOther && (lack.record === null || !altered.has(lack.record))) plan.set(one, entry(lack, null, true));
  }
  return plan;
}
