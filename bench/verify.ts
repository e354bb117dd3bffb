/**
 * Verifications of clean books: their time, their memory, and that they find nothing. Orders are seeded through the
 * repositories, without workflows; what nobody needs here (waking lanes) is left out. Each verification runs in a process of
 * its own, as the command does, after a part of the seeding and after all of it: twice as much should take twice as long,
 * and no more memory.
 */
import { spawn } from 'node:child_process';
import { loadavg } from 'node:os';
import { resolve } from 'node:path';
import { newId } from '../domain/ids';
import { createOrderRepository, type OrderRepository } from '../store/repositories/orders';
import { createReturnRepository, type ReturnRepository } from '../store/repositories/returns';
import { testEnvironment } from '../test/support/environment';
import { type Hub, startHub } from '../test/support/hub';
import { inMemory } from '../test/support/in-memory';
import { type Distributor, makeDistributor, makeSupplier, type Supplier } from '../test/support/scenario';
import { figure, type Section, seconds } from './report';
import type { VerifyFigures } from './verify-books';

/** `VERIFY_ORDERS` takes fewer: for a look. */
const ORDERS = Number(process.env.VERIFY_ORDERS ?? 100_000);
/** Each has a supplier, a distributor and a turn of its own, so that nobody waits for anybody's documents. */
const PAIRS = 12;
/** So many orders are given to the database in one transaction. */
const TOGETHER = 200;
/** What a verification may hold in memory at most. */
const HEAP_MB = 64;

interface Pair {
  readonly supplier: Supplier;
  readonly distributor: Distributor;
}

async function makePairs(hub: Hub): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let index = 0; index < PAIRS; index += 1) {
    const supplier = await makeSupplier(hub, { onHand: 10_000_000, price: 10, fees: { stockOut: 5, logistics: 0 } });
    const distributor = await makeDistributor(hub, supplier, { creditLimit: 1_000_000_000 });
    while ((await hub.store.mirror.pass(distributor.partnership)).more);
    pairs.push({ supplier, distributor });
  }
  return pairs;
}

interface Repositories {
  readonly orders: OrderRepository;
  readonly returns: ReturnRepository;
}

/** The `turn`th order of a pair: a tenth waits, the rest is pushed; of that a third is shipped (and some of it comes back), a tenth recalled. */
async function seedOne(
  { orders, returns }: Repositories,
  { supplier, distributor }: Pair,
  turn: number,
): Promise<void> {
  const taken = await orders.takeIn({
    ...{ account: distributor.id, store: 'api', platform: 'shopee', storeName: 'API', platformOrder: newId('command') },
    ...{ state: 'ready_to_ship', platformState: 'READY', version: 1, placedAt: Date.now(), currency: 'MYR' },
    ...{ shipping: 'platform_logistics', recipient: null },
    lines: [{ line: '1', title: 'TEE-1', quantity: 1 + (turn % 3), listing: null, sku: 'TEE-1' }],
  });
  const [pkg = ''] = taken.packages;
  if (turn % 10 === 2) return;
  await orders.beginPush(distributor.id, pkg);
  const pushed = await orders.push(pkg, 1, supplier.id);
  if (pushed.outcome !== 'pushed') throw new Error(pushed.outcome);
  if (turn % 10 === 1) await orders.recall(distributor.id, pkg, newId('command'), 1_000);
  else if (turn % 3 === 0) {
    for (const move of ['pack', 'ready', 'ship'] as const)
      await orders.moveSupplyOrder(supplier.id, pushed.supplyOrder, move, {
        command: newId('command'),
        ...(move === 'ship' ? { shipment: { carrier: null, trackingNumber: 'T' } } : {}),
      });
    if (turn % 4 === 0)
      await returns.takeIn(supplier.id, pushed.supplyOrder, {
        ...{ command: newId('command'), lines: [{ line: '1', quantity: 1 }], refund: { amount: 10, currency: 'MYR' } },
        ...{ stockIn: true, warehouse: null, note: null },
      });
  }
}

/** Orders `from` to `to`, each pair's in turn: by the repositories in memory, `TOGETHER` given to the database at once. */
async function seed({ store }: Hub, pairs: readonly Pair[], from: number, to: number): Promise<void> {
  const memory = await inMemory(store.database);
  const repositories = {
    orders: createOrderRepository(memory.database),
    returns: createReturnRepository(memory.database),
  };
  for (let index = from; index < to; index += 1) {
    await seedOne(repositories, pairs[index % PAIRS] as Pair, Math.floor(index / PAIRS));
    if (index % TOGETHER === TOGETHER - 1) await memory.give();
  }
  await memory.give();
}

async function verified(hub: Hub): Promise<VerifyFigures> {
  const place = JSON.stringify({ uri: testEnvironment().mongoUri, database: hub.database });
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${HEAP_MB}`, '--import', 'tsx', resolve(__dirname, 'verify-books.ts'), place],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  const code = await new Promise((done) => child.once('close', done));
  if (code !== 0) throw new Error(`the verification ended with ${code}`);
  const figures = JSON.parse(said) as VerifyFigures;
  if (figures.kinds.length > 0) throw new Error(`false alarms: ${JSON.stringify(figures.kinds)}`);
  return figures;
}

/** How many processes wanted to run meanwhile: on a machine that others use too, the times are as much longer. */
const load = () => figure(loadavg()[1] ?? 0);

const takenBy = ({ checks }: VerifyFigures) => checks.reduce((sum, { took }) => sum + took, 0);

export async function verify(): Promise<Section> {
  const hub = await startHub({ withoutWorker: true });
  try {
    const pairs = await makePairs(hub);
    const part = Math.max(PAIRS, Math.floor(ORDERS / 10));
    let seeded = await seconds(() => seed(hub, pairs, 0, part));
    const first = await verified(hub);
    const loads = [load()];
    seeded += await seconds(() => seed(hub, pairs, part, ORDERS));
    loads.push(load());
    const all = await verified(hub);
    loads.push(load());
    const perThousand = (took: number, orders: number) => figure((took / orders) * 1_000, 2);
    const [few, many] = [part, ORDERS].map((count) => count.toLocaleString('en'));
    return {
      title: `Verification of ${many} clean orders`,
      how: `Seeded through the repositories in ${figure(seeded, 0)} s (${figure(ORDERS / seeded, 0)} orders a second; ${PAIRS} suppliers with one distributor each; a tenth waits, a tenth was recalled, a quarter shipped, some of that returned). Then all checks of the whole hub in a process of its own with a heap of at most ${HEAP_MB} MB: at ${few} orders and at ${many}. The load of the machine then, after the seeding and at the end: ${loads.join(', ')}.`,
      rows: [
        ...all.checks.map(({ check, seen, took }, at) => ({
          what: `${check}: ${(first.checks[at]?.seen ?? 0).toLocaleString('en')} / ${seen.toLocaleString('en')} documents`,
          value: `${figure(first.checks[at]?.took ?? 0)} s / ${figure(took)} s`,
        })),
        { what: 'all checks', value: `${figure(takenBy(first))} s / ${figure(takenBy(all))} s` },
        {
          what: 'per 1,000 orders',
          value: `${perThousand(takenBy(first), part)} s / ${perThousand(takenBy(all), ORDERS)} s`,
          aim: 'the same',
        },
        { what: 'false alarms', value: '0 / 0', aim: '0' },
        {
          what: 'most memory of the process',
          value: `${figure(first.mostMb, 0)} MB / ${figure(all.mostMb, 0)} MB`,
          aim: 'the same',
        },
        {
          what: 'memory it took beyond the connected process',
          value: `${figure(first.tookMb, 0)} MB / ${figure(all.tookMb, 0)} MB`,
          aim: 'the same',
        },
      ],
    };
  } finally {
    await hub.stop();
  }
}
