/** The steps of a verification of the books. Each may run twice: what it finds and books has an id of its own. */
import { IMPORT_HEARTBEAT_MS } from '../config/timeouts';
import { capabilitiesIn } from '../connectors';
import type { FailureCode } from '../domain/failures';
import { billingVerificationId } from '../domain/process-ids';
import type { Check } from '../store/repositories/verification';
import type { FailureWords } from '../workflows/failures';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';

interface Input {
  readonly verification: string;
}

export function createVerificationActivities({ store, connectors, heartbeat }: ActivityDeps) {
  const { verification: books, operations } = store;
  const alive = <T>(work: () => Promise<T>): Promise<T> => whileAlive(heartbeat, work, IMPORT_HEARTBEAT_MS / 5);

  return {
    /** Runs one check to its end. @returns how many documents it looked at */
    runVerificationCheck: ({
      verification,
      check,
      before,
    }: Input & { check: string; before: number }): Promise<number> =>
      alive(async () => {
        let told = Date.now();
        const tell = (count: number) => {
          if (Date.now() - told < 1_000) return;
          told = Date.now();
          const done = before + count;
          void operations
            .progress(billingVerificationId(verification), { done, failed: 0, total: done + 1 })
            .catch(() => {});
        };
        return books.run(verification, check as Check, tell, capabilitiesIn(connectors));
      }),

    planVerification: ({ verification }: Input): Promise<void> => alive(() => books.plan(verification)),
    repairVerification: ({ verification }: Input): Promise<number> => alive(() => books.repair(verification, () => {})),

    async endVerification(
      input: Input & { status: 'done' | 'failed' | 'abandoned'; failure?: { code: string; detail: string } },
    ): Promise<void> {
      await books.end(input.verification, input.status, input.failure);
    },

    async parkVerification(input: Input & FailureWords): Promise<void> {
      const error = { code: input.code as FailureCode, detail: input.detail };
      await operations.end(null, billingVerificationId(input.verification), 'parked', { error });
    },
    async resumeVerification({ verification }: Input): Promise<void> {
      const { account } = await books.byId(verification);
      await operations.begin(null, {
        workflowId: billingVerificationId(verification),
        kind: 'billing_verification',
        accounts: account === null ? [] : [account],
        document: verification,
      });
    },
  };
}
