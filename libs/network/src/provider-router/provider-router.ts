import { defineId, type ErrorRecord, type Id } from '#core';

export const providerRouterId = defineId('prr');
export type ProviderRouterId = Id<'prr'>;

export const ProviderRouterState = { CREATING: 'CREATING', ACTIVE: 'ACTIVE', DELETING: 'DELETING', FAILED: 'FAILED' } as const;
export type ProviderRouterState = (typeof ProviderRouterState)[keyof typeof ProviderRouterState];

/** RFC 6598: addresses between a provider and its customers. */
export const DEFAULT_TRANSIT_CIDR = '100.64.0.0/16';

/** Stands between tenants' routers and one external network, whose address many tenants share by it. */
export interface ProviderRouterRow {
  id: string;
  tenant_id: null;
  project_id: null;
  name: string;
  description: string;
  backend_id: string;
  external_network_id: string;
  /** Its one address there. */
  external_address: string;
  /** The block that it shares with tenants' routers, and its own address of that. */
  transit_cidr: string;
  transit_address: string;
  /** Hosts that the backend was last told to lead it by, the first live one does. */
  gateway_hosts: string[];
  lifecycle: 'CREATING' | 'PRESENT' | 'DELETING' | 'FAILED';
  desired_revision: number;
  realised_revision: number;
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

/** An address of a transit block that a router or floating IP has. */
export interface TransitAddressRow {
  provider_router_id: string;
  address: string;
  owner_id: string;
}

export function providerRouterState(row: Pick<ProviderRouterRow, 'lifecycle'>): ProviderRouterState {
  return row.lifecycle === 'PRESENT' ? 'ACTIVE' : row.lifecycle;
}
