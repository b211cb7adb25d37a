import { z } from 'zod';
import { findVirtualMachines } from '#compute';
import type { Reader } from '#database';
import { defineOperation, done, fanOut, keep, UNDO_ALL, wait, type OperationKind, type OperationStep, type StepContext } from '#operations';
import { dropDeletedNodes, settleCluster } from '../cluster/cluster-ends.js';
import { clusterForBlueprint, readOneCluster, type NodeFacts } from '../guest/cluster-facts.js';
import { moveNodePhase, removeNodes, setNodePhase } from '../node/cluster-node.sql.js';
import { forget, onMembers } from '../node/member-steps.js';
import { childOn, MACHINE_DELETE, ofMachines, told, type ClusterTools } from '../node/node-steps.js';
import { poolKept, removeNodePool, restorePoolCount } from './node-pool.sql.js';

export const NODE_POOL_SHRINK = 'clusters.node_pool.shrink';
export const NODE_POOL_DELETE = 'clusters.node_pool.delete';

const deleteInput = z.strictObject({
  clusterId: z.string(),
  poolId: z.string(),
  machineIds: z.array(z.string()),
  /** Nobody could drain them: they go as they are. */
  undrained: z.boolean().default(false),
});
type DeleteInput = z.output<typeof deleteInput>;

const shrinkInput = deleteInput.extend({ from: z.int() });
type ShrinkInput = z.output<typeof shrinkInput>;

/** A drain waits for what is not allowed to stop yet; then the pool stays as it was, and the reason says what was in the way. */
const DEADLINE_MS = 60 * 60_000;

const isGone = (node: NodeFacts): boolean =>
  node.machine === undefined || node.hostState === 'FENCED' || node.hostState === 'DOWN' || node.row.health === 'LOST';

function drainStep<Input extends DeleteInput>(tools: ClusterTools): OperationStep<Input> {
  const inCluster = async (context: StepContext<Input>) => {
    const facts = await readOneCluster(context.reader, context.operation.input.clusterId);
    const concerned = ofMachines(context.operation.input.machineIds);
    const leaving = facts.nodes.filter((node) => concerned(node) && node.blueprintNode !== undefined);
    // What an operation that was given up has left half-made, or half-removed, runs nothing that could go elsewhere.
    const members = leaving.filter((node) => node.row.phase === 'DRAINING');
    return { facts, concerned, members, isShown: leaving.every((node) => node.row.phase !== 'JOINED') };
  };
  return {
    name: 'drain',
    run: async (context) => {
      const { facts, concerned, members, isShown } = await inCluster(context);
      if (!isShown) {
        // Shown as draining before the first one is asked to.
        return wait({
          afterMs: 0,
          blocker: 'Nodes are being drained.',
          commit: async (transaction) => {
            await transaction.execute(moveNodePhase, context.operation.input.machineIds, 'JOINED', 'DRAINING');
          },
        });
      }
      if (context.operation.input.undrained) return done();
      const cluster = clusterForBlueprint(facts);
      const script = (node: NodeFacts) => facts.blueprint.drain(cluster, told(node), { unreachable: isGone(node) });
      return onMembers(tools, context, facts, concerned, { purpose: 'drain', words: 'drain', members, script });
    },
    undo: async (context) => {
      const { facts, concerned, members } = await inCluster(context);
      const { machineIds } = context.operation.input;
      const back = async (): Promise<ReturnType<typeof done>> =>
        done({
          commit: async (transaction) => {
            await transaction.execute(moveNodePhase, machineIds, 'DRAINING', 'JOINED');
          },
        });
      if (facts.row.lifecycle !== 'PRESENT' || context.operation.input.undrained) return back();
      const cluster = clusterForBlueprint(facts);
      const script = (node: NodeFacts) => facts.blueprint.undrain(cluster, told(node));
      const request = { purpose: 'undrain', words: 'take back', members, script, maxFailures: 3, giveUp: true };
      const answer = await onMembers(tools, context, facts, concerned, request);
      return answer.type === 'DONE' ? { ...(await back()), notRestored: answer.notRestored } : answer;
    },
  };
}

function shrinkingSteps<Input extends DeleteInput>(tools: ClusterTools): OperationStep<Input>[] {
  return [
    drainStep<Input>(tools),
    {
      name: 'remove',
      pivot: true,
      run: async (context) => forget(tools, context, context.operation.input.clusterId, context.operation.input.machineIds),
    },
    {
      name: 'machines',
      run: async (context) => {
        const { machineIds } = context.operation.input;
        return fanOut({
          children: await deletionsOf(context.reader, machineIds),
          policy: keep(0),
          commit: async (transaction) => {
            await transaction.execute(setNodePhase, machineIds, 'REMOVING');
          },
        });
      },
    },
    // Usually none: those whose deletion an operator gave up, once more, and then it rests until he decides.
    {
      name: 'remaining-machines',
      run: async (context) => fanOut({ children: await deletionsOf(context.reader, context.operation.input.machineIds), policy: UNDO_ALL }),
    },
  ];
}

async function deletionsOf(reader: Reader, machineIds: readonly string[]) {
  const machines = await reader.rows(findVirtualMachines, [...machineIds]);
  return machines.map((machine) => childOn(MACHINE_DELETE, machine.id, machine.backend_id));
}

/** Takes nodes out of a pool: drained first, then forgotten by the cluster, then deleted. */
export function shrinkPoolOperation(tools: ClusterTools): OperationKind<ShrinkInput> {
  return defineOperation<ShrinkInput>({
    kind: NODE_POOL_SHRINK,
    version: 1,
    input: shrinkInput,
    deadlineMs: DEADLINE_MS,
    steps: shrinkingSteps<ShrinkInput>(tools),
    async onSucceeded(transaction, { operation, apply }) {
      const { clusterId, machineIds } = operation.input;
      await transaction.execute(removeNodes, machineIds);
      await settleCluster(tools, transaction, clusterId, apply);
    },
    async onFailed(transaction, { operation, apply, abandoned }) {
      const { clusterId, poolId, machineIds, from } = operation.input;
      if (abandoned === null) await transaction.execute(restorePoolCount, poolId, from);
      else await dropDeletedNodes(transaction, machineIds);
      await settleCluster(tools, transaction, clusterId, apply);
    },
  });
}

/** Takes a pool away with all its nodes. */
export function deletePoolOperation(tools: ClusterTools): OperationKind<DeleteInput> {
  return defineOperation<DeleteInput>({
    kind: NODE_POOL_DELETE,
    version: 1,
    input: deleteInput,
    deadlineMs: DEADLINE_MS,
    steps: shrinkingSteps<DeleteInput>(tools),
    async onSucceeded(transaction, { operation, apply }) {
      const { clusterId, poolId, machineIds } = operation.input;
      await transaction.execute(removeNodes, machineIds);
      await transaction.execute(removeNodePool, poolId);
      await settleCluster(tools, transaction, clusterId, apply);
    },
    async onFailed(transaction, { operation, error, apply, abandoned }) {
      const { clusterId, poolId, machineIds } = operation.input;
      if (abandoned !== null) await dropDeletedNodes(transaction, machineIds);
      await transaction.execute(poolKept, poolId, abandoned === null ? null : JSON.stringify(error));
      await settleCluster(tools, transaction, clusterId, apply);
    },
  });
}
