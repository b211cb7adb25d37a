import { hashOf, hostDeviceOf, PowerState, type MachineSpecification, type ObservedMachine } from '#drivers';
import { StatusCode, type Config, type Devices, type Instance, type InstanceState } from '#incus';
import { idsOf, Key, MACHINE_KEYS } from './names.js';
import { asMib, mibOf } from './sizes.js';

/**
 * Machines are instances, and so are root disks: what was made of an image is the instance's own volume, which Incus
 * cannot take apart from it. A root disk is an instance that is stopped and named after the disk. While a machine is on
 * it, it carries the machine's id, size, network cards and other disks, and is named after both. What it carries counts;
 * the name is how it is found, and what remains to be seen of it when its member does not answer.
 */

export const ROOT_DEVICE = 'root';
/** Where a container finds its disks beside the root disk, by their names. */
const MOUNTS = '/mnt';

const POWER = new Map<StatusCode, PowerState>([
  [StatusCode.STOPPED, PowerState.STOPPED],
  [StatusCode.RUNNING, PowerState.RUNNING],
  [StatusCode.READY, PowerState.RUNNING],
  [StatusCode.FROZEN, PowerState.SUSPENDED],
]);

/** UNKNOWN for a member that does not answer, and on the way from one state to another. */
export const powerOf = ({ status_code: code }: Pick<Instance, 'status_code'>): PowerState => POWER.get(code) ?? PowerState.UNKNOWN;

/** The id of the machine that is on this root disk, if there is one. A key without a text counts as none. */
export const machineIdOf = ({ config }: Pick<Instance, 'config'>): string | undefined => config[Key.MACHINE] || undefined;

export const isDisk = ([name, device]: [string, Record<string, string>]): boolean => name !== ROOT_DEVICE && device['type'] === 'disk';

/** An entry of the list as an instance: without its member, what the name tells. */
export function listedInstance(listed: Instance): Instance {
  const config = listed.config as Config | null;
  if (config !== null) return listed;
  const { diskId, machineId } = idsOf(listed.name) ?? {};
  const known = { ...(diskId === undefined ? {} : { [Key.DISK]: diskId }), ...(machineId === undefined ? {} : { [Key.MACHINE]: machineId }) };
  return { ...listed, config: known, devices: {}, status_code: StatusCode.ERROR };
}

/** Of the disks beside the root disk. */
export const dataDiskNames = ({ devices }: Pick<Instance, 'devices'>): string[] => Object.entries(devices).filter(isDisk).map(([name]) => name).sort();

/** A disk as a device of a machine: of containers a folder, of virtual machines a block device. */
export const diskDevice = (name: string, pool: string, type: Instance['type']): Record<string, string> => ({
  type: 'disk',
  pool,
  source: name,
  ...(type === 'container' ? { path: `${MOUNTS}/${name}` } : {}),
});

/** The root disk's settings once the machine is on it. */
export function machineSettings(
  root: Instance,
  specification: MachineSpecification,
  options: { bridge: string; instanceConfig: Config; dataDisks: Devices },
): { config: Config; devices: Devices } {
  const config: Config = {
    ...root.config,
    ...options.instanceConfig,
    [Key.MACHINE]: specification.machineId,
    [Key.MACHINE_SPECIFICATION]: hashOf(specification),
    [Key.HOSTNAME]: specification.hostname,
    ...sizeConfig(specification),
    'boot.autostart': 'false',
    ...(specification.userData === '' ? {} : { [Key.USER_DATA]: specification.userData }),
  };
  const cards = specification.interfaces.map((card, index): [string, Record<string, string>] => [
    `eth${index}`,
    {
      type: 'nic',
      nictype: 'bridged',
      parent: options.bridge,
      name: `eth${index}`,
      hwaddr: card.macAddress,
      host_name: hostDeviceOf(card.portId),
      [Key.PORT]: card.portId,
    },
  ]);
  return { config, devices: { [ROOT_DEVICE]: root.devices[ROOT_DEVICE] ?? {}, ...Object.fromEntries(cards), ...options.dataDisks } };
}

export const sizeConfig = ({ cpu, memoryMib }: { cpu: number; memoryMib: number }): Config => ({
  [Key.CPU]: String(cpu),
  [Key.MEMORY]: asMib(memoryMib),
});

/** The instance's settings once the machine is gone and only its root disk is left. */
export function diskSettings(instance: Instance, instanceConfig: Config): { config: Config; devices: Devices } {
  const gone = new Set([...MACHINE_KEYS, ...Object.keys(instanceConfig)]);
  const config = Object.fromEntries(Object.entries(instance.config).filter(([key]) => !gone.has(key)));
  return { config, devices: { [ROOT_DEVICE]: instance.devices[ROOT_DEVICE] ?? {} } };
}

/** @param state of one that runs, where its address is to be told */
export function observedMachine(instance: Instance, state?: InstanceState): ObservedMachine | undefined {
  const machineId = machineIdOf(instance);
  if (machineId === undefined) return undefined;
  const { config, devices } = instance;
  const portIds = Object.entries(devices)
    .filter(([, device]) => device[Key.PORT] !== undefined)
    .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
    .map(([, device]) => device[Key.PORT] as string);
  const dataDiskIds = dataDiskNames(instance).flatMap((name) => idsOf(name)?.diskId ?? []);
  return {
    machineId,
    installationId: config[Key.INSTALLATION] ?? '',
    hostName: instance.location,
    power: powerOf(instance),
    cpu: Number(config[Key.CPU] ?? 0),
    memoryMib: mibOf(config[Key.MEMORY]),
    portIds,
    diskIds: [config[Key.DISK] ?? '', ...dataDiskIds],
    ipAddress: addressOf(state),
  };
}

function addressOf(state: InstanceState | undefined): string | null {
  const addresses = Object.entries(state?.network ?? {})
    .filter(([device]) => device !== 'lo')
    .flatMap(([, { addresses: all }]) => all);
  return addresses.find(({ family, scope }) => family === 'inet' && scope === 'global')?.address ?? null;
}

/** For copies of a root disk: no machine is on them. */
export const MACHINE_OFF: Config = Object.fromEntries(MACHINE_KEYS.map((key) => [key, '']));
