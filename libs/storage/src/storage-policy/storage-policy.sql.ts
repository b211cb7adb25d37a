import { keysetList, statement } from '#database';
import type { DiskHealth } from '#drivers';
import type { ComplianceState, PolicyRuleResult, StoragePolicyRow } from './storage-policy.js';

const COLUMNS = `id, tenant_id, project_id, name, description, failures_to_tolerate, failure_domain, redundancy_method, needs_encryption,
  needs_shared_access, datastore_kinds, iops_limit, costs, is_default, state, version, revision, created_at, updated_at`;

export const findStoragePolicies = statement<StoragePolicyRow, [ids: string[]]>(
  'storage_policy.find',
  `SELECT ${COLUMNS} FROM storage_policy WHERE id = ANY($1)`,
);

/** A policy with all the different things that datastores offer now, each as its text. */
export interface OfferedPolicyRow extends StoragePolicyRow {
  offers: string[] | null;
}

/** Without a lock, as they are now: a burst of new disks must not keep operators from changing their policy. */
export const readPolicyVersions = statement<{ id: string; version: number }, [ids: string[]]>(
  'storage_policy.versions',
  'SELECT id, version FROM storage_policy WHERE id = ANY($1)',
);

/** What differs among datastores, from one to the next by the index: there are many datastores, and few different offers. */
const OFFERS = `WITH RECURSIVE different AS (
     (SELECT offer FROM datastore_capacity ORDER BY offer LIMIT 1)
     UNION ALL
     SELECT (SELECT c.offer FROM datastore_capacity AS c WHERE c.offer > d.offer ORDER BY c.offer LIMIT 1) FROM different AS d WHERE d.offer IS NOT NULL
   ) SELECT array_agg(offer) FROM different WHERE offer IS NOT NULL`;

/** By id or by name, as people write names; and the default one. */
export const findStoragePoliciesByReference = statement<OfferedPolicyRow, [references: string[]]>(
  'storage_policy.find_by_reference',
  `SELECT ${COLUMNS}, (${OFFERS}) AS offers FROM storage_policy WHERE id = ANY($1) OR name = ANY($1) OR is_default`,
);

export const storagePolicies = keysetList<StoragePolicyRow, [name: string | null]>(
  'storage_policy.list',
  `SELECT ${COLUMNS} FROM storage_policy WHERE ($1::text IS NULL OR name = $1)`,
  1,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);

export const findDefaultStoragePolicy = statement<StoragePolicyRow>(
  'storage_policy.find_default',
  `SELECT ${COLUMNS} FROM storage_policy WHERE is_default`,
);

export const findWithdrawnStoragePolicies = statement<{ id: string; version: number }>(
  'storage_policy.withdrawn',
  `SELECT id, version FROM storage_policy AS p WHERE state = 'PENDING_DELETE'
     AND NOT EXISTS (SELECT FROM disk AS d WHERE d.storage_policy_id = p.id) ORDER BY id LIMIT 100`,
);

export const removeStoragePolicy = statement<never, [id: string]>(
  'storage_policy.remove_withdrawn',
  `DELETE FROM storage_policy WHERE id = $1 AND state = 'PENDING_DELETE'`,
);

export const countDisksOfPolicy = statement<{ disks: number }, [id: string]>(
  'storage_policy.disks',
  'SELECT count(*) AS disks FROM (SELECT 1 FROM disk WHERE storage_policy_id = $1 LIMIT 100000) AS used',
);

/** How many active datastores offer the same. */
export const countOffers = statement<{ offer: string; datastores: number }>(
  'storage_policy.offers',
  `SELECT offer, count(*) AS datastores FROM datastore_capacity WHERE state = 'ACTIVE' GROUP BY offer ORDER BY offer`,
);

/** On what its disks lie: how many on datastores that offer the same. */
export const countDisksByOffer = statement<{ offer: string; disks: number }, [id: string]>(
  'storage_policy.disks_by_offer',
  `SELECT c.offer, count(*) AS disks FROM disk AS d JOIN datastore_capacity AS c ON c.datastore_id = d.datastore_id
   WHERE d.storage_policy_id = $1 AND d.lifecycle = 'PRESENT' GROUP BY c.offer ORDER BY c.offer`,
);

export const countCompliance = statement<{ storage_policy_id: string; compliance: ComplianceState; disks: number }, [ids: string[]]>(
  'storage_policy.compliance',
  `SELECT storage_policy_id, compliance, count(*) AS disks FROM disk
   WHERE storage_policy_id = ANY($1) AND lifecycle = 'PRESENT' AND compliance IS NOT NULL GROUP BY storage_policy_id, compliance ORDER BY storage_policy_id, compliance`,
);

/** A disk, with all that its compliance follows from, and what was last written of it. */
export interface JudgedDisk {
  id: string;
  storage_policy_id: string;
  offer: string;
  health: DiskHealth;
  /** It has not the limit of accesses yet that its policy asks for, and its backend can set one. */
  is_being_changed: boolean;
  compliance: ComplianceState | null;
  compliance_rules: PolicyRuleResult[] | null;
}

/** Those of which anything may have changed since then, a page by id: of disk, datastore or policy. */
export const findDisksToJudge = statement<JudgedDisk, [after: string, changedSince: Date, limit: number]>(
  'disk.to_judge',
  `SELECT d.id, d.storage_policy_id, c.offer, d.health, d.compliance, d.compliance_rules,
     s.limits_iops AND (d.iops_limit, d.realised_iops_limit) IS DISTINCT FROM (p.iops_limit, p.iops_limit) AS is_being_changed
   FROM disk AS d JOIN storage_policy AS p ON p.id = d.storage_policy_id JOIN datastore AS s ON s.id = d.datastore_id
   JOIN datastore_capacity AS c ON c.datastore_id = d.datastore_id
   WHERE d.id > $1 AND d.lifecycle = 'PRESENT' AND greatest(d.updated_at, p.updated_at, s.updated_at) >= $2
   ORDER BY d.id LIMIT $3::int`,
);

/** What was found of disks; those that have gone or have got another policy meanwhile are left alone. */
export const recordCompliance = statement<{ id: string; compliance: ComplianceState }, [verdicts: string]>(
  'disk.record_compliance',
  `UPDATE disk AS d SET compliance = n.state, compliance_rules = n.rules,
     compliance_since = CASE WHEN d.compliance IS DISTINCT FROM n.state THEN now() ELSE d.compliance_since END
   FROM (SELECT v.* FROM jsonb_to_recordset($1::jsonb) AS v (id text, storage_policy_id text, state text, rules jsonb)
         JOIN disk AS locked ON locked.id = v.id ORDER BY v.id FOR NO KEY UPDATE OF locked) AS n
   WHERE d.id = n.id AND d.lifecycle = 'PRESENT' AND d.storage_policy_id = n.storage_policy_id
   RETURNING d.id, d.compliance`,
);

/**
 * Disks whose policy asks for another limit of accesses than their rows: those that can be reached, that no operation is at, nor at
 * their machine, and that have not just failed to get it.
 */
export const findOtherwiseLimitedDisks = statement<{ id: string; policy_id: string; policy_limit: number | null }, [limitKind: string, failedSince: Date, limit: number]>(
  'disk.otherwise_limited',
  `SELECT d.id, p.id AS policy_id, p.iops_limit AS policy_limit
   FROM storage_policy AS p JOIN disk AS d ON d.storage_policy_id = p.id AND d.iops_limit IS DISTINCT FROM p.iops_limit
   JOIN datastore AS s ON s.id = d.datastore_id AND s.limits_iops
   JOIN backend AS b ON b.id = d.backend_id AND b.health = 'UP'
   LEFT JOIN host AS h ON h.id = d.host_id
   WHERE d.lifecycle = 'PRESENT' AND coalesce(h.health, 'UP') = 'UP'
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id IN (d.id, d.owner_id))
     AND NOT EXISTS (SELECT FROM operation AS o WHERE o.resource_id = d.id AND o.kind = $1 AND o.origin = 'RECONCILER'
       AND o.state = 'FAILED' AND o.ended_at > $2 AND (o.input->>'toLimit')::int IS NOT DISTINCT FROM p.iops_limit)
   ORDER BY d.id LIMIT $3::int`,
);
