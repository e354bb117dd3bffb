/** The parts of a hub by their addresses, for processes that share a database and a queue with others: clean workers and children. */
import { readFileSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { startAutomation } from '../../activities/automation';
import { createLogger, type Logger } from '../../config/logger';
import { createConnectors } from '../../connectors';
import { createNotifiers } from '../../connectors/notifications';
import type { Notifiers } from '../../connectors/notifications/port';
import type { Connectors } from '../../connectors/port';
import { connectStore, type Store } from '../../store';
import { createHubWorker, ensureSweepSchedule } from '../../worker/hub-worker';
import { createProcesses, type Processes } from '../../workflows/client';
import { createDataConverter } from '../../workflows/encoding';
import { taskQueueOf } from '../../workflows/ids';
import { type TestEnvironment, testEnvironment } from './environment';
import { FAR_REMINDERS, type Hub, SANDBOX_KEYS, TEST_KEYS } from './hub';

/** Where a hub is; JSON-safe, so that it can be handed to a child. */
export interface HubPlace {
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  readonly mongoUri: string;
  readonly workflowBundlePath: string;
  readonly database: string;
  readonly queuePrefix: string;
  readonly sandboxUrl: string;
  readonly shopee: { readonly partnerId: string; readonly partnerKey: string };
  readonly lazada: { readonly appKey: string; readonly appSecret: string };
  readonly smtp?: { readonly url: string; readonly from: string };
  /** The store's clock is this far behind: leases it takes end so much sooner for others. Milliseconds. */
  readonly clockBehindMs?: number;
  readonly sweepGraceMs?: number;
}

/** Enough tries for every outage that a test makes. */
export const PATIENT = { attempts: 60, firstWaitMs: 50, longestWaitMs: 500 } as const;

export interface Parts {
  readonly store: Store;
  readonly connectors: Connectors;
  readonly notifiers: Notifiers;
  readonly client: Client;
  readonly processes: Processes;
  readonly logger: Logger;
  close(): Promise<void>;
}

/** Processes on the queue of that prefix. */
export function patientProcesses(client: Client, queuePrefix: string, logger: Logger): Processes {
  return createProcesses(
    client,
    {
      taskQueue: taskQueueOf(queuePrefix),
      lanes: { pacingMs: 20, batchesPerPass: 40, ...PATIENT },
      orderPush: { parkedMs: 60_000, ...PATIENT },
      notifications: { tryMs: 5_000, parkedMs: 60_000, ...PATIENT },
      reminders: FAR_REMINDERS,
      recall: { answerMs: 60_000 },
    },
    logger,
  );
}

/** Where a test's hub is, with a queue of its own on it. */
export function placeOf(hub: Hub, queuePrefix: string, more: Partial<HubPlace> = {}): HubPlace {
  return {
    ...(testEnvironment() as TestEnvironment & { workflowBundlePath: string }),
    database: hub.database,
    queuePrefix,
    sandboxUrl: hub.sandbox.url,
    ...SANDBOX_KEYS,
    ...more,
  };
}

/** Connects everything but a worker. */
export async function connectParts(place: HubPlace): Promise<Parts> {
  const logger = createLogger({ level: 'error', format: 'pretty', service: `test child ${process.pid}` });
  const behindMs = place.clockBehindMs ?? 0;
  const store = await connectStore({
    uri: place.mongoUri,
    database: place.database,
    dataKeys: TEST_KEYS,
    monitorCommands: true,
    now: () => new Date(Date.now() - behindMs),
  });
  const connectors = createConnectors(
    {
      shopee: {
        baseUrl: `${place.sandboxUrl}/shopee`,
        partnerId: Number(place.shopee.partnerId),
        partnerKey: place.shopee.partnerKey,
      },
      lazada: {
        baseUrl: `${place.sandboxUrl}/lazada/rest`,
        authBaseUrl: `${place.sandboxUrl}/lazada/rest`,
        ...place.lazada,
      },
    },
    { timeoutMs: 1_000, tries: 2, waitMs: 20, logger },
  );
  const connection = await Connection.connect({ address: place.temporalAddress });
  const client = new Client({
    connection,
    namespace: place.temporalNamespace,
    dataConverter: createDataConverter(TEST_KEYS),
  });
  const processes = patientProcesses(client, place.queuePrefix, logger);
  store.notifications.onDue((due) => processes.deliver(due));
  startAutomation({ store, processes, logger });
  const notifiers = createNotifiers({ smtp: place.smtp, allowPrivateAddresses: true, timeoutMs: 3_000 });
  return {
    store,
    connectors,
    notifiers,
    client,
    processes,
    logger,
    async close() {
      await processes.flush();
      await connection.close();
      await store.database.close();
    },
  };
}

/** A worker over the parts. It runs until `stop`. */
export async function runWorker(place: HubPlace, parts: Omit<Parts, 'close' | 'client'>) {
  const connection = await NativeConnection.connect({ address: place.temporalAddress });
  const worker = await createHubWorker({
    connection,
    namespace: place.temporalNamespace,
    queuePrefix: place.queuePrefix,
    payloadKeys: TEST_KEYS,
    ...parts,
    workflowBundle: { code: readFileSync(place.workflowBundlePath, 'utf8') },
    sweepGraceMs: place.sweepGraceMs ?? 1_000,
    shutdownMs: 2_000,
    limits: { concurrentActivities: 50, concurrentWorkflowTasks: 20, cachedWorkflows: 500 },
  });
  const running = worker.run();
  running.catch(() => {});
  let stopped: Promise<void> | undefined;
  return {
    /** Rejects when the worker gives up by itself. */
    running,
    stop() {
      stopped ??= (async () => {
        if (worker.getState() === 'RUNNING') worker.shutdown();
        await running.catch(() => {});
        await connection.close();
      })();
      return stopped;
    },
  };
}

/** The sweep, every second. @returns what removes it again */
export async function sweepEverySecond(client: Client, queuePrefix: string): Promise<() => Promise<void>> {
  await ensureSweepSchedule(client, { queuePrefix, intervalMs: 1_000 });
  return async () => {
    await client.schedule.getHandle(`${queuePrefix}-sweep`).delete();
  };
}
