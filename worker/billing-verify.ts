/**
 * `npm run billing:verify [-- --account ID] [-- --repair [--dry-run]]`: proves the books of the whole hub, or of one account,
 * and names what does not hold. `--repair` books the entries that make it good; with `--dry-run` it says which they would
 * be. Ends with 0 where all is well, 1 where something is not, 2 where it could not look.
 */
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/env';
import { createLogger } from '../config/logger';
import { capabilitiesIn, createConnectors } from '../connectors';
import { newId } from '../domain/ids';
import { CURRENCY_DECIMALS, formatDecimal } from '../domain/money';
import { DISCREPANCIES, wordsOf } from '../domain/verification';
import { connectStore } from '../store';
import { CHECKS, type ListedDiscrepancy } from '../store/repositories/verification';

function linesOf(row: ListedDiscrepancy): string[] {
  const { kind, subject, documents, compensation, booked, currency } = row;
  const [expected, found] = [row.expected, row.found].map((value) => wordsOf(kind, value, currency));
  const numbers = expected || found ? `: ${found ?? 'nothing'}, expected ${expected ?? 'nothing'}` : '';
  const entry =
    compensation &&
    currency &&
    `${compensation.type} of ${formatDecimal(compensation.amount, CURRENCY_DECIMALS[currency])} ${currency} as ${compensation.id}`;
  return [
    `${kind} ${subject}${numbers} (${DISCREPANCIES[kind]}; ${documents.join(', ')})`,
    ...(entry === null ? [] : [`  ${booked === null ? 'would be made good by' : 'was made good by'} ${entry}`]),
  ];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      account: { type: 'string' },
      repair: { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
    },
  });
  const config = loadConfig();
  const store = await connectStore({ ...config.mongo, dataKeys: config.dataKeys });
  const books = store.verification;
  // Asked what their platforms can do; nothing is called.
  const logger = createLogger({ ...config.log, service: 'billing-verify' });
  const connectors = createConnectors(config.platforms, { ...config.platformHttp, logger });
  try {
    // Nothing is found of an account that is not there: that proves nothing.
    if (values.account !== undefined) await store.accounts.get(values.account);
    const mode = { repair: values.repair, dryRun: values['dry-run'] };
    const { _id } = await books.add(values.account ?? null, newId('command'), mode, { unlisted: true });
    let seen = 0;
    for (const check of CHECKS) seen += await books.run(_id, check, () => {}, capabilitiesIn(connectors));
    await books.plan(_id);
    if (mode.repair && !mode.dryRun) await books.repair(_id, () => {});
    await books.end(_id, 'done');
    let count = 0;
    for await (const one of books.all(_id)) {
      count += 1;
      for (const line of linesOf(one)) console.log(line);
    }
    console.log(`${seen} documents looked at, ${count} discrepancies (${_id})`);
    console.log(count === 0 ? 'The books hold.' : 'THE BOOKS DO NOT HOLD.');
    process.exitCode = count === 0 ? 0 : 1;
  } finally {
    await store.database.close();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
});
