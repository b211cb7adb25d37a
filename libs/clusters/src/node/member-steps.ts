import { MuonError, toMuonError, type JsonObject, type JsonValue } from '#core';
import { done, StepFailed, wait, type StepContext, type StepDone, type StepWait } from '#operations';
import type { GuestScript } from '../blueprint/blueprint.js';
import { clusterForBlueprint, readOneCluster, type ClusterFacts, type NodeFacts } from '../guest/cluster-facts.js';
import { isThere } from '../cluster/agreement.js';
import { quorum } from '../cluster/cluster.js';
import { helpers, ofMachines, told, type ClusterTools, type Concerned } from './node-steps.js';

/** A cluster that is dead, or dies meanwhile, must not keep its owner from getting rid of workers: its own list of nodes is left wrong then. */
const MAX_FORGET_FAILURES = 3;

type AnyContext = StepContext<unknown>;
type Answer = StepDone | StepWait;

/** What to do with each of several members through a control node, one after another. */
export interface OnMembers {
  purpose: string;
  /** As `drain`: the member's name follows. */
  words: string;
  members: readonly NodeFacts[];
  script: (node: NodeFacts) => GuestScript;
  /** How often the script may fail; without it, until the operation's deadline. */
  maxFailures?: number;
  /** With `maxFailures`, which then also bounds how often none answers: leaves a member that cannot be served and goes on. */
  giveUp?: boolean;
}

/** The memo counts the members that are dealt with and names those that were left, beside the rounds of the one at hand. An undo names those, too. */
export async function onMembers(
  tools: ClusterTools,
  context: AnyContext,
  facts: ClusterFacts,
  concerned: Concerned,
  request: OnMembers,
): Promise<Answer> {
  const at = memoNumber(context.step.memo, 'dealt');
  const member = request.members[at];
  if (member === undefined) return done();
  const left = leftMembers(context.step.memo);
  const answer = await onOneMember(tools, context, facts, concerned, request, member, { dealt: at, left });
  if (answer === 'LEFT') left.push(member.row.machine_id);
  else if (answer.type === 'WAIT') return { ...answer, memo: { ...(answer.memo as Record<string, JsonValue>), dealt: at, left } };
  const notRestored = left.map((resourceId) => ({ resourceId, message: `The cluster could not be told to ${request.words} this node.` }));
  if (at + 1 >= request.members.length) return answer === 'LEFT' ? done({ notRestored }) : { ...answer, notRestored };
  return wait({ afterMs: 0, blocker: `The nodes come one after another to ${request.words}.`, memo: { dealt: at + 1, left }, notRestored });
}

async function onOneMember(
  tools: ClusterTools,
  context: AnyContext,
  facts: ClusterFacts,
  concerned: Concerned,
  request: OnMembers,
  member: NodeFacts,
  kept: JsonObject,
): Promise<Answer | 'LEFT'> {
  const { purpose, words, maxFailures, giveUp } = request;
  try {
    return await tools.guests.onOneOf(context, {
      purpose,
      words: `${words} "${member.row.name}"`,
      key: member.row.machine_id,
      controls: helpers(facts, concerned),
      script: request.script(member),
      patient: giveUp !== true,
      ...(maxFailures === undefined ? {} : { maxFailures }),
    });
  } catch (error) {
    if (context.signal.aborted) throw error;
    if (giveUp !== true) throw error instanceof StepFailed ? new StepFailed(error, { ...(error.memo as JsonObject), ...kept }) : error;
    context.log.warn({ err: error, nodeId: member.row.id, purpose }, 'a cluster could not be told of a node; it is left to the cluster');
    return 'LEFT';
  }
}

function memoNumber(memo: JsonValue | undefined, key: string): number {
  const value = typeof memo === 'object' && memo !== null && !Array.isArray(memo) ? memo[key] : undefined;
  return typeof value === 'number' ? value : 0;
}

/** Machines of members that were left as they are. */
function leftMembers(memo: JsonValue | undefined): string[] {
  const value = typeof memo === 'object' && memo !== null && !Array.isArray(memo) ? memo['left'] : undefined;
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

/**
 * Turns off a machine that is about to be taken back. Until then whatever its guest has begun goes on, also what an ended
 * script has asked of a daemon, and a join may come to its end after the cluster has forgotten the node.
 * @returns undefined when it is off, or cannot be reached
 */
export async function turnOff(tools: ClusterTools, context: AnyContext, clusterId: string, machineId: string): Promise<StepWait | undefined> {
  const node = (await readOneCluster(context.reader, clusterId)).nodes.find(ofMachines([machineId]));
  if (node?.machine === undefined || node.hostState === 'FENCED' || node.hostState === 'DOWN') return undefined;
  const { compute } = await tools.drivers.driver(node.machine.backend_id);
  try {
    const outcome = await compute.stopMachine(context.call(machineId), node.machine.instance_id, true);
    if (outcome.state === 'DONE') return undefined;
    const { memo } = context.step;
    return wait({ afterMs: outcome.retryAfterMs, blocker: `"${node.row.name}" is being turned off.`, ...(memo === undefined ? {} : { memo }) });
  } catch (error) {
    const known = toMuonError(error);
    if (known.retryable || context.signal.aborted) throw error;
    if (known.code !== 'NOT_FOUND') context.log.warn({ err: error, nodeId: node.row.id }, 'a machine could not be turned off before its cluster forgets it');
    return undefined;
  }
}

/** How long control nodes that are away are waited for before an operator is asked. */
const AGREEMENT_PATIENCE_MS = 15 * 60_000;
const AGREEMENT_LOOK_MS = 5000;

/**
 * A control node is not taken back while the others could not agree without it: its vote may be the one that they need, and
 * without it they could not even forget it.
 * @returns undefined when they can, or need not because the cluster goes
 * @throws INVALID_STATE when they could not for long: then an operator brings them back, or gives the operation up, which keeps
 *   the node
 */
export async function awaitAgreement(context: AnyContext, clusterId: string, machineId: string): Promise<StepWait | undefined> {
  const { row, nodes } = await readOneCluster(context.reader, clusterId);
  if (row.lifecycle !== 'PRESENT') return undefined;
  const others = nodes.filter((node) => node.row.role === 'CONTROL' && node.row.phase === 'JOINED' && node.row.machine_id !== machineId);
  const ready = others.filter(isThere).length;
  const needed = quorum(others.length);
  if (others.length === 0 || ready >= needed) return undefined;
  const name = nodes.find(ofMachines([machineId]))?.row.name ?? machineId;
  const message = `Control node "${name}" is not taken back: ${ready} of the others are ready, and ${needed} must agree without it.`;
  const data = { ready, needed };
  if (Date.now() - context.step.since.getTime() > AGREEMENT_PATIENCE_MS) throw new MuonError('INVALID_STATE', message, { fault: 'OPERATOR', data });
  const remedy = 'Bring the hosts of the others back. Later an operator may also abandon the operation: the node stays, and those that are lost are replaced.';
  const { memo } = context.step;
  return wait({ afterMs: AGREEMENT_LOOK_MS, blocker: { code: 'INVALID_STATE', message, fault: 'OPERATOR', remedy, data }, ...(memo === undefined ? {} : { memo }) });
}

/**
 * What becomes of nodes that the cluster cannot be made to forget: they are left to it after a few failures, or the step fails
 * then, or it is tried until it is done, which in an undo has no deadline.
 */
export type Forgetting = 'GIVE_UP' | 'FAIL' | 'INSIST';

/** Makes the cluster forget nodes that go. */
export async function forget(
  tools: ClusterTools,
  context: AnyContext,
  clusterId: string,
  machineIds: readonly string[],
  options: { forgetting?: Forgetting; concerned?: readonly string[] } = {},
): Promise<Answer> {
  const { forgetting = 'GIVE_UP', concerned = [] } = options;
  const facts = await readOneCluster(context.reader, clusterId);
  if (facts.row.lifecycle !== 'PRESENT') return done();
  const leaving = ofMachines(machineIds);
  const cluster = clusterForBlueprint({ ...facts, apiAddress: facts.apiAddress ?? '' });
  return onMembers(tools, context, facts, ofMachines([...machineIds, ...concerned]), {
    purpose: 'forget',
    words: 'forget',
    members: facts.nodes.filter((node) => leaving(node) && node.blueprintNode !== undefined),
    script: (node) => facts.blueprint.remove(cluster, told(node)),
    ...(forgetting === 'INSIST' ? {} : { maxFailures: MAX_FORGET_FAILURES, giveUp: forgetting === 'GIVE_UP' }),
  });
}
