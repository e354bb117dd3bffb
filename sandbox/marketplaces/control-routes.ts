/** The control route: makes shops and orders, breaks things, and tells what was received. Loopback only. */
import express, { type NextFunction, type Request, type Response, type Router } from 'express';
import { z } from 'zod';
import { faultInput, orderChange, orderInput, pushRepeat, settingsInput, shopInput } from './control-schemas';
import { FAULT_KINDS, type Fault } from './faults';
import { LAZADA_COUNTRY } from './lazada';
import type { Pushes } from './pushes';
import { ratesInput } from './rates';
import {
  emptyState,
  issueCode,
  SANDBOX_PLATFORMS,
  type SandboxItem,
  type SandboxOrder,
  type SandboxOrderLine,
  type SandboxPlatform,
  type SandboxShop,
} from './state';
import type { World } from './world';

class ControlError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

export function createControlRoutes(world: World, pushes: Pushes): Router {
  const router = express.Router();
  router.use((req, _res, next) => {
    if (!LOOPBACK.test(req.socket.remoteAddress ?? ''))
      throw new ControlError(403, 'The control route is for loopback');
    next();
  });
  router.use(express.json({ limit: '20mb' }));
  addCommonRoutes(router, world, pushes);
  addShopRoutes(router, world);
  addOrderRoutes(router, world, pushes);
  addFaultRoutes(router, world);
  router.use((_req, _res) => {
    throw new ControlError(404, 'No such control route');
  });
  router.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => {
    const status = error instanceof ControlError ? error.status : error instanceof z.ZodError ? 422 : 400;
    const detail = error instanceof z.ZodError ? z.prettifyError(error) : String((error as Error)?.message ?? error);
    res.status(status).json({ error: detail });
  });
  return router;
}

function platformOf(req: Request): SandboxPlatform {
  const platform = SANDBOX_PLATFORMS.find((known) => known === req.params.platform);
  if (!platform) throw new ControlError(404, 'No such platform');
  return platform;
}

function addCommonRoutes(router: Router, world: World, pushes: Pushes): void {
  router.get('/health', (_req, res) => {
    res.json({ ok: true, shops: world.store.state.shops.length, orders: world.store.state.orders.length });
  });
  router.get('/rates', (_req, res) => {
    res.json({ calls: world.rates.calls });
  });
  router.put('/rates', (req, res) => {
    world.rates.set(ratesInput.parse(req.body));
    res.json({ calls: world.rates.calls });
  });
  router.put('/settings', (req, res) => {
    const { callbackBaseUrl } = settingsInput.parse(req.body);
    world.store.state.callbackBaseUrl = callbackBaseUrl?.replace(/\/+$/, '') ?? null;
    world.store.changed();
    res.json({ callbackBaseUrl: world.store.state.callbackBaseUrl });
  });
  router.post('/reset', (_req, res) => {
    pushes.reset();
    world.faults.clear();
    world.calls.clear();
    world.rates.reset();
    const { callbackBaseUrl, nextNumber } = world.store.state;
    // Ids go on counting: what an earlier test remembers never names something new.
    world.store.state = { ...emptyState(), callbackBaseUrl, nextNumber };
    world.store.changed();
    res.json({ ok: true });
  });
  const filter = z.object({
    platform: z.string().optional(),
    shopId: z.string().optional(),
    pathContains: z.string().optional(),
    since: z.coerce.number().optional(),
    limit: z.coerce.number().int().min(0).max(50_000).default(1000),
  });
  router.get('/calls', (req, res) => {
    const { limit, ...wanted } = filter.parse(req.query);
    const found = world.calls.find(wanted);
    const entries = found.reduce((sum, call) => sum + call.entries.length, 0);
    res.json({ count: found.length, entries, calls: limit === 0 ? [] : found.slice(-limit) });
  });
  router.delete('/calls', (_req, res) => {
    world.calls.clear();
    res.json({ ok: true });
  });
  router.get('/pushes', (req, res) => {
    const { platform, orderNumber } = req.query;
    const found = world.store.state.pushes.filter(
      (push) =>
        (platform === undefined || push.platform === platform) &&
        (orderNumber === undefined || push.orderNumber === orderNumber),
    );
    res.json({ pushes: found });
  });
}

function addShopRoutes(router: Router, world: World): void {
  router.post('/:platform/shops', (req, res) => {
    const platform = platformOf(req);
    const input = shopInput.parse(req.body);
    if (platform === 'lazada' && !LAZADA_COUNTRY[input.currency]) {
      throw new ControlError(422, `Lazada sells in no country with ${input.currency}`);
    }
    const shopId = input.shopId ?? String(200_000_000 + world.store.number());
    if (world.store.shop(platform, shopId)) throw new ControlError(409, 'There is a shop with this id');
    const shop: SandboxShop = {
      platform,
      shopId,
      name: input.name,
      currency: input.currency,
      items: input.items.map((item) => toItem(world, platform, item)),
      accessTokens: [],
      refreshTokens: [],
      codes: [],
    };
    world.store.state.shops.push(shop);
    const code = issueCode(shop, world.now());
    world.store.changed();
    res.status(201).json({ ...shown(shop), code });
  });
  router.get('/:platform/shops', (req, res) => {
    const platform = platformOf(req);
    res.json({ shops: world.store.state.shops.filter((shop) => shop.platform === platform).map(shown) });
  });
  router.get('/:platform/shops/:shopId', (req, res) => {
    res.json(shown(shopOf(world, req)));
  });
  router.post('/:platform/shops/:shopId/authorize', (req, res) => {
    const shop = shopOf(world, req);
    const code = issueCode(shop, world.now());
    world.store.changed();
    res.json({ shopId: shop.shopId, code });
  });
}

function shopOf(world: World, req: Request): SandboxShop {
  const shop = world.store.shop(platformOf(req), String(req.params.shopId));
  if (!shop) throw new ControlError(404, 'No such shop');
  return shop;
}

function shown(shop: SandboxShop) {
  const { platform, shopId, name, currency, items } = shop;
  return { platform, shopId, name, currency, items };
}

function toItem(
  world: World,
  platform: SandboxPlatform,
  input: z.output<typeof shopInput>['items'][number],
): SandboxItem {
  const plain = platform === 'shopee' && input.models.length === 1 && !input.models[0]?.variation?.length;
  return {
    itemId: input.itemId ?? String(3_000_000_000 + world.store.number()),
    title: input.title,
    image: input.image ?? null,
    status: input.status ?? 'live',
    updatedAt: world.now(),
    models: input.models.map((model, index) => ({
      // Shopee: an item without variants is its own model 0.
      modelId: model.modelId ?? (plain ? '0' : String(10_000_000_000 + world.store.number())),
      sku: model.sku,
      price: model.price,
      stock: model.stock,
      variation: model.variation ?? (plain || input.models.length === 1 ? [] : [`Option ${index + 1}`]),
      reserved: model.reserved ?? 0,
    })),
  };
}

function addOrderRoutes(router: Router, world: World, pushes: Pushes): void {
  router.post('/:platform/orders', (req, res) => {
    const platform = platformOf(req);
    const input = orderInput.parse(req.body);
    const shop = world.store.shop(platform, input.shopId);
    if (!shop) throw new ControlError(404, 'No such shop');
    const now = world.now();
    const order: SandboxOrder = {
      platform,
      orderNumber: orderNumber(world, platform),
      shopId: shop.shopId,
      state: input.state ?? 'ready_to_ship',
      lines: input.lines.flatMap((line) => toLines(world, platform, shop, line)),
      recipient: input.recipient ?? {
        name: 'Aminah Buyer',
        phone: '+60123456789',
        address: '1 Jalan Ampang, 50450 Kuala Lumpur',
      },
      shipping: input.shipping ?? 'platform_logistics',
      shipments: [],
      createdAt: now,
      updatedAt: now,
    };
    world.store.state.orders.push(order);
    world.store.changed();
    const sent = input.send === false ? [] : pushes.announce(order, shop);
    res.status(201).json({ ...order, pushes: sent.map((push) => push.id) });
  });
  router.get('/:platform/orders', (req, res) => {
    const platform = platformOf(req);
    res.json({ orders: world.store.state.orders.filter((order) => order.platform === platform) });
  });
  router.get('/:platform/orders/:orderNumber', (req, res) => {
    res.json(orderOf(world, req));
  });
  router.patch('/:platform/orders/:orderNumber', (req, res) => {
    const order = orderOf(world, req);
    const change = orderChange.parse(req.body);
    order.state = change.state;
    for (const line of order.lines) {
      const state = change.lines?.[line.lineId];
      if (state !== undefined) line.state = state;
    }
    const { trackingNumber } = change;
    if (trackingNumber !== undefined) {
      const lineIds = order.lines.map(({ lineId }) => lineId);
      order.shipments = [
        { packageId: `OWN${world.store.number()}`, lineIds, carrier: null, trackingNumber, left: true },
      ];
    }
    // An answer of the shop may stand a second ahead: what comes after it is never older. Lines change one by one, in one second too.
    order.updatedAt = Math.max(world.now(), order.updatedAt + (change.lines ? 1000 : 0));
    world.store.changed();
    const shop = world.store.shop(order.platform, order.shopId);
    const sent = change.send === false || !shop ? [] : pushes.announce(order, shop);
    res.json({ ...order, pushes: sent.map((push) => push.id) });
  });
  router.post('/:platform/orders/:orderNumber/push', async (req, res) => {
    const order = orderOf(world, req);
    const { times, parallel } = pushRepeat.parse(req.body ?? {});
    const last = world.store.state.pushes.findLast(
      (push) => push.platform === order.platform && push.orderNumber === order.orderNumber,
    );
    if (!last) throw new ControlError(409, 'No push was made for this order yet');
    res.json({ id: last.id, statuses: await pushes.repeat(last, times, parallel) });
  });
}

function orderOf(world: World, req: Request): SandboxOrder {
  const order = world.store.order(platformOf(req), String(req.params.orderNumber));
  if (!order) throw new ControlError(404, 'No such order');
  return order;
}

function orderNumber(world: World, platform: SandboxPlatform): string {
  const number = world.store.number();
  // Lazada's are numbers, and longer than a double holds: whoever reads them as one is found out here.
  if (platform === 'lazada') return `1${String(number).padStart(17, '0')}`;
  const day = new Date(world.now()).toISOString().slice(2, 10).replace(/-/g, '');
  return `${day}${number.toString(36).toUpperCase().padStart(8, '0')}`;
}

/** A line of several pieces is one line for Shopee, and as many order items for Lazada. */
function toLines(
  world: World,
  platform: SandboxPlatform,
  shop: SandboxShop,
  wanted: { itemId: string; modelId: string; quantity: number },
): SandboxOrderLine[] {
  const item = shop.items.find((candidate) => candidate.itemId === wanted.itemId);
  const model = item?.models.find((candidate) => candidate.modelId === wanted.modelId);
  if (!item || !model)
    throw new ControlError(422, `The shop has no item ${wanted.itemId} with model ${wanted.modelId}`);
  const line = (quantity: number): SandboxOrderLine => ({
    lineId: platform === 'lazada' ? `2${String(world.store.number()).padStart(17, '0')}` : item.itemId,
    itemId: item.itemId,
    modelId: model.modelId,
    sku: model.sku,
    title: item.title,
    variation: model.variation,
    price: model.price,
    quantity,
  });
  return platform === 'lazada' ? Array.from({ length: wanted.quantity }, () => line(1)) : [line(wanted.quantity)];
}

function addFaultRoutes(router: Router, world: World): void {
  router.get('/:platform/faults', (req, res) => {
    res.json({ faults: world.faults.list(platformOf(req)) });
  });
  router.post('/:platform/faults', (req, res) => {
    const platform = platformOf(req);
    const fault: Fault = faultInput.parse(req.body);
    if (fault.kind === 'expire_token' || fault.kind === 'revoke_refresh') endTokens(world, platform, fault);
    else world.faults.add(platform, fault);
    res.status(201).json({ faults: world.faults.list(platform) });
  });
  router.delete('/:platform/faults', (req, res) => {
    const kind = req.query.kind === undefined ? undefined : z.enum(FAULT_KINDS).parse(req.query.kind);
    world.faults.clear(platformOf(req), kind);
    res.json({ faults: world.faults.list(platformOf(req)) });
  });
}

/** These two happen once, at once: the tokens that exist now are dead. */
function endTokens(world: World, platform: SandboxPlatform, fault: Fault): void {
  for (const shop of world.store.state.shops) {
    if (shop.platform !== platform || (fault.shopId !== undefined && fault.shopId !== shop.shopId)) continue;
    // Kept with their end in the past, so that the vendor still knows whose they were.
    if (fault.kind === 'expire_token') for (const token of shop.accessTokens) token.expiresAt = 0;
    else shop.refreshTokens = [];
  }
  world.store.changed();
}
