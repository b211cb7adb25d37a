import type { ErrorCode, ErrorRecord, Fault, JsonObject } from '#core';
import type { Reader } from '#database';
import { findHoldingOperations, readBlockers, withoutStranger, type BlockerRow } from '#operations';
import { readClusterFacts, type ClusterFacts, type NodeFacts } from '../guest/cluster-facts.js';
import { leftOver } from '../health/healing.js';
import { findObservations, type ObservationRow } from '../health/observation.sql.js';
import { explainHealth } from '../node/cluster-node.js';

/** What keeps a cluster from being as it shall be, walked down to where it begins. */
export interface RootCause {
  code: ErrorCode;
  /** For people. */
  message: string;
  /** Whose it is to mend. */
  fault: Fault;
  since: Date;
  /** What would mend it, for people. */
  remedy: string | null;
  data: JsonObject | null;
  /** Where it begins: a host, a machine, a node, a pool, or what an operation works on. */
  resourceId: string;
  /** The operation that is held up by it, if any. */
  operationId: string | null;
  /** Nodes and other things of the cluster that suffer from it. */
  affectedIds: string[];
}

export interface BlockersOptions {
  /** Hosts are named to operators only; others are told of the node whose host it is. */
  showHosts: boolean;
}

/** Of any number of clusters, by a number of statements that does not grow with them. Empty lists where all is well. */
export async function findRootCauses(
  reader: Reader,
  clusterIds: readonly string[],
  options: BlockersOptions,
): Promise<Map<string, RootCause[]>> {
  const holding = await reader.rows(findHoldingOperations, [...clusterIds]);
  const clusters = await readClusterFacts(reader, clusterIds);
  const ids = clusters.map((facts) => facts.row.id);
  const rows = await reader.rows(readBlockers, [...new Set(holding.map((operation) => operation.id))]);
  const observations = new Map((await reader.rows(findObservations, ids)).map((row) => [row.cluster_id, row]));
  const causes = new Map<string, RootCause[]>();
  for (const facts of clusters) {
    const { id } = facts.row;
    const operationIds = new Set(holding.filter((operation) => operation.held_resource_id === id).map((operation) => operation.id));
    const own = rows.filter((row) => operationIds.has(row.top_id));
    causes.set(id, [...own.map((row) => ofOperation(row, options)), ...ofFailures(facts), ...ofNodes(facts, options), ...(operationIds.size === 0 ? ofLeftOver(facts) : []), ...ofHealing(facts, observations.get(id))]);
  }
  return causes;
}

/** What keeps one cluster from being as it shall be. */
export async function blockers(reader: Reader, clusterId: string, options: BlockersOptions): Promise<RootCause[]> {
  return (await findRootCauses(reader, [clusterId], options)).get(clusterId) ?? [];
}

function ofOperation(found: BlockerRow, { showHosts }: BlockersOptions): RootCause {
  const row = found.tenant_id === null && !showHosts ? withoutStranger(found) : found;
  const { code, message, fault, since, remedy, data } = row.blocker;
  return {
    code,
    message,
    fault,
    since: new Date(since),
    remedy: remedy ?? null,
    data: data ?? null,
    resourceId: row.resource_id,
    operationId: row.operation_id,
    affectedIds: [row.resource_id],
  };
}

function ofFailures({ row, pools }: ClusterFacts): RootCause[] {
  if (row.lifecycle === 'FAILED' && row.failure !== null) {
    return [ofRecord(row.failure, row.id, row.updated_at, 'Retry the operation that failed, or delete the cluster.')];
  }
  return pools.flatMap((pool) =>
    pool.lifecycle === 'FAILED' && pool.failure !== null
      ? [ofRecord(pool.failure, pool.id, pool.updated_at, 'Retry the operation that failed, or remove the node pool.')]
      : [],
  );
}

function ofRecord(record: ErrorRecord, resourceId: string, since: Date, remedy: string): RootCause {
  const { code, message, fault, data } = record;
  return { code, message, fault, since, remedy, data: data ?? null, resourceId, operationId: null, affectedIds: [resourceId] };
}

/** One cause a host, however many nodes it takes down; else each sick node is its own. */
function ofNodes({ row, nodes }: ClusterFacts, options: BlockersOptions): RootCause[] {
  if (row.lifecycle !== 'PRESENT') return [];
  const sick = nodes.filter((node) => node.row.phase === 'JOINED' && ['NOT_READY', 'UNREACHABLE', 'LOST'].includes(node.row.health));
  const isDown = (node: NodeFacts): boolean => node.hostState === 'DOWN' || node.hostState === 'FENCED' || node.hostState === 'UNKNOWN';
  const byHost = Map.groupBy(sick.filter(isDown), (node) => node.host?.id ?? '');
  return [
    ...[...byHost.values()].map((group) => ofHost(group, options)),
    ...sick.filter((node) => !isDown(node)).map(ofNode),
  ];
}

function ofHost(group: readonly NodeFacts[], { showHosts }: BlockersOptions): RootCause {
  const [first] = group as [NodeFacts];
  const { host, hostState } = first;
  const names = group.map((node) => `"${node.row.name}"`).join(', ');
  const which = showHosts && host !== undefined ? `Host "${host.name}"` : 'A host';
  const isProven = hostState === 'FENCED';
  const message = isProven ? `${which} is down and proven to be off, and with it ${names}.` : `${which} does not answer: ${names} may run or not.`;
  const remedy = isProven
    ? 'The nodes are replaced one by one; see the condition HEALABLE.'
    : 'Bring the host back, or prove that it is off; then the nodes are replaced.';
  return {
    code: 'UNAVAILABLE',
    message,
    fault: 'OPERATOR',
    since: host?.health_since ?? first.row.health_since,
    remedy,
    data: { hostState: hostState ?? 'UNKNOWN', ...(showHosts && host?.health_reason != null ? { reason: host.health_reason } : {}) },
    resourceId: showHosts && host !== undefined ? host.id : first.row.id,
    operationId: null,
    affectedIds: group.map((node) => node.row.id),
  };
}

function ofNode({ row, machine }: NodeFacts): RootCause {
  const isMachines = row.health_reason === 'MACHINE_NOT_RUNNING' || row.health_reason === 'MACHINE_GONE' || row.health_reason === 'BACKEND_SILENT';
  return {
    code: isMachines ? 'BACKEND_FAILED' : 'UNAVAILABLE',
    message: `Node "${row.name}": ${explainHealth(row.health_reason)}`,
    fault: isMachines ? 'OPERATOR' : 'SYSTEM',
    since: row.health_since,
    remedy: 'If it does not mend by itself it is replaced, or at once by replaceClusterNode.',
    data: { reason: row.health_reason },
    resourceId: isMachines && machine !== undefined ? machine.id : row.id,
    operationId: null,
    affectedIds: [row.id],
  };
}

/** Nodes on their way in or out, when nobody is at work on the cluster. Of a pool that is FAILED it has been said why. */
function ofLeftOver({ row, nodes, pools }: ClusterFacts): RootCause[] {
  if (row.lifecycle !== 'PRESENT') return [];
  const present = pools.filter((pool) => pool.lifecycle === 'PRESENT');
  const poolIds = new Set<string | null>([null, ...present.map((pool) => pool.id)]);
  const replaced = new Set(leftOver({ nodes, pools: present, controlCount: row.control_count, holder: null }));
  return nodes
    .filter((node) => node.row.phase !== 'JOINED' && poolIds.has(node.row.pool_id))
    .map((node) => ({
      code: 'INVALID_STATE',
      message: `Node "${node.row.name}" is ${node.row.phase}, and the operation that was at it has been given up.`,
      fault: 'OPERATOR',
      since: node.row.updated_at,
      remedy: replaced.has(node)
        ? 'It is replaced by itself; see the condition HEALABLE. Or at once by replaceClusterNode.'
        : 'It is more than is wanted: scaleNodePool to the count that the pool has takes it away.',
      data: { phase: node.row.phase },
      resourceId: node.row.id,
      operationId: null,
      affectedIds: [node.row.id],
    }));
}

const HEALING_REMEDIES: Record<string, string> = {
  QUORUM_LOST: 'Bring lost hosts back; without a majority of control nodes the cluster must be restored or made anew.',
  TOO_MANY_SICK: 'Look for a common fault first, in the network or in what looks at the nodes; of a host that is really off, prove or attest it: with all its nodes it counts once then. Or replace nodes by replaceClusterNode.',
  OPERATION_IN_PROGRESS: 'Wait until it has ended; one that is STUCK must be retried or abandoned by an operator.',
  HEALING_FAILED: 'Mend the cause; it is tried again by itself a few times, and at any time by replaceClusterNode.',
  REPLACEMENT_REFUSED: 'Make room for a replacement, in the quota or on the hosts.',
};

/** Why nodes that should be replaced are not; that a host is not fenced shows with the host. */
function ofHealing({ row }: ClusterFacts, observation: ObservationRow | undefined): RootCause[] {
  if (row.lifecycle !== 'PRESENT') return [];
  const condition = row.conditions.find((each) => each.type === 'HEALABLE' && each.status === 'FALSE');
  const remedy = condition === undefined ? undefined : HEALING_REMEDIES[condition.reason];
  if (condition === undefined || remedy === undefined) return [];
  const known = condition.reason === 'HEALING_FAILED' || condition.reason === 'REPLACEMENT_REFUSED';
  const record = known ? (observation?.heal_error ?? null) : null;
  return [
    {
      code: record?.code ?? 'UNAVAILABLE',
      message: condition.message,
      fault: record?.fault ?? 'OPERATOR',
      since: new Date(condition.since),
      remedy,
      data: record?.data ?? null,
      resourceId: row.id,
      operationId: null,
      affectedIds: [row.id],
    },
  ];
}
