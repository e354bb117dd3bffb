/**
 * Records one history per workflow and interesting path into test/replay/histories, with the payload key of the tests.
 * Run by hand when a workflow or a path is added: `node --import tsx test/replay/record.ts [part of a name]`. Histories of
 * before stay: they are what a change must go on replaying.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import type { BulkStep } from '../../activities/bulk';
import type { ImportStep } from '../../activities/imports';
import type { CancellationDirection } from '../../activities/order-cancel';
import type { OrderPollResult } from '../../activities/order-poll';
import type { OutboundResult } from '../../activities/order-push';
import type { RecallDirection } from '../../activities/order-recall';
import type { LanePass } from '../../activities/store-lane';
import type { CancellationEnd } from '../../domain/cancellations';
import type { PartnershipCommand } from '../../domain/partnership';
import {
  claimLaneId,
  deliveryProcessId,
  mirrorLaneId,
  orderCancelId,
  orderPollId,
  orderPushId,
  orderRecallId,
  processId,
  storeLaneId,
  supplyOrderProcessId,
} from '../../domain/process-ids';
import type { DecisionAnswer } from '../../workflows/messages';
import * as messages from '../../workflows/messages';
import globalSetup, { endTestRun } from '../support/global-setup';
import { eventually } from '../support/hub';
import { type FakeActivities, openStage, type Stage, shownOf, unavailable } from '../workflows/fake';

const HISTORIES = join(__dirname, 'histories');

const budget = { attempts: 2, firstWaitMs: 10, longestWaitMs: 20 };
const attributes = { HubStatus: ['running'] };

/** Answers one after the other, the last for ever. A function may throw. */
function inTurn<T>(...answers: (() => T)[]): () => Promise<T> {
  let turn = 0;
  return async () => {
    const answer = answers[Math.min(turn, answers.length - 1)];
    turn += 1;
    if (!answer) throw new Error('no answer');
    return answer();
  };
}
const fail = (): never => {
  throw unavailable();
};
const isParked = (handle: WorkflowHandle) =>
  eventually(async () => {
    if ((await shownOf(handle)).hubStatus !== 'parked') throw new Error('not parked');
  });

type Path = (stage: Stage) => Promise<WorkflowHandle>;

/** The paths of an order push: what the transaction does, and what the operator then does. */
function orderPushPath(
  pushOrder: () => Promise<'pushed' | 'refused' | 'superseded' | 'outbound'>,
  then: (handle: WorkflowHandle) => Promise<unknown> = async () => {},
  parkedMs = 60_000,
  outside: FakeActivities = {},
): Path {
  return (stage) => {
    const fakes: FakeActivities = {
      pushOrder,
      parkOrderPush: async () => true,
      resumeOrderPush: async () => {},
      abandonOrderPush: async () => ({ pushed: false }),
      ...outside,
    };
    return stage.run(fakes, async () => {
      const pkg = stage.id('pkg');
      const handle = await stage.client.workflow.start('orderPush', {
        workflowId: orderPushId(pkg, 1),
        taskQueue: stage.taskQueue,
        args: [{ package: pkg, attempt: 1, supplier: 'acct_1', budget, parkedMs }],
        searchAttributes: attributes,
      });
      await then(handle);
      await handle.result();
      return handle;
    });
  };
}

/** The paths of a delivery: how its tries end, and what the operator then does. */
function deliveryPath(
  sendDelivery: () => Promise<'sent' | 'failed'>,
  then: (handle: WorkflowHandle) => Promise<unknown> = async () => {},
  options: { parkedMs?: number; overBefore?: boolean } = {},
): Path {
  return simplePath(
    'notificationDelivery',
    (stage) => deliveryProcessId(stage.id('dlv')),
    { delivery: 'dlv_1', budget, tryMs: 5_000, parkedMs: options.parkedMs ?? 60_000 },
    {
      sendDelivery,
      parkDelivery: async () => ({ parked: !options.overBefore }),
      resumeDelivery: async () => {},
      abandonDelivery: async () => {},
    },
    { meanwhile: then },
  );
}
/** The paths of a recall: what our documents say, and who then decides. */
function orderRecallPath(
  directions: readonly (() => RecallDirection)[],
  then: (handle: WorkflowHandle) => Promise<unknown> = async () => {},
  outcome: 'recalled' | 'failed' = 'recalled',
): Path {
  return (stage) => {
    const fakes: FakeActivities = {
      advanceRecall: inTurn(...directions),
      answerRecall: async () => ({ ok: true, outcome }),
      cancelOutbound: inTurn<{ cancelled: true }>(fail, () => ({ cancelled: true })),
    };
    return stage.run(fakes, async () => {
      const pkg = stage.id('pkg');
      const handle = await stage.client.workflow.start('orderRecall', {
        workflowId: orderRecallId(pkg, 1),
        taskQueue: stage.taskQueue,
        args: [{ package: pkg, attempt: 1, answerMs: 60_000 }],
        searchAttributes: attributes,
      });
      await then(handle);
      await handle.result();
      return handle;
    });
  };
}
/** The paths of a cancellation: whom it waits for, what telling the platform does, and what the operator then does. */
function orderCancelPath(
  directions: readonly (() => CancellationDirection)[],
  tellCancellation: () => Promise<CancellationEnd>,
  then: (handle: WorkflowHandle) => Promise<unknown> = async () => {},
  parkedMs = 60_000,
): Path {
  const nothing = async () => {};
  return simplePath(
    'orderCancel',
    (stage) => orderCancelId(stage.id('ord'), 1),
    { order: 'ord_1', attempt: 1, budget, parkedMs, lookMs: 60_000 },
    {
      advanceCancellation: inTurn(...directions),
      tellCancellation,
      parkCancellation: nothing,
      resumeCancellation: nothing,
      giveUpCancellation: nothing,
    },
    { meanwhile: then },
  );
}
/** The paths of a supply order's workflow: what telling the platform does, and what the operator then does. */
function supplyOrderPath(
  tellShipment: () => Promise<'told' | 'waiting'>,
  then: (handle: WorkflowHandle) => Promise<unknown> = async () => {},
  parkedMs = 60_000,
): Path {
  return (stage) => {
    const nothing = async () => {};
    const fakes: FakeActivities = {
      tellShipment,
      parkShipment: nothing,
      resumeShipment: nothing,
      giveUpShipment: nothing,
    };
    return stage.run(fakes, async () => {
      const pkg = stage.id('pkg');
      const handle = await stage.client.workflow.start('supplyOrder', {
        workflowId: supplyOrderProcessId(pkg),
        taskQueue: stage.taskQueue,
        args: [{ package: pkg, budget, parkedMs }],
        searchAttributes: attributes,
      });
      await then(handle);
      await handle.result();
      return handle;
    });
  };
}
const recallEnds = (outcome: 'recalled' | 'failed') => (): RecallDirection => ({ next: 'end', outcome });
const supplierIsAsked = (waitMs: number) => (): RecallDirection => ({ next: 'answer', waitMs });
const answerBy = (what: 'confirm' | 'refuse') => async (handle: WorkflowHandle) => {
  await handle.executeUpdate(what, { args: [{ command: 'cmd_1', reason: null }] });
};

function storeLanePath(
  sendDue: () => Promise<LanePass>,
  then: (handle: WorkflowHandle) => Promise<unknown> = async () => {},
  carried?: unknown,
): Path {
  return (stage) => {
    const fakes: FakeActivities = {
      sendDue,
      parkLane: async () => {},
      resumeLane: async () => {},
      abandonLane: async () => {},
    };
    return stage.run(fakes, async () => {
      const store = stage.id('store');
      const handle = await stage.client.workflow.signalWithStart('storeLane', {
        workflowId: storeLaneId(store),
        taskQueue: stage.taskQueue,
        args: [{ store, pacingMs: 10, batches: 5, budget, carried }],
        signal: messages.due,
        searchAttributes: { ...attributes, HubStore: [store] },
      });
      await then(handle);
      // It ends by itself when it has lingered.
      await handle.result();
      return handle;
    });
  };
}

function simplePath(
  type: string,
  id: (stage: Stage) => string,
  input: unknown,
  fakes: FakeActivities,
  options: { signal?: boolean; meanwhile?: (handle: WorkflowHandle) => Promise<unknown>; ends?: boolean } = {},
): Path {
  return (stage) =>
    stage.run(fakes, async () => {
      const common = {
        workflowId: id(stage),
        taskQueue: stage.taskQueue,
        args: input === undefined ? [] : [input],
        searchAttributes: attributes,
      };
      const handle = options.signal
        ? await stage.client.workflow.signalWithStart(type, {
            ...common,
            signal: type === 'orderIntake' ? messages.eventReceived : messages.due,
          })
        : await stage.client.workflow.start(type, common);
      await options.meanwhile?.(handle);
      if (options.ends ?? true) await handle.result().catch(() => {});
      return handle;
    });
}

const importStep = (isMore: boolean): ImportStep => ({
  more: isMore,
  progress: { done: 1, failed: 0, total: isMore ? 2 : 1 },
});
const more = (): LanePass => ({ end: 'more', lastBatchAt: 1 });
const drained = (): LanePass => ({ end: 'drained', lastBatchAt: 2 });
const failures = [fail, fail, fail, fail];
const decideBy = (name: 'retry' | 'abandon', how: 'update' | 'signal') => async (handle: WorkflowHandle) => {
  await isParked(handle);
  if (how === 'signal') await handle.signal(name, 'operator');
  else await handle.executeUpdate(name, { args: ['operator'] });
};
const approval: PartnershipCommand = {
  move: 'approve',
  party: 'acct_1',
  command: 'cmd_1',
  approval: {
    customer: { name: 'Customer' },
    settlementCurrency: 'MYR',
    level: null,
    warehouses: ['wh_1'],
    creditLimit: null,
    creditPeriodDays: null,
  },
};
const termination: PartnershipCommand = { move: 'terminate', party: 'acct_1', command: 'cmd_2', reason: null };
const partnershipId = (stage: Stage) => processId('partnership', { partnership: stage.id('pship') });

/** By file name: the workflow's type, then the path. */
const PATHS: Record<string, Path> = {
  'orderPush.pushed': orderPushPath(inTurn(() => 'pushed' as const)),
  'orderPush.refused': orderPushPath(inTurn(() => 'refused' as const)),
  'orderPush.fast-tries-failed': orderPushPath(inTurn<'pushed'>(fail, fail, fail, () => 'pushed')),
  'orderPush.parked-retried-by-update': orderPushPath(
    inTurn<'pushed'>(...failures, () => 'pushed'),
    decideBy('retry', 'update'),
  ),
  'orderPush.parked-retried-by-signal': orderPushPath(
    inTurn<'pushed'>(...failures, () => 'pushed'),
    decideBy('retry', 'signal'),
  ),
  'orderPush.parked-signal-recorded': orderPushPath(
    inTurn<'pushed'>(...failures, () => 'pushed'),
    decideBy('retry', 'signal'),
  ),
  'orderPush.parked-out-of-time-recorded': orderPushPath(inTurn<'pushed'>(fail), undefined, 50),
  'orderPush.parked-abandoned': orderPushPath(inTurn<'pushed'>(fail), decideBy('abandon', 'update')),
  'orderPush.parked-out-of-time': orderPushPath(inTurn<'pushed'>(fail), undefined, 50),
  'orderPush.parked-cancelled': orderPushPath(inTurn<'pushed'>(fail), async (handle) => {
    await isParked(handle);
    await handle.cancel();
  }),
  'orderPush.outbound-accepted': orderPushPath(
    inTurn(() => 'outbound' as const),
    undefined,
    undefined,
    {
      createOutbound: inTurn<OutboundResult>(fail, () => ({ created: true, reference: 'OUT-1' })),
      settleOutbound: async () => 'pushed',
    },
  ),
  'orderPush.outbound-refused': orderPushPath(
    inTurn(() => 'outbound' as const),
    undefined,
    undefined,
    {
      createOutbound: async () => ({ created: false, detail: 'not enough' }),
      settleOutbound: async () => 'refused',
    },
  ),
  'orderPush.outbound-parked-abandoned': orderPushPath(
    inTurn(() => 'outbound' as const),
    decideBy('abandon', 'update'),
    undefined,
    {
      createOutbound: inTurn<OutboundResult>(fail),
      abandonOrderPush: async () => ({ pushed: false, withdraw: true }),
      withdrawOutbound: async () => ({ cancelled: true }),
      settleWithdrawal: async () => 'abandoned',
    },
  ),
  'orderPush.outbound-recalled': orderPushPath(
    inTurn(() => 'outbound' as const),
    undefined,
    undefined,
    {
      createOutbound: async () => ({ withdraw: true }),
      withdrawOutbound: async () => ({ cancelled: false, detail: 'picked' }),
      settleWithdrawal: async () => 'pushed',
    },
  ),
  'orderRecall.of-an-outbound-push': orderRecallPath(
    [() => ({ next: 'push' }), () => ({ next: 'push' }), recallEnds('recalled')],
    async (handle) => {
      await handle.signal(messages.settled);
      await eventually(async () => {
        const { events } = await handle.fetchHistory();
        if ((events?.filter(({ timerStartedEventAttributes }) => timerStartedEventAttributes).length ?? 0) < 1)
          throw new Error('not waiting');
      });
      await handle.signal(messages.settled);
    },
  ),
  'orderRecall.at-once': orderRecallPath([recallEnds('recalled')]),
  'orderRecall.fast-tries-failed': orderRecallPath([fail, fail, fail, recallEnds('failed')]),
  'orderRecall.confirmed': orderRecallPath([supplierIsAsked(60_000)], answerBy('confirm')),
  'orderRecall.refused': orderRecallPath([supplierIsAsked(60_000)], answerBy('refuse'), 'failed'),
  'orderRecall.unanswered': orderRecallPath([supplierIsAsked(50)], undefined, 'failed'),
  'orderRecall.settled-elsewhere': orderRecallPath(
    [supplierIsAsked(60_000), supplierIsAsked(60_000), recallEnds('failed')],
    async (handle) => {
      await handle.signal(messages.settled);
      await handle.executeUpdate(messages.confirm, { args: [{ command: 'cmd_1', reason: null }] });
    },
  ),
  'orderRecall.warehouse': orderRecallPath([
    () => ({ next: 'warehouse', supplyOrder: 'sord_1', warehouse: 'wh_1' }),
    recallEnds('recalled'),
  ]),
  'supplyOrder.told': supplyOrderPath(inTurn<'told'>(fail, () => 'told')),
  'supplyOrder.waiting': supplyOrderPath(inTurn(() => 'waiting' as const)),
  'supplyOrder.parked-retried': supplyOrderPath(
    inTurn<'told'>(fail, fail, () => 'told'),
    decideBy('retry', 'update'),
  ),
  'supplyOrder.parked-abandoned': supplyOrderPath(inTurn<'told'>(fail), decideBy('abandon', 'signal')),
  'supplyOrder.parked-out-of-time': supplyOrderPath(inTurn<'told'>(fail), undefined, 50),
  'storeLane.drained': storeLanePath(inTurn(more, drained)),
  'storeLane.throttled': storeLanePath(
    inTurn<LanePass>(() => ({ end: 'throttled', retryAfterMs: 50, lastBatchAt: 1 }), drained),
  ),
  'storeLane.parked-retried': storeLanePath(inTurn<LanePass>(fail, fail, drained), decideBy('retry', 'update')),
  'storeLane.parked-abandoned': storeLanePath(inTurn<LanePass>(fail, fail, drained), decideBy('abandon', 'signal')),
  'storeLane.needs-authorization': storeLanePath(
    inTurn<LanePass>(
      () => ({ end: 'needs_authorization', code: 'needs_authorization', detail: 'refused', lastBatchAt: 0 }),
      drained,
    ),
    decideBy('retry', 'update'),
  ),
  'storeLane.parked-carried': storeLanePath(inTurn<LanePass>(drained), decideBy('retry', 'update'), {
    lastBatchAt: 1,
    parkedWith: { needsOwner: false, code: 'unavailable', detail: 'down' },
  }),
  'notificationDelivery.sent': deliveryPath(inTurn(() => 'sent' as const)),
  'notificationDelivery.parked-retried': deliveryPath(
    inTurn<'sent'>(fail, fail, () => 'sent'),
    decideBy('retry', 'update'),
  ),
  'notificationDelivery.parked-abandoned': deliveryPath(inTurn<'sent'>(fail), decideBy('abandon', 'signal')),
  'notificationDelivery.parked-out-of-time': deliveryPath(inTurn<'sent'>(fail), undefined, { parkedMs: 50 }),
  'notificationDelivery.parked-over-before': deliveryPath(inTurn<'sent'>(fail), undefined, { overBefore: true }),
  'notificationDelivery.parked-cancelled': deliveryPath(inTurn<'sent'>(fail), async (handle) => {
    await isParked(handle);
    await handle.cancel();
  }),
  'mirrorLane.drained': simplePath(
    'mirrorLane',
    (stage) => mirrorLaneId(stage.id('pship')),
    { partnership: 'pship_1' },
    {
      mirrorDue: inTurn<{ more: boolean }>(
        () => ({ more: true }),
        fail,
        fail,
        fail,
        () => ({ more: false }),
      ),
    },
    { signal: true },
  ),
  'claimLane.drained': simplePath(
    'claimLane',
    (stage) => claimLaneId(stage.id('acct')),
    { supplier: 'acct_1' },
    {
      settleClaims: inTurn<{ more: boolean }>(
        () => ({ more: true }),
        fail,
        fail,
        fail,
        () => ({ more: false }),
      ),
    },
    { signal: true },
  ),
  'orderIntake.two-fetches': simplePath(
    'orderIntake',
    (stage) => processId('order-intake', { store: 'store_1', platformOrder: stage.id('A') }),
    { store: 'store_1', platformOrder: 'A' },
    { takeInOrder: inTurn(() => ({ outcome: 'synced' })) },
    { signal: true, meanwhile: (handle) => handle.signal(messages.eventReceived).catch(() => {}) },
  ),
  'orderCancel.recalled-then-told': orderCancelPath(
    [() => ({ next: 'wait' }), () => ({ next: 'tell' })],
    inTurn(() => 'cancelled' as const),
    (handle) => handle.signal(messages.settled),
  ),
  'orderCancel.recall-failed': orderCancelPath(
    [() => ({ next: 'end', outcome: 'failed' })],
    inTurn(() => 'failed' as const),
  ),
  'orderCancel.parked-retried': orderCancelPath(
    [() => ({ next: 'tell' })],
    inTurn<CancellationEnd>(fail, fail, () => 'rejected'),
    decideBy('retry', 'update'),
  ),
  'orderCancel.parked-abandoned': orderCancelPath(
    [() => ({ next: 'tell' })],
    inTurn<CancellationEnd>(fail),
    decideBy('abandon', 'signal'),
  ),
  'orderCancel.parked-out-of-time': orderCancelPath(
    [() => ({ next: 'tell' })],
    inTurn<CancellationEnd>(fail),
    undefined,
    50,
  ),
  'orderPoll.done': simplePath(
    'orderPoll',
    (stage) => orderPollId(stage.id('store')),
    { store: 'store_1', budget },
    { pollOrders: inTurn<OrderPollResult>(fail, () => ({ outcome: 'done', found: 1 })) },
  ),
  'orderPoll.failed': simplePath(
    'orderPoll',
    (stage) => orderPollId(stage.id('store')),
    { store: 'store_1', budget },
    { pollOrders: inTurn<OrderPollResult>(fail), failOrderPoll: async () => {} },
  ),
  'partnership.approved-and-terminated': simplePath(
    'partnership',
    partnershipId,
    { partnership: 'pship_1', remindAfterMs: 3_600_000 },
    {
      partnershipState: async () => ({ status: 'pending_review', appliedAt: Date.now() }),
      movePartnership: inTurn<DecisionAnswer>(
        () => ({ ok: true, status: 'partnered' }),
        fail,
        fail,
        () => ({ ok: true, status: 'terminated' }),
      ),
    },
    {
      async meanwhile(handle) {
        await handle.executeUpdate(messages.approve, { args: [approval] });
        await handle.executeUpdate(messages.terminate, { args: [termination] });
      },
    },
  ),
  'partnership.reminded-then-rejected': simplePath(
    'partnership',
    partnershipId,
    { partnership: 'pship_1', remindAfterMs: 10 },
    {
      partnershipState: async () => ({ status: 'pending_review', appliedAt: Date.now() }),
      remindOfApplication: async () => {},
      movePartnership: async () => ({ ok: true, status: 'rejected' }),
    },
    {
      async meanwhile(handle) {
        await eventually(async () => {
          const { events } = await handle.fetchHistory();
          if (!events?.some((event) => event.activityTaskCompletedEventAttributes)) throw new Error('not reminded');
        });
        await handle.executeUpdate(messages.reject, {
          args: [{ move: 'reject', party: 'acct_1', command: 'cmd_1', reason: 'no' }],
        });
      },
    },
  ),
  'supplierSetup.reminded-then-live': simplePath(
    'supplierSetup',
    (stage) => processId('supplier-setup', { supplier: stage.id('acct') }),
    { supplier: 'acct_1', remindAfterMs: [10, 3_600_000] },
    {
      setupState: async () => ({ live: false, activatedAt: Date.now() }),
      remindOfSetup: async () => {},
      completeSetupStep: async () => ({ ok: true, live: true }),
    },
    {
      async meanwhile(handle) {
        await eventually(async () => {
          const { events } = await handle.fetchHistory();
          if (!events?.some((event) => event.activityTaskCompletedEventAttributes)) throw new Error('not reminded');
        });
        await handle.executeUpdate(messages.completeStep, { args: [{ step: 'products' }] });
      },
    },
  ),
  'productPublication.published': simplePath(
    'productPublication',
    (stage) => processId('publication', { supplier: stage.id('acct'), sku: 'A', attempt: '1' }),
    { supplier: 'acct_1', sku: 'A', attempt: 1 },
    { publishProduct: inTurn<void>(fail, fail, fail, () => {}) },
  ),
  'stockPush.done': simplePath(
    'stockPush',
    (stage) => processId('stock-push', { job: stage.id('job') }),
    { job: 'job_1' },
    {
      markStockPush: inTurn<{ marked: boolean }>(
        () => ({ marked: false }),
        () => ({ marked: true }),
      ),
      watchStockPush: inTurn<{ done: boolean; moved: boolean }>(
        fail,
        () => ({ done: false, moved: false }),
        () => ({ done: false, moved: true }),
        () => ({ done: true, moved: true }),
      ),
    },
  ),
  'import.applied': simplePath(
    'import',
    (stage) => processId('import', { import: stage.id('imp') }),
    { import: 'imp_1', budget },
    {
      readImport: inTurn(() => importStep(true)),
      applyImport: inTurn(
        () => importStep(true),
        () => importStep(false),
      ),
    },
  ),
  'import.unreadable': simplePath(
    'import',
    (stage) => processId('import', { import: stage.id('imp') }),
    { import: 'imp_1', budget },
    { readImport: inTurn(() => importStep(false)) },
  ),
  'import.refused': simplePath(
    'import',
    (stage) => processId('import', { import: stage.id('imp') }),
    { import: 'imp_1', budget },
    {
      readImport: inTurn(() => importStep(true)),
      applyImport: async () => {
        throw ApplicationFailure.nonRetryable('gone', 'not_found');
      },
      stopImport: async () => {},
    },
  ),
  'import.parked-retried': simplePath(
    'import',
    (stage) => processId('import', { import: stage.id('imp') }),
    { import: 'imp_1', budget },
    {
      readImport: inTurn(() => importStep(true)),
      applyImport: inTurn(fail, fail, () => importStep(false)),
      parkImport: async () => {},
      resumeImport: async () => {},
    },
    { meanwhile: decideBy('retry', 'update') },
  ),
  'import.parked-abandoned': simplePath(
    'import',
    (stage) => processId('import', { import: stage.id('imp') }),
    { import: 'imp_1', budget },
    { readImport: inTurn<never>(fail), parkImport: async () => {}, stopImport: async () => {} },
    { meanwhile: decideBy('abandon', 'signal') },
  ),
  'billingVerification.done': simplePath(
    'billingVerification',
    (stage) => processId('billing-verification', { verification: stage.id('vfy') }),
    { verification: 'vfy_1', checks: ['accounts', 'packages'], repair: true, budget },
    {
      runVerificationCheck: async () => 3,
      planVerification: async () => {},
      repairVerification: async () => 1,
      endVerification: async () => {},
    },
  ),
  'billingVerification.parked-retried': simplePath(
    'billingVerification',
    (stage) => processId('billing-verification', { verification: stage.id('vfy') }),
    { verification: 'vfy_1', checks: ['accounts', 'packages'], repair: false, budget },
    {
      runVerificationCheck: inTurn<number>(
        () => 3,
        fail,
        fail,
        () => 4,
      ),
      planVerification: async () => {},
      endVerification: async () => {},
      parkVerification: async () => {},
      resumeVerification: async () => {},
    },
    { meanwhile: decideBy('retry', 'update') },
  ),
  'billingVerification.parked-abandoned': simplePath(
    'billingVerification',
    (stage) => processId('billing-verification', { verification: stage.id('vfy') }),
    { verification: 'vfy_1', checks: ['accounts'], repair: false, budget },
    {
      runVerificationCheck: inTurn<number>(...failures),
      endVerification: async () => {},
      parkVerification: async () => {},
    },
    { meanwhile: decideBy('abandon', 'update') },
  ),
  'importUndo.undone': simplePath(
    'importUndo',
    (stage) => processId('import-undo', { import: stage.id('imp') }),
    { import: 'imp_1', budget },
    {
      undoImport: inTurn(
        () => importStep(true),
        () => importStep(false),
      ),
    },
  ),
  'importUndo.parked-abandoned': simplePath(
    'importUndo',
    (stage) => processId('import-undo', { import: stage.id('imp') }),
    { import: 'imp_1', budget },
    { undoImport: inTurn<never>(fail), parkImport: async () => {}, stopImportUndo: async () => {} },
    { meanwhile: decideBy('abandon', 'update') },
  ),
  'bulkOperation.done': simplePath(
    'bulkOperation',
    (stage) => processId('bulk-operation', { bulk: stage.id('bulk') }),
    { bulk: 'bulk_1', pauseMs: 10, longestPauseMs: 20 },
    {
      bulkStep: inTurn<BulkStep>(
        () => ({ progress: { done: 1, failed: 0, total: 3 }, more: true, waits: false }),
        () => ({ progress: { done: 1, failed: 1, total: 3 }, more: true, waits: true }),
        () => ({ progress: { done: 2, failed: 1, total: 3 }, more: false, waits: false }),
      ),
    },
  ),
  'bulkOperation.cancelled': simplePath(
    'bulkOperation',
    (stage) => processId('bulk-operation', { bulk: stage.id('bulk') }),
    { bulk: 'bulk_1', pauseMs: 60_000, longestPauseMs: 60_000 },
    {
      bulkStep: inTurn(() => ({ progress: { done: 1, failed: 0, total: 2 }, more: true, waits: true })),
      stopBulk: async () => {},
    },
    {
      meanwhile: async (handle) => {
        await eventually(async () => {
          const { events } = await handle.fetchHistory();
          if (!events?.some((event) => event.timerStartedEventAttributes)) throw new Error('it does not wait yet');
        });
        await handle.cancel();
      },
    },
  ),
  'listingDownload.done': simplePath(
    'listingDownload',
    (stage) => processId('listing-download', { store: stage.id('store'), job: 'job_1' }),
    { account: 'acct_1', store: 'store_1', job: 'job_1' },
    { downloadListings: inTurn(() => ({ fetched: 1, connected: 1 })) },
  ),
  'listingDownload.failed': simplePath(
    'listingDownload',
    (stage) => processId('listing-download', { store: stage.id('store'), job: 'job_1' }),
    { account: 'acct_1', store: 'store_1', job: 'job_1' },
    {
      downloadListings: async () => {
        throw ApplicationFailure.nonRetryable('no such shop', 'platform_rejected');
      },
      failDownload: async () => {},
    },
  ),
  'sweep.done': simplePath('sweep', (stage) => stage.id('sweep'), undefined, {
    sweepOnce: async () => ({
      pushes: 0,
      recalls: 0,
      shipments: 0,
      automations: 0,
      cancellations: 0,
      lanes: 0,
      claims: 0,
      intakes: 0,
      mappings: 0,
      polls: 0,
      lostPushes: 0,
      publications: 0,
      downloads: 0,
      stockPushes: 0,
      imports: 0,
      bulks: 0,
      parkedLanes: 0,
      deliveries: 0,
      creditPeriods: 0,
      verifications: 0,
      setups: 0,
      partnerships: 0,
      renewed: 0,
      rates: 0,
      audited: 0,
    }),
  }),
};

/** Who recorded it, and where, is nobody's business. */
const withoutPlace = (name: string, value: unknown) => (name === 'identity' ? 'recorder' : value);

async function record(wanted: string): Promise<void> {
  await globalSetup({});
  const stage = await openStage();
  try {
    mkdirSync(HISTORIES, { recursive: true });
    for (const [name, path] of Object.entries(PATHS)) {
      if (!name.includes(wanted)) continue;
      const handle = await path(stage);
      const history = temporal.api.history.v1.History.fromObject(await handle.fetchHistory());
      writeFileSync(join(HISTORIES, `${name}.json`), `${JSON.stringify(history, withoutPlace)}\n`);
      process.stdout.write(`recorded ${name}\n`);
      await handle.terminate('recorded').catch(() => {});
    }
  } finally {
    await stage.close();
    await endTestRun();
  }
}

if (require.main === module)
  record(process.argv[2] ?? '').then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
