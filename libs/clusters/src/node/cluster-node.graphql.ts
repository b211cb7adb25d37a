import { Field, ID, ObjectType, registerEnumType } from '@nestjs/graphql';
import type { Reader } from '#database';
import { DateTime, loader, Long, Node, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf } from '#identity/api';
import { explainHealth, NodeHealthReason, NodeRole, NodeState, nodeState, type ClusterNodeRow } from './cluster-node.js';
import { findNodesOfClusters, findVisibleNodes } from './cluster-node.sql.js';

registerEnumType(NodeRole, {
  name: 'ClusterNodeRole',
  description: 'What a node is for.',
  valuesMap: {
    CONTROL: { description: 'It runs the cluster itself: its API and its memory.' },
    WORKER: { description: 'It runs what people put into the cluster.' },
  },
});
registerEnumType(NodeState, {
  name: 'ClusterNodeState',
  description: 'What a node is, of what is wanted and what is seen.',
  valuesMap: {
    JOINING: { description: 'Admitted; an operation is making it and lets it join.' },
    READY: { description: 'It says that it takes its part.' },
    NOT_READY: { description: 'It answers and says that it is not ready, or its machine does not run.' },
    UNREACHABLE: { description: 'Its host or backend does not answer: it may run or not.' },
    LOST: { description: 'Its host is proven to be off, or its machine is gone; it is replaced.' },
    UNKNOWN: { description: 'It has not been looked at yet.' },
    DRAINING: { description: 'What runs on it is going elsewhere; then it goes.' },
    REMOVING: { description: 'It is being taken away.' },
  },
});
registerEnumType(NodeHealthReason, {
  name: 'ClusterNodeHealthReason',
  description: 'Why a node\'s health is what it is.',
  valuesMap: Object.fromEntries(Object.values(NodeHealthReason).map((reason) => [reason, { description: explainHealth(reason) }])),
});

@ObjectType({ implements: () => [Node], description: 'A machine\'s place in a cluster.' })
export class ClusterNode extends Node {
  @Field(() => String, { description: 'The machine\'s name, and by that the guest\'s host name.' })
  readonly name!: string;

  @Field(() => ID, { description: 'Its cluster.' })
  readonly clusterId!: string;

  @Field(() => ID, { nullable: true, description: 'Its node pool; null of control nodes.' })
  readonly nodePoolId!: string | null;

  @Field(() => ID, { description: 'Its machine.' })
  readonly virtualMachineId!: string;

  @Field(() => NodeRole, { description: 'What it is for.' })
  readonly role!: NodeRole;

  @Field(() => NodeState, { description: 'What it is.' })
  readonly state!: NodeState;

  @Field(() => NodeHealthReason, { description: 'Why its health is what it is.' })
  readonly healthReason!: NodeHealthReason;

  @Field(() => String, { description: 'The same, for people.' })
  readonly healthMessage!: string;

  @Field(() => DateTime, { description: 'Since when its health has been so.' })
  readonly healthSince!: Date;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  readonly createdAt!: Date;
}

export function toClusterNode(row: ClusterNodeRow): ClusterNode {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    clusterId: row.cluster_id,
    nodePoolId: row.pool_id,
    virtualMachineId: row.machine_id,
    role: row.role,
    state: nodeState(row),
    healthReason: row.health_reason,
    healthMessage: explainHealth(row.health_reason),
    healthSince: row.health_since,
    revision: row.revision,
    createdAt: row.created_at,
  };
}

/** Of these nodes, those that the caller may see. */
export async function loadClusterNodes(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, ClusterNode>> {
  const rows = await reader.rows(findVisibleNodes, ...accessOf(context).filter('node'), [...ids]);
  return new Map(rows.map((row) => [row.id, toClusterNode(row)]));
}

/** The nodes of a cluster that the caller may see, the oldest first. */
export async function loadNodesOf(reader: Reader, context: GraphqlContext, clusterId: string): Promise<ClusterNode[]> {
  const load = loader<string, ClusterNode[]>(context, 'clusters.nodes', async (ids) => {
    const rows = await reader.rows(findNodesOfClusters, [...ids]);
    const seen = rows.filter((row) => accessOf(context).sees('node', placeOfRow(row)));
    return Map.groupBy(seen.map(toClusterNode), (node) => node.clusterId);
  });
  return (await load.load(clusterId)) ?? [];
}
