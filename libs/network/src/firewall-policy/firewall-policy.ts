import { z } from 'zod';
import { defineId, type ErrorRecord, type Id } from '#core';
import type { FirewallAction, FirewallPolicyRule, FirewallScope } from '#drivers';
import { matchSchema } from '../security-group/rule.js';

export const firewallPolicyId = defineId('fwp');
export type FirewallPolicyId = Id<'fwp'>;

export const MAX_POLICIES = 1_000;
/** Of one policy, and of all together: more than that has no place among the priorities of a switch. */
export const MAX_POLICY_RULES = 100;
export const MAX_RULES_OF_ALL = 10_000;
export const MAX_POSITION = 10_000;

export const FirewallActions = { ALLOW: 'ALLOW', DENY: 'DENY', PASS: 'PASS' } as const satisfies Record<FirewallAction, FirewallAction>;

export const FirewallPolicyState = { CREATING: 'CREATING', ACTIVE: 'ACTIVE', FAILED: 'FAILED', DELETING: 'DELETING' } as const;
export type FirewallPolicyState = (typeof FirewallPolicyState)[keyof typeof FirewallPolicyState];

export const policyRuleSchema = z.strictObject({ ...matchSchema, action: z.enum(FirewallActions) });
export const policyRulesSchema = z.array(policyRuleSchema).max(MAX_POLICY_RULES, `A firewall policy has at most ${MAX_POLICY_RULES} rules.`);
export type PolicyRuleInput = z.input<typeof policyRuleSchema>;
export type PolicyRule = FirewallPolicyRule & { description: string };

/** What operators say above security groups, of everybody's ports, a tenant's or a project's. The lowest position comes first. */
export interface FirewallPolicyRow {
  id: string;
  name: string;
  description: string;
  position: number;
  /** Both null for everybody's ports. */
  scope_tenant_id: string | null;
  scope_project_id: string | null;
  rules: PolicyRule[];
  lifecycle: 'CREATING' | 'PRESENT' | 'DELETING' | 'FAILED';
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

export const firewallPolicyState = ({ lifecycle }: Pick<FirewallPolicyRow, 'lifecycle'>): FirewallPolicyState =>
  lifecycle === 'PRESENT' ? 'ACTIVE' : lifecycle;

export function scopeOf({ scope_tenant_id: tenantId, scope_project_id: projectId }: Pick<FirewallPolicyRow, 'scope_tenant_id' | 'scope_project_id'>): FirewallScope {
  if (tenantId === null) return { kind: 'ALL' };
  return projectId === null ? { kind: 'TENANT', tenantId } : { kind: 'PROJECT', tenantId, projectId };
}
