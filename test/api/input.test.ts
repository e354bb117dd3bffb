import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Api,
  addAccount,
  as,
  bearer,
  expectStatus,
  newKey,
  type Partnership,
  type Party,
  partnered,
  startApi,
} from './harness';

describe('bad input', () => {
  let api: Api;
  let owner: Party;
  let partnership: Partnership;
  beforeAll(async () => {
    api = await startApi();
    owner = await addAccount(api, 'Owner');
    partnership = await partnered(api);
  });
  afterAll(() => api.close());

  const raw = (path: string, text: string | Buffer, contentType = 'application/json') => {
    const test = api.request
      .post(path)
      .set('Authorization', bearer(owner.key))
      .set('Idempotency-Key', newKey())
      .set('Content-Type', contentType);
    // supertest turns a Buffer of JSON type into JSON; the bytes are wanted.
    test.serialize((data: unknown) => data as string);
    return test.send(text as string);
  };

  const sku = { sku: 'S', name: 'S' };
  const adjustment = { warehouse: 'wh_1', sku: 'S', kind: 'stockIn', quantity: 1, reason: 'r' };
  const order = { number: '1', currency: 'MYR', shipping: 'three_pl', lines: [{ sku: 'S', quantity: 1 }] };
  const rule = { name: 'r', priority: 1, skus: { kind: 'all' }, warehouses: ['w'], stores: ['s'] };
  const tooLong = 'x'.repeat(1000);
  const lone = '\ud800';

  it.each<[string, string, object, [string, string][]]>([
    ['an unknown field', '/v1/skus', { ...sku, colour: 'red' }, [['/colour', 'unknown_field']]],
    [
      'an unknown field inside',
      '/v1/orders',
      { ...order, lines: [{ sku: 'S', quantity: 1, 'a/b~c': 1 }] },
      [['/lines/0/a~1b~0c', 'unknown_field']],
    ],
    ['a wrong type', '/v1/skus', { ...sku, name: 5 }, [['/name', 'wrong_type']]],
    ['null for a text', '/v1/skus', { ...sku, name: null }, [['/name', 'wrong_type']]],
    [
      'nothing at all',
      '/v1/skus',
      {},
      [
        ['/name', 'required'],
        ['/sku', 'required'],
      ],
    ],
    [
      'a text where a number is',
      '/v1/stock/adjustments',
      { ...adjustment, quantity: '1' },
      [['/quantity', 'wrong_type']],
    ],
    ['a negative quantity', '/v1/stock/adjustments', { ...adjustment, quantity: -1 }, [['/quantity', 'too_small']]],
    ['a quantity of none', '/v1/stock/adjustments', { ...adjustment, quantity: 0 }, [['/quantity', 'too_small']]],
    ['a fraction', '/v1/stock/adjustments', { ...adjustment, quantity: 1.5 }, [['/quantity', 'wrong_type']]],
    ['too large a quantity', '/v1/stock/adjustments', { ...adjustment, quantity: 1e12 }, [['/quantity', 'too_large']]],
    [
      'a word that is none of those',
      '/v1/stock/adjustments',
      { ...adjustment, kind: 'steal' },
      [['/kind', 'not_allowed']],
    ],
    ['too long a text', '/v1/skus', { ...sku, name: tooLong }, [['/name', 'too_long']]],
    ['a blank name', '/v1/warehouses', { name: '   ' }, [['/name', 'invalid_format']]],
    ['an empty name', '/v1/warehouses', { name: '' }, [['/name', 'invalid_format']]],
    ['a control character', '/v1/warehouses', { name: 'a\u0000b' }, [['/name', 'invalid_format']]],
    ['half a character', '/v1/warehouses', { name: lone }, [['/name', 'invalid_format']]],
    ['a code with a space at its end', '/v1/skus', { ...sku, sku: 'S ' }, [['/sku', 'invalid_format']]],
    ['an empty list', '/v1/orders', { ...order, lines: [] }, [['/lines', 'too_short']]],
    [
      'an operator of the database',
      '/v1/stock/transfers',
      { from: { $ne: '' }, to: 'b', sku: 'S', quantity: 1, reason: 'r' },
      [['/from', 'wrong_type']],
    ],
    [
      'a rule of an unknown kind',
      '/v1/push-rules',
      { ...rule, skus: { kind: 'some' } },
      [['/skus/kind', 'wrong_type']],
    ],
    ['a key for nothing', '/v1/api-keys', { name: 'n', permissions: [] }, [['/permissions', 'too_short']]],
    [
      'a transfer to itself',
      '/v1/stock/transfers',
      { from: 'a', to: 'a', sku: 'S', quantity: 1, reason: 'r' },
      [['/to', 'invalid']],
    ],
    [
      'that nothing is moved, and not elsewhere, beside a field that is missing',
      '/v1/stock/transfers',
      { from: 'a', to: 'a', sku: 'S', quantity: 0 },
      [
        ['/quantity', 'too_small'],
        ['/reason', 'required'],
        ['/to', 'invalid'],
      ],
    ],
    [
      'a quantity of none beside a reason that is no text',
      '/v1/stock/adjustments',
      { ...adjustment, quantity: 0, reason: 5 },
      [
        ['/quantity', 'too_small'],
        ['/reason', 'wrong_type'],
      ],
    ],
    [
      'a base price without distribution beside a name that is missing',
      '/v1/skus',
      { sku: 'S', basePrice: { amount: '1', currency: 'MYR' } },
      [
        ['/basePrice', 'invalid'],
        ['/name', 'required'],
      ],
    ],
    // Of the two bodies that the route takes, the one that is meant.
    [
      'all that is wrong with one product',
      '/v1/supplier/products',
      { sku: ' A', basePrice: { amount: '1,5', currency: 'XXX', tax: 1 }, colour: 'red' },
      [
        ['/basePrice/amount', 'invalid_format'],
        ['/basePrice/currency', 'not_allowed'],
        ['/basePrice/tax', 'unknown_field'],
        ['/colour', 'unknown_field'],
        ['/sku', 'invalid_format'],
      ],
    ],
    [
      'all that is wrong with one of many products',
      '/v1/supplier/products',
      { products: [{ sku: 'A' }, { sku: 5, basePrice: { amount: '-1', currency: 'MYR' }, colour: 'red' }] },
      [
        ['/products/1/basePrice/amount', 'too_small'],
        ['/products/1/colour', 'unknown_field'],
        ['/products/1/sku', 'wrong_type'],
      ],
    ],
    [
      'a product that stands there twice, with something else',
      '/v1/supplier/products',
      { products: [{ sku: 'A' }, { sku: 'A', basePrice: 5 }] },
      [
        ['/products', 'invalid'],
        ['/products/1/basePrice', 'wrong_type'],
      ],
    ],
    [
      'neither phone nor e-mail, and no channel',
      '/v1/distributor/applications',
      { invitation: 'i', company: 'C', contactName: 'N' },
      [
        ['/channels', 'required'],
        ['/email', 'required'],
      ],
    ],
    ['a body where none is taken', '/v1/supplier/activation', { now: true }, [['/now', 'unknown_field']]],
    [
      'an amount in another currency than its order, beside a field that is missing',
      '/v1/orders',
      { ...order, number: undefined, amount: { amount: '1.00', currency: 'SGD' } },
      [
        ['/amount/currency', 'currency_mismatch'],
        ['/number', 'required'],
      ],
    ],
    [
      'everything at once',
      '/v1/orders',
      {
        number: 7,
        currency: 'XXX',
        shipping: 'three_pl',
        more: 1,
        lines: [{ quantity: -2 }, { sku: 'S', quantity: 1 }],
      },
      [
        ['/currency', 'not_allowed'],
        ['/lines/0/quantity', 'too_small'],
        ['/lines/0/sku', 'required'],
        ['/more', 'unknown_field'],
        ['/number', 'wrong_type'],
      ],
    ],
  ])('names %s', async (_what, path, body, problems) => {
    const response = await expectStatus(as(api, owner).post(path, body), 422);
    expect(response.headers['content-type']).toBe('application/problem+json');
    expect(response.body).toMatchObject({ code: 'invalid_input', status: 422, title: expect.any(String) });
    const found = response.body.errors.map(({ pointer, code }: { pointer: string; code: string }) => [pointer, code]);
    expect(new Map(found.sort())).toEqual(new Map(problems));
  });

  it('names both what is wrong in the body and in the query', async () => {
    const { body } = await expectStatus(as(api, owner).post('/v1/skus?dry=1', { sku: 'S' }), 422);
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(['/name', '/query/dry']);
  });

  it.each([
    ['12.345', 'too_many_decimals'],
    ['0', 'too_small'],
    ['-0.00', 'too_small'],
    ['1e3', 'invalid_format'],
    ['1,50', 'invalid_format'],
    ['9'.repeat(20), 'invalid_format'],
    [5, 'wrong_type'],
  ])('takes money only as an exact decimal: %p', async (amount, code) => {
    const { supplier, id } = partnership;
    const path = `/v1/supplier/distributors/${id}/billing/top-ups`;
    const { body } = await expectStatus(as(api, supplier).post(path, { amount: { amount, currency: 'MYR' } }), 422);
    expect(body.errors).toEqual([expect.objectContaining({ pointer: '/amount/amount', code })]);
  });

  it.each([
    ['/v1/skus?limit=0', '/query/limit'],
    ['/v1/skus?limit=201', '/query/limit'],
    ['/v1/skus?limit=many', '/query/limit'],
    ['/v1/skus?limit=5&limit=6', '/query/limit'],
    ['/v1/skus?cursor=abc', '/query/cursor'],
    ['/v1/skus?page=2', '/query/page'],
    ['/v1/operations?status=odd', '/query/status'],
  ])('refuses the query of %s', async (path, pointer) => {
    const { body } = await expectStatus(as(api, owner).get(path), 422);
    expect(body.errors).toEqual([expect.objectContaining({ pointer })]);
  });

  it.each([
    ['a broken body', '{"sku": "S"', 400, 'malformed_json'],
    ['no JSON at all', 'sku=S', 400, 'malformed_json'],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]), 400, 'malformed_json'],
    ['a bare text', '"S"', 422, 'invalid_input'],
    ['a list', '[]', 422, 'invalid_input'],
    ['null', 'null', 422, 'invalid_input'],
    ['a prototype', '{"sku":"P1","name":"P","__proto__":{"admin":true}}', 422, 'invalid_input'],
  ])('answers %s', async (_what, text, status, code) => {
    const { body } = await expectStatus(raw('/v1/skus', text), status);
    expect(body.code).toBe(code);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'multipart/form-data'])(
    'takes no %s',
    async (type) => {
      const { body } = await expectStatus(raw('/v1/skus', '{}', type), 415);
      expect(body.code).toBe('unsupported_media_type');
    },
  );

  it('takes no other charset and no unknown encoding', async () => {
    const { body } = await expectStatus(raw('/v1/skus', '{}', 'application/json; charset=latin1'), 415);
    expect(body.code).toBe('unsupported_media_type');
    const packed = await raw('/v1/skus', '{}').set('Content-Encoding', 'rot13');
    expect([packed.status, packed.body.code]).toEqual([415, 'unsupported_media_type']);
    const notGzip = await raw('/v1/skus', '{}').set('Content-Encoding', 'gzip');
    expect([notGzip.status, notGzip.body.code]).toEqual([400, 'malformed_json']);
  });

  it('refuses a body of 11 MB, whether its length is told or not', async () => {
    const big = JSON.stringify({ sku: 'S', name: 'x'.repeat(11 * 1024 * 1024) });
    const port = (api.server.address() as AddressInfo).port;
    for (const headers of [{ 'Content-Length': Buffer.byteLength(big) }, { 'Transfer-Encoding': 'chunked' }]) {
      const answer = await new Promise<{ status?: number; text: string }>((resolve, reject) => {
        const sent = httpRequest({
          port,
          host: '127.0.0.1',
          method: 'POST',
          path: '/v1/skus',
          headers: { Authorization: bearer(owner.key), 'Content-Type': 'application/json', ...headers },
        });
        sent.once('response', (response) => {
          let text = '';
          response.on('data', (chunk) => {
            text += chunk;
          });
          response.once('end', () => resolve({ status: response.statusCode, text }));
        });
        sent.once('error', reject);
        sent.end(big);
      });
      expect([answer.status, JSON.parse(answer.text).code]).toEqual([413, 'body_too_large']);
    }
  });

  it('takes a body of 9 MB to the schema', async () => {
    const { body } = await expectStatus(raw('/v1/skus', JSON.stringify({ sku: 'S', name: 'x'.repeat(9e6) })), 422);
    expect(body.errors).toEqual([expect.objectContaining({ pointer: '/name', code: 'too_long' })]);
  });

  it('says nothing of itself in a refusal', async () => {
    const answers = [
      await raw('/v1/skus', '{'),
      await as(api, owner).post('/v1/skus', {}),
      await as(api, owner).get('/v1/skus/%E0%A4%A'),
      await as(api, owner).get('/v1/nothing'),
    ];
    for (const { text } of answers) expect(text).not.toMatch(/node_modules|at \w+ \(|Mongo|zod|Error:|express/i);
    expect(answers.map(({ status }) => status)).toEqual([400, 422, 404, 404]);
  });
});
