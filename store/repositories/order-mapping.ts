/** Lines that nobody could map: the seller says which SKU each is, or the SKU comes later. Contract: orders.md, Orders in. */
import { HubError, type InputProblem } from '../../domain/failures';
import { type Database, found } from '../database';
import type { OrderDoc } from '../models/documents';
import { asItCame, type createOrderIntake, type IntakeResult, NOTHING_AFTER } from './order-intake';

export interface LineMapping {
  readonly line: string;
  readonly sku: string;
}

export interface WaitingOrder {
  readonly account: string;
  readonly order: string;
}

/** One that is not paid is looked at when it is. */
const WAITING = { syncedAt: null, 'lines.unmappedReason': 'no_such_sku', state: { $nin: ['cancelled', 'unpaid'] } };
/** All that is read of one to know what it waits for. */
const SEEN = { account: 1, 'lines.code': 1 } as const;
const codesOf = ({ lines }: Pick<OrderDoc, 'lines'>) => lines.flatMap(({ code }) => (code ? [code] : []));

const nothingDone = (order: string): IntakeResult => ({
  ...{ order, isNew: false, outcome: 'unchanged', packages: [], ...NOTHING_AFTER, cancellation: null },
});

/** Whether just this was said by hand before. */
const wasSaid = (order: OrderDoc, mappings: readonly LineMapping[]): boolean =>
  mappings.every(({ line, sku }) =>
    order.lines.some((one) => one.line === line && one.byHand === true && (one.sku ?? one.code) === sku),
  );

export function createOrderMapping(db: Database, intake: Pick<ReturnType<typeof createOrderIntake>, 'takeInOnce'>) {
  const { models } = db;
  /** Where the last look at all waiting orders ended; the next goes on there, so that none is passed over for good. */
  let lookedUpTo: string | null = null;

  /** Matches a stored order that waits anew. */
  async function again(account: string, id: string, said: ReadonlyMap<string, string>): Promise<IntakeResult | null> {
    return db.transact(async (session) => {
      const order = found(
        await models.orders.findById(id).session(session).lean(),
        'order',
        (row) => row.account === account,
      );
      if (order.syncedAt !== null || order.state === 'cancelled') return null;
      return intake.takeInOnce(session, asItCame(order, said));
    }, `stock/${account}`);
  }

  /** The listings behind the lines, and whether they are downloaded. */
  async function behind(order: OrderDoc, mappings: readonly LineMapping[]) {
    const pairs = mappings.flatMap(({ line, sku }) => {
      const listing = order.lines.find((one) => one.line === line)?.listing;
      return listing ? [{ listing, sku }] : [];
    });
    const there = await models.listings
      .find({ account: order.account, _id: { $in: pairs.map(({ listing }) => listing) } }, { _id: 1 })
      .lean();
    return pairs.map((one) => ({ ...one, known: there.some(({ _id }) => _id === one.listing) }));
  }

  return {
    /**
     * Maps lines by hand; once every line is mapped the order is synced. The same again changes nothing, and answers as
     * the first did: what is to be done after it may have been lost. 404; 409 `invalid_transition`; 422 with all that is wrong. @returns what came of it, and the listings behind the lines, for who wants them connected
     */
    async map(
      account: string,
      id: string,
      mappings: readonly LineMapping[],
    ): Promise<{ result: IntakeResult; listings: { listing: string; sku: string; known: boolean }[] }> {
      const order = found(await models.orders.findById(id).lean(), 'order', (row) => row.account === account);
      const refused = (detail: string) =>
        new HubError('invalid_transition', detail, { members: { currentStatus: order.state } });
      if (order.state !== 'cancelled' && order.syncedAt !== null && wasSaid(order, mappings))
        return { result: nothingDone(id), listings: await behind(order, mappings) };
      if (order.state === 'cancelled') throw refused('The order is cancelled');
      if (order.syncedAt !== null) throw refused('Every line of the order is mapped, and its prices are fixed');
      const wanted = mappings.map(({ sku }) => sku);
      const known = new Set(
        (await models.skus.find({ account, sku: { $in: wanted } }, { sku: 1 }).lean()).map(({ sku }) => sku),
      );
      const errors = mappings.flatMap(({ line, sku }, index): InputProblem[] => [
        ...(order.lines.some((one) => one.line === line)
          ? []
          : [{ pointer: `/lines/${index}/line`, code: 'unknown_line', detail: `The order has no line ${line}` }]),
        ...(known.has(sku)
          ? []
          : [{ pointer: `/lines/${index}/sku`, code: 'unknown_sku', detail: `There is no SKU ${sku}` }]),
      ]);
      if (errors.length > 0) throw new HubError('invalid_input', 'Some mappings name what is not there', { errors });
      const result = await again(account, id, new Map(mappings.map(({ line, sku }) => [line, sku])));
      if (result === null) {
        const now = found(await models.orders.findById(id).lean(), 'order', (row) => row.account === account);
        if (now.state === 'cancelled' || !wasSaid(now, mappings))
          throw refused('The order was mapped or cancelled just now');
      }
      return { result: result ?? nothingDone(id), listings: await behind(order, mappings) };
    },

    /** Looks at a waiting order again. @returns what came of it; null where it waits no more */
    rematch: (account: string, id: string) => again(account, id, new Map()),

    /**
     * Orders that wait for SKUs which are there by now, among so many that wait. Each call goes on where the last one ended, and
     * begins anew after the last of them.
     */
    async resolvable(limit: number): Promise<WaitingOrder[]> {
      const waiting = await models.orders
        .find({ ...WAITING, ...(lookedUpTo === null ? {} : { _id: { $gt: lookedUpTo } }) } as never, SEEN)
        .sort({ _id: 1 })
        .limit(limit)
        .lean<Pick<OrderDoc, '_id' | 'account' | 'lines'>[]>();
      lookedUpTo = waiting.length < limit ? null : (waiting.at(-1)?._id ?? null);
      const ids = waiting.flatMap((order) => codesOf(order).map((code) => `${order.account}/${code}`));
      const there = new Set(
        (await models.skus.find({ _id: { $in: [...new Set(ids)] } }, { _id: 1 }).lean()).map(({ _id }) => _id),
      );
      return waiting
        .filter((order) => codesOf(order).some((code) => there.has(`${order.account}/${code}`)))
        .map(({ _id, account }) => ({ account, order: _id }));
    },

    /** Orders that wait for a SKU which is made just now. */
    async waitingFor(account: string, sku: string, limit: number): Promise<WaitingOrder[]> {
      const rows = await models.orders
        .find({ ...WAITING, account, 'lines.code': sku } as never, { _id: 1 })
        .sort({ _id: 1 })
        .limit(limit)
        .lean();
      return rows.map(({ _id }) => ({ account, order: _id }));
    },
  };
}
