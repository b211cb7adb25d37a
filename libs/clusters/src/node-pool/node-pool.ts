import { defineId, type ErrorRecord, type Id } from '#core';

export const nodePoolId = defineId('npl');
export type NodePoolId = Id<'npl'>;

export const NodePoolState = {
  CREATING: 'CREATING',
  /** All its nodes are ready. */
  READY: 'READY',
  /** Fewer nodes than wanted are ready. */
  DEGRADED: 'DEGRADED',
  DELETING: 'DELETING',
  /** It was never made: it holds nothing but its name, and can be retried or removed. */
  FAILED: 'FAILED',
} as const;
export type NodePoolState = (typeof NodePoolState)[keyof typeof NodePoolState];

/** Workers of a cluster that are alike. */
export interface NodePoolRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  cluster_id: string;
  flavor_id: string;
  count: number;
  /** Empty: all zones that the tenant may use. */
  zone_ids: string[];
  /** Put on its nodes when they join. */
  labels: Record<string, string>;
  lifecycle: 'CREATING' | 'PRESENT' | 'DELETING' | 'FAILED';
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

export function nodePoolState(row: Pick<NodePoolRow, 'lifecycle' | 'count'>, readyNodes: number): NodePoolState {
  if (row.lifecycle !== 'PRESENT') return row.lifecycle;
  return readyNodes >= row.count ? 'READY' : 'DEGRADED';
}
