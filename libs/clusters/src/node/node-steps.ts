import { assert } from '#core';
import type { NetworkRealiser } from '#network';
import { done, fanOut, UNDO_ALL, type ChildOperation, type CommitWork, type OperationStep, type StepContext, type StepDone, type StepWait } from '#operations';
import type { SecretRef } from '#secrets';
import type { ClusterSecrets } from '../blueprint/blueprint.js';
import { setJoinSecret } from '../cluster/cluster.sql.js';
import { clusterForBlueprint, joinedControls, readOneCluster, type ClusterFacts, type NodeFacts } from '../guest/cluster-facts.js';
import type { GuestRunner, GuestTask } from '../guest/guest-runner.js';
import { setNodeHealth, setNodePhase } from './cluster-node.sql.js';
import type { PlanningTools } from './node-plan.js';

/** What the steps of this room's operations work with. */
export interface ClusterTools extends PlanningTools {
  networks: NetworkRealiser;
  guests: GuestRunner;
}

export const MACHINE_CREATE = 'compute.virtual_machine.create';
export const MACHINE_DELETE = 'compute.virtual_machine.delete';

/** A slow image or a busy API is tried again; what fails this often fails for good. */
const MAX_SCRIPT_FAILURES = 3;
const PARALLEL_JOINS = 10;
const PARALLEL_CHECKS = 20;

type AnyContext = StepContext<unknown>;
type Answer = StepDone | StepWait;

/** Which nodes of the cluster an operation is about. */
export type Concerned = (node: NodeFacts) => boolean;

export function ofMachines(machineIds: readonly string[]): Concerned {
  const wanted = new Set(machineIds);
  return (node) => wanted.has(node.row.machine_id);
}

export const everyNode: Concerned = () => true;
export const nobody: Concerned = () => false;

/** Control nodes that can be asked to do something, without those that the operation is about; the healthiest first. */
export function helpers(facts: ClusterFacts, concerned: Concerned): NodeFacts[] {
  return joinedControls(facts).filter((node) => !concerned(node));
}

export async function openSecrets(tools: ClusterTools, context: AnyContext, facts: ClusterFacts): Promise<ClusterSecrets> {
  const { id, pki_secret: foundation, join_secret: join } = facts.row;
  assert(foundation !== null, `cluster ${id} has no secrets while nodes join it`);
  const lookups = [foundation, ...(join === null ? [] : [join])].map((ref) => ({ ref, ownerId: id }));
  const opened = await tools.secrets.openAll(context.reader, lookups);
  const text = (ref: SecretRef): string => opened.get(ref)?.revealText() ?? '';
  return { foundation: text(foundation), joinToken: join === null ? null : text(join) };
}

export function childOn(kind: string, machineId: string, backendId: string | null = null): ChildOperation {
  return { kind, resourceKind: 'virtual_machine', resourceId: machineId, input: { machineId }, backendId };
}

/** Makes the machines that admission has planned, all at once; one that fails takes all back. */
export function machinesStep<Input>(machineIds: (context: StepContext<Input>) => Promise<readonly NodeFacts[]>): OperationStep<Input> {
  return {
    name: 'machines',
    run: async (context) => {
      const nodes = await machineIds(context);
      const children = nodes.map((node) => childOn(MACHINE_CREATE, node.row.machine_id, node.machine?.backend_id ?? null));
      return fanOut({ children, policy: UNDO_ALL });
    },
    compensate: MACHINE_DELETE,
  };
}

/** A token of the operation's own, by which its nodes join, where the cluster does not make it. It goes with the operation. */
export function tokenStep<Input>(tools: ClusterTools, clusterId: (input: Input) => string): OperationStep<Input> {
  return {
    name: 'token',
    run: async (context) => {
      const facts = await readOneCluster(context.reader, clusterId(context.operation.input));
      const token = facts.blueprint.createJoinToken();
      return token === null ? done() : done({ commit: await keepToken(tools, facts, token) });
    },
    undo: async (context) => {
      const facts = await readOneCluster(context.reader, clusterId(context.operation.input));
      return done({ commit: dropToken(tools, facts) });
    },
  };
}

/** Sealed before the transaction that keeps it. */
async function keepToken(tools: ClusterTools, { row }: Pick<ClusterFacts, 'row'>, value: string): Promise<CommitWork> {
  const { id, tenant_id: tenantId, project_id: projectId } = row;
  const sealed = await tools.secrets.seal({ ownerId: id, tenantId, projectId, purpose: 'cluster.join', value });
  return async (transaction) => {
    const ref = await tools.secrets.put(transaction, sealed);
    await transaction.execute(setJoinSecret, id, ref);
  };
}

/** The operation's token is of no use to anybody any more. */
export function dropToken(tools: ClusterTools, facts: Pick<ClusterFacts, 'row'>): CommitWork {
  const { id, join_secret: ref } = facts.row;
  return async (transaction) => {
    if (ref === null) return;
    await transaction.execute(setJoinSecret, id, null);
    await tools.secrets.remove(transaction, [ref]);
  };
}

/** Lets nodes join by the operation's token, or fetches the one that the cluster makes. */
export async function invite(tools: ClusterTools, context: AnyContext, facts: ClusterFacts, concerned: Concerned): Promise<Answer> {
  const script = facts.blueprint.openJoining(clusterForBlueprint(facts), await openSecrets(tools, context, facts));
  const request = { purpose: 'invite', words: 'let nodes join', key: 'invite', controls: helpers(facts, concerned), script };
  return tools.guests.onOneOf(context, {
    ...request,
    maxFailures: failuresOf(request.controls),
    patient: true,
    ...(script.answers === undefined ? {} : { keep: async (answers) => keepToken(tools, facts, JSON.stringify(answers)) }),
  });
}

/** `invite` as a step: however its operation ends, nothing joins by the token afterwards, or the operation says that it still holds. */
export function inviteStep<Input>(
  tools: ClusterTools,
  clusterId: (input: Input) => string,
  concerned: (context: StepContext<Input>) => Promise<Concerned>,
): OperationStep<Input> {
  const facts = async (context: StepContext<Input>) => readOneCluster(context.reader, clusterId(context.operation.input));
  return {
    name: 'invite',
    run: async (context) => invite(tools, context, await facts(context), await concerned(context)),
    undo: async (context) => {
      const cluster = await facts(context);
      if (cluster.row.lifecycle !== 'PRESENT') return done();
      try {
        return await closeJoining(tools, context, cluster, nobody);
      } catch (error) {
        // The next worker does it.
        if (context.signal.aborted) throw error;
        context.log.warn({ err: error, clusterId: cluster.row.id }, 'the token of a cluster could not be made worthless; the next operation that adds nodes does it');
        const message = 'The tokens by which nodes were to join still hold: no control node could make them worthless. The next operation that adds nodes does it.';
        return done({ notRestored: [{ resourceId: cluster.row.id, message }] });
      }
    },
  };
}

/** Nothing joins by the operation's token any more, and the cluster knows what its new nodes are for. */
export async function closeJoining(tools: ClusterTools, context: AnyContext, facts: ClusterFacts, concerned: Concerned): Promise<Answer> {
  const joined = facts.nodes.filter((node) => concerned(node) && node.row.phase === 'JOINED').map(told);
  const script = facts.blueprint.closeJoining?.(clusterForBlueprint(facts), joined);
  if (script === undefined) return done();
  const request = { purpose: 'close', words: 'let no more nodes join', key: 'close', controls: joinedControls(facts), script };
  return tools.guests.onOneOf(context, { ...request, maxFailures: failuresOf(request.controls), patient: context.step.direction === 'FORWARD' });
}

function failuresOf(controls: readonly NodeFacts[]): number {
  return MAX_SCRIPT_FAILURES * Math.max(1, controls.length);
}

/** Makes the cluster on the first control node. */
export async function initialise(tools: ClusterTools, context: AnyContext, facts: ClusterFacts): Promise<Answer> {
  const controls = facts.nodes.filter((node) => node.row.role === 'CONTROL');
  const [first] = controls;
  if (first === undefined || controls.some((node) => node.row.phase === 'JOINED')) return done();
  const script = await facts.blueprint.initialise(clusterForBlueprint(facts), told(first), await openSecrets(tools, context, facts));
  return tools.guests.onEach(context, {
    purpose: 'initialise',
    words: 'initialise the cluster',
    tasks: [{ node: first, script }],
    parallel: 1,
    maxFailures: MAX_SCRIPT_FAILURES,
    commit: joined,
  });
}

/** Workers join a few at once; control nodes only where the blueprint allows it, and then workers join beside them. */
export async function join(
  tools: ClusterTools,
  context: AnyContext,
  facts: ClusterFacts,
  role: 'CONTROL' | 'WORKER',
  concerned: Concerned,
): Promise<Answer> {
  const { joinsTogether } = facts.blueprint;
  const takesPart = (node: NodeFacts): boolean => node.row.role === role || (joinsTogether && role === 'CONTROL');
  const waiting = facts.nodes.filter((node) => takesPart(node) && node.row.phase === 'JOINING' && concerned(node));
  if (waiting.length === 0) return done();
  const secrets = await openSecrets(tools, context, facts);
  const cluster = clusterForBlueprint(facts);
  const tasks = waiting.map(async (node): Promise<GuestTask> => ({ node, script: await facts.blueprint.join(cluster, told(node), secrets) }));
  return tools.guests.onEach(context, {
    purpose: 'join',
    words: 'join the cluster',
    tasks: await Promise.all(tasks),
    parallel: role === 'CONTROL' && !joinsTogether ? 1 : PARALLEL_JOINS,
    maxFailures: MAX_SCRIPT_FAILURES,
    commit: joined,
  });
}

/** Waits until every one of the nodes says that it takes its part. */
export async function awaitReady(tools: ClusterTools, context: AnyContext, facts: ClusterFacts, concerned: Concerned): Promise<Answer> {
  const waiting = facts.nodes.filter((node) => concerned(node) && node.row.health !== 'READY');
  const nodeIds = new Map(waiting.map((node) => [node.row.machine_id, node.row.id]));
  const cluster = clusterForBlueprint(facts);
  return tools.guests.onEach(context, {
    purpose: 'ready',
    words: 'become ready',
    tasks: waiting.map((node) => ({ node, script: facts.blueprint.checkReady(cluster, told(node)) })),
    parallel: PARALLEL_CHECKS,
    commit: (machineIds) => async (transaction) => {
      const since = new Date().toISOString();
      const seen = machineIds.map((id) => ({ id: nodeIds.get(id), health: 'READY', reason: 'NODE_READY', since }));
      await transaction.execute(setNodeHealth, JSON.stringify(seen));
    },
  });
}

/** What the blueprint is told of the node. */
export function told(node: NodeFacts): NonNullable<NodeFacts['blueprintNode']> {
  assert(node.blueprintNode !== undefined, `node ${node.row.id} has no machine with an address`);
  return node.blueprintNode;
}

function joined(machineIds: string[]): CommitWork {
  return async (transaction) => {
    await transaction.execute(setNodePhase, machineIds, 'JOINED');
  };
}
