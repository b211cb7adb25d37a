import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SYSTEM_SCOPE_ID } from '#scopes';
import type { ApiClient } from '../support/client.js';
import { startSystem, type System } from '../support/system.js';

/** An account that is about to lose what it may do. */
interface Brief {
  principalId: string;
  token: string;
  tokenId: string;
  roleBindingId: string;
}

describe('api and worker as separate processes', () => {
  let system: System;

  beforeAll(async () => {
    system = await startSystem({ apis: 2, workers: 1, environment: { MUON_SHUTDOWN_DELAY_MS: '2000' } });
  });
  afterAll(() => system.close());

  it('run on the pinned Node', async () => {
    const ready = (): string | undefined => {
      const lines = (system.workers[0]?.log.join('') ?? '').split('\n').filter((line) => line.includes('the worker is ready'));
      return lines.map((line) => (JSON.parse(line) as { node: string }).node)[0];
    };
    await expect.poll(ready).toBe('v24.21.0');
  });

  it('know the owner by the bootstrap token, and nobody else', async () => {
    const { viewer } = await system.owner.request<{ viewer: { name: string } }>('{ viewer { name bindings { role } } }');
    expect(viewer.name).toBe('owner');
    expect(await system.owner.as(null).refusal('{ viewer { name } }')).toMatchObject({ extensions: { code: 'UNAUTHENTICATED' } });
    const forged = `muon_${'0'.repeat(26)}_${'A'.repeat(43)}`;
    expect(await system.owner.as(forged).refusal('{ viewer { name } }')).toMatchObject({ extensions: { code: 'UNAUTHENTICATED' } });
  });

  it('answer an idempotency key the same on both apis', async () => {
    const mutation = 'mutation ($name: String!) { createServiceAccount(input: { name: $name }) { principal { id name } } }';
    const headers = { 'idempotency-key': 'processes-1' };
    const first = await system.owner.request<{ createServiceAccount: { principal: { id: string } } }>(mutation, { name: 'robot' }, headers);
    const other = system.client(system.owner.token, 1);
    const second = await other.request<typeof first>(mutation, { name: 'robot' }, headers);
    expect(second.createServiceAccount.principal.id).toBe(first.createServiceAccount.principal.id);
    expect(await other.refusal(mutation, { name: 'other' }, headers)).toMatchObject({ extensions: { code: 'IDEMPOTENCY_KEY_REUSED' } });
  });

  it.each([
    ['a revoked token', ({ tokenId }: Brief): [string, string] => ['mutation ($id: ID!) { revokeApiToken(input: { id: $id }) { tokenId } }', tokenId]],
    ['a removed binding', ({ roleBindingId }: Brief): [string, string] => ['mutation ($id: ID!) { revokeRole(input: { id: $id }) { roleBindingId } }', roleBindingId]],
    ['a disabled principal', ({ principalId }: Brief): [string, string] => ['mutation ($id: ID!) { disablePrincipal(input: { id: $id }) { principal { id } } }', principalId]],
  ] as const)('stop serving %s within a second, on both apis, open sockets included', async (title, end) => {
    const brief = await briefAccount(title.replaceAll(' ', '-'));
    const clients = [0, 1].map((api) => system.client(brief.token, api));
    const shown = async (client: ApiClient): Promise<number> => {
      const { data } = await client.post('{ principals { nodes { id } } }');
      return (data as { principals: { nodes: unknown[] } } | null)?.principals.nodes.length ?? 0;
    };
    for (const client of clients) expect(await shown(client)).toBeGreaterThan(0);
    const opened = clients.map((client) => {
      const socket = client.socket();
      const closed = new Promise<number>((resolve) => socket.on('closed', (event) => resolve((event as { code: number }).code)));
      const connected = new Promise<void>((resolve) => socket.on('connected', () => resolve()));
      socket.subscribe({ query: 'subscription { events { cursor } }' }, { next: () => undefined, error: () => undefined, complete: () => undefined });
      return { closed, connected };
    });
    await Promise.all(opened.map(({ connected }) => connected));
    const [mutation, id] = end(brief);
    await system.owner.request(mutation, { id });
    expect(await Promise.all(opened.map(({ closed }) => closed))).toEqual([4403, 4403]);
    for (const client of clients) await expect.poll(() => shown(client), { timeout: 1500 }).toBe(0);
  });

  it('end cleanly when asked to', async () => {
    expect(await system.workers[0]?.stop()).toBe(0);
    const [, api] = system.apis;
    const stopped = api?.stop();
    // A balancer sees it before it is closed, and until then nobody is turned away.
    await expect.poll(async () => (await fetch(`${api?.url}/readyz`)).status, { interval: 20 }).toBe(503);
    await system.client(system.owner.token, 1).request('{ eventCursor }');
    expect(await stopped).toBe(0);
  });

  async function briefAccount(name: string): Promise<Brief> {
    const made = await system.owner.request<{ createServiceAccount: { principal: { id: string } } }>(
      'mutation ($name: String!) { createServiceAccount(input: { name: $name }) { principal { id } } }',
      { name },
    );
    const principalId = made.createServiceAccount.principal.id;
    const { createApiToken, grantRole } = await system.owner.request<{ createApiToken: { tokenId: string; token: string }; grantRole: { roleBindingId: string } }>(
      `mutation ($id: ID!, $scope: ID!) {
        grantRole(input: { principalId: $id, scopeId: $scope, role: VIEWER }) { roleBindingId }
        createApiToken(input: { principalId: $id, name: "t1" }) { tokenId token }
      }`,
      { id: principalId, scope: SYSTEM_SCOPE_ID },
    );
    return { principalId, ...createApiToken, ...grantRole };
  }
});
