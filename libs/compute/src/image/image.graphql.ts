import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, forgetLoaded, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf, CommandPayload, onlyForMembers, toPayload } from '#identity/api';
import { withoutNulls } from '../catalogue.graphql.js';
import { CatalogueState } from '../catalogue.js';
import { ImageService } from './image.service.js';
import { findImages, findImagesByReference, images, type ImageRow } from './image.sql.js';

@ObjectType({ implements: () => [Node], description: 'What a new machine\'s root disk is made from.' })
export class Image extends Node {
  @Field(() => String, { description: 'Unique among what is shared, and in its project.' })
  readonly name!: string;

  @Field(() => ID, { nullable: true, description: 'The project that it belongs to; null of one that is shared by all.' })
  readonly projectId!: string | null;

  @Field(() => String, { description: 'The backends\' own name of it.' })
  readonly reference!: string;

  @Field(() => String, { description: 'As `Debian 12`.' })
  readonly operatingSystem!: string;

  @Field(() => Int, { description: 'The smallest root disk that holds it, in GiB.' })
  readonly minimumDiskGib!: number;

  @Field(() => CatalogueState, { description: 'Whether it takes new machines.' })
  readonly state!: CatalogueState;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

export function toImage(row: ImageRow): Image {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    projectId: row.project_id,
    reference: row.reference,
    operatingSystem: row.operating_system,
    minimumDiskGib: row.minimum_disk_gib,
    state: row.state,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
  };
}

function isVisible(row: ImageRow, context: GraphqlContext): boolean {
  const access = accessOf(context);
  return row.tenant_id === null ? access.holdsAnything : access.sees('image', { tenantId: row.tenant_id, projectId: row.project_id });
}

/** Of these images, those that are shared or that the caller may see. */
async function loadImages(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, Image>> {
  const rows = await reader.rows(findImages, [...ids]);
  return new Map(rows.filter((row) => isVisible(row, context)).map((row) => [row.id, toImage(row)]));
}

export async function loadImage(reader: Reader, context: GraphqlContext, id: unknown): Promise<Image | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, Image>(context, 'compute.image', (ids) => loadImages(reader, context, ids)).load(id)) ?? null;
}

const ImageConnection = connectionOf(Image);

@ArgsType()
class ImageArguments {
  @Field(() => ID, { nullable: true, description: 'Its id.' })
  readonly id?: string | null;

  @Field(() => String, { nullable: true, description: 'Its name, instead of the id.' })
  readonly name?: string | null;

  @Field(() => ID, { nullable: true, description: 'With the name: the project whose own images come first; shared ones only if not given.' })
  readonly projectId?: string | null;
}

@ArgsType()
class ImagesArguments extends PageArguments {
  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;
}

@InputType({ description: 'A new image, shared by all.' })
export class CreateImageInput {
  @Field(() => String, { description: 'Unique among what is shared.' })
  readonly name!: string;

  @Field(() => String, { description: 'The backends\' own name of it; they must have it already.' })
  readonly reference!: string;

  @Field(() => String, { description: 'As `Debian 12`.' })
  readonly operatingSystem!: string;

  @Field(() => Int, { description: 'The smallest root disk that holds it, in GiB.' })
  readonly minimumDiskGib!: number;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which image to delete.' })
export class DeleteImageInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@ObjectType({ description: 'The image that was made.' })
export class CreateImagePayload extends CommandPayload {
  @Field(() => Image, { nullable: true, description: 'It; null of a dry run.' })
  readonly image!: Image | null;
}

@ObjectType({ description: 'The image that was deleted.' })
export class DeleteImagePayload extends CommandPayload {
  @Field(() => ID, { description: 'Its id.' })
  readonly imageId!: string;

  @Field(() => Image, { nullable: true, description: 'It, while machines still use it; null when it is gone.' })
  readonly image!: Image | null;
}

@Authenticated()
@Resolver(() => Image)
export class ImageResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: ImageService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'img', typeName: 'Image', load: (ids, context) => loadImages(database, context, ids) });
  }

  @Query(() => Image, { description: 'One image, by id or by name.' })
  async image(@Args() { id, name, projectId }: ImageArguments, @Context() context: GraphqlContext): Promise<Image> {
    if ((id == null) === (name == null)) throw invalidInput('id', 'Give either the id or the name.');
    if (id != null) {
      const found = await loadImage(this.database, context, id);
      if (found === null) throw notFound('image', id, 'id');
      return found;
    }
    const rows = await this.database.rows(findImagesByReference, [String(name)], projectId ?? '');
    const row = rows.find((each) => each.name === name && isVisible(each, context));
    if (row === undefined) throw notFound('image', String(name), 'name');
    return toImage(row);
  }

  @Query(() => ImageConnection, { description: 'Shared images and those of the projects that the caller may see, by name.' })
  images(@Args() args: ImagesArguments, @Context() context: GraphqlContext, @Info() info: GraphQLResolveInfo): Promise<Connection<Image>> {
    const source = onlyForMembers(context, listSource(images, this.database, [...accessOf(context).filter('image'), args.name ?? null], 'NAME'));
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toImage);
  }

  @Mutation(() => CreateImagePayload, { description: 'For operators: offers an image that the backends have.' })
  async createImage(
    @Args('input', { type: () => CreateImageInput, description: 'What to make.' }) input: CreateImageInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateImagePayload> {
    const { dryRun, ...rest } = withoutNulls(input);
    const outcome = await this.service.create(accessOf(context), rest, { dryRun, idempotencyKey: context.idempotencyKey });
    forgetLoaded(context);
    return { ...toPayload(outcome), image: await loadImage(this.database, context, outcome.result.id) };
  }

  @Mutation(() => DeleteImagePayload, { description: 'For operators: withdraws an image; in use, it goes with its last machine.' })
  async deleteImage(
    @Args('input', { type: () => DeleteImageInput, description: 'Which.' }) input: DeleteImageInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteImagePayload> {
    const options = { dryRun: input.dryRun ?? false, idempotencyKey: context.idempotencyKey };
    const outcome = await this.service.delete(accessOf(context), input.id, options);
    forgetLoaded(context);
    return { ...toPayload(outcome), imageId: input.id, image: await loadImage(this.database, context, input.id) };
  }
}
