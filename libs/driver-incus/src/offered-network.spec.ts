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

const MAKING: readonly [capability: string, method: keyof NetworkDriver][] = [
  ['loadBalancer', 'ensureLoadBalancer'],
  ['router', 'ensureExternalNetwork'],
  ['router', 'ensureProviderRouter'],
  ['router', 'ensureRouter'],
  ['router', 'ensureFloatingIp'],
  ['firewall', 'ensureSecurityGroup'],
  ['firewall', 'ensureFirewall'],
];

const REMOVALS: readonly [capability: string, method: keyof NetworkDriver][] = [
  ['loadBalancer', 'removeLoadBalancer'],
  ['router', 'removeRouter'],
  ['router', 'removeExternalNetwork'],
  ['router', 'removeProviderRouter'],
  ['router', 'removeFloatingIp'],
  ['router', 'physicalNetworkHosts'],
  ['firewall', 'removeSecurityGroup'],
  ['firewall', 'removeFirewall'],
];

const ask = async (driver: Driver, method: keyof NetworkDriver): Promise<unknown> => (driver.network[method] as NetworkDriver['removeRouter'])(callOf(), 'part_1');

test.each(MAKING)('what a backend does not offer as "%s" is UNSUPPORTED, whatever its network can do: %s', async (capability, method) => {
  await using all = disposing(await offering({}));
  expect(await ask(all.driver, method)).toEqual({ state: 'DONE', value: method });
  await using less = disposing(await offering({ [capability]: false }));
  expect(less.driver.capabilities).toMatchObject({ network: true, [capability]: false });
  await expect(ask(less.driver, method)).rejects.toMatchObject({ code: 'UNSUPPORTED', data: { capability } });
});

test.each(REMOVALS)('what was made before a backend stopped offering "%s" can still be looked after and removed: %s', async (capability, method) => {
  await using less = disposing(await offering({ [capability]: false }));
  expect(await ask(less.driver, method)).toEqual({ state: 'DONE', value: method });
  await using none = disposing(await offering({ network: false }));
  await expect(ask(none.driver, method)).rejects.toMatchObject({ code: 'UNSUPPORTED', data: { capability: 'network' } });
});

const disposing = (driver: Driver): AsyncDisposable & { driver: Driver } => ({ driver, [Symbol.asyncDispose]: async () => driver.close() });
