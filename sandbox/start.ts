/**
 * What `npm start` runs: engines, sandbox, worker and API, seeded once, kept running, and ended together.
 * Options: --fresh starts over without the data, --data=FOLDER (else .data), --logs shows the parts' logs here,
 * --watch starts worker and API again when code changes (`npm run dev`).
 */
import { copyFileSync, existsSync, watch } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSteps, type Steps } from '../scripts/steps.cjs';
import { type DataFolder, type Engine, type Engines, freePortNear, startEngines, takeDataFolder } from './engines';
import { ENGINE_BINARIES, endEnginesOn, endPartsWith } from './engines/leftovers';
import { BackOff } from './supervisor/back-off';
import { Part } from './supervisor/part';
import { keep, type Ports, readKept, type Secrets, secretsOf, wantedPorts } from './supervisor/settings';

const ROOT = resolve(__dirname, '..');
const USUAL_FOLDER = resolve(ROOT, '.data');
/** Signals closer together than this are one: npm and the terminal both deliver a Ctrl-C. */
const SAME_SIGNAL_MS = 1000;
/** Longer than engines need to start, where they are stopped before they are there. */
const ENGINES_LIMIT_MS = 20_000;
/** A lane whose store is down stands parked after seconds, so that the demo can be watched; else it takes minutes. */
const DEMO_LANES = { LANE_ATTEMPTS: '4', LANE_FIRST_WAIT_MS: '500', LANE_LONGEST_WAIT_MS: '2000' };
const WATCHED_ROOMS = ['api', 'workflows', 'activities', 'connectors', 'worker', 'config', 'domain', 'store'];

interface Options {
  readonly fresh: boolean;
  readonly echo: boolean;
  readonly watch: boolean;
  readonly data: string;
}

/** What is running; filled as the start goes on, so that a start that is broken off ends what it has. */
interface Running {
  folder?: DataFolder;
  /** The engines, on their way or there. */
  engines?: Promise<Engines>;
  readonly parts: Part[];
  stopping?: Promise<void>;
}

interface Seeded {
  readonly supplier: { readonly id: string; readonly key: string };
  readonly distributors: readonly { readonly id: string; readonly key: string }[];
}
type Seed = (input: {
  apiUrl: string;
  adminKey: string;
  sandboxUrl: string;
  log: (text: string) => void;
}) => Promise<Seeded>;

const steps: Steps = createSteps();
const running: Running = { parts: [] };

function parseOptions(args: readonly string[]): Options {
  const known = /^--(fresh|logs|watch|data=.+)$/;
  const unknown = args.filter((arg) => !known.test(arg));
  if (unknown.length > 0) {
    throw new Error(`Unknown option ${unknown.join(' ')}. Options: --fresh --data=FOLDER --logs --watch`);
  }
  const data = args.find((arg) => arg.startsWith('--data='))?.slice('--data='.length);
  const watching = args.includes('--watch');
  return {
    // `npm start --fresh`, without the `--` that npm wants before it, reaches us in the environment alone.
    fresh: args.includes('--fresh') || process.env.npm_config_fresh === 'true',
    echo: args.includes('--logs') || watching,
    watch: watching,
    data: data === undefined ? USUAL_FOLDER : resolve(data),
  };
}

async function start(options: Options): Promise<void> {
  const folder = await takeDataFolder(options.data);
  running.folder = folder;
  const preload = join(folder.path, 'leave-with-parent.cjs');
  const left = [...(await endPartsWith(preload)), ...(await endEnginesOn(folder.path, ...ENGINE_BINARIES))];
  if (left.length > 0) steps.note(`  Ended what a killed run left behind (processes ${left.join(', ')})`);
  if (options.fresh) {
    folder.wipe();
    steps.note('  Started over: the data folder is empty');
  }
  copyFileSync(resolve(__dirname, 'supervisor/leave-with-parent.cjs'), preload);
  const secrets = secretsOf(folder.path);
  const wanted = wantedPorts(folder.path, process.env);
  running.engines = startEngines({
    ...{ dataDir: folder.path, dataFolder: folder, persistent: true, ports: wanted, steps },
    ...(Number(process.env.CODEC_PORT) > 0 ? { uiCodecEndpoint: `http://127.0.0.1:${process.env.CODEC_PORT}` } : {}),
  });
  const engines = await running.engines;
  keepEngineRunning(engines.temporal);
  keepEngineRunning(engines.mongo);
  const ports = await choosePorts(wanted, engines);
  keep(folder.path, 'ports.json', ports);
  const env = environmentOf(secrets, ports, engines, folder.path);
  await startParts(env, ports, preload, folder.path, options.echo);
  const demo = await seedOnce(env, ports, engines, secrets, folder.path);
  printWelcome(demo, ports, wanted, folder.path);
  if (options.watch) watchCode();
}

/** Free ports for the parts, beside those of the engines. */
async function choosePorts(wanted: Ports, engines: Engines): Promise<Ports> {
  return {
    api: await freePortNear(wanted.api),
    metrics: await freePortNear(wanted.metrics),
    workerMetrics: await freePortNear(wanted.workerMetrics),
    sandbox: await freePortNear(wanted.sandbox),
    temporal: engines.temporal?.port ?? wanted.temporal,
    temporalUi: engines.temporalUi === undefined ? wanted.temporalUi : Number(new URL(engines.temporalUi).port),
    mongo: engines.mongo?.port ?? wanted.mongo,
  };
}

/** The environment of the parts. What the person has set wins, but for addresses and ports, which are chosen here. */
function environmentOf(secrets: Secrets, ports: Ports, engines: Engines, folder: string) {
  const sandboxUrl = `http://127.0.0.1:${ports.sandbox}`;
  const defaults = {
    LOG_FORMAT: 'pretty',
    ADMIN_KEY: secrets.adminKey,
    DATA_KEYS: secrets.dataKeys,
    PAYLOAD_KEYS: secrets.payloadKeys,
    CODEC_KEY: secrets.codecKey,
    SHOPEE_BASE_URL: `${sandboxUrl}/shopee`,
    SHOPEE_PARTNER_ID: secrets.shopeePartnerId,
    SHOPEE_PARTNER_KEY: secrets.shopeePartnerKey,
    LAZADA_BASE_URL: `${sandboxUrl}/lazada/rest`,
    LAZADA_AUTH_BASE_URL: `${sandboxUrl}/lazada/rest`,
    LAZADA_APP_KEY: secrets.lazadaAppKey,
    LAZADA_APP_SECRET: secrets.lazadaAppSecret,
    RATES_URL: `${sandboxUrl}/rates`,
  };
  const given = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== ''));
  const apiUrl = given.PUBLIC_URL ?? `http://127.0.0.1:${ports.api}`;
  return {
    ...defaults,
    ...(Object.keys(given).some((name) => name in DEMO_LANES) ? {} : DEMO_LANES),
    ...given,
    API_PORT: `${ports.api}`,
    METRICS_PORT: given.METRICS_PORT === '0' ? '0' : `${ports.metrics}`,
    WORKER_METRICS_PORT: given.WORKER_METRICS_PORT === '0' ? '0' : `${ports.workerMetrics}`,
    PUBLIC_URL: apiUrl,
    MONGODB_URI: engines.mongoUri,
    TEMPORAL_ADDRESS: engines.temporalAddress,
    SANDBOX_PORT: `${ports.sandbox}`,
    SANDBOX_STATE_FILE: join(folder, 'sandbox.json'),
    SANDBOX_CALLBACK_BASE_URL: apiUrl,
  };
}

async function startParts(
  env: Record<string, string | undefined>,
  ports: Ports,
  preload: string,
  folder: string,
  echo: boolean,
): Promise<void> {
  const common = { env, preload, echo, say: (text: string) => steps.note(`! ${text}`) };
  const logFile = (name: string) => join(folder, `logs/${name}.log`);
  const parts = [
    { name: 'Sandbox', entry: 'sandbox/main.ts', logFile: logFile('sandbox'), probe: () => probePort(ports.sandbox) },
    { name: 'Worker', entry: 'worker/main.ts', logFile: logFile('worker') },
    { name: 'API', entry: 'api/server.ts', logFile: logFile('api'), probe: () => probeHttp(ports.api, '/readyz') },
  ].map((spec) => new Part({ ...common, ...spec }));
  for (const part of parts) {
    if (!part.exists) {
      steps.note(`  ${part.name} is not there yet and left out`);
      continue;
    }
    running.parts.unshift(part); // Ended in the opposite order: the API first.
    await steps.step(`Start ${part.name}`, () => part.start());
  }
}

function probePort(port: number): Promise<void> {
  return new Promise((done, fail) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      done();
    });
    socket.once('error', fail);
  });
}

async function probeHttp(port: number, path: string): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
}

/** Writes demo.json, with the seeded accounts; they are made at the first start of a data folder. */
async function seedOnce(
  env: Record<string, string | undefined>,
  ports: Ports,
  engines: Engines,
  secrets: Secrets,
  folder: string,
) {
  const api = `http://127.0.0.1:${ports.api}`;
  const sandbox = `http://127.0.0.1:${ports.sandbox}`;
  const adminKey = env.ADMIN_KEY ?? secrets.adminKey;
  let seeded = readKept<Partial<Seeded>>(folder, 'seeded.json');
  const seed = seeded === undefined ? await loadSeed() : undefined;
  if (seed !== undefined && running.parts.length === 3) {
    seeded = await steps.step('Seed the demo', (log) => seed({ apiUrl: api, adminKey, sandboxUrl: sandbox, log }));
    keep(folder, 'seeded.json', seeded);
  }
  const demo = {
    api,
    docs: `${api}/docs`,
    temporalUi: engines.temporalUi ?? '',
    temporalAddress: engines.temporalAddress,
    mongoUri: engines.mongoUri,
    sandbox,
    adminKey,
    supplier: seeded?.supplier,
    distributors: seeded?.distributors,
  };
  keep(folder, 'demo.json', demo);
  return demo;
}

async function loadSeed(): Promise<Seed | undefined> {
  const file = resolve(__dirname, 'seed');
  return existsSync(`${file}.ts`) ? ((await import(file)) as { seed: Seed }).seed : undefined;
}

function printWelcome(demo: Awaited<ReturnType<typeof seedOnce>>, ports: Ports, wanted: Ports, folder: string): void {
  const moved = (Object.keys(ports) as (keyof Ports)[]).filter((name) => ports[name] !== wanted[name]);
  const file = folder === USUAL_FOLDER ? '.data/demo.json' : join(folder, 'demo.json');
  const key = `$(node -p "require('${folder === USUAL_FOLDER ? './.data/demo.json' : join(folder, 'demo.json')}').supplier.key")`;
  const lines = [
    '',
    'Tradelane runs.',
    ...moved.map((name) => `  Port ${wanted[name]} was taken: ${name} has ${ports[name]}`),
    `  API          ${demo.api}`,
    `  API document ${demo.docs}`,
    `  Temporal     ${demo.temporalUi || demo.temporalAddress}`,
    `  Sandbox      ${demo.sandbox}`,
    `  Database     ${demo.mongoUri.replace(/\/\/[^@/]*@/, '//…@')}`,
    `  Keys         ${file}`,
    `  Logs         ${join(folder, 'logs')}`,
    '',
    'Try:',
    '  npm run demo',
    `  curl -s ${demo.api}/readyz`,
    `  curl -s -H "Authorization: Bearer ${key}" "${demo.api}/v1/stock?limit=5"`,
    '',
    'Ctrl-C ends everything.',
  ];
  for (const line of lines) steps.note(line);
}

/** An engine that falls is started again on the same files and port; clients connect again by themselves. */
function keepEngineRunning(engine: Engine | undefined): void {
  const backOff = new BackOff();
  const comeBack = () => {
    if (engine === undefined || running.stopping !== undefined) return;
    const waitMs = backOff.nextMs();
    steps.note(`! ${engine.name} ended; it starts again in ${waitMs / 1000} s`);
    setTimeout(() => {
      if (running.stopping !== undefined) return;
      engine.start().then(
        () => steps.note(`! ${engine.name} serves again`),
        () => comeBack(),
      );
    }, waitMs);
  };
  engine?.onUnexpectedExit(comeBack);
}

function watchCode(): void {
  let timer: NodeJS.Timeout | undefined;
  const changed = (_event: string, name: string | null) => {
    if (name === null || !name.endsWith('.ts')) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      steps.note(`  ${name} changed: worker and API start again`);
      for (const part of running.parts.filter(({ name: part }) => part !== 'Sandbox')) void part.restart();
    }, 300);
  };
  for (const room of WATCHED_ROOMS.map((name) => resolve(ROOT, name)).filter((folder) => existsSync(folder))) {
    watch(room, { recursive: true }, changed);
  }
}

/** Ends all in order: API, worker, sandbox, engines; each has a limit of its own, so this ends. */
function stop(): Promise<void> {
  running.stopping ??= (async () => {
    for (const part of running.parts) await steps.step(`Stop ${part.name}`, () => part.stop());
    const engines = await enginesWithin(ENGINES_LIMIT_MS);
    if (engines !== undefined) await steps.step('Stop Temporal and MongoDB', () => engines.stop());
    running.folder?.release();
  })();
  return running.stopping;
}

/** The engines, also when they are only just starting; undefined when that fails or takes longer than the limit. */
async function enginesWithin(limitMs: number): Promise<Engines | undefined> {
  const tooLong = sleep(limitMs, undefined, { ref: false });
  return Promise.race([running.engines?.catch(() => undefined), tooLong]);
}

/** The second Ctrl-C: no more waiting. Both engines keep what they acknowledged. */
async function force(): Promise<void> {
  steps.note('Forced.');
  const engines = await enginesWithin(0);
  await Promise.all([...running.parts, engines?.temporal, engines?.mongo].map((one) => one?.kill()));
  running.folder?.release();
  process.exit(130);
}

function listenToSignals(): void {
  let firstAt: number | undefined;
  const asked = () => {
    if (firstAt === undefined) {
      firstAt = Date.now();
      steps.note('\nStopping; Ctrl-C again forces it.');
      void stop().then(() => process.exit(process.exitCode ?? 0));
    } else if (Date.now() - firstAt > SAME_SIGNAL_MS) {
      void force();
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, asked);
  process.on('disconnect', asked); // The launcher was killed.
  // The terminal may go away before we do.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

async function main(): Promise<void> {
  listenToSignals();
  try {
    await start(parseOptions(process.argv.slice(2)));
  } catch (error) {
    if (running.stopping !== undefined) return; // Broken off by a signal.
    console.error(`\n${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
    await stop();
    process.exit();
  }
}

void main();
