import { typeidUnboxed } from 'typeid-js';
import { expect } from 'vitest';
import type { Outcome } from '../call.js';
import type { MachineSpecification, ObservedMachine } from '../compute.js';
import type { ExternalNetworkSpecification, FloatingIpSpecification, RouterSpecification } from '../edge.js';
import type { FirewallSpecification, SecurityGroupSpecification } from '../firewall.js';
import type { LoadBalancerSpecification, NetworkSpecification, ObservedNetworkPart, PortSpecification } from '../network.js';
import type { DiskSpecification } from '../storage.js';
import { Examiner, type Attempt } from './examiner.js';
import { walk } from './walk.js';

/** The examiner with its tools: makes things, and removes them again. */
export class Bench extends Examiner {
  private readonly made: (() => Promise<Outcome<void>>)[] = [];

  diskSpecification(overrides: Partial<DiskSpecification> = {}): DiskSpecification {
    return {
      diskId: typeidUnboxed('disk'),
      ownership: this.ownership,
      poolName: this.subject.poolName,
      hostName: this.host,
      sizeGib: 4,
      iopsLimit: null,
      imageReference: null,
      ...overrides,
    };
  }

  async disk(overrides: Partial<DiskSpecification> = {}): Promise<DiskSpecification> {
    const specification = this.diskSpecification(overrides);
    this.willRemoveDisk(specification.diskId);
    await this.finish(async (call) => this.driver.storage.createDisk(call, specification));
    return specification;
  }

  /** A machine that is not made yet, on a root disk that is, where the backend has disks. */
  async machineSpecification(overrides: Partial<MachineSpecification> = {}): Promise<MachineSpecification> {
    const hostName = overrides.hostName ?? this.host;
    const { imageReference } = this.subject;
    const diskIds = this.driver.capabilities.storage ? [(await this.disk({ hostName, imageReference })).diskId] : [];
    const specification: MachineSpecification = {
      machineId: typeidUnboxed('vm'),
      hostname: 'conformance',
      ownership: this.ownership,
      hostName,
      imageReference,
      cpu: 1,
      memoryMib: 512,
      interfaces: [],
      diskIds,
      userData: '#cloud-config\n{}\n',
      ...this.subject.machine,
      ...overrides,
    };
    this.willRemoveMachine(specification.machineId);
    return specification;
  }

  async machine(overrides: Partial<MachineSpecification> = {}): Promise<MachineSpecification> {
    const specification = await this.machineSpecification(overrides);
    await this.finish(async (call) => this.driver.compute.createMachine(call, specification));
    return specification;
  }

  async runningMachine(overrides: Partial<MachineSpecification> = {}): Promise<MachineSpecification> {
    const specification = await this.machine(overrides);
    await this.finish(async (call) => this.driver.compute.startMachine(call, specification.machineId));
    return specification;
  }

  async observed(machineId: string): Promise<ObservedMachine> {
    const machine = await this.driver.compute.getMachine(this.call(), machineId);
    if (machine === undefined) throw new Error(`the backend has no machine ${machineId}`);
    return machine;
  }

  networkSpecification(overrides: Partial<NetworkSpecification> = {}): NetworkSpecification {
    return {
      networkId: typeidUnboxed('net'),
      revision: 1,
      ownership: this.ownership,
      subnets: [{ subnetId: typeidUnboxed('subnet'), cidr: '10.201.0.0/24', gatewayAddress: '10.201.0.1' }],
      ...overrides,
    };
  }

  async network(): Promise<NetworkSpecification> {
    const specification = this.networkSpecification();
    this.willRemove(async (call) => this.driver.network.removeNetwork(call, specification.networkId));
    await this.finish(async (call) => this.driver.network.ensureNetwork(call, specification));
    return specification;
  }

  portSpecification(network: NetworkSpecification, overrides: Partial<PortSpecification> = {}): PortSpecification {
    return {
      portId: typeidUnboxed('port'),
      revision: 1,
      ownership: this.ownership,
      networkId: network.networkId,
      subnetId: network.subnets[0]?.subnetId ?? '',
      macAddress: '02:00:00:c0:ff:01',
      ipAddress: '10.201.0.10',
      hostName: this.host,
      ...overrides,
    };
  }

  async port(network: NetworkSpecification, overrides: Partial<PortSpecification> = {}): Promise<PortSpecification> {
    const specification = this.portSpecification(network, overrides);
    this.willRemovePort(specification.portId);
    await this.finish(async (call) => this.driver.network.ensurePort(call, specification));
    return specification;
  }

  securityGroupSpecification(overrides: Partial<SecurityGroupSpecification> = {}): SecurityGroupSpecification {
    const rule = { direction: 'INGRESS', protocol: 'TCP', ports: { from: 80, to: 80 }, remoteCidr: null, remoteSecurityGroupId: null } as const;
    return { securityGroupId: typeidUnboxed('sgp'), revision: 1, ownership: this.ownership, rules: [rule], ...overrides };
  }

  async securityGroup(overrides: Partial<SecurityGroupSpecification> = {}): Promise<SecurityGroupSpecification> {
    const specification = this.securityGroupSpecification(overrides);
    this.willRemove(async (call) => this.driver.network.removeSecurityGroup(call, specification.securityGroupId));
    await this.finish(async (call) => this.driver.network.ensureSecurityGroup(call, specification));
    return specification;
  }

  firewallSpecification(overrides: Partial<FirewallSpecification> = {}): FirewallSpecification {
    const rule = { action: 'DENY', direction: 'EGRESS', protocol: 'TCP', ports: { from: 25, to: 25 }, remoteCidr: null } as const;
    return {
      firewallId: typeidUnboxed('fwl'),
      revision: 1,
      installationId: this.ownership.installationId,
      policies: [{ scope: { kind: 'ALL' }, rules: [rule] }],
      ...overrides,
    };
  }

  externalNetworkSpecification(overrides: Partial<ExternalNetworkSpecification> = {}): ExternalNetworkSpecification {
    return {
      externalNetworkId: typeidUnboxed('extnet'),
      revision: 1,
      installationId: this.ownership.installationId,
      physicalNetwork: 'physnet1',
      cidr: '198.51.100.0/24',
      gatewayAddress: '198.51.100.1',
      ...overrides,
    };
  }

  async externalNetwork(): Promise<ExternalNetworkSpecification> {
    const specification = this.externalNetworkSpecification();
    this.willRemove(async (call) => this.driver.network.removeExternalNetwork(call, specification.externalNetworkId));
    await this.finish(async (call) => this.driver.network.ensureExternalNetwork(call, specification));
    return specification;
  }

  routerSpecification(
    networks: readonly NetworkSpecification[],
    outside: ExternalNetworkSpecification | null,
    overrides: Partial<RouterSpecification> = {},
  ): RouterSpecification {
    return {
      routerId: typeidUnboxed('rtr'),
      revision: 1,
      ownership: this.ownership,
      networks: networks.map(({ networkId }, link) => ({ networkId, link })),
      uplink:
        outside === null
          ? null
          : {
              externalNetworkId: outside.externalNetworkId,
              address: '198.51.100.190',
              sourceNat: true,
              gatewayHostNames: [...this.subject.hostNames],
            },
      ...overrides,
    };
  }

  async router(networks: readonly NetworkSpecification[], outside: ExternalNetworkSpecification | null, more: Partial<RouterSpecification> = {}): Promise<RouterSpecification> {
    const specification = this.routerSpecification(networks, outside, more);
    this.willRemove(async (call) => this.driver.network.removeRouter(call, specification.routerId));
    await this.finish(async (call) => this.driver.network.ensureRouter(call, specification));
    return specification;
  }

  floatingIpSpecification(
    { routerId }: RouterSpecification,
    target: PortSpecification | LoadBalancerSpecification,
    overrides: Partial<FloatingIpSpecification> = {},
  ): FloatingIpSpecification {
    const { networkId } = target;
    return {
      floatingIpId: typeidUnboxed('fip'),
      revision: 1,
      ownership: this.ownership,
      routerId,
      networkId,
      address: '198.51.100.191',
      target:
        'portId' in target ? { kind: 'PORT', portId: target.portId } : { kind: 'LOAD_BALANCER', loadBalancerId: target.loadBalancerId },
      ...overrides,
    };
  }

  async floatingIp(
    router: RouterSpecification,
    target: PortSpecification | LoadBalancerSpecification,
    overrides: Partial<FloatingIpSpecification> = {},
  ): Promise<FloatingIpSpecification> {
    const specification = this.floatingIpSpecification(router, target, overrides);
    this.willRemove(async (call) => this.driver.network.removeFloatingIp(call, specification.floatingIpId));
    await this.finish(async (call) => this.driver.network.ensureFloatingIp(call, specification));
    return specification;
  }

  async loadBalancer(network: NetworkSpecification): Promise<LoadBalancerSpecification> {
    const specification: LoadBalancerSpecification = {
      loadBalancerId: typeidUnboxed('lb'),
      revision: 1,
      ownership: this.ownership,
      networkId: network.networkId,
      address: '10.201.0.20',
      listeners: [{ port: 6443, protocol: 'TCP', members: [{ address: '10.201.0.10', port: 6443 }] }],
    };
    this.willRemove(async (call) => this.driver.network.removeLoadBalancer(call, specification.loadBalancerId));
    await this.finish(async (call) => this.driver.network.ensureLoadBalancer(call, specification));
    return specification;
  }

  /** What the backend lists of a part of the network. */
  async part(id: string): Promise<ObservedNetworkPart | undefined> {
    const all = await walk(async (after) => this.driver.network.listParts(this.call(), after, 100), (each) => each.id);
    const found = all.filter((each) => each.id === id);
    expect(found.length, `how often ${id} is listed`).toBeLessThanOrEqual(1);
    return found[0];
  }

  async showsPart(id: string, revision: number): Promise<void> {
    await this.eventually(`${id} is listed with revision ${revision}`, async () => (await this.part(id))?.revision === revision);
  }

  async showsNoPart(id: string): Promise<void> {
    await this.eventually(`${id} is no longer listed`, async () => (await this.part(id)) === undefined);
  }

  willRemovePort(portId: string): void {
    this.willRemove(async (call) => this.driver.network.removePort(call, portId));
  }

  willRemoveMachine(machineId: string): void {
    this.willRemove(async (call) => this.driver.compute.deleteMachine(call, machineId));
  }

  willRemoveDisk(diskId: string): void {
    this.willRemove(async (call) => this.driver.storage.deleteDisk(call, diskId));
  }

  willRemove(remove: Attempt<void>): void {
    const call = this.call();
    this.made.push(async () => remove(call));
  }

  /** Removes what the test made, the last first. That is no examination: a backend that is away meanwhile is asked again. */
  async clear(): Promise<void> {
    for (const remove of this.made.splice(0).reverse()) {
      await this.eventually('what the test made is removed', async () => (await remove()).state === 'DONE');
    }
  }
}
