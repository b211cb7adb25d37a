import { keysetList, statement } from '#database';

export interface UsageRow {
  scope_id: string;
  resource_key: string;
  zone_id: string;
  /** Null: unlimited at a tenant; at a project not carved, so that it draws on the tenant. */
  limit_amount: number | null;
  used_amount: number;
  /** Of a tenant's use: the limits of the projects that carve. */
  carved_amount: number;
  /** The tenant's own, for a project that does not carve the key; else null. */
  tenant_limit: number | null;
  tenant_used: number | null;
}

/** A scope has as many lines as keys and zones are in use; more than this is not shown. */
export const MAX_USAGE_LINES = 1000;

/**
 * What each scope may use and uses: its own counters and, for a project, the tenant's limits that it would meet before
 * it has used anything.
 */
export const findUsage = statement<UsageRow, [scopeIds: string[]]>(
  'quota.usage',
  `SELECT * FROM (
     SELECT s.id AS scope_id, n.resource_key, n.zone_id, c.limit_amount, coalesce(c.used_amount, 0) AS used_amount,
       CASE WHEN s.kind = 'TENANT' THEN coalesce((
         SELECT sum(p.limit_amount)::bigint FROM quota_counter AS p
         WHERE p.tenant_id = s.id AND p.project_id IS NOT NULL AND p.resource_key = n.resource_key AND p.zone_id = n.zone_id), 0)
       ELSE 0 END AS carved_amount,
       CASE WHEN s.kind = 'PROJECT' AND c.limit_amount IS NULL THEN t.limit_amount END AS tenant_limit,
       CASE WHEN s.kind = 'PROJECT' AND c.limit_amount IS NULL THEN t.used_amount END AS tenant_used,
       row_number() OVER (PARTITION BY s.id ORDER BY n.resource_key, n.zone_id) AS line
     FROM scope AS s
     JOIN LATERAL (
       SELECT resource_key, zone_id FROM quota_counter
       WHERE scope_id = s.id AND (limit_amount IS NOT NULL OR used_amount > 0)
       UNION SELECT resource_key, zone_id FROM quota_counter WHERE scope_id = s.tenant_id AND limit_amount IS NOT NULL
     ) AS n ON true
     LEFT JOIN quota_counter AS c ON c.scope_id = s.id AND c.resource_key = n.resource_key AND c.zone_id = n.zone_id
     LEFT JOIN quota_counter AS t ON t.scope_id = s.tenant_id AND t.resource_key = n.resource_key AND t.zone_id = n.zone_id
     WHERE s.id = ANY($1)
   ) AS lines
   WHERE line <= ${MAX_USAGE_LINES}
   ORDER BY scope_id, resource_key, zone_id`,
);

/** A part of a counter's use: a resource's charge or, at a tenant, what a project has carved. */
export interface UsageEntryRow {
  /** The resource's or the project's id. */
  id: string;
  source: 'CHARGE' | 'CARVE';
  resource_kind: string;
  project_id: string | null;
  zone_id: string;
  amount: number;
  /** Since when it is charged; null for a carve. */
  since: Date | null;
}

type EntryParameters = [tenantId: string, projectId: string | null, resourceKey: string, zoneId: string];

/** The rows behind one counter: their amounts sum to its use. */
export const usageEntries = keysetList<UsageEntryRow, EntryParameters>(
  'quota.usage_entries',
  `SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
   FROM quota_charge AS c
   LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
   WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
     AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
   UNION ALL
   SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
   FROM quota_counter AS p
   WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
     AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0`,
  4,
  {
    ID: { column: 'id', direction: 'ASC', type: 'text' },
    LARGEST: { column: 'amount', direction: 'DESC', type: 'bigint' },
  },
);
