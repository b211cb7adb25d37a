import { statement } from '#database';
import type { ScopeKind, ScopeState } from '#scopes';
import { LOCK_ORDER } from '../counter/counter.sql.js';

export interface ScopeOfQuota {
  id: string;
  kind: ScopeKind;
  name: string;
  state: ScopeState;
  tenant_id: string;
  project_id: string | null;
  tenant_name: string;
  tenant_state: ScopeState;
  quota_id: string | null;
  /** 0 while no limit was ever set. */
  quota_version: number;
}

export const findScopesOfQuota = statement<ScopeOfQuota, [ids: string[]]>(
  'quota.scopes',
  `SELECT s.id, s.kind, s.name, s.state, s.tenant_id, s.project_id, t.name AS tenant_name, t.state AS tenant_state,
     q.id AS quota_id, coalesce(q.version, 0) AS quota_version
   FROM scope AS s JOIN scope AS t ON t.id = s.tenant_id LEFT JOIN quota AS q ON q.scope_id = s.id
   WHERE s.id = ANY($1)`,
);

/** Raises the version under the row's lock, so that limits of one scope change one after the other; no row: another version. */
export const raiseQuotaVersion = statement<
  { version: number },
  [id: string, scopeId: string, tenantId: string, projectId: string | null, expectedVersion: number | null]
>(
  'quota.raise',
  `INSERT INTO quota AS q (id, scope_id, tenant_id, project_id) VALUES ($1, $2, $3, $4)
   ON CONFLICT (scope_id) DO UPDATE SET version = q.version + 1
   WHERE $5::bigint IS NULL OR q.version = $5::bigint
   RETURNING version`,
);

export interface LimitRow {
  resource_key: string;
  zone_id: string;
}

export const findLimits = statement<LimitRow, [scopeId: string]>(
  'quota.limits',
  'SELECT resource_key, zone_id FROM quota_counter WHERE scope_id = $1 AND limit_amount IS NOT NULL',
);

/** A counter that did not take its new limit: a limit below use, or (with `requested`) a tenant without room for the carve. */
export interface RefusedLimit {
  scope_id: string;
  resource_key: string;
  zone_id: string;
  limit_amount: number | null;
  used_amount: number;
  requested: number | null;
}

const WANT = 'SELECT * FROM jsonb_to_recordset($2::jsonb) AS w (resource_key text, zone_id text, new_limit bigint)';

export const setTenantLimits = statement<RefusedLimit, [tenantId: string, lines: string]>(
  'quota.set_tenant_limits',
  `WITH want AS MATERIALIZED (${WANT}),
   locked AS MATERIALIZED (
     SELECT c.scope_id, c.resource_key, c.zone_id, c.used_amount, w.new_limit
     FROM want AS w JOIN quota_counter AS c
       ON c.scope_id = $1 AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
     ORDER BY ${LOCK_ORDER} FOR UPDATE OF c
   ), changed AS (
     UPDATE quota_counter AS c SET limit_amount = w.new_limit
     FROM locked AS w
     WHERE c.scope_id = $1 AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
       AND (w.new_limit IS NULL OR c.used_amount <= w.new_limit)
     RETURNING c.resource_key, c.zone_id
   )
   SELECT w.scope_id, w.resource_key, w.zone_id, w.new_limit AS limit_amount, w.used_amount, NULL::bigint AS requested
   FROM locked AS w
   WHERE NOT EXISTS (SELECT FROM changed AS c WHERE c.resource_key = w.resource_key AND c.zone_id = w.zone_id)
   ORDER BY w.resource_key, w.zone_id`,
);

/**
 * Carves: a carved key counts its whole limit at the tenant, another counts what the project uses, so the tenant's use
 * moves by the difference, in the same statement and under the project's lock. A limit that is refused moves nothing:
 * PostgreSQL checks what an update makes of the row as the statement first saw it, and the project's use, read later, may
 * be more than the tenant's was then.
 */
export const setProjectLimits = statement<RefusedLimit, [projectId: string, lines: string]>(
  'quota.set_project_limits',
  `WITH want AS MATERIALIZED (${WANT}),
   project AS MATERIALIZED (
     SELECT c.scope_id, c.tenant_id, c.resource_key, c.zone_id, c.limit_amount, c.used_amount, w.new_limit
     FROM want AS w JOIN quota_counter AS c
       ON c.scope_id = $1 AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
     ORDER BY ${LOCK_ORDER} FOR UPDATE OF c
   ), shift AS MATERIALIZED (
     SELECT tenant_id, resource_key, zone_id,
       coalesce(new_limit, used_amount) - coalesce(limit_amount, used_amount) AS amount
     FROM project
     WHERE new_limit IS NULL OR used_amount <= new_limit
   ), tenant AS MATERIALIZED (
     SELECT c.scope_id, c.resource_key, c.zone_id, c.limit_amount, c.used_amount, w.amount
     FROM shift AS w JOIN quota_counter AS c
       ON c.scope_id = w.tenant_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
     WHERE w.amount <> 0
     ORDER BY ${LOCK_ORDER} FOR UPDATE OF c
   ), carved AS (
     UPDATE quota_counter AS c SET limit_amount = w.new_limit
     FROM project AS w
     WHERE c.scope_id = w.scope_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
       AND (w.new_limit IS NULL OR c.used_amount <= w.new_limit)
     RETURNING c.resource_key, c.zone_id
   ), shifted AS (
     UPDATE quota_counter AS c SET used_amount = c.used_amount + w.amount
     FROM tenant AS w
     WHERE c.scope_id = w.scope_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
       AND (w.amount < 0 OR c.limit_amount IS NULL OR c.used_amount + w.amount <= c.limit_amount)
     RETURNING c.resource_key, c.zone_id
   )
   SELECT w.scope_id, w.resource_key, w.zone_id, w.new_limit AS limit_amount, w.used_amount, NULL::bigint AS requested
   FROM project AS w
   WHERE NOT EXISTS (SELECT FROM carved AS c WHERE c.resource_key = w.resource_key AND c.zone_id = w.zone_id)
   UNION ALL
   SELECT w.scope_id, w.resource_key, w.zone_id, w.limit_amount, w.used_amount, w.amount
   FROM tenant AS w
   WHERE NOT EXISTS (SELECT FROM shifted AS c WHERE c.resource_key = w.resource_key AND c.zone_id = w.zone_id)
   ORDER BY resource_key, zone_id`,
);

/** For plans: all counters of these scopes that have a limit or use. */
export const findCounters = statement<
  { scope_id: string; resource_key: string; zone_id: string; limit_amount: number | null; used_amount: number },
  [scopeIds: string[]]
>(
  'quota.counters',
  `SELECT scope_id, resource_key, zone_id, limit_amount, used_amount FROM quota_counter
   WHERE scope_id = ANY($1) AND (limit_amount IS NOT NULL OR used_amount > 0)`,
);

/** Removes counters and headers of a scope and all below it. */
export const removeQuotas = statement<never, [scopeId: string]>(
  'quota.remove',
  `WITH headers AS (DELETE FROM quota WHERE scope_id = $1 OR tenant_id = $1)
   DELETE FROM quota_counter WHERE scope_id = $1 OR tenant_id = $1`,
);
