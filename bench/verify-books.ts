/** One verification of the whole hub in a process of its own; says its figures as JSON. */
import { newId } from '../domain/ids';
import type { DiscrepancyKind } from '../domain/verification';
import { connectStore } from '../store';
import { CHECKS } from '../store/repositories/verification';
import { seconds } from './report';

export interface VerifyFigures {
  readonly checks: readonly { readonly check: string; readonly seen: number; readonly took: number }[];
  readonly kinds: readonly { readonly kind: DiscrepancyKind; readonly count: number }[];
  /** The most resident memory, less what there was of it at the start. */
  readonly tookMb: number;
  /** The most resident memory of the process. */
  readonly mostMb: number;
}

/** A verification opens nothing that is sealed. */
const NO_SECRETS = [{ id: 'none', key: Buffer.alloc(32) }];
/** There are no listings. */
const NOTHING = { preOrder: false, largestQuantity: 0 };
const mostMb = () => process.resourceUsage().maxRSS / 1_024;

async function main(): Promise<void> {
  const place = JSON.parse(process.argv[2] ?? '') as { uri: string; database: string };
  const store = await connectStore({ ...place, dataKeys: NO_SECRETS });
  const { _id } = await store.verification.add(
    null,
    newId('command'),
    { repair: false, dryRun: true },
    { unlisted: true },
  );
  const before = mostMb();
  const checks: { check: string; seen: number; took: number }[] = [];
  for (const check of CHECKS) {
    let seen = 0;
    const took = await seconds(async () => {
      seen = await store.verification.run(
        _id,
        check,
        () => {},
        () => NOTHING,
      );
    });
    checks.push({ check, seen, took });
    process.stderr.write(`${check}: ${seen} in ${took.toFixed(1)} s\n`);
  }
  await store.verification.end(_id, 'done');
  const figures: VerifyFigures = {
    checks,
    kinds: await store.verification.kinds(_id),
    tookMb: mostMb() - before,
    mostMb: mostMb(),
  };
  process.stdout.write(JSON.stringify(figures));
  await store.database.close();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
