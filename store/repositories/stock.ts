/** Stock: guarded changes, their journal, and the marks of what must be told. Contract: catalogue.md, Stock. */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { mirrorLaneId, storeLaneId } from '../../domain/process-ids';
import {
  type AdjustmentKind,
  adjust,
  available,
  availableSets,
  levelsOf,
  STOCK_LEVELS,
  type StockLevels,
} from '../../domain/stock';
import { unitsBySku } from '../../domain/supply-orders';
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
import type { StockDoc, StockJournalDoc, SupplyOrderDoc } from '../models/documents';
import { adjustmentRefusal, createAdjustmentGroups } from './adjustment-groups';
import { createDueRepository, type DueOrder, type DueSubject } from './dues';
import { createWaitingGoods } from './waiting-goods';

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

/** Who must hear of a change, and which SKUs it shows. */
interface ConcernedSubject extends DueSubject {
  readonly shows: readonly string[];
}

export function createStockRepository(db: Database) {
  const { models, now } = db;
  const dues = createDueRepository(db);

  /** Who must hear of a change of these SKUs: connected listings of the account, and partners who claimed them. */
  async function subjectsOf(
    session: ClientSession | null,
    account: string,
    skus: readonly string[],
  ): Promise<ConcernedSubject[]> {
    const sets = await models.skus
      .find({ account, 'components.sku': { $in: [...skus] } }, { sku: 1, components: 1 })
      .session(session)
      .lean();
    const parts = new Map(sets.map(({ sku, components }) => [sku, components.map((part) => part.sku)]));
    const concerned = [...new Set([...skus, ...parts.keys()])];
    const listings = await models.listings
      .find({ account, sku: { $in: concerned } }, { store: 1, item: 1, sku: 1, status: 1 })
      .session(session)
      .lean();
    const claims = await models.claims
      .find(
        { supplier: account, supplierSku: { $in: [...skus] } },
        { partnership: 1, supplierSku: 1, distributor: 1, stopped: 1 },
      )
      .session(session)
      .lean();
    // Judged here, not by the filters: the embedded engine's indexes would not serve them (ADR 4).
    const connected = listings.filter(({ status }) => status !== 'deleted');
    const open = claims.filter(({ stopped }) => !stopped);
    return [
      ...connected.map(({ _id, store, item, sku }) => ({
        ...{ lane: storeLaneId(store), account, subject: _id, item },
        shows: [sku ?? '', ...(parts.get(sku ?? '') ?? [])],
      })),
      ...open.map(({ partnership, supplierSku, distributor }) => ({
        ...{ lane: mirrorLaneId(partnership), account: distributor, subject: supplierSku, item: supplierSku },
        shows: [supplierSku],
      })),
    ];
  }

  /** Of these SKUs, those of which nothing is available anywhere: a push of 0 overtakes the others. */
  async function soldOut(session: ClientSession | null, account: string, skus: readonly string[]) {
    const rows = await models.stock
      .find({ account, sku: { $in: [...skus] } }, { sku: 1, available: 1 })
      .session(session)
      .lean();
    const there = new Set(rows.flatMap(({ sku, available: free }) => (free > 0 ? [sku] : [])));
    return new Set(skus.filter((sku) => !there.has(sku)));
  }

  /**
   * Marks everything that shows these SKUs as due, in the transaction of the change. @returns lanes to wake
   * @param cause for all, or by SKU: then each is a change of its own
   * @param urgent ahead of what waits: all, or these; what is sold out is in any case
   * @param order the order that alone causes the change, with the rules it keeps
   */
  async function markChanged(
    session: ClientSession | null,
    account: string,
    skus: readonly string[],
    cause: string | ReadonlyMap<string, string>,
    urgent: boolean | ReadonlySet<string> = false,
    order: DueOrder | null = null,
  ) {
    if (skus.length === 0) return [];
    const zeros = urgent === true ? new Set(skus) : await soldOut(session, account, skus);
    const isZero = (sku: string) => zeros.has(sku) || (typeof urgent === 'object' && urgent.has(sku));
    const causes = typeof cause === 'string' ? null : cause;
    const subjects = (await subjectsOf(session, account, skus)).map(({ shows, ...subject }) => ({
      ...subject,
      urgent: shows.some(isZero),
      ...(causes === null
        ? {}
        : {
            cause: shows.flatMap((sku) => causes.get(sku) ?? [])[0],
            changes: shows.filter((sku) => causes.has(sku)).length,
          }),
    }));
    return dues.mark(session, subjects, { cause: typeof cause === 'string' ? cause : 'change', order });
  }

  /**
   * One guarded change with its journal entry. A guard that does not hold is `insufficient_stock` with what there is.
   * @param known the stock, where the transaction has read it already
   */
  async function change(session: ClientSession, input: StockChange, known?: StockDoc): Promise<void> {
    const _id = stockId(input.warehouse, input.sku);
    const by = { onHand: 0, allocated: 0, reserved: 0, inTransit: 0, ...input.by };
    const free = by.onHand - by.allocated - by.reserved;
    // Read by its id alone and judged here: guards in the filter make the embedded engine read the collection (ADR 4). Who
    // changes it meanwhile is a conflict, and this runs again.
    const before = found(
      known ?? (await models.stock.findById(_id).session(session).lean()),
      `stock of ${input.sku} in ${input.warehouse}`,
      ({ account }) => account === input.account,
    );
    const isShort = STOCK_LEVELS.some((field) => by[field] < 0 && before[field] < -by[field]);
    if (isShort || (free < 0 && before.available < -free))
      throw new HubError('insufficient_stock', `${before.available} of ${input.sku} are available`, {
        members: { sku: input.sku, warehouse: input.warehouse, available: before.available },
      });
    await models.stock.updateOne({ _id }, { $inc: { ...by, available: free } }, { session });
    const old = levelsOf(before);
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

  const waitingGoods = createWaitingGoods(db, change);

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
  ): Promise<void> {
    const place = found(
      await models.warehouses.findById(warehouse).session(session).lean(),
      `warehouse ${warehouse}`,
      (row) => row.account === account,
    );
    const entry = found(await models.skus.findById(`${account}/${sku}`).session(session).lean(), `SKU ${sku}`);
    const ids = entry.kind === 'combination' ? entry.components.map((part) => `${account}/${part.sku}`) : [];
    const parts =
      ids.length === 0
        ? []
        : await models.skus
            .find({ _id: { $in: ids } }, { mirror: 1 })
            .session(session)
            .lean();
    const mirrored = [entry, ...parts].find(({ mirror }) => mirror);
    if (place.kind === 'supplier' || mirrored)
      throw new HubError(
        'stock_is_mirrored',
        `The stock of ${sku} follows ${mirrored?.mirror ? 'its supplier' : 'its source'}`,
      );
    if (entry.kind === 'combination')
      throw new HubError('invalid_input', `${sku} is a combination; its stock is that of its components`);
  }

  /** The first stock of a SKU in a warehouse: who begins to follow the SKU meanwhile finds no row to conflict with but the SKU's. */
  async function firstStock(session: ClientSession, { account, warehouse, sku }: AdjustmentInput): Promise<StockDoc> {
    const none = { onHand: 0, allocated: 0, reserved: 0, inTransit: 0, available: 0, mirrored: false, followers: 0 };
    const _id = stockId(warehouse, sku);
    const row = { account, warehouse, sku, ...none };
    await models.stock.updateOne({ _id }, { $setOnInsert: row }, { upsert: true, session });
    await models.skus.updateOne({ account, sku }, { $inc: { followers: 1 } }, { session });
    return { _id, ...row };
  }

  /** @param what the journal calls it */
  async function adjustOnce(
    session: ClientSession,
    input: AdjustmentInput,
    what: StockJournalDoc['kind'] = input.kind,
  ): Promise<StockAnswer> {
    const { account, warehouse, sku } = input;
    await refuseMirrored(session, account, warehouse, sku);
    const _id = stockId(warehouse, sku);
    const done = await models.stockJournal.findById(input.key).session(session).lean();
    if (done) return { levels: { ...done.after, available: available(done.after) }, lanes: [] };
    const row = (await models.stock.findById(_id).session(session).lean()) ?? (await firstStock(session, input));
    const before = levelsOf(row);
    const decision = adjust(before, input.kind, input.quantity);
    if (!decision.ok) throw adjustmentRefusal(input, decision);
    const { after } = decision;
    const by = {
      onHand: after.onHand - before.onHand,
      allocated: 0,
      reserved: after.reserved - before.reserved,
      inTransit: after.inTransit - before.inTransit,
    };
    const { reason, document, key } = input;
    await change(session, { account, warehouse, sku, kind: what, reason, document, key, by }, row);
    const isMore = available(after) > available(before);
    const promised = isMore ? await waitingGoods.allocate(session, account, [sku]) : [];
    const lanes = await markChanged(session, account, [...new Set([sku, ...promised])], `${what} ${input.document}`);
    return { levels: { ...after, available: available(after) }, lanes };
  }

  /**
   * What a supply order holds is free again.
   * @param why `key` is followed by the SKU
   * @returns its SKUs
   */
  async function releaseLines(
    session: ClientSession,
    { supplier, warehouse, lines }: Pick<SupplyOrderDoc, 'supplier' | 'warehouse' | 'lines'>,
    { reason, document, key }: { readonly reason: string; readonly document: string; readonly key: string },
  ): Promise<string[]> {
    const units = unitsBySku(lines);
    for (const [sku, quantity] of units)
      await change(session, {
        ...{ account: supplier, warehouse, sku, kind: 'release', reason, document, key: `${key}/${sku}` },
        by: { allocated: -quantity },
      });
    return units.map(([sku]) => sku);
  }

  return {
    change,
    releaseLines,
    /** Goods were released: see `WaitingGoods`. */
    allocateWaiting: waitingGoods.allocate,
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

    /** The same as `adjust`, in the caller's transaction. */
    adjustWithin: adjustOnce,

    /** A manual stock operation. 409 `insufficient_stock`, `quantity_below_zero`, `stock_is_mirrored`; 404. */
    adjust: createAdjustmentGroups(db, {
      idOf: stockId,
      adjustOnce,
      allocateWaiting: waitingGoods.allocate,
      markChanged,
    }),

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
        const taken = { ...common, warehouse: input.from, kind: 'stockOut', key: `${input.key}/out` } as const;
        const out = await adjustOnce(session, taken, 'transferOut');
        const given = { ...common, warehouse: input.to, kind: 'stockIn', key: `${input.key}/in` } as const;
        const into = await adjustOnce(session, given, 'transferIn');
        return { from: out.levels, to: into.levels, lanes: [...new Set([...out.lanes, ...into.lanes])] };
      }, `stock/${input.account}`);
    },

    /** What the account has of a single SKU in one warehouse; null where it never had any. */
    async levelsAt(account: string, warehouse: string, sku: string): Promise<StockAnswer['levels'] | null> {
      const row = await models.stock.findById(stockId(warehouse, sku)).lean();
      return row?.account === account ? { ...levelsOf(row), available: row.available } : null;
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
