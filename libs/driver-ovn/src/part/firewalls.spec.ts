import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { FirewallSpecification, NetworkSpecification, PortSpecification } from '#drivers';
import { Transaction } from '#ovsdb';
import { DHCP_SERVER } from '../dhcp.js';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import { gatewayMac, groupName, rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { callOf, DONE, finish, firewallOf, groupOf, networkOf, optionsOf, OWNERSHIP, policyRule, portOf, refused } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';
import { TestHost } from '../testing/test-host.js';
import { scopeUuid } from './firewalls.js';

const WEB = { from: 80, to: 80 };

describe.skipIf(ovnIsMissing)('security groups and the firewall', () => {
  let ovn: TestOvn;
  let host: TestHost;
  let driver: OvnNetworkDriver;
  let network: NetworkSpecification;
  let client: PortSpecification;
  let server: PortSpecification;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    host = await TestHost.start(ovn.southbound.unix, 'host-1');
    driver = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    await host[Symbol.asyncDispose]();
    await ovn[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await driver.removeFirewall(callOf(), 'fwl_1');
    network = networkOf();
    await driver.ensureNetwork(callOf(), network);
    client = portOf(network);
    server = portOf(network, { macAddress: '02:00:00:00:00:02', ipAddress: '10.0.0.11' });
    for (const port of [client, server]) await driver.ensurePort(callOf(), port);
  });

  /** Whether the first packet of a connection from the client to the server comes through. */
  async function passes(what = 'tcp.src == 40000 && tcp.dst == 80'): Promise<boolean> {
    await finish(async () => driver.realised(callOf(), network.networkId));
    const from = `inport == "${client.portId}" && eth.src == ${client.macAddress} && ip4.src == ${client.ipAddress}`;
    const to = `eth.dst == ${server.macAddress} && ip4.dst == ${server.ipAddress} && ip.ttl == 64`;
    return ovn.trace(`${from} && ${to} && ${what}`, '--ct=new', '--ct=new').includes(`output("${server.portId}")`);
  }
  async function groupRows(): Promise<(Pick<Northbound['Port_Group'], 'name' | 'ports' | 'acls'> & { _uuid: string })[]> {
    const reading = new Transaction<Northbound>();
    const groups = reading.select('Port_Group', [], ['name', 'ports', 'acls']);
    return (await ovn.nb.transact(reading)).of(groups);
  }
  async function membersOf(uuid: string): Promise<ReadonlySet<string> | undefined> {
    return (await groupRows()).find((row) => row._uuid === uuid)?.ports;
  }
  const uuidOf = (port: PortSpecification): string => rowUuid('Logical_Switch_Port', port.portId);
  const scopeOf = (scope: string): string => scopeUuid(OWNERSHIP.installationId, scope);

  async function serverIn(...groups: string[]): Promise<void> {
    server = { ...server, revision: server.revision + 1, securityGroupIds: groups };
    expect(await driver.ensurePort(callOf(), server)).toEqual(DONE);
  }
  async function firewall(policies: FirewallSpecification['policies'], revision = 1): Promise<void> {
    expect(await driver.ensureFirewall(callOf(), firewallOf(policies, { revision }))).toEqual(DONE);
  }

  it('a port in no group is open; in a group it gets what the rules of its groups allow together', async () => {
    expect(await passes()).toBe(true);
    const closed = groupOf();
    const web = groupOf([{ ports: WEB }]);
    for (const group of [closed, web]) await driver.ensureSecurityGroup(callOf(), group);
    await serverIn(closed.securityGroupId);
    expect(await passes()).toBe(false);
    await serverIn(closed.securityGroupId, web.securityGroupId);
    expect(await passes()).toBe(true);
    expect(await passes('tcp.src == 40000 && tcp.dst == 81')).toBe(false);
    expect(await passes('udp.src == 40000 && udp.dst == 80')).toBe(false);
    await driver.ensureSecurityGroup(callOf(), { ...web, revision: 2, rules: [] });
    expect(await passes()).toBe(false);
    await serverIn();
    expect(await passes()).toBe(true);
  });

  it('what leaves a port is ruled too, but for asking for its address', async () => {
    const closed = groupOf();
    await driver.ensureSecurityGroup(callOf(), closed);
    client = { ...client, revision: 2, securityGroupIds: [closed.securityGroupId] };
    await driver.ensurePort(callOf(), client);
    expect(await passes()).toBe(false);
    const discover = 'udp.src == 68 && udp.dst == 67 && ip4.src == 0.0.0.0 && ip4.dst == 255.255.255.255 && eth.dst == ff:ff:ff:ff:ff:ff';
    expect(ovn.detail(`inport == "${client.portId}" && eth.src == ${client.macAddress} && ${discover} && ip.ttl == 64`)).toContain('offerip = 10.0.0.10');
    // Nor is it a way to another guest, which a lease is not renewed at.
    const asking = 'udp.src == 68 && udp.dst == 67';
    expect(await passes(asking)).toBe(false);
    const renewal = `${asking} && ip4.src == 10.0.0.10 && ip4.dst == ${DHCP_SERVER} && eth.dst == ${gatewayMac(client.subnetId)}`;
    expect(ovn.detail(`inport == "${client.portId}" && eth.src == ${client.macAddress} && ${renewal} && ip.ttl == 64`)).toContain('offerip = 10.0.0.10');
    await driver.ensureSecurityGroup(callOf(), { ...groupOf([{ direction: 'EGRESS', protocol: 'ANY', remoteCidr: '10.0.0.8/30' }]), securityGroupId: closed.securityGroupId, revision: 2 });
    expect(await passes()).toBe(true);
  });

  it('a rule may name a group: those who are in it now, and nobody while the backend has not got it', async () => {
    const clients = groupOf([{ direction: 'EGRESS', protocol: 'ANY' }]);
    const web = groupOf([{ ports: WEB, remoteSecurityGroupId: clients.securityGroupId }]);
    await driver.ensureSecurityGroup(callOf(), web);
    await serverIn(web.securityGroupId);
    expect(await passes()).toBe(false);
    await driver.ensureSecurityGroup(callOf(), clients);
    expect(await passes()).toBe(false);
    client = { ...client, revision: 2, securityGroupIds: [clients.securityGroupId] };
    await driver.ensurePort(callOf(), client);
    expect(await passes()).toBe(true);
  });

  it('the firewall is above the groups, and stands over ports in no group', async () => {
    const web = groupOf([{ ports: WEB }]);
    await driver.ensureSecurityGroup(callOf(), web);
    await firewall([{ scope: { kind: 'ALL' }, rules: [policyRule({ ports: WEB })] }]);
    expect(await passes()).toBe(false);
    await serverIn(web.securityGroupId);
    expect(await passes()).toBe(false);
    await firewall([{ scope: { kind: 'ALL' }, rules: [policyRule({ action: 'ALLOW', ports: { from: 81, to: 81 } }), policyRule()] }], 2);
    expect(await passes('tcp.src == 40000 && tcp.dst == 81')).toBe(true);
    expect(await passes()).toBe(false);
    await firewall([], 3);
    expect(await passes()).toBe(true);
    expect(await passes('tcp.src == 40000 && tcp.dst == 81')).toBe(false);
  });

  it('PASS leaves a packet to the groups, past all that comes after', async () => {
    const web = groupOf([{ ports: { from: 80, to: 81 } }]);
    await driver.ensureSecurityGroup(callOf(), web);
    const policies = [
      { scope: { kind: 'TENANT' as const, tenantId: OWNERSHIP.tenantId }, rules: [policyRule({ action: 'PASS', ports: { from: 80, to: 90 } })] },
      { scope: { kind: 'ALL' as const }, rules: [policyRule({ protocol: 'ANY' })] },
    ];
    await firewall(policies);
    // In no group: open to what is passed on.
    expect(await passes()).toBe(true);
    expect(await passes('tcp.src == 40000 && tcp.dst == 91')).toBe(false);
    expect(await passes('icmp4.type == 8 && icmp4.code == 0')).toBe(false);
    await serverIn(web.securityGroupId);
    expect(await passes()).toBe(true);
    expect(await passes('tcp.src == 40000 && tcp.dst == 82')).toBe(false);
  });

  it('a port is under the narrowest scope that there is, with all that wider ones say, from its beginning and when scopes come and go', async () => {
    const { tenantId, projectId } = OWNERSHIP;
    const all = { scope: { kind: 'ALL' as const }, rules: [policyRule({ ports: WEB })] };
    const project = { scope: { kind: 'PROJECT' as const, tenantId, projectId }, rules: [policyRule({ action: 'ALLOW', ports: WEB })] };
    const elsewhere = portOf(network, { ownership: { ...OWNERSHIP, tenantId: 'tenant_9', projectId: 'project_9' }, macAddress: '02:00:00:00:00:09', ipAddress: '10.0.0.19' });
    await driver.ensurePort(callOf(), elsewhere);
    await firewall([all]);
    expect(await membersOf(scopeOf('ALL'))).toEqual(new Set((await allPorts()).keys()));
    await firewall([project, all], 2);
    const members = await membersOf(scopeOf(projectId));
    expect(members).toContain(uuidOf(server));
    expect(members).not.toContain(uuidOf(elsewhere));
    expect(await membersOf(scopeOf('ALL'))).toContain(uuidOf(elsewhere));
    expect(await membersOf(scopeOf('ALL'))).not.toContain(uuidOf(server));
    expect(await passes()).toBe(true);
    const late = portOf(network, { macAddress: '02:00:00:00:00:03', ipAddress: '10.0.0.12' });
    await driver.ensurePort(callOf(), late);
    expect(await membersOf(scopeOf(projectId))).toContain(uuidOf(late));
    await firewall([all], 3);
    expect(await membersOf(scopeOf(projectId))).toBeUndefined();
    expect(await membersOf(scopeOf('ALL'))).toContain(uuidOf(late));
    expect(await passes()).toBe(false);
    // One that was overtaken changes nothing.
    expect(await driver.ensureFirewall(callOf(), firewallOf([], { revision: 2 }))).toEqual(DONE);
    expect(await passes()).toBe(false);
  });

  async function allPorts(): Promise<Map<string, string>> {
    const reading = new Transaction<Northbound>();
    const ports = reading.select('Logical_Switch_Port', [['external_ids', 'includes', new Map([['muon:kind', 'PORT']])]], ['name']);
    return new Map((await ovn.nb.transact(reading)).of(ports).map((row) => [row._uuid, row.name]));
  }

  it('no port that comes while scopes come and go is left where it does not belong', async () => {
    const { tenantId, projectId } = OWNERSHIP;
    const all = { scope: { kind: 'ALL' as const }, rules: [policyRule({ ports: WEB })] };
    const narrower = [
      { scope: { kind: 'TENANT' as const, tenantId }, rules: [policyRule()] },
      { scope: { kind: 'PROJECT' as const, tenantId, projectId }, rules: [policyRule()] },
    ];
    const ports = Array.from({ length: 40 }, (_each, index) =>
      portOf(network, { macAddress: `02:00:00:00:01:${index.toString(16).padStart(2, '0')}`, ipAddress: `10.0.0.${100 + index}` }),
    );
    const changes = async (): Promise<void> => {
      for (let revision = 1; revision <= 12; revision += 1) {
        const policies = [all, ...narrower.filter((_each, index) => (revision >> index) % 2 === 0)];
        await finish(async () => driver.ensureFirewall(callOf(), firewallOf(policies, { revision })));
      }
    };
    await Promise.all([changes(), ...ports.map(async (port) => finish(async () => driver.ensurePort(callOf(), port)))]);
    // Twelve has neither of the last two bits: both narrower scopes are there.
    const groups = (await groupRows()).filter(({ _uuid }) => [scopeOf('ALL'), scopeOf(tenantId), scopeOf(projectId)].includes(_uuid));
    for (const port of ports) expect(groups.filter(({ ports: members }) => members.has(uuidOf(port))).map(({ _uuid }) => _uuid)).toEqual([scopeOf(projectId)]);
  });

  it('repairs rows that were deleted or changed behind its back', async () => {
    const web = groupOf([{ ports: WEB }]);
    await driver.ensureSecurityGroup(callOf(), web);
    await serverIn(web.securityGroupId);
    const { name, uuid } = { name: groupName(web.securityGroupId), uuid: rowUuid('Port_Group', web.securityGroupId) };
    const rules = firewallOf([{ scope: { kind: 'ALL' }, rules: [policyRule({ ports: { from: 22, to: 22 } })] }]);
    await driver.ensureFirewall(callOf(), rules);
    const before = await state();
    const damages: Parameters<TestOvn['write']>[0][] = [
      (transaction) => void transaction.delete('Port_Group', [['name', '==', name]]),
      (transaction) => void transaction.update('Port_Group', [['name', '==', name]], { acls: [], ports: [] }),
      (transaction) => void transaction.update('ACL', [['match', '==', `outport == @${name} && ip`]], { action: 'allow' }),
      (transaction) => void transaction.update('ACL', [['priority', '==', 32_000]], { match: 'ip6' }),
      (transaction) => void transaction.update('Port_Group', [['_uuid', '==', scopeOf('ALL')]], { ports: [] }),
      (transaction) => void transaction.delete('Port_Group', [['_uuid', '==', scopeOf('ALL')]]),
      (transaction) => {
        const added = transaction.insert('ACL', { direction: 'to-lport', priority: 3_000, match: 'ip4', action: 'allow' });
        transaction.mutate('Port_Group', [['name', '==', name]], [['acls', 'insert', added]]);
      },
      (transaction) => void transaction.mutate('Port_Group', [['_uuid', '==', scopeOf('ALL')]], [['ports', 'delete', [uuidOf(server)]]]),
    ];
    for (const [index, damage] of damages.entries()) {
      await ovn.write(damage);
      expect(await state(), `damage ${index}`).not.toEqual(before);
      await driver.ensureSecurityGroup(callOf(), web);
      await driver.ensureFirewall(callOf(), rules);
      await driver.ensurePort(callOf(), server);
      expect(await state(), `damage ${index}`).toEqual(before);
    }
    expect(await membersOf(uuid)).toEqual(new Set([uuidOf(server)]));
    await refused(driver.removeSecurityGroup(callOf(), web.securityGroupId), 'INVALID_STATE');
    await serverIn();
    expect(await driver.removeSecurityGroup(callOf(), web.securityGroupId)).toEqual(DONE);
    expect(await membersOf(uuid)).toBeUndefined();
  });

  async function state(): Promise<unknown> {
    const reading = new Transaction<Northbound>();
    const groups = reading.select('Port_Group', [], ['name', 'ports', 'acls', 'external_ids']);
    const acls = reading.select('ACL', [], ['direction', 'priority', 'match', 'action', 'external_ids']);
    const found = await ovn.nb.transact(reading);
    const byUuid = <Row extends { _uuid: string }>(rows: readonly Row[]): Row[] => [...rows].sort((one, other) => (one._uuid < other._uuid ? -1 : 1));
    return [byUuid(found.of(groups)), byUuid(found.of(acls))];
  }

  it('leaves groups alone that others have made by hand', async () => {
    await ovn.write((transaction) => void transaction.insert('Port_Group', { name: 'by_hand', ports: [uuidOf(server)] }));
    await serverIn();
    expect((await groupRows()).find(({ name }) => name === 'by_hand')?.ports).toEqual(new Set([uuidOf(server)]));
  });

  it.each([
    ['group.rules.0.ports', { ports: { from: 90, to: 80 } }],
    ['group.rules.0.ports', { protocol: 'ICMP' as const, ports: WEB }],
    ['group.rules.0.remoteCidr', { remoteCidr: '10.0.0.0/33' }],
    ['group.rules.0.remoteCidr', { remoteCidr: '10.0.0.0/8', remoteSecurityGroupId: 'sgp_1' }],
  ])('refuses a wrong %s', async (field, wrong) => {
    expect((await refused(driver.ensureSecurityGroup(callOf(), groupOf([wrong])), 'INVALID_INPUT')).field).toBe(field);
  });

  it('refuses a firewall whose PASS rules would become too many', async () => {
    const passes = Array.from({ length: 200 }, (_each, index) => policyRule({ action: 'PASS', ports: { from: index * 2 + 1, to: index * 2 + 1 }, remoteCidr: `10.${index}.7.7/32` }));
    const rules = [...passes, ...Array.from({ length: 50 }, () => policyRule())];
    const error = await refused(driver.ensureFirewall(callOf(), firewallOf([{ scope: { kind: 'ALL' }, rules }])), 'INVALID_INPUT');
    expect(error.field).toBe('firewall.policies');
  });
});
