import { afterEach, expect, it } from 'vitest';
import type { Outcome } from '../call.js';
import type { ObservedNetworkPart } from '../network.js';
import type { Bench } from './bench.js';
import { makeProviderRouter } from './provider-routers.js';

/** How long nothing is told after what drivers have done themselves, in milliseconds. */
const QUIET_MS = 1_500;

type Mend = (call: ReturnType<Bench['call']>) => Promise<Outcome<void>>;

/** What becomes of parts behind the driver's back. */
export function intactConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  /** One part of each kind, and what tells it again. */
  const everything = async (): Promise<Map<string, Mend>> => {
    const { network: driver } = bench.driver;
    const made = new Map<string, Mend>();
    const network = await bench.network();
    made.set(network.networkId, async (call) => driver.ensureNetwork(call, network));
    const { capabilities } = bench.driver;
    const groups: string[] = [];
    if (capabilities.firewall) {
      const group = await bench.securityGroup();
      made.set(group.securityGroupId, async (call) => driver.ensureSecurityGroup(call, group));
      groups.push(group.securityGroupId);
      const firewall = bench.firewallSpecification();
      bench.willRemove(async (call) => driver.removeFirewall(call, firewall.firewallId));
      await bench.finish(async (call) => driver.ensureFirewall(call, firewall));
      made.set(firewall.firewallId, async (call) => driver.ensureFirewall(call, firewall));
    }
    const port = await bench.port(network, { securityGroupIds: groups });
    made.set(port.portId, async (call) => driver.ensurePort(call, port));
    const balancer = capabilities.loadBalancer ? await bench.loadBalancer(network) : undefined;
    if (balancer !== undefined) made.set(balancer.loadBalancerId, async (call) => driver.ensureLoadBalancer(call, balancer));
    if (!capabilities.router) return made;
    const outside = await bench.externalNetwork();
    made.set(outside.externalNetworkId, async (call) => driver.ensureExternalNetwork(call, outside));
    const provider = await makeProviderRouter(bench, outside);
    made.set(provider.providerRouterId, async (call) => driver.ensureProviderRouter(call, provider));
    const router = await bench.router([network], outside);
    made.set(router.routerId, async (call) => driver.ensureRouter(call, router));
    const floatingIp = await bench.floatingIp(router, port);
    made.set(floatingIp.floatingIpId, async (call) => driver.ensureFloatingIp(call, floatingIp));
    return made;
  };

  const partsOf = async (made: ReadonlyMap<string, Mend>): Promise<ObservedNetworkPart[]> => {
    const parts: ObservedNetworkPart[] = [];
    for (const id of made.keys()) parts.push((await bench.part(id)) as ObservedNetworkPart);
    return parts;
  };

  const isIntact = async (id: string): Promise<boolean | undefined> => (await bench.part(id))?.isIntact;

  it('what was made is intact; what somebody has changed is not, and is mended by the same revision', async (context) => {
    bench.needs(context, 'network');
    const made = await everything();
    for (const id of made.keys()) expect(await isIntact(id), id).toBe(true);
    const damage = bench.hook(context, 'damagePart');
    for (const part of await partsOf(made)) {
      await damage(part);
      await bench.eventually(`${part.kind} is seen to be damaged`, async () => (await isIntact(part.id)) === false);
      await bench.finish(made.get(part.id) as Mend);
      await bench.eventually(`${part.kind} is seen to be mended`, async () => (await isIntact(part.id)) === true);
    }
    for (const id of made.keys()) expect(await isIntact(id), id).toBe(true);
  });

  it('hints at what somebody has changed or taken away, and at nothing that it has made itself', async (context) => {
    bench.needs(context, 'network');
    const damage = bench.hook(context, 'damagePart');
    const lose = bench.hook(context, 'losePart');
    const ending = new AbortController();
    const told: string[] = [];
    const watch = bench.driver.watch(({ kind, id }) => void (kind === 'NETWORK' && told.push(id)), ending.signal);
    try {
      const network = await bench.network();
      const port = await bench.port(network);
      const lost = await bench.port(network, { macAddress: '02:00:00:c0:ff:02', ipAddress: '10.201.0.11' });
      const removed = await bench.port(network, { macAddress: '02:00:00:c0:ff:03', ipAddress: '10.201.0.12' });
      await bench.finish(async (call) => bench.driver.network.ensurePort(call, { ...port, revision: 2, ipAddress: '10.201.0.13' }));
      await bench.finish(async (call) => bench.driver.network.removePort(call, removed.portId));
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      expect(told).toEqual([]);
      await damage((await bench.part(port.portId)) as ObservedNetworkPart);
      await bench.eventually('a hint at the port', async () => told.includes(port.portId));
      await lose((await bench.part(lost.portId)) as ObservedNetworkPart);
      await bench.eventually('a hint at the other', async () => told.includes(lost.portId));
      await bench.finish(async (call) => bench.driver.network.ensurePort(call, { ...port, revision: 2, ipAddress: '10.201.0.13' }));
      expect(await isIntact(port.portId)).toBe(true);
    } finally {
      ending.abort();
      await watch;
    }
  });
}
