import { MuonError, type JsonObject } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { Action, SYSTEM_PLACE, type Access } from '#identity';
import { findDatastores, offerOf } from '#infrastructure';
import { CHARGES, largerAmounts } from '#quota';
import { planDiskLimit } from '../disk/disk-change-plan.js';
import { diskAmounts } from '../disk/disk-plan.js';
import type { DiskRow } from '../disk/disk.js';
import { STORAGE_POLICIES } from './policy-section.js';
import { complianceOf, policyRules, type StoragePolicyRow } from './storage-policy.js';

/**
 * A disk was put where it lies because of its policy: to pay less for it there is not for whoever has it to decide.
 * @throws FORBIDDEN for those who are no operators, when the other policy costs less of any quota key, or there is none
 */
export function requireNoDiscount(access: Access, disk: DiskRow, policy: StoragePolicyRow | null): void {
  const cheaper = Object.entries(disk.costs).filter(([key, amount]) => (policy?.costs[key] ?? 0) < amount);
  if (policy !== null && cheaper.length === 0) return;
  // A plan of this is applied by an operator, too.
  if (access.can(Action.MODIFY, 'storage policy', SYSTEM_PLACE)) return access.requireSystem(Action.MODIFY, 'storage policy');
  const why = cheaper.length === 0 ? 'Only an operator takes the storage policy from a disk' : `It would cost less of ${cheaper.map(([key]) => key).join(', ')} and stay where it is`;
  const message = `${why}; make a new disk with the policy that you want, or ask an operator.`;
  throw new MuonError('FORBIDDEN', message, { field: 'input.storagePolicy', data: { quotaKeys: cheaper.map(([key]) => key) } });
}

/**
 * Gives a disk another policy, where it lies: the row and what it costs, and an operation where that asks for another limit of
 * accesses. When the limit cannot be set, the disk has the policy of before again.
 * @param policy null for none
 * @throws INVALID_STATE naming the rules that its datastore would break
 */
export async function planPolicyChange(reader: Reader, disk: DiskRow, policy: StoragePolicyRow | null): Promise<ChangeSet> {
  const { id, name, version, size_gib: sizeGib } = disk;
  const [datastore] = policy === null ? [] : await reader.rows(findDatastores, [disk.datastore_id]);
  const rules = policy === null || datastore === undefined ? null : policyRules(policy, offerOf(datastore));
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
  // Until the limit is set, what was before may come again: the disk holds the larger of the two.
  const held = limit === disk.iops_limit ? costs : largerAmounts(disk.costs, costs);
  changes.add(CHARGES, { action: 'ADJUST', resourceId: id, amounts: diskAmounts(sizeGib, held) });
  if (policy !== null) changes.add(STORAGE_POLICIES, { policyId: policy.id, version: policy.version });
  changes.resources.push({ action: 'UPDATE', kind: 'disk', id, name, data: { storagePolicy: policy?.name ?? null } });
  changes.result = { id, ...changes.result };
  return changes;
}
