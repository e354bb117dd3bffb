/** For `npm run test:long`: the test files that have full counts. All others do the same again as in `npm test`. */
const { readFileSync } = require('node:fs');

const HAS_FULL_COUNTS = /\bprocess\.env\.LONG\b/;

/** @type {(paths: readonly string[]) => { filtered: string[] }} */
module.exports = (paths) => ({ filtered: paths.filter((path) => HAS_FULL_COUNTS.test(readFileSync(path, 'utf8'))) });
