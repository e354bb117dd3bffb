/** Bundles the workflows into the file named by the first argument. A process of its own: bundling takes 100 MB that are never given back. */
import { writeFileSync } from 'node:fs';
import { bundleWorkflows } from './bundle';

async function main(file: string): Promise<void> {
  const { code } = await bundleWorkflows({
    warn: (message) => process.stderr.write(`${message}\n`),
    error: (message) => process.stderr.write(`${message}\n`),
  });
  writeFileSync(file, code);
}

main(process.argv[2] ?? '').catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
