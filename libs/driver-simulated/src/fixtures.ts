import type { DiskSpecification, DriverCall, MachineSpecification, PortSpecification } from '#drivers';

/** What this room's specs call with and make. */
export const OWNERSHIP = { installationId: 'installation_1', tenantId: 'tenant_1', projectId: 'project_1' };

let calls = 0;

export function callOf(overrides: Partial<DriverCall> = {}): DriverCall {
  calls += 1;
  return { idempotencyKey: `call-${calls}`, timeoutMs: 10_000, signal: new AbortController().signal, ...overrides };
}

export function diskOf(diskId: string, overrides: Partial<DiskSpecification> = {}): DiskSpecification {
  return {
    diskId,
    ownership: OWNERSHIP,
    poolName: 'local',
    hostName: 'host-1',
    sizeGib: 10,
    iopsLimit: null,
    imageReference: null,
    ...overrides,
  };
}

export function machineOf(machineId: string, overrides: Partial<MachineSpecification> = {}): MachineSpecification {
  return {
    machineId,
    hostname: machineId,
    ownership: OWNERSHIP,
    hostName: 'host-1',
    imageReference: 'images:debian/13',
    cpu: 2,
    memoryMib: 2048,
    interfaces: [],
    diskIds: [],
    userData: '#cloud-config\n{}\n',
    ...overrides,
  };
}

export function portOf(portId: string, networkId: string, overrides: Partial<PortSpecification> = {}): PortSpecification {
  return {
    portId,
    revision: 1,
    ownership: OWNERSHIP,
    networkId,
    subnetId: 'subnet_1',
    macAddress: '02:00:00:00:00:01',
    ipAddress: '10.0.0.10',
    hostName: 'host-1',
    ...overrides,
  };
}
