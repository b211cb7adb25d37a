import { insertRows, statement } from '#database';
import type { CommandResult } from '#identity';
import type {
  ExternalNetworkService,
  FloatingIpRow,
  FloatingIpService,
  LoadBalancerService,
  NetworkService,
  PlannedPort,
  RouterRow,
  RouterService,
  SecurityGroupService,
  SubnetService,
} from '#network';
import { testDatacenter, type TestDatacenter } from './datacenter.js';
import { roomDatabase, systemAccess, type RoomDatabase } from './room-database.js';
import { newTenant, type TestTenant } from './scopes.js';

const used = statement<{ resource_key: string; used_amount: number }, [scopeId: string]>(
  'testing.edge_used',
  `SELECT resource_key, used_amount FROM quota_counter WHERE scope_id = $1 AND zone_id = '' AND used_amount > 0 ORDER BY resource_key`,
);
const addresses = statement<{ address: string; owner_id: string }, [projectId: string]>(
  'testing.edge_addresses',
  'SELECT host(address) AS address, owner_id FROM external_address WHERE project_id = $1 ORDER BY address',
);

/** A network on a router with an uplink, and a port there. */
export interface RoutedNetwork {
  projectId: string;
  networkId: string;
  routerId: string;
  port: PlannedPort;
}

/** Routers and floating IPs on a simulated datacenter: a tenant with projects, and an external network. */
export interface EdgeBench {
  readonly room: RoomDatabase;
  readonly center: TestDatacenter;
  readonly tenant: TestTenant;
  /** 198.51.100.0/24 */
  readonly outside: string;
  readonly networks: NetworkService;
  readonly subnets: SubnetService;
  readonly balancers: LoadBalancerService;
  readonly groups: SecurityGroupService;
  readonly externals: ExternalNetworkService;
  readonly routers: RouterService;
  readonly floating: FloatingIpService;
  unique(noun: string): string;
  /** One that no spec has used. */
  freshProject(): string;
  /** Waits until what was asked for has come to a good end. @returns the resource's id */
  succeeded(result: CommandResult): Promise<string>;
  makeExternal(cidr: string, pools?: { first: string; last: string }[]): Promise<string>;
  makeNetwork(projectId: string, realised?: boolean): Promise<string>;
  makeRouter(projectId: string, networkIds: string[], externalNetwork?: string | null): Promise<string>;
  /** Rows of machines' ports, which no backend has. */
  planPorts(projectId: string, networkId: string, amount: number): Promise<PlannedPort[]>;
  /** A machine's, which the backend has. */
  makePort(projectId: string, networkId: string): Promise<PlannedPort>;
  makeFloating(projectId: string, externalNetwork?: string): Promise<string>;
  balancerIn(networkId: string): Promise<string>;
  routed(): Promise<RoutedNetwork>;
  router(id: unknown): Promise<RouterRow | undefined>;
  floatingIp(id: unknown): Promise<FloatingIpRow | undefined>;
  usage(projectId: string): Promise<Record<string, number>>;
  /** Whoever has addresses of external networks. */
  held(projectId: string): Promise<string[]>;
  heldAddresses(projectId: string): Promise<{ address: string; owner_id: string }[]>;
  /** Ids of what the backend has. */
  objects(): Promise<string[]>;
  /** What the backend was last told of a part of the tenant's. */
  told(id: unknown): Promise<unknown>;
  /** What a call to the driver needs. */
  call(key: string): { idempotencyKey: string; timeoutMs: number; signal: AbortSignal };
  close(): Promise<void>;
}

/** How long undos look again for late effects. */
const SETTLE_MS = 150;

export async function edgeBench(projectCount = 40): Promise<EdgeBench> {
  const network = await import('#network');
  const { eventsRoom } = await import('#events');
  const { identityRoom } = await import('#identity');
  const { infrastructureRoom, installationId } = await import('#infrastructure');
  const { operationsRoom } = await import('#operations');
  const { placementRoom } = await import('#placement');
  const { quotaRoom } = await import('#quota');
  const { scopesRoom } = await import('#scopes');
  const { secretsRoom } = await import('#secrets');
  const { tenancyRoom } = await import('#tenancy');

  const access = systemAccess();
  const room = await roomDatabase([
    secretsRoom, eventsRoom, scopesRoom, identityRoom, quotaRoom, operationsRoom, infrastructureRoom, tenancyRoom, placementRoom, network.networkRoom,
  ]);
  const center = await testDatacenter(room, {
    sections: network.registerNetworkSections,
    kinds: (drivers) => network.networkOperations(new network.NetworkRealiser(drivers, { settleMs: SETTLE_MS })),
  });
  const networks = new network.NetworkService(center.commands, center.ledger);
  const balancers = new network.LoadBalancerService(center.commands, center.ledger, networks);
  const externals = new network.ExternalNetworkService(center.commands);
  const routers = new network.RouterService(center.commands, center.ledger);
  const floating = new network.FloatingIpService(center.commands, center.ledger);
  const tenant = await newTenant(room.database, projectCount);
  const row = { id: tenant.id, tenant_id: tenant.id, display_name: tenant.name, all_zones: true };
  await room.database.transaction((transaction) => insertRows(transaction, 'tenant', [row]));

  let names = 0;
  let projects = 0;
  const unique = (noun: string): string => `${noun}-${(names += 1)}`;
  const freshProject = (): string => tenant.projectIds[projects++] ?? '';
  const call = (key: string) => ({ idempotencyKey: unique(key), timeoutMs: 5_000, signal: new AbortController().signal });
  const heldAddresses = async (projectId: string) => room.database.rows(addresses, projectId);

  async function succeeded({ result }: CommandResult): Promise<string> {
    if (result.operationId !== null) {
      const ended = await center.ended(result.operationId);
      if (ended.state !== 'SUCCEEDED') throw new Error(`it ended ${JSON.stringify(ended)}`);
    }
    return result.id as string;
  }

  async function makeExternal(cidr: string, pools?: { first: string; last: string }[]): Promise<string> {
    const gateway = cidr.replace(/\.\d+\/\d+$/, '.1');
    const input = { name: unique('outside'), backendId: center.backendId, physicalNetwork: unique('physnet'), cidr, gateway };
    return succeeded(await externals.create(access, pools === undefined ? input : { ...input, pools }));
  }
  const outside = await makeExternal('198.51.100.0/24');

  async function makeNetwork(projectId: string, realised = true): Promise<string> {
    return succeeded(await networks.create(access, { projectId, name: unique('net'), subnet: {}, zones: realised ? [center.zoneId] : [] }));
  }

  async function makeRouter(projectId: string, networkIds: string[], externalNetwork: string | null = outside): Promise<string> {
    const uplink = externalNetwork === null ? {} : { externalNetwork };
    return succeeded(await routers.create(access, { projectId, name: unique('router'), networkIds, ...uplink }));
  }

  async function planPorts(projectId: string, networkId: string, amount: number): Promise<PlannedPort[]> {
    let ports: PlannedPort[] = [];
    const place = { tenantId: tenant.id, projectId };
    await center.commands.run({ access, name: 'makePorts', input: {}, place }, async (reader) => {
      const common = { ...place, networkId, hostId: center.hostIds[0] ?? '', backendId: center.backendId, zoneId: null };
      const requests = Array.from({ length: amount }, () => ({ ...common, name: unique('port'), ownerId: unique('vm') }));
      const planned = await network.planPorts(reader, access, requests);
      ports = planned.ports;
      return planned.changes;
    });
    return ports;
  }

  async function makePort(projectId: string, networkId: string): Promise<PlannedPort> {
    const [made] = await planPorts(projectId, networkId, 1);
    if (made === undefined) throw new Error('no port was planned');
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

  return {
    room,
    center,
    tenant,
    outside,
    networks,
    subnets: new network.SubnetService(center.commands, networks),
    balancers,
    groups: new network.SecurityGroupService(center.commands, center.ledger, center.drivers),
    externals,
    routers,
    floating,
    unique,
    freshProject,
    succeeded,
    makeExternal,
    makeNetwork,
    makeRouter,
    planPorts,
    makePort,
    call,
    heldAddresses,
    makeFloating: async (projectId, externalNetwork = outside) =>
      succeeded(await floating.create(access, { projectId, name: unique('fip'), externalNetwork })),
    balancerIn: async (networkId) =>
      succeeded(await balancers.create(access, { networkId, name: unique('lb'), listeners: [{ port: 443, memberPort: 8443 }] })),
    async routed() {
      const projectId = freshProject();
      const networkId = await makeNetwork(projectId);
      const routerId = await makeRouter(projectId, [networkId]);
      return { projectId, networkId, routerId, port: await makePort(projectId, networkId) };
    },
    router: async (id) => (await room.database.rows(network.findRouters, [String(id)]))[0],
    floatingIp: async (id) => (await room.database.rows(network.findFloatingIps, [String(id)]))[0],
    usage: async (projectId) =>
      Object.fromEntries((await room.database.rows(used, projectId)).map((each) => [each.resource_key, each.used_amount])),
    held: async (projectId) => (await heldAddresses(projectId)).map((each) => each.owner_id),
    objects: async () => (await center.world.objects()).map((object) => object.id),
    told: async (id) => (await center.world.networkParts(tenant.id)).find((part) => part.id === id)?.specification,
    async close() {
      await center.close();
      await room.close();
    },
  };
}
