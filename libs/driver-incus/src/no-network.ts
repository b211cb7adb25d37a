import type { DriverCall, NetworkDriver } from '#drivers';
import type { IncusBackend } from './backend.js';

/** Stands where no network driver was given: everything is UNSUPPORTED. */
export function noNetwork(backend: IncusBackend): NetworkDriver {
  const refuse = async (method: string, call: DriverCall): Promise<never> =>
    backend.ask(call, method, ['network'], async () => {
      throw new Error(`${method} needs a network driver`);
    });
  return {
    ensureNetwork: async (call) => refuse('ensureNetwork', call),
    removeNetwork: async (call) => refuse('removeNetwork', call),
    ensurePort: async (call) => refuse('ensurePort', call),
    removePort: async (call) => refuse('removePort', call),
    ensureLoadBalancer: async (call) => refuse('ensureLoadBalancer', call),
    removeLoadBalancer: async (call) => refuse('removeLoadBalancer', call),
    ensureExternalNetwork: async (call) => refuse('ensureExternalNetwork', call),
    removeExternalNetwork: async (call) => refuse('removeExternalNetwork', call),
    ensureProviderRouter: async (call) => refuse('ensureProviderRouter', call),
    removeProviderRouter: async (call) => refuse('removeProviderRouter', call),
    ensureRouter: async (call) => refuse('ensureRouter', call),
    removeRouter: async (call) => refuse('removeRouter', call),
    ensureFloatingIp: async (call) => refuse('ensureFloatingIp', call),
    removeFloatingIp: async (call) => refuse('removeFloatingIp', call),
    ensureSecurityGroup: async (call) => refuse('ensureSecurityGroup', call),
    removeSecurityGroup: async (call) => refuse('removeSecurityGroup', call),
    ensureFirewall: async (call) => refuse('ensureFirewall', call),
    removeFirewall: async (call) => refuse('removeFirewall', call),
    realised: async (call) => refuse('realised', call),
    physicalNetworkHosts: async (call) => refuse('physicalNetworkHosts', call),
    listParts: async (call) => refuse('listParts', call),
  };
}
