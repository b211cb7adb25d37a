import type { Ownership } from './call.js';

/** The provider's edge: a network outside of the backend that its hosts reach. It belongs to the installation, not to a tenant. */
export interface ExternalNetworkSpecification {
  externalNetworkId: string;
  revision: number;
  installationId: string;
  /** What the hosts call the network that their cables lead to. */
  physicalNetwork: string;
  /** The VLAN on those cables, 1 to 4094; none when left out. */
  vlan?: number;
  cidr: string;
  /** The router of the outside, where everything leaves by. */
  gatewayAddress: string;
}

/** Of hosts that were asked for: of those in neither list nothing is known, as they are off or have not come yet. */
export interface PhysicalNetworkHosts {
  /** They have the cables, and the bridge that leads to them; also hosts that are off and had them last. */
  connected: string[];
  /** What comes to them for that network is lost. */
  unconnected: string[];
  /** The networks outside that any of them reaches, where the backend can tell; by name. */
  physicalNetworks: string[];
}

/**
 * A provider's router: stands between tenants' routers and one external network, so that many of them share its one address
 * there. They meet in its transit block, which nobody else sees; what comes out of that leaves by the address.
 */
export interface ProviderRouterSpecification {
  providerRouterId: string;
  revision: number;
  installationId: string;
  externalNetworkId: string;
  /** Its own address there. */
  address: string;
  transitCidr: string;
  /** Its own address in the transit block, where tenants' routers lead to. */
  transitAddress: string;
  /** As those of an uplink, and those of all uplinks that lead to it. */
  gatewayHostNames: string[];
}

/**
 * A tenant's router: leads between the networks that are attached to it, and with an uplink to the outside. A network is
 * attached to one router at most, and its subnets overlap those of no other network of the router.
 */
export interface RouterSpecification {
  routerId: string;
  revision: number;
  ownership: Ownership;
  networks: AttachedNetwork[];
  uplink: UplinkSpecification | null;
}

export interface AttachedNetwork {
  networkId: string;
  /** Which of the router's links leads to this network, 0 to MAX_ROUTER_LINKS - 1: it stays the same, and is no other's. */
  link: number;
}

export const MAX_ROUTER_LINKS = 64;

export type UplinkSpecification = ExternalUplinkSpecification | ProviderUplinkSpecification;

/** It leads to an external network itself. */
export interface ExternalUplinkSpecification {
  externalNetworkId: string;
  /** The router's own address there. */
  address: string;
  /** Whether machines without a floating address reach the outside, by the router's address. */
  sourceNat: boolean;
  /**
   * Hosts that may carry the uplink, by the backend's own names, the first live one does; the next takes over from a dead one.
   * Whoever calls sees to it that they are connected there (`physicalNetworkHosts`).
   */
  gatewayHostNames: string[];
}

/** It leads to a provider's router, by the same host as that, always. */
export interface ProviderUplinkSpecification {
  providerRouterId: string;
  /** The router's own address in the transit block. */
  address: string;
  sourceNat: boolean;
}

/** The part that an uplink builds on. */
export function uplinkTarget(uplink: UplinkSpecification): string {
  return 'providerRouterId' in uplink ? uplink.providerRouterId : uplink.externalNetworkId;
}

export interface TransitSpecification {
  providerRouterId: string;
  address: string;
}

/**
 * An address of an external network that leads to a port or a load balancer of a network on a router with an uplink there.
 * It goes with what it leads to.
 */
export interface FloatingIpSpecification {
  floatingIpId: string;
  revision: number;
  ownership: Ownership;
  routerId: string;
  networkId: string;
  address: string;
  /**
   * Where the router's uplink leads to a provider's router, and only there: that one, and the address of its transit block
   * by which it finds this. Nothing else has that address.
   */
  transit?: TransitSpecification;
  target: { kind: 'PORT'; portId: string } | { kind: 'LOAD_BALANCER'; loadBalancerId: string };
}
