import {
  ClusterContents,
  clusterExpiry,
  clusterHealth,
  clusterNodeOwners,
  clusterOperations,
  ClusterService,
  ClusterVersionService,
  GuestRunner,
  NodePoolService,
  type ClusterHealthOptions,
} from '#clusters';
import {
  AffinityGroupService,
  computeKnownObjects,
  computeOperations,
  computeScopeContents,
  DiskAttachmentService,
  FlavorService,
  ImageService,
  MACHINE_DRIFT,
  MachineConsoleService,
  machineDrift,
  machineRecovery,
  MachineHostListener,
  machineOccupants,
  MachineRealiser,
  machinesInZones,
  sealingUserData,
  VirtualMachineService,
  storagePolicyUsers,
  withdrawnOffers,
} from '#compute';
import { identityServices, type IssuerPolicy } from '#identity';
import {
  BackendService,
  backendTending,
  BackendWatch,
  DatastoreService,
  Heartbeat,
  HOST_HEARTBEAT,
  HostMaintenanceService,
  HostOccupancy,
  hostOperations,
  HostRegistration,
  HostService,
  HostStateNews,
  InfrastructureUsage,
  infrastructureReconcilers,
  KnownObjects,
  orphanOperations,
  OrphanSweep,
  PendingRemoval,
  RackService,
  ReturningHosts,
  ZoneService,
  ZoneVisibility,
  type HeartbeatOptions,
} from '#infrastructure';
import {
  FirewallPolicyService,
  LoadBalancerService,
  EDGE_DRIFT,
  edgeDrift,
  ExternalNetworkService,
  FloatingIpService,
  NETWORK_DRIFT,
  networkCatchUp,
  networkDrift,
  NetworkHostListener,
  networkBackendUsers,
  networkKnownObjects,
  networkOperations,
  NetworkRealiser,
  networkScopeContents,
  NetworkService,
  ProviderRouterService,
  RouterService,
  SecurityGroupService,
  SubnetService,
} from '#network';
import { OperationQueries, OperationRequests, OperationService, type Keeper, type Reconciler } from '#operations';
import { claimUsers, placementReconcilers } from '#placement';
import { QuotaService } from '#quota';
import {
  diskDrift,
  diskHealth,
  DiskRealiser,
  DiskService,
  DiskSnapshotService,
  STORAGE_DRIFT,
  STORAGE_HEALTH,
  storageCompliance,
  storageKnownObjects,
  storageOperations,
  StoragePolicyService,
  storageScopeContents,
} from '#storage';
import { goingOperations, ProjectService, ScopeContentsRegistry, TenantService, visibleZones, zoneDirectory } from '#tenancy';
import { issuerPolicy, layFoundation, type Attention, type Foundation, type HouseParts } from './foundation.js';
import { housekeeping } from './housekeeping.js';

export { queueBackend, type HouseParts } from './foundation.js';

/**
 * All rooms of one process, put together by hand: what needs what is read here, top to bottom, and a missing part is a
 * type error. The api hands the parts to Nest, the worker uses them as they are.
 */
export interface House extends Foundation {
  readonly reconcilers: readonly Reconciler[];
  readonly keepers: readonly Keeper[];
  /** Everything that resolvers may ask for, by class. */
  readonly services: readonly object[];
}

export async function openHouse(parts: HouseParts): Promise<House> {
  const foundation = await layFoundation(parts);
  const ports = registerKinds(foundation, parts.settleMs === undefined ? {} : { settleMs: parts.settleMs });
  const services = [
    ...foundationServices(foundation, issuerPolicy(parts.configuration)),
    ...infrastructureServices(foundation, ports),
    ...pillarServices(foundation),
  ];
  return { ...foundation, services, ...backgroundWork(foundation, ports, parts) };
}

/** What rooms above tell rooms below, through the ports that those declare. */
interface Ports {
  readonly occupancy: HostOccupancy;
  readonly contents: ScopeContentsRegistry;
  readonly usage: InfrastructureUsage;
  readonly zoneVisibility: ZoneVisibility;
  readonly orphans: OrphanSweep;
}

function registerKinds({ registry, drivers, database, secrets }: Foundation, options: { settleMs?: number }): Ports {
  const realisers = {
    networks: new NetworkRealiser(drivers, options),
    disks: new DiskRealiser(drivers, options),
    machines: new MachineRealiser(drivers, secrets, options),
  };
  const tools = { drivers, networks: realisers.networks, secrets, guests: new GuestRunner(drivers) };
  const occupancy = new HostOccupancy();
  occupancy.register(machineOccupants(clusterNodeOwners));
  const usage = new InfrastructureUsage();
  usage.register(machinesInZones);
  usage.register(claimUsers);
  for (const users of networkBackendUsers) usage.register(users);
  const contents = new ScopeContentsRegistry().register(
    new ClusterContents(),
    ...computeScopeContents,
    ...networkScopeContents,
    ...storageScopeContents,
  );
  registry.register(
    ...hostOperations(occupancy),
    ...orphanOperations(drivers),
    ...goingOperations({ contents }),
    ...networkOperations(realisers.networks),
    ...storageOperations(realisers.disks),
    ...computeOperations(realisers, clusterNodeOwners),
    ...clusterOperations(tools),
  );
  registry.verify();
  const zoneVisibility = new ZoneVisibility();
  zoneVisibility.register(visibleZones);
  const known = new KnownObjects().register(networkKnownObjects, storageKnownObjects, computeKnownObjects);
  const orphans = new OrphanSweep(database, drivers, known);
  return { occupancy, contents, usage, zoneVisibility, orphans };
}

function foundationServices(foundation: Foundation, issuers: IssuerPolicy): object[] {
  const { database, feed, secrets, authenticator, budgets, commands, ledger, drivers, registry, applier, queue } = foundation;
  const operations = new OperationService(database, applier, registry, queue);
  return [
    database,
    feed,
    secrets,
    authenticator,
    budgets,
    commands,
    ledger,
    drivers,
    registry,
    operations,
    new OperationRequests(commands, operations),
    new OperationQueries(),
    ...identityServices(commands, issuers),
    new QuotaService(database, commands, zoneDirectory),
  ];
}

function infrastructureServices({ database, commands, drivers, secrets }: Foundation, ports: Ports): object[] {
  const { occupancy, contents, usage, zoneVisibility, orphans } = ports;
  return [
    zoneVisibility,
    orphans,
    new ZoneService(commands, usage),
    new RackService(commands),
    new BackendService(database, commands, drivers, secrets, usage),
    new DatastoreService(database, commands, drivers, usage),
    new HostService(commands, occupancy, usage),
    new HostRegistration(database, commands, drivers),
    new HostMaintenanceService(commands, occupancy),
    new TenantService(database, commands, contents),
    new ProjectService(database, commands, contents),
  ];
}

function pillarServices({ database, commands, drivers, ledger, secrets }: Foundation): object[] {
  const networks = new NetworkService(commands, ledger);
  const disks = new DiskService(commands, ledger);
  const clusters = new ClusterService(commands, ledger, drivers, secrets);
  return [
    networks,
    new SubnetService(commands, networks),
    new LoadBalancerService(commands, ledger, networks),
    new ExternalNetworkService(commands),
    new ProviderRouterService(commands),
    new RouterService(commands, ledger),
    new FloatingIpService(commands, ledger),
    new SecurityGroupService(commands, ledger, drivers),
    new FirewallPolicyService(commands),
    disks,
    new StoragePolicyService(commands, storagePolicyUsers),
    new DiskAttachmentService(commands, disks),
    new DiskSnapshotService(commands, ledger, drivers),
    new FlavorService(commands),
    new ImageService(commands),
    new AffinityGroupService(commands),
    new VirtualMachineService(commands, ledger, drivers, secrets),
    new MachineConsoleService(database, commands, drivers),
    clusters,
    new NodePoolService(commands, ledger, drivers, secrets, clusters),
    new ClusterVersionService(commands),
  ];
}

function backgroundWork(
  foundation: Foundation,
  { usage, orphans }: Ports,
  { attention, configuration }: HouseParts,
): Pick<House, 'reconcilers' | 'keepers'> {
  const { database, drivers, secrets, log, feed, commands, budgets, applier, registry, queue } = foundation;
  const operations = new OperationService(database, applier, registry, queue);
  const news = new HostStateNews(log);
  news.register(new MachineHostListener(database));
  news.register(new NetworkHostListener(database));
  news.register(new ReturningHosts(database));
  const { MUON_AUDIT_DAYS: auditDays, MUON_HOST_SILENT_AFTER_MS: silentAfterMs } = configuration;
  const { silence, beats, looks } = paces(attention, silentAfterMs);
  const heartbeat = new Heartbeat(database, drivers, news, log, silence);
  const watch = new BackendWatch(database, drivers, log)
    .wake('HOST', HOST_HEARTBEAT)
    .wake('MACHINE', MACHINE_DRIFT)
    .wake('DISK', STORAGE_DRIFT)
    .wake('DISK', STORAGE_HEALTH)
    .wake('NETWORK', NETWORK_DRIFT)
    .wake('NETWORK', EDGE_DRIFT);
  return {
    reconcilers: [
      ...housekeeping({ database, feed, commands, budgets, operations, auditDays }),
      ...infrastructureReconcilers(heartbeat, new PendingRemoval(database, usage, log), beats),
      orphans.reconciler,
      ...placementReconcilers(),
      networkDrift(drivers),
      networkCatchUp(database, drivers),
      edgeDrift(database, drivers),
      diskDrift(drivers),
      diskHealth(database, drivers),
      storageCompliance(database, storagePolicyUsers),
      machineDrift(database, drivers),
      machineRecovery(database),
      withdrawnOffers(database),
      sealingUserData(database, secrets),
      clusterHealth(database, { drivers, secrets }, looks),
      clusterExpiry(),
    ],
    keepers: [watch.keeper, backendTending(drivers)],
  };
}

/** What a configuration says of hosts goes before what the program finds right. */
function paces(
  attention: Attention | undefined,
  silentAfterMs: number | undefined,
): { silence: HeartbeatOptions; beats: { heartbeatEveryMs?: number }; looks: ClusterHealthOptions } {
  const hosts = silentAfterMs === undefined ? attention : { silentAfterMs, heartbeatEveryMs: Math.min(5000, Math.floor(silentAfterMs / 6)) };
  return {
    silence: hosts === undefined ? {} : { silentAfterMs: hosts.silentAfterMs },
    beats: hosts === undefined ? {} : { heartbeatEveryMs: hosts.heartbeatEveryMs },
    looks:
      attention === undefined
        ? {}
        : { everyMs: Math.max(500, attention.clustersEveryMs / 2), observeEveryMs: attention.clustersEveryMs },
  };
}
