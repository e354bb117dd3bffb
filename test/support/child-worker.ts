/** A worker in a process of its own, which may end itself at a step. */
import { childSettings } from './children';
import { createKillSwitch, say } from './kill-points';
import { connectParts, runWorker } from './parts';
import { installRuntime } from './temporal-runtime';

async function main(): Promise<void> {
  const { place, kill } = childSettings();
  installRuntime();
  const parts = await connectParts(place);
  const killSwitch = createKillSwitch(kill);
  killSwitch.watchDatabase(parts.store.database.connection);
  killSwitch.watchTemporal(parts.client);
  for (const [platform, connector] of Object.entries(parts.connectors))
    if (connector) killSwitch.watchCalls(connector, platform, 'updateStock', 'setPreOrder', 'shipOrder');
  killSwitch.watchCalls(parts.notifiers, 'notify', 'mail', 'call');
  const worker = await runWorker(place, parts);
  say({ ready: {} });
  await worker.running;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
