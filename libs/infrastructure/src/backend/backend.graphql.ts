import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { type JsonObject } from '#core';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, JsonObjectScalar, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE } from '#identity';
import { accessOf, CommandInput, CommandPayload, toPayload } from '#identity/api';
import { commandOf, onlyOperators, seesInfrastructure } from '../infrastructure.graphql.js';
import { CatalogueState } from '../zone/zone.js';
import { Health, type BackendRow } from './backend.js';
import { BackendService, type CreateBackendInput as CreateBackend, type UpdateBackendInput as UpdateBackend } from './backend.service.js';
import { backends, findBackends } from './backend.sql.js';

@ObjectType({ implements: () => [Node], description: 'Something that runs machines, networks or disks, reached by a driver of its kind.' })
export class Backend extends Node {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => String, { description: 'Which driver serves it, as `simulated`.' })
  readonly kind!: string;

  @Field(() => String, { description: 'Where it is reached.' })
  readonly endpoint!: string;

  @Field(() => Boolean, { description: 'Whether a secret is kept for it. The secret itself is never shown.' })
  readonly hasSecret!: boolean;

  @Field(() => JsonObjectScalar, { description: 'What its driver is told besides.' })
  readonly options!: JsonObject;

  @Field(() => Int, { description: 'How many calls each process makes to it at once.' })
  readonly maxConcurrentCalls!: number;

  @Field(() => Int, { description: 'How many milliseconds heartbeats, inventories and fences may take.' })
  readonly callTimeoutMs!: number;

  @Field(() => [String], { description: 'What it can do, as its driver declares.' })
  readonly capabilities!: string[];

  @Field(() => CatalogueState, { description: 'Whether it takes new hosts and machines.' })
  readonly state!: CatalogueState;

  @Field(() => Health, { description: 'Whether it answers.' })
  readonly health!: Health;

  @Field(() => DateTime, { description: 'Since when its health is so.' })
  readonly healthSince!: Date;

  @Field(() => String, { nullable: true, description: 'Why it is down; of one that answers, why it does not tell all that it has.' })
  readonly healthReason!: string | null;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

function toBackend(row: BackendRow): Backend {
  return {
    id: row.id,
    home: SYSTEM_PLACE,
    name: row.name,
    kind: row.kind,
    endpoint: row.endpoint,
    hasSecret: row.secret_ref !== null,
    options: row.options,
    maxConcurrentCalls: row.max_concurrent_calls,
    callTimeoutMs: row.call_timeout_ms,
    capabilities: Object.entries(row.capabilities).flatMap(([name, can]) => (can ? [name] : [])),
    state: row.state,
    health: row.health,
    healthSince: row.health_since,
    healthReason: row.health_reason,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
  };
}

async function findBackendNodes(reader: Reader, ids: readonly string[]): Promise<Map<string, Backend>> {
  return new Map((await reader.rows(findBackends, [...ids])).map((row) => [row.id, toBackend(row)]));
}

/** For callers who may see infrastructure. */
export async function loadBackend(reader: Reader, context: GraphqlContext, id: unknown): Promise<Backend | null> {
  if (typeof id !== 'string' || !seesInfrastructure(context)) return null;
  return (await loader<string, Backend>(context, 'infrastructure.backend', (ids) => findBackendNodes(reader, ids)).load(id)) ?? null;
}

const BackendConnection = connectionOf(Backend);

@ArgsType()
class BackendsArguments extends PageArguments {
  @Field(() => String, { nullable: true, description: 'Only the one of this name.' })
  readonly name?: string | null;
}

@InputType({ description: 'A new backend. It is tried before it is kept.' })
export class CreateBackendInput extends CommandInput {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => String, { description: 'Which driver serves it.' })
  readonly kind!: string;

  @Field(() => String, { description: 'Where it is reached.' })
  readonly endpoint!: string;

  @Field(() => String, { nullable: true, description: 'What opens it; kept encrypted and never shown again.' })
  readonly secret?: string | null;

  @Field(() => JsonObjectScalar, { nullable: true, description: 'What its driver is told besides.' })
  readonly options?: JsonObject | null;

  @Field(() => Int, { nullable: true, description: 'How many calls each process makes to it at once, 1 to 1000; 16 if not given.' })
  readonly maxConcurrentCalls?: number | null;

  @Field(() => Int, { nullable: true, description: 'How many milliseconds heartbeats, inventories and fences may take; 10000 if not given.' })
  readonly callTimeoutMs?: number | null;
}

@InputType({ description: 'What to change of a backend; what is not given stays. It is tried before it is kept.' })
export class UpdateBackendInput extends CommandInput {
  @Field(() => ID, { description: 'Which.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => String, { nullable: true, description: 'Where it is reached.' })
  readonly endpoint?: string | null;

  @Field(() => String, { nullable: true, description: 'What opens it; null takes the secret away.' })
  readonly secret?: string | null;

  @Field(() => JsonObjectScalar, { nullable: true, description: 'What its driver is told besides; replaces all options.' })
  readonly options?: JsonObject | null;

  @Field(() => Int, { nullable: true, description: 'How many calls each process makes to it at once, 1 to 1000.' })
  readonly maxConcurrentCalls?: number | null;

  @Field(() => Int, { nullable: true, description: 'How many milliseconds heartbeats, inventories and fences may take.' })
  readonly callTimeoutMs?: number | null;
}

@InputType({ description: 'Which backend to delete.' })
export class DeleteBackendInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The backend that was made, changed or deleted.' })
export class BackendPayload extends CommandPayload {
  @Field(() => Backend, { nullable: true, description: 'It as it is now; null of a dry run that would make it, and when it is gone.' })
  readonly backend!: Backend | null;
}

@Authenticated()
@Resolver(() => Backend)
export class BackendResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: BackendService,
    registry: NodeRegistry,
  ) {
    const load = async (ids: readonly string[], context: GraphqlContext): Promise<Map<string, Backend>> =>
      findBackendNodes(database, seesInfrastructure(context) ? ids : []);
    registry.register({ prefix: 'bck', typeName: 'Backend', load });
  }

  @Query(() => BackendConnection, { description: 'For operators: backends, by name. Empty for others.' })
  backends(
    @Args() args: BackendsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Backend>> {
    const source = listSource(backends, this.database, [args.name ?? null], 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, onlyOperators(context, source), toBackend);
  }

  @Mutation(() => BackendPayload, { description: 'For operators: makes a backend known, if it answers.' })
  async createBackend(
    @Args('input', { type: () => CreateBackendInput, description: 'What to make.' }) input: CreateBackendInput,
    @Context() context: GraphqlContext,
  ): Promise<BackendPayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.create(accessOf(context), command as CreateBackend, options);
    return { ...toPayload(outcome), backend: await loadBackend(this.database, context, outcome.result.id) };
  }

  @Mutation(() => BackendPayload, { description: 'For operators: changes how a backend is reached, if it answers so.' })
  async updateBackend(
    @Args('input', { type: () => UpdateBackendInput, description: 'What to change.' }) input: UpdateBackendInput,
    @Context() context: GraphqlContext,
  ): Promise<BackendPayload> {
    const { command, options } = commandOf(input, context, ['secret']);
    const outcome = await this.service.update(accessOf(context), command as UpdateBackend, options);
    return { ...toPayload(outcome), backend: await loadBackend(this.database, context, input.id) };
  }

  @Mutation(() => BackendPayload, { description: 'For operators: deletes a backend; in use, it takes nothing new and goes with the last of what is on it.' })
  async deleteBackend(
    @Args('input', { type: () => DeleteBackendInput, description: 'Which.' }) input: DeleteBackendInput,
    @Context() context: GraphqlContext,
  ): Promise<BackendPayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.delete(accessOf(context), command.id, options);
    return { ...toPayload(outcome), backend: await loadBackend(this.database, context, input.id) };
  }
}
