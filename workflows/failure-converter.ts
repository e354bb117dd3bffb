/** Failures carry messages and stack traces: with this they are encoded like payloads. Loaded by name, also into the workflow sandbox. */
import { DefaultFailureConverter } from '@temporalio/common';

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
