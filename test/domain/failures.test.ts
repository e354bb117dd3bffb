import { FAILURES, type FailureCode, HubError, isHubError } from '../../domain/failures';

const entries = Object.entries(FAILURES);

describe('the catalogue of failures', () => {
  test.each(entries)('%s has a name in snake_case, a status, a title and a level', (code, kind) => {
    expect(code).toMatch(/^[a-z]+(_[a-z0-9]+)*$/);
    expect([400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503]).toContain(kind.status);
    expect(kind.title).toMatch(/^\S.*[^.]$/);
    // Our own faults are errors; what the caller or a platform did is a warning.
    if (kind.status < 500) expect(kind.level).toBe('warn');
    if (kind.level === 'error') expect(kind.status).toBeGreaterThanOrEqual(500);
    if (kind.status === 503 || kind.status === 429) expect(kind.retryable).toBe(true);
  });

  test('our own faults say what an operator can do', () => {
    for (const [, kind] of entries) if (kind.level === 'error') expect((kind as { hint?: string }).hint).toBeTruthy();
  });

  // What the contract's pages call by name.
  test.each<[FailureCode, number]>([
    ['inventory_off', 409],
    ['push_blocked', 409],
    ['operation_not_parked', 409],
    ['stock_is_mirrored', 409],
    ['permission_missing', 403],
    ['plan_too_low', 403],
    ['invitation_invalid', 422],
    ['idempotency_in_progress', 409],
    ['idempotency_key_reused', 422],
    ['rule_sku_limit', 422],
    ['push_rule_limit', 409],
    ['store_taken', 409],
  ])('%s answers %d', (code, status) => {
    expect(FAILURES[code].status).toBe(status);
  });
});

describe('a failure of ours', () => {
  test('carries its code, its words and its cause', () => {
    const cause = new Error('below');
    const error = new HubError('unavailable', 'MongoDB is away', { cause, retryAfterMs: 5_000 });
    expect(error).toMatchObject({ code: 'unavailable', detail: 'MongoDB is away', retryable: true });
    expect(error.cause).toBe(cause);
    expect(error.message).toBe('unavailable: MongoDB is away');
  });

  test('is known by its name, also from another copy of the module', () => {
    expect(isHubError(new HubError('not_found', 'x'))).toBe(true);
    expect(isHubError({ name: 'HubError', code: 'not_found' })).toBe(true);
    for (const other of [new Error('x'), null, undefined, 'HubError', {}]) expect(isHubError(other)).toBe(false);
  });
});
