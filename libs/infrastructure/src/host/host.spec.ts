import { afterAll, beforeAll, expect, it } from 'vitest';
import { statement } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { datastores, findHosts, hosts, hostState, infrastructureRoom, type HostRow } from '#infrastructure';
import { operationsRoom } from '#operations';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { infrastructureBench, roomDatabase, systemAccess, type InfrastructureBench, type RoomDatabase } from '#testing';

let room: RoomDatabase;
let bench: InfrastructureBench;
const access = systemAccess();

const counts = statement<{ hosts: number; beats: number; datastores: number }, [backendId: string]>(
  'spec.host_counts',
  `SELECT (SELECT count(*) FROM host WHERE backend_id = $1) AS hosts,
     (SELECT count(*) FROM host_heartbeat AS b JOIN host AS h ON h.id = b.host_id WHERE h.backend_id = $1) AS beats,
     (SELECT count(*) FROM datastore WHERE backend_id = $1) AS datastores`,
);

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom]);
  bench = await infrastructureBench(room);
});
afterAll(async () => {
  await bench.close();
  await room.close();
});

async function hostsOf(backendId: string): Promise<HostRow[]> {
  return (await hosts.page(room.database, [null, null, backendId, null, null], 'NAME', {})).rows;
}

async function firstHost(): Promise<HostRow> {
  const { backendId } = await bench.datacenter({ count: 1 });
  return (await hostsOf(backendId))[0] as HostRow;
}

const reread = async (host: HostRow): Promise<HostRow> => (await room.database.rows(findHosts, [host.id]))[0] as HostRow;

it('registers what the backend has, with each host’s own pools and each shared pool once', async () => {
  const pools = [{ name: 'local', capacityGib: 500 }, { name: 'ceph', capacityGib: 9000, shared: true }];
  const { backendId, zoneId } = await bench.datacenter({ count: 3, cpu: 32, traits: ['ssd'], pools });
  const rows = await hostsOf(backendId);
  expect(rows.map((row) => row.name)).toEqual(['host-1', 'host-2', 'host-3']);
  expect(rows[0]).toMatchObject({ zone_id: zoneId, cpu: 32, memory_mib: 65_536, traits: ['ssd'], cpu_overcommit: 16, memory_overcommit: 1 });
  expect(rows.map(hostState)).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
  const stores = (await datastores.page(room.database, [null, backendId, null], 'NAME', {})).rows;
  expect(stores.map((row) => [row.name, row.host_id === null, row.capacity_gib])).toEqual([
    ['ceph', true, 9000],
    ['local', false, 500],
    ['local', false, 500],
    ['local', false, 500],
  ]);
});

it('registers new hosts into racks, leaves known ones, and refuses wrong ones by their field', async () => {
  const { backendId, zoneId, world } = await bench.datacenter({ count: 2 });
  const rackId = String((await bench.racks.create(access, { zoneId, name: 'r1' })).result.id);
  await world.createHosts({ prefix: 'new', count: 4, cpu: 8, memoryMib: 1024, pools: [] });
  const pair = [{ name: 'new-1' }, { name: 'new-2', labels: ['gpu'] }];
  const { result } = await bench.registration.register(access, { backendId, zoneId: 'zone-2', rackId, hosts: pair, cpuOvercommit: 4 });
  expect(result).toMatchObject({ id: backendId, hosts: 2, datastores: 0 });
  const rows = (await hostsOf(backendId)).filter((row) => row.rack_id === rackId);
  expect(rows.map((row) => [row.name, row.labels, row.cpu_overcommit])).toEqual([['new-1', [], 4], ['new-2', ['gpu'], 4]]);

  const register = async (part: object) => bench.registration.register(access, { backendId, zoneId, ...part });
  await expect(register({ hosts: [{ name: 'new-3' }, { name: 'new-1' }] })).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.hosts.1.name' });
  await expect(register({ hosts: [{ name: 'new-3' }, { name: 'new-3' }] })).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await expect(register({ hosts: [{ name: 'nobody' }] })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.hosts.0.name' });
  await expect(register({ hosts: [{ name: 'new-3', rackId: 'rck_x' }] })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.hosts.0.rackId' });
  const elsewhere = String((await bench.zones.create(access, { name: 'elsewhere' })).result.id);
  const foreign = String((await bench.racks.create(access, { zoneId: elsewhere, name: 'r1' })).result.id);
  await expect(register({ rackId: foreign })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.rackId' });
  expect((await register({ namePrefix: 'new-' })).result).toMatchObject({ hosts: 2 });
  expect((await register({})).result).toMatchObject({ hosts: 0 });
});

it('registers thousands by one command', async () => {
  const { backendId } = await bench.datacenter({ count: 3000, pools: [{ name: 'local', capacityGib: 100 }] });
  expect(await room.database.first(counts, backendId)).toEqual({ hosts: 3000, beats: 3000, datastores: 3000 });
});

it('shows what it would register before it does', async () => {
  const { backendId, zoneId, world } = await bench.datacenter({ count: 1, pools: [] });
  await world.createHosts({ prefix: 'more', count: 150, cpu: 8, memoryMib: 1024 });
  const { plan } = await bench.registration.register(access, { backendId, zoneId }, { dryRun: true });
  expect(plan?.changes.resources).toHaveLength(100);
  expect(plan?.changes.reasons[0]?.data).toEqual({ hosts: 150, datastores: 0 });
  await bench.commands.applyPlan(access, plan?.id ?? '');
  expect(await room.database.first(counts, backendId)).toMatchObject({ hosts: 151 });
});

it('suspends and resumes, with the reason, and raises the version', async () => {
  const host = await firstHost();
  await bench.hosts.suspend(access, { id: host.id, reason: 'fan is loud', expectedVersion: 1 });
  const suspended = await reread(host);
  expect(suspended).toMatchObject({ intent: 'SUSPENDED', intent_reason: 'fan is loud', version: 2 });
  expect(hostState(suspended)).toBe('SUSPENDED');
  await expect(bench.hosts.resume(access, { id: host.id, expectedVersion: 1 })).rejects.toMatchObject({ code: 'CONFLICT' });
  await bench.hosts.resume(access, { id: host.id });
  expect(hostState(await reread(host))).toBe('ACTIVE');
  await expect(bench.hosts.suspend(access, { id: 'hst_none' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

it('changes rack, labels and ratios, and only to what fits', async () => {
  const host = await firstHost();
  const rackId = String((await bench.racks.create(access, { zoneId: host.zone_id, name: 'own' })).result.id);
  await bench.hosts.update(access, { id: host.id, rackId, labels: ['gpu'], memoryOvercommit: 1.5 });
  expect(await reread(host)).toMatchObject({ rack_id: rackId, labels: ['gpu'], memory_overcommit: 1.5, cpu_overcommit: 16 });
  await bench.hosts.update(access, { id: host.id, rackId: null });
  expect(await reread(host)).toMatchObject({ rack_id: null, labels: ['gpu'] });
  await expect(bench.hosts.update(access, { id: host.id, cpuOvercommit: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.cpuOvercommit' });
});

it('lets only a silent host be attested to be off', async () => {
  const host = await firstHost();
  await expect(bench.hosts.attestOff(access, { id: host.id, reason: 'I pulled the plug' })).rejects.toMatchObject({
    code: 'INVALID_STATE',
    data: { state: 'ACTIVE' },
  });
  await expect(bench.hosts.attestOff(access, { id: host.id, reason: ' ' })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
});

it('deregisters a host with its own datastores', async () => {
  const host = await firstHost();
  await bench.hosts.deregister(access, { id: host.id });
  expect(await room.database.first(counts, host.backend_id)).toEqual({ hosts: 0, beats: 0, datastores: 0 });
});

it('adds pools as datastores, of a kind, once, and withdraws them', async () => {
  const { backendId, zoneId, world } = await bench.datacenter({ count: 1, pools: [] });
  await world.createHosts({
    prefix: 'late',
    count: 1,
    cpu: 1,
    memoryMib: 1,
    pools: [{ name: 'ceph', capacityGib: 700, shared: true }, { name: 'nvme', capacityGib: 50 }],
  });
  const [host] = (await hostsOf(backendId)) as [HostRow];
  const add = async (part: object) => bench.datastores.add(access, { backendId, name: 'ceph', ...part });
  const id = String((await add({ kind: 'ssd', zoneId, overcommit: 2 })).result.id);
  expect((await datastores.page(room.database, [zoneId, null, null], 'NAME', {})).rows).toMatchObject([
    { id, kind: 'ssd', host_id: null, capacity_gib: 700, overcommit: 2, state: 'ACTIVE' },
  ]);
  await expect(add({})).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await expect(add({ name: 'tape' })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.name' });
  await expect(add({ name: 'nvme', hostId: host.id })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await bench.datastores.update(access, { id, state: 'SUSPENDED', overcommit: 1 });
  expect((await bench.datastores.remove(access, id)).result).toEqual({ id, isPending: false });
});
