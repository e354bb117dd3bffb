/** Temporal's native part in a process of tests. */
import { DefaultLogger, Runtime } from '@temporalio/worker';

const INSTALLED = Symbol.for('tradelane.installed');

/** Makes it quiet. Once in a process: test files share the SDK, and it is built again with the same options when idle. */
export function installRuntime(): void {
  const here = Runtime as typeof Runtime & { [INSTALLED]?: true };
  if (here[INSTALLED]) return;
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
  here[INSTALLED] = true;
}
