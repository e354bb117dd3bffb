/** The shape of every stored document. `_id` says what is unique; where it is built from other ids, a repeat is a no-op. */
import type { Permission, Plan } from '../../domain/accounts';
import type { AuditActor, AuditOutcome } from '../../domain/audit';
import type {
  AutomationKind,
  AutomationSettings,
  AutoWork,
  CarrierChoice,
  Gift,
  GiftLeftOut,
} from '../../domain/automation';
import type { FileFormat, ImportKind } from '../../domain/imports';
import type { RecordType } from '../../domain/ledger';
import type { Currency, Rounding } from '../../domain/money';
import type { EventChannels, NotificationChannel } from '../../domain/notifications';
import type { Blocker, PackageStatus } from '../../domain/orders';
import type { ClaimCause, PartnershipStatus, SetupStep } from '../../domain/partnership';
import type {
  Charge,
  ExchangeRate,
  FeeSettings,
  LevelRule,
  LineRate,
  PriceReason,
  RateFound,
  Shipping,
} from '../../domain/pricing';
import type { DistributionRule, PushRule } from '../../domain/push-rules';
import type { LineUnits, ReturnFee } from '../../domain/returns';
import type { AdjustmentKind, StockLevels } from '../../domain/stock';
import type {
  OutboundState,
  RecallState,
  ShipmentNotice,
  SupplyOrderMove,
  SupplyOrderStatus,
} from '../../domain/supply-orders';
import type { Compensation, DiscrepancyKind, Lack } from '../../domain/verification';
import type { VisibilityRule } from '../../domain/visibility';
import type { Sealed } from '../cipher';

export interface AccountDoc {
  _id: string;
  name: string;
  plan: Plan;
  inventoryEnabled: boolean;
  /** Orders per calendar month (UTC); null is without limit. */
  orderQuota: number | null;
  /** Grows by one with each change of the account's push rules, so that two conflict and each set of rules has a number. */
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
  /** The account's own word for a group of SKUs; push rules name it. */
  category?: string | null;
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
  /** Missing while nobody changed it. */
  pushRule?: DistributionRule;
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
  /** Both sides are told when a booking takes the balance below this; null: nobody is. */
  lowBalance: number | null;
  /** How many records there are: the number of the last. */
  records: number;
  /** When the last was booked. */
  lastRecordAt: Date | null;
  /** Since when credit is in use; null while none is. */
  creditSince: Date | null;
  /** The end of the credit period; null where there is none. */
  creditDueAt: Date | null;
  /** The same until its end was told. */
  creditTellAt: Date | null;
}

/** An amount in the currency it was given in, and the rate by which it was converted. */
export interface ConversionDoc {
  amount: number;
  currency: Currency;
  /** An exact decimal string: so many units of the settlement currency are one of this. */
  rate: string;
  source: RateFound['source'];
  /** When a live rate was fetched. */
  fetchedAt: Date | null;
}

/** What a record makes good, where it was booked to do so. */
export interface CorrectionDoc {
  /** The record before which others are missing, or which is not as it was booked: by its number in the account. */
  number: number | null;
  /** The record whose amount it corrects. */
  record: string | null;
  /** False where the balance holds the amount already: then only the sum of the records changes. */
  movesBalance: boolean;
}

/** `_id` is the transaction id. One document for both sides; amounts are the distributor's. Only ever inserted. */
export interface RecordDoc {
  _id: string;
  partnership: string;
  supplier: string;
  distributor: string;
  /** Its place among the account's records, from 1 on without gaps. */
  number: number;
  type: RecordType;
  package: string | null;
  document: string | null;
  lines: Charge['lines'][number][];
  note: string | null;
  /** The settlement amount: minor units of the account's currency. */
  amount: number;
  currency: Currency;
  /** Null where it was given in the account's currency. */
  given: ConversionDoc | null;
  balanceAfter: number;
  correction: CorrectionDoc | null;
  /** Never before that of the record before it. */
  at: Date;
}

/** One proof of the books, and what came of it. */
export interface VerificationDoc {
  _id: string;
  /** Whose books; null: the whole hub's. */
  account: string | null;
  /** Book what makes discrepancies good; a dry run only says which entries. */
  repair: boolean;
  dryRun: boolean;
  status: 'running' | 'done' | 'failed' | 'abandoned';
  /** By check: documents looked at, discrepancies found, whether it went to its end, and what was not compared, by why. */
  checks: Record<string, { seen: number; found: number; whole: boolean; apart: Record<string, number> }>;
  found: number;
  booked: number;
  createdAt: Date;
  endedAt: Date | null;
}

/** `_id` = verification/kind/subject */
export interface DiscrepancyDoc {
  _id: string;
  verification: string;
  kind: DiscrepancyKind;
  subject: string;
  partnership: string | null;
  documents: string[];
  expected: string | null;
  found: string | null;
  lacks: Lack | null;
  /** The entry that would make it good; null where none can. */
  compensation: Compensation | null;
  /** The record that did. */
  booked: string | null;
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

/** How far a store's orders were polled. `_id` = store. */
export interface OrderPollDoc {
  _id: string;
  account: string;
  platform: string;
  /** While the store is connected. */
  active: boolean;
  /** Every order that changed until then is in the inbox, or was taken in. */
  until: Date;
  /** When a poll last began; the beginning of time where none did since the store was connected. */
  lookedAt: Date;
  /** The interval of the schedule there is; null where it is not known. Milliseconds. */
  everyMs: number | null;
  /** Why the last poll ended early; null where it did not. */
  failure: { code: string; detail: string; at: Date } | null;
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
  /** The listing is, or is being put, in pre-order; `told`: the platform has said so. Null or missing: it is not. */
  preOrder?: { daysToShip: number; told: boolean } | null;
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
  /** How often the platform asked to try this one again, since its last change. */
  tries: number;
  /** Calls that carried it since its last result, and brought none. */
  calls?: number;
  changes: number;
  cause: string;
  /** The order that alone caused it, with the turn of the rules it keeps; null where anything else changed it, too. */
  order?: string | null;
  ruleTurn?: number | null;
  /** Push Nows that wait for it. */
  jobs?: string[];
  since: Date;
  /** Set aside by an abandoned lane until the next change. */
  failed: boolean;
}

export const PUSH_OUTCOMES = ['accepted', 'refused', 'failed', 'skipped', 'plan_excluded'] as const;
export type PushOutcome = (typeof PUSH_OUTCOMES)[number];
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
  /** A call went out whose answer was lost: the store may have either quantity. */
  unanswered?: boolean;
  /** Its stock changed since, and no rule or switch let that through. */
  passedBy?: boolean;
  latest: PushResult;
  /** How many there were. */
  results?: number;
}

/**
 * `_id` = store. Which pass of its lane may send to it, and the call of one that is out. What a pass that died leaves here goes
 * to the records when the next one begins.
 */
export interface StoreCallDoc {
  _id: string;
  /** The newest one: no other begins a call. */
  pass: string | null;
  /** The pass whose call is out; null where none is. */
  caller: string | null;
  /** Longer than until then that call does not last. */
  until: Date | null;
  /** What it carries. */
  listings: string[];
}

/** `_id` = record|place: one of the newest results of a push record. */
export interface PushHistoryDoc extends PushResult {
  _id: string;
  /** Which of the record's results it is, from 0. */
  number: number;
}

export interface PushRuleDoc extends Omit<PushRule, 'id'> {
  _id: string;
  account: string;
  updatedAt: Date;
}

/** `_id` = supplier/revision. Kept for good; the first one is never written. */
export interface DistributionRuleDoc extends DistributionRule {
  _id: string;
  supplier: string;
  at: Date;
}

/** `_id` = rule|store|sku. Exists exactly while that SKU is in pre-order in that store under that rule. */
export interface PreOrderDoc {
  _id: string;
  account: string;
  rule: string;
  store: string;
  sku: string;
  since: Date;
}

/** A Push Now. `_id` is its job. */
export interface StockPushDoc {
  _id: string;
  account: string;
  target: PushTarget;
  /** How far the marking came: the last listing looked at; null before the first. */
  cursor: string | null;
  marked: boolean;
  createdAt: Date;
  expiresAt: Date;
}

/** What a Push Now is for. */
export type PushTarget = { kind: 'all' } | { kind: 'rules' | 'skus' | 'stores' | 'listings'; names: string[] };

/** One listing of a Push Now. `_id` = job|listing */
export interface StockPushItemDoc {
  _id: string;
  job: string;
  listing: string;
  store: string;
  outcome: PushOutcome | 'waiting';
  expiresAt: Date;
}

/** `_id` = rule/revision. Kept for good, also of a rule that is gone. */
export interface PushRuleRevisionDoc {
  _id: string;
  account: string;
  rule: string;
  revision: number;
  values: Omit<PushRule, 'id' | 'revision'>;
  /** In force from this turn of the account's rules until before that one. */
  fromTurn: number;
  untilTurn: number;
  at: Date;
}

/** What one kind of automation is set to. `_id` = account/kind. */
export interface AutomationDoc {
  _id: string;
  account: string;
  kind: AutomationKind;
  settings: AutomationSettings[AutomationKind];
  /** Grows by one with every saving. */
  revision: number;
  updatedAt: Date;
}

/** A gift that a rule gave; its package, or why it was left out. */
export interface GiftDoc extends Gift {
  package: string | null;
  leftOut: GiftLeftOut | null;
}

export interface OrderLine {
  line: string;
  listing: string | null;
  sku: string | null;
  title: string;
  quantity: number;
  unmappedReason: 'no_such_listing' | 'listing_not_connected' | 'no_such_sku' | null;
  /** The SKU's code where there is no such SKU yet. */
  code?: string;
  /** The seller said by hand which SKU it is. */
  byHand?: boolean;
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
  /** What the buyer pays for the goods, in minor units of `currency`; null where it is not known. */
  amount: number | null;
  /** The platform waits for the carrier to fetch it. */
  awaitsPickup: boolean;
  /** Given at the sync, by mark rules. */
  tags: string[];
  marketing: boolean;
  /** Given at the sync, by gift rules. */
  gifts: GiftDoc[];
  recipient: Sealed | null;
  packages: string[];
  /** The last cancellation, asked for by either side. */
  cancellation?: CancellationDoc | null;
  /** Lines that the buyer wishes to cancel; `answered`: granted, or both sides were told to settle it. */
  lineWishes?: { line: string; answered: boolean }[];
  syncedAt: Date | null;
  /** The turn of the account's push rules when it was synced: the revisions it keeps. */
  ruleTurn?: number | null;
  placedAt: Date;
  createdAt: Date;
}

/** Asking for an order's end before it has left. */
export interface CancellationDoc {
  /** Grows with each asking. */
  attempt: number;
  by: 'seller' | 'buyer';
  state: 'recalling' | 'telling' | 'cancelled' | 'rejected' | 'withdrawn' | 'failed';
  /** Not over yet. */
  open: boolean;
  reason: string;
  /** The lines that the buyer asks back; null where it is the order. */
  lines?: string[] | null;
  /** What the platform is told, once it is known. */
  answer: 'cancel' | 'accept' | 'reject' | null;
  /** The recalls it waits for, or waited for. */
  recalls: { package: string; attempt: number }[];
  /** Why something of the order can't be had back: what the end says, whatever befell the telling meanwhile. */
  refusal?: string | null;
  /** The version of the order whose buyer was answered, where the platform took the answer: a wish of a newer one is another. */
  wish?: number | null;
  askedAt: Date;
  endedAt: Date | null;
  code: string | null;
  detail: string | null;
}

export interface PackageLine {
  line: string;
  sku: string;
  supplierSku: string | null;
  quantity: number;
  /** Minor units of the settlement currency, fixed at the sync; null with a reason where there is none. */
  price: number | null;
  priceReason: PriceReason | null;
  /** By which rate the price came from the base currency; null or absent where that is the settlement currency. */
  rate?: LineRate | null;
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
  /** Of own goods: the command that shipped them, so that its repeat is answered as the first was. */
  command?: string;
}

/** What came back of a package after it was shipped, over all returns. The package holds the same as its supply order. */
export interface ReturnedDoc {
  lines: LineUnits[];
  /** Minor units of the settlement currency. */
  refunded: number;
  charged: number;
}

/** A push that waits for the operator of a 3PL's warehouse; its supply order is the package's once it was taken. */
export interface OutboundPushDoc {
  supplyOrder: string;
  warehouse: string;
  /** `withdrawing`: it is not to go on; the operator is asked to cancel what there is. */
  state: 'creating' | 'withdrawing';
  /** Creating it was tried: whether it is there is asked for before anything else. */
  asked: boolean;
  /** The distributor's own allocation, as it was before the transaction. */
  allocated: boolean;
  /** Why it is withdrawn. */
  why: string | null;
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
  /** This attempt's transaction is done, and the operator of the warehouse has not answered for good yet. */
  outbound?: OutboundPushDoc | null;
  /** Waits for an operator's decision. */
  parked: boolean;
  blockers: Blocker[];
  /** What failed, what is held or was undone, what to do; `hint` is absent where it was written before there were any. */
  failure: { code: string; detail: string; held: string; retryable: boolean; hint?: string | null } | null;
  charge: Charge | null;
  supplyOrder: string | null;
  recall: RecallDoc | null;
  shipment: ShipmentDoc | null;
  returned?: ReturnedDoc | null;
  /** The allocation rule that chose its warehouse. */
  allocationRule: string | null;
  /** Handed in by the distributor, a file in `files`; gone when the supply order is completed. */
  label?: { file: string; bytes: number; pages: number; handedInAt: Date } | null;
  /** It is pushed by itself: once, while this is open. */
  autoPush: { open: boolean; lookAt: Date } | null;
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
  lines: { line: string; sku: string; quantity: number; price: number; rate?: LineRate | null }[];
  currency: Currency;
  charge: Charge;
  /** Sealed anew for the supplier's account. */
  recipient: Sealed | null;
  recall: RecallDoc | null;
  shipment: ShipmentDoc | null;
  /** The platform's label as it was printed last, by its SHA-256; gone when the order is completed. */
  printed?: { file: string; hash: string } | null;
  /** What taking goods back costs, fixed at the push. */
  returnFee?: ReturnFee | null;
  returned?: ReturnedDoc | null;
  /** What it was when it was cancelled: beyond `new` its goods had left the shelf. */
  cancelledFrom?: SupplyOrderStatus | null;
  /** Null where the goods lie in the supplier's own warehouse. The operator's number of its outbound order, or its words. */
  outbound?: { state: OutboundState; reference: string | null; detail: string | null } | null;
  /** What of it lies on a shelf again. */
  stockedIn?: { lines: LineUnits[] } | null;
  /** The command of each move, so that its repeat is answered as the first was, however late. */
  moves?: Partial<Record<SupplyOrderMove, string>>;
  /** Given by the supplier's mark rules when it came. */
  tags: string[];
  /** Chosen by the supplier's shipping rules when it came. */
  carrier: CarrierChoice | null;
  /** What is to be done, or was done, to it by itself. */
  auto: (AutoWork & { open: boolean; lookAt: Date }) | null;
  pushedAt: Date;
  updatedAt: Date;
}

/** An after-sale return, only ever inserted. `_id` is derived from the command that made it. */
export interface ReturnDoc {
  _id: string;
  supplyOrder: string;
  package: string;
  supplier: string;
  distributor: string;
  partnership: string;
  lines: (LineUnits & { sku: string })[];
  /** Where the goods were taken in; null where they were not. */
  warehouse: string | null;
  note: string | null;
  /** Minor units. */
  refund: number;
  charge: number;
  currency: Currency;
  at: Date;
}

/** One command for many objects. `_id` is derived from the command. */
export interface BulkDoc {
  _id: string;
  account: string;
  kind: 'push' | 'retry' | 'abandon';
  /** The key that asked, by its id. */
  by: string;
  createdAt: Date;
}

/** `_id` = bulk/number. One object of a bulk operation, and what became of it. */
export interface BulkItemDoc {
  _id: string;
  bulk: string;
  /** An order's or an operation's id. */
  item: string;
  state: 'waiting' | 'begun' | 'done' | 'failed';
  /** Packages whose push has to end first. */
  waitsFor: string[];
  result: Record<string, unknown> | null;
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

/** What a command came to. `_id` = its kind, its document and its id. */
export interface CommandDoc {
  _id: string;
  result: string;
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

const DELIVERY_STATUSES = ['pending', 'parked', 'sent', 'failed'] as const;
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
