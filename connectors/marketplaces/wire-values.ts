/** Values that every platform puts on the wire in one of several ways, and how they become ours. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { CURRENCY_DECIMALS } from '../../domain/money';

/** An id: a number, or text (beyond 2^53 the reader has made it text). */
export const wireId = z.union([z.string().min(1), z.number().int()]).transform(String);

/** An amount as a number or as text. */
export const wireAmount = z.union([z.number(), z.string().regex(/^-?\d+(\.\d+)?$/)]);

/**
 * An exact decimal string with the decimals that the currency is quoted in: 12.5 MYR → "12.50", 15000 IDR → "15000".
 * Digits beyond those stay: nothing is rounded here.
 */
export function decimalText(amount: number | string, currency: string): string {
  const text = typeof amount === 'number' ? plainDigits(amount) : amount;
  const decimals = (CURRENCY_DECIMALS as Record<string, number>)[currency] ?? 2;
  const [whole = '0', fraction = ''] = text.split('.');
  const digits = fraction.replace(/0+$/, '').padEnd(decimals, '0');
  return digits === '' ? whole : `${whole}.${digits}`;
}

// A double prints as 1e-7 or 1e+21 outside this range, where no price lies.
function plainDigits(amount: number): string {
  const text = String(amount);
  return text.includes('e') ? amount.toFixed(6) : text;
}

/** Compares two texts without telling by its duration where they differ, or how long the expected one is. */
export function equalInConstantTime(given: string, expected: string): boolean {
  return timingSafeEqual(createHash('sha256').update(given).digest(), createHash('sha256').update(expected).digest());
}

/** SHA-256 of a text, hex: a short name for a content. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** True where a text says no more than asterisks: the platform masks what we may not see. */
export function isMasked(text: string): boolean {
  return /^[\s*]*$/.test(text);
}
