/** Stores, their tokens, and their listings. Contract: store-products.md, platforms.md. */
import { createHash, randomBytes } from 'node:crypto';
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { idFor, newId } from '../../domain/ids';
import { processId, storeLaneId } from '../../domain/process-ids';
import { type Database, found, type Page, type PageRequest, toPage } from '../database';
import type { InboxDoc, ListingDoc, StoreDoc } from '../models/documents';
import { createDueRepository } from './dues';
import { createNotificationRepository } from './notifications';
import { createOrderPollRepository } from './order-polls';
import { createStockRepository } from './stock';

const STATE_MINUTES = 10;
const SWITCHED_AT_ONCE = 500;
const stateHash = (state: string) => createHash('sha256').update(state).digest('hex');

export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly accessExpiresAt: number;
  readonly refreshExpiresAt: number;
}

/** One variation as it came from the platform. */
export interface DownloadedListing {
  readonly itemId: string;
  readonly modelId: string;
  readonly sellerSku: string;
  readonly title: string;
  readonly imageUrl: string | null;
  readonly variation: string;
  readonly price: string;
  readonly currency: string;
  readonly quantity: number;
  readonly status: string;
}

export const listingId = (store: string, item: string, model: string) => `${store}/${item}/${model}`;

export function createStoreRepository(db: Database) {
  const { models, now, cipher } = db;
  const dues = createDueRepository(db);
  const stock = createStockRepository(db);
  const notifications = createNotificationRepository(db);
  const polls = createOrderPollRepository(db);
  const context = (store: Pick<StoreDoc, '_id' | 'account'>) => `${store.account}/store/${store._id}/tokens`;

  /**
   * Orders that waited for these listings are taken in again: an event in the inbox, in the caller's transaction, which
   * the sweep finds at the latest. Contract: orders.md, Orders in. @returns their intakes, to be woken
   */
  async function resolveOrders(
    session: ClientSession,
    account: string,
    rows: readonly ListingDoc[],
  ): Promise<string[]> {
    if (rows.length === 0) return [];
    const stores = [...new Set(rows.map(({ store }) => store))];
    await models.stores.updateMany({ _id: { $in: stores } }, { $inc: { missed: 1 } }, { session });
    const waiting = await models.orders
      .find({ account, syncedAt: null, 'lines.listing': { $in: rows.map(({ _id }) => _id) } })
      .session(session)
      .lean();
    const orders = waiting.filter(({ state }) => state !== 'unpaid' && state !== 'cancelled');
    if (orders.length === 0) return [];
    const at = now();
    const events = orders.map(({ store, platform, platformOrder }): InboxDoc => {
      const _id = `hub:${newId('inbox')}`;
      return {
        _id,
        platform,
        shopId: null,
        account,
        store,
        platformOrder,
        body: cipher.seal('{}', `${account}/inbox/${_id}`),
        status: 'stored',
        receivedAt: at,
        expiresAt: null,
      };
    });
    await models.inbox.collection.insertMany(events as never, { session });
    return orders.map(({ store, platformOrder }) => processId('order-intake', { store, platformOrder }));
  }

  /** A due mark of one listing, in the caller's transaction. */
  const markListings = (session: ClientSession | null, rows: readonly ListingDoc[], cause: string) =>
    dues.mark(
      session,
      rows.map(({ _id, store, account, item }) => ({ lane: storeLaneId(store), account, subject: _id, item })),
      { cause },
    );

  /** Connected listings follow their SKUs' stock. */
  const follow = (session: ClientSession, account: string, rows: readonly ListingDoc[]) =>
    stock.follow(session, account, [...new Set(rows.flatMap(({ sku }) => sku ?? []))]);

  return {
    listingId,

    /** A store that waits for its owner's authorisation. */
    async add(account: string, input: { platform: string; name: string; command?: string }): Promise<StoreDoc> {
      const _id = idFor('store', input.command);
      const fields: Omit<StoreDoc, '_id'> = {
        account,
        platform: input.platform,
        name: input.name,
        shopId: null,
        shopKey: null,
        status: 'authorizing',
        tokens: null,
        accessExpiresAt: null,
        refreshExpiresAt: null,
        tokenVersion: 0,
        missed: 0,
        refreshLease: null,
        createdAt: now(),
      };
      await models.stores.updateOne({ _id }, { $setOnInsert: fields }, { upsert: true });
      return found(await models.stores.findById(_id).lean(), 'store');
    },

    async get(account: string, store: string): Promise<StoreDoc> {
      return found(await models.stores.findOne({ _id: store, account }).lean(), 'store');
    },

    /** For the hub's own processes, which know a store by its id alone. */
    async byId(store: string): Promise<StoreDoc> {
      return found(await models.stores.findById(store).lean(), 'store');
    },

    async byShop(platform: string, shopId: string): Promise<StoreDoc | null> {
      return models.stores.findOne({ shopKey: `${platform}:${shopId}` }).lean();
    },

    async list(account: string, page: PageRequest): Promise<Page<StoreDoc>> {
      const rows = await models.stores
        .find({ account, ...(page.after === null ? {} : { _id: { $gt: page.after } }) })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    /** A single-use state bound to the account, for ten minutes. */
    async newState(account: string, store: string): Promise<string> {
      const state = randomBytes(32).toString('base64url');
      await models.authorizationStates.create({
        _id: stateHash(state),
        account,
        store,
        expiresAt: new Date(now().getTime() + STATE_MINUTES * 60_000),
      });
      return state;
    },

    /** Takes the state out, so that it can't be used twice. 422 `state_invalid`. */
    async takeState(state: string): Promise<{ account: string; store: string }> {
      const row = await models.authorizationStates.findOneAndDelete({ _id: stateHash(state) }).lean();
      if (!row || row.expiresAt <= now()) throw new HubError('state_invalid', 'Start the authorisation again');
      return { account: row.account, store: row.store };
    },

    /** Connects a store to its shop. 409 `store_taken`, also against another account's. */
    async connect(account: string, store: string, shop: { shopId: string; tokens: TokenPair }): Promise<StoreDoc> {
      const row = found(await models.stores.findOne({ _id: store, account }).lean(), 'store');
      if (row.shopId !== null && row.shopId !== shop.shopId)
        throw new HubError('store_taken', 'The store belongs to another shop; add a store for this one');
      const shopKey = `${row.platform}:${shop.shopId}`;
      return db.transact(async (session) => {
        const holder = await models.shops
          .findByIdAndUpdate(shopKey, { $setOnInsert: { store } }, { session, upsert: true, returnDocument: 'after' })
          .lean();
        if (holder?.store !== store) throw new HubError('store_taken', 'This shop is connected already');
        await polls.open(session, row);
        return found(
          await models.stores
            .findOneAndUpdate(
              { _id: store, account },
              {
                $set: {
                  shopId: shop.shopId,
                  shopKey,
                  status: 'connected',
                  tokens: cipher.seal(
                    JSON.stringify([shop.tokens.accessToken, shop.tokens.refreshToken]),
                    context(row),
                  ),
                  accessExpiresAt: new Date(shop.tokens.accessExpiresAt),
                  refreshExpiresAt: new Date(shop.tokens.refreshExpiresAt),
                  refreshLease: null,
                },
                $inc: { tokenVersion: 1 },
              },
              { session, returnDocument: 'after' },
            )
            .lean(),
          'store',
        );
      });
    },

    /**
     * Ends the connection; listings stay as history. What is due waits for another connection, Push Nows do not wait for it.
     */
    disconnect(account: string, store: string): Promise<StoreDoc> {
      return db.transact(async (session) => {
        const row = found(
          await models.stores
            .findOneAndUpdate(
              { _id: store, account },
              { $set: { status: 'disconnected', shopKey: null, tokens: null } },
              { session, returnDocument: 'after' },
            )
            .lean(),
          'store',
        );
        await models.dues.updateMany({ lane: storeLaneId(store) }, { $set: { forced: false, jobs: [] } }, { session });
        await models.shops.deleteOne({ store }, { session });
        await polls.close(session, store);
        return row;
      });
    },

    /** The pair as it is stored. */
    tokensOf(row: StoreDoc): { accessToken: string; refreshToken: string } | null {
      if (row.tokens === null) return null;
      const [accessToken, refreshToken] = JSON.parse(cipher.open(row.tokens, context(row))) as [string, string];
      return { accessToken, refreshToken };
    },

    /**
     * Takes the right to refresh a store's tokens, unless somebody has it or the pair is a newer one than `version`.
     * The lease outlasts the longest refresh, so two never run at once.
     */
    async takeRefreshLease(store: string, version: number, holder: string, forMs: number): Promise<StoreDoc | null> {
      return models.stores
        .findOneAndUpdate(
          {
            _id: store,
            tokenVersion: version,
            status: 'connected',
            $or: [{ refreshLease: null }, { 'refreshLease.until': { $lt: now() } }],
          },
          { $set: { refreshLease: { holder, until: new Date(now().getTime() + forMs) } } },
          { returnDocument: 'after' },
        )
        .lean();
    },

    /**
     * Stores a new pair before anybody uses it. Where the owner disconnected the store or authorised it anew meanwhile, theirs
     * stands and this pair is dropped. @returns the row as it is
     */
    async storeTokens(row: StoreDoc, tokens: TokenPair): Promise<StoreDoc> {
      const stored = await models.stores
        .findOneAndUpdate(
          { _id: row._id, tokenVersion: row.tokenVersion, status: 'connected' },
          {
            $set: {
              tokens: cipher.seal(JSON.stringify([tokens.accessToken, tokens.refreshToken]), context(row)),
              accessExpiresAt: new Date(tokens.accessExpiresAt),
              refreshExpiresAt: new Date(tokens.refreshExpiresAt),
              refreshLease: null,
            },
            $inc: { tokenVersion: 1 },
          },
          { returnDocument: 'after' },
        )
        .lean();
      return stored ?? found(await models.stores.findById(row._id).lean(), 'store');
    },

    async releaseRefreshLease(store: string, holder: string): Promise<void> {
      await models.stores.updateOne({ _id: store, 'refreshLease.holder': holder }, { $set: { refreshLease: null } });
    },

    /** The platform no longer takes our tokens: the owner must authorise again, and is told once for this pair. */
    async needsAuthorization(row: Pick<StoreDoc, '_id' | 'tokenVersion'>, detail: string): Promise<void> {
      await db.transact(async (session) => {
        const after = await models.stores
          .findOneAndUpdate(
            { _id: row._id, tokenVersion: row.tokenVersion, status: 'connected' },
            { $set: { status: 'needs_authorization', refreshLease: null } },
            { session, returnDocument: 'after' },
          )
          .lean();
        if (!after) return;
        await polls.close(session, after._id);
        await notifications.notify(session, {
          account: after.account,
          event: 'store_needs_authorization',
          occurrence: `${after._id}/${after.tokenVersion}`,
          document: after._id,
          detail,
        });
      });
    },

    /** Connected stores whose access token ends before the given time. */
    async tokensEndingBefore(time: Date, limit: number): Promise<StoreDoc[]> {
      return models.stores
        .find({ status: 'connected', accessExpiresAt: { $lt: time } })
        .limit(limit)
        .lean();
    },

    /**
     * Puts one page of downloaded listings into the store's list. A new listing connects by itself to the SKU with the
     * same code (exact, after trimming) and is then due; one connected by hand stays as it is.
     * @returns how many were connected, and lanes to wake (and intakes of orders that waited for them)
     */
    async putListings(
      row: StoreDoc,
      page: readonly DownloadedListing[],
    ): Promise<{ connected: number; lanes: string[] }> {
      if (page.length === 0) return { connected: 0, lanes: [] };
      const codes = [...new Set(page.map(({ sellerSku }) => sellerSku.trim()).filter((code) => code !== ''))];
      const known = new Set(
        (await models.skus.find({ account: row.account, sku: { $in: codes } }, { sku: 1 }).lean()).map(
          ({ sku }) => sku,
        ),
      );
      const ids = page.map(({ itemId, modelId }) => listingId(row._id, itemId, modelId));
      return db.transact(async (session) => {
        const there = await models.listings
          .find({ _id: { $in: ids } })
          .session(session)
          .lean();
        const before = new Map(there.map((listing) => [listing._id, listing]));
        const rows = page.map((listing): ListingDoc => {
          const _id = listingId(row._id, listing.itemId, listing.modelId);
          const old = before.get(_id);
          const code = listing.sellerSku.trim();
          const sku = old?.sku ?? (known.has(code) ? code : null);
          return {
            _id,
            account: row.account,
            store: row._id,
            item: listing.itemId,
            model: listing.modelId,
            sellerSku: listing.sellerSku,
            title: listing.title,
            imageUrl: listing.imageUrl,
            variation: listing.variation,
            price: listing.price,
            currency: listing.currency,
            platformQuantity: listing.quantity,
            status: listing.status,
            sku,
            unconnectedReason: sku !== null ? null : code === '' ? 'empty_code' : 'no_such_sku',
            automatic: old?.automatic ?? true,
            missed: old?.missed ?? 0,
            updatedAt: now(),
          };
        });
        await models.listings.collection.bulkWrite(
          rows.map(({ _id, ...set }) => ({
            updateOne: { filter: { _id }, update: { $set: set }, upsert: true },
          })) as never,
          { session, ordered: false },
        );
        const fresh = rows.filter(({ _id, sku, status }) => {
          const old = before.get(_id);
          // One that was deleted at the platform was told nothing meanwhile.
          return sku !== null && (old?.sku !== sku || (old.status === 'deleted' && status !== 'deleted'));
        });
        await follow(session, row.account, fresh);
        const lanes = await markListings(session, fresh, 'listing connected');
        return { connected: fresh.length, lanes: [...lanes, ...(await resolveOrders(session, row.account, fresh))] };
      });
    },

    /** Those of these stores that are the account's. */
    named: (account: string, stores: readonly string[]): Promise<StoreDoc[]> =>
      models.stores.find({ account, _id: { $in: [...stores] } }).lean(),

    namedListings: (account: string, listings: readonly string[]): Promise<ListingDoc[]> =>
      models.listings.find({ account, _id: { $in: [...listings] } }).lean(),

    /** Switches the automatic synchronisation of these listings, or of all. @returns how many it was another for */
    async setAutomatic(account: string, listings: readonly string[] | null, on: boolean): Promise<number> {
      const filter = { account, automatic: !on, ...(listings === null ? {} : { _id: { $in: [...listings] } }) };
      let changed = 0;
      for (;;) {
        const rows = await models.listings.find(filter, { _id: 1 }).limit(SWITCHED_AT_ONCE).lean();
        if (rows.length === 0) return changed;
        const { modifiedCount } = await models.listings.collection.bulkWrite(
          rows.map(({ _id }) => ({ updateOne: { filter: { _id }, update: { $set: { automatic: on } } } })) as never,
          { ordered: false },
        );
        changed += modifiedCount;
      }
    },

    async listings(
      account: string,
      store: string,
      filter: { state?: 'connected' | 'unconnected' },
      page: PageRequest,
    ): Promise<Page<ListingDoc>> {
      const rows = await models.listings
        .find({
          account,
          store,
          ...(filter.state === undefined ? {} : { sku: filter.state === 'connected' ? { $ne: null } : null }),
          ...(page.after === null ? {} : { _id: { $gt: page.after } }),
        })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    /** Connects listings to merchant SKUs by hand; each must exist. @returns lanes, and intakes of orders that waited for them, to wake */
    async connectListings(
      account: string,
      pairs: readonly { listing: string; sku: string }[],
    ): Promise<{ listings: ListingDoc[]; lanes: string[] }> {
      return db.transact(async (session) => {
        const listings = await models.listings
          .find({ account, _id: { $in: pairs.map(({ listing }) => listing) } })
          .session(session)
          .lean();
        const skus = await models.skus
          .find({ account, sku: { $in: pairs.map(({ sku }) => sku) } }, { sku: 1 })
          .session(session)
          .lean();
        const errors = pairs.flatMap(({ listing, sku }, index) => [
          ...(listings.some(({ _id }) => _id === listing)
            ? []
            : [{ pointer: `/${index}/listing`, code: 'unknown_listing', detail: `There is no listing ${listing}` }]),
          ...(skus.some((entry) => entry.sku === sku)
            ? []
            : [{ pointer: `/${index}/sku`, code: 'unknown_sku', detail: `There is no SKU ${sku}` }]),
        ]);
        if (errors.length > 0) throw new HubError('invalid_input', 'Some rows name what is not there', { errors });
        const after: ListingDoc[] = [];
        for (const { listing, sku } of pairs)
          after.push(
            found(
              await models.listings
                .findOneAndUpdate(
                  { _id: listing, account },
                  { $set: { sku, unconnectedReason: null, automatic: true, updatedAt: now() } },
                  { session, returnDocument: 'after' },
                )
                .lean(),
              'listing',
            ),
          );
        await follow(session, account, after);
        const lanes = await markListings(session, after, 'listing connected');
        return { listings: after, lanes: [...lanes, ...(await resolveOrders(session, account, after))] };
      });
    },
  };
}
