/** The sweep: whatever is open and has no running workflow gets one again, and tokens near their end are renewed. */
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';

/** Rows of one kind looked at in one pass; the next pass takes the rest. */
const AT_ONCE = 10_000;
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
  /** One failure stops nothing else; what is left over is found by the next pass. */
  async function each<T>(what: string, items: readonly T[], work: (item: T) => Promise<void>): Promise<number> {
    let done = 0;
    for (const item of items) {
      try {
        await work(item);
        done += 1;
      } catch (error) {
        logger.warn('sweep could not take up', { what, error: error instanceof Error ? error.message : 'unknown' });
      }
    }
    return done;
  }

  async function pass(): Promise<SweepReport> {
    const now = store.database.now().getTime();
    const before = new Date(now - sweep.graceMs);
    const pushes = await each('order push', await store.orders.openPushes(before, AT_ONCE), (push) =>
      processes.startOrderPush(push),
    );
    const waiting = await store.dues.lanesWaitingSince(before);
    const parked = await store.lanes.parkedAmong(waiting);
    // A parked lane is not told again every minute (signals are counted); it only has to be there.
    const lanes = await each('lane', waiting, (lane) =>
      parked.has(lane) ? processes.ensureLane(lane) : processes.wakeLanesNow([lane]),
    );
    const intakes = await each('order intake', await store.inbox.waitingSince(before, AT_ONCE), (event) =>
      processes.takeInOrderNow(event.store, event.platformOrder),
    );
    const publications = await each('publication', await store.products.publishing(before, AT_ONCE), (product) =>
      processes.startPublication(product.supplier, product.sku, product.attempt),
    );
    const downloads = await each(
      'download',
      await store.operations.running(['listing_download'], before, AT_ONCE),
      (operation) => processes.resumeDownload(operation.workflowId),
    );
    const partnerships = await each('partnership', await store.partnerships.pendingSince(before, AT_ONCE), (row) =>
      processes.startPartnership(row._id),
    );
    const renewed = await each(
      'token',
      await store.stores.tokensEndingBefore(new Date(now + RENEW_AHEAD_MS), AT_ONCE),
      (row) => access.refresh(row._id),
    );
    const report = { pushes, lanes, intakes, publications, downloads, partnerships, renewed };
    if (Object.values(report).some((count) => count > 0)) logger.info('sweep took up', report);
    return report;
  }

  return { sweepOnce: () => whileAlive(heartbeat, pass) };
}
