/**
 * Claims: made, ended, and given and freed of the causes that keep them from counting. Contract: catalogue.md, Claims.
 *
 * A claim's causes follow from its product, the rules and the partnership. What changes one of these raises the supplier's
 * `claimsRevision` in its own transaction; then each partnership is looked at in a transaction of its own, in which
 * partnership, rules and products are one snapshot. Those transactions, and claims being made, write the partnership:
 * so two never both miss what the other did.
 */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import type { ClaimCause } from '../../domain/partnership';
import { mirrorLaneId } from '../../domain/process-ids';
import { decideVisibility } from '../../domain/visibility';
import { type Database, found, isDuplicateKey, type Page, type PageRequest, toPage } from '../database';
import type { ClaimDoc, PartnershipDoc, SupplierDoc } from '../models/documents';
import { skuId } from './catalogue';
import { createDueRepository } from './dues';
import { changeMirrored } from './mirrored-stock';
import { createOfferRepository } from './offers';
import { createProductLog } from './product-log';
import { createStockRepository, stockId } from './stock';

/** Packages that can still need their claim. */
const FINISHED = ['completed', 'cancelled', 'recalled'] as const;

/** What one look at claims came to. */
export interface Settled {
  /** Lanes to wake. */
  readonly lanes: readonly string[];
  /** There are partnerships left. */
  readonly more: boolean;
}

export function createClaimRepository(db: Database) {
  const { models, now } = db;
  const dues = createDueRepository(db);
  const log = createProductLog(db);
  const offering = createOfferRepository(db);
  const stock = createStockRepository(db);

  /** Says, in the transaction of a change, that it may move claims of this supplier's. @returns the set-up as it was */
  async function raise(session: ClientSession, supplier: string): Promise<SupplierDoc> {
    return found(
      await models.suppliers
        .findByIdAndUpdate(
          supplier,
          { $inc: { claimsRevision: 1, touched: 1 }, $set: { claimsDueSince: now() } },
          { session },
        )
        .lean(),
      'Distribution set-up; activate it first',
    );
  }

  /** The causes that hold against each of the claims now. */
  async function causesOf(
    session: ClientSession,
    partnership: PartnershipDoc,
    claims: readonly ClaimDoc[],
  ): Promise<Map<string, ClaimCause[]>> {
    const { supplier, distributor, level } = partnership;
    const products = await models.products
      .find({ supplier, sku: { $in: claims.map(({ supplierSku }) => supplierSku) } }, { sku: 1, status: 1 })
      .session(session)
      .lean();
    const rules = await offering.rulesOf(session, supplier);
    const disabled = await offering.disabledAmong(session, partnership);
    return new Map(
      claims.map(({ _id, supplierSku }) => {
        const held: readonly [boolean, ClaimCause][] = [
          [products.find(({ sku }) => sku === supplierSku)?.status !== 'enabled', 'product_disabled'],
          [disabled.has(supplierSku), 'disabled_for_distributor'],
          [!decideVisibility(rules, { id: distributor, level }, supplierSku).visible, 'hidden'],
          [partnership.status !== 'partnered', 'not_partnered'],
        ];
        return [_id, held.flatMap(([holds, cause]) => (holds ? [cause] : []))];
      }),
    );
  }

  /**
   * Gives a partnership's claims the causes that hold now, and marks the stock of those that began or ceased to count. In
   * the caller's transaction, after the change it follows from. @returns lanes to wake
   */
  async function reconsider(session: ClientSession, partnership: string, why: string): Promise<string[]> {
    const before = found(
      await models.partnerships
        .findByIdAndUpdate(partnership, { $inc: { claimTurns: 1 } }, { session, returnDocument: 'after' })
        .lean(),
      'partnership',
    );
    const setup = await models.suppliers.findById(before.supplier, { claimsRevision: 1 }).session(session).lean();
    await models.partnerships.updateOne(
      { _id: partnership },
      { $set: { claimsRevision: setup?.claimsRevision ?? 0 } },
      { session },
    );
    const claims = await models.claims.find({ partnership, stopped: false }).session(session).lean();
    if (claims.length === 0) return [];
    const causes = await causesOf(session, before, claims);
    const changed = claims.flatMap((claim) => {
      const held = causes.get(claim._id) ?? [];
      return held.join() === [...claim.causes].join() ? [] : [{ claim, held }];
    });
    if (changed.length === 0) return [];
    const at = now();
    await models.claims.collection.bulkWrite(
      changed.map(({ claim, held }) => ({
        updateOne: {
          filter: { _id: claim._id },
          update: { $set: { causes: held, inactiveSince: held.length === 0 ? null : (claim.inactiveSince ?? at) } },
        },
      })) as never,
      { session, ordered: true },
    );
    const lane = mirrorLaneId(partnership);
    const lanes: string[] = [];
    for (const goes of [true, false]) {
      const moved = changed.filter(
        ({ claim, held }) => (claim.causes.length === 0) !== (held.length === 0) && held.length > 0 === goes,
      );
      const subjects = moved.map(({ claim: { distributor: account, supplierSku: subject } }) => ({
        ...{ lane, account, subject, item: subject },
      }));
      lanes.push(...(await dues.mark(session, subjects, { cause: why, urgent: goes })));
    }
    return [...new Set(lanes)];
  }

  /** The distributor's SKU that shows the product: made, or the one of an earlier claim taken up again. 409 `sku_taken` */
  async function takeSku(
    session: ClientSession,
    partnership: PartnershipDoc,
    sku: string,
    code: string,
  ): Promise<void> {
    const { distributor, supplier } = partnership;
    const source = { partnership: partnership._id, supplier, supplierSku: sku };
    const there = await models.skus.findById(skuId(distributor, code)).session(session).lean();
    if (there) {
      const isSame = there.mirror?.supplier === supplier && there.mirror.supplierSku === sku;
      const holder = there.mirror
        ? await models.partnerships.findById(there.mirror.partnership, { open: 1 }).session(session).lean()
        : null;
      if (!isSame || (there.mirror?.partnership !== partnership._id && holder?.open))
        throw new HubError('sku_taken', `You have a SKU ${code} already; choose another with "as"`);
      await models.skus.updateOne(
        { _id: there._id },
        { $set: { mirror: source }, $inc: { followers: 1 } },
        { session },
      );
      return;
    }
    const entry = found(await models.skus.findById(skuId(supplier, sku)).session(session).lean(), 'SKU');
    await models.skus.create(
      [
        {
          _id: skuId(distributor, code),
          account: distributor,
          sku: code,
          name: entry.name,
          kind: 'single',
          components: [],
          mirror: source,
          followers: 0,
          command: null,
          createdAt: now(),
        },
      ],
      { session },
    );
  }

  /** A row of stock in each of the distributor's views of the supplier's warehouses. */
  async function openStock(session: ClientSession, partnership: PartnershipDoc, code: string): Promise<void> {
    const account = partnership.distributor;
    const places = await models.warehouses
      .find({ account, 'source.partnership': partnership._id })
      .session(session)
      .lean();
    if (places.length === 0) return;
    const nothing = { onHand: 0, allocated: 0, reserved: 0, inTransit: 0, available: 0, mirrored: true, followers: 0 };
    await models.stock.collection.bulkWrite(
      places.map(({ _id: warehouse }) => ({
        updateOne: {
          filter: { _id: stockId(warehouse, code) },
          update: { $setOnInsert: { account, warehouse, sku: code, ...nothing } },
          upsert: true,
        },
      })) as never,
      { session },
    );
  }

  /** The product as a partner may claim it, with its price. 404 where they can't see it, 409 `not_claimable` with the reason. */
  async function claimable(session: ClientSession, partnership: PartnershipDoc, sku: string): Promise<number> {
    const setup = found(await models.suppliers.findById(partnership.supplier).session(session).lean(), 'set-up');
    const product = found(
      await models.products.findById(skuId(partnership.supplier, sku)).session(session).lean(),
      `distribution product ${sku}`,
    );
    const [offer] = await offering.offers(session, partnership, setup, [product]);
    if (!offer?.visibility.visible) throw new HubError('not_found', `There is no such distribution product ${sku}`);
    const refused = (detail: string, reason: string) => new HubError('not_claimable', detail, { members: { reason } });
    if (product.status !== 'enabled') throw refused(`The product is ${product.status}`, `product_${product.status}`);
    if (offer.disabledFor) throw refused('The product is disabled for you', 'disabled_for_distributor');
    if (!offer.price.ok) throw refused(`There is no price: ${offer.price.reason}`, offer.price.reason);
    return offer.price.price.amount;
  }

  async function claimOnce(
    session: ClientSession,
    distributor: string,
    partnership: string,
    input: { sku: string; as: string | null },
  ): Promise<{ claim: ClaimDoc; lanes: string[] }> {
    const row = found(
      await models.partnerships
        .findOneAndUpdate(
          { _id: partnership, distributor },
          { $inc: { claimTurns: 1 } },
          { session, returnDocument: 'after' },
        )
        .lean(),
      'partnership',
    );
    if (row.status !== 'partnered')
      throw new HubError('not_claimable', `The partnership is ${row.status}`, {
        members: { currentStatus: row.status, reason: 'not_partnered' },
      });
    const claimId = `${partnership}/${input.sku}`;
    const there = await models.claims.findById(claimId).session(session).lean();
    if (there && !there.stopped) {
      if (there.sku !== input.as && input.as !== null)
        throw new HubError('already_claimed', `It is claimed as ${there.sku}`, { members: { sku: there.sku } });
      return { claim: there, lanes: [] };
    }
    const code = input.as ?? input.sku;
    const shownPrice = await claimable(session, row, input.sku);
    await takeSku(session, row, input.sku, code);
    const { supplier } = row;
    const claim: ClaimDoc = {
      ...{ _id: claimId, partnership, supplier, distributor, supplierSku: input.sku, sku: code, stopped: false },
      causes: [],
      inactiveSince: null,
      shownPrice,
      billedPrice: null,
      orders: there?.orders ?? 0,
      claimedAt: now(),
    };
    await models.claims.replaceOne({ _id: claimId }, claim, { upsert: true, session });
    await openStock(session, row, code);
    const key = `${claimId}/claimed/${newId('command')}`;
    await log.write(session, { supplier, sku: input.sku, what: 'claimed', who: distributor, why: null, key });
    await stock.follow(session, supplier, [input.sku]);
    // Its own mirror fills the new stock rows; the supplier's other listeners need not hear.
    const subjects = await stock.subjectsOf(session, supplier, [input.sku]);
    const own = subjects.filter(({ account, subject }) => account === distributor && subject === input.sku);
    return { claim, lanes: await stock.markSubjects(session, own, `claim ${claimId}`) };
  }

  /** Orders that still need the claim: their packages are not finished. */
  async function refuseInUse(session: ClientSession, claim: ClaimDoc): Promise<void> {
    const holding = await models.packages
      .find(
        {
          supplier: claim.supplier,
          'lines.supplierSku': claim.supplierSku,
          partnership: claim.partnership,
          status: { $nin: [...FINISHED] },
        },
        { order: 1 },
      )
      .limit(20)
      .session(session)
      .lean();
    if (holding.length > 0)
      throw new HubError('claim_in_use', 'Unfinished orders hold the claim', {
        members: { orders: [...new Set(holding.map(({ order }) => order))] },
      });
  }

  /** What the distributor has of it is gone at once: nothing mirrors a claim that is over. @returns lanes to wake */
  async function emptyStock(session: ClientSession, claim: ClaimDoc, key: string): Promise<string[]> {
    const { distributor: account, sku } = claim;
    const places = await models.warehouses
      .find({ account, 'source.partnership': claim.partnership })
      .session(session)
      .lean();
    await changeMirrored(
      db,
      session,
      places.map(({ _id: warehouse }) => ({
        ...{ account, warehouse, sku, kind: 'claim', reason: 'claim stopped', document: claim._id },
        key: `${key}/${warehouse}`,
        onHand: 0,
      })),
    );
    return stock.markChanged(session, account, [sku], `claim ${claim._id} stopped`, true);
  }

  return {
    raise,
    reconsider,

    /**
     * Claims a product: makes the distributor's merchant SKU, the mapping, and stock in each of their supplier warehouses.
     * Again it answers with the claim there is; one that was stopped is claimed anew. 409 `sku_taken`, `not_claimable`.
     * @returns the claim and the lanes to wake
     */
    async claim(
      distributor: string,
      partnership: string,
      input: { sku: string; as: string | null },
    ): Promise<{ claim: ClaimDoc; lanes: string[] }> {
      for (let attempt = 1; ; attempt += 1)
        try {
          return await db.transact((session) => claimOnce(session, distributor, partnership, input));
        } catch (error) {
          // Somebody made a SKU of that code just now: the second look finds it, and says whose it is.
          if (!isDuplicateKey(error) || attempt >= 3) throw error;
        }
    },

    /** A partnership's claims, stopped ones too, by the supplier's SKU. The caller has seen to it that it may be seen. */
    async list(partnership: string, page: PageRequest): Promise<Page<ClaimDoc>> {
      const rows = await models.claims
        .find({ partnership, ...(page.after === null ? {} : { supplierSku: { $gt: page.after } }) })
        .sort({ supplierSku: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ supplierSku }) => supplierSku);
    },

    /** Ends a claim; again it answers as before. 409 `claim_in_use` with the orders that hold it. */
    stop(distributor: string, partnership: string, sku: string): Promise<{ claim: ClaimDoc; lanes: string[] }> {
      return db.transact(async (session) => {
        const claim = found(
          await models.claims
            .findOneAndUpdate({ _id: `${partnership}/${sku}`, distributor }, { $set: { stopped: true } }, { session })
            .lean(),
          'claim',
        );
        if (claim.stopped) return { claim, lanes: [] };
        await refuseInUse(session, claim);
        const key = `${claim._id}/stopped/${newId('command')}`;
        const { supplier } = claim;
        await log.write(session, { supplier, sku, what: 'stopped', who: distributor, why: null, key });
        const lanes = await emptyStock(session, claim, key);
        // A pass of the mirror that still saw the claim conflicts with this, or is followed by one that sees its end.
        const subject = { lane: mirrorLaneId(partnership), account: distributor, subject: sku, item: sku };
        return {
          claim: { ...claim, stopped: true },
          lanes: [
            ...lanes,
            ...(await dues.mark(session, [subject], { cause: `claim ${claim._id} stopped`, urgent: true })),
          ],
        };
      });
    },

    /**
     * Looks at the claims of at most so many partnerships of a supplier's, each in a transaction of its own. Safe to repeat
     * and to run at once.
     */
    async settle(supplier: string, partnerships: number): Promise<Settled> {
      const setup = await models.suppliers.findById(supplier).lean();
      if (!setup || setup.claimsDueSince === null) return { lanes: [], more: false };
      const { claimsRevision } = setup;
      const rows = await models.partnerships
        .find({ supplier, status: 'partnered', claimsRevision: { $lt: claimsRevision } }, { _id: 1 })
        .limit(partnerships + 1)
        .lean();
      const lanes: string[] = [];
      for (const { _id } of rows.slice(0, partnerships))
        lanes.push(...(await db.transact((session) => reconsider(session, _id, 'the claim’s causes'))));
      const more = rows.length > partnerships;
      if (!more)
        await models.suppliers.updateOne({ _id: supplier, claimsRevision }, { $set: { claimsDueSince: null } });
      return { lanes, more };
    },

    /** Suppliers whose claims were to be looked at before the given time, and were not. */
    async waitingSince(before: Date, limit: number): Promise<string[]> {
      const rows = await models.suppliers
        .find({ claimsDueSince: { $lt: before } }, { _id: 1 })
        .limit(limit)
        .lean();
      return rows.map(({ _id }) => _id);
    },

    /** How many distributors have an active, an inactive and a stopped claim on a product, whichever partnership it is of. */
    async counts(supplier: string, sku: string): Promise<{ active: number; inactive: number; stopped: number }> {
      const rows = await models.claims
        .find({ supplier, supplierSku: sku }, { distributor: 1, stopped: 1, causes: 1 })
        .lean();
      const distinct = (of: (row: (typeof rows)[number]) => boolean) =>
        new Set(rows.filter(of).map(({ distributor }) => distributor)).size;
      return {
        active: distinct(({ stopped, causes }) => !stopped && causes.length === 0),
        inactive: distinct(({ stopped, causes }) => !stopped && causes.length > 0),
        stopped: distinct(({ stopped }) => stopped),
      };
    },
  };
}
