import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OvsdbClient, type ClientEvents, type TlsOptions } from '../index.js';
import { TestAuthority, type TestIdentity } from '../testing/authority.js';
import { ovsdbIsMissing, startServer, type TestServer } from '../testing/ovsdb-server.js';

describe.skipIf(ovsdbIsMissing)('over TLS', () => {
  let ca: TestAuthority;
  let named: { server: TestServer; endpoint: string };
  /** As `ovs-pki` makes it: its certificate holds no name. */
  let nameless: { server: TestServer; endpoint: string };
  let tls: TlsOptions;

  beforeAll(async () => {
    ca = await TestAuthority.create();
    named = await serve('named', await ca.issue('server', ['127.0.0.1']));
    nameless = await serve('nameless', await ca.issue('server'));
    tls = { ca: ca.pem, ...(await ca.issue('client')) };
  });
  afterAll(async () => {
    await Promise.all([named, nameless].map(({ server }) => server.remove()));
    await ca[Symbol.asyncDispose]();
  });

  async function serve(name: string, identity: TestIdentity): Promise<{ server: TestServer; endpoint: string }> {
    const { options, endpoint } = await ca.server(name, identity);
    return { server: await startServer({ options }), endpoint };
  }

  const open = ({ endpoint }: { endpoint: string }, options: TlsOptions): OvsdbClient =>
    new OvsdbClient({ database: 'Play', endpoints: [endpoint], tls: options });
  async function databases(at: { endpoint: string }, options: TlsOptions): Promise<string[]> {
    await using client = open(at, options);
    return await client.databases();
  }
  /** Why the first attempt failed. */
  async function failure(at: { endpoint: string }, options: TlsOptions): Promise<string> {
    await using client = open(at, options);
    const [{ error }] = (await once(client, 'failed')) as ClientEvents['failed'];
    return error.message;
  }

  it('both sides know each other by their certificates', async () => {
    expect(await databases(named, tls)).toEqual(['Play', '_Server']);
  });

  it('refuses a server of another authority', async () => {
    await using stranger = await TestAuthority.create();
    expect(await failure(named, { ...tls, ca: stranger.pem })).toContain('certificate');
  });

  it('refuses a server of another name, unless any name will do', async () => {
    expect(await failure(nameless, tls)).toContain('127.0.0.1');
    expect(await failure(named, { ...tls, serverName: 'db.example.test' })).toContain('db.example.test');
    expect(await databases(nameless, { ...tls, serverName: false })).toEqual(['Play', '_Server']);
  });

  it('is refused by the server without a certificate', async () => {
    expect(await failure(named, { ca: tls.ca as string })).toMatch(/closed|lost|alert/);
  });
});
