import { LostRace, type ChangeSetApplier, type Section, type Transaction } from '#database';
import { readPolicyVersions } from './storage-policy.sql.js';

/** A policy that disks of the plan keep to, as the plan has read it. */
export interface PolicyFact {
  policyId: string;
  version: number;
}

export const STORAGE_POLICIES: Section<PolicyFact> = { name: 'storagePolicies' };

/**
 * What changes at the same moment is seen afterwards: a disk is watched how it keeps to its policy, and holds that by a foreign key.
 * @throws LostRace when a policy was changed, withdrawn or deleted since the plan was made
 */
export async function applyPolicyFacts(transaction: Transaction, items: readonly PolicyFact[]): Promise<void> {
  const versions = new Map((await transaction.rows(readPolicyVersions, [...new Set(items.map((item) => item.policyId))])).map((row) => [row.id, row.version]));
  const stale = items.find((item) => versions.get(item.policyId) !== item.version);
  if (stale !== undefined) throw new LostRace(`storage policy ${stale.policyId}`, 'it was changed since the plan was made');
}

export function registerStorageSections(applier: ChangeSetApplier): void {
  applier.register(STORAGE_POLICIES, applyPolicyFacts);
}
