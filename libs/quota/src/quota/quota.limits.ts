import { assert, type MuonError } from '#core';
import { ChangeSet, versionConflict, type Reader, type Transaction } from '#database';
import { countChargesOfScope } from '../charge/charge.sql.js';
import { quotaExceeded, type CounterState } from '../counter/counter.js';
import { ensureCounters } from '../counter/counter.sql.js';
import { belowUsage, counterName, QUOTA_LIMITS, type LimitChange } from './quota.js';
import {
  findCounters,
  findLimits,
  raiseQuotaVersion,
  removeQuotas,
  setProjectLimits,
  setTenantLimits,
  type RefusedLimit,
} from './quota.sql.js';

type LimitLine = LimitChange['lines'][number];

/** Tenants before projects; then by scope, so that two change sets meet in one order. */
function inOrder(changes: readonly LimitChange[]): LimitChange[] {
  const key = (change: LimitChange): string => `${change.projectId === null ? 0 : 1} ${change.scopeId}`;
  return [...changes].sort((one, other) => (key(one) < key(other) ? -1 : 1));
}

/** Handles the section `QUOTA_LIMITS`. */
export async function applyLimitChanges(transaction: Transaction, changes: readonly LimitChange[]): Promise<void> {
  for (const change of inOrder(changes)) await applyLimitChange(transaction, change);
}

async function applyLimitChange(transaction: Transaction, change: LimitChange): Promise<void> {
  const { scopeId, tenantId, projectId, expectedVersion } = change;
  const raised = await transaction.first(raiseQuotaVersion, change.quotaId, scopeId, tenantId, projectId, expectedVersion);
  const found = raised === undefined ? undefined : raised.version - 1;
  if (found === undefined || (expectedVersion !== null && found !== expectedVersion)) {
    throw versionConflict('quota', { id: scopeId, version: expectedVersion ?? 0 });
  }
  const lines = [...change.lines];
  if (change.replace) lines.push(...unnamed(change, await transaction.rows(findLimits, scopeId)));
  await ensureCounters(
    transaction,
    lines.flatMap((line) =>
      line.limit === null
        ? []
        : [{ tenant_id: tenantId, project_id: projectId, resource_key: line.resourceKey, zone_id: line.zoneId ?? '' }],
    ),
  );
  const text = JSON.stringify(
    lines.map((line) => ({ resource_key: line.resourceKey, zone_id: line.zoneId ?? '', new_limit: line.limit })),
  );
  const set = projectId === null ? setTenantLimits : setProjectLimits;
  const [first, ...others] = await transaction.rows(set, scopeId, text);
  if (first !== undefined) throw refusal(change, [first, ...others]);
}

/** The limits that a replacement takes away. */
function unnamed(change: LimitChange, limits: readonly { resource_key: string; zone_id: string }[]): LimitLine[] {
  const named = new Set(change.lines.map(counterName));
  return limits
    .map((row) => ({ resourceKey: row.resource_key, zoneId: row.zone_id === '' ? null : row.zone_id, limit: null, field: 'input.lines' }))
    .filter((line) => !named.has(counterName(line)));
}

function refusal(change: LimitChange, [first, ...others]: readonly [RefusedLimit, ...RefusedLimit[]]): MuonError {
  const lineOf = (row: RefusedLimit): LimitLine | undefined =>
    change.lines.find((line) => line.resourceKey === row.resource_key && (line.zoneId ?? '') === row.zone_id);
  const low = [first, ...others].find((row) => row.requested === null);
  if (low !== undefined) {
    const line = lineOf(low);
    assert(line !== undefined && line.limit !== null, 'a limit was refused that nobody asked for');
    return belowUsage({ ...line, limit: line.limit }, change.scopeName, low.used_amount);
  }
  const state = (row: RefusedLimit): CounterState => ({
    ...row,
    scope_name: change.tenantName,
    scope_kind: 'TENANT',
    requested: row.requested ?? 0,
  });
  return quotaExceeded([state(first), ...others.map(state)], lineOf(first)?.field);
}

interface Simulated {
  limit: number | null;
  used: number;
}

/**
 * A plan's part for new limits: the section, what changes for people, and the problems that applying it now would meet.
 * Scopes that the same change set makes are found empty.
 */
export async function planLimitChanges(reader: Reader, changes: readonly LimitChange[]): Promise<ChangeSet> {
  const plan = new ChangeSet();
  const scopeIds = [...new Set(changes.flatMap((change) => [change.scopeId, change.tenantId]))];
  const counters = new Map<string, Simulated>();
  const at = (scopeId: string, name: string): Simulated => {
    const key = `${scopeId} ${name}`;
    const found = counters.get(key) ?? { limit: null, used: 0 };
    counters.set(key, found);
    return found;
  };
  const rows = await reader.rows(findCounters, scopeIds);
  for (const row of rows) {
    Object.assign(at(row.scope_id, `${row.resource_key} ${row.zone_id}`), { limit: row.limit_amount, used: row.used_amount });
  }
  for (const change of inOrder(changes)) {
    const limits = rows.filter((row) => row.scope_id === change.scopeId && row.limit_amount !== null);
    const lines = [...change.lines, ...(change.replace ? unnamed(change, limits) : [])];
    for (const line of lines) {
      const own = at(change.scopeId, counterName(line));
      if (own.limit !== line.limit) plan.reasons.push(lineReason(change, line, own));
      const problem =
        line.limit !== null && line.limit < own.used
          ? belowUsage({ ...line, limit: line.limit }, change.scopeName, own.used)
          : carve(change, line, own, at(change.tenantId, counterName(line)));
      if (problem !== undefined) plan.problems.push(problem.toRecord());
      own.limit = line.limit;
    }
  }
  if (plan.reasons.length > 0 || changes.some((change) => change.expectedVersion !== null)) plan.add(QUOTA_LIMITS, ...changes);
  return plan;
}

/** Moves the simulated tenant's use by what the project's new limit takes or gives back. */
function carve(change: LimitChange, line: LimitLine, own: Simulated, tenant: Simulated): MuonError | undefined {
  if (change.projectId === null) return undefined;
  const requested = (line.limit ?? own.used) - (own.limit ?? own.used);
  const refused = requested > 0 && tenant.limit !== null && tenant.used + requested > tenant.limit;
  const state: CounterState = {
    scope_id: change.tenantId,
    scope_name: change.tenantName,
    scope_kind: 'TENANT',
    resource_key: line.resourceKey,
    zone_id: line.zoneId ?? '',
    limit_amount: tenant.limit,
    used_amount: tenant.used,
    requested,
  };
  tenant.used += requested;
  return refused ? quotaExceeded([state], line.field) : undefined;
}

function lineReason(change: LimitChange, line: LimitLine, before: Simulated): { subject: string; message: string } {
  const where = line.zoneId === null ? '' : ` in zone ${line.zoneId}`;
  const text = (limit: number | null): string => (limit === null ? 'no limit' : String(limit));
  return {
    subject: 'quota',
    message: `${line.resourceKey}${where} of "${change.scopeName}": ${text(before.limit)} → ${text(line.limit)} (${before.used} used)`,
  };
}

/**
 * Takes away the limits and counters of a scope that is going, a tenant's with those of its projects; metering stays. A
 * project's carve goes back to its tenant.
 * @throws INTERNAL while anything in the scope is still charged
 */
export async function removeQuotaOf(transaction: Transaction, scope: { tenantId: string; projectId: string | null }): Promise<void> {
  const id = scope.projectId ?? scope.tenantId;
  if (scope.projectId !== null) {
    const limits = await transaction.rows(findLimits, id);
    const text = JSON.stringify(limits.map((row) => ({ ...row, new_limit: null })));
    const refused = await transaction.rows(setProjectLimits, id, text);
    assert(refused.length === 0, `the carve of ${id} could not be given back`);
  }
  const charged = await transaction.first(countChargesOfScope, scope.tenantId, scope.projectId);
  assert(charged?.count === 0, `${id} still uses quota`);
  await transaction.execute(removeQuotas, id);
}
