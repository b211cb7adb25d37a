import { MuonError, type JsonObject } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { CHARGES } from '#quota';
import { planDiskLimit } from '../disk/disk-change-plan.js';
import { diskAmounts } from '../disk/disk-plan.js';
import type { DiskRow } from '../disk/disk.js';
import { readOffer } from './policy-choice.js';
import { complianceOf, policyRules, type StoragePolicyRow } from './storage-policy.js';
import { findOfferOfDatastore } from './storage-policy.sql.js';

/**
 * Gives a disk another policy, where it lies: the row and what it costs, and an operation where that asks for another limit of
 * accesses. When the limit cannot be set, the disk has the policy of before again.
 * @param policy null for none
 * @throws INVALID_STATE naming the rules that its datastore would break
 */
export async function planPolicyChange(reader: Reader, disk: DiskRow, policy: StoragePolicyRow | null): Promise<ChangeSet> {
  const { id, name, version, size_gib: sizeGib } = disk;
  const offer = await reader.first(findOfferOfDatastore, disk.datastore_id);
  const rules = policy === null || offer === undefined ? null : policyRules(policy, readOffer(offer.offer));
  const broken = (rules ?? []).filter((rule) => !rule.isKept);
  if (broken.length > 0) {
    const list = broken.map(({ rule, expected, actual }) => `${rule} (${expected}, and it has ${actual})`).join(', ');
    const message = `The disk's datastore does not keep the storage policy "${policy?.name}": ${list}. Make a new disk with that policy and copy what is on this one.`;
    throw new MuonError('INVALID_STATE', message, { field: 'input.storagePolicy', data: { rules: broken as unknown as JsonObject[] } });
  }
  const costs = policy?.costs ?? {};
  const limit = policy?.iops_limit ?? null;
  const compliance = rules === null ? null : complianceOf(rules, disk.health, limit !== disk.iops_limit);
  const seen = { compliance, compliance_rules: rules, compliance_since: rules === null ? null : new Date().toISOString() };
  const update = { storage_policy_id: policy?.id ?? null, costs, ...seen };
  const changes = limit === disk.iops_limit ? new ChangeSet().add(ROWS, { table: 'disk', update, id, version }) : planDiskLimit(disk, limit, update);
  changes.add(CHARGES, { action: 'ADJUST', resourceId: id, amounts: diskAmounts(sizeGib, costs) });
  changes.resources.push({ action: 'UPDATE', kind: 'disk', id, name, data: { storagePolicy: policy?.name ?? null } });
  changes.result = { id, ...changes.result };
  return changes;
}
