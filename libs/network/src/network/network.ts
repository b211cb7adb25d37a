import { defineId, type ErrorRecord, type Id } from '#core';

export const networkId = defineId('net');
export type NetworkId = Id<'net'>;

/** What shall be; `ABSENT` takes no new users and goes with its last one. */
export const Wanted = { PRESENT: 'PRESENT', ABSENT: 'ABSENT' } as const;
export type Wanted = (typeof Wanted)[keyof typeof Wanted];

export const NetworkState = {
  CREATING: 'CREATING',
  ACTIVE: 'ACTIVE',
  /** Its making failed and was undone; it holds nothing but its name, and can be retried or deleted. */
  FAILED: 'FAILED',
  /** Deleted while in use: it takes no new users and goes with its last one. */
  PENDING_DELETE: 'PENDING_DELETE',
  DELETING: 'DELETING',
} as const;
export type NetworkState = (typeof NetworkState)[keyof typeof NetworkState];

/** A network: one broadcast domain of a project. `desired_revision` rises with whatever backends must be told. */
export interface NetworkRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  description: string;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
  wanted: Wanted;
  desired_revision: number;
  /** When it was first made true on all its backends. */
  realised_at: Date | null;
  /** When its deletion found it unused and began. */
  removing_since: Date | null;
  /** Why its making failed. */
  failure: ErrorRecord | null;
}

export function networkState(
  row: Pick<NetworkRow, 'wanted' | 'realised_at' | 'removing_since' | 'failure'>,
): NetworkState {
  if (row.wanted === 'ABSENT') return row.removing_since === null ? 'PENDING_DELETE' : 'DELETING';
  if (row.failure !== null) return 'FAILED';
  return row.realised_at === null ? 'CREATING' : 'ACTIVE';
}
