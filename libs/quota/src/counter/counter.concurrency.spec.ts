import { afterAll, beforeAll, expect, test } from 'vitest';
import { MuonError } from '#core';
import { statement, type Database, type Transaction } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { scopesRoom } from '#scopes';
import { besides, newTenant, roomDatabase, type RoomDatabase, type TestTenant } from '#testing';
import { auditCounters, QuotaLedger, quotaRoom, type Charge, type LimitChange } from '../index.js';
import { applyLimitChanges } from '../quota/quota.limits.js';
import { quotaId } from '../quota/quota.js';
import { setProjectLimits } from '../quota/quota.sql.js';
import { findUsage } from '../quota/usage.sql.js';

const ZONES = [null, 'zon_00000000000000000000000001', 'zon_00000000000000000000000002'];
const KEYS = ['disk.capacity', 'vm.count', 'vm.cpu'];

let room: RoomDatabase;
let pools: [Database, Database, Database];
const ledger = new QuotaLedger();

beforeAll(async () => {
  room = await roomDatabase([eventsRoom, scopesRoom, identityRoom, quotaRoom]);
  pools = [room.database, await room.another(), await room.another()];
});
afterAll(() => room.close());

const pool = (number: number): Database => pools[number % pools.length]!;

function limits(tenant: TestTenant, scopeId: string, lines: Record<string, number | null>, zoneId: string | null = null): LimitChange {
  return {
    scopeId,
    scopeName: scopeId,
    tenantId: tenant.id,
    tenantName: tenant.name,
    projectId: scopeId === tenant.id ? null : scopeId,
    quotaId: quotaId.create(),
    expectedVersion: null,
    replace: false,
    lines: Object.entries(lines).map(([resourceKey, limit]) => ({ resourceKey, zoneId, limit, field: 'input' })),
  };
}

async function setLimits(database: Database, ...changes: LimitChange[]): Promise<void> {
  await database.transaction((transaction) => applyLimitChanges(transaction, changes));
}

function charge(tenant: TestTenant, projectId: string, resourceId: string, amounts: Record<string, number>, zoneId: string | null = null): Charge {
  return { action: 'CHARGE', resourceId, resourceKind: 'vm', tenantId: tenant.id, projectId, zoneId, amounts };
}

/** How many were accepted; anything but QUOTA_EXCEEDED is an error of the test. */
async function accepted(attempts: Promise<unknown>[]): Promise<number> {
  const results = await Promise.allSettled(attempts);
  for (const result of results) {
    if (result.status === 'fulfilled') continue;
    expect(result.reason).toBeInstanceOf(MuonError);
    expect(result.reason).toMatchObject({ code: 'QUOTA_EXCEEDED' });
  }
  return results.filter((result) => result.status === 'fulfilled').length;
}

async function usedOf(scopeId: string, key: string): Promise<number | undefined> {
  const rows = await room.database.rows(findUsage, [scopeId]);
  return rows.find((row) => row.resource_key === key && row.zone_id === '')?.used_amount;
}

const noDrift = async (): Promise<void> => expect((await auditCounters(room.database)).drift).toEqual([]);

test.each(['tenant', 'project'])('exactly 50 of 200 at once succeed at a limit of 50 of the %s', async (level) => {
  const tenant = await newTenant(room.database);
  const project = tenant.projectIds[0]!;
  await setLimits(room.database, limits(tenant, level === 'tenant' ? tenant.id : project, { 'vm.count': 50 }));
  const attempts = Array.from({ length: 200 }, (_, index) =>
    pool(index).transaction((transaction) =>
      ledger.apply(transaction, [charge(tenant, project, `vm_${tenant.id}_${index}`, { 'vm.count': 1, 'vm.cpu': 2 })]),
    ),
  );
  expect(await accepted(attempts)).toBe(50);
  expect(await usedOf(project, 'vm.count')).toBe(50);
  expect(await usedOf(project, 'vm.cpu')).toBe(100);
  expect(await usedOf(tenant.id, 'vm.count')).toBe(50);
  await noDrift();
});

test('ten of forty, again and again, over two projects whose counters do not exist yet', async () => {
  for (let round = 0; round < 25; round += 1) {
    const tenant = await newTenant(room.database, 2);
    await setLimits(room.database, limits(tenant, tenant.id, { 'vm.count': 10 }));
    const attempts = Array.from({ length: 40 }, (_, index) =>
      pool(index).transaction((transaction) =>
        ledger.apply(transaction, [charge(tenant, tenant.projectIds[index % 2]!, `vm_${tenant.id}_${index}`, { 'vm.count': 1 })]),
      ),
    );
    expect(await accepted(attempts)).toBe(10);
    expect(await usedOf(tenant.id, 'vm.count')).toBe(10);
  }
  await noDrift();
});

test('the same resource charged and refunded by many at once is counted once or not at all', async () => {
  const tenant = await newTenant(room.database);
  const project = tenant.projectIds[0]!;
  await Promise.all(
    Array.from({ length: 60 }, (_, index) =>
      pool(index).transaction((transaction) =>
        ledger.apply(transaction, [
          index % 3 === 2 ? { action: 'REFUND', resourceId: 'vm_shared' } : charge(tenant, project, 'vm_shared', { 'vm.count': 1, 'vm.cpu': 4 }),
        ]),
      ),
    ),
  );
  expect([undefined, 1]).toContain(await usedOf(project, 'vm.count'));
  await noDrift();
});

test('carves and charges at once never give away more than the tenant has', async () => {
  for (let round = 0; round < 10; round += 1) {
    const tenant = await newTenant(room.database, 3);
    await setLimits(room.database, limits(tenant, tenant.id, { 'vm.count': 20 }));
    const attempts = Array.from({ length: 48 }, (_, index) => {
      const project = tenant.projectIds[index % 3]!;
      return pool(index).transaction((transaction) =>
        index % 8 === 7
          ? applyLimitChanges(transaction, [limits(tenant, project, { 'vm.count': 8 })])
          : ledger.apply(transaction, [charge(tenant, project, `vm_${tenant.id}_${index}`, { 'vm.count': 1 })]),
      );
    });
    const results = await Promise.allSettled(attempts);
    for (const result of results) {
      if (result.status === 'rejected') expect(['QUOTA_EXCEEDED', 'INVALID_STATE']).toContain((result.reason as MuonError).code);
    }
    expect(await usedOf(tenant.id, 'vm.count')).toBeLessThanOrEqual(20);
  }
  await noDrift();
});

/** A small generator with a seed, so that a failing history can be run again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

async function randomStep(transaction: Transaction, tenant: TestTenant, pick: (below: number) => number): Promise<void> {
  const project = tenant.projectIds[pick(tenant.projectIds.length)]!;
  const resource = (): string => `vm_${tenant.id}_${pick(30)}`;
  const amounts = (): Record<string, number> => Object.fromEntries(KEYS.map((key) => [key, pick(4)]));
  switch (pick(6)) {
    case 0:
      return ledger.refund(transaction, [resource(), resource(), resource()]);
    case 1:
      return applyLimitChanges(transaction, [
        { ...limits(tenant, project, { [KEYS[pick(3)]!]: pick(3) === 0 ? null : pick(30) }, ZONES[pick(3)]), replace: pick(8) === 0 },
      ]);
    case 2:
      return applyLimitChanges(transaction, [limits(tenant, tenant.id, { [KEYS[pick(3)]!]: pick(3) === 0 ? null : 20 + pick(60) }, ZONES[pick(3)])]);
    case 3:
      return ledger.apply(transaction, [
        { action: 'ADJUST', resourceId: resource(), amounts: amounts(), ...(pick(2) === 0 ? {} : { zoneId: ZONES[pick(3)]! }) },
      ]);
    default:
      return ledger.apply(transaction, [
        charge(tenant, project, resource(), { ...amounts(), 'vm.count': 1 }, ZONES[pick(3)]),
        charge(tenant, project, resource(), { ...amounts(), 'vm.count': 1 }, ZONES[pick(3)]),
        { action: 'REFUND', resourceId: resource() },
      ]);
  }
}

test.each([1, 2, 3, 4])('a random history of charges, refunds, resizes and carves at once leaves no drift (seed %i)', async (seed) => {
  const pick = random(seed);
  const tenant = await newTenant(room.database, 3);
  const codes = new Map<string, number>();
  const steps = Array.from({ length: 400 }, (_, index) => ({ index, seed: pick(2 ** 31) }));
  const worker = async (): Promise<void> => {
    for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
      const { index, seed: own } = step;
      try {
        // The same choices when a deadlock restarts the work.
        await pool(index).transaction((transaction) => randomStep(transaction, tenant, random(own)));
        codes.set('done', (codes.get('done') ?? 0) + 1);
      } catch (error) {
        const refusal = error as MuonError;
        // An adjustment of what is not charged is refused as a defect; one that meets another of the same resource, by CONFLICT.
        const known = ['QUOTA_EXCEEDED', 'INVALID_STATE', 'CONFLICT'].includes(refusal.code) || (refusal.detail ?? '').includes('not charged');
        if (!known) throw error;
        codes.set(refusal.code, (codes.get(refusal.code) ?? 0) + 1);
      }
    }
  };
  await Promise.all(Array.from({ length: 12 }, worker));
  await noDrift();
  const rows = await room.database.rows(findUsage, [tenant.id, ...tenant.projectIds]);
  for (const row of rows) expect(row.used_amount).toBeLessThanOrEqual(row.limit_amount ?? Infinity);
  // The history did something, and met its limits.
  expect(codes.get('done')).toBeGreaterThan(100);
  expect(codes.get('QUOTA_EXCEEDED')).toBeGreaterThan(0);
});

test('mutations of different resources never deadlock, however many counters they share and whether those exist yet', async () => {
  for (let round = 0; round < 6; round += 1) {
    const tenant = await newTenant(room.database, 3);
    const pick = random(round);
    const work = Array.from({ length: 60 }, (_, index) => async (transaction: Transaction): Promise<void> => {
      const [one, other] = [tenant.projectIds[index % 3]!, tenant.projectIds[(index + 1) % 3]!];
      const keys = [...KEYS].sort(() => pick(3) - 1);
      if (index % 6 === 5) {
        return applyLimitChanges(transaction, [limits(tenant, one, Object.fromEntries(keys.map((key) => [key, 100 + pick(100)])))]);
      }
      const amounts = Object.fromEntries(keys.map((key) => [key, 1]));
      await ledger.apply(transaction, [
        charge(tenant, one, `vm_${tenant.id}_${index}_a`, amounts, ZONES[pick(3)]),
        charge(tenant, other, `vm_${tenant.id}_${index}_b`, amounts, ZONES[pick(3)]),
      ]);
    });
    // One attempt each: a deadlock would be thrown, and not be mended by a second.
    await Promise.all(work.map((step, index) => pool(index).transaction(step, { attempts: 1 })));
  }
  await noDrift();
});

const waiting = statement<{ count: number }>(
  'spec.quota_waiting',
  `SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
);

/** Until so many sessions of this database wait for a lock. */
async function untilWaiting(sessions: number): Promise<void> {
  await expect.poll(async () => (await pools[2].first(waiting))?.count, { interval: 10 }).toBe(sessions);
}

const lockCounter = statement<unknown, [scopeId: string, key: string]>(
  'spec.quota_lock',
  `SELECT 1 FROM quota_counter WHERE scope_id = $1 AND resource_key = $2 AND zone_id = '' FOR UPDATE`,
);
const freeCounters = statement<{ scope_id: string; resource_key: string }, [scopeIds: string[]]>(
  'spec.quota_free',
  'SELECT scope_id, resource_key FROM quota_counter WHERE scope_id = ANY($1) ORDER BY 1, 2 FOR UPDATE SKIP LOCKED',
);

/** Holds a lock on one counter until told to let go. */
async function hold(scopeId: string, key: string): Promise<() => Promise<void>> {
  const held = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const work = pools[1].transaction(async (transaction) => {
    await transaction.rows(lockCounter, scopeId, key);
    held.resolve();
    await release.promise;
  });
  await held.promise;
  return async () => {
    release.resolve();
    await work;
  };
}

test('a charge that waits for a project’s counter holds no later one, and the tenant’s comes last', async () => {
  const tenant = await newTenant(room.database);
  const project = tenant.projectIds[0]!;
  const amounts = { 'vm.cpu': 1, 'disk.capacity': 1, 'vm.count': 1 };
  await room.database.transaction((transaction) => ledger.apply(transaction, [charge(tenant, project, 'vm_order_1', amounts)]));
  const letGo = await hold(project, 'vm.count');
  const charging = pools[0].transaction((transaction) => ledger.apply(transaction, [charge(tenant, project, 'vm_order_2', amounts)]));
  await untilWaiting(1);
  const free = await pools[2].transaction((transaction) => transaction.rows(freeCounters, [tenant.id, project]));
  // disk.capacity of the project is locked already, vm.count is what it waits for.
  expect(free.map((row) => `${row.scope_id === project ? 'project' : 'tenant'} ${row.resource_key}`).sort()).toEqual([
    'project vm.cpu',
    'tenant disk.capacity',
    'tenant vm.count',
    'tenant vm.cpu',
  ]);
  await letGo();
  await charging;
  await noDrift();
});

test('a charge that waited behind a carve pays by the carve, and no longer draws on the tenant', async () => {
  const tenant = await newTenant(room.database);
  const project = tenant.projectIds[0]!;
  await setLimits(room.database, limits(tenant, tenant.id, { 'vm.count': 6 }));
  await room.database.transaction((transaction) => ledger.apply(transaction, [charge(tenant, project, 'vm_c1', { 'vm.count': 2 })]));
  const carved = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const carving = pools[1].transaction(async (transaction) => {
    await applyLimitChanges(transaction, [limits(tenant, project, { 'vm.count': 6 })]);
    carved.resolve();
    await release.promise;
  });
  await carved.promise;
  const charging = pools[0].transaction((transaction) => ledger.apply(transaction, [charge(tenant, project, 'vm_c2', { 'vm.count': 4 })]));
  await untilWaiting(1);
  release.resolve();
  await carving;
  // At the tenant all 6 are given away: had it paid there, it would have been refused.
  await charging;
  expect(await usedOf(tenant.id, 'vm.count')).toBe(6);
  expect(await usedOf(project, 'vm.count')).toBe(6);
  await noDrift();
});

test('a charge of a carved project does not wait for its tenant’s counter', async () => {
  const tenant = await newTenant(room.database);
  const project = tenant.projectIds[0]!;
  await setLimits(room.database, limits(tenant, project, { 'vm.count': 6 }));
  const letGo = await hold(tenant.id, 'vm.count');
  await pools[0].transaction((transaction) => ledger.apply(transaction, [charge(tenant, project, 'vm_free', { 'vm.count': 1 })]));
  await letGo();
  await noDrift();
});

test('a carve that waited behind a charge which takes more than it leaves is refused as what it is', async () => {
  const tenant = await newTenant(room.database);
  const project = tenant.projectIds[0]!;
  const take = (transaction: Transaction, resourceId: string, count: number): Promise<unknown> =>
    ledger.apply(transaction, [charge(tenant, project, resourceId, { 'vm.count': count })]);
  await room.database.transaction((transaction) => take(transaction, 'vm_one', 1));
  // Behind the very statement, as a charge does that comes after what a carve does before it.
  const line = { resource_key: 'vm.count', zone_id: '', new_limit: 8 };
  const carved = await besides(
    room.database,
    (transaction) => take(transaction, 'vm_nine', 9),
    () => pools[1].transaction((transaction) => transaction.rows(setProjectLimits, project, JSON.stringify([line]))),
  );
  expect(carved).toMatchObject({ status: 'fulfilled', value: [{ scope_id: project, used_amount: 10, requested: null }] });
  expect(await usedOf(tenant.id, 'vm.count')).toBe(10);
  await noDrift();
});
