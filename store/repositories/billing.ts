/** Billing accounts and reconciliation records. Contract: billing.md. Records are only ever inserted. */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { convert, creditDueAt, creditUseAfter, fallsBelow, hasSignOf, type RecordType } from '../../domain/ledger';
import { type Currency, type Money, toMoneyText } from '../../domain/money';
import type { Charge } from '../../domain/pricing';
import { type Database, found, isDuplicateKey, type Page, type PageRequest, toPage } from '../database';
import type { BillingAccountDoc, ConversionDoc, CorrectionDoc, RecordDoc } from '../models/documents';
import { createNotificationRepository } from './notifications';
import { createPriceRepository } from './prices';

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
  /** Where the amount was given in another currency. */
  readonly given?: ConversionDoc;
  /** Where it makes good what another record lacks. */
  readonly correction?: CorrectionDoc;
}

export interface Credit {
  readonly limit: Money;
  readonly periodDays: number | null;
  /** See BillingAccountDoc; left as it is where it is not given. */
  readonly lowBalance?: Money | null;
}

/** 422 `currency_mismatch`, naming each amount that is not in the account's currency. */
function requireCurrency(currency: Currency, credit: Credit): void {
  const wrong = (['limit', 'lowBalance'] as const).filter(
    (field) => (credit[field]?.currency ?? currency) !== currency,
  );
  if (wrong.length > 0)
    throw new HubError('currency_mismatch', `The account is kept in ${currency}`, {
      errors: wrong.map((field) => ({
        pointer: `/${field}/currency`,
        code: 'currency_mismatch',
        detail: `must be ${currency}`,
      })),
    });
}

/** Who sees an account from which side. */
const isPartyOf = ({ supplier, distributor }: BillingAccountDoc, account: string) =>
  supplier === account || distributor === account;

export function createBillingRepository(db: Database) {
  const { models, now } = db;
  const notifications = createNotificationRepository(db);
  const pricing = createPriceRepository(db);

  /** The record of that id; 409 `transaction_id_reused` where it is of another account, kind or amount. */
  async function bookedAs(
    session: ClientSession | null,
    booking: Pick<Booking, 'id' | 'partnership' | 'type'> & { amount: Money },
  ): Promise<RecordDoc | null> {
    const byId = { _id: booking.id } as never;
    const old = (await models.records.collection.findOne(byId, session ? { session } : {})) as RecordDoc | null;
    if (!old) return null;
    const given = old.given ?? old;
    const isSame =
      old.partnership === booking.partnership &&
      old.type === booking.type &&
      given.amount === booking.amount.amount &&
      given.currency === booking.amount.currency;
    if (!isSame) throw new HubError('transaction_id_reused', `${booking.id} was booked with another amount`);
    return old;
  }

  /** Both sides are told, once each. */
  async function tellBoth(
    session: ClientSession,
    { _id, supplier, distributor }: BillingAccountDoc,
    notice: { event: 'balance_low' | 'credit_period_expired'; occurrence: string; detail: string },
  ): Promise<void> {
    for (const account of [distributor, supplier])
      await notifications.notify(session, { ...notice, account, document: _id });
  }

  /** The end of the credit period, with the balance there was. A period's end is told once. */
  function tellExpired(session: ClientSession, account: BillingAccountDoc, balance: number): Promise<void> {
    const { _id, currency, creditSince, creditDueAt: dueAt } = account;
    const used = toMoneyText({ amount: Math.max(0, -balance), currency });
    return tellBoth(session, account, {
      event: 'credit_period_expired',
      occurrence: `${_id}/${creditSince?.getTime()}/${dueAt?.getTime()}`,
      detail: `It ended at ${dueAt?.toISOString()}; ${used.amount} ${used.currency} of credit are in use`,
    });
  }

  /** What a booking changes besides the balance: the credit period begins or ends, a low balance is told. */
  async function follow(session: ClientSession, account: BillingAccountDoc, moved: number): Promise<void> {
    const { _id, balance, currency, records, creditTellAt } = account;
    const at = account.lastRecordAt ?? now();
    const use = creditUseAfter(account.creditSince, { balance, at, periodDays: account.creditPeriodDays });
    // Paid too late, but before the sweep came by: it ran out all the same.
    if (use !== null && creditTellAt !== null && creditTellAt <= at)
      await tellExpired(session, account, balance - moved);
    if (use !== null)
      await models.billingAccounts.collection.updateOne(
        { _id: _id as never },
        { $set: { creditSince: use.since, creditDueAt: use.dueAt, creditTellAt: use.dueAt } },
        { session },
      );
    if (account.lowBalance === null || !fallsBelow(balance - moved, balance, account.lowBalance)) return;
    const [is, threshold] = [balance, account.lowBalance].map((amount) => toMoneyText({ amount, currency }).amount);
    await tellBoth(session, account, {
      event: 'balance_low',
      occurrence: `${_id}/${records}`,
      detail: `The balance is ${is} ${currency}, below ${threshold} ${currency}`,
    });
  }

  /**
   * Books, in the caller's transaction; only an `order_push` is refused for funds. The same id again changes nothing and
   * answers with the record there is; with another amount it is 409 `transaction_id_reused`.
   */
  async function book(session: ClientSession, booking: Booking): Promise<RecordDoc> {
    const { amount, correction } = booking;
    if (!hasSignOf(booking.type, amount) && !correction)
      throw new Error(`${booking.type} with the amount ${amount}: of the wrong sign`);
    const { amount: inItsCurrency, currency } = booking.given ?? booking;
    const old = await bookedAs(session, { ...booking, amount: { amount: inItsCurrency, currency } });
    if (old) return old;
    const guarded = booking.type === 'order_push' && !correction;
    const funds = guarded ? { $expr: { $gte: [{ $add: ['$balance', amount, '$creditLimit'] }, 0] } } : {};
    const moved = correction?.movesBalance === false ? 0 : amount;
    const account = (await models.billingAccounts.collection.findOneAndUpdate(
      { _id: booking.partnership, currency: booking.currency, ...funds } as never,
      // The time never goes back, whichever process books: what lies in a period is what stands in a row.
      { $inc: { balance: moved, records: 1 }, $max: { lastRecordAt: now() } },
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
    if (!Number.isSafeInteger(account.balance)) throw new HubError('invalid_input', 'The balance would be too large');
    const record: RecordDoc = {
      _id: booking.id,
      partnership: booking.partnership,
      supplier: account.supplier,
      distributor: account.distributor,
      number: account.records,
      type: booking.type,
      package: booking.package ?? null,
      document: booking.document ?? null,
      lines: [...(booking.lines ?? [])],
      note: booking.note ?? null,
      amount,
      currency: booking.currency,
      given: booking.given ?? null,
      balanceAfter: account.balance,
      correction: correction ?? null,
      at: account.lastRecordAt ?? now(),
    };
    await models.records.collection.insertOne(record as never, { session });
    await follow(session, account, moved);
    return record;
  }

  /** An amount in the account's currency: by the supplier's fixed rate for this direction, else by the live one. */
  async function settle(
    session: ClientSession,
    account: BillingAccountDoc,
    given: Money,
  ): Promise<Pick<Booking, 'amount' | 'currency' | 'given'>> {
    const { currency } = account;
    if (given.currency === currency) return { amount: given.amount, currency };
    const setup = found(await models.suppliers.findById(account.supplier).session(session).lean(), 'set-up');
    const rate = await pricing.rate(session, { ...setup, baseCurrency: given.currency }, currency);
    if (rate === null)
      throw new HubError('exchange_rate_missing', `There is no rate from ${given.currency} to ${currency}`, {
        members: { from: given.currency, to: currency },
      });
    const { amount } = convert(given, currency, rate);
    if (amount === 0)
      throw new HubError('invalid_input', `The amount comes to nothing in ${currency}`, {
        errors: [{ pointer: '/amount', code: 'too_small', detail: `must come to something in ${currency}` }],
      });
    const fetchedAt = rate.fetchedAt === undefined ? null : new Date(rate.fetchedAt);
    return { amount, currency, given: { ...given, rate: rate.text, source: rate.source, fetchedAt } };
  }

  return {
    book,

    async account(session: ClientSession | null, partnership: string): Promise<BillingAccountDoc> {
      return found(await models.billingAccounts.findById(partnership).session(session).lean(), 'billing account');
    },

    /**
     * A booking the supplier makes by hand, in any currency that there is a rate for. The same id again answers with the
     * first record; with another amount it is 409 `transaction_id_reused`. 409 `exchange_rate_missing`.
     */
    async bookByHand(
      supplier: string,
      booking: Pick<Booking, 'id' | 'partnership' | 'type' | 'document' | 'note'> & { amount: Money },
    ): Promise<RecordDoc> {
      const { partnership } = booking;
      try {
        return await db.transact(async (session) => {
          const account = found(
            await models.billingAccounts.findOne({ _id: partnership, supplier }).session(session).lean(),
            'billing account',
          );
          // A repeat, before a rate that has changed since is looked for.
          const old = await bookedAs(session, booking);
          return old ?? book(session, { ...booking, ...(await settle(session, account, booking.amount)) });
        }, `billing/${partnership}`);
      } catch (error) {
        if (isDuplicateKey(error)) return found(await bookedAs(null, booking), 'record');
        throw error;
      }
    },

    /** Sets limit, period and threshold. A period that runs is counted anew from its beginning. */
    setCredit: (supplier: string, partnership: string, credit: Credit): Promise<BillingAccountDoc> =>
      db.transact(async (session) => {
        const there = found(
          await models.billingAccounts.findOne({ _id: partnership, supplier }).session(session).lean(),
          'billing account',
        );
        requireCurrency(there.currency, credit);
        const dueAt = creditDueAt(there.creditSince, credit.periodDays);
        const isSameEnd = dueAt?.getTime() === there.creditDueAt?.getTime();
        return found(
          await models.billingAccounts
            .findOneAndUpdate(
              { _id: partnership, supplier },
              {
                $set: {
                  creditLimit: credit.limit.amount,
                  creditPeriodDays: credit.periodDays,
                  ...(credit.lowBalance === undefined ? {} : { lowBalance: credit.lowBalance?.amount ?? null }),
                  ...(isSameEnd ? {} : { creditDueAt: dueAt, creditTellAt: dueAt }),
                },
              },
              { session, returnDocument: 'after' },
            )
            .lean(),
          'billing account',
        );
      }, `billing/${partnership}`),

    /** Accounts whose credit period ended and where nobody was told of it yet. */
    async endedCreditPeriods(at: Date, limit: number): Promise<string[]> {
      const rows = await models.billingAccounts
        .find({ creditTellAt: { $lte: at } }, { _id: 1 })
        .limit(limit)
        .lean();
      return rows.map(({ _id }) => _id);
    },

    /** Tells both sides that the credit period has ended, once. It blocks nothing. */
    tellCreditPeriod: (partnership: string): Promise<void> =>
      db.transact(async (session) => {
        const account = await models.billingAccounts
          .findOneAndUpdate(
            { _id: partnership, creditTellAt: { $lte: now() } },
            { $set: { creditTellAt: null } },
            { session },
          )
          .lean();
        if (account?.creditDueAt) await tellExpired(session, account, account.balance);
      }, `billing/${partnership}`),

    /** Records of one partnership, newest first. `party` is the account that looks; it must be one of the two. */
    async records(party: string, partnership: string, page: PageRequest): Promise<Page<RecordDoc>> {
      const account = await models.billingAccounts.findById(partnership).lean();
      if (!account || !isPartyOf(account, party)) return { items: [], nextCursor: null };
      const rows = await models.records
        .find({ partnership, ...(page.after === null ? {} : { number: { $lt: Number(page.after) } }) })
        .sort({ number: -1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ number }) => String(number));
    },
  };
}
