/** Linux allows 15 bytes. */
const DEVICE_PREFIX = 'mu-';
const DEVICE_TAIL = 12;

/**
 * The host's end of a machine's cable, by which a compute driver plugs it in and a network driver finds it: the last 12
 * letters of the port's id, of which 60 bits are random.
 */
export const hostDeviceOf = (portId: string): string => `${DEVICE_PREFIX}${portId.slice(-DEVICE_TAIL)}`;

/** Whether a device of a host may be one of ours. */
export const isHostDevice = (name: string): boolean => name.startsWith(DEVICE_PREFIX);
