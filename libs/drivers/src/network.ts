import type { DriverCall, Outcome, Ownership } from './call.js';
import type { ExternalNetworkSpecification, FloatingIpSpecification, ProviderRouterSpecification, RouterSpecification } from './edge.js';
import type { FirewallDriver } from './firewall.js';

/** Desired parts of the realised network. The driver makes the backend equal to them; `revision` is theirs in Muon. */
export interface NetworkSpecification {
  networkId: string;
  revision: number;
  ownership: Ownership;
  subnets: SubnetSpecification[];
  /**
   * A DNS domain, as `demo.internal`: guests are told it, and within the network names of ports and load balancers are
   * answered, alone and in the domain. Without one no names are answered.
   */
  domain?: string;
}

export interface SubnetSpecification {
  subnetId: string;
  cidr: string;
  gatewayAddress: string;
  /**
   * An address of the subnet that nothing else ever holds, from which the backend may check the members of load balancers.
   * Without one they are not checked.
   */
  healthCheckAddress?: string;
}

export interface PortSpecification {
  portId: string;
  revision: number;
  ownership: Ownership;
  networkId: string;
  subnetId: string;
  macAddress: string;
  ipAddress: string;
  /** A DNS label in lower case that leads to the address, and the address back to it. Others may have it too: it leads to all. */
  name?: string;
  /** The backend's own name of the host that runs the port's machine. */
  hostName: string;
  /** The groups that it is in, and no others; none when left out. */
  securityGroupIds?: readonly string[];
}

export interface LoadBalancerSpecification {
  loadBalancerId: string;
  revision: number;
  ownership: Ownership;
  networkId: string;
  /** The virtual address that clients use. */
  address: string;
  /** As a port's. */
  name?: string;
  listeners: { port: number; protocol: 'TCP'; members: { address: string; port: number }[] }[];
}

export type ObservedNetworkPart = {
  kind: 'NETWORK' | 'PORT' | 'LOAD_BALANCER' | 'EXTERNAL_NETWORK' | 'PROVIDER_ROUTER' | 'ROUTER' | 'FLOATING_IP' | 'SECURITY_GROUP' | 'FIREWALL';
  id: string;
  installationId: string;
  revision: number;
  /**
   * Whether all of it is there as it was told with this revision: what it consists of, where it belongs, and what others have
   * been told since that concerns it. Where it is not, `ensure` with the same revision mends it. True of what belongs to
   * other installations.
   */
  isIntact: boolean;
};

/**
 * Each `ensure` makes that part equal to the desired, unless a newer revision of it is there already; a part of another
 * installation is a BACKEND_FAILED conflict, and what builds on an unknown part is NOT_FOUND: ports and load balancers on
 * their network, ports on their security groups, a provider's router on its external network, a router on its networks and
 * what its uplink leads to, a floating address on its router and target. Each `remove` ensures that it is absent (unknown ids are DONE), like `deleteMachine`. INVALID_STATE is
 * the removal of what others build on: of a network with ports or load balancers or on a router, of a security group with
 * ports, of a router with floating addresses, of an external network or a provider's router with routers; a router that lets
 * go of an uplink or network while floating addresses need it; and a floating address that fits the router's uplink not. A port or load balancer takes its floating addresses along.
 */
export interface NetworkDriver extends FirewallDriver {
  ensureNetwork(call: DriverCall, network: NetworkSpecification): Promise<Outcome<void>>;
  removeNetwork(call: DriverCall, networkId: string): Promise<Outcome<void>>;
  ensurePort(call: DriverCall, port: PortSpecification): Promise<Outcome<void>>;
  removePort(call: DriverCall, portId: string): Promise<Outcome<void>>;
  ensureLoadBalancer(call: DriverCall, loadBalancer: LoadBalancerSpecification): Promise<Outcome<void>>;
  removeLoadBalancer(call: DriverCall, loadBalancerId: string): Promise<Outcome<void>>;
  ensureExternalNetwork(call: DriverCall, externalNetwork: ExternalNetworkSpecification): Promise<Outcome<void>>;
  removeExternalNetwork(call: DriverCall, externalNetworkId: string): Promise<Outcome<void>>;
  ensureProviderRouter(call: DriverCall, providerRouter: ProviderRouterSpecification): Promise<Outcome<void>>;
  removeProviderRouter(call: DriverCall, providerRouterId: string): Promise<Outcome<void>>;
  ensureRouter(call: DriverCall, router: RouterSpecification): Promise<Outcome<void>>;
  removeRouter(call: DriverCall, routerId: string): Promise<Outcome<void>>;
  ensureFloatingIp(call: DriverCall, floatingIp: FloatingIpSpecification): Promise<Outcome<void>>;
  removeFloatingIp(call: DriverCall, floatingIpId: string): Promise<Outcome<void>>;
  /**
   * DONE when every live host that carries a port of the network, of the router's networks or its uplink, or a port that
   * the security group or firewall may meet, has this revision of it, and perhaps others; hosts that are dead are listed and
   * caught up later. Its repeats under the same key are about what was told before the first.
   * @param partId of a network, a router, a provider's router, a security group or the firewall
   */
  realised(call: DriverCall, partId: string): Promise<Outcome<{ pendingHostNames: string[] }>>;
  listParts(call: DriverCall, after: string | null, limit: number): Promise<ObservedNetworkPart[]>;
}
