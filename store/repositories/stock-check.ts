/** Whether stock is what open orders, its journal and its own parts say. Contract: billing.md, verify. */
import type { Aggregate, ClientSession, PipelineStage } from 'mongoose';
import { STOCK_LEVELS, type StockLevels } from '../../domain/stock';
import { UNSHIPPED_STATUSES } from '../../domain/supply-orders';
import type { Discrepancy, DiscrepancyKind } from '../../domain/verification';
import { type Database, inOrder } from '../database';
import type { StockDoc } from '../models/documents';
import type { Beat, Found, Scope } from './verification';

type Keyed = { readonly _id: string };

/** Reads a sorted stream along with another: `at(key)` is its row of that key, and what lies before is handed out as left over. */
function alongside<T extends Keyed>(rows: AsyncIterable<T>, leftOver: (row: T) => void) {
  const iterator = rows[Symbol.asyncIterator]();
  let next: IteratorResult<T> | null = null;
  return async (key: string | null): Promise<T | null> => {
    for (;;) {
      next ??= await iterator.next();
      if (next.done) return null;
      const row = next.value as T;
      const order = key === null ? -1 : inOrder(row._id, key);
      if (order > 0) return null;
      next = null;
      if (order === 0) return row;
      leftOver(row);
    }
  };
}

const placeOf = (warehouse: string, sku: string) => ({ $concat: [warehouse, '/', sku] });
const sorted: PipelineStage[] = [{ $sort: { _id: 1 } }];

export function createStockCheck(db: Database) {
  const { models } = db;

  /** Units that unshipped supply orders hold, by place. */
  const promised = (match: object): PipelineStage[] => [
    { $match: { ...match, status: { $in: [...UNSHIPPED_STATUSES] } } },
    { $unwind: '$lines' },
    { $group: { _id: placeOf('$warehouse', '$lines.sku'), units: { $sum: '$lines.quantity' } } },
  ];
  /** Units that packages hold themselves: own goods, and claimed ones until their push. */
  const held = (match: object): PipelineStage[] => [
    { $match: { ...match, allocated: true } },
    { $unwind: '$lines' },
    { $group: { _id: placeOf('$warehouse', '$lines.sku'), units: { $sum: '$lines.quantity' } } },
  ];
  const journalled = (match: object): PipelineStage[] => [
    { $match: match },
    {
      $group: {
        _id: placeOf('$warehouse', '$sku'),
        ...Object.fromEntries(
          STOCK_LEVELS.map((field) => [field, { $sum: { $subtract: [`$after.${field}`, `$before.${field}`] } }]),
        ),
      },
    } as PipelineStage,
  ];

  function judge(
    id: string,
    row: Pick<StockDoc, 'account' | 'available' | 'mirrored' | keyof StockLevels> | null,
    units: number,
    sums: StockLevels | null,
  ): Discrepancy[] {
    const problems: Discrepancy[] = [];
    const add = (kind: DiscrepancyKind, expected: string, is: string) =>
      problems.push({ ...{ kind, subject: id, partnership: null, documents: [id], expected, found: is, lacks: null } });
    const { onHand = 0, allocated = 0, reserved = 0, inTransit = 0, available = 0, mirrored = false } = row ?? {};
    if (allocated !== units) add('allocation_wrong', String(units), String(allocated));
    const free = onHand - allocated - reserved;
    const wanted = mirrored ? Math.max(0, free) : free;
    if (available !== wanted) add('available_wrong', String(wanted), String(available));
    const levels = { onHand, allocated, reserved, inTransit };
    const text = (of: StockLevels) => STOCK_LEVELS.map((field) => `${field} ${of[field]}`).join(', ');
    const proven = sums ?? { onHand: 0, allocated: 0, reserved: 0, inTransit: 0 };
    if (STOCK_LEVELS.some((field) => levels[field] !== proven[field]))
      add('stock_not_journalled', text(proven), text(levels));
    return problems;
  }

  /** One place, read whole in one snapshot. */
  function judgeAgain(id: string): Promise<Discrepancy[]> {
    const at = id.indexOf('/');
    const [warehouse, sku] = [id.slice(0, at), id.slice(at + 1)];
    return db.transact(async (session: ClientSession) => {
      const row = await models.stock.findById(id).session(session).lean();
      const place = await models.warehouses.findById(warehouse, { account: 1 }).session(session).lean();
      const account = row?.account ?? place?.account ?? '';
      const lines = { warehouse, 'lines.sku': sku };
      const [ofOrders] = await models.supplyOrders
        .aggregate<Keyed & { units: number }>([...promised({ supplier: account, ...lines }), { $match: { _id: id } }])
        .session(session);
      const [ofPackages] = await models.packages
        .aggregate<Keyed & { units: number }>([...held({ account, ...lines }), { $match: { _id: id } }])
        .session(session);
      const [sums] = await models.stockJournal
        .aggregate<Keyed & StockLevels>(journalled({ account, sku, warehouse }))
        .session(session);
      return judge(id, row, (ofOrders?.units ?? 0) + (ofPackages?.units ?? 0), sums ?? null);
    });
  }

  /** Goes along the stock, the open orders and the journal at once, all by place. */
  return async function* stock(scope: Scope, beat: Beat): Found {
    const mine = (field: string) => (scope === null ? {} : { [field]: scope });
    const suspects: string[] = [];
    const doubt = ({ _id }: Keyed) => void suspects.push(_id);
    const cursorOf = <T extends Keyed>(aggregate: Aggregate<unknown[]>) =>
      aggregate.option({ allowDiskUse: true }).cursor({ batchSize: 1_000 }) as unknown as AsyncIterable<T>;
    type Units = Keyed & { units: number };
    const ofOrders = alongside<Units>(
      cursorOf(models.supplyOrders.aggregate([...promised(mine('supplier')), ...sorted])),
      doubt,
    );
    const ofPackages = alongside<Units>(
      cursorOf(models.packages.aggregate([...held(mine('account')), ...sorted])),
      doubt,
    );
    const ofJournal = alongside<Keyed & StockLevels>(
      cursorOf(models.stockJournal.aggregate([...journalled(mine('account')), ...sorted])),
      doubt,
    );
    let seen = 0;
    const rows = models.stock.find(mine('account')).sort({ _id: 1 }).lean().cursor({ batchSize: 1_000 });
    for await (const row of rows) {
      const units = ((await ofOrders(row._id))?.units ?? 0) + ((await ofPackages(row._id))?.units ?? 0);
      if (judge(row._id, row, units, await ofJournal(row._id)).length > 0) suspects.push(row._id);
      seen += 1;
      if (seen % 500 === 0) beat(seen);
      while (suspects.length > 0) {
        yield* await judgeAgain(suspects.pop() ?? '');
        beat(seen);
      }
    }
    for (const rest of [ofOrders, ofPackages, ofJournal]) await rest(null);
    for (const id of new Set(suspects)) yield* await judgeAgain(id);
    beat(seen);
  };
}
