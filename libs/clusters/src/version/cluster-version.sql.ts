import { keysetList, statement } from '#database';
import type { ClusterKind, ClusterVersionRow } from './cluster-version.js';

const COLUMNS = 'id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at';

export const findClusterVersions = statement<ClusterVersionRow, [ids: string[]]>(
  'cluster_version.find',
  `SELECT ${COLUMNS} FROM cluster_version WHERE id = ANY($1)`,
);

export const findClusterVersionByName = statement<ClusterVersionRow, [name: string]>(
  'cluster_version.find_by_name',
  `SELECT ${COLUMNS} FROM cluster_version WHERE name = $1`,
);

/** By id, name or release; of several with one release the newest row comes first. */
export const findClusterVersionsByReference = statement<ClusterVersionRow, [kind: ClusterKind, reference: string]>(
  'cluster_version.find_by_reference',
  `SELECT ${COLUMNS} FROM cluster_version
   WHERE kind = $1 AND (id = $2 OR name = $2 OR (release = $2 AND state = 'ACTIVE'))
   ORDER BY id = $2 DESC, name = $2 DESC, id DESC LIMIT 1`,
);

export const clusterVersions = keysetList<ClusterVersionRow, [kind: ClusterKind | null, name: string | null]>(
  'cluster_version.list',
  `SELECT ${COLUMNS} FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)`,
  2,
  {
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
  },
);

export const clusterVersionInUse = statement<{ clusters: number }, [id: string]>(
  'cluster_version.in_use',
  'SELECT count(*) AS clusters FROM (SELECT FROM cluster WHERE version_id = $1 LIMIT 1000) AS used',
);

/** Deletes what is marked and has no cluster left. */
export const removeUnusedClusterVersions = statement<{ id: string }>(
  'cluster_version.remove_unused',
  `DELETE FROM cluster_version WHERE state = 'PENDING_DELETE'
     AND NOT EXISTS (SELECT FROM cluster AS c WHERE c.version_id = cluster_version.id) RETURNING id`,
);
