import { keysetList, statement } from '#database';
import type { DiskHealth } from '#drivers';
import type { ComplianceState, StoragePolicyRow } from './storage-policy.js';

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

/** By id or by name, as people write names; and the default one. */
export const findStoragePoliciesByReference = statement<OfferedPolicyRow, [references: string[]]>(
  'storage_policy.find_by_reference',
  `SELECT ${COLUMNS}, (SELECT array_agg(DISTINCT offer) FROM datastore_capacity) AS offers
   FROM storage_policy WHERE id = ANY($1) OR name = ANY($1) OR is_default`,
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

/** What a disk's present datastore offers. */
export const findOfferOfDatastore = statement<{ offer: string }, [datastoreId: string]>(
  'storage_policy.offer_of',
  'SELECT offer FROM datastore_capacity WHERE datastore_id = $1',
);

export const countCompliance = statement<{ storage_policy_id: string; compliance: ComplianceState; disks: number }, [ids: string[]]>(
  'storage_policy.compliance',
  `SELECT storage_policy_id, compliance, count(*) AS disks FROM disk
   WHERE storage_policy_id = ANY($1) AND compliance IS NOT NULL GROUP BY storage_policy_id, compliance ORDER BY storage_policy_id, compliance`,
);

/** Disks that are alike in all that their compliance follows from. */
export interface ComplianceCase {
  storage_policy_id: string;
  offer: string;
  health: DiskHealth;
  /** It has not the limit of accesses yet that its policy asks for, and its backend can set one. */
  is_being_changed: boolean;
}

const JUDGED = `disk AS d JOIN datastore_capacity AS c ON c.datastore_id = d.datastore_id JOIN datastore AS s ON s.id = d.datastore_id
     JOIN storage_policy AS p ON p.id = d.storage_policy_id`;
const IS_BEING_CHANGED = '(s.limits_iops AND (d.iops_limit, d.realised_iops_limit) IS DISTINCT FROM (p.iops_limit, p.iops_limit))';

export const findComplianceCases = statement<ComplianceCase, [limit: number]>(
  'disk.compliance_cases',
  `SELECT DISTINCT d.storage_policy_id, c.offer, d.health, ${IS_BEING_CHANGED} AS is_being_changed
   FROM ${JUDGED}
   WHERE d.lifecycle = 'PRESENT'
   ORDER BY 1, 2, 3, 4 LIMIT $1::int`,
);

/** Writes only what differs, so that looking costs no events; of disks without a policy, or on their way, nothing is known. */
export const recordCompliance = statement<{ id: string; compliance: ComplianceState }, [verdicts: string, limit: number]>(
  'disk.record_compliance',
  `WITH verdict AS MATERIALIZED (
     SELECT * FROM jsonb_to_recordset($1::jsonb) AS v (storage_policy_id text, offer text, health text, is_being_changed boolean, state text, rules jsonb)
   ), differs AS (
     SELECT d.id, v.state, v.rules
     FROM ${JUDGED}
     JOIN verdict AS v ON v.storage_policy_id = d.storage_policy_id AND v.offer = c.offer AND v.health = d.health
       AND v.is_being_changed = ${IS_BEING_CHANGED}
     WHERE d.lifecycle = 'PRESENT' AND (d.compliance, d.compliance_rules) IS DISTINCT FROM (v.state, v.rules)
     ORDER BY d.id LIMIT $2::int FOR NO KEY UPDATE OF d
   )
   UPDATE disk AS d SET compliance = n.state, compliance_rules = n.rules,
     compliance_since = CASE WHEN d.compliance IS DISTINCT FROM n.state THEN now() ELSE d.compliance_since END
   FROM differs AS n WHERE d.id = n.id RETURNING d.id, d.compliance`,
);

/**
 * Disks whose policy asks for another limit of accesses than their rows: those that no operation is at, nor at their machine, and for
 * which setting it has not failed just now.
 */
export const findOtherwiseLimitedDisks = statement<{ id: string; policy_limit: number | null }, [limitKind: string, failedSince: Date, limit: number]>(
  'disk.otherwise_limited',
  `SELECT d.id, p.iops_limit AS policy_limit
   FROM disk AS d JOIN datastore AS s ON s.id = d.datastore_id JOIN storage_policy AS p ON p.id = d.storage_policy_id
   WHERE d.lifecycle = 'PRESENT' AND s.limits_iops AND d.iops_limit IS DISTINCT FROM p.iops_limit
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id IN (d.id, d.owner_id))
     AND NOT EXISTS (SELECT FROM operation AS o WHERE o.resource_id = d.id AND o.kind = $1 AND o.origin = 'RECONCILER'
       AND o.state IN ('FAILED', 'CANCELLED') AND o.ended_at > $2)
   ORDER BY d.id LIMIT $3::int`,
);

export const forgetCompliance = statement<never, [limit: number]>(
  'disk.forget_compliance',
  `UPDATE disk AS d SET compliance = NULL, compliance_rules = NULL, compliance_since = NULL
   FROM (SELECT id FROM disk WHERE compliance IS NOT NULL AND (storage_policy_id IS NULL OR lifecycle <> 'PRESENT')
         ORDER BY id LIMIT $1::int FOR NO KEY UPDATE) AS old WHERE d.id = old.id`,
);
