import { defaultPayloadConverter } from '@temporalio/common';
import { type CodecServer, startCodecServer } from '../../worker/codec-server';
import { createPayloadCodec } from '../../workflows/encoding';

const KEY = 'a-key-of-the-codec-endpoint';
const codec = createPayloadCodec([{ id: 'now', key: Buffer.alloc(32, 1) }]);

describe('the decode endpoint for the Temporal UI', () => {
  let server: CodecServer | null;
  let url: string;
  const encoded = async (value: unknown, with_ = codec) => {
    const [payload] = await with_.encode([defaultPayloadConverter.toPayload(value) ?? {}]);
    const text = (bytes: Uint8Array | null | undefined) => Buffer.from(bytes ?? []).toString('base64');
    return {
      metadata: Object.fromEntries(Object.entries(payload?.metadata ?? {}).map(([name, bytes]) => [name, text(bytes)])),
      data: text(payload?.data),
    };
  };
  const decode = (payloads: unknown, headers: Record<string, string> = { authorization: `Bearer ${KEY}` }) =>
    fetch(`${url}/decode`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ payloads }),
    });

  beforeAll(async () => {
    server = await startCodecServer({ port: await freePort(), key: KEY }, codec);
    url = `http://127.0.0.1:${server?.port}`;
  });
  afterAll(() => server?.close());

  test('is off without a port, and without a key', async () => {
    expect(await startCodecServer({ port: 0, key: KEY }, codec)).toBeNull();
    expect(await startCodecServer({ port: 1 }, codec)).toBeNull();
  });

  test('shows what was encrypted to who has the key', async () => {
    const payload = await encoded({ package: 'pkg_1' });
    expect(Buffer.from(payload.data, 'base64').toString()).not.toContain('pkg_1');
    const answer = (await (await decode([payload])).json()) as { payloads: { data: string }[] };
    expect(JSON.parse(Buffer.from(answer.payloads[0]?.data ?? '', 'base64').toString())).toEqual({ package: 'pkg_1' });
  });

  test('shows nothing to who has not', async () => {
    expect((await decode([await encoded(1)], {})).status).toBe(401);
    expect((await decode([await encoded(1)], { authorization: 'Bearer another' })).status).toBe(401);
  });

  test('lets only pages of this machine read its answers', async () => {
    const from = async (origin: string) =>
      (await fetch(`${url}/decode`, { method: 'OPTIONS', headers: { origin } })).headers.get(
        'access-control-allow-origin',
      );
    expect(await from('http://127.0.0.1:8233')).toBe('http://127.0.0.1:8233');
    expect(await from('http://127.0.0.1.example.com')).toBeNull();
  });

  test('refuses garbage and payloads of an unknown key', async () => {
    expect((await decode('nonsense')).status).toBe(422);
    const other = createPayloadCodec([{ id: 'gone', key: Buffer.alloc(32, 2) }]);
    expect((await decode([await encoded(1, other)])).status).toBe(422);
  });

  test('an old key still opens what it sealed after a rotation, and a changed bit opens nothing', async () => {
    const rotated = createPayloadCodec([
      { id: 'next', key: Buffer.alloc(32, 3) },
      { id: 'now', key: Buffer.alloc(32, 1) },
    ]);
    const [sealed] = await codec.encode([defaultPayloadConverter.toPayload('hello') ?? {}]);
    const [opened] = await rotated.decode([sealed ?? {}]);
    expect(Buffer.from(opened?.data ?? []).toString()).toBe('"hello"');
    const bent = { ...sealed, data: Buffer.from(sealed?.data ?? []) };
    bent.data[bent.data.length - 1] = (bent.data.at(-1) ?? 0) ^ 1;
    await expect(codec.decode([bent])).rejects.toThrow();
  });
});

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
