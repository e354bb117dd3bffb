/**
 * A recipient passes through the hub sealed: nowhere in the database, in a workflow's history or in a log line in clear, nor
 * in the files that the two servers keep. What is looked for would be found: words that were planted in clear are.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { temporal } from '@temporalio/proto';
import { createLogger } from '../../config/logger';
import { type Engines, startEngines } from '../../sandbox/engines';
import { createHttpClient, expectReply } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import {
  type ConnectedStore,
  type Distributor,
  makeDistributor,
  makeStore,
  makeSupplier,
  type Supplier,
} from '../support/scenario';
import { serveApi } from '../support/served-api';

const RECIPIENT = { name: 'Zacharias Unverwechselbar', phone: '+60987650123', address: 'Lorong Tersembunyi 99' };
const WORDS = [...Object.values(RECIPIENT), 'Unverwechselbar', 'Tersembunyi', '987650123'];

/** Planted in clear, in the shape of a recipient: who searches must find it. */
const CONTROL = { name: 'Konrad Unversiegelt', phone: '+60111222333', address: 'Lorong Offen 11' };

let hub: Hub;
let api: Awaited<ReturnType<typeof serveApi>>;
let engines: Engines;
let folder: string;
let lines = '';
beforeAll(async () => {
  // Servers of its own that keep their data, so that there are files to look into.
  folder = mkdtempSync(join(tmpdir(), 'tradelane-personal-'));
  engines = await startEngines({ dataDir: folder, persistent: false, durable: true, given: {} });
  const stream = new PassThrough();
  stream.on('data', (chunk: Buffer) => {
    lines += chunk.toString();
  });
  hub = await startHub({
    engines,
    logger: createLogger({ level: 'debug', format: 'json', service: 'test', stream }),
  });
  const { store, processes, connectors, logger } = hub;
  api = await serveApi({ store, processes, connectors, logger, checkAnswers: true });
});
afterAll(async () => {
  await api?.close();
  await hub?.stop();
  await engines?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Every file below the engines' folder, their logs among them. */
function filesBelow(path: string): string[] {
  return readdirSync(path).flatMap((name) => {
    const file = join(path, name);
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    return stat.isDirectory() ? filesBelow(file) : stat.isFile() ? [file] : [];
  });
}

/** The files that hold each of the words, by name. They are large: each is read once. */
function filesWith(words: readonly string[]): Record<string, string[]> {
  const found: Record<string, string[]> = Object.fromEntries(words.map((word) => [word, []]));
  for (const file of filesBelow(folder)) {
    const bytes = readFileSync(file);
    for (const word of words) if (bytes.includes(word)) found[word]?.push(file);
  }
  return found;
}

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

/** Buys at the sandbox, with the recipient, and waits for the order. @returns order and package */
async function bought(store: ConnectedStore, distributor: Distributor, quantity: number) {
  const [item] = (await hub.control.shop('shopee', store.shopId)).items;
  const { orderNumber } = await hub.control.createOrder('shopee', {
    shopId: store.shopId,
    lines: [{ itemId: item?.itemId ?? '', modelId: item?.models[0]?.modelId ?? '', quantity }],
    recipient: RECIPIENT,
    shipping: 'self_delivery',
  });
  await hub.store.inbox.put({
    platform: 'shopee',
    shopId: store.shopId,
    platformOrder: orderNumber,
    dedupeKey: orderNumber,
    body: JSON.stringify({ data: { ordersn: orderNumber, recipient_address: RECIPIENT } }),
    store: { id: store.id, account: distributor.id },
  });
  // The first fetch fails, so that failures leave their words, too.
  await hub.control.addFault('shopee', { kind: 'garbage', shopId: store.shopId, pathContains: 'order', times: 1 });
  hub.processes.takeInOrder(store.id, orderNumber);
  return eventually(async () => {
    const order = await hub.store.database.models.orders.findOne({ platformOrder: orderNumber }).lean();
    if (!order?.packages[0]) throw new Error('not taken in');
    return { order: order._id, pkg: order.packages[0] };
  });
}

/** One order shipped, completed and returned, one recalled, one that can't be pushed; all of it printed and exported. */
async function aDay(supplier: Supplier, distributor: Distributor, store: ConnectedStore): Promise<string[]> {
  const http = createHttpClient(api.url);
  const [owner, seller] = [http(supplier.key), http(distributor.key)];
  const supplied: string[] = [];
  for (const quantity of [2, 1, 50]) {
    const { order, pkg } = await bought(store, distributor, quantity);
    const { status } = await seller.post(`/orders/${order}/push`);
    expect(status).toBe(quantity === 50 ? 409 : 202);
    if (quantity === 50) continue;
    const supplyOrder = await eventually(async () => {
      const row = await hub.store.orders.package(distributor.id, pkg);
      if (row.supplyOrder === null) throw new Error(row.status);
      return row.supplyOrder;
    });
    supplied.push(supplyOrder);
    const { recipient, lines: of } = await expectReply(owner.get(`/supply-orders/${supplyOrder}`), 200);
    expect(recipient).toEqual(RECIPIENT);
    expect((await expectReply(seller.get(`/orders/${order}`), 200)).recipient).toEqual(RECIPIENT);
    if (quantity === 1) {
      await expectReply(seller.post(`/orders/${order}/recall`), 200);
      continue;
    }
    for (const move of ['pack', 'ready', 'ship', 'complete'])
      await expectReply(
        owner.post(`/supply-orders/${supplyOrder}/${move}`, move === 'ship' ? { trackingNumber: 'T1' } : undefined),
        200,
      );
    const refund = { amount: '1.00', currency: 'MYR' };
    await expectReply(
      owner.post(`/supply-orders/${supplyOrder}/returns`, { lines: [{ line: of[0].line, quantity: 1 }], refund }),
      201,
    );
  }
  const headers = { Authorization: `Bearer ${supplier.key}`, 'Content-Type': 'application/json' };
  const body = JSON.stringify({ supplyOrders: supplied });
  const printed = await fetch(`${api.url}/v1/supply-orders/labels`, { method: 'POST', headers, body });
  expect([printed.status, printed.headers.get('labels-missing')]).toEqual([200, '0']);
  await printed.arrayBuffer();
  const path = `/v1/supplier/distributors/${distributor.partnership}/reconciliation/export?format=csv`;
  const exported = await fetch(api.url + path, { headers });
  expect([exported.status, (await exported.text()).includes('return_refund')]).toEqual([200, true]);
  return supplied;
}

test('a recipient stands nowhere in clear', async () => {
  const supplier = await makeSupplier(hub, { onHand: 10 });
  const distributor = await makeDistributor(hub, supplier);
  const store = await makeStore(hub, distributor.id, 'shopee', ['TEE-1'], { withRule: [distributor.warehouse] });
  const supplied = await aDay(supplier, distributor, store);

  const { db } = hub.store.database.connection;
  await db
    ?.collection<{ _id: string }>('planted')
    .insertOne({ _id: 'control', recipient: JSON.stringify(CONTROL) } as never);
  await hub.client.workflow.start('sweep', {
    workflowId: `planted ${JSON.stringify(CONTROL)}`,
    taskQueue: 'nobody',
    args: [],
  });
  hub.logger.info(`planted ${CONTROL.name}`);

  const database = await dumpDatabase();
  expect(database).toContain(supplied[0]);
  const histories = await eventually(async () => {
    const dump = await dumpHistories();
    // Visibility lags; intakes, pushes, the lanes and the download.
    expect(dump.count).toBeGreaterThanOrEqual(7);
    return dump;
  });
  expect(histories.bytes.includes('binary/encrypted')).toBe(true);
  // What is planted is found: in the answers, in a file of each server, and in the log.
  expect(database).toContain(CONTROL.name);
  expect(lines).toContain(CONTROL.name);
  const files = await eventually(() => {
    const found = filesWith([...Object.values(CONTROL), ...WORDS]);
    for (const word of Object.values(CONTROL)) {
      expect(found[word]?.some((file) => file.includes('temporal'))).toBe(true);
      expect(found[word]?.some((file) => !file.includes('temporal'))).toBe(true);
    }
    return found;
  });
  for (const word of WORDS)
    expect([word, database.includes(word), histories.bytes.includes(word), lines.includes(word), files[word]]).toEqual([
      word,
      false,
      false,
      false,
      [],
    ]);
});
