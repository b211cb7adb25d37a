import { LoadBalancerResolver } from './load-balancer/load-balancer.graphql.js';
import { NetworkResolver } from './network/network.graphql.js';
import { PortResolver } from './port/port.graphql.js';
import { SubnetResolver } from './subnet/subnet.graphql.js';

export { LoadBalancer, toLoadBalancer } from './load-balancer/load-balancer.graphql.js';
export { Network, toNetwork } from './network/network.graphql.js';
export { loadPortsOf, Port, toPort } from './port/port.graphql.js';

/** They ask for Database, EventFeed, NetworkService, SubnetService and LoadBalancerService. */
export const networkResolvers = [NetworkResolver, SubnetResolver, PortResolver, LoadBalancerResolver];
