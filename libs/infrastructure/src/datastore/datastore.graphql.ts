import { Args, ArgsType, Context, Field, Float, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE } from '#identity';
import { accessOf, CommandInput, CommandPayload, toPayload } from '#identity/api';
import { Backend, loadBackend } from '../backend/backend.graphql.js';
import { Host, loadHost } from '../host/host.graphql.js';
import { commandOf, onlyOperators, seesInfrastructure } from '../infrastructure.graphql.js';
import { loadZone, Zone } from '../zone/zone.graphql.js';
import { DatastoreState, type DatastoreRow } from './datastore.js';
import { DatastoreService, type AddDatastoreInput as AddDatastore, type UpdateDatastoreInput as UpdateDatastore } from './datastore.service.js';
import { datastores, findDatastores, findDatastoreUses } from './datastore.sql.js';
import { DatastoreGuaranteesInput, DatastoreGuaranteesObject, toGuarantees, withGuarantees } from './guarantees.graphql.js';

registerEnumType(DatastoreState, {
  name: 'DatastoreState',
  description: 'Whether a datastore takes new disks.',
  valuesMap: {
    ACTIVE: { description: 'It does.' },
    SUSPENDED: { description: 'By an operator: it keeps its disks and gets no new ones.' },
    PENDING_DELETE: { description: 'It was removed while in use: it takes no new disks and goes with its last one.' },
  },
});

@ObjectType({ implements: () => [Node], description: 'A pool of a backend that disks live in.' })
export class Datastore extends Node {
  @Field(() => String, { description: 'What its backend calls the pool.' })
  readonly name!: string;

  @Field(() => String, { description: 'What it offers, in the operator’s word.' })
  readonly kind!: string;

  @Field(() => Boolean, { description: 'Whether several hosts reach it.' })
  readonly isShared!: boolean;

  @Field(() => Float, { description: 'GiB promised per real one.' })
  readonly overcommit!: number;

  @Field(() => DatastoreState, { description: 'Whether it takes new disks.' })
  readonly state!: DatastoreState;

  @Field(() => Long, { description: 'Its real size in GiB.' })
  readonly capacityGib!: number;

  @Field(() => DatastoreGuaranteesObject, { description: 'What it survives, as operators say.' })
  readonly guarantees!: DatastoreGuaranteesObject;

  @Field(() => Boolean, { description: 'Whether its backend holds disks to a number of accesses a second.' })
  readonly limitsIops!: boolean;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was added.' })
  readonly createdAt!: Date;

  readonly backendId!: string;
  readonly zoneId!: string | null;
  readonly hostId!: string | null;
}

function toDatastore(row: DatastoreRow): Datastore {
  return {
    id: row.id,
    home: SYSTEM_PLACE,
    name: row.name,
    kind: row.kind,
    isShared: row.host_id === null,
    overcommit: row.overcommit,
    state: row.state,
    capacityGib: row.capacity_gib,
    guarantees: toGuarantees(row),
    limitsIops: row.limits_iops,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
    backendId: row.backend_id,
    zoneId: row.zone_id,
    hostId: row.host_id,
  };
}

async function loadDatastores(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, Datastore>> {
  if (!seesInfrastructure(context)) return new Map();
  return new Map((await reader.rows(findDatastores, [...ids])).map((row) => [row.id, toDatastore(row)]));
}

/** Null for whoever may not see datastores. */
export async function loadDatastore(reader: Reader, context: GraphqlContext, id: unknown): Promise<Datastore | null> {
  if (typeof id !== 'string') return null;
  const load = loader<string, Datastore>(context, 'infrastructure.datastore', (ids) => loadDatastores(reader, context, ids));
  return (await load.load(id)) ?? null;
}

const DatastoreConnection = connectionOf(Datastore);

@ArgsType()
class DatastoresArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this zone.' })
  readonly zoneId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this backend.' })
  readonly backendId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only this host’s own.' })
  readonly hostId?: string | null;
}

@InputType({ description: 'A pool that disks may live in from now on.' })
export class AddDatastoreInput extends CommandInput {
  @Field(() => ID, { description: 'Its backend.' })
  readonly backendId!: string;

  @Field(() => String, { description: 'What the backend calls the pool.' })
  readonly name!: string;

  @Field(() => ID, { nullable: true, description: 'The host whose own pool it is; the pool is a shared one if not given.' })
  readonly hostId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Of a shared pool: only hosts of this zone reach it. By id or name.' })
  readonly zoneId?: string | null;

  @Field(() => String, { nullable: true, description: 'What it offers, in the operator’s word; `standard` if not given.' })
  readonly kind?: string | null;

  @Field(() => Float, { nullable: true, description: 'GiB promised per real one, 0.1 to 100; 1 if not given.' })
  readonly overcommit?: number | null;

  @Field(() => DatastoreGuaranteesInput, { nullable: true, description: 'What it survives; no failure, and not encrypted, if not given.' })
  readonly guarantees?: DatastoreGuaranteesInput | null;
}

@InputType({ description: 'What to change of a datastore; what is not given stays.' })
export class UpdateDatastoreInput extends CommandInput {
  @Field(() => ID, { description: 'Which.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => String, { nullable: true, description: 'What it offers, in the operator’s word.' })
  readonly kind?: string | null;

  @Field(() => Float, { nullable: true, description: 'GiB promised per real one, 0.1 to 100.' })
  readonly overcommit?: number | null;

  @Field(() => DatastoreGuaranteesInput, {
    nullable: true,
    description: 'What it survives, all of it anew. Disks whose storage policy asks for more become NONCOMPLIANT.',
  })
  readonly guarantees?: DatastoreGuaranteesInput | null;

  @Field(() => DatastoreState, { nullable: true, description: 'ACTIVE or SUSPENDED.' })
  readonly state?: DatastoreState | null;
}

@InputType({ description: 'Which datastore to give up.' })
export class RemoveDatastoreInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The datastore that was added, changed or given up.' })
export class DatastorePayload extends CommandPayload {
  @Field(() => Datastore, { nullable: true, description: 'It as it is now; null of a dry run that would add it, and when it is gone.' })
  readonly datastore!: Datastore | null;
}

@Authenticated()
@Resolver(() => Datastore)
export class DatastoreResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: DatastoreService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'dst', typeName: 'Datastore', load: (ids, context) => loadDatastores(database, context, ids) });
  }

  @Query(() => DatastoreConnection, { description: 'For operators: datastores, by name. Empty for others.' })
  datastores(
    @Args() args: DatastoresArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Datastore>> {
    const { zoneId = null, backendId = null, hostId = null } = args;
    const source = listSource(datastores, this.database, [zoneId, backendId, hostId], 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, onlyOperators(context, source), toDatastore);
  }

  // Undecorated parameters, here and below: called once a row of a list.
  @ResolveField('backend', () => Backend, { nullable: true, description: 'The backend that it belongs to.' })
  backend(datastore: Datastore, _args: unknown, context: GraphqlContext): Promise<Backend | null> {
    return loadBackend(this.database, context, datastore.backendId);
  }

  @ResolveField('zone', () => Zone, { nullable: true, description: 'The zone whose hosts reach it; null: all hosts of its backend do.' })
  zone(datastore: Datastore, _args: unknown, context: GraphqlContext): Promise<Zone | null> {
    return loadZone(this.database, context, datastore.zoneId);
  }

  @ResolveField('host', () => Host, { nullable: true, description: 'The host that alone reaches it; null when it is shared.' })
  host(datastore: Datastore, _args: unknown, context: GraphqlContext): Promise<Host | null> {
    return loadHost(this.database, context, datastore.hostId);
  }

  @ResolveField('usedGib', () => Long, { nullable: true, description: 'GiB that its backend says are in use; null before the first look.' })
  async usedGib(datastore: Datastore, _args: unknown, context: GraphqlContext): Promise<number | null> {
    const load = loader<string, number>(context, 'infrastructure.datastore_use', async (ids) =>
      new Map((await this.database.rows(findDatastoreUses, [...ids])).map((row) => [row.datastore_id, row.used_gib])),
    );
    return (await load.load(datastore.id)) ?? null;
  }

  @Mutation(() => DatastorePayload, { description: 'For operators: makes a pool of a backend a datastore.' })
  async addDatastore(
    @Args('input', { type: () => AddDatastoreInput, description: 'Which pool.' }) input: AddDatastoreInput,
    @Context() context: GraphqlContext,
  ): Promise<DatastorePayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.add(accessOf(context), withGuarantees(command, 'guarantees') as AddDatastore, options);
    return { ...toPayload(outcome), datastore: await loadDatastore(this.database, context, outcome.result.id) };
  }

  @Mutation(() => DatastorePayload, { description: 'For operators: changes a datastore.' })
  async updateDatastore(
    @Args('input', { type: () => UpdateDatastoreInput, description: 'What to change.' }) input: UpdateDatastoreInput,
    @Context() context: GraphqlContext,
  ): Promise<DatastorePayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.update(accessOf(context), withGuarantees(command, 'guarantees') as UpdateDatastore, options);
    return { ...toPayload(outcome), datastore: await loadDatastore(this.database, context, input.id) };
  }

  @Mutation(() => DatastorePayload, { description: 'For operators: gives a datastore up; in use, it takes no new disks and goes with its last one.' })
  async removeDatastore(
    @Args('input', { type: () => RemoveDatastoreInput, description: 'Which.' }) input: RemoveDatastoreInput,
    @Context() context: GraphqlContext,
  ): Promise<DatastorePayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.remove(accessOf(context), command.id, options);
    return { ...toPayload(outcome), datastore: await loadDatastore(this.database, context, input.id) };
  }
}
