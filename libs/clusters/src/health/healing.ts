import type { ErrorRecord } from '#core';
import type { HostRow, HostState } from '#infrastructure';
import type { OperationState } from '#operations';
import type { ClusterNodeRow } from '../node/cluster-node.js';
import { quorum } from '../cluster/cluster.js';
import type { ConditionNow, ConditionReason } from './conditions.js';

/** What healing is decided on: a node with the state of its host. */
export interface HealingNode {
  row: Pick<ClusterNodeRow, 'id' | 'name' | 'role' | 'phase' | 'pool_id' | 'health' | 'health_reason' | 'health_since'>;
  hostState: HostState | undefined;
  host: Pick<HostRow, 'id'> | undefined;
}

export interface HealingPool {
  id: string;
  name: string;
  count: number;
}

/** The operation that changes the cluster, or something that a replacement needs. */
export interface Holder {
  operationId: string;
  kind: string;
  state: OperationState;
  /** It replaces one of the cluster's nodes. */
  heals: boolean;
}

export interface HealingFacts {
  controlCount: number;
  pools: readonly HealingPool[];
  nodes: readonly HealingNode[];
  failures: number;
  notBefore: Date | null;
  lastError: ErrorRecord | null;
  /** Null when nobody changes the cluster: then what is on its way in or out is left over from somebody who was given up. */
  holder: Holder | null;
  at: Date;
}

export interface HealingLimits {
  /** How long a reachable node may be not ready before it is replaced, in ms. */
  notReadyMs: number;
  /** Failed healings in a row after which nobody tries any more by himself. */
  maxFailures: number;
}

export const DEFAULT_HEALING_LIMITS: HealingLimits = { notReadyMs: 10 * 60_000, maxFailures: 5 };

/** What to replace next: a node that is there, or one that is missing from the control nodes or a pool. */
export type HealingTarget =
  | { type: 'NODE'; nodeId: string; role: 'CONTROL' | 'WORKER'; poolId: string | null; name: string }
  | { type: 'MISSING'; role: 'CONTROL' | 'WORKER'; poolId: string | null; name: string };

export interface HealingDecision {
  target: HealingTarget | null;
  condition: ConditionNow;
}

/** How many faults at once are still healed: one for three nodes, but two at least. */
export function sickLimit(nodes: number): number {
  return Math.max(2, Math.floor(nodes / 3));
}

/**
 * Which node is to be replaced now, if any, and why not: control nodes before workers, the longest lost first, one at a
 * time. Pure, so that all of it can be examined.
 */
export function decideHealing(facts: HealingFacts, limits: HealingLimits): HealingDecision {
  const targets = targetsOf(facts, limits);
  const blocked = (reason: ConditionReason, message: string): HealingDecision => ({
    target: null,
    condition: { type: 'HEALABLE', status: 'FALSE', reason, message },
  });
  const wanted = facts.controlCount + facts.pools.reduce((sum, pool) => sum + pool.count, 0);
  const serving = facts.nodes.filter((node) => node.row.role === 'CONTROL' && node.row.phase === 'JOINED' && node.row.health === 'READY').length;
  const needed = quorum(facts.controlCount);
  const [first] = targets;
  const waiting = facts.nodes.filter((node) => node.row.phase === 'JOINED' && node.row.health === 'UNREACHABLE');
  if (serving < needed && (first !== undefined || waiting.length > 0)) {
    return blocked('QUORUM_LOST', `Only ${serving} control nodes are ready and ${needed} must agree on a new one; bring lost hosts back, or restore the cluster.`);
  }
  const sick = [...facts.nodes.filter((node) => isReplaceable(node, facts.at, limits)), ...waiting];
  const faults = countFaults(sick);
  if (first !== undefined && faults > sickLimit(wanted)) {
    const counted = `${sick.length} of ${wanted} nodes are lost or do not answer, by ${faults} separate faults`;
    const message = `${counted} (a host that is proven to be off counts once, with all its nodes). More than ${sickLimit(wanted)} may have a cause elsewhere, so none is replaced by itself.`;
    return blocked('TOO_MANY_SICK', message);
  }
  if (first === undefined) return nothingToDo(facts, waiting, blocked);
  if (facts.failures >= limits.maxFailures) {
    return blocked('HEALING_FAILED', `Healing has failed ${facts.failures} times and is not tried any more by itself: ${facts.lastError?.message ?? 'unknown reason'}`);
  }
  if (facts.notBefore !== null && facts.notBefore > facts.at) {
    return blocked('HEALING_FAILED', `Healing has failed ${facts.failures} times; it is tried again at ${facts.notBefore.toISOString()}: ${facts.lastError?.message ?? 'unknown reason'}`);
  }
  if (facts.holder !== null) return { target: null, condition: waitsFor(facts.holder, first) };
  const words = first.type === 'NODE' ? `"${first.name}" is being replaced.` : `Instead of what is missing, ${first.name} is being made.`;
  return { target: first, condition: { type: 'HEALABLE', status: 'TRUE', reason: 'HEALING', message: words } };
}

/** What is said while an operation is under way that a replacement must wait for, or that is one. */
export function waitsFor({ operationId, kind, state, heals }: Holder, target: HealingTarget | undefined): ConditionNow {
  const which = `operation "${operationId}" (${kind})`;
  const isStuck = state === 'STUCK';
  if (heals && !isStuck) return { type: 'HEALABLE', status: 'TRUE', reason: 'HEALING', message: `A node is being replaced by ${which}.` };
  const subject = target === undefined ? 'A node' : target.type === 'NODE' ? `"${target.name}"` : target.name;
  const how = isStuck ? ', which is STUCK: an operator must retry or abandon it' : '';
  const message = `${subject} is not replaced before ${which} has ended${how}.`;
  return { type: 'HEALABLE', status: 'FALSE', reason: 'OPERATION_IN_PROGRESS', message };
}

/**
 * The brake is for sickness that nobody can explain: whoever looks, or the network, may be what is broken, and replacing well
 * nodes would make it worse. A host that is proven to be off explains all that was on it, and is one fault however much that
 * is. What an earlier healing has deleted is none: making it takes nothing away.
 */
function countFaults(sick: readonly HealingNode[]): number {
  const isExplained = ({ row, host, hostState }: HealingNode): boolean =>
    row.health === 'LOST' && row.health_reason === 'HOST_FENCED' && host !== undefined && hostState === 'FENCED';
  const hosts = new Set(sick.filter(isExplained).map(({ host }) => host?.id));
  return hosts.size + sick.filter((node) => !isExplained(node)).length;
}

function nothingToDo(
  facts: HealingFacts,
  waiting: readonly HealingNode[],
  blocked: (reason: ConditionReason, message: string) => HealingDecision,
): HealingDecision {
  if (facts.holder?.heals === true) return { target: null, condition: waitsFor(facts.holder, undefined) };
  const [silent] = [...waiting, ...leftOver(facts).filter(isSilent)];
  if (silent === undefined) {
    return { target: null, condition: { type: 'HEALABLE', status: 'TRUE', reason: 'NOTHING_TO_HEAL', message: 'No node needs to be replaced.' } };
  }
  return blocked('HOST_NOT_FENCED', `"${silent.row.name}" cannot be replaced before its host is proven to be off: it may still run.`);
}

function targetsOf(facts: HealingFacts, limits: HealingLimits): HealingTarget[] {
  const sick = facts.nodes
    .filter((node) => isReplaceable(node, facts.at, limits))
    .sort((one, other) => one.row.health_since.getTime() - other.row.health_since.getTime())
    .map(({ row }): HealingTarget => ({ type: 'NODE', nodeId: row.id, role: row.role, poolId: row.pool_id, name: row.name }));
  const left = leftOver(facts)
    .filter((node) => !isSilent(node))
    .map(({ row }): HealingTarget => ({ type: 'NODE', nodeId: row.id, role: row.role, poolId: row.pool_id, name: row.name }));
  const targets = [...sick, ...left, ...missingOf(facts)];
  return [...targets.filter((target) => target.role === 'CONTROL'), ...targets.filter((target) => target.role === 'WORKER')];
}

/**
 * Nodes on their way in or out that nobody moves any more, because an operator has given up who did: each takes the place of
 * one that is wanted. What is more than is wanted is not to be replaced.
 */
export function leftOver({ nodes, pools, controlCount, holder }: Pick<HealingFacts, 'nodes' | 'pools' | 'controlCount' | 'holder'>): HealingNode[] {
  if (holder !== null) return [];
  const groups = [{ id: null, count: controlCount }, ...pools];
  return groups.flatMap(({ id, count }) => {
    const group = nodes.filter((node) => node.row.pool_id === id);
    const surplus = Math.max(0, group.length - count);
    return group.filter((node) => node.row.phase !== 'JOINED').slice(surplus);
  });
}

/** It may still run, and nobody can tell. */
function isSilent({ hostState }: HealingNode): boolean {
  return hostState === 'DOWN' || hostState === 'UNKNOWN';
}

/** Lost for good; or not ready for long on a host that answers, so that deleting its machine proves that it is gone. */
function isReplaceable({ row, hostState }: HealingNode, at: Date, limits: HealingLimits): boolean {
  if (row.phase !== 'JOINED') return false;
  if (row.health === 'LOST') return true;
  const answers = hostState === 'ACTIVE' || hostState === 'SUSPENDED' || hostState === 'ENTERING_MAINTENANCE';
  return row.health === 'NOT_READY' && answers && at.getTime() - row.health_since.getTime() >= limits.notReadyMs;
}

/** What an earlier healing has deleted and not replaced. */
function missingOf(facts: HealingFacts): HealingTarget[] {
  const controls = facts.nodes.filter((node) => node.row.role === 'CONTROL').length;
  const missing = (count: number, target: HealingTarget): HealingTarget[] => Array.from({ length: Math.max(0, count) }, () => target);
  return [
    ...missing(facts.controlCount - controls, { type: 'MISSING', role: 'CONTROL', poolId: null, name: 'a control node' }),
    ...facts.pools.flatMap((pool) => {
      const there = facts.nodes.filter((node) => node.row.pool_id === pool.id).length;
      return missing(pool.count - there, { type: 'MISSING', role: 'WORKER', poolId: pool.id, name: `a node of ${pool.name}` });
    }),
  ];
}
