/** The border to a provider of live exchange rates. Source: catalogue.md, Distribution price. */
import type { Currency } from '../../domain/money';

/** 1 unit of `from` is `rate` units of `to`; an exact decimal string, more than 0. */
export interface ProvidedRate {
  readonly from: Currency;
  readonly to: Currency;
  readonly rate: string;
}

export interface RateProvider {
  /**
   * The rates of now; what the provider does not quote is left out.
   * @throws PlatformError
   */
  latest(from: Currency, to: readonly Currency[]): Promise<ProvidedRate[]>;
}
