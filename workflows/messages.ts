/** Every message a process takes: signals are events in the past tense, queries nouns, updates commands. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { PartnershipStatus } from '../domain/partnership';

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

export interface ApprovalCommand {
  readonly supplier: string;
  readonly command: string;
  readonly customer: { readonly id: string } | { readonly name: string };
  readonly settlementCurrency: string;
  readonly level: string | null;
  readonly warehouses: readonly string[];
  /** Minor units. */
  readonly creditLimit: number | null;
  readonly creditPeriodDays: number | null;
}
/** Approves an application. The answer is the new status, or the refusal as a value. */
export const approve = defineUpdate<DecisionAnswer, [ApprovalCommand]>('approve');

export type DecisionAnswer =
  | { readonly ok: true; readonly status: PartnershipStatus }
  | {
      readonly ok: false;
      readonly code: string;
      readonly detail: string;
      readonly members: Record<string, unknown>;
      readonly errors: readonly { pointer: string; code: string; detail: string }[];
    };

export const state = defineQuery<ProcessState>('state');
/** What a process does right now, for operators. */
export interface ProcessState {
  readonly phase: string;
  readonly waitsFor: string | null;
}
