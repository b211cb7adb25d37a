import { Args, Context, Field, ID, InputType, Mutation, ObjectType, Query, Resolver } from '@nestjs/graphql';
import { notFound } from '#core';
import { Database, type Reader } from '#database';
import { Authenticated, loader, Long, type GraphqlContext } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, CommandInput, CommandPayload, toPayload } from '#identity/api';
import { QuotaService } from './quota.service.js';
import { findScopesOfQuota } from './quota.sql.js';
import { findUsage, type UsageRow } from './usage.sql.js';

@ObjectType('QuotaLine', { description: 'What a scope may use and uses of one resource key, in one zone or in all together.' })
export class QuotaLineType {
  @Field(() => String, { description: 'The resource key, as `vm.cpu`. Memory is in MiB, disk capacity in GiB, the rest are counts.' })
  readonly resourceKey!: string;

  @Field(() => ID, { nullable: true, description: 'The zone that is counted; null for all zones together.' })
  readonly zoneId!: string | null;

  @Field(() => Long, { nullable: true, description: 'The limit. Null: unlimited at a tenant; at a project, it draws on its tenant.' })
  readonly limit!: number | null;

  @Field(() => Long, { description: 'What is used; at a tenant, what projects have carved counts as used.' })
  readonly used!: number;

  @Field(() => Long, { description: 'At a tenant: how much of `used` is carved out for projects.' })
  readonly carvedOut!: number;

  @Field(() => Long, { nullable: true, description: 'What can still be taken; null when nothing limits it.' })
  readonly available!: number | null;
}

@ObjectType('Quota', { description: 'The limits of a tenant or project, and what is used of them.' })
export class QuotaType {
  @Field(() => ID, { description: 'The tenant or project.' })
  readonly scopeId!: string;

  @Field(() => Long, { description: 'Rises when limits change; give it as `expectedVersion`. 0 while none was ever set.' })
  readonly version!: number;

  @Field(() => [QuotaLineType], { description: 'By resource key and zone: every limit, and everything that is used. A project also shows its tenant’s.' })
  readonly lines!: QuotaLineType[];
}

@InputType({ description: 'A limit.' })
export class QuotaLineInput {
  @Field(() => String, { description: 'The resource key, as `vm.cpu`.' })
  readonly resourceKey!: string;

  @Field(() => ID, { nullable: true, description: 'The zone that it is for; all zones together if not given.' })
  readonly zoneId?: string | null;

  @Field(() => Long, { description: 'The most that may be used: 0 to 10^12, and not below what is used.' })
  readonly limit!: number;
}

@InputType({ description: 'Names one line of a quota.' })
export class QuotaLineName {
  @Field(() => String, { description: 'The resource key, as `vm.cpu`.' })
  readonly resourceKey!: string;

  @Field(() => ID, { nullable: true, description: 'The zone that it is for; all zones together if not given.' })
  readonly zoneId?: string | null;
}

@InputType({ isAbstract: true })
abstract class QuotaInput extends CommandInput {
  @Field(() => ID, { description: 'The tenant or project.' })
  readonly scopeId!: string;

  @Field(() => Long, { nullable: true, description: 'The version that the quota must still have; CONFLICT when it has another.' })
  readonly expectedVersion?: number | null;
}

@InputType({ description: 'All limits of a scope.' })
export class SetQuotaInput extends QuotaInput {
  @Field(() => [QuotaLineInput], { description: 'The limits; those that are not named are taken away.' })
  readonly lines!: QuotaLineInput[];
}

@InputType({ description: 'Some limits of a scope.' })
export class PatchQuotaInput extends QuotaInput {
  @Field(() => [QuotaLineInput], { description: 'The limits to set; others stay.' })
  readonly lines!: QuotaLineInput[];
}

@InputType({ description: 'Limits to take away.' })
export class RemoveQuotaLinesInput extends QuotaInput {
  @Field(() => [QuotaLineName], { description: 'Which lines.' })
  readonly lines!: QuotaLineName[];
}

@ObjectType({ isAbstract: true })
abstract class QuotaPayload extends CommandPayload {
  @Field(() => QuotaType, { nullable: true, description: 'The quota as it is now; null of a dry run.' })
  readonly quota!: QuotaType | null;
}

@ObjectType({ description: 'The quota whose lines were replaced.' })
export class SetQuotaPayload extends QuotaPayload {}

@ObjectType({ description: 'The quota of which some lines were set.' })
export class PatchQuotaPayload extends QuotaPayload {}

@ObjectType({ description: 'The quota from which lines were taken away.' })
export class RemoveQuotaLinesPayload extends QuotaPayload {}

function toLine(row: UsageRow): QuotaLineType {
  const [limit, used] = row.limit_amount === null ? [row.tenant_limit, row.tenant_used ?? 0] : [row.limit_amount, row.used_amount];
  return {
    resourceKey: row.resource_key,
    zoneId: row.zone_id === '' ? null : row.zone_id,
    limit: row.limit_amount,
    used: row.used_amount,
    carvedOut: row.carved_amount,
    available: limit === null ? null : limit - used,
  };
}

/** The quota of a scope, looked up together with all others that the request asks for; null when the caller may not see it. */
export async function loadQuota(reader: Reader, context: GraphqlContext, scopeId: string): Promise<QuotaType | null> {
  const access = accessOf(context);
  const load = loader<string, QuotaType>(context, 'quota', async (ids) => {
    const scopes = await reader.rows(findScopesOfQuota, [...ids]);
    const seen = scopes.filter((row) => access.sees('quota', { tenantId: row.tenant_id, projectId: row.project_id }));
    const lines = Map.groupBy(await reader.rows(findUsage, seen.map((row) => row.id)), (row) => row.scope_id);
    return new Map(
      seen.map((row) => [row.id, { scopeId: row.id, version: row.quota_version, lines: (lines.get(row.id) ?? []).map(toLine) }]),
    );
  });
  return (await load.load(scopeId)) ?? null;
}

@Authenticated()
@Resolver(() => QuotaType)
export class QuotaResolver {
  constructor(
    private readonly database: Database,
    private readonly service: QuotaService,
  ) {}

  @Query(() => QuotaType, { description: 'The quota of a tenant or project; NOT_FOUND if there is none that you may see.' })
  async quota(
    @Args('scopeId', { type: () => ID, description: 'The tenant or project.' }) scopeId: string,
    @Context() context: GraphqlContext,
  ): Promise<QuotaType> {
    const found = await loadQuota(this.database, context, scopeId);
    if (found === null) throw notFound('tenant or project', scopeId, 'scopeId');
    return found;
  }

  @Mutation(() => SetQuotaPayload, { description: 'Replaces all limits of a tenant (for operators) or project (for the tenant’s owners).' })
  async setQuota(
    @Args('input', { type: () => SetQuotaInput, description: 'The limits.' }) input: SetQuotaInput,
    @Context() context: GraphqlContext,
  ): Promise<SetQuotaPayload> {
    const { command, options } = split(input, context);
    return this.answer(context, await this.service.setQuota(accessOf(context), command, options));
  }

  @Mutation(() => PatchQuotaPayload, { description: 'Sets some limits of a tenant (for operators) or project (for the tenant’s owners).' })
  async patchQuota(
    @Args('input', { type: () => PatchQuotaInput, description: 'The limits.' }) input: PatchQuotaInput,
    @Context() context: GraphqlContext,
  ): Promise<PatchQuotaPayload> {
    const { command, options } = split(input, context);
    return this.answer(context, await this.service.patchQuota(accessOf(context), command, options));
  }

  @Mutation(() => RemoveQuotaLinesPayload, { description: 'Takes limits away: a tenant’s key becomes unlimited, a project’s draws on its tenant again.' })
  async removeQuotaLines(
    @Args('input', { type: () => RemoveQuotaLinesInput, description: 'Which.' }) input: RemoveQuotaLinesInput,
    @Context() context: GraphqlContext,
  ): Promise<RemoveQuotaLinesPayload> {
    const { command, options } = split(input, context);
    return this.answer(context, await this.service.removeQuotaLines(accessOf(context), command, options));
  }

  private async answer(context: GraphqlContext, outcome: CommandResult): Promise<SetQuotaPayload> {
    const { id } = outcome.result;
    const quota = typeof id === 'string' ? await loadQuota(this.database, context, id) : null;
    return { ...toPayload(outcome), quota };
  }
}

function split<Input extends QuotaInput>(
  input: Input,
  context: GraphqlContext,
): { command: Omit<Input, 'dryRun'>; options: { dryRun: boolean; idempotencyKey: string | undefined } } {
  const { dryRun, ...command } = input;
  return { command, options: { dryRun: dryRun === true, idempotencyKey: context.idempotencyKey } };
}
