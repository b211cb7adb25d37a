import { createHash } from 'node:crypto';
import { defineId, type ErrorRecord, type Id } from '#core';
import type { SecretRef } from '#secrets';
import type { ClusterCondition } from '../health/conditions.js';
import type { ClusterKind } from '../version/cluster-version.js';

export const clusterId = defineId('cls');
export type ClusterId = Id<'cls'>;

/** More would never agree any better; an even number would agree worse. */
export const CONTROL_COUNTS = [1, 3, 5] as const;
export const MAX_POOLS = 20;
export const MAX_NODES_PER_POOL = 200;
/** Of all pools together, without the control nodes. */
export const MAX_WORKERS = 500;

/** The column; the state is derived from it. */
export const ClusterLifecycle = {
  /** Admitted: its whole tree exists as rows, charges and claims; an operation is making it real. */
  CREATING: 'CREATING',
  PRESENT: 'PRESENT',
  DELETING: 'DELETING',
  /** It was never made, or was taken back: it holds nothing but names, and can be retried or deleted. */
  FAILED: 'FAILED',
} as const;
export type ClusterLifecycle = (typeof ClusterLifecycle)[keyof typeof ClusterLifecycle];

export const ClusterState = {
  CREATING: 'CREATING',
  /** All nodes are ready. */
  READY: 'READY',
  /** Its API answers, but not all nodes are ready. */
  DEGRADED: 'DEGRADED',
  /** Too few control nodes are ready for its API to answer, or nobody can tell. */
  UNAVAILABLE: 'UNAVAILABLE',
  DELETING: 'DELETING',
  FAILED: 'FAILED',
} as const;
export type ClusterState = (typeof ClusterState)[keyof typeof ClusterState];

export interface ClusterRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  // What is wanted.
  kind: ClusterKind;
  version_id: string;
  control_count: number;
  control_flavor_id: string;
  /** Empty: all zones that the tenant may use. */
  control_zone_ids: string[];
  /** When it shall be deleted by itself; null for never. */
  expires_at: Date | null;
  // What it is made of; null when its making failed.
  network_id: string | null;
  /** The network was made with the cluster and goes with it. */
  owns_network: boolean;
  /** Where the API gets an address from that clients outside reach; null for none. */
  external_network_id: string | null;
  load_balancer_id: string | null;
  control_group_id: string | null;
  worker_group_id: string | null;
  lifecycle: ClusterLifecycle;
  pki_secret: SecretRef | null;
  /** The token by which nodes join, while an operation adds some. */
  join_secret: SecretRef | null;
  /** Why it is FAILED. */
  failure: ErrorRecord | null;
  // What is seen.
  conditions: ClusterCondition[];
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

/** The one place where a cluster's state is made of what is wanted and what is seen. */
export function clusterState(row: Pick<ClusterRow, 'lifecycle' | 'conditions'>): ClusterState {
  if (row.lifecycle !== ClusterLifecycle.PRESENT) return row.lifecycle;
  const status = (type: ClusterCondition['type']): string | undefined => row.conditions.find((each) => each.type === type)?.status;
  if (status('API_AVAILABLE') !== 'TRUE') return 'UNAVAILABLE';
  return status('READY') === 'TRUE' ? 'READY' : 'DEGRADED';
}

/** How many control nodes must agree. */
export function quorum(controlCount: number): number {
  return Math.floor(controlCount / 2) + 1;
}

/** How many control nodes the others can do without: so many one host may have. */
export function spareControls(controlCount: number): number {
  return controlCount - quorum(controlCount);
}

const MAX_NAME = 63;
const SUFFIX_LETTERS = 6;

/**
 * A name for something that is made for a cluster: readable, a DNS label, and not taken by anything else of the project,
 * because it ends in the random letters of the thing's id.
 */
export function derivedName(id: string, ...parts: readonly string[]): string {
  const suffix = `-${id.slice(-SUFFIX_LETTERS)}`;
  const stem = parts.join('-');
  if (stem.length + suffix.length <= MAX_NAME) return stem + suffix;
  const digest = createHash('sha256').update(stem).digest('hex').slice(0, SUFFIX_LETTERS);
  const kept = stem.slice(0, MAX_NAME - suffix.length - digest.length - 1).replace(/-+$/, '');
  return `${kept}-${digest}${suffix}`;
}
