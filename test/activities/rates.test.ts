import { createLiveRates, type LiveRatesDeps } from '../../activities/rates';
import type { ProvidedRate, RateProvider } from '../../connectors/rates/port';
import type { Currency } from '../../domain/money';

type Rates = LiveRatesDeps['store']['rates'];

/** A store in memory, a provider that answers when it is told to, and a clock. */
function stage(renewAfterMs = 60_000) {
  const kept = new Map<string, { rate: string; fetchedAt: number }>();
  const calls: string[] = [];
  const waiting: (() => void)[] = [];
  const state = { now: 1_000_000, rate: '0.3', fails: false, holds: false };
  const rates: Pick<Rates, 'keep' | 'olderThan' | 'needed' | 'neededByDistributor'> = {
    async keep(rows) {
      for (const { from, to, rate } of rows) kept.set(`${from}/${to}`, { rate, fetchedAt: state.now });
    },
    async olderThan(pairs, before) {
      return pairs.flatMap((pair) => {
        const row = kept.get(`${pair.from}/${pair.to}`);
        return row && row.fetchedAt >= before.getTime() ? [] : [{ ...pair, missing: !row }];
      });
    },
    needed: async () => [
      { from: 'MYR', to: 'SGD' },
      { from: 'MYR', to: 'THB' },
      { from: 'SGD', to: 'MYR' },
    ],
    neededByDistributor: async () => [{ from: 'MYR', to: 'SGD' }],
  };
  const provider: RateProvider = {
    async latest(from: Currency, to: readonly Currency[]): Promise<ProvidedRate[]> {
      calls.push(`${from}>${to.join()}`);
      if (state.holds) await new Promise<void>((resolve) => waiting.push(resolve));
      if (state.fails) throw new Error('down');
      return to.map((currency) => ({ from, to: currency, rate: state.rate }));
    },
  };
  const warnings: string[] = [];
  const live = createLiveRates({
    store: { rates: rates as Rates },
    provider,
    renewAfterMs,
    logger: { warn: (message) => void warnings.push(message) },
    now: () => state.now,
  });
  return { live, state, kept, calls, warnings, answer: () => waiting.splice(0).forEach((resolve) => void resolve()) };
}
const supplier = { baseCurrency: 'MYR' as const, rates: [] };
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('live rates', () => {
  test('a missing one is waited for; many ask once', async () => {
    const { live, state, calls, kept, answer } = stage();
    state.holds = true;
    const all = Promise.all(Array.from({ length: 20 }, () => live.ensure(supplier, 'SGD')));
    await settled();
    answer();
    await all;
    expect(calls).toEqual(['MYR>SGD']);
    expect(kept.get('MYR/SGD')?.rate).toBe('0.3');
    await live.ensure(supplier, 'SGD');
    expect(calls).toHaveLength(1);
  });

  test('an old one stays in force while a new one is fetched, and when that fails', async () => {
    const { live, state, kept, calls, warnings, answer } = stage();
    await live.ensure(supplier, 'SGD');
    state.now += 120_000;
    Object.assign(state, { holds: true, rate: '0.4' });
    // Not waited for.
    await live.ensure(supplier, 'SGD');
    expect([calls.length, kept.get('MYR/SGD')?.rate]).toEqual([2, '0.3']);
    answer();
    await settled();
    expect(kept.get('MYR/SGD')?.rate).toBe('0.4');
    state.now += 120_000;
    Object.assign(state, { holds: false, fails: true });
    await live.ensure(supplier, 'SGD');
    await settled();
    expect([calls.length, kept.get('MYR/SGD')?.rate, warnings]).toEqual([3, '0.4', ['live rates not fetched']]);
  });

  test('who does not answer, or does not quote it, is not asked again at once', async () => {
    const { live, state, calls } = stage();
    state.fails = true;
    await live.ensure(supplier, 'SGD');
    await live.ensure(supplier, 'SGD');
    expect(calls).toHaveLength(1);
    state.now += 10_000;
    await live.ensureFor('acct_1');
    expect(calls).toHaveLength(2);
  });

  test('nobody is asked where a fixed rate counts, or both currencies are the same', async () => {
    const { live, calls } = stage();
    await live.ensure(supplier, 'MYR');
    await live.ensure(supplier, null);
    await live.ensure({ ...supplier, rates: [{ from: 'MYR', to: 'SGD', rate: '0.3' }] }, 'SGD');
    expect(calls).toEqual([]);
    // The other direction’s does not count for this one.
    await live.ensure({ ...supplier, rates: [{ from: 'SGD', to: 'MYR', rate: '3' }] }, 'SGD');
    expect(calls).toEqual(['MYR>SGD']);
  });

  test('the sweep renews all that is needed, in one call for each base', async () => {
    const { live, calls, kept } = stage();
    const due = await live.due();
    expect(due).toEqual([
      { from: 'MYR', to: ['SGD', 'THB'] },
      { from: 'SGD', to: ['MYR'] },
    ]);
    for (const one of due) await live.renew(one);
    expect(calls).toEqual(['MYR>SGD,THB', 'SGD>MYR']);
    expect([...kept.keys()]).toEqual(['MYR/SGD', 'MYR/THB', 'SGD/MYR']);
    expect(await live.due()).toEqual([]);
  });
});
