/** What a killed run left running: told by its command line, which names the data folder. */
import { basename } from 'node:path';
import { endProcess, findProcesses } from './processes';

/** Names of the binaries that may own files in a data folder. */
export const ENGINE_BINARIES = ['temporal', 'secantusd-rs', 'mongod'];

const POLITE_MS = 15_000;

/**
 * Ends the engines whose command line names the folder or something in it, and waits for that. Told from other
 * processes (an editor with a log open) by the name of the binary.
 */
export async function endEnginesOn(folder: string, ...binaries: string[]): Promise<number[]> {
  const left = await findProcesses((command) => {
    const program = basename(command.split(' --')[0]?.split(' server ')[0]?.trim() ?? '');
    return binaries.includes(program) && command.includes(`${folder}/`);
  });
  for (const pid of left) await endProcess(pid, POLITE_MS);
  return left;
}

/** Ends the Node processes that were started with this file as a preload, and waits for that. */
export async function endPartsWith(preload: string): Promise<number[]> {
  const left = await findProcesses((command) => command.includes(` --require ${preload} `));
  await Promise.all(left.map((pid) => endProcess(pid, POLITE_MS + 10_000)));
  return left;
}
