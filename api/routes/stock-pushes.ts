/** Push Now, "sync now" of listings, and their automatic switch. Contract: stock-push.md, store-products.md. */
import { HubError } from '../../domain/failures';
import { stockPushId } from '../../domain/process-ids';
import { PUSH_RULE_LIMIT, RULE_SKU_LIMIT } from '../../domain/push-rules';
import type { PushTarget } from '../../store/models/documents';
import type { Hub } from '../hub';
import { requireInventory } from '../inventory';
import { listOperation, operationAnswer, operationStarted, startStored } from '../operations';
import { type Answer, ok, type RouteRequest, route } from '../route';
import { id, listOfDistinct, skuCode } from '../schemas/values';
import { z } from '../schemas/zod';

const listOfIds = (most: number) => listOfDistinct(id, { most });
const LISTINGS_MOST = 500;
const STORES_MOST = 1_000;

const pushTarget = z
  .strictObject({
    all: z.literal(true).optional(),
    rules: listOfIds(PUSH_RULE_LIMIT).optional(),
    skus: listOfDistinct(skuCode, { most: RULE_SKU_LIMIT }).optional(),
    stores: listOfIds(STORES_MOST).optional(),
  })
  .refine((body) => Object.keys(body).length === 1, 'must name all, rules, skus or stores: one of them');

/** 409 `no_push_rule`, naming the SKUs that no enabled rule contains. */
async function requireRules({ store }: Hub, account: string, skus: readonly string[]): Promise<void> {
  const without = await store.stockPushes.withoutRule(account, skus);
  if (without.length > 0)
    throw new HubError('no_push_rule', `No enabled push rule contains ${without.slice(0, 5).join(', ')}`, {
      members: { skus: without },
    });
}

/** Every named thing must be the account's own. */
function requireAll(field: string, what: string, names: readonly string[], there: readonly string[]): void {
  const known = new Set(there);
  const errors = names.flatMap((name, index) =>
    known.has(name)
      ? []
      : [{ pointer: `/${field}/${index}`, code: `unknown_${what}`, detail: `There is no ${what} ${name}` }],
  );
  if (errors.length > 0) throw new HubError('invalid_input', 'Some are not there', { errors });
}

async function start(request: RouteRequest, hub: Hub, target: PushTarget): Promise<Answer> {
  const { account, command } = request;
  await hub.processes.ping();
  const job = command.replace(/^cmd/, 'job');
  const workflowId = stockPushId(job);
  await hub.store.stockPushes.begin(job, account, target);
  await listOperation(hub, account, { workflowId, kind: 'stock_push', accounts: [account], document: job });
  await startStored(hub, () => hub.processes.startStockPush({ account, job }));
  return operationStarted(hub, request, [workflowId]);
}

async function targetOf(hub: Hub, account: string, body: z.output<typeof pushTarget>): Promise<PushTarget> {
  const { rules, skus, stores } = body;
  if (rules) {
    const there = await hub.store.pushes.namedRules(account, rules);
    requireAll('rules', 'rule', rules, there);
    return { kind: 'rules', names: rules };
  }
  if (stores) {
    const there = await hub.store.stores.named(account, stores);
    requireAll(
      'stores',
      'store',
      stores,
      there.map(({ _id }) => _id),
    );
    return { kind: 'stores', names: stores };
  }
  if (skus) {
    requireAll('skus', 'sku', skus, await hub.store.catalogue.named(account, skus));
    await requireRules(hub, account, skus);
    return { kind: 'skus', names: skus };
  }
  return { kind: 'all' };
}

export const stockPushNowRoutes = [
  route({
    method: 'post',
    path: '/v1/stock-pushes',
    access: 'inventory',
    tag: 'stock push',
    summary: 'Push Now: everything, or what rules, SKUs or stores name; sent also where the store has the quantity',
    body: pushTarget,
    moves: true,
    audit: {
      objects: ({ body }) => [body.rules, body.skus, body.stores].flatMap((names) => names ?? []).slice(0, 200),
      snapshot: null,
    },
    answers: { 200: operationAnswer, 202: operationAnswer },
    async handle(request, hub) {
      await requireInventory(hub, request.account);
      return start(request, hub, await targetOf(hub, request.account, request.body));
    },
  }),
  route({
    method: 'post',
    path: '/v1/listings/sync',
    access: 'stores',
    tag: 'listings',
    summary: 'Sync now: push the quantity of these listings once',
    body: z.strictObject({ listings: listOfIds(LISTINGS_MOST) }),
    moves: true,
    audit: { action: 'listings.sync', objects: ({ body }) => body.listings, snapshot: null },
    answers: { 200: operationAnswer, 202: operationAnswer },
    async handle(request, hub) {
      const { account, body } = request;
      await requireInventory(hub, account);
      const rows = await hub.store.stores.namedListings(account, body.listings);
      requireAll(
        'listings',
        'listing',
        body.listings,
        rows.map(({ _id }) => _id),
      );
      const connected = rows.flatMap(({ sku }) => sku ?? []);
      if (connected.length < rows.length)
        throw new HubError('no_push_rule', 'A listing without a SKU has no rule', {
          members: { listings: rows.flatMap(({ _id, sku }) => (sku === null ? [_id] : [])) },
        });
      await requireRules(hub, account, [...new Set(connected)]);
      return start(request, hub, { kind: 'listings', names: body.listings });
    },
  }),
  route({
    method: 'post',
    path: '/v1/listings/auto-sync',
    access: 'stores',
    tag: 'listings',
    summary: 'Automatic synchronisation of listings, on or off; changing it pushes nothing by itself',
    body: z
      .strictObject({ listings: listOfIds(LISTINGS_MOST).optional(), all: z.literal(true).optional(), on: z.boolean() })
      .refine((body) => (body.all === undefined) !== (body.listings === undefined), 'must name all or listings'),
    audit: { action: 'listings.auto_sync', objects: ({ body }) => body.listings ?? [], snapshot: null },
    answers: { 200: z.object({ changed: z.int() }) },
    async handle({ account, body }, { store }) {
      if (body.listings)
        requireAll(
          'listings',
          'listing',
          body.listings,
          (await store.stores.namedListings(account, body.listings)).map(({ _id }) => _id),
        );
      return ok({ changed: await store.stores.setAutomatic(account, body.listings ?? null, body.on) });
    },
  }),
];
