import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, listOrder, loader, Node, NodeRegistry, type Connection, type GraphqlContext, type ListOrder } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, optionsOf, Problem, resultId, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { ProjectResource, ProjectResourcesArguments, toProjectResource } from '#tenancy/api';
import { loadBalancerId, LoadBalancerState, loadBalancerState, type LoadBalancerRow } from './load-balancer.js';
import { LoadBalancerService } from './load-balancer.service.js';
import { findListeners, findMembers, findVisibleLoadBalancers, loadBalancers, type ListenerRow, type MemberRow } from './load-balancer.sql.js';

registerEnumType(LoadBalancerState, {
  name: 'LoadBalancerState',
  description: 'How a load balancer is.',
  valuesMap: {
    CREATING: { description: 'The backend does not have it yet.' },
    ACTIVE: { description: 'The backend has it as it shall be.' },
    UPDATING: { description: 'Its members are changing.' },
    FAILED: { description: 'It could not be made; `failure` says why. It holds only its name, and can be retried or deleted.' },
    DELETING: { description: 'It is being taken away.' },
  },
});

const LoadBalancerOrder = listOrder('LoadBalancerOrder', 'load balancers');

@ObjectType({ description: 'What a load balancer listens on. TCP.' })
export class LoadBalancerListener {
  @Field(() => Int, { description: 'The port that clients use.' })
  readonly port!: number;

  @Field(() => Int, { description: 'The port of its members that it sends to.' })
  readonly memberPort!: number;
}

@ObjectType({ description: 'A port that a load balancer sends to.' })
export class LoadBalancerMember {
  @Field(() => ID, { description: 'The port.' })
  readonly portId!: string;

  @Field(() => ID, { description: 'The machine that has it.' })
  readonly ownerId!: string;

  @Field(() => String, { description: 'Its IPv4 address.' })
  readonly address!: string;
}

@ObjectType({ implements: () => [Node], description: 'One stable address in front of machines of a network.' })
export class LoadBalancer extends ProjectResource {
  @Field(() => ID, { description: 'The network that it is in.' })
  readonly networkId!: string;

  @Field(() => ID, { nullable: true, description: 'The cluster that it serves, which alone changes it; null for one of its own.' })
  readonly ownerId!: string | null;

  @Field(() => String, { nullable: true, description: 'Its IPv4 address; null when it has FAILED.' })
  readonly address!: string | null;

  @Field(() => LoadBalancerState, { description: 'How it is.' })
  readonly state!: LoadBalancerState;

  @Field(() => Problem, { nullable: true, description: 'Why it could not be made.' })
  readonly failure!: Problem | null;
}

const LoadBalancerConnection = connectionOf(LoadBalancer);

export function toLoadBalancer(row: LoadBalancerRow): LoadBalancer {
  return {
    ...toProjectResource(row),
    networkId: row.network_id,
    ownerId: row.owner_id,
    address: row.address,
    state: loadBalancerState(row),
    failure: row.failure === null ? null : toProblem(row.failure),
  };
}

@ArgsType()
class LoadBalancersArguments extends ProjectResourcesArguments {
  @Field(() => ID, { nullable: true, description: 'Only those in this network.' })
  readonly networkId?: string | null;

  @Field(() => LoadBalancerOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: ListOrder | null;
}

@InputType({ description: 'What a load balancer shall listen on. TCP.' })
export class ListenerInput {
  @Field(() => Int, { description: 'The port that clients use, 1 to 65535.' })
  readonly port!: number;

  @Field(() => Int, { description: 'The port of its members that it sends to, 1 to 65535.' })
  readonly memberPort!: number;
}

@InputType({ description: 'A new load balancer.' })
export class CreateLoadBalancerInput extends CommandInput {
  @Field(() => ID, { description: 'The network that it and its members are in.' })
  readonly networkId!: string;

  @Field(() => ID, { nullable: true, description: 'The subnet that its address is from; any of the network if not given.' })
  readonly subnetId?: string | null;

  @Field(() => String, { description: 'Unique in the project; a DNS label.' })
  readonly name!: string;

  @Field(() => [ListenerInput], { description: 'What it listens on, 1 to 16.' })
  readonly listeners!: ListenerInput[];

  @Field(() => [ID], { nullable: true, description: 'Ports that it sends to, at most 256.' })
  readonly members?: string[] | null;
}

@InputType({ description: 'Members that come and go; the others stay.' })
export class UpdateLoadBalancerMembersInput extends CommandInput {
  @Field(() => ID, { description: 'The load balancer.' })
  readonly id!: string;

  @Field(() => [ID], { nullable: true, description: 'Ports that it shall send to as well.' })
  readonly add?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Ports that it shall not send to any more.' })
  readonly remove?: string[] | null;
}

@InputType({ description: 'Which load balancer to delete.' })
export class DeleteLoadBalancerInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The load balancer that is made, changed or deleted.' })
export class LoadBalancerPayload extends OperationPayload {
  @Field(() => LoadBalancer, { nullable: true, description: 'It; null of a dry run.' })
  readonly loadBalancer!: LoadBalancer | null;
}

@Authenticated()
@Resolver(() => LoadBalancer)
export class LoadBalancerResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: LoadBalancerService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: loadBalancerId.prefix, typeName: 'LoadBalancer', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => LoadBalancerConnection, { description: 'The load balancers that the caller may see.' })
  async loadBalancers(
    @Args() args: LoadBalancersArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<LoadBalancer>> {
    const filter = accessOf(context).filter('load balancer');
    const parameters: Parameters<typeof loadBalancers.count>[1] = [
      ...filter,
      args.projectId ?? null,
      args.tenantId ?? null,
      args.networkId ?? null,
      args.name ?? null,
      null,
    ];
    const source = listSource(loadBalancers, this.database, parameters, args.order ?? 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toLoadBalancer);
  }

  @ResolveField('listeners', () => [LoadBalancerListener], { description: 'What it listens on.' })
  async listeners(balancer: LoadBalancer, _args: unknown, context: GraphqlContext): Promise<LoadBalancerListener[]> {
    const load = loader<string, ListenerRow[]>(context, 'loadBalancer.listeners', async (ids) =>
      Map.groupBy(await this.database.rows(findListeners, [...ids]), (row) => row.load_balancer_id),
    );
    return ((await load.load(balancer.id)) ?? []).map((row) => ({ port: row.port, memberPort: row.member_port }));
  }

  @ResolveField('members', () => [LoadBalancerMember], { description: 'Where it sends to; 256 at most.' })
  async members(balancer: LoadBalancer, _args: unknown, context: GraphqlContext): Promise<LoadBalancerMember[]> {
    const load = loader<string, MemberRow[]>(context, 'loadBalancer.members', async (ids) =>
      Map.groupBy(await this.database.rows(findMembers, [...ids]), (row) => row.load_balancer_id),
    );
    // Ports of the balancer's own project.
    const rows = accessOf(context).sees('port', balancer.home) ? ((await load.load(balancer.id)) ?? []) : [];
    return rows.map((row) => ({ portId: row.port_id, ownerId: row.owner_id, address: row.address }));
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(balancer: LoadBalancer, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, balancer.id);
  }

  @Mutation(() => LoadBalancerPayload, { description: 'Makes a load balancer in a network.' })
  async createLoadBalancer(
    @Args('input', { type: () => CreateLoadBalancerInput, description: 'What to make.' }) input: CreateLoadBalancerInput,
    @Context() context: GraphqlContext,
  ): Promise<LoadBalancerPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.create(accessOf(context), command, options), context);
  }

  @Mutation(() => LoadBalancerPayload, { description: 'Adds and removes members; those that are not named stay.' })
  async updateLoadBalancerMembers(
    @Args('input', { type: () => UpdateLoadBalancerMembersInput, description: 'Which come and which go.' })
    input: UpdateLoadBalancerMembersInput,
    @Context() context: GraphqlContext,
  ): Promise<LoadBalancerPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.updateMembers(accessOf(context), command, options), context);
  }

  @Mutation(() => LoadBalancerPayload, { description: 'Deletes a load balancer; its members stay.' })
  async deleteLoadBalancer(
    @Args('input', { type: () => DeleteLoadBalancerInput, description: 'Which.' }) input: DeleteLoadBalancerInput,
    @Context() context: GraphqlContext,
  ): Promise<LoadBalancerPayload> {
    return this.payload(await this.service.delete(accessOf(context), input.id, optionsOf(input, context)), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<LoadBalancerPayload> {
    const payload = await toOperationPayload(this.database, context, outcome);
    const id = resultId(outcome.result);
    return { ...payload, loadBalancer: id === null ? null : ((await this.load([id], context)).get(id) ?? null) };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, LoadBalancer>> {
    const rows = await this.database.rows(findVisibleLoadBalancers, ...accessOf(context).filter('load balancer'), [...ids]);
    return new Map(rows.map((row) => [row.id, toLoadBalancer(row)]));
  }
}
