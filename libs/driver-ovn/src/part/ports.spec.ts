import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NetworkSpecification } from '#drivers';
import { Transaction, type Row } from '#ovsdb';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { callOf, DONE, networkOf, optionsOf, OWNERSHIP, portOf, refused, subnetOf } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';

describe.skipIf(ovnIsMissing)('ports', () => {
  let ovn: TestOvn;
  let driver: OvnNetworkDriver;
  let network: NetworkSpecification;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    driver = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    await ovn[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    network = networkOf({ subnets: [subnetOf(), subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' })] });
    await driver.ensureNetwork(callOf(), network);
  });

  /** Without what northd writes. */
  async function rowOf(portId: string): Promise<Row<Omit<Northbound['Logical_Switch_Port'], 'tag'>> | undefined> {
    const reading = new Transaction<Northbound>();
    const columns = ['name', 'type', 'addresses', 'port_security', 'options', 'dhcpv4_options', 'external_ids'] as const;
    const ports = reading.select('Logical_Switch_Port', [['name', '==', portId]], columns);
    return (await ovn.nb.transact(reading)).of(ports)[0];
  }
  async function switchesOf(portId: string): Promise<string[]> {
    const reading = new Transaction<Northbound>();
    const switches = reading.select('Logical_Switch', [['ports', 'includes', [rowUuid('Logical_Switch_Port', portId)]]], ['name']);
    return (await ovn.nb.transact(reading)).of(switches).map(({ name }) => name);
  }

  it('has its address and no other, DHCP, one host, and its marks', async () => {
    const port = portOf(network, { macAddress: '02:00:00:00:00:AB', revision: 7, name: 'web' });
    expect(await driver.ensurePort(callOf(), port)).toEqual(DONE);
    const { portId, networkId, subnetId, ipAddress, hostName } = port;
    const told = { portId, networkId, subnetId, macAddress: '02:00:00:00:00:ab', ipAddress, hostName, securityGroupIds: [], name: 'web' };
    expect(await rowOf(port.portId)).toMatchObject({
      type: '',
      addresses: new Set(['02:00:00:00:00:ab 10.0.0.10']),
      port_security: new Set(['02:00:00:00:00:ab 10.0.0.10']),
      options: new Map([['requested-chassis', 'host-1']]),
      dhcpv4_options: rowUuid('DHCP_Options', port.subnetId),
      external_ids: new Map([
        ['muon:address', '10.0.0.10'],
        ['muon:host', 'host-1'],
        ['muon:id', port.portId],
        ['muon:installation', OWNERSHIP.installationId],
        ['muon:kind', 'PORT'],
        ['muon:name', 'web'],
        ['muon:network', network.networkId],
        ['muon:project', OWNERSHIP.projectId],
        ['muon:revision', '7'],
        ['muon:specification', JSON.stringify(told)],
        ['muon:subnet', port.subnetId],
        ['muon:tenant', OWNERSHIP.tenantId],
      ]),
    });
    expect(await switchesOf(port.portId)).toEqual([port.subnetId]);
  });

  it('moves to another host and another subnet by a newer revision', async () => {
    const port = portOf(network);
    await driver.ensurePort(callOf(), port);
    const subnetId = network.subnets[1]?.subnetId ?? '';
    await driver.ensurePort(callOf(), { ...port, revision: 2, subnetId, ipAddress: '10.0.1.10', hostName: 'host-2' });
    expect(await switchesOf(port.portId)).toEqual([subnetId]);
    expect(await rowOf(port.portId)).toMatchObject({
      addresses: new Set(['02:00:00:00:00:01 10.0.1.10']),
      options: new Map([['requested-chassis', 'host-2']]),
      dhcpv4_options: rowUuid('DHCP_Options', subnetId),
    });
    // One that was overtaken changes nothing.
    expect(await driver.ensurePort(callOf(), port)).toEqual(DONE);
    expect(await switchesOf(port.portId)).toEqual([subnetId]);
  });

  it('is repaired when it was changed or lost, and gone when it was removed', async () => {
    const port = portOf(network);
    const where = [['name', '==', port.portId]] as const;
    const subnet = [['name', '==', port.subnetId]] as const;
    await driver.ensurePort(callOf(), port);
    const before = await rowOf(port.portId);
    const damages: Parameters<TestOvn['write']>[0][] = [
      (transaction) => void transaction.mutate('Logical_Switch', subnet, [['ports', 'delete', [rowUuid('Logical_Switch_Port', port.portId)]]]),
      (transaction) => void transaction.update('Logical_Switch_Port', where, { addresses: ['unknown'], port_security: [] }),
      (transaction) => void transaction.update('Logical_Switch_Port', where, { dhcpv4_options: null, options: {} }),
      (transaction) => void transaction.mutate('Logical_Switch_Port', where, [['external_ids', 'delete', ['muon:revision', 'muon:host']]]),
    ];
    for (const damage of damages) {
      await ovn.write(damage);
      expect(await rowOf(port.portId)).not.toEqual(before);
      expect(await driver.ensurePort(callOf(), port)).toEqual(DONE);
      expect(await rowOf(port.portId)).toEqual(before);
      expect(await switchesOf(port.portId)).toEqual([port.subnetId]);
    }
    for (let times = 0; times < 2; times += 1) expect(await driver.removePort(callOf(), port.portId)).toEqual(DONE);
    expect(await rowOf(port.portId)).toBeUndefined();
  });

  it('is NOT_FOUND when its network has lost its subnet, until that is ensured again', async () => {
    const port = portOf(network);
    await ovn.write((transaction) => void transaction.delete('Logical_Switch', [['name', '==', port.subnetId]]));
    await refused(driver.ensurePort(callOf(), port), 'NOT_FOUND');
    await driver.ensureNetwork(callOf(), network);
    expect(await driver.ensurePort(callOf(), port)).toEqual(DONE);
  });

  it('is NOT_FOUND in a subnet of another network', async () => {
    const other = networkOf();
    await driver.ensureNetwork(callOf(), other);
    await refused(driver.ensurePort(callOf(), portOf(network, { subnetId: other.subnets[0]?.subnetId ?? '' })), 'NOT_FOUND');
  });

  it('does not take the name of something that is not ours', async () => {
    const port = portOf(network);
    await ovn.write((transaction) => {
      const made = transaction.insert('Logical_Switch_Port', { name: port.portId });
      transaction.insert('Logical_Switch', { name: 'by-hand', ports: [made] });
    });
    const error = await refused(driver.ensurePort(callOf(), port), 'BACKEND_FAILED');
    expect(error.retryable).toBe(false);
    expect(await switchesOf(port.portId)).toEqual([]);
  });

  it.each([
    ['port.macAddress', { macAddress: '02:00:00' }],
    ['port.ipAddress', { ipAddress: '10.0.0' }],
    ['port.hostName', { hostName: '' }],
    ['port.revision', { revision: -1 }],
    ['port.name', { name: 'Web' }],
    ['port.name', { name: 'web.demo' }],
  ])('refuses a wrong %s', async (field, wrong) => {
    expect((await refused(driver.ensurePort(callOf(), portOf(network, wrong)), 'INVALID_INPUT')).field).toBe(field);
  });
});
