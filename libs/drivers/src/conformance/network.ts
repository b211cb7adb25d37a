import { typeidUnboxed } from 'typeid-js';
import { afterEach, expect, it } from 'vitest';
import type { ObservedNetworkPart } from '../network.js';
import type { Bench } from './bench.js';

export function networkConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  const part = async (id: string): Promise<ObservedNetworkPart | undefined> => bench.part(id);
  const shows = async (id: string, revision: number): Promise<void> => bench.showsPart(id, revision);

  it('ensures a network, marked with the installation, and repeats', async (context) => {
    bench.needs(context, 'network');
    const network = await bench.network();
    await bench.finish(async (call) => bench.driver.network.ensureNetwork(call, network));
    await shows(network.networkId, 1);
    expect(await part(network.networkId)).toEqual({
      kind: 'NETWORK',
      id: network.networkId,
      installationId: bench.ownership.installationId,
      revision: 1,
      isIntact: true,
    });
  });

  it('a newer revision replaces an older one, and an older one that comes late changes nothing', async (context) => {
    bench.needs(context, 'network');
    const { network: driver } = bench.driver;
    const network = await bench.network();
    const port = await bench.port(network);
    const newer = { ...port, revision: 3, ipAddress: '10.201.0.11' };
    await bench.finish(async (call) => driver.ensurePort(call, newer));
    await shows(port.portId, 3);
    await bench.finish(async (call) => driver.ensurePort(call, port));
    expect((await part(port.portId))?.revision).toBe(3);
  });

  it('another installation’s part is not touched', async (context) => {
    bench.needs(context, 'network');
    const network = await bench.network();
    const foreign = { ...network, revision: 2, ownership: { ...network.ownership, installationId: typeidUnboxed('installation') } };
    await bench.refused(bench.finish(async (call) => bench.driver.network.ensureNetwork(call, foreign)), 'BACKEND_FAILED');
    await shows(network.networkId, 1);
  });

  it('a port whose answer was lost is there, once', async (context) => {
    bench.needs(context, 'network');
    const port = bench.portSpecification(await bench.network());
    bench.willRemovePort(port.portId);
    await bench.hook(context, 'loseNextAnswer')('ensurePort');
    await bench.refused(bench.driver.network.ensurePort(bench.call(), port), 'TIMEOUT');
    await bench.finish(async (call) => bench.driver.network.ensurePort(call, port));
    await shows(port.portId, 1);
  });

  it('ensures and removes a load balancer, and repeats', async (context) => {
    bench.needs(context, 'network', 'loadBalancer');
    const { network: driver } = bench.driver;
    const network = await bench.network();
    const loadBalancer = {
      loadBalancerId: typeidUnboxed('lb'),
      revision: 1,
      ownership: bench.ownership,
      networkId: network.networkId,
      address: '10.201.0.20',
      listeners: [{ port: 6443, protocol: 'TCP' as const, members: [{ address: '10.201.0.10', port: 6443 }] }],
    };
    const { loadBalancerId } = loadBalancer;
    bench.willRemove(async (call) => driver.removeLoadBalancer(call, loadBalancerId));
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => driver.ensureLoadBalancer(call, loadBalancer));
    await shows(loadBalancerId, 1);
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => driver.removeLoadBalancer(call, loadBalancerId));
    await bench.eventually('the load balancer is no longer listed', async () => (await part(loadBalancerId)) === undefined);
  });

  it('takes names, also one that several have, and an address for health checks', async (context) => {
    bench.needs(context, 'network');
    const { network: driver } = bench.driver;
    const plain = await bench.network();
    const subnets = plain.subnets.map((subnet) => ({ ...subnet, healthCheckAddress: '10.201.0.254' }));
    await bench.finish(async (call) => driver.ensureNetwork(call, { ...plain, revision: 2, domain: 'demo.internal', subnets }));
    await shows(plain.networkId, 2);
    const one = await bench.port(plain, { name: 'web' });
    const other = await bench.port(plain, { name: 'web', macAddress: '02:00:00:c0:ff:02', ipAddress: '10.201.0.11' });
    await bench.finish(async (call) => driver.ensurePort(call, { ...one, revision: 2, name: 'shop' }));
    await shows(one.portId, 2);
    await bench.finish(async (call) => driver.removePort(call, other.portId));
    await bench.eventually('the port is no longer listed', async () => (await part(other.portId)) === undefined);
    await bench.finish(async (call) => driver.ensureNetwork(call, { ...plain, revision: 3 }));
    await shows(plain.networkId, 3);
  });

  it('a network in use is not removed; an empty one is, and repeats', async (context) => {
    bench.needs(context, 'network');
    const { network: driver } = bench.driver;
    const network = await bench.network();
    const port = await bench.port(network);
    const remove = async () => bench.finish(async (call) => driver.removeNetwork(call, network.networkId));
    await bench.refused(remove(), 'INVALID_STATE');
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => driver.removePort(call, port.portId));
    await remove();
    await remove();
    await bench.eventually('the network is no longer listed', async () => (await part(network.networkId)) === undefined);
  });

  it('is realised on live hosts, and lists the dead as pending', async (context) => {
    bench.needs(context, 'network');
    const { network: driver } = bench.driver;
    const network = await bench.network();
    await bench.port(network);
    const realised = async () => bench.finish(async (call) => driver.realised(call, network.networkId));
    expect(await realised()).toEqual({ pendingHostNames: [] });
    const kill = bench.hook(context, 'killHost');
    const revive = bench.hook(context, 'returnHost');
    await kill(bench.host);
    try {
      await bench.eventually('the dead host is pending', async () => (await realised()).pendingHostNames.includes(bench.host));
    } finally {
      await revive(bench.host);
    }
    await bench.eventually('the host has caught up', async () => (await realised()).pendingHostNames.length === 0);
  });
}
