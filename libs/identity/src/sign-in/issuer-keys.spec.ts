import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authenticator, CommandRunner, IssuerKeys, IssuerService, STRICT_POLICY, TokenSignIn, TokenVerifier, type Access, type IssuerKeysOptions } from '#identity';
import { newTenant, signInBench, systemAccess, TEST_AUDIENCE, TEST_ORIGIN, type SignInBench, type TestIssuer } from '#testing';

let bench: SignInBench;
beforeAll(async () => {
  bench = await signInBench();
});
afterAll(() => bench.close());

const signIn = (process: Authenticator, token: string): Promise<Access> => process.authenticate(token, TEST_ORIGIN);
const asked = (server: TestIssuer, path: string): number => server.requests.filter((each) => each === path).length;

describe('the keys of an issuer', () => {
  it('are read once for all tokens, and again for a key that is not known', async () => {
    const { server } = await bench.issuer();
    const process = await bench.process({ coolDownMs: 0 });
    for (const sub of ['a', 'b', 'c']) await signIn(process, await server.token({ sub }));
    expect(asked(server, '/jwks')).toBe(1);
    const old = await server.token({ sub: 'old' });
    await server.rotate('RS256');
    await signIn(process, await server.token({ sub: 'd' }));
    expect(asked(server, '/jwks')).toBe(2);
    expect(asked(server, '/.well-known/openid-configuration')).toBe(1);
    // What is signed by the key that was withdrawn holds no more.
    await expect(signIn(process, old)).rejects.toMatchObject({ data: { reason: 'KEY' } });
  });

  it('are read by one request for many tokens at once, also while they rotate', async () => {
    const { server } = await bench.issuer();
    const process = await bench.process({ coolDownMs: 0 });
    await signIn(process, await server.token());
    await server.rotate();
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, index) => server.token({ sub: `s${index}` })));
    await Promise.all(tokens.map((token) => signIn(process, token)));
    expect(asked(server, '/jwks')).toBe(2);
  });

  it('are not read for every token with a key that nobody has', async () => {
    const { server } = await bench.issuer();
    const process = await bench.process();
    for (let round = 0; round < 10; round += 1) {
      const forged = await server.token({ sub: `s${round}` }, { header: { kid: `unknown-${round}` } });
      await expect(signIn(process, forged)).rejects.toMatchObject({ data: { reason: 'KEY' } });
    }
    expect(asked(server, '/jwks')).toBe(1);
  });

  it.each<[string, NonNullable<TestIssuer['answer']>]>([
    ['fails', (_request, response) => response.writeHead(500).end()],
    ['answers what is no JSON', (_request, response) => response.end('<html>')],
    ['answers what is no key set', (_request, response) => response.end('{"keys":"none"}')],
    ['answers without an end', (_request, response) => {
      response.writeHead(200);
      const more = setInterval(() => response.write('x'.repeat(65_536)), 1);
      response.once('close', () => clearInterval(more));
    }],
    ['leads elsewhere', (request, response) => response.writeHead(302, { location: `http://${request.headers.host ?? ''}/jwks` }).end()],
    ['hangs up', (request) => request.socket.destroy()],
  ])('cannot be had from one that %s: UNAVAILABLE, to be tried again, and it is left alone for a while', async (_what, answer) => {
    const { server } = await bench.issuer();
    server.answer = answer;
    const process = await bench.process();
    const token = await server.token();
    const refusal = { code: 'UNAVAILABLE', retryable: true, message: 'The issuer of this token cannot be asked for its keys now; try again.' };
    await expect(signIn(process, token)).rejects.toMatchObject(refusal);
    const before = server.requests.length;
    for (let round = 0; round < 5; round += 1) await expect(signIn(process, token)).rejects.toMatchObject(refusal);
    expect(server.requests.length - before).toBeLessThanOrEqual(1);
    server.answer = undefined;
    await expect.poll(async () => (await signIn(process, token).catch(() => undefined))?.principal.name, { timeout: 10_000 }).toBe('ann');
  });

  it('of one that hangs keep nobody else waiting, and only so many of a scope are waited for', async () => {
    const tenant = await newTenant(bench.room.database);
    const process = await bench.process();
    const held: (() => void)[] = [];
    const hanging = async (number: number): Promise<unknown> => {
      const { server } = await bench.issuer({ scopeId: tenant.id, name: `hanging-${number}` });
      server.answer = (_request, response) => void held.push(() => response.writeHead(500).end());
      const token = await server.token();
      return signIn(process, token).catch((error: unknown) => error);
    };
    const waiting = [1, 2, 3, 4].map((number) => hanging(number));
    await expect.poll(() => held.length).toBe(4);
    expect(await hanging(5)).toMatchObject({ code: 'UNAVAILABLE' });
    const { server: good } = await bench.issuer();
    expect((await signIn(process, await good.token())).principal.name).toBe('ann');
    expect(held).toHaveLength(4);
    for (const release of held) release();
    for (const refused of await Promise.all(waiting)) expect(refused).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('of the system are read however many tenants’ issuers hang', async () => {
    const process = await bench.process();
    const held: (() => void)[] = [];
    const { server: hanging } = await bench.issuer({ scopeId: (await newTenant(bench.room.database)).id, name: 'hanging', audience: 'none' });
    hanging.answer = (_request, response) => void held.push(() => response.writeHead(500).end());
    const waiting: Promise<unknown>[] = [];
    const ask = async (scopeId: string, aud: string): Promise<unknown> => {
      await bench.issuers.create(systemAccess(), { scopeId, name: aud, url: hanging.url, audience: aud });
      const token = await hanging.token({ aud });
      return signIn(process, token).catch((error: unknown) => error);
    };
    for (let tenants = 0; tenants < 8; tenants += 1) {
      const { id } = await newTenant(bench.room.database);
      for (let issuers = 0; issuers < 4; issuers += 1) waiting.push(ask(id, `hanging-${tenants}-${issuers}`));
    }
    await expect.poll(() => held.length).toBe(32);
    expect(await ask((await newTenant(bench.room.database)).id, 'one-more')).toMatchObject({ code: 'UNAVAILABLE' });
    const { server: good } = await bench.issuer();
    expect((await signIn(process, await good.token())).principal.name).toBe('ann');
    expect(held).toHaveLength(32);
    for (const release of held) release();
    for (const refused of await Promise.all(waiting)) expect(refused).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('are those of the discovery document only if it speaks of this issuer', async () => {
    const { server } = await bench.issuer();
    server.answer = (_request, response) => response.end(JSON.stringify({ issuer: 'https://other.example', jwks_uri: `${server.url}/jwks` }));
    await expect(signIn(await bench.process(), await server.token())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(asked(server, '/jwks')).toBe(0);
  });
});

describe('an issuer of a tenant', () => {
  /** As a process that is configured so, over an issuer's row as somebody may have put it there. */
  async function attempt(url: string, options: IssuerKeysOptions, jwksUri: string | null = null): Promise<unknown> {
    const tenant = await newTenant(bench.room.database);
    const { server, id } = await bench.issuer({ scopeId: tenant.id });
    await bench.room.database.dataSource.query('UPDATE issuer SET url = $1, jwks_uri = $2, version = version + 1 WHERE id = $3', [url, jwksUri, id]);
    const database = await bench.room.another();
    const signs = new TokenSignIn(database, new TokenVerifier(database, new IssuerKeys(options)));
    return signIn(new Authenticator(database, { signIn: signs }), await server.token({ iss: url })).catch((error: unknown) => error);
  }

  it.each([
    'http://127.0.0.1:1', 'https://127.0.0.1:1', 'https://[::1]', 'https://[::ffff:127.0.0.1]', 'https://169.254.169.254', 'https://10.0.0.1', 'https://2130706433',
    'https://0x7f.1', 'https://0.0.0.0', 'https://[fd00::1]', 'https://[64:ff9b::7f00:1]', 'https://[::127.0.0.1]', 'https://[2002:7f00:1::]', 'https://100.64.0.1', 'file:///etc/passwd', 'https://user@example.com',
  ])('is never asked at %s', async (url) => {
    expect(await attempt(url, { policy: STRICT_POLICY })).toMatchObject({ code: 'UNAVAILABLE' });
    const tenant = await newTenant(bench.room.database);
    const service = new IssuerService(new CommandRunner(bench.room.database, bench.room.applier, bench.room.log), STRICT_POLICY);
    for (const input of [{ url }, { url: 'https://issuer.example', jwksUri: url }]) {
      await expect(service.create(systemAccess(), { scopeId: tenant.id, name: 'inside', audience: TEST_AUDIENCE, ...input })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        field: 'jwksUri' in input ? 'input.jwksUri' : 'input.url',
      });
    }
  });

  it('is not connected to when its name leads inside, whatever the name said before', async () => {
    let connections = 0;
    const inside = createServer().on('connection', () => (connections += 1)).listen(0, '127.0.0.1');
    await once(inside, 'listening');
    const { port } = inside.address() as AddressInfo;
    const names: string[] = [];
    const resolve: IssuerKeysOptions['resolve'] = async (host) => {
      names.push(host);
      return [{ address: '203.0.113.1', family: 4 }, { address: '127.0.0.1', family: 4 }];
    };
    for (const url of [`https://rebind.example:${port}`, `https://localhost:${port}`]) {
      expect(await attempt(url, { policy: STRICT_POLICY, resolve })).toMatchObject({ code: 'UNAVAILABLE' });
    }
    expect(names).toEqual(['rebind.example', 'localhost']);
    expect(connections).toBe(0);
    // The same address is let in when the operator says so.
    await attempt(`https://inside.example:${port}`, {
      policy: { loopbackHttp: false, privateNetworks: ['127.0.0.0/8'] },
      resolve: async () => [{ address: '127.0.0.1', family: 4 }],
    });
    expect(connections).toBe(1);
    inside.closeAllConnections();
    inside.close();
  });

  it('may not lead inside by its discovery document either', async () => {
    const tenant = await newTenant(bench.room.database);
    const { server } = await bench.issuer({ scopeId: tenant.id });
    server.answer = (_request, response) => response.end(JSON.stringify({ issuer: server.url, jwks_uri: 'http://169.254.169.254/latest' }));
    await expect(signIn(await bench.process(), await server.token())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
