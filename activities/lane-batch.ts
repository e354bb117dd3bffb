/** One batch of a store's lane: what each listing gets now, the platform's calls in their order, and what is recorded of them. */
import { ApplicationFailure } from '@temporalio/common';
import type {
  MarketplaceConnector,
  PlatformCapabilities,
  ShopAccess,
  StockEntry,
  StockResult,
} from '../connectors/port';
import {
  decideQuantity,
  type PreOrderDecision,
  PUSH_NOTES,
  type PushRule,
  type QuantityDecision,
  type SkuFacts,
  unsupplied,
} from '../domain/push-rules';
import type { DueDoc, ListingDoc, PushOutcome, PushResult, StoreDoc } from '../store/models/documents';
import type { LaneCaller } from '../store/repositories/lanes';
import { preOrderId } from '../store/repositories/pre-orders';
import type { RecordEntry } from '../store/repositories/pushes';
import type { ActivityDeps } from './deps';
import { isPlatformError } from './failures';

/** After this many tries an item that the platform alone puts off is set aside, so that it can't park its whole store. */
const ITEM_TRIES = 5;

/** What is known of one due listing at the moment of sending. */
interface Planned {
  readonly due: DueDoc;
  readonly listing: ListingDoc;
  readonly sku: string;
  readonly before: number | null;
  readonly quantity: number;
  readonly rule: { readonly id: string; readonly revision: number } | null;
  readonly preOrder: PreOrderDecision | null;
  /** What the record says besides. */
  readonly note: string | null;
  /** False where the store has the quantity, and only the pre-order switch is to be set. */
  readonly writes: boolean;
}

interface Plan {
  readonly send: Planned[];
  /** The store has this quantity already. */
  readonly settled: Planned[];
  readonly skipped: DueDoc[];
}

interface Caller extends LaneCaller {
  /** Told just before each call; the pace is counted from it. */
  calling(): void;
}

/** The rules that each mark is pushed under: the current ones, or those that its order keeps. */
type RulesOf = (due: DueDoc) => readonly PushRule[];

/** Whether the platform is to be told of another pre-order state than it was told last. */
function differs(listing: ListingDoc, wanted: PreOrderDecision | null): boolean {
  if (wanted === null) return false;
  const told = listing.preOrder ?? null;
  if (!wanted.on) return told !== null;
  return told === null || !told.told || told.daysToShip !== wanted.daysToShip;
}

/** To be switched off once its quantity is lowered: its mark stays until then. */
const leavesPreOrder = ({ listing, preOrder }: Planned): boolean =>
  preOrder?.on === false && differs(listing, preOrder);

export function createBatchSender({ store, access }: Pick<ActivityDeps, 'store' | 'access'>) {
  function planned(
    due: DueDoc,
    listing: ListingDoc,
    before: number | null,
    decision: QuantityDecision & { kind: 'send' },
  ) {
    const { quantity, rule, preOrder, capped } = decision;
    return {
      ...{ due, listing, sku: listing.sku ?? listing.sellerSku, before, quantity, rule, preOrder },
      note: capped === null ? null : PUSH_NOTES.capped(quantity, capped),
      writes: before !== quantity || due.forced,
    } satisfies Planned;
  }

  /** Splits a batch into what is sent, what is there already, and what no rule or switch lets through (those are done with). */
  async function plan(
    row: StoreDoc,
    { stockCall, preOrder }: PlatformCapabilities,
    dues: readonly DueDoc[],
    rulesOf: RulesOf,
  ): Promise<Plan> {
    const rules = [...new Set(dues.map(rulesOf))].flat();
    const { listings, skus, accepted } = await store.lanes.facts(row, dues, rules);
    const mayPreOrder = preOrder && rules.some((rule) => rule.preOrder !== null);
    const states = mayPreOrder ? await store.preOrders.states([row._id], [...skus.keys()]) : new Set<string>();
    const can = { preOrder, largestQuantity: stockCall.largestQuantity };
    const result: Plan = { send: [], settled: [], skipped: [] };
    for (const due of dues) {
      const listing = listings.get(due.subject);
      const before = accepted.get(due.subject) ?? null;
      if (!listing || listing.sku === null) {
        // Whose SKU was deleted is sold no more; what was unconnected otherwise is left as it is.
        const gone = unsupplied(can);
        if (listing && due.urgent && (before !== 0 || differs(listing, gone.preOrder)))
          result.send.push(planned(due, listing, before, gone));
        else result.skipped.push(due);
        continue;
      }
      const { sku } = listing;
      const decision = decideQuantity({
        rules: rulesOf(due),
        sku: skus.get(sku) as SkuFacts,
        store: row._id,
        can,
        automatic: listing.automatic,
        forced: due.forced,
        wasInPreOrder: (rule) => states.has(preOrderId(rule, row._id, sku)),
      });
      if (decision.kind === 'skip') {
        result.skipped.push(due);
        continue;
      }
      const one = planned(due, listing, before, decision);
      if (one.writes || differs(listing, one.preOrder)) result.send.push(one);
      else result.settled.push(one);
    }
    return result;
  }

  function entryOf(item: Planned, outcome: Pick<PushResult, 'outcome' | 'error' | 'quantity'>): RecordEntry {
    const { due, listing, sku, before, rule, note } = item;
    return {
      id: listing._id,
      account: listing.account,
      kind: 'store',
      sku,
      store: listing.store,
      distributor: null,
      jobs: due.jobs ?? [],
      result: {
        ...outcome,
        error: [outcome.error, note].filter((text) => text !== null).join('; ') || null,
        before,
        cause: due.cause,
        rule: rule?.id ?? null,
        revision: rule?.revision ?? null,
        at: store.database.now(),
        attempts: (due.calls ?? 0) + 1,
        changes: due.changes,
      },
    };
  }

  /**
   * One call that changes something at the store, noted before it: the next pass begins none before this one is over, and where
   * one has begun, this one calls no more.
   * @param listings whose quantities it carries
   */
  function callFor<T>(
    { store: id, pass, calling }: Caller,
    listings: readonly string[],
    work: (connector: MarketplaceConnector, shop: ShopAccess) => Promise<T>,
  ): Promise<T> {
    return access.call(id, async (connector, shop) => {
      await store.pushes.calling(id, pass, listings, connector.longestWriteMs);
      // Not sooner: how long the note takes is no part of the pace that the platform sees.
      calling();
      try {
        return await work(connector, shop);
      } catch (error) {
        const isUnwritten = isPlatformError(error) && !error.options.outcomeUnknown;
        // Where that can not be noted, the next pass takes the call up; what the platform said is not lost for it.
        await store.pushes.called(id, pass, isUnwritten ? [] : listings).catch(() => {});
        throw error;
      }
    });
  }

  /** What is refused as a whole call is refused for each of its entries. */
  async function callStock(caller: Caller, entries: readonly StockEntry[]): Promise<readonly StockResult[]> {
    if (entries.length === 0) return [];
    const keys = entries.map(({ key }) => key);
    return callFor(caller, keys, async (connector, shop) => {
      try {
        return await connector.updateStock(shop, entries);
      } catch (error) {
        if (!isPlatformError(error) || error.kind !== 'rejected') throw error;
        const { code, message } = error;
        return keys.map((key) => ({ key, outcome: 'refused', code, message }) as const);
      }
    });
  }
  const entryFor = ({ listing }: Planned, quantity: number): StockEntry => ({
    key: listing._id,
    itemId: listing.item,
    modelId: listing.model,
    quantity,
  });

  /** The states that the decisions come to, before anything is sent: should the lane die, they are known. */
  async function keepStates(row: StoreDoc, send: readonly Planned[]): Promise<void> {
    const about = send.filter(({ preOrder }) => preOrder !== null);
    await store.preOrders.keep(
      about.flatMap(({ sku, rule, preOrder, listing }) =>
        // Of a rule that has no pre-order (any more) only what may have been left on is there to be forgotten.
        rule === null || preOrder === null || (preOrder.daysToShip === 0 && !listing.preOrder)
          ? []
          : [{ account: listing.account, store: row._id, sku, rule: rule.id, on: preOrder.on }],
      ),
    );
    const ceased = about.flatMap(({ sku, rule }) => (rule === null ? [sku] : []));
    if (ceased.length > 0) await store.preOrders.clear(row._id, ceased);
  }

  async function callPreOrder(caller: Caller, itemId: string, on: boolean, daysToShip: number): Promise<void> {
    await callFor(caller, [], (connector, shop) => connector.setPreOrder(shop, { itemId, on, daysToShip }));
    await store.pushes.called(caller.store, caller.pass, []);
  }

  /** Refused for good: its words. What is worth another try is thrown. */
  async function refusalOf(work: () => Promise<unknown>): Promise<string | null> {
    try {
      await work();
      return null;
    } catch (error) {
      if (isPlatformError(error) && error.kind === 'rejected') return `${error.code}: ${error.message}`;
      throw error;
    }
  }

  /**
   * Puts items into pre-order before their quantities are raised. Where the platform refuses, they get what they would
   * have without it.
   */
  async function turnOn(caller: Caller, send: readonly Planned[]): Promise<Planned[]> {
    const wanted = send.filter(({ listing, preOrder }) => preOrder?.on && differs(listing, preOrder));
    const refusals = new Map<string, string>();
    for (const item of new Set(wanted.map(({ listing }) => listing.item))) {
      const own = wanted.filter(({ listing }) => listing.item === item);
      const daysToShip = Math.max(...own.map(({ preOrder }) => preOrder?.daysToShip ?? 0));
      const ids = own.map(({ listing }) => listing._id);
      await store.preOrders.mark(ids, { daysToShip, told: false });
      const refused = await refusalOf(() => callPreOrder(caller, item, true, daysToShip));
      if (refused === null) {
        await store.preOrders.mark(ids, { daysToShip, told: true });
        continue;
      }
      refusals.set(item, refused);
      // It stays what it was there: one that is in pre-order already has to be switched off one day.
      for (const { listing } of own) await store.preOrders.mark([listing._id], listing.preOrder ?? null);
    }
    if (refusals.size === 0) return [...send];
    return send.map((one) => {
      const refused = refusals.get(one.listing.item);
      if (refused === undefined || !wanted.includes(one) || one.preOrder === null) return one;
      const { without: quantity } = one.preOrder;
      // Another quantity than was planned: also where that one was in the store already.
      const writes = quantity !== one.before || one.due.forced;
      return { ...one, quantity, writes, preOrder: null, note: PUSH_NOTES.preOrderRefused(refused) };
    });
  }

  /** Takes listings out of pre-order after their quantities were lowered; an item only with the last of its listings. */
  async function turnOff(caller: Caller, lowered: readonly Planned[]): Promise<void> {
    const off = lowered.filter(leavesPreOrder);
    if (off.length === 0) return;
    const items = [...new Set(off.map(({ listing }) => listing.item))];
    const still = await store.preOrders.listingsOf(caller.store, items);
    const leaving = new Set(off.map(({ listing }) => listing._id));
    for (const item of items) {
      const own = off.flatMap(({ listing }) => (listing.item === item ? [listing] : []));
      const ids = own.map(({ _id }) => _id);
      const isLast = !still.some((one) => one.item === item && !leaving.has(one._id));
      if (!isLast) {
        await store.preOrders.mark(ids, null);
        continue;
      }
      // Should the lane die after the call, nobody knows whether it is still on: whoever wants it on says so again.
      await store.preOrders.mark(ids, { daysToShip: own[0]?.preOrder?.daysToShip ?? 0, told: false });
      const refused = await refusalOf(() => callPreOrder(caller, item, false, 0));
      // Refused: it stays known as on, and the next push of it tries again.
      if (refused === null) await store.preOrders.mark(ids, null);
    }
  }

  /**
   * A platform-side floor: the nearest quantity it takes is sent right away, where it is not there already, and the record says
   * so. What the platform puts off meanwhile, or another floor, has no record: it is tried again.
   */
  async function sendFloors(
    caller: Caller,
    send: readonly Planned[],
    answers: readonly StockResult[],
  ): Promise<RecordEntry[]> {
    const floors = answers.flatMap((answer) => {
      const item = answer.outcome === 'floor' ? send.find(({ listing }) => listing._id === answer.key) : undefined;
      return item && answer.outcome === 'floor' ? [{ item, floor: answer.floor, message: answer.message }] : [];
    });
    if (floors.length === 0) return [];
    const isThere = ({ item, floor }: (typeof floors)[number]) => floor === item.before && !item.due.forced;
    const sent = floors.filter((one) => !isThere(one));
    const again = await callStock(
      caller,
      sent.map(({ item, floor }) => entryFor(item, floor)),
    );
    const records = floors.flatMap((one): RecordEntry[] => {
      const { item, floor, message } = one;
      const answer = again.find(({ key }) => key === item.listing._id);
      if (isThere(one) || answer?.outcome === 'accepted')
        return [entryOf(item, { outcome: 'accepted', error: PUSH_NOTES.floor(floor, message), quantity: floor })];
      if (answer?.outcome !== 'refused') return [];
      const error = `${answer.code}: ${answer.message}`;
      return [entryOf(item, { outcome: 'refused', error, quantity: item.quantity })];
    });
    const called = sent.map(({ item }) => item.listing._id);
    await store.lanes.answered(caller, called, records, []);
    return records;
  }

  /** What the platform answered per item. */
  function recordsOf(send: readonly Planned[], answers: readonly StockResult[]): RecordEntry[] {
    const byKey = new Map(answers.map((answer) => [answer.key, answer]));
    return send.flatMap((item): RecordEntry[] => {
      const answer = byKey.get(item.listing._id);
      if (!item.writes) return [entryOf(item, { outcome: 'accepted', error: null, quantity: item.quantity })];
      if (!answer || answer.outcome === 'retry') return [];
      const { quantity } = item;
      if (answer.outcome === 'accepted')
        return [entryOf(item, { outcome: 'accepted', error: null, quantity: answer.quantity })];
      if (answer.outcome === 'refused')
        return [entryOf(item, { outcome: 'refused', error: `${answer.code}: ${answer.message}`, quantity })];
      // A floor: another quantity goes out first.
      return [];
    });
  }

  /** Marks that end without a push. */
  async function dropWithout(dues: readonly DueDoc[], outcome: PushOutcome): Promise<void> {
    await store.stockPushes.settle(dues.map(({ subject, jobs = [] }) => ({ listing: subject, jobs, outcome })));
    await store.dues.settle(null, dues);
  }

  return {
    dropWithout,

    /**
     * One batch: one stock call, and the pre-order calls that go with it.
     * @param pass the pass of the store's lane that it is of: see `PushRepository.beginPass`
     * @param calling told just before each call; the pace is counted from it
     * @returns false where nothing had to be sent
     */
    async sendBatch(
      row: StoreDoc,
      pass: string,
      rulesOf: RulesOf,
      due: readonly DueDoc[],
      calling: () => void,
    ): Promise<boolean> {
      const { capabilities } = access.connectorOf(row.platform);
      const caller = { store: row._id, pass, calling };
      const { send: all, settled, skipped } = await plan(row, capabilities, due, rulesOf);
      await keepStates(row, [...settled, ...all]);
      await store.pushes.stand(settled.map(({ listing, quantity, rule }) => ({ id: listing._id, quantity, rule })));
      await store.pushes.passedBy(skipped.map(({ subject }) => subject));
      await dropWithout(
        settled.map(({ due }) => due),
        'accepted',
      );
      await dropWithout(skipped, 'skipped');
      if (all.length === 0) return false;
      const send = await turnOn(caller, all);
      const writing = send.filter(({ writes }) => writes);
      const answers = await callStock(
        caller,
        writing.map((item) => entryFor(item, item.quantity)),
      );
      const records = recordsOf(send, answers);
      const answered = new Set(records.map(({ id }) => id));
      const done = new Set(send.filter((item) => answered.has(item.listing._id) && !leavesPreOrder(item)));
      await store.lanes.answered(
        caller,
        writing.map(({ listing }) => listing._id),
        records,
        [...done].map(({ due }) => due),
      );
      const left = send.filter((item) => !done.has(item));
      if (left.length > 0) await finish(caller, left, records, answers);
      return true;
    },
  };

  /** What one call did not end: floors, listings that leave pre-order, and what the platform asked to try again. */
  async function finish(
    caller: Caller,
    left: readonly Planned[],
    answered: readonly RecordEntry[],
    answers: readonly StockResult[],
  ): Promise<void> {
    const records = [...answered, ...(await sendFloors(caller, left, answers))];
    const accepted = new Set(records.flatMap(({ id, result }) => (result.outcome === 'accepted' ? [id] : [])));
    await turnOff(
      caller,
      left.filter(({ listing }) => accepted.has(listing._id)),
    );
    const done = new Set(records.map(({ id }) => id));
    const again = left.flatMap(({ due }) => (done.has(due.subject) ? [] : [due]));
    const hopeless = again.filter(({ tries }) => tries + 1 >= ITEM_TRIES);
    await store.dues.settle(
      null,
      left.flatMap(({ due }) => (done.has(due.subject) ? [due] : [])),
    );
    await store.dues.postpone(again.filter((item) => !hopeless.includes(item)));
    await store.lanes.fail(hopeless, {
      code: 'platform_unavailable',
      detail: `the platform asked ${ITEM_TRIES} times to try again`,
    });
    if (done.size + hopeless.length === 0)
      throw ApplicationFailure.create({
        type: 'platform_unavailable',
        message: 'The platform asked to try every item again',
      });
  }
}
