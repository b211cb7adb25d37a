import {
  AffinityGroupService,
  computeOperations,
  FlavorService,
  ImageService,
  MachineRealiser,
  VirtualMachineService,
} from '#compute';
import { PrincipalService } from '#identity';
import {
  BackendService,
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
  PendingRemoval,
  RackService,
  ZoneService,
  ZoneVisibility,
} from '#infrastructure';
import {
  LoadBalancerService,
  networkDrift,
  networkOperations,
  NetworkRealiser,
  networkScopeContents,
  NetworkService,
  SubnetService,
} from '#network';
import { OperationQueries, OperationRequests, OperationService, type Keeper, type Reconciler } from '#operations';
import { QuotaService } from '#quota';
import { diskHealth, DiskRealiser, DiskService, storageOperations, storageScopeContents } from '#storage';
import { goingOperations, ProjectService, ScopeContentsRegistry, TenantService, usableZonesOf, zoneDirectory } from '#tenancy';
import { layFoundation, type Foundation, type HouseParts } from './foundation.js';
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
    ...foundationServices(foundation),
    ...infrastructureServices(foundation, ports),
    ...pillarServices(foundation),
  ];
  return { ...foundation, services, ...backgroundWork(foundation, ports) };
}

/** What rooms above tell rooms below, through the ports that those declare. */
interface Ports {
  readonly occupancy: HostOccupancy;
  readonly contents: ScopeContentsRegistry;
  readonly usage: InfrastructureUsage;
  readonly zoneVisibility: ZoneVisibility;
}

function registerKinds({ registry, drivers }: Foundation, options: { settleMs?: number }): Ports {
  const realisers = {
    networks: new NetworkRealiser(drivers, options),
    disks: new DiskRealiser(drivers, options),
    machines: new MachineRealiser(drivers, options),
  };
  const occupancy = new HostOccupancy();
  const contents = new ScopeContentsRegistry().register(...networkScopeContents, ...storageScopeContents);
  registry.register(
    ...hostOperations(occupancy),
    ...goingOperations({ contents }),
    ...networkOperations(realisers.networks),
    ...storageOperations(realisers.disks),
    ...computeOperations(realisers),
  );
  registry.verify();
  const zoneVisibility = new ZoneVisibility();
  zoneVisibility.register(async (reader, access) => {
    const usable = await usableZonesOf(reader, access.tenantIds);
    return [...usable.values()].flatMap((zones) => zones.map((zone) => zone.id));
  });
  return { occupancy, contents, usage: new InfrastructureUsage(), zoneVisibility };
}

function foundationServices(foundation: Foundation): object[] {
  const { database, feed, secrets, authenticator, commands, ledger, drivers, registry, applier, queue } = foundation;
  const operations = new OperationService(database, applier, registry, queue);
  return [
    database,
    feed,
    secrets,
    authenticator,
    commands,
    ledger,
    drivers,
    registry,
    operations,
    new OperationRequests(commands, operations),
    new OperationQueries(),
    new PrincipalService(commands),
    new QuotaService(database, commands, zoneDirectory),
  ];
}

function infrastructureServices({ database, commands, drivers, secrets }: Foundation, ports: Ports): object[] {
  const { occupancy, contents, usage, zoneVisibility } = ports;
  return [
    zoneVisibility,
    new ZoneService(commands, usage),
    new RackService(commands),
    new BackendService(database, commands, drivers, secrets),
    new DatastoreService(database, commands, drivers, usage),
    new HostService(commands, occupancy),
    new HostRegistration(database, commands, drivers),
    new HostMaintenanceService(commands, occupancy),
    new TenantService(database, commands, contents),
    new ProjectService(database, commands, contents),
  ];
}

function pillarServices({ commands, drivers, ledger }: Foundation): object[] {
  const networks = new NetworkService(commands, ledger);
  return [
    networks,
    new SubnetService(commands, networks),
    new LoadBalancerService(commands, ledger, networks),
    new DiskService(commands, ledger),
    new FlavorService(commands),
    new ImageService(commands),
    new AffinityGroupService(commands),
    new VirtualMachineService(commands, ledger, drivers),
  ];
}

function backgroundWork(foundation: Foundation, { usage }: Ports): Pick<House, 'reconcilers' | 'keepers'> {
  const { database, drivers, log, feed, commands } = foundation;
  const heartbeat = new Heartbeat(database, drivers, new HostStateNews(log), log);
  const watch = new BackendWatch(database, drivers, log).wake('HOST', HOST_HEARTBEAT);
  return {
    reconcilers: [
      ...housekeeping({ feed, commands }),
      ...infrastructureReconcilers(heartbeat, new PendingRemoval(database, usage, log)),
      networkDrift(drivers),
      diskHealth(database, drivers),
    ],
    keepers: [watch.keeper],
  };
}
