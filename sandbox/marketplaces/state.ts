/**
 * What the sandbox marketplaces know: shops, items, orders, tokens and pushes, kept in one JSON file so that a restart
 * goes on where it was. Glossary: an item is a listing; a model is its sellable variation (Lazada calls it SKU).
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export const SANDBOX_PLATFORMS = ['shopee', 'lazada'] as const;
export type SandboxPlatform = (typeof SANDBOX_PLATFORMS)[number];

export const SANDBOX_ORDER_STATES = [
  'unpaid',
  'ready_to_ship',
  // Its shipment is arranged; the carrier has not fetched it yet.
  'to_pickup',
  'shipped',
  'completed',
  'cancel_requested',
  'cancelled',
] as const;
export type SandboxOrderState = (typeof SANDBOX_ORDER_STATES)[number];

export const SANDBOX_SHIPPINGS = ['platform_logistics', 'three_pl', 'self_delivery', 'self_arranged'] as const;
export type SandboxShipping = (typeof SANDBOX_SHIPPINGS)[number];

export interface SandboxModel {
  modelId: string;
  sku: string;
  /** Decimal text. */
  price: string;
  /** What the seller wrote last. Orders don't lower it. */
  stock: number;
  /** Names of the options, e.g. ["Red", "XL"]; empty where the item has no variants. */
  variation: string[];
  /** Locked by a promotion or campaign: the stock may not be written below it. */
  reserved: number;
}

export interface SandboxItem {
  itemId: string;
  title: string;
  image: string | null;
  status: 'live' | 'hidden' | 'deleted' | 'banned';
  /** Missing: not in pre-order. */
  preOrder?: { daysToShip: number };
  updatedAt: number;
  models: SandboxModel[];
}

export interface SandboxShop {
  platform: SandboxPlatform;
  shopId: string;
  name: string;
  currency: string;
  items: SandboxItem[];
  accessTokens: { value: string; expiresAt: number }[];
  refreshTokens: { value: string; expiresAt: number }[];
  codes: { value: string; expiresAt: number }[];
}

export interface SandboxRecipient {
  name: string;
  phone: string;
  address: string;
}

export interface SandboxOrderLine {
  lineId: string;
  itemId: string;
  modelId: string;
  sku: string;
  title: string;
  variation: string[];
  price: string;
  quantity: number;
  /** Lazada: where it is another than its order's. */
  state?: 'cancel_requested' | 'cancelled';
}

/** What the seller said of a parcel. */
export interface SandboxShipment {
  packageId: string;
  lineIds: string[];
  carrier: string | null;
  trackingNumber: string | null;
  /** False: packed only. */
  left: boolean;
}

export interface SandboxOrder {
  platform: SandboxPlatform;
  orderNumber: string;
  shopId: string;
  state: SandboxOrderState;
  lines: SandboxOrderLine[];
  recipient: SandboxRecipient;
  shipping: SandboxShipping;
  shipments: SandboxShipment[];
  createdAt: number;
  updatedAt: number;
}

export interface SandboxPush {
  id: string;
  platform: SandboxPlatform;
  shopId: string;
  orderNumber: string;
  /** Exactly what is sent, each time. */
  body: string;
  state: 'pending' | 'delivered' | 'given_up' | 'dropped' | 'unsent';
  attempts: { at: number; status: number | null; durationMs: number }[];
  /** Shopee: given up or dropped; kept for whoever asks for lost pushes. Epoch ms. */
  lostAt?: number;
  /** Grows with each that was lost. */
  messageId?: number;
  /** The hub said that it has it. */
  confirmed?: boolean;
}

export interface SandboxState {
  nextNumber: number;
  callbackBaseUrl: string | null;
  shops: SandboxShop[];
  orders: SandboxOrder[];
  pushes: SandboxPush[];
}

const PUSHES_KEPT = 5000;
const ORDERS_KEPT = 5000;

export function emptyState(): SandboxState {
  return { nextNumber: 1, callbackBaseUrl: null, shops: [], orders: [], pushes: [] };
}

/** The state in memory and its file. Changes are written at most every `saveMs`, by rename, and at `flush`. */
export class SandboxStore {
  state: SandboxState = emptyState();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly stateFile: string | undefined,
    private readonly saveMs = 500,
  ) {
    if (stateFile && existsSync(stateFile)) {
      this.state = { ...emptyState(), ...(JSON.parse(readFileSync(stateFile, 'utf8')) as Partial<SandboxState>) };
    }
  }

  /** Notes that something changed. */
  changed(): void {
    if (this.state.pushes.length > PUSHES_KEPT) this.state.pushes.splice(0, this.state.pushes.length - PUSHES_KEPT);
    if (this.state.orders.length > ORDERS_KEPT) this.state.orders.splice(0, this.state.orders.length - ORDERS_KEPT);
    if (!this.stateFile || this.timer) return;
    this.timer = setTimeout(() => this.flush(), this.saveMs);
    this.timer.unref();
  }

  /** Writes now. */
  flush(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    if (!this.stateFile) return;
    mkdirSync(dirname(this.stateFile), { recursive: true });
    const draft = `${this.stateFile}.${process.pid}.tmp`;
    writeFileSync(draft, JSON.stringify(this.state), { mode: 0o600 });
    renameSync(draft, this.stateFile);
  }

  number(): number {
    const number = this.state.nextNumber;
    this.state.nextNumber += 1;
    this.changed();
    return number;
  }

  shop(platform: SandboxPlatform, shopId: string): SandboxShop | undefined {
    return this.state.shops.find((shop) => shop.platform === platform && shop.shopId === shopId);
  }

  order(platform: SandboxPlatform, orderNumber: string): SandboxOrder | undefined {
    return this.state.orders.find((order) => order.platform === platform && order.orderNumber === orderNumber);
  }
}

/** A fresh authorisation code for the shop, valid 10 minutes, once. */
export function issueCode(shop: SandboxShop, now: number): string {
  const value = randomBytes(16).toString('hex');
  shop.codes = [...shop.codes.filter((code) => code.expiresAt > now), { value, expiresAt: now + 600_000 }];
  return value;
}

/** Takes a code: true once, while it is valid. */
export function useCode(shop: SandboxShop, value: string, now: number): boolean {
  const index = shop.codes.findIndex((code) => code.value === value && code.expiresAt > now);
  if (index < 0) return false;
  shop.codes.splice(index, 1);
  return true;
}

/** A fresh pair. */
export function issueTokens(shop: SandboxShop, now: number, accessMs: number, refreshMs: number) {
  const access = { value: randomBytes(20).toString('hex'), expiresAt: now + accessMs };
  const refresh = { value: randomBytes(20).toString('hex'), expiresAt: now + refreshMs };
  shop.accessTokens = [...shop.accessTokens.filter((token) => token.expiresAt > now), access];
  shop.refreshTokens = [...shop.refreshTokens.filter((token) => token.expiresAt > now), refresh];
  return { access: access.value, refresh: refresh.value };
}

/** Takes a refresh token: true once. The access tokens of before live on for `graceMs`. */
export function useRefreshToken(shop: SandboxShop, value: string, now: number, graceMs: number): boolean {
  const index = shop.refreshTokens.findIndex((token) => token.value === value && token.expiresAt > now);
  if (index < 0) return false;
  shop.refreshTokens.splice(index, 1);
  for (const token of shop.accessTokens) token.expiresAt = Math.min(token.expiresAt, now + graceMs);
  return true;
}

export function holdsAccess(shop: SandboxShop, value: string, now: number): boolean {
  return shop.accessTokens.some((token) => token.value === value && token.expiresAt > now);
}
