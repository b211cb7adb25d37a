import { SimulatedWorld } from '#driver-simulated';
import { ClusterVersionService } from '#clusters';
import { FlavorService, ImageService } from '#compute';
import { BackendService, HostRegistration, ZoneService } from '#infrastructure';
import { TenantService } from '#tenancy';
import type { Base, Scenario } from '../scenario.js';
import type { FaultHouse } from './fault-house.js';
import { idIn } from './ids.js';

/** Hosts of each stage, and what each has. */
const HOSTS = { count: 3, cpu: 64, memoryMib: 262_144 };
const LOCAL = [{ name: 'local', capacityGib: 2000 }];
const SHARED = [{ name: 'shared', capacityGib: 100_000, shared: true }];

/** What one run of an operation has for itself: a zone with hosts, and a tenant with a project that may use it. */
export interface Stage {
  readonly lane: Lane;
  readonly bench: FaultHouse;
  readonly world: SimulatedWorld;
  readonly backendId: string;
  readonly zoneId: string;
  readonly hostIds: readonly string[];
  readonly hostNames: readonly string[];
  readonly tenantId: string;
  readonly projectId: string;
  /** Names of flavors and an image that everybody may use. */
  readonly flavors: { readonly small: string; readonly large: string };
  readonly image: string;
  readonly clusterVersions: { KUBERNETES: string; SWARM: string };
}

interface Standing {
  readonly stage: Stage;
  readonly base: unknown;
}

let number = 0;

/** A backend of its own for one operation at a time. */
export class Lane {
  private readonly standing = new Map<string, Standing>();

  private constructor(
    private readonly bench: FaultHouse,
    readonly backendId: string,
    readonly world: SimulatedWorld,
  ) {}

  static async open(bench: FaultHouse, laneNumber: number): Promise<Lane> {
    const name = `lane-${laneNumber}`;
    const address = new URL(bench.simulationUrl);
    const secret = decodeURIComponent(address.password);
    address.password = '';
    const backend = { name, kind: 'simulated', endpoint: address.href, ...(secret === '' ? {} : { secret }) };
    const { result } = await bench.service(BackendService).create(bench.access, backend);
    if (laneNumber === 1) await makeCatalogue(bench);
    const backendId = idIn(result);
    return new Lane(bench, backendId, await SimulatedWorld.open(bench.simulationUrl, backendId));
  }

  /** The stage of a scenario, with its base: of the run's own, or one that stands on the lane since an earlier run. */
  async stageFor({ base, sharedStorage }: Pick<Scenario, 'base' | 'sharedStorage'>): Promise<Standing> {
    if (base === undefined) return { stage: await this.stage(sharedStorage), base: undefined };
    const known = this.standing.get(base.key);
    if (known !== undefined) {
      await this.world.clearFaults();
      return known;
    }
    const stage = await this.stage(sharedStorage);
    const made = { stage, base: await base.make(stage) };
    this.standing.set(base.key, made);
    return made;
  }

  /** Something was left behind on it: the next run shall not stumble over that. */
  abandon(base: Base | undefined): void {
    if (base !== undefined) this.standing.delete(base.key);
  }

  /** Whatever stood on the lane before is out of reach of what is made here. */
  private async stage(sharedStorage = false): Promise<Stage> {
    const { bench, backendId, world } = this;
    const { access } = bench;
    number += 1;
    const prefix = `run-${number}`;
    await world.clearFaults();
    const [zone, hostNames] = await Promise.all([
      bench.service(ZoneService).create(access, { name: prefix }),
      world.createHosts({ prefix: `${prefix}-host`, ...HOSTS, pools: sharedStorage ? SHARED : LOCAL }),
    ]);
    const zoneId = idIn(zone.result);
    const registered = await bench.service(HostRegistration).register(access, {
      backendId,
      zoneId,
      hosts: hostNames.map((name) => ({ name })),
      cpuOvercommit: 4,
    });
    const { result } = await bench.service(TenantService).onboard(access, {
      name: prefix,
      owners: [{ name: 'owner' }],
      zones: [zoneId],
      quota: [{ resourceKey: 'vm.count', limit: 1000 }],
      project: { name: 'web', quota: [{ resourceKey: 'vm.cpu', limit: 600 }] },
    });
    return {
      lane: this,
      bench,
      world,
      backendId,
      zoneId,
      hostIds: registered.result.hostIds as string[],
      hostNames,
      tenantId: idIn(result),
      projectId: idIn(result, 'projectId'),
      flavors: { small: 'small', large: 'large' },
      image: 'debian',
      clusterVersions: { KUBERNETES: 'kubernetes', SWARM: 'swarm' },
    };
  }

  async close(): Promise<void> {
    await this.world.close();
  }
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
