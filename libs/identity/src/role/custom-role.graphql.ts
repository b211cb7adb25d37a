import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { notFound } from '#core';
import { Database } from '#database';
import { Authenticated, connectionOf, Long, NodeRegistry, PageArguments, pageRequest, requestedFields, toConnection, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '../access/access.graphql.js';
import { placeOfRow } from '../access/access.js';
import { CommandInput, optionsOf } from '../command/command-input.graphql.js';
import { CommandPayload, resultId, toPayload } from '../command/plan.graphql.js';
import { CustomRoleService } from './custom-role.service.js';
import { customRoles, findCustomRoles } from './custom-role.sql.js';
import { CustomRole, PermissionInput, toCustomRole } from './role.graphql.js';

const CustomRoleConnection = connectionOf(CustomRole);

@ArgsType()
class CustomRolesArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this tenant.' })
  readonly tenantId?: string | null;
}

@InputType({ description: 'A new role of a tenant.' })
export class CreateRoleInput extends CommandInput {
  @Field(() => ID, { description: 'The tenant inside of which it can be held.' })
  readonly tenantId!: string;

  @Field(() => String, { description: 'Unique in the tenant.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'What it is for.' })
  readonly description?: string | null;

  @Field(() => [PermissionInput], { description: 'What it allows: nothing that the caller may not do in the tenant.' })
  readonly permissions!: PermissionInput[];
}

@InputType({ description: 'What shall change of a role; what is not given stays.' })
export class UpdateRoleInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => String, { nullable: true, description: 'What it is for.' })
  readonly description?: string | null;

  @Field(() => [PermissionInput], { nullable: true, description: 'All that it allows from now on.' })
  readonly permissions?: PermissionInput[] | null;

  @Field(() => Long, { nullable: true, description: 'Refused with CONFLICT when it has another version by now.' })
  readonly expectedVersion?: number | null;
}

@InputType({ description: 'Which role to delete.' })
export class DeleteRoleInput extends CommandInput {
  @Field(() => ID, { description: 'Its id. Nobody may hold it any more.' })
  readonly id!: string;
}

@ObjectType({ description: 'The role that was made or changed.' })
export class CustomRolePayload extends CommandPayload {
  @Field(() => CustomRole, { nullable: true, description: 'It; null of a dry run.' })
  readonly role!: CustomRole | null;
}

@ObjectType({ description: 'The role that was deleted.' })
export class DeleteRolePayload extends CommandPayload {
  @Field(() => ID, { description: 'Its id.' })
  readonly roleId!: string;
}

@Authenticated()
@Resolver(() => CustomRole)
export class CustomRoleResolver {
  constructor(
    private readonly database: Database,
    private readonly service: CustomRoleService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'rol', typeName: 'CustomRole', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => CustomRoleConnection, { description: 'Custom roles of the tenants that the caller may see, by name.' })
  async customRoles(
    @Args() args: CustomRolesArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<CustomRole>> {
    const parameters: Parameters<typeof customRoles.count>[1] = [...accessOf(context).filter('role'), args.tenantId ?? null];
    const page = await customRoles.page(this.database, parameters, 'NAME', pageRequest(args));
    const total = requestedFields(info).has('totalCount') ? await customRoles.count(this.database, parameters) : undefined;
    return toConnection(page, toCustomRole, total);
  }

  @Mutation(() => CustomRolePayload, { description: 'Makes a role of a tenant: a set of actions on kinds of things.' })
  async createRole(
    @Args('input', { type: () => CreateRoleInput, description: 'What to make.' }) input: CreateRoleInput,
    @Context() context: GraphqlContext,
  ): Promise<CustomRolePayload> {
    const { tenantId, name, description, permissions } = input;
    const command = { tenantId, name, permissions: permissions.map((each) => ({ ...each })), ...(description == null ? {} : { description }) };
    return this.payload(await this.service.create(accessOf(context), command, optionsOf(input, context)), context);
  }

  @Mutation(() => CustomRolePayload, { description: 'Changes what a role allows, for all who hold it.' })
  async updateRole(
    @Args('input', { type: () => UpdateRoleInput, description: 'What shall change.' }) input: UpdateRoleInput,
    @Context() context: GraphqlContext,
  ): Promise<CustomRolePayload> {
    const { id, description, permissions, expectedVersion } = input;
    const command = {
      id,
      ...(description == null ? {} : { description }),
      ...(permissions == null ? {} : { permissions: permissions.map((each) => ({ ...each })) }),
      ...(expectedVersion == null ? {} : { expectedVersion }),
    };
    return this.payload(await this.service.update(accessOf(context), command, optionsOf(input, context)), context);
  }

  @Mutation(() => DeleteRolePayload, { description: 'Deletes a role that nobody holds.' })
  async deleteRole(
    @Args('input', { type: () => DeleteRoleInput, description: 'Which.' }) input: DeleteRoleInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteRolePayload> {
    return { ...toPayload(await this.service.delete(accessOf(context), input.id, optionsOf(input, context))), roleId: input.id };
  }

  private async payload(outcome: Parameters<typeof toPayload>[0], context: GraphqlContext): Promise<CustomRolePayload> {
    const id = resultId(outcome.result);
    if (id === null) return { ...toPayload(outcome), role: null };
    const role = (await this.load([id], context)).get(id);
    if (role === undefined) throw notFound('role', id);
    return { ...toPayload(outcome), role };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, CustomRole>> {
    const access = accessOf(context);
    const rows = await this.database.rows(findCustomRoles, [...ids]);
    return new Map(rows.filter((row) => access.sees('role', placeOfRow(row))).map((row) => [row.id, toCustomRole(row)]));
  }
}
