import { defineId, type ErrorRecord, type Id } from '#core';

export const networkId = defineId('net');
export type NetworkId = Id<'net'>;

export const NetworkState = {
  /** Admitted: an operation is making it real on the backends that were asked for; it takes no users yet. */
  CREATING: 'CREATING',
  ACTIVE: 'ACTIVE',
  /** Deleted while in use: it takes no new users and goes with its last one. */
  PENDING_DELETE: 'PENDING_DELETE',
  DELETING: 'DELETING',
  /** Its making failed and was undone: it holds nothing but its name, and can be retried or deleted. */
  FAILED: 'FAILED',
} as const;
export type NetworkState = (typeof NetworkState)[keyof typeof NetworkState];

/** The column; the state is derived from it. */
export type NetworkLifecycle = Exclude<NetworkState, 'ACTIVE'> | 'PRESENT';

/** A network: one broadcast domain of a project. */
export interface NetworkRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  description: string;
  lifecycle: NetworkLifecycle;
  /** Rises with whatever its backends must be told: its subnets. */
  desired_revision: number;
  /** Why its making failed. */
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

/** A backend that a network spans, and the revision that it was last known to have; 0 for nothing. */
export interface NetworkBackendRow {
  network_id: string;
  backend_id: string;
  realised_revision: number;
}

export function networkState(row: Pick<NetworkRow, 'lifecycle'>): NetworkState {
  return row.lifecycle === 'PRESENT' ? 'ACTIVE' : row.lifecycle;
}

/**
 * Its DNS domain: within it, machines and load balancers are found as `<name>` and as `<name>.<domain>`. Networks of other
 * projects may have the same: names are answered within one network only. `internal` is kept for private use by ICANN.
 */
export function networkDomain(row: Pick<NetworkRow, 'name'>): string {
  return `${row.name}.internal`;
}

export interface NetworkCondition {
  type: 'REALISED';
  status: 'TRUE' | 'FALSE';
  reason: 'AS_DESIRED' | 'BEHIND' | 'CREATE_FAILED' | 'NOT_PLACED';
  message: string;
}

/** Whether the backends that the network spans have what is desired. */
export function networkConditions(row: Pick<NetworkRow, 'desired_revision' | 'failure'>, backends: readonly NetworkBackendRow[]): NetworkCondition[] {
  const type = 'REALISED' as const;
  if (row.failure !== null) return [{ type, status: 'FALSE', reason: 'CREATE_FAILED', message: row.failure.message }];
  if (backends.length === 0) return [{ type, status: 'TRUE', reason: 'NOT_PLACED', message: 'Nothing uses it yet; it is realised where its first port lands.' }];
  const behind = backends.filter((backend) => backend.realised_revision < row.desired_revision).length;
  if (behind === 0) return [{ type, status: 'TRUE', reason: 'AS_DESIRED', message: `It is as desired on ${backends.length} of ${backends.length} backends.` }];
  return [{ type, status: 'FALSE', reason: 'BEHIND', message: `${behind} of ${backends.length} backends do not have the latest revision yet.` }];
}
