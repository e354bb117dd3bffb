/**
 * Manual stock operations of one account take turns; all that waits for the turn goes in one transaction. Its reads, its
 * marks and its commit are then paid once, so that many changes at a time cost less each.
 */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { type AdjustmentDecision, adjust, available, levelsOf, type StockLevels } from '../../domain/stock';
import { type Database, isDuplicateKey } from '../database';
import type { StockDoc, StockJournalDoc } from '../models/documents';
import { writeTogether } from '../together';
import type { AdjustmentInput, StockAnswer } from './stock';

/** Of one transaction. */
const MOST = 20;

type Outcome =
  | { readonly is: 'done'; readonly levels: StockAnswer['levels']; readonly lanes: string[] }
  | { readonly is: 'refused'; readonly error: HubError }
  /** The first stock of its SKU there, stock that follows a source, or nothing of the account's: judged by itself. */
  | { readonly is: 'alone' };

interface Waiting {
  readonly input: AdjustmentInput;
  done(answer: StockAnswer): void;
  failed(error: unknown): void;
}

/** The refusal of an adjustment. */
export function adjustmentRefusal(
  { sku, warehouse }: Pick<AdjustmentInput, 'sku' | 'warehouse'>,
  decision: AdjustmentDecision & { readonly ok: false },
): HubError {
  const members = { sku, warehouse };
  if (decision.reason === 'quantity_below_zero')
    return new HubError('quantity_below_zero', decision.detail, { members });
  return new HubError('insufficient_stock', `${decision.available} of ${sku} are available`, {
    members: { ...members, available: decision.available },
  });
}

export function createAdjustmentGroups(
  db: Database,
  stock: {
    idOf(warehouse: string, sku: string): string;
    adjustOnce(session: ClientSession, input: AdjustmentInput): Promise<StockAnswer>;
    allocateWaiting(session: ClientSession, account: string, skus: readonly string[]): Promise<string[]>;
    markChanged(
      session: ClientSession,
      account: string,
      skus: readonly string[],
      causes: ReadonlyMap<string, string>,
    ): Promise<string[]>;
  },
) {
  const { models, now } = db;
  /** By account: those whose transaction has not begun. */
  const gathering = new Map<string, Waiting[]>();
  const turnOf = (account: string) => `stock/${account}`;

  async function together(
    session: ClientSession,
    account: string,
    inputs: readonly AdjustmentInput[],
  ): Promise<Outcome[]> {
    const ids = inputs.map(({ warehouse, sku }) => stock.idOf(warehouse, sku));
    const rows = await models.stock
      .find({ _id: { $in: ids } })
      .session(session)
      .lean();
    const repeated = await models.stockJournal
      .find({ _id: { $in: inputs.map(({ key }) => key) } })
      .session(session)
      .lean();
    const done = new Map(repeated.map((entry) => [entry._id, entry.after]));
    const stored = new Map(rows.map((row) => [row._id, row]));
    const levels = new Map<string, StockLevels>();
    const journal: Omit<StockJournalDoc, 'at'>[] = [];
    const rose = new Set<string>();
    const outcomes = inputs.map((input, index): Outcome => {
      const { sku, warehouse, kind, reason, document, key } = input;
      const id = ids[index] as string;
      const before = done.get(key);
      if (before) return { is: 'done', levels: { ...before, available: available(before) }, lanes: [] };
      const row = stored.get(id);
      if (row?.account !== account || row.mirrored) return { is: 'alone' };
      const current = levelsOf(row);
      const decision = adjust(current, kind, input.quantity);
      if (!decision.ok) return { is: 'refused', error: adjustmentRefusal(input, decision) };
      const { after } = decision;
      levels.set(id, after);
      if (available(after) > available(current)) rose.add(sku);
      journal.push({ _id: key, account, warehouse, sku, kind, reason, document, before: current, after });
      return { is: 'done', levels: { ...after, available: available(after) }, lanes: [] };
    });
    if (journal.length === 0) return outcomes;
    await writeLevels(session, stored, levels);
    const at = now();
    await models.stockJournal.collection.insertMany(journal.map((entry) => ({ ...entry, at })) as never, { session });
    const lanes = await mark(session, account, journal, [...rose]);
    return outcomes.map((outcome) => (outcome.is === 'done' ? { ...outcome, lanes } : outcome));
  }

  /** By their ids alone: who changes one of them meanwhile is a conflict, and all of this runs again. */
  async function writeLevels(
    session: ClientSession,
    stored: ReadonlyMap<string, StockDoc>,
    levels: ReadonlyMap<string, StockLevels>,
  ): Promise<void> {
    const writes = [...levels].map(([_id, after]) => {
      const before = stored.get(_id) as StockDoc;
      const by = {
        onHand: after.onHand - before.onHand,
        reserved: after.reserved - before.reserved,
        inTransit: after.inTransit - before.inTransit,
        available: available(after) - before.available,
      };
      return { updateOne: { filter: { _id }, update: { $inc: by } } };
    });
    await writeTogether(db, models.stock.collection, writes, session);
  }

  async function mark(
    session: ClientSession,
    account: string,
    journal: readonly Omit<StockJournalDoc, 'at'>[],
    rose: readonly string[],
  ): Promise<string[]> {
    const causes = new Map(journal.map(({ sku, kind, document }) => [sku, `${kind} ${document}`]));
    const promised = rose.length === 0 ? [] : await stock.allocateWaiting(session, account, rose);
    const cause = causes.get(rose[0] ?? '') ?? '';
    for (const sku of promised) if (!causes.has(sku)) causes.set(sku, cause);
    return stock.markChanged(session, account, [...causes.keys()], causes);
  }

  async function settle({ input, done, failed }: Waiting, outcome: Outcome): Promise<void> {
    if (outcome.is === 'done') return done(outcome);
    if (outcome.is === 'refused') return failed(outcome.error);
    await db.transact((session) => stock.adjustOnce(session, input), turnOf(input.account)).then(done, failed);
  }

  async function run(account: string, group: readonly Waiting[]): Promise<void> {
    // Whoever comes once it has begun gathers for the next one.
    const close = () => {
      if (gathering.get(account) === group) gathering.delete(account);
    };
    try {
      const outcomes = await db.transact((session) => {
        close();
        return together(
          session,
          account,
          group.map(({ input }) => input),
        );
      }, turnOf(account));
      await Promise.all(group.map((one, index) => settle(one, outcomes[index] as Outcome)));
    } catch (error) {
      close();
      // Two with one key came at once to two processes.
      if (isDuplicateKey(error)) await Promise.all(group.map((one) => settle(one, { is: 'alone' })));
      else for (const { failed } of group) failed(error);
    }
  }

  return (input: AdjustmentInput): Promise<StockAnswer> =>
    new Promise((done, failed) => {
      const one = { input, done, failed };
      const open = gathering.get(input.account);
      // Of one SKU one after the other, so that each counts as a change of its own.
      if (open && open.length < MOST && open.every((other) => other.input.sku !== input.sku)) {
        open.push(one);
        return;
      }
      const group = [one];
      gathering.set(input.account, group);
      void run(input.account, group);
    });
}
