import { z } from 'zod';
import { MuonError } from '#core';
import { ROWS, type ChangeSet } from '#database';
import { defineOperation, done, lockResources, type OperationKind, type ReadmitContext, type StepContext } from '#operations';
import { readOneCluster, type NodeFacts } from '../guest/cluster-facts.js';
import { findNodesOfClusters } from '../node/cluster-node.sql.js';
import { awaitReady, closeJoining, dropToken, everyNode, initialise, invite, join, machinesStep, nobody, type ClusterTools } from '../node/node-steps.js';
import { poolsOfClusterFailed, poolsOfClusterMade } from '../node-pool/node-pool.sql.js';
import { conditionsNow, failureOf, freeOwnNetwork, releaseCluster, removeUnmadeNodes } from './cluster-ends.js';
import { edgeOf, inTurn } from './cluster-edge.js';
import { planTree } from './cluster-plan.js';
import { lockScopes, requireActiveScopes, shapeOfStored } from './cluster-resolve.js';
import { clusterFailed, clusterMade, findClusters, setClusterSecrets } from './cluster.sql.js';

export const CLUSTER_CREATE = 'clusters.cluster.create';

export const clusterInput = z.strictObject({ clusterId: z.string() });
export type ClusterInput = z.output<typeof clusterInput>;

const MINUTE_MS = 60_000;

/** Makes what admission has planned: secrets, network, load balancer, machines, and of the machines a cluster. */
export function createClusterOperation(tools: ClusterTools): OperationKind<ClusterInput> {
  const facts = async (context: StepContext<ClusterInput>) => readOneCluster(context.reader, context.operation.input.clusterId);
  return defineOperation<ClusterInput>({
    kind: CLUSTER_CREATE,
    version: 1,
    input: clusterInput,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      credentialsStep(tools),
      {
        name: 'network',
        run: async (context) => {
          const { row } = await facts(context);
          const { routers } = await edgeOf(context.reader, row.id);
          const own = row.owns_network && row.network_id !== null ? [row.network_id] : [];
          return inTurn([() => tools.networks.ensureNetworks(context, own), () => tools.networks.edge.ensureRouters(context, routers)]);
        },
        undo: async (context) => {
          const { row } = await facts(context);
          const { routers } = await edgeOf(context.reader, row.id);
          const free = await freeOwnNetwork(context.reader, row);
          return tools.networks.removeInTurn(context, [
            (options) => tools.networks.edge.removeRouters(context, routers, options),
            (options) => tools.networks.removeNetworks(context, free === null ? [] : [free], options),
          ]);
        },
      },
      {
        name: 'load-balancer',
        run: async (context) => {
          const { row } = await facts(context);
          const { floatingIps } = await edgeOf(context.reader, row.id);
          return inTurn([
            () => tools.networks.ensureLoadBalancers(context, balancerOf(row)),
            () => tools.networks.edge.ensureFloatingIps(context, floatingIps),
          ]);
        },
        undo: async (context) => {
          const { row } = await facts(context);
          const { floatingIps } = await edgeOf(context.reader, row.id);
          return tools.networks.removeInTurn(context, [
            (options) => tools.networks.edge.removeFloatingIps(context, floatingIps, options),
            (options) => tools.networks.removeLoadBalancers(context, balancerOf(row), options),
          ]);
        },
      },
      machinesStep<ClusterInput>(async (context): Promise<NodeFacts[]> => (await facts(context)).nodes),
      { name: 'initialise', run: async (context) => initialise(tools, context, await facts(context)) },
      {
        name: 'invite',
        run: async (context) => {
          const cluster = await facts(context);
          // The first control node lets others join by a token that was there before it.
          return cluster.row.join_secret === null ? invite(tools, context, cluster, nobody) : done();
        },
      },
      { name: 'join-controls', run: async (context) => join(tools, context, await facts(context), 'CONTROL', everyNode) },
      { name: 'join-workers', run: async (context) => join(tools, context, await facts(context), 'WORKER', everyNode) },
      { name: 'close-joining', run: async (context) => closeJoining(tools, context, await facts(context), everyNode) },
      { name: 'ready', run: async (context) => awaitReady(tools, context, await facts(context), everyNode) },
    ],
    async onSucceeded(transaction, { operation, apply }) {
      const { clusterId } = operation.input;
      const [row] = await transaction.rows(findClusters, [clusterId]);
      if (row === undefined) return;
      await transaction.execute(poolsOfClusterMade, clusterId);
      await transaction.execute(clusterMade, clusterId, JSON.stringify(await conditionsNow(transaction, clusterId, false)));
      await dropToken(tools, { row })(transaction, apply);
    },
    async onFailed(transaction, { operation, error, apply }) {
      const { clusterId } = operation.input;
      const [row] = await transaction.rows(findClusters, [clusterId]);
      if (row === undefined) return;
      const failure = JSON.stringify(failureOf(error, 'The making of the cluster'));
      const nodes = await transaction.rows(findNodesOfClusters, [clusterId]);
      await transaction.execute(poolsOfClusterFailed, clusterId, failure);
      await transaction.execute(clusterFailed, clusterId, failure);
      await removeUnmadeNodes(transaction, clusterId, nodes.map((node) => node.machine_id), apply);
      await releaseCluster(transaction, row, apply, tools.secrets);
    },
    readmit: (context) => readmitCluster(tools, context),
  });
}

function credentialsStep(tools: ClusterTools): OperationKind<ClusterInput>['steps'][number] {
  return {
    name: 'credentials',
    run: async (context) => {
      const { row, blueprint } = await readOneCluster(context.reader, context.operation.input.clusterId);
      const owner = { ownerId: row.id, tenantId: row.tenant_id, projectId: row.project_id };
      const token = blueprint.createJoinToken();
      const sealed = [
        await tools.secrets.seal({ ...owner, purpose: 'cluster.foundation', value: await blueprint.createSecrets() }),
        ...(token === null ? [] : [await tools.secrets.seal({ ...owner, purpose: 'cluster.join', value: token })]),
      ];
      return done({
        commit: async (transaction) => {
          const [foundation = null, join = null] = await tools.secrets.putAll(transaction, sealed);
          await transaction.execute(setClusterSecrets, row.id, foundation, join);
        },
      });
    },
    undo: async (context) => {
      const { clusterId } = context.operation.input;
      return done({
        commit: async (transaction) => {
          await transaction.execute(setClusterSecrets, clusterId, null, null);
          await tools.secrets.removeOwnedBy(transaction, [clusterId]);
        },
      });
    },
  };
}

function balancerOf(row: { load_balancer_id: string | null }): string[] {
  return row.load_balancer_id === null ? [] : [row.load_balancer_id];
}

/** A failed cluster holds only names: everything is planned anew for it. */
async function readmitCluster(tools: ClusterTools, { operation, reader }: ReadmitContext<ClusterInput>): Promise<ChangeSet> {
  const [row] = await reader.rows(findClusters, [operation.input.clusterId]);
  if (row === undefined || row.lifecycle !== 'FAILED') {
    throw new MuonError('INVALID_STATE', 'Only a cluster whose making has failed can be made again.');
  }
  const place = { tenantId: row.tenant_id, projectId: row.project_id };
  await requireActiveScopes(reader, place);
  const left = await reader.rows(findNodesOfClusters, [row.id]);
  if (left.length > 0) throw new MuonError('INVALID_STATE', 'Machines of the last attempt were given up and are still there; delete the cluster instead.');
  const { shape, pools } = await shapeOfStored(reader, row);
  const { changes, ...tree } = await planTree(reader, null, tools, shape);
  const [problem] = changes.problems;
  if (problem !== undefined) throw MuonError.fromRecord(problem);
  changes.add(ROWS, {
    table: 'cluster',
    update: {
      lifecycle: 'CREATING',
      failure: null,
      network_id: tree.networkId,
      load_balancer_id: tree.loadBalancerId,
      control_group_id: tree.controlGroupId,
      worker_group_id: tree.workerGroupId,
    },
    id: row.id,
    version: row.version,
  });
  for (const pool of pools) {
    changes.add(ROWS, { table: 'node_pool', update: { lifecycle: 'CREATING', failure: null }, id: pool.id, version: pool.version });
  }
  lockScopes(changes, place, 'ACTIVE');
  lockResources(changes, operation.id, tree.lockIds);
  return changes;
}
