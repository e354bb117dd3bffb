/** The real workflows against typed fake activities, on the shared server, on a queue of their own. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { Activities } from '../../activities';
import { createDataConverter } from '../../workflows/encoding';
import { taskQueueOf } from '../../workflows/ids';
import { testEnvironment } from '../support/environment';
import { TEST_KEYS } from '../support/hub';
import { installRuntime } from '../support/temporal-runtime';

export type FakeActivities = Partial<Activities>;

export interface Stage {
  readonly client: Client;
  readonly taskQueue: string;
  /** A name no other test has. */
  id(prefix: string): string;
  /** Runs `work` with these activities. One after the other: the stage has one worker. */
  run<T>(activities: FakeActivities, work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** All activities by name; the compiler sees to it that none is missing. */
const NAMES: { readonly [Name in keyof Activities]: true } = {
  abandonDelivery: true,
  advanceCancellation: true,
  giveUpCancellation: true,
  parkCancellation: true,
  resumeCancellation: true,
  tellCancellation: true,
  advanceRecall: true,
  answerRecall: true,
  bulkStep: true,
  stopBulk: true,
  cancelOutbound: true,
  giveUpShipment: true,
  parkShipment: true,
  resumeShipment: true,
  tellShipment: true,
  abandonLane: true,
  abandonOrderPush: true,
  createOutbound: true,
  settleOutbound: true,
  settleWithdrawal: true,
  withdrawOutbound: true,
  completeSetupStep: true,
  applyImport: true,
  downloadListings: true,
  markStockPush: true,
  watchStockPush: true,
  failDownload: true,
  failOrderPoll: true,
  mirrorDue: true,
  parkDelivery: true,
  movePartnership: true,
  partnershipState: true,
  parkImport: true,
  parkLane: true,
  parkOrderPush: true,
  pollOrders: true,
  publishProduct: true,
  settleClaims: true,
  pushOrder: true,
  recordDecision: true,
  resumeDelivery: true,
  remindOfApplication: true,
  remindOfSetup: true,
  readImport: true,
  resumeImport: true,
  resumeLane: true,
  resumeOrderPush: true,
  sendDelivery: true,
  sendDue: true,
  setupState: true,
  stopImport: true,
  stopImportUndo: true,
  endVerification: true,
  parkVerification: true,
  planVerification: true,
  repairVerification: true,
  resumeVerification: true,
  runVerificationCheck: true,
  sweepOnce: true,
  takeInOrder: true,
  undoImport: true,
};

/** Connects, and serves a queue of its own. With a cache of 0, each task of a workflow replays it from its start. */
export async function openStage(options: { cachedWorkflows?: number } = {}): Promise<Stage> {
  installRuntime();
  const environment = testEnvironment();
  const connection = await Connection.connect({ address: environment.temporalAddress });
  const nativeConnection = await NativeConnection.connect({ address: environment.temporalAddress });
  const namespace = environment.temporalNamespace;
  const client = new Client({ connection, namespace, dataConverter: createDataConverter(TEST_KEYS) });
  const taskQueue = taskQueueOf(`test-${randomBytes(6).toString('hex')}`);
  let current: FakeActivities = {};
  const activities = Object.fromEntries(
    Object.keys(NAMES).map((name) => [
      name,
      (input: unknown) => {
        const fake = current[name as keyof Activities] as ((input: unknown) => unknown) | undefined;
        if (!fake && name === 'recordDecision') return undefined;
        if (!fake) throw ApplicationFailure.nonRetryable(`the test has no ${name}`);
        return fake(input);
      },
    ]),
  );
  const worker = await Worker.create({
    connection: nativeConnection,
    namespace,
    taskQueue,
    activities,
    workflowBundle: { code: readFileSync(environment.workflowBundlePath ?? '', 'utf8') },
    dataConverter: createDataConverter(TEST_KEYS),
    maxCachedWorkflows: options.cachedWorkflows ?? 100,
    shutdownForceTime: 2_000,
    ...(options.cachedWorkflows === 0 ? { maxConcurrentWorkflowTaskExecutions: 2 } : {}),
  });
  const running = worker.run();
  return {
    client,
    taskQueue,
    id: (prefix) => `${prefix}/${randomBytes(6).toString('hex')}`,
    async run(fakes, work) {
      current = fakes;
      return work();
    },
    async close() {
      worker.shutdown();
      // A local activity that is still under way makes the SDK complain at the very end; the tests are over by then.
      await running.catch(() => {});
      await connection.close();
      await nativeConnection.close();
    },
  };
}

/** A failure as the real activities throw it: retryable, with a code of the catalogue. */
export const unavailable = (message = 'MongoDB is away') =>
  ApplicationFailure.create({ type: 'unavailable', message, nonRetryable: false });

export type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;

export interface Cost {
  readonly tasks: number;
  readonly events: number;
}

/** What a run cost the server. */
export async function costOf(handle: WorkflowHandle): Promise<Cost> {
  const { events } = await handle.fetchHistory();
  return {
    tasks: (events ?? []).filter((event) => event.workflowTaskStartedEventAttributes).length,
    events: events?.length ?? 0,
  };
}

/** The history as it lies at the server, as bytes. */
export async function rawHistory(client: Client, workflowId: string, runId = ''): Promise<Buffer> {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
  });
  return Buffer.from(temporal.api.history.v1.History.encode(history ?? {}).finish());
}

/** What the server shows operators: search attribute and current details. */
export async function shownOf(handle: WorkflowHandle): Promise<{ status: unknown; hubStatus: unknown }> {
  const { status, searchAttributes } = await handle.describe();
  return { status: status.name, hubStatus: searchAttributes?.HubStatus?.[0] };
}

/** The line for operators, as the Temporal UI asks for it. */
export async function detailsOf(handle: WorkflowHandle): Promise<string> {
  const metadata = (await handle.query('__temporal_workflow_metadata')) as { currentDetails?: string };
  return metadata.currentDetails ?? '';
}
