import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { notFound, type JsonObject } from '#core';
import { Flavor, loadFlavor } from '#compute/api';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, JsonObjectScalar, Long, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, CommandInput } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { given } from '../given.js';
import { ClusterNode, loadNodesOf } from '../node/cluster-node.graphql.js';
import { loadNodePool, loadNodePools, loadReadyCount, NodePool, toNodePool } from './node-pool.graphql.js';
import { nodePoolState, NodePoolState } from './node-pool.js';
import { NodePoolService, type CreateNodePoolInput as CreatePool, type NodePoolChangeOptions } from './node-pool.service.js';
import { nodePools } from './node-pool.sql.js';

@InputType({ description: 'A node pool of a new cluster.' })
export class NodePoolInput {
  @Field(() => String, { description: 'Unique in its cluster.' })
  readonly name!: string;

  @Field(() => String, { description: 'Id or name of the flavor of its nodes.' })
  readonly flavor!: string;

  @Field(() => Int, { description: 'How many nodes, 0 to 200.' })
  readonly count!: number;

  @Field(() => [String], { nullable: true, description: 'Ids or names of zones; all that the tenant may use if not given.' })
  readonly zones?: string[] | null;

  @Field(() => JsonObjectScalar, { nullable: true, description: 'Labels that its nodes get in the cluster: texts by name.' })
  readonly labels?: JsonObject | null;
}

@InputType({ description: 'A new node pool.' })
export class CreateNodePoolInput extends NodePoolInput {
  @Field(() => ID, { description: 'For which cluster.' })
  readonly clusterId!: string;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'How many nodes a pool shall have.' })
export class ScaleNodePoolInput extends CommandInput {
  @Field(() => ID, { description: 'Which pool.' })
  readonly id!: string;

  @Field(() => Int, { description: 'How many nodes, 0 to 200.' })
  readonly count!: number;

  @Field(() => Long, { nullable: true, description: 'Refused with CONFLICT when the pool\'s `version` is another.' })
  readonly expectedVersion?: number | null;
}

@InputType({ description: 'Which node pool to remove.' })
export class DeleteNodePoolInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refused with CONFLICT when the pool\'s `version` is another.' })
  readonly expectedVersion?: number | null;
}

@ObjectType({ isAbstract: true })
abstract class NodePoolPayload extends OperationPayload {
  @Field(() => NodePool, { nullable: true, description: 'The pool; null of a dry run.' })
  readonly nodePool!: NodePool | null;
}

@ObjectType({ description: 'The node pool that is being made.' })
export class CreateNodePoolPayload extends NodePoolPayload {}

@ObjectType({ description: 'The node pool whose size changes.' })
export class ScaleNodePoolPayload extends NodePoolPayload {}

@ObjectType({ description: 'The node pool that is being removed.' })
export class DeleteNodePoolPayload extends NodePoolPayload {}

const NodePoolConnection = connectionOf(NodePool);

@ArgsType()
class NodePoolsArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this cluster.' })
  readonly clusterId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;
}

@Authenticated()
@Resolver(() => NodePool)
export class NodePoolResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: NodePoolService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'npl', typeName: 'NodePool', load: (ids, context) => loadNodePools(database, context, ids) });
  }

  @Query(() => NodePool, { description: 'One node pool.' })
  async nodePool(@Args('id', { type: () => ID, description: 'Its id.' }) id: string, @Context() context: GraphqlContext): Promise<NodePool> {
    const found = await loadNodePool(this.database, context, id);
    if (found === null) throw notFound('node pool', id, 'id');
    return found;
  }

  @Query(() => NodePoolConnection, { description: 'Node pools that the caller may see, by name.' })
  nodePools(
    @Args() args: NodePoolsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<NodePool>> {
    const parameters: Parameters<typeof nodePools.count>[1] = [...accessOf(context).filter('node pool'), args.clusterId ?? null, args.name ?? null];
    const source = listSource(nodePools, this.database, parameters, 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toNodePool);
  }

  // No parameter decorators below: called once a row of a list.
  @ResolveField('state', () => NodePoolState, { description: 'What it is.' })
  async state(pool: NodePool, _args: unknown, context: GraphqlContext): Promise<NodePoolState> {
    return nodePoolState(pool.row, await loadReadyCount(this.database, context, pool.id));
  }

  @ResolveField('readyCount', () => Int, { description: 'How many of its nodes are ready.' })
  readyCount(pool: NodePool, _args: unknown, context: GraphqlContext): Promise<number> {
    return loadReadyCount(this.database, context, pool.id);
  }

  @ResolveField('flavor', () => Flavor, { nullable: true, description: 'The size of its nodes.' })
  flavor(pool: NodePool, _args: unknown, context: GraphqlContext): Promise<Flavor | null> {
    return loadFlavor(this.database, context, pool.row.flavor_id);
  }

  @ResolveField('nodes', () => [ClusterNode], { description: 'Its nodes, the oldest first; also those on their way in or out.' })
  async nodes(pool: NodePool, _args: unknown, context: GraphqlContext): Promise<ClusterNode[]> {
    return (await loadNodesOf(this.database, context, pool.clusterId)).filter((node) => node.nodePoolId === pool.id);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The operation that holds it now.' })
  currentOperation(pool: NodePool, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, pool.id);
  }

  @Mutation(() => CreateNodePoolPayload, { description: 'Gives a cluster another node pool; its nodes are admitted at once and join.' })
  async createNodePool(
    @Args('input', { type: () => CreateNodePoolInput, description: 'What to make.' }) input: CreateNodePoolInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateNodePoolPayload> {
    const { dryRun, ...rest } = input;
    // The service checks what the types do not say: labels are texts.
    const wanted = given(rest) as unknown as CreatePool;
    const outcome = await this.service.create(accessOf(context), wanted, { dryRun: dryRun ?? false, idempotencyKey: context.idempotencyKey });
    return this.payload(outcome, context, outcome.result.id);
  }

  @Mutation(() => ScaleNodePoolPayload, {
    description:
      'Gives a pool more nodes, which join, or fewer: the sickest and then the youngest are drained and go. With the count that it has, what operations that were given up have left beyond it goes. Refused while the control nodes cannot agree.',
  })
  async scaleNodePool(
    @Args('input', { type: () => ScaleNodePoolInput, description: 'Which, and how many.' }) input: ScaleNodePoolInput,
    @Context() context: GraphqlContext,
  ): Promise<ScaleNodePoolPayload> {
    const { id, count } = input;
    const outcome = await this.service.scale(accessOf(context), { id, count }, options(input, context));
    return this.payload(outcome, context, outcome.result.id);
  }

  @Mutation(() => DeleteNodePoolPayload, { description: 'Drains the nodes of a pool and takes it away; undrained, as the plan says, while the control nodes cannot agree.' })
  async deleteNodePool(
    @Args('input', { type: () => DeleteNodePoolInput, description: 'Which.' }) input: DeleteNodePoolInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteNodePoolPayload> {
    const outcome = await this.service.delete(accessOf(context), input.id, options(input, context));
    return this.payload(outcome, context, outcome.result.id);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext, id: unknown) {
    const payload = await toOperationPayload(this.database, context, outcome);
    return { ...payload, nodePool: outcome.plan === null ? await loadNodePool(this.database, context, id) : null };
  }
}

function options(input: { expectedVersion?: number | null; dryRun?: boolean | null }, context: GraphqlContext): NodePoolChangeOptions {
  return { expectedVersion: input.expectedVersion ?? undefined, dryRun: input.dryRun ?? false, idempotencyKey: context.idempotencyKey };
}
