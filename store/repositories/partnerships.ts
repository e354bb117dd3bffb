/** A supplier's set-up, invitations, customers, and partnerships. Contract: partnership.md. */
import { createHash, randomBytes } from 'node:crypto';
import type { ClientSession } from 'mongoose';
import { planReaches, SUPPLIER_PLAN } from '../../domain/accounts';
import { HubError } from '../../domain/failures';
import { idFor, newId } from '../../domain/ids';
import type { Currency } from '../../domain/money';
import { type Approval, canMove, INVITATION_DAYS, SETUP_STEPS, type SetupStep } from '../../domain/partnership';
import type { ExchangeRate, FeeSettings } from '../../domain/pricing';
import { type Database, found, isDuplicateKey, type Page, type PageRequest, toPage } from '../database';
import type { CustomerDoc, InvitationDoc, PartnershipDoc, SupplierDoc } from '../models/documents';
import { createLevelRepository } from './levels';
import { createNotificationRepository } from './notifications';
import { createPriceRepository } from './prices';

const DAY_MS = 86_400_000;
const tokenHash = (token: string) => createHash('sha256').update(token).digest('hex');

export interface ApplicationInput {
  readonly company: string;
  readonly contactName: string;
  readonly phone: string | null;
  readonly email: string | null;
  readonly channels: readonly string[];
  readonly message: string | null;
}

export type PartnershipRepository = ReturnType<typeof createPartnershipRepository>;

export function createPartnershipRepository(db: Database) {
  const { models, now, cipher } = db;
  const levels = createLevelRepository(db);
  const notifications = createNotificationRepository(db);
  const pricing = createPriceRepository(db);

  async function supplier(account: string, session: ClientSession | null = null): Promise<SupplierDoc> {
    return found(
      await models.suppliers.findById(account).session(session).lean(),
      'Distribution set-up; activate it first',
    );
  }

  /** Marks a step as done; the set-up is live once all are, and stays live. */
  async function completeStep(account: string, step: SetupStep, set: Partial<SupplierDoc>): Promise<SupplierDoc> {
    return db.transact(async (session) => {
      const before = await supplier(account, session);
      const steps = [...new Set([...before.steps, step])];
      return found(
        await models.suppliers
          .findByIdAndUpdate(
            account,
            { $set: { ...set, steps, live: before.live || SETUP_STEPS.every((name) => steps.includes(name)) } },
            { session, returnDocument: 'after' },
          )
          .lean(),
        'set-up',
      );
    });
  }

  /** Only the parties see a partnership. */
  async function get(party: string, id: string, session: ClientSession | null = null): Promise<PartnershipDoc> {
    return found(
      await models.partnerships
        .findOne({ _id: id, $or: [{ supplier: party }, { distributor: party }] })
        .session(session)
        .lean(),
      'partnership',
    );
  }

  return {
    supplier,
    get,

    /** Starts the set-up. 403 `plan_too_low`, 409 `inventory_off`; again it answers with what there is. */
    async activate(account: string): Promise<SupplierDoc> {
      const owner = found(await models.accounts.findById(account).lean(), 'account');
      if (!planReaches(owner.plan, SUPPLIER_PLAN))
        throw new HubError(
          'plan_too_low',
          `A supplier needs plan ${SUPPLIER_PLAN} or higher; this account is on ${owner.plan}`,
          {
            members: { plan: owner.plan, needed: SUPPLIER_PLAN },
          },
        );
      if (!owner.inventoryEnabled)
        throw new HubError('inventory_off', 'Turn it on with PATCH /v1/account {"inventoryEnabled":true}');
      await models.suppliers.updateOne(
        { _id: account },
        {
          $setOnInsert: {
            baseCurrency: null,
            bigshop: null,
            rounding: 'twoDecimals',
            fees: null,
            rates: [],
            steps: [],
            live: false,
            pushed: false,
            touched: 0,
            createdAt: now(),
          },
        },
        { upsert: true },
      );
      return supplier(account);
    },

    /**
     * 409 `base_currency_fixed` once an order has been pushed. Amounts of another currency mean nothing in the new one: base
     * and SKU prices, fees and rates are taken away and have to be given again.
     */
    async setBaseCurrency(account: string, currency: Currency): Promise<SupplierDoc> {
      const there = await supplier(account);
      if (there.baseCurrency === currency) return completeStep(account, 'base-currency', {});
      if (there.pushed) throw new HubError('base_currency_fixed', `It is ${there.baseCurrency}`);
      await db.transact(async (session) => {
        const { matchedCount } = await models.suppliers.updateOne(
          { _id: account, pushed: false },
          { $set: { baseCurrency: currency, fees: null, rates: [] }, $pull: { steps: { $in: ['pricing', 'fees'] } } },
          { session },
        );
        if (matchedCount === 0) throw new HubError('base_currency_fixed', 'An order was pushed just now');
        await models.products.updateMany({ supplier: account }, { $set: { basePrice: null } }, { session });
        await models.skuPrices.deleteMany({ supplier: account }, { session });
      });
      return completeStep(account, 'base-currency', {});
    },

    /** The step is done when there is a product. */
    async confirmProducts(account: string): Promise<SupplierDoc> {
      if (!(await models.products.exists({ supplier: account })))
        throw new HubError('setup_incomplete', 'There is no distribution product yet', {
          members: { missing: ['products'] },
        });
      return completeStep(account, 'products', {});
    },

    confirmPushRule: (account: string) => completeStep(account, 'push-rule', {}),
    setBigshop: (account: string, bigshop: { name: string; contact: string }) =>
      completeStep(account, 'bigshop', { bigshop }),

    /** The step is done when every distribution product has a price at every level in use. */
    async confirmPricing(account: string): Promise<SupplierDoc> {
      const missing = await pricing.missing(account, 50);
      if (missing.length > 0)
        throw new HubError('setup_incomplete', 'These products have no price', {
          members: { skus: [...new Set(missing.map(({ sku }) => sku))], prices: missing },
        });
      return completeStep(account, 'pricing', {});
    },

    setFees: (account: string, fees: FeeSettings) => completeStep(account, 'fees', { fees }),

    async setRates(account: string, rates: ExchangeRate[]): Promise<SupplierDoc> {
      return found(
        await models.suppliers.findByIdAndUpdate(account, { $set: { rates } }, { returnDocument: 'after' }).lean(),
        'Distribution set-up; activate it first',
      );
    },

    /** Makes an invitation. The token is shown once and kept as a hash. 409 `setup_incomplete` with what is missing. */
    async invite(account: string, command?: string): Promise<{ invitation: InvitationDoc; token: string }> {
      const setup = await supplier(account);
      if (!setup.live) {
        const missing = SETUP_STEPS.filter((step) => !setup.steps.includes(step));
        throw new HubError('setup_incomplete', `Still to do: ${missing.join(', ')}`, { members: { missing } });
      }
      const token = randomBytes(32).toString('base64url');
      const invitation: InvitationDoc = {
        _id: idFor('invitation', command),
        supplier: account,
        tokenHash: tokenHash(token),
        expiresAt: new Date(now().getTime() + INVITATION_DAYS * DAY_MS),
        revokedAt: null,
        createdAt: now(),
      };
      // A repeated command whose first answer was lost: nobody saw that token, so a new one takes its place.
      await models.invitations.replaceOne({ _id: invitation._id, supplier: account }, invitation, { upsert: true });
      return { invitation, token };
    },

    async invitations(account: string, page: PageRequest): Promise<Page<InvitationDoc>> {
      const rows = await models.invitations
        .find({ supplier: account, ...(page.after === null ? {} : { _id: { $lt: page.after } }) })
        .sort({ _id: -1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    async revokeInvitation(account: string, id: string): Promise<void> {
      found(
        await models.invitations
          .findOneAndUpdate({ _id: id, supplier: account }, { $set: { revokedAt: now() } })
          .lean(),
        'invitation',
      );
    },

    /**
     * Applies with a link. 422 `invitation_invalid` for a bad, expired or revoked one alike; 409 `partnership_exists` with
     * the first one's id.
     */
    async apply(
      distributor: string,
      token: string,
      input: ApplicationInput,
      command?: string,
    ): Promise<PartnershipDoc> {
      const invitation = await models.invitations.findOne({ tokenHash: tokenHash(token) }).lean();
      if (!invitation || invitation.revokedAt !== null || invitation.expiresAt <= now())
        throw new HubError('invitation_invalid', 'Ask the supplier for a new link');
      const pair = { supplier: invitation.supplier, distributor };
      if (invitation.supplier === distributor)
        throw new HubError('invalid_input', 'An account cannot apply to itself', {
          errors: [{ pointer: '/invitation', code: 'own_invitation', detail: 'This is a link of your own account' }],
        });
      const { company, channels, ...contact } = input;
      const id = idFor('partnership', command);
      const row: PartnershipDoc = {
        _id: id,
        ...pair,
        status: 'pending_review',
        open: true,
        application: {
          company,
          channels: [...channels],
          contact: cipher.seal(JSON.stringify(contact), `partnership/${id}`),
        },
        invitation: invitation._id,
        customer: null,
        settlementCurrency: null,
        level: null,
        warehouses: [],
        reason: null,
        decision: null,
        appliedAt: now(),
        decidedAt: null,
        endedAt: null,
      };
      try {
        await db.transact(async (session) => {
          await models.partnerships.create([row], { session });
          await notifications.notify(session, {
            account: pair.supplier,
            event: 'application_submitted',
            occurrence: id,
            document: id,
            detail: company,
          });
        });
      } catch (error) {
        if (!isDuplicateKey(error)) throw error;
        const first = await models.partnerships.findOne({ ...pair, open: true }).lean();
        // The same command again.
        if (first?._id === id) return first;
        throw new HubError('partnership_exists', 'There is an open application or partnership already', {
          members: { partnership: first?._id ?? null, status: first?.status ?? null },
          cause: error,
        });
      }
      return row;
    },

    /** Contact name, phone, e-mail and message of an application. */
    contactOf(row: PartnershipDoc): Omit<ApplicationInput, 'company' | 'channels'> {
      return JSON.parse(cipher.open(row.application.contact, `partnership/${row._id}`));
    },

    async list(
      side: 'supplier' | 'distributor',
      account: string,
      filter: { status?: PartnershipDoc['status'] },
      page: PageRequest,
    ): Promise<Page<PartnershipDoc>> {
      const rows = await models.partnerships
        .find({
          [side]: account,
          ...(filter.status === undefined ? {} : { status: filter.status }),
          ...(page.after === null ? {} : { _id: { $lt: page.after } }),
        })
        .sort({ _id: -1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    /**
     * Approves: status, customer, billing account, and one supplier warehouse at the distributor's per warehouse given, in
     * one transaction. The same `command` again answers as before; a decision that was made meanwhile is 409 `invalid_transition`.
     */
    approve(account: string, id: string, approval: Approval, command: string): Promise<PartnershipDoc> {
      return db.transact(async (session) => {
        const row = found(
          await models.partnerships.findOne({ _id: id, supplier: account }).session(session).lean(),
          'partnership',
        );
        if (row.decision === command) return row;
        if (!canMove(row.status, 'approve'))
          throw new HubError('invalid_transition', `The partnership is ${row.status}`, {
            members: { status: row.status },
          });
        const given = await models.warehouses
          .find({ account, _id: { $in: [...approval.warehouses] }, kind: { $ne: 'supplier' } })
          .session(session)
          .lean();
        const unknown = approval.warehouses.flatMap((warehouse, index) =>
          given.some(({ _id }) => _id === warehouse)
            ? []
            : [
                {
                  pointer: `/warehouses/${index}`,
                  code: 'unknown_warehouse',
                  detail: `There is no such warehouse: ${warehouse}`,
                },
              ],
        );
        if (unknown.length > 0)
          throw new HubError('invalid_input', 'Some warehouses are not yours', { errors: unknown });
        if (approval.level !== null) await levels.require(session, account, approval.level);
        const limit = approval.creditLimit;
        if (limit && limit.currency !== approval.settlementCurrency)
          throw new HubError('currency_mismatch', 'The credit limit must be in the settlement currency');
        let customer: string;
        if ('id' in approval.customer) {
          customer = approval.customer.id;
          found(
            await models.customers
              .findOneAndUpdate({ _id: customer, account }, { $set: { linked: true } }, { session })
              .lean(),
            'customer',
          );
        } else {
          customer = newId('customer');
          await models.customers.create(
            [{ _id: customer, account, name: approval.customer.name, linked: true, createdAt: now() }],
            {
              session,
            },
          );
        }
        await models.billingAccounts.create(
          [
            {
              _id: id,
              supplier: row.supplier,
              distributor: row.distributor,
              currency: approval.settlementCurrency,
              balance: 0,
              creditLimit: limit?.amount ?? 0,
              creditPeriodDays: approval.creditPeriodDays,
            },
          ],
          { session },
        );
        await models.warehouses.insertMany(
          given.map((place) => ({
            _id: newId('warehouse'),
            account: row.distributor,
            name: place.name,
            kind: 'supplier',
            source: { partnership: id, supplier: account, warehouse: place._id },
            createdAt: now(),
          })),
          { session },
        );
        await notifications.notify(session, {
          account: row.distributor,
          event: 'application_decided',
          occurrence: id,
          document: id,
          detail: 'approved',
        });
        return found(
          await models.partnerships
            .findOneAndUpdate(
              { _id: id, status: 'pending_review' },
              {
                $set: {
                  status: 'partnered',
                  customer,
                  settlementCurrency: approval.settlementCurrency,
                  level: approval.level,
                  warehouses: given.map(({ _id }) => _id),
                  decision: command,
                  decidedAt: now(),
                },
              },
              { session, returnDocument: 'after' },
            )
            .lean(),
          'partnership',
        );
      });
    },

    /** Partnerships that have not ended, applied for before the given time: each has a workflow. */
    async openSince(before: Date, limit: number): Promise<PartnershipDoc[]> {
      return models.partnerships
        .find({ open: true, appliedAt: { $lt: before } })
        .limit(limit)
        .lean();
    },

    /** The same command again makes no second one. */
    async addCustomer(account: string, name: string, command?: string): Promise<CustomerDoc> {
      const _id = idFor('customer', command);
      const fields = { account, name, linked: false, createdAt: now() };
      await models.customers.updateOne({ _id }, { $setOnInsert: fields }, { upsert: true });
      return found(await models.customers.findById(_id).lean(), 'customer');
    },

    async customers(account: string, page: PageRequest): Promise<Page<CustomerDoc>> {
      const rows = await models.customers
        .find({ account, ...(page.after === null ? {} : { _id: { $gt: page.after } }) })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },
  };
}
