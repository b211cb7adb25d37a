import { ChangeSet, statement, type Reader } from '#database';
import { ContentsOrder, type GoingScope, type ScopeContent, type ScopeContents } from '#tenancy';
import { planClusterDeletion } from './cluster-delete-plan.js';
import { findClusters } from './cluster.sql.js';

const IN_SCOPE = 'tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)';

const countInScope = statement<{ clusters: number }, [tenantId: string, projectId: string | null]>(
  'cluster.count_in_scope',
  `SELECT count(*) AS clusters FROM cluster WHERE ${IN_SCOPE}`,
);

const listInScope = statement<ScopeContent, [tenantId: string, projectId: string | null, limit: number]>(
  'cluster.list_in_scope',
  `SELECT id, name FROM cluster WHERE ${IN_SCOPE} ORDER BY id LIMIT $3::int`,
);

const listToDelete = statement<{ id: string }, [tenantId: string, projectId: string | null, limit: number]>(
  'cluster.list_to_delete',
  `SELECT id FROM cluster WHERE ${IN_SCOPE} AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int`,
);

/** Clusters go before the machines, load balancers and networks that they stand on. */
export class ClusterContents implements ScopeContents {
  readonly kind = 'cluster';
  readonly order = ContentsOrder.CLUSTER;

  async count(reader: Reader, scope: GoingScope): Promise<number> {
    return (await reader.first(countInScope, scope.tenantId, scope.projectId))?.clusters ?? 0;
  }

  async list(reader: Reader, scope: GoingScope, limit: number): Promise<ScopeContent[]> {
    return reader.rows(listInScope, scope.tenantId, scope.projectId, limit);
  }

  async planDeletion(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
    const ids = (await reader.rows(listToDelete, scope.tenantId, scope.projectId, limit)).map((row) => row.id);
    const changes = new ChangeSet();
    for (const cluster of await reader.rows(findClusters, ids)) changes.include(await planClusterDeletion(reader, cluster));
    return changes;
  }
}
