import type { Capabilities } from '#drivers';
import type { Instance } from '#incus';

/**
 * Incus holds a virtual machine's block devices to their limits one by one. Containers have none of their own: what it sets
 * is for a container and the device of the host that its disks are on. It is the average of the limits of all disks there,
 * holds for those without one too, lets buffered writes pass (control groups v1), and is only lifted by the container's next
 * start. Limits of containers are therefore offered only where an operator says that each disk is a device of the host.
 */

const KEY = 'limits.max';
/** So many are never done: what lifts the limit of a container that runs. */
const ENDLESS = 1_000_000_000;
const IOPS = /^(\d+)iops$/;

/** What a limit needs; that there is none needs nothing. */
export const neededFor = (iopsLimit: number | null): readonly (keyof Capabilities)[] => (iopsLimit === null ? [] : ['iopsLimit']);

/** What a disk device is held to; null where nothing holds it. */
export function limitOfDevice(device: Record<string, string> | undefined): number | null {
  const limit = Number(IOPS.exec(device?.[KEY] ?? '')?.[1] ?? 0);
  return limit === 0 || limit >= ENDLESS ? null : limit;
}

/** What a volume's own key says; a key without a text counts as none. */
export const limitOfKey = (text: string | undefined): number | null => (text ? Number(text) : null);

/** A new device with that limit. */
export const withLimit = (device: Record<string, string>, iopsLimit: number | null): Record<string, string> =>
  iopsLimit === null ? device : { ...device, [KEY]: `${iopsLimit}iops` };

/** The device with that limit in place of the one that it has. */
export function changedLimit(device: Record<string, string>, iopsLimit: number | null, type: Instance['type']): Record<string, string> {
  const { [KEY]: before, ...rest } = device;
  return withLimit(rest, iopsLimit === null && before !== undefined && type === 'container' ? ENDLESS : iopsLimit);
}
