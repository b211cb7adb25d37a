import { ClusterVersionService } from '#clusters';
import { FlavorService, ImageService } from '#compute';
import { simulatedDriverFactory, SimulatedWorld } from '#driver-simulated';
import type { DriverFactory } from '#drivers';
import { BackendService, HostRegistration, ZoneService } from '#infrastructure';
import type { FaultHouse } from './fault-house.js';
import type { Ground, Hosts, Site } from './ground.js';
import { idIn } from './ids.js';

/** The lease of the design. */
const LEASE_MS = 250;
const PATIENCE_MS = 40_000;
/** Hosts of each stage, and what each has. */
const HOSTS = { count: 3, cpu: 64, memoryMib: 262_144 };
const LOCAL = [{ name: 'local', capacityGib: 2000 }];
const SHARED = [{ name: 'shared', capacityGib: 100_000, shared: true }];

/** Simulated backends, with new hosts for each stage. */
export class SimulatedGround implements Ground {
  readonly catalogue = { flavors: { small: 'small', large: 'large' }, image: 'debian' };
  readonly leaseMs = LEASE_MS;
  /** Before anybody else takes over. */
  readonly callTimeoutMs = LEASE_MS * 0.8;
  readonly backendLimit = 32;
  readonly patienceMs = PATIENCE_MS;

  /** @param url of the simulation's database */
  constructor(
    private readonly url: string,
    readonly close: () => Promise<void> = async () => undefined,
  ) {}

  drivers(): DriverFactory[] {
    return [simulatedDriverFactory({ poolSize: 3 })];
  }

  async openSite(bench: FaultHouse, number: number): Promise<Site> {
    const address = new URL(this.url);
    const secret = decodeURIComponent(address.password);
    address.password = '';
    const backend = { name: `lane-${number}`, kind: 'simulated', endpoint: address.href, ...(secret === '' ? {} : { secret }) };
    const { result } = await bench.service(BackendService).create(bench.access, backend);
    if (number === 1) await makeCatalogue(bench);
    const backendId = idIn(result);
    const world = await SimulatedWorld.open(this.url, backendId);
    return {
      backendId,
      world,
      hosts: (name, sharedStorage) => makeHosts(bench, world, name, sharedStorage),
      close: () => world.close(),
    };
  }
}

async function makeHosts(bench: FaultHouse, world: SimulatedWorld, name: string, sharedStorage: boolean): Promise<Hosts> {
  const [zone, hostNames] = await Promise.all([
    bench.service(ZoneService).create(bench.access, { name }),
    world.createHosts({ prefix: `${name}-host`, ...HOSTS, pools: sharedStorage ? SHARED : LOCAL }),
  ]);
  const zoneId = idIn(zone.result);
  const { result } = await bench.service(HostRegistration).register(bench.access, {
    backendId: world.backendId,
    zoneId,
    hosts: hostNames.map((hostName) => ({ name: hostName })),
    cpuOvercommit: 4,
  });
  return { zoneId, hostIds: result.hostIds as string[], hostNames };
}

async function makeCatalogue(bench: FaultHouse): Promise<void> {
  const flavors = bench.service(FlavorService);
  const images = bench.service(ImageService);
  await flavors.create(bench.access, { name: 'small', cpu: 1, memoryMib: 512, diskGib: 10 });
  await flavors.create(bench.access, { name: 'large', cpu: 4, memoryMib: 2048, diskGib: 20, costs: [{ key: 'gpu.count', amount: 1 }] });
  const common = { operatingSystem: 'Debian 13', minimumDiskGib: 2 };
  await images.create(bench.access, { name: 'debian', reference: 'debian-13', ...common });
  await images.create(bench.access, { name: 'node', reference: 'kubernetes-1.34.2', ...common });
  await bench.service(ClusterVersionService).create(bench.access, { name: 'kubernetes', kind: 'KUBERNETES', release: '1.34.2', image: 'node' });
  await bench.service(ClusterVersionService).create(bench.access, { name: 'swarm', kind: 'SWARM', release: '20.10.24', image: 'node' });
}
