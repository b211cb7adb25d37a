import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { MuonError } from '#core';
import { statement } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import { applyHostClaims, placeMachines, placementRoom } from '#placement';
import type { PlacementExplanation, PlacementGroup, PlacementMachine, PlacementRequest, PlacementResult } from '#placement';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { roomDatabase, type RoomDatabase } from '#testing';
import { makeDatacenter, type Datacenter } from '../fixtures.js';

let room: RoomDatabase;
let center: Datacenter;

const emptyAll = statement('spec.placement_empty', 'DELETE FROM host_claim');
const resetHosts = statement(
  'spec.placement_reset',
  `UPDATE host SET intent = 'ENABLED', health = 'UP', labels = '{}'
   WHERE intent <> 'ENABLED' OR health <> 'UP' OR labels <> '{}'`,
);
const zeroClaimed = statement('spec.placement_zero', 'UPDATE host_capacity SET cpu_claimed = 0, memory_claimed_mib = 0');
const setHosts = statement<never, [ids: string[], intent: string, health: string, labels: string[]]>(
  'spec.placement_set_hosts',
  'UPDATE host SET intent = $2, health = $3, labels = $4 WHERE id = ANY($1)',
);

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, infrastructureRoom, placementRoom]);
  // 3 zones × 3 racks × 4 hosts of 8 processors and 32 GiB each.
  center = await makeDatacenter(room.database, {
    zones: 3,
    racksPerZone: 3,
    hostsPerRack: 4,
    cpu: 8,
    memoryMib: 32_768,
    localGib: 100,
    sharedGib: 1000,
  });
});
beforeEach(async () =>
  room.database.transaction(async (transaction) => {
    await transaction.execute(emptyAll);
    await transaction.execute(zeroClaimed);
    await transaction.execute(resetHosts);
  }),
);
afterAll(() => room.close());

function machines(count: number, size: Partial<PlacementMachine> = {}, prefix = 'vm'): PlacementMachine[] {
  return Array.from({ length: count }, (_, index) => ({
    resourceId: `${prefix}_${index}`,
    cpu: 2,
    memoryMib: 4096,
    diskGib: 0,
    ...size,
  }));
}

function group(part: Partial<PlacementGroup>): PlacementGroup {
  return { id: 'afg_1', policy: 'ANTI_AFFINITY', strength: 'REQUIRE', scope: 'HOST', existingHostIds: [], ...part };
}

async function place(request: Partial<PlacementRequest> & Pick<PlacementRequest, 'machines'>): Promise<PlacementResult> {
  return placeMachines(room.database, { zoneIds: center.zoneIds, ...request });
}

async function refused(request: Partial<PlacementRequest> & Pick<PlacementRequest, 'machines'>): Promise<PlacementExplanation> {
  const error: unknown = await place(request).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
  return (error as MuonError).data?.placement as unknown as PlacementExplanation;
}

const hostAt = (zone: number, rack: number, host: number): string => center.hosts[zone * 12 + rack * 4 + host]?.id ?? '';
const different = (list: readonly (string | null)[]): number => new Set(list).size;

async function claim(hostId: string, cpu: number, memoryMib: number, resourceId = `vm_on_${hostId}`): Promise<void> {
  await room.database.transaction(async (transaction) =>
    applyHostClaims(transaction, [{ action: 'CLAIM', resourceId, hostId, tenantId: 'ten_1', projectId: 'prj_1', cpu, memoryMib }]),
  );
}

async function setState(ids: string[], intent = 'ENABLED', health = 'UP', labels: string[] = []): Promise<void> {
  await room.database.transaction(async (transaction) => transaction.execute(setHosts, ids, intent, health, labels));
}

it('fills a datacenter to its last processor, and not one beyond', async () => {
  const { placements } = await place({ machines: machines(36 * 4) });
  const perHost = new Map<string, number>();
  for (const { hostId } of placements) perHost.set(hostId, (perHost.get(hostId) ?? 0) + 1);
  expect([...perHost.values()]).toEqual(Array.from({ length: 36 }, () => 4));
  const why = await refused({ machines: machines(36 * 4 + 1) });
  expect(why).toMatchObject({ requested: 145, placed: 144, considered: 36, fitting: 0, removed: [{ filter: 'SET', hosts: 36 }] });
});

it('spreads over empty hosts and packs onto full ones', async () => {
  const spread = await place({ machines: machines(36) });
  expect(different(spread.placements.map((each) => each.hostId))).toBeGreaterThan(30);
  await claim(hostAt(1, 1, 1), 2, 8192);
  const packed = await place({ machines: machines(3), strategy: 'PACK' });
  expect(packed.placements.map((each) => each.hostId)).toEqual([hostAt(1, 1, 1), hostAt(1, 1, 1), hostAt(1, 1, 1)]);
});

it('draws among the best, so that two requests rarely chase one host', async () => {
  const seen = new Set<string>();
  for (let turn = 0; turn < 30; turn += 1) seen.add((await place({ machines: machines(1) })).placements[0]?.hostId ?? '');
  expect(seen.size).toBeGreaterThan(5);
});

it('explains which filter removed how many, each host once and at the first', async () => {
  await setState([hostAt(0, 0, 0), hostAt(0, 0, 1)], 'SUSPENDED');
  await setState([hostAt(0, 0, 2)], 'ENABLED', 'DOWN', ['gpu']);
  await setState([hostAt(0, 1, 0), hostAt(0, 1, 1), hostAt(0, 1, 2)], 'ENABLED', 'UP', ['gpu']);
  await claim(hostAt(0, 1, 0), 7, 1024);
  await claim(hostAt(0, 1, 1), 1, 31_000);
  await claim(hostAt(0, 1, 2), 5, 32_768);
  const why = await refused({
    zoneIds: [center.zoneIds[0] as string],
    machines: machines(1, { cpu: 4, memoryMib: 4096, traits: ['gpu'] }),
    showHosts: true,
  });
  expect(why).toEqual({
    resourceId: 'vm_0',
    requested: 1,
    placed: 0,
    considered: 36,
    removed: [
      { filter: 'ZONE', hosts: 24 },
      { filter: 'STATE', hosts: 3 },
      { filter: 'TRAITS', hosts: 6 },
      { filter: 'CPU', hosts: 2 },
      { filter: 'MEMORY', hosts: 1 },
    ],
    fitting: 0,
    nearestMiss: {
      hostId: hostAt(0, 1, 1),
      hostName: 'h-0-1-1',
      lacks: [{ resource: 'MEMORY_MIB', needed: 4096, free: 1768 }],
    },
  });
});

it('hides the names of hosts from whoever may not see them, and tells in a sentence', async () => {
  const big = machines(1, { cpu: 9 });
  expect((await refused({ machines: big })).nearestMiss).toEqual({
    hostId: null,
    hostName: null,
    lacks: [{ resource: 'CPU', needed: 9, free: 8 }],
  });
  await expect(place({ machines: big })).rejects.toThrow(
    'No host has room for this machine. Of 36 hosts: 36 short of processors. The nearest lacks 1 processors.',
  );
});

it('counts the filters of a request that succeeds when asked to', async () => {
  await setState([hostAt(2, 0, 0)], 'MAINTENANCE');
  const { explanation } = await place({ machines: machines(2), explain: true });
  expect(explanation).toMatchObject({ requested: 2, placed: 2, removed: [{ filter: 'STATE', hosts: 1 }], fitting: 35, nearestMiss: null });
  expect((await place({ machines: machines(2) })).explanation).toBeNull();
});

it('keeps required anti-affinity over hosts, racks and zones, and refuses one more than there are', async () => {
  const apart = async (scope: 'HOST' | 'RACK' | 'ZONE', count: number): Promise<PlacementResult> =>
    place({ machines: machines(count, { groupIds: ['afg_1'] }), groups: [group({ scope })] });
  expect(different((await apart('HOST', 36)).placements.map((each) => each.hostId))).toBe(36);
  expect(different((await apart('RACK', 9)).placements.map((each) => each.rackId))).toBe(9);
  expect(different((await apart('ZONE', 3)).placements.map((each) => each.zoneId))).toBe(3);
  await expect(apart('HOST', 37)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', data: { placement: { placed: 36 } } });
  await expect(apart('RACK', 10)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', data: { placement: { placed: 9 } } });
  await expect(apart('ZONE', 4)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', data: { placement: { placed: 3 } } });
});

it('minds the members that are there already', async () => {
  const existingHostIds = [hostAt(0, 0, 0), hostAt(1, 0, 0)];
  const { placements } = await place({
    machines: machines(1, { groupIds: ['afg_1'] }),
    groups: [group({ scope: 'ZONE', existingHostIds })],
  });
  expect(placements[0]?.zoneId).toBe(center.zoneIds[2]);
  const why = await refused({
    machines: machines(1, { groupIds: ['afg_1'], zoneIds: center.zoneIds.slice(0, 2) }),
    groups: [group({ scope: 'ZONE', existingHostIds })],
  });
  // The zones that were asked for, and what the other members rule out there, are two reasons.
  expect(why.removed).toEqual([{ filter: 'ZONE', hosts: 12 }, { filter: 'AFFINITY', hosts: 24 }]);
  const near = await place({
    machines: machines(3, { groupIds: ['afg_1'] }),
    groups: [group({ policy: 'AFFINITY', scope: 'RACK', existingHostIds: [hostAt(1, 2, 3)] })],
  });
  expect(new Set(near.placements.map((each) => each.rackId))).toEqual(new Set([center.rackIds[5]]));
});

it('lets as many members meet as a group allows, as few as can be, and refuses one more', async () => {
  const apart = (most: number, existingHostIds: readonly string[] = []): PlacementGroup[] => [group({ existingHostIds, most })];
  const request = { groupIds: ['afg_1'], excludedHostIds: center.hosts.slice(4).map((host) => host.id) };
  const sharesOf = (result: PlacementResult): number[] =>
    [...Map.groupBy(result.placements, ({ hostId }) => hostId).values()].map(({ length }) => length).sort((one, other) => other - one);
  expect(await refused({ machines: machines(5, request), groups: apart(1) })).toMatchObject({ placed: 4 });
  expect(sharesOf(await place({ machines: machines(5, request), groups: apart(2) }))).toEqual([2, 1, 1, 1]);
  expect(sharesOf(await place({ machines: machines(8, request), groups: apart(2) }))).toEqual([2, 2, 2, 2]);
  expect(await refused({ machines: machines(9, request), groups: apart(2) })).toMatchObject({ placed: 8 });
  // Those that are there count, and where fewer are is better.
  const [first = '', second = '', third = '', fourth = ''] = center.hosts.map((host) => host.id);
  const there = [first, first, second, second, third, third, fourth];
  expect((await place({ machines: machines(1, request), groups: apart(2, there) })).placements).toMatchObject([{ hostId: fourth }]);
  expect((await place({ machines: machines(1, request), groups: apart(3, there) })).placements).toMatchObject([{ hostId: fourth }]);
  const why = await refused({ machines: machines(1, request), groups: apart(2, [...there, fourth]) });
  expect(why.removed).toContainEqual({ filter: 'AFFINITY', hosts: 4 });
});

it('finds the one host, rack or zone where a group that must stay together fits', async () => {
  // Every host has room for one machine, only one for three; only one rack has room for six in all.
  for (const [index, host] of center.hosts.entries()) {
    if (host.id !== hostAt(2, 2, 1)) await claim(host.id, host.rackId === center.rackIds[4] ? 4 : 6, 0, `vm_f${index}`);
  }
  const together = async (scope: 'HOST' | 'RACK' | 'ZONE', count: number): Promise<PlacementResult> =>
    place({ machines: machines(count, { groupIds: ['afg_1'] }), groups: [group({ policy: 'AFFINITY', scope })] });
  expect(new Set((await together('HOST', 4)).placements.map((each) => each.hostId))).toEqual(new Set([hostAt(2, 2, 1)]));
  expect(new Set((await together('RACK', 8)).placements.map((each) => each.rackId))).toEqual(new Set([center.rackIds[4]]));
  await expect(together('HOST', 5)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
  await expect(together('RACK', 9)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
  expect(new Set((await together('ZONE', 16)).placements.map((each) => each.zoneId))).toEqual(new Set([center.zoneIds[1]]));
});

it('prefers what is preferred and goes on without it', async () => {
  const apart = group({ strength: 'PREFER', scope: 'ZONE' });
  const three = await place({ machines: machines(3, { groupIds: ['afg_1'] }), groups: [apart] });
  expect(different(three.placements.map((each) => each.zoneId))).toBe(3);
  const five = await place({ machines: machines(5, { groupIds: ['afg_1'] }), groups: [apart] });
  const counts = center.zoneIds.map((zone) => five.placements.filter((each) => each.zoneId === zone).length);
  expect(counts.toSorted((one, other) => one - other)).toEqual([1, 2, 2]);
  // Near an old member, although its host is the fullest.
  await claim(hostAt(0, 2, 2), 4, 16_384);
  const near = await place({
    machines: machines(3, { groupIds: ['afg_1'] }),
    groups: [group({ policy: 'AFFINITY', strength: 'PREFER', scope: 'HOST', existingHostIds: [hostAt(0, 2, 2)] })],
  });
  expect(near.placements.filter((each) => each.hostId === hostAt(0, 2, 2))).toHaveLength(2);
});

it('thinks its first choices over when a larger machine needs their place', async () => {
  // Two groups compete for racks: the pair that must share a host has only one host left that is large enough.
  for (const [index, host] of center.hosts.entries()) {
    if (host.id !== hostAt(0, 0, 0)) await claim(host.id, 5, 0, `vm_b${index}`);
  }
  const pair = machines(2, { cpu: 4, groupIds: ['afg_2'] }, 'pair');
  const singles = machines(3, { cpu: 3, groupIds: ['afg_1'] }, 'single');
  const { placements } = await place({
    machines: [...singles, ...pair],
    groups: [group({ scope: 'ZONE' }), group({ id: 'afg_2', policy: 'AFFINITY' })],
  });
  expect(placements.slice(3).map((each) => each.hostId)).toEqual([hostAt(0, 0, 0), hostAt(0, 0, 0)]);
  expect(different(placements.slice(0, 3).map((each) => each.zoneId))).toBe(3);
});

it('takes a datastore of the right kind with room, local ones with their host', async () => {
  const local = await place({ machines: machines(36, { diskGib: 60, datastoreKind: 'local' }) });
  expect(different(local.placements.map((each) => each.datastoreId))).toBe(36);
  expect(different(local.placements.map((each) => each.hostId))).toBe(36);
  const shared = await place({ machines: machines(10, { diskGib: 100, datastoreKind: 'shared' }) });
  expect(new Set(shared.placements.map((each) => each.datastoreId))).toEqual(new Set([center.sharedDatastoreId]));
  expect(await refused({ machines: machines(11, { diskGib: 100, datastoreKind: 'shared' }) })).toMatchObject({ placed: 10 });
  const why = await refused({ machines: machines(1, { diskGib: 1001 }) });
  expect(why.removed).toEqual([{ filter: 'DATASTORE', hosts: 36 }]);
  expect(why.nearestMiss?.lacks).toEqual([{ resource: 'DISK_GIB', needed: 1001, free: 1000 }]);
});

it('minds excluded hosts, reachable backends and what the same plan has taken', async () => {
  const all = center.hosts.map((host) => host.id);
  const last = hostAt(1, 0, 0);
  const { placements } = await place({ machines: machines(1, { excludedHostIds: all.filter((id) => id !== last) }) });
  expect(placements[0]?.hostId).toBe(last);
  expect((await refused({ machines: machines(1, { backendIds: [] }) })).removed).toEqual([{ filter: 'NETWORK', hosts: 36 }]);
  const plannedClaims = all.slice(1).map((hostId) => ({ hostId, cpu: 8, memoryMib: 0, datastoreId: null, diskGib: 0 }));
  expect((await place({ machines: machines(1), plannedClaims })).placements[0]?.hostId).toBe(all[0]);
});

it('takes no more than a thousand machines at once', async () => {
  await expect(place({ machines: machines(1001) })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
});
