/** The pages on which a shop's owner lets the hub in; they send the browser back with a code. */
import type { Request, Response } from 'express';
import { checkSignature } from './shopee';
import { issueCode, type SandboxPlatform, type SandboxShop } from './state';
import type { World } from './world';

/** GET /shopee/api/v2/shop/auth_partner?partner_id&timestamp&sign&redirect[&shop_id] */
export function shopeeAuthorisation(world: World, req: Request, res: Response): void {
  const query = new URL(req.originalUrl, 'http://sandbox').searchParams;
  const wrong = checkSignature(world, { path: '/api/v2/shop/auth_partner', query }, false);
  if (wrong) {
    res.status(403).json(wrong.body);
    return;
  }
  respond(world, 'shopee', req, res, query.get('redirect'), query.get('shop_id'), (back, shop, code) => {
    back.searchParams.set('code', code);
    back.searchParams.set('shop_id', shop.shopId);
  });
}

/** GET /lazada/oauth/authorize?client_id&redirect_uri&state&response_type=code[&shop_id] */
export function lazadaAuthorisation(world: World, req: Request, res: Response): void {
  const query = new URL(req.originalUrl, 'http://sandbox').searchParams;
  if (query.get('client_id') !== world.keys.lazada.appKey || query.get('response_type') !== 'code') {
    res.status(400).json({ code: 'InvalidAppKey', message: 'The client_id or response_type is invalid' });
    return;
  }
  const state = query.get('state');
  respond(world, 'lazada', req, res, query.get('redirect_uri'), query.get('shop_id'), (back, _shop, code) => {
    back.searchParams.set('code', code);
    if (state !== null) back.searchParams.set('state', state);
  });
}

function respond(
  world: World,
  platform: SandboxPlatform,
  req: Request,
  res: Response,
  redirect: string | null,
  shopId: string | null,
  fill: (back: URL, shop: SandboxShop, code: string) => void,
): void {
  if (redirect === null || !URL.canParse(redirect) || !/^https?:$/.test(new URL(redirect).protocol)) {
    res.status(400).type('text/plain').end('The redirect address is missing or wrong');
    return;
  }
  if (shopId === null) {
    res.type('html').end(page(world, platform, req.originalUrl));
    return;
  }
  const shop = world.store.shop(platform, shopId);
  if (!shop) {
    res.status(404).type('text/plain').end('No such shop');
    return;
  }
  const back = new URL(redirect);
  fill(back, shop, issueCode(shop, world.now()));
  world.store.changed();
  res.redirect(302, back.toString());
}

function page(world: World, platform: SandboxPlatform, url: string): string {
  const shops = world.store.state.shops.filter((shop) => shop.platform === platform);
  const links = shops.map(
    (shop) =>
      `<li><a href="${escaped(`${url}&shop_id=${shop.shopId}`)}">Authorise ${escaped(shop.name)} (${shop.shopId})</a></li>`,
  );
  return `<!doctype html><title>Sandbox ${platform}</title><h1>Sandbox ${platform}</h1><ul>${links.join('')}</ul>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
