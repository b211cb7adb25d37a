import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { insertRows, statement } from '#database';
import { zoneId } from '#infrastructure';
import { accessWith, systemAccess, tenancyBench, type TenancyBench } from '#testing';
import { projects, tenants, usableZones } from '../index.js';

const operator = systemAccess();
const zones = ['east', 'north', 'west'].map((name) => ({ id: zoneId.create(), name }));
let bench: TenancyBench;
let tenant: string;
let project: string;
let number = 0;

beforeAll(async () => {
  bench = await tenancyBench();
  await bench.database.transaction((transaction) => insertRows(transaction, 'zone', zones));
});
afterAll(() => bench.close());
beforeEach(async () => {
  number += 1;
  const { result } = await bench.tenants.onboard(operator, { name: `customer-${number}`, owners: [{ name: 'ann' }], project: { name: 'web' } });
  tenant = String(result.id);
  project = String(result.projectId);
});

const owner = () => accessWith([{ role: 'OWNER' as const, tenantId: tenant, projectId: null }]);
const projectOwner = () => accessWith([{ role: 'OWNER' as const, tenantId: tenant, projectId: project }]);
const stranger = accessWith([{ role: 'OWNER', tenantId: 'ten_00000000000000000000000001', projectId: null }]);
const find = async () => (await bench.tenants.find(operator, [tenant])).get(tenant)!;

const events = statement<{ kind: string; change: string; revision: number }, [id: string]>(
  'spec.tenant_events',
  'SELECT kind, change, revision FROM event WHERE resource_id = $1 ORDER BY sequence',
);

test('a suspended tenant takes nothing new below it, until it is resumed; each change is one event of the tenant', async () => {
  await bench.tenants.suspend(operator, { id: tenant, expectedVersion: 1 });
  expect(await find()).toMatchObject({ state: 'SUSPENDED', version: 2 });
  for (const attempt of [
    () => bench.projects.create(owner(), { tenantId: tenant, name: 'api' }),
    () => bench.projects.update(owner(), { id: project, displayName: 'x' }),
    () => bench.projects.suspend(owner(), { id: project }),
    () => bench.quota.setQuota(owner(), { scopeId: project, lines: [] }),
  ]) {
    await expect(attempt()).rejects.toMatchObject({ code: 'INVALID_STATE', fault: 'OPERATOR', data: { scopeId: tenant } });
  }
  await bench.tenants.suspend(operator, { id: tenant });
  expect((await find()).version).toBe(2);
  await bench.tenants.resume(operator, { id: tenant });
  await bench.projects.create(owner(), { tenantId: tenant, name: 'api' });
  expect(await bench.database.rows(events, tenant)).toEqual([
    { kind: 'ten', change: 'CREATED', revision: 1 },
    { kind: 'ten', change: 'UPDATED', revision: 2 },
    { kind: 'ten', change: 'UPDATED', revision: 3 },
  ]);
});

test('a project is suspended by its owners, and below a suspended tenant it is not active', async () => {
  await bench.projects.suspend(projectOwner(), { id: project });
  await expect(bench.projects.update(owner(), { id: project, displayName: 'x' })).rejects.toMatchObject({
    code: 'INVALID_STATE',
    data: { scopeId: project, state: 'SUSPENDED' },
  });
  await bench.projects.resume(projectOwner(), { id: project });
  await bench.projects.update(owner(), { id: project, displayName: 'Web' });
  const [row] = (await projects.page(bench.database, [...owner().filter('project'), tenant, null, 'wEB'], 'NAME', {})).rows;
  expect(row).toMatchObject({ name: 'web', display_name: 'Web', state: 'ACTIVE', version: 4 });
});

test('rights: tenants are the system’s, projects their tenant’s; what may not be seen does not exist', async () => {
  const target = { id: tenant };
  for (const attempt of [() => bench.tenants.suspend(owner(), target), () => bench.tenants.resume(owner(), target), () => bench.tenants.update(owner(), target)]) {
    await expect(attempt()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  }
  for (const attempt of [
    () => bench.tenants.suspend(stranger, target),
    () => bench.projects.create(stranger, { tenantId: tenant, name: 'x' }),
    () => bench.projects.create(projectOwner(), { tenantId: tenant, name: 'x' }),
    () => bench.projects.suspend(stranger, { id: project }),
    () => bench.projects.byName(stranger, 'web', tenant),
    () => bench.tenants.byName(stranger, `customer-${number}`),
  ]) {
    await expect(attempt()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  }
  expect((await bench.tenants.find(stranger, [tenant])).size).toBe(0);
  expect((await bench.projects.find(stranger, [project])).size).toBe(0);
  expect((await tenants.page(bench.database, [...stranger.filter('tenant'), null, null], 'NAME', {})).rows).toEqual([]);
  expect((await tenants.page(bench.database, [...owner().filter('tenant'), null, null], 'NEWEST', {})).rows.map((row) => row.id)).toEqual([tenant]);
  expect((await projects.page(bench.database, [...stranger.filter('project'), null, null, null], 'NAME', {})).rows).toEqual([]);
});

test('zones are granted by name, replaced, and opened to all again', async () => {
  const names = async (): Promise<string[]> => (await usableZones(bench.database, tenant)).map((zone) => zone.name);
  expect(await names()).toEqual(['east', 'north', 'west']);
  await bench.tenants.update(operator, { id: tenant, zones: ['west', zones[0]!.id] });
  expect(await names()).toEqual(['east', 'west']);
  await bench.tenants.update(operator, { id: tenant, zones: ['north', 'west'], displayName: 'North' });
  expect(await names()).toEqual(['north', 'west']);
  await bench.tenants.update(operator, { id: tenant, zones: [] });
  expect(await names()).toEqual([]);
  await expect(bench.tenants.update(operator, { id: tenant, zones: ['nowhere'] })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.zones.0' });
  await expect(bench.tenants.update(operator, { id: tenant, zones: null, expectedVersion: 1 })).rejects.toMatchObject({ code: 'CONFLICT' });
  await bench.tenants.update(operator, { id: tenant, zones: null });
  expect(await names()).toEqual(['east', 'north', 'west']);
  expect((await find()).display_name).toBe('North');
});

test('a limit for a zone that is not there is refused', async () => {
  const lines = [zones[0]!.id, zoneId.create()].map((id) => ({ resourceKey: 'vm.cpu', zoneId: id, limit: 1 }));
  await expect(bench.quota.setQuota(operator, { scopeId: tenant, lines })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.lines.1.zoneId' });
  await bench.quota.setQuota(operator, { scopeId: tenant, lines: lines.slice(0, 1) });
});

test('a project’s carve is checked against its tenant’s limits, and nothing is left of a refused one', async () => {
  await bench.quota.setQuota(operator, { scopeId: tenant, lines: [{ resourceKey: 'vm.cpu', limit: 10 }] });
  await bench.projects.create(owner(), { tenantId: tenant, name: 'api', quota: [{ resourceKey: 'vm.cpu', limit: 7 }] });
  const tooMuch = bench.projects.create(owner(), { tenantId: tenant, name: 'more', quota: [{ resourceKey: 'vm.cpu', limit: 4 }] });
  await expect(tooMuch).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED', field: 'input.quota.0', data: { limit: 10, used: 7, requested: 4 } });
  await expect(bench.projects.byName(owner(), 'more', tenant)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(bench.projects.create(owner(), { tenantId: tenant, name: 'api' })).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
  const racing = await Promise.allSettled(
    ['one', 'two', 'three', 'four'].map((name) => bench.projects.create(owner(), { tenantId: tenant, name, quota: [{ resourceKey: 'vm.cpu', limit: 2 }] })),
  );
  expect(racing.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  expect((await bench.quota.usage(operator, tenant)).lines).toMatchObject([{ used_amount: 9, carved_amount: 9 }]);
});

test('projects that are created while their tenant begins to go are either in it or refused', async () => {
  const another = await bench.another();
  const creates = Array.from({ length: 20 }, (_, index) => bench.projects.create(owner(), { tenantId: tenant, name: `p${index}` }));
  const [offboarded, ...results] = await Promise.allSettled([bench.tenants.offboard(operator, { id: tenant }), ...creates]);
  expect(offboarded).toMatchObject({ status: 'fulfilled' });
  const made = results.filter((result) => result.status === 'fulfilled').length;
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'INVALID_STATE', data: { state: 'DELETING' } });
  }
  const listed = await projects.page(another, [...operator.filter('project'), tenant, null, null], 'NAME', { first: 100 });
  expect(listed.rows).toHaveLength(1 + made);
  bench.startEngine();
  await expect.poll(async () => (await bench.tenants.find(operator, [tenant])).size, { timeout: 10_000 }).toBe(0);
});
