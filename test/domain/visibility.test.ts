import fc from 'fast-check';
import { decideVisibility, type VisibilityRule } from '../../domain/visibility';

const rule = (number: number, rest: Pick<VisibilityRule, 'kind' | 'products' | 'distributors'>): VisibilityRule => ({
  id: `vis_${number}`,
  number,
  enabled: true,
  ...rest,
});
const skus = (...names: string[]) => ({ kind: 'list', skus: names }) as const;
const list = (...names: string[]) => ({ kind: 'list', distributors: names }) as const;
const level = (name: string) => ({ kind: 'level', level: name }) as const;

describe('the worked example of catalogue.md', () => {
  const rules = [
    rule(1, { kind: 'scope', distributors: level('VIP'), products: skus('p1') }),
    rule(2, { kind: 'only', distributors: list('X'), products: skus('p2') }),
    rule(3, { kind: 'hide', distributors: list('Y', 'X'), products: skus('p3') }),
  ];
  test.each([
    ['X', null, 2, [false, true, true, true]],
    ['X', 'VIP', 1, [true, false, true, true]],
    ['Y', null, 3, [false, false, false, true]],
    ['Z', null, null, [false, false, true, true]],
  ])('%s of level %p: rule %p', (id, of, applied, expected) => {
    const decisions = ['p1', 'p2', 'p3', 'p4'].map((sku) => decideVisibility(rules, { id, level: of }, sku));
    expect(decisions.map(({ visible }) => visible)).toEqual(expected);
    expect(new Set(decisions.map((decision) => decision.applied?.number ?? null))).toEqual(new Set([applied]));
  });

  test('says which rule decided, and which restrict', () => {
    const of = (id: string, sku: string) => decideVisibility(rules, { id, level: null }, sku);
    expect(of('Y', 'p3')).toMatchObject({ reason: 'hidden_by_rule', applied: { number: 3 }, restrictedBy: [] });
    expect(of('Y', 'p1')).toMatchObject({ reason: 'restricted', restrictedBy: [{ number: 1 }] });
    expect(of('X', 'p2')).toMatchObject({ reason: 'shown_by_rule', applied: { number: 2 } });
    expect(of('Z', 'p4')).toMatchObject({ reason: 'unrestricted', applied: null });
  });
});

test('without any rule, every product is visible to every partner', () => {
  expect(decideVisibility([], { id: 'X', level: null }, 'p1')).toMatchObject({ visible: true, applied: null });
});

/**
 * Written from the page's sentences alone, as sets over everybody and everything: for each distributor the rule that counts
 * by trying numbers from 1 upwards, then for each product the table.
 */
function oracle(rules: readonly VisibilityRule[], who: { id: string; level: string | null }, sku: string): boolean {
  const isOn = (candidate: VisibilityRule) => candidate.enabled === true;
  const holds = ({ products }: VisibilityRule) => (products.kind === 'all' ? true : new Set(products.skus).has(sku));
  let counting: VisibilityRule | undefined;
  for (let number = 1; number <= 100 && counting === undefined; number += 1)
    for (const candidate of rules) {
      if (candidate.number !== number || !isOn(candidate)) continue;
      const { distributors } = candidate;
      if (candidate.kind === 'scope') {
        if (distributors.kind === 'all') counting = candidate;
        if (distributors.kind === 'level' && who.level === distributors.level) counting = candidate;
      } else if (distributors.kind === 'list' && new Set(distributors.distributors).has(who.id)) counting = candidate;
    }
  const isRestricted = rules.some((candidate) => {
    if (!isOn(candidate) || !holds(candidate)) return false;
    return candidate.kind === 'only' || (candidate.kind === 'scope' && candidate.distributors.kind !== 'all');
  });
  if (counting !== undefined && holds(counting)) return counting.kind === 'only' || counting.kind === 'scope';
  return !isRestricted;
}

const WHO = ['X', 'Y', 'Z'];
const WHAT = ['p1', 'p2', 'p3', 'p4'];
const LEVELS = ['VIP', 'gold'];
const someOf = (names: readonly string[]) => fc.subarray([...names], { minLength: 1 });
const products = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: 'all' } as const) },
  { weight: 4, arbitrary: someOf(WHAT).map((names) => skus(...names)) },
);
const scoped = fc.oneof(
  fc.record({
    kind: fc.constantFrom('only' as const, 'hide' as const),
    distributors: someOf(WHO).map((names) => list(...names)),
  }),
  fc.record({
    kind: fc.constant('scope' as const),
    distributors: fc.oneof(
      fc.constant({ kind: 'all' } as const),
      fc.constantFrom(...LEVELS).map((name) => level(name)),
    ),
  }),
);
const ruleSet = fc.array(fc.tuple(scoped, products, fc.boolean(), fc.boolean()), { maxLength: 8 }).chain((drawn) =>
  fc
    .shuffledSubarray(
      Array.from({ length: 100 }, (_, index) => index + 1),
      { minLength: drawn.length, maxLength: drawn.length },
    )
    .map((numbers) =>
      drawn.map(([scope, of, one, other], index) => ({
        ...rule(numbers[index] ?? 1, { ...scope, products: of }),
        // Three of four are on.
        enabled: one || other,
      })),
    ),
);

test('agrees with an oracle on ten thousand random sets of rules', () => {
  let cases = 0;
  fc.assert(
    fc.property(ruleSet, fc.constantFrom(...WHO), fc.constantFrom(null, ...LEVELS), (rules, id, of) => {
      cases += WHAT.length;
      const who = { id, level: of };
      return WHAT.every((sku) => decideVisibility(rules, who, sku).visible === oracle(rules, who, sku));
    }),
    { numRuns: process.env.LONG === '1' ? 100_000 : 10_000 },
  );
  expect(cases).toBeGreaterThanOrEqual(40_000);
});
