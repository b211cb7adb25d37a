import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { schemaDrift, statement, type Database } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { scopesRoom } from '#scopes';
import { newTenant, roomDatabase, type RoomDatabase } from '#testing';
import { auditCounters, findCharges, QuotaLedger, quotaRoom, registerQuotaSections, type Charge } from '../index.js';
import { applyLimitChanges } from '../quota/quota.limits.js';
import { quotaId } from '../quota/quota.js';
import { findUsage } from '../quota/usage.sql.js';

const ZONE = 'zon_00000000000000000000000001';
const OTHER_ZONE = 'zon_00000000000000000000000002';

let room: RoomDatabase;
let database: Database;
let tenant: string;
let project: string;
const ledger = new QuotaLedger();

beforeAll(async () => {
  room = await roomDatabase([eventsRoom, scopesRoom, identityRoom, quotaRoom]);
  database = room.database;
  registerQuotaSections(room.applier, ledger);
});
afterAll(() => room.close());
const noDrift = async (): Promise<void> => expect((await auditCounters(database)).drift).toEqual([]);
afterEach(noDrift);

async function fresh(): Promise<void> {
  const made = await newTenant(database);
  tenant = made.id;
  project = made.projectIds[0]!;
}

async function limit(scopeId: string, lines: [key: string, zoneId: string | null, limit: number | null][]): Promise<void> {
  await database.transaction((transaction) =>
    applyLimitChanges(transaction, [
      {
        scopeId,
        scopeName: scopeId,
        tenantId: tenant,
        tenantName: tenant,
        projectId: scopeId === tenant ? null : scopeId,
        quotaId: quotaId.create(),
        expectedVersion: null,
        replace: false,
        lines: lines.map(([resourceKey, zoneId, amount]) => ({ resourceKey, zoneId, limit: amount, field: 'input' })),
      },
    ]),
  );
}

function charge(resourceId: string, amounts: Record<string, number>, zoneId: string | null = null): Charge {
  return { action: 'CHARGE', resourceId, resourceKind: 'vm', tenantId: tenant, projectId: project, zoneId, amounts };
}

async function apply(...charges: Charge[]): Promise<void> {
  await database.transaction((transaction) => ledger.apply(transaction, charges));
}

/** `key zone` → used, of the counters that are not at zero. */
async function used(scopeId: string): Promise<Record<string, number>> {
  const rows = await database.rows(findUsage, [scopeId]);
  return Object.fromEntries(rows.flatMap((row) => (row.used_amount === 0 ? [] : [[`${row.resource_key} ${row.zone_id}`.trim(), row.used_amount]])));
}

interface Metering {
  resource_key: string;
  zone_id: string;
  amount: number;
  open: boolean;
  gapless: boolean;
}
const meteringOf = statement<Metering, [resourceId: string]>(
  'spec.quota_metering',
  `SELECT resource_key, zone_id, amount, to_at IS NULL AS open,
     coalesce(lag(to_at) OVER (PARTITION BY resource_key ORDER BY from_at, id) = from_at, true) AS gapless
   FROM (
     SELECT id, resource_id, resource_key, zone_id, amount, from_at, to_at FROM metering_record
     UNION ALL SELECT metering_id, resource_id, resource_key, zone_id, amount, charged_at, NULL FROM quota_charge
   ) AS record
   WHERE resource_id = $1 ORDER BY resource_key, from_at, id`,
);

test('the tables are what the entities describe', async () => {
  expect(await schemaDrift(database)).toEqual([]);
});

test('a charge is counted at the project and at the tenant that pays; a key without a limit too', async () => {
  await fresh();
  await apply(charge('vm_1', { 'vm.cpu': 4, 'vm.memory': 1024, 'gpu.count': 0 }), charge('vm_2', { 'vm.cpu': 2 }));
  expect(await used(project)).toEqual({ 'vm.cpu': 6, 'vm.memory': 1024 });
  expect(await used(tenant)).toEqual({ 'vm.cpu': 6, 'vm.memory': 1024 });
  await apply({ action: 'REFUND', resourceId: 'vm_1' }, { action: 'REFUND', resourceId: 'vm_2' });
  expect(await used(project)).toEqual({});
  expect(await used(tenant)).toEqual({});
});

test('what has no project is the tenant’s alone', async () => {
  await fresh();
  await apply({ ...charge('img_1', { 'image.count': 1 }), projectId: null } as Charge);
  expect(await used(project)).toEqual({});
  expect(await used(tenant)).toEqual({ 'image.count': 1 });
  await apply({ action: 'REFUND', resourceId: 'img_1' });
  expect(await used(tenant)).toEqual({});
});

test('charging and refunding again changes nothing', async () => {
  await fresh();
  await apply(charge('vm_3', { 'vm.cpu': 4 }));
  await apply(charge('vm_3', { 'vm.cpu': 4 }));
  await apply(charge('vm_3', { 'vm.cpu': 9, 'vm.count': 1 }));
  expect(await used(project)).toEqual({ 'vm.cpu': 4, 'vm.count': 1 });
  await apply({ action: 'REFUND', resourceId: 'vm_3' });
  await apply({ action: 'REFUND', resourceId: 'vm_3' });
  expect(await used(tenant)).toEqual({});
  // A failed one that is tried again is charged again.
  await apply(charge('vm_3', { 'vm.cpu': 4 }));
  expect(await used(tenant)).toEqual({ 'vm.cpu': 4 });
  await apply({ action: 'REFUND', resourceId: 'vm_3' });
});

test('the limit itself may be reached, and not one more; the refusal names every counter and changes nothing', async () => {
  await fresh();
  await limit(tenant, [
    ['vm.cpu', null, 8],
    ['vm.memory', null, 100],
  ]);
  await apply(charge('vm_4', { 'vm.cpu': 8, 'vm.memory': 10 }));
  const refused = apply(charge('vm_5', { 'vm.cpu': 1, 'vm.memory': 91, 'vm.count': 1 }));
  await expect(refused).rejects.toMatchObject({
    code: 'QUOTA_EXCEEDED',
    data: {
      key: 'vm.cpu',
      zoneId: null,
      scopeId: tenant,
      scopeKind: 'TENANT',
      limit: 8,
      used: 8,
      requested: 1,
      refused: [{ key: 'vm.cpu' }, { key: 'vm.memory', limit: 100, used: 10, requested: 91 }],
    },
  });
  await expect(refused).rejects.toThrow(/may use 8 of vm.cpu: 8 are used, 1 more are needed/);
  expect(await used(project)).toEqual({ 'vm.cpu': 8, 'vm.memory': 10 });
  expect(await database.rows(findCharges, ['vm_5'])).toEqual([]);
});

test('a limit in a zone and one for all zones are separate counters, and each is charged', async () => {
  await fresh();
  await limit(tenant, [
    ['vm.count', null, 3],
    ['vm.count', ZONE, 2],
  ]);
  await apply(charge('vm_6', { 'vm.count': 1 }, ZONE), charge('vm_7', { 'vm.count': 1 }, ZONE));
  await expect(apply(charge('vm_8', { 'vm.count': 1 }, ZONE))).rejects.toMatchObject({ data: { zoneId: ZONE, limit: 2, used: 2 } });
  await apply(charge('vm_9', { 'vm.count': 1 }, OTHER_ZONE));
  await expect(apply(charge('vm_10', { 'vm.count': 1 }))).rejects.toMatchObject({ data: { zoneId: null, limit: 3, used: 3 } });
  expect(await used(tenant)).toEqual({ 'vm.count': 3, [`vm.count ${ZONE}`]: 2, [`vm.count ${OTHER_ZONE}`]: 1 });
});

test('one change set counts as one: what it gives back makes room for what it takes', async () => {
  await fresh();
  await limit(tenant, [['vm.cpu', null, 4]]);
  await apply(charge('vm_11', { 'vm.cpu': 4 }));
  await apply(charge('vm_12', { 'vm.cpu': 4 }), { action: 'REFUND', resourceId: 'vm_11' });
  expect(await used(tenant)).toEqual({ 'vm.cpu': 4 });
});

test('an adjustment takes and gives the difference, drops keys that are not named, and may move to another zone', async () => {
  await fresh();
  await limit(tenant, [['vm.cpu', null, 8]]);
  await apply(charge('vm_13', { 'vm.cpu': 4, 'gpu.count': 1, 'vm.count': 1 }, ZONE));
  await apply({ action: 'ADJUST', resourceId: 'vm_13', amounts: { 'vm.cpu': 8, 'vm.count': 1, 'fpga.count': 2 } });
  expect(await used(project)).toEqual({
    'vm.cpu': 8,
    'vm.count': 1,
    'fpga.count': 2,
    [`vm.cpu ${ZONE}`]: 8,
    [`vm.count ${ZONE}`]: 1,
    [`fpga.count ${ZONE}`]: 2,
  });
  await expect(apply({ action: 'ADJUST', resourceId: 'vm_13', amounts: { 'vm.cpu': 9 } })).rejects.toMatchObject({
    code: 'QUOTA_EXCEEDED',
    data: { used: 8, requested: 1 },
  });
  await apply({ action: 'ADJUST', resourceId: 'vm_13', amounts: { 'vm.cpu': 2, 'vm.count': 1 }, zoneId: OTHER_ZONE });
  expect(await used(tenant)).toEqual({
    'vm.cpu': 2,
    'vm.count': 1,
    [`vm.cpu ${OTHER_ZONE}`]: 2,
    [`vm.count ${OTHER_ZONE}`]: 1,
  });
  await expect(apply({ action: 'ADJUST', resourceId: 'vm_none', amounts: { 'vm.cpu': 9 } })).rejects.toMatchObject({ code: 'INTERNAL' });
});

test('metering: a record for each amount and time, without a gap, closed by the refund', async () => {
  await fresh();
  await apply(charge('vm_14', { 'vm.cpu': 4, 'gpu.count': 1 }, ZONE));
  await apply({ action: 'ADJUST', resourceId: 'vm_14', amounts: { 'vm.cpu': 8, 'gpu.count': 1 } });
  await apply({ action: 'ADJUST', resourceId: 'vm_14', amounts: { 'vm.cpu': 8 } });
  const record = (resource_key: string, amount: number, open: boolean): Metering => ({
    resource_key,
    zone_id: ZONE,
    amount,
    open,
    gapless: true,
  });
  expect(await database.rows(meteringOf, 'vm_14')).toEqual([
    record('gpu.count', 1, false),
    record('vm.cpu', 4, false),
    record('vm.cpu', 8, true),
  ]);
  await apply({ action: 'REFUND', resourceId: 'vm_14' });
  expect((await database.rows(meteringOf, 'vm_14')).map((row) => row.open)).toEqual([false, false, false]);
});

test('twenty machines of four keys change each counter once', async () => {
  await fresh();
  const machines = Array.from({ length: 20 }, (_, index) =>
    charge(`vm_20_${index}`, { 'vm.count': 1, 'vm.cpu': 2, 'vm.memory': 512, 'disk.capacity': 10 }, ZONE),
  );
  const writes = statement<{ updates: number }>(
    'spec.quota_writes',
    `SELECT n_tup_upd::bigint + coalesce(pg_stat_get_xact_tuples_updated('quota_counter'::regclass), 0) AS updates
     FROM pg_stat_user_tables WHERE relname = 'quota_counter'`,
  );
  const updates = await database.transaction(async (transaction) => {
    const before = await transaction.first(writes);
    await ledger.apply(transaction, machines);
    return (await transaction.first(writes))!.updates - before!.updates;
  });
  // Four keys, in all zones and in one, of a project and of its tenant.
  expect(updates).toBe(16);
  expect(await used(tenant)).toMatchObject({ 'vm.count': 20, 'vm.cpu': 40, 'vm.memory': 10_240, [`disk.capacity ${ZONE}`]: 200 });
  await database.transaction((transaction) => ledger.refund(transaction, machines.map((item) => item.resourceId)));
  expect(await used(tenant)).toEqual({});
});

test('a preview says what each counter would be, and refuses as the charge would, without touching anything', async () => {
  await fresh();
  await limit(tenant, [['vm.cpu', null, 10]]);
  await apply(charge('vm_15', { 'vm.cpu': 6 }));
  const preview = await ledger.preview(database, [charge('vm_16', { 'vm.cpu': 6, 'vm.count': 1 })]);
  expect(preview.problems).toMatchObject([{ code: 'QUOTA_EXCEEDED', data: { key: 'vm.cpu', limit: 10, used: 6, requested: 6 } }]);
  expect(preview.lines).toContainEqual({
    scopeId: tenant,
    scopeName: expect.any(String) as string,
    scopeKind: 'TENANT',
    resourceKey: 'vm.cpu',
    zoneId: null,
    limit: 10,
    used: 6,
    requested: 6,
    remaining: -2,
  });
  expect(preview.lines).toContainEqual(expect.objectContaining({ scopeId: project, resourceKey: 'vm.count', remaining: null }));
  const resize = await ledger.preview(database, [{ action: 'ADJUST', resourceId: 'vm_15', amounts: { 'vm.cpu': 10 } }]);
  expect(resize).toMatchObject({ problems: [], lines: [{ requested: 4 }, { requested: 4 }] });
  const swap = await ledger.preview(database, [{ action: 'REFUND', resourceId: 'vm_15' }, charge('vm_16', { 'vm.cpu': 10 })]);
  expect(swap.problems).toEqual([]);
  expect(await used(tenant)).toEqual({ 'vm.cpu': 6 });
});

test('a wrong amount or key is a defect of the caller’s, and writes nothing', async () => {
  await fresh();
  for (const amounts of [{ cpu: 1 }, { 'vm.cpu': -1 }, { 'vm.cpu': 1.5 }, { 'vm.cpu': 1e13 }, { 'VM.cpu': 1 }]) {
    await expect(apply(charge('vm_17', amounts))).rejects.toMatchObject({ code: 'INTERNAL' });
  }
});
