import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadBalancerSpecification, NetworkSpecification } from '#drivers';
import { Transaction, type Row } from '#ovsdb';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import { gatewayMac, rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { balancerOf, callOf, DONE, finish, networkOf, optionsOf, portOf, refused, subnetOf } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';

describe.skipIf(ovnIsMissing)('load balancers', () => {
  let ovn: TestOvn;
  let driver: OvnNetworkDriver;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    driver = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    await ovn[Symbol.asyncDispose]();
  });

  const ensured = async (subnets: NetworkSpecification['subnets']): Promise<NetworkSpecification> => {
    const network = networkOf({ subnets });
    await driver.ensureNetwork(callOf(), network);
    return network;
  };
  const second = (): NetworkSpecification['subnets'][number] => subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' });
  const checkedSubnet = (): NetworkSpecification['subnets'][number] => subnetOf({ healthCheckAddress: '10.0.0.254' });

  async function rowOf({ loadBalancerId }: LoadBalancerSpecification): Promise<Row<Northbound['Load_Balancer']> | undefined> {
    const reading = new Transaction<Northbound>();
    const balancers = reading.select('Load_Balancer', [['name', '==', loadBalancerId]]);
    return (await ovn.nb.transact(reading)).of(balancers)[0];
  }
  /** The names of switches and routers that it is on. */
  async function placesOf({ loadBalancerId }: LoadBalancerSpecification): Promise<string[]> {
    const reading = new Transaction<Northbound>();
    const uuid = rowUuid('Load_Balancer', loadBalancerId);
    const switches = reading.select('Logical_Switch', [['load_balancer', 'includes', [uuid]]], ['name']);
    const routers = reading.select('Logical_Router', [['load_balancer', 'includes', [uuid]]], ['name']);
    const found = await ovn.nb.transact(reading);
    return [...found.of(switches), ...found.of(routers)].map(({ name }) => name).sort();
  }
  const everywhere = (network: NetworkSpecification): string[] => [network.networkId, ...network.subnets.map(({ subnetId }) => subnetId)].sort();

  it('is on the router and every switch, those too that come later', async () => {
    const network = await ensured([subnetOf(), second()]);
    const balancer = balancerOf(network);
    expect(await driver.ensureLoadBalancer(callOf(), balancer)).toEqual(DONE);
    expect(await placesOf(balancer)).toEqual(everywhere(network));
    const more = { ...network, revision: 2, subnets: [...network.subnets, subnetOf({ cidr: '10.0.2.0/24', gatewayAddress: '10.0.2.1' })] };
    await driver.ensureNetwork(callOf(), more);
    expect(await placesOf(balancer)).toEqual(everywhere(more));
    for (let times = 0; times < 2; times += 1) expect(await driver.removeLoadBalancer(callOf(), balancer.loadBalancerId)).toEqual(DONE);
    expect(await placesOf(balancer)).toEqual([]);
    expect(await rowOf(balancer)).toBeUndefined();
  });

  it('leads a client’s packet to a member, from the same subnet and from another', async () => {
    const network = await ensured([subnetOf(), second()]);
    const member = portOf(network);
    const client = portOf(network, { macAddress: '02:00:00:00:00:02', ipAddress: '10.0.0.30' });
    const farClient = portOf(network, {
      subnetId: network.subnets[1]?.subnetId ?? '',
      macAddress: '02:00:00:00:00:03',
      ipAddress: '10.0.1.30',
    });
    for (const port of [member, client, farClient]) await driver.ensurePort(callOf(), port);
    const listeners = [{ port: 6443, protocol: 'TCP' as const, members: [{ address: member.ipAddress, port: 16_443 }] }];
    await driver.ensureLoadBalancer(callOf(), balancerOf(network, { listeners }));
    await finish(async () => driver.realised(callOf(), network.networkId));
    for (const port of [client, farClient]) {
      const packet = [
        `inport == "${port.portId}"`,
        `eth.src == ${port.macAddress}`,
        `eth.dst == ${gatewayMac(port.subnetId)}`,
        `ip4.src == ${port.ipAddress}`,
        'ip4.dst == 10.0.0.20',
        'ip.ttl == 64',
        'tcp.dst == 6443',
      ].join(' && ');
      expect(ovn.trace(packet)).toContain(`output("${member.portId}")`);
    }
  });

  it('follows its members and listeners by newer revisions, and is repaired', async () => {
    const network = await ensured([subnetOf()]);
    const balancer = balancerOf(network);
    await driver.ensureLoadBalancer(callOf(), balancer);
    expect((await rowOf(balancer))?.vips).toEqual(new Map([['10.0.0.20:6443', '10.0.0.10:6443,10.0.0.11:6443']]));
    const newer = {
      ...balancer,
      revision: 2,
      listeners: [
        { port: 6443, protocol: 'TCP' as const, members: [{ address: '10.0.0.12', port: 6443 }] },
        { port: 443, protocol: 'TCP' as const, members: [] },
      ],
    };
    await driver.ensureLoadBalancer(callOf(), newer);
    const vips = new Map([
      ['10.0.0.20:443', ''],
      ['10.0.0.20:6443', '10.0.0.12:6443'],
    ]);
    expect((await rowOf(balancer))?.vips).toEqual(vips);
    await driver.ensureLoadBalancer(callOf(), balancer);
    expect((await rowOf(balancer))?.vips).toEqual(vips);

    await ovn.write((transaction) => {
      transaction.update('Load_Balancer', [['name', '==', balancer.loadBalancerId]], { vips: {} });
      transaction.update('Logical_Switch', [['name', '==', network.subnets[0]?.subnetId ?? '']], { load_balancer: [] });
      transaction.update('Logical_Router', [['name', '==', network.networkId]], { load_balancer: [] });
    });
    await driver.ensureLoadBalancer(callOf(), newer);
    expect((await rowOf(balancer))?.vips).toEqual(vips);
    expect(await placesOf(balancer)).toEqual(everywhere(network));
  });

  it('checks nothing in subnets that have no address for it', async () => {
    const network = await ensured([subnetOf()]);
    await driver.ensurePort(callOf(), portOf(network));
    const balancer = balancerOf(network);
    await driver.ensureLoadBalancer(callOf(), balancer);
    expect(await rowOf(balancer)).toMatchObject({ health_check: new Set(), ip_port_mappings: new Map() });
  });

  it('has its members checked, whether they come before it or after, and northd takes it up', async () => {
    const network = await ensured([checkedSubnet()]);
    const early = portOf(network);
    const late = portOf(network, { macAddress: '02:00:00:00:00:02', ipAddress: '10.0.0.11' });
    const balancer = balancerOf(network);
    await driver.ensurePort(callOf(), early);
    await driver.ensureLoadBalancer(callOf(), balancer);
    expect((await rowOf(balancer))?.ip_port_mappings).toEqual(new Map([['10.0.0.10', `${early.portId}:10.0.0.254`]]));
    await driver.ensurePort(callOf(), late);
    const both = new Map([
      ['10.0.0.10', `${early.portId}:10.0.0.254`],
      ['10.0.0.11', `${late.portId}:10.0.0.254`],
    ]);
    expect((await rowOf(balancer))?.ip_port_mappings).toEqual(both);
    expect((await rowOf(balancer))?.health_check.size).toBe(1);

    const monitor = await ovn.sb.monitor({ Service_Monitor: { columns: ['logical_port', 'ip', 'port', 'src_ip'] } });
    const checks = await monitor.until(() => (monitor.rows('Service_Monitor').size === 2 ? [...monitor.rows('Service_Monitor').values()] : undefined));
    await monitor.close();
    expect(checks).toEqual(expect.arrayContaining([expect.objectContaining({ logical_port: late.portId, ip: '10.0.0.11', port: 6443, src_ip: '10.0.0.254' })]));

    await driver.ensureLoadBalancer(callOf(), balancer);
    expect((await rowOf(balancer))?.ip_port_mappings).toEqual(both);
    await driver.ensurePort(callOf(), { ...early, revision: 2, ipAddress: '10.0.0.40' });
    await driver.removePort(callOf(), late.portId);
    expect((await rowOf(balancer))?.ip_port_mappings).toEqual(new Map());
    await driver.removeLoadBalancer(callOf(), balancer.loadBalancerId);
    expect((await ovn.rowsOf(network.networkId)).filter((row) => row.startsWith('health check'))).toEqual([]);
  });

  it.each([
    ['loadBalancer.address', { address: 'there' }],
    ['loadBalancer.listeners.0.port', { listeners: [{ port: 0, protocol: 'TCP' as const, members: [] }] }],
    ['loadBalancer.listeners.0.members.0.address', { listeners: [{ port: 1, protocol: 'TCP' as const, members: [{ address: 'x', port: 1 }] }] }],
  ])('refuses a wrong %s', async (field, wrong) => {
    const network = await ensured([subnetOf()]);
    expect((await refused(driver.ensureLoadBalancer(callOf(), balancerOf(network, wrong)), 'INVALID_INPUT')).field).toBe(field);
  });
});
