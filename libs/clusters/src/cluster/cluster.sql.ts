import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { ClusterRow } from './cluster.js';

const COLUMNS = `id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
  network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
  conditions, version, revision, created_at, updated_at`;

export const findClusters = statement<ClusterRow, [ids: string[]]>(
  'cluster.find',
  `SELECT ${COLUMNS} FROM cluster WHERE id = ANY($1)`,
);

export const findVisibleClusters = statement<ClusterRow, [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]>(
  'cluster.find_visible',
  `SELECT ${COLUMNS} FROM cluster AS c WHERE ${visible('c', 1)} AND c.id = ANY($4)`,
);

export const findClusterByName = statement<ClusterRow, [projectId: string, name: string]>(
  'cluster.find_by_name',
  `SELECT ${COLUMNS} FROM cluster WHERE project_id = $1 AND name = $2`,
);

type ListParameters = [
  all: boolean,
  tenantIds: string[],
  projectIds: string[],
  projectId: string | null,
  tenantId: string | null,
  name: string | null,
  kind: string | null,
  lifecycles: string[] | null,
];

export const clusters = keysetList<ClusterRow, ListParameters>(
  'cluster.list',
  `SELECT ${COLUMNS} FROM cluster AS c
   WHERE ${visible('c', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))`,
  8,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

/** Made: unless its deletion has been asked for meanwhile. */
export const clusterMade = statement<never, [id: string, conditions: string]>(
  'cluster.made',
  `UPDATE cluster SET lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'PRESENT' ELSE lifecycle END, conditions = $2::jsonb,
     failure = NULL WHERE id = $1`,
);

/** Not made: only names are left. A deletion that waits for this goes on. */
export const clusterFailed = statement<never, [id: string, failure: string]>(
  'cluster.failed',
  `UPDATE cluster SET lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END, failure = $2::jsonb,
     conditions = '[]', network_id = CASE WHEN owns_network THEN NULL ELSE network_id END, load_balancer_id = NULL,
     control_group_id = NULL, worker_group_id = NULL, pki_secret = NULL, join_secret = NULL
   WHERE id = $1`,
);

/** Its deletion was called off or given up. */
export const clusterKept = statement<never, [id: string, failure: string | null]>(
  'cluster.kept',
  `UPDATE cluster SET failure = coalesce($2::jsonb, failure),
     lifecycle = CASE WHEN coalesce($2::jsonb, failure) IS NULL THEN 'PRESENT' ELSE 'FAILED' END
   WHERE id = $1 AND lifecycle = 'DELETING'`,
);

export const removeCluster = statement<never, [id: string]>(
  'cluster.remove',
  `WITH nodes AS (DELETE FROM cluster_node WHERE cluster_id = $1), pools AS (DELETE FROM node_pool WHERE cluster_id = $1)
   DELETE FROM cluster WHERE id = $1`,
);

export const setClusterSecrets = statement<never, [id: string, pki: string | null, join: string | null]>(
  'cluster.set_secrets',
  'UPDATE cluster SET pki_secret = $2, join_secret = $3 WHERE id = $1',
);

export const setJoinSecret = statement<never, [id: string, join: string | null]>(
  'cluster.set_join_secret',
  'UPDATE cluster SET join_secret = $2 WHERE id = $1 AND join_secret IS DISTINCT FROM $2',
);

export const setClusterConditions = statement<never, [id: string, conditions: string]>(
  'cluster.set_conditions',
  `UPDATE cluster SET conditions = $2::jsonb WHERE id = $1 AND lifecycle = 'PRESENT' AND conditions <> $2::jsonb`,
);

/** Clusters whose time is over and whose deletion is not on its way, the longest overdue first. */
export const findExpiredClusters = statement<ClusterRow, [limit: number]>(
  'cluster.find_expired',
  `SELECT ${COLUMNS} FROM cluster WHERE expires_at <= now() AND lifecycle <> 'DELETING' ORDER BY expires_at, id LIMIT $1::int`,
);
