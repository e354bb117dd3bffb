import { isPermitted, PERMISSIONS, PLANS, planReaches, quotaMonth, SUPPLIER_PLAN } from '../../domain/accounts';
import {
  canMove,
  DELETED_STATUSES,
  OPEN_PARTNERSHIP_STATUSES,
  PARTNERSHIP_MOVES,
  PARTNERSHIP_STATUSES,
  type PartnershipMove,
} from '../../domain/partnership';

describe('a partnership', () => {
  // The table of partnership.md: whatever is not here answers 409.
  const allowed: Record<string, PartnershipMove[]> = {
    pending_review: ['approve', 'reject', 'withdraw'],
    partnered: ['changeTerms', 'terminate'],
    rejected: ['delete'],
    terminated: [],
    withdrawn: [],
    deleted: [],
  };
  test.each([...PARTNERSHIP_STATUSES, ...DELETED_STATUSES])(
    'that is %s allows the moves of the table and no other',
    (status) => {
      const moves = Object.keys(PARTNERSHIP_MOVES) as PartnershipMove[];
      expect(moves.filter((move) => canMove(status, move))).toEqual(allowed[status]);
    },
  );

  test('can be deleted when it was rejected, and in no other status', () => {
    expect(PARTNERSHIP_STATUSES.filter((status) => canMove(status, 'delete'))).toEqual(['rejected']);
  });

  test('is open while it is pending or partnered', () => {
    expect(OPEN_PARTNERSHIP_STATUSES).toEqual(['pending_review', 'partnered']);
  });

  test('is decided by the supplier, withdrawn by the applicant and ended by either', () => {
    expect(Object.fromEntries(Object.entries(PARTNERSHIP_MOVES).map(([move, { by }]) => [move, by]))).toEqual({
      approve: 'supplier',
      reject: 'supplier',
      withdraw: 'distributor',
      changeTerms: 'supplier',
      terminate: 'either',
      delete: 'supplier',
    });
  });
});

describe('plans and permissions', () => {
  test('a plan reaches itself and all below it', () => {
    for (const [index, plan] of PLANS.entries())
      expect(PLANS.filter((needed) => planReaches(plan, needed))).toEqual(PLANS.slice(0, index + 1));
    expect(PLANS.filter((plan) => planReaches(plan, SUPPLIER_PLAN))).toEqual(['v2', 'v3']);
  });

  test('admin is all permissions; any other is itself alone', () => {
    for (const needed of PERMISSIONS) {
      expect(isPermitted(['admin'], needed)).toBe(true);
      expect(isPermitted([], needed)).toBe(false);
      for (const held of PERMISSIONS.filter((name) => name !== 'admin'))
        expect(isPermitted([held], needed)).toBe(held === needed);
    }
  });

  test('a quota is counted in calendar months of UTC', () => {
    expect(quotaMonth(new Date('2026-11-30T23:59:59.999Z'))).toBe('2026-11');
    expect(quotaMonth(new Date('2026-12-01T00:30:00+01:00'))).toBe('2026-11');
  });
});
