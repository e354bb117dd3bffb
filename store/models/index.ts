/** The mongoose models. Each index carries its reason. Validation proper is at the borders (zod); these schemas refuse unknown paths. */
import { type Connection, type Model, Schema, type SchemaDefinition } from 'mongoose';
import type * as D from './documents';

const text = { type: String, required: true } as const;
const optionalText = { type: String, default: null } as const;
const whole = { type: Number, required: true } as const;
const optionalNumber = { type: Number, default: null } as const;
const flag = { type: Boolean, required: true } as const;
const time = { type: Date, required: true } as const;
const optionalTime = { type: Date, default: null } as const;
/** A nested value whose shape zod and the compiler hold. */
const value = { type: Schema.Types.Mixed, default: null } as const;
const values = { type: [Schema.Types.Mixed], required: true } as const;
const texts = { type: [String], required: true } as const;
/** What a job that may be a dry run has, whatever it does. */
const job = { _id: text, status: text, dryRun: flag, createdAt: time, endedAt: optionalTime } as const;
/** How long a push record's history keeps a result. */
export const HISTORY_MS = 30 * 86_400_000;
/** An account's list, newest first. */
const NEWEST_OF_ACCOUNT: [Record<string, 1 | -1>] = [{ account: 1, _id: -1 }];

function schema<T>(definition: Record<keyof T & string, unknown>, ...indexes: [Record<string, 1 | -1>, object?][]) {
  const made = new Schema<T>(definition as SchemaDefinition<T>, {
    strict: 'throw',
    strictQuery: 'throw',
    versionKey: false,
    minimize: false,
    autoCreate: false,
    autoIndex: false,
    _id: false,
  });
  for (const [fields, options] of indexes) made.index(fields, options);
  // Outside a transaction the embedded engine lets one that meets a document of an open transaction wait for that with the
  // collection locked, and the transaction's next write then for ever: neither is answered. Use bulkWrite there.
  made.pre(['updateMany', 'deleteMany'], function () {
    if (!this.getOptions().session) throw new Error('updateMany and deleteMany only inside a transaction');
  });
  return made;
}

/** What changes or removes documents, by mongoose and by the driver. */
const CHANGING_QUERIES = [
  'updateOne',
  'updateMany',
  'replaceOne',
  'deleteOne',
  'deleteMany',
  'findOneAndUpdate',
  'findOneAndReplace',
  'findOneAndDelete',
] as const;
/** Collections into which documents are inserted, and nothing else is done to them. */
const APPEND_ONLY = new WeakSet<Schema>();

const refuseChange = (): never => {
  throw new Error('These documents are only ever inserted');
};

/** Documents of this schema are never changed or removed: whoever tries is refused before the database hears of it. */
function appendOnly<S extends Schema>(made: S): S {
  const { pre } = made as unknown as { pre(names: readonly string[], options: object, hook: () => void): void };
  pre.call(made, CHANGING_QUERIES, { query: true, document: true }, refuseChange);
  made.pre('save', function () {
    if (!this.isNew) refuseChange();
  });
  APPEND_ONLY.add(made);
  return made;
}

/** The same for those who speak to the driver's collection, past mongoose. */
function guardCollection(collection: object): void {
  const guarded = collection as Record<string, unknown>;
  for (const name of [...CHANGING_QUERIES, 'drop', 'rename']) guarded[name] = async () => refuseChange();
  for (const name of ['initializeOrderedBulkOp', 'initializeUnorderedBulkOp']) guarded[name] = refuseChange;
  const bulkWrite = guarded.bulkWrite as (operations: readonly object[], ...rest: unknown[]) => Promise<unknown>;
  guarded.bulkWrite = async (operations: readonly object[], ...rest: unknown[]) => {
    for (const operation of operations) if (Object.keys(operation).some((name) => name !== 'insertOne')) refuseChange();
    return bulkWrite.call(collection, operations, ...rest);
  };
}

// On the embedded engine a unique index keeps its entry of a value that an update took away: the value stays taken until the
// document is deleted. So unique indexes cover what never changes; what is unique for a time is a document of its own.
const schemas = {
  // By id only.
  accounts: schema<D.AccountDoc>({
    _id: text,
    name: text,
    plan: text,
    inventoryEnabled: flag,
    orderQuota: optionalNumber,
    ruleTurns: { type: Number },
    createdAt: time,
  }),
  apiKeys: schema<D.ApiKeyDoc>(
    { _id: text, account: text, name: text, hash: text, permissions: texts, createdAt: time, revokedAt: optionalTime },
    // The list of an account's keys.
    [{ account: 1, _id: 1 }],
  ),
  quotas: schema<D.QuotaDoc>({ _id: text, account: text, used: whole }),
  warehouses: schema<D.WarehouseDoc>(
    { _id: text, account: text, name: text, kind: text, source: value, createdAt: time },
    [{ account: 1, _id: 1 }],
    // One view per partnership and supplier warehouse: an approval that is repeated makes none twice.
    [
      { 'source.partnership': 1, 'source.warehouse': 1 },
      { unique: true, partialFilterExpression: { kind: 'supplier' } },
    ],
  ),
  skus: schema<D.SkuDoc>(
    {
      _id: text,
      account: text,
      sku: text,
      name: text,
      kind: text,
      components: values,
      category: { type: String },
      mirror: value,
      followers: whole,
      command: optionalText,
      createdAt: time,
    },
    [{ account: 1, sku: 1 }],
    // Which combinations a component's change touches.
    [{ account: 1, 'components.sku': 1 }],
  ),
  stock: schema<D.StockDoc>(
    {
      _id: text,
      account: text,
      warehouse: text,
      sku: text,
      onHand: whole,
      allocated: whole,
      reserved: whole,
      inTransit: whole,
      available: whole,
      mirrored: flag,
      followers: whole,
    },
    [{ account: 1, sku: 1, warehouse: 1 }],
  ),
  stockJournal: schema<D.StockJournalDoc>(
    {
      _id: text,
      account: text,
      warehouse: text,
      sku: text,
      kind: text,
      reason: { type: String, default: '' },
      document: text,
      before: value,
      after: value,
      at: time,
    },
    // Newest first, by SKU and warehouse.
    [{ account: 1, at: -1, _id: -1 }],
    [{ account: 1, sku: 1, at: -1, _id: -1 }],
  ),
  customers: schema<D.CustomerDoc>({ _id: text, account: text, name: text, linked: flag, createdAt: time }, [
    { account: 1, _id: 1 },
  ]),
  suppliers: schema<D.SupplierDoc>(
    {
      _id: text,
      baseCurrency: optionalText,
      bigshop: value,
      rounding: text,
      fees: value,
      rates: values,
      steps: texts,
      live: flag,
      pushed: flag,
      touched: whole,
      pushRule: { type: Schema.Types.Mixed },
      claimsRevision: whole,
      claimsDueSince: optionalTime,
      createdAt: time,
    },
    // Set-ups that are not live, for the sweep.
    [{ live: 1, createdAt: -1 }],
    // Whose claims are to be looked at, for the sweep.
    [{ claimsDueSince: 1 }, { partialFilterExpression: { claimsDueSince: { $type: 'date' } } }],
  ),
  visibilityRules: schema<D.VisibilityRuleDoc>(
    {
      _id: text,
      supplier: text,
      number: whole,
      enabled: flag,
      kind: text,
      products: value,
      distributors: value,
      createdAt: time,
      updatedAt: time,
    },
    // The strongest first.
    [{ supplier: 1, number: 1 }],
  ),
  disabledProducts: schema<D.DisabledProductDoc>(
    { _id: text, supplier: text, sku: text, distributor: text, at: time },
    [{ supplier: 1, distributor: 1 }],
  ),
  liveRates: schema<D.LiveRateDoc>({ _id: text, from: text, to: text, rate: text, fetchedAt: time }),
  priceLevels: schema<D.PriceLevelDoc>(
    { _id: text, supplier: text, name: text, rule: value, uses: whole, createdAt: time, updatedAt: time },
    [{ supplier: 1, _id: 1 }],
  ),
  skuPrices: schema<D.SkuPriceDoc>(
    { _id: text, supplier: text, sku: text, level: optionalText, amount: whole, updatedAt: time },
    [{ supplier: 1, _id: 1 }],
    // What a price is computed from.
    [{ supplier: 1, sku: 1, level: 1 }],
  ),
  invitations: schema<D.InvitationDoc>(
    { _id: text, supplier: text, tokenHash: text, expiresAt: time, revokedAt: optionalTime, createdAt: time },
    [{ supplier: 1, _id: -1 }],
    [{ tokenHash: 1 }, { unique: true }],
  ),
  partnerships: schema<D.PartnershipDoc>(
    {
      _id: text,
      supplier: text,
      distributor: text,
      status: text,
      open: flag,
      application: value,
      invitation: text,
      customer: optionalText,
      settlementCurrency: optionalText,
      level: optionalText,
      warehouses: texts,
      claimsRevision: whole,
      claimTurns: whole,
      reason: optionalText,
      note: optionalText,
      commands: texts,
      appliedAt: time,
      decidedAt: optionalTime,
      endedAt: optionalTime,
      endedBy: optionalText,
    },
    // A pair's, the open one among them; see openPairs.
    [{ supplier: 1, distributor: 1 }],
    [{ supplier: 1, _id: -1 }],
    [{ distributor: 1, _id: -1 }],
    // Those that have a process, for the sweep.
    [{ open: 1, appliedAt: -1 }],
    // Those whose claims are to be looked at.
    [{ supplier: 1, status: 1, claimsRevision: 1 }],
  ),
  openPairs: schema<D.OpenPairDoc>({ _id: text, partnership: text }),
  billingAccounts: schema<D.BillingAccountDoc>(
    {
      _id: text,
      supplier: text,
      distributor: text,
      currency: text,
      balance: whole,
      creditLimit: whole,
      creditPeriodDays: optionalNumber,
      lowBalance: optionalNumber,
      records: whole,
      lastRecordAt: optionalTime,
      creditSince: optionalTime,
      creditDueAt: optionalTime,
      creditTellAt: optionalTime,
    },
    // A supplier's summary, and either side's verification.
    [{ supplier: 1, _id: 1 }],
    [{ distributor: 1, _id: 1 }],
    // Credit periods that ended, for the sweep.
    [{ creditTellAt: 1 }, { partialFilterExpression: { creditTellAt: { $type: 'date' } } }],
  ),
  records: appendOnly(
    schema<D.RecordDoc>(
      {
        _id: text,
        partnership: text,
        supplier: text,
        distributor: text,
        number: whole,
        type: text,
        package: optionalText,
        document: optionalText,
        lines: values,
        note: optionalText,
        amount: whole,
        currency: text,
        given: value,
        balanceAfter: whole,
        correction: value,
        at: time,
      },
      // Lists, and the chain of an account's records.
      [{ partnership: 1, number: 1 }, { unique: true }],
      // Statements: what lies before and within a period.
      [{ partnership: 1, at: 1, number: 1 }],
      // What was charged and given back for a package.
      [{ package: 1 }],
    ),
  ),
  verifications: schema<D.VerificationDoc>(
    {
      ...job,
      account: optionalText,
      repair: flag,
      checks: { type: Schema.Types.Mixed, required: true },
      found: whole,
      booked: whole,
    },
    NEWEST_OF_ACCOUNT,
  ),
  discrepancies: schema<D.DiscrepancyDoc>(
    {
      _id: text,
      verification: text,
      kind: text,
      subject: text,
      partnership: optionalText,
      documents: texts,
      expected: optionalText,
      found: optionalText,
      lacks: value,
      compensation: value,
      booked: optionalText,
    },
    [{ verification: 1, _id: 1 }],
  ),
  products: schema<D.ProductDoc>(
    { _id: text, supplier: text, sku: text, status: text, attempt: whole, basePrice: optionalNumber, createdAt: time },
    [{ supplier: 1, sku: 1 }],
  ),
  files: schema<D.FileDoc>(
    { _id: text, account: text, bytes: whole, chunks: whole, document: optionalText, createdAt: time },
    // Those whose request never was accepted, for the sweep.
    [{ document: 1, createdAt: 1 }],
  ),
  fileChunks: schema<D.FileChunkDoc>({ _id: text, body: { type: Schema.Types.Buffer, required: true } }),
  imports: schema<D.ImportDoc>(
    {
      ...job,
      account: text,
      kind: text,
      format: text,
      sheet: optionalText,
      mayDistribute: flag,
      currency: optionalText,
      file: text,
      reading: optionalText,
      rows: value,
      failure: value,
      undo: value,
    },
    NEWEST_OF_ACCOUNT,
  ),
  importBatches: schema<D.ImportBatchDoc>(
    {
      _id: text,
      import: text,
      reading: text,
      number: whole,
      rows: whole,
      failed: whole,
      changed: whole,
      left: whole,
      applied: flag,
      undone: flag,
      body: text,
      outcome: optionalText,
      remains: optionalText,
    },
    [{ import: 1, reading: 1, number: 1 }],
  ),
  productLog: schema<D.ProductLogDoc>(
    {
      _id: text,
      supplier: text,
      sku: text,
      what: text,
      who: text,
      distributor: optionalText,
      why: optionalText,
      at: time,
    },
    [{ supplier: 1, sku: 1, at: -1, _id: -1 }],
  ),
  claims: schema<D.ClaimDoc>(
    {
      _id: text,
      partnership: text,
      supplier: text,
      distributor: text,
      supplierSku: text,
      sku: text,
      stopped: flag,
      causes: texts,
      inactiveSince: optionalTime,
      shownPrice: optionalNumber,
      billedPrice: optionalNumber,
      orders: whole,
      claimedAt: time,
    },
    // Whom a change of the supplier's SKU concerns.
    [{ supplier: 1, supplierSku: 1 }],
    // From a merchant SKU to its claim: order lines, lanes, a SKU that is deleted.
    [{ distributor: 1, sku: 1 }],
    [{ partnership: 1, supplierSku: 1 }],
  ),
  stores: schema<D.StoreDoc>(
    {
      _id: text,
      account: text,
      platform: text,
      name: text,
      shopId: optionalText,
      shopKey: optionalText,
      status: text,
      tokens: optionalText,
      accessExpiresAt: optionalTime,
      refreshExpiresAt: optionalTime,
      tokenVersion: whole,
      missed: whole,
      refreshLease: value,
      createdAt: time,
    },
    [{ account: 1, _id: 1 }],
    // Whose shop a push is about.
    [{ shopKey: 1 }],
    // Tokens near their end, for the sweep.
    [{ status: 1, accessExpiresAt: 1 }],
  ),
  shops: schema<D.ShopDoc>({ _id: text, store: text }),
  orderPolls: schema<D.OrderPollDoc>(
    {
      _id: text,
      account: text,
      platform: text,
      active: flag,
      until: time,
      lookedAt: time,
      everyMs: optionalNumber,
      failure: value,
    },
    // Stores that nobody polls, for the sweep.
    [{ active: 1, lookedAt: 1 }],
  ),
  authorizationStates: schema<D.AuthorizationStateDoc>({ _id: text, account: text, store: text, expiresAt: time }, [
    { expiresAt: 1 },
    { expireAfterSeconds: 0 },
  ]),
  listings: schema<D.ListingDoc>(
    {
      _id: text,
      account: text,
      store: text,
      item: text,
      model: text,
      sellerSku: { type: String, default: '' },
      title: { type: String, default: '' },
      imageUrl: optionalText,
      variation: { type: String, default: '' },
      price: text,
      currency: text,
      platformQuantity: whole,
      status: text,
      sku: optionalText,
      unconnectedReason: optionalText,
      automatic: flag,
      preOrder: value,
      missed: whole,
      updatedAt: time,
    },
    [{ store: 1, _id: 1 }],
    // The listings that a SKU's change concerns.
    [{ account: 1, sku: 1 }],
  ),
  dues: schema<D.DueDoc>(
    {
      _id: text,
      lane: text,
      account: text,
      subject: text,
      item: text,
      urgent: flag,
      forced: flag,
      stamp: text,
      tries: whole,
      calls: { type: Number, default: undefined },
      changes: whole,
      cause: text,
      order: optionalText,
      ruleTurn: optionalNumber,
      jobs: { type: [String], default: undefined },
      since: time,
      failed: flag,
    },
    // What a lane takes next: zeros first, then oldest.
    [{ lane: 1, failed: 1, urgent: -1, since: 1 }],
    // The rest of the item it took first.
    [{ lane: 1, item: 1, failed: 1 }],
    // What the sweep looks for.
    [{ failed: 1, since: 1 }],
  ),
  pushRecords: schema<D.PushRecordDoc>(
    {
      _id: text,
      account: text,
      kind: text,
      sku: text,
      store: optionalText,
      distributor: optionalText,
      accepted: optionalNumber,
      unanswered: { type: Boolean },
      passedBy: { type: Boolean },
      latest: value,
      results: { type: Number },
    },
    [{ account: 1, kind: 1, _id: 1 }],
    [{ account: 1, kind: 1, sku: 1 }],
  ),
  // One small document instead of a mark on each record of a call.
  storeCalls: schema<D.StoreCallDoc>({
    ...{ _id: text, pass: optionalText, caller: optionalText, until: optionalTime, listings: [String] },
  }),
  // Beside their records, which are written with every push and stay small.
  pushHistory: schema<D.PushHistoryDoc>(
    {
      ...{ _id: text, number: whole, quantity: optionalNumber, before: optionalNumber, cause: text },
      ...{ rule: optionalText, revision: optionalNumber, at: time, outcome: text, error: optionalText },
      ...{ attempts: whole, changes: whole },
    },
    [{ at: 1 }, { expireAfterSeconds: HISTORY_MS / 1_000 }],
  ),
  pushRules: schema<D.PushRuleDoc>(
    {
      _id: text,
      account: text,
      name: text,
      enabled: flag,
      priority: whole,
      revision: whole,
      skus: value,
      warehouses: texts,
      stores: texts,
      inventoryType: text,
      quantity: value,
      zeroBelow: optionalNumber,
      lowStock: value,
      preOrder: value,
      updatedAt: time,
    },
    [{ account: 1, priority: 1 }],
  ),
  distributionRules: schema<D.DistributionRuleDoc>({
    _id: text,
    supplier: text,
    revision: whole,
    zeroBelow: optionalNumber,
    lowStock: value,
    at: time,
  }),
  preOrders: schema<D.PreOrderDoc>(
    { _id: text, account: text, rule: text, store: text, sku: text, since: time },
    // Those of a store's batch.
    [{ store: 1, sku: 1 }],
  ),
  stockPushes: schema<D.StockPushDoc>(
    {
      _id: text,
      account: text,
      target: value,
      cursor: optionalText,
      marked: flag,
      createdAt: time,
      expiresAt: time,
    },
    [{ expiresAt: 1 }, { expireAfterSeconds: 0 }],
  ),
  stockPushItems: schema<D.StockPushItemDoc>(
    { _id: text, job: text, listing: text, store: text, outcome: text, expiresAt: time },
    // How far a Push Now is, and what of it still waits.
    [{ job: 1, outcome: 1, _id: 1 }],
    [{ expiresAt: 1 }, { expireAfterSeconds: 0 }],
  ),
  pushRuleRevisions: schema<D.PushRuleRevisionDoc>(
    {
      _id: text,
      account: text,
      rule: text,
      revision: whole,
      values: value,
      fromTurn: whole,
      untilTurn: whole,
      at: time,
    },
    // Those in force at one turn; most ended before it.
    [{ account: 1, untilTurn: 1, fromTurn: 1 }],
  ),
  automations: schema<D.AutomationDoc>({
    _id: text,
    account: text,
    kind: text,
    settings: value,
    revision: whole,
    updatedAt: time,
  }),
  orders: schema<D.OrderDoc>(
    {
      _id: text,
      account: text,
      store: text,
      platform: text,
      storeName: text,
      platformOrder: text,
      platformState: text,
      version: whole,
      state: text,
      currency: text,
      shipping: text,
      lines: values,
      amount: optionalNumber,
      awaitsPickup: flag,
      tags: texts,
      marketing: flag,
      gifts: values,
      recipient: optionalText,
      packages: texts,
      cancellation: value,
      lineWishes: values,
      syncedAt: optionalTime,
      ruleTurn: optionalNumber,
      placedAt: time,
      createdAt: time,
    },
    // The platform's number within a store identifies an order.
    [{ account: 1, store: 1, platformOrder: 1 }, { unique: true }],
    NEWEST_OF_ACCOUNT,
    // Open cancellations, for the sweep.
    [{ 'cancellation.askedAt': 1 }, { partialFilterExpression: { 'cancellation.open': true } }],
    // Searched by its number, in whichever store.
    [{ account: 1, platformOrder: 1 }],
    // Those with a tag.
    [{ account: 1, tags: 1, _id: -1 }],
    // Orders that wait for a SKU, for the sweep.
    [{ syncedAt: 1, 'lines.unmappedReason': 1, _id: 1 }, { partialFilterExpression: { syncedAt: null } }],
    // Those that wait for one that is made just now.
    [{ account: 1, syncedAt: 1, 'lines.code': 1 }, { partialFilterExpression: { syncedAt: null } }],
    // Unmapped orders that a listing which is connected now resolves.
    [{ account: 1, syncedAt: 1, 'lines.listing': 1 }],
  ),
  packages: schema<D.PackageDoc>(
    {
      _id: text,
      account: text,
      order: text,
      store: text,
      platform: text,
      storeName: text,
      shipping: text,
      partnership: optionalText,
      supplier: optionalText,
      partnered: flag,
      warehouse: optionalText,
      supplierWarehouse: optionalText,
      currency: optionalText,
      lines: values,
      status: text,
      allocated: flag,
      attempt: whole,
      outbound: value,
      parked: flag,
      blockers: values,
      failure: value,
      charge: value,
      supplyOrder: optionalText,
      recall: value,
      shipment: value,
      returned: value,
      allocationRule: optionalText,
      label: value,
      autoPush: value,
      syncedAt: time,
      pushedAt: optionalTime,
      updatedAt: time,
    },
    [{ order: 1 }],
    // Orders by the status, or the supplier, of their packages.
    [{ account: 1, status: 1, order: -1 }],
    [{ account: 1, partnership: 1, order: -1 }],
    // A product's sales, and the unfinished orders that hold a claim.
    [{ supplier: 1, 'lines.supplierSku': 1, pushedAt: 1 }],
    // Open pushes, for the sweep.
    [{ status: 1, updatedAt: 1 }, { partialFilterExpression: { status: 'pushing' } }],
    [{ parked: 1, updatedAt: 1 }, { partialFilterExpression: { parked: true } }],
    // Shipments that their platform was not told of, for the sweep.
    [{ 'shipment.lookAt': 1 }, { partialFilterExpression: { 'shipment.open': true } }],
    // Open recalls, for the sweep.
    [{ 'recall.open': 1, updatedAt: 1 }, { partialFilterExpression: { 'recall.open': true } }],
    // Those that are to be pushed by themselves, for the sweep.
    [{ 'autoPush.lookAt': 1 }, { partialFilterExpression: { 'autoPush.open': true } }],
    // Open ones that a dry run looks at.
    [{ account: 1, status: 1, _id: -1 }],
    // Those that wait for goods of these SKUs.
    [{ account: 1, 'lines.sku': 1, _id: 1 }, { partialFilterExpression: { status: 'new', allocated: false } }],
  ),
  supplyOrders: schema<D.SupplyOrderDoc>(
    {
      _id: text,
      supplier: text,
      distributor: text,
      partnership: text,
      package: text,
      attempt: whole,
      status: text,
      warehouse: text,
      sourceStore: text,
      platform: text,
      paymentMethod: text,
      shipping: text,
      lines: values,
      currency: text,
      charge: value,
      recipient: optionalText,
      recall: value,
      shipment: value,
      printed: value,
      returnFee: value,
      returned: value,
      cancelledFrom: optionalText,
      outbound: value,
      stockedIn: value,
      moves: value,
      tags: texts,
      carrier: value,
      auto: value,
      pushedAt: time,
      updatedAt: time,
    },
    [{ supplier: 1, _id: -1 }],
    // Those with a tag.
    [{ supplier: 1, tags: 1, _id: -1 }],
    // Those that are to be moved by themselves, for the sweep.
    [{ 'auto.lookAt': 1 }, { partialFilterExpression: { 'auto.open': true } }],
    // From a package.
    [{ package: 1 }],
  ),
  returns: schema<D.ReturnDoc>(
    {
      _id: text,
      supplyOrder: text,
      package: text,
      supplier: text,
      distributor: text,
      partnership: text,
      lines: values,
      warehouse: optionalText,
      note: optionalText,
      refund: whole,
      charge: whole,
      currency: text,
      at: time,
    },
    // Those of a supply order, and of an order's packages.
    [{ supplyOrder: 1, at: -1, _id: -1 }],
    [{ package: 1, at: -1, _id: -1 }],
  ),
  bulks: schema<D.BulkDoc>({ _id: text, account: text, kind: text, by: text, createdAt: time }),
  bulkItems: schema<D.BulkItemDoc>(
    { _id: text, bulk: text, item: text, state: text, waitsFor: texts, result: value },
    // What is to be begun, and what was begun.
    [{ bulk: 1, state: 1, _id: 1 }],
  ),
  inbox: schema<D.InboxDoc>(
    {
      _id: text,
      platform: text,
      shopId: optionalText,
      account: optionalText,
      store: optionalText,
      platformOrder: optionalText,
      body: text,
      status: text,
      receivedAt: time,
      expiresAt: optionalTime,
    },
    // What an intake takes, and what the sweep looks for.
    [{ status: 1, receivedAt: 1 }],
    [{ store: 1, platformOrder: 1 }],
    [{ expiresAt: 1 }, { expireAfterSeconds: 0 }],
  ),
  commands: schema<D.CommandDoc>({ _id: text, result: text, expiresAt: time }, [
    { expiresAt: 1 },
    { expireAfterSeconds: 0 },
  ]),
  idempotency: schema<D.IdempotencyDoc>(
    {
      _id: text,
      account: text,
      bodyHash: text,
      command: text,
      status: text,
      leaseUntil: time,
      answer: optionalText,
      expiresAt: time,
    },
    [{ expiresAt: 1 }, { expireAfterSeconds: 0 }],
  ),
  operations: schema<D.OperationDoc>(
    {
      _id: text,
      accounts: texts,
      kind: text,
      workflowId: text,
      document: text,
      status: text,
      progress: value,
      result: value,
      error: value,
      createdAt: time,
      updatedAt: time,
    },
    [{ accounts: 1, createdAt: -1, _id: -1 }],
    [{ accounts: 1, status: 1, createdAt: -1, _id: -1 }],
  ),
  notifications: schema<D.NotificationDoc>(
    {
      _id: text,
      account: text,
      event: text,
      title: text,
      document: text,
      detail: optionalText,
      readAt: optionalTime,
      at: time,
    },
    [{ account: 1, at: -1, _id: -1 }],
  ),
  // By account alone.
  notificationSubscriptions: schema<D.NotificationSubscriptionDoc>({
    _id: text,
    email: optionalText,
    https: value,
    events: value,
    updatedAt: time,
  }),
  deliveries: schema<D.DeliveryDoc>(
    {
      _id: text,
      account: text,
      notification: text,
      channel: text,
      status: text,
      error: value,
      createdAt: time,
      updatedAt: time,
    },
    // What is still to go out, for the sweep.
    [{ status: 1, updatedAt: 1 }],
  ),
  auditRows: schema<D.AuditRowDoc>(
    {
      _id: whole,
      id: text,
      at: time,
      account: optionalText,
      actor: value,
      action: text,
      route: text,
      objects: texts,
      request: optionalText,
      command: optionalText,
      address: optionalText,
      outcome: text,
      status: optionalNumber,
      code: optionalText,
      before: optionalText,
      after: optionalText,
      prev: text,
      hash: text,
    },
    // An account's log, newest first, and one object's in it.
    [{ account: 1, _id: -1 }],
    [{ account: 1, objects: 1, _id: -1 }],
    // Whether an intent became a row.
    [{ id: 1 }],
  ),
  auditIntents: schema<D.AuditIntentDoc>(
    { _id: text, at: time, intent: text },
    // Those that dead processes left, for the sweep.
    [{ at: 1 }],
  ),
  auditHeads: schema<D.AuditHeadDoc>({ _id: text, count: whole, hash: text, seal: text, pending: values, at: time }),
  auditDailyHeads: schema<D.AuditDailyHeadDoc>({ _id: text, count: whole, hash: text, at: time }),
} as const;

type DocumentOf<S> = S extends Schema<infer T> ? T : never;
export type Models = { [Name in keyof typeof schemas]: Model<DocumentOf<(typeof schemas)[Name]>> };

/** Binds the models to one connection. Collections and indexes are made by `prepareCollections`. */
export function createModels(connection: Connection): Models {
  const models: Record<string, unknown> = {};
  for (const [name, definition] of Object.entries(schemas)) {
    const model = connection.model(name, definition as Schema, name);
    if (APPEND_ONLY.has(definition as Schema)) guardCollection(model.collection);
    models[name] = model;
  }
  return models as Models;
}

/** Makes what is missing of collections and indexes: once at start, before traffic. Safe to repeat and to run twice at once. */
export async function prepareCollections(models: Models): Promise<void> {
  for (const model of Object.values(models) as unknown as Model<unknown>[]) {
    await model.createCollection().catch((error: { codeName?: string; code?: number }) => {
      if (error.code !== 48) throw error;
    });
    await model.createIndexes();
  }
}
