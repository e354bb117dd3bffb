/** The store as the other rooms see it: one object of repositories, each returning plain values. */
import { connectDatabase, type Database, type DatabaseOptions } from './database';
import { createAccountRepository } from './repositories/accounts';
import { createAuditRepository } from './repositories/audit';
import { createBillingRepository } from './repositories/billing';
import { createCatalogueRepository } from './repositories/catalogue';
import { createClaimRepository } from './repositories/claims';
import { createDeliveryRepository } from './repositories/deliveries';
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
import { createOrderRepository } from './repositories/orders';
import { createPartnershipRepository } from './repositories/partnerships';
import { createPriceRepository } from './repositories/prices';
import { createProductRepository } from './repositories/products';
import { createPushRepository } from './repositories/pushes';
import { createRateRepository } from './repositories/rates';
import { createStockRepository } from './repositories/stock';
import { createStoreRepository } from './repositories/stores';
import { createSubscriptionRepository } from './repositories/subscriptions';
import { createVisibilityRepository } from './repositories/visibility';

export function createStore(database: Database) {
  return {
    database,
    accounts: createAccountRepository(database),
    audit: createAuditRepository(database),
    billing: createBillingRepository(database),
    catalogue: createCatalogueRepository(database),
    deliveries: createDeliveryRepository(database),
    claims: createClaimRepository(database),
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
    orders: createOrderRepository(database),
    partnerships: createPartnershipRepository(database),
    prices: createPriceRepository(database),
    products: createProductRepository(database),
    pushes: createPushRepository(database),
    rates: createRateRepository(database),
    stock: createStockRepository(database),
    stores: createStoreRepository(database),
    subscriptions: createSubscriptionRepository(database),
    visibility: createVisibilityRepository(database),
  };
}
export type Store = ReturnType<typeof createStore>;

/** Connects and composes. The caller closes `store.database`. */
export async function connectStore(options: DatabaseOptions): Promise<Store> {
  return createStore(await connectDatabase(options));
}
