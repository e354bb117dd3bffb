/** A recipient passes through the hub sealed: nowhere in the database, in a workflow's history or in a log line in clear. */
import { PassThrough } from 'node:stream';
import { temporal } from '@temporalio/proto';
import { createLogger } from '../../config/logger';
import { eventually, type Hub, startHub } from '../support/hub';
import { makeDistributor, makeStore, makeSupplier, push, pushEnd } from '../support/scenario';

const RECIPIENT = { name: 'Zacharias Unverwechselbar', phone: '+60987650123', address: 'Lorong Tersembunyi 99' };
const WORDS = [...Object.values(RECIPIENT), 'Unverwechselbar', 'Tersembunyi', '987650123'];

let hub: Hub;
let lines = '';
beforeAll(async () => {
  const stream = new PassThrough();
  stream.on('data', (chunk: Buffer) => {
    lines += chunk.toString();
  });
  hub = await startHub({ logger: createLogger({ level: 'debug', format: 'json', service: 'test', stream }) });
});
afterAll(() => hub.stop());

/** Everything in the hub's database, as text. */
async function dumpDatabase(): Promise<string> {
  const { db } = hub.store.database.connection;
  if (!db) throw new Error('no connection');
  const collections = await db.listCollections().toArray();
  const parts = await Promise.all(
    collections.map(async ({ name }) => JSON.stringify(await db.collection(name).find().toArray())),
  );
  return parts.join('\n');
}

/** The histories of all workflows of this hub, as they lie at the server. */
async function dumpHistories(): Promise<{ bytes: Buffer; count: number }> {
  const histories: Buffer[] = [];
  const query = `TaskQueue = '${hub.queuePrefix}-hub'`;
  for await (const { workflowId, runId } of hub.client.workflow.list({ query })) {
    const { history } = await hub.client.workflowService.getWorkflowExecutionHistory({
      namespace: hub.client.options.namespace,
      execution: { workflowId, runId },
    });
    histories.push(Buffer.from(temporal.api.history.v1.History.encode(history ?? {}).finish()));
  }
  return { bytes: Buffer.concat(histories), count: histories.length };
}

test('a recipient stands nowhere in clear', async () => {
  const supplier = await makeSupplier(hub, { onHand: 10 });
  const distributor = await makeDistributor(hub, supplier);
  const store = await makeStore(hub, distributor.id, 'shopee', ['TEE-1'], { withRule: [distributor.warehouse] });
  const shop = await hub.control.shop('shopee', store.shopId);
  const [item] = shop.items;
  const lineOf = (quantity: number) => [
    { itemId: item?.itemId ?? '', modelId: item?.models[0]?.modelId ?? '', quantity },
  ];
  // One that is pushed with the supplier as the carrier, and one that cannot be.
  for (const quantity of [2, 50]) {
    const order = await hub.control.createOrder('shopee', {
      shopId: store.shopId,
      lines: lineOf(quantity),
      recipient: RECIPIENT,
      shipping: 'self_delivery',
    });
    await hub.store.inbox.put({
      platform: 'shopee',
      shopId: store.shopId,
      platformOrder: order.orderNumber,
      dedupeKey: order.orderNumber,
      body: JSON.stringify({ data: { ordersn: order.orderNumber, recipient_address: RECIPIENT } }),
      store: { id: store.id, account: distributor.id },
    });
    // The first fetch fails, so that failures leave their words, too.
    await hub.control.addFault('shopee', { kind: 'garbage', shopId: store.shopId, pathContains: 'order', times: 1 });
    hub.processes.takeInOrder(store.id, order.orderNumber);
  }
  const orders = await eventually(async () => {
    const { items } = await hub.store.orders.list(distributor.id, {}, { limit: 10, after: null });
    expect(items).toHaveLength(2);
    return items;
  });
  for (const { packages } of orders) {
    const pkg = packages[0]?._id ?? '';
    await push(hub, distributor.id, pkg);
    await pushEnd(hub, distributor.id, pkg);
  }
  const { items: supplyOrders } = await hub.store.orders.supplyOrders(supplier.id, {}, { limit: 10, after: null });
  // They are there for those who may read them.
  expect(supplyOrders.map((row) => hub.store.orders.recipientOfSupplyOrder(row))).toEqual([RECIPIENT]);
  expect(orders.map(({ order }) => hub.store.orders.recipientOf(order))).toEqual([RECIPIENT, RECIPIENT]);

  const database = await dumpDatabase();
  expect(database).toContain(supplyOrders[0]?._id);
  const histories = await eventually(async () => {
    const dump = await dumpHistories();
    // Visibility lags; intakes, pushes, the lanes and the download.
    expect(dump.count).toBeGreaterThanOrEqual(6);
    return dump;
  });
  expect(histories.bytes.includes('binary/encrypted')).toBe(true);
  hub.logger.info('a line to see that lines come here');
  expect(lines).toContain('a line to see that lines come here');
  for (const word of WORDS)
    expect([word, database.includes(word), histories.bytes.includes(word), lines.includes(word)]).toEqual([
      word,
      false,
      false,
      false,
    ]);
});
