/** A hub in one process for tests: real store, real Temporal, real HTTP to the sandbox; a database and a queue of its own. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, type Worker } from '@temporalio/worker';
import { startAutomation } from '../../activities/automation';
import type { OutboundOrders } from '../../activities/deps';
import { createLogger, type Logger } from '../../config/logger';
import { createConnectors, createRates } from '../../connectors';
import { createNotifiers } from '../../connectors/notifications';
import type { NotifierOptions, Notifiers } from '../../connectors/notifications/port';
import type { Connectors } from '../../connectors/port';
import { createSandboxControl, type SandboxControl } from '../../sandbox/control';
import { type RunningSandbox, startSandbox } from '../../sandbox/marketplaces';
import { connectStore, type Store } from '../../store';
import { createHubWorker } from '../../worker/hub-worker';
import { createProcesses, type Processes, type ProcessSettings } from '../../workflows/client';
import { createDataConverter } from '../../workflows/encoding';
import { taskQueueOf } from '../../workflows/ids';
import { type TestEnvironment, testEnvironment } from './environment';
import { installRuntime } from './temporal-runtime';

export const TEST_KEYS = [{ id: 'test', key: Buffer.alloc(32, 7) }] as const;
export const SANDBOX_KEYS = {
  shopee: { partnerId: '2001887', partnerKey: 'sandbox-partner-key-of-tests' },
  lazada: { appKey: '123456', appSecret: 'sandbox-app-secret-of-tests' },
} as const;

/** Reminders that no test lives to see. */
export const FAR_REMINDERS = { applicationAfterMs: 3_600_000, setupAfterMs: [3_600_000, 7_200_000] };

export interface HubOptions {
  readonly pacingMs?: number;
  readonly lanes?: Partial<ProcessSettings['lanes']>;
  readonly orderPush?: Partial<ProcessSettings['orderPush']>;
  readonly notifications?: Partial<ProcessSettings['notifications']>;
  readonly notifiers?: Partial<NotifierOptions>;
  readonly reminders?: Partial<ProcessSettings['reminders']>;
  readonly recall?: ProcessSettings['recall'];
  /** Nothing is polled where absent. */
  readonly polls?: { readonly intervalMs: number; readonly overlapMs: number };
  readonly outbound?: OutboundOrders;
  readonly sweepGraceMs?: number;
  readonly intakeRefuseAfterMs?: number;
  readonly shipmentWaitMs?: number;
  readonly auditUnknownAfterMs?: number;
  readonly platformTimeoutMs?: number;
  readonly withoutWorker?: boolean;
  readonly cachedWorkflows?: number;
  readonly callbackBaseUrl?: string;
  /** Other engines than those that all tests share. */
  readonly engines?: Pick<TestEnvironment, 'temporalAddress' | 'mongoUri'>;
  /** Emit the driver's command events. */
  readonly monitorCommands?: boolean;
  /** Changes the store before the worker gets it, e.g. to make a step fail. */
  readonly wrapStore?: (store: Store) => Store;
  /** Instead of one that writes errors alone. */
  readonly logger?: Logger;
}

export interface Hub {
  readonly store: Store;
  readonly client: Client;
  readonly processes: Processes;
  readonly connectors: Connectors;
  readonly notifiers: Notifiers;
  readonly sandbox: RunningSandbox;
  readonly control: SandboxControl;
  readonly logger: Logger;
  readonly queuePrefix: string;
  readonly database: string;
  /** Starts a worker (another one, where there is one). @param changed makes its workflows other ones */
  startWorker(changed?: (code: string) => string): Promise<{ stop(): Promise<void> }>;
  stop(): Promise<void>;
}

/** Pushes come again soon. Lazada's own limit is what the bench looks at: here API, worker and sandbox share one process. */
const PUSH_TIMING = {
  // Long enough for a killed API to be followed by another on a slow machine.
  retryMs: [50, 100, 200, 500, 1_000, 2_000, 2_000, ...Array<number>(20).fill(4_000)],
  timeoutMs: { shopee: 3_000, lazada: 3_000 },
};

/** Starts it. Everything is its own but the two engines. */
export async function startHub(options: HubOptions = {}): Promise<Hub> {
  installRuntime();
  const environment = { ...testEnvironment(), ...options.engines };
  const id = randomBytes(6).toString('hex');
  const queuePrefix = `test-${id}`;
  const database = `test_${id}`;
  const logger = options.logger ?? createLogger({ level: 'error', format: 'pretty', service: 'test' });
  const store = await connectStore({
    uri: environment.mongoUri,
    database,
    dataKeys: TEST_KEYS,
    monitorCommands: options.monitorCommands ?? false,
  });
  const sandbox = await startSandbox({
    port: 0,
    ...SANDBOX_KEYS,
    ...(options.callbackBaseUrl === undefined ? {} : { callbackBaseUrl: options.callbackBaseUrl }),
    pushTiming: PUSH_TIMING,
  });
  const connectors = createConnectors(
    {
      shopee: {
        baseUrl: `${sandbox.url}/shopee`,
        partnerId: Number(SANDBOX_KEYS.shopee.partnerId),
        partnerKey: SANDBOX_KEYS.shopee.partnerKey,
      },
      lazada: {
        baseUrl: `${sandbox.url}/lazada/rest`,
        authBaseUrl: `${sandbox.url}/lazada/rest`,
        appKey: SANDBOX_KEYS.lazada.appKey,
        appSecret: SANDBOX_KEYS.lazada.appSecret,
      },
    },
    { timeoutMs: options.platformTimeoutMs ?? 1_000, tries: 2, waitMs: 20, logger },
  );
  const connection = await Connection.connect({ address: environment.temporalAddress });
  const nativeConnection = await NativeConnection.connect({ address: environment.temporalAddress });
  const client = new Client({
    connection,
    namespace: environment.temporalNamespace,
    dataConverter: createDataConverter(TEST_KEYS),
  });
  const processes = createProcesses(
    client,
    {
      taskQueue: taskQueueOf(queuePrefix),
      lanes: {
        pacingMs: options.pacingMs ?? 20,
        batchesPerPass: 40,
        attempts: 3,
        firstWaitMs: 50,
        longestWaitMs: 200,
        ...options.lanes,
      },
      orderPush: { attempts: 3, firstWaitMs: 50, longestWaitMs: 200, parkedMs: 60_000, ...options.orderPush },
      notifications: {
        tryMs: 2_000,
        attempts: 3,
        firstWaitMs: 50,
        longestWaitMs: 200,
        parkedMs: 60_000,
        ...options.notifications,
      },
      reminders: { ...FAR_REMINDERS, ...options.reminders },
      recall: { answerMs: 60_000, ...options.recall },
      ...(options.polls ? { polls: options.polls } : {}),
    },
    logger,
  );
  store.notifications.onDue((due) => processes.deliver(due));
  startAutomation({ store, processes, logger });
  const notifiers = createNotifiers({ allowPrivateAddresses: true, timeoutMs: 1_000, ...options.notifiers });
  const workerStore = options.wrapStore?.(store) ?? store;
  const workers: { stop(): Promise<void> }[] = [];

  async function startWorker(changed: (code: string) => string = (code) => code) {
    const worker: Worker = await createHubWorker({
      connection: nativeConnection,
      namespace: environment.temporalNamespace,
      queuePrefix,
      payloadKeys: TEST_KEYS,
      store: workerStore,
      processes,
      connectors,
      rateProvider: createRates(`${sandbox.url}/rates`, { timeoutMs: 1_000, tries: 1, waitMs: 1, logger }),
      notifiers,
      ...(options.outbound ? { outbound: options.outbound } : {}),
      logger,
      workflowBundle: { code: changed(readFileSync(environment.workflowBundlePath ?? '', 'utf8')) },
      ...(options.polls ? { polls: options.polls } : {}),
      sweepGraceMs: options.sweepGraceMs ?? 500,
      intakeRefuseAfterMs: options.intakeRefuseAfterMs ?? 0,
      ...(options.shipmentWaitMs === undefined ? {} : { shipmentWaitMs: options.shipmentWaitMs }),
      ...(options.auditUnknownAfterMs === undefined ? {} : { auditUnknownAfterMs: options.auditUnknownAfterMs }),
      shutdownMs: 2_000,
      limits: {
        concurrentActivities: 50,
        concurrentWorkflowTasks: 20,
        cachedWorkflows: options.cachedWorkflows ?? 500,
      },
    });
    const running = worker.run();
    let stopped: Promise<void> | undefined;
    const handle = {
      stop: () => {
        stopped ??= (async () => {
          worker.shutdown();
          await running.catch(() => {});
        })();
        return stopped;
      },
    };
    workers.push(handle);
    return handle;
  }

  if (!options.withoutWorker) await startWorker();
  return {
    store,
    client,
    processes,
    connectors,
    notifiers,
    sandbox,
    control: createSandboxControl(sandbox.url),
    logger,
    queuePrefix,
    database,
    startWorker,
    async stop() {
      await processes.flush();
      await Promise.all(workers.map((worker) => worker.stop()));
      await sandbox.close();
      await connection.close();
      await nativeConnection.close();
      await store.database.connection.db?.dropDatabase().catch(() => {});
      await store.database.close();
    },
  };
}

/** Longer than anything takes on the slowest machine: what never comes about is to be told from what is late. */
const PATIENCE_MS = 240_000;

/** Polls until the check holds, less often the longer it takes; its last failure is the test's. Never sleeps for a guess. */
export async function eventually<T>(check: () => Promise<T> | T, patienceMs = PATIENCE_MS): Promise<T> {
  const from = Date.now();
  for (;;) {
    try {
      return await check();
    } catch (error) {
      const tookMs = Date.now() - from;
      if (tookMs > patienceMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(Math.max(tookMs / 20, 25), 500)));
    }
  }
}
