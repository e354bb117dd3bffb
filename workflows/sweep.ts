import { sweeping } from './proxies';

/**
 * One pass over what is open and has no running workflow: it gets one again. Contract: architecture.md, Processes.
 * Started by a Schedule; never two at once. What it fails to do, the next pass does.
 */
export async function sweep(): Promise<void> {
  await sweeping.sweepOnce();
}
