/** SIGKILL of the worker before and after steps of an import: afterwards every row is there once, and its undo is whole. */
import { Readable } from 'node:stream';
import pLimit from 'p-limit';
import { newId } from '../../domain/ids';
import { endChildren, endSessionsOf, startChild } from '../support/children';
import { eventually, type Hub, startHub } from '../support/hub';
import type { KillPoint, StepTold } from '../support/kill-points';
import { patientProcesses, placeOf, runWorker } from '../support/parts';

const LONG = process.env.LONG === '1';
/** Three batches: two of single SKUs, one of combinations. */
const SINGLES = 700;
const NAMES = new Map<string, string>([
  ...Array.from({ length: SINGLES }, (_, at) => [`S${at}`, `new ${at}`] as const),
  ['SET', 'Set'],
]);
const FILE = `sku,name,components\nSET,Set,S1*2\n${Array.from({ length: SINGLES }, (_, at) => `S${at},new ${at},\n`).join('')}S1,again,\n`;

// Half a minute of waiting: in the long tests alone.
(LONG ? describe : describe.skip)('the worker killed at steps of an import', () => {
  let hub: Hub;
  let steps: StepTold[] = [];
  let numbered = 0;
  const workers: { stop(): Promise<void> }[] = [];

  beforeAll(async () => {
    hub = await startHub({ withoutWorker: true });
  });
  afterAll(async () => {
    await endChildren();
    await Promise.all(workers.map((worker) => worker.stop()));
    await hub?.stop();
  });

  /** An account with one of the SKUs under an old name. */
  async function makeAccount(): Promise<string> {
    const { account } = await hub.store.accounts.create({ name: 'Importer', plan: 'v2', orderQuota: null });
    await hub.store.catalogue.addSku(account._id, { sku: 'S0', name: 'old', components: [] });
    return account._id;
  }
  const namesOf = async (account: string) =>
    new Map((await hub.store.database.models.skus.find({ account }).lean()).map(({ sku, name }) => [sku, name]));

  /** Runs `start` through a worker that dies there, then through one that does not. @returns the steps until then */
  async function dieAt(
    kill: KillPoint | null,
    start: (place: ReturnType<typeof placeOf>) => Promise<() => Promise<unknown>>,
  ) {
    numbered += 1;
    const place = placeOf(hub, `${hub.queuePrefix}-${numbered}`);
    const child = await startChild('worker', { place, kill });
    const ended = await start(place);
    const end = eventually(ended);
    end.catch(() => {});
    const signal = await Promise.race([child.ended, end.then(() => null)]);
    await child.kill();
    await endSessionsOf(child, hub.store.database.connection);
    if (signal !== null) {
      const processes = patientProcesses(hub.client, place.queuePrefix, hub.logger);
      // Not all of the hub: it has a queue of its own.
      const { queuePrefix: _, ...parts } = hub;
      workers.push(await runWorker(place, { ...parts, processes }));
    }
    await end;
    return { signal, steps: child.steps };
  }

  async function importAt(account: string, kill: KillPoint | null) {
    const file = await hub.store.files.receive(account, Readable.from([Buffer.from(FILE)]), 1_000_000);
    const row = await hub.store.imports.add(account, newId('command'), {
      kind: 'skus',
      format: 'csv',
      sheet: null,
      dryRun: false,
      mayDistribute: false,
      currency: null,
      file: file.id,
    });
    const run = await dieAt(kill, async (place) => {
      await patientProcesses(hub.client, place.queuePrefix, hub.logger).startImport(row._id);
      return async () => expect(await hub.store.imports.byId(row._id)).toMatchObject({ status: 'done' });
    });
    expect(await hub.store.imports.byId(row._id)).toMatchObject({
      rows: { total: SINGLES + 2, changed: SINGLES + 1, unchanged: 0, failed: 1 },
    });
    expect(await namesOf(account)).toEqual(NAMES);
    const { models } = hub.store.database;
    expect(await models.files.countDocuments({ account })).toBe(0);
    expect(await models.importBatches.countDocuments({ import: row._id })).toBe(3);
    return { ...run, id: row._id };
  }

  async function undoAt(account: string, id: string, kill: KillPoint | null) {
    await hub.store.imports.beginUndo(account, id, newId('command'));
    const run = await dieAt(kill, async (place) => {
      await patientProcesses(hub.client, place.queuePrefix, hub.logger).startImportUndo(id);
      return async () => expect((await hub.store.imports.byId(id)).undo).toMatchObject({ status: 'done' });
    });
    expect((await hub.store.imports.byId(id)).undo).toMatchObject({ restored: SINGLES + 1, left: 0 });
    expect(await namesOf(account)).toEqual(new Map([['S0', 'old']]));
    return run;
  }

  test('an import that nobody disturbs: its steps', async () => {
    const account = await makeAccount();
    const run = await importAt(account, null);
    expect(run.signal).toBeNull();
    steps = run.steps.filter(({ when }) => when === 'before');
    const names = steps.map(({ name }) => name);
    if (LONG) console.info(names.map((name, index) => `${index + 1} ${name}`).join('\n'));
    expect(names.filter((name) => name === 'insert importBatches')).toHaveLength(3);
    expect(names.filter((name) => name === 'insert skus')).toHaveLength(3);
    await undoAt(account, run.id, null);
  });

  test('killed there, it ends as if it had not been', async () => {
    const nth = (name: string, count: number) => steps.filter((one) => one.name === name)[count]?.step ?? 0;
    const some: KillPoint[] = [{ step: nth('insert skus', 1), when: 'after' }];
    const points = LONG ? steps.map(({ step }) => ({ step, when: 'after' as const })) : some;
    const missed: KillPoint[] = [];
    const turn = pLimit(LONG ? 4 : 3);
    await Promise.all(
      points.map((point) =>
        turn(async () => {
          const account = await makeAccount();
          const { id, signal } = await importAt(account, point);
          if (signal !== 'SIGKILL') missed.push(point);
          // In LONG the undo dies, too.
          if (LONG) await undoAt(account, id, { step: (point.step % 12) + 1, when: point.when });
        }),
      ),
    );
    expect(missed.length).toBeLessThanOrEqual(points.length / 8);
  });
});
