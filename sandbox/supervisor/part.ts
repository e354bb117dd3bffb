/** One part of the hub (sandbox, worker, API) as a child process that is kept running. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackOff } from './back-off';

const ROOT = resolve(__dirname, '../..');
const READY_LIMIT_MS = 90_000;
const PROBE_PAUSE_MS = 100;
/** More than the part's own limit (SHUTDOWN_MS), which it is expected to keep. */
const STOP_LIMIT_MS = 20_000;
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

export interface PartSpec {
  readonly name: string;
  /** The program, from the root of the project. */
  readonly entry: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** leave-with-parent.cjs, as a copy in the data folder: so a part that a killed run left can be told. */
  readonly preload: string;
  readonly logFile: string;
  /** Writes to our terminal instead of the file. */
  readonly echo: boolean;
  /** Resolves when the part serves; rejects as long as it does not. Where it is missing, the part says `ready` itself. */
  readonly probe?: () => Promise<void>;
  /** Tells the person at the terminal. */
  readonly say: (text: string) => void;
}

/** A child process that is started again, with growing pauses, when it ends by itself. */
export class Part {
  private child: ChildProcess | undefined;
  private wanted = false;
  private saidReady = false;
  private readonly backOff = new BackOff();

  constructor(private readonly spec: PartSpec) {}

  get name(): string {
    return this.spec.name;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Whether its program is there. */
  get exists(): boolean {
    return existsSync(resolve(ROOT, this.spec.entry));
  }

  /** Starts it and waits until it serves. Throws, with the end of its log, when it ends before that. */
  async start(): Promise<void> {
    const child = this.spawnChild();
    const deadline = Date.now() + READY_LIMIT_MS;
    for (;;) {
      if (this.child !== child) throw new Error(`${this.name} ended at its start:\n${this.lastLogLines()}`);
      if (await this.isReady()) break;
      if (Date.now() > deadline)
        throw new Error(`${this.name} is not ready after ${READY_LIMIT_MS / 1000} s:\n${this.lastLogLines()}`);
      await sleep(PROBE_PAUSE_MS);
    }
    this.wanted = true;
  }

  /** Ends it: SIGTERM, and by force after a while. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.wanted = false;
    await this.end('SIGTERM');
  }

  /** Ends it by force. */
  async kill(): Promise<void> {
    this.wanted = false;
    await this.end('SIGKILL');
  }

  /** Ends it and starts it again, e.g. with changed code. A failure is said, and tried again. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start().catch((error: Error) => this.comeBack(error.message));
  }

  private async isReady(): Promise<boolean> {
    if (this.spec.probe === undefined) return this.saidReady;
    return this.spec.probe().then(
      () => true,
      () => false,
    );
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (child === undefined) return;
    const gone = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill(signal);
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    await gone;
    clearTimeout(force);
  }

  private spawnChild(): ChildProcess {
    this.saidReady = false;
    mkdirSync(dirname(this.spec.logFile), { recursive: true, mode: 0o700 });
    if (existsSync(this.spec.logFile) && statSync(this.spec.logFile).size > LOG_LIMIT_BYTES) {
      renameSync(this.spec.logFile, `${this.spec.logFile}.1`);
    }
    const log = this.spec.echo ? undefined : openSync(this.spec.logFile, 'a', 0o600);
    const output = log ?? 'inherit';
    // A group of its own: Ctrl-C goes to the group of the terminal, and parts end in order, when they are told to.
    const child = spawn(process.execPath, ['--require', this.spec.preload, '--import', 'tsx', this.spec.entry], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', output, output, 'ipc'],
      env: { ...this.spec.env },
    });
    if (log !== undefined) closeSync(log);
    this.child = child;
    child.on('message', (message) => {
      if (message === 'ready') this.saidReady = true;
    });
    const gone = (how: string) => {
      if (this.child !== child) return;
      this.child = undefined;
      if (this.wanted) this.comeBack(how);
    };
    child.once('error', (error) => gone(error.message));
    child.once('exit', (code, signal) => gone(signal === null ? `code ${code}` : signal));
    return child;
  }

  private comeBack(how: string): void {
    this.wanted = true;
    const waitMs = this.backOff.nextMs();
    this.spec.say(`${this.name} ended (${how}); it starts again in ${waitMs / 1000} s. Its log: ${this.spec.logFile}`);
    setTimeout(() => {
      if (!this.wanted || this.child !== undefined) return;
      this.start().then(
        () => this.spec.say(`${this.name} serves again`),
        (error: Error) => this.comeBackUnlessStopped(error.message.split('\n')[0] ?? ''),
      );
    }, waitMs);
  }

  /** A start that failed: its process is gone or does not answer. */
  private comeBackUnlessStopped(how: string): void {
    if (!this.wanted) return;
    void this.end('SIGKILL').then(() => this.comeBack(how));
  }

  private lastLogLines(): string {
    if (this.spec.echo) return '(see above)';
    return `${readFileSync(this.spec.logFile, 'utf8').slice(-2000).trim()}\n(more in ${this.spec.logFile})`;
  }
}
