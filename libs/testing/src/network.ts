import { z } from 'zod';
import { statement } from '#database';
import type { CommandResult } from '#identity';
import type {
  ExternalNetworkService,
  FirewallPolicyService,
  FloatingIpService,
  LoadBalancerService,
  NetworkRealiser,
  NetworkService,
  PlannedPort,
  ProviderRouterService,
  RouterService,
  SecurityGroupService,
  SubnetService,
} from '#network';
import { defineOperation, operationId, OPERATIONS, type OperationKind, type Reconciler } from '#operations';
import { testApi, type TestApi } from './api.js';
import { datacenterDatabase, testDatacenter, type TestDatacenter } from './datacenter.js';
import { accessWith, systemAccess, type RoomDatabase } from './room-database.js';
import { newTenantInAllZones, type TestTenant } from './scopes.js';

const used = statement<{ resource_key: string; used_amount: number }, [scopeId: string]>(
  'testing.network_used',
  `SELECT resource_key, used_amount FROM quota_counter WHERE scope_id = $1 AND zone_id = '' AND used_amount > 0 ORDER BY resource_key`,
);

/** The kind of operation that makes a machine of nothing but ports. */
const MACHINE_KIND = 'testing.machine.create';

/** Networks on a simulated datacenter: a tenant with projects, and every service of the room. */
export interface NetworkBench {
  readonly room: RoomDatabase;
  readonly center: TestDatacenter;
  readonly tenant: TestTenant;
  readonly networks: NetworkService;
  readonly subnets: SubnetService;
  readonly balancers: LoadBalancerService;
  readonly groups: SecurityGroupService;
  readonly policies: FirewallPolicyService;
  readonly externals: ExternalNetworkService;
  readonly providers: ProviderRouterService;
  readonly routers: RouterService;
  readonly floating: FloatingIpService;
  unique(noun: string): string;
  /** One that no spec has used. */
  freshProject(): string;
  /** Waits until what was asked for has come to a good end. @returns the resource's id */
  succeeded(result: CommandResult): Promise<string>;
  /** Rows of machines' ports, which no backend has. */
  planPorts(projectId: string, networkId: string, amount: number): Promise<PlannedPort[]>;
  /** A machine's, which the backend has. */
  makePort(projectId: string, networkId: string): Promise<PlannedPort>;
  /** Asks for a machine of nothing but ports, each on another host, as compute does. */
  startMachine(projectId: string, networkId: string, ports?: { amount?: number; securityGroupIds?: string[] }): Promise<StartedMachine>;
  /** Lets it look once. @returns the operations that it has started */
  look(reconciler: Reconciler): Promise<string[]>;
  usage(projectId: string): Promise<Record<string, number>>;
  /** Ids of what the backend has. */
  objects(): Promise<string[]>;
  /** What the backend was last told of a part of the tenant's. */
  told(id: unknown): Promise<unknown>;
  /** What a call to the driver needs. */
  call(key: string): { idempotencyKey: string; timeoutMs: number; signal: AbortSignal };
  /** The room's GraphQL for `ann`, who owns the tenant, a `stranger`, who owns another, an `operator` and `nobody`; closed with this. */
  api(): Promise<TestApi>;
  close(): Promise<void>;
}

export interface StartedMachine {
  ports: PlannedPort[];
  operationId: string;
}

/** How long undos look again for late effects. */
const SETTLE_MS = 150;

export async function networkBench(projectCount = 40): Promise<NetworkBench> {
  const network = await import('#network');
  const { installationId } = await import('#infrastructure');

  const access = systemAccess();
  const room = await datacenterDatabase([network.networkRoom]);
  const center = await testDatacenter(room, {
    sections: network.registerNetworkSections,
    kinds: (drivers) => {
      const realiser = new network.NetworkRealiser(drivers, { settleMs: SETTLE_MS });
      return [...network.networkOperations(realiser), machineKind(realiser, network.planPortRemoval)];
    },
  });
  const { commands, ledger } = center;
  const tenant = await newTenantInAllZones(room.database, projectCount);
  const networks = new network.NetworkService(commands, ledger);
  const services = {
    networks,
    subnets: new network.SubnetService(commands, networks),
    balancers: new network.LoadBalancerService(commands, ledger, networks),
    groups: new network.SecurityGroupService(commands, ledger, center.drivers),
    policies: new network.FirewallPolicyService(commands),
    externals: new network.ExternalNetworkService(commands),
    providers: new network.ProviderRouterService(commands),
    routers: new network.RouterService(commands, ledger),
    floating: new network.FloatingIpService(commands, ledger),
  };

  const apis: TestApi[] = [];
  let names = 0;
  let projects = 0;
  const unique = (noun: string): string => `${noun}-${(names += 1)}`;
  const call = (key: string) => ({ idempotencyKey: unique(key), timeoutMs: 5_000, signal: new AbortController().signal });
  const placeOf = (projectId: string) => ({ tenantId: tenant.id, projectId });

  /** For ports of a machine, each on the next host. */
  const requestOf = (projectId: string, networkId: string, index: number) => {
    const hostId = center.hostIds[index % center.hostIds.length] ?? '';
    return { ...placeOf(projectId), networkId, hostId, backendId: center.backendId, zoneId: null };
  };

  async function planPorts(projectId: string, networkId: string, amount: number): Promise<PlannedPort[]> {
    let ports: PlannedPort[] = [];
    await commands.run({ access, name: 'makePorts', input: {}, place: placeOf(projectId) }, async (reader) => {
      const requests = Array.from({ length: amount }, () => ({ ...requestOf(projectId, networkId, 0), name: unique('port'), ownerId: unique('vm') }));
      const planned = await network.planPorts(reader, access, requests);
      ports = planned.ports;
      return planned.changes;
    });
    return ports;
  }

  return {
    room,
    center,
    tenant,
    ...services,
    unique,
    freshProject: () => tenant.projectIds[projects++] ?? '',
    async succeeded({ result }) {
      if (result.operationId !== null) {
        const ended = await center.ended(result.operationId);
        if (ended.state !== 'SUCCEEDED') throw new Error(`it ended ${JSON.stringify(ended)}`);
      }
      return result.id as string;
    },
    planPorts,
    async makePort(projectId, networkId) {
      const [made] = await planPorts(projectId, networkId, 1);
      if (made === undefined) throw new Error('no port was planned');
      const driver = await center.drivers.driver(center.backendId);
      await driver.network.ensurePort(call(made.portId), {
        portId: made.portId,
        revision: 1,
        ownership: { installationId: await installationId(room.database), ...placeOf(projectId) },
        networkId,
        subnetId: made.subnetId,
        macAddress: made.macAddress,
        ipAddress: made.address,
        hostName: 'host-1',
      });
      return made;
    },
    async startMachine(projectId, networkId, { amount = 1, securityGroupIds = [] } = {}) {
      const id: string = operationId.create();
      const ownerId = `vm_${id}`;
      let ports: PlannedPort[] = [];
      await commands.run({ access, name: 'createMachine', input: {}, place: placeOf(projectId) }, async (reader) => {
        const requests = Array.from({ length: amount }, (_, index) => ({
          ...requestOf(projectId, networkId, index),
          name: `machine-${index}`,
          ownerId: `${ownerId}_${index}`,
          securityGroupIds,
        }));
        const planned = await network.planPorts(reader, access, requests);
        ports = planned.ports;
        const input = { portIds: ports.map(({ portId }) => portId) };
        return planned.changes.add(OPERATIONS, { id, kind: MACHINE_KIND, resourceKind: 'vm', resourceId: ownerId, ...placeOf(projectId), input });
      });
      return { ports, operationId: id };
    },
    async look(reconciler) {
      const started: string[] = [];
      await reconciler.run({
        signal: AbortSignal.timeout(20_000),
        fence: 1,
        reader: room.database,
        log: room.log,
        submit: async (changes) => {
          const result = await center.operations.submit(changes);
          started.push(result.operationId as string);
          return result;
        },
      });
      return started;
    },
    usage: async (projectId) =>
      Object.fromEntries((await room.database.rows(used, projectId)).map((each) => [each.resource_key, each.used_amount])),
    objects: async () => (await center.world.objects()).map((object) => object.id),
    told: async (id) => (await center.world.networkParts(tenant.id)).find((part) => part.id === id)?.specification,
    call,
    async api() {
      const { EventFeed } = await import('#events');
      const { networkResolvers } = await import('#network/api');
      const api = await testApi({
        log: room.log,
        services: [room.database, new EventFeed(room.database, room.log), ...Object.values(services)],
        resolvers: networkResolvers,
        callers: {
          ann: accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]),
          stranger: accessWith([{ role: 'OWNER', tenantId: 'ten_other', projectId: null }]),
          operator: access,
          nobody: accessWith([]),
        },
      });
      apis.push(api);
      return api;
    },
    async close() {
      for (const api of apis) await api.close();
      await center.close();
      await room.close();
    },
  };
}

/** A machine of nothing but ports, as compute makes them. */
function machineKind(realiser: NetworkRealiser, planPortRemoval: (typeof import('#network'))['planPortRemoval']): OperationKind<unknown> {
  const input = z.strictObject({ portIds: z.array(z.string()) });
  return defineOperation<z.output<typeof input>>({
    kind: MACHINE_KIND,
    version: 1,
    input,
    deadlineMs: 60_000,
    steps: [
      {
        name: 'ports',
        run: (context) => realiser.ensurePorts(context, context.operation.input.portIds),
        undo: (context) => realiser.removePorts(context, context.operation.input.portIds, { settle: true }),
      },
    ],
    onFailed: (_transaction, { operation, apply }) => apply(planPortRemoval(operation.input.portIds)),
  }) as OperationKind<unknown>;
}
