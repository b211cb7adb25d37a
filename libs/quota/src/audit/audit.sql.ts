import { statement } from '#database';

export interface DriftRow {
  scope_id: string;
  tenant_id: string;
  project_id: string | null;
  resource_key: string;
  zone_id: string;
  /** What the counter says. */
  recorded: number;
  /** What the charges sum to. */
  expected: number;
}

/**
 * What every counter must be: a project's, the sum of its charges; a tenant's, the limits of the projects that carve, the
 * use of those that do not, and what has no project. Each charge counts for all zones and, if it is in one, for that.
 * @param filter a condition on charges and counters (alias `x`)
 */
const expectedCounters = (filter: string): string => `charged AS MATERIALIZED (
    SELECT x.tenant_id, x.project_id, x.resource_key, zone.id AS zone_id, sum(x.amount) AS amount
    FROM quota_charge AS x CROSS JOIN LATERAL (SELECT '' COLLATE "C" AS id UNION SELECT x.zone_id) AS zone
    WHERE ${filter}
    GROUP BY 1, 2, 3, 4
  ), counter AS MATERIALIZED (SELECT x.* FROM quota_counter AS x WHERE ${filter}),
  project AS MATERIALIZED (
    SELECT coalesce(c.tenant_id, p.tenant_id) AS tenant_id, coalesce(c.project_id, p.project_id) AS project_id,
      coalesce(c.resource_key, p.resource_key) AS resource_key, coalesce(c.zone_id, p.zone_id) AS zone_id,
      coalesce(c.amount, 0) AS amount, p.limit_amount
    FROM (SELECT * FROM charged WHERE project_id IS NOT NULL) AS c
    FULL JOIN (SELECT * FROM counter WHERE project_id IS NOT NULL) AS p
      ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = c.zone_id
  ), expected AS MATERIALIZED (
    SELECT project_id AS scope_id, tenant_id, project_id, resource_key, zone_id, amount FROM project
    UNION ALL
    SELECT tenant_id, tenant_id, NULL, resource_key, zone_id, sum(amount) FROM (
      SELECT tenant_id, resource_key, zone_id, coalesce(limit_amount, amount) AS amount FROM project
      UNION ALL SELECT tenant_id, resource_key, zone_id, amount FROM charged WHERE project_id IS NULL
    ) AS parts GROUP BY tenant_id, resource_key, zone_id
  )`;

/** One statement, one snapshot: a mutation changes charges and counters together, so what differs here has really drifted. */
export const findDrift = statement<DriftRow, [limit: number]>(
  'quota_audit.drift',
  `WITH ${expectedCounters('true')}
   SELECT coalesce(e.scope_id, c.scope_id) AS scope_id, coalesce(e.tenant_id, c.tenant_id) AS tenant_id,
     coalesce(e.project_id, c.project_id) AS project_id, coalesce(e.resource_key, c.resource_key) AS resource_key,
     coalesce(e.zone_id, c.zone_id) AS zone_id, coalesce(c.used_amount, 0) AS recorded, coalesce(e.amount, 0)::bigint AS expected
   FROM expected AS e FULL JOIN counter AS c
     ON c.scope_id = e.scope_id AND c.resource_key = e.resource_key AND c.zone_id = e.zone_id
   WHERE coalesce(c.used_amount, 0) <> coalesce(e.amount, 0)
   ORDER BY tenant_id, resource_key, zone_id, project_id NULLS LAST LIMIT $1::int`,
);

/** Every counter of a tenant's key, in the lock order: nobody pays or carves until the repair has committed. */
export const lockCountersOfKey = statement<unknown, [tenantId: string, resourceKey: string]>(
  'quota_audit.lock',
  `SELECT c.scope_id FROM quota_counter AS c WHERE c.tenant_id = $1 AND c.resource_key = $2
   ORDER BY c.project_id IS NULL, c.resource_key, c.zone_id, c.scope_id FOR UPDATE`,
);

export const repairCountersOfKey = statement<never, [tenantId: string, resourceKey: string]>(
  'quota_audit.repair',
  `WITH ${expectedCounters('x.tenant_id = $1 AND x.resource_key = $2')},
   wrong AS (
     SELECT c.scope_id, c.zone_id, coalesce(e.amount, 0)::bigint AS amount
     FROM counter AS c LEFT JOIN expected AS e ON e.scope_id = c.scope_id AND e.zone_id = c.zone_id
     WHERE c.used_amount <> coalesce(e.amount, 0)
   )
   UPDATE quota_counter AS c SET used_amount = wrong.amount FROM wrong
   WHERE c.scope_id = wrong.scope_id AND c.resource_key = $2 AND c.zone_id = wrong.zone_id`,
);
