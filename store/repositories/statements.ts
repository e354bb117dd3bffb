/** Statements: what an account held before a period, what was booked in it, what it held after. Contract: billing.md, Statements. */
import type { ClientSession } from 'mongoose';
import type { RecordType } from '../../domain/ledger';
import type { Currency } from '../../domain/money';
import { type Database, found, type Page, type PageRequest, toPage } from '../database';
import type { BillingAccountDoc, RecordDoc } from '../models/documents';

/** From the first moment to before the second, UTC; null is without limit. */
export interface Period {
  readonly from: Date | null;
  readonly to: Date | null;
}

export interface Total {
  readonly type: RecordType;
  readonly count: number;
  /** Minor units, as the distributor sees it. */
  readonly amount: number;
}

/** Amounts are minor units, as the distributor sees them. opening + Σ totals = closing. */
export interface Statement {
  readonly account: BillingAccountDoc;
  readonly period: Period;
  readonly opening: number;
  readonly totals: readonly Total[];
  readonly closing: number;
  readonly count: number;
  /** Nothing can be booked into the period any more. */
  readonly isFinal: boolean;
  /** The account's last record when it was drawn up. */
  readonly last: number;
}

/** The same for all accounts of one currency. */
export interface CurrencyTotals extends Pick<Statement, 'opening' | 'totals' | 'closing'> {
  readonly currency: Currency;
  readonly partnerships: number;
  /** Σ of what is above 0, and of what is below it: now. */
  readonly prepaid: number;
  readonly owed: number;
}

/** Longer than any transaction that may still book with a time of before, clocks a little apart. Milliseconds. */
const SETTLED_AFTER_MS = 300_000;

const within = ({ from, to }: Period) =>
  from === null && to === null ? {} : { at: { ...(from ? { $gte: from } : {}), ...(to ? { $lt: to } : {}) } };

interface Sum {
  readonly _id: { readonly before: boolean; readonly type: RecordType; readonly currency: Currency };
  readonly count: number;
  readonly amount: number;
}

/** One grouping of all that was booked until the period's end. */
const sumsUntil = (match: object, { from, to }: Period) => [
  { $match: { ...match, ...within({ from: null, to }) } },
  {
    $group: {
      _id: {
        before: from === null ? { $literal: false } : { $lt: ['$at', from] },
        type: '$type',
        currency: '$currency',
      },
      count: { $sum: 1 },
      amount: { $sum: '$amount' },
    },
  },
];

function totalsOf(sums: readonly Sum[]): Pick<Statement, 'opening' | 'totals' | 'closing' | 'count'> {
  const opening = sums.reduce((sum, { _id, amount }) => (_id.before ? sum + amount : sum), 0);
  const totals = sums
    .filter(({ _id }) => !_id.before)
    .map(({ _id, count, amount }): Total => ({ type: _id.type, count, amount }))
    .sort((a, b) => (a.type < b.type ? -1 : 1));
  return {
    opening,
    totals,
    closing: totals.reduce((sum, { amount }) => sum + amount, opening),
    count: totals.reduce((sum, { count }) => sum + count, 0),
  };
}

export function createStatementRepository(db: Database) {
  const { models, now } = db;

  const party = (account: string) => ({ $or: [{ supplier: account }, { distributor: account }] });

  async function drawUp(
    session: ClientSession,
    account: string,
    partnership: string,
    period: Period,
  ): Promise<Statement> {
    const row = found(
      await models.billingAccounts
        .findOne({ _id: partnership, ...party(account) })
        .session(session)
        .lean(),
      'billing account',
    );
    const sums = await models.records.aggregate<Sum>(sumsUntil({ partnership }, period)).session(session);
    const isFinal = period.to !== null && period.to.getTime() + SETTLED_AFTER_MS < now().getTime();
    return { account: row, period, ...totalsOf(sums), isFinal, last: row.records };
  }

  return {
    /** The statement of one period; `account` must be one of the two sides. 404 where nothing was ever agreed on. */
    statement: (account: string, partnership: string, period: Period): Promise<Statement> =>
      db.transact((session) => drawUp(session, account, partnership, period)),

    /** Its records, the oldest first; none that is not in its sums. */
    async page(
      { account, period, last }: Pick<Statement, 'account' | 'period' | 'last'>,
      page: PageRequest,
    ): Promise<Page<RecordDoc>> {
      const rows = await models.records
        .find({
          partnership: account._id,
          ...within(period),
          number: { $gt: Number(page.after ?? 0), $lte: last },
        })
        .sort({ number: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ number }) => String(number));
    },

    /** All of them, as they are in the statement's sums: what was booked since it was drawn up is not among them. */
    async *records({ account, period, last }: Statement): AsyncGenerator<RecordDoc> {
      const filter = { partnership: account._id, ...within(period), number: { $lte: last } };
      yield* models.records.find(filter).sort({ number: 1 }).lean().cursor({ batchSize: 500 });
    },

    /** All accounts of a supplier, summed up by currency. */
    summary: (supplier: string, period: Period): Promise<CurrencyTotals[]> =>
      db.transact(async (session) => {
        const held = await models.billingAccounts
          .aggregate<{ _id: Currency; partnerships: number; prepaid: number; owed: number; ids: string[] }>([
            { $match: { supplier } },
            {
              $group: {
                _id: '$currency',
                partnerships: { $sum: 1 },
                prepaid: { $sum: { $cond: [{ $gt: ['$balance', 0] }, '$balance', 0] } },
                owed: { $sum: { $cond: [{ $lt: ['$balance', 0] }, { $multiply: ['$balance', -1] }, 0] } },
                ids: { $push: '$_id' },
              },
            },
            { $sort: { _id: 1 } },
          ])
          .session(session);
        const all: CurrencyTotals[] = [];
        for (const { _id: currency, ids, partnerships, prepaid, owed } of held) {
          const sums = await models.records
            .aggregate<Sum>(sumsUntil({ partnership: { $in: ids } }, period))
            .session(session);
          const { opening, totals, closing } = totalsOf(sums);
          all.push({ currency, partnerships, prepaid, owed, opening, totals, closing });
        }
        return all;
      }),

    /** A supplier's accounts, by partnership. */
    async accounts(supplier: string, page: PageRequest): Promise<Page<BillingAccountDoc>> {
      const rows = await models.billingAccounts
        .find({ supplier, ...(page.after === null ? {} : { _id: { $gt: page.after } }) })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },
  };
}
