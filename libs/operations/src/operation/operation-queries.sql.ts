import type { ErrorRecord, JsonValue } from '#core';
import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { Blocker, Direction, Leftover, NotRestored, OperationOrigin, OperationState, StepState } from './operation.js';

/** An operation as it may be shown. */
export interface OperationRow {
  id: string;
  kind: string;
  kind_version: number;
  resource_kind: string;
  resource_id: string;
  tenant_id: string | null;
  project_id: string | null;
  root_id: string;
  parent_id: string | null;
  origin: OperationOrigin;
  principal_id: string | null;
  request_id: string | null;
  state: OperationState;
  attempt: number;
  direction: Direction;
  step_index: number;
  step_names: string[];
  steps_done: number;
  pivot_passed: boolean;
  pending_children: number;
  cancel_requested_at: Date | null;
  cancel_requested_by: string | null;
  /** When it is looked at next, while it waits for a time. */
  wake_at: Date | null;
  deadline_at: Date | null;
  blocker: Blocker | null;
  error: ErrorRecord | null;
  not_restored: NotRestored[];
  abandonment: { at: string; by: string | null; reason: string; leftovers?: Leftover[] } | null;
  queued_at: Date;
  started_at: Date | null;
  ended_at: Date | null;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = `o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
  o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
  o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
  o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at`;

export const findOperations = statement<OperationRow, [ids: string[]]>(
  'operation.find',
  `SELECT ${COLUMNS} FROM operation AS o WHERE o.id = ANY ($1)`,
);

export interface OperationStepRow {
  operation_id: string;
  attempt: number;
  index: number;
  name: string;
  state: StepState;
  tries: number;
  output: JsonValue | null;
  error: ErrorRecord | null;
  started_at: Date;
  ended_at: Date | null;
}

/** Steps of all attempts, in order; what has not begun has no row yet (its name is in the operation's `step_names`). */
export const findOperationSteps = statement<OperationStepRow, [operationIds: string[]]>(
  'operation.find_steps',
  `SELECT operation_id, attempt, index, name, state, tries, output, error, started_at, ended_at
   FROM operation_step WHERE operation_id = ANY ($1) ORDER BY operation_id, attempt, index`,
);

export interface OperationAttemptRow {
  operation_id: string;
  attempt: number;
  state: OperationState;
  error: ErrorRecord | null;
  principal_id: string | null;
  queued_at: Date;
  started_at: Date | null;
  ended_at: Date;
}

/** Attempts before the present one. */
export const findOperationAttempts = statement<OperationAttemptRow, [operationIds: string[]]>(
  'operation.find_attempts',
  `SELECT operation_id, attempt, state, error, principal_id, queued_at, started_at, ended_at
   FROM operation_attempt WHERE operation_id = ANY ($1) ORDER BY operation_id, attempt`,
);

/** The newest operation of each resource, its present one if it has any. */
export const findLatestOperations = statement<OperationRow, [resourceIds: string[]]>(
  'operation.find_latest',
  `SELECT ${COLUMNS} FROM unnest($1::text[]) AS r (id) CROSS JOIN LATERAL (
     SELECT l.* FROM operation AS l WHERE l.resource_id = r.id ORDER BY l.id DESC LIMIT 1
   ) AS o`,
);

/** The operation that holds each resource now, where there is one. */
export const findHoldingOperations = statement<OperationRow & { held_resource_id: string }, [resourceIds: string[]]>(
  'operation.find_holding',
  `SELECT l.resource_id AS held_resource_id, ${COLUMNS} FROM resource_lock AS l JOIN operation AS o ON o.id = l.operation_id
   WHERE l.resource_id = ANY ($1)`,
);

type ListParameters = [
  all: boolean,
  tenantIds: string[],
  projectIds: string[],
  tenantId: string | null,
  projectId: string | null,
  resourceId: string | null,
  kind: string | null,
  states: string[] | null,
  withChildren: boolean,
  parentId: string | null,
];

/** Ids sort by the time of making. */
const ORDERS = {
  NEWEST: { column: 'id', direction: 'DESC', type: 'text' },
  OLDEST: { column: 'id', direction: 'ASC', type: 'text' },
} as const;
export type OperationOrder = keyof typeof ORDERS;

/** Operations that the caller may see. Parameters: `access.filter`, then the filters, each null for any. */
export const operations = keysetList<OperationRow, ListParameters>(
  'operation.list',
  `SELECT ${COLUMNS} FROM operation AS o
   WHERE ${visible('o', 1)}
     AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
     AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
     AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
     AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))`,
  10,
  ORDERS,
);

type Visible = [all: boolean, tenantIds: string[], projectIds: string[]];

/**
 * Of each parent the first children that the caller may see, as `operations` lists them with that parent by OLDEST, and how
 * many there are in all.
 */
export const findVisibleChildren = statement<OperationRow & { siblings: number }, [...Visible, parentIds: string[], limit: number]>(
  'operation.visible_children',
  `SELECT ${COLUMNS}, o.siblings FROM operation AS parent CROSS JOIN LATERAL (
     SELECT c.*, count(*) OVER () AS siblings FROM operation AS c
     WHERE c.parent_id = parent.id AND c.parent_attempt = parent.attempt AND ${visible('c', 1)}
     ORDER BY c.id LIMIT $5::int
   ) AS o
   WHERE parent.id = ANY ($4) ORDER BY o.parent_id, o.id`,
);

export interface FailedChildRow {
  id: string;
  resource_id: string;
  error: ErrorRecord | null;
  /** Given up by an operator. */
  abandoned: boolean;
}

/** Of a parent's children that work on these resources the latest that has failed, one each where there is one. */
export const findFailedChildren = statement<FailedChildRow, [parentId: string, resourceIds: string[]]>(
  'operation.failed_children',
  `SELECT DISTINCT ON (c.resource_id) c.id, c.resource_id, c.error, c.abandonment IS NOT NULL AS abandoned FROM operation AS c
   WHERE c.parent_id = $1 AND c.resource_id = ANY ($2) AND c.state = 'FAILED' ORDER BY c.resource_id, c.id DESC`,
);

export interface ProgressRow {
  id: string;
  steps_done: number;
  steps_known: number;
  /** 0 to 1. */
  fraction: number;
}

/**
 * Steps done of steps known, with those of all children that exist so far; and how much of the whole that is. Children
 * weigh together as much as the step that waits for them, so that the fraction does not fall when they come to be known.
 * What a whole goes on without, or has made anew, is none of its steps any more.
 */
export const readProgress = statement<ProgressRow, [ids: string[]]>(
  'operation.progress',
  `WITH RECURSIVE tree AS (
     SELECT o.id AS top, o.id, o.attempt, o.step_index, o.steps_done, cardinality(o.step_names) AS known, 1::float8 AS weight
     FROM operation AS o WHERE o.id = ANY ($1)
     UNION ALL
     SELECT tree.top, c.id, c.attempt, c.step_index, c.steps_done, cardinality(c.step_names),
       CASE WHEN c.parent_step = tree.step_index
         THEN tree.weight / tree.known / count(*) OVER (PARTITION BY tree.top, c.parent_id, c.parent_step) ELSE 0 END
     FROM tree JOIN operation AS c ON c.parent_id = tree.id AND c.parent_attempt = tree.attempt AND c.compensates_id IS NULL
       AND c.state NOT IN ('FAILED', 'CANCELLED')
   )
   SELECT top AS id, sum(steps_done)::int AS steps_done, sum(known)::int AS steps_known,
     sum(weight * steps_done / greatest(known, 1)) AS fraction
   FROM tree GROUP BY top`,
);

export interface BlockerRow {
  /** The operation that was asked about. */
  top_id: string;
  operation_id: string;
  kind: string;
  resource_kind: string;
  resource_id: string;
  tenant_id: string | null;
  project_id: string | null;
  state: OperationState;
  blocker: Blocker;
  top_kind: string;
  top_resource_id: string;
}

const MAX_BLOCKERS = 20;

/**
 * What these operations wait for, walked down to the root causes: through children and, where one stands in line, to the
 * operation before it.
 */
export const readBlockers = statement<BlockerRow, [ids: string[]]>(
  'operation.blockers',
  `WITH RECURSIVE tree AS (
     SELECT o.id AS top, o.id, 0 AS depth FROM operation AS o WHERE o.id = ANY ($1)
     UNION
     SELECT tree.top, next.id, tree.depth + 1 FROM tree CROSS JOIN LATERAL (
       SELECT c.id FROM operation AS c WHERE c.parent_id = tree.id AND c.ended_at IS NULL
       UNION ALL
       SELECT l.root_operation_id FROM resource_lock AS l WHERE l.successor_operation_id = tree.id
     ) AS next WHERE tree.depth < 12
   ), ranked AS (
     SELECT tree.top, o.*, row_number() OVER (PARTITION BY tree.top ORDER BY o.blocker ->> 'since', o.id) AS place
     FROM tree JOIN operation AS o ON o.id = tree.id
     WHERE o.blocker IS NOT NULL AND o.ended_at IS NULL
       AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.successor_operation_id = o.id)
   )
   SELECT r.top AS top_id, r.id AS operation_id, r.kind, r.resource_kind, r.resource_id, r.tenant_id, r.project_id, r.state, r.blocker,
     asked.kind AS top_kind, asked.resource_id AS top_resource_id
   FROM ranked AS r JOIN operation AS asked ON asked.id = r.top WHERE r.place <= ${MAX_BLOCKERS} ORDER BY r.top, r.place`,
);

export interface HeldRow {
  id: string;
  kind: string;
  resource_id: string;
  state: OperationState;
  blocker: Blocker;
}

/**
 * Operations of a tenant or project that do not go on, with their reasons: what is STUCK first, then what waits longest. Not
 * those that only stand in line for others, nor the one that asks.
 */
export const findHeldOfScope = statement<HeldRow, [tenantId: string, projectId: string | null, exceptId: string, limit: number]>(
  'operation.held_of_scope',
  `SELECT id, kind, resource_id, state, blocker FROM operation
   WHERE ended_at IS NULL AND blocker IS NOT NULL AND tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND id <> $3
     AND (state = 'STUCK' OR blocker->>'code' <> 'RESOURCE_BUSY')
   ORDER BY (state = 'STUCK') DESC, blocker->>'since', id LIMIT $4::int`,
);

/** For whoever may not see the operation that is in the way: that there is one, told as if of their own. */
export function withoutStranger(row: BlockerRow): BlockerRow {
  return {
    ...row,
    operation_id: row.top_id,
    kind: row.top_kind,
    resource_id: row.top_resource_id,
    blocker: { code: 'RESOURCE_BUSY', message: 'Work of the operators is under way on it.', fault: 'OPERATOR', since: row.blocker.since },
  };
}

/** How long the steps of these kinds took in their last successes, in ms. */
export const readStepTimes = statement<{ kind: string; name: string; ms: number }, [kinds: string[]]>(
  'operation.step_times',
  `SELECT k.kind, s.name, (avg(extract(epoch FROM s.ended_at - s.started_at)) * 1000)::float8 AS ms
   FROM unnest($1::text[]) AS k (kind) CROSS JOIN LATERAL (
     SELECT o.id, o.attempt FROM operation AS o WHERE o.kind = k.kind AND o.state = 'SUCCEEDED' ORDER BY o.ended_at DESC LIMIT 50
   ) AS past
   JOIN operation_step AS s ON s.operation_id = past.id AND s.attempt = past.attempt AND s.state = 'DONE' AND s.ended_at IS NOT NULL
   GROUP BY k.kind, s.name`,
);

export interface OperationCount {
  kind: string;
  state: OperationState;
  count: number;
}

/** Unfinished operations by kind and state. */
export const countUnfinished = statement<OperationCount>(
  'operation.count_unfinished',
  `SELECT kind, state, count(*) AS count FROM operation WHERE ended_at IS NULL GROUP BY kind, state ORDER BY kind, state`,
);

/** How long the oldest operation has been ready without a worker on it, in seconds, and how many are. */
export const readQueueAge = statement<{ age_seconds: number; ready: number }>(
  'operation.queue_age',
  `SELECT coalesce(extract(epoch FROM clock_timestamp() - min(wake_at)), 0)::float8 AS age_seconds, count(*) AS ready
   FROM operation WHERE wake_at <= clock_timestamp() AND lease_owner IS NULL`,
);

