import { typeidUnboxed } from 'typeid-js';
import type { DriverCall } from '../call.js';
import type { Capabilities, Driver } from '../driver.js';
import type { Bench } from './bench.js';

export interface NamedCall {
  method: string;
  needs: (keyof Capabilities)[];
  make(driver: Driver, call: DriverCall): Promise<unknown>;
}

/** Every method of every contract once, about resources that do not exist: for rules that hold for all of them. */
export function everyCall(bench: Bench): NamedCall[] {
  const id = typeidUnboxed('vm');
  const disk = bench.diskSpecification();
  const network = bench.networkSpecification();
  const { ownership } = bench;
  const named = (
    method: string,
    needs: (keyof Capabilities)[],
    make: (driver: Driver, call: DriverCall) => Promise<unknown>,
  ): NamedCall => ({ method, needs, make });
  return [
    named('createMachine', ['compute'], async ({ compute }, call) =>
      compute.createMachine(call, {
        machineId: id,
        hostname: 'none',
        ownership,
        hostName: bench.host,
        imageReference: bench.subject.imageReference,
        cpu: 1,
        memoryMib: 512,
        interfaces: [],
        diskIds: [],
        userData: '',
      }),
    ),
    named('startMachine', ['compute'], async ({ compute }, call) => compute.startMachine(call, id)),
    named('stopMachine', ['compute'], async ({ compute }, call) => compute.stopMachine(call, id, true)),
    named('suspendMachine', ['compute', 'suspend'], async ({ compute }, call) => compute.suspendMachine(call, id)),
    named('resumeMachine', ['compute', 'suspend'], async ({ compute }, call) => compute.resumeMachine(call, id)),
    named('restartMachine', ['compute'], async ({ compute }, call) => compute.restartMachine(call, id)),
    named('resizeMachine', ['compute', 'resize'], async ({ compute }, call) =>
      compute.resizeMachine(call, id, { cpu: 2, memoryMib: 512 }),
    ),
    named('moveMachine', ['compute', 'moveStopped'], async ({ compute }, call) => compute.moveMachine(call, id, bench.host)),
    named('attachDisk', ['compute'], async ({ compute }, call) => compute.attachDisk(call, id, disk.diskId)),
    named('detachDisk', ['compute'], async ({ compute }, call) => compute.detachDisk(call, id, disk.diskId)),
    named('runInGuest', ['compute', 'guestRun'], async ({ compute }, call) =>
      compute.runInGuest(call, { runId: typeidUnboxed('run'), machineId: id, script: 'true', timeoutSeconds: 5 }),
    ),
    named('readConsole', ['compute'], async ({ compute }, call) => compute.readConsole(call, id)),
    named('getMachine', ['compute'], async ({ compute }, call) => compute.getMachine(call, id)),
    named('listMachines', ['compute'], async ({ compute }, call) => compute.listMachines(call, null, 1)),
    named('deleteMachine', ['compute'], async ({ compute }, call) => compute.deleteMachine(call, id)),
    named('createDisk', ['storage'], async ({ storage }, call) => storage.createDisk(call, disk)),
    named('cloneDisk', ['storage'], async ({ storage }, call) => storage.cloneDisk(call, typeidUnboxed('disk'), disk)),
    named('resizeDisk', ['storage'], async ({ storage }, call) => storage.resizeDisk(call, disk.diskId, 5)),
    named('createSnapshot', ['storage', 'snapshot'], async ({ storage }, call) => storage.createSnapshot(call, disk.diskId, 'snapshot')),
    named('deleteSnapshot', ['storage', 'snapshot'], async ({ storage }, call) => storage.deleteSnapshot(call, disk.diskId, 'snapshot')),
    named('diskHealth', ['storage'], async ({ storage }, call) => storage.diskHealth(call, [disk.diskId])),
    named('getDisk', ['storage'], async ({ storage }, call) => storage.getDisk(call, disk.diskId)),
    named('listDisks', ['storage'], async ({ storage }, call) => storage.listDisks(call, null, 1)),
    named('deleteDisk', ['storage'], async ({ storage }, call) => storage.deleteDisk(call, disk.diskId)),
    named('ensureNetwork', ['network'], async (driver, call) => driver.network.ensureNetwork(call, network)),
    named('ensurePort', ['network'], async (driver, call) => driver.network.ensurePort(call, bench.portSpecification(network))),
    named('ensureLoadBalancer', ['network', 'loadBalancer'], async (driver, call) =>
      driver.network.ensureLoadBalancer(call, {
        loadBalancerId: id,
        revision: 1,
        ownership,
        networkId: network.networkId,
        address: '10.201.0.2',
        listeners: [],
      }),
    ),
    named('realised', ['network'], async (driver, call) => driver.network.realised(call, network.networkId)),
    named('listParts', ['network'], async (driver, call) => driver.network.listParts(call, null, 1)),
    named('removeLoadBalancer', ['network', 'loadBalancer'], async (driver, call) => driver.network.removeLoadBalancer(call, id)),
    named('removePort', ['network'], async (driver, call) => driver.network.removePort(call, id)),
    named('removeNetwork', ['network'], async (driver, call) => driver.network.removeNetwork(call, network.networkId)),
    named('listHosts', [], async ({ hosts }, call) => hosts.listHosts(call)),
    named('readLoad', [], async ({ hosts }, call) => hosts.readLoad(call)),
    named('fence', ['fence'], async ({ hosts }, call) => hosts.fence(call, 'host-that-is-not')),
  ];
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
  'createSnapshot',
  'ensurePort',
  'ensureLoadBalancer',
  'realised',
  'fence',
] as const;

/** Methods that ensure absence: about an unknown resource they are DONE. */
export const ENSURE_ABSENCE = [
  'deleteMachine',
  'deleteDisk',
  'deleteSnapshot',
  'removeLoadBalancer',
  'removePort',
  'removeNetwork',
] as const;
