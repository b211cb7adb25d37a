import { typeidUnboxed } from 'typeid-js';
import { afterEach, expect, it } from 'vitest';
import type { ExternalNetworkSpecification, RouterSpecification } from '../edge.js';
import type { NetworkSpecification } from '../network.js';
import type { Bench } from './bench.js';

const sameNames = (names: readonly string[]) => (told: readonly string[]): boolean => told.toSorted().join() === names.toSorted().join();

/** External networks, routers and floating addresses. */
export function edgeConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  const routed = async (): Promise<{ outside: ExternalNetworkSpecification; network: NetworkSpecification; router: RouterSpecification }> => {
    const outside = await bench.externalNetwork();
    const network = await bench.network();
    return { outside, network, router: await bench.router([network], outside) };
  };

  it('ensures an external network, a router and a floating address, marked with the installation, and repeats', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const { outside, network, router } = await routed();
    const floatingIp = await bench.floatingIp(router, await bench.port(network));
    await bench.finish(async (call) => driver.ensureExternalNetwork(call, outside));
    await bench.finish(async (call) => driver.ensureRouter(call, router));
    await bench.finish(async (call) => driver.ensureFloatingIp(call, floatingIp));
    const { installationId } = bench.ownership;
    for (const [kind, id] of [
      ['EXTERNAL_NETWORK', outside.externalNetworkId],
      ['ROUTER', router.routerId],
      ['FLOATING_IP', floatingIp.floatingIpId],
    ] as const) {
      await bench.showsPart(id, 1);
      expect(await bench.part(id)).toEqual({ kind, id, installationId, revision: 1, isIntact: true });
    }
  });

  it('a router’s newer revision replaces an older one, and an older one that comes late changes nothing', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const { router, network } = await routed();
    const second = bench.networkSpecification({
      subnets: [{ subnetId: typeidUnboxed('subnet'), cidr: '10.202.0.0/24', gatewayAddress: '10.202.0.1' }],
    });
    bench.willRemove(async (call) => driver.removeNetwork(call, second.networkId));
    await bench.finish(async (call) => driver.ensureNetwork(call, second));
    // What is removed first is what was made last: nothing may still need the second network then.
    bench.willRemove(async (call) => driver.removeRouter(call, router.routerId));
    const newer = { ...router, revision: 3, networks: [{ networkId: network.networkId, link: 0 }, { networkId: second.networkId, link: 1 }] };
    await bench.finish(async (call) => driver.ensureRouter(call, newer));
    await bench.showsPart(router.routerId, 3);
    await bench.finish(async (call) => driver.ensureRouter(call, router));
    expect((await bench.part(router.routerId))?.revision).toBe(3);
    await bench.refused(bench.finish(async (call) => driver.removeNetwork(call, second.networkId)), 'INVALID_STATE');
    await bench.finish(async (call) => driver.ensureRouter(call, { ...router, revision: 4 }));
    await bench.finish(async (call) => driver.removeNetwork(call, second.networkId));
  });

  it('another installation’s router is not touched', async (context) => {
    bench.needs(context, 'network', 'router');
    const { router } = await routed();
    const foreign = { ...router, revision: 2, ownership: { ...router.ownership, installationId: typeidUnboxed('installation') } };
    await bench.refused(bench.finish(async (call) => bench.driver.network.ensureRouter(call, foreign)), 'BACKEND_FAILED');
    await bench.showsPart(router.routerId, 1);
  });

  it('a router whose answer was lost is there, once', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const router = bench.routerSpecification([await bench.network()], await bench.externalNetwork());
    bench.willRemove(async (call) => driver.removeRouter(call, router.routerId));
    await bench.hook(context, 'loseNextAnswer')('ensureRouter');
    await bench.refused(driver.ensureRouter(bench.call(), router), 'TIMEOUT');
    await bench.finish(async (call) => driver.ensureRouter(call, router));
    await bench.showsPart(router.routerId, 1);
  });

  it('a network is on one router', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network } = await routed();
    const second = bench.routerSpecification([network], null);
    await bench.refused(bench.finish(async (call) => bench.driver.network.ensureRouter(call, second)), 'INVALID_STATE');
  });

  it('a floating address leads to a port, then to a load balancer, then nowhere', async (context) => {
    bench.needs(context, 'network', 'router', 'loadBalancer');
    const { network: driver } = bench.driver;
    const { network, router } = await routed();
    const port = await bench.port(network);
    const loadBalancer = await bench.loadBalancer(network);
    const floatingIp = await bench.floatingIp(router, port);
    const { target } = bench.floatingIpSpecification(router, loadBalancer);
    await bench.finish(async (call) => driver.ensureFloatingIp(call, { ...floatingIp, revision: 2, target }));
    await bench.showsPart(floatingIp.floatingIpId, 2);
    await bench.finish(async (call) => driver.ensureFloatingIp(call, floatingIp));
    expect((await bench.part(floatingIp.floatingIpId))?.revision).toBe(2);
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => driver.removeFloatingIp(call, floatingIp.floatingIpId));
    await bench.showsNoPart(floatingIp.floatingIpId);
  });

  it('a floating address goes with its port', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network, router } = await routed();
    const port = await bench.port(network);
    const floatingIp = await bench.floatingIp(router, port);
    await bench.finish(async (call) => bench.driver.network.removePort(call, port.portId));
    await bench.showsNoPart(floatingIp.floatingIpId);
  });

  it('a floating address goes with its load balancer', async (context) => {
    bench.needs(context, 'network', 'router', 'loadBalancer');
    const { network, router } = await routed();
    const loadBalancer = await bench.loadBalancer(network);
    const floatingIp = await bench.floatingIp(router, loadBalancer);
    await bench.finish(async (call) => bench.driver.network.removeLoadBalancer(call, loadBalancer.loadBalancerId));
    await bench.showsNoPart(floatingIp.floatingIpId);
  });

  it('what others build on is not removed, and what floating addresses need is not let go', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const { outside, network, router } = await routed();
    const floatingIp = await bench.floatingIp(router, await bench.port(network));
    const { routerId } = router;
    const refused = async (attempt: Parameters<typeof bench.finish<void>>[0]): Promise<void> => {
      await bench.refused(bench.finish(attempt), 'INVALID_STATE');
    };
    await refused(async (call) => driver.removeExternalNetwork(call, outside.externalNetworkId));
    await refused(async (call) => driver.removeRouter(call, routerId));
    await refused(async (call) => driver.ensureRouter(call, { ...router, revision: 2, uplink: null }));
    await refused(async (call) => driver.ensureRouter(call, { ...router, revision: 2, networks: [] }));
    await bench.finish(async (call) => driver.removeFloatingIp(call, floatingIp.floatingIpId));
    await bench.finish(async (call) => driver.ensureRouter(call, { ...router, revision: 2, uplink: null }));
    await bench.finish(async (call) => driver.removeExternalNetwork(call, outside.externalNetworkId));
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => driver.removeRouter(call, routerId));
    await bench.showsNoPart(routerId);
    await bench.showsNoPart(outside.externalNetworkId);
  });

  it('no floating address leads where the outside is not reached', async (context) => {
    bench.needs(context, 'network', 'router');
    const network = await bench.network();
    const port = await bench.port(network);
    const router = await bench.router([network], null);
    const floatingIp = bench.floatingIpSpecification(router, port);
    await bench.refused(bench.finish(async (call) => bench.driver.network.ensureFloatingIp(call, floatingIp)), 'INVALID_STATE');
  });

  it('tells which hosts reach a network outside, and hints at it when that changes', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const { externalNetworkId, physicalNetwork } = await bench.externalNetwork();
    const hostNames = [...bench.subject.hostNames];
    const look = async () => driver.physicalNetworkHosts(bench.call(), physicalNetwork, [...hostNames, 'host-that-is-not']);
    expect(await look()).toMatchObject({ connected: expect.toSatisfy(sameNames(hostNames)) as unknown, unconnected: [] });
    const connect = bench.hook(context, 'connectHost');
    const hints: string[] = [];
    const watching = new AbortController();
    const watch = bench.driver.watch((event) => void hints.push(`${event.kind} ${event.id}`), watching.signal);
    try {
      // One hint may be missed, so it changes until one comes.
      await bench.eventually('the change is hinted at', async () => {
        for (const connected of [true, false]) await connect(bench.host, physicalNetwork, connected);
        return hints.includes(`NETWORK ${externalNetworkId}`);
      });
      await bench.eventually('the host is not connected', async () => (await look()).unconnected.includes(bench.host));
      expect((await look()).connected).toEqual(expect.toSatisfy(sameNames(hostNames.filter((name) => name !== bench.host))));
    } finally {
      await connect(bench.host, physicalNetwork, true);
      watching.abort();
      await watch;
    }
    await bench.eventually('the host is connected again', async () => (await look()).unconnected.length === 0);
  });

  it('a router is realised on live hosts, and lists dead gateways as pending', async (context) => {
    bench.needs(context, 'network', 'router');
    const { router } = await routed();
    const realised = async () => bench.finish(async (call) => bench.driver.network.realised(call, router.routerId));
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
