import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkSpecification } from '#drivers';
import { Transaction } from '#ovsdb';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { balancerOf, callOf, DONE, finish, networkOf, optionsOf, portOf, refused, subnetOf } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';

const DOMAIN = 'demo.internal';
const both = (...addresses: string[]): string => [...addresses, ...addresses.map((address) => `::ffff:${address}`)].join(' ');
const reverse = (address: string): string => `${address.split('.').reverse().join('.')}.in-addr.arpa`;
const namesOf = (name: string, domain: string, ...addresses: string[]): Record<string, string> => ({
  [name]: both(...addresses),
  [`${name}.${domain}`]: both(...addresses),
  ...Object.fromEntries(addresses.map((address) => [reverse(address), `${name}.${domain}`])),
});

describe.skipIf(ovnIsMissing)('names', () => {
  let ovn: TestOvn;
  let driver: OvnNetworkDriver;
  let other: OvnNetworkDriver;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    driver = await openOvnNetwork(optionsOf(ovn));
    other = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
    await ovn[Symbol.asyncDispose]();
  });

  const ensured = async (overrides: Partial<NetworkSpecification> = {}): Promise<NetworkSpecification> => {
    const network = networkOf({ domain: DOMAIN, ...overrides });
    expect(await driver.ensureNetwork(callOf(), network)).toEqual(DONE);
    return network;
  };
  async function recordsOf({ networkId }: NetworkSpecification): Promise<Record<string, string> | undefined> {
    const reading = new Transaction<Northbound>();
    const rows = reading.select('DNS', [['_uuid', '==', rowUuid('DNS', networkId)]]);
    const [row] = (await ovn.nb.transact(reading)).of(rows);
    return row === undefined ? undefined : Object.fromEntries(row.records);
  }
  async function switchesOf({ networkId }: NetworkSpecification): Promise<string[]> {
    const reading = new Transaction<Northbound>();
    const switches = reading.select('Logical_Switch', [['dns_records', 'includes', [rowUuid('DNS', networkId)]]], ['name']);
    return (await ovn.nb.transact(reading)).of(switches).map(({ name }) => name).sort();
  }
  const subnetIds = (network: NetworkSpecification): string[] => network.subnets.map(({ subnetId }) => subnetId).sort();
  const farSubnet = () => subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' });

  it('lead to ports and load balancers and back, on every switch, those too that come later', async () => {
    const network = await ensured();
    expect(await recordsOf(network)).toEqual({});
    const port = portOf(network, { name: 'web' });
    const balancer = balancerOf(network, { name: 'front' });
    expect(await driver.ensurePort(callOf(), port)).toEqual(DONE);
    expect(await driver.ensureLoadBalancer(callOf(), balancer)).toEqual(DONE);
    await driver.ensurePort(callOf(), portOf(network, { ipAddress: '10.0.0.12', macAddress: '02:00:00:00:00:02' }));
    expect(await recordsOf(network)).toEqual({ ...namesOf('web', DOMAIN, '10.0.0.10'), ...namesOf('front', DOMAIN, '10.0.0.20') });
    const more = { ...network, revision: 2, subnets: [...network.subnets, farSubnet()] };
    expect(await driver.ensureNetwork(callOf(), more)).toEqual(DONE);
    expect(await switchesOf(network)).toEqual(subnetIds(more));
    expect(await driver.removePort(callOf(), port.portId)).toEqual(DONE);
    expect(await driver.removeLoadBalancer(callOf(), balancer.loadBalancerId)).toEqual(DONE);
    expect(await recordsOf(network)).toEqual({});
  });

  it('are what northd tells the hosts, and guests hear the domain and whom to ask', async () => {
    const network = await ensured();
    const port = portOf(network, { name: 'web' });
    await driver.ensurePort(callOf(), port);
    await finish(async () => driver.realised(callOf(), network.networkId));
    const discover = 'udp.src == 68 && udp.dst == 67 && ip4.src == 0.0.0.0 && ip4.dst == 255.255.255.255 && eth.dst == ff:ff:ff:ff:ff:ff';
    const flow = ovn.detail(`inport == "${port.portId}" && eth.src == ${port.macAddress} && ${discover} && ip.ttl == 64`);
    expect(flow).toContain('dns_server = {10.0.0.1}');
    expect(flow).toContain('domain_name = "demo.internal"');
    const question = `inport == "${port.portId}" && eth.src == ${port.macAddress} && ip4.src == 10.0.0.10 && ip4.dst == 10.0.0.1 && udp.dst == 53 && ip.ttl == 64`;
    expect(ovn.detail(question)).toContain('dns_lookup');
  });

  it('change with a newer revision: another name, another address, none', async () => {
    const network = await ensured();
    const port = portOf(network, { name: 'web' });
    await driver.ensurePort(callOf(), port);
    await driver.ensurePort(callOf(), { ...port, revision: 2, name: 'shop' });
    expect(await recordsOf(network)).toEqual(namesOf('shop', DOMAIN, '10.0.0.10'));
    await driver.ensurePort(callOf(), { ...port, revision: 3, name: 'shop', ipAddress: '10.0.0.11' });
    expect(await recordsOf(network)).toEqual(namesOf('shop', DOMAIN, '10.0.0.11'));
    // One that was overtaken changes nothing.
    await driver.ensurePort(callOf(), port);
    expect(await recordsOf(network)).toEqual(namesOf('shop', DOMAIN, '10.0.0.11'));
    const { name: _name, ...nameless } = port;
    await driver.ensurePort(callOf(), { ...nameless, revision: 4 });
    expect(await recordsOf(network)).toEqual({});
  });

  it('that several have lead to all of them, also when these come and go at once', async () => {
    const network = await ensured({ subnets: [subnetOf(), farSubnet()] });
    const ports = Array.from({ length: 12 }, (_each, index) =>
      portOf(network, { name: index < 6 ? 'web' : `db-${index}`, ipAddress: `10.0.0.${30 + index}`, macAddress: `02:00:00:00:01:${10 + index}` }),
    );
    const through = (index: number): OvnNetworkDriver => (index % 2 === 0 ? driver : other);
    await Promise.all(ports.map(async (port, index) => finish(async () => through(index).ensurePort(callOf(), port))));
    const web = ports.slice(0, 6).map(({ ipAddress }) => ipAddress);
    const expected = (addresses: string[], dbs: typeof ports): Record<string, string> => ({
      ...namesOf('web', DOMAIN, ...addresses),
      ...Object.assign({}, ...dbs.map(({ name = '', ipAddress }) => namesOf(name, DOMAIN, ipAddress))),
    });
    expect(await recordsOf(network)).toEqual(expected(web, ports.slice(6)));
    const gone = ports.filter((_port, index) => index % 3 === 0);
    await Promise.all(gone.map(async ({ portId }, index) => finish(async () => through(index).removePort(callOf(), portId))));
    const left = ports.filter((port) => !gone.includes(port));
    expect(await recordsOf(network)).toEqual(expected(left.filter(({ name }) => name === 'web').map(({ ipAddress }) => ipAddress), left.filter(({ name }) => name !== 'web')));
  });

  it('a port’s address that somebody else has by now keeps the other’s name', async () => {
    const network = await ensured();
    const port = portOf(network, { name: 'old' });
    await driver.ensurePort(callOf(), port);
    await driver.ensurePort(callOf(), portOf(network, { name: 'new' }));
    await driver.removePort(callOf(), port.portId);
    expect(await recordsOf(network)).toEqual(namesOf('new', DOMAIN, '10.0.0.10'));
  });

  it('follow the network’s domain, and go with it', async () => {
    const network = await ensured();
    const port = portOf(network, { name: 'web' });
    await driver.ensurePort(callOf(), port);
    await driver.ensureNetwork(callOf(), { ...network, revision: 2, domain: 'other.internal' });
    expect(await recordsOf(network)).toEqual(namesOf('web', 'other.internal', '10.0.0.10'));
    const { domain: _domain, ...nameless } = network;
    await driver.ensureNetwork(callOf(), { ...nameless, revision: 3 });
    expect(await recordsOf(network)).toBeUndefined();
    await driver.ensurePort(callOf(), { ...port, revision: 2, name: 'shop' });
    await driver.ensureNetwork(callOf(), { ...network, revision: 4 });
    expect(await recordsOf(network)).toEqual(namesOf('shop', DOMAIN, '10.0.0.10'));
    await driver.removePort(callOf(), port.portId);
    expect(await driver.removeNetwork(callOf(), network.networkId)).toEqual(DONE);
    expect(await ovn.rowsOf(network.networkId)).toEqual([]);
  });

  it('are repaired with the network when they were changed or lost', async () => {
    const network = await ensured();
    await driver.ensurePort(callOf(), portOf(network, { name: 'web' }));
    await driver.ensureLoadBalancer(callOf(), balancerOf(network, { name: 'front' }));
    const before = await recordsOf(network);
    const where = [['_uuid', '==', rowUuid('DNS', network.networkId)]] as const;
    const damages: Parameters<TestOvn['write']>[0][] = [
      (transaction) => void transaction.delete('DNS', where),
      (transaction) => void transaction.update('DNS', where, { records: new Map([['web', '10.9.9.9'], ['front', '10.9.9.9'], ['more', '10.9.9.9']]) }),
      (transaction) => void transaction.mutate('DNS', where, [['external_ids', 'delete', ['muon:domain', 'muon:revision']]]),
      (transaction) => void transaction.update('Logical_Switch', [['name', '==', network.subnets[0]?.subnetId ?? '']], { dns_records: [] }),
    ];
    for (const damage of damages) {
      await ovn.write(damage);
      expect(await driver.ensureNetwork(callOf(), network)).toEqual(DONE);
      expect(await recordsOf(network)).toEqual(before);
      expect(await switchesOf(network)).toEqual(subnetIds(network));
    }
  });

  it('a port is NOT_FOUND while its network has lost its names, until that is ensured again', async () => {
    const network = await ensured();
    await ovn.write((transaction) => void transaction.delete('DNS', [['_uuid', '==', rowUuid('DNS', network.networkId)]]));
    await refused(driver.ensurePort(callOf(), portOf(network, { name: 'web' })), 'NOT_FOUND');
    await driver.ensureNetwork(callOf(), network);
    await driver.ensurePort(callOf(), portOf(network, { name: 'web' }));
    expect(await recordsOf(network)).toEqual(namesOf('web', DOMAIN, '10.0.0.10'));
  });

  it('a domain and a name that come at once find each other', async () => {
    for (let round = 0; round < 25; round += 1) {
      const { domain: _domain, ...nameless } = networkOf({ domain: DOMAIN });
      await driver.ensureNetwork(callOf(), nameless);
      await Promise.all([
        finish(async () => driver.ensureNetwork(callOf(), { ...nameless, revision: 2, domain: DOMAIN })),
        finish(async () => other.ensurePort(callOf(), portOf(nameless, { name: 'web' }))),
      ]);
      expect(await recordsOf(nameless)).toEqual(namesOf('web', DOMAIN, '10.0.0.10'));
    }
  });

  it('of another installation are not touched', async () => {
    const network = await ensured();
    const foreign = { ...network, revision: 2, ownership: { ...network.ownership, installationId: 'installation_2' } };
    await refused(driver.ensureNetwork(callOf(), foreign), 'BACKEND_FAILED');
    expect(await recordsOf(network)).toEqual({});
  });

  it.each(['Demo', 'demo_net', '.internal', 'demo..internal', `${'a'.repeat(64)}.internal`, 'x"y'])('refuses "%s" as a domain', async (domain) => {
    expect((await refused(driver.ensureNetwork(callOf(), networkOf({ domain })), 'INVALID_INPUT')).field).toBe('network.domain');
  });
});
