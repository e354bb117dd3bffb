/**
 * Packages and the product's modules are loaded once in a worker, by node itself; only what is below test/ is loaded anew
 * for each file. Loading Temporal's SDK, mongoose, express and the rest took a second of processor time in each file, and
 * code that is new is slow for a while. So modules can't be mocked with `jest.mock` (nobody does: fakes stand behind
 * interfaces), and what a module remembers (Temporal's Runtime, mongoose's list of connections) outlives the file.
 */
const Module = require('node:module');
const { dirname, join, relative, resolve, sep } = require('node:path');
const { compileFunction } = require('node:vm');
const Runtime = require('jest-runtime').default;

const ROOT = join(__dirname, '../..');
const requires = new Map();
/** By file: where a stack's lines are looked up. */
const sourceMaps = new Map();
/** Jest's transforms, with its cache; the latest file's, they are all the same. */
let transforms;

Module._extensions['.ts'] = (module, file) => module._compile(transforms.transform(file), file);

function isOfTests(from, name) {
  if (!name.startsWith('.')) return name.startsWith(sep);
  const path = relative(ROOT, resolve(dirname(from), name));
  return path.startsWith(`test${sep}`) || path.startsWith('..');
}

module.exports = class extends Runtime {
  constructor(...given) {
    super(...given);
    transforms = this.transformCache;
    transforms.sourceMaps = sourceMaps;
    // In this realm, not in a context: else packages would get arrays and errors that are no `instanceof` theirs.
    const { executor } = this;
    executor.compile = (code, filename) => compileFunction(code, executor.injectedModuleParameters, { filename });
  }

  requireModuleOrMock(from, name) {
    if (isOfTests(from, name) || name === '@jest/globals') return super.requireModuleOrMock(from, name);
    if (!requires.has(from)) requires.set(from, Module.createRequire(from));
    return requires.get(from)(name);
  }
};
