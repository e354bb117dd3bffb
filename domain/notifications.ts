/** What accounts are told of, and how: in-app always, by mail and by HTTPS call where they asked for it. Contract: partnership.md, Notifications. */

/** Every event that an account can subscribe to, with the words it is told by. */
export const NOTIFICATION_EVENTS = {
  application_submitted: 'A distributor applied',
  application_waiting: 'An application waits for your review',
  application_decided: 'Your application was decided',
  partnership_terminated: 'A partnership was terminated',
  order_push_failed: 'An order push failed',
  goods_missing: 'An order left whose goods are in no warehouse',
  order_refused: 'A platform does not give out an order it told of',
  order_goes_on: 'A cancellation did not come about: what was recalled for it can be pushed again',
  recall_asked: 'A distributor asks for an order back',
  recall_confirmed: 'A recall was confirmed',
  recall_refused: 'A recall was refused',
  order_returned: 'Goods of an order were returned',
  balance_low: 'A balance is low',
  credit_period_expired: 'A credit period has ended',
  store_needs_authorization: 'A store must be authorised again',
  stock_push_failed: 'A stock push failed',
  wms_sync_failed: 'A warehouse system could not be synchronised',
  setup_unfinished: 'The set-up of Distribution is not finished',
} as const;
export type NotificationEvent = keyof typeof NOTIFICATION_EVENTS;

/** Told only to whoever asks for it; nobody subscribes to it. */
export const TEST_EVENT = 'test';
export const TEST_TITLE = 'A test of your notifications';

/** The ways out of the hub; in-app is always on and no channel. */
export const NOTIFICATION_CHANNELS = ['email', 'https'] as const;
export type NotificationChannel = (typeof NOTIFICATION_CHANNELS)[number];

/** Which channels carry which event; an event that is missing is told in-app alone. */
export type EventChannels = Readonly<Partial<Record<NotificationEvent, readonly NotificationChannel[]>>>;

/** What goes out: made from the notification when it is sent. */
export interface OutsideMessage {
  /** The delivery's id: the same at each repeat, so that a receiver can tell one. */
  readonly id: string;
  /** As `GET /v1/notifications` shows it. */
  readonly notification: string;
  readonly account: string;
  readonly event: string;
  readonly title: string;
  readonly document: string;
  readonly detail: string | null;
  /** When it happened. ISO 8601, UTC. */
  readonly at: string;
}

/** A notification's own id is made from its event and may hold anything; outside it stands encoded. */
export const notificationIdOf = (row: string): string => Buffer.from(row).toString('base64url');
