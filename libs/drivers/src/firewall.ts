import type { DriverCall, Outcome, Ownership } from './call.js';

/** As seen from the machine that has the port: INGRESS comes to it, EGRESS leaves it. */
export type FirewallDirection = 'INGRESS' | 'EGRESS';

/** All rules are about IPv4. ANY is every protocol over IP, those that are not named here among them. */
export type FirewallProtocol = 'ANY' | 'TCP' | 'UDP' | 'ICMP';

/** Which packets begin what a rule decides about. Their answers, and errors about them, follow them. */
export interface FirewallMatch {
  direction: FirewallDirection;
  protocol: FirewallProtocol;
  /** Ports of the receiver, both ends included, of TCP and UDP only; every port when null. */
  ports: { from: number; to: number } | null;
}

/** Allows what it matches. The other end is in a block, in a group, or anywhere when neither is named. */
export interface SecurityGroupRule extends FirewallMatch {
  remoteCidr: string | null;
  /** Its members' addresses, whichever they are at the time; a group that the backend has not got has none. */
  remoteSecurityGroupId: string | null;
}

export interface SecurityGroupSpecification {
  securityGroupId: string;
  revision: number;
  ownership: Ownership;
  /** In no order: whatever one of them allows is allowed. */
  rules: SecurityGroupRule[];
}

/** ALLOW and DENY are final; PASS leaves the packet to the security groups, past all that the firewall says after it. */
export type FirewallAction = 'ALLOW' | 'DENY' | 'PASS';

export interface FirewallPolicyRule extends FirewallMatch {
  action: FirewallAction;
  /** Where the other end is; anywhere when null. */
  remoteCidr: string | null;
}

/** Whose ports a policy is about: everybody's, a tenant's, or a project's. */
export type FirewallScope =
  | { kind: 'ALL' }
  | { kind: 'TENANT'; tenantId: string }
  | { kind: 'PROJECT'; tenantId: string; projectId: string };

export interface FirewallPolicySpecification {
  scope: FirewallScope;
  /** The first that matches decides. */
  rules: FirewallPolicyRule[];
}

/** Everything that the operators of an installation say, above what tenants say. */
export interface FirewallSpecification {
  firewallId: string;
  revision: number;
  installationId: string;
  /** In their order: the rules of the first come before those of the second. */
  policies: FirewallPolicySpecification[];
}

/**
 * The verdict on a packet that begins something: the first rule of the firewall that matches, if it is ALLOW or DENY.
 * Otherwise a port in no security group is open, and a port in some gets what a rule of any of them allows. ARP and DHCP
 * pass whatever the rules say; a rule that closes what was open also ends what is under way.
 *
 * The methods keep to what `NetworkDriver` says of `ensure` and `remove`. They need the capability `firewall`.
 */
export interface FirewallDriver {
  ensureSecurityGroup(call: DriverCall, group: SecurityGroupSpecification): Promise<Outcome<void>>;
  /** A group that still has ports is INVALID_STATE. */
  removeSecurityGroup(call: DriverCall, securityGroupId: string): Promise<Outcome<void>>;
  /** An installation has one firewall. Ports that come later are under it from their beginning. */
  ensureFirewall(call: DriverCall, firewall: FirewallSpecification): Promise<Outcome<void>>;
  removeFirewall(call: DriverCall, firewallId: string): Promise<Outcome<void>>;
}
