import { defineId, type Id } from '#core';
import type { CatalogueState } from '#compute';

export const clusterVersionId = defineId('cvr');
export type ClusterVersionId = Id<'cvr'>;

export const ClusterKind = { KUBERNETES: 'KUBERNETES', SWARM: 'SWARM', MESOS: 'MESOS' } as const;
export type ClusterKind = (typeof ClusterKind)[keyof typeof ClusterKind];

/** A version of a cluster kind that an operator offers, with the image that its nodes are made from. */
export interface ClusterVersionRow {
  id: string;
  tenant_id: null;
  project_id: null;
  name: string;
  kind: ClusterKind;
  /** The product's own version, as `1.34.2`. */
  release: string;
  image_id: string;
  /** PENDING_DELETE takes no new clusters and goes with its last one. */
  state: CatalogueState;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}
