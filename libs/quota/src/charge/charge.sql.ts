import { statement } from '#database';
import type { CounterDelta } from '../counter/counter.js';

export interface ChargeRow {
  resource_id: string;
  resource_key: string;
  resource_kind: string;
  tenant_id: string;
  project_id: string | null;
  zone_id: string;
  amount: number;
}

/** A charge as it is written, with the id of its metering record. */
export interface WrittenCharge extends ChargeRow {
  metering_id: string;
}

const INPUT = `SELECT * FROM jsonb_to_recordset($1::jsonb) AS i (resource_id text, resource_key text, resource_kind text,
  tenant_id text, project_id text, zone_id text, amount bigint, metering_id text)`;
const COLUMNS = 'resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount';
const SUMS = (source: string): string =>
  `SELECT tenant_id, project_id, resource_key, zone_id, sum(amount)::bigint AS amount FROM ${source} GROUP BY 1, 2, 3, 4`;

/** Writes what is not charged yet and returns the sums of that alone. */
export const insertCharges = statement<CounterDelta, [charges: string]>(
  'quota_charge.insert',
  `WITH input AS (${INPUT}),
   made AS (
     INSERT INTO quota_charge (${COLUMNS}, metering_id, charged_at)
     SELECT ${COLUMNS}, metering_id, clock_timestamp() FROM input ORDER BY resource_id COLLATE "C", resource_key COLLATE "C"
     ON CONFLICT (resource_id, resource_key) DO NOTHING
     RETURNING ${COLUMNS}
   )
   ${SUMS('made')}`,
);

/** Removes what is charged for these resources, closes its metering and returns the sums. */
export const removeCharges = statement<CounterDelta, [resourceIds: string[]]>(
  'quota_charge.remove',
  `WITH going AS MATERIALIZED (
     SELECT resource_id, resource_key FROM quota_charge WHERE resource_id = ANY($1)
     ORDER BY resource_id, resource_key FOR UPDATE
   ), gone AS (
     DELETE FROM quota_charge AS c USING going AS g
     WHERE c.resource_id = g.resource_id AND c.resource_key = g.resource_key
     RETURNING c.*
   ), closed AS (
     INSERT INTO metering_record (id, ${COLUMNS}, from_at, to_at)
     SELECT metering_id, ${COLUMNS}, charged_at, greatest(charged_at, clock_timestamp()) FROM gone
   )
   ${SUMS('gone')}`,
);

export const findCharges = statement<ChargeRow, [resourceIds: string[]]>(
  'quota_charge.find',
  `SELECT ${COLUMNS} FROM quota_charge WHERE resource_id = ANY($1) ORDER BY resource_id, resource_key`,
);

/** What is charged in a tenant, or in one of its projects. */
export const chargesOfScope = statement<ChargeRow, [tenantId: string, projectId: string | null, limit: number]>(
  'quota_charge.of_scope',
  `SELECT ${COLUMNS} FROM quota_charge WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)
   ORDER BY resource_id, resource_key LIMIT $3::int`,
);

export const countChargesOfScope = statement<{ count: number }, [tenantId: string, projectId: string | null]>(
  'quota_charge.count_of_scope',
  'SELECT count(*) AS count FROM quota_charge WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)',
);

export const lockCharges = statement<ChargeRow, [resourceIds: string[]]>(
  'quota_charge.lock',
  `SELECT ${COLUMNS} FROM quota_charge WHERE resource_id = ANY($1) ORDER BY resource_id, resource_key FOR UPDATE`,
);

/** A charge as it shall be; an amount of 0 removes it. */
export interface RewrittenCharge extends WrittenCharge {
  /** Whether it is one of the locked ones. */
  exists: boolean;
}

/**
 * Gives locked charges new amounts or zones, removes those at zero and makes new ones; what each was before becomes a
 * metering record. Returns how many were written: fewer than given when another has made one of the new ones at the same
 * time.
 */
export const rewriteCharges = statement<{ written: number }, [charges: string]>(
  'quota_charge.rewrite',
  `WITH input AS MATERIALIZED (${INPUT.replace('metering_id text', 'metering_id text, exists boolean')}),
   stamp AS MATERIALIZED (SELECT clock_timestamp() AS at),
   closed AS (
     INSERT INTO metering_record (id, ${COLUMNS}, from_at, to_at)
     SELECT c.metering_id, ${COLUMNS.split(', ')
       .map((column) => `c.${column}`)
       .join(', ')}, c.charged_at, greatest(c.charged_at, stamp.at)
     FROM stamp, input AS i JOIN quota_charge AS c ON c.resource_id = i.resource_id AND c.resource_key = i.resource_key
     WHERE i.exists
   ), gone AS (
     DELETE FROM quota_charge AS c USING input AS i
     WHERE i.exists AND i.amount = 0 AND c.resource_id = i.resource_id AND c.resource_key = i.resource_key
     RETURNING 1
   ), changed AS (
     UPDATE quota_charge AS c SET amount = i.amount, zone_id = i.zone_id, metering_id = i.metering_id,
       charged_at = greatest(c.charged_at, stamp.at)
     FROM stamp, input AS i
     WHERE i.exists AND i.amount > 0 AND c.resource_id = i.resource_id AND c.resource_key = i.resource_key
     RETURNING 1
   ), made AS (
     INSERT INTO quota_charge (${COLUMNS}, metering_id, charged_at)
     SELECT ${COLUMNS}, metering_id, stamp.at FROM stamp, input WHERE NOT exists
     ON CONFLICT (resource_id, resource_key) DO NOTHING
     RETURNING 1
   )
   SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM changed) + (SELECT count(*) FROM made) AS written`,
);
