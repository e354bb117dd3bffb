/** Temporal's native part in a process of tests. */
import { DefaultLogger, Runtime } from '@temporalio/worker';

const INSTALLED = Symbol.for('tradelane.installed');

/**
 * Makes it quiet: its warnings are what these tests provoke (killed workers, histories that don't replay), and a failed
 * test is not to be looked for between them. Once in a process: test files share the SDK, and it is built again with the
 * same options when idle.
 */
export function installRuntime(): void {
  const here = Runtime as typeof Runtime & { [INSTALLED]?: true };
  if (here[INSTALLED]) return;
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
    shutdownSignals: [],
  });
  here[INSTALLED] = true;
}
