import { Args, ArgsType, Context, Field, ID, Info, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Flavor, loadFlavor } from '#compute/api';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '#identity/api';
import { loadCurrentOperation, Operation } from '#operations/api';
import { ClusterNode, loadNodesOf } from '../node/cluster-node.graphql.js';
import { loadPoolsOf, NodePool } from '../node-pool/node-pool.graphql.js';
import { ClusterVersion, loadClusterVersion } from '../version/cluster-version.graphql.js';
import { ClusterKind } from '../version/cluster-version.js';
import { Cluster, ClusterBlocker, loadApiEndpoint, loadCluster, loadClusters, loadRootCauses, toCluster } from './cluster.graphql.js';
import { clusters, findClusterByName } from './cluster.sql.js';

const ClusterOrder = { CREATED: 'CREATED', NEWEST: 'NEWEST', NAME: 'NAME' } as const;
type ClusterOrder = (typeof ClusterOrder)[keyof typeof ClusterOrder];
registerEnumType(ClusterOrder, {
  name: 'ClusterOrder',
  description: 'The order of a list of clusters.',
  valuesMap: {
    CREATED: { description: 'The oldest first.' },
    NEWEST: { description: 'The newest first.' },
    NAME: { description: 'By name.' },
  },
});

const ClusterConnection = connectionOf(Cluster);

@ArgsType()
class ClusterArguments {
  @Field(() => ID, { nullable: true, description: 'Its id.' })
  readonly id?: string | null;

  @Field(() => ID, { nullable: true, description: 'Its project; with its name, instead of the id.' })
  readonly projectId?: string | null;

  @Field(() => String, { nullable: true, description: 'Its name in the project.' })
  readonly name?: string | null;
}

@ArgsType()
class ClustersArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;

  @Field(() => ClusterKind, { nullable: true, description: 'Only those of this kind.' })
  readonly kind?: ClusterKind | null;

  @Field(() => ClusterOrder, { nullable: true, description: 'CREATED if not given.' })
  readonly order?: ClusterOrder | null;
}

@Authenticated()
@Resolver(() => Cluster)
export class ClusterResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'cls', typeName: 'Cluster', load: (ids, context) => loadClusters(database, context, ids) });
  }

  @Query(() => Cluster, { description: 'One cluster, by id, or by project and name.' })
  async cluster(@Args() { id, projectId, name }: ClusterArguments, @Context() context: GraphqlContext): Promise<Cluster> {
    const byName = projectId != null && name != null;
    if (byName === (id != null)) throw invalidInput('id', 'Give either the id, or the project and the name.');
    const [row] = byName ? await this.database.rows(findClusterByName, projectId, name) : [];
    const found = await loadCluster(this.database, context, byName ? row?.id : id);
    if (found === null) throw notFound('cluster', String(byName ? name : id), byName ? 'name' : 'id');
    return found;
  }

  @Query(() => ClusterConnection, { description: 'Clusters that the caller may see.' })
  clusters(
    @Args() args: ClustersArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Cluster>> {
    const { projectId, tenantId, name, kind } = args;
    const parameters: Parameters<typeof clusters.count>[1] = [
      ...accessOf(context).filter('cluster'),
      projectId ?? null,
      tenantId ?? null,
      name ?? null,
      kind ?? null,
      null,
    ];
    const source = listSource(clusters, this.database, parameters, args.order ?? 'CREATED');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toCluster);
  }

  // No parameter decorators below: all of these are called once a row of a list.
  @ResolveField('clusterVersion', () => ClusterVersion, { nullable: true, description: 'The product\'s version that it has.' })
  clusterVersion(cluster: Cluster, _args: unknown, context: GraphqlContext): Promise<ClusterVersion | null> {
    return loadClusterVersion(this.database, context, cluster.row.version_id);
  }

  @ResolveField('controlNodeFlavor', () => Flavor, { nullable: true, description: 'The size of its control nodes.' })
  controlNodeFlavor(cluster: Cluster, _args: unknown, context: GraphqlContext): Promise<Flavor | null> {
    return loadFlavor(this.database, context, cluster.row.control_flavor_id);
  }

  @ResolveField('apiEndpoint', () => String, { nullable: true, description: 'Where its API answers, as its tools write it: `https://10.32.4.9:6443`, of Swarm `tcp://10.32.4.9:2376`; null when it has none.' })
  apiEndpoint(cluster: Cluster, _args: unknown, context: GraphqlContext): Promise<string | null> {
    return loadApiEndpoint(this.database, context, cluster);
  }

  @ResolveField('nodePools', () => [NodePool], { description: 'Its node pools, by name.' })
  nodePools(cluster: Cluster, _args: unknown, context: GraphqlContext): Promise<NodePool[]> {
    return loadPoolsOf(this.database, context, cluster.id);
  }

  @ResolveField('nodes', () => [ClusterNode], { description: 'All its nodes, the oldest first; also those on their way in or out. At most 505.' })
  nodes(cluster: Cluster, _args: unknown, context: GraphqlContext): Promise<ClusterNode[]> {
    return loadNodesOf(this.database, context, cluster.id);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The operation that holds it now.' })
  currentOperation(cluster: Cluster, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, cluster.id);
  }

  @ResolveField('blockers', () => [ClusterBlocker], {
    description: 'What keeps it from being as it shall be: what its operation waits for, hosts and nodes that are down, healing that cannot go on; walked down to the root causes.',
  })
  blockers(cluster: Cluster, _args: unknown, context: GraphqlContext): Promise<ClusterBlocker[]> {
    return loadRootCauses(this.database, context, cluster.id);
  }
}
