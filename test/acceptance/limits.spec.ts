import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSystem, type System } from '../support/system.js';
import type { ApiClient } from '../support/client.js';

describe('limits on two apis', () => {
  let system: System;

  beforeAll(async () => {
    system = await startSystem({ apis: 2, workers: 1, environment: { MUON_PRINCIPAL_BUDGET: '3000', MUON_FAILED_SIGN_INS: '5', MUON_TRUSTED_PROXIES: '127.0.0.0/8' } });
  });
  afterAll(() => system.close());

  async function newCaller(name: string): Promise<ApiClient[]> {
    const made = await system.owner.request<{ createServiceAccount: { principal: { id: string } } }>(
      'mutation ($name: String!) { createServiceAccount(input: { name: $name }) { principal { id } } }',
      { name },
    );
    const { createApiToken } = await system.owner.request<{ createApiToken: { token: string } }>(
      'mutation ($id: ID!) { createApiToken(input: { principalId: $id, name: "t1" }) { token } }',
      { id: made.createServiceAccount.principal.id },
    );
    return [0, 1].map((api) => system.client(createApiToken.token, api));
  }

  it('let a principal ask for its budget, whichever it asks, and then say when there is more', async () => {
    const clients = await newCaller('greedy');
    let asked = 0;
    let refusal: Response | undefined;
    while (refusal === undefined && asked < 600) {
      const client = clients[asked % 2] as ApiClient;
      const response = await fetch(`${client.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${client.token ?? ''}` },
        body: JSON.stringify({ query: '{ eventCursor }' }),
      });
      if (response.status === 429) refusal = response;
      else asked += 1;
    }
    // Eleven each; a second budget where the minute turned meanwhile.
    expect(asked).toBeGreaterThan(200);
    if (refusal === undefined) throw new Error(`${asked} requests were let in`);
    const { errors } = (await refusal.json()) as { errors: { extensions: { code: string; data: Record<string, unknown> } }[] };
    expect(Number(refusal.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(errors[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', data: { limit: 3000, windowSeconds: 60, resets: expect.any(String) as string } });
    // Others are not touched by it.
    await system.owner.request('{ eventCursor }');
  });

  it('slow down whoever presents what does not hold', async () => {
    const code = async (token: string): Promise<string | undefined> => (await system.client(token, 1).post('{ eventCursor }')).errors[0]?.extensions.code;
    const codes: (string | undefined)[] = [];
    for (let attempt = 0; attempt < 7; attempt += 1) codes.push(await code(`muon_wrong-${attempt}`));
    expect(codes.slice(0, 5)).toEqual(Array(5).fill('UNAUTHENTICATED'));
    expect(codes[6]).toBe('RATE_LIMITED');
    // Another address behind the same balancer is another one.
    const other = await system.client('muon_wrong', 1).post('{ eventCursor }', {}, { 'x-forwarded-for': '192.0.2.7' });
    expect(other.errors[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });
});

describe('a paused system', () => {
  let system: System;

  beforeAll(async () => {
    system = await startSystem({ apis: 2, workers: 0 });
  });
  afterAll(() => system.close());

  const pause = (input: string): Promise<unknown> =>
    system.owner.request(`mutation { pauseSystem(input: ${input}) { systemPause { mutations operations message since } } }`);
  const resume = (): Promise<unknown> => system.owner.request('mutation { resumeSystem(input: {}) { systemPause { message } } }');
  const makeTenant = (name: string, api = 0): ReturnType<ApiClient['post']> =>
    system.client(system.owner.token, api).post('mutation ($name: String!) { onboardTenant(input: { name: $name, owners: [{ name: "ann" }] }) { tenant { id } } }', { name });

  it('refuses mutations on both apis with the message, and reads go on', async () => {
    await pause('{ mutations: true, message: "The rack is being moved." }');
    for (const api of [0, 1]) {
      await expect.poll(async () => (await makeTenant(`t-${api}`, api)).errors[0]?.extensions, { timeout: 1500 }).toMatchObject({
        code: 'SYSTEM_PAUSED',
        data: { message: 'The rack is being moved.' },
      });
      const client = system.client(system.owner.token, api);
      expect(await client.request('{ systemPause { mutations operations message } }')).toEqual({
        systemPause: { mutations: true, operations: false, message: 'The rack is being moved.' },
      });
    }
    expect(await resume()).toEqual({ resumeSystem: { systemPause: null } });
    for (const api of [0, 1]) await expect.poll(async () => (await makeTenant(`r-${api}`, api)).errors, { timeout: 1500 }).toEqual([]);
  });

  it('lets operations wait, and takes them up when it goes on', async () => {
    await pause('{ operations: true, message: "Workers rest." }');
    await system.startWorker();
    const { tenants } = await system.owner.request<{ tenants: { nodes: { id: string }[] } }>('{ tenants { nodes { id } } }');
    const { offboardTenant } = await system.owner.request<{ offboardTenant: { operation: { id: string } } }>(
      'mutation ($id: ID!) { offboardTenant(input: { id: $id }) { operation { id } } }',
      { id: tenants.nodes[0]?.id },
    );
    const state = async (): Promise<string> =>
      (await system.owner.request<{ operation: { state: string } }>('query ($id: ID!) { operation(id: $id) { state } }', { id: offboardTenant.operation.id })).operation.state;
    for (let look = 0; look < 10; look += 1) {
      expect(await state()).toBe('QUEUED');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await resume();
    await expect.poll(state, { timeout: 10_000 }).toBe('SUCCEEDED');
  });
});
