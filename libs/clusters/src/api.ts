import { ClusterMutations } from './cluster/cluster-mutations.graphql.js';
import { ClusterResolver } from './cluster/cluster-resolver.graphql.js';
import { ClusterNodeResolver } from './node/node-resolver.graphql.js';
import { NodePoolResolver } from './node-pool/node-pool-resolver.graphql.js';
import { ClusterVersionResolver } from './version/cluster-version.graphql.js';

export { Cluster, loadCluster } from './cluster/cluster.graphql.js';

/** They ask for Database, EventFeed, ClusterService, NodePoolService and ClusterVersionService. */
export const clustersResolvers = [ClusterResolver, ClusterMutations, NodePoolResolver, ClusterNodeResolver, ClusterVersionResolver];
