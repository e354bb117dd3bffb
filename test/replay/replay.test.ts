/** Every recorded history still replays: a change of a workflow that breaks one would break what runs at its deployment. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporal } from '@temporalio/proto';
import { Worker } from '@temporalio/worker';
import * as workflows from '../../workflows';
import { createDataConverter } from '../../workflows/encoding';
import { testEnvironment } from '../support/environment';
import { TEST_KEYS } from '../support/hub';
import { installRuntime } from '../support/temporal-runtime';

const HISTORIES = join(__dirname, 'histories');
const names = readdirSync(HISTORIES).map((file) => file.replace(/\.json$/, ''));
const historyOf = (name: string) =>
  temporal.api.history.v1.History.fromObject(
    JSON.parse(readFileSync(join(HISTORIES, `${name}.json`), 'utf8')) as Record<string, unknown>,
  );

/** What a replay said, by name; null where it went well. */
async function replay(histories: { workflowId: string; history: unknown }[]): Promise<Map<string, string | null>> {
  const results = new Map<string, string | null>();
  const options = {
    workflowBundle: { code: readFileSync(testEnvironment().workflowBundlePath ?? '', 'utf8') },
    dataConverter: createDataConverter(TEST_KEYS),
  };
  for await (const { workflowId, error } of Worker.runReplayHistories(options, histories))
    results.set(workflowId, error === undefined ? null : error.message);
  return results;
}

beforeAll(() => {
  installRuntime();
});

test('every recorded history replays', async () => {
  const results = await replay(names.map((name) => ({ workflowId: name, history: historyOf(name) })));
  expect(Object.fromEntries(results)).toEqual(Object.fromEntries(names.map((name) => [name, null])));
});

test.each(Object.keys(workflows))('%s has a recorded history', (type) => {
  const own = names.filter((name) => name.split('.')[0] === type);
  expect(own).not.toEqual([]);
  for (const name of own) {
    const started = historyOf(name).events?.[0]?.workflowExecutionStartedEventAttributes;
    expect(started?.workflowType?.name).toBe(type);
  }
});

test('a history that goes another way is noticed', async () => {
  const history = historyOf('orderPush.parked-abandoned');
  for (const event of history.events ?? []) {
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled?.activityType?.name === 'parkOrderPush') scheduled.activityType.name = 'somethingElse';
  }
  const results = await replay([{ workflowId: 'changed', history }]);
  expect(results.get('changed')).toMatch(/Nondeterminism/i);
});
