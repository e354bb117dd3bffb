/**
 * What `npm run demo` runs: plays the story (story.ts) against the hub that `npm start` runs, and tells it. Ends with 0
 * only if all that is told held. Options: --data=FOLDER (else .data).
 */
import { join, resolve } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { createDataConverter } from '../workflows/encoding';
import { createSandboxControl } from './control';
import { HubApiError } from './hub-api';
import type { SeededAccount } from './seed';
import { playStory, StoryFailure, type Teller } from './story';
import { readKept, type Secrets } from './supervisor/settings';

/** What `npm start` writes to demo.json, as far as it is used here. */
interface Demo {
  readonly api: string;
  readonly temporalUi: string;
  readonly temporalAddress: string;
  readonly sandbox: string;
  readonly supplier?: SeededAccount;
  readonly distributors?: readonly SeededAccount[];
}

/** The story can't be played here; the message says what to do. */
class Refusal extends Error {}

function folderOf(args: readonly string[]): string {
  const unknown = args.filter((arg) => !/^--data=.+$/.test(arg));
  if (unknown.length > 0) throw new Refusal(`Unknown option ${unknown.join(' ')}. Options: --data=FOLDER`);
  return resolve(args[0]?.slice('--data='.length) ?? join(__dirname, '../.data'));
}

/** Where the running hub is. */
async function findHub(folder: string) {
  const demo = readKept<Demo>(folder, 'demo.json');
  if (demo === undefined)
    throw new Refusal(`There is no ${join(folder, 'demo.json')}. Start the hub first, in another terminal: npm start`);
  const isReady = await fetch(`${demo.api}/readyz`, { signal: AbortSignal.timeout(5000) }).then(
    (answer) => answer.ok,
    () => false,
  );
  if (!isReady)
    throw new Refusal(
      `Nothing that is ready answers at ${demo.api}. Start the hub first, in another terminal: npm start`,
    );
  const { supplier, distributors } = demo;
  if (supplier === undefined || distributors === undefined)
    throw new Refusal('The demo data are missing. Start over with them: npm start -- --fresh');
  return { ...demo, supplier, distributors };
}

/** The keys of the running worker: those of the environment, else those of the data folder. */
function payloadKeys(folder: string) {
  const keys = process.env.PAYLOAD_KEYS || readKept<Secrets>(folder, 'secrets.json')?.payloadKeys || '';
  return keys.split(',').map((part) => {
    const [id = '', key = ''] = part.trim().split(':');
    return { id, key: Buffer.from(key, 'base64') };
  });
}

function createTeller(stream: NodeJS.WriteStream): Teller & { end(text: string): void } {
  const colored = Boolean(stream.isTTY) && !process.env.NO_COLOR;
  const paint = (code: number, text: string) => (colored ? `\x1b[${code}m${text}\x1b[0m` : text);
  const line = (text: string) => stream.write(`${text}\n`);
  let number = 0;
  return {
    step(title) {
      number += 1;
      line(`\n${paint(1, `${number}. ${title}`)}`);
    },
    say: (text) => line(`   ${text}`),
    holds: (text) => line(`   ${paint(32, '✔')} ${text}`),
    table(rows) {
      const width = (texts: string[]) => Math.max(...texts.map((text) => text.length));
      const names = width(rows.map(({ name }) => name));
      const befores = width(rows.map(({ before }) => `${before}`));
      const afters = width(rows.map(({ after }) => `${after}`));
      for (const { name, before, after } of rows) {
        const change = `${`${before}`.padStart(befores)} → ${`${after}`.padStart(afters)}`;
        line(`   ${name.padEnd(names)}  ${before === after ? paint(2, change) : paint(33, change)}`);
      }
    },
    end: (text) => line(`\n${text}`),
  };
}

async function main(): Promise<void> {
  const startedAt = Date.now();
  const folder = folderOf(process.argv.slice(2));
  const hub = await findHub(folder);
  const control = createSandboxControl(hub.sandbox);
  const connection = await Connection.connect({ address: hub.temporalAddress });
  const teller = createTeller(process.stdout);
  // Broken off while Lazada is down: it does not stay so.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      void control.clearFaults('lazada', 'down').finally(() => process.exit(130));
    });
  try {
    await playStory({
      apiUrl: hub.api,
      supplier: hub.supplier,
      distributors: hub.distributors,
      control,
      temporal: new Client({
        connection,
        namespace: process.env.TEMPORAL_NAMESPACE || 'default',
        dataConverter: createDataConverter(payloadKeys(folder)),
      }),
      temporalUi: hub.temporalUi,
      teller,
    });
  } finally {
    await connection.close();
  }
  teller.end(`All of it held (${((Date.now() - startedAt) / 1000).toFixed(1)} s).`);
}

main().catch((error: unknown) => {
  const isTold = error instanceof Refusal || error instanceof StoryFailure || error instanceof HubApiError;
  const isGone = error instanceof TypeError && error.message === 'fetch failed';
  if (isGone) console.error('\nThe hub or its sandbox stopped answering. Does npm start still run?');
  else console.error(isTold ? `\n${error.message}` : error);
  process.exitCode = 1;
});
