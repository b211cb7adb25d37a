import { defineId, type ErrorRecord, type Id } from '#core';
import type { AddressPool } from '../address/ipv4.js';

export const externalNetworkId = defineId('ext');
export type ExternalNetworkId = Id<'ext'>;

export const ExternalNetworkState = { CREATING: 'CREATING', ACTIVE: 'ACTIVE', DELETING: 'DELETING', FAILED: 'FAILED' } as const;
export type ExternalNetworkState = (typeof ExternalNetworkState)[keyof typeof ExternalNetworkState];

/** The provider's edge: a network outside of a backend that its hosts reach, whose addresses routers and floating IPs have. */
export interface ExternalNetworkRow {
  id: string;
  tenant_id: null;
  project_id: null;
  name: string;
  description: string;
  backend_id: string;
  /** What the hosts call the network that their cables lead to. */
  physical_network: string;
  vlan: number | null;
  cidr: string;
  gateway: string;
  /** What Muon gives out. */
  pools: AddressPool[];
  lifecycle: 'CREATING' | 'PRESENT' | 'DELETING' | 'FAILED';
  desired_revision: number;
  realised_revision: number;
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

export function externalNetworkState(row: Pick<ExternalNetworkRow, 'lifecycle'>): ExternalNetworkState {
  return row.lifecycle === 'PRESENT' ? 'ACTIVE' : row.lifecycle;
}
