/** One batch of a lane over the real store, with a platform that answers as told. Contract: stock-push.md, Fan-out. */
import { createBatchSender } from '../../activities/lane-batch';
import type { StoreAccess } from '../../activities/tokens';
import { LAZADA_CAPABILITIES } from '../../connectors/marketplaces/lazada/client';
import { type MarketplaceConnector, PlatformError, type StockEntry, type StockResult } from '../../connectors/port';
import { HubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import { storeLaneId } from '../../domain/process-ids';
import { type Hub, startHub } from '../support/hub';
import { makeRule } from '../support/scenario';

let hub: Hub;
beforeAll(async () => {
  hub = await startHub({ withoutWorker: true });
});
afterAll(() => hub?.stop());

const accept = (entries: readonly StockEntry[]): StockResult[] =>
  entries.map(({ key, quantity }) => ({ key, outcome: 'accepted', quantity }));

/** A store in which these SKUs are listed, under a rule that holds all but the last; each was accepted with 5. */
async function makeScene(skus: readonly string[]) {
  const { accounts, catalogue, stores, stock, dues, pushes, lanes } = hub.store;
  const { account } = await accounts.create({ name: 'Seller', plan: 'basic', orderQuota: null });
  const id = account._id;
  await accounts.change(id, { inventoryEnabled: true });
  const warehouse = (await catalogue.addWarehouse(id, { name: 'Own' }))._id;
  for (const sku of skus) await catalogue.addSku(id, { sku, name: sku, components: [] });
  const row = await stores.add(id, { platform: 'lazada', name: 'Shop' });
  await hub.store.database.models.stores.updateOne({ _id: row._id }, { $set: { status: 'connected' } });
  await stores.putListings(
    row,
    skus.map((sku, index) => ({
      ...{ itemId: String(index + 1), modelId: '0', sellerSku: sku, title: sku, imageUrl: null, variation: '' },
      ...{ price: '1.00', currency: 'MYR', quantity: 1, status: 'live' },
    })),
  );
  const rule = await makeRule(hub, id, [warehouse], [row._id], 1, {
    skus: { kind: 'list', skus: skus.slice(0, -1) },
  });
  let answer: (entries: readonly StockEntry[]) => StockResult[] = accept;
  let onCalling = () => {};
  const calls: StockEntry[][] = [];
  const connector = {
    capabilities: LAZADA_CAPABILITIES,
    longestWriteMs: 60_000,
    async updateStock(_: unknown, entries: readonly StockEntry[]) {
      calls.push([...entries]);
      return answer(entries);
    },
  } as unknown as MarketplaceConnector;
  const access = {
    connectorOf: () => connector,
    call: (_: string, work: (on: MarketplaceConnector, shop: object) => unknown) => work(connector, {}),
  } as unknown as StoreAccess;
  const sender = createBatchSender({ store: hub.store, access });
  const lane = storeLaneId(row._id);
  let pass = newId('command');
  await pushes.beginPass(row._id, pass);
  const send = async () => {
    const { rules } = await lanes.ruleSet(id, null);
    const batch = await dues.reader(lane, 50).next();
    return sender.sendBatch(
      row,
      pass,
      () => rules,
      batch,
      () => onCalling(),
    );
  };
  const count = (sku: string, quantity: number) =>
    stock.adjust({
      ...{ account: id, warehouse, sku, kind: 'count' as const, quantity, reason: '', document: 'd' },
      key: newId('command'),
    });
  const listingOf = (sku: string) => `${row._id}/${skus.indexOf(sku) + 1}/0`;
  const scene = {
    account: id,
    calls,
    rule,
    count,
    send,
    listingOf,
    onCall(next: typeof answer) {
      answer = next;
    },
    onCalling(next: typeof onCalling) {
      onCalling = next;
    },
    /** Another pass of the lane, as where this one was taken for dead. */
    async otherPass() {
      await pushes.beginPass(row._id, newId('command'));
    },
    async newPass() {
      pass = newId('command');
      await pushes.beginPass(row._id, pass);
    },
    waiting: () => dues.waiting(lane),
    openCall: async () => (await hub.store.database.models.storeCalls.findById(row._id).lean())?.listings,
    recordOf: async (sku: string) => hub.store.database.models.pushRecords.findById(listingOf(sku)).lean(),
  };
  for (const sku of skus) await count(sku, 5);
  await send();
  calls.splice(0);
  return scene;
}

test('a call that is refused as a whole is refused for what it carried, and for nothing else of its batch', async () => {
  const scene = await makeScene(['SENT', 'SAME', 'NO-RULE']);
  await scene.count('SENT', 7);
  await scene.count('SAME', 6);
  await scene.count('SAME', 5);
  await scene.count('NO-RULE', 8);
  scene.onCall(() => {
    throw new PlatformError('rejected', 'lazada', 'E006', 'Not like that');
  });
  await scene.send();
  expect(scene.calls.map((entries) => entries.map(({ quantity }) => quantity))).toEqual([[7]]);
  expect((await scene.recordOf('SENT'))?.latest).toMatchObject({
    ...{ outcome: 'refused', quantity: 7, before: 5, rule: scene.rule._id, revision: 1, attempts: 1 },
    error: 'E006: Not like that',
  });
  expect((await scene.recordOf('SAME'))?.latest).toMatchObject({ outcome: 'accepted', quantity: 5 });
  expect(await scene.recordOf('NO-RULE')).toBeNull();
  expect([await scene.waiting(), await scene.openCall()]).toEqual([0, []]);
  // The platform wrote nothing: what it had is not sent again.
  await scene.count('SENT', 5);
  expect(await scene.send()).toBe(false);
});

test('what was certainly not written is known; what may have been is not', async () => {
  const scene = await makeScene(['SENT', 'NO-RULE']);
  const failWith = (options: { outcomeUnknown?: boolean }) =>
    scene.onCall(() => {
      throw new PlatformError('unavailable', 'lazada', 'timeout', 'no answer', options);
    });
  for (const [options, again] of [
    [{}, []],
    [{ outcomeUnknown: true }, [5]],
  ] as const) {
    scene.calls.splice(0);
    await scene.count('SENT', 9);
    failWith(options);
    await expect(scene.send()).rejects.toMatchObject({ kind: 'unavailable' });
    await scene.count('SENT', 5);
    scene.onCall(accept);
    await scene.send();
    expect(scene.calls.slice(1).flatMap((entries) => entries.map(({ quantity }) => quantity))).toEqual(again);
  }
});

test('the pace is counted from the call itself, which has been noted by then', async () => {
  const scene = await makeScene(['SENT', 'NO-RULE']);
  await scene.count('SENT', 9);
  const order: string[] = [];
  const { calling } = hub.store.pushes;
  const noting = jest.spyOn(hub.store.pushes, 'calling').mockImplementation(async (...given) => {
    await calling(...given);
    order.push('noted');
  });
  scene.onCalling(() => order.push('calling'));
  scene.onCall((entries) => {
    order.push('called');
    return accept(entries);
  });
  await scene.send();
  noting.mockRestore();
  expect(order).toEqual(['noted', 'calling', 'called']);
});

test('what the platform said is kept where the end of its call can not be noted', async () => {
  const scene = await makeScene(['SENT', 'NO-RULE']);
  await scene.count('SENT', 9);
  scene.onCall(() => {
    throw new PlatformError('throttled', 'lazada', 'E429', 'Later');
  });
  const away = jest.spyOn(hub.store.pushes, 'called').mockRejectedValueOnce(new HubError('unavailable', 'away'));
  await expect(scene.send()).rejects.toMatchObject({ kind: 'throttled' });
  away.mockRestore();
  // It counts as out until the next pass has taken it up.
  expect(await scene.openCall()).toEqual([scene.listingOf('SENT')]);
});

describe('a floor', () => {
  const floorAt =
    (floor: number, second: StockResult['outcome'] = 'accepted') =>
    (entries: readonly StockEntry[]): StockResult[] =>
      entries.map(({ key, quantity }): StockResult => {
        if (quantity < floor) return { key, outcome: 'floor', floor, code: 'E1', message: 'locked' };
        if (second === 'accepted') return { key, outcome: 'accepted', quantity };
        if (second === 'floor') return { key, outcome: 'floor', floor: floor + 1, code: 'E1', message: 'locked' };
        return { key, outcome: second, code: 'E2', message: 'words' };
      });
  const sent = (calls: readonly StockEntry[][]) => calls.flatMap((entries) => entries.map(({ quantity }) => quantity));

  test('is sent once, and not again while the store has it', async () => {
    const scene = await makeScene(['SENT', 'NO-RULE']);
    scene.onCall(floorAt(12));
    await scene.count('SENT', 4);
    await scene.send();
    expect(sent(scene.calls)).toEqual([4, 12]);
    await scene.count('SENT', 3);
    await scene.send();
    expect(sent(scene.calls)).toEqual([4, 12, 3]);
    const record = await scene.recordOf('SENT');
    expect(record).toMatchObject({ accepted: 12, unanswered: false });
    expect(record?.latest).toMatchObject({
      outcome: 'accepted',
      quantity: 12,
      before: 12,
      error: expect.stringContaining('floor is 12'),
    });
    expect([await scene.waiting(), await scene.openCall()]).toEqual([0, []]);
  });

  test('that is put off, or has moved meanwhile, is tried again; one that is refused is refused', async () => {
    const scene = await makeScene(['SENT', 'NO-RULE']);
    await scene.count('SENT', 4);
    for (const outcome of ['retry', 'floor'] as const) {
      scene.onCall(floorAt(12, outcome));
      await expect(scene.send()).rejects.toMatchObject({ type: 'platform_unavailable' });
      expect((await scene.recordOf('SENT'))?.latest).toMatchObject({ outcome: 'accepted', quantity: 5 });
      expect(await scene.waiting()).toBe(1);
    }
    scene.onCall(floorAt(12, 'refused'));
    await scene.send();
    expect((await scene.recordOf('SENT'))?.latest).toMatchObject({ outcome: 'refused', error: 'E2: words' });
    expect([await scene.waiting(), await scene.openCall()]).toEqual([0, []]);
  });
});

test('a pass that another one took the place of calls no more', async () => {
  const scene = await makeScene(['SENT', 'NO-RULE']);
  await scene.count('SENT', 9);
  await scene.otherPass();
  await expect(scene.send()).rejects.toMatchObject({ code: 'unavailable' });
  expect(scene.calls).toEqual([]);
  await scene.newPass();
  await scene.send();
  expect(scene.calls.flat()).toMatchObject([{ key: scene.listingOf('SENT'), quantity: 9 }]);
  expect(await scene.waiting()).toBe(0);
});
