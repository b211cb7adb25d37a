import { typeidUnboxed } from 'typeid-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BackendEvent, ExternalNetworkSpecification, NetworkSpecification, ProviderRouterSpecification, RouterSpecification } from '#drivers';
import { Transaction } from '#ovsdb';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import { carries } from '../marks.js';
import type { Northbound } from '../schema/northbound.js';
import { callOf, DONE, finish, INSTALLATION, networkOf, optionsOf, OWNERSHIP } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';
import { TestHost } from '../testing/test-host.js';

const HOSTS = ['host-1', 'host-2'];

describe.skipIf(ovnIsMissing)('gateways on hosts whose chassis have other names', () => {
  let ovn: TestOvn;
  let driver: OvnNetworkDriver;
  let first: TestHost;
  let second: TestHost;
  let outside: ExternalNetworkSpecification;
  let network: NetworkSpecification;
  let provider: ProviderRouterSpecification;
  let direct: RouterSpecification;
  let behind: RouterSpecification;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    first = await TestHost.start(ovn.southbound.unix, 'b6f1ad02', 'host-1');
    second = await TestHost.start(ovn.southbound.unix, '9c44e7d1', 'host-2');
    driver = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await driver[Symbol.asyncDispose]();
    for (const each of [first, second, ovn]) await each[Symbol.asyncDispose]();
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
    provider = {
      providerRouterId: typeidUnboxed('prr'),
      revision: 1,
      installationId: INSTALLATION,
      externalNetworkId,
      address: '198.51.100.100',
      transitCidr: '100.64.0.0/16',
      transitAddress: '100.64.255.254',
      gatewayHostNames: HOSTS,
    };
    const uplink = { externalNetworkId, address: '198.51.100.110', sourceNat: true, gatewayHostNames: HOSTS };
    direct = { routerId: typeidUnboxed('rtr'), revision: 1, ownership: OWNERSHIP, networks: [{ networkId: network.networkId, link: 0 }], uplink };
    const { providerRouterId } = provider;
    behind = { ...direct, routerId: typeidUnboxed('rtr'), networks: [], uplink: { providerRouterId, address: '100.64.1.10', sourceNat: true } };
    await driver.ensureExternalNetwork(callOf(), outside);
    await driver.ensureNetwork(callOf(), network);
    await tell();
  });
  afterEach(async () => {
    for (const host of [first, second]) host.revive();
    for (const { routerId } of [direct, behind]) await driver.removeRouter(callOf(), routerId);
    await driver.removeProviderRouter(callOf(), provider.providerRouterId);
    await driver.removeExternalNetwork(callOf(), outside.externalNetworkId);
    await driver.removeNetwork(callOf(), network.networkId);
  });

  async function tell(): Promise<void> {
    expect(await driver.ensureProviderRouter(callOf(), provider)).toEqual(DONE);
    for (const router of [direct, behind]) expect(await driver.ensureRouter(callOf(), router)).toEqual(DONE);
  }

  const ids = (): string[] => [provider.providerRouterId, direct.routerId, behind.routerId];
  const pending = async (id: string): Promise<string[]> => (await finish(async () => driver.realised(callOf(), id))).pendingHostNames;

  /** The chassis that may lead both uplinks, the first one first. */
  async function candidates(): Promise<{ direct: string[]; provider: string[] }> {
    const reading = new Transaction<Northbound>();
    const gateways = reading.select('Gateway_Chassis', [carries({ ROUTER: direct.routerId })]);
    const members = reading.select('HA_Chassis', [carries({ ID: provider.providerRouterId })]);
    const found = await ovn.nb.transact(reading);
    const named = (rows: readonly { chassis_name: string; priority: number }[]): string[] =>
      rows.toSorted((one, other) => other.priority - one.priority).map((row) => row.chassis_name);
    return { direct: named(found.of(gateways)), provider: named(found.of(members)) };
  }

  async function intact(): Promise<boolean[]> {
    const parts = await driver.listParts(callOf(), null, 100);
    return ids().map((id) => parts.find((part) => part.id === id)?.isIntact === true);
  }

  it('are written by the names of the chassis', async () => {
    expect(await candidates()).toEqual({ direct: ['b6f1ad02', '9c44e7d1'], provider: ['b6f1ad02', '9c44e7d1'] });
  });

  it('are told by the host’s own name when it is dead, and only once', async () => {
    for (const id of ids()) expect(await pending(id)).toEqual([]);
    second.kill();
    for (const id of ids()) expect(await pending(id)).toEqual(['host-2']);
    second.revive();
    for (const id of ids()) expect(await pending(id)).toEqual([]);
  });

  it('stay as they are while a host’s agent is stopped, and are told by its name', async () => {
    await second.leave();
    try {
      await expect.poll(() => pending(direct.routerId)).toEqual(['host-2']);
      for (const id of ids()) expect(await pending(id)).toEqual(['host-2']);
      expect(await intact()).toEqual([true, true, true]);
      await tell();
      expect(await candidates()).toEqual({ direct: ['b6f1ad02', '9c44e7d1'], provider: ['b6f1ad02', '9c44e7d1'] });
    } finally {
      await second.join();
    }
  });

  it('are told again when a host comes that was not known before, at once', async () => {
    const late = ['host-1', 'host-3'];
    provider = { ...provider, revision: 2, gatewayHostNames: late };
    direct = { ...direct, revision: 2, uplink: { externalNetworkId: outside.externalNetworkId, address: '198.51.100.110', sourceNat: true, gatewayHostNames: late } };
    await tell();
    expect(await candidates()).toEqual({ direct: ['b6f1ad02', 'host-3'], provider: ['b6f1ad02', 'host-3'] });
    expect(await intact()).toEqual([true, true, true]);
    const hints: BackendEvent[] = [];
    const watching = new AbortController();
    const watch = driver.watch((event) => hints.push(event), watching.signal);
    await using third = await TestHost.start(ovn.southbound.unix, '0d15ea5e', 'host-3');
    await expect.poll(() => hints.map(({ id }) => id)).toEqual(expect.arrayContaining([provider.providerRouterId, direct.routerId]));
    expect(await intact()).toEqual([false, false, true]);
    await tell();
    expect(await candidates()).toEqual({ direct: ['b6f1ad02', '0d15ea5e'], provider: ['b6f1ad02', '0d15ea5e'] });
    expect(await intact()).toEqual([true, true, true]);
    watching.abort();
    await watch;
    await third.leave();
  });
});
