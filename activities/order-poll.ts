/** Polling a store for orders that changed, for what its pushes missed. Safe to repeat: the inbox knows what it has. */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { LostPushes, OrderChangePage } from '../connectors/port';
import { isHubError } from '../domain/failures';
import type { StoreDoc } from '../store/models/documents';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';

export type OrderPollResult =
  | { readonly outcome: 'done'; readonly found: number }
  /** Nobody polls it until it is connected again. */
  | { readonly outcome: 'not_connected' };

/** How far a poll that catches up goes before it writes down where it is. Milliseconds. */
const WINDOW_MS = 24 * 3600_000;
/**
 * An order that changes while its window is paged leaves it, and one behind it may slip through between two pages. A window
 * of several pages is therefore paged again until nothing new was in it, so many times at most.
 */
const PASSES = 5;
/** Pages of lost pushes fetched in one pass of the sweep; the rest is the next one's. */
const LOST_ROUNDS = 20;

export type OrderPollDeps = Pick<
  ActivityDeps,
  'store' | 'access' | 'processes' | 'heartbeat' | 'isCancelled' | 'polls' | 'logger'
>;

export function createOrderPollActivities(deps: OrderPollDeps) {
  const { store, access, processes, heartbeat, isCancelled, polls, logger } = deps;

  /** Pages a window once. @returns how many pages it had, and how many orders of it were news */
  async function page(row: StoreDoc, window: { from: number; to: number }): Promise<{ pages: number; fresh: number }> {
    let pages = 0;
    let fresh = 0;
    for (let cursor: string | null = null; ; ) {
      // Its time is over: another one may be at it already. The window was not read to its end, and is not noted as read.
      if (isCancelled()) throw new CancelledFailure('The poll is no longer wanted');
      const at: string | null = cursor;
      const { changes, nextCursor }: OrderChangePage = await access.call(row._id, (connector, shop) =>
        connector.listOrderChanges(shop, { ...window, cursor: at }),
      );
      const orders = await store.orderPolls.take(row, changes);
      for (const order of orders) processes.takeInOrder(row._id, order);
      pages += 1;
      fresh += orders.length;
      if (nextCursor === null) return { pages, fresh };
      if (nextCursor === at)
        throw ApplicationFailure.create({
          type: 'platform_unavailable',
          message: `${row.platform} gives the same page of changed orders again and again`,
        });
      cursor = nextCursor;
    }
  }

  async function readWindow(row: StoreDoc, window: { from: number; to: number }): Promise<number> {
    let found = 0;
    for (let pass = 1; pass <= PASSES; pass += 1) {
      const { pages, fresh } = await page(row, window);
      found += fresh;
      if (pages === 1 || fresh === 0) break;
    }
    return found;
  }

  /** From a little before where the last poll ended until now, in windows that the platform takes. */
  async function catchUp(row: StoreDoc, since: number): Promise<number> {
    const end = store.database.now().getTime();
    const most = Math.min(WINDOW_MS, access.connectorOf(row.platform).capabilities.orderWindowMs);
    let found = 0;
    for (let reached = since; ; ) {
      const from = reached - polls.overlapMs;
      const to = Math.min(end, from + most);
      found += await readWindow(row, { from, to });
      await store.orderPolls.reached(row._id, new Date(to));
      if (to >= end) return found;
      reached = to;
    }
  }

  return {
    /** One poll. The end of each window is written once the orders of it are in the inbox. */
    pollOrders: (input: { store: string }): Promise<OrderPollResult> =>
      whileAlive(heartbeat, async () => {
        const row = await store.stores.byId(input.store);
        const poll = await store.orderPolls.of(row._id);
        if (row.status !== 'connected' || poll === null) {
          await processes.stopPolling(row._id);
          return { outcome: 'not_connected' };
        }
        await store.orderPolls.begun(row._id);
        if (poll.everyMs !== polls.intervalMs) {
          await processes.startPolling(row._id);
          await store.orderPolls.scheduled(row._id, polls.intervalMs);
        }
        try {
          return { outcome: 'done', found: await catchUp(row, poll.until.getTime()) };
        } catch (error) {
          const needsOwner = isHubError(error) && ['needs_authorization', 'store_disconnected'].includes(error.code);
          if (!needsOwner) throw error;
          logger.warn('order poll stopped: the store is not connected', { store: row._id, account: row.account });
          await processes.stopPolling(row._id);
          return { outcome: 'not_connected' };
        }
      }),

    /** Its tries are used up: where it is stays as it is, and the next one begins there. */
    async failOrderPoll(input: { store: string; code: string; detail: string }): Promise<void> {
      await store.orderPolls.failed(input.store, { code: input.code, detail: input.detail });
    },
  };
}

/**
 * Fetches the pushes that a platform could not deliver, stores them, and only then says that they are here. One that can't
 * be read is stored as it came. So many pages at most: what is left is fetched the next time.
 * @returns how many were news
 */
export async function fetchLostPushes(
  {
    store,
    connectors,
    processes,
    logger,
    isCancelled,
  }: Pick<ActivityDeps, 'store' | 'connectors' | 'processes' | 'logger' | 'isCancelled'>,
  platform: string,
): Promise<number> {
  const connector = connectors[platform as keyof typeof connectors];
  if (!connector?.lostPushes || !connector.confirmLostPushes) return 0;
  let found = 0;
  let confirmed: string | null = null;
  for (let round = 0; round < LOST_ROUNDS && !isCancelled(); round += 1) {
    const { pushes, unreadable, upTo, more }: LostPushes = await connector.lostPushes();
    if (unreadable > 0) logger.warn('lost pushes that can not be read', { platform, count: unreadable });
    for (const { push, body } of pushes) {
      const shop = push.shopId === null ? null : await store.stores.byShop(platform, push.shopId);
      const platformOrder = push.kind === 'order' ? push.platformOrder : null;
      const isNew = await store.inbox.put({
        platform,
        shopId: push.shopId,
        platformOrder,
        dedupeKey: push.dedupeKey,
        body,
        store: shop === null ? null : { id: shop._id, account: shop.account },
      });
      if (!isNew) continue;
      found += 1;
      if (shop !== null && platformOrder !== null) processes.takeInOrder(shop._id, platformOrder);
    }
    // Without a number that goes on the same page would come again.
    if (upTo === null || upTo === confirmed) return found;
    await connector.confirmLostPushes(upTo);
    confirmed = upTo;
    if (!more) return found;
  }
  return found;
}
