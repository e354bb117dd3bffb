/** Lazada Open Platform (platforms.md, Lazada). */
import type { z } from 'zod';
import type { CancelOutcome, CancelReason } from '../../../domain/cancellations';
import {
  cleanText,
  createPlatformHttp,
  encodeQuery,
  longestCallMs,
  type PlatformAnswer,
  type PlatformCall,
  type PlatformHttp,
  type PlatformHttpOptions,
  parseJsonLossless,
  statusError,
} from '../../http';
import {
  type KnownShipment,
  type MarketplaceConnector,
  type OrderChangePage,
  type PlatformCapabilities,
  PlatformError,
  type PlatformParcel,
  type PlatformPush,
  type PlatformShipment,
  type PushVerdict,
  type ShopAccess,
  type ShopTokens,
  type StockEntry,
  type StockResult,
} from '../../port';
import { cancelOutcome } from '../cancel-outcome';
import { checkStockCall, isDigits } from '../stock-call';
import { digestOf, equalInConstantTime } from '../wire-values';
import {
  classifyLazada,
  isPartialFailure,
  lazadaCode,
  lockedBySku,
  parseLazadaTime,
  shipStepOf,
  toListings,
  toOrder,
  toStockResults,
  type UnknownFloor,
} from './mapper';
import { signLazadaCall, signLazadaPush } from './signature';
import {
  type LazadaEnvelope,
  type LazadaTokens,
  lazadaCancelOptions,
  lazadaDocument,
  lazadaEnvelope,
  lazadaOrder,
  lazadaOrderItems,
  lazadaOrderList,
  lazadaOrderPush,
  lazadaPacked,
  lazadaProductItem,
  lazadaProducts,
  lazadaPush,
  lazadaReady,
  lazadaSeller,
  lazadaTokens,
  stockPayload,
} from './wire';

export interface LazadaOptions {
  /** Ends with `/rest`; one per country, e.g. `https://api.lazada.com.my/rest`. */
  readonly baseUrl: string;
  /** Ends with `/rest`, e.g. `https://auth.lazada.com/rest`. */
  readonly authBaseUrl: string;
  readonly appKey: string;
  readonly appSecret: string;
  readonly http: PlatformHttpOptions;
  /** The clock, for tests. Epoch ms. */
  readonly now?: () => number;
}

/** 50 SKUs of any products a call; no pre-order; a token lives for days and is renewed a day ahead. */
export const LAZADA_CAPABILITIES: PlatformCapabilities = {
  stockCall: { grouping: 'anyItems', maxEntries: 50, largestQuantity: 10_000_000 },
  shipment: 'someLines',
  // Undocumented: as long as Shopee's.
  orderWindowMs: 15 * 24 * 3600_000,
  preOrder: false,
  refreshAheadMs: 24 * 3600_000,
};

const PRODUCTS_PER_PAGE = 50;
const ORDERS_PER_PAGE = 100;
/** More items than this are not asked for their locked stock in one go; their entries are tried again instead. */
const FLOOR_LOOKUPS = 5;
/**
 * How old a push may be. Lazada retries every 30 minutes up to 12 times, 6 hours, with the body of the first try: all
 * of that must pass, a day leaves room for a queue on their side. Within it the content (`dedupeKey`) refuses repeats.
 */
const PUSH_OLDEST_MS = 24 * 3600_000;
/** Clocks differ; a push from further ahead than this was not made by Lazada now. */
const PUSH_AHEAD_MS = 15 * 60_000;
/** Trade orders, and reverse orders (cancellations and returns): both name the order they belong to. */
const ORDER_MESSAGES: ReadonlySet<number> = new Set([0, 10]);
/** The console checks an address with a signed sample whose time is years old; it must be answered 2xx. */
const SAMPLE = { sellerId: '9999', order: '123456' } as const;

/** Makes the connector. No call is made before the first method is used. */
export function createLazadaConnector(options: LazadaOptions): MarketplaceConnector {
  const wire = createLazadaWire(options);
  return {
    platform: 'lazada',
    capabilities: LAZADA_CAPABILITIES,
    longestWriteMs: longestCallMs(options.http),
    authorizationUrl: ({ state, redirectUrl }) => wire.authorizationUrl(state, redirectUrl),
    exchangeCode: (query) => exchangeCode(wire, query),
    refreshTokens: (input) => refreshTokens(wire, input),
    listListings: (access, page) => listListings(wire, access, page),
    updateStock: (access, entries) => updateStock(wire, access, entries),
    setPreOrder: async () => {
      throw new PlatformError('rejected', 'lazada', 'not_supported', 'Listings have no pre-order here');
    },
    getOrder: (access, platformOrder) => getOrder(wire, access, platformOrder),
    shipOrder: (access, shipment) => shipOrder(wire, access, shipment),
    getLabel: (access, parcel) => getLabel(wire, access, parcel),
    listOrderChanges: (access, window) => listOrderChanges(wire, access, window),
    cancelOrder: (access, order) => cancelOrder(wire, access, order),
    answerCancellation: (access, order) => answerCancellation(wire, access, order),
    cancelLines: (access, order) => cancelLines(wire, access, order),
    verifyPush: (input) => verifyPush(options.appKey, options.appSecret, input),
  };
}

interface LazadaRequest<T> {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Token calls go to another host. */
  readonly auth?: boolean;
  readonly shop?: ShopAccess;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly schema: z.ZodType<T>;
  /** Errors with which the answer is nevertheless the value; see the stock call. */
  readonly passError?: (envelope: LazadaEnvelope) => boolean;
}

interface LazadaWire {
  now(): number;
  call<T>(request: LazadaRequest<T>): Promise<T>;
  authorizationUrl(state: string, redirectUrl: string): string;
}

function createLazadaWire(options: LazadaOptions): LazadaWire {
  const http = createPlatformHttp('lazada', options.http);
  const now = options.now ?? Date.now;
  return {
    now,
    call: (request) => callLazada(http, options, now, request),
    authorizationUrl: (state, redirectUrl) => {
      const url = new URL(`${trimmed(options.authBaseUrl).replace(/\/rest$/, '')}/oauth/authorize`);
      url.searchParams.set('response_type', 'code');
      url.searchParams.set('force_auth', 'true');
      url.searchParams.set('client_id', options.appKey);
      url.searchParams.set('redirect_uri', redirectUrl);
      url.searchParams.set('state', state);
      return url.toString();
    },
  };
}

function trimmed(baseUrl: string): string {
  return baseUrl.replace(/\/+$/, '');
}

function callLazada<T>(
  http: PlatformHttp,
  options: LazadaOptions,
  now: () => number,
  request: LazadaRequest<T>,
): Promise<T> {
  // Empty values are never sent: the platform's signature leaves them out.
  const own = Object.entries(request.parameters ?? {}).filter(([, value]) => value !== '');
  const system = (): Array<readonly [string, string]> => {
    const parameters: Array<readonly [string, string]> = [
      ['app_key', options.appKey],
      ['timestamp', String(now())],
      ['sign_method', 'sha256'],
    ];
    if (request.shop) parameters.push(['access_token', request.shop.accessToken]);
    const sign = signLazadaCall(options.appSecret, request.path, Object.fromEntries([...parameters, ...own]));
    return [...parameters, ['sign', sign]];
  };
  const call: PlatformCall<T> = {
    method: request.method,
    baseUrl: trimmed(request.auth ? options.authBaseUrl : options.baseUrl),
    path: request.path,
    query: () => (request.method === 'GET' ? [...system(), ...own] : system()),
    body:
      request.method === 'POST'
        ? { contentType: 'application/x-www-form-urlencoded', text: encodeQuery(own) }
        : undefined,
    idempotent: request.method === 'GET',
    secrets: [options.appSecret, request.shop?.accessToken ?? '', ...(request.secrets ?? [])],
    read: (answer) => readEnvelope(request, call, answer),
  };
  return http.call(call);
}

function readEnvelope<T>(request: LazadaRequest<T>, call: PlatformCall<T>, answer: PlatformAnswer): T {
  const envelope = lazadaEnvelope.safeParse(answer.json);
  if (answer.status === 429) throw statusError('lazada', call, answer);
  if (envelope.success && envelope.data.code !== '0' && !request.passError?.(envelope.data)) {
    throw envelopeError(envelope.data, call, answer);
  }
  if (answer.status < 200 || answer.status >= 300) throw statusError('lazada', call, answer);
  const parsed = envelope.success ? request.schema.safeParse(answer.json) : envelope;
  if (parsed.success) return parsed.data as T;
  const where = parsed.error.issues[0]?.path.join('.') || 'the whole';
  throw new PlatformError('unavailable', 'lazada', 'bad_answer', `${call.path}: unexpected answer at ${where}`, {
    outcomeUnknown: !call.idempotent,
  });
}

function envelopeError(envelope: LazadaEnvelope, call: PlatformCall<unknown>, answer: PlatformAnswer): PlatformError {
  const failure = classifyLazada(envelope);
  if (failure.kind === 'rejected' && answer.status >= 500) return statusError('lazada', call, answer);
  const code = lazadaCode(envelope);
  return new PlatformError(failure.kind, 'lazada', code, `${call.path}: ${envelope.message || code}`, {
    retryAfterMs: failure.kind === 'throttled' ? (answer.retryAfterMs ?? failure.retryAfterMs) : undefined,
    outcomeUnknown: failure.kind === 'unavailable' && !call.idempotent,
  });
}

async function exchangeCode(wire: LazadaWire, query: Readonly<Record<string, string>>) {
  const { code } = query;
  if (!code) throw new PlatformError('rejected', 'lazada', 'invalid_callback', 'The call-back has no code');
  const answer = await wire.call({
    method: 'POST',
    path: '/auth/token/create',
    auth: true,
    parameters: { code },
    secrets: [code],
    schema: lazadaTokens,
  });
  const shopId = sellerOf(answer);
  if (shopId === null) {
    throw new PlatformError('rejected', 'lazada', 'no_seller', 'The authorised account has no seller in this country');
  }
  const tokens = toTokens(wire, answer);
  return { shopId, shopName: await shopName(wire, { shopId, accessToken: tokens.accessToken }), tokens };
}

function sellerOf(answer: LazadaTokens): string | null {
  const sellers = answer.country_user_info ?? [];
  const here = sellers.find((seller) => seller.country?.toLowerCase() === answer.country?.toLowerCase());
  return (here ?? sellers[0])?.seller_id ?? null;
}

// The pair exists already: a name that can't be read now must not lose it.
async function shopName(wire: LazadaWire, shop: ShopAccess): Promise<string> {
  try {
    return (await wire.call({ method: 'GET', path: '/seller/get', shop, schema: lazadaSeller })).data.name;
  } catch (error) {
    if (error instanceof PlatformError) return `Lazada ${shop.shopId}`;
    throw error;
  }
}

async function refreshTokens(wire: LazadaWire, input: { shopId: string; refreshToken: string }): Promise<ShopTokens> {
  const answer = await wire.call({
    method: 'POST',
    path: '/auth/token/refresh',
    auth: true,
    parameters: { refresh_token: input.refreshToken },
    secrets: [input.refreshToken],
    schema: lazadaTokens,
  });
  return toTokens(wire, answer);
}

function toTokens(wire: LazadaWire, answer: LazadaTokens): ShopTokens {
  return {
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token,
    accessExpiresAt: wire.now() + answer.expires_in * 1000,
    refreshExpiresAt: wire.now() + answer.refresh_expires_in * 1000,
  };
}

async function listListings(
  wire: LazadaWire,
  shop: ShopAccess,
  page: { cursor: string | null; changedSince?: number },
) {
  const offset = Number(page.cursor ?? '0');
  const parameters: Record<string, string> = {
    filter: 'all',
    offset: String(offset),
    limit: String(PRODUCTS_PER_PAGE),
  };
  if (page.changedSince !== undefined) {
    parameters.update_after = new Date(page.changedSince).toISOString().replace(/\.\d+Z$/, '+0000');
  }
  const answer = await wire.call({ method: 'GET', path: '/products/get', shop, parameters, schema: lazadaProducts });
  const products = answer.data?.products ?? [];
  const total = answer.data?.total_products ?? 0;
  const next = offset + products.length;
  return {
    listings: products.flatMap(toListings),
    nextCursor: products.length > 0 && next < total ? String(next) : null,
  };
}

async function updateStock(wire: LazadaWire, shop: ShopAccess, entries: readonly StockEntry[]): Promise<StockResult[]> {
  checkStockCall('lazada', LAZADA_CAPABILITIES.stockCall, entries);
  const envelope = await wire.call({
    method: 'POST',
    path: '/product/stock/sellable/update',
    shop,
    parameters: { payload: stockPayload(entries) },
    schema: lazadaEnvelope,
    passError: isPartialFailure,
  });
  const results = toStockResults(envelope, entries).map((result) =>
    'message' in result ? { ...result, message: cleanText(result.message, [shop.accessToken]) } : result,
  );
  return resolveFloors(wire, shop, results);
}

/** Some refusals name the locked quantity and some don't: then it is read from the product. */
async function resolveFloors(
  wire: LazadaWire,
  shop: ShopAccess,
  results: readonly (StockResult | UnknownFloor)[],
): Promise<StockResult[]> {
  const items = new Set(results.flatMap((result) => (result.outcome === 'unknownFloor' ? [result.itemId] : [])));
  const locked = new Map<string, number>();
  for (const itemId of [...items].slice(0, FLOOR_LOOKUPS)) {
    for (const [skuId, quantity] of await readLocked(wire, shop, itemId)) locked.set(skuId, quantity);
  }
  return results.map((result) => {
    if (result.outcome !== 'unknownFloor') return result;
    const { key, code, message } = result;
    const floor = locked.get(result.modelId);
    return floor === undefined
      ? { key, outcome: 'retry', code, message }
      : { key, outcome: 'floor', floor, code, message };
  });
}

// The stock call has answered; failing now would hide what it wrote, so an unreadable floor means "another try".
async function readLocked(wire: LazadaWire, shop: ShopAccess, itemId: string): Promise<Map<string, number>> {
  try {
    const parameters = { item_id: itemId };
    const answer = await wire.call({
      method: 'GET',
      path: '/product/item/get',
      shop,
      parameters,
      schema: lazadaProductItem,
    });
    return lockedBySku(answer.data);
  } catch (error) {
    if (error instanceof PlatformError) return new Map();
    throw error;
  }
}

async function itemsOf(wire: LazadaWire, shop: ShopAccess, platformOrder: string) {
  const parameters = { order_id: platformOrder };
  const path = '/order/items/get';
  return (await wire.call({ method: 'GET', path, shop, parameters, schema: lazadaOrderItems })).data;
}

async function getOrder(wire: LazadaWire, shop: ShopAccess, platformOrder: string) {
  if (!isDigits(platformOrder)) {
    throw new PlatformError('rejected', 'lazada', 'invalid_call', 'The order number is no number');
  }
  const parameters = { order_id: platformOrder };
  const { data } = await wire.call({ method: 'GET', path: '/order/get', shop, parameters, schema: lazadaOrder });
  const order = toOrder(data, await itemsOf(wire, shop, platformOrder));
  if (order) return order;
  throw new PlatformError(
    'unavailable',
    'lazada',
    'unknown_order_status',
    '/order/get: the order is not readable to us yet',
  );
}

/** The lines of a parcel with what is to be done to each. Cancelled ones are left out, as long as there are others. */
async function linesOf(
  wire: LazadaWire,
  shop: ShopAccess,
  { platformOrder, lineIds }: Pick<PlatformParcel, 'platformOrder' | 'lineIds'>,
) {
  if (![platformOrder, ...lineIds].every(isDigits))
    throw new PlatformError('rejected', 'lazada', 'invalid_call', 'The order or a line of it is no number');
  const items = await itemsOf(wire, shop, platformOrder);
  const all = items
    .filter((item) => lineIds.includes(item.order_item_id))
    .map((item) => ({ item, step: shipStepOf(item) }));
  const living = all.filter(({ step }) => step !== 'none');
  if (living.length === 0)
    throw new PlatformError('rejected', 'lazada', 'order_state', `The line is ${all[0]?.item.status ?? 'not there'}`);
  return living;
}

/** Packs the lines that are not packed, then says that their parcels go. What was done by an earlier try is left. */
async function shipOrder(
  wire: LazadaWire,
  shop: ShopAccess,
  shipment: PlatformShipment,
): Promise<KnownShipment | null> {
  const steps = await linesOf(wire, shop, shipment);
  const gone = steps.flatMap(({ item, step }) => (step === 'done' ? [item] : []));
  const trackingNumbers = [...new Set(gone.flatMap(({ tracking_code: code }) => code?.trim() || []))];
  // Lines that left under another number are not this parcel's: nothing more is said of it.
  if (gone.length === steps.length || trackingNumbers.some((number) => number !== shipment.trackingNumber.trim()))
    return { trackingNumbers };
  const toPack = steps.filter(({ step }) => step === 'pack').map(({ item }) => item.order_item_id);
  const packed = steps.flatMap(({ item, step }) => (step === 'send' && item.package_id ? [item.package_id] : []));
  if (toPack.length > 0) packed.push(...(await pack(wire, shop, shipment, toPack)));
  // Assumed: the vendor documents a tracking number of the seller's own for the older call of this name only.
  const packages = [...new Set(packed)].map((id) => ({ package_id: id, tracking_number: shipment.trackingNumber }));
  const ready = await wire.call({
    method: 'POST',
    path: '/order/package/rts',
    shop,
    parameters: { readyToShipReq: JSON.stringify({ packages }) },
    schema: lazadaReady,
  });
  refuseFailed('/order/package/rts', ready.result.data?.packages ?? []);
  return null;
}

/** Lazada makes a label of what is packed: lines that are not yet are packed for it, where they may be; the shipment finds that done. */
async function getLabel(wire: LazadaWire, shop: ShopAccess, parcel: PlatformParcel): Promise<Buffer> {
  const lines = await linesOf(wire, shop, parcel);
  const toPack = lines.flatMap(({ item, step }) => (step === 'pack' ? [item.order_item_id] : []));
  if (toPack.length > 0 && !parcel.mayPack)
    throw new PlatformError(
      'rejected',
      'lazada',
      'not_packed',
      'It was never packed there, and is not to leave any more',
    );
  const packed = lines.flatMap(({ item }) => item.package_id ?? []);
  if (toPack.length > 0)
    packed.push(...(await pack(wire, shop, { platformOrder: parcel.platformOrder, carrier: null }, toPack)));
  const packages = [...new Set(packed)].map((id) => ({ package_id: id }));
  const answer = await wire.call({
    method: 'POST',
    path: '/order/package/document/get',
    shop,
    parameters: { getDocumentReq: JSON.stringify({ doc_type: 'PDF', print_item_list: false, packages }) },
    schema: lazadaDocument,
  });
  const { file } = answer.result.data ?? {};
  if (!file) throw new PlatformError('rejected', 'lazada', 'no_label', 'The platform gave no label');
  return Buffer.from(file, 'base64');
}

async function pack(
  wire: LazadaWire,
  shop: ShopAccess,
  { platformOrder, carrier }: Pick<PlatformShipment, 'platformOrder' | 'carrier'>,
  lines: readonly string[],
): Promise<string[]> {
  const provider = carrier === null ? '' : `"shipment_provider_code":${JSON.stringify(carrier)},`;
  // Written by hand: ids are longer than a double holds.
  const order = `{"order_item_list":[${lines.join(',')}],"order_id":${platformOrder}}`;
  const packReq = `{"pack_order_list":[${order}],"delivery_type":"dropship",${provider}"shipping_allocate_type":"TFS"}`;
  const answer = await wire.call({
    method: 'POST',
    path: '/order/fulfill/pack',
    shop,
    parameters: { packReq },
    schema: lazadaPacked,
  });
  const items = answer.result.data?.pack_order_list?.flatMap(({ order_item_list: list }) => list) ?? [];
  refuseFailed('/order/fulfill/pack', items);
  return items.flatMap(({ package_id: id }) => id ?? []);
}

/** A 200 is not a success: each entry has a code of its own. */
function refuseFailed(
  path: string,
  entries: readonly { item_err_code?: string | null | undefined; msg?: string | null | undefined }[],
): void {
  const failed = entries.find(({ item_err_code: code }) => (code ?? '0') !== '0');
  if (failed === undefined && entries.length > 0) return;
  const code = failed?.item_err_code ?? 'no_entry';
  throw new PlatformError('rejected', 'lazada', code, `${path}: ${failed?.msg ?? 'the answer names nothing'}`);
}

/** `2026-11-21T20:00:00+00:00`, as the list of orders takes times. */
const lazadaMoment = (time: number) => new Date(time).toISOString().replace(/\.\d+Z$/, '+00:00');

async function listOrderChanges(
  wire: LazadaWire,
  shop: ShopAccess,
  window: { from: number; to: number; cursor: string | null },
): Promise<OrderChangePage> {
  const offset = Number(window.cursor ?? '0');
  const parameters = {
    update_after: lazadaMoment(window.from),
    // Said to be exclusive: a second more than asked for.
    update_before: lazadaMoment(window.to + 1_000),
    sort_by: 'updated_at',
    sort_direction: 'ASC',
    offset: String(offset),
    limit: String(ORDERS_PER_PAGE),
  };
  const { data } = await wire.call({ method: 'GET', path: '/orders/get', shop, parameters, schema: lazadaOrderList });
  const changes = data.orders.map(({ order_id: platformOrder, updated_at: text, statuses }) => {
    const updatedAt = parseLazadaTime(text);
    if (updatedAt === null)
      throw new PlatformError('unavailable', 'lazada', 'bad_answer', '/orders/get: a time that is none');
    // Pushes tell of lines one by one; a list of orders can't say what they would.
    const key = `lazada:${shop.shopId}:order:${platformOrder}:${statuses.join(',')}:${updatedAt}`;
    return { platformOrder, updatedAt, dedupeKey: key };
  });
  const next = offset + changes.length;
  const isMore = data.countTotal == null ? changes.length === ORDERS_PER_PAGE : next < data.countTotal;
  return { changes, nextCursor: isMore && changes.length > 0 ? String(next) : null };
}

const CANCEL_WORDS: Readonly<Record<CancelReason, RegExp>> = {
  out_of_stock: /stock/i,
  customer_request: /customer|buyer/i,
  undeliverable_area: /deliver|area|address/i,
};

/**
 * Asks why lines may be cancelled, then asks for it. Lazada cancels in the background: what came of it, like what came of a call
 * whose answer was lost, is asked for. @returns the platform's refusal, where it refused
 */
async function askToCancel(
  wire: LazadaWire,
  shop: ShopAccess,
  asked: { platformOrder: string; platformState: string; lines: readonly string[]; reason: CancelReason },
): Promise<PlatformError | null> {
  const parameters = { order_id: asked.platformOrder, order_item_id_list: `[${asked.lines.join(',')}]` };
  const offered = await wire.call({
    method: 'GET',
    path: '/order/reverse/cancel/validate',
    shop,
    parameters,
    schema: lazadaCancelOptions,
  });
  const options = offered.data.reason_options ?? [];
  const why = options.find(({ reason_name: name }) => CANCEL_WORDS[asked.reason].test(name ?? '')) ?? options[0];
  if (!why)
    throw new PlatformError(
      'rejected',
      'lazada',
      'order_state',
      `The order can not be cancelled: ${offered.data.tip_content ?? asked.platformState}`,
    );
  return wire
    .call({
      method: 'POST',
      path: '/order/reverse/cancel/create',
      shop,
      parameters: { ...parameters, reason_id: why.reason_id },
      schema: lazadaEnvelope,
    })
    .then(() => null)
    .catch((error: unknown) => {
      if (error instanceof PlatformError && error.kind === 'rejected') return error;
      throw error;
    });
}

const notCancelledYet = (platformState: string) =>
  new PlatformError('unavailable', 'lazada', 'not_cancelled_yet', `The order is ${platformState}`);

/** Cancels all that is left of an order. Not cancelled yet is `unavailable`: to be asked again. */
async function cancelOrder(
  wire: LazadaWire,
  shop: ShopAccess,
  { platformOrder, reason }: { platformOrder: string; reason: CancelReason },
): Promise<CancelOutcome> {
  const order = await getOrder(wire, shop, platformOrder);
  const before = cancelOutcome(order.state);
  if (before !== null) return before;
  const lines = order.lines.map(({ lineId }) => lineId);
  const refusal = await askToCancel(wire, shop, { ...order, lines, reason });
  const { state, platformState } = await getOrder(wire, shop, platformOrder);
  const after = cancelOutcome(state);
  if (after !== null) return after;
  throw refusal ?? notCancelledYet(platformState);
}

/** Cancels those of the lines that their buyer still asks back; what else was asked for is left. */
async function cancelLines(
  wire: LazadaWire,
  shop: ShopAccess,
  { platformOrder, lineIds }: { readonly platformOrder: string; readonly lineIds: readonly string[] },
): Promise<readonly string[]> {
  const look = async () => {
    const order = await getOrder(wire, shop, platformOrder);
    // Of a living order the cancelled lines are left out.
    const living = order.state === 'cancelled' ? [] : order.lines.map(({ lineId }) => lineId);
    const asked = lineIds.filter((line) => order.askedBack.includes(line));
    return { platformState: order.platformState, asked, cancelled: lineIds.filter((line) => !living.includes(line)) };
  };
  const { platformState, asked: lines, cancelled } = await look();
  if (lines.length === 0) return cancelled;
  const refusal = await askToCancel(wire, shop, { platformOrder, platformState, lines, reason: 'customer_request' });
  const after = await look();
  if (after.asked.length === 0) return after.cancelled;
  throw refusal ?? notCancelledYet(after.platformState);
}

/** A wish is granted by cancelling. Nothing says no to one: then there is nothing to tell. */
async function answerCancellation(
  wire: LazadaWire,
  shop: ShopAccess,
  { platformOrder, accept }: { platformOrder: string; accept: boolean },
): Promise<CancelOutcome> {
  const { state } = await getOrder(wire, shop, platformOrder);
  if (state === 'cancelled') return 'cancelled';
  if (state !== 'cancel_requested') return 'gone_on';
  return accept ? cancelOrder(wire, shop, { platformOrder, reason: 'customer_request' }) : 'stays';
}

function verifyPush(
  appKey: string,
  appSecret: string,
  input: Parameters<MarketplaceConnector['verifyPush']>[0],
): PushVerdict {
  const given = input.headers.authorization ?? '';
  if (!equalInConstantTime(given, signLazadaPush(appKey, appSecret, input.rawBody))) {
    return { ok: false, reason: 'signature', detail: 'The signature is not ours' };
  }
  const message = lazadaPush.safeParse(parsedOrUndefined(input.rawBody));
  if (!message.success) return { ok: false, reason: 'malformed', detail: 'Not a push message' };
  const { message_type: type, timestamp } = message.data;
  const shopId = message.data.seller_id ?? null;
  const sentAt = timestamp ? toMs(timestamp) : null;
  const order = lazadaOrderPush.safeParse(message.data.data);
  const isSample = shopId === SAMPLE.sellerId && order.data?.trade_order_id === SAMPLE.order;
  if (!isSample && sentAt !== null && (input.now - sentAt > PUSH_OLDEST_MS || sentAt - input.now > PUSH_AHEAD_MS)) {
    return { ok: false, reason: 'stale', detail: 'The time of the message is too far away' };
  }
  if (isSample || !ORDER_MESSAGES.has(type)) {
    const content = JSON.stringify([type, shopId, message.data.data ?? null]);
    const push: PlatformPush = {
      kind: 'other',
      shopId: isSample ? null : shopId,
      dedupeKey: `lazada:${digestOf(content)}`,
      occurredAt: isSample ? input.now : (sentAt ?? input.now),
    };
    return { ok: true, push };
  }
  if (!order.success || shopId === null || sentAt === null) {
    return { ok: false, reason: 'malformed', detail: 'An order message without seller, time or order' };
  }
  const { data } = order;
  const occurredAt = data.status_update_time ? toMs(data.status_update_time) : sentAt;
  const status = data.order_status ?? data.reverse_status ?? '';
  return {
    ok: true,
    push: {
      kind: 'order',
      shopId,
      platformOrder: data.trade_order_id,
      // Not the time of sending: a retry may carry another one.
      dedupeKey: `lazada:${shopId}:${type}:${data.trade_order_id}:${data.trade_order_line_id ?? ''}:${status}:${occurredAt}`,
      occurredAt,
    },
  };
}

function toMs(time: number): number {
  return time > 100_000_000_000 ? time : time * 1000;
}

function parsedOrUndefined(rawBody: Buffer): unknown {
  try {
    return parseJsonLossless(rawBody.toString('utf8'));
  } catch {
    return undefined;
  }
}
