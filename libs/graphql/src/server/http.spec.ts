import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { post, startFixture, type FixtureApp } from '../fixture/app.js';

let fixture: FixtureApp;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.app.close());

describe('GraphQL over HTTP', () => {
  // Three times over, so that the documents of the last round are compiled.
  test.each([1, 2, 3])('passes all audits, round %i', async () => {
    const audits = serverAudits({ url: fixture.url });
    expect(audits).toHaveLength(61);
    const results = await Promise.all(audits.map(({ fn }) => fn()));
    const notOk = results.filter(({ status }) => status !== 'ok');
    expect(notOk.map(({ id, name, status }) => `${id} ${name}: ${status}`)).toEqual([]);
  });

  test('compiles what comes often, and reads plain fields without a function of Nest', async () => {
    const ask = async (): Promise<unknown> => (await post(fixture.url, '{ probe { isCompiled } }')).body.data;
    expect(await ask()).toEqual({ probe: { isCompiled: false } });
    await vi.waitFor(async () => expect(await ask()).toEqual({ probe: { isCompiled: true } }), 5000);
  });
});
