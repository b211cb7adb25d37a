import type { StatusCode } from '../operation/operation.js';

/** Configuration and devices are maps of texts; keys with their meaning: https://linuxcontainers.org/incus/docs/main/config-options/ */
export type Config = Record<string, string>;
export type Devices = Record<string, Record<string, string>>;
export type InstanceType = 'container' | 'virtual-machine';

/** What may be changed of an instance (`InstancePut`); a PUT replaces all of it. */
export interface InstanceSettings {
  architecture?: string;
  config?: Config;
  devices?: Devices;
  ephemeral?: boolean;
  profiles?: string[];
  description?: string;
  stateful?: boolean;
  /** Name of a snapshot to go back to. */
  restore?: string;
}

/** `InstanceSource`: where a new instance comes from. */
export interface InstanceSource {
  type: 'image' | 'copy' | 'none';
  alias?: string;
  fingerprint?: string;
  /** Of a copy: the instance, or `instance/snapshot`. Copies to another member need `architecture` beside it. */
  source?: string;
  project?: string;
  instance_only?: boolean;
}

export interface NewInstance extends InstanceSettings {
  name: string;
  source: InstanceSource;
  type?: InstanceType;
  start?: boolean;
}

export interface Instance extends Required<Omit<InstanceSettings, 'restore'>> {
  name: string;
  created_at: string;
  last_used_at: string;
  status: string;
  status_code: StatusCode;
  /** The member that it is on. */
  location: string;
  type: InstanceType;
  project: string;
  expanded_config: Config;
  expanded_devices: Devices;
}

/** With what costs Incus more to find out; `state` is null where the member does not answer. */
export interface FullInstance extends Instance {
  state: InstanceState | null;
  snapshots: InstanceSnapshot[] | null;
}

/** Numbers are bytes; `cpu.usage` is nanoseconds. */
export interface InstanceState {
  status: string;
  status_code: StatusCode;
  disk: Record<string, { usage: number; total: number }> | null;
  memory: { usage: number; usage_peak: number; total: number; swap_usage: number; swap_usage_peak: number };
  network: Record<string, InstanceNetwork> | null;
  pid: number;
  processes: number;
  cpu: { usage: number; allocated_time: number };
}

export interface InstanceNetwork {
  addresses: { family: 'inet' | 'inet6'; address: string; netmask: string; scope: string }[];
  counters: { bytes_received: number; bytes_sent: number; packets_received: number; packets_sent: number };
  hwaddr: string;
  host_name: string;
  mtu: number;
  state: string;
  type: string;
}

export interface InstanceSnapshot {
  name: string;
  created_at: string;
  expires_at: string;
  config: Config;
  devices: Devices;
  stateful: boolean;
  size: number;
}

export type PowerAction = 'start' | 'stop' | 'restart' | 'freeze' | 'unfreeze';

export interface PowerChange {
  action: PowerAction;
  /** Without asking the guest. */
  force?: boolean;
  /** Seconds that the guest has for it. */
  timeout?: number;
}

/** Where to: within the cluster by the option `target`, to another pool, or both. */
export interface Move {
  /** A new name; the present one if not given. */
  name?: string;
  pool?: string;
  live?: boolean;
}
