import { typeidUnboxed } from 'typeid-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExternalNetworkSpecification, FloatingIpSpecification, NetworkSpecification, PortSpecification, RouterSpecification } from '#drivers';
import { Transaction, type Row } from '#ovsdb';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import { gatewayMac, macOf, rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { balancerOf, callOf, DONE, finish, INSTALLATION, networkOf, optionsOf, OWNERSHIP, portOf, refused, subnetOf } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';
import { TestHost } from '../testing/test-host.js';

describe.skipIf(ovnIsMissing)('routers and floating addresses', () => {
  let ovn: TestOvn;
  let driver: OvnNetworkDriver;
  const hosts: TestHost[] = [];

  beforeAll(async () => {
    ovn = await TestOvn.start();
    for (const name of ['host-1', 'host-2']) hosts.push(await TestHost.start(ovn.southbound.unix, name));
    hosts.push(await TestHost.start(ovn.southbound.unix, 'chassis-3', 'host-3'));
    driver = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    for (const host of hosts) await host[Symbol.asyncDispose]();
    await ovn[Symbol.asyncDispose]();
  });

  async function outside(overrides: Partial<ExternalNetworkSpecification> = {}): Promise<ExternalNetworkSpecification> {
    const specification: ExternalNetworkSpecification = {
      externalNetworkId: typeidUnboxed('extnet'),
      revision: 1,
      installationId: INSTALLATION,
      physicalNetwork: 'physnet1',
      cidr: '198.51.100.0/24',
      gatewayAddress: '198.51.100.1',
      ...overrides,
    };
    expect(await driver.ensureExternalNetwork(callOf(), specification)).toEqual(DONE);
    return specification;
  }

  async function network(cidr = '10.0.0.0/24', gatewayAddress = '10.0.0.1'): Promise<NetworkSpecification> {
    const specification = networkOf({ subnets: [subnetOf({ cidr, gatewayAddress })] });
    await driver.ensureNetwork(callOf(), specification);
    return specification;
  }

  function routerOf(networks: readonly NetworkSpecification[], uplink: ExternalNetworkSpecification | null): RouterSpecification {
    return {
      routerId: typeidUnboxed('rtr'),
      revision: 1,
      ownership: OWNERSHIP,
      networks: networks.map(({ networkId }, link) => ({ networkId, link })),
      uplink:
        uplink === null
          ? null
          : { externalNetworkId: uplink.externalNetworkId, address: '198.51.100.100', sourceNat: true, gatewayHostNames: ['host-2', 'host-3', 'host-1'] },
    };
  }

  async function router(networks: readonly NetworkSpecification[], uplink: ExternalNetworkSpecification | null): Promise<RouterSpecification> {
    const specification = routerOf(networks, uplink);
    expect(await driver.ensureRouter(callOf(), specification)).toEqual(DONE);
    return specification;
  }

  async function port(of: NetworkSpecification, ipAddress: string, last: number): Promise<PortSpecification> {
    const specification = portOf(of, { ipAddress, macAddress: `02:00:00:00:00:0${last}` });
    await driver.ensurePort(callOf(), specification);
    return specification;
  }

  function floatingOf({ routerId }: RouterSpecification, networkId: string, target: FloatingIpSpecification['target'], last = 101): FloatingIpSpecification {
    return { floatingIpId: typeidUnboxed('fip'), revision: 1, ownership: OWNERSHIP, routerId, networkId, address: `198.51.100.${last}`, target };
  }

  async function natsOf({ routerId }: RouterSpecification): Promise<Row<Northbound['NAT']>[]> {
    const reading = new Transaction<Northbound>();
    const routers = reading.select('Logical_Router', [['name', '==', routerId]], ['nat']);
    const nats = reading.select('NAT', []);
    const found = await ovn.nb.transact(reading);
    const [row] = found.of(routers);
    return found.of(nats).filter(({ _uuid }) => row?.nat.has(_uuid) === true);
  }
  const sources = async (of: RouterSpecification): Promise<string[]> =>
    (await natsOf(of)).flatMap(({ type, logical_ip: source }) => (type === 'snat' ? [source] : [])).sort();

  async function routesOf(name: string): Promise<string[]> {
    const reading = new Transaction<Northbound>();
    const routers = reading.select('Logical_Router', [['name', '==', name]], ['static_routes']);
    const routes = reading.select('Logical_Router_Static_Route', []);
    const found = await ovn.nb.transact(reading);
    const [row] = found.of(routers);
    return found.of(routes).flatMap((route) => (row?.static_routes.has(route._uuid) === true ? [`${route.ip_prefix} by ${route.nexthop}`] : [])).sort();
  }

  async function balancerRow(id: string): Promise<Row<Northbound['Load_Balancer']> | undefined> {
    const reading = new Transaction<Northbound>();
    const rows = reading.select('Load_Balancer', [['name', '==', id]]);
    return (await ovn.nb.transact(reading)).of(rows)[0];
  }
  async function placesOf(id: string): Promise<string[]> {
    const reading = new Transaction<Northbound>();
    const uuid = rowUuid('Load_Balancer', id);
    const switches = reading.select('Logical_Switch', [['load_balancer', 'includes', [uuid]]], ['name']);
    const routers = reading.select('Logical_Router', [['load_balancer', 'includes', [uuid]]], ['name']);
    const found = await ovn.nb.transact(reading);
    return [...found.of(switches), ...found.of(routers)].map(({ name }) => name).sort();
  }

  it('leads a packet from one network of the router to the other', async () => {
    const [one, two] = [await network(), await network('10.1.0.0/24', '10.1.0.1')];
    const made = await router([one, two], null);
    const [from, to] = [await port(one, '10.0.0.10', 1), await port(two, '10.1.0.10', 2)];
    await finish(async () => driver.realised(callOf(), made.routerId));
    const packet = (source: PortSpecification, target: string): string =>
      `inport == "${source.portId}" && eth.src == ${source.macAddress} && eth.dst == ${gatewayMac(source.subnetId)} && ip4.src == ${source.ipAddress} && ip4.dst == ${target} && ip.ttl == 64 && icmp4.type == 8`;
    expect(ovn.trace(packet(from, to.ipAddress))).toContain(`output("${to.portId}")`);
    expect(ovn.trace(packet(to, from.ipAddress))).toContain(`output("${from.portId}")`);
    await driver.ensureRouter(callOf(), { ...made, revision: 2, networks: [{ networkId: one.networkId, link: 0 }] });
    await finish(async () => driver.realised(callOf(), made.routerId));
    expect(ovn.trace(packet(from, to.ipAddress))).not.toContain(`output("${to.portId}")`);
    expect(await routesOf(two.networkId)).toEqual([]);
  });

  it('has its uplink led by the hosts in their order, by the names of their chassis', async () => {
    const made = await router([await network()], await outside());
    const gateways = async (): Promise<string[]> => {
      const reading = new Transaction<Northbound>();
      const rows = reading.select('Gateway_Chassis', [['external_ids', 'includes', new Map([['muon:router', made.routerId]])]]);
      return (await ovn.nb.transact(reading)).of(rows).sort((one, other) => other.priority - one.priority).map((row) => row.chassis_name);
    };
    expect(await gateways()).toEqual(['host-2', 'chassis-3', 'host-1']);
    const { uplink } = made;
    if (uplink === null) throw new Error('the router has an uplink');
    await driver.ensureRouter(callOf(), { ...made, uplink: { ...uplink, gatewayHostNames: ['host-1', 'host-3'] } });
    expect(await gateways()).toEqual(['host-1', 'chassis-3']);
    await driver.ensureRouter(callOf(), { ...made, revision: 2, uplink: null });
    expect(await gateways()).toEqual([]);
    expect(await sources(made)).toEqual([]);
  });

  it('knows the VLAN of an external network, and its cables', async () => {
    const { externalNetworkId } = await outside({ vlan: 100 });
    const reading = new Transaction<Northbound>();
    const rows = reading.select('Logical_Switch_Port', [['type', '==', 'localnet']], ['name', 'tag', 'options']);
    const found = (await ovn.nb.transact(reading)).of(rows).find(({ name }) => name.startsWith(externalNetworkId));
    expect(found).toMatchObject({ tag: 100, options: new Map([['network_name', 'physnet1']]) });
  });

  it('follows the subnets of its networks, whether they or it come first', async () => {
    const first = await network();
    const made = await router([first], await outside());
    expect(await sources(made)).toEqual(['10.0.0.0/24']);
    const more = { ...first, revision: 2, subnets: [...first.subnets, subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' })] };
    expect(await driver.ensureNetwork(callOf(), more)).toEqual(DONE);
    expect(await sources(made)).toEqual(['10.0.0.0/24', '10.0.1.0/24']);
    expect(await routesOf(made.routerId)).toEqual(['0.0.0.0/0 by 198.51.100.1', '10.0.0.0/24 by 100.64.0.2', '10.0.1.0/24 by 100.64.0.2']);
    expect(await routesOf(first.networkId)).toEqual(['0.0.0.0/0 by 100.64.0.1']);
    expect(await driver.ensureNetwork(callOf(), { ...first, revision: 3, subnets: more.subnets.slice(1) })).toEqual(DONE);
    expect(await sources(made)).toEqual(['10.0.1.0/24']);
    expect(await routesOf(made.routerId)).toEqual(['0.0.0.0/0 by 198.51.100.1', '10.0.1.0/24 by 100.64.0.2']);
  });

  it('finds a subnet that comes at the same time, again and again', async () => {
    const uplink = await outside();
    for (let times = 0; times < 10; times += 1) {
      const first = await network();
      const made = routerOf([first], uplink);
      const more = { ...first, revision: 2, subnets: [...first.subnets, subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' })] };
      await Promise.all([finish(async () => driver.ensureRouter(callOf(), made)), finish(async () => driver.ensureNetwork(callOf(), more))]);
      expect(await sources(made)).toEqual(['10.0.0.0/24', '10.0.1.0/24']);
      await driver.removeRouter(callOf(), made.routerId);
    }
  });

  it('is repaired by the same revision', async () => {
    const first = await network();
    const made = await router([first], await outside());
    const before = { nats: await natsOf(made), routes: await routesOf(made.routerId), out: await routesOf(first.networkId) };
    await ovn.write((transaction) => {
      transaction.update('Logical_Router', [['name', '==', made.routerId]], { nat: [], static_routes: [], ports: [] });
      transaction.update('Logical_Router', [['name', '==', first.networkId]], { static_routes: [] });
    });
    await driver.ensureRouter(callOf(), made);
    expect({ nats: await natsOf(made), routes: await routesOf(made.routerId), out: await routesOf(first.networkId) }).toEqual(before);
    await ovn.write((transaction) => transaction.delete('Logical_Router', [['name', '==', made.routerId]]));
    await driver.ensureRouter(callOf(), made);
    expect(await routesOf(made.routerId)).toEqual(before.routes);
  });

  it('leads a floating address to a port on the port’s own host, until a load balancer has one too', async () => {
    const first = await network();
    const made = await router([first], await outside());
    const machine = await port(first, '10.0.0.10', 1);
    const floating = floatingOf(made, first.networkId, { kind: 'PORT', portId: machine.portId });
    expect(await driver.ensureFloatingIp(callOf(), floating)).toEqual(DONE);
    const nat = async () => (await natsOf(made)).find(({ type }) => type === 'dnat_and_snat');
    const distributed = { external_ip: '198.51.100.101', logical_ip: '10.0.0.10', logical_port: machine.portId, external_mac: macOf(`floating/${floating.floatingIpId}`) };
    expect(await nat()).toMatchObject(distributed);
    const balancer = balancerOf(first);
    await driver.ensureLoadBalancer(callOf(), balancer);
    const front = floatingOf(made, first.networkId, { kind: 'LOAD_BALANCER', loadBalancerId: balancer.loadBalancerId }, 102);
    await driver.ensureFloatingIp(callOf(), front);
    const central = { logical_port: null, external_mac: null };
    expect(await nat()).toMatchObject(central);
    await driver.ensureFloatingIp(callOf(), { ...floating, revision: 2 });
    expect(await nat()).toMatchObject(central);
    await driver.removeFloatingIp(callOf(), front.floatingIpId);
    expect(await nat()).toMatchObject(distributed);
    await driver.removePort(callOf(), machine.portId);
    expect(await nat()).toBeUndefined();
  });

  it('leads a floating address to a load balancer, whose members and checks it follows, for all networks of the router', async () => {
    const checked = networkOf({ subnets: [subnetOf({ healthCheckAddress: '10.0.0.254' })] });
    await driver.ensureNetwork(callOf(), checked);
    const second = await network('10.1.0.0/24', '10.1.0.1');
    const made = await router([checked, second], await outside());
    const member = await port(checked, '10.0.0.10', 1);
    const balancer = balancerOf(checked);
    await driver.ensureLoadBalancer(callOf(), balancer);
    const floating = floatingOf(made, checked.networkId, { kind: 'LOAD_BALANCER', loadBalancerId: balancer.loadBalancerId });
    await driver.ensureFloatingIp(callOf(), floating);
    const row = async () => balancerRow(floating.floatingIpId);
    expect(await row()).toMatchObject({
      vips: new Map([['198.51.100.101:6443', '10.0.0.10:6443,10.0.0.11:6443']]),
      ip_port_mappings: new Map([['10.0.0.10', `${member.portId}:10.0.0.254`]]),
    });
    expect((await row())?.health_check.size).toBe(1);
    const subnetIds = [checked, second].flatMap(({ subnets }) => subnets.map(({ subnetId }) => subnetId));
    expect(await placesOf(floating.floatingIpId)).toEqual([made.routerId, ...subnetIds].sort());
    const listeners = [{ port: 443, protocol: 'TCP' as const, members: [{ address: '10.0.0.11', port: 8443 }] }];
    await driver.ensureLoadBalancer(callOf(), { ...balancer, revision: 2, listeners });
    expect(await row()).toMatchObject({ vips: new Map([['198.51.100.101:443', '10.0.0.11:8443']]), ip_port_mappings: new Map() });
    const third = subnetOf({ cidr: '10.1.1.0/24', gatewayAddress: '10.1.1.1' });
    await driver.ensureNetwork(callOf(), { ...second, revision: 2, subnets: [...second.subnets, third] });
    expect(await placesOf(floating.floatingIpId)).toContain(third.subnetId);
    await driver.ensureRouter(callOf(), { ...made, revision: 2, networks: [{ networkId: checked.networkId, link: 0 }] });
    expect(await placesOf(floating.floatingIpId)).not.toContain(third.subnetId);
    await driver.removeLoadBalancer(callOf(), balancer.loadBalancerId);
    expect(await row()).toBeUndefined();
  });

  it('has the load balancers of each of its networks on the switches of all of them, whichever comes first', async () => {
    const [front, back] = [await network(), await network('10.1.0.0/24', '10.1.0.1')];
    const [early, late, other] = [balancerOf(front), balancerOf(front, { address: '10.0.0.21' }), balancerOf(back, { address: '10.1.0.20' })];
    await driver.ensureLoadBalancer(callOf(), early);
    const made = await router([front, back], null);
    for (const each of [late, other]) await driver.ensureLoadBalancer(callOf(), each);
    const third = subnetOf({ cidr: '10.1.1.0/24', gatewayAddress: '10.1.1.1' });
    await driver.ensureNetwork(callOf(), { ...back, revision: 2, subnets: [...back.subnets, third] });
    const ofFront = front.subnets.map(({ subnetId }) => subnetId);
    const ofBack = [...back.subnets.map(({ subnetId }) => subnetId), third.subnetId];
    const places = async (): Promise<string[][]> => Promise.all([early, late, other].map(async ({ loadBalancerId }) => placesOf(loadBalancerId)));
    const together = [front, front, back].map(({ networkId }) => [networkId, ...ofFront, ...ofBack].sort());
    const apart = [[front.networkId, ...ofFront], [front.networkId, ...ofFront], [back.networkId, ...ofBack]].map((each) => each.sort());
    expect(await places()).toEqual(together);
    await driver.ensureRouter(callOf(), { ...made, revision: 2, networks: made.networks.slice(0, 1) });
    expect(await places()).toEqual(apart);
    await driver.ensureRouter(callOf(), { ...made, revision: 3 });
    expect(await places()).toEqual(together);
    await driver.removeRouter(callOf(), made.routerId);
    expect(await places()).toEqual(apart);
  });

  it('leaves nothing behind', async () => {
    const first = await network();
    const uplink = await outside();
    const made = await router([first], uplink);
    const machine = await port(first, '10.0.0.10', 1);
    const floating = floatingOf(made, first.networkId, { kind: 'PORT', portId: machine.portId });
    await driver.ensureFloatingIp(callOf(), floating);
    expect((await refused(driver.removeRouter(callOf(), made.routerId), 'INVALID_STATE')).fault).toBe('OPERATOR');
    await driver.removePort(callOf(), machine.portId);
    await driver.removeRouter(callOf(), made.routerId);
    await driver.removeExternalNetwork(callOf(), uplink.externalNetworkId);
    await driver.removeNetwork(callOf(), first.networkId);
    expect(await ovn.rowsOf(first.networkId)).toEqual([]);
    const reading = new Transaction<Northbound>();
    const tables = (['Logical_Router', 'Logical_Router_Port', 'Logical_Router_Static_Route', 'Gateway_Chassis', 'Logical_Switch_Port', 'NAT'] as const).map((table) =>
      reading.select(table, [['external_ids', 'includes', new Map([['muon:router', made.routerId]])]], ['external_ids']),
    );
    const found = await ovn.nb.transact(reading);
    expect(tables.flatMap((table) => found.of(table))).toEqual([]);
  });

  it.each([
    ['router.uplink.address', { uplink: { externalNetworkId: 'x', address: 'there', sourceNat: true, gatewayHostNames: [] } }],
    ['router.networks.0.link', { networks: [{ networkId: 'net_1', link: 64 }] }],
    ['router.networks.1.link', { networks: [{ networkId: 'net_1', link: 0 }, { networkId: 'net_2', link: 0 }] }],
    ['router.networks.1.networkId', { networks: [{ networkId: 'net_1', link: 0 }, { networkId: 'net_1', link: 1 }] }],
  ])('refuses a wrong %s', async (field, wrong) => {
    expect((await refused(driver.ensureRouter(callOf(), { ...routerOf([], null), ...wrong }), 'INVALID_INPUT')).field).toBe(field);
  });

  it.each([
    ['externalNetwork.gatewayAddress', { gatewayAddress: '10.0.0.1' }],
    ['externalNetwork.vlan', { vlan: 0 }],
    ['externalNetwork.physicalNetwork', { physicalNetwork: '' }],
  ])('refuses a wrong %s', async (field, wrong) => {
    const error = await refused(outside(wrong), 'INVALID_INPUT');
    expect(error.field).toBe(field);
  });
});
