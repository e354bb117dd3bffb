import { NOTIFICATION_EVENTS, type NotificationEvent } from '../../domain/notifications';
import { type Api, addAccount, addKey, as, bearer, expectStatus, newKey, type Party, startApi } from './harness';

const PATH = '/v1/notification-subscriptions';
const EVENTS = Object.keys(NOTIFICATION_EVENTS) as NotificationEvent[];
const ADDRESS = 'told@shop.example';
const URL = 'https://shop.example/hooks/tradelane';
const both = { email: { address: ADDRESS }, https: { url: URL } };

describe('notification subscriptions', () => {
  let api: Api;
  let owner: Party;

  beforeAll(async () => {
    api = await startApi();
    owner = await addAccount(api, 'Owner');
  });
  afterAll(() => api.close());

  const put = (body: object, party: Party = owner) => as(api, party).put(PATH, body);
  const noted = (event: NotificationEvent, occurrence: string, account = owner.id) =>
    api.store.notifications.notify(null, { account, event, occurrence, document: 'doc_1', detail: 'why' });
  const deliveries = (filter: object = {}) =>
    api.store.database.models.deliveries.find({ account: owner.id, ...filter }).lean();

  it('are empty at first, and list every event', async () => {
    const { body } = await expectStatus(as(api, owner).get(PATH), 200);
    expect(body).toEqual({
      email: null,
      https: null,
      events: Object.fromEntries(EVENTS.map((event) => [event, []])),
      available: ['email', 'https'],
      secretMadeAt: null,
    });
  });

  it('are replaced, and can be put back as they were got; the secret is shown once', async () => {
    const events = { order_push_failed: ['email', 'https'], balance_low: ['email'] };
    const first = (await expectStatus(put({ ...both, events }), 200)).body;
    expect(first.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(first.events).toMatchObject({ ...events, recall_asked: [] });
    const { body } = await expectStatus(as(api, owner).get(PATH), 200);
    expect(body).not.toHaveProperty('secret');
    expect(body).toMatchObject({ email: { address: ADDRESS }, https: { url: URL }, secretMadeAt: expect.any(String) });
    const { available, secretMadeAt, ...again } = body;
    expect(available).toBeDefined();
    const second = (await expectStatus(put(again), 200)).body;
    expect(second).toEqual({ ...again, available, secretMadeAt });
    const third = (await expectStatus(put({ ...again, https: { url: URL, rotateSecret: true } }), 200)).body;
    expect(third.secret).toMatch(/^whsec_/);
    expect(third.secret).not.toBe(first.secret);
    // For a day both sign.
    expect(await api.store.subscriptions.targetOf(owner.id, 'https')).toEqual({
      channel: 'https',
      url: URL,
      secrets: [third.secret, first.secret],
    });
    await expectStatus(put({ email: null, https: null, events: {} }), 200);
    expect(await api.store.subscriptions.targetOf(owner.id, 'https')).toBeNull();
    expect(await api.store.subscriptions.targetOf(owner.id, 'email')).toBeNull();
  });

  it('put by two at once have one secret, shown to one of them', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => expectStatus(put({ ...both, events: {} }), 200)));
    const secrets = answers.flatMap(({ body }) => body.secret ?? []);
    expect(secrets).toHaveLength(1);
    expect(await api.store.subscriptions.targetOf(owner.id, 'https')).toMatchObject({ secrets });
  });

  it('are refused with everything that is wrong at once', async () => {
    const { body } = await expectStatus(
      put({
        email: { address: 'nobody at home' },
        https: null,
        events: { order_refused: ['https'], balance_low: ['pigeon'], recall_asked: ['email', 'email'], party: [] },
        extra: 1,
      }),
      422,
    );
    expect(
      body.errors.map(({ pointer, code }: { pointer: string; code: string }) => `${pointer} ${code}`).sort(),
    ).toEqual(
      [
        '/email/address invalid_format',
        '/events/balance_low/0 not_allowed',
        '/events/order_refused channel_not_set_up',
        '/events/party unknown_field',
        '/events/recall_asked invalid',
        '/extra unknown_field',
      ].sort(),
    );
  });

  test.each([
    ['a@b.example\r\nBcc: all@example.com'],
    ['a@b.example, c@d.example'],
    ['Name <a@b.example>'],
    ['a@b.example\0'],
    [''],
    [`${'a'.repeat(250)}@b.example`],
  ])('refuse the address %j', async (address) => {
    const { body } = await expectStatus(put({ email: { address }, https: null, events: {} }), 422);
    expect(body.errors[0].pointer).toBe('/email/address');
  });

  test.each([
    ['http://shop.example/hook'],
    ['ftp://shop.example/hook'],
    ['https://user:password@shop.example/hook'],
    ['https://shop.example/hook#part'],
    ['https://'],
    ['https:///hook'],
    ['https://shop.example/a b'],
    ['https://shop.example\\@127.0.0.1/'],
    ['javascript:alert(1)'],
    [`https://shop.example/${'a'.repeat(2000)}`],
  ])('refuse the URL %j', async (url) => {
    const { body } = await expectStatus(put({ email: null, https: { url }, events: {} }), 422);
    expect(body.errors[0].pointer).toBe('/https/url');
    expect(body.errors[0]).not.toHaveProperty('secret');
  });

  it('decide for each event and channel what goes out; in-app is always told', async () => {
    const wanted = Object.fromEntries(
      EVENTS.map((event, index) => [event, [[], ['email'], ['https'], ['email', 'https']][index % 4]]),
    );
    await expectStatus(put({ ...both, events: wanted }), 200);
    for (const event of EVENTS) await noted(event, 'matrix');
    for (const event of EVENTS) {
      const id = `${owner.id}/${event}/matrix`;
      const rows = await deliveries({ notification: id });
      expect([event, rows.map(({ channel }) => channel).sort()]).toEqual([event, wanted[event]]);
      expect(await api.store.database.models.notifications.countDocuments({ _id: id })).toBe(1);
    }
    const told = api.processes.asked.filter(({ what }) => what === 'deliver').flatMap(({ input }) => input);
    expect(told).toHaveLength((await deliveries()).length);
  });

  it('an event raised ten times at once is one notification and one delivery per channel', async () => {
    await expectStatus(put({ ...both, events: { wms_sync_failed: ['email', 'https'] } }), 200);
    await Promise.all(Array.from({ length: 10 }, () => noted('wms_sync_failed', 'ten')));
    await noted('wms_sync_failed', 'ten');
    const id = `${owner.id}/wms_sync_failed/ten`;
    expect(await api.store.database.models.notifications.countDocuments({ _id: id })).toBe(1);
    const rows = await deliveries({ notification: id });
    expect(rows.map(({ channel, status }) => [channel, status]).sort()).toEqual([
      ['email', 'pending'],
      ['https', 'pending'],
    ]);
    expect(new Set(rows.map(({ _id }) => _id)).size).toBe(2);
  });

  it('what was rolled back is not told, neither here nor outside', async () => {
    await expectStatus(put({ ...both, events: { recall_asked: ['https'] } }), 200);
    const asked = api.processes.asked.length;
    const { database, notifications } = api.store;
    await expect(
      database.transact(async (session) => {
        await notifications.notify(session, {
          account: owner.id,
          event: 'recall_asked',
          occurrence: 'undone',
          document: 'doc_1',
        });
        throw new Error('undone');
      }),
    ).rejects.toThrow('undone');
    expect(await deliveries({ notification: `${owner.id}/recall_asked/undone` })).toEqual([]);
    expect(api.processes.asked).toHaveLength(asked);
  });

  it('are tested by one channel at a time, once per Idempotency-Key', async () => {
    await expectStatus(put({ email: { address: ADDRESS }, https: null, events: {} }), 200);
    const none = await expectStatus(as(api, owner).post(`${PATH}/test`, { channel: 'https' }), 409);
    expect(none.body).toMatchObject({ code: 'channel_not_configured', channel: 'https' });
    const key = newKey();
    const send = () =>
      api.request
        .post(`${PATH}/test`)
        .set('Authorization', bearer(owner.key))
        .set('Idempotency-Key', key)
        .send({ channel: 'email' });
    const first = await expectStatus(send(), 202);
    const again = await expectStatus(send(), 202);
    expect(again.body).toEqual(first.body);
    expect(first.body.operation).toMatchObject({ kind: 'notification_delivery', status: 'running' });
    expect(await deliveries({ notification: { $regex: '/test/' } })).toHaveLength(1);
    const [newest] = (await as(api, owner).get('/v1/notifications')).body.items;
    expect(newest).toMatchObject({ event: 'test', title: 'A test of your notifications' });
  });

  it('are the account’s own, need the permission settings, and show no secret anywhere', async () => {
    const { secret } = (await expectStatus(put({ ...both, https: { url: URL, rotateSecret: true }, events: {} }), 200))
      .body;
    const stranger = await addAccount(api, 'Stranger');
    const seen = await expectStatus(as(api, stranger).get(PATH), 200);
    expect(seen.body).toMatchObject({ email: null, https: null });
    await expectStatus(put({ email: { address: 'other@else.example' }, https: null, events: {} }, stranger), 200);
    expect((await as(api, owner).get(PATH)).body.email).toEqual({ address: ADDRESS });
    const [one] = (await as(api, owner).get('/v1/operations?kind=notification_delivery')).body.items;
    await expectStatus(as(api, stranger).get(`/v1/operations/${one.id}`), 404);
    await expectStatus(as(api, stranger).post(`/v1/operations/${one.id}/retry`), 404);
    const weak = await addKey(api, owner, ['orders', 'operate', 'billing']);
    for (const call of [
      as(api, { key: weak }).get(PATH),
      as(api, { key: weak }).put(PATH, { ...both, events: {} }),
      as(api, { key: weak }).post(`${PATH}/test`, { channel: 'email' }),
    ])
      expect((await expectStatus(call, 403)).body.permission).toBe('settings');
    const stored = JSON.stringify(
      await Promise.all(
        (await api.database.collections()).map((collection) =>
          api.database.collection(collection.collectionName).find().toArray(),
        ),
      ),
    );
    expect(stored).toContain(owner.id);
    for (const hidden of [secret, secret.slice('whsec_'.length), ADDRESS, 'shop.example']) {
      expect(stored).not.toContain(hidden);
      expect(api.log.join('')).not.toContain(hidden);
    }
  });

  it('by e-mail are refused where the hub has no mail server', async () => {
    const plain = await startApi({ withoutMail: true });
    try {
      const party = await addAccount(plain, 'Owner');
      const { body } = await expectStatus(as(plain, party).put(PATH, { ...both, events: {} }), 409);
      expect(body).toMatchObject({ code: 'channel_not_configured', channel: 'email' });
      expect((await expectStatus(as(plain, party).get(PATH), 200)).body).toMatchObject({
        available: ['https'],
        https: null,
      });
      await expectStatus(as(plain, party).post(`${PATH}/test`, { channel: 'email' }), 409);
    } finally {
      await plain.close();
    }
  });
});
