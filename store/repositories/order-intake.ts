/** Taking an order in: matching its lines, splitting it by source, fixing prices, allocating stock. Contract: orders.md, Orders in. */
import type { ClientSession } from 'mongoose';
import { newId } from '../../domain/ids';
import type { Currency } from '../../domain/money';
import type { Shipping } from '../../domain/pricing';
import { type Database, isDuplicateKey } from '../database';
import type { ClaimDoc, OrderDoc, OrderLine, PackageDoc, PackageLine, SkuDoc } from '../models/documents';
import { changeMirrored } from './mirrored-stock';
import { createPriceRepository } from './prices';
import { createRecallBeginning, type RecallToRun } from './recalls';
import { createStockRepository } from './stock';

/** States of an order at its platform, least advanced first; an older state never replaces a newer. */
export const ORDER_STATES = [
  'unpaid',
  'ready_to_ship',
  'shipped',
  'completed',
  'cancel_requested',
  'cancelled',
] as const;

export interface IncomingOrder {
  readonly account: string;
  /** A store's id, or `api`. */
  readonly store: string;
  readonly platform: string;
  readonly storeName: string;
  readonly platformOrder: string;
  readonly state: (typeof ORDER_STATES)[number];
  readonly platformState: string;
  /** The platform's time of its last change, epoch ms. */
  readonly version: number;
  readonly placedAt: number;
  readonly currency: string;
  readonly shipping: Shipping;
  readonly recipient: { readonly name: string; readonly phone: string; readonly address: string } | null;
  readonly lines: readonly {
    readonly line: string;
    readonly title: string;
    readonly quantity: number;
    /** By listing (from a platform), or by SKU (from the API). */
    readonly listing: string | null;
    readonly sku: string | null;
  }[];
}

export interface IntakeResult {
  readonly order: string;
  readonly outcome: 'synced' | 'unmapped' | 'unpaid' | 'updated' | 'unchanged';
  readonly packages: readonly string[];
  readonly lanes: readonly string[];
  /** Recalls that a buyer's cancellation began; the caller starts their workflows (the sweep does where it can't). */
  readonly recalls: readonly RecallToRun[];
}

export const recipientContext = (account: string, order: string) => `${account}/order/${order}/recipient`;

interface Source {
  readonly partnership: string | null;
  readonly supplier: string | null;
  readonly lines: PackageLine[];
  claims: ClaimDoc[];
}

/** Units by SKU, lines of one SKU added up. */
function quantitiesOf(lines: readonly PackageLine[]): Map<string, number> {
  const needed = new Map<string, number>();
  for (const { sku, quantity } of lines) needed.set(sku, (needed.get(sku) ?? 0) + quantity);
  return needed;
}

export function createOrderIntake(db: Database) {
  const { models, now, cipher } = db;
  const stock = createStockRepository(db);
  const pricing = createPriceRepository(db);
  const recalls = createRecallBeginning(db);

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
    const lines = incoming.lines.map(({ line, title, quantity, listing, sku: code }): OrderLine => {
      const sku = code ?? (listing === null ? null : (listed.get(listing) ?? null));
      const reason =
        sku === null
          ? listing !== null && listed.has(listing)
            ? 'listing_not_connected'
            : 'no_such_listing'
          : skus.has(sku)
            ? null
            : 'no_such_sku';
      return { line, listing, sku: reason === null ? sku : null, title, quantity, unmappedReason: reason };
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
          ? [{ line: `${line.line}#${part.sku}`, entry: component, quantity: line.quantity * part.quantity }]
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
      if (decision?.ok) line.price = decision.price.amount;
      else line.priceReason = decision?.reason ?? 'price_missing';
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

  /** The first of the warehouses with enough for every line, else the first; of a supplier's, those that are given now. */
  async function assignWarehouse(session: ClientSession, account: string, source: Source) {
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
    const needed = quantitiesOf(source.lines);
    const rows = await models.stock
      .find({ account, sku: { $in: [...needed.keys()] }, warehouse: { $in: places.map(({ _id }) => _id) } })
      .session(session)
      .lean();
    const holds = (warehouse: string) =>
      [...needed].every(
        ([sku, quantity]) =>
          (rows.find((row) => row.warehouse === warehouse && row.sku === sku)?.available ?? 0) >= quantity,
      );
    const enough = places.find(({ _id }) => holds(_id));
    const partnered = given?.status === 'partnered';
    return { place: enough ?? places[0] ?? null, enough: enough !== undefined, needed, partnered };
  }

  /** Allocates a package's quantities where it is assigned, or (sign −1) gives them back. */
  async function allocate(
    session: ClientSession,
    pkg: { id: string; account: string; partnership: string | null; warehouse: string },
    needed: ReadonlyMap<string, number>,
    sign: 1 | -1,
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
      key: `${id}/${kind}/${sku}`,
      by: { allocated: sign * quantity },
    }));
    if (pkg.partnership !== null) await changeMirrored(db, session, changes);
    else for (const change of changes) await stock.change(session, change);
  }

  async function makePackage(
    session: ClientSession,
    incoming: IncomingOrder,
    order: string,
    index: number,
    source: Source,
  ): Promise<PackageDoc> {
    const currency = source.partnership === null ? null : await price(session, source);
    const { place, enough, needed, partnered } = await assignWarehouse(session, incoming.account, source);
    const id = `${order.replace(/^ord/, 'pkg')}-${index + 1}`;
    // Own goods are allocated under the guard; a shortage leaves the package waiting and never takes what is not there.
    const allocated = place !== null && (source.partnership !== null || enough);
    if (allocated)
      await allocate(session, { ...source, account: incoming.account, id, warehouse: place._id }, needed, 1);
    // What is allocated conflicts with the removal of its SKU on the stock; what has to wait does so on the SKU.
    else
      await models.skus.updateMany(
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
          },
      charge: null,
      supplyOrder: null,
      recall: null,
      shipment: null,
      syncedAt: at,
      pushedAt: null,
      updatedAt: at,
    };
  }

  /** A package of a cancelled order that no push holds gives its goods back. @returns lanes to wake */
  async function cancel(session: ClientSession, pkg: PackageDoc): Promise<string[]> {
    const needed = quantitiesOf(pkg.lines);
    const { _id: id, account, partnership, warehouse } = pkg;
    if (pkg.allocated && warehouse !== null)
      await allocate(session, { id, account, partnership, warehouse }, needed, -1);
    await models.packages.updateOne(
      { _id: id },
      { $set: { status: 'cancelled', allocated: false, parked: false, updatedAt: now() } },
      { session },
    );
    return stock.markChanged(session, account, [...needed.keys()], `release ${id}`);
  }

  /** The order was cancelled: what no push holds is given back now; what the supplier has, or is being given, is recalled. */
  async function cancelPackages(session: ClientSession, order: OrderDoc) {
    const packages = await models.packages.find({ order: order._id }).session(session).lean();
    const lanes: string[] = [];
    const begun: RecallToRun[] = [];
    for (const pkg of packages)
      if (pkg.supplyOrder === null && (pkg.status === 'new' || pkg.status === 'push_failed') && !pkg.parked)
        lanes.push(...(await cancel(session, pkg)));
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

  async function takeInOnce(session: ClientSession, incoming: IncomingOrder): Promise<IntakeResult> {
    const identity = { account: incoming.account, store: incoming.store, platformOrder: incoming.platformOrder };
    const there: OrderDoc | null = await models.orders.findOne(identity).session(session).lean();
    const rank = (state: string) => ORDER_STATES.indexOf(state as IncomingOrder['state']);
    const isNews =
      !there ||
      // A cancelled order stays cancelled.
      (there.state !== 'cancelled' &&
        (incoming.version > there.version ||
          (incoming.version === there.version && rank(incoming.state) > rank(there.state))));
    const waitsForSync = there !== null && there.syncedAt === null && there.state !== 'cancelled';
    if (there && !isNews && !(waitsForSync && incoming.version === there.version))
      return { order: there._id, outcome: 'unchanged', packages: there.packages, lanes: [], recalls: [] };

    const id = there?._id ?? newId('order');
    const { lines, skus } = await matchLines(session, incoming);
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
      recipient: incoming.recipient
        ? cipher.seal(JSON.stringify(incoming.recipient), recipientContext(incoming.account, id))
        : (there?.recipient ?? null),
      packages: there?.packages ?? [],
      syncedAt: there?.syncedAt ?? null,
      placedAt: new Date(incoming.placedAt),
      createdAt: there?.createdAt ?? now(),
    };
    const lanes: string[] = [];
    const begun: RecallToRun[] = [];
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
        const sources = await split(session, incoming.account, lines, skus);
        const packages: PackageDoc[] = [];
        for (const [index, source] of sources.entries())
          packages.push(await makePackage(session, incoming, id, index, source));
        await models.packages.collection.insertMany(packages as never, { session });
        base.packages = packages.map(({ _id }) => _id);
        base.syncedAt = now();
        outcome = 'synced';
        const changed = packages.flatMap((pkg) => (pkg.allocated ? pkg.lines.map(({ sku }) => sku) : []));
        lanes.push(...(await stock.markChanged(session, incoming.account, [...new Set(changed)], `order ${id}`)));
      }
    }
    await models.orders.collection.replaceOne({ _id: id } as never, base as never, { upsert: true, session });
    return { order: id, outcome, packages: base.packages, lanes: [...new Set(lanes)], recalls: begun };
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

  return { takeIn, cancel };
}
