/**
 * The stock push at scale: one change to everything, at 500 and at 5,000 SKUs, with one worker and with two; single changes
 * at a steady rate; and what a marketplace that hangs costs the others. API and workers are processes of their own. What it
 * measures it also says on stderr as soon as it knows.
 */
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { storeLaneId } from '../domain/process-ids';
import { freePortNear } from '../sandbox/engines';
import type { ReceivedCall } from '../sandbox/marketplaces/calls';
import { eventually, type Hub, startHub } from '../test/support/hub';
import { type ConnectedStore, makeDistributor, makeRule, makeStore, makeSupplier } from '../test/support/scenario';
import { taskQueueOf } from '../workflows/ids';
import { memoryOf, partEnvironment, startPart } from './parts';
import { figure, inParallel, median, percentile, type Section, seconds } from './report';

const STORES = 10;
const MODELS_PER_ITEM = 50;
/** Stores that are made at once. */
const MADE_AT_ONCE = 3;
/** Changes of everything that are measured, after one that warms up: as many writes in all, whatever the size. */
const roundsOf = (size: number) => Math.max(1, Math.round(5_000 / size));
/** Also at others: `BENCH_SKUS=500`. */
const SIZES = [500, 5_000];
/** For a change of everything; single changes have the default one. Milliseconds. */
const FAST_PACING_MS = 20;
const DEFAULT_PACING_MS = 500;
const LOOK_MS = 100;
const LONGEST_DRAIN_MS = 900_000;
/** Fewer for a look at whether it runs. */
const CHANGES_PER_SECOND = Number(process.env.BENCH_CHANGES_PER_SECOND ?? 50);
const PHASE_SECONDS = Number(process.env.BENCH_PHASE_SECONDS ?? 20);
const PHASES = 2;
/** The SKUs that change at a steady rate: two items of each store. */
const BUSY_SKUS = 100;

interface Shops {
  readonly account: string;
  readonly key: string;
  readonly warehouse: string;
  readonly skus: readonly string[];
  readonly stores: readonly ConnectedStore[];
}

/** Processor time by process, ms. */
type Processor = Readonly<Record<string, number>>;

interface Figures {
  readonly perSecond: number;
  readonly callsPerStore: number;
  readonly writtenAgain: number;
  readonly eventsPerThousand: number;
  readonly load: number;
  /** Per write. */
  readonly processor: Processor;
}

/** A hub whose API and workers are processes of their own. */
interface Parts {
  readonly hub: Hub;
  readonly apiUrl: string;
  readonly api: ChildProcess;
  readonly workers: readonly ChildProcess[];
  addWorker(): Promise<void>;
  stop(): Promise<void>;
}

/** What was measured, at once: a bench that is cut short has said it. */
function say(what: string, values: object): void {
  const rounded = JSON.stringify(values, (_, value) =>
    typeof value === 'number' ? Number(value.toPrecision(4)) : value,
  );
  process.stderr.write(`  ${what}: ${rounded}\n`);
}

/** The most memory that one of these ever had, in MB. */
const mostMemory = (parts: readonly ChildProcess[]) => Math.max(...parts.map((part) => memoryOf(part, 'VmHWM')));

/**
 * Processor time that this process (sandbox and bench) and its children have taken, by their names, ms. Unlike time by the
 * clock it says the same on a busy machine. Linux only; empty elsewhere.
 */
function processorTimes(parts: readonly ChildProcess[]): Map<string, number> {
  const times = new Map<string, number>();
  const names = new Map(parts.map(({ pid, spawnargs }) => [pid, spawnargs.at(-1)?.split('/').at(-2) ?? 'part']));
  try {
    for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
      const pid = Number(name);
      const [, command = '', rest = ''] = /\((.*)\) (.*)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      const fields = rest.split(' ');
      if (pid !== process.pid && Number(fields[1]) !== process.pid) continue;
      const what = pid === process.pid ? 'sandbox and bench' : (names.get(pid) ?? command);
      times.set(what, (times.get(what) ?? 0) + (Number(fields[11]) + Number(fields[12])) * 10);
    }
  } catch {
    // A process ended meanwhile, or there is no /proc.
  }
  return times;
}

/** What each process took meanwhile, divided by what it did. */
function takenSince(before: ReadonlyMap<string, number>, parts: readonly ChildProcess[], done: number): Processor {
  const taken = [...processorTimes(parts)].map(
    ([name, time]) => [name, (time - (before.get(name) ?? 0)) / done] as const,
  );
  return Object.fromEntries(taken.filter(([, time]) => time > 0));
}

const inAll = (processor: Processor): number => Object.values(processor).reduce((sum, one) => sum + one, 0);

async function polledBy({ client, queuePrefix }: Hub, workerCount: number): Promise<void> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    ...{ namespace: client.options.namespace, taskQueue: { name: taskQueueOf(queuePrefix) }, taskQueueType: 2 },
  });
  const there = new Set((pollers ?? []).map(({ identity }) => identity)).size;
  if (there < workerCount) throw new Error(`${there} workers`);
}

async function startParts(pacingMs: number): Promise<Parts> {
  const port = await freePortNear(18_100);
  const apiUrl = `http://127.0.0.1:${port}`;
  const hub = await startHub({ withoutWorker: true, pacingMs, platformTimeoutMs: 10_000 });
  const env = {
    ...partEnvironment(hub, port),
    ...{ PUSH_PACING_MS: String(pacingMs), LANE_LONGEST_WAIT_MS: '2000', RATE_LIMIT_PER_MINUTE: '1000000' },
  };
  const workers: ChildProcess[] = [];
  const addWorker = async () => {
    workers.push(startPart('worker/main.ts', env));
    await eventually(() => polledBy(hub, workers.length), 90_000);
  };
  const api = startPart('api/server.ts', env);
  const stop = async () => {
    const ends = [...workers, api].map((part) => new Promise((end) => part.once('exit', end)));
    for (const part of [...workers, api]) part.kill('SIGTERM');
    await Promise.all(ends);
    await hub.stop();
  };
  await addWorker();
  await eventually(async () => {
    if (!(await fetch(`${apiUrl}/readyz`)).ok) throw new Error('not ready');
  }, 90_000);
  return { hub, apiUrl, api, workers, addWorker, stop };
}

async function makeShops(hub: Hub, count: number): Promise<Shops> {
  const skus = Array.from({ length: count }, (_, index) => `SKU-${index}`);
  const supplier = await makeSupplier(hub, { skus: ['BASE'], onHand: 10 });
  const { id, key } = await makeDistributor(hub, supplier);
  const { models } = hub.store.database;
  const warehouse = (await hub.store.catalogue.addWarehouse(id, { name: 'Own' }))._id;
  const level = { account: id, warehouse, allocated: 0, reserved: 0, inTransit: 0, mirrored: false, followers: 0 };
  await models.skus.collection.insertMany(
    skus.map((sku) => ({
      ...{ _id: `${id}/${sku}`, account: id, sku, name: sku, kind: 'single', components: [], mirror: null },
      ...{ followers: 0, command: null, createdAt: new Date() },
    })) as never,
  );
  await models.stock.collection.insertMany(
    skus.map((sku) => ({ _id: `${warehouse}/${sku}`, sku, ...level, onHand: 10, available: 10 })) as never,
  );
  const stores: ConnectedStore[] = [];
  await inParallel(
    Array.from({ length: STORES }, (_, index) => (index % 2 === 0 ? ('shopee' as const) : ('lazada' as const))),
    MADE_AT_ONCE,
    async (platform) => {
      stores.push(await makeStore(hub, id, platform, skus, { modelsPerItem: MODELS_PER_ITEM }));
    },
  );
  await makeRule(
    hub,
    id,
    [warehouse],
    stores.map((store) => store.id),
  );
  return { account: id, key, warehouse, skus, stores };
}

/**
 * Nothing is due in these lanes. To look costs the embedded engine as much as is due, so the lanes' calls are counted first,
 * where it is known how many there will be.
 */
async function drained({ store: { database }, control }: Hub, lanes: readonly string[], callsFirst = 0): Promise<void> {
  const { dues } = database.models;
  for (const end = Date.now() + LONGEST_DRAIN_MS; ; await wait(LOOK_MS)) {
    if (Date.now() > end) throw new Error('The lanes do not end');
    if (callsFirst > 0 && (await control.calls({ pathContains: 'stock', limit: 0 })).count < callsFirst) continue;
    if ((await dues.findOne({ lane: { $in: [...lanes] }, failed: false }, { _id: 1 })) === null) return;
  }
}

/** Events of the lanes' runs, by run: the latest of each lane, and those that it continues. */
async function lengthsOf(hub: Hub, lanes: readonly string[]): Promise<Map<string, number>> {
  const lengths = new Map<string, number>();
  async function follow(lane: string, runId?: string): Promise<void> {
    const { events = [] } = await hub.client.workflow.getHandle(lane, runId).fetchHistory();
    const started = events?.[0]?.workflowExecutionStartedEventAttributes;
    if (!started?.originalExecutionRunId) return;
    lengths.set(started.originalExecutionRunId, events?.length ?? 0);
    if (started.continuedExecutionRunId) await follow(lane, started.continuedExecutionRunId);
  }
  await Promise.all(lanes.map((lane) => follow(lane).catch(() => {})));
  return lengths;
}

/** Stock calls of one store since a time. */
async function stockCalls(hub: Hub, { platform, shopId }: ConnectedStore, since = 0): Promise<ReceivedCall[]> {
  return (await hub.control.calls({ platform, shopId, pathContains: 'stock', since, limit: 50_000 })).calls;
}

/** One change of everything, marked in one stroke; then the lanes alone are timed. */
async function changeAll(parts: Parts, shops: Shops, quantity: number): Promise<Figures> {
  const { hub } = parts;
  const { account, warehouse, skus, stores } = shops;
  const lanes = stores.map(({ id }) => storeLaneId(id));
  await drained(hub, lanes);
  const levels = { onHand: quantity, available: quantity };
  await hub.store.database.transact(async (session) => {
    await hub.store.database.models.stock.updateMany({ account, warehouse }, { $set: levels }, { session });
  });
  for (let from = 0; from < skus.length; from += 500)
    await hub.store.stock.markChanged(null, account, skus.slice(from, from + 500), `change to ${quantity}`);
  await hub.control.clearCalls();
  const children = [...parts.workers, parts.api];
  const lengths = await lengthsOf(hub, lanes);
  const before = processorTimes(children);
  const took = await seconds(async () => {
    await hub.processes.wakeLanesNow(lanes);
    await drained(hub, lanes, Math.ceil(skus.length / MODELS_PER_ITEM) * lanes.length);
  });
  const load = loadavg()[0] ?? 0;
  const writes = skus.length * stores.length;
  const processor = takenSince(before, children, writes);
  let events = 0;
  for (const [run, length] of await lengthsOf(hub, lanes)) events += length - (lengths.get(run) ?? 0);
  let calls = 0;
  let entries = 0;
  for (const store of stores) {
    const own = await stockCalls(hub, store);
    calls += own.length;
    const written = own.flatMap((call) => call.entries);
    if (written.some((entry) => entry.quantity !== quantity)) throw new Error('a store got another quantity');
    entries += written.length;
  }
  if (entries < writes) throw new Error(`${writes - entries} listings were not written`);
  return {
    perSecond: writes / took,
    callsPerStore: calls / stores.length,
    writtenAgain: entries - writes,
    eventsPerThousand: (events * 1_000) / writes,
    load,
    processor,
  };
}

/** All rounds, which wrote as much each, as one. */
function together(all: readonly Figures[]): Figures {
  const last = all.at(-1);
  if (!last) throw new Error('nothing was measured');
  const mean = (numberOf: (one: Figures) => number) => all.reduce((sum, one) => sum + numberOf(one), 0) / all.length;
  const names = [...new Set(all.flatMap(({ processor }) => Object.keys(processor)))];
  return {
    perSecond: 1 / mean(({ perSecond }) => 1 / perSecond),
    callsPerStore: mean(({ callsPerStore }) => callsPerStore),
    writtenAgain: mean(({ writtenAgain }) => writtenAgain) * all.length,
    eventsPerThousand: mean(({ eventsPerThousand }) => eventsPerThousand),
    load: last.load,
    processor: Object.fromEntries(names.map((name) => [name, mean(({ processor }) => processor[name] ?? 0)])),
  };
}

/** Changes of everything, after one that warms up; then beside another worker, where asked. */
async function at(size: number, withAnother: boolean) {
  const parts = await startParts(FAST_PACING_MS);
  try {
    let shops: Shops | undefined;
    const seeded = await seconds(async () => {
      shops = await makeShops(parts.hub, size);
    });
    if (!shops) throw new Error('nothing to sell');
    say(`${size} SKUs`, { seededInS: seeded });
    let quantity = 100;
    const rounds = async (what: string, count: number) => {
      const all: Figures[] = [];
      for (let round = 0; round <= count; round += 1) {
        quantity += 1;
        const one = await changeAll(parts, shops as Shops, quantity);
        say(`${size} SKUs, ${what}, ${round === 0 ? 'first' : `round ${round}`}`, one);
        if (round > 0) all.push(one);
      }
      return together(all);
    };
    const one = await rounds('one worker', roundsOf(size));
    const memory = { worker: mostMemory(parts.workers), api: mostMemory([parts.api]) };
    say(`${size} SKUs`, { memory });
    if (!withAnother) return { size, one, two: null, memory };
    await parts.addWorker();
    return { size, one, two: await rounds('two workers', 2), memory };
  } finally {
    await parts.stop();
  }
}

/** Counts over HTTP at a steady rate. @returns how long each took from its request to its call at each of the stores, ms */
async function changes(parts: Parts, shops: Shops, watched: readonly ConnectedStore[], first: number) {
  const { hub, apiUrl } = parts;
  const begun: { sku: string; quantity: number; at: number }[] = [];
  const answers: Promise<void>[] = [];
  const from = Date.now();
  for (let index = 0; index < CHANGES_PER_SECOND * PHASE_SECONDS; index += 1) {
    const due = from + (index * 1_000) / CHANGES_PER_SECOND - Date.now();
    if (due > 0) await wait(due);
    // Each quantity is larger than those before: whatever shows at least as much has seen the change.
    const change = { sku: `SKU-${index % BUSY_SKUS}`, quantity: first + index, at: Date.now() };
    begun.push(change);
    answers.push(
      fetch(`${apiUrl}/v1/stock/adjustments`, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${shops.key}`,
          'Content-Type': 'application/json',
          'Idempotency-Key': `bench-${first + index}`,
        },
        body: JSON.stringify({
          ...{ warehouse: shops.warehouse, sku: change.sku, kind: 'count', quantity: change.quantity, reason: 'bench' },
        }),
      }).then(async (response) => {
        const text = await response.text();
        if (!response.ok) throw new Error(`${response.status}: ${text}`);
      }),
    );
  }
  await Promise.all(answers);
  await drained(
    hub,
    watched.map(({ id }) => storeLaneId(id)),
  );
  const rows = await hub.store.database.models.stock.find({ account: shops.account }, { sku: 1, available: 1 }).lean();
  const stored = new Map(rows.map(({ sku, available }) => [sku, available]));
  const samples: number[] = [];
  for (const store of watched) {
    const shop = await hub.control.shop(store.platform, store.shopId);
    const skuOf = new Map(
      shop.items.flatMap(({ itemId, models }) =>
        models.map(({ modelId, sku }) => [`${itemId}/${modelId}`, sku] as const),
      ),
    );
    const shown = new Map<string, { quantity: number; at: number }[]>();
    for (const call of await stockCalls(hub, store, from))
      for (const { itemId, modelId, quantity } of call.entries) {
        const sku = skuOf.get(`${itemId}/${modelId}`) ?? '';
        shown.set(sku, [...(shown.get(sku) ?? []), { quantity, at: call.at }]);
      }
    for (const { sku, quantity, at } of begun) {
      const seen = shown.get(sku)?.find((one) => one.quantity >= quantity);
      if (seen) samples.push(seen.at - at);
      // On a machine that is too slow for the rate, requests overtake each other: an earlier one counted last.
      else if (stored.get(sku) !== shown.get(sku)?.at(-1)?.quantity)
        throw new Error(`${sku} ${quantity} never came to ${store.id}`);
    }
  }
  return samples;
}

/** A steady rate of changes, by turns with every marketplace well and with one that hangs: the other marketplace's stores. */
async function steadily() {
  const parts = await startParts(DEFAULT_PACING_MS);
  const { hub, workers, api } = parts;
  try {
    const shops = await makeShops(hub, BUSY_SKUS);
    const hanging = shops.stores.filter(({ platform }) => platform === 'shopee');
    const others = shops.stores.filter(({ platform }) => platform !== 'shopee');
    const calm: number[] = [];
    const beside: number[] = [];
    let first = 1_000;
    const phase = async (what: string) => {
      const before = processorTimes([...workers, api]);
      const samples = await changes(parts, shops, others, first);
      const count = CHANGES_PER_SECOND * PHASE_SECONDS;
      first += count;
      const p95 = percentile(samples, 0.95);
      const processor = takenSince(before, [...workers, api], count);
      say(what, { p50: median(samples), p95, load: loadavg()[0], processorPerChange: processor });
      return p95;
    };
    await phase('steadily, first');
    for (let round = 0; round < PHASES; round += 1) {
      calm.push(await phase('steadily, all well'));
      await hub.control.addFault('shopee', { kind: 'hang', delayMs: 600_000 });
      beside.push(await phase('steadily, one marketplace hangs'));
      await hub.control.clearFaults('shopee');
      await drained(
        hub,
        hanging.map(({ id }) => storeLaneId(id)),
      );
    }
    return { calm: median(calm), beside: median(beside), load: loadavg()[0] ?? 0 };
  } finally {
    await parts.stop();
  }
}

const processorText = (processor: Processor) =>
  Object.entries(processor)
    .sort(([, one], [, other]) => other - one)
    .map(([name, time]) => `${name} ${figure(time, 2)}`)
    .join(', ');

function rowsOf({ size, one, memory }: Awaited<ReturnType<typeof at>>): Section['rows'] {
  const skus = `${size.toLocaleString('en')} SKUs`;
  return [
    { what: `writes per second, ${skus} (load ${figure(one.load)})`, value: figure(one.perSecond, 0), aim: '≥ 2000' },
    {
      what: `processor time per 1,000 writes, ${skus}`,
      value: `${figure(inAll(one.processor), 2)} s (${processorText(one.processor)})`,
      aim: '≤ 1 s for 2000 a second on 2 cores',
    },
    { what: `calls per store, ${skus}`, value: figure(one.callsPerStore), aim: `${Math.ceil(size / 50)} ± 5 %` },
    { what: `written twice, ${skus}`, value: String(one.writtenAgain), aim: '0' },
    { what: `history events per 1,000 writes, ${skus}`, value: figure(one.eventsPerThousand) },
    { what: `worker, most memory, ${skus}`, value: `${figure(memory.worker, 0)} MB` },
    { what: `API, most memory, ${skus}`, value: `${figure(memory.api, 0)} MB` },
  ];
}

export async function stockPush(): Promise<Section> {
  const sizes = process.env.BENCH_SKUS === undefined ? SIZES : process.env.BENCH_SKUS.split(',').map(Number);
  const figures: Awaited<ReturnType<typeof at>>[] = [];
  for (const [index, size] of sizes.entries()) figures.push(await at(size, index === 0));
  const small = figures[0];
  const large = figures.at(-1);
  if (!small?.two || !large) throw new Error('nothing was measured');
  const { calm, beside, load } = await steadily();
  return {
    title: 'Stock push',
    how: `${sizes.map((size) => size.toLocaleString('en')).join(' and ')} SKUs × ${STORES} stores (half Shopee with ${MODELS_PER_ITEM} models an item, half Lazada) change at once; pacing ${FAST_PACING_MS} ms; after a first change that warms up. Then ${CHANGES_PER_SECOND} changes a second over HTTP of ${BUSY_SKUS} SKUs, from the request to the call at each of the five Lazada stores, in phases of ${PHASE_SECONDS} s, by turns while Shopee answers and while it hangs; pacing ${DEFAULT_PACING_MS} ms. API and worker are processes of their own; the sandbox, the database and Temporal share the machine.`,
    rows: [
      ...figures.flatMap(rowsOf),
      ...(small === large
        ? []
        : [
            {
              what: `cost per write, ${large.size.toLocaleString('en')} SKUs against ${small.size}: by the clock`,
              value: figure(small.one.perSecond / large.one.perSecond, 2),
              aim: '0.80 – 1.20',
            },
            {
              what: 'the same: by processor time',
              value: figure(inAll(large.one.processor) / inAll(small.one.processor), 2),
              aim: '0.80 – 1.20',
            },
          ]),
      { what: `written twice, two workers, ${small.size} SKUs`, value: String(small.two.writtenAgain), aim: '0' },
      {
        what: `writes per second, two workers, ${small.size} SKUs (load ${figure(small.two.load)})`,
        value: figure(small.two.perSecond, 0),
      },
      { what: `change → store, p95 (load ${figure(load)})`, value: `${figure(calm, 0)} ms`, aim: '< 2000 ms' },
      { what: 'the other stores’ p95 while a marketplace hangs', value: `${figure(beside, 0)} ms` },
      { what: 'ratio', value: figure(beside / calm, 2), aim: '< 1.20' },
    ],
  };
}
