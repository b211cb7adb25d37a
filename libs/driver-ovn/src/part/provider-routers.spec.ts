import { typeidUnboxed } from 'typeid-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExternalNetworkSpecification, FloatingIpSpecification, NetworkSpecification, PortSpecification, ProviderRouterSpecification, RouterSpecification } from '#drivers';
import { Transaction } from '#ovsdb';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import { gatewayMac } from '../names.js';
import type { MarkedTable, Northbound } from '../schema/northbound.js';
import { balancerOf, callOf, DONE, finish, INSTALLATION, networkOf, optionsOf, OWNERSHIP, portOf, refused, subnetOf } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';
import { TestHost } from '../testing/test-host.js';

const TABLES = [
  'Logical_Router',
  'Logical_Router_Port',
  'Logical_Router_Static_Route',
  'Logical_Switch',
  'Logical_Switch_Port',
  'NAT',
  'Load_Balancer',
  'Gateway_Chassis',
  'HA_Chassis_Group',
  'HA_Chassis',
] as const satisfies MarkedTable[];

describe.skipIf(ovnIsMissing)('provider’s routers', () => {
  let ovn: TestOvn;
  let driver: OvnNetworkDriver;
  const hosts: TestHost[] = [];

  beforeAll(async () => {
    ovn = await TestOvn.start();
    hosts.push(await TestHost.start(ovn.southbound.unix, 'host-1'), await TestHost.start(ovn.southbound.unix, 'chassis-2', 'host-2'));
    driver = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    for (const host of hosts) await host[Symbol.asyncDispose]();
    await ovn[Symbol.asyncDispose]();
  });

  function providerOf(externalNetworkId: string, overrides: Partial<ProviderRouterSpecification> = {}): ProviderRouterSpecification {
    return {
      providerRouterId: typeidUnboxed('prr'),
      revision: 1,
      installationId: INSTALLATION,
      externalNetworkId,
      address: '198.51.100.100',
      transitCidr: '100.64.0.0/16',
      transitAddress: '100.64.255.254',
      gatewayHostNames: ['host-2', 'host-1'],
      ...overrides,
    };
  }

  async function provider(): Promise<{ outside: ExternalNetworkSpecification; made: ProviderRouterSpecification }> {
    const outside = {
      externalNetworkId: typeidUnboxed('ext'),
      revision: 1,
      installationId: INSTALLATION,
      physicalNetwork: 'physnet1',
      cidr: '198.51.100.0/24',
      gatewayAddress: '198.51.100.1',
    };
    await driver.ensureExternalNetwork(callOf(), outside);
    const made = providerOf(outside.externalNetworkId);
    expect(await driver.ensureProviderRouter(callOf(), made)).toEqual(DONE);
    return { outside, made };
  }

  interface Behind {
    network: NetworkSpecification;
    router: RouterSpecification;
    port: PortSpecification;
  }
  /** A tenant's machine with an address that all of them have, on a router of its own. */
  async function tenantBehind({ providerRouterId }: ProviderRouterSpecification, last: number): Promise<Behind> {
    const network = networkOf({ subnets: [subnetOf()] });
    await driver.ensureNetwork(callOf(), network);
    const uplink = { providerRouterId, address: `100.64.1.${last}`, sourceNat: true };
    const router = { routerId: typeidUnboxed('rtr'), revision: 1, ownership: OWNERSHIP, networks: [{ networkId: network.networkId, link: 0 }], uplink };
    expect(await driver.ensureRouter(callOf(), router)).toEqual(DONE);
    const port = portOf(network, { ipAddress: '10.0.0.10', macAddress: `02:00:00:00:00:${String(last).padStart(2, '0')}` });
    await driver.ensurePort(callOf(), port);
    return { network, router, port };
  }

  function floatingOf({ providerRouterId }: ProviderRouterSpecification, behind: Behind, target: FloatingIpSpecification['target']): FloatingIpSpecification {
    const { routerId } = behind.router;
    return {
      floatingIpId: typeidUnboxed('fip'),
      revision: 1,
      ownership: OWNERSHIP,
      routerId,
      networkId: behind.network.networkId,
      address: '198.51.100.101',
      transit: { providerRouterId, address: '100.64.2.1' },
      target,
    };
  }

  async function natsOf(routerId: string): Promise<string[]> {
    const reading = new Transaction<Northbound>();
    const routers = reading.select('Logical_Router', [['name', '==', routerId]], ['nat']);
    const nats = reading.select('NAT', []);
    const found = await ovn.nb.transact(reading);
    const held = found.of(routers)[0]?.nat;
    return found
      .of(nats)
      .flatMap((nat) => (held?.has(nat._uuid) === true ? [[nat.type, nat.external_ip, nat.logical_ip, ...(nat.logical_port === null ? [] : ['on its host']), ...nat.options.keys()].join(' ')] : []))
      .sort();
  }

  async function rowsMarked(id: string): Promise<string[]> {
    const reading = new Transaction<Northbound>();
    const selects = TABLES.map((table) => [table, reading.select(table, [], ['external_ids'])] as const);
    const found = await ovn.nb.transact(reading);
    return selects.flatMap(([table, select]) => found.of(select).flatMap((row) => ([...row.external_ids.values()].includes(id) ? [table] : [])));
  }

  const leaving = ({ port, network }: Behind): string =>
    `inport == "${port.portId}" && eth.src == ${port.macAddress} && eth.dst == ${gatewayMac(network.subnets[0]?.subnetId ?? '')} && ip4.src == ${port.ipAddress} && ip4.dst == 203.0.113.7 && ip.ttl == 64 && icmp4.type == 8`;

  it('leads packets of tenants with the same addresses to the outside, each by an address of the transit block', async () => {
    const { made } = await provider();
    for (const last of [10, 11]) {
      const behind = await tenantBehind(made, last);
      await finish(async () => driver.realised(callOf(), behind.router.routerId));
      const seen = ovn.trace(leaving(behind), '--ct=new', '--ct=new');
      expect(seen).toMatch(new RegExp(`ct_snat\\w*\\(ip4\\.src=100\\.64\\.1\\.${last}\\)`));
      expect(seen).toMatch(/output\("ext_[^"]*-outside"\)/);
    }
  });

  it('has one group of hosts for itself and the uplinks that lead to it', async () => {
    const { made } = await provider();
    const { router } = await tenantBehind(made, 10);
    const look = async (): Promise<{ groups: (string | null)[]; chassis: string[] }> => {
      const reading = new Transaction<Northbound>();
      const ports = reading.select('Logical_Router_Port', [], ['name', 'ha_chassis_group']);
      const chassis = reading.select('HA_Chassis', [['external_ids', 'includes', new Map([['muon:id', made.providerRouterId]])]]);
      const found = await ovn.nb.transact(reading);
      const names = [made.providerRouterId, router.routerId].map((id) => `${id}-gateway`);
      return {
        groups: names.map((name) => found.of(ports).find((row) => row.name === name)?.ha_chassis_group ?? null),
        chassis: found.of(chassis).sort((one, other) => other.priority - one.priority).map((row) => row.chassis_name),
      };
    };
    const { groups, chassis } = await look();
    expect(groups[0]).not.toBeNull();
    expect(groups[1]).toBe(groups[0]);
    expect(chassis).toEqual(['chassis-2', 'host-1']);
    await driver.ensureProviderRouter(callOf(), { ...made, gatewayHostNames: ['host-1'] });
    expect((await look()).chassis).toEqual(['host-1']);
  });

  it('leads a floating address to a machine in two steps, and nowhere once the machine has gone', async () => {
    const { made } = await provider();
    const behind = await tenantBehind(made, 10);
    const floating = floatingOf(made, behind, { kind: 'PORT', portId: behind.port.portId });
    expect(await driver.ensureFloatingIp(callOf(), floating)).toEqual(DONE);
    expect(await natsOf(made.providerRouterId)).toEqual(['dnat_and_snat 198.51.100.101 100.64.2.1 stateless', 'snat 198.51.100.100 100.64.0.0/16']);
    expect(await natsOf(behind.router.routerId)).toEqual(['dnat_and_snat 100.64.2.1 10.0.0.10', 'snat 100.64.1.10 10.0.0.0/24']);
    // Another that comes and goes leaves it central.
    const second = portOf(behind.network, { ipAddress: '10.0.0.11', macAddress: '02:00:00:00:01:11' });
    await driver.ensurePort(callOf(), second);
    const balancer = balancerOf(behind.network);
    await driver.ensureLoadBalancer(callOf(), balancer);
    const front = {
      ...floatingOf(made, behind, { kind: 'LOAD_BALANCER', loadBalancerId: balancer.loadBalancerId }),
      address: '198.51.100.102',
      transit: { providerRouterId: made.providerRouterId, address: '100.64.2.2' },
    };
    await driver.ensureFloatingIp(callOf(), front);
    const reading = new Transaction<Northbound>();
    const rows = reading.select('Load_Balancer', [['name', '==', front.floatingIpId]], ['vips']);
    expect((await ovn.nb.transact(reading)).of(rows)[0]?.vips).toEqual(new Map([['100.64.2.2:6443', '10.0.0.10:6443,10.0.0.11:6443']]));
    expect(await natsOf(made.providerRouterId)).toContain('dnat_and_snat 198.51.100.102 100.64.2.2 stateless');
    await driver.removeLoadBalancer(callOf(), balancer.loadBalancerId);
    expect(await natsOf(made.providerRouterId)).toEqual(['dnat_and_snat 198.51.100.101 100.64.2.1 stateless', 'snat 198.51.100.100 100.64.0.0/16']);
    expect(await natsOf(behind.router.routerId)).toContain('dnat_and_snat 100.64.2.1 10.0.0.10');
    await driver.removePort(callOf(), behind.port.portId);
    expect(await natsOf(made.providerRouterId)).toEqual(['snat 198.51.100.100 100.64.0.0/16']);
    expect(await natsOf(behind.router.routerId)).toEqual(['snat 100.64.1.10 10.0.0.0/24']);
  });

  it('leads a floating address elsewhere with its target, from a router behind it to one that is not', async () => {
    const { outside, made } = await provider();
    const behind = await tenantBehind(made, 10);
    const floating = floatingOf(made, behind, { kind: 'PORT', portId: behind.port.portId });
    await driver.ensureFloatingIp(callOf(), floating);
    const network = networkOf({ subnets: [subnetOf()] });
    await driver.ensureNetwork(callOf(), network);
    const uplink = { externalNetworkId: outside.externalNetworkId, address: '198.51.100.110', sourceNat: true, gatewayHostNames: ['host-1'] };
    const direct = { ...behind.router, routerId: typeidUnboxed('rtr'), networks: [{ networkId: network.networkId, link: 0 }], uplink };
    await driver.ensureRouter(callOf(), direct);
    const port = portOf(network, { ipAddress: '10.0.0.10', macAddress: '02:00:00:00:01:10' });
    await driver.ensurePort(callOf(), port);
    const { transit: _, ...rest } = floating;
    const led = { ...rest, revision: 2, routerId: direct.routerId, networkId: network.networkId, target: { kind: 'PORT' as const, portId: port.portId } };
    await driver.ensureFloatingIp(callOf(), led);
    expect(await natsOf(made.providerRouterId)).toEqual(['snat 198.51.100.100 100.64.0.0/16']);
    expect(await natsOf(behind.router.routerId)).toEqual(['snat 100.64.1.10 10.0.0.0/24']);
    expect(await natsOf(direct.routerId)).toContain('dnat_and_snat 198.51.100.101 10.0.0.10 on its host');
    await driver.ensureFloatingIp(callOf(), { ...floating, revision: 3 });
    expect(await natsOf(direct.routerId)).toEqual(['snat 198.51.100.110 10.0.0.0/24']);
    expect(await natsOf(made.providerRouterId)).toContain('dnat_and_snat 198.51.100.101 100.64.2.1 stateless');
  });

  it('is repaired by the same revision', async () => {
    const { made } = await provider();
    const before = await natsOf(made.providerRouterId);
    await ovn.write((transaction) => {
      transaction.update('Logical_Router', [['name', '==', made.providerRouterId]], { nat: [], static_routes: [], ports: [] });
      transaction.delete('Logical_Switch', [['name', '==', made.providerRouterId]]);
    });
    expect(await driver.ensureProviderRouter(callOf(), made)).toEqual(DONE);
    expect(await natsOf(made.providerRouterId)).toEqual(before);
    const behind = await tenantBehind(made, 10);
    await finish(async () => driver.realised(callOf(), behind.router.routerId));
    expect(ovn.trace(leaving(behind), '--ct=new', '--ct=new')).toMatch(/output\("ext_[^"]*-outside"\)/);
  });

  it('leaves nothing behind, also where somebody has deleted a part of it', async () => {
    const { outside, made } = await provider();
    const behind = await tenantBehind(made, 10);
    await driver.ensureFloatingIp(callOf(), floatingOf(made, behind, { kind: 'PORT', portId: behind.port.portId }));
    expect((await refused(driver.removeProviderRouter(callOf(), made.providerRouterId), 'INVALID_STATE')).fault).toBe('OPERATOR');
    await driver.removePort(callOf(), behind.port.portId);
    await driver.removeRouter(callOf(), behind.router.routerId);
    await ovn.write((transaction) => transaction.delete('Logical_Router', [['name', '==', made.providerRouterId]]));
    expect(await driver.removeProviderRouter(callOf(), made.providerRouterId)).toEqual(DONE);
    await driver.removeExternalNetwork(callOf(), outside.externalNetworkId);
    for (const id of [made.providerRouterId, behind.router.routerId, outside.externalNetworkId]) expect(await rowsMarked(id)).toEqual([]);
  });

  it.each([
    ['providerRouter.address', { address: 'there' }],
    ['providerRouter.transitCidr', { transitCidr: '100.64.0.0' }],
    ['providerRouter.transitAddress', { transitAddress: '10.0.0.1' }],
  ])('refuses a wrong %s', async (field, wrong) => {
    expect((await refused(driver.ensureProviderRouter(callOf(), providerOf('ext_1', wrong)), 'INVALID_INPUT')).field).toBe(field);
  });
});
