/**
 * `npm run bench`: what the hub costs, each figure with its baseline measured in the same run. Writes bench/README.md.
 * Engines are the embedded ones, durable as in `npm start`. Given names of benches (`npm run bench -- imports`) it runs
 * those and writes nothing.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { startEngines } from '../sandbox/engines';
import { createSteps } from '../scripts/steps.cjs';
import { ENVIRONMENT_FILE_VARIABLE } from '../test/support/environment';
import { bundleWorkflows } from '../worker/bundle';
import { changeToStore } from './change-to-store';
import { imports } from './imports';
import { laneWrites } from './lane-writes';
import { orderPushes } from './order-pushes';
import { recalls } from './recalls';
import type { Section } from './report';
import { stockPush } from './stock-push';
import { verify } from './verify';
import { webhooks } from './webhooks';

const BENCHES: Record<string, () => Promise<Section>> = {
  'order-pushes': orderPushes,
  recalls,
  'lane-writes': laneWrites,
  'stock-push': stockPush,
  webhooks,
  'change-to-store': changeToStore,
  imports,
  verify,
};

async function main(): Promise<void> {
  const only = process.argv.slice(2);
  const unknown = only.filter((name) => BENCHES[name] === undefined);
  if (unknown.length > 0)
    throw new Error(`There is no bench ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`);
  const folder = mkdtempSync(join(tmpdir(), 'tradelane-bench-'));
  const steps = createSteps(process.stderr);
  const engines = await startEngines({ dataDir: folder, persistent: false, durable: true, steps });
  try {
    const bundle = join(folder, 'workflows.js');
    writeFileSync(bundle, ((await bundleWorkflows(console)) as { code: string }).code);
    const file = join(folder, 'environment.json');
    writeFileSync(
      file,
      JSON.stringify({
        temporalAddress: engines.temporalAddress,
        temporalNamespace: 'default',
        mongoUri: engines.mongoUri,
        workflowBundlePath: bundle,
      }),
    );
    process.env[ENVIRONMENT_FILE_VARIABLE] = file;
    const sections: Section[] = [];
    for (const [name, run] of Object.entries(BENCHES)) {
      if (only.length > 0 && !only.includes(name)) continue;
      const section = await steps.step(name, run);
      sections.push(section);
      process.stdout.write(`${render(section)}\n`);
    }
    if (only.length === 0) writeFileSync(resolve(__dirname, 'README.md'), report(sections));
  } finally {
    await engines.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function render(section: Section): string {
  const rows = section.rows.map(({ what, value, aim }) => `| ${what} | ${value} | ${aim ?? ''} |`);
  return [
    `## ${section.title}`,
    '',
    section.how,
    '',
    '| what | measured | aim |',
    '| --- | --- | --- |',
    ...rows,
    '',
    ...(section.note ? [section.note, ''] : []),
  ].join('\n');
}

function report(sections: readonly Section[]): string {
  const [cpu] = cpus();
  return [
    '# Benches',
    '',
    '`npm run bench` writes this page. Machines are noisy: the ratios (each against a baseline measured in turn with it, in the',
    'same run on the same servers) and the counts say more than the absolute figures.',
    '',
    `Last run: ${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${cpu?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}.`,
    'Everything runs on the one machine: Temporal dev server, database (every commit synced), sandbox, worker and clients.',
    '',
    ...sections.map(render),
  ].join('\n');
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
