/** Orders, their packages, the push to the supplier, and supply orders. Contract: orders.md, Push. */
import type { ClientSession } from 'mongoose';
import { FAILURES, type FailureCode, HubError, hintOf } from '../../domain/failures';
import { type Blocker, causesOf, findBlockers, hasLeft, type PackageStatus } from '../../domain/orders';
import { type Charge, computeCharge, NO_RATE, noFees, type RateFound } from '../../domain/pricing';
import { orderPushId } from '../../domain/process-ids';
import type { ReturnFee } from '../../domain/returns';
import { unitsBySku } from '../../domain/supply-orders';
import { type Database, found, type Page, type PageRequest, toPage } from '../database';
import type { ClaimDoc, PackageDoc, PartnershipDoc, SupplierDoc, SupplyOrderDoc } from '../models/documents';
import { createAccountRepository } from './accounts';
import { createBillingRepository } from './billing';
import { createCancellationRepository } from './cancellations';
import { createLabelRepository } from './labels';
import { changeMirrored } from './mirrored-stock';
import { createNotificationRepository } from './notifications';
import { createOperationRepository } from './operations';
import { createOrderIntake } from './order-intake';
import { createOrderLists, type OrderView } from './order-lists';
import { createOrderMapping } from './order-mapping';
import { createOutboundPushes, HELD_OUTSIDE, pushedBy, supplyOrderIdOf, waitingFor } from './outbound-pushes';
import { createOwnShipmentRepository } from './own-shipments';
import { platformLinesOf } from './platform-lines';
import { createPriceRepository } from './prices';
import { beginWithdrawal, createRecallRepository, OWN_ALLOCATION } from './recalls';
import { createRecipients, type Recipient } from './recipients';
import { createStockRepository, stockId } from './stock';
import { createSupplyAutomation, type SupplyRules, supplyRulesOf, withRules } from './supply-automation';
import { createSupplyOrderRepository } from './supply-orders';

export type { OrderView, Recipient };
export { supplyOrderIdOf };

/** Where a platform knows a supply order's parcel, and whether it may pack it now. */
export interface ParcelAtPlatform {
  readonly store: string;
  readonly platformOrder: string;
  readonly lineIds: readonly string[];
  readonly mayPack: boolean;
}

/** What one attempt to push came to. */
export type PushOutcome =
  | { readonly outcome: 'pushed'; readonly supplyOrder: string; readonly lanes: readonly string[] }
  | { readonly outcome: 'refused'; readonly blockers: readonly Blocker[]; readonly lanes: readonly string[] }
  /** Another attempt, a recall or an abandon came first. */
  | { readonly outcome: 'superseded'; readonly status: PackageStatus; readonly lanes: readonly string[] }
  /** Done here; the operator of the warehouse is still to take the outbound order. */
  | { readonly outcome: 'outbound'; readonly supplyOrder: string; readonly lanes: readonly string[] };

export type PushStart =
  | {
      readonly kind: 'started' | 'running' | 'parked';
      readonly workflowId: string;
      readonly attempt: number;
      readonly package: string;
      readonly supplier: string;
    }
  | {
      readonly kind: 'pushed';
      readonly workflowId: string;
      readonly attempt: number;
      readonly package: string;
      readonly supplyOrder: string;
    }
  | { readonly kind: 'blocked'; readonly package: string; readonly blockers: readonly Blocker[] };

export interface PushFailure {
  readonly code: string;
  readonly detail: string;
}

interface PushTerms {
  readonly partnership: PartnershipDoc;
  readonly supplier: SupplierDoc;
  /** From base to settlement currency; fees are converted with it. */
  readonly rate: RateFound | null;
  readonly claims: readonly ClaimDoc[];
  readonly limits: ReadonlyMap<string, number | null>;
  /** The supplier's, for what comes new to them. */
  readonly rules: SupplyRules;
}

const OWN_GOODS = 'The package holds the account’s own goods; there is nobody to push it to';

/** These can be pushed now, or again; of all others nothing is judged. */
const isPushable = ({ status, parked }: PackageDoc) => status === 'new' || status === 'push_failed' || parked;

/** Fixed with the other fees; catalogue.md, Fees. */
const returnFeeOf = ({ supplier, rate }: PushTerms): ReturnFee | null =>
  supplier.fees && rate
    ? {
        ...supplier.fees.stockInReturn,
        ...{ rate: rate.text, source: rate.source, fetchedAt: rate.fetchedAt ?? null },
      }
    : null;

export type OrderRepository = ReturnType<typeof createOrderRepository>;

export function createOrderRepository(db: Database) {
  const { models, now } = db;
  const accounts = createAccountRepository(db);
  const billing = createBillingRepository(db);
  const notifications = createNotificationRepository(db);
  const operations = createOperationRepository(db);
  const pricing = createPriceRepository(db);
  const stock = createStockRepository(db);
  const intake = createOrderIntake(db);
  const recipients = createRecipients(db);

  /** What the parties agreed on. It may be read before the transaction: nothing a push is guarded by stands in it. */
  async function termsOf(pkg: PackageDoc): Promise<PushTerms> {
    if (pkg.supplier === null || pkg.partnership === null) throw new HubError('not_pushable', OWN_GOODS);
    const supplierSkus = pkg.lines.flatMap(({ supplierSku }) => supplierSku ?? []);
    const [partnership, supplier, claims, limits, rules] = await Promise.all([
      models.partnerships.findById(pkg.partnership).lean(),
      models.suppliers.findById(pkg.supplier).lean(),
      models.claims.find({ partnership: pkg.partnership, supplierSku: { $in: supplierSkus } }).lean(),
      accounts.quotaLimits([pkg.supplier, pkg.account]),
      supplyRulesOf(db, pkg.supplier, pkg.supplierWarehouse),
    ]);
    const setup = found(supplier, 'set-up');
    return {
      partnership: found(partnership, 'partnership'),
      supplier: setup,
      rate: pkg.currency === null ? null : await pricing.rate(null, setup, pkg.currency),
      claims,
      limits,
      rules,
    };
  }

  /** Stock, funds and quota as they are now (in the caller's snapshot), and every blocker that holds. */
  async function judge(
    session: ClientSession | null,
    pkg: PackageDoc,
    { partnership, supplier, rate, claims, limits }: PushTerms,
  ): Promise<{ blockers: Blocker[]; charge: Charge | null }> {
    const supplierSkus = [...new Set(pkg.lines.flatMap(({ supplierSku }) => supplierSku ?? []))];
    const levels = await models.stock
      .find({ _id: { $in: supplierSkus.map((sku) => stockId(pkg.supplierWarehouse ?? '', sku)) } })
      .session(session)
      .lean();
    const account = await billing.account(session, partnership._id);
    const used = await accounts.quotaUsed(session, [partnership.supplier, partnership.distributor]);
    const quotaOf = (id: string) => ({ used: used.get(id) ?? 0, limit: limits.get(id) ?? null });
    const priced = pkg.lines.every(({ price }) => price !== null);
    const { currency } = pkg;
    const charge =
      priced && rate && currency !== null && supplier.baseCurrency !== null
        ? computeCharge({
            lines: pkg.lines.map(({ sku, quantity, price, rate: priceRate }) => ({
              sku,
              quantity,
              price: { amount: price ?? 0, currency },
              ...(priceRate ? { rate: priceRate } : {}),
            })),
            fees: supplier.fees ?? noFees(supplier.baseCurrency),
            rate,
            settlementCurrency: currency,
            shipping: pkg.shipping,
            platform: pkg.platform,
          })
        : null;
    const blockers = findBlockers({
      partnered: partnership.status === 'partnered' || pkg.partnered,
      lines: pkg.lines.map(({ line, supplierSku, quantity, priceReason, active }) => {
        const claim = claims.find((row) => row.supplierSku === supplierSku);
        const counts = claim !== undefined && !claim.stopped && claim.causes.length === 0;
        return {
          line,
          supplierSku,
          quantity,
          active: counts || active,
          // What its sync could not fix, and what the fees lack now.
          missing: [...(priceReason === null ? [] : [priceReason]), ...(rate === null ? [NO_RATE] : [])],
        };
      }),
      availableOf: (sku) => levels.find((row) => row.sku === sku)?.available ?? 0,
      quota: { supplier: quotaOf(partnership.supplier), distributor: quotaOf(partnership.distributor) },
      funds: { balance: account.balance, creditLimit: account.creditLimit, charge: charge?.total.amount ?? null },
    });
    return { blockers, charge };
  }

  /**
   * A push that ends undone holds nothing for an order that was cancelled, or left without its supplier, meanwhile.
   * @returns lanes to wake, or null where the order goes on
   */
  async function endWithOrder(session: ClientSession, pkg: PackageDoc): Promise<string[] | null> {
    const order = await models.orders.findById(pkg.order, { state: 1 }).session(session).lean();
    if (order === null || (order.state !== 'cancelled' && !hasLeft(order.state))) return null;
    return intake.cancel(session, pkg, order.state as PackageStatus);
  }

  /** A push that is refused says why on its package; its account is told each time the causes are others. */
  async function refuse(session: ClientSession, pkg: PackageDoc, blockers: readonly Blocker[]): Promise<void> {
    const failure = {
      code: 'push_blocked',
      detail: blockers.map(({ detail }) => detail).join('; '),
      held: pkg.allocated ? `nothing at the supplier; ${OWN_ALLOCATION} stays` : 'nothing',
      retryable: false,
      hint: [...new Set(blockers.flatMap(({ hint }) => hint ?? []))].join('. '),
    };
    const at = now();
    await models.packages.updateOne(
      { _id: pkg._id },
      { $set: { status: 'push_failed', blockers, failure, parked: false, updatedAt: at } },
      { session },
    );
    if (pkg.status === 'push_failed' && causesOf(pkg.blockers) === causesOf(blockers)) return;
    await notifications.notify(session, {
      account: pkg.account,
      event: 'order_push_failed',
      // A refusal at the start counts as no attempt: the time tells one from the next.
      occurrence: `${pkg._id}/${pkg.attempt}/refused/${at.getTime()}`,
      document: pkg._id,
      detail: blockers.map(({ code }) => code).join(', '),
    });
  }

  async function packageOf(account: string, id: string, session: ClientSession | null = null): Promise<PackageDoc> {
    return found(
      await models.packages.findById(id).session(session).lean(),
      'package',
      (row) => row.account === account,
    );
  }

  /** The one transaction: quota, stock, funds, supply order, package, operation and due marks, or nothing. */
  async function pushOnce(session: ClientSession, id: string, attempt: number, terms: PushTerms): Promise<PushOutcome> {
    const pkg = found(await models.packages.findById(id).session(session).lean(), 'package');
    if (pkg.supplyOrder !== null) return { outcome: 'pushed', supplyOrder: pkg.supplyOrder, lanes: [] };
    if (pkg.attempt !== attempt || (pkg.status !== 'pushing' && !pkg.parked))
      return { outcome: 'superseded', status: pkg.status, lanes: [] };
    if (pkg.outbound) return { outcome: 'outbound', supplyOrder: pkg.outbound.supplyOrder, lanes: [] };
    const workflowId = orderPushId(id, attempt);
    const order = await models.orders.findById(pkg.order, { state: 1, recipient: 1 }).session(session).lean();
    if (order?.state === 'cancelled') {
      await operations.end(session, workflowId, 'failed', {
        error: { code: 'not_pushable', detail: 'The order was cancelled' },
      });
      return { outcome: 'superseded', status: 'cancelled', lanes: await intake.cancel(session, pkg) };
    }
    const { blockers, charge } = await judge(session, pkg, terms);
    if (blockers.length > 0 || charge === null) {
      await refuse(session, pkg, blockers);
      await operations.end(session, workflowId, 'failed', {
        error: { code: 'push_blocked', detail: blockers.map(({ detail }) => detail).join('; ') },
        result: { blockers },
      });
      return { outcome: 'refused', blockers, lanes: (await endWithOrder(session, pkg)) ?? [] };
    }
    const { supplier, supplierWarehouse, partnership, warehouse, currency } = pkg;
    if (
      supplier === null ||
      supplierWarehouse === null ||
      partnership === null ||
      warehouse === null ||
      currency === null
    )
      throw new HubError('not_pushable', 'The package has no supplier’s warehouse');

    // Guarded documents first and always in this order, so that those who would conflict do so early.
    const supplierSkus = new Map(pkg.lines.map(({ sku, supplierSku }) => [sku, supplierSku]));
    const needed = unitsBySku(pkg.lines).flatMap(([sku, quantity]) => {
      const supplierSku = supplierSkus.get(sku) ?? null;
      return supplierSku === null ? [] : [{ sku, supplierSku, quantity }];
    });
    for (const { supplierSku, quantity } of needed)
      await stock.change(session, {
        account: supplier,
        warehouse: supplierWarehouse,
        sku: supplierSku,
        kind: 'allocate',
        reason: 'order pushed',
        document: id,
        key: `${id}/${attempt}/push/${supplierSku}`,
        by: { allocated: quantity },
      });
    await billing.book(session, {
      id: `push/${id}/${attempt}`,
      partnership,
      type: 'order_push',
      amount: -charge.total.amount,
      currency,
      package: id,
      document: supplyOrderIdOf(id, attempt),
      lines: charge.lines,
    });
    await accounts.takeQuota(session, [supplier, pkg.account]);
    await changeMirrored(
      db,
      session,
      needed.map(({ sku, quantity }) => ({
        account: pkg.account,
        warehouse,
        sku,
        kind: 'push',
        reason: 'order pushed',
        document: id,
        key: `${id}/${attempt}/push-mirror/${sku}`,
        by: { onHand: -quantity, allocated: pkg.allocated ? -quantity : 0 },
      })),
    );
    const pushedAt = now();
    const supplyOrder = await withRules(db, session, terms.rules, pkg.order, {
      _id: supplyOrderIdOf(id, attempt),
      supplier,
      distributor: pkg.account,
      partnership,
      package: id,
      attempt,
      status: 'new',
      warehouse: supplierWarehouse,
      sourceStore: `BigShop – ${pkg.storeName}`,
      platform: pkg.platform,
      paymentMethod: 'prepaid',
      shipping: pkg.shipping,
      lines: pkg.lines.map(({ line, supplierSku, quantity, price, rate }) => ({
        line,
        sku: supplierSku ?? '',
        quantity,
        price: price ?? 0,
        ...(rate ? { rate } : {}),
      })),
      currency,
      charge,
      recipient: recipients.forSupplier(pkg, order?.recipient ?? null, { supplier, _id: supplyOrderIdOf(id, attempt) }),
      // An open recall was asked for while the push was under way: it goes on with the supply order there is now.
      recall: terms.rules.outside ? null : (pkg.recall ?? null),
      shipment: null,
      returnFee: returnFeeOf(terms),
      returned: null,
      cancelledFrom: null,
      outbound: terms.rules.outside ? { state: 'creating', reference: null, detail: null } : null,
      stockedIn: null,
      pushedAt,
      updatedAt: pushedAt,
    });
    await models.supplyOrders.collection.insertOne(supplyOrder as never, { session });
    const outcome = terms.rules.outside ? 'outbound' : 'pushed';
    await models.packages.collection.updateOne(
      { _id: id } as never,
      {
        $set:
          outcome === 'outbound'
            ? { allocated: false, outbound: waitingFor(supplyOrder, pkg.allocated), updatedAt: pushedAt }
            : { ...pushedBy(supplyOrder), updatedAt: pushedAt },
      },
      { session },
    );
    // From now on the base currency is fixed.
    if (!terms.supplier.pushed)
      await models.suppliers.updateOne({ _id: supplier }, { $set: { pushed: true } }, { session });
    if (outcome === 'pushed')
      await operations.end(session, workflowId, 'done', { result: { supplyOrder: supplyOrder._id, package: id } });
    const lanes = await stock.markChanged(
      session,
      supplier,
      needed.map(({ supplierSku }) => supplierSku),
      `push ${id}`,
    );
    return { outcome, supplyOrder: supplyOrder._id, lanes };
  }

  const orderLists = createOrderLists(db);
  const recalls = createRecallRepository(db, endWithOrder);
  const supplyOrders = createSupplyOrderRepository(db, recalls);
  const outbound = createOutboundPushes(db, { endWithOrder, recalls, recipientOf: recipients.ofSupplyOrder });

  return {
    takeIn: intake.takeIn,
    cancellations: createCancellationRepository(db, intake),
    mapping: createOrderMapping(db, intake),
    labels: createLabelRepository(db),
    own: createOwnShipmentRepository(db),
    recall: recalls.recall,
    advanceRecall: recalls.advance,
    answerRecall: recalls.answer,
    wasRecallAnswered: recalls.wasAnswered,
    openRecalls: recalls.open,
    moveSupplyOrder: supplyOrders.move,
    shipments: supplyOrders,
    outbound,
    automation: createSupplyAutomation(db, supplyOrders),

    /**
     * Runs one attempt's transaction. Safe to repeat: a package that is pushed answers with the push there is. Attempts on
     * one `supplier` take turns in this process.
     */
    async push(id: string, attempt: number, supplier?: string): Promise<PushOutcome> {
      const terms = await termsOf(found(await models.packages.findById(id).lean(), 'package'));
      return db.transact(
        (session) => pushOnce(session, id, attempt, terms),
        supplier === undefined ? undefined : `stock/${supplier}`,
      );
    },

    /**
     * All blockers that hold now, per package of the order, and the charge. Changes nothing. One that can't be pushed now has
     * none, and the charge it was pushed with.
     */
    async pushCheck(
      account: string,
      order: string,
    ): Promise<{ package: PackageDoc; blockers: Blocker[]; charge: Charge | null }[]> {
      const { packages } = await this.get(account, order);
      const checks = [];
      for (const pkg of packages)
        if (pkg.partnership !== null)
          checks.push({
            package: pkg,
            ...(isPushable(pkg) ? await judge(null, pkg, await termsOf(pkg)) : { blockers: [], charge: pkg.charge }),
          });
      return checks;
    },

    /**
     * Begins an attempt: the package becomes `pushing` and its operation is listed, in one transaction; the caller starts
     * the workflow (the sweep does where it can't). A pushed, running or parked one answers with what there is; a blocked
     * one becomes `push_failed` with all blockers.
     */
    async beginPush(account: string, id: string): Promise<PushStart> {
      const terms = await termsOf(await packageOf(account, id));
      return db.transact(async (session): Promise<PushStart> => {
        const pkg = await packageOf(account, id, session);
        const supplier = terms.supplier._id;
        const there = { workflowId: orderPushId(id, pkg.attempt), attempt: pkg.attempt, package: id, supplier };
        if (pkg.status === 'recalled')
          throw new HubError('not_pushable', 'The package was recalled', { members: { currentStatus: pkg.status } });
        if (pkg.supplyOrder !== null) return { kind: 'pushed', ...there, supplyOrder: pkg.supplyOrder };
        if (pkg.parked) return { kind: 'parked', ...there };
        if (pkg.status === 'pushing') return { kind: 'running', ...there };
        if (pkg.status !== 'new' && pkg.status !== 'push_failed')
          throw new HubError('not_pushable', `The package is ${pkg.status}`, {
            members: { currentStatus: pkg.status },
          });
        const order = await models.orders.findById(pkg.order, { state: 1, cancellation: 1 }).session(session).lean();
        if (order?.state === 'cancelled') throw new HubError('not_pushable', 'The order is cancelled');
        if (order !== null && hasLeft(order.state))
          throw new HubError('not_pushable', `The platform says that the order is ${order.state}`, {
            members: { currentStatus: order.state },
          });
        if (order?.cancellation?.open) throw new HubError('not_pushable', 'The order is being cancelled');
        const { blockers } = await judge(session, pkg, terms);
        if (blockers.length > 0) {
          await refuse(session, pkg, blockers);
          return { kind: 'blocked', package: id, blockers };
        }
        const attempt = pkg.attempt + 1;
        const workflowId = orderPushId(id, attempt);
        await models.packages.updateOne(
          { _id: id },
          { $set: { status: 'pushing', attempt, blockers: [], failure: null, updatedAt: now() } },
          { session },
        );
        await operations.begin(session, {
          workflowId,
          kind: 'order_push',
          accounts: [account],
          document: id,
        });
        return { kind: 'started', workflowId, attempt, package: id, supplier };
      });
    },

    /**
     * The attempts are used up: the package shows why, and that a decision is waited for. Safe to repeat.
     * @returns false where there is nothing to decide: it was pushed after all, a recall abandoned it, or has it withdrawn
     */
    async park(id: string, attempt: number, failure: PushFailure): Promise<boolean> {
      const code: FailureCode = failure.code in FAILURES ? (failure.code as FailureCode) : 'internal';
      return db.transact(async (session) => {
        const pkg = await models.packages.findById(id).session(session).lean();
        if (pkg?.attempt !== attempt || pkg.supplyOrder !== null || (pkg.status !== 'pushing' && !pkg.parked))
          return false;
        if (pkg.outbound?.state === 'withdrawing') return false;
        const held = pkg.outbound ? HELD_OUTSIDE : OWN_ALLOCATION;
        const hint = `POST /v1/operations/{id}/retry, or push the order again: the same attempt goes on. ${hintOf(code)}`;
        await models.packages.updateOne(
          { _id: id },
          {
            $set: {
              status: 'push_failed',
              parked: true,
              failure: { ...{ code, detail: failure.detail, held, retryable: true }, hint: hint.trim() },
              updatedAt: now(),
            },
          },
          { session },
        );
        await operations.end(session, orderPushId(id, attempt), 'parked', {
          error: { code, detail: failure.detail },
          progress: { done: 0, failed: 0, total: 1 },
        });
        await notifications.notify(session, {
          account: pkg.account,
          event: 'order_push_failed',
          occurrence: `${id}/${attempt}/parked`,
          document: id,
          detail: failure.detail,
        });
        return true;
      });
    },

    /** An operator said: again. */
    async resume(id: string, attempt: number): Promise<void> {
      await db.transact(async (session) => {
        const pkg = await models.packages
          .findOneAndUpdate(
            { _id: id, attempt, supplyOrder: null, parked: true },
            { $set: { status: 'pushing', parked: false, failure: null, updatedAt: now() } },
            { session },
          )
          .lean();
        if (pkg)
          await operations.begin(session, {
            workflowId: orderPushId(id, attempt),
            kind: 'order_push',
            accounts: [pkg.account],
            document: id,
          });
      });
    },

    /**
     * Ends an attempt that was not done. One that was done after all stays done. @returns whether it was pushed, or is to be
     * withdrawn from the operator of its warehouse first
     */
    async abandon(
      id: string,
      attempt: number,
      why: string,
    ): Promise<{ pushed: boolean; withdraw?: boolean; lanes: readonly string[] }> {
      return db.transact(async (session) => {
        const pkg = found(await models.packages.findById(id).session(session).lean(), 'package');
        if (pkg.supplyOrder !== null) return { pushed: true, lanes: [] };
        // Over already: refused, cancelled, or abandoned by a recall.
        if (pkg.attempt !== attempt || (pkg.status !== 'pushing' && !pkg.parked)) return { pushed: false, lanes: [] };
        if (pkg.outbound) {
          await beginWithdrawal(db, session, pkg, why);
          return { pushed: false, withdraw: true, lanes: [] };
        }
        const failure = {
          code: 'abandoned',
          detail: why,
          held: OWN_ALLOCATION,
          retryable: true,
          hint: hintOf('abandoned'),
        };
        await operations.end(session, orderPushId(id, attempt), 'abandoned', {
          error: { code: 'abandoned', detail: why },
        });
        const ended = await endWithOrder(session, pkg);
        if (ended !== null) return { pushed: false, lanes: ended };
        await models.packages.updateOne(
          { _id: id },
          { $set: { status: 'push_failed', parked: false, failure, updatedAt: now() } },
          { session },
        );
        await notifications.notify(session, {
          account: pkg.account,
          event: 'order_push_failed',
          occurrence: `${id}/${attempt}/abandoned`,
          document: id,
          detail: why,
        });
        return { pushed: false, lanes: [] };
      });
    },

    /** Attempts that should have a running workflow. */
    async openPushes(
      before: Date,
      limit: number,
    ): Promise<{ package: string; attempt: number; account: string; supplier: string }[]> {
      const [pushing, parked] = await Promise.all([
        models.packages
          .find({ status: 'pushing', updatedAt: { $lt: before } })
          .limit(limit)
          .lean(),
        models.packages
          .find({ parked: true, updatedAt: { $lt: before } })
          .limit(limit)
          .lean(),
      ]);
      return [...pushing, ...parked].map(({ _id, attempt, account, supplier }) => ({
        package: _id,
        attempt,
        account,
        supplier: supplier ?? '',
      }));
    },

    package: packageOf,

    /** Which of these packages are being pushed now. */
    async pushingAmong(packages: readonly string[]): Promise<Set<string>> {
      const rows = await models.packages.find({ _id: { $in: [...packages] }, status: 'pushing' }, { _id: 1 }).lean();
      return new Set(rows.map(({ _id }) => _id));
    },

    async get(account: string, id: string): Promise<OrderView> {
      const order = found(await models.orders.findById(id).lean(), 'order', (row) => row.account === account);
      return { order, packages: await models.packages.find({ order: id }).sort({ _id: 1 }).lean() };
    },

    list: orderLists.list,

    recipientOf: recipients.ofOrder,
    recipientOfSupplyOrder: recipients.ofSupplyOrder,

    async supplyOrders(
      supplier: string,
      filter: { status?: SupplyOrderDoc['status']; tags?: string },
      page: PageRequest,
    ): Promise<Page<SupplyOrderDoc>> {
      const rows = await models.supplyOrders
        .find({ supplier, ...filter, ...(page.after === null ? {} : { _id: { $lt: page.after } }) })
        .sort({ _id: -1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    /** Where the platform of a supply order knows its parcel; null where it came without one, or holds gifts alone. */
    async parcelAtPlatform(row: SupplyOrderDoc): Promise<ParcelAtPlatform | null> {
      const pkg = found(await models.packages.findById(row.package).lean(), 'package');
      if (pkg.store === 'api') return null;
      const fields = { platformOrder: 1, state: 1, 'cancellation.open': 1 };
      const order = found(await models.orders.findById(pkg.order, fields).lean(), 'order');
      const lineIds = platformLinesOf(pkg.lines);
      // A platform does not cancel what is packed.
      const mayPack =
        row.status !== 'cancelled' &&
        pkg.supplyOrder === row._id &&
        !pkg.recall?.open &&
        order.state !== 'cancelled' &&
        !order.cancellation?.open;
      return lineIds.length === 0 ? null : { store: pkg.store, platformOrder: order.platformOrder, lineIds, mayPack };
    },

    async supplyOrder(supplier: string, id: string): Promise<SupplyOrderDoc> {
      return found(await models.supplyOrders.findById(id).lean(), 'supply order', (row) => row.supplier === supplier);
    },
  };
}
