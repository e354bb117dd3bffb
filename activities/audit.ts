/** Decisions that did not come through the API, for the audit log. */
import { operationIdOf } from '../domain/process-ids';
import type { ActivityDeps } from './deps';

export interface RecordedDecision {
  readonly workflowId: string;
  /** Drawn by the workflow, so that a repeat is told. */
  readonly id: string;
  readonly decision: 'retry' | 'abandon';
  /** Somebody at the Temporal UI, or the hub because nobody decided in time. */
  readonly actor: 'temporal_ui' | 'hub';
  /** What the person gave as their name; nobody checked it. */
  readonly by: string | null;
}

export function createAuditActivities({ store }: ActivityDeps) {
  return {
    /** Safe to repeat. */
    async recordDecision({ workflowId, id, decision, actor, by }: RecordedDecision): Promise<void> {
      const operation = await store.operations.ofWorkflow(workflowId);
      await store.audit.appendOnce({
        id: `decision/${id}`,
        at: store.database.now().getTime(),
        account: operation?.accounts[0] ?? null,
        actor: { kind: actor, id: null, name: by },
        action: `operations.${decision}`,
        route: `${actor === 'hub' ? 'TIMEOUT' : 'SIGNAL'} ${decision}`,
        objects: [operationIdOf(workflowId), ...(operation ? [operation.document] : [])],
        request: null,
        command: null,
        address: null,
        outcome: 'done',
        status: null,
        code: null,
        before: null,
        after: null,
      });
    },
  };
}
