/** The sandbox as a stand-in: it refuses what the vendors refuse, and remembers. */

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createShopeeConnector } from '../../connectors/marketplaces/shopee/client';
import { createSandboxControl } from '../../sandbox/control';
import { type Ground, KEYS, openShop, type PlatformName, startGround } from './support';

const PLATFORMS: readonly PlatformName[] = ['shopee', 'lazada'];
let ground: Ground;
let folder: string;

beforeAll(async () => {
  ground = await startGround();
  folder = mkdtempSync(join(tmpdir(), 'sandbox-'));
});
afterAll(async () => {
  await ground.sandbox.close();
  rmSync(folder, { recursive: true });
});

/** A Shopee call made by hand, so that the sandbox is not judged by the connector it is to judge. */
async function shopee(
  path: string,
  shop: { shopId: string; accessToken: string },
  change: { query?: Record<string, string>; timestamp?: number; body?: unknown; sign?: string } = {},
): Promise<{ error: string; message: string }> {
  const timestamp = change.timestamp ?? Math.floor(Date.now() / 1000);
  const { partnerId, partnerKey } = KEYS.shopee;
  const message = `${partnerId}${path}${timestamp}${shop.accessToken}${shop.shopId}`;
  const query = new URLSearchParams({
    partner_id: partnerId,
    timestamp: String(timestamp),
    access_token: shop.accessToken,
    shop_id: shop.shopId,
    sign: change.sign ?? createHmac('sha256', partnerKey).update(message).digest('hex'),
    ...change.query,
  });
  const response = await fetch(`${ground.sandbox.url}/shopee${path}?${query}`, {
    ...(change.body === undefined ? {} : { method: 'POST', body: JSON.stringify(change.body) }),
  });
  return response.json() as Promise<{ error: string; message: string }>;
}

async function lazada(
  method: 'GET' | 'POST',
  path: string,
  own: Record<string, string>,
  change: { timestamp?: number; sign?: string } = {},
): Promise<{ code: string; message?: string }> {
  const parameters: Record<string, string> = {
    app_key: KEYS.lazada.appKey,
    timestamp: String(change.timestamp ?? Date.now()),
    sign_method: 'sha256',
    ...own,
  };
  const message =
    path +
    Object.keys(parameters)
      .sort()
      .map((name) => name + parameters[name])
      .join('');
  const sign = createHmac('sha256', KEYS.lazada.appSecret).update(message).digest('hex').toUpperCase();
  const query = new URLSearchParams({ ...parameters, sign: change.sign ?? sign });
  const response = await fetch(`${ground.sandbox.url}/lazada/rest${path}?${query}`, { method });
  return response.json() as Promise<{ code: string; message?: string }>;
}

describe('Shopee refuses', () => {
  const list = '/api/v2/product/get_item_list';
  const good = { offset: '0', page_size: '10', item_status: 'NORMAL' };

  test('a wrong signature, an old timestamp, a wrong partner, an unknown token or path', async () => {
    const { access } = await openShop(ground, 'shopee');
    const now = Math.floor(Date.now() / 1000);
    expect((await shopee(list, access, { query: good })).error).toBe('');
    expect((await shopee(list, access, { query: good, sign: 'a'.repeat(64) })).error).toBe('error_sign');
    expect((await shopee(list, access, { query: good, timestamp: now - 301 })).message).toBe('Invalid timestamp.');
    expect((await shopee(list, access, { query: { ...good, partner_id: '1' } })).message).toBe('Invalid partner_id.');
    expect((await shopee(list, { ...access, accessToken: 'x' }, { query: good })).error).toBe('invalid_acceess_token');
    expect((await shopee('/api/v2/nothing', access)).error).toBe('error_not_found');
  });

  test('pages over 100, info on over 50 items, no status', async () => {
    const { access } = await openShop(ground, 'shopee');
    expect((await shopee(list, access, { query: { ...good, page_size: '101' } })).error).toBe('error_param');
    expect((await shopee(list, access, { query: { offset: '0', page_size: '1' } })).error).toBe('error_param');
    const ids = Array.from({ length: 51 }, (_, index) => index).join(',');
    const info = '/api/v2/product/get_item_base_info';
    expect((await shopee(info, access, { query: { item_id_list: ids } })).error).toBe('error_param');
  });

  test('stock of 51 models, of ids as text, of an unknown item', async () => {
    const { access, view } = await openShop(ground, 'shopee');
    const path = '/api/v2/product/update_stock';
    const line = (model: unknown) => ({ model_id: model, seller_stock: [{ stock: 1 }] });
    const stock = (itemId: unknown, lines: unknown[]) =>
      shopee(path, access, { body: { item_id: itemId, stock_list: lines } });
    const itemId = Number(view.items[0]?.itemId);
    expect(
      (
        await stock(
          itemId,
          Array.from({ length: 51 }, (_, index) => line(index)),
        )
      ).error,
    ).toBe('error_param');
    expect((await stock(itemId, [line('5')])).error).toBe('error_param');
    expect((await stock(itemId, [])).error).toBe('error_param');
    expect((await stock(1, [line(1)])).error).toBe('error_item_not_found');
    expect((await stock(itemId, [line(1)])).error).toBe('error_busi_update_stock_failed');
  });

  test('an access token of before a refresh lives five minutes more', async () => {
    let time = Date.now();
    const now = () => time;
    const clocked = await startGround({ now });
    const shop = await openShop(clocked, 'shopee');
    const connector = createShopeeConnector({
      baseUrl: `${clocked.sandbox.url}/shopee`,
      ...KEYS.shopee,
      http: { timeoutMs: 2000, tries: 1, waitMs: 10 },
      now,
    });
    const { refreshToken } = shop.authorized.tokens;
    await connector.refreshTokens({ shopId: shop.view.shopId, refreshToken });
    time += 299_000;
    expect((await connector.listListings(shop.access, { cursor: null })).listings).toHaveLength(4);
    time += 2000;
    await expect(connector.listListings(shop.access, { cursor: null })).rejects.toMatchObject({
      kind: 'token_expired',
    });
    await clocked.sandbox.close();
  });
});

describe('Lazada refuses', () => {
  test('a wrong signature, an old timestamp, an unknown token, path or method', async () => {
    const { access } = await openShop(ground, 'lazada');
    const own = { access_token: access.accessToken };
    expect((await lazada('GET', '/seller/get', own)).code).toBe('0');
    expect((await lazada('GET', '/seller/get', own, { sign: 'A'.repeat(64) })).code).toBe('IncompleteSignature');
    expect((await lazada('GET', '/seller/get', own, { timestamp: Date.now() - 7_300_000 })).code).toBe(
      'IllegalTimestamp',
    );
    expect((await lazada('GET', '/seller/get', { access_token: 'x' })).code).toBe('IllegalAccessToken');
    expect((await lazada('GET', '/nothing', own)).code).toBe('InvalidApiPath');
    expect((await lazada('POST', '/seller/get', own)).code).toBe('InvalidMethod');
  });

  test('pages over 50, 51 SKUs, XML that is none', async () => {
    const { access } = await openShop(ground, 'lazada');
    const own = { access_token: access.accessToken };
    expect((await lazada('GET', '/products/get', { ...own, limit: '51' })).code).toBe('19');
    const path = '/product/stock/sellable/update';
    const sku = '<Sku><ItemId>1</ItemId><SkuId>2</SkuId><SellableQuantity>1</SellableQuantity></Sku>';
    const wrap = (skus: string) => `<Request><Product><Skus>${skus}</Skus></Product></Request>`;
    expect((await lazada('POST', path, { ...own, payload: wrap(sku.repeat(51)) })).code).toBe('5');
    expect((await lazada('POST', path, { ...own, payload: '<Request>' })).code).toBe('5');
    expect((await lazada('POST', path, { ...own, payload: wrap(sku) })).code).toBe('501');
  });
});

describe('the control route', () => {
  test('counts, filters and forgets calls', async () => {
    const { access, view } = await openShop(ground, 'lazada');
    await ground.control.clearCalls();
    const entry = {
      itemId: view.items[0]?.itemId ?? '',
      modelId: view.items[0]?.models[0]?.modelId ?? '',
      quantity: 6,
    };
    await ground.connector('lazada').updateStock(access, [{ key: 'k', ...entry }]);
    const stock = await ground.control.calls({ platform: 'lazada', shopId: view.shopId, pathContains: 'sellable' });
    expect(stock).toMatchObject({ count: 1, entries: 1, calls: [{ entries: [entry], status: 200, code: '0' }] });
    expect((await ground.control.calls({ platform: 'shopee' })).count).toBe(0);
    expect((await ground.control.calls({ since: Date.now() + 1000 })).count).toBe(0);
    await ground.control.clearCalls();
    expect((await ground.control.calls()).count).toBe(0);
  });

  test.each(PLATFORMS)('%s: refuses what makes no sense, in words', async (platform) => {
    const { view } = await openShop(ground, platform);
    const lines = [{ itemId: '1', modelId: '1', quantity: 1 }];
    await expect(ground.control.createOrder(platform, { shopId: view.shopId, lines })).rejects.toThrow(
      /422.*has no item/,
    );
    await expect(ground.control.createOrder(platform, { shopId: '5', lines })).rejects.toThrow(/404/);
    await expect(ground.control.shop(platform, '5')).rejects.toThrow(/404/);
    await expect(ground.control.addFault(platform, { kind: 'flood' as 'down' })).rejects.toThrow(/422/);
    const twin = { shopId: view.shopId, name: 'Twin', currency: 'MYR' };
    await expect(ground.control.createShop(platform, twin)).rejects.toThrow(/409/);
  });

  test('a fault hits only the shop and path it names, as often as it says', async () => {
    const [one, two] = [await openShop(ground, 'shopee'), await openShop(ground, 'shopee')];
    const connector = ground.connector('shopee', { tries: 1 });
    const list = (shop: typeof one) => connector.listListings(shop.access, { cursor: null });
    await ground.control.addFault('shopee', {
      kind: 'error500',
      shopId: one.view.shopId,
      pathContains: 'item_list',
      times: 2,
    });
    await expect(list(two)).resolves.toBeDefined();
    await expect(connector.getOrder(one.access, '1')).rejects.toMatchObject({ kind: 'rejected' });
    expect((await ground.control.faults('shopee')).faults).toMatchObject([{ kind: 'error500', left: 2 }]);
    await expect(list(one)).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(list(one)).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(list(one)).resolves.toBeDefined();
  });
});

describe('the state', () => {
  test.each(PLATFORMS)('%s: shops, tokens, stock and orders outlive a restart', async (platform) => {
    const stateFile = join(folder, platform, 'state.json');
    const first = await startGround({ stateFile });
    const shop = await openShop(first, platform);
    const [item] = shop.view.items;
    const entry = { itemId: item?.itemId ?? '', modelId: item?.models[0]?.modelId ?? '', quantity: 44 };
    await first.connector(platform).updateStock(shop.access, [{ key: 'k', ...entry }]);
    const line = { itemId: entry.itemId, modelId: entry.modelId, quantity: 1 };
    const order = await first.control.createOrder(platform, { shopId: shop.view.shopId, lines: [line] });
    await first.sandbox.close();
    expect(readdirSync(join(folder, platform))).toEqual(['state.json']);
    const second = await startGround({ stateFile });
    const page = await second.connector(platform).listListings(shop.access, { cursor: null });
    expect(page.listings.map((listing) => listing.quantity)).toContain(44);
    expect((await second.connector(platform).getOrder(shop.access, order.orderNumber)).platformOrder).toBe(
      order.orderNumber,
    );
    await second.control.reset();
    expect(await second.control.health()).toEqual({ ok: true, shops: 0, orders: 0 });
    await second.sandbox.close();
  });

  test('as a process: says when it is ready, keeps its state, ends on SIGTERM', async () => {
    const settings = { port: 0, stateFile: join(folder, 'process.json'), ...KEYS };
    const start = async () => {
      const main = join(__dirname, '../../sandbox/main.ts');
      const child = spawn(process.execPath, ['--import', 'tsx', main, JSON.stringify(settings)], { stdio: 'pipe' });
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
      const line = await new Promise<string>((resolve, reject) => {
        child.stdout.once('data', (data: Buffer) => resolve(data.toString()));
        child.stderr.once('data', (data: Buffer) => reject(new Error(data.toString())));
      });
      const { url } = JSON.parse(line) as { url: string };
      const stop = () => {
        child.kill('SIGTERM');
        return ended;
      };
      return { control: createSandboxControl(url), stop };
    };
    const first = await start();
    await first.control.createShop('shopee', { name: 'Kept', currency: 'MYR' });
    expect(await first.stop()).toBe(0);
    const second = await start();
    expect((await second.control.shops('shopee')).shops.map((shop) => shop.name)).toEqual(['Kept']);
    expect(await second.stop()).toBe(0);
  });
});
