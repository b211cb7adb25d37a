import { statement } from '#database';

/**
 * Takes a lease that nobody has and that is due; one whose holder has let it run out is due at once. No row: somebody has
 * it, or it is not due. While it is held it is due at infinity, so that a nudge in the meantime can be told.
 */
export const takeLease = statement<
  { fence: number; failures: number },
  [name: string, owner: string, leaseMs: number]
>(
  'lease.take',
  `INSERT INTO lease (name, owner, fence, until, due_at)
   VALUES ($1, $2, 1, clock_timestamp() + $3::int * interval '1 millisecond', 'infinity')
   ON CONFLICT (name) DO UPDATE SET owner = EXCLUDED.owner, fence = lease.fence + 1, until = EXCLUDED.until, due_at = 'infinity'
     WHERE (lease.until IS NULL OR lease.until <= clock_timestamp())
       AND (lease.due_at <= clock_timestamp() OR lease.owner IS NOT NULL)
   RETURNING fence, failures`,
);

/** Renews all of a process at once; what is missing in the answer is lost. */
export const renewNamedLeases = statement<
  { name: string; fence: number },
  [names: string[], fences: number[], owner: string, leaseMs: number]
>(
  'lease.renew',
  `UPDATE lease SET until = clock_timestamp() + $4::int * interval '1 millisecond'
   FROM unnest($1::text[], $2::bigint[]) AS w (name, fence)
   WHERE lease.name = w.name AND lease.fence = w.fence AND lease.owner = $3
   RETURNING lease.name, lease.fence`,
);

/** Gives a lease back, and says when it may be taken again: at once, if it was nudged meanwhile. */
export const releaseLease = statement<
  never,
  [name: string, fence: number, owner: string, dueInMs: number, failed: boolean]
>(
  'lease.release',
  `UPDATE lease SET owner = NULL, until = NULL,
     due_at = least(due_at, clock_timestamp() + $4::bigint * interval '1 millisecond'),
     failures = CASE WHEN $5 THEN failures + 1 ELSE 0 END
   WHERE name = $1 AND fence = $2 AND owner = $3`,
);

/** Which of these names could be taken now. */
export const freeLeases = statement<{ name: string }, [names: string[]]>(
  'lease.free',
  `SELECT w.name FROM unnest($1::text[]) AS w (name) LEFT JOIN lease ON lease.name = w.name
   WHERE lease.name IS NULL
      OR ((lease.until IS NULL OR lease.until <= clock_timestamp())
          AND (lease.due_at <= clock_timestamp() OR lease.owner IS NOT NULL))
   ORDER BY w.name`,
);

/** Makes these due now. A run under way does not see what has just changed, so one more follows it. */
export const nudgeLeases = statement<{ name: string }, [names: string[]]>(
  'lease.nudge',
  `INSERT INTO lease (name) SELECT unnest($1::text[]) ORDER BY 1
   ON CONFLICT (name) DO UPDATE SET due_at = clock_timestamp()
   RETURNING name`,
);

/** Whether a lease is still the caller's. */
export const holdsLease = statement<{ name: string }, [name: string, fence: number, owner: string]>(
  'lease.holds',
  'SELECT name FROM lease WHERE name = $1 AND fence = $2 AND owner = $3 AND until > clock_timestamp()',
);

/** Forgets leases of what is gone: keepers of backends that no longer exist. */
export const dropLeases = statement<never, [prefix: string, keep: string[]]>(
  'lease.drop',
  `DELETE FROM lease WHERE starts_with(name, $1) AND name <> ALL ($2)
     AND coalesce(until, due_at) < clock_timestamp() - interval '1 day'`,
);
