/** Sales of a distribution product. Contract: catalogue.md, Distribution products. */

export const DAY_MS = 86_400_000;

/** Rolling 24-hour days. */
export const SALES_WINDOWS_DAYS = [3, 7, 15, 30, 60, 90] as const;

/**
 * Units sold per day in a window: units ÷ days, where days = min(window, whole days since the first sale, at least 1).
 * @param sinceFirstSaleMs null where nothing was ever sold
 */
export function dailyAverage(units: number, windowDays: number, sinceFirstSaleMs: number | null): number {
  const wholeDays = Math.max(1, Math.floor((sinceFirstSaleMs ?? 0) / DAY_MS));
  return units / Math.min(windowDays, wholeDays);
}
