import { Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import type { JsonObject } from '#core';
import type { Reader } from '#database';
import { DateTime, JsonObjectScalar, loader, Long, Node, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf, Problem, toProblem } from '#identity/api';
import { countNodesOfPools } from '../node/cluster-node.sql.js';
import { NodePoolState, type NodePoolRow } from './node-pool.js';
import { findNodePoolsOfClusters, findVisibleNodePools } from './node-pool.sql.js';

registerEnumType(NodePoolState, {
  name: 'NodePoolState',
  description: 'What a node pool is, of what is wanted and what is seen.',
  valuesMap: {
    CREATING: { description: 'Admitted; an operation is making its nodes.' },
    READY: { description: 'All the nodes that are wanted are ready.' },
    DEGRADED: { description: 'Fewer nodes than wanted are ready.' },
    DELETING: { description: 'An operation is taking it away.' },
    FAILED: { description: 'It could not be made, and holds neither infrastructure nor quota. Retry its operation, or remove it.' },
  },
});

@ObjectType({ implements: () => [Node], description: 'Workers of a cluster that are alike.' })
export class NodePool extends Node {
  @Field(() => String, { description: 'Unique in its cluster.' })
  readonly name!: string;

  @Field(() => ID, { description: 'Its cluster.' })
  readonly clusterId!: string;

  @Field(() => Int, { description: 'How many nodes are wanted.' })
  readonly count!: number;

  @Field(() => [ID], { description: 'The zones that its nodes may be in; empty for all that the tenant may use.' })
  readonly zoneIds!: string[];

  @Field(() => JsonObjectScalar, { description: 'Labels that its nodes have in the cluster.' })
  readonly labels!: JsonObject;

  @Field(() => Problem, { nullable: true, description: 'Why it could not be made.' })
  readonly failure!: Problem | null;

  @Field(() => Long, { description: 'Rises with every change of what is wanted; give it back as `expectedVersion`.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  readonly createdAt!: Date;

  /** For field resolvers. */
  readonly row!: NodePoolRow;
}

export function toNodePool(row: NodePoolRow): NodePool {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    clusterId: row.cluster_id,
    count: row.count,
    zoneIds: row.zone_ids,
    labels: row.labels,
    failure: row.failure === null ? null : toProblem(row.failure),
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
    row,
  };
}

/** Of these pools, those that the caller may see. */
export async function loadNodePools(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, NodePool>> {
  const rows = await reader.rows(findVisibleNodePools, ...accessOf(context).filter('node pool'), [...ids]);
  return new Map(rows.map((row) => [row.id, toNodePool(row)]));
}

export async function loadNodePool(reader: Reader, context: GraphqlContext, id: unknown): Promise<NodePool | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, NodePool>(context, 'clusters.node_pool', (ids) => loadNodePools(reader, context, ids)).load(id)) ?? null;
}

/** The pools of a cluster, by name. */
export async function loadPoolsOf(reader: Reader, context: GraphqlContext, clusterId: string): Promise<NodePool[]> {
  const load = loader<string, NodePool[]>(context, 'clusters.node_pools', async (ids) => {
    const rows = await reader.rows(findNodePoolsOfClusters, [...ids]);
    const seen = rows.filter((row) => accessOf(context).sees('node pool', placeOfRow(row)));
    return Map.groupBy(seen.map(toNodePool), (pool) => pool.clusterId);
  });
  return (await load.load(clusterId)) ?? [];
}

/** How many nodes of a pool are ready. */
export async function loadReadyCount(reader: Reader, context: GraphqlContext, poolId: string): Promise<number> {
  const load = loader<string, number>(context, 'clusters.ready_nodes', async (ids) => {
    const rows = await reader.rows(countNodesOfPools, [...ids]);
    return new Map(rows.map((row) => [row.pool_id, row.ready]));
  });
  return (await load.load(poolId)) ?? 0;
}
