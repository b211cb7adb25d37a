import { typeidUnboxed } from 'typeid-js';
import type { DriverCall } from '../call.js';
import type { ComputeDriver, MachineSpecification } from '../compute.js';
import type { Capabilities } from '../capabilities.js';
import type { Driver } from '../driver.js';
import type { HostDriver } from '../host.js';
import type { FirewallDriver } from '../firewall.js';
import type { LoadBalancerSpecification, NetworkDriver } from '../network.js';
import type { StorageDriver } from '../storage.js';
import type { Bench } from './bench.js';
import { providerRouterSpecification } from './provider-routers.js';

export interface NamedCall {
  method: string;
  needs: (keyof Capabilities)[];
  readonly make: (driver: Driver, call: DriverCall) => Promise<unknown>;
}

/** Every method of every examined contract once, about resources that do not exist: for rules that hold for all of them. */
export function everyCall(bench: Bench): NamedCall[] {
  const all = { compute: machineCalls, storage: diskCalls, network: partCalls, hosts: hostCalls };
  return bench.contracts.flatMap((contract) =>
    Object.entries(all[contract](bench)).map(([method, [needs, make]]) => ({ method, needs, make })),
  );
}

/** Every method of one contract, so that a new one cannot be forgotten here: what it needs, and one call. */
type CallsOf<Contract> = Record<keyof Contract & string, readonly [needs: NamedCall['needs'], make: NamedCall['make']]>;

function machineCalls(bench: Bench): CallsOf<ComputeDriver> {
  const id = typeidUnboxed('vm');
  const diskId = typeidUnboxed('disk');
  const run = { runId: typeidUnboxed('run'), machineId: id, script: 'true', timeoutSeconds: 5 };
  const size = { cpu: 2, memoryMib: 512 };
  const machine: MachineSpecification = {
    machineId: id,
    hostname: 'none',
    ownership: bench.ownership,
    hostName: bench.host,
    imageReference: bench.subject.imageReference,
    ...size,
    interfaces: [],
    diskIds: [],
    userData: '',
  };
  return {
    createMachine: [['compute'], async ({ compute }, call) => compute.createMachine(call, machine)],
    startMachine: [['compute'], async ({ compute }, call) => compute.startMachine(call, id)],
    stopMachine: [['compute'], async ({ compute }, call) => compute.stopMachine(call, id, true)],
    suspendMachine: [['compute', 'suspend'], async ({ compute }, call) => compute.suspendMachine(call, id)],
    resumeMachine: [['compute', 'suspend'], async ({ compute }, call) => compute.resumeMachine(call, id)],
    restartMachine: [['compute'], async ({ compute }, call) => compute.restartMachine(call, id)],
    resizeMachine: [['compute', 'resize'], async ({ compute }, call) => compute.resizeMachine(call, id, size)],
    moveMachine: [['compute', 'moveStopped'], async ({ compute }, call) => compute.moveMachine(call, id, bench.host)],
    attachDisk: [['compute'], async ({ compute }, call) => compute.attachDisk(call, id, diskId)],
    detachDisk: [['compute'], async ({ compute }, call) => compute.detachDisk(call, id, diskId)],
    runInGuest: [['compute', 'guestRun'], async ({ compute }, call) => compute.runInGuest(call, run)],
    readConsole: [['compute'], async ({ compute }, call) => compute.readConsole(call, id)],
    getMachine: [['compute'], async ({ compute }, call) => compute.getMachine(call, id)],
    listMachines: [['compute'], async ({ compute }, call) => compute.listMachines(call, null, 1)],
    deleteMachine: [['compute'], async ({ compute }, call) => compute.deleteMachine(call, id)],
  };
}

function diskCalls(bench: Bench): CallsOf<StorageDriver> {
  const disk = bench.diskSpecification();
  const { diskId } = disk;
  const source = typeidUnboxed('disk');
  const snapshot = typeidUnboxed('snapshot');
  return {
    createDisk: [['storage'], async ({ storage }, call) => storage.createDisk(call, disk)],
    cloneDisk: [['storage'], async ({ storage }, call) => storage.cloneDisk(call, source, disk)],
    resizeDisk: [['storage'], async ({ storage }, call) => storage.resizeDisk(call, diskId, 5)],
    limitDisk: [['storage', 'iopsLimit'], async ({ storage }, call) => storage.limitDisk(call, diskId, 500)],
    createSnapshot: [['storage', 'snapshot'], async ({ storage }, call) => storage.createSnapshot(call, diskId, snapshot)],
    deleteSnapshot: [['storage', 'snapshot'], async ({ storage }, call) => storage.deleteSnapshot(call, diskId, snapshot)],
    diskHealth: [['storage'], async ({ storage }, call) => storage.diskHealth(call, [diskId])],
    getDisk: [['storage'], async ({ storage }, call) => storage.getDisk(call, diskId)],
    listDisks: [['storage'], async ({ storage }, call) => storage.listDisks(call, null, 1)],
    deleteDisk: [['storage'], async ({ storage }, call) => storage.deleteDisk(call, diskId)],
  };
}

function partCalls(bench: Bench): CallsOf<NetworkDriver> {
  const networkPart = bench.networkSpecification();
  const { networkId } = networkPart;
  const port = bench.portSpecification(networkPart);
  const loadBalancer: LoadBalancerSpecification = {
    loadBalancerId: typeidUnboxed('lb'),
    revision: 1,
    ownership: bench.ownership,
    networkId,
    address: '10.201.0.2',
    listeners: [],
  };
  const { loadBalancerId } = loadBalancer;
  const outside = bench.externalNetworkSpecification();
  const { externalNetworkId } = outside;
  const providerRouter = providerRouterSpecification(bench, outside);
  const router = bench.routerSpecification([networkPart], outside);
  const floatingIp = bench.floatingIpSpecification(router, port);
  return {
    ensureNetwork: [['network'], async ({ network }, call) => network.ensureNetwork(call, networkPart)],
    ensurePort: [['network'], async ({ network }, call) => network.ensurePort(call, port)],
    ensureLoadBalancer: [['network', 'loadBalancer'], async ({ network }, call) => network.ensureLoadBalancer(call, loadBalancer)],
    ensureExternalNetwork: [['network', 'router'], async ({ network }, call) => network.ensureExternalNetwork(call, outside)],
    ensureProviderRouter: [['network', 'router'], async ({ network }, call) => network.ensureProviderRouter(call, providerRouter)],
    ensureRouter: [['network', 'router'], async ({ network }, call) => network.ensureRouter(call, router)],
    ensureFloatingIp: [['network', 'router'], async ({ network }, call) => network.ensureFloatingIp(call, floatingIp)],
    ...firewallCalls(bench),
    realised: [['network'], async ({ network }, call) => network.realised(call, networkId)],
    physicalNetworkHosts: [['network'], async ({ network }, call) => network.physicalNetworkHosts(call, outside.physicalNetwork, [bench.host])],
    listParts: [['network'], async ({ network }, call) => network.listParts(call, null, 1)],
    removeFloatingIp: [['network'], async ({ network }, call) => network.removeFloatingIp(call, floatingIp.floatingIpId)],
    removeRouter: [['network'], async ({ network }, call) => network.removeRouter(call, router.routerId)],
    removeProviderRouter: [['network'], async ({ network }, call) => network.removeProviderRouter(call, providerRouter.providerRouterId)],
    removeExternalNetwork: [['network'], async ({ network }, call) => network.removeExternalNetwork(call, externalNetworkId)],
    removeLoadBalancer: [['network'], async ({ network }, call) => network.removeLoadBalancer(call, loadBalancerId)],
    removePort: [['network'], async ({ network }, call) => network.removePort(call, port.portId)],
    removeNetwork: [['network'], async ({ network }, call) => network.removeNetwork(call, networkId)],
  };
}

function firewallCalls(bench: Bench): CallsOf<FirewallDriver> {
  const group = bench.securityGroupSpecification();
  const firewall = bench.firewallSpecification();
  return {
    ensureSecurityGroup: [['network', 'firewall'], async ({ network }, call) => network.ensureSecurityGroup(call, group)],
    removeSecurityGroup: [['network'], async ({ network }, call) => network.removeSecurityGroup(call, group.securityGroupId)],
    ensureFirewall: [['network', 'firewall'], async ({ network }, call) => network.ensureFirewall(call, firewall)],
    removeFirewall: [['network'], async ({ network }, call) => network.removeFirewall(call, firewall.firewallId)],
  };
}

function hostCalls(): CallsOf<HostDriver> {
  return {
    listHosts: [[], async ({ hosts }, call) => hosts.listHosts(call)],
    readLoad: [[], async ({ hosts }, call) => hosts.readLoad(call)],
    fence: [['fence'], async ({ hosts }, call) => hosts.fence(call, 'host-that-is-not')],
  };
}

/** Methods whose resource must exist: about an unknown one they are NOT_FOUND. */
export const NEED_THEIR_RESOURCE = [
  'startMachine',
  'stopMachine',
  'suspendMachine',
  'resumeMachine',
  'restartMachine',
  'resizeMachine',
  'moveMachine',
  'attachDisk',
  'detachDisk',
  'runInGuest',
  'readConsole',
  'cloneDisk',
  'resizeDisk',
  'limitDisk',
  'createSnapshot',
  'ensurePort',
  'ensureLoadBalancer',
  'ensureProviderRouter',
  'ensureRouter',
  'ensureFloatingIp',
  'realised',
  'fence',
] as const;

/** Methods that ensure absence: about an unknown resource they are DONE. */
export const ENSURE_ABSENCE = [
  'deleteMachine',
  'deleteDisk',
  'deleteSnapshot',
  'removeFloatingIp',
  'removeRouter',
  'removeProviderRouter',
  'removeExternalNetwork',
  'removeLoadBalancer',
  'removePort',
  'removeNetwork',
  'removeSecurityGroup',
  'removeFirewall',
] as const;
