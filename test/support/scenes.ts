/** Scenes for tests that kill a worker: made beside each other, brought to rest, and the points at which it dies. */
import pLimit from 'p-limit';
import { eventually, type Hub } from './hub';
import type { KillPoint, StepTold } from './kill-points';

/**
 * Scenes at rest whose processes were ended, so that what follows starts them anew, on another queue.
 * @param processesOf workflow ids that belong to a scene
 */
export async function scenesAtRest<S>(
  hub: Hub,
  count: number,
  make: () => Promise<S>,
  processesOf: (scene: S) => readonly string[],
): Promise<S[]> {
  const turn = pLimit(4);
  const scenes = await Promise.all(Array.from({ length: count }, () => turn(make)));
  await hub.processes.flush();
  await eventually(async () => expect(await hub.store.database.models.dues.countDocuments()).toBe(0));
  await Promise.all(
    scenes.flatMap(processesOf).map((id) =>
      hub.client.workflow
        .getHandle(id)
        .terminate()
        .catch(() => {}),
    ),
  );
  return scenes;
}

/** After each step; before it is after the one before. */
export function everyPoint(steps: readonly StepTold[]): KillPoint[] {
  return steps.map(({ step }) => ({ step, when: 'after' }));
}
