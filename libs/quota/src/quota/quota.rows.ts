import type { ErrorRecord } from '#core';
import type { PlanReason, RowChange } from '#database';
import { quotaExceeded } from '../counter/counter.js';
import { counterName, quotaId, type QuotaLine } from './quota.js';

/** A line with its place in the input. */
type Line = QuotaLine & { field: string };

/** A tenant that is being made, with its first project if there is one. */
export interface NewScopeQuota {
  tenantId: string;
  tenantName: string;
  lines: readonly Line[];
  project?: { id: string; name: string; lines: readonly Line[] };
}

/**
 * The quota of scopes that the same change set makes. Nobody can have used or carved anything there, so its rows are
 * known without locks: the counters are inserted as they shall be.
 */
export function newQuotaRows(quota: NewScopeQuota): { rows: RowChange[]; reasons: PlanReason[]; problems: ErrorRecord[] } {
  const { tenantId, tenantName, project } = quota;
  const carves = new Map(project?.lines.map((line) => [counterName(line), line]));
  const limits = new Map(quota.lines.map((line) => [counterName(line), line]));
  const problems: ErrorRecord[] = [];
  for (const [name, carve] of carves) {
    const limit = limits.get(name)?.limit;
    if (limit === undefined || carve.limit <= limit) continue;
    const state = { scope_id: tenantId, scope_name: tenantName, scope_kind: 'TENANT' as const, limit_amount: limit, used_amount: 0 };
    const asked = { resource_key: carve.resourceKey, zone_id: carve.zoneId ?? '', requested: carve.limit };
    problems.push(quotaExceeded([{ ...state, ...asked }], carve.field).toRecord());
  }
  const tenantCounters = [...new Map([...carves, ...limits]).entries()].map(([name, line]) =>
    counterRow(tenantId, null, line, limits.get(name)?.limit ?? null, carves.get(name)?.limit ?? 0),
  );
  const projectCounters = (project?.lines ?? []).map((line) => counterRow(tenantId, project?.id ?? null, line, line.limit, 0));
  return {
    rows: [
      ...(quota.lines.length === 0 ? [] : [headerRow(tenantId, null)]),
      ...(project === undefined || project.lines.length === 0 ? [] : [headerRow(tenantId, project.id)]),
      ...projectCounters,
      ...tenantCounters,
    ],
    reasons: [
      ...quota.lines.map((line) => reason(tenantName, line)),
      ...(project?.lines ?? []).map((line) => reason(project?.name ?? '', line)),
    ],
    problems,
  };
}

function headerRow(tenantId: string, projectId: string | null): RowChange {
  return {
    table: 'quota',
    insert: { id: quotaId.create(), scope_id: projectId ?? tenantId, tenant_id: tenantId, project_id: projectId },
  };
}

function counterRow(tenantId: string, projectId: string | null, line: QuotaLine, limit: number | null, used: number): RowChange {
  return {
    table: 'quota_counter',
    insert: {
      scope_id: projectId ?? tenantId,
      resource_key: line.resourceKey,
      zone_id: line.zoneId ?? '',
      tenant_id: tenantId,
      project_id: projectId,
      limit_amount: limit,
      used_amount: used,
    },
  };
}

function reason(scopeName: string, line: QuotaLine): PlanReason {
  const where = line.zoneId === null ? '' : ` in zone ${line.zoneId}`;
  return { subject: 'quota', message: `${line.resourceKey}${where} of "${scopeName}": ${line.limit}` };
}
