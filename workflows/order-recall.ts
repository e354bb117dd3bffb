import { allHandlersFinished, condition, setCurrentDetails, setHandler } from '@temporalio/workflow';
import type { OutboundAnswer, RecallAttempt, RecallDirection } from '../activities/order-recall';
import { RECALL_LOOK_MS } from '../config/timeouts';
import * as messages from './messages';
import { remote, surely } from './proxies';

export interface OrderRecallInput extends RecallAttempt {
  /** How long the supplier may take to answer; no answer is a refusal. Milliseconds. */
  readonly answerMs: number;
}

export type OrderRecallEnd = 'recalled' | 'failed';

/**
 * Takes one package back from its supplier: one attempt. Contract: orders.md, Recall.
 *
 * Id `order-recall/{package}/{attempt}`. What our own documents decide is one transaction; the workflow waits for others: a
 * 3PL that holds the goods is asked until it answers, and its answer decides; else the supplier is asked once the order is
 * packed: updates `confirm` and `refuse`, and nobody in `answerMs` is a refusal. Signal `settled`: it was decided elsewhere
 * (the supplier shipped), look again. It fails only by its end `failed`, and never continues as new: a handful of events.
 */
export async function orderRecall(input: OrderRecallInput): Promise<OrderRecallEnd> {
  const attempt: RecallAttempt = { package: input.package, attempt: input.attempt };
  let ended: OrderRecallEnd | null = null;
  let lookAgain = false;
  setHandler(messages.settled, () => {
    lookAgain = true;
  });
  const answer = async (given: messages.RecallCommand, what: 'confirm' | 'refuse'): Promise<messages.RecallReply> => {
    const reply = await surely((on) => on.answerRecall({ ...attempt, ...given, answer: what }));
    if (reply.ok) ended = reply.outcome;
    return reply;
  };
  setHandler(messages.confirm, (given) => answer(given, 'confirm'), {
    description: 'The supplier gives the goods back',
  });
  setHandler(messages.refuse, (given) => answer(given, 'refuse'), { description: 'The supplier keeps to the order' });

  let direction = await advance();
  while (direction.next === 'push' && ended === null) {
    setCurrentDetails(`Recall of ${input.package}: its push takes the outbound order back from the warehouse first.`);
    await condition(() => lookAgain, RECALL_LOOK_MS);
    // Before the look, so that what is told during it leads to another.
    lookAgain = false;
    direction = await advance();
  }
  if (direction.next === 'warehouse') {
    setCurrentDetails(`Recall of ${input.package}: the warehouse is asked to cancel ${direction.supplyOrder}.`);
    direction = await advance(await remote.cancelOutbound(direction));
  }
  while (direction.next === 'answer' && ended === null) {
    lookAgain = false;
    setCurrentDetails(`Recall of ${input.package}: the supplier is asked. Waits for **confirm** or **refuse**.`);
    const heard = await condition(() => ended !== null || lookAgain, direction.waitMs);
    if (ended === null) direction = heard ? await advance() : await expire();
  }
  await condition(allHandlersFinished);
  return ended ?? (direction.next === 'end' ? direction.outcome : 'failed');

  function advance(outbound?: OutboundAnswer): Promise<RecallDirection> {
    return surely((on) => on.advanceRecall({ ...attempt, answerMs: input.answerMs, outbound: outbound ?? null }));
  }

  async function expire(): Promise<RecallDirection> {
    const reply = await surely((on) => on.answerRecall({ ...attempt, answer: 'none', command: null, reason: null }));
    // Refused: somebody else has it in hand; what that came to is read again.
    return reply.ok ? { next: 'end', outcome: reply.outcome } : advance();
  }
}
