import { Args, ArgsType, Context, Field, Float, ID, Info, ObjectType, Query, registerEnumType, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { EventFeed } from '#events';
import { readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, Long, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '#identity/api';
import { QuotaService } from '../quota/quota.service.js';
import { MAX_METERING_TOTALS, type MeteringRow, type MeteringTotalRow } from './metering.sql.js';

const MeteringOrder = { OLDEST: 'OLDEST', NEWEST: 'NEWEST' } as const;
type MeteringOrder = (typeof MeteringOrder)[keyof typeof MeteringOrder];
registerEnumType(MeteringOrder, {
  name: 'MeteringOrder',
  description: 'The order of metering records.',
  valuesMap: { OLDEST: { description: 'What began first comes first.' }, NEWEST: { description: 'What began last comes first.' } },
});

@ObjectType({ description: 'That a resource held an amount for a time. Kept when the resource, and when its tenant, has gone.' })
export class MeteringRecord {
  @Field(() => ID, { description: 'Its id; the same while it is open and afterwards.' })
  readonly id!: string;

  @Field(() => ID, { description: 'The resource.' })
  readonly resourceId!: string;

  @Field(() => String, { description: 'The kind of the resource, as `vm`.' })
  readonly resourceKind!: string;

  @Field(() => String, { description: 'What it held, as `vm.cpu`.' })
  readonly resourceKey!: string;

  @Field(() => ID, { description: 'Its tenant.' })
  readonly tenantId!: string;

  @Field(() => ID, { nullable: true, description: 'Its project.' })
  readonly projectId!: string | null;

  @Field(() => ID, { nullable: true, description: 'Its zone.' })
  readonly zoneId!: string | null;

  @Field(() => Long, { description: 'How much.' })
  readonly amount!: number;

  @Field(() => DateTime, { description: 'Since when.' })
  readonly from!: Date;

  @Field(() => DateTime, { nullable: true, description: 'Until when; null while it still does. Open records sum to what is used.' })
  readonly to!: Date | null;
}

@ObjectType({ description: 'What a project held of one key in one zone, amount times hours.' })
export class MeteringTotal {
  @Field(() => ID, { nullable: true, description: 'The project; null for what belongs to the tenant itself.' })
  readonly projectId!: string | null;

  @Field(() => String, { description: 'The resource key.' })
  readonly resourceKey!: string;

  @Field(() => ID, { nullable: true, description: 'The zone; null for what is in none.' })
  readonly zoneId!: string | null;

  @Field(() => Float, { description: 'Amount times hours within the time asked for, and up to now.' })
  readonly amountHours!: number;
}

const MeteringRecordConnection = connectionOf(MeteringRecord);

@ArgsType()
class MeteringTotalsArguments {
  @Field(() => ID, { description: 'The tenant.' })
  readonly tenantId!: string;

  @Field(() => ID, { nullable: true, description: 'Only of this project.' })
  readonly projectId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only of this resource key.' })
  readonly resourceKey?: string | null;

  @Field(() => DateTime, { description: 'From when; what began earlier and still held then is in it.' })
  readonly from!: Date;

  @Field(() => DateTime, { description: 'Until when; at most 400 days after `from`.' })
  readonly to!: Date;
}

@ArgsType()
class MeteringArguments extends PageArguments {
  @Field(() => ID, { description: 'The tenant.' })
  readonly tenantId!: string;

  @Field(() => ID, { nullable: true, description: 'Only of this project.' })
  readonly projectId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only of this resource key.' })
  readonly resourceKey?: string | null;

  @Field(() => DateTime, { description: 'From when; what began earlier and still held then is in it.' })
  readonly from!: Date;

  @Field(() => DateTime, { description: 'Until when; at most 400 days after `from`.' })
  readonly to!: Date;

  @Field(() => MeteringOrder, { nullable: true, description: 'OLDEST if not given.' })
  readonly orderBy?: MeteringOrder | null;
}

const zoneOf = (row: { zone_id: string }): string | null => (row.zone_id === '' ? null : row.zone_id);

const toRecord = (row: MeteringRow): MeteringRecord => ({
  id: row.id,
  resourceId: row.resource_id,
  resourceKind: row.resource_kind,
  resourceKey: row.resource_key,
  tenantId: row.tenant_id,
  projectId: row.project_id,
  zoneId: zoneOf(row),
  amount: row.amount,
  from: row.from_at,
  to: row.to_at,
});

const toTotal = (row: MeteringTotalRow): MeteringTotal => ({
  projectId: row.project_id,
  resourceKey: row.resource_key,
  zoneId: zoneOf(row),
  amountHours: row.amount_hours,
});

@Authenticated()
@Resolver()
export class MeteringResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: QuotaService,
  ) {}

  @Query(() => MeteringRecordConnection, { description: 'What was held between two moments, as far as the caller may see it.' })
  async meteringRecords(
    @Args() args: MeteringArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<MeteringRecord>> {
    const access = accessOf(context);
    const source = {
      page: (request: Parameters<QuotaService['metering']>[2]) =>
        this.service.metering(access, args, request, args.orderBy ?? MeteringOrder.OLDEST),
      count: () => this.service.countMetering(access, args),
    };
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toRecord);
  }

  @Query(() => [MeteringTotal], {
    description: `Amount-hours between two moments by project, key and zone; the first ${MAX_METERING_TOTALS} of them.`,
  })
  async meteringTotals(@Args() args: MeteringTotalsArguments, @Context() context: GraphqlContext): Promise<MeteringTotal[]> {
    return (await this.service.meteringTotals(accessOf(context), args)).map(toTotal);
  }
}
