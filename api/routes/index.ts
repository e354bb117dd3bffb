/** Every route of the hub. Served and documented from this one list. */
import type { Route } from '../route';
import { webhookRoutes } from '../webhooks/routes';
import { accountRoutes } from './accounts';
import { auditRoutes } from './audit';
import { billingRoutes } from './billing';
import { catalogueRoutes } from './catalogue';
import { healthRoutes } from './health';
import { importRoutes } from './imports';
import { notificationSubscriptionRoutes } from './notification-subscriptions';
import { operationRoutes } from './operations';
import { orderRoutes } from './orders';
import { partnershipRoutes } from './partnerships';
import { pricingRoutes } from './pricing';
import { productRoutes } from './products';
import { stockPushRoutes } from './stock-push';
import { storeRoutes } from './stores';
import { supplierSetupRoutes } from './supplier-setup';
import { supplyOrderRoutes } from './supply-orders';
import { visibilityRoutes } from './visibility';

export const ROUTES: readonly Route[] = [
  ...healthRoutes,
  ...webhookRoutes,
  ...auditRoutes,
  ...accountRoutes,
  ...notificationSubscriptionRoutes,
  ...supplierSetupRoutes,
  ...partnershipRoutes,
  ...billingRoutes,
  // Before what takes any SKU's code in their place.
  ...importRoutes,
  ...catalogueRoutes,
  ...productRoutes,
  ...pricingRoutes,
  ...visibilityRoutes,
  ...storeRoutes,
  ...stockPushRoutes,
  ...orderRoutes,
  ...supplyOrderRoutes,
  ...operationRoutes,
];
