import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, listOrder, loader, Long, Node, NodeRegistry, type Connection, type GraphqlContext, type ListOrder } from '#graphql';
import { placeOfRow, type CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, resultId } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { ProjectResource, ProjectResourcesArguments, toProjectResource } from '#tenancy/api';
import { ExternalNetwork, loadExternalNetwork } from '../external-network/external-network.graphql.js';
import { LoadBalancer } from '../load-balancer/load-balancer.graphql.js';
import { Port } from '../port/port.graphql.js';
import { floatingIpId, FloatingIpState, floatingIpState, type FloatingIpRow } from './floating-ip.js';
import { FloatingIpService } from './floating-ip.service.js';
import { findFloatingIpsOfTargets, findVisibleFloatingIps, floatingIps } from './floating-ip.sql.js';

registerEnumType(FloatingIpState, {
  name: 'FloatingIpState',
  description: 'How a floating IP is.',
  valuesMap: {
    AVAILABLE: { description: 'It is the project’s, and leads nowhere.' },
    ACTIVE: { description: 'The backend leads it to its port or load balancer.' },
    UPDATING: { description: 'The backend does not lead it there yet.' },
    DELETING: { description: 'It is being given back.' },
  },
});

const FloatingIpOrder = listOrder('FloatingIpOrder', 'floating IPs');

@ObjectType({ implements: () => [Node], description: 'An address outside that is a project’s, and may lead to a port or a load balancer.' })
export class FloatingIp extends ProjectResource {
  @Field(() => String, { description: 'The IPv4 address.' })
  readonly address!: string;

  @Field(() => ID, { nullable: true, description: 'The cluster that it serves, which alone changes it; null for one of its own.' })
  readonly ownerId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The port that it leads to.' })
  readonly portId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The load balancer that it leads to.' })
  readonly loadBalancerId!: string | null;

  @Field(() => FloatingIpState, { description: 'How it is.' })
  readonly state!: FloatingIpState;

  /** For field resolvers. */
  readonly externalNetworkId!: string;
}

const FloatingIpConnection = connectionOf(FloatingIp);

export function toFloatingIp(row: FloatingIpRow): FloatingIp {
  return {
    ...toProjectResource(row),
    address: row.address,
    ownerId: row.owner_id,
    externalNetworkId: row.external_network_id,
    portId: row.port_id,
    loadBalancerId: row.load_balancer_id,
    state: floatingIpState(row),
  };
}

@ArgsType()
class FloatingIpsArguments extends ProjectResourcesArguments {
  @Field(() => ID, { nullable: true, description: 'Only those from there.' })
  readonly externalNetworkId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this address.' })
  readonly address?: string | null;

  @Field(() => FloatingIpOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: ListOrder | null;
}

@InputType({ description: 'A new floating IP. It leads nowhere yet.' })
export class CreateFloatingIpInput extends CommandInput {
  @Field(() => ID, { description: 'The project that it will belong to.' })
  readonly projectId!: string;

  @Field(() => String, { description: 'Unique in the project; a DNS label.' })
  readonly name!: string;

  @Field(() => String, { description: 'The external network that it is from, by id or name.' })
  readonly externalNetwork!: string;
}

@InputType({ description: 'Where a floating IP shall lead: to a port or to a load balancer of a network that is on a router with an uplink there.' })
export class AssociateFloatingIpInput extends CommandInput {
  @Field(() => ID, { description: 'The floating IP.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => ID, { nullable: true, description: 'A port of a machine.' })
  readonly portId?: string | null;

  @Field(() => ID, { nullable: true, description: 'A load balancer, instead of the port.' })
  readonly loadBalancerId?: string | null;
}

@InputType({ description: 'Which floating IP shall lead nowhere.' })
export class DissociateFloatingIpInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;
}

@InputType({ description: 'Which floating IP to give back.' })
export class DeleteFloatingIpInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;
}

@ObjectType({ description: 'The floating IP that is made, led elsewhere or given back.' })
export class FloatingIpPayload extends OperationPayload {
  @Field(() => FloatingIp, { nullable: true, description: 'It; null of a dry run that would make it.' })
  readonly floatingIp!: FloatingIp | null;
}

@Authenticated()
@Resolver(() => FloatingIp)
export class FloatingIpResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: FloatingIpService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: floatingIpId.prefix, typeName: 'FloatingIp', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => FloatingIpConnection, { description: 'The floating IPs that the caller may see.' })
  async floatingIps(
    @Args() args: FloatingIpsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<FloatingIp>> {
    const { projectId = null, tenantId = null, externalNetworkId = null, name = null, address = null } = args;
    const filter = accessOf(context).filter('floating ip');
    const parameters: Parameters<typeof floatingIps.count>[1] = [...filter, projectId, tenantId, externalNetworkId, name, address];
    const source = listSource(floatingIps, this.database, parameters, args.order ?? 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toFloatingIp);
  }

  @ResolveField('externalNetwork', () => ExternalNetwork, { nullable: true, description: 'Where it is from.' })
  async externalNetwork(floatingIp: FloatingIp, _args: unknown, context: GraphqlContext): Promise<ExternalNetwork | null> {
    return loadExternalNetwork(this.database, context, floatingIp.externalNetworkId);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(floatingIp: FloatingIp, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, floatingIp.id);
  }

  @Mutation(() => FloatingIpPayload, { description: 'Takes an address of an external network for a project.' })
  async createFloatingIp(
    @Args('input', { type: () => CreateFloatingIpInput, description: 'What to make.' }) input: CreateFloatingIpInput,
    @Context() context: GraphqlContext,
  ): Promise<FloatingIpPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.create(accessOf(context), command, options), context);
  }

  @Mutation(() => FloatingIpPayload, { description: 'Leads a floating IP to a port or a load balancer, away from what it leads to now.' })
  async associateFloatingIp(
    @Args('input', { type: () => AssociateFloatingIpInput, description: 'Where to.' }) input: AssociateFloatingIpInput,
    @Context() context: GraphqlContext,
  ): Promise<FloatingIpPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.associate(accessOf(context), command, options), context);
  }

  @Mutation(() => FloatingIpPayload, { description: 'Leads a floating IP nowhere; it stays the project’s.' })
  async dissociateFloatingIp(
    @Args('input', { type: () => DissociateFloatingIpInput, description: 'Which.' }) input: DissociateFloatingIpInput,
    @Context() context: GraphqlContext,
  ): Promise<FloatingIpPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.dissociate(accessOf(context), command, options), context);
  }

  @Mutation(() => FloatingIpPayload, { description: 'Gives a floating IP back, also while it leads somewhere.' })
  async deleteFloatingIp(
    @Args('input', { type: () => DeleteFloatingIpInput, description: 'Which.' }) input: DeleteFloatingIpInput,
    @Context() context: GraphqlContext,
  ): Promise<FloatingIpPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.delete(accessOf(context), command, options), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<FloatingIpPayload> {
    const payload = await toOperationPayload(this.database, context, outcome);
    const id = resultId(outcome.result);
    return { ...payload, floatingIp: id === null ? null : ((await this.load([id], context)).get(id) ?? null) };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, FloatingIp>> {
    const rows = await this.database.rows(findVisibleFloatingIps, ...accessOf(context).filter('floating ip'), [...ids]);
    return new Map(rows.map((row) => [row.id, toFloatingIp(row)]));
  }
}

/** The floating IP that leads to it, looked up together with those of all others that the request asks for. */
async function loadFloatingIpOf(database: Database, context: GraphqlContext, targetId: string): Promise<FloatingIp | null> {
  const load = loader<string, FloatingIpRow>(context, 'floatingIp.ofTarget', async (ids) => {
    const rows = await database.rows(findFloatingIpsOfTargets, [...ids]);
    return new Map(rows.map((row) => [row.port_id ?? row.load_balancer_id ?? '', row]));
  });
  const row = await load.load(targetId);
  return row === undefined || !accessOf(context).sees('floating ip', placeOfRow(row)) ? null : toFloatingIp(row);
}

/** What ports show of floating IPs. */
@Authenticated()
@Resolver(() => Port)
export class PortFloatingIpResolver {
  constructor(private readonly database: Database) {}

  @ResolveField('floatingIp', () => FloatingIp, { nullable: true, description: 'The floating IP that leads to it; null for none.' })
  async floatingIp(port: Port, _args: unknown, context: GraphqlContext): Promise<FloatingIp | null> {
    return loadFloatingIpOf(this.database, context, port.id);
  }
}

/** What load balancers show of floating IPs. */
@Authenticated()
@Resolver(() => LoadBalancer)
export class LoadBalancerFloatingIpResolver {
  constructor(private readonly database: Database) {}

  @ResolveField('floatingIp', () => FloatingIp, { nullable: true, description: 'The floating IP that leads to it; null for none.' })
  async floatingIp(balancer: LoadBalancer, _args: unknown, context: GraphqlContext): Promise<FloatingIp | null> {
    return loadFloatingIpOf(this.database, context, balancer.id);
  }
}
