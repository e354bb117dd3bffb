/**
 * What is decided about orders without anybody asking: conditions, and which rule counts. Contract: orders.md, Automation.
 * The intake, the push, the dry run and the tests call these functions.
 */
import type { InputProblem } from './failures';
import type { Money } from './money';
import { hasLeft } from './orders';
import type { Shipping } from './pricing';
import {
  SUPPLY_ORDER_MOVES,
  SUPPLY_ORDER_STATUSES,
  type SupplyOrderMove,
  type SupplyOrderStatus,
  UNSHIPPED_STATUSES,
} from './supply-orders';

export const AUTOMATION_KINDS = [
  'auto-pack',
  'mark-rules',
  'allocation-rules',
  'gift-rules',
  'shipping-rules',
  'auto-tool',
  'auto-push',
] as const;
export type AutomationKind = (typeof AUTOMATION_KINDS)[number];

/** Bounds of the settings of one kind, so that they stay one document. */
export const AUTOMATION_RULES_MOST = 50;
export const RULE_NAMES_MOST = 100;
export const CONDITION_SKUS_MOST = 200;
export const RULE_TAGS_MOST = 5;
export const RULE_GIFTS_MOST = 5;
export const SWITCHES_MOST = 500;
/** What one order gets of tags and gift lines at most, however many rules match. */
const ORDER_TAGS_MOST = 20;
export const ORDER_GIFTS_MOST = 20;

/** Each that is left out holds; all that are there must hold. */
export interface Conditions {
  /** The account's own stores, `api` for orders that came without one. Of the account's own orders alone. */
  readonly stores?: readonly string[] | undefined;
  /** Whose orders, by partnership, and from which of their stores. Of supply orders alone. */
  readonly partnerships?: readonly string[] | undefined;
  readonly sourceStores?: readonly string[] | undefined;
  readonly warehouses?: readonly string[] | undefined;
  readonly platforms?: readonly string[] | undefined;
  readonly shippings?: readonly Shipping[] | undefined;
  /** `any`: one line is of these. `all`: every line is. */
  readonly skus?: { readonly match: 'any' | 'all'; readonly skus: readonly string[] } | undefined;
  /** Units of the SKUs named; of all where none are. */
  readonly quantity?: { readonly atLeast?: number | undefined; readonly atMost?: number | undefined } | undefined;
  /** What the goods cost; in another currency, or where it is not known, it does not hold. */
  readonly amount?: { readonly atLeast?: Money | undefined; readonly atMost?: Money | undefined } | undefined;
}

export interface OrderFacts {
  readonly store: string | null;
  readonly partnership: string | null;
  readonly sourceStore: string | null;
  readonly warehouse: string | null;
  readonly platform: string;
  readonly shipping: Shipping;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly amount: Money | null;
}

export interface RuleHead {
  /** Unique within its kind; it says which rule did something. */
  readonly name: string;
  readonly enabled: boolean;
  /** Unique within its kind; the smallest comes first. */
  readonly priority: number;
}

export const MARKED = ['orders', 'supply_orders'] as const;
export interface MarkRule extends RuleHead {
  readonly of: (typeof MARKED)[number];
  readonly conditions: Conditions;
  readonly tags: readonly string[];
  readonly marketing: boolean;
}

export interface AllocationRule extends RuleHead {
  readonly conditions: Conditions;
  /** The one to take first comes first. */
  readonly warehouses: readonly string[];
  /** No other warehouse is taken, whether or not these have enough. */
  readonly strict: boolean;
}

export interface GiftRule extends RuleHead {
  readonly conditions: Conditions;
  readonly gifts: readonly { readonly sku: string; readonly quantity: number }[];
  /** Once an order, or once for each unit of the SKUs that the conditions name. */
  readonly per: 'order' | 'unit';
}

/** `three_pl`: for goods in a warehouse that somebody else runs, the carrier that its operator is asked for. */
export const SHIPPING_RULES_OF = ['self_delivery', 'three_pl'] as const;
export interface ShippingRule extends RuleHead {
  readonly of: (typeof SHIPPING_RULES_OF)[number];
  readonly conditions: Conditions;
  readonly carrier: string;
}

export interface PackRule extends RuleHead {
  readonly stores:
    | { readonly kind: 'all_bigshop' }
    | {
        readonly kind: 'list';
        readonly stores: readonly { readonly partnership: string; readonly sourceStore?: string | undefined }[];
      };
  readonly warehouses?: readonly string[] | undefined;
  /** Either of the two lists is the choice of carriers: how the order ships, and which carrier was chosen for it. */
  readonly shippings?: readonly Shipping[] | undefined;
  readonly carriers?: readonly string[] | undefined;
}

/** What each kind is set to. */
export interface AutomationSettings {
  readonly 'auto-pack': { readonly rules: readonly PackRule[] };
  readonly 'mark-rules': { readonly rules: readonly MarkRule[] };
  readonly 'allocation-rules': { readonly rules: readonly AllocationRule[] };
  readonly 'gift-rules': { readonly rules: readonly GiftRule[] };
  readonly 'shipping-rules': { readonly rules: readonly ShippingRule[] };
  readonly 'auto-tool': { readonly enabled: boolean };
  /** The partnerships whose switch is on. */
  readonly 'auto-push': { readonly partnerships: readonly string[] };
}

/** What counts where nothing was set. */
export const NO_AUTOMATION: AutomationSettings = {
  'auto-pack': { rules: [] },
  'mark-rules': { rules: [] },
  'allocation-rules': { rules: [] },
  'gift-rules': { rules: [] },
  'shipping-rules': { rules: [] },
  'auto-tool': { enabled: false },
  'auto-push': { partnerships: [] },
};

const within = <T>(list: readonly T[] | undefined, value: T | null): boolean =>
  list === undefined || (value !== null && list.includes(value));

function unitsOf(conditions: Conditions, facts: OrderFacts): number {
  const { skus } = conditions;
  return facts.lines.reduce((sum, line) => (within(skus?.skus, line.sku) ? sum + line.quantity : sum), 0);
}

function amountHolds({ amount }: Conditions, facts: OrderFacts): boolean {
  const { atLeast, atMost } = amount ?? {};
  const is = facts.amount;
  if (atLeast && (is === null || is.currency !== atLeast.currency || is.amount < atLeast.amount)) return false;
  return !(atMost && (is === null || is.currency !== atMost.currency || is.amount > atMost.amount));
}

/** Whether every condition holds. */
export function holds(conditions: Conditions, facts: OrderFacts): boolean {
  const { skus, quantity } = conditions;
  const isNamed = ({ sku }: { sku: string }) => skus?.skus.includes(sku) ?? true;
  const named =
    skus?.match === 'all' ? facts.lines.length > 0 && facts.lines.every(isNamed) : facts.lines.some(isNamed);
  const units = unitsOf(conditions, facts);
  return (
    within(conditions.stores, facts.store) &&
    within(conditions.partnerships, facts.partnership) &&
    within(conditions.sourceStores, facts.sourceStore) &&
    within(conditions.warehouses, facts.warehouse) &&
    within(conditions.platforms, facts.platform) &&
    within(conditions.shippings, facts.shipping) &&
    (skus === undefined || named) &&
    units >= (quantity?.atLeast ?? 0) &&
    units <= (quantity?.atMost ?? Number.MAX_SAFE_INTEGER) &&
    amountHolds(conditions, facts)
  );
}

/** The enabled rules, the smallest priority first. */
export function inForce<Rule extends RuleHead>(rules: readonly Rule[]): Rule[] {
  return rules.filter(({ enabled }) => enabled).sort((a, b) => a.priority - b.priority);
}

export interface Marks {
  readonly tags: readonly string[];
  readonly marketing: boolean;
}

/** All matching rules mark, in their order; what is more than an order takes is left. */
export function marksOf(rules: readonly MarkRule[], of: MarkRule['of'], facts: OrderFacts): Marks {
  const matching = inForce(rules).filter((rule) => rule.of === of && holds(rule.conditions, facts));
  const tags = [...new Set(matching.flatMap((rule) => rule.tags))].slice(0, ORDER_TAGS_MOST);
  return { tags, marketing: of === 'orders' && matching.some(({ marketing }) => marketing) };
}

export interface Allocation {
  readonly place: string | null;
  /** It has enough of everything. */
  readonly enough: boolean;
  /** The rule that chose it; null: no rule did. */
  readonly rule: string | null;
}

/**
 * Where a package is allocated. Of the first matching rule that names one of the `places`: the first of its warehouses with
 * enough of everything; then, unless it is strict, the first of all with enough; else the first it names. Without a
 * rule: the first with enough, or the first.
 * @param places what can be chosen from, in the fixed order
 */
export function chooseWarehouse(input: {
  readonly rules: readonly AllocationRule[];
  readonly facts: OrderFacts;
  readonly places: readonly string[];
  readonly hasEnough: (place: string) => boolean;
}): Allocation {
  const { places, hasEnough } = input;
  const rule = inForce(input.rules).find(
    ({ conditions, warehouses }) => warehouses.some((one) => places.includes(one)) && holds(conditions, input.facts),
  );
  const named = (rule?.warehouses ?? []).filter((one) => places.includes(one));
  const candidates = rule?.strict ? named : [...named, ...places];
  const place = candidates.find(hasEnough) ?? candidates[0] ?? null;
  return {
    place,
    enough: place !== null && hasEnough(place),
    rule: rule !== undefined && place !== null && named.includes(place) ? rule.name : null,
  };
}

const GIFT_LINE = 'gift:';

/** Lines that rules added; their id is none of the platform's. */
export const isGiftLine = (line: string): boolean => line.startsWith(GIFT_LINE);

export interface Gift {
  /** The id of the line it becomes. */
  readonly line: string;
  readonly rule: string;
  readonly sku: string;
  readonly quantity: number;
}

/** All matching rules give, in their order. What is more than an order takes is left. */
export function giftsOf(rules: readonly GiftRule[], facts: OrderFacts): Gift[] {
  const given = inForce(rules)
    .filter(({ conditions }) => holds(conditions, facts))
    .flatMap(({ name, gifts, per, conditions }) => {
      const times = per === 'unit' ? unitsOf(conditions, facts) : 1;
      return gifts.map(({ sku, quantity }) => ({ rule: name, sku, quantity: quantity * times }));
    });
  return given.slice(0, ORDER_GIFTS_MOST).map((gift, index) => ({ ...gift, line: `${GIFT_LINE}${index + 1}` }));
}

/** Why a gift did not come along. */
export const GIFT_LEFT_OUT = ['out_of_stock', 'no_such_sku', 'sku_inactive', 'price_missing'] as const;
export type GiftLeftOut = (typeof GIFT_LEFT_OUT)[number];

export interface CarrierChoice {
  readonly carrier: string;
  readonly rule: string;
  readonly of: ShippingRule['of'];
}

/** The carrier that the supplier's rules choose; null where somebody else arranges it, or no rule matches. */
export function chooseCarrier(
  rules: readonly ShippingRule[],
  facts: OrderFacts & {
    /** The supplier is who arranges the carrier. */
    readonly supplierArranges: boolean;
    /** The goods lie in a warehouse that somebody else runs. */
    readonly outside: boolean;
  },
): CarrierChoice | null {
  const of = facts.outside ? 'three_pl' : 'self_delivery';
  if (!facts.supplierArranges || (of === 'self_delivery' && facts.shipping !== 'self_delivery')) return null;
  const rule = inForce(rules).find((one) => one.of === of && holds(one.conditions, facts));
  return rule ? { carrier: rule.carrier, rule: rule.name, of } : null;
}

export interface Packing {
  readonly rule: string;
  /** How the order counts for the rule: under "all BigShop stores" as one that arranges itself, whatever its shipping. */
  readonly countsAs: Shipping;
}

/** The rule that packs a new supply order; null where none does. */
export function choosePacking(
  rules: readonly PackRule[],
  facts: OrderFacts & { readonly carrier: string | null },
): Packing | null {
  const rule = inForce(rules).find(({ stores, warehouses, shippings, carriers }) => {
    if (!within(warehouses, facts.warehouse)) return false;
    if (stores.kind === 'all_bigshop') return true;
    const isOf = stores.stores.some(
      ({ partnership, sourceStore }) =>
        partnership === facts.partnership && (sourceStore === undefined || sourceStore === facts.sourceStore),
    );
    return isOf && within(shippings, facts.shipping) && within(carriers, facts.carrier);
  });
  if (!rule) return null;
  return { rule: rule.name, countsAs: rule.stores.kind === 'all_bigshop' ? 'self_arranged' : facts.shipping };
}

/** How far the distributor's platform says that an order is on its way. */
export const FOLLOWED = ['to_pickup', 'shipped'] as const;
export type Followed = (typeof FOLLOWED)[number];

/** What a supply order follows to, by what the platform says; null: nothing yet, or no more. */
export function followedTo(order: { readonly state: string; readonly awaitsPickup: boolean }): Followed | null {
  if (hasLeft(order.state)) return 'shipped';
  return order.state === 'ready_to_ship' && order.awaitsPickup ? 'to_pickup' : null;
}

/** What is still to be done to a supply order by itself. */
export interface AutoWork {
  readonly pack: Packing | null;
  readonly follow: Followed | null;
}

type AutoRecall = 'open' | 'warehouse' | null;

/** How a recall stands in the way of such moves; null where none is open. */
export const recallInTheWay = (recall: { readonly open: boolean; readonly state: string } | null): AutoRecall =>
  recall?.open ? (recall.state === 'warehouse' ? 'warehouse' : 'open') : null;

/**
 * The moves that are due, in their order; `wait` where a recall stands in their way: one that is being recalled is not packed
 * and waits for no pickup, and what has left on its way is shipped unless a warehouse was asked to keep it.
 */
export function autoMoves(
  status: SupplyOrderStatus,
  recall: AutoRecall,
  { pack, follow }: AutoWork,
): readonly SupplyOrderMove[] | 'wait' {
  if (!UNSHIPPED_STATUSES.includes(status)) return [];
  const at = SUPPLY_ORDER_STATUSES.indexOf(status);
  const target = follow ?? (pack === null ? status : 'packed');
  const goal = SUPPLY_ORDER_STATUSES.indexOf(target);
  const moves = (Object.keys(SUPPLY_ORDER_MOVES) as SupplyOrderMove[]).filter((move) => {
    const from = SUPPLY_ORDER_STATUSES.indexOf(SUPPLY_ORDER_MOVES[move].from);
    return from >= at && from < goal;
  });
  if (moves.length === 0) return [];
  return recall === 'warehouse' || (recall === 'open' && target !== 'shipped') ? 'wait' : moves;
}

function repeated(rules: readonly RuleHead[], field: 'name' | 'priority', code: string): InputProblem[] {
  return rules.flatMap((rule, index) =>
    rules.findIndex((one) => one[field] === rule[field]) === index
      ? []
      : [{ pointer: `/rules/${index}/${field}`, code, detail: `Another rule has the ${field} ${rule[field]}` }],
  );
}

/** Fields that only one of the two sides has. */
const OF_ORDERS = ['stores'] as const;
const OF_SUPPLY_ORDERS = ['partnerships', 'sourceStores', 'warehouses'] as const;

function conditionProblems(conditions: Conditions, side: MarkRule['of'], pointer: string): InputProblem[] {
  const foreign = side === 'orders' ? OF_SUPPLY_ORDERS : OF_ORDERS;
  const code = side === 'orders' ? 'not_for_orders' : 'not_for_supply_orders';
  const problems = foreign
    .filter((field) => conditions[field] !== undefined)
    .map((field) => ({ pointer: `${pointer}/${field}`, code, detail: `${field} says nothing of this kind of order` }));
  const { quantity, amount } = conditions;
  if (quantity && (quantity.atLeast ?? 0) > (quantity.atMost ?? Number.MAX_SAFE_INTEGER))
    problems.push({ pointer: `${pointer}/quantity`, code: 'range_empty', detail: 'atLeast is more than atMost' });
  if (amount?.atLeast && amount.atMost) {
    if (amount.atLeast.currency !== amount.atMost.currency)
      problems.push({ pointer: `${pointer}/amount`, code: 'currency_mismatch', detail: 'Both in one currency' });
    else if (amount.atLeast.amount > amount.atMost.amount)
      problems.push({ pointer: `${pointer}/amount`, code: 'range_empty', detail: 'atLeast is more than atMost' });
  }
  return problems;
}

function packProblems({ stores, shippings, carriers }: PackRule, pointer: string): InputProblem[] {
  if (stores.kind !== 'all_bigshop') return [];
  return Object.entries({ shippings, carriers }).flatMap(([field, list]) =>
    list === undefined
      ? []
      : [
          {
            pointer: `${pointer}/${field}`,
            code: 'carrier_choice_disabled',
            detail:
              'With all BigShop stores any order counts as one that arranges itself: there is no carrier to choose',
          },
        ],
  );
}

/** Everything that is wrong with settings in themselves; what they name is the store's to look up. */
export function settingsProblems<Kind extends AutomationKind>(
  kind: Kind,
  settings: AutomationSettings[Kind],
): InputProblem[] {
  if (!('rules' in settings)) return [];
  const rules = settings.rules as readonly RuleHead[];
  const each = rules.flatMap((rule, index): InputProblem[] => {
    const pointer = `/rules/${index}`;
    if (kind === 'auto-pack') return packProblems(rule as PackRule, pointer);
    const { conditions } = rule as MarkRule;
    const side =
      kind === 'shipping-rules' || (kind === 'mark-rules' && (rule as MarkRule).of === 'supply_orders')
        ? 'supply_orders'
        : 'orders';
    const problems = conditionProblems(conditions, side, `${pointer}/conditions`);
    if (kind === 'mark-rules') {
      const { of, marketing, tags } = rule as MarkRule;
      if (of === 'supply_orders' && marketing)
        problems.push({
          pointer: `${pointer}/marketing`,
          code: 'not_for_supply_orders',
          detail: 'A supply order can not be marked as a marketing order',
        });
      else if (tags.length === 0 && !marketing)
        problems.push({ pointer: `${pointer}/tags`, code: 'marks_nothing', detail: 'The rule marks nothing' });
    }
    if (kind === 'gift-rules' && (rule as GiftRule).per === 'unit' && conditions.skus === undefined)
      problems.push({
        pointer: `${pointer}/per`,
        code: 'skus_required',
        detail: 'Name the SKUs in the conditions whose units count',
      });
    return problems;
  });
  return [...repeated(rules, 'priority', 'priority_taken'), ...repeated(rules, 'name', 'name_taken'), ...each];
}

/** Ids that settings name, by what they must be the account's own of, with their places. */
export function namesIn<Kind extends AutomationKind>(
  kind: Kind,
  settings: AutomationSettings[Kind],
): { readonly what: 'store' | 'warehouse' | 'partnership' | 'sku'; readonly pointer: string; readonly name: string }[] {
  const names: ReturnType<typeof namesIn> = [];
  const note = (what: 'store' | 'warehouse' | 'partnership' | 'sku', pointer: string, list?: readonly string[]) => {
    for (const [index, name] of (list ?? []).entries()) names.push({ what, pointer: `${pointer}/${index}`, name });
  };
  if (kind === 'auto-push')
    note('partnership', '/partnerships', (settings as AutomationSettings['auto-push']).partnerships);
  if (!('rules' in settings)) return names;
  for (const [index, rule] of (settings.rules as readonly RuleHead[]).entries()) {
    const pointer = `/rules/${index}`;
    const { conditions } = rule as Partial<MarkRule>;
    const stores = conditions?.stores ?? [];
    for (const [at, name] of stores.entries())
      if (name !== 'api') names.push({ what: 'store', pointer: `${pointer}/conditions/stores/${at}`, name });
    note('partnership', `${pointer}/conditions/partnerships`, conditions?.partnerships);
    note('warehouse', `${pointer}/conditions/warehouses`, conditions?.warehouses);
    if (kind === 'allocation-rules' || kind === 'auto-pack')
      note('warehouse', `${pointer}/warehouses`, (rule as AllocationRule | PackRule).warehouses);
    if (kind === 'gift-rules')
      for (const [at, { sku }] of (rule as GiftRule).gifts.entries())
        names.push({ what: 'sku', pointer: `${pointer}/gifts/${at}/sku`, name: sku });
    const { stores: packed } = rule as Partial<PackRule>;
    if (packed?.kind === 'list')
      for (const [at, { partnership }] of packed.stores.entries())
        names.push({ what: 'partnership', pointer: `${pointer}/stores/stores/${at}/partnership`, name: partnership });
  }
  return names;
}
