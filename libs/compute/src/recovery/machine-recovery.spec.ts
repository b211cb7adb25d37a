import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { FaultKind, SimulatedHostState } from '#driver-simulated';
import { findPortsOfOwners } from '#network';
import { auditClaims, findHostClaims } from '#placement';
import { auditCounters, findCharges, QuotaService } from '#quota';
import { findDisksOfOwners, StoragePolicyService } from '#storage';
import { zoneDirectory } from '#tenancy';
import { recoveryBench, systemAccess, type RecoveryBench } from '#testing';
import { machineConditions, machineState, storagePolicyUsers, virtualMachineId } from '../index.js';
import { takeOver } from './machine-recovery.sql.js';

const addDataDisk = statement<never, [id: string, machineId: string]>(
  'spec.recovery_data_disk',
  `INSERT INTO disk (id, tenant_id, project_id, name, size_gib, owner_id, position, attachment, datastore_id, backend_id, zone_id, host_id, lifecycle)
   SELECT $1, tenant_id, project_id, 'data', 1, owner_id, 1, 'ATTACHED', datastore_id, backend_id, zone_id, host_id, 'PRESENT' FROM disk WHERE owner_id = $2`,
);
const dropDisk = statement<never, [id: string]>('spec.recovery_drop_disk', 'DELETE FROM disk WHERE id = $1');
const tombstones = statement<{ object_id: string }, [ids: string[]]>('spec.recovery_tombstones', 'SELECT object_id FROM tombstone WHERE object_id = ANY ($1)');
const hold = statement<never, [id: string]>(
  'spec.recovery_hold',
  `INSERT INTO resource_lock (resource_id, operation_id, root_operation_id) VALUES ($1, 'op_spec', 'op_spec')`,
);
const letGo = statement<never, [id: string]>('spec.recovery_let_go', 'DELETE FROM resource_lock WHERE resource_id = $1');
const becomes = statement<never, [ids: string[], kind: string]>('spec.recovery_kind', 'UPDATE datastore SET kind = $2 WHERE id = ANY ($1)');
const hostReturns = statement<never, [id: string]>('spec.recovery_host_returns', `UPDATE host SET health = 'UP', fence = 'NONE' WHERE id = $1`);

describe.each([
  ['with disks on the hosts themselves', { poolGib: 1000 }],
  ['with disks in a shared pool', { poolGib: 0, sharedGib: 1000 }],
])('machines that are to be made anew when their host is lost, %s', (_where, pools) => {
  let bench: RecoveryBench;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await recoveryBench(pools);
  });
  afterEach(async () => {
    await bench.calm();
    expect(await auditClaims(bench.room.database)).toEqual([]);
    expect((await auditCounters(bench.room.database)).drift).toEqual([]);
  });
  afterAll(() => bench.close());

  const stateBecomes = (id: string, state: string): Promise<void> =>
    bench.until(`${id} is ${state}`, async () => machineState(await bench.machine(id)) === state);
  const recoveryOf = async (id: string): Promise<string | undefined> =>
    machineConditions(await bench.machine(id)).find((condition) => condition.type === 'RECOVERY')?.reason;
  const recoveryBecomes = (id: string, reason: string): Promise<void> =>
    bench.until(`${id} is told as ${reason}`, async () => (await recoveryOf(id)) === reason);
  const partsOf = async (id: string) => ({
    ports: (await bench.room.database.rows(findPortsOfOwners, [id])).map((port) => [port.id, port.address, port.mac_address]),
    disks: (await bench.room.database.rows(findDisksOfOwners, [id])).map((disk) => disk.id),
  });
  const chargesOf = async (ids: string[]) =>
    (await bench.room.database.rows(findCharges, ids)).map((charge) => `${charge.resource_key} ${charge.amount}`).sort();

  // What all share is of one kind.
  it.skipIf(pools.poolGib === 0).each([
    ['of the kind that was asked for, and wait for one', { datastoreKind: 'standard' }],
    ['that keeps their storage policy, and wait for one', { storagePolicy: 'standards' }],
    ['of any kind when none was asked for', {}],
  ])('are made anew on a datastore %s', async (_words, asked) => {
    const project = await bench.freshProject();
    const policies = new StoragePolicyService(bench.center.commands, storagePolicyUsers);
    const { result: policy } = await policies.create(access, { name: 'standards', datastoreKinds: ['standard'] });
    const id = await bench.running(project, 'kindred', { recovery: 'RECREATE', ...asked });
    const [host, [root]] = [await bench.hostOf(id), await bench.room.database.rows(findDisksOfOwners, [id])];
    const others = bench.center.datastoreIds.filter((each) => each !== root?.datastore_id);
    await bench.room.database.transaction((transaction) => transaction.execute(becomes, others, 'fast'));
    try {
      await bench.setHost(host, SimulatedHostState.DEAD);
      if (Object.keys(asked).length === 0) await bench.isNew(id);
      else await recoveryBecomes(id, 'INSUFFICIENT_CAPACITY');
    } finally {
      await bench.room.database.transaction((transaction) => transaction.execute(becomes, others, 'standard'));
    }
    await bench.isNew(id);
    const [successor] = await bench.room.database.rows(findDisksOfOwners, [id]);
    expect(successor?.storage_policy_id).toBe(root?.storage_policy_id);
    const { result } = await bench.machines.delete(access, id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await policies.delete(access, String(policy.id));
  });

  it('are made anew elsewhere once the host is proven to be off, and the old ones never run again', async () => {
    const project = await bench.freshProject();
    const id = await bench.running(project, 'phoenix', { recovery: 'RECREATE' });
    expect(await recoveryOf(id)).toBe('PREPARED');
    const [before, parts, host] = [await bench.machine(id), await partsOf(id), await bench.hostOf(id)];
    const charged = await chargesOf([id, ...parts.disks]);
    // Not even a full quota stands in the way: it is a replacement.
    await new QuotaService(bench.room.database, bench.center.commands, zoneDirectory).setQuota(access, {
      scopeId: project.projectId,
      lines: [{ resourceKey: 'disk.count', limit: 1 }, { resourceKey: 'vm.count', limit: 1 }, { resourceKey: 'disk.capacity', limit: 10 }],
    });
    await bench.setHost(host, SimulatedHostState.DEAD);
    await bench.isNew(id);
    const after = await bench.machine(id);
    expect(after).toMatchObject({ name: 'phoenix', lifecycle: 'PRESENT', observed_power: 'RUNNING', desired_power: 'RUNNING', successor_id: null });
    expect(after.host_id).not.toBe(host.id);
    expect(after.instance_id).not.toBe(before.instance_id);
    const now = await partsOf(id);
    expect(now.ports).toEqual(parts.ports);
    expect(now.disks).toHaveLength(1);
    expect(now.disks).not.toEqual(parts.disks);
    expect(await chargesOf([id, ...parts.disks, ...now.disks])).toEqual(charged);
    expect((await bench.room.database.rows(findHostClaims, [id])).map((claim) => claim.holder_id)).toEqual([after.host_id]);
    expect(await bench.center.world.machine(after.instance_id)).toMatchObject({ hostname: 'phoenix', power: 'RUNNING', bootCount: 1, diskIds: now.disks });
    expect(await recoveryOf(id)).toBe('PREPARED');

    await bench.setHost(host, SimulatedHostState.ALIVE);
    const left = [`DISK ${now.disks[0]}`, `MACHINE ${after.instance_id}`, `PORT ${parts.ports[0]?.[0]}`];
    await bench.until('the old one is gone', async () => (await bench.center.world.machine(before.instance_id)) === undefined);
    await bench.until('its disk is gone', async () => (await bench.realOf(project)).length === left.length);
    expect((await bench.realOf(project)).sort()).toEqual(left);
    expect(machineState(await bench.machine(id))).toBe('RUNNING');
    const { result } = await bench.machines.delete(access, id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.left(project.projectId)).toEqual([]);
    expect(await bench.realOf(project)).toEqual([]);
  });

  it('are left alone while nobody can tell whether the host is off, and say so', async () => {
    const project = await bench.freshProject();
    const id = await bench.running(project, 'cut-off', { recovery: 'RECREATE' });
    const host = await bench.hostOf(id);
    await bench.setHost(host, SimulatedHostState.PARTITIONED);
    await recoveryBecomes(id, 'HOST_NOT_PROVEN_OFF');
    expect(machineState(await bench.machine(id))).toBe('UNKNOWN');
    await bench.setHost(host, SimulatedHostState.ALIVE);
    await recoveryBecomes(id, 'PREPARED');
    await stateBecomes(id, 'RUNNING');
    expect((await bench.center.world.machine(id))?.bootCount).toBe(1);
    expect(await bench.operationsOf(id)).toHaveLength(1);
  });

  it('wait for their host when they shall not run, have other disks, or there is no room, and are what they were when it returns', async () => {
    const project = await bench.freshProject();
    await bench.groups.create(access, { projectId: project.projectId, name: 'together', policy: 'AFFINITY' });
    const common = { recovery: 'RECREATE', affinityGroup: 'together' } as const;
    const stopped = await bench.running(project, 'stopped', { ...common, power: 'STOPPED' });
    const attached = await bench.running(project, 'attached', common);
    // Its group must stay together, and the others wait.
    const bound = await bench.running(project, 'bound', common);
    const host = await bench.hostOf(bound);
    const data = `dsk_${'0'.repeat(26)}`;
    await bench.setHost(host, SimulatedHostState.DEAD);
    // Only the rows know it, and only now: on a host that answers, an operation would begin to attach it.
    await bench.room.database.transaction((transaction) => transaction.execute(addDataDisk, data, attached));
    const refused = bench.machines.update(access, { id: attached, recovery: 'RECREATE' });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.recovery', data: { diskIds: [data] } });
    await recoveryBecomes(stopped, 'SHALL_NOT_RUN');
    await recoveryBecomes(attached, 'DATA_DISKS');
    await recoveryBecomes(bound, 'INSUFFICIENT_CAPACITY');
    const { since } = (await bench.machine(bound)).recovery_block ?? {};
    await pause(300);
    expect((await bench.machine(bound)).recovery_block).toMatchObject({ since });
    await bench.room.database.transaction((transaction) => transaction.execute(dropDisk, data));
    await bench.setHost(host, SimulatedHostState.ALIVE);
    for (const id of [attached, bound]) {
      await recoveryBecomes(id, 'PREPARED');
      await stateBecomes(id, 'RUNNING');
      expect(await bench.center.world.machine(id)).toMatchObject({ bootCount: 2 });
      expect((await bench.machine(id)).host_id).toBe(host.id);
    }
    await stateBecomes(stopped, 'STOPPED');
    expect(await bench.operationsOf(stopped)).toHaveLength(1);
  });

  it('stay what they were when the host returns while they are being made anew', async () => {
    const project = await bench.freshProject();
    const id = await bench.running(project, 'early', { recovery: 'RECREATE' });
    const [before, parts, host, real] = [await bench.machine(id), await partsOf(id), await bench.hostOf(id), await bench.realOf(project)];
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'createMachine', times: 1000 });
    await bench.setHost(host, SimulatedHostState.DEAD);
    await bench.until('it is being made', async () => (await bench.center.world.faults()).some((fault) => fault.fired > 0));
    expect(await recoveryOf(id)).toBe('BEING_RECREATED');
    await bench.setHost(host, SimulatedHostState.ALIVE);
    await bench.center.world.clearFaults();
    await bench.until('it has given up', async () => (await bench.operationsOf(id)).some(({ kind, state }) => kind.endsWith('recreate') && state === 'FAILED'));
    await stateBecomes(id, 'RUNNING');
    expect(await bench.machine(id)).toMatchObject({ instance_id: before.instance_id, host_id: host.id, successor_id: null });
    expect(await partsOf(id)).toEqual(parts);
    expect((await bench.room.database.rows(findHostClaims, [id])).map((claim) => claim.holder_id)).toEqual([host.id]);
    await bench.until('nothing of the new one is left', async () => (await bench.realOf(project)).length === real.length);
    expect((await bench.realOf(project)).sort()).toEqual(real.sort());
    await recoveryBecomes(id, 'PREPARED');
  });

  it('are not given to another host while theirs is coming back', async () => {
    const project = await bench.freshProject();
    const id = await bench.running(project, 'contested', { recovery: 'RECREATE' });
    // Nobody else makes it anew.
    await bench.room.database.transaction((transaction) => transaction.execute(hold, id));
    const host = await bench.hostOf(id);
    const target = (await bench.hosts()).find((each) => each.id !== host.id)?.id ?? '';
    await bench.setHost(host, SimulatedHostState.DEAD);
    const other = await bench.room.another();
    const [seen, commit] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const returning = other.transaction(async (transaction) => {
      await transaction.execute(hostReturns, host.id);
      seen.resolve();
      await commit.promise;
    });
    await seen.promise;
    const attempt = bench.room.database.transaction((late) => late.rows(takeOver, id, host.id, virtualMachineId.create(), target, null));
    await pause(200);
    commit.resolve();
    await returning;
    expect(await attempt).toEqual([]);
    await bench.room.database.transaction((transaction) => transaction.execute(letGo, id));
    expect(await bench.machine(id)).toMatchObject({ host_id: host.id, instance_id: id });
  });

  it.each([
    ['before the new one has taken its place', 'machine', 'createMachine'],
    ['before the new one is seen to run', 'start', 'startMachine'],
  ])('are kept when that is wished %s', async (_when, step, method) => {
    const project = await bench.freshProject();
    const id = await bench.running(project, `kept-${step}`, { recovery: 'RECREATE' });
    const [before, parts, host] = [await bench.machine(id), await partsOf(id), await bench.hostOf(id)];
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method, keyContains: `/${step}/`, times: 1000 });
    await bench.setHost(host, SimulatedHostState.DEAD);
    await bench.until('it is held', async () => (await bench.center.world.faults()).some((fault) => fault.fired > 0));
    await bench.machines.update(access, { id, recovery: 'NONE' });
    await bench.center.world.clearFaults();
    const recreation = (await bench.operationsOf(id)).find(({ kind }) => kind.endsWith('recreate'));
    expect(await bench.center.ended(recreation?.id)).toMatchObject({ state: 'FAILED', error: { code: 'INVALID_STATE' } });
    expect(await bench.machine(id)).toMatchObject({ instance_id: before.instance_id, host_id: host.id, successor_id: null, recovery: 'NONE' });
    expect(await partsOf(id)).toEqual(parts);
    expect(await bench.room.database.rows(tombstones, [before.instance_id, ...parts.disks])).toEqual([]);
    await bench.setHost(host, SimulatedHostState.ALIVE);
    await stateBecomes(id, 'RUNNING');
    expect(await bench.center.world.machine(id)).toMatchObject({ diskIds: parts.disks });
  });

  it('take another policy at any time, also while their host is lost', async () => {
    const project = await bench.freshProject();
    const id = await bench.running(project, 'undecided');
    expect(await recoveryOf(id)).toBeUndefined();
    const host = await bench.hostOf(id);
    await bench.setHost(host, SimulatedHostState.DEAD);
    const { version } = await bench.machine(id);
    const changed = bench.machines.update(access, { id, recovery: 'RECREATE' }, { expectedVersion: version - 1 });
    await expect(changed).rejects.toMatchObject({ code: 'CONFLICT' });
    await bench.machines.update(access, { id, recovery: 'RECREATE' }, { expectedVersion: version });
    await bench.isNew(id);
    expect((await bench.machine(id)).host_id).not.toBe(host.id);
    await expect(bench.machines.update(access, { id, recovery: 'SOMETIMES' as 'NONE' })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });
});
