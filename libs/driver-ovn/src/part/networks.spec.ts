import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkSpecification } from '#drivers';
import { Transaction } from '#ovsdb';
import { DHCP_SERVER } from '../dhcp.js';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import { gatewayMac, rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { balancerOf, callOf, DONE, finish, networkOf, optionsOf, OWNERSHIP, portOf, refused, subnetOf } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';

describe.skipIf(ovnIsMissing)('networks', () => {
  let ovn: TestOvn;
  let driver: OvnNetworkDriver;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    driver = await openOvnNetwork(optionsOf(ovn, { mtu: 1_400, dnsServers: ['192.0.2.1', '192.0.2.2'] }));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    await ovn[Symbol.asyncDispose]();
  });

  const ensured = async (overrides: Partial<NetworkSpecification> = {}): Promise<NetworkSpecification> => {
    const network = networkOf(overrides);
    expect(await driver.ensureNetwork(callOf(), network)).toEqual(DONE);
    return network;
  };
  const subnetIn = (network: NetworkSpecification): string => network.subnets[0]?.subnetId ?? '';
  const rowsOf = (network: NetworkSpecification): string[] => [
    ...network.subnets.map(({ cidr }) => `dhcp ${cidr}`),
    `router ${network.networkId}`,
    ...network.subnets.map(({ subnetId }) => `router port ${subnetId}-router`),
    ...network.subnets.map(({ subnetId }) => `switch ${subnetId}`),
    ...network.subnets.map(({ subnetId }) => `switch port ${subnetId}-switch`),
  ].sort();
  /** What both databases make of all that was written. */
  const translated = async (network: NetworkSpecification): Promise<void> =>
    void (await finish(async () => driver.realised(callOf(), network.networkId)));

  it('is a router with a switch for each subnet, and nothing is left of it', async () => {
    const network = await ensured({ subnets: [subnetOf(), subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' })] });
    expect(await ovn.rowsOf(network.networkId)).toEqual(rowsOf(network));
    expect(await driver.removeNetwork(callOf(), network.networkId)).toEqual(DONE);
    expect(await ovn.rowsOf(network.networkId)).toEqual([]);
  });

  it('writes nothing when all is as it shall be', async () => {
    const network = await ensured();
    const monitor = await ovn.nb.monitor({ Logical_Router: {}, Logical_Switch: {}, Logical_Router_Port: {}, DHCP_Options: {} });
    const changes: unknown[] = [];
    monitor.on('changes', (more) => changes.push(...more));
    await driver.ensureNetwork(callOf(), network);
    // A change that comes after all others.
    const other = await ensured();
    await monitor.until(() => (monitor.rows('Logical_Router').has(rowUuid('Logical_Router', other.networkId)) ? true : undefined));
    await monitor.close();
    expect(changes.filter((change) => JSON.stringify(change, mapsToo).includes(network.networkId))).toEqual([]);
  });

  it('tells guests by DHCP what they need', async () => {
    const network = await ensured();
    const subnetId = subnetIn(network);
    const port = portOf(network);
    await driver.ensurePort(callOf(), port);
    await translated(network);
    const discover = 'udp.src == 68 && udp.dst == 67 && ip4.src == 0.0.0.0 && ip4.dst == 255.255.255.255 && eth.dst == ff:ff:ff:ff:ff:ff';
    const flow = ovn.detail(`inport == "${port.portId}" && eth.src == ${port.macAddress} && ${discover} && ip.ttl == 64`);
    expect(flow).toContain('offerip = 10.0.0.10');
    for (const option of ['lease_time = 3600', 'mtu = 1400', 'router = 10.0.0.1', `server_id = ${DHCP_SERVER}`, 'dns_server = {192.0.2.1, 192.0.2.2}']) {
      expect(flow).toContain(option);
    }
    expect(flow).toContain(`eth.src = ${gatewayMac(subnetId)}`);
  });

  it('lets tenants have the same addresses, each by itself', async () => {
    const tenants = [OWNERSHIP, { ...OWNERSHIP, tenantId: 'tenant_2', projectId: 'project_2' }];
    const networks = await Promise.all(
      tenants.map(async (ownership) =>
        ensured({ ownership, subnets: [subnetOf(), subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' })] }),
      ),
    );
    const ports = networks.map((network) => ({
      near: portOf(network),
      neighbour: portOf(network, { macAddress: '02:00:00:00:00:02', ipAddress: '10.0.0.11' }),
      far: portOf(network, { subnetId: network.subnets[1]?.subnetId ?? '', macAddress: '02:00:00:00:00:03', ipAddress: '10.0.1.10' }),
    }));
    for (const { near, neighbour, far } of ports) for (const port of [near, neighbour, far]) await driver.ensurePort(callOf(), port);
    await translated(networks[1] as NetworkSpecification);
    for (const [index, { near, neighbour, far }] of ports.entries()) {
      const from = `inport == "${near.portId}" && eth.src == ${near.macAddress} && ip4.src == ${near.ipAddress} && ip.ttl == 64`;
      const gateway = gatewayMac(subnetIn(networks[index] as NetworkSpecification));
      expect(outputs(ovn.trace(`${from} && eth.dst == ${neighbour.macAddress} && ip4.dst == ${neighbour.ipAddress}`))).toEqual([neighbour.portId]);
      expect(outputs(ovn.trace(`${from} && eth.dst == ${gateway} && ip4.dst == ${far.ipAddress}`))).toEqual([far.portId]);
    }
  });

  it('repairs rows that were deleted or changed behind its back', async () => {
    const network = await ensured();
    const subnetId = subnetIn(network);
    const damages: Parameters<TestOvn['write']>[0][] = [
      (transaction) => void transaction.delete('Logical_Router', [['name', '==', network.networkId]]),
      (transaction) => void transaction.delete('Logical_Switch', [['name', '==', subnetId]]),
      (transaction) => void transaction.delete('DHCP_Options', [['_uuid', '==', rowUuid('DHCP_Options', subnetId)]]),
      (transaction) => void transaction.update('Logical_Router', [['name', '==', network.networkId]], { ports: [] }),
      (transaction) => void transaction.update('Logical_Switch', [['name', '==', subnetId]], { ports: [] }),
    ];
    for (const damage of damages) {
      await ovn.write(damage);
      expect(await ovn.rowsOf(network.networkId)).not.toEqual(rowsOf(network));
      expect(await driver.ensureNetwork(callOf(), network)).toEqual(DONE);
      expect(await ovn.rowsOf(network.networkId)).toEqual(rowsOf(network));
    }
    await ovn.write((transaction) => void transaction.update('DHCP_Options', [['_uuid', '==', rowUuid('DHCP_Options', subnetId)]], { cidr: '10.9.0.0/24' }));
    await driver.ensureNetwork(callOf(), network);
    expect(await ovn.rowsOf(network.networkId)).toEqual(rowsOf(network));
  });

  it('leaves what others have noted on its rows', async () => {
    const network = await ensured();
    const where = [['name', '==', network.networkId]] as const;
    await ovn.write((transaction) => void transaction.mutate('Logical_Router', where, [['external_ids', 'insert', { note: 'mine' }]]));
    await driver.ensureNetwork(callOf(), { ...network, revision: 2 });
    const reading = new Transaction<Northbound>();
    const routers = reading.select('Logical_Router', where);
    const [router] = (await ovn.nb.transact(reading)).of(routers);
    expect(router?.external_ids.get('note')).toBe('mine');
    expect(router?.external_ids.get('muon:revision')).toBe('2');
  });

  it('takes subnets in and gives them up, but none that has ports', async () => {
    const second = subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' });
    const network = await ensured();
    const both = { ...network, revision: 2, subnets: [...network.subnets, second] };
    await driver.ensureNetwork(callOf(), both);
    expect(await ovn.rowsOf(network.networkId)).toEqual(rowsOf(both));
    const port = portOf(network, { subnetId: second.subnetId, ipAddress: '10.0.1.10' });
    await driver.ensurePort(callOf(), port);
    const without = { ...network, revision: 3 };
    const error = await refused(driver.ensureNetwork(callOf(), without), 'INVALID_STATE');
    expect(error.message).toContain(second.subnetId);
    await driver.removePort(callOf(), port.portId);
    await driver.ensureNetwork(callOf(), without);
    expect(await ovn.rowsOf(network.networkId)).toEqual(rowsOf(network));
  });

  it('clears away what somebody has left of a subnet that it no longer has', async () => {
    const second = subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' });
    const network = await ensured();
    await driver.ensureNetwork(callOf(), { ...network, revision: 2, subnets: [...network.subnets, second] });
    await ovn.write((transaction) => void transaction.delete('Logical_Switch', [['name', '==', second.subnetId]]));
    await driver.ensureNetwork(callOf(), { ...network, revision: 3 });
    expect(await ovn.rowsOf(network.networkId)).toEqual(rowsOf(network));
  });

  it('does not go while a load balancer is there', async () => {
    const network = await ensured();
    const balancer = balancerOf(network);
    await driver.ensureLoadBalancer(callOf(), balancer);
    await refused(driver.removeNetwork(callOf(), network.networkId), 'INVALID_STATE');
    await driver.removeLoadBalancer(callOf(), balancer.loadBalancerId);
    expect(await driver.removeNetwork(callOf(), network.networkId)).toEqual(DONE);
  });

  it('neither changes nor removes what is another installation’s', async () => {
    const foreign = await ensured({ ownership: { ...OWNERSHIP, installationId: 'installation_2' } });
    const port = portOf(foreign);
    const balancer = balancerOf(foreign);
    await driver.ensurePort(callOf(), port);
    await driver.ensureLoadBalancer(callOf(), balancer);
    const before = await ovn.rowsOf(foreign.networkId);
    const attempts = [
      async () => driver.ensureNetwork(callOf(), { ...foreign, revision: 9, ownership: OWNERSHIP }),
      async () => driver.ensurePort(callOf(), { ...port, revision: 9, ownership: OWNERSHIP }),
      async () => driver.ensurePort(callOf(), portOf(foreign, { ownership: OWNERSHIP })),
      async () => driver.ensureLoadBalancer(callOf(), { ...balancer, revision: 9, ownership: OWNERSHIP }),
      async () => driver.ensureNetwork(callOf(), networkOf({ subnets: foreign.subnets })),
      async () => driver.removeNetwork(callOf(), foreign.networkId),
      async () => driver.removePort(callOf(), port.portId),
      async () => driver.removeLoadBalancer(callOf(), balancer.loadBalancerId),
    ];
    for (const attempt of attempts) expect((await refused(attempt(), 'BACKEND_FAILED')).retryable).toBe(false);
    expect(await ovn.rowsOf(foreign.networkId)).toEqual(before);
  });

  it('refuses a subnet that is another network’s', async () => {
    const network = await ensured();
    await refused(driver.ensureNetwork(callOf(), networkOf({ subnets: network.subnets })), 'BACKEND_FAILED');
    expect(await ovn.rowsOf(network.networkId)).toEqual(rowsOf(network));
  });

  it.each([
    ['network.networkId', networkOf({ networkId: 'net 1' })],
    ['network.subnets.0.cidr', networkOf({ subnets: [subnetOf({ cidr: '10.0.0.0' })] })],
    ['network.subnets.0.gatewayAddress', networkOf({ subnets: [subnetOf({ gatewayAddress: '10.0.1.1' })] })],
    ['network.subnets.0.healthCheckAddress', networkOf({ subnets: [subnetOf({ healthCheckAddress: '10.0.0.1' })] })],
    ['network.subnets.1.subnetId', networkOf({ subnets: [subnetOf({ subnetId: 'one' }), subnetOf({ subnetId: 'one' })] })],
  ])('refuses %s that OVN would take and ignore', async (field, network) => {
    expect((await refused(driver.ensureNetwork(callOf(), network), 'INVALID_INPUT')).field).toBe(field);
  });

  it('says what this release of OVN lacks', () => {
    expect(driver.capabilities).toEqual({ aclTier: ovn.schemaHas('ACL', 'tier') });
  });
});

const outputs = (trace: string): string[] => [...trace.matchAll(/output\("([^"]+)"\)/g)].map(([, name]) => name ?? '');

const mapsToo = (_key: string, value: unknown): unknown => (value instanceof Map || value instanceof Set ? [...(value as Iterable<unknown>)] : value);
