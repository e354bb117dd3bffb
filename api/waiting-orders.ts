/** Orders that waited for a SKU are mapped once it is there; what is not done here the sweep does. */
import type { Hub } from './hub';

/** Orders looked at before the caller is answered. */
const AT_ONCE = 100;

/** The account's SKU of this code was made: the orders that wait for it. Never fails. */
export async function resolveWaitingOrders(
  { store, processes, logger }: Hub,
  account: string,
  sku: string,
): Promise<void> {
  try {
    for (const { order } of await store.orders.mapping.waitingFor(account, sku, AT_ONCE)) {
      const result = await store.orders.mapping.rematch(account, order);
      if (result !== null) processes.wakeLanes(result.lanes);
    }
  } catch (error) {
    logger.warn('Waiting orders left to the sweep', { account, error });
  }
}
