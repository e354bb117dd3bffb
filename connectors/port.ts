/**
 * The border to marketplaces, in our nouns. Everything behind it speaks one vendor's protocol; nothing in front of it
 * knows a platform by name: what a platform can do is data (`capabilities`). Source: platforms.md.
 */

export const PLATFORMS = ['shopee', 'lazada', 'tiktok', 'tokopedia', 'temu'] as const;
export type Platform = (typeof PLATFORMS)[number];

/** What the hub needs to know about a platform in order to plan its calls. */
export interface PlatformCapabilities {
  /** How one stock call is composed: all its entries belong to one platform item, or to any items. */
  readonly stockCall: { readonly grouping: 'oneItem' | 'anyItems'; readonly maxEntries: number };
  /** What one shipment is of: the order as a whole, or some of its lines. */
  readonly shipment: 'wholeOrder' | 'someLines';
  /** The platform can put a listing into pre-order. */
  readonly preOrder: boolean;
  /** The access token is renewed by this long before its end. Milliseconds. */
  readonly refreshAheadMs: number;
}

/** Tokens of one shop. Times are epoch milliseconds. */
export interface ShopTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly accessExpiresAt: number;
  readonly refreshExpiresAt: number;
}

/** What a shop call needs: which shop, and its current access token. */
export interface ShopAccess {
  /** The platform's own id of the shop (Shopee shop_id, Lazada seller id). */
  readonly shopId: string;
  readonly accessToken: string;
}

export interface AuthorizedShop {
  readonly shopId: string;
  readonly shopName: string;
  readonly tokens: ShopTokens;
}

/** One sellable variation as the platform shows it. `modelId` is '0' where an item has no variants (Shopee). */
export interface PlatformListing {
  readonly itemId: string;
  readonly modelId: string;
  readonly sellerSku: string;
  readonly title: string;
  readonly imageUrl: string | null;
  /** Names of the variation's options joined with ", "; empty where there are none. */
  readonly variation: string;
  /** An exact decimal string in the shop's currency, e.g. "12.50". */
  readonly price: string;
  readonly currency: string;
  readonly quantity: number;
  readonly status: 'live' | 'hidden' | 'deleted' | 'banned';
}

export interface ListingPage {
  readonly listings: readonly PlatformListing[];
  /** Opaque; give it back to get the next page. Null at the end. */
  readonly nextCursor: string | null;
}

/** An absolute quantity for one listing. `key` is the caller's own and comes back with the result. */
export interface StockEntry {
  readonly key: string;
  readonly itemId: string;
  readonly modelId: string;
  readonly quantity: number;
}

export type StockResult =
  | { readonly key: string; readonly outcome: 'accepted'; readonly quantity: number }
  /** The platform's floor (stock locked by a campaign): the nearest quantity it takes. Nothing was written. */
  | {
      readonly key: string;
      readonly outcome: 'floor';
      readonly floor: number;
      readonly code: string;
      readonly message: string;
    }
  /** For good: listing deleted, not allowed, wrong id. */
  | { readonly key: string; readonly outcome: 'refused'; readonly code: string; readonly message: string }
  /** Worth another try. */
  | { readonly key: string; readonly outcome: 'retry'; readonly code: string; readonly message: string };

/** States of a platform's order in our words, least advanced first. */
export const PLATFORM_ORDER_STATES = [
  'unpaid',
  'ready_to_ship',
  'shipped',
  'completed',
  'cancel_requested',
  'cancelled',
] as const;
export type PlatformOrderState = (typeof PLATFORM_ORDER_STATES)[number];

export interface PlatformOrderLine {
  /** The platform's id of the line, unique within the order. */
  readonly lineId: string;
  readonly itemId: string;
  readonly modelId: string;
  readonly sellerSku: string;
  readonly title: string;
  readonly quantity: number;
  readonly unitPrice: string;
}

export interface Recipient {
  readonly name: string;
  readonly phone: string;
  readonly address: string;
}

export interface PlatformOrder {
  readonly platformOrder: string;
  readonly state: PlatformOrderState;
  /** The platform's own words for the state, for people. */
  readonly platformState: string;
  /** Epoch ms of the platform's last change; orders versions: an older one never replaces a newer. */
  readonly updatedAt: number;
  readonly createdAt: number;
  readonly currency: string;
  /** How the goods travel; platforms that arrange the carrier say `platform_logistics`. */
  readonly shipping: 'platform_logistics' | 'three_pl' | 'self_delivery' | 'self_arranged';
  readonly lines: readonly PlatformOrderLine[];
  readonly recipient: Recipient | null;
}

/** Goods that left for the buyer. */
export interface PlatformShipment {
  readonly platformOrder: string;
  /** The platform's ids of the lines that are in the parcel. */
  readonly lineIds: readonly string[];
  readonly carrier: string | null;
  readonly trackingNumber: string;
}

/** An incoming push, verified. `dedupeKey` is the same for a repeat of the same event (by content where the platform gives no id). */
export type PlatformPush =
  | {
      readonly kind: 'order';
      readonly shopId: string;
      readonly platformOrder: string;
      readonly dedupeKey: string;
      readonly occurredAt: number;
    }
  | { readonly kind: 'other'; readonly shopId: string | null; readonly dedupeKey: string; readonly occurredAt: number };

export type PushVerdict =
  | { readonly ok: true; readonly push: PlatformPush }
  /** `signature` and `stale` are answered 401, `malformed` 422 (signature was right, body is not theirs). */
  | { readonly ok: false; readonly reason: 'signature' | 'stale' | 'malformed'; readonly detail: string };

/**
 * One marketplace. Every call ends in a value or throws a `PlatformError`; nothing else leaves it.
 * Implementations hold no token: the caller gives the access it has.
 */
export interface MarketplaceConnector {
  readonly platform: Platform;
  readonly capabilities: PlatformCapabilities;
  /** Where to send the owner's browser. `state` comes back to `redirectUrl`. */
  authorizationUrl(input: { state: string; redirectUrl: string }): string;
  /** Turns the call-back's query into tokens. */
  exchangeCode(query: Readonly<Record<string, string>>): Promise<AuthorizedShop>;
  /** A new pair; the old refresh token is dead once the platform has answered. */
  refreshTokens(input: { shopId: string; refreshToken: string }): Promise<ShopTokens>;
  listListings(access: ShopAccess, page: { cursor: string | null; changedSince?: number }): Promise<ListingPage>;
  /** One platform call. The entries obey `capabilities.stockCall`. One result per entry, in any order. */
  updateStock(access: ShopAccess, entries: readonly StockEntry[]): Promise<readonly StockResult[]>;
  getOrder(access: ShopAccess, platformOrder: string): Promise<PlatformOrder>;
  /**
   * Tells that goods left. Looks first what the platform knows, so that a repeat (an answer was lost) tells nothing twice.
   * @returns false where the platform knew it before
   */
  shipOrder(access: ShopAccess, shipment: PlatformShipment): Promise<boolean>;
  /** On the raw bytes, in constant time. */
  verifyPush(input: {
    rawBody: Buffer;
    headers: Readonly<Record<string, string | undefined>>;
    callbackUrl: string;
    now: number;
  }): PushVerdict;
}

/** Whom a call went to: a platform, or the provider of live rates. */
export type Neighbour = Platform | 'rates';

/** How a call failed; see platforms.md. The message never holds a secret, a token or a URL with a query. */
export type PlatformErrorKind = 'throttled' | 'token_expired' | 'unauthorised' | 'rejected' | 'unavailable';

export class PlatformError extends Error {
  override readonly name = 'PlatformError';
  constructor(
    readonly kind: PlatformErrorKind,
    readonly platform: Neighbour,
    /** The platform's own code, e.g. `error_rate_limit`, or `http_503`, `timeout`, `connection`. */
    readonly code: string,
    message: string,
    readonly options: {
      /** How long the platform asks to wait. Milliseconds; only with `throttled`. */
      readonly retryAfterMs?: number;
      /** The request may have been carried out (the answer was lost). */
      readonly outcomeUnknown?: boolean;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
  }
}

/** The connectors that are configured, by platform. */
export type Connectors = Partial<Record<Platform, MarketplaceConnector>>;
