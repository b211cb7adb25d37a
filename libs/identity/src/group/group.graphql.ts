import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { notFound } from '#core';
import { Database } from '#database';
import { Authenticated, connectionOf, DateTime, loader, Node, NodeRegistry, PageArguments, pageRequest, requestedFields, toConnection, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '../access/access.graphql.js';
import { placeOfRow } from '../access/access.js';
import { RoleBinding, visibleBindings } from '../binding/role-binding.graphql.js';
import { findBindingsOfGroups, type BindingRow } from '../binding/role-binding.sql.js';
import { CommandInput, optionsOf } from '../command/command-input.graphql.js';
import { CommandPayload, resultId, toPayload } from '../command/plan.graphql.js';
import { Principal, toPrincipal } from '../principal/principal-type.graphql.js';
import { GroupService } from './group.service.js';
import { findGroups, findMembers, groups, type GroupRow } from './group.sql.js';

/** Members that a group shows. */
const MAX_MEMBERS = 100;

@ObjectType({ implements: () => [Node], description: 'Principals that hold roles together.' })
export class Group extends Node {
  @Field(() => String, { description: 'Unique among the groups of its scope and issuer; as the claims of the issuer name it.' })
  readonly name!: string;

  @Field(() => ID, { description: 'The system, tenant or project that it belongs to.' })
  readonly scopeId!: string;

  @Field(() => ID, { nullable: true, description: 'The issuer whose tokens say who belongs to it; null for a group that is kept by hand.' })
  readonly issuer!: string | null;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

const GroupConnection = connectionOf(Group);

function toGroup(row: GroupRow): Group {
  return { id: row.id, home: placeOfRow(row), name: row.name, scopeId: row.scope_id, issuer: row.issuer, createdAt: row.created_at };
}

@ArgsType()
class GroupsArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this system, tenant or project.' })
  readonly scopeId?: string | null;
}

@InputType({ description: 'A new group.' })
export class CreateGroupInput extends CommandInput {
  @Field(() => ID, { description: 'The system, tenant or project that it belongs to.' })
  readonly scopeId!: string;

  @Field(() => String, { description: 'Unique among the groups of the scope and issuer; 1 to 200 characters.' })
  readonly name!: string;

  @Field(() => ID, { nullable: true, description: 'An issuer of the same scope, whose tokens say who belongs to it; without one it is kept by hand.' })
  readonly issuer?: string | null;
}

@InputType({ description: 'Which group to delete.' })
export class DeleteGroupInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@InputType({ description: 'Who comes into a group or leaves it.' })
export class GroupMemberInput extends CommandInput {
  @Field(() => ID, { description: 'The group; it must be kept by hand.' })
  readonly groupId!: string;

  @Field(() => ID, { description: 'Who.' })
  readonly principalId!: string;
}

@ObjectType({ description: 'The group that was made or changed.' })
export class GroupPayload extends CommandPayload {
  @Field(() => Group, { nullable: true, description: 'It; null of a dry run.' })
  readonly group!: Group | null;
}

@ObjectType({ description: 'The group that was deleted.' })
export class DeleteGroupPayload extends CommandPayload {
  @Field(() => ID, { description: 'Its id.' })
  readonly groupId!: string;
}

@Authenticated()
@Resolver(() => Group)
export class GroupResolver {
  constructor(
    private readonly database: Database,
    private readonly service: GroupService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'grp', typeName: 'Group', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => GroupConnection, { description: 'Groups of the scopes that the caller may see, by name.' })
  async groups(
    @Args() args: GroupsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Group>> {
    const parameters: Parameters<typeof groups.count>[1] = [...accessOf(context).filter('group'), args.scopeId ?? null];
    const page = await groups.page(this.database, parameters, 'NAME', pageRequest(args));
    const total = requestedFields(info).has('totalCount') ? await groups.count(this.database, parameters) : undefined;
    return toConnection(page, toGroup, total);
  }

  // Undecorated parameters: these are called once a row of a list.
  @ResolveField('bindings', () => [RoleBinding], { description: 'The roles that its members hold by it.' })
  async bindings(group: Group, _args: unknown, context: GraphqlContext): Promise<RoleBinding[]> {
    const load = loader<string, BindingRow[]>(context, 'group.bindings', async (ids) =>
      Map.groupBy(await this.database.rows(findBindingsOfGroups, [...ids]), (row) => row.group_id ?? ''),
    );
    return visibleBindings((await load.load(group.id)) ?? [], context);
  }

  @ResolveField('members', () => [Principal], { description: `Up to ${MAX_MEMBERS} of its members, by name, as far as the caller may see them.` })
  async members(group: Group, _args: unknown, context: GraphqlContext): Promise<Principal[]> {
    const access = accessOf(context);
    const load = loader<string, Principal[]>(context, 'group.members', async (ids) => {
      const rows = (await this.database.rows(findMembers, [...ids], MAX_MEMBERS)).filter((row) => access.sees('principal', placeOfRow(row)));
      return new Map([...Map.groupBy(rows, (row) => row.group_id)].map(([id, members]) => [id, members.map(toPrincipal)]));
    });
    return (await load.load(group.id)) ?? [];
  }

  @Mutation(() => GroupPayload, { description: 'Makes a group, which can then hold roles.' })
  async createGroup(
    @Args('input', { type: () => CreateGroupInput, description: 'What to make.' }) input: CreateGroupInput,
    @Context() context: GraphqlContext,
  ): Promise<GroupPayload> {
    const { scopeId, name, issuer } = input;
    const command = { scopeId, name, ...(issuer == null ? {} : { issuer }) };
    return this.payload(await this.service.create(accessOf(context), command, optionsOf(input, context)), context);
  }

  @Mutation(() => DeleteGroupPayload, { description: 'Deletes a group, and with it the roles that its members held by it.' })
  async deleteGroup(
    @Args('input', { type: () => DeleteGroupInput, description: 'Which.' }) input: DeleteGroupInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteGroupPayload> {
    return { ...toPayload(await this.service.delete(accessOf(context), input.id, optionsOf(input, context))), groupId: input.id };
  }

  @Mutation(() => GroupPayload, { description: 'Puts a principal into a group that is kept by hand.' })
  async addGroupMember(
    @Args('input', { type: () => GroupMemberInput, description: 'Who, where.' }) input: GroupMemberInput,
    @Context() context: GraphqlContext,
  ): Promise<GroupPayload> {
    const { groupId, principalId } = input;
    return this.payload(await this.service.addMember(accessOf(context), { groupId, principalId }, optionsOf(input, context)), context);
  }

  @Mutation(() => GroupPayload, { description: 'Takes a principal out of a group that is kept by hand; what it held by it ends within a second.' })
  async removeGroupMember(
    @Args('input', { type: () => GroupMemberInput, description: 'Who, where.' }) input: GroupMemberInput,
    @Context() context: GraphqlContext,
  ): Promise<GroupPayload> {
    const { groupId, principalId } = input;
    return this.payload(await this.service.removeMember(accessOf(context), { groupId, principalId }, optionsOf(input, context)), context);
  }

  private async payload(outcome: Parameters<typeof toPayload>[0], context: GraphqlContext): Promise<GroupPayload> {
    const id = resultId(outcome.result);
    if (id === null) return { ...toPayload(outcome), group: null };
    const group = (await this.load([id], context)).get(id);
    if (group === undefined) throw notFound('group', id);
    return { ...toPayload(outcome), group };
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, Group>> {
    const access = accessOf(context);
    const rows = await this.database.rows(findGroups, [...ids]);
    return new Map(rows.filter((row) => access.sees('group', placeOfRow(row))).map((row) => [row.id, toGroup(row)]));
  }
}
