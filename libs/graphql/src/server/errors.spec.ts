import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bookId } from '../fixture/resolvers.js';
import { post, startFixture, warmUp, type FixtureAnswer, type FixtureApp, type PostOptions } from '../fixture/app.js';

let fixture: FixtureApp;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.app.close());

const UUID = /^[0-9a-f-]{36}$/;

/** The errors of a document before and after it is compiled, which must be the same. */
async function errorsOf(query: string, options: PostOptions = {}): Promise<NonNullable<FixtureAnswer['errors']>> {
  const answers = [...(await warmUp(fixture.url, query, options)), (await post(fixture.url, query, options)).body];
  for (const { extensions } of answers.flatMap(({ errors }) => errors ?? [])) {
    expect(extensions['requestId']).toMatch(UUID);
    delete extensions['requestId'];
  }
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  return answers[0]?.errors ?? [];
}

describe('errors of fields', () => {
  test('carry what the room said in public, and no more', async () => {
    const mutation = 'mutation Add($input: AddBookInput!) { added: addBook(input: $input) { book { id } } }';
    expect(await errorsOf(mutation, { token: 'ann', variables: { input: { title: 'taken' } } })).toEqual([
      {
        message: 'There is such a book.',
        path: ['added'],
        extensions: { code: 'ALREADY_EXISTS', fault: 'USER', retryable: false, field: 'input.title', data: { id: bookId(1) } },
      },
    ]);
  });

  test.each(['unknown', 'text', 'assertion'])('hide what is ours: %s', async (how) => {
    expect(await errorsOf('query Fail($how: String!) { fail(how: $how) }', { variables: { how } })).toEqual([
      {
        message: 'An internal error occurred. The log knows it by the request id.',
        path: ['fail'],
        extensions: { code: 'INTERNAL', fault: 'SYSTEM', retryable: false },
      },
    ]);
  });

  test('are found in the log by the id that the client got', async () => {
    const { body, headers } = await post(fixture.url, '{ fail(how: "unknown") }');
    const requestId = body.errors?.[0]?.extensions['requestId'] as string;
    expect(headers.get('x-request-id')).toBe(requestId);
    const lines = fixture.log.filter((line) => line.includes(requestId));
    expect(lines.join('')).toContain('cannot read secrets of undefined');
  });

  test('keep the detail of a backend for the log', async () => {
    const [error] = await errorsOf('{ fail(how: "backend") }');
    expect(error).toMatchObject({ message: 'The backend is away.', extensions: { code: 'UNAVAILABLE', fault: 'OPERATOR', retryable: true } });
    expect(JSON.stringify(error)).not.toContain('10.0.0.1');
    expect(fixture.log.join('')).toContain('10.0.0.1');
  });

  test('have numbers for list indexes in their path', async () => {
    const query = '{ books(first: 4) { nodes { secret } edges { node { secret } } } }';
    const errors = await errorsOf(query, { token: 'ann' });
    expect(errors.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        ['books', 'nodes', 2, 'secret'],
        ['books', 'edges', 2, 'node', 'secret'],
      ]),
    );
    expect(errors).toHaveLength(2);
    expect(JSON.stringify(errors)).not.toContain('hunter2');
  });

  test('take away what must not be null, up to where it may be', async () => {
    const errors = await errorsOf(`{ node(id: "${bookId(20)}") { ... on Book { strict } } other: node(id: "${bookId(30)}") { ... on Book { strict } } }`, { token: 'ann' });
    expect(errors.map(({ path, extensions: { code } }) => [path, code])).toEqual(
      expect.arrayContaining([
        [['node', 'strict'], 'INTERNAL'],
        [['other', 'strict'], 'UNAVAILABLE'],
      ]),
    );
    const whole = await errorsOf('{ books(first: 3) { edges { node { strict } } } }', { token: 'ann' });
    expect(whole.map(({ path }) => path)).toEqual([['books', 'edges', 2, 'node', 'strict']]);
  });

  test('of a value that a scalar cannot represent are ours', async () => {
    const [error] = await errorsOf('{ brokenTime }');
    expect(error).toMatchObject({ path: ['brokenTime'], extensions: { code: 'INTERNAL' } });
  });

  test('leave the rest of the answer in place', async () => {
    const { body, status } = await post(fixture.url, '{ hello fail(how: "quota") }', { headers: { accept: 'application/graphql-response+json' } });
    expect(status).toBe(200);
    expect(body.data).toEqual({ hello: 'hello', fail: null });
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'QUOTA_EXCEEDED', fault: 'ADMIN', data: { key: 'vm.cpu', limit: 4 } });
  });
});

describe('errors of requests', () => {
  test('repeat no value of a variable: it may hold what is secret', async () => {
    const secret = 'hunter2; Field "x" at "y"; hunter2';
    const inputs = [{ parts: [], tag: secret }, { title: 'a', surplus: secret }, { title: [secret] }, { title: 'a', parts: [secret] }, secret, [secret]];
    const query = 'mutation A($input: AddBookInput!) { addBook(input: $input) { book { id } } }';
    const messages: string[] = [];
    for (const input of inputs) messages.push(...(await errorsOf(query, { token: 'ann', variables: { input } })).map((error) => error.message));
    expect(messages.length).toBeGreaterThanOrEqual(inputs.length);
    expect(messages.filter((message) => message.includes('hunter2'))).toEqual([]);
    expect(messages[0]).toBe('Variable "$input" got an invalid value; Field "title" of required type "String!" was not provided.');
    expect(messages).toContain('Variable "$input" got an invalid value at "input.title"; String cannot represent a non string value.');
  });

  test.each<[what: string, query: string, variables: Record<string, unknown>, message: string, field: string]>([
    ['a text', 'query A($how: String!) { fail(how: $how) }', { how: ['#cloud-config; echo hunter2'] }, 'Variable "$how" got an invalid value; String cannot represent a non string value.', 'how'],
    ['a text in the shape of a place', 'query A($how: String!) { fail(how: $how) }', { how: { a: ' at "how.hunter2"; hunter2' } }, 'Variable "$how" got an invalid value; String cannot represent a non string value.', 'how'],
    ['a number', 'query A($x: Int!) { nothing(required: $x) }', { x: 'hunter2; hunter2' }, 'Variable "$x" got an invalid value; Int cannot represent non-integer value.', 'x'],
    ['a scalar of ours', 'query A($x: Long) { number(value: $x) }', { x: 'hunter2; hunter2' }, 'Variable "$x" got an invalid value; A whole number between -(2^53 - 1) and 2^53 - 1 is needed here.', 'x'],
    ['an enum', 'query A($genre: Genre) { shelf(genre: $genre) }', { genre: 'hunter2" does not exist in "x" enum. hunter2' }, 'Variable "$genre" got an invalid value; The enum "Genre" has no such value.', 'genre'],
    ['an enum, near to one of its names', 'query A($genre: Genre) { shelf(genre: $genre) }', { genre: 'NOVELL' }, 'Variable "$genre" got an invalid value; The enum "Genre" has no such value. Did you mean the enum value "NOVEL"?', 'genre'],
    ['an enum that is no text', 'query A($genre: Genre) { shelf(genre: $genre) }', { genre: ['hunter2; hunter2'] }, 'Variable "$genre" got an invalid value; Enum "Genre" cannot represent non-string value.', 'genre'],
  ])('repeat no value of a variable: %s', async (_what, query, variables, message, field) => {
    expect(await errorsOf(query, { variables })).toMatchObject([{ message, extensions: { code: 'INVALID_INPUT', field } }]);
  });

  test.each([
    ['a text', '{ fail(how: ["hunter2; hunter2"]) }', 'String cannot represent a non string value.'],
    ['a number', '{ nothing(required: "hunter2") }', 'Int cannot represent non-integer value.'],
    ['an enum', '{ shelf(genre: hunter2) }', 'The enum "Genre" has no such value.'],
    ['an enum, near to one of its names', '{ shelf(genre: NOVELL) }', 'The enum "Genre" has no such value. Did you mean the enum value "NOVEL"?'],
    ['an enum that is written as a text', '{ shelf(genre: "NOVEL") }', 'Enum "Genre" cannot represent non-enum value. Did you mean the enum value "NOVEL"?'],
    ['an object', 'mutation { addBook(input: "hunter2; hunter2") { book { id } } }', 'Expected value of type "AddBookInput!".'],
    ['null', 'mutation { addBook(input: null) { book { id } } }', 'Expected value of type "AddBookInput!", found null.'],
    ['a text where none belongs', '{ fail(how "hunter2") }', 'Syntax Error: Expected ":", found String.'],
  ])('repeat no value of a document: %s', async (_what, query, message) => {
    const [error] = await errorsOf(query, { token: 'ann' });
    expect(error).toMatchObject({ message, locations: [{ line: 1 }] });
  });

  test('repeat no literal that turns out wrong when it is executed', async () => {
    const query = 'mutation A($title: String = "a") { addBook(input: { title: $title, parts: [4242] }) { book { id } } }';
    const { body } = await post(fixture.url, query, { token: 'ann', variables: { title: null } });
    expect(body.errors?.[0]).toMatchObject({ message: 'Argument "input" has an invalid value.', extensions: { code: 'INVALID_INPUT', field: 'input' } });
  });

  const cases: [what: string, query: string, options: PostOptions, expected: object][] = [
    ['a document that is none', '{ hello', {}, { code: 'GRAPHQL_SYNTAX', fault: 'USER' }],
    ['a document in JSON', '{"kind": "Document", "definitions": []}', {}, { code: 'GRAPHQL_SYNTAX' }],
    ['an empty map', '{}', {}, { code: 'GRAPHQL_SYNTAX' }],
    ['null', 'null', {}, { code: 'GRAPHQL_SYNTAX' }],
    ['an unknown field', '{ nonsense }', {}, { code: 'GRAPHQL_VALIDATION' }],
    ['an unused variable', 'query A($a: Int) { hello }', {}, { code: 'GRAPHQL_VALIDATION' }],
    ['cyclic fragments', '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }', {}, { code: 'GRAPHQL_VALIDATION' }],
    ['an operation that is not there', 'query A { hello }', { operationName: 'B' }, { code: 'GRAPHQL_OPERATION' }],
    ['two operations and no name', 'query A { hello } query B { hello }', {}, { code: 'GRAPHQL_OPERATION' }],
    ['only fragments', 'fragment A on Query { hello }', {}, { code: 'GRAPHQL_VALIDATION' }],
    ['a name that none can have', '{ hello }', { operationName: 'A\n{ hello }' }, { code: 'GRAPHQL_OPERATION' }],
    ['a subscription over HTTP', 'subscription { ticks }', { token: 'ann' }, { code: 'GRAPHQL_OPERATION' }],
    ['a missing variable', 'query A($x: Int!) { nothing(required: $x) }', {}, { code: 'INVALID_INPUT', field: 'x' }],
    ['a wrong variable', 'query A($x: Int!) { nothing(required: $x) }', { variables: { x: 'one' } }, { code: 'INVALID_INPUT', field: 'x' }],
    ['null where a default stood', 'query A($x: Int = 5) { nothing(required: $x) }', { variables: { x: null } }, { code: 'INVALID_INPUT', field: 'required' }],
    [
      'a wrong field deep in a variable',
      'mutation A($input: AddBookInput!) { addBook(input: $input) { book { id } } }',
      { token: 'ann', variables: { input: { title: 'a', parts: [1, 2, 'x'] } } },
      { code: 'INVALID_INPUT', field: 'input.parts.2' },
    ],
    [
      'a missing field of a variable',
      'mutation A($input: AddBookInput!) { addBook(input: $input) { book { id } } }',
      { token: 'ann', variables: { input: {} } },
      { code: 'INVALID_INPUT', field: 'input.title' },
    ],
    [
      'a field that a variable has not',
      'mutation A($input: AddBookInput!) { addBook(input: $input) { book { id } } }',
      { token: 'ann', variables: { input: { title: 'a', colour: 'red' } } },
      { code: 'INVALID_INPUT', field: 'input.colour' },
    ],
    [
      'U+0000 deep in a variable',
      'mutation A($input: AddBookInput!) { addBook(input: $input) { book { id } } }',
      { token: 'ann', variables: { input: { title: 'a', parts: ['b', 'c\0d'] } } },
      { code: 'INVALID_INPUT', field: 'input.parts.1' },
    ],
    ['half a surrogate pair', 'query A($x: Int!) { nothing(required: $x) }', { variables: { x: '\ud83d' } }, { code: 'INVALID_INPUT', field: 'x' }],
    ['U+0000 in a key', 'query A($x: Int!) { nothing(required: $x) }', { variables: { x: { '\0': 1 } } }, { code: 'INVALID_INPUT', field: 'x' }],
    [
      'an unknown enum value',
      'mutation A($input: AddBookInput!) { addBook(input: $input) { book { id } } }',
      { token: 'ann', variables: { input: { title: 'a', genre: 'DRAMA' } } },
      { code: 'INVALID_INPUT', field: 'input.genre' },
    ],
  ];
  test.each(cases)('%s', async (_what, query, options, expected) => {
    const errors = await errorsOf(query, options);
    expect(errors[0]?.extensions).toMatchObject(expected);
  });

  test.each([
    ['', 'x'],
    ['\\u0000', `x${'.0'.repeat(200_000)}`],
  ])('bear variables that are nested deeper than the stack, with %j inside', async (text, field) => {
    const nested = `${'['.repeat(200_000)}"${text}"${']'.repeat(200_000)}`;
    const response = await fetch(fixture.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"query":"query A($x: Int!) { nothing(required: $x) }","variables":{"x":${nested}}}`,
    });
    const body = (await response.json()) as FixtureAnswer;
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field });
  });

  test('say where a document is wrong', async () => {
    const [error] = await errorsOf('{ hello\n  nonsense }');
    expect(error).toMatchObject({ message: expect.stringContaining('nonsense') as string, locations: [{ line: 2, column: 3 }] });
  });

  test('say that hashes are not enough', async () => {
    const extensions = { persistedQuery: { version: 1, sha256Hash: 'abc' } };
    const response = await fetch(fixture.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ extensions }),
    });
    const body = (await response.json()) as FixtureAnswer;
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'PERSISTED_QUERY_NOT_SUPPORTED' });
  });

  test.each([
    ['a batch', '[{"query":"{ hello }"}]', 'application/json', 400],
    ['no JSON', '{"query', 'application/json', 400],
    ['JSON that poisons prototypes', '{"query":"{ hello }","__proto__":{"a":1}}', 'application/json', 400],
    ['a form', 'query={hello}', 'application/x-www-form-urlencoded', 415],
    ['a text', '{ hello }', 'text/plain', 415],
    ['a document alone', '{ hello }', 'application/graphql', 415],
    ['2 MB', `{"query":"${' '.repeat(2_000_000)}"}`, 'application/json', 413],
  ])('of the transport: %s', async (_what, body, type, status) => {
    const response = await fetch(fixture.url, { method: 'POST', headers: { 'content-type': type }, body });
    expect(response.status).toBe(status);
    const answer = (await response.json()) as FixtureAnswer;
    expect(answer.errors?.[0]?.extensions).toMatchObject({ code: 'GRAPHQL_REQUEST', fault: 'USER', retryable: false });
    expect(answer).not.toHaveProperty('data');
  });

  test('a mutation over GET is refused, also when a query of the same document was compiled', async () => {
    const document = 'query Read { hello } mutation Write { addBook(input: { title: "x" }) { book { title } } }';
    const headers = { authorization: 'Bearer ann' };
    const ask = (operationName: string): Promise<Response> =>
      fetch(`${fixture.url}?query=${encodeURIComponent(document)}&operationName=${operationName}`, { headers });
    for (let round = 0; round < 10; round += 1) {
      expect((await ask('Read')).status).toBe(200);
      const refused = await ask('Write');
      expect(refused.status).toBe(405);
      expect(refused.headers.get('allow')).toBe('POST');
    }
    // The same text by POST runs the operation asked for, compiled or not.
    for (let round = 0; round < 10; round += 1) {
      const written = await post(fixture.url, document, { token: 'ann', operationName: 'Write' });
      expect(written.body).toEqual({ data: { addBook: { book: { title: 'x' } } } });
      const read = await post(fixture.url, document, { operationName: 'Read' });
      expect(read.body).toEqual({ data: { hello: 'hello' } });
    }
  });
});
