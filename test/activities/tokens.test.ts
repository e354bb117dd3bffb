import { createStoreAccess, type StoreAccess } from '../../activities/tokens';
import type { Platform } from '../../connectors/port';
import { connectStore, type Store } from '../../store';
import { testEnvironment } from '../support/environment';
import { type Hub, startHub, TEST_KEYS } from '../support/hub';

let hub: Hub;
/** The same database through a connection of its own, as another process has it. */
let otherStore: Store;
beforeAll(async () => {
  hub = await startHub({ withoutWorker: true, platformTimeoutMs: 10_000 });
  otherStore = await connectStore({
    uri: testEnvironment().mongoUri,
    database: hub.database,
    dataKeys: TEST_KEYS,
  });
});
afterAll(async () => {
  await otherStore.database.close();
  await hub.stop();
});

const REFRESH_PATHS = { shopee: '/auth/access_token/get', lazada: '/auth/token/refresh' } as const;

async function makeStore(platform: 'shopee' | 'lazada') {
  const { account } = await hub.store.accounts.create({ name: 'A', plan: 'basic', orderQuota: null });
  const row = await hub.store.stores.add(account._id, { platform, name: 'Shop' });
  const shop = await hub.control.createShop(platform, {
    name: 'Shop',
    currency: 'MYR',
    items: [{ title: 'Item', models: [{ sku: 'A', price: '1.00', stock: 1 }] }],
  });
  const authorized = await hub.connectors[platform]?.exchangeCode({ code: shop.code, shop_id: shop.shopId });
  if (!authorized) throw new Error('no connector');
  await hub.store.stores.connect(account._id, row._id, authorized);
  const refreshes = async () =>
    (await hub.control.calls({ platform, pathContains: REFRESH_PATHS[platform], since: started, limit: 0 })).count;
  const started = Date.now();
  return { id: row._id, account: account._id, shopId: shop.shopId, refreshes };
}

const twoProcesses = (): [StoreAccess, StoreAccess] => [
  createStoreAccess({ store: hub.store, connectors: hub.connectors }),
  createStoreAccess({ store: otherStore, connectors: hub.connectors }),
];
const listings = (access: StoreAccess, store: string) =>
  access.call(store, (connector, shop) => connector.listListings(shop, { cursor: null }));
const notifications = async (account: string) =>
  (await hub.store.notifications.list(account, { limit: 50, after: null })).items.filter(
    ({ event }) => event === 'store_needs_authorization',
  );

beforeEach(async () => {
  for (const platform of ['shopee', 'lazada'] as const) await hub.control.clearFaults(platform);
});

describe.each(['shopee', 'lazada'] as const)('the tokens of a %s store', (platform) => {
  test('that the platform no longer takes are refreshed once for 20 calls in two processes', async () => {
    const store = await makeStore(platform);
    await hub.control.addFault(platform, { kind: 'expire_token', shopId: store.shopId });
    await hub.control.clearFaults(platform);
    const both = twoProcesses();
    const pages = await Promise.all(
      Array.from({ length: 20 }, (_, index) => listings(both[index % 2] as StoreAccess, store.id)),
    );
    expect(pages.every((page) => page.listings.length === 1)).toBe(true);
    expect(await store.refreshes()).toBe(1);
    expect((await hub.store.stores.byId(store.id)).tokenVersion).toBe(2);
  });

  test('near their end are refreshed once, before they are used', async () => {
    const store = await makeStore(platform);
    await hub.store.database.models.stores.updateOne({ _id: store.id }, { $set: { accessExpiresAt: new Date(0) } });
    const both = twoProcesses();
    await Promise.all(Array.from({ length: 20 }, (_, index) => listings(both[index % 2] as StoreAccess, store.id)));
    expect(await store.refreshes()).toBe(1);
  });

  test('whose refresh is refused leave the store to its owner, who is told once', async () => {
    const store = await makeStore(platform);
    await hub.control.addFault(platform, { kind: 'revoke_refresh', shopId: store.shopId });
    await hub.control.addFault(platform, { kind: 'expire_token', shopId: store.shopId });
    await hub.control.clearFaults(platform);
    const both = twoProcesses();
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => listings(both[index % 2] as StoreAccess, store.id)),
    );
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'needs_authorization' } });
    expect(await hub.store.stores.byId(store.id)).toMatchObject({ status: 'needs_authorization', refreshLease: null });
    expect(await notifications(store.account)).toHaveLength(1);
    // Authorised again, it goes on, and a later loss is told again.
    const { code } = await hub.control.authorize(platform, store.shopId);
    const authorized = await hub.connectors[platform as Platform]?.exchangeCode({ code, shop_id: store.shopId });
    if (!authorized) throw new Error('no connector');
    await hub.store.stores.connect(store.account, store.id, authorized);
    expect((await listings(both[0], store.id)).listings).toHaveLength(1);
  });

  test('whose new pair was lost on the way leave the store to its owner, too', async () => {
    const store = await makeStore(platform);
    await hub.control.addFault(platform, { kind: 'expire_token', shopId: store.shopId });
    await hub.control.clearFaults(platform);
    await hub.control.addFault(platform, { kind: 'lost_answer', pathContains: REFRESH_PATHS[platform], times: 1 });
    const [access] = twoProcesses();
    await expect(
      (async () => {
        // Whether the connector or the process above tries again: the old refresh token is used up.
        for (let count = 0; count < 3; count += 1)
          await listings(access, store.id).catch((error: unknown) => {
            if ((error as { code?: string }).code === 'needs_authorization') throw error;
          });
      })(),
    ).rejects.toMatchObject({ code: 'needs_authorization' });
    expect(await notifications(store.account)).toHaveLength(1);
  });

  test('are not asked for while the platform is down, and the lease is given back', async () => {
    const store = await makeStore(platform);
    await hub.store.database.models.stores.updateOne({ _id: store.id }, { $set: { accessExpiresAt: new Date(0) } });
    await hub.control.addFault(platform, { kind: 'error500', pathContains: REFRESH_PATHS[platform] });
    const [access] = twoProcesses();
    await expect(listings(access, store.id)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await hub.store.stores.byId(store.id)).toMatchObject({ status: 'connected', refreshLease: null });
    await hub.control.clearFaults(platform);
    expect((await listings(access, store.id)).listings).toHaveLength(1);
  });
});
