/** The database server and the Temporal server killed under load and started again; the worker lives on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isHubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import { type Engine, type Engines, startEngines } from '../../sandbox/engines';
import { isDatabaseDown } from '../../store/database';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import { PATIENT, sweepEverySecond } from '../support/parts';
import { makeDistributor, makeOrder, makeStore, makeSupplier, push } from '../support/scenario';

const LONG = process.env.LONG === '1';
const ORDERS = 60;
const CLIENTS = 4;
const STOCK = 30;

/** What a client sees of an engine that is away: it says the same again. */
const isOutage = (error: unknown) =>
  isDatabaseDown(error) ||
  (isHubError(error) && error.code === 'unavailable') ||
  /Mongo|ECONNREFUSED|ECONNRESET|interrupted|NoSuchTransaction/i.test(
    `${(error as Error)?.name} ${(error as Error)?.message}`,
  );

async function untilDone<T>(work: () => Promise<T>, withinMs = 120_000): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;)
    try {
      return await work();
    } catch (error) {
      if (!isOutage(error) || Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
}

// A minute of servers that start again: in the long tests alone.
(LONG ? describe : describe.skip)('the servers below killed and started again', () => {
  let folder: string;
  let engines: Engines;
  let hub: Hub;
  let people: Awaited<ReturnType<typeof makePeople>>;

  async function makePeople() {
    const skus = ['TEE-1', 'TEE-2'];
    const supplier = await makeSupplier(hub, { skus, onHand: STOCK });
    const distributors = [await makeDistributor(hub, supplier), await makeDistributor(hub, supplier)];
    for (const [index, { id, warehouse }] of distributors.entries())
      await makeStore(hub, id, index === 0 ? 'shopee' : 'lazada', skus, { withRule: [warehouse] });
    return { supplier, distributors };
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tradelane-chaos-'));
    engines = await startEngines({ dataDir: folder, persistent: false, durable: true, given: {} });
    hub = await startHub({ engines, lanes: PATIENT, orderPush: PATIENT, sweepGraceMs: 1_000 });
    await sweepEverySecond(hub.client, hub.queuePrefix);
    people = await makePeople();
    await expectAllInOrder(hub);
  });
  afterAll(async () => {
    await hub?.stop().catch(() => {});
    await engines?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Orders with their pushes, and changes of stock between them, by several clients at once. */
  function load() {
    const { supplier, distributors } = people;
    let done = 0;
    const packages: { account: string; pkg: string }[] = [];
    const client = async (number: number) => {
      for (let turn = number; turn < ORDERS; turn += CLIENTS) {
        const { id } = distributors[turn % 2] as { id: string };
        const sku = supplier.skus[turn % 3 === 0 ? 1 : 0] as string;
        const number = newId('command');
        const order = [{ sku, quantity: 1 + (turn % 3) }];
        await untilDone(() => makeOrder(hub, id, order, { number })).then((pkg) => packages.push({ account: id, pkg }));
        const { pkg } = packages.at(-1) as { pkg: string };
        await untilDone(() => push(hub, id, pkg));
        const key = newId('command');
        const lanes = await untilDone(() =>
          hub.store.stock.adjust({
            ...{ account: supplier.id, warehouse: supplier.warehouse, sku, key, document: key },
            ...{ kind: 'stockIn' as const, quantity: 1, reason: 'found' },
          }),
        );
        hub.processes.wakeLanes(lanes.lanes);
        done += 1;
      }
    };
    const all = Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(index)));
    all.catch(() => {});
    return {
      all,
      packages,
      reached: (count: number) => eventually(() => expect(done).toBeGreaterThanOrEqual(count)),
    };
  }

  test.each<[string, (engines: Engines) => (Engine | undefined)[]]>([
    ['the database', ({ mongo }) => [mongo]],
    ['Temporal', ({ temporal }) => [temporal]],
    ['both', ({ mongo, temporal }) => [mongo, temporal]],
  ])(
    '%s: everything goes on by itself',
    async (_what, chosen) => {
      const before = await hub.store.database.models.stockJournal.countDocuments({ kind: 'stockIn' });
      const running = load();
      await running.reached(ORDERS / 4);
      const killed = chosen(engines).filter((engine) => engine !== undefined);
      await Promise.all(killed.map((engine) => engine.kill()));
      await Promise.all(killed.map((engine) => engine.start()));
      await running.all;
      await expectAllInOrder(hub);
      expect(running.packages).toHaveLength(ORDERS);
      for (const { account, pkg } of running.packages)
        expect(['pushed', 'push_failed']).toContain((await hub.store.orders.package(account, pkg)).status);
      // What was said again with the same key was done once.
      const after = await hub.store.database.models.stockJournal.countDocuments({ kind: 'stockIn' });
      expect(after - before).toBe(ORDERS);
    },
    400_000,
  );
});
