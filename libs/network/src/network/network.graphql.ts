import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, listOrder, loader, Long, Node, NodeRegistry, type Connection, type GraphqlContext, type ListOrder } from '#graphql';
import { placeOfRow, type CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, given, Problem, resultId, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { ProjectResource, ProjectResourcesArguments, toProjectResource } from '#tenancy/api';
import { Subnet, SubnetInputType, toSubnet } from '../subnet/subnet.graphql.js';
import type { SubnetRow } from '../subnet/subnet.js';
import { findSubnetsOfNetworks } from '../subnet/subnet.sql.js';
import { networkConditions, networkDomain, networkId, NetworkState, networkState, type NetworkBackendRow, type NetworkRow } from './network.js';
import { NetworkService } from './network.service.js';
import { countNetworkUsers, findNetworkBackends, findVisibleNetworks, networks, type NetworkUsersRow } from './network.sql.js';

registerEnumType(NetworkState, {
  name: 'NetworkState',
  description: 'How a network is.',
  valuesMap: {
    CREATING: { description: 'It is being made on the backends that were asked for, and takes no users yet.' },
    ACTIVE: { description: 'It can be used.' },
    PENDING_DELETE: { description: 'Deleted while in use: it takes no new users and goes with its last one.' },
    DELETING: { description: 'It is being taken away.' },
    FAILED: { description: 'It could not be made; `failure` says why. It holds only its name, and can be retried or deleted.' },
  },
});

const NetworkOrder = listOrder('NetworkOrder', 'networks');

const WhenInUse = { REFUSE: 'REFUSE', WAIT: 'WAIT' } as const;
type WhenInUse = (typeof WhenInUse)[keyof typeof WhenInUse];
registerEnumType(WhenInUse, {
  name: 'WhenInUse',
  description: 'What deleting does while something is in use.',
  valuesMap: {
    REFUSE: { description: 'Nothing: INVALID_STATE lists the users.' },
    WAIT: { description: 'It takes no new users from now on, and goes with its last one. Until then the operation can be cancelled.' },
  },
});

@ObjectType({ description: 'One thing that is true or not of a network, and why.' })
export class NetworkCondition {
  @Field(() => String, { description: 'What is spoken of: `REALISED`, whether backends have what is desired.' })
  readonly type!: string;

  @Field(() => String, { description: '`TRUE` or `FALSE`.' })
  readonly status!: string;

  @Field(() => String, { description: '`AS_DESIRED`, `NOT_PLACED`, `BEHIND` or `CREATE_FAILED`.' })
  readonly reason!: string;

  @Field(() => String, { description: 'The reason, for people.' })
  readonly message!: string;
}

@ObjectType({ implements: () => [Node], description: 'A network of a project: machines in it reach each other, and nobody else reaches them.' })
export class Network extends ProjectResource {
  @Field(() => String, { description: 'What it is for.' })
  readonly description!: string;

  @Field(() => String, {
    description: 'Its DNS domain, as `demo.internal`. In it machines and load balancers find each other as `<name>` and as `<name>.<domain>`.',
  })
  readonly domain!: string;

  @Field(() => NetworkState, { description: 'How it is.' })
  readonly state!: NetworkState;

  @Field(() => Problem, { nullable: true, description: 'Why it could not be made.' })
  readonly failure!: Problem | null;

  /** For field resolvers. */
  readonly row!: NetworkRow;
}

const NetworkConnection = connectionOf(Network);

export function toNetwork(row: NetworkRow): Network {
  return {
    ...toProjectResource(row),
    description: row.description,
    domain: networkDomain(row),
    state: networkState(row),
    failure: row.failure === null ? null : toProblem(row.failure),
    row,
  };
}

@ArgsType()
class NetworksArguments extends ProjectResourcesArguments {
  @Field(() => [NetworkState], { nullable: true, description: 'Only those in one of these states.' })
  readonly states?: NetworkState[] | null;

  @Field(() => NetworkOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: ListOrder | null;
}

@InputType({ description: 'A new network.' })
export class CreateNetworkInput extends CommandInput {
  @Field(() => ID, { description: 'The project that it will belong to.' })
  readonly projectId!: string;

  @Field(() => String, { description: 'Unique in the project; a DNS label.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'What it is for.' })
  readonly description?: string | null;

  @Field(() => SubnetInputType, { nullable: true, description: 'A first subnet; `{}` lets Muon choose a free block.' })
  readonly subnet?: SubnetInputType | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Ids or names of zones on whose backends it is made at once. Without them it can be used at once, and is made where its first machine lands.',
  })
  readonly zones?: string[] | null;
}

@InputType({ description: 'Which network to delete.' })
export class DeleteNetworkInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => WhenInUse, { nullable: true, description: 'What happens while ports or load balancers use it; REFUSE if not given.' })
  readonly whenInUse?: WhenInUse | null;
}

@ObjectType({ description: 'The network that is made or deleted.' })
export class NetworkPayload extends OperationPayload {
  @Field(() => Network, { nullable: true, description: 'It; null of a dry run.' })
  readonly network!: Network | null;
}

@Authenticated()
@Resolver(() => Network)
export class NetworkResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: NetworkService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: networkId.prefix, typeName: 'Network', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => NetworkConnection, { description: 'The networks that the caller may see.' })
  async networks(
    @Args() args: NetworksArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Network>> {
    const filter = accessOf(context).filter('network');
    const lifecycles = args.states?.map((state) => (state === 'ACTIVE' ? 'PRESENT' : state)) ?? null;
    const parameters: Parameters<typeof networks.count>[1] = [...filter, args.projectId ?? null, args.tenantId ?? null, args.name ?? null, lifecycles];
    const source = listSource(networks, this.database, parameters, args.order ?? 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toNetwork);
  }

  @ResolveField('subnets', () => [Subnet], { description: 'Its blocks of addresses, the oldest first; 32 at most.' })
  async subnets(network: Network, _args: unknown, context: GraphqlContext): Promise<Subnet[]> {
    const load = loader<string, SubnetRow[]>(context, 'network.subnets', async (ids) =>
      Map.groupBy(await this.database.rows(findSubnetsOfNetworks, [...ids]), (row) => row.network_id),
    );
    const access = accessOf(context);
    return ((await load.load(network.id)) ?? []).filter((row) => access.sees('subnet', placeOfRow(row))).map(toSubnet);
  }

  @ResolveField('conditions', () => [NetworkCondition], { description: 'Whether backends have what is desired, with the reason.' })
  async conditions(network: Network, _args: unknown, context: GraphqlContext): Promise<NetworkCondition[]> {
    const load = loader<string, NetworkBackendRow[]>(context, 'network.backends', async (ids) =>
      Map.groupBy(await this.database.rows(findNetworkBackends, [...ids]), (row) => row.network_id),
    );
    return networkConditions(network.row, (await load.load(network.id)) ?? []);
  }

  @ResolveField('portCount', () => Long, { description: 'How many machines’ ports are in it.' })
  async portCount(network: Network, _args: unknown, context: GraphqlContext): Promise<number> {
    const load = loader<string, NetworkUsersRow>(context, 'network.users', async (ids) => {
      const rows = await this.database.rows(countNetworkUsers, [...ids]);
      return new Map(rows.map((row) => [row.network_id, row]));
    });
    return (await load.load(network.id))?.ports ?? 0;
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(network: Network, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, network.id);
  }

  @Mutation(() => NetworkPayload, { description: 'Makes a network, and with it a first subnet.' })
  async createNetwork(
    @Args('input', { type: () => CreateNetworkInput, description: 'What to make.' }) input: CreateNetworkInput,
    @Context() context: GraphqlContext,
  ): Promise<NetworkPayload> {
    const { command, options } = commandOf(input, context);
    const { subnet, ...rest } = command;
    const wanted = subnet === undefined ? rest : { ...rest, subnet: given(subnet) };
    return this.payload(await this.service.create(accessOf(context), wanted, options), context);
  }

  @Mutation(() => NetworkPayload, { description: 'Deletes a network with its subnets.' })
  async deleteNetwork(
    @Args('input', { type: () => DeleteNetworkInput, description: 'Which.' }) input: DeleteNetworkInput,
    @Context() context: GraphqlContext,
  ): Promise<NetworkPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.delete(accessOf(context), command, options), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<NetworkPayload> {
    const payload = await toOperationPayload(this.database, context, outcome);
    const id = resultId(outcome.result);
    return { ...payload, network: id === null ? null : ((await this.load([id], context)).get(id) ?? null) };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, Network>> {
    const rows = await this.database.rows(findVisibleNetworks, ...accessOf(context).filter('network'), [...ids]);
    return new Map(rows.map((row) => [row.id, toNetwork(row)]));
  }
}
