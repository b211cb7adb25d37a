import { describe, expect, it } from 'vitest';
import type { FirewallPolicyRow, PolicyRule } from '../firewall-policy/firewall-policy.js';
import type { SecurityGroupRow, SecurityRule } from '../security-group/security-group.js';
import { verdictOf, type Packet, type Rules } from './verdict.js';

const packet = (more: Partial<Packet> = {}): Packet => ({
  direction: 'INGRESS',
  protocol: 'TCP',
  port: 80,
  remoteAddress: '10.0.0.9',
  remoteGroupIds: new Set(['sgp_clients']),
  ...more,
});
const match = { direction: 'INGRESS', protocol: 'TCP', ports: { from: 80, to: 90 }, remoteCidr: null, description: '' } as const;
const group = (...rules: Partial<SecurityRule>[]): SecurityGroupRow =>
  ({ id: 'sgp_web', name: 'web', rules: rules.map((rule) => ({ ...match, remoteSecurityGroupId: null, ...rule })) }) as SecurityGroupRow;
const policy = (scope: [tenantId: string | null, projectId: string | null], ...rules: Partial<PolicyRule>[]): FirewallPolicyRow =>
  ({ id: 'fwp_1', name: 'one', scope_tenant_id: scope[0], scope_project_id: scope[1], rules: rules.map((rule) => ({ ...match, action: 'DENY', ...rule })) }) as FirewallPolicyRow;
const rules = (more: Partial<Rules> = {}): Rules => ({ tenantId: 'ten_1', projectId: 'prj_1', policies: [], groups: [], ...more });

describe('the verdict on a packet', () => {
  it('is that of the groups, of any of their rules; a port in none is open', () => {
    expect(verdictOf(packet(), rules())).toEqual({ allowed: true, by: 'NO_SECURITY_GROUP' });
    expect(verdictOf(packet(), rules({ groups: [group()] }))).toEqual({ allowed: false, by: 'NO_RULE' });
    expect(verdictOf(packet(), rules({ groups: [group(), group({})] }))).toMatchObject({ allowed: true, by: 'SECURITY_GROUP', group: { id: 'sgp_web' } });
  });

  it.each([
    [{ port: 79 }, {}, false],
    [{ port: 90 }, {}, true],
    [{ protocol: 'UDP' as const }, {}, false],
    [{ protocol: 'ICMP' as const, port: null }, { protocol: 'ANY' as const, ports: null }, true],
    [{ direction: 'EGRESS' as const }, {}, false],
    [{}, { remoteCidr: '10.0.0.8/30' }, true],
    [{ remoteAddress: '10.0.0.12' }, { remoteCidr: '10.0.0.8/30' }, false],
    [{}, { remoteSecurityGroupId: 'sgp_clients' }, true],
    [{ remoteGroupIds: new Set<string>() }, { remoteSecurityGroupId: 'sgp_clients' }, false],
  ])('of %j by %j is %s', (what, rule, allowed) => {
    expect(verdictOf(packet(what), rules({ groups: [group(rule)] })).allowed).toBe(allowed);
  });

  it('is first that of operators, in the order of their policies, of those about the port', () => {
    const groups = [group({})];
    expect(verdictOf(packet(), rules({ groups, policies: [policy([null, null], {})] }))).toMatchObject({ allowed: false, by: 'FIREWALL_POLICY' });
    expect(verdictOf(packet(), rules({ policies: [policy(['ten_1', null], { action: 'ALLOW' }), policy([null, null], {})] }))).toMatchObject({ allowed: true });
    expect(verdictOf(packet(), rules({ policies: [policy(['ten_2', null], {}), policy(['ten_1', 'prj_2'], {})] }))).toMatchObject({ by: 'NO_SECURITY_GROUP' });
    expect(verdictOf(packet(), rules({ policies: [policy(['ten_1', 'prj_1'], {})] }))).toMatchObject({ allowed: false });
  });

  it('is that of the groups for what operators pass on, past all that they say after it', () => {
    const policies = [policy([null, null], { action: 'PASS' }), policy([null, null], { protocol: 'ANY', ports: null })];
    expect(verdictOf(packet(), rules({ policies, groups: [group()] }))).toEqual({ allowed: false, by: 'NO_RULE' });
    expect(verdictOf(packet(), rules({ policies, groups: [group({})] }))).toMatchObject({ allowed: true, by: 'SECURITY_GROUP' });
    expect(verdictOf(packet({ port: 22 }), rules({ policies, groups: [group({ ports: null })] }))).toMatchObject({ allowed: false, by: 'FIREWALL_POLICY' });
  });
});
