import { assert } from '#core';
import { statement, type Reader, type Transaction } from '#database';
import { quotaExceeded, type CounterDelta, type CounterState } from './counter.js';

/** Every lock on counters is taken in this order: projects before tenants, then by key, zone and scope. */
export const LOCK_ORDER = 'c.resource_key, c.zone_id, c.scope_id';

type DeltaColumns = [tenantIds: string[], projectIds: (string | null)[], keys: string[], zoneIds: string[], amounts: number[]];

/** Arrays and not JSON: the planner takes them to be short, and finds the counters by their key instead of by a scan. */
const WANT = `SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
  AS w (tenant_id, project_id, resource_key, zone_id, amount)`;

function columnsOf(deltas: readonly CounterDelta[]): DeltaColumns {
  return [
    deltas.map((delta) => delta.tenant_id),
    deltas.map((delta) => delta.project_id),
    deltas.map((delta) => delta.resource_key),
    deltas.map((delta) => delta.zone_id),
    deltas.map((delta) => delta.amount),
  ];
}

const sameCounter = (counter: string, scope: string): string =>
  `${counter}.scope_id = ${scope} AND ${counter}.resource_key = w.resource_key AND ${counter}.zone_id = w.zone_id`;

/**
 * Makes counters at zero, a project's and its tenant's, in the lock order: two who make the same wait for one another
 * in one direction only.
 */
const makeCounters = statement<never, DeltaColumns>(
  'quota_counter.make',
  `WITH want AS (${WANT})
   INSERT INTO quota_counter (scope_id, resource_key, zone_id, tenant_id, project_id)
   SELECT c.scope_id, c.resource_key, c.zone_id, c.tenant_id, c.project_id
   FROM (
     SELECT project_id AS scope_id, resource_key, zone_id, tenant_id, project_id FROM want WHERE project_id IS NOT NULL
     UNION SELECT tenant_id, resource_key, zone_id, tenant_id, NULL FROM want
   ) AS c
   ORDER BY c.project_id IS NULL, ${LOCK_ORDER}
   ON CONFLICT DO NOTHING`,
);

/**
 * Adds to the projects' counters and, where a project has not carved the key, to the tenant's: who pays is read from the
 * project's counter under its lock. Returns the counters that refused, or one row without a scope when counters are
 * missing and nothing was touched; no row means that all was taken.
 */
const takeAmounts = statement<CounterState | Record<keyof CounterState, null>, DeltaColumns>(
  'quota_counter.take',
  `WITH want AS MATERIALIZED (${WANT}),
   ready AS MATERIALIZED (
     SELECT NOT EXISTS (
       SELECT FROM want AS w
       LEFT JOIN quota_counter AS p ON ${sameCounter('p', 'w.project_id')}
       LEFT JOIN quota_counter AS t ON ${sameCounter('t', 'w.tenant_id')}
       WHERE t.scope_id IS NULL OR (w.project_id IS NOT NULL AND p.scope_id IS NULL)
     ) AS yes
   ),
   project AS MATERIALIZED (
     SELECT c.scope_id, c.resource_key, c.zone_id, c.tenant_id, c.limit_amount, c.used_amount, w.amount
     FROM want AS w JOIN quota_counter AS c ON ${sameCounter('c', 'w.project_id')}
     WHERE (SELECT yes FROM ready)
     ORDER BY ${LOCK_ORDER} FOR UPDATE OF c
   ),
   tenant_want AS (
     SELECT tenant_id, resource_key, zone_id, sum(amount)::bigint AS amount FROM (
       SELECT tenant_id, resource_key, zone_id, amount FROM project WHERE limit_amount IS NULL
       UNION ALL
       SELECT tenant_id, resource_key, zone_id, amount FROM want WHERE project_id IS NULL AND (SELECT yes FROM ready)
     ) AS w
     GROUP BY tenant_id, resource_key, zone_id HAVING sum(amount) <> 0
   ),
   tenant AS MATERIALIZED (
     SELECT c.scope_id, c.resource_key, c.zone_id, c.limit_amount, c.used_amount, w.amount
     FROM tenant_want AS w JOIN quota_counter AS c ON ${sameCounter('c', 'w.tenant_id')}
     ORDER BY ${LOCK_ORDER} FOR UPDATE OF c
   ),
   locked AS MATERIALIZED (
     SELECT 0 AS level, scope_id, resource_key, zone_id, limit_amount, used_amount, amount FROM project
     UNION ALL
     SELECT 1, scope_id, resource_key, zone_id, limit_amount, used_amount, amount FROM tenant
   ),
   taken AS (
     UPDATE quota_counter AS c SET used_amount = c.used_amount + w.amount
     FROM locked AS w
     WHERE ${sameCounter('c', 'w.scope_id')}
       AND (w.amount <= 0 OR c.limit_amount IS NULL OR c.used_amount + w.amount <= c.limit_amount)
     RETURNING c.scope_id, c.resource_key, c.zone_id
   ),
   refused AS (
     SELECT w.* FROM locked AS w
     WHERE NOT EXISTS (SELECT FROM taken AS c WHERE ${sameCounter('c', 'w.scope_id')})
   )
   SELECT w.scope_id, s.name AS scope_name, s.kind AS scope_kind, w.resource_key, w.zone_id,
     w.limit_amount, w.used_amount, w.amount AS requested
   FROM refused AS w JOIN scope AS s ON s.id = w.scope_id
   UNION ALL
   SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM ready WHERE NOT yes
   ORDER BY resource_key, zone_id, scope_id`,
);

/**
 * Changes counters by guarded writes, the last locks of a transaction (DESIGN §5).
 * @throws QUOTA_EXCEEDED naming every counter that refused; the transaction must not go on after it
 */
export async function takeFromCounters(transaction: Transaction, deltas: readonly CounterDelta[]): Promise<void> {
  if (deltas.length === 0) return;
  const columns = columnsOf(deltas);
  let rows = await transaction.rows(takeAmounts, ...columns);
  if (rows.some((row) => row.scope_id === null)) {
    await transaction.execute(makeCounters, ...columns);
    rows = await transaction.rows(takeAmounts, ...columns);
    assert(rows.every((row) => row.scope_id !== null), 'counters are missing after they were made');
  }
  const [first, ...others] = rows as CounterState[];
  if (first !== undefined) throw quotaExceeded([first, ...others]);
}

/** @param lines the counters needed; their amounts do not matter. */
export async function ensureCounters(transaction: Transaction, lines: readonly Omit<CounterDelta, 'amount'>[]): Promise<void> {
  if (lines.length > 0) await transaction.execute(makeCounters, ...columnsOf(lines.map((line) => ({ ...line, amount: 0 }))));
}

/** The counters that these changes would touch, who pays included, as they stand now and without locks. */
const previewAmounts = statement<CounterState, DeltaColumns>(
  'quota_counter.preview',
  `WITH want AS MATERIALIZED (${WANT}),
   project AS MATERIALIZED (
     SELECT w.*, c.limit_amount, coalesce(c.used_amount, 0) AS used_amount
     FROM want AS w LEFT JOIN quota_counter AS c ON ${sameCounter('c', 'w.project_id')}
   ),
   tenant_want AS (
     SELECT tenant_id, resource_key, zone_id, sum(amount)::bigint AS amount FROM project
     WHERE project_id IS NULL OR limit_amount IS NULL
     GROUP BY tenant_id, resource_key, zone_id HAVING sum(amount) <> 0
   )
   SELECT w.project_id AS scope_id, s.name AS scope_name, s.kind AS scope_kind, w.resource_key, w.zone_id,
     w.limit_amount, w.used_amount, w.amount AS requested
   FROM project AS w JOIN scope AS s ON s.id = w.project_id
   UNION ALL
   SELECT w.tenant_id, s.name, s.kind, w.resource_key, w.zone_id, c.limit_amount, coalesce(c.used_amount, 0), w.amount
   FROM tenant_want AS w JOIN scope AS s ON s.id = w.tenant_id
   LEFT JOIN quota_counter AS c ON ${sameCounter('c', 'w.tenant_id')}
   ORDER BY resource_key, zone_id, scope_id`,
);

export async function previewOfCounters(reader: Reader, deltas: readonly CounterDelta[]): Promise<CounterState[]> {
  return deltas.length === 0 ? [] : reader.rows(previewAmounts, ...columnsOf(deltas));
}
