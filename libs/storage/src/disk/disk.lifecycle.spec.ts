import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { MuonError } from '#core';
import { ChangeSet, statement } from '#database';
import { OPERATIONS, type ReconcilerContext } from '#operations';
import { accessWith, datacenterDatabase, newTenantInAllZones, systemAccess, testDatacenter, type RoomDatabase, type TestDatacenter, type TestTenant } from '#testing';
import { diskHealth, DiskRealiser, DiskService, findDisks, storageOperations, storageRoom, storageScopeContents } from '../index.js';

const used = statement<{ resource_key: string; used_amount: number }, [scopeId: string]>(
  'spec.disk_used',
  `SELECT resource_key, used_amount FROM quota_counter WHERE scope_id = $1 AND zone_id = '' AND used_amount > 0 ORDER BY resource_key`,
);
const claimed = statement<{ claimed_gib: number }>('spec.disk_claimed', 'SELECT sum(claimed_gib)::bigint AS claimed_gib FROM datastore_capacity');
const tombstones = statement<{ object_kind: string; reason: string }, [id: string]>(
  'spec.disk_tombstones',
  'SELECT object_kind, reason FROM tombstone WHERE object_id = $1',
);
const becomes = statement<{ id: string }, [id: string, kind: string]>('spec.disk_kind', 'UPDATE datastore SET kind = $2 WHERE id = $1 RETURNING id');
const limit = statement<never, [scopeId: string, tenantId: string, key: string, limit: number]>(
  'spec.disk_limit',
  `INSERT INTO quota_counter (scope_id, tenant_id, resource_key, limit_amount) VALUES ($1, $2, $3, $4)`,
);

describe('disks on a simulated datacenter', () => {
  let room: RoomDatabase;
  let center: TestDatacenter;
  let disks: DiskService;
  let tenant: TestTenant;
  const access = systemAccess();

  beforeAll(async () => {
    room = await datacenterDatabase([storageRoom]);
    center = await testDatacenter(room, {
      hosts: 2,
      poolGib: 100,
      kinds: (drivers) => storageOperations(new DiskRealiser(drivers, { settleMs: 150 })),
    });
    disks = new DiskService(center.commands, center.ledger);
  });
  afterEach(() => center.world.clearFaults());
  afterAll(async () => {
    await center.close();
    await room.close();
  });

  const usage = async (): Promise<Record<string, number>> =>
    Object.fromEntries((await room.database.rows(used, projectId())).map((row) => [row.resource_key, row.used_amount]));
  const disk = async (id: unknown) => (await room.database.rows(findDisks, [String(id)]))[0];
  const claims = async (): Promise<number> => (await room.database.first(claimed))?.claimed_gib ?? -1;
  const objects = async (): Promise<string[]> => (await center.world.objects()).map((object) => object.id);
  const projectId = (): string => tenant.projectIds[0] ?? '';

  async function freshTenant(): Promise<void> {
    tenant = await newTenantInAllZones(room.database);
  }

  async function makeDisk(name: string, sizeGib = 10): Promise<string> {
    const { result } = await disks.create(access, { projectId: projectId(), name, sizeGib });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    return String(result.id);
  }

  async function removeDisk(id: string): Promise<void> {
    const { result } = await disks.delete(access, id);
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
  }

  it('makes, enlarges and deletes a disk; charge, claim and backend agree at every end', async () => {
    await freshTenant();
    const before = await claims();
    const id = await makeDisk('data');
    expect(await disk(id)).toMatchObject({ lifecycle: 'PRESENT', realised_gib: 10, health: 'HEALTHY' });
    expect([await usage(), (await claims()) - before]).toEqual([{ 'disk.capacity': 10, 'disk.count': 1 }, 10]);
    const grown = await disks.resize(access, { id, sizeGib: 25 });
    expect((await center.ended(grown.result.operationId)).state).toBe('SUCCEEDED');
    expect(await disk(id)).toMatchObject({ size_gib: 25, realised_gib: 25 });
    expect([await usage(), (await claims()) - before]).toEqual([{ 'disk.capacity': 25, 'disk.count': 1 }, 25]);
    await removeDisk(id);
    expect(await disk(id)).toBeUndefined();
    expect(await objects()).not.toContain(id);
    expect([await usage(), (await claims()) - before]).toEqual([{}, 0]);
    expect(await room.database.rows(tombstones, id)).toEqual([{ object_kind: 'disk', reason: 'deleted' }]);
  });

  it('shows in a dry run where it would go and what it would take, and why it cannot be', async () => {
    await freshTenant();
    const { plan } = await disks.create(access, { projectId: projectId(), name: 'planned', sizeGib: 7 }, { dryRun: true });
    expect(plan?.changes.resources).toEqual([expect.objectContaining({ kind: 'disk', data: expect.objectContaining({ sizeGib: 7, datastore: 'local' }) })]);
    expect(plan?.changes.reasons.map((reason) => reason.data?.resourceKey)).toEqual(expect.arrayContaining(['disk.capacity', 'disk.count']));
    expect(await usage()).toEqual({});
    await room.database.transaction((transaction) => transaction.execute(limit, tenant.id, tenant.id, 'disk.capacity', 5));
    const refused = await disks.create(access, { projectId: projectId(), name: 'planned', sizeGib: 7 }, { dryRun: true });
    expect(refused.plan?.changes.problems).toEqual([expect.objectContaining({ code: 'QUOTA_EXCEEDED', data: expect.objectContaining({ limit: 5, used: 0, requested: 7 }) })]);
    await expect(disks.create(access, { projectId: projectId(), name: 'planned', sizeGib: 7 })).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    const huge = await disks.create(access, { projectId: projectId(), name: 'huge', sizeGib: 101 }).catch((error: unknown) => error as MuonError);
    expect(huge).toMatchObject({ code: 'INSUFFICIENT_CAPACITY', fault: 'OPERATOR', data: { datastores: 2, requestedGib: 101, largestGib: 100 } });
  });

  it('goes to a datastore of the kind that was asked for, also when it is made again, and is refused by its name where there is none', async () => {
    await freshTenant();
    const fast = center.datastoreIds[1] ?? '';
    await room.database.rows(becomes, fast, 'fast');
    try {
      for (const name of ['one', 'two', 'three']) {
        await center.world.addFault({ kind: 'REFUSED', method: 'createDisk' });
        const { result } = await disks.create(access, { projectId: projectId(), name, sizeGib: 5, datastoreKind: 'fast' });
        expect((await center.ended(result.operationId)).state).toBe('FAILED');
        await center.world.clearFaults();
        await center.operations.retry(String(result.operationId));
        expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
        expect(await disk(result.id)).toMatchObject({ datastore_id: fast });
        await removeDisk(String(result.id));
      }
      const large = disks.create(access, { projectId: projectId(), name: 'large', sizeGib: 101, datastoreKind: 'fast' });
      await expect(large).rejects.toMatchObject({
        code: 'INSUFFICIENT_CAPACITY',
        message: 'None of 1 datastores of the kind "fast" in these zones has 101 GiB free; the most that one has is 100 GiB.',
        data: { datastores: 1, datastoreKind: 'fast' },
      });
      const none = disks.create(access, { projectId: projectId(), name: 'none', sizeGib: 1, datastoreKind: 'mirrored' });
      await expect(none).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', message: 'No datastore of the kind "mirrored" in these zones takes new disks.' });
    } finally {
      await room.database.rows(becomes, fast, 'standard');
    }
  });

  it('ends FAILED with nothing held, also when a lost call comes late, and can be tried again', async () => {
    await freshTenant();
    const before = await claims();
    await center.world.addFault({ kind: 'LATE_EFFECT', method: 'createDisk', delayMs: 100, uncancellable: true });
    await center.world.addFault({ kind: 'REFUSED', method: 'createDisk' });
    const { result } = await disks.create(access, { projectId: projectId(), name: 'data', sizeGib: 10 });
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED' } });
    expect((await center.world.faults()).map((fault) => fault.fired)).toEqual([1, 1]);
    await center.world.landPending();
    expect(await objects()).not.toContain(result.id);
    expect(await disk(result.id)).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' }, realised_gib: 0 });
    expect([await usage(), (await claims()) - before]).toEqual([{}, 0]);
    expect(await room.database.rows(tombstones, String(result.id))).toEqual([{ object_kind: 'disk', reason: 'undone' }]);
    await expect(disks.create(access, { projectId: projectId(), name: 'data', sizeGib: 10 })).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
    await center.operations.retry(String(result.operationId));
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await disk(result.id)).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    expect([await usage(), (await claims()) - before]).toEqual([{ 'disk.capacity': 10, 'disk.count': 1 }, 10]);
    expect(await room.database.rows(tombstones, String(result.id))).toEqual([]);
    await removeDisk(String(result.id));
  });

  it('leaves a disk as it was when enlarging it failed, or as large as a lost call has made it', async () => {
    await freshTenant();
    const before = await claims();
    const id = await makeDisk('data');
    await center.world.addFault({ kind: 'REFUSED', method: 'resizeDisk' });
    const refused = await disks.resize(access, { id, sizeGib: 20 });
    expect(await center.ended(refused.result.operationId)).toMatchObject({ state: 'FAILED', not_restored: [] });
    expect(await disk(id)).toMatchObject({ size_gib: 10, realised_gib: 10, lifecycle: 'PRESENT' });
    expect([await usage(), (await claims()) - before]).toEqual([{ 'disk.capacity': 10, 'disk.count': 1 }, 10]);
    await center.world.addFault({ kind: 'LATE_EFFECT', method: 'resizeDisk', delayMs: 50 });
    await center.world.addFault({ kind: 'REFUSED', method: 'resizeDisk' });
    const late = await disks.resize(access, { id, sizeGib: 30 });
    const larger = { step: 'resize', resourceId: id, message: 'The disk has 30 GiB, and not 10 GiB as before: the backend has enlarged it already, and no disk shrinks.' };
    const ended = await center.ended(late.result.operationId);
    expect(ended).toMatchObject({ state: 'FAILED', not_restored: [larger], error: { data: { notRestored: [larger] } } });
    expect(await disk(id)).toMatchObject({ size_gib: 30, realised_gib: 30 });
    expect([await usage(), (await claims()) - before]).toEqual([{ 'disk.capacity': 30, 'disk.count': 1 }, 30]);
    await removeDisk(id);
    expect([await usage(), (await claims()) - before]).toEqual([{}, 0]);
  });

  it.each(['LOST_ANSWER', 'BUSY', 'UNAVAILABLE', 'STILL_RUNNING'] as const)('goes on after %s of every first call', async (kind) => {
    await freshTenant();
    for (const method of ['createDisk', 'resizeDisk', 'deleteDisk']) await center.world.addFault({ kind, method, delayMs: 50 });
    const id = await makeDisk('data');
    const grown = await disks.resize(access, { id, sizeGib: 12 });
    expect((await center.ended(grown.result.operationId)).state).toBe('SUCCEEDED');
    await removeDisk(id);
    expect((await center.world.faults()).map((fault) => fault.fired)).toEqual([1, 1, 1]);
    expect(await objects()).not.toContain(id);
    expect(await usage()).toEqual({});
  });

  it('deletes a disk whose making is still under way', async () => {
    await freshTenant();
    const before = await claims();
    await center.world.addFault({ kind: 'UNAVAILABLE', method: 'createDisk', times: Infinity });
    const { result } = await disks.create(access, { projectId: projectId(), name: 'data', sizeGib: 10 });
    await removeDisk(String(result.id));
    expect((await center.operation(result.operationId)).state).toBe('CANCELLED');
    expect(await disk(result.id)).toBeUndefined();
    expect([await usage(), (await claims()) - before]).toEqual([{}, 0]);
  });

  it('never promises more than the pools hold, however many ask at once', async () => {
    await freshTenant();
    const before = await claims();
    expect(before).toBe(0);
    const asked = await Promise.allSettled(
      Array.from({ length: 30 }, (_, index) => disks.create(access, { projectId: projectId(), name: `d-${index}`, sizeGib: 10 })),
    );
    const made = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value.result] : []));
    // Two pools of 100 GiB.
    expect(made).toHaveLength(20);
    const codes = asked.flatMap((each) => (each.status === 'rejected' ? [(each.reason as MuonError).code] : []));
    expect(new Set(codes)).toEqual(new Set(['INSUFFICIENT_CAPACITY']));
    for (const result of made) expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    const full = disks.resize(access, { id: String(made[0]?.id), sizeGib: 11 });
    await expect(full).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', data: { freeGib: 0, neededGib: 1 } });
    await Promise.all(made.map((result) => removeDisk(String(result.id))));
    expect([await usage(), await claims()]).toEqual([{}, 0]);
  }, 60_000);

  it('refuses what makes no sense, and hides what is not the caller\'s', async () => {
    await freshTenant();
    const id = await makeDisk('data');
    await expect(disks.resize(access, { id, sizeGib: 10 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.sizeGib' });
    await expect(disks.resize(access, { id, sizeGib: 20, expectedVersion: 7 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(disks.create(access, { projectId: projectId(), name: 'Data', sizeGib: 1 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.name' });
    await expect(disks.create(access, { projectId: projectId(), name: 'other', sizeGib: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.sizeGib' });
    await expect(disks.create(access, { projectId: projectId(), name: 'other', sizeGib: 1, zone: 'nowhere' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.zone' });
    const stranger = accessWith([{ role: 'OWNER', tenantId: 'ten_x', projectId: null }]);
    await expect(disks.delete(stranger, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await removeDisk(id);
  });

  it('goes with its project, and can prove that nothing is left', async () => {
    await freshTenant();
    const ids = [await makeDisk('one'), await makeDisk('two')];
    const [contents] = storageScopeContents;
    const scope = { tenantId: tenant.id, projectId: projectId() };
    expect(await contents?.count(room.database, scope)).toBe(2);
    expect((await contents?.list(room.database, { ...scope, projectId: null }, 10))?.map((each) => each.name)).toEqual(['one', 'two']);
    const changes = await contents?.planDeletion?.(room.database, scope, 10);
    await center.operations.submit(changes ?? new ChangeSet());
    expect((await contents?.planDeletion?.(room.database, scope, 10))?.items(OPERATIONS)).toEqual([]);
    await expect.poll(async () => contents?.count(room.database, scope), { timeout: 10_000 }).toBe(0);
    expect((await objects()).filter((id) => ids.includes(id))).toEqual([]);
  });

  it('writes down how disks are, and only what has changed', async () => {
    await freshTenant();
    const id = await makeDisk('data');
    const context: ReconcilerContext = { signal: AbortSignal.timeout(10_000), fence: 1, reader: room.database, log: room.log, submit: async () => ({}) };
    const reconciler = diskHealth(room.database, center.drivers);
    const before = (await disk(id))?.revision;
    await reconciler.run(context);
    expect((await disk(id))?.revision).toBe(before);
    await center.world.setPoolHealth('local', 'DEGRADED');
    await reconciler.run(context);
    expect(await disk(id)).toMatchObject({ health: 'DEGRADED' });
    await center.world.setPoolHealth('local', 'HEALTHY');
    await reconciler.run(context);
    expect(await disk(id)).toMatchObject({ health: 'HEALTHY' });
    await removeDisk(id);
  });
});
