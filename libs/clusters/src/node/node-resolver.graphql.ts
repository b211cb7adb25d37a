import { Args, ArgsType, Context, Field, ID, Info, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { loadVirtualMachine, VirtualMachine } from '#compute/api';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '#identity/api';
import { ClusterNode, loadClusterNodes, toClusterNode } from './cluster-node.graphql.js';
import { NodeRole } from './cluster-node.js';
import { clusterNodes } from './cluster-node.sql.js';

const NodeOrder = { CREATED: 'CREATED', NAME: 'NAME' } as const;
type NodeOrder = (typeof NodeOrder)[keyof typeof NodeOrder];
registerEnumType(NodeOrder, {
  name: 'ClusterNodeOrder',
  description: 'The order of a list of nodes.',
  valuesMap: { CREATED: { description: 'The oldest first.' }, NAME: { description: 'By name.' } },
});

const ClusterNodeConnection = connectionOf(ClusterNode);

@ArgsType()
class ClusterNodesArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this cluster.' })
  readonly clusterId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this node pool.' })
  readonly nodePoolId?: string | null;

  @Field(() => NodeRole, { nullable: true, description: 'Only those of this role.' })
  readonly role?: NodeRole | null;

  @Field(() => NodeOrder, { nullable: true, description: 'CREATED if not given.' })
  readonly order?: NodeOrder | null;
}

@Authenticated()
@Resolver(() => ClusterNode)
export class ClusterNodeResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'nod', typeName: 'ClusterNode', load: (ids, context) => loadClusterNodes(database, context, ids) });
  }

  @Query(() => ClusterNodeConnection, { description: 'Nodes of clusters that the caller may see.' })
  clusterNodes(
    @Args() args: ClusterNodesArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<ClusterNode>> {
    const { clusterId, nodePoolId, role } = args;
    const parameters: Parameters<typeof clusterNodes.count>[1] = [
      ...accessOf(context).filter('node'),
      clusterId ?? null,
      nodePoolId ?? null,
      role ?? null,
      null,
    ];
    const source = listSource(clusterNodes, this.database, parameters, args.order ?? 'CREATED');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toClusterNode);
  }

  // No parameter decorators: called once a row of a list.
  @ResolveField('virtualMachine', () => VirtualMachine, { nullable: true, description: 'Its machine; null when that is gone.' })
  virtualMachine(node: ClusterNode, _args: unknown, context: GraphqlContext): Promise<VirtualMachine | null> {
    return loadVirtualMachine(this.database, context, node.virtualMachineId);
  }
}
