/**
 * `npm run audit:verify [-- --head COUNT:HASH …]`: reads the whole audit log, recomputes it and says what is not as it was.
 * `--head` gives a head that was logged (`audit head`): rows that were cut off together with the stored head are found by
 * it alone. Ends with 0 where all is well, 1 where something is not, 2 where it could not look.
 */
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/env';
import { connectStore } from '../store';
import type { ChainHead, Damage } from '../store/audit-chain';

/** The heads that the arguments give. Throws where one has not the form. */
function headsOf(args: string[]): ChainHead[] {
  const { values } = parseArgs({ args, options: { head: { type: 'string', multiple: true, default: [] } } });
  return values.head.map((text) => {
    const [, count, hash] = /^(\d{1,15}):([\da-f]{64})$/.exec(text) ?? [];
    if (count === undefined || hash === undefined) throw new Error('Usage: npm run audit:verify -- --head COUNT:HASH');
    return { count: Number(count), hash };
  });
}

function lineOf({ kind, row, to, detail }: Damage): string {
  const rows = to === undefined ? `row ${row}` : `rows ${row} to ${to}`;
  return `${rows}: ${kind.replace('_', ' ')} (${detail})`;
}

async function main(): Promise<void> {
  const heads = headsOf(process.argv.slice(2));
  const config = loadConfig();
  const store = await connectStore({ ...config.mongo, dataKeys: config.dataKeys });
  try {
    const { ok, rows, head, damages, more } = await store.audit.verify(heads);
    for (const damage of damages) console.log(lineOf(damage));
    if (more > 0) console.log(`… and ${more} more`);
    console.log(`${rows} rows, head ${head.count}:${head.hash}`);
    console.log(ok ? 'The audit log is whole.' : 'THE AUDIT LOG IS DAMAGED.');
    process.exitCode = ok ? 0 : 1;
  } finally {
    await store.database.close();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
});
