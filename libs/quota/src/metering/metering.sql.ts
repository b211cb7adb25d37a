import { keysetList, statement } from '#database';
import { visible } from '#identity';

export interface MeteringRow {
  id: string;
  resource_id: string;
  resource_kind: string;
  resource_key: string;
  tenant_id: string;
  project_id: string | null;
  zone_id: string;
  amount: number;
  from_at: Date;
  /** Null while the resource still holds it. */
  to_at: Date | null;
}

export type MeteringParameters = [
  all: boolean,
  tenantIds: string[],
  projectIds: string[],
  tenantId: string,
  projectId: string | null,
  resourceKey: string | null,
  from: Date,
  to: Date,
];

const SCOPE = (alias: string): string => `${visible(alias, 1)} AND ${alias}.tenant_id = $4::text
  AND ($5::text IS NULL OR ${alias}.project_id = $5::text) AND ($6::text IS NULL OR ${alias}.resource_key = $6::text)`;

/** Closed records, and the charges as the open ones. */
const RECORDS = `SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
  FROM metering_record AS m WHERE ${SCOPE('m')} AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
  UNION ALL
  SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
  FROM quota_charge AS c WHERE ${SCOPE('c')} AND c.charged_at < $8::timestamptz`;

/** Records that overlap the time from `from` (inclusive) to `to`. */
export const meteringRecords = keysetList<MeteringRow, MeteringParameters>(
  'metering.list',
  RECORDS,
  8,
  {
    OLDEST: { column: 'from_at', direction: 'ASC', type: 'timestamptz' },
    NEWEST: { column: 'from_at', direction: 'DESC', type: 'timestamptz' },
  },
);

export interface MeteringTotalRow {
  project_id: string | null;
  resource_key: string;
  zone_id: string;
  /** Amount times hours, counted within the range and up to now. */
  amount_hours: number;
}

export const MAX_METERING_TOTALS = 1000;

export const meteringTotals = statement<MeteringTotalRow, MeteringParameters>(
  'metering.totals',
  `SELECT m.project_id, m.resource_key, m.zone_id,
     (sum(m.amount * greatest(0, extract(epoch FROM
       least(coalesce(m.to_at, now()), $8::timestamptz, now()) - greatest(m.from_at, $7::timestamptz)))) / 3600)::float8 AS amount_hours
   FROM (${RECORDS}) AS m
   GROUP BY 1, 2, 3 ORDER BY 1 NULLS FIRST, 2, 3 LIMIT ${MAX_METERING_TOTALS}`,
);
