import { Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { ErrorCode, Fault, type JsonObject } from '#core';
import type { Reader } from '#database';
import { DateTime, JsonObjectScalar, loader, Long, Node, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf, Problem, toProblem } from '#identity/api';
import { findFloatingIpsOfTargets, findLoadBalancers } from '#network';
import { findRootCauses, type RootCause } from '../blockers/blockers.js';
import { blueprintOf } from '../blueprint/blueprints.js';
import { ConditionReason, ConditionType, type ClusterCondition as Condition } from '../health/conditions.js';
import { ClusterKind } from '../version/cluster-version.js';
import { ClusterState, clusterState, type ClusterRow } from './cluster.js';
import { findVisibleClusters } from './cluster.sql.js';

registerEnumType(ClusterState, {
  name: 'ClusterState',
  description: 'What a cluster is, of what is wanted and what is seen.',
  valuesMap: {
    CREATING: { description: 'Admitted with everything that it stands on; an operation is making it.' },
    READY: { description: 'All its nodes are ready.' },
    DEGRADED: { description: 'Its API answers, but not all its nodes are ready.' },
    UNAVAILABLE: { description: 'Too few control nodes are ready for its API to answer, or nobody can tell.' },
    DELETING: { description: 'An operation is taking it away.' },
    FAILED: { description: 'It could not be made, and holds neither infrastructure nor quota. Retry its operation, or delete it.' },
  },
});
registerEnumType(ConditionType, {
  name: 'ClusterConditionType',
  description: 'What a condition speaks of.',
  valuesMap: {
    READY: { description: 'Whether all nodes that are wanted are there and ready.' },
    API_AVAILABLE: { description: 'Whether enough control nodes are ready to agree, so that the cluster\'s API answers.' },
    CONTROL_NODES_READY: { description: 'Whether all control nodes are ready.' },
    WORKERS_READY: { description: 'Whether all workers are ready.' },
    FAULT_TOLERANT: { description: 'Whether one more control node may be lost, or a host with all that it has, and the API still answers.' },
    HEALABLE: { description: 'Whether lost nodes can be replaced; what would stand in the way shows before it is needed.' },
  },
});
const REASONS: Record<ConditionReason, string> = {
  ALL_READY: 'All are ready.',
  NOT_OBSERVED: 'Not all have been looked at yet.',
  QUORUM_READY: 'Enough control nodes are ready to agree.',
  QUORUM_UNKNOWN: 'Nobody can tell whether enough control nodes are ready to agree.',
  QUORUM_LOST: 'Too few control nodes are left to agree.',
  NODES_MISSING: 'There are fewer nodes than are wanted.',
  NODES_NOT_READY: 'Some nodes say that they are not ready.',
  NODES_UNREACHABLE: 'Some nodes are on hosts that do not answer.',
  NODES_LOST: 'Some nodes are lost.',
  NO_NODES_WANTED: 'None are wanted.',
  SPARE_CONTROL_NODES: 'There are more control nodes than must agree.',
  SINGLE_CONTROL_NODE: 'There is one control node only.',
  NO_SPARE_CONTROL_NODE: 'There are just as many control nodes as must agree.',
  CONTROL_NODES_SHARE_HOST: 'So many control nodes are on one host that the API would go with it.',
  NOTHING_TO_HEAL: 'No node needs to be replaced.',
  HEALING: 'A node is being replaced.',
  OPERATION_IN_PROGRESS: 'A node is to be replaced when the operation that the message names has ended.',
  TOO_MANY_SICK: 'Nodes are sick by so many faults at once that the cause may lie elsewhere; a host that is proven to be off is one fault, with all its nodes.',
  HOST_NOT_FENCED: 'A host does not answer and is not proven to be off.',
  HEALING_FAILED: 'Healing has failed.',
  REPLACEMENT_REFUSED: 'There is no room for a replacement, in the quota or on the hosts.',
};
registerEnumType(ConditionReason, {
  name: 'ClusterConditionReason',
  description: 'Why a condition holds or does not.',
  valuesMap: Object.fromEntries(Object.entries(REASONS).map(([reason, description]) => [reason, { description }])),
});
export const ClusterConditionStatus = { TRUE: 'TRUE', FALSE: 'FALSE', UNKNOWN: 'UNKNOWN' } as const;
registerEnumType(ClusterConditionStatus, {
  name: 'ClusterConditionStatus',
  description: 'Whether a condition holds.',
  valuesMap: { TRUE: { description: 'It holds.' }, FALSE: { description: 'It does not.' }, UNKNOWN: { description: 'Nobody can tell.' } },
});

@ObjectType('ClusterCondition', { description: 'One thing that is or is not right with a cluster, and why.' })
export class ClusterConditionShown {
  @Field(() => ConditionType, { description: 'What it speaks of.' })
  readonly type!: ConditionType;

  @Field(() => ClusterConditionStatus, { description: 'Whether it holds.' })
  readonly status!: Condition['status'];

  @Field(() => ConditionReason, { description: 'The reason, from a closed list.' })
  readonly reason!: ConditionReason;

  @Field(() => String, { description: 'The reason, for people.' })
  readonly message!: string;

  @Field(() => DateTime, { description: 'Since when it has been so, for this reason.' })
  readonly since!: Date;
}

@ObjectType({ description: 'What keeps a cluster from being as it shall be, walked down to where it begins.' })
export class ClusterBlocker {
  @Field(() => ErrorCode, { description: 'From a closed list.' })
  readonly code!: ErrorCode;

  @Field(() => String, { description: 'What it is, for people.' })
  readonly message!: string;

  @Field(() => Fault, { description: 'Whose it is to mend.' })
  readonly fault!: Fault;

  @Field(() => DateTime, { description: 'Since when.' })
  readonly since!: Date;

  @Field(() => String, { nullable: true, description: 'What would mend it.' })
  readonly remedy!: string | null;

  @Field(() => JsonObjectScalar, { nullable: true, description: 'Numbers and names that explain it.' })
  readonly data!: JsonObject | null;

  @Field(() => ID, { description: 'Where it begins: a host (for operators), a machine, a node, a node pool, or what an operation works on.' })
  readonly resourceId!: string;

  @Field(() => ID, { nullable: true, description: 'The operation that is held up by it, if any.' })
  readonly operationId!: string | null;

  @Field(() => [ID], { description: 'The nodes and other things of the cluster that suffer from it.' })
  readonly affectedIds!: string[];
}

@ObjectType({ implements: () => [Node], description: 'A cluster of virtual machines that a team\'s own tools accept as real.' })
export class Cluster extends Node {
  @Field(() => String, { description: 'Unique in its project.' })
  readonly name!: string;

  @Field(() => ID, { description: 'Its tenant.' })
  readonly tenantId!: string;

  @Field(() => ID, { description: 'Its project.' })
  readonly projectId!: string;

  @Field(() => ClusterKind, { description: 'What kind of cluster.' })
  readonly kind!: ClusterKind;

  @Field(() => ClusterState, { description: 'What it is.' })
  readonly state!: ClusterState;

  @Field(() => [ClusterConditionShown], { description: 'What is or is not right with it, and why; empty while it is being made.' })
  readonly conditions!: ClusterConditionShown[];

  @Field(() => Problem, { nullable: true, description: 'Why it could not be made.' })
  readonly failure!: Problem | null;

  @Field(() => Int, { description: 'How many control nodes are wanted: 1, 3 or 5.' })
  readonly controlNodeCount!: number;

  @Field(() => ID, { nullable: true, description: 'The network that its nodes are in.' })
  readonly networkId!: string | null;

  @Field(() => Boolean, { description: 'Whether the network was made with it and goes with it.' })
  readonly ownsNetwork!: boolean;

  @Field(() => ID, { nullable: true, description: 'The load balancer in front of its API.' })
  readonly loadBalancerId!: string | null;

  @Field(() => DateTime, { nullable: true, description: 'When it is deleted by itself; null for never.' })
  readonly expiresAt!: Date | null;

  @Field(() => Long, { description: 'Rises with every change of what is wanted; give it back as `expectedVersion`.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  readonly createdAt!: Date;

  @Field(() => DateTime, { description: 'When it last changed.' })
  readonly updatedAt!: Date;

  /** For field resolvers. */
  readonly row!: ClusterRow;
}

export function toCluster(row: ClusterRow): Cluster {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    kind: row.kind,
    state: clusterState(row),
    conditions: row.conditions.map((condition) => ({ ...condition, since: new Date(condition.since) })),
    failure: row.failure === null ? null : toProblem(row.failure),
    controlNodeCount: row.control_count,
    networkId: row.network_id,
    ownsNetwork: row.owns_network,
    loadBalancerId: row.load_balancer_id,
    expiresAt: row.expires_at,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    row,
  };
}

/** Of these clusters, those that the caller may see. */
export async function loadClusters(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, Cluster>> {
  const rows = await reader.rows(findVisibleClusters, ...accessOf(context).filter('cluster'), [...ids]);
  return new Map(rows.map((row) => [row.id, toCluster(row)]));
}

/** One cluster, looked up together with all others that the request asks for; null when the caller may not see it. */
export async function loadCluster(reader: Reader, context: GraphqlContext, id: unknown): Promise<Cluster | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, Cluster>(context, 'clusters.cluster', (ids) => loadClusters(reader, context, ids)).load(id)) ?? null;
}

/** Where the API answers, as the kind's own tools write it; null while there is no load balancer. */
export async function loadApiEndpoint(reader: Reader, context: GraphqlContext, cluster: Cluster): Promise<string | null> {
  const { load_balancer_id: id, kind } = cluster.row;
  if (id === null) return null;
  const load = loader<string, string>(context, 'clusters.api_address', async (ids) => {
    const rows = await reader.rows(findLoadBalancers, [...ids]);
    const outside = await reader.rows(findFloatingIpsOfTargets, [...ids]);
    const inside = rows.flatMap((row) => (row.address === null ? [] : [[row.id, row.address] as const]));
    // What clients outside reach goes before what only the network does.
    return new Map([...inside, ...outside.flatMap((row) => (row.load_balancer_id === null ? [] : [[row.load_balancer_id, row.address] as const]))]);
  });
  const address = await load.load(id);
  return address === undefined ? null : blueprintOf(kind).apiEndpoint(address);
}

export async function loadRootCauses(reader: Reader, context: GraphqlContext, clusterId: string): Promise<RootCause[]> {
  const showHosts = accessOf(context).seesInfrastructure;
  const load = loader<string, RootCause[]>(context, 'clusters.blockers', (ids) => findRootCauses(reader, ids, { showHosts }));
  return (await load.load(clusterId)) ?? [];
}
