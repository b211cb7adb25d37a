import { distinguishingOf, hashOf, type DiskSpecification, type ObservedDisk } from '#drivers';
import type { Config, Instance, Volume } from '#incus';
import type { Found } from './catalog.js';
import { limitOfDevice, limitOfKey } from './iops-limit.js';
import { machineIdOf, ROOT_DEVICE } from './machine.js';
import { idsOf, Key } from './names.js';
import { gibOf } from './sizes.js';

/** A custom volume with the pool that it is in, which volumes do not tell. */
export interface PooledVolume {
  pool: string;
  volume: Volume;
}

/** A disk of either kind: one that was made of an image (`machine.ts`), or a volume. */
export type FoundDisk = { kind: 'ROOT'; root: Found } | { kind: 'VOLUME'; volume: PooledVolume; etag: string };

const INSTANCE_PATH = '/1.0/instances/';

/** Drivers of pools that all members reach. */
const SHARED_DRIVERS = new Set(['ceph', 'cephfs', 'linstor', 'lvmcluster']);
export const isShared = ({ driver }: { driver: string }): boolean => SHARED_DRIVERS.has(driver);

export const diskConfig = (specification: DiskSpecification, origin: string | null): Config => ({
  [Key.INSTALLATION]: specification.ownership.installationId,
  [Key.TENANT]: specification.ownership.tenantId,
  [Key.PROJECT]: specification.ownership.projectId,
  [Key.DISK]: specification.diskId,
  [Key.DISK_SPECIFICATION]: hashOf({ ...distinguishingOf(specification), origin }),
});

/** Names of the instances that have it. */
export const usersOf = ({ used_by: users }: Volume): string[] =>
  (users ?? []).filter((path) => path.startsWith(INSTANCE_PATH)).map((path) => decodeURIComponent(path.slice(INSTANCE_PATH.length).split(/[?/]/)[0] ?? ''));

export const nameOfFound = (disk: FoundDisk): string => (disk.kind === 'ROOT' ? disk.root.value.name : disk.volume.volume.name);

/** Empty where its member did not answer. */
export const tagOf = (disk: FoundDisk): string => (disk.kind === 'ROOT' ? disk.root.etag : disk.etag);

/** Nobody has changed, attached or started it meanwhile. */
export const isAsBefore = (now: FoundDisk, before: FoundDisk): boolean => tagOf(now) === tagOf(before) && useOf(now) === useOf(before);

const useOf = (disk: FoundDisk): string => (disk.kind === 'ROOT' ? disk.root.value.status : usersOf(disk.volume.volume).join());

export const observedRoot = (instance: Instance): ObservedDisk => ({
  diskId: instance.config[Key.DISK] ?? '',
  installationId: instance.config[Key.INSTALLATION] ?? '',
  poolName: instance.devices[ROOT_DEVICE]?.['pool'] ?? '',
  hostName: instance.location,
  sizeGib: gibOf(instance.devices[ROOT_DEVICE]?.['size']),
  iopsLimit: limitOfDevice(instance.devices[ROOT_DEVICE]),
  attachedTo: machineIdOf(instance) ?? null,
});

/** @param holder the instance that has it, where that is known: what its device is held to counts before what the volume says */
export const observedVolume = ({ pool, volume }: PooledVolume, holder?: Instance): ObservedDisk => ({
  diskId: volume.config[Key.DISK] ?? '',
  installationId: volume.config[Key.INSTALLATION] ?? '',
  poolName: pool,
  hostName: volume.location === '' || volume.location === 'none' ? null : volume.location,
  sizeGib: gibOf(volume.config['size']),
  iopsLimit: holder?.devices[volume.name] === undefined ? limitOfKey(volume.config[Key.IOPS_LIMIT]) : limitOfDevice(holder.devices[volume.name]),
  attachedTo: usersOf(volume).map((name) => idsOf(name)?.machineId ?? name)[0] ?? null,
});

/** Pools that all members share know no member. */
export const targetOf = (hostName: string | null): { target?: string } =>
  hostName === null || hostName === '' || hostName === 'none' ? {} : { target: hostName };
