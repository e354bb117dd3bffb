/** The HTTP edge as an express application, without a port: parse → call → render, one declared route at a time. */
import express, { type ErrorRequestHandler, type Express } from 'express';
import helmet from 'helmet';
import swaggerUi from 'swagger-ui-express';
import { NO_LIVE_RATES } from '../activities/rates';
import { FAILURES, HubError } from '../domain/failures';
import { createAccessLog, requestIds } from './access-log';
import { createAuditTrail } from './audit';
import { createAuthentication } from './authentication';
import { createDispatcher, localsOf, send } from './dispatch';
import type { ApiDeps, Hub } from './hub';
import { createMetrics } from './metrics';
import { createOpenApiDocument } from './openapi';
import { createCursorSeal } from './paging';
import { logFailure, renderProblem, toHubError } from './problems';
import { createRateLimit } from './rate-limit';
import type { Route } from './route';
import { ROUTES } from './routes';

export type { ApiDeps } from './hub';

const expressPath = (path: string) => path.replaceAll(/\{(\w+)\}/g, ':$1');

/** Composes the edge. The caller listens. */
export function createApp(deps: ApiDeps): Express {
  const hub: Hub = {
    ...deps,
    metrics: deps.metrics ?? createMetrics(),
    rates: deps.rates ?? NO_LIVE_RATES,
    now: deps.now ?? (() => new Date()),
  };
  const dispatch = createDispatcher(hub, createCursorSeal(hub.config.adminKey), createAuditTrail(hub, ROUTES));
  const mount = (routes: readonly Route[]) => {
    for (const route of routes) app[route.method](expressPath(route.path), dispatch(route));
  };

  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('case sensitive routing', true);
  app.set('trust proxy', hub.config.api.trustProxy ?? false);
  app.use(requestIds, createAccessLog(hub), helmet());

  // Webhooks come first: their bytes are verified as they came, they need no key, and their bursts are not limited.
  mount(ROUTES.filter(({ rawBody }) => rawBody !== null));

  const document = createOpenApiDocument(ROUTES, hub.config.api.publicUrl);
  app.get('/openapi.json', (_request, response) => {
    localsOf(response).route = '/openapi.json';
    response.json(document);
  });
  // The page's own scripts are inline; nothing else is let in.
  const docsPolicy = helmet.contentSecurityPolicy({
    directives: { 'script-src': ["'self'", "'unsafe-inline'"], 'upgrade-insecure-requests': null },
  });
  app.use('/docs', docsPolicy, swaggerUi.serve, swaggerUi.setup(document, { customSiteTitle: 'Tradelane API' }));

  const authenticate = createAuthentication(hub);
  app.use('/v1', async (request, response, next) => {
    response.set('Cache-Control', 'no-store');
    localsOf(response).identity = await authenticate(request.get('authorization'));
    next();
  });
  app.use('/v1', createRateLimit(hub.config.api.rateLimitPerMinute));
  mount(ROUTES.filter(({ rawBody }) => rawBody === null));

  refuseOtherMethods(app);
  app.use(() => {
    throw new HubError('not_found', 'There is no such path; /docs shows what there is');
  });
  app.use(createErrorHandler(hub));
  return app;
}

/** 405 where the path exists and only the method is wrong. */
function refuseOtherMethods(app: Express): void {
  const methods = new Map<string, string[]>();
  for (const { path, method } of ROUTES) methods.set(path, [...(methods.get(path) ?? []), method.toUpperCase()]);
  // A path without parameters is meant before one whose parameter could stand for its last part.
  const paths = [...methods].sort(([a], [b]) => Number(a.includes('{')) - Number(b.includes('{')));
  for (const [path, allowed] of paths)
    app.all(expressPath(path), (_request, response) => {
      localsOf(response).route = path;
      response.set('Allow', allowed.join(', '));
      throw new HubError('method_not_allowed', `Use ${allowed.join(' or ')}`);
    });
}

/** The only error handler. */
function createErrorHandler(hub: Hub): ErrorRequestHandler {
  return (error: unknown, _request, response, _next) => {
    const { requestId, route } = localsOf(response);
    const failure = toHubError(error);
    logFailure(hub.logger, failure, { requestId, route });
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const { status } = FAILURES[failure.code];
    // What is left of a body that nobody read is not waited for.
    if (status === 413) response.set('Connection', 'close');
    send(response, renderProblem(failure));
  };
}
