/** Is the process alive, and can it work? */
import type { Hub } from '../hub';
import { route } from '../route';
import { z } from '../schemas/zod';

const CHECK_MS = 2_000;

const check = z.enum(['ok', 'down']);
const readiness = z.object({
  status: z.enum(['ready', 'not_ready']),
  checks: z.object({ mongo: check, temporal: check }),
});

async function answers(ping: () => Promise<void>): Promise<'ok' | 'down'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'down'>((resolve) => {
    timer = setTimeout(() => resolve('down'), CHECK_MS);
  });
  try {
    const ok = ping().then(
      () => 'ok' as const,
      () => 'down' as const,
    );
    return await Promise.race([ok, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function readinessOf({ store, processes }: Hub) {
  const [mongo, temporal] = await Promise.all([answers(() => store.database.ping()), answers(() => processes.ping())]);
  return { status: mongo === 'ok' && temporal === 'ok' ? 'ready' : 'not_ready', checks: { mongo, temporal } };
}

export const healthRoutes = [
  route({
    method: 'get',
    path: '/healthz',
    access: 'public',
    tag: 'health',
    summary: 'The process is alive',
    answers: { 200: z.object({ status: z.literal('ok') }) },
    handle: () => ({ status: 200, body: { status: 'ok' } }),
  }),
  route({
    method: 'get',
    path: '/readyz',
    access: 'public',
    tag: 'health',
    summary: 'MongoDB and Temporal can be reached',
    answers: { 200: readiness, 503: readiness },
    async handle(_request, hub) {
      const body = await readinessOf(hub);
      return body.status === 'ready' ? { status: 200, body } : { status: 503, body, headers: { 'Retry-After': '5' } };
    },
  }),
];
