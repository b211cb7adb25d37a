import { defineId, type Id } from '#core';
import type { FailureDomain, RedundancyMethod } from './guarantees.js';

export const datastoreId = defineId('dst');
export type DatastoreId = Id<'dst'>;

export const DatastoreState = { ACTIVE: 'ACTIVE', SUSPENDED: 'SUSPENDED', PENDING_DELETE: 'PENDING_DELETE' } as const;
export type DatastoreState = (typeof DatastoreState)[keyof typeof DatastoreState];

/** A pool of a backend that disks live in. What is claimed of it is kept by placement, apart from this row. */
export interface DatastoreRow {
  id: string;
  tenant_id: null;
  project_id: null;
  backend_id: string;
  /** A shared pool reaches the backend's hosts of this zone, or all of its hosts when null. */
  zone_id: string | null;
  /** The host that alone reaches it; null when it is shared. */
  host_id: string | null;
  /** The backend's own name of the pool. */
  name: string;
  /** What it offers, in the operator's word, as `standard` or `ssd`. */
  kind: string;
  /** GiB promised per real one: thin pools may promise more. */
  overcommit: number;
  state: DatastoreState;
  capacity_gib: number;
  failures_to_tolerate: number;
  /** Both null when it tolerates no failure. */
  failure_domain: FailureDomain | null;
  redundancy_method: RedundancyMethod | null;
  is_encrypted: boolean;
  /** Whether its backend limits the accesses to a disk. */
  limits_iops: boolean;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}
