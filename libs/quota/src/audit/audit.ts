import type { Database, Reader } from '#database';
import { ensureCounters } from '../counter/counter.sql.js';
import { findDrift, lockCountersOfKey, repairCountersOfKey, type DriftRow } from './audit.sql.js';

export interface QuotaAudit {
  /** At most `limit`; empty is what it always should be. */
  drift: DriftRow[];
  /** Whether there may be more than was read. */
  truncated: boolean;
}

const DEFAULT_LIMIT = 1000;

/**
 * Recomputes every counter from the charges in one snapshot. A reconciler calls it, shows `drift.length` as a metric and
 * logs the rows.
 */
export async function auditCounters(reader: Reader, limit = DEFAULT_LIMIT): Promise<QuotaAudit> {
  const drift = await reader.rows(findDrift, limit);
  return { drift, truncated: drift.length === limit };
}

/**
 * Sets drifted counters to what the charges sum to; an operator's decision, never done by itself.
 * @returns how many counters were changed
 */
export async function repairCounters(database: Database, drift: readonly DriftRow[]): Promise<number> {
  const groups = Map.groupBy(drift, (row) => `${row.tenant_id} ${row.resource_key}`);
  let changed = 0;
  for (const rows of groups.values()) {
    const [first] = rows;
    if (first === undefined) continue;
    changed += await database.transaction(async (transaction) => {
      await ensureCounters(transaction, rows);
      await transaction.rows(lockCountersOfKey, first.tenant_id, first.resource_key);
      return transaction.execute(repairCountersOfKey, first.tenant_id, first.resource_key);
    });
  }
  return changed;
}
