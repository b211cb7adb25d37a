import { defineId, type ErrorRecord, type Id } from '#core';

export const loadBalancerId = defineId('lb');
export type LoadBalancerId = Id<'lb'>;

export const MAX_LISTENERS = 16;
export const MAX_MEMBERS = 256;

export const LoadBalancerState = {
  CREATING: 'CREATING',
  ACTIVE: 'ACTIVE',
  UPDATING: 'UPDATING',
  FAILED: 'FAILED',
  DELETING: 'DELETING',
} as const;
export type LoadBalancerState = (typeof LoadBalancerState)[keyof typeof LoadBalancerState];

/** What a load balancer listens on, and the port of its members that it sends to. TCP. */
export interface Listener {
  port: number;
  memberPort: number;
}

/** One stable address in front of ports of the same network. Its members change by adding and removing, each on its own. */
export interface LoadBalancerRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
  network_id: string;
  /** Null, like the address, when its making failed: a FAILED one holds only its name. */
  subnet_id: string | null;
  address: string | null;
  /** The cluster that it serves, which alone may change and delete it; null for one of its own. */
  owner_id: string | null;
  backend_id: string;
  lifecycle: 'CREATING' | 'PRESENT' | 'DELETING' | 'FAILED';
  desired_revision: number;
  realised_revision: number;
  failure: ErrorRecord | null;
}

export function loadBalancerState(
  row: Pick<LoadBalancerRow, 'lifecycle' | 'desired_revision' | 'realised_revision'>,
): LoadBalancerState {
  if (row.lifecycle !== 'PRESENT') return row.lifecycle;
  if (row.realised_revision === 0) return 'CREATING';
  return row.realised_revision < row.desired_revision ? 'UPDATING' : 'ACTIVE';
}
