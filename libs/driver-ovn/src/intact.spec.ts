import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { typeidUnboxed } from 'typeid-js';
import { sleep } from '#core';
import type {
  BackendEvent,
  ExternalNetworkSpecification,
  FloatingIpSpecification,
  LoadBalancerSpecification,
  NetworkSpecification,
  ObservedNetworkPart,
  PortSpecification,
  RouterSpecification,
  SecurityGroupSpecification,
} from '#drivers';
import { Transaction } from '#ovsdb';
import { Proxy } from '#ovsdb/testing';
import { openOvnNetwork, type OvnNetworkDriver } from './index.js';
import { carries, Mark, partOf, type ExternalIds } from './marks.js';
import { rowUuid } from './names.js';
import type { MarkedTable, Northbound } from './schema/northbound.js';
import { balancerOf, callOf, finish, firewallOf, groupOf, INSTALLATION, networkOf, optionsOf, OWNERSHIP, policyRule, portOf, refused, subnetOf } from './testing/fixtures.js';
import { ovnIsMissing, TestOvn } from './testing/ovn.js';

/** Where a part's rows are, and what of each is told by the driver. */
const CONTENT: { readonly [Table in MarkedTable]: readonly (keyof Northbound[Table] & string)[] } = {
  Logical_Router: ['name', 'ports', 'static_routes', 'nat', 'load_balancer'],
  Logical_Router_Port: ['name', 'mac', 'networks', 'peer', 'gateway_chassis', 'ha_chassis_group'],
  Logical_Router_Static_Route: ['ip_prefix', 'nexthop', 'output_port'],
  Gateway_Chassis: ['name', 'chassis_name', 'priority'],
  HA_Chassis_Group: ['name', 'ha_chassis'],
  HA_Chassis: ['chassis_name', 'priority'],
  NAT: ['type', 'external_ip', 'logical_ip', 'external_mac', 'logical_port', 'options'],
  Logical_Switch: ['name', 'ports', 'load_balancer', 'dns_records'],
  Logical_Switch_Port: ['name', 'type', 'addresses', 'port_security', 'options', 'dhcpv4_options'],
  DHCP_Options: ['cidr', 'options'],
  DNS: ['records'],
  Load_Balancer: ['name', 'protocol', 'vips', 'options', 'ip_port_mappings', 'health_check'],
  Port_Group: ['name', 'ports', 'acls'],
  ACL: ['direction', 'priority', 'match', 'action'],
  Load_Balancer_Health_Check: ['vip', 'options'],
};
const TABLES = Object.keys(CONTENT) as MarkedTable[];
const PORTS = 40;

interface Cell {
  table: MarkedTable;
  uuid: string;
  column: string;
  value: unknown;
}

describe.skipIf(ovnIsMissing)('what somebody does to a network by hand', () => {
  let ovn: TestOvn;
  let driver: OvnNetworkDriver;
  /** Tells a part again, by its id. */
  let tell: Map<string, () => Promise<void>>;

  let network: NetworkSpecification;
  let back: NetworkSpecification;
  let group: SecurityGroupSpecification;
  let web: PortSpecification;
  let plain: PortSpecification;
  let balancer: LoadBalancerSpecification;
  let outside: ExternalNetworkSpecification;
  let router: RouterSpecification;
  let toPort: FloatingIpSpecification;
  let toBalancer: FloatingIpSpecification;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    driver = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    await ovn[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    await ovn.write((transaction) => {
      for (const table of TABLES) transaction.delete(table, [carries({ INSTALLATION })]);
    });
    tell = new Map();
    network = networkOf({ domain: 'demo.internal', subnets: [subnetOf({ healthCheckAddress: '10.0.0.254' }), subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' })] });
    back = networkOf({ subnets: [subnetOf({ cidr: '10.1.0.0/24', gatewayAddress: '10.1.0.1' })] });
    group = groupOf([{ ports: { from: 80, to: 80 } }]);
    web = portOf(network, { name: 'web', securityGroupIds: [group.securityGroupId] });
    plain = portOf(back, { ipAddress: '10.1.0.10', macAddress: '02:00:00:00:00:02' });
    balancer = balancerOf(network, { name: 'front' });
    outside = { externalNetworkId: typeidUnboxed('extnet'), revision: 1, installationId: INSTALLATION, physicalNetwork: 'physnet1', cidr: '198.51.100.0/24', gatewayAddress: '198.51.100.1' };
    router = {
      routerId: typeidUnboxed('rtr'),
      revision: 1,
      ownership: OWNERSHIP,
      networks: [network, back].map(({ networkId }, link) => ({ networkId, link })),
      uplink: { externalNetworkId: outside.externalNetworkId, address: '198.51.100.10', sourceNat: true, gatewayHostNames: ['host-1', 'host-2'] },
    };
    const floating = { revision: 1, ownership: OWNERSHIP, routerId: router.routerId };
    toPort = { ...floating, floatingIpId: typeidUnboxed('fip'), networkId: back.networkId, address: '198.51.100.11', target: { kind: 'PORT', portId: plain.portId } };
    toBalancer = { ...floating, floatingIpId: typeidUnboxed('fip'), networkId: network.networkId, address: '198.51.100.12', target: { kind: 'LOAD_BALANCER', loadBalancerId: balancer.loadBalancerId } };
    const provider = {
      providerRouterId: typeidUnboxed('prr'),
      revision: 1,
      installationId: INSTALLATION,
      externalNetworkId: outside.externalNetworkId,
      address: '198.51.100.13',
      transitCidr: '100.64.0.0/16',
      transitAddress: '100.64.255.254',
      gatewayHostNames: ['host-1', 'host-2'],
    };
    const { providerRouterId } = provider;
    const far = networkOf({ subnets: [subnetOf()] });
    const behind = {
      routerId: typeidUnboxed('rtr'),
      revision: 1,
      ownership: OWNERSHIP,
      networks: [{ networkId: far.networkId, link: 0 }],
      uplink: { providerRouterId, address: '100.64.1.10', sourceNat: true },
    };
    const farPort = portOf(far, { macAddress: '02:00:00:00:00:03' });
    const through: FloatingIpSpecification = {
      ...toPort,
      floatingIpId: typeidUnboxed('fip'),
      routerId: behind.routerId,
      networkId: far.networkId,
      address: '198.51.100.14',
      transit: { providerRouterId, address: '100.64.2.10' },
      target: { kind: 'PORT', portId: farPort.portId },
    };
    const firewall = firewallOf([
      { scope: { kind: 'ALL' }, rules: [policyRule({ ports: { from: 25, to: 25 } })] },
      { scope: { kind: 'TENANT', tenantId: OWNERSHIP.tenantId }, rules: [policyRule({ action: 'PASS', ports: { from: 80, to: 90 } })] },
    ]);

    const done = (id: string, attempt: Parameters<typeof finish<void>>[0]): void => void tell.set(id, async () => finish(attempt));
    done(network.networkId, async () => driver.ensureNetwork(callOf(), network));
    done(back.networkId, async () => driver.ensureNetwork(callOf(), back));
    done(group.securityGroupId, async () => driver.ensureSecurityGroup(callOf(), group));
    done(firewall.firewallId, async () => driver.ensureFirewall(callOf(), firewall));
    done(web.portId, async () => driver.ensurePort(callOf(), web));
    done(plain.portId, async () => driver.ensurePort(callOf(), plain));
    done(balancer.loadBalancerId, async () => driver.ensureLoadBalancer(callOf(), balancer));
    done(outside.externalNetworkId, async () => driver.ensureExternalNetwork(callOf(), outside));
    done(router.routerId, async () => driver.ensureRouter(callOf(), router));
    done(toPort.floatingIpId, async () => driver.ensureFloatingIp(callOf(), toPort));
    done(toBalancer.floatingIpId, async () => driver.ensureFloatingIp(callOf(), toBalancer));
    done(far.networkId, async () => driver.ensureNetwork(callOf(), far));
    done(farPort.portId, async () => driver.ensurePort(callOf(), farPort));
    done(providerRouterId, async () => driver.ensureProviderRouter(callOf(), provider));
    done(behind.routerId, async () => driver.ensureRouter(callOf(), behind));
    done(through.floatingIpId, async () => driver.ensureFloatingIp(callOf(), through));
    for (const each of tell.values()) await each();
  });

  async function parts(): Promise<ObservedNetworkPart[]> {
    // With the answer of any call its replica has what was written before.
    await driver.removePort(callOf(), 'port_of_nobody');
    return driver.listParts(callOf(), null, 1_000);
  }
  async function damaged(): Promise<string[]> {
    return (await parts()).filter(({ isIntact }) => !isIntact).map(({ id }) => id);
  }

  /** Tells again what is missing or damaged, those first that others build on, until nothing is. */
  async function mend(): Promise<void> {
    for (let round = 0; round < 3; round += 1) {
      const intact = new Set((await parts()).flatMap(({ id, isIntact }) => (isIntact ? [id] : [])));
      const wrong = [...tell.keys()].filter((id) => !intact.has(id));
      if (wrong.length === 0) return;
      for (const id of wrong) await tell.get(id)?.();
    }
  }

  async function cells(): Promise<Cell[]> {
    const reading = new Transaction<Northbound>();
    const selects = TABLES.map((table) => ({ table, rows: reading.select(table, [carries({ INSTALLATION })]) }));
    const found = await ovn.nb.transact(reading);
    return selects.flatMap(({ table, rows }) =>
      found.of(rows).flatMap((row) => {
        const values = row as unknown as Record<string, unknown>;
        return [...CONTENT[table], 'external_ids'].map((column) => ({ table, uuid: row._uuid, column, value: values[column] }));
      }),
    );
  }
  const nameOf = ({ table, column, value }: Cell): string => `${table}.${column} ${value instanceof Map || value instanceof Set ? [...(value as Iterable<unknown>)].join(' ') : String(value)}`;

  it('shows everything that was made as intact, also after changes', async () => {
    expect(await damaged()).toEqual([]);
    expect((await parts()).map(({ id }) => id).sort()).toEqual([...tell.keys()].sort());
    network = { ...network, revision: 2, subnets: [...network.subnets, subnetOf({ cidr: '10.0.2.0/24', gatewayAddress: '10.0.2.1' })] };
    web = { ...web, revision: 2, ipAddress: '10.0.0.11', hostName: 'host-2', securityGroupIds: [] };
    balancer = { ...balancer, revision: 2, listeners: balancer.listeners.map((listener) => ({ ...listener, members: [{ address: '10.0.0.11', port: 80 }] })) };
    group = { ...group, revision: 2, rules: [] };
    for (const id of [network.networkId, web.portId, balancer.loadBalancerId, group.securityGroupId]) {
      await tell.get(id)?.();
      expect(await damaged(), id).toEqual([]);
    }
    await finish(async () => driver.removeFloatingIp(callOf(), toBalancer.floatingIpId));
    await finish(async () => driver.removeLoadBalancer(callOf(), balancer.loadBalancerId));
    router = { ...router, revision: 2, networks: router.networks.slice(1) };
    await tell.get(router.routerId)?.();
    await finish(async () => driver.removePort(callOf(), web.portId));
    expect(await damaged()).toEqual([]);
  });

  it('sees it of every column of every row, and mends it', { timeout: 240_000 }, async () => {
    const before = await cells();
    const names = before.map(nameOf).sort();
    const unseen: string[] = [];
    for (const cell of before) {
      const { table, uuid, column, value } = cell;
      const wrong = column === 'external_ids' ? undefined : column === 'networks' ? new Set(['192.0.2.1/24']) : wrongValue(value);
      if (wrong === undefined) continue;
      await ovn.write((transaction) => transaction.update(table, [['_uuid', '==', uuid]], { [column]: wrong }));
      if ((await damaged()).length === 0) unseen.push(nameOf(cell));
      await mend();
      expect(await damaged(), nameOf(cell)).toEqual([]);
      expect((await cells()).map(nameOf).sort(), nameOf(cell)).toEqual(names);
    }
    expect(unseen).toEqual([]);
  });

  it('sees it of every row that is taken away, and mends it', { timeout: 240_000 }, async () => {
    const names = (await cells()).map(nameOf).sort();
    for (const { table, uuid, ...rest } of (await cells()).filter(({ column }) => column === 'external_ids')) {
      const name = nameOf({ table, uuid, ...rest });
      await ovn.write((transaction) => {
        for (const holder of HOLDERS) transaction.mutate(holder.table, [[holder.column, 'includes', [uuid]] as never], [[holder.column, 'delete', [uuid]] as never]);
        transaction.delete(table, [['_uuid', '==', uuid]]);
      });
      const listed = new Map((await parts()).map((part) => [part.id, part]));
      expect([...tell.keys()].every((id) => listed.get(id)?.isIntact === true), name).toBe(false);
      await mend();
      expect((await cells()).map(nameOf).sort(), name).toEqual(names);
    }
  });

  it('sees it of every row below a part that has lost its marks, and mends it', { timeout: 240_000 }, async () => {
    const before = await cells();
    const names = before.map(nameOf).sort();
    const below = before.filter(({ column, value }) => column === 'external_ids' && partOf(value as ExternalIds) === undefined);
    expect(below.length).toBeGreaterThan(20);
    const unseen: string[] = [];
    for (const cell of below) {
      await ovn.write((transaction) => transaction.update(cell.table, [['_uuid', '==', cell.uuid]], { external_ids: {} }));
      if ((await damaged()).length === 0) unseen.push(nameOf(cell));
      await mend();
      expect((await cells()).map(nameOf).sort(), nameOf(cell)).toEqual(names);
    }
    expect(unseen).toEqual([]);
  });

  it('says what stands in the way where a row below a part has become another’s', async () => {
    const marks = [carries({ KIND: 'RULE', ID: group.securityGroupId })];
    await ovn.write((transaction) => transaction.update('ACL', marks, { external_ids: { [Mark.INSTALLATION]: 'installation_2' } }));
    expect(await damaged()).toEqual([group.securityGroupId]);
    const error = await refused(driver.ensureSecurityGroup(callOf(), group), 'CONFLICT');
    expect([error.fault, error.retryable]).toEqual(['OPERATOR', true]);
    expect(error.message).toContain('a row of ACL');
    await ovn.write((transaction) => transaction.update('ACL', [carries({ INSTALLATION: 'installation_2' })], { external_ids: {} }));
    await mend();
  });

  it('sees that what was told of a part is not there any more', async () => {
    await ovn.write((transaction) => transaction.mutate('Logical_Switch_Port', [['name', '==', web.portId]], [['external_ids', 'delete', [Mark.SPECIFICATION]]]));
    expect(await damaged()).toEqual([web.portId]);
    await ovn.write((transaction) => transaction.mutate('Port_Group', [carries({ KIND: 'SECURITY_GROUP' })], [['external_ids', 'delete', [Mark.REVISION]]]));
    expect((await damaged()).sort()).toEqual([web.portId, group.securityGroupId].sort());
    await mend();
    expect(await damaged()).toEqual([]);
  });

  it('leaves alone what somebody has added of their own', async () => {
    await ovn.write((transaction) => {
      const acl = transaction.insert('ACL', { direction: 'to-lport', priority: 1, match: 'ip4', action: 'drop' });
      transaction.insert('Port_Group', { name: 'by_hand', ports: [rowUuid('Logical_Switch_Port', plain.portId)], acls: acl as never });
    });
    expect(await damaged()).toEqual([]);
  });

  it('hints once at what is damaged, and again later while it is not mended', { timeout: 30_000 }, async () => {
    await using other = await openOvnNetwork(optionsOf(ovn));
    const told: BackendEvent[] = [];
    const ending = new AbortController();
    const watch = other.watch((event) => told.push(event), ending.signal);
    // Whoever takes the watch over sees what has happened before.
    const before = openOvnNetwork(optionsOf(ovn));
    await ovn.write((transaction) => transaction.update('Port_Group', [carries({ KIND: 'SECURITY_GROUP' })], { ports: [] }));
    await expect.poll(() => told.map(({ id }) => id), { timeout: 5_000 }).toContain(web.portId);
    expect(new Set(told.map(({ kind }) => kind))).toEqual(new Set(['NETWORK']));
    const late: string[] = [];
    await using successor = await before;
    const lateWatch = successor.watch(({ id }) => late.push(id), ending.signal);
    await expect.poll(() => late, { timeout: 5_000 }).toContain(web.portId);
    await expect.poll(() => told.filter(({ id }) => id === web.portId).length, { timeout: 10_000 }).toBe(2);
    await tell.get(web.portId)?.();
    ending.abort();
    await Promise.all([watch, lateWatch]);
    expect(await damaged()).toEqual([]);
  });
});

describe.skipIf(ovnIsMissing)('hints while others are at work', () => {
  it('are none at what drivers make, few at what others remove, and cost the database nothing', { timeout: 60_000 }, async () => {
    await using ovn = await TestOvn.start();
    await using stack = new AsyncDisposableStack();
    const link = await Proxy.to(ovn.northbound.unix);
    stack.defer(async () => link.close());
    const watching = stack.use(await openOvnNetwork(optionsOf(ovn, { northbound: [link.endpoint] })));
    const other = stack.use(await openOvnNetwork(optionsOf(ovn)));
    let asked = 0;
    link.fromClient = (message) => {
      if (message['method'] === 'transact') asked += 1;
      return 'forward';
    };
    const hints: number[] = [];
    const ending = new AbortController();
    const watch = watching.watch(() => hints.push(performance.now()), ending.signal);
    const network = networkOf({ domain: 'demo.internal', subnets: [subnetOf({ healthCheckAddress: '10.0.0.254' })] });
    await other.ensureNetwork(callOf(), network);
    await other.ensureFirewall(callOf(), firewallOf([{ scope: { kind: 'ALL' }, rules: [policyRule()] }]));
    await other.ensureLoadBalancer(callOf(), balancerOf(network));
    const group = groupOf([]);
    await other.ensureSecurityGroup(callOf(), group);
    const ports = Array.from({ length: PORTS }, (_each, index) =>
      portOf(network, { name: `web-${index}`, ipAddress: `10.0.0.${100 + index}`, macAddress: `02:00:00:00:01:${(16 + index).toString(16)}`, securityGroupIds: [group.securityGroupId] }),
    );
    await Promise.all(ports.map(async (port) => finish(async () => other.ensurePort(callOf(), port))));
    await Promise.all(ports.map(async (port) => finish(async () => other.ensurePort(callOf(), { ...port, revision: 2, hostName: 'host-2', securityGroupIds: [] }))));
    await sleep(3_000);
    expect(hints).toEqual([]);
    const half = PORTS / 2;
    for (const { portId } of ports.slice(0, half)) {
      await finish(async () => other.removePort(callOf(), portId));
      await sleep(100);
    }
    await sleep(3_000);
    // Each removed port once, in a few bundles, each of which is one look of whoever mends.
    expect(hints).toHaveLength(half);
    const bundles = hints.filter((at, index) => index === 0 || at - (hints[index - 1] ?? 0) > 500).length;
    expect(bundles).toBeLessThanOrEqual(4);
    expect(asked).toBe(0);
    for (const { portId } of ports.slice(half)) await finish(async () => watching.removePort(callOf(), portId));
    await sleep(3_000);
    expect(hints).toHaveLength(half);
    ending.abort();
    await watch;
  });
});

const HOLDERS: readonly { table: MarkedTable; column: string }[] = [
  { table: 'Logical_Router', column: 'ports' },
  { table: 'Logical_Router', column: 'static_routes' },
  { table: 'Logical_Router', column: 'nat' },
  { table: 'Logical_Router_Port', column: 'gateway_chassis' },
  { table: 'Logical_Router_Port', column: 'ha_chassis_group' },
  { table: 'HA_Chassis_Group', column: 'ha_chassis' },
  { table: 'Logical_Switch', column: 'ports' },
  { table: 'Port_Group', column: 'acls' },
  { table: 'Load_Balancer', column: 'health_check' },
];

/** Another value that the schema takes; undefined where there is nothing to be made wrong. */
function wrongValue(value: unknown): unknown {
  if (value instanceof Map) return value.size === 0 ? undefined : new Map();
  if (value instanceof Set) return value.size === 0 ? undefined : new Set();
  if (typeof value === 'number') return value - 1;
  if (value === 'to-lport') return 'from-lport';
  if (value === 'from-lport') return 'to-lport';
  if (value === 'snat' || value === 'dnat_and_snat') return 'dnat';
  if (value === 'tcp') return 'udp';
  if (typeof value !== 'string') return undefined;
  return value.startsWith('allow') || value === 'pass' ? 'drop' : value === 'drop' ? 'allow' : /^[\da-f-]{36}$/.test(value) ? undefined : `${value}x`;
}
