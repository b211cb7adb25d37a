import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { CatalogueState } from '#compute';
import { Image, loadImage } from '#compute/api';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, forgetLoaded, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE } from '#identity';
import { accessOf, CommandInput, CommandPayload, onlyForMembers, toPayload } from '#identity/api';
import { ClusterKind, type ClusterVersionRow } from './cluster-version.js';
import { ClusterVersionService } from './cluster-version.service.js';
import { clusterVersions, findClusterVersionByName, findClusterVersions } from './cluster-version.sql.js';

registerEnumType(ClusterKind, {
  name: 'ClusterKind',
  description: 'What kind of cluster.',
  valuesMap: {
    KUBERNETES: { description: 'Kubernetes, for kubectl and everything that speaks its API.' },
    SWARM: { description: 'Docker Swarm, for the docker client.' },
    MESOS: { description: 'Apache Mesos; not in this release.' },
  },
});

@ObjectType({ implements: () => [Node], description: 'A version that clusters of a kind can have.' })
export class ClusterVersion extends Node {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => ClusterKind, { description: 'Of which kind of cluster.' })
  readonly kind!: ClusterKind;

  @Field(() => String, { description: 'The product\'s own version, as `1.34.2`.' })
  readonly release!: string;

  @Field(() => CatalogueState, { description: 'Whether it takes new clusters.' })
  readonly state!: CatalogueState;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was offered.' })
  readonly createdAt!: Date;

  /** For field resolvers. */
  readonly row!: ClusterVersionRow;
}

export function toClusterVersion(row: ClusterVersionRow): ClusterVersion {
  const { id, name, kind, release, state, revision } = row;
  return { id, home: SYSTEM_PLACE, name, kind, release, state, revision, createdAt: row.created_at, row };
}

async function loadClusterVersions(reader: Reader, ids: readonly string[]): Promise<Map<string, ClusterVersion>> {
  return new Map((await reader.rows(findClusterVersions, [...ids])).map((row) => [row.id, toClusterVersion(row)]));
}

/** Everybody may see every version. */
export async function loadClusterVersion(reader: Reader, context: GraphqlContext, id: unknown): Promise<ClusterVersion | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, ClusterVersion>(context, 'clusters.version', (ids) => loadClusterVersions(reader, ids)).load(id)) ?? null;
}

const ClusterVersionConnection = connectionOf(ClusterVersion);

@ArgsType()
class ClusterVersionsArguments extends PageArguments {
  @Field(() => ClusterKind, { nullable: true, description: 'Only of this kind.' })
  readonly kind?: ClusterKind | null;

  @Field(() => String, { nullable: true, description: 'Only the one of this name.' })
  readonly name?: string | null;
}

@InputType({ description: 'A new cluster version.' })
export class CreateClusterVersionInput extends CommandInput {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => ClusterKind, { description: 'Of which kind of cluster.' })
  readonly kind!: ClusterKind;

  @Field(() => String, { description: 'The product\'s own version, as `1.34.2`.' })
  readonly release!: string;

  @Field(() => String, { description: 'Id or name of the shared image that its nodes are made from.' })
  readonly image!: string;
}

@InputType({ description: 'Which cluster version to withdraw.' })
export class DeleteClusterVersionInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The cluster version that was offered.' })
export class CreateClusterVersionPayload extends CommandPayload {
  @Field(() => ClusterVersion, { nullable: true, description: 'It; null of a dry run.' })
  readonly clusterVersion!: ClusterVersion | null;
}

@ObjectType({ description: 'The cluster version that was withdrawn.' })
export class DeleteClusterVersionPayload extends CommandPayload {
  @Field(() => ID, { description: 'Its id.' })
  readonly clusterVersionId!: string;

  @Field(() => ClusterVersion, { nullable: true, description: 'It, while clusters still have it; null when it is gone.' })
  readonly clusterVersion!: ClusterVersion | null;
}

@Authenticated()
@Resolver(() => ClusterVersion)
export class ClusterVersionResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: ClusterVersionService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'cvr', typeName: 'ClusterVersion', load: async (ids, context) => (accessOf(context).holdsAnything ? loadClusterVersions(database, ids) : new Map()) });
  }

  @Query(() => ClusterVersion, { description: 'One cluster version, by id or by name.' })
  async clusterVersion(
    @Args('id', { type: () => ID, nullable: true, description: 'Its id.' }) id: string | null,
    @Args('name', { type: () => String, nullable: true, description: 'Its name, instead of the id.' }) name: string | null,
    @Context() context: GraphqlContext,
  ): Promise<ClusterVersion> {
    if ((id == null) === (name == null)) throw invalidInput('id', 'Give either the id or the name.');
    const row = id == null ? await this.database.first(findClusterVersionByName, String(name)) : await this.database.first(findClusterVersions, [id]);
    if (row === undefined || !accessOf(context).holdsAnything) throw notFound('cluster version', String(id ?? name), id == null ? 'name' : 'id');
    return toClusterVersion(row);
  }

  @Query(() => ClusterVersionConnection, { description: 'The versions that clusters can have, by name.' })
  clusterVersions(
    @Args() args: ClusterVersionsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<ClusterVersion>> {
    const source = onlyForMembers(context, listSource(clusterVersions, this.database, [args.kind ?? null, args.name ?? null], 'NAME'));
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toClusterVersion);
  }

  // No parameter decorators: called once a row of a list.
  @ResolveField('image', () => Image, { nullable: true, description: 'What its nodes are made from.' })
  image(version: ClusterVersion, _args: unknown, context: GraphqlContext): Promise<Image | null> {
    return loadImage(this.database, context, version.row.image_id);
  }

  @Mutation(() => CreateClusterVersionPayload, { description: 'For operators: offers a version of a kind of cluster.' })
  async createClusterVersion(
    @Args('input', { type: () => CreateClusterVersionInput, description: 'What to offer.' }) input: CreateClusterVersionInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateClusterVersionPayload> {
    const { dryRun, ...wanted } = input;
    const outcome = await this.service.create(accessOf(context), wanted, { dryRun: dryRun ?? false, idempotencyKey: context.idempotencyKey });
    forgetLoaded(context);
    return { ...toPayload(outcome), clusterVersion: await loadClusterVersion(this.database, context, outcome.result.id) };
  }

  @Mutation(() => DeleteClusterVersionPayload, { description: 'For operators: withdraws a version; in use, it goes with its last cluster.' })
  async deleteClusterVersion(
    @Args('input', { type: () => DeleteClusterVersionInput, description: 'Which.' }) input: DeleteClusterVersionInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteClusterVersionPayload> {
    const options = { dryRun: input.dryRun ?? false, idempotencyKey: context.idempotencyKey };
    const outcome = await this.service.delete(accessOf(context), input.id, options);
    forgetLoaded(context);
    return { ...toPayload(outcome), clusterVersionId: input.id, clusterVersion: await loadClusterVersion(this.database, context, input.id) };
  }
}
