/** Runs once after all tests. */
import { endTestRun } from './global-setup';

export default async function globalTeardown(): Promise<void> {
  await endTestRun();
}
