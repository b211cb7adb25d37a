import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { FaultKind, SimulatedHostState } from '#driver-simulated';
import { HostOccupancy, HostService, InfrastructureUsage, type HostRow } from '#infrastructure';
import { auditClaims, claimUsers, findDatastoreClaims } from '#placement';
import { auditCounters, findCharges } from '#quota';
import { recoveryBench, systemAccess, type RecoveryBench } from '#testing';
import { DiskRealiser, DiskService, DiskSnapshotService, findDisks, planDiskLimit, storageOperations, type DiskRow } from '../index.js';

const tombstones = statement<{ object_kind: string }, [id: string]>('spec.lost_disk_tombstones', 'SELECT object_kind FROM tombstone WHERE object_id = $1');

describe('disks of their own on a host that is lost', () => {
  let bench: RecoveryBench;
  let disks: DiskService;
  let snapshots: DiskSnapshotService;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await recoveryBench({ hosts: 1, moreKinds: (drivers) => storageOperations(new DiskRealiser(drivers, { settleMs: 150 })) });
    disks = new DiskService(bench.center.commands, bench.center.ledger);
    snapshots = new DiskSnapshotService(bench.center.commands, bench.center.ledger, bench.center.drivers);
  });
  afterEach(async () => {
    await bench.calm();
    expect(await auditClaims(bench.room.database)).toEqual([]);
    expect((await auditCounters(bench.room.database)).drift).toEqual([]);
  });
  afterAll(() => bench.close());

  const host = async (): Promise<HostRow> => (await bench.hosts())[0] as HostRow;
  const disk = async (id: unknown) => (await bench.room.database.rows(findDisks, [String(id)]))[0];
  const held = async (id: string) => [
    ...(await bench.room.database.rows(findCharges, [id])).map((row) => row.resource_key),
    ...(await bench.room.database.rows(findDatastoreClaims, [id])).map((row) => row.holder_id),
  ];
  const isReal = async (id: string): Promise<boolean> => (await bench.objects()).includes(id);
  async function made(name: string): Promise<string> {
    const { projectId } = await bench.freshProject();
    const { result } = await disks.create(access, { projectId, name, sizeGib: 1 });
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    return String(result.id);
  }

  it('are deleted all the same: nothing is held, and they go when the host returns', async () => {
    const id = await made('gone');
    await bench.setHost(await host(), SimulatedHostState.DEAD);
    const { result } = await disks.delete(access, id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await disk(id)).toBeUndefined();
    expect(await held(id)).toEqual([]);
    expect(await bench.room.database.rows(tombstones, id)).toEqual([{ object_kind: 'disk' }]);
    expect(await isReal(id)).toBe(true);
    await bench.setHost(await host(), SimulatedHostState.ALIVE);
    await bench.until('the volume is gone', async () => !(await isReal(id)));
  });

  it('are kept while nobody can tell whether the host is off', async () => {
    const id = await made('kept');
    await bench.setHost(await host(), SimulatedHostState.PARTITIONED);
    const { result } = await disks.delete(access, id);
    await bench.until('it waits', async () => (await bench.center.operation(result.operationId)).blocker?.code === 'UNAVAILABLE');
    expect(await disk(id)).toMatchObject({ lifecycle: 'DELETING' });
    await bench.setHost(await host(), SimulatedHostState.ALIVE);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await isReal(id)).toBe(false);
  });

  it('are given up while they are made: what is left is named, and goes when the host returns', async () => {
    const { projectId } = await bench.freshProject();
    await bench.center.world.addFault({ kind: FaultKind.LOST_ANSWER, method: 'createDisk' });
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'createDisk', times: 1000 });
    const { result } = await disks.create(access, { projectId, name: 'unmade', sizeGib: 1 });
    await bench.until('it is made', () => isReal(String(result.id)));
    await bench.setHost(await host(), SimulatedHostState.DEAD);
    await bench.center.operations.cancel(String(result.operationId));
    const ended = await bench.center.ended(result.operationId);
    expect(ended).toMatchObject({ state: 'CANCELLED', not_restored: [{ resourceId: result.id }] });
    expect(await held(String(result.id))).toEqual([]);
    await bench.setHost(await host(), SimulatedHostState.ALIVE);
    await bench.until('the volume is gone', async () => !(await isReal(String(result.id))));
  });

  it('keep their limit when the change of it is given up, and what the host has when it returns is named', async () => {
    const id = await made('limited');
    await bench.setHost(await host(), SimulatedHostState.DEAD);
    const { operationId } = await bench.center.operations.submit(planDiskLimit((await disk(id)) as DiskRow, 500));
    await bench.until('it waits', async () => (await bench.center.operation(operationId)).blocker?.code === 'UNAVAILABLE');
    await bench.center.operations.cancel(String(operationId));
    expect(await bench.center.ended(operationId)).toMatchObject({ state: 'CANCELLED', not_restored: [{ resourceId: id }] });
    expect(await disk(id)).toMatchObject({ iops_limit: null, realised_iops_limit: null });
    const { result } = await disks.delete(access, id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('lose snapshots, and are in nobody’s way after that', async () => {
    const id = await made('pictured');
    const taken = await snapshots.create(access, { diskId: id, name: 'before' });
    expect(await bench.center.ended(taken.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await bench.setHost(await host(), SimulatedHostState.DEAD);
    const removed = await snapshots.delete(access, String(taken.result.id));
    expect(await bench.center.ended(removed.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    const { result } = await disks.delete(access, id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('keep their host from being deregistered, which the plan says', async () => {
    const usage = new InfrastructureUsage();
    usage.register(claimUsers);
    const service = new HostService(bench.center.commands, new HostOccupancy(), usage);
    const { id } = await host();
    const lying = await made('lying');
    await bench.setHost(await host(), SimulatedHostState.DEAD);
    const refused = service.deregister(access, { id }, { dryRun: true });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE', data: { disks: 1 } });
    const { result } = await disks.delete(access, lying);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    const { plan } = await service.deregister(access, { id }, { dryRun: true });
    expect(plan?.changes.problems).toEqual([]);
  });
});
