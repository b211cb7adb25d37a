import { ClusterService, findNodePoolsOfClusters, findNodesOfClusters, NodePoolService } from '#clusters';
import type { Stage } from '../bench/lane.js';
import { BaseSpent, type Scenario } from '../scenario.js';
import { startExternalNetwork } from './edge.js';
import { finished, startedBy, unique, type Made } from './material.js';

/** The smallest that there is: one control node, and a pool with one worker. */
async function startCluster(stage: Stage, kind: 'KUBERNETES' | 'SWARM' = 'KUBERNETES', externalNetwork?: string): Promise<Made> {
  const { bench, projectId, flavors, clusterVersions } = stage;
  const input = {
    projectId,
    name: unique('cluster'),
    kind,
    version: clusterVersions[kind],
    ...(externalNetwork === undefined ? {} : { externalNetwork }),
    controlPlane: { count: 1 as const, flavor: flavors.small },
    nodePools: [{ name: 'workers', flavor: flavors.small, count: 1 }],
  };
  return startedBy(await bench.service(ClusterService).create(bench.access, input));
}

/** Many clusters one beside the other, with the outside that they are reached from. */
const ground = { key: 'ground', make: async (stage: Stage) => finished(stage, await startExternalNetwork(stage)) };
const cluster = { key: 'cluster', make: async (stage: Stage) => finished(stage, await startCluster(stage)) };
/** Whose nodes join by tokens that it makes itself, and which are to be worthless afterwards. */
const swarm = { key: 'swarm', make: async (stage: Stage) => finished(stage, await startCluster(stage, 'SWARM')) };
const tokenStays = { part: 'undo-invite', method: 'runInGuest', because: 'a token that could not be made worthless is by the next operation that adds nodes' };

/** A cluster has at most twenty. */
const MOST_POOLS = 18;

async function startPool(stage: Stage, clusterId: string, count: number): Promise<Made> {
  const { bench, flavors } = stage;
  const input = { clusterId, name: unique('pool'), flavor: flavors.small, count };
  return startedBy(await bench.service(NodePoolService).create(bench.access, input));
}

async function requireRoom(stage: Stage, clusterId: string): Promise<void> {
  const pools = await stage.bench.database.rows(findNodePoolsOfClusters, [clusterId]);
  if (pools.length >= MOST_POOLS) throw new BaseSpent();
}

/** Pools of the cluster are its own: the operation's resource is the pool. */
async function newestPool(stage: Stage, clusterId: string): Promise<string> {
  const pools = await stage.bench.database.rows(findNodePoolsOfClusters, [clusterId]);
  return pools.sort((one, other) => (one.id < other.id ? -1 : 1)).at(-1)?.id ?? '';
}

async function makePool(stage: Stage, clusterId: string, count: number): Promise<string> {
  await requireRoom(stage, clusterId);
  await finished(stage, await startPool(stage, clusterId, count));
  return newestPool(stage, clusterId);
}

export const clusterScenarios: readonly Scenario[] = [
  {
    kind: 'clusters.cluster.create',
    base: ground,
    prepare: async (stage, outside) => ({ submit: async () => (await startCluster(stage, 'KUBERNETES', outside as string)).operationId }),
  },
  {
    kind: 'clusters.cluster.delete',
    base: ground,
    async prepare(stage, outside) {
      const { bench } = stage;
      const id = await finished(stage, await startCluster(stage, 'KUBERNETES', outside as string));
      return { submit: async () => startedBy(await bench.service(ClusterService).delete(bench.access, id)).operationId };
    },
  },
  {
    kind: 'clusters.cluster.heal',
    base: swarm,
    bears: [tokenStays, { part: 'forget-lost', method: 'runInGuest', because: 'a worker that is gone is only a wrong entry in a list' }],
    async prepare(stage, clusterId) {
      const { bench } = stage;
      const nodes = await bench.database.rows(findNodesOfClusters, [clusterId as string]);
      const worker = nodes.find((node) => node.role === 'WORKER');
      // Healing that failed has taken the old one away and the new one back.
      if (worker === undefined) throw new BaseSpent();
      return { submit: async () => startedBy(await bench.service(ClusterService).replaceNode(bench.access, worker.id)).operationId };
    },
  },
  {
    kind: 'clusters.node_pool.create',
    base: cluster,
    async prepare(stage, clusterId) {
      await requireRoom(stage, clusterId as string);
      return { submit: async () => (await startPool(stage, clusterId as string, 1)).operationId };
    },
  },
  {
    kind: 'clusters.node_pool.grow',
    base: swarm,
    bears: [tokenStays],
    async prepare(stage, clusterId) {
      const { bench } = stage;
      const id = await makePool(stage, clusterId as string, 0);
      return { submit: async () => startedBy(await bench.service(NodePoolService).scale(bench.access, { id, count: 1 })).operationId };
    },
  },
  {
    kind: 'clusters.node_pool.shrink',
    base: cluster,
    async prepare(stage, clusterId) {
      const { bench } = stage;
      const id = await makePool(stage, clusterId as string, 1);
      return { submit: async () => startedBy(await bench.service(NodePoolService).scale(bench.access, { id, count: 0 })).operationId };
    },
  },
  {
    kind: 'clusters.node_pool.delete',
    base: cluster,
    async prepare(stage, clusterId) {
      const { bench } = stage;
      const id = await makePool(stage, clusterId as string, 1);
      return { submit: async () => startedBy(await bench.service(NodePoolService).delete(bench.access, id)).operationId };
    },
  },
];
