import { TenantService } from '#tenancy';
import type { Base, Scenario } from '../scenario.js';
import type { FaultHouse } from './fault-house.js';
import type { Catalogue, Hosts, Site, World } from './ground.js';
import { idIn } from './ids.js';

/** What one run of an operation has for itself: a zone with hosts, and a tenant with a project that may use it. */
export interface Stage extends Hosts, Catalogue {
  readonly lane: Lane;
  readonly bench: FaultHouse;
  readonly world: World;
  readonly backendId: string;
  readonly tenantId: string;
  readonly projectId: string;
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
  private readonly tenants: string[] = [];

  private constructor(
    private readonly bench: FaultHouse,
    private readonly site: Site,
  ) {}

  static async open(bench: FaultHouse, laneNumber: number): Promise<Lane> {
    return new Lane(bench, await bench.ground.openSite(bench, laneNumber));
  }

  /** Of all tenants that were ever on it. */
  get tenantIds(): readonly string[] {
    return this.tenants;
  }

  /** The stage of a scenario, with its base: of the run's own, or one that stands on the lane since an earlier run. */
  async stageFor({ base, sharedStorage }: Pick<Scenario, 'base' | 'sharedStorage'>): Promise<Standing> {
    if (base === undefined) return { stage: await this.stage(sharedStorage), base: undefined };
    const known = this.standing.get(base.key);
    if (known !== undefined) {
      await this.site.world.clearFaults();
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
    const { bench, site } = this;
    const { backendId, world } = site;
    number += 1;
    const prefix = `run-${number}`;
    await world.clearFaults();
    const hosts = await site.hosts(prefix, sharedStorage);
    const { result } = await bench.service(TenantService).onboard(bench.access, {
      name: prefix,
      owners: [{ name: 'owner' }],
      zones: [hosts.zoneId],
      quota: [{ resourceKey: 'vm.count', limit: 1000 }],
      project: { name: 'web', quota: [{ resourceKey: 'vm.cpu', limit: 600 }] },
    });
    const tenantId = idIn(result);
    this.tenants.push(tenantId);
    return {
      ...hosts,
      ...bench.ground.catalogue,
      lane: this,
      bench,
      world,
      backendId,
      tenantId,
      projectId: idIn(result, 'projectId'),
      clusterVersions: { KUBERNETES: 'kubernetes', SWARM: 'swarm' },
    };
  }

  /** What the backend holds of tenants that were ever on it, and whatever else is not as it must be. */
  async leftovers(): Promise<string[]> {
    const { world } = this.site;
    const objects = (await world.objects()).filter(({ tenantId }) => this.tenants.includes(tenantId));
    const remarks = await Promise.all(this.tenants.map(async (tenantId) => (await world.remarks?.(tenantId)) ?? []));
    return [...objects.map(({ kind, id }) => `${kind} ${id}`), ...remarks.flat()];
  }

  async close(): Promise<void> {
    await this.site.close();
  }
}
