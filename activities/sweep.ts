/** The sweep: whatever is open and has no running workflow gets one again, and tokens near their end are renewed. */

import pLimit from 'p-limit';
import { AUDIT_UNKNOWN_AFTER_MS } from '../config/timeouts';
import {
  claimLaneId,
  deliveryProcessId,
  orderCancelId,
  orderPushId,
  orderRecallId,
  type ProcessId,
  processId,
  supplyOrderProcessId,
} from '../domain/process-ids';
import { BULK_OPERATIONS } from '../store/repositories/bulks';
import { CHECKS } from '../store/repositories/verification';
import { whileAlive } from './alive';
import { runAutomation } from './automation';
import type { ActivityDeps } from './deps';
import { fetchLostPushes } from './order-poll';

/** Rows of one kind looked at in one pass. */
const AT_ONCE = 10_000;
/** Calls under way at once. */
const SIDE_BY_SIDE = 10;
/** Tokens are renewed by the sweep this long before their end, so that a store without traffic does not lose them. Milliseconds. */
const RENEW_AHEAD_MS = 10 * 60_000;

/** A file that is on its way this long is no longer. Milliseconds. */
const FILE_WAITS_MS = 3_600_000;

export interface SweepReport {
  readonly pushes: number;
  readonly recalls: number;
  readonly shipments: number;
  readonly automations: number;
  readonly cancellations: number;
  readonly lanes: number;
  readonly parkedLanes: number;
  readonly claims: number;
  readonly intakes: number;
  /** Orders whose SKUs came later. */
  readonly mappings: number;
  /** Stores whose polling was missing. */
  readonly polls: number;
  /** Pushes that a platform could not deliver. */
  readonly lostPushes: number;
  readonly publications: number;
  readonly downloads: number;
  readonly stockPushes: number;
  readonly deliveries: number;
  readonly setups: number;
  readonly imports: number;
  readonly bulks: number;
  readonly partnerships: number;
  readonly creditPeriods: number;
  readonly verifications: number;
  readonly renewed: number;
  readonly rates: number;
  readonly audited: number;
}

export function createSweepActivities(deps: ActivityDeps) {
  const { store, processes, access, rates, logger, heartbeat, sweep, polls } = deps;
  /**
   * Takes up what `find` finds. One failure stops nothing else; what is left over is found by the next pass. With `idOf`,
   * what has a running workflow is left alone. @returns how many were taken up
   */
  async function each<T>(
    what: string,
    find: () => Promise<readonly T[]>,
    work: (item: T) => Promise<unknown>,
    idOf?: (item: T) => ProcessId,
  ): Promise<number> {
    let done = 0;
    const warn = (error: unknown) =>
      logger.warn('sweep could not take up', { what, error: error instanceof Error ? error.message : 'unknown' });
    const takeUp = async (item: T) => {
      try {
        if (idOf && (await processes.endIfStuck(idOf(item)))) return;
        await work(item);
        done += 1;
      } catch (error) {
        warn(error);
      }
    };
    const turn = pLimit(SIDE_BY_SIDE);
    try {
      await Promise.all((await find()).map((item) => turn(takeUp, item)));
    } catch (error) {
      warn(error);
    }
    return done;
  }

  /** What dead processes were about to do becomes a row of unknown outcome; the day's head is kept and told. */
  async function auditTrail(now: number): Promise<number> {
    try {
      const taken = await store.audit.takeUp(new Date(now - (sweep.auditUnknownAfterMs ?? AUDIT_UNKNOWN_AFTER_MS)));
      await store.audit.keepDailyHead(({ count, hash }) => logger.info('audit head', { count, hash }));
      return taken;
    } catch (error) {
      logger.warn('sweep could not take up', {
        what: 'audit log',
        error: error instanceof Error ? error.message : 'unknown',
      });
      return 0;
    }
  }

  /** Asked for by the platform and not by the store: one asking is for all. */
  async function lostPushes(): Promise<number> {
    let found = 0;
    await each(
      'lost pushes',
      () => store.orderPolls.platforms(),
      async (platform) => {
        found += await fetchLostPushes(deps, platform);
      },
    );
    return found;
  }

  async function pass(): Promise<SweepReport> {
    const now = store.database.now().getTime();
    const before = new Date(now - sweep.graceMs);
    // A poll that is due may be held up by its platform; a schedule that is there is left as it is then.
    const unpolled = new Date(now - Math.max(sweep.graceMs, 3 * polls.intervalMs));
    // Before what may take longer than a pass has.
    const audited = await auditTrail(now);
    /** A parked lane is not told again every minute (signals are counted); it only has to be there. */
    const lanesThat = async (areParked: boolean) => {
      const waiting = await store.dues.lanesWaitingSince(before);
      const parked = await store.lanes.parkedAmong(waiting);
      return waiting.filter((lane) => parked.has(lane) === areParked);
    };
    const report: SweepReport = {
      // First, because a token that has ended can't be renewed at all.
      renewed: await each(
        'token',
        () => store.stores.tokensEndingBefore(new Date(now + RENEW_AHEAD_MS), AT_ONCE),
        (row) => access.refresh(row._id),
      ),
      rates: await each(
        'live rates',
        () => rates.due(),
        (due) => rates.renew(due),
      ),
      pushes: await each(
        'order push',
        () => store.orders.openPushes(before, AT_ONCE),
        (push) => processes.startOrderPush(push),
        (push) => orderPushId(push.package, push.attempt),
      ),
      recalls: await each(
        'recall',
        () => store.orders.openRecalls(before, AT_ONCE),
        (recall) => processes.startOrderRecall(recall),
        (recall) => orderRecallId(recall.package, recall.attempt),
      ),
      shipments: await each(
        'shipment',
        () => store.orders.shipments.openShipments(before, AT_ONCE),
        (shipment) => processes.startSupplyOrder(shipment),
        (shipment) => supplyOrderProcessId(shipment.package),
      ),
      automations: await each(
        'automation',
        async () => [
          ...(await store.orders.automation.openPushes(before, AT_ONCE)).map(
            (due) => ({ kind: 'push', ...due }) as const,
          ),
          ...(await store.orders.automation.open(before, AT_ONCE)).map(
            (supplyOrder) => ({ kind: 'move', supplyOrder }) as const,
          ),
        ],
        (due) => runAutomation({ store, processes, logger }, due),
      ),
      cancellations: await each(
        'cancellation',
        () => store.orders.cancellations.open(before, AT_ONCE),
        (cancellation) => processes.startOrderCancel(cancellation),
        (cancellation) => orderCancelId(cancellation.order, cancellation.attempt),
      ),
      lanes: await each(
        'lane',
        () => lanesThat(false),
        async (lane) => {
          // Running or not, it is told; one that gets nowhere is ended first.
          await processes.endIfStuck(lane);
          await processes.wakeLanesNow([lane]);
        },
      ),
      parkedLanes: await each(
        'parked lane',
        () => lanesThat(true),
        (lane) => processes.ensureLane(lane),
        (lane) => lane,
      ),
      claims: await each(
        'claims',
        () => store.claims.waitingSince(before, AT_ONCE),
        async (supplier) => {
          await processes.endIfStuck(claimLaneId(supplier));
          await processes.wakeLanesNow([claimLaneId(supplier)]);
        },
      ),
      intakes: await each(
        'order intake',
        () => store.inbox.waitingSince(before, AT_ONCE),
        (event) => processes.takeInOrderNow(event.store, event.platformOrder),
        (event) => processId('order-intake', event),
      ),
      mappings: await each(
        'mapping',
        () => store.orders.mapping.resolvable(AT_ONCE),
        async ({ account, order }) => {
          const result = await store.orders.mapping.rematch(account, order);
          if (result !== null) processes.wakeLanes(result.lanes);
        },
      ),
      polls: await each(
        'order poll',
        () => (polls.intervalMs === 0 ? Promise.resolve([]) : store.orderPolls.unpolledSince(unpolled, AT_ONCE)),
        async (shop) => {
          await processes.startPolling(shop);
          await store.orderPolls.scheduled(shop, polls.intervalMs);
        },
      ),
      publications: await each(
        'publication',
        () => store.products.publishing(before, AT_ONCE),
        (product) => processes.startPublication(product.supplier, product.sku, product.attempt),
        ({ supplier, sku, attempt }) => processId('publication', { supplier, sku, attempt: String(attempt) }),
      ),
      downloads: await each(
        'download',
        () => store.operations.running(['listing_download'], before, AT_ONCE),
        ({ accounts: [account = ''], workflowId }) => processes.resumeDownload(account, workflowId),
        ({ workflowId }) => workflowId,
      ),
      stockPushes: await each(
        'Push Now',
        () => store.operations.running(['stock_push'], before, AT_ONCE),
        ({ accounts: [account = ''], document: job }) => processes.startStockPush({ account, job }),
        ({ workflowId }) => workflowId,
      ),
      deliveries: await each(
        'notification delivery',
        () => store.deliveries.openSince(before, AT_ONCE),
        (due) => processes.startDelivery(due),
        ({ delivery }) => deliveryProcessId(delivery),
      ),
      setups: await each(
        'set-up',
        () => store.partnerships.setupsSince(before, AT_ONCE),
        (row) => processes.startSetup(row._id),
        (row) => processId('supplier-setup', { supplier: row._id }),
      ),
      imports: await each(
        'import',
        () => store.operations.running(['import', 'import_undo'], before, AT_ONCE),
        ({ workflowId }) => processes.resumeImport(workflowId),
        ({ workflowId }) => workflowId,
      ),
      creditPeriods: await each(
        'credit period',
        () => store.billing.endedCreditPeriods(new Date(now), AT_ONCE),
        (partnership) => store.billing.tellCreditPeriod(partnership),
      ),
      bulks: await each(
        'bulk operation',
        () => store.operations.running(Object.values(BULK_OPERATIONS), before, AT_ONCE),
        ({ accounts: [account = ''], document }) => processes.startBulk({ account, bulk: document }),
        ({ workflowId }) => workflowId,
      ),
      verifications: await each(
        'verification',
        () => store.operations.running(['billing_verification'], before, AT_ONCE),
        async ({ document }) => {
          const { repair, dryRun } = await store.verification.byId(document);
          await processes.startVerification({ verification: document, checks: CHECKS, repair: repair && !dryRun });
        },
        ({ workflowId }) => workflowId,
      ),
      partnerships: await each(
        'partnership',
        () => store.partnerships.openSince(before, AT_ONCE),
        (row) => processes.startPartnership(row._id),
        (row) => processId('partnership', { partnership: row._id }),
      ),
      audited,
      // Last: a platform that is slow or has much to give holds up nothing of ours.
      lostPushes: await lostPushes(),
    };
    // Files whose request ended before it was accepted.
    await each(
      'file',
      () => store.files.unclaimed(new Date(now - FILE_WAITS_MS), AT_ONCE),
      ({ _id }) => store.files.dropUnclaimed(_id),
    );
    if (Object.values(report).some((count) => count > 0)) logger.info('sweep took up', { ...report });
    return report;
  }

  return { sweepOnce: () => whileAlive(heartbeat, pass) };
}
