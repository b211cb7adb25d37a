import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { notFound } from '#core';
import { Database } from '#database';
import { Authenticated, connectionOf, loader, NodeRegistry, PageArguments, pageRequest, requestedFields, toConnection, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '../access/access.graphql.js';
import { placeOfRow } from '../access/access.js';
import { RoleBinding, visibleBindings } from '../binding/role-binding.graphql.js';
import { findBindingsOfPrincipals, type BindingRow } from '../binding/role-binding.sql.js';
import { CommandInput, optionsOf } from '../command/command-input.graphql.js';
import { CommandPayload, resultId, toPayload } from '../command/plan.graphql.js';
import { ApiToken, Principal, toApiToken, toPrincipal } from './principal-type.graphql.js';
import { PrincipalService } from './principal.service.js';
import { findPrincipals, findTokensOfPrincipals, principals, type TokenRow } from './principal.sql.js';

const PrincipalConnection = connectionOf(Principal);

@ArgsType()
class PrincipalsArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this system, tenant or project.' })
  readonly scopeId?: string | null;
}

@InputType({ description: 'A new service account.' })
export class CreateServiceAccountInput extends CommandInput {
  @Field(() => ID, { nullable: true, description: 'The tenant or project that it belongs to; the system if not given.' })
  readonly scopeId?: string | null;

  @Field(() => String, { description: 'Unique in its scope.' })
  readonly name!: string;
}

@InputType({ description: 'A new token for a principal. There is no plan of it: applied later, it could not show the text of the token.' })
export class CreateApiTokenInput {
  @Field(() => ID, { description: 'Whom the token acts as.' })
  readonly principalId!: string;

  @Field(() => String, { description: 'Unique among the tokens of the principal.' })
  readonly name!: string;

  @Field(() => Int, { nullable: true, description: 'Days until it expires; without it, it holds until it is revoked.' })
  readonly validDays?: number;
}

@InputType({ description: 'Which token to revoke.' })
export class RevokeApiTokenInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@InputType({ description: 'Which principal.' })
export class PrincipalTargetInput extends CommandInput {
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
export class RevokeApiTokenPayload extends CommandPayload {
  @Field(() => ID, { description: 'Its id.' })
  readonly tokenId!: string;
}

@ObjectType({ description: 'The principal that was disabled or enabled.' })
export class PrincipalPayload extends CommandPayload {
  @Field(() => Principal, { nullable: true, description: 'It; null of a dry run.' })
  readonly principal!: Principal | null;
}

@ObjectType({ description: 'The service account that was deleted.' })
export class DeleteServiceAccountPayload extends CommandPayload {
  @Field(() => ID, { description: 'Its id.' })
  readonly principalId!: string;
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
    const parameters: Parameters<typeof principals.count>[1] = [...accessOf(context).filter('principal'), args.scopeId ?? null];
    const page = await principals.page(this.database, parameters, 'NAME', pageRequest(args));
    const total = requestedFields(info).has('totalCount') ? await principals.count(this.database, parameters) : undefined;
    return toConnection(page, toPrincipal, total);
  }

  // Undecorated parameters: these are called once a row of a list.
  @ResolveField('bindings', () => [RoleBinding], { description: 'The roles that it holds; those that it holds by a group name that.' })
  async bindings(principal: Principal, _args: unknown, context: GraphqlContext): Promise<RoleBinding[]> {
    const load = loader<string, BindingRow[]>(context, 'principal.bindings', async (ids) =>
      Map.groupBy(await this.database.rows(findBindingsOfPrincipals, [...ids]), (row) => row.holder_id),
    );
    return visibleBindings((await load.load(principal.id)) ?? [], context);
  }

  @ResolveField('tokens', () => [ApiToken], { description: 'Its tokens, for itself and the owners of its scope; empty for others.' })
  async tokens(principal: Principal, _args: unknown, context: GraphqlContext): Promise<ApiToken[]> {
    const access = accessOf(context);
    if (principal.id !== access.principal.id && !access.sees('token', principal.home)) return [];
    const load = loader<string, TokenRow[]>(context, 'principal.tokens', async (ids) =>
      Map.groupBy(await this.database.rows(findTokensOfPrincipals, [...ids]), (row) => row.principal_id),
    );
    return ((await load.load(principal.id)) ?? []).map(toApiToken);
  }

  @Mutation(() => CreateServiceAccountPayload, { description: 'Makes a service account on the system, a tenant or a project.' })
  async createServiceAccount(
    @Args('input', { type: () => CreateServiceAccountInput, description: 'What to make.' }) input: CreateServiceAccountInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateServiceAccountPayload> {
    const { scopeId, name } = input;
    const command = { name, ...(scopeId == null ? {} : { scopeId }) };
    return this.payload(await this.service.createServiceAccount(accessOf(context), command, optionsOf(input, context)), context);
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
    const outcome = await this.service.revokeApiToken(accessOf(context), input.id, optionsOf(input, context));
    return { ...toPayload(outcome), tokenId: input.id };
  }

  @Mutation(() => PrincipalPayload, { description: 'Keeps a principal from calling, everywhere within a second, open sockets included.' })
  async disablePrincipal(
    @Args('input', { type: () => PrincipalTargetInput, description: 'Which.' }) input: PrincipalTargetInput,
    @Context() context: GraphqlContext,
  ): Promise<PrincipalPayload> {
    return this.payload(await this.service.disable(accessOf(context), input.id, optionsOf(input, context)), context);
  }

  @Mutation(() => PrincipalPayload, { description: 'Lets a disabled principal call again. The caller must hold itself what it holds.' })
  async enablePrincipal(
    @Args('input', { type: () => PrincipalTargetInput, description: 'Which.' }) input: PrincipalTargetInput,
    @Context() context: GraphqlContext,
  ): Promise<PrincipalPayload> {
    return this.payload(await this.service.enable(accessOf(context), input.id, optionsOf(input, context)), context);
  }

  @Mutation(() => DeleteServiceAccountPayload, { description: 'Deletes a service account with its tokens and roles.' })
  async deleteServiceAccount(
    @Args('input', { type: () => PrincipalTargetInput, description: 'Which.' }) input: PrincipalTargetInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteServiceAccountPayload> {
    const outcome = await this.service.deleteServiceAccount(accessOf(context), input.id, optionsOf(input, context));
    return { ...toPayload(outcome), principalId: input.id };
  }

  private async payload(outcome: Parameters<typeof toPayload>[0], context: GraphqlContext): Promise<PrincipalPayload> {
    const id = resultId(outcome.result);
    const principal = id === null ? null : ((await this.load([id], context)).get(id) ?? null);
    return { ...toPayload(outcome), principal };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, Principal>> {
    const access = accessOf(context);
    const rows = await this.database.rows(findPrincipals, [...ids]);
    return new Map(rows.filter((row) => access.sees('principal', placeOfRow(row))).map((row) => [row.id, toPrincipal(row)]));
  }
}
