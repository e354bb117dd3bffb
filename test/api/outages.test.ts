import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import supertest from 'supertest';
import { createApp } from '../../api/app';
import { createLogger } from '../../config/logger';
import { connectStore } from '../../store';
import { testEnvironment } from '../support/environment';
import {
  ADMIN_KEY,
  type Api,
  addAccount,
  as,
  bearer,
  expectStatus,
  newKey,
  type Party,
  PUBLIC_URL,
  shopeePush,
  startApi,
} from './harness';
import { wireTo } from './wire';

describe('when a neighbour is down', () => {
  let plain: Api;
  let owner: Party;
  beforeAll(async () => {
    plain = await startApi();
    owner = await addAccount(plain, 'Owner');
  });
  afterAll(() => plain.close());

  it('answers 503 with Retry-After while the database is away, says nothing internal, and works again after', async () => {
    const wire = await wireTo(testEnvironment().mongoUri);
    const store = await connectStore({
      uri: wire.uri,
      database: `api_${randomBytes(6).toString('hex')}`,
      dataKeys: [{ id: 'test', key: Buffer.alloc(32, 3) }],
      serverSelectionTimeoutMs: 1_000,
    });
    const app = createApp({
      config: {
        adminKey: ADMIN_KEY,
        notifications: { smtp: undefined, allowPrivateAddresses: false },
        api: { publicUrl: PUBLIC_URL, rateLimitPerMinute: 1000, bodyLimitBytes: 1000 },
        recall: { answerMs: 1000 },
      },
      store,
      processes: plain.processes,
      connectors: plain.connectors,
      logger: createLogger({ level: 'error', format: 'json', service: 'api', stream: nowhere() }),
    });
    const request = supertest(app);
    const { key } = await store.accounts.create({ name: 'Owner', plan: 'v2', orderQuota: null });
    const push = shopeePush(1, 'OUT1');
    const calls = () => [
      request.get('/v1/skus').set('Authorization', bearer(key)),
      request
        .post('/v1/warehouses')
        .set('Authorization', bearer(key))
        .set('Idempotency-Key', newKey())
        .send({ name: 'W' }),
      request.post('/v1/accounts').set('Authorization', bearer(ADMIN_KEY)).send({ name: 'n', plan: 'v1' }),
      request
        .post('/v1/webhooks/shopee')
        .set('Authorization', push.signature)
        .set('Content-Type', 'application/json')
        .serialize((data: unknown) => data as string)
        .send(push.body),
    ];
    await wire.cut();
    for (const call of calls()) {
      const { body, headers, text } = await expectStatus(call, 503);
      expect([body.code, headers['content-type']]).toEqual(['unavailable', 'application/problem+json']);
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      expect(text).not.toMatch(/127\.0\.0\.1|mongo|ECONNREFUSED|stack|node_modules/i);
    }
    const ready = await request.get('/readyz');
    expect([ready.status, ready.body.checks]).toEqual([503, { mongo: 'down', temporal: 'ok' }]);
    await expectStatus(request.get('/healthz'), 200);
    await wire.mend();
    const statuses = [];
    for (const call of calls()) statuses.push((await call).status);
    expect(statuses).toEqual([200, 201, 201, 200]);
    await store.database.connection.dropDatabase();
    await store.database.close();
    await wire.cut();
  });

  it('answers 503 while Temporal is away, and nothing is half-done', async () => {
    plain.processes.down = true;
    const { body, headers } = await expectStatus(
      as(plain, owner).post('/v1/distributor/applications', {
        invitation: 'x',
        company: 'c',
        contactName: 'n',
        phone: '1',
        channels: ['web'],
      }),
      503,
    );
    expect([body.code, headers['retry-after']]).toEqual(['unavailable', '5']);
    const ready = await plain.request.get('/readyz');
    expect([ready.status, ready.body]).toEqual([
      503,
      { status: 'not_ready', checks: { mongo: 'ok', temporal: 'down' } },
    ]);
    plain.processes.down = false;
    expect((await plain.request.get('/readyz')).body.status).toBe('ready');
  });

  it('answers 500 to what nobody foresaw, tells the log and not the caller', async () => {
    const broken = jest
      .spyOn(plain.store.catalogue, 'skus')
      .mockRejectedValueOnce(new TypeError('secret_table of 10.0.0.7 is undefined'));
    const { body, headers, text } = await expectStatus(as(plain, owner).get('/v1/skus'), 500);
    broken.mockRestore();
    expect(body).toEqual({
      type: 'urn:tradelane:problem:internal',
      title: expect.any(String),
      status: 500,
      detail: expect.any(String),
      code: 'internal',
    });
    expect(text).not.toMatch(/secret_table|10\.0\.0\.7|TypeError/);
    const line = plain.log.find((entry) => entry.includes('secret_table'));
    expect(line).toContain(headers['x-request-id']);
  });
});

function nowhere(): NodeJS.WritableStream {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
