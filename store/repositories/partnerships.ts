/** A supplier's set-up, invitations, customers, and partnerships. Contract: partnership.md. */
import { createHash, randomBytes } from 'node:crypto';
import type { ClientSession } from 'mongoose';
import { planReaches, SUPPLIER_PLAN } from '../../domain/accounts';
import { HubError } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import type { Currency, Money } from '../../domain/money';
import {
  DELETED_STATUSES,
  INVITATION_DAYS,
  isDeleted,
  SETUP_STEPS,
  type SetupCommand,
  type SetupStep,
  type SupplierNote,
} from '../../domain/partnership';
import type { ExchangeRate, FeeSettings } from '../../domain/pricing';
import { type Database, found, isDuplicateKey, type Page, type PageRequest, toPage } from '../database';
import type { AccountDoc, CustomerDoc, InvitationDoc, PartnershipDoc, SupplierDoc } from '../models/documents';
import { createNotificationRepository } from './notifications';
import { createPartnershipMoves, pairId, sealPlace } from './partnership-moves';
import { createPriceRepository } from './prices';

const DAY_MS = 86_400_000;
const NOT_DELETED = { $nin: [...DELETED_STATUSES] };
const bigshopPlace = (account: string) => `supplier/${account}/bigshop`;
const tokenHash = (token: string) => createHash('sha256').update(token).digest('hex');

export interface ApplicationInput {
  readonly company: string;
  readonly contactName: string;
  readonly phone: string | null;
  readonly email: string | null;
  readonly channels: readonly string[];
  readonly message: string | null;
}

export function createPartnershipRepository(db: Database) {
  const { models, now, cipher } = db;
  const notifications = createNotificationRepository(db);
  const pricing = createPriceRepository(db);

  async function supplier(account: string, session: ClientSession | null = null): Promise<SupplierDoc> {
    return found(
      await models.suppliers.findById(account).session(session).lean(),
      'Distribution set-up; activate it first',
    );
  }

  /** Marks a step as done; the set-up is live once all are, and stays live. */
  async function completeStep(
    account: string,
    step: SetupStep,
    set: Partial<SupplierDoc>,
    check: (before: SupplierDoc, session: ClientSession) => void | Promise<void> = () => {},
  ): Promise<SupplierDoc> {
    return db.transact(async (session) => {
      const before = await supplier(account, session);
      await check(before, session);
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

  /**
   * 409 `base_currency_fixed` once an order has been pushed. Amounts of another currency mean nothing in the new one: base
   * and SKU prices, fees and rates are taken away and have to be given again.
   */
  async function setBaseCurrency(account: string, currency: Currency): Promise<SupplierDoc> {
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
  }

  /** The step is done when there is a product. */
  const confirmProducts = (account: string): Promise<SupplierDoc> =>
    completeStep(account, 'products', {}, async (_before, session) => {
      if (!(await models.products.exists({ supplier: account }).session(session)))
        throw new HubError('setup_incomplete', 'There is no distribution product yet', {
          members: { missing: ['products'] },
        });
    });

  const setBigshop = (account: string, bigshop: { name: string; contact: string }) =>
    completeStep(account, 'bigshop', {
      bigshop: { name: bigshop.name, contact: cipher.seal(bigshop.contact, bigshopPlace(account)) },
    });

  /** The step is done when every distribution product has a price at every level in use. */
  const confirmPricing = (account: string): Promise<SupplierDoc> =>
    completeStep(account, 'pricing', {}, async (_before, session) => {
      const missing = await pricing.missing(account, 50, session);
      if (missing.length > 0)
        throw new HubError('setup_incomplete', 'These products have no price', {
          members: { skus: [...new Set(missing.map(({ sku }) => sku))], prices: missing },
        });
    });

  /** Fees are in the base currency, so that must be chosen first. Every amount in another one is named. */
  const setFees = (account: string, fees: FeeSettings) =>
    completeStep(account, 'fees', { fees }, ({ baseCurrency }) => {
      if (baseCurrency === null)
        throw new HubError('setup_incomplete', 'Choose the base currency first', {
          members: { missing: ['base-currency'] },
        });
      const errors = Object.entries(fees).flatMap(([name, { amount }]: [string, { amount: Money }]) =>
        amount.currency === baseCurrency
          ? []
          : [
              {
                pointer: `/${name}/amount/currency`,
                code: 'currency_mismatch',
                detail: `Fees are in the base currency ${baseCurrency}`,
              },
            ],
      );
      if (errors.length > 0) throw new HubError('invalid_input', 'Some fees are in another currency', { errors });
    });

  /** Only the parties see a partnership. */
  async function get(party: string, id: string, session: ClientSession | null = null): Promise<PartnershipDoc> {
    return found(
      await models.partnerships
        .findOne({ _id: id, status: NOT_DELETED, $or: [{ supplier: party }, { distributor: party }] })
        .session(session)
        .lean(),
      'partnership',
    );
  }

  /** Also of one that was moved to a lower plan later: nothing new begins then. 403 `plan_too_low` */
  async function requireSupplierPlan(account: string): Promise<AccountDoc> {
    const owner = found(await models.accounts.findById(account).lean(), 'account');
    if (!planReaches(owner.plan, SUPPLIER_PLAN))
      throw new HubError(
        'plan_too_low',
        `A supplier needs plan ${SUPPLIER_PLAN} or higher; this account is on ${owner.plan}`,
        { members: { plan: owner.plan, needed: SUPPLIER_PLAN } },
      );
    return owner;
  }

  /** Who was a partner before applies again once nothing is owed on either side. 409 `balance_open`. */
  async function requireSettled(session: ClientSession, pair: { supplier: string; distributor: string }) {
    const former = await models.partnerships
      .find({ ...pair, status: 'terminated' }, { _id: 1 })
      .session(session)
      .lean();
    const open = await models.billingAccounts
      .findOne({ _id: { $in: former.map(({ _id }) => _id) }, balance: { $ne: 0 } })
      .session(session)
      .lean();
    if (open)
      throw new HubError('balance_open', 'The balance of the former partnership must be 0, and no credit in use', {
        members: { partnership: open._id },
      });
  }

  return {
    supplier,
    get,

    /** Starts the set-up. 403 `plan_too_low`, 409 `inventory_off`; again it answers with what there is. */
    async activate(account: string): Promise<SupplierDoc> {
      const owner = await requireSupplierPlan(account);
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
            claimsRevision: 0,
            claimsDueSince: null,
            createdAt: now(),
          },
        },
        { upsert: true },
      );
      return supplier(account);
    },

    /** Completes one step, each checked as its own function says. 409 `setup_incomplete`, `base_currency_fixed`; 422. */
    completeSetup(account: string, command: SetupCommand): Promise<SupplierDoc> {
      switch (command.step) {
        case 'base-currency':
          return setBaseCurrency(account, command.currency);
        case 'products':
          return confirmProducts(account);
        case 'push-rule':
          return completeStep(account, 'push-rule', {});
        case 'bigshop':
          return setBigshop(account, { name: command.name, contact: command.contact });
        case 'pricing':
          return confirmPricing(account);
        case 'fees':
          return setFees(account, command.fees);
      }
    },

    async setRates(account: string, rates: ExchangeRate[]): Promise<SupplierDoc> {
      return found(
        await models.suppliers.findByIdAndUpdate(account, { $set: { rates } }, { returnDocument: 'after' }).lean(),
        'Distribution set-up; activate it first',
      );
    },

    /** Reminds a supplier whose set-up is not live of what is missing; each reminder is told once. */
    async remindOfSetup(account: string, reminder: number): Promise<void> {
      const row = await supplier(account);
      if (row.live) return;
      const missing = SETUP_STEPS.filter((step) => !row.steps.includes(step));
      await notifications.notify(null, {
        account,
        event: 'setup_unfinished',
        occurrence: `setup/${reminder}`,
        document: account,
        detail: `still to do: ${missing.join(', ')}`,
      });
    },

    /** Set-ups that are not live, begun before the given time: each has a workflow. */
    async setupsSince(before: Date, limit: number): Promise<SupplierDoc[]> {
      return models.suppliers
        .find({ live: false, createdAt: { $lt: before } })
        .sort({ createdAt: -1 })
        .limit(limit)
        .lean();
    },

    /** Makes an invitation. The token is shown once and kept as a hash. 409 `setup_incomplete` with what is missing. */
    async invite(account: string, command?: string): Promise<{ invitation: InvitationDoc; token: string }> {
      await requireSupplierPlan(account);
      const setup = await supplier(account);
      if (!setup.live) {
        const missing = SETUP_STEPS.filter((step) => !setup.steps.includes(step));
        throw new HubError('setup_incomplete', `Still to do: ${missing.join(', ')}`, { members: { missing } });
      }
      const token = randomBytes(32).toString('base64url');
      const at = now();
      const invitation: InvitationDoc = {
        _id: idFor('invitation', command),
        supplier: account,
        tokenHash: tokenHash(token),
        expiresAt: new Date(at.getTime() + INVITATION_DAYS * DAY_MS),
        revokedAt: null,
        createdAt: at,
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
          contact: cipher.seal(JSON.stringify(contact), sealPlace(id)),
        },
        invitation: invitation._id,
        customer: null,
        settlementCurrency: null,
        level: null,
        warehouses: [],
        claimsRevision: 0,
        claimTurns: 0,
        reason: null,
        note: null,
        commands: [],
        appliedAt: now(),
        decidedAt: null,
        endedAt: null,
        endedBy: null,
      };
      try {
        await db.transact(async (session) => {
          await requireSettled(session, pair);
          await models.openPairs.create([{ _id: pairId(row), partnership: id }], { session });
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
        // The same command again.
        const same = await models.partnerships.findById(id).lean();
        if (same && isDeleted(same.status)) throw new HubError('not_found', 'The application was withdrawn since');
        if (same) return same;
        const first = await models.partnerships.findOne({ ...pair, open: true }).lean();
        throw new HubError('partnership_exists', 'There is an open application or partnership already', {
          members: { partnership: first?._id ?? null, currentStatus: first?.status ?? null },
          cause: error,
        });
      }
      return row;
    },

    /** The BigShop store, its contact readable. */
    bigshopOf: ({ _id, bigshop }: SupplierDoc) =>
      bigshop === null ? null : { name: bigshop.name, contact: cipher.open(bigshop.contact, bigshopPlace(_id)) },

    /** Contact name, phone, e-mail and message of an application. */
    contactOf(row: PartnershipDoc): Omit<ApplicationInput, 'company' | 'channels'> {
      return JSON.parse(cipher.open(row.application.contact, sealPlace(row._id)));
    },

    /** How the supplier keeps the distributor's contact, and their notes; what they never changed is not in it. */
    noteOf(row: PartnershipDoc): SupplierNote {
      return row.note === null ? {} : JSON.parse(cipher.open(row.note, sealPlace(row._id)));
    },
    sealNote: (id: string, note: SupplierNote): string => cipher.seal(JSON.stringify(note), sealPlace(id)),

    async list(
      side: 'supplier' | 'distributor',
      account: string,
      filter: { status?: PartnershipDoc['status'] },
      page: PageRequest,
    ): Promise<Page<PartnershipDoc>> {
      const rows = await models.partnerships
        .find({
          [side]: account,
          status: filter.status ?? NOT_DELETED,
          ...(page.after === null ? {} : { _id: { $lt: page.after } }),
        })
        .sort({ _id: -1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    move: createPartnershipMoves(db),

    /** 404 for anybody but who applied. A withdrawn application is still theirs, so that a repeated withdrawal is answered alike. */
    async requireApplicant(account: string, id: string): Promise<void> {
      found(await models.partnerships.exists({ _id: id, distributor: account }), 'partnership');
    },

    /** What a partnership's process goes by. */
    async stateOf(id: string): Promise<Pick<PartnershipDoc, 'status' | 'appliedAt'>> {
      return found(await models.partnerships.findById(id, { status: 1, appliedAt: 1 }).lean(), 'partnership');
    },

    /** Reminds the supplier of an application that nobody has decided; told once. */
    async remindOfApplication(id: string): Promise<void> {
      const row = await models.partnerships.findById(id).lean();
      if (row?.status !== 'pending_review') return;
      await notifications.notify(null, {
        account: row.supplier,
        event: 'application_waiting',
        occurrence: id,
        document: id,
        detail: row.application.company,
      });
    },

    /** Partnerships that have not ended, applied for before the given time: each has a workflow. */
    async openSince(before: Date, limit: number): Promise<PartnershipDoc[]> {
      return models.partnerships
        .find({ open: true, appliedAt: { $lt: before } })
        .sort({ appliedAt: -1 })
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

    async renameCustomer(account: string, id: string, name: string): Promise<CustomerDoc> {
      return found(
        await models.customers
          .findOneAndUpdate({ _id: id, account }, { $set: { name } }, { returnDocument: 'after' })
          .lean(),
        'customer',
      );
    },

    /** 409 `customer_in_use` for one that was ever linked to a partnership. */
    async deleteCustomer(account: string, id: string): Promise<void> {
      const { deletedCount } = await models.customers.deleteOne({ _id: id, account, linked: false });
      if (deletedCount > 0) return;
      found(await models.customers.findOne({ _id: id, account }).lean(), 'customer');
      throw new HubError('customer_in_use', 'It was linked to a partnership');
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
