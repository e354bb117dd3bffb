/** Every process the worker runs. Nothing here may import axios, mongoose, express or winston: a test holds the bundle free of them. */

export { billingVerification } from './billing-verification';
export { bulkOperation } from './bulk-operation';
export { claimLane } from './claim-lane';
export { importFile as import, importUndo } from './import';
export { listingDownload } from './listing-download';
export { mirrorLane } from './mirror-lane';
export { notificationDelivery } from './notification-delivery';
export { orderCancel } from './order-cancel';
export { orderIntake } from './order-intake';
export { orderPoll } from './order-poll';
export { orderPush } from './order-push';
export { orderRecall } from './order-recall';
export { partnership } from './partnership';
export { productPublication } from './product-publication';
export { stockPush } from './stock-push';
export { storeLane } from './store-lane';
export { supplierSetup } from './supplier-setup';
export { supplyOrder } from './supply-order';
export { sweep } from './sweep';
