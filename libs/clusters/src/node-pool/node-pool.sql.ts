import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { NodePoolRow } from './node-pool.js';

const COLUMNS = `id, tenant_id, project_id, name, cluster_id, flavor_id, count, zone_ids, labels, lifecycle, failure, version, revision,
  created_at, updated_at`;

export const findNodePools = statement<NodePoolRow, [ids: string[]]>(
  'node_pool.find',
  `SELECT ${COLUMNS} FROM node_pool WHERE id = ANY($1)`,
);

export const findNodePoolsOfClusters = statement<NodePoolRow, [clusterIds: string[]]>(
  'node_pool.of_clusters',
  `SELECT ${COLUMNS} FROM node_pool WHERE cluster_id = ANY($1) ORDER BY cluster_id, name`,
);

export const findVisibleNodePools = statement<NodePoolRow, [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]>(
  'node_pool.find_visible',
  `SELECT ${COLUMNS} FROM node_pool AS p WHERE ${visible('p', 1)} AND p.id = ANY($4)`,
);

export const nodePools = keysetList<
  NodePoolRow,
  [all: boolean, tenantIds: string[], projectIds: string[], clusterId: string | null, name: string | null]
>(
  'node_pool.list',
  `SELECT ${COLUMNS} FROM node_pool AS p
   WHERE ${visible('p', 1)} AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR name = $5)`,
  5,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);

export const poolMade = statement<never, [id: string]>(
  'node_pool.made',
  `UPDATE node_pool SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING'`,
);

export const poolsOfClusterMade = statement<never, [clusterId: string]>(
  'node_pool.made_with_cluster',
  `UPDATE node_pool SET lifecycle = 'PRESENT', failure = NULL WHERE cluster_id = $1 AND lifecycle = 'CREATING'`,
);

export const poolFailed = statement<never, [id: string, failure: string]>(
  'node_pool.failed',
  `UPDATE node_pool SET lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END, failure = $2::jsonb
   WHERE id = $1`,
);

export const poolsOfClusterFailed = statement<never, [clusterId: string, failure: string]>(
  'node_pool.failed_with_cluster',
  `UPDATE node_pool SET lifecycle = 'FAILED', failure = $2::jsonb WHERE cluster_id = $1 AND lifecycle = 'CREATING'`,
);

/** A change of its size was undone, or given up on the way. */
export const restorePoolCount = statement<never, [id: string, count: number]>(
  'node_pool.restore_count',
  'UPDATE node_pool SET count = $2::int, version = version + 1 WHERE id = $1 AND count <> $2::int',
);

/** Its removal was called off or given up. */
export const poolKept = statement<never, [id: string, failure: string | null]>(
  'node_pool.kept',
  `UPDATE node_pool SET failure = coalesce($2::jsonb, failure),
     lifecycle = CASE WHEN coalesce($2::jsonb, failure) IS NULL THEN 'PRESENT' ELSE 'FAILED' END
   WHERE id = $1 AND lifecycle = 'DELETING'`,
);

export const removeNodePool = statement<never, [id: string]>('node_pool.remove', 'DELETE FROM node_pool WHERE id = $1');
