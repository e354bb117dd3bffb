/** Labels of many supply orders as one PDF: drawn here where the supplier arranges the carrier, passed through otherwise. */
import pLimit from 'p-limit';
import { drawLabel, joinLabels, type MissingLabel, pagesOf } from '../connectors/files/labels';
import { readBytes } from '../connectors/files/source';
import { HubError, isHubError } from '../domain/failures';
import { labelSourceOf } from '../domain/labels';
import type { PackageDoc, SupplyOrderDoc } from '../store/models/documents';
import type { ActivityDeps } from './deps';
import { isPlatformError } from './failures';
import { createStoreAccess } from './tokens';

/** Called by the HTTP edge: whoever prints waits for the answer, so no workflow runs. */
type LabelDeps = Pick<ActivityDeps, 'store' | 'connectors'>;

/** Platforms asked at once. */
const AT_ONCE = 4;
/** Of labels that were handed in, in one print: all are in memory. */
const HANDED_IN_BYTES = 50 * 1024 * 1024;
const PAGES_MOST = 20;

type Parcel = NonNullable<Awaited<ReturnType<LabelDeps['store']['orders']['parcelAtPlatform']>>>;
type Outcome = { readonly label: Buffer } | { readonly code: string; readonly reason: string };

/** Why a label can't be had, in words that name nobody's secrets. */
function outcomeOf(error: unknown): Outcome {
  if (isHubError(error)) return { code: error.code, reason: error.detail };
  if (isPlatformError(error)) {
    const code = error.kind === 'rejected' ? 'platform_rejected' : 'platform_unavailable';
    return { code, reason: `${error.platform} ${error.code}: ${error.message}` };
  }
  if ((error as { name?: unknown } | null)?.name === 'UnprintableText')
    return { code: 'label_unprintable', reason: (error as Error).message };
  throw error;
}

/** The platform's, as it is now; where it gives none any more (of what is cancelled), as it was printed last. */
async function platformLabel(deps: LabelDeps, row: SupplyOrderDoc, parcel: Parcel): Promise<Outcome> {
  const { labels } = deps.store.orders;
  const access = createStoreAccess(deps);
  try {
    const label = await access.call(parcel.store, (connector, shop) => connector.getLabel(shop, parcel));
    if ((await pagesOf(label)) === 0) return { code: 'platform_rejected', reason: 'The platform gave no PDF' };
    await labels.keep(row, label);
    return { label };
  } catch (error) {
    const kept = isPlatformError(error) || isHubError(error) ? await labels.kept(row) : null;
    if (kept === null) throw error;
    return { label: await readBytes(kept, 0, kept.size) };
  }
}

async function labelOf(deps: LabelDeps, row: SupplyOrderDoc, budget: { bytes: number }): Promise<Outcome> {
  switch (labelSourceOf(row.shipping, row.platform)) {
    case 'supplier':
      return {
        label: await drawLabel({
          supplyOrder: row._id,
          sourceStore: row.sourceStore,
          warehouse: row.warehouse,
          carrier: row.shipment?.carrier ?? null,
          recipient: deps.store.orders.recipientOfSupplyOrder(row),
          lines: row.lines,
        }),
      };
    case 'platform': {
      const parcel = await deps.store.orders.parcelAtPlatform(row);
      if (parcel === null)
        return {
          code: 'label_not_given',
          reason: 'It is no parcel of a platform: it came without a store, or holds gifts alone',
        };
      return platformLabel(deps, row, parcel);
    }
    case 'third_party':
    case 'distributor': {
      const file = await deps.store.orders.labels.of(row);
      if (file === null) return { code: 'label_not_given', reason: 'The distributor has not handed it in yet' };
      budget.bytes -= file.size;
      if (budget.bytes < 0)
        return { code: 'labels_too_long', reason: 'The labels together are too long: print it with fewer others' };
      return { label: await readBytes(file, 0, file.size) };
    }
  }
}

/**
 * One PDF with the labels that can be had, in the order asked; the others are named on its first page.
 * 404 for what is not there; 422 `labels_unavailable` with the reason of each where none can be had.
 */
export async function printLabels(
  deps: LabelDeps,
  supplier: string,
  ids: readonly string[],
): Promise<{ pdf: Buffer; missing: MissingLabel[] }> {
  const rows = await Promise.all(ids.map((id) => deps.store.orders.supplyOrder(supplier, id)));
  const turn = pLimit(AT_ONCE);
  const budget = { bytes: HANDED_IN_BYTES };
  const outcomes = await Promise.all(rows.map((row) => turn(() => labelOf(deps, row, budget).catch(outcomeOf))));
  const labels = outcomes.flatMap((outcome) => ('label' in outcome ? [outcome.label] : []));
  const problems = outcomes.flatMap((outcome, index) =>
    'label' in outcome ? [] : [{ ...outcome, index, supplyOrder: ids[index] ?? '' }],
  );
  if (labels.length === 0)
    throw new HubError('labels_unavailable', problems.map(({ reason }) => reason).join('; '), {
      errors: problems.map(({ index, code, reason }) => ({ pointer: `/supplyOrders/${index}`, code, detail: reason })),
    });
  return { pdf: await joinLabels(labels, problems), missing: problems };
}

/** One at a time: a PDF is read in memory. */
const readTurn = pLimit(1);

/**
 * Takes a label that a distributor hands in. 404; 409 `label_not_taken`, `invalid_transition`; 422 `label_unreadable`.
 * The file was received already; it is dropped by the caller's request unless it is taken.
 */
export async function takeLabel(
  deps: LabelDeps,
  account: string,
  of: { readonly order: string; readonly package: string },
  file: string,
): Promise<PackageDoc> {
  const { files, orders } = deps.store;
  await orders.labels.check(account, of.order, of.package);
  const stored = await files.open(account, file);
  const pages = await readTurn(async () => pagesOf(await readBytes(stored, 0, stored.size)));
  if (pages === 0) throw new HubError('label_unreadable', 'It is no PDF, is damaged, or wants a password');
  if (pages > PAGES_MOST)
    throw new HubError('label_unreadable', `It has ${pages} pages; a label has at most ${PAGES_MOST}`);
  return orders.labels.handIn(account, of.order, of.package, { file, bytes: stored.size, pages });
}
