/** Lazada's JSON as it comes, and the XML that a stock call carries. Unknown fields are ignored. */
import { XMLBuilder } from 'fast-xml-parser';
import { z } from 'zod';
import type { StockEntry } from '../../port';
import { wireAmount, wireId } from '../wire-values';

/** One SKU's failure inside a 501. The documentation names the SKU in more than one way. */
const detail = z.object({
  code: wireId.nullish(),
  message: z.string().nullish(),
  sku_id: wireId.nullish(),
  SkuId: wireId.nullish(),
  seller_sku: z.string().nullish(),
});
export type LazadaDetail = z.infer<typeof detail>;

/** Around every answer. `code` is "0" on success, sometimes as a number. */
export const lazadaEnvelope = z.object({
  code: wireId,
  type: z.string().nullish(),
  message: z.string().nullish(),
  request_id: z.string().nullish(),
  detail: z.array(detail).nullish().catch(null),
});
export type LazadaEnvelope = z.infer<typeof lazadaEnvelope>;

export const lazadaTokens = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1),
  /** Seconds, both. */
  expires_in: z.coerce.number().int().positive(),
  refresh_expires_in: z.coerce.number().int().nonnegative(),
  country: z.string().nullish(),
  account: z.string().nullish(),
  country_user_info: z.array(z.object({ country: z.string().nullish(), seller_id: wireId })).nullish(),
});
export type LazadaTokens = z.infer<typeof lazadaTokens>;

export const lazadaSeller = z.object({ data: z.object({ name: z.string() }) });

const lazadaSku = z.object({
  SkuId: wireId,
  SellerSku: z.string().nullish(),
  ShopSku: z.string().nullish(),
  Status: z.string().nullish(),
  quantity: z.coerce.number().int().nullish(),
  price: wireAmount.nullish(),
  special_price: wireAmount.nullish(),
  saleProp: z.record(z.string(), z.unknown()).nullish(),
  Images: z.array(z.string()).nullish(),
  multiWarehouseInventories: z.array(z.object({ sellableQuantity: z.number().int().nullish() })).nullish(),
  /** Stock that campaigns lock. */
  channelInventories: z.array(z.record(z.string(), z.unknown())).nullish(),
});
export type LazadaSku = z.infer<typeof lazadaSku>;

const lazadaProduct = z.object({
  item_id: wireId,
  status: z.string().nullish(),
  attributes: z.object({ name: z.string().nullish() }).nullish(),
  images: z.array(z.string()).nullish(),
  skus: z.array(lazadaSku).default([]),
});
export type LazadaProduct = z.infer<typeof lazadaProduct>;

export const lazadaProducts = z.object({
  data: z
    .object({ total_products: z.coerce.number().int().nullish(), products: z.array(lazadaProduct).nullish() })
    .nullish(),
});
export const lazadaProductItem = z.object({ data: lazadaProduct });

export const lazadaOrder = z.object({
  data: z.object({
    order_id: wireId,
    /** `2026-11-21 20:00:00 +0800`. */
    created_at: z.string(),
    updated_at: z.string(),
    statuses: z.array(z.string()).default([]),
    address_shipping: z
      .object({
        first_name: z.string().nullish(),
        last_name: z.string().nullish(),
        phone: z.string().nullish(),
        address1: z.string().nullish(),
        address2: z.string().nullish(),
        address3: z.string().nullish(),
        address4: z.string().nullish(),
        address5: z.string().nullish(),
        city: z.string().nullish(),
        post_code: z.string().nullish(),
        country: z.string().nullish(),
      })
      .nullish(),
  }),
});
export type LazadaOrder = z.infer<typeof lazadaOrder>['data'];

export const lazadaOrderList = z.object({
  data: z.object({
    countTotal: z.coerce.number().int().nullish(),
    orders: z
      .array(z.object({ order_id: wireId, updated_at: z.string(), statuses: z.array(z.string()).default([]) }))
      .default([]),
  }),
});

/** Why the seller may cancel, as the platform offers it for these lines. */
export const lazadaCancelOptions = z.object({
  data: z.object({
    reason_options: z.array(z.object({ reason_id: wireId, reason_name: z.string().nullish() })).nullish(),
    tip_content: z.string().nullish(),
  }),
});

/** One unit each: three pieces of a SKU are three order items. */
export const lazadaOrderItems = z.object({
  data: z.array(
    z.object({
      order_item_id: wireId,
      product_id: wireId,
      sku_id: wireId,
      sku: z.string().nullish(),
      name: z.string().nullish(),
      variation: z.string().nullish(),
      item_price: wireAmount,
      paid_price: wireAmount.nullish(),
      currency: z.string(),
      status: z.string(),
      updated_at: z.string().nullish(),
      shipping_type: z.string().nullish(),
      shipment_provider: z.string().nullish(),
      delivery_option_sof: z.coerce.number().nullish(),
      cancel_return_initiator: z.string().nullish(),
      package_id: z.string().nullish(),
      tracking_code: z.string().nullish(),
    }),
  ),
});
export type LazadaOrderItem = z.infer<typeof lazadaOrderItems>['data'][number];

const packEntry = z.object({
  item_err_code: wireId.nullish(),
  msg: z.string().nullish(),
  package_id: z.string().nullish(),
});
export const lazadaPacked = z.object({
  result: z.object({
    data: z
      .object({ pack_order_list: z.array(z.object({ order_item_list: z.array(packEntry).default([]) })).nullish() })
      .nullish(),
  }),
});
export const lazadaReady = z.object({
  result: z.object({ data: z.object({ packages: z.array(packEntry).nullish() }).nullish() }),
});

/** The file in base64. */
export const lazadaDocument = z.object({
  result: z.object({ data: z.object({ file: z.string().nullish() }).nullish() }),
});

export const lazadaPush = z.object({
  seller_id: wireId.nullish(),
  message_type: z.coerce.number().int(),
  /** Seconds or milliseconds: the documentation shows both. */
  timestamp: z.coerce.number().int().positive().nullish(),
  data: z.unknown(),
});
export const lazadaOrderPush = z.object({
  order_status: z.string().nullish(),
  reverse_status: z.string().nullish(),
  trade_order_id: wireId,
  trade_order_line_id: wireId.nullish(),
  status_update_time: z.coerce.number().int().positive().nullish(),
});

const xml = new XMLBuilder({ processEntities: true, suppressEmptyNode: false, format: false });

/** The `payload` parameter of a stock call: absolute sellable quantities, for a seller with one warehouse. */
export function stockPayload(entries: readonly Pick<StockEntry, 'itemId' | 'modelId' | 'quantity'>[]): string {
  const skus = entries.map((entry) => ({
    ItemId: entry.itemId,
    SkuId: entry.modelId,
    SellableQuantity: String(entry.quantity),
  }));
  return xml.build({ Request: { Product: { Skus: { Sku: skus } } } });
}
