import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import type { FirewallAction } from '#drivers';
import { EventFeed } from '#events';
import { readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE, type CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, optionsOf, Problem, resultId, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { RuleMatch, RuleMatchInput } from '../security-group/security-group.graphql.js';
import { FirewallActions, firewallPolicyId, FirewallPolicyState, firewallPolicyState, type FirewallPolicyRow } from './firewall-policy.js';
import { FirewallPolicyService } from './firewall-policy.service.js';
import { findFirewallPolicies, firewallPolicies } from './firewall-policy.sql.js';

registerEnumType(FirewallPolicyState, {
  name: 'FirewallPolicyState',
  description: 'How a firewall policy is.',
  valuesMap: {
    CREATING: { description: 'It is not in force everywhere yet.' },
    ACTIVE: { description: 'It is in force.' },
    FAILED: { description: 'It could not be put in force; `failure` says why. It can be retried or deleted.' },
    DELETING: { description: 'It is being taken away.' },
  },
});
registerEnumType(FirewallActions, {
  name: 'FirewallAction',
  description: 'What becomes of what a rule matches.',
  valuesMap: {
    ALLOW: { description: 'It passes, whatever security groups say.' },
    DENY: { description: 'It is dropped, whatever security groups say.' },
    PASS: { description: 'Security groups decide, past all rules of policies that come after.' },
  },
});

const FirewallPolicyOrder = { POSITION: 'POSITION', NAME: 'NAME' } as const;
type FirewallPolicyOrder = (typeof FirewallPolicyOrder)[keyof typeof FirewallPolicyOrder];
registerEnumType(FirewallPolicyOrder, {
  name: 'FirewallPolicyOrder',
  description: 'Orders of a list of firewall policies.',
  valuesMap: { POSITION: { description: 'As they are asked.' }, NAME: { description: 'By name.' } },
});

@ObjectType({ description: 'A rule of a firewall policy: the first that matches decides.' })
export class FirewallPolicyRule extends RuleMatch {
  @Field(() => FirewallActions, { description: 'What becomes of what it matches.' })
  readonly action!: FirewallAction;
}

@ObjectType({
  implements: () => [Node],
  description: 'What operators say of everybody’s ports, a tenant’s or a project’s, above security groups; also of ports in no group.',
})
export class FirewallPolicy extends Node {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => String, { description: 'For people.' })
  readonly description!: string;

  @Field(() => Int, { description: 'The policy with the lowest is asked first. Unique.' })
  readonly position!: number;

  @Field(() => ID, { nullable: true, description: 'The tenant or project whose ports it is about; null for everybody’s.' })
  readonly scopeId!: string | null;

  @Field(() => [FirewallPolicyRule], { description: 'In their order; 100 at most.' })
  readonly rules!: FirewallPolicyRule[];

  @Field(() => FirewallPolicyState, { description: 'How it is.' })
  readonly state!: FirewallPolicyState;

  @Field(() => Problem, { nullable: true, description: 'Why it could not be put in force.' })
  readonly failure!: Problem | null;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change of it.' })
  readonly revision!: number;
}

const FirewallPolicyConnection = connectionOf(FirewallPolicy);

function toFirewallPolicy(row: FirewallPolicyRow): FirewallPolicy {
  return {
    id: row.id,
    home: SYSTEM_PLACE,
    name: row.name,
    description: row.description,
    position: row.position,
    scopeId: row.scope_project_id ?? row.scope_tenant_id,
    rules: row.rules,
    state: firewallPolicyState(row),
    failure: row.failure === null ? null : toProblem(row.failure),
    createdAt: row.created_at,
    version: row.version,
    revision: row.revision,
  };
}

@ArgsType()
class FirewallPoliciesArguments extends PageArguments {
  @Field(() => String, { nullable: true, description: 'Only the one of this name.' })
  readonly name?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those about ports of this tenant and of no other.' })
  readonly tenantId?: string | null;

  @Field(() => FirewallPolicyOrder, { nullable: true, description: 'As they are asked if not given.' })
  readonly order?: FirewallPolicyOrder | null;
}

@InputType({ description: 'A rule of a firewall policy.' })
export class FirewallPolicyRuleInput extends RuleMatchInput {
  @Field(() => FirewallActions, { description: 'What becomes of what it matches.' })
  readonly action!: FirewallAction;
}

@InputType({ description: 'A new firewall policy.' })
export class CreateFirewallPolicyInput extends CommandInput {
  @Field(() => String, { description: 'Unique; a DNS label.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly description?: string | null;

  @Field(() => Int, { nullable: true, description: 'The policy with the lowest is asked first, 1 to 10000; behind all others if not given.' })
  readonly position?: number | null;

  @Field(() => ID, { nullable: true, description: 'The tenant or project whose ports it is about; everybody’s if not given.' })
  readonly scopeId?: string | null;

  @Field(() => [FirewallPolicyRuleInput], { description: 'In their order; 100 at most. The first that matches decides.' })
  readonly rules!: FirewallPolicyRuleInput[];
}

@InputType({ description: 'What to change of a firewall policy; what is not given stays.' })
export class UpdateFirewallPolicyInput extends CommandInput {
  @Field(() => ID, { description: 'Which.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refused with CONFLICT unless it has this version.' })
  readonly expectedVersion?: number | null;

  @Field(() => String, { nullable: true, description: 'Unique; a DNS label.' })
  readonly name?: string | null;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly description?: string | null;

  @Field(() => Int, { nullable: true, description: 'The policy with the lowest is asked first, 1 to 10000.' })
  readonly position?: number | null;

  @Field(() => [FirewallPolicyRuleInput], { nullable: true, description: 'All rules, in their order; they take the place of those that it has.' })
  readonly rules?: FirewallPolicyRuleInput[] | null;
}

@InputType({ description: 'Which firewall policy to delete.' })
export class DeleteFirewallPolicyInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The firewall policy that is made, changed or deleted.' })
export class FirewallPolicyPayload extends OperationPayload {
  @Field(() => FirewallPolicy, { nullable: true, description: 'It; null of a dry run that would make it.' })
  readonly firewallPolicy!: FirewallPolicy | null;
}

@Authenticated()
@Resolver(() => FirewallPolicy)
export class FirewallPolicyResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: FirewallPolicyService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: firewallPolicyId.prefix, typeName: 'FirewallPolicy', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => FirewallPolicyConnection, { description: 'For operators: the firewall policies, as they are asked. Nobody else sees any.' })
  async firewallPolicies(
    @Args() args: FirewallPoliciesArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<FirewallPolicy>> {
    const shown = accessOf(context).sees('firewall policy', SYSTEM_PLACE);
    const parameters: Parameters<typeof firewallPolicies.count>[1] = [args.name ?? null, args.tenantId ?? null];
    const source = {
      page: async (request: Parameters<typeof firewallPolicies.page>[3]) =>
        shown
          ? firewallPolicies.page(this.database, parameters, args.order ?? 'POSITION', request)
          : { rows: [], cursors: [], hasNextPage: false, hasPreviousPage: false },
      count: async () => (shown ? firewallPolicies.count(this.database, parameters) : 0),
    };
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toFirewallPolicy);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(policy: FirewallPolicy, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, policy.id);
  }

  @Mutation(() => FirewallPolicyPayload, { description: 'For operators: makes a firewall policy and puts it in force on every backend.' })
  async createFirewallPolicy(
    @Args('input', { type: () => CreateFirewallPolicyInput, description: 'What to make.' }) input: CreateFirewallPolicyInput,
    @Context() context: GraphqlContext,
  ): Promise<FirewallPolicyPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.create(accessOf(context), command, options), context);
  }

  @Mutation(() => FirewallPolicyPayload, { description: 'For operators: changes a firewall policy.' })
  async updateFirewallPolicy(
    @Args('input', { type: () => UpdateFirewallPolicyInput, description: 'What to change.' }) input: UpdateFirewallPolicyInput,
    @Context() context: GraphqlContext,
  ): Promise<FirewallPolicyPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.update(accessOf(context), command, options), context);
  }

  @Mutation(() => FirewallPolicyPayload, { description: 'For operators: deletes a firewall policy; what it said holds no longer.' })
  async deleteFirewallPolicy(
    @Args('input', { type: () => DeleteFirewallPolicyInput, description: 'Which.' }) input: DeleteFirewallPolicyInput,
    @Context() context: GraphqlContext,
  ): Promise<FirewallPolicyPayload> {
    return this.payload(await this.service.delete(accessOf(context), input.id, optionsOf(input, context)), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<FirewallPolicyPayload> {
    const payload = await toOperationPayload(this.database, context, outcome);
    const id = resultId(outcome.result);
    return { ...payload, firewallPolicy: id === null ? null : ((await this.load([id], context)).get(id) ?? null) };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, FirewallPolicy>> {
    if (!accessOf(context).sees('firewall policy', SYSTEM_PLACE)) return new Map();
    return new Map((await this.database.rows(findFirewallPolicies, [...ids])).map((row) => [row.id, toFirewallPolicy(row)]));
  }
}
