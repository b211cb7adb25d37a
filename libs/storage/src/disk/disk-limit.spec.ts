import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '#core';
import { ROWS, statement } from '#database';
import type { DriverCall } from '#drivers';
import { lockResources, operationId, OPERATIONS, type ReconcilerContext } from '#operations';
import { datacenterDatabase, newTenantInAllZones, systemAccess, testDatacenter, type RoomDatabase, type TestDatacenter, type TestTenant } from '#testing';
import type { StoragePolicyRow } from '../storage-policy/storage-policy.js';
import { diskDrift, diskId, DiskRealiser, DiskService, findDisks, planDiskLimit, planDisks, planDiskSuccessor, storageOperations, storageRoom, type DiskRow } from '../index.js';

const setLimit = statement<{ id: string }, [id: string, limit: number | null]>('spec.disk_set_limit', 'UPDATE disk SET iops_limit = $2 WHERE id = $1 RETURNING id');
const setCapability = statement<{ id: string }, [can: boolean]>(
  'spec.disk_capability',
  `UPDATE backend SET capabilities = capabilities || jsonb_build_object('iopsLimit', $1::boolean) RETURNING id`,
);
const setOptions = statement<{ id: string }, [options: string]>('spec.disk_backend_options', 'UPDATE backend SET options = $1::jsonb, version = version + 1 RETURNING id');
const locked = statement<{ resource_id: string }, [operationId: string]>('spec.disk_locked', 'SELECT resource_id FROM resource_lock WHERE operation_id = $1 ORDER BY 1');

const longAgo = statement<{ id: string }, [diskId: string]>(
  'spec.disk_long_ago',
  `UPDATE operation SET ended_at = ended_at - interval '11 minutes' WHERE resource_id = $1 AND state = 'FAILED' RETURNING id`,
);

const call = (key: string): DriverCall => ({ idempotencyKey: key, timeoutMs: 5000, signal: new AbortController().signal });

describe('limits of disks on a simulated datacenter', () => {
  let room: RoomDatabase;
  let center: TestDatacenter;
  let disks: DiskService;
  let tenant: TestTenant;
  const access = systemAccess();
  const projectId = (): string => tenant.projectIds[0] ?? '';

  beforeAll(async () => {
    room = await datacenterDatabase([storageRoom]);
    center = await testDatacenter(room, { hosts: 1, poolGib: 1000, kinds: (drivers) => storageOperations(new DiskRealiser(drivers, { settleMs: 150 })) });
    disks = new DiskService(center.commands, center.ledger);
  });
  beforeEach(async () => {
    tenant = await newTenantInAllZones(room.database);
  });
  afterEach(() => center.world.clearFaults());
  afterAll(async () => {
    await center.close();
    await room.close();
  });

  const row = async (id: string): Promise<DiskRow> => (await room.database.rows(findDisks, [id]))[0] as DiskRow;
  /** What the row wants and knows, and what the backend has. */
  const limits = async (id: string): Promise<(number | null | undefined)[]> => {
    const { iops_limit: wanted, realised_iops_limit: known } = await row(id);
    const { storage } = await center.drivers.driver(center.backendId);
    return [wanted, known, (await storage.getDisk(call('look'), id))?.iopsLimit];
  };

  async function plain(name: string): Promise<string> {
    const { result } = await disks.create(access, { projectId: projectId(), name, sizeGib: 10 });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    return String(result.id);
  }

  /** As whoever plans disks by a policy makes one. */
  async function limited(iopsLimit: number | null): Promise<string> {
    const { datastore_id: datastoreId, zone_id: zoneId, backend_id: backendId } = await row(await plain('beside'));
    const scope = { tenantId: tenant.id, projectId: projectId() };
    const request = { ...scope, name: 'limited', datastoreId, zoneId, sizeGib: 10, iopsLimit, imageReference: null, ownerId: null };
    const { changes, disks: planned } = await planDisks(room.database, [request], { showDatastores: false });
    const [id, operation] = [planned[0]?.diskId ?? '', operationId.create()];
    const input = { diskId: id, zoneIds: [] };
    changes.add(OPERATIONS, { id: operation, kind: 'storage.disk.create', resourceKind: diskId.prefix, resourceId: id, ...scope, backendId, input });
    lockResources(changes, operation, [id]);
    await center.operations.submit(changes);
    expect((await center.ended(operation)).state).toBe('SUCCEEDED');
    return id;
  }

  async function startLimit(id: string, toLimit: number | null): Promise<unknown> {
    return (await center.operations.submit(planDiskLimit(await row(id), toLimit)))['operationId'];
  }

  it('a disk is made with the limit that it was planned with, or with none', async () => {
    expect(await limits(await limited(500))).toEqual([500, 500, 500]);
    expect(await limits(await plain('data'))).toEqual([null, null, null]);
  });

  it('a disk has the limit of its policy, unless it was planned with another', async () => {
    const { datastore_id: datastoreId, zone_id: zoneId } = await row(await plain('beside'));
    const scope = { tenantId: tenant.id, projectId: projectId(), datastoreId, zoneId, sizeGib: 10, imageReference: null, ownerId: null };
    const storagePolicy = { id: 'stp_1', name: 'slow', costs: {}, datastore_kinds: [], iops_limit: 200 } as unknown as StoragePolicyRow;
    const requests = [{ name: 'one' }, { name: 'two', iopsLimit: null }, { name: 'three', iopsLimit: 100 }].map((each) => ({ ...scope, ...each, storagePolicy }));
    const { changes } = await planDisks(room.database, requests, { showDatastores: false });
    expect(changes.items(ROWS).map((item) => 'insert' in item && item.insert['iops_limit'])).toEqual([200, null, 100]);
  });

  it('a limit is set, changed and lifted', async () => {
    const id = await plain('data');
    const { version } = await row(id);
    for (const limit of [500, 700, null]) {
      expect((await center.ended(await startLimit(id, limit))).state).toBe('SUCCEEDED');
      expect(await limits(id)).toEqual([limit, limit, limit]);
    }
    expect((await row(id)).version).toBe(version + 3);
  });

  it('the limit of before holds again when a change has failed, also when a lost call comes late', async () => {
    const id = await limited(500);
    await center.world.addFault({ kind: 'REFUSED', method: 'limitDisk' });
    expect(await center.ended(await startLimit(id, 900))).toMatchObject({ state: 'FAILED', not_restored: [], error: { code: 'BACKEND_FAILED' } });
    expect(await limits(id)).toEqual([500, 500, 500]);
    await center.world.addFault({ kind: 'LATE_EFFECT', method: 'limitDisk', delayMs: 100, uncancellable: true });
    await center.world.addFault({ kind: 'REFUSED', method: 'limitDisk' });
    expect((await center.ended(await startLimit(id, 900))).state).toBe('FAILED');
    await center.world.landPending();
    expect(await limits(id)).toEqual([500, 500, 500]);
  });

  it('the limit of before is left to later, and told, when nobody can set it: the machine that has the disk does not wait for that', async () => {
    const id = await limited(500);
    await center.world.addFault({ kind: 'UNAVAILABLE', method: 'limitDisk', times: 1000 });
    const operation = String(await startLimit(id, 900));
    await expect.poll(async () => (await center.world.faults())[0]?.fired ?? 0).toBeGreaterThan(0);
    await center.operations.cancel(operation);
    expect(await center.ended(operation, 30_000)).toMatchObject({ state: 'CANCELLED', not_restored: [{ resourceId: id, message: expect.stringContaining('could not be set') }] });
    expect(await limits(id)).toEqual([500, 500, 500]);
    expect(await room.database.rows(locked, operation)).toEqual([]);
  });

  it.each(['LOST_ANSWER', 'BUSY', 'UNAVAILABLE', 'STILL_RUNNING'] as const)('a change goes on after %s', async (kind) => {
    const id = await plain('data');
    await center.world.addFault({ kind, method: 'limitDisk', delayMs: 50 });
    expect((await center.ended(await startLimit(id, 500))).state).toBe('SUCCEEDED');
    expect((await center.world.faults()).map((fault) => fault.fired)).toEqual([1]);
    expect(await limits(id)).toEqual([500, 500, 500]);
  });

  it('a disk whose row has another limit than its backend is known to have gets it with the next change', async () => {
    const id = await plain('data');
    await room.database.rows(setLimit, id, 400);
    const { result } = await disks.resize(access, { id, sizeGib: 20 });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect([...(await limits(id)), (await row(id)).realised_gib]).toEqual([400, 400, 400, 20]);
  });

  it('a change holds the disk, and the machine that has it', async () => {
    const id = await plain('data');
    await center.world.addFault({ kind: 'UNAVAILABLE', method: 'limitDisk', times: 3 });
    const operation = String((await center.operations.submit(planDiskLimit({ ...(await row(id)), owner_id: 'vm_holder' }, 500)))['operationId']);
    expect((await room.database.rows(locked, operation)).map((lock) => lock.resource_id)).toEqual([id, 'vm_holder']);
    await expect(disks.resize(access, { id, sizeGib: 20 })).rejects.toMatchObject({ code: 'RESOURCE_BUSY' });
    expect((await center.ended(operation)).state).toBe('SUCCEEDED');
  });

  it('the successor of a disk that is lost has its limit', async () => {
    const lost = await row(await limited(500));
    const changes = await planDiskSuccessor(room.database, lost, { diskId: diskId.create(), datastoreId: lost.datastore_id });
    expect(changes.items(ROWS)).toEqual([expect.objectContaining({ insert: expect.objectContaining({ iops_limit: 500 }) })]);
  });

  it('no disk is planned with a limit where its backend cannot hold it to one', async () => {
    await plain('known');
    await room.database.rows(setCapability, false);
    try {
      await expect(limited(500)).rejects.toMatchObject({ code: 'UNSUPPORTED', data: { capability: 'iopsLimit' } });
    } finally {
      await room.database.rows(setCapability, true);
    }
  });

  describe('behind its back', () => {
    /** One look; its lines of the log, and the operations that it has started. */
    async function look(): Promise<{ lines: unknown[]; started: unknown[] }> {
      const [lines, started]: [{ msg: string }[], unknown[]] = [[], []];
      const log = createLogger('spec', 'warn', { write: (line: string) => void lines.push(JSON.parse(line)) });
      const signal = new AbortController().signal;
      const submit: ReconcilerContext['submit'] = async (changes) => {
        for (const item of changes.items(OPERATIONS)) if ('id' in item) item.origin = 'RECONCILER';
        const result = await center.operations.submit(changes);
        started.push(result['operationId']);
        return result;
      };
      await diskDrift(center.drivers, { graceMs: 0 }).run({ signal, fence: 1, reader: room.database, log, submit });
      return { lines: lines.map((line) => line.msg), started };
    }

    it('a disk that is held to another limit is held to its own again, and its row stays as it is', async () => {
      const ids = [await limited(500), await plain('data')];
      const { version } = await row(ids[0] as string);
      expect(await look()).toEqual({ lines: [], started: [] });
      const { storage } = await center.drivers.driver(center.backendId);
      for (const [id, limit] of [[ids[0], null], [ids[1], 9]] as [string, number | null][]) await storage.limitDisk(call(`${id}/behind`), id, limit);
      const { lines, started } = await look();
      expect(lines).toEqual(Array(2).fill('a disk has another limit than it shall have and is held to its own again'));
      for (const operation of started) expect((await center.ended(operation)).state).toBe('SUCCEEDED');
      expect([await limits(ids[0] as string), await limits(ids[1] as string)]).toEqual([[500, 500, 500], [null, null, null]]);
      expect((await row(ids[0] as string)).version).toBe(version);
      expect(await look()).toEqual({ lines: [], started: [] });
    });

    it('a limit that its backend knows no more is reported, and nothing begun there, nor of limits that others have set', async () => {
      const [id, other] = [await limited(500), await plain('data')];
      await (await center.drivers.driver(center.backendId)).storage.limitDisk(call('by hand'), other, 9);
      await room.database.rows(setOptions, JSON.stringify({ capabilities: { iopsLimit: false } }));
      try {
        await expect.poll(async () => (await center.drivers.driver(center.backendId)).capabilities.iopsLimit).toBe(false);
        await (await center.drivers.driver(center.backendId)).storage.limitDisk(call('lifted'), id, null);
        expect(await look()).toEqual({ lines: ['a disk has a limit that its backend cannot hold it to'], started: [] });
      } finally {
        await room.database.rows(setOptions, JSON.stringify({}));
        await expect.poll(async () => (await center.drivers.driver(center.backendId)).capabilities.iopsLimit).toBe(true);
      }
      for (const operation of (await look()).started) expect((await center.ended(operation)).state).toBe('SUCCEEDED');
      expect([await limits(id), await limits(other)]).toEqual([[500, 500, 500], [null, null, null]]);
    });

    it('a disk that cannot be held to its limit again keeps that, and is left alone for a while', async () => {
      const id = await limited(500);
      const { storage } = await center.drivers.driver(center.backendId);
      await storage.limitDisk(call('behind'), id, 9);
      await center.world.addFault({ kind: 'REFUSED', method: 'limitDisk' });
      const { started } = await look();
      expect((await center.ended(started[0])).state).toBe('FAILED');
      expect(await limits(id)).toEqual([500, 500, 9]);
      expect(await look()).toEqual({ lines: [], started: [] });
      await room.database.rows(longAgo, id);
      const again = await look();
      expect((await center.ended(again.started[0])).state).toBe('SUCCEEDED');
      expect(await limits(id)).toEqual([500, 500, 500]);
    });
  });
});
