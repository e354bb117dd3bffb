/**
 * Which quantity a store gets. Contract: stock-push.md. The lane, the preview and the bench call these functions.
 * Rules with the quantity `real` exist so far; the shape holds the others.
 */

export interface PushRule {
  readonly id: string;
  readonly name: string;
  readonly enabled: boolean;
  /** Unique within the account; the smallest is the strongest. */
  readonly priority: number;
  /** Grows by one with every saving. */
  readonly revision: number;
  readonly skus: { readonly kind: 'all' } | { readonly kind: 'list'; readonly skus: readonly string[] };
  readonly warehouses: readonly string[];
  readonly stores: readonly string[];
  readonly quantity: { readonly kind: 'real' };
}

export const PUSH_RULE_LIMIT = 200;
export const RULE_SKU_LIMIT = 5000;

export function ruleContains(rule: PushRule, sku: string): boolean {
  return rule.skus.kind === 'all' || rule.skus.skus.includes(sku);
}

/** Of the enabled rules that contain the SKU, the one with the smallest priority, whatever its stores. */
export function chooseRule(rules: readonly PushRule[], sku: string): PushRule | null {
  let chosen: PushRule | null = null;
  for (const rule of rules)
    if (rule.enabled && ruleContains(rule, sku) && (chosen === null || rule.priority < chosen.priority)) chosen = rule;
  return chosen;
}

export type QuantityDecision =
  | {
      readonly kind: 'send';
      readonly quantity: number;
      readonly rule: { id: string; revision: number } | null;
      readonly why: string;
    }
  | { readonly kind: 'skip'; readonly reason: 'no_push_rule' | 'store_not_in_rule' | 'automatic_off' };

/**
 * What one listing gets now.
 * @param available units available of the SKU by warehouse id; what is missing counts as 0
 * @param active false where the SKU is claimed and its claim counts for nothing: then it is zero whatever the rules say
 */
export function decideQuantity(input: {
  readonly rules: readonly PushRule[];
  readonly sku: string;
  readonly store: string;
  readonly available: ReadonlyMap<string, number>;
  readonly active: boolean;
  readonly automatic: boolean;
  readonly forced: boolean;
}): QuantityDecision {
  if (!input.active) return { kind: 'send', quantity: 0, rule: null, why: 'nothing supplies the SKU' };
  if (!input.automatic && !input.forced) return { kind: 'skip', reason: 'automatic_off' };
  const rule = chooseRule(input.rules, input.sku);
  if (rule === null) return { kind: 'skip', reason: 'no_push_rule' };
  if (!rule.stores.includes(input.store)) return { kind: 'skip', reason: 'store_not_in_rule' };
  const total = rule.warehouses.reduce((sum, warehouse) => sum + (input.available.get(warehouse) ?? 0), 0);
  return {
    kind: 'send',
    quantity: total,
    rule: { id: rule.id, revision: rule.revision },
    why: `real quantity of ${total}`,
  };
}
