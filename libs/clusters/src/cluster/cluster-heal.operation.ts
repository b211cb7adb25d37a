import { z } from 'zod';
import { findVirtualMachines } from '#compute';
import { ChangeSet, type Transaction } from '#database';
import { findMembers, findPortsOfOwners, planMemberChange } from '#network';
import { defineOperation, done, fanOut, UNDO_ALL, wait, type ApplyChanges, type OperationKind, type OperationStep, type StepContext } from '#operations';
import { CHARGES } from '#quota';
import { joinedControls, readOneCluster } from '../guest/cluster-facts.js';
import { moveNodePhase } from '../node/cluster-node.sql.js';
import { awaitAgreement, forget, turnOff } from '../node/member-steps.js';
import { awaitReady, childOn, closeJoining, inviteStep, join, MACHINE_DELETE, machinesStep, ofMachines, tokenStep, type ClusterTools } from '../node/node-steps.js';
import { healingFailed, healingSucceeded } from '../health/observation.sql.js';
import { dropDeletedNodes, removeUnmadeNodes, settleCluster } from './cluster-ends.js';

export const CLUSTER_HEAL = 'clusters.cluster.heal';

const chargeSchema = z.strictObject({
  action: z.literal('CHARGE'),
  resourceId: z.string(),
  resourceKind: z.string(),
  tenantId: z.string(),
  projectId: z.string().nullable(),
  zoneId: z.string().nullable(),
  amounts: z.record(z.string(), z.int()),
});

const healInput = z.strictObject({
  clusterId: z.string(),
  role: z.enum(['CONTROL', 'WORKER']),
  /** Null when the node that is replaced is gone already. */
  lostMachineId: z.string().nullable(),
  replacementMachineId: z.string(),
  /** What the lost node was charged; the replacement has taken that over. */
  lostCharges: z.array(chargeSchema),
});
export type HealInput = z.output<typeof healInput>;

const DEADLINE_MS = 60 * 60_000;
/** Healing that failed is tried again after one, two, four … of these. */
export const HEAL_BACKOFF_MS = 60_000;

/**
 * Replaces one lost node: first the cluster forgets it and its machine is deleted, then a new one joins. It never begins
 * before the lost machine is proven to be off, or reachable so that its deletion proves it.
 */
export function healClusterOperation(tools: ClusterTools): OperationKind<HealInput> {
  const facts = async (context: StepContext<HealInput>) => readOneCluster(context.reader, context.operation.input.clusterId);
  const replacement = (context: StepContext<HealInput>) => ofMachines([context.operation.input.replacementMachineId]);
  return defineOperation<HealInput>({
    kind: CLUSTER_HEAL,
    version: 1,
    input: healInput,
    deadlineMs: DEADLINE_MS,
    steps: [
      forgetLostStep(tools),
      {
        name: 'delete-lost',
        run: async (context) => {
          const { lostMachineId } = context.operation.input;
          const machines = await context.reader.rows(findVirtualMachines, lostMachineId === null ? [] : [lostMachineId]);
          return fanOut({ children: machines.map((machine) => childOn(MACHINE_DELETE, machine.id, machine.backend_id)), policy: UNDO_ALL });
        },
      },
      tokenStep<HealInput>(tools, (input) => input.clusterId),
      machinesStep<HealInput>(async (context) => (await facts(context)).nodes.filter(replacement(context))),
      inviteStep<HealInput>(tools, (input) => input.clusterId, async (context) => replacement(context)),
      {
        name: 'join',
        run: async (context) => join(tools, context, await facts(context), context.operation.input.role, replacement(context)),
        undo: async (context) => {
          const { clusterId, replacementMachineId, role } = context.operation.input;
          if (role === 'WORKER') return forget(tools, context, clusterId, [replacementMachineId]);
          // Its machine goes next, and a vote without a machine is one that no look at the nodes finds any more.
          const waits = (await awaitAgreement(context, clusterId, replacementMachineId)) ?? (await turnOff(tools, context, clusterId, replacementMachineId));
          return waits ?? forget(tools, context, clusterId, [replacementMachineId], { forgetting: 'INSIST' });
        },
      },
      { name: 'close-joining', run: async (context) => closeJoining(tools, context, await facts(context), replacement(context)) },
      membershipStep(tools),
      { name: 'ready', run: async (context) => awaitReady(tools, context, await facts(context), replacement(context)) },
    ],
    async onSucceeded(transaction, { operation, apply }) {
      const { clusterId, lostMachineId } = operation.input;
      if (lostMachineId !== null) await dropDeletedNodes(transaction, [lostMachineId]);
      await transaction.execute(healingSucceeded, clusterId);
      await settleCluster(tools, transaction, clusterId, apply);
    },
    async onFailed(transaction, { operation, error, apply }) {
      const { clusterId, lostMachineId, replacementMachineId } = operation.input;
      if (lostMachineId !== null) await dropDeletedNodes(transaction, [lostMachineId]);
      await removeUnmadeNodes(transaction, clusterId, [replacementMachineId], apply);
      // Called off is not failed: the next look may try again at once.
      if (error !== null) await transaction.execute(healingFailed, clusterId, JSON.stringify(error), HEAL_BACKOFF_MS);
      await settleCluster(tools, transaction, clusterId, apply);
      await restoreLost(transaction, operation.input, apply);
    },
  });
}

function forgetLostStep(tools: ClusterTools): OperationStep<HealInput> {
  return {
    name: 'forget-lost',
    run: async (context) => {
      const { clusterId, lostMachineId, replacementMachineId, role } = context.operation.input;
      if (lostMachineId === null) return done();
      const { nodes } = await readOneCluster(context.reader, clusterId);
      const lost = nodes.find(ofMachines([lostMachineId]));
      if (lost?.row.phase === 'JOINED') {
        // Not one of those that could be asked for help any more.
        return wait({
          afterMs: 0,
          blocker: 'The lost node is being taken out.',
          commit: async (transaction) => {
            await transaction.execute(moveNodePhase, [lostMachineId], 'JOINED', 'REMOVING');
          },
        });
      }
      // A control node that keeps its vote would weaken the others; a worker is only a wrong entry in a list.
      return forget(tools, context, clusterId, [lostMachineId], { forgetting: role === 'CONTROL' ? 'FAIL' : 'GIVE_UP', concerned: [replacementMachineId] });
    },
    undo: async (context) => {
      const { lostMachineId } = context.operation.input;
      return done({
        commit: async (transaction) => {
          // One that was no member before, because an operation that brought it was given up, does not become one.
          if (lostMachineId !== null) await transaction.execute(moveNodePhase, [lostMachineId], 'REMOVING', 'JOINED');
        },
      });
    },
  };
}

/**
 * A new control node takes part behind the API's address once it has joined; and so does another that does not yet, because the
 * operation that brought it was given up.
 */
function membershipStep(tools: ClusterTools): OperationStep<HealInput> {
  const ensure = async (context: StepContext<HealInput>, wanted: boolean) => {
    const { clusterId, role, replacementMachineId } = context.operation.input;
    const facts = await readOneCluster(context.reader, clusterId);
    const balancer = facts.row.load_balancer_id;
    if (role !== 'CONTROL' || balancer === null) return done();
    const owners = wanted ? joinedControls(facts).map((node) => node.row.machine_id) : [replacementMachineId];
    const portIds = (await context.reader.rows(findPortsOfOwners, owners)).map((port) => port.id);
    const members = new Set((await context.reader.rows(findMembers, [balancer])).map((member) => member.port_id));
    const change = portIds.filter((portId) => members.has(portId) !== wanted);
    if (change.length === 0) return tools.networks.ensureLoadBalancers(context, [balancer]);
    const changes = planMemberChange(balancer, wanted ? { add: change } : { remove: change });
    return wait({ afterMs: 0, blocker: 'The members of the load balancer are being changed.', commit: (_transaction, apply) => apply(changes) });
  };
  return {
    name: 'load-balancer',
    run: async (context) => ensure(context, true),
    undo: async (context) => ensure(context, false),
  };
}

/**
 * The replacement took over what the lost machine was charged. When it is not to be, and the lost machine is still there, it
 * gets that back; the larger of the two was never held, so this can only be refused where limits of single zones were filled
 * meanwhile, and then it is tried until there is room.
 */
async function restoreLost(transaction: Transaction, input: HealInput, apply: ApplyChanges): Promise<void> {
  const { lostMachineId, lostCharges } = input;
  if (lostMachineId === null || lostCharges.length === 0) return;
  const [left] = await transaction.rows(findVirtualMachines, [lostMachineId]);
  if (left === undefined || left.lifecycle === 'FAILED') return;
  await apply(new ChangeSet().add(CHARGES, ...lostCharges));
}
