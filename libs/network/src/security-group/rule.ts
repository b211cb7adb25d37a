import { z } from 'zod';
import { descriptionSchema, invalidInput } from '#core';
import type { FirewallDirection, FirewallProtocol } from '#drivers';

export const FirewallDirections = { INGRESS: 'INGRESS', EGRESS: 'EGRESS' } as const satisfies Record<FirewallDirection, FirewallDirection>;
export const FirewallProtocols = { ANY: 'ANY', TCP: 'TCP', UDP: 'UDP', ICMP: 'ICMP' } as const satisfies Record<FirewallProtocol, FirewallProtocol>;

const portNumber = z.int('A port is a whole number.').min(0, 'A port is 0 or more.').max(65_535, 'A port is at most 65535.');

/** What the rules of tenants and of operators have in common. */
export const matchSchema = {
  direction: z.enum(FirewallDirections),
  protocol: z.enum(FirewallProtocols),
  ports: z
    .strictObject({ from: portNumber, to: portNumber.nullish() })
    .nullish()
    .transform((ports) => (ports == null ? null : { from: ports.from, to: ports.to ?? ports.from })),
  remoteCidr: z
    .cidrv4('An IPv4 block is needed here, as in "10.0.0.0/24".')
    .nullish()
    .transform((cidr) => cidr ?? null),
  description: descriptionSchema.nullish().transform((text) => text ?? ''),
};

interface Match {
  protocol: FirewallProtocol;
  ports: { from: number; to: number } | null;
}

/** @throws INVALID_INPUT naming the rule's field */
export function requireSenseOf<Rule extends Match>(rule: Rule, field: string): Rule {
  const { protocol, ports } = rule;
  if (ports === null) return rule;
  if (protocol !== 'TCP' && protocol !== 'UDP') throw invalidInput(`${field}.ports`, `Only TCP and UDP have ports; this rule is about ${protocol}.`);
  if (ports.to < ports.from) throw invalidInput(`${field}.ports`, `The range ${ports.from} to ${ports.to} ends before it begins.`);
  return rule;
}
