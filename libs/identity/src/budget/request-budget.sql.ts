import { statement } from '#database';

export const WINDOW_SECONDS = 60;

export interface LeaseRow {
  /** What this lease came to; 0 when nothing is left. */
  granted: number;
  /** What all processes have leased of this window. */
  leased: number;
  /** Until the window ends, by PostgreSQL's clock. */
  left_ms: number;
}

/**
 * Leases a part of what a subject may cost in this minute, at most what is left: the row is the guard, so all leases of a
 * window never come to more than the budget. One who waited for the row while the minute ended counts in the new one.
 */
export const leaseBudget = statement<LeaseRow, [subject: string, wanted: number, budget: number]>(
  'budget.lease',
  `INSERT INTO request_budget AS b (subject, window_start, budget, leased, last_lease)
   VALUES ($1, to_timestamp(floor(extract(epoch FROM clock_timestamp()) / ${WINDOW_SECONDS}) * ${WINDOW_SECONDS}),
     $3::bigint, least($2::bigint, $3::bigint), least($2::bigint, $3::bigint))
   ON CONFLICT (subject) DO UPDATE SET
     window_start = greatest(b.window_start, excluded.window_start),
     budget = excluded.budget,
     last_lease = CASE WHEN b.window_start >= excluded.window_start
       THEN greatest(0, least(excluded.last_lease, excluded.budget - b.leased)) ELSE excluded.last_lease END,
     leased = CASE WHEN b.window_start >= excluded.window_start
       THEN greatest(b.leased, least(b.leased + excluded.leased, excluded.budget)) ELSE excluded.leased END
   RETURNING last_lease AS granted, leased,
     greatest(0, extract(epoch FROM window_start + interval '${WINDOW_SECONDS} seconds' - clock_timestamp()) * 1000)::int AS left_ms`,
);

/** A bounded batch of subjects that have not been heard of for an hour. */
export const pruneBudgets = statement<never, [limit: number]>(
  'budget.prune',
  `DELETE FROM request_budget WHERE subject IN (
     SELECT subject FROM request_budget WHERE window_start < now() - interval '1 hour' LIMIT $1::int)`,
);
