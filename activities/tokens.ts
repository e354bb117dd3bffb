/** A store's access to its platform: the current token, refreshed once for all who need it. Source: platforms.md. */
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Connectors, MarketplaceConnector, Platform, PlatformError, ShopAccess } from '../connectors/port';
import { HubError } from '../domain/failures';
import type { Store } from '../store';
import type { StoreDoc } from '../store/models/documents';
import { isPlatformError } from './failures';

/** Longer than the longest refresh call with its tries, so that two never run at once. */
const LEASE_MS = 45_000;
const LOOK_MS = 100;

export interface StoreAccess {
  /** Runs one platform call with a good token; an expired one is refreshed once and the call made again. */
  call<T>(store: string, work: (connector: MarketplaceConnector, access: ShopAccess) => Promise<T>): Promise<T>;
  /** Refreshes a store's pair ahead of its end. */
  refresh(store: string): Promise<void>;
  /** The connector of a store's platform. 409 `platform_not_configured` */
  connectorOf(platform: string): MarketplaceConnector;
  /** A store of a platform may be there before its connector is. */
  isConfigured(platform: string): boolean;
}

export function createStoreAccess(deps: {
  store: Pick<Store, 'stores'>;
  connectors: Connectors;
  now?: () => number;
}): StoreAccess {
  const { stores } = deps.store;
  const now = deps.now ?? Date.now;

  function connectorOf(platform: string): MarketplaceConnector {
    const connector = deps.connectors[platform as Platform];
    if (!connector) throw new HubError('platform_not_configured', `There is no connection to ${platform} on this hub`);
    return connector;
  }

  async function connected(id: string): Promise<StoreDoc> {
    const row = await stores.byId(id);
    if (row.status === 'needs_authorization')
      throw new HubError('needs_authorization', 'The platform no longer takes the tokens of this store');
    if (row.status !== 'connected') throw new HubError('store_disconnected', `The store is ${row.status}`);
    return row;
  }

  /** @returns the row with a newer pair than `row` has: refreshed here, or by whoever holds the lease. */
  async function refreshed(row: StoreDoc): Promise<StoreDoc> {
    const holder = randomUUID();
    for (const end = now() + LEASE_MS; now() < end; ) {
      const leased = await stores.takeRefreshLease(row._id, row.tokenVersion, holder, LEASE_MS);
      if (leased) return refreshHolding(leased, holder);
      await wait(LOOK_MS);
      const current = await connected(row._id);
      if (current.tokenVersion > row.tokenVersion) return current;
    }
    throw new HubError('platform_unavailable', 'The token refresh of this store takes too long');
  }

  async function refreshHolding(row: StoreDoc, holder: string): Promise<StoreDoc> {
    const tokens = stores.tokensOf(row);
    if (!tokens || row.shopId === null) throw new HubError('store_disconnected', 'The store has no tokens');
    try {
      const pair = await connectorOf(row.platform).refreshTokens({
        shopId: row.shopId,
        refreshToken: tokens.refreshToken,
      });
      return await stores.storeTokens(row, pair);
    } catch (error) {
      if (
        isPlatformError(error) &&
        (error.kind === 'unauthorised' || error.kind === 'token_expired' || error.kind === 'rejected')
      ) {
        await stores.needsAuthorization(row, `${error.platform} refused the refresh: ${error.code}`);
        throw new HubError('needs_authorization', `The platform refused to renew the tokens (${error.code})`, {
          cause: error,
        });
      }
      await stores.releaseRefreshLease(row._id, holder);
      throw error;
    }
  }

  async function access(row: StoreDoc): Promise<{ row: StoreDoc; access: ShopAccess }> {
    const ahead = connectorOf(row.platform).capabilities.refreshAheadMs;
    const endsSoon = row.accessExpiresAt !== null && row.accessExpiresAt.getTime() - ahead <= now();
    const current = endsSoon ? await refreshed(row) : row;
    const tokens = stores.tokensOf(current);
    if (!tokens || current.shopId === null) throw new HubError('store_disconnected', 'The store has no tokens');
    return { row: current, access: { shopId: current.shopId, accessToken: tokens.accessToken } };
  }

  /** Only the owner can help: they are told. @returns what to throw */
  async function refused(row: StoreDoc, error: PlatformError, what: string): Promise<HubError> {
    await stores.needsAuthorization(row, `${error.platform} does not take ${what}: ${error.code}`);
    return new HubError('needs_authorization', `The platform does not take ${what} (${error.code})`, { cause: error });
  }

  return {
    connectorOf,
    isConfigured: (platform) => deps.connectors[platform as Platform] !== undefined,
    async call(id, work) {
      const first = await access(await connected(id));
      const connector = connectorOf(first.row.platform);
      try {
        return await work(connector, first.access);
      } catch (error) {
        if (isPlatformError(error) && error.kind === 'unauthorised')
          throw await refused(first.row, error, 'these tokens');
        if (!isPlatformError(error) || error.kind !== 'token_expired') throw error;
      }
      const second = await access(await refreshed(first.row));
      try {
        return await work(connector, second.access);
      } catch (error) {
        if (!isPlatformError(error) || (error.kind !== 'token_expired' && error.kind !== 'unauthorised')) throw error;
        throw await refused(second.row, error, 'a fresh token');
      }
    },
    async refresh(id) {
      const row = await connected(id);
      if (row.accessExpiresAt !== null) await refreshed(row);
    },
  };
}
