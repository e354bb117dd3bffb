/**
 * The demo's story: what one buyer's order does to everybody's stock, what happens while a marketplace is down, and that a
 * webhook sent ten times is one order. It acts as people do (buyers at the sandbox, accounts through the API, an operator
 * in Temporal) and checks what it tells.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { SandboxControl } from './control';
import { STORY_SKU } from './demo-goods';
import {
  type Billing,
  createHubApi,
  type HubApi,
  type HubStore,
  type Listing,
  type Money,
  type Operation,
  type Order,
  type Partnership,
  type Stock,
  type SupplyOrder,
  until,
  type Warehouse,
} from './hub-api';
import type { SeededAccount } from './seed';

export interface StoryInput {
  /** The API's address, without `/v1`. */
  readonly apiUrl: string;
  readonly supplier: SeededAccount;
  readonly distributors: readonly SeededAccount[];
  readonly control: SandboxControl;
  readonly temporal: Client;
  /** The Temporal UI's address; empty where it is not known. */
  readonly temporalUi: string;
  readonly teller: Teller;
}

/** How the story is told. */
export interface Teller {
  step(title: string): void;
  say(text: string): void;
  /** What was checked and holds. */
  holds(text: string): void;
  /** Quantities before and after. */
  table(rows: readonly { name: string; before: number | string; after: number | string }[]): void;
}

/** Something the story tells did not hold. */
export class StoryFailure extends Error {}

const BUYER = { name: 'Demo Buyer', phone: '+60120000000', address: '1 Demo Street, 50000 Kuala Lumpur' };
const LOW_UNITS = 10;
const RESTOCK_UNITS = 100;
const LOW_FUNDS = 250;
const TOP_UP = { amount: '2000.00', currency: 'MYR' };
/** Parking takes every try of the lane; all else comes within a second or two. */
const PATIENCE_MS = 90_000;

interface Shop {
  readonly store: HubStore;
  readonly owner: Distributor;
  readonly item: string;
  readonly model: string;
}
interface Distributor {
  readonly name: string;
  readonly api: HubApi;
  readonly partnership: string;
  readonly warehouses: readonly Warehouse[];
}
interface Cast extends StoryInput {
  readonly supplierApi: HubApi;
  readonly supplierName: string;
  readonly warehouses: readonly Warehouse[];
  readonly parties: readonly Distributor[];
  readonly first: Distributor;
  readonly shops: readonly Shop[];
  readonly shopee: Shop;
  readonly lazada: Shop;
}

/** Plays it once. Throws `StoryFailure` at the first thing that does not hold; a fault it made is gone in any case. */
export async function playStory(input: StoryInput): Promise<void> {
  const cast = await gather(input);
  await prepare(cast);
  await orderToEverybody(cast);
  try {
    await outage(cast);
  } finally {
    await input.control.clearFaults('lazada', 'down');
  }
  await tenTimesTheSame(cast);
}

function check(cast: Pick<Cast, 'teller'>, holds: boolean, text: string): void {
  if (!holds) throw new StoryFailure(`This does not hold: ${text}`);
  cast.teller.holds(text);
}

/** Polls; what is missing at the end is the story's failure. */
async function comes<T>(what: string, look: () => Promise<T | null>): Promise<T> {
  return until(async () => {
    const found = await look();
    if (found === null) throw new StoryFailure(`This did not come: ${what}`);
    return found;
  }, PATIENCE_MS);
}

const text = ({ amount, currency }: Money) => `${amount} ${currency}`;
const sum = (rows: readonly Stock[], field: 'available' | 'allocated' | 'onHand') =>
  rows.reduce((total, row) => total + row[field], 0);
const stockOf = (api: HubApi) => api.list<Stock>(`/stock?sku=${STORY_SKU}`);

async function gather(input: StoryInput): Promise<Cast> {
  const supplierApi = createHubApi(input.apiUrl, input.supplier.key);
  const { name: supplierName } = await supplierApi.get<{ name: string }>('/account');
  const parties: Distributor[] = [];
  const shops: Shop[] = [];
  for (const { key } of input.distributors) {
    const api = createHubApi(input.apiUrl, key);
    const { name } = await api.get<{ name: string }>('/account');
    const partnerships = await api.list<Partnership>('/distributor/suppliers?status=partnered');
    const partnership = partnerships.find(({ supplier }) => supplier.id === input.supplier.id)?.id ?? '';
    const views = (await api.list<Warehouse>('/warehouses')).filter((one) => one.partnership === partnership);
    const warehouses = views.sort((one, other) => one.name.localeCompare(other.name));
    const owner = { name, api, partnership, warehouses };
    parties.push(owner);
    for (const store of await api.list<HubStore>('/stores')) {
      const listings = await api.list<Listing>(`/stores/${store.id}/listings?state=connected`);
      const listing = listings.find(({ sku }) => sku === STORY_SKU);
      if (listing) shops.push({ store, owner, item: listing.item, model: listing.model });
    }
  }
  const [first] = parties;
  const shopee = shops.find(({ owner, store }) => owner === first && store.platform === 'shopee');
  const lazada = shops.find(({ owner, store }) => owner === first && store.platform === 'lazada');
  if (!first || !shopee || !lazada || shops.length !== 3)
    throw new StoryFailure('The demo data are not as they were made; start over with: npm start -- --fresh');
  const warehouses = (await supplierApi.list<Warehouse>('/warehouses')).filter(({ kind }) => kind === 'own');
  return { ...input, supplierApi, supplierName, warehouses, parties, first, shops, shopee, lazada };
}

/** The story's SKU in every place, in the order of the table. */
async function lookEverywhere(cast: Cast): Promise<Map<string, number>> {
  const seen = new Map<string, number>();
  const rows = await stockOf(cast.supplierApi);
  for (const { id, name } of cast.warehouses)
    seen.set(
      `${cast.supplierName}, ${name}: available`,
      rows.find(({ warehouse }) => warehouse === id)?.available ?? 0,
    );
  seen.set(`${cast.supplierName}: allocated to orders`, sum(rows, 'allocated'));
  for (const { name, api, warehouses } of cast.parties) {
    const mirror = await stockOf(api);
    for (const place of warehouses)
      seen.set(`${name} sees in ${place.name}`, mirror.find(({ warehouse }) => warehouse === place.id)?.available ?? 0);
  }
  for (const shop of cast.shops) seen.set(`Shop ${shop.store.name} shows`, await shown(cast, shop));
  return seen;
}

async function shown({ control }: Cast, { store, item, model }: Shop): Promise<number> {
  const { items } = await control.shop(store.platform, store.shopId ?? '');
  const found = items.find(({ itemId }) => itemId === item)?.models.find(({ modelId }) => modelId === model);
  if (!found) throw new StoryFailure(`The shop ${store.name} no longer has its listing of ${STORY_SKU}`);
  return found.stock;
}

/** Null while somebody still shows something else than the supplier has. @param except a shop that cannot be reached */
async function settled(cast: Cast, except?: Shop): Promise<Map<string, number> | null> {
  const origin = await stockOf(cast.supplierApi);
  for (const party of cast.parties) {
    const mirror = await stockOf(party.api);
    if (sum(mirror, 'onHand') !== sum(origin, 'available')) return null;
    for (const shop of cast.shops)
      if (shop.owner === party && shop !== except && (await shown(cast, shop)) !== sum(mirror, 'available'))
        return null;
  }
  return lookEverywhere(cast);
}

const everybodySettled = (cast: Cast, except?: Shop) =>
  comes('the same stock at the supplier, the distributors and in every shop', () => settled(cast, except));

/** What changed, and what each shop shows. */
function tell(cast: Cast, before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): void {
  const rows = [...after].map(([name, value]) => ({ name, before: before.get(name) ?? 0, after: value }));
  cast.teller.table(rows.filter((row) => row.before !== row.after || row.name.startsWith('Shop ')));
}

/** What an earlier run may have left: a fault, a parked lane, little stock, little money. */
async function prepare(cast: Cast): Promise<void> {
  const { control, supplierApi, first, lazada, teller } = cast;
  await control.clearFaults('lazada', 'down');
  await control.clearFaults('shopee', 'push_duplicate');
  const parked = await first.api.list<Operation>('/operations?status=parked&kind=store_lane');
  for (const { id, document } of parked)
    if (document === lazada.store.id)
      await first.api.post(`/operations/${id}/retry`, {}, { idempotencyKey: randomUUID() });
  for (const row of await stockOf(supplierApi)) {
    if (row.available >= LOW_UNITS) continue;
    const delivery = { kind: 'stockIn', quantity: RESTOCK_UNITS, reason: 'Demo: stock was low' };
    await adjust(cast, row.warehouse, delivery);
    teller.say(`Stock was low: ${RESTOCK_UNITS} units of ${STORY_SKU} came in.`);
  }
  const { balance, unusedCredit, usedCredit } = await billing(cast);
  if (Math.max(Number(balance.amount), 0) + Number(unusedCredit.amount) < LOW_FUNDS) {
    const path = `/supplier/distributors/${first.partnership}/billing/top-ups`;
    await supplierApi.post(path, { amount: TOP_UP, note: 'Demo' }, { idempotencyKey: randomUUID() });
    teller.say(`${first.name} had used ${text(usedCredit)} of its credit: ${text(TOP_UP)} were paid in.`);
  }
  await everybodySettled(cast);
}

const billing = ({ supplierApi, first }: Cast) =>
  supplierApi.get<Billing>(`/supplier/distributors/${first.partnership}/billing`);

function adjust(cast: Cast, warehouse: string, change: { kind: string; quantity: number; reason: string }) {
  const body = { warehouse, sku: STORY_SKU, ...change };
  return cast.supplierApi.post<Stock>('/stock/adjustments', body, { idempotencyKey: randomUUID() });
}

const buy = (cast: Cast, quantity: number) =>
  cast.control.createOrder('shopee', {
    shopId: cast.shopee.store.shopId ?? '',
    lines: [{ itemId: cast.shopee.item, modelId: cast.shopee.model, quantity }],
    recipient: BUYER,
    shipping: 'platform_logistics',
  });

const ordersWith = async (cast: Cast, number: string) =>
  (await cast.first.api.list<Order>(`/orders?store=${cast.shopee.store.id}`)).filter((one) => one.number === number);

const synced = (cast: Cast, number: string) =>
  comes(`the order ${number} in the hub`, async () => {
    const [order] = await ordersWith(cast, number);
    return order?.packages[0] ? { order, pkg: order.packages[0] } : null;
  });

/** As the distributor does, and waits for the end. */
async function pushToSupplier(cast: Cast, order: string): Promise<Order> {
  const options = { idempotencyKey: randomUUID(), waitS: 30 };
  const { operation } = await cast.first.api.post<{ operation: Operation }>(`/orders/${order}/push`, {}, options);
  await comes('the end of the push', async () => {
    const { status, error } = await cast.first.api.get<Operation>(`/operations/${operation.id}`);
    if (status === 'failed') throw new StoryFailure(`The push failed: ${error?.detail}`);
    return status === 'done' ? true : null;
  });
  return cast.first.api.get<Order>(`/orders/${order}`);
}

async function supplyOrderOf(cast: Cast, pushed: Order): Promise<SupplyOrder> {
  const id = pushed.packages[0]?.supplyOrder;
  if (!id) throw new StoryFailure('The pushed order has no supply order');
  return cast.supplierApi.get<SupplyOrder>(`/supply-orders/${id}`);
}

async function orderToEverybody(cast: Cast): Promise<void> {
  const { teller, control, first, shopee, supplierApi } = cast;
  const before = await lookEverywhere(cast);
  const paidBefore = await billing(cast);

  teller.step(`A buyer orders 3 x ${STORY_SKU} at ${shopee.store.name}`);
  const order = await buy(cast, 3);
  teller.say(`Order ${order.orderNumber}, carried by the platform's own logistics.`);

  teller.step('The marketplace tells the hub, signed');
  const push = await comes('the webhook at the hub', async () => {
    const { pushes } = await control.pushes({ platform: 'shopee', orderNumber: order.orderNumber });
    return pushes.find(({ state }) => state === 'delivered') ?? null;
  });
  const answer = push.attempts.at(-1);
  teller.holds(`The hub verified it, stored it and answered ${answer?.status} after ${answer?.durationMs} ms`);

  teller.step('The order is synced: listing → SKU → claim, price fixed, stock allocated');
  const { order: there, pkg } = await synced(cast, order.orderNumber);
  const place = first.warehouses.find(({ id }) => id === pkg.warehouse)?.name ?? '?';
  teller.say(`${first.name} has it as ${there.id}: ${there.status}, from the supplier's ${place}.`);

  teller.step(`${first.name} pushes it to ${cast.supplierName}`);
  const pushed = await pushToSupplier(cast, there.id);
  check(
    cast,
    pushed.status === 'pushed',
    `The order is ${pushed.status}; it was asked for once, with an Idempotency-Key`,
  );
  const supply = await supplyOrderOf(cast, pushed);
  for (const line of supply.charge.lines)
    teller.say(`  ${line.kind.padEnd(18)} ${line.quantity} x ${text(line.unit).padStart(9)} = ${text(line.amount)}`);
  const paidAfter = await billing(cast);
  teller.table([
    { name: `Balance of ${first.name}`, before: text(paidBefore.balance), after: text(paidAfter.balance) },
  ]);
  const booked = cents(paidBefore.balance) - cents(paidAfter.balance);
  check(cast, booked === cents(supply.charge.total), `Booked was exactly the charge of ${text(supply.charge.total)}`);

  teller.step(`${cast.supplierName} has a new supply order`);
  const { recipient } = supply;
  teller.say(`${supply.id} (${supply.status}) from "${supply.sourceStore}"`);
  teller.say(`Recipient: ${recipient?.name}, ${recipient?.phone}, ${recipient?.address}`);
  const isMasked =
    recipient !== null && Object.values(BUYER).every((value) => !Object.values(recipient).includes(value));
  check(cast, isMasked, 'The recipient is masked: the platform carries the parcel, so the supplier need not know');

  teller.step('Everybody has the new stock');
  const after = await everybodySettled(cast);
  tell(cast, before, after);
  const rows = await stockOf(supplierApi);
  const taken = sumOf(before, 'available') - sum(rows, 'available');
  check(cast, taken === 3, 'The supplier has 3 units less to sell, allocated to the order');
  for (const shop of cast.shops) {
    const name = `Shop ${shop.store.name} shows`;
    check(cast, (before.get(name) ?? 0) - (after.get(name) ?? 0) === 3, `${shop.store.name} shows 3 less`);
  }
}

const cents = ({ amount }: Money) => Math.round(Number(amount) * 100);
const sumOf = (seen: ReadonlyMap<string, number>, ending: string) =>
  [...seen].filter(([name]) => name.endsWith(`: ${ending}`)).reduce((total, [, value]) => total + value, 0);

async function outage(cast: Cast): Promise<void> {
  const { teller, control, first, lazada, temporal } = cast;
  const before = await lookEverywhere(cast);
  teller.step('Lazada goes down, and the supplier takes 2 units off the shelf');
  await control.addFault('lazada', { kind: 'down', shopId: lazada.store.shopId ?? '' });
  const [place] = cast.warehouses;
  await adjust(cast, place?.id ?? '', { kind: 'stockOut', quantity: 2, reason: 'Demo: two broken ones' });
  const during = await everybodySettled(cast, lazada);
  tell(cast, before, during);
  const name = `Shop ${lazada.store.name} shows`;
  check(
    cast,
    during.get(name) === before.get(name),
    `${lazada.store.name} still shows the old number; the other shops go on`,
  );

  teller.step('The lane of that store stands parked in Temporal');
  const query = `HubStatus = "parked" AND HubStore = "${lazada.store.id}"`;
  teller.say(`Searched for: ${query}`);
  const lane = await comes('the parked lane', async () => {
    for await (const found of temporal.workflow.list({ query })) return found;
    return null;
  });
  const details = await comes('what the lane waits for', async () => detailsOf(temporal, lane.workflowId));
  teller.say(`${lane.workflowId}: ${details}`);
  if (cast.temporalUi !== '') teller.say(linkTo(cast, lane.workflowId, lane.runId));
  check(cast, /retry/.test(details), 'It says what it waits for, and what an operator can do');
  const operation = await comes('the parked operation in the API', async () => {
    const parked = await first.api.list<Operation>('/operations?status=parked&kind=store_lane');
    return parked.find(({ document }) => document === lazada.store.id) ?? null;
  });
  teller.say(`The API lists it as well: operation ${operation.id}, ${operation.error?.code}`);

  teller.step('Lazada comes back, and the operation is tried again');
  await control.clearFaults('lazada', 'down');
  await first.api.post(`/operations/${operation.id}/retry`, {}, { idempotencyKey: randomUUID() });
  teller.say(`POST /v1/operations/${operation.id}/retry`);
  const after = await everybodySettled(cast);
  tell(cast, during, after);
  check(cast, (before.get(name) ?? 0) - (after.get(name) ?? 0) === 2, `${lazada.store.name} shows the new number`);
  const end = await comes('the end of the operation', async () => {
    const { status } = await first.api.get<Operation>(`/operations/${operation.id}`);
    return status === 'parked' ? null : status;
  });
  check(cast, end === 'done', 'Nothing is parked any more');
}

/** The current details as the Temporal UI shows them. */
async function detailsOf(temporal: Client, workflowId: string): Promise<string | null> {
  const metadata = await temporal.workflow
    .getHandle(workflowId)
    .query<{ currentDetails?: string } | undefined>('__temporal_workflow_metadata');
  return metadata?.currentDetails || null;
}

function linkTo({ temporalUi, temporal }: Cast, workflowId: string, runId: string): string {
  const { namespace } = temporal.options;
  return `${temporalUi}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}/${runId}/history`;
}

async function tenTimesTheSame(cast: Cast): Promise<void> {
  const { teller, control, first } = cast;
  const before = await lookEverywhere(cast);
  teller.step('The same webhook comes ten times at once');
  await control.addFault('shopee', { kind: 'push_duplicate', copies: 10, times: 1 });
  const { orderNumber } = await buy(cast, 1);
  const attempts = await comes('ten answers of the hub', async () => {
    const { pushes } = await control.pushes({ platform: 'shopee', orderNumber });
    const made = pushes.flatMap((push) => push.attempts);
    return made.length >= 10 ? made : null;
  });
  teller.say(`The hub answered ${attempts.map(({ status }) => status).join(' ')}`);
  check(
    cast,
    attempts.every(({ status }) => status !== null && status < 300),
    'Each was taken with 2xx',
  );
  const { order } = await synced(cast, orderNumber);
  const pushed = await pushToSupplier(cast, order.id);
  const after = await everybodySettled(cast);
  tell(cast, before, after);
  const orders = await ordersWith(cast, orderNumber);
  const packages = orders.flatMap((one) => one.packages.map(({ id }) => id));
  check(
    cast,
    orders.length === 1 && packages.length === 1,
    `${first.name} has one order ${orderNumber}, with one package`,
  );
  const supplyOrders = (await cast.supplierApi.list<SupplyOrder>('/supply-orders')).filter((one) =>
    packages.includes(one.package),
  );
  check(
    cast,
    pushed.status === 'pushed' && supplyOrders.length === 1,
    `${cast.supplierName} has one supply order for it`,
  );
  check(cast, sumOf(before, 'available') - sumOf(after, 'available') === 1, 'One unit was allocated');
}
