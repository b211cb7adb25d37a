import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE } from '#identity';
import { accessOf, CommandInput, CommandPayload, toPayload } from '#identity/api';
import { commandOf } from '../infrastructure.graphql.js';
import { CatalogueState, type ZoneRow } from './zone.js';
import { ZoneService } from './zone.service.js';
import { findZones, findZonesByReference, zones } from './zone.sql.js';
import { ZoneVisibility } from './zone-visibility.js';

@ObjectType({ implements: () => [Node], description: 'An availability zone: what fails together, seen from outside.' })
export class Zone extends Node {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => String, { description: 'For people.' })
  readonly description!: string;

  @Field(() => CatalogueState, { description: 'Whether it takes newcomers.' })
  readonly state!: CatalogueState;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

function toZone(row: ZoneRow): Zone {
  const { id, name, description, state, version, revision } = row;
  return { id, home: SYSTEM_PLACE, name, description, state, version, revision, createdAt: row.created_at };
}

/** For rows that the caller may see already: whoever sees a thing in a zone sees the zone. */
export async function loadZone(reader: Reader, context: GraphqlContext, id: unknown): Promise<Zone | null> {
  if (typeof id !== 'string') return null;
  const load = loader<string, Zone>(context, 'infrastructure.zone', async (ids) =>
    new Map((await reader.rows(findZones, [...ids])).map((row) => [row.id, toZone(row)])),
  );
  return (await load.load(id)) ?? null;
}

const ZoneConnection = connectionOf(Zone);

@ArgsType()
class ZonesArguments extends PageArguments {
  @Field(() => String, { nullable: true, description: 'Only the one of this name.' })
  readonly name?: string | null;
}

@InputType({ description: 'A new zone.' })
export class CreateZoneInput extends CommandInput {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly description?: string | null;
}

@InputType({ description: 'What to change of a zone; what is not given stays.' })
export class UpdateZoneInput extends CommandInput {
  @Field(() => ID, { description: 'Which.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => String, { nullable: true, description: 'Unique.' })
  readonly name?: string | null;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly description?: string | null;
}

@InputType({ description: 'Which zone to delete.' })
export class DeleteZoneInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The zone that was made, changed or deleted.' })
export class ZonePayload extends CommandPayload {
  @Field(() => Zone, { nullable: true, description: 'It as it is now; null of a dry run that would make it, and when it is gone.' })
  readonly zone!: Zone | null;
}

@Authenticated()
@Resolver(() => Zone)
export class ZoneResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: ZoneService,
    private readonly visibility: ZoneVisibility,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'zon', typeName: 'Zone', load: (ids, context) => this.visible(ids, context) });
  }

  @Query(() => Zone, { description: 'One zone, by id or name; NOT_FOUND if there is none that you may use.' })
  async zone(
    @Args('id', { type: () => ID, nullable: true, description: 'Its id.' }) id: string | null,
    @Args('name', { type: () => String, nullable: true, description: 'Its name, instead of the id.' }) name: string | null,
    @Context() context: GraphqlContext,
  ): Promise<Zone> {
    if ((id == null) === (name == null)) throw invalidInput('id', 'Give either the id or the name.');
    const reference = id ?? name ?? '';
    const ids = (await this.database.rows(findZonesByReference, [reference]))
      .filter((row) => (id == null ? row.name : row.id) === reference)
      .map((row) => row.id);
    const [found] = (await this.visible(ids, context)).values();
    if (found === undefined) throw notFound('zone', reference, id == null ? 'name' : 'id');
    return found;
  }

  @Query(() => ZoneConnection, { description: 'The zones that the caller may use, by name.' })
  async zones(
    @Args() args: ZonesArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Zone>> {
    const ids = await this.visibility.of(this.database, accessOf(context));
    const source = listSource(zones, this.database, [ids, args.name ?? null], 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toZone);
  }

  @Mutation(() => ZonePayload, { description: 'For operators: makes a zone.' })
  async createZone(
    @Args('input', { type: () => CreateZoneInput, description: 'What to make.' }) input: CreateZoneInput,
    @Context() context: GraphqlContext,
  ): Promise<ZonePayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.create(accessOf(context), command, options);
    return { ...toPayload(outcome), zone: await loadZone(this.database, context, outcome.result.id) };
  }

  @Mutation(() => ZonePayload, { description: 'For operators: changes a zone.' })
  async updateZone(
    @Args('input', { type: () => UpdateZoneInput, description: 'What to change.' }) input: UpdateZoneInput,
    @Context() context: GraphqlContext,
  ): Promise<ZonePayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.update(accessOf(context), command, options);
    return { ...toPayload(outcome), zone: await loadZone(this.database, context, input.id) };
  }

  @Mutation(() => ZonePayload, { description: 'For operators: deletes a zone; in use, it takes nothing new and goes with its last user.' })
  async deleteZone(
    @Args('input', { type: () => DeleteZoneInput, description: 'Which.' }) input: DeleteZoneInput,
    @Context() context: GraphqlContext,
  ): Promise<ZonePayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.delete(accessOf(context), command.id, options);
    return { ...toPayload(outcome), zone: await loadZone(this.database, context, input.id) };
  }

  private async visible(ids: readonly string[], context: GraphqlContext): Promise<Map<string, Zone>> {
    const allowed = await this.visibility.of(this.database, accessOf(context));
    const rows = await this.database.rows(findZones, allowed === null ? [...ids] : ids.filter((id) => allowed.includes(id)));
    return new Map(rows.map((row) => [row.id, toZone(row)]));
  }
}
