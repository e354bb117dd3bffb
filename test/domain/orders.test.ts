import fc from 'fast-check';
import {
  findBlockers,
  mask,
  orderStatusOf,
  PACKAGE_STATUSES,
  type PushFacts,
  supplierArrangesCarrier,
} from '../../domain/orders';

const line = (change: Partial<PushFacts['lines'][number]> = {}): PushFacts['lines'][number] => ({
  line: '1',
  supplierSku: 'A',
  quantity: 1,
  active: true,
  missing: [],
  ...change,
});
const facts = (change: Partial<PushFacts> = {}): PushFacts => ({
  partnered: true,
  lines: [line()],
  availableOf: () => 100,
  quota: { supplier: { used: 0, limit: null }, distributor: { used: 0, limit: null } },
  funds: { balance: 0, creditLimit: 1_000, charge: 1_000 },
  ...change,
});
const codes = (change: Partial<PushFacts>) => findBlockers(facts(change)).map(({ code }) => code);

describe('the blockers of a push', () => {
  test('are none where everything is in order, to the last unit and the last cent', () => {
    expect(
      codes({
        lines: [line({ quantity: 100 })],
        quota: { supplier: { used: 9, limit: 10 }, distributor: { used: 0, limit: 1 } },
        funds: { balance: 250, creditLimit: 750, charge: 1_000 },
      }),
    ).toEqual([]);
  });

  const quota = (supplier: number | null, distributor: number | null) => ({
    supplier: { used: 3, limit: supplier },
    distributor: { used: 3, limit: distributor },
  });
  test.each<[string, Partial<PushFacts>, unknown]>([
    ['not_partnered', { partnered: false }, { code: 'not_partnered' }],
    ['sku_inactive', { lines: [line({ active: false })] }, { code: 'sku_inactive', sku: 'A' }],
    ['sku_not_mapped', { lines: [line({ line: '7', supplierSku: null })] }, { code: 'sku_not_mapped', line: '7' }],
    [
      'price_missing',
      { lines: [line({ missing: ['price_missing'] })], funds: { balance: 0, creditLimit: 0, charge: null } },
      { code: 'price_missing', sku: 'A' },
    ],
    [
      'exchange_rate_missing',
      { lines: [line({ missing: ['exchange_rate_missing'] })], funds: { balance: 0, creditLimit: 0, charge: null } },
      { code: 'exchange_rate_missing', sku: 'A' },
    ],
    [
      'out_of_stock',
      { lines: [line({ quantity: 6 })], availableOf: () => 5 },
      { code: 'out_of_stock', sku: 'A', needed: 6, available: 5 },
    ],
    ['quota_reached at the supplier', { quota: quota(3, 4) }, { code: 'quota_reached', side: 'supplier' }],
    ['quota_reached at the distributor', { quota: quota(null, 3) }, { code: 'quota_reached', side: 'distributor' }],
    ['insufficient_funds', { funds: { balance: 0, creditLimit: 999, charge: 1_000 } }, { code: 'insufficient_funds' }],
  ])('%s is found by itself', (_name, change, expected) => {
    const found = findBlockers(facts(change));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject(expected as object);
    expect(found[0]?.detail).not.toBe('');
  });

  test('are reported all at once', () => {
    expect(
      codes({
        partnered: false,
        lines: [
          line({ line: '1', supplierSku: 'A', active: false, quantity: 5 }),
          line({ line: '2', supplierSku: null }),
          line({ line: '3', supplierSku: 'B', missing: ['price_missing'] }),
          line({ line: '4', supplierSku: 'C', missing: ['exchange_rate_missing'] }),
        ],
        availableOf: (sku) => (sku === 'A' ? 4 : 10),
        quota: quota(1, 1),
        funds: { balance: -10, creditLimit: 10, charge: 1 },
      }),
    ).toEqual([
      'not_partnered',
      'sku_not_mapped',
      'sku_inactive',
      'price_missing',
      'exchange_rate_missing',
      'out_of_stock',
      'quota_reached',
      'quota_reached',
      'insufficient_funds',
    ]);
  });

  test('a SKU is named once for each thing that its price lacks, however many lines it has', () => {
    const both = ['price_missing', 'exchange_rate_missing'] as const;
    const lines = [line({ line: '1', missing: both }), line({ line: '2', missing: both })];
    const found = findBlockers(facts({ lines, funds: { balance: 0, creditLimit: 0, charge: null } }));
    expect(found).toMatchObject(both.map((code) => ({ code, sku: 'A' })));
    expect(found).toHaveLength(2);
  });

  test('lines of one SKU are added up', () => {
    const found = findBlockers(
      facts({ lines: [line({ line: '1', quantity: 5 }), line({ line: '2', quantity: 5 })], availableOf: () => 5 }),
    );
    expect(found).toEqual([expect.objectContaining({ code: 'out_of_stock', needed: 10, available: 5 })]);
  });
});

describe('the status of an order', () => {
  const order = { unmapped: false, cancelled: false, synced: true };
  test('is that of its least advanced package', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...PACKAGE_STATUSES), { minLength: 1, maxLength: 5 }), (statuses) => {
        const least = PACKAGE_STATUSES.find((status) => statuses.includes(status));
        expect(orderStatusOf({ ...order, packages: statuses.map((status) => ({ status })) })).toBe(least);
      }),
    );
  });

  test('counts a push that failed as further than one that is not begun', () => {
    const statuses = ['push_failed', 'new', 'pushed', 'pushing'] as const;
    expect([...statuses].sort((a, b) => PACKAGE_STATUSES.indexOf(a) - PACKAGE_STATUSES.indexOf(b))).toEqual([
      'new',
      'pushing',
      'push_failed',
      'pushed',
    ]);
  });

  test('before it has packages it says why', () => {
    expect(orderStatusOf({ ...order, synced: false, packages: [] })).toBe('unpaid');
    expect(orderStatusOf({ ...order, synced: false, unmapped: true, packages: [] })).toBe('unmapped');
    expect(orderStatusOf({ ...order, synced: false, cancelled: true, unmapped: true, packages: [] })).toBe('cancelled');
  });

  test('a cancelled order still shows what a package of it holds', () => {
    expect(
      orderStatusOf({ ...order, cancelled: true, packages: [{ status: 'pushed' }, { status: 'cancelled' }] }),
    ).toBe('pushed');
  });
});

describe('the recipient', () => {
  test.each([
    ['self_delivery', 'shopee', true],
    ['self_arranged', 'lazada', true],
    ['self_delivery', 'temu', false],
    ['self_arranged', 'temu', false],
    ['platform_logistics', 'shopee', false],
    ['three_pl', 'shopee', false],
  ])('with %s on %s is readable for the supplier: %s', (shipping, platform, expected) => {
    expect(supplierArrangesCarrier(shipping, platform)).toBe(expected);
  });

  test('masked, shows its first character and not how long it is', () => {
    expect(mask('Aminah')).toBe('A***');
    expect(mask('陈大文')).toBe('陈***');
    expect(mask('🙂 smile')).toBe('🙂***');
    expect(mask('')).toBe('');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 2 }), (text) => {
        expect([...mask(text)].length).toBe(4);
      }),
    );
  });
});
