import { defineId, type Id } from '#core';
import type { Health } from '../backend/backend.js';

export const hostId = defineId('hst');
export type HostId = Id<'hst'>;

/** What the operator wants of a host. */
export const HostIntent = { ENABLED: 'ENABLED', SUSPENDED: 'SUSPENDED', MAINTENANCE: 'MAINTENANCE' } as const;
export type HostIntent = (typeof HostIntent)[keyof typeof HostIntent];

/** NONE: nobody has asked since it went down. Only PROVEN_OFF lets its machines be started elsewhere. */
export const FenceState = { NONE: 'NONE', UNKNOWN: 'UNKNOWN', PROVEN_OFF: 'PROVEN_OFF' } as const;
export type FenceState = (typeof FenceState)[keyof typeof FenceState];

/** What a host is, of what is wanted and what is seen. Only ACTIVE ones get new machines. */
export const HostState = {
  ACTIVE: 'ACTIVE',
  /** By an operator: it keeps its machines and gets no new ones. */
  SUSPENDED: 'SUSPENDED',
  /** Its machines are being moved away. */
  ENTERING_MAINTENANCE: 'ENTERING_MAINTENANCE',
  /** Empty: whatever is done to it harms nobody. */
  IN_MAINTENANCE: 'IN_MAINTENANCE',
  /** Its backend does not answer, so nobody can tell. */
  UNKNOWN: 'UNKNOWN',
  /** Silent for longer than the threshold; whether its machines run is not known. */
  DOWN: 'DOWN',
  /** Down and proven to be off: its machines may be started elsewhere. */
  FENCED: 'FENCED',
} as const;
export type HostState = (typeof HostState)[keyof typeof HostState];

export interface HostRow {
  id: string;
  tenant_id: null;
  project_id: null;
  backend_id: string;
  zone_id: string;
  rack_id: string | null;
  /** The backend's own name of it. */
  name: string;
  // What is wanted.
  intent: HostIntent;
  intent_reason: string | null;
  /** Virtual processors promised per real one. */
  cpu_overcommit: number;
  memory_overcommit: number;
  /** Traits that an operator added. */
  labels: string[];
  // What is seen.
  cpu: number;
  memory_mib: number;
  /** Traits that the backend reports. */
  traits: string[];
  health: Health;
  health_since: Date;
  health_reason: string | null;
  /** In maintenance, nothing runs on it any more. */
  vacant: boolean;
  fence: FenceState;
  fence_source: 'BACKEND' | 'OPERATOR' | null;
  fence_since: Date | null;
  fence_reason: string | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

/** The one place where a host's state is made of its columns. */
export function hostState(host: Pick<HostRow, 'intent' | 'health' | 'fence' | 'vacant'>): HostState {
  if (host.health === 'DOWN') return host.fence === 'PROVEN_OFF' ? HostState.FENCED : HostState.DOWN;
  if (host.intent === 'MAINTENANCE') return host.vacant ? HostState.IN_MAINTENANCE : HostState.ENTERING_MAINTENANCE;
  if (host.intent === 'SUSPENDED') return HostState.SUSPENDED;
  return host.health === 'UP' ? HostState.ACTIVE : HostState.UNKNOWN;
}
