import { defineId, type ErrorRecord, type Id } from '#core';
import type { PhysicalNetworkHosts } from '#drivers';
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
  /** Hosts that reach it, by name, as was last seen; null while none is known to, empty when all are known not to. */
  connected_hosts: string[] | null;
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

/**
 * Of a host that the backend knows nothing of, because it is off or has not come yet, what was known before stays true.
 * @param hostNames all hosts of the backend
 * @returns what a row says of it
 */
export function connectedHosts(before: readonly string[] | null, hostNames: readonly string[], seen: Pick<PhysicalNetworkHosts, 'connected' | 'unconnected'>): string[] | null {
  const [connected, unconnected] = [new Set(seen.connected), new Set(seen.unconnected)];
  const known = hostNames.filter((name) => connected.has(name) || (!unconnected.has(name) && before?.includes(name) === true));
  const areAllUnconnected = hostNames.length > 0 && hostNames.every((name) => unconnected.has(name));
  return known.length > 0 || areAllUnconnected ? known.sort() : null;
}

export function externalNetworkState(row: Pick<ExternalNetworkRow, 'lifecycle'>): ExternalNetworkState {
  return row.lifecycle === 'PRESENT' ? 'ACTIVE' : row.lifecycle;
}
