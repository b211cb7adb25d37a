import type { ErrorRecord, JsonObject, JsonValue } from '#core';
import { statement } from '#database';
import type {
  Blocker,
  ChildOutcome,
  Direction,
  FanOutRecord,
  NotRestored,
  OperationOrigin,
  OperationState,
  StepState,
} from '../operation/operation.js';

export const claimOperations = statement<
  { id: string; fence: number },
  [owner: string, handlers: string[], slots: number, leaseMs: number, backendLimit: number, backendLimits: string]
>('operation.claim', 'SELECT id, fence FROM operation_claim($1, $2, $3::int, $4::int, $5::int, $6::jsonb)');

export interface LoadedStep {
  index: number;
  name: string;
  state: StepState;
  tries: number;
  memo: JsonValue | null;
  output: JsonValue | null;
  error: ErrorRecord | null;
  /** ISO time. */
  since: string;
}

export interface LoadedOperation {
  id: string;
  kind: string;
  handler: string;
  resource_kind: string;
  resource_id: string;
  tenant_id: string | null;
  project_id: string | null;
  root_id: string;
  parent_id: string | null;
  /** Whether it holds resources itself: always possible of a root, and known of a child from its start. */
  holds_locks: boolean;
  backend_id: string | null;
  origin: OperationOrigin;
  principal_id: string | null;
  request_id: string | null;
  input: JsonObject;
  step_names: string[];
  pivot_index: number | null;
  state: OperationState;
  attempt: number;
  direction: Direction;
  step_index: number;
  pivot_passed: boolean;
  cancel_requested: boolean;
  deadline_remaining_ms: number;
  fence: number;
  fan_out: FanOutRecord | null;
  blocker: Blocker | null;
  error: ErrorRecord | null;
  not_restored: NotRestored[];
  abandonment: { reason: string } | null;
  steps: LoadedStep[];
  parent_outputs: Record<string, JsonValue>;
}

/** What a worker needs of the operations that it has just claimed. */
export const loadOperations = statement<LoadedOperation, [ids: string[], owner: string]>(
  'operation.load',
  `SELECT o.id, o.kind, o.handler, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
          o.backend_id, o.origin, o.principal_id, o.request_id, o.input, o.step_names, o.pivot_index, o.state, o.attempt,
          o.direction, o.step_index, o.pivot_passed, o.cancel_requested_at IS NOT NULL AS cancel_requested, o.fence,
          (extract(epoch FROM o.deadline_at - clock_timestamp()) * 1000)::bigint AS deadline_remaining_ms,
          o.fan_out, o.blocker, o.error, o.not_restored, o.abandonment,
          o.parent_id IS NULL OR EXISTS (SELECT FROM resource_lock AS l WHERE l.root_operation_id = o.id) AS holds_locks,
          coalesce(own.steps, '[]'::jsonb) AS steps, coalesce(up.outputs, '{}'::jsonb) AS parent_outputs
   FROM operation AS o
   LEFT JOIN LATERAL (
     SELECT jsonb_agg(jsonb_build_object('index', s.index, 'name', s.name, 'state', s.state, 'tries', s.tries, 'memo', s.memo,
                                         'output', s.output, 'error', s.error, 'since', coalesce(s.since, s.started_at))) AS steps
     FROM operation_step AS s WHERE s.operation_id = o.id AND s.attempt = o.attempt
   ) AS own ON true
   LEFT JOIN LATERAL (
     SELECT jsonb_object_agg(s.name, s.output) FILTER (WHERE s.output IS NOT NULL) AS outputs
     FROM operation_step AS s WHERE s.operation_id = o.parent_id AND s.attempt = o.parent_attempt AND s.state = 'DONE'
   ) AS up ON true
   WHERE o.id = ANY ($1) AND o.lease_owner = $2`,
);

/**
 * Renews all leases of a process at once. A row that somebody has locked just now is skipped and keeps its old end, so one
 * slow transaction cannot cost the others their leases.
 */
export const renewLeases = statement<
  { id: string; renewed: boolean; lost: boolean; cancel_requested: boolean },
  [ids: string[], fences: number[], owner: string, leaseMs: number]
>(
  'operation.renew',
  `WITH wanted AS (
     SELECT * FROM unnest($1::text[], $2::bigint[]) AS w (id, fence)
   ), mine AS (
     SELECT o.id FROM operation AS o JOIN wanted ON wanted.id = o.id AND wanted.fence = o.fence
     WHERE o.lease_owner = $3 ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
   ), renewed AS (
     UPDATE operation AS o SET lease_until = clock_timestamp() + $4::int * interval '1 millisecond'
     FROM mine WHERE o.id = mine.id RETURNING o.id
   )
   SELECT wanted.id, renewed.id IS NOT NULL AS renewed,
          (o.fence <> wanted.fence OR o.lease_owner IS DISTINCT FROM $3) AS lost,
          o.cancel_requested_at IS NOT NULL AS cancel_requested
   FROM wanted JOIN operation AS o ON o.id = wanted.id LEFT JOIN renewed ON renewed.id = wanted.id`,
);

/** Gives leases back at once, for others to take over. */
export const releaseLeases = statement<never, [ids: string[], fences: number[], owner: string]>(
  'operation.release',
  `UPDATE operation AS o SET lease_owner = NULL, lease_until = NULL, wake_at = least(o.wake_at, clock_timestamp())
   FROM unnest($1::text[], $2::bigint[]) AS w (id, fence)
   WHERE o.id = w.id AND o.fence = w.fence AND o.lease_owner = $3`,
);

/** The fence check of a transaction: no row means that the lease is lost. */
export const lockHeld = statement<{ cancel_requested: boolean }, [id: string, owner: string, fence: number]>(
  'operation.lock_held',
  `SELECT cancel_requested_at IS NOT NULL AS cancel_requested FROM operation
   WHERE id = $1 AND lease_owner = $2 AND fence = $3 FOR UPDATE`,
);

export const lockOperation = statement<{ id: string }, [id: string]>(
  'operation.lock',
  'SELECT id FROM operation WHERE id = $1 FOR UPDATE',
);

/** A step's row as it shall be after a move. */
export interface StepPatch {
  index: number;
  name: string;
  state: StepState;
  tries: number;
  memo: JsonValue;
  output: JsonValue;
  error: ErrorRecord | null;
  /** Begins now: its run, or its undo. */
  begins: boolean;
  ends: boolean;
}

/** The moving parts of an operation's row as they shall be. */
export interface MovePatch {
  state: OperationState;
  direction: Direction;
  step_index: number;
  steps_done: number;
  pivot_passed: boolean;
  pending_children: number;
  fan_out: FanOutRecord | null;
  blocker: Blocker | null;
  error: ErrorRecord | null;
  leftovers: JsonValue;
  /** All of it, not only what is new. */
  not_restored: NotRestored[];
  wake_signal: string | null;
  /** Gives up the lease. */
  release: boolean;
  /** From now; null: only when somebody wakes it. Only with `release`. */
  wake_after_ms: number | null;
  ended: boolean;
  /** Refuses when a cancel was asked for that the move does not know of. */
  heed_cancel: boolean;
  lease_ms: number;
  steps: StepPatch[];
}

/**
 * A step's outcome, the next step's start, the operation's new place and its lease, in one statement under the fence.
 * No row: the lease is lost, or a cancel is to be heeded.
 */
export const moveOperation = statement<
  { attempt: number },
  [id: string, owner: string, fence: number, patch: string]
>(
  'operation.move',
  `WITH patch AS (
     SELECT * FROM jsonb_to_record($4::jsonb) AS p (
       state text, direction text, step_index int, steps_done int, pivot_passed boolean, pending_children int, fan_out jsonb,
       blocker jsonb, error jsonb, leftovers jsonb, not_restored jsonb, wake_signal text, release boolean, wake_after_ms bigint, ended boolean,
       heed_cancel boolean, lease_ms int, steps jsonb)
   ), moved AS (
     UPDATE operation AS o SET
       state = p.state, direction = p.direction, step_index = p.step_index, steps_done = p.steps_done,
       pivot_passed = p.pivot_passed, pending_children = p.pending_children, fan_out = p.fan_out, blocker = p.blocker,
       error = p.error, not_restored = p.not_restored, wake_signal = p.wake_signal,
       abandonment = CASE WHEN p.leftovers IS NULL THEN o.abandonment
                          ELSE o.abandonment || jsonb_build_object('leftovers', p.leftovers) END,
       ended_at = CASE WHEN p.ended THEN clock_timestamp() END,
       lease_owner = CASE WHEN p.release THEN NULL ELSE o.lease_owner END,
       lease_until = CASE WHEN p.release THEN NULL ELSE clock_timestamp() + p.lease_ms * interval '1 millisecond' END,
       wake_at = CASE WHEN p.release THEN clock_timestamp() + p.wake_after_ms * interval '1 millisecond' ELSE o.wake_at END
     FROM patch AS p
     WHERE o.id = $1 AND o.lease_owner = $2 AND o.fence = $3 AND NOT (p.heed_cancel AND o.cancel_requested_at IS NOT NULL)
     RETURNING o.id, o.attempt
   ), steps AS (
     INSERT INTO operation_step (operation_id, attempt, index, name, state, tries, memo, output, error, started_at, since, ended_at)
     SELECT moved.id, moved.attempt, s.index, s.name, s.state, s.tries, s.memo, s.output, s.error, clock_timestamp(),
            CASE WHEN s.begins THEN clock_timestamp() END, CASE WHEN s.ends THEN clock_timestamp() END
     FROM moved, patch, jsonb_to_recordset(patch.steps) AS s (
       index int, name text, state text, tries int, memo jsonb, output jsonb, error jsonb, begins boolean, ends boolean)
     ON CONFLICT (operation_id, attempt, index) DO UPDATE SET
       state = EXCLUDED.state, tries = EXCLUDED.tries, memo = EXCLUDED.memo, output = EXCLUDED.output, error = EXCLUDED.error,
       since = coalesce(EXCLUDED.since, operation_step.since), ended_at = coalesce(EXCLUDED.ended_at, operation_step.ended_at)
   )
   SELECT attempt FROM moved`,
);

/** Why a move found no row. */
export const whoHolds = statement<{ mine: boolean; cancel_requested: boolean }, [id: string, owner: string, fence: number]>(
  'operation.who_holds',
  `SELECT lease_owner IS NOT DISTINCT FROM $2 AND fence = $3 AS mine, cancel_requested_at IS NOT NULL AS cancel_requested
   FROM operation WHERE id = $1`,
);

/** The parent is locked already. The time that its children took does not count against its own deadline. */
export const countChildEnd = statement<
  { pending_children: number; fan_out: FanOutRecord | null },
  [parentId: string]
>(
  'operation.child_ended',
  `UPDATE operation SET
     pending_children = pending_children - 1,
     wake_at = CASE WHEN pending_children = 1 THEN clock_timestamp() ELSE wake_at END,
     deadline_at = CASE WHEN pending_children = 1
                        THEN deadline_at + (clock_timestamp() - (fan_out ->> 'since')::timestamptz) ELSE deadline_at END
   WHERE id = $1
   RETURNING pending_children, fan_out`,
);

/** How many of a fan-out's children may still succeed or have. */
export const countHopefulChildren = statement<{ hopeful: number }, [childId: string]>(
  'operation.hopeful_children',
  `SELECT count(*) FILTER (WHERE c.state NOT IN ('FAILED', 'CANCELLED')) AS hopeful
   FROM operation AS self
   JOIN operation AS c ON c.parent_id = self.parent_id AND c.parent_attempt = self.parent_attempt
     AND c.parent_step = self.parent_step AND c.compensates_id IS NULL
   WHERE self.id = $1`,
);

export const readUnfinishedSiblings = statement<{ id: string }, [childId: string]>(
  'operation.unfinished_siblings',
  `SELECT c.id FROM operation AS self
   JOIN operation AS c ON c.parent_id = self.parent_id AND c.parent_attempt = self.parent_attempt
     AND c.parent_step = self.parent_step AND c.compensates_id IS NULL
   WHERE self.id = $1 AND c.ended_at IS NULL ORDER BY c.id`,
);

export interface ChildRow extends Omit<ChildOutcome, 'resourceKind' | 'resourceId'> {
  resource_kind: string;
  resource_id: string;
  compensates_id: string | null;
}

/** A fan-out's children as they ended, the first failures first. */
export const readChildren = statement<
  ChildRow,
  [parentId: string, attempt: number, step: number, compensating: boolean]
>(
  'operation.children',
  `SELECT c.id, c.kind, c.resource_kind, c.resource_id, c.input, c.state, c.error, c.compensates_id,
          coalesce(s.outputs, '{}'::jsonb) AS outputs
   FROM operation AS c
   LEFT JOIN LATERAL (
     SELECT jsonb_object_agg(s.name, s.output) FILTER (WHERE s.output IS NOT NULL) AS outputs
     FROM operation_step AS s WHERE s.operation_id = c.id AND s.attempt = c.attempt AND s.state = 'DONE'
   ) AS s ON true
   WHERE c.parent_id = $1 AND c.parent_attempt = $2 AND c.parent_step = $3 AND (c.compensates_id IS NOT NULL) = $4
   ORDER BY c.ended_at, c.id`,
);

/** Children that succeeded and that no succeeded sibling has taken back. */
export const readUncompensated = statement<ChildRow, [parentId: string, attempt: number, step: number]>(
  'operation.uncompensated',
  `SELECT c.id, c.kind, c.resource_kind, c.resource_id, c.input, c.state, c.error, c.compensates_id,
          coalesce(s.outputs, '{}'::jsonb) AS outputs
   FROM operation AS c
   LEFT JOIN LATERAL (
     SELECT jsonb_object_agg(s.name, s.output) FILTER (WHERE s.output IS NOT NULL) AS outputs
     FROM operation_step AS s WHERE s.operation_id = c.id AND s.attempt = c.attempt AND s.state = 'DONE'
   ) AS s ON true
   WHERE c.parent_id = $1 AND c.parent_attempt = $2 AND c.parent_step = $3
     AND c.compensates_id IS NULL AND c.state = 'SUCCEEDED'
     AND NOT EXISTS (
       SELECT FROM operation AS back
       WHERE back.parent_id = c.parent_id AND back.compensates_id = c.id AND back.state = 'SUCCEEDED')
   ORDER BY c.id`,
);

/** Unfinished operations that none of these handlers serves. */
export const readUnserved = statement<{ handler: string; count: number }, [handlers: string[]]>(
  'operation.unserved',
  `SELECT handler, count(*) AS count FROM operation
   WHERE ended_at IS NULL AND handler <> ALL ($1) GROUP BY handler ORDER BY handler LIMIT 100`,
);
