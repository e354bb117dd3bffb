/**
 * The border to marketplaces, in our nouns. Everything behind it speaks one vendor's protocol; nothing in front of it
 * knows a platform by name: what a platform can do is data (`capabilities`). Source: platforms.md.
 */
import type { CancelOutcome, CancelReason } from '../domain/cancellations';
import type { PlatformOrderState } from '../domain/orders';

export const PLATFORMS = ['shopee', 'lazada', 'tiktok', 'tokopedia', 'temu'] as const;
export type Platform = (typeof PLATFORMS)[number];

/** What the hub needs to know about a platform in order to plan its calls. */
export interface PlatformCapabilities {
  /** How one stock call is composed: all its entries belong to one platform item, or to any items. */
  readonly stockCall: {
    readonly grouping: 'oneItem' | 'anyItems';
    readonly maxEntries: number;
    /** More than this no listing holds. */
    readonly largestQuantity: number;
  };
  /** What one shipment is of: the order as a whole, or some of its lines. */
  readonly shipment: 'wholeOrder' | 'someLines';
  /** The longest window that one list of changed orders may span. Milliseconds. */
  readonly orderWindowMs: number;
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

export interface PreOrderChange {
  readonly itemId: string;
  readonly on: boolean;
  readonly daysToShip: number;
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
  /** Its shipment is arranged, and the platform waits for the carrier to fetch it. */
  readonly awaitsPickup: boolean;
  /** Its lines that the buyer wishes to cancel; empty where a platform knows such wishes for whole orders alone. */
  readonly askedBack: readonly string[];
  /** Epoch ms of the platform's last change; orders versions: an older one never replaces a newer. */
  readonly updatedAt: number;
  readonly createdAt: number;
  readonly currency: string;
  /** How the goods travel; platforms that arrange the carrier say `platform_logistics`. */
  readonly shipping: 'platform_logistics' | 'three_pl' | 'self_delivery' | 'self_arranged';
  readonly lines: readonly PlatformOrderLine[];
  readonly recipient: Recipient | null;
}

/** An order that changed, as a list of changes tells of it. */
export interface OrderChange {
  readonly platformOrder: string;
  /** Epoch ms; what `getOrder` would give as `updatedAt`, or earlier. */
  readonly updatedAt: number;
  /** The same for the same state; where the platform's pushes say as much, theirs. */
  readonly dedupeKey: string;
}

export interface OrderChangePage {
  readonly changes: readonly OrderChange[];
  /** Opaque; give it back, with the same window, to get the next page. Null at the end. */
  readonly nextCursor: string | null;
}

/** Pushes that the platform could not deliver, oldest first. */
export interface LostPushes {
  readonly pushes: readonly { readonly push: PlatformPush; readonly body: string }[];
  /** How many of them say nothing that we can read: stored as they came. */
  readonly unreadable: number;
  /** Give it to `confirmLostPushes` once they are stored; null where there was none. */
  readonly upTo: string | null;
  readonly more: boolean;
}

/** A parcel whose label is wanted. */
export interface PlatformParcel {
  readonly platformOrder: string;
  readonly lineIds: readonly string[];
  /** The platform may pack it first, where it makes no label before. Not of what is not to leave. */
  readonly mayPack: boolean;
}

/** What a platform knew of a shipment before it was told. */
export interface KnownShipment {
  /** Under which numbers; empty where it names none. */
  readonly trackingNumbers: readonly string[];
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
  /** A call that changes something is given up at the latest after this. Milliseconds. */
  readonly longestWriteMs: number;
  /** Where to send the owner's browser. `state` comes back to `redirectUrl`. */
  authorizationUrl(input: { state: string; redirectUrl: string }): string;
  /** Turns the call-back's query into tokens. */
  exchangeCode(query: Readonly<Record<string, string>>): Promise<AuthorizedShop>;
  /** A new pair; the old refresh token is dead once the platform has answered. */
  refreshTokens(input: { shopId: string; refreshToken: string }): Promise<ShopTokens>;
  listListings(access: ShopAccess, page: { cursor: string | null; changedSince?: number }): Promise<ListingPage>;
  /** One platform call. The entries obey `capabilities.stockCall`. One result per entry, in any order. */
  updateStock(access: ShopAccess, entries: readonly StockEntry[]): Promise<readonly StockResult[]>;
  /** Puts an item with all its models into pre-order, or out of it. Only where `capabilities.preOrder`. Safe to repeat. */
  setPreOrder(access: ShopAccess, change: PreOrderChange): Promise<void>;
  getOrder(access: ShopAccess, platformOrder: string): Promise<PlatformOrder>;
  /**
   * Tells that goods left. Looks first what the platform knows, so that a repeat (an answer was lost) tells nothing twice.
   * @returns what the platform knew before; null where it is told now
   */
  shipOrder(access: ShopAccess, shipment: PlatformShipment): Promise<KnownShipment | null>;
  /** The platform's label of a parcel, a PDF, as the platform made it. */
  getLabel(access: ShopAccess, parcel: PlatformParcel): Promise<Buffer>;
  /** Orders that changed from `from` to `to` (epoch ms, both included), at most `capabilities.orderWindowMs` apart. */
  listOrderChanges(
    access: ShopAccess,
    window: { readonly from: number; readonly to: number; readonly cursor: string | null },
  ): Promise<OrderChangePage>;
  /** Cancels for the seller. Looks first what the platform knows, so that a repeat (an answer was lost) cancels nothing twice. */
  cancelOrder(access: ShopAccess, order: { platformOrder: string; reason: CancelReason }): Promise<CancelOutcome>;
  /** Answers the buyer's wish to cancel. Looks first, as `cancelOrder`. */
  answerCancellation(access: ShopAccess, order: { platformOrder: string; accept: boolean }): Promise<CancelOutcome>;
  /**
   * Grants the buyer's wish for single lines, of those that are still asked back; absent where nobody asks for lines. Looks first,
   * as `cancelOrder`. @returns which of them are cancelled there now
   */
  cancelLines?(
    access: ShopAccess,
    order: { readonly platformOrder: string; readonly lineIds: readonly string[] },
  ): Promise<readonly string[]>;
  /** Pushes that were lost on their way to us, for all shops; absent where the platform keeps none. */
  lostPushes?(): Promise<LostPushes>;
  confirmLostPushes?(upTo: string): Promise<void>;
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
