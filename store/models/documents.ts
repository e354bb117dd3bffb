/** The shape of every stored document. `_id` says what is unique; where it is built from other ids, a repeat is a no-op. */
import type { Permission, Plan } from '../../domain/accounts';
import type { AuditActor, AuditOutcome } from '../../domain/audit';
import type { FileFormat, ImportKind } from '../../domain/imports';
import type { Currency, Rounding } from '../../domain/money';
import type { EventChannels, NotificationChannel } from '../../domain/notifications';
import type { Blocker, PackageStatus } from '../../domain/orders';
import type { ClaimCause, PartnershipStatus, SetupStep } from '../../domain/partnership';
import type { Charge, ExchangeRate, FeeSettings, LevelRule, Shipping } from '../../domain/pricing';
import type { PushRule } from '../../domain/push-rules';
import type { AdjustmentKind, StockLevels } from '../../domain/stock';
import type { RecallState, ShipmentNotice, SupplyOrderStatus } from '../../domain/supply-orders';
import type { VisibilityRule } from '../../domain/visibility';
import type { Sealed } from '../cipher';

export interface AccountDoc {
  _id: string;
  name: string;
  plan: Plan;
  inventoryEnabled: boolean;
  /** Orders per calendar month (UTC); null is without limit. */
  orderQuota: number | null;
  /** Written by whoever writes the account's push rules, so that two conflict. */
  ruleTurns?: number;
  createdAt: Date;
}

export interface ApiKeyDoc {
  _id: string;
  account: string;
  name: string;
  /** SHA-256 of the secret part. The secret has 256 random bits, so a slow hash would add nothing. */
  hash: string;
  permissions: Permission[];
  createdAt: Date;
  revokedAt: Date | null;
}

/** `_id` = account:month */
export interface QuotaDoc {
  _id: string;
  account: string;
  used: number;
}

export interface WarehouseDoc {
  _id: string;
  account: string;
  name: string;
  kind: 'own' | 'third_party' | 'supplier';
  /** For kind `supplier`: whose stock it shows. */
  source: { partnership: string; supplier: string; warehouse: string } | null;
  createdAt: Date;
}

/** `_id` = account/code */
export interface SkuDoc {
  _id: string;
  account: string;
  sku: string;
  name: string;
  kind: 'single' | 'combination';
  components: { sku: string; quantity: number }[];
  /** Where the SKU's stock comes from, if not from the account itself. */
  mirror: { partnership: string; supplier: string; supplierSku: string } | null;
  /** See StockDoc. */
  followers: number;
  /** The command that made it, so that its repeat is answered as the first was. */
  command: string | null;
  createdAt: Date;
}

/** `_id` = warehouse/sku */
export interface StockDoc extends StockLevels {
  _id: string;
  account: string;
  warehouse: string;
  sku: string;
  /** Kept beside its parts so that a guard is one comparison. */
  available: number;
  mirrored: boolean;
  /**
   * How often a listing or a claim began to follow this stock. It is written so that a change of the stock and a new
   * follower conflict: otherwise each could miss the other, and the follower would keep an old quantity.
   */
  followers: number;
}

/** `_id` is the change's unique key. */
export interface StockJournalDoc {
  _id: string;
  account: string;
  warehouse: string;
  sku: string;
  kind: AdjustmentKind | 'transferOut' | 'transferIn' | 'allocate' | 'release' | 'ship' | 'push' | 'mirror' | 'claim';
  reason: string;
  /** The document it was done for. */
  document: string;
  before: StockLevels;
  after: StockLevels;
  at: Date;
}

export interface CustomerDoc {
  _id: string;
  account: string;
  name: string;
  linked: boolean;
  createdAt: Date;
}

/** `_id` = account */
export interface SupplierDoc {
  _id: string;
  baseCurrency: Currency | null;
  /** The contact is sealed for this account. */
  bigshop: { name: string; contact: Sealed } | null;
  rounding: Rounding;
  fees: FeeSettings | null;
  rates: ExchangeRate[];
  steps: SetupStep[];
  live: boolean;
  /** An order was pushed: the base currency is fixed. */
  pushed: boolean;
  /**
   * Counts what is limited or priced by this document. It is written so that two that would both pass a count, or that read
   * what the other changes, conflict.
   */
  touched: number;
  /** Grows with each change that may give claims a cause or take one away: rules, products. */
  claimsRevision: number;
  /** Since when claims are to be looked at for that; null when all were. */
  claimsDueSince: Date | null;
  createdAt: Date;
}

export interface VisibilityRuleDoc extends Omit<VisibilityRule, 'id'> {
  _id: string;
  supplier: string;
  createdAt: Date;
  updatedAt: Date;
}

/** `_id` = supplier/sku|distributor. The product is disabled for this distributor. */
export interface DisabledProductDoc {
  _id: string;
  supplier: string;
  sku: string;
  distributor: string;
  at: Date;
}

/** `_id` = from/to. The last good live rate, for all accounts. */
export interface LiveRateDoc {
  _id: string;
  from: Currency;
  to: Currency;
  /** An exact decimal string. */
  rate: string;
  fetchedAt: Date;
}

/** A level of distributors, with its pricing rule. */
export interface PriceLevelDoc {
  _id: string;
  supplier: string;
  name: string;
  rule: LevelRule;
  /** How often something began to use it; written so that it conflicts with the level's removal. */
  uses: number;
  createdAt: Date;
  updatedAt: Date;
}

/** `_id` = supplier/sku|level, or supplier/sku| for all levels. A fixed amount, minor units of the base currency. */
export interface SkuPriceDoc {
  _id: string;
  supplier: string;
  sku: string;
  level: string | null;
  amount: number;
  updatedAt: Date;
}

export interface InvitationDoc {
  _id: string;
  supplier: string;
  tokenHash: string;
  expiresAt: Date;
  revokedAt: Date | null;
  createdAt: Date;
}

export interface PartnershipDoc {
  _id: string;
  supplier: string;
  distributor: string;
  status: PartnershipStatus;
  /** True while pending or partnered; a pair has at most one, see OpenPairDoc. */
  open: boolean;
  application: {
    company: string;
    channels: string[];
    /** Contact name, phone, e-mail and message (JSON), sealed for this partnership. */
    contact: Sealed;
  };
  invitation: string;
  customer: string | null;
  settlementCurrency: Currency | null;
  level: string | null;
  /** The supplier's warehouses the distributor was given. */
  warehouses: string[];
  /** The supplier's `claimsRevision` for which the claims were looked at last. */
  claimsRevision: number;
  /**
   * How often the causes of its claims were looked at, or one was claimed; written so that these conflict and the last to
   * commit has seen all the others.
   */
  claimTurns: number;
  /** Why it was rejected or terminated. */
  reason: string | null;
  /** How the supplier keeps the distributor's contact, and their notes (JSON of `SupplierNote`), sealed for this partnership. */
  note: Sealed | null;
  /** The commands of the last moves, so that the repeat of one is answered and not done again. */
  commands: string[];
  appliedAt: Date;
  decidedAt: Date | null;
  endedAt: Date | null;
  /** The account that ended it. */
  endedBy: string | null;
}

/**
 * `_id` = supplier/distributor. Made with a partnership, gone with its end: so a pair has one at most. (A partial unique index
 * would say the same, but the embedded engine keeps its entry when a document leaves it.)
 */
export interface OpenPairDoc {
  _id: string;
  partnership: string;
}

/** `_id` = partnership */
export interface BillingAccountDoc {
  _id: string;
  supplier: string;
  distributor: string;
  currency: Currency;
  /** Minor units, signed, as the distributor sees it. */
  balance: number;
  creditLimit: number;
  creditPeriodDays: number | null;
}

export const RECORD_TYPES = [
  'order_push',
  'push_reversal',
  'order_recall',
  'return_refund',
  'return_charge',
  'top_up',
  'adjustment',
  'manual_entry',
] as const;
export type RecordType = (typeof RECORD_TYPES)[number];

/** `_id` is the transaction id. One document for both sides; amounts are the distributor's. */
export interface RecordDoc {
  _id: string;
  partnership: string;
  supplier: string;
  distributor: string;
  type: RecordType;
  package: string | null;
  document: string | null;
  lines: Charge['lines'][number][];
  note: string | null;
  amount: number;
  currency: Currency;
  balanceAfter: number;
  at: Date;
}

/** `_id` = supplier/sku */
export interface ProductDoc {
  _id: string;
  supplier: string;
  sku: string;
  status: 'publishing' | 'enabled' | 'disabled';
  /** Grows with each publication. */
  attempt: number;
  /** Minor units of the supplier's base currency. */
  basePrice: number | null;
  createdAt: Date;
}

/** A file that somebody sent, in sealed chunks. It goes when what it was for is done with it. */
export interface FileDoc {
  _id: string;
  account: string;
  bytes: number;
  chunks: number;
  /** What it belongs to; null until its request was accepted. */
  document: string | null;
  createdAt: Date;
}

/** `_id` = file/number */
export interface FileChunkDoc {
  _id: string;
  body: Buffer;
}

export interface ImportDoc {
  _id: string;
  account: string;
  kind: ImportKind;
  format: FileFormat;
  sheet: string | null;
  dryRun: boolean;
  /** Whether the key that sent it may turn distribution on. */
  mayDistribute: boolean;
  /** The currency that its amounts are read in; null where it has none. */
  currency: Currency | null;
  status: 'running' | 'done' | 'failed' | 'abandoned';
  file: string;
  /** The reading whose batches count, once the whole file was read; null until then. */
  reading: string | null;
  /** Rows below the header, and what became of them. */
  rows: { total: number; changed: number; unchanged: number; failed: number };
  failure: { code: string; detail: string; problem: string | null } | null;
  /** A failed undo may be begun again, and goes on where it stopped. */
  undo: { status: 'running' | 'done' | 'failed'; command: string; restored: number; left: number } | null;
  createdAt: Date;
  endedAt: Date | null;
}

/** Some rows of an import, and what they did. `_id` = import/reading/number, in the order in which they are applied. */
export interface ImportBatchDoc {
  _id: string;
  import: string;
  reading: string;
  number: number;
  rows: number;
  failed: number;
  changed: number;
  left: number;
  applied: boolean;
  undone: boolean;
  /** Rows as read, and their errors (JSON). */
  body: Sealed;
  /** What each row overwrote, and the errors of all of them (JSON). */
  outcome: Sealed | null;
  /** Rows that the undo left as they are, and why (JSON). */
  remains: Sealed | null;
}

/** One row per claim, stop, enable, disable: who, when, why. Nothing removes from it. */
export interface ProductLogDoc {
  _id: string;
  supplier: string;
  sku: string;
  what: 'added' | 'enabled' | 'disabled' | 'claimed' | 'stopped';
  who: string;
  /** Whom it was enabled or disabled for, where not for all. */
  distributor: string | null;
  why: string | null;
  at: Date;
}

/** `_id` = partnership/supplier's sku */
export interface ClaimDoc {
  _id: string;
  partnership: string;
  supplier: string;
  distributor: string;
  supplierSku: string;
  /** The distributor's own merchant SKU. */
  sku: string;
  stopped: boolean;
  causes: ClaimCause[];
  inactiveSince: Date | null;
  /** Minor units of the settlement currency, as the distributor is shown it. */
  shownPrice: number | null;
  billedPrice: number | null;
  /** How many order lines were synced on it; written so that an order and the claim's end conflict. */
  orders: number;
  claimedAt: Date;
}

export interface StoreDoc {
  _id: string;
  account: string;
  platform: string;
  name: string;
  shopId: string | null;
  /** platform:shop while connected. */
  shopKey: string | null;
  status: 'authorizing' | 'connected' | 'needs_authorization' | 'disconnected';
  tokens: Sealed | null;
  accessExpiresAt: Date | null;
  refreshExpiresAt: Date | null;
  /** Grows with each stored pair. */
  tokenVersion: number;
  /** How often an order asked in vain for a listing that is not there; written so that the two can't pass each other. */
  missed: number;
  /** One refresher at a time: who holds it and until when. */
  refreshLease: { holder: string; until: Date } | null;
  createdAt: Date;
}

/** `_id` = platform:shop. Exists while a store is connected to it, so that one shop belongs to one account. */
export interface ShopDoc {
  _id: string;
  store: string;
}

/** `_id` = SHA-256 of the state. Single use, ten minutes. */
export interface AuthorizationStateDoc {
  _id: string;
  account: string;
  store: string;
  expiresAt: Date;
}

/** `_id` = store/item/model */
export interface ListingDoc {
  _id: string;
  account: string;
  store: string;
  item: string;
  model: string;
  sellerSku: string;
  title: string;
  imageUrl: string | null;
  variation: string;
  price: string;
  currency: string;
  platformQuantity: number;
  status: string;
  /** The connected merchant SKU. */
  sku: string | null;
  unconnectedReason: 'no_such_sku' | 'ambiguous' | 'empty_code' | null;
  automatic: boolean;
  /** How often an order asked for it while it was not connected; see StoreDoc. */
  missed: number;
  updatedAt: Date;
}

/** `_id` = lane|subject. Exists exactly while something is due. */
export interface DueDoc {
  _id: string;
  /** `store-lane/{store}` or `mirror-lane/{partnership}`. */
  lane: string;
  account: string;
  /** A listing id, or a supplier's SKU. */
  subject: string;
  /** The platform item of a listing, so that one call's entries are found together. */
  item: string;
  /** Zeros go first. */
  urgent: boolean;
  /** Send although the store has that quantity. */
  forced: boolean;
  /** Drawn anew with every change; the lane removes the mark only if it is still the one it read. */
  stamp: string;
  /** How often the platform asked to try this one again. */
  tries: number;
  changes: number;
  cause: string;
  since: Date;
  /** Set aside by an abandoned lane until the next change. */
  failed: boolean;
}

export type PushOutcome = 'accepted' | 'refused' | 'failed' | 'skipped';
export interface PushResult {
  quantity: number | null;
  before: number | null;
  cause: string;
  rule: string | null;
  revision: number | null;
  at: Date;
  outcome: PushOutcome;
  error: string | null;
  attempts: number;
  /** How many changes it stands for. */
  changes: number;
}

/** `_id` = listing id, or partnership/supplier's sku. */
export interface PushRecordDoc {
  _id: string;
  account: string;
  kind: 'store' | 'distributor';
  sku: string;
  store: string | null;
  distributor: string | null;
  /** The last quantity accepted there. */
  accepted: number | null;
  /** A call went out whose answer is not known (yet): the store may have either quantity. */
  unanswered?: boolean;
  latest: PushResult;
  history: PushResult[];
}

export interface PushRuleDoc extends Omit<PushRule, 'id'> {
  _id: string;
  account: string;
  updatedAt: Date;
}

export interface OrderLine {
  line: string;
  listing: string | null;
  sku: string | null;
  title: string;
  quantity: number;
  unmappedReason: 'no_such_listing' | 'listing_not_connected' | 'no_such_sku' | null;
}

export interface OrderDoc {
  _id: string;
  account: string;
  /** A store's id, or `api` for orders that come without one. */
  store: string;
  platform: string;
  storeName: string;
  platformOrder: string;
  platformState: string;
  /** The platform's time of last change; an older state never replaces a newer. */
  version: number;
  state: string;
  currency: string;
  shipping: Shipping;
  lines: OrderLine[];
  recipient: Sealed | null;
  packages: string[];
  syncedAt: Date | null;
  placedAt: Date;
  createdAt: Date;
}

export interface PackageLine {
  line: string;
  sku: string;
  supplierSku: string | null;
  quantity: number;
  /** Minor units of the settlement currency, fixed at the sync; null with a reason where there is none. */
  price: number | null;
  priceReason: 'price_missing' | 'exchange_rate_missing' | null;
  /** Its claim counted when the order was synced; always so for own goods. */
  active: boolean;
}

/** The last recall of a package. Its supply order holds the same, for the supplier. */
export interface RecallDoc {
  /** Grows with each asking. */
  attempt: number;
  state: RecallState;
  /** Not decided yet. */
  open: boolean;
  by: 'distributor' | 'buyer';
  /** The command that asked, and the one that answered, so that a repeat is answered as the first was. */
  command: string | null;
  answer: string | null;
  askedAt: Date;
  /** Until when the supplier may answer. */
  answerBy: Date | null;
  endedAt: Date | null;
  /** Why it failed, or how it succeeded. */
  code: string | null;
  detail: string | null;
}

/** How the goods left. The package holds the same as its supply order. */
export interface ShipmentDoc {
  carrier: string | null;
  trackingNumber: string;
  at: Date;
  /** Whether the platform was told. */
  platform: ShipmentNotice;
  /** It is still to be told. */
  open: boolean;
  /** When a sweep looks at it again, if it has no running workflow. */
  lookAt: Date;
  detail: string | null;
}

export interface PackageDoc {
  _id: string;
  account: string;
  order: string;
  store: string;
  platform: string;
  storeName: string;
  shipping: Shipping;
  /** Null where the goods are the account's own. */
  partnership: string | null;
  supplier: string | null;
  /** The partnership was `partnered` when the order was synced: it can be pushed after its end, too. */
  partnered: boolean;
  /** Where it is allocated: an own warehouse, or the distributor's view of the supplier's. */
  warehouse: string | null;
  /** The supplier's warehouse behind it. */
  supplierWarehouse: string | null;
  currency: Currency | null;
  lines: PackageLine[];
  status: PackageStatus;
  allocated: boolean;
  attempt: number;
  /** Waits for an operator's decision. */
  parked: boolean;
  blockers: Blocker[];
  failure: { code: string; detail: string; held: string; retryable: boolean } | null;
  charge: Charge | null;
  supplyOrder: string | null;
  recall: RecallDoc | null;
  shipment: ShipmentDoc | null;
  syncedAt: Date;
  pushedAt: Date | null;
  updatedAt: Date;
}

/** `_id` = supply order id derived from the package and attempt. */
export interface SupplyOrderDoc {
  _id: string;
  supplier: string;
  distributor: string;
  partnership: string;
  package: string;
  attempt: number;
  status: SupplyOrderStatus;
  warehouse: string;
  sourceStore: string;
  platform: string;
  paymentMethod: 'prepaid';
  shipping: Shipping;
  lines: { line: string; sku: string; quantity: number; price: number }[];
  currency: Currency;
  charge: Charge;
  /** Sealed anew for the supplier's account. */
  recipient: Sealed | null;
  recall: RecallDoc | null;
  shipment: ShipmentDoc | null;
  /** The command of the last move, so that its repeat is answered as the first was. */
  command: string | null;
  pushedAt: Date;
  updatedAt: Date;
}

/** An incoming push, stored before it is answered. `_id` = platform:dedupe key. */
export interface InboxDoc {
  _id: string;
  platform: string;
  shopId: string | null;
  account: string | null;
  store: string | null;
  platformOrder: string | null;
  body: Sealed;
  status: 'stored' | 'unrouted' | 'done' | 'ignored' | 'refused';
  receivedAt: Date;
  /** Null while it waits: what was not taken in does not expire. */
  expiresAt: Date | null;
}

/** `_id` = SHA-256 of account, route and key. */
export interface IdempotencyDoc {
  _id: string;
  account: string;
  bodyHash: string;
  /** Stays the same when a first that died is taken over, so that what it did is not done twice. */
  command: string;
  status: 'running' | 'done';
  leaseUntil: Date;
  answer: Sealed | null;
  expiresAt: Date;
}

export const OPERATION_STATUSES = ['running', 'parked', 'done', 'failed', 'abandoned'] as const;
export type OperationStatus = (typeof OPERATION_STATUSES)[number];

/** `_id` = the workflow's id with "/" as ".". */
export interface OperationDoc {
  _id: string;
  /** Who may see it. */
  accounts: string[];
  kind: string;
  workflowId: string;
  document: string;
  status: OperationStatus;
  progress: { done: number; failed: number; total: number };
  result: Record<string, unknown> | null;
  error: { code: string; detail: string; hint: string | null } | null;
  createdAt: Date;
  updatedAt: Date;
}

/** `_id` is derived from the event, so that it is told once. */
export interface NotificationDoc {
  _id: string;
  account: string;
  event: string;
  title: string;
  document: string;
  detail: string | null;
  readAt: Date | null;
  at: Date;
}

/** Where an account is told besides in-app, and of what. `_id` = account. Addresses and secrets are sealed. */
export interface NotificationSubscriptionDoc {
  _id: string;
  email: Sealed | null;
  https: {
    url: Sealed;
    secret: Sealed;
    secretMadeAt: Date;
    /** The secret before: calls are signed with it, too, until that time, so that a receiver can change over. */
    previousSecret: Sealed | null;
    previousUntil: Date | null;
  } | null;
  events: EventChannels;
  updatedAt: Date;
}

export const DELIVERY_STATUSES = ['pending', 'parked', 'sent', 'failed'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** One notification on its way to one channel. `_id` is derived from both, and is what receivers tell a repeat by. */
export interface DeliveryDoc {
  _id: string;
  account: string;
  notification: string;
  channel: NotificationChannel;
  status: DeliveryStatus;
  error: { code: string; detail: string } | null;
  createdAt: Date;
  updatedAt: Date;
}

/** One link of the audit chain; only ever inserted. `_id` is its place, from 1 on without gaps. */
export interface AuditRowDoc {
  _id: number;
  id: string;
  at: Date;
  account: string | null;
  actor: AuditActor;
  action: string;
  route: string;
  objects: string[];
  request: string | null;
  command: string | null;
  address: string | null;
  outcome: AuditOutcome;
  status: number | null;
  code: string | null;
  /** JSON texts, so that what is hashed is what is stored, byte for byte. */
  before: string | null;
  after: string | null;
  /** The hash of the row before it. */
  prev: string;
  hash: string;
}

/** What is about to be done: becomes a row when it was, or when its process died. `_id` is the row's `id`. */
export interface AuditIntentDoc {
  _id: string;
  at: Date;
  /** JSON of the `AuditIntent`. */
  intent: string;
}

/** The end of the chain; one document, `_id` = chain. */
export interface AuditHeadDoc {
  _id: string;
  count: number;
  hash: string;
  /** Count and hash sealed with the data key: who can write here but has no key can't make a new end. */
  seal: Sealed;
  /** The rows that the head counts and that may not be inserted yet: whoever comes next inserts what is missing. */
  pending: AuditRowDoc[];
  at: Date;
}

/** The chain's end as it was found first on a day. `_id` = the day (UTC), e.g. 2026-11-22. */
export interface AuditDailyHeadDoc {
  _id: string;
  count: number;
  hash: string;
  at: Date;
}
