/** One contract for every marketplace, against the real sandbox over HTTP. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeQuery } from '../../connectors/http';
import { PlatformError, type StockEntry } from '../../connectors/port';
import { connectorAt, type Ground, openShop, type PlatformName, SECRETS, type Shop, startGround } from './support';

const PLATFORMS: readonly PlatformName[] = ['shopee', 'lazada'];
const STOCK_PATH = { shopee: 'update_stock', lazada: 'sellable/update' } as const;

let ground: Ground;
/** Every error that a test saw, for the last test: none of them may hold a secret. */
const seen: unknown[] = [];
const issued = new Set<string>();

beforeAll(async () => {
  ground = await startGround();
});
afterAll(() => ground.sandbox.close());
afterEach(async () => {
  for (const platform of PLATFORMS) await ground.control.clearFaults(platform);
});

async function failureOf(promise: Promise<unknown>): Promise<PlatformError> {
  try {
    await promise;
  } catch (error) {
    seen.push(error);
    if (error instanceof PlatformError) return error;
    throw error;
  }
  throw new Error('It should have failed');
}

function entriesOf(shop: Shop, quantity: number): StockEntry[] {
  const item = shop.view.items[0];
  if (!item) throw new Error('The shop has no item');
  return item.models.map((model, index) => ({
    key: `listing-${index}`,
    itemId: item.itemId,
    modelId: model.modelId,
    quantity: quantity + index,
  }));
}

async function stockOf(platform: PlatformName, shop: Shop): Promise<number[]> {
  const view = await ground.control.shop(platform, shop.view.shopId);
  return view.items[0]?.models.map((model) => model.stock) ?? [];
}

async function callsTo(platform: PlatformName, shop: Shop, pathContains: string): Promise<number> {
  const { count } = await ground.control.calls({ platform, shopId: shop.view.shopId, pathContains, limit: 0 });
  return count;
}

describe.each(PLATFORMS)('%s', (platform) => {
  let shop: Shop;
  const connector = () => ground.connector(platform);

  beforeEach(async () => {
    shop = await openShop(ground, platform);
    issued.add(shop.authorized.tokens.accessToken).add(shop.authorized.tokens.refreshToken);
  });

  describe('authorisation', () => {
    test('the code becomes tokens, with the name of the shop and when they end', () => {
      const { shopId, shopName, tokens } = shop.authorized;
      expect({ shopId, shopName }).toEqual({ shopId: shop.view.shopId, shopName: 'Kedai "Ali" & Sons' });
      expect(tokens.accessExpiresAt).toBeGreaterThan(Date.now() + 3600_000);
      expect(tokens.refreshExpiresAt).toBeGreaterThan(tokens.accessExpiresAt);
    });

    test('a code is good once', async () => {
      const { code } = await ground.control.authorize(platform, shop.view.shopId);
      issued.add(code);
      const query = { code, shop_id: shop.view.shopId };
      await connector().exchangeCode(query);
      expect((await failureOf(connector().exchangeCode(query))).kind).toBe('unauthorised');
    });

    test('a call-back without a code is refused before any call', async () => {
      expect(await failureOf(connector().exchangeCode({}))).toMatchObject({
        kind: 'rejected',
        code: 'invalid_callback',
      });
    });

    test("the owner's browser comes back with state and a code that works", async () => {
      const url = connector().authorizationUrl({ state: 'st&te=1', redirectUrl: 'http://127.0.0.1:1/back?a=b' });
      const page = await fetch(url);
      expect(page.status).toBe(200);
      expect(await page.text()).toContain('Kedai &#34;Ali&#34; &#38; Sons');
      const approved = await fetch(`${url}&shop_id=${shop.view.shopId}`, { redirect: 'manual' });
      const back = new URL(approved.headers.get('location') ?? '');
      const query = Object.fromEntries(back.searchParams);
      expect(query).toMatchObject({ a: 'b', state: 'st&te=1' });
      issued.add(query.code ?? '');
      expect((await connector().exchangeCode(query)).shopId).toBe(shop.view.shopId);
    });

    test('a shop name that cannot be read does not lose the tokens', async () => {
      const { code } = await ground.control.authorize(platform, shop.view.shopId);
      await ground.control.addFault(platform, {
        kind: 'error500',
        pathContains: platform === 'shopee' ? 'shop_info' : 'seller',
      });
      const again = await connector().exchangeCode({ code, shop_id: shop.view.shopId });
      expect(again.shopName).toContain(shop.view.shopId);
    });

    test('refreshing gives a new pair that works, and the old refresh token is dead', async () => {
      const { refreshToken } = shop.authorized.tokens;
      const input = { shopId: shop.view.shopId, refreshToken };
      const fresh = await connector().refreshTokens(input);
      issued.add(fresh.accessToken).add(fresh.refreshToken);
      expect(fresh.refreshToken).not.toBe(refreshToken);
      const access = { shopId: shop.view.shopId, accessToken: fresh.accessToken };
      await connector().listListings(access, { cursor: null });
      await connector().listListings(shop.access, { cursor: null });
      expect((await failureOf(connector().refreshTokens(input))).kind).toBe('unauthorised');
    });

    test('a refresh whose answer was lost says that its outcome is unknown, and is not repeated', async () => {
      const { refreshToken } = shop.authorized.tokens;
      await ground.control.addFault(platform, { kind: 'lost_answer', times: 1 });
      await ground.control.clearCalls();
      const error = await failureOf(connector().refreshTokens({ shopId: shop.view.shopId, refreshToken }));
      expect(error).toMatchObject({ kind: 'unavailable', options: { outcomeUnknown: true } });
      expect((await ground.control.calls({ platform })).count).toBe(1);
    });

    test('an expired access token is told apart from everything else', async () => {
      await ground.control.addFault(platform, { kind: 'expire_token', shopId: shop.view.shopId });
      expect((await failureOf(connector().listListings(shop.access, { cursor: null }))).kind).toBe('token_expired');
      expect((await failureOf(connector().updateStock(shop.access, entriesOf(shop, 1)))).kind).toBe('token_expired');
    });

    test('a revoked refresh token is unauthorised', async () => {
      await ground.control.addFault(platform, { kind: 'revoke_refresh', shopId: shop.view.shopId });
      const { refreshToken } = shop.authorized.tokens;
      const error = await failureOf(connector().refreshTokens({ shopId: shop.view.shopId, refreshToken }));
      expect(error.kind).toBe('unauthorised');
    });

    test('a wrong key is unauthorised', async () => {
      const wrong = await startGround({
        shopee: { partnerId: '2001887', partnerKey: 'another-key' },
        lazada: { appKey: '123456', appSecret: 'another-secret' },
      });
      const error = await failureOf(wrong.connector(platform).exchangeCode({ code: 'c0de', shop_id: '1' }));
      await wrong.sandbox.close();
      expect(error).toMatchObject({
        kind: 'unauthorised',
        code: platform === 'shopee' ? 'error_sign' : 'IncompleteSignature',
      });
    });

    test('a clock that is far off is told as unavailable, not as a refusal', async () => {
      const late = await startGround({ now: () => Date.now() + 3 * 3600_000 });
      const error = await failureOf(late.connector(platform).exchangeCode({ code: 'c0de', shop_id: '1' }));
      await late.sandbox.close();
      expect(error.kind).toBe('unavailable');
    });
  });

  describe('listings', () => {
    test('come with everything that we show of them', async () => {
      const { listings, nextCursor } = await connector().listListings(shop.access, { cursor: null });
      const [shirt, mug] = shop.view.items;
      expect(nextCursor).toBeNull();
      expect(listings).toHaveLength(4);
      expect(listings[2]).toEqual({
        itemId: shirt?.itemId,
        modelId: shirt?.models[2]?.modelId,
        sellerSku: 'SHIRT-L',
        title: 'Shirt <blue>',
        imageUrl: 'https://images.example/shirt.jpg',
        variation: 'Red, M',
        price: '13.00',
        currency: 'MYR',
        quantity: 5,
        status: 'live',
      });
      expect(listings[3]).toMatchObject({
        itemId: mug?.itemId,
        modelId: mug?.models[0]?.modelId,
        sellerSku: 'MUG',
        variation: '',
        price: '8.05',
        imageUrl: null,
        quantity: 9,
      });
    });

    test('an item without variants is model 0 where the platform has no other id for it', () => {
      expect(shop.view.items[1]?.models[0]?.modelId === '0').toBe(platform === 'shopee');
    });

    test('page after page, each once', async () => {
      const items = Array.from({ length: 105 }, (_, index) => ({
        title: `Item ${index}`,
        models: [{ sku: `SKU-${index}`, price: '1.00', stock: 1 }],
      }));
      const { code, shopId } = await ground.control.createShop(platform, { name: 'Big', currency: 'MYR', items });
      const { tokens } = await connector().exchangeCode({ code, shop_id: shopId });
      const skus: string[] = [];
      let cursor: string | null = null;
      let pages = 0;
      do {
        const page: Awaited<ReturnType<ReturnType<typeof connector>['listListings']>> = await connector().listListings(
          { shopId, accessToken: tokens.accessToken },
          { cursor },
        );
        skus.push(...page.listings.map((listing) => listing.sellerSku));
        cursor = page.nextCursor;
        pages += 1;
      } while (cursor !== null);
      expect(pages).toBeGreaterThan(2);
      expect(skus).toEqual(items.map((item) => item.models[0]?.sku));
    });

    test('only what changed since', async () => {
      const page = await connector().listListings(shop.access, { cursor: null, changedSince: Date.now() + 3600_000 });
      expect(page).toEqual({ listings: [], nextCursor: null });
    });

    test.each([
      ['hidden', 'hidden'],
      ['banned', 'banned'],
    ] as const)('an item that is %s is shown so', async (status, expected) => {
      const { code, shopId } = await ground.control.createShop(platform, {
        name: 'Odd',
        currency: 'MYR',
        items: [{ title: 'T', status, models: [{ sku: 'S', price: '1', stock: 1 }] }],
      });
      const { tokens } = await connector().exchangeCode({ code, shop_id: shopId });
      const page = await connector().listListings({ shopId, accessToken: tokens.accessToken }, { cursor: null });
      expect(page.listings.map((listing) => listing.status)).toEqual([expected]);
    });

    test('whole amounts stay whole where the currency is quoted so', async () => {
      const { code, shopId } = await ground.control.createShop(platform, {
        name: 'Toko',
        currency: 'IDR',
        items: [{ title: 'T', models: [{ sku: 'S', price: '150000', stock: 1 }] }],
      });
      const { tokens } = await connector().exchangeCode({ code, shop_id: shopId });
      const page = await connector().listListings({ shopId, accessToken: tokens.accessToken }, { cursor: null });
      expect(page.listings[0]).toMatchObject({ price: '150000', currency: 'IDR' });
    });
  });

  describe('stock', () => {
    test('is written, one result for each entry', async () => {
      const results = await connector().updateStock(shop.access, entriesOf(shop, 20));
      expect(results).toEqual([
        { key: 'listing-0', outcome: 'accepted', quantity: 20 },
        { key: 'listing-1', outcome: 'accepted', quantity: 21 },
        { key: 'listing-2', outcome: 'accepted', quantity: 22 },
      ]);
      expect(await stockOf(platform, shop)).toEqual([20, 21, 22]);
    });

    test('a full call of 50 is taken, and 51 are refused before anything is sent', async () => {
      const models = Array.from({ length: 51 }, (_, index) => ({ sku: `S${index}`, price: '1', stock: 0 }));
      const { code, ...view } = await ground.control.createShop(platform, {
        name: 'Wide',
        currency: 'MYR',
        items: [{ title: 'W', models }],
      });
      const authorized = await connector().exchangeCode({ code, shop_id: view.shopId });
      const access = { shopId: view.shopId, accessToken: authorized.tokens.accessToken };
      const entries = entriesOf({ view, authorized, access }, 1);
      const results = await connector().updateStock(access, entries.slice(0, 50));
      expect(results.filter((result) => result.outcome === 'accepted')).toHaveLength(50);
      await ground.control.clearCalls();
      expect((await failureOf(connector().updateStock(access, entries))).code).toBe('invalid_call');
      expect((await ground.control.calls({ platform })).count).toBe(0);
    });

    test.each([
      ['no entries', () => []],
      ['a negative quantity', (entries: StockEntry[]) => entries.map((entry) => ({ ...entry, quantity: -1 }))],
      ['half a piece', (entries: StockEntry[]) => entries.map((entry) => ({ ...entry, quantity: 0.5 }))],
      ['an id that is no number', (entries: StockEntry[]) => entries.map((entry) => ({ ...entry, itemId: '1}' }))],
      ['one model twice', (entries: StockEntry[]) => entries.map((entry) => ({ ...entry, modelId: '5' }))],
    ])('a call with %s is never sent', async (_, change) => {
      await ground.control.clearCalls();
      const error = await failureOf(connector().updateStock(shop.access, change(entriesOf(shop, 1))));
      expect(error).toMatchObject({ kind: 'rejected', code: 'invalid_call' });
      expect((await ground.control.calls({ platform })).count).toBe(0);
    });

    test('partly refused: the others are written', async () => {
      const entries = entriesOf(shop, 30);
      await ground.control.addFault(platform, {
        kind: 'partial_failure',
        items: [entries[1]?.modelId ?? ''],
        times: 1,
      });
      const results = await connector().updateStock(shop.access, entries);
      expect(results.map((result) => [result.key, result.outcome])).toEqual([
        ['listing-0', 'accepted'],
        ['listing-1', 'refused'],
        ['listing-2', 'accepted'],
      ]);
      expect(await stockOf(platform, shop)).toEqual([30, 4, 32]);
    });

    test('a model that the shop does not have is refused, the others are written', async () => {
      const entries = entriesOf(shop, 40).map((entry, index) => (index === 0 ? { ...entry, modelId: '999' } : entry));
      const results = await connector().updateStock(shop.access, entries);
      expect(results.map((result) => result.outcome)).toEqual(['refused', 'accepted', 'accepted']);
      expect(await stockOf(platform, shop)).toEqual([3, 41, 42]);
    });

    test('an item that the shop does not have is refused, entry by entry', async () => {
      const entries = entriesOf(shop, 1).map((entry) => ({ ...entry, itemId: '77' }));
      const results = await connector().updateStock(shop.access, entries);
      expect(results.map((result) => result.outcome)).toEqual(['refused', 'refused', 'refused']);
    });

    test('below the floor: the floor is told and nothing of that model is written', async () => {
      const entries = entriesOf(shop, 10);
      await ground.control.addFault(platform, { kind: 'floor', items: [entries[0]?.modelId ?? ''], floor: 12 });
      const results = await connector().updateStock(shop.access, entries);
      expect(results[0]).toMatchObject({ key: 'listing-0', outcome: 'floor', floor: 12 });
      expect(results.slice(1).map((result) => result.outcome)).toEqual(['accepted', 'accepted']);
      expect(await stockOf(platform, shop)).toEqual([3, 11, 12]);
      const again = await connector().updateStock(shop.access, [{ ...(entries[0] as StockEntry), quantity: 12 }]);
      expect(again).toEqual([{ key: 'listing-0', outcome: 'accepted', quantity: 12 }]);
    });

    test('a floor that the refusal does not name is looked up', async () => {
      await ground.control.addFault(platform, { kind: 'floor', floor: 31, silent: true });
      const results = await connector().updateStock(shop.access, entriesOf(shop, 1));
      expect(results.map((result) => (result.outcome === 'floor' ? result.floor : result.outcome))).toEqual([
        31, 31, 31,
      ]);
    });

    test('a floor that can be neither read nor looked up is worth another try', async () => {
      await ground.control.addFault(platform, { kind: 'floor', floor: 31, silent: true });
      const lookup = platform === 'shopee' ? 'get_model_list' : '/product/item/get';
      await ground.control.addFault(platform, { kind: 'error500', pathContains: lookup });
      const results = await connector().updateStock(shop.access, entriesOf(shop, 1));
      expect(results.map((result) => result.outcome)).toEqual(['retry', 'retry', 'retry']);
    });

    test("nothing is written into another shop with this shop's token", async () => {
      const other = await openShop(ground, platform);
      const access = { shopId: other.view.shopId, accessToken: shop.access.accessToken };
      if (platform === 'shopee') {
        expect((await failureOf(connector().updateStock(access, entriesOf(other, 70)))).kind).toBe('token_expired');
      } else {
        // Lazada's token names the shop by itself: the items are not found in it.
        const results = await connector().updateStock(access, entriesOf(other, 70));
        expect(results.every((result) => result.outcome === 'refused')).toBe(true);
      }
      expect(await stockOf(platform, other)).toEqual([3, 4, 5]);
    });
  });

  describe('trouble', () => {
    const stock = () => connector().updateStock(shop.access, entriesOf(shop, 50));
    const list = () => connector().listListings(shop.access, { cursor: null });

    test('throttled: as long as Retry-After says, and not repeated here', async () => {
      await ground.control.addFault(platform, { kind: 'throttle', retryAfterS: 7 });
      await ground.control.clearCalls();
      const error = await failureOf(stock());
      expect(error).toMatchObject({ kind: 'throttled', options: { retryAfterMs: 7000 } });
      expect(await callsTo(platform, shop, STOCK_PATH[platform])).toBe(1);
    });

    test('a blip of a read is repeated once and not noticed', async () => {
      await ground.control.addFault(platform, { kind: 'error500', times: 1 });
      expect((await list()).listings).toHaveLength(4);
      await ground.control.addFault(platform, { kind: 'down', times: 1 });
      expect((await list()).listings).toHaveLength(4);
    });

    test('an error of the platform is unavailable after two tries', async () => {
      await ground.control.addFault(platform, { kind: 'error500' });
      await ground.control.clearCalls();
      expect(await failureOf(list())).toMatchObject({ kind: 'unavailable' });
      expect((await ground.control.calls({ platform, shopId: shop.view.shopId })).count).toBe(2);
    });

    test('an error in a write is not repeated here: what it did is unknown', async () => {
      await ground.control.addFault(platform, { kind: 'error500' });
      await ground.control.clearCalls();
      expect(await failureOf(stock())).toMatchObject({ kind: 'unavailable', options: { outcomeUnknown: true } });
      expect(await callsTo(platform, shop, STOCK_PATH[platform])).toBe(1);
    });

    test('a hanging platform is given up at the deadline, and not asked again', async () => {
      await ground.control.addFault(platform, { kind: 'hang' });
      await ground.control.clearCalls();
      const impatient = ground.connector(platform, { timeoutMs: 200 });
      const startedAt = Date.now();
      const error = await failureOf(impatient.updateStock(shop.access, entriesOf(shop, 1)));
      const lastedMs = Date.now() - startedAt;
      expect(error).toMatchObject({ kind: 'unavailable', code: 'timeout', options: { outcomeUnknown: true } });
      expect(lastedMs).toBeGreaterThanOrEqual(190);
      expect(lastedMs).toBeLessThan(1500);
      const read = await failureOf(impatient.listListings(shop.access, { cursor: null }));
      expect(read).toMatchObject({ kind: 'unavailable', code: 'timeout', options: { outcomeUnknown: false } });
      expect((await ground.control.calls({ platform, shopId: shop.view.shopId })).count).toBe(2);
    });

    test('a slow platform is waited for', async () => {
      await ground.control.addFault(platform, { kind: 'slow', delayMs: 150, times: 1 });
      const startedAt = Date.now();
      await list();
      expect(Date.now() - startedAt).toBeGreaterThanOrEqual(140);
    });

    test('a lost answer: the stock is written, and the outcome unknown to us', async () => {
      await ground.control.addFault(platform, { kind: 'lost_answer', times: 1 });
      await ground.control.clearCalls();
      const error = await failureOf(stock());
      expect(error).toMatchObject({ kind: 'unavailable', code: 'connection', options: { outcomeUnknown: true } });
      expect(await stockOf(platform, shop)).toEqual([50, 51, 52]);
      expect(await callsTo(platform, shop, STOCK_PATH[platform])).toBe(1);
    });

    test('an answer that is not JSON is unavailable; after a write the outcome is unknown', async () => {
      await ground.control.addFault(platform, { kind: 'garbage' });
      expect(await failureOf(stock())).toMatchObject({
        kind: 'unavailable',
        code: 'bad_answer',
        options: { outcomeUnknown: true },
      });
      expect(await failureOf(list())).toMatchObject({ code: 'bad_answer', options: { outcomeUnknown: false } });
    });

    test('nobody there: repeated even for a write, and certainly nothing done', async () => {
      const gone = await startGround();
      const nowhere = gone.connector(platform);
      await gone.sandbox.close();
      const error = await failureOf(nowhere.updateStock(shop.access, entriesOf(shop, 1)));
      expect(error).toMatchObject({ kind: 'unavailable', code: 'connection', options: { outcomeUnknown: false } });
      expect(gone.lines.filter((line) => line.message === 'platform call failed')).toHaveLength(2);
    });
  });

  describe('an order', () => {
    const recipient = { name: 'Siti binti Abu', phone: '+60111222333', address: '5 Jalan <A>, 50000 KL' };
    const order = (extra: object = {}) => {
      const [shirt, mug] = shop.view.items;
      const lines = [
        { itemId: shirt?.itemId ?? '', modelId: shirt?.models[1]?.modelId ?? '', quantity: 2 },
        { itemId: mug?.itemId ?? '', modelId: mug?.models[0]?.modelId ?? '', quantity: 1 },
      ];
      return ground.control.createOrder(platform, { shopId: shop.view.shopId, lines, recipient, ...extra });
    };

    test('comes with lines, prices, recipient and times', async () => {
      const made = await order();
      const read = await connector().getOrder(shop.access, made.orderNumber);
      expect(read).toMatchObject({
        platformOrder: made.orderNumber,
        state: 'ready_to_ship',
        platformState: platform === 'shopee' ? 'READY_TO_SHIP' : 'pending',
        currency: 'MYR',
        shipping: 'platform_logistics',
        recipient,
        createdAt: Math.floor(made.createdAt / 1000) * 1000,
        updatedAt: Math.floor(made.updatedAt / 1000) * 1000,
      });
      const [shirt, mug] = shop.view.items;
      const bought = read.lines.map((line) => [line.itemId, line.modelId, line.sellerSku, line.unitPrice]);
      expect(new Set(bought.map(String))).toEqual(
        new Set([
          String([shirt?.itemId, shirt?.models[1]?.modelId, 'SHIRT-M', '12.50']),
          String([mug?.itemId, mug?.models[0]?.modelId, 'MUG', '8.05']),
        ]),
      );
      const pieces = (sku: string) =>
        read.lines.filter((line) => line.sellerSku === sku).reduce((sum, line) => sum + line.quantity, 0);
      expect([pieces('SHIRT-M'), pieces('MUG')]).toEqual([2, 1]);
      expect(new Set(read.lines.map((line) => line.lineId)).size).toBe(read.lines.length);
    });

    test('all digits of its ids are kept', async () => {
      const made = await order();
      const read = await connector().getOrder(shop.access, made.orderNumber);
      const known = made.lines.map((line) => line.lineId);
      expect(read.platformOrder).toBe(made.orderNumber);
      if (platform === 'lazada') {
        expect(read.lines.map((line) => line.lineId)).toEqual(known);
        expect(Number.isSafeInteger(Number(made.orderNumber))).toBe(false);
      }
    });

    test.each(['unpaid', 'ready_to_ship', 'shipped', 'completed', 'cancel_requested', 'cancelled'] as const)(
      'that is %s is read so',
      async (state) => {
        const made = await order({ state });
        expect((await connector().getOrder(shop.access, made.orderNumber)).state).toBe(state);
      },
    );

    test.each(['platform_logistics', 'three_pl', 'self_delivery', 'self_arranged'] as const)(
      'that travels by %s is read so',
      async (shipping) => {
        const made = await order({ shipping });
        expect((await connector().getOrder(shop.access, made.orderNumber)).shipping).toBe(shipping);
      },
    );

    test('with nothing but asterisks for a recipient has none', async () => {
      const masked = { name: '****', phone: '******', address: '*** ***' };
      const made = await order({ recipient: masked });
      expect((await connector().getOrder(shop.access, made.orderNumber)).recipient).toBeNull();
    });

    test("that is unknown, or another shop's, is rejected", async () => {
      expect((await failureOf(connector().getOrder(shop.access, '404'))).kind).toBe('rejected');
      const made = await order();
      const other = await openShop(ground, platform);
      expect((await failureOf(connector().getOrder(other.access, made.orderNumber))).kind).toBe('rejected');
    });

    describe('that leaves', () => {
      const shipmentOf = (made: { orderNumber: string; lines: { lineId: string }[] }) => ({
        platformOrder: made.orderNumber,
        lineIds: made.lines.map(({ lineId }) => lineId),
        carrier: 'PosLaju',
        trackingNumber: 'TRACK "1"',
      });
      const there = (made: { orderNumber: string }) => ground.control.order(platform, made.orderNumber);

      test.each(['platform_logistics', 'three_pl', 'self_delivery', 'self_arranged'] as const)(
        'by %s is told with its tracking number, and once',
        async (shipping) => {
          const made = await order({ shipping });
          expect(await connector().shipOrder(shop.access, shipmentOf(made))).toBeNull();
          const told = await there(made);
          expect(told).toMatchObject({ state: 'shipped', shipments: [{ trackingNumber: 'TRACK "1"', left: true }] });
          // Looked at again it says under which number, whoever asks.
          const known = { trackingNumbers: ['TRACK "1"'] };
          expect(await connector().shipOrder(shop.access, shipmentOf(made))).toEqual(known);
          expect(await connector().shipOrder(shop.access, { ...shipmentOf(made), trackingNumber: 'B' })).toEqual(known);
          expect(await there(made)).toEqual(told);
        },
      );

      test.each(platform === 'shopee' ? ['ship_order'] : ['fulfill/pack', 'package/rts'])(
        'and whose answer from %s was lost is told once when tried again',
        async (pathContains) => {
          const made = await order();
          await ground.control.addFault(platform, { kind: 'lost_answer', pathContains, times: 1 });
          const error = await failureOf(connector().shipOrder(shop.access, shipmentOf(made)));
          expect(error).toMatchObject({ kind: 'unavailable', options: { outcomeUnknown: true } });
          await connector().shipOrder(shop.access, shipmentOf(made));
          expect((await there(made)).shipments).toMatchObject([{ trackingNumber: 'TRACK "1"', left: true }]);
        },
      );

      test.each(['unpaid', 'cancelled'] as const)('while it is %s is rejected', async (state) => {
        const made = await order({ state });
        expect((await failureOf(connector().shipOrder(shop.access, shipmentOf(made)))).kind).toBe('rejected');
        expect((await there(made)).shipments).toEqual([]);
      });

      if (platform === 'lazada')
        test('in two parcels is told of each; it is shipped with the last', async () => {
          const made = await order();
          const [first = '', ...others] = shipmentOf(made).lineIds;
          await connector().shipOrder(shop.access, { ...shipmentOf(made), lineIds: [first], trackingNumber: 'A' });
          expect((await there(made)).state).toBe('ready_to_ship');
          expect((await connector().getOrder(shop.access, made.orderNumber)).state).toBe('ready_to_ship');
          await connector().shipOrder(shop.access, { ...shipmentOf(made), lineIds: others, trackingNumber: 'B' });
          expect(await there(made)).toMatchObject({
            state: 'shipped',
            shipments: [{ trackingNumber: 'A' }, { trackingNumber: 'B' }],
          });
        });
    });
  });
});

describe('what is never told', () => {
  let vendor: Server;
  let url: string;
  let lastQuery = '';

  beforeAll(async () => {
    // A vendor that echoes the whole request, signature and tokens included, in its error.
    vendor = createServer((req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk: Buffer) => chunks.push(chunk));
      req.on('end', () => {
        lastQuery = new URL(req.url ?? '', 'http://x').search.slice(1);
        const echo = `failed for http://${req.headers.host}${req.url} with ${Buffer.concat(chunks)}`;
        res.end(JSON.stringify({ error: 'error_foo', code: 'FooError', message: echo }));
      });
    });
    await new Promise<void>((resolve) => vendor.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(vendor.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    vendor.closeAllConnections();
    vendor.close();
  });

  const shown = (value: unknown): string => {
    if (!(value instanceof Error)) return JSON.stringify(value) ?? '';
    const own = Object.getOwnPropertyNames(value).map((name) => shown(Reflect.get(value, name)));
    return [value.name, value.message, ...own].join('\n');
  };

  test.each(PLATFORMS)('%s: a token or secret that the platform echoes', async (platform) => {
    const connector = connectorAt(url, platform, {
      logger: {
        debug: (message, fields) => void ground.lines.push({ message, fields }),
        warn: (message, fields) => void ground.lines.push({ message, fields }),
      },
    });
    const access = { shopId: '1', accessToken: 'access+token/of=the shop' };
    const entry = { key: 'k', itemId: '1', modelId: '2', quantity: 3 };
    const errors = [
      await failureOf(connector.updateStock(access, [entry])),
      await failureOf(connector.getOrder(access, '5')),
      await failureOf(connector.refreshTokens({ shopId: '1', refreshToken: 'refresh+token/1' })),
      await failureOf(connector.exchangeCode({ code: 'the+code/1', shop_id: '1' })),
    ];
    const sign = new URLSearchParams(lastQuery).get('sign') ?? '';
    expect(sign).toMatch(/^[0-9a-fA-F]{64}$/);
    for (const error of errors) {
      expect(['rejected', 'unauthorised']).toContain(error.kind);
      for (const secret of [
        'access+token',
        encodeQuery([['a', 'access+token']]).slice(2),
        'refresh+token',
        'the+code',
        sign,
        ...SECRETS,
      ]) {
        expect(shown(error)).not.toContain(secret);
      }
      expect(shown(error)).not.toContain('partner_id=');
      expect(shown(error)).not.toContain('app_key=');
    }
  });

  test('no error and no log line of this whole suite holds a key, a token or a query', () => {
    const everything = [...seen, ...ground.lines].map(shown).join('\n');
    expect(seen.length).toBeGreaterThan(30);
    expect(ground.lines.length).toBeGreaterThan(100);
    expect(issued.size).toBeGreaterThan(50);
    for (const secret of [...SECRETS, ...issued]) expect(everything).not.toContain(secret);
    expect(everything).not.toMatch(/sign=|access_token=|[?&](timestamp|partner_id|app_key)=/);
    expect(everything).not.toMatch(/axios/i);
  });
});

describe('answers of odd shapes', () => {
  async function withVendor(
    answer: (path: string) => { status?: number; headers?: Record<string, string>; body: string },
    check: (url: string, calls: () => number) => Promise<void>,
  ): Promise<void> {
    let count = 0;
    const server = createServer((req, res) => {
      count += 1;
      const { status, headers, body } = answer(req.url ?? '');
      res.writeHead(status ?? 200, headers).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      await check(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, () => count);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
  const access = { shopId: '1', accessToken: 'token-token' };

  test.each(PLATFORMS)('%s: a redirect is not followed', async (platform) => {
    const redirect = { status: 302, headers: { Location: 'http://127.0.0.1:1/elsewhere' }, body: '' };
    await withVendor(
      () => redirect,
      async (url, calls) => {
        const error = await failureOf(connectorAt(url, platform).listListings(access, { cursor: null }));
        expect(error).toMatchObject({ kind: 'unavailable', code: 'http_302' });
        expect(calls()).toBe(2);
      },
    );
  });

  test.each(PLATFORMS)('%s: an answer beyond the limit is refused', async (platform) => {
    await withVendor(
      () => ({ body: JSON.stringify({ error: '', code: '0', pad: 'x'.repeat(200_000) }) }),
      async (url) => {
        const connector = connectorAt(url, platform, { maxAnswerBytes: 100_000 });
        expect((await failureOf(connector.listListings(access, { cursor: null }))).code).toBe('bad_answer');
      },
    );
  });

  test.each(PLATFORMS)('%s: a success of another shape is not taken for one', async (platform) => {
    await withVendor(
      () => ({ body: '{"error":"","code":"0","response":{"item":"none"},"data":{"products":"none"}}' }),
      async (url) => {
        const error = await failureOf(connectorAt(url, platform).listListings(access, { cursor: null }));
        expect(error).toMatchObject({ kind: 'unavailable', code: 'bad_answer' });
      },
    );
  });

  test.each(PLATFORMS)('%s: an answer that drips is cut off at the deadline', async (platform) => {
    const server = createServer((_req, res) => {
      res.writeHead(200);
      const timer = setInterval(() => res.write(' '), 20);
      res.on('close', () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const startedAt = Date.now();
    const error = await failureOf(connectorAt(url, platform, { timeoutMs: 200 }).getOrder(access, '1'));
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(error).toMatchObject({ kind: 'unavailable', code: 'timeout' });
    expect(Date.now() - startedAt).toBeLessThan(1500);
  });

  test.each(PLATFORMS)(
    '%s: a proxy that breaks during a write leaves its outcome unknown, during a read not',
    async (platform) => {
      await withVendor(
        () => ({ status: 502, body: '<html>' }),
        async (url, calls) => {
          const connector = connectorAt(url, platform);
          const entry = { key: 'k', itemId: '1', modelId: '2', quantity: 3 };
          const write = await failureOf(connector.updateStock(access, [entry]));
          expect(write).toMatchObject({ kind: 'unavailable', code: 'http_502', options: { outcomeUnknown: true } });
          expect(calls()).toBe(1);
          const read = await failureOf(connector.getOrder(access, '1'));
          expect(read).toMatchObject({ code: 'http_502', options: { outcomeUnknown: false } });
          expect(calls()).toBe(3);
        },
      );
    },
  );

  test.each(PLATFORMS)('%s: 429 is throttled, whatever else the answer says', async (platform) => {
    for (const body of ['<html>', '{"error":"error_new","code":"New","message":"m"}']) {
      await withVendor(
        () => ({ status: 429, headers: { 'Retry-After': '3' }, body }),
        async (url, calls) => {
          const error = await failureOf(connectorAt(url, platform).getOrder(access, '1'));
          expect(error).toMatchObject({ kind: 'throttled', options: { retryAfterMs: 3000 } });
          expect(calls()).toBe(1);
        },
      );
    }
  });

  test('an idle connection is closed before the platform closes it', async () => {
    const server = createServer((_req, res) => void res.end('{"code":"16","message":"E016"}'));
    server.keepAliveTimeout = 3000;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    let open = 0;
    const closedAt = new Promise<number>((resolve) => {
      server.on('connection', (socket) => {
        open += 1;
        socket.once('end', () => resolve(Date.now()));
      });
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const connector = connectorAt(url, 'lazada');
    await failureOf(connector.getOrder(access, '1'));
    await failureOf(connector.getOrder(access, '2'));
    const usedAt = Date.now();
    expect(open).toBe(1);
    expect((await closedAt) - usedAt).toBeLessThan(2800);
    await new Promise((resolve) => server.close(resolve));
  });

  test.each(PLATFORMS)('%s: 401 and 403 without an envelope are unauthorised, 404 is rejected', async (platform) => {
    for (const [status, kind] of [
      [401, 'unauthorised'],
      [403, 'unauthorised'],
      [404, 'rejected'],
      [502, 'unavailable'],
    ] as const) {
      await withVendor(
        () => ({ status, body: '<html>' }),
        async (url) => {
          expect((await failureOf(connectorAt(url, platform).getOrder(access, '1'))).kind).toBe(kind);
        },
      );
    }
  });
});
