import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSystem, type System } from '../support/system.js';

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
    await expect.poll(ready, { timeout: 5000 }).toBe('v24.21.0');
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

  it('stop knowing a revoked token within a second, on both apis, open sockets included', async () => {
    const made = await system.owner.request<{ createServiceAccount: { principal: { id: string } } }>(
      'mutation { createServiceAccount(input: { name: "brief" }) { principal { id } } }',
    );
    const principalId = made.createServiceAccount.principal.id;
    const { createApiToken } = await system.owner.request<{ createApiToken: { tokenId: string; token: string } }>(
      'mutation ($id: ID!) { createApiToken(input: { principalId: $id, name: "t1" }) { tokenId token } }',
      { id: principalId },
    );
    const clients = [0, 1].map((api) => system.client(createApiToken.token, api));
    for (const client of clients) await client.request('{ eventCursor }');
    const closed = new Promise<number>((resolve) => {
      const socket = clients[1]?.socket();
      socket?.on('closed', (event) => resolve((event as { code: number }).code));
      socket?.subscribe({ query: 'subscription { events { cursor } }' }, { next: () => undefined, error: () => undefined, complete: () => undefined });
      socket?.on('connected', () => {
        void system.owner.request('mutation ($id: ID!) { revokeApiToken(input: { id: $id }) { tokenId } }', { id: createApiToken.tokenId });
      });
    });
    expect(await closed).toBe(4403);
    for (const client of clients) {
      await expect.poll(async () => (await client.post('{ eventCursor }')).errors[0]?.extensions.code, { timeout: 1500 }).toBe('UNAUTHENTICATED');
    }
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
});
