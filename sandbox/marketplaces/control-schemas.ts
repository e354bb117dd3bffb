/** What the control route takes and gives. */
import { z } from 'zod';
import { FAULT_KINDS } from './faults';
import { SANDBOX_ORDER_STATES, SANDBOX_SHIPPINGS } from './state';

const id = z.string().regex(/^\d{1,19}$/);

export const shopInput = z.strictObject({
  shopId: id.optional(),
  name: z.string().min(1).max(200),
  currency: z.string().regex(/^[A-Z]{3}$/),
  items: z
    .array(
      z.strictObject({
        itemId: id.optional(),
        title: z.string().max(500),
        image: z.string().max(2000).nullish(),
        status: z.enum(['live', 'hidden', 'deleted', 'banned']).optional(),
        models: z
          .array(
            z.strictObject({
              modelId: id.optional(),
              sku: z.string().max(200),
              price: z.string().regex(/^\d{1,12}(\.\d{1,4})?$/),
              stock: z.number().int().min(0),
              variation: z.array(z.string()).optional(),
              reserved: z.number().int().min(0).optional(),
            }),
          )
          .min(1),
      }),
    )
    .default([]),
});
export type ShopInput = z.input<typeof shopInput>;

const recipient = z.strictObject({ name: z.string(), phone: z.string(), address: z.string() });

export const orderInput = z.strictObject({
  shopId: id,
  lines: z.array(z.strictObject({ itemId: id, modelId: id, quantity: z.number().int().min(1).max(1000) })).min(1),
  recipient: recipient.optional(),
  shipping: z.enum(SANDBOX_SHIPPINGS).optional(),
  state: z.enum(SANDBOX_ORDER_STATES).optional(),
  /** False: the order is there, and no push tells of it. */
  send: z.boolean().optional(),
});
export type OrderInput = z.input<typeof orderInput>;

export const orderChange = z.strictObject({
  state: z.enum(SANDBOX_ORDER_STATES),
  /** Lazada: lines that are in another state than their order. */
  lines: z.record(z.string(), z.enum(['cancel_requested', 'cancelled'])).optional(),
  /** It left with everything, by the platform's own pages, under this number. */
  trackingNumber: z.string().optional(),
  send: z.boolean().optional(),
});
export type OrderChange = z.input<typeof orderChange>;

export const pushRepeat = z.strictObject({
  times: z.number().int().min(1).max(1000).default(1),
  parallel: z.boolean().default(false),
});
export type PushRepeat = z.input<typeof pushRepeat>;

export const faultInput = z.strictObject({
  kind: z.enum(FAULT_KINDS),
  shopId: id.optional(),
  pathContains: z.string().optional(),
  times: z.number().int().min(1).optional(),
  rate: z.number().min(0).max(1).optional(),
  seed: z.number().int().min(0).optional(),
  delayMs: z.number().int().min(0).max(600_000).optional(),
  retryAfterS: z.number().int().min(0).max(3600).optional(),
  items: z.array(id).optional(),
  floor: z.number().int().min(0).optional(),
  silent: z.boolean().optional(),
  busy: z.boolean().optional(),
  copies: z.number().int().min(1).max(100).optional(),
});
export type FaultInput = z.input<typeof faultInput>;

export const settingsInput = z.strictObject({ callbackBaseUrl: z.url().nullable() });
export type SettingsInput = z.input<typeof settingsInput>;
