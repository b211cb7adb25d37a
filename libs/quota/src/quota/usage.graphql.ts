import { Args, ArgsType, Context, Field, ID, Info, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '#identity/api';
import { QuotaService } from './quota.service.js';
import type { UsageEntryRow } from './usage.sql.js';

const UsageSource = { CHARGE: 'CHARGE', CARVE: 'CARVE' } as const;
type UsageSource = (typeof UsageSource)[keyof typeof UsageSource];
registerEnumType(UsageSource, {
  name: 'UsageSource',
  description: 'Why something counts as used.',
  valuesMap: {
    CHARGE: { description: 'A resource is charged for it.' },
    CARVE: { description: 'A project has carved it out of its tenant, used or not.' },
  },
});

const UsageOrder = { LARGEST: 'LARGEST', ID: 'ID' } as const;
type UsageOrder = (typeof UsageOrder)[keyof typeof UsageOrder];
registerEnumType(UsageOrder, {
  name: 'UsageOrder',
  description: 'The order of the entries behind a number.',
  valuesMap: { LARGEST: { description: 'The largest first.' }, ID: { description: 'By the id of what is charged.' } },
});

@ObjectType({ description: 'One part of what a scope uses: the entries of a line sum to its `used`.' })
export class UsageEntry {
  @Field(() => UsageSource, { description: 'A charge, or a carve.' })
  readonly source!: UsageSource;

  @Field(() => ID, { description: 'The resource that is charged, or the project that has carved.' })
  readonly resourceId!: string;

  @Field(() => String, { description: 'The kind of that, as `vm` or `prj`.' })
  readonly resourceKind!: string;

  @Field(() => ID, { nullable: true, description: 'The project; null for what belongs to the tenant itself.' })
  readonly projectId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The zone; null when it is in none.' })
  readonly zoneId!: string | null;

  @Field(() => Long, { description: 'How much.' })
  readonly amount!: number;

  @Field(() => DateTime, { nullable: true, description: 'Since when this amount is charged; null for a carve.' })
  readonly since!: Date | null;
}

const UsageEntryConnection = connectionOf(UsageEntry);

@ArgsType()
class UsageArguments extends PageArguments {
  @Field(() => ID, { description: 'The tenant or project.' })
  readonly scopeId!: string;

  @Field(() => String, { description: 'The resource key, as `vm.cpu`.' })
  readonly resourceKey!: string;

  @Field(() => ID, { nullable: true, description: 'The line of this zone; that of all zones if not given.' })
  readonly zoneId?: string | null;

  @Field(() => UsageOrder, { nullable: true, description: 'LARGEST if not given.' })
  readonly orderBy?: UsageOrder | null;
}

const toEntry = (row: UsageEntryRow): UsageEntry => ({
  source: row.source,
  resourceId: row.id,
  resourceKind: row.resource_kind,
  projectId: row.project_id,
  zoneId: row.zone_id === '' ? null : row.zone_id,
  amount: row.amount,
  since: row.since,
});

@Authenticated()
@Resolver(() => UsageEntry)
export class UsageResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: QuotaService,
    private readonly registry: NodeRegistry,
  ) {}

  @Query(() => UsageEntryConnection, { description: 'The entries behind one line’s `used`: what is charged, and what projects have carved.' })
  async usageEntries(
    @Args() args: UsageArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<UsageEntry>> {
    const access = accessOf(context);
    const source = {
      page: (request: Parameters<QuotaService['explainUsage']>[2]) =>
        this.service.explainUsage(access, args, request, args.orderBy ?? UsageOrder.LARGEST),
      count: () => this.service.countUsageEntries(access, args),
    };
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toEntry);
  }

  // Undecorated parameters: called once a row of a list.
  @ResolveField('resource', () => Node, { nullable: true, description: 'What is charged; null when it is gone or may not be seen.' })
  async resource(entry: UsageEntry, _args: unknown, context: GraphqlContext): Promise<{ id: string } | null> {
    return (await this.registry.load(entry.resourceId, context)) ?? null;
  }
}
