/** From Shopee's words to ours. Pure. */
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
import type { ShopeeItem, ShopeeModels, ShopeeOrder, ShopeeShippingParameter, ShopeeStockAnswer } from './wire';

export interface ShopeeFailure {
  readonly kind: PlatformErrorKind;
  /** Milliseconds; only with `throttled`. */
  readonly retryAfterMs?: number;
}

const TRY_AGAIN = new Set([
  'error_server',
  'error_inner',
  'error_system_busy',
  'error_network',
  'error_service',
  'error_unknown',
  'system_error',
]);

/** Shopee prefixes some codes with their module: `product.error_auth` is `error_auth`. */
export function shopeeCode(error: string): string {
  return error.slice(error.lastIndexOf('.') + 1) || error;
}

/**
 * What a Shopee error means. The codes are overloaded (`error_auth` is an expired token, a revoked shop or a used
 * code; `error_param` is nearly anything), so the message decides where the code doesn't.
 */
export function classifyShopee(error: string, message: string, now: number): ShopeeFailure {
  const code = shopeeCode(error);
  if (code === 'error_rate_limit') return { kind: 'throttled', retryAfterMs: 1000 };
  if (code === 'error_limit') return { kind: 'throttled', retryAfterMs: untilMidnightInSingapore(now) };
  if (TRY_AGAIN.has(code)) return { kind: 'unavailable' };
  if (/^invalid_acc?ee?ss_token$|^invalid_access_token$/.test(code) || code === 'error_access_token_expired') {
    return { kind: 'token_expired' };
  }
  if (code === 'error_auth' || code === 'error_param' || code === 'error_permission' || code === 'error_sign') {
    // Our clock, or a request that aged on its way: the next try carries a new time.
    if (/timestamp/i.test(message)) return { kind: 'unavailable' };
    if (/refresh[_ ]?token/i.test(message)) return { kind: 'unauthorised' };
    if (/acce+ss[_ ]?token/i.test(message)) return { kind: 'token_expired' };
    if (code !== 'error_param' || /\bpartner|\bcode\b|not (been )?authori[sz]ed|no linked|sign\b/i.test(message)) {
      return { kind: 'unauthorised' };
    }
    return { kind: 'rejected' };
  }
  if (/refresh_token/.test(code)) return { kind: 'unauthorised' };
  return isWorthAnotherTry(message) ? { kind: 'unavailable' } : { kind: 'rejected' };
}

/** The day's quota starts again at 00:00 UTC+8. */
function untilMidnightInSingapore(now: number): number {
  const day = 24 * 3600_000;
  const shifted = now + 8 * 3600_000;
  return day - (shifted % day);
}

const LISTING_STATUS: Readonly<Record<string, PlatformListing['status']>> = {
  NORMAL: 'live',
  UNLIST: 'hidden',
  REVIEWING: 'hidden',
  BANNED: 'banned',
  SELLER_DELETE: 'deleted',
  SHOPEE_DELETE: 'deleted',
};

/** The listings of one item: one per model, or one with model '0' where it has no variants. */
export function toListings(item: ShopeeItem, models: ShopeeModels | null): PlatformListing[] {
  const itemPrice = item.price_info?.[0];
  const common = {
    itemId: item.item_id,
    title: item.item_name,
    imageUrl: item.image?.image_url_list?.[0] ?? null,
    status: LISTING_STATUS[item.item_status] ?? ('hidden' as const),
  };
  if (!item.has_model || !models) {
    const currency = itemPrice?.currency ?? '';
    return [
      {
        ...common,
        modelId: '0',
        sellerSku: item.item_sku ?? '',
        variation: '',
        price: decimalText(itemPrice?.current_price ?? 0, currency),
        currency,
        quantity: sellerStock(item.stock_info_v2),
      },
    ];
  }
  return models.model.map((model) => {
    const price = model.price_info?.[0] ?? itemPrice;
    const currency = price?.currency ?? itemPrice?.currency ?? '';
    return {
      ...common,
      modelId: model.model_id,
      sellerSku: model.model_sku ?? '',
      variation: model.tier_index
        .map((option, tier) => models.tier_variation[tier]?.option_list[option]?.option ?? '')
        .filter((name) => name !== '')
        .join(', '),
      price: decimalText(price?.current_price ?? 0, currency),
      currency,
      quantity: sellerStock(model.stock_info_v2),
    };
  });
}

/** What the seller set, over all locations: this is the number that a stock call writes. */
function sellerStock(info: ShopeeItem['stock_info_v2']): number {
  if (info?.seller_stock?.length) return info.seller_stock.reduce((sum, place) => sum + place.stock, 0);
  return info?.summary_info?.total_available_stock ?? 0;
}

/** The stock reserved by promotions, by model id ('0' for the item itself). */
export function reservedByModel(item: ShopeeItem | null, models: ShopeeModels | null): Map<string, number> {
  const reserved = new Map<string, number>();
  const ofItem = item?.stock_info_v2?.summary_info?.total_reserved_stock;
  if (ofItem !== undefined) reserved.set('0', ofItem);
  for (const model of models?.model ?? []) {
    const ofModel = model.stock_info_v2?.summary_info?.total_reserved_stock;
    if (ofModel !== undefined) reserved.set(model.model_id, ofModel);
  }
  return reserved;
}

/** A stock result whose floor the platform did not say: it has to be asked for. */
export interface UnknownFloor {
  readonly key: string;
  readonly outcome: 'unknownFloor';
  readonly modelId: string;
  readonly code: string;
  readonly message: string;
}

/** Errors of the whole call that are about the item, so that they are each entry's result and not the call's failure. */
export function isItemError(code: string): boolean {
  return /^error_(item|product|model|.*_item)(_|$)|^error_not_found$/.test(code);
}

/**
 * One result per entry. `error` and `failure_list` may both be there; the list says more. Without a `failure_list`
 * an empty `error` means that all was written (platforms.md).
 */
export function toStockResults(
  answer: ShopeeStockAnswer,
  entries: readonly StockEntry[],
): (StockResult | UnknownFloor)[] {
  const failures = new Map(
    (answer.response?.failure_list ?? []).map((failure) => [failure.model_id, failure.failed_reason ?? '']),
  );
  const successes = new Set((answer.response?.success_list ?? []).map((success) => success.model_id));
  const code = shopeeCode(answer.error ?? '') || 'failure_list';
  const allWritten = failures.size === 0 && !answer.error;
  return entries.map((entry) => {
    const { key, modelId, quantity } = entry;
    const reason = failures.get(modelId);
    if (reason !== undefined) return toFailedEntry(key, modelId, code, reason);
    if (allWritten || successes.has(modelId)) return { key, outcome: 'accepted', quantity };
    return { key, outcome: 'retry', code: 'not_answered', message: answer.message ?? 'The platform gave no result' };
  });
}

function toFailedEntry(key: string, modelId: string, code: string, reason: string): StockResult | UnknownFloor {
  if (/reserv/i.test(reason)) {
    const floor = /(\d+)\s*\(reserved? stock/i.exec(reason) ?? /(?:than|least|equal to)\s+(\d+)/i.exec(reason);
    if (floor) return { key, outcome: 'floor', floor: Number(floor[1]), code, message: reason };
    return { key, outcome: 'unknownFloor', modelId, code, message: reason };
  }
  return { key, outcome: isWorthAnotherTry(reason) ? 'retry' : 'refused', code, message: reason };
}

const ORDER_STATE: Readonly<Record<string, PlatformOrderState>> = {
  UNPAID: 'unpaid',
  PENDING: 'unpaid',
  INVOICE_PENDING: 'ready_to_ship',
  READY_TO_SHIP: 'ready_to_ship',
  PROCESSED: 'ready_to_ship',
  RETRY_SHIP: 'ready_to_ship',
  SHIPPED: 'shipped',
  TO_CONFIRM_RECEIVE: 'shipped',
  TO_RETURN: 'shipped',
  COMPLETED: 'completed',
  IN_CANCEL: 'cancel_requested',
  CANCELLED: 'cancelled',
};

/** @returns null where the status is one that we don't know: better asked again later than guessed. */
export function toOrder(order: ShopeeOrder): PlatformOrder | null {
  const state = ORDER_STATE[order.order_status];
  if (!state) return null;
  return {
    platformOrder: order.order_sn,
    state,
    platformState: order.order_status,
    awaitsPickup: order.order_status === 'PROCESSED',
    askedBack: [],
    updatedAt: order.update_time * 1000,
    createdAt: order.create_time * 1000,
    currency: order.currency,
    shipping: toShipping(order.checkout_shipping_carrier || order.shipping_carrier || ''),
    lines: toLines(order),
    recipient: toRecipient(order),
  };
}

// Shopee names the carrier, not who arranges it; everything but these names is a carrier that Shopee arranges.
function toShipping(carrier: string): PlatformOrder['shipping'] {
  if (/own fleet|self[- ]?delivery/i.test(carrier)) return 'self_delivery';
  if (/self[- ]?arranged|^others?$|non[- ]?integrated/i.test(carrier)) return 'self_arranged';
  if (/3pl|third[- ]party/i.test(carrier)) return 'three_pl';
  return 'platform_logistics';
}

function toLines(order: ShopeeOrder): PlatformOrderLine[] {
  const seen = new Map<string, number>();
  return order.item_list.map((line) => {
    // A bundle repeats its order_item_id over its models, and one model may be bought in and outside of a bundle.
    const base = `${line.order_item_id ?? line.item_id}:${line.model_id}`;
    const repeat = (seen.get(base) ?? 0) + 1;
    seen.set(base, repeat);
    return {
      lineId: repeat === 1 ? base : `${base}:${repeat}`,
      itemId: line.item_id,
      modelId: line.model_id,
      sellerSku: line.model_sku || line.item_sku || '',
      title: line.model_name ? `${line.item_name} (${line.model_name})` : line.item_name,
      quantity: line.model_quantity_purchased,
      unitPrice: decimalText(line.model_discounted_price ?? line.model_original_price, order.currency),
    };
  });
}

function toRecipient(order: ShopeeOrder): Recipient | null {
  const { name, phone, full_address: address } = order.recipient_address ?? {};
  if ([name, phone, address].every((text) => isMasked(text ?? ''))) return null;
  return { name: name ?? '', phone: phone ?? '', address: address ?? '' };
}

/**
 * The part of a ship_order body that says how it travels, written by hand as ids may be longer than a double holds; null
 * where no way is offered. A parcel that the platform fetches is fetched at the first address and time it names.
 */
export function shippingOf(asked: ShopeeShippingParameter, trackingNumber: string): string | null {
  const tracking = JSON.stringify(trackingNumber);
  const { non_integrated: own, dropoff, pickup } = asked.info_needed;
  // The vendor's pages call it tracking_number here and tracking_no there: it is named as it was asked for.
  if (own) return `"non_integrated":{"${own.find((name) => /tracking/.test(name)) ?? 'tracking_number'}":${tracking}}`;
  if (dropoff) {
    const branch = asked.dropoff?.branch_list?.[0]?.branch_id;
    const fields = dropoff.flatMap((name) => {
      if (/tracking/.test(name)) return [`"${name}":${tracking}`];
      return name === 'branch_id' && branch !== undefined ? [`"branch_id":${branch}`] : [];
    });
    return `"dropoff":{${fields.join(',')}}`;
  }
  if (pickup) {
    const place = asked.pickup?.address_list?.[0];
    const slot = place?.time_slot_list?.[0]?.pickup_time_id;
    const fields = [
      ...(place ? [`"address_id":${place.address_id}`] : []),
      ...(slot === undefined ? [] : [`"pickup_time_id":${JSON.stringify(slot)}`]),
    ];
    return `"pickup":{${fields.join(',')}}`;
  }
  return null;
}
