import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { EventFeed } from '#events';
import { accessWith, datacenterDatabase, newTenantInAllZones, systemAccess, testApi, testDatacenter, type RoomDatabase, type TestApi, type TestDatacenter, type TestTenant } from '#testing';
import { storageResolvers } from '../api.js';
import { DiskRealiser, DiskService, diskSnapshotState, DiskSnapshotService, findDiskSnapshots, storageOperations, StoragePolicyService, storageRoom, storageScopeContents } from '../index.js';

const charged = statement<{ resource_id: string; amount: number }, [tenantId: string]>(
  'spec.snapshot_charges',
  `SELECT resource_id, amount FROM quota_charge WHERE tenant_id = $1 AND resource_key = 'snapshot.count' ORDER BY resource_id`,
);
const limit = statement<never, [scopeId: string, tenantId: string, limit: number]>(
  'spec.snapshot_limit',
  `INSERT INTO quota_counter (scope_id, tenant_id, resource_key, limit_amount, used_amount) VALUES ($1, $2, 'snapshot.count', $3, $3)
   ON CONFLICT (scope_id, resource_key, zone_id) DO UPDATE SET limit_amount = $3`,
);

describe('snapshots of disks', () => {
  let room: RoomDatabase;
  let center: TestDatacenter;
  let disks: DiskService;
  let snapshots: DiskSnapshotService;
  let tenant: TestTenant;
  let api: TestApi;
  const access = systemAccess();

  beforeAll(async () => {
    room = await datacenterDatabase([storageRoom]);
    center = await testDatacenter(room, { kinds: (drivers) => storageOperations(new DiskRealiser(drivers, { settleMs: 150 })) });
    disks = new DiskService(center.commands, center.ledger);
    snapshots = new DiskSnapshotService(center.commands, center.ledger, center.drivers);
    tenant = await newTenantInAllZones(room.database);
    api = await testApi({
      log: room.log,
      services: [room.database, new EventFeed(room.database, room.log), disks, snapshots, new StoragePolicyService(center.commands, [])],
      resolvers: storageResolvers,
      callers: {
        ann: accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]),
        stranger: accessWith([{ role: 'OWNER', tenantId: 'ten_other', projectId: null }]),
      },
    });
  });
  afterEach(() => center.world.clearFaults());
  afterAll(async () => {
    await api.close();
    await center.close();
    await room.close();
  });

  async function succeeds(started: Promise<{ result: { id?: unknown; operationId?: unknown } }>): Promise<string> {
    const { result } = await started;
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED', error: null });
    return String(result.id);
  }
  const newDisk = (name: string): Promise<string> => succeeds(disks.create(access, { projectId: tenant.projectIds[0] ?? '', name, sizeGib: 3 }));
  const take = (diskId: string, name = 'before') => snapshots.create(access, { diskId, name });
  const row = async (id: string) => (await room.database.rows(findDiskSnapshots, [id]))[0];
  const held = async (): Promise<string[]> => (await center.world.objects()).filter((object) => object.kind === 'SNAPSHOT').map((object) => object.id);
  const charges = async (): Promise<string[]> => (await room.database.rows(charged, tenant.id)).map((each) => each.resource_id);

  it('are taken, charged, listed and deleted; the disk stays', async () => {
    const diskId = await newDisk('data');
    const query = `mutation ($input: CreateDiskSnapshotInput!) { createDiskSnapshot(input: $input) {
      diskSnapshot { id name diskId sizeGib state takenAt currentOperation { kind } } operation { id } plan { resources { kind } } } }`;
    type Taken = { createDiskSnapshot: { diskSnapshot: { id: string }; operation: { id: string } } };
    const { createDiskSnapshot: taken } = await api.data<Taken>('ann', query, { input: { diskId, name: 'before' } });
    const { id } = taken.diskSnapshot;
    expect(taken.diskSnapshot).toMatchObject({ name: 'before', diskId, sizeGib: 3, state: 'CREATING', takenAt: null });
    expect((await center.ended(taken.operation.id)).state).toBe('SUCCEEDED');
    expect([await held(), await charges()]).toEqual([[id], [id]]);
    const list = '{ diskSnapshots(diskId: "%") { nodes { id state takenAt } totalCount } }'.replace('%', diskId);
    expect(await api.data('ann', list)).toEqual({ diskSnapshots: { nodes: [{ id, state: 'AVAILABLE', takenAt: expect.any(String) }], totalCount: 1 } });
    expect(await api.data('stranger', list)).toEqual({ diskSnapshots: { nodes: [], totalCount: 0 } });
    expect(await api.data('ann', `{ node(id: "${id}") { id ... on DiskSnapshot { name } } }`)).toEqual({ node: { id, name: 'before' } });
    await expect(take(diskId)).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
    await succeeds(snapshots.delete(access, id));
    expect([await row(id), await held(), await charges()]).toEqual([undefined, [], []]);
    await succeeds(disks.delete(access, diskId));
  });

  it('go with their disk, and are nothing that keeps a project from going', async () => {
    const diskId = await newDisk('gone');
    const id = await succeeds(take(diskId));
    const contents = storageScopeContents.find((each) => each.kind === 'disk snapshot');
    const scope = { tenantId: tenant.id, projectId: tenant.projectIds[0] ?? null };
    expect((await contents?.list(room.database, scope, 10))?.map((each) => each.id)).toEqual([id]);
    await succeeds(disks.delete(access, diskId));
    expect([await row(id), await held(), await charges(), await contents?.count(room.database, scope)]).toEqual([undefined, [], [], 0]);
  });

  it('that could not be taken hold nothing but their name, also when a lost call comes late', async () => {
    const diskId = await newDisk('unlucky');
    await center.world.addFault({ kind: 'LATE_EFFECT', method: 'createSnapshot', delayMs: 100, uncancellable: true });
    await center.world.addFault({ kind: 'REFUSED', method: 'createSnapshot' });
    const { result } = await take(diskId);
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED' } });
    await center.world.landPending();
    const failed = await row(String(result.id));
    expect([failed && diskSnapshotState(failed), failed?.failure?.code]).toEqual(['FAILED', 'BACKEND_FAILED']);
    expect([await held(), await charges()]).toEqual([[], []]);
    await succeeds(snapshots.delete(access, String(result.id)));
    await succeeds(disks.delete(access, diskId));
  });

  it.each(['LOST_ANSWER', 'BUSY', 'UNAVAILABLE', 'STILL_RUNNING'] as const)('go on after %s of every first call', async (kind) => {
    const diskId = await newDisk(`tried-${kind.toLowerCase().replace('_', '-')}`);
    for (const method of ['createSnapshot', 'deleteSnapshot']) await center.world.addFault({ kind, method, delayMs: 50 });
    await succeeds(snapshots.delete(access, await succeeds(take(diskId))));
    expect((await center.world.faults()).map((fault) => fault.fired)).toEqual([1, 1]);
    expect(await held()).toEqual([]);
    await succeeds(disks.delete(access, diskId));
  });

  it('are called off when their disk is deleted, and refused while somebody is at it', async () => {
    const diskId = await newDisk('busy');
    await center.world.addFault({ kind: 'BUSY', method: 'createSnapshot', times: Infinity });
    const { result } = await take(diskId);
    await expect(take(diskId, 'another')).rejects.toMatchObject({ code: 'RESOURCE_BUSY', data: { operationId: result.operationId } });
    await succeeds(disks.delete(access, diskId));
    expect((await center.operation(result.operationId)).state).toBe('CANCELLED');
    expect([await row(String(result.id)), await charges()]).toEqual([undefined, []]);
  });

  it('are refused beyond quota, of what is not there, and to those who may not', async () => {
    const diskId = await newDisk('limited');
    const viewer = accessWith([{ role: 'VIEWER', tenantId: tenant.id, projectId: null }]);
    await expect(snapshots.create(viewer, { diskId, name: 'mine' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const stranger = accessWith([{ role: 'OWNER', tenantId: 'ten_other', projectId: null }]);
    await expect(snapshots.create(stranger, { diskId, name: 'mine' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.diskId' });
    const id = await succeeds(take(diskId));
    await expect(snapshots.delete(stranger, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await room.database.transaction((transaction) => transaction.execute(limit, tenant.id, tenant.id, 1));
    await expect(take(diskId, 'more')).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    const { plan } = await snapshots.create(access, { diskId, name: 'more' }, { dryRun: true });
    expect(plan?.changes.problems).toMatchObject([{ code: 'QUOTA_EXCEEDED', data: { limit: 1, used: 1 } }]);
  });
});
