import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { notFound } from '#core';
import { Database } from '#database';
import { Authenticated, connectionOf, DateTime, loader, Node, NodeRegistry, PageArguments, pageRequest, requestedFields, toConnection, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '../access/access.graphql.js';
import { Action, Role } from '../access/access.js';
import { CommandPayload, resultId, toPayload } from '../command/plan.graphql.js';
import { PrincipalService } from './principal.service.js';
import { findBindingsOfPrincipals, findPrincipals, principals, type BindingRow, type PrincipalRow } from './principal.sql.js';

export const PrincipalKind = { USER: 'USER', SERVICE_ACCOUNT: 'SERVICE_ACCOUNT' } as const;
export type PrincipalKind = (typeof PrincipalKind)[keyof typeof PrincipalKind];
registerEnumType(PrincipalKind, {
  name: 'PrincipalKind',
  description: 'What kind of caller.',
  valuesMap: { USER: { description: 'A person.' }, SERVICE_ACCOUNT: { description: 'A program.' } },
});
registerEnumType(Role, {
  name: 'Role',
  description: 'A set of rights on a scope and all below it.',
  valuesMap: { OWNER: { description: 'May do everything there.' } },
});

@ObjectType({ description: 'A role that a principal holds on a scope.' })
export class RoleBinding {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => ID, { description: 'The system, tenant or project.' })
  readonly scopeId!: string;

  @Field(() => Role, { description: 'The role.' })
  readonly role!: Role;
}

@ObjectType({ implements: () => [Node], description: 'Somebody who may call: a person or a program.' })
export class Principal extends Node {
  @Field(() => String, { description: 'Unique among principals of its kind and scope.' })
  readonly name!: string;

  @Field(() => PrincipalKind, { description: 'A person or a program.' })
  readonly kind!: PrincipalKind;

  @Field(() => ID, { description: 'The system, tenant or project that it belongs to.' })
  readonly scopeId!: string;

  @Field(() => DateTime, { nullable: true, description: 'Since when it may not call any more; null while it may.' })
  readonly disabledAt!: Date | null;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

const PrincipalConnection = connectionOf(Principal);

@ArgsType()
class PrincipalsArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this system, tenant or project.' })
  readonly scopeId?: string | null;
}

@InputType({ description: 'A new service account.' })
export class CreateServiceAccountInput {
  @Field(() => ID, { nullable: true, description: 'The tenant or project that it belongs to; the system if not given.' })
  readonly scopeId?: string;

  @Field(() => String, { description: 'Unique in its scope.' })
  readonly name!: string;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean;
}

@InputType({ description: 'A new token for a principal.' })
export class CreateApiTokenInput {
  @Field(() => ID, { description: 'Whom the token acts as.' })
  readonly principalId!: string;

  @Field(() => String, { description: 'Unique among the tokens of the principal.' })
  readonly name!: string;

  @Field(() => Int, { nullable: true, description: 'Days until it expires; without it, it holds until it is revoked.' })
  readonly validDays?: number;
}

@InputType({ description: 'Which token to revoke.' })
export class RevokeApiTokenInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@InputType({ description: 'Who gets which role where.' })
export class GrantRoleInput {
  @Field(() => ID, { description: 'Who.' })
  readonly principalId!: string;

  @Field(() => ID, { description: 'On which system, tenant or project.' })
  readonly scopeId!: string;

  @Field(() => Role, { description: 'Which role.' })
  readonly role!: Role;
}

@InputType({ description: 'Which role binding to take away.' })
export class RevokeRoleInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The service account that was made.' })
export class CreateServiceAccountPayload extends CommandPayload {
  @Field(() => Principal, { nullable: true, description: 'It; null of a dry run.' })
  readonly principal!: Principal | null;
}

@ObjectType({ description: 'The token that was made.' })
export class CreateApiTokenPayload {
  @Field(() => ID, { nullable: true, description: 'Its id, with which it is revoked.' })
  readonly tokenId!: string | null;

  @Field(() => String, { nullable: true, description: 'Its text, shown this once; null when an idempotency key repeats the request.' })
  readonly token!: string | null;
}

@ObjectType({ description: 'The token that was revoked.' })
export class RevokeApiTokenPayload {
  @Field(() => ID, { description: 'Its id.' })
  readonly tokenId!: string;
}

@ObjectType({ description: 'The role binding that was made or taken away.' })
export class RoleBindingPayload {
  @Field(() => ID, { nullable: true, description: 'Its id.' })
  readonly roleBindingId!: string | null;
}

function toPrincipal(row: PrincipalRow): Principal {
  return { id: row.id, name: row.name, kind: row.kind, scopeId: row.scope_id, disabledAt: row.disabled_at, createdAt: row.created_at };
}

@Authenticated()
@Resolver(() => Principal)
export class PrincipalResolver {
  constructor(
    private readonly database: Database,
    private readonly service: PrincipalService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'pri', typeName: 'Principal', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => Principal, { description: 'Who is asking.' })
  async viewer(@Context() context: GraphqlContext): Promise<Principal> {
    const { id } = accessOf(context).principal;
    const [row] = await this.database.rows(findPrincipals, [id]);
    if (row === undefined) throw notFound('principal', id);
    return toPrincipal(row);
  }

  @Query(() => PrincipalConnection, { description: 'Principals of the scopes that the caller may see, by name.' })
  async principals(
    @Args() args: PrincipalsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Principal>> {
    const parameters: Parameters<typeof principals.count>[1] = [...accessOf(context).filter, args.scopeId ?? null];
    const page = await principals.page(this.database, parameters, 'NAME', pageRequest(args));
    const total = requestedFields(info).has('totalCount') ? await principals.count(this.database, parameters) : undefined;
    return toConnection(page, toPrincipal, total);
  }

  // Undecorated parameters: called once a row of a list.
  @ResolveField('bindings', () => [RoleBinding], { description: 'The roles that it holds.' })
  async bindings(principal: Principal, _args: unknown, context: GraphqlContext): Promise<RoleBinding[]> {
    const load = loader<string, BindingRow[]>(context, 'principal.bindings', async (ids) =>
      Map.groupBy(await this.database.rows(findBindingsOfPrincipals, [...ids]), (row) => row.principal_id),
    );
    const access = accessOf(context);
    return ((await load.load(principal.id)) ?? [])
      .filter((row) => access.sees({ tenantId: row.tenant_id, projectId: row.project_id }))
      .map((row) => ({ id: row.id, scopeId: row.scope_id, role: row.role }));
  }

  @Mutation(() => CreateServiceAccountPayload, { description: 'Makes a service account on the system, a tenant or a project.' })
  async createServiceAccount(
    @Args('input', { type: () => CreateServiceAccountInput, description: 'What to make.' }) input: CreateServiceAccountInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateServiceAccountPayload> {
    const { dryRun, ...rest } = input;
    const options = { dryRun, idempotencyKey: context.idempotencyKey };
    const outcome = await this.service.createServiceAccount(accessOf(context), rest, options);
    const id = resultId(outcome.result);
    const principal = id !== null ? ((await this.load([id], context)).get(id) ?? null) : null;
    return { ...toPayload(outcome), principal };
  }

  @Mutation(() => CreateApiTokenPayload, { description: 'Makes a token that acts as a principal.' })
  async createApiToken(
    @Args('input', { type: () => CreateApiTokenInput, description: 'What to make.' }) input: CreateApiTokenInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateApiTokenPayload> {
    const made = await this.service.createApiToken(accessOf(context), { ...input }, { idempotencyKey: context.idempotencyKey });
    return { tokenId: resultId(made.result), token: made.token };
  }

  @Mutation(() => RevokeApiTokenPayload, { description: 'Ends a token; it stops working everywhere within a second.' })
  async revokeApiToken(
    @Args('input', { type: () => RevokeApiTokenInput, description: 'Which.' }) input: RevokeApiTokenInput,
    @Context() context: GraphqlContext,
  ): Promise<RevokeApiTokenPayload> {
    await this.service.revokeApiToken(accessOf(context), input.id, { idempotencyKey: context.idempotencyKey });
    return { tokenId: input.id };
  }

  @Mutation(() => RoleBindingPayload, { description: 'Gives a principal a role on a scope and all below it.' })
  async grantRole(
    @Args('input', { type: () => GrantRoleInput, description: 'Who, what, where.' }) input: GrantRoleInput,
    @Context() context: GraphqlContext,
  ): Promise<RoleBindingPayload> {
    const { result } = await this.service.grantRole(accessOf(context), { ...input }, { idempotencyKey: context.idempotencyKey });
    return { roleBindingId: resultId(result) };
  }

  @Mutation(() => RoleBindingPayload, { description: 'Takes a role away; it ends everywhere within a second.' })
  async revokeRole(
    @Args('input', { type: () => RevokeRoleInput, description: 'Which.' }) input: RevokeRoleInput,
    @Context() context: GraphqlContext,
  ): Promise<RoleBindingPayload> {
    await this.service.revokeRole(accessOf(context), input.id, { idempotencyKey: context.idempotencyKey });
    return { roleBindingId: input.id };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, Principal>> {
    const access = accessOf(context);
    const rows = await this.database.rows(findPrincipals, [...ids]);
    return new Map(
      rows
        .filter((row) => access.can(Action.READ, 'principal', { tenantId: row.tenant_id, projectId: row.project_id }))
        .map((row) => [row.id, toPrincipal(row)]),
    );
  }
}
