/**
 * What must hold of a hub at rest, whatever was killed before: read from the database and from the sandbox's shops, and
 * reckoned from the documents alone. Each thing that does not hold is named in one line.
 */
import { quotaMonth } from '../../domain/accounts';
import { orderPushId, orderRecallId } from '../../domain/process-ids';
import { decideQuantity, type PushRule } from '../../domain/push-rules';
import { isUndone, packageStatusOf, UNSHIPPED_STATUSES } from '../../domain/supply-orders';
import { isFromBooks } from '../../domain/verification';
import type { SandboxControl } from '../../sandbox/control';
import type { Store } from '../../store';
import type { PackageDoc, RecordDoc, StockDoc, SupplyOrderDoc } from '../../store/models/documents';
import { eventually } from './hub';

const FIELDS = ['onHand', 'allocated', 'reserved', 'inTransit'] as const;

/** Reads everything that the checks are about. */
async function readAll({ database: { models } }: Store) {
  const [packages, orders, supplyOrders, records, accounts, stock, journal, warehouses, claims] = await Promise.all([
    models.packages.find().lean(),
    models.orders.find().lean(),
    models.supplyOrders.find().lean(),
    models.records.find().lean(),
    models.billingAccounts.find().lean(),
    models.stock.find().lean(),
    models.stockJournal.find().lean(),
    models.warehouses.find().lean(),
    models.claims.find().lean(),
  ]);
  const returns = await models.returns.find().lean();
  const [partnerships, dues, quotas, operations, inbox, stores, listings, rules, owners, pushRecords] =
    await Promise.all([
      models.partnerships.find().lean(),
      models.dues.find().lean(),
      models.quotas.find().lean(),
      models.operations.find().lean(),
      models.inbox.find().lean(),
      models.stores.find().lean(),
      models.listings.find().lean(),
      models.pushRules.find().lean(),
      models.accounts.find().lean(),
      models.pushRecords.find().lean(),
    ]);
  return {
    ...{ returns, packages, orders, supplyOrders, records, accounts, stock, journal, warehouses, claims },
    ...{ partnerships, dues, quotas, operations, inbox, stores, listings, rules, owners, pushRecords },
  };
}
type Everything = Awaited<ReturnType<typeof readAll>>;

/** Sums by key. */
function sums<T>(rows: readonly T[], keyed: (row: T) => readonly (readonly [string, number])[]): Map<string, number> {
  const result = new Map<string, number>();
  for (const row of rows) for (const [key, value] of keyed(row)) result.set(key, (result.get(key) ?? 0) + value);
  return result;
}

/** Says where two tallies differ; what one does not name is 0 in it. */
function* differences(what: string, there: Map<string, number>, wanted: Map<string, number>): Generator<string> {
  for (const key of new Set([...there.keys(), ...wanted.keys()])) {
    const [is, should] = [there.get(key) ?? 0, wanted.get(key) ?? 0];
    if (is !== should) yield `${what} of ${key} is ${is}, not ${should}`;
  }
}

/** In these a package's supply order lives, or lived. */
const AT_REST = [
  'new',
  'push_failed',
  'cancelled',
  'pushed',
  'packed',
  'to_pickup',
  'shipped',
  'completed',
  'recalled',
];
/** A recall that waits for the supplier is at rest, too. */
const isAsked = (pkg: PackageDoc | undefined) => pkg?.recall?.state === 'asked';

/** Recalled for a cancellation that did not come about: its package is another attempt's by now, or nobody's. */
const isFormer = ({ _id, package: id, status }: SupplyOrderDoc, packages: readonly PackageDoc[]) =>
  status === 'cancelled' && packages.some((pkg) => pkg._id === id && pkg.supplyOrder !== _id);

function* packageProblems({ packages, orders, supplyOrders, operations }: Everything): Generator<string> {
  const standing = supplyOrders.filter((row) => !isUndone(row.outbound) && !isFormer(row, packages));
  const supplied = new Map(standing.map((row) => [row.package, row]));
  if (supplied.size !== standing.length) yield 'a package has two supply orders';
  for (const pkg of packages) {
    const supplyOrder = supplied.get(pkg._id);
    const wanted = supplyOrder === undefined ? pkg.status : packageStatusOf(supplyOrder.status);
    if (isAsked(pkg) ? pkg.status !== 'recalling' : !AT_REST.includes(pkg.status)) yield `${pkg._id} is ${pkg.status}`;
    else if (!isAsked(pkg) && pkg.status !== wanted) yield `${pkg._id} is ${pkg.status}, its supply order ${wanted}`;
    if (pkg.outbound) yield `the outbound order of ${pkg._id} is ${pkg.outbound.state}`;
    if (pkg.parked) yield `${pkg._id} is parked`;
    if (!orders.some((order) => order._id === pkg.order && order.packages.includes(pkg._id)))
      yield `${pkg._id} is in no order`;
    // Its platform says that it left: nobody here was given it, and nothing was charged.
    const isLeft = ['shipped', 'completed'].includes(pkg.status) && pkg.supplyOrder === null && pkg.charge === null;
    const isUnpushed = ['new', 'push_failed', 'cancelled'].includes(pkg.status) || pkg.partnership === null || isLeft;
    if (isUnpushed !== (supplyOrder === undefined)) yield `${pkg._id} is ${pkg.status}: supply order?`;
    if (pkg.supplyOrder !== (supplyOrder?._id ?? null)) yield `${pkg._id} names the supply order ${pkg.supplyOrder}`;
    if (pkg.status === 'push_failed' && pkg.blockers.length === 0 && pkg.failure === null)
      yield `${pkg._id} failed without a reason`;
    if (pkg.recall?.open && !isAsked(pkg)) yield `the recall of ${pkg._id} is ${pkg.recall.state}`;
    if (supplyOrder && JSON.stringify(supplyOrder.shipment) !== JSON.stringify(pkg.shipment))
      yield `the two sides of ${pkg._id} show different shipments`;
    if (supplyOrder && JSON.stringify(supplyOrder.recall) !== JSON.stringify(pkg.recall))
      yield `the two sides of ${pkg._id} show different recalls`;
    if (pkg.shipment?.open) yield `the platform of ${pkg._id} is to be told of its shipment`;
  }
  for (const row of supplyOrders)
    if (!packages.some(({ _id }) => _id === row.package)) yield `${row._id} has no package`;
  const numbers = new Set(orders.map(({ account, store, platformOrder }) => `${account}/${store}/${platformOrder}`));
  if (numbers.size !== orders.length) yield 'an order was taken in twice';
  for (const { workflowId, kind, status, document } of operations) {
    const pkg = packages.find(({ _id }) => _id === document);
    const waits = kind === 'order_recall' && isAsked(pkg);
    if ((status === 'running' && !waits) || status === 'parked') yield `operation ${workflowId} is ${status}`;
    if (kind === 'order_push' && workflowId === orderPushId(document, pkg?.attempt ?? 0)) {
      const isFormers = supplyOrders.some((row) => row.package === document && isFormer(row, packages));
      if ((status === 'done') !== (pkg?.supplyOrder !== null) && !isFormers)
        yield `operation ${workflowId} is ${status}, its package ${pkg?.status}`;
    }
    if (kind === 'order_recall' && workflowId === orderRecallId(document, pkg?.recall?.attempt ?? 0)) {
      if (!waits && (status === 'done') !== (pkg?.recall?.state === 'recalled'))
        yield `operation ${workflowId} is ${status}, the recall ${pkg?.recall?.state}`;
    }
  }
}

function* billingProblems(all: Everything): Generator<string> {
  const { records, supplyOrders, accounts } = all;
  const pushed = records.filter(({ type }) => type === 'order_push');
  const refunds = records.filter(({ type }) => type === 'order_recall');
  const reversals = records.filter(({ type }) => type === 'push_reversal');
  for (const row of [...pushed, ...refunds, ...reversals]) {
    const what = row.type === 'order_push' ? 'charge' : 'refund';
    const amount = row.type === 'order_push' ? -row.amount : row.amount;
    const supplyOrder = supplyOrders.find(({ _id }) => _id === row.document);
    if (!supplyOrder) yield `the ${what} ${row._id} has no supply order`;
    else if (supplyOrder.package !== row.package) yield `the ${what} ${row._id} is of another package`;
    else if (supplyOrder.charge.total.amount !== amount) yield `the ${what} ${row._id} has another amount`;
  }
  for (const row of supplyOrders) {
    const countIn = (rows: readonly RecordDoc[]) => rows.filter(({ document }) => document === row._id).length;
    if (countIn(pushed) !== 1) yield `${row._id} was charged ${countIn(pushed)} times`;
    const isOver = row.status === 'cancelled';
    if (isUndone(row.outbound) && !isOver) yield `${row._id} was undone and is ${row.status}`;
    const undone = isUndone(row.outbound) ? 1 : 0;
    if (countIn(reversals) !== undone) yield `${row._id} was reversed ${countIn(reversals)} times`;
    const back = isOver ? 1 - undone : 0;
    if (countIn(refunds) !== back) yield `${row._id} is ${row.status} and was refunded ${countIn(refunds)} times`;
  }
  yield* returnProblems(all);
  const balances = sums(accounts, ({ _id, balance }) => [[_id, balance]]);
  yield* differences(
    'balance',
    balances,
    sums(records, ({ partnership, amount }) => [[partnership, amount]]),
  );
  // Only a push is refused for funds: a charge for a return may go beyond the credit.
  for (const { _id, creditLimit } of accounts)
    for (const row of pushed)
      if (row.partnership === _id && row.balanceAfter < -creditLimit)
        yield `${row._id} went beyond the credit of ${_id}`;
}

/** What came back was shipped, was booked once with what both sides show, and never gave back more than was charged for it. */
function* returnProblems({ returns, records, supplyOrders, packages, journal }: Everything): Generator<string> {
  for (const row of supplyOrders) {
    const own = returns.filter(({ supplyOrder }) => supplyOrder === row._id);
    const shown = packages.find(({ _id }) => _id === row.package)?.returned ?? null;
    if (JSON.stringify(shown) !== JSON.stringify(row.returned ?? null))
      yield `the two sides of ${row._id} show different returns`;
    const came = sums(own, ({ lines }) => lines.map(({ line, quantity }) => [line, quantity] as const));
    const noted = sums(row.returned?.lines ?? [], ({ line, quantity }) => [[line, quantity]]);
    yield* differences(`units of ${row._id} returned by line`, noted, came);
    if (came.size > 0 && row.status !== 'shipped' && row.status !== 'completed') yield `${row._id} came back unshipped`;
    for (const { line, quantity } of row.lines)
      if ((came.get(line) ?? 0) > quantity) yield `more of line ${line} of ${row._id} came back than was shipped`;
    const worth = row.lines.reduce((sum, { line, price }) => sum + price * (came.get(line) ?? 0), 0);
    const refunded = own.reduce((sum, { refund }) => sum + refund, 0);
    if (refunded > worth) yield `${row._id} was refunded ${refunded}, its returned lines were charged ${worth}`;
    if ((row.returned?.refunded ?? 0) !== refunded) yield `${row._id} shows another refund than its returns`;
  }
  const booked = (type: string) =>
    sums(
      records.filter((row) => row.type === type),
      ({ document, amount }) => [[document ?? '', amount]],
    );
  yield* differences(
    'refund',
    booked('return_refund'),
    sums(returns, ({ _id, refund }) => [[_id, refund]]),
  );
  yield* differences(
    'return charge',
    booked('return_charge'),
    sums(returns, ({ _id, charge }) => [[_id, -charge]]),
  );
  yield* differences(
    'units taken in',
    sums(
      journal.filter(({ reason }) => reason === 'order returned'),
      ({ document, sku, before, after }) => [[`${document}/${sku}`, after.onHand - before.onHand]],
    ),
    sums(returns, ({ _id, warehouse, lines }) =>
      warehouse === null ? [] : lines.map(({ sku, quantity }) => [`${_id}/${sku}`, quantity] as const),
    ),
  );
  for (const row of records)
    if (row.lines.length > 0 && row.lines.reduce((sum, { amount }) => sum + amount.amount, 0) !== Math.abs(row.amount))
      yield `the lines of ${row._id} do not add up to it`;
}

/** What left the shelf and what was released stands in the journal, once. */
function* journalProblems({ supplyOrders, journal, packages }: Everything): Generator<string> {
  const unitsOf = (rows: readonly SupplyOrderDoc[]) =>
    sums(rows, (row) => row.lines.map(({ sku, quantity }) => [`${row.package}/${sku}`, quantity] as const));
  const gone = (status: string) => status === 'shipped' || status === 'completed';
  const shipped = journal.filter(({ kind }) => kind === 'ship');
  yield* differences(
    'units shipped',
    sums(shipped, ({ document, sku, before, after }) => [[`${document}/${sku}`, before.onHand - after.onHand]]),
    new Map([
      ...unitsOf(supplyOrders.filter(({ status }) => gone(status))),
      ...sums(
        packages.filter((pkg) => isFromBooks(pkg) && gone(pkg.status)),
        ({ _id, lines }) => lines.map(({ sku, quantity }) => [`${_id}/${sku}`, quantity] as const),
      ),
    ]),
  );
  yield* differences(
    'units released by a recall',
    sums(
      journal.filter(({ kind, reason }) => kind === 'release' && reason === 'order recalled'),
      ({ document, sku, before, after }) => [[`${document}/${sku}`, before.allocated - after.allocated]],
    ),
    unitsOf(supplyOrders.filter(({ status, outbound }) => status === 'cancelled' && !isUndone(outbound))),
  );
  yield* differences(
    'units released by an undone push',
    sums(
      journal.filter(({ kind, reason }) => kind === 'release' && reason === 'push undone'),
      ({ document, sku, before, after }) => [[`${document}/${sku}`, before.allocated - after.allocated]],
    ),
    unitsOf(supplyOrders.filter(({ outbound }) => isUndone(outbound))),
  );
}

const allocatedOf = (rows: readonly StockDoc[]) => sums(rows, ({ _id, allocated }) => [[_id, allocated]]);

function* stockProblems(all: Everything): Generator<string> {
  const { stock, journal, packages, supplyOrders } = all;
  const held = packages.filter(({ allocated }) => allocated);
  const heldBy = (rows: readonly PackageDoc[]) =>
    sums(rows, ({ warehouse, lines }) => lines.map((line) => [`${warehouse}/${line.sku}`, line.quantity] as const));
  const promised = sums(
    supplyOrders.filter(({ status }) => UNSHIPPED_STATUSES.includes(status)),
    ({ warehouse, lines }) => lines.map((line) => [`${warehouse}/${line.sku}`, line.quantity] as const),
  );
  for (const [key, quantity] of heldBy(held.filter(({ partnership }) => partnership === null)))
    promised.set(key, (promised.get(key) ?? 0) + quantity);
  const own = stock.filter(({ mirrored }) => !mirrored);
  yield* differences('allocated', allocatedOf(own), promised);
  const waiting = held.filter(({ partnership }) => partnership !== null);
  for (const { _id, status } of waiting)
    if (!['new', 'pushing', 'push_failed'].includes(status)) yield `${_id} is ${status} and holds stock`;
  const mirrored = stock.filter((row) => row.mirrored);
  yield* differences('allocated for the supplier', allocatedOf(mirrored), heldBy(waiting));
  for (const field of FIELDS)
    yield* differences(
      `${field} by the journal against ${field}`,
      sums(journal, ({ warehouse, sku, before, after }) => [[`${warehouse}/${sku}`, after[field] - before[field]]]),
      sums(stock, (row) => [[row._id, row[field]]]),
    );
  for (const row of stock) {
    const free = row.onHand - row.allocated - row.reserved;
    if (row.available !== (row.mirrored ? Math.max(0, free) : free))
      yield `available of ${row._id} is ${row.available}, not ${free}`;
    for (const field of [...FIELDS, 'available'] as const)
      if (row[field] < 0) yield `${field} of ${row._id} is below 0`;
  }
  yield* mirrorProblems(all);
}

/** What a distributor sees is what the supplier has, for the warehouses it was given. */
function* mirrorProblems({ stock, warehouses, claims, partnerships, pushRecords }: Everything): Generator<string> {
  const rows = new Map(stock.map((row) => [row._id, row]));
  for (const { _id, source } of warehouses)
    for (const claim of claims) {
      if (source === null || claim.partnership !== source.partnership) continue;
      const terms = partnerships.find((row) => row._id === claim.partnership);
      const counts =
        terms?.status === 'partnered' &&
        terms.warehouses.includes(source.warehouse) &&
        !claim.stopped &&
        claim.causes.length === 0;
      const wanted = counts ? (rows.get(`${source.warehouse}/${claim.supplierSku}`)?.available ?? 0) : 0;
      const onHand = rows.get(`${_id}/${claim.sku}`)?.onHand ?? 0;
      if (onHand !== wanted) yield `onHand of ${_id}/${claim.sku} is ${onHand}, its source has ${wanted}`;
    }
  for (const claim of claims) {
    const places = warehouses.filter(({ source }) => source?.partnership === claim.partnership);
    const onHand = places.reduce((sum, { _id }) => sum + (rows.get(`${_id}/${claim.sku}`)?.onHand ?? 0), 0);
    const recorded = pushRecords.find(({ _id }) => _id === claim._id)?.latest.quantity ?? 0;
    if (recorded !== onHand) yield `${claim._id} has ${onHand} of ${claim.sku}, recorded is ${recorded}`;
  }
}

function* leftovers({ dues, inbox, quotas, packages, supplyOrders }: Everything): Generator<string> {
  for (const { _id, failed } of dues) yield `${_id} is ${failed ? 'set aside' : 'due'}`;
  for (const { _id, status } of inbox) if (status === 'stored') yield `${_id} waits in the inbox`;
  const month = (at: Date | null) => quotaMonth(at ?? new Date(0));
  const made = supplyOrders.filter(({ outbound }) => !isUndone(outbound));
  const used = sums(made, ({ distributor, supplier, pushedAt }) => [
    [`${distributor}:${month(pushedAt)}`, 1],
    [`${supplier}:${month(pushedAt)}`, 1],
  ]);
  yield* differences(
    'quota used',
    sums(quotas, ({ _id, used: count }) => [[_id, count]]),
    used,
  );
  yield* differences(
    'supply orders',
    sums(
      made.filter((row) => !isFormer(row, packages)),
      ({ distributor }) => [[distributor, 1]],
    ),
    sums(
      packages.filter(({ supplyOrder }) => supplyOrder !== null),
      ({ account }) => [[account, 1]],
    ),
  );
}

/** Each shop shows what the rule gives now. */
async function shopProblems(all: Everything, control: Pick<SandboxControl, 'shop'>): Promise<string[]> {
  const problems: string[] = [];
  for (const store of all.stores) {
    if (store.status !== 'connected' || store.shopId === null) continue;
    if (!all.owners.find(({ _id }) => _id === store.account)?.inventoryEnabled) continue;
    const shop = await control.shop(store.platform as 'shopee' | 'lazada', store.shopId);
    const rules = all.rules.filter(({ account }) => account === store.account);
    const shown = new Map(
      shop.items.flatMap(({ itemId, models }) => models.map(({ modelId, stock }) => [`${itemId}/${modelId}`, stock])),
    );
    for (const listing of all.listings) {
      if (listing.store !== store._id || listing.sku === null) continue;
      const { sku } = listing;
      const claims = all.claims.filter((row) => row.distributor === store.account && row.sku === sku && !row.stopped);
      const rows = all.stock.filter((row) => row.account === store.account && row.sku === sku);
      const decision = decideQuantity({
        rules: rules.map(({ _id, ...rule }): PushRule => ({ id: _id, ...rule })),
        sku: {
          sku,
          category: null,
          mappedIn: new Set([store._id]),
          levels: new Map(
            rows.map(({ warehouse, available, inTransit }) => [warehouse, { available, inTransit }] as const),
          ),
          active: claims.length === 0 || claims.some(({ causes }) => causes.length === 0),
        },
        store: store._id,
        can: { preOrder: false, largestQuantity: Number.MAX_SAFE_INTEGER },
        automatic: listing.automatic,
        forced: false,
        wasInPreOrder: () => false,
      });
      if (decision.kind === 'skip') continue;
      const quantity = shown.get(`${listing.item}/${listing.model}`);
      const place = `${sku} in ${store.platform} ${store._id}`;
      if (quantity !== decision.quantity)
        problems.push(`${place} shows ${quantity}, the rule gives ${decision.quantity}`);
      const record = all.pushRecords.find(({ _id }) => _id === listing._id);
      if (record?.accepted !== quantity) problems.push(`${place} shows ${quantity}, recorded is ${record?.accepted}`);
    }
  }
  return problems;
}

function documentProblems(all: Everything): string[] {
  return [...packageProblems(all), ...billingProblems(all), ...stockProblems(all), ...journalProblems(all)];
}

/** @returns what does not hold among the documents alone, due or not */
export async function findDocumentProblems(store: Store): Promise<string[]> {
  return documentProblems(await readAll(store));
}

/** @returns one line for each thing that does not hold */
export async function findProblems(hub: {
  readonly store: Store;
  readonly control: Pick<SandboxControl, 'shop'>;
}): Promise<string[]> {
  const all = await readAll(hub.store);
  return [
    ...documentProblems(all),
    ...leftovers(all),
    ...(await shopProblems(all, hub.control)),
    ...(await hub.store.audit.verify()).damages.map(({ kind, row, detail }) => `audit row ${row} ${kind}: ${detail}`),
  ];
}

/** Waits until the hub came to rest with everything as it must be; else fails with what is not. */
export async function expectAllInOrder(hub: Parameters<typeof findProblems>[0]): Promise<void> {
  await eventually(async () => {
    const problems = await findProblems(hub);
    if (problems.length > 0) throw new Error(problems.slice(0, 30).join('\n'));
  });
}
