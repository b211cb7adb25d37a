import { Args, Context, Field, ID, InputType, Mutation, ObjectType, ResolveField, Resolver } from '@nestjs/graphql';
import { Database } from '#database';
import { Authenticated, DateTime, loader, Node, NodeRegistry, type GraphqlContext } from '#graphql';
import { accessOf } from '../access/access.graphql.js';
import { placeOfRow } from '../access/access.js';
import { Role } from '../access/role.js';
import { CommandInput, optionsOf } from '../command/command-input.graphql.js';
import { CommandPayload, resultId, toPayload } from '../command/plan.graphql.js';
import { findCustomRoles } from '../role/custom-role.sql.js';
import { CustomRole, toCustomRole } from '../role/role.graphql.js';
import { RoleBindingService } from './role-binding.service.js';
import { findBindings, type BindingRow } from './role-binding.sql.js';

@ObjectType({ implements: () => [Node], description: 'A role that a principal or a group holds on a scope and all below it.' })
export class RoleBinding extends Node {
  @Field(() => ID, { description: 'The system, tenant or project.' })
  readonly scopeId!: string;

  @Field(() => ID, { nullable: true, description: 'Who holds it; null when a group does.' })
  readonly principalId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The group whose members hold it; null when a principal does.' })
  readonly groupId!: string | null;

  @Field(() => Role, { nullable: true, description: 'The role; null for a custom one.' })
  readonly role!: Role | null;

  @Field(() => DateTime, { description: 'Since when.' })
  readonly createdAt!: Date;

  readonly customRoleId!: string | null;
}

export function toRoleBinding(row: BindingRow): RoleBinding {
  return {
    id: row.id,
    home: placeOfRow(row),
    scopeId: row.scope_id,
    principalId: row.principal_id,
    groupId: row.group_id,
    role: row.role,
    createdAt: row.created_at,
    customRoleId: row.custom_role_id,
  };
}

/** What of these bindings the caller may see. */
export function visibleBindings(rows: readonly BindingRow[], context: GraphqlContext): RoleBinding[] {
  const access = accessOf(context);
  return rows.filter((row) => access.sees('role binding', placeOfRow(row))).map(toRoleBinding);
}

@InputType({ description: 'Who gets which role where: one of `principalId` and `groupId`, one of `role` and `customRoleId`.' })
export class GrantRoleInput extends CommandInput {
  @Field(() => ID, { nullable: true, description: 'Who.' })
  readonly principalId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Whose members.' })
  readonly groupId?: string | null;

  @Field(() => ID, { description: 'On which system, tenant or project.' })
  readonly scopeId!: string;

  @Field(() => Role, { nullable: true, description: 'Which role. The caller must hold itself what it allows.' })
  readonly role?: Role | null;

  @Field(() => ID, { nullable: true, description: 'Which custom role.' })
  readonly customRoleId?: string | null;
}

@InputType({ description: 'Which role binding to take away.' })
export class RevokeRoleInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The role binding that was made or taken away.' })
export class RoleBindingPayload extends CommandPayload {
  @Field(() => ID, { nullable: true, description: 'Its id; null of a dry run.' })
  readonly roleBindingId!: string | null;
}

@Authenticated()
@Resolver(() => RoleBinding)
export class RoleBindingResolver {
  constructor(
    private readonly database: Database,
    private readonly service: RoleBindingService,
    registry: NodeRegistry,
  ) {
    const load = async (ids: readonly string[], context: GraphqlContext): Promise<Map<string, RoleBinding>> => {
      const rows = await this.database.rows(findBindings, [...ids]);
      return new Map(visibleBindings(rows, context).map((binding) => [binding.id, binding]));
    };
    registry.register({ prefix: 'rbd', typeName: 'RoleBinding', load });
  }

  // Undecorated parameters: called once a row of a list.
  @ResolveField('customRole', () => CustomRole, { nullable: true, description: 'The custom role; null for one that is always there.' })
  async customRole(binding: RoleBinding, _args: unknown, context: GraphqlContext): Promise<CustomRole | null> {
    if (binding.customRoleId === null) return null;
    // One knows the roles that one holds oneself, and those that are used where one may read roles.
    if (binding.principalId !== accessOf(context).principal.id && !accessOf(context).sees('role', binding.home)) return null;
    const load = loader<string, CustomRole>(context, 'role.custom', async (ids) =>
      new Map((await this.database.rows(findCustomRoles, [...ids])).map((row) => [row.id, toCustomRole(row)])),
    );
    return (await load.load(binding.customRoleId)) ?? null;
  }

  @Mutation(() => RoleBindingPayload, { description: 'Gives a principal or a group a role on a scope and all below it.' })
  async grantRole(
    @Args('input', { type: () => GrantRoleInput, description: 'Who, what, where.' }) input: GrantRoleInput,
    @Context() context: GraphqlContext,
  ): Promise<RoleBindingPayload> {
    const { principalId, groupId, scopeId, role, customRoleId } = input;
    const command = {
      scopeId,
      ...(principalId == null ? {} : { principalId }),
      ...(groupId == null ? {} : { groupId }),
      ...(role == null ? {} : { role }),
      ...(customRoleId == null ? {} : { customRoleId }),
    };
    const outcome = await this.service.grantRole(accessOf(context), command, optionsOf(input, context));
    return { ...toPayload(outcome), roleBindingId: resultId(outcome.result) };
  }

  @Mutation(() => RoleBindingPayload, { description: 'Takes a role away; it ends everywhere within a second. A scope keeps its last owner.' })
  async revokeRole(
    @Args('input', { type: () => RevokeRoleInput, description: 'Which.' }) input: RevokeRoleInput,
    @Context() context: GraphqlContext,
  ): Promise<RoleBindingPayload> {
    const outcome = await this.service.revokeRole(accessOf(context), input.id, optionsOf(input, context));
    return { ...toPayload(outcome), roleBindingId: input.id };
  }
}
