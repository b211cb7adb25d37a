import { defineId, type Id } from '#core';

export const floatingIpId = defineId('fip');
export type FloatingIpId = Id<'fip'>;

export const FloatingIpState = {
  /** It is the project's, and leads nowhere. */
  AVAILABLE: 'AVAILABLE',
  /** Its backend leads it to its target. */
  ACTIVE: 'ACTIVE',
  UPDATING: 'UPDATING',
  DELETING: 'DELETING',
} as const;
export type FloatingIpState = (typeof FloatingIpState)[keyof typeof FloatingIpState];

/** An address of an external network that is a project's, and may lead to a port or a load balancer. */
export interface FloatingIpRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  /** The cluster that it serves, which alone may change and delete it; null for one of its own. */
  owner_id: string | null;
  external_network_id: string;
  address: string;
  /** The target's; null, like both of those, when it leads nowhere. What it leads to takes it back to that when it goes. */
  network_id: string | null;
  port_id: string | null;
  load_balancer_id: string | null;
  lifecycle: 'PRESENT' | 'DELETING';
  desired_revision: number;
  realised_revision: number;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

/** What a floating IP leads to. */
export interface FloatingTarget {
  networkId: string;
  portId: string | null;
  loadBalancerId: string | null;
}

export function floatingTarget(row: Pick<FloatingIpRow, 'network_id' | 'port_id' | 'load_balancer_id'>): FloatingTarget | null {
  return row.network_id === null ? null : { networkId: row.network_id, portId: row.port_id, loadBalancerId: row.load_balancer_id };
}

export function floatingIpState(
  row: Pick<FloatingIpRow, 'lifecycle' | 'network_id' | 'desired_revision' | 'realised_revision'>,
): FloatingIpState {
  if (row.lifecycle !== 'PRESENT') return row.lifecycle;
  if (row.network_id === null) return 'AVAILABLE';
  return row.realised_revision < row.desired_revision ? 'UPDATING' : 'ACTIVE';
}
