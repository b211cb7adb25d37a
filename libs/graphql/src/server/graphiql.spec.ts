import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFixture, type FixtureApp } from '../fixture/app.js';

describe('GraphiQL', () => {
  let fixture: FixtureApp;
  let html: string;
  let response: Response;
  beforeAll(async () => {
    fixture = await startFixture({ graphiql: { token: 'developer.token-1', defaultQuery: '{ __typename }' } });
    response = await fetch(fixture.url.replace('/graphql', '/graphiql'));
    html = await response.text();
  });
  afterAll(() => fixture.app.close());

  test('is one page that loads nothing from elsewhere', () => {
    expect(response.status).toBe(200);
    expect(html).toContain('YogaGraphiQL.renderYogaGraphiQL');
    const markup = html.replaceAll(/<script>[^]*?<\/script>/g, '').replaceAll(/<style>[^]*?<\/style>/g, '');
    expect(markup.replaceAll(/"data:[^"]*"/g, '').length).toBeLessThan(2000);
    expect([...markup.matchAll(/(?:src|href)="(?!data:)[^"]*"/g)].map(([attribute]) => attribute)).toEqual([]);
    expect(markup).not.toMatch(/https?:\/\//);
    expect([...html.matchAll(/<(?:script|link|iframe|img)\b[^>]*(?:src|href)="?https?:/g)].map(([tag]) => tag)).toEqual([]);
    const styles = [...html.matchAll(/<style>([^]*?)<\/style>/g)].map(([, style]) => style).join('');
    expect([...styles.matchAll(/@import|url\(["']?(?!data:|#)[^)]{0,80}/g)].map(([load]) => load)).toEqual([]);
  });

  test('is held to that by its policy, which names its own script', () => {
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/https?:|\*|unsafe-eval/);
    const scripts = [...html.matchAll(/<script>([^]*?)<\/script>/g)].map(([, script]) => script ?? '');
    expect(scripts).toHaveLength(1);
    const hash = createHash('sha256').update(scripts[0] ?? '').digest('base64');
    expect(policy).toContain(`script-src 'sha256-${hash}'`);
  });

  test('has the token in its headers, the endpoint, and sockets for subscriptions', () => {
    const options = /renderYogaGraphiQL\(\s*window\.document\.querySelector\('#root'\),\s*(\{[^]*?\}),\s*\);/.exec(html)?.[1] ?? '';
    const { headers, ...others } = JSON.parse(options) as Record<string, string>;
    const credential = { Authorization: 'Bearer developer.token-1' };
    expect(JSON.parse(headers ?? '')).toEqual(credential);
    expect(others).toEqual({ title: 'Muon GraphiQL', endpoint: '/graphql', subscriptionsProtocol: 'WS', defaultQuery: '{ __typename }', connectionParams: credential });
    expect(html).toContain('buildWSExecutor(e,o,s?.connectionParams)');
  });

  test('gives the token to nobody whose name merely leads here', async () => {
    const tells = async (host: string): Promise<boolean> => {
      const [answer] = (await once(get(fixture.url.replace('/graphql', '/graphiql'), { headers: { host } }), 'response')) as [IncomingMessage];
      return (await text(answer)).includes('developer.token-1');
    };
    for (const host of ['evil.example', 'evil.example:8080', '127.0.0.1.evil.example', 'localhost.evil.example:80']) expect(await tells(host), host).toBe(false);
    for (const host of ['127.0.0.1:8080', 'localhost:8080', '[::1]:8080']) expect(await tells(host), host).toBe(true);
  });

  test('takes no token that could break out of the page', async () => {
    await expect(startFixture({ graphiql: { token: '</script>' } })).rejects.toThrow('no bearer token');
  });
});

test('without being asked for there is no GraphiQL', async () => {
  const { app, url } = await startFixture();
  expect((await fetch(url.replace('/graphql', '/graphiql'))).status).toBe(404);
  await app.close();
});
