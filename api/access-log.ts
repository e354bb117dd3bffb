/** One log line and one measurement per request: no body, no query string, no header. */
import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';
import { localsOf } from './dispatch';
import type { Hub } from './hub';

/** Gives each request an id (the caller's, where it is a usable one) that comes back as X-Request-Id. */
export const requestIds: RequestHandler = (request, response, next) => {
  const given = request.get('x-request-id');
  const requestId = given !== undefined && /^[\w.:-]{1,100}$/.test(given) ? given : randomUUID();
  localsOf(response).requestId = requestId;
  response.set('X-Request-Id', requestId);
  next();
};

/** Logs and measures when the answer is out, or its receiver gone. */
export function createAccessLog(hub: Pick<Hub, 'logger' | 'metrics'>): RequestHandler {
  return (request, response, next) => {
    const startedAt = process.hrtime.bigint();
    response.once('close', () => {
      const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9;
      const { requestId, identity, route = 'unmatched' } = localsOf(response);
      const status = response.writableFinished ? response.statusCode : 499;
      hub.metrics.httpDuration.observe({ method: request.method, route, status: String(status) }, seconds);
      hub.logger.info('Request', {
        requestId,
        method: request.method,
        route,
        status,
        durationMs: Math.round(seconds * 1000),
        ...(identity?.kind === 'account' ? { account: identity.caller.account, caller: identity.caller.key } : {}),
      });
    });
    next();
  };
}
