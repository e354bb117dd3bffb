/**
 * After-sale returns, and goods of cancelled supply orders that go back on the shelf. Both are one transaction, guarded by
 * the supply order that each of them reads and writes. Contract: orders.md, Cancelled supply orders, returns.
 */
import type { ClientSession } from 'mongoose';
import { HubError, type InputProblem } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import { CURRENCY_DECIMALS, formatDecimal, type Money } from '../../domain/money';
import { hasLeft } from '../../domain/orders';
import type { ChargeLine } from '../../domain/pricing';
import {
  chargedFor,
  findLineProblems,
  type LineProblem,
  type LineUnits,
  refundLines,
  returnChargeLine,
  sumUnits,
} from '../../domain/returns';
import { unitsBySku } from '../../domain/supply-orders';
import {
  type Database,
  found,
  newestFirst,
  olderThan,
  type Page,
  type PageRequest,
  timeCursor,
  toPage,
} from '../database';
import type { ReturnDoc, ReturnedDoc, SupplyOrderDoc } from '../models/documents';
import { createBillingRepository } from './billing';
import { createCommandLog } from './commands';
import { createNotificationRepository } from './notifications';
import { createStockRepository } from './stock';

export interface ReturnInput {
  readonly command: string;
  readonly lines: readonly LineUnits[];
  readonly refund: Money;
  /** Whether the goods are taken in. */
  readonly stockIn: boolean;
  /** Null: the one they came from. */
  readonly warehouse: string | null;
  readonly note: string | null;
}

export interface StockInInput {
  readonly command: string;
  /** Null: all that is left. */
  readonly lines: readonly LineUnits[] | null;
  readonly warehouse: string | null;
}

const problemsAt = (problems: readonly LineProblem[]): InputProblem[] =>
  problems.map(({ index, code, detail }) => ({
    pointer: `/lines/${index}/${code === 'too_many' ? 'quantity' : 'line'}`,
    code,
    detail,
  }));

/** Lines that are not there, or named twice, are wrong input whatever their quantity. */
const isWrongInput = (problems: readonly LineProblem[]) => problems.some(({ code }) => code !== 'too_many');

/** @param others what is wrong besides, named with them */
function refuseLines(
  problems: readonly LineProblem[],
  code: 'return_exceeds_shipped' | 'stock_in_exceeds_order',
  others: readonly InputProblem[] = [],
) {
  if (problems.length === 0) return;
  const detail = problems.map((one) => one.detail).join('; ');
  throw new HubError(isWrongInput(problems) ? 'invalid_input' : code, detail, {
    errors: [...problemsAt(problems), ...others],
  });
}

/** Units by SKU of these lines. */
const bySku = (lines: readonly LineUnits[], { lines: there }: SupplyOrderDoc) =>
  unitsBySku(lines.map(({ line, quantity }) => ({ sku: there.find((one) => one.line === line)?.sku ?? '', quantity })));

export type ReturnRepository = ReturnType<typeof createReturnRepository>;

export function createReturnRepository(db: Database) {
  const { models, now } = db;
  const billing = createBillingRepository(db);
  const commands = createCommandLog(db);
  const notifications = createNotificationRepository(db);
  const stock = createStockRepository(db);

  async function supplyOrderOf(session: ClientSession, supplier: string, id: string): Promise<SupplyOrderDoc> {
    return found(
      await models.supplyOrders.findById(id).session(session).lean(),
      'supply order',
      (row) => row.supplier === supplier,
    );
  }

  /** Checked before anything is written. All that is wrong is named, under the code of the first. */
  function refuseReturn(row: SupplyOrderDoc, { lines, refund }: ReturnInput): void {
    const { currency } = row;
    const problems = findLineProblems(lines, row.lines, row.returned?.lines ?? []);
    const most = chargedFor(lines, row.lines);
    const text = formatDecimal(most, CURRENCY_DECIMALS[currency]);
    const ofRefund: InputProblem[] = [];
    if (refund.currency !== currency)
      ofRefund.push({ pointer: '/refund/currency', code: 'currency_mismatch', detail: `must be ${currency}` });
    else if (refund.amount > most && !isWrongInput(problems))
      ofRefund.push({ pointer: '/refund/amount', code: 'too_large', detail: `must be at most ${text}` });
    refuseLines(problems, 'return_exceeds_shipped', ofRefund);
    if (!hasLeft(row.status))
      throw new HubError('return_exceeds_shipped', `The supply order is ${row.status}: nothing of it was shipped`, {
        members: { currentStatus: row.status },
      });
    const [wrong] = ofRefund;
    if (wrong?.code === 'currency_mismatch')
      throw new HubError('currency_mismatch', `The order was charged in ${currency}`, { errors: ofRefund });
    if (wrong)
      throw new HubError('refund_exceeds_charge', `${text} ${currency} were charged for these lines`, {
        errors: ofRefund,
        members: { most: { amount: text, currency } },
      });
  }

  async function bookReturn(
    session: ClientSession,
    row: SupplyOrderDoc,
    made: ReturnDoc,
    charge: ChargeLine | null,
  ): Promise<void> {
    const { partnership, currency } = row;
    const common = { partnership, currency, package: row.package, document: made._id };
    const refund = { amount: made.refund, currency };
    if (made.refund > 0)
      await billing.book(session, {
        ...common,
        id: `return-refund/${made._id}`,
        type: 'return_refund',
        amount: made.refund,
        lines: refundLines(made.lines, row.lines, refund),
      });
    if (charge !== null)
      await billing.book(session, {
        ...common,
        id: `return-charge/${made._id}`,
        type: 'return_charge',
        amount: -charge.amount.amount,
        lines: [charge],
      });
  }

  async function takeInOnce(
    session: ClientSession,
    supplier: string,
    id: string,
    input: ReturnInput,
  ): Promise<{ row: ReturnDoc; lanes: string[] }> {
    const _id = idFor('return', input.command);
    const there = await models.returns.findOne({ _id, supplier }).session(session).lean();
    if (there) return { row: there, lanes: [] };
    const row = await supplyOrderOf(session, supplier, id);
    refuseReturn(row, input);
    const { currency } = row;
    const warehouse = input.stockIn ? (input.warehouse ?? row.warehouse) : null;
    const charge = warehouse === null ? null : returnChargeLine(row.returnFee ?? null, input.lines, currency);
    const made: ReturnDoc = {
      _id,
      supplyOrder: id,
      package: row.package,
      supplier,
      distributor: row.distributor,
      partnership: row.partnership,
      lines: input.lines.map(({ line, quantity }) => ({
        line,
        quantity,
        sku: row.lines.find((one) => one.line === line)?.sku ?? '',
      })),
      warehouse,
      note: input.note,
      refund: input.refund.amount,
      charge: charge?.amount.amount ?? 0,
      currency,
      at: now(),
    };
    const lanes: string[] = [];
    if (warehouse !== null)
      for (const [sku, quantity] of bySku(input.lines, row)) {
        const change = { account: supplier, warehouse, sku, kind: 'stockIn' as const, quantity };
        const key = `${_id}/${sku}`;
        lanes.push(
          ...(await stock.adjustWithin(session, { ...change, reason: 'order returned', document: _id, key })).lanes,
        );
      }
    await bookReturn(session, row, made, charge);
    await models.returns.collection.insertOne(made as never, { session });
    const returned: ReturnedDoc = {
      lines: sumUnits(row.returned?.lines ?? [], input.lines),
      refunded: (row.returned?.refunded ?? 0) + made.refund,
      charged: (row.returned?.charged ?? 0) + made.charge,
    };
    const set = { $set: { returned, updatedAt: made.at } };
    await models.supplyOrders.collection.updateOne({ _id: id } as never, set, { session });
    await models.packages.collection.updateOne({ _id: row.package } as never, set, { session });
    const units = input.lines.reduce((sum, { quantity }) => sum + quantity, 0);
    await notifications.notify(session, {
      account: row.distributor,
      event: 'order_returned',
      occurrence: _id,
      document: row.package,
      detail: `${units} units came back; ${formatDecimal(made.refund, CURRENCY_DECIMALS[currency])} ${currency} are refunded`,
    });
    return { row: made, lanes: [...new Set(lanes)] };
  }

  /** Recalled goods go on a shelf. Theirs: the books had them there all the time. Another: they move there. */
  async function putBack(
    session: ClientSession,
    row: SupplyOrderDoc,
    { sku, quantity, warehouse, key }: { sku: string; quantity: number; warehouse: string; key: string },
  ): Promise<string[]> {
    const change = { account: row.supplier, sku, reason: 'recalled goods stocked in', document: row.package };
    if (warehouse === row.warehouse) {
      await stock.change(session, { ...change, warehouse, kind: 'stockIn', key: `${key}/in`, by: {} });
      return [];
    }
    const from = { ...change, warehouse: row.warehouse, kind: 'transferOut' as const, key: `${key}/out` };
    await stock.change(session, { ...from, by: { onHand: -quantity } });
    const into = { ...change, warehouse, kind: 'stockIn' as const, quantity, key: `${key}/in` };
    return (await stock.adjustWithin(session, into)).lanes;
  }

  async function stockInOnce(session: ClientSession, supplier: string, id: string, input: StockInInput) {
    const row = await supplyOrderOf(session, supplier, id);
    if ((await commands.resultOf(session, 'stock-in', id, input.command)) !== null)
      return { supplyOrder: row, lanes: [] as string[] };
    if (row.status !== 'cancelled')
      throw new HubError('invalid_transition', `The supply order is ${row.status}, not cancelled`, {
        members: { currentStatus: row.status },
      });
    if ((row.cancelledFrom ?? 'new') === 'new')
      throw new HubError('stock_in_exceeds_order', 'It was cancelled before it was packed: nothing left the shelf');
    const warehouse = input.warehouse ?? row.warehouse;
    const place = await models.warehouses.findOne({ _id: warehouse, account: supplier }).session(session).lean();
    if (found(place, `warehouse ${warehouse}`).kind !== 'own')
      throw new HubError('stock_is_mirrored', 'The warehouse is not the account’s own: name one that is');
    const gone = row.stockedIn?.lines ?? [];
    const left = row.lines.flatMap(({ line, quantity }) => {
      const rest = quantity - (gone.find((one) => one.line === line)?.quantity ?? 0);
      return rest > 0 ? [{ line, quantity: rest }] : [];
    });
    const lines = input.lines ?? left;
    refuseLines(findLineProblems(lines, row.lines, gone), 'stock_in_exceeds_order');
    if (lines.length === 0) throw new HubError('stock_in_exceeds_order', 'All of it was stocked in already');
    const lanes: string[] = [];
    for (const [sku, quantity] of bySku(lines, row)) {
      const key = `${id}/stock-in/${input.command}/${sku}`;
      lanes.push(...(await putBack(session, row, { sku, quantity, warehouse, key })));
    }
    await commands.note(session, 'stock-in', id, { command: input.command, result: 'done' });
    const stockedIn = { lines: sumUnits(gone, lines) };
    const updatedAt = now();
    await models.supplyOrders.collection.updateOne(
      { _id: id } as never,
      { $set: { stockedIn, updatedAt } },
      { session },
    );
    return { supplyOrder: { ...row, stockedIn, updatedAt }, lanes: [...new Set(lanes)] };
  }

  return {
    /**
     * Takes a return: refund, charge, stock and both sides' documents, all or nothing. The same command again answers with
     * the return it made. 404; 422 `return_exceeds_shipped`, `refund_exceeds_charge`; 409 `stock_is_mirrored`.
     */
    takeIn: (supplier: string, id: string, input: ReturnInput): Promise<{ row: ReturnDoc; lanes: string[] }> =>
      db.transact((session) => takeInOnce(session, supplier, id, input), `stock/${supplier}`),

    /** Puts goods of a cancelled supply order on a shelf. 404; 409 `invalid_transition`; 422 `stock_in_exceeds_order`. */
    stockIn: (
      supplier: string,
      id: string,
      input: StockInInput,
    ): Promise<{ supplyOrder: SupplyOrderDoc; lanes: string[] }> =>
      db.transact((session) => stockInOnce(session, supplier, id, input), `stock/${supplier}`),

    /** Returns, newest first: of a supply order for its supplier, of packages for their distributor. */
    async list(
      of: { supplier: string; supplyOrder: string } | { distributor: string; packages: readonly string[] },
      page: PageRequest,
    ): Promise<Page<ReturnDoc>> {
      const filter = 'supplier' in of ? of : { distributor: of.distributor, package: { $in: [...of.packages] } };
      const rows = await models.returns
        .find({ ...filter, ...olderThan<ReturnDoc>('at', page.after) })
        .sort(newestFirst('at'))
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, (row) => timeCursor(row.at, row._id));
    },
  };
}
