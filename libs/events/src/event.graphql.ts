import { Inject } from '@nestjs/common';
import { Args, ArgsType, Context, Field, ID, ObjectType, Query, registerEnumType, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import { invalidInput } from '#core';
import { Database } from '#database';
import { Authenticated, Cursor, DateTime, Long, Node, NodeRegistry, type GraphqlContext } from '#graphql';
import { EventFeed, type FeedEvent } from './event-feed.js';
import { EventChange, type EventRow } from './event.sql.js';

export const EVENT_VISIBILITY = Symbol('muon:events:visibility');

/** Who may see an event: answered by the room that knows callers and their rights. */
export interface EventVisibility {
  /** Made once a subscription, whose socket ends when the caller's rights change. */
  visibleTo(context: GraphqlContext): (event: EventRow) => boolean;
}

registerEnumType(EventChange, {
  name: 'EventChange',
  description: 'What happened to a resource.',
  valuesMap: {
    CREATED: { description: 'It was made.' },
    UPDATED: { description: 'Something of it changed.' },
    DELETED: { description: 'It is gone.' },
  },
});

@ObjectType('Event', { description: 'One change of one resource, in the order in which changes were committed.' })
export class EventType {
  @Field(() => Cursor, { description: 'Watching from here resumes after this event.' })
  readonly cursor!: string;

  @Field(() => EventChange, { description: 'What happened.' })
  readonly change!: EventChange;

  @Field(() => String, { description: 'The kind of the resource: the prefix of its id, as `vm`.' })
  readonly kind!: string;

  @Field(() => ID, { description: 'The resource.' })
  readonly resourceId!: string;

  @Field(() => ID, { nullable: true, description: 'Its tenant.' })
  readonly tenantId!: string | null;

  @Field(() => ID, { nullable: true, description: 'Its project.' })
  readonly projectId!: string | null;

  @Field(() => Long, { description: 'The revision of the resource after the change; what you hold with a higher one is newer.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When the changing transaction began.' })
  readonly at!: Date;
}

const MAX_FILTER_IDS = 100;

@ArgsType()
class EventsArguments {
  @Field(() => [ID], { nullable: true, description: `Only of these resources; at most ${MAX_FILTER_IDS}.` })
  readonly resourceIds?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Only of these kinds, as `vm` or `op`.' })
  readonly kinds?: string[] | null;

  @Field(() => ID, { nullable: true, description: 'Only of this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only of this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => Cursor, {
    nullable: true,
    description: 'Only what came after: the `eventCursor` of a list, or the cursor of the last event. From now on if not given.',
  })
  readonly from?: string | null;
}

@Authenticated()
@Resolver(() => EventType)
export class EventResolver {
  constructor(
    private readonly feed: EventFeed,
    private readonly database: Database,
    private readonly registry: NodeRegistry,
    @Inject(EVENT_VISIBILITY) private readonly visibility: EventVisibility,
  ) {}

  @Query(() => Cursor, { description: 'The place in the stream of events as of now.' })
  eventCursor(): Promise<string> {
    return this.feed.head(this.database);
  }

  @Subscription(() => EventType, {
    description: 'Changes of what the caller may see, none left out. Behind the retention it ends with CURSOR_EXPIRED.',
    resolve: (event: FeedEvent) => ({
      cursor: event.cursor,
      change: event.change,
      kind: event.kind,
      resourceId: event.resource_id,
      tenantId: event.tenant_id,
      projectId: event.project_id,
      revision: event.revision,
      at: event.at,
    }),
  })
  events(@Args() args: EventsArguments, @Context() context: GraphqlContext): AsyncGenerator<FeedEvent, void, void> {
    const matches = matcher(args, this.visibility.visibleTo(context));
    return this.feed.watch(matches, args.from ?? undefined, context.signal);
  }

  // Undecorated parameters: called once an event.
  @ResolveField('node', () => Node, {
    nullable: true,
    description: 'The resource as it is now; null when it is gone or may not be seen.',
  })
  async node(event: EventType, _args: unknown, context: GraphqlContext): Promise<{ id: string } | null> {
    if (event.change === EventChange.DELETED) return null;
    return (await this.registry.load(event.resourceId, context)) ?? null;
  }
}

function matcher(args: EventsArguments, sees: (event: EventRow) => boolean): (event: EventRow) => boolean {
  for (const [field, list] of [
    ['resourceIds', args.resourceIds],
    ['kinds', args.kinds],
  ] as const) {
    if ((list?.length ?? 0) > MAX_FILTER_IDS) throw invalidInput(field, `At most ${MAX_FILTER_IDS} can be named.`);
  }
  const ids = args.resourceIds == null ? undefined : new Set(args.resourceIds);
  const kinds = args.kinds == null ? undefined : new Set(args.kinds);
  return (event) =>
    (ids === undefined || ids.has(event.resource_id)) &&
    (kinds === undefined || kinds.has(event.kind)) &&
    (args.projectId == null || event.project_id === args.projectId) &&
    (args.tenantId == null || event.tenant_id === args.tenantId) &&
    sees(event);
}
