/**
 * Which quantity a store gets. Contract: stock-push.md. The lane, the preview, the check of listings and the benches call
 * these functions; they read nothing but what they are given. Quantities are whole units, percentages whole numbers.
 */

export type SkuScope =
  | { readonly kind: 'all' }
  | { readonly kind: 'list'; readonly skus: readonly string[] }
  /** Every SKU with a connected listing in one of these stores. */
  | { readonly kind: 'stores'; readonly stores: readonly string[] }
  | { readonly kind: 'categories'; readonly categories: readonly string[] };

export type RuleQuantity =
  | { readonly kind: 'real' }
  /** 0–100. */
  | { readonly kind: 'partial'; readonly percent: number }
  /** 0–2000, and so many more. */
  | { readonly kind: 'virtual'; readonly percent: number; readonly plus: number };

export const INVENTORY_TYPES = ['sellable', 'sellablePlusInTransit'] as const;
export type InventoryType = (typeof INVENTORY_TYPES)[number];

export interface LowStock {
  readonly threshold: number;
  /** The priority store, one of the rule's. */
  readonly store: string;
}

/** On platforms whose listings can be in pre-order. */
export interface PreOrderSettings {
  readonly enableAtOrBelow: number;
  readonly add: number;
  /** At least `enableAtOrBelow`. */
  readonly closeAbove: number;
  readonly daysToShip: number;
}

export interface PushRule {
  readonly id: string;
  readonly name: string;
  readonly enabled: boolean;
  /** Unique within the account; the smallest is the strongest. */
  readonly priority: number;
  /** Grows by one with every saving. */
  readonly revision: number;
  readonly skus: SkuScope;
  readonly warehouses: readonly string[];
  readonly stores: readonly string[];
  readonly inventoryType: InventoryType;
  readonly quantity: RuleQuantity;
  readonly zeroBelow: number | null;
  readonly lowStock: LowStock | null;
  readonly preOrder: PreOrderSettings | null;
}

export const PUSH_RULE_LIMIT = 200;
export const RULE_SKU_LIMIT = 5000;
export const PARTIAL_MOST = 100;
export const VIRTUAL_MOST = 2000;

/** What one warehouse has of a SKU; of a combination, whole sets. */
export interface StockLevel {
  readonly available: number;
  readonly inTransit: number;
}

/** What is known of a SKU at the moment of deciding. */
export interface SkuFacts {
  readonly sku: string;
  readonly category: string | null;
  /** Stores with a connected listing of it. */
  readonly mappedIn: ReadonlySet<string>;
  /** By warehouse; what is missing counts as 0. */
  readonly levels: ReadonlyMap<string, StockLevel>;
  /** False where it is claimed and nothing supplies it: then it is zero whatever the rules say. */
  readonly active: boolean;
}

/** Lists of thousands are asked for each SKU: each is turned into a set once. */
const sets = new WeakMap<readonly string[], ReadonlySet<string>>();
function setOf(list: readonly string[]): ReadonlySet<string> {
  const known = sets.get(list) ?? new Set(list);
  sets.set(list, known);
  return known;
}

export type RuleSku = Pick<SkuFacts, 'sku' | 'category' | 'mappedIn'>;

/** Whether the rule's SKUs hold this one now. */
export function ruleContains({ skus: scope }: Pick<PushRule, 'skus'>, sku: RuleSku): boolean {
  switch (scope.kind) {
    case 'all':
      return true;
    case 'list':
      return setOf(scope.skus).has(sku.sku);
    case 'stores':
      return scope.stores.some((store) => sku.mappedIn.has(store));
    case 'categories':
      return sku.category !== null && setOf(scope.categories).has(sku.category);
  }
}

/** Of the enabled rules that contain the SKU, the one with the smallest priority, whatever its stores. */
export function chooseRule(rules: readonly PushRule[], sku: RuleSku): PushRule | null {
  let chosen: PushRule | null = null;
  for (const rule of rules)
    if (rule.enabled && (chosen === null || rule.priority < chosen.priority) && ruleContains(rule, sku)) chosen = rule;
  return chosen;
}

export interface PassedOver {
  readonly id: string;
  readonly name: string;
  readonly priority: number;
  readonly reason: 'disabled' | 'sku_not_in_rule' | 'weaker';
}

/** Why the other rules do not run for the SKU, the strongest first. */
export function passedOver(rules: readonly PushRule[], sku: RuleSku): PassedOver[] {
  const chosen = chooseRule(rules, sku);
  return rules
    .filter(({ id }) => id !== chosen?.id)
    .sort((a, b) => a.priority - b.priority)
    .map((rule) => ({
      id: rule.id,
      name: rule.name,
      priority: rule.priority,
      reason: !rule.enabled ? 'disabled' : ruleContains(rule, sku) ? 'weaker' : 'sku_not_in_rule',
    }));
}

/** Low stock counts only above zeroBelow: below that everything is 0 before it is looked at. */
export function lowStockCounts(rule: {
  readonly zeroBelow: number | null;
  readonly lowStock: { readonly threshold: number } | null;
}): boolean {
  return rule.lowStock !== null && rule.lowStock.threshold > (rule.zeroBelow ?? 0);
}

/** Q of the contract. Rounded down; the numbers stay below 2^53. */
export function ruleQuantity(quantity: RuleQuantity, total: number): number {
  switch (quantity.kind) {
    case 'real':
      return total;
    case 'partial':
      return Math.floor((total * quantity.percent) / 100);
    case 'virtual':
      return Math.floor((total * quantity.percent) / 100) + quantity.plus;
  }
}

/** One step of the calculation with its numbers, for people. */
export interface Step {
  readonly step: 'stock' | 'zeroBelow' | 'lowStock' | 'quantity' | 'preOrder' | 'platform';
  /** Whether it decided something. */
  readonly applies: boolean;
  readonly numbers: Readonly<Record<string, number>>;
}

/** What a platform's listings can do and hold. */
export interface StoreCapabilities {
  readonly preOrder: boolean;
  /** The largest quantity that a listing holds there. */
  readonly largestQuantity: number;
}

/** What the listing's pre-order switch has to be. */
export interface PreOrderDecision {
  readonly on: boolean;
  readonly daysToShip: number;
  /** What the listing gets where the platform refuses to put it in pre-order. */
  readonly without: number;
}

const NO_PRE_ORDER: PreOrderDecision = { on: false, daysToShip: 0, without: 0 };

export type QuantityDecision =
  | {
      readonly kind: 'send';
      readonly quantity: number;
      /** Null where no rule decides: nothing supplies the SKU. */
      readonly rule: { readonly id: string; readonly revision: number } | null;
      /** Null where the platform has no pre-order. */
      readonly preOrder: PreOrderDecision | null;
      /** Larger than the platform takes: this is what the rule gives. */
      readonly capped: number | null;
      readonly steps: readonly Step[];
    }
  | { readonly kind: 'skip'; readonly reason: SkipReason };
export type SkipReason = 'no_push_rule' | 'store_not_in_rule' | 'automatic_off';

export interface QuantityInput {
  readonly rules: readonly PushRule[];
  readonly sku: SkuFacts;
  readonly store: string;
  readonly can: StoreCapabilities;
  /** The listing is synchronised by itself. */
  readonly automatic: boolean;
  /** Push Now and "sync now": also where it is not. */
  readonly forced: boolean;
  /** Whether this (rule, SKU, store) was in pre-order before. */
  readonly wasInPreOrder: (rule: string) => boolean;
}

/** What a listing gets that nothing supplies: 0 under no rule, and no pre-order. */
export const unsupplied = ({ preOrder }: Pick<StoreCapabilities, 'preOrder'>): QuantityDecision & { kind: 'send' } => ({
  ...{ kind: 'send', quantity: 0, rule: null, capped: null, steps: [] },
  preOrder: preOrder ? NO_PRE_ORDER : null,
});

/** What one listing gets now. */
export function decideQuantity(input: QuantityInput): QuantityDecision {
  if (!input.sku.active) return unsupplied(input.can);
  if (!input.automatic && !input.forced) return { kind: 'skip', reason: 'automatic_off' };
  const rule = chooseRule(input.rules, input.sku);
  if (rule === null) return { kind: 'skip', reason: 'no_push_rule' };
  if (!rule.stores.includes(input.store)) return { kind: 'skip', reason: 'store_not_in_rule' };
  return underRule(rule, input.sku.levels, input);
}

/**
 * What one store gets under one rule: the four steps of the contract. What a listing should have under a rule of before is
 * asked for here, with that revision.
 */
export function underRule(
  rule: PushRule,
  levels: SkuFacts['levels'],
  { store, can, wasInPreOrder }: Pick<QuantityInput, 'store' | 'can' | 'wasInPreOrder'>,
): QuantityDecision & { kind: 'send' } {
  const stock = ruleStock(rule, levels);
  const { total } = stock;
  const zero = rule.zeroBelow !== null && total < rule.zeroBelow;
  const low = !zero && lowStockCounts(rule) && total < (rule.lowStock?.threshold ?? 0);
  const without = zero || (low && rule.lowStock?.store !== store);
  const base = without ? 0 : ruleQuantity(rule.quantity, total);
  const steps: Step[] = [{ step: 'stock', applies: true, numbers: { ...stock } }];
  if (rule.zeroBelow !== null)
    steps.push({ step: 'zeroBelow', applies: zero, numbers: { threshold: rule.zeroBelow, total } });
  if (rule.lowStock !== null && !zero)
    steps.push({ step: 'lowStock', applies: low, numbers: { threshold: rule.lowStock.threshold, total } });
  if (!without) steps.push({ step: 'quantity', applies: true, numbers: { ...numbersOf(rule.quantity), total, base } });

  let quantity = base;
  let preOrder: PreOrderDecision | null = can.preOrder ? NO_PRE_ORDER : null;
  if (can.preOrder && rule.preOrder !== null) {
    const { enableAtOrBelow, closeAbove, add, daysToShip } = rule.preOrder;
    const was = wasInPreOrder(rule.id);
    // A store set to 0 by the steps before keeps its state.
    const on = without ? was : total <= enableAtOrBelow || (was && total <= closeAbove);
    preOrder = { on, daysToShip, without: Math.min(base, can.largestQuantity) };
    if (!without) {
      if (on) quantity += add;
      steps.push({
        step: 'preOrder',
        applies: on,
        numbers: { enableAtOrBelow, closeAbove, add, total, was: Number(was), quantity },
      });
    }
  }
  const capped = quantity > can.largestQuantity ? quantity : null;
  if (capped !== null) {
    quantity = can.largestQuantity;
    steps.push({ step: 'platform', applies: true, numbers: { largestQuantity: quantity } });
  }
  return { kind: 'send', quantity, rule: { id: rule.id, revision: rule.revision }, preOrder, capped, steps };
}

const NOTES_BEGIN = {
  capped: 'the platform takes at most ',
  preOrderRefused: 'pre-order was refused: ',
  floor: "the platform's floor is ",
} as const;
type PushNote = keyof typeof NOTES_BEGIN;

/** What a record says besides of a quantity that was accepted, where it is not what the four steps give. */
export const PUSH_NOTES = {
  capped: (sent: number, given: number) => `${NOTES_BEGIN.capped}${sent}, the rule gives ${given}`,
  preOrderRefused: (words: string) => `${NOTES_BEGIN.preOrderRefused}${words}`,
  floor: (sent: number, words: string) => `${NOTES_BEGIN.floor}${sent}: ${words}`,
} as const satisfies Record<PushNote, unknown>;

/** Which of them a record begins with; null: something else. */
export const pushNoteOf = (error: string): PushNote | null =>
  (Object.keys(NOTES_BEGIN) as PushNote[]).find((note) => error.startsWith(NOTES_BEGIN[note])) ?? null;

const numbersOf = (quantity: RuleQuantity): Record<string, number> => {
  switch (quantity.kind) {
    case 'real':
      return {};
    case 'partial':
      return { percent: quantity.percent };
    case 'virtual':
      return { percent: quantity.percent, plus: quantity.plus };
  }
};

/** A of the contract: what the rule's warehouses have together. */
export function ruleStock(
  rule: Pick<PushRule, 'warehouses' | 'inventoryType'>,
  levels: SkuFacts['levels'],
): { available: number; inTransit: number; total: number } {
  let available = 0;
  let inTransit = 0;
  for (const warehouse of rule.warehouses) {
    const level = levels.get(warehouse);
    available += level?.available ?? 0;
    if (rule.inventoryType === 'sellablePlusInTransit') inTransit += level?.inTransit ?? 0;
  }
  return { available, inTransit, total: available + inTransit };
}

/** The supplier's rule to all distributors: the full quantity of each warehouse, one to one. Only these settings are its own. */
export interface DistributionRule {
  readonly revision: number;
  readonly zeroBelow: number | null;
  readonly lowStock: { readonly threshold: number; readonly distributor: string } | null;
}
export const DEFAULT_DISTRIBUTION_RULE: DistributionRule = { revision: 1, zeroBelow: null, lowStock: null };
/** What the system fixed. */
export const SYSTEM_RULE_FIELDS = ['name', 'skus', 'warehouses', 'quantity', 'receivers'] as const;

/**
 * Whether a distributor receives what there is, or 0: the first two steps of the quantity.
 * @param total units available over the distribution warehouses
 */
export function distributorReceives(rule: DistributionRule, total: number, distributor: string): boolean {
  const { zeroBelow, lowStock } = rule;
  if (zeroBelow !== null && total < zeroBelow) return false;
  const isLow = lowStockCounts(rule) && total < (lowStock?.threshold ?? 0);
  return !isLow || lowStock?.distributor === distributor;
}
