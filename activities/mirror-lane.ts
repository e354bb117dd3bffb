/** One pass of a partnership's mirror. */
import type { ActivityDeps } from './deps';

export function createMirrorLaneActivities({ store, processes }: ActivityDeps) {
  return {
    /** Brings what is due into the distributor's warehouses and wakes the lanes of their stores. */
    async mirrorDue(input: { partnership: string }): Promise<{ more: boolean }> {
      const { more, lanes } = await store.mirror.pass(input.partnership);
      processes.wakeLanes(lanes);
      return { more };
    },
  };
}
