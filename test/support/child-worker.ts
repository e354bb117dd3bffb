/** A worker in a process of its own, which may end itself at a step. */
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { childSettings } from './children';
import { createKillSwitch, say } from './kill-points';
import { connectParts, runWorker } from './parts';

async function main(): Promise<void> {
  const { place, kill } = childSettings();
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
  const parts = await connectParts(place);
  const killSwitch = createKillSwitch(kill);
  killSwitch.watchDatabase(parts.store.database.connection);
  killSwitch.watchTemporal(parts.client);
  for (const [platform, connector] of Object.entries(parts.connectors))
    if (connector) killSwitch.watchCalls(connector, platform, 'updateStock', 'shipOrder');
  killSwitch.watchCalls(parts.notifiers, 'notify', 'mail', 'call');
  const worker = await runWorker(place, parts);
  say({ ready: {} });
  await worker.running;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
