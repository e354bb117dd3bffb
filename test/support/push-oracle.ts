/**
 * What a store gets, once more and by itself: written from the page alone, step by step, in exact arithmetic of long numbers,
 * sharing no code with the rules it judges.
 */
import type { PushRule } from '../../domain/push-rules';

export interface OracleSku {
  readonly code: string;
  readonly category: string | null;
  readonly soldIn: readonly string[];
  /** Warehouse, available, in transit. */
  readonly stock: readonly (readonly [string, number, number])[];
  readonly supplied: boolean;
}

export interface OracleStore {
  readonly id: string;
  readonly hasPreOrder: boolean;
  /** By rule. */
  readonly inPreOrder: Readonly<Record<string, boolean>>;
}

export type OracleAnswer =
  | { readonly written: false }
  | {
      readonly written: true;
      readonly quantity: string;
      readonly rule: string | null;
      readonly preOrder: boolean | null;
    };

/** The one rule that runs for the SKU, by the page: enabled, contains it, smallest priority. */
export function oracleRule(rules: readonly PushRule[], sku: OracleSku): PushRule | undefined {
  const candidates: PushRule[] = [];
  for (const rule of rules) {
    if (!rule.enabled) continue;
    if (rule.skus.kind === 'list' && !rule.skus.skus.some((one) => one === sku.code)) continue;
    if (rule.skus.kind === 'stores' && !rule.skus.stores.some((one) => sku.soldIn.some((store) => store === one)))
      continue;
    if (rule.skus.kind === 'categories' && !rule.skus.categories.some((one) => one === sku.category)) continue;
    candidates.push(rule);
  }
  candidates.sort((left, right) => left.priority - right.priority);
  return candidates[0];
}

/** What one listing gets, with its automatic switch on. */
export function oracle(rules: readonly PushRule[], sku: OracleSku, store: OracleStore): OracleAnswer {
  if (!sku.supplied) return { written: true, quantity: '0', rule: null, preOrder: store.hasPreOrder ? false : null };
  const rule = oracleRule(rules, sku);
  if (!rule || rule.stores.indexOf(store.id) === -1) return { written: false };

  let a = 0n;
  for (const [warehouse, available, inTransit] of sku.stock)
    if (rule.warehouses.indexOf(warehouse) !== -1) {
      a += BigInt(available);
      if (rule.inventoryType === 'sellablePlusInTransit') a += BigInt(inTransit);
    }

  const was = store.inPreOrder[rule.id] === true;
  const answer = (quantity: bigint, preOrder: boolean): OracleAnswer => ({
    written: true,
    quantity: String(quantity),
    rule: rule.id,
    preOrder: store.hasPreOrder ? preOrder : null,
  });
  const kept = rule.preOrder !== null && was;

  // 1.
  if (rule.zeroBelow !== null && a < BigInt(rule.zeroBelow)) return answer(0n, kept);
  // 2.
  if (rule.lowStock !== null) {
    const { threshold, store: priority } = rule.lowStock;
    const isIgnored = rule.zeroBelow !== null && !(threshold > rule.zeroBelow);
    if (!isIgnored && a < BigInt(threshold) && store.id !== priority) return answer(0n, kept);
  }
  // 3.
  let q = a;
  if (rule.quantity.kind === 'partial') q = (a * BigInt(rule.quantity.percent)) / 100n;
  if (rule.quantity.kind === 'virtual') q = (a * BigInt(rule.quantity.percent)) / 100n + BigInt(rule.quantity.plus);
  // 4.
  if (!store.hasPreOrder || rule.preOrder === null) return answer(q, false);
  let on = was;
  if (a <= BigInt(rule.preOrder.enableAtOrBelow)) on = true;
  else if (a > BigInt(rule.preOrder.closeAbove)) on = false;
  return answer(on ? q + BigInt(rule.preOrder.add) : q, on);
}
