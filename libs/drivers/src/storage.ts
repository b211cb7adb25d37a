import type { DriverCall, Outcome, Ownership } from './call.js';

export interface DiskSpecification {
  diskId: string;
  ownership: Ownership;
  /** The backend's own name of the pool. */
  poolName: string;
  /** Where the disk must be reachable; local pools hold it there. */
  hostName: string | null;
  sizeGib: number;
  /** Reads and writes together in a second, at least 1; null is unlimited. A backend that only counts them apart lets each have as many. */
  iopsLimit: number | null;
  /** Set when the disk begins as a copy of an image. */
  imageReference: string | null;
}

export interface ObservedDisk {
  diskId: string;
  installationId: string;
  poolName: string;
  hostName: string | null;
  sizeGib: number;
  iopsLimit: number | null;
  attachedTo: string | null;
}

/** DEGRADED, REBUILDING and BLOCKED work, with fewer copies than they shall have. */
export const DiskHealth = {
  HEALTHY: 'HEALTHY',
  /** Nobody makes the copies again yet. */
  DEGRADED: 'DEGRADED',
  /** The copies are being made again. */
  REBUILDING: 'REBUILDING',
  /** They cannot be made again, for want of room or hosts. */
  BLOCKED: 'BLOCKED',
  UNAVAILABLE: 'UNAVAILABLE',
  UNKNOWN: 'UNKNOWN',
} as const;
export type DiskHealth = (typeof DiskHealth)[keyof typeof DiskHealth];

export interface StorageDriver {
  /** A disk of this id with another specification is a BACKEND_FAILED conflict, an unknown pool is NOT_FOUND. */
  createDisk(call: DriverCall, specification: DiskSpecification): Promise<Outcome<ObservedDisk>>;
  /** Only grows; a smaller size is INVALID_STATE. */
  resizeDisk(call: DriverCall, diskId: string, sizeGib: number): Promise<Outcome<void>>;
  /**
   * Sets the disk's limit or, with null, lifts it, whether a machine has the disk or not. It goes with the disk, to whichever
   * machine gets it and wherever that moves. Where a backend has not the capability, no limit can be set, and any be lifted.
   */
  limitDisk(call: DriverCall, diskId: string, iopsLimit: number | null): Promise<Outcome<void>>;
  /** Ensures that it is absent, like `deleteMachine`, with its snapshots; an unknown id is DONE, an attached disk is INVALID_STATE. */
  deleteDisk(call: DriverCall, diskId: string): Promise<Outcome<void>>;
  createSnapshot(call: DriverCall, diskId: string, snapshotId: string): Promise<Outcome<void>>;
  /** Ensures that it is absent; an unknown disk or snapshot is DONE. */
  deleteSnapshot(call: DriverCall, diskId: string, snapshotId: string): Promise<Outcome<void>>;
  /** The copy has at least the size of its source, and outlives it; its limit is its own, never the source's. */
  cloneDisk(call: DriverCall, sourceDiskId: string, specification: DiskSpecification): Promise<Outcome<ObservedDisk>>;
  /** One entry for each id that was asked for; UNKNOWN when there is no such disk. */
  diskHealth(call: DriverCall, diskIds: string[]): Promise<Map<string, DiskHealth>>;
  getDisk(call: DriverCall, diskId: string): Promise<ObservedDisk | undefined>;
  listDisks(call: DriverCall, after: string | null, limit: number): Promise<ObservedDisk[]>;
}
