/** Orders as their account lists them. An order's status is its packages', so lists by status look at those. */
import type { QueryFilter } from 'mongoose';
import { type OrderStatus, orderStatusOf } from '../../domain/orders';
import { type Database, type Page, type PageRequest, toPage } from '../database';
import type { OrderDoc, PackageDoc } from '../models/documents';

export interface OrderView {
  readonly order: OrderDoc;
  readonly packages: PackageDoc[];
}

export interface OrderFilter {
  readonly store?: string;
  /** The platform's number, or the one given through the API. */
  readonly number?: string;
  readonly status?: OrderStatus;
  /** A partnership that one of the packages is of. */
  readonly partner?: string;
  /** Given by mark rules. */
  readonly tag?: string;
  readonly marketing?: boolean;
  readonly placedFrom?: Date;
  readonly placedBefore?: Date;
}

/** Orders looked at in one go. */
const BATCH = 200;
/** Orders looked at for one page: where few of many fit, a page may be short, or empty, and its cursor goes on from there. */
const MOST = 5_000;
/** What an order's own fields tell, without its packages. */
const OF_THE_ORDER: readonly OrderStatus[] = ['unmapped', 'unpaid', 'cancelled'];

/** What an order shows: the least advanced of its packages. */
export function statusOfOrder({ order, packages }: OrderView): OrderStatus {
  return orderStatusOf({
    unmapped:
      order.syncedAt === null &&
      order.state !== 'unpaid' &&
      order.lines.some(({ unmappedReason }) => unmappedReason !== null),
    cancelled: order.state === 'cancelled',
    synced: order.syncedAt !== null,
    packages,
  });
}

/** @param most orders that are looked at for one page */
export function createOrderLists({ models }: Database, most = MOST) {
  const ofOrders = (account: string, filter: OrderFilter): QueryFilter<OrderDoc> => ({
    account,
    ...(filter.store === undefined ? {} : { store: filter.store }),
    ...(filter.number === undefined ? {} : { platformOrder: filter.number }),
    ...(filter.tag === undefined ? {} : { tags: filter.tag }),
    ...(filter.marketing === undefined ? {} : { marketing: filter.marketing }),
    ...(filter.placedFrom === undefined && filter.placedBefore === undefined
      ? {}
      : {
          placedAt: {
            ...(filter.placedFrom === undefined ? {} : { $gte: filter.placedFrom }),
            ...(filter.placedBefore === undefined ? {} : { $lt: filter.placedBefore }),
          },
        }),
    ...(filter.status === 'unmapped' || filter.status === 'unpaid' ? { syncedAt: null } : {}),
    ...(filter.status === 'cancelled' ? { state: 'cancelled' } : {}),
  });

  /** Ids of orders that may fit, newest first: of packages where those tell more. */
  async function candidates(account: string, filter: OrderFilter, before: string | null): Promise<string[]> {
    const { partner, status, number } = filter;
    const byStatus = status !== undefined && !OF_THE_ORDER.includes(status);
    if (number === undefined && (partner !== undefined || byStatus)) {
      const rows = await models.packages
        .find(
          {
            account,
            ...(partner === undefined ? { status: status as PackageDoc['status'] } : { partnership: partner }),
            ...(before === null ? {} : { order: { $lt: before } }),
          },
          { order: 1 },
        )
        .sort({ order: -1 })
        .limit(BATCH)
        .lean();
      return rows.map(({ order }) => order);
    }
    const rows = await models.orders
      .find({ ...ofOrders(account, filter), ...(before === null ? {} : { _id: { $lt: before } }) }, { _id: 1 })
      .sort({ _id: -1 })
      .limit(BATCH)
      .lean();
    return rows.map(({ _id }) => _id);
  }

  async function views(account: string, filter: OrderFilter, ids: readonly string[]): Promise<OrderView[]> {
    const [orders, packages] = await Promise.all([
      models.orders
        .find({ ...ofOrders(account, filter), _id: { $in: [...ids] } })
        .sort({ _id: -1 })
        .lean(),
      models.packages
        .find({ order: { $in: [...ids] } })
        .sort({ _id: 1 })
        .lean(),
    ]);
    return orders
      .map((order) => ({ order, packages: packages.filter((pkg) => pkg.order === order._id) }))
      .filter(
        (view) =>
          (filter.status === undefined || statusOfOrder(view) === filter.status) &&
          (filter.partner === undefined || view.packages.some(({ partnership }) => partnership === filter.partner)),
      );
  }

  return {
    /** Newest first. A page is looked for in a bounded number of orders. */
    async list(account: string, filter: OrderFilter, page: PageRequest): Promise<Page<OrderView>> {
      const found: OrderView[] = [];
      let seen = 0;
      for (let before = page.after; found.length <= page.limit; ) {
        const ids = await candidates(account, filter, before);
        const unseen = [...new Set(ids)];
        for (let from = 0; from < unseen.length && found.length <= page.limit; from += page.limit + 1)
          found.push(...(await views(account, filter, unseen.slice(from, from + page.limit + 1))));
        if (ids.length < BATCH) break;
        before = ids.at(-1) ?? null;
        seen += unseen.length;
        // All that was found so far is on this page; what was looked at and does not fit is passed over.
        if (seen >= most && found.length <= page.limit) return { items: found, nextCursor: before };
      }
      return toPage(found.slice(0, page.limit + 1), page.limit, ({ order }) => order._id);
    },
  };
}
