import { afterAll, beforeAll, expect, test } from 'vitest';
import { insertRows, schemaDrift, statement } from '#database';
import { Authenticator } from '#identity';
import { zoneId } from '#infrastructure';
import { auditCounters } from '#quota';
import { accessWith, findCanary, systemAccess, tenancyBench, type TenancyBench } from '#testing';
import { chooseZones, findProjects, usableZones, type OnboardTenantInput } from '../index.js';

const operator = systemAccess();
const origin = { requestId: 'r', address: null };
const [east, west] = [zoneId.create(), zoneId.create()];

let bench: TenancyBench;
let number = 0;

beforeAll(async () => {
  bench = await tenancyBench();
  const zones = [
    { id: east, name: 'east' },
    { id: west, name: 'west' },
  ];
  await bench.database.transaction((transaction) => insertRows(transaction, 'zone', zones));
  await bench.database.transaction((transaction) =>
    insertRows(transaction, 'principal', [
      { id: operator.principal.id, kind: 'USER', scope_id: 'sys_00000000000000000000000000', tenant_id: null, project_id: null, name: 'tester' },
    ]),
  );
});
afterAll(() => bench.close());

function input(more: Partial<OnboardTenantInput> = {}): OnboardTenantInput {
  number += 1;
  return { name: `customer-${number}`, owners: [{ name: 'ann' }], ...more };
}

const countAll = statement<{ rows: number }>(
  'spec.tenancy_rows',
  `SELECT (SELECT count(*) FROM scope) + (SELECT count(*) FROM tenant) + (SELECT count(*) FROM project) + (SELECT count(*) FROM principal)
     + (SELECT count(*) FROM role_binding) + (SELECT count(*) FROM api_token) + (SELECT count(*) FROM zone_grant)
     + (SELECT count(*) FROM quota) + (SELECT count(*) FROM quota_counter) AS rows`,
);

test('the tables are what the entities describe', async () => {
  expect(await schemaDrift(bench.database)).toEqual([]);
});

test('one command makes the tenant with quota, owners, zones and first project', async () => {
  const { result, ownerToken } = await bench.tenants.onboard(operator, {
    ...input({ name: 'acme', displayName: 'Acme, Inc.' }),
    quota: [
      { resourceKey: 'vm.cpu', limit: 100 },
      { resourceKey: 'vm.cpu', limit: 60, zoneId: east },
      { resourceKey: 'vm.count', limit: 10 },
    ],
    owners: [{ name: 'ann' }, { name: 'bob' }, { principalId: operator.principal.id }],
    ownerToken: true,
    zones: ['east'],
    project: { name: 'web', displayName: 'Web shop', quota: [{ resourceKey: 'vm.cpu', limit: 40 }, { resourceKey: 'gpu.count', limit: 1 }] },
  });
  const tenant = await bench.tenants.byName(operator, 'acme');
  expect(tenant).toMatchObject({ id: result.id, display_name: 'Acme, Inc.', state: 'ACTIVE', all_zones: false, version: 1, revision: 1 });
  const [project] = await bench.database.rows(findProjects, [String(result.projectId)]);
  expect(project).toMatchObject({ name: 'web', display_name: 'Web shop', tenant_id: tenant.id, tenant_name: 'acme' });
  const usage = async (scopeId: string): Promise<string[]> =>
    (await bench.quota.usage(operator, scopeId)).lines.map(
      (line) => `${line.resource_key} ${line.zone_id} ${line.limit_amount} ${line.used_amount} ${line.carved_amount}`,
    );
  expect(await usage(tenant.id)).toEqual([
    'gpu.count  null 1 1',
    'vm.count  10 0 0',
    'vm.cpu  100 40 40',
    `vm.cpu ${east} 60 0 0`,
  ]);
  expect((await usage(String(result.projectId)))[0]).toBe('gpu.count  1 0 0');
  expect((await auditCounters(bench.database)).drift).toEqual([]);
  expect((await usableZones(bench.database, tenant.id)).map((zone) => zone.name)).toEqual(['east']);
  await expect(chooseZones(bench.database, tenant.id, ['west'], 'input.zones')).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.zones.0' });

  expect(result.ownerIds).toHaveLength(3);
  const owner = await new Authenticator(bench.database).authenticate(ownerToken ?? '', origin);
  expect(owner.principal).toMatchObject({ name: 'ann', kind: 'USER' });
  expect(owner.filter('tenant')).toEqual([false, [tenant.id], []]);
  await bench.projects.create(owner, { tenantId: tenant.id, name: 'api' });
});

test('without zones it may use all, also those that come later; the usable ones are chosen by name or id', async () => {
  const { result } = await bench.tenants.onboard(operator, input());
  const later = { id: zoneId.create(), name: 'later' };
  const going = { id: zoneId.create(), name: 'going' };
  await bench.database.transaction(async (transaction) => {
    await insertRows(transaction, 'zone', [{ ...later, state: 'ACTIVE' }, { ...going, state: 'PENDING_DELETE' }]);
  });
  const id = String(result.id);
  expect((await usableZones(bench.database, id)).map((zone) => zone.name)).toEqual(['east', 'later', 'west']);
  const chosen = await chooseZones(bench.database, id, [west, 'east', 'west'], 'zones');
  expect(chosen.map((zone) => zone.name)).toEqual(['west', 'east']);
  await expect(chooseZones(bench.database, id, ['going'], 'zones')).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('whatever is wrong is named, and nothing at all is written', async () => {
  const [before] = await bench.database.rows(countAll);
  const wrong: [Partial<OnboardTenantInput>, string, string][] = [
    [{ name: 'acme' }, 'ALREADY_EXISTS', 'input.name'],
    [{ name: 'Acme' }, 'INVALID_INPUT', 'input.name'],
    [{ owners: [] }, 'INVALID_INPUT', 'input.owners'],
    [{ owners: [{}] }, 'INVALID_INPUT', 'input.owners.0'],
    [{ owners: [{ name: 'ann' }, { name: 'ann' }] }, 'INVALID_INPUT', 'input.owners'],
    [{ owners: [{ principalId: 'pri_0000000000000000000000000z' }] }, 'NOT_FOUND', 'input.owners.0.principalId'],
    [{ owners: [{ principalId: operator.principal.id }], ownerToken: true }, 'INVALID_INPUT', 'input.ownerToken'],
    [{ zones: ['east', 'nowhere'] }, 'NOT_FOUND', 'input.zones.1'],
    [{ quota: [{ resourceKey: 'cpu', limit: 1 }] }, 'INVALID_INPUT', 'input.quota.0.resourceKey'],
    [{ zones: ['east'], quota: [{ resourceKey: 'vm.cpu', limit: 1, zoneId: west }] }, 'NOT_FOUND', 'input.quota.0.zoneId'],
    [{ project: { name: 'web-' } }, 'INVALID_INPUT', 'input.project.name'],
    [
      { quota: [{ resourceKey: 'vm.cpu', limit: 5 }], project: { name: 'web', quota: [{ resourceKey: 'vm.cpu', limit: 6 }] } },
      'QUOTA_EXCEEDED',
      'input.project.quota.0',
    ],
  ];
  for (const [more, code, field] of wrong) {
    await expect(bench.tenants.onboard(operator, input(more))).rejects.toMatchObject({ code, field });
  }
  expect(await bench.database.rows(countAll)).toEqual([before]);
});

test('only the system’s owners onboard', async () => {
  const { result } = await bench.tenants.onboard(operator, input());
  const owner = accessWith([{ role: 'OWNER', tenantId: String(result.id), projectId: null }]);
  await expect(bench.tenants.onboard(owner, input())).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

test('twenty of one name at once make one tenant', async () => {
  const same = input();
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => bench.tenants.onboard(operator, same)));
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
  }
});

test('the owner’s token is in the answer once and nowhere else', async () => {
  const asked = input({ ownerToken: true });
  const first = await bench.tenants.onboard(operator, asked, { idempotencyKey: 'onboard-1' });
  const again = await bench.tenants.onboard(operator, asked, { idempotencyKey: 'onboard-1' });
  expect(again).toMatchObject({ replayed: true, result: first.result, ownerToken: null });
  const secret = first.ownerToken!.slice(-43);
  expect(await findCanary(secret, { databaseUrls: [bench.url], log: '' })).toEqual([]);
  expect(await findCanary(String(first.result.tokenId), { databaseUrls: [bench.url], log: '' })).not.toEqual([]);
});

test('a dry run shows all of it, makes nothing, and its plan is applied as shown', async () => {
  const [before] = await bench.database.rows(countAll);
  const asked = input({ ownerToken: true, zones: ['west'], quota: [{ resourceKey: 'vm.cpu', limit: 5 }], project: { name: 'web' } });
  const { plan, ownerToken } = await bench.tenants.onboard(operator, asked, { dryRun: true });
  expect(ownerToken).toBeNull();
  expect(plan?.changes.resources.map((resource) => `${resource.action} ${resource.kind} ${resource.name}`)).toEqual([
    `CREATE tenant ${asked.name}`,
    'CREATE project web',
    'CREATE user ann',
  ]);
  expect(plan?.changes.reasons.map((reason) => reason.message)).toEqual([
    `vm.cpu of "${asked.name}": 5`,
    'west',
    'no token is made by applying a plan: make one afterwards',
  ]);
  expect(await bench.database.rows(countAll)).toEqual([before]);
  const { result } = await bench.commands.applyPlan(operator, plan?.id ?? '');
  expect(await bench.tenants.byName(operator, asked.name)).toMatchObject({ id: result.id });
  const late = await bench.tenants.onboard(operator, { ...asked, name: `${asked.name}-b` }, { dryRun: true });
  await bench.tenants.onboard(operator, { ...asked, name: `${asked.name}-b` });
  await expect(bench.commands.applyPlan(operator, late.plan?.id ?? '')).rejects.toMatchObject({ code: 'PLAN_STALE' });
  const taken = await bench.tenants.onboard(operator, asked, { dryRun: true });
  expect(taken.plan?.changes.problems).toMatchObject([{ code: 'ALREADY_EXISTS', field: 'input.name' }]);
});
