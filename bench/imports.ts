/** 100,000 SKUs in, changed, out and undone, over HTTP, with API and worker as processes of their own. */
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { MEDIA_TYPES, writeTable } from '../connectors/files/table';
import { freePortNear } from '../sandbox/engines';
import { eventually, startHub } from '../test/support/hub';
import { memoryOf, partEnvironment, startPart } from './parts';
import { figure, type Section, seconds } from './report';

const SKUS = 100_000;
const SECONDS_MOST = 60;
const MEGABYTES_MOST = 300;

type Format = keyof typeof MEDIA_TYPES;

/**
 * What V8 may hold of objects, in MB; small pieces and few arenas for the rest. Without limits memory is given back as late
 * as the machine allows, which says nothing of what is needed.
 */
const HEAP_MEGABYTES = 128;
const HEAP_OPTIONS = [`--max-old-space-size=${HEAP_MEGABYTES}`, '--max-semi-space-size=4'];

async function fileOf(format: Format, name: string): Promise<Buffer> {
  async function* rows() {
    for (let at = 0; at < SKUS; at += 1) yield [`SKU-${at}`, `${name} ${at}`, 'single', '', ''];
  }
  const pieces: Buffer[] = [];
  for await (const piece of writeTable('skus', format, rows())) pieces.push(piece);
  return Buffer.concat(pieces);
}

export async function imports(): Promise<Section> {
  const port = await freePortNear(18_090);
  const url = `http://127.0.0.1:${port}`;
  const hub = await startHub({ withoutWorker: true });
  const env = { ...partEnvironment(hub, port), MALLOC_ARENA_MAX: '2' };
  const worker = startPart('worker/main.ts', env, HEAP_OPTIONS);
  const server = startPart('api/server.ts', env, HEAP_OPTIONS);
  try {
    await eventually(async () => {
      if (!(await fetch(`${url}/readyz`)).ok) throw new Error('not ready');
    }, 60_000);
    const { account, key: apiKey } = await hub.store.accounts.create({ name: 'Bench', plan: 'v2', orderQuota: null });
    await hub.store.accounts.change(account._id, { inventoryEnabled: true });
    const headers = { Authorization: `Bearer ${apiKey}` };

    const ended = async (operation: string) => {
      const { status, progress, error } = await hub.store.operations.get(account._id, operation);
      if (status !== 'done') throw new Error(`${status} ${JSON.stringify(progress)} ${error?.detail}`);
    };
    const post = async (path: string, body?: Buffer, format: Format = 'csv'): Promise<string> => {
      const response = await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { ...headers, 'Content-Type': MEDIA_TYPES[format], 'Idempotency-Key': randomUUID() },
        ...(body === undefined ? {} : { body: new Uint8Array(body) }),
      });
      const answer = (await response.json()) as { operation?: { id: string }; import: { id: string } };
      if (!answer.operation) throw new Error(JSON.stringify(answer));
      await eventually(() => ended(answer.operation?.id ?? ''), 300_000);
      return answer.import.id;
    };

    const csv = await fileOf('csv', 'First name');
    const xlsx = await fileOf('xlsx', 'Other name');
    const idle = memoryOf(worker, 'VmRSS');
    const made = await seconds(() => post('/v1/skus/import', csv));
    let changing = '';
    const changed = await seconds(async () => {
      changing = await post('/v1/skus/import', xlsx, 'xlsx');
    });
    let bytes = 0;
    const out = await seconds(async () => {
      const response = await fetch(`${url}/v1/skus/export?format=xlsx`, { headers });
      for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) bytes += piece.length;
    });
    const undone = await seconds(() => post(`/v1/imports/${changing}/undo`));
    const memory = (part: ChildProcess) => `${figure(memoryOf(part, 'VmHWM'), 0)} MB`;
    return {
      title: `Imports and exports, ${SKUS.toLocaleString('en')} SKUs`,
      how: `One file over HTTP, from its first byte to the end of the import’s workflow; API and worker are processes of their own (a heap of ${HEAP_MEGABYTES} MB, semi-spaces of 4 MB, MALLOC_ARENA_MAX=2) with their most memory over the whole run (the worker’s idle figure is Node, the SDK and the workflow bundle).`,
      rows: [
        { what: 'import, CSV: new SKUs', value: `${figure(made)} s`, aim: `< ${SECONDS_MOST} s` },
        { what: 'import, XLSX: new names', value: `${figure(changed)} s`, aim: `< ${SECONDS_MOST} s` },
        { what: `export, XLSX (${figure(bytes / 1e6)} MB)`, value: `${figure(out)} s` },
        { what: 'undo of the new names', value: `${figure(undone)} s` },
        { what: 'worker, most memory', value: memory(worker), aim: `< ${MEGABYTES_MOST} MB` },
        { what: 'worker, before', value: `${figure(idle, 0)} MB` },
        { what: 'API, most memory', value: memory(server), aim: `< ${MEGABYTES_MOST} MB` },
      ],
    };
  } finally {
    const ends = [worker, server].map((part) => new Promise((end) => part.once('exit', end)));
    for (const part of [worker, server]) part.kill('SIGTERM');
    await Promise.all(ends);
    await hub.stop();
  }
}
