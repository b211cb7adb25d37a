import type { StoragePoolState } from '../storage/storage.js';

/** The cluster as one member sees it; `enabled` is false for a server that stands alone. */
export interface Cluster {
  server_name: string;
  enabled: boolean;
}

/** Founding a cluster needs name and `enabled`; joining one all of it. */
export interface ClusterJoin {
  server_name: string;
  enabled: true;
  /** `host:port` of the one who joins. */
  server_address?: string;
  /** `host:port` of one who is in. */
  cluster_address?: string;
  /** PEM */
  cluster_certificate?: string;
  cluster_token?: string;
  member_config?: [];
}

/** What may be changed of a member (`ClusterMemberPut`). */
export interface ClusterMemberSettings {
  description: string;
  /** Keys of our own begin with `user.`. */
  config: Record<string, string>;
  /** Databases are spread over these. */
  failure_domain: string;
  groups: string[];
  roles: string[];
}

export interface ClusterMember extends ClusterMemberSettings {
  server_name: string;
  url: string;
  database: boolean;
  /** Offline once there was no heartbeat for `cluster.offline_threshold` seconds. */
  status: 'Online' | 'Offline' | 'Evacuated' | 'Blocked';
  message: string;
  architecture: string;
}

/** Sizes are bytes. */
export interface ClusterMemberState {
  sysinfo: {
    uptime: number;
    load_averages: number[];
    total_ram: number;
    free_ram: number;
    shared_ram: number;
    buffered_ram: number;
    total_swap: number;
    free_swap: number;
    processes: number;
  };
  storage_pools: Record<string, StoragePoolState>;
}

/** A part of what `/1.0/resources` tells: what placement needs. Sizes are bytes. */
export interface Resources {
  cpu: { architecture: string; total: number };
  memory: { total: number; used: number };
  storage: { disks: { id: string; size: number; model?: string; type?: string }[] | null; total: number };
  system: { uuid: string; vendor: string; product: string };
  load: { Average1Min: number; Average5Min: number; Average10Min: number; Processes: number };
}
