/** Imports and exports over HTTP, through the real workflows. Contract: catalogue.md; http-api.md. */
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { temporal } from '@temporalio/proto';
import { BSON } from 'mongodb';
import writeExcel from 'write-excel-file/node';
import { MEDIA_TYPES } from '../../connectors/files/table';
import { newId } from '../../domain/ids';
import type { RowError } from '../../domain/imports';
import { eventually, type Hub, startHub } from '../support/hub';
import { makeDistributor, makeSupplier } from '../support/scenario';
import { serveApi } from '../support/served-api';
import { HEADER, text, workbook, xlsx, zipOf } from '../support/workbooks';

type Format = keyof typeof MEDIA_TYPES;

describe('imports and exports', () => {
  let hub: Hub;
  let api: Awaited<ReturnType<typeof serveApi>>;

  beforeAll(async () => {
    hub = await startHub();
    api = await serveApi(hub);
  });
  afterAll(async () => {
    await api?.close();
    await hub?.stop();
  });

  async function newAccount() {
    const { account, key } = await hub.store.accounts.create({ name: 'Importer', plan: 'v2', orderQuota: null });
    await hub.store.accounts.change(account._id, { inventoryEnabled: true });
    return { id: account._id, key };
  }
  type Party = { readonly id: string; readonly key: string };

  async function get(party: Party, path: string) {
    const response = await fetch(`${api.url}${path}`, { headers: { Authorization: `Bearer ${party.key}` } });
    return response;
  }
  interface Answer {
    readonly status: number;
    /** Whatever came: what a test looks at, it compares. */
    // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
    readonly body: any;
  }
  async function json(party: Party, path: string): Promise<Answer> {
    const response = await get(party, path);
    return { status: response.status, body: await response.json() };
  }
  async function post(
    party: Party,
    path: string,
    body?: Buffer | string,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(`${api.url}${path}`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${party.key}`, 'Idempotency-Key': randomUUID(), Prefer: 'wait=30', ...headers },
      ...(body === undefined ? {} : { body: body as string }),
    });
    return { status: response.status, body: await response.json() };
  }
  /** The answer once the import, or its undo, has ended, also where the machine was too slow for the wait. */
  async function ended(party: Party, answer: Answer): Promise<Answer> {
    if (answer.status !== 202) return answer;
    const { operation, import: row } = answer.body;
    const now = await eventually(async () => {
      const { body } = await json(party, `/v1/operations/${operation.id}`);
      expect(['done', 'failed', 'abandoned']).toContain(body.status);
      return body;
    });
    const { body } = await json(party, `/v1/imports/${row.id}`);
    return { status: 200, body: { operation: now, import: body } };
  }
  const send = async (party: Party, path: string, body: Buffer | string, format: Format = 'csv', headers = {}) =>
    ended(party, await post(party, path, body, { 'Content-Type': MEDIA_TYPES[format], ...headers }));
  const undo = async (party: Party, id: string) => ended(party, await post(party, `/v1/imports/${id}/undo`));
  const exported = async (party: Party, path: string, format: Format = 'csv') =>
    Buffer.from(await (await get(party, `${path}?format=${format}`)).arrayBuffer());
  const skusOf = (party: Party) => hub.store.database.models.skus.find({ account: party.id }).sort({ sku: 1 }).lean();

  const PLAIN = {
    kind: 'skus',
    format: 'csv',
    sheet: null,
    dryRun: false,
    mayDistribute: false,
    currency: null,
  } as const;

  const SKUS = [
    'sku,name,kind,components,distribution',
    'A-SET,Set of two,combination,ONE*2;T\\*W\\;O*1,',
    'ONE,One,single,,',
    'T*W;O,"Two, ""quoted""",single,,off',
    '=1+2,=SUM(A1),,,',
    "'=x,'@y,,,",
    '',
  ].join('\r\n');

  test.each<Format>(['csv', 'xlsx'])(
    'what was exported as %s and imported elsewhere is exported the same',
    async (format) => {
      const here = await newAccount();
      const first = await send(here, '/v1/skus/import', SKUS);
      expect(first).toMatchObject({
        status: 200,
        body: {
          operation: { kind: 'import', status: 'done', progress: { done: 5, failed: 0, total: 5 } },
          import: { kind: 'skus', status: 'done', rows: { total: 5, changed: 5, unchanged: 0, failed: 0 }, errors: [] },
        },
      });
      const file = await exported(here, '/v1/skus/export', format);
      const elsewhere = await newAccount();
      expect((await send(elsewhere, '/v1/skus/import', file, format)).body.import.rows).toMatchObject({
        changed: 5,
        failed: 0,
      });
      expect(await exported(elsewhere, '/v1/skus/export', format)).toEqual(file);
      // And here it changes nothing.
      expect((await send(here, '/v1/skus/import', file, format)).body.import.rows).toMatchObject({
        changed: 0,
        unchanged: 5,
      });
      expect((await skusOf(elsewhere)).map(({ sku, name }) => [sku, name])).toEqual(
        (await skusOf(here)).map(({ sku, name }) => [sku, name]),
      );
      expect((await skusOf(here)).find(({ sku }) => sku === '=1+2')?.name).toBe('=SUM(A1)');
    },
  );

  test('an export is safe to open in a spreadsheet', async () => {
    const party = await newAccount();
    for (const [index, name] of ['=1', '+1', '-1', '@a', "'=b"].entries())
      await hub.store.catalogue.addSku(party.id, { sku: `S${index}`, name, components: [] });
    const text = (await exported(party, '/v1/skus/export')).toString();
    expect(text.split('\r\n').slice(1, 6)).toEqual([
      "S0,'=1,single,,off",
      "S1,'+1,single,,off",
      "S2,'-1,single,,off",
      "S3,'@a,single,,off",
      "S4,''=b,single,,off",
    ]);
  });

  test('rows with errors change nothing and are told by line; the others are applied', async () => {
    const party = await newAccount();
    await hub.store.catalogue.addSku(party.id, { sku: 'OLD', name: 'Old', components: [] });
    const { body } = await send(
      party,
      '/v1/skus/import',
      'Name;SKU;Components\nNew name;OLD;\n;NO-NAME;\nTwice;NEW;\nTwice again;NEW;\nSet;SET;NOWHERE*1\n"two\nlines";LINES;\nToo;many;cells;here\nLast;LAST;\n',
    );
    expect(body.import.rows).toEqual({ total: 8, changed: 3, unchanged: 0, failed: 5 });
    expect(body.import.errors.map(({ line, column, code }: RowError) => [line, column, code])).toEqual([
      [3, 'name', 'required'],
      [5, 'sku', 'duplicate_row'],
      [7, 'name', 'invalid_value'],
      [9, null, 'wrong_cell_count'],
      [6, 'components', 'unknown_sku'],
    ]);
    expect((await skusOf(party)).map(({ sku, name }) => [sku, name])).toEqual([
      ['LAST', 'Last'],
      ['NEW', 'Twice'],
      ['OLD', 'New name'],
    ]);
    const errors = await get(party, `/v1/imports/${body.import.id}?errors=csv`);
    expect(errors.headers.get('content-type')).toBe('text/csv');
    const lines = (await errors.text()).trim().split('\r\n');
    expect(lines).toHaveLength(6);
    expect(lines[2]).toBe('5,sku,duplicate_row,line 4 is for NEW already');
  });

  test('a dry run changes nothing and says what would change', async () => {
    const party = await newAccount();
    await hub.store.catalogue.addSku(party.id, { sku: 'OLD', name: 'Old', components: [] });
    const before = await skusOf(party);
    // Nobody asks to wait: a dry run is waited for anyway.
    const { status, body } = await send(
      party,
      '/v1/skus/import?dryRun=true',
      'sku,name,components\nSET,Set,NEW*2\nOLD,New name,\nNEW,New,\n',
    );
    expect(status).toBe(200);
    expect(body.import).toMatchObject({
      dryRun: true,
      status: 'done',
      rows: { total: 3, changed: 3, failed: 0 },
      changes: [
        { line: 3, sku: 'OLD', field: 'name', before: 'Old', after: 'New name' },
        { line: 4, sku: 'NEW', field: 'name', before: null, after: 'New' },
        { line: 2, sku: 'SET', field: 'name', before: null, after: 'Set' },
        { line: 2, sku: 'SET', field: 'components', before: null, after: 'NEW*2' },
      ],
    });
    expect(await skusOf(party)).toEqual(before);
    expect(await undo(party, body.import.id)).toMatchObject({ status: 409, body: { code: 'import_not_undoable' } });
  });

  test('an undo restores what was overwritten, names what was changed since, and happens once', async () => {
    const party = await newAccount();
    for (const sku of ['A', 'B', 'C'])
      await hub.store.catalogue.addSku(party.id, { sku, name: `old ${sku}`, components: [] });
    const before = await skusOf(party);
    const warehouse = (await hub.store.catalogue.addWarehouse(party.id, { name: 'Main' }))._id;
    const { body } = await send(
      party,
      '/v1/skus/import',
      'sku,name,components\nA,new A,\nB,new B,\nC,old C,\nD,D,\nE,E,\nF,F,\nSET,Set,D*1\n',
    );
    expect(body.import.rows).toMatchObject({ changed: 6, unchanged: 1 });
    await hub.store.catalogue.changeSku(party.id, 'B', { name: 'by hand' });
    await hub.store.catalogue.changeSku(party.id, 'F', { category: 'Hats' });
    await hub.store.stock.adjust({
      account: party.id,
      warehouse,
      sku: 'E',
      kind: 'stockIn',
      quantity: 1,
      reason: '',
      document: 'd',
      key: `${party.id}/e`,
    });
    const undone = await undo(party, body.import.id);
    expect(undone.body.import.undo).toEqual({
      status: 'done',
      restored: 3,
      left: 3,
      rowsLeft: [
        { line: 7, sku: 'F', detail: 'a category was given since' },
        { line: 6, sku: 'E', detail: 'the SKU is in use' },
        { line: 3, sku: 'B', detail: 'the name was changed since' },
      ],
    });
    expect((await skusOf(party)).map(({ sku, name, followers }) => [sku, name, followers])).toEqual([
      ...before.map(({ sku, name }) => [sku, sku === 'B' ? 'by hand' : name, 0]),
      ['E', 'E', 1],
      ['F', 'F', 0],
    ]);
    expect((await get(party, `/v1/imports/${body.import.id}?left=csv`)).status).toBe(200);
    expect(await undo(party, body.import.id)).toMatchObject({ status: 409, body: { code: 'import_undone' } });
  });

  test('distribution is turned on as by POST /v1/supplier/products, with a result per row, and off again by the undo', async () => {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1'] });
    const sent =
      'sku,name,components,distribution\nTEE-1,TEE-1 name,,on\nNEW,New,,on\nTEE-2,Two,,\nSET,Set,TEE-2*1,on\n';
    const { body } = await send(supplier, '/v1/skus/import', sent);
    expect(body.import).toMatchObject({
      rows: { changed: 2, unchanged: 1, failed: 1 },
      errors: [{ line: 5, column: 'distribution', code: 'combination_not_supported' }],
    });
    expect((await skusOf(supplier)).map(({ sku }) => sku)).toEqual(['NEW', 'TEE-1', 'TEE-2']);
    await eventually(async () =>
      expect(await hub.store.products.product(supplier.id, 'NEW')).toMatchObject({ status: 'enabled' }),
    );
    const off = await send(supplier, '/v1/skus/import', 'sku,name,distribution\nNEW,Newer,off\n');
    expect(off.body.import.errors).toMatchObject([{ line: 2, column: 'distribution', code: 'invalid_value' }]);
    const key = await hub.store.accounts.addKey(supplier.id, { name: 'k', permissions: ['inventory'] });
    const weak = { id: supplier.id, key: key.key };
    expect(await undo(weak, body.import.id)).toMatchObject({ status: 403, body: { permission: 'distribution' } });
    expect((await undo(supplier, body.import.id)).body.import.undo).toMatchObject({ restored: 2, left: 0 });
    expect((await skusOf(supplier)).map(({ sku }) => sku)).toEqual(['TEE-1']);
    await expect(hub.store.products.product(supplier.id, 'NEW')).rejects.toThrow('not_found');
    // It can come again, and is published again.
    await send(supplier, '/v1/skus/import', 'sku,name,distribution\nNEW,New,on\n');
    await eventually(async () =>
      expect(await hub.store.products.product(supplier.id, 'NEW')).toMatchObject({ status: 'enabled', attempt: 2 }),
    );
    // Its log goes on where it was.
    const log = (await json(supplier, '/v1/supplier/products/NEW/log')).body.items as { what: string; why: string }[];
    expect(log.map(({ what }) => what)).toEqual(['enabled', 'added', 'disabled', 'enabled', 'added']);
    expect(log[2]?.why).toBe(`import ${body.import.id} undone`);
    const refused = await send(weak, '/v1/skus/import', 'sku,name,distribution\nMORE,More,on\nPLAIN,Plain,\n');
    expect(refused.body.import).toMatchObject({
      rows: { changed: 1, failed: 1 },
      errors: [{ code: 'permission_missing' }],
    });
  });

  test('what was claimed from a supplier is not distributed on by an import either, and the rows beside it are', async () => {
    const of = await makeDistributor(hub, await makeSupplier(hub, { skus: ['TEE-1'] }));
    await hub.store.accounts.change(of.id, { plan: 'v2' });
    await hub.store.partnerships.activate(of.id);
    const sent = 'sku,name,distribution\nTEE-1,Theirs,on\nOWN,Own,on\n';
    for (const path of ['/v1/skus/import?dryRun=true', '/v1/skus/import']) {
      const { body } = await send(of, path, sent);
      expect(body.import).toMatchObject({
        rows: { total: 2, changed: 1, unchanged: 0, failed: 1 },
        errors: [{ line: 2, column: 'distribution', code: 'sub_distribution_not_allowed' }],
      });
    }
    expect((await skusOf(of)).map(({ sku, name }) => [sku, name])).toEqual([
      ['OWN', 'Own'],
      ['TEE-1', 'TEE-1 name'],
    ]);
  });

  test('what is in use is told by what is there: not by what is gone again, but by prices, rules and switches', async () => {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1'] });
    const { models } = hub.store.database;
    const published = (codes: string[]) =>
      eventually(async () =>
        expect(
          await models.products.countDocuments({ supplier: supplier.id, sku: { $in: codes }, status: 'enabled' }),
        ).toBe(codes.length),
      );
    const made = await send(supplier, '/v1/skus/import', 'sku,name\nN,N\n');
    const on = await send(supplier, '/v1/skus/import', 'sku,name,distribution\nN,N,on\n');
    await published(['N']);
    // Asked for while it is published, the undo waits for the end of that.
    await models.products.updateOne({ _id: `${supplier.id}/N` }, { $set: { status: 'publishing' } });
    const waiting = undo(supplier, on.body.import.id);
    await eventually(async () =>
      expect((await json(supplier, `/v1/imports/${on.body.import.id}`)).body.undo).toMatchObject({ status: 'running' }),
    );
    await models.products.updateOne({ _id: `${supplier.id}/N` }, { $set: { status: 'enabled' } });
    expect((await waiting).body.import.undo).toMatchObject({ status: 'done', restored: 1, left: 0 });
    expect((await undo(supplier, made.body.import.id)).body.import.undo).toMatchObject({ restored: 1, left: 0 });
    expect((await skusOf(supplier)).map(({ sku }) => sku)).toEqual(['TEE-1']);

    const codes = ['PRICED', 'RULED', 'OFF', 'OFF-FOR', 'FREE'];
    const rows = codes.map((code) => `${code},Name,on`).join('\n');
    const more = await send(supplier, '/v1/skus/import', `sku,name,distribution\n${rows}\n`);
    await published(codes);
    await models.skuPrices.create({
      ...{ _id: `${supplier.id}/PRICED|`, supplier: supplier.id, sku: 'PRICED', level: null, amount: 5 },
      updatedAt: new Date(),
    });
    await hub.store.visibility.add(supplier.id, {
      ...{ number: 1, enabled: true, kind: 'scope', distributors: { kind: 'all' } },
      products: { kind: 'list', skus: ['RULED'] },
    });
    await hub.store.products.disable(supplier.id, 'OFF', null);
    await models.disabledProducts.create({
      ...{ _id: `${supplier.id}/OFF-FOR|acc_1`, supplier: supplier.id, sku: 'OFF-FOR', distributor: 'acc_1' },
      at: new Date(),
    });
    const undone = (await undo(supplier, more.body.import.id)).body.import.undo;
    expect(undone).toMatchObject({ restored: 1, left: 4 });
    expect(undone.rowsLeft.map(({ sku }: { sku: string }) => sku)).toEqual(codes.slice(0, 4).reverse());
  });

  test('the 201st distribution product of an import is an error, and so are those behind it', async () => {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1'] });
    const there = Array.from({ length: 197 }, (_, index) => ({
      _id: `${supplier.id}/OLD-${index}`,
      supplier: supplier.id,
      sku: `OLD-${index}`,
      status: 'enabled' as const,
      attempt: 1,
      basePrice: 1,
      createdAt: new Date(),
    }));
    await hub.store.database.models.products.insertMany(there);
    const rows = Array.from({ length: 6 }, (_, index) => `N${index},Name,on`);
    const sent = `sku,name,distribution\n${rows.join('\n')}\n`;
    const dry = await send(supplier, '/v1/skus/import?dryRun=true', sent);
    const real = await send(supplier, '/v1/skus/import', sent);
    for (const { body } of [dry, real])
      expect(body.import).toMatchObject({
        rows: { total: 6, changed: 2, failed: 4 },
        errors: [4, 5, 6, 7].map((line) => ({ line, code: 'distribution_product_limit' })),
      });
    expect(await hub.store.exports.countSkus(supplier.id)).toBe(3);
  });

  test('prices: exported, imported, undone', async () => {
    const supplier = await makeSupplier(hub, { skus: ['P-1', 'P-2', 'P-3'] });
    await hub.store.levels.add(supplier.id, { name: 'VIP', rule: { kind: 'percentOfBase', percent: '80' } });
    const before = await exported(supplier, '/v1/supplier/products/export');
    expect(before.toString('utf8')).toBe(
      '\uFEFFsku,basePrice,level,price\r\nP-1,10.00,,\r\nP-2,10.00,,\r\nP-3,10.00,,\r\n',
    );
    const { body } = await send(
      supplier,
      '/v1/supplier/products/import',
      [
        'sku\tbasePrice\tlevel\tprice',
        'P-1\t12.5\t\t11.00',
        'P-1\t12.50\tVIP\t9.99',
        'P-1\t12.50\tVIP\t9.98', // the last of two for the same cell
        'P-2\t\tVIP\t7', // leaves the base price
        'P-2\t8\t\t', // and this the SKU price
        'P-3\t1,5\t\t',
        'P-3\t\tGOLD\t1',
        'NONE\t1\t\t',
        'P-3\t-1\t\t2.001',
      ].join('\n'),
    );
    expect(body.import.rows).toEqual({ total: 9, changed: 4, unchanged: 0, failed: 5 });
    expect(body.import.errors.map(({ line, column, code }: RowError) => [line, column, code])).toEqual([
      [4, 'sku', 'duplicate_row'],
      [7, 'basePrice', 'invalid_value'],
      [8, 'level', 'unknown_level'],
      [9, 'sku', 'unknown_product'],
      [10, 'basePrice', 'invalid_value'],
      [10, 'price', 'invalid_value'],
    ]);
    expect(body.import.changes).toContainEqual({
      line: 3,
      sku: 'P-1',
      field: 'price of VIP',
      before: null,
      after: '9.99',
    });
    const after = await exported(supplier, '/v1/supplier/products/export');
    expect(after.toString('utf8').split('\r\n').slice(1)).toEqual([
      'P-1,12.50,,11.00',
      'P-1,12.50,VIP,9.99',
      'P-2,8.00,,',
      'P-2,8.00,VIP,7.00',
      'P-3,10.00,,',
      '',
    ]);
    // The same file as XLSX changes nothing.
    const sheet = await exported(supplier, '/v1/supplier/products/export', 'xlsx');
    const again = await send(supplier, '/v1/supplier/products/import', sheet, 'xlsx');
    expect(again.body.import.rows).toEqual({ total: 5, changed: 0, unchanged: 5, failed: 0 });
    await hub.store.products.setBasePrices(supplier.id, [{ sku: 'P-2', basePrice: { amount: 1, currency: 'MYR' } }]);
    expect((await undo(supplier, body.import.id)).body.import.undo).toMatchObject({
      restored: 3,
      left: 1,
      rowsLeft: [{ line: 6, sku: 'P-2', detail: 'the base price was changed since' }],
    });
    expect((await exported(supplier, '/v1/supplier/products/export')).toString()).toBe(
      before.toString().replace('P-2,10.00', 'P-2,0.01'),
    );
  });

  test('prices: a dry run says what would change; a row with an error leaves both its prices; undone is what was not changed since', async () => {
    const supplier = await makeSupplier(hub, { skus: ['P-1', 'P-2', 'P-3'] });
    await hub.store.levels.add(supplier.id, { name: 'VIP', rule: { kind: 'percentOfBase', percent: '80' } });
    const before = (await exported(supplier, '/v1/supplier/products/export')).toString();
    const sent = [
      'sku,basePrice,level,price',
      'P-1,12.00,VIP,9.00',
      'P-1,13.00,,9.50', // another base price for the same SKU
      'P-2,8.00,GOLD,7.00', // no such level: the base price stays, too
      'P-2,8.00,VIP,7.005',
      'P-3,,,5.00',
      'P-3,,,5.00', // said twice, also where it is the same
    ].join('\n');
    const dry = await send(supplier, '/v1/supplier/products/import?dryRun=true', sent);
    const errors = [
      [3, 'basePrice', 'duplicate_row'],
      [5, 'price', 'invalid_value'],
      [7, 'sku', 'duplicate_row'],
      [4, 'level', 'unknown_level'],
    ];
    const changes = [
      { line: 2, sku: 'P-1', field: 'basePrice', before: '10.00', after: '12.00' },
      { line: 2, sku: 'P-1', field: 'price of VIP', before: null, after: '9.00' },
      { line: 6, sku: 'P-3', field: 'price', before: null, after: '5.00' },
    ];
    const rows = { total: 6, changed: 2, unchanged: 0, failed: 4 };
    const summary = ({ body }: Answer) => [
      body.import.rows,
      body.import.changes,
      body.import.errors
        .map(({ line, column, code }: RowError) => [line, column, code])
        .sort((a: [number], b: [number]) => a[0] - b[0]),
    ];
    const expected = [rows, changes, [...errors].sort((a, b) => Number(a[0]) - Number(b[0]))];
    expect([dry.body.import.dryRun, ...summary(dry)]).toEqual([true, ...expected]);
    expect((await exported(supplier, '/v1/supplier/products/export')).toString()).toBe(before);
    const real = await send(supplier, '/v1/supplier/products/import', sent);
    expect([real.body.import.dryRun, ...summary(real)]).toEqual([false, ...expected]);
    const lines = async (from: string) =>
      (await (await get(supplier, `/v1/imports/${real.body.import.id}?${from}=csv`)).text()).trim().split('\r\n');
    expect((await lines('errors')).slice(1).sort()).toEqual([
      '3,basePrice,duplicate_row,line 2 gives P-1 another base price',
      '4,level,unknown_level,there is no level GOLD',
      expect.stringMatching(/^5,price,invalid_value,/),
      '7,sku,duplicate_row,line 6 is for P-3 already',
    ]);
    expect(await lines('changes')).toHaveLength(4);
    expect((await exported(supplier, '/v1/supplier/products/export')).toString().split('\r\n').slice(1)).toEqual([
      'P-1,12.00,,',
      'P-1,12.00,VIP,9.00',
      'P-2,10.00,,',
      'P-3,10.00,,5.00',
      '',
    ]);
    await hub.store.levels.setSkuPrices(supplier.id, [
      { sku: 'P-3', level: null, price: { amount: 444, currency: 'MYR' } },
    ]);
    // Prices are not for a key that is for stock alone.
    const { key } = await hub.store.accounts.addKey(supplier.id, { name: 'k', permissions: ['inventory'] });
    const weak = { id: supplier.id, key };
    for (const query of ['', '?changes=csv', '?errors=csv'])
      expect(await json(weak, `/v1/imports/${real.body.import.id}${query}`)).toMatchObject({
        ...{ status: 403, body: { code: 'permission_missing', permission: 'distribution' } },
      });
    expect(await undo(weak, real.body.import.id)).toMatchObject({ status: 403 });
    expect((await undo(supplier, real.body.import.id)).body.import.undo).toMatchObject({
      ...{ status: 'done', restored: 1, left: 1 },
      rowsLeft: [{ line: 6, sku: 'P-3', detail: 'the SKU price was changed since' }],
    });
    expect((await exported(supplier, '/v1/supplier/products/export')).toString()).toBe(
      before.replace('P-3,10.00,,', 'P-3,10.00,,4.44'),
    );
  });

  test('prices: a dry run counts a base price that stands on many rows once, as the import does', async () => {
    const supplier = await makeSupplier(hub, { skus: ['P-1'] });
    // Behind more rows than one transaction takes.
    const sent = ['sku,basePrice,level,price', 'P-1,12.00,,', ...Array(600).fill('P-1,none,,'), 'P-1,12.00,,7'].join(
      '\n',
    );
    const dry = await send(supplier, '/v1/supplier/products/import?dryRun=true', sent);
    const real = await send(supplier, '/v1/supplier/products/import', sent);
    expect(dry.body.import.changes).toEqual([
      { line: 2, sku: 'P-1', field: 'basePrice', before: '10.00', after: '12.00' },
      { line: 603, sku: 'P-1', field: 'price', before: null, after: '7.00' },
    ]);
    expect([real.body.import.rows, real.body.import.changes]).toEqual([dry.body.import.rows, dry.body.import.changes]);
  });

  test('numbers of a spreadsheet are the prices that people typed', async () => {
    const supplier = await makeSupplier(hub, { skus: ['1001', 'P-2'] });
    const cells = [
      ['sku', 'basePrice'],
      [1001, 19.9],
      ['P-2', '7.25'],
    ].map((row) =>
      row.map((value) => ({ value, type: (typeof value === 'number' ? Number : String) as StringConstructor })),
    );
    const file = await writeExcel(cells as never).toBuffer();
    const { body } = await send(supplier, '/v1/supplier/products/import', file, 'xlsx');
    expect(body.import.rows).toMatchObject({ changed: 2, failed: 0 });
    expect((await hub.store.products.product(supplier.id, '1001')).basePrice).toBe(1990);
  });

  test('a file that can not be read is refused at once, or ends the import, and nothing is changed', async () => {
    const party = await newAccount();
    const refused = async (body: Buffer | string, format: Format, problem: string) => {
      const answer = await send(party, '/v1/skus/import', body, format);
      expect([answer.status, answer.body.code, answer.body.problem]).toEqual([422, 'file_unreadable', problem]);
      return answer.body.detail as string;
    };
    await refused('', 'csv', 'empty');
    expect(await refused('name,price\nA,1\n', 'csv', 'wrong_columns')).toContain('missing: sku; unknown: price');
    await refused(Buffer.from([0xff, 0xfe, 0x73, 0]), 'csv', 'not_utf8');
    await refused(Buffer.from('PK\u0003\u0004'), 'xlsx', 'truncated');
    // What only shows behind the first rows.
    const late = await send(
      party,
      '/v1/skus/import',
      Buffer.from(`sku,name\n${`A,${'B'.repeat(290)}\n`.repeat(4_000)}C,\xe9\n`, 'latin1'),
    );
    expect(late).toMatchObject({
      status: 200,
      body: {
        operation: { status: 'failed', error: { code: 'file_unreadable' } },
        import: { status: 'failed', failure: { problem: 'not_utf8' }, rows: { total: 0 } },
      },
    });
    const large = await post(party, '/v1/skus/import', Buffer.alloc(0), {
      'Content-Type': 'text/csv; charset=utf-8',
    });
    expect(large.body.problem).toBe('empty');
    expect(await post(party, '/v1/skus/import', 'x', { 'Content-Type': 'text/plain' })).toMatchObject({ status: 415 });
    expect(await skusOf(party)).toEqual([]);
    const { models } = hub.store.database;
    expect(await models.files.countDocuments({ account: party.id })).toBe(0);
    expect(await models.importBatches.countDocuments({ import: late.body.import.id })).toBe(0);
  });

  test('a workbook with the wrong sheet, with formulas, or that is a bomb, is refused with words that help', async () => {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1'] });
    const before = await skusOf(supplier);
    const row = `<row r="2">${text('A2', 'A')}${text('B2', 'B')}</row>`;
    const sheets = zipOf(
      workbook({
        Notes: `<sheetData><row r="1">${text('A1', 'Read me')}</row></sheetData>`,
        Data: `<sheetData>${HEADER}${row}</sheetData>`,
      }),
    );
    const formulas = xlsx(`${row}<row r="3"><c r="A3"><f>1+1</f><v>2</v></c>${text('B3', 'Two')}</row>`);
    const manyRows = Array.from(
      { length: 3_000 },
      (_, at) => `<row r="${at + 2}">${text(`A${at + 2}`, `S${at}`)}</row>`,
    );
    const lateFormula = xlsx(`${manyRows.join('')}<row r="9000"><c r="B9000"><f>1+1</f><v>2</v></c></row>`);
    // Each sheet would do; together they are too much, also where only the first is read.
    const saysMuch = zipOf(workbook({ D: '', E: '' }, { text: ' ', says: 400 * 1024 * 1024 }));
    const givesMuch = zipOf(workbook({ D: '' }, { text: ' '.repeat(1_000_000), says: 100 }));
    for (const path of ['/v1/skus/import', '/v1/supplier/products/import'])
      for (const [file, problem, words, query = ''] of [
        [sheets, 'wrong_columns', /the file has: Notes, Data; name one with \?sheet=/],
        [sheets, 'no_such_sheet', /no sheet Nope; the file has: Notes, Data/, '?sheet=Nope'],
        [saysMuch, 'too_large_unpacked', /./],
        [givesMuch, 'too_large_unpacked', /./],
      ] as const) {
        const answer = await send(supplier, `${path}${query}`, file, 'xlsx');
        expect([answer.status, answer.body.code, answer.body.problem]).toEqual([422, 'file_unreadable', problem]);
        expect(answer.body.detail).toMatch(words);
      }
    // What shows behind the header ends the import before anything is changed.
    for (const [file, places] of [
      [formulas, /A3/],
      [lateFormula, /B9000/],
    ] as const) {
      const answer = await send(supplier, '/v1/skus/import', file, 'xlsx');
      const { status, code, problem, detail } = answer.body.import
        ? { status: answer.body.import.status, ...answer.body.import.failure }
        : { ...answer.body, status: 'failed' };
      expect([status, code, problem]).toEqual(['failed', 'file_unreadable', 'formula_cells']);
      expect(detail).toMatch(places);
    }
    expect(await skusOf(supplier)).toEqual(before);
    // The right sheet is read.
    const { body } = await send(supplier, '/v1/skus/import?sheet=Data', sheets, 'xlsx');
    expect(body.import.rows).toMatchObject({ total: 1, changed: 1 });
  });

  test('what is too large is refused: by what it says it is, and by what comes', async () => {
    const party = await newAccount();
    const { hostname, port } = new URL(api.url);
    const headers = { Authorization: `Bearer ${party.key}`, 'Content-Type': 'text/csv' };
    function* pieces(megabytes: number) {
      for (let piece = 0; piece < megabytes; piece += 1) yield Buffer.alloc(1024 * 1024, 'a');
    }
    const status = await new Promise((resolve, reject) => {
      const call = request({
        hostname,
        port,
        method: 'POST',
        path: '/v1/skus/import',
        headers: { ...headers, 'Idempotency-Key': randomUUID(), 'Content-Length': 50 * 1024 * 1024 + 1 },
      });
      call.on('response', (response) => resolve(response.statusCode));
      call.on('error', reject);
      call.flushHeaders();
    });
    expect(status).toBe(413);
    // Without a length, in pieces: nothing of it stays.
    const sent = await fetch(`${api.url}/v1/skus/import`, {
      ...{ method: 'POST', duplex: 'half' },
      headers: { ...headers, 'Idempotency-Key': randomUUID() },
      body: Readable.from(pieces(51)) as never,
    } as RequestInit);
    expect([sent.status, await sent.json()]).toMatchObject([
      413,
      { code: 'body_too_large', limitBytes: 50 * 1024 * 1024 },
    ]);
    async function* endless() {
      for (;;) yield Buffer.alloc(300_000, 'a');
    }
    await expect(hub.store.files.receive(party.id, endless(), 1_000_000)).rejects.toThrow('body_too_large');
    expect(await hub.store.database.models.files.countDocuments({ account: party.id })).toBe(0);
    expect(await hub.store.database.models.fileChunks.countDocuments()).toBe(0);
  });

  test('the file’s text is nowhere in clear: not in the database, not in a history', async () => {
    const party = await newAccount();
    const secret = 'Unverwechselbare Zeile';
    // The row has an error, so nothing of it becomes a SKU.
    const file = `sku,name,kind\nPLAIN,Plain,\n${secret},${secret},nothing\n`;
    const { body } = await send(party, '/v1/skus/import', file);
    expect(body.import.rows).toMatchObject({ changed: 1, failed: 1 });
    await hub.store.files.receive(party.id, Readable.from([Buffer.from(file)]), 1_000);
    const { db } = hub.store.database.connection;
    const names = (await db?.listCollections().toArray())?.map(({ name }) => name) ?? [];
    expect(names).toContain('fileChunks');
    for (const name of names) {
      // BSON as it lies there: JSON would hide the bytes of the chunks.
      const rows = (await db?.collection(name).find().toArray()) ?? [];
      for (const row of rows) expect([name, Buffer.from(BSON.serialize(row)).includes(secret)]).toEqual([name, false]);
    }
    const { history } = await hub.client.workflowService.getWorkflowExecutionHistory({
      namespace: hub.client.options.namespace,
      execution: { workflowId: `import/${body.import.id}` },
    });
    const bytes = Buffer.from(temporal.api.history.v1.History.encode(history ?? {}).finish());
    expect(bytes.length).toBeGreaterThan(1_000);
    expect(bytes.includes(secret)).toBe(false);
  });

  test('an import whose workflow is gone is begun again', async () => {
    const party = await newAccount();
    const file = await hub.store.files.receive(party.id, Readable.from([Buffer.from('sku,name\nA,A\n')]), 1_000);
    const { _id } = await hub.store.imports.add(party.id, newId('command'), { ...PLAIN, file: file.id });
    await hub.processes.resumeImport(`import/${_id}`);
    await eventually(async () => expect((await hub.store.imports.byId(_id)).status).toBe('done'));
    // The sweep begins those that it finds among the operations that should run.
    const open = await hub.store.operations.running(['import'], new Date(Date.now() + 1_000), 10);
    expect(open.map(({ document }) => document)).not.toContain(_id);
  });

  test('prices that were read in another currency are not applied', async () => {
    const supplier = await makeSupplier(hub, { skus: ['P-1'] });
    const bytes = Buffer.from('sku,basePrice\nP-1,12.50\n');
    const file = await hub.store.files.receive(supplier.id, Readable.from([bytes]), 1_000);
    const sent = { ...PLAIN, kind: 'prices', currency: 'SGD', file: file.id } as const;
    const { _id } = await hub.store.imports.add(supplier.id, newId('command'), sent);
    await hub.processes.startImport(_id);
    await eventually(async () =>
      expect(await hub.store.imports.byId(_id)).toMatchObject({
        status: 'failed',
        failure: { code: 'currency_mismatch' },
        rows: { changed: 0 },
      }),
    );
    expect((await hub.store.products.product(supplier.id, 'P-1')).basePrice).toBe(1000);
  });

  test('what was stopped commits nothing more; an undo that was stopped may be begun again', async () => {
    const party = await newAccount();
    const { imports, files } = hub.store;
    const file = await files.receive(party.id, Readable.from([Buffer.from('sku,name\nA,A\n')]), 1_000);
    const added = await imports.add(party.id, newId('command'), { ...PLAIN, file: file.id });
    const body = {
      rows: [{ line: 2, sku: 'A', name: 'A', kind: null, components: null, distribution: null }],
      errors: [],
    };
    await imports.addBatch(added, 'job_dead', 0, body as never);
    await imports.addBatch(added, 'job_counts', 0, body as never);
    await imports.endReading(added, 'job_counts', 1);
    const early = await undo(party, added._id);
    expect(early).toMatchObject({ status: 409, body: { code: 'import_not_undoable' } });
    const row = await imports.byId(added._id);
    const batch = await imports.nextBatch(row);
    if (!batch) throw new Error('there is a batch');
    await imports.stop(row._id, 'abandoned', { code: 'internal', detail: 'stopped', problem: null });
    await expect(imports.applyBatch(row, batch, null)).rejects.toThrow('stopped');
    expect(await skusOf(party)).toEqual([]);
    // Killed before it tidied up: the end does.
    const { models } = hub.store.database;
    await models.imports.updateOne({ _id: row._id }, { $set: { status: 'running' } });
    await imports.addBatch(added, 'job_dead', 0, body as never);
    await imports.applyBatch(row, batch, null);
    await imports.end(row._id);
    expect(await models.importBatches.distinct('reading', { import: row._id })).toEqual(['job_counts']);
    expect(await models.files.countDocuments({ account: party.id })).toBe(0);
    await imports.beginUndo(party.id, row._id, 'first');
    await imports.stopUndo(row._id, 'abandoned', { code: 'internal', detail: 'stopped' });
    expect((await json(party, `/v1/imports/${row._id}`)).body.undo).toMatchObject({ status: 'failed', restored: 0 });
    expect((await undo(party, row._id)).body.import.undo).toMatchObject({ status: 'done', restored: 1, left: 0 });
    expect(await skusOf(party)).toEqual([]);
  });

  test('the same key again is the same import; another account’s import is not there', async () => {
    const party = await newAccount();
    const headers = { 'Idempotency-Key': randomUUID() };
    const first = await send(party, '/v1/skus/import', 'sku,name\nA,A\n', 'csv', headers);
    const again = await send(party, '/v1/skus/import', 'sku,name\nA,A\n', 'csv', headers);
    expect(again.body).toEqual(first.body);
    const other = await send(party, '/v1/skus/import', 'sku,name\nA,B\n', 'csv', headers);
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    const stranger = await newAccount();
    const { id } = first.body.import;
    expect((await json(stranger, `/v1/imports/${id}`)).status).toBe(404);
    expect((await json(stranger, `/v1/imports/${id}?errors=csv`)).status).toBe(404);
    expect((await undo(stranger, id)).status).toBe(404);
    expect((await json(party, `/v1/imports/${id}`)).body.id).toBe(id);
  });
});
