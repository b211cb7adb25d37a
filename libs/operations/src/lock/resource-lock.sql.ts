import { statement } from '#database';

/** Takes what is free or already the root's own. What is missing in the answer is somebody else's. */
export const takeLocks = statement<{ resource_id: string }, [resourceIds: string[], operationIds: string[]]>(
  'resource_lock.take',
  `INSERT INTO resource_lock (resource_id, operation_id, root_operation_id)
   SELECT w.resource_id, w.operation_id, w.operation_id FROM unnest($1::text[], $2::text[]) AS w (resource_id, operation_id)
   ORDER BY w.resource_id
   ON CONFLICT (resource_id) DO UPDATE SET operation_id = EXCLUDED.operation_id
     WHERE resource_lock.root_operation_id = EXCLUDED.root_operation_id
   RETURNING resource_id`,
);

/** Takes what is free, and stands in line for the rest unless somebody else already does. */
export const takeOrSucceedLocks = statement<
  { resource_id: string; holder_id: string | null },
  [resourceIds: string[], operationIds: string[]]
>(
  'resource_lock.take_or_succeed',
  `INSERT INTO resource_lock (resource_id, operation_id, root_operation_id)
   SELECT w.resource_id, w.operation_id, w.operation_id FROM unnest($1::text[], $2::text[]) AS w (resource_id, operation_id)
   ORDER BY w.resource_id
   ON CONFLICT (resource_id) DO UPDATE SET
     successor_operation_id = CASE WHEN resource_lock.root_operation_id = EXCLUDED.root_operation_id
                                   THEN resource_lock.successor_operation_id ELSE EXCLUDED.operation_id END
     WHERE resource_lock.root_operation_id = EXCLUDED.root_operation_id
        OR coalesce(resource_lock.successor_operation_id, EXCLUDED.operation_id) = EXCLUDED.operation_id
   RETURNING resource_id, CASE WHEN successor_operation_id IS NOT NULL THEN root_operation_id END AS holder_id`,
);

export interface LockHolder {
  resource_id: string;
  operation_id: string;
  root_operation_id: string;
  kind: string;
  state: string;
  successor_operation_id: string | null;
}

/** Who has these resources now. */
export const readHolders = statement<LockHolder, [resourceIds: string[]]>(
  'resource_lock.holders',
  `SELECT l.resource_id, l.operation_id, l.root_operation_id, o.kind, o.state, l.successor_operation_id
   FROM resource_lock AS l JOIN operation AS o ON o.id = l.root_operation_id
   WHERE l.resource_id = ANY ($1) ORDER BY l.resource_id`,
);

/** Whom these operations are queued behind, one each. */
export const readAwaited = statement<
  { successor_operation_id: string; resource_id: string; holder_id: string; holder_kind: string; holder_state: string },
  [operationIds: string[]]
>(
  'resource_lock.awaited',
  `SELECT DISTINCT ON (l.successor_operation_id) l.successor_operation_id, l.resource_id, o.id AS holder_id,
          o.kind AS holder_kind, o.state AS holder_state
   FROM resource_lock AS l JOIN operation AS o ON o.id = l.root_operation_id
   WHERE l.successor_operation_id = ANY ($1) ORDER BY l.successor_operation_id, l.resource_id`,
);

/**
 * The first half of a root's end: drops what nobody waits for, and its own places in line; names who waits for the rest.
 */
export const dropLocks = statement<{ successor_operation_id: string }, [rootId: string]>(
  'resource_lock.drop',
  `WITH dropped AS (
     DELETE FROM resource_lock WHERE root_operation_id = $1 AND successor_operation_id IS NULL
   ), withdrawn AS (
     UPDATE resource_lock SET successor_operation_id = NULL WHERE successor_operation_id = $1
   )
   SELECT DISTINCT successor_operation_id FROM resource_lock
   WHERE root_operation_id = $1 AND successor_operation_id IS NOT NULL
   ORDER BY successor_operation_id`,
);

/** The second half, with the successors' rows locked: what is still waited for goes to them, the rest is dropped. */
export const handOverLocks = statement<never, [rootId: string]>(
  'resource_lock.hand_over',
  `WITH dropped AS (
     DELETE FROM resource_lock WHERE root_operation_id = $1 AND successor_operation_id IS NULL
   )
   UPDATE resource_lock SET operation_id = successor_operation_id, root_operation_id = successor_operation_id,
     successor_operation_id = NULL
   WHERE root_operation_id = $1 AND successor_operation_id IS NOT NULL`,
);

/** Wakes those of the successors that now have all they asked for. */
export const wakeSuccessors = statement<{ id: string }, [ids: string[]]>(
  'resource_lock.wake_successors',
  `UPDATE operation AS o SET wake_at = clock_timestamp(), blocker = NULL
   WHERE o.id = ANY ($1) AND o.state = 'QUEUED' AND o.wake_at IS NULL
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.successor_operation_id = o.id)
   RETURNING o.id`,
);

export const lockOperations = statement<{ id: string }, [ids: string[]]>(
  'operation.lock_many',
  'SELECT id FROM operation WHERE id = ANY ($1) ORDER BY id FOR UPDATE',
);
