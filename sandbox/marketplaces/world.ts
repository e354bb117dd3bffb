/** What the two marketplaces share: state, faults, calls, and how one request is served under the faults of the day. */
import { randomBytes } from 'node:crypto';
import type { Request, Response } from 'express';
import type { ReceivedCall, ReceivedCalls } from './calls';
import type { Faults } from './faults';
import type { SandboxRates } from './rates';
import type { SandboxPlatform, SandboxStore } from './state';

export interface SandboxKeys {
  readonly shopee: { readonly partnerId: string; readonly partnerKey: string };
  readonly lazada: { readonly appKey: string; readonly appSecret: string };
}

export interface World {
  readonly store: SandboxStore;
  readonly faults: Faults;
  readonly calls: ReceivedCalls;
  readonly rates: SandboxRates;
  readonly keys: SandboxKeys;
  readonly now: () => number;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

export interface VendorRequest {
  readonly method: string;
  /** As the vendor signs it. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly call: ReceivedCall;
}

export interface VendorAnswer {
  readonly status: number;
  readonly body: unknown;
  /** The platform's code, for the list of calls. */
  readonly code: string;
  /** A PDF, sent instead of the body. */
  readonly document?: Buffer;
}

export interface Vendor {
  readonly platform: SandboxPlatform;
  /** Whom the call is for, before anything is checked: faults choose by it. */
  shopOf(request: VendorRequest): string | null;
  answer(request: VendorRequest): VendorAnswer;
  throttled(): VendorAnswer;
  broken(): VendorAnswer;
}

/** Serves one API call. */
export async function serve(world: World, vendor: Vendor, path: string, req: Request, res: Response): Promise<void> {
  const { platform } = vendor;
  const call = world.calls.begin(platform, req.method, path);
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
  const query = new URL(req.originalUrl, 'http://sandbox').searchParams;
  const request: VendorRequest = { method: req.method, path, query, body, call };
  call.shopId = vendor.shopOf(request);
  const target = { shopId: call.shopId, path };
  const take = (kind: Parameters<Faults['take']>[1]) => {
    const fault = world.faults.take(platform, kind, target);
    if (fault) call.fault = kind;
    return fault;
  };
  if (take('down')) return cut(req);
  const hang = take('hang');
  if (hang) return hold(req, res, hang.delayMs);
  const slow = take('slow');
  if (slow) await new Promise((resolve) => setTimeout(resolve, slow.delayMs ?? 1000));
  const throttle = take('throttle');
  if (throttle) {
    res.setHeader('Retry-After', String(throttle.retryAfterS ?? 1));
    return send(res, call, vendor.throttled());
  }
  if (take('error500')) return send(res, call, vendor.broken());
  if (take('garbage')) {
    call.status = 200;
    res.status(200).type('application/json').end('{"error":"","response":{"success_li');
    return;
  }
  const answer = vendor.answer(request);
  world.store.changed();
  if (take('lost_answer')) return cut(req);
  send(res, call, answer);
}

function cut(req: Request): void {
  req.socket.destroy();
}

function hold(req: Request, res: Response, delayMs: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = delayMs === undefined ? null : setTimeout(() => cut(req), delayMs);
    res.on('close', () => {
      if (timer) clearTimeout(timer);
      resolve();
    });
  });
}

function send(res: Response, call: ReceivedCall, answer: VendorAnswer): void {
  call.answeredAt = Date.now();
  call.status = answer.status;
  call.code = answer.code;
  if (answer.document) return void res.status(answer.status).type('application/pdf').end(answer.document);
  res.status(answer.status).type('application/json').end(toVendorJson(answer.body));
}

export function requestId(): string {
  return randomBytes(16).toString('hex');
}

const INTEGER_MARK = '#integer:';

/** An id that goes out as a JSON number with all its digits, however many. */
export function integer(id: string): string {
  return `${INTEGER_MARK}${id}`;
}

/** JSON whose marked ids are numbers. */
export function toVendorJson(body: unknown): string {
  return JSON.stringify(body).replace(/"#integer:(-?\d+)"/g, '$1');
}
