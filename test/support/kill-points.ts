/**
 * Named points in a child process at which it ends itself as a crash would. A step is one write command to the
 * database, one call to Temporal or one call that changes something at a platform; each has a point before and one after.
 */
import { writeSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import type { Connection } from 'mongoose';

export interface KillPoint {
  /** The how-manieth step of the process, from 1. */
  readonly step: number;
  readonly when: 'before' | 'after';
}

/** The first step whose name begins so. */
export interface NamedKillPoint {
  readonly first: string;
  readonly when: 'before' | 'after';
}

export interface StepTold {
  readonly step: number;
  readonly name: string;
  readonly when: 'before' | 'after';
  /** The database session of a command, base64. */
  readonly session?: string;
}

/** What a child says to its parent, one JSON text per line. */
export type ChildSays = { readonly ready: { readonly port?: number } } | { readonly at: StepTold };

/** Where a child speaks to its parent; its standard output is also Temporal's, for warnings. */
export const SAYS_FD = 3;

/** Written at once: what is said before a kill must arrive. */
export function say(words: ChildSays): void {
  writeSync(SAYS_FD, `${JSON.stringify(words)}\n`);
}

const WRITES = new Set(['insert', 'update', 'delete', 'findAndModify', 'commitTransaction', 'abortTransaction']);

/** Counts the steps of what it watches, tells each, and ends the process at the given one. */
export function createKillSwitch(point: KillPoint | NamedKillPoint | null) {
  let steps = 0;

  function reach(told: StepTold): void {
    say({ at: told });
    if (point === null || point.when !== told.when) return;
    if ('first' in point ? told.name.startsWith(point.first) : point.step === told.step)
      process.kill(process.pid, 'SIGKILL');
  }
  function begin(name: string, session?: string): number {
    steps += 1;
    reach({ step: steps, name, when: 'before', session });
    return steps;
  }

  return {
    /** The store must be connected with `monitorCommands`. */
    watchDatabase(connection: Connection): void {
      const open = new Map<number, { step: number; name: string }>();
      const client = connection.getClient();
      client.on('commandStarted', ({ requestId, commandName, command }) => {
        if (!WRITES.has(commandName)) return;
        const on = command[commandName];
        const name = typeof on === 'string' ? `${commandName} ${on}` : commandName;
        const id = (command.lsid as { id?: { buffer: Uint8Array } } | undefined)?.id;
        open.set(requestId, { step: begin(name, id && Buffer.from(id.buffer).toString('base64')), name });
      });
      // A command that failed, by a write conflict say, has an after too: what is told doesn't depend on who else writes.
      const ended = ({ requestId }: { requestId: number }) => {
        const begun = open.get(requestId);
        open.delete(requestId);
        if (begun) reach({ ...begun, when: 'after' });
      };
      client.on('commandSucceeded', ended);
      client.on('commandFailed', ended);
    },

    /** Counts the calls of these methods, which are replaced on the object itself. */
    watchCalls<T extends object>(target: T, what: string, ...methods: (keyof T & string)[]): void {
      for (const method of methods) {
        const original = target[method] as (...given: unknown[]) => Promise<unknown>;
        const watched = async (...given: unknown[]) => {
          const name = `${what} ${method}${typeof given[0] === 'string' ? ` ${given[0]}` : ''}`;
          const step = begin(name);
          const answer = await original.apply(target, given);
          reach({ step, name, when: 'after' });
          return answer;
        };
        Object.assign(target, { [method]: watched });
      }
    },

    watchTemporal(client: Client): void {
      this.watchCalls(client.workflow, 'temporal', 'start', 'signalWithStart');
    },
  };
}
