import type { KnownObjectsOfRoom } from '#infrastructure';
import { findFirewalls } from './firewall-policy/firewall-policy.sql.js';
import { findLoadBalancers } from './load-balancer/load-balancer.sql.js';
import { findNetworks } from './network/network.sql.js';
import { findPorts } from './port/port.sql.js';
import { findSecurityGroups } from './security-group/security-group.sql.js';

/** What backends may hold of this room's. */
export const networkKnownObjects: KnownObjectsOfRoom = {
  name: 'network',
  kinds: ['network', 'port', 'load_balancer', 'security_group', 'firewall'],
  find: (reader, kind, ids) => {
    if (kind === 'network') return reader.rows(findNetworks, [...ids]);
    if (kind === 'security_group') return reader.rows(findSecurityGroups, [...ids]);
    if (kind === 'firewall') return reader.rows(findFirewalls, [...ids]);
    return kind === 'port' ? reader.rows(findPorts, [...ids]) : reader.rows(findLoadBalancers, [...ids]);
  },
};
