/**
 * The moves of a partnership, each one transaction that does all of it or nothing. Contract: partnership.md, From invitation
 * to partnership; Termination.
 */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import {
  type Approval,
  canMove,
  isDeleted,
  isEnded,
  PARTNERSHIP_MOVES,
  type PartnershipCommand,
  type PartnershipMove,
  type SupplierNote,
  type Terms,
} from '../../domain/partnership';
import { mirrorLaneId } from '../../domain/process-ids';
import { type Database, found } from '../database';
import type { PartnershipDoc, WarehouseDoc } from '../models/documents';
import { createClaimRepository } from './claims';
import { createDueRepository } from './dues';
import { createLevelRepository } from './levels';
import { createNotificationRepository } from './notifications';
import { createStockRepository } from './stock';

/** What a move writes to the partnership, and the lanes to wake after the commit. */
interface Moved {
  readonly set: Partial<PartnershipDoc>;
  readonly lanes: readonly string[];
}

export interface MoveResult {
  readonly row: PartnershipDoc;
  readonly lanes: readonly string[];
}

/** Commands remembered per partnership: more than anybody repeats. */
const COMMANDS_KEPT = 20;

/** Where a partnership's sealed fields are bound to. */
export const sealPlace = (partnership: string) => `partnership/${partnership}`;

/** What says that a pair has an open partnership. */
export const pairId = ({ supplier, distributor }: Pick<PartnershipDoc, 'supplier' | 'distributor'>) =>
  `${supplier}/${distributor}`;

/** The filter that only lets the side through that may make the move. */
function partyOf(move: PartnershipMove, account: string) {
  const { by } = PARTNERSHIP_MOVES[move];
  return by === 'either' ? { $or: [{ supplier: account }, { distributor: account }] } : { [by]: account };
}

export function createPartnershipMoves(db: Database) {
  const { models, now, cipher } = db;
  const claims = createClaimRepository(db);
  const dues = createDueRepository(db);
  const levels = createLevelRepository(db);
  const stock = createStockRepository(db);
  const notifications = createNotificationRepository(db);

  /** The supplier's own warehouses of these ids; all that are none of them are named at once. */
  async function requireWarehouses(
    session: ClientSession,
    account: string,
    ids: readonly string[],
  ): Promise<WarehouseDoc[]> {
    const rows: WarehouseDoc[] = await models.warehouses
      .find({ account, _id: { $in: [...ids] }, kind: { $ne: 'supplier' } })
      .session(session)
      .lean();
    const unknown = ids.flatMap((warehouse, index) =>
      rows.some(({ _id }) => _id === warehouse)
        ? []
        : [
            {
              pointer: `/warehouses/${index}`,
              code: 'unknown_warehouse',
              detail: `There is no such warehouse: ${warehouse}`,
            },
          ],
    );
    if (unknown.length > 0) throw new HubError('invalid_input', 'Some warehouses are not yours', { errors: unknown });
    return rows;
  }

  /** The distributor's read-only view of each warehouse; one that was given before is there already. */
  async function showWarehouses(
    session: ClientSession,
    row: PartnershipDoc,
    given: readonly WarehouseDoc[],
  ): Promise<void> {
    const there = await models.warehouses
      .find({ kind: 'supplier', 'source.partnership': row._id })
      .session(session)
      .lean();
    const missing = given.filter(({ _id }) => !there.some(({ source }) => source?.warehouse === _id));
    if (missing.length === 0) return;
    await models.warehouses.insertMany(
      missing.map(
        (place): WarehouseDoc => ({
          _id: newId('warehouse'),
          account: row.distributor,
          name: place.name,
          kind: 'supplier',
          source: { partnership: row._id, supplier: row.supplier, warehouse: place._id },
          createdAt: now(),
        }),
      ),
      { session },
    );
  }

  /** Marks all that the distributor sells of this supplier, ahead of what waits if it falls to 0. @returns lanes to wake */
  async function markClaims(session: ClientSession, row: PartnershipDoc, cause: string, urgent: boolean) {
    const claimed = await models.claims
      .find({ partnership: row._id, stopped: false }, { supplierSku: 1 })
      .session(session)
      .lean();
    const subjects = claimed.map(({ supplierSku }) => ({
      lane: mirrorLaneId(row._id),
      account: row.distributor,
      subject: supplierSku,
      item: supplierSku,
    }));
    return {
      lanes: await dues.mark(session, subjects, { cause, urgent }),
      skus: claimed.map((one) => one.supplierSku),
    };
  }

  async function linkCustomer(session: ClientSession, account: string, customer: Approval['customer']) {
    if ('id' in customer) {
      const link = { $set: { linked: true } };
      found(
        await models.customers.findOneAndUpdate({ _id: customer.id, account }, link, { session }).lean(),
        'customer',
      );
      return customer.id;
    }
    const id = newId('customer');
    await models.customers.create([{ _id: id, account, name: customer.name, linked: true, createdAt: now() }], {
      session,
    });
    return id;
  }

  /** Customer, billing account, and one supplier warehouse at the distributor's per warehouse given. */
  async function approve(session: ClientSession, row: PartnershipDoc, approval: Approval): Promise<Moved> {
    const given = await requireWarehouses(session, row.supplier, approval.warehouses);
    if (approval.level !== null) await levels.require(session, row.supplier, approval.level);
    const limit = approval.creditLimit;
    if (limit && limit.currency !== approval.settlementCurrency)
      throw new HubError('currency_mismatch', 'The credit limit must be in the settlement currency');
    const customer = await linkCustomer(session, row.supplier, approval.customer);
    await models.billingAccounts.create(
      [
        {
          _id: row._id,
          supplier: row.supplier,
          distributor: row.distributor,
          currency: approval.settlementCurrency,
          balance: 0,
          creditLimit: limit?.amount ?? 0,
          creditPeriodDays: approval.creditPeriodDays,
          lowBalance: 0,
          records: 0,
          lastRecordAt: null,
          creditSince: null,
          creditDueAt: null,
          creditTellAt: null,
        },
      ],
      { session },
    );
    await showWarehouses(session, row, given);
    const { settlementCurrency, level } = approval;
    const warehouses = given.map(({ _id }) => _id);
    return { set: { customer, settlementCurrency, level, warehouses, decidedAt: now() }, lanes: [] };
  }

  /**
   * A removed warehouse is pushed as 0, an added one in full: the mirror brings what the given ones hold now. Its stock is
   * followed from this transaction on, so that no change of it passes between.
   */
  async function changeTerms(session: ClientSession, row: PartnershipDoc, terms: Terms): Promise<Moved> {
    const set: Partial<PartnershipDoc> = {};
    if (terms.level !== undefined) {
      if (terms.level !== null) await levels.require(session, row.supplier, terms.level);
      set.level = terms.level;
    }
    if (terms.note !== undefined) {
      const before = row.note === null ? {} : (JSON.parse(cipher.open(row.note, sealPlace(row._id))) as SupplierNote);
      const change = JSON.parse(cipher.open(terms.note, sealPlace(row._id))) as SupplierNote;
      set.note = cipher.seal(JSON.stringify({ ...before, ...change }), sealPlace(row._id));
    }
    if (terms.warehouses === undefined) return { set, lanes: [] };
    const given = await requireWarehouses(session, row.supplier, terms.warehouses);
    const ids = given.map(({ _id }) => _id);
    await showWarehouses(session, row, given);
    const removed = row.warehouses.filter((id) => !ids.includes(id));
    const { lanes, skus } = await markClaims(session, row, `terms ${row._id}`, removed.length > 0);
    await stock.follow(session, row.supplier, skus);
    return { set: { ...set, warehouses: ids }, lanes };
  }

  /**
   * Everything at once: no new order enters, each claim is inactive for good, all their stock of this supplier is due as 0
   * ahead of what waits, both sides are told. What was synced before stays as it is.
   */
  async function terminate(
    session: ClientSession,
    row: PartnershipDoc,
    party: string,
    reason: string | null,
  ): Promise<Moved> {
    const at = now();
    await models.claims.updateMany(
      { partnership: row._id, inactiveSince: null },
      { $set: { inactiveSince: at } },
      { session },
    );
    await models.claims.updateMany({ partnership: row._id }, { $addToSet: { causes: 'not_partnered' } }, { session });
    const { lanes } = await markClaims(session, row, `termination ${row._id}`, true);
    for (const account of [row.supplier, row.distributor])
      await notifications.notify(session, {
        account,
        event: 'partnership_terminated',
        occurrence: row._id,
        document: row._id,
        detail: `by the ${party === row.supplier ? 'supplier' : 'distributor'}${reason === null ? '' : `: ${reason}`}`,
      });
    return { set: { reason, endedAt: at, endedBy: party }, lanes };
  }

  /** Nothing is left of what the applicant wrote. */
  function emptied(row: PartnershipDoc): Partial<PartnershipDoc> {
    const contact = cipher.seal('{}', sealPlace(row._id));
    return { application: { company: '', channels: [], contact }, reason: null, note: null, endedAt: now() };
  }

  async function tellDecision(session: ClientSession, row: PartnershipDoc, detail: string): Promise<void> {
    await notifications.notify(session, {
      account: row.distributor,
      event: 'application_decided',
      occurrence: row._id,
      document: row._id,
      detail,
    });
  }

  async function perform(session: ClientSession, row: PartnershipDoc, command: PartnershipCommand): Promise<Moved> {
    switch (command.move) {
      case 'approve': {
        const moved = await approve(session, row, command.approval);
        await tellDecision(session, row, 'approved');
        return moved;
      }
      case 'reject': {
        const { reason } = command;
        await tellDecision(session, row, `rejected${reason === null ? '' : `: ${reason}`}`);
        return { set: { reason, decidedAt: now(), endedAt: now(), endedBy: command.party }, lanes: [] };
      }
      case 'withdraw':
      case 'delete':
        await models.notifications.updateMany(
          { account: row.supplier, document: row._id },
          { $set: { detail: null } },
          { session },
        );
        return { set: emptied(row), lanes: [] };
      case 'changeTerms':
        return changeTerms(session, row, command.terms);
      case 'terminate':
        return terminate(session, row, command.party, command.reason);
    }
  }

  /**
   * Makes a move, or answers as before where this command made it already. 404 for anybody but the side that may; 409
   * `invalid_transition` with the current status. Two at once write the same document: one wins.
   */
  return async (id: string, command: PartnershipCommand): Promise<MoveResult> => {
    const seen = found(await models.partnerships.findById(id, { supplier: 1 }).lean(), 'partnership');
    return db.transact(async (session) => {
      const row = found(
        await models.partnerships
          .findOne({ _id: id, ...partyOf(command.move, command.party) })
          .session(session)
          .lean(),
        'partnership',
      );
      if (row.commands.includes(command.command)) return { row, lanes: isEnded(row.status) ? [mirrorLaneId(id)] : [] };
      if (isDeleted(row.status)) throw new HubError('not_found', 'There is no such partnership');
      if (!canMove(row.status, command.move))
        throw new HubError('invalid_transition', `The partnership is ${row.status}`, {
          members: { currentStatus: row.status },
        });
      const { set, lanes } = await perform(session, row, command);
      const status = PARTNERSHIP_MOVES[command.move].to;
      const after = found(
        await models.partnerships
          .findOneAndUpdate(
            { _id: id, status: row.status },
            {
              $set: {
                ...set,
                status,
                open: !isEnded(status),
                commands: [...row.commands, command.command].slice(-COMMANDS_KEPT),
              },
            },
            { session, returnDocument: 'after' },
          )
          .lean(),
        'partnership',
      );
      if (!after.open) await models.openPairs.deleteOne({ _id: pairId(row), partnership: id }, { session });
      // Rules select by level. Its causes follow from what was written just now.
      const moved = row.level === after.level ? [] : await claims.reconsider(session, id, `terms ${id}`);
      return { row: after, lanes: [...new Set([...lanes, ...moved])] };
      // It writes what the mirrors and pushes of this supplier write: in one process they take turns.
    }, `stock/${seen.supplier}`);
  };
}
