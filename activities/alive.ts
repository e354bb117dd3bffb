/** Long steps tell the server that they live, so that those of a worker that died are soon run elsewhere. */
import { HEARTBEAT_MS } from '../config/timeouts';

/**
 * Reports all the while the work runs. By the clock and not by progress: one call to a platform that hangs may take as
 * long as a report may be missing, and a step that is taken for dead while it lives would run twice at once.
 */
export async function whileAlive<T>(
  heartbeat: () => void,
  work: () => Promise<T>,
  everyMs = HEARTBEAT_MS / 4,
): Promise<T> {
  heartbeat();
  const beat = setInterval(heartbeat, everyMs);
  try {
    return await work();
  } finally {
    clearInterval(beat);
  }
}
