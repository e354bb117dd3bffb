/** Real receivers of notifications on loopback: a mail server, and an endpoint that answers as it is told. */
import { readFileSync } from 'node:fs';
import http, { type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';

const certificate = (kind: 'key' | 'crt') => readFileSync(join(__dirname, 'certificates', `localhost.${kind}`), 'utf8');
/** Self-signed, for `localhost` and 127.0.0.1: it is its own authority. */
export const TEST_AUTHORITY = certificate('crt');

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  /** Headers and body as they came. */
  readonly text: string;
  readonly id: string;
}

export interface MailServer {
  readonly url: string;
  readonly mails: Mail[];
  /** The code with which recipients are refused; null takes them. */
  refuseWith: number | null;
  /** Takes the mail, and then never says so. */
  silent: boolean;
  close(): Promise<void>;
}

export async function startMailServer(): Promise<MailServer> {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    closeTimeout: 100,
    onRcptTo(_address, _session, callback) {
      if (self.refuseWith === null) return callback();
      callback(Object.assign(new Error('refused: see the secret list'), { responseCode: self.refuseWith }));
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const { mailFrom, rcptTo } = session.envelope;
        self.mails.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          text,
          id: /^Message-ID: (.*)\r$/im.exec(text)?.[1] ?? '',
        });
        if (!self.silent) callback();
      });
    },
  });
  server.on('error', () => {}); // A client that was killed.
  const { port } = await new Promise<AddressInfo>((resolve) => {
    const listening = server.listen(0, '127.0.0.1', () => resolve(listening.address() as AddressInfo));
  });
  const self: MailServer = {
    url: `smtp://127.0.0.1:${port}`,
    mails: [],
    refuseWith: null,
    silent: false,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return self;
}

export interface Call {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly at: number;
}

export type Reply = (response: ServerResponse, call: Call) => void;

export interface Receiver {
  readonly port: number;
  readonly url: string;
  readonly calls: Call[];
  /** Connections made, also those that came to no call. */
  connections: number;
  reply: Reply;
  close(): Promise<void>;
}

export const replyWith =
  (status: number, headers: Record<string, string> = {}, body = ''): Reply =>
  (response) =>
    void response.writeHead(status, headers).end(body);

/** `port`: that of one before, to come back on. */
export async function startReceiver(options: { tls?: boolean; port?: number } = {}): Promise<Receiver> {
  const server = options.tls
    ? https.createServer({ key: certificate('key'), cert: certificate('crt') })
    : http.createServer();
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    self.connections += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('request', (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const call = {
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
        at: Date.now(),
      };
      self.calls.push(call);
      self.reply(response, call);
    });
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const self: Receiver = {
    port,
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    calls: [],
    connections: 0,
    reply: replyWith(204),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return self;
}
