import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, forgetLoaded, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf, CommandPayload, toPayload } from '#identity/api';
import { withoutNulls } from '../catalogue.graphql.js';
import { AffinityGroupService } from './affinity-group.service.js';
import { affinityGroups, findAffinityGroups, findAffinityGroupsByReference, type AffinityGroupRow } from './affinity-group.sql.js';

export const AffinityPolicy = { AFFINITY: 'AFFINITY', ANTI_AFFINITY: 'ANTI_AFFINITY' } as const;
export type AffinityPolicy = (typeof AffinityPolicy)[keyof typeof AffinityPolicy];
registerEnumType(AffinityPolicy, {
  name: 'AffinityPolicy',
  description: 'Whether machines shall run together or apart.',
  valuesMap: { AFFINITY: { description: 'Together.' }, ANTI_AFFINITY: { description: 'Apart.' } },
});

export const AffinityStrength = { REQUIRE: 'REQUIRE', PREFER: 'PREFER' } as const;
export type AffinityStrength = (typeof AffinityStrength)[keyof typeof AffinityStrength];
registerEnumType(AffinityStrength, {
  name: 'AffinityStrength',
  description: 'How strictly an affinity group holds.',
  valuesMap: {
    REQUIRE: { description: 'A machine that cannot keep to it is not made.' },
    PREFER: { description: 'Kept where there is room for it.' },
  },
});

export const AffinityScope = { HOST: 'HOST', RACK: 'RACK', ZONE: 'ZONE' } as const;
export type AffinityScope = (typeof AffinityScope)[keyof typeof AffinityScope];
registerEnumType(AffinityScope, {
  name: 'AffinityScope',
  description: 'On the same what, or on different ones.',
  valuesMap: { HOST: { description: 'Host.' }, RACK: { description: 'Rack.' }, ZONE: { description: 'Availability zone.' } },
});

@ObjectType({ implements: () => [Node], description: 'A rule on which machines run together or apart.' })
export class AffinityGroup extends Node {
  @Field(() => String, { description: 'Unique in its project.' })
  readonly name!: string;

  @Field(() => ID, { description: 'Its tenant.' })
  readonly tenantId!: string;

  @Field(() => ID, { description: 'Its project.' })
  readonly projectId!: string;

  @Field(() => AffinityPolicy, { description: 'Together or apart.' })
  readonly policy!: AffinityPolicy;

  @Field(() => AffinityStrength, { description: 'How strictly.' })
  readonly strength!: AffinityStrength;

  @Field(() => AffinityScope, { description: 'Over what.' })
  readonly scope!: AffinityScope;

  @Field(() => ID, { nullable: true, description: 'The cluster that it was made for, and goes with.' })
  readonly ownerId!: string | null;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

export function toAffinityGroup(row: AffinityGroupRow): AffinityGroup {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    policy: row.policy,
    strength: row.strength,
    scope: row.scope,
    ownerId: row.owner_id,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
  };
}

/** Of these groups, those that the caller may see. */
async function loadAffinityGroups(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, AffinityGroup>> {
  const access = accessOf(context);
  const rows = await reader.rows(findAffinityGroups, [...ids]);
  const seen = rows.filter((row) => access.sees('affinity group', { tenantId: row.tenant_id, projectId: row.project_id }));
  return new Map(seen.map((row) => [row.id, toAffinityGroup(row)]));
}

export async function loadAffinityGroup(reader: Reader, context: GraphqlContext, id: unknown): Promise<AffinityGroup | null> {
  if (typeof id !== 'string') return null;
  const load = loader<string, AffinityGroup>(context, 'compute.affinity_group', (ids) => loadAffinityGroups(reader, context, ids));
  return (await load.load(id)) ?? null;
}

const AffinityGroupConnection = connectionOf(AffinityGroup);

@ArgsType()
class AffinityGroupArguments {
  @Field(() => ID, { nullable: true, description: 'Its id.' })
  readonly id?: string | null;

  @Field(() => ID, { nullable: true, description: 'Instead of the id, and with the name: its project.' })
  readonly projectId?: string | null;

  @Field(() => String, { nullable: true, description: 'Instead of the id, and with the project: its name.' })
  readonly name?: string | null;
}

@ArgsType()
class AffinityGroupsArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only of this project.' })
  readonly projectId?: string | null;
}

@InputType({ description: 'A new affinity group.' })
export class CreateAffinityGroupInput {
  @Field(() => ID, { description: 'The project that it belongs to.' })
  readonly projectId!: string;

  @Field(() => String, { description: 'Unique in the project.' })
  readonly name!: string;

  @Field(() => AffinityPolicy, { description: 'Together or apart.' })
  readonly policy!: AffinityPolicy;

  @Field(() => AffinityStrength, { nullable: true, description: 'How strictly; REQUIRE if not given.' })
  readonly strength?: AffinityStrength | null;

  @Field(() => AffinityScope, { nullable: true, description: 'Over what; HOST if not given.' })
  readonly scope?: AffinityScope | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which affinity group to delete.' })
export class DeleteAffinityGroupInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@ObjectType({ description: 'The affinity group that was made.' })
export class CreateAffinityGroupPayload extends CommandPayload {
  @Field(() => AffinityGroup, { nullable: true, description: 'It; null of a dry run.' })
  readonly affinityGroup!: AffinityGroup | null;
}

@ObjectType({ description: 'The affinity group that was deleted.' })
export class DeleteAffinityGroupPayload extends CommandPayload {
  @Field(() => ID, { description: 'Its id.' })
  readonly affinityGroupId!: string;
}

@Authenticated()
@Resolver(() => AffinityGroup)
export class AffinityGroupResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: AffinityGroupService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'afg', typeName: 'AffinityGroup', load: (ids, context) => loadAffinityGroups(database, context, ids) });
  }

  @Query(() => AffinityGroup, { description: 'One affinity group, by id, or by project and name.' })
  async affinityGroup(
    @Args() { id, projectId, name }: AffinityGroupArguments,
    @Context() context: GraphqlContext,
  ): Promise<AffinityGroup> {
    const byName = projectId != null && name != null;
    if (byName === (id != null)) throw invalidInput('id', 'Give either the id, or the project and the name.');
    const [row] = byName ? await this.database.rows(findAffinityGroupsByReference, projectId, [name]) : [];
    const found = await loadAffinityGroup(this.database, context, byName ? row?.id : id);
    if (found === null) throw notFound('affinity group', String(byName ? name : id), byName ? 'name' : 'id');
    return found;
  }

  @Query(() => AffinityGroupConnection, { description: 'Affinity groups that the caller may see, by name.' })
  affinityGroups(
    @Args() args: AffinityGroupsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<AffinityGroup>> {
    const source = listSource(affinityGroups, this.database, [...accessOf(context).filter('affinity group'), args.projectId ?? null], 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toAffinityGroup);
  }

  @Mutation(() => CreateAffinityGroupPayload, { description: 'Makes a rule on which machines run together or apart.' })
  async createAffinityGroup(
    @Args('input', { type: () => CreateAffinityGroupInput, description: 'What to make.' }) input: CreateAffinityGroupInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateAffinityGroupPayload> {
    const { dryRun, ...rest } = withoutNulls(input);
    const outcome = await this.service.create(accessOf(context), rest, { dryRun, idempotencyKey: context.idempotencyKey });
    forgetLoaded(context);
    return { ...toPayload(outcome), affinityGroup: await loadAffinityGroup(this.database, context, outcome.result.id) };
  }

  @Mutation(() => DeleteAffinityGroupPayload, { description: 'Deletes an affinity group that has no machines.' })
  async deleteAffinityGroup(
    @Args('input', { type: () => DeleteAffinityGroupInput, description: 'Which.' }) input: DeleteAffinityGroupInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteAffinityGroupPayload> {
    const options = { dryRun: input.dryRun ?? false, idempotencyKey: context.idempotencyKey };
    const outcome = await this.service.delete(accessOf(context), input.id, options);
    forgetLoaded(context);
    return { ...toPayload(outcome), affinityGroupId: input.id };
  }
}
