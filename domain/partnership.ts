/** The moves of a partnership, in one table. Contract: partnership.md, From invitation to partnership. */
import type { Currency, Money } from './money';

export const PARTNERSHIP_STATUSES = ['pending_review', 'partnered', 'rejected', 'terminated', 'withdrawn'] as const;
export type PartnershipStatus = (typeof PARTNERSHIP_STATUSES)[number];

export const PARTNERSHIP_MOVES = {
  approve: { from: 'pending_review', to: 'partnered', by: 'supplier' },
  reject: { from: 'pending_review', to: 'rejected', by: 'supplier' },
  withdraw: { from: 'pending_review', to: 'withdrawn', by: 'distributor' },
  terminate: { from: 'partnered', to: 'terminated', by: 'either' },
} as const satisfies Record<
  string,
  { from: PartnershipStatus; to: PartnershipStatus; by: 'supplier' | 'distributor' | 'either' }
>;
export type PartnershipMove = keyof typeof PARTNERSHIP_MOVES;

/** A pair of accounts has at most one partnership in these. */
export const OPEN_PARTNERSHIP_STATUSES: readonly PartnershipStatus[] = ['pending_review', 'partnered'];

export function canMove(status: PartnershipStatus, move: PartnershipMove): boolean {
  return PARTNERSHIP_MOVES[move].from === status;
}

/** The six steps of a supplier's set-up; it is live once all are done. */
export const SETUP_STEPS = ['base-currency', 'products', 'push-rule', 'bigshop', 'pricing', 'fees'] as const;
export type SetupStep = (typeof SETUP_STEPS)[number];

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
