/** Requests per minute and key. Each API process counts by itself. */
import type { RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { HubError } from '../domain/failures';
import { localsOf } from './dispatch';

const MINUTE_MS = 60_000;

/** 429 with Retry-After beyond the limit. Who has no valid key is counted by address. */
export function createRateLimit(perMinute: number): RequestHandler {
  return rateLimit({
    windowMs: MINUTE_MS,
    limit: perMinute,
    standardHeaders: 'draft-7',
    legacyHeaders: false,
    keyGenerator(request, response) {
      const { identity } = localsOf(response);
      if (identity?.kind === 'account') return identity.caller.key;
      return identity?.kind === 'platform' ? 'platform' : ipKeyGenerator(request.ip ?? '');
    },
    handler(request, _response, next) {
      const resetTime = (request as unknown as { rateLimit?: { resetTime?: Date } }).rateLimit?.resetTime;
      const retryAfterMs = resetTime ? Math.max(1000, resetTime.getTime() - Date.now()) : MINUTE_MS;
      next(new HubError('rate_limited', `At most ${perMinute} requests a minute`, { retryAfterMs }));
    },
  });
}
