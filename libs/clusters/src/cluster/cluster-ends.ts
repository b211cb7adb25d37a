import { MuonError, type ErrorRecord } from '#core';
import { findAffinityGroups, findVirtualMachines, findVirtualMachinesOfOwners, planAffinityGroupRemoval, removeUnmadeMachines } from '#compute';
import { ChangeSet, type Reader, type Transaction } from '#database';
import { countNetworkUsers, findLoadBalancersOfOwners, findPortsOfOwners, findRoutersOfNetworks, planFloatingIpRemoval, planLoadBalancerRemoval, planNetworkRemoval, planRouterRemoval } from '#network';
import type { ApplyChanges } from '#operations';
import { CHARGES } from '#quota';
import type { SecretService } from '#secrets';
import { foldConditions, nodeConditions, type ClusterCondition, type ConditionNow } from '../health/conditions.js';
import { hastenObservations } from '../health/observation.sql.js';
import { findNodesOfClusters, removeNodes } from '../node/cluster-node.sql.js';
import { findNodePoolsOfClusters } from '../node-pool/node-pool.sql.js';
import { edgeOf } from './cluster-edge.js';
import type { ClusterRow } from './cluster.js';
import { dropToken, type ClusterTools } from '../node/node-steps.js';
import { findClusters, setClusterConditions } from './cluster.sql.js';

/** What is shown of something that was called off. */
export function failureOf(error: ErrorRecord | null, what: string): ErrorRecord {
  return error ?? new MuonError('CANCELLED', `${what} was cancelled.`).toRecord();
}

/**
 * Takes away machines that were never made, or taken back, and the nodes that stood for them. Nodes whose machine is still
 * there stay, so that a deletion finds them: an operator had given up on taking those back.
 */
export async function removeUnmadeNodes(
  transaction: Transaction,
  clusterId: string,
  machineIds: readonly string[],
  apply: ApplyChanges,
): Promise<void> {
  await removeUnmadeMachines(transaction, machineIds, apply);
  const left = new Set((await transaction.rows(findVirtualMachinesOfOwners, [clusterId])).map((machine) => machine.id));
  await transaction.execute(removeNodes, machineIds.filter((id) => !left.has(id)));
}

/** Takes away what was made for a cluster beside its machines: load balancer, groups, network, secrets, and its charge. */
export async function releaseCluster(
  transaction: Transaction,
  cluster: ClusterRow,
  apply: ApplyChanges,
  secrets: SecretService,
): Promise<void> {
  const changes = new ChangeSet();
  const edge = await edgeOf(transaction, cluster.id);
  changes.include(planFloatingIpRemoval(edge.floatingIps)).include(planRouterRemoval(edge.routers));
  const balancers = await transaction.rows(findLoadBalancersOfOwners, [cluster.id]);
  changes.include(planLoadBalancerRemoval(balancers.map((balancer) => balancer.id)));
  const machines = await transaction.rows(findVirtualMachinesOfOwners, [cluster.id]);
  if (machines.length === 0) {
    const groupIds = [cluster.control_group_id, cluster.worker_group_id].flatMap((id) => id ?? []);
    changes.include(planAffinityGroupRemoval(await transaction.rows(findAffinityGroups, groupIds)));
  }
  const ownNetwork = await freeOwnNetwork(transaction, cluster);
  if (ownNetwork !== null) changes.include(planNetworkRemoval([ownNetwork]));
  changes.add(CHARGES, { action: 'REFUND', resourceId: cluster.id });
  await apply(changes);
  await secrets.removeOwnedBy(transaction, [cluster.id]);
}

/**
 * The network that was made for the cluster, when nobody else has come to use it. Otherwise it stays and is an ordinary
 * network of the project from then on.
 */
export async function freeOwnNetwork(reader: Reader, cluster: ClusterRow): Promise<string | null> {
  if (!cluster.owns_network || cluster.network_id === null) return null;
  const { id, network_id: networkId } = cluster;
  const users = await reader.first(countNetworkUsers, [networkId]);
  const machines = (await reader.rows(findVirtualMachinesOfOwners, [id])).map((machine) => machine.id);
  const own = [...(await reader.rows(findPortsOfOwners, machines)), ...(await reader.rows(findLoadBalancersOfOwners, [id]))];
  const others = (users?.ports ?? 0) + (users?.load_balancers ?? 0) - own.filter((part) => part.network_id === networkId).length;
  const routers = new Set((await edgeOf(reader, id)).routers);
  const foreign = (await reader.rows(findRoutersOfNetworks, [networkId])).some((row) => !routers.has(row.router_id));
  return others > 0 || foreign ? null : networkId;
}

/**
 * The conditions as they are now: after an operation has changed the nodes, or after a look.
 * @param isChanging whether an operation changes the cluster, and goes on with it
 * @param healable what the look has decided; otherwise what was decided last holds on
 */
export async function conditionsNow(reader: Reader, clusterId: string, isChanging: boolean, healable?: ConditionNow): Promise<ClusterCondition[]> {
  const [cluster] = await reader.rows(findClusters, [clusterId]);
  const nodes = await reader.rows(findNodesOfClusters, [clusterId]);
  const pools = await reader.rows(findNodePoolsOfClusters, [clusterId]);
  if (cluster === undefined) return [];
  const workers = pools.reduce((sum, pool) => sum + (pool.lifecycle === 'FAILED' ? 0 : pool.count), 0);
  const machines = await reader.rows(findVirtualMachines, nodes.filter((node) => node.role === 'CONTROL').map((node) => node.machine_id));
  const hosts = new Map(machines.map((machine) => [machine.id, machine.host_id]));
  const placed = nodes.map((node) => ({ ...node, hostId: hosts.get(node.machine_id) ?? null }));
  const now = nodeConditions(placed, { controls: cluster.control_count, workers, isChanging });
  const last = cluster.conditions.find((condition) => condition.type === 'HEALABLE');
  const nothing = { type: 'HEALABLE', status: 'TRUE', reason: 'NOTHING_TO_HEAL', message: 'No node needs to be replaced.' } as const;
  return foldConditions(cluster.conditions, [...now, healable ?? last ?? nothing], new Date());
}

/** What an operation on a cluster that exists leaves behind, however it ends: no token, and true conditions. */
export async function settleCluster(tools: ClusterTools, transaction: Transaction, clusterId: string, apply: ApplyChanges): Promise<void> {
  const [row] = await transaction.rows(findClusters, [clusterId]);
  if (row === undefined) return;
  await dropToken(tools, { row })(transaction, apply);
  await transaction.execute(setClusterConditions, clusterId, JSON.stringify(await conditionsNow(transaction, clusterId, false)));
  // Healing may have waited for it.
  await transaction.execute(hastenObservations, [clusterId]);
}

/** Of nodes whose deletion has begun, the rows of those whose machines are really gone. */
export async function dropDeletedNodes(transaction: Transaction, machineIds: readonly string[]): Promise<void> {
  const left = new Set((await transaction.rows(findVirtualMachines, [...machineIds])).map((machine) => machine.id));
  await transaction.execute(removeNodes, machineIds.filter((id) => !left.has(id)));
}
