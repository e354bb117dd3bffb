import { ROUTES } from '../../api/routes';
import { PERMISSIONS } from '../../domain/accounts';
import {
  ADMIN_KEY,
  type Api,
  addAccount,
  addKey,
  as,
  bearer,
  expectStatus,
  newKey,
  type Party,
  startApi,
} from './harness';

interface Documented {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  readonly path: string;
  readonly isPublic: boolean;
}

describe('who may do what', () => {
  let api: Api;
  let stranger: Party;
  let documented: Documented[];

  beforeAll(async () => {
    api = await startApi();
    stranger = await addAccount(api, 'Stranger');
    const document = (await api.request.get('/openapi.json')).body as {
      paths: Record<string, Record<string, { security: unknown[] }>>;
    };
    documented = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { security }]) => ({
        method: method as Documented['method'],
        path,
        isPublic: security.length === 0,
      })),
    );
  });
  afterAll(() => api.close());

  it('documents every route that is served, and serves every route that is documented', () => {
    const served = ROUTES.map(({ method, path }) => `${method} ${path}`).sort();
    expect(documented.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(served);
    expect(served.length).toBeGreaterThan(70);
  });

  it('answers 401 without a key, with a wrong one, and with a revoked one', async () => {
    const { body: made } = await expectStatus(
      as(api, stranger).post('/v1/api-keys', { name: 'short-lived', permissions: ['admin'] }),
      201,
    );
    await expectStatus(as(api, stranger).get('/v1/account').set('Authorization', bearer(made.key)), 200);
    await expectStatus(as(api, stranger).delete(`/v1/api-keys/${made.id}`), 204);
    const wrong = ['Bearer ', 'Bearer nonsense', `Basic ${stranger.key}`, `${bearer(stranger.key)}x`, bearer(made.key)];
    const refused = async ({ method, path }: Documented, authorization?: string) => {
      const test = api.request[method](path.replaceAll(/\{\w+\}/g, 'x')).set('Idempotency-Key', newKey());
      if (authorization !== undefined) test.set('Authorization', authorization);
      const { body, headers } = await expectStatus(test, 401);
      expect([body.code, headers['www-authenticate']]).toEqual(['unauthenticated', 'Bearer']);
    };
    for (const place of documented) if (!place.isPublic) await refused(place);
    for (const authorization of wrong)
      await refused({ method: 'get', path: '/v1/account', isPublic: false }, authorization);
  });

  it('names the permission that a key lacks, on every route', async () => {
    const keys = new Map<string, string>();
    for (const permission of PERMISSIONS) keys.set(permission, await addKey(api, stranger, [permission]));
    for (const { method, path, access } of ROUTES) {
      if (access === 'public' || access === 'any' || access === 'platform') continue;
      const enough = typeof access === 'string' ? [access] : access;
      const lacking = PERMISSIONS.find((name) => name !== 'admin' && !enough.includes(name)) ?? '';
      const test = as(api, { key: keys.get(lacking) ?? '' })[method](path.replaceAll(/\{\w+\}/g, 'x'));
      const { body } = await expectStatus(test, 403);
      expect(body).toMatchObject({ code: 'permission_missing', permission: enough[0] });
      const allowed = as(api, { key: keys.get(enough[0] ?? '') ?? '' })[method](path.replaceAll(/\{\w+\}/g, 'x'));
      expect([method, path, (await allowed).status]).not.toEqual([method, path, 403]);
    }
  });

  it('keeps the operator’s routes to the admin key, and the admin key to them', async () => {
    const operator = as(api, { key: ADMIN_KEY });
    const changed = await expectStatus(operator.patch(`/v1/accounts/${stranger.id}`, { orderQuota: 7 }), 200);
    expect(changed.body.orderQuota).toBe(7);
    await expectStatus(operator.patch('/v1/accounts/acct_none', { orderQuota: 7 }), 404);
    const asAccount = await expectStatus(operator.get('/v1/account'), 403);
    expect(asAccount.body).toMatchObject({ code: 'permission_missing', permission: 'account' });
    const asOperator = await expectStatus(as(api, stranger).post('/v1/accounts', { name: 'n', plan: 'v3' }), 403);
    expect(asOperator.body.permission).toBe('platform');
  });

  it('lets no key hand on what it does not hold, nor revoke a stronger one', async () => {
    const key = await addKey(api, stranger, ['settings']);
    const { body } = await expectStatus(
      as(api, { key }).post('/v1/api-keys', { name: 'more', permissions: ['settings', 'billing'] }),
      403,
    );
    expect(body.permission).toBe('billing');
    const [first] = (await as(api, stranger).get('/v1/api-keys')).body.items;
    await expectStatus(as(api, { key }).delete(`/v1/api-keys/${first.id}`), 403);
  });

  it('gives keys away once and keeps no secret where it can be read', async () => {
    const { body } = await expectStatus(
      as(api, stranger).post('/v1/api-keys', { name: 'shown once', permissions: ['orders'] }),
      201,
    );
    const list = await as(api, stranger).get('/v1/api-keys');
    expect(list.text).not.toContain(body.key.split('.')[2]);
    const stored = JSON.stringify(await api.database.collection('apiKeys').find().toArray());
    const kept = JSON.stringify(await api.database.collection('idempotency').find().toArray());
    for (const text of [stored, kept, api.log.join('')]) {
      expect(text).not.toContain(body.key.split('.')[2]);
      expect(text).not.toContain(ADMIN_KEY);
    }
    expect(kept).not.toBe('[]');
  });

  it('answers 404 for a path that is not there and 405 for a method that is not, with Allow', async () => {
    expect((await expectStatus(as(api, stranger).get('/v1/nothing'), 404)).body.code).toBe('not_found');
    expect((await expectStatus(api.request.get('/elsewhere'), 404)).body.code).toBe('not_found');
    for (const path of new Set(ROUTES.map((route) => route.path))) {
      // A path without parameters may be one that another's parameter stands for, too.
      const fits = (template: string) => new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path);
      const methods = ROUTES.filter((route) => route.path === path).map(({ method }) => method);
      const served = ROUTES.filter((route) => fits(route.path)).map(({ method }) => method);
      const wrong = (['delete', 'put', 'patch', 'post', 'get'] as const).find(
        (method) => ![...methods, ...served].includes(method),
      );
      if (wrong === undefined) continue;
      const concrete = path.replaceAll(/\{\w+\}/g, 'x');
      const { body, headers } = await expectStatus(as(api, stranger)[wrong](concrete), 405);
      expect(body.code).toBe('method_not_allowed');
      expect(headers.allow?.toLowerCase().split(', ')).toEqual(expect.arrayContaining(methods));
    }
  });

  it('counts requests per key, and says when to come again', async () => {
    const limited = await startApi({ rateLimitPerMinute: 5 });
    try {
      const { account, key } = await limited.store.accounts.create({ name: 'Busy', plan: 'v2', orderQuota: null });
      const other = await limited.store.accounts.create({ name: 'Calm', plan: 'v2', orderQuota: null });
      for (let count = 0; count < 5; count += 1) await expectStatus(as(limited, { key }).get('/v1/account'), 200);
      const { body, headers } = await expectStatus(as(limited, { key }).get('/v1/account'), 429);
      expect(body.code).toBe('rate_limited');
      expect(headers['content-type']).toBe('application/problem+json');
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      await expectStatus(as(limited, other).get('/v1/account'), 200);
      expect(account.plan).toBe('v2');
    } finally {
      await limited.close();
    }
  });
});
