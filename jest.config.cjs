/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: '<rootDir>/test/support/jest-environment.cjs',
  runtime: '<rootDir>/test/support/jest-runtime.cjs',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/.engines/', '<rootDir>/.data/'],
  transform: {
    '^.+\\.[cm]?[jt]sx?$': [
      '@swc/jest',
      {
        jsc: { target: 'es2023', parser: { syntax: 'typescript' }, keepClassNames: true },
        module: { type: 'commonjs' },
        sourceMaps: 'inline',
      },
    ],
  },
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // Against what hangs alone: how fast it is, benches tell.
  testTimeout: process.env.LONG === '1' ? 2_400_000 : 600_000,
  maxWorkers: 2,
  testSequencer: '<rootDir>/test/support/sequencer.cjs',
  // What a file leaves behind (isolates, native threads, modules) makes all that come after it slower: begin anew.
  workerIdleMemoryLimit: '600MB',
};
