import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateKeyLine } from '#secrets';
import type { ApiClient } from '../support/client.js';
import { runMode, startSystem, type System } from '../support/system.js';

const ONBOARD = 'mutation ($name: String!) { onboardTenant(input: { name: $name, owners: [{ name: "ann" }] }) { tenant { id } } }';

describe('operating', () => {
  let system: System;

  beforeAll(async () => {
    system = await startSystem();
  });
  afterAll(() => system.close());

  const newest = (): ApiClient => system.client(system.owner.token, system.apis.length - 1);
  const cursor = async (): Promise<string> => (await newest().request<{ eventCursor: string }>('{ eventCursor }')).eventCursor;
  const stopAll = (): Promise<unknown> => Promise.all([...system.apis, ...system.workers].map((each) => each.stop()));

  async function onServer(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: Object.assign(new URL(system.databaseUrl), { pathname: '/postgres' }).href });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  }

  async function watchFrom(from: string): Promise<unknown> {
    const socket = newest().socket();
    try {
      const stream = socket.iterate({ query: 'subscription ($from: Cursor) { events(from: $from) { cursor } }', variables: { from } });
      return await stream.next();
    } catch (error) {
      return error;
    } finally {
      await socket.dispose();
    }
  }

  it('brings secrets to a new key; the old one is then not needed any more', async () => {
    const url = new URL(system.simulationUrl);
    const secret = decodeURIComponent(url.password);
    url.password = '';
    const create = 'mutation ($input: CreateBackendInput!) { createBackend(input: $input) { backend { id } } }';
    await system.owner.request(create, { input: { name: 'simulated', kind: 'simulated', endpoint: url.href, secret } });
    const old = system.environment['MUON_SECRET_KEYS'] ?? '';
    const fresh = generateKeyLine('test-2');
    const rotate = (keys: string): ReturnType<typeof runMode> => runMode('rotate-secrets', { ...system.environment, MUON_SECRET_KEYS: keys });
    expect(await rotate(`${fresh}\n${old}`)).toMatchObject({ code: 0, log: expect.stringContaining('"rewrapped":1,"remaining":[]') });
    expect(await rotate(fresh)).toMatchObject({ code: 0, log: expect.stringContaining('"rewrapped":0') });
    const without = await rotate(old);
    expect(without.code).not.toBe(0);
    expect(without.log).toContain('Secrets need the key "test-2"');
    expect(await rotate(`${old}\n${fresh}`)).toMatchObject({ code: 0, log: expect.stringContaining('"rewrapped":1') });
  });

  it('after a restore: what came later is gone, and no client goes on from a cursor of before', async () => {
    const name = decodeURIComponent(new URL(system.databaseUrl).pathname.slice(1));
    await newest().request(ONBOARD, { name: 'kept' });
    const before = await cursor();
    await stopAll();
    await onServer(`CREATE DATABASE "${name}_backup" TEMPLATE "${name}"`);
    await system.startApi();
    await newest().request(ONBOARD, { name: 'lost' });
    const after = await cursor();
    await stopAll();
    await onServer(`DROP DATABASE "${name}"`);
    await onServer(`ALTER DATABASE "${name}_backup" RENAME TO "${name}"`);
    expect(await runMode('restored', system.environment)).toMatchObject({ code: 0, log: expect.stringContaining('begins a new epoch') });
    await system.startApi();
    await system.startWorker();
    const { tenants } = await newest().request<{ tenants: { nodes: { name: string }[] } }>('{ tenants { nodes { name } } }');
    expect(tenants.nodes).toEqual([{ name: 'kept' }]);
    for (const from of [before, after]) expect(await watchFrom(from)).toMatchObject([{ extensions: { code: 'CURSOR_EXPIRED' } }]);
    await newest().request(ONBOARD, { name: 'lost' });
  });

  it('refuses a mode that is none', async () => {
    expect(await runMode('tidy', system.environment)).toMatchObject({ code: 2, log: expect.stringContaining('run, migrate, rotate-secrets, restored') });
  });
});
