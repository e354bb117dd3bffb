/** The channels out, as this installation has them. */
import { createHttpsNotifier } from './https';
import { createMailNotifier } from './mail';
import { DeliveryError, type NotifierOptions, type Notifiers } from './port';

/** Makes what sends. Nothing is connected yet. */
export function createNotifiers(options: NotifierOptions): Notifiers {
  const { smtp, timeoutMs } = options;
  return {
    mail: smtp
      ? createMailNotifier({ ...smtp, timeoutMs })
      : async () => {
          throw new DeliveryError('not_configured', 'The hub has no mail server');
        },
    call: createHttpsNotifier(options),
  };
}
