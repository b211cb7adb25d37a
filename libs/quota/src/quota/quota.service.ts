import { Inject, Injectable, Optional } from '@nestjs/common';
import { z } from 'zod';
import { invalidInput, MuonError, notFound, parseInput, type JsonObject } from '#core';
import { Database, type ChangeSet, type Page, type PageRequest, type Reader } from '#database';
import { Action, SYSTEM_PLACE, CommandRunner, type Access, type CommandOptions, type CommandResult } from '#identity';
import { requireActive, SCOPES } from '#scopes';
import { isResourceKey, RESOURCE_KEY_RULE } from '../charge/charge.js';
import { meteringRecords, meteringTotals, type MeteringParameters, type MeteringRow, type MeteringTotalRow } from '../metering/metering.sql.js';
import { quotaCountersSchema, quotaId, quotaLinesSchema, type LimitChange } from './quota.js';
import { planLimitChanges } from './quota.limits.js';
import { findScopesOfQuota, type ScopeOfQuota } from './quota.sql.js';
import { findUsage, usageEntries, type UsageEntryRow, type UsageRow } from './usage.sql.js';

/** Which zones exist is known above this room. */
export interface ZoneDirectory {
  /** Those of the ids that are no zone's. */
  unknownZones(reader: Reader, zoneIds: string[]): Promise<string[]>;
}
export const ZONE_DIRECTORY = Symbol('ZONE_DIRECTORY');

const target = { scopeId: z.string().max(100), expectedVersion: z.number().int().min(0).nullish() };
const setSchema = z.object({ ...target, lines: quotaLinesSchema });
const patchSchema = z.object({ ...target, lines: quotaLinesSchema.min(1, 'Name at least one line.') });
const removeSchema = z.object({ ...target, lines: quotaCountersSchema });

export type SetQuotaInput = z.input<typeof setSchema>;
export type PatchQuotaInput = z.input<typeof patchSchema>;
export type RemoveQuotaLinesInput = z.input<typeof removeSchema>;

/** One line of a scope's usage. */
export interface CounterReference {
  scopeId: string;
  resourceKey: string;
  /** Left out for the line of all zones. */
  zoneId?: string | null;
}

export interface MeteringQuery {
  tenantId: string;
  projectId?: string | null;
  resourceKey?: string | null;
  from: Date;
  to: Date;
}

const MAX_METERING_RANGE_MS = 400 * 86_400_000;

/** Limits of tenants (set by the system's owners) and of projects (carved by their tenant's owners), and what is used of them. */
@Injectable()
export class QuotaService {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandRunner,
    @Optional() @Inject(ZONE_DIRECTORY) private readonly zones?: ZoneDirectory,
  ) {}

  /** Replaces all lines: limits that are not named are taken away. The result's `id` is the scope's. */
  async setQuota(access: Access, input: SetQuotaInput, options: CommandOptions = {}): Promise<CommandResult> {
    return this.change(access, 'setQuota', parseInput(setSchema, input), true, options);
  }

  /** Changes the named lines and leaves the others. */
  async patchQuota(access: Access, input: PatchQuotaInput, options: CommandOptions = {}): Promise<CommandResult> {
    return this.change(access, 'patchQuota', parseInput(patchSchema, input), false, options);
  }

  /** Takes limits away: a tenant's key becomes unlimited, a project's draws on its tenant again. Absent lines are no error. */
  async removeQuotaLines(access: Access, input: RemoveQuotaLinesInput, options: CommandOptions = {}): Promise<CommandResult> {
    return this.change(access, 'removeQuotaLines', parseInput(removeSchema, input), false, options);
  }

  /** @throws NOT_FOUND for a scope that the caller may not see; the system itself has no quota */
  async scope(access: Access, scopeId: string): Promise<ScopeOfQuota> {
    const row = (await this.database.rows(findScopesOfQuota, [scopeId]))[0];
    return visibleScope(access, row, scopeId, 'scopeId');
  }

  /** All lines of a scope that the caller may see, by key and zone. */
  async usage(access: Access, scopeId: string): Promise<{ scope: ScopeOfQuota; lines: UsageRow[] }> {
    const scope = await this.scope(access, scopeId);
    return { scope, lines: await this.database.rows(findUsage, [scopeId]) };
  }

  /** The rows that one number is the sum of. @param order `ID` or `LARGEST` */
  async explainUsage(
    access: Access,
    counter: CounterReference,
    page: PageRequest,
    order: 'ID' | 'LARGEST' = 'LARGEST',
  ): Promise<Page<UsageEntryRow>> {
    return usageEntries.page(this.database, await this.counterOf(access, counter), order, page);
  }

  /** How many entries `explainUsage` has in all. */
  async countUsageEntries(access: Access, counter: CounterReference): Promise<number> {
    return usageEntries.count(this.database, await this.counterOf(access, counter));
  }

  async countMetering(access: Access, query: MeteringQuery): Promise<number> {
    return meteringRecords.count(this.database, meteringParameters(access, query));
  }

  async metering(
    access: Access,
    query: MeteringQuery,
    page: PageRequest,
    order: 'OLDEST' | 'NEWEST' = 'OLDEST',
  ): Promise<Page<MeteringRow>> {
    return meteringRecords.page(this.database, meteringParameters(access, query), order, page);
  }

  /** Amount-hours by project, key and zone. */
  async meteringTotals(access: Access, query: MeteringQuery): Promise<MeteringTotalRow[]> {
    return this.database.rows(meteringTotals, ...meteringParameters(access, query));
  }

  private async counterOf(access: Access, counter: CounterReference): Promise<Parameters<typeof usageEntries.count>[1]> {
    if (!isResourceKey(counter.resourceKey)) throw invalidInput('resourceKey', RESOURCE_KEY_RULE);
    const scope = await this.scope(access, counter.scopeId);
    return [scope.tenant_id, scope.project_id, counter.resourceKey, counter.zoneId ?? ''];
  }

  private async change(
    access: Access,
    name: string,
    input: z.output<typeof setSchema> | z.output<typeof removeSchema>,
    replace: boolean,
    options: CommandOptions,
  ): Promise<CommandResult> {
    const place = { tenantId: null as string | null, projectId: null as string | null };
    return this.commands.run({ access, name, input: input as unknown as JsonObject, place, ...options }, async (reader) => {
      const row = (await reader.rows(findScopesOfQuota, [input.scopeId]))[0];
      const scope = requireMayChange(access, visibleScope(access, row, input.scopeId, 'input.scopeId'), input.scopeId);
      Object.assign(place, { tenantId: scope.tenant_id, projectId: scope.project_id });
      const lines = input.lines.map((line, index) => ({
        resourceKey: line.resourceKey,
        zoneId: line.zoneId,
        limit: 'limit' in line ? line.limit : null,
        field: `input.lines.${index}${'limit' in line ? '.limit' : ''}`,
      }));
      await this.requireZones(reader, lines);
      const change: LimitChange = {
        scopeId: scope.id,
        scopeName: scope.name,
        tenantId: scope.tenant_id,
        tenantName: scope.tenant_name,
        projectId: scope.project_id,
        quotaId: scope.quota_id ?? quotaId.create(),
        expectedVersion: input.expectedVersion ?? null,
        replace,
        lines,
      };
      return this.plan(reader, access, scope, change);
    });
  }

  private async plan(reader: Reader, access: Access, scope: ScopeOfQuota, change: LimitChange): Promise<ChangeSet> {
    const changes = await planLimitChanges(reader, [change]);
    const mayAlways = access.can(Action.MODIFY, 'quota', SYSTEM_PLACE);
    if (!mayAlways) {
      requireActive({ id: scope.tenant_id, kind: 'TENANT', name: scope.tenant_name, state: scope.tenant_state });
      requireActive(scope);
    }
    const need = mayAlways ? ('EXISTING' as const) : ('ACTIVE' as const);
    changes.add(SCOPES, ...[...new Set([scope.id, scope.tenant_id])].map((scopeId) => ({ scopeId, need })));
    changes.resources.push({ action: 'UPDATE', kind: 'quota', id: change.quotaId, name: scope.name });
    changes.result = { id: scope.id };
    return changes;
  }

  private async requireZones(reader: Reader, lines: readonly { zoneId: string | null; field: string }[]): Promise<void> {
    const ids = [...new Set(lines.flatMap((line) => line.zoneId ?? []))];
    const [unknown] = ids.length === 0 ? [] : ((await this.zones?.unknownZones(reader, ids)) ?? []);
    if (unknown === undefined) return;
    const line = lines.findIndex((candidate) => candidate.zoneId === unknown);
    throw notFound('zone', unknown, `input.lines.${line}.zoneId`);
  }
}

function visibleScope(access: Access, row: ScopeOfQuota | undefined, scopeId: string, field: string): ScopeOfQuota {
  const found = row?.kind === 'SYSTEM' ? undefined : row;
  const place = found && { tenantId: found.tenant_id, projectId: found.project_id };
  // Before it may be seen, not even its kind is told: a project that is there reads like one that is not.
  if (found === undefined || place === undefined || !access.sees('quota', place)) throw notFound('tenant or project', scopeId, field);
  access.require(Action.READ, 'quota', place, scopeId, field);
  return found;
}

/** A scope's limits are set one level above it, or its own owner could raise them. */
function requireMayChange(access: Access, scope: ScopeOfQuota, scopeId: string): ScopeOfQuota {
  if (scope.kind === 'TENANT') access.requireSystem(Action.MODIFY, 'quota');
  else {
    const above = { tenantId: scope.tenant_id, projectId: null };
    if (!access.can(Action.MODIFY, 'quota', above)) {
      throw new MuonError('FORBIDDEN', 'A project’s quota is carved by its tenant: the role OWNER on the tenant would allow it.', {
        data: { action: Action.MODIFY, kind: 'quota', id: scopeId, allowedBy: ['OWNER'] },
      });
    }
    access.require(Action.MODIFY, 'quota', above, scopeId);
  }
  if (scope.state === 'DELETING') requireActive(scope);
  return scope;
}

function meteringParameters(access: Access, query: MeteringQuery): MeteringParameters {
  const { tenantId, projectId, resourceKey, from, to } = query;
  const range = to.getTime() - from.getTime();
  if (!(range > 0)) throw invalidInput('to', 'The range must end after it begins.');
  if (range > MAX_METERING_RANGE_MS) throw invalidInput('to', 'A range has at most 400 days.');
  return [...access.filter('quota'), tenantId, projectId ?? null, resourceKey ?? null, from, to];
}
