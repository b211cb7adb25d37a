import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import type { FirewallDirection, FirewallProtocol } from '#drivers';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, type Connection, type GraphqlContext } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, optionsOf, resultId } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { ProjectResource, ProjectResourcesArguments, toProjectResource } from '#tenancy/api';
import { Port, toPort } from '../port/port.graphql.js';
import { findVisiblePorts } from '../port/port.sql.js';
import { FirewallDirections, FirewallProtocols } from './rule.js';
import { securityGroupId, SecurityGroupState, securityGroupState, type SecurityGroupRow } from './security-group.js';
import { SecurityGroupService } from './security-group.service.js';
import { findGroupsOfPorts, findVisibleSecurityGroups, securityGroups } from './security-group.sql.js';

registerEnumType(SecurityGroupState, {
  name: 'SecurityGroupState',
  description: 'How a security group is.',
  valuesMap: {
    ACTIVE: { description: 'Its rules hold wherever it has ports.' },
    UPDATING: { description: 'Older rules, or none yet, hold somewhere.' },
    DELETING: { description: 'It is being taken away.' },
  },
});
registerEnumType(FirewallDirections, {
  name: 'FirewallDirection',
  description: 'Who begins, as seen from the machine that has the port. Answers always pass.',
  valuesMap: { INGRESS: { description: 'Others do: what comes to the machine.' }, EGRESS: { description: 'The machine does: what leaves it.' } },
});
registerEnumType(FirewallProtocols, {
  name: 'FirewallProtocol',
  description: 'What a rule is about, over IPv4.',
  valuesMap: {
    ANY: { description: 'Every protocol.' },
    TCP: { description: 'TCP, of one port or a range.' },
    UDP: { description: 'UDP, of one port or a range.' },
    ICMP: { description: 'ICMP, as of `ping`.' },
  },
});

const SecurityGroupOrder = { CREATED: 'CREATED', NAME: 'NAME' } as const;
type SecurityGroupOrder = (typeof SecurityGroupOrder)[keyof typeof SecurityGroupOrder];
registerEnumType(SecurityGroupOrder, {
  name: 'SecurityGroupOrder',
  description: 'Orders of a list of security groups.',
  valuesMap: { CREATED: { description: 'The oldest first.' }, NAME: { description: 'By name.' } },
});

@ObjectType({ description: 'Ports of the receiver, both ends included.' })
export class PortRange {
  @Field(() => Int, { description: 'The first.' })
  readonly from!: number;

  @Field(() => Int, { description: 'The last.' })
  readonly to!: number;
}

@ObjectType({ isAbstract: true })
export abstract class RuleMatch {
  @Field(() => FirewallDirections, { description: 'Who begins.' })
  readonly direction!: FirewallDirection;

  @Field(() => FirewallProtocols, { description: 'What it is about.' })
  readonly protocol!: FirewallProtocol;

  @Field(() => PortRange, { nullable: true, description: 'Of TCP and UDP; null for every port.' })
  readonly ports!: PortRange | null;

  @Field(() => String, { nullable: true, description: 'The block that the other end is in; null for anywhere.' })
  readonly remoteCidr!: string | null;

  @Field(() => String, { description: 'For people.' })
  readonly description!: string;
}

@ObjectType({ description: 'Allows what it matches.' })
export class SecurityGroupRule extends RuleMatch {
  @Field(() => ID, { nullable: true, description: 'The security group that the other end is in, instead of a block.' })
  readonly remoteSecurityGroupId!: string | null;
}

@ObjectType({
  implements: () => [Node],
  description: 'What the ports in it may do: what a rule of any of their groups allows, with the answers to it, and nothing else.',
})
export class SecurityGroup extends ProjectResource {
  @Field(() => String, { description: 'For people.' })
  readonly description!: string;

  @Field(() => [SecurityGroupRule], { description: 'In no order: each allows; 100 at most.' })
  readonly rules!: SecurityGroupRule[];

  @Field(() => SecurityGroupState, { description: 'How it is.' })
  readonly state!: SecurityGroupState;

  @Field(() => DateTime, { description: 'When it was made.' })
  override readonly createdAt!: Date;
}

const SecurityGroupConnection = connectionOf(SecurityGroup);

export function toSecurityGroup(row: SecurityGroupRow): SecurityGroup {
  return {
    ...toProjectResource(row),
    description: row.description,
    rules: row.rules,
    state: securityGroupState(row),
  };
}

@ArgsType()
class SecurityGroupsArguments extends ProjectResourcesArguments {
  @Field(() => SecurityGroupOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: SecurityGroupOrder | null;
}

@InputType({ description: 'Ports of the receiver, both ends included.' })
export class PortRangeInput {
  @Field(() => Int, { description: 'The first, 0 to 65535.' })
  readonly from!: number;

  @Field(() => Int, { nullable: true, description: 'The last; the first if not given.' })
  readonly to?: number | null;
}

@InputType({ isAbstract: true })
export abstract class RuleMatchInput {
  @Field(() => FirewallDirections, { description: 'Who begins.' })
  readonly direction!: FirewallDirection;

  @Field(() => FirewallProtocols, { description: 'What it is about.' })
  readonly protocol!: FirewallProtocol;

  @Field(() => PortRangeInput, { nullable: true, description: 'Of TCP and UDP only; every port if not given.' })
  readonly ports?: PortRangeInput | null;

  @Field(() => String, { nullable: true, description: 'The IPv4 block that the other end is in; anywhere if not given.' })
  readonly remoteCidr?: string | null;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly description?: string | null;
}

@InputType({ description: 'A rule that allows what it matches.' })
export class SecurityGroupRuleInput extends RuleMatchInput {
  @Field(() => ID, { nullable: true, description: 'The security group of the project that the other end is in, instead of a block; the group itself, too.' })
  readonly remoteSecurityGroupId?: string | null;
}

@InputType({ description: 'A new security group.' })
export class CreateSecurityGroupInput extends CommandInput {
  @Field(() => ID, { description: 'The project that it belongs to.' })
  readonly projectId!: string;

  @Field(() => String, { description: 'Unique in the project; a DNS label.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly description?: string | null;

  @Field(() => [SecurityGroupRuleInput], {
    nullable: true,
    description: 'What it allows, and nothing else; 100 at most. If not given, everything that its ports begin themselves.',
  })
  readonly rules?: SecurityGroupRuleInput[] | null;
}

@InputType({ description: 'What to change of a security group; what is not given stays.' })
export class UpdateSecurityGroupInput extends CommandInput {
  @Field(() => ID, { description: 'Which.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refused with CONFLICT unless it has this version.' })
  readonly expectedVersion?: number | null;

  @Field(() => String, { nullable: true, description: 'Unique in the project; a DNS label.' })
  readonly name?: string | null;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly description?: string | null;

  @Field(() => [SecurityGroupRuleInput], { nullable: true, description: 'All that it shall allow; they take the place of those that it has.' })
  readonly rules?: SecurityGroupRuleInput[] | null;
}

@InputType({ description: 'Which security group to delete.' })
export class DeleteSecurityGroupInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@InputType({ description: 'Groups that a port joins and leaves; the others stay.' })
export class UpdatePortSecurityGroupsInput extends CommandInput {
  @Field(() => ID, { description: 'The port.' })
  readonly portId!: string;

  @Field(() => [ID], { nullable: true, description: 'Groups of its project that it joins; a port is in 16 at most.' })
  readonly add?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Groups that it leaves. Out of all of them it is open in its network.' })
  readonly remove?: string[] | null;
}

@ObjectType({ description: 'The security group that is made, changed or deleted.' })
export class SecurityGroupPayload extends OperationPayload {
  @Field(() => SecurityGroup, { nullable: true, description: 'It; null of a dry run that would make it.' })
  readonly securityGroup!: SecurityGroup | null;
}

@ObjectType({ description: 'The port that joins and leaves groups.' })
export class UpdatePortSecurityGroupsPayload extends OperationPayload {
  @Field(() => Port, { nullable: true, description: 'It, with the groups that it shall be in.' })
  readonly port!: Port | null;
}

@Authenticated()
@Resolver(() => SecurityGroup)
export class SecurityGroupResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: SecurityGroupService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: securityGroupId.prefix, typeName: 'SecurityGroup', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => SecurityGroupConnection, { description: 'The security groups that the caller may see.' })
  async securityGroups(
    @Args() args: SecurityGroupsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<SecurityGroup>> {
    const filter = accessOf(context).filter('security group');
    const parameters: Parameters<typeof securityGroups.count>[1] = [...filter, args.projectId ?? null, args.tenantId ?? null, args.name ?? null];
    const source = listSource(securityGroups, this.database, parameters, args.order ?? 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toSecurityGroup);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(group: SecurityGroup, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, group.id);
  }

  @Mutation(() => SecurityGroupPayload, { description: 'Makes a security group.' })
  async createSecurityGroup(
    @Args('input', { type: () => CreateSecurityGroupInput, description: 'What to make.' }) input: CreateSecurityGroupInput,
    @Context() context: GraphqlContext,
  ): Promise<SecurityGroupPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.create(accessOf(context), command, options), context);
  }

  @Mutation(() => SecurityGroupPayload, { description: 'Changes a security group; new rules also end what is under way and no longer allowed.' })
  async updateSecurityGroup(
    @Args('input', { type: () => UpdateSecurityGroupInput, description: 'What to change.' }) input: UpdateSecurityGroupInput,
    @Context() context: GraphqlContext,
  ): Promise<SecurityGroupPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.update(accessOf(context), command, options), context);
  }

  @Mutation(() => SecurityGroupPayload, { description: 'Deletes a security group that no port is in and no other group names.' })
  async deleteSecurityGroup(
    @Args('input', { type: () => DeleteSecurityGroupInput, description: 'Which.' }) input: DeleteSecurityGroupInput,
    @Context() context: GraphqlContext,
  ): Promise<SecurityGroupPayload> {
    return this.payload(await this.service.delete(accessOf(context), input.id, optionsOf(input, context)), context);
  }

  @Mutation(() => UpdatePortSecurityGroupsPayload, { description: 'Puts a port into security groups and takes it out of others; those that are not named stay.' })
  async updatePortSecurityGroups(
    @Args('input', { type: () => UpdatePortSecurityGroupsInput, description: 'Which it joins and which it leaves.' })
    input: UpdatePortSecurityGroupsInput,
    @Context() context: GraphqlContext,
  ): Promise<UpdatePortSecurityGroupsPayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.updatePort(accessOf(context), command, options);
    const [port] = await this.database.rows(findVisiblePorts, ...accessOf(context).filter('port'), [input.portId]);
    return { ...(await toOperationPayload(this.database, context, outcome)), port: port === undefined ? null : toPort(port) };
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<SecurityGroupPayload> {
    const payload = await toOperationPayload(this.database, context, outcome);
    const id = resultId(outcome.result);
    return { ...payload, securityGroup: id === null ? null : ((await this.load([id], context)).get(id) ?? null) };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, SecurityGroup>> {
    const rows = await this.database.rows(findVisibleSecurityGroups, ...accessOf(context).filter('security group'), [...ids]);
    return new Map(rows.map((row) => [row.id, toSecurityGroup(row)]));
  }
}

/** The groups of ports, looked up together with those of all others that the request asks for. */
@Authenticated()
@Resolver(() => Port)
export class PortSecurityGroupsResolver {
  constructor(private readonly database: Database) {}

  @ResolveField('securityGroups', () => [SecurityGroup], { description: 'The groups that it is in, 16 at most. In none, it is open in its network.' })
  async securityGroups(port: Port, _args: unknown, context: GraphqlContext): Promise<SecurityGroup[]> {
    const filter = accessOf(context).filter('security group');
    const load = loader<string, SecurityGroupRow[]>(context, 'port.securityGroups', async (portIds) => {
      const memberships = await this.database.rows(findGroupsOfPorts, [...portIds]);
      const ids = [...new Set(memberships.map((row) => row.security_group_id))];
      const groups = new Map((ids.length === 0 ? [] : await this.database.rows(findVisibleSecurityGroups, ...filter, ids)).map((row) => [row.id, row]));
      return new Map(
        [...Map.groupBy(memberships, (row) => row.port_id)].map(([portId, rows]) => [portId, rows.flatMap((row) => groups.get(row.security_group_id) ?? [])]),
      );
    });
    return ((await load.load(port.id)) ?? []).map(toSecurityGroup);
  }
}
