/** The worker's process: connect, serve, drain, close. */
import { constants, setPriority } from 'node:os';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { startAutomation } from '../activities/automation';
import { type Config, loadConfig } from '../config/env';
import { createLogger, type Logger } from '../config/logger';
import { createConnectors, createRates } from '../connectors';
import { createNotifiers } from '../connectors/notifications';
import { connectStore } from '../store';
import { createProcesses } from '../workflows/client';
import { createDataConverter, createPayloadCodec } from '../workflows/encoding';
import { taskQueueOf } from '../workflows/ids';
import { registerSearchAttributes } from '../workflows/search-attributes';
import { bundleWorkflowsApart } from './bundle';
import { startCodecServer } from './codec-server';
import { createHubWorker, ensureSweepSchedule } from './hub-worker';

const RECONNECT_MS = 1_000;

/** Tries until it works: at a start everything may come up at once. */
async function untilReached<T>(
  what: string,
  logger: Logger,
  isStopping: () => boolean,
  connect: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await connect();
    } catch (error) {
      if (isStopping()) throw error;
      logger.warn('waiting for a neighbour', { what, error: error instanceof Error ? error.message : 'unknown' });
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }
}

function installRuntime(config: Config, logger: Logger): void {
  Runtime.install({
    logger: new DefaultLogger('WARN', ({ level, message, meta }) => {
      const { sdkComponent, taskQueue, workflowId, runId, activityType, error } = (meta ?? {}) as Record<
        string,
        unknown
      >;
      const fields = {
        sdkComponent,
        taskQueue,
        workflowId,
        runId,
        activity: activityType,
        error: error instanceof Error ? error.message : undefined,
      };
      if (level === 'ERROR') logger.error(message, fields);
      else logger.warn(message, fields);
    }),
    shutdownSignals: [],
    ...(config.worker.metricsPort > 0
      ? {
          telemetryOptions: {
            metrics: { prometheus: { bindAddress: `${config.api.host}:${config.worker.metricsPort}` } },
          },
        }
      : {}),
  });
}

async function main(): Promise<void> {
  const config = loadConfig();
  // Where API and worker share a machine, answering comes before working off.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const logger = createLogger({ ...config.log, service: 'worker' });
  installRuntime(config, logger);
  let stopping = false;
  let stop = () => {
    stopping = true;
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (!stopping) logger.info('draining', { signal });
      // A stuck activity must not hold the process for ever.
      setTimeout(() => process.exit(1), config.shutdownMs + 2_000).unref();
      stop();
    });
  const isStopping = () => stopping;

  const store = await untilReached('mongodb', logger, isStopping, () =>
    connectStore({ ...config.mongo, dataKeys: config.dataKeys, serverSelectionTimeoutMs: 5_000 }),
  );
  const { address, namespace, taskQueuePrefix } = config.temporal;
  const connection = await untilReached('temporal', logger, isStopping, () => NativeConnection.connect({ address }));
  const clientConnection = await untilReached('temporal', logger, isStopping, () => Connection.connect({ address }));
  // A namespace that manages its own attributes may refuse; they are then the operator's to make, and searching is poorer.
  await registerSearchAttributes(clientConnection, namespace).catch((error: unknown) =>
    logger.warn('search attributes not registered', { error: error instanceof Error ? error.message : 'unknown' }),
  );
  const client = new Client({
    connection: clientConnection,
    namespace,
    dataConverter: createDataConverter(config.payloadKeys),
  });
  const processes = createProcesses(client, { ...config, taskQueue: taskQueueOf(taskQueuePrefix) }, logger);
  store.notifications.onDue((due) => processes.deliver(due));
  startAutomation({ store, processes, logger });
  const worker = await createHubWorker({
    connection,
    namespace,
    queuePrefix: taskQueuePrefix,
    payloadKeys: config.payloadKeys,
    store,
    processes,
    connectors: createConnectors(config.platforms, { ...config.platformHttp, logger }),
    rateProvider: createRates(config.rates.url, { ...config.platformHttp, logger }),
    ratesRenewAfterMs: config.rates.renewAfterMs,
    notifiers: createNotifiers(config.notifications),
    logger,
    workflowBundle: await bundleWorkflowsApart(logger),
    polls: config.polls,
    shipmentWaitMs: config.shipments.waitMs,
    sweepGraceMs: config.sweep.graceMs,
    shutdownMs: config.shutdownMs,
    limits: config.worker,
  });
  await ensureSweepSchedule(client, { queuePrefix: taskQueuePrefix, intervalMs: config.sweep.intervalMs });
  const codec = await startCodecServer(config.codec, createPayloadCodec(config.payloadKeys));
  stop = () => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
    stopping = true;
  };
  logger.info('worker serves', { taskQueue: taskQueueOf(taskQueuePrefix) });
  process.send?.('ready'); // `npm start` waits for it.
  if (!stopping) await worker.run();
  await processes.flush();
  await codec?.close();
  await clientConnection.close();
  await connection.close();
  await store.audit.flush();
  await store.database.close();
  logger.info('worker ended');
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
