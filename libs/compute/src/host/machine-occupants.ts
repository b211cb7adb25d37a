import { MuonError, type ErrorRecord } from '#core';
import type { Reader } from '#database';
import { findBackends, type HostOccupant, type HostOccupants, type HostRow, type InfrastructureUsers } from '#infrastructure';
import type { ChildOperation } from '#operations';
import { noOwners, type MachineOwners } from './machine-owners.js';
import { countMachinesInZone, countMachinesOnHost, findMachinesOnHost, type MachineOnHost } from './host-machines.sql.js';

interface MachineOccupant extends HostOccupant {
  move: ChildOperation;
}

/** Virtual machines leave a host by being stopped, moved and started again; of one owner's one at a time, when it lets them. */
export function machineOccupants(owners: MachineOwners = noOwners): HostOccupants {
  return {
    name: 'compute',
    async list(reader, host, limit): Promise<MachineOccupant[]> {
      const machines = await reader.rows(findMachinesOnHost, host.id, limit);
      const [backend] = machines.length === 0 ? [] : await reader.rows(findBackends, [host.backend_id]);
      const canMove = backend?.capabilities.moveStopped === true;
      const held = await owners.whatHolds(reader, machines.filter((machine) => machine.owner_id !== null));
      return machines.map((machine) => ({
        resourceId: machine.id,
        kind: 'virtual machine',
        name: machine.name,
        owner: machine.owner_id,
        blocked: whatHolds(machine, canMove) ?? held.get(machine.id) ?? null,
        move: moveOf(machine, host),
      }));
    },
    async count(reader, host) {
      return (await reader.first(countMachinesOnHost, host.id))?.machines ?? 0;
    },
    move: async (_reader: Reader, _host: HostRow, occupant: HostOccupant) => (occupant as MachineOccupant).move,
  };
}

/** A zone stays until the last machine has left it. */
export const machinesInZones: InfrastructureUsers = {
  name: 'virtual machines',
  count: async (reader, noun, id) => (noun === 'zone' ? ((await reader.first(countMachinesInZone, id))?.machines ?? 0) : 0),
};

function moveOf(machine: MachineOnHost, host: HostRow): ChildOperation {
  return {
    kind: 'compute.virtual_machine.move',
    resourceKind: 'virtual_machine',
    resourceId: machine.id,
    tenantId: machine.tenant_id,
    projectId: machine.project_id,
    backendId: machine.backend_id,
    input: { machineId: machine.id, fromHostId: host.id, fromRackId: machine.rack_id },
    // By itself: whoever deletes the machine calls off its move, and not the host's maintenance. And nobody changes or heals
    // what it belongs to while it is off.
    locks: [machine.id, ...(machine.owner_id === null ? [] : [machine.owner_id])],
  };
}

/** Why a machine cannot leave its host now; null when it can. */
function whatHolds(machine: MachineOnHost, canMove: boolean): ErrorRecord | null {
  if (machine.busy_operation_id !== null) {
    return new MuonError('RESOURCE_BUSY', `It is being changed by operation "${machine.busy_operation_id}".`, {
      data: { operationId: machine.busy_operation_id, operationKind: machine.busy_operation_kind },
    }).toRecord();
  }
  if (machine.lifecycle !== 'PRESENT') {
    return new MuonError('INVALID_STATE', `It is ${machine.lifecycle.toLowerCase()}.`, { data: { state: machine.lifecycle } }).toRecord();
  }
  if (machine.local_disk_ids.length > 0 && machine.local_data_disk_ids.length === machine.local_disk_ids.length) {
    const data = { diskIds: machine.local_data_disk_ids };
    return new MuonError('INVALID_STATE', 'Disks that are attached to it lie on the host itself and cannot leave it; it can when they are detached.', { data }).toRecord();
  }
  if (machine.local_disk_ids.length > 0) {
    const remedy = machine.owner_id === null ? 'deleting the machine' : 'replacing the node (replaceClusterNode)';
    return new MuonError('UNSUPPORTED', `Its disk lies on the host itself and cannot leave it; only ${remedy} empties the host.`, {
      fault: 'OPERATOR',
      data: { diskIds: machine.local_disk_ids },
    }).toRecord();
  }
  if (machine.observed_power === 'UNKNOWN') {
    return new MuonError('UNAVAILABLE', 'Its host does not answer, so nobody can tell whether it runs.').toRecord();
  }
  if (machine.desired_power === 'SUSPENDED' || machine.observed_power === 'SUSPENDED') {
    return new MuonError('INVALID_STATE', 'It is suspended, in the memory of the host; resume or stop it first.').toRecord();
  }
  if (canMove) return null;
  return new MuonError('UNSUPPORTED', 'Its backend cannot move machines.', { fault: 'OPERATOR', data: { capability: 'moveStopped' } }).toRecord();
}
