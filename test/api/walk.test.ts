/**
 * Every route of the API document, called with another account's key and somebody else's ids: by an account that has nothing
 * to do with them, and by another distributor of the same supplier. Contract: partnership.md, "Another account's object: 404".
 * A new route is walked by itself; one with a parameter that is not known yet fails until its object stands in `things`.
 */
import { Readable } from 'node:stream';

import { type Api, addOrder, addStore, as, expectStatus, liveSupplier, type Party, partner, startApi } from './harness';
import {
  type ApiDocument,
  bodyFor,
  type DocumentedRoute,
  documentedRoutes,
  fileFor,
  pathFor,
  queriesFor,
  type Things,
} from './route-samples';

/** Parameters that name no object of anybody. */
const NO_OBJECT = ['/v1/supplier/setup/{step}'];
/** What may be called without a key; each has a secret of its own, or tells nothing. */
const PUBLIC = ['get /healthz', 'get /readyz', 'get /v1/stores/callback/{platform}', 'post /v1/webhooks/{platform}'];
/** Answers to input that the route does not understand: then it has not looked for the object. */
const NOT_UNDERSTOOD = [
  'required',
  'unknown_field',
  'wrong_type',
  'invalid_format',
  'too_short',
  'not_allowed',
  'invalid',
];
/** What belongs to nobody, or is the trace of the request itself. */
const UNCOMPARED = ['bulkItems', 'idempotency', 'auditRows', 'auditHeads', 'auditIntents', 'auditDailyHeads'];

/** What a verification would have found. */
const PLANTED = {
  ...{ kind: 'balance_wrong', subject: 's', partnership: null, documents: [], expected: '1', found: '2' },
  ...{ lacks: null, compensation: null, booked: null },
};

type Row = Readonly<Record<string, unknown>>;
type Dump = ReadonlyMap<string, { readonly row: Row; readonly text: string }>;

describe('another account’s key', () => {
  let api: Api;
  let document: ApiDocument;
  let routes: DocumentedRoute[];
  let things: Things;
  let supplier: Party & { warehouse: string };
  let distributor: Party;
  let unrelated: Party;
  let sibling: Party;

  beforeAll(async () => {
    api = await startApi();
    supplier = await liveSupplier(api, 'Theirs');
    unrelated = await liveSupplier(api, 'Unrelated');
    sibling = await makeSibling();
    things = await makeThings();
    document = (await api.request.get('/openapi.json')).body as ApiDocument;
    routes = documentedRoutes(document);
  });
  afterAll(() => api.close());

  /** Another distributor of the same supplier, with a claim of their own. */
  async function makeSibling(): Promise<Party> {
    const made = await partner(api, supplier);
    await expectStatus(
      as(api, made.distributor).post(`/v1/distributor/suppliers/${made.id}/claims`, { sku: 'SKU-1' }),
      201,
    );
    return made.distributor;
  }

  /** One of everything that a supplier and their distributor have. */
  async function makeThings(): Promise<Things> {
    const { post, get, put } = as(api, supplier);
    await expectStatus(post('/v1/skus', { sku: 'THEIRS-1', name: 'Theirs' }), 201);
    const stockIn = { warehouse: supplier.warehouse, sku: 'THEIRS-1', kind: 'stockIn', quantity: 50, reason: 'r' };
    await expectStatus(post('/v1/stock/adjustments', stockIn), 200);
    const basePrice = { amount: '12.50', currency: 'MYR' };
    await expectStatus(post('/v1/supplier/products', { sku: 'THEIRS-1', basePrice }), 202);
    await api.store.products.publish(supplier.id, 'THEIRS-1', 1);
    const rule = { kind: 'percentOfBase', percent: '80' };
    const level = (await expectStatus(post('/v1/supplier/levels', { name: 'VIP', rule }), 201)).body.id;
    const prices = [{ sku: 'THEIRS-1', level, price: basePrice }];
    await expectStatus(put('/v1/supplier/sku-prices', { prices }), 200);
    const invitation = (await expectStatus(post('/v1/supplier/invitations'), 201)).body.id;
    const everything = { products: { kind: 'all' }, distributors: { kind: 'all' } };
    const visible = await expectStatus(
      post('/v1/supplier/visibility-rules', { number: 1, kind: 'scope', ...everything }),
      201,
    );

    const partnership = await partner(api, supplier, { level });
    distributor = partnership.distributor;
    const theirs = as(api, distributor);
    const claim = await expectStatus(
      theirs.post(`/v1/distributor/suppliers/${partnership.id}/claims`, { sku: 'THEIRS-1' }),
      201,
    );
    expect(claim.status).toBe(201);
    const store = await addStore(api, distributor, '5001');
    const goods = { itemId: '1', modelId: '0', sellerSku: 'THEIRS-1', title: 'Thing', imageUrl: null, variation: '' };
    await api.store.stores.putListings(await api.store.stores.get(distributor.id, store), [
      { ...goods, price: '3.00', currency: 'MYR', quantity: 4, status: 'live' },
    ]);
    const listing = (await theirs.get(`/v1/stores/${store}/listings`)).body.items[0].id;
    const view = (await theirs.get('/v1/warehouses')).body.items[0].id;
    const pushRule = await expectStatus(
      theirs.post('/v1/push-rules', {
        name: 'r',
        priority: 1,
        skus: { kind: 'all' },
        warehouses: [view],
        stores: [store],
      }),
      201,
    );
    const order = await addOrder(api, distributor, 1, 'THEIRS-1');
    const pushed = await expectStatus(theirs.post(`/v1/orders/${order.id}/push`), 202);
    await api.store.orders.push(order.packages[0].id, 1);
    const waiting = await addOrder(api, distributor, 1, 'THEIRS-1');
    expect(waiting.packages).toHaveLength(1);
    await plantPushRecords(store);
    const supplyOrder = (await get('/v1/supply-orders')).body.items[0].id;
    await plantReturn(supplyOrder, order.packages[0].id, partnership.id);
    const notification = (await get('/v1/notifications')).body.items[0].id;
    const apiKey = (await get('/v1/api-keys')).body.items[0].id;
    const operation = pushed.body.operation.id;
    const file = await api.store.files.receive(supplier.id, Readable.from([Buffer.from('sku,name')]), 100);
    const how = { format: 'csv', sheet: null, dryRun: false, mayDistribute: false, currency: null } as const;
    const imported = await api.store.imports.add(supplier.id, 'cmd', { kind: 'skus', file: file.id, ...how });
    const verification = await api.store.verification.add(supplier.id, 'cmd', { repair: false, dryRun: false });
    await api.database
      .collection('discrepancies')
      .insertOne({ _id: `${verification._id}/k/s`, ...PLANTED, verification: verification._id } as never);
    const places = {
      '/v1/accounts/{id}': supplier.id,
      '/v1/api-keys/{id}': apiKey,
      '/v1/notifications/{id}': notification,
      '/v1/supplier/setup/{step}': 'bigshop',
      '/v1/supplier/invitations/{id}': invitation,
      '/v1/supplier/distributors/{id}': partnership.id,
      '/v1/distributor/suppliers/{id}': partnership.id,
      '/v1/distributor/suppliers/{id}/claims/{sku}': 'THEIRS-1',
      '/v1/customers/{id}': partnership.customer,
      '/v1/skus/{sku}': 'THEIRS-1',
      '/v1/supplier/products/{sku}': 'THEIRS-1',
      '/v1/supplier/products/{sku}/distributors/{id}': partnership.id,
      '/v1/supplier/levels/{id}': level,
      '/v1/supplier/visibility-rules/{id}': visible.body.id,
      '/v1/stores/{id}': store,
      '/v1/push-rules/{id}': pushRule.body.id,
      '/v1/orders/{id}': order.id,
      '/v1/orders/{id}/packages/{package}': order.packages[0].id,
      '/v1/supply-orders/{id}': supplyOrder,
      '/v1/imports/{id}': imported._id,
      '/v1/billing/verifications/{id}': verification._id,
      '/v1/operations/{id}': operation,
    };
    const fields = {
      ...{ store, listing, level, invitation, notification, operation, supplyOrder, sku: 'THEIRS-1' },
      ...{
        order: order.id,
        package: order.packages[0].id,
        partnership: partnership.id,
        partner: partnership.id,
        object: partnership.id,
      },
      ...{ warehouse: supplier.warehouse, otherWarehouse: view, customer: partnership.customer },
      ...{ supplier: supplier.id, distributor: distributor.id, account: supplier.id, actor: apiKey },
    };
    return { places, fields };
  }

  /** What lanes would have written; nothing runs here. */
  async function plantPushRecords(store: string): Promise<void> {
    const latest = {
      ...{ quantity: 1, before: 0, cause: 'stock', rule: null, revision: null, at: new Date() },
      ...{ outcome: 'accepted', error: null, attempts: 1, changes: 1 },
    };
    const record = { sku: 'THEIRS-1', accepted: 1, latest, results: 1 };
    await api.database.collection<{ _id: string }>('pushRecords').insertMany([
      { _id: `${store}/1/0`, account: distributor.id, kind: 'store', store, distributor: null, ...record },
      {
        _id: 'p/THEIRS-1',
        account: supplier.id,
        kind: 'distributor',
        store: null,
        distributor: distributor.id,
        ...record,
      },
    ] as never);
  }

  /** Goods that came back; nothing was shipped here. */
  async function plantReturn(supplyOrder: string, pkg: string, partnership: string): Promise<void> {
    const row = { supplyOrder, package: pkg, supplier: supplier.id, distributor: distributor.id, partnership };
    const what = { lines: [], warehouse: null, note: null, refund: 0, charge: 0, currency: 'MYR', at: new Date() };
    await api.database.collection<{ _id: string }>('returns').insertOne({ _id: 'ret_walk', ...row, ...what } as never);
  }

  /** Everything that is stored. */
  async function dump(): Promise<Dump> {
    const found = new Map<string, { row: Row; text: string }>();
    for (const { name } of await api.database.listCollections().toArray()) {
      if (UNCOMPARED.includes(name)) continue;
      for (const row of await api.database.collection(name).find().toArray())
        found.set(`${name}/${String(row._id)}`, { row, text: JSON.stringify(row) });
    }
    return found;
  }

  const owners = ({ _id, account, supplier: of, distributor: by, accounts }: Row) =>
    [_id, account, of, by, ...(Array.isArray(accounts) ? accounts : [])] as unknown[];
  const isOf = (row: Row, party: Party) => owners(row).includes(party.id);

  /** Ids that are somebody else's: none of them may be in an answer. */
  function idsOfOthers(stored: Dump, party: Party): string[] {
    const all = new Set<string>();
    const own = new Set([party.id]);
    for (const { row, text } of stored.values()) {
      for (const [id] of text.matchAll(/\b(?!cmd_)[a-z]{2,6}_[0-9a-z]{26}\b/g)) all.add(id);
      if (isOf(row, party)) own.add(String(row._id));
    }
    all.add('THEIRS-1');
    // A distributor knows who their supplier is.
    if (party === sibling) own.add(supplier.id);
    return [...all].filter((id) => !own.has(id));
  }

  /** Calls one route as the party and checks that its answer gives nothing away. @returns what is wrong, in words */
  async function call(route: DocumentedRoute, party: Party, foreign: readonly string[], query: string) {
    const place = `${route.method} ${route.path}${query}`;
    const path = pathFor(route, things) + query;
    const body = route.takesFile ? fileFor(things) : bodyFor(document, route, things);
    const request = as(api, party)[route.method](path, route.takesFile ? undefined : (body as object | undefined));
    const answer = await (route.takesFile ? request.type(route.takesFile).send(body as string) : request);
    const { status, body: said, text = '' } = answer;
    const sent = `${decodeURIComponent(path)} ${JSON.stringify(body)}`;
    const wrong = foreign
      .filter((id) => text.includes(id) && !sent.includes(id))
      .map((id) => `${place} gives away ${id}`);
    const outcome = `${place} answers ${status} ${said.code ?? ''} ${said.code ? text.slice(0, 300) : ''}`;
    const problems: readonly { code: string }[] = said.code === 'invalid_input' ? (said.errors ?? []) : [];
    if (status >= 500 || status === 400 || status === 405 || status === 415) wrong.push(outcome);
    if (problems.some(({ code }) => NOT_UNDERSTOOD.includes(code))) wrong.push(`${outcome}: no body for it`);
    const isPlatform = said.code === 'permission_missing' && said.permission === 'platform';
    const namesObject = route.path.includes('{') && !NO_OBJECT.includes(route.path);
    if (namesObject && !isPlatform && said.code !== 'not_found') wrong.push(outcome);
    // A list of somebody else's is no list, or an empty one.
    if (query !== '' && status === 200 && Array.isArray(said.items) && said.items.length > 0)
      wrong.push(`${place} lists ${said.items.length}`);
    return wrong;
  }

  /** What became of what was there, and what came, that is not the party's own. */
  function changesOfOthers(before: Dump, after: Dump, party: Party, foreign: readonly string[]): string[] {
    const changed = [...before].flatMap(([key, { row, text }]) =>
      isOf(row, party) || after.get(key)?.text === text ? [] : [`${key} was changed: ${after.get(key)?.text}`],
    );
    const own = new Set([...after.values()].filter(({ row }) => isOf(row, party)).map(({ row }) => String(row._id)));
    const made = [...after].flatMap(([key, { row, text }]) => {
      if (before.has(key)) return [];
      const named = foreign.find((id) => id !== 'THEIRS-1' && text.includes(id));
      if (named !== undefined) return [`${key} was made, and names ${named}`];
      // A part of something that is theirs is theirs: its id begins with that one's.
      const isPart = own.has(String(row._id).split('/')[0] ?? '');
      return isOf(row, party) || isPart ? [] : [`${key} was made, and is not theirs: ${text}`];
    });
    return [...changed, ...made];
  }

  it('is needed on every route but the few that are public', () => {
    const open = routes.filter(({ isPublic }) => isPublic).map(({ method, path }) => `${method} ${path}`);
    expect(open.sort()).toEqual(PUBLIC);
  });

  it('would find something in every list and on every object: whose it is sees it', async () => {
    const unseen: string[] = [];
    for (const route of routes.filter(({ method, isPublic }) => method === 'get' && !isPublic)) {
      if (route.path.startsWith('/v1/accounts/')) continue;
      const [query = ''] = queriesFor(route, things);
      const answers = await Promise.all(
        [supplier, distributor].map((party) => as(api, party).get(pathFor(route, things) + query)),
      );
      const isSeen = answers.some(({ status, body }) => status === 200 && body.items?.length !== 0);
      if (!isSeen) unseen.push(`${route.path}${query}: ${answers.map(({ status }) => status)}`);
    }
    expect(unseen).toEqual([]);
  });

  it.each(['unrelated', 'sibling'] as const)(
    'reads and touches nothing on any route (%s)',
    async (who) => {
      const party = who === 'unrelated' ? unrelated : sibling;
      const before = await dump();
      const foreign = idsOfOthers(before, party);
      expect(foreign.length).toBeGreaterThan(20);
      const wrong: string[] = [];
      let walked = 0;
      // What takes away comes after what reads; what makes things of the party's own comes last, so that they hide nothing.
      const order = ({ method, path }: DocumentedRoute) =>
        ['get', 'post', 'put', 'patch', 'delete'].indexOf(method) + (path.includes('{') || method === 'get' ? 0 : 10);
      const closed = routes.filter(({ isPublic }) => !isPublic).sort((a, b) => order(a) - order(b));
      for (const route of closed) {
        walked += 1;
        for (const query of queriesFor(route, things)) wrong.push(...(await call(route, party, foreign, query)));
      }
      expect(walked).toBe(routes.length - PUBLIC.length);
      expect([...wrong, ...changesOfOthers(before, await dump(), party, foreign)]).toEqual([]);
    },
    120_000,
  );

  it('finds every record of billing as it was, byte by byte, whichever route or function was called by whomever', async () => {
    const raw = async () => {
      const rows = await api.database
        .collection('records')
        .find({}, { raw: true, sort: { _id: 1 } } as object)
        .toArray();
      return rows.map((row) => Buffer.from(row as unknown as Uint8Array).toString('base64'));
    };
    const before = await raw();
    expect(before.length).toBeGreaterThan(0);
    const ids = await api.database.collection('records').distinct('_id');
    const { fields } = things;
    for (const party of [supplier, distributor])
      for (const route of routes.filter(({ isPublic, method }) => !isPublic && method !== 'get')) {
        const path = pathFor(route, things);
        const body = route.takesFile ? fileFor(things) : bodyFor(document, route, things);
        const request = as(api, party)[route.method](path, route.takesFile ? undefined : (body as object | undefined));
        await (route.takesFile ? request.type(route.takesFile).send(body as string) : request);
      }
    const inputs: unknown[][] = [
      [fields.partnership, ids[0], { amount: 1 }],
      [supplier.id, fields.partnership, { id: ids[0], partnership: fields.partnership, type: 'top_up', amount: 1 }],
      [
        supplier.id,
        { id: ids[0], partnership: fields.partnership, type: 'order_push', amount: { amount: 1, currency: 'MYR' } },
      ],
      [ids[0], 1, {}],
      [null, ids[0], {}],
    ];
    // Whose files name the records; the model itself refuses everybody else.
    for (const name of ['billing', 'statements', 'verification'] as const) {
      for (const run of Object.values(api.store[name]) as ((...input: unknown[]) => unknown)[])
        for (const input of inputs)
          try {
            if (typeof run === 'function') await run.apply(api.store[name], input);
          } catch {
            // It refused, which is as good.
          }
    }
    const after = new Set(await raw());
    expect(before.filter((row) => !after.has(row))).toEqual([]);
  });
});
