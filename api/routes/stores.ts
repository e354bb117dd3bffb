/** Stores and their listings. Contract: store-products.md. */
import { type MarketplaceConnector, PLATFORMS, type Platform } from '../../connectors/port';
import { HubError } from '../../domain/failures';
import { processId, storeLaneId } from '../../domain/process-ids';
import type { ListingDoc, OrderPollDoc, StoreDoc } from '../../store/models/documents';
import type { Hub } from '../hub';
import { listOperation, operationAnswer, operationStarted, startStored } from '../operations';
import { created, listed, listOf, noContent, ok, route } from '../route';
import { id, lineOf, skuCode, time } from '../schemas/values';
import { z } from '../schemas/zod';

const DAY_MS = 86_400_000;

const store = z
  .object({
    id: z.string(),
    platform: z.string(),
    name: z.string(),
    shopId: z.string().nullable(),
    status: z.enum(['authorizing', 'connected', 'expiring', 'needs_authorization', 'disconnected']),
    authorizedUntil: time.nullable(),
    polledUntil: time.nullable().openapi({
      description:
        'Every order that changed at the platform until then is here; null where the store was never connected',
    }),
    createdAt: time,
  })
  .openapi('Store');

/** `expiring` says that soon nobody but the owner can renew the authorisation. */
const storeOf = (row: StoreDoc, now: Date, poll: OrderPollDoc | null | undefined) => ({
  id: row._id,
  platform: row.platform,
  name: row.name,
  shopId: row.shopId,
  status:
    row.status === 'connected' &&
    row.refreshExpiresAt !== null &&
    row.refreshExpiresAt.getTime() - now.getTime() < 3 * DAY_MS
      ? 'expiring'
      : row.status,
  authorizedUntil: row.refreshExpiresAt,
  polledUntil: poll?.until ?? null,
  createdAt: row.createdAt,
});

const listing = z
  .object({
    id: z.string(),
    store: z.string(),
    item: z.string(),
    model: z.string(),
    sellerSku: z.string(),
    title: z.string(),
    imageUrl: z.string().nullable(),
    variation: z.string(),
    price: z.object({ amount: z.string(), currency: z.string() }),
    platformQuantity: z.int(),
    status: z.string(),
    sku: z.string().nullable(),
    unconnectedReason: z.enum(['no_such_sku', 'ambiguous', 'empty_code']).nullable(),
    automatic: z.boolean(),
    updatedAt: time,
  })
  .openapi('Listing');

const listingOf = (row: ListingDoc) => ({
  id: row._id,
  store: row.store,
  item: row.item,
  model: row.model,
  sellerSku: row.sellerSku,
  title: row.title,
  imageUrl: row.imageUrl,
  variation: row.variation,
  price: { amount: row.price, currency: row.currency },
  platformQuantity: row.platformQuantity,
  status: row.status,
  sku: row.sku,
  unconnectedReason: row.unconnectedReason,
  automatic: row.automatic,
  updatedAt: row.updatedAt,
});

function connectorOf({ connectors }: Hub, platform: string): MarketplaceConnector {
  const connector = connectors[platform as Platform];
  if (!connector) throw new HubError('platform_not_configured', `${platform} is not configured`);
  return connector;
}

const isPlatform = (text: string): text is Platform => (PLATFORMS as readonly string[]).includes(text);

const storeRoutesProper = [
  route({
    method: 'get',
    path: '/v1/stores',
    access: 'stores',
    tag: 'stores',
    summary: 'Stores, also disconnected ones',
    paged: true,
    answers: { 200: listOf(store) },
    async handle({ account, page }, hub) {
      const rows = await hub.store.stores.list(account, page);
      const polls = await hub.store.orderPolls.ofMany(rows.items.map(({ _id }) => _id));
      const pollOf = new Map(polls.map((poll) => [poll._id, poll]));
      return listed(rows, (row) => storeOf(row, hub.now(), pollOf.get(row._id)));
    },
  }),
  route({
    method: 'post',
    path: '/v1/stores',
    access: 'stores',
    tag: 'stores',
    summary: 'Add a store; its owner authorises it next',
    body: z.strictObject({ platform: z.enum(PLATFORMS), name: lineOf(200) }),
    answers: { 201: store },
    async handle({ account, body, command }, hub) {
      // Also of a platform that is not configured (yet): it can be authorised once it is.
      const row = await hub.store.stores.add(account, { ...body, command });
      return created(storeOf(row, hub.now(), await hub.store.orderPolls.of(row._id)));
    },
  }),
  route({
    method: 'delete',
    path: '/v1/stores/{id}',
    access: 'stores',
    tag: 'stores',
    summary: 'Disconnect a store; its listings stay as history',
    answers: { 204: null },
    async handle({ account, params }, hub) {
      const { _id } = await hub.store.stores.disconnect(account, params.id);
      await startStored(hub, () => hub.processes.stopPolling(_id));
      // One that is parked has nothing to wait for any more.
      await tellLane(hub, _id, 'disconnection');
      return noContent;
    },
  }),
  route({
    method: 'get',
    path: '/v1/stores/{id}/authorization-url',
    access: 'stores',
    tag: 'stores',
    summary: 'Where the owner authorises the store; good for ten minutes and once',
    answers: { 200: z.object({ url: z.string() }) },
    async handle({ account, params }, hub) {
      const row = await hub.store.stores.get(account, params.id);
      const connector = connectorOf(hub, row.platform);
      const state = await hub.store.stores.newState(account, row._id);
      const redirectUrl = `${hub.config.api.publicUrl}/v1/stores/callback/${row.platform}`;
      return ok({ url: connector.authorizationUrl({ state, redirectUrl }) });
    },
  }),
  route({
    method: 'get',
    path: '/v1/stores/callback/{platform}',
    access: 'public',
    tag: 'stores',
    summary: 'Where the platform sends the owner’s browser back to',
    // The platform adds parameters of its own, and new ones as it likes.
    query: z.looseObject({ state: z.string().min(1).max(200) }),
    audit: {
      action: 'stores.authorize',
      snapshot: null,
      owner: async ({ body }, hub) =>
        (await hub.store.stores.byId((body as { store: { id: string } }).store.id)).account,
    },
    answers: { 200: z.object({ store }) },
    async handle({ params, query }, hub) {
      if (!isPlatform(params.platform)) throw new HubError('not_found', 'There is no such platform');
      const connector = connectorOf(hub, params.platform);
      const { account, store: storeId } = await hub.store.stores.takeState(query.state);
      const row = await hub.store.stores.get(account, storeId);
      if (row.platform !== params.platform) throw new HubError('state_invalid', 'Start the authorisation again');
      const texts = Object.entries(query).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
      const { shopId, tokens } = await connector.exchangeCode(Object.fromEntries(texts));
      const connected = await hub.store.stores.connect(account, row._id, { shopId, tokens });
      await goOn(hub, connected);
      return ok({ store: storeOf(connected, hub.now(), await hub.store.orderPolls.of(connected._id)) });
    },
  }),
];

/** A lane that waits for somebody's decision goes on; any other hears that it can. Best effort: it can be retried by hand. */
async function tellLane({ store, processes, logger }: Hub, id: string, by: string): Promise<void> {
  const lane = storeLaneId(id);
  try {
    if ((await store.lanes.parkedAmong([lane])).has(lane)) await processes.decide(lane, 'retry', by);
    else processes.wakeLanes([lane]);
  } catch (error) {
    logger.warn('Lane not told of its store', { store: id, error });
  }
}

/** Events that came before the shop was connected are taken in, and its lane goes on. */
async function goOn(hub: Hub, row: StoreDoc): Promise<void> {
  const { store, processes, logger } = hub;
  try {
    await processes.startPolling(row._id);
    const routed = { id: row._id, account: row.account };
    for (const order of await store.inbox.route(row.platform, row.shopId ?? '', routed))
      processes.takeInOrder(row._id, order);
  } catch (error) {
    // The store is connected; the sweep takes up what is left.
    logger.warn('Store not polled after its authorisation', { store: row._id, error });
  }
  await tellLane(hub, row._id, 'authorisation');
}

const listingRoutes = [
  route({
    method: 'post',
    path: '/v1/stores/{id}/download',
    access: 'stores',
    tag: 'listings',
    summary: 'Download the store’s listings',
    answers: { 200: operationAnswer, 202: operationAnswer },
    async handle(request, hub) {
      const { account, params, command } = request;
      const row = await hub.store.stores.get(account, params.id);
      if (row.status === 'disconnected') throw new HubError('store_disconnected', 'Authorise the store again first');
      if (row.status !== 'connected') throw new HubError('needs_authorization', `The store is ${row.status}`);
      await hub.processes.ping();
      const job = command.replace(/^cmd/, 'job');
      const workflowId = processId('listing-download', { store: row._id, job });
      await listOperation(hub, account, {
        workflowId,
        kind: 'listing_download',
        accounts: [account],
        document: row._id,
      });
      await startStored(hub, () => hub.processes.startDownload({ account, store: row._id, job }));
      return operationStarted(hub, request, [workflowId]);
    },
  }),
  route({
    method: 'get',
    path: '/v1/stores/{id}/listings',
    access: 'stores',
    tag: 'listings',
    summary: 'A store’s listings',
    query: z.strictObject({ state: z.enum(['connected', 'unconnected', 'to_be_published']).optional() }),
    paged: true,
    answers: { 200: listOf(listing) },
    async handle({ account, params, query, page }, hub) {
      await hub.store.stores.get(account, params.id);
      // Nothing waits to be published yet: copies of listings come with cloning.
      if (query.state === 'to_be_published') return listed<ListingDoc>({ items: [], nextCursor: null }, listingOf);
      return listed(await hub.store.stores.listings(account, params.id, { state: query.state }, page), listingOf);
    },
  }),
  route({
    method: 'post',
    path: '/v1/listings/connect',
    access: 'stores',
    tag: 'listings',
    summary: 'Connect listings to merchant SKUs; all or none',
    audit: { action: 'listings.connect', objects: ({ body }) => body.map(({ listing: one }) => one) },
    body: z
      .array(z.strictObject({ listing: id, sku: skuCode }))
      .min(1)
      .max(500)
      .refine(
        (pairs) => new Set(pairs.map((pair) => pair.listing)).size === pairs.length,
        'must not name a listing twice',
      ),
    answers: { 200: z.object({ items: z.array(listing) }) },
    async handle({ account, body }, { store: { stores }, processes }) {
      const { listings, lanes } = await stores.connectListings(account, body);
      processes.wakeLanes(lanes);
      return ok({ items: listings.map(listingOf) });
    },
  }),
];

export const storeRoutes = [...storeRoutesProper, ...listingRoutes];
