/** Which products a distributor sees, and which rule says so. Contract: catalogue.md, Visibility rules. */
import type { PriceReason } from './pricing';

/** At most this many visibility rules per supplier. */
export const VISIBILITY_RULE_LIMIT = 100;

export const VISIBILITY_KINDS = ['only', 'hide', 'scope'] as const;

/** Whom a rule selects: those of a list, everybody, or those of one level. */
export type DistributorScope =
  | { readonly kind: 'list'; readonly distributors: readonly string[] }
  | { readonly kind: 'all' }
  | { readonly kind: 'level'; readonly level: string };

export type ProductScope = { readonly kind: 'all' } | { readonly kind: 'list'; readonly skus: readonly string[] };

export interface VisibilityRule {
  readonly id: string;
  /** 1 is strongest; unique. */
  readonly number: number;
  readonly enabled: boolean;
  /** `only` and `hide` select a list of distributors, `scope` all or one level. */
  readonly kind: (typeof VISIBILITY_KINDS)[number];
  readonly products: ProductScope;
  readonly distributors: DistributorScope;
}

export interface VisibilityDecision {
  readonly visible: boolean;
  /** The one rule that counts for the distributor; null where none selects them. */
  readonly applied: VisibilityRule | null;
  /** The rules that keep the product from those whom no rule shows it to, the strongest first. */
  readonly restrictedBy: readonly VisibilityRule[];
  readonly reason: 'shown_by_rule' | 'hidden_by_rule' | 'restricted' | 'unrestricted';
}

function selects({ distributors: scope }: VisibilityRule, distributor: { id: string; level: string | null }): boolean {
  if (scope.kind === 'all') return true;
  return scope.kind === 'level' ? scope.level === distributor.level : scope.distributors.includes(distributor.id);
}

/** Whether a rule's product scope holds the product. */
export function covers({ products }: VisibilityRule, sku: string): boolean {
  return products.kind === 'all' || products.skus.includes(sku);
}

/** Whoever it does not select does not see its products, unless another rule shows them. */
const restricts = ({ kind, distributors }: VisibilityRule) =>
  kind === 'only' || (kind === 'scope' && distributors.kind === 'level');

/**
 * Whether a distributor sees a product. Of the enabled rules that select the distributor only the strongest counts; what it
 * does not cover is visible exactly when no `only` rule and no `scope` rule with a level covers it.
 */
export function decideVisibility(
  rules: readonly VisibilityRule[],
  distributor: { readonly id: string; readonly level: string | null },
  sku: string,
): VisibilityDecision {
  const enabled = rules.filter((rule) => rule.enabled).sort((a, b) => a.number - b.number);
  const applied = enabled.find((rule) => selects(rule, distributor)) ?? null;
  const restrictedBy = enabled.filter((rule) => restricts(rule) && covers(rule, sku));
  if (applied && covers(applied, sku)) {
    const visible = applied.kind !== 'hide';
    return { visible, applied, restrictedBy, reason: visible ? 'shown_by_rule' : 'hidden_by_rule' };
  }
  const visible = restrictedBy.length === 0;
  return { visible, applied, restrictedBy, reason: visible ? 'unrestricted' : 'restricted' };
}

/** Why a distributor can't see a product; each that holds, in this order. */
export const UNSEEN_CAUSES = [
  'not_partnered',
  'product_publishing',
  'product_disabled',
  'disabled_for_distributor',
  'hidden_by_rule',
  'restricted',
  'no_warehouse',
  'price_missing',
  'exchange_rate_missing',
] as const;

export interface UnseenCause {
  readonly code: (typeof UNSEEN_CAUSES)[number];
  readonly detail: string;
}

/** Every cause that keeps a product from a distributor; none means that they see it. */
export function whyUnseen(facts: {
  readonly partnership: string;
  readonly product: 'publishing' | 'enabled' | 'disabled';
  readonly disabledFor: boolean;
  readonly warehouses: number;
  /** What there would have to be for a price. */
  readonly missing: readonly PriceReason[];
  readonly visibility: VisibilityDecision;
}): UnseenCause[] {
  const { visibility, missing } = facts;
  const named = (rules: readonly VisibilityRule[]) => rules.map(({ number }) => number).join(', ');
  const held: readonly [boolean, UnseenCause['code'], string][] = [
    [facts.partnership !== 'partnered', 'not_partnered', `The partnership is ${facts.partnership}`],
    [facts.product === 'publishing', 'product_publishing', 'The product is being published'],
    [facts.product === 'disabled', 'product_disabled', 'The product is disabled'],
    [facts.disabledFor, 'disabled_for_distributor', 'The product is disabled for this distributor'],
    [
      visibility.reason === 'hidden_by_rule',
      'hidden_by_rule',
      `Rule ${visibility.applied?.number} applies to them and hides it`,
    ],
    [
      visibility.reason === 'restricted',
      'restricted',
      `Rules restrict it to others (${named(visibility.restrictedBy)}), and ${
        visibility.applied
          ? `rule ${visibility.applied.number}, which applies to them, does not hold it`
          : 'none applies to them'
      }`,
    ],
    [facts.warehouses === 0, 'no_warehouse', 'They were given no warehouse'],
    [missing.includes('price_missing'), 'price_missing', 'It has no price at their level'],
    [
      missing.includes('exchange_rate_missing'),
      'exchange_rate_missing',
      'There is no rate to their settlement currency',
    ],
  ];
  return held.flatMap(([holds, code, detail]) => (holds ? [{ code, detail }] : []));
}
