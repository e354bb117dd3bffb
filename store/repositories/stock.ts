/** Stock: guarded changes, their journal, and the marks of what must be told. Contract: catalogue.md, Stock. */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { mirrorLaneId, storeLaneId } from '../../domain/process-ids';
import { type AdjustmentKind, adjust, available, availableSets, type StockLevels } from '../../domain/stock';
import {
  type Database,
  found,
  newestFirst,
  olderThan,
  type Page,
  type PageRequest,
  timeCursor,
  toPage,
} from '../database';
import type { StockDoc, StockJournalDoc } from '../models/documents';
import { createDueRepository, type DueSubject } from './dues';

export const stockId = (warehouse: string, sku: string) => `${warehouse}/${sku}`;

export interface StockChange {
  readonly account: string;
  readonly warehouse: string;
  readonly sku: string;
  readonly kind: StockJournalDoc['kind'];
  readonly reason: string;
  readonly document: string;
  /** Unique: a repeat its caller does not answer breaks on the journal's index and changes nothing. */
  readonly key: string;
  /** Added to the levels; a negative `onHand` with a positive `allocated` would promise what is not there and is refused. */
  readonly by: Partial<StockLevels>;
}

export interface StockAnswer {
  readonly levels: StockLevels & { readonly available: number };
  readonly lanes: string[];
}

const levelsOf = (doc: StockLevels): StockLevels => ({
  onHand: doc.onHand,
  allocated: doc.allocated,
  reserved: doc.reserved,
  inTransit: doc.inTransit,
});

export type StockRepository = ReturnType<typeof createStockRepository>;

export function createStockRepository(db: Database) {
  const { models, now } = db;
  const dues = createDueRepository(db);

  /** Who must hear of a change of these SKUs: connected listings of the account, and partners who claimed them. */
  async function subjectsOf(
    session: ClientSession | null,
    account: string,
    skus: readonly string[],
  ): Promise<DueSubject[]> {
    const sets = await models.skus
      .find({ account, 'components.sku': { $in: [...skus] } }, { sku: 1 })
      .session(session)
      .lean();
    const concerned = [...new Set([...skus, ...sets.map(({ sku }) => sku)])];
    const listings = await models.listings
      .find({ account, sku: { $in: concerned }, status: { $ne: 'deleted' } }, { store: 1, item: 1 })
      .session(session)
      .lean();
    const claims = await models.claims
      .find(
        { supplier: account, supplierSku: { $in: [...skus] }, stopped: false },
        { partnership: 1, supplierSku: 1, distributor: 1 },
      )
      .session(session)
      .lean();
    return [
      ...listings.map(({ _id, store, item }) => ({ lane: storeLaneId(store), account, subject: _id, item })),
      ...claims.map(({ partnership, supplierSku, distributor }) => ({
        lane: mirrorLaneId(partnership),
        account: distributor,
        subject: supplierSku,
        item: supplierSku,
      })),
    ];
  }

  /** Marks everything that shows these SKUs as due, in the transaction of the change. @returns lanes to wake. */
  async function markChanged(
    session: ClientSession | null,
    account: string,
    skus: readonly string[],
    cause: string,
    urgent = false,
  ) {
    return dues.mark(session, await subjectsOf(session, account, skus), { cause, urgent });
  }

  /**
   * One guarded change with its journal entry. A guard that does not hold is `insufficient_stock` with what there is.
   */
  async function change(session: ClientSession, input: StockChange): Promise<void> {
    const _id = stockId(input.warehouse, input.sku);
    const by = { onHand: 0, allocated: 0, reserved: 0, inTransit: 0, ...input.by };
    const free = by.onHand - by.allocated - by.reserved;
    const guards: Record<string, unknown> = { _id, account: input.account };
    if (free < 0) guards.available = { $gte: -free };
    for (const field of ['onHand', 'allocated', 'reserved', 'inTransit'] as const)
      if (by[field] < 0) guards[field] = { $gte: -by[field] };
    const before = await models.stock.collection.findOneAndUpdate(
      guards as never,
      { $inc: { ...by, available: free } },
      { session, returnDocument: 'before' },
    );
    if (!before) {
      const there = found(
        await models.stock.findById(_id).session(session).lean(),
        `stock of ${input.sku} in ${input.warehouse}`,
      );
      throw new HubError('insufficient_stock', `${there.available} of ${input.sku} are available`, {
        members: { sku: input.sku, warehouse: input.warehouse, available: there.available },
      });
    }
    const old = levelsOf(before as unknown as StockDoc);
    await models.stockJournal.collection.insertOne(
      {
        _id: input.key,
        account: input.account,
        warehouse: input.warehouse,
        sku: input.sku,
        kind: input.kind,
        reason: input.reason,
        document: input.document,
        before: old,
        after: {
          onHand: old.onHand + by.onHand,
          allocated: old.allocated + by.allocated,
          reserved: old.reserved + by.reserved,
          inTransit: old.inTransit + by.inTransit,
        },
        at: now(),
      } as never,
      { session },
    );
  }

  /** What the account has of one SKU per warehouse; of a combination, whole sets. */
  async function levelsIn(account: string, sku: string, warehouses?: readonly string[]) {
    const entry = found(await models.skus.findById(`${account}/${sku}`).lean(), `SKU ${sku}`);
    const parts = entry.kind === 'combination' ? entry.components.map((part) => part.sku) : [sku];
    const rows = await models.stock
      .find({ account, sku: { $in: parts }, ...(warehouses ? { warehouse: { $in: [...warehouses] } } : {}) })
      .lean();
    if (entry.kind === 'single') return rows;
    return [...new Set(rows.map(({ warehouse }) => warehouse))].map((warehouse) => {
      const sets = availableSets(
        entry.components,
        (part) => rows.find((row) => row.warehouse === warehouse && row.sku === part)?.available ?? 0,
      );
      return {
        _id: stockId(warehouse, sku),
        account,
        warehouse,
        sku,
        onHand: sets,
        allocated: 0,
        reserved: 0,
        inTransit: 0,
        available: sets,
        mirrored: rows.some(({ mirrored }) => mirrored),
        followers: 0,
      } satisfies StockDoc;
    });
  }

  /** Stock that follows a source can't be changed by hand, nor can a combination that contains such a SKU. */
  async function refuseMirrored(
    session: ClientSession,
    account: string,
    warehouse: string,
    sku: string,
  ): Promise<string[]> {
    const place = found(
      await models.warehouses.findOne({ _id: warehouse, account }).session(session).lean(),
      `warehouse ${warehouse}`,
    );
    const entry = found(await models.skus.findById(`${account}/${sku}`).session(session).lean(), `SKU ${sku}`);
    const parts = entry.kind === 'combination' ? entry.components.map((part) => part.sku) : [sku];
    const mirrored = await models.skus
      .findOne({ account, sku: { $in: parts }, mirror: { $ne: null } })
      .session(session)
      .lean();
    if (place.kind === 'supplier' || mirrored)
      throw new HubError(
        'stock_is_mirrored',
        `The stock of ${sku} follows ${mirrored?.mirror ? 'its supplier' : 'its source'}`,
      );
    if (entry.kind === 'combination')
      throw new HubError('invalid_input', `${sku} is a combination; its stock is that of its components`);
    return parts;
  }

  async function adjustOnce(session: ClientSession, input: AdjustmentInput): Promise<StockAnswer> {
    const { account, warehouse, sku } = input;
    await refuseMirrored(session, account, warehouse, sku);
    const _id = stockId(warehouse, sku);
    const done = await models.stockJournal.findById(input.key).session(session).lean();
    if (done) return { levels: { ...done.after, available: available(done.after) }, lanes: [] };
    const { upsertedCount } = await models.stock.collection.updateOne(
      { _id } as never,
      {
        $setOnInsert: {
          account,
          warehouse,
          sku,
          onHand: 0,
          allocated: 0,
          reserved: 0,
          inTransit: 0,
          available: 0,
          mirrored: false,
          followers: 0,
        },
      },
      { upsert: true, session },
    );
    // The first stock of this SKU here: who begins to follow the SKU meanwhile finds no row to conflict with but the SKU's.
    if (upsertedCount > 0) await models.skus.updateOne({ account, sku }, { $inc: { followers: 1 } }, { session });
    const row = found(await models.stock.findById(_id).session(session).lean(), 'stock');
    const before = levelsOf(row);
    const decision = adjust(before, input.kind, input.quantity);
    if (!decision.ok) {
      if (decision.reason === 'insufficient_stock')
        throw new HubError('insufficient_stock', `${decision.available} of ${sku} are available`, {
          members: { sku, warehouse, available: decision.available },
        });
      throw new HubError('quantity_below_zero', decision.detail, { members: { sku, warehouse } });
    }
    const { after } = decision;
    await change(session, {
      account,
      warehouse,
      sku,
      kind: input.kind,
      reason: input.reason,
      document: input.document,
      key: input.key,
      by: {
        onHand: after.onHand - before.onHand,
        allocated: 0,
        reserved: after.reserved - before.reserved,
        inTransit: after.inTransit - before.inTransit,
      },
    });
    const lanes = await markChanged(session, account, [sku], `${input.kind} ${input.document}`);
    return { levels: { ...after, available: available(after) }, lanes };
  }

  return {
    change,
    markChanged,
    subjectsOf,
    levelsIn,

    /** A listing or a claim begins to follow these SKUs: in its transaction, so that it conflicts with their changes. */
    async follow(session: ClientSession, account: string, skus: readonly string[]): Promise<void> {
      const sets = await models.skus
        .find({ account, sku: { $in: [...skus] }, kind: 'combination' }, { components: 1 })
        .session(session)
        .lean();
      const followed = [...new Set([...skus, ...sets.flatMap(({ components }) => components.map(({ sku }) => sku))])];
      const step = { $inc: { followers: 1 } };
      await models.skus.updateMany({ account, sku: { $in: followed } }, step, { session });
      await models.stock.updateMany({ account, sku: { $in: followed } }, step, { session });
    },

    /** Marks just these as due. @returns lanes to wake */
    markSubjects: (session: ClientSession, subjects: readonly DueSubject[], cause: string) =>
      dues.mark(session, subjects, { cause }),

    /** A manual stock operation. 409 `insufficient_stock`, `quantity_below_zero`, `stock_is_mirrored`; 404. */
    adjust: (input: AdjustmentInput): Promise<StockAnswer> =>
      db.transact((session) => adjustOnce(session, input), `stock/${input.account}`),

    /** Moves units between two of the account's warehouses: both changes or none. */
    transfer(
      input: TransferInput,
    ): Promise<{ from: StockAnswer['levels']; to: StockAnswer['levels']; lanes: string[] }> {
      return db.transact(async (session) => {
        const reason = input.reason;
        const common = {
          account: input.account,
          sku: input.sku,
          quantity: input.quantity,
          reason,
          document: input.document,
        };
        const out = await adjustOnce(session, {
          ...common,
          warehouse: input.from,
          kind: 'stockOut',
          key: `${input.key}/out`,
        });
        const into = await adjustOnce(session, {
          ...common,
          warehouse: input.to,
          kind: 'stockIn',
          key: `${input.key}/in`,
        });
        return { from: out.levels, to: into.levels, lanes: [...new Set([...out.lanes, ...into.lanes])] };
      }, `stock/${input.account}`);
    },

    async list(
      account: string,
      filter: { sku?: string; warehouse?: string },
      page: PageRequest,
    ): Promise<Page<StockDoc>> {
      const rows = await models.stock
        .find({
          account,
          ...(filter.sku === undefined ? {} : { sku: filter.sku }),
          ...(filter.warehouse === undefined ? {} : { warehouse: filter.warehouse }),
          ...(page.after === null ? {} : { _id: { $gt: page.after } }),
        })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    /** Newest first; the cursor holds time and key. */
    async journal(
      account: string,
      filter: { sku?: string; warehouse?: string },
      page: PageRequest,
    ): Promise<Page<StockJournalDoc>> {
      const rows = await models.stockJournal
        .find({
          account,
          ...(filter.sku === undefined ? {} : { sku: filter.sku }),
          ...(filter.warehouse === undefined ? {} : { warehouse: filter.warehouse }),
          ...olderThan('at', page.after),
        })
        .sort(newestFirst('at'))
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, (row) => timeCursor(row.at, row._id));
    },
  };
}

export interface AdjustmentInput {
  readonly account: string;
  readonly warehouse: string;
  readonly sku: string;
  readonly kind: AdjustmentKind;
  readonly quantity: number;
  readonly reason: string;
  readonly document: string;
  readonly key: string;
}

export interface TransferInput {
  readonly account: string;
  readonly from: string;
  readonly to: string;
  readonly sku: string;
  readonly quantity: number;
  readonly reason: string;
  readonly document: string;
  readonly key: string;
}
