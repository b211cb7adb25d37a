import type { RoomSchema } from '#database';
import { AddressAllocationEntity } from './address/address.entity.js';
import { FirewallBackendEntity, FirewallEntity, FirewallPolicyEntity, FirewallScopeEntity } from './firewall-policy/firewall-policy.entity.js';
import { LoadBalancerEntity, LoadBalancerListenerEntity, LoadBalancerMemberEntity } from './load-balancer/load-balancer.entity.js';
import { ExternalAddressEntity, ExternalNetworkEntity } from './external-network/external-network.entity.js';
import { FloatingIpEntity } from './floating-ip/floating-ip.entity.js';
import { Edge1764403000000 } from './migrations/1764403000000-edge.js';
import { Network1764001000000 } from './migrations/1764001000000-network.js';
import { Firewall1764404000000 } from './migrations/1764404000000-firewall.js';
import { HealthCheckAddresses1764405000000 } from './migrations/1764405000000-health-check-addresses.js';
import { DnsNames1764405000001 } from './migrations/1764405000001-dns-names.js';
import { ProviderRouters1764500000000 } from './migrations/1764500000000-provider-routers.js';
import { AddressOwners1764504000000 } from './migrations/1764504000000-address-owners.js';
import { FailedRouters1764504100000 } from './migrations/1764504100000-failed-routers.js';
import { BackendsInUse1764505100000 } from './migrations/1764505100000-backends-in-use.js';
import { ExternalBlocks1764505200000 } from './migrations/1764505200000-external-blocks.js';
import { InsideAndOutside1764506100000 } from './migrations/1764506100000-inside-and-outside.js';
import { ConnectedHosts1764506310000 } from './migrations/1764506310000-connected-hosts.js';
import { NetworkBackendEntity, NetworkEntity } from './network/network.entity.js';
import { PortEntity } from './port/port.entity.js';
import { ProviderRouterEntity, TransitAddressEntity } from './provider-router/provider-router.entity.js';
import { RouterEntity, RouterNetworkEntity } from './router/router.entity.js';
import {
  PortSecurityGroupEntity,
  SecurityGroupBackendEntity,
  SecurityGroupEntity,
  SecurityGroupReferenceEntity,
} from './security-group/security-group.entity.js';
import { SubnetEntity } from './subnet/subnet.entity.js';

export const networkRoom: RoomSchema = {
  name: 'network',
  entities: [
    NetworkEntity,
    NetworkBackendEntity,
    SubnetEntity,
    AddressAllocationEntity,
    PortEntity,
    LoadBalancerEntity,
    LoadBalancerListenerEntity,
    LoadBalancerMemberEntity,
    ExternalNetworkEntity,
    ExternalAddressEntity,
    ProviderRouterEntity,
    TransitAddressEntity,
    RouterEntity,
    RouterNetworkEntity,
    FloatingIpEntity,
    SecurityGroupEntity,
    SecurityGroupBackendEntity,
    SecurityGroupReferenceEntity,
    PortSecurityGroupEntity,
    FirewallPolicyEntity,
    FirewallEntity,
    FirewallScopeEntity,
    FirewallBackendEntity,
  ],
  migrations: [
    Network1764001000000,
    HealthCheckAddresses1764405000000,
    DnsNames1764405000001,
    Edge1764403000000,
    Firewall1764404000000,
    ProviderRouters1764500000000,
    AddressOwners1764504000000,
    FailedRouters1764504100000,
    BackendsInUse1764505100000,
    ExternalBlocks1764505200000,
    InsideAndOutside1764506100000,
    ConnectedHosts1764506310000,
  ],
};
