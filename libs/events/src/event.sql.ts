import { statement } from '#database';

export const EventChange = { CREATED: 'CREATED', UPDATED: 'UPDATED', DELETED: 'DELETED' } as const;
export type EventChange = (typeof EventChange)[keyof typeof EventChange];

/** One change of one resource. `revision` is the resource's after the change. */
export interface EventRow {
  sequence: number;
  transaction_id: number;
  /** The resource's id prefix, as `vm`. */
  kind: string;
  resource_id: string;
  tenant_id: string | null;
  project_id: string | null;
  change: EventChange;
  revision: number;
  at: Date;
}

/**
 * Only events of transactions that are older than every running one: what commits later always sorts after what was
 * delivered, so no reader can miss a slow transaction.
 */
export const readEvents = statement<EventRow, [transactionId: number, sequence: number, limit: number]>(
  'event.read',
  `SELECT sequence, transaction_id, kind, resource_id, tenant_id, project_id, change, revision, at
   FROM event
   WHERE (transaction_id, sequence) > ($1::bigint, $2::bigint)
     AND transaction_id < (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint
   ORDER BY transaction_id, sequence
   LIMIT $3::int`,
);

/** The place in the log that a list read now rests on: everything before it is in the list. */
export const readHead = statement<{ epoch: string; head: number; pruned_transaction_id: number }>(
  'event.head',
  `SELECT epoch, (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint - 1 AS head, pruned_transaction_id FROM event_log`,
);

/**
 * A new epoch where transaction ids mean something else than those of the log: in another PostgreSQL cluster, and on
 * another timeline, which a recovery to a point in time and a promoted standby begin.
 */
export const renewEpoch = statement<{ epoch: string }, [anyway: boolean]>(
  'event.renew_epoch',
  `UPDATE event_log SET
     epoch = left(md5(random()::text || clock_timestamp()::text), 12),
     system_identifier = history.identifier,
     pruned_transaction_id = 0
   FROM (
     SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS identifier FROM pg_control_system()
   ) AS history
   WHERE $1::boolean OR event_log.system_identifier <> history.identifier
   RETURNING epoch`,
);

/** Of an epoch that has ended: no cursor leads to them, and their transaction ids could still lie ahead. */
export const forgetEvents = statement('event.forget', 'TRUNCATE event');

/** Deletes a bounded batch of what is older than the retention, and remembers how far it went. */
export const pruneEvents = statement<{ removed: number }, [olderThan: Date, limit: number]>(
  'event.prune',
  `WITH gone AS (
     DELETE FROM event WHERE sequence IN (
       SELECT sequence FROM event WHERE at < $1 ORDER BY transaction_id, sequence LIMIT $2::int
     ) RETURNING transaction_id
   ), mark AS (
     UPDATE event_log SET pruned_transaction_id = greatest(pruned_transaction_id, (SELECT max(transaction_id) FROM gone))
     WHERE EXISTS (SELECT FROM gone)
   )
   SELECT count(*) AS removed FROM gone`,
);
