import type { Statement } from '#database';
import type { BackendObjectKind, KnownObjectsOfRoom } from '#infrastructure';
import { findExternalNetworks } from './external-network/external-network.sql.js';
import { findFirewalls } from './firewall-policy/firewall-policy.sql.js';
import { findFloatingIps } from './floating-ip/floating-ip.sql.js';
import { findLoadBalancers } from './load-balancer/load-balancer.sql.js';
import { findNetworks } from './network/network.sql.js';
import { findPorts } from './port/port.sql.js';
import { findProviderRouters } from './provider-router/provider-router.sql.js';
import { findRouters } from './router/router.sql.js';
import { findSecurityGroups } from './security-group/security-group.sql.js';

const FIND: Partial<Record<BackendObjectKind, Statement<{ id: string }, [ids: string[]]>>> = {
  network: findNetworks,
  port: findPorts,
  load_balancer: findLoadBalancers,
  external_network: findExternalNetworks,
  provider_router: findProviderRouters,
  router: findRouters,
  floating_ip: findFloatingIps,
  security_group: findSecurityGroups,
  firewall: findFirewalls,
};

/** What backends may hold of this room's. */
export const networkKnownObjects: KnownObjectsOfRoom = {
  name: 'network',
  kinds: ['network', 'port', 'load_balancer', 'external_network', 'provider_router', 'router', 'floating_ip', 'security_group', 'firewall'],
  find: async (reader, kind, ids) => {
    const find = FIND[kind];
    return find === undefined ? [] : reader.rows(find, [...ids]);
  },
};
