import { statement } from '#database';
import type { BackendEvent } from '#drivers';

/** What the functions of the world answer to a call. */
export interface Answer {
  value?: unknown;
  changed?: boolean;
  /** Accepted, and done after this time. */
  pendingMs?: number;
  error?: string;
  message?: string;
  detail?: string | null;
  /** The kind of fault that acts on this call. */
  fault?: string;
  /** Work is due: settle it, then ask again. */
  settle?: boolean;
}

export const answerCall = statement<
  { answer: Answer },
  [backendId: string, method: string, ids: readonly string[], objectId: string, key: string, arguments_: string, mode: string]
>('simulation.answer_call', `SELECT answer_call($1, $2, $3, $4, $5, $6, $7) AS answer`);

export const settleWork = statement<{ settled: number }, [backendId: string, limit: number]>(
  'simulation.settle',
  `SELECT settle($1, $2) AS settled`,
);

export const latestEvent = statement<{ latest: number }>(
  'simulation.latest_event',
  `SELECT coalesce(max(id), 0)::float8 AS latest FROM event`,
);

export const eventsAfter = statement<
  { latest: number; events: BackendEvent[] },
  [backendId: string, after: number]
>(
  'simulation.events_after',
  `WITH latest AS (SELECT coalesce(max(id), 0) AS id FROM event)
   SELECT latest.id::float8 AS latest,
     coalesce(
       jsonb_agg(DISTINCT jsonb_build_object('kind', e.kind, 'id', e.object_id)) FILTER (WHERE e.id IS NOT NULL), '[]'
     ) AS events
   FROM latest LEFT JOIN event e ON e.backend_id = $1 AND e.id > $2 AND e.id <= latest.id
   GROUP BY latest.id`,
);

export const forgetAttempts = statement(
  'simulation.forget_attempts',
  `DELETE FROM attempt WHERE last_at < now() - interval '1 day'`,
);
