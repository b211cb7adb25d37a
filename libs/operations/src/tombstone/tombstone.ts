import { MuonError } from '#core';
import { statement, type Transaction } from '#database';

/** A backend object that must be gone. */
export interface Tombstone {
  backendId: string;
  /** The backend's kind of thing, as `machine`, `disk`, `port`. */
  objectKind: string;
  objectId: string;
  /** `deleted`, `undone`, or one of `RETURNING`: for people, and for the brake of the sweep. */
  reason: string;
}

/** Of what was made anew elsewhere: when its host returns, much of that is to go at once, and that is no mistake. */
export const RECREATED = 'recreated';

/** Of what was still there, out of reach on a host that was down, when it was to be gone already. */
export const LEFT_BEHIND = 'left behind';

/** What a host brings back when it returns. */
export const RETURNING: readonly string[] = [RECREATED, LEFT_BEHIND];

export interface TombstoneRow {
  backend_id: string;
  object_kind: string;
  object_id: string;
  reason: string;
  created_at: Date;
  settled_at: Date | null;
  /** The operation that is deleting the object just now. */
  sweep_operation_id: string | null;
}

type TombstoneKey = Pick<Tombstone, 'backendId' | 'objectKind' | 'objectId'>;

const COLUMNS = 'backend_id, object_kind, object_id, reason, created_at, settled_at, sweep_operation_id';

const insertTombstones = statement<never, [items: string]>(
  'tombstone.insert',
  `INSERT INTO tombstone (backend_id, object_kind, object_id, reason)
   SELECT DISTINCT ON (1, 2, 3) "backendId", "objectKind", "objectId", reason
   FROM jsonb_to_recordset($1::jsonb) AS t ("backendId" text, "objectKind" text, "objectId" text, reason text)
   ORDER BY 1, 2, 3
   ON CONFLICT (backend_id, object_kind, object_id) DO UPDATE SET reason = EXCLUDED.reason, settled_at = NULL`,
);

/** Those under the sweep are left and returned. */
const deleteTombstones = statement<{ object_id: string }, [backendIds: string[], kinds: string[], ids: string[]]>(
  'tombstone.delete',
  `WITH wanted AS (
     SELECT t.backend_id, t.object_kind, t.object_id, t.sweep_operation_id
     FROM tombstone AS t JOIN unnest($1::text[], $2::text[], $3::text[]) AS w (backend_id, object_kind, object_id)
       ON t.backend_id = w.backend_id AND t.object_kind = w.object_kind AND t.object_id = w.object_id
     ORDER BY t.backend_id, t.object_kind, t.object_id FOR UPDATE OF t
   ), lifted AS (
     DELETE FROM tombstone AS t USING wanted AS w
     WHERE w.sweep_operation_id IS NULL
       AND t.backend_id = w.backend_id AND t.object_kind = w.object_kind AND t.object_id = w.object_id
   )
   SELECT object_id FROM wanted WHERE sweep_operation_id IS NOT NULL`,
);

const claimForSweep = statement<never, [backendId: string, kinds: string[], ids: string[], operationId: string]>(
  'tombstone.claim',
  `UPDATE tombstone AS t SET sweep_operation_id = $4
   FROM (
     SELECT t.object_kind, t.object_id FROM tombstone AS t
     JOIN unnest($2::text[], $3::text[]) AS w (object_kind, object_id) ON t.object_kind = w.object_kind AND t.object_id = w.object_id
     WHERE t.backend_id = $1 AND t.sweep_operation_id IS NULL
     ORDER BY t.object_kind, t.object_id FOR UPDATE OF t
   ) AS free
   WHERE t.backend_id = $1 AND t.object_kind = free.object_kind AND t.object_id = free.object_id AND t.sweep_operation_id IS NULL`,
);

const releaseFromSweep = statement<never, [backendId: string, operationId: string, gone: string[]]>(
  'tombstone.release',
  `UPDATE tombstone SET sweep_operation_id = NULL,
     settled_at = CASE WHEN object_id = ANY ($3) THEN clock_timestamp() ELSE settled_at END
   WHERE backend_id = $1 AND sweep_operation_id = $2`,
);

/** What an operation of the sweep has claimed. */
export const findTombstonesOfSweep = statement<TombstoneRow, [backendId: string, operationId: string]>(
  'tombstone.of_sweep',
  `SELECT ${COLUMNS} FROM tombstone WHERE backend_id = $1 AND sweep_operation_id = $2 ORDER BY object_kind, object_id`,
);

/** Settled long ago: nothing that was under way then can come any more. */
export const pruneTombstones = statement<never, [olderThanMs: number, limit: number]>(
  'tombstone.prune',
  `DELETE FROM tombstone WHERE (backend_id, object_kind, object_id) IN (
     SELECT backend_id, object_kind, object_id FROM tombstone
     WHERE settled_at < clock_timestamp() - $1::bigint * interval '1 millisecond' AND sweep_operation_id IS NULL LIMIT $2::int)`,
);

const settleTombstones = statement<never, [backendId: string, kind: string, ids: string[]]>(
  'tombstone.settle',
  `UPDATE tombstone SET settled_at = clock_timestamp()
   WHERE backend_id = $1 AND object_kind = $2 AND object_id = ANY ($3) AND settled_at IS NULL`,
);

const leaveBehind = statement<never, [backendId: string, kind: string, ids: string[], reason: string, returning: readonly string[]]>(
  'tombstone.leave_behind',
  `UPDATE tombstone SET reason = $4 WHERE backend_id = $1 AND object_kind = $2 AND object_id = ANY ($3) AND reason <> ALL ($5)`,
);

/** Of the objects that a backend lists, those that must be gone. */
export const findTombstones = statement<TombstoneRow, [backendId: string, objectKind: string, objectIds: string[]]>(
  'tombstone.find',
  `SELECT ${COLUMNS} FROM tombstone
   WHERE backend_id = $1 AND object_kind = $2 AND object_id = ANY ($3) ORDER BY object_id`,
);

/** Those that nobody has yet seen gone, oldest first: a dead host's, for instance, to clean when it returns. */
export const readUnsettledTombstones = statement<TombstoneRow, [backendId: string, limit: number]>(
  'tombstone.unsettled',
  `SELECT ${COLUMNS} FROM tombstone
   WHERE backend_id = $1 AND settled_at IS NULL ORDER BY created_at, object_kind, object_id LIMIT $2::int`,
);

/** With the commit of the step that deletes or undoes: from then on the sweep may delete the object. */
export async function writeTombstones(transaction: Transaction, items: readonly Tombstone[]): Promise<void> {
  if (items.length > 0) await transaction.execute(insertTombstones, JSON.stringify(items));
}

/**
 * For a retry that makes an object of the same id again: nothing may delete it any more.
 * @throws UNAVAILABLE while the sweep is deleting one of them
 */
export async function liftTombstones(transaction: Transaction, items: readonly TombstoneKey[]): Promise<void> {
  if (items.length === 0) return;
  const [swept] = await transaction.rows(
    deleteTombstones,
    items.map((item) => item.backendId),
    items.map((item) => item.objectKind),
    items.map((item) => item.objectId),
  );
  if (swept === undefined) return;
  throw new MuonError('UNAVAILABLE', `What an earlier attempt left of "${swept.object_id}" is being removed just now; try again.`, {
    fault: 'SYSTEM',
    data: { id: swept.object_id, retryAfterMs: 1000 },
  });
}

/** For the sweep's operation: from now on none of these is lifted until it has ended. Lifted ones are left out. */
export async function claimTombstones(
  transaction: Transaction,
  backendId: string,
  items: readonly Pick<Tombstone, 'objectKind' | 'objectId'>[],
  operationId: string,
): Promise<void> {
  const [kinds, ids] = [items.map((item) => item.objectKind), items.map((item) => item.objectId)];
  await transaction.execute(claimForSweep, backendId, kinds, ids, operationId);
}

/** @param gone ids of the objects that the backend has not any more */
export async function releaseTombstones(transaction: Transaction, backendId: string, operationId: string, gone: readonly string[]): Promise<void> {
  await transaction.execute(releaseFromSweep, backendId, operationId, [...gone]);
}

/** The backend was seen without them. They stay, in case a late effect brings one back. */
export async function markTombstonesSettled(
  transaction: Transaction,
  backendId: string,
  objectKind: string,
  objectIds: readonly string[],
): Promise<void> {
  await transaction.execute(settleTombstones, backendId, objectKind, [...objectIds]);
}

/** What is buried and on a host that is down: once that returns, it is no mistake that it goes. */
export async function markTombstonesLeftBehind(transaction: Transaction, backendId: string, kind: string, ids: string[]): Promise<void> {
  await transaction.execute(leaveBehind, backendId, kind, ids, LEFT_BEHIND, RETURNING);
}
