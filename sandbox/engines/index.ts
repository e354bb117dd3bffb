/**
 * Temporal and MongoDB for a machine that has neither: given addresses first, then what is on the PATH, then pinned
 * binaries that are fetched into the project's folder.
 */
import { existsSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Steps, silentSteps } from '../../scripts/steps.cjs';
import { type DataFolder, takeDataFolder } from './data-folder';
import type { Engine } from './engine';
import { fetchEngine, findOnPath } from './fetch';
import { ENGINE_BINARIES, endEnginesOn } from './leftovers';
import { checkGivenMongo, type MongoEngine, mongodEngine, secantusEngine } from './mongo';
import { freePort, freePortNear } from './ports';
import { prepareGivenTemporal, temporalEngine } from './temporal';

export { registerSearchAttributes, SEARCH_ATTRIBUTES } from '../../workflows/search-attributes';
export { type DataFolder, DataFolderInUseError, takeDataFolder } from './data-folder';
export { Engine } from './engine';
export { fetchEngine } from './fetch';
export { freePort, freePortNear, isPortFree } from './ports';

export interface EnginesOptions {
  /** The engines' files and logs; made where it is missing. */
  readonly dataDir: string;
  /** Keeps the data when the engines stop; a throw-away data folder is emptied then. */
  readonly persistent: boolean;
  /** Acknowledged writes outlive a killed engine. Slower; as `persistent` where not given. */
  readonly durable?: boolean;
  /** Wanted ports; a neighbour is taken where one is in use. Any free one where not given. */
  readonly ports?: { readonly temporal?: number; readonly temporalUi?: number; readonly mongo?: number };
  /** Engines that run already; from TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and MONGODB_URI where not given. */
  readonly given?: GivenEngines;
  /** Where Temporal's Web UI has payloads decoded. */
  readonly uiCodecEndpoint?: string;
  readonly steps?: Steps;
  /** The data folder, where the caller holds it already; it is then also the caller's to release. */
  readonly dataFolder?: DataFolder;
}

export interface GivenEngines {
  readonly temporalAddress?: string | undefined;
  readonly temporalNamespace?: string | undefined;
  readonly mongoUri?: string | undefined;
}

export interface Engines {
  readonly temporalAddress: string;
  /** The Web UI; unknown for a given Temporal. */
  readonly temporalUi: string | undefined;
  readonly mongoUri: string;
  /** The engines that this process runs; undefined where an address was given. */
  readonly temporal: Engine | undefined;
  readonly mongo: Engine | undefined;
  /** Ends both and gives the data folder free. Calling it again does nothing. */
  stop(): Promise<void>;
}

/** The engines that the environment names. */
function givenEngines(env: NodeJS.ProcessEnv = process.env): GivenEngines {
  return {
    temporalAddress: env.TEMPORAL_ADDRESS || undefined,
    temporalNamespace: env.TEMPORAL_NAMESPACE || undefined,
    mongoUri: env.MONGODB_URI || undefined,
  };
}

/** Fetches the engines that a start would need, and starts nothing. */
export async function fetchEngines(steps: Steps, given: GivenEngines = givenEngines()): Promise<void> {
  if (given.temporalAddress === undefined) await temporalBinary(steps);
  if (given.mongoUri === undefined && findOnPath('mongod') === undefined) await fetchEngine('secantusd', steps);
}

/**
 * Starts Temporal and MongoDB and waits until both answer. Throws DataFolderInUseError when another process owns the
 * data folder, and an Error that says what to do when an engine cannot be had or does not start.
 */
export async function startEngines(options: EnginesOptions): Promise<Engines> {
  const steps = options.steps ?? silentSteps;
  const given = options.given ?? givenEngines();
  const folder = options.dataFolder ?? (await takeDataFolder(options.dataDir));
  const started: Engine[] = [];
  const stop = async () => {
    await Promise.all(started.map((engine) => engine.stop()));
    if (!options.persistent) await emptyThrowAway(folder);
    if (options.dataFolder === undefined) folder.release();
  };
  try {
    const left = await endEnginesOn(folder.path, ...ENGINE_BINARIES);
    if (left.length > 0) steps.note(`  Ended what a killed run left behind (processes ${left.join(', ')})`);
    const temporal = await planTemporal(options, given, folder, steps);
    const mongo = await planMongo(options, given, folder, steps);
    for (const engine of [temporal.engine, mongo.engine]) if (engine !== undefined) started.push(engine);
    await steps.step('Start Temporal and MongoDB', async (say) => {
      await Promise.all([temporal.ready(), mongo.ready()]);
      say(`${temporal.address}, ${mongo.uri.replace(/^mongodb(\+srv)?:\/\/([^@/]*@)?/, '').split('/')[0]}`);
    });
    return {
      temporalAddress: temporal.address,
      temporalUi: temporal.ui,
      mongoUri: mongo.uri,
      temporal: temporal.engine,
      mongo: mongo.engine,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function temporalBinary(steps: Steps): Promise<string> {
  return findOnPath('temporal') ?? (await fetchEngine('temporal', steps));
}

async function choosePort(wanted: number | undefined): Promise<number> {
  return wanted === undefined ? freePort() : freePortNear(wanted);
}

async function planTemporal(options: EnginesOptions, given: GivenEngines, folder: DataFolder, steps: Steps) {
  const address = given.temporalAddress;
  if (address !== undefined) {
    const ready = () => prepareGivenTemporal(address, given.temporalNamespace ?? 'default');
    return { address, ui: undefined, engine: undefined, ready };
  }
  const binary = await temporalBinary(steps);
  const port = await choosePort(options.ports?.temporal);
  const uiPort = await choosePort(options.ports?.temporalUi);
  const engine = temporalEngine({
    ...{ binary, port, uiPort, persistent: options.persistent, durable: options.durable ?? options.persistent },
    folder: join(folder.path, 'temporal'),
    logFile: join(folder.path, 'logs/temporal.log'),
    uiCodecEndpoint: options.uiCodecEndpoint,
  });
  return { address: `127.0.0.1:${port}`, ui: `http://127.0.0.1:${uiPort}`, engine, ready: () => engine.start() };
}

async function planMongo(options: EnginesOptions, given: GivenEngines, folder: DataFolder, steps: Steps) {
  const uri = given.mongoUri;
  if (uri !== undefined) return { uri, engine: undefined, ready: () => checkGivenMongo(uri) };
  const mongod = findOnPath('mongod');
  // A data folder stays with the database that made it.
  const useMongod =
    mongod !== undefined && (existsSync(join(folder.path, 'mongod')) || !existsSync(join(folder.path, 'secantusd')));
  const common = {
    port: await choosePort(options.ports?.mongo),
    logFile: join(folder.path, 'logs/mongo.log'),
    persistent: options.persistent,
    durable: options.durable ?? options.persistent,
  };
  const made: MongoEngine = useMongod
    ? mongodEngine({ ...common, binary: mongod, folder: join(folder.path, 'mongod') })
    : secantusEngine({
        ...common,
        binary: await fetchEngine('secantusd', steps),
        folder: join(folder.path, 'secantusd'),
      });
  return { uri: made.uri, engine: made.engine, ready: () => made.engine.start() };
}

async function emptyThrowAway(folder: DataFolder): Promise<void> {
  for (const name of ['temporal', 'mongod', 'secantusd', 'logs']) {
    rmSync(join(folder.path, name), { recursive: true, force: true });
  }
}

/** Ends engines that killed runs left on the data folder, if nobody owns it now, and removes the folder. */
export async function removeAbandoned(dataDir: string): Promise<void> {
  const folder = await takeDataFolder(dataDir).catch(() => undefined);
  if (folder === undefined) return; // Somebody lives there.
  await endEnginesOn(folder.path, ...ENGINE_BINARIES);
  rmSync(resolve(folder.path), { recursive: true, force: true });
}
