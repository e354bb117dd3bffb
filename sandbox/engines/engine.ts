/** One engine as a child process on one folder and one port: start, end, kill, start again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endEnginesOn } from './leftovers';

const READY_LIMIT_MS = 60_000;
const PROBE_PAUSE_MS = 50;
const STOP_LIMIT_MS = 15_000;
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

/** The engines that run now, for the farewell when this process exits without having stopped them. */
const running = new Set<{ readonly child: ChildProcess; readonly farewell: NodeJS.Signals }>();
process.on('exit', () => {
  for (const { child, farewell } of running) child.kill(farewell);
});

export interface EngineSpec {
  readonly name: string;
  readonly binary: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Must name `folder`, so that an engine that a killed run left behind can be told by its command line. */
  readonly args: readonly string[];
  /** Absolute. The engine's files; it is also its home, so that no setting of the user's reaches it. */
  readonly folder: string;
  readonly port: number;
  readonly logFile: string;
  /** Resolves when the engine answers; rejects as long as it does not. */
  readonly probe: () => Promise<void>;
  /** Writes what the engine needs in its folder before it starts. */
  readonly prepare?: () => void;
  /** What to send when this process exits without having stopped the engine. */
  readonly farewell: 'SIGTERM' | 'SIGKILL';
}

/** A server that this process runs. Its port and folder stay the same over restarts. */
export class Engine {
  private child: ChildProcess | undefined;
  private expectedToRun = false;
  private readonly exitListeners: (() => void)[] = [];

  constructor(private readonly spec: EngineSpec) {}

  get name(): string {
    return this.spec.name;
  }

  get port(): number {
    return this.spec.port;
  }

  /** The engine's process while it runs. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Calls the listener each time the engine ends without having been told to. */
  onUnexpectedExit(listener: () => void): void {
    this.exitListeners.push(listener);
  }

  /** Starts the engine and waits until it answers. An engine left on the same folder is ended first. */
  async start(): Promise<void> {
    if (this.child !== undefined) return;
    mkdirSync(this.spec.folder, { recursive: true, mode: 0o700 });
    await this.endLeftover();
    this.spec.prepare?.();
    const child = this.spawnChild();
    this.expectedToRun = true;
    try {
      await this.waitUntilReady(child);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Ends the engine politely, by force after a while, and waits for its exit. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  /** Ends the engine at once, as a crash would, and waits for its exit. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    this.expectedToRun = false;
    const child = this.child;
    if (child === undefined) return;
    const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    await exit;
    clearTimeout(force);
  }

  private spawnChild(): ChildProcess {
    mkdirSync(dirname(this.spec.logFile), { recursive: true, mode: 0o700 });
    if (existsSync(this.spec.logFile) && statSync(this.spec.logFile).size > LOG_LIMIT_BYTES) {
      renameSync(this.spec.logFile, `${this.spec.logFile}.1`);
    }
    const output = openSync(this.spec.logFile, 'a', 0o600);
    // A group of its own: Ctrl-C goes to the group of the terminal, and engines end last, when they are told to.
    const child = spawn(this.spec.binary, [...this.spec.args], {
      cwd: this.spec.folder,
      detached: true,
      stdio: ['ignore', output, output],
      env: {
        ...{ PATH: process.env.PATH, HOME: this.spec.folder, TMPDIR: process.env.TMPDIR, LANG: 'C.UTF-8' },
        ...this.spec.environment,
      },
    });
    closeSync(output);
    this.child = child;
    const entry = { child, farewell: this.spec.farewell };
    running.add(entry);
    const gone = () => {
      running.delete(entry);
      if (this.child !== child) return;
      this.child = undefined;
      if (this.expectedToRun) for (const listener of this.exitListeners) listener();
    };
    child.once('exit', gone);
    child.once('error', gone);
    return child;
  }

  private async waitUntilReady(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + READY_LIMIT_MS;
    for (;;) {
      if (this.child !== child) throw new Error(`${this.name} ended at its start:\n${this.lastLogLines()}`);
      try {
        return await this.spec.probe();
      } catch (error) {
        if (Date.now() > deadline) {
          throw new Error(`${this.name} does not answer after ${READY_LIMIT_MS / 1000} s:\n${this.lastLogLines()}`, {
            cause: error,
          });
        }
      }
      await sleep(PROBE_PAUSE_MS);
    }
  }

  private lastLogLines(): string {
    return `${readFileSync(this.spec.logFile, 'utf8').slice(-1500).trim()}\n(more in ${this.spec.logFile})`;
  }

  /** Also waits for its end: two engines on one folder damage its files. */
  private async endLeftover(): Promise<void> {
    await endEnginesOn(this.spec.folder, basename(this.spec.binary));
  }
}
