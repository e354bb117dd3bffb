/**
 * The borders between the rooms (docs/architecture), checked on every TypeScript file: who may import whom, who may
 * construct clients, who may read the environment. Biome's import rule cannot tell types from values, nor a room from a
 * file of that name, and dependency-cruiser needs the programming interface that TypeScript 7 does not have; so the
 * imports are read from the syntax tree here.
 *
 * `node scripts/borders.mjs [folder]` prints each breach with its place and ends with 1 if there is one.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from '@swc/core';

const ROOMS = [
  ...['api', 'workflows', 'activities', 'connectors', 'worker', 'config', 'domain', 'store', 'console'],
  ...['sandbox', 'bench', 'test', 'scripts'],
];
/** Rooms that start the parts of the hub, and look into all of them. */
const OUTER = ['sandbox', 'bench', 'test'];

/**
 * What a room may import of ours besides itself, as values and types; `types` only as types. A name with a slash is
 * one file. Rooms that are not named are unbound.
 */
const MAY_IMPORT = {
  domain: { values: [], types: [] },
  config: { values: ['domain/redaction'], types: ['domain'] },
  workflows: { values: ['domain', 'config/timeouts'], types: ['activities'] },
  connectors: { values: ['domain'], types: ['config'] },
  store: { values: ['domain'], types: ['config'] },
  activities: { values: ['domain', 'connectors', 'store', 'config', 'workflows'], types: [] },
  worker: { values: ['domain', 'connectors', 'store', 'config', 'workflows', 'activities'], types: [] },
  api: { values: ['domain', 'connectors', 'store', 'config', 'workflows', 'activities'], types: [] },
};

const COMPOSITION_ROOTS = ['worker/main.ts', 'api/server.ts', 'worker/hub-worker.ts', 'worker/audit-verify.ts'];
/** Constructors of clients, by the package they come from. */
const CLIENTS = {
  '@temporalio/client': ['Client', 'WorkflowClient', 'Connection', 'ScheduleClient'],
  '@temporalio/worker': ['Worker', 'NativeConnection', 'Runtime'],
  mongodb: ['MongoClient'],
};
/** What a platform can do is data: the lanes and what decides for them know none by its name. */
const PLATFORM_NAMES = /shopee|lazada|tokopedia|tiktok|temu/i;
const KNOW_NO_PLATFORM = [
  ...['activities', 'workflows', 'domain/push-rules', 'store/repositories/dues', 'store/repositories/lanes'],
  ...['store/repositories/pushes', 'store/repositories/push-rules', 'store/repositories/push-facts'],
  ...['store/repositories/push-preview', 'store/repositories/pre-orders', 'store/repositories/stock-pushes'],
  ...['store/repositories/mirror', 'store/repositories/stock'],
];
const ENVIRONMENT_READERS = ['config/env.ts', 'jest.config.cjs'];

function roomOf(path) {
  const [first = ''] = path.split(sep);
  const name = first.replace(/\.ts$/, ''); // A room without an index file, imported by its name.
  return ROOMS.includes(name) ? name : undefined;
}

function allows(list, target) {
  const bare = target
    .replace(/\.[cm]?ts$/, '')
    .split(sep)
    .join('/');
  return list.some((entry) => (entry.includes('/') ? bare === entry : bare.split('/')[0] === entry));
}

function resolveImport(file, specifier) {
  const base = resolve(dirname(file), specifier);
  const candidates = [base, `${base}.ts`, `${base}.cts`, `${base}.mts`, `${base}.tsx`, join(base, 'index.ts')];
  return candidates.find((candidate) => existsSync(candidate) && statSync(candidate).isFile()) ?? `${base}.ts`;
}

/**
 * All imports of a file: `{ specifier, typeOnly, names, place }`; and the places where it reads `process.env` or names a
 * platform, in a text or as a name (not in a comment).
 */
function read(source) {
  const imports = [];
  const environment = [];
  const platforms = [];
  const names = (specifiers) =>
    specifiers
      .filter((s) => !s.isTypeOnly)
      .map((s) => s.imported?.value ?? (s.type === 'ImportSpecifier' ? s.local.value : s.orig?.value) ?? '*');
  const declaration = (node) => {
    const specifiers = node.specifiers ?? [];
    const typeOnly = node.typeOnly || (specifiers.length > 0 && specifiers.every((s) => s.isTypeOnly));
    const all = node.type === 'ExportAllDeclaration' ? ['*'] : names(specifiers);
    imports.push({ specifier: node.source.value, typeOnly: Boolean(typeOnly), names: all, place: node.span.start });
  };
  const literal = (argument) =>
    argument?.expression?.type === 'StringLiteral' ? argument.expression.value : undefined;
  const visit = (node) => {
    if (node === null || typeof node !== 'object') return;
    if (Array.isArray(node)) return node.forEach(visit);
    if (node.source?.value !== undefined && /^(Import|Export\w*)Declaration$/.test(node.type)) declaration(node);
    if (node.type === 'TsImportType') {
      imports.push({ specifier: node.argument.value, typeOnly: true, names: [], place: node.span.start });
    }
    if (node.type === 'TsImportEqualsDeclaration' && node.moduleRef?.expression) {
      const typeOnly = Boolean(node.isTypeOnly);
      imports.push({ specifier: node.moduleRef.expression.value, typeOnly, names: ['*'], place: node.span.start });
    }
    if (node.type === 'CallExpression') {
      const loads =
        node.callee.type === 'Import' || ['require'].includes(node.callee.value) || isRequireResolve(node.callee);
      const specifier = loads ? literal(node.arguments[0]) : undefined;
      if (specifier !== undefined) imports.push({ specifier, typeOnly: false, names: ['*'], place: node.span.start });
    }
    if (node.type === 'MemberExpression' && node.object.value === 'process' && propertyOf(node) === 'env') {
      environment.push(node.span.start);
    }
    if (['StringLiteral', 'Identifier'].includes(node.type) && PLATFORM_NAMES.test(node.value))
      platforms.push({ name: node.value, place: node.span.start });
    if (node.type === 'TemplateElement' && PLATFORM_NAMES.test(node.raw))
      platforms.push({ name: node.raw, place: node.span.start });
    for (const value of Object.values(node)) if (typeof value === 'object') visit(value);
  };
  const tree = parseSync(source, { syntax: 'typescript', tsx: false, target: 'es2023' });
  visit(tree.body);
  // Places count bytes, over all files parsed so far; the tree's own begins at its first token.
  const bytes = Buffer.from(source);
  const offset = tree.span.start - leadingBytes(source);
  const line = (place) =>
    bytes
      .subarray(0, place - offset)
      .toString()
      .split('\n').length;
  return {
    imports: imports.map((i) => ({ ...i, line: line(i.place) })),
    environment: environment.map(line),
    platforms: platforms.map((one) => ({ ...one, line: line(one.place) })),
  };
}

function isRequireResolve(callee) {
  return callee.type === 'MemberExpression' && callee.object.value === 'require' && propertyOf(callee) === 'resolve';
}

function propertyOf(member) {
  return member.property.type === 'Computed' ? member.property.expression.value : member.property.value;
}

/** The module's span begins at its first token: what stands before it are comments and blank lines. */
function leadingBytes(source) {
  const lead = /^(?:\s+|\/\/[^\n]*\n|\/\*[\s\S]*?\*\/|#![^\n]*\n)*/.exec(source)?.[0] ?? '';
  return Buffer.from(lead).length;
}

function breachesOf(root, file) {
  const path = relative(root, file);
  const room = roomOf(path);
  const { imports, environment, platforms } = read(readFileSync(file, 'utf8'));
  const breaches = imports.flatMap((entry) =>
    breachesOfImport({ root, file, path: path.split(sep).join('/'), room, entry }).map(
      (text) => `${path}:${entry.line} ${text}`,
    ),
  );
  const mayRead = ENVIRONMENT_READERS.includes(path.split(sep).join('/')) || [...OUTER, 'scripts'].includes(room);
  if (!mayRead) breaches.push(...environment.map((line) => `${path}:${line} only config/env.ts reads process.env`));
  if (allows(KNOW_NO_PLATFORM, path))
    breaches.push(...platforms.map(({ name, line }) => `${path}:${line} knows a platform by its name (${name})`));
  return breaches;
}

function breachesOfImport({ root, file, path, room, entry }) {
  const { specifier, typeOnly, names } = entry;
  if (!specifier.startsWith('.')) return breachesOfPackage({ path, room, entry });
  const target = relative(root, resolveImport(file, specifier));
  const targetRoom = roomOf(target);
  if (targetRoom === undefined || targetRoom === room) return [];
  const rule = MAY_IMPORT[room];
  if (rule === undefined) {
    const outer = OUTER.includes(room) || room === 'scripts';
    return outer || !['api', 'worker'].includes(targetRoom) ? [] : [`nobody imports ${targetRoom}`];
  }
  if (allows(rule.values, target) || (typeOnly && allows(rule.types, target))) return [];
  if (allows(rule.types, target)) return [`${room} may import only types of ${targetRoom}, not ${names.join(', ')}`];
  return [`${room} may not import ${targetRoom} (${specifier})`];
}

function breachesOfPackage({ path, room, entry }) {
  const { specifier, typeOnly, names } = entry;
  if (/^mongoose(\/|$)/.test(specifier)) {
    return ['store', 'test', 'bench'].includes(room) ? [] : ['only store/ knows mongoose'];
  }
  if (OUTER.includes(room)) return [];
  const constructors = CLIENTS[specifier];
  if (constructors === undefined || typeOnly || COMPOSITION_ROOTS.includes(path)) return [];
  const used = names.filter((name) => name === '*' || constructors.includes(name));
  return used.map((name) => `only ${COMPOSITION_ROOTS.join(' and ')} construct clients (${name} of ${specifier})`);
}

function typescriptFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory())
      return entry.name === 'node_modules' || entry.name.startsWith('.') ? [] : typescriptFiles(path);
    return /\.[cm]?tsx?$/.test(entry.name) && !/\.d\.[cm]?ts$/.test(entry.name) ? [path] : [];
  });
}

/** All breaches below the folder, one line each. */
function findBreaches(root) {
  const rooms = ROOMS.map((room) => join(root, room)).filter((folder) => existsSync(folder));
  return rooms.flatMap(typescriptFiles).flatMap((file) => breachesOf(root, file));
}

const isMain = process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url);
if (isMain) {
  const breaches = findBreaches(resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..')));
  for (const breach of breaches) console.error(breach);
  console.log(breaches.length === 0 ? 'Borders: kept' : `Borders: ${breaches.length} breaches`);
  process.exitCode = breaches.length === 0 ? 0 : 1;
}
