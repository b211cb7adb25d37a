import { LostRace, type ChangeSetApplier, type Section, type Transaction } from '#database';
import { shareStoragePolicies } from './storage-policy.sql.js';

/** A policy that disks of the plan keep to, as the plan has read it. */
export interface PolicyFact {
  policyId: string;
  version: number;
}

export const STORAGE_POLICIES: Section<PolicyFact> = { name: 'storagePolicies' };

/** @throws LostRace when a policy was changed, withdrawn or deleted since the plan was made */
export async function applyPolicyFacts(transaction: Transaction, items: readonly PolicyFact[]): Promise<void> {
  const versions = new Map((await transaction.rows(shareStoragePolicies, [...new Set(items.map((item) => item.policyId))])).map((row) => [row.id, row.version]));
  const stale = items.find((item) => versions.get(item.policyId) !== item.version);
  if (stale !== undefined) throw new LostRace(`storage policy ${stale.policyId}`, 'it was changed since the plan was made');
}

export function registerStorageSections(applier: ChangeSetApplier): void {
  applier.register(STORAGE_POLICIES, applyPolicyFacts);
}
