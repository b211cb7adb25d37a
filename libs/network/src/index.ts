import type { ChangeSetApplier } from '#database';
import type { OperationKind } from '#operations';
import { ADDRESS_CLAIMS, applyAddressClaims, areNewClaims } from './address/address-claims.js';
import { applyOvertakings, OVERTAKINGS } from './drift/overtakings.js';
import { repairOperation } from './drift/repair.operations.js';
import { securityRepairOperations } from './drift/security-repair.operations.js';
import { firewallPolicyOperations } from './firewall-policy/firewall-policy.operations.js';
import { loadBalancerOperations } from './load-balancer/load-balancer.operations.js';
import { edgeRepairOperation } from './drift/edge-repair.operations.js';
import { externalNetworkOperations } from './external-network/external-network.operations.js';
import { floatingIpOperations } from './floating-ip/floating-ip.operations.js';
import { networkOperations as kindsOfNetworks } from './network/network.operations.js';
import type { NetworkRealiser } from './realise/network-realiser.js';
import { providerRouterOperations } from './provider-router/provider-router.operations.js';
import { routerOperations } from './router/router.operations.js';
import { applyGroupClaims, GROUP_CLAIMS } from './security-group/group-claims.js';
import { securityGroupOperations } from './security-group/security-group.operations.js';
import { subnetOperations } from './subnet/subnet.operations.js';

export { networkBackendUsers } from './backend-users.js';
export { ADDRESS_CLAIMS, type AddressClaim } from './address/address-claims.js';
export { networkCatchUp, type CatchUpOptions } from './catch-up/catch-up.reconciler.js';
export { NetworkHostListener } from './catch-up/network-host-listener.js';
export { countUsed, type SubnetUsageRow } from './address/address.sql.js';
export { poolSize, type AddressPool } from './address/ipv4.js';
export { EDGE_DRIFT, NETWORK_DRIFT, networkDrift, type NetworkDriftOptions } from './drift/network.reconciler.js';
export { edgeDrift } from './drift/edge.reconciler.js';
export { usableExternalNetwork } from './external-network/external-address.js';
export * from './external-network/external-network.js';
export {
  ExternalNetworkService,
  type CreateExternalNetworkInput,
  type DeleteExternalNetworkInput,
} from './external-network/external-network.service.js';
export { findExternalNetworks } from './external-network/external-network.sql.js';
export * from './firewall-policy/firewall-policy.js';
export {
  FirewallPolicyService,
  type CreateFirewallPolicyInput,
  type UpdateFirewallPolicyInput,
} from './firewall-policy/firewall-policy.service.js';
export * from './floating-ip/floating-ip.js';
export {
  planFloatingIp,
  planFloatingIpRemoval,
  type FloatingIpRequest,
  type FloatingTargetRequest,
  type PlannedFloatingIp,
} from './floating-ip/floating-ip-plan.js';
export { FloatingIpService, type AssociateFloatingIpInput, type CreateFloatingIpInput, type FloatingIpInput } from './floating-ip/floating-ip.service.js';
export { findFloatingIps, findFloatingIpsOfOwners, findFloatingIpsOfTargets } from './floating-ip/floating-ip.sql.js';
export { networkKnownObjects } from './known-objects.js';
export * from './load-balancer/load-balancer.js';
export {
  planLoadBalancer,
  planLoadBalancerRemoval,
  planMemberChange,
  type LoadBalancerRequest,
  type PlannedLoadBalancer,
} from './load-balancer/load-balancer-plan.js';
export {
  LoadBalancerService,
  type CreateLoadBalancerInput,
  type UpdateLoadBalancerMembersInput,
} from './load-balancer/load-balancer.service.js';
export { findLoadBalancers, findLoadBalancersOfOwners, findMembers, type MemberRow } from './load-balancer/load-balancer.sql.js';
export * from './network/network.js';
export { planNetwork, planNetworkRemoval, resolveNetwork, type CreateNetworkInput, type PlannedNetwork } from './network/network-plan.js';
export { NetworkService, type DeleteNetworkInput, type NewNetworkInput } from './network/network.service.js';
export { countNetworkUsers, findNetworks, findNetworksByReference, type NetworkUsersRow } from './network/network.sql.js';
export * from './port/port.js';
export { planPortRemoval, planPorts, type PlannedPort, type PlannedPorts, type PortRequest } from './port/port-plan.js';
export { findPorts, findPortsOfOwners, movePorts } from './port/port.sql.js';
export { NetworkRealiser, type NetworkRealiserOptions } from './realise/network-realiser.js';
export type { RemoveOptions } from './realise/places.js';
export { EdgeRealiser } from './realise/edge-realiser.js';
export * from './provider-router/provider-router.js';
export {
  ProviderRouterService,
  type CreateProviderRouterInput,
  type DeleteProviderRouterInput,
} from './provider-router/provider-router.service.js';
export { findProviderRouters } from './provider-router/provider-router.sql.js';
export * from './router/router.js';
export { planRouter, planRouterRemoval, type PlannedRouter, type RouterRequest } from './router/router-plan.js';
export { RouterService, type CreateRouterInput, type DeleteRouterInput, type UpdateRouterInput } from './router/router.service.js';
export { findRouters, findRoutersOfNetworks, findRoutersOfOwners } from './router/router.sql.js';
export { networkRoom } from './room.js';
export { networkScopeContents } from './scope-contents.js';
export * from './security-group/security-group.js';
export { requireFewGroups, usableGroups } from './security-group/security-group-plan.js';
export {
  SecurityGroupService,
  type CreateSecurityGroupInput,
  type UpdatePortSecurityGroupsInput,
  type UpdateSecurityGroupInput,
} from './security-group/security-group.service.js';
export * from './subnet/subnet.js';
export { SubnetService, type CreateSubnetInput } from './subnet/subnet.service.js';
export { findSubnets, findSubnetsOfNetworks } from './subnet/subnet.sql.js';

export function registerNetworkSections(applier: ChangeSetApplier): void {
  applier.register(ADDRESS_CLAIMS, applyAddressClaims, { sendsAtOnce: areNewClaims });
  applier.register(GROUP_CLAIMS, applyGroupClaims);
  applier.register(OVERTAKINGS, applyOvertakings);
}

/** Every kind of operation of this room, for the registry of whoever submits or runs them. */
export function networkOperations(realiser: NetworkRealiser): OperationKind<unknown>[] {
  return [
    ...kindsOfNetworks(realiser),
    ...subnetOperations(realiser),
    ...loadBalancerOperations(realiser),
    ...externalNetworkOperations(realiser),
    ...providerRouterOperations(realiser),
    ...routerOperations(realiser),
    ...floatingIpOperations(realiser),
    ...securityGroupOperations(realiser),
    ...firewallPolicyOperations(realiser),
    repairOperation(realiser),
    edgeRepairOperation(realiser),
    ...securityRepairOperations(realiser),
  ];
}
