/** The HTTP edge in a process of its own, which may end itself at a step. */
import { childSettings } from './children';
import { createKillSwitch, say } from './kill-points';
import { connectParts } from './parts';
import { serveApi } from './served-api';

async function main(): Promise<void> {
  const { place, kill } = childSettings();
  const parts = await connectParts(place);
  const killSwitch = createKillSwitch(kill);
  killSwitch.watchDatabase(parts.store.database.connection);
  killSwitch.watchTemporal(parts.client);
  const { port } = await serveApi(parts);
  say({ ready: { port } });
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
