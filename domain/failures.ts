/**
 * The one catalogue of failures: what each is called, how it is answered over HTTP, whether trying again can help, how
 * loudly it is logged and what an operator can do. Activities translate into it, `api/problems.ts` translates out of it.
 */

interface FailureKind {
  readonly status: number;
  readonly title: string;
  /** The same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  readonly level: 'warn' | 'error';
  /** For operators: what to look at, what to do. */
  readonly hint?: string;
}

const refusal = (status: number, title: string, hint?: string): FailureKind => ({
  status,
  title,
  retryable: false,
  level: 'warn',
  ...(hint === undefined ? {} : { hint }),
});

export const FAILURES = {
  // The request itself
  invalid_input: refusal(422, 'The request holds values that cannot be accepted'),
  malformed_json: refusal(400, 'The body is not valid JSON'),
  body_too_large: refusal(413, 'The body is larger than allowed'),
  unsupported_media_type: refusal(415, 'The body must be application/json'),
  idempotency_key_required: refusal(400, 'This call moves money or goods and needs an Idempotency-Key header'),
  idempotency_key_invalid: refusal(400, 'The Idempotency-Key header must be 1 to 200 visible characters'),
  idempotency_key_reused: refusal(422, 'This Idempotency-Key was used with another request'),
  idempotency_in_progress: {
    ...refusal(409, 'The first request with this Idempotency-Key is still running'),
    retryable: true,
  },
  rate_limited: { ...refusal(429, 'Too many requests with this key'), retryable: true },
  unauthenticated: refusal(401, 'An API key is needed, or the one given is not known'),
  bad_signature: refusal(401, 'The signature does not fit the body'),
  stale_timestamp: refusal(401, 'The time in the message is too old or too far ahead'),
  permission_missing: refusal(403, 'The API key does not have the permission for this'),
  plan_too_low: refusal(403, "The account's plan does not include this"),
  not_found: refusal(404, 'Not found'),
  method_not_allowed: refusal(405, 'The path exists, but not with this method'),

  // Accounts and set-up
  inventory_off: refusal(
    409,
    "The account's Inventory switch is off",
    'Turn it on with PATCH /v1/account {"inventoryEnabled":true}',
  ),
  setup_incomplete: refusal(409, 'The Distribution set-up is not live yet'),
  already_activated: refusal(409, 'Distribution is active already'),
  base_currency_fixed: refusal(409, 'The base currency cannot change once an order has been pushed'),

  // Partnership
  invitation_invalid: refusal(422, 'The invitation is not valid'),
  partnership_exists: refusal(409, 'There is an open application or partnership between the two accounts'),
  invalid_transition: refusal(409, 'The current status does not allow this'),
  immutable: refusal(422, 'This can not be changed'),
  balance_open: refusal(409, 'The balance of the former partnership is not settled'),
  customer_in_use: refusal(409, 'The customer was linked to a partnership'),

  // Catalogue and stock
  sku_taken: refusal(409, 'The account has a SKU with this code'),
  name_taken: refusal(409, 'The name is taken'),
  sku_in_use: refusal(409, 'The SKU is still needed'),
  insufficient_stock: refusal(409, 'Not enough is available'),
  quantity_below_zero: refusal(409, 'The change would make a quantity negative'),
  stock_is_mirrored: refusal(409, 'The stock is mirrored from its source and read-only here'),
  level_limit: refusal(409, 'A supplier has at most 10 levels'),
  level_in_use: refusal(409, 'The level is in use', 'Give those named another level first'),
  visibility_rule_limit: refusal(409, 'A supplier has at most 100 visibility rules'),
  rule_number_taken: refusal(409, 'Another visibility rule has this number'),
  distribution_product_limit: refusal(409, 'A supplier has at most 200 distribution products'),
  combination_not_supported: refusal(422, 'Combination SKUs can not be distributed'),
  sub_distribution_not_allowed: refusal(422, 'A claimed SKU can not be distributed on'),
  publish_in_progress: refusal(409, 'The product is being published'),
  already_claimed: refusal(409, 'The product is claimed already'),
  file_unreadable: refusal(
    422,
    'The file can not be read as a table',
    '`problem` and the detail say what to mend in the file',
  ),
  import_not_undoable: refusal(409, 'The import can not be undone'),
  import_undone: refusal(409, 'The import was undone already'),
  claim_in_use: refusal(409, 'Unfinished orders hold the claim'),
  not_claimable: refusal(409, 'The product can not be claimed now'),

  // Stores and listings
  store_taken: refusal(409, 'The shop belongs to an account already'),
  platform_not_configured: refusal(
    409,
    'This platform is not configured on this hub',
    "Set the platform's variables (see .env.example)",
  ),
  state_invalid: refusal(422, 'The authorisation state is unknown, used or expired'),
  needs_authorization: refusal(
    409,
    'The store must be authorised again by its owner',
    'Open GET /v1/stores/{id}/authorization-url and follow it',
  ),
  store_disconnected: refusal(409, 'The store is disconnected'),
  push_rule_limit: refusal(409, 'An account has at most 200 push rules'),
  rule_sku_limit: refusal(422, 'A push rule names at most 5000 SKUs'),
  priority_taken: refusal(409, 'Another rule has this priority'),
  rule_is_system: refusal(422, 'This rule is made by the system; only its other settings can be changed'),
  no_push_rule: refusal(409, 'No enabled push rule contains the SKU'),

  // Orders
  push_blocked: refusal(
    409,
    'The package can not be pushed',
    'Each blocker’s `hint` says what to do; then push again: a new attempt',
  ),
  not_pushable: refusal(
    409,
    'The package is not in a state that can be pushed',
    '`currentStatus` and the detail say where it stands; what is recalled or cancelled is over',
  ),
  not_shippable: refusal(409, 'The package is not the account’s to ship'),
  cancel_not_possible: refusal(409, 'The order can not be cancelled any more'),
  recall_not_possible: refusal(409, 'The package can not be recalled any more'),
  outbound_refused: refusal(
    409,
    'The operator of the warehouse refused the outbound order',
    'Settle with the operator what its words name, then push the package again',
  ),
  recall_refused: refusal(
    409,
    'The recall was refused',
    'Ask again while the supply order is not shipped, or settle it',
  ),
  not_pushed: refusal(409, 'The package was not pushed'),
  return_exceeds_shipped: refusal(422, 'More would be returned than was shipped and not returned yet'),
  refund_exceeds_charge: refusal(422, 'More would be refunded than was charged for these lines'),
  tracking_differs: refusal(
    409,
    'The platform has another tracking number',
    'Settle which parcel left; correct the number at the platform and retry, or abandon: the platform keeps its own',
  ),
  labels_unavailable: refusal(422, 'None of the labels can be had'),
  label_unreadable: refusal(422, 'The label can not be read as a PDF'),
  label_not_taken: refusal(409, 'The label of this package is not the distributor’s to hand in'),
  stock_in_exceeds_order: refusal(422, 'More would be stocked in than left the shelf for this order'),
  currency_mismatch: refusal(422, 'The amount is not in the currency of the account'),
  exchange_rate_missing: refusal(
    409,
    'There is no exchange rate for this',
    'Set a fixed one with PUT /v1/exchange-rates, or configure RATES_URL on the hub',
  ),
  transaction_id_reused: refusal(409, 'The transaction id was booked with another amount'),

  // Notifications
  channel_not_configured: refusal(
    409,
    'This channel is not set up',
    'E-mail: set SMTP_URL and SMTP_FROM on the hub. The account: PUT /v1/notification-subscriptions',
  ),
  delivery_refused: refusal(
    409,
    'The receiver refuses this notification for good',
    'Mend the address with PUT /v1/notification-subscriptions, then retry',
  ),
  delivery_failed: {
    status: 503,
    title: 'The notification could not be delivered',
    retryable: true,
    level: 'warn',
    hint: 'It is tried again by itself; past its tries: look at the receiver, then retry',
  },

  // Operations
  abandoned: refusal(409, 'Given up by an operator, or because nobody decided in time', 'Push again: a new attempt'),
  operation_not_parked: refusal(409, 'The operation is not waiting for a decision'),

  // Ours and our neighbours'
  unavailable: {
    status: 503,
    title: 'A part of the hub can not be reached',
    retryable: true,
    level: 'error',
    hint: 'Check MongoDB and Temporal with GET /readyz; nothing was left half-done',
  },
  platform_unavailable: {
    status: 503,
    title: 'The platform can not be reached',
    retryable: true,
    level: 'warn',
    hint: 'It is tried again by itself; look at the platform’s status page if it lasts',
  },
  platform_rejected: {
    status: 409,
    title: 'The platform refused',
    retryable: false,
    level: 'warn',
    hint: 'The platform’s own words say why',
  },
  internal: {
    status: 500,
    title: 'Something went wrong on our side',
    retryable: true,
    level: 'error',
    hint: 'Find the log line by its request id',
  },
} as const satisfies Record<string, FailureKind>;

export type FailureCode = keyof typeof FAILURES;

/** What to do about it; empty where the detail says all. */
export const hintOf = (code: FailureCode): string => (FAILURES[code] as FailureKind).hint ?? '';

/** One place in the input that is wrong. `pointer` is a JSON pointer (RFC 6901). */
export interface InputProblem {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

/** Members that each problem body has of its own (RFC 9457): an object's status is told as `currentStatus`. */
type ReservedMembers = { readonly [Name in 'type' | 'title' | 'status' | 'detail' | 'code' | 'errors']?: never };

export interface FailureExtra {
  /** Members added to the problem body, e.g. `available`, `blockers`, `permission`. Nothing internal. */
  readonly members?: Readonly<Record<string, unknown>> & ReservedMembers;
  readonly errors?: readonly InputProblem[];
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** Every failure the hub raises on purpose. `detail` is for people and holds nothing internal. */
export class HubError extends Error {
  override readonly name = 'HubError';
  constructor(
    readonly code: FailureCode,
    readonly detail: string,
    readonly extra: FailureExtra = {},
  ) {
    super(`${code}: ${detail}`, extra.cause === undefined ? undefined : { cause: extra.cause });
  }
  get retryable(): boolean {
    return FAILURES[this.code].retryable;
  }
}

/** True for a `HubError`, also across module copies and test realms, where `instanceof` fails. */
export function isHubError(error: unknown): error is HubError {
  return error instanceof Error
    ? error.name === 'HubError'
    : typeof error === 'object' && error !== null && (error as { name?: unknown }).name === 'HubError';
}
