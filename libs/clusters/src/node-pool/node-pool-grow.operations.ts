import { z } from 'zod';
import { MuonError, type ErrorRecord } from '#core';
import { ROWS, type ChangeSet } from '#database';
import { defineOperation, lockResources, type OperationKind, type OperationStep, type ReadmitContext, type StepContext } from '#operations';
import { failureOf, removeUnmadeNodes, settleCluster } from '../cluster/cluster-ends.js';
import { lockScopes, requireActiveScopes } from '../cluster/cluster-resolve.js';
import { findClusters } from '../cluster/cluster.sql.js';
import { readOneCluster } from '../guest/cluster-facts.js';
import {
  awaitReady,
  closeJoining,
  inviteStep,
  join,
  machinesStep,
  ofMachines,
  tokenStep,
  type ClusterTools,
} from '../node/node-steps.js';
import { findNodesOfClusters } from '../node/cluster-node.sql.js';
import { forget } from '../node/member-steps.js';
import { planGrowth } from './node-pool-plan.js';
import { findNodePools, poolFailed, poolMade, restorePoolCount } from './node-pool.sql.js';

export const NODE_POOL_CREATE = 'clusters.node_pool.create';
export const NODE_POOL_GROW = 'clusters.node_pool.grow';

const createInput = z.strictObject({ clusterId: z.string(), poolId: z.string() });
type CreateInput = z.output<typeof createInput>;

const growInput = createInput.extend({ machineIds: z.array(z.string()), from: z.int() });
type GrowInput = z.output<typeof growInput>;

const DEADLINE_MS = 60 * 60_000;

type PoolContext<Input> = StepContext<Input>;

function growingSteps<Input extends CreateInput>(
  tools: ClusterTools,
  machineIds: (context: PoolContext<Input>) => Promise<string[]>,
): OperationStep<Input>[] {
  const facts = async (context: PoolContext<Input>) => readOneCluster(context.reader, context.operation.input.clusterId);
  const concerned = async (context: PoolContext<Input>) => ofMachines(await machineIds(context));
  return [
    tokenStep<Input>(tools, (input) => input.clusterId),
    machinesStep<Input>(async (context) => {
      const mine = await concerned(context);
      return (await facts(context)).nodes.filter(mine);
    }),
    inviteStep<Input>(tools, (input) => input.clusterId, concerned),
    {
      name: 'join',
      run: async (context) => join(tools, context, await facts(context), 'WORKER', await concerned(context)),
      undo: async (context) => forget(tools, context, context.operation.input.clusterId, await machineIds(context)),
    },
    { name: 'close-joining', run: async (context) => closeJoining(tools, context, await facts(context), await concerned(context)) },
    { name: 'ready', run: async (context) => awaitReady(tools, context, await facts(context), await concerned(context)) },
  ];
}

/** Adds nodes to a pool; when it fails, the pool is as it was. */
export function growPoolOperation(tools: ClusterTools): OperationKind<GrowInput> {
  return defineOperation<GrowInput>({
    kind: NODE_POOL_GROW,
    version: 1,
    input: growInput,
    deadlineMs: DEADLINE_MS,
    steps: growingSteps<GrowInput>(tools, async (context) => context.operation.input.machineIds),
    async onSucceeded(transaction, { operation, apply }) {
      await settleCluster(tools, transaction, operation.input.clusterId, apply);
    },
    async onFailed(transaction, { operation, apply }) {
      const { clusterId, poolId, machineIds, from } = operation.input;
      await transaction.execute(restorePoolCount, poolId, from);
      await removeUnmadeNodes(transaction, clusterId, machineIds, apply);
      await settleCluster(tools, transaction, clusterId, apply);
    },
  });
}

/** Makes a new pool with its nodes; when it fails, the pool is FAILED and holds nothing but its name. */
export function createPoolOperation(tools: ClusterTools): OperationKind<CreateInput> {
  const machineIds = async (context: StepContext<CreateInput>): Promise<string[]> => {
    const { clusterId, poolId } = context.operation.input;
    const nodes = await context.reader.rows(findNodesOfClusters, [clusterId]);
    return nodes.flatMap((node) => (node.pool_id === poolId ? [node.machine_id] : []));
  };
  return defineOperation<CreateInput>({
    kind: NODE_POOL_CREATE,
    version: 1,
    input: createInput,
    deadlineMs: DEADLINE_MS,
    steps: growingSteps<CreateInput>(tools, machineIds),
    async onSucceeded(transaction, { operation, apply }) {
      await transaction.execute(poolMade, operation.input.poolId);
      await settleCluster(tools, transaction, operation.input.clusterId, apply);
    },
    async onFailed(transaction, { operation, error, apply }) {
      const { clusterId, poolId } = operation.input;
      const nodes = (await transaction.rows(findNodesOfClusters, [clusterId])).filter((node) => node.pool_id === poolId);
      const failure: ErrorRecord = failureOf(error, 'The making of the node pool');
      await transaction.execute(poolFailed, poolId, JSON.stringify(failure));
      await removeUnmadeNodes(transaction, clusterId, nodes.map((node) => node.machine_id), apply);
      await settleCluster(tools, transaction, clusterId, apply);
    },
    readmit: (context) => readmitPool(tools, context),
  });
}

async function readmitPool(tools: ClusterTools, { operation, reader }: ReadmitContext<CreateInput>): Promise<ChangeSet> {
  const { clusterId, poolId } = operation.input;
  const [pool] = await reader.rows(findNodePools, [poolId]);
  const [cluster] = await reader.rows(findClusters, [clusterId]);
  if (pool === undefined || cluster === undefined || pool.lifecycle !== 'FAILED' || cluster.lifecycle !== 'PRESENT') {
    throw new MuonError('INVALID_STATE', 'Only a node pool whose making has failed, of a cluster that is there, can be made again.');
  }
  const place = { tenantId: pool.tenant_id, projectId: pool.project_id };
  await requireActiveScopes(reader, place);
  const { changes, lockIds } = await planGrowth(reader, null, tools, { cluster, pool, count: pool.count, field: 'nodePool' });
  const [problem] = changes.problems;
  if (problem !== undefined) throw MuonError.fromRecord(problem);
  changes.add(ROWS, { table: 'node_pool', update: { lifecycle: 'CREATING', failure: null }, id: pool.id, version: pool.version });
  lockScopes(changes, place, 'ACTIVE');
  lockResources(changes, operation.id, [cluster.id, pool.id, ...lockIds]);
  return changes;
}
