import { readdirSync, readFileSync } from 'node:fs';
import { PLATFORMS } from '../../connectors/port';
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

test('the lanes know no platform by name: what a platform can do is data', () => {
  const rooms = {
    activities: /lane|push/,
    workflows: /lane|stock-push/,
    'store/repositories': /lane|due|push|pre-order|mirror/,
  };
  const files = Object.entries(rooms).flatMap(([room, about]) =>
    readdirSync(room).flatMap((name) => (about.test(name) ? [`${room}/${name}`] : [])),
  );
  expect(files.length).toBeGreaterThan(12);
  const named = new RegExp(PLATFORMS.join('|'), 'i');
  const naming = ['domain/push-rules.ts', ...files].filter((file) => named.test(readFileSync(file, 'utf8')));
  expect(naming).toEqual([]);
});
