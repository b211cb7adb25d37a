import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLogger } from '#core';
import { insertRows } from '#database';
import type { DriverCall } from '#drivers';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import { operationsRoom, type ReconcilerContext } from '#operations';
import { placementRoom } from '#placement';
import { quotaRoom } from '#quota';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { tenancyRoom } from '#tenancy';
import { newTenant, roomDatabase, systemAccess, testDatacenter, type RoomDatabase, type TestDatacenter } from '#testing';
import { diskDrift, DiskRealiser, DiskService, findDisks, storageOperations, storageRoom } from '../index.js';

let room: RoomDatabase;
let center: TestDatacenter;
let diskId: string;

beforeAll(async () => {
  room = await roomDatabase([
    secretsRoom, eventsRoom, scopesRoom, identityRoom, quotaRoom, operationsRoom, infrastructureRoom, tenancyRoom, placementRoom, storageRoom,
  ]);
  center = await testDatacenter(room, { hosts: 1, kinds: (drivers) => storageOperations(new DiskRealiser(drivers, { settleMs: 150 })) });
  const tenant = await newTenant(room.database);
  const row = { id: tenant.id, tenant_id: tenant.id, display_name: tenant.name, all_zones: true };
  await room.database.transaction((transaction) => insertRows(transaction, 'tenant', [row]));
  const disks = new DiskService(center.commands, center.ledger);
  const { result } = await disks.create(systemAccess(), { projectId: tenant.projectIds[0] ?? '', name: 'data', sizeGib: 10 });
  expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
  diskId = String(result.id);
});
afterAll(async () => {
  await center.close();
  await room.close();
});

const call = (key: string): DriverCall => ({ idempotencyKey: key, timeoutMs: 5000, signal: new AbortController().signal });

/** What one look reports, as disk and size. */
async function reported(): Promise<unknown[]> {
  const lines: { diskId?: string; gib?: number | null }[] = [];
  const log = createLogger('spec', 'error', { write: (line: string) => void lines.push(JSON.parse(line)) });
  const context: ReconcilerContext = {
    signal: new AbortController().signal,
    fence: 1,
    reader: room.database,
    log,
    submit: async (changes) => center.operations.submit(changes),
  };
  await diskDrift(center.drivers, { graceMs: 0 }).run(context);
  return lines.map((line) => [line.diskId, line.gib]);
}

/** The backend has it in another size, and says that it is of this installation. */
async function remade(sizeGib: number, installationId: string): Promise<void> {
  const { storage } = await center.drivers.driver(center.backendId);
  await storage.deleteDisk(call(`${sizeGib}/gone`), diskId);
  const ownership = { installationId, tenantId: 'ten', projectId: 'prj' };
  await storage.createDisk(call(`${sizeGib}/made`), { diskId, ownership, poolName: 'local', hostName: 'host-1', sizeGib, imageReference: null });
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
});
