import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, type Connection, type GraphqlContext } from '#graphql';
import { placeOfRow, type CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, optionsOf, Problem, resultId, toProblem } from '#identity/api';
import { OperationPayload, toOperationPayload } from '#operations/api';
import { ProjectResourcesArguments } from '#tenancy/api';
import { countUsed, type SubnetUsageRow } from '../address/address.sql.js';
import { poolSize } from '../address/ipv4.js';
import { subnetId, SubnetState, subnetState, type SubnetRow } from './subnet.js';
import { SubnetService } from './subnet.service.js';
import { findVisibleSubnets, subnets } from './subnet.sql.js';

registerEnumType(SubnetState, {
  name: 'SubnetState',
  description: 'How a subnet is.',
  valuesMap: {
    CREATING: { description: 'Backends are being told of it; no address is given out yet.' },
    ACTIVE: { description: 'Addresses are given out from it.' },
    DELETING: { description: 'It is being taken away.' },
    FAILED: { description: 'It could not be made; `failure` says why. It holds only its name and its block.' },
  },
});

const SubnetOrder = { CREATED: 'CREATED', NAME: 'NAME' } as const;
type SubnetOrder = (typeof SubnetOrder)[keyof typeof SubnetOrder];
registerEnumType(SubnetOrder, {
  name: 'SubnetOrder',
  description: 'Orders of a list of subnets.',
  valuesMap: { CREATED: { description: 'The oldest first.' }, NAME: { description: 'By name.' } },
});

@ObjectType('AddressPool', { description: 'A range of addresses, both ends included.' })
export class AddressPoolType {
  @Field(() => String, { description: 'The first, as `10.32.0.2`.' })
  readonly first!: string;

  @Field(() => String, { description: 'The last, as `10.32.0.254`.' })
  readonly last!: string;
}

@ObjectType({ implements: () => [Node], description: 'A block of addresses of a network. Blocks of one project do not overlap.' })
export class Subnet extends Node {
  @Field(() => String, { description: 'Unique in its network.' })
  readonly name!: string;

  @Field(() => ID, { description: 'The network that it belongs to.' })
  readonly networkId!: string;

  @Field(() => ID, { description: 'The project that it belongs to.' })
  readonly projectId!: string;

  @Field(() => String, { description: 'The block in CIDR notation, as `10.32.0.0/24`.' })
  readonly cidr!: string;

  @Field(() => String, { description: 'The address of the way out; never given out.' })
  readonly gateway!: string;

  @Field(() => [AddressPoolType], { description: 'Where addresses are given out from.' })
  readonly pools!: AddressPoolType[];

  @Field(() => String, {
    nullable: true,
    description: 'The address from which members of load balancers are checked; never given out. Null where none was free: they are not checked.',
  })
  readonly healthCheckAddress!: string | null;

  @Field(() => Long, { description: 'How many addresses there are to give out.' })
  readonly size!: number;

  @Field(() => SubnetState, { description: 'How it is.' })
  readonly state!: SubnetState;

  @Field(() => Problem, { nullable: true, description: 'Why it could not be made.' })
  readonly failure!: Problem | null;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  readonly createdAt!: Date;

  @Field(() => Long, { description: 'Rises with every change of it.' })
  readonly revision!: number;
}

const SubnetConnection = connectionOf(Subnet);

export function toSubnet(row: SubnetRow): Subnet {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    networkId: row.network_id,
    projectId: row.project_id,
    cidr: row.cidr,
    gateway: row.gateway,
    pools: row.pools,
    healthCheckAddress: row.health_check_address,
    size: poolSize(row.pools, row.gateway, row.health_check_address),
    state: subnetState(row),
    failure: row.failure === null ? null : toProblem(row.failure),
    createdAt: row.created_at,
    revision: row.revision,
  };
}

@ArgsType()
class SubnetsArguments extends ProjectResourcesArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this network.' })
  readonly networkId?: string | null;

  @Field(() => SubnetOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: SubnetOrder | null;
}

@InputType({ description: 'A range of addresses, both ends included.' })
export class AddressPoolInput {
  @Field(() => String, { description: 'The first.' })
  readonly first!: string;

  @Field(() => String, { description: 'The last.' })
  readonly last!: string;
}

@InputType('SubnetInput', { description: 'A block of addresses.' })
export class SubnetInputType {
  @Field(() => String, { nullable: true, description: 'Unique in the network; `default` if not given.' })
  readonly name?: string | null;

  @Field(() => String, { nullable: true, description: 'The block in CIDR notation, /16 to /29; a free one is chosen if not given.' })
  readonly cidr?: string | null;

  @Field(() => String, { nullable: true, description: 'The address of the way out; the first of the block if not given.' })
  readonly gateway?: string | null;

  @Field(() => [AddressPoolInput], { nullable: true, description: 'Where addresses are given out from; the whole block if not given.' })
  readonly pools?: AddressPoolInput[] | null;
}

@InputType({ description: 'A new block of addresses for a network.' })
export class CreateSubnetInput extends SubnetInputType {
  @Field(() => ID, { description: 'The network.' })
  readonly networkId!: string;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which subnet to delete.' })
export class DeleteSubnetInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The subnet that is made or deleted.' })
export class SubnetPayload extends OperationPayload {
  @Field(() => Subnet, { nullable: true, description: 'It; null of a dry run.' })
  readonly subnet!: Subnet | null;
}

@Authenticated()
@Resolver(() => Subnet)
export class SubnetResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: SubnetService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: subnetId.prefix, typeName: 'Subnet', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => SubnetConnection, { description: 'The subnets that the caller may see.' })
  async subnets(
    @Args() args: SubnetsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Subnet>> {
    const filter = accessOf(context).filter('subnet');
    const parameters: Parameters<typeof subnets.count>[1] = [
      ...filter,
      args.projectId ?? null,
      args.tenantId ?? null,
      args.networkId ?? null,
      args.name ?? null,
    ];
    const source = listSource(subnets, this.database, parameters, args.order ?? 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toSubnet);
  }

  @ResolveField('used', () => Long, { description: 'How many of its addresses are given out.' })
  async used(subnet: Subnet, _args: unknown, context: GraphqlContext): Promise<number> {
    const load = loader<string, SubnetUsageRow>(context, 'subnet.used', async (ids) => {
      const rows = await this.database.rows(countUsed, [...ids]);
      return new Map(rows.map((row) => [row.subnet_id, row]));
    });
    return (await load.load(subnet.id))?.used ?? 0;
  }

  @Mutation(() => SubnetPayload, { description: 'Adds a block of addresses to a network.' })
  async createSubnet(
    @Args('input', { type: () => CreateSubnetInput, description: 'What to make.' }) input: CreateSubnetInput,
    @Context() context: GraphqlContext,
  ): Promise<SubnetPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.create(accessOf(context), command, options), context);
  }

  @Mutation(() => SubnetPayload, { description: 'Deletes a subnet that no address is given out from.' })
  async deleteSubnet(
    @Args('input', { type: () => DeleteSubnetInput, description: 'Which.' }) input: DeleteSubnetInput,
    @Context() context: GraphqlContext,
  ): Promise<SubnetPayload> {
    return this.payload(await this.service.delete(accessOf(context), input.id, optionsOf(input, context)), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<SubnetPayload> {
    const payload = await toOperationPayload(this.database, context, outcome);
    const id = resultId(outcome.result);
    return { ...payload, subnet: id === null ? null : ((await this.load([id], context)).get(id) ?? null) };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, Subnet>> {
    const rows = await this.database.rows(findVisibleSubnets, ...accessOf(context).filter('subnet'), [...ids]);
    return new Map(rows.map((row) => [row.id, toSubnet(row)]));
  }
}
