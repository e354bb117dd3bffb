/** The edge in one process, on the real store; processes are a typed fake that remembers what it was asked for. */
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { Writable } from 'node:stream';
import type { Express } from 'express';
import type { MongoClient } from 'mongodb';
import supertest from 'supertest';
import { createLiveRates } from '../../activities/rates';
import { createApp } from '../../api/app';
import { createLogger } from '../../config/logger';
import { createConnectors, createRates } from '../../connectors';
import type { Connectors } from '../../connectors/port';
import type { Permission } from '../../domain/accounts';
import { HubError } from '../../domain/failures';
import { connectStore, type Store } from '../../store';
import type { Processes } from '../../workflows/client';
import { testEnvironment } from '../support/environment';

export const ADMIN_KEY = 'the-admin-key-of-the-tests-only';
export const PUBLIC_URL = 'https://hub.example';
const PARTNER_KEY = 'shopee-partner-key-of-tests';
const APP_SECRET = 'lazada-app-secret-of-tests';
const APP_KEY = '123456';

/** What was asked of the processes, in order. */
export interface Asked {
  readonly what: keyof Processes;
  readonly input: unknown;
}

export interface FakeProcesses extends Processes {
  readonly asked: Asked[];
  /** Answers everything with `unavailable`, as when Temporal can't be reached. */
  down: boolean;
  /** What `waitFor` does; the end of the workflow is made here. */
  onWait: (workflowId: string) => Promise<boolean>;
  /** What `decide` does. */
  onDecide: (workflowId: string, decision: 'retry' | 'abandon') => Promise<void>;
}

function fakeProcesses(store: Store): FakeProcesses {
  const asked: Asked[] = [];
  const note = (what: keyof Processes, input: unknown) => asked.push({ what, input });
  const fake: FakeProcesses = {
    asked,
    down: false,
    onWait: async () => false,
    onDecide: async () => {},
    wakeLanes: (lanes) => void note('wakeLanes', lanes),
    wakeLanesNow: async (lanes) => void note('wakeLanesNow', lanes),
    ensureLane: (lane) => reach('ensureLane', lane),
    takeInOrder: (shop, order) => void note('takeInOrder', { shop, order }),
    takeInOrderNow: async (shop, order) => void note('takeInOrderNow', { shop, order }),
    deliver: (due) => void note('deliver', due),
    startDelivery: (due) => reach('startDelivery', due),
    startPolling: (shop) => reach('startPolling', shop),
    stopPolling: (shop) => reach('stopPolling', shop),
    startOrderPush: (input) => reach('startOrderPush', input),
    endPush: (workflowId) => void note('endPush', workflowId),
    startOrderRecall: (input) => reach('startOrderRecall', input),
    async answerRecall(input) {
      await reach('answerRecall', input);
      const { package: pkg, attempt, answer, command, reason } = input;
      const reply = await store.orders.answerRecall(pkg, attempt, answer, { command, reason });
      if (!reply.ok) throw new HubError(reply.code, reply.detail);
      return reply.outcome;
    },
    startSupplyOrder: (input) => reach('startSupplyOrder', input),
    startOrderCancel: (input) => reach('startOrderCancel', input),
    settleCancellation: (workflowId) => void note('settleCancellation', workflowId),
    settleRecall: (workflowId) => void note('settleRecall', workflowId),
    startPublication: (supplier, sku, attempt) => reach('startPublication', { supplier, sku, attempt }),
    startPartnership: (id) => reach('startPartnership', id),
    async movePartnership(id, command) {
      await reach('movePartnership', { id, ...command });
      const { row } = await store.partnerships.move(id, command);
      return { status: row.status };
    },
    startSetup: (supplier) => reach('startSetup', supplier),
    async completeSetupStep(supplier, command) {
      await reach('completeSetupStep', { supplier, ...command });
      const { live } = await store.partnerships.completeSetup(supplier, command);
      return { live };
    },
    startDownload: (input) => reach('startDownload', input),
    resumeDownload: (input) => reach('resumeDownload', input),
    startStockPush: (input) => reach('startStockPush', input),
    startImport: (input) => reach('startImport', input),
    startVerification: (input) => reach('startVerification', input),
    startImportUndo: (input) => reach('startImportUndo', input),
    resumeImport: (input) => reach('resumeImport', input),
    startBulk: (input) => reach('startBulk', input),
    isRunning: async () => false,
    endIfStuck: async () => false,
    async decide(workflowId, decision, by) {
      await reach('decide', { workflowId, decision, by });
      await fake.onDecide(workflowId, decision);
    },
    async waitFor(workflowId, ms) {
      await reach('waitFor', { workflowId, ms });
      return fake.onWait(workflowId);
    },
    ping: () => reach('ping', null),
    flush: async () => {},
  };
  async function reach(what: keyof Processes, input: unknown): Promise<void> {
    if (fake.down) throw new HubError('unavailable', 'The workflow service can not be reached');
    note(what, input);
  }
  return fake;
}

export interface Party {
  readonly id: string;
  readonly key: string;
}

export interface Api {
  readonly app: Express;
  readonly store: Store;
  readonly processes: FakeProcesses;
  readonly connectors: Connectors;
  /** Everything that was logged, one line each. */
  readonly log: string[];
  /** The database itself, for looking at what was stored. */
  readonly database: ReturnType<MongoClient['db']>;
  readonly server: Server;
  request: ReturnType<typeof supertest>;
  close(): Promise<void>;
}

export interface ApiOptions {
  readonly rateLimitPerMinute?: number;
  readonly bodyLimitBytes?: number;
  readonly withoutMail?: boolean;
  readonly trustProxy?: number;
  readonly now?: () => Date;
  /** A provider of live rates that is there; its rates are old at once. */
  readonly ratesUrl?: string;
}

/** A clock that goes on by a minute whenever it is read. */
function eachMinute(): () => number {
  let at = Date.now();
  return () => {
    at += 60_000;
    return at;
  };
}

/** Starts the edge on a database of its own. */
export async function startApi(options: ApiOptions = {}): Promise<Api> {
  const name = `api_${randomBytes(6).toString('hex')}`;
  const store = await connectStore({
    uri: testEnvironment().mongoUri,
    database: name,
    dataKeys: [{ id: 'test', key: Buffer.alloc(32, 3) }],
    serverSelectionTimeoutMs: 500,
    ...(options.now ? { now: options.now } : {}),
  });
  const log: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      log.push(String(chunk));
      done();
    },
  });
  const logger = createLogger({ level: 'debug', format: 'json', service: 'api', stream });
  const processes = fakeProcesses(store);
  store.notifications.onDue((due) => processes.deliver(due));
  const connectors = createConnectors(
    {
      shopee: { baseUrl: 'http://127.0.0.1:9', partnerId: 2001887, partnerKey: PARTNER_KEY },
      lazada: {
        baseUrl: 'http://127.0.0.1:9/rest',
        authBaseUrl: 'http://127.0.0.1:9/rest',
        appKey: APP_KEY,
        appSecret: APP_SECRET,
      },
    },
    { timeoutMs: 200, tries: 1, waitMs: 1, logger },
  );
  const app = createApp({
    config: {
      adminKey: ADMIN_KEY,
      notifications: {
        smtp: options.withoutMail ? undefined : { url: 'smtp://127.0.0.1:9', from: 'hub@example.com' },
        allowPrivateAddresses: false,
      },
      api: {
        publicUrl: PUBLIC_URL,
        rateLimitPerMinute: options.rateLimitPerMinute ?? 1_000_000,
        bodyLimitBytes: options.bodyLimitBytes ?? 10 * 1024 * 1024,
        ...(options.trustProxy === undefined ? {} : { trustProxy: options.trustProxy }),
      },
      recall: { answerMs: 60_000 },
    },
    store,
    processes,
    connectors,
    rates: createLiveRates({
      store,
      provider: createRates(options.ratesUrl, { timeoutMs: 5_000, tries: 1, waitMs: 1, logger }),
      renewAfterMs: 0,
      logger,
      // Each look is long after the last.
      now: eachMinute(),
    }),
    logger,
    checkAnswers: true,
    ...(options.now ? { now: options.now } : {}),
  });
  const server = await new Promise<Server>((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening));
  });
  const database = store.database.connection.db as unknown as Api['database'];
  return {
    app,
    store,
    processes,
    connectors,
    log,
    database,
    server,
    request: supertest(server),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await database.dropDatabase().catch(() => {});
      await store.database.close();
    },
  };
}

/** One edge for all tests of a file: there once they run, gone after them. */
export function sharedApi(options: ApiOptions = {}): Api {
  const api = {} as Api;
  beforeAll(async () => {
    Object.assign(api, await startApi(options));
  });
  afterAll(() => api.close());
  return api;
}

export const bearer = (key: string) => `Bearer ${key}`;
export const newKey = () => randomUUID();

/** Sends a request with a key of an account; a POST gets an Idempotency-Key of its own. */
export function as(api: Api, party: Party | { key: string }) {
  const call = (method: 'get' | 'post' | 'put' | 'patch' | 'delete') => (path: string, body?: object) => {
    const test = api.request[method](path).set('Authorization', bearer(party.key));
    if (method === 'post') test.set('Idempotency-Key', newKey());
    return body === undefined ? test : test.send(body);
  };
  return { get: call('get'), post: call('post'), put: call('put'), patch: call('patch'), delete: call('delete') };
}

/** Fails with the answer's body in the message, which a bare status would hide. */
export async function expectStatus(test: supertest.Test, status: number): Promise<supertest.Response> {
  const response = await test;
  if (response.status !== status)
    throw new Error(`Expected ${status}, got ${response.status}: ${response.text.slice(0, 2000)}`);
  return response;
}

/** An account with the Inventory switch on. */
export async function addAccount(api: Api, name: string, plan = 'v2'): Promise<Party> {
  const { body } = await expectStatus(
    api.request.post('/v1/accounts').set('Authorization', bearer(ADMIN_KEY)).send({ name, plan }),
    201,
  );
  const party = { id: body.account.id as string, key: body.apiKey.key as string };
  await expectStatus(as(api, party).patch('/v1/account', { inventoryEnabled: true }), 200);
  return party;
}

export async function addKey(api: Api, party: Party, permissions: Permission[]): Promise<string> {
  const { body } = await expectStatus(as(api, party).post('/v1/api-keys', { name: 'one more', permissions }), 201);
  return body.key;
}

export interface Partnership {
  readonly supplier: Party;
  readonly distributor: Party;
  readonly id: string;
  readonly warehouse: string;
  readonly customer: string;
}

const zero = { amount: '0.00', currency: 'MYR' };
export const FEES = {
  stockOut: { by: 'package', amount: { amount: '1.20', currency: 'MYR' } },
  logistics: { amount: { amount: '6.00', currency: 'MYR' } },
  stockInReturn: { by: 'package', amount: zero },
};

export const myr = (amount: string) => ({ amount, currency: 'MYR' });
export type LiveSupplier = Party & { warehouse: string };

/** A supplier whose set-up is live, with one SKU in stock that is published, priced 12.50 MYR. */
export async function liveSupplier(api: Api, name = 'Supplier'): Promise<LiveSupplier> {
  const supplier = await addAccount(api, name);
  const { post, put } = as(api, supplier);
  const warehouse = (await expectStatus(post('/v1/warehouses', { name: 'Main' }), 201)).body.id as string;
  await expectStatus(post('/v1/skus', { sku: 'SKU-1', name: 'One' }), 201);
  const stockIn = { warehouse, sku: 'SKU-1', kind: 'stockIn', quantity: 100, reason: 'first delivery' };
  await expectStatus(post('/v1/stock/adjustments', stockIn), 200);
  await expectStatus(post('/v1/supplier/activation'), 200);
  await expectStatus(put('/v1/supplier/setup/base-currency', { currency: 'MYR' }), 200);
  const basePrice = { amount: '12.50', currency: 'MYR' };
  await expectStatus(post('/v1/supplier/products', { sku: 'SKU-1', basePrice }), 202);
  await api.store.products.publish(supplier.id, 'SKU-1', 1);
  for (const step of ['products', 'push-rule', 'pricing'])
    await expectStatus(put(`/v1/supplier/setup/${step}`, {}), 200);
  await expectStatus(put('/v1/supplier/setup/bigshop', { name: 'BigShop', contact: 'Ann' }), 200);
  const done = await expectStatus(put('/v1/supplier/setup/fees', FEES), 200);
  if (!done.body.live) throw new Error('The set-up is not live');
  return { ...supplier, warehouse };
}

export async function apply(api: Api, supplier: Party, distributor: Party): Promise<string> {
  const invitation = (await expectStatus(as(api, supplier).post('/v1/supplier/invitations'), 201)).body.token;
  const application = {
    invitation,
    company: 'Shop Ltd',
    contactName: 'Bo',
    email: 'bo@shop.example',
    channels: ['shopee'],
  };
  return (await expectStatus(as(api, distributor).post('/v1/distributor/applications', application), 201)).body.id;
}

/** A partnership in MYR with credit, and the product claimed. */
export async function partnered(api: Api): Promise<Partnership> {
  const supplier = await liveSupplier(api);
  const partnership = await partner(api, supplier);
  const { distributor, id } = partnership;
  await expectStatus(as(api, distributor).post(`/v1/distributor/suppliers/${id}/claims`, { sku: 'SKU-1' }), 201);
  return partnership;
}

/** A distributor (a new one unless told) partnered with the supplier, with nothing claimed. */
export async function partner(
  api: Api,
  supplier: LiveSupplier,
  terms: { level?: string; settlementCurrency?: string } = {},
  again?: Party,
): Promise<Partnership> {
  const distributor = again ?? (await addAccount(api, 'Distributor', 'basic'));
  const id = await apply(api, supplier, distributor);
  const settlementCurrency = terms.settlementCurrency ?? 'MYR';
  const approval = {
    customer: { name: 'Shop Ltd' },
    settlementCurrency,
    ...(terms.level === undefined ? {} : { level: terms.level }),
    warehouses: [supplier.warehouse],
    creditLimit: { amount: '1000', currency: settlementCurrency },
  };
  const { body } = await expectStatus(as(api, supplier).post(`/v1/supplier/distributors/${id}/approve`, approval), 200);
  return { supplier, distributor, id, warehouse: supplier.warehouse, customer: body.customer };
}

/** An order of `quantity` units through the API. */
export async function addOrder(api: Api, distributor: Party, quantity: number, sku = 'SKU-1') {
  const order = {
    number: newKey(),
    currency: 'MYR',
    shipping: 'platform_logistics',
    recipient: { name: 'Carla Customer', phone: '+60123456789', address: 'Jalan 1\nKuala Lumpur' },
    lines: [{ sku, quantity }],
  };
  return (await expectStatus(as(api, distributor).post('/v1/orders', order), 201)).body;
}

/** A connected Shopee store. */
export async function addStore(api: Api, party: Party, shopId: string): Promise<string> {
  const { body } = await expectStatus(as(api, party).post('/v1/stores', { platform: 'shopee', name: 'My shop' }), 201);
  await api.store.stores.connect(party.id, body.id, {
    shopId,
    tokens: {
      accessToken: 'access',
      refreshToken: 'refresh',
      accessExpiresAt: Date.now() + 4 * 3_600_000,
      refreshExpiresAt: Date.now() + 30 * 86_400_000,
    },
  });
  return body.id;
}

/** A Shopee order push with a right signature. */
export function shopeePush(shopId: number, order: string, at = Date.now()) {
  const seconds = Math.floor(at / 1000);
  const data = { ordersn: order, status: 'READY_TO_SHIP', update_time: seconds };
  const body = JSON.stringify({ shop_id: shopId, code: 3, timestamp: seconds, data });
  const signature = createHmac('sha256', PARTNER_KEY).update(`${PUBLIC_URL}/v1/webhooks/shopee|${body}`).digest('hex');
  return { body, signature };
}

/** A Lazada order push with a right signature. */
export function lazadaPush(sellerId: string, order: string, at = Date.now()) {
  const body = JSON.stringify({
    seller_id: sellerId,
    message_type: 0,
    timestamp: Math.floor(at / 1000),
    site: 'lazada_my',
    data: {
      trade_order_id: order,
      trade_order_line_id: `${order}1`,
      order_status: 'pending',
      status_update_time: Math.floor(at / 1000),
    },
  });
  return { body, signature: createHmac('sha256', APP_SECRET).update(`${APP_KEY}${body}`).digest('hex') };
}
