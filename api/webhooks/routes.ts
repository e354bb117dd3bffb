/**
 * Platform pushes: verified on the raw bytes, stored, answered at once, then turned into a process. What follows the
 * storing never delays or spoils the answer; a sweep starts what was not started.
 */
import { PLATFORMS, type Platform } from '../../connectors/port';
import { HubError } from '../../domain/failures';
import { route } from '../route';

const LIMIT_BYTES = 1024 * 1024;

const isPlatform = (text: string): text is Platform => (PLATFORMS as readonly string[]).includes(text);

export const webhookRoutes = [
  route({
    method: 'post',
    path: '/v1/webhooks/{platform}',
    access: 'public',
    tag: 'webhooks',
    summary: 'A platform’s push, signed by it',
    rawBody: { limitBytes: LIMIT_BYTES },
    answers: { 200: null },
    async handle({ params, rawBody, headers }, hub) {
      const { platform } = params;
      const connector = isPlatform(platform) ? hub.connectors[platform] : undefined;
      if (!connector) throw new HubError('not_found', 'There is no such platform here');
      const { inbox } = hub.metrics;
      const verdict = connector.verifyPush({
        rawBody,
        headers,
        callbackUrl: `${hub.config.api.publicUrl}/v1/webhooks/${platform}`,
        now: hub.now().getTime(),
      });
      if (!verdict.ok) {
        inbox.inc({ platform, outcome: verdict.reason });
        if (verdict.reason === 'malformed') throw new HubError('invalid_input', verdict.detail);
        throw new HubError(verdict.reason === 'stale' ? 'stale_timestamp' : 'bad_signature', verdict.detail);
      }
      const { push } = verdict;
      const platformOrder = push.kind === 'order' ? push.platformOrder : null;
      const shop = push.shopId === null ? null : await hub.store.stores.byShop(platform, push.shopId);
      const isNew = await hub.store.inbox.put({
        platform,
        shopId: push.shopId,
        platformOrder,
        dedupeKey: push.dedupeKey,
        body: rawBody.toString('utf8'),
        store: shop === null ? null : { id: shop._id, account: shop.account },
      });
      const outcome = shop === null ? 'unrouted' : platformOrder === null ? 'ignored' : 'stored';
      inbox.inc({ platform, outcome: isNew ? outcome : 'repeated' });
      if (isNew && shop !== null && platformOrder !== null) hub.processes.takeInOrder(shop._id, platformOrder);
      return { status: 200 };
    },
  }),
];
