import { findVirtualMachinesOfOwners } from '#compute';
import { ChangeSet, ROWS, type Reader } from '#database';
import { findFloatingIpsOfOwners, findLoadBalancersOfOwners, findNetworks, findRoutersOfOwners } from '#network';
import { operationId, OPERATIONS, succeedResources } from '#operations';
import { findNodePoolsOfClusters } from '../node-pool/node-pool.sql.js';
import { lockIdsOfMachines } from '../node-pool/node-pool-plan.js';
import { edgeOf } from './cluster-edge.js';
import { CLUSTER_DELETE } from './cluster-delete.operation.js';
import { lockScopes } from './cluster-resolve.js';
import { clusterId, type ClusterRow } from './cluster.js';

/**
 * Plans the deletion of a cluster: whoever holds anything of it is asked to cancel, and it runs next. Rights are the
 * caller's to prove.
 */
export async function planClusterDeletion(reader: Reader, cluster: ClusterRow): Promise<ChangeSet> {
  const { id, name, tenant_id: tenantId, project_id: projectId } = cluster;
  const machines = await reader.rows(findVirtualMachinesOfOwners, [id]);
  const pools = await reader.rows(findNodePoolsOfClusters, [id]);
  const parts = [cluster.load_balancer_id, cluster.control_group_id, cluster.worker_group_id, cluster.owns_network ? cluster.network_id : null];
  const edge = await edgeOf(reader, id);
  const changes = new ChangeSet();
  const operation = operationId.create();
  succeedResources(changes, operation, [
    id,
    ...parts.flatMap((part) => part ?? []),
    ...edge.routers,
    ...edge.floatingIps,
    ...pools.map((pool) => pool.id),
    ...(await lockIdsOfMachines(reader, machines.map((machine) => machine.id))),
  ]);
  lockScopes(changes, { tenantId, projectId }, 'EXISTING');
  changes.add(ROWS, { table: 'cluster', update: { lifecycle: 'DELETING' }, id, version: cluster.version });
  changes.add(OPERATIONS, { id: operation, kind: CLUSTER_DELETE, resourceKind: clusterId.prefix, resourceId: id, tenantId, projectId, input: { clusterId: id } });
  changes.resources.push({ action: 'DELETE', kind: 'cluster', id, name, data: { machines: machines.length } });
  const goes = (kind: string, rows: readonly { id: string; name: string }[]): void => {
    for (const row of rows) changes.resources.push({ action: 'DELETE', kind, id: row.id, name: row.name });
  };
  // In the order in which they go; ports and disks go with their machines.
  goes('floating ip', await reader.rows(findFloatingIpsOfOwners, [id]));
  goes('load balancer', await reader.rows(findLoadBalancersOfOwners, [id]));
  goes('virtual machine', machines);
  goes('router', await reader.rows(findRoutersOfOwners, [id]));
  goes('network', await reader.rows(findNetworks, cluster.owns_network && cluster.network_id !== null ? [cluster.network_id] : []));
  goes('node pool', pools);
  changes.result = { id, operationId: operation };
  return changes;
}
