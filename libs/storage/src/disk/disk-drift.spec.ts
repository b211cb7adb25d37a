import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLogger } from '#core';
import { FaultKind } from '#driver-simulated';
import type { DriverCall } from '#drivers';
import type { ReconcilerContext } from '#operations';
import { datacenterDatabase, newTenantInAllZones, systemAccess, testDatacenter, type RoomDatabase, type TestDatacenter } from '#testing';
import { diskDrift, DiskRealiser, DiskService, findDisks, storageOperations, storageRoom } from '../index.js';

let room: RoomDatabase;
let center: TestDatacenter;
let disks: DiskService;
let projectId: string;
let diskId: string;

beforeAll(async () => {
  room = await datacenterDatabase([storageRoom]);
  center = await testDatacenter(room, { hosts: 1, kinds: (drivers) => storageOperations(new DiskRealiser(drivers, { settleMs: 150 })) });
  const tenant = await newTenantInAllZones(room.database);
  disks = new DiskService(center.commands, center.ledger);
  projectId = tenant.projectIds[0] ?? '';
  const { result } = await disks.create(systemAccess(), { projectId, name: 'data', sizeGib: 10 });
  expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
  diskId = String(result.id);
});
afterAll(async () => {
  await center.close();
  await room.close();
});

const call = (key: string): DriverCall => ({ idempotencyKey: key, timeoutMs: 5000, signal: new AbortController().signal });

const HOUR_MS = 3_600_000;

/** What looks report, as disk and size. */
async function reported(graceMs = 0, looks = 1): Promise<unknown[]> {
  const lines: { diskId?: string; gib?: number | null }[] = [];
  const log = createLogger('spec', 'error', { write: (line: string) => void lines.push(JSON.parse(line)) });
  const context: ReconcilerContext = {
    signal: new AbortController().signal,
    fence: 1,
    reader: room.database,
    log,
    submit: async (changes) => center.operations.submit(changes),
  };
  const drift = diskDrift(center.drivers, { graceMs });
  for (let look = 0; look < looks; look += 1) await drift.run(context);
  return lines.map((line) => [line.diskId, line.gib]);
}

/** The backend has it in another size, and says that it is of this installation. */
async function remade(sizeGib: number, installationId: string): Promise<void> {
  const { storage } = await center.drivers.driver(center.backendId);
  await storage.deleteDisk(call(`${sizeGib}/gone`), diskId);
  const ownership = { installationId, tenantId: 'ten', projectId: 'prj' };
  await storage.createDisk(call(`${sizeGib}/made`), { diskId, ownership, poolName: 'local', hostName: 'host-1', sizeGib, iopsLimit: null, imageReference: null });
}

it('reports a disk that is missing or too small, but not one of which its backend tells no more than that it has it', async () => {
  expect((await room.database.rows(findDisks, [diskId]))[0]).toMatchObject({ size_gib: 10 });
  expect(await reported()).toEqual([]);
  await remade(2, 'ins_ours');
  expect(await reported()).toEqual([[diskId, 2]]);
  await remade(1, '');
  expect(await reported()).toEqual([]);
  const { storage } = await center.drivers.driver(center.backendId);
  await storage.deleteDisk(call('gone'), diskId);
  expect(await reported()).toEqual([[diskId, null]]);
  expect(await reported(HOUR_MS)).toEqual([[diskId, null]]);
});

it('asks for a disk that has only just been changed where a listing shows what was before', async () => {
  const { result } = await disks.create(systemAccess(), { projectId, name: 'grown', sizeGib: 10 });
  expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
  await center.world.addFault({ kind: FaultKind.STALE_LISTING, method: 'listDisks', delayMs: HOUR_MS });
  const resized = await disks.resize(systemAccess(), { id: String(result.id), sizeGib: 20 });
  expect((await center.ended(resized.result.operationId)).state).toBe('SUCCEEDED');
  const { result: made } = await disks.create(systemAccess(), { projectId, name: 'made', sizeGib: 10 });
  expect((await center.ended(made.operationId)).state).toBe('SUCCEEDED');
  expect(await reported(HOUR_MS)).toEqual([[diskId, null]]);
});

it('reports a missing disk once, not at every look', async () => {
  await center.world.clearFaults();
  expect(await reported(0, 2)).toEqual([[diskId, null]]);
});
