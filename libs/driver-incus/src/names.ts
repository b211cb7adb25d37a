/** Keys of our own with which Incus's objects say whose they are: `user.*` means nothing to Incus. */
export const Key = {
  INSTALLATION: 'user.muon.installation',
  TENANT: 'user.muon.tenant',
  PROJECT: 'user.muon.project',
  DISK: 'user.muon.disk',
  /** A hash of what the disk was asked to be, by which a repeat is told from a conflict. */
  DISK_SPECIFICATION: 'user.muon.disk-specification',
  /** The disk that it was copied from. */
  ORIGIN: 'user.muon.origin',
  MACHINE: 'user.muon.machine',
  MACHINE_SPECIFICATION: 'user.muon.machine-specification',
  /** Of a volume: reads and writes in a second, for the machine that gets it. */
  IOPS_LIMIT: 'user.muon.iops-limit',
  /** The deletion that last took a machine from it, or called one off: the rest of a creation that began before comes too late. */
  CALLED_OFF: 'user.muon.called-off',
  /** `pid keys`, a line each: the process that the restarts of those idempotency keys were to end. */
  RESTART: 'user.muon.restart',
  /** The guest's host name, for the templates of images. */
  HOSTNAME: 'user.hostname',
  /** Of a network card. */
  PORT: 'user.muon.port',
  USER_DATA: 'cloud-init.user-data',
  CPU: 'limits.cpu',
  MEMORY: 'limits.memory',
} as const;

/** What an instance has only while it is a machine, and loses when it is but a disk again. */
export const MACHINE_KEYS: readonly string[] = [
  Key.MACHINE,
  Key.MACHINE_SPECIFICATION,
  Key.CALLED_OFF,
  Key.RESTART,
  Key.HOSTNAME,
  Key.USER_DATA,
  Key.CPU,
  Key.MEMORY,
];

/** Ids have an underscore, which Incus's names may not have. */
export const nameOf = (id: string): string => id.replaceAll('_', '-');

/** A prefix and 26 letters (TypeID), whatever the prefix is. */
const ID = '([a-z]{1,8})-([0-9a-z]{26})';
const ROOT_NAME = new RegExp(`^(?:${ID}-)?${ID}$`);

/**
 * A root disk, and the machine that is on it: of an instance whose member does not answer Incus tells nothing but the
 * name. Two ids are 61 of the 63 letters that it may have.
 */
export const instanceNameOf = (diskId: string, machineId?: string): string =>
  machineId === undefined ? nameOf(diskId) : `${nameOf(machineId)}-${nameOf(diskId)}`;

/** What an instance or volume of this name is; undefined where the name is not one of ours. */
export function idsOf(name: string): { diskId: string; machineId?: string } | undefined {
  const [found, machinePrefix, machine, diskPrefix, disk] = ROOT_NAME.exec(name) ?? [];
  if (found === undefined) return undefined;
  return { diskId: `${diskPrefix}_${disk}`, ...(machine === undefined ? {} : { machineId: `${machinePrefix}_${machine}` }) };
}
