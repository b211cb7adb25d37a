import { registerRowSections } from '#database';
import type { NewHosts, SimulatedWorld } from '#driver-simulated';
import type { CommandRunner } from '#identity';
import type * as Infrastructure from '#infrastructure';
import type { SecretService } from '#secrets';
import { testDatabase } from './postgres/test-database.js';
import { systemAccess, type RoomDatabase } from './room-database.js';

/** Infrastructure's services on a room's database, and a database for simulated backends. */
export interface InfrastructureBench {
  /** Of the simulation, with its password; `endpoint` is the same without. */
  readonly simulationUrl: string;
  readonly endpoint: string;
  readonly password: string;
  readonly commands: CommandRunner;
  readonly secrets: SecretService;
  readonly drivers: Infrastructure.DriverRegistry;
  readonly occupancy: Infrastructure.HostOccupancy;
  readonly usage: Infrastructure.InfrastructureUsage;
  readonly news: Infrastructure.HostStateNews;
  readonly zones: Infrastructure.ZoneService;
  readonly racks: Infrastructure.RackService;
  readonly backends: Infrastructure.BackendService;
  readonly registration: Infrastructure.HostRegistration;
  readonly hosts: Infrastructure.HostService;
  readonly maintenance: Infrastructure.HostMaintenanceService;
  readonly datastores: Infrastructure.DatastoreService;
  heartbeat(options?: Infrastructure.HeartbeatOptions): Infrastructure.Heartbeat;
  /** A backend with these hosts, a zone, and the hosts registered there. */
  datacenter(hosts: Partial<NewHosts> & { count: number }): Promise<SimulatedDatacenter>;
  close(): Promise<void>;
}

export interface SimulatedDatacenter {
  readonly backendId: string;
  readonly zoneId: string;
  readonly world: SimulatedWorld;
}

/** The applier gets the section of rows; the spec registers the others that it needs. */
export async function infrastructureBench(room: RoomDatabase): Promise<InfrastructureBench> {
  const { simulatedDriverFactory, SimulatedWorld } = await import('#driver-simulated');
  const { CommandRunner } = await import('#identity');
  const rooms = await import('#infrastructure');
  const { generateKeyLine, KeyRing, SecretService } = await import('#secrets');
  const { applier, database, log } = room;
  registerRowSections(applier);
  const simulation = await testDatabase();
  const address = new URL(simulation.url);
  const password = decodeURIComponent(address.password);
  address.password = '';
  const secrets = new SecretService(KeyRing.parse(generateKeyLine('k1')));
  const drivers = new rooms.DriverRegistry(database, secrets, log, { recheckMs: 20 });
  drivers.register(simulatedDriverFactory({ poolSize: 2 }));
  const commands = new CommandRunner(database, applier, log);
  const [occupancy, usage, news] = [new rooms.HostOccupancy(), new rooms.InfrastructureUsage(), new rooms.HostStateNews(log)];
  const bench = {
    simulationUrl: simulation.url,
    endpoint: address.href,
    password,
    commands,
    secrets,
    drivers,
    occupancy,
    usage,
    news,
    zones: new rooms.ZoneService(commands, usage),
    racks: new rooms.RackService(commands),
    backends: new rooms.BackendService(database, commands, drivers, secrets, usage),
    registration: new rooms.HostRegistration(database, commands, drivers),
    hosts: new rooms.HostService(commands, occupancy, usage),
    maintenance: new rooms.HostMaintenanceService(commands, occupancy),
    datastores: new rooms.DatastoreService(database, commands, drivers, usage),
  };
  const worlds: SimulatedWorld[] = [];
  let made = 0;
  return {
    ...bench,
    heartbeat: (options = {}) => new rooms.Heartbeat(database, drivers, news, log, options),
    async datacenter(hosts) {
      made += 1;
      const access = systemAccess();
      const backend = { name: `backend-${made}`, kind: 'simulated', endpoint: bench.endpoint, secret: password };
      const backendId = (await bench.backends.create(access, backend)).result.id as string;
      const zoneId = (await bench.zones.create(access, { name: `zone-${made}` })).result.id as string;
      const world = await SimulatedWorld.open(simulation.url, backendId);
      worlds.push(world);
      await world.createHosts({ prefix: 'host', cpu: 16, memoryMib: 65_536, pools: [{ name: 'local', capacityGib: 500 }], ...hosts });
      await bench.registration.register(access, { backendId, zoneId });
      return { backendId, zoneId, world };
    },
    async close() {
      await drivers.close();
      await Promise.all(worlds.map((world) => world.close()));
      await simulation.drop();
    },
  };
}
