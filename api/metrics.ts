/** Figures for Prometheus, served on a port of their own. */
import express, { type Express } from 'express';
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';

export interface Metrics {
  readonly registry: Registry;
  /** Seconds from the request's first byte to the answer's last, by route template. */
  readonly httpDuration: Histogram<'method' | 'route' | 'status'>;
  /** Incoming platform pushes by what became of them. */
  readonly inbox: Counter<'platform' | 'outcome'>;
}

/** @param withDefaults also the process's own figures (memory, event loop); they belong to one registry a process */
export function createMetrics(withDefaults = false): Metrics {
  const registry = new Registry();
  if (withDefaults) collectDefaultMetrics({ register: registry });
  return {
    registry,
    httpDuration: new Histogram({
      name: 'tradelane_http_request_duration_seconds',
      help: 'Duration of HTTP requests',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers: [registry],
    }),
    inbox: new Counter({
      name: 'tradelane_inbox_events_total',
      help: 'Incoming platform pushes',
      labelNames: ['platform', 'outcome'],
      registers: [registry],
    }),
  };
}

/** Serves `/metrics` and nothing else. */
export function createMetricsApp({ registry }: Metrics): Express {
  const app = express();
  app.disable('x-powered-by');
  app.get('/metrics', async (_request, response) => {
    response.set('Content-Type', registry.contentType).send(await registry.metrics());
  });
  return app;
}
