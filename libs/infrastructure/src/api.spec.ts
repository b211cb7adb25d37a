import { afterAll, beforeAll, expect, it } from 'vitest';
import { EventFeed, eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { hostOperations, hosts, infrastructureRoom, ZoneVisibility, type HostRow } from '#infrastructure';
import { infrastructureResolvers } from '#infrastructure/api';
import { operationsRoom } from '#operations';
import { operationsResolvers } from '#operations/api';
import { OperationQueries, OperationRegistry, OperationRequests, OperationService, registerOperationSections, silentBell } from '#operations';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { accessWith, infrastructureBench, roomDatabase, systemAccess, testApi, type InfrastructureBench, type RoomDatabase, type TestApi } from '#testing';

let room: RoomDatabase;
let bench: InfrastructureBench;
let api: TestApi;
const visibility = new ZoneVisibility();

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom]);
  const { database, applier, log } = room;
  bench = await infrastructureBench(room);
  const registry = new OperationRegistry().register(...hostOperations(bench.occupancy));
  registerOperationSections(applier, { registry, bell: silentBell });
  const operations = new OperationService(database, applier, registry, silentBell);
  const feed = new EventFeed(database, log);
  await feed.initialise();
  api = await testApi({
    log,
    services: [
      database,
      feed,
      visibility,
      bench.commands,
      bench.zones,
      bench.racks,
      bench.backends,
      bench.hosts,
      bench.registration,
      bench.maintenance,
      bench.datastores,
      operations,
      new OperationQueries(),
      new OperationRequests(bench.commands, operations),
    ],
    resolvers: [...infrastructureResolvers, ...operationsResolvers],
    callers: { operator: systemAccess(), tenant: accessWith([{ role: 'OWNER', tenantId: 'ten_1', projectId: null }]) },
  });
});
afterAll(async () => {
  await api.close();
  await bench.close();
  await room.close();
});

it('lets an operator describe a datacenter, and shows it whole', async () => {
  const { createZone } = await api.data<{ createZone: { zone: { id: string } } }>(
    'operator',
    'mutation { createZone(input: { name: "berlin", description: "On the Spree" }) { zone { id name state version } } }',
  );
  const zoneId = createZone.zone.id;
  const { createRack } = await api.data<{ createRack: { rack: { id: string } } }>(
    'operator',
    'mutation { createRack(input: { zoneId: "berlin", name: "r1" }) { rack { id zone { name } } } }',
  );
  const { backendId, world } = await bench.datacenter({ count: 1, pools: [] });
  await world.createHosts({ prefix: 'b', count: 3, cpu: 8, memoryMib: 4096, traits: ['ssd'], pools: [{ name: 'local', capacityGib: 70 }] });
  const { registerHosts } = await api.data<{ registerHosts: { count: number; hosts: { name: string }[] } }>(
    'operator',
    `mutation ($backendId: ID!, $rackId: ID!) { registerHosts(input: { backendId: $backendId, zoneId: "berlin", hosts: [
       { name: "b-1" }, { name: "b-2", rackId: $rackId, labels: ["gpu"] }], rackId: null,
       localGuarantees: { failuresToTolerate: 1, failureDomain: DISK, redundancyMethod: MIRRORING, isEncrypted: null } }) { count hosts { name } } }`,
    { backendId, rackId: createRack.rack.id },
  );
  expect(registerHosts).toEqual({ count: 2, hosts: [{ name: 'b-1' }, { name: 'b-2' }] });
  await bench.heartbeat().lookAt(backendId, new AbortController().signal);
  const query = `query ($zoneId: ID) { hosts(zoneId: $zoneId, first: 10) { totalCount eventCursor nodes {
    name state intent labels traits cpu memoryMib cpuOvercommit zone { name } rack { name } backend { kind health capabilities }
    load { cpuPercent memoryUsedMib } conditions { type status reason } currentOperation { id } } }
    datastores(zoneId: $zoneId) { nodes { id name kind isShared capacityGib usedGib limitsIops
      guarantees { failuresToTolerate failureDomain redundancyMethod isEncrypted } host { name } zone { name } backend { kind } } } }`;
  const seen = await api.compiled<{ hosts: { totalCount: number; nodes: object[] }; datastores: { nodes: { id: string }[] } }>('operator', query, { zoneId });
  expect(seen.hosts.totalCount).toBe(2);
  expect(seen.hosts.nodes[1]).toMatchObject({
    name: 'b-2',
    state: 'ACTIVE',
    labels: ['gpu'],
    zone: { name: 'berlin' },
    rack: { name: 'r1' },
    backend: { kind: 'simulated', health: 'UP' },
    load: { memoryUsedMib: expect.any(Number) as number },
    currentOperation: null,
  });
  expect(seen.datastores.nodes).toHaveLength(2);
  expect(seen.datastores.nodes[0]).toMatchObject({ name: 'local', isShared: false, capacityGib: 70, usedGib: 0, zone: { name: 'berlin' } });
  expect(seen.datastores.nodes[0]).toMatchObject({ guarantees: { failuresToTolerate: 1, failureDomain: 'DISK', redundancyMethod: 'MIRRORING', isEncrypted: false } });
  const change = 'mutation ($id: ID!) { updateDatastore(input: { id: $id, guarantees: { isEncrypted: true } }) { datastore { guarantees { failuresToTolerate failureDomain isEncrypted } } } }';
  const changed = await api.data('operator', change, { id: seen.datastores.nodes[0]?.id });
  expect(changed).toEqual({ updateDatastore: { datastore: { guarantees: { failuresToTolerate: 0, failureDomain: null, isEncrypted: true } } } });
});

it('never shows a secret, and tells whether there is one', async () => {
  const answer = await api.ask<unknown>(
    'operator',
    `mutation ($secret: String!, $endpoint: String!) { createBackend(input: { name: "secretive", kind: "simulated", endpoint: $endpoint, secret: $secret })
      { backend { name hasSecret endpoint options capabilities health } } }`,
    { secret: bench.password, endpoint: bench.endpoint },
  );
  expect(answer.data).toMatchObject({ createBackend: { backend: { name: 'secretive', hasSecret: true, endpoint: bench.endpoint } } });
  expect(JSON.stringify(answer)).not.toContain(bench.password);
  const refused = await api.ask<unknown>('operator', `mutation { createBackend(input: { name: "x", kind: "esx", endpoint: "y" }) { backend { id } } }`);
  expect(refused.errors?.[0]?.extensions).toMatchObject({ code: 'UNSUPPORTED', field: 'input.kind', data: { kinds: ['simulated'] } });
});

it('shows tenants the zones that they may use and nothing of what is in them', async () => {
  const { backendId, zoneId } = await bench.datacenter({ count: 1 });
  const [host] = (await hosts.page(room.database, [null, null, backendId, null, null], 'NAME', {})).rows as [HostRow];
  const query = `query ($ids: [ID!]!) { zones { nodes { id } } hosts { nodes { id } } racks { nodes { id } } backends { totalCount nodes { id } }
    datastores { nodes { id } } nodes(ids: $ids) { id } }`;
  const variables = { ids: [zoneId, host.id, backendId] };
  const empty = { nodes: [] };
  const hidden = { hosts: empty, racks: empty, backends: { totalCount: 0, nodes: [] }, datastores: empty };
  expect(await api.data('tenant', query, variables)).toEqual({ zones: empty, ...hidden, nodes: [null, null, null] });
  visibility.register(async (_reader, access) => (access.filter('zone')[1].includes('ten_1') ? [zoneId] : []));
  expect(await api.data('tenant', query, variables)).toEqual({ zones: { nodes: [{ id: zoneId }] }, ...hidden, nodes: [{ id: zoneId }, null, null] });
  const one = await api.ask<unknown>('tenant', '{ zone(name: "berlin") { id } }');
  expect(one.errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  for (const mutation of [
    'createZone(input: { name: "mine" }) { zone { id } }',
    `suspendHost(input: { id: "${host.id}" }) { host { id } }`,
    `deleteBackend(input: { id: "${backendId}" }) { backend { id } }`,
    `registerHosts(input: { backendId: "${backendId}", zoneId: "${zoneId}" }) { count }`,
    `attestHostOff(input: { id: "${host.id}", reason: "because" }) { host { id } }`,
  ]) {
    const answer = await api.ask<unknown>('tenant', `mutation { ${mutation} }`);
    expect(answer.errors?.[0]?.extensions.code, mutation).toBe('FORBIDDEN');
  }
});

it('suspends, plans and starts maintenance, and answers with the operation', async () => {
  const { backendId } = await bench.datacenter({ count: 1 });
  const [host] = (await hosts.page(room.database, [null, null, backendId, null, null], 'NAME', {})).rows as [HostRow];
  const run = async (mutation: string): Promise<unknown> => api.data('operator', `mutation ($id: ID!) { ${mutation} }`, { id: host.id });
  expect(await run('suspendHost(input: { id: $id, reason: "noise" }) { host { state intentReason conditions { type status reason } } }')).toEqual({
    suspendHost: {
      host: {
        state: 'SUSPENDED',
        intentReason: 'noise',
        conditions: [
          { type: 'ANSWERING', status: 'TRUE', reason: null },
          { type: 'SCHEDULABLE', status: 'FALSE', reason: 'It is suspended: noise' },
          { type: 'PROVEN_OFF', status: 'FALSE', reason: null },
          { type: 'NETWORK_CURRENT', status: 'TRUE', reason: null },
        ],
      },
    },
  });
  expect(await run('resumeHost(input: { id: $id, dryRun: true }) { host { state } plan { resources { action kind name } problems { code } } }')).toEqual({
    resumeHost: { host: { state: 'SUSPENDED' }, plan: { resources: [{ action: 'UPDATE', kind: 'host', name: 'host-1' }], problems: [] } },
  });
  expect(await run('enterMaintenance(input: { id: $id }) { host { state currentOperation { kind } } operation { kind state } }')).toMatchObject({
    enterMaintenance: {
      host: { state: 'ENTERING_MAINTENANCE', currentOperation: { kind: 'infrastructure.host.enter_maintenance' } },
      operation: { kind: 'infrastructure.host.enter_maintenance' },
    },
  });
  const again = await api.ask<unknown>('operator', 'mutation ($id: ID!) { exitMaintenance(input: { id: $id }) { host { id } } }', { id: host.id });
  expect(again.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_STATE', data: { state: 'ENTERING_MAINTENANCE' } });
});

it('takes null for what it means: no rack, no secret', async () => {
  const { backendId, zoneId } = await bench.datacenter({ count: 1 });
  const rackId = (await bench.racks.create(systemAccess(), { zoneId, name: 'r9' })).result.id as string;
  const [host] = (await hosts.page(room.database, [null, null, backendId, null, null], 'NAME', {})).rows as [HostRow];
  const update = async (rack: string | null): Promise<unknown> =>
    api.data('operator', 'mutation ($id: ID!, $rack: ID) { updateHost(input: { id: $id, rackId: $rack, labels: null }) { host { rack { name } labels } } }', {
      id: host.id,
      rack,
    });
  expect(await update(rackId)).toEqual({ updateHost: { host: { rack: { name: 'r9' }, labels: [] } } });
  expect(await update(null)).toEqual({ updateHost: { host: { rack: null, labels: [] } } });
});
