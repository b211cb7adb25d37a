import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { post, startFixture, warmUp, type FixtureApp } from '../fixture/app.js';
import { Book, BookConnection, bookId, seen } from '../fixture/resolvers.js';
import { loader, MAX_LOADER_BATCH } from '../loader.js';
import type { GraphqlContext } from '../context.js';
import { connectionOf, toConnection } from './connection.js';
import { pageRequest } from './page-arguments.js';

let fixture: FixtureApp;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.app.close());
beforeEach(() => {
  seen.batches.length = 0;
  seen.counted = 0;
});

/** The answer to a document before and after it is compiled, which must be the same. */
async function ask(query: string, variables: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
  const options = { token: 'ann', variables };
  const answers = [...(await warmUp(fixture.url, query, options)), (await post(fixture.url, query, options)).body];
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  return answers[0]?.data ?? { errors: answers[0]?.errors };
}

describe('node', () => {
  test('finds a thing by its id and tells its type', async () => {
    const query = `{ node(id: "${bookId(3)}") { __typename id ... on Book { title published sold genre labels author { name } } } }`;
    expect(await ask(query)).toEqual({
      node: { __typename: 'Book', id: bookId(3), title: 'Book 3', published: '1970-01-01T00:00:00.003Z', sold: 3, genre: 'NOVEL', labels: null, author: { name: `Author of ${bookId(3)}` } },
    });
  });

  test.each([
    ['invisible', bookId(9)],
    ['of an unknown kind', `pen_${'0'.repeat(26)}`],
    ['no id', 'nonsense'],
    ['empty', ''],
    ['a name of Object', '__proto__'],
  ])('answers NOT_FOUND for what is %s', async (_what, id) => {
    const { body } = await post(fixture.url, 'query Find($id: ID!) { node(id: $id) { id } }', { token: 'ann', variables: { id } });
    expect(body.data).toEqual({ node: null });
    expect(body.errors?.[0]).toMatchObject({ path: ['node'], extensions: { code: 'NOT_FOUND', field: 'id' } });
  });

  test('nodes come in the order asked for, null where there is none, by one load of a kind', async () => {
    const ids = [bookId(5), bookId(9), 'nonsense', bookId(1), bookId(5)];
    const { body } = await post(fixture.url, 'query Find($ids: [ID!]!) { nodes(ids: $ids) { id } }', { token: 'ann', variables: { ids } });
    expect(body).toEqual({ data: { nodes: [{ id: bookId(5) }, null, null, { id: bookId(1) }, { id: bookId(5) }] } });
    expect(seen.batches).toEqual([[bookId(5), bookId(9), bookId(1)]]);
  });

  test('too many ids are refused', async () => {
    const ids = Array.from({ length: 101 }, (_, index) => bookId(index));
    const { body } = await post(fixture.url, 'query Find($ids: [ID!]!) { nodes(ids: $ids) { id } }', { token: 'ann', variables: { ids } });
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'ids' });
  });
});

describe('connections', () => {
  test('give edges, nodes and where the page ends', async () => {
    expect(await ask('{ books(first: 2) { edges { cursor node { title } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } eventCursor } }')).toEqual({
      books: {
        edges: [
          { cursor: bookId(0), node: { title: 'Book 0' } },
          { cursor: bookId(10), node: { title: 'Book 10' } },
        ],
        nodes: [{ id: bookId(0) }, { id: bookId(10) }],
        pageInfo: { hasNextPage: true, hasPreviousPage: false, startCursor: bookId(0), endCursor: bookId(10) },
        eventCursor: null,
      },
    });
  });

  const counting: [what: string, query: string, variables: Record<string, unknown>, isCounted: boolean][] = [
    ['not selected', '{ books(first: 1) { nodes { id } } }', {}, false],
    ['selected', '{ books(first: 1) { totalCount } }', {}, true],
    ['under an alias', '{ books(first: 1) { all: totalCount } }', {}, true],
    ['through fragments', '{ books(first: 1) { ...A } } fragment A on BookConnection { ... { ...B } } fragment B on BookConnection { totalCount }', {}, true],
    ['in the second of two merged fields', '{ books(first: 1) { nodes { id } } books(first: 1) { totalCount } }', {}, true],
    ['skipped', 'query A($no: Boolean!) { books(first: 1) { nodes { id } totalCount @skip(if: $no) } }', { no: true }, false],
    ['not skipped', 'query B($no: Boolean!) { books(first: 1) { nodes { id } totalCount @skip(if: $no) } }', { no: false }, true],
    ['not included', 'query C($yes: Boolean!) { books(first: 1) { nodes { id } ... @include(if: $yes) { totalCount } } }', { yes: false }, false],
    ['as the alias of another', '{ books(first: 1) { totalCount: eventCursor } }', {}, false],
  ];
  test.each(counting)('count only when asked: %s', async (_what, query, variables, isCounted) => {
    await ask(query, variables);
    expect(seen.counted).toBe(isCounted ? 5 : 0);
  });

  test('load what stands below the rows by one call', async () => {
    await post(fixture.url, '{ books(first: 20) { nodes { author { name } } edges { node { author { name } } } } }', { token: 'ann' });
    expect(seen.batches).toHaveLength(1);
    expect(seen.batches[0]).toHaveLength(20);
  });

  test('are one type for each class', () => {
    expect(connectionOf(Book)).toBe(BookConnection);
  });

  test('of an empty page have no ends', () => {
    const connection = toConnection({ rows: [], cursors: [], hasNextPage: false, hasPreviousPage: false, eventCursor: 'e' }, (row) => row);
    expect(connection).toMatchObject({ pageInfo: { startCursor: null, endCursor: null }, totalCount: null, eventCursor: 'e' });
  });
});

describe('page arguments', () => {
  test.each([
    [{}, { first: 50 }],
    [{ first: null, after: null, last: null, before: null }, { first: 50 }],
    [{ first: 100, after: 'c' }, { first: 100, after: 'c' }],
    [{ last: 1 }, { last: 1 }],
    [{ before: 'c' }, { last: 50, before: 'c' }],
    [{ last: 5, before: 'c' }, { last: 5, before: 'c' }],
  ])('%j', (given, expected) => {
    expect(pageRequest(given)).toEqual(expected);
  });

  test.each([
    [{ first: 0 }, 'first'],
    [{ first: -1 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ last: 101 }, 'last'],
    [{ first: 1, last: 1 }, 'first'],
    [{ after: 'c', last: 1 }, 'after'],
    [{ first: 1, before: 'c' }, 'before'],
    [{ after: 'c', before: 'd' }, 'after'],
  ])('%j is refused for %s', (given, field) => {
    expect(() => pageRequest(given)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', field }) as Error);
  });

  test('reach the client as an error of input', async () => {
    const { body } = await post(fixture.url, '{ books(first: 101) { nodes { id } } }', { token: 'ann' });
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'first' });
  });
});

describe('loaders', () => {
  const contextLike = (): GraphqlContext => ({ requestId: 'r' }) as GraphqlContext;

  test('keep what they loaded for one request only', async () => {
    const calls: string[][] = [];
    const batch = async (keys: readonly string[]): Promise<Map<string, string>> => {
      calls.push([...keys]);
      return new Map(keys.filter((key) => key !== 'none').map((key) => [key, key.toUpperCase()]));
    };
    const [one, two] = [contextLike(), contextLike()];
    const found = await Promise.all(['a', 'b', 'none', 'a'].map((key) => loader(one, 'letters', batch).load(key)));
    expect(found).toEqual(['A', 'B', undefined, 'A']);
    await loader(one, 'letters', batch).load('a');
    await loader(one, 'others', batch).load('a');
    await loader(two, 'letters', batch).load('a');
    expect(calls).toEqual([['a', 'b', 'none'], ['a'], ['a']]);
  });

  test('ask for a bounded number at once', async () => {
    const sizes: number[] = [];
    const many = loader<number, number>(contextLike(), 'numbers', async (keys) => {
      sizes.push(keys.length);
      return new Map(keys.map((key) => [key, key]));
    });
    await many.loadMany(Array.from({ length: MAX_LOADER_BATCH * 2 + 1 }, (_, index) => index));
    expect(sizes).toEqual([MAX_LOADER_BATCH, MAX_LOADER_BATCH, 1]);
  });
});
