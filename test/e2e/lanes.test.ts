/** Stock changes on their way to the stores, with everything that platforms do to them. */
import { newId } from '../../domain/ids';
import { storeLaneId } from '../../domain/process-ids';
import type { AdjustmentKind } from '../../domain/stock';
import type { FaultInput } from '../../sandbox/marketplaces/control-schemas';
import { eventually, type Hub, startHub } from '../support/hub';
import {
  type ConnectedStore,
  makeDistributor,
  makeRule,
  makeStore,
  makeSupplier,
  type Supplier,
  shownQuantity,
} from '../support/scenario';

const STOCK_PATH = { shopee: 'update_stock', lazada: 'stock/sellable/update' } as const;

/** A manual change; the lanes are woken as the API wakes them. */
async function change(
  hub: Hub,
  supplier: Supplier,
  input: { kind: AdjustmentKind; quantity: number; sku: string },
): Promise<void> {
  const { lanes } = await hub.store.stock.adjust({
    account: supplier.id,
    warehouse: supplier.warehouse,
    reason: '',
    document: 'd',
    key: newId('command'),
    ...input,
  });
  hub.processes.wakeLanes(lanes);
}
const count = (hub: Hub, supplier: Supplier, quantity: number, sku = supplier.skus[0] ?? '') =>
  change(hub, supplier, { kind: 'count', quantity, sku });
const takeOne = (hub: Hub, supplier: Supplier) =>
  change(hub, supplier, { kind: 'stockOut', quantity: 1, sku: supplier.skus[0] ?? '' });
const shows = (hub: Hub, store: ConnectedStore, quantity: number, sku: string, withinMs?: number) =>
  eventually(async () => expect(await shownQuantity(hub, store, sku)).toBe(quantity), withinMs);
const stockCalls = async (hub: Hub, store: ConnectedStore, since = 0) =>
  (
    await hub.control.calls({
      platform: store.platform,
      shopId: store.shopId,
      pathContains: STOCK_PATH[store.platform],
      since,
    })
  ).calls;
const latest = async (hub: Hub, account: string, store: ConnectedStore, sku: string) => {
  const { items } = await hub.store.pushes.records(
    account,
    { kind: 'store', sku, store: store.id },
    { limit: 10, after: null },
  );
  return items[0]?.latest;
};

describe('100 changes of one SKU within a second', () => {
  const PACING_MS = 500;
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub({ pacingMs: PACING_MS, platformTimeoutMs: 5_000 });
  });
  afterAll(() => hub.stop());

  test('reach every store as the newest quantity, in few calls', async () => {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 500 });
    const distributor = await makeDistributor(hub, supplier);
    const stores = [
      await makeStore(hub, supplier.id, 'shopee', ['TEE-1']),
      await makeStore(hub, distributor.id, 'shopee', ['TEE-1']),
      await makeStore(hub, distributor.id, 'lazada', ['TEE-1']),
    ];
    const [own, ...theirs] = stores;
    await makeRule(hub, supplier.id, [supplier.warehouse], [own?.id ?? '']);
    await makeRule(
      hub,
      distributor.id,
      [distributor.warehouse],
      theirs.map(({ id }) => id),
    );
    await count(hub, supplier, 1_000);
    for (const store of stores) await shows(hub, store, 1_000, 'TEE-1');

    const started = Date.now();
    await Promise.all(Array.from({ length: 100 }, () => takeOne(hub, supplier)));
    const lastedMs = Date.now() - started;
    const most = lastedMs <= 1_000 ? 4 : 2 + Math.ceil(lastedMs / PACING_MS);
    for (const store of stores) await shows(hub, store, 900, 'TEE-1');
    // Nothing is due any more, so no call can follow.
    await eventually(async () => expect(await hub.store.database.models.dues.countDocuments({})).toBe(0));
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
  let hub: Hub;
  let supplier: Supplier;
  let shopee: ConnectedStore;
  let lazada: ConnectedStore;
  beforeAll(async () => {
    hub = await startHub({ platformTimeoutMs: 1_000, lanes: { attempts: 2 } });
  });
  afterAll(() => hub.stop());
  beforeEach(async () => {
    for (const platform of ['shopee', 'lazada'] as const) await hub.control.clearFaults(platform);
    supplier = await makeSupplier(hub, { skus: ['TEE-1', 'TEE-2'], onHand: 100 });
    shopee = await makeStore(hub, supplier.id, 'shopee', supplier.skus);
    lazada = await makeStore(hub, supplier.id, 'lazada', supplier.skus);
    await makeRule(hub, supplier.id, [supplier.warehouse], [shopee.id, lazada.id]);
    for (const sku of supplier.skus) await count(hub, supplier, 50, sku);
    for (const store of [shopee, lazada]) for (const sku of supplier.skus) await shows(hub, store, 50, sku);
  });
  const breakIt = (store: ConnectedStore, fault: Omit<FaultInput, 'shopId'>) =>
    hub.control.addFault(store.platform, {
      ...fault,
      shopId: store.shopId,
      pathContains: STOCK_PATH[store.platform],
    });

  test.each<['error500' | 'hang', 'shopee' | 'lazada']>([
    ['error500', 'shopee'],
    ['hang', 'lazada'],
  ])(
    'with %s at one store (%s) bring the others theirs; the bad one parks, is found, and a retry finishes it',
    async (kind, which) => {
      const [bad, good] = which === 'shopee' ? [shopee, lazada] : [lazada, shopee];
      await breakIt(bad, { kind, ...(kind === 'hang' ? { delayMs: 60_000 } : {}) });
      await count(hub, supplier, 41, 'TEE-1');
      await shows(hub, good, 41, 'TEE-1');
      expect(await shownQuantity(hub, bad, 'TEE-1')).toBe(50);
      const lane = storeLaneId(bad.id);
      await eventually(async () => {
        const found: string[] = [];
        const query = `HubStatus = 'parked' AND HubStore = '${bad.id}'`;
        for await (const { workflowId } of hub.client.workflow.list({ query })) found.push(workflowId);
        expect(found).toEqual([lane]);
      });
      await eventually(async () =>
        expect(
          await hub.store.operations.list(supplier.id, { status: 'parked' }, { limit: 10, after: null }),
        ).toMatchObject({ items: [{ workflowId: lane, error: { code: 'platform_unavailable' } }] }),
      );
      await eventually(async () =>
        expect((await hub.store.notifications.list(supplier.id, { limit: 10, after: null })).items).toMatchObject([
          { event: 'stock_push_failed', document: bad.id },
        ]),
      );
      // The others go on while it is parked.
      await count(hub, supplier, 40, 'TEE-1');
      await shows(hub, good, 40, 'TEE-1');
      await hub.control.clearFaults(bad.platform);
      await hub.processes.decide(lane, 'retry', 'operator');
      await shows(hub, bad, 40, 'TEE-1');
      expect(await latest(hub, supplier.id, bad, 'TEE-1')).toMatchObject({
        outcome: 'accepted',
        quantity: 40,
        changes: 2,
      });
      await expect(hub.processes.decide(lane, 'retry', 'operator')).rejects.toMatchObject({
        code: 'operation_not_parked',
      });
    },
  );

  test('with 429 at one store wait there as told, without parking, and delay no other', async () => {
    await breakIt(shopee, { kind: 'throttle', retryAfterS: 2, times: 1 });
    const started = Date.now();
    await count(hub, supplier, 41, 'TEE-1');
    await shows(hub, lazada, 41, 'TEE-1');
    await shows(hub, shopee, 41, 'TEE-1');
    const calls = await stockCalls(hub, shopee, started);
    expect(calls.map(({ status }) => status)).toEqual([429, 200]);
    expect((calls[1]?.at ?? 0) - (calls[0]?.at ?? 0)).toBeGreaterThanOrEqual(1_990);
    const last = (await stockCalls(hub, lazada, started)).at(-1);
    expect(last?.at).toBeLessThan(calls[1]?.at ?? 0);
  });

  test('abandoned by an operator record what was due as failed, and take up the next change', async () => {
    await breakIt(lazada, { kind: 'error500' });
    await count(hub, supplier, 41, 'TEE-1');
    const lane = storeLaneId(lazada.id);
    await eventually(() => hub.processes.decide(lane, 'abandon', 'operator'));
    await eventually(async () =>
      expect(await latest(hub, supplier.id, lazada, 'TEE-1')).toMatchObject({ outcome: 'failed' }),
    );
    await hub.control.clearFaults('lazada');
    await count(hub, supplier, 40, 'TEE-1');
    await shows(hub, lazada, 40, 'TEE-1');
    expect(await shownQuantity(hub, lazada, 'TEE-2')).toBe(50);
  });

  test.each(['shopee', 'lazada'] as const)(
    'record what %s refused with its words, and what it accepted',
    async (which) => {
      const store = which === 'shopee' ? shopee : lazada;
      const { items } = await hub.control.shop(which, store.shopId);
      const model = items[0]?.models.find(({ sku }) => sku === 'TEE-1');
      await breakIt(store, { kind: 'partial_failure', items: [model?.modelId ?? ''] });
      for (const sku of supplier.skus) await count(hub, supplier, 30, sku);
      await shows(hub, store, 30, 'TEE-2');
      await eventually(async () => {
        const refused = await latest(hub, supplier.id, store, 'TEE-1');
        expect(refused).toMatchObject({ outcome: 'refused', quantity: 30 });
        expect(refused?.error).toMatch(/\S+: \S+/);
      });
      expect(await latest(hub, supplier.id, store, 'TEE-2')).toMatchObject({ outcome: 'accepted', quantity: 30 });
      expect(await shownQuantity(hub, store, 'TEE-1')).toBe(50);
      // It is done with until the next change.
      await hub.control.clearFaults(which);
      await count(hub, supplier, 29, 'TEE-1');
      await shows(hub, store, 29, 'TEE-1');
    },
  );

  test('send the platform’s floor where it has one, and say so', async () => {
    const { items } = await hub.control.shop('shopee', shopee.shopId);
    const model = items[0]?.models.find(({ sku }) => sku === 'TEE-1');
    await breakIt(shopee, { kind: 'floor', items: [model?.modelId ?? ''], floor: 12 });
    await count(hub, supplier, 5, 'TEE-1');
    await shows(hub, shopee, 12, 'TEE-1');
    await eventually(async () => {
      const record = await latest(hub, supplier.id, shopee, 'TEE-1');
      expect(record).toMatchObject({ outcome: 'accepted', quantity: 12 });
      expect(record?.error).toContain('floor is 12');
    });
    await shows(hub, lazada, 5, 'TEE-1');
  });

  test.each(['shopee', 'lazada'] as const)(
    'bring %s to the right quantity although its answer was lost',
    async (which) => {
      const store = which === 'shopee' ? shopee : lazada;
      await breakIt(store, { kind: 'lost_answer', times: 3 });
      await count(hub, supplier, 33, 'TEE-1');
      await shows(hub, store, 33, 'TEE-1');
      // Back to what was accepted last: the platform has another quantity by now, whatever we heard.
      await count(hub, supplier, 50, 'TEE-1');
      await shows(hub, store, 50, 'TEE-1');
      await hub.control.clearFaults(which);
    },
  );

  test('whose token ends in the middle refresh it once and go on', async () => {
    const started = Date.now();
    await hub.control.addFault('shopee', { kind: 'expire_token', shopId: shopee.shopId });
    await count(hub, supplier, 22, 'TEE-1');
    await count(hub, supplier, 22, 'TEE-2');
    for (const sku of supplier.skus) await shows(hub, shopee, 22, sku);
    const { count: refreshes } = await hub.control.calls({
      platform: 'shopee',
      pathContains: 'access_token/get',
      since: started,
      limit: 0,
    });
    expect(refreshes).toBe(1);
  });

  test('whose refresh is refused wait for the owner, and go on once authorised again', async () => {
    await hub.control.addFault('shopee', { kind: 'revoke_refresh', shopId: shopee.shopId });
    await hub.control.addFault('shopee', { kind: 'expire_token', shopId: shopee.shopId });
    await count(hub, supplier, 21, 'TEE-1');
    await shows(hub, lazada, 21, 'TEE-1');
    await eventually(async () =>
      expect(await hub.store.operations.get(supplier.id, `store-lane.${shopee.id}`)).toMatchObject({
        status: 'parked',
        error: { code: 'needs_authorization' },
      }),
    );
    await hub.control.clearFaults('shopee');
    const { code } = await hub.control.authorize('shopee', shopee.shopId);
    const authorized = await hub.connectors.shopee?.exchangeCode({ code, shop_id: shopee.shopId });
    if (!authorized) throw new Error('no connector');
    await hub.store.stores.connect(supplier.id, shopee.id, authorized);
    await eventually(() => hub.processes.decide(storeLaneId(shopee.id), 'retry', 'operator'));
    await shows(hub, shopee, 21, 'TEE-1');
  });

  test('do not send a quantity that the store has', async () => {
    const started = Date.now();
    hub.processes.wakeLanes(await hub.store.stock.markChanged(null, supplier.id, ['TEE-1'], 'nothing changed'));
    await count(hub, supplier, 49, 'TEE-2');
    for (const store of [shopee, lazada]) await shows(hub, store, 49, 'TEE-2');
    await eventually(async () =>
      expect(await hub.store.database.models.dues.countDocuments({ account: supplier.id })).toBe(0),
    );
    for (const store of [shopee, lazada]) {
      const entries = (await stockCalls(hub, store, started)).flatMap((call) => call.entries);
      expect(entries.map(({ quantity }) => quantity)).toEqual([49]);
    }
  });

  test('send nothing while the account’s Inventory switch is off', async () => {
    await hub.store.accounts.change(supplier.id, { inventoryEnabled: false });
    const started = Date.now();
    await count(hub, supplier, 48, 'TEE-1');
    await eventually(async () =>
      expect(await hub.store.database.models.dues.countDocuments({ account: supplier.id })).toBe(0),
    );
    for (const store of [shopee, lazada]) expect(await stockCalls(hub, store, started)).toEqual([]);
  });
});
