import { NodeHealth, NodePhase, type ClusterNodeRow } from '../node/cluster-node.js';

export const ConditionType = {
  /** All nodes that are wanted are there and ready. */
  READY: 'READY',
  /** Enough control nodes are ready to agree, so the cluster's API answers. */
  API_AVAILABLE: 'API_AVAILABLE',
  CONTROL_NODES_READY: 'CONTROL_NODES_READY',
  WORKERS_READY: 'WORKERS_READY',
  /** One more control node may be lost, or a host with all that it has, and the API still answers. */
  FAULT_TOLERANT: 'FAULT_TOLERANT',
  /** Nothing is in the way of replacing lost nodes: what would block the next healing shows here before it is needed. */
  HEALABLE: 'HEALABLE',
} as const;
export type ConditionType = (typeof ConditionType)[keyof typeof ConditionType];

export const ConditionReason = {
  ALL_READY: 'ALL_READY',
  NOT_OBSERVED: 'NOT_OBSERVED',
  QUORUM_READY: 'QUORUM_READY',
  QUORUM_UNKNOWN: 'QUORUM_UNKNOWN',
  QUORUM_LOST: 'QUORUM_LOST',
  NODES_MISSING: 'NODES_MISSING',
  NODES_NOT_READY: 'NODES_NOT_READY',
  NODES_UNREACHABLE: 'NODES_UNREACHABLE',
  NODES_LOST: 'NODES_LOST',
  NO_NODES_WANTED: 'NO_NODES_WANTED',
  SPARE_CONTROL_NODES: 'SPARE_CONTROL_NODES',
  SINGLE_CONTROL_NODE: 'SINGLE_CONTROL_NODE',
  NO_SPARE_CONTROL_NODE: 'NO_SPARE_CONTROL_NODE',
  /** So many are on one host that the API would go with it: they were replaced when no other host was there. */
  CONTROL_NODES_SHARE_HOST: 'CONTROL_NODES_SHARE_HOST',
  NOTHING_TO_HEAL: 'NOTHING_TO_HEAL',
  HEALING: 'HEALING',
  /** A node is to be replaced, and an operation that is named must end first. */
  OPERATION_IN_PROGRESS: 'OPERATION_IN_PROGRESS',
  /** Nodes are sick by too many separate faults at once: replacing them would make it worse if the fault lies elsewhere. */
  TOO_MANY_SICK: 'TOO_MANY_SICK',
  /** A node cannot be replaced before its host is proven to be off. */
  HOST_NOT_FENCED: 'HOST_NOT_FENCED',
  /** Healing failed; it is tried again later, or not any more. */
  HEALING_FAILED: 'HEALING_FAILED',
  /** Admission refused the replacement: quota, capacity, or a suspended tenant. */
  REPLACEMENT_REFUSED: 'REPLACEMENT_REFUSED',
} as const;
export type ConditionReason = (typeof ConditionReason)[keyof typeof ConditionReason];

export interface ClusterCondition {
  type: ConditionType;
  status: 'TRUE' | 'FALSE' | 'UNKNOWN';
  reason: ConditionReason;
  /** For people. */
  message: string;
  /** ISO time since when this status has held for this reason. */
  since: string;
}

export type ConditionNow = Omit<ClusterCondition, 'since'>;

type NodeFacts = Pick<ClusterNodeRow, 'name' | 'role' | 'phase' | 'health'> & {
  /** Null where it does not matter, or nobody knows. */
  hostId: string | null;
};

/** What is wanted of the cluster. */
export interface WantedNodes {
  controls: number;
  workers: number;
  /** Whether an operation changes it; otherwise nobody moves nodes that are on their way in or out. */
  isChanging: boolean;
}

/**
 * Conditions that follow from the nodes alone. Nodes flip only when something has held for its threshold, so these need
 * none of their own. Nodes on their way in are not missing, and a sick one that is being replaced counts until it is gone; what
 * is left over from an operation that was given up is no node.
 */
export function nodeConditions(nodes: readonly NodeFacts[], wanted: WantedNodes): ConditionNow[] {
  const isReplaced = (node: NodeFacts): boolean => wanted.isChanging && node.phase === NodePhase.REMOVING && SICK.has(node.health);
  const members = nodes.filter((node) => node.phase === NodePhase.JOINED || isReplaced(node));
  const { isChanging } = wanted;
  const comers = (role: NodeFacts['role']): Comers => ({
    joining: isChanging ? nodes.filter((node) => node.role === role && node.phase === NodePhase.JOINING).length : 0,
    left: isChanging ? 0 : nodes.filter((node) => node.role === role && node.phase !== NodePhase.JOINED).length,
  });
  const controls = members.filter((node) => node.role === 'CONTROL');
  const workers = members.filter((node) => node.role === 'WORKER');
  const groups = [
    groupCondition(ConditionType.CONTROL_NODES_READY, 'control nodes', controls, wanted.controls, comers('CONTROL')),
    groupCondition(ConditionType.WORKERS_READY, 'workers', workers, wanted.workers, comers('WORKER')),
  ];
  const bad = groups.find((each) => each.status === 'FALSE') ?? groups.find((each) => each.status === 'UNKNOWN');
  const ready: ConditionNow =
    bad === undefined
      ? { type: 'READY', status: 'TRUE', reason: 'ALL_READY', message: groups.map((each) => each.message).join(' ') }
      : { ...bad, type: 'READY' };
  return [ready, apiCondition(controls, wanted.controls), ...groups, faultTolerance(controls, wanted.controls)];
}

const SICK: ReadonlySet<NodeHealth> = new Set(['NOT_READY', 'UNREACHABLE', 'LOST']);

function countOf(nodes: readonly NodeFacts[], health: NodeHealth): number {
  return nodes.filter((node) => node.health === health).length;
}

/** Nodes of a group that are none yet. */
interface Comers {
  joining: number;
  /** Of operations that were given up. */
  left: number;
}

function groupCondition(type: ConditionType, noun: string, nodes: readonly NodeFacts[], wanted: number, { joining, left }: Comers): ConditionNow {
  const ready = countOf(nodes, 'READY');
  const says = `${ready} of ${wanted} ${noun} are ready${joining === 0 ? '' : `, ${joining} are joining`}`;
  if (wanted === 0 && nodes.length === 0) return { type, status: 'TRUE', reason: 'NO_NODES_WANTED', message: `No ${noun} are wanted.` };
  const worst = (
    [
      ['LOST', 'NODES_LOST', 'lost'],
      ['NOT_READY', 'NODES_NOT_READY', 'not ready'],
      ['UNREACHABLE', 'NODES_UNREACHABLE', 'on hosts that do not answer'],
    ] as const
  ).find(([health]) => countOf(nodes, health) > 0);
  if (worst !== undefined) {
    const [health, reason, words] = worst;
    return { type, status: 'FALSE', reason, message: `${says}; ${countOf(nodes, health)} are ${words}.` };
  }
  const missing = wanted - nodes.length - joining;
  if (missing > 0) {
    const over = left === 0 ? '' : `, and ${left} are left over from operations that were given up`;
    return { type, status: 'FALSE', reason: 'NODES_MISSING', message: `${says}; ${missing} are missing${over}.` };
  }
  if (ready < Math.min(wanted, nodes.length)) return { type, status: 'UNKNOWN', reason: 'NOT_OBSERVED', message: `${says}; the others have not been looked at yet.` };
  return { type, status: 'TRUE', reason: 'ALL_READY', message: `${says}.` };
}

const majority = (count: number): number => Math.floor(count / 2) + 1;

function apiCondition(controls: readonly NodeFacts[], wanted: number): ConditionNow {
  const type = ConditionType.API_AVAILABLE;
  const needed = majority(wanted);
  const ready = countOf(controls, 'READY');
  const unknown = countOf(controls, 'UNKNOWN') + countOf(controls, 'UNREACHABLE');
  const says = `${ready} of ${wanted} control nodes are ready, ${needed} must be`;
  if (ready >= needed) return { type, status: 'TRUE', reason: 'QUORUM_READY', message: `${says}.` };
  if (ready + unknown >= needed) return { type, status: 'UNKNOWN', reason: 'QUORUM_UNKNOWN', message: `${says}; nobody can tell of ${unknown} others.` };
  return { type, status: 'FALSE', reason: 'QUORUM_LOST', message: `${says}.` };
}

function faultTolerance(controls: readonly NodeFacts[], wanted: number): ConditionNow {
  const type = ConditionType.FAULT_TOLERANT;
  if (wanted === 1) {
    return { type, status: 'FALSE', reason: 'SINGLE_CONTROL_NODE', message: 'The cluster has one control node, and its state is lost with it.' };
  }
  const ready = controls.filter((node) => node.health === 'READY');
  const spare = ready.length - majority(wanted);
  if (spare <= 0) return { type, status: 'FALSE', reason: 'NO_SPARE_CONTROL_NODE', message: 'The loss of another control node would stop the API.' };
  const [largest = [], ...more] = sharesOf(ready);
  const namesOf = (nodes: readonly NodeFacts[]): string => nodes.map((node) => `"${node.name}"`).join(' and ');
  if (largest.length > spare) {
    const message = `${namesOf(largest)} are on one host, whose loss would stop the API. Replace one of them when another host has room.`;
    return { type, status: 'FALSE', reason: 'CONTROL_NODES_SHARE_HOST', message };
  }
  const others = more.map((nodes) => `, ${namesOf(nodes)} on another`).join('');
  const besides = largest.length === 0 ? '' : ` ${namesOf(largest)} are on one host${others}. Replace one of them when another host has room.`;
  return { type, status: 'TRUE', reason: 'SPARE_CONTROL_NODES', message: `${spare} control nodes may be lost and the API still answers.${besides}` };
}

/** Those that share a host, host by host, the largest share first. */
function sharesOf(nodes: readonly NodeFacts[]): NodeFacts[][] {
  const placed = nodes.filter((node) => node.hostId !== null);
  const shares = [...Map.groupBy(placed, (node) => node.hostId).values()].filter(({ length }) => length > 1);
  return shares.sort((one, other) => other.length - one.length);
}

/** Keeps the times of what has not changed. */
export function foldConditions(before: readonly ClusterCondition[], now: readonly ConditionNow[], at: Date): ClusterCondition[] {
  return now.map((condition) => {
    const known = before.find((each) => each.type === condition.type);
    const same = known?.status === condition.status && known.reason === condition.reason;
    return { ...condition, since: same ? known.since : at.toISOString() };
  });
}

export function sameConditions(one: readonly ClusterCondition[], other: readonly ClusterCondition[]): boolean {
  const key = (list: readonly ClusterCondition[]): string =>
    JSON.stringify(list.map(({ type, status, reason, message, since }) => [type, status, reason, message, since]));
  return key(one) === key(other);
}
