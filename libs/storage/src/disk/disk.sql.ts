import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { DiskRow } from './disk.js';

const COLUMNS = `id, tenant_id, project_id, name, size_gib, image_reference, owner_id, position, datastore_id, backend_id, zone_id,
  host_id, lifecycle, realised_gib, health, observed_at, failure, version, revision, created_at, updated_at`;

export const findDisks = statement<DiskRow, [ids: string[]]>('disk.find', `SELECT ${COLUMNS} FROM disk WHERE id = ANY($1) ORDER BY id`);

export const findVisibleDisks = statement<DiskRow, [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]>(
  'disk.find_visible',
  `SELECT ${COLUMNS} FROM disk AS d WHERE ${visible('d', 1)} AND d.id = ANY($4)`,
);

/** The root disk of each owner first. */
export const findDisksOfOwners = statement<DiskRow, [ownerIds: string[]]>(
  'disk.of_owners',
  `SELECT ${COLUMNS} FROM disk WHERE owner_id = ANY($1) ORDER BY owner_id, position, id`,
);

export const disks = keysetList<
  DiskRow,
  [all: boolean, tenantIds: string[], projectIds: string[], projectId: string | null, tenantId: string | null, ownerId: string | null]
>(
  'disk.list',
  `SELECT ${COLUMNS} FROM disk AS d
   WHERE ${visible('d', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR owner_id = $6)`,
  6,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export const markDisksRealised = statement<never, [ids: string[]]>(
  'disk.mark_realised',
  `UPDATE disk AS d SET realised_gib = d.size_gib, lifecycle = 'PRESENT', health = 'HEALTHY', observed_at = now(), failure = NULL
   FROM (SELECT id FROM disk WHERE id = ANY($1) ORDER BY id FOR UPDATE) AS locked
   WHERE d.id = locked.id AND (d.realised_gib <> d.size_gib OR d.lifecycle = 'CREATING')`,
);

export const removeDiskRows = statement<never, [ids: string[]]>(
  'disk.remove_rows',
  'DELETE FROM disk WHERE id IN (SELECT id FROM disk WHERE id = ANY($1) ORDER BY id FOR UPDATE)',
);
