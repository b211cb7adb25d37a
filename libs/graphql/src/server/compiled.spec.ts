import { afterAll, beforeAll, expect, test } from 'vitest';
import { post, startFixture, warmUp, type FixtureApp } from '../fixture/app.js';
import { bookId } from '../fixture/resolvers.js';

/** A compiled query must answer as GraphQL.js itself does, which runs a document the first times. */
let fixture: FixtureApp;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.app.close());

/** Numbers that look random and are the same in every run. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A document with fragments, aliases and merged fields in random places, and conditions if so wished. */
function randomDocument(seed: number, hasConditions: boolean): string {
  const random = randomNumbers(seed);
  const conditions = hasConditions ? ['', '', ' @skip(if: $a)', ' @include(if: $b)', ' @skip(if: $b) @include(if: $a)'] : [''];
  const condition = (): string => conditions[random(conditions.length)] ?? '';
  const selections = (parts: (() => string)[]): string => Array.from({ length: 2 + random(4) }, () => parts[random(parts.length)]?.()).join(' ');
  const author = (): string => selections([() => `name${condition()}`, () => `alias: name${condition()}`, () => `... ${condition()} { name }`]);
  const book = (depth: number): string =>
    selections([
      () => `id${condition()}`,
      () => `title${condition()}`,
      () => `sold${condition()}`,
      () => `__typename${condition()}`,
      () => `author${condition()} { ${author()} }`,
      () => `writer: author${condition()} { ${author()} }`,
      () => `...${['One', 'Two'][random(2)]}${condition()}`,
      () => (depth > 0 ? `... on Book${condition()} { ${book(depth - 1)} }` : 'published'),
    ]);
  const list = (): string => `${['books', 'more: books'][random(2)]}(first: 2)${condition()} { nodes { ${book(2)} } edges${condition()} { node { ${book(1)} } } totalCount }`;
  const node = (): string => `node(id: "${bookId(3)}")${condition()} { id ... on Node${condition()} { id } ... on Book${condition()} { ${book(1)} } }`;
  const variables = hasConditions ? '($a: Boolean!, $b: Boolean = true)' : '';
  const used = hasConditions ? 'used: hello @skip(if: $a) @include(if: $b)' : '';
  return `query Random${variables} { probe { isCompiled } ${used} ${list()} ${list()} ${node()} ${node()} ...Root }
    fragment Root on Query { hello${condition()} ${node()} books(first: 2) { nodes { ...One } } }
    fragment One on Book { id title${condition()} ...Two }
    fragment Two on Book { sold author { name${condition()} } }`;
}

interface Answer {
  data: { probe: { isCompiled: boolean } };
}

test.each([
  ['compiled, answers as when it is interpreted', false, [{}]],
  ['with conditions, is not compiled, and answers rightly', true, [{ a: true }, { a: false }, { a: true, b: false }, { a: false, b: false }]],
])('a document that comes often is %s', async (_what, hasConditions, variables) => {
  for (let seed = 1; seed <= 15; seed += 1) {
    const query = randomDocument(seed, hasConditions);
    const ask = async (text: string, given: object): Promise<Answer> =>
      (await post(fixture.url, text, { token: 'ann', variables: { ...given } })).body as unknown as Answer;
    await warmUp(fixture.url, query, { token: 'ann', variables: { ...variables[0] } });
    // A busy process puts compiling off.
    const isCompiled = async (): Promise<boolean> => (await ask(query, variables[0] ?? {})).data.probe.isCompiled;
    await expect.poll(isCompiled, { timeout: 10_000, interval: 50 }).toBe(!hasConditions);
    for (const [count, given] of variables.entries()) {
      // A comment makes it another document, which is not asked for often enough.
      const interpreted = await ask(`${query} # ${count}`, given);
      const answer = await ask(query, given);
      expect(interpreted).not.toHaveProperty('errors');
      expect(interpreted.data.probe.isCompiled).toBe(false);
      expect(answer.data.probe.isCompiled).toBe(!hasConditions);
      answer.data.probe.isCompiled = false;
      expect({ query, given, ...answer }).toEqual({ query, given, ...interpreted });
    }
  }
}, 60_000);
