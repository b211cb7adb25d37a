import { ExplainFirewallResolver } from './explain/explain-firewall.graphql.js';
import { ExternalNetworkResolver } from './external-network/external-network.graphql.js';
import { FirewallPolicyResolver } from './firewall-policy/firewall-policy.graphql.js';
import { FloatingIpResolver, LoadBalancerFloatingIpResolver, PortFloatingIpResolver } from './floating-ip/floating-ip.graphql.js';
import { LoadBalancerResolver } from './load-balancer/load-balancer.graphql.js';
import { NetworkResolver } from './network/network.graphql.js';
import { PortResolver } from './port/port.graphql.js';
import { ProviderRouterResolver, RouterProviderRouterResolver } from './provider-router/provider-router.graphql.js';
import { NetworkRouterResolver, RouterResolver } from './router/router.graphql.js';
import { PortSecurityGroupsResolver, SecurityGroupResolver } from './security-group/security-group.graphql.js';
import { SubnetResolver } from './subnet/subnet.graphql.js';

export { FloatingIp, toFloatingIp } from './floating-ip/floating-ip.graphql.js';
export { LoadBalancer, toLoadBalancer } from './load-balancer/load-balancer.graphql.js';
export { Network, toNetwork } from './network/network.graphql.js';
export { loadPortsOf, Port, toPort } from './port/port.graphql.js';

/**
 * They ask for Database, EventFeed, and the services of the room: of networks, subnets, load balancers, external networks,
 * provider routers, routers, floating IPs, security groups and firewall policies.
 */
export const networkResolvers = [
  NetworkResolver,
  SubnetResolver,
  PortResolver,
  LoadBalancerResolver,
  ExternalNetworkResolver,
  ProviderRouterResolver,
  RouterResolver,
  RouterProviderRouterResolver,
  NetworkRouterResolver,
  FloatingIpResolver,
  PortFloatingIpResolver,
  LoadBalancerFloatingIpResolver,
  SecurityGroupResolver,
  PortSecurityGroupsResolver,
  FirewallPolicyResolver,
  ExplainFirewallResolver,
];
