/** Where an account is told besides in-app, and of what. Contract: partnership.md, Notifications. */
import { HubError } from '../../domain/failures';
import {
  NOTIFICATION_CHANNELS,
  NOTIFICATION_EVENTS,
  type NotificationChannel,
  type NotificationEvent,
} from '../../domain/notifications';
import { deliveryProcessId } from '../../domain/process-ids';
import type { Subscriptions } from '../../store/repositories/subscriptions';
import type { Hub } from '../hub';
import { withoutUndefined } from '../input';
import { operationAnswer, operationStarted, startStored } from '../operations';
import { invalidInput } from '../problems';
import { ok, route } from '../route';
import { listOfDistinct, time } from '../schemas/values';
import { z } from '../schemas/zod';

const EVENTS = Object.keys(NOTIFICATION_EVENTS) as NotificationEvent[];
const LONGEST_URL = 2_000;

const channels = listOfDistinct(z.enum(NOTIFICATION_CHANNELS), {
  ...{ most: NOTIFICATION_CHANNELS.length, least: 0, what: 'a channel' },
});

const eventShape = <T extends z.ZodType>(value: T) =>
  Object.fromEntries(EVENTS.map((event) => [event, value])) as Record<NotificationEvent, T>;

const address = z.email('must be one e-mail address').max(254).openapi({ example: 'orders@shop.example' });

/** Only its form: what it resolves to is checked when it is called, and each time. */
const endpointUrl = z
  .string()
  .max(LONGEST_URL)
  .regex(/^https?:\/\/[^\s\p{Cc}\\/][^\s\p{Cc}\\]*$/u, 'must be an address that starts with https://')
  .refine(isEndpoint, 'must be an address without user name, password and #')
  .openapi({ example: 'https://shop.example/hooks/tradelane' });

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password, hash, hostname } = new URL(text);
  return username === '' && password === '' && hash === '' && hostname !== '';
}

const plainSubscriptions = z.strictObject({
  email: z.strictObject({ address }).nullable(),
  https: z
    .strictObject({
      url: endpointUrl,
      rotateSecret: z.boolean().optional().openapi({
        description: 'Make a new secret; calls are signed with the one before, too, for another 24 hours',
      }),
    })
    .nullable(),
  events: z.strictObject(eventShape(channels.optional())),
});

/** Looks at a body whose parts may have any shape: it is asked also where something else is wrong, to name all at once. */
function lacks(body: unknown, event: NotificationEvent, channel: NotificationChannel): boolean {
  const { events, ...given } = (body ?? {}) as { events?: Record<string, unknown> } & Record<string, unknown>;
  const wanted = events?.[event];
  return Array.isArray(wanted) && wanted.includes(channel) && (given[channel] ?? null) === null;
}

const subscriptionsBody = EVENTS.flatMap((event) =>
  NOTIFICATION_CHANNELS.map((channel) => ({ event, channel })),
).reduce(
  (schema, { event, channel }) =>
    schema.refine((body) => !lacks(body, event, channel), {
      path: ['events', event],
      message: `${channel} is not set up here`,
      params: { code: 'channel_not_set_up' },
      when: () => true,
    }),
  plainSubscriptions,
);

const subscriptionsAnswer = z
  .object({
    email: z.object({ address: z.string() }).nullable(),
    https: z.object({ url: z.string() }).nullable(),
    events: z.object(eventShape(channels)),
    available: z.array(z.enum(NOTIFICATION_CHANNELS)).openapi({ description: 'The channels that this hub has' }),
    secretMadeAt: time.nullable(),
    secret: z.string().optional().openapi({
      description:
        'Of the HTTPS endpoint, in the form of Standard Webhooks; only in the answer to the call that made it',
      example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    }),
  })
  .openapi('NotificationSubscriptions');

const isAvailable = (hub: Hub, channel: NotificationChannel) =>
  channel !== 'email' || hub.config.notifications.smtp !== undefined;

const answerOf = (hub: Hub, row: Subscriptions) => ({
  email: row.email,
  https: row.https,
  events: Object.fromEntries(EVENTS.map((event) => [event, row.events[event] ?? []])),
  available: NOTIFICATION_CHANNELS.filter((channel) => isAvailable(hub, channel)),
  secretMadeAt: row.secretMadeAt,
});

function requireAvailable(hub: Hub, channel: NotificationChannel): void {
  if (!isAvailable(hub, channel))
    throw new HubError('channel_not_configured', 'This hub sends no e-mail', { members: { channel } });
}

export const notificationSubscriptionRoutes = [
  route({
    method: 'get',
    path: '/v1/notification-subscriptions',
    access: 'settings',
    tag: 'account',
    summary: 'Where the account is told besides in-app, and of what',
    answers: { 200: subscriptionsAnswer },
    handle: async ({ account }, hub) => ok(answerOf(hub, await hub.store.subscriptions.get(account))),
  }),
  route({
    method: 'put',
    path: '/v1/notification-subscriptions',
    access: 'settings',
    tag: 'account',
    summary: 'Replace them all; the endpoint’s secret is shown only in the answer to the call that makes it',
    body: subscriptionsBody,
    answers: { 200: subscriptionsAnswer },
    async handle({ account, body }, hub) {
      if (body.email) requireAvailable(hub, 'email');
      if (body.https && !hub.config.notifications.allowPrivateAddresses && !body.https.url.startsWith('https://'))
        throw invalidInput([{ pointer: '/https/url', code: 'invalid_format', detail: 'must start with https://' }]);
      const { secret, ...row } = await hub.store.subscriptions.put(account, {
        ...body,
        events: withoutUndefined(body.events),
      });
      return ok({ ...answerOf(hub, row), ...(secret === null ? {} : { secret }) });
    },
  }),
  route({
    method: 'post',
    path: '/v1/notification-subscriptions/test',
    access: 'settings',
    tag: 'account',
    summary: 'Send a test notification by one channel; the operation says whether it arrived',
    audit: { snapshot: null },
    body: z.strictObject({ channel: z.enum(NOTIFICATION_CHANNELS) }),
    answers: { 200: operationAnswer, 202: operationAnswer },
    async handle(request, hub) {
      const { account, body, command } = request;
      requireAvailable(hub, body.channel);
      const { email, https } = await hub.store.subscriptions.get(account);
      if ((body.channel === 'email' ? email : https) === null)
        throw new HubError('channel_not_configured', 'The account has not set this channel up', {
          members: { channel: body.channel },
        });
      const due = await hub.store.notifications.test(account, body.channel, command);
      await startStored(hub, () => hub.processes.startDelivery(due));
      return operationStarted(hub, request, [deliveryProcessId(due.delivery)]);
    },
  }),
];
