/** Lazada Open Platform as the vendor's documentation describes it (platforms.md, Lazada). */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { labelPdf } from './documents';
import {
  holdsAccess,
  issueTokens,
  type SandboxItem,
  type SandboxModel,
  type SandboxOrder,
  type SandboxOrderLine,
  type SandboxOrderState,
  type SandboxShop,
  useCode,
  useRefreshToken,
} from './state';
import { integer, requestId, type Vendor, type VendorAnswer, type VendorRequest, type World } from './world';

const TIMESTAMP_MS = 7200_000;
const ACCESS_S = 7 * 24 * 3600;
const REFRESH_S = 30 * 24 * 3600;
const SKUS_PER_CALL = 50;
const PRODUCTS_PER_PAGE = 50;
const ORDERS_PER_PAGE = 100;

/** One country per currency; the vendor runs no other. */
export const LAZADA_COUNTRY: Readonly<Record<string, string>> = {
  MYR: 'my',
  SGD: 'sg',
  PHP: 'ph',
  THB: 'th',
  VND: 'vn',
  IDR: 'id',
};

const STATUS: Readonly<Record<SandboxOrderState, string>> = {
  unpaid: 'unpaid',
  ready_to_ship: 'pending',
  to_pickup: 'ready_to_ship',
  shipped: 'shipped',
  completed: 'delivered',
  cancel_requested: 'pending',
  cancelled: 'canceled',
};
const PRODUCT_STATUS: Readonly<Record<SandboxItem['status'], string>> = {
  live: 'Active',
  hidden: 'InActive',
  deleted: 'Deleted',
  banned: 'Suspended',
};

export function createLazada(world: World): Vendor {
  return {
    platform: 'lazada',
    shopOf: (request) => shopByToken(world, parametersOf(request).access_token ?? '')?.shopId ?? null,
    answer: (request) => answer(world, request),
    throttled: () =>
      failed('ApiCallLimit', 'The request has exceeded the limit, this ban will last 1 more seconds', 429),
    broken: () => failed('ServiceUnavailable', 'The service is not available', 500, 'SYSTEM'),
  };
}

function succeeded(fields: Record<string, unknown>): VendorAnswer {
  return { status: 200, code: '0', body: { code: '0', ...fields, request_id: requestId() } };
}

function failed(code: string, message: string, status = 200, type = 'ISV', detail?: unknown[]): VendorAnswer {
  const body = { code, type, message, request_id: requestId(), ...(detail ? { detail } : {}) };
  return { status, code, body };
}

type ShopHandler = (
  world: World,
  shop: SandboxShop,
  parameters: Readonly<Record<string, string>>,
  request: VendorRequest,
) => VendorAnswer;

const SHOP_PATHS: Readonly<Record<string, { method: string; handle: ShopHandler }>> = {
  '/seller/get': { method: 'GET', handle: getSeller },
  '/products/get': { method: 'GET', handle: getProducts },
  '/product/item/get': { method: 'GET', handle: getProductItem },
  '/product/stock/sellable/update': { method: 'POST', handle: updateStock },
  '/orders/get': { method: 'GET', handle: getOrders },
  '/order/reverse/cancel/validate': { method: 'GET', handle: validateCancel },
  '/order/reverse/cancel/create': { method: 'POST', handle: createCancel },
  '/order/get': { method: 'GET', handle: getOrder },
  '/order/items/get': { method: 'GET', handle: getOrderItems },
  '/order/fulfill/pack': { method: 'POST', handle: packOrder },
  '/order/package/rts': { method: 'POST', handle: readyToShip },
  '/order/package/document/get': { method: 'POST', handle: getDocument },
};

function answer(world: World, request: VendorRequest): VendorAnswer {
  const parameters = parametersOf(request);
  const shopPath = Object.hasOwn(SHOP_PATHS, request.path) ? SHOP_PATHS[request.path] : undefined;
  const isToken = request.path === '/auth/token/create' || request.path === '/auth/token/refresh';
  if (!shopPath && !isToken) return failed('InvalidApiPath', 'The specified API path is invalid');
  if (shopPath && request.method !== shopPath.method) return failed('InvalidMethod', 'The specified method is invalid');
  const wrong = checkSignature(world, request.path, parameters);
  if (wrong) return wrong;
  if (!shopPath) {
    return request.path.endsWith('/create') ? createToken(world, parameters) : refreshToken(world, parameters);
  }
  const shop = shopByToken(world, parameters.access_token ?? '');
  if (!shop || !holdsAccess(shop, parameters.access_token ?? '', world.now())) {
    return failed('IllegalAccessToken', 'The specified access token is invalid or expired');
  }
  return shopPath.handle(world, shop, parameters, request);
}

/** Parameters travel in the query or in a form; the signature covers both alike. */
function parametersOf(request: VendorRequest): Record<string, string> {
  const form = request.method === 'POST' ? new URLSearchParams(request.body.toString('utf8')) : new URLSearchParams();
  return Object.fromEntries([...request.query, ...form]);
}

function shopByToken(world: World, token: string): SandboxShop | undefined {
  if (token === '') return undefined;
  return world.store.state.shops.find(
    (shop) => shop.platform === 'lazada' && shop.accessTokens.some((access) => access.value === token),
  );
}

function checkSignature(world: World, path: string, parameters: Readonly<Record<string, string>>): VendorAnswer | null {
  for (const name of ['app_key', 'timestamp', 'sign_method', 'sign']) {
    if (!parameters[name]) return failed('MissingParameter', `The input parameter "${name}" is missing`);
  }
  if (parameters.app_key !== world.keys.lazada.appKey)
    return failed('InvalidAppKey', 'The specified App Key is invalid');
  if (parameters.sign_method !== 'sha256') return failed('InvalidParameter', 'The sign_method is invalid');
  const timestamp = Number(parameters.timestamp);
  if (!Number.isInteger(timestamp) || Math.abs(world.now() - timestamp) > TIMESTAMP_MS) {
    return failed('IllegalTimestamp', 'The specified timestamp is invalid or expired');
  }
  const names = Object.keys(parameters).filter((name) => name !== 'sign' && parameters[name] !== '');
  const message =
    path +
    names
      .sort()
      .map((name) => `${name}${parameters[name]}`)
      .join('');
  const expected = createHmac('sha256', world.keys.lazada.appSecret).update(message, 'utf8').digest();
  const sign = parameters.sign ?? '';
  const given = Buffer.from(sign, 'hex');
  const right = given.length === expected.length && timingSafeEqual(given, expected) && /^[0-9A-F]+$/.test(sign);
  return right ? null : failed('IncompleteSignature', 'The request signature does not conform to platform standards');
}

function createToken(world: World, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const code = parameters.code ?? '';
  const shops = world.store.state.shops.filter((shop) => shop.platform === 'lazada');
  const shop = shops.find((candidate) => useCode(candidate, code, world.now()));
  return shop ? tokens(world, shop) : failed('InvalidCode', 'Invalid authorization code');
}

function refreshToken(world: World, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const token = parameters.refresh_token ?? '';
  const shops = world.store.state.shops.filter((shop) => shop.platform === 'lazada');
  const shop = shops.find((candidate) => useRefreshToken(candidate, token, world.now(), Number.POSITIVE_INFINITY));
  return shop
    ? tokens(world, shop)
    : failed('IllegalRefreshToken', 'The specified refresh token is invalid or expired');
}

function tokens(world: World, shop: SandboxShop): VendorAnswer {
  const pair = issueTokens(shop, world.now(), ACCESS_S * 1000, REFRESH_S * 1000);
  const country = LAZADA_COUNTRY[shop.currency] ?? 'my';
  return succeeded({
    access_token: pair.access,
    refresh_token: pair.refresh,
    expires_in: ACCESS_S,
    refresh_expires_in: REFRESH_S,
    country,
    account: `seller-${shop.shopId}@example.com`,
    account_platform: 'seller_center',
    country_user_info: [{ country, user_id: shop.shopId, seller_id: shop.shopId, short_code: country.toUpperCase() }],
  });
}

function getSeller(_world: World, shop: SandboxShop): VendorAnswer {
  return succeeded({ data: { name: shop.name, seller_id: integer(shop.shopId), verified: 'true' } });
}

function getProducts(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const offset = Number(parameters.offset ?? 0);
  const limit = Number(parameters.limit ?? 20);
  if (!Number.isInteger(limit) || limit < 1 || limit > PRODUCTS_PER_PAGE) {
    return failed('19', `E019: "${parameters.limit}" Invalid Limit. Limit should be in range [1,${PRODUCTS_PER_PAGE}]`);
  }
  if (!Number.isInteger(offset) || offset < 0) return failed('14', `E014: "${parameters.offset}" Invalid Offset`);
  const after = parameters.update_after ? Date.parse(parameters.update_after) : 0;
  if (Number.isNaN(after)) return failed('17', 'E017: Invalid Date Format');
  const found = shop.items.filter((item) => item.status !== 'deleted' && item.updatedAt >= after);
  const products = found.slice(offset, offset + limit).map((item) => product(world, shop, item));
  return succeeded({ data: { total_products: found.length, products } });
}

function getProductItem(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const item = shop.items.find((candidate) => candidate.itemId === parameters.item_id);
  if (!item) return failed('208', 'E208: ITEM_NOT_FOUND');
  return succeeded({ data: product(world, shop, item) });
}

function product(world: World, shop: SandboxShop, item: SandboxItem) {
  const country = (LAZADA_COUNTRY[shop.currency] ?? 'my').toUpperCase();
  return {
    item_id: integer(item.itemId),
    primary_category: 1,
    status: PRODUCT_STATUS[item.status],
    attributes: { name: item.title },
    images: item.image ? [item.image] : [],
    created_time: String(item.updatedAt),
    updated_time: String(item.updatedAt),
    skus: item.models.map((model) => ({
      SkuId: integer(model.modelId),
      SellerSku: model.sku,
      ShopSku: `${item.itemId}_${country}-${model.modelId}`,
      Status: item.status === 'live' ? 'active' : 'inactive',
      quantity: model.stock,
      Available: model.stock,
      price: Number(model.price),
      special_price: 0,
      saleProp: Object.fromEntries(model.variation.map((option, index) => [`prop_${index + 1}`, option])),
      Images: [],
      multiWarehouseInventories: [
        {
          warehouseCode: 'dropshipping',
          quantity: model.stock,
          totalQuantity: model.stock,
          sellableQuantity: model.stock,
          occupyQuantity: 0,
          withholdQuantity: 0,
        },
      ],
      channelInventories: lock(world, shop, item, model),
    })),
  };
}

function lock(world: World, shop: SandboxShop, item: SandboxItem, model: SandboxModel) {
  const { floor } = floorOf(world, shop, item, model);
  return floor > 0 ? [{ channelName: 'campaign', channelQuantity: floor }] : [];
}

const STOCK_PATH = '/product/stock/sellable/update';

/** The locked quantity: the SKU's own, or what a `floor` fault says. */
function floorOf(world: World, shop: SandboxShop, item: SandboxItem, model: SandboxModel) {
  const fault = world.faults.peek('lazada', 'floor', { shopId: shop.shopId, path: STOCK_PATH });
  const hit = fault && (!fault.items || fault.items.includes(model.modelId) || fault.items.includes(item.itemId));
  return { floor: Math.max(model.reserved, hit ? (fault.floor ?? 5) : 0), silent: Boolean(hit && fault.silent) };
}

interface StockLine {
  readonly itemId: string;
  readonly modelId: string;
  readonly quantity: number;
}

const xml = new XMLParser({ parseTagValue: false, isArray: (name) => name === 'Sku' });

function stockLines(payload: string): StockLine[] | null {
  if (payload === '' || XMLValidator.validate(payload) !== true) return null;
  const skus: unknown = xml.parse(payload)?.Request?.Product?.Skus?.Sku;
  if (!Array.isArray(skus) || skus.length === 0) return null;
  const lines = skus.map((sku: Record<string, unknown>) => {
    const { ItemId: itemId, SkuId: modelId, SellableQuantity: quantity } = sku;
    if (typeof itemId !== 'string' || typeof modelId !== 'string' || !/^-?\d+$/.test(String(quantity))) return null;
    return { itemId, modelId, quantity: Number(quantity) };
  });
  return lines.every((line) => line !== null) ? lines : null;
}

function updateStock(
  world: World,
  shop: SandboxShop,
  parameters: Readonly<Record<string, string>>,
  request: VendorRequest,
): VendorAnswer {
  const lines = stockLines(parameters.payload ?? '');
  if (!lines) return failed('5', 'E005: Invalid Request Format');
  request.call.entries = lines.map((line) => ({ ...line }));
  if (lines.length > SKUS_PER_CALL) return failed('5', `E005: At most ${SKUS_PER_CALL} SKUs in one request`);
  const partial = world.faults.take('lazada', 'partial_failure', { shopId: shop.shopId, path: STOCK_PATH });
  if (partial) request.call.fault = 'partial_failure';
  const detail: unknown[] = [];
  lines.forEach((line, index) => {
    const item = shop.items.find((candidate) => candidate.itemId === line.itemId && candidate.status !== 'deleted');
    const model = item?.models.find((candidate) => candidate.modelId === line.modelId);
    const named = partial?.items
      ? partial.items.includes(line.modelId) || partial.items.includes(line.itemId)
      : index === 0;
    const words = partial?.busy ? 'System is busy, please try again later' : 'SKU can not be edited';
    const refused = partial && named ? { code: '4224', message: words } : refusal(world, shop, line, item, model);
    if (refused) {
      detail.push({
        ...refused,
        sku_id: integer(line.modelId),
        seller_sku: model?.sku ?? '',
        field: 'SellableQuantity',
      });
    } else if (item && model) {
      model.stock = line.quantity;
      item.updatedAt = world.now();
    }
  });
  if (detail.length > 0) return failed('501', 'E501: Update product failed', 200, 'ISP', detail);
  return succeeded({});
}

function refusal(
  world: World,
  shop: SandboxShop,
  line: StockLine,
  item: SandboxItem | undefined,
  model: SandboxModel | undefined,
): { code: string; message: string } | null {
  if (!item || !model) return { code: '208', message: 'SKU not found' };
  if (line.quantity < 0) return { code: '4013', message: 'SellableQuantity can not be negative' };
  const { floor, silent } = floorOf(world, shop, item, model);
  if (line.quantity >= floor) return null;
  world.faults.take('lazada', 'floor', { shopId: shop.shopId, path: STOCK_PATH });
  const message = silent
    ? 'The stock is locked by a campaign'
    : `The quantity can not be less than ${floor}, the stock locked by campaign`;
  return { code: '4170', message };
}

function findOrder(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>) {
  const order = world.store.order('lazada', parameters.order_id ?? '');
  return order?.shopId === shop.shopId ? order : undefined;
}

/** `2026-11-21 20:00:00 +0800`, as the vendor writes times. */
function lazadaTime(time: number): string {
  return `${new Date(time + 8 * 3600_000).toISOString().slice(0, 19).replace('T', ' ')} +0800`;
}

/** Bounds to the second: from `update_after` on, until before `update_before`. */
function getOrders(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const offset = Number(parameters.offset ?? 0);
  const limit = Number(parameters.limit ?? 100);
  if (!Number.isInteger(limit) || limit < 1 || limit > ORDERS_PER_PAGE)
    return failed('19', `E019: "${parameters.limit}" Invalid Limit`);
  if (!Number.isInteger(offset) || offset < 0) return failed('14', `E014: "${parameters.offset}" Invalid Offset`);
  if (!parameters.update_after && !parameters.created_after)
    return failed('20', 'E020: Either created_after or update_after is mandatory');
  const timeOf = (name: string, otherwise: number) => (parameters[name] ? Date.parse(parameters[name]) : otherwise);
  const [after, before] = [timeOf('update_after', 0), timeOf('update_before', Number.MAX_SAFE_INTEGER)];
  if (Number.isNaN(after) || Number.isNaN(before)) return failed('17', 'E017: Invalid Date Format');
  const turn = parameters.sort_direction === 'DESC' ? -1 : 1;
  const found = world.store.state.orders
    .filter(({ platform, shopId }) => platform === 'lazada' && shopId === shop.shopId)
    .filter(({ updatedAt }) => Math.floor(updatedAt / 1000) * 1000 >= after && updatedAt < before)
    .sort((a, b) => turn * (a.updatedAt - b.updatedAt || (a.orderNumber < b.orderNumber ? -1 : 1)));
  const page = found.slice(offset, offset + limit);
  return succeeded({
    data: {
      count: page.length,
      countTotal: found.length,
      orders: page.map((order) => ({
        order_id: integer(order.orderNumber),
        order_number: integer(order.orderNumber),
        created_at: lazadaTime(order.createdAt),
        updated_at: lazadaTime(order.updatedAt),
        statuses: [...new Set(order.lines.map((line) => statusOfLine(order, line)))],
        items_count: order.lines.length,
      })),
    },
  });
}

const CANCEL_REASONS = [
  { reason_id: 15, reason_name: 'Out of Stock' },
  { reason_id: 21, reason_name: 'Customer unreachable or asks for it' },
  { reason_id: 28, reason_name: 'Outside of the delivery area' },
];

/** The order and its lines that a cancellation names, where all of them may be cancelled. */
function cancellable(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>) {
  const order = findOrder(world, shop, parameters);
  const lines: readonly string[] = (parameters.order_item_id_list ?? '').match(/\d+/g) ?? [];
  const isKnown = lines.length > 0 && lines.every((id) => order?.lines.some(({ lineId }) => lineId === id));
  const isOpen = order && ['unpaid', 'ready_to_ship', 'cancel_requested'].includes(order.state);
  const named = order?.lines.filter(({ lineId }) => lines.includes(lineId)) ?? [];
  const isOver = named.some((line) => line.state === 'cancelled' || (order && shipmentOfLine(order, line)?.left));
  return { order, isKnown, named, isOpen: Boolean(isOpen && !isOver) };
}

function validateCancel(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const { order, isKnown, isOpen } = cancellable(world, shop, parameters);
  if (!order || !isKnown) return failed('16', `E016: "${parameters.order_id}" Invalid Order ID`);
  return succeeded({
    data: {
      tip_type: isOpen ? 'INFO' : 'WARN',
      tip_content: isOpen ? '' : 'The order status can not be cancelled',
      reason_options: isOpen ? CANCEL_REASONS : [],
    },
  });
}

function createCancel(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const { order, isKnown, named, isOpen } = cancellable(world, shop, parameters);
  if (!order || !isKnown) return failed('16', `E016: "${parameters.order_id}" Invalid Order ID`);
  const isReason = CANCEL_REASONS.some(({ reason_id: id }) => String(id) === parameters.reason_id);
  if (!isOpen || !isReason) return failed('31', 'E031: The order status can not be cancelled');
  // Taken; the order is cancelled in the background, later.
  if (world.faults.take('lazada', 'not_done_yet', { shopId: shop.shopId, path: '/order/reverse/cancel/create' }))
    return succeeded({ data: { success: true } });
  // Lines alone, as long as others are left.
  const others = order.lines.filter((line) => line.state !== 'cancelled' && !named.includes(line));
  if (others.length === 0) order.state = 'cancelled';
  else for (const line of named) line.state = 'cancelled';
  order.updatedAt = Math.max(world.now(), order.updatedAt + 1000);
  world.store.changed();
  return succeeded({ data: { success: true } });
}

function getOrder(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const order = findOrder(world, shop, parameters);
  if (!order) return failed('16', `E016: "${parameters.order_id}" Invalid Order ID`);
  const [firstName = '', ...others] = order.recipient.name.split(' ');
  return succeeded({
    data: {
      order_id: integer(order.orderNumber),
      order_number: integer(order.orderNumber),
      created_at: lazadaTime(order.createdAt),
      updated_at: lazadaTime(order.updatedAt),
      statuses: [STATUS[order.state]],
      items_count: order.lines.length,
      price: order.lines.reduce((sum, line) => sum + Number(line.price), 0).toFixed(2),
      payment_method: 'MIXEDCARD',
      address_shipping: {
        first_name: firstName,
        last_name: others.join(' '),
        phone: order.recipient.phone,
        address1: order.recipient.address,
        address2: '',
        address3: '',
        address4: '',
        address5: '',
        city: '',
        post_code: '',
        country: '',
      },
    },
  });
}

function getOrderItems(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const order = findOrder(world, shop, parameters);
  if (!order) return failed('16', `E016: "${parameters.order_id}" Invalid Order ID`);
  return succeeded({ data: order.lines.map((line) => orderItem(shop, order, line)) });
}

function orderItem(shop: SandboxShop, order: SandboxOrder, line: SandboxOrderLine) {
  const provider = { three_pl: '3PL Express', self_arranged: 'Self-Arranged', self_delivery: 'Seller Own Fleet' };
  return {
    order_item_id: integer(line.lineId),
    order_id: integer(order.orderNumber),
    shop_id: shop.name,
    product_id: line.itemId,
    sku_id: line.modelId,
    sku: line.sku,
    shop_sku: `${line.itemId}_${(LAZADA_COUNTRY[shop.currency] ?? 'my').toUpperCase()}-${line.modelId}`,
    name: line.title,
    variation: line.variation.join(', '),
    item_price: Number(line.price),
    paid_price: Number(line.price),
    currency: shop.currency,
    status: statusOfLine(order, line),
    package_id: shipmentOfLine(order, line)?.packageId ?? '',
    tracking_code: shipmentOfLine(order, line)?.trackingNumber ?? '',
    created_at: lazadaTime(order.createdAt),
    updated_at: lazadaTime(order.updatedAt),
    shipping_type: 'Dropshipping',
    shipment_provider: order.shipping === 'platform_logistics' ? 'LEX' : provider[order.shipping],
    delivery_option_sof: order.shipping === 'self_delivery' ? 1 : 0,
    cancel_return_initiator: (line.state ?? order.state) === 'cancel_requested' ? 'cancellation-customer' : '',
  };
}

const shipmentOfLine = (order: SandboxOrder, { lineId }: SandboxOrderLine) =>
  order.shipments.find(({ lineIds }) => lineIds.includes(lineId));

/** Nothing says no to a buyer's wish: what its seller packs and sends all the same goes its way. */
const isHere = ({ state }: SandboxOrder) => state === 'ready_to_ship' || state === 'cancel_requested';

/** Lines of an order leave in parcels of their own. */
function statusOfLine(order: SandboxOrder, line: SandboxOrderLine): string {
  if (line.state === 'cancelled') return STATUS.cancelled;
  const shipment = shipmentOfLine(order, line);
  if (!isHere(order) || !shipment) return STATUS[order.state];
  return shipment.left ? 'ready_to_ship' : 'packed';
}

/** Long numbers as text: read as doubles they would be others. */
function jsonOf(text: string): Record<string, unknown> | null {
  try {
    return JSON.parse(text.replace(/([:[,]\s*)(\d{15,})(?=\s*[,\]}])/g, '$1"$2"')) as Record<string, unknown>;
  } catch {
    return null;
  }
}

const result = (data: unknown) => succeeded({ result: { success: true, error_code: '0', error_msg: '', data } });

interface PackRequest {
  pack_order_list?: { order_id?: unknown; order_item_list?: unknown[] }[];
  delivery_type?: unknown;
  shipment_provider_code?: unknown;
}

function packOrder(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const asked = jsonOf(parameters.packReq ?? '') as PackRequest | null;
  const [wanted] = asked?.pack_order_list ?? [];
  if (!wanted || asked?.delivery_type !== 'dropship') return failed('5', 'E005: Invalid Request Format');
  const order = findOrder(world, shop, { order_id: String(wanted.order_id) });
  if (!order) return failed('16', `E016: "${wanted.order_id}" Invalid Order ID`);
  const packageId = `FP${world.store.number()}`;
  const lines = (wanted.order_item_list ?? []).map(String);
  const entries = lines.map((lineId) => {
    const line = order.lines.find((one) => one.lineId === lineId);
    const free = line && line.state !== 'cancelled' && isHere(order) && !shipmentOfLine(order, line);
    return free
      ? { order_item_id: integer(lineId), item_err_code: '0', msg: 'success', package_id: packageId }
      : { order_item_id: integer(lineId), item_err_code: '31', msg: 'The order item status can not be packed' };
  });
  if (entries.every(({ item_err_code: code }) => code === '0')) {
    const carrier = typeof asked.shipment_provider_code === 'string' ? asked.shipment_provider_code : null;
    order.shipments.push({ packageId, lineIds: lines, carrier, trackingNumber: null, left: false });
    order.updatedAt = Math.max(world.now(), order.updatedAt);
    world.store.changed();
  }
  return result({ pack_order_list: [{ order_id: integer(order.orderNumber), order_item_list: entries }] });
}

function readyToShip(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const asked = jsonOf(parameters.readyToShipReq ?? '') as {
    packages?: { package_id?: unknown; tracking_number?: unknown }[];
  } | null;
  if (!asked?.packages?.length) return failed('5', 'E005: Invalid Request Format');
  const entries = asked.packages.map(({ package_id: id, tracking_number: tracking }) => {
    const order = world.store.state.orders.find(
      (one) =>
        one.platform === 'lazada' &&
        one.shopId === shop.shopId &&
        one.shipments.some(({ packageId }) => packageId === id),
    );
    const shipment = order?.shipments.find(({ packageId }) => packageId === id);
    if (!order || !shipment || !isHere(order))
      return { package_id: id, item_err_code: '20', msg: 'The package can not be shipped' };
    shipment.left = true;
    shipment.trackingNumber = typeof tracking === 'string' ? tracking : null;
    const gone = order.shipments.flatMap(({ left, lineIds }) => (left ? lineIds : []));
    if (order.lines.every(({ lineId, state }) => state === 'cancelled' || gone.includes(lineId)))
      order.state = 'shipped';
    order.updatedAt = Math.max(world.now(), order.updatedAt);
    world.store.changed();
    return { package_id: id, item_err_code: '0', msg: 'success' };
  });
  return result({ packages: entries });
}

function getDocument(world: World, shop: SandboxShop, parameters: Readonly<Record<string, string>>): VendorAnswer {
  const asked = jsonOf(parameters.getDocumentReq ?? '') as {
    doc_type?: unknown;
    packages?: { package_id?: unknown }[];
  } | null;
  const ids = asked?.packages?.map(({ package_id: id }) => String(id)) ?? [];
  if (asked?.doc_type !== 'PDF' || ids.length === 0) return failed('5', 'E005: Invalid Request Format');
  const orders = world.store.state.orders.filter(
    ({ platform, shopId, state, shipments }) =>
      platform === 'lazada' &&
      shopId === shop.shopId &&
      state !== 'cancelled' &&
      shipments.some(({ packageId }) => ids.includes(packageId)),
  );
  if (orders.length === 0) return failed('20', 'E020: The package is not found');
  const file = labelPdf(['Lazada', ...orders.map(({ orderNumber }) => orderNumber)]).toString('base64');
  return result({ doc_type: 'PDF', file });
}

/** One message per order line; a buyer's wish to cancel comes as a reverse order. */
export function lazadaOrderPush(order: SandboxOrder, shop: SandboxShop, now: number): unknown[] {
  const updatedAt = Math.floor(order.updatedAt / 1000);
  return order.lines.map((line) => {
    const state = line.state ?? order.state;
    const reverse = state === 'cancel_requested';
    return {
      seller_id: order.shopId,
      message_type: reverse ? 10 : 0,
      data: {
        ...(reverse ? { reverse_order_id: integer(`7${line.lineId}`), reverse_status: 'CANCEL_INIT' } : {}),
        ...(reverse ? {} : { order_status: STATUS[state] }),
        trade_order_id: integer(order.orderNumber),
        trade_order_line_id: integer(line.lineId),
        status_update_time: updatedAt,
      },
      timestamp: Math.floor(now / 1000),
      site: `lazada_${LAZADA_COUNTRY[shop.currency] ?? 'my'}`,
    };
  });
}

/** Lower hex HMAC-SHA256 of app key + body. */
export function lazadaPushSignature(world: World, body: string): string {
  const { appKey, appSecret } = world.keys.lazada;
  return createHmac('sha256', appSecret).update(`${appKey}${body}`).digest('hex');
}
