import { sleep } from '#core';
import {
  DONE,
  done,
  pending,
  type Capabilities,
  type DiskHealth,
  type DiskSpecification,
  type DriverCall,
  type ObservedDisk,
  type Outcome,
  type StorageDriver,
} from '#drivers';
import { IncusError, isConflict, isNotFound, type Config, type Instance, type NewInstance, type NewVolume, type RunningOperation } from '#incus';
import type { IncusBackend } from './backend.js';
import type { Budget } from './budget.js';
import { BUSY_RETRY_MS, isBusy, isOutdated, isUnsettled, RUNNING_RETRY_MS, type Catalog } from './catalog.js';
import { diskConfig, isAsBefore, nameOfFound, observedRoot, observedVolume, tagOf, targetOf, type FoundDisk } from './disk.js';
import { DiskLimits } from './disk-limits.js';
import { DiskList } from './disk-list.js';
import { neededFor, withLimit } from './iops-limit.js';
import { MACHINE_OFF, ROOT_DEVICE } from './machine.js';
import { Key, nameOf } from './names.js';
import { MachinePower } from './power.js';
import { asGib } from './sizes.js';

const ATTEMPTS = 3;
/** Before a failure is believed. */
const LOOKS = 3;
const FINGERPRINT = /^[0-9a-f]{12,64}$/;

/** Disks as custom volumes of Incus's pools and, where they begin as images, as instances. */
export class IncusStorage implements StorageDriver {
  private readonly list: DiskList;
  private readonly power: MachinePower;
  private readonly limits: DiskLimits;

  constructor(
    private readonly backend: IncusBackend,
    private readonly catalog: Catalog,
  ) {
    this.power = new MachinePower(backend, catalog);
    this.list = new DiskList(backend, catalog);
    this.limits = new DiskLimits(backend, catalog);
  }

  async createDisk(call: DriverCall, specification: DiskSpecification): Promise<Outcome<ObservedDisk>> {
    return this.ask(call, 'createDisk', neededFor(specification.iopsLimit), async (budget) => {
      const { imageReference } = specification;
      const config = diskConfig(specification, null);
      return this.ensure(specification, config, budget, async () =>
        imageReference === null
          ? this.createVolume(specification, { config }, budget)
          : this.createRoot(specification, config, imageReference, budget),
      );
    });
  }

  async cloneDisk(call: DriverCall, sourceDiskId: string, specification: DiskSpecification): Promise<Outcome<ObservedDisk>> {
    return this.ask(call, 'cloneDisk', neededFor(specification.iopsLimit), async (budget) => {
      const config = { ...diskConfig(specification, sourceDiskId), [Key.ORIGIN]: sourceDiskId };
      const made = await this.ensure(specification, config, budget, async () => this.copy(sourceDiskId, specification, config, budget));
      if (made.state !== 'DONE' || made.value.sizeGib >= specification.sizeGib) return made;
      const grown = await this.resize(specification.diskId, specification.sizeGib, budget);
      return grown.state === 'DONE' ? done({ ...made.value, sizeGib: specification.sizeGib }) : grown;
    });
  }

  async resizeDisk(call: DriverCall, diskId: string, sizeGib: number): Promise<Outcome<void>> {
    return this.ask(call, 'resizeDisk', [], async (budget) => this.resize(diskId, sizeGib, budget));
  }

  async limitDisk(call: DriverCall, diskId: string, iopsLimit: number | null): Promise<Outcome<void>> {
    return this.ask(call, 'limitDisk', neededFor(iopsLimit), async (budget) => {
      const disk = await this.require(diskId, budget);
      return this.limits.set(disk, diskId, iopsLimit, budget).catch(this.unlessChanged(disk, diskId, budget));
    });
  }

  async deleteDisk(call: DriverCall, diskId: string): Promise<Outcome<void>> {
    return this.ask(call, 'deleteDisk', [], async (budget) => {
      const quiet = await this.catalog.quiet(nameOf(diskId), budget);
      if (quiet.state !== 'DONE') return quiet;
      const disk = await this.find(diskId, budget);
      if (disk === undefined) return DONE;
      this.requireReachable(disk, diskId);
      const { attachedTo } = this.observe(disk);
      if (attachedTo !== null) throw this.backend.invalidState(`The disk "${diskId}" is attached to "${attachedTo}".`);
      if (disk.kind === 'ROOT') {
        // No machine is on it: a start of the one that was came late.
        const stopped = await this.power.stop(disk.root, true, budget);
        if (stopped.state !== 'DONE') return stopped;
        // What is under way by the name that it had as a machine, and has still.
        const { name } = disk.root.value;
        if (name !== nameOf(diskId) && (await this.catalog.underWay(name, budget)).length > 0) return pending(BUSY_RETRY_MS);
      }
      if (disk.kind === 'VOLUME' && (await this.isBeingMade(diskId, disk.volume.volume.config, budget))) return pending(RUNNING_RETRY_MS);
      const deleted = await this.settle(budget, isNotFound, async () => this.remove(disk, budget)).catch(this.unlessChanged(disk, diskId, budget));
      if (deleted.state !== 'DONE') return deleted;
      return (await this.find(diskId, budget)) === undefined ? DONE : pending(BUSY_RETRY_MS);
    });
  }

  async createSnapshot(call: DriverCall, diskId: string, snapshotId: string): Promise<Outcome<void>> {
    const { instances, storagePools } = this.backend.client;
    return this.ask(call, 'createSnapshot', ['snapshot'], async (budget) => {
      const disk = await this.require(diskId, budget);
      const snapshot = nameOf(snapshotId);
      const find = async (): Promise<true | undefined> => ((await this.snapshots(disk, budget)).includes(snapshot) ? true : undefined);
      const isBeingMade = async (): Promise<boolean> => (await this.catalog.underWay(snapshot, budget)).length > 0;
      const make = async (): Promise<Outcome<void>> => {
        // Incus has no lock for the snapshots of a volume, nor for names of instances.
        if (await this.catalog.isWorkedOn(nameOfFound(disk), budget)) return pending(BUSY_RETRY_MS);
        return this.settle(budget, isNever, async () => {
          if (disk.kind === 'ROOT') return instances.createSnapshot(disk.root.value.name, snapshot, budget.request);
          const { pool, volume } = disk.volume;
          return storagePools.createSnapshot(pool, volume.name, snapshot, { ...budget.request, ...targetOf(volume.location) });
        });
      };
      const made = await this.make({ find, isBeingMade, make }, budget).catch(this.unlessChanged(disk, diskId, budget));
      return made.state === 'DONE' ? DONE : made;
    });
  }

  async deleteSnapshot(call: DriverCall, diskId: string, snapshotId: string): Promise<Outcome<void>> {
    const { instances, storagePools } = this.backend.client;
    return this.ask(call, 'deleteSnapshot', ['snapshot'], async (budget) => {
      const disk = await this.find(diskId, budget);
      if (disk === undefined) return DONE;
      const snapshot = nameOf(snapshotId);
      // One that is deleted while it is taken leaves a folder.
      if (await this.catalog.isWorkedOn(nameOfFound(disk), budget)) return pending(RUNNING_RETRY_MS);
      const deleted = await this.settle(budget, isNotFound, async () => {
        if (disk.kind === 'ROOT') return instances.deleteSnapshot(disk.root.value.name, snapshot, budget.request);
        const { pool, volume } = disk.volume;
        return storagePools.deleteSnapshot(pool, volume.name, snapshot, { ...budget.request, ...targetOf(volume.location) });
      }).catch(this.unlessChanged(disk, diskId, budget));
      if (deleted.state !== 'DONE') return deleted;
      // Where the instance has got another name meanwhile, it was that which was not found.
      const now = await this.find(diskId, budget);
      return now !== undefined && nameOfFound(now) !== nameOfFound(disk) ? pending(BUSY_RETRY_MS) : DONE;
    });
  }

  async diskHealth(call: DriverCall, diskIds: string[]): Promise<Map<string, DiskHealth>> {
    return this.ask(call, 'diskHealth', [], async (budget) => this.list.health(diskIds, budget));
  }

  async getDisk(call: DriverCall, diskId: string): Promise<ObservedDisk | undefined> {
    return this.ask(call, 'getDisk', [], async (budget) => {
      const disk = await this.find(diskId, budget);
      return disk === undefined ? undefined : this.look(disk, budget);
    });
  }

  async listDisks(call: DriverCall, after: string | null, limit: number): Promise<ObservedDisk[]> {
    return this.ask(call, 'listDisks', [], async (budget) => this.list.page(after, limit, budget));
  }

  private async ask<Value>(
    call: DriverCall,
    method: string,
    needs: readonly (keyof Capabilities)[],
    work: (budget: Budget) => Promise<Value>,
  ): Promise<Value> {
    return this.backend.ask(call, method, ['storage', ...needs], work);
  }

  /** Finds the disk as it is to be, or makes it so and finds it then. */
  private async ensure(
    specification: DiskSpecification,
    config: Config,
    budget: Budget,
    make: () => Promise<Outcome<void>>,
  ): Promise<Outcome<ObservedDisk>> {
    const { diskId, poolName } = specification;
    const find = async (): Promise<ObservedDisk | undefined> => {
      const disk = await this.find(diskId, budget);
      if (disk === undefined) return undefined;
      this.requireReachable(disk, diskId);
      const present = disk.kind === 'ROOT' ? disk.root.value.config : disk.volume.volume.config;
      if (present[Key.DISK_SPECIFICATION] !== config[Key.DISK_SPECIFICATION]) throw this.backend.conflict('disk', diskId);
      return this.look(disk, budget);
    };
    const makeInPool = async (): Promise<Outcome<void>> => make().catch(async (error: unknown) => this.failedIn(poolName, error, budget));
    return this.make({ find, isBeingMade: async () => this.isBeingMade(diskId, config, budget), make: makeInPool }, budget);
  }

  /** Of a pool that is not there Incus speaks in many ways. */
  private async failedIn(poolName: string, error: unknown, budget: Budget): Promise<never> {
    if (error instanceof IncusError && !error.outcomeUnknown && !error.retryable && !isConflict(error)) {
      const pools = await this.backend.client.storagePools.list(budget.list);
      if (!pools.some(({ name }) => name === poolName)) throw this.backend.missing('pool', poolName);
    }
    throw error;
  }

  /**
   * What is there may not be all there yet. Of many who make it at once one succeeds; where Incus says that it is there
   * already, and nobody finds it nor makes it, something is left of another one.
   */
  private async make<Value>(
    { find, isBeingMade, make }: { find: () => Promise<Value | undefined>; isBeingMade: () => Promise<boolean>; make: () => Promise<Outcome<void>> },
    budget: Budget,
  ): Promise<Outcome<Value>> {
    const before = await find();
    if (before !== undefined) return (await isBeingMade()) ? pending(RUNNING_RETRY_MS) : done(before);
    for (let attempt = 1; ; attempt += 1) {
      let conflict: IncusError | undefined;
      try {
        const made = await make();
        if (made.state !== 'DONE') return made;
      } catch (error) {
        if (!isConflict(error)) throw error;
        conflict = error;
      }
      if (conflict !== undefined && (await isBeingMade())) return pending(RUNNING_RETRY_MS);
      const after = await find();
      if (after !== undefined) return done(after);
      if (conflict === undefined) return pending(BUSY_RETRY_MS);
      if (attempt === ATTEMPTS) throw conflict;
      await sleep(BUSY_RETRY_MS, budget.signal);
    }
  }

  private async isBeingMade(diskId: string, config: Config, budget: Budget): Promise<boolean> {
    return this.catalog.isBeingMade(nameOf(diskId), config[Key.ORIGIN] !== undefined, budget);
  }

  private async createVolume(specification: DiskSpecification, settings: Pick<NewVolume, 'config' | 'source'>, budget: Budget): Promise<Outcome<void>> {
    const { diskId, poolName, hostName, sizeGib, iopsLimit } = specification;
    const contentType = this.backend.settings.instanceType === 'container' ? 'filesystem' : 'block';
    const config = { ...settings.config, size: asGib(sizeGib), ...(iopsLimit === null ? {} : { [Key.IOPS_LIMIT]: String(iopsLimit) }) };
    const volume: NewVolume = { name: nameOf(diskId), content_type: contentType, ...settings, config };
    return this.settle(budget, isNever, async () => this.backend.client.storagePools.createVolume(poolName, volume, { ...budget.request, ...targetOf(hostName) }));
  }

  private async createRoot(specification: DiskSpecification, config: Config, image: string, budget: Budget): Promise<Outcome<void>> {
    const { diskId, poolName, hostName, sizeGib, iopsLimit } = specification;
    const { instanceType, profiles } = this.backend.settings;
    const instance: NewInstance = {
      name: nameOf(diskId),
      type: instanceType,
      source: FINGERPRINT.test(image) ? { type: 'image', fingerprint: image } : { type: 'image', alias: image },
      profiles,
      config: { ...config, 'boot.autostart': 'false' },
      devices: { [ROOT_DEVICE]: withLimit({ type: 'disk', path: '/', pool: poolName, size: asGib(sizeGib) }, iopsLimit) },
    };
    return this.createInstance(instance, hostName, budget).catch((error: unknown) => {
      // What Incus says where it knows no image of that alias.
      if (error instanceof IncusError && /^Image not (provided|found)/.test(error.message)) throw this.backend.missing('image', image);
      throw error;
    });
  }

  /** At most so many at once on one member; each counts until it has ended, whoever waits for it. */
  private async createInstance(instance: NewInstance, hostName: string | null, budget: Budget): Promise<Outcome<void>> {
    const { creates, client } = this.backend;
    const key = hostName ?? '';
    if (!creates.tryTake(key)) return pending(RUNNING_RETRY_MS);
    let running: RunningOperation | undefined;
    const started = this.settle(budget, isNever, async () => (running = await client.instances.create(instance, { ...budget.request, ...targetOf(hostName) })));
    const ended = started.then(async (outcome) => (outcome.state === 'DONE' ? undefined : running?.wait()));
    void ended.catch(() => undefined).finally(() => creates.release(key));
    const outcome = await started;
    if (outcome.state === 'DONE') this.catalog.learn(instance.name);
    return outcome;
  }

  private async copy(sourceDiskId: string, specification: DiskSpecification, config: Config, budget: Budget): Promise<Outcome<void>> {
    const source = await this.require(sourceDiskId, budget);
    const { sizeGib } = this.observe(source);
    const copy = { ...specification, sizeGib: Math.max(sizeGib, specification.sizeGib) };
    if (source.kind === 'VOLUME') {
      const { pool, volume } = source.volume;
      const from = { type: 'copy' as const, pool, name: volume.name, volume_only: true, ...(volume.location === '' ? {} : { location: volume.location }) };
      return this.createVolume(copy, { config, source: from }, budget).catch(this.unlessChanged(source, sourceDiskId, budget));
    }
    return this.copyRoot(source.root.value, copy, config, budget).catch(this.unlessChanged(source, sourceDiskId, budget));
  }

  /** What is not named is copied from the source, so a machine that is on it is named as not being on the copy. */
  private async copyRoot(source: Instance, specification: DiskSpecification, config: Config, budget: Budget): Promise<Outcome<void>> {
    const others = Object.keys(source.devices).filter((name) => name !== ROOT_DEVICE);
    const instance: NewInstance = {
      name: nameOf(specification.diskId),
      type: source.type,
      architecture: source.architecture,
      source: { type: 'copy', source: source.name, instance_only: true },
      profiles: this.backend.settings.profiles,
      config: { ...MACHINE_OFF, ...config, 'boot.autostart': 'false' },
      devices: {
        ...Object.fromEntries(others.map((name) => [name, { type: 'none' }])),
        [ROOT_DEVICE]: withLimit({ type: 'disk', path: '/', pool: specification.poolName, size: asGib(specification.sizeGib) }, specification.iopsLimit),
      },
    };
    return this.createInstance(instance, specification.hostName, budget);
  }

  private async resize(diskId: string, sizeGib: number, budget: Budget): Promise<Outcome<void>> {
    const disk = await this.require(diskId, budget);
    const { sizeGib: present } = this.observe(disk);
    if (present > sizeGib) throw this.backend.invalidState(`The disk "${diskId}" has ${present} GiB; disks only grow.`);
    if (present === sizeGib) return DONE;
    const size = asGib(sizeGib);
    if (disk.kind === 'VOLUME') {
      const { pool, volume } = disk.volume;
      const options = { ...budget.request, ...targetOf(volume.location), etag: disk.etag };
      const patch = async (): Promise<RunningOperation> => this.backend.client.storagePools.patchVolume(pool, volume.name, { config: { size } }, options);
      return this.settle(budget, isNever, patch).catch(this.unlessChanged(disk, diskId, budget));
    }
    const changed = await this.catalog.change(disk.root.value.name, diskId, budget, ({ devices }) => {
      const root = devices[ROOT_DEVICE] ?? {};
      return root['size'] === size ? undefined : { devices: { ...devices, [ROOT_DEVICE]: { ...root, size } } };
    });
    return changed.state === 'DONE' ? DONE : changed;
  }

  private async remove(disk: FoundDisk, budget: Budget): Promise<RunningOperation | void> {
    const { instances, storagePools } = this.backend.client;
    if (disk.kind === 'ROOT') return instances.delete(disk.root.value.name, budget.request);
    const { pool, volume } = disk.volume;
    return storagePools.deleteVolume(pool, volume.name, { ...budget.request, ...targetOf(volume.location) });
  }

  /** Their names; those of volumes come with the volume's before them. */
  private async snapshots(disk: FoundDisk, budget: Budget): Promise<string[]> {
    const { instances, storagePools } = this.backend.client;
    if (disk.kind === 'ROOT') return (await instances.snapshots(disk.root.value.name, budget.request)).map(({ name }) => name);
    const { pool, volume } = disk.volume;
    return (await storagePools.snapshots(pool, volume.name, { ...budget.request, ...targetOf(volume.location) })).map(({ name }) => name.split('/').at(-1) ?? '');
  }

  /** @param settledBy errors that say that it is so already, which a look afterwards judges */
  private async settle(
    budget: Budget,
    settledBy: (error: unknown) => boolean,
    begin: () => Promise<RunningOperation | void>,
  ): Promise<Outcome<void>> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const running = await begin();
        return running === undefined || (await this.backend.settled(running, budget)) ? DONE : pending(RUNNING_RETRY_MS);
      } catch (error) {
        if (isBusy(error) || isOutdated(error)) return pending(BUSY_RETRY_MS);
        if (settledBy(error)) return DONE;
        if (!isUnsettled(error) || attempt === ATTEMPTS) throw error;
        await sleep(BUSY_RETRY_MS, budget.signal);
      }
    }
  }

  /**
   * A failure is believed where the disk is as it was found; where it is not, somebody else is at work on it, and the
   * repeat of the call begins with what it is then.
   */
  private unlessChanged(before: FoundDisk, diskId: string, budget: Budget) {
    return async (error: unknown): Promise<Outcome<never>> => {
      if (error instanceof IncusError && !error.outcomeUnknown && !error.retryable && !isConflict(error)) {
        for (let looks = 0; looks < LOOKS; looks += 1) {
          const now = await this.find(diskId, budget);
          if (now === undefined || !isAsBefore(now, before)) return pending(BUSY_RETRY_MS);
          // A disk that is being deleted stays in the list until the last.
          await sleep(BUSY_RETRY_MS, budget.signal);
        }
      }
      throw error;
    };
  }

  private async find(diskId: string, budget: Budget): Promise<FoundDisk | undefined> {
    const known = await this.catalog.known(diskId, budget);
    if (known !== undefined) return { kind: 'ROOT', root: known };
    const [root, volume] = await Promise.all([this.catalog.named(diskId, budget), this.catalog.volume(diskId, budget)]);
    if (root !== undefined) return { kind: 'ROOT', root };
    return volume === undefined ? undefined : { kind: 'VOLUME', volume, etag: volume.etag };
  }

  private async require(diskId: string, budget: Budget): Promise<FoundDisk> {
    const disk = await this.find(diskId, budget);
    if (disk === undefined) throw this.backend.missing('disk', diskId);
    this.requireReachable(disk, diskId);
    return disk;
  }

  private requireReachable(disk: FoundDisk, diskId: string): void {
    if (tagOf(disk) === '') throw this.backend.away(diskId, disk.kind === 'ROOT' ? disk.root.reason : undefined);
  }

  private async look(disk: FoundDisk, budget: Budget): Promise<ObservedDisk> {
    return disk.kind === 'ROOT' ? observedRoot(disk.root.value) : observedVolume(disk.volume, await this.limits.holder(disk, budget));
  }

  private observe(disk: FoundDisk): ObservedDisk {
    return disk.kind === 'ROOT' ? observedRoot(disk.root.value) : observedVolume(disk.volume);
  }
}

const isNever = (): boolean => false;
