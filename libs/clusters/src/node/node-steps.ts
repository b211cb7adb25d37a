import { assert } from '#core';
import type { DriverRegistry } from '#infrastructure';
import type { NetworkRealiser } from '#network';
import { done, fanOut, UNDO_ALL, type ChildOperation, type CommitWork, type OperationStep, type StepContext, type StepDone, type StepWait } from '#operations';
import type { SecretRef, SecretService } from '#secrets';
import type { ClusterSecrets } from '../blueprint/blueprint.js';
import { setJoinSecret } from '../cluster/cluster.sql.js';
import { clusterForBlueprint, readOneCluster, type ClusterFacts, type NodeFacts } from '../guest/cluster-facts.js';
import type { GuestRunner, GuestTask } from '../guest/guest-runner.js';
import { isServing } from './cluster-node.js';
import { setNodeHealth, setNodePhase } from './cluster-node.sql.js';

/** What the steps of this room's operations work with. */
export interface ClusterTools {
  drivers: DriverRegistry;
  networks: NetworkRealiser;
  secrets: SecretService;
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

/** Control nodes that can be asked to do something, without those that the operation is about; the healthiest first. */
export function helpers(facts: ClusterFacts, concerned: Concerned): NodeFacts[] {
  const others = facts.nodes.filter((node) => node.row.role === 'CONTROL' && node.row.phase === 'JOINED' && !concerned(node) && node.machine !== undefined);
  const rank = (node: NodeFacts): number => (isServing(node.row) ? 0 : node.row.health === 'NOT_READY' ? 1 : 2);
  return others.sort((one, other) => rank(one) - rank(other));
}

export async function openSecrets(tools: ClusterTools, context: AnyContext, facts: ClusterFacts): Promise<ClusterSecrets> {
  const { id, pki_secret: pki, join_secret: join } = facts.row;
  assert(pki !== null && join !== null, `cluster ${id} has no secrets while nodes join it`);
  const lookups = [pki, join].map((ref) => ({ ref, ownerId: id }));
  const opened = await tools.secrets.openAll(context.reader, lookups);
  const text = (ref: SecretRef): string => opened.get(ref)?.revealText() ?? '';
  return { foundation: text(pki), joinToken: text(join) };
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

/** A token of the operation's own, by which its nodes join. It goes with the operation. */
export function tokenStep<Input>(tools: ClusterTools, clusterId: (input: Input) => string): OperationStep<Input> {
  return {
    name: 'token',
    run: async (context) => {
      const facts = await readOneCluster(context.reader, clusterId(context.operation.input));
      const { id, tenant_id: tenantId, project_id: projectId } = facts.row;
      const value = facts.blueprint.createJoinToken();
      const sealed = await tools.secrets.seal({ ownerId: id, tenantId, projectId, purpose: 'cluster.join', value });
      return done({
        commit: async (transaction) => {
          const ref = await tools.secrets.put(transaction, sealed);
          await transaction.execute(setJoinSecret, id, ref);
        },
      });
    },
    undo: async (context) => {
      const facts = await readOneCluster(context.reader, clusterId(context.operation.input));
      return done({ commit: dropToken(tools, facts) });
    },
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

/** Lets nodes join by the operation's token. */
export async function invite(tools: ClusterTools, context: AnyContext, facts: ClusterFacts, concerned: Concerned): Promise<Answer> {
  const script = facts.blueprint.openJoining(clusterForBlueprint(facts), await openSecrets(tools, context, facts));
  const request = { purpose: 'invite', words: 'let nodes join', key: 'invite', controls: helpers(facts, concerned), script };
  return tools.guests.onOneOf(context, { ...request, maxFailures: MAX_SCRIPT_FAILURES * Math.max(1, request.controls.length) });
}

/** Makes the cluster on the first control node. */
export async function initialise(tools: ClusterTools, context: AnyContext, facts: ClusterFacts): Promise<Answer> {
  const controls = facts.nodes.filter((node) => node.row.role === 'CONTROL');
  const [first] = controls;
  if (first === undefined || controls.some((node) => node.row.phase === 'JOINED')) return done();
  const script = facts.blueprint.initialise(clusterForBlueprint(facts), told(first), await openSecrets(tools, context, facts));
  return tools.guests.onEach(context, {
    purpose: 'initialise',
    words: 'initialise the cluster',
    tasks: [{ node: first, script }],
    parallel: 1,
    maxFailures: MAX_SCRIPT_FAILURES,
    commit: joined,
  });
}

/** Control nodes join one after another, because each changes who must agree; workers a few at once. */
export async function join(
  tools: ClusterTools,
  context: AnyContext,
  facts: ClusterFacts,
  role: 'CONTROL' | 'WORKER',
  concerned: Concerned,
): Promise<Answer> {
  const waiting = facts.nodes.filter((node) => node.row.role === role && node.row.phase === 'JOINING' && concerned(node));
  if (waiting.length === 0) return done();
  const secrets = await openSecrets(tools, context, facts);
  const cluster = clusterForBlueprint(facts);
  return tools.guests.onEach(context, {
    purpose: 'join',
    words: 'join the cluster',
    tasks: waiting.map((node): GuestTask => ({ node, script: facts.blueprint.join(cluster, told(node), secrets) })),
    parallel: role === 'CONTROL' ? 1 : PARALLEL_JOINS,
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
