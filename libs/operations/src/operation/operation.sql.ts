import type { ErrorRecord, JsonObject } from '#core';
import { statement } from '#database';
import type { OperationView } from '../kind/operation-kind.js';
import type { Direction, OperationState } from './operation.js';

/** What decides whether an operation may be cancelled, retried or abandoned; locked for as long as that takes. */
export interface OperationForCommand {
  id: string;
  kind: string;
  handler: string;
  state: OperationState;
  direction: Direction;
  attempt: number;
  parent_id: string | null;
  root_id: string;
  tenant_id: string | null;
  project_id: string | null;
  pivot_passed: boolean;
  pivot_index: number | null;
  step_names: string[];
  error: ErrorRecord | null;
  abandonment: JsonObject | null;
}

const COMMAND_COLUMNS = `id, kind, handler, state, direction, attempt, parent_id, root_id, tenant_id, project_id, pivot_passed,
  pivot_index, step_names, error, abandonment`;

export const readForCommand = statement<OperationForCommand, [id: string]>(
  'operation.for_command',
  `SELECT ${COMMAND_COLUMNS} FROM operation WHERE id = $1`,
);

/** What a kind's `readmit` is told of the operation. */
export const readForRetry = statement<Omit<OperationView<JsonObject>, 'attempt'>, [id: string]>(
  'operation.for_retry',
  `SELECT id, kind, input, resource_kind AS "resourceKind", resource_id AS "resourceId", tenant_id AS "tenantId",
          project_id AS "projectId", root_id AS "rootId", parent_id AS "parentId", backend_id AS "backendId", origin,
          principal_id AS "principalId", request_id AS "requestId"
   FROM operation WHERE id = $1`,
);

export const lockForCommand = statement<OperationForCommand, [id: string]>(
  'operation.lock_for_command',
  `SELECT ${COMMAND_COLUMNS} FROM operation WHERE id = $1 FOR UPDATE`,
);

/**
 * Asks these operations and all below them to cancel, parents before children; what is past its pivot, going back
 * already or itself a compensation is left alone. What sleeps is woken, unless it waits for children.
 */
export const requestCancel = statement<{ id: string }, [ids: string[], by: string | null]>(
  'operation.request_cancel',
  `WITH RECURSIVE tree AS (
     SELECT id FROM operation WHERE id = ANY ($1)
     UNION
     SELECT c.id FROM tree JOIN operation AS c ON c.parent_id = tree.id
     WHERE c.ended_at IS NULL AND c.compensates_id IS NULL
   ), locked AS (
     SELECT o.id FROM operation AS o
     WHERE o.id IN (SELECT id FROM tree) AND o.ended_at IS NULL ORDER BY o.id FOR UPDATE
   )
   UPDATE operation AS o SET
     cancel_requested_at = clock_timestamp(), cancel_requested_by = $2,
     wake_at = CASE WHEN o.lease_owner IS NOT NULL OR o.pending_children > 0 THEN o.wake_at
                    ELSE least(o.wake_at, clock_timestamp()) END
   FROM locked
   WHERE o.id = locked.id AND o.cancel_requested_at IS NULL AND NOT o.pivot_passed AND o.direction = 'FORWARD'
     AND o.state IN ('QUEUED', 'RUNNING', 'WAITING')
   RETURNING o.id`,
);

/** A STUCK operation goes on where it is. */
export const resumeOperation = statement<{ id: string }, [id: string]>(
  'operation.resume',
  `UPDATE operation SET
     state = CASE direction WHEN 'UNDO' THEN 'UNDOING' ELSE 'WAITING' END,
     blocker = NULL, wake_at = clock_timestamp()
   WHERE id = $1 AND state = 'STUCK' RETURNING id`,
);

/** A STUCK operation shall end as it is; a worker commits the end. */
export const abandonOperation = statement<{ id: string }, [id: string, by: string | null, reason: string]>(
  'operation.abandon',
  `UPDATE operation SET
     abandonment = jsonb_build_object('at', clock_timestamp(), 'by', $2::text, 'reason', $3::text),
     wake_at = clock_timestamp()
   WHERE id = $1 AND state = 'STUCK' RETURNING id`,
);

/** The next attempt of a failed operation, from the first step that is not done; the last one is kept for reading. */
export const startAttempt = statement<
  { id: string },
  [id: string, attempt: number, principalId: string | null, requestId: string | null]
>(
  'operation.start_attempt',
  `WITH failed AS (
     SELECT * FROM operation WHERE id = $1 AND attempt = $2 AND state = 'FAILED' FOR UPDATE
   ), kept AS (
     INSERT INTO operation_attempt (operation_id, attempt, state, error, principal_id, queued_at, started_at, ended_at)
     SELECT id, attempt, state, error, principal_id, queued_at, started_at, ended_at FROM failed
   ), done AS (
     SELECT s.* FROM failed JOIN operation_step AS s ON s.operation_id = failed.id AND s.attempt = failed.attempt
     WHERE s.state = 'DONE' AND s.index < (
       SELECT coalesce(min(n.index), 0) FROM generate_series(0, cardinality(failed.step_names)) AS n (index)
       WHERE NOT EXISTS (SELECT FROM operation_step AS d WHERE d.operation_id = failed.id AND d.attempt = failed.attempt
                         AND d.index = n.index AND d.state = 'DONE'))
   ), copied AS (
     INSERT INTO operation_step (operation_id, attempt, index, name, state, tries, output, started_at, since, ended_at)
     SELECT operation_id, attempt + 1, index, name, state, tries, output, started_at, since, ended_at FROM done
   )
   UPDATE operation AS o SET
     attempt = o.attempt + 1, state = 'QUEUED', direction = 'FORWARD', turn = 1,
     step_index = (SELECT count(*) FROM done), steps_done = (SELECT count(*) FROM done),
     pivot_passed = false, cancel_requested_at = NULL, cancel_requested_by = NULL, fan_out = NULL, blocker = NULL, error = NULL,
     not_restored = '[]', abandonment = NULL, deadline_at = NULL, started_at = NULL, ended_at = NULL,
     queued_at = clock_timestamp(), wake_at = clock_timestamp(),
     principal_id = $3, request_id = $4
   FROM failed WHERE o.id = failed.id RETURNING o.id`,
);

/**
 * Deletes a bounded batch of old histories, oldest first: roots with all below them. The newest operation of a resource
 * stays, however old: it says how the resource came to be as it is.
 */
export const pruneHistories = statement<{ removed: number }, [endedBefore: Date, limit: number]>(
  'operation.prune',
  `WITH RECURSIVE tree AS (
     (SELECT o.id FROM operation AS o
      WHERE o.parent_id IS NULL AND o.ended_at < $1
        AND EXISTS (SELECT FROM operation AS n WHERE n.resource_id = o.resource_id AND n.id > o.id AND n.parent_id IS NULL)
      ORDER BY o.id LIMIT $2::int)
     UNION ALL
     SELECT c.id FROM tree JOIN operation AS c ON c.parent_id = tree.id
   ), steps AS (
     DELETE FROM operation_step USING tree WHERE operation_step.operation_id = tree.id
   ), attempts AS (
     DELETE FROM operation_attempt USING tree WHERE operation_attempt.operation_id = tree.id
   ), gone AS (
     DELETE FROM operation USING tree WHERE operation.id = tree.id RETURNING operation.parent_id
   )
   SELECT count(*) FILTER (WHERE parent_id IS NULL) AS removed FROM gone`,
);

/** Wakes what waits for this signal. */
export const wakeBySignal = statement<{ id: string }, [signals: string[]]>(
  'operation.signal',
  `UPDATE operation SET wake_at = least(wake_at, clock_timestamp()), wake_signal = NULL
   WHERE wake_signal = ANY ($1) AND lease_owner IS NULL AND wake_at IS NOT NULL RETURNING id`,
);
