import type { DriverCall, Outcome, Ownership } from './call.js';
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
  kind: 'NETWORK' | 'PORT' | 'LOAD_BALANCER' | 'SECURITY_GROUP' | 'FIREWALL';
  id: string;
  installationId: string;
  revision: number;
};

/**
 * Each `ensure` makes that part equal to the desired, unless a newer revision of it is there already; a part of another
 * installation is a BACKEND_FAILED conflict, and ports and load balancers of an unknown network, and ports in an unknown
 * security group, are NOT_FOUND. Each
 * `remove` ensures that it is absent (unknown ids are DONE), like `deleteMachine`; a network that still has ports or load
 * balancers is INVALID_STATE.
 */
export interface NetworkDriver extends FirewallDriver {
  ensureNetwork(call: DriverCall, network: NetworkSpecification): Promise<Outcome<void>>;
  removeNetwork(call: DriverCall, networkId: string): Promise<Outcome<void>>;
  ensurePort(call: DriverCall, port: PortSpecification): Promise<Outcome<void>>;
  removePort(call: DriverCall, portId: string): Promise<Outcome<void>>;
  ensureLoadBalancer(call: DriverCall, loadBalancer: LoadBalancerSpecification): Promise<Outcome<void>>;
  removeLoadBalancer(call: DriverCall, loadBalancerId: string): Promise<Outcome<void>>;
  /**
   * DONE when every live host that carries a port of the network, security group or firewall has this revision of it, and
   * perhaps others; hosts that are dead are listed and caught up later.
   */
  realised(call: DriverCall, partId: string): Promise<Outcome<{ pendingHostNames: string[] }>>;
  listParts(call: DriverCall, after: string | null, limit: number): Promise<ObservedNetworkPart[]>;
}
