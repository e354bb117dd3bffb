import { readFileSync } from 'node:fs';
import { testEnvironment } from '../support/environment';

const code = readFileSync(testEnvironment().workflowBundlePath ?? '', 'utf8');

describe('the workflow bundle', () => {
  test.each(['axios', 'mongoose', 'mongodb', 'express', 'winston', 'zod', '@temporalio/client', '@temporalio/worker'])(
    'holds no module of %s',
    (name) => {
      expect(code.includes(`/node_modules/${name}/`)).toBe(false);
    },
  );

  test.each(['activities', 'store', 'connectors', 'api'])('holds nothing of our %s', (room) => {
    const files = [...code.matchAll(/!\*\*\* (\.\/[^\s*]+)/g)].map(([, path]) => path ?? '');
    expect(files.length).toBeGreaterThan(10);
    expect(files.filter((path) => path.startsWith(`./${room}/`))).toEqual([]);
  });

  test('names its modules, so that the tests above can fail', () => {
    expect(code).toContain('/node_modules/@temporalio/workflow/');
    expect(code).toContain('./workflows/order-push.ts');
  });
});
