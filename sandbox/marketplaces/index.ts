/**
 * The sandbox: Shopee at `/shopee`, Lazada at `/lazada/rest`, exchange rates at `/rates`, and the control route at `/control`, as one HTTP server.
 * See sandbox/README.md.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type Express } from 'express';
import { lazadaAuthorisation, shopeeAuthorisation } from './authorisation';
import { ReceivedCalls } from './calls';
import { createControlRoutes } from './control-routes';
import { Faults } from './faults';
import { createLazada } from './lazada';
import { DEFAULT_PUSH_TIMING, Pushes, type PushTiming } from './pushes';
import { SandboxRates } from './rates';
import { createShopee } from './shopee';
import { SandboxStore } from './state';
import { type SandboxKeys, serve, type Vendor, type World } from './world';

export interface SandboxOptions extends SandboxKeys {
  /** 0 takes a free one. */
  readonly port: number;
  /** 127.0.0.1 unless told. */
  readonly host?: string;
  /** Where the state is kept; in memory only where absent. */
  readonly stateFile?: string;
  /** Pushes go to `${callbackBaseUrl}/v1/webhooks/{platform}`; can be set later through the control route. */
  readonly callbackBaseUrl?: string;
  readonly pushTiming?: Partial<PushTiming>;
  readonly log?: (message: string, fields: Record<string, unknown>) => void;
  /** The clock, for tests. Epoch ms. */
  readonly now?: () => number;
}

export interface RunningSandbox {
  readonly url: string;
  readonly port: number;
  /** Saves the state, stops the pushes and closes every connection. */
  close(): Promise<void>;
}

/** Starts the sandbox; rejects where the port is taken. */
export async function startSandbox(options: SandboxOptions): Promise<RunningSandbox> {
  const store = new SandboxStore(options.stateFile);
  if (options.callbackBaseUrl !== undefined) {
    store.state.callbackBaseUrl = options.callbackBaseUrl.replace(/\/+$/, '');
    store.changed();
  }
  const world: World = {
    store,
    faults: new Faults(),
    calls: new ReceivedCalls(),
    rates: new SandboxRates(),
    keys: { shopee: options.shopee, lazada: options.lazada },
    now: options.now ?? Date.now,
    log: options.log ?? (() => {}),
  };
  const pushes = new Pushes(world, { ...DEFAULT_PUSH_TIMING, ...options.pushTiming });
  const server = createServer(createApp(world, pushes));
  const host = options.host ?? '127.0.0.1';
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, host, resolve);
  });
  pushes.resume();
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${port}`,
    port,
    close: async () => {
      pushes.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      store.flush();
    },
  };
}

function createApp(world: World, pushes: Pushes): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use('/control', createControlRoutes(world, pushes));
  app.get('/shopee/api/v2/shop/auth_partner', (req, res) => shopeeAuthorisation(world, req, res));
  app.get('/lazada/oauth/authorize', (req, res) => lazadaAuthorisation(world, req, res));
  app.get('/rates/latest', (req, res) => world.rates.answer(req, res));
  mount(app, world, '/shopee', createShopee(world));
  mount(app, world, '/lazada/rest', createLazada(world));
  return app;
}

function mount(app: Express, world: World, base: string, vendor: Vendor): void {
  app.use(base, express.raw({ type: () => true, limit: '5mb' }), (req, res, next) => {
    serve(world, vendor, req.path, req, res).catch(next);
  });
}
