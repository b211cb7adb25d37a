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
  findExternalNetworks,
  findFloatingIps,
  findPorts,
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
  planLoadBalancer,
  planNetwork,
  planPortRemoval,
  planPorts,
  planRouter,
  registerNetworkSections,
  RouterService,
  type PlannedPort,
} from './index.js';

const used = statement<{ resource_key: string; used_amount: number }, [scopeId: string]>(
  'spec.edge_used',
  `SELECT resource_key, used_amount FROM quota_counter WHERE scope_id = $1 AND zone_id = '' AND used_amount > 0 ORDER BY resource_key`,
);
const addresses = statement<{ address: string; owner_id: string }, [projectId: string]>(
  'spec.edge_addresses',
  'SELECT host(address) AS address, owner_id FROM external_address WHERE project_id = $1 ORDER BY address',
);

describe('routers and floating IPs on a simulated datacenter', () => {
  let room: RoomDatabase;
  let center: TestDatacenter;
  let tenant: TestTenant;
  let outside: string;
  let networks: NetworkService;
  let balancers: LoadBalancerService;
  let externals: ExternalNetworkService;
  let routers: RouterService;
  let floating: FloatingIpService;
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
    networks = new NetworkService(center.commands, center.ledger);
    balancers = new LoadBalancerService(center.commands, center.ledger, networks);
    externals = new ExternalNetworkService(center.commands);
    routers = new RouterService(center.commands, center.ledger);
    floating = new FloatingIpService(center.commands, center.ledger);
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
  const usage = async (projectId: string): Promise<Record<string, number>> =>
    Object.fromEntries((await room.database.rows(used, projectId)).map((row) => [row.resource_key, row.used_amount]));
  const objects = async (): Promise<string[]> => (await center.world.objects()).map((object) => object.id);
  const router = async (id: unknown) => (await room.database.rows(findRouters, [String(id)]))[0];
  const floatingIp = async (id: unknown) => (await room.database.rows(findFloatingIps, [String(id)]))[0];
  const told = async (id: unknown) => (await center.world.networkParts(tenant.id)).find((part) => part.id === id)?.specification;
  const held = async (projectId: string): Promise<string[]> => (await room.database.rows(addresses, projectId)).map((row) => row.owner_id);

  async function succeeded({ result }: CommandResult): Promise<string> {
    if (result.operationId !== null) expect(await center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    return String(result.id);
  }

  async function makeExternal(cidr: string, pools?: { first: string; last: string }[]): Promise<string> {
    const gateway = cidr.replace(/\.\d+\/\d+$/, '.1');
    const input = { name: unique('outside'), backendId: center.backendId, physicalNetwork: unique('physnet'), cidr, gateway };
    return succeeded(await externals.create(access, pools === undefined ? input : { ...input, pools }));
  }

  async function makeNetwork(projectId: string, realised = true): Promise<string> {
    return succeeded(await networks.create(access, { projectId, name: unique('net'), subnet: {}, zones: realised ? [center.zoneId] : [] }));
  }

  async function makeRouter(projectId: string, networkIds: string[], externalNetwork: string | null = outside): Promise<string> {
    const uplink = externalNetwork === null ? {} : { externalNetwork };
    return succeeded(await routers.create(access, { projectId, name: unique('router'), networkIds, ...uplink }));
  }

  async function makePort(projectId: string, networkId: string): Promise<PlannedPort> {
    let port: PlannedPort | undefined;
    await center.commands.run({ access, name: 'makePort', input: {}, place: { tenantId: tenant.id, projectId } }, async (reader) => {
      const request = { name: unique('port'), networkId, ownerId: unique('vm'), tenantId: tenant.id, projectId, hostId: center.hostIds[0] ?? '', backendId: center.backendId, zoneId: null };
      const planned = await planPorts(reader, access, [request]);
      port = planned.ports[0];
      return planned.changes;
    });
    if (port === undefined) throw new Error('no port was planned');
    const made = port;
    const driver = await center.drivers.driver(center.backendId);
    await driver.network.ensurePort(call(made.portId), {
      portId: made.portId,
      revision: 1,
      ownership: { installationId: await installationId(room.database), tenantId: tenant.id, projectId },
      networkId,
      subnetId: made.subnetId,
      macAddress: made.macAddress,
      ipAddress: made.address,
      hostName: 'host-1',
    });
    return made;
  }
  const call = (key: string) => ({ idempotencyKey: `${key}-${(names += 1)}`, timeoutMs: 5_000, signal: new AbortController().signal });

  const makeFloating = async (projectId: string, externalNetwork = outside): Promise<string> =>
    succeeded(await floating.create(access, { projectId, name: unique('fip'), externalNetwork }));

  async function balancerIn(networkId: string): Promise<string> {
    return succeeded(await balancers.create(access, { networkId, name: unique('lb'), listeners: [{ port: 443, memberPort: 8443 }] }));
  }

  /** A network on a router with an uplink, and a port there. */
  async function routed() {
    const projectId = freshProject();
    const networkId = await makeNetwork(projectId);
    const routerId = await makeRouter(projectId, [networkId]);
    return { projectId, networkId, routerId, port: await makePort(projectId, networkId) };
  }

  async function look(): Promise<string[]> {
    const started: string[] = [];
    const reconciler = edgeDrift(center.drivers, { graceMs: 0 });
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

  it('makes an external network, and takes it away only when nobody has an address of it', async () => {
    const id = await makeExternal('203.0.113.0/24');
    expect((await room.database.rows(findExternalNetworks, [id]))[0]).toMatchObject({ lifecycle: 'PRESENT', realised_revision: 1 });
    expect(await objects()).toContain(id);
    const projectId = freshProject();
    const fip = await makeFloating(projectId, id);
    await expect(externals.delete(access, { id })).rejects.toMatchObject({ code: 'INVALID_STATE' });
    const { plan } = await externals.delete(access, { id }, { dryRun: true });
    expect(plan?.changes.problems).toEqual([expect.objectContaining({ code: 'INVALID_STATE' })]);
    await succeeded(await floating.delete(access, { id: fip }));
    await succeeded(await externals.delete(access, { id }));
    expect(await room.database.rows(findExternalNetworks, [id])).toEqual([]);
    expect(await objects()).not.toContain(id);
  });

  it('is for operators, and refuses what makes no sense with the field', async () => {
    const owner = accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]);
    const input = { name: 'other', backendId: center.backendId, physicalNetwork: 'p', cidr: '192.0.2.0/24', gateway: '192.0.2.1' };
    await expect(externals.create(owner, input)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(externals.create(access, { ...input, gateway: '192.0.3.1' })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.gateway' });
    await expect(externals.create(access, { ...input, backendId: 'bck_none' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.backendId' });
    await expect(externals.create(access, { ...input, vlan: 5000 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.vlan' });
  });

  it('makes a router between networks with an uplink, and takes it away, leaving nothing', async () => {
    const projectId = freshProject();
    const [one, two] = [await makeNetwork(projectId), await makeNetwork(projectId)];
    const id = await makeRouter(projectId, [one, two]);
    const row = await router(id);
    expect(row).toMatchObject({ lifecycle: 'PRESENT', source_nat: true, realised_revision: 1 });
    expect(row?.gateway_hosts).toHaveLength(3);
    expect(await told(id)).toMatchObject({
      networks: [{ networkId: one, link: 0 }, { networkId: two, link: 1 }],
      uplink: { externalNetworkId: outside, address: row?.external_address, sourceNat: true, gatewayHostNames: row?.gateway_hosts },
    });
    expect(await usage(projectId)).toMatchObject({ 'router.count': 1 });
    await expect(networks.delete(access, { id: one })).rejects.toMatchObject({ code: 'INVALID_STATE', message: expect.stringContaining('router') as string });
    await succeeded(await routers.delete(access, { id }));
    expect(await router(id)).toBeUndefined();
    expect(await held(projectId)).toEqual([]);
    expect(await objects()).not.toContain(id);
    expect(await usage(projectId)).toEqual({ 'network.count': 2 });
    await succeeded(await networks.delete(access, { id: one }));
  });

  it('attaches and detaches networks and changes its uplink, by expected versions', async () => {
    const projectId = freshProject();
    const [one, two] = [await makeNetwork(projectId), await makeNetwork(projectId, false)];
    const id = await makeRouter(projectId, [one], null);
    expect(await held(projectId)).toEqual([]);
    const { version = 0 } = (await router(id)) ?? {};
    await succeeded(await routers.update(access, { id, expectedVersion: version, attach: [two], externalNetwork: outside }));
    expect(await told(id)).toMatchObject({ networks: [{ networkId: one, link: 0 }, { networkId: two, link: 1 }], uplink: { sourceNat: true } });
    await expect(routers.update(access, { id, expectedVersion: version, detach: [two] })).rejects.toMatchObject({ code: 'CONFLICT' });
    await succeeded(await routers.update(access, { id, detach: [one], externalNetwork: null }));
    expect(await told(id)).toMatchObject({ networks: [{ networkId: two, link: 1 }], uplink: null });
    expect(await held(projectId)).toEqual([]);
    expect((await routers.update(access, { id, detach: [one] })).result.operationId).toBeNull();
    expect((await room.database.rows(findRoutersOfNetworks, [one, two])).map((row) => row.network_id)).toEqual([two]);
  });

  it('is as it was after an update that failed for good', async () => {
    const projectId = freshProject();
    const [one, two] = [await makeNetwork(projectId), await makeNetwork(projectId)];
    const id = await makeRouter(projectId, [one]);
    const before = await router(id);
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureRouter' });
    const { result } = await routers.update(access, { id, attach: [two], detach: [one], externalNetwork: null });
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED' } });
    expect(await router(id)).toMatchObject({ external_address: before?.external_address, external_network_id: outside, source_nat: true, lifecycle: 'PRESENT' });
    expect(await told(id)).toMatchObject({ networks: [{ networkId: one, link: 0 }], uplink: { address: before?.external_address } });
    expect(await held(projectId)).toEqual([id]);
  });

  it('ends FAILED with the true reason when it cannot be made, is charged nothing, and can be tried again', async () => {
    const projectId = freshProject();
    const networkId = await makeNetwork(projectId);
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureRouter' });
    const { result } = await routers.create(access, { projectId, name: 'late', networkIds: [networkId], externalNetwork: outside });
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    expect(await router(result.id)).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } });
    expect(await usage(projectId)).toEqual({ 'network.count': 1 });
    await center.operations.retry(String(result.operationId));
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await usage(projectId)).toEqual({ 'network.count': 1, 'router.count': 1 });
    expect(await router(result.id)).toMatchObject({ lifecycle: 'PRESENT', failure: null });
  });

  it.each(['LOST_ANSWER', 'BUSY', 'UNAVAILABLE', 'STILL_RUNNING', 'LATE_EFFECT'] as const)('goes on after %s of every first call', async (kind) => {
    for (const method of ['ensureRouter', 'ensureFloatingIp', 'removeFloatingIp', 'removeRouter', 'realised']) {
      await center.world.addFault({ kind, method, delayMs: 50, uncancellable: false });
    }
    const { projectId, routerId, port } = await routed();
    const id = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id, portId: port.portId }));
    expect(await told(id)).toMatchObject({ target: { portId: port.portId }, routerId });
    await succeeded(await floating.dissociate(access, { id }));
    await succeeded(await floating.delete(access, { id }));
    await succeeded(await routers.delete(access, { id: routerId }));
    expect(await objects()).not.toEqual(expect.arrayContaining([id]));
    expect(await held(projectId)).toEqual([]);
  });

  it('refuses a network of another project, and one that is on another router', async () => {
    const { networkId, projectId } = await routed();
    const input = { projectId, name: unique('router'), externalNetwork: outside };
    await expect(routers.create(access, { ...input, networkIds: [networkId] })).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.networkIds' });
    const foreign = await makeNetwork(freshProject());
    await expect(routers.create(access, { ...input, networkIds: [foreign] })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.networkIds' });
    await expect(routers.create(access, { ...input, externalNetwork: 'nowhere' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.externalNetwork' });
  });

  it('lets a network be on one router, however many ask for it at once', async () => {
    const projectId = freshProject();
    const networkId = await makeNetwork(projectId);
    const asked = await Promise.allSettled(
      Array.from({ length: 8 }, async () => routers.create(access, { projectId, name: unique('router'), networkIds: [networkId], externalNetwork: outside })),
    );
    const made = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(made).toHaveLength(1);
    for (const each of asked) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'INVALID_STATE' });
    for (const each of made) await succeeded(each);
  });

  it('gives an address of an external network to one owner, and exactly as many as there are', async () => {
    const small = await makeExternal('192.0.2.0/28', [{ first: '192.0.2.4', last: '192.0.2.11' }]);
    const projectId = freshProject();
    const asked = await Promise.allSettled(
      Array.from({ length: 16 }, async () => floating.create(access, { projectId, name: unique('fip'), externalNetwork: small })),
    );
    expect(asked.filter((each) => each.status === 'fulfilled')).toHaveLength(8);
    for (const each of asked) {
      if (each.status === 'rejected') expect((each.reason as { code: string }).code).toMatch(/INSUFFICIENT_CAPACITY|CONFLICT/);
    }
    expect(await usage(projectId)).toEqual({ 'floating_ip.count': 8 });
    expect(new Set((await room.database.rows(addresses, projectId)).map((row) => row.address)).size).toBe(8);
  });

  it('leads a floating IP to a port, to a load balancer, nowhere, and gives it back', async () => {
    const { projectId, networkId, routerId, port } = await routed();
    const id = await makeFloating(projectId);
    const { address } = (await floatingIp(id)) ?? {};
    expect(await usage(projectId)).toMatchObject({ 'floating_ip.count': 1 });
    expect(await objects()).not.toContain(id);
    await succeeded(await floating.associate(access, { id, portId: port.portId }));
    expect(await told(id)).toEqual({ routerId, networkId, address, target: { kind: 'PORT', portId: port.portId } });
    const loadBalancerId = await balancerIn(networkId);
    await succeeded(await floating.associate(access, { id, loadBalancerId }));
    expect(await told(id)).toMatchObject({ target: { kind: 'LOAD_BALANCER', loadBalancerId } });
    expect((await floating.associate(access, { id, loadBalancerId })).result.operationId).toBeNull();
    const { version = 0 } = (await floatingIp(id)) ?? {};
    await expect(floating.dissociate(access, { id, expectedVersion: version - 1 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await succeeded(await floating.dissociate(access, { id, expectedVersion: version }));
    expect(await objects()).not.toContain(id);
    expect(await floatingIp(id)).toMatchObject({ network_id: null, lifecycle: 'PRESENT', address });
    await succeeded(await floating.delete(access, { id }));
    expect(await usage(projectId)).not.toHaveProperty('floating_ip.count');
    expect(await held(projectId)).toEqual([routerId]);
  });

  it('leads where it led before after an association that failed for good', async () => {
    const { projectId, networkId, port } = await routed();
    const id = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id, portId: port.portId }));
    const loadBalancerId = await balancerIn(networkId);
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureFloatingIp' });
    const { result } = await floating.associate(access, { id, loadBalancerId });
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    expect(await floatingIp(id)).toMatchObject({ port_id: port.portId, load_balancer_id: null });
    expect(await told(id)).toMatchObject({ target: { kind: 'PORT' } });
  });

  it('does not lead where the outside is not reached, nor twice to one place', async () => {
    const projectId = freshProject();
    const networkId = await makeNetwork(projectId);
    const port = await makePort(projectId, networkId);
    const [one, two] = [await makeFloating(projectId), await makeFloating(projectId)];
    await expect(floating.associate(access, { id: one, portId: port.portId })).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.portId' });
    await makeRouter(projectId, [networkId]);
    await succeeded(await floating.associate(access, { id: one, portId: port.portId }));
    await expect(floating.associate(access, { id: two, portId: port.portId })).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await expect(floating.associate(access, { id: two })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(floating.associate(access, { id: two, portId: 'prt_none' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.portId' });
  });

  it('keeps router, network and uplink while a floating IP leads through them', async () => {
    const { projectId, networkId, routerId, port } = await routed();
    const id = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id, portId: port.portId }));
    for (const attempt of [
      async () => routers.delete(access, { id: routerId }),
      async () => routers.update(access, { id: routerId, detach: [networkId] }),
      async () => routers.update(access, { id: routerId, externalNetwork: null }),
    ]) {
      await expect(attempt()).rejects.toMatchObject({ code: 'INVALID_STATE', data: { floatingIps: [expect.objectContaining({ id })] } });
    }
    const { plan } = await routers.update(access, { id: routerId, detach: [networkId] }, { dryRun: true });
    expect(plan?.changes.problems).toEqual([expect.objectContaining({ code: 'INVALID_STATE' })]);
  });

  it('lets a floating IP lead through a router, or the router go, whoever comes first', async () => {
    for (const letGo of ['detach', 'uplink', 'delete'] as const) {
      const { projectId, networkId, routerId, port } = await routed();
      const id = await makeFloating(projectId);
      const going = async (): Promise<CommandResult> => {
        if (letGo === 'delete') return routers.delete(access, { id: routerId });
        return routers.update(access, letGo === 'detach' ? { id: routerId, detach: [networkId] } : { id: routerId, externalNetwork: null });
      };
      const [led, gone] = await Promise.allSettled([floating.associate(access, { id, portId: port.portId }), going()]);
      expect([led.status, gone.status].filter((status) => status === 'fulfilled'), letGo).toHaveLength(1);
      for (const each of [led, gone]) {
        if (each.status === 'fulfilled') await succeeded(each.value);
        else expect(each.reason).toMatchObject({ code: 'INVALID_STATE' });
      }
    }
  });

  it('goes nowhere again when its port goes, and stays the project’s', async () => {
    const { projectId, port } = await routed();
    const id = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id, portId: port.portId }));
    const driver = await center.drivers.driver(center.backendId);
    await driver.network.removePort(call('gone'), port.portId);
    await center.operations.submit(planPortRemoval([port.portId]));
    expect(await room.database.rows(findPorts, [port.portId])).toEqual([]);
    expect(await floatingIp(id)).toMatchObject({ network_id: null, port_id: null, lifecycle: 'PRESENT' });
    expect(await objects()).not.toContain(id);
    expect(await look()).toEqual([]);
  });

  it('tells a backend again that has lost its edge, and moves uplinks when hosts come and go', async () => {
    const { projectId, routerId, port } = await routed();
    const id = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id, portId: port.portId }));
    await look();
    expect(await look()).toEqual([]);
    const { network } = await center.drivers.driver(center.backendId);
    await network.removeFloatingIp(call('lost'), id);
    await network.removeRouter(call('lost'), routerId);
    expect(await look()).toHaveLength(2);
    expect(await objects()).toEqual(expect.arrayContaining([id, routerId]));
    for (const damaged of [outside, routerId, id]) {
      await center.world.damagePart(damaged);
      expect(await look()).toHaveLength(1);
      expect(await look()).toEqual([]);
    }
    const before = (await router(routerId))?.gateway_hosts ?? [];
    const first = before[0] ?? '';
    const setIntent = (intent: string) => room.database.dataSource.query('UPDATE host SET intent = $2 WHERE backend_id = $1 AND name = $3', [center.backendId, intent, first]);
    await setIntent('MAINTENANCE');
    await look();
    expect((await router(routerId))?.gateway_hosts).toEqual([...before.slice(1), first]);
    expect(await told(routerId)).toMatchObject({ uplink: { gatewayHostNames: [...before.slice(1), first] } });
    await setIntent('ENABLED');
    await look();
    expect((await router(routerId))?.gateway_hosts).toEqual(before);
  });

  it('is planned together with what it leads to, in one change set', async () => {
    const projectId = freshProject();
    const place = { tenantId: tenant.id, projectId };
    let ids: Record<string, string> = {};
    await center.commands.run({ access, name: 'composed', input: {}, place }, async (reader) => {
      const changes = (await planNetwork(reader, access, { projectId, name: 'composed', subnet: {} })).changes;
      const networkId = String(changes.resources[0]?.id);
      const common = { ...place, ownerId: null };
      const made = await planRouter(reader, access, { ...common, name: 'composed', networkIds: [networkId], externalNetwork: outside, lifecycle: 'PRESENT' }, changes);
      changes.include(made.changes);
      const balancer = await planLoadBalancer(
        reader, access, { ...common, name: 'composed', networkId, backendId: center.backendId, listeners: [{ port: 6443, memberPort: 6443 }], memberPortIds: [], lifecycle: 'PRESENT' }, changes,
      );
      changes.include(balancer.changes);
      const planned = await planFloatingIp(reader, { ...common, name: 'composed', target: { loadBalancerId: balancer.loadBalancerId } }, changes);
      changes.include(planned.changes);
      ids = { floatingIp: planned.floatingIpId, router: made.routerId, balancer: balancer.loadBalancerId };
      return changes;
    });
    expect(await floatingIp(ids['floatingIp'])).toMatchObject({ load_balancer_id: ids['balancer'], external_network_id: outside });
    expect(await router(ids['router'])).toMatchObject({ lifecycle: 'PRESENT' });
    expect(await usage(projectId)).toEqual({ 'floating_ip.count': 1, 'load_balancer.count': 1, 'network.count': 1, 'router.count': 1 });
  });

  it('all goes when its project goes', async () => {
    const { projectId, port } = await routed();
    const id = await makeFloating(projectId);
    await succeeded(await floating.associate(access, { id, portId: port.portId }));
    const scope = { tenantId: tenant.id, projectId };
    const going = [...networkScopeContents].filter(({ kind }) => kind === 'floating ip' || kind === 'router').sort((one, other) => one.order - other.order);
    expect(going.map(({ kind }) => kind)).toEqual(['floating ip', 'router']);
    for (const contents of going) {
      expect(await contents.count(room.database, scope)).toBe(1);
      expect(await contents.list(room.database, scope, 10)).toHaveLength(1);
      const changes = await contents.planDeletion?.(room.database, scope, 10);
      if (changes === undefined) throw new Error('it goes with nothing else');
      await center.operations.submit(changes);
      await expect.poll(async () => contents.count(room.database, scope)).toBe(0);
    }
    expect(await held(projectId)).toEqual([]);
  });
});
