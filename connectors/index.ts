/** The connectors to platforms that this installation has keys for. */

import type { StoreCapabilities } from '../domain/push-rules';
import type { PlatformHttpOptions } from './http';
import { createLazadaConnector, type LazadaOptions } from './marketplaces/lazada/client';
import { createShopeeConnector, type ShopeeOptions } from './marketplaces/shopee/client';
import type { Connectors, Platform } from './port';
import { createRateProvider } from './rates/client';
import type { RateProvider } from './rates/port';

/** `config.platforms`: each platform is there as a whole or not at all. */
export interface PlatformSettings {
  readonly shopee?: Omit<ShopeeOptions, 'http' | 'now'>;
  readonly lazada?: Omit<LazadaOptions, 'http' | 'now'>;
}

/** The provider of live rates; null where no address is configured. */
export function createRates(url: string | undefined, http: PlatformHttpOptions): RateProvider | null {
  return url === undefined ? null : createRateProvider({ baseUrl: url, http });
}

/** Makes a connector for each configured platform. Nothing is called yet. */
export function createConnectors(platforms: PlatformSettings, http: PlatformHttpOptions): Connectors {
  return {
    ...(platforms.shopee ? { shopee: createShopeeConnector({ ...platforms.shopee, http }) } : {}),
    ...(platforms.lazada ? { lazada: createLazadaConnector({ ...platforms.lazada, http }) } : {}),
  };
}

/** What listings can do and hold on each platform; null for one without a connector. */
export const capabilitiesIn =
  (connectors: Connectors) =>
  (platform: string): StoreCapabilities | null => {
    const can = connectors[platform as Platform]?.capabilities;
    return can === undefined ? null : { preOrder: can.preOrder, largestQuantity: can.stockCall.largestQuantity };
  };
