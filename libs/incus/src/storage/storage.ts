export interface StoragePool {
  name: string;
  driver: string;
  /** `Errored` ones stay until they are deleted. */
  status: 'Pending' | 'Created' | 'Errored' | 'Unknown' | 'Unavailable';
  description: string;
  config: Record<string, string>;
  used_by: string[] | null;
  /** Members that have it. */
  locations: string[] | null;
}

export interface NewStoragePool {
  name: string;
  driver: string;
  config?: Record<string, string>;
  description?: string;
}

/** Bytes and numbers of inodes. */
export interface StoragePoolState {
  space: { used: number; total: number };
  inodes: { used: number; total: number };
}

/** What may be changed of a volume (`StorageVolumePut`). */
export interface VolumeSettings {
  /** `size` as `10GiB`, … */
  config?: Record<string, string>;
  description?: string;
  /** Name of a snapshot to go back to. */
  restore?: string;
}

export interface NewVolume extends VolumeSettings {
  name: string;
  content_type?: 'filesystem' | 'block';
  /** Nothing: an empty volume. */
  source?: {
    type: 'copy';
    pool: string;
    /** The volume, or `volume/snapshot`. */
    name: string;
    /** The member that has it, when that is not the target. */
    location?: string;
    volume_only?: boolean;
  };
}

export interface Volume {
  name: string;
  type: 'custom' | 'container' | 'virtual-machine' | 'image';
  content_type: 'filesystem' | 'block';
  description: string;
  config: Record<string, string>;
  used_by: string[] | null;
  /** The member that it is on; empty for pools that all members share. */
  location: string;
  project: string;
  created_at: string;
}

export interface VolumeState {
  /** Null where the pool's driver cannot tell. */
  usage: { used: number; total: number } | null;
}

export interface VolumeSnapshot {
  name: string;
  description: string;
  content_type: 'filesystem' | 'block';
  created_at: string;
  expires_at: string | null;
}
