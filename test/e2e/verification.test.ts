/** A verification over HTTP, with its workflow and its repair behind it; and as the command. */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { newId } from '../../domain/ids';
import { testEnvironment } from '../support/environment';
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub, TEST_KEYS } from '../support/hub';
import { type Distributor, makeDistributor, makeOrder, makeSupplier, type Supplier } from '../support/scenario';
import { serveApi } from '../support/served-api';

const ROOT = resolve(__dirname, '../..');

let hub: Hub;
let api: Awaited<ReturnType<typeof serveApi>>;
let supplier: Supplier;
let distributor: Distributor;
let ours: HttpClient;
let theirs: HttpClient;

beforeAll(async () => {
  hub = await startHub();
  api = await serveApi({ ...hub, checkAnswers: true } as never);
  supplier = await makeSupplier(hub);
  distributor = await makeDistributor(hub, supplier);
  const as = createHttpClient(api.url);
  [ours, theirs] = [as(supplier.key), as(distributor.key)];
});
afterAll(async () => {
  await api?.close();
  await hub?.stop();
});

/** A push whose record is taken away past the guards of the store. @returns its package */
async function lostCharge(): Promise<string> {
  const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 2 }]);
  await hub.store.orders.beginPush(distributor.id, pkg);
  await hub.store.orders.push(pkg, 1);
  const { deletedCount } = (await hub.store.database.connection.db
    ?.collection('records')
    .deleteOne({ package: pkg })) ?? { deletedCount: 0 };
  if (deletedCount !== 1) throw new Error('nothing to remove');
  return pkg;
}
const recordsOf = () => hub.store.database.models.records.countDocuments({ partnership: distributor.partnership });

type Started = Record<'operation' | 'verification', { id: string; status: string }>;

/** Asks for a verification and waits for the end of its operation. */
const verified = async (call: HttpClient, body: object) =>
  ended(call, await expectReply(call.post('/billing/verify', body), 202), 202);

/** Waits for the end of the operation. 200: the call itself had waited for it. */
async function ended(call: HttpClient, started: Started, status: number) {
  expect(started.operation).toMatchObject({ kind: 'billing_verification', document: started.verification.id });
  if (status === 200)
    expect(started).toMatchObject({ operation: { status: 'done' }, verification: { status: 'done' } });
  else expect([status, started.operation.status]).toEqual([202, 'running']);
  const operation = await eventually(async () => {
    const now = await expectReply(call.get(`/operations/${started.operation.id}`), 200);
    if (now.status === 'running') throw new Error('still running');
    return now;
  });
  return { operation, result: await expectReply(call.get(`/billing/verifications/${started.verification.id}`), 200) };
}

test('a verification runs as an operation over HTTP, names what does not hold, and books what makes it good', async () => {
  const clean = await verified(theirs, {});
  expect(clean.operation).toMatchObject({ status: 'done', result: { ok: true, found: 0, booked: 0 } });
  expect(clean.operation.progress.done).toBeGreaterThan(0);
  expect(clean.result).toMatchObject({ status: 'done', ok: true, kinds: [], discrepancies: [], repair: false });
  expect(clean.result.checks.map(({ check }: { check: string }) => check)).toEqual([
    ...['accounts', 'packages', 'shipments', 'stock', 'listings'],
  ]);

  const lost = [await lostCharge(), await lostCharge()];
  const records = await recordsOf();
  // The repair, dry: it says which entries it would book, and books none; nothing moves, so it needs no key.
  const bare = (body: object, query = '') =>
    fetch(`${api.url}/v1/billing/verify${query}`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${supplier.key}`, 'Content-Type': 'application/json', Prefer: 'wait=30' },
      body: JSON.stringify(body),
    });
  const keyless = await bare({ repair: true });
  expect([keyless.status, (await keyless.json()) as object]).toEqual([
    400,
    expect.objectContaining({ code: 'idempotency_key_required' }),
  ]);
  const waited = await bare({ repair: true }, '?dryRun=true');
  const dry = await ended(ours, (await waited.json()) as Started, waited.status);
  expect(dry.result).toMatchObject({ status: 'done', ok: false, repair: true, dryRun: true, booked: 0 });
  expect(await recordsOf()).toBe(records);
  const missing = dry.result.discrepancies.filter(({ kind }: { kind: string }) => kind === 'charge_missing');
  expect(missing.map(({ compensation }: { compensation: object }) => compensation)).toEqual(
    expect.arrayContaining(
      lost.map((pkg) =>
        expect.objectContaining({
          ...{ transaction: `push/${pkg}/1`, type: 'order_push', package: pkg, movesBalance: false },
          amount: { amount: '-20.00', currency: 'MYR' },
        }),
      ),
    ),
  );

  for (const one of missing) expect(one).toMatchObject({ expected: '-20.00', found: null, currency: 'MYR' });

  // The same in pages, and as a file.
  const path = `/billing/verifications/${dry.result.id}`;
  type Listed = { [name: string]: unknown; documents: string[]; compensation: { amount: { amount: string } } | null };
  const paged: Listed[] = [];
  for (let cursor = ''; ; ) {
    const page = await expectReply(ours.get(`${path}/discrepancies?limit=1${cursor}`), 200);
    expect(page.items).toHaveLength(1);
    paged.push(...page.items);
    if (page.nextCursor === null) break;
    cursor = `&cursor=${page.nextCursor}`;
  }
  expect(paged).toEqual(dry.result.discrepancies);
  expect(paged).toHaveLength(dry.result.found);
  for (const { documents } of paged) expect(documents.length).toBeGreaterThan(0);
  const file = await fetch(`${api.url}/v1${path}?discrepancies=csv`, {
    headers: { Authorization: `Bearer ${supplier.key}` },
  });
  expect(file.headers.get('content-type')).toMatch(/^text\/csv/);
  const [header = '', ...rows] = (await file.text())
    .replace(/^\uFEFF/, '')
    .trim()
    .split(/\r?\n/);
  const names = ['kind', 'subject', 'expected', 'found', 'currency', 'amount'];
  const places = names.map((name) => header.split(',').indexOf(name));
  expect(rows.map((row) => places.map((place) => row.split(',')[place]))).toEqual(
    paged.map((one) => [...names.slice(0, 5).map((name) => one[name] ?? ''), one.compensation?.amount.amount ?? '']),
  );

  // Others can't look, and a distributor's repair books nothing.
  const strangers = [theirs, createHttpClient(api.url)((await makeDistributor(hub, supplier)).key)];
  for (const stranger of strangers)
    for (const place of [path, `${path}/discrepancies`, `/operations/${dry.operation.id}`])
      await expectReply(stranger.get(place), 404);
  const { apiKey } = { apiKey: await expectReply(ours.post('/api-keys', { name: 'o', permissions: ['orders'] }), 201) };
  const orders = createHttpClient(api.url)(apiKey.key);
  expect(await expectReply(orders.post('/billing/verify', {}), 403)).toMatchObject({ permission: 'billing' });
  await expectReply(orders.get(path), 403);
  expect((await verified(theirs, { repair: true })).result).toMatchObject({ ok: false, booked: 0 });
  expect(await recordsOf()).toBe(records);

  // For good: asked for twice with one key, it is one verification.
  const key = newId('command');
  const [first, second] = [
    await expectReply(ours.post('/billing/verify', { repair: true }, key), 202),
    await expectReply(ours.post('/billing/verify', { repair: true }, key), 202),
  ];
  expect(second.verification.id).toBe(first.verification.id);
  await eventually(async () =>
    expect(await expectReply(ours.get(`/operations/${first.operation.id}`), 200)).toMatchObject({
      status: 'done',
      result: { ok: false, booked: 2 },
    }),
  );
  expect(await recordsOf()).toBe(records + 2);
  expect((await verified(ours, {})).result).toMatchObject({ ok: true, found: 0 });
  expect((await hub.store.billing.account(null, distributor.partnership)).balance).toBe(-4_000);
});

test('the command says the same, and ends with 1 where something does not hold', async () => {
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', 'worker/billing-verify.ts', ...args],
      {
        cwd: ROOT,
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          MONGODB_URI: testEnvironment().mongoUri,
          MONGODB_DATABASE: hub.database,
          ADMIN_KEY: 'a'.repeat(24),
          DATA_KEYS: TEST_KEYS.map(({ id, key }) => `${id}:${key.toString('base64')}`).join(','),
          PAYLOAD_KEYS: `k:${Buffer.alloc(32, 1).toString('base64')}`,
        },
      },
    );
    return { status, stdout, stderr };
  };
  const pkg = await lostCharge();
  const records = await recordsOf();
  const dry = run('--repair', '--dry-run');
  expect([dry.status, dry.stderr]).toEqual([1, '']);
  expect(dry.stdout).toContain('charge_missing');
  expect(dry.stdout).toContain(`would be made good by order_push of -20.00 MYR as push/${pkg}/1`);
  expect(dry.stdout).toContain('THE BOOKS DO NOT HOLD.');
  expect(await recordsOf()).toBe(records);
  expect(run('--account', supplier.id, '--repair').stdout).toContain(
    `was made good by order_push of -20.00 MYR as push/${pkg}/1`,
  );
  const after = run();
  expect([after.status, after.stdout]).toEqual([0, expect.stringContaining('0 discrepancies')]);
  expect(after.stdout).toContain('The books hold.');
  // Of nobody's books nothing is proven.
  expect(run('--account', 'acct_none')).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringContaining('account'),
  });
});
