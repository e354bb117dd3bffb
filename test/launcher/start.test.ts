import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findProcesses } from '../../sandbox/engines/processes';

const ROOT = resolve(__dirname, '../..');
const USUAL_MONGO_PORT = 27_117;
const READY = 'Ctrl-C ends everything.';
const data = mkdtempSync(join(tmpdir(), 'tradelane-start-'));
const started: ChildProcess[] = [];

/** `npm start` on a data folder of its own: its process, and what it has said so far. */
function start(...options: string[]) {
  const child = spawn(process.execPath, ['scripts/run.mjs', 'start', `--data=${data}`, ...options], {
    cwd: ROOT,
    // Its own engines, whatever this run of the tests was given.
    env: { ...process.env, TEMPORAL_ADDRESS: '', MONGODB_URI: '', NODE_ENV: 'development' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let text = '';
  const read = (chunk: Buffer) => {
    text += chunk.toString();
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  const ready = async () => {
    while (!text.includes(READY)) {
      if (child.exitCode !== null) throw new Error(text);
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  return { child, exit, ready, text: () => text };
}

/** Processes whose command line names the data folder: engines, parts, supervisor. */
const alive = () => findProcesses((command) => command.includes(data) && !command.includes('jest'));
const kept = (name: string) => JSON.parse(readFileSync(join(data, name), 'utf8'));

afterAll(async () => {
  for (const child of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
  for (const pid of await alive()) process.kill(pid, 'SIGKILL');
  rmSync(data, { recursive: true, force: true });
});

/** Each start brings up everything, for a quarter of a minute: what starts again is for the long tests. */
const longTest = process.env.LONG === '1' ? test : test.skip;

// The tests go on from one to the next.

describe('npm start', () => {
  test('tells where everything is, and refuses a second start on the same data', async () => {
    const first = start();
    await first.ready();
    const demo = kept('demo.json');
    expect(Object.keys(demo)).toEqual(expect.arrayContaining(['api', 'docs', 'temporalUi', 'temporalAddress']));
    expect(first.text()).toContain(demo.api);
    expect(statSync(join(data, 'secrets.json')).mode & 0o777).toBe(0o600);
    expect(statSync(join(data, 'demo.json')).mode & 0o777).toBe(0o600);
    expect((await fetch(demo.temporalUi)).status).toBe(200);

    const second = start();
    expect(await second.exit).toBe(1);
    expect(second.text()).toMatch(new RegExp(`${data} is in use by process \\d+, since .*kill \\d+`));

    const supervisor = (await findProcesses((command) => command.includes(`sandbox/start.ts --data=${data}`)))[0];
    process.kill(supervisor as number, 'SIGKILL');
    await first.exit;
  });

  longTest('goes on where it was after it was killed, on the same ports, and ends all it started', async () => {
    expect(await alive()).not.toEqual([]);
    const before = kept('demo.json');
    const again = start();
    await again.ready();
    expect(again.text()).toContain('Ended what a killed run left behind');
    expect(kept('demo.json')).toEqual(before);
    again.child.kill('SIGINT');
    expect(await again.exit).toBe(0);
    expect(await alive()).toEqual([]);
  });

  longTest('starts over with --fresh, and passes over a taken port', async () => {
    writeFileSync(join(data, 'old'), 'old');
    const secrets = kept('secrets.json');
    // Taken from here on, by us or by whoever has it already.
    const other = createServer().listen(USUAL_MONGO_PORT, '127.0.0.1');
    await once(other, 'listening').catch(() => {});
    const fresh = start('--fresh');
    await fresh.ready();
    expect(() => statSync(join(data, 'old'))).toThrow(/ENOENT/);
    expect(kept('secrets.json')).not.toEqual(secrets);
    expect(fresh.text()).toContain(`Port ${USUAL_MONGO_PORT} was taken: mongo has ${kept('ports.json').mongo}`);
    fresh.child.kill('SIGTERM');
    await fresh.exit;
    other.close();
    expect(await alive()).toEqual([]);
  });

  test('refuses an option it does not know', async () => {
    const wrong = start('--frsh');
    expect(await wrong.exit).toBe(1);
    expect(wrong.text()).toContain('Unknown option --frsh');
  });
});
