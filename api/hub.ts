/** What the HTTP edge is made of: interfaces, handed in by `server.ts` or by a test. */
import type { LiveRates } from '../activities/rates';
import type { Config } from '../config/env';
import type { Logger } from '../config/logger';
import type { Connectors } from '../connectors/port';
import type { Store } from '../store';
import type { Processes } from '../workflows/client';
import type { Metrics } from './metrics';

/** The part of the configuration that the edge needs. */
export interface ApiConfig {
  readonly adminKey: string;
  readonly notifications: Pick<Config['notifications'], 'smtp' | 'allowPrivateAddresses'>;
  readonly api: Pick<Config['api'], 'publicUrl' | 'rateLimitPerMinute' | 'bodyLimitBytes'> &
    Partial<Pick<Config['api'], 'trustProxy'>>;
  readonly recall: Config['recall'];
}

export interface ApiDeps {
  readonly config: ApiConfig;
  readonly store: Store;
  readonly processes: Processes;
  readonly connectors: Connectors;
  /** Live exchange rates; without them only fixed ones count. */
  readonly rates?: LiveRates;
  readonly logger: Logger;
  readonly metrics?: Metrics;
  readonly now?: () => Date;
  /** Compares each answer with its documented schema and fails where they differ; for tests. */
  readonly checkAnswers?: boolean;
}

/** The same, complete: what routes are given. */
export interface Hub extends Omit<ApiDeps, 'now' | 'metrics' | 'rates'> {
  readonly metrics: Metrics;
  readonly rates: LiveRates;
  now(): Date;
}
