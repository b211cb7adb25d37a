import { z } from 'zod';
import { invalidInput, parseInput } from '#core';
import type { FirewallMatch, FirewallSpecification, SecurityGroupSpecification } from '#drivers';
import { id, ownership, revision } from '../input.js';
import { Priority } from './rules.js';

const MAX_RULES = 1_000;
const MAX_POLICIES = 1_000;

const port = z.number().int().min(0).max(65_535);
const match = {
  direction: z.enum(['INGRESS', 'EGRESS']),
  protocol: z.enum(['ANY', 'TCP', 'UDP', 'ICMP']),
  ports: z.object({ from: port, to: port }).nullable(),
  remoteCidr: z.cidrv4().nullable(),
};

const groupSchema = z.object({
  securityGroupId: id,
  revision,
  ownership,
  rules: z.array(z.object({ ...match, remoteSecurityGroupId: id.nullable() })).max(MAX_RULES),
});

const scope = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ALL') }),
  z.object({ kind: z.literal('TENANT'), tenantId: id }),
  z.object({ kind: z.literal('PROJECT'), tenantId: id, projectId: id }),
]);

const firewallSchema = z.object({
  firewallId: id,
  revision,
  installationId: id,
  policies: z
    .array(z.object({ scope, rules: z.array(z.object({ ...match, action: z.enum(['ALLOW', 'DENY', 'PASS']) })).max(MAX_RULES) }))
    .max(MAX_POLICIES),
});

/** @throws INVALID_INPUT naming the field */
export function readSecurityGroup(group: SecurityGroupSpecification): SecurityGroupSpecification {
  const read = parseInput(groupSchema, group, 'group');
  read.rules.forEach((rule, index) => {
    requirePorts(rule, `group.rules.${index}`);
    if (rule.remoteCidr === null || rule.remoteSecurityGroupId === null) return;
    throw invalidInput(`group.rules.${index}.remoteCidr`, 'The other end of a rule is in a block or in a group, not both.');
  });
  return read;
}

/** @throws INVALID_INPUT naming the field */
export function readFirewall(firewall: FirewallSpecification): FirewallSpecification {
  const read = parseInput(firewallSchema, firewall, 'firewall');
  const most = Priority.OPERATOR_FIRST - Priority.OPERATOR_LAST;
  const all = read.policies.reduce((count, { rules }) => count + rules.length, 0);
  if (all > most) throw invalidInput('firewall.policies', `All policies together have at most ${most} rules.`, { maximum: most });
  read.policies.forEach(({ rules }, policy) => rules.forEach((rule, index) => requirePorts(rule, `firewall.policies.${policy}.rules.${index}`)));
  return read;
}

function requirePorts({ protocol, ports }: FirewallMatch, field: string): void {
  if (ports === null) return;
  if (protocol !== 'TCP' && protocol !== 'UDP') throw invalidInput(`${field}.ports`, 'Only TCP and UDP have ports.');
  if (ports.from > ports.to) throw invalidInput(`${field}.ports`, `The range ${ports.from}-${ports.to} ends before it begins.`);
}
