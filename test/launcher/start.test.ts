import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findProcesses } from '../../sandbox/engines/processes';

const ROOT = resolve(__dirname, '../..');
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

describe('npm start', () => {
  test('tells where everything is, refuses a second start, and ends all it started', async () => {
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

    first.child.kill('SIGINT');
    expect(await first.exit).toBe(0);
    expect(await alive()).toEqual([]);
  });

  test('goes on where it was after it was killed, on the same ports, and passes over a taken one', async () => {
    const before = kept('demo.json');
    const killed = start();
    await killed.ready();
    const supervisor = (await findProcesses((command) => command.includes(`sandbox/start.ts --data=${data}`)))[0];
    process.kill(supervisor as number, 'SIGKILL');
    await killed.exit;
    expect(await alive()).not.toEqual([]);

    const ports = kept('ports.json');
    const again = start();
    await again.ready();
    expect(again.text()).toContain('Ended what a killed run left behind');
    expect(kept('demo.json')).toEqual(before);
    again.child.kill('SIGTERM');
    await again.exit;

    const other = createServer().listen(ports.api, '127.0.0.1');
    await once(other, 'listening');
    const moved = start();
    await moved.ready();
    expect(moved.text()).toContain(`Port ${ports.api} was taken: api has ${kept('ports.json').api}`);
    moved.child.kill('SIGINT');
    await moved.exit;
    other.close();
    expect(await alive()).toEqual([]);
  });

  test('starts over with --fresh', async () => {
    writeFileSync(join(data, 'old'), 'old');
    const secrets = kept('secrets.json');
    const fresh = start('--fresh');
    await fresh.ready();
    expect(() => statSync(join(data, 'old'))).toThrow(/ENOENT/);
    expect(kept('secrets.json')).not.toEqual(secrets);
    fresh.child.kill('SIGINT');
    await fresh.exit;
  });

  test('refuses an option it does not know', async () => {
    const wrong = start('--frsh');
    expect(await wrong.exit).toBe(1);
    expect(wrong.text()).toContain('Unknown option --frsh');
  });
});
