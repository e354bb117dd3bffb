/** Taking an order in: matching its lines, splitting it by source, fixing prices, allocating stock. Contract: orders.md, Orders in. */
import type { ClientSession } from 'mongoose';
import { isGiftLine } from '../../domain/automation';
import { newId } from '../../domain/ids';
import type { Currency } from '../../domain/money';
import { componentLine, orderLineOf } from '../../domain/order-lines';
import { hasLeft, PLATFORM_ORDER_STATES, type PlatformOrderState } from '../../domain/orders';
import { lineRate, type Shipping } from '../../domain/pricing';
import { orderPushId, processId } from '../../domain/process-ids';
import { type Database, isDuplicateKey } from '../database';
import type { ClaimDoc, InboxDoc, OrderDoc, OrderLine, PackageDoc, PackageLine, SkuDoc } from '../models/documents';
import { beginCancellation, type CancellationToRun } from './cancellations';
import { dueOrderOf } from './dues';
import { changeMirrored } from './mirrored-stock';
import { createOperationRepository } from './operations';
import {
  autoPushOf,
  followPlatform,
  placePackage,
  planSync,
  quantitiesOf,
  type SyncPlan,
  withoutBlockedGifts,
} from './order-automation';
import { createOwnShipmentRepository } from './own-shipments';
import { takePlatformLines } from './platform-lines';
import { createPriceRepository } from './prices';
import { createPushRuleRepository } from './push-rules';
import { createRecallBeginning, type RecallToRun } from './recalls';
import { createRecipients, type Recipient } from './recipients';
import { createStockRepository, stockId } from './stock';

export interface IncomingOrder {
  readonly account: string;
  /** A store's id, or `api`. */
  readonly store: string;
  readonly platform: string;
  readonly storeName: string;
  readonly platformOrder: string;
  readonly state: PlatformOrderState;
  readonly platformState: string;
  /** The platform's time of its last change, epoch ms. */
  readonly version: number;
  readonly placedAt: number;
  readonly currency: string;
  readonly shipping: Shipping;
  /** What the buyer pays for the goods, in minor units of `currency`; left out where it is not known. */
  readonly amount?: number | null;
  /** The platform waits for the carrier to fetch it. */
  readonly awaitsPickup?: boolean;
  /** Lines that the buyer wishes to cancel; left out where that is not known. */
  readonly askedBack?: readonly string[];
  readonly recipient: Recipient | null;
  readonly lines: readonly {
    readonly line: string;
    readonly title: string;
    readonly quantity: number;
    /** By listing (from a platform), or by SKU (from the API). */
    readonly listing: string | null;
    readonly sku: string | null;
    /** Said by the seller; see `OrderLine`. */
    readonly byHand?: boolean;
  }[];
}

export interface IntakeResult {
  readonly order: string;
  /** The hub had not seen it before. */
  readonly isNew: boolean;
  readonly outcome: 'synced' | 'unmapped' | 'unpaid' | 'updated' | 'unchanged';
  readonly packages: readonly string[];
  readonly lanes: readonly string[];
  /** Recalls that a buyer's cancellation began; the caller starts their workflows (the sweep does where it can't). */
  readonly recalls: readonly RecallToRun[];
  /** Workflows of pushes that it ended: they may stand parked. */
  readonly pushesToEnd: readonly string[];
  /** A buyer's wish to cancel that came with it; the caller starts its workflow (the sweep does where it can't). */
  readonly cancellation: CancellationToRun | null;
}

/** Of an intake that changed nothing. */
export const NOTHING_AFTER = { lanes: [], recalls: [], pushesToEnd: [] } as const;

const packageIdOf = (order: string, index: number) => `${order.replace(/^ord/, 'pkg')}-${index + 1}`;

/** No push holds it, and none is under way. */
const isHeldByNone = ({ supplyOrder, status, parked }: PackageDoc) =>
  supplyOrder === null && (status === 'new' || status === 'push_failed') && !parked;

/** What lines that are gone leave to be done after the commit. */
interface LinesGone {
  readonly lanes: string[];
  readonly pushesToEnd: string[];
}

/** Its push is under way or parked: it reads the package again before it does anything. */
const isBeingPushed = ({ status, parked }: PackageDoc) => status === 'pushing' || parked;

interface Source {
  readonly partnership: string | null;
  readonly supplier: string | null;
  lines: PackageLine[];
  claims: ClaimDoc[];
}

/** What the seller said of a line stays said, however often the platform tells of it. */
function withMappings(incoming: IncomingOrder, there: OrderDoc | null): IncomingOrder {
  const said = (there?.lines ?? []).filter(({ byHand }) => byHand);
  if (said.length === 0) return incoming;
  const lines = incoming.lines.map((line) => {
    const before = said.find((one) => one.line === line.line && one.listing === line.listing);
    const sku = before?.sku ?? before?.code ?? null;
    return line.sku !== null || sku === null ? line : { ...line, sku, byHand: true };
  });
  return { ...incoming, lines };
}

const toldLines = ({ lines }: IncomingOrder): ReadonlySet<string> => new Set(lines.map(({ line }) => line));

/** A stored order as it came, with what the seller says of its lines now. */
export function asItCame(order: OrderDoc, said: ReadonlyMap<string, string>): IncomingOrder {
  const { account, store, platform, storeName, platformOrder, platformState, version, currency, shipping } = order;
  return {
    ...{ account, store, platform, storeName, platformOrder, platformState, version, currency, shipping },
    state: order.state as IncomingOrder['state'],
    placedAt: order.placedAt.getTime(),
    awaitsPickup: order.awaitsPickup ?? false,
    // What there is stays.
    recipient: null,
    lines: order.lines.map(({ line, title, quantity, listing, sku, code, byHand }) => {
      const hand = said.get(line);
      const known = listing === null || byHand ? (sku ?? code ?? null) : null;
      const isSaid = hand !== undefined || byHand === true;
      return { line, title, quantity, listing, sku: hand ?? known, ...(isSaid ? { byHand: true } : {}) };
    }),
  };
}

export function createOrderIntake(db: Database) {
  const { models, now, cipher } = db;
  const operations = createOperationRepository(db);
  const stock = createStockRepository(db);
  const pricing = createPriceRepository(db);
  const own = createOwnShipmentRepository(db);
  const pushRules = createPushRuleRepository(db);
  const recalls = createRecallBeginning(db);
  const recipients = createRecipients(db);

  async function matchLines(
    session: ClientSession,
    incoming: IncomingOrder,
  ): Promise<{ lines: OrderLine[]; skus: Map<string, SkuDoc> }> {
    const listingIds = incoming.lines.flatMap(({ listing }) => (listing === null ? [] : [listing]));
    const listings = listingIds.length
      ? await models.listings
          .find({ account: incoming.account, _id: { $in: listingIds } }, { sku: 1 })
          .session(session)
          .lean()
      : [];
    const listed = new Map(listings.map(({ _id, sku }) => [_id, sku]));
    const codes = incoming.lines.flatMap(
      ({ listing, sku }) => sku ?? (listing === null ? [] : (listed.get(listing) ?? [])),
    );
    const first = await models.skus
      .find({ account: incoming.account, sku: { $in: codes } })
      .session(session)
      .lean();
    const parts = first.flatMap(({ components }) => components.map(({ sku }) => sku));
    const second = parts.length
      ? await models.skus
          .find({ account: incoming.account, sku: { $in: parts } })
          .session(session)
          .lean()
      : [];
    const skus = new Map([...second, ...first].map((entry) => [entry.sku, entry]));
    const lines = incoming.lines.map(({ line, title, quantity, listing, sku: code, byHand }): OrderLine => {
      const sku = code ?? (listing === null ? null : (listed.get(listing) ?? null));
      const reason =
        sku === null
          ? listing !== null && listed.has(listing)
            ? 'listing_not_connected'
            : 'no_such_listing'
          : skus.has(sku)
            ? null
            : 'no_such_sku';
      return {
        ...{ line, listing, sku: reason === null ? sku : null, title, quantity, unmappedReason: reason },
        ...(reason === 'no_such_sku' && sku !== null ? { code: sku } : {}),
        ...(byHand ? { byHand } : {}),
      };
    });
    return { lines, skus };
  }

  /** One group of lines per source; combinations become their components. */
  async function split(
    session: ClientSession,
    account: string,
    lines: readonly OrderLine[],
    skus: Map<string, SkuDoc>,
  ): Promise<Source[]> {
    const singles = lines.flatMap((line) => {
      const entry = skus.get(line.sku ?? '');
      if (!entry) return [];
      if (entry.kind === 'single') return [{ line: line.line, entry, quantity: line.quantity }];
      return entry.components.flatMap((part) => {
        const component = skus.get(part.sku);
        return component
          ? [{ line: componentLine(line.line, part.sku), entry: component, quantity: line.quantity * part.quantity }]
          : [];
      });
    });
    const claimIds = singles.flatMap(({ entry: { mirror } }) =>
      mirror ? `${mirror.partnership}/${mirror.supplierSku}` : [],
    );
    const claims = await models.claims
      // Not by its code: claimed anew under another one, an order on the old SKU is of the same claim.
      .find({ _id: { $in: claimIds }, distributor: account, stopped: false })
      .session(session)
      .lean();
    const sources = new Map<string, Source>();
    for (const { line, entry, quantity } of singles) {
      const key = entry.mirror?.partnership ?? 'own';
      const source = sources.get(key) ?? {
        partnership: entry.mirror?.partnership ?? null,
        supplier: entry.mirror?.supplier ?? null,
        lines: [],
        claims: claims.filter(({ partnership }) => partnership === entry.mirror?.partnership),
      };
      source.lines.push({
        line,
        sku: entry.sku,
        supplierSku: entry.mirror?.supplierSku ?? null,
        quantity,
        price: null,
        priceReason: null,
        active:
          entry.mirror === null ||
          source.claims.some((claim) => claim.supplierSku === entry.mirror?.supplierSku && claim.causes.length === 0),
      });
      sources.set(key, source);
    }
    return [...sources.values()];
  }

  /** Fixes the price of each line: computed anew, it becomes the shown price and the one billed for this order. */
  async function price(session: ClientSession, source: Source): Promise<Currency | null> {
    const partnership = await models.partnerships.findById(source.partnership).session(session).lean();
    const supplier = await models.suppliers.findById(source.supplier).session(session).lean();
    if (!partnership?.settlementCurrency || !supplier) return null;
    const products = await models.products
      .find({ supplier: supplier._id, sku: { $in: source.lines.flatMap(({ supplierSku }) => supplierSku ?? []) } })
      .session(session)
      .lean();
    const { level, settlementCurrency } = partnership;
    const prices = await pricing.prices(session, { supplier, level, settlementCurrency }, products);
    for (const line of source.lines) {
      const decision = prices.get(line.supplierSku ?? '');
      if (decision?.ok) {
        line.price = decision.price.amount;
        if (supplier.baseCurrency !== null) line.rate = lineRate(supplier.baseCurrency, decision.rate);
      } else line.priceReason = decision?.reason ?? 'price_missing';
      const claim = source.claims.find(({ supplierSku }) => supplierSku === line.supplierSku);
      // Written in any case, so that the end of a claim conflicts with an order that begins to need it.
      if (claim)
        await models.claims.updateOne(
          { _id: claim._id },
          {
            $inc: { orders: 1 },
            ...(line.price === null ? {} : { $set: { shownPrice: line.price, billedPrice: line.price } }),
          },
          { session },
        );
    }
    return partnership.settlementCurrency;
  }

  /** Where the rules say, else the first of the warehouses with enough for every line; of a supplier's, those given now. */
  async function assignWarehouse(session: ClientSession, incoming: IncomingOrder, source: Source, plan: SyncPlan) {
    const { account } = incoming;
    const { partnership } = source;
    const given =
      partnership === null
        ? null
        : await models.partnerships.findById(partnership, { warehouses: 1, status: 1 }).session(session).lean();
    const places = await models.warehouses
      .find(
        partnership === null
          ? { account, kind: 'own' }
          : {
              account,
              kind: 'supplier',
              'source.partnership': partnership,
              'source.warehouse': { $in: given?.warehouses ?? [] },
            },
      )
      .sort({ _id: 1 })
      .session(session)
      .lean();
    const ids = places.map(({ _id }) => _id);
    const rows = await models.stock
      .find({ account, sku: { $in: [...quantitiesOf(source.lines).keys()] }, warehouse: { $in: ids } })
      .session(session)
      .lean();
    const free = new Map(rows.map((row) => [row._id, row.available]));
    const placed = placePackage(
      plan,
      { ...incoming, amount: incoming.amount ?? null },
      source.lines,
      ids,
      (place, sku) => free.get(stockId(place, sku)) ?? 0,
    );
    const place = places.find(({ _id }) => _id === placed.place) ?? null;
    return { ...placed, place, partnered: given?.status === 'partnered' };
  }

  /** Allocates a package's quantities where it is assigned, or (sign −1) gives them back. */
  async function allocate(
    session: ClientSession,
    pkg: { id: string; account: string; partnership: string | null; warehouse: string },
    needed: ReadonlyMap<string, number>,
    sign: 1 | -1,
    /** Makes the key of a part of it its own. */
    part = '',
  ): Promise<void> {
    const { id, account, warehouse } = pkg;
    const kind = sign === 1 ? ('allocate' as const) : ('release' as const);
    const changes = [...needed].map(([sku, quantity]) => ({
      account,
      warehouse,
      sku,
      kind,
      reason: sign === 1 ? 'order synced' : 'order cancelled',
      document: id,
      key: `${id}/${kind}${part}/${sku}`,
      by: { allocated: sign * quantity },
    }));
    if (pkg.partnership !== null) await changeMirrored(db, session, changes);
    else for (const change of changes) await stock.change(session, change);
  }

  /**
   * A package of an order that left before it was synced: it stands where the platform has it, and nothing is taken, charged or
   * pushed for it.
   */
  function packageThatLeft(incoming: IncomingOrder, order: string, index: number, source: Source): PackageDoc {
    const { account, store, platform, storeName, shipping, state } = incoming;
    const at = now();
    return {
      ...{ _id: packageIdOf(order, index), account, order, store, platform, storeName, shipping },
      ...{ partnership: source.partnership, supplier: source.supplier, partnered: false },
      ...{ warehouse: null, supplierWarehouse: null, currency: null, lines: source.lines },
      ...{ status: state as PackageDoc['status'], allocated: false, attempt: 0, parked: false, blockers: [] },
      ...{ failure: null, charge: null, supplyOrder: null, recall: null, shipment: null },
      ...{ allocationRule: null, autoPush: null, syncedAt: at, pushedAt: null, updatedAt: at },
    };
  }

  /**
   * Whether an order that left is to end as if it had been seen in time: only where the hub itself was late with it, its pushes lost.
   * One from before the store was here, or that waited for its mapping, left without the hub.
   */
  async function isHubLate(session: ClientSession, incoming: IncomingOrder, there: OrderDoc | null): Promise<boolean> {
    if (there !== null && there.state !== 'unpaid') return false;
    const shop = await models.stores.findById(incoming.store, { createdAt: 1 }).session(session).lean();
    // Platforms count in seconds.
    return shop !== null && incoming.placedAt >= Math.floor(shop.createdAt.getTime() / 1000) * 1000;
  }

  async function makePackage(
    session: ClientSession,
    incoming: IncomingOrder,
    order: string,
    index: number,
    source: Source,
    plan: SyncPlan,
  ): Promise<PackageDoc | null> {
    source.lines = withoutBlockedGifts(plan, source.lines);
    const { place, enough, rule, lines, partnered } = await assignWarehouse(session, incoming, source, plan);
    source.lines = lines;
    const currency = source.partnership === null ? null : await price(session, source);
    source.lines = withoutBlockedGifts(plan, lines);
    if (source.lines.length === 0) return null;
    const needed = quantitiesOf(source.lines);
    const id = packageIdOf(order, index);
    // Own goods are allocated under the guard; a shortage leaves the package waiting and never takes what is not there.
    const allocated = place !== null && (source.partnership !== null || enough);
    if (allocated)
      await allocate(session, { ...source, account: incoming.account, id, warehouse: place._id }, needed, 1);
    // What is allocated conflicts with the removal of its SKU on the stock; what has to wait does so on the SKU. It waits for
    // goods too: those that come meanwhile, unseen, conflict on the stock, or on the SKU where they are its first.
    else
      for (const rows of [models.skus, models.stock] as const)
        await (rows as typeof models.skus).updateMany(
          { account: incoming.account, sku: { $in: [...needed.keys()] } },
          { $inc: { followers: 1 } },
          { session },
        );
    const at = now();
    return {
      _id: id,
      account: incoming.account,
      order,
      store: incoming.store,
      platform: incoming.platform,
      storeName: incoming.storeName,
      shipping: incoming.shipping,
      partnership: source.partnership,
      supplier: source.supplier,
      // Judged on this transaction's snapshot, by no clock: it and a termination write the claims, so one comes first.
      partnered,
      warehouse: place?._id ?? null,
      supplierWarehouse: place?.source?.warehouse ?? null,
      currency,
      lines: source.lines,
      status: 'new',
      allocated,
      attempt: 0,
      parked: false,
      blockers: [],
      failure: allocated
        ? null
        : {
            code: 'insufficient_stock',
            detail: 'No warehouse has enough of every line',
            held: 'nothing',
            retryable: true,
            hint: 'Stock the goods in, then push or ship the order',
          },
      charge: null,
      supplyOrder: null,
      recall: null,
      shipment: null,
      allocationRule: rule,
      autoPush: hasLeft(incoming.state)
        ? null
        : autoPushOf(db, session, plan, { ...source, id, account: incoming.account, partnered }),
      syncedAt: at,
      pushedAt: null,
      updatedAt: at,
    };
  }

  /** A package that no push holds gives its goods back, as its order was cancelled or left without it. @returns lanes to wake */
  async function cancel(
    session: ClientSession,
    pkg: PackageDoc,
    status: PackageDoc['status'] = 'cancelled',
  ): Promise<string[]> {
    const needed = quantitiesOf(pkg.lines);
    const { _id: id, account, partnership, warehouse } = pkg;
    if (pkg.allocated && warehouse !== null)
      await allocate(session, { id, account, partnership, warehouse }, needed, -1);
    await models.packages.updateOne(
      { _id: id },
      { $set: { status, allocated: false, parked: false, blockers: [], failure: null, updatedAt: now() } },
      { session },
    );
    const order = await models.orders.findById(pkg.order, { ruleTurn: 1 }).session(session).lean();
    const keeps = order && dueOrderOf(order);
    const released = [...needed.keys()];
    const promised = partnership === null ? await stock.allocateWaiting(session, account, released) : [];
    return stock.markChanged(session, account, [...new Set([...released, ...promised])], `release ${id}`, false, keeps);
  }

  /**
   * Lines that the platform no longer lists were cancelled there: what no supplier has of them is released, prices stay as they were
   * fixed; of what one has both sides are told. `order` is the caller's to write.
   */
  async function dropGoneLines(session: ClientSession, order: OrderDoc, told: ReadonlySet<string>): Promise<LinesGone> {
    const gone = order.lines.filter(({ line, listing }) => listing !== null && !told.has(line));
    const after: LinesGone = { lanes: [], pushesToEnd: [] };
    // None in common: other names of the same lines, better left alone.
    if (gone.length === 0 || gone.length === order.lines.length || hasLeft(order.state)) return after;
    const ids = new Set(gone.map(({ line }) => line));
    const isGone = ({ line }: PackageLine) => ids.has(orderLineOf(line));
    const packages = await models.packages.find({ order: order._id }).session(session).lean();
    const held = new Set<string>();
    for (const pkg of packages) {
      const dropped = pkg.lines.filter(isGone);
      if (dropped.length === 0 || pkg.status === 'cancelled') continue;
      const isFree = isHeldByNone(pkg) || (isBeingPushed(pkg) && pkg.supplyOrder === null && !pkg.outbound);
      if (isFree) await dropLines(session, order, pkg, dropped, after);
      // It holds nothing; should it be pushed again, then without them.
      else if (pkg.status === 'recalled') await keepLines(session, pkg, dropped);
      else {
        for (const { line } of dropped) held.add(orderLineOf(line));
        const names = dropped.map(({ line }) => line).join(', ');
        await recalls.tellBoth(session, pkg, await recalls.supplyOrderOf(session, pkg), {
          event: 'recall_refused',
          occurrence: `${pkg._id}/lines/${names}`,
          detail: `The platform cancelled lines of the order (${names}) after its push. Settle it between you`,
        });
      }
    }
    order.lines = order.lines.filter(({ line }) => !ids.has(line) || held.has(line));
    return after;
  }

  /** These lines were cancelled at the platform just now. `order` is the caller's to write. @returns lanes to wake */
  async function dropLinesOf(session: ClientSession, order: OrderDoc, gone: readonly string[]): Promise<string[]> {
    if (gone.length === 0 || order.syncedAt === null || order.state === 'cancelled') return [];
    const left = new Set(order.lines.flatMap(({ line }) => (gone.includes(line) ? [] : [line])));
    return (await dropGoneLines(session, order, left)).lanes;
  }

  /** Writes a package's lines without these; one that would be left with gifts alone stays as it is. @returns whether it was written */
  async function keepLines(session: ClientSession, pkg: PackageDoc, dropped: readonly PackageLine[]): Promise<boolean> {
    const lines = pkg.lines.filter((line) => !dropped.includes(line));
    if (lines.every(({ line }) => isGiftLine(line))) return false;
    await models.packages.updateOne({ _id: pkg._id }, { $set: { lines, updatedAt: now() } }, { session });
    return true;
  }

  /** Takes lines out of a package that no supplier has; a push that is under way goes on with the others. One with gifts alone left is cancelled. */
  async function dropLines(
    session: ClientSession,
    order: OrderDoc,
    pkg: PackageDoc,
    dropped: readonly PackageLine[],
    after: LinesGone,
  ): Promise<void> {
    const { _id: id, account, partnership, warehouse } = pkg;
    if (!(await keepLines(session, pkg, dropped))) {
      after.lanes.push(...(await cancel(session, pkg)));
      if (!isBeingPushed(pkg)) return;
      const workflowId = orderPushId(id, pkg.attempt);
      const error = { code: 'abandoned', detail: 'The platform cancelled all that was in it' } as const;
      await operations.end(session, workflowId, 'abandoned', { error });
      after.pushesToEnd.push(workflowId);
      return;
    }
    const released = quantitiesOf(dropped);
    const part = `-${dropped.map(({ line }) => line).join('+')}`;
    if (pkg.allocated && warehouse !== null)
      await allocate(session, { id, account, partnership, warehouse }, released, -1, part);
    // What is released may be waited for; and it may itself need less now than it waits for.
    const skus = pkg.allocated ? [...released.keys()] : [...quantitiesOf(pkg.lines).keys()];
    const promised = partnership === null ? await stock.allocateWaiting(session, account, skus) : [];
    const changed = [...new Set([...skus, ...promised])];
    after.lanes.push(
      ...(await stock.markChanged(session, account, changed, `release ${id}`, false, dueOrderOf(order))),
    );
  }

  /** The order was cancelled: what no push holds is given back now; what the supplier has, or is being given, is recalled. */
  async function cancelPackages(session: ClientSession, order: OrderDoc) {
    const packages = await models.packages.find({ order: order._id }).session(session).lean();
    const lanes: string[] = [];
    const begun: RecallToRun[] = [];
    for (const pkg of packages)
      if (isHeldByNone(pkg)) lanes.push(...(await cancel(session, pkg)));
      else {
        const recall = await recalls.beginForBuyer(session, pkg);
        if (recall !== null) begun.push(recall);
        // Written, so that the end of a push which has not seen the cancellation conflicts with it.
        else await models.packages.updateOne({ _id: pkg._id }, { $set: { updatedAt: now() } }, { session });
      }
    return { lanes, begun };
  }

  /**
   * An order waits for listings. Those that connect them look for waiting orders; each side writes what the other reads, so
   * that the two can't pass each other unseen.
   */
  async function askInVain(session: ClientSession, store: string, lines: readonly OrderLine[]): Promise<void> {
    const step = { $inc: { missed: 1 } };
    const wanted = lines.flatMap(({ listing, unmappedReason }) => (unmappedReason === null ? [] : (listing ?? [])));
    if (wanted.length === 0) return;
    await models.listings.updateMany({ _id: { $in: wanted } }, step, { session });
    await models.stores.updateOne({ _id: store }, step, { session });
  }

  /**
   * The buyer asks for a cancellation: it begins, once for each asking. One that is open answers the wish with its end; one
   * that was answered and is told of in a newer version was withdrawn and renewed meanwhile.
   */
  async function noteWish(
    session: ClientSession,
    order: OrderDoc,
    there: OrderDoc | null,
  ): Promise<CancellationToRun | null> {
    if (order.state !== 'cancel_requested' || order.cancellation?.open) return null;
    const answered = order.cancellation?.wish ?? null;
    const isNew = there?.state !== 'cancel_requested' || (answered !== null && order.version > answered);
    if (!isNew) return null;
    const asked = { by: 'buyer', reason: 'customer_request' } as const;
    order.cancellation = await beginCancellation(db, session, order, asked);
    return { account: order.account, order: order._id, attempt: order.cancellation.attempt };
  }

  /**
   * The buyer wishes to cancel single lines: those that nobody was given, and that are here, are cancelled at the platform; of
   * the others both sides are told to settle it. Each wish once. @returns the cancellation to run after the commit
   */
  async function noteLineWishes(
    session: ClientSession,
    order: OrderDoc,
    askedBack: readonly string[] | undefined,
  ): Promise<CancellationToRun | null> {
    if (askedBack === undefined || (askedBack.length === 0 && !order.lineWishes?.length)) return null;
    const answered = new Set((order.lineWishes ?? []).flatMap((wish) => (wish.answered ? [wish.line] : [])));
    order.lineWishes = askedBack.map((line) => ({ line, answered: answered.has(line) }));
    const wanted = askedBack.filter((line) => !answered.has(line));
    const isHere = order.state === 'unpaid' || order.state === 'ready_to_ship';
    if (wanted.length === 0 || !isHere || order.cancellation?.open) return null;
    order.lineWishes = askedBack.map((line) => ({ line, answered: true }));
    const packages = await models.packages.find({ order: order._id }).session(session).lean();
    const free = new Set(wanted);
    for (const pkg of packages) {
      const asked = wanted.filter((line) => pkg.lines.some((one) => orderLineOf(one.line) === line));
      if (asked.length === 0 || pkg.status === 'cancelled') continue;
      const isUnpushed = ['new', 'push_failed', 'recalled'].includes(pkg.status) && !pkg.parked && !pkg.recall?.open;
      if (isUnpushed) {
        // Written, so that a push which begins meanwhile without having seen this conflicts with it.
        await models.packages.updateOne({ _id: pkg._id }, { $set: { updatedAt: now() } }, { session });
        continue;
      }
      for (const line of asked) free.delete(line);
      const settle = pkg.partnership === null ? 'Settle it with the buyer' : 'Settle it between you';
      await recalls.tellBoth(session, pkg, await recalls.supplyOrderOf(session, pkg), {
        event: 'recall_refused',
        occurrence: `${pkg._id}/wish-${order.version}`,
        detail: `The buyer wishes to cancel lines of a package that is ${pkg.status} (${asked.join(', ')}). ${settle}`,
      });
    }
    if (free.size === 0) return null;
    const asked = { by: 'buyer', reason: 'customer_request', lines: [...free] } as const;
    order.cancellation = await beginCancellation(db, session, order, asked);
    return { account: order.account, order: order._id, attempt: order.cancellation.attempt };
  }

  /** The platform is asked for the order again: an event in the inbox. @returns its intake, to be woken */
  async function askAgain(session: ClientSession, order: OrderDoc): Promise<string[]> {
    const { account, store, platform, platformOrder } = order;
    const _id = `hub:${newId('inbox')}`;
    const event: InboxDoc = {
      ...{ _id, platform, shopId: null, account, store, platformOrder },
      body: cipher.seal('{}', `${account}/inbox/${_id}`),
      status: 'stored',
      receivedAt: now(),
      expiresAt: null,
    };
    await models.inbox.collection.insertOne(event as never, { session });
    return [processId('order-intake', { store, platformOrder })];
  }

  /** All lines are mapped: packages, prices, stock. `order` is the caller's to write. @returns lanes to wake */
  async function sync(
    session: ClientSession,
    incoming: IncomingOrder,
    order: OrderDoc,
    { lines, skus, there }: { lines: OrderLine[]; skus: Map<string, SkuDoc>; there: OrderDoc | null },
  ): Promise<string[]> {
    const { _id: id, account } = order;
    const isDue = !hasLeft(incoming.state) || (await isHubLate(session, incoming, there));
    const rules = await planSync(db, session, account, order, lines);
    // What left without us holds no gift of ours.
    const plan = isDue ? rules : { ...rules, gifts: [], result: () => [] };
    const gifts = await matchLines(session, {
      ...incoming,
      lines: plan.gifts.map(({ line, sku, quantity }) => ({ line, sku, quantity, title: sku, listing: null })),
    });
    const all = new Map([...gifts.skus, ...skus]);
    const sources = await split(session, account, [...lines, ...gifts.lines], all);
    const packages: PackageDoc[] = [];
    for (const source of sources) {
      const made = isDue
        ? await makePackage(session, { ...incoming, amount: order.amount }, id, packages.length, source, plan)
        : packageThatLeft(incoming, id, packages.length, source);
      if (made !== null) packages.push(made);
    }
    Object.assign(order, { tags: plan.tags, marketing: plan.marketing, gifts: plan.result(packages) });
    await models.packages.collection.insertMany(packages as never, { session });
    order.packages = packages.map(({ _id }) => _id);
    order.syncedAt = now();
    order.ruleTurn = await pushRules.turn(session, account);
    const changed = packages.flatMap((pkg) => (pkg.allocated ? pkg.lines.map(({ sku }) => sku) : []));
    return stock.markChanged(session, account, [...new Set(changed)], `order ${id}`, false, dueOrderOf(order));
  }

  /**
   * The platform says that the order left: what was never pushed left without its supplier, and holds no goods any more.
   * @returns lanes to wake
   */
  async function endUnpushed(session: ClientSession, order: OrderDoc): Promise<string[]> {
    if (!hasLeft(order.state)) return [];
    const packages = await models.packages
      .find({ order: order._id, partnership: { $ne: null }, supplyOrder: null, parked: false })
      .session(session)
      .lean();
    const status = order.state as PackageDoc['status'];
    const lanes: string[] = [];
    for (const pkg of packages)
      if (pkg.status === 'new' || pkg.status === 'push_failed') lanes.push(...(await cancel(session, pkg, status)));
      else if (pkg.status === 'shipped')
        await models.packages.updateOne({ _id: pkg._id }, { $set: { status, updatedAt: now() } }, { session });
    return lanes;
  }

  async function takeInOnce(session: ClientSession, incoming: IncomingOrder): Promise<IntakeResult> {
    const identity = { account: incoming.account, store: incoming.store, platformOrder: incoming.platformOrder };
    const there: OrderDoc | null = await models.orders.findOne(identity).session(session).lean();
    // Times are told in whole seconds: of two states in one, the more advanced is the newer.
    const rank = ({ state, awaitsPickup }: { state: string; awaitsPickup?: boolean }) =>
      2 * PLATFORM_ORDER_STATES.indexOf(state as PlatformOrderState) + (awaitsPickup ? 1 : 0);
    const isNews =
      !there ||
      // A cancelled order stays cancelled.
      (there.state !== 'cancelled' &&
        (incoming.version > there.version || (incoming.version === there.version && rank(incoming) > rank(there))));
    const waitsForSync = there !== null && there.syncedAt === null && there.state !== 'cancelled';
    if (there && !isNews && !(waitsForSync && incoming.version === there.version)) {
      const wishes = there.lineWishes;
      // A wish that was renewed while the last one was being answered is known already, and was not begun with.
      const cancellation =
        incoming.version === there.version
          ? ((await noteWish(session, there, there)) ?? (await noteLineWishes(session, there, incoming.askedBack)))
          : null;
      if (cancellation !== null || there.lineWishes !== wishes)
        await models.orders.collection.updateOne(
          { _id: there._id } as never,
          { $set: { cancellation: there.cancellation ?? null, lineWishes: there.lineWishes ?? [] } },
          { session },
        );
      const { _id: order, packages } = there;
      return { order, isNew: false, outcome: 'unchanged', packages, ...NOTHING_AFTER, cancellation };
    }

    const id = there?._id ?? newId('order');
    const { lines, skus } = await matchLines(session, withMappings(incoming, there));
    const recipient = recipients.next(
      { account: incoming.account, _id: id },
      there?.recipient ?? null,
      incoming.recipient,
    );
    const base: OrderDoc = {
      ...identity,
      _id: id,
      platform: incoming.platform,
      storeName: incoming.storeName,
      platformState: incoming.platformState,
      version: incoming.version,
      state: incoming.state,
      currency: incoming.currency,
      shipping: incoming.shipping,
      // What was synced stays as it was fixed then.
      lines: there?.syncedAt ? there.lines : lines,
      amount: incoming.amount ?? there?.amount ?? null,
      awaitsPickup: incoming.awaitsPickup ?? there?.awaitsPickup ?? false,
      tags: there?.tags ?? [],
      marketing: there?.marketing ?? false,
      gifts: there?.gifts ?? [],
      recipient: recipient.sealed,
      packages: there?.packages ?? [],
      cancellation: there?.cancellation ?? null,
      lineWishes: there?.lineWishes ?? [],
      syncedAt: there?.syncedAt ?? null,
      ruleTurn: there?.ruleTurn ?? null,
      placedAt: new Date(incoming.placedAt),
      createdAt: there?.createdAt ?? now(),
    };
    const lanes: string[] = [];
    const begun: RecallToRun[] = [];
    const pushesToEnd: string[] = [];
    let outcome: IntakeResult['outcome'] = 'updated';
    if (incoming.state === 'cancelled') {
      if (there?.syncedAt) {
        const cancelled = await cancelPackages(session, there);
        lanes.push(...cancelled.lanes);
        begun.push(...cancelled.begun);
      }
    } else if (incoming.state === 'unpaid') outcome = 'unpaid';
    else if (!base.syncedAt) {
      if (lines.some(({ unmappedReason }) => unmappedReason !== null)) {
        outcome = 'unmapped';
        await askInVain(session, incoming.store, lines);
      } else {
        lanes.push(...(await sync(session, incoming, base, { lines, skus, there })));
        outcome = 'synced';
      }
    }
    if (there?.syncedAt) {
      base.lines = await takePlatformLines(db, session, base, lines);
      if (incoming.state !== 'cancelled') {
        const after = await dropGoneLines(session, base, toldLines(incoming));
        lanes.push(...after.lanes);
        pushesToEnd.push(...after.pushesToEnd);
      }
      await followPlatform(db, session, base);
      if (recipient.isNew) await recipients.follow(session, base);
    }
    if (base.syncedAt) lanes.push(...(await endUnpushed(session, base)), ...(await own.follow(session, base)));
    const cancellation =
      (await noteWish(session, base, there)) ?? (await noteLineWishes(session, base, incoming.askedBack));
    await models.orders.collection.replaceOne({ _id: id } as never, base as never, { upsert: true, session });
    const isNew = there === null;
    const { packages } = base;
    const after = { lanes: [...new Set(lanes)], recalls: begun, pushesToEnd };
    return { order: id, isNew, outcome, packages, ...after, cancellation };
  }

  /** Takes an order in, or takes note of its newer state. Safe to repeat and to run at once; an older state changes nothing. */
  async function takeIn(incoming: IncomingOrder): Promise<IntakeResult> {
    for (let attempt = 1; ; attempt += 1)
      try {
        return await db.transact((session) => takeInOnce(session, incoming), `stock/${incoming.account}`);
      } catch (error) {
        // Another process took the same order in first; the second look finds it.
        if (!isDuplicateKey(error) || attempt >= 3) throw error;
      }
  }

  return { takeIn, takeInOnce, cancel, cancelPackages, askAgain, dropLinesOf };
}
