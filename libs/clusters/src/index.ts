import type { OperationKind } from '#operations';
import { createClusterOperation } from './cluster/cluster-create.operation.js';
import { deleteClusterOperation } from './cluster/cluster-delete.operation.js';
import { healClusterOperation } from './cluster/cluster-heal.operation.js';
import type { ClusterTools } from './node/node-steps.js';
import { createPoolOperation, growPoolOperation } from './node-pool/node-pool-grow.operations.js';
import { deletePoolOperation, shrinkPoolOperation } from './node-pool/node-pool-shrink.operations.js';

export * from './blueprint/blueprint.js';
export { blueprintOf } from './blueprint/blueprints.js';
export { blockers, findRootCauses, type BlockersOptions, type RootCause } from './blockers/blockers.js';
export * from './cluster/cluster.js';
export { ClusterContents } from './cluster/cluster-contents.js';
export {
  ClusterService,
  type ClusterChangeOptions,
  type CreateClusterInput,
  type DockerBundle,
  type DockerBundleResult,
  type KubeconfigResult,
} from './cluster/cluster.service.js';
export { clusters, findClusterByName, findClusters } from './cluster/cluster.sql.js';
export { clusterExpiry } from './cluster/expiry.reconciler.js';
export { GuestRunner, type GuestRunnerOptions } from './guest/guest-runner.js';
export { ConditionReason, ConditionType, type ClusterCondition } from './health/conditions.js';
export { clusterHealth, CLUSTER_HEALTH, type ClusterHealthOptions } from './health/health.reconciler.js';
export { ClusterHostListener } from './health/host-listener.js';
export * from './node/cluster-node.js';
export { clusterNodes, findClusterNodes, findNodesOfClusters, findNodesOfMachines } from './node/cluster-node.sql.js';
export { clusterNodeOwners } from './node/node-owner.js';
export type { ClusterTools } from './node/node-steps.js';
export * from './node-pool/node-pool.js';
export {
  NodePoolService,
  type CreateNodePoolInput,
  type NodePoolChangeOptions,
  type ScaleNodePoolInput,
} from './node-pool/node-pool.service.js';
export { findNodePools, findNodePoolsOfClusters, nodePools } from './node-pool/node-pool.sql.js';
export { clustersRoom } from './room.js';
export * from './version/cluster-version.js';
export { ClusterVersionService, type CreateClusterVersionInput } from './version/cluster-version.service.js';
export { clusterVersions, findClusterVersions } from './version/cluster-version.sql.js';

/** Every kind of operation of this room, for the registry of whoever submits or runs them. */
export function clusterOperations(tools: ClusterTools): OperationKind<unknown>[] {
  return [
    createClusterOperation(tools),
    deleteClusterOperation(tools),
    healClusterOperation(tools),
    createPoolOperation(tools),
    growPoolOperation(tools),
    shrinkPoolOperation(tools),
    deletePoolOperation(tools),
  ] as OperationKind<unknown>[];
}
