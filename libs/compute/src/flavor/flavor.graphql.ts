import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, forgetLoaded, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE } from '#identity';
import { accessOf, CommandPayload, onlyForMembers, toPayload } from '#identity/api';
import { loadStoragePolicy, StoragePolicy } from '#storage/api';
import { withoutNulls } from '../catalogue.graphql.js';
import { CatalogueState } from '../catalogue.js';
import { FlavorService } from './flavor.service.js';
import { findFlavors, findFlavorsByReference, flavors, type FlavorRow } from './flavor.sql.js';

@ObjectType({ description: 'What one machine of a flavor takes of a quota key.' })
export class FlavorCost {
  @Field(() => String, { description: 'The quota key, as `gpu.count`.' })
  readonly key!: string;

  @Field(() => Long, { description: 'How much of it.' })
  readonly amount!: number;
}

@ObjectType({ implements: () => [Node], description: 'A size of virtual machines that is on offer.' })
export class Flavor extends Node {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => Int, { description: 'Virtual processors.' })
  readonly cpu!: number;

  @Field(() => Int, { description: 'Memory in MiB.' })
  readonly memoryMib!: number;

  @Field(() => Int, { description: 'Size of the root disk in GiB.' })
  readonly diskGib!: number;

  @Field(() => [FlavorCost], { description: 'What a machine takes of the quota besides what follows from its size.' })
  readonly costs!: FlavorCost[];

  @Field(() => CatalogueState, { description: 'Whether it takes new machines.' })
  readonly state!: CatalogueState;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;

  readonly storagePolicyId!: string | null;
}

export function toFlavor(row: FlavorRow): Flavor {
  return {
    id: row.id,
    home: SYSTEM_PLACE,
    name: row.name,
    cpu: row.cpu,
    memoryMib: row.memory_mib,
    diskGib: row.disk_gib,
    costs: Object.entries(row.costs).map(([key, amount]) => ({ key, amount })),
    state: row.state,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
    storagePolicyId: row.storage_policy_id,
  };
}

async function loadFlavors(reader: Reader, ids: readonly string[]): Promise<Map<string, Flavor>> {
  return new Map((await reader.rows(findFlavors, [...ids])).map((row) => [row.id, toFlavor(row)]));
}

/** Everybody may see every flavor. */
export async function loadFlavor(reader: Reader, context: GraphqlContext, id: unknown): Promise<Flavor | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, Flavor>(context, 'compute.flavor', (ids) => loadFlavors(reader, ids)).load(id)) ?? null;
}

const FlavorConnection = connectionOf(Flavor);

@ArgsType()
class FlavorsArguments extends PageArguments {
  @Field(() => String, { nullable: true, description: 'Only the one of this name.' })
  readonly name?: string | null;
}

@InputType({ description: 'An amount of a quota key.' })
export class FlavorCostInput {
  @Field(() => String, { description: 'The quota key, as `gpu.count`; none that follows from the size.' })
  readonly key!: string;

  @Field(() => Int, { description: 'How much of it one machine takes, from 1 on.' })
  readonly amount!: number;
}

@InputType({ description: 'A new flavor.' })
export class CreateFlavorInput {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => Int, { description: 'Virtual processors.' })
  readonly cpu!: number;

  @Field(() => Int, { description: 'Memory in MiB.' })
  readonly memoryMib!: number;

  @Field(() => Int, { description: 'Size of the root disk in GiB.' })
  readonly diskGib!: number;

  @Field(() => [FlavorCostInput], { nullable: true, description: 'What a machine takes of the quota besides what follows from its size.' })
  readonly costs?: FlavorCostInput[] | null;

  @Field(() => String, {
    nullable: true,
    description: 'Id or name of the storage policy that root disks of its machines keep to, unless they name another; the default one if not given.',
  })
  readonly storagePolicy?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which flavor to delete.' })
export class DeleteFlavorInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@ObjectType({ description: 'The flavor that was made.' })
export class CreateFlavorPayload extends CommandPayload {
  @Field(() => Flavor, { nullable: true, description: 'It; null of a dry run.' })
  readonly flavor!: Flavor | null;
}

@ObjectType({ description: 'The flavor that was deleted.' })
export class DeleteFlavorPayload extends CommandPayload {
  @Field(() => ID, { description: 'Its id.' })
  readonly flavorId!: string;

  @Field(() => Flavor, { nullable: true, description: 'It, while machines still use it; null when it is gone.' })
  readonly flavor!: Flavor | null;
}

@Authenticated()
@Resolver(() => Flavor)
export class FlavorResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: FlavorService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'flv', typeName: 'Flavor', load: async (ids, context) => (accessOf(context).holdsAnything ? loadFlavors(database, ids) : new Map()) });
  }

  @Query(() => Flavor, { description: 'One flavor, by id or by name.' })
  async flavor(
    @Args('id', { type: () => ID, nullable: true, description: 'Its id.' }) id: string | null,
    @Args('name', { type: () => String, nullable: true, description: 'Its name, instead of the id.' }) name: string | null,
    @Context() context: GraphqlContext,
  ): Promise<Flavor> {
    const reference = id ?? name ?? '';
    if ((id == null) === (name == null)) throw invalidInput('id', 'Give either the id or the name.');
    const rows = await this.database.rows(findFlavorsByReference, [reference]);
    const found = rows.find((row) => (id == null ? row.name : row.id) === reference);
    if (found === undefined || !accessOf(context).holdsAnything) throw notFound('flavor', reference, id == null ? 'name' : 'id');
    return toFlavor(found);
  }

  @Query(() => FlavorConnection, { description: 'All flavors, by name.' })
  flavors(@Args() args: FlavorsArguments, @Context() context: GraphqlContext, @Info() info: GraphQLResolveInfo): Promise<Connection<Flavor>> {
    const source = onlyForMembers(context, listSource(flavors, this.database, [args.name ?? null], 'NAME'));
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toFlavor);
  }

  // Undecorated parameters: called once a row of a list.
  @ResolveField('storagePolicy', () => StoragePolicy, {
    nullable: true,
    description: 'What root disks of its machines keep to, unless they name another; null for the default one.',
  })
  storagePolicy(flavor: Flavor, _args: unknown, context: GraphqlContext): Promise<StoragePolicy | null> {
    return loadStoragePolicy(this.database, context, flavor.storagePolicyId);
  }

  @Mutation(() => CreateFlavorPayload, { description: 'For operators: offers a size of machines.' })
  async createFlavor(
    @Args('input', { type: () => CreateFlavorInput, description: 'What to make.' }) input: CreateFlavorInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateFlavorPayload> {
    const { dryRun, costs, ...rest } = withoutNulls(input);
    const wanted = { ...rest, ...(costs === undefined ? {} : { costs: costs.map((cost) => ({ ...cost })) }) };
    const outcome = await this.service.create(accessOf(context), wanted, { dryRun, idempotencyKey: context.idempotencyKey });
    forgetLoaded(context);
    return { ...toPayload(outcome), flavor: await loadFlavor(this.database, context, outcome.result.id) };
  }

  @Mutation(() => DeleteFlavorPayload, { description: 'For operators: withdraws a flavor; in use, it goes with its last machine.' })
  async deleteFlavor(
    @Args('input', { type: () => DeleteFlavorInput, description: 'Which.' }) input: DeleteFlavorInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteFlavorPayload> {
    const options = { dryRun: input.dryRun ?? false, idempotencyKey: context.idempotencyKey };
    const outcome = await this.service.delete(accessOf(context), input.id, options);
    forgetLoaded(context);
    return { ...toPayload(outcome), flavorId: input.id, flavor: await loadFlavor(this.database, context, input.id) };
  }
}
