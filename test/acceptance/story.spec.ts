import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findCanary } from '#testing';
import { tellStory } from '../../apps/standalone/src/demo/story.js';
import { startSystem, type System } from '../support/system.js';

interface Named {
  nodes: { id: string; name: string }[];
}

describe('the main job, on two apis and two workers', () => {
  let system: System;
  const printed: string[] = [];

  beforeAll(async () => {
    system = await startSystem({ apis: 2, workers: 2 });
    vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
  });
  afterAll(async () => {
    vi.restoreAllMocks();
    await system.close();
  });

  it('goes from bare hosts to nothing left, through the public API', { timeout: 180_000 }, async () => {
    const { url, token } = system.owner;
    await tellStory({ url, token: token ?? '', simulationUrl: system.simulationUrl });
    expect(printed.join('\n')).toContain('12 accepted, 8 refused with QUOTA_EXCEEDED');
    expect(printed.join('\n')).toContain('the cluster has healed itself: 3 of 3 control nodes and 3 of 3 workers ready');
    expect(printed.join('\n')).toContain('no machine, disk, port, load balancer or network of it is left');
    expect(printed.join('\n')).toContain('0 objects of the tenant are left');
  });

  it('keeps every name free and every counter at the sum of its charges', async () => {
    const { tenants } = await system.owner.request<{ tenants: Named }>('{ tenants { nodes { id name } } }');
    expect(tenants.nodes).toEqual([]);
    const metrics = await (await fetch(`${system.apis[1]?.url}/metrics`)).text();
    expect(metrics).toContain('muon_quota_drifted_counters 0');
    expect(metrics).toContain('muon_operations_stuck 0');
  });

  it('lets a subscriber go on at another api where it stopped', async () => {
    const { eventCursor } = await system.owner.request<{ eventCursor: string }>('{ eventCursor }');
    for (const name of ['zone-a', 'zone-b', 'zone-c']) {
      await system.owner.request('mutation ($name: String!) { createZone(input: { name: $name }) { zone { id } } }', { name });
    }
    const watch = async (api: number, from: string, count: number): Promise<{ cursor: string; name: string }[]> => {
      const socket = system.client(system.owner.token, api).socket();
      const seen: { cursor: string; name: string }[] = [];
      const query = 'subscription ($from: Cursor) { events(kinds: ["zon"], from: $from) { cursor node { ... on Zone { name } } } }';
      for await (const { data } of socket.iterate<{ events: { cursor: string; node: { name: string } } }>({ query, variables: { from } })) {
        if (data != null) seen.push({ cursor: data.events.cursor, name: data.events.node.name });
        if (seen.length === count) break;
      }
      await socket.dispose();
      return seen;
    };
    const first = await watch(0, eventCursor, 1);
    expect(first.map((event) => event.name)).toEqual(['zone-a']);
    const rest = await watch(1, first[0]?.cursor ?? '', 2);
    expect(rest.map((event) => event.name)).toEqual(['zone-b', 'zone-c']);
  });

  it('refuses a password in an endpoint, and leaves a secret in no table and no log line', async () => {
    const canary = `canary-${randomBytes(12).toString('hex')}`;
    const create = 'mutation ($input: CreateBackendInput!) { createBackend(input: $input) { backend { id hasSecret } } }';
    const url = new URL(system.simulationUrl);
    const name = 'guarded';
    const open = { name, kind: 'simulated', endpoint: url.href };
    expect(await system.owner.refusal(create, { input: open })).toMatchObject({ extensions: { code: 'INVALID_INPUT', field: 'input.endpoint' } });
    const wrong = new URL(url);
    wrong.password = '';
    const refused = await system.owner.refusal(create, { input: { ...open, endpoint: wrong.href, secret: canary } });
    expect(refused.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'input.secret' });
    const databaseUrls = [system.databaseUrl, system.simulationUrl];
    expect(await findCanary(canary, { databaseUrls, log: system.logs() })).toEqual([]);
    // The search must be able to find: the zone's name is in many places.
    const found = await findCanary('zone-a'.padEnd(16, '-'), { databaseUrls, log: `${system.logs()} zone-a----------` });
    expect(found.length).toBeGreaterThan(0);
  });

  it('answers what is not there, not yours, and too deep with codes of its own', async () => {
    const missing = await system.owner.refusal('{ virtualMachine(id: "vm_00000000000000000000000000") { id } }');
    expect(missing.extensions.code).toBe('NOT_FOUND');
    const wrongName = await system.owner.refusal('mutation { createZone(input: { name: "Not-A-Name-" }) { zone { id } } }');
    expect(wrongName.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'input.name', fault: 'USER' });
    const deep = `{ operations { nodes ${'{ children { nodes '.repeat(12)} { id } ${'} }'.repeat(12)} } }`;
    expect((await system.owner.refusal(deep)).extensions.code).toMatch(/LIMIT_EXCEEDED|GRAPHQL_VALIDATION/);
  });
});
