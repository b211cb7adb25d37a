import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { DiskAttachment, DiskRow } from './disk.js';

const COLUMNS = `id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
  zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at`;

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

export const findDiskByName = statement<DiskRow, [projectId: string, name: string]>(
  'disk.find_by_name',
  `SELECT ${COLUMNS} FROM disk WHERE project_id = $1 AND name = $2 AND image_reference IS NULL`,
);

export const disks = keysetList<
  DiskRow,
  [
    all: boolean,
    tenantIds: string[],
    projectIds: string[],
    projectId: string | null,
    tenantId: string | null,
    ownerId: string | null,
    name: string | null,
    lifecycles: string[] | null,
    storagePolicyId: string | null,
    compliance: string | null,
  ]
>(
  'disk.list',
  `SELECT ${COLUMNS} FROM disk AS d
   WHERE ${visible('d', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
     AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
     AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))`,
  10,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

/** What its datastore keeps of its policy was found when it was planned. */
const IS_NEW = `(d.lifecycle = 'CREATING' AND d.storage_policy_id IS NOT NULL)`;

export const markDisksRealised = statement<never, [ids: string[]]>(
  'disk.mark_realised',
  `UPDATE disk AS d SET realised_gib = d.size_gib, realised_iops_limit = d.iops_limit, health = 'HEALTHY', observed_at = now(), failure = NULL,
     lifecycle = CASE d.lifecycle WHEN 'CREATING' THEN 'PRESENT' ELSE d.lifecycle END,
     compliance = CASE WHEN NOT ${IS_NEW} THEN d.compliance
       WHEN jsonb_path_exists(d.compliance_rules, '$[*] ? (@.isKept == false)') THEN 'NONCOMPLIANT' ELSE 'COMPLIANT' END,
     compliance_since = CASE WHEN ${IS_NEW} THEN now() ELSE d.compliance_since END
   FROM (SELECT id FROM disk WHERE id = ANY($1) ORDER BY id FOR UPDATE) AS locked
   WHERE d.id = locked.id
     AND (d.realised_gib <> d.size_gib OR d.realised_iops_limit IS DISTINCT FROM d.iops_limit OR d.lifecycle = 'CREATING')`,
);

/** Not made, or called off when it just was, and everything taken back: only the name is left. */
export const markDiskFailed = statement<{ id: string; backend_id: string }, [id: string, failure: string]>(
  'disk.mark_failed',
  `UPDATE disk SET failure = $2::jsonb, realised_gib = 0, realised_iops_limit = NULL, health = 'UNKNOWN', observed_at = now(),
     lifecycle = CASE lifecycle WHEN 'DELETING' THEN lifecycle ELSE 'FAILED' END
   WHERE id = $1 RETURNING id, backend_id`,
);

/** Its deletion was called off before it began. */
export const markDiskKept = statement<never, [id: string]>(
  'disk.mark_kept',
  `UPDATE disk SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1`,
);

/** What the backend was seen to have after a change that failed. */
export const markDiskObserved = statement<never, [id: string, sizeGib: number, iopsLimit: number | null]>(
  'disk.mark_observed',
  'UPDATE disk SET realised_gib = $2, realised_iops_limit = $3, observed_at = now() WHERE id = $1',
);

/** What the backend holds it to. */
export const markDiskLimited = statement<never, [id: string, iopsLimit: number | null]>(
  'disk.mark_limited',
  'UPDATE disk SET realised_iops_limit = $2, observed_at = now() WHERE id = $1',
);

/** A change of the limit failed: the limit of before holds again. */
export const restoreDiskLimit = statement<never, [id: string, iopsLimit: number | null]>(
  'disk.restore_limit',
  'UPDATE disk SET iops_limit = $2, version = version + 1 WHERE id = $1 AND iops_limit IS DISTINCT FROM $2',
);

/** A change of size failed: the size of before holds again, or what the backend has if that is more. */
export const restoreDiskSize = statement<{ size_gib: number; costs: Record<string, number> }, [id: string, sizeGib: number]>(
  'disk.restore_size',
  'UPDATE disk SET size_gib = greatest($2::int, realised_gib), version = version + 1 WHERE id = $1 RETURNING size_gib, costs',
);

/** The machine has got it, or has kept it because detaching it has failed. */
export const markDiskAttached = statement<never, [id: string, ownerId: string]>(
  'disk.mark_attached',
  `UPDATE disk SET attachment = 'ATTACHED' WHERE id = $1 AND owner_id = $2 AND attachment IN ('ATTACHING', 'DETACHING')`,
);

/** It is nobody's: attaching it has failed, or detaching it has not. */
export const freeDisk = statement<never, [id: string, ownerId: string, attachment: DiskAttachment]>(
  'disk.free',
  `UPDATE disk SET owner_id = NULL, position = 0, attachment = NULL, version = version + 1
   WHERE id = $1 AND owner_id = $2 AND attachment = $3`,
);

/** Machines go, and what they were given stays; their root disks are not touched. */
export const freeDisksOfOwners = statement<never, [ownerIds: string[]]>(
  'disk.free_of_owners',
  `UPDATE disk AS d SET owner_id = NULL, position = 0, attachment = NULL, version = d.version + 1
   FROM (SELECT id FROM disk WHERE owner_id = ANY($1) AND attachment IS NOT NULL ORDER BY id FOR UPDATE) AS locked WHERE d.id = locked.id`,
);

/** A change of the limit that another policy asked for failed: the policy of before holds again, if it is still there, with what it cost, and how it is kept is looked at anew. */
export const restoreDiskPolicy = statement<Pick<DiskRow, 'size_gib' | 'costs'>, [id: string, storagePolicyId: string | null, costs: string]>(
  'disk.restore_policy',
  `UPDATE disk SET storage_policy_id = (SELECT id FROM storage_policy WHERE id = $2), costs = $3::jsonb, version = version + 1,
     compliance = NULL, compliance_rules = NULL, compliance_since = NULL
   WHERE id = $1 RETURNING size_gib, costs`,
);

export const findBackendsOfDisks = statement<{ backend_id: string }, [limit: number]>(
  'disk.backends',
  `SELECT DISTINCT backend_id FROM disk WHERE lifecycle = 'PRESENT' ORDER BY backend_id LIMIT $1::int`,
);

/** A page of a backend's disks, by id. */
export const findPresentDisks = statement<{ id: string }, [backendId: string, after: string, limit: number]>(
  'disk.present',
  `SELECT id FROM disk WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND realised_gib > 0 ORDER BY id LIMIT $3::int`,
);

/** Of these disks, those whose limit could not be set lately. */
export const findFailedLimits = statement<{ id: string }, [ids: string[], limitKind: string, failedSince: Date]>(
  'disk.failed_limits',
  `SELECT DISTINCT resource_id AS id FROM operation WHERE resource_id = ANY($1) AND kind = $2 AND origin = 'RECONCILER'
     AND state = 'FAILED' AND ended_at > $3`,
);

/** One that no operation is at. */
export interface RestingDisk extends DiskRow {
  /** Within the grace: a listing may still show what was before. */
  has_just_changed: boolean;
}

/** Those of a backend's disks, a page by id, that no operation is at. */
export const findRestingDisks = statement<RestingDisk, [backendId: string, after: string, limit: number, unchangedSince: Date]>(
  'disk.resting',
  `SELECT ${COLUMNS}, updated_at >= $4 AS has_just_changed FROM disk AS d
   WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND realised_gib > 0
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = d.id)
   ORDER BY id LIMIT $3::int`,
);

/** Writes only what differs, so that looking costs no events. */
export const observeHealth = statement<{ id: string; health: string }, [observations: string]>(
  'disk.observe_health',
  `UPDATE disk AS d SET health = seen.health, observed_at = now()
   FROM jsonb_to_recordset($1::jsonb) AS seen (id text, health text)
   WHERE d.id = seen.id AND d.lifecycle = 'PRESENT' AND d.health <> seen.health
   RETURNING d.id, d.health`,
);

/**
 * The rows go, and from the same moment the sweep may delete whatever a late effect brings back: a tombstone for each, as
 * `writeTombstones` of operations makes them.
 */
export const removeDiskRows = statement<never, [ids: string[]]>(
  'disk.remove_rows',
  `WITH gone AS (
     DELETE FROM disk WHERE id IN (SELECT id FROM disk WHERE id = ANY($1) ORDER BY id FOR UPDATE) RETURNING id, backend_id
   )
   INSERT INTO tombstone (backend_id, object_kind, object_id, reason)
   SELECT backend_id, 'disk', id, 'deleted' FROM gone ORDER BY backend_id, id
   ON CONFLICT (backend_id, object_kind, object_id) DO UPDATE SET reason = EXCLUDED.reason, settled_at = NULL`,
);

export interface DatastoreChoice {
  datastore_id: string;
  backend_id: string;
  host_id: string | null;
  zone_id: string | null;
  free_gib: number;
  shared: boolean;
  offer: string;
}

/**
 * Where a disk of its own may lie: shared pools first, because any machine of the zone reaches them, then those with the
 * most room. A pool of one host is there only while the host takes newcomers. Placement's claims check all of it again.
 * With a backend, only what that host of it reaches; what all hosts reach when no host is named.
 */
export const chooseDatastores = statement<
  DatastoreChoice,
  [
    zoneIds: string[],
    sizeGib: number,
    limit: number,
    backendId: string | null,
    hostId: string | null,
    kind: string | null,
    offers: string[] | null,
  ]
>(
  'datastore.choose',
  `SELECT c.datastore_id, c.backend_id, c.host_id, coalesce(c.zone_id, h.zone_id) AS zone_id,
     c.limit_gib - c.claimed_gib AS free_gib, c.host_id IS NULL AS shared, c.offer
   FROM datastore_capacity AS c
   LEFT JOIN host_capacity AS h ON h.host_id = c.host_id
   WHERE c.state = 'ACTIVE' AND c.limit_gib - c.claimed_gib >= $2
     AND CASE WHEN c.host_id IS NOT NULL THEN h.state = 'ACTIVE' AND h.zone_id = ANY($1)
              WHEN c.zone_id IS NOT NULL THEN c.zone_id = ANY($1)
              ELSE EXISTS (SELECT FROM host_capacity AS o WHERE o.backend_id = c.backend_id AND o.zone_id = ANY($1)) END
     AND ($4::text IS NULL OR (c.backend_id = $4 AND (c.host_id IS NULL OR c.host_id = $5))) AND ($6::text IS NULL OR c.kind = $6)
     AND ($7::text[] IS NULL OR c.offer = ANY($7))
   ORDER BY c.host_id IS NULL DESC, c.limit_gib - c.claimed_gib DESC, c.datastore_id LIMIT $3::int`,
);

/** What a datastore could still promise. */
export const findRoom = statement<{ free_gib: number }, [datastoreId: string]>(
  'datastore.room',
  'SELECT limit_gib - claimed_gib AS free_gib FROM datastore_capacity WHERE datastore_id = $1',
);

/** For the refusal: how many pools there are, and the most room that one of them has. */
export const largestRoom = statement<
  { datastores: number; largest_gib: number | null },
  [zoneIds: string[], backendId: string | null, hostId: string | null, kind: string | null, offers: string[] | null]
>(
  'datastore.largest_room',
  `SELECT count(*) AS datastores, max(c.limit_gib - c.claimed_gib) AS largest_gib
   FROM datastore_capacity AS c
   LEFT JOIN host_capacity AS h ON h.host_id = c.host_id
   WHERE c.state = 'ACTIVE' AND (c.host_id IS NULL OR h.state = 'ACTIVE')
     AND (coalesce(c.zone_id, h.zone_id) IS NULL OR coalesce(c.zone_id, h.zone_id) = ANY($1))
     AND ($2::text IS NULL OR (c.backend_id = $2 AND (c.host_id IS NULL OR c.host_id = $3))) AND ($4::text IS NULL OR c.kind = $4)
     AND ($5::text[] IS NULL OR c.offer = ANY($5))`,
);

/** What is of a tenant, or of one of its projects. */
type ScopeParameters = [tenantId: string, projectId: string | null];

const IN_SCOPE = 'tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)';

export const countDisksInScope = statement<{ count: number }, ScopeParameters>(
  'disk.count_in_scope',
  `SELECT count(*) AS count FROM disk WHERE ${IN_SCOPE}`,
);

export const listDisksInScope = statement<{ id: string; name: string }, [...ScopeParameters, limit: number]>(
  'disk.list_in_scope',
  `SELECT id, name FROM disk WHERE ${IN_SCOPE} ORDER BY id LIMIT $3::int`,
);

/** Disks of machines go with them. */
export const findDeletableDisks = statement<{ id: string }, [...ScopeParameters, limit: number]>(
  'disk.deletable_in_scope',
  `SELECT id FROM disk WHERE ${IN_SCOPE} AND owner_id IS NULL AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int`,
);
