/** How pushes begin: for one order over HTTP, for many by a bulk operation. The transaction is the workflow's. */
import { HubError, isHubError } from '../domain/failures';
import { BLOCKER_HINTS } from '../domain/orders';
import type { OrderLine, PackageDoc } from '../store/models/documents';
import type { PushStart } from '../store/repositories/orders';
import type { ActivityDeps } from './deps';

export type BlockedPush = Extract<PushStart, { kind: 'blocked' }>;
export type BegunPush = Exclude<PushStart, BlockedPush>;

/** A package that is not to be pushed any more: recalled, cancelled or gone. */
export interface RefusedPush {
  readonly package: string;
  readonly code: string;
  readonly detail: string;
}

export interface PushStarts {
  /**
   * Begins or resumes the push of every package of an order that has a supplier; what is pushed or running stays as it is, and
   * one that is not to be pushed any more keeps no other from it.
   * 404; 409 `push_blocked` where a line has no mapping, `not_pushable` where no package is to be pushed.
   * @param by who decides about what is parked
   * @param only one package of it alone
   */
  begin(
    account: string,
    order: string,
    by: string,
    only?: string,
  ): Promise<{ begun: BegunPush[]; blocked: BlockedPush[]; refused: RefusedPush[] }>;
}

/** What holds a whole order back, before it has packages. */
export const unmappedBlockers = (lines: readonly OrderLine[]) =>
  lines.flatMap(({ line, unmappedReason }) =>
    unmappedReason === null
      ? []
      : [
          {
            code: 'sku_not_mapped' as const,
            line,
            detail: `Line ${line} has no mapping: ${unmappedReason}`,
            hint: BLOCKER_HINTS.sku_not_mapped,
          },
        ],
  );

/** The blockers of all packages, each with its package. */
export const blockersOf = (blocked: readonly Pick<BlockedPush, 'package' | 'blockers'>[]) =>
  blocked.flatMap(({ package: pkg, blockers }) => blockers.map((one) => ({ ...one, package: pkg })));

/** 409 with every blocker. */
export function blockedError(blocked: readonly BlockedPush[]): HubError {
  const blockers = blockersOf(blocked);
  return new HubError('push_blocked', blockers.map(({ detail }) => detail).join('; '), { members: { blockers } });
}

/** @param startLater what to do with a start that Temporal can't take now: the sweep does it */
export function createPushStarts(
  { store, processes }: Pick<ActivityDeps, 'store' | 'processes'>,
  startLater: (start: () => Promise<void>) => Promise<void>,
): PushStarts {
  async function beginPackage(account: string, { _id }: PackageDoc, by: string): Promise<PushStart> {
    const start = await store.orders.beginPush(account, _id);
    if (start.kind === 'started' || start.kind === 'running') {
      const { package: pkg, attempt, supplier } = start;
      await startLater(() => processes.startOrderPush({ account, package: pkg, attempt, supplier }));
    }
    if (start.kind === 'parked')
      await processes.decide(start.workflowId, 'retry', by).catch((error: unknown) => {
        // Somebody decided just now, or its workflow is gone and the sweep brings it back: it goes on either way.
        if (!isHubError(error) || error.code !== 'operation_not_parked') throw error;
      });
    return start;
  }

  return {
    async begin(account, id, by, only) {
      const { order, packages } = await store.orders.get(account, id);
      const unmapped = unmappedBlockers(order.lines);
      if (packages.length === 0 && unmapped.length > 0)
        throw new HubError('push_blocked', 'Some lines have no mapping', { members: { blockers: unmapped } });
      const wanted = only === undefined ? packages : packages.filter(({ _id }) => _id === only);
      if (only !== undefined && wanted.length === 0)
        throw new HubError('not_found', `The order has no package ${only}`);
      const pushable = wanted.filter(({ partnership }) => partnership !== null);
      if (pushable.length === 0) {
        const own = only === undefined ? 'The order holds' : 'The package holds';
        throw new HubError(
          'not_pushable',
          packages.length === 0 ? `The order is ${order.state}` : `${own} the account’s own goods alone`,
        );
      }
      const starts: PushStart[] = [];
      const refusals: { package: string; error: HubError }[] = [];
      for (const pkg of pushable)
        try {
          starts.push(await beginPackage(account, pkg, by));
        } catch (error) {
          if (!isHubError(error) || error.code !== 'not_pushable') throw error;
          refusals.push({ package: pkg._id, error });
        }
      const [first] = refusals;
      if (starts.length === 0 && first) throw first.error;
      return {
        refused: refusals.map(({ package: pkg, error: { code, detail } }) => ({ package: pkg, code, detail })),
        begun: starts.filter((start): start is BegunPush => start.kind !== 'blocked'),
        blocked: starts.filter((start): start is BlockedPush => start.kind === 'blocked'),
      };
    },
  };
}
