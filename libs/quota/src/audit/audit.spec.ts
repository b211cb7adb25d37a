import { afterAll, beforeAll, expect, test } from 'vitest';
import { statement, type Database } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { scopesRoom } from '#scopes';
import { newTenant, roomDatabase, type RoomDatabase } from '#testing';
import { auditCounters, QuotaLedger, quotaRoom, repairCounters } from '../index.js';

let room: RoomDatabase;
let database: Database;
const ledger = new QuotaLedger();

beforeAll(async () => {
  room = await roomDatabase([eventsRoom, scopesRoom, identityRoom, quotaRoom]);
  database = room.database;
});
afterAll(() => room.close());

const spoil = statement<never, [scopeId: string]>('spec.quota_spoil', 'UPDATE quota_counter SET used_amount = used_amount + 3 WHERE scope_id = $1');
const lose = statement<never, [scopeId: string]>('spec.quota_lose', 'DELETE FROM quota_counter WHERE scope_id = $1');

test('a counter that does not sum to its charges is found, named, and repaired only when told', async () => {
  const [one, two] = [await newTenant(database), await newTenant(database)];
  await database.transaction((transaction) =>
    ledger.charge(
      transaction,
      [one, two].map((tenant) => ({
        action: 'CHARGE',
        resourceId: `vm_${tenant.id}`,
        resourceKind: 'vm',
        tenantId: tenant.id,
        projectId: tenant.projectIds[0]!,
        zoneId: null,
        amounts: { 'vm.cpu': 4 },
      })),
    ),
  );
  expect(await auditCounters(database)).toEqual({ drift: [], truncated: false });
  await database.transaction(async (transaction) => {
    await transaction.execute(spoil, one.id);
    await transaction.execute(lose, two.projectIds[0]!);
  });
  const { drift } = await auditCounters(database);
  expect(drift).toEqual([
    { scope_id: one.id, tenant_id: one.id, project_id: null, resource_key: 'vm.cpu', zone_id: '', recorded: 7, expected: 4 },
    { scope_id: two.projectIds[0], tenant_id: two.id, project_id: two.projectIds[0], resource_key: 'vm.cpu', zone_id: '', recorded: 0, expected: 4 },
  ]);
  expect((await auditCounters(database, 1)).truncated).toBe(true);
  expect(await repairCounters(database, drift)).toBe(2);
  expect((await auditCounters(database)).drift).toEqual([]);
});

test('a repair beside charges that go on leaves nothing wrong', async () => {
  const tenant = await newTenant(database);
  const another = await room.another();
  const charges = Array.from({ length: 80 }, (_, index) => async () =>
    another.transaction((transaction) =>
      ledger.charge(transaction, [
        {
          action: 'CHARGE',
          resourceId: `vm_${tenant.id}_${index}`,
          resourceKind: 'vm',
          tenantId: tenant.id,
          projectId: tenant.projectIds[0]!,
          zoneId: null,
          amounts: { 'vm.cpu': 1, 'vm.count': 1 },
        },
      ]),
    ),
  );
  await charges[0]!();
  await database.transaction((transaction) => transaction.execute(spoil, tenant.id));
  const { drift } = await auditCounters(database);
  expect(drift).toHaveLength(2);
  await Promise.all([...charges.slice(1).map((charge) => charge()), repairCounters(database, drift), repairCounters(database, drift)]);
  expect((await auditCounters(database)).drift).toEqual([]);
});
