/** A worker over its interfaces. The composition root gives it connections; tests give it theirs. */
import { Context } from '@temporalio/activity';
import { type Client, ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import { type NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { createActivities } from '../activities';
import { type ActivityDeps, noOutboundOrders, type OutboundOrders } from '../activities/deps';
import { createLiveRates } from '../activities/rates';
import { createStoreAccess } from '../activities/tokens';
import type { Logger } from '../config/logger';
import { DEAD_WORKER_MS, ORDER_REFUSED_AFTER_MS, RATES_RENEW_AFTER_MS, SHIPMENT_WAIT_MS } from '../config/timeouts';
import type { Notifiers } from '../connectors/notifications/port';
import type { Connectors } from '../connectors/port';
import type { RateProvider } from '../connectors/rates/port';
import type { Store } from '../store';
import type { Processes } from '../workflows/client';
import { createDataConverter, type PayloadKey } from '../workflows/encoding';
import { processId, taskQueueOf } from '../workflows/ids';

export interface HubWorkerOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly queuePrefix: string;
  readonly payloadKeys: readonly PayloadKey[];
  readonly store: Store;
  readonly processes: Processes;
  readonly connectors: Connectors;
  /** Null where none is configured, or absent. */
  readonly rateProvider?: RateProvider | null;
  readonly ratesRenewAfterMs?: number;
  readonly notifiers: Notifiers;
  /** Warehouses that others run; none where absent. */
  readonly outbound?: OutboundOrders;
  readonly logger: Logger;
  readonly workflowBundle: NonNullable<WorkerOptions['workflowBundle']>;
  readonly sweepGraceMs: number;
  /** See `ActivityDeps.sweep`; ten minutes where absent. */
  readonly auditUnknownAfterMs?: number;
  /** See `ActivityDeps.polls`; nothing is polled where absent. */
  readonly polls?: ActivityDeps['polls'];
  /** See `ActivityDeps.intake`; an hour where absent. */
  readonly intakeRefuseAfterMs?: number;
  /** See `ActivityDeps.shipments`; half a day where absent. */
  readonly shipmentWaitMs?: number;
  readonly shutdownMs: number;
  readonly limits: {
    readonly concurrentActivities: number;
    readonly concurrentWorkflowTasks: number;
    readonly cachedWorkflows: number;
  };
}

/** Makes the worker that serves every process of the hub. The caller runs it. */
export async function createHubWorker(options: HubWorkerOptions): Promise<Worker> {
  const { store, processes, connectors, logger, limits } = options;
  return Worker.create({
    connection: options.connection,
    namespace: options.namespace,
    taskQueue: taskQueueOf(options.queuePrefix),
    workflowBundle: options.workflowBundle,
    dataConverter: createDataConverter(options.payloadKeys),
    activities: createActivities({
      store,
      processes,
      logger,
      access: createStoreAccess({ store, connectors }),
      connectors,
      rates: createLiveRates({
        store,
        provider: options.rateProvider ?? null,
        renewAfterMs: options.ratesRenewAfterMs ?? RATES_RENEW_AFTER_MS,
        logger,
      }),
      notifiers: options.notifiers,
      outbound: options.outbound ?? noOutboundOrders,
      heartbeat: (details) => Context.current().heartbeat(details),
      isCancelled: () => Context.current().cancellationSignal.aborted,
      attempt: () => Context.current().info.attempt,
      lastHeartbeat: () => Context.current().info.heartbeatDetails,
      sweep: {
        graceMs: options.sweepGraceMs,
        ...(options.auditUnknownAfterMs === undefined ? {} : { auditUnknownAfterMs: options.auditUnknownAfterMs }),
      },
      polls: options.polls ?? { intervalMs: 0, overlapMs: 0 },
      shipments: { waitMs: options.shipmentWaitMs ?? SHIPMENT_WAIT_MS },
      intake: { refuseAfterMs: options.intakeRefuseAfterMs ?? ORDER_REFUSED_AFTER_MS },
    }),
    maxConcurrentActivityTaskExecutions: limits.concurrentActivities,
    maxConcurrentLocalActivityExecutions: limits.concurrentActivities,
    maxConcurrentWorkflowTaskExecutions: limits.concurrentWorkflowTasks,
    maxCachedWorkflows: limits.cachedWorkflows,
    stickyQueueScheduleToStartTimeout: DEAD_WORKER_MS,
    shutdownGraceTime: options.shutdownMs / 2,
    shutdownForceTime: options.shutdownMs,
  });
}

/** The schedule of the sweep: never two at once, nothing made up for a time when the hub was down. Safe to repeat. */
export async function ensureSweepSchedule(
  client: Client,
  options: { queuePrefix: string; intervalMs: number },
): Promise<void> {
  const scheduleId = `${options.queuePrefix}-sweep`;
  const spec = { intervals: [{ every: options.intervalMs }] };
  const policies = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' } as const;
  try {
    await client.schedule.create({
      scheduleId,
      spec,
      policies,
      action: {
        type: 'startWorkflow',
        workflowType: 'sweep',
        workflowId: processId('sweep', { hub: options.queuePrefix }),
        taskQueue: taskQueueOf(options.queuePrefix),
        args: [],
      },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule.getHandle(scheduleId).update((schedule) => ({ ...schedule, spec, policies }));
  }
}
