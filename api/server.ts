/** The API's process: configuration, logger, store, workflow client and connectors put together; start and end. */
import { createServer, type Server } from 'node:http';
import { Client, Connection } from '@temporalio/client';
import { startAutomation } from '../activities/automation';
import { createLiveRates } from '../activities/rates';
import { loadConfig } from '../config/env';
import { createLogger, type Logger } from '../config/logger';
import { createConnectors, createRates } from '../connectors';
import { connectStore } from '../store';
import { isDatabaseDown } from '../store/database';
import { createProcesses } from '../workflows/client';
import { createDataConverter } from '../workflows/encoding';
import { taskQueueOf } from '../workflows/ids';
import { createApp } from './app';
import { createMetrics, createMetricsApp } from './metrics';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5_000;
/** How long a client may take to send a whole request. */
const REQUEST_MS = 300_000;

/** Waits, or until the process is to end. */
async function pause(ms: number, stopAsked: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([over, stopAsked]);
  clearTimeout(timer);
}

interface Stop {
  readonly asked: Promise<void>;
  isAsked(): boolean;
}

/** Tries until it works, saying each time what is waited for; ends with null when the process is to end. */
async function untilReached<T>(
  what: string,
  logger: Logger,
  stop: Stop,
  isDown: (error: unknown) => boolean,
  connect: () => Promise<T>,
): Promise<T | null> {
  for (let attempt = 1, waitMs = FIRST_WAIT_MS; !stop.isAsked(); attempt += 1) {
    try {
      const reached = await connect();
      if (attempt > 1) logger.info('Neighbour reached', { what, attempt });
      return reached;
    } catch (error) {
      if (!isDown(error)) throw error;
      const reason = error instanceof Error ? error.message : 'unknown';
      logger.warn('Waiting for a neighbour', { what, attempt, waitMs, reason });
      await pause(waitMs, stop.asked);
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    }
  }
  return null;
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Ends when the last request is answered. */
function drained(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}

async function main(): Promise<void> {
  const config = loadConfig();
  const logger = createLogger({ ...config.log, service: 'api' });
  let isStopping = false;
  let wake = () => {};
  const stopAsked = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const stop: Stop = { asked: stopAsked, isAsked: () => isStopping };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (isStopping) return;
      isStopping = true;
      logger.info('Draining', { signal, limitMs: config.shutdownMs });
      // A request or a neighbour that hangs must not hold the process for ever.
      setTimeout(() => {
        logger.warn('Drain limit reached; ended with requests open');
        process.exit(1);
      }, config.shutdownMs).unref();
      wake();
    });

  const store = await untilReached('mongodb', logger, stop, isDatabaseDown, () =>
    connectStore({ ...config.mongo, dataKeys: config.dataKeys }),
  );
  if (store === null) return;

  // Connects when it is first needed: webhooks are taken in while Temporal is still to come.
  const { address, namespace, taskQueuePrefix } = config.temporal;
  const connection = Connection.lazy({ address });
  const client = new Client({ connection, namespace, dataConverter: createDataConverter(config.payloadKeys) });
  const processes = createProcesses(client, { ...config, taskQueue: taskQueueOf(taskQueuePrefix) }, logger);
  store.notifications.onDue((due) => processes.deliver(due));
  startAutomation({ store, processes, logger });

  const metrics = createMetrics(true);
  const connectors = createConnectors(config.platforms, { ...config.platformHttp, logger });
  const provider = createRates(config.rates.url, { ...config.platformHttp, logger });
  const rates = createLiveRates({ store, provider, renewAfterMs: config.rates.renewAfterMs, logger });
  const server = createServer(createApp({ config, store, processes, connectors, rates, logger, metrics }));
  server.requestTimeout = REQUEST_MS;
  const metricsServer = config.api.metricsPort === 0 ? null : createServer(createMetricsApp(metrics));
  if (metricsServer) await listen(metricsServer, config.api.metricsPort, config.api.host);
  await listen(server, config.api.port, config.api.host);
  logger.info('API serves', {
    url: config.api.publicUrl,
    host: config.api.host,
    port: config.api.port,
    metricsPort: config.api.metricsPort,
  });
  void untilReached(
    'temporal',
    logger,
    stop,
    () => true,
    () => processes.ping(),
  );

  await stopAsked;
  await drained(server);
  if (metricsServer) {
    metricsServer.closeAllConnections();
    await drained(metricsServer);
  }
  await processes.flush();
  await connection.close();
  await store.audit.flush();
  await store.database.close();
  logger.info('API ended');
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
