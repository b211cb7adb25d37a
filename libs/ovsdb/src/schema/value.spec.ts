import { describe, expect, it, test } from 'vitest';
import { InvalidArgumentError, ProtocolError } from '../errors.js';
import { encodeValue, RowReference } from './encode.js';
import { parseSchema, type AtomicType, type ColumnType } from './schema.js';
import { applyDifference, decodeValue, defaultValue, sameValue, type Value } from './value.js';

const type = (key: AtomicType, min: 0 | 1 = 1, max = 1, value?: AtomicType): ColumnType => ({ key, value, min, max });
const many = Infinity;
const uuid = '0c6f1d2e-0000-4000-8000-000000000001';
const other = '0c6f1d2e-0000-4000-8000-000000000002';
const known = new RowReference('row0');
const encode = (column: ColumnType, value: unknown): unknown =>
  JSON.parse(JSON.stringify(encodeValue(column, value, { path: 'row.c', knows: (reference) => reference === known })));

/** Each is written as the JSON, and read back as the value. */
const values: [what: string, column: ColumnType, value: Value, json: unknown][] = [
  ['a string', type('string'), 'a', 'a'],
  ['an integer', type('integer'), -7, -7],
  ['a real', type('real'), 1.5, 1.5],
  ['a boolean', type('boolean'), true, true],
  ['a UUID', type('uuid'), uuid, ['uuid', uuid]],
  ['nothing', type('string', 0), null, ['set', []]],
  ['something optional', type('string', 0), 'a', 'a'],
  ['an empty set', type('string', 0, many), new Set(), ['set', []]],
  ['a set of one', type('string', 0, many), new Set(['a']), 'a'],
  ['a set of several', type('uuid', 0, many), new Set([uuid, other]), ['set', [['uuid', uuid], ['uuid', other]]]],
  ['an empty map', type('string', 0, many, 'string'), new Map(), ['map', []]],
  ['a map', type('string', 0, many, 'integer'), new Map([['a', 1], ['b', 2]]), ['map', [['a', 1], ['b', 2]]]],
  ['a map of at most one', type('integer', 0, 1, 'uuid'), new Map([[1, uuid]]), ['map', [[1, ['uuid', uuid]]]]],
];

test.each(values)('%s', (_what, column, value, json) => {
  expect(encode(column, value)).toEqual(json);
  expect(decodeValue(column, json as never, 'c')).toEqual(value);
});

test('a set of one may come in either form', () => {
  expect(decodeValue(type('integer', 0), ['set', [4]], 'c')).toBe(4);
  expect(decodeValue(type('integer', 0, 3), ['set', [4]], 'c')).toEqual(new Set([4]));
});

describe('what may be written', () => {
  it('is also a list or one element for a set', () => {
    expect(encode(type('integer', 0, many), [1, 2])).toEqual(['set', [1, 2]]);
    expect(encode(type('integer', 0, many), 3)).toBe(3);
  });
  it('is also an object for a map', () => {
    expect(encode(type('string', 0, many, 'string'), { a: 'b' })).toEqual(['map', [['a', 'b']]]);
  });
  it('is also a row of the same transaction for a UUID', () => {
    expect(encode(type('uuid', 0, many), [known, uuid])).toEqual(['set', [['named-uuid', 'row0'], ['uuid', uuid]]]);
  });
  it('is also a bigint for an integer', () => {
    expect(JSON.stringify(encodeValue(type('integer'), 2n ** 63n - 1n, { path: 'c', knows: () => false }))).toBe('9223372036854775807');
  });
});

const refused: [what: string, column: ColumnType, value: unknown, problem: string][] = [
  ['undefined', type('string', 0), undefined, 'undefined is not of type string'],
  ['nothing where one belongs', type('string'), null, '0 elements where exactly 1 belong'],
  ['two where at most one belongs', type('string', 0), ['a', 'b'], '2 elements where 0 to 1 belong'],
  ['none where some belong', type('string', 1, many), [], '0 elements where at least 1 belong'],
  ['a number for a string', type('string'), 1, '1 is not of type string'],
  ['half an integer', type('integer'), 1.5, '1.5 is not of type integer'],
  ['an inexact integer', type('integer'), 2 ** 53, '9007199254740992 is not of type integer'],
  ['an integer of 65 bits', type('integer'), 2n ** 63n, '9223372036854775808 is not of type integer'],
  ['no real', type('real'), Number.NaN, 'NaN is not of type real'],
  ['a name for a UUID', type('uuid'), 'switch-1', '"switch-1" is not of type uuid'],
  ['a row of another transaction', type('uuid'), new RowReference('row0'), 'refers to a row that this transaction does not insert'],
  ['U+0000', type('string'), 'a\0', 'a string may not contain U+0000'],
  ['half a surrogate pair', type('string', 0, many), ['\uD834'], 'a string may not contain half of a surrogate pair'],
  ['a set for a map', type('string', 0, many, 'string'), new Set(['a']), 'a Map or an object belongs here'],
  ['a list for a map', type('string', 0, many, 'string'), ['a'], 'a Map or an object belongs here'],
  ['a reference for a map', type('string', 0, many, 'string'), known, 'a Map or an object belongs here'],
  ['a map for a set', type('string', 0, many), new Map(), 'an object (Map) is not of type string'],
];

test.each(refused)('refused: %s', (_what, column, value, problem) => {
  expect(() => encode(column, value)).toThrow(new InvalidArgumentError('row.c', problem));
});

test('the key of a wrong value in a map is named', () => {
  expect(() => encode(type('string', 0, many, 'integer'), { a: 1, b: 'x' })).toThrow('row.c.b: "x" is not of type integer');
});

test.each([
  ['a string', type('integer'), 'a'],
  ['a bare UUID', type('uuid'), uuid],
  ['no element', type('string'), ['set', []]],
  ['two elements', type('string', 0), ['set', ['a', 'b']]],
  ['a set for a map', type('string', 0, many, 'string'), ['set', []]],
  ['no pairs', type('string', 0, many, 'string'), ['map', [['a']]]],
] as const)('a server that sends %s breaks the protocol', (_what, column, json) => {
  expect(() => decodeValue(column, json as never, 'c')).toThrow(ProtocolError);
});

test.each([
  [type('string'), ''],
  [type('integer'), 0],
  [type('boolean'), false],
  [type('uuid'), '00000000-0000-0000-0000-000000000000'],
  [type('string', 0), null],
  [type('string', 0, many), new Set()],
  [type('string', 1, 3), new Set([''])],
  [type('string', 0, many, 'string'), new Map()],
  [type('string', 1, many, 'integer'), new Map([['', 0]])],
])('the default of %o', (column, value) => {
  expect(defaultValue(column)).toEqual(value);
});

describe('differences', () => {
  const apply = (column: ColumnType, old: Value, difference: Value): Value => applyDifference(column, old, difference);

  it('replace what is single', () => {
    expect(apply(type('string'), 'a', 'b')).toBe('b');
    expect(apply(type('string', 0), 'a', null)).toBeNull();
    expect(apply(type('string', 0, 1, 'string'), new Map([['a', 'b']]), new Map([['c', 'd']]))).toEqual(new Map([['c', 'd']]));
  });
  it('toggle the elements of a set', () => {
    expect(apply(type('integer', 0, many), new Set([1, 2]), new Set([2, 3]))).toEqual(new Set([1, 3]));
  });
  it('remove, replace and add pairs of a map', () => {
    const old = new Map([['gone', 1], ['other', 1], ['same', 1]]);
    const difference = new Map([['gone', 1], ['other', 2], ['new', 3]]);
    expect(apply(type('string', 0, many, 'integer'), old, difference)).toEqual(new Map([['other', 2], ['same', 1], ['new', 3]]));
  });
  it('leave the old value as it was', () => {
    const old = new Set([1]);
    apply(type('integer', 0, many), old, new Set([1, 2]));
    expect(old).toEqual(new Set([1]));
  });
});

test.each<[Value, Value, boolean]>([
  [1, 1, true],
  [1, '1', false],
  [null, null, true],
  [null, '', false],
  [new Set([1, 2]), new Set([2, 1]), true],
  [new Set([1, 2]), new Set([1, 3]), false],
  [new Set([1]), new Set([1, 2]), false],
  [new Map([['a', 1]]), new Map([['a', 1]]), true],
  [new Map([['a', 1]]), new Map([['a', 2]]), false],
  [new Map([['a', 1]]), new Map([['b', 1]]), false],
  [new Map(), new Set(), false],
])('%o and %o', (value, another, same) => {
  expect(sameValue(value, another)).toBe(same);
  expect(sameValue(another, value)).toBe(same);
});

describe('schemas', () => {
  it('are read with every form of a type', () => {
    const columns = {
      plain: { type: 'string' },
      optional: { type: { key: 'integer', min: 0 } },
      set: { type: { key: { type: 'string', enum: ['set', ['a', 'b']] }, min: 1, max: 'unlimited' } },
      map: { type: { key: 'string', value: { type: 'uuid', refTable: 'T' }, min: 0, max: 4 }, mutable: false },
    };
    const schema = parseSchema({ name: 'D', version: '1.2.3', tables: { T: { columns } } });
    expect(schema.name).toBe('D');
    expect(Object.fromEntries(schema.tables.get('T')?.columns ?? [])).toEqual({
      plain: type('string'),
      optional: type('integer', 0),
      set: type('string', 1, Infinity),
      map: type('string', 0, 4, 'uuid'),
    });
  });
  test.each([
    [{}, 'schema.tables is not an object'],
    [{ name: 'D', tables: { T: { columns: { c: { type: 'text' } } } } }, 'schema.tables.T.c has the unknown type text'],
    [{ name: 'D', tables: { T: { columns: { c: { type: { key: 'string', max: 0 } } } } } }, 'schema.tables.T.c has a maximum'],
  ])('refused: %o', (json, problem) => {
    expect(() => parseSchema(json)).toThrow(problem);
  });
});
