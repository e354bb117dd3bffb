import { type Api, addAccount, addStore, expectStatus, lazadaPush, type Party, shopeePush, startApi } from './harness';

describe('webhooks', () => {
  let api: Api;
  let owner: Party;
  let store: string;
  const SHOP = 700_001;
  beforeAll(async () => {
    api = await startApi();
    owner = await addAccount(api, 'Owner');
    store = await addStore(api, owner, String(SHOP));
  });
  afterAll(() => api.close());

  const deliver = (platform: string, { body, signature }: { body: string; signature: string }) =>
    api.request
      .post(`/v1/webhooks/${platform}`)
      .set('Content-Type', 'application/json')
      .set('Authorization', signature)
      .serialize((data: unknown) => data as string)
      .send(body);
  const rows = (order: string) => api.database.collection('inbox').find({ platformOrder: order }).toArray();
  const signals = (order: string) =>
    api.processes.asked.filter(
      ({ what, input }) => what === 'takeInOrder' && (input as { order: string }).order === order,
    );

  it('are stored, answered with an empty body, and turned into a process', async () => {
    const response = await expectStatus(deliver('shopee', shopeePush(SHOP, 'ORDER1')), 200);
    expect(response.text).toBe('');
    const [row] = await rows('ORDER1');
    expect(row).toMatchObject({ status: 'stored', store, account: owner.id, platform: 'shopee' });
    expect(JSON.stringify(row?.body)).not.toContain('READY_TO_SHIP');
    expect(signals('ORDER1')).toHaveLength(1);
  });

  it('come in from Lazada as well', async () => {
    await expectStatus(deliver('lazada', lazadaPush('800', 'L1')), 200);
    expect(await rows('L1')).toEqual([expect.objectContaining({ status: 'unrouted', store: null })]);
  });

  it('are one row when they come ten times at once', async () => {
    const push = shopeePush(SHOP, 'ORDER2');
    const answers = await Promise.all(Array.from({ length: 10 }, () => deliver('shopee', push)));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(await rows('ORDER2')).toHaveLength(1);
    expect(signals('ORDER2')).toHaveLength(1);
  });

  it('are refused with a wrong signature, a changed byte, or none', async () => {
    const push = shopeePush(SHOP, 'ORDER3');
    const wrong = [
      { ...push, signature: `${push.signature.slice(0, -1)}${push.signature.endsWith('0') ? '1' : '0'}` },
      { ...push, signature: '' },
      { ...push, body: `${push.body} ` },
      { ...push, body: push.body.replace('"code":3', '"code": 3') },
    ];
    for (const bad of wrong) {
      const { body } = await expectStatus(deliver('shopee', bad), 401);
      expect(body.code).toBe('bad_signature');
    }
    expect(await rows('ORDER3')).toEqual([]);
  });

  it('are refused when they are stale or from the future', async () => {
    for (const at of [Date.now() - 100 * 86_400_000, Date.now() + 86_400_000]) {
      const { body } = await expectStatus(deliver('shopee', shopeePush(SHOP, 'ORDER4', at)), 401);
      expect(body.code).toBe('stale_timestamp');
    }
    expect(await rows('ORDER4')).toEqual([]);
  });

  it('of a shop nobody has are kept as unrouted and answered 2xx', async () => {
    await expectStatus(deliver('shopee', shopeePush(999_999, 'ORDER5')), 200);
    expect(await rows('ORDER5')).toEqual([expect.objectContaining({ status: 'unrouted', account: null })]);
    expect(signals('ORDER5')).toEqual([]);
  });

  it('for a platform that is not there are 404, and too large ones 413', async () => {
    expect((await expectStatus(deliver('tiktok', shopeePush(1, 'X')), 404)).body.code).toBe('not_found');
    expect((await expectStatus(deliver('constructor', shopeePush(1, 'X')), 404)).body.code).toBe('not_found');
    const big = { body: 'x'.repeat(1024 * 1024 + 1), signature: 'x' };
    expect((await expectStatus(deliver('shopee', big), 413)).body.code).toBe('body_too_large');
  });

  it('are taken in whatever else is in the request, and while Temporal is down', async () => {
    api.processes.down = true;
    try {
      await expectStatus(deliver('shopee', shopeePush(SHOP, 'ORDER6')).set('Idempotency-Key', 'any'), 200);
      await expectStatus(deliver('shopee', shopeePush(SHOP, 'ORDER7')).set('Content-Type', 'text/plain'), 200);
    } finally {
      api.processes.down = false;
    }
    expect([...(await rows('ORDER6')), ...(await rows('ORDER7'))]).toHaveLength(2);
  });

  it('log neither the body nor the signature', async () => {
    const push = shopeePush(SHOP, 'ORDER8');
    await expectStatus(deliver('shopee', push), 200);
    const log = api.log.join('');
    expect(log).not.toContain(push.signature);
    expect(log).not.toContain('ORDER8');
    expect(log).toContain('/v1/webhooks/{platform}');
  });
});
