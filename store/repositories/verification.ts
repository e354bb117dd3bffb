/**
 * Verification of the books: what is read, in which order, and what is kept of it. Everything is streamed. What moves while
 * it runs gives no false alarm: an account is judged as it was when it was read, since its records up to its count never
 * change; any other suspect is read again, whole, in one snapshot before it is named. Contract: billing.md.
 */
import type { ClientSession } from 'mongoose';
import { idFor } from '../../domain/ids';
import type { Currency } from '../../domain/money';
import { billingVerificationId } from '../../domain/process-ids';
import {
  type Compensation,
  createAccountJudge,
  type Discrepancy,
  type DiscrepancyKind,
  isFromBooks,
  judgePackage,
  type PackageFacts,
  planCompensations,
  shipmentsOf,
} from '../../domain/verification';
import { type Database, found, type Page, type PageRequest, toPage } from '../database';
import type { BillingAccountDoc, DiscrepancyDoc, RecordDoc, VerificationDoc } from '../models/documents';
import { inBatches } from '../together';
import { createBillingRepository } from './billing';
import { type Apart, createListingCheck } from './listing-check';
import { createOperationRepository } from './operations';
import type { CapabilitiesOf } from './push-preview';
import { createStockCheck } from './stock-check';

/** The parts of a verification, in the order in which they run. */
export const CHECKS = ['accounts', 'packages', 'shipments', 'stock', 'listings'] as const;
export type Check = (typeof CHECKS)[number];

/** So many discrepancies are kept with their documents; of the others only their number. */
const KEPT_MOST = 10_000;
/** Documents looked at together. */
const BATCH = 250;

/** A discrepancy with the currency of its account; null where it is of none. */
export type ListedDiscrepancy = DiscrepancyDoc & { readonly currency: Currency | null };

/** Null: the whole hub. */
export type Scope = string | null;
/** Told of each batch, so that a long check is known to be alive. */
export type Beat = (seen: number) => void;
export type Found = AsyncGenerator<Discrepancy, void, void>;

const ownedBy = (scope: Scope) => (scope === null ? {} : { $or: [{ supplier: scope }, { distributor: scope }] });

const grouped = <T>(rows: readonly T[], keyOf: (row: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
};

const IN_PACKAGE = { supplyOrder: 1, partnership: 1, status: 1, lines: 1, shipment: 1, failure: 1 } as const;
const IN_SUPPLY_ORDER = {
  ...{ partnership: 1, package: 1, attempt: 1, status: 1, lines: 1, 'charge.total': 1, 'recall.attempt': 1 },
  'outbound.state': 1,
} as const;

export function createVerificationRepository(db: Database) {
  const { models, now } = db;
  const billing = createBillingRepository(db);
  const operations = createOperationRepository(db);
  const checkStock = createStockCheck(db);
  const checkListings = createListingCheck(db);

  /** What is known of these packages: as it is, or in one snapshot. */
  async function packageFacts(session: ClientSession | null, ids: readonly string[]): Promise<PackageFacts[]> {
    const among = { $in: [...ids] };
    const packages = await models.packages.find({ _id: among }, IN_PACKAGE).session(session).lean();
    const supplyOrders = await models.supplyOrders.find({ package: among }, IN_SUPPLY_ORDER).session(session).lean();
    const records = await models.records.find({ package: among }).sort({ number: 1 }).session(session).lean();
    const own = packages.filter(isFromBooks);
    const keys = [...shipmentsOf([...supplyOrders, ...own]).keys()];
    const entries =
      keys.length === 0
        ? []
        : await models.stockJournal
            .find({ _id: { $in: keys } }, { before: 1, after: 1 })
            .session(session)
            .lean();
    const shipped = new Map(
      entries.map(({ _id, before, after }) => {
        const gone = before.onHand - after.onHand;
        const released = before.allocated - after.allocated;
        // Own goods leave from what is available, too, where they were not allocated.
        return [_id, released === gone || (released === 0 && _id.startsWith('pkg')) ? gone : Number.NaN];
      }),
    );
    const [ofOrders, ofRecords] = [
      grouped(supplyOrders, (row) => row.package),
      grouped(records, (row) => row.package ?? ''),
    ];
    return ids.map((id) => ({
      id,
      pkg: packages.find(({ _id }) => _id === id) ?? null,
      supplyOrders: ofOrders.get(id) ?? [],
      records: ofRecords.get(id) ?? [],
      shipped,
    })) as unknown as PackageFacts[];
  }

  /** Judges packages; a suspect is judged again by itself, in a snapshot. */
  async function* judged(ids: readonly string[]): Found {
    for (const facts of await packageFacts(null, ids))
      if (judgePackage(facts).length > 0)
        yield* await db.transact(async (session) => (await packageFacts(session, [facts.id])).flatMap(judgePackage));
  }

  /** All of an account, as it was when it was read. */
  async function judgeAccount(account: BillingAccountDoc, seen: () => void): Promise<Discrepancy[]> {
    const judge = createAccountJudge(account);
    const upTo = { partnership: account._id, number: { $lte: account.records } };
    for await (const record of models.records.find(upTo).sort({ number: 1 }).lean().cursor({ batchSize: 1_000 })) {
      judge.take(record as RecordDoc);
      seen();
    }
    return [...judge.end(), ...(await aroundAccount(account._id))];
  }

  /** Records past the end of the row, and parties that are not the partnership's: in one snapshot. */
  function aroundAccount(id: string): Promise<Discrepancy[]> {
    return db.transact(async (session) => {
      const account = found(await models.billingAccounts.findById(id).session(session).lean(), 'billing account');
      const beyond = await models.records
        .find({ partnership: id, number: { $gt: account.records } }, { _id: 1, number: 1 })
        .limit(100)
        .session(session)
        .lean();
      const terms = await models.partnerships.findById(id, { supplier: 1, distributor: 1 }).session(session).lean();
      const plain = { partnership: id, expected: null, lacks: null } as const;
      const problems = beyond.map(
        ({ _id, number }): Discrepancy => ({
          ...{ ...plain, kind: 'record_inserted', subject: _id, documents: [_id, id], found: `number ${number}` },
        }),
      );
      if (terms?.supplier !== account.supplier || terms.distributor !== account.distributor)
        problems.push({
          ...{ ...plain, kind: 'parties_differ', subject: id, documents: [id] },
          expected: `${terms?.supplier} ${terms?.distributor}`,
          found: `${account.supplier} ${account.distributor}`,
        });
      return problems;
    });
  }

  async function* accounts(scope: Scope, beat: Beat): Found {
    let seen = 0;
    const cursor = models.billingAccounts.find(ownedBy(scope)).lean().cursor({ batchSize: 100, noCursorTimeout: true });
    for await (const account of cursor) {
      // Read again: the cursor may have held it for long.
      const fresh = await models.billingAccounts.findById(account._id).lean();
      if (!fresh) continue;
      yield* await judgeAccount(fresh, () => {
        seen += 1;
        if (seen % 1_000 === 0) beat(seen);
      });
    }
    yield* orphans(scope);
    beat(seen);
  }

  /** Records of accounts that are not there. */
  async function* orphans(scope: Scope): Found {
    const groups = models.records
      .aggregate<{ _id: string; record: string }>([
        { $match: ownedBy(scope) },
        { $group: { _id: '$partnership', record: { $first: '$_id' } } },
      ])
      .cursor({ batchSize: 500 });
    for await (const batch of inBatches(groups as AsyncIterable<{ _id: string; record: string }>, BATCH)) {
      const rows = await models.billingAccounts.find({ _id: { $in: batch.map(({ _id }) => _id) } }, { _id: 1 }).lean();
      const there = new Set(rows.map(({ _id }) => _id));
      for (const { _id, record } of batch)
        if (!there.has(_id))
          yield {
            ...{ kind: 'record_without_account', subject: record, partnership: _id, documents: [record, _id] },
            ...{ expected: null, found: null, lacks: null },
          };
    }
  }

  /** Packages, and what names packages that are not there. */
  async function* packages(scope: Scope, beat: Beat): Found {
    let seen = 0;
    const filter = scope === null ? {} : { $or: [{ account: scope }, { supplier: scope }] };
    const cursor = models.packages.find(filter, { _id: 1 }).lean().cursor({ batchSize: 1_000 });
    for await (const batch of inBatches(cursor, BATCH)) {
      yield* judged(batch.map(({ _id }) => _id));
      seen += batch.length;
      beat(seen);
    }
    const naming = [
      models.supplyOrders.find(ownedBy(scope), { package: 1 }).lean().cursor({ batchSize: 1_000 }),
      models.records
        .find({ ...ownedBy(scope), package: { $ne: null } }, { package: 1 })
        .lean()
        .cursor({ batchSize: 1_000 }),
    ] as AsyncIterable<{ package: string }>[];
    for (const rows of naming)
      for await (const batch of inBatches(rows, BATCH * 2)) {
        const ids = [...new Set(batch.map((row) => row.package))];
        const there = await models.packages.find({ _id: { $in: ids } }, { _id: 1 }).lean();
        const known = new Set(there.map(({ _id }) => _id));
        yield* judged(ids.filter((id) => !known.has(id)));
        beat(seen);
      }
  }

  /** The other way round: what the journal says left, that no supply order shipped. */
  async function* shipments(scope: Scope, beat: Beat): Found {
    let seen = 0;
    const filter = { kind: 'ship' as const, ...(scope === null ? {} : { account: scope }) };
    const cursor = models.stockJournal.find(filter, { document: 1 }).lean().cursor({ batchSize: 1_000 });
    for await (const batch of inBatches(cursor, BATCH)) {
      const unknown = async (session: ClientSession | null, rows: readonly { _id: string; document: string }[]) => {
        const among = { $in: [...new Set(rows.map(({ document }) => document))] };
        const supplied = await models.supplyOrders.find({ package: among }, IN_SUPPLY_ORDER).session(session).lean();
        // By their ids alone: with another field beside them the embedded engine looks at every package there is.
        const packaged = await models.packages.find({ _id: among }, IN_PACKAGE).session(session).lean();
        const own = packaged.filter((pkg) => pkg.partnership === null && isFromBooks(pkg));
        const shipped = shipmentsOf([...supplied, ...own]);
        return rows.filter(({ _id }) => !shipped.has(_id));
      };
      for (const row of await unknown(null, batch)) {
        const [still] = await db.transact((session) => unknown(session, [row]));
        if (still)
          yield {
            ...{
              kind: 'journal_without_shipment',
              subject: row._id,
              partnership: null,
              documents: [row._id, row.document],
            },
            ...{ expected: null, found: null, lacks: null },
          };
      }
      seen += batch.length;
      beat(seen);
    }
  }

  const checks: Record<Check, (scope: Scope, beat: Beat, apart: Apart, capabilitiesOf: CapabilitiesOf) => Found> = {
    ...{ accounts, packages, shipments },
    stock: checkStock,
    listings: checkListings,
  };

  const rowOf = (verification: string, one: Discrepancy): DiscrepancyDoc => ({
    _id: `${verification}/${one.kind}/${one.subject}`,
    verification,
    ...one,
    documents: [...one.documents],
    compensation: null,
    booked: null,
  });

  async function keep(verification: string, found: readonly Discrepancy[]): Promise<void> {
    if (found.length === 0) return;
    await models.discrepancies.collection.bulkWrite(
      found.map((one) => {
        const { _id, ...row } = rowOf(verification, one);
        return { updateOne: { filter: { _id }, update: { $setOnInsert: row }, upsert: true } };
      }) as never,
      { ordered: false },
    );
  }

  async function kept(filter: object): Promise<DiscrepancyDoc[]> {
    return models.discrepancies.find(filter).sort({ _id: 1 }).limit(KEPT_MOST).lean();
  }

  /** Which partnerships have something that may be made good. */
  const concerned = (verification: string): Promise<string[]> =>
    models.discrepancies.distinct('partnership', { verification, lacks: { $ne: null } }) as Promise<string[]>;

  /** What makes an account's discrepancies good, as the books are now. */
  async function planned(
    partnership: string,
    rows: readonly DiscrepancyDoc[],
  ): Promise<Map<DiscrepancyDoc, Compensation>> {
    const account = await models.billingAccounts.findById(partnership).lean();
    if (account === null) return new Map();
    const plan = planCompensations(rows);
    const ids = [...plan.values()].map(({ id }) => id);
    const there = await models.records.find({ _id: { $in: ids } }, { package: 1 }).lean();
    const packages = new Map(there.map((record) => [record._id, record.package]));
    // A record of that id which is about something else: what it is for was altered, and it can't be booked again.
    for (const [row, { id, package: pkg }] of plan) if (packages.has(id) && packages.get(id) !== pkg) plan.delete(row);
    return plan;
  }

  /** Books one entry; nothing where the account moved past what it is for. @returns the record's id */
  async function bookOne(partnership: string, entry: Compensation): Promise<string | null> {
    return db.transact(async (session) => {
      const done = await models.records.findById(entry.id).session(session).lean();
      if (done) return done._id;
      const account = found(await models.billingAccounts.findById(partnership).session(session).lean(), 'account');
      if (entry.balance !== null) {
        const { modifiedCount } = await models.billingAccounts.updateOne(
          { _id: partnership, balance: entry.balance.from, records: account.records },
          { $set: { balance: entry.balance.to } },
          { session },
        );
        if (modifiedCount === 0) return null;
      }
      const { number } = entry.correction;
      // The tail of the row was cut off: it shows at the number of this entry, unless somebody booked meanwhile.
      if (number !== null && number > account.records + 1) return null;
      const record = await billing.book(session, {
        ...{ id: entry.id, partnership, type: entry.type, amount: entry.amount, currency: account.currency },
        ...(entry.package === null ? {} : { package: entry.package }),
        ...(entry.document === null ? {} : { document: entry.document }),
        note: 'Compensation, booked by a verification',
        correction: entry.correction,
      });
      return record._id;
    }, `billing/${partnership}`);
  }

  async function withCurrency(rows: readonly DiscrepancyDoc[]): Promise<ListedDiscrepancy[]> {
    const ids = [...new Set(rows.flatMap(({ partnership }) => partnership ?? []))];
    const accounts = await models.billingAccounts.find({ _id: { $in: ids } }, { currency: 1 }).lean();
    const currencies = new Map(accounts.map(({ _id, currency }) => [_id, currency]));
    return rows.map((row) => ({ ...row, currency: currencies.get(row.partnership ?? '') ?? null }));
  }

  return {
    /**
     * Makes a verification and lists it as an operation; the same command finds the one it made.
     * @param how.unlisted it runs in this process: no workflow is to be started for it
     */
    async add(
      scope: Scope,
      command: string,
      input: { repair: boolean; dryRun: boolean },
      how: { unlisted?: boolean } = {},
    ): Promise<VerificationDoc> {
      const row: VerificationDoc = {
        ...{ _id: idFor('verification', command), account: scope, ...input, status: 'running' },
        ...{ checks: {}, found: 0, booked: 0, createdAt: now(), endedAt: null },
      };
      return db.transact(async (session) => {
        const there = await models.verifications.findById(row._id).session(session).lean();
        if (there) return there;
        await models.verifications.create([row], { session });
        if (!how.unlisted)
          await operations.begin(session, {
            workflowId: billingVerificationId(row._id),
            kind: 'billing_verification',
            accounts: scope === null ? [] : [scope],
            document: row._id,
          });
        return row;
      });
    },

    async get(account: string, id: string): Promise<VerificationDoc> {
      return found(await models.verifications.findOne({ _id: id, account }).lean(), 'verification');
    },
    async byId(id: string): Promise<VerificationDoc> {
      return found(await models.verifications.findById(id).lean(), 'verification');
    },

    /**
     * Runs one check to its end and keeps what it finds. Safe to repeat. @returns how many documents it looked at
     * @param capabilitiesOf what listings can do and hold on each platform
     */
    async run(id: string, check: Check, beat: Beat, capabilitiesOf: CapabilitiesOf): Promise<number> {
      const { account } = await this.byId(id);
      let seen = 0;
      let foundHere = 0;
      const apart: Apart = {};
      const told = (count: number) => {
        seen = count;
        beat(count);
      };
      let room = KEPT_MOST - (await models.discrepancies.countDocuments({ verification: id }));
      for await (const batch of inBatches(checks[check](account, told, apart, capabilitiesOf), 50)) {
        foundHere += batch.length;
        await keep(id, batch.slice(0, Math.max(0, room)));
        room -= batch.length;
        beat(seen);
        // Past this the books are in ruins, and each further suspect would cost a transaction.
        if (room <= 0) break;
      }
      await models.verifications.updateOne(
        { _id: id },
        { $set: { [`checks.${check}`]: { seen, found: foundHere, whole: room > 0, apart } } },
      );
      return seen;
    },

    /** Writes beside each discrepancy the entry that would make it good. Only the supplier's books can be mended by them. */
    async plan(id: string): Promise<void> {
      for (const partnership of await concerned(id)) {
        const rows = await kept({ verification: id, partnership, lacks: { $ne: null } });
        for (const [row, compensation] of await planned(partnership, rows))
          await models.discrepancies.updateOne({ _id: row._id }, { $set: { compensation } });
      }
    },

    /** Books the entries that were planned. Safe to repeat: each has its own transaction id. @returns how many are booked */
    async repair(id: string, beat: Beat): Promise<number> {
      const { account } = await this.byId(id);
      let booked = 0;
      const rows = await kept({ verification: id, compensation: { $ne: null } });
      // First what the balance holds already, then what moves it: the row of records is whole before it goes on.
      const order = ({ compensation }: DiscrepancyDoc) => (compensation?.correction.movesBalance ? 1 : 0);
      for (const row of rows.sort((a, b) => order(a) - order(b))) {
        const owner = row.partnership === null ? null : await models.billingAccounts.findById(row.partnership).lean();
        if (!owner || !row.compensation || (account !== null && owner.supplier !== account)) continue;
        const record = await bookOne(owner._id, row.compensation);
        if (record === null) continue;
        await models.discrepancies.updateOne({ _id: row._id }, { $set: { booked: record } });
        booked += 1;
        beat(booked);
      }
      await models.verifications.updateOne({ _id: id }, { $set: { booked } });
      return booked;
    },

    /** It is over: done, or ended without having looked at everything. */
    async end(
      id: string,
      status: 'done' | 'failed' | 'abandoned',
      failure?: { code: string; detail: string },
    ): Promise<void> {
      await db.transact(async (session) => {
        const count = await models.discrepancies.countDocuments({ verification: id }).session(session);
        const row = await models.verifications
          .findOneAndUpdate(
            { _id: id, status: 'running' },
            { $set: { status, found: count, endedAt: now() } },
            { session, returnDocument: 'after' },
          )
          .lean();
        if (!row) return;
        const seen = Object.values(row.checks).reduce((sum, one) => sum + one.seen, 0);
        await operations.end(session, billingVerificationId(id), status, {
          result: { verification: id, ok: status === 'done' && count === 0, found: count, booked: row.booked },
          progress: { done: seen, failed: count, total: seen },
          ...(failure ? { error: { code: failure.code as never, detail: failure.detail } } : {}),
        });
      });
    },

    /** How many of each kind. */
    async kinds(id: string): Promise<{ kind: DiscrepancyKind; count: number }[]> {
      const rows = await models.discrepancies.aggregate<{ _id: DiscrepancyKind; count: number }>([
        { $match: { verification: id } },
        { $group: { _id: '$kind', count: { $sum: 1 } } },
        { $sort: { _id: 1 } },
      ]);
      return rows.map(({ _id, count }) => ({ kind: _id, count }));
    },

    async discrepancies(id: string, page: PageRequest): Promise<Page<ListedDiscrepancy>> {
      const rows = await models.discrepancies
        .find({ verification: id, ...(page.after === null ? {} : { _id: { $gt: page.after } }) })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(await withCurrency(rows), page.limit, ({ _id }) => _id);
    },
    async *all(id: string): AsyncGenerator<ListedDiscrepancy> {
      const rows = models.discrepancies.find({ verification: id }).sort({ _id: 1 }).lean().cursor({ batchSize: 500 });
      for await (const batch of inBatches(rows, 500)) yield* await withCurrency(batch);
    },
  };
}
