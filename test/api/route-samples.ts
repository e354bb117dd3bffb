/**
 * What a walk over all routes needs: which object of somebody stands for the parameters of a path, and a body and query that
 * the route accepts, filled with that somebody's ids. Bodies are made from the schema in the API document; BODIES has those
 * that a schema alone can't tell.
 */
import type { Method } from '../../api/route';

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
}

export interface ApiDocument {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly security: readonly unknown[];
            readonly parameters?: readonly Parameter[];
            readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
          }
        >
      >
    >
  >;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** One route as the API document has it. */
export interface DocumentedRoute {
  readonly method: Method;
  readonly path: string;
  readonly isPublic: boolean;
  /** Query parameters, without those of every list. */
  readonly query: readonly Parameter[];
  readonly body: Schema | null;
  /** The type of the file that it takes instead of a body. */
  readonly takesFile: string | null;
}

/** Every route of the document. */
export function documentedRoutes(document: ApiDocument): DocumentedRoute[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security, parameters = [], requestBody }]) => ({
      method: method as Method,
      path,
      isPublic: security.length === 0,
      query: parameters.filter((one) => one.in === 'query' && !['limit', 'cursor'].includes(one.name)),
      body: requestBody?.content['application/json']?.schema ?? null,
      takesFile: Object.keys(requestBody?.content ?? {}).find((type) => type !== 'application/json') ?? null,
    })),
  );
}

/** Somebody's objects. */
export interface Things {
  /** What stands for the parameters of a path, by the path's beginning up to and with the parameter. */
  readonly places: Readonly<Record<string, string>>;
  /** What stands for a field of a body or a parameter of a query, by its name. */
  readonly fields: Readonly<Record<string, string>>;
}

const money = { amount: '1.00', currency: 'MYR' };

const automatic = { name: 'mine', priority: 1 };

/** Bodies that a schema alone does not tell. */
const BODIES: Readonly<Record<string, (things: Things) => unknown>> = {
  'put /v1/supplier/setup/{step}': () => ({ name: 'BigShop', contact: 'me' }),
  'put /v1/exchange-rates': () => ({ rates: [{ from: 'MYR', to: 'IDR', rate: '3000' }] }),
  'post /v1/listings/auto-sync': ({ fields }) => ({ listings: [fields.listing], on: true }),
  'post /v1/stock/transfers': ({ fields }) => ({
    from: fields.warehouse,
    to: fields.otherWarehouse,
    sku: fields.sku,
    quantity: 1,
    reason: 'r',
  }),
  'post /v1/distributor/applications': ({ fields }) => ({
    invitation: fields.invitation,
    company: 'c',
    contactName: 'n',
    email: 'me@mine.example',
    channels: ['shopee'],
  }),
  'put /v1/automation/auto-pack': ({ fields }) => ({
    rules: [
      {
        ...automatic,
        stores: { kind: 'list', stores: [{ partnership: fields.partnership }] },
        warehouses: [fields.warehouse],
      },
    ],
  }),
  'put /v1/automation/mark-rules': ({ fields }) => ({
    rules: [{ ...automatic, of: 'orders', tags: ['mine'], conditions: { stores: [fields.store] } }],
  }),
  'put /v1/automation/shipping-rules': ({ fields }) => ({
    rules: [{ ...automatic, of: 'self_delivery', carrier: 'mine', conditions: { partnerships: [fields.partnership] } }],
  }),
  'put /v1/supplier/distributors/{id}/billing/credit': () => ({ limit: money, periodDays: null }),
};

function sampleOf(document: ApiDocument, things: Things, schema: Schema, name: string): unknown {
  const inner = (one: Schema, of = name) => sampleOf(document, things, one, of);
  if (schema.$ref) return inner(document.components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {});
  const [choice] = schema.anyOf ?? schema.oneOf ?? schema.allOf ?? [];
  if (choice) return inner(choice);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const type = typeof schema.type === 'string' ? schema.type : schema.type?.[0];
  switch (type) {
    case 'object': {
      const { properties = {}, required = [] } = schema;
      // A change must change something.
      const names = required.length > 0 ? required : Object.keys(properties).slice(0, 1);
      return Object.fromEntries(names.map((one) => [one, inner(properties[one] ?? {}, one)]));
    }
    case 'array':
      return schema.items ? [inner(schema.items, name)] : [];
    case 'integer':
    case 'number':
      return Math.max(1, schema.minimum ?? 1);
    case 'boolean':
      return true;
    default:
      return textOf(things, schema, name);
  }
}

const TEXTS: Readonly<Record<string, string>> = { amount: '1.00', percent: '80', rate: '2', value: '1' };
const FORMATS: Readonly<Record<string, string>> = {
  email: 'me@mine.example',
  'date-time': '2026-01-01T00:00:00Z',
  uri: 'https://mine.example/hook',
};

function textOf({ fields }: Things, { format = '' }: Schema, name: string): string {
  const single = name.replace(/s$/, '');
  const url = /url$/i.test(name) ? FORMATS.uri : undefined;
  return fields[name] ?? fields[single] ?? TEXTS[name] ?? FORMATS[format] ?? url ?? 'mine';
}

/** A file that names these things. */
export const fileFor = ({ fields }: Things) => `sku,name\n${fields.sku},mine\n`;

/** A body that the route accepts, naming these things wherever it names any. */
export function bodyFor(document: ApiDocument, route: DocumentedRoute, things: Things): unknown {
  const own = BODIES[`${route.method} ${route.path}`];
  if (own) return own(things);
  return route.body === null || route.method === 'get' || route.method === 'delete'
    ? undefined
    : sampleOf(document, things, route.body, '');
}

/** The path with these things in it. Throws where nothing is known to stand there: then it must be added to the walk. */
export function pathFor(route: DocumentedRoute, { places }: Things): string {
  let template = '';
  return route.path.replaceAll(/[^{]*\{\w+\}/g, (part) => {
    template += part;
    const thing = places[template];
    if (thing === undefined) throw new Error(`No object stands for ${template} (${route.method} ${route.path})`);
    return part.replace(/\{\w+\}/, encodeURIComponent(thing));
  });
}

/** The queries to try: with what is required alone, and with each optional parameter that can name a thing. */
export function queriesFor(route: DocumentedRoute, { fields }: Things): string[] {
  const textFor = ({ name }: Parameter) => `${name}=${encodeURIComponent(fields[name] ?? 'x')}`;
  const needed = route.query.filter(({ required }) => required).map(textFor);
  const optional = route.query.filter(({ name, required }) => !required && fields[name] !== undefined).map(textFor);
  return [needed, ...optional.map((one) => [...needed, one])].map((parts) =>
    parts.length === 0 ? '' : `?${parts.join('&')}`,
  );
}
