/** The files that take longest begin, so that none of them is alone at the end; without it, the largest file begins. */
const { default: Sequencer } = require('@jest/test-sequencer');

const SLOWEST_FIRST = [
  'test/chaos/',
  'test/launcher/',
  'test/e2e/',
  'test/store/',
  'test/demo/',
  'test/workflows/',
  'test/engines/',
];
const rank = ({ path }) => (SLOWEST_FIRST.findIndex((folder) => path.includes(folder)) + 1 || Infinity) - 1;

module.exports = class extends Sequencer {
  sort(tests) {
    // A stable sort: within a folder, what jest knows or supposes of a file's time decides.
    return super.sort(tests).sort((one, other) => Math.min(rank(one), 99) - Math.min(rank(other), 99));
  }
};
