/**
 * The sandbox as a process. Settings: one JSON object as the first argument (`SandboxOptions`), or the environment:
 * SANDBOX_PORT, SANDBOX_HOST, SANDBOX_STATE_FILE, SANDBOX_CALLBACK_BASE_URL, SHOPEE_PARTNER_ID, SHOPEE_PARTNER_KEY,
 * LAZADA_APP_KEY, LAZADA_APP_SECRET. Prints one JSON line `{"event":"ready","url":…,"port":…}` when it listens.
 */
import { z } from 'zod';
import { startSandbox } from './marketplaces';

const settingsSchema = z.strictObject({
  port: z.coerce.number().int().min(0).max(65_535),
  host: z.string().min(1).optional(),
  stateFile: z.string().min(1).optional(),
  callbackBaseUrl: z.url().optional(),
  shopee: z.strictObject({ partnerId: z.coerce.string().min(1), partnerKey: z.string().min(1) }),
  lazada: z.strictObject({ appKey: z.string().min(1), appSecret: z.string().min(1) }),
});

function readSettings(argument: string | undefined, env: NodeJS.ProcessEnv) {
  if (argument !== undefined) return settingsSchema.parse(JSON.parse(argument));
  return settingsSchema.parse({
    port: env.SANDBOX_PORT ?? '0',
    host: env.SANDBOX_HOST,
    stateFile: env.SANDBOX_STATE_FILE,
    callbackBaseUrl: env.SANDBOX_CALLBACK_BASE_URL,
    shopee: { partnerId: env.SHOPEE_PARTNER_ID, partnerKey: env.SHOPEE_PARTNER_KEY },
    lazada: { appKey: env.LAZADA_APP_KEY, appSecret: env.LAZADA_APP_SECRET },
  });
}

async function main(): Promise<void> {
  const sandbox = await startSandbox(readSettings(process.argv[2], process.env));
  process.stdout.write(`${JSON.stringify({ event: 'ready', url: sandbox.url, port: sandbox.port })}\n`);
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    sandbox.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`Sandbox did not stop cleanly: ${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

main().catch((error: unknown) => {
  const detail = error instanceof z.ZodError ? z.prettifyError(error) : String((error as Error)?.message ?? error);
  process.stderr.write(`Sandbox did not start: ${detail}\n`);
  process.exit(1);
});
