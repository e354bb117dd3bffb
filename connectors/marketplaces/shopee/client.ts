/** Shopee Open Platform v2 (platforms.md, Shopee). */
import pLimit from 'p-limit';
import type { z } from 'zod';
import type { CancelOutcome, CancelReason } from '../../../domain/cancellations';
import { hasLeft } from '../../../domain/orders';
import {
  cleanText,
  createPlatformHttp,
  longestCallMs,
  type PlatformAnswer,
  type PlatformCall,
  type PlatformHttpOptions,
  parseJsonLossless,
  statusError,
} from '../../http';
import {
  type KnownShipment,
  type LostPushes,
  type MarketplaceConnector,
  type OrderChangePage,
  type PlatformCapabilities,
  PlatformError,
  type PlatformPush,
  type PlatformShipment,
  type PreOrderChange,
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
  classifyShopee,
  isItemError,
  reservedByModel,
  shippingOf,
  shopeeCode,
  toListings,
  toOrder,
  toStockResults,
  type UnknownFloor,
} from './mapper';
import { signShopeeCall, signShopeePush } from './signature';
import {
  anyDocument,
  type ShopeeModels,
  shopeeEnvelope,
  shopeeItemBaseInfo,
  shopeeItemList,
  shopeeLabelState,
  shopeeLostPushes,
  shopeeModelList,
  shopeeOrderBrief,
  shopeeOrderDetail,
  shopeeOrderList,
  shopeeOrderPush,
  shopeePush,
  shopeeShippingParameter,
  shopeeShopInfo,
  shopeeStockAnswer,
  shopeeTokens,
  shopeeTrackingNumber,
} from './wire';

export interface ShopeeOptions {
  /** Without `/api/v2`, e.g. `https://partner.shopeemobile.com`. */
  readonly baseUrl: string;
  readonly partnerId: string | number;
  readonly partnerKey: string;
  readonly http: PlatformHttpOptions;
  /** The clock, for tests. Epoch ms. */
  readonly now?: () => number;
}

/** One item and up to 50 of its models a call; orders are listed for 15 days at most; pre-order exists; a token lives 4 hours and is renewed 30 minutes ahead. */
export const SHOPEE_CAPABILITIES: PlatformCapabilities = {
  stockCall: { grouping: 'oneItem', maxEntries: 50, largestQuantity: 10_000_000 },
  shipment: 'wholeOrder',
  orderWindowMs: 15 * 24 * 3600_000,
  preOrder: true,
  refreshAheadMs: 30 * 60_000,
};

/** The answer doesn't say it; the documentation does. */
const REFRESH_TOKEN_LIFE_MS = 30 * 24 * 3600_000;
/** Each item with models costs a call of its own; a page stays well within one activity. */
const ITEMS_PER_PAGE = 20;
const MODEL_CALLS_AT_ONCE = 4;
const ORDERS_PER_PAGE = 100;
const ORDERS_PER_DETAIL = 50;
const ORDER_FIELDS = 'item_list,recipient_address,shipping_carrier,checkout_shipping_carrier,total_amount';
/**
 * How old a push may be. Shopee keeps a push that was not taken for 3 days and a retry carries the time of the first
 * try, so all of that must pass; older is a replay. Within the window the content (`dedupeKey`) refuses repeats.
 */
const PUSH_OLDEST_MS = 3 * 24 * 3600_000 + 3600_000;
/** Clocks differ; a push from further ahead than this was not made by Shopee now. */
const PUSH_AHEAD_MS = 15 * 60_000;
const ORDER_STATUS_PUSH = 3;
const LABEL_TYPE = 'THERMAL_AIR_WAYBILL';
/** How often, and how far apart, a label that is being made is looked at. Milliseconds. */
const LABEL_LOOKS = 10;
const LABEL_PAUSE_MS = 300;

/** Makes the connector. No call is made before the first method is used. */
export function createShopeeConnector(options: ShopeeOptions): MarketplaceConnector {
  const wire = createShopeeWire(options);
  return {
    platform: 'shopee',
    capabilities: SHOPEE_CAPABILITIES,
    longestWriteMs: longestCallMs(options.http),
    authorizationUrl: ({ state, redirectUrl }) => wire.authorizationUrl(state, redirectUrl),
    exchangeCode: (query) => exchangeCode(wire, query),
    refreshTokens: (input) => refreshTokens(wire, input),
    listListings: (access, page) => listListings(wire, access, page),
    updateStock: (access, entries) => updateStock(wire, access, entries),
    setPreOrder: (access, change) => setPreOrder(wire, access, change),
    getOrder: (access, platformOrder) => getOrder(wire, access, platformOrder),
    shipOrder: (access, shipment) => shipOrder(wire, access, shipment),
    getLabel: (access, parcel) => getLabel(wire, access, parcel.platformOrder),
    listOrderChanges: (access, window) => listOrderChanges(wire, access, window),
    cancelOrder: (access, order) => cancelOrder(wire, access, order),
    answerCancellation: (access, order) => answerCancellation(wire, access, order),
    lostPushes: () => lostPushes(wire),
    confirmLostPushes: (upTo) => confirmLostPushes(wire, upTo),
    verifyPush: (input) => verifyPush(String(options.partnerKey), input),
  };
}

interface ShopeeRequest<T> {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly shop?: ShopAccess;
  readonly query?: ReadonlyArray<readonly [string, string]>;
  readonly body?: string;
  readonly secrets?: readonly string[];
  readonly schema: z.ZodType<T>;
  /** Errors with which the answer is nevertheless the value; see the stock call. */
  readonly passError?: (code: string, json: unknown) => boolean;
  /** The value is the bytes of a PDF. */
  readonly document?: boolean;
}

interface ShopeeWire {
  readonly partnerId: string;
  now(): number;
  call<T>(request: ShopeeRequest<T>): Promise<T>;
  authorizationUrl(state: string, redirectUrl: string): string;
}

function createShopeeWire(options: ShopeeOptions): ShopeeWire {
  const http = createPlatformHttp('shopee', options.http);
  const baseUrl = options.baseUrl.replace(/\/+$/, '');
  const partnerId = String(options.partnerId);
  const now = options.now ?? Date.now;
  const signed = (path: string, shop?: ShopAccess): Array<readonly [string, string]> => {
    const timestamp = Math.floor(now() / 1000);
    const sign = signShopeeCall({ partnerId, partnerKey: options.partnerKey, path, timestamp, shop });
    const own: Array<readonly [string, string]> = [
      ['partner_id', partnerId],
      ['timestamp', String(timestamp)],
      ['sign', sign],
    ];
    if (shop) own.push(['access_token', shop.accessToken], ['shop_id', shop.shopId]);
    return own;
  };
  return {
    partnerId,
    now,
    call: <T>(request: ShopeeRequest<T>): Promise<T> => {
      const call: PlatformCall<T> = {
        method: request.method,
        baseUrl,
        path: request.path,
        query: () => [...signed(request.path, request.shop), ...(request.query ?? [])],
        body: request.body === undefined ? undefined : { contentType: 'application/json', text: request.body },
        idempotent: request.method === 'GET',
        secrets: [options.partnerKey, request.shop?.accessToken ?? '', ...(request.secrets ?? [])],
        document: request.document ?? false,
        read: (answer) =>
          answer.bytes === undefined ? readEnvelope(request, call, answer, now()) : (answer.bytes as T),
      };
      return http.call(call);
    },
    authorizationUrl: (state, redirectUrl) => {
      // Shopee has no `state` of its own: it travels in the address that the browser comes back to.
      const redirect = new URL(redirectUrl);
      redirect.searchParams.set('state', state);
      const path = '/api/v2/shop/auth_partner';
      const url = new URL(`${baseUrl}${path}`);
      for (const [name, value] of signed(path)) url.searchParams.set(name, value);
      url.searchParams.set('redirect', redirect.toString());
      return url.toString();
    },
  };
}

function readEnvelope<T>(request: ShopeeRequest<T>, call: PlatformCall<T>, answer: PlatformAnswer, now: number): T {
  const envelope = shopeeEnvelope.safeParse(answer.json);
  const error = envelope.success ? (envelope.data.error ?? '') : '';
  if (answer.status === 429) throw statusError('shopee', call, answer);
  if (error !== '' && !request.passError?.(shopeeCode(error), answer.json)) {
    throw envelopeError(error, envelope.data?.message ?? '', call, answer, now);
  }
  if (answer.status < 200 || answer.status >= 300) throw statusError('shopee', call, answer);
  const parsed = request.schema.safeParse(answer.json);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]?.path.join('.') || 'the whole';
  throw new PlatformError('unavailable', 'shopee', 'bad_answer', `${call.path}: unexpected answer at ${where}`, {
    outcomeUnknown: !call.idempotent,
  });
}

function envelopeError(
  error: string,
  message: string,
  call: PlatformCall<unknown>,
  answer: PlatformAnswer,
  now: number,
): PlatformError {
  const failure = classifyShopee(error, message, now);
  if (failure.kind === 'rejected' && answer.status >= 500) return statusError('shopee', call, answer);
  return new PlatformError(failure.kind, 'shopee', shopeeCode(error), `${call.path}: ${message || error}`, {
    retryAfterMs: failure.kind === 'throttled' ? (answer.retryAfterMs ?? failure.retryAfterMs) : undefined,
    outcomeUnknown: failure.kind === 'unavailable' && !call.idempotent,
  });
}

async function exchangeCode(wire: ShopeeWire, query: Readonly<Record<string, string>>) {
  const { code, shop_id: shopId } = query;
  if (!code || !shopId || !isDigits(shopId)) {
    throw new PlatformError('rejected', 'shopee', 'invalid_callback', 'The call-back has no code or no shop_id');
  }
  const answer = await wire.call({
    method: 'POST',
    path: '/api/v2/auth/token/get',
    body: `{"code":${JSON.stringify(code)},"shop_id":${shopId},"partner_id":${wire.partnerId}}`,
    secrets: [code],
    schema: shopeeTokens,
  });
  const tokens = toTokens(wire, answer);
  return { shopId, shopName: await shopName(wire, { shopId, accessToken: tokens.accessToken }), tokens };
}

// The pair exists already: a name that can't be read now must not lose it.
async function shopName(wire: ShopeeWire, shop: ShopAccess): Promise<string> {
  try {
    const info = await wire.call({ method: 'GET', path: '/api/v2/shop/get_shop_info', shop, schema: shopeeShopInfo });
    return info.shop_name;
  } catch (error) {
    if (error instanceof PlatformError) return `Shopee ${shop.shopId}`;
    throw error;
  }
}

async function refreshTokens(wire: ShopeeWire, input: { shopId: string; refreshToken: string }): Promise<ShopTokens> {
  if (!isDigits(input.shopId))
    throw new PlatformError('rejected', 'shopee', 'invalid_call', 'The shop id is no number');
  const answer = await wire.call({
    method: 'POST',
    path: '/api/v2/auth/access_token/get',
    body: `{"refresh_token":${JSON.stringify(input.refreshToken)},"shop_id":${input.shopId},"partner_id":${wire.partnerId}}`,
    secrets: [input.refreshToken],
    schema: shopeeTokens,
  });
  return toTokens(wire, answer);
}

function toTokens(wire: ShopeeWire, answer: z.infer<typeof shopeeTokens>): ShopTokens {
  return {
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token,
    accessExpiresAt: wire.now() + answer.expire_in * 1000,
    refreshExpiresAt: wire.now() + REFRESH_TOKEN_LIFE_MS,
  };
}

async function listListings(
  wire: ShopeeWire,
  shop: ShopAccess,
  page: { cursor: string | null; changedSince?: number },
) {
  const statuses = ['NORMAL', 'UNLIST', 'BANNED', 'REVIEWING'];
  if (page.changedSince !== undefined) statuses.push('SELLER_DELETE', 'SHOPEE_DELETE');
  const query: Array<[string, string]> = [
    ['offset', page.cursor ?? '0'],
    ['page_size', String(ITEMS_PER_PAGE)],
    ...statuses.map((status): [string, string] => ['item_status', status]),
  ];
  if (page.changedSince !== undefined) {
    query.push(['update_time_from', String(Math.floor(page.changedSince / 1000))]);
    query.push(['update_time_to', String(Math.ceil(wire.now() / 1000))]);
  }
  const path = '/api/v2/product/get_item_list';
  const list = (await wire.call({ method: 'GET', path, shop, query, schema: shopeeItemList })).response;
  const items = await getItems(
    wire,
    shop,
    list.item.map((item) => item.item_id),
  );
  const atOnce = pLimit(MODEL_CALLS_AT_ONCE);
  const listings = await Promise.all(
    items.map((item) =>
      atOnce(async () => toListings(item, item.has_model ? await getModels(wire, shop, item.item_id) : null)),
    ),
  );
  const nextCursor = list.has_next_page && list.next_offset !== undefined ? String(list.next_offset) : null;
  return { listings: listings.flat(), nextCursor };
}

async function getItems(wire: ShopeeWire, shop: ShopAccess, itemIds: readonly string[]) {
  if (itemIds.length === 0) return [];
  const path = '/api/v2/product/get_item_base_info';
  const query: Array<[string, string]> = [['item_id_list', itemIds.join(',')]];
  return (await wire.call({ method: 'GET', path, shop, query, schema: shopeeItemBaseInfo })).response.item_list;
}

async function getModels(wire: ShopeeWire, shop: ShopAccess, itemId: string): Promise<ShopeeModels> {
  const path = '/api/v2/product/get_model_list';
  return (await wire.call({ method: 'GET', path, shop, query: [['item_id', itemId]], schema: shopeeModelList }))
    .response;
}

async function updateStock(wire: ShopeeWire, shop: ShopAccess, entries: readonly StockEntry[]): Promise<StockResult[]> {
  checkStockCall('shopee', SHOPEE_CAPABILITIES.stockCall, entries);
  const itemId = entries[0]?.itemId ?? '';
  // Written by hand: ids may be longer than a double holds, and go out as numbers.
  const stockList = entries
    .map((entry) => `{"model_id":${entry.modelId},"seller_stock":[{"stock":${entry.quantity}}]}`)
    .join(',');
  const answer = await wire.call({
    method: 'POST',
    path: '/api/v2/product/update_stock',
    shop,
    body: `{"item_id":${itemId},"stock_list":[${stockList}]}`,
    schema: shopeeStockAnswer,
    passError: (code, json) => isItemError(code) || hasFailureList(json),
  });
  const code = shopeeCode(answer.error ?? '');
  const message = cleanText(answer.message ?? '', [shop.accessToken]);
  if (code !== '' && !answer.response?.failure_list?.length && isItemError(code)) {
    return entries.map(({ key }) => ({ key, outcome: 'refused', code, message }));
  }
  const results = toStockResults(answer, entries).map((result) =>
    'message' in result ? { ...result, message: cleanText(result.message, [shop.accessToken]) } : result,
  );
  return resolveFloors(wire, shop, itemId, results);
}

async function setPreOrder(wire: ShopeeWire, shop: ShopAccess, change: PreOrderChange): Promise<void> {
  if (!isDigits(change.itemId)) throw new PlatformError('rejected', 'shopee', 'invalid_call', 'An id is not a number');
  // Out of pre-order the platform sets the days itself.
  const days = change.on ? `,"days_to_ship":${change.daysToShip}` : '';
  await wire.call({
    method: 'POST',
    path: '/api/v2/product/update_item',
    shop,
    body: `{"item_id":${change.itemId},"pre_order":{"is_pre_order":${change.on}${days}}}`,
    schema: shopeeEnvelope,
  });
}

function hasFailureList(json: unknown): boolean {
  return (shopeeStockAnswer.safeParse(json).data?.response?.failure_list?.length ?? 0) > 0;
}

/** Some refusals name the reserved quantity and some don't: then it is read from the item. */
async function resolveFloors(
  wire: ShopeeWire,
  shop: ShopAccess,
  itemId: string,
  results: readonly (StockResult | UnknownFloor)[],
): Promise<StockResult[]> {
  const unknown = results.filter((result): result is UnknownFloor => result.outcome === 'unknownFloor');
  const reserved = unknown.length > 0 ? await readReserved(wire, shop, itemId, unknown) : new Map<string, number>();
  return results.map((result) => {
    if (result.outcome !== 'unknownFloor') return result;
    const { key, code, message } = result;
    const floor = reserved.get(result.modelId);
    return floor === undefined
      ? { key, outcome: 'retry', code, message }
      : { key, outcome: 'floor', floor, code, message };
  });
}

// The stock call has answered; failing now would hide what it wrote, so an unreadable floor means "another try".
async function readReserved(wire: ShopeeWire, shop: ShopAccess, itemId: string, unknown: readonly UnknownFloor[]) {
  try {
    const needsItem = unknown.some((result) => result.modelId === '0');
    const item = needsItem ? ((await getItems(wire, shop, [itemId]))[0] ?? null) : null;
    const needsModels = unknown.some((result) => result.modelId !== '0');
    return reservedByModel(item, needsModels ? await getModels(wire, shop, itemId) : null);
  } catch (error) {
    if (error instanceof PlatformError) return new Map<string, number>();
    throw error;
  }
}

async function getOrder(wire: ShopeeWire, shop: ShopAccess, platformOrder: string) {
  const path = '/api/v2/order/get_order_detail';
  const query: Array<[string, string]> = [
    ['order_sn_list', platformOrder],
    ['response_optional_fields', ORDER_FIELDS],
  ];
  const { order_list: orders } = (await wire.call({ method: 'GET', path, shop, query, schema: shopeeOrderDetail }))
    .response;
  const found = orders.find((order) => order.order_sn === platformOrder);
  if (!found) throw new PlatformError('rejected', 'shopee', 'error_order_not_found', `${path}: no such order`);
  const order = toOrder(found);
  if (order) return order;
  throw new PlatformError(
    'unavailable',
    'shopee',
    'unknown_order_status',
    `${path}: the order's status is unknown to us`,
  );
}

/** Where the platform arranged the parcel already, or has seen it leave, there is nothing to tell. */
async function shipOrder(
  wire: ShopeeWire,
  shop: ShopAccess,
  shipment: PlatformShipment,
): Promise<KnownShipment | null> {
  const { platformOrder, trackingNumber } = shipment;
  const { state, platformState } = await getOrder(wire, shop, platformOrder);
  if (hasLeft(state) || platformState === 'PROCESSED')
    return { trackingNumbers: await trackingNumbersOf(wire, shop, platformOrder) };
  if (state !== 'ready_to_ship')
    throw new PlatformError('rejected', 'shopee', 'order_state', `The order is ${platformState}`);
  const query: Array<[string, string]> = [['order_sn', platformOrder]];
  const path = '/api/v2/logistics/get_shipping_parameter';
  const asked = await wire.call({ method: 'GET', path, shop, query, schema: shopeeShippingParameter });
  const how = shippingOf(asked.response, trackingNumber);
  if (how === null)
    throw new PlatformError('rejected', 'shopee', 'no_shipping_method', 'The platform offers no way to ship the order');
  await wire.call({
    method: 'POST',
    path: '/api/v2/logistics/ship_order',
    shop,
    body: `{"order_sn":${JSON.stringify(platformOrder)},${how}}`,
    schema: shopeeEnvelope,
  });
  return null;
}

/** Under which number the platform has it; none where it tells none. */
async function trackingNumbersOf(wire: ShopeeWire, shop: ShopAccess, platformOrder: string): Promise<string[]> {
  const query: Array<[string, string]> = [['order_sn', platformOrder]];
  const path = '/api/v2/logistics/get_tracking_number';
  try {
    const { response } = await wire.call({ method: 'GET', path, shop, query, schema: shopeeTrackingNumber });
    const number = response?.tracking_number?.trim();
    return number ? [number] : [];
  } catch (error) {
    // Not every channel has one to tell.
    if (error instanceof PlatformError && error.kind === 'rejected') return [];
    throw error;
  }
}

/** The platform makes a label in the background: asked for, looked at until it is there, fetched. */
async function getLabel(wire: ShopeeWire, shop: ShopAccess, platformOrder: string): Promise<Buffer> {
  const number = JSON.stringify(platformOrder);
  const body = `{"order_list":[{"order_sn":${number},"shipping_document_type":"${LABEL_TYPE}"}]}`;
  const path = (step: string) => `/api/v2/logistics/${step}`;
  const refuse = (message: string) => new PlatformError('rejected', 'shopee', 'no_label', message);
  const step = (name: string) => wire.call({ method: 'POST', path: path(name), shop, body, schema: shopeeLabelState });
  const asked = (await step('create_shipping_document')).response?.result_list?.[0];
  if (asked?.fail_error) throw refuse(asked.fail_message ?? asked.fail_error);
  for (let look = 1; ; look += 1) {
    const made = (await step('get_shipping_document_result')).response?.result_list?.[0];
    if (made?.status === 'READY') break;
    if (made?.status === 'FAILED' || made?.fail_error) throw refuse(made.fail_message ?? 'The label could not be made');
    if (look === LABEL_LOOKS)
      throw new PlatformError('unavailable', 'shopee', 'label_not_ready', 'The platform is still making the label');
    await new Promise((resolve) => setTimeout(resolve, LABEL_PAUSE_MS));
  }
  return wire.call({
    method: 'POST',
    path: path('download_shipping_document'),
    shop,
    body: `{"shipping_document_type":"${LABEL_TYPE}","order_list":[{"order_sn":${number}}]}`,
    schema: anyDocument,
    document: true,
  });
}

const changeKey = (shopId: string, order: string, status: string, updatedS: number) =>
  `shopee:${shopId}:${order}:${status}:${updatedS}`;

/** The list names numbers alone: what state each is in comes from the details, at most 50 a call. */
async function listOrderChanges(
  wire: ShopeeWire,
  shop: ShopAccess,
  window: { from: number; to: number; cursor: string | null },
): Promise<OrderChangePage> {
  const query: Array<[string, string]> = [
    ['time_range_field', 'update_time'],
    ['time_from', String(Math.floor(window.from / 1000))],
    ['time_to', String(Math.ceil(window.to / 1000))],
    ['page_size', String(ORDERS_PER_PAGE)],
  ];
  if (window.cursor !== null) query.push(['cursor', window.cursor]);
  const path = '/api/v2/order/get_order_list';
  const list = (await wire.call({ method: 'GET', path, shop, query, schema: shopeeOrderList })).response;
  const numbers = list.order_list.map((order) => order.order_sn);
  const changes: OrderChangePage['changes'][number][] = [];
  for (let from = 0; from < numbers.length; from += ORDERS_PER_DETAIL) {
    const detail = await wire.call({
      method: 'GET',
      path: '/api/v2/order/get_order_detail',
      shop,
      query: [['order_sn_list', numbers.slice(from, from + ORDERS_PER_DETAIL).join(',')]],
      schema: shopeeOrderBrief,
    });
    for (const { order_sn: platformOrder, order_status: status, update_time: updatedS } of detail.response.order_list)
      changes.push({
        platformOrder,
        updatedAt: updatedS * 1000,
        dedupeKey: changeKey(shop.shopId, platformOrder, status, updatedS),
      });
  }
  return { changes, nextCursor: list.more && list.next_cursor ? list.next_cursor : null };
}

const CANCEL_WORDS: Readonly<Record<CancelReason, string>> = {
  out_of_stock: 'OUT_OF_STOCK',
  customer_request: 'CUSTOMER_REQUEST',
  undeliverable_area: 'UNDELIVERABLE_AREA',
};

async function cancelOrder(
  wire: ShopeeWire,
  shop: ShopAccess,
  { platformOrder, reason }: { platformOrder: string; reason: CancelReason },
): Promise<CancelOutcome> {
  const { state, lines } = await getOrder(wire, shop, platformOrder);
  const before = cancelOutcome(state);
  if (before !== null) return before;
  // A wish of the buyer's that waits is granted with it: the vendor refuses a second way to cancel meanwhile.
  if (state === 'cancel_requested') return answerCancellation(wire, shop, { platformOrder, accept: true });
  // Written by hand: ids may be longer than a double holds.
  const items = lines.map(({ itemId, modelId }) => `{"item_id":${itemId},"model_id":${modelId}}`).join(',');
  const missing = reason === 'out_of_stock' ? `,"item_list":[${items}]` : '';
  try {
    await wire.call({
      method: 'POST',
      path: '/api/v2/order/cancel_order',
      shop,
      body: `{"order_sn":${JSON.stringify(platformOrder)},"cancel_reason":"${CANCEL_WORDS[reason]}"${missing}}`,
      schema: shopeeEnvelope,
    });
    return 'cancelled';
  } catch (error) {
    if (!(error instanceof PlatformError) || error.kind !== 'rejected') throw error;
    // It may have left, or been cancelled, since it was looked at; any other refusal is the caller's to hear.
    const after = cancelOutcome((await getOrder(wire, shop, platformOrder)).state);
    if (after !== null) return after;
    throw error;
  }
}

async function answerCancellation(
  wire: ShopeeWire,
  shop: ShopAccess,
  { platformOrder, accept }: { platformOrder: string; accept: boolean },
): Promise<CancelOutcome> {
  const { state } = await getOrder(wire, shop, platformOrder);
  if (state === 'cancelled') return 'cancelled';
  if (state !== 'cancel_requested') return 'gone_on';
  await wire.call({
    method: 'POST',
    path: '/api/v2/order/handle_buyer_cancellation',
    shop,
    body: JSON.stringify({ order_sn: platformOrder, operation: accept ? 'ACCEPT' : 'REJECT' }),
    schema: shopeeEnvelope,
  });
  return accept ? 'cancelled' : 'told';
}

/** The earliest hundred that were not confirmed, of all shops of this partner. */
async function lostPushes(wire: ShopeeWire): Promise<LostPushes> {
  const path = '/api/v2/push/get_lost_push_message';
  const { response } = await wire.call({ method: 'GET', path, schema: shopeeLostPushes });
  const read = (response.push_message_list ?? []).map((raw) => lostPushOf(raw, wire.now()));
  return {
    pushes: read.map(({ push, body }) => ({ push, body })),
    unreadable: read.filter(({ readable }) => !readable).length,
    // Without messages there is nothing to confirm, whatever number comes along.
    upTo: read.length === 0 ? null : (response.last_message_id ?? null),
    more: response.has_next_page ?? false,
  };
}

/** One message that could not be delivered; what can't be read is a push of no shop, kept as it came. */
function lostPushOf(raw: unknown, now: number): { push: PlatformPush; body: string; readable: boolean } {
  const message = shopeePush.safeParse(raw);
  if (message.success) {
    const { data: given } = message.data;
    // JSON as text, says the documentation.
    const data = typeof given === 'string' ? parsedOrUndefined(Buffer.from(given)) : given;
    const verdict = toPush({ ...message.data, data }, now);
    if (verdict.ok) return { push: verdict.push, body: JSON.stringify({ ...message.data, data }), readable: true };
  }
  const body = JSON.stringify(raw) ?? 'null';
  const push = { kind: 'other', shopId: null, dedupeKey: `shopee:${digestOf(body)}`, occurredAt: now } as const;
  return { push, body, readable: false };
}

async function confirmLostPushes(wire: ShopeeWire, upTo: string): Promise<void> {
  await wire.call({
    method: 'POST',
    path: '/api/v2/push/confirm_consumed_lost_push_message',
    body: `{"last_message_id":${isDigits(upTo) ? upTo : JSON.stringify(upTo)}}`,
    schema: shopeeEnvelope,
  });
}

function verifyPush(partnerKey: string, input: Parameters<MarketplaceConnector['verifyPush']>[0]): PushVerdict {
  const given = input.headers.authorization ?? '';
  if (!equalInConstantTime(given, signShopeePush(partnerKey, input.callbackUrl, input.rawBody))) {
    return { ok: false, reason: 'signature', detail: 'The signature is not ours' };
  }
  const message = shopeePush.safeParse(parsedOrUndefined(input.rawBody));
  if (!message.success) return { ok: false, reason: 'malformed', detail: 'Not a push message' };
  const { timestamp } = message.data;
  const sentAt = timestamp ? timestamp * 1000 : null;
  if (sentAt !== null && (input.now - sentAt > PUSH_OLDEST_MS || sentAt - input.now > PUSH_AHEAD_MS)) {
    return { ok: false, reason: 'stale', detail: 'The time of the message is too far away' };
  }
  return toPush(message.data, input.now);
}

/** What a message tells, however it came. */
function toPush(message: z.infer<typeof shopeePush>, now: number): PushVerdict {
  const { code, timestamp } = message;
  const shopId = message.shop_id ?? null;
  const sentAt = timestamp ? timestamp * 1000 : null;
  if (code !== ORDER_STATUS_PUSH) {
    const content = JSON.stringify([code, shopId, message.data ?? null]);
    const push: PlatformPush = {
      kind: 'other',
      shopId,
      dedupeKey: `shopee:${digestOf(content)}`,
      occurredAt: sentAt ?? now,
    };
    return { ok: true, push };
  }
  const order = shopeeOrderPush.safeParse(message.data);
  if (!order.success || shopId === null || sentAt === null) {
    return { ok: false, reason: 'malformed', detail: 'An order message without shop, time or order' };
  }
  const { ordersn, status, update_time: updatedAt } = order.data;
  return {
    ok: true,
    push: {
      kind: 'order',
      shopId,
      platformOrder: ordersn,
      // Not the time of sending: a retry may carry another one.
      dedupeKey: changeKey(shopId, ordersn, status, updatedAt),
      occurredAt: updatedAt * 1000,
    },
  };
}

function parsedOrUndefined(rawBody: Buffer): unknown {
  try {
    return parseJsonLossless(rawBody.toString('utf8'));
  } catch {
    return undefined;
  }
}
