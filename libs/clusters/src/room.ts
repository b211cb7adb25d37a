import type { RoomSchema } from '#database';
import { ClusterEntity, ClusterObservationEntity } from './cluster/cluster.entity.js';
import { Clusters1764001300000 } from './migrations/1764001300000-clusters.js';
import { ClustersOutside1764408000000 } from './migrations/1764408000000-clusters-outside.js';
import { ClusterNodeEntity } from './node/cluster-node.entity.js';
import { NodePoolEntity } from './node-pool/node-pool.entity.js';
import { ClusterVersionEntity } from './version/cluster-version.entity.js';

export const clustersRoom: RoomSchema = {
  name: 'clusters',
  entities: [ClusterVersionEntity, ClusterEntity, ClusterObservationEntity, NodePoolEntity, ClusterNodeEntity],
  migrations: [Clusters1764001300000, ClustersOutside1764408000000],
};
