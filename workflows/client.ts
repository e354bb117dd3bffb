/** How the outside starts processes and talks to them. The composition roots give it a Temporal client. */
import {
  type Client,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  WithStartWorkflowOperation,
  type WorkflowExecutionDescription,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import type { SignalDefinition } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import pLimit from 'p-limit';
import { CANCELLATION_LOOK_MS } from '../config/timeouts';
import { type FailureCode, HubError } from '../domain/failures';
import type { PartnershipCommand, PartnershipStatus, SetupCommand } from '../domain/partnership';
import type { billingVerification } from './billing-verification';
import type { bulkOperation } from './bulk-operation';
import type { claimLane } from './claim-lane';
import { LONG_HISTORY } from './history';
import {
  billingVerificationId,
  bulkOperationId,
  deliveryProcessId,
  JOIN_OR_START,
  orderCancelId,
  orderPollId,
  orderPushId,
  orderRecallId,
  parseProcessId,
  processId,
  stockPushId,
  supplyOrderProcessId,
} from './ids';
import type { importFile, importUndo } from './import';
import type { listingDownload } from './listing-download';
import * as messages from './messages';
import type { mirrorLane } from './mirror-lane';
import type { notificationDelivery } from './notification-delivery';
import type { orderCancel } from './order-cancel';
import type { orderIntake } from './order-intake';
import type { orderPoll } from './order-poll';
import type { orderPush } from './order-push';
import type { orderRecall } from './order-recall';
import type { partnership } from './partnership';
import type { productPublication } from './product-publication';
import type { RetryBudget } from './proxies';
import type { stockPush } from './stock-push';
import type { storeLane } from './store-lane';
import type { supplierSetup } from './supplier-setup';
import type { supplyOrder } from './supply-order';

const { WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR } = temporal.api.enums.v1.WorkflowTaskFailedCause;
const { TIMEOUT_TYPE_START_TO_CLOSE } = temporal.api.enums.v1.TimeoutType;

/**
 * A lane is told at once, and then at most once per this: a signal costs the server a workflow task, and a burst of
 * changes needs no more of them. Milliseconds. A store's lane, which sends no sooner anyway, at most once per its pace.
 */
const WAKE_PAUSE_MS = 200;
const WAKE_PAUSE_MOST_MS = 1_000;
const POLL_MS = 50;
/** Intakes told at once, and waiting to be: a flood of webhooks must not keep the process from answering the next one. */
const INTAKES_AT_ONCE = 2;
const INTAKES_WAITING = 5_000;
/** Deliveries started at once, and waiting to be: the rest is the sweep's. */
const DELIVERIES_AT_ONCE = 2;
const DELIVERIES_WAITING = 5_000;
/** An update waits for a worker at most this long; the caller is answered 503 then. Milliseconds. */
const UPDATE_MS = 15_000;
const UPDATE_TRIES = 5;
/** Where the ends of a process’s last tasks are looked for: a hundred signals at most come in between. */
const NEWEST_EVENTS = 300;
/** A long history whose task no worker ended in time so often gets nowhere: each of them replays it from its beginning. */
const LATE_TASKS = 3;

export interface ProcessSettings {
  readonly taskQueue: string;
  readonly lanes: { readonly pacingMs: number; readonly batchesPerPass: number } & RetryBudget;
  readonly orderPush: { readonly parkedMs: number } & RetryBudget;
  /** `tryMs`: see `NotificationDeliveryInput`. */
  readonly notifications: { readonly tryMs: number; readonly parkedMs: number } & RetryBudget;
  readonly reminders: {
    /** After an application that nobody decided. Milliseconds. */
    readonly applicationAfterMs: number;
    /** After the activation of a set-up that is not live. Milliseconds, the earliest first. */
    readonly setupAfterMs: readonly number[];
  };
  readonly recall: { readonly answerMs: number };
  /** Where absent, or 0, nothing is polled. */
  readonly polls?: { readonly intervalMs: number };
}

export interface Processes {
  /** Signals lanes (and intakes of orders), starting those that don't run. Gathered and best effort: what fails is the sweep's. */
  wakeLanes(lanes: readonly string[]): void;
  /** The same, waited for. */
  wakeLanesNow(lanes: readonly string[]): Promise<void>;
  /** Starts a lane that does not run; tells a running one nothing. */
  ensureLane(lane: string): Promise<void>;
  /** Tells an order's intake that something came. Best effort: the inbox row is there, the sweep takes it up. */
  takeInOrder(store: string, platformOrder: string): void;
  takeInOrderNow(store: string, platformOrder: string): Promise<void>;
  /** Starts what sends notifications out. Best effort: the deliveries are written, the sweep takes them up. */
  deliver(due: readonly { delivery: string; account: string }[]): void;
  startDelivery(due: { delivery: string; account: string }): Promise<void>;
  /** Makes (or renews) the Schedule that polls a store's orders. */
  startPolling(store: string): Promise<void>;
  /** Removes it. */
  stopPolling(store: string): Promise<void>;
  startOrderPush(input: { account: string; package: string; attempt: number; supplier: string }): Promise<void>;
  /** Ends the workflow of a push that a recall abandoned, where it stands parked. Best effort: it is over in our records. */
  endPush(workflowId: string): void;
  startOrderRecall(input: { account: string; package: string; attempt: number }): Promise<void>;
  /** Hands the supplier's answer to the recall's workflow, starting it where it is missing. Throws the refusal as `HubError`. */
  answerRecall(input: {
    account: string;
    package: string;
    attempt: number;
    answer: 'confirm' | 'refuse';
    command: string;
    reason: string | null;
  }): Promise<'recalled' | 'failed'>;
  startOrderCancel(input: { account: string; order: string; attempt: number }): Promise<void>;
  /** Tells a cancellation's workflow that a recall ended. Best effort: it looks by itself. */
  settleCancellation(workflowId: string): void;
  /** Tells a recall's workflow that it was decided elsewhere. Best effort: its clock ends it otherwise. */
  settleRecall(workflowId: string): void;
  /** Tells the platform of a supply order that its goods left. */
  startSupplyOrder(input: { account: string; package: string }): Promise<void>;
  startPublication(supplier: string, sku: string, attempt: number): Promise<void>;
  startPartnership(id: string): Promise<void>;
  /**
   * Sends a decision to the partnership's workflow, starting it where it is missing. Throws the refusal as `HubError`.
   * Deleting is none: a rejected one has no workflow any more.
   */
  movePartnership(
    id: string,
    command: PartnershipCommand & { move: keyof typeof messages.PARTNERSHIP_UPDATES },
  ): Promise<{
    status: PartnershipStatus;
  }>;
  startSetup(supplier: string): Promise<void>;
  /** The same for a step of a supplier's set-up. */
  completeSetupStep(supplier: string, command: SetupCommand): Promise<{ live: boolean }>;
  startDownload(input: { account: string; store: string; job: string }): Promise<void>;
  /** Starts a download again whose workflow is gone. */
  resumeDownload(account: string, workflowId: string): Promise<void>;
  /** Marks what a Push Now is for, and sees it done. */
  startStockPush(input: { account: string; job: string }): Promise<void>;
  startImport(id: string): Promise<void>;
  startImportUndo(id: string): Promise<void>;
  /** Starts an import or an undo again whose workflow is gone. */
  resumeImport(workflowId: string): Promise<void>;
  /** Works a bulk operation off. */
  startBulk(input: { account: string; bulk: string }): Promise<void>;
  startVerification(input: { verification: string; checks: readonly string[]; repair: boolean }): Promise<void>;
  /** Whether a process runs now. */
  isRunning(workflowId: string): Promise<boolean>;
  /**
   * A process whose history does not replay, or is too long to be replayed within a task here, gets nowhere, whatever it is
   * told: it is ended, so that the caller begins it anew; all that it was about stands in our records.
   * @returns whether it goes on running
   */
  endIfStuck(workflowId: string): Promise<boolean>;
  /** Retry or abandon what is parked. 409 `operation_not_parked`. */
  decide(workflowId: string, decision: 'retry' | 'abandon', by: string): Promise<void>;
  /** @returns true when the process ended or parked in time; one that is not there may have been left to the sweep */
  waitFor(workflowId: string, ms: number): Promise<boolean>;
  ping(): Promise<void>;
  /** Waits until gathered wake-ups are out. */
  flush(): Promise<void>;
}

/** What it needs of a logger. */
interface Warnings {
  warn(message: string, fields?: Record<string, unknown>): void;
}

export function createProcesses(client: Client, settings: ProcessSettings, logger: Warnings): Processes {
  const { taskQueue } = settings;
  const laneBudget: RetryBudget = pickBudget(settings.lanes);
  const pushBudget: RetryBudget = pickBudget(settings.orderPush);
  /** Lanes told a moment ago; true where there was news since. */
  const told = new Map<string, boolean>();
  const underway = new Set<Promise<unknown>>();
  const intakeTurn = pLimit(INTAKES_AT_ONCE);
  const deliveryTurn = pLimit(DELIVERIES_AT_ONCE);

  /** Temporal's own trouble is `unavailable`; refusals pass. */
  async function reach<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof HubError || error instanceof WorkflowUpdateFailedError) throw error;
      if (error instanceof WorkflowNotFoundError) throw error;
      throw new HubError('unavailable', 'The workflow service can not be reached', {
        retryAfterMs: 5_000,
        cause: error,
      });
    }
  }

  /** Its last task failed because its history goes another way than its code, or none of its last ones ended in time. */
  async function isStuck(workflowId: string, { runId, historyLength, raw }: WorkflowExecutionDescription) {
    const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
      namespace: client.options.namespace,
      execution: { workflowId, runId },
      maximumPageSize: NEWEST_EVENTS,
    });
    let late = (raw.pendingWorkflowTask?.attempt ?? 1) - 1;
    for (const event of history?.events ?? []) {
      const failed = event.workflowTaskFailedEventAttributes;
      if (failed) return failed.cause === WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR;
      if (event.workflowTaskCompletedEventAttributes) break;
      // A worker that didn't even take it is none that was late.
      if (event.workflowTaskTimedOutEventAttributes?.timeoutType === TIMEOUT_TYPE_START_TO_CLOSE) late += 1;
    }
    return late >= LATE_TASKS && historyLength >= LONG_HISTORY;
  }

  async function begin(work: () => Promise<unknown>): Promise<void> {
    await reach(work);
  }

  /** What starts a lane, by its id. */
  function laneStart(id: string) {
    const process = parseProcessId(id);
    const common = { workflowId: id, taskQueue, ...JOIN_OR_START };
    if (process?.kind === 'store-lane') {
      const store = process.parts.store ?? '';
      const { pacingMs, batchesPerPass: batches } = settings.lanes;
      const args: Parameters<typeof storeLane> = [{ store, pacingMs, batches, budget: laneBudget }];
      const searchAttributes = { HubStatus: ['running'], HubStore: [store] };
      return {
        type: 'storeLane',
        options: { ...common, args, searchAttributes, staticSummary: 'Sends new quantities to one store' },
      };
    }
    if (process?.kind === 'claim-lane') {
      const supplier = process.parts.supplier ?? '';
      const args: Parameters<typeof claimLane> = [{ supplier }];
      const searchAttributes = { HubStatus: ['running'], HubAccount: [supplier] };
      return {
        type: 'claimLane',
        options: { ...common, args, searchAttributes, staticSummary: 'Settles the claims on one supplier’s products' },
      };
    }
    if (process?.kind !== 'mirror-lane') throw new Error(`${id} is no lane`);
    const partnership = process.parts.partnership ?? '';
    const args: Parameters<typeof mirrorLane> = [{ partnership }];
    const searchAttributes = { HubStatus: ['running'], HubDocument: [partnership] };
    return {
      type: 'mirrorLane',
      options: { ...common, args, searchAttributes, staticSummary: 'Mirrors a supplier’s stock to one distributor' },
    };
  }

  async function wakeLane(id: string): Promise<void> {
    const process = parseProcessId(id);
    if (process?.kind === 'order-intake') {
      const { store = '', platformOrder = '' } = process.parts;
      return takeInOrderNow(store, platformOrder);
    }
    const { type, options } = laneStart(id);
    await client.workflow.signalWithStart(type, { ...options, signal: messages.due });
  }

  async function wakeLanesNow(lanes: readonly string[]): Promise<void> {
    await Promise.all(lanes.map((id) => reach(() => wakeLane(id))));
  }

  function bestEffort(what: string, work: Promise<unknown>): void {
    const settled = work
      .catch((error: unknown) =>
        logger.warn('left to the sweep', { what, error: error instanceof Error ? error.message : 'unknown' }),
      )
      .finally(() => underway.delete(settled));
    underway.add(settled);
  }

  function wakePauseMs(id: string): number {
    if (parseProcessId(id)?.kind !== 'store-lane') return WAKE_PAUSE_MS;
    return Math.min(Math.max(WAKE_PAUSE_MS, settings.lanes.pacingMs), WAKE_PAUSE_MOST_MS);
  }

  function tell(id: string): void {
    told.set(id, false);
    bestEffort(id, wakeLane(id));
    setTimeout(() => {
      if (told.get(id)) tell(id);
      else told.delete(id);
    }, wakePauseMs(id)).unref();
  }

  async function takeInOrderNow(store: string, platformOrder: string): Promise<void> {
    await reach(() =>
      client.workflow.signalWithStart<typeof orderIntake, []>('orderIntake', {
        workflowId: processId('order-intake', { store, platformOrder }),
        taskQueue,
        ...JOIN_OR_START,
        args: [{ store, platformOrder }],
        signal: messages.eventReceived,
        searchAttributes: { HubStatus: ['running'], HubStore: [store], HubDocument: [platformOrder] },
        staticSummary: 'Takes one platform order in',
      }),
    );
  }

  function recallStart(input: { account: string; package: string; attempt: number }) {
    return {
      workflowId: orderRecallId(input.package, input.attempt),
      taskQueue,
      args: [{ package: input.package, attempt: input.attempt, answerMs: settings.recall.answerMs }] as Parameters<
        typeof orderRecall
      >,
      searchAttributes: { HubStatus: ['running'], HubAccount: [input.account], HubDocument: [input.package] },
      staticSummary: 'Takes one package back from its supplier',
      ...JOIN_OR_START,
    };
  }

  /** What runs no more needs no message. */
  async function signal<Given extends string[]>(
    workflowId: string,
    message: SignalDefinition<Given>,
    ...given: Given
  ): Promise<void> {
    try {
      await reach(() => client.workflow.getHandle(workflowId).signal(message, ...given));
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }

  function partnershipStart(id: string) {
    return {
      workflowId: processId('partnership', { partnership: id }),
      taskQueue,
      ...JOIN_OR_START,
      args: [{ partnership: id, remindAfterMs: settings.reminders.applicationAfterMs }] as Parameters<
        typeof partnership
      >,
      searchAttributes: { HubStatus: ['running'], HubDocument: [id] },
      staticSummary: 'One partnership, from application to end',
    };
  }

  function setupStart(supplier: string) {
    return {
      workflowId: processId('supplier-setup', { supplier }),
      taskQueue,
      ...JOIN_OR_START,
      args: [{ supplier, remindAfterMs: settings.reminders.setupAfterMs }] as Parameters<typeof supplierSetup>,
      searchAttributes: { HubStatus: ['running'], HubAccount: [supplier] },
      staticSummary: 'A supplier’s set-up, until it is live',
    };
  }

  /**
   * A process may end, with somebody else's decision, just when an update comes in; that is not taken then, or is lost with the
   * workflow task that was to end it. Said again, it begins a new run, which answers from what is stored.
   */
  async function untilTaken<T>(work: () => Promise<T>): Promise<T> {
    const until = Date.now() + UPDATE_MS;
    for (let tries = 1; ; tries += 1)
      try {
        return await work();
      } catch (error) {
        const isEnding =
          error instanceof WorkflowNotFoundError ||
          (error instanceof HubError &&
            /closing workflow|unexpected workflow task failure/i.test(String((error.extra.cause as Error)?.message)));
        if (!isEnding) throw error;
        if (tries === UPDATE_TRIES || Date.now() > until)
          throw new HubError('unavailable', 'The process is ending; try again', { retryAfterMs: 1_000, cause: error });
      }
  }

  /** An update whose refusal comes as a value, thrown here as what it is. */
  async function answered<T>(update: () => Promise<({ ok: true } & T) | messages.Refusal>): Promise<T> {
    const answer = await untilTaken(() => reach(() => client.withDeadline(Date.now() + UPDATE_MS, update)));
    if (answer.ok) return answer;
    throw new HubError(answer.code as FailureCode, answer.detail, { members: answer.members, errors: answer.errors });
  }

  async function startDownload(input: { account: string; store: string; job: string }): Promise<void> {
    await reach(() =>
      client.workflow.start<typeof listingDownload>('listingDownload', {
        workflowId: processId('listing-download', input),
        taskQueue,
        ...JOIN_OR_START,
        args: [{ account: input.account, store: input.store, job: input.job }],
        searchAttributes: { HubStatus: ['running'], HubAccount: [input.account], HubStore: [input.store] },
        staticSummary: 'Downloads a store’s listings',
      }),
    );
  }

  async function startDelivery({ delivery, account }: { delivery: string; account: string }): Promise<void> {
    const { tryMs, parkedMs } = settings.notifications;
    await begin(() =>
      client.workflow.start<typeof notificationDelivery>('notificationDelivery', {
        workflowId: deliveryProcessId(delivery),
        taskQueue,
        ...JOIN_OR_START,
        args: [{ delivery, tryMs, parkedMs, budget: pickBudget(settings.notifications) }],
        searchAttributes: { HubStatus: ['running'], HubAccount: [account], HubDocument: [delivery] },
        staticSummary: 'Sends one notification by one channel',
      }),
    );
  }

  function importStart(kind: 'import' | 'import-undo', id: string) {
    const args: Parameters<typeof importFile> = [{ import: id, budget: pushBudget }];
    return {
      workflowId: processId(kind, { import: id }),
      taskQueue,
      ...JOIN_OR_START,
      args,
      searchAttributes: { HubStatus: ['running'], HubDocument: [id] },
    };
  }
  const startImport = (id: string) =>
    begin(() =>
      client.workflow.start<typeof importFile>('import', {
        ...importStart('import', id),
        staticSummary: 'Works one imported file off',
      }),
    );
  const startImportUndo = (id: string) =>
    begin(() =>
      client.workflow.start<typeof importUndo>('importUndo', {
        ...importStart('import-undo', id),
        staticSummary: 'Restores what one import overwrote',
      }),
    );

  /** A store's polls: never two at once, spread over the interval, nothing made up for a time when the hub was down. */
  function pollSchedule(shop: string, intervalMs: number) {
    const args: Parameters<typeof orderPoll> = [{ store: shop, budget: laneBudget }];
    return {
      spec: { intervals: [{ every: intervalMs, offset: spread(shop) % intervalMs }] },
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: 60_000 },
      action: {
        type: 'startWorkflow' as const,
        workflowType: 'orderPoll',
        workflowId: orderPollId(shop),
        taskQueue,
        args,
        searchAttributes: { HubStatus: ['running'], HubStore: [shop] },
      },
    };
  }
  const pollScheduleId = (shop: string) => `${taskQueue}/${orderPollId(shop)}`;

  async function stopPolling(shop: string): Promise<void> {
    try {
      await reach(() => client.schedule.getHandle(pollScheduleId(shop)).delete());
    } catch (error) {
      if (!isNoSchedule(error)) throw error;
    }
  }

  async function startPolling(shop: string): Promise<void> {
    const intervalMs = settings.polls?.intervalMs ?? 0;
    if (intervalMs === 0) return stopPolling(shop);
    const { spec, policies, action } = pollSchedule(shop, intervalMs);
    try {
      await client.schedule.create({ scheduleId: pollScheduleId(shop), spec, policies, action });
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) return reach(() => Promise.reject(error));
      const handle = client.schedule.getHandle(pollScheduleId(shop));
      await begin(() => handle.update((there) => ({ ...there, spec, policies, action })));
    }
  }

  return {
    startPolling,
    stopPolling,
    startImport,
    startImportUndo,
    async resumeImport(workflowId) {
      const process = parseProcessId(workflowId);
      const id = process?.parts.import ?? '';
      await (process?.kind === 'import-undo' ? startImportUndo(id) : startImport(id));
    },
    wakeLanes(lanes) {
      for (const id of lanes) {
        if (told.has(id)) told.set(id, true);
        else tell(id);
      }
    },
    wakeLanesNow,
    async ensureLane(id) {
      const { type, options } = laneStart(id);
      await begin(() => client.workflow.start(type, options));
    },
    takeInOrder(store, platformOrder) {
      // The inbox holds it: what does not fit in here is the sweep's.
      if (intakeTurn.pendingCount < INTAKES_WAITING)
        bestEffort('order intake', intakeTurn(takeInOrderNow, store, platformOrder));
    },
    takeInOrderNow,
    startDownload,
    startStockPush: ({ account, job }) =>
      begin(() =>
        client.workflow.start<typeof stockPush>('stockPush', {
          workflowId: stockPushId(job),
          taskQueue,
          ...JOIN_OR_START,
          args: [{ job }],
          searchAttributes: { HubStatus: ['running'], HubAccount: [account], HubDocument: [job] },
          staticSummary: 'Push Now',
        }),
      ),
    deliver(due) {
      for (const one of due)
        if (deliveryTurn.pendingCount < DELIVERIES_WAITING)
          bestEffort('notification delivery', deliveryTurn(startDelivery, one));
    },
    startDelivery,

    startOrderPush: (input) =>
      begin(() =>
        client.workflow.start<typeof orderPush>('orderPush', {
          workflowId: orderPushId(input.package, input.attempt),
          taskQueue,
          ...JOIN_OR_START,
          args: [
            {
              package: input.package,
              attempt: input.attempt,
              supplier: input.supplier,
              budget: pushBudget,
              parkedMs: settings.orderPush.parkedMs,
            },
          ],
          searchAttributes: {
            HubStatus: ['running'],
            HubAccount: [input.account],
            HubDocument: [input.package],
            HubPartner: [input.supplier],
          },
          staticSummary: 'Pushes one package to its supplier',
        }),
      ),

    endPush: (workflowId) => bestEffort('end of a push', signal(workflowId, messages.abandonRequested, 'recall')),

    startOrderRecall: (input) =>
      begin(() => client.workflow.start<typeof orderRecall>('orderRecall', recallStart(input))),

    async answerRecall({ answer, command, reason, ...recall }) {
      const { outcome } = await answered(() =>
        client.workflow.executeUpdateWithStart(answer === 'confirm' ? messages.confirm : messages.refuse, {
          // Anew for each try: one such start is carried out once.
          startWorkflowOperation: new WithStartWorkflowOperation<typeof orderRecall>(
            'orderRecall',
            recallStart(recall),
          ),
          updateId: command,
          args: [{ command, reason }],
        }),
      );
      return outcome;
    },

    startOrderCancel: ({ account, order, attempt }) =>
      begin(() =>
        client.workflow.start<typeof orderCancel>('orderCancel', {
          workflowId: orderCancelId(order, attempt),
          taskQueue,
          ...JOIN_OR_START,
          args: [
            {
              order,
              attempt,
              budget: pushBudget,
              parkedMs: settings.orderPush.parkedMs,
              lookMs: CANCELLATION_LOOK_MS,
            },
          ],
          searchAttributes: { HubStatus: ['running'], HubAccount: [account], HubDocument: [order] },
          staticSummary: 'Cancels one order',
        }),
      ),
    settleCancellation: (workflowId) =>
      bestEffort('end of a cancellation’s recall', signal(workflowId, messages.settled)),

    settleRecall: (workflowId) => bestEffort('end of a recall', signal(workflowId, messages.settled)),

    startSupplyOrder: ({ account, package: pkg }) =>
      begin(() =>
        client.workflow.start<typeof supplyOrder>('supplyOrder', {
          workflowId: supplyOrderProcessId(pkg),
          taskQueue,
          ...JOIN_OR_START,
          // As patient as a push: both wait for what is down, and then for an operator.
          args: [{ package: pkg, budget: pushBudget, parkedMs: settings.orderPush.parkedMs }],
          searchAttributes: { HubStatus: ['running'], HubAccount: [account], HubDocument: [pkg] },
          staticSummary: 'Tells the platform that a package left',
        }),
      ),

    startPublication: (supplier, sku, attempt) =>
      begin(() =>
        client.workflow.start<typeof productPublication>('productPublication', {
          workflowId: processId('publication', { supplier, sku, attempt: String(attempt) }),
          taskQueue,
          ...JOIN_OR_START,
          args: [{ supplier, sku, attempt }],
          searchAttributes: { HubStatus: ['running'], HubAccount: [supplier], HubDocument: [sku] },
          staticSummary: 'Publishes one distribution product',
        }),
      ),

    startPartnership: (id) =>
      begin(() => client.workflow.start<typeof partnership>('partnership', partnershipStart(id))),

    movePartnership: (id, command) =>
      answered(() =>
        client.workflow.executeUpdateWithStart(messages.PARTNERSHIP_UPDATES[command.move], {
          startWorkflowOperation: new WithStartWorkflowOperation<typeof partnership>(
            'partnership',
            partnershipStart(id),
          ),
          updateId: command.command,
          args: [command],
        }),
      ),

    startSetup: (supplier) =>
      begin(() => client.workflow.start<typeof supplierSetup>('supplierSetup', setupStart(supplier))),

    completeSetupStep: (supplier, command) =>
      answered(() =>
        client.workflow.executeUpdateWithStart(messages.completeStep, {
          startWorkflowOperation: new WithStartWorkflowOperation<typeof supplierSetup>(
            'supplierSetup',
            setupStart(supplier),
          ),
          args: [command],
        }),
      ),

    startBulk: ({ account, bulk }) =>
      begin(() =>
        client.workflow.start<typeof bulkOperation>('bulkOperation', {
          workflowId: bulkOperationId(bulk),
          taskQueue,
          ...JOIN_OR_START,
          args: [{ bulk, pauseMs: pushBudget.firstWaitMs, longestPauseMs: pushBudget.longestWaitMs }],
          searchAttributes: { HubStatus: ['running'], HubAccount: [account], HubDocument: [bulk] },
          staticSummary: 'Does one thing to many objects',
        }),
      ),

    async resumeDownload(account, workflowId) {
      const { store = '', job = '' } = parseProcessId(workflowId)?.parts ?? {};
      await startDownload({ account, store, job });
    },

    startVerification: (input) =>
      begin(() =>
        client.workflow.start<typeof billingVerification>('billingVerification', {
          workflowId: billingVerificationId(input.verification),
          taskQueue,
          ...JOIN_OR_START,
          args: [{ ...input, budget: pushBudget }],
          searchAttributes: { HubStatus: ['running'], HubDocument: [input.verification] },
          staticSummary: 'Proves the books',
        }),
      ),

    async isRunning(workflowId) {
      const found = await reach(() => client.workflow.getHandle(workflowId).describe()).catch(ifAbsent);
      return found?.status.name === 'RUNNING';
    },

    async endIfStuck(workflowId) {
      const found = await reach(() => client.workflow.getHandle(workflowId).describe()).catch(ifAbsent);
      if (found?.status.name !== 'RUNNING') return false;
      // What waits for nothing but messages and timers has no task.
      if (!found.raw.pendingWorkflowTask || !(await reach(() => isStuck(workflowId, found)))) return true;
      const { runId } = found;
      logger.warn('a history does not replay, or not in time: its process begins anew', { workflowId, runId });
      await reach(() =>
        client.workflow.getHandle(workflowId, runId).terminate('Its history does not replay, or not in time'),
      ).catch(ifAbsent);
      return false;
    },

    async decide(workflowId, decision, by) {
      const definition = decision === 'retry' ? messages.retry : messages.abandon;
      try {
        await reach(() =>
          client.withDeadline(Date.now() + UPDATE_MS, () =>
            client.workflow.getHandle(workflowId).executeUpdate(definition, { args: [by] }),
          ),
        );
      } catch (error) {
        if (error instanceof WorkflowUpdateFailedError || error instanceof WorkflowNotFoundError)
          throw new HubError('operation_not_parked', 'It is not waiting for a decision, or somebody decided just now', {
            cause: error,
          });
        throw error;
      }
    },

    async waitFor(workflowId, ms) {
      const handle = client.workflow.getHandle(workflowId);
      for (let end = Date.now() + ms, pause = POLL_MS / 2; ; pause = Math.min(pause * 2, POLL_MS * 5)) {
        const found = await reach(() => handle.describe()).catch(ifAbsent);
        if (found && (found.status.name !== 'RUNNING' || found.searchAttributes?.HubStatus?.[0] === 'parked'))
          return true;
        const left = end - Date.now();
        if (left <= 0) return false;
        await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)));
      }
    },

    async ping() {
      await reach(() => client.connection.ensureConnected());
      await reach(() => client.workflowService.getSystemInfo({}));
    },

    async flush() {
      while (underway.size > 0 || [...told.values()].some(Boolean))
        await Promise.all([...underway, new Promise((resolve) => setTimeout(resolve, POLL_MS))]);
    },
  };
}

function ifAbsent(error: unknown): null {
  if (error instanceof WorkflowNotFoundError) return null;
  throw error;
}

/** A number that a text always gives: what begins by it is spread evenly. */
function spread(text: string): number {
  let sum = 0;
  for (const letter of text) sum = (Math.imul(sum, 31) + (letter.codePointAt(0) ?? 0)) >>> 0;
  return sum;
}

/** Also where it came wrapped as `unavailable`. */
function isNoSchedule(error: unknown): boolean {
  return (
    error instanceof ScheduleNotFoundError || (error as { cause?: unknown }).cause instanceof ScheduleNotFoundError
  );
}

function pickBudget({ attempts, firstWaitMs, longestWaitMs }: RetryBudget): RetryBudget {
  return { attempts, firstWaitMs, longestWaitMs };
}
