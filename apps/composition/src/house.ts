import {
  AffinityGroupService,
  computeOperations,
  FlavorService,
  ImageService,
  MachineRealiser,
  registerComputeSections,
  VirtualMachineService,
} from '#compute';
import type { Logger } from '#core';
import { applyRows, ChangeSetApplier, Database, ROWS } from '#database';
import type { DriverFactory } from '#drivers';
import { EventFeed } from '#events';
import { Authenticator, CommandRunner, PrincipalService } from '#identity';
import {
  BackendService,
  BackendWatch,
  DatastoreService,
  DriverRegistry,
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
} from '#infrastructure';
import { LoadBalancerService, networkOperations, NetworkRealiser, NetworkService, registerNetworkSections, SubnetService } from '#network';
import { OperationQueries, OperationRegistry, OperationRequests, OperationService, registerOperationSections, WorkQueue, type Keeper, type QueueBackend, type Reconciler } from '#operations';
import { registerPlacementSections } from '#placement';
import { QuotaLedger, QuotaService, registerQuotaSections } from '#quota';
import { registerScopeSections } from '#scopes';
import { KeyRing, refuseKeyProblems, SecretService } from '#secrets';
import { DiskRealiser } from '#storage';
import { goingOperations, ProjectService, ScopeContentsRegistry, TenantService } from '#tenancy';
import type { Configuration } from './configuration.js';
import { housekeeping } from './housekeeping.js';
import { allRooms } from './rooms.js';

/**
 * All rooms of one process, put together by hand: what needs what is read here, top to bottom, and a missing part is a
 * type error. The api hands the parts to Nest, the worker uses them as they are.
 */
export interface House {
  readonly log: Logger;
  readonly database: Database;
  readonly applier: ChangeSetApplier;
  readonly feed: EventFeed;
  readonly authenticator: Authenticator;
  readonly commands: CommandRunner;
  readonly drivers: DriverRegistry;
  readonly registry: OperationRegistry;
  readonly queue: WorkQueue;
  readonly reconcilers: readonly Reconciler[];
  readonly keepers: readonly Keeper[];
  /** Everything that resolvers may ask for, by class. */
  readonly services: readonly object[];
  close(): Promise<void>;
}

export interface HouseParts {
  configuration: Configuration;
  log: Logger;
  /** Shown by PostgreSQL for this process's connections. */
  applicationName: string;
  /** Named here and nowhere below: the backends that this deployment can drive. */
  drivers: readonly DriverFactory[];
}

export async function openHouse({ configuration, log, applicationName, drivers: factories }: HouseParts): Promise<House> {
  const keys = KeyRing.parse(configuration.MUON_SECRET_KEYS);
  const database = await Database.open({
    url: configuration.MUON_DATABASE_URL,
    rooms: allRooms,
    poolSize: configuration.MUON_POOL_SIZE,
    applicationName,
  });
  const secrets = new SecretService(keys);
  refuseKeyProblems(await secrets.checkKeys(database));
  const backend = queueBackend(configuration);
  const queue = await WorkQueue.open({ database, backend, log });
  const applier = new ChangeSetApplier();
  const registry = new OperationRegistry();
  const ledger = new QuotaLedger();
  applier.register(ROWS, applyRows);
  registerScopeSections(applier);
  registerQuotaSections(applier, ledger);
  registerPlacementSections(applier);
  registerOperationSections(applier, { registry, bell: queue });
  registerNetworkSections(applier);
  registerComputeSections(applier);

  const drivers = new DriverRegistry(database, secrets, log);
  for (const factory of factories) drivers.register(factory);
  const realisers = { networks: new NetworkRealiser(drivers), disks: new DiskRealiser(drivers), machines: new MachineRealiser(drivers) };
  const occupancy = new HostOccupancy();
  const contents = new ScopeContentsRegistry();
  registry.register(
    ...hostOperations(occupancy),
    ...goingOperations({ contents }),
    ...networkOperations(realisers.networks),
    ...computeOperations(realisers),
  );
  registry.verify();

  const feed = new EventFeed(database, log);
  const authenticator = new Authenticator(database);
  const commands = new CommandRunner(database, applier, log);
  const usage = new InfrastructureUsage();
  const networks = new NetworkService(commands, ledger);
  const operations = new OperationService(database, applier, registry, queue);
  const services = [
    database,
    feed,
    secrets,
    authenticator,
    commands,
    ledger,
    drivers,
    registry,
    new PrincipalService(commands),
    new QuotaService(database, commands),
    operations,
    new OperationRequests(commands, operations),
    new OperationQueries(),
    new ZoneService(commands, usage),
    new RackService(commands),
    new BackendService(database, commands, drivers, secrets),
    new DatastoreService(database, commands, drivers, usage),
    new HostService(commands, occupancy),
    new HostRegistration(database, commands, drivers),
    new HostMaintenanceService(commands, occupancy),
    new TenantService(database, commands, contents),
    new ProjectService(database, commands, contents),
    networks,
    new SubnetService(commands, networks),
    new LoadBalancerService(commands, ledger, networks),
    new FlavorService(commands),
    new ImageService(commands),
    new AffinityGroupService(commands),
    new VirtualMachineService(commands, ledger, drivers),
  ];
  const heartbeat = new Heartbeat(database, drivers, new HostStateNews(log), log);
  const watch = new BackendWatch(database, drivers, log).wake('HOST', HOST_HEARTBEAT);
  return {
    log,
    database,
    applier,
    feed,
    authenticator,
    commands,
    drivers,
    registry,
    queue,
    reconcilers: [
      ...housekeeping({ feed, commands }),
      ...infrastructureReconcilers(heartbeat, new PendingRemoval(database, usage, log)),
    ],
    keepers: [watch.keeper],
    services,
    async close() {
      await feed.close();
      await queue.close();
      await drivers.close();
      await database.close();
    },
  };
}

export function queueBackend(configuration: Configuration): QueueBackend {
  const url = configuration.MUON_REDIS_URL;
  return url === undefined ? { kind: 'postgres' } : { kind: 'redis', url };
}
