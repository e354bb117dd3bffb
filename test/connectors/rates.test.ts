import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRates } from '../../connectors';
import { createSandboxControl } from '../../sandbox/control';
import { type RunningSandbox, startSandbox } from '../../sandbox/marketplaces';
import { SANDBOX_KEYS } from '../support/hub';

const http = { timeoutMs: 5_000, tries: 2, waitMs: 1 };

describe('the provider of live rates', () => {
  let sandbox: RunningSandbox;
  let other: Server;
  let body = '';
  beforeAll(async () => {
    sandbox = await startSandbox({ port: 0, ...SANDBOX_KEYS });
    other = createServer((_req, res) => res.setHeader('Content-Type', 'application/json').end(body));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    await sandbox.close();
    await new Promise((resolve) => other.close(resolve));
  });
  const ofSandbox = () => createRates(`${sandbox.url}/rates`, http);
  const ofOther = () => createRates(`http://127.0.0.1:${(other.address() as AddressInfo).port}`, http);

  test('is asked for many at once, and gives exact decimals of what is quoted', async () => {
    const control = createSandboxControl(sandbox.url);
    await control.setRates({ quotes: { 'MYR/SGD': 0.3051, 'MYR/IDR': 3676.47, 'MYR/THB': null } });
    expect(await ofSandbox()?.latest('MYR', ['SGD', 'THB', 'IDR'])).toEqual([
      { from: 'MYR', to: 'SGD', rate: '0.3051' },
      { from: 'MYR', to: 'IDR', rate: '3676.47' },
    ]);
    await control.setRates({ down: true });
    await expect(ofSandbox()?.latest('MYR', ['SGD'])).rejects.toMatchObject({ kind: 'unavailable', platform: 'rates' });
  });

  test.each([
    ['{"base":"MYR","rates":{"SGD":6.4e-7}}', '0.00000064'],
    ['{"base":"MYR","rates":{"SGD":"0.305100"}}', '0.305100'],
    ['{"base":"MYR","rates":{"SGD":1}}', '1'],
  ])('reads %s', async (answer, rate) => {
    body = answer;
    const [quote] = (await ofOther()?.latest('MYR', ['SGD'])) ?? [];
    expect(Number(quote?.rate)).toBe(Number(rate));
    expect(quote?.rate).toMatch(/^\d+(\.\d+)?$/);
  });

  test.each(['{"base":"MYR","rates":{"SGD":0}}', '{"base":"MYR","rates":{"SGD":-1}}', '{"base":"MYR","rates":{}}'])(
    'takes nothing from %s',
    async (answer) => {
      body = answer;
      expect(await ofOther()?.latest('MYR', ['SGD'])).toEqual([]);
    },
  );

  test.each(['{"base":"EUR","rates":{"SGD":1.4}}', '{"rates":{}}', 'no JSON', '[]'])(
    'refuses %s as a whole',
    async (answer) => {
      body = answer;
      await expect(ofOther()?.latest('MYR', ['SGD'])).rejects.toMatchObject({
        kind: 'unavailable',
        code: 'bad_answer',
      });
    },
  );

  test('is none without an address', () => {
    expect(createRates(undefined, http)).toBeNull();
  });
});
