import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { statement, type Database, type Reader } from '#database';
import { eventsRoom } from '#events';
import { CommandRunner, identityRoom, type Access } from '#identity';
import { registerScopeSections, scopesRoom } from '#scopes';
import { accessWith, newTenant, roomDatabase, systemAccess, type RoomDatabase, type TestTenant } from '#testing';
import { auditCounters, QuotaLedger, quotaRoom, QuotaService, registerQuotaSections, removeQuotaOf } from '../index.js';

const ZONE = 'zon_00000000000000000000000001';
const NO_ZONE = 'zon_00000000000000000000000099';

let room: RoomDatabase;
let database: Database;
let service: QuotaService;
let tenant: TestTenant;
let project: string;
let other: string;
const operator = systemAccess();
const ledger = new QuotaLedger();

const owner = (): Access => accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]);
const projectOwner = (): Access => accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: project }]);

beforeAll(async () => {
  room = await roomDatabase([eventsRoom, scopesRoom, identityRoom, quotaRoom]);
  database = room.database;
  registerScopeSections(room.applier);
  registerQuotaSections(room.applier, ledger);
  service = new QuotaService(database, new CommandRunner(database, room.applier, room.log), {
    unknownZones: async (_reader: Reader, ids) => Promise.resolve(ids.filter((id) => id === NO_ZONE)),
  });
});
afterAll(() => room.close());
beforeEach(async () => {
  tenant = await newTenant(database, 2);
  [project, other] = tenant.projectIds as [string, string];
});
const noDrift = async (): Promise<void> => expect((await auditCounters(database)).drift).toEqual([]);
afterEach(noDrift);

async function use(projectId: string | null, resourceId: string, amounts: Record<string, number>, zoneId: string | null = null): Promise<void> {
  await database.transaction((transaction) =>
    ledger.apply(transaction, [{ action: 'CHARGE', resourceId, resourceKind: 'vm', tenantId: tenant.id, projectId, zoneId, amounts }]),
  );
}

/** `[limit, used, carved]` by key and zone. */
async function lines(scopeId: string): Promise<Record<string, (number | null)[]>> {
  const { lines: rows } = await service.usage(operator, scopeId);
  return Object.fromEntries(
    rows.map((row) => [`${row.resource_key} ${row.zone_id}`.trim(), [row.limit_amount, row.used_amount, row.carved_amount]]),
  );
}

const limit = (resourceKey: string, amount: number, zoneId?: string): { resourceKey: string; limit: number; zoneId?: string } => ({
  resourceKey,
  limit: amount,
  ...(zoneId === undefined ? {} : { zoneId }),
});

test('set replaces all lines, patch changes some, remove takes some away', async () => {
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 10), limit('vm.cpu', 4, ZONE), limit('vm.count', 5)] });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 0, 0], [`vm.cpu ${ZONE}`]: [4, 0, 0], 'vm.count': [5, 0, 0] });
  await service.patchQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 12), limit('gpu.count', 1)] });
  expect(await lines(tenant.id)).toMatchObject({ 'vm.cpu': [12, 0, 0], 'vm.count': [5, 0, 0], 'gpu.count': [1, 0, 0] });
  await service.removeQuotaLines(operator, { scopeId: tenant.id, lines: [{ resourceKey: 'vm.cpu' }, { resourceKey: 'never.set' }] });
  expect(await lines(tenant.id)).toEqual({ [`vm.cpu ${ZONE}`]: [4, 0, 0], 'vm.count': [5, 0, 0], 'gpu.count': [1, 0, 0] });
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.memory', 7)] });
  expect(await lines(tenant.id)).toEqual({ 'vm.memory': [7, 0, 0] });
  await service.setQuota(operator, { scopeId: tenant.id, lines: [] });
  expect(await lines(tenant.id)).toEqual({});
});

test('the version rises with every change and guards it; a change that changes nothing raises nothing', async () => {
  const version = async (): Promise<number> => (await service.scope(operator, tenant.id)).quota_version;
  expect(await version()).toBe(0);
  const input = { scopeId: tenant.id, lines: [limit('vm.cpu', 10)] };
  await service.setQuota(operator, { ...input, expectedVersion: 0 });
  await service.setQuota(operator, input);
  expect(await version()).toBe(1);
  await expect(service.setQuota(operator, { ...input, expectedVersion: 0 })).rejects.toMatchObject({ code: 'CONFLICT' });
  await expect(service.patchQuota(operator, { ...input, expectedVersion: 2 })).rejects.toMatchObject({ code: 'CONFLICT' });
  await service.patchQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 11)], expectedVersion: 1 });
  expect(await version()).toBe(2);
  await expect(service.setQuota(owner(), { scopeId: project, lines: [], expectedVersion: 3 })).rejects.toMatchObject({ code: 'CONFLICT' });
});

test('a carve counts at the tenant at once; raising, lowering and removing it moves the difference', async () => {
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 10)] });
  await service.setQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 6)] });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 6, 6] });
  await use(project, 'vm_a', { 'vm.cpu': 5 });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 6, 6] });
  await service.setQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 10)] });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 10, 10] });
  await expect(service.setQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 11)] })).rejects.toMatchObject({
    code: 'QUOTA_EXCEEDED',
    field: 'input.lines.0.limit',
    data: { scopeId: tenant.id, key: 'vm.cpu', limit: 10, used: 10, requested: 1 },
  });
  await expect(use(other, 'vm_b', { 'vm.cpu': 1 })).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
  await service.patchQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 5)] });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 5, 5] });
  // Gives back limit − used, and the tenant goes on paying for what is used.
  await service.patchQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 8)] });
  await service.removeQuotaLines(owner(), { scopeId: project, lines: [{ resourceKey: 'vm.cpu' }] });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 5, 0] });
  expect(await lines(project)).toEqual({ 'vm.cpu': [null, 5, 0] });
});

test('carving a key that is in use transfers the use and takes only the rest', async () => {
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 10)] });
  await use(project, 'vm_c', { 'vm.cpu': 4 });
  await use(other, 'vm_d', { 'vm.cpu': 3 });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 7, 0] });
  // 4 + 3 are used: a carve of 7 fits exactly, since 4 of it are counted already; 8 would not.
  await expect(service.setQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 8)] })).rejects.toMatchObject({
    code: 'QUOTA_EXCEEDED',
    data: { used: 7, requested: 4 },
  });
  await service.setQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 7)] });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 10, 7] });
  await database.transaction((transaction) => ledger.refund(transaction, ['vm_c']));
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 10, 7] });
  expect(await lines(project)).toEqual({ 'vm.cpu': [7, 0, 0] });
  await service.setQuota(owner(), { scopeId: project, lines: [] });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 3, 0] });
});

test('a limit below what is used or carved is refused, also in a plan, and equal is allowed', async () => {
  await use(project, 'vm_e', { 'vm.cpu': 4 });
  await expect(service.setQuota(owner(), { scopeId: project, lines: [limit('vm.count', 1), limit('vm.cpu', 3)] })).rejects.toMatchObject({
    code: 'INVALID_STATE',
    field: 'input.lines.1.limit',
    data: { key: 'vm.cpu', limit: 3, used: 4 },
  });
  await service.setQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 6)] });
  await expect(service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 5)] })).rejects.toMatchObject({
    code: 'INVALID_STATE',
    data: { limit: 5, used: 6 },
  });
  const { plan } = await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 5)] }, { dryRun: true });
  expect(plan?.changes.problems).toMatchObject([{ code: 'INVALID_STATE', field: 'input.lines.0.limit' }]);
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 6)] });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [6, 6, 6] });
});

test('a plan says what would change and changes nothing', async () => {
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 10)] });
  await use(project, 'vm_f', { 'vm.cpu': 4 });
  const { plan } = await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.count', 3)] }, { dryRun: true });
  expect(plan?.changes.problems).toEqual([]);
  expect(plan?.changes.reasons.map((reason) => reason.message)).toEqual([
    `vm.count of "${tenant.name}": no limit → 3 (0 used)`,
    `vm.cpu of "${tenant.name}": 10 → no limit (4 used)`,
  ]);
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 4, 0] });
});

test('limits of a zone and for all zones are carved apart', async () => {
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 10), limit('vm.cpu', 4, ZONE)] });
  await use(project, 'vm_g', { 'vm.cpu': 2 }, ZONE);
  await service.setQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 3, ZONE)] });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 2, 0], [`vm.cpu ${ZONE}`]: [4, 3, 3] });
  await use(project, 'vm_h', { 'vm.cpu': 1 }, ZONE);
  await expect(use(project, 'vm_i', { 'vm.cpu': 1 }, ZONE)).rejects.toMatchObject({ data: { scopeId: project, zoneId: ZONE, limit: 3 } });
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 3, 0], [`vm.cpu ${ZONE}`]: [4, 3, 3] });
});

test('tenants’ limits are the system’s to set, projects’ their tenant’s; strangers find nothing', async () => {
  const lineOf = (scopeId: string) => ({ scopeId, lines: [limit('vm.cpu', 1)] });
  await expect(service.setQuota(owner(), lineOf(tenant.id))).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(service.setQuota(projectOwner(), lineOf(project))).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(service.setQuota(projectOwner(), lineOf(other))).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.scopeId' });
  const stranger = accessWith([{ role: 'OWNER', tenantId: 'ten_00000000000000000000000001', projectId: null }]);
  await expect(service.setQuota(stranger, lineOf(tenant.id))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(service.usage(stranger, project)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(service.usage(projectOwner(), tenant.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(service.setQuota(operator, lineOf('sys_00000000000000000000000000'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await service.setQuota(owner(), lineOf(project));
  await service.setQuota(operator, lineOf(project));
  expect((await service.usage(projectOwner(), project)).lines).toMatchObject([{ limit_amount: 1 }]);
});

test('bad lines are refused with their place and a rule', async () => {
  const bad: [unknown, string, string][] = [
    [[limit('cpu', 1)], 'input.lines.0.resourceKey', 'INVALID_INPUT'],
    [[limit('vm.cpu', -1)], 'input.lines.0.limit', 'INVALID_INPUT'],
    [[limit('vm.cpu', 0.5)], 'input.lines.0.limit', 'INVALID_INPUT'],
    [[limit('vm.cpu', 1e15)], 'input.lines.0.limit', 'INVALID_INPUT'],
    [[limit('vm.cpu', 1, 'rck_00000000000000000000000001')], 'input.lines.0.zoneId', 'INVALID_INPUT'],
    [[limit('vm.cpu', 1), limit('vm.cpu', 2)], 'input.lines', 'INVALID_INPUT'],
    [Array.from({ length: 201 }, (_, index) => limit(`a.k${index}`, 1)), 'input.lines', 'INVALID_INPUT'],
    [[limit('vm.count', 1), limit('vm.cpu', 1, NO_ZONE)], 'input.lines.1.zoneId', 'NOT_FOUND'],
  ];
  for (const [value, field, code] of bad) {
    await expect(service.setQuota(operator, { scopeId: tenant.id, lines: value as never })).rejects.toMatchObject({ code, field });
  }
  await expect(service.patchQuota(operator, { scopeId: tenant.id, lines: [] })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  expect(await lines(tenant.id)).toEqual({});
});

const setState = statement<never, [id: string, state: string]>('spec.quota_scope_state', 'UPDATE scope SET state = $2 WHERE id = $1');

test('a suspended tenant’s owner carves nothing, the operator may; a scope that is going takes no limits', async () => {
  const lineOf = (scopeId: string) => ({ scopeId, lines: [limit('vm.cpu', 1)] });
  await database.transaction((transaction) => transaction.execute(setState, tenant.id, 'SUSPENDED'));
  await expect(service.setQuota(owner(), lineOf(project))).rejects.toMatchObject({ code: 'INVALID_STATE', fault: 'OPERATOR' });
  await service.setQuota(operator, lineOf(tenant.id));
  await database.transaction((transaction) => transaction.execute(setState, project, 'DELETING'));
  await expect(service.setQuota(operator, lineOf(project))).rejects.toMatchObject({ code: 'INVALID_STATE' });
});

test('a project sees the limits that it would meet at its tenant before it has used anything', async () => {
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 10), limit('vm.count', 3)] });
  await use(other, 'vm_j', { 'vm.cpu': 4 });
  await service.setQuota(owner(), { scopeId: project, lines: [limit('vm.count', 2)] });
  expect((await service.usage(projectOwner(), project)).lines).toMatchObject([
    { resource_key: 'vm.count', limit_amount: 2, used_amount: 0, tenant_limit: null, tenant_used: null },
    { resource_key: 'vm.cpu', limit_amount: null, used_amount: 0, tenant_limit: 10, tenant_used: 4 },
  ]);
});

async function explained(scopeId: string, resourceKey: string, zoneId?: string): Promise<[number, string[]]> {
  const ids: string[] = [];
  let sum = 0;
  let after: string | undefined;
  do {
    const page = await service.explainUsage(operator, { scopeId, resourceKey, ...(zoneId === undefined ? {} : { zoneId }) }, { first: 2, ...(after === undefined ? {} : { after }) });
    for (const row of page.rows) {
      ids.push(row.id);
      sum += row.amount;
    }
    after = page.hasNextPage ? page.cursors.at(-1) : undefined;
  } while (after !== undefined);
  return [sum, ids];
}

test('usage explains itself: the rows behind a number sum to it, largest first', async () => {
  await use(project, 'vm_k1', { 'vm.cpu': 1 }, ZONE);
  await use(project, 'vm_k2', { 'vm.cpu': 5 });
  await use(other, 'vm_k3', { 'vm.cpu': 3 }, ZONE);
  await use(null, 'vm_k4', { 'vm.cpu': 2 });
  expect(await explained(tenant.id, 'vm.cpu')).toEqual([11, ['vm_k2', 'vm_k3', 'vm_k4', 'vm_k1']]);
  expect(await explained(tenant.id, 'vm.cpu', ZONE)).toEqual([4, ['vm_k3', 'vm_k1']]);
  expect(await explained(project, 'vm.cpu')).toEqual([6, ['vm_k2', 'vm_k1']]);
  // Carved: the tenant's number is the limit, whatever the project uses of it.
  await service.setQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 8)] });
  expect(await explained(tenant.id, 'vm.cpu')).toEqual([13, [project, 'vm_k3', 'vm_k4']]);
  expect(await explained(tenant.id, 'vm.cpu', ZONE)).toEqual([4, ['vm_k3', 'vm_k1']]);
  expect(await explained(project, 'vm.cpu')).toEqual([6, ['vm_k2', 'vm_k1']]);
  expect(await lines(tenant.id)).toMatchObject({ 'vm.cpu': [null, 13, 8] });
});

test('metering: open records sum to what is used; a range sees what overlaps it; totals count time', async () => {
  await use(project, 'vm_l1', { 'vm.cpu': 4, 'vm.memory': 100 }, ZONE);
  await use(other, 'vm_l2', { 'vm.cpu': 2 });
  await database.transaction((transaction) =>
    ledger.apply(transaction, [{ action: 'REFUND', resourceId: 'vm_l2' }, { action: 'ADJUST', resourceId: 'vm_l1', amounts: { 'vm.cpu': 6, 'vm.memory': 100 } }]),
  );
  const [from, to] = [new Date(Date.now() - 60_000), new Date(Date.now() + 60_000)];
  const query = { tenantId: tenant.id, from, to };
  const { rows } = await service.metering(owner(), query, { first: 10 });
  expect(rows.map((row) => [row.resource_id, row.resource_key, row.amount, row.to_at === null].join(' ')).sort()).toEqual([
    'vm_l1 vm.cpu 4 false',
    'vm_l1 vm.cpu 6 true',
    'vm_l1 vm.memory 100 true',
    'vm_l2 vm.cpu 2 false',
  ]);
  const open = rows.filter((row) => row.to_at === null && row.resource_key === 'vm.cpu').reduce((sum, row) => sum + row.amount, 0);
  expect((await lines(tenant.id))['vm.cpu']?.[1]).toBe(open);
  expect((await service.metering(projectOwner(), query, {})).rows.map((row) => row.resource_id)).not.toContain('vm_l2');
  expect((await service.metering(accessWith([]), query, {})).rows).toEqual([]);
  const past = { ...query, from: new Date(0), to: new Date(1000) };
  expect((await service.metering(owner(), past, {})).rows).toEqual([]);
  await expect(service.metering(owner(), { ...query, to: from }, {})).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'to' });
  // An hour of 4, written as history, beside what ran for moments.
  await database.transaction((transaction) =>
    transaction.execute(
      statement<never, [tenantId: string]>(
        'spec.quota_history',
        `INSERT INTO metering_record (id, resource_id, resource_kind, resource_key, tenant_id, amount, from_at, to_at)
         VALUES ('met_old', 'vm_old', 'vm', 'vm.cpu', $1, 4, now() - interval '2 hours', now() - interval '1 hour')`,
      ),
      tenant.id,
    ),
  );
  const totals = await service.meteringTotals(owner(), { ...query, resourceKey: 'vm.cpu', from: new Date(Date.now() - 5_400_000) });
  const old = totals.find((row) => row.project_id === null)!;
  // Half of the hour is in the range.
  expect(old.amount_hours / 4).toBeCloseTo(0.5, 2);
});

test('a scope that goes gives its carve back and leaves no counters; while it is charged it cannot go', async () => {
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 10)] });
  await service.setQuota(owner(), { scopeId: project, lines: [limit('vm.cpu', 6), limit('vm.count', 2)] });
  await use(project, 'vm_m', { 'vm.cpu': 1 });
  const remove = (projectId: string | null): Promise<void> =>
    database.transaction((transaction) => removeQuotaOf(transaction, { tenantId: tenant.id, projectId }));
  await expect(remove(project)).rejects.toMatchObject({ code: 'INTERNAL' });
  await database.transaction((transaction) => ledger.refund(transaction, ['vm_m']));
  await remove(project);
  expect(await lines(tenant.id)).toEqual({ 'vm.cpu': [10, 0, 0] });
  await remove(null);
  expect(await lines(tenant.id)).toEqual({});
});

test('two setters of one scope wait for one another, and the one with the older version is refused', async () => {
  await service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', 1)] });
  const results = await Promise.allSettled(
    [2, 3, 4, 5].map((amount) => service.setQuota(operator, { scopeId: tenant.id, lines: [limit('vm.cpu', amount)], expectedVersion: 1 })),
  );
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'CONFLICT' });
  expect((await service.scope(operator, tenant.id)).quota_version).toBe(2);
});
