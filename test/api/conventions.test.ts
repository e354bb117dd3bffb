import supertest from 'supertest';
import { waitOf } from '../../api/dispatch';
import { createMetrics, createMetricsApp } from '../../api/metrics';
import { ROUTES } from '../../api/routes';
import {
  type Api,
  addAccount,
  addOrder,
  addStore,
  as,
  bearer,
  expectStatus,
  newKey,
  type Party,
  partnered,
  startApi,
} from './harness';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

describe('the API document', () => {
  let api: Api;
  let document: { [name: string]: Json };
  beforeAll(async () => {
    api = await startApi();
    document = (await expectStatus(api.request.get('/openapi.json'), 200)).body;
  });
  afterAll(() => api.close());

  function* everyObject(value: Json): Generator<{ [name: string]: Json }> {
    if (typeof value !== 'object' || value === null) return;
    if (!Array.isArray(value)) yield value;
    for (const inner of Object.values(value)) yield* everyObject(inner);
  }

  it('is OpenAPI 3.1, with every reference leading somewhere', () => {
    expect(document.openapi).toBe('3.1.0');
    let references = 0;
    for (const object of everyObject(document)) {
      if (typeof object.$ref !== 'string') continue;
      references += 1;
      let target: Json | undefined = document;
      for (const part of object.$ref.replace('#/', '').split('/')) target = (target as { [name: string]: Json })[part];
      expect([object.$ref, typeof target]).toEqual([object.$ref, 'object']);
    }
    expect(references).toBeGreaterThan(100);
  });

  it('has an operation id of its own, a summary, its parameters, and answers for each route', () => {
    const ids = new Set<string>();
    const paths = document.paths as { [path: string]: { [method: string]: { [name: string]: Json } } };
    for (const [path, methods] of Object.entries(paths))
      for (const operation of Object.values(methods)) {
        ids.add(String(operation.operationId));
        expect(String(operation.summary)).not.toBe('');
        const declared = ((operation.parameters ?? []) as { name: string; in: string; required?: boolean }[])
          .filter((parameter) => parameter.in === 'path')
          .map(({ name }) => name);
        expect(declared).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
        expect(Object.keys(operation.responses as object)).toContain('default');
      }
    expect(ids.size).toBe(ROUTES.length);
  });

  it('says that unknown fields are refused, and which commands need an Idempotency-Key', () => {
    const paths = document.paths as {
      [path: string]: {
        post: {
          parameters: { name: string; required: boolean }[];
          requestBody: { content: { [type: string]: { schema: { additionalProperties: boolean } } } };
        };
      };
    };
    const adjust = paths['/v1/stock/adjustments']?.post;
    expect(adjust?.parameters).toContainEqual(expect.objectContaining({ name: 'Idempotency-Key', required: true }));
    expect(adjust?.requestBody.content['application/json']?.schema.additionalProperties).toBe(false);
  });

  it('can be read at /docs', async () => {
    const { text, headers } = await expectStatus(api.request.get('/docs/'), 200);
    expect(text).toContain('swagger-ui');
    expect(headers['content-security-policy']).toContain("default-src 'self'");
    await expectStatus(api.request.get('/docs/swagger-ui-bundle.js'), 200);
  });
});

describe('conventions', () => {
  let api: Api;
  let owner: Party;
  beforeAll(async () => {
    api = await startApi();
    owner = await addAccount(api, 'Owner');
  });
  afterAll(() => api.close());

  it('puts the safe headers and a request id on every answer', async () => {
    for (const path of ['/v1/account', '/healthz', '/v1/nothing', '/openapi.json']) {
      const { headers } = await as(api, owner).get(path);
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-request-id': expect.any(String) });
      expect(headers).toHaveProperty('strict-transport-security');
      expect(headers).not.toHaveProperty('x-powered-by');
    }
    const given = await as(api, owner).get('/v1/account').set('X-Request-Id', 'trace-1');
    expect([given.headers['x-request-id'], given.headers['cache-control']]).toEqual(['trace-1', 'no-store']);
    const bad = await as(api, owner).get('/v1/account').set('X-Request-Id', 'two words');
    expect(bad.headers['x-request-id']).not.toBe('two words');
  });

  it('answers JSON as application/json, times in ISO 8601, and 204 with nothing', async () => {
    const { headers, body } = await as(api, owner).get('/v1/account');
    expect(headers['content-type']).toBe('application/json');
    expect(body.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const made = await as(api, owner).post('/v1/api-keys', { name: 'k', permissions: ['orders'] });
    const removed = await expectStatus(as(api, owner).delete(`/v1/api-keys/${made.body.id}`), 204);
    expect(removed.text).toBe('');
  });

  it('writes one line per request, without key, query or body', async () => {
    api.log.length = 0;
    await as(api, owner).post('/v1/warehouses', { name: 'Warehouse in the log?' });
    await as(api, owner).get('/v1/skus?cursor=should-not-be-logged');
    await new Promise(setImmediate);
    const lines = api.log.map((line) => JSON.parse(line)).filter(({ message }) => message === 'Request');
    expect(lines).toEqual([
      expect.objectContaining({ method: 'POST', route: '/v1/warehouses', status: 201, account: owner.id }),
      expect.objectContaining({ method: 'GET', route: '/v1/skus', status: 422, requestId: expect.any(String) }),
    ]);
    const text = api.log.join('');
    for (const secret of [owner.key, 'in the log?', 'should-not-be-logged']) expect(text).not.toContain(secret);
  });

  it('measures requests by route template and status, on a port of their own', async () => {
    const metrics = createMetrics();
    metrics.httpDuration.observe({ method: 'GET', route: '/v1/skus/{sku}', status: '200' }, 0.02);
    const { text, headers } = await supertest(createMetricsApp(metrics)).get('/metrics');
    expect(headers['content-type']).toContain('text/plain');
    expect(text).toContain(
      'tradelane_http_request_duration_seconds_count{method="GET",route="/v1/skus/{sku}",status="200"} 1',
    );
    await expectStatus(api.request.get('/metrics'), 404);
  });

  it('reads Prefer: wait as RFC 7240 says, and waits 30 seconds at most', () => {
    expect(waitOf('wait=10')).toBe(10_000);
    expect(waitOf('respond-async, wait=5')).toBe(5_000);
    expect(waitOf('wait="7"; x=1')).toBe(7_000);
    expect(waitOf('wait=600')).toBe(30_000);
    for (const none of [undefined, '', 'wait', 'wait=soon', 'wait=-1', 'await=5', 'wait=1.5'])
      expect([none, waitOf(none)]).toEqual([none, 0]);
  });
});

describe('operations', () => {
  let api: Api;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.close());

  it('answer 200 with the result when they end while the caller waits, 202 when they do not', async () => {
    const { distributor } = await partnered(api);
    const order = await addOrder(api, distributor, 1);
    api.processes.onWait = async () => {
      await api.store.orders.push(order.packages[0].id, 1);
      return true;
    };
    const path = `/v1/orders/${order.id}/push`;
    const { body, headers } = await expectStatus(as(api, distributor).post(path).set('Prefer', 'wait=5'), 200);
    expect(body.operation).toMatchObject({ status: 'done', result: { supplyOrder: expect.stringMatching(/^sord_/) } });
    expect(headers['preference-applied']).toBe('wait=5');
    api.processes.onWait = async () => false;
    const slow = await addOrder(api, distributor, 1);
    const late = await expectStatus(
      as(api, distributor).post(`/v1/orders/${slow.id}/push`).set('Prefer', 'wait=1'),
      202,
    );
    expect(late.body.operation.status).toBe('running');
  });

  it('that are parked can be found, tried again by their owner, and given up by an operator alone', async () => {
    const { distributor } = await partnered(api);
    const order = await addOrder(api, distributor, 1);
    await expectStatus(as(api, distributor).post(`/v1/orders/${order.id}/push`), 202);
    const [pkg] = order.packages;
    await api.store.orders.park(pkg.id, 1, { code: 'unavailable', detail: 'The database was away' });
    const parked = await expectStatus(as(api, distributor).get('/v1/operations?status=parked&kind=order_push'), 200);
    expect(parked.body.items).toHaveLength(1);
    const [{ id }] = parked.body.items;
    const shown = await expectStatus(as(api, distributor).get(`/v1/orders/${order.id}`), 200);
    expect(shown.body.packages[0]).toMatchObject({ status: 'push_failed', retryable: true, operation: id });

    const { body } = await expectStatus(
      as(api, distributor).post('/v1/api-keys', { name: 'orders only', permissions: ['orders'] }),
      201,
    );
    const clerk = as(api, { key: body.key });
    await expectStatus(clerk.post(`/v1/operations/${id}/abandon`), 403);
    const shop = await addStore(api, distributor, '6001');
    const download = (await expectStatus(as(api, distributor).post(`/v1/stores/${shop}/download`), 202)).body.operation;
    const notTheirs = await expectStatus(clerk.post(`/v1/operations/${encodeURIComponent(download.id)}/retry`), 403);
    expect(notTheirs.body.permission).toBe('operate');
    // A decision moves money and goods: each needs a key, and sent again it is made once.
    const bare = (path: string, body = {}) =>
      api.request.post(path).set('Authorization', bearer(distributor.key)).send(body);
    for (const [path, named] of [
      [`/v1/operations/${id}/retry`, {}],
      [`/v1/operations/${id}/abandon`, {}],
      ['/v1/operations/retry', { operations: [id] }],
      ['/v1/operations/abandon', { operations: [id] }],
    ] as const)
      expect((await expectStatus(bare(path, named), 400)).body.code).toBe('idempotency_key_required');
    const key = newKey();
    const again = () =>
      api.request.post(`/v1/operations/${id}/retry`).set('Authorization', bearer(body.key)).set('Idempotency-Key', key);
    await expectStatus(again(), 202);
    expect((await expectStatus(again(), 202)).headers['idempotency-replayed']).toBe('true');
    await expectStatus(clerk.post(`/v1/orders/${order.id}/push`), 202);
    const decisions = api.processes.asked.filter(({ what }) => what === 'decide').map(({ input }) => input);
    expect(decisions).toEqual([
      { workflowId: `order-push/${pkg.id}/1`, decision: 'retry', by: expect.stringMatching(/^key_/) },
      { workflowId: `order-push/${pkg.id}/1`, decision: 'retry', by: expect.stringMatching(/^key_/) },
    ]);
    api.processes.onDecide = async () => {
      await api.store.orders.abandon(pkg.id, 1, 'given up');
    };
    const abandoned = await expectStatus(
      api.request
        .post(`/v1/operations/${id}/abandon`)
        .set('Authorization', bearer(distributor.key))
        .set('Idempotency-Key', newKey()),
      202,
    );
    expect(abandoned.body.operation.status).toBe('abandoned');
  });
});
