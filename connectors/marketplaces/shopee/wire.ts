/** Shopee's JSON as it comes. Unknown fields are ignored, because the platform adds some every month. */
import { z } from 'zod';
import { wireAmount, wireId } from '../wire-values';

/** Around every answer. `error` is empty on success; a stock call may carry both an error and a response. */
export const shopeeEnvelope = z.object({
  error: z.string().nullish(),
  message: z.string().nullish(),
  request_id: z.string().nullish(),
});

export const shopeeTokens = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1),
  /** Seconds. */
  expire_in: z.number().int().positive(),
});

export const shopeeShopInfo = z.object({ shop_name: z.string() });

export const shopeeItemList = z.object({
  response: z.object({
    item: z.array(z.object({ item_id: wireId, item_status: z.string() })).default([]),
    has_next_page: z.boolean(),
    next_offset: z.number().int().optional(),
  }),
});

const priceInfo = z
  .array(
    z.object({ currency: z.string().optional(), current_price: wireAmount, original_price: wireAmount.optional() }),
  )
  .optional();
const stockInfo = z
  .object({
    summary_info: z
      .object({ total_reserved_stock: z.number().int().optional(), total_available_stock: z.number().int().optional() })
      .optional(),
    seller_stock: z.array(z.object({ stock: z.number().int() })).optional(),
  })
  .optional();

const shopeeItem = z.object({
  item_id: wireId,
  item_name: z.string(),
  item_sku: z.string().nullish(),
  item_status: z.string(),
  has_model: z.boolean().default(false),
  price_info: priceInfo,
  stock_info_v2: stockInfo,
  image: z.object({ image_url_list: z.array(z.string()).optional() }).nullish(),
});
export type ShopeeItem = z.infer<typeof shopeeItem>;
export const shopeeItemBaseInfo = z.object({ response: z.object({ item_list: z.array(shopeeItem).default([]) }) });

export const shopeeModelList = z.object({
  response: z.object({
    tier_variation: z
      .array(z.object({ name: z.string().optional(), option_list: z.array(z.object({ option: z.string() })) }))
      .default([]),
    model: z
      .array(
        z.object({
          model_id: wireId,
          model_sku: z.string().nullish(),
          tier_index: z.array(z.number().int()).default([]),
          price_info: priceInfo,
          stock_info_v2: stockInfo,
        }),
      )
      .default([]),
  }),
});
export type ShopeeModels = z.infer<typeof shopeeModelList>['response'];

export const shopeeStockAnswer = z.object({
  error: z.string().nullish(),
  message: z.string().nullish(),
  response: z
    .object({
      success_list: z.array(z.object({ model_id: wireId.default('0') })).nullish(),
      failure_list: z.array(z.object({ model_id: wireId.default('0'), failed_reason: z.string().nullish() })).nullish(),
    })
    .nullish(),
});
export type ShopeeStockAnswer = z.infer<typeof shopeeStockAnswer>;

const shopeeOrder = z.object({
  order_sn: z.string().min(1),
  order_status: z.string(),
  currency: z.string(),
  create_time: z.number().int(),
  update_time: z.number().int(),
  shipping_carrier: z.string().nullish(),
  checkout_shipping_carrier: z.string().nullish(),
  item_list: z.array(
    z.object({
      item_id: wireId,
      item_name: z.string(),
      item_sku: z.string().nullish(),
      model_id: wireId,
      model_sku: z.string().nullish(),
      model_name: z.string().nullish(),
      order_item_id: wireId.nullish(),
      model_quantity_purchased: z.number().int().positive(),
      model_discounted_price: wireAmount.nullish(),
      model_original_price: wireAmount,
    }),
  ),
  recipient_address: z
    .object({ name: z.string().nullish(), phone: z.string().nullish(), full_address: z.string().nullish() })
    .nullish(),
});
export type ShopeeOrder = z.infer<typeof shopeeOrder>;
export const shopeeOrderDetail = z.object({ response: z.object({ order_list: z.array(shopeeOrder).default([]) }) });

export const shopeeOrderList = z.object({
  response: z.object({
    more: z.boolean(),
    next_cursor: z.string().nullish(),
    order_list: z.array(z.object({ order_sn: z.string().min(1) })).default([]),
  }),
});
/** An order as far as it is told without asking for more fields. */
export const shopeeOrderBrief = z.object({
  response: z.object({
    order_list: z
      .array(z.object({ order_sn: z.string().min(1), order_status: z.string(), update_time: z.number().int() }))
      .default([]),
  }),
});

/** The messages are read one by one: one that we can't read must not hold up those behind it. */
export const shopeeLostPushes = z.object({
  response: z.object({
    push_message_list: z.array(z.unknown()).nullish(),
    has_next_page: z.boolean().nullish(),
    last_message_id: wireId.nullish(),
  }),
});

/** What a shipment needs to be told, by the way it travels; exactly one way is asked for as a rule. */
export const shopeeShippingParameter = z.object({
  response: z.object({
    info_needed: z.object({
      non_integrated: z.array(z.string()).nullish(),
      dropoff: z.array(z.string()).nullish(),
      pickup: z.array(z.string()).nullish(),
    }),
    dropoff: z.object({ branch_list: z.array(z.object({ branch_id: wireId })).nullish() }).nullish(),
    pickup: z
      .object({
        address_list: z
          .array(
            z.object({
              address_id: wireId,
              time_slot_list: z.array(z.object({ pickup_time_id: z.string() })).nullish(),
            }),
          )
          .nullish(),
      })
      .nullish(),
  }),
});
export const shopeeTrackingNumber = z.object({
  response: z.object({ tracking_number: z.string().nullish() }).nullish(),
});
export type ShopeeShippingParameter = z.infer<typeof shopeeShippingParameter>['response'];

export const shopeePush = z.object({
  code: z.number().int(),
  shop_id: wireId.nullish(),
  /** Seconds; when the platform made the message. */
  timestamp: z.number().int().positive().nullish(),
  data: z.unknown(),
});
export const shopeeOrderPush = z.object({
  ordersn: z.string().min(1),
  status: z.string(),
  update_time: z.number().int().positive(),
});

export const shopeeLabelState = z.object({
  response: z
    .object({
      result_list: z
        .array(
          z.object({
            order_sn: z.string().nullish(),
            status: z.string().nullish(),
            fail_error: z.string().nullish(),
            fail_message: z.string().nullish(),
          }),
        )
        .nullish(),
    })
    .nullish(),
});
/** Where a document was asked for, JSON without an error is no answer. */
export const anyDocument = z.custom<Buffer>(() => false);
