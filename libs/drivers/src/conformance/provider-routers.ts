import { typeidUnboxed } from 'typeid-js';
import { afterEach, expect, it } from 'vitest';
import type { ExternalNetworkSpecification, ProviderRouterSpecification, RouterSpecification } from '../edge.js';
import type { NetworkSpecification } from '../network.js';
import type { Bench } from './bench.js';

export function providerRouterSpecification(bench: Bench, { externalNetworkId }: ExternalNetworkSpecification): ProviderRouterSpecification {
  return {
    providerRouterId: typeidUnboxed('prr'),
    revision: 1,
    installationId: bench.ownership.installationId,
    externalNetworkId,
    address: '198.51.100.192',
    transitCidr: '100.64.0.0/16',
    transitAddress: '100.64.255.254',
    gatewayHostNames: [...bench.subject.hostNames],
  };
}

export async function makeProviderRouter(bench: Bench, outside: ExternalNetworkSpecification): Promise<ProviderRouterSpecification> {
  const specification = providerRouterSpecification(bench, outside);
  bench.willRemove(async (call) => bench.driver.network.removeProviderRouter(call, specification.providerRouterId));
  await bench.finish(async (call) => bench.driver.network.ensureProviderRouter(call, specification));
  return specification;
}

/** Routers of the provider, and what leads to the outside by them. */
export function providerRouterConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  const uplinkOf = ({ providerRouterId }: ProviderRouterSpecification, address = '100.64.1.10'): RouterSpecification['uplink'] => ({
    providerRouterId,
    address,
    sourceNat: true,
  });

  interface Behind {
    outside: ExternalNetworkSpecification;
    providerRouter: ProviderRouterSpecification;
    network: NetworkSpecification;
    router: RouterSpecification;
  }
  const behind = async (): Promise<Behind> => {
    const outside = await bench.externalNetwork();
    const providerRouter = await makeProviderRouter(bench, outside);
    const network = await bench.network();
    return { outside, providerRouter, network, router: await bench.router([network], null, { uplink: uplinkOf(providerRouter) }) };
  };
  const through = ({ providerRouterId }: ProviderRouterSpecification) => ({ transit: { providerRouterId, address: '100.64.1.11' } });

  it('ensures a provider’s router, marked with the installation, and repeats', async (context) => {
    bench.needs(context, 'network', 'router');
    const providerRouter = await makeProviderRouter(bench, await bench.externalNetwork());
    const { providerRouterId: id } = providerRouter;
    await bench.finish(async (call) => bench.driver.network.ensureProviderRouter(call, providerRouter));
    await bench.showsPart(id, 1);
    expect(await bench.part(id)).toEqual({ kind: 'PROVIDER_ROUTER', id, installationId: bench.ownership.installationId, revision: 1, isIntact: true });
  });

  it('its newer revision replaces an older one, and an older one that comes late changes nothing', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const providerRouter = await makeProviderRouter(bench, await bench.externalNetwork());
    await bench.finish(async (call) => driver.ensureProviderRouter(call, { ...providerRouter, revision: 3, gatewayHostNames: [bench.host] }));
    await bench.showsPart(providerRouter.providerRouterId, 3);
    await bench.finish(async (call) => driver.ensureProviderRouter(call, providerRouter));
    expect((await bench.part(providerRouter.providerRouterId))?.revision).toBe(3);
  });

  it('another installation’s is not touched', async (context) => {
    bench.needs(context, 'network', 'router');
    const providerRouter = await makeProviderRouter(bench, await bench.externalNetwork());
    const foreign = { ...providerRouter, revision: 2, installationId: typeidUnboxed('installation') };
    await bench.refused(bench.finish(async (call) => bench.driver.network.ensureProviderRouter(call, foreign)), 'BACKEND_FAILED');
    await bench.showsPart(providerRouter.providerRouterId, 1);
  });

  it('one whose answer was lost is there, once', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const providerRouter = providerRouterSpecification(bench, await bench.externalNetwork());
    bench.willRemove(async (call) => driver.removeProviderRouter(call, providerRouter.providerRouterId));
    await bench.hook(context, 'loseNextAnswer')('ensureProviderRouter');
    await bench.refused(driver.ensureProviderRouter(bench.call(), providerRouter), 'TIMEOUT');
    await bench.finish(async (call) => driver.ensureProviderRouter(call, providerRouter));
    await bench.showsPart(providerRouter.providerRouterId, 1);
  });

  it('a router leads to the outside itself, then by the provider’s, then itself again', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const { outside, providerRouter, network, router } = await behind();
    const { uplink } = bench.routerSpecification([network], outside);
    await bench.finish(async (call) => driver.ensureRouter(call, { ...router, revision: 2, uplink }));
    await bench.showsPart(router.routerId, 2);
    await bench.finish(async (call) => driver.removeProviderRouter(call, providerRouter.providerRouterId));
    await bench.showsNoPart(providerRouter.providerRouterId);
    await bench.finish(async (call) => driver.ensureProviderRouter(call, providerRouter));
    await bench.finish(async (call) => driver.ensureRouter(call, { ...router, revision: 3 }));
    await bench.showsPart(router.routerId, 3);
  });

  it('a floating address leads through both to a port, then to a load balancer, then nowhere', async (context) => {
    bench.needs(context, 'network', 'router', 'loadBalancer');
    const { network: driver } = bench.driver;
    const { providerRouter, network, router } = await behind();
    const port = await bench.port(network);
    const loadBalancer = await bench.loadBalancer(network);
    const floatingIp = await bench.floatingIp(router, port, through(providerRouter));
    await bench.finish(async (call) => driver.ensureFloatingIp(call, floatingIp));
    const { target } = bench.floatingIpSpecification(router, loadBalancer);
    await bench.finish(async (call) => driver.ensureFloatingIp(call, { ...floatingIp, revision: 2, target }));
    await bench.showsPart(floatingIp.floatingIpId, 2);
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => driver.removeFloatingIp(call, floatingIp.floatingIpId));
    await bench.showsNoPart(floatingIp.floatingIpId);
  });

  it('a floating address goes with its port', async (context) => {
    bench.needs(context, 'network', 'router');
    const { providerRouter, network, router } = await behind();
    const port = await bench.port(network);
    const floatingIp = await bench.floatingIp(router, port, through(providerRouter));
    await bench.finish(async (call) => bench.driver.network.removePort(call, port.portId));
    await bench.showsNoPart(floatingIp.floatingIpId);
  });

  it('a floating address has a transit address where the uplink leads to a provider’s router, and only there', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const { outside, providerRouter, network, router } = await behind();
    const port = await bench.port(network);
    const without = bench.floatingIpSpecification(router, port);
    await bench.refused(bench.finish(async (call) => driver.ensureFloatingIp(call, without)), 'INVALID_STATE');
    const floatingIp = await bench.floatingIp(router, port, through(providerRouter));
    const { uplink } = bench.routerSpecification([network], outside);
    await bench.refused(bench.finish(async (call) => driver.ensureRouter(call, { ...router, revision: 2, uplink })), 'INVALID_STATE');
    await bench.finish(async (call) => driver.removeFloatingIp(call, floatingIp.floatingIpId));
    await bench.finish(async (call) => driver.ensureRouter(call, { ...router, revision: 2, uplink }));
    await bench.refused(bench.finish(async (call) => driver.ensureFloatingIp(call, { ...floatingIp, revision: 2 })), 'INVALID_STATE');
  });

  it('what routers and the provider’s router build on is not removed', async (context) => {
    bench.needs(context, 'network', 'router');
    const { network: driver } = bench.driver;
    const { outside, providerRouter, router } = await behind();
    const { externalNetworkId } = outside;
    const { providerRouterId } = providerRouter;
    await bench.refused(bench.finish(async (call) => driver.removeProviderRouter(call, providerRouterId)), 'INVALID_STATE');
    await bench.finish(async (call) => driver.removeRouter(call, router.routerId));
    await bench.refused(bench.finish(async (call) => driver.removeExternalNetwork(call, externalNetworkId)), 'INVALID_STATE');
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => driver.removeProviderRouter(call, providerRouterId));
    await bench.finish(async (call) => driver.removeExternalNetwork(call, externalNetworkId));
    await bench.showsNoPart(providerRouterId);
    await bench.showsNoPart(externalNetworkId);
  });

  it('a router leads to no provider’s router that is not there', async (context) => {
    bench.needs(context, 'network', 'router');
    const absent = providerRouterSpecification(bench, await bench.externalNetwork());
    const router = bench.routerSpecification([await bench.network()], null, { uplink: uplinkOf(absent) });
    await bench.refused(bench.finish(async (call) => bench.driver.network.ensureRouter(call, router)), 'NOT_FOUND');
  });

  it('both it and routers that lead to it are realised on live hosts, and list dead gateways as pending', async (context) => {
    bench.needs(context, 'network', 'router');
    const { providerRouter, router } = await behind();
    const pending = async (id: string): Promise<string[]> => (await bench.finish(async (call) => bench.driver.network.realised(call, id))).pendingHostNames;
    const ids = [providerRouter.providerRouterId, router.routerId];
    for (const id of ids) expect(await pending(id)).toEqual([]);
    const kill = bench.hook(context, 'killHost');
    const revive = bench.hook(context, 'returnHost');
    await kill(bench.host);
    try {
      for (const id of ids) await bench.eventually('the dead host is pending', async () => (await pending(id)).includes(bench.host));
    } finally {
      await revive(bench.host);
    }
    for (const id of ids) await bench.eventually('the host has caught up', async () => (await pending(id)).length === 0);
  });
}
