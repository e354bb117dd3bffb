/** The sweep: whatever is open and has no running workflow gets one again, and tokens near their end are renewed. */

import pLimit from 'p-limit';
import { orderPushId, type ProcessId, processId } from '../domain/process-ids';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';

/** Rows of one kind looked at in one pass; the next pass takes the rest. */
const AT_ONCE = 10_000;
/** Calls under way at once. */
const SIDE_BY_SIDE = 10;
/** Tokens are renewed by the sweep this long before their end, so that a store without traffic does not lose them. Milliseconds. */
const RENEW_AHEAD_MS = 10 * 60_000;

export interface SweepReport {
  readonly pushes: number;
  readonly lanes: number;
  readonly intakes: number;
  readonly publications: number;
  readonly downloads: number;
  readonly partnerships: number;
  readonly renewed: number;
}

export function createSweepActivities({ store, processes, access, logger, heartbeat, sweep }: ActivityDeps) {
  /**
   * One failure stops nothing else; what is left over is found by the next pass. With `idOf`, what has a running workflow
   * is left alone. @returns how many were taken up
   */
  async function each<T>(
    what: string,
    items: readonly T[],
    work: (item: T) => Promise<unknown>,
    idOf?: (item: T) => ProcessId,
  ): Promise<number> {
    let done = 0;
    const takeUp = async (item: T) => {
      try {
        if (idOf && (await processes.isRunning(idOf(item)))) return;
        await work(item);
        done += 1;
      } catch (error) {
        logger.warn('sweep could not take up', { what, error: error instanceof Error ? error.message : 'unknown' });
      }
    };
    const turn = pLimit(SIDE_BY_SIDE);
    await Promise.all(items.map((item) => turn(takeUp, item)));
    return done;
  }

  async function pass(): Promise<SweepReport> {
    const now = store.database.now().getTime();
    const before = new Date(now - sweep.graceMs);
    const pushes = await each(
      'order push',
      await store.orders.openPushes(before, AT_ONCE),
      (push) => processes.startOrderPush(push),
      (push) => orderPushId(push.package, push.attempt),
    );
    const waiting = await store.dues.lanesWaitingSince(before);
    const parked = await store.lanes.parkedAmong(waiting);
    // A parked lane is not told again every minute (signals are counted); it only has to be there.
    const woken = await each(
      'lane',
      waiting.filter((lane) => !parked.has(lane)),
      (lane) => processes.wakeLanesNow([lane]),
    );
    const restarted = await each(
      'parked lane',
      waiting.filter((lane) => parked.has(lane)),
      (lane) => processes.ensureLane(lane),
      (lane) => lane,
    );
    const intakes = await each(
      'order intake',
      await store.inbox.waitingSince(before, AT_ONCE),
      (event) => processes.takeInOrderNow(event.store, event.platformOrder),
      (event) => processId('order-intake', event),
    );
    const publications = await each(
      'publication',
      await store.products.publishing(before, AT_ONCE),
      (product) => processes.startPublication(product.supplier, product.sku, product.attempt),
      ({ supplier, sku, attempt }) => processId('publication', { supplier, sku, attempt: String(attempt) }),
    );
    const downloads = await each(
      'download',
      await store.operations.running(['listing_download'], before, AT_ONCE),
      ({ accounts: [account = ''], workflowId }) => processes.resumeDownload(account, workflowId),
      ({ workflowId }) => workflowId,
    );
    const partnerships = await each(
      'partnership',
      await store.partnerships.openSince(before, AT_ONCE),
      (row) => processes.startPartnership(row._id),
      (row) => processId('partnership', { partnership: row._id }),
    );
    const renewed = await each(
      'token',
      await store.stores.tokensEndingBefore(new Date(now + RENEW_AHEAD_MS), AT_ONCE),
      (row) => access.refresh(row._id),
    );
    const report = { pushes, lanes: woken + restarted, intakes, publications, downloads, partnerships, renewed };
    if (Object.values(report).some((count) => count > 0)) logger.info('sweep took up', report);
    return report;
  }

  return { sweepOnce: () => whileAlive(heartbeat, pass) };
}
