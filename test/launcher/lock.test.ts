import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

interface LockedPackage {
  readonly version?: string;
  readonly optionalDependencies?: Record<string, string>;
}

describe('package-lock.json', () => {
  test('holds the binaries of every platform, as npm ci refuses it otherwise', () => {
    const file = resolve(__dirname, '../../package-lock.json');
    const packages: Record<string, LockedPackage> = JSON.parse(readFileSync(file, 'utf8')).packages;
    const names = new Set(Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 13)));
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).flatMap((name) => (names.has(name) ? [] : [`${path} → ${name}`])),
    );
    expect(missing).toEqual([]);
    const withoutVersion = Object.entries(packages).filter(
      ([path, { version }]) => path !== '' && version === undefined,
    );
    expect(withoutVersion).toEqual([]);
  });
});
