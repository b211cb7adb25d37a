import { MuonError, parseInput, type JsonValue } from '#core';
import { findVirtualMachinesOfOwners } from '#compute';
import { defineOperation, done, fanOut, keep, UNDO_ALL, type OperationKind, type StepContext } from '#operations';
import { childOn, MACHINE_DELETE, type ClusterTools } from '../node/node-steps.js';
import { removeUnusedClusterVersions } from '../version/cluster-version.sql.js';
import { clusterInput, type ClusterInput } from './cluster-create.operation.js';
import { freeOwnNetwork, releaseCluster } from './cluster-ends.js';
import { inTurn } from './cluster-edge.js';
import { remainsOf, surveyCluster, surveySchema, type Remain, type Survey } from './cluster-remains.js';
import type { ClusterRow } from './cluster.js';
import { clusterKept, findClusters, removeCluster } from './cluster.sql.js';

export const CLUSTER_DELETE = 'clusters.cluster.delete';

const DEADLINE_MS = 60 * 60_000;
const MAX_SHOWN_REMAINS = 50;

/**
 * Takes a cluster away with everything that was made for it. Nothing of it is needed alive: it goes on past dead nodes, and
 * ends with the proof that nothing is left, or rests with the exact list of what is.
 */
export function deleteClusterOperation(tools: ClusterTools): OperationKind<ClusterInput> {
  const cluster = async (context: StepContext<ClusterInput>): Promise<ClusterRow | undefined> => {
    const [row] = await context.reader.rows(findClusters, [context.operation.input.clusterId]);
    return row;
  };
  const deletions = async (context: StepContext<ClusterInput>) => {
    const machines = await context.reader.rows(findVirtualMachinesOfOwners, [context.operation.input.clusterId]);
    return machines.map((machine) => childOn(MACHINE_DELETE, machine.id, machine.backend_id));
  };
  return defineOperation<ClusterInput>({
    kind: CLUSTER_DELETE,
    version: 1,
    input: clusterInput,
    deadlineMs: DEADLINE_MS,
    steps: [
      {
        name: 'survey',
        run: async (context) => {
          const row = await cluster(context);
          const none: Survey = { machines: [], ports: [], disks: [], loadBalancers: [], networks: [], routers: [], floatingIps: [] };
          const survey = row === undefined ? none : await surveyCluster(context.reader, row);
          return done({ output: survey as unknown as JsonValue });
        },
      },
      {
        name: 'load-balancer',
        pivot: true,
        run: async (context) => {
          const { floatingIps, loadBalancers } = surveyOf(context);
          return inTurn([
            () => tools.networks.edge.removeFloatingIps(context, floatingIps),
            () => tools.networks.removeLoadBalancers(context, loadBalancers),
          ]);
        },
      },
      { name: 'machines', run: async (context) => fanOut({ children: await deletions(context), policy: keep(0) }) },
      // Usually none: those whose deletion an operator gave up, once more, and then it rests until he decides.
      { name: 'remaining-machines', run: async (context) => fanOut({ children: await deletions(context), policy: UNDO_ALL }) },
      {
        name: 'network',
        run: async (context) => {
          const row = await cluster(context);
          const free = row === undefined ? null : await freeOwnNetwork(context.reader, row);
          return inTurn([
            () => tools.networks.edge.removeRouters(context, surveyOf(context).routers),
            () => tools.networks.removeNetworks(context, free === null ? [] : [free]),
          ]);
        },
      },
      {
        name: 'prove',
        run: async (context) => {
          // These go with the cluster's own row, in the transaction that ends this.
          const survey = { ...surveyOf(context), loadBalancers: [], networks: [], routers: [], floatingIps: [] };
          refuseRemains(await remainsOf(context.reader, context.operation.input.clusterId, survey));
          const { machines, ports, disks, loadBalancers } = surveyOf(context);
          const removed = { machines: machines.length, ports: ports.length, disks: disks.length, loadBalancers: loadBalancers.length };
          return done({ output: { proof: { removed, left: 0 } } });
        },
      },
    ],
    async onSucceeded(transaction, { operation, outputs, apply }) {
      const { clusterId } = operation.input;
      const [row] = await transaction.rows(findClusters, [clusterId]);
      if (row === undefined) return;
      const free = await freeOwnNetwork(transaction, row);
      await transaction.execute(removeCluster, clusterId);
      await releaseCluster(transaction, row, apply, tools.secrets);
      const survey = { ...surveyFrom(outputs.survey), networks: free === null ? [] : [free] };
      refuseRemains(await remainsOf(transaction, clusterId, survey));
      await transaction.rows(removeUnusedClusterVersions);
    },
    async onFailed(transaction, { operation, error, abandoned }) {
      const failure = abandoned === null ? null : JSON.stringify(error);
      await transaction.execute(clusterKept, operation.input.clusterId, failure);
    },
  });
}

function surveyOf(context: StepContext<ClusterInput>): Survey {
  return surveyFrom(context.outputs.survey);
}

function surveyFrom(output: JsonValue | undefined): Survey {
  return parseInput(surveySchema, output, 'survey');
}

/** @throws INVALID_STATE, the operator's to solve, with the exact list */
function refuseRemains(left: readonly Remain[]): void {
  if (left.length === 0) return;
  throw new MuonError('INVALID_STATE', `${left.length} things of the cluster are still there.`, {
    fault: 'OPERATOR',
    data: { count: left.length, left: left.slice(0, MAX_SHOWN_REMAINS).map((remain) => ({ ...remain })) },
  });
}
