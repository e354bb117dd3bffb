/** Stores that tests break in one place. */
import type { Store } from '../../store';

/** As the driver says it when nothing answers. */
export const databaseAway = (): Error => Object.assign(new Error('away'), { name: 'MongoNetworkError' });

/** For `wrapStore`: pushes fail as if the database were away, for as long as that says so of their package. */
export const breakPushes =
  (isBroken: (pkg: string) => boolean) =>
  (store: Store): Store => ({
    ...store,
    orders: {
      ...store.orders,
      async push(pkg, ...more) {
        if (isBroken(pkg)) throw databaseAway();
        return store.orders.push(pkg, ...more);
      },
    },
  });
