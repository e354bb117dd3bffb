/** From Lazada's words to ours. Pure. */
import type { PlatformOrderState } from '../../../domain/orders';
import type {
  PlatformErrorKind,
  PlatformListing,
  PlatformOrder,
  PlatformOrderLine,
  Recipient,
  StockEntry,
  StockResult,
} from '../../port';
import { isWorthAnotherTry } from '../stock-call';
import { decimalText, isMasked } from '../wire-values';
import type { LazadaDetail, LazadaEnvelope, LazadaOrder, LazadaOrderItem, LazadaProduct, LazadaSku } from './wire';

export interface LazadaFailure {
  readonly kind: PlatformErrorKind;
  /** Milliseconds; only with `throttled`. */
  readonly retryAfterMs?: number;
}

const LIMIT_CODES = new Set(['901', 'ApiCallLimit', 'SellerCallLimit', 'AppCallLimit']);
const ACCESS_CODES =
  /^(IllegalRefreshToken|InvalidRefreshToken|InvalidCode|InvalidAppKey|IncompleteSignature|InvalidSignature|IllegalSign|InsufficientPermission|AppWhiteIpLimit|IllegalIp)$/i;
const TRY_AGAIN =
  /^(6|30|500|1000|E0*6|E0*30|E500|E1000|ServiceTimeout|ServiceUnavailable|ServiceException|SystemError|InternalError|RemoteServiceError|GatewayTimeout|.*(TIMEOUT|EXCEPTION))$/i;

/** Codes come as "501", "E501" or "E0501", and some only at the head of the message ("E501: Update product failed"). */
export function lazadaCode(envelope: Pick<LazadaEnvelope, 'code' | 'message'>): string {
  const inMessage = /^E0*(\d+)\b/.exec(envelope.message ?? '')?.[1];
  const code = /^E0*(\d+)$/.exec(envelope.code)?.[1] ?? envelope.code;
  return /^\d+$/.test(code) && inMessage ? inMessage : code;
}

/** What a Lazada error means, by its code and, where that is general, its type and message. */
export function classifyLazada(envelope: LazadaEnvelope): LazadaFailure {
  const code = lazadaCode(envelope);
  const message = envelope.message ?? '';
  if (
    LIMIT_CODES.has(code) ||
    LIMIT_CODES.has(envelope.code) ||
    /ban will last|too frequent|call limit/i.test(message)
  ) {
    const seconds = /ban will last (\d+)/i.exec(message)?.[1];
    return { kind: 'throttled', retryAfterMs: Math.max(1, Number(seconds ?? 1)) * 1000 };
  }
  if (/refresh[_ ]?token/i.test(code + message)) return { kind: 'unauthorised' };
  if (/^(IllegalAccessToken|InvalidAccessToken|AccessTokenExpired)$/i.test(code)) return { kind: 'token_expired' };
  // Our clock, or a request that aged on its way: the next try carries a new time.
  if (/timestamp/i.test(code) || /timestamp .*(invalid|expired)/i.test(message)) return { kind: 'unavailable' };
  if (ACCESS_CODES.test(code)) return { kind: 'unauthorised' };
  if (TRY_AGAIN.test(code) || envelope.type === 'SYSTEM' || isWorthAnotherTry(message)) return { kind: 'unavailable' };
  return { kind: 'rejected' };
}

/** Countries where Lazada sells; the shop's country is nowhere but in its SKUs' names (`232611001_MY-356805001`). */
const CURRENCY_BY_COUNTRY: Readonly<Record<string, string>> = {
  MY: 'MYR',
  SG: 'SGD',
  PH: 'PHP',
  TH: 'THB',
  VN: 'VND',
  ID: 'IDR',
};

function currencyOf(sku: LazadaSku): string {
  const country = /_([A-Z]{2})[A-Z]*-/.exec(sku.ShopSku ?? '')?.[1];
  return CURRENCY_BY_COUNTRY[country ?? ''] ?? '';
}

/** The listings of one product: one per SKU. */
export function toListings(product: LazadaProduct): PlatformListing[] {
  return product.skus.map((sku) => {
    const currency = currencyOf(sku);
    const special = sku.special_price;
    const price = special !== null && special !== undefined && Number(special) > 0 ? special : (sku.price ?? 0);
    return {
      itemId: product.item_id,
      modelId: sku.SkuId,
      sellerSku: sku.SellerSku ?? '',
      title: product.attributes?.name ?? '',
      imageUrl: sku.Images?.[0] ?? product.images?.[0] ?? null,
      variation: Object.values(sku.saleProp ?? {})
        .filter((value): value is string => typeof value === 'string' && value !== '')
        .join(', '),
      price: decimalText(price, currency),
      currency,
      quantity: sellableQuantity(sku),
      status: listingStatus(product.status ?? '', sku.Status ?? ''),
    };
  });
}

function sellableQuantity(sku: LazadaSku): number {
  const places = sku.multiWarehouseInventories?.filter((place) => typeof place.sellableQuantity === 'number') ?? [];
  if (places.length > 0) return places.reduce((sum, place) => sum + (place.sellableQuantity ?? 0), 0);
  return sku.quantity ?? 0;
}

function listingStatus(product: string, sku: string): PlatformListing['status'] {
  const words = `${product} ${sku}`.toLowerCase();
  if (/deleted/.test(words)) return 'deleted';
  if (/suspended|rejected|banned|locked/.test(words)) return 'banned';
  return /inactive|pending|draft/.test(words) ? 'hidden' : 'live';
}

/** The quantity that campaigns lock, by SKU id; SKUs whose lock is not told are left out. */
export function lockedBySku(product: LazadaProduct): Map<string, number> {
  const locked = new Map<string, number>();
  for (const sku of product.skus) {
    const amounts = (sku.channelInventories ?? []).map((lock) =>
      Number(lock.channelQuantity ?? lock.lockedQuantity ?? lock.sellableQuantity ?? lock.quantity ?? Number.NaN),
    );
    if (amounts.length > 0 && amounts.every(Number.isInteger)) {
      locked.set(
        sku.SkuId,
        amounts.reduce((sum, amount) => sum + amount, 0),
      );
    }
  }
  return locked;
}

/** A stock result whose floor the platform did not say: it has to be asked for. */
export interface UnknownFloor {
  readonly key: string;
  readonly outcome: 'unknownFloor';
  readonly itemId: string;
  readonly modelId: string;
  readonly code: string;
  readonly message: string;
}

/** Codes that say "read the details". */
export function isPartialFailure(envelope: LazadaEnvelope): boolean {
  const code = lazadaCode(envelope);
  return code === '501' || code === '4170' || (envelope.detail?.length ?? 0) > 0;
}

/**
 * One result per entry. A SKU that the details name failed as they say; the others were written. A detail that names no
 * SKU of ours leaves it open which one failed: then every unnamed entry is tried again (quantities are absolute).
 */
export function toStockResults(
  envelope: LazadaEnvelope,
  entries: readonly StockEntry[],
): (StockResult | UnknownFloor)[] {
  const topCode = lazadaCode(envelope);
  const details = envelope.detail ?? [];
  if (topCode === '0' && details.length === 0) {
    return entries.map(({ key, quantity }) => ({ key, outcome: 'accepted', quantity }));
  }
  const only = entries.length === 1 ? entries[0] : undefined;
  const bySku = new Map<string, LazadaDetail>();
  let unattributed = details.length === 0;
  for (const detail of details) {
    const skuId = skuOf(detail, entries) ?? only?.modelId;
    if (skuId === undefined) unattributed = true;
    else bySku.set(skuId, detail);
  }
  return entries.map((entry) => {
    const detail = bySku.get(entry.modelId) ?? (only && unattributed ? { message: envelope.message } : undefined);
    if (detail) return toFailedEntry(entry, detail, topCode, envelope.message ?? '');
    const { key, quantity } = entry;
    if (!unattributed) return { key, outcome: 'accepted', quantity };
    return { key, outcome: 'retry', code: topCode, message: envelope.message ?? 'The platform named no SKU' };
  });
}

function skuOf(detail: LazadaDetail, entries: readonly StockEntry[]): string | undefined {
  const named = detail.sku_id ?? detail.SkuId;
  return entries.find((entry) => entry.modelId === named)?.modelId;
}

function toFailedEntry(
  entry: StockEntry,
  detail: LazadaDetail,
  topCode: string,
  topMessage: string,
): StockResult | UnknownFloor {
  const { key, itemId, modelId } = entry;
  const message = detail.message || topMessage;
  const code = lazadaCode({ code: detail.code ?? topCode, message });
  if (code === '4170' || /campaign|lock(ed)?[ _]?(stock|inventory|quantity)|stock (is )?locked/i.test(message)) {
    const floor = /(?:than|least|equal to|locked (?:stock|inventory|quantity)\D{0,12})\s*\(?(\d+)/i.exec(message);
    if (floor) return { key, outcome: 'floor', floor: Number(floor[1]), code, message };
    return { key, outcome: 'unknownFloor', itemId, modelId, code, message };
  }
  const again = TRY_AGAIN.test(code) || LIMIT_CODES.has(code) || isWorthAnotherTry(message);
  return { key, outcome: again ? 'retry' : 'refused', code, message };
}

const ITEM_STATE: Readonly<Record<string, PlatformOrderState>> = {
  unpaid: 'unpaid',
  pending: 'ready_to_ship',
  topack: 'ready_to_ship',
  packed: 'ready_to_ship',
  repacked: 'ready_to_ship',
  ready_to_ship_pending: 'ready_to_ship',
  ready_to_ship: 'ready_to_ship',
  toship: 'ready_to_ship',
  shipped: 'shipped',
  shipping: 'shipped',
  failed: 'shipped',
  failed_delivery: 'shipped',
  lost: 'shipped',
  lost_by_3pl: 'shipped',
  damaged: 'shipped',
  damaged_by_3pl: 'shipped',
  shipped_back: 'shipped',
  shipped_back_failed: 'shipped',
  package_scrapped: 'shipped',
  delivered: 'completed',
  confirmed: 'completed',
  returned: 'completed',
  shipped_back_success: 'completed',
  canceled: 'cancelled',
  cancelled: 'cancelled',
};
/** A line in one of these is still to be packed, or its parcel is not given to a carrier yet. */
const NOT_ARRANGED = new Set(['pending', 'topack', 'packed', 'repacked', 'ready_to_ship_pending']);
const LEAST_ADVANCED: readonly PlatformOrderState[] = ['unpaid', 'ready_to_ship', 'shipped', 'completed'];

function stateOfItem(item: LazadaOrderItem): PlatformOrderState | null {
  const state = ITEM_STATE[item.status.toLowerCase()];
  if (!state) return null;
  const asked = /^cancel/i.test(item.cancel_return_initiator ?? '');
  return asked && (state === 'unpaid' || state === 'ready_to_ship') ? 'cancel_requested' : state;
}

/** @returns null where a status is one that we don't know, or the order has no items yet: better asked again later. */
export function toOrder(order: LazadaOrder, items: readonly LazadaOrderItem[]): PlatformOrder | null {
  const states = items.map(stateOfItem);
  const currency = items[0]?.currency;
  if (currency === undefined || states.includes(null)) return null;
  const updates = [order.updated_at, ...items.map((item) => item.updated_at ?? '')].map(parseLazadaTime);
  const createdAt = parseLazadaTime(order.created_at);
  const updatedAt = Math.max(...updates.filter((time) => time !== null));
  if (createdAt === null || !Number.isFinite(updatedAt)) return null;
  const state = orderState(states as PlatformOrderState[]);
  const living = items.filter((_, index) => states[index] !== 'cancelled');
  return {
    platformOrder: order.order_id,
    state,
    platformState: [...new Set(items.map((item) => item.status))].join(', '),
    askedBack: items.flatMap((item, index) => (states[index] === 'cancel_requested' ? [item.order_item_id] : [])),
    awaitsPickup: state === 'ready_to_ship' && living.every(({ status }) => !NOT_ARRANGED.has(status.toLowerCase())),
    updatedAt,
    createdAt,
    currency,
    shipping: toShipping(items[0] as LazadaOrderItem),
    // A cancelled unit of a living order is not to be shipped; of a cancelled order all are shown.
    lines: (living.length > 0 ? living : items).map(toLine),
    recipient: toRecipient(order),
  };
}

function orderState(states: readonly PlatformOrderState[]): PlatformOrderState {
  if (states.every((state) => state === 'cancelled')) return 'cancelled';
  const living = states.filter((state) => state !== 'cancelled');
  // A wish for some of the lines is none for the order: no line is cancelled that nobody asked for.
  if (living.every((state) => state === 'cancel_requested')) return 'cancel_requested';
  const here = living.map((state): PlatformOrderState => (state === 'cancel_requested' ? 'ready_to_ship' : state));
  return LEAST_ADVANCED.find((state) => here.includes(state)) ?? 'completed';
}

// Assumed from field names: Lazada documents no list of these values.
function toShipping(item: LazadaOrderItem): PlatformOrder['shipping'] {
  const provider = `${item.shipment_provider ?? ''} ${item.shipping_type ?? ''}`;
  if (item.delivery_option_sof === 1 || /own fleet|self[- ]?delivery/i.test(provider)) return 'self_delivery';
  if (/self[- ]?arranged/i.test(provider)) return 'self_arranged';
  if (/3pl|third[- ]party/i.test(provider)) return 'three_pl';
  return 'platform_logistics';
}

function toLine(item: LazadaOrderItem): PlatformOrderLine {
  return {
    lineId: item.order_item_id,
    itemId: item.product_id,
    modelId: item.sku_id,
    sellerSku: item.sku ?? '',
    title: item.variation ? `${item.name ?? ''} (${item.variation})` : (item.name ?? ''),
    quantity: 1,
    unitPrice: decimalText(item.item_price, item.currency),
  };
}

function toRecipient(order: LazadaOrder): Recipient | null {
  const to = order.address_shipping;
  if (!to) return null;
  const joined = (parts: readonly (string | null | undefined)[], by: string) =>
    parts.filter((part) => part !== null && part !== undefined && part.trim() !== '').join(by);
  const recipient = {
    name: joined([to.first_name, to.last_name], ' '),
    phone: to.phone ?? '',
    address: joined(
      [to.address1, to.address2, to.address3, to.address4, to.address5, to.city, to.post_code, to.country],
      ', ',
    ),
  };
  const nothing = [recipient.name, recipient.phone, recipient.address.replace(/,/g, '')].every(isMasked);
  return nothing ? null : recipient;
}

const LAZADA_TIME = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2}) ?([+-]\d{2}):?(\d{2})$/;

/** `2026-11-21 20:00:00 +0800` → epoch ms, or null. */
export function parseLazadaTime(text: string): number | null {
  const match = LAZADA_TIME.exec(text);
  if (!match) return null;
  const time = Date.parse(`${match[1]}T${match[2]}${match[3]}:${match[4]}`);
  return Number.isNaN(time) ? null : time;
}

/** What is still to be done to ship an order item: `done` where it left, `none` where it can't leave. */
export function shipStepOf(item: LazadaOrderItem): 'pack' | 'send' | 'done' | 'none' {
  const status = item.status.toLowerCase();
  if (status === 'pending' || status === 'topack') return 'pack';
  if (status === 'packed' || status === 'repacked') return 'send';
  const state = ITEM_STATE[status];
  return state === undefined || state === 'unpaid' || state === 'cancelled' ? 'none' : 'done';
}
