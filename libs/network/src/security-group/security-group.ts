import { z } from 'zod';
import { defineId, invalidInput, type Id } from '#core';
import type { SecurityGroupRule as DriverRule } from '#drivers';
import { matchSchema, requireSenseOf } from './rule.js';

export const securityGroupId = defineId('sgp');
export type SecurityGroupId = Id<'sgp'>;

export const MAX_RULES = 100;
/** Of one port. */
export const MAX_GROUPS = 16;

export const SecurityGroupState = { ACTIVE: 'ACTIVE', UPDATING: 'UPDATING', DELETING: 'DELETING' } as const;
export type SecurityGroupState = (typeof SecurityGroupState)[keyof typeof SecurityGroupState];

export const securityRuleSchema = z.strictObject({ ...matchSchema, remoteSecurityGroupId: z.string().max(100).nullish().transform((id) => id ?? null) });
export const securityRulesSchema = z.array(securityRuleSchema).max(MAX_RULES, `A security group has at most ${MAX_RULES} rules.`);
export type SecurityRuleInput = z.input<typeof securityRuleSchema>;
export type SecurityRule = DriverRule & { description: string };

/** What a machine needs that only asks others: the rule of a group that is made without any. */
export const OPEN_EGRESS: SecurityRule = {
  direction: 'EGRESS',
  protocol: 'ANY',
  ports: null,
  remoteCidr: null,
  remoteSecurityGroupId: null,
  description: '',
};

/**
 * What its ports may do, as one list of rules. It is on no backend before the first of its ports is; ports join and leave
 * it each on its own.
 */
export interface SecurityGroupRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  description: string;
  rules: SecurityRule[];
  lifecycle: 'PRESENT' | 'DELETING';
  desired_revision: number;
  /** Whether a backend has an older version of it. */
  is_behind: boolean;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

export function securityGroupState(row: Pick<SecurityGroupRow, 'lifecycle' | 'is_behind'>): SecurityGroupState {
  if (row.lifecycle === 'DELETING') return 'DELETING';
  return row.is_behind ? 'UPDATING' : 'ACTIVE';
}

/** The groups that rules name, each once. */
export function referencesOf(rules: readonly Pick<SecurityRule, 'remoteSecurityGroupId'>[]): string[] {
  return [...new Set(rules.flatMap(({ remoteSecurityGroupId: id }) => (id === null ? [] : [id])))].sort();
}

/** @throws INVALID_INPUT naming the rule's field */
export function readSecurityRules(rules: readonly z.output<typeof securityRuleSchema>[], field: string): SecurityRule[] {
  return rules.map((rule, index) => {
    const path = `${field}.${index}`;
    if (rule.remoteCidr !== null && rule.remoteSecurityGroupId !== null) {
      throw invalidInput(`${path}.remoteCidr`, 'The other end of a rule is in a block or in a security group; name one of them, or neither for anywhere.');
    }
    return requireSenseOf(rule, path);
  });
}
