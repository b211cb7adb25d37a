import type { Capabilities, DriverCall, NetworkDriver } from '#drivers';
import type { IncusBackend } from './backend.js';

/** What a backend must offer for each call of its network; what it has is removed whatever it offers by then. */
const NEEDS: Readonly<Record<keyof NetworkDriver, readonly (keyof Capabilities)[]>> = {
  ensureNetwork: ['network'],
  removeNetwork: ['network'],
  ensurePort: ['network'],
  removePort: ['network'],
  ensureLoadBalancer: ['network', 'loadBalancer'],
  removeLoadBalancer: ['network'],
  ensureExternalNetwork: ['network', 'router'],
  removeExternalNetwork: ['network'],
  ensureProviderRouter: ['network', 'router'],
  removeProviderRouter: ['network'],
  ensureRouter: ['network', 'router'],
  removeRouter: ['network'],
  ensureFloatingIp: ['network', 'router'],
  removeFloatingIp: ['network'],
  ensureSecurityGroup: ['network', 'firewall'],
  removeSecurityGroup: ['network'],
  ensureFirewall: ['network', 'firewall'],
  removeFirewall: ['network'],
  realised: ['network'],
  physicalNetworkHosts: ['network'],
  listParts: ['network'],
};

/**
 * The network that was opened for a backend, in what the backend offers: the rest is UNSUPPORTED, as everything is where
 * none was opened. A network driver knows nothing of what a backend's options take away.
 */
export function offeredNetwork(backend: IncusBackend, opened: NetworkDriver | undefined): NetworkDriver {
  const calls = Object.entries(NEEDS).map(([method, needs]) => {
    const make = async (call: DriverCall, ...rest: unknown[]): Promise<unknown> => {
      backend.admit(call, method, needs);
      if (opened === undefined) throw new Error(`${method} needs a network driver`);
      return Reflect.apply(opened[method as keyof NetworkDriver], opened, [call, ...rest]) as Promise<unknown>;
    };
    return [method, make] as const;
  });
  return Object.fromEntries(calls) as unknown as NetworkDriver;
}
