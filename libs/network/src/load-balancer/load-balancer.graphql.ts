import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf, Problem, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { given } from '../given.js';
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

const LoadBalancerOrder = { CREATED: 'CREATED', NEWEST: 'NEWEST', NAME: 'NAME' } as const;
type LoadBalancerOrder = (typeof LoadBalancerOrder)[keyof typeof LoadBalancerOrder];
registerEnumType(LoadBalancerOrder, {
  name: 'LoadBalancerOrder',
  description: 'Orders of a list of load balancers.',
  valuesMap: { CREATED: { description: 'The oldest first.' }, NEWEST: { description: 'The newest first.' }, NAME: { description: 'By name.' } },
});

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
export class LoadBalancer extends Node {
  @Field(() => String, { description: 'Unique in its project.' })
  readonly name!: string;

  @Field(() => ID, { description: 'The network that it is in.' })
  readonly networkId!: string;

  @Field(() => ID, { description: 'The tenant that it belongs to.' })
  readonly tenantId!: string;

  @Field(() => ID, { description: 'The project that it belongs to.' })
  readonly projectId!: string;

  @Field(() => ID, { nullable: true, description: 'The cluster that it serves, which alone changes it; null for one of its own.' })
  readonly ownerId!: string | null;

  @Field(() => String, { nullable: true, description: 'Its IPv4 address; null when it has FAILED.' })
  readonly address!: string | null;

  @Field(() => LoadBalancerState, { description: 'How it is.' })
  readonly state!: LoadBalancerState;

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
}

const LoadBalancerConnection = connectionOf(LoadBalancer);

export function toLoadBalancer(row: LoadBalancerRow): LoadBalancer {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    networkId: row.network_id,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    ownerId: row.owner_id,
    address: row.address,
    state: loadBalancerState(row),
    failure: row.failure === null ? null : toProblem(row.failure),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    version: row.version,
    revision: row.revision,
  };
}

@ArgsType()
class LoadBalancersArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those in this network.' })
  readonly networkId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;

  @Field(() => LoadBalancerOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: LoadBalancerOrder | null;
}

@InputType({ description: 'What a load balancer shall listen on. TCP.' })
export class ListenerInput {
  @Field(() => Int, { description: 'The port that clients use, 1 to 65535.' })
  readonly port!: number;

  @Field(() => Int, { description: 'The port of its members that it sends to, 1 to 65535.' })
  readonly memberPort!: number;
}

@InputType({ description: 'A new load balancer.' })
export class CreateLoadBalancerInput {
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

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Members that come and go; the others stay.' })
export class UpdateLoadBalancerMembersInput {
  @Field(() => ID, { description: 'The load balancer.' })
  readonly id!: string;

  @Field(() => [ID], { nullable: true, description: 'Ports that it shall send to as well.' })
  readonly add?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Ports that it shall not send to any more.' })
  readonly remove?: string[] | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which load balancer to delete.' })
export class DeleteLoadBalancerInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
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
    const source = {
      page: (request: Parameters<typeof loadBalancers.page>[3]) => loadBalancers.page(this.database, parameters, args.order ?? 'NAME', request),
      count: () => loadBalancers.count(this.database, parameters),
    };
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
    const { dryRun, ...rest } = given(input);
    const outcome = await this.service.create(accessOf(context), rest, { dryRun, idempotencyKey: context.idempotencyKey });
    return { ...(await toOperationPayload(this.database, context, outcome)), loadBalancer: await this.find(outcome.result.id, context) };
  }

  @Mutation(() => LoadBalancerPayload, { description: 'Adds and removes members; those that are not named stay.' })
  async updateLoadBalancerMembers(
    @Args('input', { type: () => UpdateLoadBalancerMembersInput, description: 'Which come and which go.' })
    input: UpdateLoadBalancerMembersInput,
    @Context() context: GraphqlContext,
  ): Promise<LoadBalancerPayload> {
    const { dryRun, ...rest } = given(input);
    const outcome = await this.service.updateMembers(accessOf(context), rest, { dryRun, idempotencyKey: context.idempotencyKey });
    return { ...(await toOperationPayload(this.database, context, outcome)), loadBalancer: await this.find(outcome.result.id, context) };
  }

  @Mutation(() => LoadBalancerPayload, { description: 'Deletes a load balancer; its members stay.' })
  async deleteLoadBalancer(
    @Args('input', { type: () => DeleteLoadBalancerInput, description: 'Which.' }) input: DeleteLoadBalancerInput,
    @Context() context: GraphqlContext,
  ): Promise<LoadBalancerPayload> {
    const options = { dryRun: input.dryRun ?? undefined, idempotencyKey: context.idempotencyKey };
    const outcome = await this.service.delete(accessOf(context), input.id, options);
    return { ...(await toOperationPayload(this.database, context, outcome)), loadBalancer: await this.find(outcome.result.id, context) };
  }

  private async find(id: unknown, context: GraphqlContext): Promise<LoadBalancer | null> {
    return typeof id === 'string' ? ((await this.load([id], context)).get(id) ?? null) : null;
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, LoadBalancer>> {
    const rows = await this.database.rows(findVisibleLoadBalancers, ...accessOf(context).filter('load balancer'), [...ids]);
    return new Map(rows.map((row) => [row.id, toLoadBalancer(row)]));
  }
}
