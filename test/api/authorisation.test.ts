import { storeLaneId } from '../../domain/process-ids';
import { type Api, addAccount, addStore, as, expectStatus, startApi } from './harness';

describe('a store that is authorised again', () => {
  let api: Api;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.close());

  test('lets its lane go on that waited for the owner, and any other know', async () => {
    const owner = await addAccount(api, 'Seller');
    const store = await addStore(api, owner, '7001');
    const shopee = api.connectors.shopee;
    if (!shopee) throw new Error('no connector');
    // The platform is not there in this test; what it would answer stands in at the connector's interface.
    const exchange = jest.spyOn(shopee, 'exchangeCode').mockResolvedValue({
      shopId: '7001',
      shopName: 'Shop',
      tokens: {
        accessToken: 'new',
        refreshToken: 'pair',
        accessExpiresAt: Date.now() + 3_600_000,
        refreshExpiresAt: Date.now() + 86_400_000,
      },
    });
    const authorise = async () => {
      api.processes.asked.length = 0;
      const { body } = await expectStatus(as(api, owner).get(`/v1/stores/${store}/authorization-url`), 200);
      const state = /state(?:=|%3D)([\w-]{43})/.exec(body.url)?.[1];
      await expectStatus(api.request.get(`/v1/stores/callback/shopee?state=${state}&code=abc&shop_id=7001`), 200);
      return api.processes.asked.map(({ what, input }) => [what, (input as { decision?: string }).decision]);
    };
    expect(await authorise()).toEqual([
      ['startPolling', undefined],
      ['wakeLanes', undefined],
    ]);
    const [row] = (await as(api, owner).get('/v1/audit-log')).body.items;
    expect(row).toMatchObject({ action: 'stores.authorize', actor: { kind: 'link' }, outcome: 'done' });
    expect(row.after.store.id).toBe(store);

    await api.store.lanes.park(store, { code: 'needs_authorization', detail: 'refused' });
    expect(await authorise()).toEqual([
      ['startPolling', undefined],
      ['decide', 'retry'],
    ]);
    expect(api.processes.asked[1]?.input).toMatchObject({ workflowId: storeLaneId(store) });

    // The store is connected all the same when Temporal is away.
    api.processes.down = true;
    expect(await authorise()).toEqual([]);
    api.processes.down = false;
    exchange.mockRestore();
  });
});
