/** Stock changes over HTTP on their way to the stores, with everything that platforms do to them. Contract: stock-push.md, Fan-out. */
import { storeLaneId } from '../../domain/process-ids';
import type { AdjustmentKind } from '../../domain/stock';
import type { FaultInput } from '../../sandbox/marketplaces/control-schemas';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, type HubOptions, startHub } from '../support/hub';
import { type ConnectedStore, makeDistributor, makeStore, makeSupplier, shownQuantity } from '../support/scenario';
import { serveApi } from '../support/served-api';

const STOCK_PATH = { shopee: 'update_stock', lazada: 'stock/sellable/update' } as const;

/** A hub that is served. */
async function startServed(options: HubOptions) {
  const hub = await startHub(options);
  const api = await serveApi({ ...hub, checkAnswers: true });
  return {
    hub,
    url: api.url,
    as: createHttpClient(api.url),
    async stop() {
      await api.close();
      await hub.stop();
    },
  };
}
type Served = Awaited<ReturnType<typeof startServed>>;

/** Whose goods are in one warehouse. */
interface Owner {
  readonly id: string;
  readonly call: HttpClient;
  readonly warehouse: string;
}

const adjust = ({ call, warehouse }: Owner, kind: AdjustmentKind, quantity: number, sku: string) =>
  expectReply(call.post('/stock/adjustments', { warehouse, sku, kind, quantity, reason: 'test' }), 200);
const count = (owner: Owner, quantity: number, sku: string) => adjust(owner, 'count', quantity, sku);
/** All SKUs, as many as there are. */
const saveRule = ({ call, warehouse }: Owner, stores: readonly ConnectedStore[]) =>
  expectReply(
    call.post('/push-rules', {
      ...{ name: 'all', priority: 1, skus: { kind: 'all' }, warehouses: [warehouse] },
      stores: stores.map(({ id }) => id),
    }),
    201,
  );
const shows = (hub: Hub, store: ConnectedStore, quantity: number, sku: string) =>
  eventually(async () => expect(await shownQuantity(hub, store, sku)).toBe(quantity));
const stockCalls = async (hub: Hub, store: ConnectedStore, since = 0) =>
  (
    await hub.control.calls({
      platform: store.platform,
      shopId: store.shopId,
      pathContains: STOCK_PATH[store.platform],
      since,
    })
  ).calls;
const latest = async ({ call }: Owner, store: ConnectedStore, sku: string) =>
  (await expectReply(call.get(`/push-records?store=${store.id}&sku=${sku}`), 200)).items[0]?.latest;
/** Records are written after the platform's answer. */
const recorded = (owner: Owner, store: ConnectedStore, sku: string, wanted: object) =>
  eventually(async () => expect(await latest(owner, store, sku)).toMatchObject(wanted));
const noDues = (hub: Hub, filter: { account?: string } = {}) =>
  eventually(async () => expect(await hub.store.database.models.dues.countDocuments(filter)).toBe(0));

describe('100 changes of one SKU at once', () => {
  const PACING_MS = 500;
  let served: Served;
  beforeAll(async () => {
    served = await startServed({ pacingMs: PACING_MS, platformTimeoutMs: 5_000 });
  });
  afterAll(() => served?.stop());

  test('reach every store as the newest quantity, in few calls', async () => {
    const { hub, as } = served;
    const made = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 500 });
    const supplier: Owner = { ...made, call: as(made.key) };
    const partner = await makeDistributor(hub, made);
    const stores = [
      await makeStore(hub, made.id, 'shopee', ['TEE-1']),
      await makeStore(hub, partner.id, 'shopee', ['TEE-1']),
      await makeStore(hub, partner.id, 'lazada', ['TEE-1']),
    ];
    await saveRule(supplier, stores.slice(0, 1));
    await saveRule({ ...partner, call: as(partner.key) }, stores.slice(1));
    await count(supplier, 1_000, 'TEE-1');
    for (const store of stores) await shows(hub, store, 1_000, 'TEE-1');

    const started = Date.now();
    await Promise.all(Array.from({ length: 100 }, () => adjust(supplier, 'stockOut', 1, 'TEE-1')));
    const lastedMs = Date.now() - started;
    const most = lastedMs <= 1_000 ? 4 : 2 + Math.ceil(lastedMs / PACING_MS);
    for (const store of stores) await shows(hub, store, 900, 'TEE-1');
    // Nothing is due any more, so no call can follow.
    await noDues(hub);
    const counts = await Promise.all(stores.map(async (store) => (await stockCalls(hub, store, started)).length));
    process.stdout.write(`100 changes in ${lastedMs} ms: ${counts.join(', ')} calls per store\n`);
    for (const calls of counts) expect(calls).toBeLessThanOrEqual(most);
    // Each call is at least a pacing interval after the one before it.
    for (const store of stores) {
      const at = (await stockCalls(hub, store, started)).map((call) => call.at);
      for (const [index, time] of at.entries())
        if (index > 0) expect(time - (at[index - 1] ?? 0)).toBeGreaterThanOrEqual(PACING_MS - 50);
    }
  });
});

describe('the lanes of an account', () => {
  const SKUS = ['TEE-1', 'TEE-2'] as const;
  let served: Served;
  let hub: Hub;
  let owner: Owner;
  let shopee: ConnectedStore;
  let lazada: ConnectedStore;
  beforeAll(async () => {
    served = await startServed({ platformTimeoutMs: 1_000, lanes: { attempts: 2 } });
    hub = served.hub;
  });
  afterAll(() => served?.stop());
  beforeEach(async () => {
    for (const platform of ['shopee', 'lazada'] as const) await hub.control.clearFaults(platform);
    const { account, key } = await hub.store.accounts.create({ name: 'Seller', plan: 'basic', orderQuota: null });
    const call = served.as(key);
    await expectReply(call.patch('/account', { inventoryEnabled: true }), 200);
    const { id: warehouse } = await expectReply(call.post('/warehouses', { name: 'Own' }), 201);
    for (const sku of SKUS) await expectReply(call.post('/skus', { sku, name: sku }), 201);
    owner = { id: account._id, call, warehouse };
    shopee = await makeStore(hub, owner.id, 'shopee', SKUS);
    lazada = await makeStore(hub, owner.id, 'lazada', SKUS);
    await saveRule(owner, [shopee, lazada]);
    for (const sku of SKUS) await count(owner, 50, sku);
    for (const store of [shopee, lazada]) for (const sku of SKUS) await shows(hub, store, 50, sku);
  });
  const breakIt = (store: ConnectedStore, fault: Omit<FaultInput, 'shopId'>) =>
    hub.control.addFault(store.platform, {
      ...fault,
      shopId: store.shopId,
      pathContains: STOCK_PATH[store.platform],
    });
  /** The store's lane as an operation. */
  const laneOf = (store: ConnectedStore) => `/operations/store-lane.${store.id}`;
  const parked = (store: ConnectedStore, code: string) =>
    eventually(async () =>
      expect((await owner.call.get(laneOf(store))).body).toMatchObject({
        ...{ kind: 'store_lane', status: 'parked', error: { code } },
      }),
    );
  /** The lane says that it is parked a moment before it takes a decision. */
  const decide = (store: ConnectedStore, decision: 'retry' | 'abandon') =>
    eventually(async () => expect((await owner.call.post(`${laneOf(store)}/${decision}`)).status).toBeLessThan(300));
  /** The owner authorises the Shopee store once more. */
  async function authorizeAgain() {
    const { url } = await expectReply(owner.call.get(`/stores/${shopee.id}/authorization-url`), 200);
    const redirect = new URL(new URL(url).searchParams.get('redirect') ?? '');
    const { code } = await hub.control.authorize('shopee', shopee.shopId);
    const query = { state: redirect.searchParams.get('state') ?? '', code, shop_id: shopee.shopId };
    const callback = `${served.url}/v1/stores/callback/shopee?${new URLSearchParams(query)}`;
    expect((await fetch(callback)).status).toBe(200);
  }
  const noticesOf = async (document: string) =>
    ((await expectReply(owner.call.get('/notifications'), 200)).items as { event: string; document: string }[]).flatMap(
      (notice) => (notice.document === document ? [notice.event] : []),
    );

  test.each<['error500' | 'hang', 'shopee' | 'lazada']>([
    ['error500', 'shopee'],
    ['hang', 'lazada'],
  ])(
    'with %s at one store (%s) bring the others theirs; the bad one parks, is found, and a retry finishes it',
    async (kind, which) => {
      const [bad, good] = which === 'shopee' ? [shopee, lazada] : [lazada, shopee];
      await breakIt(bad, { kind, ...(kind === 'hang' ? { delayMs: 60_000 } : {}) });
      await count(owner, 41, 'TEE-1');
      await shows(hub, good, 41, 'TEE-1');
      expect(await shownQuantity(hub, bad, 'TEE-1')).toBe(50);
      await parked(bad, 'platform_unavailable');
      const lane = storeLaneId(bad.id);
      await eventually(async () => {
        const found: string[] = [];
        const query = `HubStatus = 'parked' AND HubStore = '${bad.id}'`;
        for await (const { workflowId } of hub.client.workflow.list({ query })) found.push(workflowId);
        expect(found).toEqual([lane]);
      });
      const seen = (await hub.client.workflow.getHandle(lane).query('__temporal_workflow_metadata')) as {
        currentDetails?: string;
      };
      expect(seen.currentDetails).toMatch(/does not take its quantities: .+\*\*retry\*\*.+\*\*abandon\*\*/);
      const { items } = await expectReply(owner.call.get('/operations?status=parked&kind=store_lane'), 200);
      expect(items).toMatchObject([{ document: bad.id, progress: { done: 0, failed: 0, total: 1 } }]);
      await eventually(async () => expect(await noticesOf(bad.id)).toEqual(['stock_push_failed']));
      // The others go on while it is parked.
      await count(owner, 40, 'TEE-1');
      await shows(hub, good, 40, 'TEE-1');
      await hub.control.clearFaults(bad.platform);
      await decide(bad, 'retry');
      await shows(hub, bad, 40, 'TEE-1');
      await recorded(owner, bad, 'TEE-1', { outcome: 'accepted', quantity: 40, changes: 2, attempts: 3 });
      expect(await owner.call.post(`${laneOf(bad)}/retry`)).toMatchObject({
        status: 409,
        body: { code: 'operation_not_parked' },
      });
    },
  );

  test('with 429 at one store wait there as told, without parking, and delay no other', async () => {
    await breakIt(shopee, { kind: 'throttle', retryAfterS: 2, times: 1 });
    const started = Date.now();
    await count(owner, 41, 'TEE-1');
    await shows(hub, lazada, 41, 'TEE-1');
    await shows(hub, shopee, 41, 'TEE-1');
    const calls = await stockCalls(hub, shopee, started);
    expect(calls.map(({ status }) => status)).toEqual([429, 200]);
    await recorded(owner, shopee, 'TEE-1', { outcome: 'accepted', attempts: 2 });
    expect((calls[1]?.at ?? 0) - (calls[0]?.at ?? 0)).toBeGreaterThanOrEqual(1_990);
    const last = (await stockCalls(hub, lazada, started)).at(-1);
    expect(last?.at).toBeLessThan(calls[1]?.at ?? 0);
  });

  test('abandoned by an operator record what was due as failed, and take up the next change', async () => {
    await breakIt(lazada, { kind: 'error500' });
    await count(owner, 41, 'TEE-1');
    await parked(lazada, 'platform_unavailable');
    await decide(lazada, 'abandon');
    await recorded(owner, lazada, 'TEE-1', { outcome: 'failed', quantity: null, attempts: 2, changes: 1 });
    await hub.control.clearFaults('lazada');
    await count(owner, 40, 'TEE-1');
    await shows(hub, lazada, 40, 'TEE-1');
    expect(await shownQuantity(hub, lazada, 'TEE-2')).toBe(50);
  });

  test.each(['shopee', 'lazada'] as const)(
    'record what %s refused with its words, and what it accepted; what is to be tried again is',
    async (which) => {
      const store = which === 'shopee' ? shopee : lazada;
      const { items } = await hub.control.shop(which, store.shopId);
      const model = items[0]?.models.find(({ sku }) => sku === 'TEE-1');
      await breakIt(store, { kind: 'partial_failure', items: [model?.modelId ?? ''] });
      for (const sku of SKUS) await count(owner, 30, sku);
      await shows(hub, store, 30, 'TEE-2');
      await recorded(owner, store, 'TEE-1', {
        ...{ outcome: 'refused', quantity: 30, before: 50, error: expect.stringMatching(/\S+: \S+/) },
      });
      await recorded(owner, store, 'TEE-2', { outcome: 'accepted', quantity: 30, before: 50 });
      expect(await shownQuantity(hub, store, 'TEE-1')).toBe(50);
      // It is done with until the next change.
      await hub.control.clearFaults(which);
      await count(owner, 29, 'TEE-1');
      await shows(hub, store, 29, 'TEE-1');
      // What is refused only for now is tried again, and the record says how often.
      await breakIt(store, { kind: 'partial_failure', items: [model?.modelId ?? ''], busy: true, times: 1 });
      await count(owner, 28, 'TEE-1');
      await shows(hub, store, 28, 'TEE-1');
      await recorded(owner, store, 'TEE-1', { outcome: 'accepted', quantity: 28, error: null, attempts: 2 });
    },
  );

  test('send the platform’s floor where it has one, and say so', async () => {
    const { items } = await hub.control.shop('shopee', shopee.shopId);
    const model = items[0]?.models.find(({ sku }) => sku === 'TEE-1');
    await breakIt(shopee, { kind: 'floor', items: [model?.modelId ?? ''], floor: 12 });
    await count(owner, 5, 'TEE-1');
    await shows(hub, shopee, 12, 'TEE-1');
    await recorded(owner, shopee, 'TEE-1', {
      ...{ outcome: 'accepted', quantity: 12, error: expect.stringContaining('floor is 12') },
    });
    await shows(hub, lazada, 5, 'TEE-1');
  });

  test.each(['shopee', 'lazada'] as const)(
    'bring %s to the right quantity although its answer was lost',
    async (which) => {
      const store = which === 'shopee' ? shopee : lazada;
      await breakIt(store, { kind: 'lost_answer', times: 3 });
      await count(owner, 33, 'TEE-1');
      await shows(hub, store, 33, 'TEE-1');
      // Back to what was accepted last: the platform has another quantity by now, whatever we heard.
      await count(owner, 50, 'TEE-1');
      await shows(hub, store, 50, 'TEE-1');
      await hub.control.clearFaults(which);
    },
  );

  test('whose token ends in the middle refresh it once and go on', async () => {
    const started = Date.now();
    await hub.control.addFault('shopee', { kind: 'expire_token', shopId: shopee.shopId });
    await Promise.all(SKUS.map((sku) => count(owner, 22, sku)));
    for (const sku of SKUS) await shows(hub, shopee, 22, sku);
    const { count: refreshes } = await hub.control.calls({
      platform: 'shopee',
      pathContains: 'access_token/get',
      since: started,
      limit: 0,
    });
    expect(refreshes).toBe(1);
  });

  test('whose refresh is refused wait for the owner, who is told, and go on once authorised again', async () => {
    await hub.control.addFault('shopee', { kind: 'revoke_refresh', shopId: shopee.shopId });
    await hub.control.addFault('shopee', { kind: 'expire_token', shopId: shopee.shopId });
    await count(owner, 21, 'TEE-1');
    await shows(hub, lazada, 21, 'TEE-1');
    await parked(shopee, 'needs_authorization');
    const stores = (await expectReply(owner.call.get('/stores'), 200)).items as { id: string; status: string }[];
    expect(stores.find(({ id }) => id === shopee.id)).toMatchObject({ status: 'needs_authorization' });
    expect(await noticesOf(shopee.id)).toEqual(['store_needs_authorization']);
    await hub.control.clearFaults('shopee');
    await authorizeAgain();
    await shows(hub, shopee, 21, 'TEE-1');
  });

  test('of a store that is disconnected send nothing, and what was and fell due once it is connected again; no Push Now waits for it', async () => {
    await breakIt(shopee, { kind: 'error500' });
    await count(owner, 41, 'TEE-1');
    await parked(shopee, 'platform_unavailable');
    const pushNow = async () =>
      (await expectReply(owner.call.post('/stock-pushes', { all: true }), 202)).operation.id as string;
    const ended = (operation: string, result: object) =>
      eventually(async () =>
        expect(await expectReply(owner.call.get(`/operations/${operation}`), 200)).toMatchObject({
          ...{ status: 'done', result },
        }),
      );
    const waiting = await pushNow();
    await eventually(async () =>
      expect(await expectReply(owner.call.get(`/operations/${waiting}`), 200)).toMatchObject({
        progress: { done: 2, failed: 0, total: 4 },
      }),
    );
    await expectReply(owner.call.delete(`/stores/${shopee.id}`), 204);
    await eventually(async () =>
      expect((await owner.call.get(laneOf(shopee))).body).toMatchObject({ status: 'done', error: null }),
    );
    await ended(waiting, { accepted: 2, skipped: 2 });
    await hub.control.clearFaults('shopee');
    const since = Date.now();
    await count(owner, 33, 'TEE-2');
    await shows(hub, lazada, 33, 'TEE-2');
    await ended(await pushNow(), { accepted: 2, skipped: 0 });
    expect(await stockCalls(hub, shopee, since)).toEqual([]);
    const lane = storeLaneId(shopee.id);
    expect(await hub.store.dues.waiting(lane)).toBe(2);
    expect(await hub.store.dues.lanesWaitingSince(new Date())).not.toContain(lane);
    await authorizeAgain();
    await shows(hub, shopee, 41, 'TEE-1');
    await shows(hub, shopee, 33, 'TEE-2');
    await noDues(hub, { account: owner.id });
  });

  test('bring a listing that its platform had deleted, and has again, what changed meanwhile', async () => {
    const row = await hub.store.stores.get(owner.id, lazada.id);
    const { items } = await expectReply(owner.call.get(`/stores/${lazada.id}/listings`), 200);
    const one = items.find(({ sku }: { sku: string }) => sku === 'TEE-1');
    const { item: itemId, model: modelId, sellerSku, title, variation, platformQuantity: quantity } = one;
    const told = { itemId, modelId, sellerSku, title, variation, quantity, imageUrl: null, price: '1.00' };
    await hub.store.stores.putListings(row, [{ ...told, currency: 'MYR', status: 'deleted' }]);
    await count(owner, 40, 'TEE-1');
    await shows(hub, shopee, 40, 'TEE-1');
    await noDues(hub, { account: owner.id });
    expect(await shownQuantity(hub, lazada, 'TEE-1')).toBe(50);
    await expectReply(owner.call.post(`/stores/${lazada.id}/download`), 202);
    await shows(hub, lazada, 40, 'TEE-1');
  });

  test('do not send a quantity that the store has', async () => {
    const started = Date.now();
    // What is on its way here changes what is there, and nothing that is sent under this rule.
    await adjust(owner, 'inTransit', 7, 'TEE-1');
    await count(owner, 49, 'TEE-2');
    for (const store of [shopee, lazada]) await shows(hub, store, 49, 'TEE-2');
    await noDues(hub, { account: owner.id });
    for (const store of [shopee, lazada]) {
      const entries = (await stockCalls(hub, store, started)).flatMap((call) => call.entries);
      expect(entries.map(({ quantity }) => quantity)).toEqual([49]);
    }
  });

  test('send nothing while the account’s Inventory switch is off', async () => {
    await expectReply(owner.call.patch('/account', { inventoryEnabled: false }), 200);
    const started = Date.now();
    await count(owner, 48, 'TEE-1');
    await noDues(hub, { account: owner.id });
    for (const store of [shopee, lazada]) expect(await stockCalls(hub, store, started)).toEqual([]);
  });
});
