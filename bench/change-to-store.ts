/** From a stock change to the store's call, at idle. */
import { eventually, startHub } from '../test/support/hub';
import { makeDistributor, makeStore, makeSupplier, shownQuantity } from '../test/support/scenario';
import { figure, percentile, type Section } from './report';

const CHANGES = 40;
/** Longer than the pacing, so that each change finds an idle lane. Milliseconds. */
const BETWEEN_MS = 700;

export async function changeToStore(): Promise<Section> {
  const hub = await startHub({ pacingMs: 500 });
  try {
    const supplier = await makeSupplier(hub, { onHand: 1_000 });
    const distributor = await makeDistributor(hub, supplier);
    const store = await makeStore(hub, distributor.id, 'shopee', supplier.skus, { withRule: [distributor.warehouse] });
    await eventually(async () => {
      if ((await shownQuantity(hub, store, 'TEE-1')) !== 1_000) throw new Error('not there yet');
    });
    const samples: number[] = [];
    for (let change = 1; change <= CHANGES; change += 1) {
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
      const start = Date.now();
      const { lanes } = await hub.store.stock.adjust({
        account: supplier.id,
        warehouse: supplier.warehouse,
        sku: 'TEE-1',
        kind: 'stockOut',
        quantity: 1,
        reason: 'bench',
        document: `bench ${change}`,
        key: `bench/${hub.database}/${change}`,
      });
      hub.processes.wakeLanes(lanes);
      await eventually(async () => {
        if ((await shownQuantity(hub, store, 'TEE-1')) !== 1_000 - change) throw new Error('not there yet');
      });
      const { calls } = await hub.control.calls({ pathContains: 'update_stock', since: start });
      samples.push((calls.at(-1)?.at ?? Date.now()) - start);
    }
    return {
      title: 'Stock change to store',
      how: `${CHANGES} changes of a supplier's SKU, one after the other at idle, until the distributor's store was called: through the mirror lane and the store's lane. Pacing 500 ms.`,
      rows: [
        { what: 'p50', value: `${figure(percentile(samples, 0.5), 0)} ms`, aim: '< 1000 ms' },
        { what: 'p95', value: `${figure(percentile(samples, 0.95), 0)} ms` },
        { what: 'longest', value: `${figure(Math.max(...samples), 0)} ms` },
      ],
    };
  } finally {
    await hub.stop();
  }
}
