/** Values that many requests and answers share. Requests are strict: a field nobody knows is an error. */
import {
  CURRENCIES,
  CURRENCY_DECIMALS,
  type Currency,
  fractionOf,
  fromMoneyText,
  type Money,
  toMoneyText,
} from '../../domain/money';
import { z } from './zod';

export const QUANTITY_MOST = 1_000_000_000;
const AMOUNT_PATTERN = /^-?\d{1,12}(\.\d{1,6})?$/;
/** No control characters, no halves of surrogate pairs. */
const ONE_LINE = /^[^\p{Cc}\p{Cs}]*$/u;
const LINES = /^(?:[^\p{Cc}\p{Cs}]|[\n\r\t])*$/u;

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
/** For a check over several fields: it is made also where others have problems, so that all are told at once. */
export const ofFields = { when: ({ value }: { value: unknown }): boolean => isObject(value) };
/** The same over all items of a list. What is missing in one is undefined. */
export const ofItems = {
  when: ({ value }: { value: unknown }): boolean => Array.isArray(value) && value.every(isObject),
};

/** A line of text for people; not blank. */
export const lineOf = (most: number) =>
  z.string().max(most).regex(ONE_LINE, 'must not hold control characters').regex(/\S/, 'must not be blank');
/** Text of several lines; may be empty. */
export const textOf = (most: number) => z.string().max(most).regex(LINES, 'must not hold control characters');

/** An id of ours, in a request: whether it exists is the store's to say. */
export const id = z.string().min(1).max(300).regex(ONE_LINE, 'must not hold control characters');
/** A SKU's code, exact; without spaces around it. */
export const skuCode = z
  .string()
  .min(1)
  .max(100)
  .regex(ONE_LINE, 'must not hold control characters')
  .regex(/^\S(?:.*\S)?$/u, 'must not begin or end with a space');

/** A time that is given, with `Z` or an offset. */
export const instant = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text))
  .openapi({ type: 'string', format: 'date-time' });

/** A list that names each thing once. @param options.what such a thing, for the problem; `least` is 1 where absent */
export const listOfDistinct = <Item extends z.ZodType>(
  item: Item,
  { most, least = 1, what = 'one' }: { readonly most?: number; readonly least?: number; readonly what?: string },
) => {
  const list = z.array(item).min(least);
  return (most === undefined ? list : list.max(most)).refine(
    (things) => new Set(things).size === things.length,
    `must not name ${what} twice`,
  );
};

export const quantity = z.int().min(0).max(QUANTITY_MOST);
export const positiveQuantity = z.int().min(1).max(QUANTITY_MOST);
export const currency = z.enum(CURRENCIES);
export const time = z.string().openapi({ format: 'date-time', description: 'ISO 8601, UTC' });

const moneyText = z.strictObject({
  amount: z.string().regex(AMOUNT_PATTERN, 'must be an exact decimal number with at most 12 digits before the point'),
  currency,
});

function moneyInput(least: number | null, wording: string) {
  return moneyText
    .transform((value, context): Money => {
      const read = fromMoneyText(value);
      if (read === null) {
        const decimals = CURRENCY_DECIMALS[value.currency];
        context.addIssue({
          code: 'custom',
          path: ['amount'],
          message: `${value.currency} has ${decimals} decimals`,
          params: { code: 'too_many_decimals' },
        });
        return z.NEVER;
      }
      if (least !== null && read.amount < least) {
        context.addIssue({ code: 'custom', path: ['amount'], message: wording, params: { code: 'too_small' } });
        return z.NEVER;
      }
      return read;
    })
    .openapi({ example: { amount: '12.50', currency: 'MYR' } });
}

/** Money of either sign. */
export const signedMoney = moneyInput(null, '');
/** Money of 0 or more. */
export const zeroOrMore = moneyInput(0, 'must not be negative');
/** Money of either sign, but not nothing. */
export const movedMoney = signedMoney.refine(({ amount }) => amount !== 0, {
  path: ['amount'],
  message: 'must not be 0',
  params: { code: 'too_small' },
});

/** Money in an answer. */
export const moneyAnswer = z.object({ amount: z.string(), currency }).openapi('Money');

/** Minor units as the API shows them; null stays null. */
export function moneyOf(amount: number, of: Currency): z.infer<typeof moneyAnswer>;
export function moneyOf(amount: number | null, of: Currency | null): z.infer<typeof moneyAnswer> | null;
export function moneyOf(amount: number | null, of: Currency | null) {
  return amount === null || of === null ? null : toMoneyText({ amount, currency: of });
}

/** A positive exact decimal, such as an exchange rate. */
export const rate = z
  .string()
  .regex(/^\d{1,12}(\.\d{1,12})?$/, 'must be an exact decimal number')
  .refine((text) => (fractionOf(text)?.numerator ?? 0n) > 0n, 'must be more than 0');

/** A percentage, exact: "80", "12.5". */
export const percent = z
  .string()
  .regex(/^\d{1,6}(\.\d{1,6})?$/, 'must be an exact decimal number of 0 or more')
  .openapi({ example: '80' });

/** `true` or `false` in a query. */
export const queryFlag = z.enum(['true', 'false']).transform((text) => text === 'true');

/** What refuses nothing, but should be known. */
export const warning = z.object({ pointer: z.string(), code: z.string(), detail: z.string() }).openapi('Warning');
