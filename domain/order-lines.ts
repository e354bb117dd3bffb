/**
 * An order that was created before its platform told of it has line ids of its own: they become the platform's, which alone ship at
 * the platform. Contract: orders.md, Orders in.
 */

export interface NamedLine {
  readonly line: string;
  /** Null where it is not mapped. */
  readonly sku: string | null;
  readonly quantity: number;
}

/** So many units of one of our lines are this line of theirs. */
export interface LinePart {
  readonly line: string;
  readonly quantity: number;
}

/**
 * The order's line that a package's line is of: a combination's components have lines of their own, `line#sku`.
 * `componentLine` is its inverse.
 */
export const orderLineOf = (line: string): string => line.split('#', 1)[0] ?? line;
export const componentLine = (line: string, sku: string): string => `${line}#${sku}`;

const sumOf = (lines: readonly NamedLine[]) => lines.reduce((sum, { quantity }) => sum + quantity, 0);

/** Gives our lines, one after the other, the units of theirs. The sums are equal. */
function deal(ours: readonly NamedLine[], theirs: readonly NamedLine[], parts: Map<string, LinePart[]>): void {
  const left = theirs.map(({ line, quantity }) => ({ line, quantity }));
  for (const { line, quantity } of ours) {
    const own: LinePart[] = [];
    for (let open = quantity; open > 0; ) {
      const next = left[0];
      if (!next) return;
      const taken = Math.min(open, next.quantity);
      own.push({ line: next.line, quantity: taken });
      open -= taken;
      next.quantity -= taken;
      if (next.quantity === 0) left.shift();
    }
    parts.set(line, own);
  }
}

/**
 * Which of their lines ours are: SKU by SKU, where the quantities agree; and one SKU of ours that is left with what of theirs is not
 * mapped, where those agree. @returns by our line; what is in doubt is left out
 */
export function matchLines(ours: readonly NamedLine[], theirs: readonly NamedLine[]): Map<string, LinePart[]> {
  const parts = new Map<string, LinePart[]>();
  const skus = new Set(ours.map(({ sku }) => sku));
  const left: string[] = [];
  for (const sku of skus) {
    if (sku === null) continue;
    const [mine, there] = [ours, theirs].map((lines) => lines.filter((one) => one.sku === sku));
    if (mine && there && sumOf(mine) === sumOf(there)) deal(mine, there, parts);
    else if (there?.length === 0) left.push(sku);
  }
  const unmapped = theirs.filter(({ sku }) => sku === null);
  const mine = ours.filter(({ sku }) => sku === left[0]);
  if (left.length === 1 && sumOf(mine) === sumOf(unmapped)) deal(mine, unmapped, parts);
  return parts;
}

/**
 * Lines of a package or a supply order under the new ids; a combination's components stay behind theirs. Units of one
 * SKU that come under one id are one line.
 */
export function renameLines<Line extends { readonly line: string; readonly sku: string; readonly quantity: number }>(
  lines: readonly Line[],
  ours: readonly NamedLine[],
  parts: ReadonlyMap<string, readonly LinePart[]>,
): Line[] {
  const renamed: Line[] = [];
  for (const one of lines) {
    const [line = '', component] = one.line.split('#');
    const own = parts.get(line);
    const units = ours.find((other) => other.line === line)?.quantity;
    if (own === undefined || !units) {
      renamed.push(one);
      continue;
    }
    for (const part of own) {
      const name = component === undefined ? part.line : componentLine(part.line, component);
      const quantity = (one.quantity / units) * part.quantity;
      const there = renamed.findIndex((other) => other.line === name && other.sku === one.sku);
      const before = renamed[there];
      if (before) renamed[there] = { ...before, quantity: before.quantity + quantity };
      else renamed.push({ ...one, line: name, quantity });
    }
  }
  return renamed;
}
