import type { FirewallDirection, FirewallMatch, FirewallPolicyRule, SecurityGroupRule } from '#drivers';
import { DHCP_SERVER } from '../dhcp.js';
import { ALL_PORTS, ANYWHERE, blockOf, cidrOf, without, type Packets, type Protocol } from './packets.js';

/** A row of OVN's table of rules (ovn-nb(5), ACL), as far as it is said here. */
export interface Acl {
  direction: 'to-lport' | 'from-lport';
  priority: number;
  match: string;
  action: 'allow' | 'allow-related' | 'drop' | 'pass';
  /** Only where the schema has it: without, all rules are in one tier, and their priorities tell them apart. */
  tier?: number;
}

/**
 * Of all rules that match a packet the one with the highest priority decides, in a tier or where there are none. Hence
 * the bands: what the platform itself needs, what operators say, what security groups allow, and what they leave.
 */
export const Priority = { PLATFORM: 32_767, OPERATOR_FIRST: 32_000, OPERATOR_LAST: 20_000, GROUP_ALLOW: 2_000, GROUP_DENY: 1_000 } as const;

/** Tiers are asked in their order, until one has a rule that matches and does not pass it on (OVN 23.06 and later). */
export const Tier = { OPERATOR: 0, GROUP: 1 } as const;

/** For one set of ports. */
export const MAX_ACLS = 10_000;
/** How often packets are taken out of others, which keeps everybody else waiting. */
const MAX_WORK = 1_000_000;

/** Protocols other than ICMP, TCP and UDP by number: ranges cost a switch less than inequalities. */
const OTHER_PROTOCOLS = 'ip.proto == 0 || (ip.proto >= 2 && ip.proto <= 5) || (ip.proto >= 7 && ip.proto <= 16) || ip.proto >= 18';

/**
 * A group lets its ports do what its rules say, and nothing else; several groups of a port allow together, since allowing
 * is above denying.
 * @param group the name of its port group
 * @param groupName the name of another group's
 */
export function groupAcls(group: string, rules: readonly SecurityGroupRule[], groupName: (id: string) => string, tiers: boolean): Acl[] {
  const tier = tiers ? { tier: Tier.GROUP } : {};
  const allowed = rules.map((rule): Acl => {
    const { direction, remoteSecurityGroupId: remoteId } = rule;
    const terms = termsOf(group, direction, packetsOf(rule));
    if (remoteId !== null) terms.push(`${remoteField(direction)} == $${groupName(remoteId)}_ip4`);
    return { direction: pipeline(direction), priority: Priority.GROUP_ALLOW, match: terms.join(' && '), action: 'allow-related', ...tier };
  });
  const rest = (['INGRESS', 'EGRESS'] as const).map(
    (direction): Acl => ({ direction: pipeline(direction), priority: Priority.GROUP_DENY, match: `${portField(direction)} == @${group} && ip`, action: 'drop', ...tier }),
  );
  return [dhcpAcl(group, tiers), ...distinct(allowed), ...rest];
}

/**
 * What operators say of one set of ports, in its order. Without tiers nothing passes a packet on: there a PASS takes its
 * packets out of all that comes after it, so that only the rules of security groups are left for them.
 * @returns undefined when PASS would have to be taken out of so much that there are too many rows, or it takes too long
 */
export function operatorAcls(group: string, rules: readonly FirewallPolicyRule[], tiers: boolean): Acl[] | undefined {
  const passed: Record<FirewallDirection, Packets[]> = { INGRESS: [], EGRESS: [] };
  const acls: Acl[] = [dhcpAcl(group, tiers)];
  let work = 0;
  for (const [index, rule] of rules.entries()) {
    const { action, direction } = rule;
    const packets = packetsOf(rule);
    const place = { direction: pipeline(direction), priority: Priority.OPERATOR_FIRST - index };
    const match = (part: Packets): string => termsOf(group, direction, part).join(' && ');
    if (tiers) {
      acls.push({ ...place, match: match(packets), action: OVN_ACTION[action], tier: Tier.OPERATOR });
      continue;
    }
    if (action === 'PASS') {
      passed[direction].push(packets);
      continue;
    }
    let left: Packets[] = [packets];
    for (const out of passed[direction]) {
      left = left.flatMap((part) => without(part, out));
      work += left.length;
      if (acls.length + left.length > MAX_ACLS || work > MAX_WORK) return undefined;
    }
    acls.push(...left.map((part): Acl => ({ ...place, match: match(part), action: OVN_ACTION[action] })));
  }
  return acls;
}

const OVN_ACTION = { ALLOW: 'allow-related', DENY: 'drop', PASS: 'pass' } as const;

/** Guests ask for their address before they have one, and nobody but OVN; the answer comes from the switch itself and meets no rule. */
function dhcpAcl(group: string, tiers: boolean): Acl {
  return {
    direction: 'from-lport',
    priority: Priority.PLATFORM,
    match: `inport == @${group} && ip4.dst == {255.255.255.255, ${DHCP_SERVER}} && udp.src == 68 && udp.dst == 67`,
    action: 'allow',
    ...(tiers ? { tier: Tier.OPERATOR } : {}),
  };
}

function packetsOf({ protocol, ports, remoteCidr }: FirewallMatch & { remoteCidr: string | null }): Packets {
  return {
    protocol,
    ports: ports === null ? ALL_PORTS : [ports.from, ports.to],
    remote: remoteCidr === null ? ANYWHERE : blockOf(remoteCidr),
  };
}

/** In the language of ovn-sb(5), Logical_Flow.match. */
function termsOf(group: string, direction: FirewallDirection, { protocol, ports, remote }: Packets): string[] {
  const terms = [`${portField(direction)} == @${group}`, 'ip4', ...protocolTerms(protocol, ports)];
  if (remote.prefixLength > 0) terms.push(`${remoteField(direction)} == ${cidrOf(remote)}`);
  return terms;
}

function protocolTerms(protocol: Protocol, [from, to]: Packets['ports']): string[] {
  switch (protocol) {
    case 'ANY':
      return [];
    case 'ICMP':
      return ['icmp4'];
    case 'OTHER':
      return [`(${OTHER_PROTOCOLS})`];
    case 'TCP':
    case 'UDP': {
      const field = `${protocol.toLowerCase()}.dst`;
      if (from === to) return [`${field} == ${from}`];
      const bounds = [...(from > ALL_PORTS[0] ? [`${field} >= ${from}`] : []), ...(to < ALL_PORTS[1] ? [`${field} <= ${to}`] : [])];
      return bounds.length > 0 ? bounds : [protocol.toLowerCase()];
    }
  }
}

const pipeline = (direction: FirewallDirection): Acl['direction'] => (direction === 'INGRESS' ? 'to-lport' : 'from-lport');
const portField = (direction: FirewallDirection): string => (direction === 'INGRESS' ? 'outport' : 'inport');
const remoteField = (direction: FirewallDirection): string => (direction === 'INGRESS' ? 'ip4.src' : 'ip4.dst');

/** Rules that say the same are one row. */
function distinct(acls: readonly Acl[]): Acl[] {
  return [...new Map(acls.map((acl) => [`${acl.direction} ${acl.match}`, acl])).values()];
}
