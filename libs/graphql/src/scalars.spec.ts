import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { post, startFixture, warmUp, type FixtureApp } from './fixture/app.js';
import { seen } from './fixture/resolvers.js';
import { Cursor, DateTime, JsonObjectScalar, Long } from './scalars.js';

let fixture: FixtureApp;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.app.close());
beforeEach(() => {
  seen.times.length = 0;
});

const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });

/** Of each scalar: the field that gives a value back, what is taken, and what is refused. */
const cases: [type: string, field: string, argument: string, taken: unknown[], refused: unknown[]][] = [
  [
    'DateTime',
    'time',
    'at',
    ['2026-11-23T18:00:00.000Z', '2024-02-29T23:59:59.120Z'],
    ['not a date', '', false, true, 0, 1764000000000, [], {}, '2026-11-23', '2026-11-23T18:00:00', '2026-11-23T18:00:00+01:00', '2026-02-30T00:00:00Z', '2025-02-29T00:00:00Z', '2026-13-01T00:00:00Z', '2026-11-23T24:00:00Z', '2026-11-23T18:00:60Z', '2026-11-23T18:00:00Z\n', ' 2026-11-23T18:00:00Z'],
  ],
  ['Long', 'number', 'value', [0, -1, 9007199254740991], ['1', '', false, 1.5, 9007199254740992, 1e300, [1], {}]],
  ['Cursor', 'cursor', 'value', ['abc', 'x'.repeat(2000)], ['', 0, false, 'with space', 'line\n', 'caf\u00e9', 'x'.repeat(2001), {}]],
  ['JSONObject', 'json', 'value', [{}, { a: [1, null, 'x', { b: true }] }, nested(16)], ['{}', 1, true, [], [{}], nested(17), { a: 'x'.repeat(70_000) }]],
];

const literal = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(literal).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, item]) => `${key}: ${literal(item)}`).join(' ')}}`;
};

describe.each(cases)('%s', (type, field, argument, taken, refused) => {
  test.each(taken)('takes %j as a variable and as a literal, and gives it back', async (value) => {
    const query = `query Give($value: ${type}) { ${field}(${argument}: $value) }`;
    const answers = [...(await warmUp(fixture.url, query, { variables: { value } })), (await post(fixture.url, query, { variables: { value } })).body];
    for (const body of answers) expect(body).toEqual({ data: { [field]: value } });
    expect((await post(fixture.url, `{ ${field}(${argument}: ${literal(value)}) }`)).body).toEqual({ data: { [field]: value } });
  });

  test.each(refused)('refuses %j as a variable and as a literal', async (value) => {
    const variable = await post(fixture.url, `query Refuse($value: ${type}) { ${field}(${argument}: $value) }`, { variables: { value } });
    expect(variable.body.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'value' });
    const inline = await post(fixture.url, `{ ${field}(${argument}: ${literal(value)}) }`);
    expect(inline.body.errors?.[0]?.extensions['code']).toMatch(/GRAPHQL_VALIDATION|LIMIT_EXCEEDED/);
    expect(inline.body).not.toHaveProperty('data');
    expect(seen.times).toEqual([]);
  });
});

test('DateTime arrives as a date, also from the default of a variable of a query that comes often', async () => {
  const query = 'query Default($at: DateTime = "2026-11-23T18:00:00.000Z") { time(at: $at) }';
  const answers = [...(await warmUp(fixture.url, query)), (await post(fixture.url, query)).body];
  for (const body of answers) expect(body).toEqual({ data: { time: '2026-11-23T18:00:00.000Z' } });
  expect(seen.times.every((time) => time instanceof Date)).toBe(true);
});

test.each<[{ serialize: (value: unknown) => unknown }, unknown[]]>([
  [DateTime, ['soon', new Date(Number.NaN), 0, true, '2026-02-30T00:00:00Z', {}]],
  [Long, ['1', 1.5, Number.NaN, 2 ** 53, 1n, true]],
  [Cursor, ['', 1, null, 'a b']],
  [JsonObjectScalar, ['x', 1, null, []]],
])('%s never lets garbage out', (scalar, garbage) => {
  for (const value of garbage) expect(() => scalar.serialize(value)).toThrow(/cannot represent|is needed here/);
});
