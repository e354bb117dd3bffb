/** A provider of live exchange rates, as public ones are: `GET /rates/latest?base=MYR&symbols=SGD,THB`. */
import type { Request, Response } from 'express';
import { z } from 'zod';

/** What one US dollar is worth; made up, near what it was. */
const PER_DOLLAR: Readonly<Record<string, number>> = {
  USD: 1,
  MYR: 4.42,
  IDR: 16_250,
  VND: 25_400,
  THB: 34.1,
  PHP: 57.6,
  SGD: 1.34,
  CNY: 7.19,
  EUR: 0.92,
  TWD: 32.3,
  BRL: 5.6,
};

export const ratesInput = z.strictObject({
  /** Quotes that replace those of the table, e.g. {"MYR/SGD": 0.3}; null: the pair is not quoted. */
  quotes: z.record(z.string().regex(/^[A-Z]{3}\/[A-Z]{3}$/), z.number().positive().nullable()).optional(),
  /** Answers 503. */
  down: z.boolean().optional(),
});
export type RatesInput = z.input<typeof ratesInput>;

/** The provider's state; kept in memory alone. */
export class SandboxRates {
  private quotes: Record<string, number | null> = {};
  private down = false;
  private answered = 0;

  set(input: z.output<typeof ratesInput>): void {
    this.quotes = { ...this.quotes, ...input.quotes };
    this.down = input.down ?? this.down;
  }

  /** What it was asked so far. */
  get calls(): number {
    return this.answered;
  }

  reset(): void {
    this.quotes = {};
    this.down = false;
    this.answered = 0;
  }

  private quote(from: string, to: string): number | null {
    const set = this.quotes[`${from}/${to}`];
    if (set !== undefined) return set;
    const [base, other] = [PER_DOLLAR[from], PER_DOLLAR[to]];
    // Six significant digits, as quotes have.
    return base === undefined || other === undefined ? null : Number((other / base).toPrecision(6));
  }

  answer(req: Request, res: Response): void {
    this.answered += 1;
    if (this.down) {
      res.status(503).json({ message: 'unavailable' });
      return;
    }
    const base = String(req.query.base ?? '');
    const symbols = String(req.query.symbols ?? '').split(',');
    const rates = symbols.flatMap((to) => {
      const rate = this.quote(base, to);
      return rate === null ? [] : [[to, rate] as const];
    });
    res.json({ amount: 1, base, date: new Date().toISOString().slice(0, 10), rates: Object.fromEntries(rates) });
  }
}
