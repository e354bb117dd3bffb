/**
 * Live rates over HTTP, in the form that public providers share: `GET {url}/latest?base=MYR&symbols=SGD,THB` answers
 * `{"base":"MYR","date":"…","rates":{"SGD":0.2931,…}}`.
 */
import { z } from 'zod';
import { type Currency, fractionOf } from '../../domain/money';
import { createPlatformHttp, type PlatformHttpOptions, statusError } from '../http';
import { PlatformError } from '../port';
import type { ProvidedRate, RateProvider } from './port';

export interface RateProviderOptions {
  /** `RATES_URL`; without a slash at its end. */
  readonly baseUrl: string;
  readonly http: PlatformHttpOptions;
}

const PATH = '/latest';
const NAME = 'rates';
/** As many digits as a request may have. */
const DECIMALS = 12;

const answerForm = z.object({
  base: z.string(),
  rates: z.record(z.string(), z.union([z.number(), z.string()])),
});

/** A rate as an exact decimal text; null where it is not a number above 0. */
function rateText(value: number | string): string | null {
  const plain = typeof value === 'number' && String(value).includes('e') ? value.toFixed(DECIMALS) : String(value);
  return (fractionOf(plain)?.numerator ?? 0n) > 0n ? plain : null;
}

/** Makes the provider's client. Nothing is called yet. */
export function createRateProvider({ baseUrl, http: options }: RateProviderOptions): RateProvider {
  const http = createPlatformHttp(NAME, options);
  return {
    latest: (from, to) =>
      http.call<ProvidedRate[]>({
        method: 'GET',
        baseUrl,
        path: PATH,
        query: () => [
          ['base', from],
          ['symbols', to.join(',')],
        ],
        idempotent: true,
        secrets: [],
        read(answer) {
          if (answer.status !== 200) throw statusError(NAME, { path: PATH, idempotent: true }, answer);
          const parsed = answerForm.safeParse(answer.json);
          // Rates of another base would be taken for these: they are refused as a whole.
          if (!parsed.success || parsed.data.base !== from)
            throw new PlatformError('unavailable', NAME, 'bad_answer', `${PATH}: the answer has another form`);
          return to.flatMap((currency: Currency) => {
            const value = parsed.data.rates[currency];
            const rate = value === undefined ? null : rateText(value);
            return rate === null ? [] : [{ from, to: currency, rate }];
          });
        },
      }),
  };
}
