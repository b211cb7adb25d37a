import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE, type CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, onlyForMembers, Problem, resultId, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { poolSize } from '../address/ipv4.js';
import { externalNetworkId, ExternalNetworkState, externalNetworkState, type ExternalNetworkRow } from './external-network.js';
import { ExternalNetworkService } from './external-network.service.js';
import { countExternalAddresses, externalNetworks, findExternalNetworks } from './external-network.sql.js';

registerEnumType(ExternalNetworkState, {
  name: 'ExternalNetworkState',
  description: 'How an external network is.',
  valuesMap: {
    CREATING: { description: 'The backend does not have it yet.' },
    ACTIVE: { description: 'It gives out addresses.' },
    DELETING: { description: 'It is being taken away.' },
    FAILED: { description: 'It could not be made; `failure` says why. It can be retried or deleted.' },
  },
});

@ObjectType({ description: 'Addresses from the first to the last, both among them.' })
export class AddressRange {
  @Field(() => String, { description: 'The first IPv4 address.' })
  readonly first!: string;

  @Field(() => String, { description: 'The last IPv4 address.' })
  readonly last!: string;
}

@InputType({ description: 'Addresses from the first to the last, both among them.' })
export class AddressRangeInput {
  @Field(() => String, { description: 'The first IPv4 address.' })
  readonly first!: string;

  @Field(() => String, { description: 'The last IPv4 address.' })
  readonly last!: string;
}

@ObjectType({ implements: () => [Node], description: 'A network outside, whose addresses routers and floating IPs have.' })
export class ExternalNetwork extends Node {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => String, { description: 'What it is for.' })
  readonly description!: string;

  @Field(() => String, { description: 'Its block of IPv4 addresses.' })
  readonly cidr!: string;

  @Field(() => String, { description: 'The router of the outside.' })
  readonly gateway!: string;

  @Field(() => ID, { nullable: true, description: 'For operators: the backend whose hosts reach it.' })
  readonly backendId!: string | null;

  @Field(() => String, { nullable: true, description: 'For operators: what the hosts call the network that their cables lead to.' })
  readonly physicalNetwork!: string | null;

  @Field(() => Int, { nullable: true, description: 'For operators: the VLAN on those cables; null for none.' })
  readonly vlan!: number | null;

  @Field(() => [AddressRange], { nullable: true, description: 'For operators: what is given out of its block; 16 at most.' })
  readonly pools!: AddressRange[] | null;

  @Field(() => Long, { nullable: true, description: 'For operators: how many addresses there are to give out.' })
  readonly addressCount!: number | null;

  @Field(() => ExternalNetworkState, { description: 'How it is.' })
  readonly state!: ExternalNetworkState;

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
}

/** What of it is the operators' is left out for others. */
function toExternalNetwork(row: ExternalNetworkRow, isOperator: boolean): ExternalNetwork {
  const forOperators = isOperator
    ? {
        backendId: row.backend_id,
        physicalNetwork: row.physical_network,
        vlan: row.vlan,
        pools: row.pools,
        addressCount: poolSize(row.pools, row.gateway),
        failure: row.failure === null ? null : toProblem(row.failure),
      }
    : { backendId: null, physicalNetwork: null, vlan: null, pools: null, addressCount: null, failure: null };
  return {
    id: row.id,
    home: SYSTEM_PLACE,
    name: row.name,
    description: row.description,
    cidr: row.cidr,
    gateway: row.gateway,
    ...forOperators,
    state: externalNetworkState(row),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    version: row.version,
    revision: row.revision,
  };
}

const present = (context: GraphqlContext) => (row: ExternalNetworkRow) => toExternalNetwork(row, accessOf(context).seesInfrastructure);

async function loadVisible(database: Database, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, ExternalNetwork>> {
  if (!accessOf(context).holdsAnything) return new Map();
  return new Map((await database.rows(findExternalNetworks, [...ids])).map((row) => [row.id, present(context)(row)]));
}

/** Looked up together with those of all others that the request asks for. */
export async function loadExternalNetwork(database: Database, context: GraphqlContext, id: string | null): Promise<ExternalNetwork | null> {
  if (id === null) return null;
  const load = loader<string, ExternalNetwork>(context, 'externalNetwork', (ids) => loadVisible(database, context, ids));
  return (await load.load(id)) ?? null;
}

const ExternalNetworkConnection = connectionOf(ExternalNetwork);

@ArgsType()
class ExternalNetworksArguments extends PageArguments {
  @Field(() => String, { nullable: true, description: 'Only the one of this name.' })
  readonly name?: string | null;
}

@InputType({ description: 'A new external network.' })
export class CreateExternalNetworkInput extends CommandInput {
  @Field(() => String, { description: 'Unique; a DNS label.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'What it is for.' })
  readonly description?: string | null;

  @Field(() => ID, { description: 'The backend whose hosts reach it.' })
  readonly backendId!: string;

  @Field(() => String, { description: 'What the hosts call the network that their cables lead to, as `physnet1`.' })
  readonly physicalNetwork!: string;

  @Field(() => Int, { nullable: true, description: 'The VLAN on those cables, 1 to 4094; none if not given.' })
  readonly vlan?: number | null;

  @Field(() => String, { description: 'Its block, IPv4, /16 to /29.' })
  readonly cidr!: string;

  @Field(() => String, { description: 'The router of the outside, an address of the block.' })
  readonly gateway!: string;

  @Field(() => [AddressRangeInput], { nullable: true, description: 'What Muon gives out, 1 to 16 ranges; everything but the gateway if not given.' })
  readonly pools?: AddressRangeInput[] | null;
}

@InputType({ description: 'Which external network to delete.' })
export class DeleteExternalNetworkInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;
}

@ObjectType({ description: 'The external network that is made or deleted.' })
export class ExternalNetworkPayload extends OperationPayload {
  @Field(() => ExternalNetwork, { nullable: true, description: 'It; null of a dry run.' })
  readonly externalNetwork!: ExternalNetwork | null;
}

@Authenticated()
@Resolver(() => ExternalNetwork)
export class ExternalNetworkResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: ExternalNetworkService,
    registry: NodeRegistry,
  ) {
    registry.register({
      prefix: externalNetworkId.prefix,
      typeName: 'ExternalNetwork',
      load: (ids, context) => loadVisible(database, context, ids),
    });
  }

  @Query(() => ExternalNetworkConnection, { description: 'The external networks, by name. Which of them a tenant may use follows from its zones.' })
  async externalNetworks(
    @Args() args: ExternalNetworksArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<ExternalNetwork>> {
    const source = onlyForMembers(context, listSource(externalNetworks, this.database, [args.name ?? null, null], 'NAME'));
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, present(context));
  }

  @ResolveField('usedAddressCount', () => Long, { nullable: true, description: 'For operators: how many addresses are given out.' })
  async usedAddressCount(network: ExternalNetwork, _args: unknown, context: GraphqlContext): Promise<number | null> {
    if (!accessOf(context).seesInfrastructure) return null;
    const load = loader<string, number>(context, 'externalNetwork.used', async (ids) => {
      const rows = await this.database.rows(countExternalAddresses, [...ids]);
      return new Map(rows.map((row) => [row.external_network_id, row.used]));
    });
    return (await load.load(network.id)) ?? 0;
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(network: ExternalNetwork, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, network.id);
  }

  @Mutation(() => ExternalNetworkPayload, { description: 'For operators: makes an external network.' })
  async createExternalNetwork(
    @Args('input', { type: () => CreateExternalNetworkInput, description: 'What to make.' }) input: CreateExternalNetworkInput,
    @Context() context: GraphqlContext,
  ): Promise<ExternalNetworkPayload> {
    const { command, options } = commandOf(input, context);
    const { pools, ...rest } = command;
    const wanted = pools === undefined ? rest : { ...rest, pools: pools.map(({ first, last }) => ({ first, last })) };
    return this.payload(await this.service.create(accessOf(context), wanted, options), context);
  }

  @Mutation(() => ExternalNetworkPayload, { description: 'For operators: deletes an external network that no router and no floating IP has an address of.' })
  async deleteExternalNetwork(
    @Args('input', { type: () => DeleteExternalNetworkInput, description: 'Which.' }) input: DeleteExternalNetworkInput,
    @Context() context: GraphqlContext,
  ): Promise<ExternalNetworkPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.delete(accessOf(context), command, options), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<ExternalNetworkPayload> {
    const payload = await toOperationPayload(this.database, context, outcome);
    const id = resultId(outcome.result);
    return { ...payload, externalNetwork: id === null ? null : ((await loadVisible(this.database, context, [id])).get(id) ?? null) };
  }
}
