import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const PROGRAM = resolve(__dirname, '../../scripts/borders.mjs');

/** What the border rule says about a project of these files. */
function breaches(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'tradelane-borders-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, root], { encoding: 'utf8' });
    const lines = stderr.split('\n').filter((line) => line !== '');
    expect(status).toBe(lines.length === 0 ? 0 : 1);
    return lines;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Each is a breach by itself: file, text, and a part of what is said about it. */
const PLANTED: readonly [string, string, string][] = [
  ['domain/a.ts', `import { b } from '../store/b';`, 'domain may not import store'],
  ['domain/schema/a.ts', `import type { L } from '../../config/logger';`, 'domain may not import config'],
  ['workflows/a.ts', `import { b } from '../activities/b';`, 'only types of activities, not b'],
  ['workflows/a.ts', `import { type T, b } from '../activities';`, 'only types of activities, not b'],
  ['workflows/a.ts', `export * from '../activities';`, 'only types of activities'],
  ['workflows/a.ts', `import { b } from '../store/b';`, 'workflows may not import store'],
  ['workflows/a.ts', `import { loadConfig } from '../config/env';`, 'workflows may not import config'],
  ['connectors/shopee/a.ts', `import { b } from '../../store';`, 'connectors may not import store'],
  ['connectors/a.ts', `import { createLogger } from '../config/logger';`, 'only types of config, not createLogger'],
  ['connectors/a.ts', `const b = () => import('../activities/b');`, 'connectors may not import activities'],
  ['store/a.ts', `const b = require('../connectors/port');`, 'store may not import connectors'],
  ['store/a.ts', `let b: import('../workflows/ids').B;`, 'store may not import workflows'],
  ['activities/a.ts', `import '../api/app';`, 'activities may not import api'],
  ['api/a.ts', `import { bundle } from '../worker/bundle';`, 'api may not import worker'],
  ['console/a.ts', `import { app } from '../api/app';`, 'nobody imports api'],
  ['api/routes/a.ts', `import { Connection } from '@temporalio/client';`, 'construct clients (Connection'],
  ['activities/a.ts', `import * as t from '@temporalio/client';`, 'construct clients (*'],
  [
    'worker/bundle.ts',
    `import { NativeConnection as N } from '@temporalio/worker';`,
    'construct clients (NativeConnection',
  ],
  ['activities/a.ts', `import { Types } from 'mongoose';`, 'only store/ knows mongoose'],
  ['api/a.ts', `const home = process.env.HOME;`, 'only config/env.ts reads process.env'],
  ['activities/a.ts', `const isOne = (row) => row.platform === 'shopee';`, 'knows a platform by its name (shopee)'],
  ['workflows/a.ts', `const one = \`lazada/\${1}\`;`, 'knows a platform by its name (lazada/'],
  ['store/repositories/lanes.ts', `const forTokopedia = 1;`, 'knows a platform by its name (forTokopedia)'],
  ['domain/a.ts', `const home = process['env']['HOME'];`, 'only config/env.ts reads process.env'],
];

const KEPT: Record<string, string> = {
  'domain/money.ts': `import { x } from './schema/x'; export const money = x;`,
  'domain/schema/x.ts': `export const x = 1; import type { m } from '../money';`,
  'workflows/a.ts': `import type { Activities } from '../activities'; import { money } from '../domain/money';
    import { type B } from '../activities/b'; import { LOCAL } from '../config/timeouts';`,
  'connectors/a.ts': `import type { Logger } from '../config/logger'; import axios from 'axios';`,
  'store/models/a.ts': `export const PLATFORMS = ['shopee', 'lazada'];`,
  'activities/b.ts': `// Shopee's calls hold one item each.\nexport const capable = (can) => can.preOrder;`,
  'store/a.ts': `import mongoose from 'mongoose'; import { money } from '../domain/money';`,
  'api/server.ts': `import { Client, Connection } from '@temporalio/client'; import { x } from '../store/a';`,
  'api/routes.ts': `import type { Client } from '@temporalio/client'; import { WorkflowNotFoundError } from '@temporalio/client';`,
  'worker/main.ts': `import { Worker, NativeConnection } from '@temporalio/worker';`,
  'config/env.ts': `export const env = process.env;`,
  'sandbox/start.ts': `import { app } from '../api/app'; import { MongoClient } from 'mongodb'; process.env.A;`,
  'test/a.ts': `import { Connection } from '@temporalio/client'; import { x } from '../worker/main';`,
};

describe('the borders between the rooms', () => {
  test.each(PLANTED)('%s: %s', (path, text, says) => {
    const lines = breaches({ ...KEPT, [path]: `// A comment, ü.\n\n${text}\n` });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(says);
    expect(lines[0]).toMatch(new RegExp(`^${path}:3 `));
  });

  test('say nothing where they are kept', () => {
    expect(breaches(KEPT)).toEqual([]);
  });
});
