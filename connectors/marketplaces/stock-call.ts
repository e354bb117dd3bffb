/** What holds for a stock call on every platform, whatever its wire looks like. */
import { type Platform, type PlatformCapabilities, PlatformError, type StockEntry } from '../port';

/**
 * Refuses a call that the platform would not take either, before anything is sent.
 * @throws PlatformError `rejected` / `invalid_call`: the caller composed it wrongly; repeating it is useless.
 */
export function checkStockCall(
  platform: Platform,
  stockCall: PlatformCapabilities['stockCall'],
  entries: readonly StockEntry[],
): void {
  const refuse = (why: string) => {
    throw new PlatformError('rejected', platform, 'invalid_call', `Stock call: ${why}`);
  };
  if (entries.length === 0) refuse('no entries');
  if (entries.length > stockCall.maxEntries) refuse(`more than ${stockCall.maxEntries} entries`);
  if (stockCall.grouping === 'oneItem' && new Set(entries.map((entry) => entry.itemId)).size > 1) {
    refuse('entries of more than one item');
  }
  if (new Set(entries.map((entry) => `${entry.itemId}/${entry.modelId}`)).size < entries.length) {
    refuse('two entries for one model');
  }
  for (const entry of entries) {
    if (!isDigits(entry.itemId) || !isDigits(entry.modelId)) refuse('an id is not a number');
    if (!Number.isInteger(entry.quantity) || entry.quantity < 0 || entry.quantity > stockCall.largestQuantity) {
      refuse(`a quantity is not a whole number from 0 to ${stockCall.largestQuantity}`);
    }
  }
}

/** Platforms' ids are numbers of up to 64 bits; as text they keep all their digits. */
export function isDigits(id: string): boolean {
  return /^\d{1,20}$/.test(id);
}

const WORTH_ANOTHER_TRY =
  /busy|try again|try later|timed? ?out|internal (server )?error|network|system (error|exception)/i;

/** A refusal of one entry whose words say that the platform, not the entry, is the trouble. */
export function isWorthAnotherTry(text: string): boolean {
  return WORTH_ANOTHER_TRY.test(text);
}
