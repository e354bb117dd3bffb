/** Taking a platform's order in. The recipient passes through here and never through a workflow. */

import type { PlatformOrder } from '../connectors/port';
import { HubError, isHubError } from '../domain/failures';
import { CURRENCIES, type Currency, fromMoneyText } from '../domain/money';
import type { ActivityDeps } from './deps';
import { isPlatformError } from './failures';

/** What the lines cost, in minor units; null where a price or the currency can't be read. */
function goodsAmount({ currency, lines }: PlatformOrder): number | null {
  if (!CURRENCIES.some((code) => code === currency)) return null;
  const prices = lines.map(({ unitPrice }) => fromMoneyText({ amount: unitPrice, currency: currency as Currency }));
  return prices.reduce<number | null>(
    (sum, price, index) => (sum === null || price === null ? null : sum + price.amount * (lines[index]?.quantity ?? 0)),
    0,
  );
}

export function createOrderIntakeActivities({ store, access, rates, processes, logger, intake }: ActivityDeps) {
  return {
    /** Fetches the order and takes it in; what waited in the inbox for it is then done. */
    async takeInOrder(input: { store: string; platformOrder: string }): Promise<{ outcome: string }> {
      const row = await store.stores.byId(input.store);
      // Read before the fetch: an event that comes later may tell of something the fetch did not see.
      const waiting = await store.inbox.waiting(input.store, input.platformOrder);
      try {
        const order = await access.call(input.store, (connector, shop) =>
          connector.getOrder(shop, input.platformOrder),
        );
        await rates.ensureFor(row.account);
        const result = await store.orders.takeIn({
          account: row.account,
          store: row._id,
          platform: row.platform,
          storeName: row.name,
          platformOrder: order.platformOrder,
          state: order.state,
          platformState: order.platformState,
          version: order.updatedAt,
          placedAt: order.createdAt,
          currency: order.currency,
          shipping: order.shipping,
          awaitsPickup: order.awaitsPickup,
          askedBack: order.askedBack,
          amount: goodsAmount(order),
          recipient: order.recipient,
          lines: order.lines.map(({ lineId, itemId, modelId, title, quantity }) => ({
            line: lineId,
            title,
            quantity,
            listing: store.stores.listingId(row._id, itemId, modelId),
            sku: null,
          })),
        });
        // Before the event is done: where this fails the sweep takes the recall up.
        for (const recall of result.recalls) await processes.startOrderRecall(recall);
        if (result.cancellation !== null) await processes.startOrderCancel(result.cancellation);
        await store.inbox.done(waiting, 'done');
        processes.wakeLanes(result.lanes);
        for (const push of result.pushesToEnd) processes.endPush(push);
        return { outcome: result.outcome };
      } catch (error) {
        if (isHubError(error) && error.code === 'store_disconnected') {
          await store.inbox.done(waiting, 'ignored');
          return { outcome: 'ignored' };
        }
        if (!isPlatformError(error) || error.kind !== 'rejected') throw error;
        const now = store.database.now().getTime();
        // The order's details may lag behind the push that told of it: what came lately is asked for again.
        if (await store.inbox.anySince(waiting, new Date(now - intake.refuseAfterMs)))
          throw new HubError('platform_unavailable', `The platform does not know the order yet (${error.code})`, {
            cause: error,
          });
        await store.inbox.done(waiting, 'refused');
        await store.notifications.notify(null, {
          account: row.account,
          event: 'order_refused',
          occurrence: `${row._id}/${input.platformOrder}`,
          document: row._id,
          detail: `${input.platformOrder}: ${error.code}: ${error.message}`,
        });
        logger.warn('order refused by the platform', { store: input.store, account: row.account, code: error.code });
        return { outcome: 'refused' };
      }
    },
  };
}
