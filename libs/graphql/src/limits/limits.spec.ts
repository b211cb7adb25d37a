import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { getIntrospectionQuery } from '../graphql-js.js';
import { post, startFixture, type FixtureApp } from '../fixture/app.js';

let fixture: FixtureApp;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.app.close());

async function ask(query: string, variables: Record<string, unknown> = {}): Promise<{ extensions: Record<string, unknown> | undefined; milliseconds: number }> {
  const start = performance.now();
  const { body } = await post(fixture.url, query, { token: 'ann', variables });
  return { extensions: body.errors?.[0]?.extensions, milliseconds: performance.now() - start };
}

const repeat = (count: number, part: (index: number) => string): string => Array.from({ length: count }, (_, index) => part(index)).join(' ');

describe('cost', () => {
  // Page of 100 × (nodes: 1 + its two fields) + the connection and its total.
  const page = (name: string, first: string): string => `${name}: books(first: ${first}) { totalCount nodes { id title } }`;

  test.each([
    ['33 pages', repeat(33, (index) => page(`a${index}`, '100')), undefined],
    ['34 pages', repeat(34, (index) => page(`a${index}`, '100')), 34 * 302],
    ['67 pages of the default size', repeat(67, (index) => `a${index}: books { totalCount nodes { id title } }`), 67 * 152],
    ['66 pages of the default size', repeat(65, (index) => `a${index}: books { totalCount nodes { id title } }`), undefined],
    ['a page larger than any', repeat(34, (index) => page(`a${index}`, '1000000')), 34 * 302],
  ])('is known before anything runs: %s', async (_what, fields, found) => {
    const { extensions } = await ask(`{ ${fields} }`);
    if (found === undefined) expect(extensions).toBeUndefined();
    else expect(extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', fault: 'USER', data: { limit: 'cost', allowed: 10_000, found } });
  });

  test('reads variables and their defaults', async () => {
    const query = `query Pages($first: Int = 100) { ${repeat(34, (index) => page(`a${index}`, '$first'))} }`;
    expect((await ask(query)).extensions).toMatchObject({ data: { limit: 'cost', found: 34 * 302 } });
    expect((await ask(query, { first: 100 })).extensions).toMatchObject({ data: { limit: 'cost', found: 34 * 302 } });
    expect((await ask(query, { first: 2 })).extensions).toBeUndefined();
  });

  test('counts through fragments on the connection', async () => {
    const query = `{ ${repeat(34, (index) => `a${index}: books(first: 100) { ...Page }`)} } fragment Page on BookConnection { totalCount ... { nodes { ...Title } } } fragment Title on Book { id title }`;
    expect((await ask(query)).extensions).toMatchObject({ data: { limit: 'cost', found: 34 * 302 } });
  });

  test('counts ids', async () => {
    const ids = Array.from({ length: 100 }, () => 'book_0');
    const query = `query Nodes($ids: [ID!]!) { ${repeat(60, (index) => `a${index}: nodes(ids: $ids) { id __typename }`)} }`;
    expect((await ask(query, { ids })).extensions).toMatchObject({ data: { limit: 'cost', found: 60 * 201 } });
    expect((await ask(query, { ids: ids.slice(0, 50) })).extensions).toBeUndefined();
  });

  test('bears bombs of fragments without expanding them', async () => {
    const fragments = repeat(60, (index) => `fragment F${index} on Query { ...F${index + 1} ... { ...F${index + 1} } }`);
    const { extensions, milliseconds } = await ask(`{ ...F0 } ${fragments} fragment F60 on Query { hello }`);
    expect(extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', data: { limit: 'cost' } });
    expect(milliseconds).toBeLessThan(1000);
  });
});

describe('depth', () => {
  const nest = (depth: number): string => (depth <= 1 ? '{ id }' : `{ ... on Book { author ${nest(depth - 1)} } }`);

  test.each([
    [13, { code: 'LIMIT_EXCEEDED', data: { limit: 'depth', allowed: 12, found: 13 } }],
    [12, { code: 'GRAPHQL_VALIDATION' }],
  ])('%i levels', async (depth, expected) => {
    expect((await ask(`{ node(id: "x") ${nest(depth - 1)} }`)).extensions).toMatchObject(expected);
  });

  test('counts through fragments, also cyclic and unknown ones, before validation', async () => {
    const chain = repeat(14, (index) => `fragment F${index} on Book { author { ...F${index + 1} } }`);
    expect((await ask(`{ node(id: "x") { ...F0 } } ${chain} fragment F14 on Book { id }`)).extensions).toMatchObject({ data: { limit: 'depth', found: 16 } });
    expect((await ask('{ ...A } fragment A on Query { a { ...B } } fragment B on Query { b { ...A ...Unknown } }')).extensions).toMatchObject({ code: 'GRAPHQL_VALIDATION' });
  });
});

describe('documents', () => {
  test('of too many tokens', async () => {
    const { extensions } = await ask(`{ ${'hello '.repeat(2000)} }`);
    expect(extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', data: { limit: 'tokens', allowed: 2000 } });
  });

  test('of too many characters', async () => {
    const { extensions } = await ask(`{ hello } #${'x'.repeat(33_000)}`);
    expect(extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', data: { limit: 'documentLength', allowed: 32_768 } });
  });

  // Whatever fits into the tokens must be answered or refused in a time that does not stop the process.
  test.each([
    ['the same field again and again', `{ ${'hello '.repeat(1990)} }`],
    ['aliases', `{ ${repeat(660, (index) => `a${index}: hello`)} }`],
    ['the same alias for pages that differ', `{ ${repeat(150, (index) => `a: books(first: ${(index % 9) + 1}) { nodes { id } }`)} }`],
    ['selections nested in parallel', `{ ${repeat(120, () => 'books { nodes { author { name } id title } }')} }`],
    ['inline fragments', `{ ${'... { '.repeat(495)} hello ${'} '.repeat(495)} }`],
    ['many fragments spread everywhere', `{ ${repeat(150, (index) => `...F${index}`)} } ${repeat(150, (index) => `fragment F${index} on Query { hello }`)}`],
    ['directives', `{ hello ${'@skip(if: true) '.repeat(280)} }`],
    ['unknown fields', `{ ${repeat(1900, (index) => `helo${index}`)} }`],
    ['deep lists in a literal', `{ json(value: { a: ${'['.repeat(900)}${']'.repeat(900)} }) }`],
  ])('that try to be slow: %s', async (_what, query) => {
    const { milliseconds } = await ask(query);
    expect(milliseconds).toBeLessThan(1500);
    expect((await ask('{ hello }')).milliseconds).toBeLessThan(500);
  });
});

describe('introspection', () => {
  test('is open to all', async () => {
    const { body } = await post(fixture.url, getIntrospectionQuery({ inputValueDeprecation: true, specifiedByUrl: true }));
    expect(body.errors).toBeUndefined();
    expect(body.data).toHaveProperty('__schema');
  });

  test('is bounded', async () => {
    const nested = '{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }';
    expect((await ask(nested)).extensions).toMatchObject({ code: 'GRAPHQL_VALIDATION' });
    const flood = `{ ${repeat(4, (index) => `a${index}: __schema { types { name } }`)} }`;
    expect((await ask(flood)).extensions).toMatchObject({ data: { limit: 'cost', found: 12_000 } });
  });
});
