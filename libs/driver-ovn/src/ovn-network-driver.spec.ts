import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestAuthority } from '#ovsdb/testing';
import { openOvnNetwork, type OvnNetworkOptions } from './index.js';
import { callOf, DONE, INSTALLATION, networkOf, optionsOf, refused } from './testing/fixtures.js';
import { ovnIsMissing, TestOvn } from './testing/ovn.js';

describe('options of an OVN network', () => {
  const right: OvnNetworkOptions = {
    backendId: 'backend_1',
    installationId: INSTALLATION,
    northbound: ['tcp:127.0.0.1:1'],
    southbound: ['tcp:127.0.0.1:1'],
    connectTimeoutMs: 300,
  };

  it.each<[field: string, wrong: object]>([
    ['options.northbound', { northbound: [] }],
    ['options.northbound.1', { northbound: ['tcp:127.0.0.1:1', 'http://127.0.0.1'] }],
    ['options.southbound.0', { southbound: ['127.0.0.1:6642'] }],
    ['options.mtu', { mtu: 100 }],
    ['options.dnsServers.0', { dnsServers: ['dns.example.org'] }],
    ['options', { colour: 'green' }],
  ])('refuses a wrong %s', async (field, wrong) => {
    expect((await refused(openOvnNetwork({ ...right, ...wrong }), 'INVALID_INPUT')).field).toBe(field);
  });

  it('is UNAVAILABLE when nobody listens there', async () => {
    const error = await refused(openOvnNetwork(right), 'UNAVAILABLE');
    expect(error).toMatchObject({ retryable: true, fault: 'OPERATOR', data: { backend: 'backend_1' } });
  });
});

describe.skipIf(ovnIsMissing)('an OVN network', () => {
  let ovn: TestOvn;

  beforeAll(async () => {
    ovn = await TestOvn.start();
  });
  afterAll(async () => ovn[Symbol.asyncDispose]());

  it('refuses the databases of something else', async () => {
    const { northbound, southbound } = optionsOf(ovn);
    await refused(openOvnNetwork(optionsOf(ovn, { northbound: southbound, southbound: northbound, connectTimeoutMs: 300 })), 'UNAVAILABLE');
  });

  it('is UNAVAILABLE after it was disposed of', async () => {
    const driver = await openOvnNetwork(optionsOf(ovn));
    expect(await driver.ensureNetwork(callOf(), networkOf())).toEqual(DONE);
    await driver[Symbol.asyncDispose]();
    await refused(driver.ensureNetwork(callOf(), networkOf()), 'UNAVAILABLE');
    await refused(driver.listParts(callOf(), null, 10), 'UNAVAILABLE');
  });

  it('lists what other processes have made, in pages by id', async () => {
    await using one = await openOvnNetwork(optionsOf(ovn));
    await using other = await openOvnNetwork(optionsOf(ovn));
    const networks = ['listed_b', 'listed_d', 'listed_a', 'listed_c'].map((networkId) => networkOf({ networkId, subnets: [] }));
    for (const network of networks) await one.ensureNetwork(callOf(), network);
    const listed = async (after: string): Promise<string[]> => (await other.listParts(callOf(), after, 2)).map(({ id }) => id);
    await expect.poll(async () => listed('listed_b')).toEqual(['listed_c', 'listed_d']);
    expect(await listed('listed_')).toEqual(['listed_a', 'listed_b']);
    expect(await listed('listed_bb')).toEqual(['listed_c', 'listed_d']);
    expect((await listed('listed_d')).filter((id) => networks.some(({ networkId }) => networkId === id))).toEqual([]);
  });
});

describe.skipIf(ovnIsMissing)('an OVN network over TLS', () => {
  it('writes and watches where both sides know each other by certificates, and is UNAVAILABLE without one', async () => {
    await using authority = await TestAuthority.create();
    // As `ovs-pki` makes them: without names.
    const [north, south] = await Promise.all(['north', 'south'].map(async (name) => authority.server(name, await authority.issue(name))));
    await using ovn = await TestOvn.start({ northbound: north?.options ?? [], southbound: south?.options ?? [] });
    const tls = { ca: authority.pem, ...(await authority.issue('muon')), serverName: false as const };
    const options = optionsOf(ovn, { northbound: [north?.endpoint ?? ''], southbound: [south?.endpoint ?? ''], tls });
    await using driver = await openOvnNetwork(options);
    const network = networkOf();
    expect(await driver.ensureNetwork(callOf(), network)).toEqual(DONE);
    await expect.poll(async () => (await driver.listParts(callOf(), null, 10)).map(({ id }) => id)).toEqual([network.networkId]);
    expect(await driver.removeNetwork(callOf(), network.networkId)).toEqual(DONE);
    const error = await refused(openOvnNetwork({ ...options, tls: { ca: authority.pem, serverName: false }, connectTimeoutMs: 300 }), 'UNAVAILABLE');
    expect(error.data).toMatchObject({ backend: 'backend_1' });
  });
});
