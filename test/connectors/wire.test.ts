import fc from 'fast-check';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { cleanText, encodeQuery, parseJsonLossless, parseRetryAfter } from '../../connectors/http';
import {
  classifyLazada,
  lazadaCode,
  toStockResults as lazadaResults,
  parseLazadaTime,
} from '../../connectors/marketplaces/lazada/mapper';
import { lazadaEnvelope, stockPayload } from '../../connectors/marketplaces/lazada/wire';
import {
  classifyShopee,
  shopeeCode,
  toStockResults as shopeeResults,
} from '../../connectors/marketplaces/shopee/mapper';
import { decimalText, equalInConstantTime } from '../../connectors/marketplaces/wire-values';

describe('reading JSON', () => {
  test('integers beyond 2^53 keep every digit, as text', () => {
    expect(parseJsonLossless('{"order_id":100000000000000001,"n":5}')).toEqual({
      order_id: '100000000000000001',
      n: 5,
    });
  });

  test('long digits inside strings and long decimals stay what they are', () => {
    const text = '{"a":"x 12345678901234567890 \\" 12345678901234567890","b":0.12345678901234567,"c":1e21}';
    expect(parseJsonLossless(text)).toEqual(JSON.parse(text));
  });

  test('whatever JSON.parse reads exactly is read the same', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!/\d{16}/.test(text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '')));
        expect(parseJsonLossless(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('any integer comes back with its digits', () => {
    fc.assert(
      fc.property(fc.bigInt(), (id) => {
        const { value } = parseJsonLossless(`{"pad":"1234567890123456","value":${id}}`) as { value: string | number };
        expect(String(value)).toBe(String(id));
      }),
    );
  });
});

describe('the payload of a Lazada stock call', () => {
  const parser = new XMLParser({ parseTagValue: false, trimValues: false, isArray: (name) => name === 'Sku' });

  test('is the documented XML', () => {
    expect(stockPayload([{ itemId: '1', modelId: '2', quantity: 3 }])).toBe(
      '<Request><Product><Skus><Sku><ItemId>1</ItemId><SkuId>2</SkuId><SellableQuantity>3</SellableQuantity></Sku></Skus></Product></Request>',
    );
  });

  test('is well formed and reads back as it was, whatever the ids hold', () => {
    const text = fc.stringMatching(/^[a-zA-Z0-9<>&'"\][;:/!?= -]{1,30}$/);
    const entry = fc.record({ itemId: text, modelId: text, quantity: fc.nat() });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 50 }), (entries) => {
        const payload = stockPayload(entries);
        expect(XMLValidator.validate(payload)).toBe(true);
        const read = parser.parse(payload).Request.Product.Skus.Sku;
        expect(read).toEqual(
          entries.map(({ itemId, modelId, quantity }) => ({
            ItemId: itemId,
            SkuId: modelId,
            SellableQuantity: String(quantity),
          })),
        );
      }),
    );
  });
});

describe('texts that leave us', () => {
  test('hold no secret, no query and no control character', () => {
    const text = cleanText('bad token s3cr3t+/= at https://x.test/a?access_token=abc&sign=1 and\nsign=FFFF', [
      's3cr3t+/=',
    ]);
    expect(text).toBe('bad token [redacted] at https://x.test/a and sign=[redacted]');
  });

  test('hold no secret, wherever it stands', () => {
    const secret = fc.stringMatching(/^[a-zA-Z0-9+/=]{8,40}$/);
    fc.assert(
      fc.property(fc.string(), secret, fc.string(), (before, value, after) => {
        expect(cleanText(`${before}${value}${after}`, [value])).not.toContain(value);
      }),
    );
  });

  test('a query says its values percent-encoded, a space as %20', () => {
    expect(encodeQuery([['a b', 'c&d=e f']])).toBe('a%20b=c%26d%3De%20f');
  });
});

test.each([
  ['2', 2000],
  ['0', 0],
  ['Thu, 01 Jan 1970 00:00:10 GMT', 5000],
  ['soon', undefined],
  ['', undefined],
  [undefined, undefined],
])('Retry-After %p is %p ms', (header, expected) => {
  expect(parseRetryAfter(header, 5000)).toBe(expected);
});

test.each([
  [12.5, 'MYR', '12.50'],
  ['12.50', 'MYR', '12.50'],
  [0.1, 'MYR', '0.10'],
  [15000, 'IDR', '15000'],
  ['15000.00', 'IDR', '15000'],
  [12, 'MYR', '12.00'],
  ['12.505', 'MYR', '12.505'],
])('%p %s is quoted as %s', (amount, currency, expected) => {
  expect(decimalText(amount, currency)).toBe(expected);
});

test('two texts are equal or not', () => {
  expect(equalInConstantTime('abc', 'abc')).toBe(true);
  expect(equalInConstantTime('abc', 'abd')).toBe(false);
  expect(equalInConstantTime('', 'abd')).toBe(false);
});

describe('what a Shopee error means', () => {
  const noonInSingapore = Date.UTC(2026, 10, 21, 4);
  test.each([
    ['invalid_acceess_token', 'Invalid access_token, please have a check.', 'token_expired'],
    ['error_auth', 'Invalid access_token.', 'token_expired'],
    ['error_auth', 'Invalid refresh_token.', 'unauthorised'],
    ['error_auth', 'Invalid code.', 'unauthorised'],
    ['error_auth', 'Your shop has not authorized this partner', 'unauthorised'],
    ['error_sign', 'Wrong sign.', 'unauthorised'],
    ['error_sign', 'Timestamp is expired', 'unavailable'],
    ['error_param', 'Invalid timestamp.', 'unavailable'],
    ['error_param', 'Invalid partner_id.', 'unauthorised'],
    ['error_param', 'Wrong refresh_token', 'unauthorised'],
    ['error_param', 'page_size should be in range [1,100].', 'rejected'],
    ['error_rate_limit', 'x', 'throttled'],
    ['error_limit', 'x', 'throttled'],
    ['error_server', 'x', 'unavailable'],
    ['error_inner', 'x', 'unavailable'],
    ['error_system_busy', 'x', 'unavailable'],
    ['error_network', 'x', 'unavailable'],
    ['product.error_item_not_found', 'Product not found.', 'rejected'],
    ['product.error_busy', 'The system is busy, try again later', 'unavailable'],
  ])('%s "%s" is %s', (error, message, kind) => {
    expect(classifyShopee(error, message, noonInSingapore).kind).toBe(kind);
  });

  test('the day quota comes back at midnight UTC+8', () => {
    expect(classifyShopee('error_limit', '', noonInSingapore).retryAfterMs).toBe(12 * 3600_000);
    expect(shopeeCode('product.error_limit')).toBe('error_limit');
  });
});

describe('what a Lazada error means', () => {
  test.each([
    ['IllegalAccessToken', 'The specified access token is invalid or expired', 'token_expired'],
    ['IllegalRefreshToken', 'The specified refresh token is invalid or expired', 'unauthorised'],
    ['InvalidCode', 'Invalid authorization code', 'unauthorised'],
    ['IncompleteSignature', 'The request signature does not conform to platform standards', 'unauthorised'],
    ['IllegalTimestamp', 'The specified timestamp is invalid or expired', 'unavailable'],
    ['ApiCallLimit', 'x', 'throttled'],
    ['SellerCallLimit', 'x', 'throttled'],
    ['901', 'The request is too frequent', 'throttled'],
    ['ServiceUnavailable', 'x', 'unavailable'],
    ['6', 'E006: Unexpected internal error', 'unavailable'],
    ['E1000', 'Internal Application Error', 'unavailable'],
    ['16', 'E016: "1" Invalid Order ID', 'rejected'],
    ['501', 'E501: Update product failed', 'rejected'],
  ])('%s "%s" is %s', (code, message, kind) => {
    expect(classifyLazada({ code, message }).kind).toBe(kind);
  });

  test('a limit waits as long as the message says, or a second', () => {
    expect(classifyLazada({ code: 'ApiCallLimit', message: 'this ban will last 3 more seconds' }).retryAfterMs).toBe(
      3000,
    );
    expect(classifyLazada({ code: '901', message: '' }).retryAfterMs).toBe(1000);
  });

  test.each([
    [{ code: '501' }, '501'],
    [{ code: 'E0501' }, '501'],
    [{ code: '1', message: 'E501: Update product failed' }, '501'],
    [{ code: 'ApiCallLimit', message: 'E501' }, 'ApiCallLimit'],
  ])('%p has the code %s', (envelope, expected) => {
    expect(lazadaCode(envelope)).toBe(expected);
  });

  test.each([
    ['2026-11-21 20:00:00 +0800', Date.UTC(2026, 10, 21, 12)],
    ['2026-11-21T20:00:00+08:00', Date.UTC(2026, 10, 21, 12)],
    ['yesterday', null],
  ])('the time %s', (text, expected) => {
    expect(parseLazadaTime(text)).toBe(expected);
  });
});

describe('results of a stock call, one per entry', () => {
  const entry = (modelId: string, quantity = 7) => ({ key: `k${modelId}`, itemId: '1', modelId, quantity });

  test('Shopee: error and failure_list together; what neither list names is tried again', () => {
    const answer = {
      error: 'error_busi_update_stock_failed',
      message: 'see failure_list',
      response: {
        success_list: [{ model_id: '1' }],
        failure_list: [
          { model_id: '2', failed_reason: 'Model not found.' },
          { model_id: '3', failed_reason: 'Stock should be larger than 125 (reserve stock number)' },
          { model_id: '4', failed_reason: 'System busy, please try again' },
        ],
      },
    };
    const results = shopeeResults(
      answer,
      ['1', '2', '3', '4', '5'].map((id) => entry(id)),
    );
    expect(results.map((result) => result.outcome)).toEqual(['accepted', 'refused', 'floor', 'retry', 'retry']);
    expect(results[2]).toMatchObject({ key: 'k3', floor: 125 });
  });

  test('Shopee: no error and no failure_list means that all was written', () => {
    expect(shopeeResults({ error: '', response: {} }, [entry('1')])).toEqual([
      { key: 'k1', outcome: 'accepted', quantity: 7 },
    ]);
  });

  test('Lazada: named SKUs failed as the details say, the others were written', () => {
    const envelope = lazadaEnvelope.parse({
      code: '501',
      message: 'E501: Update product failed',
      detail: [
        { code: '4170', message: 'The quantity can not be less than 12, the stock locked by campaign', sku_id: 2 },
        { message: 'SKU not found', SkuId: '3' },
        { message: 'RPC timeout', sku_id: '4' },
      ],
    });
    const results = lazadaResults(
      envelope,
      ['1', '2', '3', '4'].map((id) => entry(id)),
    );
    expect(results.map((result) => result.outcome)).toEqual(['accepted', 'floor', 'refused', 'retry']);
    expect(results[1]).toMatchObject({ floor: 12, code: '4170' });
  });

  test('Lazada: a detail that names no SKU leaves open which one failed', () => {
    const envelope = lazadaEnvelope.parse({ code: '501', detail: [{ message: 'Something', seller_sku: 'A' }] });
    expect(lazadaResults(envelope, [entry('1'), entry('2')]).map((result) => result.outcome)).toEqual([
      'retry',
      'retry',
    ]);
    expect(lazadaResults(envelope, [entry('1')]).map((result) => result.outcome)).toEqual(['refused']);
  });
});
