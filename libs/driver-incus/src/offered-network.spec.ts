import { expect, test } from 'vitest';
import type { Driver, NetworkDriver } from '#drivers';
import { incusDriverFactory, type OpenedNetwork } from './index.js';
import { callOf } from './testing/pretend-incus.js';

/** A network that can do everything, and says that it was asked. */
const capable = new Proxy({} as OpenedNetwork, {
  // Whoever waits for it must not take it for a promise.
  get: (_target, name) => (name === 'then' ? undefined : async () => ({ state: 'DONE', value: name })),
});

async function offering(capabilities: Record<string, boolean>): Promise<Driver> {
  const connection = { backendId: 'backend_1', installationId: 'installation_1', endpoint: 'unix:/nowhere', secret: null, options: { network: {}, capabilities } };
  return incusDriverFactory({ openNetwork: async () => capable }).connect(connection);
}

const REMOVALS: readonly [capability: string, method: keyof NetworkDriver][] = [
  ['loadBalancer', 'removeLoadBalancer'],
  ['router', 'removeRouter'],
  ['router', 'removeExternalNetwork'],
  ['router', 'removeProviderRouter'],
  ['router', 'removeFloatingIp'],
  ['firewall', 'removeSecurityGroup'],
  ['firewall', 'removeFirewall'],
];

test.each(REMOVALS)('what a backend does not offer as "%s" is UNSUPPORTED, whatever its network can do: %s', async (capability, method) => {
  const remove = async (driver: Driver): Promise<unknown> => (driver.network[method] as NetworkDriver['removeRouter'])(callOf(), 'part_1');
  await using all = disposing(await offering({}));
  expect(await remove(all.driver)).toEqual({ state: 'DONE', value: method });
  await using less = disposing(await offering({ [capability]: false }));
  expect(less.driver.capabilities).toMatchObject({ network: true, [capability]: false });
  await expect(remove(less.driver)).rejects.toMatchObject({ code: 'UNSUPPORTED', data: { capability } });
});

const disposing = (driver: Driver): AsyncDisposable & { driver: Driver } => ({ driver, [Symbol.asyncDispose]: async () => driver.close() });
