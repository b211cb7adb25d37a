import { defineId, type Id } from '#core';

export const clusterNodeId = defineId('nod');
export type ClusterNodeId = Id<'nod'>;

export const NodeRole = { CONTROL: 'CONTROL', WORKER: 'WORKER' } as const;
export type NodeRole = (typeof NodeRole)[keyof typeof NodeRole];

/** How far it is on its way into the cluster or out of it; written by operations. */
export const NodePhase = { JOINING: 'JOINING', JOINED: 'JOINED', DRAINING: 'DRAINING', REMOVING: 'REMOVING' } as const;
export type NodePhase = (typeof NodePhase)[keyof typeof NodePhase];

/** How it is, as the health reconciler has seen it for long enough. */
export const NodeHealth = {
  UNKNOWN: 'UNKNOWN',
  READY: 'READY',
  /** It answers, and says that it is not ready; or its machine does not run. */
  NOT_READY: 'NOT_READY',
  /** Its host or backend does not answer: it may run or not. */
  UNREACHABLE: 'UNREACHABLE',
  /** Its host is proven to be off, or its machine is gone: it will not come back by itself. */
  LOST: 'LOST',
} as const;
export type NodeHealth = (typeof NodeHealth)[keyof typeof NodeHealth];

/** Why a node's health is what it is. */
export const NodeHealthReason = {
  NOT_OBSERVED: 'NOT_OBSERVED',
  NODE_READY: 'NODE_READY',
  /** The readiness check in the guest ended in failure. */
  NODE_NOT_READY: 'NODE_NOT_READY',
  /** The guest accepted the check and did not end it in time. */
  GUEST_SILENT: 'GUEST_SILENT',
  MACHINE_NOT_RUNNING: 'MACHINE_NOT_RUNNING',
  MACHINE_GONE: 'MACHINE_GONE',
  HOST_SILENT: 'HOST_SILENT',
  HOST_FENCED: 'HOST_FENCED',
  BACKEND_SILENT: 'BACKEND_SILENT',
} as const;
export type NodeHealthReason = (typeof NodeHealthReason)[keyof typeof NodeHealthReason];

export const NodeState = {
  JOINING: 'JOINING',
  READY: 'READY',
  NOT_READY: 'NOT_READY',
  UNREACHABLE: 'UNREACHABLE',
  LOST: 'LOST',
  UNKNOWN: 'UNKNOWN',
  DRAINING: 'DRAINING',
  REMOVING: 'REMOVING',
} as const;
export type NodeState = (typeof NodeState)[keyof typeof NodeState];

/** A machine's place in a cluster. The row is there as long as the machine shall be, or is still to be taken away. */
export interface ClusterNodeRow {
  id: string;
  tenant_id: string;
  project_id: string;
  /** The machine's name, and by that the guest's host name. */
  name: string;
  cluster_id: string;
  /** Null for control nodes. */
  pool_id: string | null;
  machine_id: string;
  role: NodeRole;
  phase: NodePhase;
  health: NodeHealth;
  health_reason: NodeHealthReason;
  health_since: Date;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

/** The one place where a node's state is made of what is wanted and what is seen. */
export function nodeState(row: Pick<ClusterNodeRow, 'phase' | 'health'>): NodeState {
  return row.phase === NodePhase.JOINED ? row.health : row.phase;
}

/** Whether it is a member that others can lean on. */
export function isServing(row: Pick<ClusterNodeRow, 'phase' | 'health'>): boolean {
  return row.phase === NodePhase.JOINED && (row.health === NodeHealth.READY || row.health === NodeHealth.UNKNOWN);
}

const EXPLANATIONS: Record<NodeHealthReason, string> = {
  NOT_OBSERVED: 'It has not been looked at yet.',
  NODE_READY: 'It says that it is ready.',
  NODE_NOT_READY: 'It answers, and says that it is not ready.',
  GUEST_SILENT: 'Its guest has not answered the readiness check in time.',
  MACHINE_NOT_RUNNING: 'Its machine does not run.',
  MACHINE_GONE: 'Its backend does not have its machine any more.',
  HOST_SILENT: 'Its host does not answer; it may run or not.',
  HOST_FENCED: 'Its host is down and proven to be off.',
  BACKEND_SILENT: 'Its backend does not answer; it may run or not.',
};

export function explainHealth(reason: NodeHealthReason): string {
  return EXPLANATIONS[reason];
}
