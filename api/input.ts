/** Input that does not fit its schema, as the problem body shows it: every place, with a JSON pointer and a stable code. */
import type { InputProblem } from '../domain/failures';
import type { z } from './schemas/zod';

type Issue = z.core.$ZodIssue;

const escapePointer = (part: PropertyKey) => String(part).replaceAll('~', '~0').replaceAll('/', '~1');
const pointerOf = (path: readonly PropertyKey[]) => path.map((part) => `/${escapePointer(part)}`).join('');

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[part];
  return value;
}

function codeOf(issue: Issue, input: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return valueAt(input, issue.path) === undefined ? 'required' : 'wrong_type';
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array' ? 'too_short' : 'too_small';
    case 'too_big':
      return issue.origin === 'string' || issue.origin === 'array' ? 'too_long' : 'too_large';
    case 'invalid_value':
      return valueAt(input, issue.path) === undefined ? 'required' : 'not_allowed';
    case 'custom':
      return typeof issue.params?.code === 'string' ? issue.params.code : 'invalid';
    case 'invalid_union':
      return valueAt(input, issue.path) === undefined ? 'required' : 'wrong_type';
    default:
      return 'invalid_format';
  }
}

/** How far the input is from a shape: fields it lacks or does not know count, and what a word says of its kind. */
function distance(issues: readonly Issue[], input: unknown): number {
  return issues.reduce((sum, issue) => {
    if (issue.path.length > 1) return sum;
    if (issue.code === 'unrecognized_keys') return sum + (issue.path.length === 0 ? issue.keys.length : 0);
    if (issue.path.length === 0) return sum + (issue.code === 'invalid_type' ? 1_000 : 0);
    const isKind = issue.code === 'invalid_union' && issue.errors.length === 0;
    return sum + (isKind || valueAt(input, issue.path) === undefined ? 1 : 0);
  }, 0);
}

/** Of the shapes that were possible, the one the input is nearest to; among several the one with the fewest problems. */
function nearest(issue: Issue & { code: 'invalid_union' }, input: unknown): Issue[] {
  const given = valueAt(input, issue.path);
  const [best] = [...issue.errors].sort((a, b) => distance(a, given) - distance(b, given) || a.length - b.length);
  return (best ?? []).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
}

/** All problems of one part of the request. `root` is '' for the body, '/query' for the query string. */
export function inputProblems(issues: readonly Issue[], input: unknown, root: string): InputProblem[] {
  return issues.flatMap((issue): InputProblem[] => {
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        pointer: root + pointerOf([...issue.path, key]),
        code: 'unknown_field',
        detail: 'There is no such field',
      }));
    if (issue.code === 'invalid_union' && issue.errors.length > 0)
      return inputProblems(nearest(issue, input), input, root);
    return [{ pointer: root + pointerOf(issue.path), code: codeOf(issue, input), detail: issue.message }];
  });
}

/** A filter without the fields that were left out: the database takes an undefined one for null. */
export function withoutUndefined<T extends object>(filter: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as never;
}
