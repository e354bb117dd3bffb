/**
 * Decodes payloads for the Temporal Web UI, for operators on this machine only: off unless a port is configured, on
 * loopback, behind a key. The UI posts to `/decode` with `Authorization: Bearer <key>` (or `?key=` in the endpoint's address).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Server } from 'node:http';
import type { Payload, PayloadCodec } from '@temporalio/common';
import express from 'express';
import { z } from 'zod';

const bodySchema = z.object({
  payloads: z.array(z.object({ metadata: z.record(z.string(), z.string()).optional(), data: z.string().optional() })),
});

export interface CodecServer {
  readonly port: number;
  close(): Promise<void>;
}

/** @returns null where no port or key is configured: then there is no such endpoint */
export async function startCodecServer(
  settings: { port: number; key?: string | undefined },
  codec: PayloadCodec,
): Promise<CodecServer | null> {
  const { key } = settings;
  if (settings.port === 0 || key === undefined) return null;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const app = express().disable('x-powered-by');
  app.use((request, response, next) => {
    // The Web UI runs on another port of this machine: a page of any other host may not read the answers.
    const { origin } = request.headers;
    if (origin !== undefined && /^http:\/\/(127\.0\.0\.1|localhost)(:\d+)?$/.test(origin)) {
      response.set({
        'Access-Control-Allow-Origin': origin,
        'Access-Control-Allow-Methods': 'POST, OPTIONS',
        'Access-Control-Allow-Headers': 'authorization, content-type, x-namespace',
        Vary: 'Origin',
      });
    }
    if (request.method === 'OPTIONS') {
      response.status(204).end();
      return;
    }
    const given =
      request.headers.authorization?.replace(/^Bearer /, '') ??
      (typeof request.query.key === 'string' ? request.query.key : '');
    if (timingSafeEqual(digest(given), digest(key))) next();
    else response.status(401).json({ code: 'unauthenticated' });
  });
  app.post('/decode', express.json({ limit: '8mb' }), async (request, response) => {
    const body = bodySchema.safeParse(request.body);
    if (!body.success) {
      response.status(422).json({ code: 'invalid_input' });
      return;
    }
    const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));
    const text = (value: Uint8Array | null | undefined) => Buffer.from(value ?? []).toString('base64');
    const payloads: Payload[] = body.data.payloads.map(({ metadata, data }) => ({
      metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, bytes(value)])),
      data: bytes(data ?? ''),
    }));
    try {
      const decoded = await codec.decode(payloads);
      response.json({
        payloads: decoded.map(({ metadata, data }) => ({
          metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, text(value)])),
          data: text(data),
        })),
      });
    } catch {
      response.status(422).json({ code: 'invalid_input' });
    }
  });
  const server = await new Promise<Server>((resolve, reject) => {
    const listening = app.listen(settings.port, '127.0.0.1', (error?: Error) =>
      error ? reject(error) : resolve(listening),
    );
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : settings.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
