/** Listing writes per second through the lanes, against one workflow per write. */
import { resolve } from 'node:path';
import { NativeConnection, Worker } from '@temporalio/worker';
import { createStoreAccess } from '../activities/tokens';
import { storeLaneId } from '../domain/process-ids';
import { testEnvironment } from '../test/support/environment';
import { eventually, startHub, TEST_KEYS } from '../test/support/hub';
import {
  type ConnectedStore,
  makeDistributor,
  makeRule,
  makeStore,
  makeSupplier,
  shownQuantity,
} from '../test/support/scenario';
import { createDataConverter } from '../workflows/encoding';
import { figure, inParallel, type Section, seconds } from './report';

const SKUS = 200;
const STORES = 10;
const PACING_MS = 20;
const BASELINE_WRITES = 400;
const ROUNDS = 3;

export async function laneWrites(): Promise<Section> {
  const hub = await startHub({ pacingMs: PACING_MS, platformTimeoutMs: 10_000 });
  const { temporalAddress } = testEnvironment();
  const connection = await NativeConnection.connect({ address: temporalAddress });
  const { models } = hub.store.database;
  const access = createStoreAccess(hub);
  const taskQueue = `${hub.queuePrefix}-baseline`;
  const baselineWorker = await Worker.create({
    connection,
    taskQueue,
    workflowsPath: resolve(__dirname, 'baseline-workflows.ts'),
    dataConverter: createDataConverter(TEST_KEYS),
    activities: {
      async writeOne({
        store,
        ...entry
      }: {
        store: string;
        key: string;
        itemId: string;
        modelId: string;
        quantity: number;
      }) {
        await access.call(store, (connector, shop) => connector.updateStock(shop, [entry]));
      },
    },
    maxConcurrentWorkflowTaskExecutions: 20,
  });
  const running = baselineWorker.run();
  try {
    const skus = Array.from({ length: SKUS }, (_, index) => `SKU-${index}`);
    const supplier = await makeSupplier(hub, { skus, onHand: 10 });
    const { id, warehouse } = await makeDistributor(hub, supplier);
    const stores: ConnectedStore[] = [];
    for (let index = 0; index < STORES; index += 1)
      stores.push(await makeStore(hub, id, index % 2 === 0 ? 'shopee' : 'lazada', skus, { modelsPerItem: 50 }));
    await makeRule(
      hub,
      id,
      [warehouse],
      stores.map((store) => store.id),
    );
    const lanes = stores.map((store) => storeLaneId(store.id));
    const drained = () =>
      eventually(async () => {
        const left = await models.dues.countDocuments({ lane: { $in: lanes }, failed: false });
        if (left > 0) throw new Error(`${left} listings are due`);
      }, 120_000);
    await drained();
    const rates: { lane: number; baseline: number }[] = [];
    let calls = 0;
    for (let round = 1; round <= ROUNDS; round += 1) {
      await hub.control.clearCalls();
      // One change of everything, marked in one stroke; then the lanes alone are timed.
      const levels = { onHand: 100 + round, available: 100 + round };
      await hub.store.database.transact(async (session) => {
        await models.stock.updateMany({ account: id, warehouse }, { $set: levels }, { session });
      });
      await hub.store.stock.markChanged(null, id, skus, `round ${round}`);
      const lane = await seconds(async () => {
        await hub.processes.wakeLanesNow(lanes);
        await drained();
      });
      calls = (await hub.control.calls({ pathContains: 'stock', limit: 0 })).count;
      const [first] = stores;
      if (first && (await shownQuantity(hub, first, 'SKU-7')) !== 100 + round)
        throw new Error('a store shows another quantity');
      const [target] = stores;
      const shop = await hub.control.shop('shopee', target?.shopId ?? '');
      const sold = shop.items.flatMap((item) =>
        item.models.map((model) => ({ itemId: item.itemId, modelId: model.modelId })),
      );
      const writes = Array.from({ length: BASELINE_WRITES }, (_, index) => ({ index, ...sold[index % sold.length] }));
      const baseline = await seconds(() =>
        inParallel(writes, 40, ({ index, itemId = '', modelId = '' }) =>
          hub.client.workflow.execute('oneWrite', {
            taskQueue,
            workflowId: `write/${hub.queuePrefix}/${round}/${index}`,
            args: [{ store: target?.id ?? '', key: String(index), itemId, modelId, quantity: index }],
          }),
        ),
      );
      rates.push({ lane: (SKUS * STORES) / lane, baseline: BASELINE_WRITES / baseline });
    }
    const best = [...rates].sort((a, b) => a.lane - b.lane)[Math.floor(rates.length / 2)] ?? { lane: 0, baseline: 1 };
    return {
      title: 'Listing writes',
      how: `${SKUS} SKUs × ${STORES} stores (half Shopee with 50 models an item, half Lazada) change at once; pacing ${PACING_MS} ms. Baseline: one workflow per write. Median of ${ROUNDS} rounds.`,
      rows: [
        { what: 'listing writes per second through the lanes', value: figure(best.lane, 0), aim: '≥ 1000' },
        { what: 'writes per second, one workflow each', value: figure(best.baseline, 0) },
        { what: 'ratio', value: figure(best.lane / best.baseline, 1), aim: '≥ 30' },
        { what: 'platform calls per store', value: figure(calls / STORES, 1), aim: `${Math.ceil(SKUS / 50)}` },
      ],
    };
  } finally {
    baselineWorker.shutdown();
    await running;
    await connection.close();
    await hub.stop();
  }
}
