/** What an account's automation is set to, and who is told of what it made due. Contract: orders.md, Automation. */
import type { ClientSession } from 'mongoose';
import {
  AUTOMATION_KINDS,
  type AutomationKind,
  type AutomationSettings,
  NO_AUTOMATION,
  namesIn,
  settingsProblems,
} from '../../domain/automation';
import { HubError, type InputProblem } from '../../domain/failures';
import { type Database, found } from '../database';
import type { AutomationDoc } from '../models/documents';

export interface StoredAutomation<Kind extends AutomationKind> {
  readonly settings: AutomationSettings[Kind];
  /** 0: nothing was ever set. */
  readonly revision: number;
  readonly updatedAt: Date | null;
}

/** Something that is to be done by itself, now that the transaction which found it is committed. */
export type AutomationDue =
  | { readonly kind: 'push'; readonly account: string; readonly package: string }
  | { readonly kind: 'move'; readonly supplyOrder: string };

type DueListener = (due: AutomationDue) => void;

/** Other repositories tell of what is due: who listens is known per database. */
const listeners = new WeakMap<Database, DueListener>();

/** Tells after the commit. Best effort: what is due is written down, and the sweep finds it. */
export function tellDue(db: Database, session: ClientSession, due: AutomationDue): void {
  db.afterCommit(session, () => listeners.get(db)?.(due));
}

export const automationId = (account: string, kind: AutomationKind) => `${account}/${kind}`;

/** Settings of the account, and what counts for the kinds that were never set. */
export async function automationOf(
  { models }: Database,
  session: ClientSession | null,
  account: string,
): Promise<AutomationSettings> {
  const rows = await models.automations
    .find({ _id: { $in: AUTOMATION_KINDS.map((kind) => automationId(account, kind)) } })
    .session(session)
    .lean();
  return { ...NO_AUTOMATION, ...Object.fromEntries(rows.map(({ kind, settings }) => [kind, settings])) };
}

export function createAutomationRepository(db: Database) {
  const { models, now } = db;

  /** The account's own among what is named, by kind of thing. */
  async function ownOf(account: string, kind: AutomationKind, names: ReturnType<typeof namesIn>) {
    const named = (what: string) => names.flatMap((one) => (one.what === what ? [one.name] : []));
    const side = kind === 'auto-push' ? { distributor: account, status: 'partnered' as const } : { supplier: account };
    const idsOf = async (what: string, rows: (ids: string[]) => Promise<{ _id: string }[]>) => {
      const ids = named(what);
      return ids.length === 0 ? [] : (await rows(ids)).map(({ _id }) => _id);
    };
    const [stores, warehouses, partnerships, skus] = await Promise.all([
      idsOf('store', (ids) => models.stores.find({ account, _id: { $in: ids } }, { _id: 1 }).lean()),
      idsOf('warehouse', (ids) => models.warehouses.find({ account, _id: { $in: ids } }, { _id: 1 }).lean()),
      idsOf('partnership', (ids) => models.partnerships.find({ ...side, _id: { $in: ids } }, { _id: 1 }).lean()),
      models.skus.find({ account, sku: { $in: named('sku') } }, { sku: 1 }).lean(),
    ]);
    return {
      store: new Set(stores),
      warehouse: new Set(warehouses),
      partnership: new Set(partnerships),
      sku: new Set(skus.map(({ sku }) => sku)),
    };
  }

  /** 422 with everything that is wrong with the settings, or that they name and is not there. */
  async function check<Kind extends AutomationKind>(
    account: string,
    kind: Kind,
    settings: AutomationSettings[Kind],
  ): Promise<void> {
    const names = namesIn(kind, settings);
    const own = await ownOf(account, kind, names);
    const errors: InputProblem[] = [
      ...settingsProblems(kind, settings),
      ...names.flatMap(({ what, pointer, name }) =>
        own[what].has(name) ? [] : [{ pointer, code: `unknown_${what}`, detail: `There is no ${what} ${name}` }],
      ),
    ];
    if (errors.length > 0) throw new HubError('invalid_input', 'The settings can not be taken', { errors });
  }

  const storedOf = <Kind extends AutomationKind>(kind: Kind, row: AutomationDoc | null): StoredAutomation<Kind> => ({
    settings: (row?.settings ?? NO_AUTOMATION[kind]) as AutomationSettings[Kind],
    revision: row?.revision ?? 0,
    updatedAt: row?.updatedAt ?? null,
  });

  return {
    check,
    of: (account: string) => automationOf(db, null, account),

    /** What was set, or what counts where nothing was. The switch of a partnership that ended is none any more. */
    async get<Kind extends AutomationKind>(account: string, kind: Kind): Promise<StoredAutomation<Kind>> {
      const stored = storedOf(kind, await models.automations.findById(automationId(account, kind)).lean());
      if (kind !== 'auto-push') return stored;
      const { partnerships } = stored.settings as AutomationSettings['auto-push'];
      const names = partnerships.map((name) => ({ what: 'partnership' as const, pointer: '', name }));
      const own = (await ownOf(account, kind, names)).partnership;
      const settings = { partnerships: partnerships.filter((name) => own.has(name)) };
      return { ...stored, settings: settings as unknown as AutomationSettings[Kind] };
    },

    /** Replaces the settings of one kind as a whole. What came before stays as it was decided. 422. */
    async put<Kind extends AutomationKind>(
      account: string,
      kind: Kind,
      settings: AutomationSettings[Kind],
    ): Promise<StoredAutomation<Kind>> {
      await check(account, kind, settings);
      const row = await models.automations
        .findOneAndUpdate(
          { _id: automationId(account, kind) },
          { $set: { account, kind, settings, updatedAt: now() }, $inc: { revision: 1 } },
          { upsert: true, returnDocument: 'after' },
        )
        .lean();
      return storedOf(kind, found(row, 'automation'));
    },

    /** Who is told of what is due; the composition root says so. */
    onDue(listener: DueListener): void {
      listeners.set(db, listener);
    },
  };
}
