/**
 * Live rates: fetched once for all who need them, kept in the store with their age, never asked for inside a transaction. A
 * provider that does not answer leaves the last good rate in force. Contract: catalogue.md, Distribution price.
 */
import type { RateProvider } from '../connectors/rates/port';
import type { Currency } from '../domain/money';
import type { Store } from '../store';
import { type CurrencyPair, pairNeeded, type RateNeed } from '../store/repositories/rates';

/** A pair is not asked for again before this, whatever came of it: it may be that nobody quotes it. Milliseconds. */
const ASK_AGAIN_MS = 10_000;

/** What one call to the provider fetches. */
export interface RatesDue {
  readonly from: Currency;
  readonly to: readonly Currency[];
}

export interface LiveRates {
  /** Before a price is computed: waits for a rate that is missing, has an old one renewed meanwhile. Never throws. */
  ensure(supplier: RateNeed, to: Currency | null): Promise<void>;
  /** The same for all that a distributor's orders need. */
  ensureFor(distributor: string): Promise<void>;
  /** What is missing or old of all that partnerships need, one call each. */
  due(): Promise<RatesDue[]>;
  /** Makes one such call. Throws a `PlatformError` where it fails; the last good rates stay. */
  renew(due: RatesDue): Promise<void>;
}

export interface LiveRatesDeps {
  readonly store: Pick<Store, 'rates'>;
  /** Null where none is configured: then only fixed rates count. */
  readonly provider: RateProvider | null;
  /** A rate is fetched again when it is older. Milliseconds. */
  readonly renewAfterMs: number;
  readonly logger: { warn(message: string, fields?: Record<string, unknown>): void };
  readonly now?: () => number;
}

export function createLiveRates({ store, provider, renewAfterMs, logger, now = Date.now }: LiveRatesDeps): LiveRates {
  /** Fetches under way, by what they ask for. */
  const underway = new Map<string, Promise<void>>();
  /** When a pair was asked for last. */
  const askedAt = new Map<string, number>();

  /** Joins a fetch of the same that is under way. */
  function fetchRates({ from, to }: RatesDue, source: RateProvider): Promise<void> {
    const key = `${from}>${[...to].sort().join()}`;
    const there = underway.get(key);
    if (there) return there;
    for (const currency of to) askedAt.set(`${from}>${currency}`, now());
    const fetching = source
      .latest(from, to)
      .then((rates) => store.rates.keep(rates))
      .finally(() => underway.delete(key));
    underway.set(key, fetching);
    return fetching;
  }

  const isAskable = ({ from, to }: CurrencyPair) => {
    const key = `${from}>${to}`;
    return underway.has(key) || now() - (askedAt.get(key) ?? Number.NEGATIVE_INFINITY) >= ASK_AGAIN_MS;
  };

  const oldAmong = (pairs: readonly CurrencyPair[]) =>
    store.rates.olderThan(pairs, new Date(now() - renewAfterMs)).then((old) => old.filter(isAskable));

  async function ensurePairs(pairs: readonly CurrencyPair[]): Promise<void> {
    if (provider === null || pairs.length === 0) return;
    const warn = (error: unknown) =>
      logger.warn('live rates not fetched', { error: error instanceof Error ? error.message : 'unknown' });
    try {
      const fetches = (await oldAmong(pairs)).map(({ from, to, missing }) => {
        const done = fetchRates({ from, to: [to] }, provider).catch(warn);
        return missing ? done : undefined;
      });
      await Promise.all(fetches);
    } catch (error) {
      warn(error);
    }
  }

  return {
    async ensure(supplier, to) {
      const pair = pairNeeded(supplier, to);
      if (pair !== null) await ensurePairs([pair]);
    },

    async ensureFor(distributor) {
      if (provider === null) return;
      await ensurePairs(await store.rates.neededByDistributor(distributor));
    },

    async due() {
      if (provider === null) return [];
      const old = await oldAmong(await store.rates.needed());
      return [...new Set(old.map(({ from }) => from))].map((from) => ({
        from,
        to: old.flatMap((pair) => (pair.from === from ? [pair.to] : [])),
      }));
    },

    async renew(due) {
      if (provider !== null) await fetchRates(due, provider);
    },
  };
}

/** Where no provider is configured. */
export const NO_LIVE_RATES: LiveRates = {
  ensure: async () => {},
  ensureFor: async () => {},
  due: async () => [],
  renew: async () => {},
};
