/** Order pushes per second against an empty workflow with one activity, and what one push costs in the server's own counts. */
import { resolve } from 'node:path';
import { NativeConnection, Worker } from '@temporalio/worker';
import { orderPushId } from '../domain/process-ids';
import { testEnvironment } from '../test/support/environment';
import { startHub, TEST_KEYS } from '../test/support/hub';
import {
  type Distributor,
  makeDistributor,
  makeOrder,
  makeSupplier,
  pushEnd,
  type Supplier,
} from '../test/support/scenario';
import { createDataConverter } from '../workflows/encoding';
import { figure, inParallel, median, type Section, seconds } from './report';

const ROUNDS = 4;
const PER_ROUND = 300;
const CLIENTS = 40;
const SUPPLIERS = 4;

export async function orderPushes(): Promise<Section> {
  const hub = await startHub({ pacingMs: 500, monitorCommands: true });
  const { temporalAddress } = testEnvironment();
  const connection = await NativeConnection.connect({ address: temporalAddress });
  const taskQueue = `${hub.queuePrefix}-baseline`;
  const baselineWorker = await Worker.create({
    connection,
    taskQueue,
    workflowsPath: resolve(__dirname, 'baseline-workflows.ts'),
    dataConverter: createDataConverter(TEST_KEYS),
    activities: { async nothing() {} },
    maxConcurrentWorkflowTaskExecutions: 20,
  });
  const running = baselineWorker.run();
  const commands: string[] = [];
  const listen = ({ commandName }: { commandName: string }) => {
    commands.push(commandName);
  };
  try {
    const pairs: { supplier: Supplier; distributor: Distributor }[] = [];
    for (let index = 0; index < SUPPLIERS; index += 1) {
      const supplier = await makeSupplier(hub, { onHand: 1_000_000, price: 10 });
      pairs.push({ supplier, distributor: await makeDistributor(hub, supplier) });
    }
    const rates: { baseline: number; push: number }[] = [];
    let last: { account: string; pkg: string } | undefined;
    for (let round = 0; round <= ROUNDS; round += 1) {
      const baseline = await seconds(() =>
        inParallel([...Array(PER_ROUND).keys()], CLIENTS, (index) =>
          hub.client.workflow.execute('oneActivity', {
            taskQueue,
            workflowId: `baseline/${hub.queuePrefix}/${round}/${index}`,
          }),
        ),
      );
      const packages: { account: string; pkg: string; supplier: string }[] = [];
      await inParallel([...Array(PER_ROUND).keys()], 8, async (index) => {
        const pair = pairs[index % SUPPLIERS];
        const account = pair?.distributor.id ?? '';
        packages.push({
          account,
          supplier: pair?.supplier.id ?? '',
          pkg: await makeOrder(hub, account, [{ sku: 'TEE-1', quantity: 1 }]),
        });
      });
      for (const { account, pkg } of packages) await hub.store.orders.beginPush(account, pkg);
      const push = await seconds(() =>
        inParallel(packages, CLIENTS, async ({ account, pkg, supplier }) => {
          await hub.processes.startOrderPush({ account, package: pkg, attempt: 1, supplier });
          await hub.client.workflow.getHandle(orderPushId(pkg, 1)).result();
        }),
      );
      for (const { account, pkg } of packages.slice(0, 5)) {
        const row = await pushEnd(hub, account, pkg);
        if (row.status !== 'pushed') throw new Error(`a bench push is ${row.status}`);
      }
      // The first round warms caches up.
      if (round > 0) rates.push({ baseline: PER_ROUND / baseline, push: PER_ROUND / push });
      last = packages[0];
    }
    const { events, tasks } = await countHistory(hub, last?.pkg ?? '');
    const databaseOperations = await countOperations();
    const ratios = rates.map(({ baseline, push }) => push / baseline);
    return {
      title: 'Order push',
      how: `${ROUNDS} rounds of ${PER_ROUND} workflows each, in turn; ${CLIENTS} clients wait for each result; ${SUPPLIERS} suppliers. Baseline: an empty workflow with one activity. Medians.`,
      note: 'Where the time goes, on two cores: a push alone, without Temporal, runs at about 120 a second and takes some 9 ms of Node’s CPU for its database commands; through its workflow it takes 25–30 ms of Node’s CPU (client, worker and sandbox share one process here) and some 16 ms of the Temporal server’s, where the empty workflow is bound by the server alone. The lanes that each push wakes run beside it and are in the figure (about a tenth).',
      rows: [
        { what: 'order pushes per second', value: figure(median(rates.map(({ push }) => push))) },
        { what: 'baseline workflows per second', value: figure(median(rates.map(({ baseline }) => baseline))) },
        {
          what: 'ratio, median (least – most)',
          value: `${figure(median(ratios), 2)} (${figure(Math.min(...ratios), 2)} – ${figure(Math.max(...ratios), 2)})`,
          aim: '≥ 0.9',
        },
        { what: 'workflow tasks per push', value: String(tasks), aim: '≤ 2' },
        { what: 'history events per push', value: String(events), aim: '≤ 15' },
        { what: 'database commands in a push’s transaction', value: databaseOperations },
      ],
    };

    /** The commands of one push's transaction, without what its lanes do afterwards. */
    async function countOperations(): Promise<string> {
      const { account, pkg } = await (async () => {
        const { distributor } = pairs[0] ?? {};
        return {
          account: distributor?.id ?? '',
          pkg: await makeOrder(hub, distributor?.id ?? '', [{ sku: 'TEE-1', quantity: 1 }]),
        };
      })();
      await hub.store.orders.beginPush(account, pkg);
      await hub.processes.flush();
      const client = hub.store.database.connection.getClient();
      client.on('commandStarted', listen);
      try {
        await hub.store.orders.push(pkg, 1, pairs[0]?.supplier.id ?? '');
      } finally {
        client.off('commandStarted', listen);
      }
      const reads = commands.filter((name) => ['find', 'aggregate', 'count'].includes(name)).length;
      return `${commands.length} (${reads} reads)`;
    }
  } finally {
    baselineWorker.shutdown();
    await running;
    await connection.close();
    await hub.stop();
  }
}

async function countHistory(
  hub: Awaited<ReturnType<typeof startHub>>,
  pkg: string,
): Promise<{ events: number; tasks: number }> {
  const history = await hub.client.workflow.getHandle(orderPushId(pkg, 1)).fetchHistory();
  const events = history.events ?? [];
  return {
    events: events.length,
    tasks: events.filter((event) => event.workflowTaskCompletedEventAttributes != null).length,
  };
}
