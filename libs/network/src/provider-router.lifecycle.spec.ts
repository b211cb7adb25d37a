import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { insertRows, statement, type ChangeSet } from '#database';
import { eventsRoom } from '#events';
import { identityRoom, type CommandResult } from '#identity';
import { infrastructureRoom, installationId } from '#infrastructure';
import { operationsRoom, type ReconcilerContext } from '#operations';
import { placementRoom } from '#placement';
import { quotaRoom } from '#quota';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { tenancyRoom } from '#tenancy';
import { accessWith, newTenant, roomDatabase, systemAccess, testDatacenter, type RoomDatabase, type TestDatacenter, type TestTenant } from '#testing';
import {
  edgeDrift,
  ExternalNetworkService,
  findFloatingIps,
  findProviderRouters,
  findRouters,
  findRoutersOfNetworks,
  FloatingIpService,
  LoadBalancerService,
  networkOperations,
  NetworkRealiser,
  networkRoom,
  networkScopeContents,
  NetworkService,
  planFloatingIp,
  planPortRemoval,
  planPorts,
  ProviderRouterService,
  registerNetworkSections,
  RouterService,
  SubnetService,
  type PlannedPort,
} from './index.js';

interface Held {
  owner_id: string;
  address: string;
}
const transitOf = statement<Held, [providerRouterId: string]>(
  'spec.transit_held',
  'SELECT owner_id, host(address) AS address FROM transit_address WHERE provider_router_id = $1 ORDER BY address',
);
const externalOf = statement<Held, [externalNetworkId: string]>(
  'spec.external_held',
  'SELECT owner_id, host(address) AS address FROM external_address WHERE external_network_id = $1 ORDER BY address',
);
const used = statement<{ resource_key: string; used_amount: number }, [scopeId: string]>(
  'spec.provider_used',
  `SELECT resource_key, used_amount FROM quota_counter WHERE scope_id = $1 AND zone_id = '' AND used_amount > 0 ORDER BY resource_key`,
);

describe('provider routers on a simulated datacenter', () => {
  let room: RoomDatabase;
  let center: TestDatacenter;
  let tenant: TestTenant;
  let outside: string;
  let networks: NetworkService;
  let balancers: LoadBalancerService;
  let externals: ExternalNetworkService;
  let providers: ProviderRouterService;
  let routers: RouterService;
  let floating: FloatingIpService;
  let subnets: SubnetService;
  const access = systemAccess();
  let names = 0;
  let projects = 0;

  beforeAll(async () => {
    room = await roomDatabase([
      secretsRoom, eventsRoom, scopesRoom, identityRoom, quotaRoom, operationsRoom, infrastructureRoom, tenancyRoom, placementRoom, networkRoom,
    ]);
    center = await testDatacenter(room, {
      sections: registerNetworkSections,
      kinds: (drivers) => networkOperations(new NetworkRealiser(drivers, { settleMs: 150 })),
    });
    const { commands, ledger } = center;
    networks = new NetworkService(commands, ledger);
    balancers = new LoadBalancerService(commands, ledger, networks);
    externals = new ExternalNetworkService(commands);
    providers = new ProviderRouterService(commands);
    routers = new RouterService(commands, ledger);
    floating = new FloatingIpService(commands, ledger);
    subnets = new SubnetService(commands, networks);
    tenant = await newTenant(room.database, 40);
    const row = { id: tenant.id, tenant_id: tenant.id, display_name: tenant.name, all_zones: true };
    await room.database.transaction((transaction) => insertRows(transaction, 'tenant', [row]));
    outside = await makeExternal('198.51.100.0/24');
  });
  afterEach(() => center.world.clearFaults());
  afterAll(async () => {
    await center.close();
    await room.close();
  });

  const unique = (noun: string): string => `${noun}-${(names += 1)}`;
  const freshProject = (): string => tenant.projectIds[projects++] ?? '';
  const call = (key: string) => ({ idempotencyKey: `${key}-${(names += 1)}`, timeoutMs: 5_000, signal: new AbortController().signal });
  const objects = async (): Promise<string[]> => (await center.world.objects()).map((object) => object.id);
  const told = async (id: unknown) => (await center.world.networkParts(tenant.id)).find((part) => part.id === id)?.specification;
  const provider = async (id: string) => (await room.database.rows(findProviderRouters, [id]))[0];
  const router = async (id: string) => (await room.database.rows(findRouters, [id]))[0];
  const held = async (id: string): Promise<string[]> => (await room.database.rows(transitOf, id)).map((row) => row.owner_id).sort();
  const usage = async (projectId: string): Promise<Record<string, number>> =>
    Object.fromEntries((await room.database.rows(used, projectId)).map((row) => [row.resource_key, row.used_amount]));

  async function succeeded({ result }: CommandResult): Promise<string> {
    if (result.operationId !== null) expect(await center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    return String(result.id);
  }

  async function makeExternal(cidr: string): Promise<string> {
    const gateway = cidr.replace(/\.\d+\/\d+$/, '.1');
    return succeeded(await externals.create(access, { name: unique('outside'), backendId: center.backendId, physicalNetwork: unique('physnet'), cidr, gateway }));
  }

  const makeProvider = async (more: { transitCidr?: string } = {}, externalNetwork = outside): Promise<string> =>
    succeeded(await providers.create(access, { name: unique('provider'), externalNetwork, ...more }));

  const makeNetwork = async (projectId: string, cidr?: string): Promise<string> =>
    succeeded(await networks.create(access, { projectId, name: unique('net'), subnet: cidr === undefined ? {} : { cidr }, zones: [center.zoneId] }));

  const makeRouter = async (projectId: string, networkIds: string[], uplink: { providerRouter?: string; externalNetwork?: string }): Promise<string> =>
    succeeded(await routers.create(access, { projectId, name: unique('router'), networkIds, ...uplink }));

  const makeFloating = async (projectId: string, externalNetwork = outside): Promise<string> =>
    succeeded(await floating.create(access, { projectId, name: unique('fip'), externalNetwork }));

  async function makePort(projectId: string, networkId: string): Promise<PlannedPort> {
    let port: PlannedPort | undefined;
    await center.commands.run({ access, name: 'makePort', input: {}, place: { tenantId: tenant.id, projectId } }, async (reader) => {
      const request = { name: unique('port'), networkId, ownerId: unique('vm'), tenantId: tenant.id, projectId, hostId: center.hostIds[0] ?? '', backendId: center.backendId, zoneId: null };
      const planned = await planPorts(reader, access, [request]);
      port = planned.ports[0];
      return planned.changes;
    });
    if (port === undefined) throw new Error('no port was planned');
    const { portId, subnetId, macAddress, address: ipAddress } = port;
    const { network } = await center.drivers.driver(center.backendId);
    const ownership = { installationId: await installationId(room.database), tenantId: tenant.id, projectId };
    await network.ensurePort(call(portId), { portId, revision: 1, ownership, networkId, subnetId, macAddress, ipAddress, hostName: 'host-1' });
    return port;
  }

  /** A network on a router behind that, and a port there. */
  async function behind(providerRouter: string) {
    const projectId = freshProject();
    const networkId = await makeNetwork(projectId);
    const routerId = await makeRouter(projectId, [networkId], { providerRouter });
    return { projectId, networkId, routerId, port: await makePort(projectId, networkId) };
  }

  async function look(): Promise<string[]> {
    const started: string[] = [];
    const reconciler = edgeDrift(room.database, center.drivers, { graceMs: 0 });
    await reconciler.run({
      reader: room.database,
      log: room.log,
      signal: new AbortController().signal,
      submit: async (changes: ChangeSet) => {
        await center.operations.submit(changes);
        started.push(String(changes.result.operationId));
        return changes.result;
      },
    } as unknown as ReconcilerContext);
    for (const id of started) await center.ended(id);
    return started;
  }

  it('is made with an address outside and a transit block, and taken away only when no router leads to it', async () => {
    const id = await makeProvider();
    const row = await provider(id);
    expect(row).toMatchObject({ lifecycle: 'PRESENT', realised_revision: 1, transit_cidr: '100.64.0.0/16', transit_address: '100.64.255.254' });
    expect(row?.gateway_hosts.length).toBeGreaterThan(0);
    expect(await objects()).toContain(id);
    expect(await room.database.rows(externalOf, outside)).toContainEqual({ owner_id: id, address: row?.external_address });
    const { routerId } = await behind(id);
    await expect(providers.delete(access, { id })).rejects.toMatchObject({ code: 'INVALID_STATE', data: { used: 1 } });
    const { plan } = await providers.delete(access, { id }, { dryRun: true });
    expect(plan?.changes.problems).toEqual([expect.objectContaining({ code: 'INVALID_STATE' })]);
    await succeeded(await routers.delete(access, { id: routerId }));
    expect(await held(id)).toEqual([]);
    await succeeded(await providers.delete(access, { id }));
    expect(await provider(id)).toBeUndefined();
    expect(await objects()).not.toContain(id);
    expect((await room.database.rows(externalOf, outside)).map((each) => each.owner_id)).not.toContain(id);
  });

  it('keeps its external network while it is there', async () => {
    const network = await makeExternal('203.0.113.0/24');
    const id = await makeProvider({}, network);
    await expect(externals.delete(access, { id: network })).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await succeeded(await providers.delete(access, { id }));
    await succeeded(await externals.delete(access, { id: network }));
  });

  it('is for operators, and refuses what makes no sense with the field', async () => {
    const owner = accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]);
    const input = { name: unique('provider'), externalNetwork: outside };
    await expect(providers.create(owner, input)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(providers.create(access, { ...input, externalNetwork: 'none' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.externalNetwork' });
    for (const transitCidr of ['198.51.0.0/16', '100.64.0.0/24', '100.64.0.0/8', '100.64.1.1/24', '127.0.0.0/16', 'here']) {
      await expect(providers.create(access, { ...input, transitCidr }), transitCidr).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.transitCidr' });
    }
    const id = await succeeded(await providers.create(access, input));
    await expect(providers.create(access, input)).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
    await expect(providers.delete(owner, { id })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(providers.delete(access, { id, expectedVersion: 7 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await succeeded(await providers.delete(access, { id }));
  });

  it('gives routers addresses of its transit block, and no address outside', async () => {
    const id = await makeProvider();
    const one = await behind(id);
    const two = await behind(id);
    const rows = await Promise.all([one, two].map(async ({ routerId }) => router(routerId)));
    for (const row of rows) {
      expect(row).toMatchObject({ provider_router_id: id, external_network_id: null, external_address: null, source_nat: true, lifecycle: 'PRESENT' });
      expect(await told(row?.id)).toMatchObject({ uplink: { providerRouterId: id, address: row?.transit_address, sourceNat: true } });
      // Links of routers to their networks are there.
      expect(row?.transit_address).toMatch(/^100\.64\.(?!0\.)/);
    }
    expect(rows[0]?.transit_address).not.toBe(rows[1]?.transit_address);
    expect(await held(id)).toEqual([one.routerId, two.routerId].sort());
    expect((await room.database.rows(findRoutersOfNetworks, [one.networkId]))[0]).toMatchObject({ external_network_id: outside, provider_router_id: id });
    expect(await usage(one.projectId)).toMatchObject({ 'router.count': 1 });
  });

  it('gives an address of its block to one router, and exactly as many as there are', async () => {
    const id = await makeProvider({ transitCidr: '10.99.0.0/24' });
    const projectId = freshProject();
    await room.database.dataSource.query(
      `INSERT INTO transit_address (provider_router_id, address, owner_id, tenant_id, project_id)
       SELECT $1, '10.99.0.0'::inet + n, 'filled_' || n, $2, $3 FROM generate_series(1, 247) AS n`,
      [id, tenant.id, projectId],
    );
    const asked = await Promise.allSettled(Array.from({ length: 9 }, async () => makeRouter(projectId, [], { providerRouter: id })));
    const made = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    for (const each of asked) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'INSUFFICIENT_CAPACITY', fault: 'OPERATOR' });
    const addresses = await Promise.all(made.map(async (routerId) => (await router(routerId))?.transit_address));
    expect(addresses.toSorted((one, other) => ((one ?? '') < (other ?? '') ? -1 : 1))).toEqual([248, 249, 250, 251, 252, 253].map((last) => `10.99.0.${last}`));
  });

  it('is used by one name or another, but not together with an external network, nor with subnets that overlap', async () => {
    const id = await makeProvider({ transitCidr: '10.98.0.0/16' });
    const projectId = freshProject();
    const input = { projectId, name: unique('router'), networkIds: [] };
    await expect(routers.create(access, { ...input, providerRouter: id, externalNetwork: outside })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.providerRouter' });
    await expect(routers.create(access, { ...input, providerRouter: 'none' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.providerRouter' });
    const inside = await makeNetwork(projectId, '10.98.7.0/24');
    const overlapping = { ...input, networkIds: [inside], providerRouter: id };
    await expect(routers.create(access, overlapping)).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.networkIds', message: expect.stringContaining('transit block') as string });
    const made = await succeeded(await routers.create(access, { ...input, providerRouter: (await provider(id))?.name ?? '' }));
    await expect(routers.update(access, { id: made, attach: [inside] })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.attach' });
    const attached = await makeNetwork(projectId);
    await succeeded(await routers.update(access, { id: made, attach: [attached] }));
    for (const cidr of ['10.98.9.0/24', '198.51.100.0/25']) {
      await expect(subnets.create(access, { networkId: attached, name: 'more', cidr }), cidr).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.cidr' });
    }
  });

  it('takes a router’s uplink over from an external network and gives it back, and refuses while floating IPs lead through it', async () => {
    const id = await makeProvider();
    const projectId = freshProject();
    const networkId = await makeNetwork(projectId);
    const routerId = await makeRouter(projectId, [networkId], { externalNetwork: outside });
    const port = await makePort(projectId, networkId);
    const floatingIpId = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id: floatingIpId, portId: port.portId }));
    await expect(routers.update(access, { id: routerId, providerRouter: id })).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await succeeded(await floating.dissociate(access, { id: floatingIpId }));
    await succeeded(await routers.update(access, { id: routerId, providerRouter: id }));
    expect(await router(routerId)).toMatchObject({ provider_router_id: id, external_network_id: null, external_address: null, source_nat: true });
    expect(await told(routerId)).toMatchObject({ uplink: { providerRouterId: id } });
    expect((await room.database.rows(externalOf, outside)).map((row) => row.owner_id)).not.toContain(routerId);
    await succeeded(await floating.associate(access, { id: floatingIpId, portId: port.portId }));
    await expect(routers.update(access, { id: routerId, externalNetwork: outside })).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await succeeded(await floating.dissociate(access, { id: floatingIpId }));
    await succeeded(await routers.update(access, { id: routerId, externalNetwork: outside }));
    expect(await router(routerId)).toMatchObject({ provider_router_id: null, transit_address: null, external_network_id: outside });
    expect(await held(id)).toEqual([]);
    await succeeded(await routers.update(access, { id: routerId, providerRouter: id }));
    await succeeded(await routers.update(access, { id: routerId, providerRouter: null }));
    expect(await router(routerId)).toMatchObject({ provider_router_id: null, transit_address: null, source_nat: false });
    expect(await held(id)).toEqual([]);
    expect(await told(routerId)).toMatchObject({ uplink: null });
  });

  it('puts a router back behind it when a change of its uplink fails', async () => {
    const id = await makeProvider();
    const { routerId } = await behind(id);
    const before = await router(routerId);
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureRouter', resourceId: routerId });
    const { result } = await routers.update(access, { id: routerId, externalNetwork: outside });
    expect(await center.ended(String(result.operationId))).toMatchObject({ state: 'FAILED' });
    expect(await router(routerId)).toMatchObject({ provider_router_id: id, transit_address: before?.transit_address, external_network_id: null });
    expect(await held(id)).toEqual([routerId]);
    expect((await room.database.rows(externalOf, outside)).map((row) => row.owner_id)).not.toContain(routerId);
    expect(await told(routerId)).toMatchObject({ uplink: { providerRouterId: id, address: before?.transit_address } });
  });

  it('leads a floating IP through both routers, by an address that it has as long as it leads somewhere', async () => {
    const id = await makeProvider();
    const { projectId, networkId, routerId, port } = await behind(id);
    const floatingIpId = await makeFloating(projectId);
    expect(await held(id)).toEqual([routerId]);
    await succeeded(await floating.associate(access, { id: floatingIpId, portId: port.portId }));
    const address = (await room.database.rows(transitOf, id)).find((row) => row.owner_id === floatingIpId)?.address;
    expect(await told(floatingIpId)).toMatchObject({ routerId, transit: { providerRouterId: id, address }, target: { kind: 'PORT', portId: port.portId } });
    const loadBalancerId = await succeeded(await balancers.create(access, { networkId, name: unique('lb'), listeners: [{ port: 443, memberPort: 8443 }] }));
    await succeeded(await floating.associate(access, { id: floatingIpId, loadBalancerId }));
    expect(await told(floatingIpId)).toMatchObject({ transit: { address }, target: { kind: 'LOAD_BALANCER', loadBalancerId } });
    await succeeded(await floating.dissociate(access, { id: floatingIpId }));
    expect(await held(id)).toEqual([routerId]);
    expect(await objects()).not.toContain(floatingIpId);
    await succeeded(await floating.associate(access, { id: floatingIpId, portId: port.portId }));
    await succeeded(await floating.delete(access, { id: floatingIpId }));
    expect(await held(id)).toEqual([routerId]);
  });

  it('is led through by a floating IP that is planned with its target', async () => {
    const id = await makeProvider();
    const { projectId, routerId, port } = await behind(id);
    const place = { tenantId: tenant.id, projectId };
    let floatingIpId = '';
    await center.commands.run({ access, name: 'composed', input: {}, place }, async (reader) => {
      const planned = await planFloatingIp(reader, { ...place, name: unique('fip'), ownerId: null, target: { portId: port.portId } });
      floatingIpId = planned.floatingIpId;
      return planned.changes;
    });
    expect(await held(id)).toEqual([floatingIpId, routerId].sort());
    await look();
    await succeeded(await floating.delete(access, { id: floatingIpId }));
    expect(await held(id)).toEqual([routerId]);
  });

  it('takes a floating IP’s address back when its port goes', async () => {
    const id = await makeProvider();
    const { projectId, routerId, port } = await behind(id);
    const floatingIpId = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id: floatingIpId, portId: port.portId }));
    expect(await held(id)).toEqual([floatingIpId, routerId].sort());
    const { network } = await center.drivers.driver(center.backendId);
    await network.removePort(call('gone'), port.portId);
    await center.operations.submit(planPortRemoval([port.portId]));
    expect((await room.database.rows(findFloatingIps, [floatingIpId]))[0]).toMatchObject({ network_id: null });
    expect(await held(id)).toEqual([routerId]);
  });

  it('leads a floating IP back through both routers when leading it elsewhere fails', async () => {
    const id = await makeProvider();
    const { projectId, port, routerId } = await behind(id);
    const direct = await makeNetwork(projectId);
    await makeRouter(projectId, [direct], { externalNetwork: outside });
    const other = await makePort(projectId, direct);
    const floatingIpId = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id: floatingIpId, portId: port.portId }));
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureFloatingIp', resourceId: floatingIpId });
    const { result } = await floating.associate(access, { id: floatingIpId, portId: other.portId });
    expect(await center.ended(String(result.operationId))).toMatchObject({ state: 'FAILED' });
    expect(await held(id)).toEqual([floatingIpId, routerId].sort());
    expect(await told(floatingIpId)).toMatchObject({ routerId, transit: { providerRouterId: id }, target: { portId: port.portId } });
    await succeeded(await floating.associate(access, { id: floatingIpId, portId: other.portId }));
    expect(await held(id)).toEqual([routerId]);
    expect(await told(floatingIpId)).not.toHaveProperty('transit');
  });

  it('lets a router lead to it, or goes, whoever comes first', async () => {
    for (let round = 0; round < 4; round += 1) {
      const id = await makeProvider();
      const coming = async () => routers.create(access, { projectId: freshProject(), name: unique('router'), networkIds: [], providerRouter: id });
      const [come, gone] = await Promise.allSettled([coming(), providers.delete(access, { id })]);
      expect([come.status, gone.status].filter((status) => status === 'fulfilled')).toHaveLength(1);
      for (const each of [come, gone]) {
        if (each.status === 'fulfilled') await succeeded(each.value);
        else expect(['INVALID_STATE', 'CONFLICT', 'NOT_FOUND']).toContain((each.reason as { code: string }).code);
      }
    }
  });

  it('lets a floating IP lead through a router, or the router behind it, whoever comes first', async () => {
    const id = await makeProvider();
    for (let round = 0; round < 4; round += 1) {
      const projectId = freshProject();
      const networkId = await makeNetwork(projectId);
      const routerId = await makeRouter(projectId, [networkId], { externalNetwork: outside });
      const port = await makePort(projectId, networkId);
      const floatingIpId = await makeFloating(projectId);
      const [led, moved] = await Promise.allSettled([
        floating.associate(access, { id: floatingIpId, portId: port.portId }),
        routers.update(access, { id: routerId, providerRouter: id }),
      ]);
      for (const each of [led, moved]) if (each.status === 'fulfilled') await succeeded(each.value);
      const isBehind = (await router(routerId))?.provider_router_id === id;
      expect((await held(id)).includes(floatingIpId), JSON.stringify([led.status, moved.status])).toBe(isBehind && led.status === 'fulfilled');
      expect(led.status === 'fulfilled' || moved.status === 'fulfilled').toBe(true);
    }
  });

  it('is undone when it cannot be made, keeps its address, and is made again', async () => {
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureProviderRouter' });
    const { result } = await providers.create(access, { name: unique('provider'), externalNetwork: outside });
    const id = String(result.id);
    expect(await center.ended(String(result.operationId))).toMatchObject({ state: 'FAILED' });
    expect(await provider(id)).toMatchObject({ lifecycle: 'FAILED' });
    expect(await objects()).not.toContain(id);
    await expect(routers.create(access, { projectId: freshProject(), name: unique('router'), networkIds: [], providerRouter: id })).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await center.operations.retry(String(result.operationId));
    expect(await center.ended(String(result.operationId))).toMatchObject({ state: 'SUCCEEDED' });
    expect(await provider(id)).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    expect(await objects()).toContain(id);
    await succeeded(await providers.delete(access, { id }));
    expect((await room.database.rows(externalOf, outside)).map((row) => row.owner_id)).not.toContain(id);
  });

  it('is told to a backend that has lost it, also on the way to what builds on it, and moves when hosts come and go', async () => {
    const id = await makeProvider();
    const { projectId, routerId, port } = await behind(id);
    const floatingIpId = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id: floatingIpId, portId: port.portId }));
    await look();
    expect(await look()).toEqual([]);
    const { network } = await center.drivers.driver(center.backendId);
    await network.removeFloatingIp(call('lost'), floatingIpId);
    await network.removeRouter(call('lost'), routerId);
    await network.removeProviderRouter(call('lost'), id);
    const other = await makeRouter(projectId, [], { providerRouter: id });
    expect(await objects()).toEqual(expect.arrayContaining([other, id]));
    await look();
    expect(await look()).toEqual([]);
    expect(await objects()).toEqual(expect.arrayContaining([floatingIpId, routerId, id]));
    const before = (await provider(id))?.gateway_hosts ?? [];
    const first = before[0] ?? '';
    const setIntent = (intent: string) => room.database.dataSource.query('UPDATE host SET intent = $2 WHERE backend_id = $1 AND name = $3', [center.backendId, intent, first]);
    await setIntent('MAINTENANCE');
    await look();
    expect((await provider(id))?.gateway_hosts).toEqual([...before.slice(1), first]);
    await setIntent('ENABLED');
    await look();
    expect((await provider(id))?.gateway_hosts).toEqual(before);
  });

  it('keeps nothing of a project that goes', async () => {
    const id = await makeProvider();
    const { projectId, port } = await behind(id);
    const floatingIpId = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id: floatingIpId, portId: port.portId }));
    const scope = { tenantId: tenant.id, projectId };
    const going = [...networkScopeContents].filter(({ kind }) => kind === 'floating ip' || kind === 'router').sort((one, other) => one.order - other.order);
    for (const contents of going) {
      const changes = await contents.planDeletion?.(room.database, scope, 10);
      if (changes === undefined) throw new Error('it goes with nothing else');
      await center.operations.submit(changes);
      await expect.poll(async () => contents.count(room.database, scope)).toBe(0);
    }
    expect(await held(id)).toEqual([]);
    await succeeded(await providers.delete(access, { id }));
  });
});
