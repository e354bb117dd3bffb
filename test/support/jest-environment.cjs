/**
 * Test files run among node's own objects instead of in a `vm` context each, so that they can share packages
 * (jest-runtime.cjs). What a file adds to `globalThis` goes when it ends.
 */
const { TestEnvironment } = require('jest-environment-node');

module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    this.global = globalThis;
    this.moduleMocker = new this.moduleMocker.constructor(globalThis);
    this.fakeTimersModern = new this.fakeTimersModern.constructor({ config: config.projectConfig, global: globalThis });
    this.fakeTimers = null; // The legacy ones.
    const keys = Reflect.ownKeys(globalThis);
    this.before = new Map(keys.map((key) => [key, Object.getOwnPropertyDescriptor(globalThis, key)]));
    this.exit = process.exit;
  }

  async teardown() {
    await super.teardown();
    // Jest puts its own in their place for each file.
    process.exit = this.exit;
    Object.defineProperty(globalThis, 'console', this.before.get('console'));
    for (const key of Reflect.ownKeys(globalThis)) if (!this.before.has(key)) Reflect.deleteProperty(globalThis, key);
  }
};
