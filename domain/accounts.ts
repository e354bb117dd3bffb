/** Accounts, plans and permissions. Contract: partnership.md, Accounts. */

/** Lowest first. */
export const PLANS = ['free', 'basic', 'v1', 'v2', 'v3'] as const;
export type Plan = (typeof PLANS)[number];

/** The lowest plan of a supplier. */
export const SUPPLIER_PLAN: Plan = 'v2';

export function planReaches(plan: Plan, needed: Plan): boolean {
  return PLANS.indexOf(plan) >= PLANS.indexOf(needed);
}

/** Platforms whose stores a plan leaves out of the stock push. Contract: stock-push.md, Fan-out. */
const EXCLUDED: Partial<Record<Plan, readonly string[]>> = { free: ['tokopedia'] };

/** Whether stores of a platform are skipped on a plan. */
export function planExcludes(plan: Plan, platform: string): boolean {
  return EXCLUDED[plan]?.includes(platform) ?? false;
}

export const PERMISSIONS = [
  'distribution',
  'inventory',
  'orders',
  'billing',
  'stores',
  'settings',
  'operate',
  'admin',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** `admin` is all of the others. */
export function isPermitted(held: readonly Permission[], needed: Permission): boolean {
  return held.includes('admin') || held.includes(needed);
}

/** The calendar month (UTC) an order quota is counted in, e.g. "2026-11". */
export function quotaMonth(now: Date): string {
  return now.toISOString().slice(0, 7);
}
