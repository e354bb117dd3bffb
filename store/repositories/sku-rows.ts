/** Rows of a SKU import: new SKUs, new names, distribution turned on. Contract: catalogue.md, Stock. */
import type { ClientSession } from 'mongoose';
import { isHubError } from '../../domain/failures';
import type { Component, RowError, SkuRow } from '../../domain/imports';
import { processId } from '../../domain/process-ids';
import type { Database } from '../database';
import type { ProductDoc, SkuDoc, SupplierDoc } from '../models/documents';
import { skuId } from './catalogue';
import type { Applied, ApplyContext, RowChange, RowKind, RowLeft } from './import-rows';
import { createOperationRepository } from './operations';
import { createProductRepository } from './products';

export interface SkuChange extends RowChange {
  readonly created: boolean;
  /** Null where it was made by the row. */
  readonly nameBefore: string | null;
  readonly nameAfter: string;
  readonly components: readonly Component[];
  /** The attempt of the publication that the row began; null where it did not turn distribution on. */
  readonly publication: number | null;
}

const sameComponents = (a: readonly Component[], b: readonly Component[]) =>
  a.length === b.length &&
  a.every(({ sku, quantity }) => b.some((one) => one.sku === sku && one.quantity === quantity));

/** What the rows of one batch are decided by. */
interface Known {
  readonly skus: Map<string, Pick<SkuDoc, 'sku' | 'name' | 'kind' | 'components' | 'mirror'>>;
  readonly singles: Set<string>;
  readonly products: Map<string, ProductDoc>;
  readonly setup: SupplierDoc | null;
  /** Products that the rows of this batch add. */
  added: number;
  isFull: boolean;
}

export function createSkuRows(db: Database): RowKind<SkuRow, SkuChange> {
  const { models, now } = db;
  const products = createProductRepository(db);
  const operations = createOperationRepository(db);

  async function knownFor(session: ClientSession, { account, planned }: ApplyContext, rows: readonly SkuRow[]) {
    const codes = rows.map(({ sku }) => sku);
    const parts = rows.flatMap(({ components }) => components?.map(({ sku }) => sku) ?? []);
    const asked = [...new Set([...codes, ...parts])];
    const entries = await models.skus
      .find({ _id: { $in: asked.map((sku) => skuId(account, sku)) } })
      .session(session)
      .lean();
    const switched = rows.filter(({ distribution }) => distribution !== null);
    const there =
      switched.length === 0
        ? []
        : await models.products
            .find({ _id: { $in: switched.map(({ sku }) => skuId(account, sku)) } })
            .session(session)
            .lean();
    const setup = switched.length === 0 ? null : await models.suppliers.findById(account).session(session).lean();
    const known: Known = {
      skus: new Map(entries.map((entry) => [entry.sku, entry])),
      singles: new Set([
        ...entries.filter(({ kind }) => kind === 'single').map(({ sku }) => sku),
        ...parts.filter((sku) => planned?.singles.has(sku)),
      ]),
      products: new Map(there.map((product) => [product.sku, product])),
      setup,
      added: 0,
      isFull: false,
    };
    return known;
  }

  /** What is wrong with the row as a change of its SKU; null where nothing is. */
  function refusal(row: SkuRow, known: Known, context: ApplyContext): Omit<RowError, 'line'> | null {
    const entry = known.skus.get(row.sku);
    if (entry && row.components !== null && !sameComponents(row.components, entry.components))
      return { column: 'components', code: 'immutable', detail: 'kind and components can not be changed' };
    const unknown = entry ? [] : (row.components ?? []).filter(({ sku }) => !known.singles.has(sku));
    if (unknown.length > 0) {
      const detail = `${unknown.map(({ sku }) => sku).join(', ')}: no single SKU of this account`;
      return { column: 'components', code: 'unknown_sku', detail };
    }
    const isProduct = known.products.has(row.sku);
    if (row.distribution === false && isProduct)
      return {
        column: 'distribution',
        code: 'invalid_value',
        detail: 'an import turns distribution on only; disable the product instead',
      };
    if (row.distribution !== true || isProduct) return null;
    const column = 'distribution';
    if (!context.mayDistribute)
      return { column, code: 'permission_missing', detail: 'the key needs the permission distribution' };
    if (!known.setup) return { column, code: 'setup_incomplete', detail: 'activate Distribution first' };
    // Asked once: each of the thousands of rows behind the last one that fits is refused without asking.
    return known.isFull
      ? { column, code: 'distribution_product_limit', detail: 'there are as many as a supplier may have' }
      : null;
  }

  /** Adds the product in this transaction. @returns it, or why not */
  async function distribute(
    session: ClientSession,
    row: SkuRow,
    entry: Pick<SkuDoc, 'sku' | 'kind' | 'mirror'>,
    known: Known,
    context: ApplyContext,
  ): Promise<ProductDoc | Omit<RowError, 'line'>> {
    const { planned } = context;
    const counted = planned === null ? 0 : planned.products;
    try {
      const input = { sku: row.sku, basePrice: null };
      const product = await products.addWithin(session, context.account, entry, input, counted);
      known.added += 1;
      return product;
    } catch (error) {
      if (!isHubError(error)) throw error;
      known.isFull ||= error.code === 'distribution_product_limit';
      return { column: 'distribution', code: error.code, detail: error.detail };
    }
  }

  async function applyRow(
    session: ClientSession,
    row: SkuRow,
    known: Known,
    context: ApplyContext,
  ): Promise<SkuChange | RowError | null> {
    const wrong = refusal(row, known, context);
    if (wrong) return { line: row.line, ...wrong };
    const entry = known.skus.get(row.sku);
    const components = entry?.components ?? [...(row.components ?? [])];
    const next = {
      sku: row.sku,
      name: row.name,
      kind: components.length > 0 ? ('combination' as const) : ('single' as const),
      components,
      mirror: entry?.mirror ?? null,
    };
    let publication: number | null = null;
    if (row.distribution === true && !known.products.has(row.sku)) {
      const product = await distribute(session, row, next, known, context);
      if ('code' in product) return { line: row.line, ...product };
      publication = product.attempt;
    }
    if (entry && entry.name === row.name && publication === null) return null;
    known.skus.set(row.sku, next);
    if (next.kind === 'single') known.singles.add(row.sku);
    return {
      line: row.line,
      sku: row.sku,
      created: !entry,
      nameBefore: entry?.name ?? null,
      nameAfter: row.name,
      components: entry ? [] : components,
      publication,
    };
  }

  /** A combination is counted on its components, so that making it conflicts with their removal. */
  async function countInSets(
    session: ClientSession,
    account: string,
    sets: readonly { components: readonly Component[] }[],
    by: 1 | -1,
  ): Promise<void> {
    const counts = new Map<string, number>();
    for (const { components } of sets) for (const { sku } of components) counts.set(sku, (counts.get(sku) ?? 0) + by);
    const steps = [...counts].map(([sku, followers]) => ({
      updateOne: { filter: { _id: skuId(account, sku) }, update: { $inc: { followers } } },
    }));
    if (steps.length > 0) await models.skus.collection.bulkWrite(steps as never, { session });
  }

  async function rename(session: ClientSession, account: string, names: readonly { sku: string; name: string }[]) {
    const steps = names.map(({ sku, name }) => ({
      updateOne: { filter: { _id: skuId(account, sku) }, update: { $set: { name } } },
    }));
    if (steps.length > 0) await models.skus.collection.bulkWrite(steps as never, { session });
  }

  async function write(session: ClientSession, context: ApplyContext, changes: readonly SkuChange[]): Promise<void> {
    const { account } = context;
    const made = changes
      .filter(({ created }) => created)
      .map(
        ({ sku, nameAfter, components, publication }): SkuDoc => ({
          _id: skuId(account, sku),
          account,
          sku,
          name: nameAfter,
          kind: components.length > 0 ? 'combination' : 'single',
          components: [...components],
          mirror: null,
          followers: publication === null ? 0 : 1,
          command: null,
          createdAt: now(),
        }),
      );
    if (made.length > 0) await models.skus.collection.insertMany(made as never, { session });
    const renamed = changes.filter(({ created, nameBefore, nameAfter }) => !created && nameBefore !== nameAfter);
    await rename(
      session,
      account,
      renamed.map(({ sku, nameAfter }) => ({ sku, name: nameAfter })),
    );
    await countInSets(session, account, made, 1);
    for (const { sku, publication } of changes)
      if (publication !== null)
        await operations.begin(session, {
          workflowId: processId('publication', { supplier: account, sku, attempt: String(publication) }),
          kind: 'product_publication',
          accounts: [account],
          document: sku,
        });
  }

  /**
   * SKUs that the import made and that something needs by now. Whatever begins to follow a SKU is counted on it, but not
   * always counted off again, so the count only says which are worth a look.
   */
  async function usedOf(
    session: ClientSession,
    account: string,
    changes: readonly SkuChange[],
    entries: ReadonlyMap<string, SkuDoc>,
  ): Promise<Set<string>> {
    const suspects = changes
      .filter((change) => change.created && (entries.get(change.sku)?.followers ?? 0) > followersLeft(change))
      .map(({ sku }) => sku);
    if (suspects.length === 0) return new Set();
    const sku = { $in: suspects };
    const stock = await models.stock.distinct('sku', { account, sku }).session(session);
    const listed = await models.listings.distinct('sku', { account, sku }).session(session);
    const claimed = await models.claims.distinct('sku', { distributor: account, sku }).session(session);
    const packed = await models.packages.distinct('lines.sku', { account, 'lines.sku': sku }).session(session);
    const mirrored = suspects.filter((code) => entries.get(code)?.mirror);
    return new Set([...stock, ...listed, ...claimed, ...packed, ...mirrored] as string[]);
  }

  return {
    async apply(session, context, rows): Promise<Applied<SkuChange>> {
      const known = await knownFor(session, context, rows);
      const changes: SkuChange[] = [];
      const errors: RowError[] = [];
      let unchanged = 0;
      for (const row of rows) {
        const result = await applyRow(session, row, known, context);
        if (result === null) unchanged += 1;
        else if ('code' in result) errors.push(result);
        else changes.push(result);
      }
      await write(session, context, changes);
      return {
        changes,
        errors,
        unchanged,
        publications: changes.flatMap(({ sku, publication }) =>
          publication === null ? [] : [{ sku, attempt: publication }],
        ),
        madeSingles: changes
          .filter(({ created, components }) => created && components.length === 0)
          .map(({ sku }) => sku),
        madeProducts: known.added,
      };
    },

    async revert(session, account, changes, why): Promise<RowLeft[]> {
      const ids = changes.map(({ sku }) => skuId(account, sku));
      const entries = new Map(
        (
          await models.skus
            .find({ _id: { $in: ids } })
            .session(session)
            .lean()
        ).map((entry) => [entry.sku, entry]),
      );
      const codes = changes.filter(({ created }) => created).map(({ sku }) => sku);
      const sets = await models.skus
        .find({ account, 'components.sku': { $in: codes } }, { components: 1 })
        .session(session)
        .lean();
      const parts = new Set(sets.flatMap(({ components }) => components.map(({ sku }) => sku)));
      const held = new Set(
        (
          await models.products
            .find({ _id: { $in: ids } }, { sku: 1 })
            .session(session)
            .lean()
        ).map(({ sku }) => sku),
      );
      const used = await usedOf(session, account, changes, entries);
      const left: RowLeft[] = [];
      const removed: SkuChange[] = [];
      const renamed: { sku: string; name: string }[] = [];
      for (const change of [...changes].reverse()) {
        const { line, sku } = change;
        const stays = (detail: string) => left.push({ line, sku, detail });
        const entry = entries.get(sku);
        if (!entry) {
          stays('the SKU is gone');
          continue;
        }
        const isNamed = change.created || change.nameBefore !== change.nameAfter;
        if (isNamed && entry.name !== change.nameAfter) {
          stays('the name was changed since');
          continue;
        }
        if (change.created && entry.category != null) {
          stays('a category was given since');
          continue;
        }
        if (change.created && (parts.has(sku) || used.has(sku))) {
          stays(parts.has(sku) ? 'a combination contains the SKU' : 'the SKU is in use');
          continue;
        }
        if (change.publication !== null && !(await products.removeWithin(session, account, sku, why))) {
          stays('the distribution product was changed or claimed since');
          continue;
        }
        if (change.created && change.publication === null && held.has(sku)) stays('it is a distribution product');
        else if (change.created) removed.push(change);
        else if (isNamed) renamed.push({ sku, name: change.nameBefore ?? '' });
      }
      await rename(session, account, renamed);
      await models.skus.deleteMany({ _id: { $in: removed.map(({ sku }) => skuId(account, sku)) } }, { session });
      await countInSets(session, account, removed, -1);
      return left;
    },
  };
}

/** What the import itself counted on a SKU that it made. */
const followersLeft = ({ publication }: SkuChange) => (publication === null ? 0 : 1);
