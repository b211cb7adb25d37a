import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { DiskSnapshotRow } from './disk-snapshot.js';

const COLUMNS = `id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at`;

export const findDiskSnapshots = statement<DiskSnapshotRow, [ids: string[]]>(
  'disk_snapshot.find',
  `SELECT ${COLUMNS} FROM disk_snapshot WHERE id = ANY($1)`,
);

export const findVisibleDiskSnapshots = statement<DiskSnapshotRow, [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]>(
  'disk_snapshot.find_visible',
  `SELECT ${COLUMNS} FROM disk_snapshot AS s WHERE ${visible('s', 1)} AND s.id = ANY($4)`,
);

export const findSnapshotsOfDisks = statement<DiskSnapshotRow, [diskIds: string[]]>(
  'disk_snapshot.of_disks',
  `SELECT ${COLUMNS} FROM disk_snapshot WHERE disk_id = ANY($1) ORDER BY disk_id, created_at, id`,
);

export const diskSnapshots = keysetList<
  DiskSnapshotRow,
  [all: boolean, tenantIds: string[], projectIds: string[], projectId: string | null, diskId: string | null, name: string | null]
>(
  'disk_snapshot.list',
  `SELECT ${COLUMNS} FROM disk_snapshot AS s
   WHERE ${visible('s', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)`,
  6,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export const markSnapshotTaken = statement<never, [id: string]>(
  'disk_snapshot.mark_taken',
  `UPDATE disk_snapshot SET lifecycle = 'PRESENT', taken_at = now(), failure = NULL WHERE id = $1`,
);

/** Not taken, or called off when it just was: only the name is left. One on its way out stays so, or it would be deleted once more. */
export const markSnapshotFailed = statement<never, [id: string, failure: string]>(
  'disk_snapshot.mark_failed',
  `UPDATE disk_snapshot SET failure = $2::jsonb, lifecycle = CASE lifecycle WHEN 'DELETING' THEN lifecycle ELSE 'FAILED' END WHERE id = $1`,
);

/** Its deletion was called off before it began. */
export const markSnapshotKept = statement<never, [id: string]>(
  'disk_snapshot.mark_kept',
  `UPDATE disk_snapshot SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1`,
);

export const removeSnapshotRows = statement<never, [ids: string[]]>(
  'disk_snapshot.remove_rows',
  'DELETE FROM disk_snapshot WHERE id IN (SELECT id FROM disk_snapshot WHERE id = ANY($1) ORDER BY id FOR UPDATE)',
);

/** What is of a tenant, or of one of its projects. */
type ScopeParameters = [tenantId: string, projectId: string | null];

const IN_SCOPE = 'tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)';

export const countSnapshotsInScope = statement<{ count: number }, ScopeParameters>(
  'disk_snapshot.count_in_scope',
  `SELECT count(*) AS count FROM disk_snapshot WHERE ${IN_SCOPE}`,
);

export const listSnapshotsInScope = statement<{ id: string; name: string }, [...ScopeParameters, limit: number]>(
  'disk_snapshot.list_in_scope',
  `SELECT id, name FROM disk_snapshot WHERE ${IN_SCOPE} ORDER BY id LIMIT $3::int`,
);
