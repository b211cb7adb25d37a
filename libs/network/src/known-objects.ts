import type { KnownObjectsOfRoom } from '#infrastructure';
import { findLoadBalancers } from './load-balancer/load-balancer.sql.js';
import { findNetworks } from './network/network.sql.js';
import { findPorts } from './port/port.sql.js';

/** What backends may hold of this room's. */
export const networkKnownObjects: KnownObjectsOfRoom = {
  name: 'network',
  kinds: ['network', 'port', 'load_balancer'],
  find: (reader, kind, ids) => {
    if (kind === 'network') return reader.rows(findNetworks, [...ids]);
    return kind === 'port' ? reader.rows(findPorts, [...ids]) : reader.rows(findLoadBalancers, [...ids]);
  },
};
