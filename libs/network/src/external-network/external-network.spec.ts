import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { backendId, BackendService, findBackends, InfrastructureUsage, PendingRemoval } from '#infrastructure';
import { generateKeyLine, KeyRing, SecretService } from '#secrets';
import { networkBench, systemAccess, type NetworkBench } from '#testing';
import { networkBackendUsers } from '../index.js';

const anotherBackend = statement<never, [id: string, like: string]>(
  'spec.external_backend',
  `INSERT INTO backend (id, name, kind, endpoint, capabilities, health)
   SELECT $1, 'backend-' || $1, kind, endpoint, capabilities, health FROM backend WHERE id = $2`,
);

describe('external networks', () => {
  let bench: NetworkBench;
  let room: NetworkBench['room'];
  let center: NetworkBench['center'];
  let externals: NetworkBench['externals'];
  let backends: BackendService;
  let removal: PendingRemoval;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await networkBench(0);
    ({ room, center, externals } = bench);
    const usage = new InfrastructureUsage();
    for (const users of networkBackendUsers) usage.register(users);
    backends = new BackendService(room.database, center.commands, center.drivers, new SecretService(KeyRing.parse(generateKeyLine('k1'))), usage);
    removal = new PendingRemoval(room.database, usage, room.log);
  });
  afterAll(() => bench.close());

  const inputOf = (name: string, cidr = '198.51.100.0/24', backend = center.backendId) => ({
    name,
    backendId: backend,
    physicalNetwork: 'cables',
    cidr,
    gateway: cidr.replace(/\.\d+\/\d+$/, '.1'),
  });

  it('keep their backend, which takes no new ones while it is going', async () => {
    const id: string = backendId.create();
    await room.database.transaction(async (transaction) => transaction.execute(anotherBackend, id, center.backendId));
    const made = await externals.create(access, inputOf('kept', '203.0.113.0/24', id));
    expect(await center.ended(made.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    const { plan } = await backends.delete(access, id, { dryRun: true });
    expect(plan?.changes.reasons[0]?.message).toBe('It is in use (1 external networks) and goes with the last of them.');
    expect((await backends.delete(access, id)).result).toEqual({ id, isPending: true });
    expect(await removal.run(new AbortController().signal)).toBe(0);
    await expect(externals.create(access, inputOf('late', '203.0.114.0/24', id))).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.backendId' });
    const deleted = await externals.delete(access, { id: String(made.result.id) });
    expect(await center.ended(deleted.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await removal.run(new AbortController().signal)).toBe(1);
    expect(await room.database.rows(findBackends, [id])).toEqual([]);
  });

  it('do not overlap in the same cables, also when two are made at once', async () => {
    const plans = [];
    for (const input of [inputOf('wide', '192.0.2.0/24'), inputOf('narrow', '192.0.2.128/25')]) {
      const gateway = input.cidr.replace(/\d+\/\d+$/, '129');
      plans.push((await externals.create(access, { ...input, gateway }, { dryRun: true })).plan?.id ?? '');
    }
    const ends = await Promise.allSettled(plans.map(async (plan) => center.commands.applyPlan(access, plan)));
    expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(ends.find((end) => end.status === 'rejected')?.reason).toMatchObject({ code: 'PLAN_STALE' });
    const late = externals.create(access, inputOf('late', '192.0.2.0/24'));
    await expect(late).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.cidr' });
    const elsewhere = { ...inputOf('elsewhere', '192.0.2.0/24'), physicalNetwork: 'other-cables' };
    expect(await center.ended((await externals.create(access, elsewhere)).result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('stand on a backend that is there, whoever comes first', async () => {
    const id: string = backendId.create();
    await room.database.transaction(async (transaction) => transaction.execute(anotherBackend, id, center.backendId));
    const removing = (await backends.delete(access, id, { dryRun: true })).plan?.id ?? '';
    const making = (await externals.create(access, inputOf('raced', '203.0.113.0/24', id), { dryRun: true })).plan?.id ?? '';
    const ends = await Promise.allSettled([removing, making].map(async (plan) => center.commands.applyPlan(access, plan)));
    expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(ends.find((end) => end.status === 'rejected')?.reason).toMatchObject({ code: 'PLAN_STALE' });
  });
});
