/** Every route of the hub. Served and documented from this one list. */
import type { Route } from '../route';
import { webhookRoutes } from '../webhooks/routes';
import { accountRoutes } from './accounts';
import { auditRoutes } from './audit';
import { automationRoutes } from './automation';
import { billingRoutes } from './billing';
import { bulkRoutes } from './bulk';
import { catalogueRoutes } from './catalogue';
import { healthRoutes } from './health';
import { importRoutes } from './imports';
import { labelRoutes } from './labels';
import { notificationSubscriptionRoutes } from './notification-subscriptions';
import { operationRoutes } from './operations';
import { orderRoutes } from './orders';
import { partnershipRoutes } from './partnerships';
import { pricingRoutes } from './pricing';
import { productRoutes } from './products';
import { pushPreviewRoutes } from './push-preview';
import { pushRecordRoutes } from './push-records';
import { pushRuleRoutes } from './push-rules';
import { returnRoutes } from './returns';
import { statementRoutes } from './statements';
import { stockPushNowRoutes } from './stock-pushes';
import { storeRoutes } from './stores';
import { supplierPushRuleRoutes } from './supplier-push-rule';
import { supplierSetupRoutes } from './supplier-setup';
import { supplyOrderRoutes } from './supply-orders';
import { verificationRoutes } from './verification';
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
  ...statementRoutes,
  ...verificationRoutes,
  // Before what takes any SKU's code in their place.
  ...importRoutes,
  ...catalogueRoutes,
  ...productRoutes,
  ...pricingRoutes,
  ...visibilityRoutes,
  ...storeRoutes,
  ...pushRuleRoutes,
  ...pushRecordRoutes,
  // Before what takes any order's or operation's id in their place.
  ...bulkRoutes,
  ...stockPushNowRoutes,
  ...pushPreviewRoutes,
  ...supplierPushRuleRoutes,
  ...orderRoutes,
  ...supplyOrderRoutes,
  ...labelRoutes,
  ...returnRoutes,
  ...automationRoutes,
  ...operationRoutes,
];
