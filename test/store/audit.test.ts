/** The chain, on the real store: appended side by side, and every kind of damage planted straight into the database. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { AuditEntry } from '../../domain/audit';
import { newId } from '../../domain/ids';
import { connectStore, type Store } from '../../store';
import { chainOn, GENESIS } from '../../store/audit-chain';
import type { AuditHeadDoc, AuditRowDoc } from '../../store/models/documents';
import { testEnvironment } from '../support/environment';
import { TEST_KEYS } from '../support/hub';

const ROOT = resolve(__dirname, '../..');
let time = Date.parse('2026-11-21T10:00:00Z');
const stores: Store[] = [];

async function open(database: string): Promise<Store> {
  const store = await connectStore({
    uri: testEnvironment().mongoUri,
    database,
    dataKeys: TEST_KEYS,
    now: () => new Date(time),
    monitorCommands: true,
  });
  stores.push(store);
  return store;
}
const newName = () => `test_${randomBytes(6).toString('hex')}`;
const rowsOf = (store: Store) => store.database.models.auditRows.collection;
const headsOf = (store: Store) => store.database.models.auditHeads.collection;

afterAll(async () => {
  for (const store of stores) {
    await store.database.connection.db?.dropDatabase();
    await store.database.close();
  }
});

const entry = (more: Partial<AuditEntry> = {}): AuditEntry => ({
  id: newId('audit'),
  at: time,
  account: 'acct_1',
  actor: { kind: 'api_key', id: 'key_1', name: 'first key' },
  action: 'skus.change',
  route: 'PATCH /v1/skus/{sku}',
  objects: ['SKU-1'],
  request: 'request-1',
  command: null,
  address: '127.0.0.1',
  outcome: 'done',
  status: 200,
  code: null,
  before: '{"name":"a"}',
  after: '{"name":"b"}',
  ...more,
});
const entries = (count: number) => Array.from({ length: count }, () => entry());
const append = (store: Store, count: number) => Promise.all(entries(count).map((one) => store.audit.append(one)));

describe('the audit chain', () => {
  test('is one without gaps when three processes append side by side', async () => {
    const name = newName();
    const processes = [await open(name), await open(name), await open(name)];
    await Promise.all(processes.flatMap((store) => Array.from({ length: 20 }, () => append(store, 5))));
    const [store] = processes as [Store];
    const rows = await rowsOf(store).find().sort({ _id: 1 }).toArray();
    expect(rows.map(({ _id }) => _id as unknown)).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
    expect(new Set(rows.map(({ id }) => id)).size).toBe(300);
    expect(await store.audit.head()).toEqual({ count: 300, hash: rows.at(-1)?.hash });
    expect(await store.audit.verify()).toMatchObject({ ok: true, rows: 300, damages: [] });
  });

  test('gathers what comes at once into few writes', async () => {
    const store = await open(newName());
    await append(store, 1);
    const commands: string[] = [];
    store.database.connection.getClient().on('commandStarted', ({ commandName }) => commands.push(commandName));
    await append(store, 100);
    await store.audit.flush();
    // One entry may go ahead of the others. Each group: head, rows, intents; at the end the head's copy is dropped.
    expect(commands.length).toBeLessThanOrEqual(7);
    expect((await headsOf(store).findOne())?.pending).toEqual([]);
  });

  test('goes on where a process died between head and rows, and takes an entry once', async () => {
    const store = await open(newName());
    await append(store, 2);
    const head = await store.audit.head();
    const lost = chainOn(head, [entry(), entry()]);
    const last = lost[1] as AuditRowDoc;
    const { seal: _, ...rest } = (await headsOf(store).findOne()) as unknown as AuditHeadDoc;
    const moved = { ...rest, count: last._id, hash: last.hash };
    const seal = store.database.cipher.seal(`${moved.count}:${moved.hash}`, 'audit/head');
    await headsOf(store).replaceOne({}, { ...moved, seal, pending: lost, at: new Date(time) } as never);
    // Still on its way for all that a reader knows.
    expect(await store.audit.verify()).toMatchObject({ ok: true, rows: 2 });
    time += 60_000;
    expect((await store.audit.verify()).damages).toMatchObject([{ kind: 'cut_off', row: 3, to: 4 }]);
    expect(await store.audit.takeUp(new Date(time))).toBe(0);
    expect(await store.audit.verify()).toMatchObject({ ok: true, rows: 4 });
    const twice = entry({ id: 'decision/1' });
    await store.audit.appendOnce(twice);
    await store.audit.appendOnce(twice);
    expect(await store.audit.verify()).toMatchObject({ ok: true, rows: 5 });
  });

  test('takes up what a dead process was about to do, once, as unknown', async () => {
    const store = await open(newName());
    const { outcome: _o, status: _s, code: _c, after: _a, ...intent } = entry();
    await store.audit.begin(intent);
    expect(await store.audit.takeUp(new Date(time))).toBe(0);
    time += 1_000;
    expect(await store.audit.takeUp(new Date(time))).toBe(1);
    expect(await store.audit.takeUp(new Date(time))).toBe(0);
    const { items } = await store.audit.list({ account: 'acct_1' }, { limit: 10, after: null });
    expect(items).toMatchObject([{ id: intent.id, outcome: 'unknown', before: '{"name":"a"}', after: null }]);
    expect(await store.database.models.auditIntents.countDocuments()).toBe(0);
  });

  test('keeps the first head of each day (UTC), and tells it once', async () => {
    const name = newName();
    const [store, other] = [await open(name), await open(name)];
    await append(store, 3);
    const told = await Promise.all([store.audit.keepDailyHead(), other.audit.keepDailyHead()]);
    expect(told.filter((one) => one !== null)).toEqual([await store.audit.head()]);
    expect(await store.audit.keepDailyHead()).toBeNull();
    time += 86_400_000;
    await append(store, 1);
    expect(await other.audit.keepDailyHead()).toMatchObject({ count: 4 });
    expect(await store.database.models.auditDailyHeads.countDocuments()).toBe(2);
  });

  test('is written by inserts alone: no code changes or removes a row', () => {
    const files = ['api', 'activities', 'store', 'worker', 'workflows', 'domain'].flatMap((room) =>
      readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts'))
        .map((path) => join(ROOT, room, path)),
    );
    const uses = files.flatMap((file) => [
      ...readFileSync(file, 'utf8').matchAll(/audit(?:Rows|DailyHeads)(?:\.collection)?\s*\.\s*(\w+)/g),
    ]);
    const names = new Set(uses.map(([, name]) => name));
    expect([...names].sort()).toEqual(['exists', 'find', 'insertMany', 'insertOne']);
  });
});

describe('the check of the audit chain', () => {
  /** A chain of 20 rows whose head of yesterday is kept at row 12. */
  async function chain() {
    const name = newName();
    const store = await open(name);
    for (let part = 0; part < 4; part += 1) await append(store, 3);
    await store.audit.keepDailyHead();
    time += 86_400_000;
    await append(store, 8);
    await store.audit.flush();
    return { name, store, rows: rowsOf(store) };
  }
  const at = (row: unknown) => ({ _id: row }) as never;
  const damagesOf = async (store: Store, ...heads: { count: number; hash: string }[]) => {
    const { ok, damages } = await store.audit.verify(heads);
    expect(ok).toBe(damages.length === 0);
    return damages.map(({ kind, row, to }) => `${kind} ${row}${to === undefined ? '' : `-${to}`}`);
  };
  /** Writes rows from a place on anew, each with the hash it should have. */
  async function rehash(store: Store, from: number, change: (row: AuditRowDoc) => void) {
    const rows = (await rowsOf(store).find().sort({ _id: 1 }).toArray()) as unknown as AuditRowDoc[];
    const before = rows.find(({ _id }) => _id === from - 1);
    const changed = rows.filter(({ _id }) => _id >= from);
    const [first] = changed as [AuditRowDoc];
    change(first);
    const head = { count: from - 1, hash: before?.hash ?? GENESIS };
    const made = chainOn(
      head,
      changed.map((row) => ({ ...row, at: row.at.getTime() })),
    );
    for (const row of made) await rowsOf(store).replaceOne(at(row._id), row as never);
    return made.at(-1) as AuditRowDoc;
  }

  test('finds each altered row', async () => {
    const { store, rows } = await chain();
    expect(await damagesOf(store)).toEqual([]);
    await rows.updateOne(at(5), { $set: { 'actor.name': 'somebody else' } });
    await rows.updateOne(at(9), { $set: { at: new Date(time + 1) } });
    await rows.updateOne(at(10), { $set: { extra: 'field' } });
    await rows.updateOne(at(17), { $set: { after: null } });
    expect(await damagesOf(store)).toEqual(['altered 5', 'altered 9', 'altered 10', 'altered 17']);
  });

  test('finds a row that was altered with its hash, and the chain that was made anew from it on', async () => {
    const { store, rows } = await chain();
    const five = (await rows.findOne(at(5))) as unknown as AuditRowDoc;
    const [made] = chainOn({ count: 4, hash: five.prev }, [{ ...five, at: five.at.getTime(), code: 'x' }]);
    await rows.replaceOne(at(5), made as never);
    expect(await damagesOf(store)).toEqual(['altered 5']);
    const last = await rehash(store, 5, (row) => {
      row.code = 'y';
    });
    // The head of yesterday bounds it, and the head tells of the end.
    expect(await damagesOf(store)).toEqual(['altered 12', 'altered 20']);
    await headsOf(store).updateOne({}, { $set: { hash: last.hash } });
    expect(await damagesOf(store)).toEqual(['head 20', 'altered 12']);
  });

  test('finds inserted rows: at no place, at the end, and at the end with a head of their own', async () => {
    const { store, rows } = await chain();
    const [five, head] = [await rows.findOne(at(5)), await store.audit.head()];
    await rows.insertOne({ ...five, _id: 5.5 } as never);
    await rows.insertOne({ ...five, _id: 'x' } as never);
    const [next] = chainOn(head, [entry()]) as [AuditRowDoc];
    await rows.insertOne(next as never);
    expect(await damagesOf(store)).toEqual(['inserted 5.5', 'inserted x', 'inserted 21']);
    await rows.deleteMany({ _id: { $in: [5.5, 'x'] } } as never);
    await headsOf(store).updateOne({}, { $set: { count: 21, hash: next.hash } });
    expect(await damagesOf(store)).toEqual(['head 21']);
    // Going on does not hide it.
    await append(store, 1);
    expect(await damagesOf(store)).toEqual(['head 22']);
    await append(store, 1);
    expect(await damagesOf(store)).toEqual(['head 22']);
  });

  test('finds removed rows, and rows that changed places', async () => {
    const { store, rows } = await chain();
    await rows.deleteMany({ _id: { $in: [1, 7, 8, 15] } } as never);
    expect(await damagesOf(store)).toEqual(['removed 1', 'removed 7-8', 'removed 15']);
    const other = (await chain()).store;
    const [a, b] = [await rowsOf(other).findOne(at(4)), await rowsOf(other).findOne(at(11))];
    await rowsOf(other).replaceOne(at(4), { ...b, _id: 4 } as never);
    await rowsOf(other).replaceOne(at(11), { ...a, _id: 11 } as never);
    expect(await damagesOf(other)).toEqual(['reordered 4', 'reordered 11']);
    expect((await other.audit.verify()).damages[0]?.detail).toBe('it is row 11');
  });

  test('finds rows cut off the end; with a forged head too, and with an old head by a logged one alone', async () => {
    const { store, rows, name } = await chain();
    const old = await headsOf(store).findOne();
    await append(store, 2);
    const logged = await store.audit.head();
    await rows.deleteMany({ _id: { $gt: 20 } } as never);
    expect(await damagesOf(store)).toEqual(['cut_off 21-22']);
    const last = await rows.findOne(at(19));
    await rows.deleteOne(at(20));
    await headsOf(store).updateOne({}, { $set: { count: 19, hash: last?.hash } });
    expect(await damagesOf(store)).toEqual(['head 19']);

    const second = (await chain()).store;
    const real = await second.audit.head();
    const kept = await headsOf(second).findOne();
    await append(second, 2);
    const told = await second.audit.head();
    await rowsOf(second).deleteMany({ _id: { $gt: 20 } } as never);
    await headsOf(second).replaceOne({}, kept as never);
    expect(await damagesOf(second)).toEqual([]);
    expect(await damagesOf(second, told)).toEqual(['cut_off 21-22']);
    expect(await damagesOf(second, real)).toEqual([]);
    // The process that wrote them knows better, and says so in the chain.
    await append(second, 1);
    expect(await damagesOf(second)).toEqual(['head 21']);
    expect([old?.count, logged.count, name.length > 0]).toEqual([20, 22, true]);
  });

  test('ends with 1 on the command line where something is wrong, naming it', async () => {
    const { store, rows, name } = await chain();
    const { count, hash } = await store.audit.head();
    const run = (...args: string[]) =>
      spawnSync(process.execPath, ['--import', 'tsx', 'worker/audit-verify.ts', ...args], {
        cwd: ROOT,
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          MONGODB_URI: testEnvironment().mongoUri,
          MONGODB_DATABASE: name,
          ADMIN_KEY: 'a'.repeat(24),
          DATA_KEYS: TEST_KEYS.map(({ id, key }) => `${id}:${key.toString('base64')}`).join(','),
          PAYLOAD_KEYS: `k:${Buffer.alloc(32, 1).toString('base64')}`,
        },
      });
    const whole = run('--head', `${count}:${hash}`);
    expect([whole.status, whole.stderr]).toEqual([0, '']);
    expect(whole.stdout).toContain(`20 rows, head 20:${hash}`);
    await rows.updateOne(at(3), { $set: { outcome: 'refused' } });
    const damaged = run();
    expect(damaged.status).toBe(1);
    expect(damaged.stdout).toContain('row 3: altered (it does not have its hash)');
    expect(run('--head', 'nonsense').status).toBe(2);
  });
});
