/** Notifications by mail, over SMTP. */
import { createTransport } from 'nodemailer';
import type { OutsideMessage } from '../../domain/notifications';
import { DeliveryError, type Notifiers } from './port';

export interface MailOptions {
  readonly url: string;
  /** `hub@example.com` or `Name <hub@example.com>`. */
  readonly from: string;
  /** Milliseconds. */
  readonly timeoutMs: number;
}

/** A connection of its own for each mail: they are few, and one that hangs holds up no other. */
export function createMailNotifier({ url, from, timeoutMs }: MailOptions): Notifiers['mail'] {
  const transport = createTransport({
    url,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = domainOf(from);
  return async (address, message) => {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), timeoutMs);
    try {
      await transport.sendMail({
        from,
        // As an object it is one address, whatever it holds.
        to: { name: '', address },
        messageId: `<${message.id}@${domain}>`,
        date: new Date(message.at),
        subject: oneLine(message.title),
        text: textOf(message),
        // So that no holiday notice comes back (RFC 3834).
        headers: { 'Auto-Submitted': 'auto-generated' },
        signal: deadline.signal,
      });
    } catch (error) {
      throw deliveryError(error);
    } finally {
      clearTimeout(timer);
    }
  };
}

function domainOf(from: string): string {
  return /@([^\s>@]+)>?$/.exec(from)?.[1] ?? 'localhost';
}

const oneLine = (text: string) => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();

function textOf(message: OutsideMessage): string {
  return [
    message.title,
    ...(message.detail === null ? [] : ['', message.detail.replace(/[^\P{Cc}\n\t]/gu, '')]),
    '',
    `About: ${oneLine(message.document)}`,
    `Event: ${message.event}`,
    `Time:  ${message.at}`,
    '',
    `This message may come more than once; its id is ${message.id} each time.`,
    '',
  ].join('\n');
}

/**
 * A server that refuses the recipient or the message for good (5xx) is believed. What it says of the sender or of our
 * log-in is about this hub, and may be mended without anybody retrying.
 */
function deliveryError(error: unknown): DeliveryError {
  const { code, command, responseCode } = (error ?? {}) as { code?: string; command?: string; responseCode?: number };
  if (code === 'EENVELOPE' && command === 'API')
    return new DeliveryError('refused', 'The address is none that mail can be sent to');
  if ((command === 'RCPT TO' || command === 'DATA') && responseCode !== undefined && responseCode >= 500)
    return new DeliveryError('refused', `The mail server refuses the recipient or the message (${responseCode})`);
  if (responseCode !== undefined && responseCode > 0)
    return new DeliveryError('unavailable', `The mail server does not take the message now (${responseCode})`);
  if (code === 'EAUTH') return new DeliveryError('unavailable', 'The mail server does not take the hub’s log-in');
  return new DeliveryError('unavailable', 'The mail server can not be reached, or does not answer in time');
}
