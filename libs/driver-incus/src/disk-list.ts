import { DiskHealth, type ObservedDisk } from '#drivers';
import type { IncusBackend } from './backend.js';
import type { Budget } from './budget.js';
import type { Catalog } from './catalog.js';
import { observedRoot, observedVolume, usersOf } from './disk.js';
import { Key } from './names.js';
import { Pages } from './pages.js';

/** How long a look at all disks serves those who ask how some of them fare: they come for a few hundred at a time, for each once. */
const HELD_MS = 5_000;

/** A look at all disks: the member of each, or null where all have it, and who is away. */
interface Look {
  hosts: Map<string, string | null>;
  away: ReadonlySet<string>;
  until: number;
}

/** All disks of the cluster, in pages, and how they fare. */
export class DiskList {
  private readonly pages = new Pages<ObservedDisk>(({ diskId }) => diskId);
  private held: Look | undefined;

  constructor(
    private readonly backend: IncusBackend,
    private readonly catalog: Catalog,
  ) {}

  async page(after: string | null, limit: number, budget: Budget): Promise<ObservedDisk[]> {
    return this.pages.page(after, limit, async () => this.all(budget));
  }

  /** One that the last look has not seen may be newer than it. */
  async health(diskIds: readonly string[], budget: Budget): Promise<Map<string, DiskHealth>> {
    if (diskIds.length === 0) return new Map();
    let look = this.held;
    if (look === undefined || look.until < performance.now() || !diskIds.every((id) => look?.hosts.has(id))) look = await this.look(budget);
    const { hosts, away } = look;
    return new Map(
      diskIds.map((diskId) => {
        const hostName = hosts.get(diskId);
        // Who asks for it again has come anew, perhaps as something has changed.
        hosts.delete(diskId);
        if (hostName === undefined) return [diskId, DiskHealth.UNKNOWN];
        return [diskId, hostName !== null && away.has(hostName) ? DiskHealth.UNAVAILABLE : DiskHealth.HEALTHY];
      }),
    );
  }

  private async look(budget: Budget): Promise<Look> {
    this.held = undefined;
    const [disks, members] = await Promise.all([this.all(budget), this.backend.client.cluster.list(budget.list)]);
    this.held = {
      hosts: new Map(disks.map(({ diskId, hostName }) => [diskId, hostName])),
      away: new Set(members.filter(({ status }) => status === 'Offline').map((member) => member.server_name)),
      until: performance.now() + HELD_MS,
    };
    return this.held;
  }

  private async all(budget: Budget): Promise<ObservedDisk[]> {
    const [instances, volumes] = await Promise.all([this.catalog.list(budget), this.catalog.volumes(budget)]);
    const holders = new Map(instances.map((instance) => [instance.name, instance]));
    const roots = instances.filter(({ config }) => config[Key.DISK] !== undefined).map(observedRoot);
    const own = volumes.filter(({ volume }) => volume.config[Key.DISK] !== undefined);
    return [...roots, ...own.map((each) => observedVolume(each, holders.get(usersOf(each.volume)[0] ?? '')))];
  }
}
