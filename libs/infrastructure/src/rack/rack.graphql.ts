import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE } from '#identity';
import { accessOf, CommandInput, CommandPayload, toPayload } from '#identity/api';
import { commandOf, onlyOperators, seesInfrastructure } from '../infrastructure.graphql.js';
import { loadZone, Zone } from '../zone/zone.graphql.js';
import { CatalogueState } from '../zone/zone.js';
import type { RackRow } from './rack.js';
import { RackService } from './rack.service.js';
import { findRacks, racks } from './rack.sql.js';

@ObjectType({ implements: () => [Node], description: 'Hosts that share power and a switch.' })
export class Rack extends Node {
  @Field(() => String, { description: 'Unique in its zone.' })
  readonly name!: string;

  @Field(() => CatalogueState, { description: 'Whether it takes new hosts.' })
  readonly state!: CatalogueState;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;

  readonly zoneId!: string;
}

function toRack(row: RackRow): Rack {
  const { id, name, state, version, revision } = row;
  return { id, home: SYSTEM_PLACE, name, state, version, revision, createdAt: row.created_at, zoneId: row.zone_id };
}

async function findRackNodes(reader: Reader, ids: readonly string[]): Promise<Map<string, Rack>> {
  return new Map((await reader.rows(findRacks, [...ids])).map((row) => [row.id, toRack(row)]));
}

/** For callers who may see infrastructure. */
export async function loadRack(reader: Reader, context: GraphqlContext, id: unknown): Promise<Rack | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, Rack>(context, 'infrastructure.rack', (ids) => findRackNodes(reader, ids)).load(id)) ?? null;
}

const RackConnection = connectionOf(Rack);

@ArgsType()
class RacksArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this zone.' })
  readonly zoneId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;
}

@InputType({ description: 'A new rack.' })
export class CreateRackInput extends CommandInput {
  @Field(() => ID, { description: 'The zone that it stands in, by id or name.' })
  readonly zoneId!: string;

  @Field(() => String, { description: 'Unique in the zone.' })
  readonly name!: string;
}

@InputType({ description: 'Which rack to delete.' })
export class DeleteRackInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The rack that was made or deleted.' })
export class RackPayload extends CommandPayload {
  @Field(() => Rack, { nullable: true, description: 'It as it is now; null of a dry run that would make it, and when it is gone.' })
  readonly rack!: Rack | null;
}

@Authenticated()
@Resolver(() => Rack)
export class RackResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: RackService,
    registry: NodeRegistry,
  ) {
    const load = async (ids: readonly string[], context: GraphqlContext): Promise<Map<string, Rack>> =>
      findRackNodes(database, seesInfrastructure(context) ? ids : []);
    registry.register({ prefix: 'rck', typeName: 'Rack', load });
  }

  @Query(() => RackConnection, { description: 'For operators: racks, by name. Empty for others.' })
  racks(@Args() args: RacksArguments, @Context() context: GraphqlContext, @Info() info: GraphQLResolveInfo): Promise<Connection<Rack>> {
    const source = listSource(racks, this.database, [args.zoneId ?? null, args.name ?? null], 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, onlyOperators(context, source), toRack);
  }

  // Undecorated parameters: called once a row of a list.
  @ResolveField('zone', () => Zone, { nullable: true, description: 'The zone that it stands in.' })
  zone(rack: Rack, _args: unknown, context: GraphqlContext): Promise<Zone | null> {
    return loadZone(this.database, context, rack.zoneId);
  }

  @Mutation(() => RackPayload, { description: 'For operators: makes a rack.' })
  async createRack(
    @Args('input', { type: () => CreateRackInput, description: 'What to make.' }) input: CreateRackInput,
    @Context() context: GraphqlContext,
  ): Promise<RackPayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.create(accessOf(context), command, options);
    return { ...toPayload(outcome), rack: await loadRack(this.database, context, outcome.result.id) };
  }

  @Mutation(() => RackPayload, { description: 'For operators: deletes a rack; in use, it takes no new hosts and goes with its last one.' })
  async deleteRack(
    @Args('input', { type: () => DeleteRackInput, description: 'Which.' }) input: DeleteRackInput,
    @Context() context: GraphqlContext,
  ): Promise<RackPayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.delete(accessOf(context), command.id, options);
    return { ...toPayload(outcome), rack: await loadRack(this.database, context, input.id) };
  }
}
