/** The store as the other rooms see it: one object of repositories, each returning plain values. */
import { connectDatabase, type Database, type DatabaseOptions } from './database';
import { createAccountRepository } from './repositories/accounts';
import { createAuditRepository } from './repositories/audit';
import { createAutomationRepository } from './repositories/automation';
import { createAutomationPreview } from './repositories/automation-preview';
import { createBillingRepository } from './repositories/billing';
import { createBulkRepository } from './repositories/bulks';
import { createCatalogueRepository } from './repositories/catalogue';
import { createClaimRepository } from './repositories/claims';
import { createDeliveryRepository } from './repositories/deliveries';
import { createDistributionRuleRepository } from './repositories/distribution-rules';
import { createDueRepository } from './repositories/dues';
import { createExportRepository } from './repositories/exports';
import { createFileRepository } from './repositories/files';
import { createImportRepository } from './repositories/imports';
import { createIdempotencyRepository, createInboxRepository } from './repositories/inbox';
import { createLaneRepository } from './repositories/lanes';
import { createLevelRepository } from './repositories/levels';
import { createMirrorRepository } from './repositories/mirror';
import { createNotificationRepository } from './repositories/notifications';
import { createOfferRepository } from './repositories/offers';
import { createOperationRepository } from './repositories/operations';
import { createOrderPollRepository } from './repositories/order-polls';
import { createOrderRepository } from './repositories/orders';
import { createPartnershipRepository } from './repositories/partnerships';
import { createPreOrderRepository } from './repositories/pre-orders';
import { createPriceRepository } from './repositories/prices';
import { createProductRepository } from './repositories/products';
import { createPushPreviewRepository } from './repositories/push-preview';
import { createPushRepository } from './repositories/pushes';
import { createRateRepository } from './repositories/rates';
import { createReturnRepository } from './repositories/returns';
import { createStatementRepository } from './repositories/statements';
import { createStockRepository } from './repositories/stock';
import { createStockPushRepository } from './repositories/stock-pushes';
import { createStoreRepository } from './repositories/stores';
import { createSubscriptionRepository } from './repositories/subscriptions';
import { createVerificationRepository } from './repositories/verification';
import { createVisibilityRepository } from './repositories/visibility';

function createStore(database: Database) {
  const orders = createOrderRepository(database);
  return {
    database,
    accounts: createAccountRepository(database),
    audit: createAuditRepository(database),
    automation: createAutomationRepository(database),
    automationPreview: createAutomationPreview(database, orders),
    billing: createBillingRepository(database),
    bulks: createBulkRepository(database),
    catalogue: createCatalogueRepository(database),
    deliveries: createDeliveryRepository(database),
    claims: createClaimRepository(database),
    distributionRules: createDistributionRuleRepository(database),
    dues: createDueRepository(database),
    exports: createExportRepository(database),
    files: createFileRepository(database),
    imports: createImportRepository(database),
    idempotency: createIdempotencyRepository(database),
    inbox: createInboxRepository(database),
    lanes: createLaneRepository(database),
    levels: createLevelRepository(database),
    mirror: createMirrorRepository(database),
    notifications: createNotificationRepository(database),
    offers: createOfferRepository(database),
    operations: createOperationRepository(database),
    orderPolls: createOrderPollRepository(database),
    orders,
    partnerships: createPartnershipRepository(database),
    preOrders: createPreOrderRepository(database),
    prices: createPriceRepository(database),
    products: createProductRepository(database),
    pushes: createPushRepository(database),
    pushPreviews: createPushPreviewRepository(database),
    rates: createRateRepository(database),
    returns: createReturnRepository(database),
    statements: createStatementRepository(database),
    stock: createStockRepository(database),
    stockPushes: createStockPushRepository(database),
    stores: createStoreRepository(database),
    subscriptions: createSubscriptionRepository(database),
    verification: createVerificationRepository(database),
    visibility: createVisibilityRepository(database),
  };
}
export type Store = ReturnType<typeof createStore>;

/** Connects and composes. The caller closes `store.database`. */
export async function connectStore(options: DatabaseOptions): Promise<Store> {
  return createStore(await connectDatabase(options));
}
