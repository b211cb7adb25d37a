import { defineId, type Id } from '#core';
import type { DiskHealth } from '#drivers';
import { isAsWide, type DatastoreOffer, type FailureDomain, type RedundancyMethod } from '#infrastructure';

export const storagePolicyId = defineId('stp');
export type StoragePolicyId = Id<'stp'>;

/** What is in use and deleted takes no new disks and goes with its last user. */
export const StoragePolicyState = { ACTIVE: 'ACTIVE', PENDING_DELETE: 'PENDING_DELETE' } as const;
export type StoragePolicyState = (typeof StoragePolicyState)[keyof typeof StoragePolicyState];

/** What disks of a policy need. Whatever it does not say does not matter to it. */
export interface StorageNeeds {
  /** 0 to 3, of the domain, at once. */
  failures_to_tolerate: number;
  /** Null when it need not survive any failure. */
  failure_domain: FailureDomain | null;
  redundancy_method: RedundancyMethod | null;
  needs_encryption: boolean;
  needs_shared_access: boolean;
  /** In the operator's words; empty for any. */
  datastore_kinds: string[];
  /** Reads and writes of one disk a second. */
  iops_limit: number | null;
}

export interface StoragePolicyRow extends StorageNeeds {
  id: string;
  tenant_id: null;
  project_id: null;
  name: string;
  description: string;
  /** What each GiB takes of a quota key, besides `disk.capacity`; kept by each disk as it was when that was made. */
  costs: Record<string, number>;
  is_default: boolean;
  state: StoragePolicyState;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

export const PolicyRule = {
  FAILURES_TO_TOLERATE: 'FAILURES_TO_TOLERATE',
  REDUNDANCY_METHOD: 'REDUNDANCY_METHOD',
  ENCRYPTION: 'ENCRYPTION',
  SHARED_ACCESS: 'SHARED_ACCESS',
  DATASTORE_KIND: 'DATASTORE_KIND',
  IOPS_LIMIT: 'IOPS_LIMIT',
} as const;
export type PolicyRule = (typeof PolicyRule)[keyof typeof PolicyRule];

/** One thing that a policy needs, and what there is. */
export interface PolicyRuleResult {
  rule: PolicyRule;
  /** Both for people. */
  expected: string;
  actual: string;
  isKept: boolean;
}

/** Each rule of a policy against what a datastore offers; no entry for what the policy does not ask for. */
export function policyRules(needs: StorageNeeds, offer: DatastoreOffer): PolicyRuleResult[] {
  const rules: PolicyRuleResult[] = [];
  const add = (rule: PolicyRule, expected: string, actual: string, isKept: boolean): void => void rules.push({ rule, expected, actual, isKept });
  if (needs.failure_domain !== null) {
    const survives =
      offer.failureDomain !== null && isAsWide(offer.failureDomain, needs.failure_domain) && offer.failuresToTolerate >= needs.failures_to_tolerate;
    const expected = failures(needs.failures_to_tolerate, needs.failure_domain);
    add(PolicyRule.FAILURES_TO_TOLERATE, expected, failures(offer.failuresToTolerate, offer.failureDomain), survives);
  }
  if (needs.redundancy_method !== null) {
    const { redundancyMethod: actual } = offer;
    add(PolicyRule.REDUNDANCY_METHOD, needs.redundancy_method, actual ?? 'none', actual === needs.redundancy_method);
  }
  if (needs.needs_encryption) add(PolicyRule.ENCRYPTION, 'encrypted', offer.isEncrypted ? 'encrypted' : 'not encrypted', offer.isEncrypted);
  if (needs.needs_shared_access) add(PolicyRule.SHARED_ACCESS, 'shared', offer.isShared ? 'shared' : 'of one host', offer.isShared);
  if (needs.datastore_kinds.length > 0) {
    add(PolicyRule.DATASTORE_KIND, needs.datastore_kinds.join(' or '), offer.kind, needs.datastore_kinds.includes(offer.kind));
  }
  if (needs.iops_limit !== null) {
    add(PolicyRule.IOPS_LIMIT, `${needs.iops_limit} a second`, offer.limitsIops ? 'limited' : 'unlimited', offer.limitsIops);
  }
  return rules;
}

function failures(count: number, domain: FailureDomain | null): string {
  return domain === null ? 'none' : `${count} of ${domain}`;
}

export const isKeptBy = (needs: StorageNeeds, offer: DatastoreOffer): boolean => policyRules(needs, offer).every((rule) => rule.isKept);

/** How a disk keeps to its policy (DESIGN §8). */
export const ComplianceState = {
  COMPLIANT: 'COMPLIANT',
  REDUCED_WAITING: 'REDUCED_WAITING',
  REDUCED_REBUILDING: 'REDUCED_REBUILDING',
  REDUCED_BLOCKED: 'REDUCED_BLOCKED',
  RECONFIGURING: 'RECONFIGURING',
  NONCOMPLIANT: 'NONCOMPLIANT',
  UNAVAILABLE: 'UNAVAILABLE',
  UNKNOWN: 'UNKNOWN',
} as const;
export type ComplianceState = (typeof ComplianceState)[keyof typeof ComplianceState];

const OF_HEALTH: Record<DiskHealth, ComplianceState> = {
  HEALTHY: ComplianceState.COMPLIANT,
  DEGRADED: ComplianceState.REDUCED_WAITING,
  REBUILDING: ComplianceState.REDUCED_REBUILDING,
  BLOCKED: ComplianceState.REDUCED_BLOCKED,
  UNAVAILABLE: ComplianceState.UNAVAILABLE,
  UNKNOWN: ComplianceState.UNKNOWN,
};

/**
 * Derived from what is wanted and seen: what cannot be used, or of which nobody knows, comes first; then what its datastore
 * does not promise; then what is on its way.
 */
export function complianceOf(rules: readonly PolicyRuleResult[], health: DiskHealth, isBeingChanged: boolean): ComplianceState {
  if (health === 'UNAVAILABLE' || health === 'UNKNOWN') return OF_HEALTH[health];
  if (rules.some((rule) => !rule.isKept)) return ComplianceState.NONCOMPLIANT;
  return isBeingChanged ? ComplianceState.RECONFIGURING : OF_HEALTH[health];
}
