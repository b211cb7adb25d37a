import { MuonError } from '#core';
import { DONE, pending, type Outcome } from '#drivers';
import type { Instance } from '#incus';
import type { IncusBackend } from './backend.js';
import type { Budget } from './budget.js';
import { BUSY_RETRY_MS, isBusy, isOutdated, RUNNING_RETRY_MS, type Catalog } from './catalog.js';
import { targetOf, usersOf, type FoundDisk } from './disk.js';
import { changedLimit, limitOfDevice, limitOfKey } from './iops-limit.js';
import { ROOT_DEVICE } from './machine.js';
import { Key } from './names.js';

/** Holds disks to their limits: as devices of the machine that has them, and as volumes for the one that gets them. */
export class DiskLimits {
  constructor(
    private readonly backend: IncusBackend,
    private readonly catalog: Catalog,
  ) {}

  async set(disk: FoundDisk, diskId: string, iopsLimit: number | null, budget: Budget): Promise<Outcome<void>> {
    if (disk.kind === 'ROOT') return this.setOn(disk.root.value.name, ROOT_DEVICE, diskId, iopsLimit, budget);
    const kept = await this.keep(disk, iopsLimit, budget);
    return kept.state === 'DONE' ? this.follow(diskId, budget) : kept;
  }

  /**
   * Holds the volume, where a machine has it, to what its key says by now. The key is written before one looks who has the
   * volume, and whoever attaches it looks at the key after that: one of the two sees the other. One that is gone has none.
   */
  async follow(diskId: string, budget: Budget): Promise<Outcome<void>> {
    const found = await this.catalog.volume(diskId, budget);
    if (found === undefined) return DONE;
    const { volume } = found;
    for (const user of usersOf(volume)) {
      const set = await this.setOn(user, volume.name, diskId, limitOfKey(volume.config[Key.IOPS_LIMIT]), budget);
      if (set.state !== 'DONE') return set;
    }
    return DONE;
  }

  /** The instance that has the volume, where limits are offered: its device may be held to another than the volume's key says. */
  async holder(disk: FoundDisk, budget: Budget): Promise<Instance | undefined> {
    if (disk.kind === 'ROOT' || !this.backend.capabilities.iopsLimit) return undefined;
    const [user] = usersOf(disk.volume.volume);
    return user === undefined ? undefined : (await this.catalog.instance(user, budget))?.value;
  }

  private async keep(disk: FoundDisk & { kind: 'VOLUME' }, iopsLimit: number | null, budget: Budget): Promise<Outcome<void>> {
    const { pool, volume } = disk.volume;
    if (limitOfKey(volume.config[Key.IOPS_LIMIT]) === iopsLimit) return DONE;
    const config = { [Key.IOPS_LIMIT]: iopsLimit === null ? '' : String(iopsLimit) };
    const options = { ...budget.request, ...targetOf(volume.location), etag: disk.etag };
    try {
      const running = await this.backend.client.storagePools.patchVolume(pool, volume.name, { config }, options);
      return (await this.backend.settled(running, budget)) ? DONE : pending(RUNNING_RETRY_MS);
    } catch (error) {
      if (isBusy(error) || isOutdated(error)) return pending(BUSY_RETRY_MS);
      throw error;
    }
  }

  private async setOn(name: string, deviceName: string, diskId: string, iopsLimit: number | null, budget: Budget): Promise<Outcome<void>> {
    try {
      const changed = await this.catalog.change(name, diskId, budget, ({ devices, type }) => {
        const device = devices[deviceName];
        if (device === undefined || limitOfDevice(device) === iopsLimit) return undefined;
        return { devices: { ...devices, [deviceName]: changedLimit(device, iopsLimit, type) } };
      });
      return changed.state === 'DONE' ? DONE : changed;
    } catch (error) {
      // It got another name since it was found, or went: the repeat sees which.
      if (error instanceof MuonError && error.code === 'NOT_FOUND') return pending(BUSY_RETRY_MS);
      throw error;
    }
  }
}
