import {
  uplinkTarget,
  type DriverCall,
  type ExternalNetworkSpecification,
  type FirewallSpecification,
  type FloatingIpSpecification,
  type LoadBalancerSpecification,
  type NetworkDriver,
  type NetworkSpecification,
  type ObservedNetworkPart,
  type Outcome,
  type Ownership,
  type PhysicalNetworkHosts,
  type PortSpecification,
  type ProviderRouterSpecification,
  type RouterSpecification,
  type SecurityGroupSpecification,
} from '#drivers';
import type { Request, SimulatedBackend } from './backend.js';

interface Part {
  id: string;
  kind: ObservedNetworkPart['kind'];
  revision: number;
  ownership: Ownership;
  networkId?: string;
  hostName?: string;
  /** What it builds on beside its network: other parts by their ids. */
  buildsOn?: string[];
}

const ROUTER: Request['needs'] = ['network', 'router'];

export class SimulatedNetwork implements NetworkDriver {
  constructor(private readonly backend: SimulatedBackend) {}

  async ensureNetwork(call: DriverCall, network: NetworkSpecification): Promise<Outcome<void>> {
    const { networkId, revision, ownership, ...specification } = network;
    return this.ensure(call, 'ensureNetwork', { id: networkId, kind: 'NETWORK', revision, ownership }, specification);
  }

  async removeNetwork(call: DriverCall, networkId: string): Promise<Outcome<void>> {
    return this.remove(call, 'removeNetwork', networkId);
  }

  async ensurePort(call: DriverCall, port: PortSpecification): Promise<Outcome<void>> {
    const { portId, revision, ownership, networkId, hostName, ...specification } = port;
    const part: Part = { id: portId, kind: 'PORT', revision, ownership, networkId, hostName };
    return this.ensure(call, 'ensurePort', part, { ...specification, hostName });
  }

  async removePort(call: DriverCall, portId: string): Promise<Outcome<void>> {
    return this.remove(call, 'removePort', portId);
  }

  async ensureLoadBalancer(call: DriverCall, loadBalancer: LoadBalancerSpecification): Promise<Outcome<void>> {
    const { loadBalancerId, revision, ownership, networkId, ...specification } = loadBalancer;
    const part: Part = { id: loadBalancerId, kind: 'LOAD_BALANCER', revision, ownership, networkId };
    return this.ensure(call, 'ensureLoadBalancer', part, specification, ['network', 'loadBalancer']);
  }

  async removeLoadBalancer(call: DriverCall, loadBalancerId: string): Promise<Outcome<void>> {
    return this.remove(call, 'removeLoadBalancer', loadBalancerId);
  }

  async ensureExternalNetwork(call: DriverCall, externalNetwork: ExternalNetworkSpecification): Promise<Outcome<void>> {
    const { externalNetworkId, revision, installationId, ...specification } = externalNetwork;
    // It is nobody's in particular.
    const ownership = { installationId, tenantId: '', projectId: '' };
    return this.ensure(call, 'ensureExternalNetwork', { id: externalNetworkId, kind: 'EXTERNAL_NETWORK', revision, ownership }, specification, ROUTER);
  }

  async removeExternalNetwork(call: DriverCall, externalNetworkId: string): Promise<Outcome<void>> {
    return this.remove(call, 'removeExternalNetwork', externalNetworkId);
  }

  async ensureProviderRouter(call: DriverCall, providerRouter: ProviderRouterSpecification): Promise<Outcome<void>> {
    const { providerRouterId, revision, installationId, ...specification } = providerRouter;
    const ownership = { installationId, tenantId: '', projectId: '' };
    const part: Part = { id: providerRouterId, kind: 'PROVIDER_ROUTER', revision, ownership, buildsOn: [providerRouter.externalNetworkId] };
    return this.ensure(call, 'ensureProviderRouter', part, specification, ROUTER);
  }

  async removeProviderRouter(call: DriverCall, providerRouterId: string): Promise<Outcome<void>> {
    return this.remove(call, 'removeProviderRouter', providerRouterId);
  }

  async ensureRouter(call: DriverCall, router: RouterSpecification): Promise<Outcome<void>> {
    const { routerId, revision, ownership, ...specification } = router;
    const networks = router.networks.map(({ networkId }) => networkId);
    const buildsOn = router.uplink === null ? networks : [uplinkTarget(router.uplink), ...networks];
    return this.ensure(call, 'ensureRouter', { id: routerId, kind: 'ROUTER', revision, ownership, buildsOn }, specification, ROUTER);
  }

  async removeRouter(call: DriverCall, routerId: string): Promise<Outcome<void>> {
    return this.remove(call, 'removeRouter', routerId);
  }

  async ensureFloatingIp(call: DriverCall, floatingIp: FloatingIpSpecification): Promise<Outcome<void>> {
    const { floatingIpId, revision, ownership, ...specification } = floatingIp;
    const { routerId, networkId, target, transit } = floatingIp;
    const targetId = target.kind === 'PORT' ? target.portId : target.loadBalancerId;
    const buildsOn = [routerId, targetId, networkId, ...(transit === undefined ? [] : [transit.providerRouterId])];
    const part: Part = { id: floatingIpId, kind: 'FLOATING_IP', revision, ownership, buildsOn };
    return this.ensure(call, 'ensureFloatingIp', part, specification, ROUTER);
  }

  async removeFloatingIp(call: DriverCall, floatingIpId: string): Promise<Outcome<void>> {
    return this.remove(call, 'removeFloatingIp', floatingIpId);
  }

  async ensureSecurityGroup(call: DriverCall, group: SecurityGroupSpecification): Promise<Outcome<void>> {
    const { securityGroupId, revision, ownership, ...specification } = group;
    const part: Part = { id: securityGroupId, kind: 'SECURITY_GROUP', revision, ownership };
    return this.ensure(call, 'ensureSecurityGroup', part, specification, ['network', 'firewall']);
  }

  async removeSecurityGroup(call: DriverCall, securityGroupId: string): Promise<Outcome<void>> {
    return this.remove(call, 'removeSecurityGroup', securityGroupId);
  }

  async ensureFirewall(call: DriverCall, firewall: FirewallSpecification): Promise<Outcome<void>> {
    const { firewallId, revision, installationId, ...specification } = firewall;
    const ownership: Ownership = { installationId, tenantId: '', projectId: '' };
    const part: Part = { id: firewallId, kind: 'FIREWALL', revision, ownership };
    return this.ensure(call, 'ensureFirewall', part, specification, ['network', 'firewall']);
  }

  async removeFirewall(call: DriverCall, firewallId: string): Promise<Outcome<void>> {
    return this.remove(call, 'removeFirewall', firewallId);
  }

  async realised(call: DriverCall, partId: string): Promise<Outcome<{ pendingHostNames: string[] }>> {
    return this.backend.ask(call, { method: 'realised', effect: 'READ', needs: ['network'], ids: [partId] });
  }

  async physicalNetworkHosts(call: DriverCall, physicalNetwork: string, hostNames: readonly string[]): Promise<PhysicalNetworkHosts> {
    const request: Request = { method: 'physicalNetworkHosts', effect: 'READ', needs: ['network'], arguments: { physicalNetwork, hostNames } };
    return this.backend.look(call, request);
  }

  async listParts(call: DriverCall, after: string | null, limit: number): Promise<ObservedNetworkPart[]> {
    return this.backend.look(call, { method: 'listParts', effect: 'READ', needs: ['network'], arguments: { after, limit } });
  }

  private async ensure(
    call: DriverCall,
    method: string,
    part: Part,
    specification: Record<string, unknown>,
    needs: Request['needs'] = ['network'],
  ): Promise<Outcome<void>> {
    const { id, ownership, ...rest } = part;
    return this.backend.ask(call, {
      method,
      effect: 'CHANGE',
      needs,
      ids: [id, ...(part.networkId === undefined ? [] : [part.networkId]), ...(part.buildsOn ?? [])],
      arguments: { ...rest, ...ownership, specification },
    });
  }

  /** Whatever the backend offers by now. */
  private async remove(call: DriverCall, method: string, id: string): Promise<Outcome<void>> {
    return this.backend.ask(call, { method, effect: 'REMOVE', needs: ['network'], ids: [id] });
  }
}
