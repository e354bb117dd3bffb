/** Every message a process takes: signals are events in the past tense, queries nouns, updates commands. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { PartnershipCommand, PartnershipStatus, SetupCommand } from '../domain/partnership';

/** Something of this lane is due. Carries nothing: the newest value is read just before it is sent. */
export const due = defineSignal('due');
/** A platform said something about this order. Carries nothing: the order is fetched. */
export const eventReceived = defineSignal('eventReceived');

/** Try again what is parked. As an update the caller learns whether it was waiting; as a signal the Temporal UI's form reaches it. */
export const retry = defineUpdate<void, [string]>('retry');
export const retryRequested = defineSignal<[string]>('retry');
/** Give up what is parked: what is held is undone. */
export const abandon = defineUpdate<void, [string]>('abandon');
export const abandonRequested = defineSignal<[string]>('abandon');

/** The supplier's decisions on an application, and the applicant's own. The answer is the new status, or the refusal as a value. */
export const approve = defineUpdate<DecisionAnswer, [PartnershipCommand]>('approve');
export const reject = defineUpdate<DecisionAnswer, [PartnershipCommand]>('reject');
export const withdraw = defineUpdate<DecisionAnswer, [PartnershipCommand]>('withdraw');
/** Level, warehouses, the supplier's note. */
export const changeTerms = defineUpdate<DecisionAnswer, [PartnershipCommand]>('changeTerms');
/** Either side ends the partnership. */
export const terminate = defineUpdate<DecisionAnswer, [PartnershipCommand]>('terminate');

/** By the move they stand for. */
export const PARTNERSHIP_UPDATES = { approve, reject, withdraw, changeTerms, terminate };

/** A step of a supplier's set-up. The answer says whether it is live now, or why the step was refused. */
export const completeStep = defineUpdate<SetupAnswer, [SetupCommand]>('completeStep');

/** A refusal of the catalogue as a value. */
export interface Refusal {
  readonly ok: false;
  readonly code: string;
  readonly detail: string;
  readonly members: Record<string, unknown>;
  readonly errors: readonly { pointer: string; code: string; detail: string }[];
}
export type DecisionAnswer = { readonly ok: true; readonly status: PartnershipStatus } | Refusal;
export type SetupAnswer = { readonly ok: true; readonly live: boolean } | Refusal;

export interface RecallCommand {
  readonly command: string;
  /** In the words of whoever answers. */
  readonly reason: string | null;
}
export type RecallReply = { readonly ok: true; readonly outcome: 'recalled' | 'failed' } | Refusal;
/** The supplier's answer to a recall. Whether it was still asked for comes back as a value. */
export const confirm = defineUpdate<RecallReply, [RecallCommand]>('confirm');
export const refuse = defineUpdate<RecallReply, [RecallCommand]>('refuse');
/** The recall was decided elsewhere. Carries nothing: it looks. */
export const settled = defineSignal('settled');

/** How far a job is. */
export const progress = defineQuery<{ done: number; failed: number; total: number }>('progress');

export const state = defineQuery<ProcessState>('state');
/** What a process does right now, for operators. */
export interface ProcessState {
  readonly phase: string;
  readonly waitsFor: string | null;
}
