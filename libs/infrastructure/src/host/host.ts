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
  /** Since when it may lack what its network was told; null when it has all. */
  network_behind_since: Date | null;
  network_behind_reason: string | null;
  /** How often it has missed something that its network was told. */
  network_tellings: number;
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

export const HostConditionType = {
  /** Its backend says that it lives. */
  ANSWERING: 'ANSWERING',
  /** It gets new machines. */
  SCHEDULABLE: 'SCHEDULABLE',
  /** It is proven to be off, so that its machines may be started elsewhere. */
  PROVEN_OFF: 'PROVEN_OFF',
  /** It has taken over what its network was told while it was away. */
  NETWORK_CURRENT: 'NETWORK_CURRENT',
} as const;
export type HostConditionType = (typeof HostConditionType)[keyof typeof HostConditionType];

export interface HostCondition {
  type: HostConditionType;
  status: 'TRUE' | 'FALSE' | 'UNKNOWN';
  /** Why, for people; null when it speaks for itself. */
  reason: string | null;
  /** Since when it is known to be so. */
  since: Date | null;
}

/** What is to be said of a host beyond its state, each with its reason. */
export function hostConditions(host: HostRow): HostCondition[] {
  const state = hostState(host);
  const answers = ({ UP: 'TRUE', DOWN: 'FALSE', UNKNOWN: 'UNKNOWN' } as const)[host.health];
  const isOff = ({ PROVEN_OFF: 'TRUE', UNKNOWN: 'UNKNOWN', NONE: host.health === 'UP' ? 'FALSE' : 'UNKNOWN' } as const)[host.fence];
  const why = host.intent === 'ENABLED' ? host.health_reason : host.intent_reason;
  const isSchedulable = state === 'ACTIVE';
  return [
    { type: 'ANSWERING', status: answers, reason: host.health_reason, since: host.health_since },
    {
      type: 'SCHEDULABLE',
      status: isSchedulable ? 'TRUE' : 'FALSE',
      reason: isSchedulable ? null : `It is ${state.toLowerCase().replaceAll('_', ' ')}${why === null ? '.' : `: ${why}`}`,
      since: host.intent === 'ENABLED' ? host.health_since : null,
    },
    { type: 'PROVEN_OFF', status: isOff, reason: host.fence_reason, since: host.fence_since },
    networkCondition(host),
  ];
}

/** Of a host that does not answer nobody can tell, unless it is known to lack something. */
function networkCondition({ health, network_behind_since: since, network_behind_reason: reason }: HostRow): HostCondition {
  const type = HostConditionType.NETWORK_CURRENT;
  if (since !== null) return { type, status: 'FALSE', reason, since };
  return { type, status: health === 'UP' ? 'TRUE' : 'UNKNOWN', reason: null, since: null };
}
