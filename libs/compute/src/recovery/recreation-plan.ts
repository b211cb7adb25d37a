import { assert, notFound } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { findPortsOfOwners } from '#network';
import { lockResources, operationId, OPERATIONS } from '#operations';
import { SCOPES } from '#scopes';
import { diskId, findDisksOfOwners, planDiskSuccessor, storagePolicyOf } from '#storage';
import { chooseElsewhere } from '../virtual-machine/machine-move.js';
import { virtualMachineId } from '../virtual-machine/virtual-machine.js';
import { findVirtualMachines } from '../virtual-machine/virtual-machine.sql.js';
import { RECREATE_MACHINE, type RecreateInput } from './recreate.operation.js';

/**
 * Plans to make a machine anew on another host of its zone and backend, beside the one that is lost: its place is claimed
 * there, and an empty root disk, on a datastore of the kind that was asked for and that keeps its policy, takes over the charge of the lost one. The backend
 * has both under ids of their own, so that neither stands in the other's way.
 * @throws INSUFFICIENT_CAPACITY when no other host fits
 */
export async function planRecreation(reader: Reader, machineId: string): Promise<ChangeSet> {
  const [machine] = await reader.rows(findVirtualMachines, [machineId]);
  if (machine === undefined) throw notFound('virtual machine', machineId);
  const [root] = await reader.rows(findDisksOfOwners, [machineId]);
  assert(root !== undefined, `machine ${machineId} has no root disk`);
  const { tenant_id: tenantId, project_id: projectId, backend_id: backendId } = machine;
  const chosen = await storagePolicyOf(reader, root.storage_policy_id);
  const disk = { gib: root.size_gib, datastoreKind: machine.datastore_kind, storagePolicy: chosen?.kept ?? null };
  const { placement, claims } = await chooseElsewhere(reader, machine, { disk });
  const { hostId, rackId, datastoreId, datastoreOffer } = placement;
  assert(datastoreId !== null, `machine ${machineId} was placed without a datastore`);
  const successor = { instanceId: virtualMachineId.create(), hostId, rackId, diskId: diskId.create() };
  const input: RecreateInput = {
    machineId,
    lost: { instanceId: machine.instance_id, hostId: machine.host_id, rackId: machine.rack_id, diskId: root.id },
    successor,
  };
  const id = operationId.create();
  const changes = new ChangeSet().include(claims).include(await planDiskSuccessor(reader, root, { diskId: successor.diskId, datastoreId, datastoreOffer, policy: chosen?.policy ?? null }));
  changes.add(SCOPES, { scopeId: tenantId, need: 'ACTIVE' }, { scopeId: projectId, need: 'ACTIVE' });
  changes.add(ROWS, {
    table: 'virtual_machine',
    update: { successor_id: successor.instanceId, recovery_block: null },
    id: machineId,
    version: machine.version,
  });
  changes.add(OPERATIONS, { id, kind: RECREATE_MACHINE, resourceKind: 'virtual_machine', resourceId: machineId, tenantId, projectId, input, backendId });
  const ports = await reader.rows(findPortsOfOwners, [machineId]);
  lockResources(changes, id, [machineId, root.id, successor.diskId, ...ports.map((port) => port.id)]);
  changes.result = { id: machineId, operationId: id };
  return changes;
}
