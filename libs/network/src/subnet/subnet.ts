import { defineId, type ErrorRecord, type Id } from '#core';
import type { AddressPool } from '../address/ipv4.js';
import type { Wanted } from '../network/network.js';

export const subnetId = defineId('sub');
export type SubnetId = Id<'sub'>;

export const SubnetState = { CREATING: 'CREATING', ACTIVE: 'ACTIVE', FAILED: 'FAILED', DELETING: 'DELETING' } as const;
export type SubnetState = (typeof SubnetState)[keyof typeof SubnetState];

/** A block of addresses of a network. No two subnets of a project overlap; tenants may use the same ranges. */
export interface SubnetRow {
  id: string;
  tenant_id: string;
  project_id: string;
  network_id: string;
  name: string;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
  cidr: string;
  gateway: string;
  /** Ranges that addresses are given out from; the gateway is left out. */
  pools: AddressPool[];
  wanted: Wanted;
  realised_at: Date | null;
  failure: ErrorRecord | null;
}

export function subnetState(row: Pick<SubnetRow, 'wanted' | 'realised_at' | 'failure'>): SubnetState {
  if (row.failure !== null) return 'FAILED';
  if (row.wanted === 'ABSENT') return 'DELETING';
  return row.realised_at === null ? 'CREATING' : 'ACTIVE';
}
