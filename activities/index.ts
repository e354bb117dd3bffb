/** All activities of the hub: business steps that may run twice. Workflows import the type alone. */

import { createAuditActivities } from './audit';
import { createBulkActivities } from './bulk';
import { createClaimActivities } from './claims';
import type { ActivityDeps } from './deps';
import { toApplicationFailure } from './failures';
import { createImportActivities } from './imports';
import { createListingActivities } from './listings';
import { createMirrorLaneActivities } from './mirror-lane';
import { createNotificationActivities } from './notifications';
import { createOrderCancelActivities } from './order-cancel';
import { createOrderIntakeActivities } from './order-intake';
import { createOrderPollActivities } from './order-poll';
import { createOrderPushActivities } from './order-push';
import { createOrderRecallActivities } from './order-recall';
import { createPartnershipActivities } from './partnership';
import { createStockPushActivities } from './stock-push';
import { createStoreLaneActivities } from './store-lane';
import { createSupplyOrderActivities } from './supply-order';
import { createSweepActivities } from './sweep';
import { createVerificationActivities } from './verification';

function compose(deps: ActivityDeps) {
  return {
    ...createAuditActivities(deps),
    ...createBulkActivities(deps),
    ...createImportActivities(deps),
    ...createClaimActivities(deps),
    ...createListingActivities(deps),
    ...createMirrorLaneActivities(deps),
    ...createNotificationActivities(deps),
    ...createOrderCancelActivities(deps),
    ...createOrderIntakeActivities(deps),
    ...createOrderPollActivities(deps),
    ...createOrderPushActivities(deps),
    ...createOrderRecallActivities(deps),
    ...createPartnershipActivities(deps),
    ...createStockPushActivities(deps),
    ...createStoreLaneActivities(deps),
    ...createSupplyOrderActivities(deps),
    ...createSweepActivities(deps),
    ...createVerificationActivities(deps),
  };
}

export type Activities = ReturnType<typeof compose>;

/** Makes the activities over their interfaces; whatever one throws leaves as a failure of the catalogue. */
export function createActivities(deps: ActivityDeps): Activities {
  const translated = Object.entries(compose(deps)).map(([name, run]) => [
    name,
    async (input: never) => {
      try {
        return await run(input);
      } catch (error) {
        const failure = toApplicationFailure(error);
        if ((failure as { type?: string }).type === 'internal')
          deps.logger.error('activity failed', {
            activity: name,
            error: error instanceof Error ? error.message : 'unknown',
          });
        throw failure;
      }
    },
  ]);
  return Object.fromEntries(translated) as Activities;
}
