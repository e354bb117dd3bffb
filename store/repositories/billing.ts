/** Billing accounts and reconciliation records. Contract: billing.md. Records are only ever inserted. */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import type { Currency, Money } from '../../domain/money';
import type { Charge } from '../../domain/pricing';
import {
  type Database,
  found,
  isDuplicateKey,
  newestFirst,
  olderThan,
  type Page,
  type PageRequest,
  timeCursor,
  toPage,
} from '../database';
import type { BillingAccountDoc, RecordDoc, RecordType } from '../models/documents';

export interface Booking {
  /** The transaction id: derived from document and attempt, so that a repeat books once. */
  readonly id: string;
  readonly partnership: string;
  readonly type: RecordType;
  /** Minor units of the settlement currency, as the distributor sees it: a charge is negative. */
  readonly amount: number;
  readonly currency: Currency;
  readonly package?: string;
  readonly document?: string;
  readonly lines?: Charge['lines'];
  readonly note?: string;
}

export type BillingRepository = ReturnType<typeof createBillingRepository>;

export function createBillingRepository(db: Database) {
  const { models, now } = db;

  /**
   * Books; only an `order_push` is refused for funds. The id is unique: a repeat its caller does not answer breaks on the
   * index and changes nothing.
   */
  async function book(session: ClientSession, booking: Booking): Promise<RecordDoc> {
    const funds =
      booking.type === 'order_push'
        ? { $expr: { $gte: [{ $add: ['$balance', booking.amount, '$creditLimit'] }, 0] } }
        : {};
    const account = (await models.billingAccounts.collection.findOneAndUpdate(
      { _id: booking.partnership, currency: booking.currency, ...funds } as never,
      { $inc: { balance: booking.amount } },
      { session, returnDocument: 'after' },
    )) as BillingAccountDoc | null;
    if (!account) {
      const there = found(
        await models.billingAccounts.findById(booking.partnership).session(session).lean(),
        'billing account',
      );
      if (there.currency !== booking.currency)
        throw new HubError('currency_mismatch', `The account is kept in ${there.currency}`);
      throw new HubError('push_blocked', 'Balance and unused credit do not cover the charge');
    }
    const record: RecordDoc = {
      _id: booking.id,
      partnership: booking.partnership,
      supplier: account.supplier,
      distributor: account.distributor,
      type: booking.type,
      package: booking.package ?? null,
      document: booking.document ?? null,
      lines: [...(booking.lines ?? [])],
      note: booking.note ?? null,
      amount: booking.amount,
      currency: booking.currency,
      balanceAfter: account.balance,
      at: now(),
    };
    await models.records.collection.insertOne(record as never, { session });
    return record;
  }

  return {
    book,

    async account(session: ClientSession | null, partnership: string): Promise<BillingAccountDoc> {
      return found(await models.billingAccounts.findById(partnership).session(session).lean(), 'billing account');
    },

    /**
     * A booking the supplier makes by hand. The same id again answers with the first record; with another amount it is
     * 409 `transaction_id_reused`.
     */
    async bookByHand(
      supplier: string,
      booking: Omit<Booking, 'currency' | 'amount'> & { amount: Money },
    ): Promise<RecordDoc> {
      const { amount, ...rest } = booking;
      found(await models.billingAccounts.findOne({ _id: booking.partnership, supplier }).lean(), 'billing account');
      const booked = async (session: ClientSession | null): Promise<RecordDoc | null> => {
        const old = await models.records.findById(booking.id).session(session).lean();
        if (old && (old.amount !== amount.amount || old.partnership !== booking.partnership))
          throw new HubError('transaction_id_reused', `${booking.id} was booked with another amount`);
        return old;
      };
      try {
        return await db.transact(
          async (session) =>
            (await booked(session)) ?? book(session, { ...rest, amount: amount.amount, currency: amount.currency }),
          `billing/${booking.partnership}`,
        );
      } catch (error) {
        if (isDuplicateKey(error)) return found(await booked(null), 'record');
        throw error;
      }
    },

    async setCredit(
      supplier: string,
      partnership: string,
      credit: { limit: Money; periodDays: number | null },
    ): Promise<BillingAccountDoc> {
      const there = found(
        await models.billingAccounts.findOne({ _id: partnership, supplier }).lean(),
        'billing account',
      );
      if (there.currency !== credit.limit.currency)
        throw new HubError('currency_mismatch', `The account is kept in ${there.currency}`);
      return found(
        await models.billingAccounts
          .findOneAndUpdate(
            { _id: partnership, supplier },
            { $set: { creditLimit: credit.limit.amount, creditPeriodDays: credit.periodDays } },
            { returnDocument: 'after' },
          )
          .lean(),
        'billing account',
      );
    },

    /** Records of one partnership, newest first. `party` is the account that looks; it must be one of the two. */
    async records(party: string, partnership: string, page: PageRequest): Promise<Page<RecordDoc>> {
      const rows = await models.records
        .find({
          partnership,
          $and: [{ $or: [{ supplier: party }, { distributor: party }] }, olderThan<RecordDoc>('at', page.after)],
        })
        .sort(newestFirst('at'))
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, (row) => timeCursor(row.at, row._id));
    },
  };
}
