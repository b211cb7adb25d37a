import { describe, expect, it } from 'vitest';
import type { FirewallPolicyRule, SecurityGroupRule } from '#drivers';
import { DHCP_SERVER } from '../dhcp.js';
import { blockOf, cidrOf } from './packets.js';
import { groupAcls, operatorAcls, Priority, type Acl } from './rules.js';

const ASKS_FOR_ADDRESS = `inport == @g && ip4.dst == {255.255.255.255, ${DHCP_SERVER}} && udp.src == 68 && udp.dst == 67`;

interface Packet {
  direction: 'INGRESS' | 'EGRESS';
  /** ip.proto */
  protocol: number;
  port: number;
  remote: string;
}
type Verdict = 'ALLOW' | 'DENY' | 'PASS';

const NUMBERS = { TCP: 6, UDP: 17, ICMP: 1 } as const;
const rule = (overrides: Partial<FirewallPolicyRule> = {}): FirewallPolicyRule => ({
  action: 'DENY',
  direction: 'INGRESS',
  protocol: 'ANY',
  ports: null,
  remoteCidr: null,
  ...overrides,
});

const compiled = (rules: readonly FirewallPolicyRule[]): Acl[] => operatorAcls('g', rules, false) ?? [];

const isIn = (address: string, cidr: string): boolean => cidrOf(blockOf(`${address}/${cidr.split('/')[1]}`)) === cidrOf(blockOf(cidr));

/** What the contract says: the first rule that matches. */
function verdictOf(rules: readonly FirewallPolicyRule[], packet: Packet): Verdict {
  const found = rules.find(
    ({ direction, protocol, ports, remoteCidr }) =>
      direction === packet.direction &&
      (protocol === 'ANY' || NUMBERS[protocol] === packet.protocol) &&
      (ports === null || (packet.port >= ports.from && packet.port <= ports.to)) &&
      (remoteCidr === null || isIn(packet.remote, remoteCidr)),
  );
  return found?.action ?? 'PASS';
}

/** What a switch does: of the rules that match, the one with the highest priority, if they all say the same. */
function decided(acls: readonly Acl[], packet: Packet): Verdict {
  const pipeline = packet.direction === 'INGRESS' ? 'to-lport' : 'from-lport';
  const matching = acls.filter((acl) => acl.direction === pipeline && acl.priority !== Priority.PLATFORM && matches(acl.match, packet));
  const highest = Math.max(...matching.map(({ priority }) => priority));
  const actions = new Set(matching.filter(({ priority }) => priority === highest).map(({ action }) => action));
  expect(actions.size).toBeLessThanOrEqual(1);
  const [action] = actions;
  return action === undefined || action === 'pass' ? 'PASS' : action === 'drop' ? 'DENY' : 'ALLOW';
}

/** The part of OVN's language that rules are written in. A term about ports is about their protocol, too. */
function matches(match: string, packet: Packet): boolean {
  const term = (text: string): boolean => {
    if (/^(in|out)port == @\w+$/.test(text) || text === 'ip4') return true;
    if (text in ALIASES) return packet.protocol === ALIASES[text];
    const [, field = '', operator = '', value = ''] = /^(\S+) (==|>=|<=) (\S+)$/.exec(text) ?? [];
    if (field === 'ip4.src' || field === 'ip4.dst') {
      expect(field).toBe(packet.direction === 'INGRESS' ? 'ip4.src' : 'ip4.dst');
      return isIn(packet.remote, value);
    }
    const [owner] = field.split('.');
    if (owner !== 'ip' && packet.protocol !== ALIASES[owner ?? '']) return false;
    const number = owner === 'ip' ? packet.protocol : packet.port;
    if (operator === '==') return number === Number(value);
    return operator === '>=' ? number >= Number(value) : number <= Number(value);
  };
  const parts = match.split(/ && (?![^(]*\))/);
  return parts.every((part) => {
    if (!part.startsWith('(')) return term(part);
    return part.slice(1, -1).split(' || ').some((each) => each.replace(/[()]/g, '').split(' && ').every(term));
  });
}
const ALIASES: Record<string, number> = { tcp: 6, udp: 17, icmp4: 1 };

/** Always the same sequence, so that a failure is found again. */
function generator(seed: number): <Item>(items: readonly Item[]) => Item {
  let state = seed;
  return (items) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return items[Math.floor((state / 2_147_483_648) * items.length)] as (typeof items)[number];
  };
}

describe('rules of operators', () => {
  it('without tiers decide about every packet what the list decides, PASS rules and all', () => {
    const pick = generator(7);
    const ports = [0, 1, 79, 80, 81, 443, 444, 65_534, 65_535];
    const blocks = ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/24', '10.0.0.128/25', '10.0.0.7/32', '10.0.0.8/31', '192.0.2.0/24'];
    const seen = new Set<Verdict>();
    for (let round = 0; round < 400; round += 1) {
      const rules = Array.from({ length: 6 }, () => {
        const protocol = pick(['ANY', 'TCP', 'UDP', 'ICMP'] as const);
        const [from, to] = [pick(ports), pick(ports)].sort((one, other) => one - other) as [number, number];
        const withPorts = (protocol === 'TCP' || protocol === 'UDP') && pick([true, true, false]);
        return rule({
          action: pick(['ALLOW', 'DENY', 'PASS'] as const),
          direction: pick(['INGRESS', 'INGRESS', 'EGRESS'] as const),
          protocol,
          ports: withPorts ? { from, to } : null,
          remoteCidr: pick([null, ...blocks]),
        });
      });
      const acls = compiled(rules);
      for (let count = 0; count < 60; count += 1) {
        const packet = {
          direction: pick(['INGRESS', 'EGRESS'] as const),
          protocol: pick([0, 1, 2, 5, 6, 7, 16, 17, 18, 47, 132, 255]),
          port: pick(ports),
          remote: pick(['10.0.0.7', '10.0.0.8', '10.0.0.127', '10.0.0.128', '10.0.1.1', '11.0.0.0', '192.0.2.9', '255.255.255.255', '0.0.0.0']),
        };
        const verdict = verdictOf(rules, packet);
        seen.add(verdict);
        expect(decided(acls, packet), JSON.stringify({ rules, packet, acls })).toBe(verdict);
      }
    }
    expect(seen).toEqual(new Set(['ALLOW', 'DENY', 'PASS']));
  });

  it('without tiers leave nothing of a rule that passed packets cover, and make few rows of one that they touch', () => {
    const pass = rule({ action: 'PASS', protocol: 'TCP', ports: { from: 443, to: 443 } });
    expect(compiled([pass, rule({ protocol: 'TCP', ports: { from: 443, to: 443 } })])).toHaveLength(1);
    expect(compiled([pass, rule()]).slice(1)).toEqual([
      { direction: 'to-lport', priority: 31_999, match: 'outport == @g && ip4 && tcp.dst <= 442', action: 'drop' },
      { direction: 'to-lport', priority: 31_999, match: 'outport == @g && ip4 && tcp.dst >= 444', action: 'drop' },
      { direction: 'to-lport', priority: 31_999, match: 'outport == @g && ip4 && udp', action: 'drop' },
      { direction: 'to-lport', priority: 31_999, match: 'outport == @g && ip4 && icmp4', action: 'drop' },
      expect.objectContaining({ match: expect.stringContaining('ip.proto >= 18') as string, action: 'drop' }),
    ]);
  });

  it('without tiers are refused before they take long', () => {
    const passes = Array.from({ length: 1000 }, (_each, index) =>
      rule({ action: 'PASS', protocol: 'TCP', ports: { from: index * 2 + 1, to: index * 2 + 1 }, remoteCidr: `10.${index % 250}.7.7/32` }),
    );
    expect(operatorAcls('g', [...passes, ...Array.from({ length: 1000 }, () => rule())], false)).toBeUndefined();
    expect(operatorAcls('g', [...passes, ...Array.from({ length: 1000 }, () => rule())], true)).toHaveLength(2001);
  });

  it('with tiers are one row each, above those of groups, and pass by themselves', () => {
    const rules = [rule({ action: 'PASS', protocol: 'TCP', ports: { from: 443, to: 443 } }), rule({ action: 'ALLOW', remoteCidr: '10.0.0.0/8' }), rule()];
    expect(operatorAcls('g', rules, true)).toEqual([
      { direction: 'from-lport', priority: 32_767, match: ASKS_FOR_ADDRESS, action: 'allow', tier: 0 },
      { direction: 'to-lport', priority: 32_000, match: 'outport == @g && ip4 && tcp.dst == 443', action: 'pass', tier: 0 },
      { direction: 'to-lport', priority: 31_999, match: 'outport == @g && ip4 && ip4.src == 10.0.0.0/8', action: 'allow-related', tier: 0 },
      { direction: 'to-lport', priority: 31_998, match: 'outport == @g && ip4', action: 'drop', tier: 0 },
    ]);
    expect(groupAcls('g', [], (id) => id, true).map(({ tier, action }) => [tier, action])).toEqual([
      [0, 'allow'],
      [1, 'drop'],
      [1, 'drop'],
    ]);
  });
});

describe('rules of a security group', () => {
  const groupRule = (overrides: Partial<SecurityGroupRule> = {}): SecurityGroupRule => ({
    direction: 'INGRESS',
    protocol: 'TCP',
    ports: { from: 80, to: 90 },
    remoteCidr: null,
    remoteSecurityGroupId: null,
    ...overrides,
  });

  it('allow what they name and leave nothing else, below all that operators say', () => {
    const rules = [groupRule({ remoteSecurityGroupId: 'other' }), groupRule({ direction: 'EGRESS', protocol: 'ICMP', ports: null, remoteCidr: '10.0.0.77/8' })];
    expect(groupAcls('g', rules, (id) => `muon_${id}`, false)).toEqual([
      { direction: 'from-lport', priority: 32_767, match: ASKS_FOR_ADDRESS, action: 'allow' },
      { direction: 'to-lport', priority: 2_000, match: 'outport == @g && ip4 && tcp.dst >= 80 && tcp.dst <= 90 && ip4.src == $muon_other_ip4', action: 'allow-related' },
      { direction: 'from-lport', priority: 2_000, match: 'inport == @g && ip4 && icmp4 && ip4.dst == 10.0.0.0/8', action: 'allow-related' },
      { direction: 'to-lport', priority: 1_000, match: 'outport == @g && ip', action: 'drop' },
      { direction: 'from-lport', priority: 1_000, match: 'inport == @g && ip', action: 'drop' },
    ]);
    expect(Priority.OPERATOR_LAST).toBeGreaterThan(Priority.GROUP_ALLOW);
  });

  it('that say the same are one row', () => {
    expect(groupAcls('g', [groupRule(), groupRule()], (id) => id, false)).toHaveLength(4);
  });
});
