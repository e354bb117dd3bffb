/** A process for the tests: takes a data folder, or starts engines on it, says so, and waits to be killed. */
import { startEngines, takeDataFolder } from '../../sandbox/engines';

async function main(): Promise<void> {
  const [what, dataDir = ''] = process.argv.slice(2);
  if (what === 'lock') {
    await takeDataFolder(dataDir);
    console.log('{}');
  } else {
    const engines = await startEngines({ dataDir, persistent: true, given: {} });
    console.log(JSON.stringify({ temporal: engines.temporal?.pid, mongo: engines.mongo?.pid, uri: engines.mongoUri }));
  }
  setInterval(() => {}, 60_000);
}

void main();
