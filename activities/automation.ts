/**
 * Doing what orders are to have done to them by themselves: pushes, and the moves of supply orders. Told after the commit that made
 * it due, and found again by the sweep. Contract: orders.md, Automation.
 */
import pLimit from 'p-limit';
import type { Logger } from '../config/logger';
import { isHubError } from '../domain/failures';
import type { Store } from '../store';
import type { AutomationDue } from '../store/repositories/automation';
import type { Processes } from '../workflows/client';

export interface AutomationDeps {
  readonly store: Pick<Store, 'orders' | 'automation'>;
  readonly processes: Processes;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Done at once in one process, and waiting to be: the rest is the sweep's. */
const AT_ONCE = 4;
const WAITING = 5_000;

/**
 * Begins the push of a package whose partnership has the switch on. Tried once: what a blocker holds back is `push_failed` with
 * its blockers, and is not tried again by itself.
 */
async function autoPush({ store, processes }: AutomationDeps, account: string, pkg: string): Promise<void> {
  if (await store.orders.automation.isToPush(pkg)) {
    // Whoever asked may yet be told no: then it is pushed after all.
    if (await store.orders.automation.waitsForCancellation(pkg)) return;
    try {
      const start = await store.orders.beginPush(account, pkg);
      // From here on the sweep knows the push itself.
      if (start.kind === 'started')
        await processes.startOrderPush({ account, package: pkg, attempt: start.attempt, supplier: start.supplier });
    } catch (error) {
      if (!isHubError(error) || error.retryable) throw error;
      if (await store.orders.automation.waitsForCancellation(pkg)) return;
      // Cancelled or recalled meanwhile: there is nothing to push any more.
    }
  }
  await store.orders.automation.pushTried(pkg);
}

async function autoMove({ store, processes }: AutomationDeps, id: string): Promise<void> {
  const result = await store.orders.automation.advance(id);
  if (result.outcome !== 'moved') return;
  const { supplyOrder, recallToEnd, toTell } = result.moved;
  if (recallToEnd !== null) processes.settleRecall(recallToEnd);
  if (toTell) await processes.startSupplyOrder({ account: supplyOrder.distributor, package: supplyOrder.package });
}

/** Does one thing that is due. Safe to repeat; throws what is worth another try. */
export function runAutomation(deps: AutomationDeps, due: AutomationDue): Promise<void> {
  return due.kind === 'push' ? autoPush(deps, due.account, due.package) : autoMove(deps, due.supplyOrder);
}

/** Does by itself whatever becomes due in this process's transactions; what fails is left to the sweep. */
export function startAutomation(deps: AutomationDeps): void {
  const turn = pLimit(AT_ONCE);
  const work = async (due: AutomationDue) => {
    try {
      await runAutomation(deps, due);
    } catch (error) {
      deps.logger.warn('left to the sweep', {
        what: `automation: ${due.kind}`,
        error: error instanceof Error ? error.message : 'unknown',
      });
    }
  };
  deps.store.automation.onDue((due) => {
    if (turn.pendingCount < WAITING) void turn(work, due);
  });
}
