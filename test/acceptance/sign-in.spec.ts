import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '#database';
import { TEST_AUDIENCE, TestIssuer } from '#testing';
import type { ApiClient } from '../support/client.js';
import { startSystem, type System } from '../support/system.js';

describe('signing in by an issuer, on two apis', () => {
  let system: System;
  let issuer: TestIssuer;
  let issuerId: string;

  beforeAll(async () => {
    issuer = await TestIssuer.start();
    system = await startSystem({ apis: 2, workers: 0, environment: { MUON_ISSUER_LOOPBACK_HTTP: 'true' } });
    const { createIssuer } = await system.owner.request<{ createIssuer: { issuer: { id: string } } }>(
      'mutation ($input: CreateIssuerInput!) { createIssuer(input: $input) { issuer { id } } }',
      { input: { name: 'directory', url: issuer.url, audience: TEST_AUDIENCE, clientId: 'muon-cli' } },
    );
    issuerId = createIssuer.issuer.id;
  });
  afterAll(async () => {
    await system.close();
    await issuer.close();
  });

  const clients = (token: string): ApiClient[] => [0, 1].map((api) => system.client(token, api));
  const viewer = async (client: ApiClient): Promise<{ id: string; name: string; email: string | null; issuerId: string | null }> =>
    (await client.request<{ viewer: { id: string; name: string; email: string; issuerId: string } }>('{ viewer { id name email issuerId } }')).viewer;
  const code = async (client: ApiClient): Promise<string | undefined> => (await client.post('{ eventCursor }')).errors[0]?.extensions.code;

  /** The code that the socket of a client is closed with, and a promise that it is open. */
  function watch(client: ApiClient): { opened: Promise<void>; closed: Promise<number> } {
    const socket = client.socket();
    const opened = new Promise<void>((resolve) => void socket.on('connected', () => resolve()));
    const closed = new Promise<number>((resolve) => void socket.on('closed', (event) => resolve((event as { code: number }).code)));
    socket.subscribe({ query: 'subscription { events { cursor } }' }, { next: () => undefined, error: () => undefined, complete: () => undefined });
    return { opened, closed };
  }

  it('makes one principal, who sees nothing but itself', async () => {
    const token = await issuer.token({ sub: 'newcomer', name: 'New Comer', email: 'new@example.com' });
    const [one, two] = await Promise.all(clients(token).map((client) => viewer(client)));
    expect(one).toEqual({ id: one?.id, name: 'New Comer', email: 'new@example.com', issuerId });
    expect(two).toEqual(one);
    for (const made of [
      'createZone(input: { name: "zone-a" }) { zone { id } }',
      'createFlavor(input: { name: "small", cpu: 1, memoryMib: 1024, diskGib: 1 }) { flavor { id } }',
      'createImage(input: { name: "debian", minimumDiskGib: 1, operatingSystem: "debian", reference: "debian/12" }) { image { id } }',
      'createServiceAccount(input: { name: "robot" }) { principal { id } }',
      'onboardTenant(input: { name: "acme", owners: [{ name: "ann" }], project: { name: "web" } }) { tenant { id } }',
    ]) {
      await system.owner.request(`mutation { ${made} }`);
    }
    const lists = await listFields(system.owner);
    expect(lists.length).toBeGreaterThan(10);
    const seen = async (client: ApiClient): Promise<string[]> => {
      const query = `{ ${lists.map((name) => `${name}(first: 5) { nodes { __typename } }`).join(' ')} }`;
      const data = await client.request<Record<string, { nodes: unknown[] }>>(query);
      return lists.filter((name) => (data[name]?.nodes.length ?? 0) > 0);
    };
    expect((await seen(system.owner)).length).toBeGreaterThan(4);
    expect(await seen(system.client(token))).toEqual([]);
    expect(await system.client(token).refusal('mutation { createServiceAccount(input: { name: "mine" }) { principal { id } } }')).toMatchObject({
      extensions: { code: 'NOT_FOUND' },
    });
  });

  it('ends within a second on both when the principal is disabled, sockets included', async () => {
    const token = await issuer.token({ sub: 'leaver' });
    const { id } = await viewer(system.client(token));
    const sockets = clients(token).map((client) => watch(client));
    await Promise.all(sockets.map(({ opened }) => opened));
    const database = await Database.open({ url: system.databaseUrl, rooms: [], poolSize: 1 });
    await database.dataSource.query('UPDATE principal SET disabled_at = now() WHERE id = $1', [id]);
    await database.close();
    expect(await Promise.all(sockets.map(({ closed }) => closed))).toEqual([4403, 4403]);
    for (const client of clients(token)) await expect.poll(() => code(client), { timeout: 1500 }).toBe('UNAUTHENTICATED');
  });

  it('ends the rights of a removed binding, and the sockets that had them', async () => {
    const token = await issuer.token({ sub: 'demoted' });
    const { id } = await viewer(system.client(token));
    const { grantRole } = await system.owner.request<{ grantRole: { roleBindingId: string } }>(
      'mutation ($id: ID!) { grantRole(input: { principalId: $id, scopeId: "sys_00000000000000000000000000", role: OWNER }) { roleBindingId } }',
      { id },
    );
    const sees = async (client: ApiClient): Promise<boolean> =>
      (await client.request<{ principals: { nodes: unknown[] } }>('{ principals { nodes { id } } }')).principals.nodes.length > 0;
    for (const client of clients(token)) await expect.poll(() => sees(client), { timeout: 1500 }).toBe(true);
    const sockets = clients(token).map((client) => watch(client));
    await Promise.all(sockets.map(({ opened }) => opened));
    await system.owner.request('mutation ($id: ID!) { revokeRole(input: { id: $id }) { roleBindingId } }', { id: grantRole.roleBindingId });
    expect(await Promise.all(sockets.map(({ closed }) => closed))).toEqual([4403, 4403]);
    for (const client of clients(token)) await expect.poll(() => sees(client), { timeout: 1500 }).toBe(false);
  });

  it('ends a socket when its token expires', async () => {
    // Within the thirty seconds that clocks may differ by, and about to leave them.
    const token = await issuer.token({ sub: 'brief', exp: Math.floor(Date.now() / 1000) - 27 });
    const { opened, closed } = watch(system.client(token, 1));
    await opened;
    expect(await closed).toBe(4403);
    expect(await system.client(token, 1).refusal('{ eventCursor }')).toMatchObject({ extensions: { code: 'UNAUTHENTICATED', data: { reason: 'EXPIRED' } } });
  });

  it('answers 503 and not 401 while the issuer does not answer', async () => {
    issuer.answer = (_request, response) => response.writeHead(502).end();
    await issuer.rotate();
    const fresh = await system.startApi();
    const { status, errors } = await system.client(await issuer.token({ sub: 'early' }), system.apis.indexOf(fresh)).post('{ viewer { id } }');
    expect({ status, extensions: errors[0]?.extensions }).toMatchObject({ status: 503, extensions: { code: 'UNAVAILABLE', retryable: true, fault: 'ADMIN' } });
    issuer.answer = undefined;
  });

  it('refuses whom nobody trusts any more', async () => {
    const token = await issuer.token({ sub: 'last' });
    await expect.poll(() => code(system.client(token)), { timeout: 15_000 }).toBeUndefined();
    await system.owner.request('mutation ($id: ID!) { updateIssuer(input: { id: $id, enabled: false }) { issuer { enabled } } }', { id: issuerId });
    for (const client of clients(token)) await expect.poll(() => code(client), { timeout: 1500 }).toBe('UNAUTHENTICATED');
  });
});

/** Every list that can be asked for without saying of what. */
async function listFields(client: ApiClient): Promise<string[]> {
  interface Type {
    name: string | null;
    kind: string;
    ofType: Type | null;
  }
  const { __schema: schema } = await client.request<{ __schema: { queryType: { fields: { name: string; type: Type; args: { type: Type; defaultValue: string | null }[] }[] } } }>(
    '{ __schema { queryType { fields { name type { name kind ofType { name kind } } args { defaultValue type { name kind } } } } } }',
  );
  return schema.queryType.fields
    .filter(({ type, args }) => (type.ofType?.name ?? type.name)?.endsWith('Connection') === true && args.every((one) => one.type.kind !== 'NON_NULL' || one.defaultValue !== null))
    .map(({ name }) => name);
}
