import type { FirewallDirection, FirewallProtocol } from '#drivers';
import { scopeOf, type FirewallPolicyRow, type PolicyRule } from '../firewall-policy/firewall-policy.js';
import type { SecurityGroupRow, SecurityRule } from '../security-group/security-group.js';
import { holdsAddress } from '../address/ipv4.js';

/** The first packet of a connection, as one port sees it. */
export interface Packet {
  direction: FirewallDirection;
  /** ANY is whatever rules do not name, as SCTP. */
  protocol: FirewallProtocol;
  /** Of the receiver; null where the protocol has none. */
  port: number | null;
  remoteAddress: string;
  /** Groups that a port with the remote address is in. */
  remoteGroupIds: ReadonlySet<string>;
}

export type Verdict = { allowed: boolean } & (
  | { by: 'FIREWALL_POLICY'; policy: FirewallPolicyRow; rule: PolicyRule }
  | { by: 'SECURITY_GROUP'; group: SecurityGroupRow; rule: SecurityRule }
  /** It is in groups, and none of their rules matches. */
  | { by: 'NO_RULE' }
  | { by: 'NO_SECURITY_GROUP' }
);

/** What stands over a port: policies in force in their order, those about others among them, and its groups. */
export interface Rules {
  tenantId: string;
  projectId: string;
  policies: readonly FirewallPolicyRow[];
  groups: readonly SecurityGroupRow[];
}

/** What becomes of the packet, by the rules of `FirewallDriver`, and which of them decides. */
export function verdictOf(packet: Packet, { tenantId, projectId, policies, groups }: Rules): Verdict {
  const applies = (policy: FirewallPolicyRow): boolean => {
    const scope = scopeOf(policy);
    if (scope.kind === 'ALL') return true;
    return scope.kind === 'TENANT' ? scope.tenantId === tenantId : scope.projectId === projectId;
  };
  const said = policies.filter(applies).flatMap((policy) => policy.rules.map((rule) => ({ policy, rule })));
  const first = said.find(({ rule }) => matches(rule, packet));
  if (first !== undefined && first.rule.action !== 'PASS') return { allowed: first.rule.action === 'ALLOW', by: 'FIREWALL_POLICY', ...first };
  if (groups.length === 0) return { allowed: true, by: 'NO_SECURITY_GROUP' };
  for (const group of groups) {
    const rule = group.rules.find((each) => matches(each, packet) && isFrom(each, packet));
    if (rule !== undefined) return { allowed: true, by: 'SECURITY_GROUP', group, rule };
  }
  return { allowed: false, by: 'NO_RULE' };
}

function matches({ direction, protocol, ports, remoteCidr }: Omit<SecurityRule, 'remoteSecurityGroupId'>, packet: Packet): boolean {
  if (direction !== packet.direction) return false;
  if (protocol !== 'ANY' && protocol !== packet.protocol) return false;
  if (ports !== null && (packet.port === null || packet.port < ports.from || packet.port > ports.to)) return false;
  return remoteCidr === null || holdsAddress(remoteCidr, packet.remoteAddress);
}

const isFrom = ({ remoteSecurityGroupId: id }: SecurityRule, { remoteGroupIds }: Packet): boolean => id === null || remoteGroupIds.has(id);
