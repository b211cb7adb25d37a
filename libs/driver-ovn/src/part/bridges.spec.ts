import { typeidUnboxed } from 'typeid-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BackendEvent, ExternalNetworkSpecification, FloatingIpSpecification, NetworkSpecification, PortSpecification, RouterSpecification } from '#drivers';
import { Transaction } from '#ovsdb';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { callOf, DONE, INSTALLATION, networkOf, optionsOf, OWNERSHIP, portOf } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';
import { TestHost } from '../testing/test-host.js';

const WITH = 'physnet1:br-ex';
const WITHOUT = 'physnet2:br-lan';

describe.skipIf(ovnIsMissing)('hosts without a bridge to the outside', () => {
  let ovn: TestOvn;
  let driver: OvnNetworkDriver;
  let able: TestHost;
  let unable: TestHost;
  let outside: ExternalNetworkSpecification;
  let network: NetworkSpecification;
  let router: RouterSpecification;
  let port: PortSpecification;
  let floating: FloatingIpSpecification;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    able = await TestHost.start(ovn.southbound.unix, 'b6f1ad02', 'host-1', `physnet0:br-0, ${WITH}`);
    unable = await TestHost.start(ovn.southbound.unix, 'host-2', 'host-2', WITHOUT);
    driver = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    for (const each of [able, unable, ovn]) await each[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    outside = {
      externalNetworkId: typeidUnboxed('ext'),
      revision: 1,
      installationId: INSTALLATION,
      physicalNetwork: 'physnet1',
      cidr: '198.51.100.0/24',
      gatewayAddress: '198.51.100.1',
    };
    network = networkOf();
    const { externalNetworkId } = outside;
    const uplink = { externalNetworkId, address: '198.51.100.110', sourceNat: true, gatewayHostNames: ['host-1'] };
    router = { routerId: typeidUnboxed('rtr'), revision: 1, ownership: OWNERSHIP, networks: [{ networkId: network.networkId, link: 0 }], uplink };
    port = portOf(network, { hostName: 'host-1' });
    const { networkId } = network;
    floating = { floatingIpId: typeidUnboxed('fip'), revision: 1, ownership: OWNERSHIP, routerId: router.routerId, networkId, address: '198.51.100.111', target: { kind: 'PORT', portId: port.portId } };
    await driver.ensureExternalNetwork(callOf(), outside);
    await driver.ensureNetwork(callOf(), network);
    await driver.ensureRouter(callOf(), router);
    await driver.ensurePort(callOf(), port);
  });
  afterEach(async () => {
    await able.map(WITH);
    await unable.map(WITHOUT);
    await driver.removePort(callOf(), port.portId);
    await driver.removeRouter(callOf(), router.routerId);
    await driver.removeExternalNetwork(callOf(), outside.externalNetworkId);
    await driver.removeNetwork(callOf(), network.networkId);
  });

  const tell = async (): Promise<void> => expect(await driver.ensureFloatingIp(callOf(), floating)).toEqual(DONE);
  const isIntact = async (): Promise<boolean | undefined> => (await driver.listParts(callOf(), null, 100)).find(({ id }) => id === floating.floatingIpId)?.isIntact;

  /** Whether the floating address is answered on the host of its machine. */
  async function isOnItsHost(): Promise<boolean> {
    const reading = new Transaction<Northbound>();
    const rows = reading.select('NAT', [['_uuid', '==', rowUuid('NAT', floating.floatingIpId)]]);
    const [row] = (await ovn.nb.transact(reading)).of(rows);
    expect((row?.logical_port ?? null) === null).toBe((row?.external_mac ?? null) === null);
    return row?.logical_port === port.portId;
  }

  it('are told apart from those that have one, and from those that nothing is known of', async () => {
    const look = async () => driver.physicalNetworkHosts(callOf(), 'physnet1', ['host-1', 'host-2', 'host-3']);
    expect(await look()).toEqual({ connected: ['host-1'], unconnected: ['host-2'], physicalNetworks: ['physnet0', 'physnet1', 'physnet2'] });
    await able.map('');
    await expect.poll(look).toEqual({ connected: [], unconnected: ['host-1', 'host-2'], physicalNetworks: ['physnet2'] });
    able.kill();
    await unable.leave();
    await expect.poll(look).toEqual({ connected: [], unconnected: ['host-1'], physicalNetworks: [] });
    able.revive();
    await unable.join();
  });

  it('do not answer the floating addresses of their machines: the gateway does', async () => {
    await tell();
    expect(await isOnItsHost()).toBe(true);
    port = { ...port, revision: 2, hostName: 'host-2' };
    await driver.ensurePort(callOf(), port);
    // At once, with the machine.
    expect(await isOnItsHost()).toBe(false);
    expect(await isIntact()).toBe(true);
    await tell();
    expect(await isOnItsHost()).toBe(false);
    port = { ...port, revision: 3, hostName: 'host-1' };
    await driver.ensurePort(callOf(), port);
    expect(await isIntact()).toBe(false);
    await tell();
    expect(await isOnItsHost()).toBe(true);
  });

  it('are hinted at when they have lost it, and when they have got it back', async () => {
    await tell();
    const hints: BackendEvent[] = [];
    const watching = new AbortController();
    const watch = driver.watch((event) => hints.push(event), watching.signal);
    try {
      for (const [mappings, answers] of [[WITHOUT, false], [WITH, true]] as const) {
        hints.length = 0;
        await able.map(mappings);
        await expect.poll(() => hints.map(({ id }) => id)).toEqual(expect.arrayContaining([floating.floatingIpId, outside.externalNetworkId]));
        expect(await isIntact()).toBe(false);
        await tell();
        expect([await isIntact(), await isOnItsHost()]).toEqual([true, answers]);
      }
    } finally {
      watching.abort();
      await watch;
    }
  });

  it('leave floating addresses as they are while their agents are stopped', async () => {
    await tell();
    await able.leave();
    try {
      await expect.poll(async () => (await driver.physicalNetworkHosts(callOf(), 'physnet1', ['host-1'])).connected).toEqual([]);
      expect([await isIntact(), await isOnItsHost()]).toEqual([true, true]);
      await tell();
      expect(await isOnItsHost()).toBe(true);
    } finally {
      await able.join();
    }
  });
});
