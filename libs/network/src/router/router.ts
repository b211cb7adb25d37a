import { defineId, type ErrorRecord, type Id } from '#core';
import { MAX_ROUTER_LINKS } from '#drivers';

export const routerId = defineId('rtr');
export type RouterId = Id<'rtr'>;

export const MAX_ROUTER_NETWORKS = MAX_ROUTER_LINKS;

export const RouterState = {
  CREATING: 'CREATING',
  ACTIVE: 'ACTIVE',
  UPDATING: 'UPDATING',
  FAILED: 'FAILED',
  DELETING: 'DELETING',
} as const;
export type RouterState = (typeof RouterState)[keyof typeof RouterState];

/** A project's router: leads between its networks, and by an uplink to the outside. */
export interface RouterRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  description: string;
  /** The cluster that it serves, which alone may change and delete it; null for one of its own. */
  owner_id: string | null;
  backend_id: string;
  /** Its uplink, where that leads to an external network itself; else both null. It has no address while it is FAILED, or when it goes as it failed. */
  external_network_id: string | null;
  external_address: string | null;
  /** Its uplink, where that leads to a provider's router, and its address in the transit block; else both null. */
  provider_router_id: string | null;
  transit_address: string | null;
  /** Whether machines without a floating IP reach the outside, by the router's address. */
  source_nat: boolean;
  /** Hosts that the backend was last told to lead the uplink by, the first live one does. */
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

/**
 * Who has an address that a change of the router has given up, or that its undo has: nobody else gets it while the backend
 * may still answer at it. One change is made at a time.
 */
export const heldAddress = (routerId: string, by: 'change' | 'undo'): string => `${routerId}/${by}`;

export const heldAddresses = (routerId: string): string[] => [heldAddress(routerId, 'change'), heldAddress(routerId, 'undo')];

/** A network on a router. */
export interface RouterNetworkRow {
  network_id: string;
  router_id: string;
  /** Which of the router's links leads to it. */
  link: number;
  /** Where the router leads to, itself or by a provider's router. */
  external_network_id: string | null;
}

export function routerState(row: Pick<RouterRow, 'lifecycle' | 'desired_revision' | 'realised_revision'>): RouterState {
  if (row.lifecycle !== 'PRESENT') return row.lifecycle;
  if (row.realised_revision === 0) return 'CREATING';
  return row.realised_revision < row.desired_revision ? 'UPDATING' : 'ACTIVE';
}
