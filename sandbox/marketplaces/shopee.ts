/** Shopee Open Platform v2 as the vendor's documentation describes it (platforms.md, Shopee). */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { labelPdf } from './documents';
import {
  holdsAccess,
  issueTokens,
  type SandboxItem,
  type SandboxModel,
  type SandboxOrder,
  type SandboxOrderState,
  type SandboxShipping,
  type SandboxShop,
  useCode,
  useRefreshToken,
} from './state';
import { integer, requestId, type Vendor, type VendorAnswer, type VendorRequest, type World } from './world';

const TIMESTAMP_MS = 5 * 60_000;
const ACCESS_S = 4 * 3600;
const REFRESH_MS = 30 * 24 * 3600_000;
const OLD_ACCESS_MS = 5 * 60_000;
const MODELS_PER_CALL = 50;
const ITEMS_PER_PAGE = 100;
const ITEMS_PER_INFO = 50;
const ORDERS_PER_DETAIL = 50;
const ORDERS_PER_PAGE = 100;
const ORDER_WINDOW_S = 15 * 24 * 3600;
const LOST_PER_CALL = 100;
const LOST_KEPT_MS = 3 * 24 * 3600_000;

const SHOPEE_STATUS: Readonly<Record<SandboxOrderState, string>> = {
  unpaid: 'UNPAID',
  ready_to_ship: 'READY_TO_SHIP',
  to_pickup: 'PROCESSED',
  shipped: 'SHIPPED',
  completed: 'COMPLETED',
  cancel_requested: 'IN_CANCEL',
  cancelled: 'CANCELLED',
};
const CARRIER: Readonly<Record<SandboxShipping, string>> = {
  platform_logistics: 'Standard Delivery',
  three_pl: '3PL Express',
  self_delivery: 'Seller Own Fleet',
  self_arranged: 'Self-Arranged',
};
const ITEM_STATUS: Readonly<Record<SandboxItem['status'], string>> = {
  live: 'NORMAL',
  hidden: 'UNLIST',
  deleted: 'SELLER_DELETE',
  banned: 'BANNED',
};

export function createShopee(world: World): Vendor {
  return {
    platform: 'shopee',
    shopOf: (request) => request.query.get('shop_id') ?? shopIdInBody(request),
    answer: (request) => answer(world, request),
    throttled: () =>
      failed(429, 'error_rate_limit', 'Your request has reached the rate limit, please try again later.'),
    broken: () => failed(500, 'error_server', 'Something wrong. Please try later.'),
  };
}

function shopIdInBody(request: VendorRequest): string | null {
  return /"shop_id"\s*:\s*(\d+)/.exec(request.body.toString('utf8'))?.[1] ?? null;
}

function succeeded(response: unknown): VendorAnswer {
  return { status: 200, code: '', body: { error: '', message: '', request_id: requestId(), response } };
}

function failed(status: number, error: string, message: string): VendorAnswer {
  return { status, code: error, body: { error, message, request_id: requestId() } };
}

type ShopHandler = (world: World, shop: SandboxShop, request: VendorRequest) => VendorAnswer;

const SHOP_PATHS: Readonly<Record<string, { method: string; handle: ShopHandler }>> = {
  '/api/v2/shop/get_shop_info': { method: 'GET', handle: getShopInfo },
  '/api/v2/product/get_item_list': { method: 'GET', handle: getItemList },
  '/api/v2/product/get_item_base_info': { method: 'GET', handle: getItemBaseInfo },
  '/api/v2/product/get_model_list': { method: 'GET', handle: getModelList },
  '/api/v2/product/update_stock': { method: 'POST', handle: updateStock },
  '/api/v2/order/get_order_list': { method: 'GET', handle: getOrderList },
  '/api/v2/product/update_item': { method: 'POST', handle: updateItem },
  '/api/v2/order/get_order_detail': { method: 'GET', handle: getOrderDetail },
  '/api/v2/order/cancel_order': { method: 'POST', handle: cancelOrder },
  '/api/v2/order/handle_buyer_cancellation': { method: 'POST', handle: handleBuyerCancellation },
  '/api/v2/logistics/get_shipping_parameter': { method: 'GET', handle: getShippingParameter },
  '/api/v2/logistics/ship_order': { method: 'POST', handle: shipOrder },
  '/api/v2/logistics/get_tracking_number': { method: 'GET', handle: getTrackingNumber },
  '/api/v2/logistics/create_shipping_document': { method: 'POST', handle: createLabel },
  '/api/v2/logistics/get_shipping_document_result': { method: 'POST', handle: getLabelState },
  '/api/v2/logistics/download_shipping_document': { method: 'POST', handle: downloadLabel },
};

const PUBLIC_PATHS: Readonly<
  Record<string, { method: string; handle: (world: World, request: VendorRequest) => VendorAnswer }>
> = {
  '/api/v2/auth/token/get': { method: 'POST', handle: getToken },
  '/api/v2/auth/access_token/get': { method: 'POST', handle: refreshToken },
  '/api/v2/push/get_lost_push_message': { method: 'GET', handle: getLostPushes },
  '/api/v2/push/confirm_consumed_lost_push_message': { method: 'POST', handle: confirmLostPushes },
};

function answer(world: World, request: VendorRequest): VendorAnswer {
  const { path, query } = request;
  const shopPath = Object.hasOwn(SHOP_PATHS, path) ? SHOP_PATHS[path] : undefined;
  const publicPath = Object.hasOwn(PUBLIC_PATHS, path) ? PUBLIC_PATHS[path] : undefined;
  const known = shopPath ?? publicPath;
  if (!known) return failed(404, 'error_not_found', 'The request path is incorrect.');
  if (request.method !== known.method) return failed(405, 'error_param', 'The request method is wrong.');
  const wrong = checkSignature(world, request, shopPath !== undefined);
  if (wrong) return wrong;
  if (!shopPath) return (publicPath as NonNullable<typeof publicPath>).handle(world, request);
  const shop = world.store.shop('shopee', query.get('shop_id') ?? '');
  if (!shop || !holdsAccess(shop, query.get('access_token') ?? '', world.now())) {
    return failed(403, 'invalid_acceess_token', 'Invalid access_token, please have a check.');
  }
  return shopPath.handle(world, shop, request);
}

/** partner_id + path + timestamp (+ access_token + shop_id), within 5 minutes. */
export function checkSignature(
  world: World,
  request: Pick<VendorRequest, 'path' | 'query'>,
  isShopCall: boolean,
): VendorAnswer | null {
  const { query, path } = request;
  const given = (name: string) => query.get(name) ?? '';
  if (given('partner_id') !== world.keys.shopee.partnerId) return failed(403, 'error_param', 'Invalid partner_id.');
  const timestamp = Number(given('timestamp'));
  if (!Number.isInteger(timestamp) || Math.abs(world.now() - timestamp * 1000) > TIMESTAMP_MS) {
    return failed(403, 'error_param', 'Invalid timestamp.');
  }
  if (isShopCall && (given('shop_id') === '' || given('access_token') === '')) {
    return failed(403, 'error_param', 'There is no access_token or shop_id in query.');
  }
  const message = `${given('partner_id')}${path}${given('timestamp')}${isShopCall ? given('access_token') + given('shop_id') : ''}`;
  const expected = createHmac('sha256', world.keys.shopee.partnerKey).update(message).digest();
  const sign = Buffer.from(given('sign'), 'hex');
  const right = sign.length === expected.length && timingSafeEqual(sign, expected) && /^[0-9a-f]+$/.test(given('sign'));
  return right ? null : failed(403, 'error_sign', 'Wrong sign.');
}

function jsonBody(request: VendorRequest): Record<string, unknown> | null {
  try {
    const parsed: unknown = JSON.parse(request.body.toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function getToken(world: World, request: VendorRequest): VendorAnswer {
  const body = jsonBody(request);
  const shop = world.store.shop('shopee', String(body?.shop_id ?? ''));
  if (!body || typeof body.shop_id !== 'number' || String(body.partner_id) !== world.keys.shopee.partnerId) {
    return failed(200, 'error_param', 'Wrong parameters: shop_id and partner_id are required.');
  }
  if (!shop || typeof body.code !== 'string' || !useCode(shop, body.code, world.now())) {
    return failed(403, 'error_auth', 'Invalid code.');
  }
  return tokens(world, shop);
}

function refreshToken(world: World, request: VendorRequest): VendorAnswer {
  const body = jsonBody(request);
  const shop = world.store.shop('shopee', String(body?.shop_id ?? ''));
  const token = body?.refresh_token;
  if (!shop || typeof token !== 'string' || !useRefreshToken(shop, token, world.now(), OLD_ACCESS_MS)) {
    return failed(403, 'error_auth', 'Invalid refresh_token.');
  }
  return tokens(world, shop);
}

function tokens(world: World, shop: SandboxShop): VendorAnswer {
  const pair = issueTokens(shop, world.now(), ACCESS_S * 1000, REFRESH_MS);
  const body = {
    error: '',
    message: '',
    request_id: requestId(),
    access_token: pair.access,
    refresh_token: pair.refresh,
    expire_in: ACCESS_S,
  };
  return { status: 200, code: '', body };
}

function getShopInfo(_world: World, shop: SandboxShop): VendorAnswer {
  const body = {
    error: '',
    message: '',
    request_id: requestId(),
    shop_name: shop.name,
    region: 'MY',
    status: 'NORMAL',
  };
  return { status: 200, code: '', body };
}

function getItemList(_world: World, shop: SandboxShop, { query }: VendorRequest): VendorAnswer {
  const offset = Number(query.get('offset') ?? Number.NaN);
  const pageSize = Number(query.get('page_size') ?? Number.NaN);
  const statuses = new Set(query.getAll('item_status'));
  if (!Number.isInteger(offset) || offset < 0) return failed(200, 'error_param', 'offset is invalid.');
  if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > ITEMS_PER_PAGE) {
    return failed(200, 'error_param', `page_size should be in range [1,${ITEMS_PER_PAGE}].`);
  }
  if (statuses.size === 0) return failed(200, 'error_param', 'item_status is required.');
  const from = Number(query.get('update_time_from') ?? 0) * 1000;
  const found = shop.items.filter((item) => statuses.has(ITEM_STATUS[item.status]) && item.updatedAt >= from);
  const page = found.slice(offset, offset + pageSize);
  const hasNextPage = offset + page.length < found.length;
  return succeeded({
    item: page.map((item) => ({
      item_id: integer(item.itemId),
      item_status: ITEM_STATUS[item.status],
      update_time: Math.floor(item.updatedAt / 1000),
    })),
    total_count: found.length,
    has_next_page: hasNextPage,
    ...(hasNextPage ? { next_offset: offset + page.length } : {}),
  });
}

function getItemBaseInfo(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const ids = (request.query.get('item_id_list') ?? '').split(',').filter((id) => id !== '');
  if (ids.length === 0 || ids.length > ITEMS_PER_INFO) {
    return failed(200, 'error_param', `item_id_list should have 1 to ${ITEMS_PER_INFO} ids.`);
  }
  const found = shop.items.filter((item) => ids.includes(item.itemId));
  return succeeded({
    item_list: found.map((item) => {
      const only = item.models[0]?.modelId === '0' ? item.models[0] : undefined;
      return {
        item_id: integer(item.itemId),
        item_name: item.title,
        item_sku: only?.sku ?? '',
        item_status: ITEM_STATUS[item.status],
        has_model: !only,
        image: { image_url_list: item.image ? [item.image] : [], image_id_list: [] },
        update_time: Math.floor(item.updatedAt / 1000),
        ...(only ? { price_info: priceInfo(shop, only), stock_info_v2: stockInfo(world, shop, item, only) } : {}),
      };
    }),
  });
}

function getModelList(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const item = shop.items.find((candidate) => candidate.itemId === request.query.get('item_id'));
  if (!item) return failed(200, 'error_item_not_found', 'Product not found.');
  const models = item.models.filter((model) => model.modelId !== '0');
  const tiers = Math.max(0, ...models.map((model) => model.variation.length));
  const options = Array.from({ length: tiers }, (_, tier) => [
    ...new Set(models.map((model) => model.variation[tier] ?? '')),
  ]);
  return succeeded({
    tier_variation: options.map((list, tier) => ({
      name: `Variation ${tier + 1}`,
      option_list: list.map((option) => ({ option })),
    })),
    model: models.map((model) => ({
      model_id: integer(model.modelId),
      model_sku: model.sku,
      tier_index: options.map((list, tier) => list.indexOf(model.variation[tier] ?? '')),
      price_info: priceInfo(shop, model),
      stock_info_v2: stockInfo(world, shop, item, model),
    })),
  });
}

function priceInfo(shop: SandboxShop, model: SandboxModel) {
  return [{ currency: shop.currency, original_price: Number(model.price), current_price: Number(model.price) }];
}

function stockInfo(world: World, shop: SandboxShop, item: SandboxItem, model: SandboxModel) {
  const { floor } = floorOf(world, shop, item, model);
  return {
    summary_info: { total_reserved_stock: floor, total_available_stock: model.stock },
    seller_stock: [{ location_id: '', stock: model.stock }],
  };
}

const STOCK_PATH = '/api/v2/product/update_stock';

/** The reserved quantity: the model's own, or what a `floor` fault says. */
function floorOf(world: World, shop: SandboxShop, item: SandboxItem, model: SandboxModel) {
  const fault = world.faults.peek('shopee', 'floor', { shopId: shop.shopId, path: STOCK_PATH });
  const hit = fault && (!fault.items || fault.items.includes(model.modelId) || fault.items.includes(item.itemId));
  return { floor: Math.max(model.reserved, hit ? (fault.floor ?? 5) : 0), silent: Boolean(hit && fault.silent) };
}

interface StockLine {
  readonly modelId: string;
  readonly quantity: number;
}

function updateStock(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const body = jsonBody(request);
  const lines = stockLines(body);
  if (!body || !lines) return failed(200, 'error_param', 'Wrong parameters, detail: stock_list is invalid.');
  const itemId = String(body.item_id);
  request.call.entries = lines.map((line) => ({ itemId, ...line }));
  if (lines.length > MODELS_PER_CALL) {
    return failed(200, 'error_param', `stock_list should have 1 to ${MODELS_PER_CALL} models.`);
  }
  const item = shop.items.find((candidate) => candidate.itemId === itemId);
  if (!item || item.status === 'deleted') return failed(200, 'error_item_not_found', 'Product not found.');
  if (item.status === 'banned') return failed(200, 'error_item_uneditable', 'Item is banned and can not be edited.');
  const target = { shopId: shop.shopId, path: STOCK_PATH };
  const partial = world.faults.take('shopee', 'partial_failure', target);
  if (partial) request.call.fault = 'partial_failure';
  const results = lines.map((line, index) => {
    const named = partial?.items ? partial.items.includes(line.modelId) || partial.items.includes(itemId) : index === 0;
    const words = partial?.busy ? 'System is busy, please try again later.' : 'Model is not editable.';
    const reason = partial && named ? words : refusal(world, shop, item, line);
    return { line, reason };
  });
  for (const { line, reason } of results) if (reason === null) write(world, item, line);
  const failures = results.filter(({ reason }) => reason !== null);
  const answer = succeeded({
    success_list: results
      .filter(({ reason }) => reason === null)
      .map(({ line }) => ({ model_id: integer(line.modelId), location_id: '', stock: line.quantity })),
    failure_list: failures.map(({ line, reason }) => ({ model_id: integer(line.modelId), failed_reason: reason })),
  });
  if (failures.length < results.length) return answer;
  // Where nothing at all was written the vendor says so at the top as well.
  const error = 'error_busi_update_stock_failed';
  const message = 'Update stock failed, please check failure_list for detailed reason';
  return { ...answer, code: error, body: { ...(answer.body as object), error, message } };
}

/** Of an item's fields, those of pre-order. */
function updateItem(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const body = jsonBody(request);
  const wanted = body?.pre_order as { is_pre_order?: unknown; days_to_ship?: unknown } | undefined;
  const days = wanted?.days_to_ship;
  if (!body || typeof wanted?.is_pre_order !== 'boolean')
    return failed(200, 'error_param', 'Wrong parameters, detail: pre_order is invalid.');
  if (wanted.is_pre_order && (!Number.isInteger(days) || (days as number) < 1 || (days as number) > 90))
    return failed(200, 'error_param', 'Wrong parameters, detail: days_to_ship is invalid.');
  request.call.preOrder = { itemId: String(body.item_id), on: wanted.is_pre_order };
  const item = shop.items.find((candidate) => candidate.itemId === String(body.item_id));
  if (!item || item.status === 'deleted') return failed(200, 'error_item_not_found', 'Product not found.');
  if (item.status === 'banned') return failed(200, 'error_item_uneditable', 'Item is banned and can not be edited.');
  const fault = world.faults.peek('shopee', 'refuse_pre_order', { shopId: shop.shopId, path: request.path });
  if (fault && (!fault.items || fault.items.includes(item.itemId)))
    return failed(200, 'error_busi', 'The category does not allow pre-order.');
  if (wanted.is_pre_order) item.preOrder = { daysToShip: days as number };
  else delete item.preOrder;
  item.updatedAt = world.now();
  return succeeded({ item_id: integer(item.itemId) });
}

function stockLines(body: Record<string, unknown> | null): StockLine[] | null {
  if (!body || !Number.isInteger(body.item_id) || !Array.isArray(body.stock_list) || body.stock_list.length === 0)
    return null;
  const lines = body.stock_list.map((entry: { model_id?: unknown; seller_stock?: { stock?: unknown }[] }) => {
    const quantity = entry?.seller_stock?.[0]?.stock;
    return Number.isInteger(entry?.model_id) && Number.isInteger(quantity)
      ? { modelId: String(entry.model_id), quantity: quantity as number }
      : null;
  });
  return lines.every((line) => line !== null) ? lines : null;
}

function refusal(world: World, shop: SandboxShop, item: SandboxItem, line: StockLine): string | null {
  const model = item.models.find((candidate) => candidate.modelId === line.modelId);
  if (!model) return 'Model not found.';
  if (line.quantity < 0 || line.quantity > 10_000_000) return 'Stock should be within 0-10000000.';
  const { floor, silent } = floorOf(world, shop, item, model);
  if (line.quantity >= floor) return null;
  world.faults.take('shopee', 'floor', { shopId: shop.shopId, path: STOCK_PATH });
  return silent
    ? 'Total stock must be more than reserved stock.'
    : `Stock should be larger than ${floor} (reserve stock number)`;
}

function write(world: World, item: SandboxItem, line: StockLine): void {
  const model = item.models.find((candidate) => candidate.modelId === line.modelId);
  if (!model) return;
  model.stock = line.quantity;
  item.updatedAt = world.now();
}

/** The cursor is opaque to the caller; here it is where the page begins, after the last order it showed. */
function getOrderList(world: World, shop: SandboxShop, { query }: VendorRequest): VendorAnswer {
  const number = (name: string) => Number(query.get(name) ?? Number.NaN);
  const [from, to, size] = [number('time_from'), number('time_to'), number('page_size')];
  if (!['create_time', 'update_time'].includes(query.get('time_range_field') ?? ''))
    return failed(200, 'order.order_list_invalid_time', 'time_range_field is invalid.');
  if (!Number.isInteger(from) || !Number.isInteger(to) || from > to || to - from > ORDER_WINDOW_S)
    return failed(200, 'order.order_list_invalid_time', 'Time range should be within 15 days.');
  if (!Number.isInteger(size) || size < 1 || size > ORDERS_PER_PAGE)
    return failed(200, 'error_param', `page_size should be in range [1,${ORDERS_PER_PAGE}].`);
  const field = query.get('time_range_field') === 'create_time' ? 'createdAt' : 'updatedAt';
  const secondOf = (order: SandboxOrder) => Math.floor(order[field] / 1000);
  const found = world.store.state.orders
    .filter(({ platform, shopId }) => platform === 'shopee' && shopId === shop.shopId)
    .filter((order) => secondOf(order) >= from && secondOf(order) <= to)
    .sort((a, b) => a[field] - b[field] || (a.orderNumber < b.orderNumber ? -1 : 1));
  const cursor = query.get('cursor') ?? '';
  if (!/^\d*$/.test(cursor)) return failed(200, 'error_param', 'cursor is invalid.');
  const offset = Number(cursor);
  const page = found.slice(offset, offset + size);
  const more = offset + page.length < found.length;
  return succeeded({
    more,
    next_cursor: more ? String(offset + page.length) : '',
    order_list: page.map((order) => ({ order_sn: order.orderNumber, booking_sn: '' })),
  });
}

const CANCEL_REASONS = ['OUT_OF_STOCK', 'CUSTOMER_REQUEST', 'UNDELIVERABLE_AREA', 'COD_NOT_SUPPORTED'];

function cancelOrder(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const body = jsonBody(request);
  const order = orderOf(world, shop, String(body?.order_sn ?? ''));
  if (!order) return failed(200, 'error_not_found', 'Wrong parameters, detail: the order is not found.');
  const reason = String(body?.cancel_reason ?? '');
  const items = body?.item_list;
  if (!CANCEL_REASONS.includes(reason) || (reason === 'OUT_OF_STOCK' && (!Array.isArray(items) || items.length === 0)))
    return failed(200, 'error_param', 'Wrong parameters, detail: cancel_reason or item_list is invalid.');
  if (order.state !== 'unpaid' && order.state !== 'ready_to_ship')
    return failed(200, 'order.error_status_limit', 'The order status does not support cancellation.');
  return moveTo(world, order, 'cancelled');
}

function handleBuyerCancellation(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const body = jsonBody(request);
  const order = orderOf(world, shop, String(body?.order_sn ?? ''));
  if (!order) return failed(200, 'error_not_found', 'Wrong parameters, detail: the order is not found.');
  if (body?.operation !== 'ACCEPT' && body?.operation !== 'REJECT')
    return failed(200, 'error_param', 'Wrong parameters, detail: operation is invalid.');
  if (order.state !== 'cancel_requested')
    return failed(200, 'order.error_status_limit', 'The buyer does not ask for a cancellation.');
  return moveTo(world, order, body.operation === 'ACCEPT' ? 'cancelled' : 'ready_to_ship');
}

/** At least a second later than before: the vendor counts in seconds, and tells states apart by them. */
function moveTo(world: World, order: SandboxOrder, state: SandboxOrderState): VendorAnswer {
  order.state = state;
  order.updatedAt = Math.max(world.now(), order.updatedAt + 1000);
  world.store.changed();
  return succeeded({ update_time: Math.floor(order.updatedAt / 1000) });
}

const lostOf = (world: World) =>
  world.store.state.pushes.filter(
    (push) =>
      push.platform === 'shopee' &&
      push.lostAt !== undefined &&
      push.lostAt > world.now() - LOST_KEPT_MS &&
      !push.confirmed,
  );

/** The earliest hundred that were neither taken nor confirmed. */
function getLostPushes(world: World): VendorAnswer {
  const lost = lostOf(world).sort((a, b) => (a.messageId ?? 0) - (b.messageId ?? 0));
  const page = lost.slice(0, LOST_PER_CALL);
  return succeeded({
    push_message_list: page.map((push) => {
      const { data, ...message } = JSON.parse(push.body) as { data: unknown };
      return { ...message, data: JSON.stringify(data) };
    }),
    has_next_page: lost.length > page.length,
    last_message_id: page.at(-1)?.messageId ?? 0,
  });
}

function confirmLostPushes(world: World, request: VendorRequest): VendorAnswer {
  const upTo = jsonBody(request)?.last_message_id;
  if (!Number.isInteger(upTo)) return failed(200, 'error_param', 'last_message_id is invalid.');
  for (const push of lostOf(world)) if ((push.messageId ?? 0) <= (upTo as number)) push.confirmed = true;
  world.store.changed();
  return succeeded({});
}

function getOrderDetail(world: World, shop: SandboxShop, { query }: VendorRequest): VendorAnswer {
  const numbers = (query.get('order_sn_list') ?? '').split(',').filter((number) => number !== '');
  if (numbers.length === 0 || numbers.length > ORDERS_PER_DETAIL) {
    return failed(200, 'error_param', `order_sn_list should have 1 to ${ORDERS_PER_DETAIL} numbers.`);
  }
  const fields = new Set((query.get('response_optional_fields') ?? '').split(','));
  const found = numbers
    .map((number) => world.store.order('shopee', number))
    .filter((order): order is SandboxOrder => order !== undefined && order.shopId === shop.shopId);
  if (found.length === 0) return failed(200, 'error_not_found', 'Wrong parameters, detail: the order is not found.');
  return succeeded({ order_list: found.map((order) => orderDetail(shop, order, fields)) });
}

function orderDetail(shop: SandboxShop, order: SandboxOrder, fields: ReadonlySet<string>) {
  const carrier = CARRIER[order.shipping];
  const optional: Record<string, unknown> = {
    item_list: order.lines.map((line) => ({
      item_id: integer(line.itemId),
      item_name: line.title,
      item_sku: line.modelId === '0' ? line.sku : '',
      model_id: integer(line.modelId),
      model_name: line.variation.join(','),
      model_sku: line.modelId === '0' ? '' : line.sku,
      model_quantity_purchased: line.quantity,
      model_original_price: Number(line.price),
      model_discounted_price: Number(line.price),
      order_item_id: integer(line.lineId),
    })),
    recipient_address: {
      name: order.recipient.name,
      phone: order.recipient.phone,
      full_address: order.recipient.address,
      region: 'MY',
    },
    shipping_carrier: carrier,
    checkout_shipping_carrier: carrier,
    total_amount: order.lines.reduce((sum, line) => sum + Number(line.price) * line.quantity, 0),
  };
  return {
    order_sn: order.orderNumber,
    region: 'MY',
    currency: shop.currency,
    cod: false,
    order_status: SHOPEE_STATUS[order.state],
    create_time: Math.floor(order.createdAt / 1000),
    update_time: Math.floor(order.updatedAt / 1000),
    ...Object.fromEntries(Object.entries(optional).filter(([name]) => fields.has(name))),
  };
}

function orderOf(world: World, shop: SandboxShop, number: string): SandboxOrder | undefined {
  const order = world.store.order('shopee', number);
  return order?.shopId === shop.shopId ? order : undefined;
}

const NOT_SHIPPABLE = failed(200, 'logistics.error_status_limit', 'The order status does not support this.');

/** A carrier of the seller's own wants a tracking number as it is; one of the platform's takes it at the drop-off. */
function getShippingParameter(world: World, shop: SandboxShop, { query }: VendorRequest): VendorAnswer {
  const order = orderOf(world, shop, query.get('order_sn') ?? '');
  if (!order) return failed(200, 'error_not_found', 'Wrong parameters, detail: the order is not found.');
  if (order.state !== 'ready_to_ship') return NOT_SHIPPABLE;
  const isOwn = order.shipping === 'self_arranged' || order.shipping === 'self_delivery';
  return succeeded({
    info_needed: isOwn ? { non_integrated: ['tracking_number'] } : { dropoff: ['branch_id', 'tracking_no'] },
    dropoff: { branch_list: isOwn ? [] : [{ branch_id: 71 }] },
    pickup: { address_list: [] },
  });
}

function shipOrder(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const body = jsonBody(request);
  const order = orderOf(world, shop, String(body?.order_sn ?? ''));
  if (!order) return failed(200, 'error_not_found', 'Wrong parameters, detail: the order is not found.');
  if (order.state !== 'ready_to_ship') return NOT_SHIPPABLE;
  const own = body?.non_integrated as { tracking_number?: unknown } | undefined;
  const dropoff = body?.dropoff as { tracking_no?: unknown; branch_id?: unknown } | undefined;
  const isOwn = order.shipping === 'self_arranged' || order.shipping === 'self_delivery';
  const trackingNumber = isOwn ? own?.tracking_number : dropoff?.tracking_no;
  if (typeof trackingNumber !== 'string' || (!isOwn && dropoff?.branch_id !== 71))
    return failed(200, 'logistics.error_param', 'Wrong parameters, detail: the shipping information is incomplete.');
  order.shipments.push({
    packageId: `OFG${world.store.number()}`,
    lineIds: order.lines.map(({ lineId }) => lineId),
    carrier: CARRIER[order.shipping],
    trackingNumber,
    left: true,
  });
  order.state = 'shipped';
  order.updatedAt = Math.max(world.now(), order.updatedAt);
  world.store.changed();
  return succeeded({});
}

function getTrackingNumber(world: World, shop: SandboxShop, { query }: VendorRequest): VendorAnswer {
  const order = orderOf(world, shop, query.get('order_sn') ?? '');
  if (!order) return failed(200, 'error_not_found', 'Wrong parameters, detail: the order is not found.');
  return succeeded({ tracking_number: order.shipments[0]?.trackingNumber ?? '', hint: '' });
}

/** Labels that were asked for, and how often each was looked for: it is ready at the second look. */
const labels = new WeakMap<SandboxOrder, number>();

function orderToPrint(world: World, shop: SandboxShop, request: VendorRequest): SandboxOrder | undefined {
  const [wanted] = (jsonBody(request)?.order_list ?? []) as { order_sn?: unknown }[];
  const order = orderOf(world, shop, String(wanted?.order_sn ?? ''));
  return order && ['ready_to_ship', 'shipped', 'completed'].includes(order.state) ? order : undefined;
}

const noLabel = (request: VendorRequest) => {
  const [wanted] = (jsonBody(request)?.order_list ?? []) as { order_sn?: unknown }[];
  const reason = {
    fail_error: 'logistics.package_can_not_print',
    fail_message: 'The package can not print now.',
  };
  return succeeded({ result_list: [{ order_sn: String(wanted?.order_sn ?? ''), status: 'FAILED', ...reason }] });
};

function createLabel(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const order = orderToPrint(world, shop, request);
  if (!order) return noLabel(request);
  labels.set(order, 0);
  return succeeded({ result_list: [{ order_sn: order.orderNumber, fail_error: '', fail_message: '' }] });
}

function getLabelState(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const order = orderToPrint(world, shop, request);
  const looks = order && labels.get(order);
  if (!order || looks === undefined) return noLabel(request);
  labels.set(order, looks + 1);
  const status = looks === 0 ? 'PROCESSING' : 'READY';
  return succeeded({ result_list: [{ order_sn: order.orderNumber, status, fail_error: '', fail_message: '' }] });
}

function downloadLabel(world: World, shop: SandboxShop, request: VendorRequest): VendorAnswer {
  const order = orderToPrint(world, shop, request);
  if (!order || (labels.get(order) ?? 0) < 2)
    return failed(200, 'logistics.shipping_document_should_print_first', 'The document is not ready.');
  return { ...succeeded({}), document: labelPdf(['Shopee', order.orderNumber]) };
}

/** The push that tells an order's status: code 3. */
export function shopeeOrderPush(order: SandboxOrder, now: number): unknown[] {
  return [
    {
      code: 3,
      shop_id: integer(order.shopId),
      timestamp: Math.floor(now / 1000),
      data: {
        ordersn: order.orderNumber,
        status: SHOPEE_STATUS[order.state],
        update_time: Math.floor(order.updatedAt / 1000),
        completed_scenario: '',
        items: [],
      },
    },
  ];
}

/** Lower hex HMAC-SHA256 of call-back URL + "|" + body. */
export function shopeePushSignature(world: World, callbackUrl: string, body: string): string {
  return createHmac('sha256', world.keys.shopee.partnerKey).update(`${callbackUrl}|${body}`).digest('hex');
}
