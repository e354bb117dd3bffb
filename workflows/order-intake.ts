import { setHandler } from '@temporalio/workflow';
import { eventReceived } from './messages';
import { remote } from './proxies';

export interface OrderIntakeInput {
  readonly store: string;
  readonly platformOrder: string;
}

/**
 * Takes one platform order in, and again for every event about it: fetches it, matches its lines, fixes prices, allocates.
 *
 * Id `order-intake/{store}/{platformOrder}`, so that one order is never taken in twice at once. Signal `eventReceived`.
 * The fetch is tried until the platform answers (a store that needs authorisation waits for its owner). It ends when no
 * event is left; the next one starts it again. An older state changes nothing, so events may come in any order.
 */
export async function orderIntake(input: OrderIntakeInput): Promise<void> {
  let events = 1;
  setHandler(eventReceived, () => {
    events += 1;
  });
  while (events > 0) {
    // Everything that came until now is covered by the fetch that follows.
    events = 0;
    await remote.takeInOrder(input);
  }
}
