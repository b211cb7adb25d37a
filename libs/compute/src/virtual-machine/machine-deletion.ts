import { ChangeSet, ROWS, type Reader } from '#database';
import { findPortsOfOwners } from '#network';
import { operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { findDisksOfOwners, isRootDisk, type DiskRow } from '#storage';
import type { VirtualMachineRow } from './virtual-machine.js';

/** An operation on one machine; the change set's result names both. */
export function startMachineOperation(
  changes: ChangeSet,
  kind: string,
  machine: Pick<VirtualMachineRow, 'id' | 'tenant_id' | 'project_id'> & { backend_id: string | null },
  input: NewOperation['input'],
): string {
  const operation = operationId.create();
  const { id, tenant_id: tenantId, project_id: projectId, backend_id: backendId } = machine;
  changes.add(OPERATIONS, { id: operation, kind, resourceKind: 'virtual_machine', resourceId: id, tenantId, projectId, input, backendId });
  changes.result = { id, operationId: operation };
  return operation;
}

/**
 * What deletes these machines with their ports and root disks; whoever is at them is asked to cancel. Disks that were attached
 * to them stay, and are free when they are gone.
 */
export async function planMachineDeletion(reader: Reader, machines: readonly VirtualMachineRow[]): Promise<ChangeSet> {
  const changes = new ChangeSet();
  if (machines.length === 0) return changes;
  const ids = machines.map((machine) => machine.id);
  const ports = Map.groupBy(await reader.rows(findPortsOfOwners, ids), (port) => port.owner_id);
  const disks = Map.groupBy(await reader.rows(findDisksOfOwners, ids), (disk) => disk.owner_id ?? '');
  for (const machine of machines) {
    const { id, name, version } = machine;
    changes.add(ROWS, { table: 'virtual_machine', update: { lifecycle: 'DELETING' }, id, version });
    const operation = startMachineOperation(changes, 'compute.virtual_machine.delete', machine, { machineId: id });
    const [roots, attached] = partition(disks.get(id) ?? []);
    const parts = [...(ports.get(id) ?? []), ...roots].map((part) => part.id);
    succeedResources(changes, operation, [id, ...parts]);
    changes.resources.push({ action: 'DELETE', kind: 'virtual machine', id, name });
    for (const disk of attached) changes.resources.push({ action: 'UPDATE', kind: 'disk', id: disk.id, name: disk.name, data: { virtualMachineId: null } });
  }
  return changes;
}

/** The machine's own, and those that were attached to it. */
function partition(disks: readonly DiskRow[]): [roots: DiskRow[], attached: DiskRow[]] {
  return [disks.filter(isRootDisk), disks.filter((disk) => !isRootDisk(disk))];
}
