import { afterAll, beforeAll, expect, it } from 'vitest';
import { EventFeed, eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { infrastructureRoom, ZoneVisibility } from '#infrastructure';
import { infrastructureResolvers } from '#infrastructure/api';
import { OperationQueries, OperationRegistry, OperationRequests, OperationService, operationsRoom, silentBell } from '#operations';
import { operationsResolvers } from '#operations/api';
import { applyDatastoreClaims, applyHostClaims, placementRoom } from '#placement';
import { placementResolvers } from '#placement/api';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { accessWith, infrastructureBench, roomDatabase, systemAccess, testApi, type InfrastructureBench, type RoomDatabase, type TestApi } from '#testing';
import { makeDatacenter, type Datacenter } from './fixtures.js';

let room: RoomDatabase;
let bench: InfrastructureBench;
let api: TestApi;
let center: Datacenter;

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom, placementRoom]);
  const { database, applier, log } = room;
  bench = await infrastructureBench(room);
  const operations = new OperationService(database, applier, new OperationRegistry(), silentBell);
  const visibility = new ZoneVisibility();
  visibility.register(async () => center.zoneIds);
  const { commands, zones, racks, backends, hosts, registration, maintenance, datastores } = bench;
  const own = [commands, zones, racks, backends, hosts, registration, maintenance, datastores];
  api = await testApi({
    log,
    services: [database, new EventFeed(database, log), visibility, ...own, operations, new OperationQueries(), new OperationRequests(commands, operations)],
    resolvers: [...infrastructureResolvers, ...placementResolvers, ...operationsResolvers],
    callers: { operator: systemAccess(), tenant: accessWith([{ role: 'OWNER', tenantId: 'ten_1', projectId: null }]) },
  });
  center = await makeDatacenter(database, { zones: 1, racksPerZone: 2, hostsPerRack: 2, cpu: 8, memoryMib: 8192, sharedGib: 500 });
  const claim = { action: 'CLAIM' as const, tenantId: 'ten_1', projectId: 'prj_1' };
  await database.transaction(async (transaction) => {
    await applyHostClaims(transaction, [{ ...claim, resourceId: 'vm_1', hostId: center.hosts[0]?.id ?? '', cpu: 3, memoryMib: 1024 }]);
    await applyDatastoreClaims(transaction, [{ ...claim, resourceId: 'dsk_1', datastoreId: center.sharedDatastoreId ?? '', gib: 40 }]);
  });
});
afterAll(async () => {
  await api.close();
  await bench.close();
  await room.close();
});

it('adds to hosts, datastores and zones what they can hold and what is claimed', async () => {
  const seen = await api.compiled<{ hosts: { nodes: object[] }; datastores: { nodes: object[] }; zones: { nodes: object[] } }>(
    'operator',
    `{ hosts { nodes { name capacity { cpuLimit cpuClaimed memoryLimitMib memoryClaimedMib machines } } }
       datastores { nodes { capacity { limitGib claimedGib disks } } }
       zones { nodes { capacity { hosts activeHosts cpuLimit cpuClaimed memoryClaimedMib } } } }`,
  );
  expect(seen.hosts.nodes[0]).toEqual({
    name: 'h-0-0-0',
    capacity: { cpuLimit: 8, cpuClaimed: 3, memoryLimitMib: 8192, memoryClaimedMib: 1024, machines: 1 },
  });
  expect(seen.datastores.nodes).toEqual([{ capacity: { limitGib: 500, claimedGib: 40, disks: 1 } }]);
  expect(seen.zones.nodes).toEqual([{ capacity: { hosts: 4, activeHosts: 4, cpuLimit: 32, cpuClaimed: 3, memoryClaimedMib: 1024 } }]);
});

it('shows tenants a zone without its capacity', async () => {
  expect(await api.data('tenant', '{ zones { nodes { name capacity { hosts } } } }')).toEqual({
    zones: { nodes: [{ name: expect.any(String) as string, capacity: null }] },
  });
  const refused = await api.ask<unknown>('tenant', '{ explainPlacement(input: { cpu: 1, memoryMib: 1 }) { fitting } }');
  expect(refused.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
});

it('explains where machines would go, and why they would not', async () => {
  const fits = await api.data<{ explainPlacement: { placements: { host: { rack: { name: string } } }[] } }>(
    'operator',
    `{ explainPlacement(input: { count: 2, cpu: 6, memoryMib: 1024, diskGib: 10, antiAffinity: { scope: RACK, strength: REQUIRE } }) {
       requested placed considered fitting refusal removed { filter hosts } placements { host { rack { name } } datastore { name } } } }`,
  );
  expect(fits.explainPlacement).toMatchObject({ requested: 2, placed: 2, considered: 4, fitting: 3, refusal: null, removed: [{ filter: 'CPU', hosts: 1 }] });
  expect(fits.explainPlacement.placements.map((each) => each.host.rack.name).sort()).toEqual(['r0', 'r1']);
  const refused = await api.data(
    'operator',
    `{ explainPlacement(input: { cpu: 9, memoryMib: 1024 }) { placed fitting refusal placements { host { id } } nearestMiss { hostName lacks { resource needed free } } } }`,
  );
  expect(refused).toEqual({
    explainPlacement: {
      placed: 0,
      fitting: 0,
      refusal: 'No host has room for this machine. Of 4 hosts: 4 short of processors. The nearest lacks 1 processors.',
      placements: [],
      nearestMiss: { hostName: expect.stringMatching(/^h-0/) as string, lacks: [{ resource: 'CPU', needed: 9, free: 8 }] },
    },
  });
  const unknown = await api.ask<unknown>('operator', '{ explainPlacement(input: { cpu: 1, memoryMib: 1, zoneIds: ["mars"] }) { fitting } }');
  expect(unknown.errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'input.zoneIds.0' });
  const wrong = await api.ask<unknown>('operator', '{ explainPlacement(input: { cpu: 0, memoryMib: 1 }) { fitting } }');
  expect(wrong.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'input.cpu' });
});
