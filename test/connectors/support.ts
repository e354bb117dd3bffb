/** The sandbox and both connectors, as the contract suite uses them. */
import { createConnectors } from '../../connectors';
import type { ConnectorLogger, PlatformHttpOptions } from '../../connectors/http';
import type { AuthorizedShop, MarketplaceConnector, ShopAccess } from '../../connectors/port';
import { createSandboxControl, type SandboxControl, type ShopView } from '../../sandbox/control';
import { type RunningSandbox, type SandboxOptions, startSandbox } from '../../sandbox/marketplaces';
import type { SandboxPlatform } from '../../sandbox/marketplaces/state';

export const KEYS = {
  shopee: { partnerId: '2001887', partnerKey: 'shopee-partner-key-for-tests' },
  lazada: { appKey: '123456', appSecret: 'lazada-app-secret-for-tests' },
} as const;

export const SECRETS = [KEYS.shopee.partnerKey, KEYS.lazada.appSecret] as const;

export type PlatformName = SandboxPlatform;

export interface RecordedLine {
  readonly message: string;
  readonly fields: unknown;
}

export interface Ground {
  readonly sandbox: RunningSandbox;
  readonly control: SandboxControl;
  readonly lines: RecordedLine[];
  connector(platform: PlatformName, options?: Partial<PlatformHttpOptions>): MarketplaceConnector;
}

export async function startGround(options: Partial<SandboxOptions> = {}): Promise<Ground> {
  const sandbox = await startSandbox({ port: 0, ...KEYS, ...options });
  const lines: RecordedLine[] = [];
  const record = (message: string, fields?: unknown) => void lines.push({ message, fields });
  const logger: ConnectorLogger = { debug: record, warn: record };
  return {
    sandbox,
    control: createSandboxControl(sandbox.url),
    lines,
    connector: (platform, http) => connectorAt(sandbox.url, platform, { logger, ...http }),
  };
}

/** A connector whose vendor is at `url`, with short times. */
export function connectorAt(
  url: string,
  platform: PlatformName,
  http: Partial<PlatformHttpOptions> = {},
): MarketplaceConnector {
  const rest = `${url}/lazada/rest`;
  const connectors = createConnectors(
    {
      shopee: { baseUrl: `${url}/shopee`, ...KEYS.shopee },
      lazada: { baseUrl: rest, authBaseUrl: rest, ...KEYS.lazada },
    },
    { timeoutMs: 2000, tries: 2, waitMs: 10, ...http },
  );
  const connector = connectors[platform];
  if (!connector) throw new Error(`No connector for ${platform}`);
  return connector;
}

export interface Shop {
  readonly view: ShopView;
  readonly authorized: AuthorizedShop;
  readonly access: ShopAccess;
}

/** A shop with one item of three variants and one without any, authorised. */
export async function openShop(ground: Ground, platform: PlatformName): Promise<Shop> {
  const { code, ...view } = await ground.control.createShop(platform, {
    name: 'Kedai "Ali" & Sons',
    currency: 'MYR',
    items: [
      {
        title: 'Shirt <blue>',
        image: 'https://images.example/shirt.jpg',
        models: [
          { sku: 'SHIRT-S', price: '12.50', stock: 3, variation: ['Blue', 'S'] },
          { sku: 'SHIRT-M', price: '12.50', stock: 4, variation: ['Blue', 'M'] },
          { sku: 'SHIRT-L', price: '13.00', stock: 5, variation: ['Red', 'M'] },
        ],
      },
      { title: 'Mug', models: [{ sku: 'MUG', price: '8.05', stock: 9 }] },
    ],
  });
  const authorized = await ground.connector(platform).exchangeCode({ code, shop_id: view.shopId });
  return { view, authorized, access: { shopId: view.shopId, accessToken: authorized.tokens.accessToken } };
}
