/** The sweep: whatever is open and has no running workflow gets one again, and tokens near their end are renewed. */

import pLimit from 'p-limit';
import { AUDIT_UNKNOWN_AFTER_MS } from '../config/timeouts';
import {
  claimLaneId,
  deliveryProcessId,
  orderPushId,
  orderRecallId,
  type ProcessId,
  processId,
  supplyOrderProcessId,
} from '../domain/process-ids';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';

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
  readonly lanes: number;
  readonly parkedLanes: number;
  readonly claims: number;
  readonly intakes: number;
  readonly publications: number;
  readonly downloads: number;
  readonly deliveries: number;
  readonly setups: number;
  readonly imports: number;
  readonly partnerships: number;
  readonly renewed: number;
  readonly rates: number;
  readonly audited: number;
}

export function createSweepActivities({ store, processes, access, rates, logger, heartbeat, sweep }: ActivityDeps) {
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
        if (idOf && (await processes.isRunning(idOf(item)))) return;
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

  async function pass(): Promise<SweepReport> {
    const now = store.database.now().getTime();
    const before = new Date(now - sweep.graceMs);
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
      lanes: await each(
        'lane',
        () => lanesThat(false),
        (lane) => processes.wakeLanesNow([lane]),
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
        (supplier) => processes.wakeLanesNow([claimLaneId(supplier)]),
      ),
      intakes: await each(
        'order intake',
        () => store.inbox.waitingSince(before, AT_ONCE),
        (event) => processes.takeInOrderNow(event.store, event.platformOrder),
        (event) => processId('order-intake', event),
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
      partnerships: await each(
        'partnership',
        () => store.partnerships.openSince(before, AT_ONCE),
        (row) => processes.startPartnership(row._id),
        (row) => processId('partnership', { partnership: row._id }),
      ),
      audited,
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
