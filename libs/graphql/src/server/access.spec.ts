import { Module } from '@nestjs/common';
import { Query, Resolver } from '@nestjs/graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Public } from '../access.js';
import { post, startFixture, type FixtureApp } from '../fixture/app.js';
import { bookId, seen, ThingsResolver } from '../fixture/resolvers.js';

let fixture: FixtureApp;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.app.close());

describe('access', () => {
  test('a field that is not public needs a principal', async () => {
    const { body, status } = await post(fixture.url, '{ whoAmI }');
    expect(status).toBe(200);
    expect(body.data).toBeNull();
    expect(body.errors?.[0]).toMatchObject({ path: ['whoAmI'], extensions: { code: 'UNAUTHENTICATED', fault: 'USER' } });
  });

  test.each(['{ books { nodes { id } } }', `{ node(id: "${bookId(1)}") { id } }`, 'mutation { addBook(input: { title: "x" }) { book { id } } }'])(
    'a stranger gets nothing from %s',
    async (query) => {
      const { body } = await post(fixture.url, query);
      expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'UNAUTHENTICATED' });
      expect(body.data ?? {}).not.toHaveProperty('addBook');
    },
  );

  test('a public field answers anybody', async () => {
    expect((await post(fixture.url, '{ hello }')).body).toEqual({ data: { hello: 'hello' } });
  });

  test('a wrong credential fails the whole request, public fields too', async () => {
    const { body, status, headers } = await post(fixture.url, '{ hello }', { token: 'wrong' });
    expect(status).toBe(401);
    expect(headers.get('www-authenticate')).toBe('Bearer');
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(body).not.toHaveProperty('data');
  });

  test('an authenticator that is busy is obeyed', async () => {
    const { status, headers } = await post(fixture.url, '{ hello }', { token: 'busy' });
    expect(status).toBe(429);
    expect(headers.get('retry-after')).toBe('2');
  });

  test('guards of a resolver run too', async () => {
    expect((await post(fixture.url, '{ ofBob }', { token: 'bob' })).body).toEqual({ data: { ofBob: 1 } });
    const { body } = await post(fixture.url, '{ ofBob }', { token: 'ann' });
    expect(body.errors?.[0]).toMatchObject({ path: ['ofBob'], extensions: { code: 'FORBIDDEN' } });
  });

  test('two callers at once never share a context', async () => {
    seen.contexts.length = 0;
    const names = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? 'ann' : 'bob'));
    const answers = await Promise.all(names.map((token) => post(fixture.url, '{ whoAmI }', { token })));
    expect(answers.map(({ body }) => body.data?.['whoAmI'])).toEqual(names.map((name) => `${name} `));
    expect(new Set(seen.contexts).size).toBe(40);
    expect(new Set(seen.contexts.map(({ requestId }) => requestId)).size).toBe(40);
  });
});

describe('the Idempotency-Key', () => {
  const mutation = (fields: string): string => `mutation { ${fields} }`;
  const one = 'addBook(input: { title: "x" }) { book { title } }';

  test('reaches the context', async () => {
    const { body } = await post(fixture.url, '{ whoAmI }', { token: 'ann', headers: { 'idempotency-key': 'k-1 ~' } });
    expect(body.data).toEqual({ whoAmI: 'ann k-1 ~' });
  });

  test.each(['', 'x'.repeat(256), 'caf\u00e9'])('must be 1 to 255 printable ASCII characters: %j', async (key) => {
    const { body } = await post(fixture.url, '{ whoAmI }', { token: 'ann', headers: { 'idempotency-key': key } });
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'Idempotency-Key' });
  });

  test.each([
    ['two fields', mutation(`a: ${one} b: ${one}`), false],
    ['two fields through fragments', `mutation { ...A ...B } fragment A on Mutation { a: ${one} } fragment B on Mutation { ... { b: ${one} } }`, false],
    ['one field', mutation(one), true],
    ['one field spread twice', `mutation { __typename ...A ...A } fragment A on Mutation { a: ${one} }`, true],
  ])('goes with one mutation field: %s', async (_what, query, isTaken) => {
    const { body } = await post(fixture.url, query, { token: 'ann', headers: { 'idempotency-key': 'k' } });
    if (isTaken) expect(body.errors).toBeUndefined();
    else expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'Idempotency-Key' });
    expect((await post(fixture.url, query, { token: 'ann' })).body.errors).toBeUndefined();
  });
});

describe('start-up', () => {
  test('refuses a field without declared access', async () => {
    @Resolver()
    class Forgetful {
      @Query(() => String)
      open(): string {
        return 'open';
      }
    }
    await expect(startFixture({}, [ThingsResolver, Forgetful])).rejects.toThrow('Forgetful.open is neither @Public() nor @Authenticated()');
  });

  test.each(['factory', 'value'])('refuses a resolver provided by %s', async (how) => {
    @Resolver()
    class Provided {
      @Public()
      @Query(() => String)
      open(): string {
        return 'open';
      }
    }
    const provider = how === 'factory' ? { provide: Provided, useFactory: () => new Provided() } : { provide: Provided, useValue: new Provided() };

    @Module({ providers: [provider] })
    class ProvidingModule {}
    await expect(startFixture({}, [ThingsResolver], [ProvidingModule])).rejects.toThrow('Provided.open must be provided as a plain class');
  });
});
