/** Pushes: what the sandbox sends is what the connectors take, and nothing else is. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { signLazadaPush } from '../../connectors/marketplaces/lazada/signature';
import { signShopeePush } from '../../connectors/marketplaces/shopee/signature';
import type { PlatformPush } from '../../connectors/port';
import { type Ground, KEYS, openShop, type PlatformName, type Shop, startGround } from './support';

const PLATFORMS: readonly PlatformName[] = ['shopee', 'lazada'];

interface Received {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawBody: Buffer;
}

let ground: Ground;
let hub: Server;
let hubUrl: string;
let received: Received[] = [];
/** What the hub answers, in turn; 200 afterwards. */
let answers: number[] = [];

beforeAll(async () => {
  hub = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      received.push({ url: req.url ?? '', headers: req.headers, rawBody: Buffer.concat(chunks) });
      res.writeHead(answers.shift() ?? 200).end();
    });
  });
  await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve));
  hubUrl = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  ground = await startGround({
    callbackBaseUrl: hubUrl,
    pushTiming: { retryMs: [20, 20, 20], timeoutMs: { shopee: 2000, lazada: 2000 } },
  });
});
afterAll(async () => {
  await ground.sandbox.close();
  hub.closeAllConnections();
  await new Promise((resolve) => hub.close(resolve));
});
beforeEach(() => {
  received = [];
  answers = [];
});
afterEach(async () => {
  for (const platform of PLATFORMS) await ground.control.clearFaults(platform);
});

async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  for (let waitedMs = 0; waitedMs < 5000; waitedMs += 10) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('It never came about');
}

async function order(platform: PlatformName, shop: Shop, quantity: number) {
  const item = shop.view.items[0];
  const line = { itemId: item?.itemId ?? '', modelId: item?.models[0]?.modelId ?? '', quantity };
  return ground.control.createOrder(platform, { shopId: shop.view.shopId, lines: [line] });
}

describe.each(PLATFORMS)('%s', (platform) => {
  const callbackUrl = () => `${hubUrl}/v1/webhooks/${platform}`;
  let shop: Shop;

  beforeAll(async () => {
    shop = await openShop(ground, platform);
  });

  const verify = (rawBody: Buffer, authorization: string | undefined, now = Date.now(), url = callbackUrl()) =>
    ground.connector(platform).verifyPush({ rawBody, headers: { authorization }, callbackUrl: url, now });
  const sign = (rawBody: Buffer) =>
    platform === 'shopee'
      ? signShopeePush(KEYS.shopee.partnerKey, callbackUrl(), rawBody)
      : signLazadaPush(KEYS.lazada.appKey, KEYS.lazada.appSecret, rawBody);
  const verifySigned = (body: unknown, now?: number) => {
    const rawBody = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    return verify(rawBody, sign(rawBody), now);
  };
  const orderBody = (timestampS: number) =>
    platform === 'shopee'
      ? {
          code: 3,
          shop_id: 1,
          timestamp: timestampS,
          data: { ordersn: '261121AAA', status: 'READY_TO_SHIP', update_time: 1_763_700_000 },
        }
      : {
          seller_id: '1',
          message_type: 0,
          timestamp: timestampS,
          data: {
            order_status: 'pending',
            trade_order_id: 5,
            trade_order_line_id: 6,
            status_update_time: 1_763_700_000,
          },
        };

  test('a new order is pushed, and the push is taken', async () => {
    const made = await order(platform, shop, 2);
    const expected = platform === 'shopee' ? 1 : 2;
    await eventually(() => received.length === expected);
    const pushes: PlatformPush[] = [];
    for (const { url, headers, rawBody } of received) {
      expect(url).toBe(`/v1/webhooks/${platform}`);
      const verdict = verify(rawBody, headers.authorization);
      if (!verdict.ok) throw new Error(verdict.detail);
      expect(verdict.push).toMatchObject({
        kind: 'order',
        shopId: shop.view.shopId,
        platformOrder: made.orderNumber,
        occurredAt: Math.floor(made.updatedAt / 1000) * 1000,
      });
      pushes.push(verdict.push);
    }
    expect(new Set(pushes.map((push) => push.dedupeKey)).size).toBe(expected);
  });

  test('another state is another event, the same push again the same', async () => {
    const made = await order(platform, shop, 1);
    await eventually(() => received.length === 1);
    const { statuses } = await ground.control.repeatPush(platform, made.orderNumber, { times: 10, parallel: true });
    expect(statuses).toEqual(Array(10).fill(200));
    await ground.control.advanceOrder(platform, made.orderNumber, { state: 'shipped' });
    await eventually(() => received.length === 12);
    const keys = received.map(({ rawBody, headers }) => {
      const verdict = verify(rawBody, headers.authorization);
      return verdict.ok ? verdict.push.dedupeKey : verdict.reason;
    });
    expect(new Set(keys.slice(0, 11)).size).toBe(1);
    expect(keys[11]).not.toBe(keys[0]);
  });

  test("a buyer's wish to cancel is an event of the order", async () => {
    const made = await order(platform, shop, 1);
    await ground.control.advanceOrder(platform, made.orderNumber, { state: 'cancel_requested' });
    await eventually(() => received.length === 2);
    for (const { rawBody, headers } of received) {
      expect(verify(rawBody, headers.authorization)).toMatchObject({
        ok: true,
        push: { platformOrder: made.orderNumber },
      });
    }
  });

  test('is sent again while the hub does not answer 2xx, then given up', async () => {
    answers = [500, 503];
    const made = await order(platform, shop, 1);
    await eventually(() => received.length === 3);
    expect(new Set(received.map(({ rawBody }) => rawBody.toString())).size).toBe(1);
    const stateOf = async (orderNumber: string) => (await ground.control.pushes({ orderNumber })).pushes[0]?.state;
    await eventually(async () => (await stateOf(made.orderNumber)) === 'delivered');
    answers = [500, 500, 500, 500, 500];
    const hopeless = await order(platform, shop, 1);
    await eventually(async () => (await stateOf(hopeless.orderNumber)) === 'given_up');
    expect(received).toHaveLength(7);
  });

  test('faults: dropped, doubled, and out of order', async () => {
    await ground.control.addFault(platform, { kind: 'push_drop', times: 1 });
    const lost = await order(platform, shop, 1);
    expect((await ground.control.pushes({ orderNumber: lost.orderNumber })).pushes[0]?.state).toBe('dropped');
    await ground.control.addFault(platform, { kind: 'push_duplicate', times: 1, copies: 4 });
    await order(platform, shop, 1);
    await eventually(() => received.length === 4);
    received = [];
    await ground.control.addFault(platform, { kind: 'push_shuffle', times: 1, delayMs: 200 });
    const first = await order(platform, shop, 1);
    await ground.control.advanceOrder(platform, first.orderNumber, { state: 'shipped' });
    await eventually(() => received.length === 2);
    const texts = received.map(({ rawBody }) => rawBody.toString().toLowerCase());
    expect(texts[0]).toContain('"shipped"');
    expect(texts[1]).not.toContain('"shipped"');
  });

  test('a signature that is missing, truncated, extended, upper case or of another body is refused', () => {
    const rawBody = Buffer.from(JSON.stringify(orderBody(Math.floor(Date.now() / 1000))));
    const right = sign(rawBody);
    expect(verify(rawBody, right)).toMatchObject({ ok: true });
    const other = sign(Buffer.from('{}'));
    for (const wrong of [
      undefined,
      '',
      right.slice(0, 63),
      `${right}0`,
      right.toUpperCase(),
      other,
      `Bearer ${right}`,
    ]) {
      expect(verify(rawBody, wrong)).toMatchObject({ ok: false, reason: 'signature' });
    }
  });

  test('any changed byte of the body is refused', () => {
    const rawBody = Buffer.from(JSON.stringify(orderBody(Math.floor(Date.now() / 1000))));
    const right = sign(rawBody);
    fc.assert(
      fc.property(fc.nat(rawBody.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const altered = Buffer.from(rawBody);
        altered[at] = (altered[at] ?? 0) ^ change;
        expect(verify(altered, right)).toMatchObject({ ok: false, reason: 'signature' });
      }),
    );
    expect(verify(rawBody.subarray(0, -1), right)).toMatchObject({ ok: false, reason: 'signature' });
    expect(verify(Buffer.concat([rawBody, Buffer.from(' ')]), right)).toMatchObject({ ok: false, reason: 'signature' });
  });

  test('the signature is checked on bytes, also on those that are no UTF-8', () => {
    const rawBody = Buffer.from([0x7b, 0xff, 0xfe, 0x7d]);
    const alike = Buffer.from([0x7b, 0xfe, 0xff, 0x7d]);
    expect(verify(rawBody, sign(rawBody))).toMatchObject({ ok: false, reason: 'malformed' });
    expect(verify(alike, sign(rawBody))).toMatchObject({ ok: false, reason: 'signature' });
  });

  if (platform === 'shopee') {
    test('the signature holds for one call-back address only', () => {
      const rawBody = Buffer.from(JSON.stringify(orderBody(Math.floor(Date.now() / 1000))));
      const verdict = verify(rawBody, sign(rawBody), Date.now(), 'https://elsewhere.example/v1/webhooks/shopee');
      expect(verdict).toMatchObject({ ok: false, reason: 'signature' });
    });
  }

  test('a late retry passes, an old replay and a message from the future do not', () => {
    const now = 1_763_700_000_000;
    const longestRetryS = platform === 'shopee' ? 3 * 24 * 3600 : 6 * 3600;
    const at = (ageS: number) => verifySigned(orderBody(now / 1000 - ageS), now);
    expect(at(0)).toMatchObject({ ok: true });
    expect(at(longestRetryS)).toMatchObject({ ok: true });
    expect(at(-60)).toMatchObject({ ok: true });
    expect(at(5 * 24 * 3600)).toMatchObject({ ok: false, reason: 'stale' });
    expect(at(-3600)).toMatchObject({ ok: false, reason: 'stale' });
  });

  test.each(['', '[]', 'null', '"text"', '{', '{"a":1}'])('signed nonsense is malformed: %p', (body) => {
    expect(verifySigned(body)).toMatchObject({ ok: false, reason: 'malformed' });
  });

  test('an order message without its order is malformed', () => {
    const body = { ...orderBody(Math.floor(Date.now() / 1000)), data: {} };
    expect(verifySigned(body)).toMatchObject({ ok: false, reason: 'malformed' });
  });

  test('a message of another kind is taken as such, the same content under the same key', () => {
    const body =
      platform === 'shopee'
        ? { code: 1, shop_id: 7, data: { a: 1 } }
        : { message_type: 4, seller_id: '7', data: { a: 1 } };
    const first = verifySigned(body);
    expect(first).toMatchObject({ ok: true, push: { kind: 'other', shopId: '7' } });
    expect(first).toEqual({
      ...verifySigned(body),
      push: expect.objectContaining({ dedupeKey: (first as { push: PlatformPush }).push.dedupeKey }),
    });
    const other = verifySigned({ ...body, data: { a: 2 } });
    expect((other as { push: PlatformPush }).push.dedupeKey).not.toBe((first as { push: PlatformPush }).push.dedupeKey);
  });
});

test('the sample with which the Lazada console checks an address is answered, for no shop', () => {
  const body = {
    seller_id: '9999',
    message_type: 0,
    data: { order_status: 'unpaid', trade_order_id: '123456', trade_order_line_id: '12345' },
    timestamp: 1,
    site: 'lazada_sg',
  };
  const rawBody = Buffer.from(JSON.stringify(body));
  const authorization = signLazadaPush(KEYS.lazada.appKey, KEYS.lazada.appSecret, rawBody);
  const input = { rawBody, headers: { authorization }, callbackUrl: 'https://x.test', now: Date.now() };
  expect(ground.connector('lazada').verifyPush(input)).toMatchObject({
    ok: true,
    push: { kind: 'other', shopId: null },
  });
});

test("a message's order keeps all its digits", () => {
  const now = Date.now();
  const rawBody = Buffer.from(
    `{"seller_id":"1","message_type":0,"timestamp":${now},"data":{"order_status":"pending","trade_order_id":100000000000000001,"status_update_time":${now}}}`,
  );
  const authorization = signLazadaPush(KEYS.lazada.appKey, KEYS.lazada.appSecret, rawBody);
  const input = { rawBody, headers: { authorization }, callbackUrl: 'https://x.test', now };
  expect(ground.connector('lazada').verifyPush(input)).toMatchObject({
    ok: true,
    push: { platformOrder: '100000000000000001', occurredAt: now },
  });
});
