/**
 * The repositories over collections in memory, so that benches and tests may make many documents: what a document looks like is decided
 * by the repositories alone, command by command, and what they wrote is then given to the database in one transaction for
 * many. It knows the operators that the steps of orders use; any other breaks.
 */
import type { ClientSession } from 'mongoose';
import type { Database } from '../../store/database';
import type { Models } from '../../store/models';

type Document = { readonly _id: string } & Readonly<Record<string, unknown>>;
type Spec = Readonly<Record<string, unknown>>;
interface Written {
  readonly matchedCount: number;
  readonly modifiedCount: number;
  readonly upsertedCount: number;
}
interface UpdateOptions {
  readonly upsert?: boolean;
  readonly returnDocument?: 'before' | 'after';
}

/** So many documents are given to the database in one command. */
const IN_ONE_COMMAND = 1_000;

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
const isOperators = (value: unknown): value is Spec =>
  isPlain(value) && Object.keys(value)[0]?.startsWith('$') === true;

const unknownTo = (what: string): never => {
  throw new Error(`The collections in memory know no ${what}`);
};

/** A copy that nobody can change: readers share it. */
function frozen<T>(value: T): T {
  if (Array.isArray(value)) return Object.freeze(value.map(frozen)) as T;
  if (!isPlain(value)) return value;
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([name, one]) => [name, frozen(one)]))) as T;
}

/** Values to compare: times by their milliseconds. */
const plain = (value: unknown): unknown => (value instanceof Date ? value.getTime() : (value ?? null));
const isLess = (a: unknown, b: unknown) => (plain(a) as number) < (plain(b) as number);

/** All values at a path; an array stands for each of its elements. */
function valuesAt(of: unknown, path: readonly string[]): unknown[] {
  if (Array.isArray(of)) return path.length === 0 ? [of, ...of] : of.flatMap((one) => valuesAt(one, path));
  const [name, ...rest] = path;
  return name === undefined ? [of] : valuesAt((of as Record<string, unknown> | null | undefined)?.[name], rest);
}

/** The few expressions that guards are made of. */
function evaluate(expression: unknown, row: Document): unknown {
  if (typeof expression === 'string' && expression.startsWith('$'))
    return valuesAt(row, expression.slice(1).split('.'))[0];
  if (!isOperators(expression)) return expression;
  const [[name, operands] = ['', []]] = Object.entries(expression);
  const values = (operands as unknown[]).map((one) => evaluate(one, row));
  if (name === '$add') return values.reduce((sum: number, one) => sum + (one as number), 0);
  if (name === '$gte') return !isLess(values[0], values[1]);
  return unknownTo(name);
}

const CONDITIONS: Record<string, (values: readonly unknown[], operand: unknown) => boolean> = {
  $in: (values, operand) => (operand as unknown[]).some((one) => values.some((is) => plain(is) === plain(one))),
  $ne: (values, operand) => values.every((is) => plain(is) !== plain(operand)),
  $gt: (values, operand) => values.some((is) => is != null && isLess(operand, is)),
  $gte: (values, operand) => values.some((is) => is != null && !isLess(is, operand)),
  $lte: (values, operand) => values.some((is) => is != null && !isLess(operand, is)),
  $lt: (values, operand) => values.some((is) => is != null && isLess(is, operand)),
};

function matches(row: Document, filter: Spec): boolean {
  return Object.entries(filter).every(([path, wanted]) => {
    if (path === '$or') return (wanted as Spec[]).some((one) => matches(row, one));
    if (path === '$expr') return evaluate(wanted, row) === true;
    if (path.startsWith('$')) return unknownTo(path);
    const values = valuesAt(row, path.split('.'));
    if (!isOperators(wanted)) return values.some((is) => plain(is) === plain(wanted));
    return Object.entries(wanted).every(([name, operand]) => (CONDITIONS[name] ?? unknownTo(name))(values, operand));
  });
}

/** The document with another value at a path. */
function withValue(of: unknown, [name = '', ...rest]: readonly string[], value: unknown): unknown {
  const old = (of ?? {}) as Record<string, unknown>;
  return { ...old, [name]: rest.length === 0 ? value : withValue(old[name], rest, value) };
}

const CHANGES: Record<string, (is: unknown, operand: unknown) => unknown> = {
  $set: (_, operand) => operand,
  $setOnInsert: (_, operand) => operand,
  $inc: (is, operand) => ((is as number | undefined) ?? 0) + (operand as number),
  $max: (is, operand) => (is === undefined || isLess(is, operand) ? operand : is),
  $addToSet: (is, operand) => [...new Set([...((is as unknown[] | undefined) ?? []), operand])],
};

function updated(row: Document, update: Spec, isNew: boolean): Document {
  let after: unknown = row;
  for (const [name, fields] of Object.entries(update)) {
    const change = CHANGES[name] ?? unknownTo(name);
    if (name === '$setOnInsert' && !isNew) continue;
    for (const [field, operand] of Object.entries(fields as Spec)) {
      const path = field.split('.');
      after = withValue(after, path, change(valuesAt(after, path)[0], operand));
    }
  }
  return frozen(after as Document);
}

/** What a query gives, once it is waited for. */
class Answer<T> implements PromiseLike<T> {
  constructor(private readonly answer: () => T) {}
  session = () => this;
  lean = () => this;
  // biome-ignore lint/suspicious/noThenProperty: it stands for mongoose's queries, which are waited for.
  then: PromiseLike<T>['then'] = (onAnswer, onFailure) => Promise.resolve().then(this.answer).then(onAnswer, onFailure);
}

class Rows extends Answer<Document[]> {
  private most = Number.POSITIVE_INFINITY;
  private order: [string, unknown][] = [];
  constructor(rows: () => Document[]) {
    super(() => {
      const sorted = [...rows()].sort((a, b) => {
        for (const [field, direction] of this.order)
          if (plain(a[field]) !== plain(b[field])) return (isLess(a[field], b[field]) ? -1 : 1) * (direction as number);
        return 0;
      });
      return sorted.slice(0, this.most);
    });
  }
  sort(order: Spec): this {
    this.order = Object.entries(order);
    return this;
  }
  limit(most: number): this {
    this.most = most;
    return this;
  }
}

class Collection {
  private readonly rows = new Map<string, Document>();
  private readonly added = new Set<string>();
  private readonly changed = new Set<string>();
  /** The driver's collection and mongoose's model in one. */
  readonly collection = this;

  constructor(there: readonly Document[]) {
    for (const row of there) this.rows.set(row._id, frozen(row));
  }

  private some(filter: Spec): Document[] {
    const { _id } = filter;
    const ids =
      typeof _id === 'string' ? [_id] : isOperators(_id) && Array.isArray(_id.$in) ? (_id.$in as string[]) : null;
    const among = ids === null ? [...this.rows.values()] : [...new Set(ids)].flatMap((id) => this.rows.get(id) ?? []);
    return among.filter((row) => matches(row, filter));
  }

  private insert(row: Document): void {
    if (this.rows.has(row._id)) throw Object.assign(new Error(`There is ${row._id} already`), { code: 11000 });
    this.rows.set(row._id, frozen(row));
    this.added.add(row._id);
  }

  private change(filter: Spec, update: Spec, options: UpdateOptions = {}, most = 1) {
    const found = this.some(filter).slice(0, most);
    const after = found.map((row) => updated(row, update, false));
    for (const row of after) {
      this.rows.set(row._id, row);
      if (!this.added.has(row._id)) this.changed.add(row._id);
    }
    if (found.length > 0 || !options.upsert) return { before: found, after, isNew: false };
    const equals = Object.entries(filter).filter(([, wanted]) => !isOperators(wanted));
    const made = updated(Object.fromEntries(equals) as Document, update, true);
    this.insert(made);
    return { before: [], after: [made], isNew: true };
  }

  private written(filter: Spec, update: Spec, options?: UpdateOptions, most = 1): Written {
    const { before, isNew } = this.change(filter, update, options, most);
    return { matchedCount: before.length, modifiedCount: before.length, upsertedCount: isNew ? 1 : 0 };
  }

  find = (filter: Spec) => new Rows(() => this.some(filter));
  findOne = (filter: Spec) => new Answer(() => this.some(filter)[0] ?? null);
  findById = (id: string | null) => new Answer(() => this.rows.get(id ?? '') ?? null);
  findOneAndUpdate = (filter: Spec, update: Spec, options: UpdateOptions = {}) =>
    new Answer(() => {
      const { before, after } = this.change(filter, update, options);
      return (options.returnDocument === 'after' ? after : before)[0] ?? null;
    });
  updateOne = (filter: Spec, update: Spec, options?: UpdateOptions) =>
    new Answer(() => this.written(filter, update, options));
  updateMany = (filter: Spec, update: Spec, options?: UpdateOptions) =>
    new Answer(() => this.written(filter, update, options, Number.POSITIVE_INFINITY));
  insertOne = async (row: Document) => this.insert(row);
  insertMany = async (rows: readonly Document[]) => {
    for (const row of rows) this.insert(row);
  };
  replaceOne = async (filter: Spec, row: Document, options: UpdateOptions = {}) => {
    const [there] = this.some(filter);
    if (there === undefined && options.upsert) this.insert(row);
    if (there === undefined) return;
    this.rows.set(there._id, frozen(row));
    if (!this.added.has(there._id)) this.changed.add(there._id);
  };
  bulkWrite = async (operations: readonly { readonly updateOne?: Spec }[]) => {
    for (const { updateOne: one } of operations)
      if (one) this.written(one.filter as Spec, one.update as Spec, one as UpdateOptions);
      else unknownTo('bulk operation but updateOne');
  };

  /** Gives what is new or other to the database. */
  async give(session: ClientSession, collection: Models['orders']['collection']): Promise<void> {
    const of = (ids: ReadonlySet<string>) => [...ids].flatMap((id) => this.rows.get(id) ?? []);
    for (const rows of inParts(of(this.added))) await collection.insertMany(rows as never, { session });
    const operations = of(this.changed).map((row) => ({ replaceOne: { filter: { _id: row._id }, replacement: row } }));
    for (const part of inParts(operations)) await collection.bulkWrite(part as never, { session });
  }

  /** It is given. @param keep it may be asked for again, or changed */
  given(keep: boolean): void {
    if (!keep) for (const id of this.added) this.rows.delete(id);
    this.added.clear();
    this.changed.clear();
  }
}

function inParts<T>(rows: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < rows.length; at += IN_ONE_COMMAND) parts.push(rows.slice(at, at + IN_ONE_COMMAND));
  return parts;
}

/** Documents that belong to one order: once they are given, nobody asks for them again, so none is read or kept. */
const OF_ONE_ORDER: ReadonlySet<string> = new Set<keyof Models>([
  ...(['orders', 'packages', 'supplyOrders', 'operations', 'records', 'stockJournal', 'returns'] as const),
  ...(['notifications', 'deliveries'] as const),
]);

export interface InMemory {
  /** For repositories. One after the other: nobody takes turns here, and nothing is undone. */
  readonly database: Database;
  /** Gives the database what was written since the last time, in one transaction. */
  give(): Promise<void>;
}

/** Takes what the database holds now into memory, but for past orders; nobody else may write to it meanwhile. */
export async function inMemory(db: Database): Promise<InMemory> {
  const collections = new Map<string, Collection>();
  for (const [name, model] of Object.entries(db.models)) {
    const rows = OF_ONE_ORDER.has(name) ? [] : await (model as Models['orders']).collection.find({}).toArray();
    collections.set(name, new Collection(rows as never));
  }
  const known = { get: (of: object, name: string) => Reflect.get(of, name) ?? unknownTo(name) };
  const models = Object.fromEntries([...collections].map(([name, one]) => [name, new Proxy(one, known)]));
  const session = { inTransaction: () => true } as unknown as ClientSession;
  return {
    database: { ...db, models: models as never, transact: (work) => work(session), afterCommit: () => {} },
    async give() {
      await db.transact(async (own) => {
        for (const [name, one] of collections)
          await one.give(own, (db.models as unknown as Record<string, Models['orders']>)[name]?.collection as never);
      });
      for (const [name, one] of collections) one.given(!OF_ONE_ORDER.has(name));
    },
  };
}
