import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { createFieldCipher } from '../../store/cipher';

const key = (id: string) => ({ id, key: randomBytes(32) });
const [one, two] = [key('one'), key('two')];

describe('a sealed field', () => {
  const cipher = createFieldCipher({ keys: [one] });

  test('opens to what it was, in its context', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (text, context) => {
        expect(cipher.open(cipher.seal(text, context), context)).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  test('does not open in another account’s context', () => {
    const sealed = cipher.seal('Aminah', 'acct_1/order/ord_1/recipient');
    expect(() => cipher.open(sealed, 'acct_2/order/ord_1/recipient')).toThrow();
    expect(() => cipher.open(sealed, 'acct_1/order/ord_2/recipient')).toThrow();
  });

  test('is another text each time, and does not hold the clear one', () => {
    const sealed = cipher.seal('Aminah', 'c');
    expect(cipher.seal('Aminah', 'c')).not.toBe(sealed);
    expect(Buffer.from(sealed.split('.')[2] ?? '', 'base64url').includes('Aminah')).toBe(false);
  });

  test('with one bit changed anywhere does not open', () => {
    const sealed = cipher.seal('Aminah', 'c');
    const [version, id, body] = sealed.split('.') as [string, string, string];
    const bytes = Buffer.from(body, 'base64url');
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => cipher.open(`${version}.${id}.${changed.toString('base64url')}`, 'c')).toThrow();
    }
    for (const broken of ['', 'v1', `v2.${id}.${body}`, `v1.nobody.${body}`, `v1.${id}.`, `v1.${id}.AAAA`])
      expect(() => cipher.open(broken, 'c')).toThrow();
  });

  test('survives a rotation of keys: the first seals, all open', () => {
    const old = cipher.seal('Aminah', 'c');
    const rotated = createFieldCipher({ keys: [two, one] });
    expect(rotated.open(old, 'c')).toBe('Aminah');
    const fresh = rotated.seal('Aminah', 'c');
    expect(fresh).toMatch(/^v1\.two\./);
    expect(() => cipher.open(fresh, 'c')).toThrow('no key');
    expect(() => createFieldCipher({ keys: [two] }).open(old, 'c')).toThrow('no key');
  });

  test('needs a key', () => {
    expect(() => createFieldCipher({ keys: [] })).toThrow();
  });
});
