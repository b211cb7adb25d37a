import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE } from '#identity';
import { accessOf, onlyForMembers, Problem, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { ExternalNetwork, loadExternalNetwork } from '../external-network/external-network.graphql.js';
import { given } from '../given.js';
import { Router } from '../router/router.graphql.js';
import { providerRouterId, ProviderRouterState, providerRouterState, type ProviderRouterRow } from './provider-router.js';
import { ProviderRouterService } from './provider-router.service.js';
import { countTransitAddresses, findProviderRouters, findProviderRoutersByReference, providerRouters } from './provider-router.sql.js';

registerEnumType(ProviderRouterState, {
  name: 'ProviderRouterState',
  description: 'How a provider router is.',
  valuesMap: {
    CREATING: { description: 'The backend does not have it yet.' },
    ACTIVE: { description: 'Routers can lead to it.' },
    DELETING: { description: 'It is being taken away.' },
    FAILED: { description: 'It could not be made; `failure` says why. It can be retried or deleted.' },
  },
});

@ObjectType({
  implements: () => [Node],
  description: 'Stands between routers of tenants and an external network: what leaves by it has its one address there, whoever’s it is.',
})
export class ProviderRouter extends Node {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => String, { description: 'What it is for.' })
  readonly description!: string;

  @Field(() => String, { description: 'Its IPv4 address outside, which machines without a floating IP are seen by.' })
  readonly externalAddress!: string;

  @Field(() => String, { description: 'The block of IPv4 addresses that it shares with the routers that lead to it; subnets of those do not overlap it.' })
  readonly transitCidr!: string;

  @Field(() => ID, { nullable: true, description: 'For operators: the backend that it is on.' })
  readonly backendId!: string | null;

  @Field(() => [String], { nullable: true, description: 'For operators: the hosts that lead it and all routers behind it, the first live one does.' })
  readonly gatewayHosts!: string[] | null;

  @Field(() => ProviderRouterState, { description: 'How it is.' })
  readonly state!: ProviderRouterState;

  @Field(() => Problem, { nullable: true, description: 'For operators: why it could not be made.' })
  readonly failure!: Problem | null;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  readonly createdAt!: Date;

  @Field(() => DateTime, { description: 'When anything of it last changed.' })
  readonly updatedAt!: Date;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change of it.' })
  readonly revision!: number;

  /** For field resolvers. */
  readonly externalNetworkId!: string;
}

/** What of it is the operators' is left out for others. */
function toProviderRouter(row: ProviderRouterRow, isOperator: boolean): ProviderRouter {
  const forOperators = isOperator
    ? { backendId: row.backend_id, gatewayHosts: row.gateway_hosts, failure: row.failure === null ? null : toProblem(row.failure) }
    : { backendId: null, gatewayHosts: null, failure: null };
  return {
    id: row.id,
    home: SYSTEM_PLACE,
    name: row.name,
    description: row.description,
    externalNetworkId: row.external_network_id,
    externalAddress: row.external_address,
    transitCidr: row.transit_cidr,
    ...forOperators,
    state: providerRouterState(row),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    version: row.version,
    revision: row.revision,
  };
}

const present = (context: GraphqlContext) => (row: ProviderRouterRow) => toProviderRouter(row, accessOf(context).seesInfrastructure);

async function loadVisible(database: Database, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, ProviderRouter>> {
  if (!accessOf(context).holdsAnything) return new Map();
  return new Map((await database.rows(findProviderRouters, [...ids])).map((row) => [row.id, present(context)(row)]));
}

const ProviderRouterConnection = connectionOf(ProviderRouter);

@ArgsType()
class ProviderRoutersArguments extends PageArguments {
  @Field(() => String, { nullable: true, description: 'Only the one of this name.' })
  readonly name?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those that lead there.' })
  readonly externalNetworkId?: string | null;
}

@InputType({ description: 'A new provider router.' })
export class CreateProviderRouterInput {
  @Field(() => String, { description: 'Unique; a DNS label.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'What it is for.' })
  readonly description?: string | null;

  @Field(() => String, { description: 'The external network that it leads to, by id or name.' })
  readonly externalNetwork!: string;

  @Field(() => String, {
    nullable: true,
    description: 'The block that it shares with the routers that lead to it, IPv4, /16 to /24; `100.64.0.0/16` if not given. Others may have the same.',
  })
  readonly transitCidr?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which provider router to delete.' })
export class DeleteProviderRouterInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@ObjectType({ description: 'The provider router that is made or deleted.' })
export class ProviderRouterPayload extends OperationPayload {
  @Field(() => ProviderRouter, { nullable: true, description: 'It; null of a dry run.' })
  readonly providerRouter!: ProviderRouter | null;
}

@Authenticated()
@Resolver(() => ProviderRouter)
export class ProviderRouterResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: ProviderRouterService,
    registry: NodeRegistry,
  ) {
    registry.register({
      prefix: providerRouterId.prefix,
      typeName: 'ProviderRouter',
      load: (ids, context) => loadVisible(database, context, ids),
    });
  }

  @Query(() => ProviderRouter, { description: 'One provider router, by id or by name.' })
  async providerRouter(
    @Args('id', { type: () => ID, nullable: true, description: 'Its id.' }) id: string | null,
    @Args('name', { type: () => String, nullable: true, description: 'Its name, instead of the id.' }) name: string | null,
    @Context() context: GraphqlContext,
  ): Promise<ProviderRouter> {
    const reference = id ?? name ?? '';
    if ((id == null) === (name == null)) throw invalidInput('id', 'Give either the id or the name.');
    const rows = await this.database.rows(findProviderRoutersByReference, [reference]);
    const found = rows.find((row) => (id == null ? row.name : row.id) === reference);
    if (found === undefined || !accessOf(context).holdsAnything) throw notFound('provider router', reference, id == null ? 'name' : 'id');
    return present(context)(found);
  }

  @Query(() => ProviderRouterConnection, { description: 'The provider routers, by name. Which of them a tenant may use follows from its zones.' })
  async providerRouters(
    @Args() args: ProviderRoutersArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<ProviderRouter>> {
    const source = onlyForMembers(context, listSource(providerRouters, this.database, [args.name ?? null, args.externalNetworkId ?? null], 'NAME'));
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, present(context));
  }

  @ResolveField('externalNetwork', () => ExternalNetwork, { nullable: true, description: 'What it leads to.' })
  async externalNetwork(providerRouter: ProviderRouter, _args: unknown, context: GraphqlContext): Promise<ExternalNetwork | null> {
    return loadExternalNetwork(this.database, context, providerRouter.externalNetworkId);
  }

  @ResolveField('usedAddressCount', () => Long, {
    nullable: true,
    description: 'For operators: how many addresses of the transit block routers and floating IPs have.',
  })
  async usedAddressCount(providerRouter: ProviderRouter, _args: unknown, context: GraphqlContext): Promise<number | null> {
    if (!accessOf(context).seesInfrastructure) return null;
    const load = loader<string, number>(context, 'providerRouter.used', async (ids) => {
      const rows = await this.database.rows(countTransitAddresses, [...ids]);
      return new Map(rows.map((row) => [row.provider_router_id, row.used]));
    });
    return (await load.load(providerRouter.id)) ?? 0;
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(providerRouter: ProviderRouter, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, providerRouter.id);
  }

  @Mutation(() => ProviderRouterPayload, { description: 'For operators: makes a provider router.' })
  async createProviderRouter(
    @Args('input', { type: () => CreateProviderRouterInput, description: 'What to make.' }) input: CreateProviderRouterInput,
    @Context() context: GraphqlContext,
  ): Promise<ProviderRouterPayload> {
    const { dryRun, ...wanted } = given(input);
    const outcome = await this.service.create(accessOf(context), wanted, { dryRun, idempotencyKey: context.idempotencyKey });
    return { ...(await toOperationPayload(this.database, context, outcome)), providerRouter: await this.#find(outcome.result.id, context) };
  }

  @Mutation(() => ProviderRouterPayload, { description: 'For operators: deletes a provider router that no router leads to.' })
  async deleteProviderRouter(
    @Args('input', { type: () => DeleteProviderRouterInput, description: 'Which.' }) input: DeleteProviderRouterInput,
    @Context() context: GraphqlContext,
  ): Promise<ProviderRouterPayload> {
    const { dryRun, ...rest } = given(input);
    const outcome = await this.service.delete(accessOf(context), rest, { dryRun, idempotencyKey: context.idempotencyKey });
    return { ...(await toOperationPayload(this.database, context, outcome)), providerRouter: await this.#find(outcome.result.id, context) };
  }

  async #find(id: unknown, context: GraphqlContext): Promise<ProviderRouter | null> {
    return typeof id === 'string' ? ((await loadVisible(this.database, context, [id])).get(id) ?? null) : null;
  }
}

/** What routers show of provider routers. */
@Authenticated()
@Resolver(() => Router)
export class RouterProviderRouterResolver {
  constructor(private readonly database: Database) {}

  @ResolveField('providerRouter', () => ProviderRouter, { nullable: true, description: 'The provider router that its uplink leads to; null for none.' })
  async providerRouter(router: Router, _args: unknown, context: GraphqlContext): Promise<ProviderRouter | null> {
    if (router.providerRouterId === null) return null;
    const load = loader<string, ProviderRouter>(context, 'providerRouter', (ids) => loadVisible(this.database, context, ids));
    return (await load.load(router.providerRouterId)) ?? null;
  }
}
