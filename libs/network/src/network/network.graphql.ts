import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf, Problem, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { given } from '../given.js';
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

const NetworkOrder = { CREATED: 'CREATED', NEWEST: 'NEWEST', NAME: 'NAME' } as const;
type NetworkOrder = (typeof NetworkOrder)[keyof typeof NetworkOrder];
registerEnumType(NetworkOrder, {
  name: 'NetworkOrder',
  description: 'Orders of a list of networks.',
  valuesMap: { CREATED: { description: 'The oldest first.' }, NEWEST: { description: 'The newest first.' }, NAME: { description: 'By name.' } },
});

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
export class Network extends Node {
  @Field(() => String, { description: 'Unique in its project.' })
  readonly name!: string;

  @Field(() => String, { description: 'What it is for.' })
  readonly description!: string;

  @Field(() => String, {
    description: 'Its DNS domain, as `demo.internal`. In it machines and load balancers find each other as `<name>` and as `<name>.<domain>`.',
  })
  readonly domain!: string;

  @Field(() => ID, { description: 'The tenant that it belongs to.' })
  readonly tenantId!: string;

  @Field(() => ID, { description: 'The project that it belongs to.' })
  readonly projectId!: string;

  @Field(() => NetworkState, { description: 'How it is.' })
  readonly state!: NetworkState;

  @Field(() => Problem, { nullable: true, description: 'Why it could not be made.' })
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
  readonly row!: NetworkRow;
}

const NetworkConnection = connectionOf(Network);

export function toNetwork(row: NetworkRow): Network {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    description: row.description,
    domain: networkDomain(row),
    tenantId: row.tenant_id,
    projectId: row.project_id,
    state: networkState(row),
    failure: row.failure === null ? null : toProblem(row.failure),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    version: row.version,
    revision: row.revision,
    row,
  };
}

@ArgsType()
class NetworksArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;

  @Field(() => [NetworkState], { nullable: true, description: 'Only those in one of these states.' })
  readonly states?: NetworkState[] | null;

  @Field(() => NetworkOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: NetworkOrder | null;
}

@InputType({ description: 'A new network.' })
export class CreateNetworkInput {
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

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which network to delete.' })
export class DeleteNetworkInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => WhenInUse, { nullable: true, description: 'What happens while ports or load balancers use it; REFUSE if not given.' })
  readonly whenInUse?: WhenInUse | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
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
    const source = {
      page: (request: Parameters<typeof networks.page>[3]) => networks.page(this.database, parameters, args.order ?? 'NAME', request),
      count: () => networks.count(this.database, parameters),
    };
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
    const { dryRun, subnet, ...rest } = given(input);
    const wanted = subnet === undefined ? rest : { ...rest, subnet: given(subnet) };
    const outcome = await this.service.create(accessOf(context), wanted, { dryRun, idempotencyKey: context.idempotencyKey });
    return { ...(await toOperationPayload(this.database, context, outcome)), network: await this.find(outcome.result.id, context) };
  }

  @Mutation(() => NetworkPayload, { description: 'Deletes a network with its subnets.' })
  async deleteNetwork(
    @Args('input', { type: () => DeleteNetworkInput, description: 'Which.' }) input: DeleteNetworkInput,
    @Context() context: GraphqlContext,
  ): Promise<NetworkPayload> {
    const { dryRun, ...rest } = given(input);
    const outcome = await this.service.delete(accessOf(context), rest, { dryRun, idempotencyKey: context.idempotencyKey });
    return { ...(await toOperationPayload(this.database, context, outcome)), network: await this.find(outcome.result.id, context) };
  }

  private async find(id: unknown, context: GraphqlContext): Promise<Network | null> {
    return typeof id === 'string' ? ((await this.load([id], context)).get(id) ?? null) : null;
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, Network>> {
    const rows = await this.database.rows(findVisibleNetworks, ...accessOf(context).filter('network'), [...ids]);
    return new Map(rows.map((row) => [row.id, toNetwork(row)]));
  }
}
