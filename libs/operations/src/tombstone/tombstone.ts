import { statement, type Transaction } from '#database';

/** A backend object that must be gone. */
export interface Tombstone {
  backendId: string;
  /** The backend's kind of thing, as `machine`, `disk`, `port`. */
  objectKind: string;
  objectId: string;
  /** `deleted`, `undone`, `host declared dead`: for people. */
  reason: string;
}

export interface TombstoneRow {
  backend_id: string;
  object_kind: string;
  object_id: string;
  reason: string;
  created_at: Date;
  settled_at: Date | null;
}

const insertTombstones = statement<never, [items: string]>(
  'tombstone.insert',
  `INSERT INTO tombstone (backend_id, object_kind, object_id, reason)
   SELECT DISTINCT ON (1, 2, 3) "backendId", "objectKind", "objectId", reason
   FROM jsonb_to_recordset($1::jsonb) AS t ("backendId" text, "objectKind" text, "objectId" text, reason text)
   ORDER BY 1, 2, 3
   ON CONFLICT (backend_id, object_kind, object_id) DO UPDATE SET reason = EXCLUDED.reason, settled_at = NULL`,
);

const deleteTombstones = statement<never, [backendIds: string[], kinds: string[], ids: string[]]>(
  'tombstone.delete',
  `DELETE FROM tombstone USING unnest($1::text[], $2::text[], $3::text[]) AS w (backend_id, object_kind, object_id)
   WHERE tombstone.backend_id = w.backend_id AND tombstone.object_kind = w.object_kind AND tombstone.object_id = w.object_id`,
);

const settleTombstones = statement<never, [backendId: string, kind: string, ids: string[]]>(
  'tombstone.settle',
  `UPDATE tombstone SET settled_at = clock_timestamp()
   WHERE backend_id = $1 AND object_kind = $2 AND object_id = ANY ($3) AND settled_at IS NULL`,
);

/** Of the objects that a backend lists, those that must be gone. */
export const findTombstones = statement<TombstoneRow, [backendId: string, objectKind: string, objectIds: string[]]>(
  'tombstone.find',
  `SELECT backend_id, object_kind, object_id, reason, created_at, settled_at FROM tombstone
   WHERE backend_id = $1 AND object_kind = $2 AND object_id = ANY ($3) ORDER BY object_id`,
);

/** Those that nobody has yet seen gone, oldest first: a dead host's, for instance, to clean when it returns. */
export const readUnsettledTombstones = statement<TombstoneRow, [backendId: string, limit: number]>(
  'tombstone.unsettled',
  `SELECT backend_id, object_kind, object_id, reason, created_at, settled_at FROM tombstone
   WHERE backend_id = $1 AND settled_at IS NULL ORDER BY created_at, object_kind, object_id LIMIT $2::int`,
);

/** With the commit of the step that deletes or undoes: from then on the sweep may delete the object. */
export async function writeTombstones(transaction: Transaction, items: readonly Tombstone[]): Promise<void> {
  if (items.length > 0) await transaction.execute(insertTombstones, JSON.stringify(items));
}

/** For a retry that makes an object of the same id again: nothing may delete it any more. */
export async function liftTombstones(
  transaction: Transaction,
  items: readonly Pick<Tombstone, 'backendId' | 'objectKind' | 'objectId'>[],
): Promise<void> {
  if (items.length === 0) return;
  await transaction.execute(
    deleteTombstones,
    items.map((item) => item.backendId),
    items.map((item) => item.objectKind),
    items.map((item) => item.objectId),
  );
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

