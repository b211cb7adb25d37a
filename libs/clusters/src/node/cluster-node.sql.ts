import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { ClusterNodeRow, NodePhase } from './cluster-node.js';

const COLUMNS = `id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
  version, revision, created_at, updated_at`;

export const findClusterNodes = statement<ClusterNodeRow, [ids: string[]]>(
  'cluster_node.find',
  `SELECT ${COLUMNS} FROM cluster_node WHERE id = ANY($1) ORDER BY id`,
);

export const findNodesOfMachines = statement<ClusterNodeRow, [machineIds: string[]]>(
  'cluster_node.of_machines',
  `SELECT ${COLUMNS} FROM cluster_node WHERE machine_id = ANY($1) ORDER BY id`,
);

/** The oldest first; ids sort by the time of making. */
export const findNodesOfClusters = statement<ClusterNodeRow, [clusterIds: string[]]>(
  'cluster_node.of_clusters',
  `SELECT ${COLUMNS} FROM cluster_node WHERE cluster_id = ANY($1) ORDER BY cluster_id, id`,
);

/** What may keep another node of its cluster where it is. */
export type DecidingNode = Pick<ClusterNodeRow, 'id' | 'name' | 'cluster_id' | 'machine_id' | 'role' | 'health' | 'health_reason'>;

/**
 * Members of clusters that are there which the others are asked about before they are moved: the control nodes, and those that
 * nobody has seen yet. Nobody looks at the nodes of other clusters, so nothing would ever come of waiting for them.
 */
export const findDecidingNodes = statement<DecidingNode, [clusterIds: string[]]>(
  'cluster_node.deciding',
  `SELECT n.id, n.name, n.cluster_id, n.machine_id, n.role, n.health, n.health_reason
   FROM cluster AS c JOIN cluster_node AS n ON n.cluster_id = c.id
   WHERE c.id = ANY($1) AND c.lifecycle = 'PRESENT' AND n.phase = 'JOINED' AND (n.role = 'CONTROL' OR n.health = 'UNKNOWN')
   ORDER BY n.cluster_id, n.id`,
);

export const findVisibleNodes = statement<ClusterNodeRow, [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]>(
  'cluster_node.find_visible',
  `SELECT ${COLUMNS} FROM cluster_node AS n WHERE ${visible('n', 1)} AND n.id = ANY($4)`,
);

export const clusterNodes = keysetList<
  ClusterNodeRow,
  [
    all: boolean,
    tenantIds: string[],
    projectIds: string[],
    clusterId: string | null,
    poolId: string | null,
    role: string | null,
    health: string | null,
  ]
>(
  'cluster_node.list',
  `SELECT ${COLUMNS} FROM cluster_node AS n
   WHERE ${visible('n', 1)} AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
     AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)`,
  7,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export const setNodePhase = statement<never, [machineIds: string[], phase: NodePhase]>(
  'cluster_node.set_phase',
  `UPDATE cluster_node AS n SET phase = $2
   FROM (SELECT id FROM cluster_node WHERE machine_id = ANY($1) AND phase <> $2 ORDER BY id FOR UPDATE) AS locked
   WHERE n.id = locked.id`,
);

/** The same, of those that are at another one now; the others stay what they are. */
export const moveNodePhase = statement<never, [machineIds: string[], from: NodePhase, to: NodePhase]>(
  'cluster_node.move_phase',
  `UPDATE cluster_node AS n SET phase = $3
   FROM (SELECT id FROM cluster_node WHERE machine_id = ANY($1) AND phase = $2 ORDER BY id FOR UPDATE) AS locked
   WHERE n.id = locked.id`,
);

/**
 * What was seen, for as long as it must hold; writes only what differs, so that looking costs no events, and nothing of a node
 * that has changed since the look has read its `revision`, if that is given: it was moved, or has left.
 */
export const setNodeHealth = statement<never, [observations: string]>(
  'cluster_node.set_health',
  `UPDATE cluster_node AS n SET health = seen.health, health_reason = seen.reason, health_since = seen.since
   FROM (
     SELECT n.id, o.health, o.reason, o.since FROM cluster_node AS n
     JOIN jsonb_to_recordset($1::jsonb) AS o (id text, health text, reason text, since timestamptz, revision bigint) ON o.id = n.id
     WHERE (n.health <> o.health OR n.health_reason <> o.reason) AND n.revision = coalesce(o.revision, n.revision)
     ORDER BY n.id FOR UPDATE OF n
   ) AS seen
   WHERE n.id = seen.id`,
);

/** Whatever was seen of it before holds no more, and no time counts from then; but for what is known of its host. */
export const markNodeUnseen = statement<{ cluster_id: string }, [machineId: string]>(
  'cluster_node.mark_unseen',
  `WITH marked AS (
     UPDATE cluster_node SET health = 'UNKNOWN', health_reason = 'NOT_OBSERVED', health_since = now()
     WHERE machine_id = $1 AND phase = 'JOINED' AND health NOT IN ('LOST', 'UNREACHABLE')
   )
   SELECT cluster_id FROM cluster_node WHERE machine_id = $1`,
);

export const removeNodes = statement<never, [machineIds: string[]]>(
  'cluster_node.remove',
  `DELETE FROM cluster_node WHERE id IN (
     SELECT id FROM cluster_node WHERE machine_id = ANY($1) ORDER BY id FOR UPDATE)`,
);

export interface NodeCountRow {
  pool_id: string;
  total: number;
  ready: number;
}

export const countNodesOfPools = statement<NodeCountRow, [poolIds: string[]]>(
  'cluster_node.count_of_pools',
  `SELECT pool_id, count(*) AS total, count(*) FILTER (WHERE phase = 'JOINED' AND health = 'READY') AS ready
   FROM cluster_node WHERE pool_id = ANY($1) GROUP BY pool_id`,
);
