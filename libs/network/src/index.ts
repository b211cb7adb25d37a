import type { ChangeSetApplier } from '#database';
import { ADDRESS_CLAIMS, applyAddressClaims } from './address/address-claims.js';

export { ADDRESS_CLAIMS, type AddressClaim } from './address/address-claims.js';
export type { AddressPool } from './address/ipv4.js';
export * from './load-balancer/load-balancer.js';
export {
  planLoadBalancer,
  planLoadBalancerRemoval,
  type LoadBalancerRequest,
  type PlannedLoadBalancer,
} from './load-balancer/load-balancer-plan.js';
export { findLoadBalancers, findLoadBalancersOfOwners, findMembers, type MemberRow } from './load-balancer/load-balancer.sql.js';
export * from './network/network.js';
export { planNetwork, resolveNetwork, type CreateNetworkInput, type PlannedNetwork } from './network/network-plan.js';
export { findNetworks, findNetworksByReference } from './network/network.sql.js';
export * from './port/port.js';
export { planPortRemoval, planPorts, type PlannedPort, type PlannedPorts, type PortRequest } from './port/port-plan.js';
export { findPorts, findPortsOfOwners, movePorts } from './port/port.sql.js';
export { networkRoom } from './room.js';
export * from './subnet/subnet.js';
export { findSubnets, findSubnetsOfNetworks } from './subnet/subnet.sql.js';

export function registerNetworkSections(applier: ChangeSetApplier): void {
  applier.register(ADDRESS_CLAIMS, applyAddressClaims);
}
