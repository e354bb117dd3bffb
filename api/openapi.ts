/** The API document, made from the same routes and schemas that serve. */
import { OpenAPIRegistry, OpenApiGeneratorV31 } from '@asteasolutions/zod-to-openapi';
import type { Access } from './authentication';
import { problemSchema } from './problems';
import { type FileAnswer, isFileAnswer, type Route } from './route';
import { z } from './schemas/zod';

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
});

const SUCCESS: Readonly<Record<number, string>> = {
  200: 'Done',
  201: 'Made',
  202: 'Started; the operation tells how it goes',
  204: 'Done; nothing to say',
};

function accessText(access: Access): string {
  if (access === 'public') return 'No key needed.';
  if (access === 'platform') return 'Needs the admin key of the installation.';
  if (access === 'any') return 'Any API key of the account.';
  return `Needs the permission ${(typeof access === 'string' ? [access] : access).map((name) => `\`${name}\``).join(' or ')}.`;
}

/** A body of these types, whose bytes are not JSON. */
const binary = (mediaTypes: readonly string[]) =>
  Object.fromEntries(mediaTypes.map((type) => [type, { schema: { type: 'string' as const, format: 'binary' } }]));

function contentOf(schema: z.ZodType | FileAnswer) {
  if (!isFileAnswer(schema)) return { 'application/json': { schema } };
  const { mediaTypes, otherwise } = schema;
  return { ...binary(mediaTypes), ...(otherwise === null ? {} : { 'application/json': { schema: otherwise } }) };
}

function responsesOf(route: Route) {
  const responses: Record<string, object> = {};
  for (const [status, schema] of Object.entries(route.answers))
    responses[status] = {
      description: SUCCESS[Number(status)] ?? 'See the body',
      ...(schema === null ? {} : { content: contentOf(schema) }),
      ...(status === '202'
        ? { headers: { Location: { schema: { type: 'string' }, description: 'The operation' } } }
        : {}),
    };
  if (route.access !== 'public') {
    responses[401] = problem('No API key, or one that is not known');
    responses[403] = problem('The key lacks the permission, which is named');
  }
  if (route.parameters.length > 0) responses[404] = problem('Not there, or another account’s');
  if (route.body || Object.keys(route.query.shape).length > 0)
    responses[422] = problem('Input that can not be accepted: every place at once');
  responses.default = problem('Any other refusal or failure; `code` says which');
  return responses;
}

function headersOf(route: Route) {
  const headers: Record<string, z.ZodType> = {};
  if (route.method === 'post' && route.access !== 'public') {
    const key = z.string().min(1).max(200);
    const described = { description: 'The same key with the same body gives the first answer again for 24 hours' };
    headers['Idempotency-Key'] = route.moves ? key.openapi(described) : key.optional().openapi(described);
  }
  if (202 in route.answers)
    headers.Prefer = z.string().optional().openapi({ example: 'wait=10', description: 'Wait up to 30 s for the end' });
  return Object.keys(headers).length === 0 ? undefined : z.object(headers);
}

/** @returns the OpenAPI 3.1 document of these routes */
export function createOpenApiDocument(routes: readonly Route[], publicUrl: string) {
  const registry = new OpenAPIRegistry();
  const bearer = registry.registerComponent('securitySchemes', 'apiKey', { type: 'http', scheme: 'bearer' });
  registry.register('Problem', problemSchema);
  for (const route of routes) {
    const headers = headersOf(route);
    registry.registerPath({
      method: route.method,
      path: route.path,
      tags: [route.tag],
      summary: route.summary,
      description: accessText(route.access),
      operationId: `${route.method}${route.path.replaceAll(/[^A-Za-z0-9]+(.)?/g, (_, next: string | undefined) => (next ?? '').toUpperCase())}`,
      security: route.access === 'public' ? [] : [{ [bearer.name]: [] }],
      request: {
        ...(route.parameters.length === 0
          ? {}
          : { params: z.object(Object.fromEntries(route.parameters.map((name) => [name, z.string()]))) }),
        ...(Object.keys(route.query.shape).length === 0 ? {} : { query: route.query }),
        ...(headers === undefined ? {} : { headers }),
        ...(route.rawBody ? { body: { content: { 'application/json': { schema: z.unknown() } } } } : {}),
        ...(route.file ? { body: { required: true, content: binary(route.file.mediaTypes) } } : {}),
        ...(route.body === null
          ? {}
          : {
              body: {
                required: !route.body.safeParse({}).success,
                content: { 'application/json': { schema: route.body } },
              },
            }),
      },
      responses: responsesOf(route),
    });
  }
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Tradelane',
      version: '1',
      description: 'Integration hub for marketplace sellers, suppliers and third-party warehouses.',
    },
    servers: [{ url: publicUrl }],
  });
}
