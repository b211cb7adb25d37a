import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, listOrder, loader, Long, Node, NodeRegistry, type Connection, type GraphqlContext, type ListOrder } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, Problem, resultId, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { ProjectResource, ProjectResourcesArguments, toProjectResource } from '#tenancy/api';
import { ExternalNetwork, loadExternalNetwork } from '../external-network/external-network.graphql.js';
import { Network, toNetwork } from '../network/network.graphql.js';
import { findVisibleNetworks } from '../network/network.sql.js';
import { routerId, RouterState, routerState, type RouterNetworkRow, type RouterRow } from './router.js';
import { RouterService } from './router.service.js';
import { findNetworksOfRouters, findRoutersOfNetworks, findVisibleRouters, routers } from './router.sql.js';

registerEnumType(RouterState, {
  name: 'RouterState',
  description: 'How a router is.',
  valuesMap: {
    CREATING: { description: 'The backend does not have it yet.' },
    ACTIVE: { description: 'The backend has it as it shall be.' },
    UPDATING: { description: 'Its networks or its uplink are changing.' },
    FAILED: { description: 'It could not be made; `failure` says why. It can be retried or deleted.' },
    DELETING: { description: 'It is being taken away.' },
  },
});

const RouterOrder = listOrder('RouterOrder', 'routers');

@ObjectType({ implements: () => [Node], description: 'Leads between networks of a project, and by an uplink to the outside.' })
export class Router extends ProjectResource {
  @Field(() => String, { description: 'What it is for.' })
  readonly description!: string;

  @Field(() => ID, { nullable: true, description: 'The cluster that it serves, which alone changes it; null for one of its own.' })
  readonly ownerId!: string | null;

  @Field(() => String, { nullable: true, description: 'Its own IPv4 address outside; null without an uplink, behind a provider router, and when its making has failed.' })
  readonly externalAddress!: string | null;

  @Field(() => String, { nullable: true, description: 'Its own IPv4 address in the transit block of the provider router that it leads to; null for none.' })
  readonly transitAddress!: string | null;

  @Field(() => Boolean, { description: 'Whether machines without a floating IP reach the outside, by the router’s address.' })
  readonly sourceNat!: boolean;

  @Field(() => RouterState, { description: 'How it is.' })
  readonly state!: RouterState;

  @Field(() => Problem, { nullable: true, description: 'Why it could not be made.' })
  readonly failure!: Problem | null;

  /** For field resolvers. */
  readonly externalNetworkId!: string | null;
  readonly providerRouterId!: string | null;
}

const RouterConnection = connectionOf(Router);

export function toRouter(row: RouterRow): Router {
  return {
    ...toProjectResource(row),
    description: row.description,
    ownerId: row.owner_id,
    externalNetworkId: row.external_network_id,
    externalAddress: row.external_address,
    providerRouterId: row.provider_router_id,
    transitAddress: row.transit_address,
    sourceNat: row.source_nat,
    state: routerState(row),
    failure: row.failure === null ? null : toProblem(row.failure),
  };
}

@ArgsType()
class RoutersArguments extends ProjectResourcesArguments {
  @Field(() => ID, { nullable: true, description: 'Only those with an uplink there, not by a provider router.' })
  readonly externalNetworkId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those that lead to this provider router.' })
  readonly providerRouterId?: string | null;

  @Field(() => RouterOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: ListOrder | null;
}

@InputType({ description: 'A new router.' })
export class CreateRouterInput extends CommandInput {
  @Field(() => ID, { description: 'The project that it will belong to.' })
  readonly projectId!: string;

  @Field(() => String, { description: 'Unique in the project; a DNS label.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'What it is for.' })
  readonly description?: string | null;

  @Field(() => [ID], { nullable: true, description: 'Networks of the project that it leads between, at most 64; a network is on one router.' })
  readonly networkIds?: string[] | null;

  @Field(() => String, { nullable: true, description: 'The external network that it leads to, by id or name; none if not given.' })
  readonly externalNetwork?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'The provider router that it leads to instead, by id or name: its machines reach the outside by the address of that.',
  })
  readonly providerRouter?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether machines without a floating IP reach the outside; true if not given.' })
  readonly sourceNat?: boolean | null;
}

@InputType({ description: 'What to change of a router; what is not given stays.' })
export class UpdateRouterInput extends CommandInput {
  @Field(() => ID, { description: 'Which.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => String, { nullable: true, description: 'What it is for.' })
  readonly description?: string | null;

  @Field(() => [ID], { nullable: true, description: 'Networks that it shall lead to as well.' })
  readonly attach?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Networks that it shall not lead to any more.' })
  readonly detach?: string[] | null;

  @Field(() => String, { nullable: true, description: 'The external network that it shall lead to, by id or name; null takes its uplink away.' })
  readonly externalNetwork?: string | null;

  @Field(() => String, { nullable: true, description: 'The provider router that it shall lead to instead, by id or name; null takes its uplink away.' })
  readonly providerRouter?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether machines without a floating IP reach the outside.' })
  readonly sourceNat?: boolean | null;
}

@InputType({ description: 'Which router to delete.' })
export class DeleteRouterInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;
}

@ObjectType({ description: 'The router that is made, changed or deleted.' })
export class RouterPayload extends OperationPayload {
  @Field(() => Router, { nullable: true, description: 'It; null of a dry run that would make it.' })
  readonly router!: Router | null;
}

async function loadVisible(database: Database, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, Router>> {
  const rows = await database.rows(findVisibleRouters, ...accessOf(context).filter('router'), [...ids]);
  return new Map(rows.map((row) => [row.id, toRouter(row)]));
}

@Authenticated()
@Resolver(() => Router)
export class RouterResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: RouterService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: routerId.prefix, typeName: 'Router', load: (ids, context) => loadVisible(database, context, ids) });
  }

  @Query(() => RouterConnection, { description: 'The routers that the caller may see.' })
  async routers(@Args() args: RoutersArguments, @Context() context: GraphqlContext, @Info() info: GraphQLResolveInfo): Promise<Connection<Router>> {
    const { projectId = null, tenantId = null, externalNetworkId = null, name = null, providerRouterId = null } = args;
    const filter = accessOf(context).filter('router');
    const parameters: Parameters<typeof routers.count>[1] = [...filter, projectId, tenantId, externalNetworkId, name, providerRouterId];
    const source = listSource(routers, this.database, parameters, args.order ?? 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toRouter);
  }

  @ResolveField('networks', () => [Network], { description: 'The networks that it leads between; 64 at most.' })
  async networks(router: Router, _args: unknown, context: GraphqlContext): Promise<Network[]> {
    const links = loader<string, RouterNetworkRow[]>(context, 'router.networks', async (ids) =>
      Map.groupBy(await this.database.rows(findNetworksOfRouters, [...ids]), (row) => row.router_id),
    );
    const load = loader<string, Network>(context, 'router.network', async (ids) => {
      const rows = await this.database.rows(findVisibleNetworks, ...accessOf(context).filter('network'), [...ids]);
      return new Map(rows.map((row) => [row.id, toNetwork(row)]));
    });
    const found = await Promise.all(((await links.load(router.id)) ?? []).map((row) => load.load(row.network_id)));
    return found.filter((network) => network !== undefined);
  }

  @ResolveField('externalNetwork', () => ExternalNetwork, { nullable: true, description: 'What its uplink leads to; null without one, and behind a provider router.' })
  async externalNetwork(router: Router, _args: unknown, context: GraphqlContext): Promise<ExternalNetwork | null> {
    return loadExternalNetwork(this.database, context, router.externalNetworkId);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(router: Router, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, router.id);
  }

  @Mutation(() => RouterPayload, { description: 'Makes a router.' })
  async createRouter(
    @Args('input', { type: () => CreateRouterInput, description: 'What to make.' }) input: CreateRouterInput,
    @Context() context: GraphqlContext,
  ): Promise<RouterPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.create(accessOf(context), command, options), context);
  }

  @Mutation(() => RouterPayload, { description: 'Attaches and detaches networks, and changes the uplink.' })
  async updateRouter(
    @Args('input', { type: () => UpdateRouterInput, description: 'What to change.' }) input: UpdateRouterInput,
    @Context() context: GraphqlContext,
  ): Promise<RouterPayload> {
    // Null takes these away.
    const { command, options } = commandOf(input, context, ['externalNetwork', 'providerRouter']);
    return this.payload(await this.service.update(accessOf(context), command, options), context);
  }

  @Mutation(() => RouterPayload, { description: 'Deletes a router that no floating IP leads through; its networks stay.' })
  async deleteRouter(
    @Args('input', { type: () => DeleteRouterInput, description: 'Which.' }) input: DeleteRouterInput,
    @Context() context: GraphqlContext,
  ): Promise<RouterPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.delete(accessOf(context), command, options), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<RouterPayload> {
    const payload = await toOperationPayload(this.database, context, outcome);
    const id = resultId(outcome.result);
    return { ...payload, router: id === null ? null : ((await loadVisible(this.database, context, [id])).get(id) ?? null) };
  }
}

/** What networks show of routers. */
@Authenticated()
@Resolver(() => Network)
export class NetworkRouterResolver {
  constructor(private readonly database: Database) {}

  @ResolveField('router', () => Router, { nullable: true, description: 'The router that it is on; null for none.' })
  async router(network: Network, _args: unknown, context: GraphqlContext): Promise<Router | null> {
    const links = loader<string, RouterNetworkRow>(context, 'network.router', async (ids) => {
      const rows = await this.database.rows(findRoutersOfNetworks, [...ids]);
      return new Map(rows.map((row) => [row.network_id, row]));
    });
    const link = await links.load(network.id);
    if (link === undefined) return null;
    const load = loader<string, Router>(context, 'router', (ids) => loadVisible(this.database, context, ids));
    return (await load.load(link.router_id)) ?? null;
  }
}
