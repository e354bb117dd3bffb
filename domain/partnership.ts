/** The moves of a partnership, in one table. Contract: partnership.md, From invitation to partnership. */
import type { Currency, Money } from './money';
import type { FeeSettings } from './pricing';

export const PARTNERSHIP_STATUSES = ['pending_review', 'partnered', 'rejected', 'terminated'] as const;
/** Deleted ones: seen by nobody, emptied of what was applied with; they are kept so that a repeated command is answered alike. */
export const DELETED_STATUSES = ['withdrawn', 'deleted'] as const;
export type PartnershipStatus = (typeof PARTNERSHIP_STATUSES | typeof DELETED_STATUSES)[number];

export type PartnershipSide = 'supplier' | 'distributor';

/** What can be done, in which status, by whom, and what comes of it. Whatever is not here is 409 `invalid_transition`. */
export const PARTNERSHIP_MOVES = {
  approve: { from: 'pending_review', to: 'partnered', by: 'supplier' },
  reject: { from: 'pending_review', to: 'rejected', by: 'supplier' },
  withdraw: { from: 'pending_review', to: 'withdrawn', by: 'distributor' },
  changeTerms: { from: 'partnered', to: 'partnered', by: 'supplier' },
  terminate: { from: 'partnered', to: 'terminated', by: 'either' },
  delete: { from: 'rejected', to: 'deleted', by: 'supplier' },
} as const satisfies Record<string, { from: PartnershipStatus; to: PartnershipStatus; by: PartnershipSide | 'either' }>;
export type PartnershipMove = keyof typeof PARTNERSHIP_MOVES;

/** A pair of accounts has at most one partnership in these. */
export const OPEN_PARTNERSHIP_STATUSES: readonly PartnershipStatus[] = ['pending_review', 'partnered'];

export function canMove(status: PartnershipStatus, move: PartnershipMove): boolean {
  return PARTNERSHIP_MOVES[move].from === status;
}

export function isDeleted(status: PartnershipStatus): boolean {
  return (DELETED_STATUSES as readonly PartnershipStatus[]).includes(status);
}

/** Nothing follows on such a status in this partnership; applying again makes a new one. */
export function isEnded(status: PartnershipStatus): boolean {
  return !OPEN_PARTNERSHIP_STATUSES.includes(status);
}

/** The six steps of a supplier's set-up; it is live once all are done. */
export const SETUP_STEPS = ['base-currency', 'products', 'push-rule', 'bigshop', 'pricing', 'fees'] as const;
export type SetupStep = (typeof SETUP_STEPS)[number];

/** One step of the set-up with what it settles. */
export type SetupCommand =
  | { readonly step: 'base-currency'; readonly currency: Currency }
  | { readonly step: 'bigshop'; readonly name: string; readonly contact: string }
  | { readonly step: 'fees'; readonly fees: FeeSettings }
  | { readonly step: 'products' | 'push-rule' | 'pricing' };

/** Days an invitation is valid. */
export const INVITATION_DAYS = 30;

/** Why a claim does not count now; it is `active` exactly when there is none. catalogue.md, Claims. */
export const CLAIM_CAUSES = ['product_disabled', 'disabled_for_distributor', 'hidden', 'not_partnered'] as const;
export type ClaimCause = (typeof CLAIM_CAUSES)[number];

/** At most this many distribution products per supplier; catalogue.md. */
export const DISTRIBUTION_PRODUCT_LIMIT = 200;

/** What an approval settles; partnership.md. */
export interface Approval {
  readonly customer: { readonly id: string } | { readonly name: string };
  readonly settlementCurrency: Currency;
  readonly level: string | null;
  /** The supplier's warehouses the distributor is given; at least one. */
  readonly warehouses: readonly string[];
  readonly creditLimit: Money | null;
  readonly creditPeriodDays: number | null;
}

/** What a supplier may change of a partnership at any time; what is not given stays. */
export interface Terms {
  readonly level?: string | null;
  /** At least one. */
  readonly warehouses?: readonly string[];
  /** The supplier's own words on the distributor (JSON of `SupplierNote`, some of it), sealed for this partnership. */
  readonly note?: string;
}

/** How the supplier keeps the distributor's contact, and what they wrote down about them. */
export interface SupplierNote {
  readonly company?: string;
  readonly contactName?: string;
  readonly phone?: string | null;
  readonly email?: string | null;
  readonly notes?: string | null;
}

/** A decision on a partnership, as it travels from the API to the transaction. `command` makes its repeat known. */
export type PartnershipCommand = {
  /** The account that decides. */
  readonly party: string;
  readonly command: string;
} & (
  | { readonly move: 'approve'; readonly approval: Approval }
  | { readonly move: 'reject' | 'terminate'; readonly reason: string | null }
  | { readonly move: 'withdraw' | 'delete' }
  | { readonly move: 'changeTerms'; readonly terms: Terms }
);
