import { getNamedType, isEnumType, isInputObjectType, isListType, isNonNullType, type GraphQLInputType } from 'graphql';

/** One place of an input, and what is put there. */
export interface BadValue {
  path: readonly string[];
  value: unknown;
}

const LONG = 'x'.repeat(5000);
const TEXTS = ['', ' ', '\0', 'a\0b', LONG, '\ud800', '\u{1f525}', 'é', "'; --", '../..', 'a-', 'A'];
const cursor = (text: string): string => Buffer.from(text).toString('base64url');
const CURSORS = ['x', LONG, cursor('["\0"]'), cursor('[]'), cursor('null'), cursor('["a","b","c","d"]'), cursor('000000000000.1.1')];
const VALUES: Readonly<Record<string, readonly unknown[]>> = {
  Int: [0, -1, 1.5, 2 ** 31 - 1, -(2 ** 31), 2 ** 31],
  Float: [0, -1, 1e308, -1e308, 5e-324],
  Long: [0, -1, 1.5, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, 2 ** 53],
  DateTime: ['', 'x', '0000-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '2026-02-30T00:00:00Z', '9999-12-31T23:59:59.999Z'],
  JSONObject: [{ a: '\0' }, { '\0': 1 }, { a: '\ud800' }, { a: LONG }, { a: { a: 1 } }],
  Boolean: [],
  Cursor: CURSORS,
};
const MANY = 1001;

/**
 * What callers may send where something else is expected, each one alone, all else being as it was: nothing, too much, too
 * many, twice the same, texts that nobody can keep, and ids of other kinds.
 */
export function* badValues(type: GraphQLInputType, good: unknown, ids: readonly string[], path: readonly string[] = []): Generator<BadValue> {
  if (isNonNullType(type)) {
    yield* badValues(type.ofType, good, ids, path);
    return;
  }
  if (good !== undefined) yield { path, value: null };
  if (isListType(type)) {
    yield { path, value: [] };
    const [first] = Array.isArray(good) ? (good as unknown[]) : [];
    if (first === undefined) return;
    yield { path, value: [first, first] };
    yield { path, value: Array.from({ length: MANY }, () => first) };
    yield* badValues(type.ofType, first, ids, [...path, '0']);
  } else if (isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      yield* badValues(field.type, (good as Record<string, unknown> | undefined)?.[field.name], ids, [...path, field.name]);
    }
  } else if (!isEnumType(type)) {
    const { name } = getNamedType(type);
    for (const value of VALUES[name] ?? TEXTS) yield { path, value };
    if (name === 'ID') for (const id of ids) yield { path, value: id };
  }
}

/** A copy with the value in its place. */
export function withValue(good: unknown, [head, ...rest]: readonly string[], value: unknown): unknown {
  if (head === undefined) return value;
  if (Array.isArray(good)) return good.map((item: unknown, index) => (index === Number(head) ? withValue(item, rest, value) : item));
  const map = (good ?? {}) as Record<string, unknown>;
  return { ...map, [head]: withValue(map[head], rest, value) };
}
