import { defineId, type ErrorRecord, type Id } from '#core';
import type { AddressPool } from '../address/ipv4.js';

export const subnetId = defineId('sub');
export type SubnetId = Id<'sub'>;

export const SubnetState = {
  CREATING: 'CREATING',
  ACTIVE: 'ACTIVE',
  DELETING: 'DELETING',
  /** Its making failed and was undone; it holds nothing but its name and its block, and can be retried or deleted. */
  FAILED: 'FAILED',
} as const;
export type SubnetState = (typeof SubnetState)[keyof typeof SubnetState];

export type SubnetLifecycle = Exclude<SubnetState, 'ACTIVE'> | 'PRESENT';

/** A block of addresses of a network. No two subnets of a project overlap; other projects may use the same ranges. */
export interface SubnetRow {
  id: string;
  tenant_id: string;
  project_id: string;
  network_id: string;
  name: string;
  /** As `10.32.0.0/24`. */
  cidr: string;
  gateway: string;
  /** Ranges that addresses are given out from; the gateway and the address for health checks are left out. */
  pools: AddressPool[];
  /** From which the members of load balancers are checked; the subnet's own allocation. Null where none was free. */
  health_check_address: string | null;
  lifecycle: SubnetLifecycle;
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

export function subnetState(row: Pick<SubnetRow, 'lifecycle'>): SubnetState {
  return row.lifecycle === 'PRESENT' ? 'ACTIVE' : row.lifecycle;
}
