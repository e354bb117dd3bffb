import { chooseRule, decideQuantity, type PushRule, ruleContains } from '../../domain/push-rules';

const rule = (change: Partial<PushRule> = {}): PushRule => ({
  id: 'rule_1',
  name: 'rule',
  enabled: true,
  priority: 1,
  revision: 3,
  skus: { kind: 'all' },
  warehouses: ['wh_1', 'wh_2'],
  stores: ['store_1'],
  quantity: { kind: 'real' },
  ...change,
});

describe('the rule of a SKU', () => {
  test('is the enabled one with the smallest priority that contains it, whatever its stores', () => {
    const weak = rule({ id: 'weak', priority: 5, stores: ['store_1'] });
    const strong = rule({ id: 'strong', priority: 2, stores: ['store_9'] });
    expect(chooseRule([weak, strong], 'A')?.id).toBe('strong');
    expect(chooseRule([strong, weak], 'A')?.id).toBe('strong');
    expect(chooseRule([weak, { ...strong, enabled: false }], 'A')?.id).toBe('weak');
    expect(chooseRule([weak, { ...strong, skus: { kind: 'list', skus: ['B'] } }], 'A')?.id).toBe('weak');
    expect(chooseRule([{ ...strong, enabled: false }], 'A')).toBeNull();
  });

  test('a list contains what it names, exactly', () => {
    expect(ruleContains(rule({ skus: { kind: 'list', skus: ['A'] } }), 'A')).toBe(true);
    expect(ruleContains(rule({ skus: { kind: 'list', skus: ['A'] } }), 'a')).toBe(false);
  });
});

describe('the quantity of a listing', () => {
  const decide = (change: Partial<Parameters<typeof decideQuantity>[0]> = {}) =>
    decideQuantity({
      rules: [rule()],
      sku: 'A',
      store: 'store_1',
      available: new Map([
        ['wh_1', 4],
        ['wh_2', 5],
        ['wh_3', 100],
      ]),
      active: true,
      automatic: true,
      forced: false,
      ...change,
    });

  test('is what the rule’s warehouses have together', () => {
    expect(decide()).toMatchObject({ kind: 'send', quantity: 9, rule: { id: 'rule_1', revision: 3 } });
    expect(decide({ available: new Map() })).toMatchObject({ kind: 'send', quantity: 0 });
  });

  test('is 0 for an inactive claim, whatever rules and switches say', () => {
    expect(decide({ active: false, automatic: false, rules: [] })).toMatchObject({ kind: 'send', quantity: 0 });
  });

  test('is not sent without a rule, to a store the rule does not name, or with the switch off', () => {
    expect(decide({ rules: [] })).toEqual({ kind: 'skip', reason: 'no_push_rule' });
    expect(decide({ store: 'store_2' })).toEqual({ kind: 'skip', reason: 'store_not_in_rule' });
    expect(decide({ automatic: false })).toEqual({ kind: 'skip', reason: 'automatic_off' });
    expect(decide({ automatic: false, forced: true })).toMatchObject({ kind: 'send', quantity: 9 });
  });

  test('a store that only a weaker rule names is not written', () => {
    const strong = rule({ id: 'strong', priority: 0, stores: ['store_9'] });
    expect(decide({ rules: [rule(), strong] })).toEqual({ kind: 'skip', reason: 'store_not_in_rule' });
  });
});
