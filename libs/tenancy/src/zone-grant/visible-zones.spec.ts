import { afterAll, beforeAll, expect, it } from 'vitest';
import { insertRows } from '#database';
import { zoneId, ZoneVisibility } from '#infrastructure';
import { accessWith, systemAccess, tenancyBench, type TenancyBench } from '#testing';
import { visibleZones } from './visible-zones.js';

const [east, west, gone] = [zoneId.create(), zoneId.create(), zoneId.create()];
let bench: TenancyBench;

beforeAll(async () => {
  bench = await tenancyBench();
  const zones = [
    { id: east, name: 'east', state: 'ACTIVE' },
    { id: west, name: 'west', state: 'ACTIVE' },
    { id: gone, name: 'gone', state: 'PENDING_DELETE' },
  ];
  await bench.database.transaction((transaction) => insertRows(transaction, 'zone', zones));
});
afterAll(() => bench.close());

it('shows callers the zones of their tenants, and operators all', async () => {
  const operator = systemAccess();
  const onboard = async (name: string, zones?: string[]) =>
    (await bench.tenants.onboard(operator, { name, owners: [{ name: 'ann' }], project: { name: 'web' }, ...(zones === undefined ? {} : { zones }) })).result;
  const narrow = await onboard('narrow', ['east']);
  const wide = await onboard('wide');
  const visibility = new ZoneVisibility();
  visibility.register(visibleZones);
  const owner = (tenantId: unknown, projectId: unknown = null) =>
    accessWith([{ role: 'OWNER', tenantId: tenantId as string, projectId: projectId as string | null }]);
  const seen = async (access: ReturnType<typeof accessWith>) => (await visibility.of(bench.database, access))?.toSorted();
  expect(await seen(owner(narrow.id))).toEqual([east]);
  expect(await seen(owner(narrow.id, narrow.projectId))).toEqual([east]);
  expect(await seen(owner(wide.id, wide.projectId))).toEqual([east, west].toSorted());
  expect(await seen(owner('ten_none'))).toEqual([]);
  expect(await seen(accessWith([]))).toEqual([]);
  expect(await visibility.of(bench.database, operator)).toBeNull();
});
