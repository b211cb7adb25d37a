import { randomBytes } from 'node:crypto';
import { defineId, type Id } from '#core';

export const portId = defineId('prt');
export type PortId = Id<'prt'>;

export const PortState = { PENDING: 'PENDING', ACTIVE: 'ACTIVE', UPDATING: 'UPDATING', DELETING: 'DELETING' } as const;
export type PortState = (typeof PortState)[keyof typeof PortState];

/** A machine's place in a network. It belongs to its owner, lives on the owner's host, and goes with the owner. */
export interface PortRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
  network_id: string;
  subnet_id: string;
  mac_address: string;
  address: string;
  owner_id: string;
  backend_id: string;
  host_id: string;
  lifecycle: 'PRESENT' | 'DELETING';
  desired_revision: number;
  /** What the backend was last known to have; 0 for nothing. */
  realised_revision: number;
}

export function portState(row: Pick<PortRow, 'lifecycle' | 'desired_revision' | 'realised_revision'>): PortState {
  if (row.lifecycle === 'DELETING') return 'DELETING';
  if (row.realised_revision === 0) return 'PENDING';
  return row.realised_revision < row.desired_revision ? 'UPDATING' : 'ACTIVE';
}

/** A unicast address from the locally administered space (IEEE 802, second-lowest bit of the first octet): 46 random bits. */
export function newMacAddress(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] as number) & 0xfc) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
