/** A platform's ids of lines: those of a package, and those that an order of the API is given with the platform's first word about it. */
import type { ClientSession } from 'mongoose';
import { isGiftLine } from '../../domain/automation';
import { matchLines, orderLineOf, renameLines } from '../../domain/order-lines';
import type { Database } from '../database';
import type { OrderDoc, OrderLine } from '../models/documents';

/** The platform's own ids of a package's lines. It knows of no gift. */
export const platformLinesOf = (lines: readonly { readonly line: string }[]): string[] => [
  ...new Set(lines.flatMap(({ line }) => (isGiftLine(line) ? [] : orderLineOf(line)))),
];

/** Lines without a listing came through the API. */
const isOurs = ({ listing }: OrderLine) => listing === null;

/**
 * Matches the order's own lines with the platform's by SKU and quantity, and writes the platform's ids into its packages and their
 * supply orders, in the caller's transaction; quantities and prices stay. @returns the order's lines, for the caller to write
 */
export async function takePlatformLines(
  { models, now }: Database,
  session: ClientSession,
  order: Pick<OrderDoc, '_id' | 'lines'>,
  told: readonly OrderLine[],
): Promise<OrderLine[]> {
  const ours = order.lines.filter(isOurs);
  const theirs = told.filter((line) => !isOurs(line));
  if (ours.length === 0 || theirs.length === 0) return order.lines;
  const parts = matchLines(ours, theirs);
  if (parts.size === 0) return order.lines;
  const packages = await models.packages.find({ order: order._id }).session(session).lean();
  const updatedAt = now();
  for (const pkg of packages) {
    const lines = renameLines(pkg.lines, ours, parts);
    await models.packages.updateOne({ _id: pkg._id }, { $set: { lines, updatedAt } }, { session });
  }
  const supplied = await models.supplyOrders
    .find({ package: { $in: packages.map(({ _id }) => _id) } })
    .session(session)
    .lean();
  // What came back is noted by the ids there were.
  for (const { _id, lines, returned, stockedIn } of supplied)
    if (!returned && !stockedIn)
      await models.supplyOrders.updateOne({ _id }, { $set: { lines: renameLines(lines, ours, parts) } }, { session });
  const taken = new Map([...parts.values()].flat().map(({ line }) => [line, theirs.find((one) => one.line === line)]));
  const named = [...taken.values()].flatMap((line): OrderLine[] => {
    const own = line && ours.find((one) => parts.get(one.line)?.some((part) => part.line === line.line));
    return own ? [{ ...line, sku: own.sku, unmappedReason: null }] : [];
  });
  return [...order.lines.filter((line) => !isOurs(line) || !parts.has(line.line)), ...named];
}
