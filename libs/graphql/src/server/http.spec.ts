import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post, startFixture, warmUp, type FixtureApp } from '../fixture/app.js';

let fixture: FixtureApp;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.app.close());

const POLL = { timeout: 10_000, interval: 50 };

describe('GraphQL over HTTP', () => {
  // Three times over, so that the documents of the last round are compiled.
  test.each([1, 2, 3])('passes all audits, round %i', async () => {
    const audits = serverAudits({ url: fixture.url });
    expect(audits).toHaveLength(61);
    const results = await Promise.all(audits.map(({ fn }) => fn()));
    const notOk = results.filter(({ status }) => status !== 'ok');
    expect(notOk.map(({ id, name, status }) => `${id} ${name}: ${status}`)).toEqual([]);
  });

  test('compiles what comes often, and then reads plain fields without a function of Nest', async () => {
    const query = '{ probe { isCompiled } }';
    const [first] = await warmUp(fixture.url, query);
    expect(first).toEqual({ data: { probe: { isCompiled: false } } });
    // A busy process puts compiling off.
    await expect.poll(async () => (await post(fixture.url, query)).body, POLL).toEqual({ data: { probe: { isCompiled: true } } });
  });

  test('never keeps more of the documents than it may', async () => {
    const small = await startFixture({ limits: { documentCharacters: 2000 } });
    const query = '{ probe { isCompiled } }';
    await warmUp(small.url, query);
    await expect.poll(async () => (await post(small.url, query)).body, POLL).toEqual({ data: { probe: { isCompiled: true } } });
    // Makes it forget all, the compiled query among them.
    for (let index = 0; index < 3; index += 1) await post(small.url, `{ a${index}: hello } #${'x'.repeat(900)}`);
    expect((await post(small.url, query)).body).toEqual({ data: { probe: { isCompiled: false } } });
    await small.app.close();
  });

  test.each([
    [undefined, 'application/json; charset=utf-8'],
    ['application/json, application/graphql-response+json', 'application/graphql-response+json; charset=utf-8'],
    ['application/graphql-response+json;q=0.5, application/json', 'application/json; charset=utf-8'],
    ['application/graphql-response+json;q=0', 'application/json; charset=utf-8'],
    ['text/html', 'application/json; charset=utf-8'],
  ])('answers to Accept: %s with %s', async (accept, contentType) => {
    const { headers } = await post(fixture.url, '{ hello }', { headers: accept === undefined ? {} : { accept } });
    expect(headers.get('content-type')).toBe(contentType);
    expect(headers.get('cache-control')).toBe('no-store');
  });
});
