import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MuonError } from '#core';
import type { DriverCall, NetworkSpecification, Outcome } from '#drivers';
import { Proxy } from '#ovsdb/testing';
import { Transaction } from '#ovsdb';
import { openOvnNetwork, type OvnNetworkDriver } from './index.js';
import { rowUuid } from './names.js';
import type { Northbound } from './schema/northbound.js';
import { balancerOf, callOf, DONE, finish, networkOf, optionsOf, portOf, subnetOf } from './testing/fixtures.js';
import { ovnIsMissing, TestOvn } from './testing/ovn.js';

const ROUNDS = 25;

describe.skipIf(ovnIsMissing)('many writers and lost answers', () => {
  let ovn: TestOvn;
  let link: Proxy;
  let one: OvnNetworkDriver;
  let other: OvnNetworkDriver;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    link = await Proxy.to(ovn.northbound.unix);
    one = await openOvnNetwork(optionsOf(ovn, { northbound: [link.endpoint] }));
    other = await openOvnNetwork(optionsOf(ovn));
  });
  afterAll(async () => {
    await one[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
    await link.close();
    await ovn[Symbol.asyncDispose]();
  });

  const ensured = async (overrides: Partial<NetworkSpecification> = {}): Promise<NetworkSpecification> => {
    const network = networkOf(overrides);
    await other.ensureNetwork(callOf(), network);
    return network;
  };
  const read = async <Table extends keyof Northbound>(table: Table, id: string) => {
    const reading = new Transaction<Northbound>();
    const rows = reading.select(table, [['_uuid', '==', rowUuid(table as 'Load_Balancer', id)]]);
    return (await ovn.nb.transact(reading)).of(rows)[0];
  };
  const codeOf = async (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'DONE',
      (error: unknown) => (error instanceof MuonError ? error.code : String(error)),
    );

  it('the newest revision wins, in whatever order they come', async () => {
    const network = await ensured();
    const port = portOf(network);
    const revisions = Array.from({ length: 30 }, (_each, index) => ((index * 7) % 30) + 1);
    await Promise.all(
      revisions.map(async (revision, index) => {
        const wanted = { ...port, revision, ipAddress: `10.0.0.${100 + revision}` };
        await finish(async () => (index % 2 === 0 ? one : other).ensurePort(callOf(), wanted));
      }),
    );
    const row = await read('Logical_Switch_Port', port.portId);
    expect(row?.external_ids.get('muon:revision')).toBe('30');
    expect(row?.addresses).toEqual(new Set(['02:00:00:00:00:01 10.0.0.130']));
  });

  it('what many make at once is made once', async () => {
    const network = networkOf();
    const port = portOf(network);
    const drivers = Array.from({ length: 10 }, (_each, index) => (index % 2 === 0 ? one : other));
    await Promise.all(drivers.map(async (driver) => finish(async () => driver.ensureNetwork(callOf(), network))));
    await Promise.all(drivers.map(async (driver) => finish(async () => driver.ensurePort(callOf(), port))));
    const subnetId = port.subnetId;
    expect(await ovn.rowsOf(network.networkId)).toEqual(
      [
        'dhcp 10.0.0.0/24',
        `router ${network.networkId}`,
        `router port ${subnetId}-router`,
        `switch ${subnetId}`,
        `switch port ${port.portId}`,
        `switch port ${subnetId}-switch`,
      ].sort(),
    );
  });

  it('a network goes or gets a port, never both', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const network = await ensured();
      const port = portOf(network);
      const [removal, making] = await Promise.all([
        codeOf(finish(async () => one.removeNetwork(callOf(), network.networkId))),
        codeOf(finish(async () => other.ensurePort(callOf(), port))),
      ]);
      expect([
        ['DONE', 'NOT_FOUND'],
        ['INVALID_STATE', 'DONE'],
      ]).toContainEqual([removal, making]);
      const rows = await ovn.rowsOf(network.networkId);
      expect(rows.includes(`switch port ${port.portId}`)).toBe(making === 'DONE');
      expect(rows.length > 0).toBe(making === 'DONE');
    }
  });

  it('a load balancer and a subnet that come at once find each other', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const network = await ensured();
      const balancer = balancerOf(network);
      const second = subnetOf({ cidr: '10.0.1.0/24', gatewayAddress: '10.0.1.1' });
      await Promise.all([
        finish(async () => one.ensureNetwork(callOf(), { ...network, revision: 2, subnets: [...network.subnets, second] })),
        finish(async () => other.ensureLoadBalancer(callOf(), balancer)),
      ]);
      const row = await read('Logical_Switch', second.subnetId);
      expect(row?.load_balancer).toEqual(new Set([rowUuid('Load_Balancer', balancer.loadBalancerId)]));
    }
  });

  it('a load balancer and a member’s port that come at once find each other', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const network = await ensured({ subnets: [subnetOf({ healthCheckAddress: '10.0.0.254' })] });
      const balancer = balancerOf(network);
      const port = portOf(network);
      await Promise.all([
        finish(async () => one.ensurePort(callOf(), port)),
        finish(async () => other.ensureLoadBalancer(callOf(), balancer)),
      ]);
      const row = await read('Load_Balancer', balancer.loadBalancerId);
      expect(row?.ip_port_mappings).toEqual(new Map([['10.0.0.10', `${port.portId}:10.0.0.254`]]));
    }
  });

  /** Cuts the connection at the nth transaction from now: before the server has it, or when it has answered. */
  function cutAt(nth: number, where: 'request' | 'answer'): () => void {
    let count = 0;
    let id: unknown;
    link.fromClient = (message) => {
      if (message['method'] !== 'transact') return 'forward';
      count += 1;
      if (count !== nth) return 'forward';
      id = message['id'];
      return where === 'request' ? 'cut' : 'forward';
    };
    link.fromServer = (message) => (id !== undefined && !('method' in message) && message['id'] === id ? 'cut' : 'forward');
    return () => {
      link.fromClient = () => 'forward';
      link.fromServer = () => 'forward';
    };
  }

  describe.each(['request', 'answer'] as const)('the connection is lost at a %s', (where) => {
    it.each([1, 2, 3])('of the transaction %i of each call, and every call is done, once', async (nth) => {
      const network = networkOf({ subnets: [subnetOf({ healthCheckAddress: '10.0.0.254' })] });
      const port = portOf(network);
      const balancer = balancerOf(network);
      const through = async (make: (call: DriverCall) => Promise<Outcome<void>>): Promise<void> => {
        const heal = cutAt(nth, where);
        try {
          expect(await make(callOf())).toEqual(DONE);
        } finally {
          heal();
        }
      };
      const rows = async (): Promise<string[]> => ovn.rowsOf(network.networkId);
      await through(async (call) => one.ensureNetwork(call, network));
      expect(await rows()).toHaveLength(5);
      await through(async (call) => one.ensurePort(call, port));
      expect(await rows()).toHaveLength(6);
      await through(async (call) => one.ensureLoadBalancer(call, balancer));
      expect(await rows()).toHaveLength(8);
      await through(async (call) => one.ensurePort(call, { ...port, revision: 2, hostName: 'host-2' }));
      expect((await read('Logical_Switch_Port', port.portId))?.options.get('requested-chassis')).toBe('host-2');
      await through(async (call) => one.removePort(call, port.portId));
      await through(async (call) => one.removeLoadBalancer(call, balancer.loadBalancerId));
      expect(await rows()).toHaveLength(5);
      await through(async (call) => one.removeNetwork(call, network.networkId));
      expect(await rows()).toEqual([]);
    });
  });

  it('is UNAVAILABLE or TIMEOUT, and may be tried again, while the database is away', async () => {
    const network = networkOf();
    await ovn.northbound.kill();
    const error: unknown = await one.ensureNetwork(callOf({ timeoutMs: 400 }), network).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MuonError);
    expect(['UNAVAILABLE', 'TIMEOUT']).toContain((error as MuonError).code);
    expect((error as MuonError).retryable).toBe(true);
    await ovn.northbound.start();
    expect(await one.ensureNetwork(callOf(), network)).toEqual(DONE);
  });
});
