/** Other processes on this machine: who they are, whether they live, and how to end them for sure. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const HAS_PROC = existsSync('/proc/self/stat');
const POLL_MS = 50;

/**
 * What tells a process from a later one with the same pid: its start time, in the system's own form.
 * Undefined when there is no such process; one that is dead but not yet collected by its parent counts as gone.
 */
export async function processIdentity(pid: number): Promise<string | undefined> {
  try {
    if (HAS_PROC) {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
    }
    const { stdout } = await run('ps', ['-o', 'stat=,lstart=', '-p', String(pid)]);
    const [state = '', ...start] = stdout.trim().split(/\s+/);
    return state === '' || state.startsWith('Z') ? undefined : start.join(' ');
  } catch {
    return undefined;
  }
}

/** The processes whose command line satisfies the condition. */
export async function findProcesses(matches: (command: string) => boolean): Promise<number[]> {
  if (!HAS_PROC) {
    const { stdout } = await run('ps', ['-axww', '-o', 'pid=,command='], { maxBuffer: 64 * 1024 * 1024 });
    const lines = stdout.split('\n').map((line) => /^\s*(\d+)\s+(.*)$/.exec(line));
    return lines.flatMap((line) => (line?.[2] !== undefined && matches(line[2]) ? [Number(line[1])] : []));
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && matches(commandOf(name)))
    .map(Number);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // It ended while we looked.
  }
}

/** Waits until the process is gone. False when it still lives after the given time. */
async function waitUntilGone(pid: number, identity: string | undefined, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const now = await processIdentity(pid);
    if (now === undefined || now !== identity) return true;
    if (Date.now() > deadline) return false;
    await sleep(POLL_MS);
  }
}

/** Ends a process that is not our child: SIGTERM, then SIGKILL after the given time. Throws when it survives that. */
export async function endProcess(pid: number, politeMs: number): Promise<void> {
  const identity = await processIdentity(pid);
  if (identity === undefined) return;
  send(pid, 'SIGTERM');
  if (await waitUntilGone(pid, identity, politeMs)) return;
  send(pid, 'SIGKILL');
  if (!(await waitUntilGone(pid, identity, 10_000))) throw new Error(`Process ${pid} does not end`);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
